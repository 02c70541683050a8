/**
 * What autovacuum does on a server that stays up. The embedded one runs for seconds a night, and
 * autovacuum first looks around after a minute, so it never gets to it: dead rows would pile up, and
 * the planner would know nothing of any table.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { Db } from './client.ts'

/** Larger tables are analysed only: what changes much of them takes so long that autovacuum comes. */
const VACUUM_BYTES_MAX = 256 * 1024 ** 2
/** All of it together; whoever stops the program waits for this. */
const UPKEEP_MS_MAX = 3_000

/** Autovacuum's own thresholds as Postgres ships them. */
const ANALYSE_DUE = sql`n_mod_since_analyze > 50 + 0.1 * greatest(reltuples, 0)`
const VACUUM_DUE = sql`relpages * current_setting('block_size')::bigint < ${VACUUM_BYTES_MAX}
  and (n_dead_tup > 50 + 0.2 * greatest(reltuples, 0)
    or n_ins_since_vacuum > 1000 + 0.2 * greatest(reltuples, 0))`

/**
 * Analyses and vacuums the tables of which it is time, as long as there is time; what is left is due
 * the next time. Waits for no lock. To be called on a connection that is closed afterwards.
 */
export async function keepUp(db: Db): Promise<void> {
  const giveUpAt = Date.now() + UPKEEP_MS_MAX
  const each = async (due: SQL, work: (table: SQL) => SQL): Promise<void> => {
    for (const { schema, name } of await tablesThatAre(due, db)) {
      const leftMs = Math.max(giveUpAt - Date.now(), 1)
      await db.execute(sql`select set_config('statement_timeout', ${String(leftMs)}, false)`)
      await db.execute(work(sql`${sql.identifier(schema)}.${sql.identifier(name)}`))
    }
  }
  // Analysing is quick whatever the size, and tells the size.
  await each(ANALYSE_DUE, (table) => sql`analyze (skip_locked) ${table}`)
  await each(VACUUM_DUE, (table) => sql`vacuum (skip_locked) ${table}`)
}

/** The smallest first, so that one large table does not keep the others from their turn. */
async function tablesThatAre(
  due: SQL,
  db: Db,
): Promise<readonly { schema: string; name: string }[]> {
  return db.execute<{ schema: string; name: string }>(sql`
    select stat.schemaname as schema, stat.relname as name
    from pg_stat_all_tables stat
    join pg_class on pg_class.oid = stat.relid
    where relkind = 'r' and relpersistence = 'p' and schemaname not like 'pg_toast%' and (${due})
    order by relpages, schema, name`)
}
