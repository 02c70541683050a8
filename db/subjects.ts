/** What is stored about one id, whatever it is the id of. */
import { and, asc, eq, inArray, min, or } from 'drizzle-orm'
import type { BalanceTransaction } from '../src/domain/balance-transaction.ts'
import type { ReportMention } from '../src/domain/story.ts'
import type { DbOrTx } from './client.ts'
import { rowColumns } from './facts-ledger.ts'
import { balanceTransactions as rows, periodReports, reportedDiscrepancies } from './schema.ts'

/** Ledger rows that are, stand for, are in, or refund the thing with this id; gone ones too. */
export async function loadRowsAbout(
  db: DbOrTx,
  entities: readonly string[],
  id: string,
): Promise<{ entity: string; row: BalanceTransaction }[]> {
  return db
    .select({ entity: rows.entity, row: rowColumns })
    .from(rows)
    .where(
      and(
        inArray(rows.entity, [...entities]),
        or(
          eq(rows.id, id),
          eq(rows.payoutId, id),
          eq(rows.includedInPayoutId, id),
          eq(rows.paymentId, id),
          eq(rows.refundId, id),
        ),
      ),
    )
    .orderBy(asc(rows.entity), asc(rows.id))
}

/** When the oldest stored row of the entities was created, in epoch seconds; null if there is none. */
export async function findFirstCreation(
  db: DbOrTx,
  entities: readonly string[],
): Promise<number | null> {
  const [found] = await db
    .select({ firstS: min(rows.createdS) })
    .from(rows)
    .where(inArray(rows.entity, [...entities]))
  return found?.firstS ?? null
}

/** Reports that named any of these discrepancies, oldest first. */
export async function loadReportMentions(
  db: DbOrTx,
  discrepancyIds: readonly string[],
): Promise<ReportMention[]> {
  if (discrepancyIds.length === 0) return []
  return db
    .select({
      period: periodReports.period,
      asOf: periodReports.asOf,
      runId: periodReports.runId,
      discrepancyId: reportedDiscrepancies.discrepancyId,
      code: reportedDiscrepancies.code,
      status: reportedDiscrepancies.status,
    })
    .from(reportedDiscrepancies)
    .innerJoin(periodReports, eq(periodReports.id, reportedDiscrepancies.reportId))
    .where(inArray(reportedDiscrepancies.discrepancyId, [...discrepancyIds]))
    .orderBy(asc(periodReports.id), asc(reportedDiscrepancies.discrepancyId))
}
