import { groupBy } from '../../src/domain/collections.ts'
import { entriesOf, type Journal, type JournalEntry } from '../../src/domain/journal.ts'
import type { MetricsOfPeriod } from '../../src/domain/metrics.ts'
import { absolute, type Currency, sumOf } from '../../src/domain/money.ts'
import type { Note } from '../../src/domain/note.ts'
import { periodContains } from '../../src/domain/period.ts'
import type {
  DiscrepancyRow,
  Reconciliation,
  SettlementRow,
  SummaryLine,
} from '../../src/domain/reconciliation.ts'
import { type Change, changesSince, type LastMail } from '../changes.ts'
import { anchor, code, type Html, markup } from './markup.ts'
import { type Meaning, meaningOf } from './words.ts'

export interface ReportHtmlInput {
  readonly reconciliation: Reconciliation
  readonly journal: Journal
  /** What is missing from the report. */
  readonly notes: readonly Note[]
  /** For each set of recipients; left out: nothing is known of mails. */
  readonly lastMails?: readonly LastMail[]
  /** How the last periods went, by entity, this one last; left out: nothing is told of it. */
  readonly history?: readonly MetricsOfPeriod[]
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

/** What became of the discrepancies since one set of recipients was last told of them. */
export interface News {
  readonly mail: LastMail
  readonly changes: readonly Change[]
}

/** What every section of the page needs. */
export interface Page extends ReportHtmlInput {
  readonly news: readonly News[]
  readonly blocks: readonly Block[]
  readonly hasSeveralEntities: boolean
  /** `: Shop, EUR` where there is more than one block, else nothing. */
  nameOf(block: Pick<Block, 'entity' | 'currency'>): string
  /** A payout's id, as a link if the page has its row. */
  payout(entity: string, payoutId: string): Html
  refund(entity: string, refundId: string): Html
  /** The journal's entries of what a discrepancy is about: its bank line, its row or its payout. */
  bookingsOf(row: DiscrepancyRow): readonly JournalEntry[]
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
  const bookings = bookingsOf(input)
  return {
    ...input,
    news: (input.lastMails ?? []).map((mail) => ({
      mail,
      changes: changesSince(mail, input.reconciliation.discrepancies),
    })),
    bookingsOf: (row) => bookings.get(row.discrepancyId) ?? [],
    blocks,
    hasSeveralEntities: new Set(blocks.map(({ entity }) => entity)).size > 1,
    nameOf: ({ entity, currency }) => (blocks.length > 1 ? `: ${entity}, ${currency}` : ''),
    payout: (entity, payoutId) => link(payoutAnchor(entity, payoutId), payoutId),
    refund: (entity, refundId) => link(refundAnchor(entity, refundId), refundId),
  }
}

/** Entries by discrepancy; a journal may have a million lines, so it is gone through once. */
function bookingsOf({ reconciliation, journal }: ReportHtmlInput): Map<string, JournalEntry[]> {
  const subjects = groupBy(
    reconciliation.discrepancies.flatMap((row) =>
      subjectsOf(row).map((subject) => ({ subject: `${row.entity} ${subject}`, row })),
    ),
    ({ subject }) => subject,
  )
  const found = new Map<string, JournalEntry[]>()
  for (const entry of entriesOf(journal)) {
    const subject = entry.balanceTransactionId ?? entry.document
    const isPayout = entry.lines.some(({ account }) => account === journal.accounts.transit)
    const names = isPayout ? [subject, entry.document] : [subject]
    for (const name of new Set(names)) {
      for (const { row } of subjects.get(`${entry.entity} ${name}`) ?? []) {
        found.set(row.discrepancyId, [...(found.get(row.discrepancyId) ?? []), entry])
      }
    }
  }
  return found
}

/** What a discrepancy is about, by the names under which the journal has it. */
function subjectsOf(row: DiscrepancyRow): string[] {
  const own = [row.balanceTransactionId, row.bankReference].filter((id) => id !== null)
  return own.length > 0 ? own : [row.payoutId].filter((id) => id !== null)
}

/** Differences by what they mean for the merchant's money, by currency. */
export interface Stakes {
  /** Money that should be there and is not. */
  readonly lacking: Map<Currency, bigint>
  /** Money that is there and should not be. */
  readonly surplus: Map<Currency, bigint>
  /** Two records disagree; no money moved wrongly by that alone. */
  readonly figures: Map<Currency, bigint>
}

export function stakesByMeaning(rows: readonly DiscrepancyRow[]): Stakes {
  const of = (meaning: Meaning) => stakes(rows.filter((row) => meaningOf(row) === meaning))
  return { lacking: of('lacking'), surplus: of('surplus'), figures: of('figures') }
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
