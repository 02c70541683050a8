CREATE TABLE "ledger_proofs" (
	"entity" text collate "C" PRIMARY KEY NOT NULL,
	"changed_number" bigint NOT NULL,
	"proved_number" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "balance_transactions" ADD COLUMN "change_number" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "balance_transactions" ADD COLUMN "content_number" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "payments" ADD COLUMN "change_number" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "balance_transactions_entity_change_number_index" ON "balance_transactions" USING btree ("entity","change_number");--> statement-breakpoint
CREATE INDEX "payments_entity_change_number_index" ON "payments" USING btree ("entity","change_number");