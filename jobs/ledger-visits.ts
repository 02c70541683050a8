/** Reads stored rows again that may have changed where they stand, with as few pages as that takes. */
import { findIdsToVisit, findPagePlace } from '../db/balance-transactions.ts'
import { LEDGER_PAGE_ROWS } from '../src/provider/balance-transactions.ts'
import { isWithin, takePage } from './ledger-page.ts'
import {
  ask,
  askBelow,
  type AskedPage,
  beginWalk,
  endless,
  endWalk,
  type OpenWalk,
  PAGES_MAX,
  type Sync,
  type SyncLedgerArgs,
  walksText,
} from './ledger-session.ts'
import { severalAtOnce } from './several-at-once.ts'

const VISIT_IDS_MAX = 10_000
/** Before every id: what ends there goes down to the end of the list. */
const LEAST_ID = ''

/** Rows near each other that one page should show. */
interface Island {
  /** The id just above the first of them; null: the head of the list. */
  readonly aboveId: string | null
  readonly firstId: string
  readonly lastId: string
}

/** Visits stored rows that may have changed and that this round has not read yet. */
export async function visitRowsAgain(sync: Sync, reread: SyncLedgerArgs['reread']): Promise<void> {
  let walk: OpenWalk | null = null
  try {
    await severalAtOnce(sync.windows, islands(sync, reread), async (island) => {
      walk ??= beginWalk(
        sync,
        'reread',
        island.aboveId,
        sync.progress.step(`ledger of ${sync.entity}, open rows`, 'rows'),
      )
      await visit(sync, walk, island)
    })
  } catch (error) {
    await sync.writer.drain().catch(() => undefined)
    throw error
  }
  await sync.writer.drain()
  await endVisits(sync, walk)
}

async function endVisits(sync: Sync, walk: OpenWalk | null): Promise<void> {
  if (walk === null) return
  await endWalk(sync, walk, 'reread')
  walk.step.done(walksText([walk]))
}

/**
 * The fewest pages that show all rows to visit: each begins with the topmost row that no page shows
 * yet, and what it shows is told by the positions of the stored rows.
 */
async function* islands(sync: Sync, reread: SyncLedgerArgs['reread']): AsyncGenerator<Island> {
  let island: Island | null = null
  let shownDownTo = LEAST_ID
  for await (const id of idsToVisit(sync, reread)) {
    if (island !== null) {
      const open: Island = island
      if (id >= shownDownTo) {
        island = { ...open, lastId: id }
        continue
      }
      yield open
    }
    const place = await sync.inTurn(() => findPagePlace(sync.db, sync.entity, id, LEDGER_PAGE_ROWS))
    shownDownTo = place.lastId ?? LEAST_ID
    island = { aboveId: place.aboveId, firstId: id, lastId: id }
  }
  if (island !== null) yield island
}

/** Newest first. */
async function* idsToVisit(
  { db, entity, visited, inTurn }: Sync,
  reread: SyncLedgerArgs['reread'],
): AsyncGenerator<string> {
  let belowId: string | null = null
  for (let batches = 0; batches < PAGES_MAX; batches += 1) {
    const query = { belowId, reread, limit: VISIT_IDS_MAX }
    const ids: readonly string[] = await inTurn(() => findIdsToVisit(db, entity, query))
    for (const id of ids) {
      if (!visited.some((stretch) => isWithin(stretch, id))) yield id
    }
    belowId = ids.at(-1) ?? null
    if (belowId === null || ids.length < VISIT_IDS_MAX) return
  }
  throw endless(entity)
}

/** Reads on until the place of the last row is shown: one page, unless rows have come in between. */
async function visit(sync: Sync, walk: OpenWalk, island: Island): Promise<void> {
  let { page, afterId } = await askJustAbove(sync, island)
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const taken = takePage(page, afterId, null, sync.ranges)
    await sync.writer.add({ walk, afterId, taken })
    const { stretch, rows } = taken
    if (stretch !== null && isWithin(stretch, island.lastId)) return
    const lastId = rows.at(-1)?.parsed.id ?? null
    // A page that covers neither the row nor anything above it cannot be read past.
    if (lastId === null || lastId <= island.lastId) throw endless(sync.entity)
    afterId = lastId
    page = await ask(sync, afterId)
  }
  throw endless(sync.entity)
}

async function askJustAbove(sync: Sync, { aboveId }: Island): Promise<AskedPage> {
  return aboveId === null ? { page: await ask(sync, null), afterId: null } : askBelow(sync, aboveId)
}
