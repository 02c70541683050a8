import type { PlanTerms } from '../domain/plans.ts'
import type { SandboxAccount, SandboxOffers } from './model.ts'
import { SANDBOX_OFFERS, type SandboxOffer } from './plans.ts'

/** What the sandbox says of one plan for one amount. */
export interface SandboxEligibility extends PlanTerms {
  readonly eligible: boolean
  /** Codes by field; empty where it is eligible. */
  readonly reasons: Readonly<Record<string, string>>
  /** In cents; null where the amount is not the reason. */
  readonly limits: { readonly minimum: number; readonly maximum: number } | null
  /** In cents, together the purchase; empty where it is not eligible. */
  readonly instalments: readonly number[]
  /** The provider's clock. */
  readonly atS: number
}

/** What the account may sell by the provider's clock; the last change counts where there is no clock. */
export function offersOf({ offers = [] }: SandboxAccount, nowS: number | undefined): SandboxOffers {
  const all: SandboxOffers = { fromS: 0, offers: SANDBOX_OFFERS }
  return offers.findLast(({ fromS }) => nowS === undefined || fromS <= nowS) ?? all
}

/** One answer a query, in their order; without queries one for each plan of the account. */
export function eligibilityOf(
  account: SandboxAccount,
  nowS: number | undefined,
  {
    amount,
    queries,
  }: { readonly amount: number; readonly queries?: readonly PlanTerms[] | undefined },
): SandboxEligibility[] {
  const { offers, isStopped = false } = offersOf(account, nowS)
  const atS = nowS ?? account.rows.at(-1)?.created ?? 0
  const asked = queries ?? offers.map(termsOf)
  return asked.map((terms): SandboxEligibility => {
    const refused = { ...terms, eligible: false, limits: null, instalments: [], atS }
    if (isStopped) return { ...refused, reasons: { merchant: 'merchant_cant_create_payments' } }
    const offer = offers.find((each) => isOf(each, terms))
    if (offer === undefined) return { ...refused, reasons: { installments_count: 'invalid_value' } }
    const { minimum, maximum } = offer
    if (amount < minimum || amount > maximum) {
      const reasons = { purchase_amount: 'invalid_value' }
      return { ...refused, reasons, limits: { minimum, maximum } }
    }
    const each = Math.floor(amount / terms.installments)
    const first = amount - each * (terms.installments - 1)
    const instalments = [first, ...Array.from({ length: terms.installments - 1 }, () => each)]
    return { ...terms, eligible: true, reasons: {}, limits: null, instalments, atS }
  })
}

function termsOf({ installments, deferredDays }: SandboxOffer): PlanTerms {
  return { installments, deferredDays, deferredMonths: 0 }
}

function isOf(offer: SandboxOffer, terms: PlanTerms): boolean {
  return (
    offer.installments === terms.installments &&
    offer.deferredDays === terms.deferredDays &&
    terms.deferredMonths === 0
  )
}
