import type { RefundRow } from '../src/domain/reconciliation.ts'
import { amountCell, type Column, type CsvDialect, longCsv, textCell } from './csv.ts'

/** One row a refund: what the payment says, what the ledger took, and the payout that bore it. */
const COLUMNS: readonly Column<RefundRow>[] = [
  { name: 'refund_id', cell: (row) => textCell(row.refundId) },
  { name: 'entity', cell: (row) => textCell(row.entity) },
  { name: 'currency', cell: (row) => textCell(row.currency) },
  { name: 'payment_id', cell: (row) => textCell(row.paymentId) },
  { name: 'balance_transaction_id', cell: (row) => textCell(row.balanceTransactionId) },
  { name: 'refunded', cell: (row) => amountCell(row.refundedMinor, row.currency) },
  { name: 'deducted', cell: (row) => amountCell(row.deductedMinor, row.currency) },
  { name: 'payout_id', cell: (row) => textCell(row.payoutId) },
  { name: 'created', cell: (row) => textCell(row.createdDay) },
  { name: 'deducted_on', cell: (row) => textCell(row.deductedDay) },
  { name: 'status', cell: (row) => textCell(row.status) },
  { name: 'note', cell: (row) => textCell(row.note) },
]

/** `refunds.csv`. */
export function refundsCsv(rows: readonly RefundRow[], dialect: CsvDialect): Iterable<string> {
  return longCsv(COLUMNS, rows, dialect)
}
