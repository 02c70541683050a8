/**
 * How a ledger is paged through: a first back-fill at 40 ms a page by one window and by four, and the
 * pages that a night asks for against the fewest that a plan made with full knowledge would.
 */
import { syncLedger, type LedgerSync } from '../../jobs/sync-ledger.ts'
import { parseDay } from '../../src/domain/day.ts'
import { silentProgress } from '../../src/progress.ts'
import { createProviderClient } from '../../src/provider/client.ts'
import type { BenchLine, Benchmark } from './benchmark.ts'
import { isOpenAt, type LedgerShape } from './generated-ledger.ts'
import {
  type BenchDatabase,
  ENTITY,
  inSeconds,
  openBenchDatabase,
  secondsOf,
  shapeOf,
  startProvider,
} from './ledger-floors.ts'

const PAGE_ROWS = 100
const LATENCY_MS = 40
const LATENT_ROWS_MAX = 150_000
const FASTER_MIN = 3.5
const OPEN_ROWS_MAX = 200_000
const OPEN_SHARES = [0.01, 0.05, 0.2]
const PAGES_RATIO_MAX = 1.05
/** A head page to begin with, and one to see what came meanwhile. */
const HEAD_PAGES = 2

export const paging: Benchmark = {
  name: 'paging',
  run: async ({ rows }) => {
    const database = await openBenchDatabase()
    try {
      const lines = [await windowsLine(database, shapeOf(Math.min(rows, LATENT_ROWS_MAX)))]
      for (const share of OPEN_SHARES) {
        lines.push(
          await openRowsLine(
            database,
            shapeOf(Math.min(rows, OPEN_ROWS_MAX), { openShare: share }),
          ),
        )
      }
      return lines
    } finally {
      await database.stop()
    }
  },
}

async function windowsLine(database: BenchDatabase, shape: LedgerShape): Promise<BenchLine> {
  const provider = await startProvider(shape, LATENCY_MS)
  try {
    const timeOf = async (windows: number): Promise<number> => {
      const runId = await database.freshRun()
      return secondsOf(async () => {
        expectWhole(shape, await sync(database, provider.url, runId, windows))
      })
    }
    const [four, one] = [await timeOf(4), await timeOf(1)]
    return {
      what: `first back-fill of ${shape.rows} rows at ${LATENCY_MS} ms a page: 4 windows against 1`,
      measured: inSeconds(four),
      floor: inSeconds(one),
      ratio: one / four,
      bar: `≥ ${FASTER_MIN} × faster`,
      met: one / four >= FASTER_MIN,
    }
  } finally {
    await provider.stop()
  }
}

async function sync(
  { connection: { db } }: BenchDatabase,
  apiUrl: string,
  runId: number,
  windows?: number,
): Promise<LedgerSync> {
  const client = createProviderClient({
    apiUrl,
    apiKey: 'sk_test_bench',
    apiKeySetting: 'ALMA_API_KEY',
  })
  return syncLedger(
    { db, client, progress: silentProgress },
    {
      entity: ENTITY,
      runId,
      asOf: parseDay('2023-12-31'),
      currency: 'EUR',
      since: null,
      reread: null,
      ...(windows === undefined ? {} : { windows }),
    },
  )
}

function expectWhole({ rows }: LedgerShape, { newRows, complete }: LedgerSync): void {
  if (newRows !== rows || !complete) throw new Error(`${newRows} of ${rows} rows were stored`)
}

/** The second run: nothing is new, and every open row has to be looked at. */
async function openRowsLine(database: BenchDatabase, shape: LedgerShape): Promise<BenchLine> {
  const provider = await startProvider(shape)
  try {
    const runId = await database.freshRun()
    expectWhole(shape, await sync(database, provider.url, runId))
    const { requests } = await sync(database, provider.url, runId)
    const least = leastPages(shape)
    const ratio = requests / least
    return {
      what: `a night's pages over ${shape.rows} rows, ${shape.openShare * 100} % open, against a perfect plan`,
      measured: `${requests} pages`,
      floor: `${least} pages`,
      ratio,
      bar: `≤ ${PAGES_RATIO_MAX} ×`,
      met: ratio <= PAGES_RATIO_MAX,
    }
  } finally {
    await provider.stop()
  }
}

/** Each page from the topmost open row that is not shown yet: no cover by pages of this length is smaller. */
function leastPages(shape: LedgerShape): number {
  let pages = HEAD_PAGES
  let shownDownTo = shape.rows - PAGE_ROWS
  for (let position = shape.rows - 1; position >= 0; position -= 1) {
    if (position >= shownDownTo || !isOpenAt(shape, position)) continue
    pages += 1
    shownDownTo = position - PAGE_ROWS + 1
  }
  return pages
}
