import { groupBy } from '../../src/domain/collections.ts'
import { type MetricsOfPeriod, thousandthsWithoutHuman } from '../../src/domain/metrics.ts'
import type { Currency } from '../../src/domain/money.ts'
import { type Page, thousandths } from './context.ts'
import { code, type Html, markup, money, nothing, plural, table, type TableRow } from './markup.ts'

/** Blocks told at most: `npm run metrics` tells all. */
const BLOCKS_MAX = 20

/**
 * How the last periods went, one line a measure: the only section that follows from earlier reports
 * and not from the facts of this one alone, see `withoutHistory`.
 */
export function historySection(page: Page): Html {
  const history = page.history ?? []
  if (history.length === 0) return nothing
  const { label } = page.reconciliation.period
  const blocks = [
    ...groupBy(history, ({ entity, currency }) => `${entity}\u0000${currency}`),
  ].filter(([, periods]) => periods.at(-1)?.period.label === label)
  return markup`<section aria-labelledby="history">
<h2 id="history">How we are doing</h2>
<p>This period beside those before it that have a report, each as its own report found it last. One bar is one period, the last bar is this one; a gap is a period in which there was nothing to measure.</p>
${blocks.slice(0, BLOCKS_MAX).map(([, periods]) => blockHistory(page, periods))}${
    blocks.length > BLOCKS_MAX
      ? markup`<p><strong>${blocks.length - BLOCKS_MAX} more tables are not shown here</strong>: <code>npm run metrics</code> prints all.</p>`
      : nothing
  }
</section>
`
}

/** The page but for what earlier reports told: whether a page says something new is not theirs to decide. */
export function withoutHistory(page: string): string {
  return page.replace(
    /(<section aria-labelledby="history">)[\s\S]*?(<\/section>)/,
    (_, open: string, close: string) => open + close,
  )
}

interface Measure {
  readonly title: string
  readonly what: string
  /** What is drawn: counts and days as they are, shares in thousandths. */
  readonly valueOf: (metrics: MetricsOfPeriod) => bigint | null
  readonly show: (value: bigint, currency: Currency) => Html
  /** The value of a full bar, where it is not the largest of those shown. */
  readonly full?: bigint
  readonly remark?: (metrics: MetricsOfPeriod) => Html
}

const count = (value: number | null): bigint | null => (value === null ? null : BigInt(value))

const MEASURES: readonly Measure[] = [
  {
    title: 'Matched without a human',
    what: 'share of the payouts sent',
    valueOf: (metrics) => count(thousandthsWithoutHuman(metrics)),
    show: (value) => markup`<span class="n">${percentText(value)}</span>`,
    full: 1000n,
    remark: ({ payouts, matchedByRule }) =>
      markup`<small>${matchedByRule} of ${plural(payouts, 'payout')}</small>`,
  },
  {
    title: 'Days to clear, median',
    what: 'business days from payout to deposit',
    valueOf: ({ medianDaysToClear }) => count(medianDaysToClear),
    show: countText,
  },
  {
    title: 'Days to clear, worst',
    what: 'the payout that took longest',
    valueOf: ({ worstDaysToClear }) => count(worstDaysToClear),
    show: countText,
  },
  {
    title: 'Oldest open item',
    what: 'days, when its report was made',
    valueOf: ({ oldestOpenDays }) => count(oldestOpenDays),
    show: countText,
    remark: ({ oldestOpenId }) =>
      oldestOpenId === null ? nothing : markup`<small>${code(oldestOpenId)}</small>`,
  },
  {
    title: 'Residuals',
    what: 'sum, regardless of sign',
    valueOf: ({ residualMinor }) => residualMinor,
    show: money,
  },
  {
    title: 'Late deposits',
    what: 'payouts that came after their window',
    valueOf: ({ lateDeposits }) => count(lateDeposits),
    show: countText,
  },
  {
    title: 'Corrections of matches',
    what: 'payouts whose reported match was given up',
    valueOf: ({ corrections }) => count(corrections),
    show: countText,
  },
]

function countText(value: bigint): Html {
  return markup`<span class="n">${value.toString()}</span>`
}

/** Thousandths as per cent: `975` is `97.5 %`. */
function percentText(value: bigint): string {
  return `${value / 10n}.${value % 10n} %`
}

function blockHistory(page: Page, periods: readonly MetricsOfPeriod[]): Html {
  const [first] = periods
  const now = periods.at(-1)
  if (first === undefined || now === undefined) return nothing
  const { entity, currency } = now
  const span =
    periods.length === 1 ? now.period.label : `${first.period.label} to ${now.period.label}`
  return table({
    caption: `${plural(periods.length, 'period')}, ${span}${page.nameOf({ entity, currency })}`,
    columns: [
      { title: 'Measure' },
      { title: 'This period', kind: 'n' },
      { title: 'Before', kind: 'n' },
      { title: 'Least and most', kind: 'n' },
      { title: span, kind: 'drawing' },
    ],
    rows: MEASURES.map((measure) => measureRow(measure, periods, now)),
  })
}

function measureRow(
  { title, what, valueOf, show, full, remark }: Measure,
  periods: readonly MetricsOfPeriod[],
  now: MetricsOfPeriod,
): TableRow {
  const values = periods.map(valueOf)
  const known = values.filter((value) => value !== null).toSorted((a, b) => (a < b ? -1 : 1))
  const told = (value: bigint | null | undefined): Html =>
    value === null || value === undefined ? markup`–` : show(value, now.currency)
  const [least, most] = [known[0], known.at(-1)]
  return {
    cells: [
      markup`<span>${title}<small>${what}</small></span>`,
      markup`<span>${told(values.at(-1))}${remark?.(now) ?? nothing}</span>`,
      told(values.at(-2)),
      least === most ? told(least) : markup`${told(least)} – ${told(most)}`,
      bars(values, full ?? most ?? 0n),
    ],
  }
}

const SLOT_WIDTH = 20

/** One bar a period, on one scale; the current one stands at the right in the colour of the page's text. */
function bars(values: readonly (bigint | null)[], full: bigint): Html {
  const height = (value: bigint): number => Math.max(thousandths(value, 0n, full), 30)
  const width = values.length * SLOT_WIDTH
  return markup`<svg class="trend" viewBox="0 0 ${width} 1000" preserveAspectRatio="none" aria-hidden="true"> <rect class="fill-rule" x="0" y="970" width="${width}" height="30" /> ${values.map((value, at) => (value === null ? nothing : markup`<rect class="${at === values.length - 1 ? 'fill-ink' : 'fill-base'}" x="${at * SLOT_WIDTH + 3}" y="${1000 - height(value)}" width="${SLOT_WIDTH - 6}" height="${height(value)}" />`))} </svg>`
}
