import { groupBy } from '../../src/domain/collections.ts'
import type { Journal } from '../../src/domain/journal.ts'
import { absolute, type Currency, sumOf } from '../../src/domain/money.ts'
import { periodContains } from '../../src/domain/period.ts'
import type {
  DiscrepancyRow,
  Reconciliation,
  SettlementRow,
  SummaryLine,
} from '../../src/domain/reconciliation.ts'
import { anchor, code, type Html, markup } from './markup.ts'

export interface ReportHtmlInput {
  readonly reconciliation: Reconciliation
  readonly journal: Journal
  /** What is missing from the report, each as a sentence. */
  readonly notes: readonly string[]
}

/** Rows of one table at most; the file named beside it holds all. */
export const TABLE_ROWS_MAX = 500

/** One entity's money in one currency: what is added up together. */
export interface Block {
  readonly entity: string
  readonly currency: Currency
  /** Lines of the proof. */
  readonly lines: readonly SummaryLine[]
  /** Payouts that were sent in the period. */
  readonly settlements: readonly SettlementRow[]
}

/** What every section of the page needs. */
export interface Page extends ReportHtmlInput {
  readonly blocks: readonly Block[]
  readonly hasSeveralEntities: boolean
  /** `: Shop, EUR` where there is more than one block, else nothing. */
  nameOf(block: Block): string
  /** A payout's id, as a link if the page has its row. */
  payout(entity: string, payoutId: string): Html
  refund(entity: string, refundId: string): Html
}

export function pageOf(input: ReportHtmlInput): Page {
  const { period, summary, settlements, refunds } = input.reconciliation
  const blocks = [...groupBy(summary, ({ entity, currency }) => `${entity}\u0000${currency}`)].map(
    ([, lines]): Block => {
      const [{ entity, currency } = { entity: '', currency: '' }] = lines
      return {
        entity,
        currency,
        lines,
        settlements: settlements.filter(
          (row) =>
            row.entity === entity &&
            row.currency === currency &&
            periodContains(period, row.createdDay),
        ),
      }
    },
  )
  const shown = new Set([
    ...settlements.slice(0, TABLE_ROWS_MAX).map((row) => payoutAnchor(row.entity, row.payoutId)),
    ...refunds.slice(0, TABLE_ROWS_MAX).map((row) => refundAnchor(row.entity, row.refundId)),
  ])
  const link = (target: string, id: string): Html =>
    shown.has(target) ? markup`<a href="#${target}">${code(id)}</a>` : code(id)
  return {
    ...input,
    blocks,
    hasSeveralEntities: new Set(blocks.map(({ entity }) => entity)).size > 1,
    nameOf: ({ entity, currency }) => (blocks.length > 1 ? `: ${entity}, ${currency}` : ''),
    payout: (entity, payoutId) => link(payoutAnchor(entity, payoutId), payoutId),
    refund: (entity, refundId) => link(refundAnchor(entity, refundId), refundId),
  }
}

export function payoutAnchor(entity: string, payoutId: string): string {
  return anchor('payout', entity, payoutId)
}

export function refundAnchor(entity: string, refundId: string): string {
  return anchor('refund', entity, refundId)
}

/** Sums of absolute differences by currency. */
export function stakes(rows: readonly DiscrepancyRow[]): Map<Currency, bigint> {
  return new Map(
    [...groupBy(rows, ({ currency }) => currency)].map(([currency, own]) => [
      currency,
      sumOf(own.map(({ differenceMinor }) => absolute(differenceMinor ?? 0n))),
    ]),
  )
}

/** How far along a line from `fromMinor` to `toMinor` a value lies, in thousandths of it. */
export function thousandths(valueMinor: bigint, fromMinor: bigint, toMinor: bigint): number {
  const length = toMinor - fromMinor
  return length === 0n ? 0 : Number(((valueMinor - fromMinor) * 1000n) / length)
}

/** Says that a table is cut off, and where the rest stands. */
export function cutNote(shown: number, all: number, file: string): Html | null {
  return shown >= all
    ? null
    : markup`<p><strong>${all - shown} more rows stand in ${file}</strong>: this page shows the first ${shown}.</p>`
}
