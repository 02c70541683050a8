import type { DiscrepancyRow } from '../src/domain/reconciliation.ts'
import { amountCell, type Column, type CsvDialect, csvText, integerCell, textCell } from './csv.ts'

/** One row a discrepancy: what is wrong, by how much, since when, and what to do. */
const COLUMNS: readonly Column<DiscrepancyRow>[] = [
  { name: 'discrepancy_id', cell: (row) => textCell(row.discrepancyId) },
  { name: 'code', cell: (row) => textCell(row.code) },
  { name: 'status', cell: (row) => textCell(row.status) },
  { name: 'entity', cell: (row) => textCell(row.entity) },
  { name: 'currency', cell: (row) => textCell(row.currency) },
  { name: 'difference', cell: (row) => amountCell(row.differenceMinor, row.currency) },
  { name: 'expected_amount', cell: (row) => amountCell(row.expectedMinor, row.currency) },
  { name: 'actual_amount', cell: (row) => amountCell(row.actualMinor, row.currency) },
  { name: 'expected_date', cell: (row) => textCell(row.expectedDay) },
  { name: 'actual_date', cell: (row) => textCell(row.actualDay) },
  { name: 'payout_id', cell: (row) => textCell(row.payoutId) },
  { name: 'balance_transaction_id', cell: (row) => textCell(row.balanceTransactionId) },
  { name: 'payment_id', cell: (row) => textCell(row.paymentId) },
  { name: 'refund_id', cell: (row) => textCell(row.refundId) },
  { name: 'bank_reference', cell: (row) => textCell(row.bankReference) },
  { name: 'bank_account', cell: (row) => textCell(row.bankAccount) },
  { name: 'bank_file', cell: (row) => textCell(row.bankFile) },
  { name: 'since', cell: (row) => textCell(row.since) },
  { name: 'age_days', cell: (row) => integerCell(row.ageDays) },
  { name: 'explanation', cell: (row) => textCell(row.explanation) },
  { name: 'next_step', cell: (row) => textCell(row.nextStep) },
]

/** `discrepancies.csv`. */
export function discrepanciesCsv(rows: readonly DiscrepancyRow[], dialect: CsvDialect): string {
  return csvText(COLUMNS, rows, dialect)
}
