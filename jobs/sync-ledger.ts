/**
 * Brings the stored ledger of one entity up to date with the provider's list, and proves it.
 *
 * The list is newest first and can only be read downwards from a cursor. So what is known is kept
 * as ranges without a gap: a walk from the head goes down to the newest range, older gaps are walked
 * next, each page stored together with the range it extends. Rows that no payout has taken change
 * without moving in the list; they are visited again by jumping to the row just above them.
 */
import {
  countLedgerRows,
  findIdAbove,
  findIdsToVisit,
  findLedgerSpan,
  findStoredMerchantId,
  markVanished,
  recordLedgerChanges,
  saveBalanceTransactions,
} from '../db/balance-transactions.ts'
import type { Db } from '../db/client.ts'
import {
  findLedgerRanges,
  type LedgerRange,
  type LedgerWalk,
  saveLedgerRange,
  saveLedgerWalk,
} from '../db/ledger-ranges.ts'
import type { Day, EpochSeconds } from '../src/domain/day.ts'
import type { Currency } from '../src/domain/money.ts'
import { ConfigurationFault, ControlTotalsFault, UnavailableFault } from '../src/errors.ts'
import type { Progress, ProgressStep } from '../src/progress.ts'
import {
  BrokenPage,
  fetchLedgerPage,
  type LedgerPage,
} from '../src/provider/balance-transactions.ts'
import { type ProviderClient, RefusedRequest } from '../src/provider/client.ts'
import {
  comparePage,
  isWithin,
  mergeRanges,
  type PageOutcome,
  type Stretch,
  type TakenPage,
  takePage,
} from './ledger-page.ts'

/** A hundred million rows: above any account, so reaching it means a list without end. */
const PAGES_MAX = 1_000_000
/** Each round needs a payout that appeared during the round before, and payouts are daily. */
const ROUNDS_MAX = 8
/** Doubling steps upwards from a cursor that the provider does not know: 2^20 rows. */
const CURSOR_STEPS_MAX = 20
const VISIT_IDS_MAX = 10_000

export interface SyncLedgerDeps {
  readonly db: Db
  readonly client: ProviderClient
  readonly progress: Progress
}

export interface SyncLedgerArgs {
  readonly entity: string
  readonly runId: number
  /** The day that counts as today: changes are recorded as seen on it. */
  readonly asOf: Day
  /** Of rows that name no currency. */
  readonly currency: Currency
  /** Rows created earlier are not back-filled; null: the whole history. */
  readonly since: EpochSeconds | null
  /** Rows created from `startS` up to, not including, `endS` are visited again whatever their state. */
  readonly reread: { readonly startS: EpochSeconds; readonly endS: EpochSeconds } | null
}

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
  const sync = await openSync(deps, args)
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

interface Sync extends SyncLedgerDeps, SyncLedgerArgs {
  ranges: readonly LedgerRange[]
  /** Parts of the list that this round has read. */
  visited: Stretch[]
  readonly walks: LedgerWalk[]
  requests: number
  merchantChecked: boolean
}

async function openSync(deps: SyncLedgerDeps, args: SyncLedgerArgs): Promise<Sync> {
  return {
    ...deps,
    ...args,
    ranges: await findLedgerRanges(deps.db, args.entity),
    visited: [],
    walks: [],
    requests: 0,
    merchantChecked: false,
  }
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
  const knownTopId = sync.ranges[0]?.topId ?? null
  if (page.rows.length === 0 && knownTopId !== null) throw emptyLedger(sync.entity)
  return walkDown(sync, 'new', { page, afterId: null }, knownTopId, label)
}

/** From the bottom of the newest range downwards until everything wanted is known. */
async function walkOlderGaps(sync: Sync): Promise<void> {
  const roundsMax = sync.ranges.length + 1
  for (let rounds = 0; ; rounds += 1) {
    const [newest, next] = sync.ranges
    if (newest === undefined || reaches(newest, sync.since)) return
    if (rounds > roundsMax) {
      throw new Error(`the older rows of ${sync.entity} were walked ${rounds} times without an end`)
    }
    const first = await askBelow(sync, newest.bottomId)
    const label = `ledger of ${sync.entity}, older rows`
    await walkDown(sync, 'backfill', first, next?.topId ?? null, label)
  }
}

interface AskedPage {
  readonly page: LedgerPage
  readonly afterId: string | null
}

/**
 * Page after page down to `knownTopId`, to the end of the list or to `since`, each stored before the
 * next is asked for.
 */
async function walkDown(
  sync: Sync,
  purpose: 'new' | 'backfill',
  first: AskedPage,
  knownTopId: string | null,
  label: string,
): Promise<boolean> {
  const walk = beginWalk(sync, purpose, first.afterId, label)
  let { page, afterId } = first
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const taken = await store(sync, walk, page, afterId)
    const lastId = taken.rows.at(-1)?.parsed.id ?? afterId
    const isKnown = knownTopId !== null && lastId !== null && lastId <= knownTopId
    if (taken.floor.floor !== 'open' || isKnown || lastId === null) {
      await endWalk(sync, walk, taken.floor.floor === 'open' ? 'known' : taken.floor.floor)
      return walk.hasNewPayout
    }
    afterId = lastId
    page = await ask(sync, afterId)
  }
  throw endless(sync.entity)
}

/** Visits stored rows that may have changed and that this round has not read yet. */
async function visitRowsAgain(sync: Sync, reread: SyncLedgerArgs['reread']): Promise<void> {
  const { db, entity } = sync
  let walk: OpenWalk | null = null
  let belowId: string | null = null
  for (let batches = 0; batches < PAGES_MAX; batches += 1) {
    const ids = await findIdsToVisit(db, entity, { belowId, reread, limit: VISIT_IDS_MAX })
    for (const id of ids) {
      if (sync.visited.some((stretch) => isWithin(stretch, id))) continue
      const first = await askJustAbove(sync, id)
      walk ??= beginWalk(sync, 'reread', first.afterId, `ledger of ${entity}, open rows`)
      await visit(sync, walk, id, first)
    }
    belowId = ids.at(-1) ?? null
    if (belowId === null || ids.length < VISIT_IDS_MAX) {
      if (walk !== null) await endWalk(sync, walk, 'reread')
      return
    }
  }
  throw endless(entity)
}

/** Reads on until the place of one row is covered: one page, unless many new rows stand above it. */
async function visit(sync: Sync, walk: OpenWalk, id: string, first: AskedPage): Promise<void> {
  let { page, afterId } = first
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const { stretch, rows } = await store(sync, walk, page, afterId)
    if (stretch !== null && isWithin(stretch, id)) return
    const lastId = rows.at(-1)?.parsed.id ?? null
    // A page that covers neither the row nor anything above it cannot be read past.
    if (lastId === null || lastId <= id) throw endless(sync.entity)
    afterId = lastId
    page = await ask(sync, afterId)
  }
  throw endless(sync.entity)
}

async function ask(sync: Sync, afterId: string | null): Promise<LedgerPage> {
  sync.requests += 1
  return fetchLedgerPage(sync.client, { afterId, currency: sync.currency })
}

async function askJustAbove(sync: Sync, id: string): Promise<AskedPage> {
  const aboveId = await findIdAbove(sync.db, sync.entity, id, 1)
  return aboveId === null ? { page: await ask(sync, null), afterId: null } : askBelow(sync, aboveId)
}

/**
 * The page below a stored row. The row itself may be gone from the provider, which then refuses the
 * cursor, ignores it or sends nothing: an empty page proves the end of the list only if a cursor
 * above brings rows. So cursors further up are tried, each twice as far, and at last none.
 */
async function askBelow(sync: Sync, id: string): Promise<AskedPage> {
  const { db, entity } = sync
  const page = await askOrNull(sync, id)
  if (page !== null) return { page, afterId: id }
  for (let step = 0; step < CURSOR_STEPS_MAX; step += 1) {
    const aboveId = await findIdAbove(db, entity, id, 2 ** step)
    if (aboveId === null) break
    const wider = await askOrNull(sync, aboveId)
    if (wider !== null) return { page: wider, afterId: aboveId }
  }
  const head = await ask(sync, null)
  if (head.rows.length === 0) throw emptyLedger(entity)
  return { page: head, afterId: null }
}

/** Null where the cursor is not usable. */
async function askOrNull(sync: Sync, afterId: string): Promise<LedgerPage | null> {
  try {
    const page = await ask(sync, afterId)
    return page.rows.length === 0 ? null : page
  } catch (error) {
    const isUnknown = error instanceof RefusedRequest && [400, 404, 422].includes(error.status)
    if (isUnknown || error instanceof BrokenPage) return null
    throw error
  }
}

/** Stores what a page brings and the range it extends, together. */
async function store(
  sync: Sync,
  walk: OpenWalk,
  page: LedgerPage,
  afterId: string | null,
): Promise<TakenPage> {
  const { db, entity, runId } = sync
  let judged = await judge(sync, walk, page, afterId)
  if (judged.outcome.isDoubtful) {
    // One answer of a copy that lags behind must not make rows vanish: it has to say so twice.
    judged = await judge(sync, walk, await ask(sync, afterId), afterId)
  }
  const { taken, outcome } = judged
  const merged = mergeRanges(sync.ranges, taken)
  addToWalk(walk, taken, outcome)
  await db.transaction(async (tx) => {
    await saveBalanceTransactions(tx, entity, runId, outcome.toSave)
    await markVanished(tx, entity, runId, outcome.vanishedIds)
    await recordLedgerChanges(tx, entity, runId, outcome.changes)
    if (merged !== null) await saveLedgerRange(tx, entity, merged.range, merged.absorbed)
    await saveLedgerWalk(tx, entity, runId, walkOf(walk, 'interrupted'))
  })
  if (merged !== null) sync.ranges = merged.ranges
  if (taken.stretch !== null) sync.visited = withStretch(sync.visited, taken.stretch)
  walk.step.advance(taken.rows.length)
  return taken
}

async function judge(
  sync: Sync,
  { purpose }: OpenWalk,
  page: LedgerPage,
  afterId: string | null,
): Promise<{ taken: TakenPage; outcome: PageOutcome }> {
  // A stored row may lie below a gap that is older than `since`: the way to it is taken as it comes.
  const sinceS = purpose === 'reread' ? null : sync.since
  const taken = takePage(page, afterId, sinceS, sync.ranges)
  const stored =
    taken.stretch === null ? [] : await findLedgerSpan(sync.db, sync.entity, taken.stretch)
  return { taken, outcome: comparePage(taken.rows, stored, sync.asOf) }
}

/** Pages of one walk follow each other, so they become one stretch. */
function withStretch(visited: readonly Stretch[], stretch: Stretch): Stretch[] {
  const last = visited.at(-1)
  return last !== undefined && last.fromId !== null && last.fromId === stretch.belowId
    ? [...visited.slice(0, -1), { belowId: last.belowId, fromId: stretch.fromId }]
    : [...visited, stretch]
}

interface OpenWalk {
  readonly walkNumber: number
  readonly purpose: LedgerWalk['purpose']
  readonly afterId: string | null
  firstId: string | null
  lastId: string | null
  pages: number
  rows: number
  newRows: number
  changedRows: number
  vanishedRows: number
  hasNewPayout: boolean
  readonly step: ProgressStep
}

function beginWalk(
  sync: Sync,
  purpose: LedgerWalk['purpose'],
  afterId: string | null,
  label: string,
): OpenWalk {
  return {
    walkNumber: sync.walks.length + 1,
    purpose,
    afterId,
    firstId: null,
    lastId: null,
    pages: 0,
    rows: 0,
    newRows: 0,
    changedRows: 0,
    vanishedRows: 0,
    hasNewPayout: false,
    step: sync.progress.step(label, 'rows'),
  }
}

function addToWalk(walk: OpenWalk, taken: TakenPage, outcome: PageOutcome): void {
  walk.firstId ??= taken.rows[0]?.parsed.id ?? null
  walk.lastId = taken.rows.at(-1)?.parsed.id ?? walk.lastId
  walk.pages += 1
  walk.rows += taken.rows.length
  walk.newRows += outcome.newRows
  walk.changedRows += outcome.changedRows
  walk.vanishedRows += outcome.vanishedIds.length
  walk.hasNewPayout ||= outcome.hasNewPayout
}

function walkOf(open: OpenWalk, ended: LedgerWalk['ended']): LedgerWalk {
  const { walkNumber, purpose, afterId, firstId, lastId, pages, rows } = open
  const { newRows, changedRows, vanishedRows } = open
  return {
    walkNumber,
    purpose,
    afterId,
    firstId,
    lastId,
    pages,
    rows,
    newRows,
    changedRows,
    vanishedRows,
    ended,
  }
}

/** Proves a walk by what is stored now, and records it. */
async function endWalk(sync: Sync, open: OpenWalk, ended: LedgerWalk['ended']): Promise<void> {
  const walk = walkOf(open, ended)
  await proveWalk(sync, walk)
  await saveLedgerWalk(sync.db, sync.entity, sync.runId, walk)
  sync.walks.push(walk)
  const pages = walk.pages === 1 ? '1 page' : `${walk.pages} pages`
  open.step.done(`${walk.rows} rows in ${pages}, ${walk.newRows} new, ${walk.changedRows} changed`)
}

/** A walk downwards left no gap and no overlap if exactly its rows are stored between its ends. */
async function proveWalk(
  sync: Sync,
  { purpose, firstId, lastId, rows }: LedgerWalk,
): Promise<void> {
  if (purpose === 'reread' || firstId === null || lastId === null) return
  const stored = await countLedgerRows(sync.db, sync.entity, { firstId, lastId })
  if (stored === rows) return
  throw new ControlTotalsFault(
    `the ledger of ${sync.entity} does not tie: the provider listed ${rows} rows from ${firstId} down to ${lastId}, ${stored} are stored`,
    { hint: 'Run the same command again; if it persists, report the message above.' },
  )
}

/** One key is one account, so rows of another merchant mean that the keys were mixed up. */
async function checkMerchant(sync: Sync, page: LedgerPage): Promise<void> {
  if (sync.merchantChecked) return
  sync.merchantChecked = true
  const storedId = await findStoredMerchantId(sync.db, sync.entity)
  const [listedId, ...others] = new Set(page.rows.map(({ parsed }) => parsed.merchantId))
  if (storedId === null || listedId === undefined || listedId === null) return
  if (listedId === storedId || others.includes(storedId)) return
  throw new ConfigurationFault(
    `the key of ${sync.entity} opens the ledger of ${listedId}, but what is stored for ${sync.entity} is the ledger of ${storedId}`,
    {
      hint: 'Check that each entity has its own key. For another account, use another entity name or another database.',
    },
  )
}

function emptyLedger(entity: string): UnavailableFault {
  return new UnavailableFault(
    `the provider lists no balance transaction for ${entity}, although some were stored earlier`,
    {
      hint: 'Check that the key is the one of this account. Otherwise run the same command again later: nothing that was stored has been touched.',
    },
  )
}

function restless(entity: string): UnavailableFault {
  return new UnavailableFault(
    `the ledger of ${entity} brought a new payout in each of ${ROUNDS_MAX} looks, one was expected to bring none`,
    { hint: 'Run the same command again later: what was read is stored.' },
  )
}

function endless(entity: string): UnavailableFault {
  return new UnavailableFault(
    `the provider's list of balance transactions of ${entity} does not come to an end`,
    {
      hint: 'What was read is stored. Run the same command again; if it persists, report the message above.',
    },
  )
}
