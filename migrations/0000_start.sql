CREATE TABLE "balance_transaction_changes" (
	"entity" text collate "C" NOT NULL,
	"transaction_id" text collate "C" NOT NULL,
	"run_id" bigint NOT NULL,
	"field" text collate "C" NOT NULL,
	"before" text,
	"after" text,
	"seen_as_of" date NOT NULL,
	CONSTRAINT "balance_transaction_changes_entity_transaction_id_run_id_field_pk" PRIMARY KEY("entity","transaction_id","run_id","field")
);
--> statement-breakpoint
CREATE TABLE "balance_transactions" (
	"entity" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"merchant_id" text collate "C",
	"kind" text collate "C" NOT NULL,
	"currency" text collate "C" NOT NULL,
	"amount_minor" bigint NOT NULL,
	"fee_minor" bigint NOT NULL,
	"net_minor" bigint NOT NULL,
	"payment_id" text collate "C",
	"refund_id" text collate "C",
	"payout_id" text collate "C",
	"included_in_payout_id" text collate "C",
	"created_s" bigint NOT NULL,
	"updated_s" bigint,
	"available_on_s" bigint,
	"raw" jsonb NOT NULL,
	"first_seen_run_id" bigint NOT NULL,
	"changed_run_id" bigint NOT NULL,
	"vanished_run_id" bigint,
	CONSTRAINT "balance_transactions_entity_id_pk" PRIMARY KEY("entity","id")
);
--> statement-breakpoint
CREATE TABLE "bank_entries" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "bank_entries_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"statement_id" bigint NOT NULL,
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
CREATE TABLE "bank_files" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "bank_files_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"sha256" text collate "C" NOT NULL,
	"name" text NOT NULL,
	"format" text collate "C" NOT NULL,
	"format_version" text,
	"bytes" bigint NOT NULL,
	"run_id" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "bank_statements" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "bank_statements_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"file_id" bigint NOT NULL,
	"position_in_file" integer NOT NULL,
	"account" text collate "C" NOT NULL,
	"currency" text collate "C" NOT NULL,
	"statement_ref" text,
	"sequence_number" integer,
	"from_day" date NOT NULL,
	"to_day" date NOT NULL,
	"opening_minor" bigint,
	"closing_minor" bigint,
	"movement_minor" bigint NOT NULL,
	"entries" integer NOT NULL,
	"balance_state" text collate "C" NOT NULL,
	CONSTRAINT "bank_statements_days" CHECK ("bank_statements"."from_day" <= "bank_statements"."to_day"),
	CONSTRAINT "bank_statements_state" CHECK ("bank_statements"."balance_state" in ('verified', 'failed', 'unverifiable'))
);
--> statement-breakpoint
CREATE TABLE "data_exports" (
	"entity" text collate "C" NOT NULL,
	"request_number" bigint GENERATED ALWAYS AS IDENTITY (sequence name "data_exports_request_number_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"type" text collate "C" NOT NULL,
	"start_s" bigint NOT NULL,
	"end_s" bigint NOT NULL,
	"run_id" bigint NOT NULL,
	"requested_at" timestamp with time zone DEFAULT now() NOT NULL,
	"export_id" text collate "C",
	"state" text collate "C" NOT NULL,
	"archived_as" text,
	"sha256" text collate "C",
	"rows" integer,
	CONSTRAINT "data_exports_entity_request_number_pk" PRIMARY KEY("entity","request_number"),
	CONSTRAINT "data_exports_state" CHECK ("data_exports"."state" in ('asked', 'pending', 'stored', 'failed'))
);
--> statement-breakpoint
CREATE TABLE "decision_bank_entries" (
	"entity" text collate "C" NOT NULL,
	"decision_number" bigint NOT NULL,
	"bank_entry_id" bigint NOT NULL,
	CONSTRAINT "decision_bank_entries_entity_decision_number_bank_entry_id_pk" PRIMARY KEY("entity","decision_number","bank_entry_id")
);
--> statement-breakpoint
CREATE TABLE "decision_payouts" (
	"entity" text collate "C" NOT NULL,
	"decision_number" bigint NOT NULL,
	"payout_id" text collate "C" NOT NULL,
	CONSTRAINT "decision_payouts_entity_decision_number_payout_id_pk" PRIMARY KEY("entity","decision_number","payout_id")
);
--> statement-breakpoint
CREATE TABLE "decisions" (
	"entity" text collate "C" NOT NULL,
	"decision_number" bigint GENERATED ALWAYS AS IDENTITY (sequence name "decisions_decision_number_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"kind" text collate "C" NOT NULL,
	"discrepancy_id" text collate "C",
	"decided_by" text NOT NULL,
	"reason" text NOT NULL,
	"decided_at" timestamp with time zone DEFAULT now() NOT NULL,
	"run_id" bigint NOT NULL,
	CONSTRAINT "decisions_entity_decision_number_pk" PRIMARY KEY("entity","decision_number"),
	CONSTRAINT "decisions_kind" CHECK ("decisions"."kind" in ('match', 'refuse', 'accept', 'reopen')),
	CONSTRAINT "decisions_subject" CHECK (("decisions"."kind" in ('accept', 'reopen')) = ("decisions"."discrepancy_id" is not null)),
	CONSTRAINT "decisions_signed" CHECK ("decisions"."decided_by" <> '' and "decisions"."reason" <> '')
);
--> statement-breakpoint
CREATE TABLE "export_lines" (
	"entity" text collate "C" NOT NULL,
	"request_number" bigint NOT NULL,
	"line_number" integer NOT NULL,
	"balance_transaction_id" text collate "C" NOT NULL,
	"created_local" text,
	"gross_minor" bigint NOT NULL,
	"fee_minor" bigint NOT NULL,
	"net_minor" bigint NOT NULL,
	"vat_minor" bigint,
	"installments" integer,
	"payment_id" text collate "C",
	"refund_id" text collate "C",
	"extra" jsonb NOT NULL,
	CONSTRAINT "export_lines_entity_request_number_line_number_pk" PRIMARY KEY("entity","request_number","line_number")
);
--> statement-breakpoint
CREATE TABLE "ledger_ranges" (
	"entity" text collate "C" NOT NULL,
	"top_id" text collate "C" NOT NULL,
	"bottom_id" text collate "C" NOT NULL,
	"floor" text collate "C" NOT NULL,
	"floor_s" bigint,
	CONSTRAINT "ledger_ranges_entity_top_id_pk" PRIMARY KEY("entity","top_id"),
	CONSTRAINT "ledger_ranges_order" CHECK ("ledger_ranges"."bottom_id" <= "ledger_ranges"."top_id"),
	CONSTRAINT "ledger_ranges_floor" CHECK ("ledger_ranges"."floor" in ('open', 'end', 'since'))
);
--> statement-breakpoint
CREATE TABLE "ledger_walks" (
	"entity" text collate "C" NOT NULL,
	"run_id" bigint NOT NULL,
	"walk_number" integer NOT NULL,
	"purpose" text collate "C" NOT NULL,
	"after_id" text collate "C",
	"first_id" text collate "C",
	"last_id" text collate "C",
	"pages" integer NOT NULL,
	"rows" integer NOT NULL,
	"new_rows" integer NOT NULL,
	"changed_rows" integer NOT NULL,
	"vanished_rows" integer NOT NULL,
	"ended" text collate "C" NOT NULL,
	CONSTRAINT "ledger_walks_entity_run_id_walk_number_pk" PRIMARY KEY("entity","run_id","walk_number")
);
--> statement-breakpoint
CREATE TABLE "mail_deliveries" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "mail_deliveries_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"period" text collate "C" NOT NULL,
	"recipients" text collate "C" NOT NULL,
	"result_sha256" text collate "C" NOT NULL,
	"run_id" bigint NOT NULL,
	"state" text collate "C" NOT NULL,
	"attempts" integer NOT NULL,
	"fault" text,
	"first_attempt_at" timestamp with time zone DEFAULT now() NOT NULL,
	"last_attempt_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "mail_deliveries_state" CHECK ("mail_deliveries"."state" in ('sending', 'sent', 'failed'))
);
--> statement-breakpoint
CREATE TABLE "match_bank_entries" (
	"bank_entry_id" bigint PRIMARY KEY NOT NULL,
	"match_id" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "match_payouts" (
	"entity" text collate "C" NOT NULL,
	"payout_id" text collate "C" NOT NULL,
	"match_id" bigint NOT NULL,
	CONSTRAINT "match_payouts_entity_payout_id_pk" PRIMARY KEY("entity","payout_id")
);
--> statement-breakpoint
CREATE TABLE "matches" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "matches_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"entity" text collate "C" NOT NULL,
	"rule" text collate "C" NOT NULL,
	"evidence" text NOT NULL,
	"competitors" integer NOT NULL,
	"period" text NOT NULL,
	"run_id" bigint NOT NULL,
	"revoked_run_id" bigint,
	"revoked_because" text,
	"revoked_payout_ids" jsonb,
	"revoked_bank_entry_ids" jsonb
);
--> statement-breakpoint
CREATE TABLE "payment_refunds" (
	"entity" text collate "C" NOT NULL,
	"payment_id" text collate "C" NOT NULL,
	"refund_id" text collate "C" NOT NULL,
	"amount_minor" bigint NOT NULL,
	"created_s" bigint NOT NULL,
	CONSTRAINT "payment_refunds_entity_payment_id_refund_id_pk" PRIMARY KEY("entity","payment_id","refund_id")
);
--> statement-breakpoint
CREATE TABLE "payments" (
	"entity" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	"found" boolean NOT NULL,
	"purchase_amount_minor" bigint,
	"plan" text collate "C",
	"looked_up_run_id" bigint NOT NULL,
	CONSTRAINT "payments_entity_id_pk" PRIMARY KEY("entity","id")
);
--> statement-breakpoint
CREATE TABLE "period_closes" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "period_closes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"period" text collate "C" NOT NULL,
	"first_day" date NOT NULL,
	"last_day" date NOT NULL,
	"start_s" bigint NOT NULL,
	"end_s" bigint NOT NULL,
	"entity_set" text collate "C" NOT NULL,
	"closed_by" text NOT NULL,
	"reason" text,
	"closed_at" timestamp with time zone DEFAULT now() NOT NULL,
	"run_id" bigint NOT NULL,
	"report_as_of" date NOT NULL,
	"manifest_sha256" text collate "C" NOT NULL,
	"csv_dialect" text collate "C" NOT NULL,
	"control_totals" jsonb NOT NULL,
	"discrepancies" jsonb NOT NULL,
	"reopened_run_id" bigint,
	"reopened_by" text,
	"reopen_reason" text,
	"reopened_at" timestamp with time zone,
	CONSTRAINT "period_closes_days" CHECK ("period_closes"."first_day" <= "period_closes"."last_day")
);
--> statement-breakpoint
CREATE TABLE "period_reports" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "period_reports_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"period" text collate "C" NOT NULL,
	"entity_set" text collate "C" NOT NULL,
	"run_id" bigint NOT NULL,
	"as_of" date NOT NULL,
	"manifest_sha256" text collate "C" NOT NULL,
	"open_items" integer NOT NULL,
	"written_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "reported_discrepancies" (
	"entity" text collate "C" NOT NULL,
	"report_id" bigint NOT NULL,
	"discrepancy_id" text collate "C" NOT NULL,
	"code" text collate "C" NOT NULL,
	"status" text collate "C" NOT NULL,
	"currency" text collate "C" NOT NULL,
	"difference_minor" bigint,
	"since" date NOT NULL,
	"explanation" text NOT NULL,
	CONSTRAINT "reported_discrepancies_entity_report_id_discrepancy_id_pk" PRIMARY KEY("entity","report_id","discrepancy_id")
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "runs_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"command" text NOT NULL,
	"period" text,
	"as_of" date,
	"app_version" text NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	"exit_code" integer
);
--> statement-breakpoint
CREATE TABLE "signed_balance_transactions" (
	"entity" text collate "C" NOT NULL,
	"close_id" bigint NOT NULL,
	"id" text collate "C" NOT NULL,
	"kind" text collate "C" NOT NULL,
	"currency" text collate "C" NOT NULL,
	"amount_minor" bigint NOT NULL,
	"fee_minor" bigint NOT NULL,
	"net_minor" bigint NOT NULL,
	"payment_id" text collate "C",
	"refund_id" text collate "C",
	"payout_id" text collate "C",
	"included_in_payout_id" text collate "C",
	CONSTRAINT "signed_balance_transactions_entity_close_id_id_pk" PRIMARY KEY("entity","close_id","id")
);
--> statement-breakpoint
CREATE TABLE "signed_files" (
	"close_id" bigint NOT NULL,
	"name" text collate "C" NOT NULL,
	"sha256" text collate "C" NOT NULL,
	"content" text NOT NULL,
	CONSTRAINT "signed_files_close_id_name_pk" PRIMARY KEY("close_id","name")
);
--> statement-breakpoint
ALTER TABLE "balance_transaction_changes" ADD CONSTRAINT "balance_transaction_changes_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "balance_transactions" ADD CONSTRAINT "balance_transactions_first_seen_run_id_runs_id_fk" FOREIGN KEY ("first_seen_run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "balance_transactions" ADD CONSTRAINT "balance_transactions_changed_run_id_runs_id_fk" FOREIGN KEY ("changed_run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "balance_transactions" ADD CONSTRAINT "balance_transactions_vanished_run_id_runs_id_fk" FOREIGN KEY ("vanished_run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "bank_entries" ADD CONSTRAINT "bank_entries_statement_id_bank_statements_id_fk" FOREIGN KEY ("statement_id") REFERENCES "public"."bank_statements"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "bank_files" ADD CONSTRAINT "bank_files_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "bank_statements" ADD CONSTRAINT "bank_statements_file_id_bank_files_id_fk" FOREIGN KEY ("file_id") REFERENCES "public"."bank_files"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "data_exports" ADD CONSTRAINT "data_exports_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "decision_bank_entries" ADD CONSTRAINT "decision_bank_entries_bank_entry_id_bank_entries_id_fk" FOREIGN KEY ("bank_entry_id") REFERENCES "public"."bank_entries"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "decision_bank_entries" ADD CONSTRAINT "decision_bank_entries_entity_decision_number_decisions_entity_decision_number_fk" FOREIGN KEY ("entity","decision_number") REFERENCES "public"."decisions"("entity","decision_number") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "decision_payouts" ADD CONSTRAINT "decision_payouts_entity_decision_number_decisions_entity_decision_number_fk" FOREIGN KEY ("entity","decision_number") REFERENCES "public"."decisions"("entity","decision_number") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "decisions" ADD CONSTRAINT "decisions_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "export_lines" ADD CONSTRAINT "export_lines_entity_request_number_data_exports_entity_request_number_fk" FOREIGN KEY ("entity","request_number") REFERENCES "public"."data_exports"("entity","request_number") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "ledger_walks" ADD CONSTRAINT "ledger_walks_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "mail_deliveries" ADD CONSTRAINT "mail_deliveries_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "match_bank_entries" ADD CONSTRAINT "match_bank_entries_bank_entry_id_bank_entries_id_fk" FOREIGN KEY ("bank_entry_id") REFERENCES "public"."bank_entries"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "match_bank_entries" ADD CONSTRAINT "match_bank_entries_match_id_matches_id_fk" FOREIGN KEY ("match_id") REFERENCES "public"."matches"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "match_payouts" ADD CONSTRAINT "match_payouts_match_id_matches_id_fk" FOREIGN KEY ("match_id") REFERENCES "public"."matches"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "matches" ADD CONSTRAINT "matches_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "matches" ADD CONSTRAINT "matches_revoked_run_id_runs_id_fk" FOREIGN KEY ("revoked_run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "payment_refunds" ADD CONSTRAINT "payment_refunds_entity_payment_id_payments_entity_id_fk" FOREIGN KEY ("entity","payment_id") REFERENCES "public"."payments"("entity","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_looked_up_run_id_runs_id_fk" FOREIGN KEY ("looked_up_run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "period_closes" ADD CONSTRAINT "period_closes_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "period_closes" ADD CONSTRAINT "period_closes_reopened_run_id_runs_id_fk" FOREIGN KEY ("reopened_run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "period_reports" ADD CONSTRAINT "period_reports_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "reported_discrepancies" ADD CONSTRAINT "reported_discrepancies_report_id_period_reports_id_fk" FOREIGN KEY ("report_id") REFERENCES "public"."period_reports"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "signed_balance_transactions" ADD CONSTRAINT "signed_balance_transactions_close_id_period_closes_id_fk" FOREIGN KEY ("close_id") REFERENCES "public"."period_closes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "signed_files" ADD CONSTRAINT "signed_files_close_id_period_closes_id_fk" FOREIGN KEY ("close_id") REFERENCES "public"."period_closes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "balance_transactions_entity_created_s_index" ON "balance_transactions" USING btree ("entity","created_s");--> statement-breakpoint
CREATE INDEX "balance_transactions_entity_included_in_payout_id_index" ON "balance_transactions" USING btree ("entity","included_in_payout_id");--> statement-breakpoint
CREATE INDEX "balance_transactions_payout_rows" ON "balance_transactions" USING btree ("entity","payout_id") WHERE "balance_transactions"."kind" = 'from_payout';--> statement-breakpoint
CREATE INDEX "balance_transactions_open_rows" ON "balance_transactions" USING btree ("entity","id") WHERE "balance_transactions"."included_in_payout_id" is null and "balance_transactions"."kind" <> 'from_payout' and "balance_transactions"."vanished_run_id" is null;--> statement-breakpoint
CREATE INDEX "balance_transactions_entity_payment_id_index" ON "balance_transactions" USING btree ("entity","payment_id");--> statement-breakpoint
CREATE INDEX "balance_transactions_entity_refund_id_index" ON "balance_transactions" USING btree ("entity","refund_id");--> statement-breakpoint
CREATE UNIQUE INDEX "bank_entries_once" ON "bank_entries" USING btree ("account","fingerprint_version","fingerprint","fingerprint_rank");--> statement-breakpoint
CREATE INDEX "bank_entries_booking_day_index" ON "bank_entries" USING btree ("booking_day");--> statement-breakpoint
CREATE UNIQUE INDEX "bank_files_sha256_index" ON "bank_files" USING btree ("sha256");--> statement-breakpoint
CREATE UNIQUE INDEX "bank_statements_file_id_position_in_file_index" ON "bank_statements" USING btree ("file_id","position_in_file");--> statement-breakpoint
CREATE INDEX "bank_statements_account_from_day_index" ON "bank_statements" USING btree ("account","from_day");--> statement-breakpoint
CREATE INDEX "data_exports_entity_type_start_s_end_s_index" ON "data_exports" USING btree ("entity","type","start_s","end_s");--> statement-breakpoint
CREATE INDEX "decision_bank_entries_bank_entry_id_index" ON "decision_bank_entries" USING btree ("bank_entry_id");--> statement-breakpoint
CREATE INDEX "decision_payouts_entity_payout_id_index" ON "decision_payouts" USING btree ("entity","payout_id");--> statement-breakpoint
CREATE INDEX "decisions_entity_discrepancy_id_index" ON "decisions" USING btree ("entity","discrepancy_id");--> statement-breakpoint
CREATE INDEX "export_lines_entity_balance_transaction_id_index" ON "export_lines" USING btree ("entity","balance_transaction_id");--> statement-breakpoint
CREATE UNIQUE INDEX "mail_deliveries_once" ON "mail_deliveries" USING btree ("period","recipients","result_sha256");--> statement-breakpoint
CREATE INDEX "match_bank_entries_match_id_index" ON "match_bank_entries" USING btree ("match_id");--> statement-breakpoint
CREATE INDEX "match_payouts_match_id_index" ON "match_payouts" USING btree ("match_id");--> statement-breakpoint
CREATE UNIQUE INDEX "period_closes_standing" ON "period_closes" USING btree ("period") WHERE "period_closes"."reopened_run_id" is null;--> statement-breakpoint
CREATE INDEX "period_reports_entity_set_period_id_index" ON "period_reports" USING btree ("entity_set","period","id");--> statement-breakpoint
CREATE INDEX "reported_discrepancies_entity_discrepancy_id_index" ON "reported_discrepancies" USING btree ("entity","discrepancy_id");