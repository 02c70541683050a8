/** One sync of one ledger: what it knows, what it asks of the provider, and its walks. */
import {
  countLedgerRows,
  findIdAbove,
  findStoredMerchantId,
  type RereadRows,
} from '../db/balance-transactions.ts'
import type { Db } from '../db/client.ts'
import { type LedgerRange, type LedgerWalk, saveLedgerWalks } from '../db/ledger-ranges.ts'
import type { Day, EpochSeconds } from '../src/domain/day.ts'
import type { Currency } from '../src/domain/money.ts'
import { ConfigurationFault, ControlTotalsFault, UnavailableFault } from '../src/errors.ts'
import type { Progress, ProgressStep } from '../src/progress.ts'
import {
  BrokenPage,
  fetchLedgerPage,
  type LedgerPage,
  type LedgerQuery,
} from '../src/provider/balance-transactions.ts'
import { type ProviderClient, RefusedRequest } from '../src/provider/client.ts'
import type { PageOutcome, Stretch, TakenPage } from './ledger-page.ts'
import type { LedgerWriter } from './ledger-writer.ts'

/** A hundred million rows: above any account, so reaching it means a list without end. */
export const PAGES_MAX = 1_000_000
/** Doubling steps upwards from a cursor that the provider does not know: 2^20 rows. */
const CURSOR_STEPS_MAX = 20

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
  readonly reread: RereadRows | null
  /** Parts of the list that are read side by side where that saves time; 4 unless said. */
  readonly windows?: number
}

export interface Sync extends SyncLedgerDeps, SyncLedgerArgs {
  readonly windows: number
  /** What is stored without a gap, newest first. */
  ranges: readonly LedgerRange[]
  /** Parts of the list that walks of this round have read. */
  visited: Stretch[]
  readonly walks: LedgerWalk[]
  walksBegun: number
  requests: number
  merchantChecked: boolean
  readonly writer: LedgerWriter
  /** Runs database work after all that was handed over before: a dry run has one connection for all. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>
}

/** A page with the cursor that it was asked for with; null: none. */
export interface AskedPage {
  readonly page: LedgerPage
  readonly afterId: string | null
}

export async function ask(
  sync: Sync,
  afterId: string | null,
  created?: LedgerQuery['created'],
): Promise<LedgerPage> {
  sync.requests += 1
  const { client, currency } = sync
  return fetchLedgerPage(client, {
    afterId,
    currency,
    ...(created === undefined ? {} : { created }),
  })
}

/**
 * The page below a stored row. The row itself may be gone from the provider, which then refuses the
 * cursor, ignores it or sends nothing: an empty page proves the end of the list only if a cursor
 * above brings rows. So cursors further up are tried, each twice as far, and at last none.
 */
export async function askBelow(sync: Sync, id: string): Promise<AskedPage> {
  const { db, entity, inTurn } = sync
  const page = await askOrNull(sync, id)
  if (page !== null) return { page, afterId: id }
  for (let step = 0; step < CURSOR_STEPS_MAX; step += 1) {
    const aboveId = await inTurn(() => findIdAbove(db, entity, id, 2 ** step))
    if (aboveId === null) break
    const wider = await askOrNull(sync, aboveId)
    if (wider !== null) return { page: wider, afterId: aboveId }
  }
  const head = await ask(sync, null)
  if (head.rows.length === 0) throw emptyLedger(entity)
  return { page: head, afterId: null }
}

/**
 * The page below the last row of one that says that older rows follow. An empty page contradicts that:
 * the row may be gone, or the answer be of a copy that lags behind, and taken for the end of the list
 * it would be a gap for good. So the page below the row above it must show what comes after the row,
 * or that the row is known and the last one.
 * @throws UnavailableFault if it shows neither.
 */
export async function askOn(sync: Sync, { page, afterId }: AskedPage): Promise<AskedPage> {
  const lastId = page.rows.at(-1)?.parsed.id
  if (lastId === undefined) throw endless(sync.entity)
  const below = await ask(sync, lastId)
  if (below.rows.length > 0) return { page: below, afterId: lastId }
  const wider = await ask(sync, page.rows.at(-2)?.parsed.id ?? afterId)
  const rows = wider.rows.filter(({ parsed }) => parsed.id < lastId)
  if (rows.length > 0) return { page: { ...wider, rows }, afterId: lastId }
  if (wider.rows.some(({ parsed }) => parsed.id === lastId)) {
    // Some lists say that more follow wherever a page has rows, and end with an empty one.
    const last = wider.hasMore ? await ask(sync, lastId) : { ...wider, rows }
    return { page: last, afterId: lastId }
  }
  throw brokenOff(sync.entity, lastId)
}

/** Null where the cursor is not usable. */
async function askOrNull(sync: Sync, afterId: string): Promise<LedgerPage | null> {
  try {
    const page = await ask(sync, afterId)
    return page.rows.length === 0 ? null : page
  } catch (error) {
    if (isUnusable(error)) return null
    throw error
  }
}

/** True if the provider answered, and does not do what it was asked for. */
export function isUnusable(error: unknown): boolean {
  if (error instanceof RefusedRequest) return [400, 404, 422].includes(error.status)
  return error instanceof BrokenPage
}

/** A walk that goes on: counted up by what was stored of it. */
export interface OpenWalk {
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

export function beginWalk(
  sync: Sync,
  purpose: LedgerWalk['purpose'],
  afterId: string | null,
  step: ProgressStep,
): OpenWalk {
  sync.walksBegun += 1
  return {
    walkNumber: sync.walksBegun,
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
    step,
  }
}

export function addToWalk(walk: OpenWalk, taken: TakenPage, outcome: PageOutcome): void {
  const firstId = taken.rows[0]?.parsed.id ?? walk.firstId
  const lastId = taken.rows.at(-1)?.parsed.id ?? walk.lastId
  if (walk.firstId === null || (firstId !== null && firstId > walk.firstId)) walk.firstId = firstId
  if (walk.lastId === null || (lastId !== null && lastId < walk.lastId)) walk.lastId = lastId
  walk.pages += 1
  walk.rows += taken.rows.length
  walk.newRows += outcome.newRows
  walk.changedRows += outcome.changedRows
  walk.vanishedRows += outcome.vanishedIds.length
  walk.hasNewPayout ||= outcome.hasNewPayout
  walk.step.advance(taken.rows.length)
}

export function walkOf(open: OpenWalk, ended: LedgerWalk['ended']): LedgerWalk {
  const { hasNewPayout: _, step: __, ...counted } = open
  return { ...counted, ended }
}

/** Proves a walk by what is stored now, and records it. All of it must have been stored. */
export async function endWalk(
  sync: Sync,
  open: OpenWalk,
  ended: LedgerWalk['ended'],
): Promise<void> {
  const walk = walkOf(open, ended)
  const { db, entity, runId } = sync
  await sync.inTurn(async () => {
    await proveWalk(sync, walk)
    await saveLedgerWalks(db, entity, runId, [walk])
  })
  sync.walks.push(walk)
}

/** What walks brought together, in words. */
export function walksText(walks: readonly OpenWalk[]): string {
  const total = (pick: (walk: OpenWalk) => number): number =>
    walks.reduce((sum, walk) => sum + pick(walk), 0)
  const pages = total((walk) => walk.pages)
  const inPages = pages === 1 ? '1 page' : `${pages} pages`
  const [rows, newRows] = [total((walk) => walk.rows), total((walk) => walk.newRows)]
  return `${rows} rows in ${inPages}, ${newRows} new, ${total((walk) => walk.changedRows)} changed`
}

/** A walk downwards left no gap and no overlap if exactly its rows are stored between its ends. */
async function proveWalk(
  { db, entity }: Sync,
  { purpose, firstId, lastId, rows }: LedgerWalk,
): Promise<void> {
  if (purpose === 'reread' || firstId === null || lastId === null) return
  const stored = await countLedgerRows(db, entity, { firstId, lastId })
  if (stored === rows) return
  throw new ControlTotalsFault(
    `the ledger of ${entity} does not tie: the provider listed ${rows} rows from ${firstId} down to ${lastId}, ${stored} are stored`,
    { hint: 'Run the same command again; if it persists, report the message above.' },
  )
}

/** One key is one account, so rows of another merchant mean that the keys were mixed up. */
export async function checkMerchant(sync: Sync, page: LedgerPage): Promise<void> {
  if (sync.merchantChecked) return
  sync.merchantChecked = true
  const storedId = await sync.inTurn(() => findStoredMerchantId(sync.db, sync.entity))
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

export function emptyLedger(entity: string): UnavailableFault {
  return new UnavailableFault(
    `the provider lists no balance transaction for ${entity}, although some were stored earlier`,
    {
      hint: 'Check that the key is the one of this account. Otherwise run the same command again later: nothing that was stored has been touched.',
    },
  )
}

function brokenOff(entity: string, lastId: string): UnavailableFault {
  return new UnavailableFault(
    `the provider says that balance transactions of ${entity} older than ${lastId} follow, and then lists none`,
    { hint: 'What was read is stored. Run the same command again later: it goes on from there.' },
  )
}

export function endless(entity: string): UnavailableFault {
  return new UnavailableFault(
    `the provider's list of balance transactions of ${entity} does not come to an end`,
    {
      hint: 'What was read is stored. Run the same command again; if it persists, report the message above.',
    },
  )
}
