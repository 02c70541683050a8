import type { DiscrepancyCode, DiscrepancyRow } from './reconciliation.ts'

/** The columns that can identify a discrepancy (contract, section 4, "Key"). */
type KeyColumn =
  'payoutId' | 'balanceTransactionId' | 'refundId' | 'paymentId' | 'bankReference' | 'bankFile'

/** Which of them does, by code; the first one that is filled where there are two. */
const KEY_COLUMNS: Readonly<Record<DiscrepancyCode, readonly KeyColumn[]>> = {
  payout_residual: ['payoutId'],
  payout_empty: ['payoutId'],
  payout_unknown: ['payoutId'],
  payout_duplicate: ['payoutId'],
  line_not_paid_out: ['balanceTransactionId'],
  line_arithmetic: ['balanceTransactionId'],
  line_sign: ['balanceTransactionId'],
  line_duplicate: ['balanceTransactionId'],
  line_unknown_kind: ['balanceTransactionId'],
  line_changed: ['balanceTransactionId'],
  line_vanished: ['balanceTransactionId'],
  fee_rate: ['balanceTransactionId'],
  plan_not_offered: ['balanceTransactionId'],
  plan_amount: ['balanceTransactionId'],
  vat_mismatch: ['balanceTransactionId'],
  export_only: ['balanceTransactionId'],
  export_lacks: ['balanceTransactionId'],
  export_differs: ['balanceTransactionId'],
  refund_without_payment: ['refundId'],
  refund_unknown: ['refundId'],
  refund_amount: ['refundId'],
  refund_not_deducted: ['refundId'],
  refund_exceeds_payment: ['paymentId'],
  deposit_missing: ['payoutId'],
  deposit_late: ['payoutId'],
  deposit_amount: ['payoutId'],
  deposit_ambiguous: ['payoutId', 'bankReference'],
  deposit_unexpected: ['bankReference'],
  debit_unexpected: ['bankReference'],
  deposit_duplicate: ['bankReference'],
  deposit_returned: ['payoutId'],
  deposit_wrong_account: ['bankReference'],
  deposit_wrong_currency: ['bankReference'],
  statement_gap: ['bankFile'],
  statement_balance: ['bankFile'],
  late_change: ['balanceTransactionId', 'bankReference'],
}

/** What identifies the discrepancy to a reader. */
export function keyOf(row: DiscrepancyRow): string {
  for (const column of KEY_COLUMNS[row.code]) {
    const value = row[column]
    if (value !== null) return value
  }
  return row.discrepancyId
}

/** What the id of `keyOf` is the id of. */
type KeyKind =
  'payout' | 'ledger row' | 'refund' | 'payment' | 'bank line' | 'bank file' | 'discrepancy'

const KEY_KINDS: Readonly<Record<KeyColumn, KeyKind>> = {
  payoutId: 'payout',
  balanceTransactionId: 'ledger row',
  refundId: 'refund',
  paymentId: 'payment',
  bankReference: 'bank line',
  bankFile: 'bank file',
}

export function keyKindOf(row: DiscrepancyRow): KeyKind {
  const column = KEY_COLUMNS[row.code].find((candidate) => row[candidate] !== null)
  return column === undefined ? 'discrepancy' : KEY_KINDS[column]
}
