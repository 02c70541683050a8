/**
 * What the provider charges the merchant for each plan (`GET /v1/me/fee-plans`). No reference
 * documents it; the provider's own clients read it, percentages in basis points and amounts in cents.
 */
import { z } from 'zod'
import type { FeePlan } from '../domain/plans.ts'
import { UnavailableFault } from '../errors.ts'
import type { ProviderClient } from './client.ts'

const FEE_PLANS_PATH = '/v1/me/fee-plans'
const FEE_PLANS_MAX = 1_000

const cents = z.int().min(0).transform(BigInt)
const count = z.int().min(0).max(10_000)

const feePlan = z.object({
  allowed: z.boolean(),
  installments_count: count,
  deferred_days: count.nullish(),
  deferred_months: count.nullish(),
  merchant_fee_variable: z.int().min(0).max(10_000),
  merchant_fee_fixed: cents.nullish(),
  min_purchase_amount: cents.nullish(),
  max_purchase_amount: cents.nullish(),
})

const feePlans = z.array(feePlan).max(FEE_PLANS_MAX)

/**
 * The plans that the account may sell online, deferred ones included.
 * @throws whatever `getJson` throws; UnavailableFault for an answer of another form.
 */
export async function fetchFeePlans(client: ProviderClient): Promise<FeePlan[]> {
  const body = await client.getJson(FEE_PLANS_PATH, {
    kind: 'general',
    only: 'all',
    deferred: 'true',
  })
  const found = feePlans.safeParse(body)
  if (!found.success) {
    const [issue] = found.error.issues
    const place = issue === undefined ? '' : ` at ${issue.path.map(String).join('.') || 'its top'}`
    throw new UnavailableFault(
      `the answer about fee plans is not as the provider's own clients read it${place}`,
      { hint: 'Nothing of it was taken; give the prices of your contract in "fees" instead.' },
    )
  }
  return found.data
    .filter(({ allowed }) => allowed)
    .map((plan) => ({
      terms: {
        installments: plan.installments_count,
        deferredDays: plan.deferred_days ?? 0,
        deferredMonths: plan.deferred_months ?? 0,
      },
      basisPoints: plan.merchant_fee_variable,
      fixedMinor: plan.merchant_fee_fixed ?? 0n,
      minimumMinor: plan.min_purchase_amount ?? null,
      maximumMinor: plan.max_purchase_amount ?? null,
    }))
}
