/** Values by key, keys in order of first appearance. */
export function groupBy<T, K>(values: Iterable<T>, keyOf: (value: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const value of values) {
    const key = keyOf(value)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [value])
    else group.push(value)
  }
  return groups
}

/** The values in their order, `size` of them at a time. */
export function* inPieces<T>(values: Iterable<T>, size: number): Generator<readonly T[]> {
  let piece: T[] = []
  for (const value of values) {
    piece.push(value)
    if (piece.length < size) continue
    yield piece
    piece = []
  }
  if (piece.length > 0) yield piece
}

/**
 * The place of the first item from which on all hold, `items.length` if none does: found in as many
 * looks as the number of items has binary digits.
 * @param holds false for items up to a place, true from there on.
 */
export function firstPlace<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items[middle]
    if (item !== undefined && !holds(item)) low = middle + 1
    else high = middle
  }
  return low
}

/** Answers remembered at most: some decades of days. All are forgotten when there are more. */
const REMEMBERED_MAX = 50_000

/** A function of one value that gives the answer it gave before without working it out again. */
export function remembering<K, V>(workOut: (key: K) => V): (key: K) => V {
  const answers = new Map<K, V>()
  return (key) => {
    const known = answers.get(key)
    if (known !== undefined) return known
    const answer = workOut(key)
    if (answers.size >= REMEMBERED_MAX) answers.clear()
    answers.set(key, answer)
    return answer
  }
}

/** Order by code unit: the same on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export function compareAmounts(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
