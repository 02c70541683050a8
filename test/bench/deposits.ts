/**
 * Payouts against the bank, in memory: what matching and judging cost when everything that was
 * planted must be found, what the search of sums costs at its worst, and what a whole reconciliation
 * costs for each payout. The floor is a join by reference or amount with nothing judged.
 */
import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ownLines, payoutItems } from '../../src/domain/deposits/items.ts'
import { judgeDeposits } from '../../src/domain/deposits/judge-deposits.ts'
import { type DepositMatching, matchDeposits } from '../../src/domain/deposits/match-deposits.ts'
import { indexReferences } from '../../src/domain/deposits/references.ts'
import { findSums, stepsMax } from '../../src/domain/deposits/subset-sum.ts'
import type { Facts } from '../../src/domain/facts.ts'
import { provePayouts } from '../../src/domain/payout-proof.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { chanceOf } from '../../src/sandbox/chance.ts'
import { type PlantedDeposits, plantDeposits, plantWindow } from '../domain/planted-deposits.ts'
import type { Benchmark, BenchLine } from './benchmark.ts'

const PAYOUTS = 20_000
const TIMES_MORE = 10
const SECONDS_MAX = 2
const GROWTH_MAX = 12
const ROUNDS = 5
const MIX = '3 % split, 4 % merged, 10 % without reference, 5 % of repeated amounts'

/** Open payouts of one window, and lines that each have to be searched for. */
const WINDOW = 200

export const deposits: Benchmark = {
  name: 'deposits',
  run: async () => Promise.resolve([...matchingLines(), ...worstSearches(), ...wholeRuns()]),
}

function matchingLines(): BenchLine[] {
  const few = matchingOf(PAYOUTS)
  const many = matchingOf(PAYOUTS * TIMES_MORE)
  const isAllRight = few.isRight && many.isRight
  const verdict = isAllRight ? 'every planted match right, 0 wrong' : 'NOT all matches are right'
  const { seconds: fewS, crowdedS: fewCrowdedS, floorS } = few
  const { seconds: manyS, crowdedS: manyCrowdedS } = many
  return [
    {
      what: `${count(PAYOUTS)} payouts against ${count(few.lines)} lines (${MIX}): ${verdict}`,
      measured: `${fewS.toFixed(2)} s`,
      floor: `join by reference or amount ${floorS.toFixed(2)} s`,
      ratio: fewS / floorS,
      bar: `under ${SECONDS_MAX} s`,
      met: isAllRight && fewS < SECONDS_MAX,
    },
    {
      what: `${TIMES_MORE} times as many: ${verdict}`,
      measured: `${manyS.toFixed(2)} s`,
      floor: `${count(PAYOUTS)} payouts ${fewS.toFixed(2)} s`,
      ratio: manyS / fewS,
      bar: `at most ${GROWTH_MAX} times`,
      met: isAllRight && manyS <= GROWTH_MAX * fewS,
    },
    {
      what: `${TIMES_MORE} times as many, what earlier rounds left behind still there`,
      measured: `${manyCrowdedS.toFixed(2)} s`,
      floor: `${count(PAYOUTS)} payouts ${fewCrowdedS.toFixed(2)} s`,
      ratio: manyCrowdedS / fewCrowdedS,
      bar: 'none',
      met: true,
    },
  ]
}

interface Matching {
  readonly lines: number
  /** Medians. */
  readonly seconds: number
  /** Of rounds one behind the other, none of which is cleared away after. */
  readonly crowdedS: number
  readonly floorS: number
  readonly isRight: boolean
}

/** By itself: neither what another number of payouts left in the memory nor the check is timed. */
function matchingOf(payouts: number): Matching {
  const planted = plantDeposits({ seed: 'bench', payouts })
  // Once to warm up: a night's few seconds are not its first second.
  settle(planted.facts)
  const [found, seconds] = medianOf(() => settle(planted.facts))
  const crowdedS = median(roundsOf(() => settle(planted.facts)))
  const [, floorS] = medianOf(() => joined(planted.facts))
  return { lines: planted.deposits, seconds, crowdedS, floorS, isRight: isRight(planted, found) }
}

/** Part C of a reconciliation: lines recognised, matched with payouts, and judged. */
function settle(facts: Facts): DepositMatching {
  const { entities, bank, policy, asOf } = facts
  const payouts = entities.flatMap((ofEntity) => provePayouts(ofEntity, policy))
  const references = indexReferences(payouts)
  const { ofProvider, others } = ownLines(bank.entries, entities, references)
  const board = { payouts: payoutItems(payouts, policy), deposits: ofProvider }
  const matching = matchDeposits(board, [], policy, () => true)
  judgeDeposits(matching, {
    policy,
    asOf,
    isOver: () => true,
    whyOpen: () => '',
    whatDiffers: () => '',
    otherLines: [...others.values()].flat(),
    unknownPayouts: new Map(),
  })
  return matching
}

/** The least that pairs most of them: a look-up by the words of the line, else by its amount. */
function joined({ entities, bank }: Facts): number {
  const byId = new Map<string, bigint>()
  const byAmount = new Map<bigint, string>()
  for (const { payouts } of entities) {
    for (const { payoutId, netMinor } of payouts) {
      byId.set(payoutId, netMinor)
      byAmount.set(netMinor, payoutId)
    }
  }
  let pairs = 0
  for (const { remittance, amountMinor } of bank.entries) {
    const words = remittance.join(' ').split(' ')
    if (words.some((word) => byId.has(word)) || byAmount.has(amountMinor)) pairs += 1
  }
  return pairs
}

/** Whether exactly what was planted was found: each match with all of its items, and no other. */
function isRight({ matches }: PlantedDeposits, found: DepositMatching): boolean {
  const nameOf = (payoutIds: readonly string[], entryIds: readonly string[]): string =>
    [...payoutIds.toSorted(), '', ...entryIds.toSorted()].join(' ')
  const planted = new Set(
    matches.map(({ payoutIds, bankEntryIds }) => nameOf(payoutIds, bankEntryIds)),
  )
  return (
    found.matches.length === planted.size &&
    found.matches.every((match) =>
      planted.has(
        nameOf(
          match.payouts.map(({ payoutId }) => payoutId),
          match.deposits.map(({ entry }) => entry.id),
        ),
      ),
    )
  )
}

/** Amounts a cent apart collide in every sum; others make a search go to its end and find nothing. */
function worstSearches(): BenchLine[] {
  const chance = chanceOf('worst window')
  const cents = Array.from({ length: WINDOW }, (_, at) => 100_00n + BigInt(at))
  const spread = Array.from({ length: WINDOW }, () => BigInt(chance.whole(90_00, 4_000_000_00)))
  const kinds = [
    {
      what: 'amounts a cent apart, sums of three of them',
      amounts: cents,
      targets: cents.map((amountMinor) => 200_50n + amountMinor),
    },
    {
      what: 'amounts far apart, twice one of them and two others',
      amounts: spread,
      targets: spread.map(
        (amountMinor, at) =>
          2n * amountMinor + (spread[(at + 7) % WINDOW] ?? 0n) + (spread[(at + 31) % WINDOW] ?? 0n),
      ),
    },
  ]
  return kinds.map(({ what, amounts, targets }) => {
    const mostSteps = targets.reduce(
      (most, target) => Math.max(most, findSums(amounts, target).steps),
      0,
    )
    const facts = plantWindow(amounts, targets)
    const [matching, seconds] = medianOf(() => settle(facts))
    const bound = stepsMax(WINDOW)
    return {
      what: `${WINDOW} open payouts and ${WINDOW} lines in one window, ${what}: ${matching.matches.length} taken, ${matching.ambiguities.length} told as ambiguous`,
      measured: `${((seconds * 1000) / (2 * WINDOW)).toFixed(2)} ms a search, ${count(mostSteps)} steps at most`,
      floor: `bound ${count(bound)} steps`,
      ratio: mostSteps / bound,
      bar: 'never above the bound, nothing taken',
      met: mostSteps <= bound && matching.matches.length === 0,
    }
  })
}

/** Everything over facts of which most bank lines are not the provider's. */
function wholeRuns(): BenchLine[] {
  const sizes = [PAYOUTS, 5 * PAYOUTS, TIMES_MORE * PAYOUTS]
  const perPayoutUs = new Array<number>()
  return sizes.map((payouts) => {
    const { facts, matches } = plantDeposits({
      seed: 'bench',
      payouts,
      otherLines: 2 * payouts,
      refunds: payouts / 20,
    })
    const [found, seconds] = medianOf(() => reconcile(facts))
    assert.deepEqual(found.controlFaults, [])
    assert.equal(found.matches.length, matches.length)
    const us = (seconds * 1_000_000) / payouts
    perPayoutUs.push(us)
    const [first = us] = perPayoutUs
    return {
      what: `the whole reconciliation in memory: ${count(payouts)} payouts, ${count(payouts / 20)} refunds, ${count(facts.bank.entries.length)} bank lines, 2 of 3 not Alma's`,
      measured: `${seconds.toFixed(2)} s, ${us.toFixed(0)} µs a payout`,
      floor: `${count(PAYOUTS)} payouts ${first.toFixed(0)} µs a payout`,
      ratio: us / first,
      bar: 'none',
      met: true,
    }
  })
}

/**
 * A night does it once in its process, so what a round leaves behind is no burden to the next: it is
 * gone before that begins, else the collector would look for it beside the work on two processors.
 */
function medianOf<T>(work: () => T): [T, number] {
  return [work(), median(roundsOf(work, collectGarbage))]
}

/** @returns the seconds of each. */
function roundsOf(work: () => unknown, before: () => void = () => undefined): number[] {
  return Array.from({ length: ROUNDS }, () => {
    before()
    return timed(work)[1]
  })
}

setFlagsFromString('--expose-gc')
const exposed: unknown = runInNewContext('gc')

function collectGarbage(): void {
  assert(typeof exposed === 'function')
  exposed()
}

function timed<T>(work: () => T): [T, number] {
  const startedMs = performance.now()
  const result = work()
  return [result, (performance.now() - startedMs) / 1000]
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN
}

function count(number: number): string {
  return number.toLocaleString('en-GB')
}
