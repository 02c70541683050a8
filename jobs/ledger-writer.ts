/**
 * Stores pages of the ledger while further ones are fetched: several pages in one transaction,
 * together with the ranges that they extend, so that a run that is killed loses what was not stored
 * yet and nothing else.
 */
import {
  findLedgerSpans,
  type LedgerSpan,
  markVanished,
  recordLedgerChanges,
  saveBalanceTransactions,
  type StoredBalanceTransaction,
} from '../db/balance-transactions.ts'
import { forgetProofs, takeChangeNumber } from '../db/change-numbers.ts'
import type { Tx } from '../db/client.ts'
import { saveLedgerRanges, saveLedgerWalks } from '../db/ledger-ranges.ts'
import { firstPlace } from '../src/domain/collections.ts'
import type { LedgerRow } from '../src/provider/wire.ts'
import {
  comparePage,
  isKnownSomewhere,
  mergeRanges,
  type PageOutcome,
  type Stretch,
  type TakenPage,
  takePage,
} from './ledger-page.ts'
import { addToWalk, ask, endless, type OpenWalk, type Sync, walkOf } from './ledger-session.ts'

/** What is stored at once while nothing hurries: little to lose, and little work for each batch. */
const BATCH_ROWS_MIN = 1_500
/** Rows that wait at most while others are being stored; with these they bound the memory. */
const BATCH_ROWS_MAX = 3_000
/** Rows compared with stored ones at once, which are in memory as well. */
const COMPARED_ROWS_MAX = 5_000
/** Pages in which a second look at one page must come to its end. */
const SECOND_LOOK_PAGES_MAX = 200

/** A page on its way to the database. */
export interface WalkedPage {
  readonly walk: OpenWalk
  readonly afterId: string | null
  readonly taken: TakenPage
  /** True for the first page of a range of its own, which later pages must find stored. */
  readonly beginsRange?: boolean
}

export interface LedgerWriter {
  /** Hands a page over; waits only while too many are waiting. @throws what storing earlier ones threw. */
  add(page: WalkedPage): Promise<void>
  /** Waits until all pages that were handed over so far are stored. */
  drain(): Promise<void>
}

interface WriterState {
  readonly queue: WalkedPage[]
  queuedRows: number
  /** Pages handed over, and of these the ones that are stored. */
  added: number
  stored: number
  storing: Promise<void> | null
  failure: { readonly error: unknown } | null
}

/** @param sync read when pages are stored, not before. */
export function createLedgerWriter(sync: () => Sync): LedgerWriter {
  const state: WriterState = {
    queue: [],
    queuedRows: 0,
    added: 0,
    stored: 0,
    storing: null,
    failure: null,
  }
  const storeNext = async (): Promise<void> => {
    const batch = nextBatch(state.queue, sync().ranges)
    state.queue.splice(0, batch.length)
    state.queuedRows -= rowsOf(batch)
    await storeBatch(sync(), batch)
    state.stored += batch.length
  }
  const start = async (): Promise<void> => {
    try {
      await storeNext()
    } catch (error) {
      state.failure ??= { error }
    }
    state.storing = null
    startIfEnough()
  }
  const startIfEnough = (): void => {
    if (state.storing !== null || state.failure !== null) return
    if (state.queuedRows >= BATCH_ROWS_MIN) state.storing = start()
  }
  const check = (): void => {
    if (state.failure !== null) throw state.failure.error
  }
  return {
    async add(page) {
      check()
      state.queue.push(page)
      state.added += 1
      state.queuedRows += page.taken.rows.length
      startIfEnough()
      while (state.queuedRows >= BATCH_ROWS_MAX && state.storing !== null) await state.storing
      check()
    },
    async drain() {
      const target = state.added
      while (state.stored < target) {
        check()
        state.storing ??= start()
        await state.storing
      }
      check()
    },
  }
}

function rowsOf(pages: readonly WalkedPage[]): number {
  return pages.reduce((sum, { taken }) => sum + taken.rows.length, 0)
}

/** From the front of the queue as many pages as are stored at once. */
function nextBatch(queue: readonly WalkedPage[], ranges: Sync['ranges']): WalkedPage[] {
  const batch: WalkedPage[] = []
  let [rows, compared] = [0, 0]
  for (const page of queue) {
    if (rows >= BATCH_ROWS_MAX || compared >= COMPARED_ROWS_MAX) break
    batch.push(page)
    if (page.beginsRange === true) break
    rows += page.taken.rows.length
    if (isComparable(page, ranges)) compared += page.taken.rows.length
  }
  return batch
}

function isComparable({ taken: { stretch } }: WalkedPage, ranges: Sync['ranges']): boolean {
  return stretch !== null && isKnownSomewhere(ranges, stretch)
}

interface JudgedPage extends WalkedPage {
  readonly outcome: PageOutcome
}

async function storeBatch(sync: Sync, batch: readonly WalkedPage[]): Promise<void> {
  const { db, entity, runId } = sync
  const judged = await judge(sync, batch)
  const ranges = judged.reduce((known, { taken }) => mergeRanges(known, taken), sync.ranges)
  for (const { walk, taken, outcome } of judged) addToWalk(walk, taken, outcome)
  const walks = [...new Set(judged.map(({ walk }) => walk))]
  await sync.inTurn(() =>
    db.transaction(async (tx) => {
      await saveOutcomes(
        sync,
        tx,
        judged.map(({ outcome }) => outcome),
      )
      await saveLedgerRanges(tx, entity, sync.ranges, ranges)
      await saveLedgerWalks(
        tx,
        entity,
        runId,
        walks.map((walk) => walkOf(walk, 'interrupted')),
      )
    }),
  )
  sync.ranges = ranges
  for (const { walk, taken } of judged) {
    // Rows that are visited again are gone through once, so nobody asks whether they were.
    if (walk.purpose === 'reread' || taken.stretch === null) continue
    sync.visited = withStretch(sync.visited, taken.stretch)
  }
}

async function saveOutcomes(
  { entity, runId }: Sync,
  tx: Tx,
  outcomes: readonly PageOutcome[],
): Promise<void> {
  const toSave = outcomes.flatMap((outcome) => outcome.toSave)
  const vanishedIds = outcomes.flatMap((outcome) => outcome.vanishedIds)
  if (toSave.length === 0 && vanishedIds.length === 0) return
  const batch = { entity, runId, changeNumber: await takeChangeNumber(tx, entity) }
  await saveBalanceTransactions(tx, batch, toSave)
  await markVanished(tx, batch, vanishedIds)
  const hasLost = await recordLedgerChanges(
    tx,
    batch,
    outcomes.flatMap(({ changes }) => changes),
  )
  if (hasLost || outcomes.some(({ isElsewhere }) => isElsewhere)) await forgetProofs(tx, entity)
}

/** Compares pages with what is stored in their place: one query, and none where nothing can be. */
async function judge(sync: Sync, batch: readonly WalkedPage[]): Promise<JudgedPage[]> {
  const spans: LedgerSpan[] = []
  for (const page of batch) {
    const { stretch } = page.taken
    if (stretch === null || !isComparable(page, sync.ranges)) continue
    const above = spans.at(-1)
    if (above !== undefined && above.fromId !== null && above.fromId === stretch.belowId) {
      spans.splice(-1, 1, { belowId: above.belowId, fromId: stretch.fromId })
    } else {
      spans.push(stretch)
    }
  }
  const stored = await sync.inTurn(() => findLedgerSpans(sync.db, sync.entity, spans))
  const judged: JudgedPage[] = []
  for (const page of batch) {
    const there = page.taken.stretch === null ? [] : storedWithin(stored, page.taken.stretch)
    const outcome = comparePage(page.taken.rows, there, sync.asOf)
    judged.push(outcome.isDoubtful ? await judgeAgain(sync, page, there) : { ...page, outcome })
  }
  return judged
}

/** @param stored newest first. */
function storedWithin(
  stored: readonly StoredBalanceTransaction[],
  { belowId, fromId }: Stretch,
): readonly StoredBalanceTransaction[] {
  const from = belowId === null ? 0 : firstPlace(stored, ({ id }) => id < belowId)
  const to = fromId === null ? stored.length : firstPlace(stored, ({ id }) => id < fromId)
  return stored.slice(from, to)
}

/**
 * One answer of a copy that lags behind must not make rows vanish: it has to say so twice, and what
 * follows must be older.
 * @throws UnavailableFault if it is not.
 */
async function judgeAgain(
  sync: Sync,
  page: WalkedPage,
  stored: readonly StoredBalanceTransaction[],
): Promise<JudgedPage> {
  const fromId = page.taken.stretch?.fromId ?? null
  let { afterId } = page
  // The page of a window begins with the row of its cursor, which no second answer has.
  const rows: LedgerRow[] = page.taken.rows.filter(({ parsed }) => parsed.id === page.afterId)
  for (let pages = 0; pages < SECOND_LOOK_PAGES_MAX; pages += 1) {
    const part = takePage(await ask(sync, afterId), afterId, sinceOf(sync, page.walk), sync.ranges)
    rows.push(...part.rows)
    afterId = rows.at(-1)?.parsed.id ?? afterId
    const isThrough = fromId !== null && afterId !== null && afterId <= fromId
    if (part.floor.floor === 'open' && !isThrough && part.rows.length > 0) continue
    // Pages below were read already, from the end of the first answer on.
    const within = rows.filter(({ parsed }) => fromId === null || parsed.id >= fromId)
    const taken = { ...page.taken, rows: within }
    const outcome = comparePage(within, stored, sync.asOf)
    // A provider that sends one page whatever it is asked for repeats itself below that page too.
    if (outcome.vanishedIds.length > 0 && afterId !== null) await ask(sync, afterId)
    return { ...page, taken, outcome }
  }
  throw endless(sync.entity)
}

/** A stored row may lie below a gap that is older than `since`: the way to it is taken as it comes. */
export function sinceOf({ since }: Sync, { purpose }: OpenWalk): Sync['since'] {
  return purpose === 'reread' ? null : since
}

/** Pages of one walk follow each other, so they become one stretch. */
function withStretch(visited: readonly Stretch[], stretch: Stretch): Stretch[] {
  const at = visited.findIndex(({ fromId }) => fromId !== null && fromId === stretch.belowId)
  const above = visited[at]
  if (above === undefined) return [...visited, stretch]
  return visited.with(at, { belowId: above.belowId, fromId: stretch.fromId })
}
