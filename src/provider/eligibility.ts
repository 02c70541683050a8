/**
 * Which payment plans the account may offer, and for which amounts. The provider documents the
 * question (`POST /v2/payments/eligibility`) for shops; a back office asks it about nobody.
 */
import { z } from 'zod'
import { nameOfPlan, type PlanAnswer, type PlanTerms, termsOfPlan } from '../domain/plans.ts'
import { UnavailableFault } from '../errors.ts'
import type { ProviderClient } from './client.ts'

const ELIGIBILITY_PATH = '/v2/payments/eligibility'
/** An account has a dozen plans: more answers than this are none. */
const ANSWERS_MAX = 1_000
const INSTALMENTS_MAX = 1_000

const cents = z.int().transform(BigInt)
const count = z.int().min(0).max(10_000)
const code = z.string().regex(/^[\w .:-]{1,60}$/)

const limits = z
  .object({
    purchase_amount: z
      .object({ minimum: cents.nullish(), maximum: cents.nullish() })
      .nullish()
      .catch(null),
  })
  .nullish()

const instalment = z.object({
  purchase_amount: cents,
  customer_fee: cents.nullish(),
  customer_interest: cents.nullish(),
  total_amount: cents,
})

const answer = z.object({
  eligible: z.boolean(),
  installments_count: count.nullish(),
  deferred_days: count.nullish(),
  deferred_months: count.nullish(),
  customer_total_cost_amount: cents.nullish(),
  payment_plan: z.array(instalment).max(INSTALMENTS_MAX).nullish(),
  constraints: limits,
  // Published answers have codes by field; lists of codes and single ones are understood as well.
  reasons: z
    .union([z.record(z.string(), code), z.array(code).max(100), code])
    .nullish()
    .catch(null),
})

const answers = z.array(answer).max(ANSWERS_MAX)

/**
 * Asks for one amount: for the plans named, or for whatever the account has (`plans` empty).
 * @throws whatever `postJson` throws; UnavailableFault for an answer of another form.
 */
export async function askEligibility(
  client: ProviderClient,
  { purchaseMinor, plans }: { readonly purchaseMinor: bigint; readonly plans: readonly string[] },
): Promise<PlanAnswer[]> {
  const queries = plans.map((plan) => {
    const terms = termsOfPlan(plan)
    if (terms === null) throw new Error(`${plan} is no plan that can be asked for`)
    return terms
  })
  const body = await client.postJson(ELIGIBILITY_PATH, {
    purchase_amount: wholeCents(purchaseMinor),
    ...(queries.length === 0 ? {} : { queries: queries.map(toQuery) }),
  })
  const found = answers.safeParse(body)
  if (!found.success) {
    const [issue] = found.error.issues
    const place = issue === undefined ? '' : ` at ${issue.path.map(String).join('.') || 'its top'}`
    throw new UnavailableFault(
      `the answer about payment plans is not as the reference shows it${place}`,
      { hint: 'Nothing of it was taken; the ledger and its proofs do not depend on it.' },
    )
  }
  const named = new Set(plans)
  return found.data.flatMap((each, at): PlanAnswer[] => {
    const terms = termsOf(each) ?? (found.data.length === queries.length ? queries[at] : undefined)
    if (terms === undefined) return []
    if (named.size > 0 && !named.has(nameOfPlan(terms))) return []
    return [toAnswer(each, terms, purchaseMinor)]
  })
}

function wholeCents(amountMinor: bigint): number {
  const amount = Number(amountMinor)
  if (!Number.isSafeInteger(amount)) {
    throw new Error(`${amountMinor} is more than a JSON number holds exactly`)
  }
  return amount
}

function toQuery({ installments, deferredDays, deferredMonths }: PlanTerms): object {
  return {
    installments_count: installments,
    deferred_days: deferredDays,
    deferred_months: deferredMonths,
  }
}

function termsOf({
  installments_count: installments,
  deferred_days: deferredDays,
  deferred_months: deferredMonths,
}: z.infer<typeof answer>): PlanTerms | null {
  if (installments == null || installments === 0) return null
  return { installments, deferredDays: deferredDays ?? 0, deferredMonths: deferredMonths ?? 0 }
}

function toAnswer(
  { eligible, constraints, reasons, ...rest }: z.infer<typeof answer>,
  terms: PlanTerms,
  purchaseMinor: bigint,
): PlanAnswer {
  return {
    terms,
    isEligible: eligible,
    purchaseMinor,
    minimumMinor: constraints?.purchase_amount?.minimum ?? null,
    maximumMinor: constraints?.purchase_amount?.maximum ?? null,
    refusals: refusalsOf(reasons),
    costMinor: rest.customer_total_cost_amount ?? null,
    instalments: (rest.payment_plan ?? []).map((one) => ({
      purchaseMinor: one.purchase_amount,
      feeMinor: one.customer_fee ?? 0n,
      interestMinor: one.customer_interest ?? 0n,
      totalMinor: one.total_amount,
    })),
  }
}

function refusalsOf(reasons: z.infer<typeof answer>['reasons']): PlanAnswer['refusals'] {
  if (reasons == null) return []
  if (typeof reasons === 'string') return [{ field: null, code: reasons }]
  if (Array.isArray(reasons)) return reasons.map((each) => ({ field: null, code: each }))
  return Object.entries(reasons).map(([field, each]) => ({ field, code: each }))
}
