import type { PinnedMatch, Policy } from '../facts.ts'
import { money } from '../findings.ts'
import { sumOf } from '../money.ts'
import type { Board, DepositMatch } from './board.ts'
import { type DepositItem, lagDays, type PayoutItem } from './items.ts'

/** A tie that a report named and that the facts no longer bear. */
export interface BrokenPin {
  readonly pin: PinnedMatch
  readonly because: string
}

/**
 * Matches that a written report named come first and are kept, so that a reported decision is never
 * silently replaced. A pin whose items are not all known as of today's day is left aside: it is
 * neither kept nor broken.
 */
export function keepPinned(
  board: Board,
  pins: readonly PinnedMatch[],
  policy: Policy,
): { matches: DepositMatch[]; broken: BrokenPin[] } {
  const payoutOf = new Map(
    board.payouts.map((payout) => [`${payout.entity}\u0000${payout.payoutId}`, payout]),
  )
  const depositOf = new Map(board.deposits.map((deposit) => [deposit.entry.id, deposit]))
  const matches: DepositMatch[] = []
  const broken: BrokenPin[] = []
  for (const pin of pins) {
    const payouts = pin.payoutIds.flatMap((id) => payoutOf.get(`${pin.entity}\u0000${id}`) ?? [])
    const deposits = pin.bankEntryIds.flatMap((id) => depositOf.get(id) ?? [])
    if (payouts.length < pin.payoutIds.length || deposits.length < pin.bankEntryIds.length) continue
    const because = contradiction(payouts, deposits, policy)
    if (because === null) {
      matches.push({
        rule: pin.rule,
        payouts,
        deposits,
        evidence: pin.evidence,
        competitors: pin.competitors,
      })
    } else {
      broken.push({ pin, because })
    }
  }
  return { matches, broken }
}

function contradiction(
  payouts: readonly PayoutItem[],
  deposits: readonly DepositItem[],
  policy: Policy,
): string | null {
  const currency = payouts[0]?.currency ?? ''
  const paidMinor = sumOf(payouts.map(({ amountMinor }) => amountMinor))
  const receivedMinor = sumOf(deposits.map(({ entry }) => entry.amountMinor))
  if (paidMinor !== receivedMinor) {
    return `the payouts are now ${money(paidMinor, currency)} and the bank lines ${money(receivedMinor, currency)}`
  }
  for (const { entity, entry } of deposits) {
    if (entity !== payouts[0]?.entity) return `account ${entry.account} now belongs to ${entity}`
    const inReach = payouts.some((payout) => {
      const lag = lagDays(payout, entry)
      return lag !== null && lag <= policy.lateWindowDays
    })
    if (!inReach)
      return `bank line ${entry.reference} of ${entry.bookingDay} is not within the days of the payout`
  }
  return null
}
