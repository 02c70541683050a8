CREATE TABLE "provider_events" (
	"entity" text collate "C" NOT NULL,
	"event_key" text collate "C" NOT NULL,
	"event_number" bigint GENERATED ALWAYS AS IDENTITY (sequence name "provider_events_event_number_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"source" text collate "C" NOT NULL,
	"type" text collate "C" NOT NULL,
	"payment_id" text collate "C",
	"received_at" timestamp with time zone DEFAULT now() NOT NULL,
	"taken_run_id" bigint,
	CONSTRAINT "provider_events_entity_event_key_pk" PRIMARY KEY("entity","event_key"),
	CONSTRAINT "provider_events_source" CHECK ("provider_events"."source" in ('ipn', 'webhook'))
);
--> statement-breakpoint
ALTER TABLE "provider_events" ADD CONSTRAINT "provider_events_taken_run_id_runs_id_fk" FOREIGN KEY ("taken_run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "provider_events_entity_event_number_index" ON "provider_events" USING btree ("entity","event_number");--> statement-breakpoint
CREATE INDEX "provider_events_waiting" ON "provider_events" USING btree ("entity","payment_id") WHERE "provider_events"."taken_run_id" is null;