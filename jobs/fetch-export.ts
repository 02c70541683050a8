/**
 * The accounting export of a period: asked for, waited for, archived and stored line by line. The
 * request is on record before it is made, and one that is still open is resumed, so that a run that
 * is killed or gives up waiting costs the provider no second export.
 */
import { createHash } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { lastLedgerChange } from '../db/balance-transactions.ts'
import type { Db } from '../db/client.ts'
import {
  type ExportBounds,
  type ExportRequest,
  findExportRequest,
  markExportFailed,
  markExportPending,
  markExportStored,
  recordExportRequest,
  saveExportLines,
} from '../db/data-exports.ts'
import { dayOfInstant, type EpochSeconds, startOfDay, wallClock } from '../src/domain/day.ts'
import { InputFault, UnavailableFault } from '../src/errors.ts'
import { makeFolder } from '../src/make-folder.ts'
import type { Progress } from '../src/progress.ts'
import { type ProviderClient, RefusedRequest } from '../src/provider/client.ts'
import { type ExportLine, readExportFile } from '../src/provider/export-file.ts'
import {
  createDownloader,
  type Downloader,
  downloadExportCsv,
  fetchDataExport,
  requestAccountingExport,
} from '../src/provider/exports.ts'
import type { DataExport } from '../src/provider/wire.ts'

const FIRST_POLL_MS = 200
const POLL_MS_MAX = 10_000
/** An export that has not come after a day will not come. */
const PENDING_MS_MAX = 24 * 3_600_000
const FILE_BYTES_MAX = 2 * 1024 ** 3
/** Of files that are not whole yet, and of which a kill may leave one behind. */
export const PARTIAL_SUFFIXES = ['.part', '.kept'] as const
/** The zone of the times in the file, whatever the merchant's own. */
const EXPORT_ZONE = 'Europe/Paris'

export interface FetchExportDeps {
  readonly db: Db
  readonly client: ProviderClient
  readonly progress: Progress
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly sleep: (waitMs: number) => Promise<void>
  /** How the file is fetched from another host; by default with the usual retries. */
  readonly downloader?: Downloader
}

export interface FetchExportArgs {
  readonly entity: string
  readonly runId: number
  /** The period, half open. */
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
  /** The end of the day that counts as today: of a period in progress, only what came before is asked. */
  readonly asOfEndS: EpochSeconds
  readonly dataDir: string
  /** How long the provider may take. */
  readonly timeoutSeconds: number
  /** Names and addresses of customers stay in the archived file; the database never has them. */
  readonly keepCustomerData: boolean
}

export interface ExportFetch {
  readonly requestNumber: number
  readonly exportId: string
  /** Of the file as it came. */
  readonly sha256: string
  /** Lines, the header not counted. */
  readonly rows: number
  /** Below `dataDir`, with forward slashes. */
  readonly archivedAs: string
  /** True if it was stored by an earlier run and is still good. */
  readonly reused: boolean
}

/**
 * The bounds that are asked for: the period as far as it has come. Of a period in progress that is up
 * to the last midnight, because of a day that goes on the export and the ledger never hold the same
 * rows; on its first day there is no such midnight, and the day is asked for as it is.
 */
function boundsOf(
  { entity, startS, endS, asOfEndS }: FetchExportArgs,
  nowMs: number,
): ExportBounds {
  const cutS = Math.min(endS, asOfEndS)
  const midnightS = startOfDay(dayOfInstant(Math.floor(nowMs / 1000), EXPORT_ZONE), EXPORT_ZONE)
  const [askedEndS = endS] = [Math.min(cutS, midnightS), cutS].filter((each) => each > startS)
  return { entity, type: 'accounting', startS, endS: askedEndS }
}

/**
 * @throws UnavailableFault if the export is not complete in time (it stays open and the next run
 * resumes it) or cannot be fetched; InputFault if the file is not what was asked for (the next run
 * asks for a new one).
 */
export async function fetchExport(
  deps: FetchExportDeps,
  args: FetchExportArgs,
): Promise<ExportFetch> {
  const bounds = boundsOf(args, deps.now())
  const earlier = await findExportRequest(deps.db, bounds)
  if (earlier !== null) {
    const fetched = await takeUp(deps, args, bounds, earlier)
    if (fetched !== null && (await isStillGood(deps.db, bounds, earlier))) return fetched
  }
  const asked = await askForExport(deps, args, bounds)
  const fetched = await complete(deps, args, asked)
  if (fetched !== null) return fetched
  throw new UnavailableFault(
    `the provider has lost data export ${asked.exportId} of ${args.entity}, which it had just accepted`,
    { hint: 'Run the same command again: a new export is asked for.' },
  )
}

/** What an earlier request has come to; null if a new one is needed. */
async function takeUp(
  deps: FetchExportDeps,
  args: FetchExportArgs,
  bounds: ExportBounds,
  earlier: ExportRequest,
): Promise<ExportFetch | null> {
  const { requestNumber, exportId, state, sha256, rows, archivedAs } = earlier
  if (
    state === 'stored' &&
    exportId !== null &&
    sha256 !== null &&
    rows !== null &&
    archivedAs !== null
  ) {
    return { requestNumber, exportId, sha256, rows, archivedAs, reused: true }
  }
  if (state === 'pending' && exportId !== null) {
    const isOverdue = deps.now() - earlier.requestedAtMs > PENDING_MS_MAX
    const fetched = await complete(deps, args, { bounds, requestNumber, exportId, isOverdue })
    if (fetched !== null) return fetched
  }
  // Whether the provider has seen a request without an id cannot be known; it can only be replaced.
  if (state !== 'failed') await markExportFailed(deps.db, args.entity, requestNumber)
  return null
}

/** An export holds what the ledger holds if it was made after the period and after the last change of its rows. */
async function isStillGood(db: Db, bounds: ExportBounds, request: ExportRequest): Promise<boolean> {
  if (request.requestedAtMs < bounds.endS * 1000) return false
  const changedRunId = await lastLedgerChange(db, bounds.entity, bounds)
  return changedRunId === null || changedRunId <= request.runId
}

interface AskedExport {
  readonly bounds: ExportBounds
  readonly requestNumber: number
  readonly exportId: string
  /** True for one so old that it is looked at once more and not waited for. */
  readonly isOverdue: boolean
}

async function askForExport(
  { db, client, now }: FetchExportDeps,
  { entity, runId }: FetchExportArgs,
  bounds: ExportBounds,
): Promise<AskedExport> {
  const requestNumber = await recordExportRequest(db, bounds, { runId, requestedAtMs: now() })
  try {
    const { id } = await requestAccountingExport(client, bounds)
    await markExportPending(db, entity, requestNumber, id)
    return { bounds, requestNumber, exportId: id, isOverdue: false }
  } catch (error) {
    if (error instanceof RefusedRequest) await markExportFailed(db, entity, requestNumber)
    throw error
  }
}

/** Waits for an export, fetches and stores it; null if the provider does not have it (any more). */
async function complete(
  deps: FetchExportDeps,
  args: FetchExportArgs,
  asked: AskedExport,
): Promise<ExportFetch | null> {
  const step = deps.progress.step(`export of ${args.entity}`, 'rows')
  const ready = await waitFor(deps, args, asked)
  if (ready === null) {
    step.done('not there any more')
    return null
  }
  const archivedAs = archiveName(args.entity, asked.exportId)
  const path = join(args.dataDir, archivedAs)
  const downloaded = `${path}.part`
  const kept = `${path}.kept`
  await makeFolder(dirname(path))
  try {
    const target = { path: downloaded, bytesMax: FILE_BYTES_MAX }
    const { client, downloader = createDownloader() } = deps
    const { sha256 } = await downloadExportCsv(client, downloader, ready, target)
    const isKeptAsItCame = args.keepCustomerData
    if (isKeptAsItCame) await archive(downloaded, path)
    const file: DownloadedExport = {
      // A fault must name the lines of the file as it came, so that is the one to read.
      path: isKeptAsItCame ? path : downloaded,
      archivedAs,
      sha256,
      archiving: isKeptAsItCame ? null : { copy: kept, done: () => archive(kept, path) },
    }
    const rows = await storeLines(deps, args, asked, file, (lines) => step.advance(lines))
    step.done(`${rows} rows`)
    const { requestNumber, exportId } = asked
    return { requestNumber, exportId, sha256, rows, archivedAs, reused: false }
  } finally {
    await rm(downloaded, { force: true })
    await rm(kept, { force: true })
  }
}

async function waitFor(
  { client, now, sleep }: FetchExportDeps,
  { entity, timeoutSeconds }: FetchExportArgs,
  { exportId, isOverdue }: AskedExport,
): Promise<DataExport | null> {
  const deadlineMs = now() + timeoutSeconds * 1000
  for (let waitMs = FIRST_POLL_MS; ; waitMs = Math.min(POLL_MS_MAX, waitMs * 1.5)) {
    const found = await fetchDataExport(client, exportId)
    if (found === null || found.complete) return found
    if (isOverdue) return null
    const leftMs = deadlineMs - now()
    if (leftMs <= 0) throw notComplete(entity, exportId, timeoutSeconds)
    await sleep(Math.min(waitMs, leftMs))
  }
}

function notComplete(entity: string, exportId: string, timeoutSeconds: number): UnavailableFault {
  return new UnavailableFault(
    `data export ${exportId} of ${entity} is not complete after ${timeoutSeconds} s`,
    {
      hint: 'Run the same command again later: the export is resumed, not asked for again. EXPORT_TIMEOUT_SECONDS sets how long a run waits.',
    },
  )
}

/** Under its final name a file stands only when it is whole and on the disk. */
async function archive(whole: string, path: string): Promise<void> {
  await rename(whole, path)
  await syncFolder(dirname(path))
}

/** Makes the new name durable; systems that cannot open a folder do that on their own. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null)
  if (handle === null) return
  try {
    await handle.sync().catch(() => undefined)
  } finally {
    await handle.close()
  }
}

interface DownloadedExport {
  readonly path: string
  readonly archivedAs: string
  /** Of the file as it came. */
  readonly sha256: string
  /** Where to write a copy without customers, and what to do once it is whole; null: there is no need. */
  readonly archiving: { readonly copy: string; readonly done: () => Promise<void> } | null
}

/** All lines or none, together with the state that says they are there. */
async function storeLines(
  { db }: FetchExportDeps,
  args: FetchExportArgs,
  { bounds, requestNumber, exportId }: AskedExport,
  { path, archivedAs, sha256, archiving }: DownloadedExport,
  onLines: (lines: number) => void,
): Promise<number> {
  const isOfPeriod = periodTest(bounds)
  let dated = 0
  let ofPeriod = 0
  async function* counted(): AsyncGenerator<ExportLine[]> {
    const options = archiving === null ? {} : { copyTo: archiving.copy }
    for await (const lines of readExportFile(
      path,
      `data export ${exportId} (${archivedAs})`,
      options,
    )) {
      dated += lines.filter(({ createdLocal }) => createdLocal !== null).length
      ofPeriod += lines.filter(isOfPeriod).length
      yield lines
      onLines(lines.length)
    }
  }
  try {
    return await db.transaction(async (tx) => {
      const rows = await saveExportLines(tx, args.entity, requestNumber, counted())
      if (dated > 0 && ofPeriod === 0) throw foreignPeriod(archivedAs, bounds, dated)
      await archiving?.done()
      await markExportStored(tx, args.entity, requestNumber, { archivedAs, sha256, rows })
      return rows
    })
  } catch (error) {
    if (error instanceof InputFault) {
      await archiving?.done()
      await markExportFailed(db, args.entity, requestNumber, archivedAs)
    }
    throw error
  }
}

/** Whether a line's own time lies in the bounds; both ends count, as the provider does not say which do. */
function periodTest({ startS, endS }: ExportBounds): (line: ExportLine) => boolean {
  const from = wallClock(startS, EXPORT_ZONE)
  const to = wallClock(endS, EXPORT_ZONE)
  return ({ createdLocal }) => createdLocal !== null && from <= createdLocal && createdLocal <= to
}

function foreignPeriod(
  archivedAs: string,
  { startS, endS }: ExportBounds,
  lines: number,
): InputFault {
  return new InputFault(
    `${archivedAs}: none of its ${lines} dated lines lies in the period that was asked for, ${wallClock(startS, EXPORT_ZONE)} to ${wallClock(endS, EXPORT_ZONE)}`,
    {
      hint: 'Nothing of this export was taken. Run the same command again: a new export is asked for.',
    },
  )
}

/** Below DATA_DIR, of an export's file: a name that every file system takes, and that cannot lead out of the archive. */
export function archiveName(entity: string, exportId: string): string {
  const plain = entity.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, 60)
  // Two entities whose names differ only in what was replaced must not share a folder.
  const mark = createHash('sha256').update(entity).digest('hex').slice(0, 8)
  return `archive/${plain === entity ? entity : `${plain}-${mark}`}/${exportId}.csv`
}
