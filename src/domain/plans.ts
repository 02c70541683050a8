import { compareText, groupBy } from './collections.ts'
import { addDays, type Day, dayOfInstant, daysBetween } from './day.ts'
import type { PlanFacts, PlannedSale, Policy } from './facts.ts'
import { contractFee, VAT_RATE_PERCENT_DEFAULT } from './fee-contract.ts'
import { type Finding, money } from './findings.ts'
import { rowFacts } from './ledger-rows.ts'
import { absolute, type Currency, formatAmount, sumOf } from './money.ts'
import type { Period } from './period.ts'
import type { PlanReport, PlanRow, SellingStop } from './reconciliation.ts'

/**
 * The payment plans that the provider lets an account offer, as it answered on some days
 * (`POST /v2/payments/eligibility`), and the sales against them. What was offered between two answers
 * is known only as far as both say the same, so a sale is judged by the last answer before it and the
 * first one after it, and by neither where one of them is too far away.
 */

/** How many days lie at most between a sale and an answer by which it is judged. */
const PLAN_REACH_DAYS = 7

/** The provider's word for an account that may not sell any more. */
export const SELLING_STOPPED = 'merchant_cant_create_payments'

/** Our word, among the provider's, for a plan whose instalments do not sum to the purchase. */
const INSTALMENTS_DIFFER = 'instalments_differ'

/** What a plan is asked for by. */
export interface PlanTerms {
  readonly installments: number
  readonly deferredDays: number
  readonly deferredMonths: number
}

/** What the provider's fee plans charge the merchant, without VAT. */
interface PlanPrice {
  /** Hundredths of a per cent of the purchase. */
  readonly basisPoints: number
  readonly fixedMinor: bigint
}

/** What an account was told of one plan on one day. */
export interface PlanOffer {
  /** As the provider's `kind` names it: `P3X`, `P1X_D+30`. */
  readonly plan: string
  /** Whether it may be sold, for purchases within the limits. */
  readonly isOffered: boolean
  /** Smallest and largest purchase; null where the provider said none. */
  readonly minimumMinor: bigint | null
  readonly maximumMinor: bigint | null
  /** Why not, in the provider's words, in order; `instalments_differ` is ours. */
  readonly reasons: readonly string[]
  /** Null: its fee plans were not read, or do not have it. */
  readonly price: PlanPrice | null
}

/** What an account was told of its plans on one day. */
export interface PlanSnapshot {
  readonly day: Day
  /** Why nothing was learnt on that day; null: the provider answered. */
  readonly trouble: string | null
  /** In the order of `comparePlans`. */
  readonly offers: readonly PlanOffer[]
  /** Plans that were asked for by name; of others only what the provider lists by itself is known. */
  readonly asked: readonly string[]
  /** What of the answers does not add up, each as a sentence. */
  readonly remarks: readonly string[]
}

const PLAN_NAME = /^P(\d{1,3})X(?:_D\+(\d{1,4}))?(?:_M\+(\d{1,3}))?$/

/** The terms that a plan's name stands for; null for a name of another form. */
export function termsOfPlan(plan: string): PlanTerms | null {
  const found = PLAN_NAME.exec(plan)
  if (found === null) return null
  const [, installments = '0', days = '0', months = '0'] = found
  return {
    installments: Number(installments),
    deferredDays: Number(days),
    deferredMonths: Number(months),
  }
}

/** The name that the provider's payments would have: `P3X`, `P1X_D+30`. */
export function nameOfPlan({ installments, deferredDays, deferredMonths }: PlanTerms): string {
  const days = deferredDays > 0 ? `_D+${deferredDays}` : ''
  const months = deferredMonths > 0 ? `_M+${deferredMonths}` : ''
  return `P${installments}X${days}${months}`
}

/** By instalments, then by how long they are put off; names of another form last. */
export function comparePlans(a: string, b: string): number {
  const [first, second] = [termsOfPlan(a), termsOfPlan(b)]
  if (first === null || second === null) {
    if (first !== second) return first === null ? 1 : -1
    return compareText(a, b)
  }
  return (
    first.installments - second.installments ||
    first.deferredMonths - second.deferredMonths ||
    first.deferredDays - second.deferredDays ||
    compareText(a, b)
  )
}

/** A reason for which a plan is refused, and the field that it is about, if the provider names one. */
interface PlanRefusal {
  readonly field: string | null
  readonly code: string
}

/** One answer of the provider about one plan and one amount. */
export interface PlanAnswer {
  readonly terms: PlanTerms
  readonly isEligible: boolean
  readonly purchaseMinor: bigint
  readonly minimumMinor: bigint | null
  readonly maximumMinor: bigint | null
  readonly refusals: readonly PlanRefusal[]
  /** What the customer pays beyond the purchase; null where the provider does not say. */
  readonly costMinor: bigint | null
  readonly instalments: readonly PlanInstalment[]
}

interface PlanInstalment {
  readonly purchaseMinor: bigint
  readonly feeMinor: bigint
  readonly interestMinor: bigint
  readonly totalMinor: bigint
}

/** A line of the provider's fee plans. */
export interface FeePlan extends PlanPrice {
  readonly terms: PlanTerms
  readonly minimumMinor: bigint | null
  readonly maximumMinor: bigint | null
}

/** All that an account was answered on one day. */
export interface PlanAnswers {
  readonly day: Day
  readonly currency: Currency
  /** What the provider listed unasked, then what it said of the plans in `asked`. */
  readonly answers: readonly PlanAnswer[]
  readonly asked: readonly string[]
  /** Null: they were not read. */
  readonly feePlans: readonly FeePlan[] | null
}

export function snapshotOf(given: PlanAnswers): PlanSnapshot {
  const { day, currency, answers, asked, feePlans } = given
  const byPlan = groupBy(answers, ({ terms }) => nameOfPlan(terms))
  const prices = new Map(feePlans?.map((plan) => [nameOfPlan(plan.terms), plan]))
  const names = new Set([...byPlan.keys(), ...asked])
  const remarks: string[] = []
  const offers = [...names].toSorted(comparePlans).map((plan): PlanOffer => {
    const own = byPlan.get(plan) ?? []
    const price = prices.get(plan)
    const differing = own.flatMap((answer) => instalmentFaults(plan, answer, currency))
    remarks.push(...differing)
    const isOffered = own.some(speaksOfAmountOnly)
    const refusals = own.flatMap((answer) => (answer.isEligible ? [] : otherRefusals(answer)))
    // The later answer counts: it is of a plan that was asked for by name.
    const limits = own.findLast(hasLimits)
    return {
      plan,
      isOffered,
      minimumMinor: limits?.minimumMinor ?? price?.minimumMinor ?? null,
      maximumMinor: limits?.maximumMinor ?? price?.maximumMinor ?? null,
      reasons: [
        ...new Set([
          ...(isOffered ? [] : refusals.map(({ code }) => code)),
          ...(differing.length > 0 ? [INSTALMENTS_DIFFER] : []),
        ]),
      ].toSorted(compareText),
      price:
        price === undefined
          ? null
          : { basisPoints: price.basisPoints, fixedMinor: price.fixedMinor },
    }
  })
  return { day, trouble: null, offers, asked: asked.toSorted(comparePlans), remarks }
}

/** A day on which the provider did not tell. */
export function untoldSnapshot(day: Day, trouble: string): PlanSnapshot {
  return { day, trouble, offers: [], asked: [], remarks: [] }
}

function hasLimits({ minimumMinor, maximumMinor }: PlanAnswer): boolean {
  return minimumMinor !== null || maximumMinor !== null
}

function isOutside(
  amountMinor: bigint,
  { minimumMinor, maximumMinor }: Pick<PlanOffer, 'minimumMinor' | 'maximumMinor'>,
): boolean {
  return (
    (minimumMinor !== null && amountMinor < minimumMinor) ||
    (maximumMinor !== null && amountMinor > maximumMinor)
  )
}

/** Whether the plan can be sold, if not for this amount then for another one. */
function speaksOfAmountOnly(answer: PlanAnswer): boolean {
  if (answer.isEligible) return true
  const isAboutAmount =
    isOutside(answer.purchaseMinor, answer) ||
    answer.refusals.some(({ field }) => field === AMOUNT_FIELD)
  return isAboutAmount && otherRefusals(answer).length === 0
}

const AMOUNT_FIELD = 'purchase_amount'

/** Reasons that no other amount would cure. A reason without a field may be about an amount that is out of bounds. */
function otherRefusals(answer: PlanAnswer): PlanRefusal[] {
  const outside = isOutside(answer.purchaseMinor, answer)
  return answer.refusals.filter(
    ({ field, code }) =>
      field !== AMOUNT_FIELD && !(field === null && code === 'invalid_value' && outside),
  )
}

/** The instalments of a plan sum to the purchase, each total to its parts, and the parts to the cost. */
function instalmentFaults(plan: string, answer: PlanAnswer, currency: Currency): string[] {
  const { isEligible, purchaseMinor, costMinor, instalments } = answer
  if (!isEligible || instalments.length === 0) return []
  const told = `For a purchase of ${money(purchaseMinor, currency)} in plan ${plan} Alma states instalments`
  const purchased = sumOf(instalments.map((one) => one.purchaseMinor))
  const cost = sumOf(instalments.map((one) => one.feeMinor + one.interestMinor))
  const total = sumOf(instalments.map((one) => one.totalMinor))
  if (purchased !== purchaseMinor) return [`${told} that sum to ${money(purchased, currency)}.`]
  if (total !== purchased + cost) {
    return [
      `${told} of ${money(total, currency)} in all, but purchase and costs sum to ${money(purchased + cost, currency)}.`,
    ]
  }
  if (costMinor !== null && costMinor !== cost) {
    return [
      `${told} with costs of ${money(cost, currency)}, but a total cost of ${money(costMinor, currency)}.`,
    ]
  }
  return []
}

/** Whether the account may not sell at all: as an answer says, or the refusal to give one. */
function isStopped({ trouble, offers }: PlanSnapshot): boolean {
  if (trouble !== null) return trouble.includes(SELLING_STOPPED)
  return (
    offers.every(({ isOffered }) => !isOffered) &&
    offers.some(({ reasons }) => reasons.includes(SELLING_STOPPED))
  )
}

/** What the sales of some days say about what to ask: plans, and the least and the largest purchase. */
export interface SoldPlan {
  /** Null: the payment names none. */
  readonly plan: string | null
  readonly leastMinor: bigint
  readonly mostMinor: bigint
}

/** What to ask the provider: what it offers for one amount, and named plans for another. */
export interface PlanQuestion {
  readonly discoveryMinor: bigint
  readonly queryMinor: bigint
  /** In the order of `comparePlans`. */
  readonly plans: readonly string[]
}

/** Asked about where nothing was sold. */
const USUAL_PURCHASE_MINOR = 10_000n
/** More plans than any account has. */
const PLANS_ASKED_MAX = 40

/**
 * Two amounts that bracket the sales: a plan that takes both has no limit between them, and of one
 * that does not take an amount the provider states the limits.
 */
export function questionAbout(sold: readonly SoldPlan[]): PlanQuestion {
  const positive = sold.filter(({ leastMinor }) => leastMinor > 0n)
  const named = positive.flatMap(({ plan }) =>
    plan !== null && termsOfPlan(plan) !== null ? [plan] : [],
  )
  const least = smallest(positive.map(({ leastMinor }) => leastMinor))
  const most = smallest(positive.map(({ mostMinor }) => -mostMinor))
  return {
    discoveryMinor: most === null ? USUAL_PURCHASE_MINOR : -most,
    queryMinor: least ?? USUAL_PURCHASE_MINOR,
    plans: [...new Set(named)].toSorted(comparePlans).slice(0, PLANS_ASKED_MAX),
  }
}

function smallest(amounts: readonly bigint[]): bigint | null {
  return amounts.reduce<bigint | null>(
    (least, amount) => (least === null || amount < least ? amount : least),
    null,
  )
}

/** What is wrong with a sale by the answers around it. */
export type SaleFault =
  | { readonly code: 'plan_not_offered'; readonly from: PlanSnapshot; readonly to: PlanSnapshot }
  | {
      readonly code: 'plan_amount'
      readonly limitMinor: bigint
      readonly from: PlanSnapshot
      readonly to: PlanSnapshot
    }
  | { readonly code: 'fee_rate'; readonly expectedFeeMinor: bigint; readonly from: PlanSnapshot }

/** Answers that can be looked up by the day of a sale. */
export type PlanBrackets = (
  day: Day,
) => { readonly from: PlanSnapshot; readonly to: PlanSnapshot } | null

/** @param snapshots in the order of their days. */
export function bracketsOf(snapshots: readonly PlanSnapshot[]): PlanBrackets {
  const told = snapshots.filter(({ trouble }) => trouble === null)
  return (day) => {
    // Few answers lie within reach, but years of them may be stored.
    let [low, high] = [0, told.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((told[middle]?.day ?? day) <= day) low = middle + 1
      else high = middle
    }
    const [from, to] = [told[low - 1], told[low]]
    if (from === undefined || to === undefined) return null
    if (daysBetween(from.day, day) > PLAN_REACH_DAYS) return null
    if (daysBetween(day, to.day) > PLAN_REACH_DAYS) return null
    return { from, to }
  }
}

/** What is asked of a sale besides its plan. */
export interface SaleRules {
  readonly zone: string
  /** How the ledger's fees are compared with the provider's fee plans; null: they are not. */
  readonly feeCheck: PlanFacts['feeCheck']
}

/** A fee is right within one cent. */
const FEE_TOLERANCE_MINOR = 1n

export function faultOfSale(
  { row, plan, purchaseMinor }: PlannedSale,
  brackets: PlanBrackets,
  { zone, feeCheck }: SaleRules,
): SaleFault | null {
  const bracket = brackets(dayOfInstant(row.createdS, zone))
  if (bracket === null) return null
  const { from, to } = bracket
  const sides = [from, to].map((snapshot) => ({
    offer: snapshot.offers.find((offer) => offer.plan === plan),
    wasAsked: snapshot.asked.includes(plan),
  }))
  const offers = sides.flatMap(({ offer }) => (offer?.isOffered === true ? [offer] : []))
  if (offers.length === 0) {
    // That it was not among what the provider lists by itself is not enough.
    const isSaid = sides.some(({ offer, wasAsked }) => wasAsked || offer !== undefined)
    return isSaid ? { code: 'plan_not_offered', from, to } : null
  }
  if (offers.every((offer) => isOutside(purchaseMinor, offer))) {
    return { code: 'plan_amount', limitMinor: nearestLimit(purchaseMinor, offers), from, to }
  }
  if (feeCheck === null) return null
  const expected = offers.flatMap(({ price }) =>
    price === null ? [] : feesOf(plan, price, row.amountMinor, feeCheck),
  )
  const difference = (feeMinor: bigint): bigint => absolute(row.feeMinor - feeMinor)
  const [nearest] = expected.toSorted((a, b) => (difference(a) < difference(b) ? -1 : 1))
  return nearest === undefined || difference(nearest) <= FEE_TOLERANCE_MINOR
    ? null
    : { code: 'fee_rate', expectedFeeMinor: nearest, from }
}

function nearestLimit(purchaseMinor: bigint, offers: readonly PlanOffer[]): bigint {
  const limits = offers.flatMap(({ minimumMinor, maximumMinor }) => [
    ...(minimumMinor !== null && purchaseMinor < minimumMinor ? [minimumMinor] : []),
    ...(maximumMinor !== null && purchaseMinor > maximumMinor ? [maximumMinor] : []),
  ])
  const distances = limits.map((limit) => absolute(limit - purchaseMinor))
  return limits[distances.indexOf(smallest(distances) ?? 0n)] ?? purchaseMinor
}

/** The fee, with and without VAT where nobody said which of the two the ledger holds. */
function feesOf(
  plan: string,
  { basisPoints, fixedMinor }: PlanPrice,
  amountMinor: bigint,
  { vat }: NonNullable<PlanFacts['feeCheck']>,
): bigint[] {
  const ratePercent = formatAmount(BigInt(basisPoints), 'EUR')
  return (vat === null ? (['excluded', 'included'] as const) : [vat]).flatMap(
    (basis) =>
      contractFee(
        {
          vat: basis,
          vatRatePercent: VAT_RATE_PERCENT_DEFAULT,
          plans: { [plan]: { ratePercent, fixedMinor } },
        },
        plan,
        amountMinor,
      ) ?? [],
  )
}

export interface PlansContext {
  readonly entity: string
  readonly policy: Policy
  readonly period: Period
  readonly currency: Currency
}

/** What the report tells of an account's plans, and the sales that they contradict. */
export function judgePlans(
  facts: PlanFacts | undefined,
  context: PlansContext,
): PlanReport & { readonly findings: readonly Finding[] } {
  if (facts === undefined) return { findings: [], rows: [], stops: [], remarks: [] }
  const { entity, period } = context
  const told = facts.snapshots
    .filter(({ trouble }) => trouble === null)
    .toSorted((a, b) => compareText(a.day, b.day))
  const said = facts.snapshots
    .filter((snapshot) => snapshot.trouble === null || isStopped(snapshot))
    .toSorted((a, b) => compareText(a.day, b.day))
  const last = said.at(-1)
  const shown = shownIn(period, told)
  return {
    findings: judgeSales(facts, told, context),
    rows: planRows(facts, told, shown, context),
    stops:
      last !== undefined && isStopped(last)
        ? [{ entity, since: unbroken(said, said.length - 1, isStopped).day }]
        : [],
    remarks: (shown === null ? [] : (told[shown]?.remarks ?? [])).map((text) => ({ entity, text })),
  }
}

/** A sale is one, however many rows it has: what else is wrong with them is told elsewhere. */
function judgeSales(
  { doubtful, feeCheck }: PlanFacts,
  told: readonly PlanSnapshot[],
  { entity, policy }: PlansContext,
): Finding[] {
  const brackets = bracketsOf(told)
  const firstOf = new Map<string, PlannedSale>()
  for (const sale of doubtful.toSorted(
    (a, b) => a.row.createdS - b.row.createdS || compareText(a.row.id, b.row.id),
  )) {
    const paymentId = sale.row.paymentId ?? sale.row.id
    if (!firstOf.has(paymentId)) firstOf.set(paymentId, sale)
  }
  return [...firstOf.values()].flatMap((sale): Finding[] => {
    const fault = faultOfSale(sale, brackets, { zone: policy.zone, feeCheck })
    return fault === null ? [] : [toFinding(entity, sale, fault, policy.zone)]
  })
}

function toFinding(
  entity: string,
  { row, plan, purchaseMinor }: PlannedSale,
  fault: SaleFault,
  zone: string,
): Finding {
  const base = rowFacts(entity, row, zone)
  const amount = (amountMinor: bigint): string => money(amountMinor, row.currency)
  if (fault.code === 'plan_not_offered') {
    return {
      ...base,
      code: fault.code,
      actualMinor: row.amountMinor,
      explanation: `The sale ${row.paymentId} of ${amount(row.amountMinor)} is in plan ${plan}, which this account did not offer: Alma said so on ${fault.from.day} and on ${fault.to.day}${reasonsOf(plan, fault.to)}.`,
    }
  }
  if (fault.code === 'plan_amount') {
    const limits =
      limitsOf(plan, fault.to, row.currency) ?? limitsOf(plan, fault.from, row.currency)
    return {
      ...base,
      code: fault.code,
      expectedMinor: fault.limitMinor,
      actualMinor: purchaseMinor,
      explanation: `The sale ${row.paymentId} of ${amount(purchaseMinor)} is in plan ${plan}, which takes ${limits ?? 'other amounts'} by Alma's answers of ${fault.from.day} and ${fault.to.day}.`,
    }
  }
  return {
    ...base,
    code: fault.code,
    expectedMinor: fault.expectedFeeMinor,
    actualMinor: row.feeMinor,
    explanation: `Alma charged ${amount(row.feeMinor)} on the sale ${row.paymentId} of ${amount(row.amountMinor)} in plan ${plan}; its own fee plans of ${fault.from.day} give ${amount(fault.expectedFeeMinor)}.`,
  }
}

function reasonsOf(plan: string, { offers }: PlanSnapshot): string {
  const reasons = offers.find((offer) => offer.plan === plan)?.reasons ?? []
  return reasons.length === 0 ? '' : ` (${reasons.join(', ')})`
}

function limitsOf(plan: string, { offers }: PlanSnapshot, currency: Currency): string | null {
  const offer = offers.find((one) => one.plan === plan && one.isOffered)
  if (offer === undefined) return null
  const { minimumMinor, maximumMinor } = offer
  if (maximumMinor === null) return `at least ${money(minimumMinor ?? 0n, currency)}`
  if (minimumMinor === null) return `at most ${money(maximumMinor, currency)}`
  return `${formatAmount(minimumMinor, currency)} to ${money(maximumMinor, currency)}`
}

/**
 * Place of the answer that stands for a period: its last; else the first after it or the last before
 * it, if that is near; else the first after it, whose day tells how late it came.
 */
function shownIn({ first, last }: Period, told: readonly PlanSnapshot[]): number | null {
  const inside = told.findLastIndex(({ day }) => first <= day && day <= last)
  if (inside !== -1) return inside
  const after = told.findIndex(({ day }) => day > last)
  const isNear = (told[after]?.day ?? first) <= addDays(last, PLAN_REACH_DAYS)
  if (after !== -1 && isNear) return after
  const before = told.findLastIndex(
    ({ day }) => day < first && day >= addDays(first, -PLAN_REACH_DAYS),
  )
  if (before !== -1) return before
  return after === -1 ? null : after
}

/** The first of the answers that all hold, without a break up to the one at the place. */
function unbroken(
  told: readonly PlanSnapshot[],
  place: number,
  holds: (snapshot: PlanSnapshot) => boolean,
): PlanSnapshot {
  let at = place
  for (let before = told[at - 1]; before !== undefined && holds(before); before = told[at - 1]) {
    at -= 1
  }
  const found = told[at]
  if (found === undefined) throw new Error(`there is no answer at place ${place}`)
  return found
}

function planRows(
  { sold }: PlanFacts,
  told: readonly PlanSnapshot[],
  place: number | null,
  { entity, currency }: PlansContext,
): PlanRow[] {
  const shown = place === null ? undefined : told[place]
  const named = new Set([
    ...(shown?.offers ?? []).map(({ plan }) => plan),
    ...sold.flatMap(({ plan }) => plan ?? []),
  ])
  const rows = [...named].toSorted(comparePlans).flatMap((plan): PlanRow[] => {
    const sales = sold.filter((each) => each.plan === plan)
    const offer = shown?.offers.find((each) => each.plan === plan)
    const state = {
      entity,
      plan,
      minimumMinor: offer?.minimumMinor ?? null,
      maximumMinor: offer?.maximumMinor ?? null,
      isOffered: offer?.isOffered ?? null,
      reasons: offer?.reasons ?? [],
      ...lifeOf(plan, told, place, currency),
    }
    const figures = sales.length > 0 ? sales : [{ ...NOTHING_SOLD, currency }]
    return figures
      .toSorted((a, b) => compareText(a.currency, b.currency))
      .map((figure) => ({ ...state, ...figuresOf(figure) }))
  })
  const unnamed = sold
    .filter(({ plan }) => plan === null)
    .toSorted((a, b) => compareText(a.currency, b.currency))
    .map((figure) => ({ entity, ...UNKNOWN_PLAN, ...figuresOf(figure) }))
  return [...rows, ...unnamed]
}

const NOTHING_SOLD = { sales: 0, grossMinor: 0n, feesMinor: 0n }

const UNKNOWN_PLAN = {
  plan: null,
  minimumMinor: null,
  maximumMinor: null,
  isOffered: null,
  reasons: [],
  since: null,
  previous: null,
} as const

function figuresOf({
  currency,
  sales,
  grossMinor,
  feesMinor,
}: Pick<PlanFacts['sold'][number], 'currency' | 'sales' | 'grossMinor' | 'feesMinor'>) {
  return {
    currency,
    sales,
    grossMinor,
    feesMinor: -feesMinor,
    feeRate: rateOf(grossMinor, feesMinor),
  }
}

/** Fees in hundredths of a per cent of the gross, rounded half away from zero. */
function rateOf(grossMinor: bigint, feesMinor: bigint): bigint | null {
  if (grossMinor <= 0n) return null
  const size = (absolute(feesMinor) * 20_000n + grossMinor) / (2n * grossMinor)
  return feesMinor < 0n ? -size : size
}

/** Since when the plan is as it is, as far as the answers show, and how it was before, in words. */
function lifeOf(
  plan: string,
  told: readonly PlanSnapshot[],
  place: number | null,
  currency: Currency,
): { readonly since: Day | null; readonly previous: string | null } {
  const shown = place === null ? undefined : told[place]
  if (place === null || shown === undefined) return { since: null, previous: null }
  const state = stateOf(plan, shown, currency)
  if (state === null) return { since: null, previous: null }
  // Limits are stated only now and then: an answer without them contradicts none.
  const first = unbroken(told, place, (other) => {
    const before = stateOf(plan, other, currency)
    return before === null || isSameState(state, before)
  })
  const before = told
    .filter(({ day }) => day < first.day)
    .map((snapshot) => stateOf(plan, snapshot, currency))
    .findLast((found) => found !== null)
  const since = told.find(
    (snapshot) => snapshot.day >= first.day && stateOf(plan, snapshot, currency) !== null,
  )
  return { since: since?.day ?? shown.day, previous: before?.words ?? null }
}

interface PlanState {
  readonly offer: Pick<PlanOffer, 'isOffered' | 'minimumMinor' | 'maximumMinor' | 'reasons'>
  readonly words: string
}

/** How a plan stood; null where nothing was said of it. A plan that is not listed is not offered. */
function stateOf(plan: string, snapshot: PlanSnapshot, currency: Currency): PlanState | null {
  const offer = snapshot.offers.find((each) => each.plan === plan)
  if (offer === undefined) {
    if (snapshot.offers.length === 0) return null
    const unlisted = { isOffered: false, minimumMinor: null, maximumMinor: null, reasons: [] }
    return { offer: unlisted, words: 'not offered' }
  }
  if (!offer.isOffered) {
    const why = offer.reasons.length === 0 ? '' : `: ${offer.reasons.join(' ')}`
    return { offer, words: `not offered${why}` }
  }
  const isLimited = offer.minimumMinor !== null || offer.maximumMinor !== null
  const limits = isLimited ? `, ${limitsOf(plan, snapshot, currency)}` : ''
  return { offer, words: `offered${limits}` }
}

function isSameState({ offer: a }: PlanState, { offer: b }: PlanState): boolean {
  if (a.isOffered !== b.isOffered) return false
  if (!a.isOffered) {
    return a.reasons.length === 0 || b.reasons.length === 0 || a.reasons.join() === b.reasons.join()
  }
  const agree = (one: bigint | null, other: bigint | null): boolean =>
    one === null || other === null || one === other
  return agree(a.minimumMinor, b.minimumMinor) && agree(a.maximumMinor, b.maximumMinor)
}

/** What stands at the head of the mail. It says nothing that changes from night to night. */
export function sellingStopSentence({ entity, since }: SellingStop): string {
  return `Alma does not let ${entity} create payments (${SELLING_STOPPED}, since ${since}): nothing can be sold with it. Ask Alma what is missing, and take the plans out of the shop until then.`
}
