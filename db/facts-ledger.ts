/**
 * The ledger, gathered for the core: sums as sets, and those single rows that may break a rule. The
 * conditions here only narrow; what is a discrepancy is decided in `src/domain`.
 *
 * "As of": rows created from `asOfEndS` on are not known yet, and a row counts as not paid out while
 * its payout's own row is not known yet. The stored proofs (`db/proofs.ts`) know of no such day: sums
 * that it cuts through are made from the rows here. They must be up to date.
 */
import { and, asc, eq, gte, inArray, isNull, lt, notInArray, or, type SQL, sql } from 'drizzle-orm'
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
import { isAlike } from './proofs-rows.ts'
import {
  balanceTransactionChanges,
  balanceTransactions as rows,
  ledgerDays,
  payoutProofs,
  refundFamilies,
  repeatedRows,
  suspectRow,
} from './schema.ts'

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
  return sql`(select later.payout_id from ${payoutProofs} as later
    where later.entity = ${entity} and later.own_first_created_s >= ${asOfEndS})`
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

const SECONDS_PER_DAY = 86_400

/** The day in UTC of an instant, and its first instant. */
function utcDay(instantS: number): { dayNumber: number; startS: number } {
  const dayNumber = Math.floor(instantS / SECONDS_PER_DAY)
  return { dayNumber, startS: dayNumber * SECONDS_PER_DAY }
}

/** From the sums of days; days that a bound cuts through are summed from their rows. */
export async function loadMovements(db: DbOrTx, view: LedgerView): Promise<Movement[]> {
  const { entity, periodEndS, asOfEndS } = view
  const endS = Math.min(periodEndS, asOfEndS)
  const startS = Math.min(view.periodStartS, endS)
  const [first, last] = [utcDay(startS), utcDay(endS)]
  const found = await db.execute<{
    kind: string
    currency: string
    when: 'before' | 'period'
    net: string
    rows: string
  }>(sql`select kind, currency, "when", sum(net_minor)::text as net, sum(rows)::text as rows from (
      select d.kind, d.currency, d.net_minor, d.rows,
        case when d.day_number < ${first.dayNumber} then 'before' else 'period' end as "when"
      from ${ledgerDays} as d where d.entity = ${entity}
        and d.day_number < ${last.dayNumber} and d.day_number <> ${first.dayNumber}
      union all
      select r.kind, r.currency, r.net_minor, 1,
        case when r.created_s < ${startS} then 'before' else 'period' end
      from ${rows} as r where r.entity = ${entity} and r.vanished_run_id is null and r.created_s < ${endS}
        and ((r.created_s >= ${first.startS} and r.created_s < ${first.startS + SECONDS_PER_DAY})
          or (r.created_s >= ${last.startS} and r.created_s < ${last.startS + SECONDS_PER_DAY}))
    ) as summed group by kind, currency, "when" order by kind, currency, "when"`)
  return found.map(({ kind, currency, when, net, rows: count }) => ({
    kind,
    currency,
    when,
    netMinor: BigInt(net),
    rows: Number(count),
  }))
}

/**
 * From the sums of payouts, the payouts' own rows and the rows in no payout: another way than the
 * movements go, so that the two prove each other. Payouts whose rows go beyond the period's end, or
 * are of several currencies, are summed from their rows.
 */
export async function loadClosingBalances(db: DbOrTx, view: LedgerView): Promise<ClosingBalance[]> {
  const { entity, periodEndS, asOfEndS } = view
  const endS = Math.min(periodEndS, asOfEndS)
  const known = sql`r.entity = ${entity} and r.vanished_run_id is null and r.created_s < ${endS}`
  const found = await db.execute<{ currency: string; net: string; rows: string }>(sql`
    select currency, sum(net_minor)::text as net, sum(rows)::text as rows from (
      select p.currency, p.net_minor, p.transactions as rows from ${payoutProofs} as p
      where p.entity = ${entity} and p.last_row_created_s < ${endS} and not p.is_mixed
      union all
      select r.currency, r.net_minor, 1 from ${payoutProofs} as p inner join ${rows} as r
        on r.entity = p.entity and r.included_in_payout_id = p.payout_id
      where p.entity = ${entity} and p.first_row_created_s < ${endS}
        and (p.last_row_created_s >= ${endS} or p.is_mixed) and r.kind <> 'from_payout' and ${known}
      union all
      select r.currency, r.net_minor, 1 from ${rows} as r
      where r.included_in_payout_id is null and r.kind <> 'from_payout' and ${known}
      union all
      select r.currency, r.net_minor, 1 from ${rows} as r where r.kind = 'from_payout' and ${known}
    ) as summed group by currency order by currency`)
  return found.map(({ currency, net, rows: count }) => ({
    currency,
    netMinor: BigInt(net),
    rows: Number(count),
  }))
}

/** From the sums of days: the payouts and open rows are counted against it. */
export async function countKnownRows(db: DbOrTx, view: LedgerView): Promise<number> {
  const { dayNumber, startS } = utcDay(view.asOfEndS)
  const [days] = await db
    .select({ rows: sql<number>`coalesce(sum(${ledgerDays.rows}), 0)`.mapWith(Number) })
    .from(ledgerDays)
    .where(and(eq(ledgerDays.entity, view.entity), lt(ledgerDays.dayNumber, dayNumber)))
  const [rest] = await db
    .select({ rows: countRows() })
    .from(rows)
    .where(and(knownRows(view), gte(rows.createdS, startS)))
  return (days?.rows ?? 0) + (rest?.rows ?? 0)
}

const sumColumns = {
  payoutId: payoutProofs.payoutId,
  currency: payoutProofs.currency,
  transactions: payoutProofs.transactions,
  grossMinor: payoutProofs.grossMinor,
  feesMinor: payoutProofs.feesMinor,
  refundsMinor: payoutProofs.refundsMinor,
  otherMinor: payoutProofs.otherMinor,
  netMinor: payoutProofs.netMinor,
  lastRowCreatedS: payoutProofs.lastRowCreatedS,
}

/** Every payout that a row stands for or names, with the sums of its rows. */
export async function loadPayouts(db: DbOrTx, view: LedgerView): Promise<PayoutFacts[]> {
  const { entity, asOfEndS } = view
  const isMade = or(
    isNull(payoutProofs.ownFirstCreatedS),
    lt(payoutProofs.ownFirstCreatedS, asOfEndS),
  )
  const whole = await db
    .select(sumColumns)
    .from(payoutProofs)
    .where(and(eq(payoutProofs.entity, entity), lt(payoutProofs.lastRowCreatedS, asOfEndS), isMade))
  const cutThrough = db
    .select({ payoutId: payoutProofs.payoutId })
    .from(payoutProofs)
    .where(
      and(
        eq(payoutProofs.entity, entity),
        lt(payoutProofs.firstRowCreatedS, asOfEndS),
        gte(payoutProofs.lastRowCreatedS, asOfEndS),
        isMade,
      ),
    )
  const partly = await db
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
    .where(
      and(
        knownRows(view),
        inArray(rows.includedInPayoutId, cutThrough),
        sql`${rows.kind} <> 'from_payout'`,
      ),
    )
    .groupBy(rows.includedInPayoutId)
  const own = await loadRows(db, view, eq(rows.kind, 'from_payout'))
  const ownRowsOf = groupBy(own.map(sharingTexts()), (row) => row.payoutId ?? row.id)
  const withRows = new Set<string>()
  const payouts: PayoutFacts[] = []
  for (const { currency, ...sums } of [...whole, ...partly]) {
    withRows.add(sums.payoutId)
    const ownRows = byCreation(ownRowsOf.get(sums.payoutId) ?? [])
    payouts.push({ ...sums, currency: currency ?? '', ownRows })
  }
  for (const [payoutId, ownRows] of ownRowsOf) {
    if (withRows.has(payoutId)) continue
    const currency = ownRows[0]?.currency ?? ''
    payouts.push({ ...NO_ROWS, payoutId, currency, ownRows: byCreation(ownRows) })
  }
  // One order, however they were proved: of two payouts that a change explains, the last tells it.
  return payouts.sort((a, b) => (a.payoutId < b.payoutId ? -1 : 1))
}

/** Texts that most rows have in common are kept once: there is a payout's row for every payout ever. */
function sharingTexts(): (row: BalanceTransaction) => BalanceTransaction {
  const kept = new Map<string, string>()
  const share = (text: string): string => {
    const known = kept.get(text)
    if (known === undefined) kept.set(text, text)
    return known ?? text
  }
  return (row) => ({
    ...row,
    kind: share(row.kind),
    currency: share(row.currency),
    merchantId: row.merchantId === null ? null : share(row.merchantId),
  })
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
  return loadRows(db, view, suspectRow)
}

/** Rows that share a refund, or a payment and amount, with another row of their kind. */
export async function loadRepeatedRows(
  db: DbOrTx,
  view: LedgerView,
): Promise<BalanceTransaction[]> {
  const { entity, asOfEndS } = view
  const known = db
    .select({ id: repeatedRows.id })
    .from(repeatedRows)
    .where(eq(repeatedRows.entity, entity))
  const alike = (kind: string, column: string): SQL =>
    sql`(${rows.kind} = ${kind} and exists (select 1 from ${rows} as other
      where other.entity = ${entity} and other.${sql.raw(column)} = ${rows}.${sql.raw(column)}
        and other.vanished_run_id is null and other.created_s < ${asOfEndS}
        and ${isAlike('balance_transactions', 'other')}))`
  return loadRows(
    db,
    view,
    and(
      inArray(rows.id, known),
      or(alike('from_refund', 'refund_id'), alike('from_transaction', 'payment_id')),
    ),
  )
}

/** Rows in no payout. */
export async function loadOpenRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
  // Two queries, because each has an index of its own, which one condition would not use.
  const inNone = await loadRows(
    db,
    view,
    sql`${rows.includedInPayoutId} is null and ${rows.kind} <> 'from_payout'`,
  )
  const inLater = await loadRows(
    db,
    view,
    sql`${rows.includedInPayoutId} in ${laterPayouts(view)} and ${rows.kind} <> 'from_payout'`,
  )
  return [...inNone, ...inLater].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** Rows that a payout of the period paid out at least `unpaidAfterDays` days after they were available. */
export async function loadLatePaidRows(
  db: DbOrTx,
  view: LedgerView,
  unpaidAfterDays: number,
): Promise<BalanceTransaction[]> {
  const { entity, periodStartS, periodEndS } = view
  const leastS = unpaidAfterDays * SECONDS_PER_DAY
  const slowPayouts = sql`(select slow.payout_id from ${payoutProofs} as slow where slow.entity = ${entity}
    and slow.own_first_created_s < ${periodEndS} and slow.own_last_created_s >= ${periodStartS}
    and slow.own_last_created_s >= slow.first_available_s + ${leastS})`
  return loadRows(
    db,
    view,
    sql`${rows.kind} <> 'from_payout' and ${rows.includedInPayoutId} in ${slowPayouts} and exists (
      select 1 from ${rows} as payout where payout.entity = ${entity} and payout.kind = 'from_payout'
        and payout.payout_id = ${rows.includedInPayoutId} and payout.vanished_run_id is null
        and payout.created_s >= ${periodStartS} and payout.created_s < ${periodEndS}
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
  const broken = payouts
    .filter((payout) => residualOf(payout) !== 0n)
    .slice(0, RESIDUAL_PAYOUTS_MAX)
  if (broken.length === 0) return []
  const sentS = broken.map(({ ownRows }) => ownRows[0]?.createdS ?? 0)
  const offs = new Set(broken.map((payout) => absolute(residualOf(payout))))
  const halves = [...offs].filter((offMinor) => offMinor % 2n === 0n).map((off) => off / 2n)
  const amounts = JSON.stringify([...offs, ...halves].map(String))
  // Wide, and read once for all of them: the core knows exactly which rows fit which payout.
  const likeThem = await loadRows(
    db,
    view,
    and(
      gte(rows.createdS, Math.min(...sentS) - RESIDUAL_REACH_S),
      lt(rows.createdS, Math.max(...sentS) + RESIDUAL_REACH_S + 1),
      sql`abs(${rows.netMinor}) in (select value::bigint from jsonb_array_elements_text(${amounts}::text::jsonb))`,
    ),
  )
  const payoutIds = broken.map(({ payoutId }) => payoutId)
  const inThem = await loadRows(
    db,
    view,
    and(inArray(rows.includedInPayoutId, payoutIds), sql`${rows.feeMinor} <> 0`),
  )
  const byAmount = groupBy(likeThem, ({ netMinor }) => absolute(netMinor))
  const byPayout = groupBy(inThem, ({ includedInPayoutId }) => includedInPayoutId)
  return broken.map((payout) => {
    const { payoutId } = payout
    const offMinor = absolute(residualOf(payout))
    const found = new Map(
      [
        ...(byAmount.get(offMinor) ?? []),
        ...(offMinor % 2n === 0n ? (byAmount.get(offMinor / 2n) ?? []) : []),
        ...(byPayout.get(payoutId) ?? []),
      ].map((row) => [row.id, row]),
    )
    return { payoutId, rows: residualRows([...found.values()], payout, vatRatePercent) }
  })
}

const mayDeduct = and(
  sql`${rows.refundId} is not null`,
  or(eq(rows.kind, 'from_refund'), notInArray(rows.kind, [...KNOWN_KINDS])),
)

/**
 * Payments on which a refund was not settled before the period. Refunds that were are left out: each
 * is alone in having its id, is in a payout and was created before the period, stands on the payment
 * with its amount (or the payment was not looked up), and the payment's refunds are no more than the
 * purchase. So `refund-life.ts` finds nothing open of them and lists them in no later period; a late
 * one was closed by its row, before the period too; and `residual.ts` looks for refunds without a row.
 * Only `difference.ts` may name one, by its net: `loadRefundRowsOfNets`.
 */
export function unsettledPayments({ entity, periodStartS, asOfEndS }: LedgerView): SQL {
  return sql`(select family.payment_id from ${refundFamilies} as family where family.entity = ${entity}
    and (family.settled_s is null or family.settled_s >= ${Math.min(periodStartS, asOfEndS)}))`
}

/** Rows that carry a refund id and are, or may be, deductions of it; those long settled left out. */
export async function loadRefundRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
  const ofPayments = await loadRows(
    db,
    view,
    and(mayDeduct, sql`${rows.paymentId} in ${unsettledPayments(view)}`),
  )
  const ofNothing = await loadRows(db, view, and(mayDeduct, isNull(rows.paymentId)))
  return [...ofPayments, ...ofNothing].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** The same of some nets, long settled or not. */
export async function loadRefundRowsOfNets(
  db: DbOrTx,
  view: LedgerView,
  netsMinor: readonly bigint[],
): Promise<BalanceTransaction[]> {
  if (netsMinor.length === 0) return []
  return loadRows(db, view, and(mayDeduct, inArray(rows.netMinor, [...netsMinor])))
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
