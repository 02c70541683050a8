import { createHash } from 'node:crypto'
import type { Echo } from './causes.ts'
import { compareText } from './collections.ts'
import { type Day, daysBetween } from './day.ts'
import { signature } from './decisions.ts'
import type { Decision } from './facts.ts'
import { type Currency, formatAmount } from './money.ts'
import { nextStepFor } from './next-steps.ts'
import { type Period, periodContains } from './period.ts'
import {
  DISCREPANCY_CODES,
  type DiscrepancyCode,
  type DiscrepancyRow,
  type DiscrepancyStatus,
} from './reconciliation.ts'

/**
 * Something that is not as it should be, with its life: it begins on the day of its subject and ends
 * on the day of the fact that closed it. Which report names it, and how, follows from these two days
 * alone (`placeFinding`), never from how often a run was made.
 */
export interface Finding {
  readonly code: DiscrepancyCode
  readonly entity: string
  /** The value of the column that the contract names as the code's key. */
  readonly key: string
  readonly currency: Currency
  readonly day: Day
  /** The day of the fact that closed it, and that fact in words; null while it is open. */
  readonly closed: { readonly day: Day; readonly by: string } | null
  /** Periods after that of its day tell it only if they reach this day: the day on which it was seen. */
  readonly tellFrom?: Day
  /** A finding that tells how something went but leaves nothing to do: only its own period's report names it. */
  readonly ownPeriodOnly?: boolean
  /** What follows from it beyond the table of `causes.ts`. */
  readonly echoes?: readonly Echo[]
  readonly expectedMinor?: bigint | null
  readonly actualMinor?: bigint | null
  readonly expectedDay?: Day | null
  readonly actualDay?: Day | null
  readonly payoutId?: string | null
  readonly balanceTransactionId?: string | null
  readonly paymentId?: string | null
  readonly refundId?: string | null
  readonly bankReference?: string | null
  readonly bankAccount?: string | null
  readonly bankFile?: string | null
  /** One or two plain sentences with the figures in them. */
  readonly explanation: string
}

/** `1204.50 EUR`. */
export function money(amountMinor: bigint, currency: Currency): string {
  return `${formatAmount(amountMinor, currency)} ${currency}`
}

/** The id that a discrepancy keeps for life. `rank` tells apart several with one key (1 is the first). */
function discrepancyId(entity: string, code: DiscrepancyCode, key: string, rank = 1): string {
  const parts = rank === 1 ? [entity, code, key] : [entity, code, key, String(rank)]
  return `disc_${createHash('sha256').update(parts.join('\u0000')).digest('hex').slice(0, 16)}`
}

/**
 * How the report of a period names a finding, or null if it does not (contract, section 4). A credit
 * that was sent back and paid again is told as `cleared` in its own period too.
 */
function placeFinding(finding: Finding, period: Period): DiscrepancyStatus | null {
  if (finding.day > period.last) return null
  if (periodContains(period, finding.day)) {
    if (finding.closed === null) return 'new'
    return finding.code === 'deposit_returned' ? 'cleared' : null
  }
  if (finding.ownPeriodOnly === true) return null
  if (isToldLater(finding, period)) return null
  if (finding.closed === null) return 'open'
  return periodContains(period, finding.closed.day) ? 'cleared' : null
}

/** Whether the report of a period after its day leaves it to later ones, because it was not seen by then. */
export function isToldLater({ day, tellFrom }: Finding, period: Period): boolean {
  return tellFrom !== undefined && !periodContains(period, day) && period.last < tellFrom
}

/** What people decided about discrepancies: the latest decision on each, by its id. */
export interface Verdicts {
  readonly byDiscrepancy: ReadonlyMap<string, Decision>
  readonly zone: string
}

const NO_VERDICTS: Verdicts = { byDiscrepancy: new Map(), zone: 'UTC' }

/** The discrepancies that the report of a period names, in their final order. */
export function toDiscrepancies(
  findings: readonly Finding[],
  period: Period,
  asOf: Day,
  verdicts: Verdicts = NO_VERDICTS,
): DiscrepancyRow[] {
  const ordered = findings.toSorted(compareFindings)
  const ranks = new Map<string, number>()
  const rows: DiscrepancyRow[] = []
  for (const finding of ordered) {
    const first = discrepancyId(finding.entity, finding.code, finding.key)
    const rank = (ranks.get(first) ?? 0) + 1
    ranks.set(first, rank)
    const status = placeFinding(finding, period)
    if (status === null) continue
    const id = discrepancyId(finding.entity, finding.code, finding.key, rank)
    rows.push(judged(toRow(finding, id, status, asOf), verdicts))
  }
  return rows
}

/** What is new or open may have been written off, or taken up again. What a fact closed needs no verdict. */
function judged(row: DiscrepancyRow, { byDiscrepancy, zone }: Verdicts): DiscrepancyRow {
  const verdict = byDiscrepancy.get(row.discrepancyId)
  if (verdict === undefined || (row.status !== 'new' && row.status !== 'open')) return row
  const isAccepted = verdict.kind === 'accept'
  const decided = `${isAccepted ? 'Accepted' : 'Reopened'} by ${signature(verdict, zone)}.`
  return {
    ...row,
    status: isAccepted ? 'accepted' : 'reopened',
    explanation: `${row.explanation} ${decided}`,
    nextStep: isAccepted
      ? 'Nothing to do: it was written off. If that was wrong, take it up again with decide reopen.'
      : row.nextStep,
  }
}

function toRow(finding: Finding, id: string, status: DiscrepancyStatus, asOf: Day): DiscrepancyRow {
  const expectedMinor = finding.expectedMinor ?? null
  const actualMinor = finding.actualMinor ?? null
  const known = expectedMinor !== null && actualMinor !== null
  const cleared = finding.closed !== null && status === 'cleared'
  return {
    discrepancyId: id,
    code: finding.code,
    status,
    entity: finding.entity,
    currency: finding.currency,
    differenceMinor: known ? actualMinor - expectedMinor : null,
    expectedMinor,
    actualMinor,
    expectedDay: finding.expectedDay ?? null,
    actualDay: finding.actualDay ?? null,
    payoutId: finding.payoutId ?? null,
    balanceTransactionId: finding.balanceTransactionId ?? null,
    paymentId: finding.paymentId ?? null,
    refundId: finding.refundId ?? null,
    bankReference: finding.bankReference ?? null,
    bankAccount: finding.bankAccount ?? null,
    bankFile: finding.bankFile ?? null,
    since: finding.day,
    ageDays: Math.max(0, daysBetween(finding.day, asOf)),
    explanation: cleared
      ? `${finding.explanation} Cleared: ${finding.closed.by}`
      : finding.explanation,
    nextStep: cleared ? 'Nothing to do: it is settled.' : nextStepFor(finding.code),
  }
}

const codeOrder = new Map(DISCREPANCY_CODES.map((code, position) => [code, position]))

function compareFindings(a: Finding, b: Finding): number {
  return (
    compareText(a.entity, b.entity) ||
    compareText(a.day, b.day) ||
    (codeOrder.get(a.code) ?? 0) - (codeOrder.get(b.code) ?? 0) ||
    compareText(a.key, b.key) ||
    compareText(a.bankAccount ?? '', b.bankAccount ?? '') ||
    compareText(a.explanation, b.explanation)
  )
}
