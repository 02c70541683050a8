/**
 * Reads the parts of the list that are not known yet, downwards from a cursor.
 *
 * A long way is shared: `created[max]` finds a row further down, and from that row on the list is
 * read by the cursor alone, while the reader above comes down to it. So windows of time say only
 * where to begin. That everything between two beginnings was read is proved by the cursor, as
 * without windows, whatever the provider makes of their bounds.
 */
import { findCreatedS } from '../db/balance-transactions.ts'
import type { LedgerWalk } from '../db/ledger-ranges.ts'
import type { EpochSeconds } from '../src/domain/day.ts'
import type { ProgressStep } from '../src/progress.ts'
import type { LedgerPage } from '../src/provider/balance-transactions.ts'
import type { LedgerRow } from '../src/provider/wire.ts'
import { cutBelow, type TakenPage, takePage } from './ledger-page.ts'
import {
  ask,
  askBelow,
  askOn,
  type AskedPage,
  beginWalk,
  endless,
  endWalk,
  isUnusable,
  type OpenWalk,
  PAGES_MAX,
  type Sync,
  walksText,
} from './ledger-session.ts'
import { sinceOf } from './ledger-writer.ts'

/**
 * Pages after which the rest is worth sharing: small accounts never ask for a window. One reader reads
 * them while the others wait, so a long way pays for each.
 */
const LONG_PAGES = 8
/** What is left of a gap is shared only if this many pages are expected of it. */
const SHARED_PAGES_MIN = 4
/** Probes for one beginning: each halves the time in which rows can be. */
const PROBES_MAX = 8
/** While the oldest row is not known, as many times further down as the list was read. */
const REACH = 4
/** 1 January 2018, the year in which the provider began: nothing is older. */
const PROVIDER_BEGINS_S = 1_514_764_800

/** A part of the list that is not known yet. */
export interface Gap {
  readonly purpose: LedgerWalk['purpose']
  /** The cursor to begin with; null: from the newest row. */
  readonly afterId: string | null
  /** Its first page, where that was asked for already. */
  readonly first?: AskedPage
  /** The walk and the reader that go on with it. */
  readonly begun?: { readonly walk: OpenWalk; readonly reader: Reader }
}

/** One reader on its way down a gap. */
interface Reader {
  /** Ranges that begin below this id end the gap. */
  belowId: string | null
  /** The last row that was read. */
  last: { readonly id: string; readonly createdS: EpochSeconds } | null
  /** Nothing of the gap is older. */
  lowestS: EpochSeconds
}

interface Readers {
  readonly sync: Sync
  readonly step: ProgressStep
  readonly waiting: Gap[]
  readonly active: Set<Reader>
  /** Rows found by windows, from which on others read: when each was created, by id. */
  readonly beginnings: Map<string, EpochSeconds>
  readonly walks: OpenWalk[]
  /** Of walks that were read to their ends: settled when they are stored and proved. */
  readonly endings: Promise<void>[]
  /** Settles once it is known whether the way is long. */
  readonly long: Promise<boolean>
  readonly settleLong: (isLong: boolean) => void
  /** The newest row and what was read, for what a page is worth in time. */
  newestS: EpochSeconds | null
  pages: number
  secondsRead: number
  /** False once the provider has shown that it does not go by the bounds. */
  honoursBounds: boolean
  hasFailed: boolean
  /** One looks for a beginning at a time, so that two do not find the same. */
  looking: Promise<unknown>
}

/**
 * Reads all gaps to their ends, each page stored while further ones are read.
 * @returns whether a payout was new.
 */
export async function fillGaps(sync: Sync, gaps: readonly Gap[], label: string): Promise<boolean> {
  const readers = openReaders(sync, gaps, label)
  const first = Array.from({ length: Math.min(gaps.length, sync.windows) }, () => work(readers))
  const firstOnes = Promise.allSettled(first).then((outcomes) => {
    readers.settleLong(false)
    return outcomes
  })
  const helpers = Array.from({ length: sync.windows - first.length }, () => help(readers))
  const read = (await Promise.all([firstOnes, Promise.allSettled(helpers)])).flat()
  const outcomes = [...read, ...(await Promise.allSettled(readers.endings))]
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed !== undefined) {
    // What was read before the fault is kept; if that fails too, the first fault is the one to tell.
    await sync.writer.drain().catch(() => undefined)
    throw failed.reason
  }
  readers.step.done(walksText(readers.walks))
  return readers.walks.some(({ hasNewPayout }) => hasNewPayout)
}

function openReaders(sync: Sync, gaps: readonly Gap[], label: string): Readers {
  let settleLong: (isLong: boolean) => void = () => undefined
  const long = new Promise<boolean>((settle) => {
    settleLong = settle
  })
  return {
    sync,
    step: sync.progress.step(label, 'rows'),
    waiting: [...gaps],
    active: new Set(),
    beginnings: new Map(),
    walks: [],
    endings: [],
    long,
    settleLong,
    newestS: null,
    pages: 0,
    secondsRead: 0,
    honoursBounds: true,
    hasFailed: false,
    looking: Promise.resolve(),
  }
}

async function help(readers: Readers): Promise<void> {
  if (await readers.long) await work(readers)
}

async function work(readers: Readers): Promise<void> {
  try {
    for (let gaps = 0; gaps < PAGES_MAX; gaps += 1) {
      const gap = readers.waiting.shift() ?? (await nextBeginning(readers))
      if (gap === null || readers.hasFailed) return
      await readDown(readers, gap)
    }
  } catch (error) {
    readers.hasFailed = true
    readers.settleLong(false)
    throw error
  }
  throw endless(readers.sync.entity)
}

/** Page after page to the next known range, to the end of the list or to `since`. */
async function readDown(readers: Readers, gap: Gap): Promise<void> {
  const { sync } = readers
  let asked = gap.first ?? (await firstPage(sync, gap.afterId))
  const { walk, reader } = gap.begun ?? {
    walk: openWalk(readers, gap.purpose, asked.afterId),
    reader: { belowId: gap.afterId, last: null, lowestS: lowestOf(sync) },
  }
  readers.active.add(reader)
  try {
    for (let pages = 0; pages < PAGES_MAX && !readers.hasFailed; pages += 1) {
      const whole = takePage(asked.page, asked.afterId, sinceOf(sync, walk), sync.ranges)
      const knownTopId = topBelow(readers, reader.belowId)
      const taken = upToBeginning(readers, whole, knownTopId)
      await sync.writer.add({ walk, afterId: asked.afterId, taken })
      advance(readers, reader, taken)
      const lastId = taken.rows.at(-1)?.parsed.id ?? asked.afterId
      const isKnown = knownTopId !== null && lastId !== null && lastId <= knownTopId
      if (taken.floor.floor !== 'open' || isKnown || lastId === null) {
        readers.active.delete(reader)
        endLater(readers, walk, taken)
        return
      }
      asked = await askOn(sync, asked)
    }
  } finally {
    readers.active.delete(reader)
  }
  if (!readers.hasFailed) throw endless(sync.entity)
}

/** Proves a walk once all of it is stored; whoever read it goes on with another part meanwhile. */
function endLater(readers: Readers, walk: OpenWalk, { floor: { floor } }: TakenPage): void {
  const { sync } = readers
  const ending = sync.writer
    .drain()
    .then(() => endWalk(sync, walk, floor === 'open' ? 'known' : floor))
  ending.catch(() => {
    readers.hasFailed = true
  })
  readers.endings.push(ending)
}

async function firstPage(sync: Sync, afterId: string | null): Promise<AskedPage> {
  return afterId === null ? { page: await ask(sync, null), afterId } : askBelow(sync, afterId)
}

function openWalk(
  readers: Readers,
  purpose: LedgerWalk['purpose'],
  afterId: string | null,
): OpenWalk {
  const walk = beginWalk(readers.sync, purpose, afterId, readers.step)
  readers.walks.push(walk)
  return walk
}

function lowestOf({ since }: Sync): EpochSeconds {
  return Math.max(since ?? PROVIDER_BEGINS_S, PROVIDER_BEGINS_S)
}

/** The top of the next range below, be it known or read by another; null: there is none. */
function topBelow({ sync, beginnings }: Readers, belowId: string | null): string | null {
  let next: string | null = null
  for (const id of [...sync.ranges.map(({ topId }) => topId), ...beginnings.keys()]) {
    if ((belowId === null || id < belowId) && (next === null || id > next)) next = id
  }
  return next
}

/** Without what is below the row from which on another reads: those rows may wait to be stored. */
function upToBeginning(
  { beginnings }: Readers,
  taken: TakenPage,
  knownTopId: string | null,
): TakenPage {
  const lastId = taken.rows.at(-1)?.parsed.id
  const isReached = knownTopId !== null && lastId !== undefined && lastId <= knownTopId
  return isReached && beginnings.has(knownTopId) ? cutBelow(taken, knownTopId) : taken
}

function advance(readers: Readers, reader: Reader, { rows }: TakenPage): void {
  const [first, last] = [rows[0]?.parsed, rows.at(-1)?.parsed]
  if (first === undefined || last === undefined) return
  // From here on the range that this walk itself extends is none of those below it.
  reader.belowId ??= first.id
  readers.newestS = Math.max(readers.newestS ?? first.createdS, first.createdS)
  readers.secondsRead += Math.max(0, (reader.last ?? first).createdS - last.createdS)
  reader.last = last
  readers.pages += 1
  if (readers.pages >= LONG_PAGES) readers.settleLong(true)
}

/** A beginning for one more reader, in the middle of what has most left; null: nothing is worth it. */
async function nextBeginning(readers: Readers): Promise<Gap | null> {
  if (readers.pages < LONG_PAGES) return null
  const found = readers.looking.then(() => findBeginning(readers))
  readers.looking = found.catch(() => undefined)
  return found
}

async function findBeginning(readers: Readers): Promise<Gap | null> {
  for (let probes = 0; probes < PROBES_MAX; probes += 1) {
    const target = await longestRest(readers)
    if (target === null) return null
    const beginning = await probe(readers, target)
    if (beginning !== null) return beginning
  }
  return null
}

/** What a reader has still before it. */
interface Rest {
  readonly reader: Reader
  readonly upperS: EpochSeconds
  readonly lowerS: EpochSeconds
  /** Null: it goes on to the end of the list. */
  readonly knownTopId: string | null
}

async function longestRest(readers: Readers): Promise<Rest | null> {
  const { active, secondsRead, pages } = readers
  if (!readers.honoursBounds || readers.hasFailed || secondsRead === 0) return null
  let longest: Rest | null = null
  for (const reader of active) {
    const { last } = reader
    if (last === null) continue
    const rest = await restOf(readers, reader, last.createdS)
    if (longest === null || secondsOf(rest) > secondsOf(longest)) longest = rest
  }
  if (longest === null || secondsOf(longest) < (SHARED_PAGES_MIN * secondsRead) / pages) return null
  return longest
}

async function restOf(readers: Readers, reader: Reader, upperS: EpochSeconds): Promise<Rest> {
  const { db, entity, inTurn } = readers.sync
  const knownTopId = topBelow(readers, reader.belowId)
  if (knownTopId === null) return { reader, upperS, lowerS: reader.lowestS, knownTopId }
  const topS =
    readers.beginnings.get(knownTopId) ?? (await inTurn(() => findCreatedS(db, entity, knownTopId)))
  return { reader, upperS, lowerS: Math.max(topS ?? reader.lowestS, reader.lowestS), knownTopId }
}

function secondsOf({ upperS, lowerS }: Rest): number {
  return upperS - lowerS
}

/** @returns null if no row was found there; then less is left of the rest, or bounds are not used again. */
async function probe(readers: Readers, rest: Rest): Promise<Gap | null> {
  const { reader, lowerS, knownTopId } = rest
  const maxS = middleOf(readers, rest)
  const page = await askWithin(readers, lowerS, maxS)
  if (page === null) return null
  const [found] = page.rows
  if (found === undefined || (knownTopId !== null && found.parsed.id <= knownTopId)) {
    reader.lowestS = Math.max(reader.lowestS, maxS)
    return null
  }
  if (!isBelow(found, reader)) return null
  return beginAt(readers, reader, found)
}

function middleOf({ newestS }: Readers, { upperS, lowerS, knownTopId }: Rest): EpochSeconds {
  const middleS = Math.floor((upperS + lowerS) / 2)
  if (knownTopId !== null) return middleS
  return Math.max(middleS, upperS - REACH * Math.max(1, (newestS ?? upperS) - upperS))
}

/** Null if the provider does not go by the bounds. */
async function askWithin(
  readers: Readers,
  minS: EpochSeconds,
  maxS: EpochSeconds,
): Promise<LedgerPage | null> {
  const page = await askUsable(readers, () => ask(readers.sync, null, { minS, maxS }))
  const isWithin = ({ parsed: { createdS } }: LedgerRow): boolean =>
    minS <= createdS && createdS <= maxS
  if (page?.rows.every(isWithin) === true) return page
  readers.honoursBounds = false
  return null
}

async function askUsable(
  readers: Readers,
  request: () => Promise<LedgerPage>,
): Promise<LedgerPage | null> {
  try {
    return await request()
  } catch (error) {
    if (!isUnusable(error)) throw error
    readers.honoursBounds = false
    return null
  }
}

/** False once the reader has come further down than the row. */
function isBelow({ parsed }: LedgerRow, { last }: Reader): boolean {
  return last !== null && parsed.id < last.id
}

/** Hands over the row and the page below it, ahead of whatever comes down to it. */
async function beginAt(readers: Readers, reader: Reader, row: LedgerRow): Promise<Gap | null> {
  const { sync } = readers
  const { id } = row.parsed
  const page = await askUsable(readers, () => ask(sync, id))
  // An empty page may mean the end, or that the provider does not know the row any more.
  if (page === null || page.rows.length === 0) {
    reader.lowestS = Math.max(reader.lowestS, row.parsed.createdS)
    return null
  }
  if (!isBelow(row, reader) || !readers.active.has(reader)) return null
  const walk = openWalk(readers, 'backfill', id)
  const below = takePage(page, id, sinceOf(sync, walk), sync.ranges)
  const knownTopId = topBelow(readers, id)
  const whole = { ...below, rows: [row, ...below.rows] }
  const taken = upToBeginning(readers, whole, knownTopId)
  readers.beginnings.set(id, row.parsed.createdS)
  await sync.writer.add({ walk, afterId: id, taken, beginsRange: true })
  const lastId = taken.rows.at(-1)?.parsed.id ?? id
  if (taken.floor.floor !== 'open' || (knownTopId !== null && lastId <= knownTopId)) {
    endLater(readers, walk, taken)
    return null
  }
  const next: Reader = { belowId: id, last: null, lowestS: reader.lowestS }
  advance(readers, next, taken)
  readers.active.add(next)
  const first = await askOn(sync, { page, afterId: id })
  return { purpose: 'backfill', afterId: id, first, begun: { walk, reader: next } }
}
