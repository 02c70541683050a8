/**
 * Brings the stored ledger of one entity up to date with the provider's list, and proves it.
 *
 * The list is newest first and can only be read downwards from a cursor. So what is known is kept
 * as ranges without a gap: a walk from the head goes down to the newest range, older gaps are walked
 * next, pages stored together with the ranges they extend. Rows that no payout has taken change
 * without moving in the list; they are visited again by jumping to the row just above them.
 */
import { findLedgerRanges, type LedgerRange, type LedgerWalk } from '../db/ledger-ranges.ts'
import type { EpochSeconds } from '../src/domain/day.ts'
import { UnavailableFault } from '../src/errors.ts'
import { fillGaps } from './ledger-gaps.ts'
import {
  ask,
  checkMerchant,
  emptyLedger,
  type Sync,
  type SyncLedgerArgs,
  type SyncLedgerDeps,
} from './ledger-session.ts'
import { visitRowsAgain } from './ledger-visits.ts'
import { createLedgerWriter } from './ledger-writer.ts'

/** Each round needs a payout that appeared during the round before, and payouts are daily. */
const ROUNDS_MAX = 8
/** Readers side by side on a long way: more would be faster still, but not polite. */
const WINDOWS_DEFAULT = 4

/** What a sync fetched and found. Rows that were visited twice count twice in `rows`. */
export interface LedgerSync {
  readonly walks: readonly LedgerWalk[]
  /** Pages asked of the provider, retries of the connection not counted. */
  readonly requests: number
  readonly rows: number
  readonly newRows: number
  readonly changedRows: number
  readonly vanishedRows: number
  /** True if everything is known from the newest row down to the oldest, or to `since`. */
  readonly complete: boolean
}

/**
 * A run that is killed anywhere is continued by the next one; what was stored is never lost.
 * @throws UnavailableFault if the provider fails or its list contradicts itself;
 * ConfigurationFault if the key is refused or belongs to another merchant than what is stored;
 * ControlTotalsFault if what was walked is not what is stored.
 */
export async function syncLedger(deps: SyncLedgerDeps, args: SyncLedgerArgs): Promise<LedgerSync> {
  const sync = openSync(deps, args, await findLedgerRanges(deps.db, args.entity))
  await walkNewRows(sync, `ledger of ${args.entity}`)
  await walkOlderGaps(sync)
  await visitRowsAgain(sync, args.reread)
  // Rows and payouts that appeared meanwhile. A payout that is new now may hold rows that were read
  // before it was made, so these are read again, until a round brings no payout.
  for (let rounds = 1; ; rounds += 1) {
    const hasNewPayout = await walkNewRows(sync, `ledger of ${args.entity}, what came meanwhile`)
    await walkOlderGaps(sync)
    if (!hasNewPayout) break
    if (rounds > ROUNDS_MAX) throw restless(args.entity)
    sync.visited = []
    await visitRowsAgain(sync, null)
  }
  return outcomeOf(sync)
}

function openSync(
  deps: SyncLedgerDeps,
  args: SyncLedgerArgs,
  ranges: readonly LedgerRange[],
): Sync {
  let lastTurn: Promise<unknown> = Promise.resolve()
  const sync: Sync = {
    ...deps,
    ...args,
    windows: args.windows ?? WINDOWS_DEFAULT,
    ranges,
    visited: [],
    walks: [],
    walksBegun: 0,
    requests: 0,
    merchantChecked: false,
    writer: createLedgerWriter(() => sync),
    inTurn: (work) => {
      const turn = lastTurn.then(work)
      lastTurn = turn.catch(() => undefined)
      return turn
    },
  }
  return sync
}

function outcomeOf(sync: Sync): LedgerSync {
  const total = (pick: (walk: LedgerWalk) => number): number =>
    sync.walks.reduce((sum, walk) => sum + pick(walk), 0)
  const [newest] = sync.ranges
  return {
    walks: sync.walks,
    requests: sync.requests,
    rows: total((walk) => walk.rows),
    newRows: total((walk) => walk.newRows),
    changedRows: total((walk) => walk.changedRows),
    vanishedRows: total((walk) => walk.vanishedRows),
    complete: newest === undefined || reaches(newest, sync.since),
  }
}

/** True if nothing below the range has to be fetched. */
function reaches(range: LedgerRange, sinceS: EpochSeconds | null): boolean {
  if (range.floor === 'since') return sinceS !== null && range.floorS <= sinceS
  return range.floor === 'end'
}

/**
 * From the newest row down to what is known.
 * @returns whether a payout was new.
 */
async function walkNewRows(sync: Sync, label: string): Promise<boolean> {
  const page = await ask(sync, null)
  await checkMerchant(sync, page)
  if (page.rows.length === 0 && sync.ranges.length > 0) throw emptyLedger(sync.entity)
  const first = { page, afterId: null }
  return fillGaps(sync, [{ purpose: 'new', afterId: null, first }], label)
}

/** Below each range that does not reach far enough, down to the next one. */
async function walkOlderGaps(sync: Sync): Promise<void> {
  const roundsMax = sync.ranges.length + 1
  for (let rounds = 0; ; rounds += 1) {
    const [newest] = sync.ranges
    if (newest === undefined || reaches(newest, sync.since)) return
    if (rounds > roundsMax) {
      throw new Error(`the older rows of ${sync.entity} were walked ${rounds} times without an end`)
    }
    const lowest = sync.ranges.findIndex((range) => reaches(range, sync.since))
    const ended = lowest === -1 ? sync.ranges : sync.ranges.slice(0, lowest)
    const gaps = ended.map(({ bottomId }) => ({ purpose: 'backfill', afterId: bottomId }) as const)
    await fillGaps(sync, gaps, `ledger of ${sync.entity}, older rows`)
  }
}

function restless(entity: string): UnavailableFault {
  return new UnavailableFault(
    `the ledger of ${entity} brought a new payout in each of ${ROUNDS_MAX} looks, one was expected to bring none`,
    { hint: 'Run the same command again later: what was read is stored.' },
  )
}
