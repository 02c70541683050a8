import { formatAmount } from '../src/domain/money.ts'
import { type Note, textsOf } from '../src/domain/note.ts'
import type { Reconciliation, SummaryLine } from '../src/domain/reconciliation.ts'

/** What a report says of the run that made it. */
export interface ReportRun {
  readonly runId: number
  readonly appVersion: string
  readonly nodeVersion: string
  /** The entities that were reconciled: "the entity set". */
  readonly entities: readonly string[]
  readonly inputs: {
    readonly bankFiles: readonly ReportBankFile[]
    readonly exports: readonly ReportExport[]
    readonly ledger: readonly ReportLedger[]
  }
  /** Milliseconds by name of the step. */
  readonly timings: Readonly<Record<string, number>>
  /** What is missing from the report. */
  readonly notes: readonly Note[]
}

interface ReportBankFile {
  readonly name: string
  readonly sha256: string
  readonly format: string
}

interface ReportExport {
  readonly entity: string
  readonly exportId: string
  readonly sha256: string
  readonly rows: number
}

/** What the run fetched of one account's ledger; `walks` is passed on as it is. */
interface ReportLedger {
  readonly entity: string
  readonly requests: number
  readonly rows: number
  readonly newRows: number
  readonly changedRows: number
  readonly walks: readonly object[]
}

/**
 * `summary.json`: the lines of `summary.csv` for machines, and where they come from. Keys are the
 * CSV's column titles; `amount` is the decimal text of the CSV (always with a point), `amount_minor`
 * the same in minor units, as text because a JSON number is not exact beyond 2^53.
 */
export function summaryJson(reconciliation: Reconciliation, run: ReportRun): string {
  const { period, asOf, summary, controlFaults } = reconciliation
  return jsonText({
    notes: textsOf(run.notes),
    control_faults: controlFaults,
    period: { label: period.label, first: period.first, last: period.last },
    as_of: asOf,
    entities: run.entities,
    lines: summaryLinesJson(summary),
    inputs: {
      bank_files: run.inputs.bankFiles.map(({ name, sha256, format }) => ({
        name,
        sha256,
        format,
      })),
      exports: run.inputs.exports.map(({ entity, exportId, sha256, rows }) => ({
        entity,
        export_id: exportId,
        sha256,
        rows,
      })),
      ledger: run.inputs.ledger.map(({ walks, ...counts }) => ({
        ...snakeCased(counts),
        walks: walks.map(snakeCased),
      })),
    },
    run_id: run.runId,
    versions: { app: run.appVersion, node: run.nodeVersion },
    timings: Object.fromEntries(
      Object.entries(run.timings).map(([step, ms]) => [`${step}_ms`, Math.round(ms)]),
    ),
  })
}

/** The lines of `summary.csv` as JSON has them. */
export function summaryLinesJson(summary: readonly SummaryLine[]): object[] {
  return summary.map(({ line, entity, currency, amountMinor, rows }) => ({
    line,
    entity,
    currency,
    amount: amountMinor === null ? null : formatAmount(amountMinor, currency),
    amount_minor: amountMinor,
    rows,
  }))
}

/**
 * What differs between two runs over the same facts: how the second one looked at them. Everything
 * else in `summary.json` follows from the facts.
 */
const OF_THE_RUN_ALONE = new Set(['run_id', 'versions', 'timings', 'ledger', 'export_id'])

/** The part of a `summary.json` that follows from the facts; null if the text is none. */
export function factsOfSummaryJson(text: string): string | null {
  try {
    return JSON.stringify(
      JSON.parse(text, (key, value: unknown) => (OF_THE_RUN_ALONE.has(key) ? undefined : value)),
    )
  } catch {
    return null
  }
}

/** JSON as all report files have it: two blanks of indent, a line feed at the end, bigints as text. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(
    value,
    (_, member: unknown) => (typeof member === 'bigint' ? member.toString() : member),
    2,
  )
  return `${text}\n`
}

function snakeCased(object: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(object).map(([name, value]: [string, unknown]) => [
      name.replaceAll(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`),
      value,
    ]),
  )
}
