import { groupBy } from './collections.ts'
import type { Day } from './day.ts'
import type { BrokenPin } from './deposits/pinned.ts'
import type { RevokedMatch } from './facts.ts'
import { absolute, type Currency, sumOf } from './money.ts'
import { type Period, periodContains } from './period.ts'
import type {
  DiscrepancyStatus,
  OpenItemRow,
  Reconciliation,
  SettlementRow,
} from './reconciliation.ts'

/**
 * How a period went for one entity in one currency. Everything is about the payouts that were sent
 * in the period, but for what is open, which is about all that the report leaves open. Made again
 * whenever the report is: a period gets better as its payouts arrive.
 */
export interface PeriodMetrics {
  readonly entity: string
  readonly currency: Currency
  /** Payouts sent in the period: the sum of the next four. */
  readonly payouts: number
  /** Whose deposit a rule found. */
  readonly matchedByRule: number
  /** Whose deposit a person named (`decide match`). */
  readonly matchedByDecision: number
  /** That only wait: their window is not over, or statements do not reach its end. */
  readonly inTransit: number
  /** Missing, of another amount, ambiguous, sent back or elsewhere. */
  readonly inDiscrepancy: number
  /**
   * TARGET business days from payout to deposit within which at least half of the matched payouts
   * had arrived; null where none is matched.
   */
  readonly medianDaysToClear: number | null
  /** The same of the payout that took longest. */
  readonly worstDaysToClear: number | null
  /** The earliest day of anything open: a discrepancy, a payout, row or refund that waits; null: nothing is. */
  readonly oldestOpenSince: Day | null
  /** Calendar days from then to the day that counted as today. */
  readonly oldestOpenDays: number | null
  /** Its id, as `explain` takes it: of several of one day the first by name. */
  readonly oldestOpenId: string | null
  /** Sum of the absolute residuals (net of the rows − payout), so that two errors never cancel out. */
  readonly residualMinor: bigint
  /** Payouts that came after their window, within LATE_WINDOW_DAYS. */
  readonly lateDeposits: number
  /** Payouts whose match a report had named and that lost it since, to a fact or to a decision. */
  readonly corrections: number
}

/** What metrics are counted in: a week, a month, or days of somebody's choosing. */
export type PeriodSpan = 'week' | 'month' | 'range'

/** Metrics with the period that they are of. */
export interface MetricsOfPeriod extends PeriodMetrics {
  readonly period: Period
  /** The day that counted as today when they were made. */
  readonly asOf: Day
}

export function spanOf({ label }: Period): PeriodSpan {
  if (label.includes('_')) return 'range'
  return label.includes('W') ? 'week' : 'month'
}

/**
 * Metrics of each entity in each currency in which it has a proof or something open, by entity and
 * currency in order.
 * @param revoked ties that reports before this one had given up.
 */
export function metricsOf(
  reconciliation: Reconciliation & { readonly brokenPins: readonly BrokenPin[] },
  revoked: readonly RevokedMatch[],
): PeriodMetrics[] {
  const { summary, settlements, discrepancies, period, brokenPins } = reconciliation
  const open = groupBy(openThings(reconciliation), blockOf)
  const sent = groupBy(
    settlements.filter(({ createdDay }) => periodContains(period, createdDay)),
    blockOf,
  )
  const late = groupBy(
    discrepancies.filter(
      ({ code, since }) => code === 'deposit_late' && periodContains(period, since),
    ),
    blockOf,
  )
  const corrected = new Set(
    [...revoked, ...brokenPins.map(({ pin }) => pin)].flatMap(({ entity, payoutIds }) =>
      payoutIds.map((payoutId) => `${entity}\u0000${payoutId}`),
    ),
  )
  const blocks = new Map(
    [...summary, ...[...open.values()].flat()].map((one) => [
      blockOf(one),
      { entity: one.entity, currency: one.currency },
    ]),
  )
  return [...blocks]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([block, { entity, currency }]) => ({
      entity,
      currency,
      ...ofPayouts(sent.get(block) ?? [], corrected),
      ...oldest(open.get(block) ?? []),
      lateDeposits: late.get(block)?.length ?? 0,
    }))
}

function blockOf({ entity, currency }: { readonly entity: string; readonly currency: Currency }) {
  return `${entity}\u0000${currency}`
}

function ofPayouts(rows: readonly SettlementRow[], corrected: ReadonlySet<string>) {
  const matched = rows.filter(({ status }) => status === 'matched')
  const byDecision = matched.filter(({ rule }) => rule === 'manual').length
  const inTransit = rows.filter(({ status }) => status === 'in_transit').length
  const days = matched.flatMap(({ lagDays }) => lagDays ?? []).toSorted((a, b) => a - b)
  return {
    payouts: rows.length,
    matchedByRule: matched.length - byDecision,
    matchedByDecision: byDecision,
    inTransit,
    inDiscrepancy: rows.length - matched.length - inTransit,
    medianDaysToClear: days[Math.ceil(days.length / 2) - 1] ?? null,
    worstDaysToClear: days.at(-1) ?? null,
    residualMinor: sumOf(rows.map(({ residualMinor }) => absolute(residualMinor))),
    corrections: rows.filter(({ entity, payoutId }) => corrected.has(`${entity}\u0000${payoutId}`))
      .length,
  }
}

interface OpenThing extends Pick<OpenItemRow, 'id' | 'entity' | 'currency' | 'since' | 'ageDays'> {}

const OPEN: ReadonlySet<DiscrepancyStatus> = new Set(['new', 'open', 'reopened'])

function openThings({ discrepancies, openItems }: Reconciliation): OpenThing[] {
  return [
    ...discrepancies
      .filter(({ status }) => OPEN.has(status))
      .map(({ discrepancyId, ...row }) => ({ ...row, id: discrepancyId })),
    ...openItems,
  ]
}

function oldest(things: readonly OpenThing[]) {
  const [first] = things.toSorted((a, b) =>
    a.since === b.since ? (a.id < b.id ? -1 : 1) : a.since < b.since ? -1 : 1,
  )
  return {
    oldestOpenSince: first?.since ?? null,
    oldestOpenDays: first?.ageDays ?? null,
    oldestOpenId: first?.id ?? null,
  }
}

/**
 * Share of the payouts sent that were matched without a human, in thousandths, rounded down so that
 * 1000 means all of them; null where none was sent.
 */
export function thousandthsWithoutHuman({
  payouts,
  matchedByRule,
}: Pick<PeriodMetrics, 'payouts' | 'matchedByRule'>): number | null {
  return payouts === 0 ? null : Math.floor((matchedByRule * 1000) / payouts)
}
