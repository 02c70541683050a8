import type {
  DiscrepancyCode,
  DiscrepancyRow,
  DiscrepancyStatus,
  OpenItemRow,
  RefundStatus,
  SettlementStatus,
} from '../../src/domain/reconciliation.ts'
import { isOpenStatus } from '../changes.ts'

/** What each code means, as a headline. */
export const CODE_TITLES: Readonly<Record<DiscrepancyCode, string>> = {
  payout_residual: 'Payout and its rows do not add up',
  payout_empty: 'Payout without any row',
  payout_unknown: 'Rows name a payout that the ledger lacks',
  payout_duplicate: 'Payout stands twice in the ledger',
  line_not_paid_out: 'Row is in no payout although it is due',
  line_arithmetic: 'Gross, fee and net of a row disagree',
  line_sign: 'Row has the wrong sign',
  line_duplicate: 'Row stands twice in the ledger',
  line_unknown_kind: 'Row of an unknown kind',
  line_changed: 'Row changed after it was stored',
  line_vanished: 'Row is gone from the ledger',
  fee_rate: 'Fee differs from the contract',
  plan_not_offered: 'Sale in a plan that was not offered',
  plan_amount: 'Sale outside the limits of its plan',
  vat_mismatch: 'VAT does not fit the fee',
  export_only: 'Row is in the export, not in the ledger',
  export_lacks: 'Row is in the ledger, not in the export',
  export_differs: 'Export and ledger differ',
  refund_without_payment: 'Refund of a payment that does not exist',
  refund_unknown: 'Refund was deducted, but the payment has none',
  refund_amount: 'Refund was deducted with another amount',
  refund_not_deducted: 'Refund has not been deducted',
  refund_exceeds_payment: 'More was refunded than was paid',
  deposit_missing: 'Payout has not arrived',
  deposit_late: 'Payout arrived late',
  deposit_amount: 'Another amount arrived than was sent',
  deposit_ambiguous: 'Deposit has several explanations',
  deposit_unexpected: 'Money from Alma that belongs to no payout',
  debit_unexpected: 'Alma debited without a reason',
  deposit_duplicate: 'Payout arrived twice',
  deposit_returned: 'Payout was sent back',
  deposit_wrong_account: 'Payout arrived at another entity’s account',
  deposit_wrong_currency: 'Payout arrived in another currency',
  statement_gap: 'Bank statements are missing',
  statement_balance: 'Bank statement does not add up',
  late_change: 'Closed period changed afterwards',
}

export const STATUS_WORDS: Readonly<Record<DiscrepancyStatus, string>> = {
  new: 'New',
  open: 'Open from before',
  reopened: 'Reopened',
  cleared: 'Cleared',
  accepted: 'Accepted',
}

interface SettlementWord {
  readonly text: string
  readonly tone: 'good' | 'warn' | 'bad'
}

export const SETTLEMENT_WORDS: Readonly<Record<SettlementStatus, SettlementWord>> = {
  matched: { text: '✓ arrived', tone: 'good' },
  in_transit: { text: '… in transit', tone: 'warn' },
  missing: { text: '✗ missing', tone: 'bad' },
  amount_differs: { text: '✗ amount differs', tone: 'bad' },
  ambiguous: { text: '✗ ambiguous', tone: 'bad' },
  returned: { text: '✗ sent back', tone: 'bad' },
  elsewhere: { text: '✗ elsewhere', tone: 'bad' },
}

export const REFUND_WORDS: Readonly<Record<RefundStatus, string>> = {
  deducted: '✓ deducted',
  awaiting_payout: '… awaiting a payout',
  not_in_ledger: '… not in the ledger yet',
  discrepancy: '✗ discrepancy',
}

export const OPEN_ITEM_WORDS: Readonly<Record<OpenItemRow['item'], string>> = {
  payout_in_transit: 'Payout in transit',
  row_awaiting_payout: 'Row awaiting a payout',
  refund_awaiting_ledger: 'Refund awaiting the ledger',
}

const LINE_TITLES: Readonly<Record<string, string>> = {
  opening_balance: 'Owed by Alma when the period began',
  from_transaction: 'Sales, less their fees',
  from_refund: 'Refunds',
  from_fee_waiver: 'Fees given back',
  from_adjustment: 'Adjustments',
  from_merchant_default_coverage: 'Coverage of defaults',
  from_payout: 'Paid out',
  closing_balance: 'Owed by Alma when it ended',
  payouts_sent: 'Payouts that Alma sent',
  payouts_matched: 'Matched to a deposit',
  payouts_in_transit: 'In transit',
  payouts_in_discrepancy: 'In discrepancy',
  deposits_received: 'Deposits booked in the period',
  discrepancies_new: 'Discrepancies, new',
  discrepancies_open: 'Discrepancies, open from before',
  discrepancies_cleared: 'Discrepancies, cleared',
}

/** A line of the proof in words; a kind that nobody documented keeps its own name. */
export function lineTitle(line: string): string {
  return LINE_TITLES[line] ?? `Rows of the unknown kind “${line}”`
}

/** What a difference means for the merchant's money. */
export type Meaning = 'lacking' | 'surplus' | 'figures' | 'nothing'

/** Money that comes in: what is found less than expected is lacking. */
const INCOMING: ReadonlySet<DiscrepancyCode> = new Set([
  'line_not_paid_out',
  'line_vanished',
  'deposit_missing',
  'deposit_amount',
  'deposit_unexpected',
  'debit_unexpected',
  'deposit_duplicate',
  'deposit_returned',
  'deposit_wrong_account',
  'deposit_wrong_currency',
])

/** Money that goes out: what is found more than expected is lacking. */
const OUTGOING: ReadonlySet<DiscrepancyCode> = new Set([
  'fee_rate',
  'refund_unknown',
  'refund_amount',
  'refund_not_deducted',
])

export function meaningOf({ code, differenceMinor }: DiscrepancyRow): Meaning {
  if (differenceMinor === null || differenceMinor === 0n) return 'nothing'
  if (INCOMING.has(code)) return differenceMinor < 0n ? 'lacking' : 'surplus'
  if (OUTGOING.has(code)) return differenceMinor > 0n ? 'lacking' : 'surplus'
  return 'figures'
}

/** What a discrepancy costs, in words that follow its amount. */
export function costWords(row: DiscrepancyRow): string {
  const meaning = meaningOf(row)
  const isOutgoing = OUTGOING.has(row.code)
  if (meaning === 'lacking') {
    return isOutgoing
      ? 'was taken from you and should not have been.'
      : 'that you should have and do not have.'
  }
  if (meaning === 'surplus') {
    return isOutgoing
      ? 'was not taken from you yet: expect it to be deducted.'
      : 'too much in your hands: expect to give it back, and do not book it as income.'
  }
  return meaning === 'figures'
    ? 'by which two records disagree; no money is missing by that alone.'
    : 'is what it costs: the amounts agree.'
}

/** A code of an earlier report, which may be one that this version does not know. */
export function titleOf(code: string): string {
  return Object.entries(CODE_TITLES).find(([known]) => known === code)?.[1] ?? code
}

/** Whether somebody still has to do something about it. */
export function isOpen({ status }: DiscrepancyRow): boolean {
  return isOpenStatus(status)
}
