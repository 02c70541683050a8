/** Payments that were looked at, with the refunds that stand on them. */
import { isDeepStrictEqual } from 'node:util'
import { and, asc, eq, gt, gte, inArray, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import { groupBy } from '../src/domain/collections.ts'
import type { EpochSeconds } from '../src/domain/day.ts'
import type { Payment } from '../src/domain/payment.ts'
import { BATCH_ROWS_MAX, bulkUpsert } from './bulk.ts'
import { takeChangeNumber } from './change-numbers.ts'
import type { Db, DbOrTx, Tx } from './client.ts'
import { balanceTransactions as bt, paymentRefunds, payments } from './schema.ts'

/** What a look at one payment brought: the payment, or null if the provider has none of this id. */
export interface LookedUpPayment {
  readonly id: string
  readonly payment: Payment | null
}

/**
 * Stores payments and makes their stored refunds those that stand on them now: a refund that is no
 * longer there disappears. Payments that are new or differ, refunds included, get a change number.
 */
export async function savePayments(
  db: Db,
  entity: string,
  runId: number,
  looked: readonly LookedUpPayment[],
): Promise<void> {
  if (looked.length > BATCH_ROWS_MAX) {
    throw new Error(
      `${looked.length} payments were given at once, at most ${BATCH_ROWS_MAX} are stored together`,
    )
  }
  if (looked.length === 0) return
  const refunds = looked.flatMap(({ id, payment }) =>
    (payment?.refunds ?? []).map((refund) => ({
      entity,
      paymentId: id,
      refundId: refund.id,
      amountMinor: refund.amountMinor,
      createdS: refund.createdS,
    })),
  )
  await db.transaction(async (tx) => {
    const ids = looked.map(({ id }) => id)
    const stored = await findStoredPayments(tx, entity, ids)
    const isSame = (each: LookedUpPayment): boolean =>
      isDeepStrictEqual(stored.get(each.id)?.looked, inOrder(each))
    const changeNumber = looked.every(isSame) ? 0 : await takeChangeNumber(tx, entity)
    await bulkUpsert(
      tx,
      payments,
      looked.map((each) => ({
        entity,
        id: each.id,
        found: each.payment !== null,
        purchaseAmountMinor: each.payment?.purchaseAmountMinor ?? null,
        plan: each.payment?.plan ?? null,
        lookedUpRunId: runId,
        changeNumber: isSame(each) ? (stored.get(each.id)?.changeNumber ?? 0) : changeNumber,
      })),
      {
        conflict: ['entity', 'id'],
        update: ['found', 'purchaseAmountMinor', 'plan', 'lookedUpRunId', 'changeNumber'],
      },
    )
    if (changeNumber === 0) return
    const kept = JSON.stringify(refunds.map(({ paymentId, refundId }) => ({ paymentId, refundId })))
    await tx.delete(paymentRefunds).where(
      and(
        eq(paymentRefunds.entity, entity),
        inArray(paymentRefunds.paymentId, ids),
        sql`not exists (
          select 1 from jsonb_to_recordset(${kept}::text::jsonb) as kept("paymentId" text, "refundId" text)
          where kept."paymentId" = ${paymentRefunds.paymentId}
            and kept."refundId" = ${paymentRefunds.refundId})`,
      ),
    )
    await bulkUpsert(tx, paymentRefunds, refunds, {
      conflict: ['entity', 'paymentId', 'refundId'],
      update: ['amountMinor', 'createdS'],
    })
  })
}

interface StoredPayment {
  /** As a look would bring it that found nothing changed, refunds in the order of their ids. */
  readonly looked: LookedUpPayment
  readonly changeNumber: number
}

async function findStoredPayments(
  tx: Tx,
  entity: string,
  ids: readonly string[],
): Promise<Map<string, StoredPayment>> {
  const rows = await tx
    .select({
      id: payments.id,
      found: payments.found,
      purchaseAmountMinor: payments.purchaseAmountMinor,
      plan: payments.plan,
      changeNumber: payments.changeNumber,
    })
    .from(payments)
    .where(and(eq(payments.entity, entity), inArray(payments.id, [...ids])))
  const refunds = await tx
    .select({
      paymentId: paymentRefunds.paymentId,
      refund: {
        id: paymentRefunds.refundId,
        amountMinor: paymentRefunds.amountMinor,
        createdS: paymentRefunds.createdS,
      },
    })
    .from(paymentRefunds)
    .where(and(eq(paymentRefunds.entity, entity), inArray(paymentRefunds.paymentId, [...ids])))
    .orderBy(paymentRefunds.refundId)
  const refundsOf = groupBy(refunds, ({ paymentId }) => paymentId)
  return new Map(
    rows.map(({ id, found, purchaseAmountMinor, plan, changeNumber }) => {
      const standing = (refundsOf.get(id) ?? []).map(({ refund }) => refund)
      const payment =
        found && purchaseAmountMinor !== null
          ? { id, purchaseAmountMinor, plan, refunds: standing }
          : null
      return [id, { looked: { id, payment }, changeNumber }]
    }),
  )
}

function inOrder({ id, payment }: LookedUpPayment): LookedUpPayment {
  if (payment === null) return { id, payment }
  return {
    id,
    payment: { ...payment, refunds: payment.refunds.toSorted((a, b) => (a.id < b.id ? -1 : 1)) },
  }
}

/** In which sales were created, half open. */
interface SaleSpan {
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
}

const SALES_AT_ONCE = 5_000

/**
 * Payments of sales that were not looked at in a run. Piece by piece: they are hardly any, of maybe a
 * million, and a join with payments that were stored a moment ago is planned as if there were none.
 */
export async function findPaymentIdsNotSeen(
  db: DbOrTx,
  entity: string,
  runId: number,
  span: SaleSpan,
): Promise<string[]> {
  return findPaymentIds(db, entity, span, (look) => look?.lookedUpRunId !== runId)
}

/** Payments of sales that are stored without their plan, or not at all. */
export async function findPaymentIdsWithoutPlan(
  db: DbOrTx,
  entity: string,
  {
    seenInRunId,
    ...span
  }: SaleSpan & {
    /** Only those looked at in a run; null: all. */
    readonly seenInRunId: number | null
  },
): Promise<string[]> {
  return findPaymentIds(
    db,
    entity,
    span,
    (look) =>
      (look?.plan ?? null) === null &&
      (seenInRunId === null || look?.lookedUpRunId === seenInRunId),
  )
}

/** What the last look at a payment left. */
interface LastLook {
  readonly plan: string | null
  readonly lookedUpRunId: number
}

async function findPaymentIds(
  db: DbOrTx,
  entity: string,
  span: SaleSpan,
  isWanted: (look: LastLook | undefined) => boolean,
): Promise<string[]> {
  const wanted = new Set<string>()
  for await (const ids of salePayments(db, entity, span)) {
    const looks = await db
      .select({ id: payments.id, plan: payments.plan, lookedUpRunId: payments.lookedUpRunId })
      .from(payments)
      .where(and(eq(payments.entity, entity), inArray(payments.id, [...ids])))
    const lookOf = new Map(looks.map((look) => [look.id, look]))
    for (const id of ids) if (isWanted(lookOf.get(id))) wanted.add(id)
  }
  return [...wanted]
}

/** The payments of sales in pieces; one of several sales may come several times. */
async function* salePayments(
  db: DbOrTx,
  entity: string,
  { startS, endS }: SaleSpan,
): AsyncGenerator<ReadonlySet<string>> {
  let last: { readonly id: string; readonly createdS: EpochSeconds } | null = null
  for (;;) {
    const isNext: SQL | undefined =
      last === null
        ? gte(bt.createdS, startS)
        : and(
            gte(bt.createdS, last.createdS),
            or(gt(bt.createdS, last.createdS), gt(bt.id, last.id)),
          )
    const piece: { id: string; createdS: EpochSeconds; paymentId: string | null }[] = await db
      .select({ id: bt.id, createdS: bt.createdS, paymentId: bt.paymentId })
      .from(bt)
      .where(
        and(
          eq(bt.entity, entity),
          eq(bt.kind, 'from_transaction'),
          isNull(bt.vanishedRunId),
          isNext,
          lt(bt.createdS, endS),
        ),
      )
      .orderBy(asc(bt.createdS), asc(bt.id))
      .limit(SALES_AT_ONCE)
    const ids = new Set(piece.flatMap(({ paymentId }) => paymentId ?? []))
    if (ids.size > 0) yield ids
    const end = piece.at(-1)
    if (end === undefined || piece.length < SALES_AT_ONCE) return
    last = end
  }
}
