/**
 * The ledger on its way into Postgres: rows stored in bulk against `psql`, the whole first run against
 * the sum of what it cannot do without, and the memory that it takes whatever the number of rows.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { saveBalanceTransactions } from '../../db/balance-transactions.ts'
import type { BenchLine, Benchmark } from './benchmark.ts'
import type { LedgerShape } from './generated-ledger.ts'
import {
  type BenchDatabase,
  drain,
  ENTITY,
  floorScript,
  inSeconds,
  median,
  openBenchDatabase,
  parsedRows,
  secondsOf,
  shapeOf,
  startProvider,
  writeRowsFile,
} from './ledger-floors.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const PEAK = fileURLToPath(new URL('print-peak.js', import.meta.url))
/** The last week that the generated two years hold whole. */
const RECONCILE = ['reconcile', '--week', '2023-W51', '--as-of', '2023-12-31']
/** As many rows as a run stores at once. */
const BATCH_ROWS = 5_000
const STORE_RATIO_MAX = 1.25
const RUN_RATIO_MAX = 2
const SMALL_ROWS = 100_000
const PEAK_MB_MAX = 250
const GROWTH_MB_MAX = 30
const SHORT_S = 10
const ROUNDS = 3

export const ledger: Benchmark = {
  name: 'ledger',
  run: async ({ rows }) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-ledger-'))
    const database = await openBenchDatabase()
    try {
      const stored = await storing(database, shapeOf(rows), path.join(folder, 'rows.copy'))
      const small = await firstRun(database, folder, shapeOf(Math.min(rows, SMALL_ROWS)))
      const whole = await firstRun(database, folder, shapeOf(rows))
      return [...stored.lines, runLine(rows, whole, stored.floorS), memoryLine(rows, small, whole)]
    } finally {
      await database.stop()
      await rm(folder, { recursive: true, force: true })
    }
  },
}

interface Times {
  readonly first: number[]
  readonly again: number[]
}

/** Both in turn, on empty tables: rows stored for the first time, and the same once more. */
async function storing(
  database: BenchDatabase,
  shape: LedgerShape,
  file: string,
): Promise<{ lines: BenchLine[]; floorS: number }> {
  const [ours, floor]: Times[] = [
    { first: [], again: [] },
    { first: [], again: [] },
  ]
  if (ours === undefined || floor === undefined) throw new Error('nothing to measure with')
  for (let round = 0; round < ROUNDS; round += 1) {
    const runId = await database.freshRun()
    await writeRowsFile(shape, runId, file)
    floor.first.push(await secondsOf(() => database.psql(floorScript(file))))
    floor.again.push(await secondsOf(() => database.psql(floorScript(file))))
    const ourRunId = await database.freshRun()
    ours.first.push(await storeAll(database, shape, ourRunId))
    ours.again.push(await storeAll(database, shape, ourRunId))
    if (median(floor.first) > SHORT_S) break
  }
  const line = (what: string, measured: number[], against: number[]): BenchLine => {
    const ratio = median(measured) / median(against)
    return {
      what: `${shape.rows} rows stored ${what}, against psql \\copy and upsert`,
      measured: inSeconds(median(measured)),
      floor: inSeconds(median(against)),
      ratio,
      bar: `≤ ${STORE_RATIO_MAX} ×`,
      met: ratio <= STORE_RATIO_MAX,
    }
  }
  return {
    lines: [
      line('for the first time', ours.first, floor.first),
      line('again, unchanged', ours.again, floor.again),
    ],
    floorS: median(floor.first),
  }
}

/** Seconds in the door for rows in bulk; making the rows is not counted. */
async function storeAll(
  { connection: { db } }: BenchDatabase,
  shape: LedgerShape,
  runId: number,
): Promise<number> {
  let seconds = 0
  const batch = { entity: ENTITY, runId, changeNumber: 1 }
  for (const rows of parsedRows(shape, BATCH_ROWS)) {
    seconds += await secondsOf(() =>
      db.transaction((tx) => saveBalanceTransactions(tx, batch, rows)),
    )
  }
  return seconds
}

interface FirstRun {
  readonly seconds: number
  readonly drainS: number
  readonly peakMb: number
}

/** The command as a user runs it, on an empty database, and the list read without a look at it. */
async function firstRun(
  database: BenchDatabase,
  folder: string,
  shape: LedgerShape,
): Promise<FirstRun> {
  const provider = await startProvider(shape)
  try {
    await database.freshRun()
    const drainS = await secondsOf(() => drain(provider.url))
    const env = {
      ALMA_API_KEY: 'sk_test_bench',
      ALMA_API_URL: provider.url,
      DATABASE_URL: database.url,
      DATA_DIR: path.join(folder, `var-${shape.rows}`),
      BANK_INBOX: path.join(folder, 'inbox'),
    }
    let peakMb = 0
    const seconds = await secondsOf(async () => {
      peakMb = await reconcileOnce(env)
    })
    return { seconds, drainS, peakMb }
  } finally {
    await provider.stop()
  }
}

/** @returns the peak of the process' memory in MB. */
async function reconcileOnce(settings: Readonly<Record<string, string>>): Promise<number> {
  const { PATH = '' } = process.env
  const child = spawn(
    process.execPath,
    ['--import', PEAK, path.join(CHECKOUT, 'jobs', 'start.js'), ...RECONCILE],
    { cwd: CHECKOUT, env: { PATH, ...settings }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code]: unknown[] = await once(child, 'close')
  const peak = /^peak (\d+) kB$/m.exec(said)?.[1]
  if (code !== 0 || peak === undefined) {
    throw new Error(`reconcile ended with ${String(code)}: ${said.slice(-2_000)}`)
  }
  return Number(peak) / 1024
}

function runLine(rows: number, { seconds, drainS }: FirstRun, storeFloorS: number): BenchLine {
  const floorS = drainS + storeFloorS
  const ratio = seconds / floorS
  return {
    what: `first reconcile over ${rows} rows, against the list drained and psql`,
    measured: inSeconds(seconds),
    floor: `${inSeconds(floorS)} (${inSeconds(drainS)} + ${inSeconds(storeFloorS)})`,
    ratio,
    bar: `≤ ${RUN_RATIO_MAX} ×`,
    met: ratio <= RUN_RATIO_MAX,
  }
}

function memoryLine(rows: number, small: FirstRun, whole: FirstRun): BenchLine {
  return {
    what: `peak memory of that first run, against ${Math.min(rows, SMALL_ROWS)} rows`,
    measured: `${whole.peakMb.toFixed(0)} MB`,
    floor: `${small.peakMb.toFixed(0)} MB`,
    ratio: whole.peakMb / small.peakMb,
    bar: `≤ ${GROWTH_MB_MAX} MB more, and under ${PEAK_MB_MAX} MB`,
    met: whole.peakMb - small.peakMb <= GROWTH_MB_MAX && whole.peakMb < PEAK_MB_MAX,
  }
}
