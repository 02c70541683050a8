import { parseAmount } from './money.ts'

/** A plan's price: per cent of the purchase as decimal text, and a fixed part in minor units. */
interface PlanFee {
  readonly ratePercent: string
  readonly fixedMinor: bigint
}

/** The merchant's contract with the provider. */
export interface FeeContract {
  /** Whether the ledger's fees contain VAT. The plans' prices never do. */
  readonly vat: 'excluded' | 'included'
  readonly vatRatePercent: string
  /** By plan as the provider's `kind` names it: `P3X`, `P1X_D+30`. */
  readonly plans: Readonly<Record<string, PlanFee>>
}

/** French VAT on services, used where no contract names another rate. */
export const VAT_RATE_PERCENT_DEFAULT = '20'

/** A percentage with at most two decimals, in hundredths of a per cent. */
export function hundredthsOfPercent(ratePercent: string): bigint {
  return parseAmount(ratePercent, 'EUR')
}

/**
 * The fee that the contract gives for a purchase: rate and fixed part, with VAT on top where the
 * ledger's fees contain it, rounded to the nearest minor unit. Null for a plan without a price.
 */
export function contractFee(
  contract: FeeContract,
  plan: string,
  purchaseMinor: bigint,
): bigint | null {
  const price = contract.plans[plan]
  if (price === undefined) return null
  const vat = contract.vat === 'included' ? hundredthsOfPercent(contract.vatRatePercent) : 0n
  const hundredMillionths =
    (purchaseMinor * hundredthsOfPercent(price.ratePercent) + price.fixedMinor * 10_000n) *
    (10_000n + vat)
  return (hundredMillionths + 50_000_000n) / 100_000_000n
}
