/** Payments that were looked at, with the refunds that stand on them. */
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Payment } from '../src/domain/payment.ts'
import { BATCH_ROWS_MAX, bulkUpsert } from './bulk.ts'
import type { Db, DbOrTx } from './client.ts'
import { paymentRefunds, payments } from './schema.ts'

/** What a look at one payment brought: the payment, or null if the provider has none of this id. */
export interface LookedUpPayment {
  readonly id: string
  readonly payment: Payment | null
}

/**
 * Stores payments and makes their stored refunds those that stand on them now: a refund that is no
 * longer there disappears.
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
    await bulkUpsert(
      tx,
      payments,
      looked.map(({ id, payment }) => ({
        entity,
        id,
        found: payment !== null,
        purchaseAmountMinor: payment?.purchaseAmountMinor ?? null,
        plan: payment?.plan ?? null,
        lookedUpRunId: runId,
      })),
      {
        conflict: ['entity', 'id'],
        update: ['found', 'purchaseAmountMinor', 'plan', 'lookedUpRunId'],
      },
    )
    const kept = JSON.stringify(refunds.map(({ paymentId, refundId }) => ({ paymentId, refundId })))
    await tx.delete(paymentRefunds).where(
      and(
        eq(paymentRefunds.entity, entity),
        inArray(
          paymentRefunds.paymentId,
          looked.map(({ id }) => id),
        ),
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

/** Which of these payments are stored with a plan. */
export async function findPaymentIdsWithPlan(
  db: DbOrTx,
  entity: string,
  ids: readonly string[],
): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows = await db
    .select({ id: payments.id })
    .from(payments)
    .where(
      and(
        eq(payments.entity, entity),
        inArray(payments.id, [...ids]),
        sql`${payments.plan} is not null`,
      ),
    )
  return new Set(rows.map(({ id }) => id))
}
