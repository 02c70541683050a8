import type { BalanceTransaction } from './balance-transaction.ts'
import { compareText, firstPlace, groupBy } from './collections.ts'
import { type Day, dayOfInstant } from './day.ts'
import type { EntityFacts, PayoutFacts } from './facts.ts'
import { hundredthsOfPercent, VAT_RATE_PERCENT_DEFAULT } from './fee-contract.ts'
import { money } from './findings.ts'
import { absolute } from './money.ts'
import type { Refund } from './payment.ts'
import type { ProvedPayout } from './payout-proof.ts'

/**
 * What a payout's residual may be: a short list of exact hypotheses in a fixed order, each tested to
 * the cent. What fits is told as a counterfactual that an accountant can check; it is never taken as
 * the truth, so the finding stays.
 */

/** Rows kept for one payout, those nearest in time to it. */
const RESIDUAL_ROWS_MAX = 20
/** How far from the payout rows are looked at: what belongs to it is not older than two months. */
export const RESIDUAL_REACH_S = 62 * 86_400
/** Hypotheses told; further ones that fit are counted. */
const TOLD_MAX = 3

/** Net of the rows − what was sent; 0 where there is nothing to prove it by (no own row, several, no rows). */
export function residualOf({ ownRows, transactions, netMinor }: PayoutFacts): bigint {
  const [own, another] = ownRows
  if (own === undefined || another !== undefined || transactions === 0) return 0n
  return netMinor + own.netMinor
}

/** Of an account's rows those that fit one of the hypotheses below, the nearest in time first. */
export function residualRows(
  rows: readonly BalanceTransaction[],
  payout: PayoutFacts,
  vatRatePercent: string,
): BalanceTransaction[] {
  const { payoutId, ownRows } = payout
  const sentS = ownRows[0]?.createdS ?? 0
  const distanceS = ({ createdS }: BalanceTransaction): number => Math.abs(createdS - sentS)
  return rows
    .filter((row) => couldExplain(row, { payoutId, sentS }, residualOf(payout), vatRatePercent))
    .toSorted((a, b) => distanceS(a) - distanceS(b) || compareText(a.id, b.id))
    .slice(0, RESIDUAL_ROWS_MAX)
}

function couldExplain(
  row: BalanceTransaction,
  payout: { readonly payoutId: string; readonly sentS: number },
  residualMinor: bigint,
  vatRatePercent: string,
): boolean {
  if (row.kind === 'from_payout') return false
  if (Math.abs(row.createdS - payout.sentS) > RESIDUAL_REACH_S) return false
  if (row.includedInPayoutId !== payout.payoutId) return row.netMinor === -residualMinor
  const feeMinor = absolute(row.feeMinor)
  return (
    row.netMinor === residualMinor ||
    2n * row.netMinor === residualMinor ||
    (feeMinor !== 0n && feeMinor === absolute(residualMinor)) ||
    isVatOf(feeMinor, absolute(residualMinor), vatRatePercent)
  )
}

/** Whether an amount is the VAT on a fee, be it on top of the fee or contained in it. */
export function isVatOf(feeMinor: bigint, amountMinor: bigint, vatRatePercent: string): boolean {
  if (feeMinor === 0n || amountMinor === 0n) return false
  const rate = hundredthsOfPercent(vatRatePercent)
  return [10_000n, 10_000n + rate].some(
    // Rounded to the nearest cent, or cut.
    (divisor) => absolute(amountMinor * divisor - feeMinor * rate) < divisor,
  )
}

/** The VAT rate that the merchant's papers show. */
export function vatRateOf({ exports }: Pick<EntityFacts, 'exports'>): string {
  return exports[0]?.conventions.vatRatePercent ?? VAT_RATE_PERCENT_DEFAULT
}

/** What an entity's facts hold, by what a residual is compared with. */
export interface ResidualSources {
  readonly facts: EntityFacts
  readonly zone: string
  /** Gathered rows by payout id. */
  readonly rowsOf: ReadonlyMap<string, readonly BalanceTransaction[]>
  /** Refunds on payments that the ledger does not have, by amount. */
  readonly undeductedOf: ReadonlyMap<bigint, readonly UndeductedRefund[]>
  /** Payouts with an own row, by currency and by what they are off. */
  readonly payoutsOff: ReadonlyMap<string, ReadonlyMap<bigint, readonly ProvedPayout[]>>
  /** The first payout by id of each day that has any, in order of days, by currency. */
  readonly firstOfDays: ReadonlyMap<string, readonly ProvedPayout[]>
}

type UndeductedRefund = Refund & { readonly paymentId: string }

export function residualSources(
  facts: EntityFacts,
  payouts: readonly ProvedPayout[],
  zone: string,
): ResidualSources {
  const deducted = new Set(facts.refundRows.map(({ refundId }) => refundId))
  const asked = facts.payments.flatMap(({ paymentId, payment }) =>
    (payment?.refunds ?? []).map((refund) => ({ ...refund, paymentId })),
  )
  const ofCurrency = groupBy(
    payouts.filter(({ own }) => own !== null),
    (payout) => payout.facts.currency,
  )
  return {
    facts,
    zone,
    rowsOf: new Map(facts.residualRows.map(({ payoutId, rows }) => [payoutId, rows])),
    undeductedOf: groupBy(
      asked.filter(({ id }) => !deducted.has(id)),
      ({ amountMinor }) => amountMinor,
    ),
    payoutsOff: new Map(
      [...ofCurrency].map(([currency, group]) => [
        currency,
        groupBy(group, (payout) => residualOf(payout.facts)),
      ]),
    ),
    firstOfDays: new Map(
      [...ofCurrency].map(([currency, group]) => [currency, firstOfEachDay(group)]),
    ),
  }
}

function firstOfEachDay(payouts: readonly ProvedPayout[]): ProvedPayout[] {
  const first = new Map<Day, ProvedPayout>()
  for (const payout of payouts) {
    const known = first.get(payout.day)
    if (known === undefined || payout.facts.payoutId < known.facts.payoutId) {
      first.set(payout.day, payout)
    }
  }
  return [...first.values()].toSorted((a, b) => compareText(a.day, b.day))
}

interface Residual {
  readonly payout: ProvedPayout
  readonly residualMinor: bigint
  readonly sources: ResidualSources
  readonly inside: readonly BalanceTransaction[]
  readonly outside: readonly BalanceTransaction[]
}

/** Sentences of a hypothesis that fit, each naming one thing. */
type Hypothesis = (residual: Residual) => string[]

const HYPOTHESES: readonly Hypothesis[] = [
  rowThatIsNotInIt,
  refundThatIsNotInTheLedger,
  rowThatWasNotPaid,
  rowWithTurnedSign,
  feeOfARow,
  allFees,
  vatOfAFee,
  residualOfAnotherPayout,
  payoutOfTheDayBefore,
]

/** What fits the residual, in plain sentences; says so where nothing does. */
export function explainResidualByHypotheses(
  payout: ProvedPayout,
  sources: ResidualSources,
): string {
  const { payoutId } = payout.facts
  const rows = sources.rowsOf.get(payoutId) ?? []
  const residual: Residual = {
    payout,
    residualMinor: payout.residualMinor,
    sources,
    inside: rows.filter(({ includedInPayoutId }) => includedInPayoutId === payoutId).toSorted(byId),
    outside: rows
      .filter(({ includedInPayoutId }) => includedInPayoutId !== payoutId)
      .toSorted(byId),
  }
  const fitting = HYPOTHESES.flatMap((hypothesis) => hypothesis(residual))
  if (fitting.length === 0) {
    return 'No single row, refund, fee, VAT amount or other payout equals this difference.'
  }
  const more = fitting.length - TOLD_MAX
  const rest =
    more > 0 ? ` ${more === 1 ? '1 more thing fits' : `${more} more things fit`} as well.` : ''
  return fitting.slice(0, TOLD_MAX).join(' ') + rest
}

function byId(a: { id: string }, b: { id: string }): number {
  return compareText(a.id, b.id)
}

function nameRow({ id, kind, netMinor, currency }: BalanceTransaction): string {
  return `row ${id} (${kind}, ${money(netMinor, currency)} net)`
}

function rowThatIsNotInIt({ outside, residualMinor }: Residual): string[] {
  return outside
    .filter(({ netMinor }) => netMinor === -residualMinor)
    .map((row) => {
      const where =
        row.includedInPayoutId === null
          ? 'which is in no payout'
          : `which is in payout ${row.includedInPayoutId}`
      return `It would add up with ${nameRow(row)}, ${where}.`
    })
}

function refundThatIsNotInTheLedger({ sources, residualMinor }: Residual): string[] {
  return (sources.undeductedOf.get(residualMinor) ?? [])
    .toSorted(byId)
    .map(
      ({ id, paymentId, createdS }) =>
        `It equals refund ${id} of ${dayOfInstant(createdS, sources.zone)} on payment ${paymentId}, which the ledger does not have: it may have been deducted without a row.`,
    )
}

function rowThatWasNotPaid({ inside, residualMinor }: Residual): string[] {
  return inside
    .filter(({ netMinor }) => netMinor === residualMinor)
    .map((row) => `It would add up without ${nameRow(row)}, which names this payout.`)
}

function rowWithTurnedSign({ inside, residualMinor }: Residual): string[] {
  return inside
    .filter(({ netMinor }) => 2n * netMinor === residualMinor)
    .map((row) => `It would add up if ${nameRow(row)} counted with the opposite sign.`)
}

function feeOfARow({ inside, residualMinor }: Residual): string[] {
  return inside.flatMap((row) => {
    if (row.feeMinor === 0n) return []
    const fee = `the fee of ${money(row.feeMinor, row.currency)} on row ${row.id}`
    if (row.feeMinor === residualMinor) return [`It equals ${fee}, as if taken twice.`]
    if (row.feeMinor === -residualMinor) return [`It equals ${fee}, as if not taken.`]
    return []
  })
}

function allFees({ payout, residualMinor }: Residual): string[] {
  const { feesMinor, currency, transactions } = payout.facts
  if (feesMinor === 0n || transactions < 2) return []
  const fees = `all fees of its sales, ${money(-feesMinor, currency)}`
  if (-feesMinor === residualMinor) return [`It equals ${fees}, as if taken twice.`]
  if (feesMinor === residualMinor) return [`It equals ${fees}, as if paid out gross.`]
  return []
}

function vatOfAFee({ inside, payout, sources, residualMinor }: Residual): string[] {
  const rate = vatRateOf(sources.facts)
  const amountMinor = absolute(residualMinor)
  const { feesMinor, currency, transactions } = payout.facts
  const ofRows = inside
    .filter(({ feeMinor }) => isVatOf(absolute(feeMinor), amountMinor, rate))
    .map(
      (row) =>
        `It equals the VAT of ${rate} % on the fee of ${money(row.feeMinor, row.currency)} on row ${row.id}.`,
    )
  const ofAll =
    transactions > 1 && isVatOf(absolute(feesMinor), amountMinor, rate)
      ? [`It equals the VAT of ${rate} % on all fees of its sales, ${money(-feesMinor, currency)}.`]
      : []
  return [...ofRows, ...ofAll]
}

function residualOfAnotherPayout({ payout, sources, residualMinor }: Residual): string[] {
  return (sources.payoutsOff.get(payout.facts.currency)?.get(-residualMinor) ?? [])
    .filter((other) => other !== payout)
    .map(
      (other) =>
        `Payout ${other.facts.payoutId} of ${other.day} is off by as much the other way round, so the two add up together.`,
    )
}

function payoutOfTheDayBefore({ payout, sources, residualMinor }: Residual): string[] {
  const days = sources.firstOfDays.get(payout.facts.currency) ?? []
  const before = days[firstPlace(days, ({ day }) => day >= payout.day) - 1]
  if (before === undefined || before.amountMinor === 0n) return []
  const name = `payout ${before.facts.payoutId} of ${before.day} over ${money(before.amountMinor, before.facts.currency)}`
  if (before.amountMinor === -residualMinor)
    return [`It equals ${name}, as if that was paid out again.`]
  if (before.amountMinor === residualMinor) return [`It equals ${name}, as if that was taken back.`]
  return []
}
