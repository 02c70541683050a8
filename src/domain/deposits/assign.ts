/**
 * Who has whom among items that are equal but not all within reach of each other. Both sides come in
 * order of preference and are called by their places in it.
 */

/** Groups of equal amounts this large do not occur; nobody would wait for one. */
const SIDE_MAX = 1_000

type Possible = (left: number, right: number) => boolean

/**
 * As many pairs as there can be; of all such choices the one with the earliest left items, then the
 * earliest right items, then in order: first with first, as far as that is possible.
 * @returns pairs of places, in the order of the left items.
 * @throws RangeError for more than 1,000 items on a side.
 */
export function assign(lefts: number, rights: number, possible: Possible): [number, number][] {
  if (Math.max(lefts, rights) > SIDE_MAX) {
    throw new RangeError(
      `${lefts} payouts and ${rights} bank lines of one amount compete with each other, at most ${SIDE_MAX} on a side were expected`,
    )
  }
  const chosenLefts = coverable(places(lefts), places(rights), possible)
  const chosenRights = coverable(places(rights), chosenLefts, (right, left) =>
    possible(left, right),
  )
  return inOrder(chosenLefts, chosenRights, possible)
}

function places(count: number): number[] {
  return Array.from({ length: count }, (_, place) => place)
}

/**
 * The earliest of the wanted items that can all have a partner at once. Who was taken in stays in:
 * items that come later only move the partners of earlier ones.
 */
function coverable(wanted: readonly number[], partners: readonly number[], possible: Possible) {
  const holder = new Map<number, number>()
  const takeIn = (item: number, asked: Set<number>): boolean => {
    for (const partner of partners) {
      if (asked.has(partner) || !possible(item, partner)) continue
      asked.add(partner)
      const rival = holder.get(partner)
      if (rival !== undefined && !takeIn(rival, asked)) continue
      holder.set(partner, item)
      return true
    }
    return false
  }
  return wanted.filter((item) => takeIn(item, new Set()))
}

/** Each left item with the earliest right item that leaves all others a partner. */
function inOrder(
  lefts: readonly number[],
  rights: readonly number[],
  possible: Possible,
): [number, number][] {
  if (lefts.every((left, at) => possible(left, rights[at] ?? -1))) {
    return lefts.map((left, at) => [left, rights[at] ?? -1])
  }
  const pairs: [number, number][] = []
  let free = rights
  for (const [at, left] of lefts.entries()) {
    const others = lefts.slice(at + 1)
    const right = free.find(
      (candidate) =>
        possible(left, candidate) &&
        coverable(
          others,
          free.filter((any) => any !== candidate),
          possible,
        ).length === others.length,
    )
    if (right === undefined) throw new Error('a group that could be paired could not be ordered')
    pairs.push([left, right])
    free = free.filter((any) => any !== right)
  }
  return pairs
}
