import type { EpochSeconds } from './day.ts'
import type { Currency } from './money.ts'

/**
 * Kinds of ledger rows the provider documents (reference, "Balance transactions"). Others may come:
 * they are kept, reported as `line_unknown_kind` and count in every sum.
 */
export const KNOWN_KINDS = [
  'from_transaction',
  'from_refund',
  'from_fee_waiver',
  'from_adjustment',
  'from_merchant_default_coverage',
  'from_payout',
] as const

/** One row of the provider's ledger for one account. Amounts are signed: negative is outgoing. */
export interface BalanceTransaction {
  /** `balance_txn_…`; ids sort as the rows were created. */
  readonly id: string
  readonly merchantId: string | null
  readonly kind: string
  readonly currency: Currency
  /** Gross. */
  readonly amountMinor: bigint
  /** What the provider charged on this row; whether that includes VAT is not documented. */
  readonly feeMinor: bigint
  /** Net of the fee: what moves the balance. */
  readonly netMinor: bigint
  readonly paymentId: string | null
  readonly refundId: string | null
  /** On a `from_payout` row: the payout that it stands for. */
  readonly payoutId: string | null
  /** The payout that paid this row's funds out; null until then. Filled after creation. */
  readonly includedInPayoutId: string | null
  readonly createdS: EpochSeconds
  readonly updatedS: EpochSeconds | null
  /** When the funds become available. */
  readonly availableOnS: EpochSeconds | null
}
