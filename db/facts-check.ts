/** Sums of the ledger's rows as they are stored, for a report that was made from what is proved of them. */
import { and, gte, inArray, lt, sql } from 'drizzle-orm'
import type { RowSums } from '../src/domain/invariants.ts'
import type { DbOrTx } from './client.ts'
import { knownRows, type LedgerView } from './facts-ledger.ts'
import { balanceTransactions as rows } from './schema.ts'

/** Ids in one statement. */
const PAYOUTS_AT_ONCE = 5_000

/**
 * The rows of the period by kind, and the rows in these payouts, none of them by way of the stored
 * proofs. What it costs grows with the period, not with the ledger.
 * @param payoutIds those that the report settles.
 */
export async function loadRowSums(
  db: DbOrTx,
  view: LedgerView,
  payoutIds: readonly string[],
): Promise<RowSums> {
  const { entity, periodStartS, periodEndS } = view
  const movements = await db
    .select({ kind: rows.kind, currency: rows.currency, netMinor: netSum(), rows: rowCount() })
    .from(rows)
    .where(and(knownRows(view), gte(rows.createdS, periodStartS), lt(rows.createdS, periodEndS)))
    .groupBy(rows.kind, rows.currency)
  const payouts = new Map<string, { netMinor: bigint; rows: number }>()
  for (let from = 0; from < payoutIds.length; from += PAYOUTS_AT_ONCE) {
    const found = await db
      .select({ payoutId: rows.includedInPayoutId, netMinor: netSum(), rows: rowCount() })
      .from(rows)
      .where(
        and(
          knownRows(view),
          inArray(rows.includedInPayoutId, payoutIds.slice(from, from + PAYOUTS_AT_ONCE)),
          sql`${rows.kind} <> 'from_payout'`,
        ),
      )
      .groupBy(rows.includedInPayoutId)
    for (const { payoutId, ...sums } of found) payouts.set(payoutId ?? '', sums)
  }
  return { entity, movements, payouts }
}

function netSum() {
  return sql<bigint>`coalesce(sum(${rows.netMinor}), 0)`.mapWith(BigInt)
}

function rowCount() {
  return sql<number>`count(*)`.mapWith(Number)
}
