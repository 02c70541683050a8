import { groupBy } from '../collections.ts'
import type { Policy } from '../facts.ts'
import { money } from '../findings.ts'
import { sumOf } from '../money.ts'
import type { Ambiguity, Board, DepositMatch, PassOutcome } from './board.ts'
import { type DepositItem, lagDays, lineName, onlyNamed, type PayoutItem } from './items.ts'

/** A payout, and the lines of its amount that name no other. */
interface Named {
  readonly payout: PayoutItem
  /** Lines come in order of day: of several for one payout the first is its deposit. */
  first: DepositItem | null
  lines: number
}

/** A line, and the open payouts of its amount that it names. */
interface Claim {
  readonly deposit: DepositItem
  readonly claimed: readonly Named[]
}

/** Rung 1: the line names the payout, and the amount is equal. */
export function matchByReference(board: Board, policy: Policy): PassOutcome {
  const all: Named[] = board.payouts.map((payout) => ({ payout, first: null, lines: 0 }))
  const namedOf = new Map<string, Named>()
  for (const named of all) namedOf.set(named.payout.name, named)
  const unsure: Claim[] = []
  const sure: Named[] = []
  const depositsLeft: DepositItem[] = []
  for (const deposit of board.deposits) {
    // Nearly every line names one payout, for which no list is made.
    let only: Named | null = null
    let claimed: Named[] | null = null
    for (const group of deposit.named) {
      for (const { name } of group) {
        const named = namedOf.get(name)
        if (named?.payout.amountMinor !== deposit.entry.amountMinor) continue
        if (!fits(named.payout, deposit, policy)) continue
        if (only === null) only = named
        else if (claimed === null) claimed = [only, named]
        else claimed.push(named)
      }
    }
    if (claimed !== null) unsure.push({ deposit, claimed })
    const isFirst = only?.first === null && claimed === null
    if (!isFirst) depositsLeft.push(deposit)
    if (only === null || claimed !== null) continue
    if (isFirst) {
      only.first = deposit
      sure.push(only)
    }
    only.lines += 1
  }
  const matches: DepositMatch[] = []
  for (const { payout, first, lines } of sure) {
    if (first === null) continue
    matches.push({
      rule: 'reference',
      payouts: [payout],
      deposits: [first],
      evidence: `the ${lineName(first.entry)} names the payout and has its amount`,
      competitors: lines - 1,
    })
  }
  const payoutsLeft: PayoutItem[] = []
  for (const { payout, first } of all) if (first === null) payoutsLeft.push(payout)
  return {
    matches,
    ambiguities: cutTooShort(unsure),
    left: { payouts: payoutsLeft, deposits: depositsLeft },
  }
}

/** Lines whose visible reference fits several payouts of their amount, where their numbers differ. */
function cutTooShort(claims: readonly Claim[]): Ambiguity[] {
  const open = claims
    .map(({ deposit, claimed }) => ({
      deposit,
      claimed: claimed.filter(({ first }) => first === null).map(({ payout }) => payout),
    }))
    .filter(({ claimed }) => claimed.length > 1)
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
