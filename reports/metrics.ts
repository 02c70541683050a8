/** How the last periods went, for a terminal, for machines, and for Prometheus. */
import { groupBy } from '../src/domain/collections.ts'
import { startOfDay } from '../src/domain/day.ts'
import { type MetricsOfPeriod, spanOf, thousandthsWithoutHuman } from '../src/domain/metrics.ts'
import { formatAmount } from '../src/domain/money.ts'
import { periodInstants } from '../src/domain/period.ts'
import { jsonText } from './summary-json.ts'

/**
 * Amounts as decimal text and, as text too, in minor units; the share as a decimal number from 0 to 1
 * with three digits. What each figure means stands at `PeriodMetrics`.
 */
export function metricsJson(metrics: readonly MetricsOfPeriod[]): string {
  return jsonText({
    periods: metrics.map((one) => ({
      entity: one.entity,
      currency: one.currency,
      period: { label: one.period.label, first: one.period.first, last: one.period.last },
      as_of: one.asOf,
      payouts: one.payouts,
      payouts_matched_by_rule: one.matchedByRule,
      payouts_matched_by_decision: one.matchedByDecision,
      payouts_in_transit: one.inTransit,
      payouts_in_discrepancy: one.inDiscrepancy,
      matched_without_human_ratio: ratioText(one),
      median_business_days_to_clear: one.medianDaysToClear,
      worst_business_days_to_clear: one.worstDaysToClear,
      oldest_open_item_since: one.oldestOpenSince,
      oldest_open_item_days: one.oldestOpenDays,
      oldest_open_item_id: one.oldestOpenId,
      residuals: formatAmount(one.residualMinor, one.currency),
      residuals_minor: one.residualMinor,
      late_deposits: one.lateDeposits,
      match_corrections: one.corrections,
    })),
  })
}

/** `0.975`; null where no payout was sent. */
function ratioText(metrics: MetricsOfPeriod): string | null {
  const thousandths = thousandthsWithoutHuman(metrics)
  if (thousandths === null) return null
  return `${Math.floor(thousandths / 1000)}.${String(thousandths % 1000).padStart(3, '0')}`
}

interface TextColumn {
  readonly title: string
  readonly cell: (metrics: MetricsOfPeriod) => string
}

const dash = (value: number | null): string => (value === null ? '-' : String(value))

const TEXT_COLUMNS: readonly TextColumn[] = [
  { title: 'period', cell: ({ period }) => period.label },
  { title: 'as of', cell: ({ asOf }) => asOf },
  { title: 'payouts', cell: ({ payouts }) => String(payouts) },
  { title: 'by rule', cell: (one) => `${one.matchedByRule} (${percentText(one)})` },
  { title: 'by hand', cell: ({ matchedByDecision }) => String(matchedByDecision) },
  { title: 'in transit', cell: ({ inTransit }) => String(inTransit) },
  { title: 'wrong', cell: ({ inDiscrepancy }) => String(inDiscrepancy) },
  {
    title: 'days to clear',
    cell: (one) => `${dash(one.medianDaysToClear)} / ${dash(one.worstDaysToClear)}`,
  },
  { title: 'oldest open', cell: ({ oldestOpenDays }) => dash(oldestOpenDays) },
  { title: 'residuals', cell: (one) => formatAmount(one.residualMinor, one.currency) },
  { title: 'late', cell: ({ lateDeposits }) => String(lateDeposits) },
  { title: 'corrected', cell: ({ corrections }) => String(corrections) },
]

function percentText(metrics: MetricsOfPeriod): string {
  const thousandths = thousandthsWithoutHuman(metrics)
  return thousandths === null ? '-' : `${Math.floor(thousandths / 10)}.${thousandths % 10} %`
}

/** One table for each entity, currency and span, under what the columns mean. */
export function metricsText(metrics: readonly MetricsOfPeriod[]): string {
  if (metrics.length === 0) {
    return 'There are no metrics yet: they are kept from each report on, so run npm run reconcile or npm run nightly first.\n'
  }
  const blocks = groupBy(metrics, ({ entity, currency, period }) =>
    [entity, currency, spanOf(period)].join('\u0000'),
  )
  return [
    'How each period went, as its last report found it. Payouts: matched by a rule, by a person (hand),',
    'still in transit, or wrong; days to clear: median / worst, in business days; oldest open item in',
    'days; residuals: sum regardless of sign; late: deposits after their window; corrected: payouts',
    'whose reported match was given up.',
    '',
    ...[...blocks.values()].flatMap((rows) => [...tableLines(rows), '']),
  ]
    .slice(0, -1)
    .map((line) => `${line}\n`)
    .join('')
}

function tableLines(rows: readonly MetricsOfPeriod[]): string[] {
  const [first] = rows
  const cells = [
    TEXT_COLUMNS.map(({ title }) => title),
    ...rows.map((row) => TEXT_COLUMNS.map(({ cell }) => cell(row))),
  ]
  const widths = TEXT_COLUMNS.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)))
  return [
    `${first?.entity}, ${first?.currency}`,
    ...cells.map((row) =>
      `  ${row.map((cell, at) => (at < 2 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ')}`.trimEnd(),
    ),
  ]
}

interface Gauge {
  /** With its unit, as Prometheus names things. */
  readonly name: string
  readonly help: string
  /** Each sample by the labels that it has besides entity, currency and period; null: nothing to tell. */
  readonly samples: (
    metrics: MetricsOfPeriod,
    zone: string,
  ) => readonly {
    readonly labels?: Readonly<Record<string, string>>
    readonly value: string | null
  }[]
}

function gauge(
  name: string,
  help: string,
  valueOf: (metrics: MetricsOfPeriod, zone: string) => number | bigint | string | null,
): Gauge {
  return {
    name,
    help,
    samples: (metrics, zone) => {
      const value = valueOf(metrics, zone)
      return [{ value: value === null ? null : String(value) }]
    },
  }
}

const GAUGES: readonly Gauge[] = [
  {
    name: 'alma_payouts',
    help: 'Payouts sent in the period, by what became of them.',
    samples: (one) =>
      [
        ['matched_by_rule', one.matchedByRule] as const,
        ['matched_by_decision', one.matchedByDecision] as const,
        ['in_transit', one.inTransit] as const,
        ['in_discrepancy', one.inDiscrepancy] as const,
      ].map(([state, value]) => ({ labels: { state }, value: String(value) })),
  },
  gauge(
    'alma_payouts_matched_without_human_ratio',
    'Share of the payouts sent in the period that a rule matched, from 0 to 1, rounded down to thousandths.',
    ratioText,
  ),
  gauge(
    'alma_payout_clearing_median_business_days',
    'TARGET business days within which half of the matched payouts had arrived.',
    ({ medianDaysToClear }) => medianDaysToClear,
  ),
  gauge(
    'alma_payout_clearing_worst_business_days',
    'TARGET business days of the matched payout that took longest.',
    ({ worstDaysToClear }) => worstDaysToClear,
  ),
  gauge(
    'alma_oldest_open_item_age_days',
    'Age in calendar days of the oldest item that the report leaves open, on the day of the report; no sample: nothing is open.',
    ({ oldestOpenDays }) => oldestOpenDays,
  ),
  gauge(
    'alma_oldest_open_item_timestamp_seconds',
    'Midnight of the day of the oldest item that the report leaves open; no sample: nothing is open.',
    ({ oldestOpenSince }, zone) =>
      oldestOpenSince === null ? null : startOfDay(oldestOpenSince, zone),
  ),
  gauge(
    'alma_payout_residuals_minor_units',
    'Sum of the absolute residuals of the payouts sent in the period, in minor units of the currency.',
    ({ residualMinor }) => residualMinor,
  ),
  gauge(
    'alma_late_deposits',
    'Payouts sent in the period that came after their window.',
    ({ lateDeposits }) => lateDeposits,
  ),
  gauge(
    'alma_match_corrections',
    'Payouts sent in the period whose reported match was given up.',
    ({ corrections }) => corrections,
  ),
  gauge(
    'alma_period_end_timestamp_seconds',
    'The midnight at which the period ended or will end.',
    ({ period }, zone) => periodInstants(period, zone).endS,
  ),
  gauge(
    'alma_report_as_of_timestamp_seconds',
    "Midnight of the day that counted as today in the period's last report.",
    ({ asOf }, zone) => startOfDay(asOf, zone),
  ),
]

/** The text format of Prometheus, for the textfile collector of its node exporter. */
export function metricsPrometheus(metrics: readonly MetricsOfPeriod[], zone: string): string {
  return GAUGES.map(({ name, help, samples }) => {
    const lines = metrics.flatMap((one) =>
      samples(one, zone).flatMap(({ labels, value }) =>
        value === null ? [] : [`${name}${labelText(one, labels)} ${value}\n`],
      ),
    )
    return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join('')}`
  }).join('')
}

function labelText(
  { entity, currency, period }: MetricsOfPeriod,
  more: Readonly<Record<string, string>> = {},
): string {
  const labels = Object.entries({ entity, currency, period: period.label, ...more })
  return `{${labels.map(([label, value]) => `${label}="${escaped(value)}"`).join(',')}}`
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
