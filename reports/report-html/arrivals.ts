import { compareText, groupBy } from '../../src/domain/collections.ts'
import { addDays, type Day, daysBetween, maxDay, minDay, weekday } from '../../src/domain/day.ts'
import { sumOf } from '../../src/domain/money.ts'
import { periodContains } from '../../src/domain/period.ts'
import type { SettlementRow } from '../../src/domain/reconciliation.ts'
import type { Page } from './context.ts'
import { type Html, markup, moneyList, plural, table } from './markup.ts'
import { SETTLEMENT_WORDS } from './words.ts'

/** Lines of the strip; beyond that those that went as they should are left out first. */
const STRIP_ROWS_MAX = 62
/** Days that the strip is wide at most. */
const STRIP_DAYS_MAX = 70

/** Payouts that were sent on one day and went the same way. */
interface Journey {
  readonly sent: Day
  readonly rows: readonly SettlementRow[]
  readonly status: SettlementRow['status']
  readonly booked: Day | null
}

/** A strip of days: for each day's payouts when they were sent and when they arrived. */
export function arrivalsSection(page: Page): Html {
  const { settlements, period, asOf } = page.reconciliation
  const all = journeysOf(settlements)
  const shown =
    all.length <= STRIP_ROWS_MAX
      ? all
      : all.filter(({ status }) => status !== 'matched').slice(0, STRIP_ROWS_MAX)
  if (all.length === 0) {
    return markup`<section aria-labelledby="arrivals">
<h2 id="arrivals">When payouts arrived</h2>
<p>No payout was sent in this period, and none is open from before.</p>
</section>
`
  }
  const inPeriod = shown.filter(({ sent }) => periodContains(period, sent))
  const first =
    inPeriod.length < shown.length
      ? minDay(period.first, ...shown.map(({ sent }) => sent))
      : period.first
  const wanted = maxDay(
    period.last,
    ...shown.map(({ booked }) => booked ?? minDay(asOf, addDays(period.last, 14))),
  )
  // The last days matter: what is older than the strip begins at its left edge.
  const from = maxDay(first, addDays(wanted, 1 - STRIP_DAYS_MAX))
  const days = daysBetween(from, wanted) + 1
  return markup`<section aria-labelledby="arrivals">
<h2 id="arrivals">When payouts arrived</h2>
<p>One line for the payouts of a day that went the same way; each is drawn from left to right over the days named above the last column, weekends are shaded.</p>
${shown.length < all.length ? markup`<p><strong>${all.length - shown.length} lines are not drawn here</strong>: payouts that arrived, and what goes beyond ${STRIP_ROWS_MAX} lines. All stand in settlements.csv.</p>` : null}
${table({
  caption: 'Payouts by the day on which they were sent',
  columns: [
    { title: 'Sent' },
    { title: 'Payouts' },
    { title: 'Amount', kind: 'n' },
    { title: 'Arrived' },
    { title: 'Business days', kind: 'n' },
    { title: `${from} to ${wanted}`, kind: 'drawing' },
  ],
  rows: shown.map((journey) => ({
    cells: [
      markup`${journey.sent}`,
      markup`<span class="${SETTLEMENT_WORDS[journey.status].tone}">${journey.rows.length > 1 ? markup`${plural(journey.rows.length, 'payout')}: ` : null}${SETTLEMENT_WORDS[journey.status].text}</span>`,
      moneyList(sums(journey.rows), '–'),
      markup`${journey.booked ?? '–'}`,
      markup`${lag(journey.rows)}`,
      strip(journey, { from, days, asOf }),
    ],
  })),
})}
<ul class="legend">
<li><span class="key fill-base"></span>sent</li>
<li><span class="key fill-good"></span>arrived</li>
<li><span class="key fill-warn"></span>in transit</li>
<li><span class="key fill-bad"></span>in discrepancy</li>
</ul>
</section>
`
}

function journeysOf(settlements: readonly SettlementRow[]): Journey[] {
  const groups = groupBy(settlements, ({ createdDay, status, bookedDay }) =>
    [createdDay, status, bookedDay ?? ''].join(' '),
  )
  return [...groups]
    .flatMap(([, rows]): Journey[] => {
      const [first] = rows
      if (first === undefined) return []
      return [{ sent: first.createdDay, status: first.status, booked: first.bookedDay, rows }]
    })
    .toSorted(
      (a, b) =>
        compareText(a.sent, b.sent) ||
        compareText(a.booked ?? '~', b.booked ?? '~') ||
        compareText(a.status, b.status),
    )
}

function sums(rows: readonly SettlementRow[]): Map<string, bigint> {
  return new Map(
    [...groupBy(rows, ({ currency }) => currency)].map(([currency, own]) => [
      currency,
      sumOf(own.map(({ payoutAmountMinor }) => payoutAmountMinor)),
    ]),
  )
}

function lag(rows: readonly SettlementRow[]): string {
  const found = new Set(rows.map(({ lagDays }) => (lagDays === null ? '–' : String(lagDays))))
  return [...found].join(', ')
}

const DAY_WIDTH = 10

function strip(
  { sent, booked, status }: Journey,
  { from, days, asOf }: { readonly from: Day; readonly days: number; readonly asOf: Day },
): Html {
  const at = (day: Day): number => Math.min(Math.max(daysBetween(from, day), 0), days - 1)
  const start = at(sent)
  const end = at(booked ?? asOf)
  const { tone } = SETTLEMENT_WORDS[status]
  const weekends = Array.from({ length: days }, (_, index) => index).filter(
    (index) => weekday(addDays(from, index)) > 5,
  )
  return markup`<svg class="strip" viewBox="0 0 ${days * DAY_WIDTH} 20" preserveAspectRatio="none" aria-hidden="true"> ${weekends.map((index) => markup`<rect class="fill-weekend" x="${index * DAY_WIDTH}" y="0" width="${DAY_WIDTH}" height="20" />`)} <rect class="fill-rule" x="0" y="19" width="${days * DAY_WIDTH}" height="1" /> <rect class="fill-${tone}" x="${start * DAY_WIDTH + DAY_WIDTH / 2}" y="9" width="${Math.max(end - start, 0) * DAY_WIDTH}" height="3"/> ${booked === null ? null : markup`<rect class="fill-${tone}" x="${end * DAY_WIDTH + 1}" y="3" width="${DAY_WIDTH - 2}" height="14" />`} <rect class="fill-base" x="${start * DAY_WIDTH + 3}" y="3" width="${DAY_WIDTH - 6}" height="14"/> </svg>`
}
