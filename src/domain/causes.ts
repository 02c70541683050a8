import { groupBy } from './collections.ts'
import type { Finding } from './findings.ts'
import type { DiscrepancyCode } from './reconciliation.ts'

/** What two findings must share for one to follow from the other. */
type Tie = 'balanceTransactionId' | 'payoutId'

/** A finding that follows from another one, and by what the two are tied. */
export interface Echo {
  readonly code: DiscrepancyCode
  readonly tie: Tie
}

/** About the same ledger row. */
const row = (...codes: DiscrepancyCode[]): Echo[] =>
  codes.map((code) => ({ code, tie: 'balanceTransactionId' }))

/** About the same payout. */
const payout = (...codes: DiscrepancyCode[]): Echo[] =>
  codes.map((code) => ({ code, tie: 'payoutId' }))

/**
 * One cause, one row: what follows from a finding is named in its explanation instead of standing
 * beside it. Beyond this table: a residual follows from findings about the payout's rows
 * (`residualCauses`), breaks of a refund from changes of its row (`refundsExplainedByChanges`), and a
 * finding may know further echoes of its own (`Finding.echoes`).
 */
export const ECHOES: Partial<Record<DiscrepancyCode, readonly Echo[]>> = {
  line_changed: row('export_differs', 'vat_mismatch', 'fee_rate', 'line_not_paid_out'),
  late_change: row('export_differs', 'vat_mismatch', 'fee_rate', 'line_not_paid_out'),
  line_arithmetic: row('export_differs', 'vat_mismatch', 'fee_rate'),
  line_sign: row('export_differs', 'fee_rate'),
  // What a row of an unknown kind is due for, and what it deducts, is not known either.
  line_unknown_kind: row(
    'export_lacks',
    'export_differs',
    'line_not_paid_out',
    'refund_unknown',
    'refund_without_payment',
    'refund_amount',
  ),
  // The second row is the fault: that it is unpaid, or in no export, only shows it.
  line_duplicate: row('export_lacks', 'export_differs', 'fee_rate', 'line_not_paid_out'),
  payout_duplicate: row('export_lacks'),
  payout_empty: [...row('export_lacks'), ...payout('deposit_missing')],
  payout_residual: row('export_differs'),
  export_differs: row('vat_mismatch'),
}

/** What a change of these fields of a row brings with it, beyond the table. */
export function echoesOfChange(fields: ReadonlySet<string>): Echo[] {
  const isAny = (...names: string[]): boolean => names.some((name) => fields.has(name))
  return [
    ...(isAny('amountMinor', 'feeMinor', 'netMinor') ? row('line_arithmetic') : []),
    ...(isAny('amountMinor', 'kind') ? row('line_sign') : []),
    ...(isAny('kind') ? row('line_unknown_kind') : []),
    ...(isAny('amountMinor', 'paymentId', 'refundId', 'kind') ? row('line_duplicate') : []),
  ]
}

/** What it brings with it that a payout's own row is gone. */
export const ECHOES_OF_A_PAYOUT_GONE: readonly Echo[] = payout('payout_unknown')

/**
 * Findings without those that follow from another finding.
 * @param isTold whether the report tells a finding: behind one that it does not tell, nothing may
 * disappear.
 */
export function withoutEchoes(
  findings: readonly Finding[],
  isTold: (finding: Finding) => boolean = () => true,
): Finding[] {
  const related = {
    balanceTransactionId: groupBy(findings, (finding) => echoName(finding, 'balanceTransactionId')),
    payoutId: groupBy(findings, (finding) => echoName(finding, 'payoutId')),
  }
  const echoes = new Map<Finding, Finding[]>()
  const absorbed = new Set<Finding>()
  // In the order of the table, so that a cause of a cause is looked at first.
  for (const cause of findings.toSorted((a, b) => placeOf(a) - placeOf(b))) {
    if (absorbed.has(cause) || !isTold(cause)) continue
    for (const { code, tie } of [...(ECHOES[cause.code] ?? []), ...(cause.echoes ?? [])]) {
      const name = echoName(cause, tie, code)
      for (const echo of name === null ? [] : (related[tie].get(name) ?? [])) {
        if (absorbed.has(echo) || outlives(echo, cause)) continue
        absorbed.add(echo)
        const follows = echoes.get(cause)
        if (follows === undefined) echoes.set(cause, [echo])
        else follows.push(echo)
      }
    }
  }
  return findings
    .filter((finding) => !absorbed.has(finding))
    .map((finding) => {
      const follows = echoes.get(finding)
      if (follows === undefined) return finding
      const codes = [...new Set(follows.map((echo) => echo.code))].toSorted().join(', ')
      return { ...finding, explanation: `${finding.explanation} From this follows: ${codes}.` }
    })
}

/** What is still open is never hidden behind something that is closed. */
function outlives(echo: Finding, cause: Finding): boolean {
  return echo.closed === null && (cause.closed !== null || cause.ownPeriodOnly === true)
}

/** What a finding of a code must be about to be tied to the finding; null: it is about no such thing. */
function echoName(finding: Finding, tie: Tie, code = finding.code): string | null {
  const id = finding[tie]
  return id == null ? null : `${code}\u0000${finding.entity}\u0000${id}`
}

const places = new Map(Object.keys(ECHOES).map((code, place) => [code, place]))

function placeOf({ code, echoes }: Finding): number {
  return echoes === undefined ? (places.get(code) ?? places.size) : -1
}
