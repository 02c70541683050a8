import { sumOf } from '../../src/domain/money.ts'
import type { SummaryLine } from '../../src/domain/reconciliation.ts'
import type { Block, Page } from './context.ts'
import { amount, type Html, markup, money, plural, table, type TableRow } from './markup.ts'
import { lineTitle } from './words.ts'

const SENT = ['payouts_matched', 'payouts_in_transit', 'payouts_in_discrepancy']

/** The lines between the opening and the closing balance. */
function movements({ lines }: Block): readonly SummaryLine[] {
  const from = lines.findIndex(({ line }) => line === 'opening_balance')
  const to = lines.findIndex(({ line }) => line === 'closing_balance')
  return from < 0 || to < 0 ? [] : lines.slice(from + 1, to)
}

function amountAt({ lines }: Block, name: string): bigint {
  return lines.find(({ line }) => line === name)?.amountMinor ?? 0n
}

function balanceTies(block: Block): boolean {
  const movedMinor = sumOf(movements(block).map(({ amountMinor }) => amountMinor ?? 0n))
  return amountAt(block, 'opening_balance') + movedMinor === amountAt(block, 'closing_balance')
}

function payoutsTie(block: Block): boolean {
  return sumOf(SENT.map((name) => amountAt(block, name))) === amountAt(block, 'payouts_sent')
}

/** Added up once more from the lines that the page shows. */
export function blockTies(block: Block): boolean {
  return balanceTies(block) && payoutsTie(block)
}

export function proofSection(page: Page): Html {
  return markup`<section aria-labelledby="proof">
<h2 id="proof">Does it tie</h2>
<p>Each figure is a line of <code>summary.csv</code>. The sums were added up again for this page.</p>
${page.blocks.map((block) => blockProof(page, block))}
</section>
`
}

function blockProof(page: Page, block: Block): Html {
  const name = page.nameOf(block)
  const row = (line: SummaryLine, className?: string): TableRow => ({
    ...(className === undefined ? {} : { className }),
    cells: [
      markup`${lineTitle(line.line)}`,
      amount(line.amountMinor ?? 0n, line.currency),
      markup`${line.rows}`,
    ],
  })
  const rows = (names: readonly string[], sum: string): TableRow[] =>
    block.lines
      .filter(({ line }) => names.includes(line))
      .map((line) => row(line, line.line === sum ? 'sum' : undefined))
  const columns = (count: string) =>
    [{ title: 'Line' }, { title: block.currency, kind: 'n' }, { title: count, kind: 'n' }] as const
  return markup`${table({
    caption: `The balance at Alma rolls forward${name}`,
    columns: columns('Rows'),
    rows: rows(
      ['opening_balance', ...movements(block).map(({ line }) => line), 'closing_balance'],
      'closing_balance',
    ),
  })}${check(balanceTies(block), 'Opening balance and movements give the closing balance.')}
${table({
  caption: `Each payout is accounted for${name}`,
  columns: columns('Payouts'),
  rows: [...rows(SENT, ''), ...rows(['payouts_sent'], 'payouts_sent')],
})}${check(payoutsTie(block), 'Matched, in transit and in discrepancy give what was sent.')}
${received(block)}${journalCheck(page, block)}`
}

/** Counted at the bank by itself: deposits of this period may pay payouts of the one before. */
function received({ lines, currency }: Block): Html | null {
  const line = lines.find((candidate) => candidate.line === 'deposits_received')
  if (line === undefined) return null
  return markup`<p>The bank booked ${plural(line.rows, 'deposit')} of Alma in these days, together ${money(line.amountMinor ?? 0n, currency)}: some pay payouts of the period before, and some payouts of this one arrive after it.</p>`
}

function check(holds: boolean, sentence: string): Html {
  return holds
    ? markup`<p class="good">✓ ${sentence}</p>`
    : markup`<p class="bad">✗ This does not hold: ${sentence}</p>`
}

/** The books against the ledger: the provider's account must move as the ledger does. */
function journalCheck({ journal }: Page, block: Block): Html {
  const isBooked = journal.vat.some(
    ({ entity, isBooked: booked }) => entity === block.entity && booked,
  )
  if (!isBooked) return markup`<p class="warn">– There is no journal, see above.</p>`
  const moved = journal.moved.find(
    ({ entity, currency }) => entity === block.entity && currency === block.currency,
  )
  const bookedMinor = moved?.debitMinor ?? 0n
  const movedMinor = amountAt(block, 'closing_balance') - amountAt(block, 'opening_balance')
  return markup`${check(
    bookedMinor === movedMinor,
    `journal.csv moves account ${journal.accounts.provider} as the ledger moved.`,
  )}
<p class="soft">Opening ${money(amountAt(block, 'opening_balance'), block.currency)}, entries ${money(bookedMinor, block.currency)}, closing ${money(amountAt(block, 'closing_balance'), block.currency)}.</p>`
}
