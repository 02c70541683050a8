import type { StoredBankEntry } from '../bank-statement.ts'
import { sumOf } from '../money.ts'
import type { DepositItem, PayoutItem } from './items.ts'
import type { DepositMatching } from './match-deposits.ts'

/** A line of the provider at an own account, and what of it belongs to which payout. */
export interface BookedLine {
  /** The entity that owns the account. */
  readonly entity: string
  readonly entry: StoredBankEntry
  /** Their sum is the line's amount; without a payout: nobody knows yet what it is for. */
  readonly parts: readonly BookedPart[]
}

interface BookedPart {
  readonly payoutId: string | null
  readonly amountMinor: bigint
}

/** Every line of the provider, in the order in which they came. */
export function bookedLines(
  { matches, partly, differing, returned }: DepositMatching,
  deposits: readonly DepositItem[],
): BookedLine[] {
  const parts = new Map<DepositItem, BookedPart[]>()
  for (const tied of matches) share(parts, tied.payouts, tied.deposits)
  for (const tied of partly) share(parts, tied.payouts, tied.deposits)
  for (const tied of differing) share(parts, tied.payouts, tied.deposits)
  for (const { match, debit, again } of returned) {
    if (match === null) continue
    share(parts, match.payouts, [debit])
    if (again !== null) share(parts, match.payouts, [again])
  }
  return deposits.map((deposit) => ({
    entity: deposit.entity,
    entry: deposit.entry,
    parts: parts.get(deposit) ?? [{ payoutId: null, amountMinor: deposit.entry.amountMinor }],
  }))
}

/**
 * One payout takes all of its lines; one line pays each of its payouts in full, a debit that takes
 * it back from each. Where several stand against several, only their sums are known to be equal, so
 * they are paired in order.
 */
function share(
  parts: Map<DepositItem, BookedPart[]>,
  payouts: readonly PayoutItem[],
  deposits: readonly DepositItem[],
): void {
  const [deposit, ...others] = deposits
  if (deposit !== undefined && others.length === 0 && payouts.length > 1) {
    parts.set(deposit, inFull(payouts, deposit.entry.amountMinor))
    return
  }
  for (const [position, item] of deposits.entries()) {
    const payout = payouts[Math.min(position, payouts.length - 1)]
    if (payout === undefined) continue
    parts.set(item, [{ payoutId: payout.payoutId, amountMinor: item.entry.amountMinor }])
  }
}

function inFull(payouts: readonly PayoutItem[], lineMinor: bigint): BookedPart[] {
  const paidMinor = sumOf(payouts.map(({ amountMinor }) => amountMinor))
  const sign = paidMinor < 0n === lineMinor < 0n ? 1n : -1n
  const restMinor = lineMinor - sign * paidMinor
  return [
    ...payouts.map(({ payoutId, amountMinor }) => ({ payoutId, amountMinor: sign * amountMinor })),
    ...(restMinor === 0n ? [] : [{ payoutId: null, amountMinor: restMinor }]),
  ]
}
