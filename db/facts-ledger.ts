/**
 * The ledger, gathered for the core: sums as sets, and those single rows that may break a rule. The
 * conditions here only narrow; what is a discrepancy is decided in `src/domain`.
 *
 * "As of": rows created from `asOfEndS` on are not known yet, and a row counts as not paid out while
 * its payout's own row is not known yet.
 */
import { and, asc, eq, gte, isNull, lt, lte, notInArray, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { type BalanceTransaction, KNOWN_KINDS } from '../src/domain/balance-transaction.ts'
import { groupBy } from '../src/domain/collections.ts'
import { parseDay } from '../src/domain/day.ts'
import type {
  ClosingBalance,
  Movement,
  PayoutFacts,
  ResidualRows,
  RowChange,
} from '../src/domain/facts.ts'
import { absolute } from '../src/domain/money.ts'
import { RESIDUAL_REACH_S, residualOf, residualRows } from '../src/domain/residual.ts'
import type { DbOrTx } from './client.ts'
import { balanceTransactionChanges, balanceTransactions as rows } from './schema.ts'

/** The account and the bounds in time of what is gathered, half open, in epoch seconds. */
export interface LedgerView {
  readonly entity: string
  readonly periodStartS: number
  readonly periodEndS: number
  readonly asOfEndS: number
}

export const rowColumns = {
  id: rows.id,
  merchantId: rows.merchantId,
  kind: rows.kind,
  currency: rows.currency,
  amountMinor: rows.amountMinor,
  feeMinor: rows.feeMinor,
  netMinor: rows.netMinor,
  paymentId: rows.paymentId,
  refundId: rows.refundId,
  payoutId: rows.payoutId,
  includedInPayoutId: rows.includedInPayoutId,
  createdS: rows.createdS,
  updatedS: rows.updatedS,
  availableOnS: rows.availableOnS,
}

/** Rows of the account that are known as of the day and not gone from the provider's list. */
export function knownRows({ entity, asOfEndS }: LedgerView): SQL | undefined {
  return and(eq(rows.entity, entity), isNull(rows.vanishedRunId), lt(rows.createdS, asOfEndS))
}

/** Ids of payouts whose own row is not known yet as of the day. */
function laterPayouts({ entity, asOfEndS }: LedgerView): SQL {
  return sql`(select coalesce(later.payout_id, later.id) from ${rows} as later
    where later.entity = ${entity} and later.kind = 'from_payout' and later.vanished_run_id is null
    group by 1 having min(later.created_s) >= ${asOfEndS})`
}

export function isPaidOut(view: LedgerView): SQL {
  return sql`(${rows.includedInPayoutId} is not null and ${rows.includedInPayoutId} not in ${laterPayouts(view)})`
}

/** Rows as of the day: one that a later payout took is in none yet. */
async function loadRows(
  db: DbOrTx,
  view: LedgerView,
  condition: SQL | undefined,
): Promise<BalanceTransaction[]> {
  const found = await db
    .select({ ...rowColumns, paidOut: sql<boolean>`${isPaidOut(view)}` })
    .from(rows)
    .where(and(knownRows(view), condition))
    .orderBy(asc(rows.id))
  return found.map(({ paidOut, ...row }) => ({
    ...row,
    includedInPayoutId: paidOut ? row.includedInPayoutId : null,
  }))
}

export async function loadMovements(db: DbOrTx, view: LedgerView): Promise<Movement[]> {
  const when = sql<
    'before' | 'period'
  >`case when ${rows.createdS} < ${view.periodStartS} then 'before' else 'period' end`
  return db
    .select({
      kind: rows.kind,
      currency: rows.currency,
      when,
      netMinor: sumMinor(rows.netMinor),
      rows: countRows(),
    })
    .from(rows)
    .where(and(knownRows(view), lt(rows.createdS, view.periodEndS)))
    .groupBy(rows.kind, rows.currency, sql`3`)
    .orderBy(rows.kind, rows.currency, sql`3`)
}

export async function loadClosingBalances(db: DbOrTx, view: LedgerView): Promise<ClosingBalance[]> {
  return db
    .select({ currency: rows.currency, netMinor: sumMinor(rows.netMinor), rows: countRows() })
    .from(rows)
    .where(and(knownRows(view), lt(rows.createdS, view.periodEndS)))
    .groupBy(rows.currency)
    .orderBy(rows.currency)
}

export async function countKnownRows(db: DbOrTx, view: LedgerView): Promise<number> {
  const [found] = await db.select({ rows: countRows() }).from(rows).where(knownRows(view))
  return found?.rows ?? 0
}

/** Every payout that a row stands for or names, with the sums of its rows. */
export async function loadPayouts(db: DbOrTx, view: LedgerView): Promise<PayoutFacts[]> {
  const sums = await db
    .select({
      payoutId: sql<string>`${rows.includedInPayoutId}`,
      currency: sql<string>`min(${rows.currency})`,
      transactions: countRows(),
      grossMinor: sumMinor(rows.amountMinor, sql`${rows.kind} = 'from_transaction'`),
      feesMinor: sumMinor(sql`-${rows.feeMinor}`, sql`${rows.kind} = 'from_transaction'`),
      refundsMinor: sumMinor(rows.netMinor, sql`${rows.kind} = 'from_refund'`),
      otherMinor: sumMinor(
        rows.netMinor,
        sql`${rows.kind} not in ('from_transaction', 'from_refund')`,
      ),
      netMinor: sumMinor(rows.netMinor),
      lastRowCreatedS: sql<number>`max(${rows.createdS})`.mapWith(Number),
    })
    .from(rows)
    .where(and(knownRows(view), isPaidOut(view), sql`${rows.kind} <> 'from_payout'`))
    .groupBy(rows.includedInPayoutId)
  const own = await loadRows(db, view, eq(rows.kind, 'from_payout'))
  const ownRowsOf = groupBy(own, (row) => row.payoutId ?? row.id)
  const named = sums.map((payout) => ({
    ...payout,
    ownRows: byCreation(ownRowsOf.get(payout.payoutId) ?? []),
  }))
  const withRows = new Set(sums.map(({ payoutId }) => payoutId))
  const empty = [...ownRowsOf]
    .filter(([payoutId]) => !withRows.has(payoutId))
    .map(([payoutId, ownRows]) => ({
      ...NO_ROWS,
      payoutId,
      currency: ownRows[0]?.currency ?? '',
      ownRows: byCreation(ownRows),
    }))
  return [...named, ...empty]
}

const NO_ROWS = {
  transactions: 0,
  grossMinor: 0n,
  feesMinor: 0n,
  refundsMinor: 0n,
  otherMinor: 0n,
  netMinor: 0n,
  lastRowCreatedS: null,
}

function byCreation(found: readonly BalanceTransaction[]): BalanceTransaction[] {
  return found.toSorted((a, b) => a.createdS - b.createdS || (a.id < b.id ? -1 : 1))
}

/** Rows whose arithmetic, sign or kind may be wrong. */
export async function loadSuspectRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
  return loadRows(
    db,
    view,
    or(
      notInArray(rows.kind, [...KNOWN_KINDS]),
      sql`${rows.netMinor} <> ${rows.amountMinor} - ${rows.feeMinor}`,
      sql`(${rows.kind} in ('from_transaction', 'from_fee_waiver') and ${rows.amountMinor} < 0)`,
      sql`(${rows.kind} = 'from_refund' and ${rows.amountMinor} > 0)`,
    ),
  )
}

/** Rows that share a refund, or a payment and amount, with another row of their kind. */
export async function loadRepeatedRows(
  db: DbOrTx,
  view: LedgerView,
): Promise<BalanceTransaction[]> {
  const alike = (kind: string, same: SQL): SQL => sql`(${rows.kind} = ${kind} and exists (
    select 1 from ${rows} as other where other.entity = ${rows.entity} and other.kind = ${kind}
      and other.id <> ${rows.id} and other.vanished_run_id is null and other.created_s < ${view.asOfEndS} and ${same}))`
  return loadRows(
    db,
    view,
    or(
      alike('from_refund', sql`other.refund_id = ${rows.refundId}`),
      alike(
        'from_transaction',
        sql`other.payment_id = ${rows.paymentId} and other.amount_minor = ${rows.amountMinor} and other.currency = ${rows.currency}`,
      ),
    ),
  )
}

/** Rows in no payout. */
export async function loadOpenRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
  return loadRows(
    db,
    view,
    sql`${rows.kind} <> 'from_payout' and not coalesce(${isPaidOut(view)}, false)`,
  )
}

const SECONDS_PER_DAY = 86_400

/** Rows that a payout of the period paid out at least `unpaidAfterDays` days after they were available. */
export async function loadLatePaidRows(
  db: DbOrTx,
  view: LedgerView,
  unpaidAfterDays: number,
): Promise<BalanceTransaction[]> {
  const leastS = unpaidAfterDays * SECONDS_PER_DAY
  return loadRows(
    db,
    view,
    sql`${rows.kind} <> 'from_payout' and exists (
      select 1 from ${rows} as payout where payout.entity = ${rows.entity} and payout.kind = 'from_payout'
        and payout.payout_id = ${rows.includedInPayoutId} and payout.vanished_run_id is null
        and payout.created_s >= ${view.periodStartS} and payout.created_s < ${view.periodEndS}
        and payout.created_s >= coalesce(${rows.availableOnS}, ${rows.createdS}) + ${leastS})`,
  )
}

/** More payouts than this do not fail to add up one by one: their cause is not in single rows. */
const RESIDUAL_PAYOUTS_MAX = 200

/** For each payout that does not add up the rows that may tell why, the nearest in time first. */
export async function loadResidualRows(
  db: DbOrTx,
  view: LedgerView,
  payouts: readonly PayoutFacts[],
  vatRatePercent: string,
): Promise<ResidualRows[]> {
  const broken = payouts.filter((payout) => residualOf(payout) !== 0n)
  const gathered: ResidualRows[] = []
  for (const payout of broken.slice(0, RESIDUAL_PAYOUTS_MAX)) {
    const { payoutId, ownRows } = payout
    const offMinor = absolute(residualOf(payout)).toString()
    const sentS = ownRows[0]?.createdS ?? 0
    const found = await loadRows(
      db,
      view,
      and(
        gte(rows.createdS, sentS - RESIDUAL_REACH_S),
        lte(rows.createdS, sentS + RESIDUAL_REACH_S),
        // Wide: the core knows exactly which rows fit.
        sql`(abs(${rows.netMinor}) = ${offMinor}::bigint or 2 * abs(${rows.netMinor}) = ${offMinor}::bigint
          or (${rows.includedInPayoutId} = ${payoutId} and ${rows.feeMinor} <> 0))`,
      ),
    )
    gathered.push({ payoutId, rows: residualRows(found, payout, vatRatePercent) })
  }
  return gathered
}

/** Rows that carry a refund id and are, or may be, deductions of it. */
export async function loadRefundRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
  return loadRows(
    db,
    view,
    sql`${rows.refundId} is not null and (${rows.kind} = 'from_refund' or ${notInArray(rows.kind, [...KNOWN_KINDS])})`,
  )
}

/** Changes seen until the day, in the order in which they were seen. */
export async function loadRowChanges(
  db: DbOrTx,
  view: LedgerView,
  asOf: string,
): Promise<RowChange[]> {
  const changes = balanceTransactionChanges
  const found = await db
    .select({
      row: rowColumns,
      field: changes.field,
      before: changes.before,
      after: changes.after,
      seenAsOf: changes.seenAsOf,
    })
    .from(changes)
    .innerJoin(rows, and(eq(rows.entity, changes.entity), eq(rows.id, changes.transactionId)))
    .where(
      and(
        eq(changes.entity, view.entity),
        sql`${changes.seenAsOf} <= ${asOf}`,
        lt(rows.createdS, view.asOfEndS),
      ),
    )
    .orderBy(asc(changes.transactionId), asc(changes.runId), asc(changes.field))
  return found.map((change) => ({ ...change, seenAsOf: parseDay(change.seenAsOf) }))
}

function countRows(): SQL<number> {
  return sql<number>`count(*)`.mapWith(Number)
}

/** A sum of minor units, 0 over no rows; Postgres sums bigint as numeric, which comes as text. */
function sumMinor(of: SQL | PgColumn, where?: SQL): SQL<bigint> {
  const filter = where === undefined ? sql`` : sql` filter (where ${where})`
  return sql<bigint>`coalesce(sum(${of})${filter}, 0)`.mapWith((text: string) => BigInt(text))
}
