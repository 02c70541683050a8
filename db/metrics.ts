/** How each period went, as its report was written last. */
import { and, asc, desc, eq, inArray, lte, notInArray } from 'drizzle-orm'
import { groupBy } from '../src/domain/collections.ts'
import { type Day, parseDay } from '../src/domain/day.ts'
import {
  type MetricsOfPeriod,
  type PeriodMetrics,
  type PeriodSpan,
  spanOf,
} from '../src/domain/metrics.ts'
import { parsePeriod, type Period } from '../src/domain/period.ts'
import { bulkUpsert } from './bulk.ts'
import type { DbOrTx, Tx } from './client.ts'
import { periodMetrics as kept } from './schema.ts'

export interface ReportMetrics {
  readonly runId: number
  readonly period: Period
  readonly asOf: Day
  /** Of every entity that the report is about. */
  readonly metrics: readonly PeriodMetrics[]
}

const figures = {
  payouts: kept.payouts,
  matchedByRule: kept.matchedByRule,
  matchedByDecision: kept.matchedByDecision,
  inTransit: kept.inTransit,
  inDiscrepancy: kept.inDiscrepancy,
  medianDaysToClear: kept.medianDaysToClear,
  worstDaysToClear: kept.worstDaysToClear,
  oldestOpenSince: kept.oldestOpenSince,
  oldestOpenDays: kept.oldestOpenDays,
  oldestOpenId: kept.oldestOpenId,
  residualMinor: kept.residualMinor,
  lateDeposits: kept.lateDeposits,
  corrections: kept.corrections,
}

const FIGURES = Object.keys(figures) as readonly (keyof typeof figures)[]

/** Keeps the metrics of a report in place of those of an earlier report of the same period. */
export async function saveMetrics(
  tx: Tx,
  { runId, period, asOf, metrics }: ReportMetrics,
): Promise<void> {
  for (const [entity, own] of groupBy(metrics, (one) => one.entity)) {
    // A currency in which something was open, and nothing is any more.
    const currencies = own.map(({ currency }) => currency)
    await tx
      .delete(kept)
      .where(
        and(
          eq(kept.entity, entity),
          eq(kept.period, period.label),
          notInArray(kept.currency, currencies),
        ),
      )
  }
  const { label, first: firstDay, last: lastDay } = period
  const about = { period: label, span: spanOf(period), firstDay, lastDay, asOf, runId }
  await bulkUpsert(
    tx,
    kept,
    metrics.map((one) => ({ ...about, ...one })),
    {
      conflict: ['entity', 'period', 'currency'],
      update: ['asOf', 'runId', ...FIGURES],
      updateOnlyWithOthers: ['runId'],
    },
  )
}

export interface MetricsWanted {
  readonly entity: string
  readonly span: PeriodSpan
  /** The last day of the latest period wanted; null: whichever is the latest. */
  readonly upTo: Day | null
  /** How many periods at most: the latest ones. */
  readonly periodsMax: number
}

/** Metrics of an entity's periods of one span, the earliest first, currencies in order. */
export async function loadMetrics(
  db: DbOrTx,
  { entity, span, upTo, periodsMax }: MetricsWanted,
): Promise<MetricsOfPeriod[]> {
  const latest = await db
    .selectDistinct({ period: kept.period, lastDay: kept.lastDay })
    .from(kept)
    .where(
      and(
        eq(kept.entity, entity),
        eq(kept.span, span),
        upTo === null ? undefined : lte(kept.lastDay, upTo),
      ),
    )
    .orderBy(desc(kept.lastDay), desc(kept.period))
    .limit(periodsMax)
  const periods = latest.map(({ period }) => period)
  const found = await db
    .select({
      entity: kept.entity,
      currency: kept.currency,
      period: kept.period,
      asOf: kept.asOf,
      ...figures,
    })
    .from(kept)
    .where(and(eq(kept.entity, entity), inArray(kept.period, periods)))
    .orderBy(asc(kept.lastDay), asc(kept.period), asc(kept.currency))
  return found.map(({ period, asOf, oldestOpenSince, ...rest }) => ({
    ...rest,
    period: parsePeriod(period),
    asOf: parseDay(asOf),
    oldestOpenSince: oldestOpenSince === null ? null : parseDay(oldestOpenSince),
  }))
}
