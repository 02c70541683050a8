import type { BalanceTransaction } from '../balance-transaction.ts'
import type { StoredBankEntry } from '../bank-statement.ts'
import { compareText, groupBy } from '../collections.ts'
import type { EntityFacts } from '../facts.ts'
import { money } from '../findings.ts'
import { absolute } from '../money.ts'
import type { ProvedPayout } from '../payout-proof.ts'
import { isVatOf, vatRateOf } from '../residual.ts'
import { lagDays, lineName, type PayoutItem } from './items.ts'

/**
 * What the difference between a payout and its deposit may be: exact hypotheses in a fixed order, as
 * for a residual. What fits is told, never taken as the truth.
 */

/** Hypotheses told; further ones that fit are counted. */
const TOLD_MAX = 3

/** What is known of one entity, by the amounts that a difference is compared with. */
export interface DifferenceSources {
  readonly facts: EntityFacts
  /** By id. */
  readonly payouts: ReadonlyMap<string, ProvedPayout>
  /** Payouts with an own row, by the absolute amount that was sent. */
  readonly payoutsOf: ReadonlyMap<bigint, readonly ProvedPayout[]>
  /** Lines of own accounts that are not the provider's, by their amount. */
  readonly otherLinesOf: ReadonlyMap<bigint, readonly StoredBankEntry[]>
  /** Refunds and rows in no payout, by their net. */
  readonly rowsOf: ReadonlyMap<bigint, readonly BalanceTransaction[]>
}

/**
 * @param payouts of the entity.
 * @param otherLines lines of its accounts that are not the provider's.
 */
export function differenceSources(
  facts: EntityFacts,
  payouts: readonly ProvedPayout[],
  otherLines: readonly StoredBankEntry[],
): DifferenceSources {
  return {
    facts,
    payouts: new Map(payouts.map((payout) => [payout.facts.payoutId, payout])),
    payoutsOf: groupBy(
      payouts.filter(({ own }) => own !== null),
      ({ amountMinor }) => absolute(amountMinor),
    ),
    otherLinesOf: groupBy(otherLines, ({ amountMinor }) => amountMinor),
    rowsOf: groupBy([...facts.refundRows, ...facts.openRows], ({ netMinor }) => netMinor),
  }
}

/**
 * In plain sentences what fits a difference; says so where nothing does.
 * @param differenceMinor what came − what was sent.
 */
export function explainDifference(
  payout: PayoutItem,
  differenceMinor: bigint,
  sources: DifferenceSources,
): string {
  const fitting = [
    ...restInAnotherLine(payout, differenceMinor, sources),
    ...rows(differenceMinor, sources),
    ...fees(payout, differenceMinor, sources),
    ...otherPayouts(payout, differenceMinor, sources),
  ]
  if (fitting.length === 0) {
    return 'No other line, refund, open row, sum of fees, VAT on them or other payout equals the difference.'
  }
  const more = fitting.length - TOLD_MAX
  const rest =
    more > 0 ? ` ${more === 1 ? '1 more thing fits' : `${more} more things fit`} as well.` : ''
  return fitting.slice(0, TOLD_MAX).join(' ') + rest
}

function restInAnotherLine(
  payout: PayoutItem,
  differenceMinor: bigint,
  { otherLinesOf }: DifferenceSources,
): string[] {
  return (otherLinesOf.get(-differenceMinor) ?? [])
    .filter(
      (entry) =>
        entry.currency === payout.currency &&
        entry.bookingDay <= payout.windowLast &&
        lagDays(payout, entry) !== null,
    )
    .toSorted((a, b) => compareText(lineName(a), lineName(b)))
    .map(
      (entry) =>
        `The difference stands in the ${lineName(entry)}, which does not look like Alma's.`,
    )
}

function rows(differenceMinor: bigint, { rowsOf }: DifferenceSources): string[] {
  const seen = new Map((rowsOf.get(differenceMinor) ?? []).map((row) => [row.id, row]))
  return [...seen.values()]
    .toSorted((a, b) => compareText(a.id, b.id))
    .map(({ id, kind, refundId, netMinor, currency, includedInPayoutId }) => {
      const what = refundId === null ? `row ${id} (${kind})` : `refund ${refundId} (row ${id})`
      const where =
        includedInPayoutId === null
          ? 'which is in no payout'
          : `which payout ${includedInPayoutId} has settled`
      return `It equals ${what} of ${money(netMinor, currency)} net, ${where}.`
    })
}

function fees(
  payout: PayoutItem,
  differenceMinor: bigint,
  { facts, payouts }: DifferenceSources,
): string[] {
  const feesMinor = payouts.get(payout.payoutId)?.facts.feesMinor ?? 0n
  if (feesMinor === 0n) return []
  const all = `all fees of its sales, ${money(-feesMinor, payout.currency)}`
  if (differenceMinor === feesMinor) return [`It equals ${all}, as if taken once more.`]
  if (differenceMinor === -feesMinor) return [`It equals ${all}, as if paid out gross.`]
  const rate = vatRateOf(facts)
  return isVatOf(absolute(feesMinor), absolute(differenceMinor), rate)
    ? [`It equals the VAT of ${rate} % on ${all}.`]
    : []
}

function otherPayouts(
  payout: PayoutItem,
  differenceMinor: bigint,
  { payoutsOf }: DifferenceSources,
): string[] {
  return (payoutsOf.get(absolute(differenceMinor)) ?? [])
    .filter(({ facts }) => facts.payoutId !== payout.payoutId && facts.currency === payout.currency)
    .toSorted((a, b) => compareText(a.facts.payoutId, b.facts.payoutId))
    .map(({ facts, day, amountMinor }) => {
      const how = amountMinor === differenceMinor ? 'came with it' : 'was set off against it'
      return `It equals payout ${facts.payoutId} of ${day}, as if that ${how}.`
    })
}
