import type { StoredBankEntry } from '../bank-statement.ts'
import { compareText } from '../collections.ts'
import { daysBetween } from '../day.ts'
import type { Policy } from '../facts.ts'
import { money } from '../findings.ts'
import { absolute } from '../money.ts'
import { lagDays, lineName, type PayoutItem } from './items.ts'

/** A bank line that was not taken for a payout, and the first gate that stopped it. */
export interface NearMiss {
  readonly entry: StoredBankEntry
  readonly gate: string
}

export interface NearMissContext {
  readonly policy: Policy
  /** Which entity owns the account, or null. */
  readonly ownerOf: (account: string) => string | null
  readonly isProviders: (entry: StoredBankEntry) => boolean
  /** What took the line instead, in words, or null. */
  readonly takenBy: (entry: StoredBankEntry) => string | null
  /** The payout that the line names, if it names one only. */
  readonly namedPayout: (entry: StoredBankEntry) => string | null
}

const NEAR_MISSES_MAX = 5

/** The lines that came closest to a payout without being its deposit, nearest first. */
export function nearMisses(
  payout: PayoutItem,
  entries: readonly StoredBankEntry[],
  own: ReadonlySet<string>,
  context: NearMissContext,
): NearMiss[] {
  return entries
    .filter((entry) => !own.has(entry.id) && isNear(payout, entry, context.policy))
    .toSorted(
      (a, b) => distance(payout, a) - distance(payout, b) || compareText(a.reference, b.reference),
    )
    .slice(0, NEAR_MISSES_MAX)
    .map((entry) => ({ entry, gate: gateOf(payout, entry, context) }))
}

/** Worth telling: on the payout's side of zero, within a tenth of its amount, and around its days. */
function isNear(payout: PayoutItem, entry: StoredBankEntry, policy: Policy): boolean {
  const sameSide = payout.amountMinor > 0n === entry.amountMinor > 0n
  const off = absolute(payout.amountMinor - entry.amountMinor)
  const days = daysBetween(payout.day, entry.bookingDay)
  return (
    sameSide &&
    off * 10n <= absolute(payout.amountMinor) &&
    days >= -3 &&
    days <= policy.lateWindowDays * 2
  )
}

/** Cents first, then days: an equal amount is nearer than an equal day. */
function distance(payout: PayoutItem, entry: StoredBankEntry): number {
  const off = Number(absolute(payout.amountMinor - entry.amountMinor))
  return off * 1000 + Math.abs(daysBetween(payout.day, entry.bookingDay))
}

function gateOf(payout: PayoutItem, entry: StoredBankEntry, context: NearMissContext): string {
  const owner = context.ownerOf(entry.account)
  if (owner === null) return `account ${entry.account} belongs to no entity`
  if (!context.isProviders(entry))
    return 'it does not look like a line of Alma (ALMA_PAYER_PATTERNS, payer account)'
  if (entry.currency !== payout.currency) return `it is in ${entry.currency}`
  if (owner !== payout.entity) return `account ${entry.account} belongs to ${owner}`
  const named = context.namedPayout(entry)
  if (named !== null && named !== payout.payoutId) return `it names ${named}`
  const taken = context.takenBy(entry)
  if (taken !== null) return `it was taken by ${taken}`
  const lag = lagDays(payout, entry)
  if (lag === null) return `it was booked before the payout was made`
  if (lag > context.policy.lateWindowDays) {
    return `it came ${lag} business days after the payout, more than the ${context.policy.lateWindowDays} in which a deposit is tied to it`
  }
  const off = entry.amountMinor - payout.amountMinor
  if (off !== 0n) return `its amount differs by ${money(off, entry.currency)}`
  return `${lineName(entry)} has the amount, but is explained in several ways`
}
