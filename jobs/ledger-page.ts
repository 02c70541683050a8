/** What one page of the provider's ledger means for what is stored. Pure. */
import { isDeepStrictEqual } from 'node:util'
import {
  type BalanceTransactionChange,
  isRawPurged,
  type StoredBalanceTransaction,
} from '../db/balance-transactions.ts'
import type { LedgerRange, RangeFloor } from '../db/ledger-ranges.ts'
import type { BalanceTransaction } from '../src/domain/balance-transaction.ts'
import type { Day, EpochSeconds } from '../src/domain/day.ts'
import type { LedgerPage } from '../src/provider/balance-transactions.ts'
import type { LedgerRow } from '../src/provider/wire.ts'

/** A part of the list without a gap: ids below `belowId` (null: from the newest) down to and including `fromId` (null: to the oldest). */
export interface Stretch {
  readonly belowId: string | null
  readonly fromId: string | null
}

export function isWithin({ belowId, fromId }: Stretch, id: string): boolean {
  return (belowId === null || id < belowId) && (fromId === null || id >= fromId)
}

/** Rows of a page that are taken, and what the page says of the list. */
export interface TakenPage {
  readonly rows: readonly LedgerRow[]
  /** What the rows prove; null if nothing was taken and nothing is proved. */
  readonly stretch: Stretch | null
  readonly floor: RangeFloor
}

/**
 * Leaves out rows that are older than the back-fill shall reach, unless they are known already.
 * @param sinceS null: everything is taken.
 */
export function takePage(
  page: LedgerPage,
  afterId: string | null,
  sinceS: EpochSeconds | null,
  ranges: readonly LedgerRange[],
): TakenPage {
  const isKnown = (id: string): boolean =>
    ranges.some(({ topId, bottomId }) => bottomId <= id && id <= topId)
  const isWanted = ({ parsed }: LedgerRow): boolean =>
    sinceS === null || parsed.createdS >= sinceS || isKnown(parsed.id)
  const kept = page.rows.findLastIndex(isWanted) + 1
  const rows = page.rows.slice(0, kept)
  const lastId = rows.at(-1)?.parsed.id ?? afterId
  if (sinceS !== null && kept < page.rows.length) {
    return {
      rows,
      stretch: lastId === null ? null : { belowId: afterId, fromId: lastId },
      floor: { floor: 'since', floorS: sinceS },
    }
  }
  return {
    rows,
    stretch: { belowId: afterId, fromId: page.hasMore ? lastId : null },
    floor: { floor: page.hasMore ? 'open' : 'end', floorS: null },
  }
}

/** What a page shows from a row on upwards, where others read from that row on downwards. */
export function cutBelow({ rows, stretch }: TakenPage, id: string): TakenPage {
  return {
    rows: rows.filter(({ parsed }) => parsed.id >= id),
    stretch: stretch === null ? null : { ...stretch, fromId: id },
    floor: { floor: 'open', floorS: null },
  }
}

/** True if a row that is stored may lie in the stretch: whatever is stored lies in a known range. */
export function isKnownSomewhere(
  ranges: readonly LedgerRange[],
  { belowId, fromId }: Stretch,
): boolean {
  return ranges.some(
    ({ topId, bottomId }) =>
      (belowId === null || bottomId < belowId) && (fromId === null || topId >= fromId),
  )
}

/**
 * The known ranges with what a page adds: one wider range in place of those that its stretch touches.
 * @returns all ranges afterwards, newest first; the same if the page holds no row to tie a range to.
 */
export function mergeRanges(
  ranges: readonly LedgerRange[],
  { rows, stretch, floor }: TakenPage,
): readonly LedgerRange[] {
  const topId = stretch?.belowId ?? rows[0]?.parsed.id
  const bottomId = stretch?.fromId ?? rows.at(-1)?.parsed.id ?? stretch?.belowId
  if (stretch === null || topId === undefined || bottomId === undefined || bottomId === null)
    return ranges
  let range: LedgerRange = { topId, bottomId, ...floor }
  const rest: LedgerRange[] = []
  for (const known of ranges) {
    const touches =
      known.bottomId <= range.topId && (stretch.fromId === null || known.topId >= bottomId)
    if (!touches) {
      rest.push(known)
      continue
    }
    const goesDeeper = known.bottomId < range.bottomId
    const sameDepth = known.bottomId === range.bottomId
    const floorOf =
      range.floor === 'end' || !(goesDeeper || (sameDepth && range.floor === 'open'))
        ? range
        : known
    range = {
      topId: known.topId > range.topId ? known.topId : range.topId,
      bottomId: goesDeeper ? known.bottomId : range.bottomId,
      ...(floorOf.floor === 'since'
        ? { floor: floorOf.floor, floorS: floorOf.floorS }
        : { floor: floorOf.floor, floorS: null }),
    }
  }
  return [...rest, range].sort((a, b) => (a.topId < b.topId ? 1 : -1))
}

/** What has to be written for a page. */
export interface PageOutcome {
  /** New rows, and stored rows of which anything differs. */
  readonly toSave: readonly LedgerRow[]
  readonly changes: readonly BalanceTransactionChange[]
  readonly vanishedIds: readonly string[]
  readonly newRows: number
  readonly changedRows: number
  /** True if one of the new rows is a payout's own: rows read earlier may be in it by now. */
  readonly hasNewPayout: boolean
  /** True if the page lacks a stored row or shows an older state of one. */
  readonly isDoubtful: boolean
  /** True if a stored row changed in what it is found by, so that its old place is not known any more. */
  readonly isElsewhere: boolean
}

/** @param stored all stored rows of the stretch that the page covers. */
export function comparePage(
  rows: readonly LedgerRow[],
  stored: readonly StoredBalanceTransaction[],
  asOf: Day,
): PageOutcome {
  const storedById = new Map(stored.map((row) => [row.id, row]))
  const toSave: LedgerRow[] = []
  const changes: BalanceTransactionChange[] = []
  let newRows = 0
  let hasNewPayout = false
  let isOlder = false
  let isElsewhere = false
  for (const row of rows) {
    const before = storedById.get(row.parsed.id)
    storedById.delete(row.parsed.id)
    if (before === undefined) {
      newRows += 1
      hasNewPayout ||= row.parsed.kind === 'from_payout'
      toSave.push(row)
    } else if (differs(before, row)) {
      toSave.push(row)
      changes.push(...changesOf(before, row.parsed, asOf))
      isOlder ||= (row.parsed.updatedS ?? 0) < (before.updatedS ?? 0)
      isElsewhere ||= PLACE_FIELDS.some(
        (field) => before[field] !== null && before[field] !== row.parsed[field],
      )
    }
  }
  const vanishedIds = [...storedById.values()]
    .filter((row) => row.vanishedRunId === null)
    .map(({ id }) => id)
  for (const transactionId of vanishedIds) {
    changes.push({ transactionId, field: 'vanished', before: null, after: null, seenAsOf: asOf })
  }
  return {
    toSave,
    changes,
    vanishedIds,
    newRows,
    changedRows: toSave.length - newRows,
    hasNewPayout,
    isDoubtful: isOlder || vanishedIds.length > 0,
    isElsewhere,
  }
}

function differs(
  { raw, vanishedRunId, ...before }: StoredBalanceTransaction,
  row: LedgerRow,
): boolean {
  return (
    vanishedRunId !== null ||
    !isDeepStrictEqual(before, row.parsed) ||
    // What was purged on purpose must not come back, nor count as a change.
    !(isRawPurged(raw) || isDeepStrictEqual(raw, row.raw))
  )
}

/** What sums and joins find a row by, but for the payout that it is in: a move of that is recorded. */
const PLACE_FIELDS = ['createdS', 'kind', 'currency', 'paymentId', 'refundId', 'payoutId'] as const

/** Fields of which any change is told. */
const TOLD_FIELDS = [
  'amountMinor',
  'feeMinor',
  'netMinor',
  'currency',
  'kind',
  'paymentId',
  'refundId',
] as const

/** Fields that are filled in the normal course: only a change of what was filled is told. */
const TOLD_ONCE_FILLED = ['includedInPayoutId', 'payoutId'] as const

function changesOf(
  before: StoredBalanceTransaction,
  after: BalanceTransaction,
  seenAsOf: Day,
): BalanceTransactionChange[] {
  const transactionId = before.id
  const changes: BalanceTransactionChange[] = []
  if (before.vanishedRunId !== null) {
    changes.push({ transactionId, field: 'returned', before: null, after: null, seenAsOf })
  }
  for (const field of [...TOLD_FIELDS, ...TOLD_ONCE_FILLED]) {
    if (before[field] === after[field]) continue
    const isFilling = TOLD_ONCE_FILLED.some((each) => each === field) && before[field] === null
    if (isFilling) continue
    changes.push({
      transactionId,
      field,
      before: before[field]?.toString() ?? null,
      after: after[field]?.toString() ?? null,
      seenAsOf,
    })
  }
  return changes
}
