import type { Stretch } from './windows.ts'

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
  const rightsOf = places(lefts).map((left) =>
    places(rights).filter((right) => possible(left, right)),
  )
  const chosenLefts = coverable(places(lefts), rightsOf)
  const leftsOf = places(rights).map((right) => chosenLefts.filter((left) => possible(left, right)))
  const chosenRights = coverable(places(rights), leftsOf)
  return inOrder(chosenLefts, chosenRights, rightsOf)
}

/**
 * The same for items whose reach is a stretch of the other side, where the stretches of later items
 * neither begin nor end earlier, as windows of one length do: then giving each left item the first
 * free right one is the best choice already. Any number of items is paired in one walk.
 * @param stretches of right items, one for each left item.
 */
export function assignStretches(stretches: readonly Stretch[]): [number, number][] {
  const pairs: [number, number][] = []
  let free = 0
  for (const [left, { from, to }] of stretches.entries()) {
    const right = Math.max(free, from)
    if (right >= to) continue
    pairs.push([left, right])
    free = right + 1
  }
  return pairs
}

function places(count: number): number[] {
  return Array.from({ length: count }, (_, place) => place)
}

/**
 * The earliest of the wanted items that can all have a partner at once. Who was taken in stays in:
 * items that come later only move the partners of earlier ones.
 * @param partnersOf by item.
 */
function coverable(
  wanted: readonly number[],
  partnersOf: readonly (readonly number[])[],
  isFree: (partner: number) => boolean = () => true,
): number[] {
  const holder = new Map<number, number>()
  const takeIn = (item: number, asked: Set<number>): boolean => {
    const partners = partnersOf[item] ?? []
    // Which partner an item gets does not matter yet, so one that nobody holds is the best.
    const open = partners.find((partner) => isFree(partner) && !holder.has(partner))
    if (open !== undefined) {
      holder.set(open, item)
      return true
    }
    for (const partner of partners) {
      const rival = holder.get(partner)
      if (rival === undefined || asked.has(partner)) continue
      asked.add(partner)
      if (!takeIn(rival, asked)) continue
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
  rightsOf: readonly (readonly number[])[],
): [number, number][] {
  if (lefts.every((left, at) => rightsOf[left]?.includes(rights[at] ?? -1))) {
    return lefts.map((left, at) => [left, rights[at] ?? -1])
  }
  const pairs: [number, number][] = []
  const free = new Set(rights)
  for (const [at, left] of lefts.entries()) {
    const others = lefts.slice(at + 1)
    const right = rightsOf[left]?.find(
      (candidate) =>
        free.has(candidate) &&
        coverable(others, rightsOf, (any) => any !== candidate && free.has(any)).length ===
          others.length,
    )
    if (right === undefined) throw new Error('a group that could be paired could not be ordered')
    pairs.push([left, right])
    free.delete(right)
  }
  return pairs
}
