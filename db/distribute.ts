/**
 * Tables on several servers, by Citus: an existing extension of Postgres, whose coordinator
 * `DATABASE_URL` may name. The job itself does not know; it only keeps to what holds there.
 */
import { getTableName, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { ConfigurationFault } from '../src/errors.ts'
import type { Db, DbOrTx, Tx } from './client.ts'
import * as schema from './schema.ts'

/**
 * What belongs to one Alma account, and grows with it: distributed by `entity`, all of them alike, so
 * that an entity's rows of all tables lie on one server.
 */
export const DISTRIBUTED: readonly PgTable[] = [
  schema.balanceTransactions,
  schema.balanceTransactionChanges,
  schema.ledgerProofs,
  schema.ledgerRanges,
  schema.ledgerWalks,
  schema.dataExports,
  schema.exportLines,
  schema.payments,
  schema.paymentRefunds,
  schema.matches,
  schema.matchPayouts,
  schema.reportedDiscrepancies,
  schema.decisions,
  schema.decisionPayouts,
  schema.decisionBankEntries,
  schema.signedBalanceTransactions,
  schema.entityFetches,
  schema.proofBases,
  schema.payoutProofs,
  schema.ledgerDays,
  schema.repeatedRows,
  schema.feeDifferences,
  schema.refundFamilies,
  schema.exportProofs,
  schema.exportPairs,
  schema.periodMetrics,
  schema.providerEvents,
  schema.planSnapshots,
  schema.planChecks,
  schema.doubtfulSales,
]

/**
 * What entities have in common: runs, the bank's side, reports, closes and mails of a set of them. A
 * few rows a day, copied to every server, so that the tables above can point at them anywhere.
 */
export const REFERENCE: readonly PgTable[] = [
  schema.runs,
  schema.bankFiles,
  schema.bankStatements,
  schema.bankEntries,
  schema.bankSuspects,
  schema.bankSuspectDecisions,
  schema.matchBankEntries,
  schema.periodReports,
  schema.periodCloses,
  schema.signedFiles,
  schema.mailDeliveries,
  schema.fetchRounds,
]

/** The column by which tables are distributed. */
export const DISTRIBUTION_COLUMN = 'entity'

/** How a table lies: `local` on the coordinator only, which is where migrations make it. */
type Placement = 'local' | 'reference' | 'distributed'

export interface Distribution {
  /** Names of the tables that were turned into distributed ones or reference tables just now. */
  readonly distributed: readonly string[]
  readonly reference: readonly string[]
  /** How many were so already. */
  readonly already: number
}

/** True if `distributeTables` was there before. */
export async function isDistributed(db: DbOrTx): Promise<boolean> {
  if (!(await hasCitus(db))) return false
  const placements = await loadPlacements(db)
  return DISTRIBUTED.some((table) => placements.get(getTableName(table)) === 'distributed')
}

/**
 * Turns the tables into distributed ones and reference tables, whatever is in them, all or none.
 * Those that are so already stay as they are.
 * @param where the server, for messages.
 * @throws ConfigurationFault if the server is no Citus coordinator with servers to distribute to.
 */
export async function distributeTables(db: Db, where: string): Promise<Distribution> {
  await refuseUnlessCoordinator(db, where)
  const done = await db.transaction(distributeIn)
  // What was copied to the other servers still takes room here, where nothing sees it any more.
  for (const name of [...done.distributed, ...done.reference]) {
    await db.execute(sql`select truncate_local_data_after_distributing_table(${name}::regclass)`)
  }
  return done
}

async function distributeIn(tx: Tx): Promise<Distribution> {
  const placements = await loadPlacements(tx)
  const missing = (tables: readonly PgTable[], wanted: Placement): string[] =>
    tables.map(getTableName).filter((name) => {
      const found = placements.get(name) ?? 'local'
      if (found !== 'local' && found !== wanted) throw misplaced(name, found, wanted)
      return found === 'local'
    })
  const reference = missing(REFERENCE, 'reference')
  const distributed = missing(DISTRIBUTED, 'distributed')
  await oneServerAtATime(tx)
  const foreignKeys = await dropForeignKeys(tx, [...reference, ...distributed])
  for (const name of reference) {
    await tx.execute(sql`select create_reference_table(${name}::regclass)`)
  }
  for (const name of distributed) await distribute(tx, name, DISTRIBUTED.map(getTableName)[0])
  for (const { table, name, definition } of foreignKeys) {
    await tx.execute(
      sql`alter table ${sql.identifier(table)} add constraint ${sql.identifier(name)} ${sql.raw(definition)}`,
    )
  }
  return {
    distributed,
    reference,
    already: REFERENCE.length + DISTRIBUTED.length - reference.length - distributed.length,
  }
}

/**
 * For changes of tables: in one transaction Citus refuses to touch a reference table after it has been
 * at work on several servers side by side.
 */
export async function oneServerAtATime(tx: Tx): Promise<void> {
  await tx.execute(sql`set local citus.multi_shard_modify_mode to 'sequential'`)
}

/** All of them like the first one, which brings rows of one entity to one server. */
async function distribute(tx: Tx, name: string, first: string | undefined): Promise<void> {
  if (first === undefined || name === first) {
    await tx.execute(
      sql`select create_distributed_table(${name}::regclass, ${DISTRIBUTION_COLUMN}, colocate_with => 'none')`,
    )
    return
  }
  await tx.execute(
    sql`select create_distributed_table(${name}::regclass, ${DISTRIBUTION_COLUMN}, colocate_with => ${first})`,
  )
}

interface ForeignKey {
  readonly table: string
  readonly name: string
  /** As Postgres writes it: `FOREIGN KEY (…) REFERENCES …`. */
  readonly definition: string
}

/**
 * Takes the foreign keys to these tables away, because they are turned one by one, and none can point
 * at a table that lies elsewhere. @returns them, to be put back.
 */
async function dropForeignKeys(tx: Tx, names: readonly string[]): Promise<ForeignKey[]> {
  if (names.length === 0) return []
  const tables = sql.join(
    names.map((name) => sql`${name}::regclass`),
    sql`, `,
  )
  const found = await tx.execute<{ table: string; name: string; definition: string }>(
    sql`select relname as table, conname as name, pg_get_constraintdef(pg_constraint.oid) as definition
        from pg_constraint join pg_class on pg_class.oid = conrelid
        where contype = 'f' and confrelid in (${tables})
        order by relname, conname`,
  )
  for (const { table, name } of found) {
    await tx.execute(
      sql`alter table ${sql.identifier(table)} drop constraint ${sql.identifier(name)}`,
    )
  }
  return [...found]
}

async function hasCitus(db: DbOrTx): Promise<boolean> {
  const [found] = await db.execute<{ there: boolean }>(
    sql`select exists (select from pg_extension where extname = 'citus') as there`,
  )
  return found?.there === true
}

async function loadPlacements(db: DbOrTx): Promise<Map<string, Placement>> {
  const found = await db.execute<{ name: string; placement: Placement }>(
    sql`select relname as name, case when partmethod = 'h' then 'distributed'
          when partmethod = 'n' and repmodel = 't' then 'reference' else 'local' end as placement
        from pg_dist_partition join pg_class on pg_class.oid = logicalrelid
        where relnamespace = 'public'::regnamespace`,
  )
  return new Map(found.map(({ name, placement }) => [name, placement]))
}

async function refuseUnlessCoordinator(db: Db, where: string): Promise<void> {
  if (!(await hasCitus(db))) {
    const [available] = await db.execute<{ there: boolean }>(
      sql`select exists (select from pg_available_extensions where name = 'citus') as there`,
    )
    throw new ConfigurationFault(`${where} has no Citus in this database`, {
      hint:
        available?.there === true
          ? 'Citus is installed there: have an administrator run CREATE EXTENSION citus in this database on every server, and SELECT citus_add_node(…) for each worker on this one.'
          : 'Tables can be distributed where DATABASE_URL names the coordinator of a Citus cluster. On one server there is nothing to be done: the job runs as it is.',
    })
  }
  const [found] = await db.execute<{ coordinator: boolean; nodes: number }>(
    sql`select citus_is_coordinator() as coordinator,
          (select count(*)::int from pg_dist_node where isactive and shouldhaveshards) as nodes`,
  )
  if (found?.coordinator !== true) {
    throw new ConfigurationFault(`${where} is a Citus worker, or not part of a cluster yet`, {
      hint: "Let DATABASE_URL name the coordinator, and run SELECT citus_set_coordinator_host('…') there if it does not know its own name.",
    })
  }
  if (found.nodes === 0) {
    throw new ConfigurationFault(`the Citus cluster of ${where} has no server for the tables`, {
      hint: "Run SELECT citus_add_node('HOST', PORT) on the coordinator for each worker.",
    })
  }
}

function misplaced(name: string, found: Placement, wanted: Placement): ConfigurationFault {
  return new ConfigurationFault(
    `the table ${name} is a ${found} table in Citus, expected a ${wanted} one`,
    {
      hint: `Somebody placed it by hand. Run SELECT undistribute_table('${name}', cascade_via_foreign_keys => true) on the coordinator, then this command again.`,
    },
  )
}
