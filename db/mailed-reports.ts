/** What the mails of a period told of. */
import { and, asc, desc, eq, inArray, lte, ne, sql } from 'drizzle-orm'
import { type Day, parseDay } from '../src/domain/day.ts'
import type { Db } from './client.ts'
import type { MailSubject } from './mail-deliveries.ts'
import { mailDeliveries, periodReports, reportedDiscrepancies, runs } from './schema.ts'

/** A discrepancy as a report named it. */
interface ReportedDiscrepancy {
  readonly entity: string
  readonly discrepancyId: string
  readonly code: string
  readonly status: string
  readonly currency: string
  readonly differenceMinor: bigint | null
  readonly since: Day
  readonly explanation: string
}

export interface MailedReport {
  /** The day that counted as today in the run that sent the mail. */
  readonly asOf: Day
  readonly discrepancies: readonly ReportedDiscrepancy[]
}

/**
 * The report behind the last mail that these recipients have of a period, other than a mail of this
 * very result: so a page says the same before its mail is sent and after.
 * @param entities whose discrepancies are wanted; the report was about all of them, and may have been
 * about more.
 * @returns null where no such mail was sent.
 */
export async function findLastMailedReport(
  db: Db,
  { period, recipients, resultSha256 }: MailSubject,
  entities: readonly string[],
): Promise<MailedReport | null> {
  const [mail] = await db
    .select({ runId: mailDeliveries.runId, asOf: runs.asOf })
    .from(mailDeliveries)
    .innerJoin(runs, eq(runs.id, mailDeliveries.runId))
    .where(
      and(
        eq(mailDeliveries.period, period),
        eq(mailDeliveries.recipients, recipients),
        eq(mailDeliveries.state, 'sent'),
        ne(mailDeliveries.resultSha256, resultSha256),
      ),
    )
    .orderBy(desc(mailDeliveries.lastAttemptAt), desc(mailDeliveries.id))
    .limit(1)
  if (mail?.asOf == null) return null
  // A run records a report only where it says something new, so the mail's may be of an earlier run.
  const [report] = await db
    .select({ id: periodReports.id })
    .from(periodReports)
    .where(
      and(
        eq(periodReports.period, period),
        lte(periodReports.runId, mail.runId),
        ...entities.map(
          (entity) => sql`${entity} = any(string_to_array(${periodReports.entitySet}, '|'))`,
        ),
      ),
    )
    .orderBy(desc(periodReports.id))
    .limit(1)
  if (report === undefined) return null
  const rows = await db
    .select({
      entity: reportedDiscrepancies.entity,
      discrepancyId: reportedDiscrepancies.discrepancyId,
      code: reportedDiscrepancies.code,
      status: reportedDiscrepancies.status,
      currency: reportedDiscrepancies.currency,
      differenceMinor: reportedDiscrepancies.differenceMinor,
      since: reportedDiscrepancies.since,
      explanation: reportedDiscrepancies.explanation,
    })
    .from(reportedDiscrepancies)
    .where(
      and(
        eq(reportedDiscrepancies.reportId, report.id),
        inArray(reportedDiscrepancies.entity, [...entities]),
      ),
    )
    .orderBy(asc(reportedDiscrepancies.since), asc(reportedDiscrepancies.discrepancyId))
  return {
    asOf: parseDay(mail.asOf),
    discrepancies: rows.map((row) => ({ ...row, since: parseDay(row.since) })),
  }
}
