import type { PinnedMatch, Policy } from '../facts.ts'
import {
  type Ambiguity,
  type Board,
  type DepositMatch,
  type Pass,
  runPasses,
  without,
} from './board.ts'
import {
  matchByAmountAndDate,
  matchEqualAmountGroups,
  matchLateByAmountAndDate,
  matchLateEqualAmountGroups,
} from './by-amount.ts'
import { matchNamedSums, matchBySum } from './by-sum.ts'
import { matchByReference, matchSplitByReference } from './by-reference.ts'
import type { PayoutItem } from './items.ts'
import {
  type AmountDiffers,
  arrivedElsewhere,
  differsAsOnlyPair,
  differsByReference,
  type Elsewhere,
  type ReturnedCredit,
  returnedCredits,
} from './leftovers.ts'
import { type BrokenPin, keepPinned } from './pinned.ts'

/**
 * Payouts against the bank (contract, section 3.C): the whole policy on one page. Each step works on
 * what the steps before it left open, over all items at once.
 */
export interface DepositMatching {
  readonly matches: readonly DepositMatch[]
  readonly brokenPins: readonly BrokenPin[]
  readonly ambiguities: readonly Ambiguity[]
  readonly differing: readonly AmountDiffers[]
  readonly elsewhere: readonly Elsewhere[]
  readonly returned: readonly ReturnedCredit[]
  /** Payouts and lines that nothing explains. */
  readonly left: Board
}

/** Rung 1. */
const REFERENCE_PASSES: readonly Pass[] = [matchByReference, matchSplitByReference, matchNamedSums]
/** Rungs 2 and 3, in the window and then after it; rung 4. */
const AMOUNT_PASSES: readonly Pass[] = [
  matchByAmountAndDate,
  matchEqualAmountGroups,
  matchLateByAmountAndDate,
  matchLateEqualAmountGroups,
  matchBySum,
]

export function matchDeposits(
  board: Board,
  pins: readonly PinnedMatch[],
  policy: Policy,
  isOver: (payout: PayoutItem) => boolean,
): DepositMatching {
  const pinned = keepPinned(board, pins, policy)
  const byReference = runPasses(without(board, pinned.matches), REFERENCE_PASSES, policy)
  // A line that names its payout settles the matter even where the amount differs, so such pairs
  // leave the board before amounts alone are looked at.
  const namedButDiffering = differsByReference(byReference.board, policy)
  const byAmount = runPasses(without(byReference.board, namedButDiffering), AMOUNT_PASSES, policy)
  const matches = [...pinned.matches, ...byReference.matches, ...byAmount.matches]

  const returned = returnedCredits(byAmount.board, matches, policy)
  const afterReturns = without(byAmount.board, returned.map(asTaken))
  const elsewhere = arrivedElsewhere(afterReturns, policy)
  const afterElsewhere = without(afterReturns, elsewhere)
  const onlyPairs = differsAsOnlyPair(afterElsewhere, policy, isOver)
  return {
    matches,
    brokenPins: pinned.broken,
    ambiguities: [...byReference.ambiguities, ...byAmount.ambiguities],
    differing: [...namedButDiffering, ...onlyPairs],
    elsewhere,
    returned,
    left: without(afterElsewhere, onlyPairs),
  }
}

function asTaken({ credit, debit, again }: ReturnedCredit) {
  return { payouts: [], deposits: again === null ? [credit, debit] : [credit, debit, again] }
}
