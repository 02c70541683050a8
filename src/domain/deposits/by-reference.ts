import { groupBy } from '../collections.ts'
import type { Policy } from '../facts.ts'
import { money } from '../findings.ts'
import { sumOf } from '../money.ts'
import type { Ambiguity, Board, DepositMatch, PassOutcome } from './board.ts'
import { type DepositItem, lagDays, lineName, onlyNamed, type PayoutItem } from './items.ts'

/** A line, and the places of the open payouts of its amount that it names. */
interface Claim {
  readonly deposit: DepositItem
  readonly places: readonly number[]
}

/**
 * Rung 1: the line names the payout, and the amount is equal. On the board of one entity, where the
 * id of a payout is name enough.
 */
export function matchByReference({ payouts, deposits }: Board, policy: Policy): PassOutcome {
  const placeOf = new Map<string, number>()
  for (const [place, { payoutId }] of payouts.entries()) placeOf.set(payoutId, place)
  /** By place: how many lines of its amount name the payout and no other. */
  const lines = new Int32Array(payouts.length)
  const firstPlaces: number[] = []
  const firstLines: DepositItem[] = []
  const unsure: Claim[] = []
  const depositsLeft: DepositItem[] = []
  for (const deposit of deposits) {
    // Nearly every line names one payout, for which no list is made.
    let only = -1
    let several: number[] | null = null
    for (const group of deposit.named) {
      for (const { entity, payoutId } of group) {
        const place = placeOf.get(payoutId) ?? -1
        const payout = payouts[place]
        if (payout?.amountMinor !== deposit.entry.amountMinor || payout.entity !== entity) continue
        if (!fits(payout, deposit, policy)) continue
        if (only === -1) only = place
        else if (several === null) several = [only, place]
        else several.push(place)
      }
    }
    if (several !== null) unsure.push({ deposit, places: several })
    const isSure = only !== -1 && several === null
    // Lines come in order of day: of several for one payout the first is its deposit.
    if (isSure && lines[only] === 0) {
      firstPlaces.push(only)
      firstLines.push(deposit)
    } else depositsLeft.push(deposit)
    if (isSure) lines[only] = (lines[only] ?? 0) + 1
  }
  const matches: DepositMatch[] = []
  for (const [at, deposit] of firstLines.entries()) {
    const place = firstPlaces[at] ?? -1
    const payout = payouts[place]
    if (payout === undefined) continue
    matches.push({
      rule: 'reference',
      payouts: [payout],
      deposits: [deposit],
      evidence: `the ${lineName(deposit.entry)} names the payout and has its amount`,
      competitors: (lines[place] ?? 1) - 1,
    })
  }
  const isOpen = (place: number): boolean => lines[place] === 0
  return {
    matches,
    ambiguities: cutTooShort(
      unsure.map(({ deposit, places }) => ({
        deposit,
        claimed: places.filter(isOpen).flatMap((place) => payouts[place] ?? []),
      })),
    ),
    left: { payouts: payouts.filter((_, place) => isOpen(place)), deposits: depositsLeft },
  }
}

/** Lines whose visible reference fits several payouts of their amount, where their numbers differ. */
function cutTooShort(
  claims: readonly { readonly deposit: DepositItem; readonly claimed: readonly PayoutItem[] }[],
): Ambiguity[] {
  const open = claims.filter(({ claimed }) => claimed.length > 1)
  const groups = groupBy(open, ({ claimed }) => claimed.map((payout) => payout.payoutId).join(' '))
  return [...groups.values()].flatMap((group) => {
    const payouts = group[0]?.claimed ?? []
    const deposits = group.map(({ deposit }) => deposit)
    // As many lines as payouts: they are interchangeable, which a later rung says.
    if (deposits.length >= payouts.length) return []
    return [
      {
        subject: 'line',
        payouts,
        deposits,
        why: `the part of the reference that the bank left fits ${payouts.map(({ payoutId }) => payoutId).join(' and ')}, which have the same amount`,
      },
    ]
  })
}

/** Rung 1, several lines: all that name the payout add up to it. */
export function matchSplitByReference(board: Board, policy: Policy): PassOutcome {
  return {
    matches: linesNaming(board, policy).flatMap(({ payout, deposits }): DepositMatch[] => {
      if (deposits.length < 2) return []
      const sumMinor = sumOf(deposits.map(({ entry }) => entry.amountMinor))
      if (sumMinor !== payout.amountMinor) return []
      return [
        {
          rule: 'split',
          payouts: [payout],
          deposits,
          evidence: `${deposits.length} bank lines name the payout and add up to ${money(sumMinor, payout.currency)}`,
          competitors: 0,
        },
      ]
    }),
  }
}

/** Open payouts with the open lines that name only them. */
export function linesNaming(
  board: Board,
  policy: Policy,
): { payout: PayoutItem; deposits: DepositItem[] }[] {
  const payoutOf = payoutsByName(board)
  const naming = board.deposits.flatMap((deposit) => {
    const named = onlyNamed(deposit)
    const payout = named === null ? undefined : payoutOf.get(named.name)
    return payout !== undefined && fits(payout, deposit, policy) ? [{ payout, deposit }] : []
  })
  return [...groupBy(naming, ({ payout }) => payout)].map(([payout, group]) => ({
    payout,
    deposits: group.map(({ deposit }) => deposit),
  }))
}

/** Same entity, currency and direction, and not after the days in which a deposit is tied to its payout. */
function fits(payout: PayoutItem, { entity, entry }: DepositItem, policy: Policy): boolean {
  const lag = lagDays(payout, entry)
  return (
    payout.entity === entity &&
    payout.currency === entry.currency &&
    payout.amountMinor > 0n === entry.amountMinor > 0n &&
    lag !== null &&
    lag <= policy.lateWindowDays
  )
}

function payoutsByName(board: Board): Map<string, PayoutItem> {
  return new Map(board.payouts.map((payout) => [payout.name, payout]))
}
