/** Sums of payouts and of days. What was touched is summed again from its rows, never added to. */
import { type SQL, sql } from 'drizzle-orm'
import type { Tx } from './client.ts'
import { withResult } from './proofs-result.ts'
import type { ProofScope } from './proofs.ts'
import {
  balanceTransactionChanges as changes,
  balanceTransactions as rows,
  ledgerDays,
  payoutProofs,
} from './schema.ts'

const SECONDS_PER_DAY = 86_400

export async function provePayoutsAndDays(tx: Tx, scope: ProofScope): Promise<void> {
  const { entity, sinceNumber } = scope
  if (sinceNumber === null) {
    await tx.execute(sql`delete from ${payoutProofs} where entity = ${entity}`)
    await tx.execute(sql`delete from ${ledgerDays} where entity = ${entity}`)
    // Both from one reading of the ledger.
    await withResult(tx, grainsOf(thereRows(entity)), async (grains) => {
      await tx.execute(insertDays(entity, grains))
      await tx.execute(insertPayouts(entity, grains))
    })
    return
  }
  await tx.execute(sql`delete from ${payoutProofs} where entity = ${entity}
    and payout_id in (${touchedPayouts(entity, sinceNumber)})`)
  await tx.execute(sql`with touched as materialized (${touchedPayouts(entity, sinceNumber)}),
    grains as materialized (${grainsOf(rowsOfTouched(entity))})
    ${insertPayouts(entity, sql`grains`)}`)
  for (const { firstDay, lastDay } of await touchedDays(tx, entity, sinceNumber)) {
    const within = sql`created_s >= ${firstDay * SECONDS_PER_DAY} and created_s < ${(lastDay + 1) * SECONDS_PER_DAY}`
    await tx.execute(
      sql`delete from ${ledgerDays} where entity = ${entity} and day_number between ${firstDay} and ${lastDay}`,
    )
    await tx.execute(sql`with grains as materialized (${grainsOf(sql`${thereRows(entity)} and ${within}`)})
      ${insertDays(entity, sql`grains`)}`)
  }
}

const COLUMNS = sql.raw(
  'r.id, r.kind, r.currency, r.amount_minor, r.fee_minor, r.net_minor, r.payout_id, r.included_in_payout_id, r.created_s, r.available_on_s',
)

/** Rows that are in the provider's list. */
function thereRows(entity: string): SQL {
  return sql`select ${COLUMNS} from ${rows} as r where r.entity = ${entity} and r.vanished_run_id is null`
}

/**
 * Sums by payout, kind, currency and day: the least from which both payouts and days are made.
 * `offset 0` hides from the planner that days are made of instants: it would expect as many sums as
 * there are rows, and sort them all.
 */
function grainsOf(source: SQL): SQL {
  return sql`select payout_id, kind, currency, day_number, count(*) as rows,
      sum(amount_minor) as amount_minor, sum(fee_minor) as fee_minor, sum(net_minor) as net_minor,
      min(created_s) as first_s, max(created_s) as last_s, min(available_s) as available_s
    from (select kind, currency, amount_minor, fee_minor, net_minor, created_s,
        case when kind = 'from_payout' then coalesce(payout_id, id) else included_in_payout_id end as payout_id,
        (created_s / ${sql.raw(String(SECONDS_PER_DAY))})::int as day_number,
        coalesce(available_on_s, created_s) as available_s
      from (${source}) as r offset 0) as placed
    group by payout_id, kind, currency, day_number`
}

function insertDays(entity: string, grains: SQL): SQL {
  return sql`insert into ${ledgerDays}
      (entity, day_number, kind, currency, rows, amount_minor, fee_minor, net_minor)
    select ${entity}, day_number, kind, currency, sum(rows)::bigint, sum(amount_minor)::bigint,
      sum(fee_minor)::bigint, sum(net_minor)::bigint
    from ${grains} as grains group by day_number, kind, currency`
}

function insertPayouts(entity: string, grains: SQL): SQL {
  const sumOf = (what: string, kinds: string): SQL =>
    sql.raw(`coalesce(sum(${what}) filter (where ${kinds}), 0)::bigint`)
  const own = "kind = 'from_payout'"
  const paid = "kind <> 'from_payout'"
  const sale = "kind = 'from_transaction'"
  return sql`insert into ${payoutProofs} (entity, payout_id, currency, is_mixed, transactions,
      gross_minor, fees_minor, refunds_minor, other_minor, net_minor, first_row_created_s,
      last_row_created_s, first_available_s, own_rows, own_first_created_s, own_last_created_s)
    select ${entity}, payout_id, min(currency) filter (where ${sql.raw(paid)}),
      coalesce(min(currency) filter (where ${sql.raw(paid)}) <> max(currency) filter (where ${sql.raw(paid)}), false),
      ${sumOf('rows', paid)}, ${sumOf('amount_minor', sale)}, ${sumOf('-fee_minor', sale)},
      ${sumOf('net_minor', "kind = 'from_refund'")},
      ${sumOf('net_minor', "kind not in ('from_payout', 'from_transaction', 'from_refund')")},
      ${sumOf('net_minor', paid)},
      min(first_s) filter (where ${sql.raw(paid)}), max(last_s) filter (where ${sql.raw(paid)}),
      min(available_s) filter (where ${sql.raw(paid)}), ${sumOf('rows', own)},
      min(first_s) filter (where ${sql.raw(own)}), max(last_s) filter (where ${sql.raw(own)})
    from ${grains} as grains where payout_id is not null group by payout_id order by payout_id`
}

/** Payouts that touched rows stand for or are in, or did or were before. */
export function touchedPayouts(entity: string, sinceNumber: number): SQL {
  return sql`select payout_id from (
      with touched_rows as (select id, kind, payout_id, included_in_payout_id from ${rows} as r
        where r.entity = ${entity} and r.change_number > ${sinceNumber})
      select included_in_payout_id as payout_id from touched_rows
      union select payout_id from touched_rows
      union select id from touched_rows where kind = 'from_payout'
      union select case when changed.field = 'kind' then changed.transaction_id else changed.before end
        from touched_rows inner join ${changes} as changed
          on changed.entity = ${entity} and changed.transaction_id = touched_rows.id
        where changed.field in ('includedInPayoutId', 'payoutId', 'kind')
    ) as named where payout_id is not null`
}

function rowsOfTouched(entity: string): SQL {
  const joined = (on: string): SQL => sql`select ${COLUMNS} from touched inner join ${rows} as r
    on r.entity = ${entity} and ${sql.raw(on)} where r.vanished_run_id is null`
  return sql`${joined("r.included_in_payout_id = touched.payout_id and r.kind <> 'from_payout'")}
    union all ${joined("r.payout_id = touched.payout_id and r.kind = 'from_payout'")}
    union all ${joined("r.id = touched.payout_id and r.payout_id is null and r.kind = 'from_payout'")}`
}

/** The days of rows of which more changed than their payout, as stretches of days that follow each other. */
async function touchedDays(
  tx: Tx,
  entity: string,
  sinceNumber: number,
): Promise<{ firstDay: number; lastDay: number }[]> {
  const found = await tx.execute<{ day: number }>(sql`select distinct
      (created_s / ${sql.raw(String(SECONDS_PER_DAY))})::int as day from ${rows} as r
    where r.entity = ${entity} and r.change_number > ${sinceNumber} and r.content_number > ${sinceNumber}
    order by day`)
  const stretches: { firstDay: number; lastDay: number }[] = []
  for (const { day } of found) {
    const last = stretches.at(-1)
    if (last?.lastDay === day - 1) last.lastDay = day
    else stretches.push({ firstDay: day, lastDay: day })
  }
  return stretches
}
