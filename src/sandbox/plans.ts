import type { FeeContract } from '../domain/fee-contract.ts'

/** A plan that the sandbox's merchant sells, and what the provider's contract asks for it. */
export interface SandboxPlan {
  /** As the provider's `kind` writes it. */
  readonly kind: string
  readonly installments: number
  readonly deferredDays: number
  /** Per cent of the purchase, without VAT, as decimal text: the form of the fee contract. */
  readonly ratePercent: string
  /** How often it is chosen, relative to the others. */
  readonly weight: number
  /** Range of purchases in cents. */
  readonly leastAmount: number
  readonly mostAmount: number
}

const SANDBOX_VAT_RATE_PERCENT = '20'

export const SANDBOX_PLANS: readonly SandboxPlan[] = [
  {
    kind: 'P2X',
    installments: 2,
    deferredDays: 0,
    ratePercent: '2.75',
    weight: 18,
    leastAmount: 6_000,
    mostAmount: 40_000,
  },
  {
    kind: 'P3X',
    installments: 3,
    deferredDays: 0,
    ratePercent: '3.80',
    weight: 38,
    leastAmount: 8_000,
    mostAmount: 70_000,
  },
  {
    kind: 'P4X',
    installments: 4,
    deferredDays: 0,
    ratePercent: '4.80',
    weight: 20,
    leastAmount: 15_000,
    mostAmount: 110_000,
  },
  {
    kind: 'P10X',
    installments: 10,
    deferredDays: 0,
    ratePercent: '5.60',
    weight: 6,
    leastAmount: 60_000,
    mostAmount: 240_000,
  },
  {
    kind: 'P1X_D+15',
    installments: 1,
    deferredDays: 15,
    ratePercent: '1.95',
    weight: 10,
    leastAmount: 3_500,
    mostAmount: 25_000,
  },
  {
    kind: 'P1X_D+30',
    installments: 1,
    deferredDays: 30,
    ratePercent: '2.90',
    weight: 8,
    leastAmount: 3_500,
    mostAmount: 35_000,
  },
  // Paid at once; only added by hand, for purchases that no instalments are made for.
  {
    kind: 'P1X',
    installments: 1,
    deferredDays: 0,
    ratePercent: '1.20',
    weight: 0,
    leastAmount: 100,
    mostAmount: 5_000_000,
  },
]

/** What an account may sell in one plan. */
export interface SandboxOffer {
  readonly kind: string
  readonly installments: number
  readonly deferredDays: number
  readonly ratePercent: string
  /** Smallest and largest purchase in cents. */
  readonly minimum: number
  readonly maximum: number
}

/** Every plan that is sold, and for more than is. */
export const SANDBOX_OFFERS: readonly SandboxOffer[] = SANDBOX_PLANS.map((plan) => ({
  kind: plan.kind,
  installments: plan.installments,
  deferredDays: plan.deferredDays,
  ratePercent: plan.ratePercent,
  minimum: Math.max(2_000, Math.floor((plan.leastAmount - 1_000) / 5_000) * 5_000),
  maximum: Math.max(200_000, plan.mostAmount + 60_000),
}))

/** The contract between the provider and a sandbox account, as the settings would have it. */
export function contractOf(feeVat: 'excluded' | 'included'): FeeContract {
  return {
    vat: feeVat,
    vatRatePercent: SANDBOX_VAT_RATE_PERCENT,
    plans: Object.fromEntries(
      SANDBOX_PLANS.map(({ kind, ratePercent }) => [kind, { ratePercent, fixedMinor: 0n }]),
    ),
  }
}

/** The fee on a purchase in cents, rounded half up, with the VAT in it if the account is charged so. */
export function planFee(
  plan: SandboxPlan,
  purchaseAmount: number,
  feeVat: 'excluded' | 'included',
): number {
  const rateBasisPoints = Math.round(Number(plan.ratePercent) * 100)
  const vatFactor = feeVat === 'included' ? 100 + Number(SANDBOX_VAT_RATE_PERCENT) : 100
  return Math.floor((purchaseAmount * rateBasisPoints * vatFactor + 500_000) / 1_000_000)
}

/** The VAT that belongs to a fee in cents, cut to whole cents, with the fee's sign. */
export function vatOfFee(fee: number, feeVat: 'excluded' | 'included'): number {
  const rate = Number(SANDBOX_VAT_RATE_PERCENT)
  return Math.trunc((fee * rate) / (feeVat === 'included' ? 100 + rate : 100)) + 0
}
