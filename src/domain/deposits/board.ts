import type { Policy } from '../facts.ts'
import type { MatchRule } from '../reconciliation.ts'
import { compareDeposits, comparePayouts, type DepositItem, type PayoutItem } from './items.ts'

/**
 * The items that no pass has taken yet. Passes run from the surest to the weakest, each over all
 * items before the next; what a pass takes, later passes do not see.
 */
export interface Board {
  /** In order of day, entity and id. */
  readonly payouts: readonly PayoutItem[]
  /** In order of booking day, account and reference. */
  readonly deposits: readonly DepositItem[]
}

/** Payouts and lines that belong together, with what made them do so. */
export interface DepositMatch {
  readonly rule: MatchRule
  readonly payouts: readonly PayoutItem[]
  readonly deposits: readonly DepositItem[]
  /** In words an accountant can check. */
  readonly evidence: string
  /** How many other items could have been taken for one of these when the rule was applied. */
  readonly competitors: number
}

/** Several explanations, none of which is taken. */
export interface Ambiguity {
  /** Whose several explanations they are: the finding is about these. */
  readonly subject: 'line' | 'payout'
  readonly payouts: readonly PayoutItem[]
  readonly deposits: readonly DepositItem[]
  readonly why: string
}

export interface PassOutcome {
  readonly matches: readonly DepositMatch[]
  readonly ambiguities?: readonly Ambiguity[]
  /** The board without the matches, from a pass that takes most of it and knows what it left. */
  readonly left?: Board
}

/** A pass looks at the open items and says which belong together; it takes no item twice. */
export type Pass = (board: Board, policy: Policy) => PassOutcome

export interface PassesOutcome {
  readonly board: Board
  readonly matches: readonly DepositMatch[]
  readonly ambiguities: readonly Ambiguity[]
}

export function runPasses(board: Board, passes: readonly Pass[], policy: Policy): PassesOutcome {
  let open = board
  const matches: DepositMatch[] = []
  const ambiguities: Ambiguity[] = []
  for (const pass of passes) {
    const outcome = pass(open, policy)
    // One by one: a call takes some ten thousand arguments and no more.
    for (const match of outcome.matches) matches.push(match)
    for (const ambiguity of outcome.ambiguities ?? []) ambiguities.push(ambiguity)
    open = without(outcome.left ?? without(open, outcome.matches), outcome.ambiguities ?? [])
  }
  return { board: open, matches, ambiguities }
}

/** The board without what was taken. */
export function without(
  board: Board,
  taken: readonly {
    readonly payouts: readonly PayoutItem[]
    readonly deposits: readonly DepositItem[]
  }[],
): Board {
  if (taken.length === 0) return board
  const payouts = new Set<PayoutItem>()
  const deposits = new Set<DepositItem>()
  for (const group of taken) {
    for (const payout of group.payouts) payouts.add(payout)
    for (const deposit of group.deposits) deposits.add(deposit)
  }
  return {
    payouts: board.payouts.filter((payout) => !payouts.has(payout)),
    deposits: board.deposits.filter((deposit) => !deposits.has(deposit)),
  }
}

/** A board in its order, whatever order the items come in. */
export function boardOf(payouts: readonly PayoutItem[], deposits: readonly DepositItem[]): Board {
  return { payouts: payouts.toSorted(comparePayouts), deposits: deposits.toSorted(compareDeposits) }
}
