/**
 * SIGKILL at any point of a whole night: ledger, exports, bank files, judgement, reports, mail. The
 * next run must come to the bytes of one that nobody disturbed. Half of the nights are a first one,
 * which brings everything home; the others find what earlier nights stored.
 */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Day, parseDay } from '../../src/domain/day.ts'
import type { Chance } from '../../src/sandbox/chance.ts'
import { type Running, signalGroup } from '../e2e/job.ts'
import { copyTestDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts'
import type { Blow, Outcome } from './blow.ts'
import {
  differences,
  isGoing,
  leaksInDatabase,
  type Merchant,
  messageIdOf,
  openMerchant,
  type Result,
  resultOf,
  saidBy,
} from './merchant.ts'

/** Two nights of one week: what is new between them is sales, statements, a late deposit. */
export const EARLIER_NIGHT = parseDay('2024-03-26')
export const NIGHT = parseDay('2024-03-28')
/** Each answer of the provider, so that a run is waiting for one as often as it computes. */
export const LATENCY_MS = 3
const POLL_MS = 2
/** A third run now and then: it must find nothing to do. */
const THIRD_RUN_SHARE = 0.1

/** A night, with all that was stored before it and what an undisturbed run makes of it. */
export interface Scene {
  /** Of all that it keeps. */
  readonly folder: string
  readonly night: Day
  /** Copies of what earlier nights left; null: nothing. */
  readonly before: { readonly databaseUrl: string; readonly folder: string } | null
  readonly expected: Result
  readonly durationMs: number
  readonly requests: number
}

export function nightly(night: Day): readonly string[] {
  return ['nightly', '--as-of', night]
}

const scenes = new Map<string, Promise<Scene>>()

export function sceneOf(name: 'first night' | 'later night'): Promise<Scene> {
  let scene = scenes.get(name)
  if (scene === undefined) scenes.set(name, (scene = makeScene(name === 'later night')))
  return scene
}

async function makeScene(isLater: boolean): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'alma-chaos-scene-'))
  const before = isLater ? await makeBefore(join(folder, 'before')) : null
  const night = isLater ? NIGHT : EARLIER_NIGHT
  const stage = await openStage({ night, before }, join(folder, 'undisturbed'))
  try {
    const startedMs = performance.now()
    const ended = await stage.merchant.run(...nightly(night))
    if (ended.exitCode !== 0) throw new Error(`the undisturbed night: ${saidBy(ended)}`)
    return {
      folder,
      night,
      before,
      durationMs: performance.now() - startedMs,
      requests: stage.merchant.sandbox.requests.length,
      expected: await resultOf(stage.merchant, stage.database.db),
    }
  } finally {
    await closeStage(stage)
    await rm(join(folder, 'undisturbed'), { recursive: true, force: true })
  }
}

/** What the earlier night leaves. */
async function makeBefore(folder: string): Promise<NonNullable<Scene['before']>> {
  const stage = await openStage({ night: EARLIER_NIGHT, before: null }, folder)
  const ended = await stage.merchant.run(...nightly(EARLIER_NIGHT))
  if (ended.exitCode !== 0) throw new Error(`the earlier night: ${saidBy(ended)}`)
  await stage.merchant.close()
  // Nobody may be connected to what is copied.
  await stage.database.disconnect()
  return { databaseUrl: stage.database.url, folder }
}

interface Stage {
  readonly merchant: Merchant
  readonly database: TestDatabase
}

async function openStage(
  { night, before }: Pick<Scene, 'night' | 'before'>,
  folder: string,
): Promise<Stage> {
  await mkdir(folder, { recursive: true })
  if (before !== null) {
    for (const name of ['inbox', 'var']) {
      await cp(join(before.folder, name), join(folder, name), { recursive: true })
    }
  }
  const database =
    before === null ? await createTestDatabase() : await copyTestDatabase(before.databaseUrl)
  const merchant = await openMerchant({
    folder,
    databaseUrl: database.url,
    switches: { latencyMs: LATENCY_MS },
  })
  await merchant.wakeOn(night)
  return { merchant, database }
}

async function closeStage({ merchant, database }: Stage): Promise<void> {
  await merchant.close()
  await database.drop()
}

/** Waits for the point at which a run is killed; gives up when it has ended. */
type Point = (running: Running, merchant: Merchant, scene: Scene, chance: Chance) => Promise<void>

const afterRandomTime: Point = (_running, _merchant, { durationMs }, chance) =>
  sleep(chance.fraction() * 0.9 * durationMs)

const afterRandomRequest: Point = async (running, { sandbox }, { requests }, chance) => {
  const wanted = chance.whole(1, requests)
  while (isGoing(running) && sandbox.requests.length < wanted) await sleep(POLL_MS)
  await sleep(chance.whole(0, 2 * LATENCY_MS))
}

/** After the last request of a period: it judges, writes, remembers and mails. */
const whileItWrites: Point = async (running, { sandbox }, { requests }, chance) => {
  const wanted = chance.whole(Math.ceil(requests / 2), requests)
  while (isGoing(running) && sandbox.requests.length < wanted) await sleep(POLL_MS)
  const quietMs = 5 * LATENCY_MS
  const isQuiet = (): boolean => Date.now() - (sandbox.requests.at(-1)?.atMs ?? 0) > quietMs
  while (isGoing(running) && !isQuiet()) await sleep(POLL_MS)
  await sleep(chance.whole(0, 150))
}

/** The mail server has it; whether the job has noted that is a matter of a millisecond. */
const whenAMailWasTaken: Point = async (running, { mail }, { expected }, chance) => {
  const wanted = chance.whole(1, Object.keys(expected.mails).length)
  while (isGoing(running) && mail.mails.length < wanted) await sleep(1)
}

function killBlow(what: string, name: 'first night' | 'later night', until: Point): Blow {
  return {
    group: 'crash',
    what: `SIGKILL of a ${name}, ${what}`,
    strike: async ({ chance, folder }) => {
      const scene = await sceneOf(name)
      const stage = await openStage(scene, folder)
      try {
        return await killAndRepeat(stage, scene, until, chance)
      } finally {
        await closeStage(stage)
      }
    },
  }
}

async function killAndRepeat(
  { merchant, database }: Stage,
  scene: Scene,
  until: Point,
  chance: Chance,
): Promise<Outcome> {
  const running = merchant.start(...nightly(scene.night))
  await until(running, merchant, scene, chance)
  const isInTime = isGoing(running)
  signalGroup(running, 'SIGKILL')
  await running.outcome
  const { ended, lost } = await afterTheBlow(merchant, scene)
  if (lost.length === 0) {
    lost.push(...differences(scene.expected, await resultOf(merchant, database.db)))
  }
  if (chance.happens(THIRD_RUN_SHARE)) lost.push(...(await thirdRun(merchant, scene.night)))
  return {
    ended: isInTime ? ended : 'over before the kill came',
    lost,
    leaked: [...(await merchant.leaks()), ...(await leaksInDatabase(database.db, merchant.world))],
  }
}

/** The same command again, to its end; `lost` can be added to. */
export async function afterTheBlow(
  merchant: Merchant,
  { night }: Pick<Scene, 'night'>,
): Promise<{ ended: string; lost: string[] }> {
  const again = await merchant.run(...nightly(night))
  if (again.exitCode !== 0) return { ended: 'failed', lost: [`the next run: ${saidBy(again)}`] }
  const ids = merchant.mail.mails.map(messageIdOf)
  // Between the mail server's word and the note of it no program can be sure; the id tells the reader's.
  const twice = ids.length - new Set(ids).size
  if (twice > 1) return { ended: 'failed', lost: [`${twice} mails came twice`] }
  return {
    ended: twice === 0 ? 'right result' : 'right result, one mail again under its Message-ID',
    lost: [],
  }
}

/** A further run finds that all is done. */
async function thirdRun(merchant: Merchant, night: Day): Promise<string[]> {
  const [before, mails] = [await merchant.reports(), merchant.mail.mails.length]
  const third = await merchant.run(...nightly(night))
  const lost = third.exitCode === 0 ? [] : [`a third run: ${saidBy(third)}`]
  if (merchant.mail.mails.length > mails) lost.push('a third run mailed again')
  const after = await merchant.reports()
  if (JSON.stringify(after) !== JSON.stringify(before)) lost.push('a third run changed the reports')
  return lost
}

/** Each is struck in turn until there were as many kills as wanted. */
export const serverCrashes: readonly Blow[] = (['first night', 'later night'] as const).flatMap(
  (name) => [
    killBlow('after a random time', name, afterRandomTime),
    killBlow('after a random request', name, afterRandomRequest),
    killBlow('while it judges and writes', name, whileItWrites),
    killBlow('when a mail was just taken', name, whenAMailWasTaken),
  ],
)

/** Removes what the scenes have stored beside the test server. */
export async function forgetScenes(): Promise<void> {
  for (const scene of scenes.values()) {
    const { folder } = await scene
    await rm(folder, { recursive: true, force: true })
  }
  scenes.clear()
}
