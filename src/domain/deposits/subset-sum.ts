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
  /** Steps that it took; never more than `stepsMax` of the number of amounts. */
  readonly steps: number
}

/** The bound that no search leaves, whatever the amounts: all pairs twice, all runs, all sets counted. */
export function stepsMax(members: number): number {
  return members * members + members * (RUN_LENGTH_MAX + 2) + 2 * SETS_COUNTED_MAX
}

/** @throws RangeError if the amounts are too large to be summed exactly as numbers. */
export function findSums(amountsMinor: readonly bigint[], targetMinor: bigint): SumSearch {
  const amounts = amountsMinor.map(exactNumber)
  const target = exactNumber(targetMinor)
  const found = new Map<string, readonly number[]>()
  const bound = stepsMax(amounts.length)
  let steps = 0
  const step: Step = () => {
    steps += 1
    if (steps > bound)
      throw new RangeError(`a search among ${amounts.length} amounts took more than ${bound} steps`)
  }
  const add = (...positions: number[]): boolean => {
    step()
    found.set(positions.join(' '), positions)
    return found.size < SETS_COUNTED_MAX
  }
  const complete = addRuns(amounts, target, add, step) && addSmallSets(amounts, target, add, step)
  return {
    steps,
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
type Step = () => void

function addRuns(amounts: readonly number[], target: number, add: Add, step: Step): boolean {
  for (let first = 0; first < amounts.length; first += 1) {
    let sum = 0
    for (let last = first; last < Math.min(amounts.length, first + RUN_LENGTH_MAX); last += 1) {
      step()
      sum += amounts[last] ?? 0
      if (last === first || sum !== target) continue
      const positions = Array.from({ length: last - first + 1 }, (_, at) => first + at)
      if (!add(...positions)) return false
    }
  }
  return true
}

/**
 * Sets of two, three and four. While the third position moves up, all pairs below it lie in a table
 * by their sum, so that four are found in the time that it takes to look at two.
 */
function addSmallSets(amounts: readonly number[], target: number, add: Add, step: Step): boolean {
  const singlesBelow = new Map<number, number[]>()
  const pairsBelow = new Map<number, [number, number][]>()
  for (const [third, amount] of amounts.entries()) {
    step()
    for (const single of singlesBelow.get(target - amount) ?? [])
      if (!add(single, third)) return false
    step()
    for (const pair of pairsBelow.get(target - amount) ?? []) if (!add(...pair, third)) return false
    for (let fourth = third + 1; fourth < amounts.length; fourth += 1) {
      step()
      const rest = target - amount - (amounts[fourth] ?? 0)
      for (const pair of pairsBelow.get(rest) ?? []) if (!add(...pair, third, fourth)) return false
    }
    for (let below = 0; below < third; below += 1) {
      step()
      push(pairsBelow, amount + (amounts[below] ?? 0), [below, third])
    }
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

/** Amounts that are asked for several targets. */
export interface SumPool {
  readonly amountsMinor: readonly bigint[]
  /**
   * False only if `findSums` finds nothing for the target. Most targets have no sum at all, and this
   * says so in a hundredth of the time.
   */
  mayReach(targetMinor: bigint): boolean
}

/** Below this many amounts a search takes no longer than its preparation. */
const PREPARED_MIN = 12

/** @throws RangeError if the amounts are too large to be summed exactly as numbers. */
export function sumPool(amountsMinor: readonly bigint[]): SumPool {
  if (amountsMinor.length < PREPARED_MIN) return { amountsMinor, mayReach: () => true }
  const amounts = amountsMinor.map(exactNumber)
  let pairs: Float64Array | null = null
  return {
    amountsMinor,
    mayReach: (targetMinor) => {
      const target = exactNumber(targetMinor)
      pairs ??= pairSums(amounts)
      return (
        isSumOfTwo(pairs, target) ||
        holds(pairs, target) ||
        amounts.some((amount) => pairs !== null && holds(pairs, target - amount)) ||
        isRun(amounts, target)
      )
    },
  }
}

/** The sums of all pairs, ascending. */
function pairSums(amounts: readonly number[]): Float64Array {
  const sums = new Float64Array((amounts.length * (amounts.length - 1)) / 2)
  let at = 0
  for (const [later, amount] of amounts.entries()) {
    for (let earlier = 0; earlier < later; earlier += 1) {
      sums[at] = amount + (amounts[earlier] ?? 0)
      at += 1
    }
  }
  return sums.sort()
}

/** Whether two of the ascending sums are the target together; the two may share an amount. */
function isSumOfTwo(sums: Float64Array, target: number): boolean {
  let [low, high] = [0, sums.length - 1]
  while (low < high) {
    const sum = (sums[low] ?? 0) + (sums[high] ?? 0)
    if (sum === target) return true
    if (sum < target) low += 1
    else high -= 1
  }
  return false
}

/** Whether the target is one of the ascending sums. */
function holds(sums: Float64Array, target: number): boolean {
  let [low, high] = [0, sums.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sums[middle] ?? 0) < target) low = middle + 1
    else high = middle
  }
  return sums[low] === target
}

function isRun(amounts: readonly number[], target: number): boolean {
  for (let first = 0; first < amounts.length; first += 1) {
    let sum = amounts[first] ?? 0
    for (let last = first + 1; last < Math.min(amounts.length, first + RUN_LENGTH_MAX); last += 1) {
      sum += amounts[last] ?? 0
      if (sum === target) return true
    }
  }
  return false
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
