-- Two accounts in place of one: alma_owner owns the tables and migrates them, alma_job works with
-- them every night and can do nothing else; alma_reader is a role that only looks, for assistants;
-- alma_listen only adds notifications.
-- Run this in the job's database as its administrator:
--
--   psql -d alma -f deploy/least-rights.sql
--   psql -d alma -c '\password alma_owner' -c '\password alma_job'
--   DATABASE_URL=postgres://alma_owner@…/alma npm run db:migrate
--   psql -d alma -f deploy/least-rights.sql
--
-- and let the nightly job have DATABASE_URL=postgres://alma_job@…/alma. It may be run as often as you
-- like. After an update of the program, migrate as alma_owner and run it again: tables that are new by
-- then are narrowed too. `restore` and `db:distribute` are for alma_owner as well.
begin;

do $$
begin
  if not exists (select from pg_roles where rolname = 'alma_owner') then
    create role alma_owner login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
  end if;
  if not exists (select from pg_roles where rolname = 'alma_job') then
    create role alma_job login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
  end if;
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect, create, temporary on database %I to alma_owner', current_database());
  -- Rows in bulk go through temporary tables.
  execute format('grant connect, temporary on database %I to alma_job', current_database());
end
$$;

revoke all on schema public from public;
grant usage, create on schema public to alma_owner;
grant usage on schema public to alma_job;
create schema if not exists drizzle;
alter schema drizzle owner to alma_owner;
grant usage on schema drizzle to alma_job;

-- Tables that another account made before, by running the job with it.
do $$
declare
  found regclass;
begin
  for found in
    select oid::regclass from pg_class
    where relkind in ('r', 'p') and relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace)
      and relowner <> 'alma_owner'::regrole
      and not exists (select from pg_depend
        where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')
  loop
    execute format('alter table %s owner to alma_owner', found);
  end loop;
end
$$;

-- What the job may do with tables that migrations are still to make, and with those that are there.
alter default privileges for role alma_owner in schema public
  grant select, insert, update, delete on tables to alma_job;
revoke all on all tables in schema public, drizzle from public, alma_job;
grant select, insert, update, delete on all tables in schema public to alma_job;
-- It looks at the list of migrations, and cannot pretend one.
grant select on all tables in schema drizzle to alma_job;
-- A backup notes where each count stands.
alter default privileges for role alma_owner in schema public grant select on sequences to alma_job;
grant select on all sequences in schema public, drizzle to alma_job;

-- What was decided, signed, reported or seen to change is added to and never rewritten: not by the
-- job's account either, nor by whoever gets hold of it.
do $$
declare
  found regclass;
begin
  for found in
    select oid::regclass from pg_class where relnamespace = 'public'::regnamespace and relname in (
      'balance_transaction_changes',
      'bank_suspect_decisions',
      'decision_bank_entries',
      'decision_payouts',
      'decisions',
      'period_reports',
      'plan_snapshots',
      'reported_discrepancies',
      'signed_balance_transactions',
      'signed_files'
    )
  loop
    execute format('revoke update, delete on %s from alma_job', found);
  end loop;
  -- What is kept of runs, mails, closes, matches, files and payments changes, but is not removed.
  for found in
    select oid::regclass from pg_class where relnamespace = 'public'::regnamespace and relname in (
      'balance_transactions',
      'bank_entries',
      'bank_files',
      'bank_statements',
      'bank_suspects',
      'data_exports',
      'ledger_walks',
      'mail_deliveries',
      'matches',
      'payments',
      'period_closes',
      'runs'
    )
  loop
    execute format('revoke delete on %s from alma_job', found);
  end loop;
end
$$;

-- What `npm run mcp` reads with MCP_DATABASE_ROLE=alma_reader: no raw payload, no mail address, and
-- nothing to write. The job's account may take its place, so that one connection serves both.
do $$
declare
  found record;
begin
  if not exists (select from pg_roles where rolname = 'alma_reader') then
    create role alma_reader nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
  end if;
  execute 'grant alma_reader to alma_job';
  execute 'grant usage on schema public to alma_reader';
  execute 'revoke all on all tables in schema public, drizzle from alma_reader';
  for found in
    select attrelid::regclass as name, string_agg(quote_ident(attname), ', ' order by attnum) as columns
    from pg_attribute join pg_class on pg_class.oid = attrelid
    where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and attnum > 0
      and not attisdropped and relname <> 'mail_deliveries'
      and attname not in ('raw', 'extra', 'payload', 'body')
    group by attrelid
  loop
    execute format('grant select (%s) on %s to alma_reader', found.columns, found.name);
  end loop;
end
$$;

-- `npm run listen` may be reached by strangers, so it has an account of its own, which can look whether
-- the tables are up to date and add notifications, and nothing else: \password alma_listen, and
-- DATABASE_URL=postgres://alma_listen@…/alma for that one command.
do $$
begin
  if not exists (select from pg_roles where rolname = 'alma_listen') then
    create role alma_listen login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
  end if;
  execute format('grant connect on database %I to alma_listen', current_database());
  execute 'grant usage on schema public, drizzle to alma_listen';
  execute 'revoke all on all tables in schema public, drizzle from alma_listen';
  execute 'grant select on all tables in schema drizzle to alma_listen';
  if to_regclass('public.provider_events') is not null then
    execute 'grant insert, select (entity, event_key) on provider_events to alma_listen';
  end if;
end
$$;

commit;
