import { groupBy } from '../../src/domain/collections.ts'
import { sumOf } from '../../src/domain/money.ts'
import type { OpenItemRow, RefundRow, SettlementRow } from '../../src/domain/reconciliation.ts'
import { cutNote, type Page, payoutAnchor, refundAnchor, TABLE_ROWS_MAX } from './context.ts'
import {
  amount,
  code,
  markup,
  type Html,
  money,
  nothing,
  plural,
  table,
  type TableRow,
} from './markup.ts'
import { OPEN_ITEM_WORDS, REFUND_WORDS, SETTLEMENT_WORDS } from './words.ts'
import { arrivedMinor } from './waterfall.ts'

/** The entity of a row where the page is about several. */
function entityOf(page: Page, entity: string): Html {
  return page.hasSeveralEntities ? markup`<small>${entity}</small>` : nothing
}

/** Payouts of the period with their totals, then those that are open from before. */
export function settlementsSection(page: Page): Html {
  const all = page.reconciliation.settlements
  const ofPeriod = new Set(page.blocks.flatMap(({ settlements }) => settlements))
  const earlier = all.slice(0, TABLE_ROWS_MAX).filter((row) => !ofPeriod.has(row))
  const shown = new Set(all.slice(0, TABLE_ROWS_MAX))
  return markup`<section aria-labelledby="settlements">
<h2 id="settlements">Settlements</h2>
<p>Net of the rows − payout = residual, which must be 0. All columns stand in <code>settlements.csv</code>.</p>
${page.blocks.map((block) =>
  block.settlements.length === 0
    ? nothing
    : settlementsTable(page, {
        caption: `Payouts sent in the period, in ${block.currency}${page.nameOf(block)}`,
        rows: block.settlements.filter((row) => shown.has(row)),
        totalOf: block.settlements,
      }),
)}${[...groupBy(earlier, ({ currency }) => currency)].map(([currency, rows]) =>
    settlementsTable(page, {
      caption: `Sent before and still open, in ${currency}`,
      rows,
      totalOf: null,
    }),
  )}${all.length === 0 ? markup`<p>No payout was sent in this period, and none is open from before.</p>` : nothing}${cutNote(TABLE_ROWS_MAX, all.length, 'settlements.csv')}
</section>
`
}

function settlementsTable(
  page: Page,
  {
    caption,
    rows,
    totalOf,
  }: {
    readonly caption: string
    readonly rows: readonly SettlementRow[]
    readonly totalOf: readonly SettlementRow[] | null
  },
): Html {
  return table({
    caption,
    columns: [
      { title: 'Payout' },
      { title: 'Gross', kind: 'n' },
      { title: 'Fees', kind: 'n' },
      { title: 'Refunds', kind: 'n' },
      { title: 'Other', kind: 'n' },
      { title: 'Net', kind: 'n' },
      { title: 'Payout', kind: 'n' },
      { title: 'Deposit', kind: 'n' },
      { title: 'State' },
    ],
    rows: rows.map((row) => settlementRow(page, row)),
    foot: totalOf === null ? [] : [totalRow(totalOf)],
  })
}

function settlementRow(page: Page, row: SettlementRow): TableRow {
  const { currency } = row
  const { text, tone } = SETTLEMENT_WORDS[row.status]
  const figure = (minor: bigint | null): Html =>
    minor === null ? markup`–` : amount(minor, currency)
  const bookedOn =
    row.bookedDay === null
      ? nothing
      : markup`<small>booked ${row.bookedDay}${row.lagDays === null ? '' : `, ${plural(row.lagDays, 'business day')}`}</small>`
  return {
    id: payoutAnchor(row.entity, row.payoutId),
    cells: [
      markup`<span class="payout">${row.createdDay}<small>${code(row.payoutId)}</small><small>${plural(row.transactions, 'row')}</small>${entityOf(page, row.entity)}</span>`,
      figure(row.grossMinor),
      figure(row.feesMinor),
      figure(row.refundsMinor),
      figure(row.otherMinor),
      figure(row.netMinor),
      markup`${figure(row.payoutAmountMinor)}${row.residualMinor === 0n ? nothing : markup`<small class="bad">residual ${amount(row.residualMinor, currency)}</small>`}`,
      figure(row.depositMinor),
      markup`<span class="wide"><span class="${tone} tag">${text}</span>${bookedOn}${row.bankReferences.map((reference) => markup`<small>${code(reference)}</small>`)}<small>${row.note}</small></span>`,
    ],
  }
}

function totalRow(rows: readonly SettlementRow[]): TableRow {
  const [first] = rows
  const currency = first?.currency ?? ''
  const sum = (of: (row: SettlementRow) => bigint): Html => amount(sumOf(rows.map(of)), currency)
  return {
    cells: [
      markup`Together`,
      sum((row) => row.grossMinor),
      sum((row) => row.feesMinor),
      sum((row) => row.refundsMinor),
      sum((row) => row.otherMinor),
      sum((row) => row.netMinor),
      sum((row) => row.payoutAmountMinor),
      // One deposit may pay several payouts, so its rows do not add up; what arrived for each does.
      sum(arrivedMinor),
      nothing,
    ],
  }
}

export function refundsSection(page: Page): Html {
  const all = page.reconciliation.refunds
  const row = (refund: RefundRow): TableRow => ({
    id: refundAnchor(refund.entity, refund.refundId),
    cells: [
      markup`<span>${refund.createdDay}<small>${code(refund.refundId)}</small>${entityOf(page, refund.entity)}</span>`,
      refund.refundedMinor === null ? markup`–` : money(refund.refundedMinor, refund.currency),
      refund.deductedMinor === null ? markup`–` : money(refund.deductedMinor, refund.currency),
      refund.payoutId === null
        ? markup`–`
        : markup`<span>${refund.deductedDay ?? ''}<small>${page.payout(refund.entity, refund.payoutId)}</small></span>`,
      markup`<span>${REFUND_WORDS[refund.status]}<small>${refund.note}</small></span>`,
    ],
  })
  return markup`<section aria-labelledby="refunds">
<h2 id="refunds">Refunds</h2>
${
  all.length === 0
    ? markup`<p>No refund in this period, and none is open from before.</p>`
    : table({
        caption: 'What the payment says was refunded, and what the ledger took for it',
        columns: [
          { title: 'Refund' },
          { title: 'Refunded', kind: 'n' },
          { title: 'Deducted', kind: 'n' },
          { title: 'In the payout' },
          { title: 'State' },
        ],
        rows: all.slice(0, TABLE_ROWS_MAX).map(row),
      })
}${cutNote(TABLE_ROWS_MAX, all.length, 'refunds.csv')}
</section>
`
}

export function openItemsSection(page: Page): Html {
  const all = page.reconciliation.openItems
  const row = (item: OpenItemRow): TableRow => ({
    cells: [
      markup`<span>${OPEN_ITEM_WORDS[item.item]}<small>${item.item === 'payout_in_transit' ? page.payout(item.entity, item.id) : code(item.id)}</small>${entityOf(page, item.entity)}</span>`,
      money(item.amountMinor, item.currency),
      markup`${item.since}`,
      markup`${item.due ?? '–'}`,
      markup`${item.ageDays}`,
      markup`${item.note}`,
    ],
  })
  return markup`<section aria-labelledby="open-items">
<h2 id="open-items">Open items</h2>
<p>What only waits: nothing is wrong with it yet. After the day in “due” it becomes a discrepancy.</p>
${
  all.length === 0
    ? markup`<p>Nothing waits.</p>`
    : table({
        caption: 'What waits',
        columns: [
          { title: 'Item' },
          { title: 'Amount', kind: 'n' },
          { title: 'Since' },
          { title: 'Due' },
          { title: 'Days', kind: 'n' },
          { title: 'Waits for' },
        ],
        rows: all.slice(0, TABLE_ROWS_MAX).map(row),
      })
}${cutNote(TABLE_ROWS_MAX, all.length, 'open_items.csv')}
</section>
`
}
