import { sumOf } from '../../src/domain/money.ts'
import type { SettlementRow } from '../../src/domain/reconciliation.ts'
import { type Block, type Page, thousandths } from './context.ts'
import { amount, type Html, markup, nothing, table } from './markup.ts'

interface Step {
  readonly title: string
  /** What it adds, or what stands there where `isTotal`. */
  readonly minor: bigint
  readonly isTotal?: true
}

/** From gross sales to deposits, over the payouts that were sent in the period. */
export function waterfallSection(page: Page): Html {
  return markup`<section aria-labelledby="waterfall">
<h2 id="waterfall">From gross sales to deposits</h2>
<p>What the payouts sent in this period are made of, and what of them has arrived. Each line is the total of a column of <a href="#settlements">the settlements</a>.</p>
${page.blocks.map((block) => blockWaterfall(page, block))}
</section>
`
}

/** What of a payout has come, whenever it was booked. */
export function arrivedMinor({ status, payoutAmountMinor, depositMinor }: SettlementRow): bigint {
  if (status === 'matched') return payoutAmountMinor
  return status === 'amount_differs' ? (depositMinor ?? 0n) : 0n
}

function stepsOf({ settlements }: Block, vatMinor: bigint | null): Step[] {
  const sum = (of: (row: SettlementRow) => bigint): bigint => sumOf(settlements.map(of))
  const feesMinor = sum((row) => row.feesMinor)
  const residualMinor = sum((row) => row.residualMinor)
  const transitMinor = sum((row) => (row.status === 'in_transit' ? row.payoutAmountMinor : 0n))
  const sentMinor = sum((row) => row.payoutAmountMinor)
  const cameMinor = sum(arrivedMinor)
  const missingMinor = sentMinor - transitMinor - cameMinor
  const steps: Step[] = [
    { title: 'Gross sales', minor: sum((row) => row.grossMinor), isTotal: true },
    ...(vatMinor === null
      ? [{ title: 'Fees', minor: feesMinor }]
      : [
          { title: 'Fees, without VAT', minor: feesMinor + vatMinor },
          { title: 'VAT within the fees', minor: -vatMinor },
        ]),
    { title: 'Refunds', minor: sum((row) => row.refundsMinor) },
    { title: 'Adjustments, others', minor: sum((row) => row.otherMinor) },
    ...(residualMinor === 0n ? [] : [{ title: 'Unexplained', minor: -residualMinor }]),
    { title: 'Payouts sent', minor: sentMinor, isTotal: true },
    { title: 'Not arrived: in transit', minor: -transitMinor },
    ...(missingMinor === 0n
      ? []
      : [{ title: 'Not arrived: in discrepancy', minor: -missingMinor }]),
    { title: 'Arrived at the bank', minor: cameMinor, isTotal: true },
  ]
  return steps
}

function blockWaterfall(page: Page, block: Block): Html {
  if (block.settlements.length === 0) {
    return markup`<p>No payout was sent in this period${page.nameOf(block)}.</p>`
  }
  const vat = page.journal.vat.find(({ entity }) => entity === block.entity)
  const within = vat?.inPaidFees.find(({ currency }) => currency === block.currency)
  const steps = stepsOf(block, vat?.basis === 'included' ? (within?.vatMinor ?? 0n) : null)
  const bars = barsOf(steps)
  return markup`${table({
    caption: `From gross sales to deposits, in ${block.currency}${page.nameOf(block)}`,
    columns: [
      { title: 'Step' },
      { title: block.currency, kind: 'n' },
      { title: 'Drawn', kind: 'drawing' },
    ],
    rows: steps.map((step, at) => ({
      ...(step.isTotal === true ? { className: 'sum' } : {}),
      cells: [markup`${step.title}`, amount(step.minor, block.currency), bars[at] ?? nothing],
    })),
  })}
<p class="soft">${VAT_SENTENCES[vat?.basis ?? 'unknown']}</p>
`
}

const VAT_SENTENCES = {
  included: 'The fees contain VAT, which is shown apart.',
  excluded:
    'VAT is not part of these fees and is not withheld: it comes with the invoice from Alma.',
  unknown: 'Whether the fees contain VAT is not known, so it is not shown apart.',
}

/** Each step as a bar from where the one before ended; totals stand on the ground. */
function barsOf(steps: readonly Step[]): Html[] {
  let levelMinor = 0n
  const spans = steps.map((step) => {
    const fromMinor = step.isTotal === true ? 0n : levelMinor
    levelMinor = step.isTotal === true ? step.minor : levelMinor + step.minor
    return { fromMinor, toMinor: levelMinor, step }
  })
  const ends = spans.flatMap(({ fromMinor, toMinor }) => [fromMinor, toMinor])
  const leastMinor = ends.reduce((least, end) => (end < least ? end : least), 0n)
  const mostMinor = ends.reduce((most, end) => (end > most ? end : most), 0n)
  return spans.map(({ fromMinor, toMinor, step }) => {
    const [left, right] = [fromMinor, toMinor]
      .map((minor) => thousandths(minor, leastMinor, mostMinor))
      .toSorted((a, b) => a - b)
    const fill = step.isTotal === true ? 'fill-base' : step.minor < 0n ? 'fill-warn' : 'fill-good'
    // A step that is too small to see still leaves a trace.
    const width = Math.max((right ?? 0) - (left ?? 0), step.minor === 0n ? 0 : 2)
    return markup`<svg class="bar" viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true"> <rect class="${fill}" x="${left ?? 0}" y="3" width="${width}" height="14" /> </svg>`
  })
}
