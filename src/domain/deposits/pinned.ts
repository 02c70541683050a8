import { pairName, signature } from '../decisions.ts'
import type { Decision, PinnedMatch, Policy } from '../facts.ts'
import { money } from '../findings.ts'
import { sumOf } from '../money.ts'
import type { Board, DepositMatch } from './board.ts'
import { nameOf } from './references.ts'
import { type DepositItem, lagDays, lineName, type PayoutItem } from './items.ts'

/** A tie that a report named and that the facts no longer bear. */
export interface BrokenPin {
  readonly pin: PinnedMatch
  readonly because: string
}

/** What people decided, as far as it may stand against a pin. */
export interface DecisionsOnPins {
  /** Matches that were decided. */
  readonly matches: readonly DepositMatch[]
  readonly refused: ReadonlyMap<string, Decision>
  /** Payouts whose own row is gone from the ledger, by `nameOf`. */
  readonly gone: ReadonlySet<string>
}

/**
 * Matches that a written report named come first and are kept, so that a reported decision is never
 * silently replaced. A pin whose items are not all known as of today's day is left aside: it is
 * neither kept nor broken. So is one whose items were decided to belong together.
 * @param board with the items of decided matches still on it.
 */
export function keepPinned(
  board: Board,
  pins: readonly PinnedMatch[],
  policy: Policy,
  decided: DecisionsOnPins,
): { matches: DepositMatch[]; broken: BrokenPin[] } {
  if (pins.length === 0) return { matches: [], broken: [] }
  const payoutOf = new Map(board.payouts.map((payout) => [payout.name, payout]))
  const depositOf = new Map(board.deposits.map((deposit) => [deposit.entry.id, deposit]))
  const decisionOf = new Map<PayoutItem | DepositItem, DepositMatch>(
    decided.matches.flatMap((match) =>
      [...match.payouts, ...match.deposits].map((item) => [item, match] as const),
    ),
  )
  const matches: DepositMatch[] = []
  const broken: BrokenPin[] = []
  for (const pin of pins) {
    const { entity } = pin
    const payouts = pin.payoutIds.flatMap(
      (payoutId) => payoutOf.get(nameOf({ entity, payoutId })) ?? [],
    )
    const deposits = pin.bankEntryIds.flatMap((id) => depositOf.get(id) ?? [])
    const against = [...payouts, ...deposits].flatMap((item) => decisionOf.get(item) ?? [])
    const [decision] = against
    if (decision !== undefined) {
      if (!isSame(pin, decision)) broken.push({ pin, because: replacedBy(decision) })
      continue
    }
    const lost = pin.payoutIds.find((payoutId) => decided.gone.has(nameOf({ entity, payoutId })))
    if (lost !== undefined) {
      broken.push({ pin, because: `Alma's ledger no longer has payout ${lost}` })
      continue
    }
    if (payouts.length < pin.payoutIds.length || deposits.length < pin.bankEntryIds.length) continue
    const because =
      refusal(payouts, deposits, decided.refused, policy) ??
      contradiction(payouts, deposits, policy)
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

function isSame(pin: PinnedMatch, { payouts, deposits }: DepositMatch): boolean {
  const holds = (ids: readonly string[], others: readonly string[]): boolean =>
    ids.length === others.length && ids.every((id) => others.includes(id))
  return (
    holds(
      pin.payoutIds,
      payouts.map(({ payoutId }) => payoutId),
    ) &&
    holds(
      pin.bankEntryIds,
      deposits.map(({ entry }) => entry.id),
    )
  )
}

function replacedBy({ payouts, deposits, evidence }: DepositMatch): string {
  const lines = deposits.map(({ entry }) => lineName(entry)).join(', ')
  return `${payouts.map(({ payoutId }) => payoutId).join(', ')} belongs to ${lines}, ${evidence}`
}

function refusal(
  payouts: readonly PayoutItem[],
  deposits: readonly DepositItem[],
  refused: ReadonlyMap<string, Decision>,
  { zone }: Policy,
): string | null {
  for (const payout of payouts) {
    for (const { entry } of deposits) {
      const decision = refused.get(pairName(payout, entry.id))
      if (decision !== undefined) return `it was refused by ${signature(decision, zone)}`
    }
  }
  return null
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
