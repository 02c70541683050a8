import { textsOf } from '../../src/domain/note.ts'
import type { DiscrepancyRow } from '../../src/domain/reconciliation.ts'
import type { Change } from '../changes.ts'
import { type Block, type Page, stakes } from './context.ts'
import { meaningSentence } from './discrepancies.ts'
import { type Html, markup, money, moneyList, nothing, plural } from './markup.ts'
import { isOpen } from './words.ts'
import { blockTies } from './proof.ts'

/** The answer before any detail: does it tie, what is open, what is at stake. */
export function headSection(page: Page): Html {
  const { period, asOf, discrepancies } = page.reconciliation
  const open = discrepancies.filter(isOpen)
  const ties = page.blocks.every(blockTies) && page.reconciliation.controlFaults.length === 0
  const edge = !ties ? 'bad-edge' : open.length > 0 || page.notes.length > 0 ? 'warn-edge' : ''
  return markup`<header>
<p class="eyebrow">Alma reconciliation${page.hasSeveralEntities || page.blocks[0] === undefined ? nothing : markup` of ${page.blocks[0].entity}`}</p>
<h1>${period.label}</h1>
<p class="soft">${period.first} to ${period.last}, as known on ${asOf}</p>
<div class="verdict ${edge}">
<p>${ties ? markup`<span class="good">✓ The figures tie.</span>` : markup`<span class="bad">✗ The figures do not tie. Do not use this report.</span>`}</p>
<p>${openSentence(open)}</p>
${meaningSentence(open, 'split')}${newsSentence(page)}
</div>
${notesBox(page)}
${page.blocks.map((block) => figures(page, block))}
</header>
<nav aria-label="Sections">
<ul>
<li><a href="#proof">Does it tie</a></li>
<li><a href="#new">What is new</a></li>
<li><a href="#stake">At stake, and how old</a></li>
<li><a href="#next">What to do</a></li>
<li><a href="#waterfall">From sales to deposits</a></li>
<li><a href="#arrivals">When payouts arrived</a></li>
${
  (page.history ?? []).length === 0
    ? nothing
    : markup`<li><a href="#history">How we are doing</a></li>
`
}<li><a href="#settlements">Settlements</a></li>
<li><a href="#refunds">Refunds</a></li>
<li><a href="#open-items">Open items</a></li>
</ul>
</nav>
`
}

function openSentence(open: readonly DiscrepancyRow[]): Html {
  if (open.length === 0) return markup`Nothing is open: all clear.`
  const fresh = open.filter(({ status }) => status === 'new').length
  const verb = open.length === 1 ? 'is' : 'are'
  return markup`${plural(open.length, 'discrepancy', 'discrepancies')} ${verb} open, ${moneyList(stakes(open), 'no amount')} at stake; ${fresh === 0 ? 'none is' : fresh === open.length ? 'all' : fresh} new in this period.`
}

/** One line for who read the last mail; the list stands under what is new. */
function newsSentence({ news }: Page): Html {
  const mailed = news.filter(({ mail }) => mail.asOf !== null)
  if (mailed.length === 0) return nothing
  const count = (kind: Change['kind']): number =>
    sumOfCounts(
      mailed.map(({ changes }) => changes.filter((change) => change.kind === kind).length),
    )
  const counts = [
    `${count('new')} new`,
    `${count('changed')} changed`,
    `${count('settled') + count('gone')} settled or gone`,
  ]
  return markup`<p class="split">Since <a href="#since-mail">the last mail</a>: ${counts.join(', ')}.</p>
`
}

function sumOfCounts(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** What the report had to do without stands above its figures, so that nobody takes silence for agreement. */
function notesBox({ notes, journal }: Page): Html {
  const all = [...new Set(textsOf([...notes, ...journal.notes]))]
  if (all.length === 0) return nothing
  return markup`<div class="notes">
<h2 id="missing">What is missing from this report</h2>
<ul>
${all.map(
  (note) => markup`<li>${note}</li>
`,
)}
</ul>
</div>`
}

function figures(page: Page, block: Block): Html {
  const { currency, lines } = block
  const at = (name: string) => lines.find(({ line }) => line === name)
  const figure = (label: string, name: string, what: (rows: number) => string): Html => {
    const line = at(name)
    return markup`<div>
<dt>${label}</dt>
<dd>${money(line?.amountMinor ?? 0n, currency)}<small>${what(line?.rows ?? 0)}</small></dd>
</div>`
  }
  return markup`<dl class="figures" aria-label="Key figures${page.nameOf(block)}">
${
  page.blocks.length > 1
    ? markup`<div>
<dt>Entity</dt>
<dd>${block.entity}<small>${currency}</small></dd>
</div>`
    : nothing
}
${figure('Payouts sent', 'payouts_sent', (rows) => plural(rows, 'payout'))}
${figure('of them arrived', 'payouts_matched', (rows) => `${plural(rows, 'payout')} matched`)}
${figure('of them in transit', 'payouts_in_transit', (rows) => plural(rows, 'payout'))}
${figure('of them in discrepancy', 'payouts_in_discrepancy', (rows) => plural(rows, 'payout'))}
${figure('Still owed by Alma', 'closing_balance', () => 'closing balance of its ledger')}
</dl>`
}
