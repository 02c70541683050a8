import type { Day } from './day.ts'
import type { Currency } from './money.ts'
import type { Period } from './period.ts'

/**
 * What a reconciliation says: the reports as data. Every list is in its final order. Amounts are
 * signed minor units of the row's currency; days are days in the business time zone, a bank's days
 * as the bank wrote them.
 */

/** The codes of the contract, in the order in which reports list them within a day. */
export const DISCREPANCY_CODES = [
  'payout_residual',
  'payout_empty',
  'payout_unknown',
  'payout_duplicate',
  'line_not_paid_out',
  'line_arithmetic',
  'line_sign',
  'line_duplicate',
  'line_unknown_kind',
  'line_changed',
  'line_vanished',
  'fee_rate',
  'plan_not_offered',
  'plan_amount',
  'vat_mismatch',
  'export_only',
  'export_lacks',
  'export_differs',
  'refund_without_payment',
  'refund_unknown',
  'refund_amount',
  'refund_not_deducted',
  'refund_exceeds_payment',
  'deposit_missing',
  'deposit_late',
  'deposit_amount',
  'deposit_ambiguous',
  'deposit_unexpected',
  'debit_unexpected',
  'deposit_duplicate',
  'deposit_returned',
  'deposit_wrong_account',
  'deposit_wrong_currency',
  'statement_gap',
  'statement_balance',
  'late_change',
] as const

export type DiscrepancyCode = (typeof DISCREPANCY_CODES)[number]

/** `new`: its day lies in the period. `open`: earlier and not closed. `cleared`: earlier, closed by a fact of the period. */
export type DiscrepancyStatus = 'new' | 'open' | 'cleared' | 'accepted' | 'reopened'

export interface DiscrepancyRow {
  /** The same in every run for the same entity, code and key. */
  readonly discrepancyId: string
  readonly code: DiscrepancyCode
  readonly status: DiscrepancyStatus
  readonly entity: string
  readonly currency: Currency
  /** Actual − expected; null where no amount is at stake. */
  readonly differenceMinor: bigint | null
  readonly expectedMinor: bigint | null
  readonly actualMinor: bigint | null
  readonly expectedDay: Day | null
  readonly actualDay: Day | null
  readonly payoutId: string | null
  readonly balanceTransactionId: string | null
  readonly paymentId: string | null
  readonly refundId: string | null
  readonly bankReference: string | null
  readonly bankAccount: string | null
  readonly bankFile: string | null
  /** The day of its subject. */
  readonly since: Day
  /** Calendar days from `since` to the day that counts as today. */
  readonly ageDays: number
  readonly explanation: string
  readonly nextStep: string
}

export type SettlementStatus =
  'matched' | 'in_transit' | 'missing' | 'amount_differs' | 'ambiguous' | 'returned' | 'elsewhere'

/** The rule that tied a payout to its deposit, in the order in which they are tried. */
export const MATCH_RULES = [
  'manual',
  'reference',
  'amount_date',
  'equal_amount_group',
  'merged',
  'split',
] as const
export type MatchRule = (typeof MATCH_RULES)[number]

export interface SettlementRow {
  readonly payoutId: string
  readonly entity: string
  readonly currency: Currency
  /** The payout's day. */
  readonly createdDay: Day
  /** Rows in the payout, its own row not counted. */
  readonly transactions: number
  readonly grossMinor: bigint
  /** Minus the fees of the `from_transaction` rows. */
  readonly feesMinor: bigint
  readonly refundsMinor: bigint
  readonly otherMinor: bigint
  readonly netMinor: bigint
  /** What was sent; positive when the merchant receives. */
  readonly payoutAmountMinor: bigint
  /** net − payout amount. */
  readonly residualMinor: bigint
  readonly status: SettlementStatus
  readonly rule: MatchRule | null
  readonly bankReferences: readonly string[]
  readonly depositMinor: bigint | null
  readonly bookedDay: Day | null
  /** TARGET business days from the payout to its deposit. */
  readonly lagDays: number | null
  readonly note: string
}

export type RefundStatus = 'deducted' | 'awaiting_payout' | 'not_in_ledger' | 'discrepancy'

export interface RefundRow {
  readonly refundId: string
  readonly entity: string
  readonly currency: Currency
  readonly paymentId: string | null
  readonly balanceTransactionId: string | null
  /** What the payment says was refunded, positive; null if the payment does not know the refund. */
  readonly refundedMinor: bigint | null
  /** What the ledger took from the merchant for it, positive; null if not in the ledger. */
  readonly deductedMinor: bigint | null
  readonly payoutId: string | null
  readonly createdDay: Day
  /** The day of the payout that deducted it. */
  readonly deductedDay: Day | null
  readonly status: RefundStatus
  readonly note: string
}

type OpenItemKind = 'payout_in_transit' | 'row_awaiting_payout' | 'refund_awaiting_ledger'

export interface OpenItemRow {
  readonly item: OpenItemKind
  readonly id: string
  readonly entity: string
  readonly currency: Currency
  readonly amountMinor: bigint
  readonly since: Day
  /** The day after which it becomes a discrepancy. */
  readonly due: Day | null
  readonly ageDays: number
  readonly note: string
}

export interface SummaryLine {
  readonly line: string
  readonly entity: string
  readonly currency: Currency
  /** Null on `period_start` and `period_end`, whose `rows` hold epoch seconds. */
  readonly amountMinor: bigint | null
  readonly rows: number
}

/** A tie of payouts to bank entries, with the evidence for it. */
export interface Match {
  readonly entity: string
  readonly rule: MatchRule
  readonly payoutIds: readonly string[]
  /** Ids of stored bank entries. */
  readonly bankEntryIds: readonly string[]
  /** What made it the match, in words an accountant can check. */
  readonly evidence: string
  /** How many other items competed for these when the rule was applied. */
  readonly competitors: number
}

/** One plan of an account: what the provider says of it, and what was sold in it. */
export interface PlanRow {
  readonly entity: string
  /** As the provider names it; null: sales whose payment names none. */
  readonly plan: string | null
  readonly currency: Currency
  /** Smallest and largest purchase; null where the provider did not say. */
  readonly minimumMinor: bigint | null
  readonly maximumMinor: bigint | null
  /** Null: nothing is known of it. */
  readonly isOffered: boolean | null
  /** Why it is not offered, in the provider's words, or what does not add up. */
  readonly reasons: readonly string[]
  /** The first day on which it was seen as it is. */
  readonly since: Day | null
  /** How it was before, in words; null: nothing else was seen. */
  readonly previous: string | null
  /** Sales of the period, the sum of their amounts, and minus the sum of their fees. */
  readonly sales: number
  readonly grossMinor: bigint
  readonly feesMinor: bigint
  /** Fees in hundredths of a per cent of the gross; null without a gross. */
  readonly feeRate: bigint | null
}

/** An account that the provider does not let sell any more. */
export interface SellingStop {
  readonly entity: string
  /** The first day on which the provider said so. */
  readonly since: Day
}

/** What a report tells of payment plans. */
export interface PlanReport {
  readonly rows: readonly PlanRow[]
  readonly stops: readonly SellingStop[]
  /** What of the provider's answers does not add up, each as a sentence. */
  readonly remarks: readonly { readonly entity: string; readonly text: string }[]
}

export interface Reconciliation {
  readonly period: Period
  /** The day that counts as today. */
  readonly asOf: Day
  readonly discrepancies: readonly DiscrepancyRow[]
  readonly settlements: readonly SettlementRow[]
  readonly refunds: readonly RefundRow[]
  readonly openItems: readonly OpenItemRow[]
  readonly summary: readonly SummaryLine[]
  /** Nothing: plans were not judged. */
  readonly plans?: PlanReport
  /** Ties of the period's and earlier payouts, for pinning once the report is written. */
  readonly matches: readonly Match[]
  /** Control totals that do not tie, each as a sentence; empty when all do. */
  readonly controlFaults: readonly string[]
}
