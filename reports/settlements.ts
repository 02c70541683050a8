import type { SettlementRow } from '../src/domain/reconciliation.ts'
import { amountCell, type Column, type CsvDialect, longCsv, integerCell, textCell } from './csv.ts'

/** One row a payout: what it is made of, and the deposit that it became. */
const COLUMNS: readonly Column<SettlementRow>[] = [
  { name: 'payout_id', cell: (row) => textCell(row.payoutId) },
  { name: 'entity', cell: (row) => textCell(row.entity) },
  { name: 'currency', cell: (row) => textCell(row.currency) },
  { name: 'created', cell: (row) => textCell(row.createdDay) },
  { name: 'transactions', cell: (row) => integerCell(row.transactions) },
  { name: 'gross', cell: (row) => amountCell(row.grossMinor, row.currency) },
  { name: 'fees', cell: (row) => amountCell(row.feesMinor, row.currency) },
  { name: 'refunds', cell: (row) => amountCell(row.refundsMinor, row.currency) },
  { name: 'other', cell: (row) => amountCell(row.otherMinor, row.currency) },
  { name: 'net', cell: (row) => amountCell(row.netMinor, row.currency) },
  { name: 'payout_amount', cell: (row) => amountCell(row.payoutAmountMinor, row.currency) },
  { name: 'residual', cell: (row) => amountCell(row.residualMinor, row.currency) },
  { name: 'status', cell: (row) => textCell(row.status) },
  { name: 'rule', cell: (row) => textCell(row.rule) },
  { name: 'bank_references', cell: (row) => textCell(row.bankReferences.join(' ')) },
  { name: 'deposit_amount', cell: (row) => amountCell(row.depositMinor, row.currency) },
  { name: 'booked', cell: (row) => textCell(row.bookedDay) },
  { name: 'lag_days', cell: (row) => integerCell(row.lagDays) },
  { name: 'note', cell: (row) => textCell(row.note) },
]

/** `settlements.csv`. */
export function settlementsCsv(
  rows: readonly SettlementRow[],
  dialect: CsvDialect,
): Iterable<string> {
  return longCsv(COLUMNS, rows, dialect)
}
