/** The record of written reports and of the discrepancies that they named. */
import { and, asc, desc, eq } from 'drizzle-orm'
import { type Day, parseDay } from '../src/domain/day.ts'
import type { DiscrepancyRow } from '../src/domain/reconciliation.ts'
import { bulkUpsert } from './bulk.ts'
import type { DbOrTx, Tx } from './client.ts'
import { periodReports, reportedDiscrepancies } from './schema.ts'

export interface WrittenReport {
  readonly runId: number
  readonly period: string
  readonly entitySet: string
  readonly asOf: Day
  readonly manifestSha256: string
  /** Items that it leaves open: discrepancies, payouts, rows and refunds. */
  readonly openItems: number
  readonly discrepancies: readonly DiscrepancyRow[]
}

/** The key of a set of entities: their names in order. */
export function entitySetOf(entities: readonly string[]): string {
  return [...entities].toSorted().join('|')
}

export async function recordReport(tx: Tx, report: WrittenReport): Promise<void> {
  const { runId, period, entitySet, asOf, manifestSha256, openItems } = report
  const [row] = await tx
    .insert(periodReports)
    .values({ runId, period, entitySet, asOf, manifestSha256, openItems })
    .returning({ id: periodReports.id })
  if (row === undefined) throw new Error('the database did not return the id of the new report')
  await bulkUpsert(
    tx,
    reportedDiscrepancies,
    report.discrepancies.map((found) => ({
      entity: found.entity,
      reportId: row.id,
      discrepancyId: found.discrepancyId,
      code: found.code,
      status: found.status,
      currency: found.currency,
      differenceMinor: found.differenceMinor,
      since: found.since,
      explanation: found.explanation,
    })),
    { conflict: ['entity', 'reportId', 'discrepancyId'] },
  )
}

/** The hash of the newest manifest of a set of entities; null for the first. */
export async function findPreviousManifest(db: DbOrTx, entitySet: string): Promise<string | null> {
  const [row] = await db
    .select({ sha256: periodReports.manifestSha256 })
    .from(periodReports)
    .where(eq(periodReports.entitySet, entitySet))
    .orderBy(desc(periodReports.id))
    .limit(1)
  return row?.sha256 ?? null
}

/** The hash of the newest manifest on record of a period; null if there is none. */
export async function findRecordedManifest(
  db: DbOrTx,
  period: string,
  entitySet: string,
): Promise<string | null> {
  const [row] = await db
    .select({ sha256: periodReports.manifestSha256 })
    .from(periodReports)
    .where(and(eq(periodReports.period, period), eq(periodReports.entitySet, entitySet)))
    .orderBy(desc(periodReports.id))
    .limit(1)
  return row?.sha256 ?? null
}

/** The newest report on record of a period; null if there is none. */
export async function findLastReport(
  db: DbOrTx,
  period: string,
  entitySet: string,
): Promise<{ asOf: Day; manifestSha256: string } | null> {
  const [row] = await db
    .select({ asOf: periodReports.asOf, manifestSha256: periodReports.manifestSha256 })
    .from(periodReports)
    .where(and(eq(periodReports.period, period), eq(periodReports.entitySet, entitySet)))
    .orderBy(desc(periodReports.id))
    .limit(1)
  return row === undefined ? null : { ...row, asOf: parseDay(row.asOf) }
}

/** What the newest report of a period named; null if there is none. */
export async function loadLastReported(
  db: DbOrTx,
  period: string,
  entitySet: string,
): Promise<{ discrepancyId: string; code: string; status: string }[] | null> {
  const [last] = await db
    .select({ id: periodReports.id })
    .from(periodReports)
    .where(and(eq(periodReports.period, period), eq(periodReports.entitySet, entitySet)))
    .orderBy(desc(periodReports.id))
    .limit(1)
  if (last === undefined) return null
  return db
    .select({
      discrepancyId: reportedDiscrepancies.discrepancyId,
      code: reportedDiscrepancies.code,
      status: reportedDiscrepancies.status,
    })
    .from(reportedDiscrepancies)
    .where(eq(reportedDiscrepancies.reportId, last.id))
    .orderBy(asc(reportedDiscrepancies.discrepancyId))
}

/** The newest report of each period of a set of entities, with the day on which it looked. */
export async function loadLastReports(
  db: DbOrTx,
  entitySet: string,
): Promise<{ period: string; asOf: Day; openItems: number }[]> {
  const found = await db
    .selectDistinctOn([periodReports.period], {
      period: periodReports.period,
      asOf: periodReports.asOf,
      openItems: periodReports.openItems,
    })
    .from(periodReports)
    .where(eq(periodReports.entitySet, entitySet))
    .orderBy(asc(periodReports.period), desc(periodReports.id))
  return found.map((report) => ({ ...report, asOf: parseDay(report.asOf) }))
}
