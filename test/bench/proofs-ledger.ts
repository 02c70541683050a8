/**
 * A synthetic ledger as large as asked, made within the database: 20,000 payouts a million rows, one
 * row in twenty a refund, ids as long as the provider's, a payment for each sale and a line of a
 * weekly export for each row. Everything agrees, and the newest rows are in no payout yet.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import type { FeeContract } from '../../src/domain/fee-contract.ts'

export const ENTITY = 'default'

/** What the synthetic sales pay: 3.80 % without VAT. */
export const CONTRACT: FeeContract = {
  vat: 'excluded',
  vatRatePercent: '20',
  plans: { P3X: { ratePercent: '3.80', fixedMinor: 0n } },
}

/** Rows of one payout, its own included. */
const PAYOUT_ROWS = 50
/** Of the first load the rows that no payout has taken. */
const OPEN_ROWS = 5_000
/** The year of the ledger, from its first instant on. */
export const YEAR_START_S = 1_704_063_600
const YEAR_S = 366 * 86_400
const WEEK_S = 7 * 86_400

/** Fills the empty tables. */
export async function fillLedger(db: Db, rows: number): Promise<void> {
  const stepS = YEAR_S / rows
  await db.execute(sql`insert into runs (command, app_version) values ('bench', 'bench')`)
  await withoutIndexes(db, ['balance_transactions', 'payments', 'export_lines'], async () => {
    await insertRows(db, { first: 1, last: rows, paidUntil: rows - OPEN_ROWS, stepS, number: 1 })
    await db.execute(sql`insert into data_exports
        (entity, type, start_s, end_s, run_id, requested_at, export_id, state, sha256, rows)
      select ${ENTITY}, 'accounting', from_s, from_s + ${WEEK_S}, 1, to_timestamp(least(from_s + ${2 * WEEK_S}, ${YEAR_START_S + YEAR_S})),
        'export_' || from_s, 'stored', md5(from_s::text), 0
      from generate_series(${YEAR_START_S}::bigint, ${YEAR_START_S + YEAR_S - 1}::bigint, ${WEEK_S}) as from_s`)
    await db.execute(sql`insert into export_lines (entity, request_number, line_number,
        balance_transaction_id, created_local, gross_minor, fee_minor, net_minor, vat_minor,
        payment_id, refund_id, extra)
      select entity, 1 + (created_s - ${YEAR_START_S}) / ${WEEK_S},
        2 + row_number() over (partition by (created_s - ${YEAR_START_S}) / ${WEEK_S} order by id), id,
        to_char(to_timestamp(created_s) at time zone 'Europe/Paris', 'YYYY-MM-DD HH24:MI:SS'),
        amount_minor, fee_minor, net_minor, round(fee_minor * 0.2), payment_id, refund_id, '{}'
      from balance_transactions order by created_s, id`)
  })
  await db.execute(sql`insert into ledger_proofs (entity, changed_number, proved_number) values (${ENTITY}, 1, -1)
    on conflict (entity) do update set changed_number = 1, proved_number = -1`)
  await db.execute(sql`analyze`)
}

/** A night: new sales and refunds, and a payout a fifty rows that takes what was open before. */
export async function addNight(db: Db, rows: number, added: number): Promise<void> {
  const stepS = YEAR_S / rows
  const [proofs] = await db.execute<{ number: string }>(
    sql`update ledger_proofs set changed_number = changed_number + 1 where entity = ${ENTITY} returning changed_number as number`,
  )
  const number = Number(proofs?.number)
  const first = rows + (number - 2) * added + 1
  const last = first + added - 1
  await insertRows(db, { first, last, paidUntil: last - OPEN_ROWS, stepS, number })
  await db.execute(sql`update balance_transactions
    set included_in_payout_id = ${payoutId(sql`(substr(id, 13, 9)::bigint - 1) / ${PAYOUT_ROWS} + 1`)},
      change_number = ${number}
    where entity = ${ENTITY} and included_in_payout_id is null and kind <> 'from_payout'
      and vanished_run_id is null and substr(id, 13, 9)::bigint <= ${last - OPEN_ROWS}`)
}

interface Stretch {
  readonly first: number
  readonly last: number
  /** Rows up to this one are in their payouts. */
  readonly paidUntil: number
  readonly stepS: number
  readonly number: number
}

function textId(prefix: string, number: SQL): SQL {
  return sql`(${sql.raw(`'${prefix}_'`)} || lpad((${number})::text, 9, '0') || substr(md5((${number})::text) || md5(${sql.raw(`'${prefix}'`)}), 1, 25))`
}

function payoutId(number: SQL): SQL {
  return textId('payout', number)
}

async function insertRows(
  pool: Db,
  { first, last, paidUntil, stepS, number }: Stretch,
): Promise<void> {
  await pool.transaction(async (db) => {
    const createdS = sql`(${YEAR_START_S} + (i * ${stepS}::float8)::bigint)`
    const amountOf = (i: SQL): SQL => sql`(2000 + ((${i}) * 7919) % 50000)`
    await db.execute(sql`create temporary table made on commit drop as
    select i, kind, created_s, payment_number, amount, fee, amount - fee as net,
      case when kind <> 'from_payout' and i <= ${paidUntil} then (i - 1) / ${PAYOUT_ROWS} + 1 end as paid_by
    from (
      select i, ${createdS} as created_s,
        case when i % ${PAYOUT_ROWS} = 0 then 'from_payout' when i % 20 = 7 then 'from_refund' else 'from_transaction' end as kind,
        case when i % 20 = 7 then i - 6 else i end as payment_number,
        case when i % ${PAYOUT_ROWS} = 0 then 0 when i % 20 = 7 then -${amountOf(sql`i - 6`)} / 2 else ${amountOf(sql`i`)} end as amount,
        case when i % ${PAYOUT_ROWS} = 0 or i % 20 = 7 then 0
          else (${amountOf(sql`i`)} * 380 + 5000) / 10000 end as fee
      from generate_series(${first}::bigint, ${last}::bigint) as i) as plain`)
    const id = textId('balance_txn', sql`i`)
    const payment = textId('payment', sql`payment_number`)
    const refund = sql`case when kind = 'from_refund' then ${textId('refund', sql`i`)} end`
    const paid = payoutId(sql`paid_by`)
    const own = payoutId(sql`i / ${PAYOUT_ROWS}`)
    await db.execute(sql`insert into balance_transactions (entity, id, merchant_id, kind, currency,
      amount_minor, fee_minor, net_minor, payment_id, refund_id, payout_id, included_in_payout_id,
      created_s, updated_s, available_on_s, raw, first_seen_run_id, changed_run_id, change_number, content_number)
    select ${ENTITY}, id, 'merchant_11sNBlsJ2Mvf9c2eyVVzcpmJ6Dfp8x3UBe', kind, 'EUR', amount, fee, net, payment_id, refund_id, payout_id, paid_id,
      created_s, created_s, created_s + 86400,
      jsonb_build_object('id', id, 'kind', kind, 'amount', amount, 'merchant_fee', fee, 'net_amount', net,
        'payment_id', payment_id, 'refund_id', refund_id, 'payout_id', payout_id, 'included_in_payout_id', paid_id,
        'merchant_id', 'merchant_11sNBlsJ2Mvf9c2eyVVzcpmJ6Dfp8x3UBe', 'comment', null, 'created', created_s, 'updated', created_s, 'available_on', created_s + 86400),
      1, 1, ${number}, ${number}
    from (
      select ${id} as id, kind, created_s, case when kind = 'from_payout' then null else ${payment} end as payment_id,
        ${refund} as refund_id, case when kind = 'from_payout' then ${own} end as payout_id,
        case when paid_by is not null then ${paid} end as paid_id,
        case when kind = 'from_payout' then -paid_minor else amount end as amount, fee,
        case when kind = 'from_payout' then -paid_minor else net end as net
      from (select made.*, coalesce(sum(net) filter (where kind <> 'from_payout')
          over (partition by (i - 1) / ${PAYOUT_ROWS}), 0)::bigint as paid_minor from made) as summed
      order by i) as rows`)
    await db.execute(sql`insert into payments (entity, id, found, purchase_amount_minor, plan, looked_up_run_id, change_number)
    select ${ENTITY}, ${payment}, true, amount, 'P3X', 1, ${number} from made where kind = 'from_transaction' order by i`)
    await db.execute(sql`insert into payment_refunds (entity, payment_id, refund_id, amount_minor, created_s)
    select ${ENTITY}, ${payment}, ${textId('refund', sql`i`)}, -amount, created_s - 60 from made where kind = 'from_refund' order by i`)
  })
}

/** Indexes beside the keys are made anew after the load: as a load of millions does. */
async function withoutIndexes(
  db: Db,
  tables: readonly string[],
  load: () => Promise<void>,
): Promise<void> {
  const names = sql.join(
    tables.map((table) => sql`${table}`),
    sql`, `,
  )
  const indexes = await db.execute<{ indexname: string; indexdef: string }>(
    sql`select indexname, indexdef from pg_indexes where tablename in (${names}) and indexname not like '%\\_pk'
      and indexname not like '%\\_pkey'`,
  )
  for (const { indexname } of indexes)
    await db.execute(sql`drop index ${sql.identifier(indexname)}`)
  await load()
  for (const { indexdef } of indexes) await db.execute(sql.raw(indexdef))
}
