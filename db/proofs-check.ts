/** The stored proofs against each other and against rows that they are not made from. */
import { sql } from 'drizzle-orm'
import { ControlTotalsFault } from '../src/errors.ts'
import type { DbOrTx } from './client.ts'
import {
  balanceTransactions as rows,
  exportPairs,
  exportProofs,
  ledgerDays,
  ledgerProofs,
  payoutProofs,
} from './schema.ts'

/** One figure by two ways; both as decimal text, since sums go beyond safe numbers. */
interface Figure {
  readonly what: string
  readonly stored: string
  readonly found: string
}

/**
 * Days are summed by creation and payouts by what they took, so each sum is had twice: over days, and
 * over payouts with the open rows and the payouts' own rows, which are read from the ledger.
 * @throws ControlTotalsFault naming each figure that differs, and `--full`.
 */
export async function refuseIfProofsDiffer(db: DbOrTx, entity: string): Promise<void> {
  const differing = (await loadFigures(db, entity)).filter(({ stored, found }) => stored !== found)
  if (differing.length === 0) return
  const told = differing.map(({ what, stored, found }) => `${what}: ${stored} against ${found}`)
  throw new ControlTotalsFault(
    `what is stored as proved of the ledger of ${entity} does not tie, so nothing was written:\n  ${told.join('\n  ')}`,
    {
      hint: 'Run reconcile once more with --full: it proves everything anew from the stored rows. If it still does not tie, please report it with these lines.',
    },
  )
}

/** One statement, so that all figures are of one moment; none if the ledger has moved on meanwhile. */
async function loadFigures(db: DbOrTx, entity: string): Promise<Figure[]> {
  const found = await db.execute<{ what: string; stored: string; found: string }>(sql`with
      day as (select
          coalesce(sum(d.rows), 0) as rows,
          coalesce(sum(d.net_minor) filter (where d.kind <> 'from_payout'), 0) as net,
          coalesce(sum(d.amount_minor) filter (where d.kind = 'from_transaction'), 0) as gross,
          coalesce(sum(d.fee_minor) filter (where d.kind = 'from_transaction'), 0) as fees,
          coalesce(sum(d.net_minor) filter (where d.kind = 'from_refund'), 0) as refunds,
          coalesce(sum(d.net_minor) filter (where d.kind not in ('from_payout', 'from_transaction', 'from_refund')), 0) as other,
          coalesce(sum(d.net_minor) filter (where d.kind = 'from_payout'), 0) as sent
        from ${ledgerDays} as d where d.entity = ${entity}),
      paid as (select coalesce(sum(p.transactions), 0) as rows, coalesce(sum(p.net_minor), 0) as net,
          coalesce(sum(p.gross_minor), 0) as gross, -coalesce(sum(p.fees_minor), 0) as fees,
          coalesce(sum(p.refunds_minor), 0) as refunds, coalesce(sum(p.other_minor), 0) as other,
          coalesce(sum(p.own_rows), 0) as own_rows, coalesce(sum(p.own_first_created_s), 0) as own_first_s
        from ${payoutProofs} as p where p.entity = ${entity}),
      open as (select count(*) as rows, coalesce(sum(r.net_minor), 0) as net,
          coalesce(sum(r.amount_minor) filter (where r.kind = 'from_transaction'), 0) as gross,
          coalesce(sum(r.fee_minor) filter (where r.kind = 'from_transaction'), 0) as fees,
          coalesce(sum(r.net_minor) filter (where r.kind = 'from_refund'), 0) as refunds,
          coalesce(sum(r.net_minor) filter (where r.kind not in ('from_transaction', 'from_refund')), 0) as other
        from ${rows} as r where r.entity = ${entity} and r.included_in_payout_id is null
          and r.kind <> 'from_payout' and r.vanished_run_id is null),
      own as (select coalesce(sum(each.rows), 0) as rows, coalesce(sum(each.net), 0) as net,
          coalesce(sum(each.first_s), 0) as first_s
        from (select count(*) as rows, sum(r.net_minor) as net, min(r.created_s) as first_s
          from ${rows} as r where r.entity = ${entity} and r.kind = 'from_payout' and r.vanished_run_id is null
          group by coalesce(r.payout_id, r.id)) as each),
      pairs as (select coalesce(sum(e.pairs), 0) as stored, (select count(*) from ${exportPairs} as each
          where each.entity = ${entity}) as found
        from ${exportProofs} as e where e.entity = ${entity})
    select figure.what, figure.stored::text as stored, figure.found::text as found
    from day, paid, open, own, pairs, lateral (values
      ('rows by day and by payout', day.rows, paid.rows + open.rows + own.rows),
      ('nets of rows by day and by payout', day.net, paid.net + open.net),
      ('sales by day and by payout', day.gross, paid.gross + open.gross),
      ('fees of sales by day and by payout', day.fees, paid.fees + open.fees),
      ('refunds by day and by payout', day.refunds, paid.refunds + open.refunds),
      ('other rows by day and by payout', day.other, paid.other + open.other),
      ('payouts by day and in the ledger', day.sent, own.net),
      ('payout rows as proved and in the ledger', paid.own_rows, own.rows),
      ('instants of payouts as proved and in the ledger', paid.own_first_s, own.first_s),
      ('differences with exports as counted and as stored', pairs.stored, pairs.found)
    ) as figure (what, stored, found)
    where exists (select 1 from ${ledgerProofs} as state where state.entity = ${entity}
      and (state.changed_number = state.proved_number or state.changed_number = 0))`)
  return [...found]
}
