/** What a reconciliation found, for people and for machines. */
import { isOpenStatus } from '../reports/changes.ts'
import { subjectOf } from '../reports/mail.ts'
import { jsonText, summaryLinesJson } from '../reports/summary-json.ts'
import type { WrittenReports } from '../reports/write.ts'
import { keyOf } from '../src/domain/discrepancy-key.ts'
import { money } from '../src/domain/findings.ts'
import { absolute, formatAmount, sumOf } from '../src/domain/money.ts'
import type { DiscrepancyRow, Reconciliation, SummaryLine } from '../src/domain/reconciliation.ts'
import type { BankImport } from './import-bank.ts'
import { type WhatIf, whatIfJson } from './what-if.ts'

/** Discrepancies told on the terminal; the CSV holds all of them. */
const TOLD_MAX = 40

/** @param notes what is missing from the report, each as a sentence. */
export function resultText(
  reconciliation: Reconciliation,
  written: WrittenReports,
  notes: readonly string[],
): string {
  const where = written.changed
    ? `Reports: ${written.dir}`
    : `Reports: ${written.dir} (unchanged, byte for byte)`
  return text([
    ...notes.map((note) => `! ${note}`),
    ...overview(reconciliation),
    ...told(reconciliation, notes),
    '',
    where,
  ])
}

/** The result in one line, as a mail's subject has it. */
export function resultLine(
  { period, discrepancies }: Pick<Reconciliation, 'period' | 'discrepancies'>,
  isIncomplete: boolean,
): string {
  return subjectOf(
    period.label,
    discrepancies.filter(({ status }) => isOpenStatus(status)),
    isIncomplete,
  )
}

/** What a dry run would change against the last report of the period. */
export function dryRunText(
  reconciliation: Reconciliation,
  before:
    | readonly { readonly discrepancyId: string; readonly code: string; readonly status: string }[]
    | null,
  imported: BankImport,
  notes: readonly string[],
): string {
  const statusBefore = new Map(before?.map(({ discrepancyId, status }) => [discrepancyId, status]))
  const now = new Set(reconciliation.discrepancies.map(({ discrepancyId }) => discrepancyId))
  const changes = [
    ...reconciliation.discrepancies
      .filter(({ discrepancyId, status }) => statusBefore.get(discrepancyId) !== status)
      .map((row) => `  + ${discrepancyLine(row)}`),
    ...(before ?? [])
      .filter(({ discrepancyId }) => !now.has(discrepancyId))
      .map(({ discrepancyId, code }) => `  - ${code} ${discrepancyId} would be gone`),
  ]
  const files = imported.files.map(
    ({ name, newEntries }) =>
      `  + ${name} with ${newEntries === 1 ? '1 new bank entry' : `${newEntries} new bank entries`}`,
  )
  return text([
    ...notes.map((note) => `! ${note}`),
    ...overview(reconciliation),
    '',
    'Dry run: nothing was stored, mailed or written. It would change:',
    ...(files.length + changes.length === 0 ? ['  nothing'] : [...files, ...changes]),
  ])
}

/**
 * @param written null for a dry run.
 * @param whatIf what other settings would move; null: none were tried.
 */
export function resultJson(
  reconciliation: Reconciliation,
  written: WrittenReports | null,
  notes: readonly string[],
  whatIf: WhatIf | null = null,
): string {
  const { period, asOf, summary, discrepancies } = reconciliation
  return jsonText({
    notes,
    period: { label: period.label, first: period.first, last: period.last },
    as_of: asOf,
    reports:
      written === null
        ? null
        : { dir: written.dir, changed: written.changed, manifest_sha256: written.manifestSha256 },
    ...(whatIf === null ? {} : { what_if: whatIfJson(whatIf) }),
    lines: summaryLinesJson(summary),
    discrepancies: discrepancies.map((row) => ({
      discrepancy_id: row.discrepancyId,
      code: row.code,
      status: row.status,
      entity: row.entity,
      currency: row.currency,
      difference:
        row.differenceMinor === null ? null : formatAmount(row.differenceMinor, row.currency),
      key: keyOf(row),
      explanation: row.explanation,
      next_step: row.nextStep,
    })),
  })
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}

function overview({ period, asOf, summary }: Reconciliation): string[] {
  const blocks = new Set(summary.map(({ entity, currency }) => `${entity}\u0000${currency}`))
  return [
    `Alma ${period.label} (${period.first} to ${period.last}), as of ${asOf}`,
    ...[...blocks].flatMap((block) =>
      proofLines(summary.filter(({ entity, currency }) => `${entity}\u0000${currency}` === block)),
    ),
  ]
}

/** The proof in four lines: the balance rolls forward, and each payout is accounted for. */
function proofLines(lines: readonly SummaryLine[]): string[] {
  const at = (name: string): string => {
    const line = lines.find((candidate) => candidate.line === name)
    return line === undefined ? '' : money(line.amountMinor ?? 0n, line.currency)
  }
  const count = (name: string): number =>
    lines.find((candidate) => candidate.line === name)?.rows ?? 0
  const counted = (name: string): string => `${count(name)} (${at(name)})`
  return [
    `  ${lines[0]?.entity}: balance ${at('opening_balance')} → ${at('closing_balance')}, ties`,
    `    payouts sent ${counted('payouts_sent')} = matched ${counted('payouts_matched')} + in transit ${counted('payouts_in_transit')} + in discrepancy ${counted('payouts_in_discrepancy')}`,
    `    deposits received ${counted('deposits_received')}`,
    `    discrepancies: ${counted('discrepancies_new')} new, ${counted('discrepancies_open')} open from before, ${counted('discrepancies_cleared')} cleared`,
  ]
}

function told({ discrepancies }: Reconciliation, notes: readonly string[]): string[] {
  if (discrepancies.length === 0) {
    const clear = notes.length === 0
    return ['', clear ? 'All clear: nothing is open.' : 'Nothing is open in what there is.']
  }
  const atStake = sumOf(
    discrepancies
      .filter(({ status }) => status !== 'cleared' && status !== 'accepted')
      .map(({ differenceMinor }) => absolute(differenceMinor ?? 0n)),
  )
  const currency = discrepancies[0]?.currency ?? ''
  const more = discrepancies.length - TOLD_MAX
  return [
    '',
    `${discrepancies.length} ${discrepancies.length === 1 ? 'discrepancy' : 'discrepancies'}, ${money(atStake, currency)} at stake:`,
    ...discrepancies
      .slice(0, TOLD_MAX)
      .flatMap((row) => [`  ${discrepancyLine(row)}`, `    ${row.explanation}`]),
    ...(more > 0 ? [`  … and ${more} more in discrepancies.csv`] : []),
  ]
}

function discrepancyLine(row: DiscrepancyRow): string {
  const amount = row.differenceMinor === null ? '' : `  ${money(row.differenceMinor, row.currency)}`
  return `${row.status}  ${row.code}  ${keyOf(row)}${amount}`
}
