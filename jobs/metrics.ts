/** `metrics`: how the last periods went, from what their reports left; nothing is judged anew. */
import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { DbOrTx } from '../db/client.ts'
import { loadMetrics } from '../db/metrics.ts'
import { readOnly } from '../db/read-only.ts'
import { metricsJson, metricsPrometheus, metricsText } from '../reports/metrics.ts'
import type { Config } from '../src/config.ts'
import type { MetricsOfPeriod, PeriodSpan } from '../src/domain/metrics.ts'
import { EXIT, type ExitCode, UsageFault } from '../src/errors.ts'
import type { CommandIo } from './command.ts'
import { useDatabase } from './compose.ts'
import { PERIODS_SHOWN } from './metrics-history.ts'

export interface MetricsFlags {
  /** Null: every entity of the configuration. */
  readonly entity: string | null
  readonly json: boolean
  /** Absolute path of the Prometheus text file to write; null: none. */
  readonly textfile: string | null
}

export async function metricsCommand(
  config: Config,
  { entity, json, textfile }: MetricsFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const { db } = await useDatabase(config, io)
  const entities = config.entities
    .map(({ name }) => name)
    .filter((name) => entity === null || name === entity)
  const metrics = await readOnly(db, (tx) => loadAll(tx, entities))
  if (textfile !== null) {
    await writeWhole(textfile, metricsPrometheus(metrics, config.businessTimeZone))
    io.progress.note(
      `${metrics.length} ${metrics.length === 1 ? 'set' : 'sets'} of metrics written to ${textfile}`,
    )
  }
  io.out(json ? metricsJson(metrics) : metricsText(metrics))
  return EXIT.done
}

const SPANS: readonly PeriodSpan[] = ['week', 'month', 'range']

async function loadAll(db: DbOrTx, entities: readonly string[]): Promise<MetricsOfPeriod[]> {
  const found: MetricsOfPeriod[] = []
  for (const entity of entities) {
    for (const span of SPANS) {
      const wanted = { entity, span, upTo: null, periodsMax: PERIODS_SHOWN }
      found.push(...(await loadMetrics(db, wanted)))
    }
  }
  return found
}

/**
 * The file appears whole or not at all, whoever reads its folder meanwhile. Its temporary name is none
 * that a collector of `*.prom` would read.
 */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o644)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new UsageFault(`--textfile: the folder ${dirname(path)} does not exist`, {
        hint: 'Make it, or name a file in the folder that the node exporter reads (--collector.textfile.directory).',
        cause: error,
      })
    }
    throw error
  }
}
