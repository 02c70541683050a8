/**
 * Refunds by payment: from when on payment, ledger and payouts agree on all of them. What is settled
 * before a period cannot be in its report (`loadRefundRows`), so it need not be read for it.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { Tx } from './client.ts'
import type { ProofScope } from './proofs.ts'
import { withResult } from './proofs-result.ts'
import { touchedPayouts } from './proofs-payouts.ts'
import {
  balanceTransactionChanges as changes,
  balanceTransactions as rows,
  paymentRefunds,
  payments,
  payoutProofs,
  refundFamilies,
} from './schema.ts'

/** Needs the payouts' proofs of the same scope. */
export async function proveRefunds(tx: Tx, { entity, sinceNumber }: ProofScope): Promise<void> {
  if (sinceNumber === null) {
    await tx.execute(sql`delete from ${refundFamilies} where entity = ${entity}`)
    await saveFamilies(tx, entity, null)
    return
  }
  // What is not settled is looked at again as well.
  const again = sql`${touchedPayments(entity, sinceNumber)}
    union select payment_id from ${refundFamilies} where entity = ${entity} and settled_s is null`
  await withResult(
    tx,
    again,
    async (given) => {
      await tx.execute(sql`delete from ${refundFamilies}
        where entity = ${entity} and payment_id in (select payment_id from ${given})`)
      await saveFamilies(tx, entity, sql`select payment_id from ${given}`)
    },
    'refunds_again',
  )
}

async function saveFamilies(tx: Tx, entity: string, only: SQL | null): Promise<void> {
  await withResult(tx, familiesOf(entity, only), (families) =>
    tx.execute(sql`insert into ${refundFamilies} (entity, payment_id, settled_s)
      select ${entity}, payment_id, settled_s from ${families} order by payment_id`),
  )
}

/** Payments of which a refund, or what a refund is compared with, was touched. */
function touchedPayments(entity: string, sinceNumber: number): SQL {
  return sql`select payment_id from (
      with touched as (select id, payment_id, refund_id from ${rows} as r
        where r.entity = ${entity} and r.change_number > ${sinceNumber}),
      before as (select changed.transaction_id, changed.field, changed.before
        from touched inner join ${changes} as changed
          on changed.entity = ${entity} and changed.transaction_id = touched.id
        where changed.field in ('paymentId', 'refundId')),
      looked as (select id from ${payments} as p
        where p.entity = ${entity} and p.change_number > ${sinceNumber}),
      refunds as (
        select refund_id from touched where refund_id is not null
        union select before from before where field = 'refundId' and before is not null
        union select stands.refund_id from looked inner join ${paymentRefunds} as stands
          on stands.entity = ${entity} and stands.payment_id = looked.id),
      paid_by as (${touchedPayouts(entity, sinceNumber)})
      select payment_id from touched where refund_id is not null
      union select touched.payment_id from touched inner join before on before.transaction_id = touched.id
      union select before from before where field = 'paymentId'
      union select id from looked
      union select r.payment_id from refunds inner join ${rows} as r
        on r.entity = ${entity} and r.refund_id = refunds.refund_id
      union select stands.payment_id from refunds inner join ${paymentRefunds} as stands
        on stands.entity = ${entity} and stands.refund_id = refunds.refund_id
      union select r.payment_id from paid_by inner join ${rows} as r
        on r.entity = ${entity} and r.included_in_payout_id = paid_by.payout_id and r.refund_id is not null
    ) as named where payment_id is not null`
}

/**
 * A family is settled once each of its refunds stands on the payment with the amount of its one ledger
 * row, is in a payout, and all of them together are no more than the purchase; where the payment was
 * not looked up, once its rows are in payouts. Another row or payment with the same refund unsettles it.
 * @param only ids of payments; null: all.
 */
function familiesOf(entity: string, only: SQL | null): SQL {
  const among = (column: string): SQL =>
    only === null ? sql`` : sql` and ${sql.raw(column)} in (select payment_id from given)`
  // All of them or those of the family: the index that knows them is read in its order, or looked into.
  const inFamily =
    only === null
      ? sql`other.refund_id is not null`
      : sql`other.refund_id in (select refund_id from family)`
  const given = only === null ? sql`` : sql`given (payment_id) as materialized (${only}),`
  return sql`with ${given}
    standing as (select stands.payment_id, count(*) as refunds, sum(stands.amount_minor) as amount_minor,
        min(stands.amount_minor) > 0 as are_positive
      from ${paymentRefunds} as stands where stands.entity = ${entity}${among('stands.payment_id')}
      group by stands.payment_id),
    family as materialized (select r.id, r.kind, r.payment_id, r.refund_id, r.included_in_payout_id, r.amount_minor,
        r.created_s, r.vanished_run_id
      from ${rows} as r
      where r.entity = ${entity} and r.refund_id is not null and r.payment_id is not null${among('r.payment_id')}),
    named as (select other.refund_id, count(*) as rows from ${rows} as other
      where other.entity = ${entity} and ${inFamily}
      group by other.refund_id),
    known as (select other.refund_id, count(*) as payments from ${paymentRefunds} as other
      where other.entity = ${entity} and ${inFamily}
      group by other.refund_id),
    deducted as (select r.payment_id, count(*) as rows,
        bool_and(r.kind = 'from_refund' and r.vanished_run_id is null and r.included_in_payout_id is not null
          and named.rows = 1
          and coalesce(known.payments, 0) = case when stands.refund_id is null then 0 else 1 end
        ) as are_clean,
        count(stands.refund_id) as known,
        coalesce(bool_and(stands.amount_minor = abs(r.amount_minor)), true) as are_equal,
        max(greatest(r.created_s, stands.created_s, payout.own_first_created_s)) as last_s
      from family as r
        left join named on named.refund_id = r.refund_id
        left join known on known.refund_id = r.refund_id
        left join ${paymentRefunds} as stands on stands.entity = ${entity}
          and stands.payment_id = r.payment_id and stands.refund_id = r.refund_id
        left join ${payoutProofs} as payout on payout.entity = ${entity}
          and payout.payout_id = r.included_in_payout_id
      group by r.payment_id),
    named_payments as (select payment_id from deducted union select payment_id from standing)
    select named_payments.payment_id,
      case when deducted.are_clean and (
          (looked.id is null and standing.refunds is null)
          or (looked.found and standing.refunds = deducted.rows and deducted.known = deducted.rows
            and deducted.are_equal and standing.are_positive
            and standing.amount_minor <= coalesce(looked.purchase_amount_minor, 0)))
        then deducted.last_s end as settled_s
    from named_payments
      left join deducted on deducted.payment_id = named_payments.payment_id
      left join standing on standing.payment_id = named_payments.payment_id
      left join ${payments} as looked on looked.entity = ${entity}
        and looked.id = named_payments.payment_id`
}
