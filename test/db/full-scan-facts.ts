/**
 * What the product's gathering must find, by reading all rows each time: the queries that it began
 * with, kept as the reference for those that read stored proofs.
 */
import {
  and,
  asc,
  desc,
  eq,
  gte,
  isNotNull,
  isNull,
  lt,
  lte,
  notInArray,
  or,
  type SQL,
  sql,
} from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { DbOrTx } from '../../db/client.ts'
import { type LedgerView, rowColumns } from '../../db/facts-ledger.ts'
import {
  balanceTransactions as rows,
  dataExports,
  exportLines as lines,
  paymentRefunds,
  payments,
} from '../../db/schema.ts'
import { type BalanceTransaction, KNOWN_KINDS } from '../../src/domain/balance-transaction.ts'
import { groupBy } from '../../src/domain/collections.ts'
import type {
  ClosingBalance,
  EntityFacts,
  ExportConventions,
  ExportFacts,
  ExportPair,
  FeeFacts,
  LookedUpPayment,
  Movement,
  PayoutFacts,
  ResidualRows,
} from '../../src/domain/facts.ts'
import {
  contractFee,
  type FeeContract,
  hundredthsOfPercent,
} from '../../src/domain/fee-contract.ts'
import { absolute } from '../../src/domain/money.ts'
import { RESIDUAL_REACH_S, residualOf, residualRows } from '../../src/domain/residual.ts'

export interface FullScanArgs {
  readonly fees: FeeContract | null
  readonly vatRatePercent: string
  readonly unpaidAfterDays: number
}

/** All of an entity's facts that the product takes from its proofs. */
export async function fullScanFacts(
  db: DbOrTx,
  view: LedgerView,
  { fees, vatRatePercent, unpaidAfterDays }: FullScanArgs,
): Promise<Omit<EntityFacts, 'entity' | 'account' | 'changes' | 'knownSinceS'>> {
  const payouts = await loadPayouts(db, view)
  return {
    movements: await loadMovements(db, view),
    closingBalances: await loadClosingBalances(db, view),
    rowCount: await countKnownRows(db, view),
    payouts,
    suspectRows: await loadSuspectRows(db, view),
    repeatedRows: await loadRepeatedRows(db, view),
    openRows: await loadOpenRows(db, view),
    latePaidRows: await loadLatePaidRows(db, view, unpaidAfterDays),
    residualRows: await loadResidualRows(db, view, payouts, vatRatePercent),
    exports: await loadExportFacts(db, view, vatRatePercent),
    fees: await loadFeeFacts(db, view, fees),
    refundRows: await loadRefundRows(db, view),
    payments: await loadLookedUpPayments(db, view),
  }
}

/** Rows of the account that are known as of the day and not gone from the provider's list. */
function knownRows({ entity, asOfEndS }: LedgerView): SQL | undefined {
  return and(eq(rows.entity, entity), isNull(rows.vanishedRunId), lt(rows.createdS, asOfEndS))
}

/** Ids of payouts whose own row is not known yet as of the day. */
function laterPayouts({ entity, asOfEndS }: LedgerView): SQL {
  return sql`(select coalesce(later.payout_id, later.id) from ${rows} as later
    where later.entity = ${entity} and later.kind = 'from_payout' and later.vanished_run_id is null
    group by 1 having min(later.created_s) >= ${asOfEndS})`
}

function isPaidOut(view: LedgerView): SQL {
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

async function loadMovements(db: DbOrTx, view: LedgerView): Promise<Movement[]> {
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

async function loadClosingBalances(db: DbOrTx, view: LedgerView): Promise<ClosingBalance[]> {
  return db
    .select({ currency: rows.currency, netMinor: sumMinor(rows.netMinor), rows: countRows() })
    .from(rows)
    .where(and(knownRows(view), lt(rows.createdS, view.periodEndS)))
    .groupBy(rows.currency)
    .orderBy(rows.currency)
}

async function countKnownRows(db: DbOrTx, view: LedgerView): Promise<number> {
  const [found] = await db.select({ rows: countRows() }).from(rows).where(knownRows(view))
  return found?.rows ?? 0
}

/** Every payout that a row stands for or names, with the sums of its rows. */
async function loadPayouts(db: DbOrTx, view: LedgerView): Promise<PayoutFacts[]> {
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
async function loadSuspectRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
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
async function loadRepeatedRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
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
async function loadOpenRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
  return loadRows(
    db,
    view,
    sql`${rows.kind} <> 'from_payout' and not coalesce(${isPaidOut(view)}, false)`,
  )
}

const SECONDS_PER_DAY = 86_400

/** Rows that a payout of the period paid out at least `unpaidAfterDays` days after they were available. */
async function loadLatePaidRows(
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
async function loadResidualRows(
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
async function loadRefundRows(db: DbOrTx, view: LedgerView): Promise<BalanceTransaction[]> {
  return loadRows(
    db,
    view,
    sql`${rows.refundId} is not null and (${rows.kind} = 'from_refund' or ${notInArray(rows.kind, [...KNOWN_KINDS])})`,
  )
}

function countRows(): SQL<number> {
  return sql<number>`count(*)`.mapWith(Number)
}

/** A sum of minor units, 0 over no rows; Postgres sums bigint as numeric, which comes as text. */
function sumMinor(of: SQL | PgColumn, where?: SQL): SQL<bigint> {
  const filter = where === undefined ? sql`` : sql` filter (where ${where})`
  return sql<bigint>`coalesce(sum(${of})${filter}, 0)`.mapWith((text: string) => BigInt(text))
}

const lineColumns = {
  lineNumber: lines.lineNumber,
  createdLocal: lines.createdLocal,
  grossMinor: lines.grossMinor,
  feeMinor: lines.feeMinor,
  netMinor: lines.netMinor,
  vatMinor: lines.vatMinor,
  paymentId: lines.paymentId,
  refundId: lines.refundId,
}

type StoredExport = Omit<ExportFacts, 'conventions' | 'pairs'>

/** The newest stored accounting export of each asked span that begins before the period's end. */
async function loadExportFacts(
  db: DbOrTx,
  view: LedgerView,
  vatRatePercent: string,
): Promise<ExportFacts[]> {
  const facts: ExportFacts[] = []
  for (const stored of await storedExports(db, view)) {
    const conventions = await loadConventions(db, view, stored, vatRatePercent)
    const pairs = [
      ...(await differingLines(db, view, stored, conventions)),
      ...(await lackingRows(db, view, stored)),
    ]
    facts.push({ ...stored, conventions, pairs })
  }
  return facts
}

async function storedExports(db: DbOrTx, view: LedgerView): Promise<StoredExport[]> {
  const found = await db
    .selectDistinctOn([dataExports.startS, dataExports.endS], {
      exportId: sql<string>`coalesce(${dataExports.exportId}, '')`,
      requestNumber: dataExports.requestNumber,
      sha256: sql<string>`coalesce(${dataExports.sha256}, '')`,
      rows: sql<number>`coalesce(${dataExports.rows}, 0)`.mapWith(Number),
      startS: dataExports.startS,
      endS: dataExports.endS,
      heldUntilS:
        sql<number>`least(${dataExports.endS}, extract(epoch from ${dataExports.requestedAt}))`.mapWith(
          Number,
        ),
    })
    .from(dataExports)
    .where(
      and(
        eq(dataExports.entity, view.entity),
        eq(dataExports.type, 'accounting'),
        eq(dataExports.state, 'stored'),
        lt(dataExports.startS, Math.min(view.periodEndS, view.asOfEndS)),
      ),
    )
    .orderBy(dataExports.startS, dataExports.endS, desc(dataExports.requestNumber))
  return found
}

function linesOf(view: LedgerView, { requestNumber }: StoredExport): SQL | undefined {
  return and(eq(lines.entity, view.entity), eq(lines.requestNumber, requestNumber))
}

const sameRow = and(eq(rows.entity, lines.entity), eq(rows.id, lines.balanceTransactionId))

async function loadConventions(
  db: DbOrTx,
  view: LedgerView,
  stored: StoredExport,
  vatRatePercent: string,
): Promise<ExportConventions> {
  const count = (condition: SQL): SQL<number> =>
    sql<number>`count(*) filter (where ${condition})`.mapWith(Number)
  const rate = sql`${hundredthsOfPercent(vatRatePercent).toString()}::numeric`
  const off = (divisor: SQL): SQL =>
    sql`abs(abs(${lines.vatMinor}) - abs(${lines.feeMinor}) * ${rate} / ${divisor}) <= 1`
  const byKind = await db
    .select({
      kind: rows.kind,
      grossTurned: count(
        sql`${lines.grossMinor} = -${rows.amountMinor} and ${rows.amountMinor} <> 0`,
      ),
      grossSame: count(sql`${lines.grossMinor} = ${rows.amountMinor}`),
      feeTurned: count(sql`${lines.feeMinor} = -${rows.feeMinor} and ${rows.feeMinor} <> 0`),
      feeSame: count(sql`${lines.feeMinor} = ${rows.feeMinor} and ${rows.feeMinor} <> 0`),
      feeWithVat: count(
        sql`abs(${lines.feeMinor} + ${lines.vatMinor}) = abs(${rows.feeMinor}) and ${lines.vatMinor} <> 0`,
      ),
      netTurned: count(sql`${lines.netMinor} = -${rows.netMinor} and ${rows.netMinor} <> 0`),
      netSame: count(sql`${lines.netMinor} = ${rows.netMinor}`),
      vatExcluded: count(sql`${lines.feeMinor} <> 0 and ${off(sql`10000`)}`),
      vatIncluded: count(sql`${lines.feeMinor} <> 0 and ${off(sql`(10000 + ${rate})`)}`),
      lines: count(sql`true`),
    })
    .from(lines)
    .innerJoin(rows, sameRow)
    .where(linesOf(view, stored))
    .groupBy(rows.kind)
    .orderBy(rows.kind)
  const sum = (of: (kind: (typeof byKind)[number]) => number): number =>
    byKind.reduce((total, kind) => total + of(kind), 0)
  const turned = (is: (kind: (typeof byKind)[number]) => boolean): string[] =>
    byKind.filter(is).map(({ kind }) => kind)
  const excluded = sum(({ vatExcluded }) => vatExcluded)
  const included = sum(({ vatIncluded }) => vatIncluded)
  return {
    flippedGrossKinds: turned((kind) => kind.grossTurned > kind.grossSame),
    flippedFeeKinds: turned((kind) => kind.feeTurned > kind.feeSame),
    flippedNetKinds: turned((kind) => kind.netTurned > kind.netSame),
    feeBasis:
      sum(({ feeWithVat }) => feeWithVat) > sum(({ feeSame, feeTurned }) => feeSame + feeTurned)
        ? 'with_vat'
        : 'same',
    vatBasis: excluded === included ? null : excluded > included ? 'excluded' : 'included',
    vatRatePercent,
    holdsPayouts: byKind.some(({ kind, lines: found }) => kind === 'from_payout' && found > 0),
  }
}

/** Lines that are not in the ledger, or not as the ledger has them. */
async function differingLines(
  db: DbOrTx,
  view: LedgerView,
  stored: StoredExport,
  conventions: ExportConventions,
): Promise<ExportPair[]> {
  const found = await db
    .select({
      id: lines.balanceTransactionId,
      line: lineColumns,
      row: rowColumns,
      vanishedRunId: rows.vanishedRunId,
    })
    .from(lines)
    .leftJoin(rows, sameRow)
    .where(and(linesOf(view, stored), or(isNull(rows.id), differs(conventions))))
    .orderBy(lines.balanceTransactionId, lines.lineNumber)
  return found
    .filter(
      ({ row, vanishedRunId }) =>
        vanishedRunId === null && (row === null || row.createdS < view.asOfEndS),
    )
    .map(({ id, line, row }) => ({ balanceTransactionId: id, line, row }))
}

/** A row whose export line does not say the same; conventions that turn signs let all rows of the kind through. */
function differs({ feeBasis, vatBasis, vatRatePercent }: ExportConventions): SQL {
  const fee =
    feeBasis === 'with_vat'
      ? sql`${lines.feeMinor} + coalesce(${lines.vatMinor}, 0)`
      : sql`${lines.feeMinor}`
  const time = sql`replace(${lines.createdLocal}, 'T', ' ')`
  const rate = sql`${hundredthsOfPercent(vatRatePercent).toString()}::numeric`
  const divisor = vatBasis === 'included' ? sql`(10000 + ${rate})` : sql`10000`
  const vat =
    vatBasis === null
      ? sql`false`
      : sql`abs(abs(${lines.vatMinor}) - abs(${lines.feeMinor}) * ${rate} / ${divisor}) > 0.5`
  return sql`(${lines.grossMinor} <> ${rows.amountMinor} or ${fee} <> ${rows.feeMinor} or ${lines.netMinor} <> ${rows.netMinor}
    or ${lines.paymentId} is distinct from ${rows.paymentId} or ${lines.refundId} is distinct from ${rows.refundId}
    or left(to_char(to_timestamp(${rows.createdS}) at time zone 'Europe/Paris', 'YYYY-MM-DD HH24:MI:SS'), length(${time})) <> ${time}
    or ${vat})`
}

/** Ledger rows of the export's span without a line. */
async function lackingRows(
  db: DbOrTx,
  view: LedgerView,
  stored: StoredExport,
): Promise<ExportPair[]> {
  const found = await db
    .select(rowColumns)
    .from(rows)
    .leftJoin(lines, and(sameRow, eq(lines.requestNumber, stored.requestNumber)))
    .where(
      and(
        knownRows(view),
        gte(rows.createdS, stored.startS),
        lt(rows.createdS, stored.endS),
        isNull(lines.lineNumber),
      ),
    )
    .orderBy(rows.id)
  return found.map((row) => ({ balanceTransactionId: row.id, line: null, row }))
}

/** Payments that have refunds, that a refund row names, or that the provider does not know. */
async function loadLookedUpPayments(db: DbOrTx, view: LedgerView): Promise<LookedUpPayment[]> {
  const found = await db
    .select({
      id: payments.id,
      found: payments.found,
      purchaseAmountMinor: payments.purchaseAmountMinor,
      plan: payments.plan,
    })
    .from(payments)
    .where(
      and(
        eq(payments.entity, view.entity),
        sql`(exists (select 1 from ${paymentRefunds} where ${paymentRefunds.entity} = ${payments.entity} and ${paymentRefunds.paymentId} = ${payments.id})
          or exists (select 1 from ${rows} where ${rows.entity} = ${payments.entity} and ${rows.paymentId} = ${payments.id} and ${rows.refundId} is not null))`,
      ),
    )
    .orderBy(asc(payments.id))
  const refunds = await db
    .select({
      paymentId: paymentRefunds.paymentId,
      id: paymentRefunds.refundId,
      amountMinor: paymentRefunds.amountMinor,
      createdS: paymentRefunds.createdS,
    })
    .from(paymentRefunds)
    .where(
      and(
        eq(paymentRefunds.entity, view.entity),
        sql`${paymentRefunds.createdS} < ${view.asOfEndS}`,
      ),
    )
    .orderBy(
      asc(paymentRefunds.paymentId),
      asc(paymentRefunds.createdS),
      asc(paymentRefunds.refundId),
    )
  const refundsOf = groupBy(refunds, ({ paymentId }) => paymentId)
  return found.map((payment) => ({
    paymentId: payment.id,
    payment: payment.found
      ? {
          id: payment.id,
          purchaseAmountMinor: payment.purchaseAmountMinor ?? 0n,
          plan: payment.plan,
          refunds: (refundsOf.get(payment.id) ?? []).map(({ id, amountMinor, createdS }) => ({
            id,
            amountMinor,
            createdS,
          })),
        }
      : null,
  }))
}

/** Sales in plans with a price, the fee of which is not the contract's to the cent. */
async function loadFeeFacts(
  db: DbOrTx,
  view: LedgerView,
  contract: FeeContract | null,
): Promise<FeeFacts[]> {
  if (contract === null) return []
  const sales = await db
    .select({ row: rowColumns, plan: payments.plan })
    .from(rows)
    .innerJoin(payments, and(eq(payments.entity, rows.entity), eq(payments.id, rows.paymentId)))
    .where(and(knownRows(view), eq(rows.kind, 'from_transaction'), isNotNull(payments.plan)))
    .orderBy(asc(rows.id))
  return sales.flatMap(({ row, plan }) => {
    const expectedFeeMinor = plan === null ? null : contractFee(contract, plan, row.amountMinor)
    if (plan === null || expectedFeeMinor === null || expectedFeeMinor === row.feeMinor) return []
    return [{ row, plan, expectedFeeMinor }]
  })
}
