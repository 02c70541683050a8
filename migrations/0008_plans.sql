CREATE TABLE "doubtful_sales" (
	"entity" text collate "C" NOT NULL,
	"id" text collate "C" NOT NULL,
	CONSTRAINT "doubtful_sales_entity_id_pk" PRIMARY KEY("entity","id")
);
--> statement-breakpoint
CREATE TABLE "plan_checks" (
	"entity" text collate "C" PRIMARY KEY NOT NULL,
	"changed_number" bigint NOT NULL,
	"until_day" date NOT NULL,
	"basis" text collate "C" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "plan_snapshots" (
	"entity" text collate "C" NOT NULL,
	"day" date NOT NULL,
	"run_id" bigint NOT NULL,
	"asked_at" timestamp with time zone DEFAULT now() NOT NULL,
	"trouble" text,
	"offers" jsonb NOT NULL,
	"asked" jsonb NOT NULL,
	"remarks" jsonb NOT NULL,
	CONSTRAINT "plan_snapshots_entity_day_pk" PRIMARY KEY("entity","day")
);
--> statement-breakpoint
ALTER TABLE "plan_snapshots" ADD CONSTRAINT "plan_snapshots_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;