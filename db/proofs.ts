/**
 * What is proved of the stored ledger: sums of payouts and days, rows that repeat others, fees that
 * are not the contract's, refunds that agree on all sides, exports compared. A night proves only what
 * was touched since the last proof (`ledger_proofs`), so it costs what changed, not what is stored; a
 * full proof makes the same from nothing. The stored proofs are about the rows whatever their
 * instants: what was known as of a day is told when they are read (`facts-*.ts`).
 */
import { createHash } from 'node:crypto'
import { eq, getTableName, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import type { FeeContract } from '../src/domain/fee-contract.ts'
import { UnavailableFault } from '../src/errors.ts'
import type { Db, DbOrTx, Tx } from './client.ts'
import { PROOF_WORKERS } from './embedded-settings.ts'
import { refuseIfProofsDiffer } from './proofs-check.ts'
import { proveExports } from './proofs-exports.ts'
import { provePayoutsAndDays } from './proofs-payouts.ts'
import { proveRefunds } from './proofs-refunds.ts'
import { proveFees, proveRepeatedRows } from './proofs-rows.ts'
import {
  balanceTransactions,
  dataExports,
  exportLines,
  ledgerDays,
  ledgerProofs,
  paymentRefunds,
  payments,
  payoutProofs,
  planChecks,
  proofBases,
  refundFamilies,
} from './schema.ts'

export interface ProofArgs {
  readonly entity: string
  /** The contract that fees are compared with; null: none is. */
  readonly fees: FeeContract | null
  readonly vatRatePercent: string
  /** Forget what is proved and prove everything. */
  readonly full: boolean
}

/** What is to be proved: everything (`sinceNumber` null), or what batches after that number touched. */
export interface ProofScope {
  readonly entity: string
  readonly sinceNumber: number | null
}

/** Raised whenever the way in which proofs are made changes: stored ones are made anew by that. */
const RECIPE = 1

/** Where more than one row in so many was touched, a full proof is quicker than many single ones. */
const TOUCHED_ROWS_PER_FULL = 5
/** Ledgers below this size are proved by what was touched, however large the part. */
const SMALL_LEDGER_ROWS = 20_000

/**
 * What a full proof asks of the server, until the transaction ends. Its sorts and hashes stay in
 * memory. Workers help it on the embedded server, which says how many: what they share may not fit
 * another one's /dev/shm. And the planner takes the tables for cached, as they were just vacuumed: it
 * would think them too slow to read for workers to be of use.
 */
const FULL_PROOF_SETTINGS = sql`select set_config('work_mem', '128MB', true),
  set_config('max_parallel_workers_per_gather',
    coalesce(nullif(current_setting(${PROOF_WORKERS}, true), ''), '0'), true),
  set_config('parallel_setup_cost', '100', true), set_config('parallel_tuple_cost', '0.01', true),
  set_config('seq_page_cost', '0.1', true), set_config('random_page_cost', '0.4', true)`

/**
 * Brings the stored proofs of an entity up to date, and checks them against each other.
 * @throws ControlTotalsFault if they contradict each other.
 */
export async function proveLedger(db: Db, args: ProofArgs): Promise<void> {
  const isDue = args.full || (await isFullProofDue(db, args))
  // What was just loaded in bulk is unknown to the planner.
  if (isDue)
    await describeTables(db, [
      balanceTransactions,
      payments,
      paymentRefunds,
      exportLines,
      dataExports,
    ])
  const wasFull = await db.transaction((tx) => prove(tx, args, isDue))
  if (wasFull) await describeTables(db, [payoutProofs, ledgerDays, refundFamilies])
  await refuseIfProofsDiffer(db, args.entity)
}

/**
 * For work that may not write, and so cannot prove what was stored since.
 * @throws UnavailableFault unless the stored proofs of an entity are up to date; ControlTotalsFault if
 * they contradict each other.
 */
export async function requireProofs(
  db: DbOrTx,
  { entity, fees }: Pick<ProofArgs, 'entity' | 'fees'>,
): Promise<void> {
  const [state] = await db
    .select({
      changed: ledgerProofs.changedNumber,
      proved: ledgerProofs.provedNumber,
      recipe: proofBases.recipe,
      feeContract: proofBases.feeContract,
      plansChecked: planChecks.changedNumber,
    })
    .from(ledgerProofs)
    .leftJoin(proofBases, eq(proofBases.entity, ledgerProofs.entity))
    .leftJoin(planChecks, eq(planChecks.entity, ledgerProofs.entity))
    .where(eq(ledgerProofs.entity, entity))
  const [row] = await db
    .select({ id: balanceTransactions.id })
    .from(balanceTransactions)
    .where(eq(balanceTransactions.entity, entity))
    .limit(1)
  if (row === undefined) return
  const isProved =
    state !== undefined &&
    state.proved === state.changed &&
    state.recipe === RECIPE &&
    state.feeContract === hashOf(fees) &&
    // Where plans are watched at all, its sales were held against them as well.
    ((state.plansChecked ?? 0) === 0 || state.plansChecked === state.changed)
  if (!isProved) {
    throw new UnavailableFault(`what is stored of ${entity} is not all proved yet`, {
      hint: 'A run that fetches is on its way, or was stopped, or the fee contract was changed. Ask again when it has ended; npm run reconcile -- --week … --offline proves what there is.',
    })
  }
  await refuseIfProofsDiffer(db, entity)
}

async function prove(tx: Tx, args: ProofArgs, isDue: boolean): Promise<boolean> {
  const { entity, fees, vatRatePercent } = args
  await tx
    .insert(ledgerProofs)
    .values({ entity, changedNumber: 0, provedNumber: NOTHING_PROVED })
    .onConflictDoNothing()
  // Held to the end: whoever stores or proves the same ledger waits, so that no batch is missed.
  const [state] = await tx
    .select({ changed: ledgerProofs.changedNumber, proved: ledgerProofs.provedNumber })
    .from(ledgerProofs)
    .where(eq(ledgerProofs.entity, entity))
    .for('update')
  if (state === undefined) throw new Error(`the state of the proofs of ${entity} is not stored`)
  const isFull = isDue || (await isFullProofDue(tx, args))
  const scope: ProofScope = { entity, sinceNumber: isFull ? null : state.proved }
  if (isFull) await tx.execute(FULL_PROOF_SETTINGS)
  if (isFull || state.proved < state.changed) {
    await provePayoutsAndDays(tx, scope)
    await proveRepeatedRows(tx, scope)
    await proveFees(tx, scope, fees)
    await proveRefunds(tx, scope)
  }
  // Exports write times as ISO has them; a server may show them otherwise.
  await tx.execute(sql`set local datestyle = 'ISO'`)
  // An export may be new, or the rate another one, where no row was touched.
  await proveExports(tx, scope, vatRatePercent)
  if (!isFull && state.proved === state.changed) return false
  await tx
    .update(ledgerProofs)
    .set({ provedNumber: state.changed === 0 ? NOTHING_PROVED : state.changed })
    .where(eq(ledgerProofs.entity, entity))
  await tx
    .insert(proofBases)
    .values({ entity, recipe: RECIPE, feeContract: hashOf(fees) })
    .onConflictDoUpdate({
      target: proofBases.entity,
      set: { recipe: RECIPE, feeContract: hashOf(fees) },
    })
  return isFull
}

const NOTHING_PROVED = -1

/** Whether stored proofs are missing, rest on something else, or are better made from nothing. */
async function isFullProofDue(db: DbOrTx, { entity, fees }: ProofArgs): Promise<boolean> {
  const [state] = await db
    .select({
      changed: ledgerProofs.changedNumber,
      proved: ledgerProofs.provedNumber,
      recipe: proofBases.recipe,
      feeContract: proofBases.feeContract,
    })
    .from(ledgerProofs)
    .innerJoin(proofBases, eq(proofBases.entity, ledgerProofs.entity))
    .where(eq(ledgerProofs.entity, entity))
  // Rows without a number were stored before there were numbers.
  if (state === undefined || state.changed === 0 || state.proved < 0) return true
  if (state.proved > state.changed || state.recipe !== RECIPE) return true
  if (state.feeContract !== hashOf(fees)) return true
  if (state.proved === state.changed) return false
  return isMuchTouched(db, { entity, sinceNumber: state.proved })
}

async function isMuchTouched(
  db: DbOrTx,
  { entity, sinceNumber }: { readonly entity: string; readonly sinceNumber: number },
): Promise<boolean> {
  const [proved] = await db
    .select({ rows: sql<number>`coalesce(sum(${ledgerDays.rows}), 0)`.mapWith(Number) })
    .from(ledgerDays)
    .where(eq(ledgerDays.entity, entity))
  const mostRows = Math.max(
    SMALL_LEDGER_ROWS,
    Math.floor((proved?.rows ?? 0) / TOUCHED_ROWS_PER_FULL),
  )
  const [touched] = await db.execute<{ rows: string }>(sql`select count(*) as rows from (
    select 1 from ${balanceTransactions} as r
    where r.entity = ${entity} and r.change_number > ${sinceNumber} limit ${mostRows + 1}) as counted`)
  return Number(touched?.rows ?? 0) > mostRows
}

function hashOf(fees: FeeContract | null): string | null {
  if (fees === null) return null
  const plans = Object.entries(fees.plans)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([plan, { ratePercent, fixedMinor }]) => [plan, ratePercent, fixedMinor.toString()])
  const text = JSON.stringify([fees.vat, fees.vatRatePercent, plans])
  return createHash('sha256').update(text).digest('hex')
}

/** Tables below this size are read whole anyway. */
const LARGE_TABLE_BYTES = 32_000_000

/**
 * Tells the planner what the tables hold and, where they are large, which of their pages an index can
 * answer for (not possible within a transaction, as a dry run is). What it knows already is left, and
 * so is what somebody else is about to tell it.
 */
async function describeTables(db: Db, tables: readonly PgTable[]): Promise<void> {
  for (const table of tables) {
    const [place] = await db.execute<{ isLarge: boolean; isKnown: boolean }>(sql`select
      pg_relation_size(${getTableName(table)}::regclass) > ${LARGE_TABLE_BYTES}
        and pg_current_xact_id_if_assigned() is null as "isLarge",
      coalesce((select n_live_tup > 0 and n_mod_since_analyze = 0 and n_ins_since_vacuum = 0
        from pg_stat_user_tables where relid = ${getTableName(table)}::regclass), false) as "isKnown"`)
    if (place?.isKnown === true) continue
    await db.execute(
      place?.isLarge === true
        ? sql`vacuum (analyze, skip_locked) ${table}`
        : sql`analyze (skip_locked) ${table}`,
    )
  }
}
