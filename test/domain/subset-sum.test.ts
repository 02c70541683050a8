import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  expectedCoincidences,
  findSums,
  SET_SIZE_MAX,
  SETS_COUNTED_MAX,
  stepsMax,
  sumPool,
} from '../../src/domain/deposits/subset-sum.ts'
import { sumOf } from '../../src/domain/money.ts'
import { chanceOf } from '../../src/sandbox/chance.ts'

const RUN_LENGTH_MAX = 15

/** Every set of two to four and every run of neighbours that sums to the target, by looking at all sets. */
function byBruteForce(amounts: readonly bigint[], target: bigint): string[] {
  const found = new Set<string>()
  for (let choice = 1; choice < 1 << amounts.length; choice += 1) {
    const positions = amounts.flatMap((_, at) => ((choice & (1 << at)) === 0 ? [] : [at]))
    if (positions.length < 2) continue
    const isRun = positions.every((at, step) => at === (positions[0] ?? 0) + step)
    const isSearched =
      positions.length <= SET_SIZE_MAX || (isRun && positions.length <= RUN_LENGTH_MAX)
    if (isSearched && sumOf(positions.map((at) => amounts[at] ?? 0n)) === target) {
      found.add(positions.join(' '))
    }
  }
  return [...found].toSorted()
}

describe('sets of amounts that sum to a target', () => {
  test('are found all of them and only them, whatever the signs', () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: -6n, max: 12n }), { maxLength: 10 }),
        fc.bigInt({ min: -12n, max: 30n }),
        (amounts, target) => {
          const expected = byBruteForce(amounts, target)
          const found = findSums(amounts, target)
          if (expected.length >= SETS_COUNTED_MAX) {
            expect(found.more).toBe(true)
            return
          }
          expect(found.more).toBe(false)
          expect(found.sets.map((set) => set.join(' ')).toSorted()).toEqual(expected)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('of cents are found where they were hidden, in a pool of any size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: -200_000n, max: 2_000_000n }), { minLength: 4, maxLength: 60 }),
        fc.array(fc.nat(), { minLength: 2, maxLength: 4 }),
        (amounts, picks) => {
          const chosen = [...new Set(picks.map((pick) => pick % amounts.length))].toSorted(
            (a, b) => a - b,
          )
          fc.pre(chosen.length >= 2)
          const target = sumOf(chosen.map((at) => amounts[at] ?? 0n))
          const { sets, more } = findSums(amounts, target)
          expect(more || sets.some((set) => set.join() === chosen.join())).toBe(true)
        },
      ),
      { numRuns: 100 },
    )
  })

  test('long runs of neighbours are found, as long sets of others are not', () => {
    const amounts = [1n, 10n, 100n, 1_000n, 10_000n, 100_000n, 1_000_000n]
    expect(findSums(amounts, 111_110n).sets).toEqual([[1, 2, 3, 4, 5]])
    expect(findSums(amounts, 1_101_111n).sets).toEqual([])
  })

  test('are counted up to a bound, beyond which it is said that there are more', () => {
    const equal = Array.from({ length: 20 }, () => 500n)
    const { sets, more } = findSums(equal, 1_000n)
    expect(sets.length).toBe(SETS_COUNTED_MAX)
    expect(more).toBe(true)
  })

  test('say how many sets were looked at', () => {
    const found = findSums([1n, 2n, 3n, 4n, 5n], 1_000n)
    // 10 pairs, 10 triples, 5 quadruples; runs of 2, 3, 4 and 5.
    expect([found.setsTried, found.runsTried]).toEqual([25, 10])
  })

  test('in a pool of 200 take well under a second', () => {
    const chance = chanceOf('pool of 200')
    const amounts = Array.from({ length: 200 }, () => BigInt(chance.whole(1_000, 200_000)))
    const startedMs = performance.now()
    findSums(amounts, 987_654_321n)
    findSums(amounts, -1n)
    expect(performance.now() - startedMs).toBeLessThan(1_000)
  })

  test('take no more steps than the bound, also where sums collide or the search finds nothing', () => {
    const chance = chanceOf('worst')
    const cents = Array.from({ length: 200 }, (_, at) => 100_00n + BigInt(at))
    const far = Array.from({ length: 200 }, () => BigInt(chance.whole(90_00, 4_000_000_00)))
    const searches = [
      findSums(cents, 300_99n),
      findSums(cents, 400_00n + 398n),
      findSums(far, 2n * (far[0] ?? 0n) + (far[1] ?? 0n) + (far[2] ?? 0n)),
      findSums(
        far.map(() => 1n),
        5n,
      ),
    ]
    for (const { steps } of searches) expect(steps).toBeLessThanOrEqual(stepsMax(200))
    expect(searches.map(({ more }) => more)).toEqual([true, true, false, true])
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -3n, max: 9n }), { maxLength: 40 }), (amounts) => {
        expect(findSums(amounts, 9n).steps).toBeLessThanOrEqual(stepsMax(amounts.length))
      }),
    )
  })

  test('are never ruled out beforehand where there are some', () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: -50n, max: 900n }), { minLength: 12, maxLength: 30 }),
        fc.bigInt({ min: -100n, max: 4_000n }),
        (amounts, target) => {
          const { sets } = findSums(amounts, target)
          if (sets.length > 0) expect(sumPool(amounts).mayReach(target)).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('are ruled out beforehand where amounts leave no doubt', () => {
    const even = Array.from({ length: 50 }, (_, at) => 2n * BigInt(at * at + 1))
    expect(sumPool(even).mayReach(101n)).toBe(false)
    expect(sumPool(even).mayReach(2n + 4n)).toBe(true)
  })

  test('of amounts beyond exact numbers are refused', () => {
    expect(() => findSums([2n ** 50n, 1n], 3n)).toThrow(RangeError)
  })
})

/**
 * The bound on coincidence against what is measured: for targets that are the sum of two amounts
 * outside of the pool, how many sets the pool has for them.
 */
function measured(
  pool: number,
  mostEuros: number,
  step: number,
): { sets: number; expected: number } {
  const chance = chanceOf(`coincidence/${pool}/${mostEuros}/${step}`)
  const targets = 400
  let sets = 0
  let expected = 0
  const amount = (): bigint => {
    const cents = chance.whole(1_000 / step, (mostEuros * 100) / step)
    return BigInt(cents * step)
  }
  for (let trial = 0; trial < targets; trial += 1) {
    const amounts = Array.from({ length: pool }, amount)
    const search = findSums(amounts, amount() + amount())
    sets += search.sets.length
    expected += expectedCoincidences(amounts, search, false)
  }
  return { sets: sets / targets, expected: expected / targets }
}

describe('the expected number of accidental sets', () => {
  test.each([
    { pool: 10, mostEuros: 2_000, step: 1 },
    { pool: 20, mostEuros: 2_000, step: 1 },
    { pool: 40, mostEuros: 2_000, step: 1 },
    { pool: 40, mostEuros: 20_000, step: 1 },
    { pool: 10, mostEuros: 2_000, step: 100 },
    { pool: 20, mostEuros: 2_000, step: 100 },
  ])('is as large as measured: $pool amounts up to $mostEuros in steps of $step', (world) => {
    const { sets, expected } = measured(world.pool, world.mostEuros, world.step)
    // Targets lie where sums are dense, so a bound may not be below half of what is measured.
    expect(expected).toBeGreaterThan(sets / 2)
    expect(expected).toBeLessThan(Math.max(4 * sets, 0.02))
  })

  test('for runs of neighbours alone is far smaller', () => {
    const chance = chanceOf('runs')
    const amounts = Array.from({ length: 20 }, () => BigInt(chance.whole(1_000, 200_000)))
    const search = findSums(amounts, 1n)
    expect(expectedCoincidences(amounts, search, true)).toBeLessThan(
      expectedCoincidences(amounts, search, false) / 10,
    )
  })

  test('for whole euros is a hundred times that for cents', () => {
    const cents = [12_345n, 67_891n, 23_457n, 98_763n]
    const euros = [12_300n, 67_900n, 23_400n, 98_700n]
    const of = (amounts: bigint[]): number =>
      expectedCoincidences(amounts, findSums(amounts, 1n), false)
    expect(of(euros) / of(cents)).toBeGreaterThan(80)
    expect(of(euros) / of(cents)).toBeLessThan(120)
  })

  test('does not take for a rule what two amounts share by chance', () => {
    // 1645.56 and 803.19 are both multiples of 11.91, which is no step of prices.
    const amounts = [164_556n, 80_319n]
    expect(expectedCoincidences(amounts, findSums(amounts, 244_875n), true)).toBeLessThan(0.001)
  })
})
