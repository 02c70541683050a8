/** The stored ledger: what a walk along the provider's list compares with and writes to. */
import { and, asc, count, desc, eq, gt, gte, inArray, isNull, lt, lte, max, sql } from 'drizzle-orm'
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

/** Stored rows from `fromId` (null: from the oldest) up to, not including, `belowId` (null: no end), newest first. */
export async function findLedgerSpan(
  db: DbOrTx,
  entity: string,
  { fromId, belowId }: { fromId: string | null; belowId: string | null },
): Promise<StoredBalanceTransaction[]> {
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
    .where(
      and(
        eq(bt.entity, entity),
        fromId === null ? undefined : gte(bt.id, fromId),
        belowId === null ? undefined : lt(bt.id, belowId),
      ),
    )
    .orderBy(desc(bt.id))
}

/** Stores rows as the provider shows them now; a row that was gone is back by that. */
export async function saveBalanceTransactions(
  tx: Tx,
  entity: string,
  runId: number,
  rows: readonly { readonly parsed: BalanceTransaction; readonly raw: object }[],
): Promise<void> {
  await bulkUpsert(
    tx,
    balanceTransactions,
    rows
      .map(({ parsed, raw }) => ({
        ...parsed,
        entity,
        raw,
        firstSeenRunId: runId,
        changedRunId: runId,
        vanishedRunId: null,
      }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1)),
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
      ],
      updateOnlyWithOthers: ['changedRunId'],
    },
  )
}

/** Marks rows as gone from the provider's list; they are kept. */
export async function markVanished(
  tx: Tx,
  entity: string,
  runId: number,
  ids: readonly string[],
): Promise<void> {
  for (let from = 0; from < ids.length; from += BATCH_ROWS_MAX) {
    const batch = ids.slice(from, from + BATCH_ROWS_MAX)
    await tx
      .update(bt)
      .set({ vanishedRunId: runId, changedRunId: runId })
      .where(and(eq(bt.entity, entity), inArray(bt.id, batch)))
  }
}

/** Adds to the history of changes. A field that changes twice in one run keeps its first `before`. */
export async function recordLedgerChanges(
  tx: Tx,
  entity: string,
  runId: number,
  changes: readonly BalanceTransactionChange[],
): Promise<void> {
  await bulkUpsert(
    tx,
    balanceTransactionChanges,
    changes.map((change) => ({ ...change, entity, runId })),
    { conflict: ['entity', 'transactionId', 'runId', 'field'], update: ['after', 'seenAsOf'] },
  )
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
    reread: { readonly startS: EpochSeconds; readonly endS: EpochSeconds } | null
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
  const created = idsOf(and(gte(bt.createdS, reread.startS), lt(bt.createdS, reread.endS)))
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
