import type { JournalEntry, JournalLine } from '../src/domain/journal.ts'
import { amountCell, type Column, type CsvDialect, longCsv, textCell } from './csv.ts'

interface PostedLine {
  readonly entry: JournalEntry
  readonly line: JournalLine
}

/** One row a posting; the rows of one document and row or bank line balance. One of debit and credit is 0. */
const COLUMNS: readonly Column<PostedLine>[] = [
  { name: 'date', cell: ({ entry }) => textCell(entry.day) },
  { name: 'journal', cell: ({ entry }) => textCell(entry.journal) },
  { name: 'account', cell: ({ line }) => textCell(line.account) },
  { name: 'label', cell: ({ line }) => textCell(line.label) },
  {
    name: 'debit',
    cell: ({ entry, line }) => amountCell(debitOf(line), entry.currency),
  },
  {
    name: 'credit',
    cell: ({ entry, line }) => amountCell(creditOf(line), entry.currency),
  },
  { name: 'currency', cell: ({ entry }) => textCell(entry.currency) },
  { name: 'document', cell: ({ entry }) => textCell(entry.document) },
  { name: 'payout_id', cell: ({ line }) => textCell(line.payoutId) },
  { name: 'balance_transaction_id', cell: ({ entry }) => textCell(entry.balanceTransactionId) },
]

const ENTITY: Column<PostedLine> = { name: 'entity', cell: ({ entry }) => textCell(entry.entity) }

/** What a line debits, 0 if it credits. */
export function debitOf({ debitMinor }: JournalLine): bigint {
  return debitMinor > 0n ? debitMinor : 0n
}

/** What a line credits as a positive amount, 0 if it debits. */
export function creditOf({ debitMinor }: JournalLine): bigint {
  return debitMinor < 0n ? -debitMinor : 0n
}

/**
 * `journal.csv`. Books of several legal entities must be told apart, so with more than one a column
 * names them, behind all others.
 */
export function journalCsv(
  entries: Iterable<JournalEntry>,
  entities: readonly string[],
  dialect: CsvDialect,
): Iterable<string> {
  const columns = entities.length > 1 ? [...COLUMNS, ENTITY] : COLUMNS
  const posted: Iterable<PostedLine> = {
    *[Symbol.iterator]() {
      for (const entry of entries) for (const line of entry.lines) yield { entry, line }
    },
  }
  return longCsv(columns, posted, dialect)
}
