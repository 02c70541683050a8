import type { OpenItemRow } from '../src/domain/reconciliation.ts'
import { amountCell, type Column, type CsvDialect, longCsv, integerCell, textCell } from './csv.ts'

/** One row an item that only waits: in transit, awaiting a statement, not yet due. */
const COLUMNS: readonly Column<OpenItemRow>[] = [
  { name: 'item', cell: (row) => textCell(row.item) },
  { name: 'id', cell: (row) => textCell(row.id) },
  { name: 'entity', cell: (row) => textCell(row.entity) },
  { name: 'currency', cell: (row) => textCell(row.currency) },
  { name: 'amount', cell: (row) => amountCell(row.amountMinor, row.currency) },
  { name: 'since', cell: (row) => textCell(row.since) },
  { name: 'due', cell: (row) => textCell(row.due) },
  { name: 'age_days', cell: (row) => integerCell(row.ageDays) },
  { name: 'note', cell: (row) => textCell(row.note) },
]

/** `open_items.csv`. */
export function openItemsCsv(rows: readonly OpenItemRow[], dialect: CsvDialect): Iterable<string> {
  return longCsv(COLUMNS, rows, dialect)
}
