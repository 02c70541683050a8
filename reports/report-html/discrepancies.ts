import { groupBy } from '../../src/domain/collections.ts'
import { absolute, type Currency } from '../../src/domain/money.ts'
import type { DiscrepancyRow, OpenItemRow } from '../../src/domain/reconciliation.ts'
import { type Change, isOpenStatus, type MailedDiscrepancy } from '../changes.ts'
import {
  cutNote,
  type News,
  type Page,
  stakes,
  stakesByMeaning,
  TABLE_ROWS_MAX,
  thousandths,
} from './context.ts'
import {
  amount,
  anchor,
  code,
  markup,
  type Html,
  money,
  moneyList,
  nothing,
  plural,
  table,
} from './markup.ts'
import { CODE_TITLES, costWords, isOpen, STATUS_WORDS, titleOf } from './words.ts'

function discrepancyAnchor({ discrepancyId }: DiscrepancyRow): string {
  return anchor('discrepancy', discrepancyId)
}

/** What is new first, then what is still open, then what is settled; the largest amounts first. */
export function discrepanciesSection(page: Page): Html {
  const all = page.reconciliation.discrepancies
  const having = (...statuses: DiscrepancyRow['status'][]): DiscrepancyRow[] =>
    all.filter(({ status }) => statuses.includes(status)).toSorted(byStake)
  const fresh = having('new')
  return markup`<section aria-labelledby="new">
<h2 id="new">What is new</h2>
${sinceLastMail(page)}
${fresh.length === 0 ? markup`<p>Nothing new in this period.</p>` : part(page, 'New in this period', fresh)}
${part(page, 'Open from before', having('open', 'reopened'))}
${part(page, 'Cleared in this period', having('cleared'))}
${part(page, 'Accepted', having('accepted'))}
</section>
`
}

const CHANGES_MAX = 100

/** What a reader of the last mail does not know yet, one block for each set of recipients. */
function sinceLastMail(page: Page): Html {
  const { news } = page
  if (news.length === 0) return nothing
  const block = ({ mail, changes }: News): Html => {
    const about = news.length > 1 ? ` about ${mail.entities.join(', ')}` : ''
    if (mail.asOf === null) {
      return markup`<p>No mail${about} has told of this period yet.</p>
`
    }
    if (changes.length === 0) {
      return markup`<p>Nothing has changed since the mail${about} of ${mail.asOf}.</p>
`
    }
    return markup`<p>Since the mail${about} of ${mail.asOf}:</p>
<ul class="changes">
${changes.slice(0, CHANGES_MAX).map(changeLine)}</ul>
${changes.length > CHANGES_MAX ? markup`<p>${changes.length - CHANGES_MAX} more changes are not listed here; the cards below have them.</p>` : nothing}`
  }
  return markup`<div class="since"><h3 id="since-mail">Since the last mail</h3>
${news.map(block)}</div>`
}

function changeLine(change: Change): Html {
  if (change.kind === 'gone') {
    const { code: gone, differenceMinor, currency, since, discrepancyId } = change.before
    return markup`<li><b>Gone</b> ${titleOf(gone)}${amountOf(differenceMinor, currency)}, since ${since} (${code(discrepancyId)}): the facts of today do not show it any more.</li>
`
  }
  const { row, kind } = change
  const what = markup`<a href="#${discrepancyAnchor(row)}">${CODE_TITLES[row.code]}</a>${amountOf(row.differenceMinor, row.currency)}, since ${row.since}`
  if (kind === 'new') {
    return markup`<li><b>New</b> ${what}</li>
`
  }
  if (kind === 'settled') {
    return markup`<li><b>${STATUS_WORDS[row.status]}</b> ${what}: ${row.explanation}</li>
`
  }
  return markup`<li><b>Changed</b> ${what}: ${howChanged(row, change.before)}</li>
`
}

function howChanged(row: DiscrepancyRow, before: MailedDiscrepancy): Html {
  if (!isOpenStatus(before.status)) return markup`it was ${before.status} and is open again.`
  if (before.differenceMinor !== row.differenceMinor) {
    return before.differenceMinor === null
      ? markup`the mail named no amount.`
      : markup`the mail said ${signed(before.differenceMinor, before.currency)}.`
  }
  return markup`the mail explained it so: “${before.explanation}”`
}

function amountOf(differenceMinor: bigint | null, currency: Currency): Html {
  return differenceMinor === null ? nothing : markup`, ${signed(differenceMinor, currency)}`
}

function byStake(a: DiscrepancyRow, b: DiscrepancyRow): number {
  const [left, right] = [absolute(a.differenceMinor ?? 0n), absolute(b.differenceMinor ?? 0n)]
  return left === right ? 0 : left > right ? -1 : 1
}

function part(page: Page, title: string, rows: readonly DiscrepancyRow[]): Html {
  if (rows.length === 0) return nothing
  return markup`<h3>${title} (${rows.length})</h3>
${cards(page, rows)}`
}

function cards(page: Page, rows: readonly DiscrepancyRow[]): Html {
  return markup`${rows.slice(0, TABLE_ROWS_MAX).map((row) => card(page, row))}${cutNote(TABLE_ROWS_MAX, rows.length, 'discrepancies.csv')}`
}

function card(page: Page, row: DiscrepancyRow): Html {
  const { currency } = row
  const cash = (minor: bigint): Html => money(minor, currency)
  const on = (at: string | null): Html =>
    at === null ? nothing : markup` <span class="tag">(${at})</span>`
  const facts: (readonly [string, Html | null])[] = [
    [
      'Expected',
      row.expectedMinor === null
        ? day(row.expectedDay)
        : markup`${cash(row.expectedMinor)}${on(row.expectedDay)}`,
    ],
    [
      'Found',
      row.actualMinor === null
        ? day(row.actualDay)
        : markup`${cash(row.actualMinor)}${on(row.actualDay)}`,
    ],
    ['Payout', row.payoutId === null ? null : page.payout(row.entity, row.payoutId)],
    ['Refund', row.refundId === null ? null : page.refund(row.entity, row.refundId)],
    ['Payment', id(row.paymentId)],
    ['Ledger row', id(row.balanceTransactionId)],
    ['Bank reference', id(row.bankReference)],
    ['Bank account', id(row.bankAccount)],
    ['Bank file', id(row.bankFile)],
    ...bookings(page, row),
    ['Discrepancy', code(row.discrepancyId)],
  ]
  return markup`<article id="${discrepancyAnchor(row)}" class="${toneOf(row)}">
<div class="title">
<h4>${CODE_TITLES[row.code]}</h4>
${row.differenceMinor === null ? nothing : markup`<strong>${signed(row.differenceMinor, currency)}</strong>`}
</div>
<p class="meta">${STATUS_WORDS[row.status]} · since ${row.since}, ${plural(row.ageDays, 'day')} old · ${code(row.code)}${page.hasSeveralEntities ? markup` · ${row.entity}` : nothing}</p>
<p>${row.explanation}</p>
<div class="pair">
${cost(row)}<p class="next"><b>What to do</b>${row.nextStep}</p>
</div>
<dl class="facts">
${facts.map(([term, value]) =>
  value === null
    ? nothing
    : markup`<div>
<dt>${term}</dt>
<dd>${value}</dd>
</div>`,
)}
</dl>
</article>
`
}

/** What it means for the merchant's money, in words: a sign alone does not say who owes whom. */
function cost(row: DiscrepancyRow): Html {
  if (!isOpen(row) || row.differenceMinor === null) return nothing
  return markup`<p class="next"><b>What it costs</b>${money(absolute(row.differenceMinor), row.currency)} ${costWords(row)}</p>
`
}

const BOOKINGS_MAX = 3

/** Where the journal put it, so that nobody has to look for the account. */
function bookings(page: Page, row: DiscrepancyRow): (readonly [string, Html])[] {
  return page
    .bookingsOf(row)
    .slice(0, BOOKINGS_MAX)
    .map(({ day: bookedOn, journal, currency, lines }) => [
      'In journal.csv',
      markup`${bookedOn}, ${journal}${lines
        .slice(0, BOOKED_LINES_MAX)
        .map(
          ({ account, debitMinor }) =>
            markup`<br />${account} ${debitMinor > 0n ? 'debit' : 'credit'} ${amount(absolute(debitMinor), currency)}`,
        )}${lines.length > BOOKED_LINES_MAX ? markup`<br />and ${lines.length - BOOKED_LINES_MAX} more lines` : nothing}`,
    ])
}

const BOOKED_LINES_MAX = 6

function signed(minor: bigint, currency: Currency): Html {
  return markup`${minor > 0n ? '+' : ''}${money(minor, currency)}`
}

function day(text: string | null): Html | null {
  return text === null ? null : markup`${text}`
}

function id(text: string | null): Html | null {
  return text === null ? null : code(text)
}

function toneOf(row: DiscrepancyRow): string {
  if (!isOpen(row)) return 'calm'
  return row.status === 'new' ? '' : 'old'
}

const AGES: readonly { readonly title: string; readonly mostDays: number }[] = [
  { title: 'up to 7 days', mostDays: 7 },
  { title: '8 to 30 days', mostDays: 30 },
  { title: '31 to 60 days', mostDays: 60 },
  { title: '61 to 90 days', mostDays: 90 },
  { title: 'over 90 days', mostDays: Number.POSITIVE_INFINITY },
]

/** Of what is at stake: what is lacking, what came too much, what is only on paper. */
export function meaningSentence(open: readonly DiscrepancyRow[], className = ''): Html {
  const { lacking, surplus, figures } = stakesByMeaning(open)
  const parts = [
    [lacking, 'lacking'],
    [surplus, 'too much in your hands'],
    [figures, 'only in the figures'],
  ] as const
  const told = parts.filter(([sums]) => sums.size > 0)
  if (told.length === 0) return nothing
  return markup`<p class="${className}">Of it ${told.map(([sums, words], at) => markup`${at === 0 ? '' : '; '}${moneyList(sums, '')} ${words}`)}.</p>
`
}

/** How much is at stake, and for how long: what is broken beside what only waits. */
export function stakeSection(page: Page): Html {
  const { discrepancies, openItems, asOf } = page.reconciliation
  const open = discrepancies.filter(isOpen)
  const currencies = new Set([...open, ...openItems].map(({ currency }) => currency))
  return markup`<section aria-labelledby="stake">
<h2 id="stake">At stake, and how old</h2>
<p>Open discrepancies: ${open.length}, ${moneyList(stakes(open), 'nothing at stake')} (sum of absolute differences). Items that only wait for their day: ${openItems.length}. Ages are calendar days until ${asOf}.</p>
${meaningSentence(open)}${[...currencies].toSorted().map((currency) => ageing(currency, open, openItems))}
</section>
`
}

function ageing(
  currency: Currency,
  discrepancies: readonly DiscrepancyRow[],
  items: readonly OpenItemRow[],
): Html {
  const broken = discrepancies.filter((row) => row.currency === currency)
  const waiting = items.filter((row) => row.currency === currency)
  const buckets = AGES.map(({ title, mostDays }, at) => {
    const leastDays = at === 0 ? -1 : (AGES[at - 1]?.mostDays ?? 0)
    const isIn = ({ ageDays }: { readonly ageDays: number }): boolean =>
      ageDays > leastDays && ageDays <= mostDays
    const [own, ownItems] = [broken.filter(isIn), waiting.filter(isIn)]
    return {
      title,
      count: own.length,
      stakeMinor: total(own.map(({ differenceMinor }) => differenceMinor ?? 0n)),
      waitingCount: ownItems.length,
      waitingMinor: total(ownItems.map(({ amountMinor }) => amountMinor)),
    }
  })
  const mostMinor = buckets.reduce((most, { stakeMinor, waitingMinor }) => {
    const sumMinor = stakeMinor + waitingMinor
    return sumMinor > most ? sumMinor : most
  }, 0n)
  const sum = (of: (bucket: (typeof buckets)[number]) => bigint): bigint =>
    buckets.reduce((so, bucket) => so + of(bucket), 0n)
  return markup`${table({
    caption: `Age of what is open, in ${currency}`,
    columns: [
      { title: 'Age' },
      { title: 'Discrepancies', kind: 'n' },
      { title: 'At stake', kind: 'n' },
      { title: 'Waiting', kind: 'n' },
      { title: 'Amount waiting', kind: 'n' },
      { title: 'Drawn', kind: 'drawing' },
    ],
    rows: buckets.map((bucket) => ({
      cells: [
        markup`${bucket.title}`,
        markup`${bucket.count}`,
        amount(bucket.stakeMinor, currency),
        markup`${bucket.waitingCount}`,
        amount(bucket.waitingMinor, currency),
        stackedBar(bucket.stakeMinor, bucket.waitingMinor, mostMinor),
      ],
    })),
    foot: [
      {
        cells: [
          markup`Together`,
          markup`${broken.length}`,
          amount(
            sum(({ stakeMinor }) => stakeMinor),
            currency,
          ),
          markup`${waiting.length}`,
          amount(
            sum(({ waitingMinor }) => waitingMinor),
            currency,
          ),
          nothing,
        ],
      },
    ],
  })}
<ul class="legend">
<li><span class="key fill-bad"></span>discrepancies</li>
<li><span class="key fill-base"></span>waiting</li>
</ul>
`
}

/** Every amount counts by its size, whichever way the money should go. */
function total(amountsMinor: readonly bigint[]): bigint {
  return amountsMinor.reduce((sum, minor) => sum + absolute(minor), 0n)
}

function stackedBar(firstMinor: bigint, secondMinor: bigint, mostMinor: bigint): Html {
  const first = thousandths(firstMinor, 0n, mostMinor)
  const second = thousandths(secondMinor, 0n, mostMinor)
  return markup`<svg class="bar" viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true"><rect class="fill-bad" x="0" y="3" width="${first}" height="14" /><rect class="fill-base" x="${first}" y="3" width="${second}" height="14" /></svg>`
}

/** One line for each thing to do, the dearest first, with the discrepancies that ask for it. */
export function nextSection(page: Page): Html {
  const open = page.reconciliation.discrepancies.filter(isOpen)
  const todo = [...groupBy(open, ({ nextStep }) => nextStep)]
    .map(([step, rows]) => ({ step, rows: rows.toSorted(byStake), sums: stakes(rows) }))
    .toSorted((a, b) => byStake(largest(a.rows), largest(b.rows)))
  return markup`<section aria-labelledby="next">
<h2 id="next">What to do next</h2>
${
  todo.length === 0
    ? markup`<p>Nothing to do.</p>`
    : table({
        caption: 'What is to be done, the largest amount first',
        columns: [
          { title: 'What to do' },
          { title: 'Because of' },
          { title: 'At stake', kind: 'n' },
        ],
        rows: todo.map(({ step, rows, sums }) => ({
          cells: [
            markup`<span class="wide">${step}</span>`,
            markup`<span>${rows.slice(0, LINKS_MAX).map((row, at) => markup`${at === 0 ? '' : ', '}<a href="#${discrepancyAnchor(row)}">${CODE_TITLES[row.code]} (${row.since})</a>`)}${rows.length > LINKS_MAX ? ` and ${rows.length - LINKS_MAX} more in discrepancies.csv` : ''}</span>`,
            moneyList(sums, '–'),
          ],
        })),
      })
}
</section>
`
}

/** Links in one line of the list of what to do. */
const LINKS_MAX = 12

function largest(rows: readonly DiscrepancyRow[]): DiscrepancyRow {
  const [first] = rows
  if (first === undefined) throw new Error('a group of discrepancies holds at least one')
  return first
}
