CREATE TABLE "entity_fetches" (
	"entity" text collate "C" NOT NULL,
	"round_id" bigint NOT NULL,
	"run_id" bigint NOT NULL,
	"fetched_at" timestamp with time zone DEFAULT now() NOT NULL,
	"outcome" jsonb NOT NULL,
	CONSTRAINT "entity_fetches_entity_round_id_pk" PRIMARY KEY("entity","round_id")
);
--> statement-breakpoint
CREATE TABLE "fetch_rounds" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "fetch_rounds_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"command" text collate "C" NOT NULL,
	"period" text collate "C" NOT NULL,
	"as_of" date NOT NULL,
	"entity_set" text collate "C" NOT NULL,
	"lead_round_id" bigint,
	"opened_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	"finished_run_id" bigint,
	"exit_code" integer
);
--> statement-breakpoint
ALTER TABLE "match_bank_entries" DROP CONSTRAINT "match_bank_entries_match_id_matches_id_fk";
--> statement-breakpoint
ALTER TABLE "match_payouts" DROP CONSTRAINT "match_payouts_match_id_matches_id_fk";
--> statement-breakpoint
DROP INDEX "match_bank_entries_match_id_index";--> statement-breakpoint
DROP INDEX "match_payouts_match_id_index";--> statement-breakpoint
-- Written by hand: drizzle-kit does not know the name of the old key.
ALTER TABLE "matches" DROP CONSTRAINT "matches_pkey";--> statement-breakpoint
ALTER TABLE "matches" ADD CONSTRAINT "matches_entity_id_pk" PRIMARY KEY("entity","id");--> statement-breakpoint
-- Written by hand in three steps: the rows that are there take their entity from their match.
ALTER TABLE "match_bank_entries" ADD COLUMN "entity" text collate "C";--> statement-breakpoint
UPDATE "match_bank_entries" SET "entity" = "matches"."entity" FROM "matches" WHERE "matches"."id" = "match_bank_entries"."match_id";--> statement-breakpoint
ALTER TABLE "match_bank_entries" ALTER COLUMN "entity" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "entity_fetches" ADD CONSTRAINT "entity_fetches_round_id_fetch_rounds_id_fk" FOREIGN KEY ("round_id") REFERENCES "public"."fetch_rounds"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "entity_fetches" ADD CONSTRAINT "entity_fetches_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "fetch_rounds" ADD CONSTRAINT "fetch_rounds_finished_run_id_runs_id_fk" FOREIGN KEY ("finished_run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "fetch_rounds_open" ON "fetch_rounds" USING btree ("command","period","as_of","entity_set") WHERE "fetch_rounds"."finished_at" is null;--> statement-breakpoint
ALTER TABLE "match_payouts" ADD CONSTRAINT "match_payouts_entity_match_id_matches_entity_id_fk" FOREIGN KEY ("entity","match_id") REFERENCES "public"."matches"("entity","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "match_bank_entries_entity_match_id_index" ON "match_bank_entries" USING btree ("entity","match_id");--> statement-breakpoint
CREATE INDEX "match_payouts_entity_match_id_index" ON "match_payouts" USING btree ("entity","match_id");