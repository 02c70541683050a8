/**
 * What a command takes before and after its work: help, a complaint about the command line, and a
 * night in which nothing is new, with the embedded database as the night before left it. Whole
 * processes are timed from outside, as a person or cron waits for them. The floor is what none of them can do
 * without: a bare Node process, and for the night a server that starts, is joined and stops.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { startEmbedded } from '../../db/embedded.ts'
import { writeBankFiles } from '../../src/sandbox/bank-files.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { createWorld, DEMO_API_KEY, DEMO_WEEK } from '../../src/sandbox/world.ts'
import type { Benchmark, BenchLine } from './benchmark.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const START = path.join(ROOT, 'jobs', 'start.js')
const CLI = path.join(ROOT, 'jobs', 'cli.ts')
/** The sample world ends with this day, and its weeks are settled or open for good by then. */
const AS_OF = '2024-04-05'
const ROUNDS = 5
const HELP_S_MAX = 0.3
const NIGHT_S_MAX = 3
const CHILD_TIMEOUT_MS = 120_000

export const startup: Benchmark = { name: 'startup', run: benchStartup }

async function benchStartup(): Promise<readonly BenchLine[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-startup-'))
  const sandbox = await startSandbox({ world: createWorld() })
  try {
    return [...(await benchHelp(folder)), ...(await benchNight(folder, sandbox))]
  } finally {
    await sandbox.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function benchHelp(cwd: string): Promise<BenchLine[]> {
  const help = ['reconcile', '--help']
  const [node, start, tsx, npm] = await interleaved([
    () => timed(process.execPath, ['-e', '0'], { cwd }),
    () => timed(process.execPath, [START, ...help], { cwd }),
    () => timed(process.execPath, ['--import', import.meta.resolve('tsx'), CLI, ...help], { cwd }),
    () => timed('npm', ['run', '--silent', '--prefix', ROOT, 'reconcile', '--', '--help'], { cwd }),
  ])
  return [
    line('reconcile --help, the process', start, node, 'node -e 0', HELP_S_MAX),
    line('reconcile --help under npm run, npm included', npm, node, 'node -e 0', null),
    line('reconcile --help from the sources, by tsx', tsx, node, 'node -e 0', null),
  ]
}

async function benchNight(folder: string, sandbox: Sandbox): Promise<BenchLine[]> {
  const inbox = path.join(folder, 'inbox')
  const dataDir = path.join(folder, 'var')
  await mkdir(inbox)
  await writeBankFiles(createWorld(), inbox)
  const env = {
    ALMA_API_KEY: DEMO_API_KEY,
    ALMA_API_URL: sandbox.url,
    DATA_DIR: dataDir,
    BANK_INBOX: inbox,
  }
  const run = (...argv: readonly string[]) =>
    timed(process.execPath, [START, ...argv], { cwd: folder, env })
  const week = ['reconcile', '--week', DEMO_WEEK, '--as-of', AS_OF]
  const night = ['nightly', '--as-of', AS_OF]
  // The first of each stores and reports everything; from then on nothing is new.
  await run(...week)
  await run(...night)
  const [node, server, reconcile, nightly, migrate] = await interleaved([
    () => timed(process.execPath, ['-e', '0'], { cwd: folder }),
    () => serverOnly(dataDir),
    () => run(...week),
    () => run(...night),
    () => run('db:migrate'),
  ])
  const floor = node + server
  const name = 'node -e 0 + start, join and stop of the server'
  return [
    line('reconcile of a week, nothing new', reconcile, floor, name, NIGHT_S_MAX),
    line('nightly, nothing new, three open weeks', nightly, floor, name, NIGHT_S_MAX),
    line('db:migrate, nothing to do', migrate, floor, name, null),
  ]
}

async function serverOnly(dataDir: string): Promise<number> {
  const startedMs = performance.now()
  const server = await startEmbedded({ dataDir })
  await server.release()
  return (performance.now() - startedMs) / 1000
}

/** Seconds of a whole process, which must end well. */
async function timed(
  file: string,
  args: readonly string[],
  { cwd, env = {} }: { cwd: string; env?: Readonly<Record<string, string>> },
): Promise<number> {
  const startedMs = performance.now()
  const child = spawn(file, [...args], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: CHILD_TIMEOUT_MS,
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [exitCode]: unknown[] = await once(child, 'exit')
  const seconds = (performance.now() - startedMs) / 1000
  if (exitCode !== 0) throw new Error(`${args.join(' ')} ended with ${String(exitCode)}: ${said}`)
  return seconds
}

type Times<T extends readonly unknown[]> = { [K in keyof T]: number }

/** The median of each, all of them taken in turn, after one round that does not count. */
async function interleaved<const T extends readonly (() => Promise<number>)[]>(
  works: T,
): Promise<Times<T>> {
  const taken = works.map((): number[] => [])
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [at, work] of works.entries()) {
      const seconds = await work()
      if (round > 0) taken[at]?.push(seconds)
    }
  }
  return taken.map(median) as unknown as Times<T>
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN
}

function line(
  what: string,
  seconds: number,
  floorSeconds: number,
  floor: string,
  mostSeconds: number | null,
): BenchLine {
  return {
    what,
    measured: shown(seconds),
    floor: `${shown(floorSeconds)} (${floor})`,
    ratio: seconds / floorSeconds,
    bar: mostSeconds === null ? '' : `under ${mostSeconds} s`,
    met: mostSeconds === null || seconds < mostSeconds,
  }
}

function shown(seconds: number): string {
  return `${seconds.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })} s`
}
