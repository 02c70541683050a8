import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assign, assignStretches } from '../../src/domain/deposits/assign.ts'

/** Every way of pairing, as lists of pairs in the order of the left items. */
function allPairings(
  lefts: number,
  rights: number,
  possible: (left: number, right: number) => boolean,
): [number, number][][] {
  const from = (left: number, free: readonly number[]): [number, number][][] => {
    if (left === lefts) return [[]]
    const without = from(left + 1, free)
    const withOne = free
      .filter((right) => possible(left, right))
      .flatMap((right) =>
        from(
          left + 1,
          free.filter((any) => any !== right),
        ).map((rest): [number, number][] => [[left, right], ...rest]),
      )
    return [...withOne, ...without]
  }
  return from(
    0,
    Array.from({ length: rights }, (_, at) => at),
  )
}

const reach = fc
  .record({
    lefts: fc.integer({ min: 0, max: 5 }),
    rights: fc.integer({ min: 0, max: 5 }),
    holes: fc.array(fc.boolean(), { minLength: 25, maxLength: 25 }),
  })
  .map(({ lefts, rights, holes }) => ({
    lefts,
    rights,
    possible: (left: number, right: number): boolean => holes[left * 5 + right] ?? false,
  }))

/** Lists in the order of their first difference; a list that goes on comes first. */
function compareLists(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at += 1) {
    const difference = (a[at] ?? Infinity) - (b[at] ?? Infinity)
    if (difference !== 0) return difference
  }
  return 0
}

describe('equal payouts and lines that are not all within reach of each other', () => {
  test('are paired as often as can be, the earliest first: as of all pairings the best one', () => {
    fc.assert(
      fc.property(reach, ({ lefts, rights, possible }) => {
        const all = allPairings(lefts, rights, possible)
        const most = Math.max(...all.map((pairs) => pairs.length))
        const leftsOf = (pairs: [number, number][]): number[] => pairs.map(([left]) => left)
        const rightsOf = (pairs: [number, number][]): number[] =>
          pairs.map(([, right]) => right).toSorted((a, b) => a - b)
        const [best] = all
          .filter((pairs) => pairs.length === most)
          .toSorted(
            (a, b) =>
              compareLists(leftsOf(a), leftsOf(b)) ||
              compareLists(rightsOf(a), rightsOf(b)) ||
              compareLists(
                a.map(([, right]) => right),
                b.map(([, right]) => right),
              ),
          )
        expect(assign(lefts, rights, possible)).toEqual(best)
      }),
      { numRuns: 500 },
    )
  })

  test('in windows of one length are paired first with first', () => {
    const days = [1, 2, 3, 9]
    const lines = [4, 5, 12]
    const inWindow = (at: number, lineAt: number): boolean => {
      const lag = (lines[lineAt] ?? 0) - (days[at] ?? 0)
      return lag >= 0 && lag <= 5
    }
    expect(assign(4, 3, inWindow)).toEqual([
      [0, 0],
      [1, 1],
      [3, 2],
    ])
  })

  test('a group of 300 takes well under a second', () => {
    const startedMs = performance.now()
    const pairs = assign(300, 300, (left, right) => Math.abs(left - right) < 5)
    expect(pairs).toHaveLength(300)
    expect(performance.now() - startedMs).toBeLessThan(1_000)
  })

  test('whose windows begin and end in order are paired the same in one walk', () => {
    const stretches = fc.array(fc.tuple(fc.nat(3), fc.nat(3)), { maxLength: 9 }).map((steps) => {
      let [from, to] = [0, 0]
      return steps.map(([later, longer]) => {
        from += later
        to = Math.max(to + longer, from)
        return { from, to }
      })
    })
    fc.assert(
      fc.property(stretches, (windows) => {
        const rights = Math.max(0, ...windows.map(({ to }) => to))
        const inWindow = (left: number, right: number): boolean => {
          const { from, to } = windows[left] ?? { from: 0, to: 0 }
          return from <= right && right < to
        }
        expect(assignStretches(windows)).toEqual(assign(windows.length, rights, inWindow))
      }),
      { numRuns: 500 },
    )
  })

  test('a group beyond all sense is refused', () => {
    expect(() => assign(1_001, 1, () => true)).toThrow(/1001 payouts and 1 bank lines/)
  })
})
