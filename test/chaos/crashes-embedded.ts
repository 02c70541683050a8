/**
 * The same on the embedded Postgres, where the database is a process of the night as well: it is
 * killed itself, with the job or alone, while its data are written, and what a kill leaves behind is
 * made worse. The next run has to bring it back by itself.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connect } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import type { Chance } from '../../src/sandbox/chance.ts'
import { type Running, signalGroup } from '../e2e/job.ts'
import { isRunning, postmasterPid, waitUntilGone } from '../support/embedded.ts'
import type { Blow, Outcome } from './blow.ts'
import { afterTheBlow, EARLIER_NIGHT, LATENCY_MS, NIGHT, nightly } from './crashes.ts'
import {
  differences,
  isGoing,
  leaksInDatabase,
  type Merchant,
  openMerchant,
  type Result,
  resultOf,
  saidBy,
} from './merchant.ts'

const POLL_MS = 5
/** A run whose database died must have noticed by then. */
const NOTICED_WITHIN_MS = 60_000

/** A folder with the cluster of an earlier night, and what an undisturbed night makes of it. */
interface Prepared {
  /** Of all that is prepared. */
  readonly folder: string
  /** The merchant's folder as the earlier night left it. */
  readonly before: string
  /** Of the earlier night itself. */
  readonly expectedBefore: Result
  readonly expected: Result
  readonly durationMs: number
}

let prepared: Promise<Prepared> | null = null

/** Made once. */
export function preparedCluster(): Promise<Prepared> {
  return (prepared ??= prepare())
}

async function prepare(): Promise<Prepared> {
  const folder = await mkdtemp(join(tmpdir(), 'alma-chaos-embedded-'))
  const before = join(folder, 'before')
  await mkdir(before)
  const earlier = await openMerchant({ folder: before, databaseUrl: null })
  let expectedBefore: Result
  try {
    await earlier.wakeOn(EARLIER_NIGHT)
    const ended = await earlier.run(...nightly(EARLIER_NIGHT))
    if (ended.exitCode !== 0) throw new Error(`the earlier night: ${saidBy(ended)}`)
    expectedBefore = (await lookInto(earlier)).result
  } finally {
    await earlier.close()
  }
  const undisturbed = await openCopy(before, join(folder, 'undisturbed'))
  try {
    const startedMs = performance.now()
    const ended = await undisturbed.run(...nightly(NIGHT))
    if (ended.exitCode !== 0) throw new Error(`the undisturbed night: ${saidBy(ended)}`)
    const durationMs = performance.now() - startedMs
    const { result } = await lookInto(undisturbed)
    return { folder, before, expectedBefore, durationMs, expected: result }
  } finally {
    await undisturbed.close()
    await rm(join(folder, 'undisturbed'), { recursive: true, force: true })
  }
}

export async function openCopy(before: string, folder: string): Promise<Merchant> {
  await mkdir(folder, { recursive: true })
  // With owners and modes: as root, the cluster belongs to another account.
  for (const name of ['inbox', 'var']) {
    await promisify(execFile)('cp', ['-a', join(before, name), folder])
  }
  const merchant = await openMerchant({
    folder,
    databaseUrl: null,
    switches: { latencyMs: LATENCY_MS },
  })
  await merchant.wakeOn(NIGHT)
  return merchant
}

/** What is in the cluster, as the next command would find it. */
export async function lookInto(merchant: Merchant): Promise<{ result: Result; leaked: string[] }> {
  const server = await startEmbedded({ dataDir: merchant.dataDir })
  const connection = connect(server.address)
  try {
    const leaked = await leaksInDatabase(connection.db, merchant.world)
    return { result: await resultOf(merchant, connection.db), leaked }
  } finally {
    await connection.close()
    await server.release()
  }
}

/** What is done to a run that is under way. @returns how the run itself ended, for the table. */
type Deed = (args: {
  readonly running: Running
  readonly merchant: Merchant
  readonly chance: Chance
  readonly durationMs: number
}) => Promise<{ readonly ended: string; readonly lost: readonly string[]; undo?: () => void }>

function crash(what: string, deed: Deed): Blow {
  return {
    group: 'crash',
    what: `embedded Postgres: ${what}`,
    strike: async ({ chance, folder }) => {
      const { before, expected, durationMs } = await preparedCluster()
      const merchant = await openCopy(before, folder)
      try {
        const running = merchant.start(...nightly(NIGHT))
        const { ended, lost, undo } = await deed({ running, merchant, chance, durationMs })
        try {
          return await nextRun(merchant, { expected, ended, lost })
        } finally {
          undo?.()
        }
      } finally {
        await merchant.close()
      }
    },
  }
}

async function nextRun(
  merchant: Merchant,
  seen: { readonly expected: Result; readonly ended: string; readonly lost: readonly string[] },
): Promise<Outcome> {
  const next = await afterTheBlow(merchant, { night: NIGHT })
  const lost = [...seen.lost, ...next.lost, ...(await leftBehind(merchant))]
  if (next.lost.length > 0) return { ended: 'failed', lost, leaked: await merchant.leaks() }
  const { result, leaked } = await lookInto(merchant)
  lost.push(...differences(seen.expected, result))
  const prefix = seen.ended === '' ? '' : `${seen.ended}, then `
  return { ended: `${prefix}${next.ended}`, lost, leaked: [...(await merchant.leaks()), ...leaked] }
}

/** After its last user a server is gone, with its lock. */
async function leftBehind({ dataDir }: Merchant): Promise<string[]> {
  const pid = await postmasterPid(dataDir).catch(() => null)
  if (pid === null) return []
  return [`the server still ${(await isRunning(pid)) ? 'runs' : 'has its lock file'}`]
}

/** Waits until the run has its server, and then some time of what the rest takes. */
async function whileItRuns({
  running,
  merchant,
  chance,
  durationMs,
}: Parameters<Deed>[0]): Promise<number | null> {
  const startedMs = performance.now()
  const isReady = async (): Promise<boolean> => {
    const file = join(merchant.dataDir, 'postgres', 'postmaster.pid')
    return (await readFile(file, 'utf8').catch(() => '')).includes('ready')
  }
  while (isGoing(running) && !(await isReady())) await sleep(POLL_MS)
  const leftMs = Math.max(durationMs - (performance.now() - startedMs), 0)
  await sleep(chance.fraction() * 0.7 * leftMs)
  return isGoing(running) ? postmasterPid(merchant.dataDir).catch(() => null) : null
}

const TOO_LATE = { ended: 'over before the kill came', lost: [] }

/** The server's own processes, itself first. */
async function processesOf(postmaster: number): Promise<number[]> {
  const pids = [postmaster]
  // Where there is no such folder only the server itself can be killed, and takes the others with it.
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    // The command's name is in brackets and may hold blanks; the parent is the second field after it.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    if (parent === postmaster) pids.push(Number(name))
  }
  return pids
}

function killHard(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It went by itself meanwhile.
  }
}

/** The run has to notice by itself, and to say so with the exit code for "try again later". */
async function untilItGaveUp(running: Running): ReturnType<Deed> {
  const startedMs = performance.now()
  const timer = setTimeout(() => signalGroup(running, 'SIGKILL'), NOTICED_WITHIN_MS)
  const ended = await running.outcome
  clearTimeout(timer)
  const seconds = Math.ceil((performance.now() - startedMs) / 1000)
  if (ended.exitCode === 0) return TOO_LATE
  const isRight = ended.exitCode === 4
  return {
    ended: isRight
      ? `exit 4 within ${[5, 15, 30].find((bound) => seconds <= bound) ?? 60} s`
      : 'failed',
    lost: isRight ? [] : [`the run whose server died after ${seconds} s: ${saidBy(ended)}`],
  }
}

const killJob: Deed = async (args) => {
  const server = await whileItRuns(args)
  signalGroup(args.running, 'SIGKILL')
  await args.running.outcome
  return server === null ? TOO_LATE : { ended: '', lost: [] }
}

const killServer: Deed = async (args) => {
  const server = await whileItRuns(args)
  if (server !== null) killHard(server)
  return untilItGaveUp(args.running)
}

const killBackend: Deed = async (args) => {
  const server = await whileItRuns(args)
  if (server !== null) {
    const backends: number[] = []
    for (const pid of await processesOf(server)) {
      const title = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      if (/postgres: postgres .*\[local\]/.test(title)) backends.push(pid)
    }
    if (backends.length > 0) killHard(args.chance.one(backends))
  }
  return untilItGaveUp(args.running)
}

/** As a power cut does, but for what the operating system still writes. */
const killAll: Deed = async (args) => {
  const server = await whileItRuns(args)
  const pids = server === null ? [] : await processesOf(server)
  signalGroup(args.running, 'SIGKILL')
  for (const pid of pids) killHard(pid)
  await args.running.outcome
  for (const pid of pids) await waitUntilGone(pid)
  return server === null ? TOO_LATE : { ended: '', lost: [] }
}

function killAllThen(worse: (cluster: string) => Promise<(() => void) | undefined>): Deed {
  return async (args) => {
    const killed = await killAll(args)
    const undo = await worse(join(args.merchant.dataDir, 'postgres'))
    return undo === undefined ? killed : { ...killed, undo }
  }
}

/** The number of the dead server now belongs to a program that has nothing to do with it. */
const numberOfAnother = killAllThen(async (cluster) => {
  const file = join(cluster, 'postmaster.pid')
  const text = await readFile(file, 'utf8').catch(() => null)
  if (text === null) return undefined
  const bystander = spawn('sleep', ['600'], { stdio: 'ignore' })
  await writeFile(file, text.replace(/^\d+/, String(bystander.pid)))
  return () => bystander.kill('SIGKILL')
})

/** As a full disk leaves it. */
const emptyLockFile = killAllThen(async (cluster) => {
  const file = join(cluster, 'postmaster.pid')
  await writeFile(file, '')
  await utimes(file, new Date(0), new Date(0))
  return undefined
})

/** A cleaner of /tmp took the socket of a server that lives on. */
const sweptSocket: Deed = async (args) => {
  const killed = await killJob(args)
  const file = join(args.merchant.dataDir, 'postgres', 'postmaster.pid')
  const socketDir = (await readFile(file, 'utf8').catch(() => '')).split('\n')[4] ?? ''
  if (basename(socketDir).startsWith('alma-pg-')) await rm(socketDir, { recursive: true })
  return killed
}

/** On an empty folder: the cluster is being made, or the schema, or the first rows come in. */
const whileItIsMade: Blow = {
  group: 'crash',
  what: 'embedded Postgres: SIGKILL while the cluster is made',
  strike: async ({ chance, folder }) => {
    const { expectedBefore } = await preparedCluster()
    const merchant = await openMerchant({ folder, databaseUrl: null })
    try {
      await merchant.wakeOn(EARLIER_NIGHT)
      const running = merchant.start(...nightly(EARLIER_NIGHT))
      await sleep(chance.whole(200, 3_000))
      const isInTime = isGoing(running)
      signalGroup(running, 'SIGKILL')
      await running.outcome
      const { ended, lost } = await afterTheBlow(merchant, { night: EARLIER_NIGHT })
      if (lost.length > 0) return { ended, lost, leaked: [] }
      const { result, leaked } = await lookInto(merchant)
      return {
        ended: isInTime ? ended : 'over before the kill came',
        lost: [...differences(expectedBefore, result), ...(await leftBehind(merchant))],
        leaked: [...(await merchant.leaks()), ...leaked],
      }
    } finally {
      await merchant.close()
    }
  },
}

export const embeddedCrashes: readonly Blow[] = [
  crash('SIGKILL of the job, its server lives on', killJob),
  crash('SIGKILL of the server', killServer),
  crash('SIGKILL of one of its connections', killBackend),
  crash('SIGKILL of job and server at once', killAll),
  crash('the same, and its number now belongs to another program', numberOfAnother),
  crash('the same, and an empty lock file', emptyLockFile),
  crash('SIGKILL of the job, and its socket was swept away', sweptSocket),
  whileItIsMade,
]

/** Removes the prepared cluster. */
export async function forgetPrepared(): Promise<void> {
  if (prepared !== null) await rm((await prepared).folder, { recursive: true, force: true })
  prepared = null
}
