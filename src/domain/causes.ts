import { groupBy } from './collections.ts'
import type { Finding } from './findings.ts'
import type { DiscrepancyCode } from './reconciliation.ts'

/**
 * One cause, one row: a finding that only follows from another one about the same ledger row is
 * named in that one's explanation instead of standing beside it.
 */
const EXPORT_ECHOES = [
  'export_only',
  'export_lacks',
  'export_differs',
  'vat_mismatch',
  'fee_rate',
] as const

const ECHOES: Partial<Record<DiscrepancyCode, readonly DiscrepancyCode[]>> = {
  line_vanished: EXPORT_ECHOES,
  line_changed: [...EXPORT_ECHOES, 'line_not_paid_out'],
  line_arithmetic: EXPORT_ECHOES,
  line_sign: EXPORT_ECHOES,
  line_unknown_kind: EXPORT_ECHOES,
  line_duplicate: [...EXPORT_ECHOES, 'line_not_paid_out'],
  payout_duplicate: EXPORT_ECHOES,
  payout_residual: EXPORT_ECHOES,
  payout_empty: EXPORT_ECHOES,
  export_differs: ['vat_mismatch'],
}

/** Findings without those that follow from another finding about the same row. */
export function withoutEchoes(findings: readonly Finding[]): Finding[] {
  const ofRow = groupBy(findings, (finding) => finding.balanceTransactionId ?? null)
  const echoes = new Map<Finding, Finding[]>()
  const absorbed = new Set<Finding>()
  for (const [id, group] of ofRow) {
    if (id === null) continue
    for (const cause of group) {
      if (absorbed.has(cause)) continue
      for (const echo of group) {
        if (!(ECHOES[cause.code]?.includes(echo.code) ?? false) || absorbed.has(echo)) continue
        absorbed.add(echo)
        echoes.set(cause, [...(echoes.get(cause) ?? []), echo])
      }
    }
  }
  return findings
    .filter((finding) => !absorbed.has(finding))
    .map((finding) => {
      const follows = echoes.get(finding)
      if (follows === undefined) return finding
      const codes = follows.map((echo) => echo.code).join(', ')
      return { ...finding, explanation: `${finding.explanation} From this follows: ${codes}.` }
    })
}
