/**
 * What became of a period's discrepancies since they were last mailed: what a reader of that mail does
 * not know yet.
 */
import { groupBy } from '../src/domain/collections.ts'
import type { Day } from '../src/domain/day.ts'
import type { Currency } from '../src/domain/money.ts'
import type { DiscrepancyRow } from '../src/domain/reconciliation.ts'

/** A discrepancy as a mailed report told of it. */
export interface MailedDiscrepancy {
  readonly entity: string
  readonly discrepancyId: string
  readonly code: string
  readonly status: string
  readonly currency: Currency
  /** As in `DiscrepancyRow`. */
  readonly differenceMinor: bigint | null
  readonly since: Day
  readonly explanation: string
}

/** The last mail about a period to one set of recipients, other than one that says what is known now. */
export interface LastMail {
  /** The day as of which its report was made; null: they were never mailed about this period. */
  readonly asOf: Day | null
  /** The entities that these recipients are told about. */
  readonly entities: readonly string[]
  /** All that the mailed report named, whatever its status. */
  readonly discrepancies: readonly MailedDiscrepancy[]
}

export type Change =
  | { readonly kind: 'new'; readonly row: DiscrepancyRow }
  /** Another amount, another explanation, or open again. */
  | { readonly kind: 'changed'; readonly row: DiscrepancyRow; readonly before: MailedDiscrepancy }
  /** Cleared by a fact or accepted by somebody. */
  | { readonly kind: 'settled'; readonly row: DiscrepancyRow }
  /** The report does not name it any more. */
  | { readonly kind: 'gone'; readonly before: MailedDiscrepancy }

/** Whether somebody still has to do something about a discrepancy. */
export function isOpenStatus(status: string): boolean {
  return status === 'new' || status === 'open' || status === 'reopened'
}

const ORDER: readonly Change['kind'][] = ['new', 'changed', 'settled', 'gone']

/**
 * New first, then what changed, was settled, or is gone; within each in the report's order. What was
 * settled when it was mailed already, and still is, is no change.
 */
export function changesSince(
  { entities, discrepancies: before }: LastMail,
  now: readonly DiscrepancyRow[],
): Change[] {
  const mailed = new Map(before.map((row) => [row.discrepancyId, row]))
  const own = now.filter(({ entity }) => entities.includes(entity))
  const named = new Set(own.map(({ discrepancyId }) => discrepancyId))
  const changes = [
    ...own.flatMap((row): Change[] => changeOf(row, mailed.get(row.discrepancyId))),
    ...before
      .filter(({ discrepancyId, status }) => !named.has(discrepancyId) && isOpenStatus(status))
      .map((row): Change => ({ kind: 'gone', before: row })),
  ]
  const byKind = groupBy(changes, ({ kind }) => kind)
  return ORDER.flatMap((kind) => byKind.get(kind) ?? [])
}

function changeOf(row: DiscrepancyRow, before: MailedDiscrepancy | undefined): Change[] {
  const isOpen = isOpenStatus(row.status)
  const wasOpen = before !== undefined && isOpenStatus(before.status)
  if (!isOpen) return before === undefined || wasOpen ? [{ kind: 'settled', row }] : []
  if (before === undefined) return [{ kind: 'new', row }]
  const isSame =
    wasOpen &&
    before.differenceMinor === row.differenceMinor &&
    before.explanation === row.explanation
  return isSame ? [] : [{ kind: 'changed', row, before }]
}
