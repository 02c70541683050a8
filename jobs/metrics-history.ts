/** How the periods before a report's own went, for the report's page. */
import type { DbOrTx } from '../db/client.ts'
import { loadMetrics } from '../db/metrics.ts'
import type { Day } from '../src/domain/day.ts'
import { type MetricsOfPeriod, type PeriodMetrics, spanOf } from '../src/domain/metrics.ts'
import type { Period } from '../src/domain/period.ts'

/** Periods shown side by side: a quarter of weeks, or a year of months. */
export const PERIODS_SHOWN = 12

/** Entities whose history is looked up for one page; it would be too long to be looked at otherwise. */
const ENTITIES_MAX = 20

/**
 * The last periods of the report's span up to the report's own, which is told by its fresh metrics
 * and not by what is stored of it.
 */
export async function historyWith(
  db: DbOrTx,
  {
    period,
    asOf,
    metrics,
  }: {
    readonly period: Period
    readonly asOf: Day
    readonly metrics: readonly PeriodMetrics[]
  },
): Promise<MetricsOfPeriod[]> {
  const entities = [...new Set(metrics.map(({ entity }) => entity))].slice(0, ENTITIES_MAX)
  const history: MetricsOfPeriod[] = []
  for (const entity of entities) {
    const wanted = { entity, span: spanOf(period), upTo: period.last, periodsMax: PERIODS_SHOWN }
    const before = (await loadMetrics(db, wanted)).filter(
      (one) => one.period.label !== period.label,
    )
    const labels = [...new Set(before.map((one) => one.period.label))].slice(1 - PERIODS_SHOWN)
    const own = metrics.filter((one) => one.entity === entity)
    history.push(
      ...before.filter((one) => labels.includes(one.period.label)),
      ...own.map((one) => ({ ...one, period, asOf })),
    )
  }
  return history
}
