import type { EpochSeconds } from './day.ts'

/** A refund as it stands on its payment. */
export interface Refund {
  readonly id: string
  /** Positive minor units: what the customer gets back. */
  readonly amountMinor: bigint
  readonly createdS: EpochSeconds
}

/** What reconciliation needs of a payment; nothing of the customer. */
export interface Payment {
  readonly id: string
  readonly purchaseAmountMinor: bigint
  /** The plan, e.g. `P3X` or `P1X_D+30`; null where the provider gives none. */
  readonly plan: string | null
  readonly refunds: readonly Refund[]
}
