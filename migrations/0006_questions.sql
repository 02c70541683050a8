CREATE TABLE "period_metrics" (
	"entity" text collate "C" NOT NULL,
	"period" text collate "C" NOT NULL,
	"currency" text collate "C" NOT NULL,
	"span" text collate "C" NOT NULL,
	"first_day" date NOT NULL,
	"last_day" date NOT NULL,
	"as_of" date NOT NULL,
	"run_id" bigint NOT NULL,
	"payouts" integer NOT NULL,
	"matched_by_rule" integer NOT NULL,
	"matched_by_decision" integer NOT NULL,
	"in_transit" integer NOT NULL,
	"in_discrepancy" integer NOT NULL,
	"median_days_to_clear" integer,
	"worst_days_to_clear" integer,
	"oldest_open_since" date,
	"oldest_open_days" integer,
	"oldest_open_id" text,
	"residual_minor" bigint NOT NULL,
	"late_deposits" integer NOT NULL,
	"corrections" integer NOT NULL,
	CONSTRAINT "period_metrics_entity_period_currency_pk" PRIMARY KEY("entity","period","currency"),
	CONSTRAINT "period_metrics_span" CHECK ("period_metrics"."span" in ('week', 'month', 'range')),
	CONSTRAINT "period_metrics_days" CHECK ("period_metrics"."first_day" <= "period_metrics"."last_day"),
	CONSTRAINT "period_metrics_payouts" CHECK ("period_metrics"."payouts" = "period_metrics"."matched_by_rule" + "period_metrics"."matched_by_decision" + "period_metrics"."in_transit" + "period_metrics"."in_discrepancy")
);
--> statement-breakpoint
ALTER TABLE "period_metrics" ADD CONSTRAINT "period_metrics_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "period_metrics_entity_span_last_day_index" ON "period_metrics" USING btree ("entity","span","last_day");