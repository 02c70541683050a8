/** Rows that repeat others, and sales whose fee is not the contract's. */
import { type SQL, sql } from 'drizzle-orm'
import { type FeeContract, hundredthsOfPercent } from '../src/domain/fee-contract.ts'
import type { Tx } from './client.ts'
import { withResult } from './proofs-result.ts'
import type { ProofScope } from './proofs.ts'
import { balanceTransactions as rows, feeDifferences, payments, repeatedRows } from './schema.ts'

/** Whether two rows of a kind stand for the same thing, see `line_duplicate`. */
export function isAlike(a: string, b: string): SQL {
  return sql.raw(`${b}.id <> ${a}.id and ${b}.kind = ${a}.kind and (
    (${a}.kind = 'from_refund' and ${b}.refund_id = ${a}.refund_id)
    or (${a}.kind = 'from_transaction' and ${b}.payment_id = ${a}.payment_id
      and ${b}.amount_minor = ${a}.amount_minor and ${b}.currency = ${a}.currency))`)
}

export async function proveRepeatedRows(tx: Tx, scope: ProofScope): Promise<void> {
  const { entity, sinceNumber } = scope
  if (sinceNumber === null) {
    await tx.execute(sql`delete from ${repeatedRows} where entity = ${entity}`)
    await withResult(tx, sharedIds(entity), async (shared) => {
      await tx.execute(sql`analyze ${shared}`)
      await insertRepeated(tx, entity, {
        payments: sql`select payment_id as same from ${shared} as p where payment_id is not null`,
        refunds: sql`select refund_id as same from ${shared} as f where refund_id is not null`,
      })
    })
    return
  }
  // Few rows repeat others, so each of them is looked at again: what it repeated may be gone.
  const lookAlike = (column: string): SQL => sql`exists (select 1 from ${rows} as other
    where other.entity = ${entity} and other.${sql.raw(column)} = r.${sql.raw(column)}
      and other.vanished_run_id is null and ${isAlike('r', 'other')})`
  await tx.execute(sql`delete from ${repeatedRows} as known where known.entity = ${entity}
    and not exists (select 1 from ${rows} as r where r.entity = ${entity} and r.id = known.id
      and r.vanished_run_id is null and (
        (r.kind = 'from_refund' and ${lookAlike('refund_id')})
        or (r.kind = 'from_transaction' and ${lookAlike('payment_id')})))`)
  const touched = (
    column: string,
    kind: string,
  ): SQL => sql`select distinct ${sql.raw(column)} as same
    from ${rows} as r where r.entity = ${entity} and r.change_number > ${sinceNumber}
      and r.content_number > ${sinceNumber} and r.kind = ${sql.raw(`'${kind}'`)}
      and ${sql.raw(column)} is not null`
  await insertRepeated(tx, entity, {
    payments: touched('payment_id', 'from_transaction'),
    refunds: touched('refund_id', 'from_refund'),
  })
}

/**
 * Payments and refunds that rows may share in a way that counts. Nearly each refund shares the payment
 * of its sale, so refunds are not counted among a payment's rows: then hardly any is left, and no
 * other row needs to be read.
 */
function sharedIds(entity: string): SQL {
  const rowsOf = (
    column: string,
    which: string,
  ): SQL => sql`select ${sql.raw(column)}, count(*) as rows
    from ${rows} as r where r.entity = ${entity} and ${sql.raw(which)} group by ${sql.raw(column)}`
  return sql`select named.payment_id, null as refund_id
    from (${rowsOf('payment_id', 'r.payment_id is not null')} having count(*) > 1) as named
      left join (${rowsOf('payment_id', "r.refund_id is not null and r.kind = 'from_refund'")}) as refunded
        on refunded.payment_id = named.payment_id
    where named.rows - coalesce(refunded.rows, 0) > 1
    union all select null, refund_id
    from (${rowsOf('refund_id', 'r.refund_id is not null')} having count(*) > 1) as named`
}

async function insertRepeated(
  tx: Tx,
  entity: string,
  candidates: { readonly payments: SQL; readonly refunds: SQL },
): Promise<void> {
  const rowsOf = (given: SQL, column: string, kind: string, alike: string): SQL =>
    sql`select id from (
      select r.id, count(*) over (partition by ${sql.raw(alike)}) as times
      from (${given}) as given inner join ${rows} as r
        on r.entity = ${entity} and r.${sql.raw(column)} = given.same
      where r.vanished_run_id is null and r.kind = ${sql.raw(`'${kind}'`)}) as counted
    where times > 1`
  await tx.execute(sql`insert into ${repeatedRows} (entity, id) select ${entity}, id from (
      ${rowsOf(candidates.payments, 'payment_id', 'from_transaction', 'r.payment_id, r.amount_minor, r.currency')}
      union all ${rowsOf(candidates.refunds, 'refund_id', 'from_refund', 'r.refund_id')}
    ) as repeated on conflict do nothing`)
}

export async function proveFees(
  tx: Tx,
  { entity, sinceNumber }: ProofScope,
  contract: FeeContract | null,
): Promise<void> {
  if (sinceNumber === null) {
    await tx.execute(sql`delete from ${feeDifferences} where entity = ${entity}`)
  } else {
    await tx.execute(
      sql`delete from ${feeDifferences} where entity = ${entity} and id in (${touchedSales(entity, sinceNumber)})`,
    )
  }
  if (contract === null) return
  const only =
    sinceNumber === null ? sql`` : sql` and r.id in (${touchedSales(entity, sinceNumber)})`
  const differing = sql`select r.id from ${rows} as r
      inner join ${payments} as sold on sold.entity = r.entity and sold.id = r.payment_id
      inner join (${pricesOf(contract)}) as price on price.plan = sold.plan
    where r.entity = ${entity} and sold.entity = ${entity} and r.kind = 'from_transaction'
      and r.vanished_run_id is null and ${feeDiffers()}${only}`
  await withResult(tx, differing, (result) =>
    tx.execute(
      sql`insert into ${feeDifferences} (entity, id) select ${entity}, id from ${result} order by id`,
    ),
  )
}

/** Sales that changed, or the payment of which did. */
function touchedSales(entity: string, sinceNumber: number): SQL {
  return sql`select r.id from ${rows} as r where r.entity = ${entity}
      and r.change_number > ${sinceNumber} and r.content_number > ${sinceNumber}
    union select r.id from ${payments} as looked inner join ${rows} as r
      on r.entity = looked.entity and r.payment_id = looked.id
    where looked.entity = ${entity} and looked.change_number > ${sinceNumber} and r.entity = ${entity}`
}

/** Amounts up to here are reckoned in whole numbers of 64 bits. */
const QUICK_AMOUNT_MAX = 10_000_000_000

/** Whether `r` has another fee than `contractFee` of `src/domain/fee-contract.ts` gives by `price`. */
function feeDiffers(): SQL {
  const fee = (type: string): string =>
    `(r.amount_minor::${type} * price.rate + price.fixed * 10000) * price.gross + 50000000`
  return sql.raw(`case when abs(r.amount_minor) < ${QUICK_AMOUNT_MAX} and price.is_quick
    then (${fee('bigint')}) / 100000000 <> r.fee_minor
    else div(${fee('numeric')}, 100000000) <> r.fee_minor end`)
}

/** Plans with rates in hundredths of a per cent, and what a price is multiplied by in ten-thousandths. */
function pricesOf({ plans, vat, vatRatePercent }: FeeContract): SQL {
  const gross = 10_000n + (vat === 'included' ? hundredthsOfPercent(vatRatePercent) : 0n)
  const prices = Object.entries(plans).map(([plan, { ratePercent, fixedMinor }]) => ({
    plan,
    rate: hundredthsOfPercent(ratePercent).toString(),
    fixed: fixedMinor.toString(),
  }))
  return sql`select plan, rate, fixed, ${gross.toString()}::bigint as gross,
      abs(rate) <= 10000 and abs(fixed) < ${QUICK_AMOUNT_MAX} and ${gross.toString()}::bigint <= 20000 as is_quick
    from jsonb_to_recordset(${JSON.stringify(prices)}::text::jsonb) as given(plan text, rate bigint, fixed bigint)`
}
