/**
 * A run may end at any moment: by a power cut, an impatient hand, a machine that is shut down.
 * Repeating the same command must come to the bytes of a run that nobody disturbed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import {
  matchBankEntries,
  matches,
  matchPayouts,
  periodReports,
  reportedDiscrepancies,
} from '../../db/schema.ts'
import { chanceOf } from '../../src/sandbox/chance.ts'
import { isRunning, postmasterPid, waitUntilGone } from '../support/embedded.ts'
import { type Running, signalGroup } from './job.ts'
import { demoWorld, openShop, RECONCILE, rowCounts, type Shop, undisturbed, WEEK } from './shop.ts'

const SEED = 20
const KILLS = 4
/** Enough that a run is in the middle of something for most of its time. */
const LATENCY_MS = 15

let expected: Record<string, string> = {}
beforeAll(async () => {
  expected = await undisturbed()
})

/** Starts the job and resolves once the provider has received that many requests of this run. */
async function startUntilRequest(shop: Shop, requests: number): Promise<Running> {
  const { sandbox } = shop
  sandbox.requests.length = 0
  const running = shop.start(...RECONCILE)
  while (isGoing(running) && sandbox.requests.length < requests) await sleep(2)
  return running
}

test(`SIGKILL at ${KILLS} points of a first run: repeated, it comes to the same bytes`, async () => {
  const shop = await openShop(demoWorld(), { latencyMs: LATENCY_MS })
  const chance = chanceOf(`kill/${SEED}`)
  const killedAt: string[] = []
  for (let kill = 1; kill <= KILLS; kill += 1) {
    // Every other time while it fetches; else after the last request, while it judges and writes.
    const requests = kill % 2 === 1 ? chance.whole(1, 40) : Number.POSITIVE_INFINITY
    const running = Number.isFinite(requests)
      ? await startUntilRequest(shop, requests)
      : await startUntilLastRequest(shop)
    await sleep(chance.whole(0, Number.isFinite(requests) ? LATENCY_MS : 80))
    signalGroup(running, 'SIGKILL')
    const { exitCode, err } = await running.outcome
    expect([null, 0], err).toContain(exitCode)
    killedAt.push(`${shop.sandbox.requests.length} requests${exitCode === 0 ? ', too late' : ''}`)
  }
  expect(killedAt.filter((at) => !at.includes('late')).length).toBeGreaterThan(KILLS / 2)
  const last = await shop.run(...RECONCILE)
  expect(last, killedAt.join('; ')).toMatchObject({ exitCode: 0 })
  expect(await shop.csvs(WEEK), killedAt.join('; ')).toEqual(expected)
}, 90_000)

/** Until the provider has heard nothing for a while: the run judges and writes. */
async function startUntilLastRequest(shop: Shop): Promise<Running> {
  const running = await startUntilRequest(shop, 3)
  const { requests } = shop.sandbox
  const isQuiet = (): boolean => {
    const last = requests.at(-1)
    return (
      last !== undefined &&
      last.path.startsWith('/v1/payments/') &&
      Date.now() - last.atMs > 3 * LATENCY_MS
    )
  }
  while (isGoing(running) && !isQuiet()) await sleep(2)
  return running
}

function isGoing({ process }: Running): boolean {
  return process.exitCode === null && process.signalCode === null
}

test('killed between the report and its record: the next run records the report that stands', async () => {
  const shop = await openShop()
  const { db } = shop.database
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  const recorded = () => db.select({ sha256: periodReports.manifestSha256 }).from(periodReports)
  const before = await recorded()
  expect(before).toHaveLength(1)
  // What the killed run had not stored yet, in the one transaction that comes after the files.
  for (const table of [reportedDiscrepancies, periodReports]) await db.delete(table)
  for (const table of [matchBankEntries, matchPayouts, matches]) await db.delete(table)
  for (let runs = 0; runs < 2; runs += 1) {
    const again = await shop.runHere(...RECONCILE)
    expect(again.out).toContain('unchanged, byte for byte')
    expect(await recorded()).toEqual(before)
  }
  expect((await rowCounts(db))['matches']).toBeGreaterThan(0)
})

test('on the embedded Postgres: SIGKILL, then SIGINT (exit 130, no server left), then to its end', async () => {
  const shop = await openShop(demoWorld(), { latencyMs: LATENCY_MS })
  delete shop.env['DATABASE_URL']

  const killed = await startUntilRequest(shop, 8)
  signalGroup(killed, 'SIGKILL')
  expect((await killed.outcome).exitCode).toBeNull()

  shop.sandbox.switches.latencyMs = 300
  const stopped = await startUntilRequest(shop, 2)
  const server = await postmasterPid(shop.dataDir)
  expect(await isRunning(server)).toBe(true)
  signalGroup(stopped, 'SIGINT')
  const { exitCode, out, err } = await stopped.outcome
  expect({ exitCode, out }).toEqual({ exitCode: 130, out: '' })
  expect(err).toContain('stopped by SIGINT')
  expect(err).toContain('run the same command again')
  await waitUntilGone(server)

  shop.sandbox.switches.latencyMs = 0
  expect(await shop.run(...RECONCILE)).toMatchObject({ exitCode: 0 })
  expect(await shop.csvs(WEEK)).toEqual(expected)
}, 90_000)
