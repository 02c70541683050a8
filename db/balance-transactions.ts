/** The stored ledger: what a walk along the provider's list compares with and writes to. */
import {
  and,
  asc,
  count,
  desc,
  eq,
  gt,
  gte,
  inArray,
  isNull,
  lt,
  lte,
  max,
  or,
  sql,
} from 'drizzle-orm'
import { unionAll } from 'drizzle-orm/pg-core'
import type { BalanceTransaction } from '../src/domain/balance-transaction.ts'
import type { Day, EpochSeconds } from '../src/domain/day.ts'
import { BATCH_ROWS_MAX, bulkUpsert } from './bulk.ts'
import type { DbOrTx, Tx } from './client.ts'
import { balanceTransactionChanges, balanceTransactions } from './schema.ts'

const bt = balanceTransactions

export interface StoredBalanceTransaction extends BalanceTransaction {
  readonly raw: unknown
  /** Null while the row is in the provider's list. */
  readonly vanishedRunId: number | null
}

/** Whether the raw payload of a stored row was removed (`db/purge.ts`); no row arrives empty. */
export function isRawPurged(raw: unknown): boolean {
  return raw !== null && typeof raw === 'object' && Object.keys(raw).length === 0
}

export interface BalanceTransactionChange {
  readonly transactionId: string
  readonly field: string
  readonly before: string | null
  readonly after: string | null
  readonly seenAsOf: Day
}

/** A part of the ledger: from `fromId` (null: the oldest) up to, not including, `belowId` (null: no end). */
export interface LedgerSpan {
  readonly fromId: string | null
  readonly belowId: string | null
}

/** Stored rows of some parts of the ledger, newest first. */
export async function findLedgerSpans(
  db: DbOrTx,
  entity: string,
  spans: readonly LedgerSpan[],
): Promise<StoredBalanceTransaction[]> {
  if (spans.length === 0) return []
  const within = spans.map(({ fromId, belowId }) =>
    and(
      fromId === null ? sql`true` : gte(bt.id, fromId),
      belowId === null ? undefined : lt(bt.id, belowId),
    ),
  )
  return db
    .select({
      id: bt.id,
      merchantId: bt.merchantId,
      kind: bt.kind,
      currency: bt.currency,
      amountMinor: bt.amountMinor,
      feeMinor: bt.feeMinor,
      netMinor: bt.netMinor,
      paymentId: bt.paymentId,
      refundId: bt.refundId,
      payoutId: bt.payoutId,
      includedInPayoutId: bt.includedInPayoutId,
      createdS: bt.createdS,
      updatedS: bt.updatedS,
      availableOnS: bt.availableOnS,
      raw: bt.raw,
      vanishedRunId: bt.vanishedRunId,
    })
    .from(bt)
    .where(and(eq(bt.entity, entity), or(...within)))
    .orderBy(desc(bt.id))
}

/** The run that writes, and the number of its batch (`db/change-numbers.ts`). */
export interface LedgerBatch {
  readonly entity: string
  readonly runId: number
  readonly changeNumber: number
}

/** Stores rows as the provider shows them now; a row that was gone is back by that. */
export async function saveBalanceTransactions(
  tx: Tx,
  { entity, runId, changeNumber }: LedgerBatch,
  rows: readonly { readonly parsed: BalanceTransaction; readonly raw: object }[],
): Promise<void> {
  await bulkUpsert(
    tx,
    balanceTransactions,
    rows.map(({ parsed, raw }) => ({
      entity,
      // Named one by one: to spread them takes three times as long as all the rest, row by row.
      id: parsed.id,
      merchantId: parsed.merchantId,
      kind: parsed.kind,
      currency: parsed.currency,
      amountMinor: parsed.amountMinor,
      feeMinor: parsed.feeMinor,
      netMinor: parsed.netMinor,
      paymentId: parsed.paymentId,
      refundId: parsed.refundId,
      payoutId: parsed.payoutId,
      includedInPayoutId: parsed.includedInPayoutId,
      createdS: parsed.createdS,
      updatedS: parsed.updatedS,
      availableOnS: parsed.availableOnS,
      raw,
      firstSeenRunId: runId,
      changedRunId: runId,
      vanishedRunId: null,
      changeNumber,
      contentNumber: changeNumber,
    })),
    {
      conflict: ['entity', 'id'],
      update: [
        'merchantId',
        'kind',
        'currency',
        'amountMinor',
        'feeMinor',
        'netMinor',
        'paymentId',
        'refundId',
        'payoutId',
        'includedInPayoutId',
        'createdS',
        'updatedS',
        'availableOnS',
        'raw',
        'changedRunId',
        'vanishedRunId',
        'changeNumber',
        'contentNumber',
      ],
      updateOnlyWithOthers: ['changedRunId', 'changeNumber'],
      updateOnlyWith: { contentNumber: CONTENT },
    },
  )
}

/** What makes a row another one than it was: all but the payout it is in, and what only is kept. */
const CONTENT = [
  'kind',
  'currency',
  'amountMinor',
  'feeMinor',
  'netMinor',
  'paymentId',
  'refundId',
  'payoutId',
  'createdS',
  'availableOnS',
  'vanishedRunId',
] as const

/** Marks rows as gone from the provider's list; they are kept. */
export async function markVanished(
  tx: Tx,
  { entity, runId, changeNumber }: LedgerBatch,
  ids: readonly string[],
): Promise<void> {
  const marks = { vanishedRunId: runId, changedRunId: runId }
  for (let from = 0; from < ids.length; from += BATCH_ROWS_MAX) {
    const batch = ids.slice(from, from + BATCH_ROWS_MAX)
    await tx
      .update(bt)
      .set({ ...marks, changeNumber, contentNumber: changeNumber })
      .where(and(eq(bt.entity, entity), inArray(bt.id, batch)))
  }
}

/**
 * Adds to the history of changes. A field that changes twice in one run keeps its first `before`.
 * @returns whether a change of a payout had a `before` that is thereby kept nowhere.
 */
export async function recordLedgerChanges(
  tx: Tx,
  { entity, runId }: LedgerBatch,
  changes: readonly BalanceTransactionChange[],
): Promise<boolean> {
  if (changes.length === 0) return false
  const hasLost = await hasOtherBefore(tx, { entity, runId }, changes)
  await bulkUpsert(
    tx,
    balanceTransactionChanges,
    changes.map((change) => ({ ...change, entity, runId })),
    { conflict: ['entity', 'transactionId', 'runId', 'field'], update: ['after', 'seenAsOf'] },
  )
  return hasLost
}

/** Whether this run has already recorded a move of one of the rows, out of another payout. */
async function hasOtherBefore(
  tx: Tx,
  { entity, runId }: Pick<LedgerBatch, 'entity' | 'runId'>,
  changes: readonly BalanceTransactionChange[],
): Promise<boolean> {
  const field = 'includedInPayoutId'
  const leftById = new Map(
    changes
      .filter((change) => change.field === field)
      .map(({ transactionId, before }) => [transactionId, before]),
  )
  const ids = [...leftById.keys()]
  for (let from = 0; from < ids.length; from += BATCH_ROWS_MAX) {
    const recorded = await tx
      .select({
        id: balanceTransactionChanges.transactionId,
        before: balanceTransactionChanges.before,
      })
      .from(balanceTransactionChanges)
      .where(
        and(
          eq(balanceTransactionChanges.entity, entity),
          eq(balanceTransactionChanges.runId, runId),
          eq(balanceTransactionChanges.field, field),
          inArray(balanceTransactionChanges.transactionId, ids.slice(from, from + BATCH_ROWS_MAX)),
        ),
      )
    if (recorded.some(({ id, before }) => leftById.get(id) !== before)) return true
  }
  return false
}

/** Rows that are to be read again whatever their state. */
export interface RereadRows {
  /** Created from here up to, not including, `endS`. */
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
  /** Of these payments only; left out: of all. */
  readonly paymentIds?: readonly string[]
}

/**
 * Ids of the rows that may have changed since they were stored, newest first: rows that no payout
 * has taken, and the rows created in `reread`. Payout rows themselves are in no payout and settled.
 */
export async function findIdsToVisit(
  db: DbOrTx,
  entity: string,
  {
    belowId,
    reread,
    limit,
  }: {
    belowId: string | null
    reread: RereadRows | null
    limit: number
  },
): Promise<string[]> {
  const there = and(
    eq(bt.entity, entity),
    isNull(bt.vanishedRunId),
    belowId === null ? undefined : lt(bt.id, belowId),
  )
  const idsOf = (condition: ReturnType<typeof and>) =>
    db.select({ id: bt.id }).from(bt).where(and(there, condition)).orderBy(desc(bt.id)).limit(limit)
  // Written as two queries because each has an index of its own, which one condition would not use.
  const open = idsOf(sql`${bt.includedInPayoutId} is null and ${bt.kind} <> 'from_payout'`)
  if (reread === null) return (await open).map(({ id }) => id)
  const { startS, endS, paymentIds } = reread
  const ofPayments =
    paymentIds === undefined
      ? undefined
      : sql`${bt.paymentId} in (select jsonb_array_elements_text(${JSON.stringify(paymentIds)}::text::jsonb))`
  const created = idsOf(and(gte(bt.createdS, startS), lt(bt.createdS, endS), ofPayments))
  const found = await unionAll(open, created)
  const ids = [...new Set(found.map(({ id }) => id))]
  return ids.sort((a, b) => (a < b ? 1 : -1)).slice(0, limit)
}

/** The id that stands `steps` stored rows above (1: the next newer one); null above the newest. */
export async function findIdAbove(
  db: DbOrTx,
  entity: string,
  id: string,
  steps: number,
): Promise<string | null> {
  const [above] = await db
    .select({ id: bt.id })
    .from(bt)
    .where(and(eq(bt.entity, entity), gt(bt.id, id), isNull(bt.vanishedRunId)))
    .orderBy(asc(bt.id))
    .offset(steps - 1)
    .limit(1)
  return above?.id ?? null
}

/** Where a page that begins with a row stands, as far as is stored. */
export interface PagePlace {
  /** The id just above: the cursor for it; null if none is stored above. */
  readonly aboveId: string | null
  /** The id of the page's last row; null if the list ends before that. */
  readonly lastId: string | null
}

/** The place of the page of `rows` rows whose first row is `id`. */
export async function findPagePlace(
  db: DbOrTx,
  entity: string,
  id: string,
  rows: number,
): Promise<PagePlace> {
  const aboveId = await findIdAbove(db, entity, id, 1)
  const [last] = await db
    .select({ id: bt.id })
    .from(bt)
    .where(and(eq(bt.entity, entity), lte(bt.id, id), isNull(bt.vanishedRunId)))
    .orderBy(desc(bt.id))
    .offset(rows - 1)
    .limit(1)
  return { aboveId, lastId: last?.id ?? null }
}

/** When a stored row was created; null if it is not stored. */
export async function findCreatedS(
  db: DbOrTx,
  entity: string,
  id: string,
): Promise<EpochSeconds | null> {
  const [row] = await db
    .select({ createdS: bt.createdS })
    .from(bt)
    .where(and(eq(bt.entity, entity), eq(bt.id, id)))
  return row?.createdS ?? null
}

/** How many rows that are in the provider's list lie from `lastId` up to and including `firstId`. */
export async function countLedgerRows(
  db: DbOrTx,
  entity: string,
  { firstId, lastId }: { firstId: string; lastId: string },
): Promise<number> {
  const [found] = await db
    .select({ rows: count() })
    .from(bt)
    .where(
      and(eq(bt.entity, entity), isNull(bt.vanishedRunId), gte(bt.id, lastId), lte(bt.id, firstId)),
    )
  return found?.rows ?? 0
}

/** The merchant whose ledger is stored, by its newest row; null if none is stored or none is named. */
export async function findStoredMerchantId(db: DbOrTx, entity: string): Promise<string | null> {
  const [newest] = await db
    .select({ merchantId: bt.merchantId })
    .from(bt)
    .where(eq(bt.entity, entity))
    .orderBy(desc(bt.id))
    .limit(1)
  return newest?.merchantId ?? null
}

/** The latest run in which a row created in these bounds changed, appeared or vanished; null if there is none. */
export async function lastLedgerChange(
  db: DbOrTx,
  entity: string,
  { startS, endS }: { startS: EpochSeconds; endS: EpochSeconds },
): Promise<number | null> {
  const [found] = await db
    .select({ runId: max(bt.changedRunId) })
    .from(bt)
    .where(and(eq(bt.entity, entity), gte(bt.createdS, startS), lt(bt.createdS, endS)))
  return found?.runId ?? null
}

/** Ids of the payments that rows of one kind, created in these bounds, belong to. */
export async function findPaymentIdsOfRows(
  db: DbOrTx,
  entity: string,
  { kind, startS, endS }: { kind: string; startS: EpochSeconds; endS: EpochSeconds },
): Promise<string[]> {
  const rows = await db
    .selectDistinct({ paymentId: bt.paymentId })
    .from(bt)
    .where(
      and(
        eq(bt.entity, entity),
        eq(bt.kind, kind),
        isNull(bt.vanishedRunId),
        gte(bt.createdS, startS),
        lt(bt.createdS, endS),
      ),
    )
  return rows.flatMap(({ paymentId }) => (paymentId === null ? [] : [paymentId])).sort()
}

/** Which of these refunds a row of the ledger deducted. */
export async function findDeductedRefundIds(
  db: DbOrTx,
  entity: string,
  refundIds: readonly string[],
): Promise<Set<string>> {
  if (refundIds.length === 0) return new Set()
  const rows = await db
    .selectDistinct({ refundId: bt.refundId })
    .from(bt)
    .where(
      and(
        eq(bt.entity, entity),
        eq(bt.kind, 'from_refund'),
        isNull(bt.vanishedRunId),
        inArray(bt.refundId, [...refundIds]),
      ),
    )
  return new Set(rows.flatMap(({ refundId }) => (refundId === null ? [] : [refundId])))
}
