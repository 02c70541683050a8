import { groupBy } from '../collections.ts'
import type { Policy } from '../facts.ts'
import { money } from '../findings.ts'
import { sumOf } from '../money.ts'
import type { Ambiguity, Board, DepositMatch, PassOutcome } from './board.ts'
import { type DepositItem, lagDays, lineName, onlyNamed, type PayoutItem } from './items.ts'
import type { PayoutReference } from './references.ts'

/** Rung 1: the line names the payout, and the amount is equal. */
export function matchByReference(board: Board, policy: Policy): PassOutcome {
  const payoutOf = payoutsByName(board)
  const claims = board.deposits.flatMap((deposit) => {
    const claimed = deposit.named
      .flat()
      .map((reference) => payoutOf.get(nameOf(reference)))
      .filter((payout) => payout !== undefined)
      .filter(
        (payout) =>
          fits(payout, deposit, policy) && payout.amountMinor === deposit.entry.amountMinor,
      )
    return claimed.length === 0 ? [] : [{ deposit, claimed }]
  })
  const sure = claims.filter(({ claimed }) => claimed.length === 1)
  const matches: DepositMatch[] = []
  const taken = new Set<PayoutItem>()
  for (const [payout, ofPayout] of groupBy(sure, ({ claimed }) => claimed[0])) {
    // Lines come in order of day: of several for one payout the first is its deposit.
    const [first] = ofPayout
    if (payout === undefined || first === undefined) continue
    taken.add(payout)
    matches.push({
      rule: 'reference',
      payouts: [payout],
      deposits: [first.deposit],
      evidence: `the ${lineName(first.deposit.entry)} names the payout and has its amount`,
      competitors: ofPayout.length - 1,
    })
  }
  return { matches, ambiguities: cutTooShort(claims, taken) }
}

/** Lines whose visible reference fits several payouts of their amount, where their numbers differ. */
function cutTooShort(
  claims: readonly { deposit: DepositItem; claimed: readonly PayoutItem[] }[],
  taken: ReadonlySet<PayoutItem>,
): Ambiguity[] {
  const open = claims
    .filter(({ claimed }) => claimed.length > 1)
    .map(({ deposit, claimed }) => ({
      deposit,
      claimed: claimed.filter((payout) => !taken.has(payout)),
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
    const payout = named === null ? undefined : payoutOf.get(nameOf(named))
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
  return new Map(board.payouts.map((payout) => [nameOf(payout), payout]))
}

export function nameOf({ entity, payoutId }: Pick<PayoutReference, 'entity' | 'payoutId'>): string {
  return `${entity}\u0000${payoutId}`
}
