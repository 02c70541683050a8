/**
 * The ledger on its way into Postgres: rows stored in bulk against `psql`, and the whole first run
 * against the sum of what it cannot do without.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { saveBalanceTransactions } from '../../db/balance-transactions.ts'
import type { BenchLine, Benchmark } from './benchmark.ts'
import { type FirstRun, firstRun } from './first-run.ts'
import type { LedgerShape } from './generated-ledger.ts'
import {
  type BenchDatabase,
  ENTITY,
  floorScript,
  inSeconds,
  median,
  openBenchDatabase,
  parsedRows,
  secondsOf,
  shapeOf,
  writeRowsFile,
} from './ledger-floors.ts'

/** As many rows as a run stores at once. */
const BATCH_ROWS = 5_000
const STORE_RATIO_MAX = 1.25
const RUN_RATIO_MAX = 2
const SHORT_S = 10
const ROUNDS = 3

export const ledger: Benchmark = {
  name: 'ledger',
  run: async ({ rows }) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-ledger-'))
    const database = await openBenchDatabase()
    try {
      const stored = await storing(database, shapeOf(rows), path.join(folder, 'rows.copy'))
      const whole = await firstRun(database, folder, shapeOf(rows))
      return [...stored.lines, runLine(rows, whole, stored.floorS)]
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
