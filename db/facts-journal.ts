/** The rows that a period's journal books one by one, with what the exports say of their VAT. */
import { and, asc, desc, eq, gte, lt, or, sql } from 'drizzle-orm'
import type { JournalRow } from '../src/domain/journal.ts'
import type { DbOrTx } from './client.ts'
import { isPaidOut, knownRows, type LedgerView, rowColumns } from './facts-ledger.ts'
import {
  balanceTransactions as rows,
  dataExports,
  exportLines as lines,
  payoutProofs,
} from './schema.ts'

/**
 * Rows created in the period, and rows that a payout of the period took, with the VAT of the newest
 * stored accounting export that holds them. Null if there are more than `rowsMax`.
 */
export async function loadJournalRows(
  db: DbOrTx,
  view: LedgerView,
  rowsMax: number,
): Promise<JournalRow[] | null> {
  const { entity, periodStartS, periodEndS } = view
  const newestLine = db
    .select({ vatMinor: lines.vatMinor })
    .from(lines)
    .innerJoin(
      dataExports,
      and(
        eq(dataExports.entity, lines.entity),
        eq(dataExports.requestNumber, lines.requestNumber),
        eq(dataExports.type, 'accounting'),
        eq(dataExports.state, 'stored'),
      ),
    )
    .where(and(eq(lines.entity, entity), eq(lines.balanceTransactionId, rows.id)))
    .orderBy(desc(lines.requestNumber), asc(lines.lineNumber))
    .limit(1)
    .as('newest_line')
  const isPaidInPeriod = sql`${rows.includedInPayoutId} in (select coalesce(payout.payout_id, payout.id)
    from ${rows} as payout where payout.entity = ${entity} and payout.kind = 'from_payout'
      and payout.vanished_run_id is null
      and payout.created_s >= ${periodStartS} and payout.created_s < ${periodEndS})`
  // What the condition below may hold of, by two indexes that it would not use itself.
  const perhaps = sql`(select r.id from ${rows} as r where r.entity = ${entity}
      and r.created_s >= ${periodStartS} and r.created_s < ${periodEndS}
    union select r.id from ${payoutProofs} as p inner join ${rows} as r
      on r.entity = p.entity and r.included_in_payout_id = p.payout_id
    where p.entity = ${entity} and p.own_first_created_s < ${periodEndS}
      and p.own_last_created_s >= ${periodStartS})`
  const found = await db
    .select({
      ...rowColumns,
      exportVatMinor: newestLine.vatMinor,
      paidOut: sql<boolean>`coalesce(${isPaidOut(view)}, false)`,
    })
    .from(rows)
    .leftJoinLateral(newestLine, sql`true`)
    .where(
      and(
        knownRows(view),
        sql`${rows.id} in ${perhaps}`,
        or(
          and(gte(rows.createdS, periodStartS), lt(rows.createdS, periodEndS)),
          and(isPaidOut(view), isPaidInPeriod),
        ),
      ),
    )
    .orderBy(asc(rows.createdS), asc(rows.id))
    .limit(rowsMax + 1)
  if (found.length > rowsMax) return null
  return found.map(({ exportVatMinor, paidOut, ...row }) => ({
    row: { ...row, includedInPayoutId: paidOut ? row.includedInPayoutId : null },
    exportVatMinor,
  }))
}
