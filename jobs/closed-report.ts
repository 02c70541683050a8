/** The report of a period that somebody signed: as signed, with what changed since at its end. */
import type { DbOrTx } from '../db/client.ts'
import { loadSignedReport, type StandingClose } from '../db/closes.ts'
import { writeSignedReport } from '../reports/signed.ts'
import type { WrittenReports } from '../reports/write.ts'
import { dayOfInstant } from '../src/domain/day.ts'
import type { reconcile } from '../src/domain/reconcile.ts'
import type { DiscrepancyRow } from '../src/domain/reconciliation.ts'

type Reconciled = ReturnType<typeof reconcile>

export interface SignedAgain {
  /** The signed discrepancies and control totals, and the late changes after them. */
  readonly reconciliation: Reconciled
  readonly late: readonly DiscrepancyRow[]
  /** What a reader must know of it, as a sentence. */
  readonly note: string
  write(dir: string): Promise<WrittenReports>
}

/** @param now what the facts say today, of which the signed report takes the late changes only. */
export async function signedAgain(
  db: DbOrTx,
  close: StandingClose,
  now: Reconciled,
  zone: string,
): Promise<SignedAgain> {
  const signed = await loadSignedReport(db, close.id)
  const known = new Set(signed.discrepancies.map(({ discrepancyId }) => discrepancyId))
  const late = now.discrepancies.filter(
    ({ code, discrepancyId }) => code === 'late_change' && !known.has(discrepancyId),
  )
  const changes =
    late.length === 0
      ? 'nothing of it changed since'
      : `${late.length === 1 ? 'one later change is' : `${late.length} later changes are`} listed at the end of discrepancies.csv`
  return {
    reconciliation: {
      ...now,
      discrepancies: [...signed.discrepancies, ...late],
      summary: signed.controlTotals,
    },
    late,
    note: `${close.label} was closed by ${close.closedBy} on ${dayOfInstant(close.closedS, zone)}: its files stay as they were signed, and ${changes}.`,
    write: (dir) =>
      writeSignedReport({
        dir,
        period: close.label,
        files: signed.files,
        dialect: close.csvDialect,
        late,
      }),
  }
}
