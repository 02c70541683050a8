/** What is known of each ledger without a gap, and the walks that made it known. */
import { and, asc, desc, eq, inArray } from 'drizzle-orm'
import type { EpochSeconds } from '../src/domain/day.ts'
import { bulkUpsert } from './bulk.ts'
import type { DbOrTx, Tx } from './client.ts'
import { ledgerRanges, ledgerWalks } from './schema.ts'

/** Why nothing below the range is known: see `ledger_ranges.floor`. */
export type RangeFloor =
  | { readonly floor: 'open' | 'end'; readonly floorS: null }
  | { readonly floor: 'since'; readonly floorS: EpochSeconds }

/** A stretch of the ledger that is known without a gap. */
export type LedgerRange = { readonly topId: string; readonly bottomId: string } & RangeFloor

/** What one walk along the ledger fetched. Columns are explained in `schema.ts`. */
export interface LedgerWalk {
  readonly walkNumber: number
  readonly purpose: 'new' | 'backfill' | 'reread'
  readonly afterId: string | null
  readonly firstId: string | null
  readonly lastId: string | null
  readonly pages: number
  readonly rows: number
  readonly newRows: number
  readonly changedRows: number
  readonly vanishedRows: number
  /** `interrupted` while it goes on, and for good if the run is killed. */
  readonly ended: 'known' | 'end' | 'since' | 'reread' | 'interrupted'
}

/** Newest first; they never touch or overlap. */
export async function findLedgerRanges(db: DbOrTx, entity: string): Promise<LedgerRange[]> {
  const rows = await db
    .select({
      topId: ledgerRanges.topId,
      bottomId: ledgerRanges.bottomId,
      floor: ledgerRanges.floor,
      floorS: ledgerRanges.floorS,
    })
    .from(ledgerRanges)
    .where(eq(ledgerRanges.entity, entity))
    .orderBy(desc(ledgerRanges.topId))
  return rows.map(({ topId, bottomId, floor, floorS }) =>
    floor === 'since' && floorS !== null
      ? { topId, bottomId, floor, floorS }
      : { topId, bottomId, floor: floor === 'end' ? 'end' : 'open', floorS: null },
  )
}

/** Makes the stored ranges those of `after`, where `before` is what is stored. */
export async function saveLedgerRanges(
  tx: Tx,
  entity: string,
  before: readonly LedgerRange[],
  after: readonly LedgerRange[],
): Promise<void> {
  const kept = new Set(after.map(({ topId }) => topId))
  const gone = before.map(({ topId }) => topId).filter((topId) => !kept.has(topId))
  if (gone.length > 0) {
    await tx
      .delete(ledgerRanges)
      .where(and(eq(ledgerRanges.entity, entity), inArray(ledgerRanges.topId, gone)))
  }
  await bulkUpsert(
    tx,
    ledgerRanges,
    after.filter((range) => !before.includes(range)).map((range) => ({ entity, ...range })),
    { conflict: ['entity', 'topId'], update: ['bottomId', 'floor', 'floorS'] },
  )
}

/** Records walks, or how far they have come meanwhile. */
export async function saveLedgerWalks(
  db: DbOrTx,
  entity: string,
  runId: number,
  walks: readonly LedgerWalk[],
): Promise<void> {
  const rows = walks.map((walk) => ({ entity, runId, ...walk }))
  await bulkUpsert(db, ledgerWalks, rows, {
    conflict: ['entity', 'runId', 'walkNumber'],
    update: [
      'afterId',
      'firstId',
      'lastId',
      'pages',
      'rows',
      'newRows',
      'changedRows',
      'vanishedRows',
      'ended',
    ],
  })
}

/** The instant from which on the ledger is known, where `since` cut it off; null: from its beginning. */
export async function findKnownSince(db: DbOrTx, entity: string): Promise<number | null> {
  const [oldest] = await db
    .select({ floor: ledgerRanges.floor, floorS: ledgerRanges.floorS })
    .from(ledgerRanges)
    .where(eq(ledgerRanges.entity, entity))
    .orderBy(asc(ledgerRanges.bottomId))
    .limit(1)
  return oldest?.floor === 'since' ? oldest.floorS : null
}
