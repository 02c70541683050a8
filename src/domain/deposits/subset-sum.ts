/**
 * Sets of amounts that sum exactly to a target: every set of two to four, and every run of
 * neighbours. Amounts are signed. All sets are counted, up to a bound, because how many there are is
 * what decides whether one may be believed.
 */

export const SET_SIZE_MAX = 4
/** Longest run of neighbours: a bank that merges days merges adjacent ones, and rarely many. */
const RUN_LENGTH_MAX = 15
/** Beyond this many sets only "more than" is known: nothing follows from the exact number. */
export const SETS_COUNTED_MAX = 100

export interface SumSearch {
  /** Positions of the amounts in each set, ascending; sets in order of their positions. */
  readonly sets: readonly (readonly number[])[]
  /** True if the search stopped at `SETS_COUNTED_MAX`. */
  readonly more: boolean
  /** How many sets of arbitrary members, and how many runs of neighbours, were looked at. */
  readonly setsTried: number
  readonly runsTried: number
}

/** @throws RangeError if the amounts are too large to be summed exactly as numbers. */
export function findSums(amountsMinor: readonly bigint[], targetMinor: bigint): SumSearch {
  const amounts = amountsMinor.map(exactNumber)
  const target = exactNumber(targetMinor)
  const found = new Map<string, readonly number[]>()
  const add = (...positions: number[]): boolean => {
    found.set(positions.join(' '), positions)
    return found.size < SETS_COUNTED_MAX
  }
  const complete = addRuns(amounts, target, add) && addSmallSets(amounts, target, add)
  return {
    sets: [...found.values()].toSorted(comparePositions),
    more: !complete,
    setsTried: setsUpTo(amounts.length, SET_SIZE_MAX),
    runsTried: runsOf(amounts.length),
  }
}

/** Sums of at most `RUN_LENGTH_MAX` of these stay far below 2^53. */
const AMOUNT_MAX = 2 ** 48

function exactNumber(amountMinor: bigint): number {
  const amount = Number(amountMinor)
  if (Math.abs(amount) > AMOUNT_MAX)
    throw new RangeError(`${amountMinor} is too large for a search of sums`)
  return amount
}

type Add = (...positions: number[]) => boolean

function addRuns(amounts: readonly number[], target: number, add: Add): boolean {
  for (let first = 0; first < amounts.length; first += 1) {
    let sum = 0
    for (let last = first; last < Math.min(amounts.length, first + RUN_LENGTH_MAX); last += 1) {
      sum += amounts[last] ?? 0
      if (last === first || sum !== target) continue
      const positions = Array.from({ length: last - first + 1 }, (_, step) => first + step)
      if (!add(...positions)) return false
    }
  }
  return true
}

/**
 * Sets of two, three and four. While the third position moves up, all pairs below it lie in a table
 * by their sum, so that four are found in the time that it takes to look at two.
 */
function addSmallSets(amounts: readonly number[], target: number, add: Add): boolean {
  const singlesBelow = new Map<number, number[]>()
  const pairsBelow = new Map<number, [number, number][]>()
  for (const [third, amount] of amounts.entries()) {
    for (const single of singlesBelow.get(target - amount) ?? [])
      if (!add(single, third)) return false
    for (const pair of pairsBelow.get(target - amount) ?? []) if (!add(...pair, third)) return false
    for (let fourth = third + 1; fourth < amounts.length; fourth += 1) {
      const rest = target - amount - (amounts[fourth] ?? 0)
      for (const pair of pairsBelow.get(rest) ?? []) if (!add(...pair, third, fourth)) return false
    }
    for (let below = 0; below < third; below += 1)
      push(pairsBelow, amount + (amounts[below] ?? 0), [below, third])
    push(singlesBelow, amount, third)
  }
  return true
}

function push<T>(table: Map<number, T[]>, sum: number, value: T): void {
  const known = table.get(sum)
  if (known === undefined) table.set(sum, [value])
  else known.push(value)
}

function comparePositions(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function setsUpTo(members: number, sizeMax: number): number {
  let total = 0
  for (let size = 2; size <= Math.min(sizeMax, members); size += 1) total += choose(members, size)
  return total
}

function choose(members: number, size: number): number {
  let ways = 1
  for (let step = 0; step < size; step += 1) ways = (ways * (members - step)) / (step + 1)
  return Math.round(ways)
}

function runsOf(members: number): number {
  let total = 0
  for (let length = 2; length <= Math.min(RUN_LENGTH_MAX, members); length += 1)
    total += members - length + 1
  return total
}

/**
 * How many sets would sum to a given target by coincidence: sets tried over sums that they can
 * reach, size by size. Amounts that all are multiples of something larger than a cent (whole euros)
 * reach fewer sums, see `granularity`.
 */
export function expectedCoincidences(
  amountsMinor: readonly bigint[],
  search: SumSearch,
  onlyRuns: boolean,
): number {
  const amounts = amountsMinor.map(exactNumber).toSorted((a, b) => a - b)
  const step = granularity(amounts)
  if (onlyRuns) return search.runsTried / reachableSums(amounts, 2, step)
  let expected = 0
  for (let size = 2; size <= Math.min(SET_SIZE_MAX, amounts.length); size += 1) {
    expected += choose(amounts.length, size) / reachableSums(amounts, size, step)
  }
  return expected
}

function reachableSums(ascending: readonly number[], size: number, step: number): number {
  const sum = (values: readonly number[]): number =>
    values.reduce((total, value) => total + value, 0)
  const spread = sum(ascending.slice(-size)) - sum(ascending.slice(0, size))
  // Where all amounts are alike the spread is nothing, although their size still says something.
  const scale = Math.max(spread, Math.abs(sum(ascending)) / ascending.length)
  return scale / step + 1
}

/** Steps in which prices are made, in minor units: cents up to tens of euros. */
const STEPS = [1000, 500, 100, 50, 10, 5, 1]
/** A step above a whole euro is believed only of so many amounts: few may share it by chance. */
const AMOUNTS_FOR_WIDE_STEP = 5
const WHOLE_UNIT = 100

/** The widest usual step of which all amounts are multiples. */
function granularity(amounts: readonly number[]): number {
  const isStep = (step: number): boolean =>
    (step <= WHOLE_UNIT || amounts.length >= AMOUNTS_FOR_WIDE_STEP) &&
    amounts.every((amount) => amount % step === 0)
  return STEPS.find(isStep) ?? 1
}
