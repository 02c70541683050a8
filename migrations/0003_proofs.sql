CREATE TABLE "bank_suspect_decisions" (
	"decision_number" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "bank_suspect_decisions_decision_number_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"suspect_id" bigint NOT NULL,
	"kind" text collate "C" NOT NULL,
	"bank_entry_id" bigint,
	"decided_by" text NOT NULL,
	"reason" text NOT NULL,
	"decided_at" timestamp with time zone DEFAULT now() NOT NULL,
	"run_id" bigint NOT NULL,
	CONSTRAINT "bank_suspect_decisions_kind" CHECK ("bank_suspect_decisions"."kind" in ('admit', 'dismiss')),
	CONSTRAINT "bank_suspect_decisions_entry" CHECK (("bank_suspect_decisions"."kind" = 'admit') = ("bank_suspect_decisions"."bank_entry_id" is not null)),
	CONSTRAINT "bank_suspect_decisions_signed" CHECK ("bank_suspect_decisions"."decided_by" <> '' and "bank_suspect_decisions"."reason" <> '')
);
--> statement-breakpoint
CREATE TABLE "bank_suspects" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "bank_suspects_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"statement_id" bigint NOT NULL,
	"known_statement_id" bigint NOT NULL,
	"account" text collate "C" NOT NULL,
	"booking_day" date NOT NULL,
	"value_day" date,
	"amount_minor" bigint NOT NULL,
	"currency" text collate "C" NOT NULL,
	"counterparty_name" text,
	"counterparty_iban" text collate "C",
	"end_to_end_id" text,
	"remittance" jsonb NOT NULL,
	"bank_reference" text,
	"is_reversal" boolean NOT NULL,
	"place" text NOT NULL,
	"position" integer NOT NULL,
	"raw" text NOT NULL,
	"fingerprint" text collate "C" NOT NULL,
	"fingerprint_version" integer NOT NULL,
	"fingerprint_rank" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "export_pairs" (
	"entity" text collate "C" NOT NULL,
	"request_number" bigint NOT NULL,
	"balance_transaction_id" text collate "C" NOT NULL,
	"line_number" integer NOT NULL,
	CONSTRAINT "export_pairs_pk" PRIMARY KEY("entity","request_number","balance_transaction_id","line_number")
);
--> statement-breakpoint
CREATE TABLE "export_proofs" (
	"entity" text collate "C" NOT NULL,
	"request_number" bigint NOT NULL,
	"conventions" jsonb NOT NULL,
	"pairs" integer NOT NULL,
	CONSTRAINT "export_proofs_entity_request_number_pk" PRIMARY KEY("entity","request_number")
);
--> statement-breakpoint
CREATE TABLE "fee_differences" (
	"entity" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	CONSTRAINT "fee_differences_entity_id_pk" PRIMARY KEY("entity","id")
);
--> statement-breakpoint
CREATE TABLE "ledger_days" (
	"entity" text collate "C" NOT NULL,
	"day_number" integer NOT NULL,
	"kind" text collate "C" NOT NULL,
	"currency" text collate "C" NOT NULL,
	"rows" bigint NOT NULL,
	"amount_minor" bigint NOT NULL,
	"fee_minor" bigint NOT NULL,
	"net_minor" bigint NOT NULL,
	CONSTRAINT "ledger_days_entity_day_number_kind_currency_pk" PRIMARY KEY("entity","day_number","kind","currency")
);
--> statement-breakpoint
CREATE TABLE "payout_proofs" (
	"entity" text collate "C" NOT NULL,
	"payout_id" text collate "C" NOT NULL,
	"currency" text collate "C",
	"is_mixed" boolean NOT NULL,
	"transactions" integer NOT NULL,
	"gross_minor" bigint NOT NULL,
	"fees_minor" bigint NOT NULL,
	"refunds_minor" bigint NOT NULL,
	"other_minor" bigint NOT NULL,
	"net_minor" bigint NOT NULL,
	"first_row_created_s" bigint,
	"last_row_created_s" bigint,
	"first_available_s" bigint,
	"own_rows" integer NOT NULL,
	"own_first_created_s" bigint,
	"own_last_created_s" bigint,
	CONSTRAINT "payout_proofs_entity_payout_id_pk" PRIMARY KEY("entity","payout_id")
);
--> statement-breakpoint
CREATE TABLE "proof_bases" (
	"entity" text collate "C" PRIMARY KEY NOT NULL,
	"recipe" integer NOT NULL,
	"fee_contract" text collate "C"
);
--> statement-breakpoint
CREATE TABLE "refund_families" (
	"entity" text collate "C" NOT NULL,
	"payment_id" text collate "C" NOT NULL,
	"settled_s" bigint,
	CONSTRAINT "refund_families_entity_payment_id_pk" PRIMARY KEY("entity","payment_id")
);
--> statement-breakpoint
CREATE TABLE "repeated_rows" (
	"entity" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	CONSTRAINT "repeated_rows_entity_id_pk" PRIMARY KEY("entity","id")
);
--> statement-breakpoint
ALTER TABLE "bank_suspect_decisions" ADD CONSTRAINT "bank_suspect_decisions_suspect_id_bank_suspects_id_fk" FOREIGN KEY ("suspect_id") REFERENCES "public"."bank_suspects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "bank_suspect_decisions" ADD CONSTRAINT "bank_suspect_decisions_bank_entry_id_bank_entries_id_fk" FOREIGN KEY ("bank_entry_id") REFERENCES "public"."bank_entries"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "bank_suspect_decisions" ADD CONSTRAINT "bank_suspect_decisions_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "bank_suspects" ADD CONSTRAINT "bank_suspects_statement_id_bank_statements_id_fk" FOREIGN KEY ("statement_id") REFERENCES "public"."bank_statements"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "bank_suspects" ADD CONSTRAINT "bank_suspects_known_statement_id_bank_statements_id_fk" FOREIGN KEY ("known_statement_id") REFERENCES "public"."bank_statements"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "bank_suspect_decisions_suspect_id_index" ON "bank_suspect_decisions" USING btree ("suspect_id");--> statement-breakpoint
CREATE UNIQUE INDEX "bank_suspect_decisions_bank_entry_id_index" ON "bank_suspect_decisions" USING btree ("bank_entry_id");--> statement-breakpoint
CREATE UNIQUE INDEX "bank_suspects_once" ON "bank_suspects" USING btree ("account","fingerprint_version","fingerprint","fingerprint_rank");--> statement-breakpoint
CREATE INDEX "bank_suspects_booking_day_index" ON "bank_suspects" USING btree ("booking_day");--> statement-breakpoint
CREATE INDEX "payout_proofs_entity_own_first_created_s_index" ON "payout_proofs" USING btree ("entity","own_first_created_s");--> statement-breakpoint
CREATE INDEX "payout_proofs_entity_last_row_created_s_index" ON "payout_proofs" USING btree ("entity","last_row_created_s");--> statement-breakpoint
CREATE INDEX "refund_families_entity_settled_s_index" ON "refund_families" USING btree ("entity","settled_s");--> statement-breakpoint
CREATE INDEX "balance_transactions_suspect_rows" ON "balance_transactions" USING btree ("entity","id") WHERE vanished_run_id is null and (kind not in ('from_transaction', 'from_refund', 'from_fee_waiver', 'from_adjustment', 'from_merchant_default_coverage', 'from_payout')
    or (net_minor <> amount_minor - fee_minor and not (kind = 'from_refund' and net_minor = amount_minor + fee_minor))
    or (kind in ('from_transaction', 'from_fee_waiver') and amount_minor < 0)
    or (kind = 'from_refund' and amount_minor > 0));--> statement-breakpoint
CREATE INDEX "balance_transactions_refund_nets" ON "balance_transactions" USING btree ("entity","net_minor") WHERE "balance_transactions"."refund_id" is not null;--> statement-breakpoint
CREATE INDEX "balance_transactions_refunds_of_nothing" ON "balance_transactions" USING btree ("entity","id") WHERE "balance_transactions"."refund_id" is not null and "balance_transactions"."payment_id" is null;--> statement-breakpoint
CREATE INDEX "payment_refunds_entity_refund_id_index" ON "payment_refunds" USING btree ("entity","refund_id");