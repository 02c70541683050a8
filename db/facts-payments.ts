/** Payments as they were looked up, and the sales whose fee may differ from the contract. */
import { and, asc, eq, isNotNull, sql } from 'drizzle-orm'
import { groupBy } from '../src/domain/collections.ts'
import type { FeeFacts, LookedUpPayment } from '../src/domain/facts.ts'
import { contractFee, type FeeContract } from '../src/domain/fee-contract.ts'
import type { DbOrTx } from './client.ts'
import { knownRows, type LedgerView, rowColumns, unsettledPayments } from './facts-ledger.ts'
import { balanceTransactions as rows, feeDifferences, paymentRefunds, payments } from './schema.ts'

/** Payments that have refunds or that a row with a refund names; those long settled left out. */
export async function loadLookedUpPayments(
  db: DbOrTx,
  view: LedgerView,
): Promise<LookedUpPayment[]> {
  const found = await db
    .select({
      id: payments.id,
      found: payments.found,
      purchaseAmountMinor: payments.purchaseAmountMinor,
      plan: payments.plan,
    })
    .from(payments)
    .where(and(eq(payments.entity, view.entity), sql`${payments.id} in ${unsettledPayments(view)}`))
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
        sql`${paymentRefunds.paymentId} in ${unsettledPayments(view)}`,
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
export async function loadFeeFacts(
  db: DbOrTx,
  view: LedgerView,
  contract: FeeContract | null,
): Promise<FeeFacts[]> {
  if (contract === null) return []
  const sales = await db
    .select({ row: rowColumns, plan: payments.plan })
    .from(feeDifferences)
    .innerJoin(rows, and(eq(rows.entity, feeDifferences.entity), eq(rows.id, feeDifferences.id)))
    .innerJoin(payments, and(eq(payments.entity, rows.entity), eq(payments.id, rows.paymentId)))
    .where(
      and(
        eq(feeDifferences.entity, view.entity),
        knownRows(view),
        eq(rows.kind, 'from_transaction'),
        isNotNull(payments.plan),
      ),
    )
    .orderBy(asc(rows.id))
  return sales.flatMap(({ row, plan }) => {
    const expectedFeeMinor = plan === null ? null : contractFee(contract, plan, row.amountMinor)
    if (plan === null || expectedFeeMinor === null || expectedFeeMinor === row.feeMinor) return []
    return [{ row, plan, expectedFeeMinor }]
  })
}
