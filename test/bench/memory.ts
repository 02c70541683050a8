/** The memory that a first run takes, whatever the number of rows. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { BenchLine, Benchmark } from './benchmark.ts'
import { buildProgram, type FirstRun, firstRun } from './first-run.ts'
import { type BenchDatabase, LEDGER_DAYS, openBenchDatabase, shapeOf } from './ledger-floors.ts'

const SMALL_ROWS = 100_000
const PEAK_MB_MAX = 250
const GROWTH_MB_MAX = 30

/** A larger merchant has more sales in each day's payout, not more payouts. */
const daily = (rows: number) =>
  shapeOf(rows, { rowsPerPayout: Math.max(2, Math.round(rows / LEDGER_DAYS)) })

export const memory: Benchmark = {
  name: 'memory',
  run: async ({ rows }) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-memory-'))
    const database = await openBenchDatabase()
    await buildProgram()
    try {
      return [await daysLine(rows, database, folder), await payoutsLine(rows, database, folder)]
    } finally {
      await database.stop()
      await rm(folder, { recursive: true, force: true })
    }
  },
}

async function daysLine(rows: number, database: BenchDatabase, folder: string): Promise<BenchLine> {
  const few = Math.min(rows, SMALL_ROWS)
  const small = await firstRun(database, folder, daily(few))
  const whole = await firstRun(database, folder, daily(rows))
  return {
    what: `peak memory of a first run over ${rows} rows in ${LEDGER_DAYS} payouts, against ${few} rows in as many`,
    ...peaks(small, whole),
    bar: `≤ ${GROWTH_MB_MAX} MB more, and under ${PEAK_MB_MAX} MB`,
    met: whole.peakMb - small.peakMb <= GROWTH_MB_MAX && whole.peakMb < PEAK_MB_MAX,
  }
}

/** What grows is payouts that are open, each a row of the report: here all are, as no bank file is there. */
async function payoutsLine(
  rows: number,
  database: BenchDatabase,
  folder: string,
): Promise<BenchLine> {
  const few = Math.min(rows, SMALL_ROWS)
  const [shapeOfFew, shape] = [shapeOf(few), shapeOf(rows)]
  const small = await firstRun(database, folder, shapeOfFew)
  const whole = await firstRun(database, folder, shape)
  const payouts = Math.floor(rows / shape.rowsPerPayout)
  const more = payouts - Math.floor(few / shapeOfFew.rowsPerPayout)
  const kbEach = more === 0 ? 0 : ((whole.peakMb - small.peakMb) * 1024) / more
  return {
    what: `the same rows in ${payouts} payouts, all of them open: ${kbEach.toFixed(1)} kB for each more`,
    ...peaks(small, whole),
    bar: 'none',
    met: true,
  }
}

function peaks(small: FirstRun, whole: FirstRun): Pick<BenchLine, 'measured' | 'floor' | 'ratio'> {
  return {
    measured: `${whole.peakMb.toFixed(0)} MB`,
    floor: `${small.peakMb.toFixed(0)} MB`,
    ratio: whole.peakMb / small.peakMb,
  }
}
