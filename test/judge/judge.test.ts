/**
 * The proof of judgement in its short form: `npm run judge -- --seeds 500` is the long one. Clean
 * worlds by seed, one to five breaks in each, exactly these findings.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Facts } from '../../src/domain/facts.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { DISCREPANCY_CODES } from '../../src/domain/reconciliation.ts'
import { booksOf } from '../../src/sandbox/books.ts'
import { chanceOf } from '../../src/sandbox/chance.ts'
import { gatherInMemory } from '../../src/sandbox/gather.ts'
import {
  isPerfect,
  planTrial,
  plantBeforeLook,
  runTrial,
  scoreTrials,
  TRIAL_POLICY,
  type TrialOutcome,
} from '../../src/sandbox/trial.ts'
import { createWorld } from '../../src/sandbox/world.ts'

const SEEDS = 40

describe('the judge', () => {
  let outcomes: TrialOutcome[]
  beforeAll(() => {
    outcomes = Array.from({ length: SEEDS }, (_, at) => runTrial(planTrial(at + 1)))
  })

  test(`finds every break of ${SEEDS} worlds under its key, and nothing else`, () => {
    const failures = outcomes
      .filter((outcome) => !isPerfect(outcome))
      .map(({ seed, missed, invented, controlFaults }) => ({
        replay: `npm run judge -- --seed ${seed}`,
        missed,
        invented,
        controlFaults,
      }))
    expect(failures).toEqual([])
  })

  test('has had most kinds of break before it', () => {
    const planted = new Set(outcomes.flatMap((outcome) => outcome.planted.map(({ code }) => code)))
    expect(planted.size).toBeGreaterThan(DISCREPANCY_CODES.length * 0.8)
    expect(outcomes.filter((outcome) => outcome.planted.length >= 3).length).toBeGreaterThan(10)
  })

  test('says of each finding what happened and what to do, in sentences with their figures', () => {
    for (const row of outcomes.flatMap(({ found }) => found)) {
      expect(row.explanation).toMatch(/^[A-Z\d].*\.$/)
      expect(row.explanation).toMatch(/\d/)
      expect(row.explanation).not.toMatch(/undefined|null|NaN|\[object/)
      expect(row.nextStep).toMatch(/^[A-Z].*[.]$/)
    }
  })
})

describe('every code that can be planted', () => {
  test.each(DISCREPANCY_CODES)('%s is planted and found', (code) => {
    const seeds = Array.from({ length: 4 }, (_, at) => planTrial(at + 7_000))
    const outcomes = seeds.map((trial) =>
      runTrial({
        ...trial,
        hasContract: true,
        wanted: 1,
        candidates: trial.candidates.filter((one) => one.code === code),
      }),
    )
    expect(outcomes.filter((outcome) => !isPerfect(outcome))).toEqual([])
    expect(outcomes.flatMap(({ planted }) => planted).length).toBeGreaterThan(0)
  })
})

describe('the table', () => {
  const outcome = (given: Partial<TrialOutcome>): TrialOutcome => ({
    seed: 1,
    planted: [],
    found: [],
    missed: [],
    invented: [],
    controlFaults: [],
    ...given,
  })
  const planted = { code: 'fee_rate', entity: 'north', key: {}, story: 'It broke.' } as const

  test('counts what was planted, found, missed and invented, by code', () => {
    const scores = scoreTrials([
      outcome({ planted: [planted, planted], missed: ['fee_rate north new x'] }),
      outcome({ invented: ['fee_rate north new y', 'export_lacks north open z'] }),
    ])
    expect(scores.map(({ code }) => code)).toEqual([...DISCREPANCY_CODES])
    expect(scores.filter((score) => score.planted + score.invented > 0)).toEqual([
      { code: 'fee_rate', planted: 2, found: 1, missed: 1, invented: 1 },
      { code: 'export_lacks', planted: 0, found: 0, missed: 0, invented: 1 },
    ])
  })

  test('is all ones only without any of the three faults', () => {
    expect(isPerfect(outcome({}))).toBe(true)
    expect(isPerfect(outcome({ missed: ['x'] }))).toBe(false)
    expect(isPerfect(outcome({ invented: ['x'] }))).toBe(false)
    expect(isPerfect(outcome({ controlFaults: ['x'] }))).toBe(false)
  })
})

describe('a whole world', () => {
  function shuffled(facts: Facts, seed: number): Facts {
    const chance = chanceOf(`shuffle/${seed}`)
    const shuffle = <T>(items: readonly T[]): T[] =>
      items
        .map((item) => ({ item, rank: chance.fraction() }))
        .toSorted((a, b) => a.rank - b.rank)
        .map(({ item }) => item)
    return {
      ...facts,
      entities: shuffle(facts.entities).map((entity) => ({
        ...entity,
        movements: shuffle(entity.movements),
        closingBalances: shuffle(entity.closingBalances),
        payouts: shuffle(entity.payouts),
        suspectRows: shuffle(entity.suspectRows),
        repeatedRows: shuffle(entity.repeatedRows),
        openRows: shuffle(entity.openRows),
        latePaidRows: shuffle(entity.latePaidRows),
        residualRows: shuffle(entity.residualRows).map(({ payoutId, rows }) => ({
          payoutId,
          rows: shuffle(rows),
        })),
        exports: shuffle(entity.exports).map((held) => ({ ...held, pairs: shuffle(held.pairs) })),
        fees: shuffle(entity.fees),
        refundRows: shuffle(entity.refundRows),
        payments: shuffle(entity.payments),
      })),
      bank: {
        ...facts.bank,
        entries: shuffle(facts.bank.entries),
        statements: shuffle(facts.bank.statements),
      },
    }
  }

  test.each([2, 3, 12, 25, 47])('is judged the same in any order: seed %i', (seed) => {
    const trial = planTrial(seed)
    const world = createWorld(trial.world)
    plantBeforeLook(world, trial)
    delete world.nowS
    const facts = gatherInMemory(booksOf(world, { ...trial, policy: TRIAL_POLICY }))
    const judged = reconcile(facts)
    expect(judged.discrepancies.length + judged.settlements.length).toBeGreaterThan(0)
    for (const order of [1, 2, 3]) expect(reconcile(shuffled(facts, order))).toEqual(judged)
  })
})
