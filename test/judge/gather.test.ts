/**
 * The judge gathers its facts in memory. Here the whole job goes over the same worlds, by HTTP, files
 * and Postgres, and the facts that its database holds in the end are the same: so what the judge
 * proves is proved of the job.
 */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { gatherFacts } from '../../jobs/gather-facts.ts'
import { startRun } from '../../db/runs.ts'
import { watchPlans } from '../../jobs/watch-plans.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { compareText } from '../../src/domain/collections.ts'
import type { Day } from '../../src/domain/day.ts'
import type { EntityFacts, Facts, SignedFigures } from '../../src/domain/facts.ts'
import type { Period } from '../../src/domain/period.ts'
import { silentProgress } from '../../src/progress.ts'
import { booksOf, ibansOf, type Look } from '../../src/sandbox/books.ts'
import { gatherInMemory } from '../../src/sandbox/gather.ts'
import type { Planted } from '../../src/sandbox/plant.ts'
import { SANDBOX_PLANS } from '../../src/sandbox/plans.ts'
import {
  dayOfLook,
  firstLook,
  planTrial,
  plantAfterLook,
  plantBeforeLook,
  type Trial,
  TRIAL_POLICY,
} from '../../src/sandbox/trial.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type ReportRow, type Workshop } from '../support/workshop.ts'

const SEEDS = [6, 47, 89, 143]

let workshop: Workshop | null = null
afterEach(async () => {
  await workshop?.close()
  workshop = null
})

/** The settings that make of each account of the world an entity. */
async function settingsFor(
  { dir }: Workshop,
  world: SandboxWorld,
  hasContract: boolean,
): Promise<Record<string, string>> {
  const entities = world.accounts.map(({ name, iban, feeVat }) => ({
    name,
    apiKeyEnv: `KEY_${name}`,
    ibans: world.accounts.length === 1 ? [] : ibansOf(world, name, iban),
    ...(hasContract
      ? {
          fees: {
            vat: feeVat ?? 'excluded',
            vatRate: '20',
            plans: Object.fromEntries(
              SANDBOX_PLANS.map(({ kind, ratePercent }) => [kind, { rate: ratePercent, fixed: 0 }]),
            ),
          },
        }
      : {}),
  }))
  const file = join(dir, 'entities.json')
  await writeFile(file, JSON.stringify(entities))
  return {
    ENTITIES_FILE: file,
    ...Object.fromEntries(world.accounts.map(({ name, apiKey }) => [`KEY_${name}`, apiKey])),
  }
}

function periodFlags({ label, first, last }: Period): string[] {
  if (label.includes('_')) return ['--from', first, '--to', last]
  return [label.includes('W') ? '--week' : '--month', label]
}

/** Runs the job as the trial has it, with one look or two; gives what was planted and what it stored. */
async function overTheRealWay(
  world: SandboxWorld,
  trial: Trial,
): Promise<{ planted: readonly Planted[]; real: Facts; inMemory: Facts; reported: ReportRow[] }> {
  const { period, asOf, hasContract } = trial
  const staged = plantBeforeLook(world, trial)
  const opened = await openWorkshop(world, { switches: trial.switches })
  workshop = opened
  Object.assign(opened.env, await settingsFor(opened, world, hasContract))
  const runAsOf = async (day: Day): Promise<void> => {
    const outcome = await opened.run('reconcile', ...periodFlags(period), '--as-of', day, '--plans')
    expect(outcome).toMatchObject({ exitCode: 0, err: '' })
  }
  let earlier: Look[] | undefined
  let lookDay: Day | null = null
  if (staged.between.length > 0) {
    earlier = firstLook(world, trial)
    // Lines of the period that came after it was closed would be late changes themselves.
    if (staged.isClosing) await opened.writeBank()
    // What was known of plans then would be asked about other sales than are known in the end.
    opened.sandbox.switches.eligibility = 'missing'
    lookDay = dayOfLook(world)
    await runAsOf(lookDay)
    opened.sandbox.switches.eligibility = 'full'
    if (staged.isClosing) {
      const signed = await opened.run('close', ...periodFlags(period), '--by', 'Camille')
      expect(signed).toMatchObject({ exitCode: 0, err: '' })
    }
  }
  const planted = [...staged.planted, ...plantAfterLook(world, staged)]
  await opened.writeBank()
  await runAsOf(asOf)
  const config = readConfig(opened.env, {
    cwd: opened.dir,
    readFile: (path) => readFileSync(path, 'utf8'),
  })
  const { entities } = config
  const planDays = trial.planDays.filter((day) => day !== lookDay && day < asOf)
  await watchOn(opened, config, period, planDays)
  const again = await opened.run('reconcile', ...periodFlags(period), '--as-of', asOf, '--offline')
  expect(again).toMatchObject({ exitCode: 0, err: '' })
  const options = {
    ...trial,
    policy: TRIAL_POLICY,
    planDays,
    isClosed: staged.isClosing,
    ...(earlier === undefined ? {} : { earlier }),
  }
  return {
    planted,
    real: await gatherFacts(opened.database.db, { config, entities, period, asOf }),
    inMemory: gatherInMemory(booksOf(world, options)),
    reported: await opened.report(period.label, 'discrepancies.csv'),
  }
}

/** Asks the provider for its plans as the nights of these days would have. */
async function watchOn(
  { database: { db } }: Workshop,
  config: Config,
  period: Period,
  days: readonly Day[],
): Promise<void> {
  const record = { command: 'nightly', period: null, asOf: null, appVersion: '0' }
  const runId = await startRun(db, record)
  for (const entity of config.entities) {
    for (const asOf of days) {
      const given = { config, entity, runId, period, asOf }
      expect(await watchPlans({ db, progress: silentProgress }, given)).toBe(true)
    }
  }
}

/** Facts without what only a database knows: its own ids, and what it remembers of earlier reports. */
function comparable({ bank, entities, period, asOf, policy, ledgerCurrency }: Facts) {
  return {
    period,
    asOf,
    policy,
    ledgerCurrency,
    entities: entities.map(comparableEntity),
    entries: inOrder(
      bank.entries.map(
        ({ id: _id, fingerprint: _f, fingerprintRank: _r, place: _p, position: _n, ...entry }) =>
          entry,
      ),
    ),
    statements: inOrder(
      bank.statements.map(({ id: _id, statementRef: _ref, ...statement }) => statement),
    ),
  }
}

/** What changed of a closed period, without who signed it when. */
function lateRows({ record }: Facts) {
  return inOrder(
    record.lateRows.map(({ entity, closed, row, signed, isGone, seenAsOf }) => {
      return { entity, closed: closed.label, row, signed: figuresOf(signed), isGone, seenAsOf }
    }),
  )
}

function figuresOf(signed: SignedFigures | null) {
  if (signed === null) return null
  const { kind, amountMinor, feeMinor, netMinor, paymentId, includedInPayoutId } = signed
  return { kind, amountMinor, feeMinor, netMinor, paymentId, includedInPayoutId }
}

function comparableEntity({ exports, plans, ...facts }: EntityFacts) {
  const lists = Object.entries(facts).map(([name, value]: [string, unknown]) => [
    name,
    Array.isArray(value) ? inOrder(value) : value,
  ])
  return {
    ...Object.fromEntries(lists),
    plans: plans && {
      ...plans,
      snapshots: plans.snapshots.filter(({ trouble }) => trouble === null),
    },
    exports: exports
      .toSorted((a, b) => a.requestNumber - b.requestNumber)
      .map(({ exportId: _id, sha256: _sha, requestNumber: _number, pairs, ...held }) => ({
        ...held,
        pairs: inOrder(pairs),
      })),
  }
}

function inOrder<T>(items: readonly T[]): T[] {
  const text = (item: T): string =>
    JSON.stringify(item, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
  const keyed = items.map((item) => ({ item, key: text(sortedKeys(item)) }))
  return keyed.toSorted((a, b) => (a.key < b.key ? -1 : 1)).map(({ item }) => item)
}

function sortedKeys<T>(item: T): T {
  return item !== null && typeof item === 'object' && !Array.isArray(item)
    ? (Object.fromEntries(Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1))) as T)
    : item
}

function nameOf({ code, entity, key }: Planted): string {
  return [code, entity, 'new', ...Object.values(key).toSorted()].join(' ')
}

function nameOfRow(row: ReportRow, columns: readonly string[]): string {
  const values = columns.map((column) => row[column] ?? '').toSorted()
  return [row['code'], row['entity'], row['status'], ...values].join(' ')
}

describe('the facts of a world', () => {
  // Of one account and of two, with one look and with two, weeks, months and ranges.
  test.each(SEEDS)('are the same by the real way and in memory: seed %i', async (seed) => {
    const trial = planTrial(seed)
    const world = createWorld(trial.world)
    const { planted, real, inMemory, reported } = await overTheRealWay(world, trial)
    expect(comparable(inMemory)).toEqual(comparable(real))
    expect(lateRows(inMemory)).toEqual(lateRows(real))
    expect(reported.map(({ code }) => code ?? '').toSorted(compareText)).toEqual(
      planted.map(({ code }) => code).toSorted(compareText),
    )
    for (const one of planted) {
      const columns = Object.keys(one.key)
      expect(reported.map((row) => nameOfRow(row, columns))).toContain(nameOf(one))
    }
  })

  test('the seeds here have between them two accounts, two looks, a month, a range, a contract and a close', () => {
    const trials = SEEDS.map(planTrial)
    const looks = trials.map((trial) => plantBeforeLook(createWorld(trial.world), trial).between)
    expect(trials.some(({ world }) => world.accounts?.length === 2)).toBe(true)
    expect(looks.some((between) => between.length > 0)).toBe(true)
    expect(trials.some(({ period }) => /^\d{4}-\d{2}$/.test(period.label))).toBe(true)
    expect(trials.some(({ period }) => period.label.includes('_'))).toBe(true)
    expect(trials.some(({ hasContract }) => hasContract)).toBe(true)
    expect(looks.some((between) => between.some(({ code }) => code === 'late_change'))).toBe(true)
  })
})
