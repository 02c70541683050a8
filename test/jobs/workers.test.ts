/** Several processes at work on the same night: who does what, who reports, and what if one dies. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { eq } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import {
  entityFetches,
  fetchRounds,
  mailDeliveries,
  matches,
  periodReports,
  runs,
} from '../../db/schema.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import type { Outcome, Running } from '../e2e/job.ts'
import { signalGroup } from '../e2e/job.ts'
import { openShop, type Shop, WEEK } from '../e2e/shop.ts'
import { type MailServer, startMailServer, subjectOf } from '../support/mail-server.ts'

const NAMES = ['east', 'north', 'south', 'west']
const RECONCILE = ['reconcile', '--week', WEEK, '--as-of', '2024-04-05'] as const

/** So slow that a run is still at work when others have come and gone. */
const SLOW_MS = 1_500

let mail: MailServer | null = null
afterEach(async () => {
  await mail?.close()
  mail = null
})

function fourShops(): SandboxWorld {
  const world = createWorld({
    accounts: NAMES,
    from: '2024-03-11',
    to: '2024-03-29',
    salesPerDay: 3,
  })
  plant(world, { code: 'deposit_missing', entity: 'south', period: WEEK })
  plant(world, { code: 'payout_residual', entity: 'west', period: WEEK })
  return world
}

async function openFour(latencyMs = 0): Promise<Shop> {
  const world = fourShops()
  const shop = await openShop(world, { latencyMs })
  delete shop.env['ALMA_API_KEY']
  await nameEntities(shop, NAMES)
  shop.env['ENTITIES_FILE'] = 'entities.json'
  for (const { name, apiKey } of world.accounts) shop.env[`KEY_${name.toUpperCase()}`] = apiKey
  return shop
}

async function nameEntities(shop: Shop, names: readonly string[]): Promise<void> {
  const entities = shop.sandbox.world.accounts
    .filter(({ name }) => names.includes(name))
    .map(({ name, iban }) => ({ name, apiKeyEnv: `KEY_${name.toUpperCase()}`, ibans: [iban] }))
  await writeFile(join(shop.dir, 'entities.json'), JSON.stringify(entities))
}

/** What one process alone comes to. */
async function alone(...argv: readonly string[]): Promise<Record<string, string>> {
  const shop = await openFour()
  expect(await shop.runHere(...argv)).toMatchObject({ exitCode: 0 })
  return shop.csvs(WEEK)
}

/** Which runs fetched how many entities of the shop's rounds. */
async function fetchesByRun({ database }: Shop): Promise<Map<number, string[]>> {
  const found = await database.db.select().from(entityFetches)
  const byRun = new Map<number, string[]>()
  for (const { runId, entity } of found) byRun.set(runId, [...(byRun.get(runId) ?? []), entity])
  return byRun
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let looks = 0; looks < 1_500; looks += 1) {
    if (await isSo()) return
    await sleep(20)
  }
  throw new Error('it did not come to that within 30 s')
}

function saidByOthers({ out }: Outcome): boolean {
  return out.includes('another process that took part in it wrote the report')
}

describe('--workers', () => {
  test('comes to the bytes of one process that fetches entity after entity', async () => {
    const expected = await alone(...RECONCILE)
    const shop = await openFour()
    expect(await shop.runHere(...RECONCILE, '--workers', '3')).toMatchObject({ exitCode: 0 })
    expect(await shop.csvs(WEEK)).toEqual(expected)
    // Asked for anew it fetches anew, and what came of it is the same.
    const requests = shop.sandbox.requests.length
    await shop.database.db.update(fetchRounds).set({ openedAt: '2024-01-01T00:00:00Z' })
    const again = await shop.runHere(...RECONCILE, '--workers', '3')
    expect(again).toMatchObject({ exitCode: 0, out: expect.stringContaining('unchanged') })
    expect(shop.sandbox.requests.length).toBeGreaterThan(requests)
  }, 60_000)

  test('as many entities at a time as it says, each by its own key', async () => {
    const shop = await openFour(25)
    await shop.runHere(...RECONCILE, '--workers', '2')
    const begun = new Map<string, number>()
    const ended = new Map<string, number>()
    for (const { headers, atMs } of shop.sandbox.requests) {
      const key = String(headers['authorization'])
      if (key === 'undefined') continue
      begun.set(key, Math.min(begun.get(key) ?? atMs, atMs))
      ended.set(key, Math.max(ended.get(key) ?? atMs, atMs))
    }
    expect(begun.size).toBe(NAMES.length)
    const atOnce = [...begun].map(
      ([, startMs]) =>
        [...begun].filter(
          ([other, otherMs]) => otherMs <= startMs && (ended.get(other) ?? 0) >= startMs,
        ).length,
    )
    expect(Math.max(...atOnce)).toBe(2)
  }, 60_000)

  test('a refused key: the others are reported, and the exit code tells', async () => {
    const shop = await openFour()
    shop.env['KEY_NORTH'] = 'sk_test_hunter2'
    const outcome = await shop.runHere(...RECONCILE, '--workers', '2', '--json')
    expect(outcome.exitCode).toBe(3)
    expect(await shop.summaryJson(WEEK)).toMatchObject({
      entities: ['east', 'south', 'west'],
      notes: [expect.stringMatching(/^north is missing from this report: .*KEY_NORTH/)],
    })
    expect(outcome.out + outcome.err).not.toContain('hunter2')
  }, 60_000)

  test.each(['0', '17', 'two', ''])('--workers %j is refused', async (workers) => {
    const shop = await openFour()
    const refused = await shop.runHere(...RECONCILE, '--workers', workers)
    expect(refused).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining('a whole number from 1 to 16'),
    })
  })

  test('a dry run stays one transaction, one entity after the other', async () => {
    const shop = await openFour()
    const outcome = await shop.runHere(...RECONCILE, '--workers', '2', '--dry-run')
    expect(outcome).toMatchObject({ exitCode: 0, out: expect.stringContaining('Dry run') })
    expect(outcome.err).toContain('--workers: not needed with --dry-run')
    expect(await shop.database.db.select().from(runs)).toEqual([])
  }, 60_000)
})

describe('processes started for the same night', () => {
  test('share the entities, one report and one mail; the others say so and end with 0', async () => {
    const expected = await alone('nightly', '--as-of', '2024-03-29')
    const shop = await openFour(20)
    mail = await startMailServer()
    Object.assign(shop.env, {
      SMTP_URL: mail.url,
      MAIL_FROM: 'night@shop.example',
      MAIL_TO: 'books@shop.example',
    })
    const night = ['nightly', '--as-of', '2024-03-29', '--workers', '1']
    const outcomes = await Promise.all([1, 2, 3].map(() => shop.run(...night)))
    for (const outcome of outcomes) expect(outcome, outcome.err).toMatchObject({ exitCode: 0 })
    expect(await shop.csvs(WEEK)).toEqual(expected)
    // Somebody wrote each week, and nobody wrote or mailed one twice.
    const reports = await shop.database.db.select().from(periodReports)
    expect(reports.map(({ period }) => period).toSorted()).toEqual(
      [...new Set(reports.map(({ period }) => period))].toSorted(),
    )
    expect(outcomes.filter((outcome) => !saidByOthers(outcome)).length).toBeLessThanOrEqual(
      reports.length,
    )
    const subjects = mail.mails.map(subjectOf)
    expect(subjects).toHaveLength(new Set(subjects).size)
    expect(subjects).toHaveLength((await shop.database.db.select().from(mailDeliveries)).length)
    // Each entity was fetched once for each of the weeks, by more than one of the processes.
    const rounds = await shop.database.db.select().from(fetchRounds)
    expect(rounds.every(({ exitCode }) => exitCode === 0)).toBe(true)
    const byRun = await fetchesByRun(shop)
    expect([...byRun.values()].flat()).toHaveLength(rounds.length * NAMES.length)
    expect(byRun.size).toBeGreaterThan(1)
    const pinned = (await shop.database.db.select().from(matches)).length
    // Who starts right after is told that it is done.
    const late = await shop.run(...night)
    expect(late).toMatchObject({ exitCode: 0 })
    expect(saidByOthers(late)).toBe(true)
    expect(await shop.database.db.select().from(matches)).toHaveLength(pinned)
  }, 120_000)

  test('SIGKILL: the entities of one that dies are taken over, and the report with them', async () => {
    const expected = await alone(...RECONCILE)
    const shop = await openFour(SLOW_MS)
    const lost = shop.start(...RECONCILE, '--workers', '4')
    await until(() => shop.sandbox.requests.length >= NAMES.length)
    const survivor = shop.start(...RECONCILE, '--workers', '1')
    // It has joined once there is a second run, and finds every entity taken.
    await until(async () => (await shop.database.db.select().from(runs)).length === 2)
    signalGroup(lost, 'SIGKILL')
    await lost.outcome
    shop.sandbox.switches.latencyMs = 0
    expect(await survivor.outcome).toMatchObject({ exitCode: 0 })
    expect(await shop.csvs(WEEK)).toEqual(expected)
    const [mine] = await shop.database.db.select().from(runs).where(eq(runs.exitCode, 0))
    const byRun = await fetchesByRun(shop)
    expect(byRun.get(mine?.id ?? 0)?.length ?? 0).toBeGreaterThan(0)
    expect([...byRun.values()].flat().toSorted()).toEqual(NAMES)
    const [round] = await shop.database.db.select().from(fetchRounds)
    expect(round).toMatchObject({ finishedRunId: mine?.id, exitCode: 0 })
  }, 90_000)

  test('a round that everybody left long ago is not taken for today’s work', async () => {
    const shop = await openFour(40)
    const lost = shop.start(...RECONCILE, '--workers', '4')
    await until(async () => (await shop.database.db.select().from(entityFetches)).length > 0)
    signalGroup(lost, 'SIGKILL')
    await lost.outcome
    await shop.database.db.update(fetchRounds).set({ openedAt: '2024-01-01T00:00:00Z' })
    shop.sandbox.switches.latencyMs = 0
    expect(await shop.runHere(...RECONCILE, '--workers', '4')).toMatchObject({ exitCode: 0 })
    const [mine] = await shop.database.db.select().from(runs).where(eq(runs.exitCode, 0))
    expect((await fetchesByRun(shop)).get(mine?.id ?? 0)?.toSorted()).toEqual(NAMES)
  }, 60_000)
})

describe('runs over different entities', () => {
  test('go on side by side; over the same one the second is refused with exit 6', async () => {
    const shop = await openFour(SLOW_MS)
    const north = shop.start(...RECONCILE, '--entity', 'north')
    await untilFetching(shop, north)
    const [south, again, all] = await Promise.all([
      shop.runHere(...RECONCILE, '--entity', 'south', '--out', join(shop.dir, 'south')),
      shop.runHere(...RECONCILE, '--entity', 'north'),
      shop.runHere(...RECONCILE),
    ])
    expect(south).toMatchObject({ exitCode: 0 })
    expect(again.exitCode, again.err).toBe(6)
    expect(again.err).toMatch(/another run holds the lock of .*: reconcile 2024-W12, since .* UTC/)
    expect(all.exitCode, all.err).toBe(6)
    expect(all.err).toContain('(entity north)')
    shop.sandbox.switches.latencyMs = 0
    expect(await north.outcome).toMatchObject({ exitCode: 0 })
  }, 60_000)

  test('bank files are taken in while another run fetches', async () => {
    const shop = await openFour(SLOW_MS)
    const north = shop.start(...RECONCILE, '--entity', 'north')
    await untilFetching(shop, north)
    const file = join(shop.dir, 'more.csv')
    await writeFile(
      file,
      'account,booking_date,value_date,amount,currency,counterparty_name,counterparty_iban,remittance,end_to_end_id,bank_reference,opening_balance,closing_balance\n' +
        `${shop.sandbox.world.bankAccounts[0]?.iban ?? ''},2024-05-20,2024-05-20,12.34,EUR,SHOP,,more,,MORE1,,\n`,
    )
    expect(await shop.runHere('import-bank', file)).toMatchObject({ exitCode: 0 })
    shop.sandbox.switches.latencyMs = 0
    expect(await north.outcome).toMatchObject({ exitCode: 0 })
  }, 60_000)

  test('what is about the whole database waits for nobody: exit 6', async () => {
    const shop = await openFour(SLOW_MS)
    const north = shop.start(...RECONCILE, '--entity', 'north')
    await untilFetching(shop, north)
    const purge = await shop.runHere('purge', '--before', '2024-01-01', '--by', 'Marie')
    expect(purge).toMatchObject({ exitCode: 6 })
    shop.sandbox.switches.latencyMs = 0
    expect(await north.outcome).toMatchObject({ exitCode: 0 })
  }, 60_000)
})

/** The run has its locks, and its first request is on the way. */
async function untilFetching({ sandbox }: Shop, running: Running): Promise<void> {
  await until(() => sandbox.requests.length > 0 || running.process.exitCode !== null)
  expect(running.process.exitCode).toBeNull()
}
