/** The memory that a first run takes, whatever the number of rows. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { BenchLine, Benchmark } from './benchmark.ts'
import { type FirstRun, firstRun } from './first-run.ts'
import { openBenchDatabase, shapeOf } from './ledger-floors.ts'

const SMALL_ROWS = 100_000
const PEAK_MB_MAX = 250
const GROWTH_MB_MAX = 30

export const memory: Benchmark = {
  name: 'memory',
  run: async ({ rows }) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-memory-'))
    const database = await openBenchDatabase()
    try {
      const small = await firstRun(database, folder, shapeOf(Math.min(rows, SMALL_ROWS)))
      const whole = await firstRun(database, folder, shapeOf(rows))
      return [memoryLine(rows, small, whole)]
    } finally {
      await database.stop()
      await rm(folder, { recursive: true, force: true })
    }
  },
}

function memoryLine(rows: number, small: FirstRun, whole: FirstRun): BenchLine {
  return {
    what: `peak memory of a first run over ${rows} rows, against ${Math.min(rows, SMALL_ROWS)} rows`,
    measured: `${whole.peakMb.toFixed(0)} MB`,
    floor: `${small.peakMb.toFixed(0)} MB`,
    ratio: whole.peakMb / small.peakMb,
    bar: `≤ ${GROWTH_MB_MAX} MB more, and under ${PEAK_MB_MAX} MB`,
    met: whole.peakMb - small.peakMb <= GROWTH_MB_MAX && whole.peakMb < PEAK_MB_MAX,
  }
}
