import { compareText, groupBy } from '../collections.ts'
import type { Decision, PinnedMatch, Policy } from '../facts.ts'
import {
  type Ambiguity,
  type Board,
  boardOf,
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
  partsByReference,
  type PartlyArrived,
  type ReturnedCredit,
  returnedCredits,
} from './leftovers.ts'
import { type BrokenDecision, type DecidedMatches, NOTHING_DECIDED } from './decided.ts'
import { type BrokenPin, keepPinned } from './pinned.ts'

/**
 * Payouts against the bank (contract, section 3.C): the whole policy on one page. Each step works on
 * what the steps before it left open, over all items at once.
 */
export interface DepositMatching {
  readonly matches: readonly DepositMatch[]
  readonly brokenPins: readonly BrokenPin[]
  readonly brokenDecisions: readonly BrokenDecision[]
  readonly ambiguities: readonly Ambiguity[]
  readonly partly: readonly PartlyArrived[]
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

/** What people decided about payouts and lines. */
export interface BankDecisions extends DecidedMatches {
  /** By `pairName`; the items of the board know of it too, see `PayoutItem.refusedEntryIds`. */
  readonly refused: ReadonlyMap<string, Decision>
  /** Payouts that are gone from the ledger, by `nameOf`. */
  readonly gone: ReadonlySet<string>
}

const NO_DECISIONS: BankDecisions = { ...NOTHING_DECIDED, refused: new Map(), gone: new Set() }

export function matchDeposits(
  board: Board,
  pins: readonly PinnedMatch[],
  policy: Policy,
  isOver: (payout: PayoutItem) => boolean,
  decided: BankDecisions = NO_DECISIONS,
): DepositMatching {
  // Decisions come first, then what reports have said, then the rungs.
  const pinned = keepPinned(board, pins, policy, decided)
  const kept = [...decided.matches, ...pinned.matches]
  const climbed = boardsByEntity(without(board, kept)).map((own) => climb(own, policy, isOver))
  const matches = [...kept, ...climbed.flatMap((own) => own.matches)]
  const open = joined(climbed.map(({ left }) => left))

  const returned = returnedCredits(open, matches, policy)
  const afterReturns = without(open, returned.map(asTaken))
  const elsewhere = arrivedElsewhere(afterReturns, policy)
  const afterElsewhere = without(afterReturns, elsewhere)
  const onlyPairs = differsAsOnlyPair(afterElsewhere, policy, isOver)
  return {
    matches,
    brokenPins: pinned.broken,
    brokenDecisions: decided.broken,
    ambiguities: climbed.flatMap(({ ambiguities }) => ambiguities),
    partly: climbed.flatMap(({ partly }) => partly),
    differing: [...climbed.flatMap(({ differing }) => differing), ...onlyPairs],
    elsewhere,
    returned,
    left: without(afterElsewhere, onlyPairs),
  }
}

/** What the rungs made of one entity's board. */
type Climbed = Pick<DepositMatching, 'matches' | 'ambiguities' | 'partly' | 'differing' | 'left'>

/** All rungs, for one entity: none of them ties a payout to a line at another one's account. */
function climb(board: Board, policy: Policy, isOver: (payout: PayoutItem) => boolean): Climbed {
  const byReference = runPasses(board, REFERENCE_PASSES, policy)
  // A line that names its payout settles the matter even where the amount differs, so such pairs
  // leave the board before amounts alone are looked at.
  const partly = partsByReference(byReference.board, policy, isOver)
  const withoutParts = without(byReference.board, partly)
  const differing = differsByReference(withoutParts, policy)
  const byAmount = runPasses(without(withoutParts, differing), AMOUNT_PASSES, policy)
  return {
    matches: [...byReference.matches, ...byAmount.matches],
    ambiguities: [...byReference.ambiguities, ...byAmount.ambiguities],
    partly,
    differing,
    left: byAmount.board,
  }
}

/** One board for each entity, in its order: what is looked at together is little, and near. */
function boardsByEntity({ payouts, deposits }: Board): Board[] {
  const payoutsOf = groupBy(payouts, ({ entity }) => entity)
  const depositsOf = groupBy(deposits, ({ entity }) => entity)
  const entities = new Set([...payoutsOf.keys(), ...depositsOf.keys()])
  return [...entities].toSorted(compareText).map((entity) => ({
    payouts: payoutsOf.get(entity) ?? [],
    deposits: depositsOf.get(entity) ?? [],
  }))
}

function joined(boards: readonly Board[]): Board {
  return boardOf(
    boards.flatMap(({ payouts }) => payouts),
    boards.flatMap(({ deposits }) => deposits),
  )
}

function asTaken({ credit, debit, again }: ReturnedCredit) {
  return { payouts: [], deposits: again === null ? [credit, debit] : [credit, debit, again] }
}
