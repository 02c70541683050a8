import type { SummaryLine } from '../src/domain/reconciliation.ts'
import { amountCell, type Column, type CsvDialect, csvText, integerCell, textCell } from './csv.ts'

/** The proof: opening balance and movements to closing balance, and what became of the payouts. */
const COLUMNS: readonly Column<SummaryLine>[] = [
  { name: 'line', cell: (row) => textCell(row.line) },
  { name: 'entity', cell: (row) => textCell(row.entity) },
  { name: 'currency', cell: (row) => textCell(row.currency) },
  { name: 'amount', cell: (row) => amountCell(row.amountMinor, row.currency) },
  { name: 'rows', cell: (row) => integerCell(row.rows) },
]

/** `summary.csv`. */
export function summaryCsv(lines: readonly SummaryLine[], dialect: CsvDialect): string {
  return csvText(COLUMNS, lines, dialect)
}
