/** Requests of data exports, and the lines of those that were stored. */
import { and, desc, eq, sql } from 'drizzle-orm'
import type { EpochSeconds } from '../src/domain/day.ts'
import { bulkCopy } from './bulk-copy.ts'
import type { Db, DbOrTx, Tx } from './client.ts'
import { dataExports, exportLines } from './schema.ts'

/** Which export: one account, one type, from `startS` up to, not including, `endS`. */
export interface ExportBounds {
  readonly entity: string
  readonly type: 'accounting'
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
}

export interface ExportRequest {
  readonly requestNumber: number
  readonly runId: number
  /** When it was asked for. */
  readonly requestedAtMs: number
  /** The provider's id; null until it answered. */
  readonly exportId: string | null
  readonly state: 'asked' | 'pending' | 'stored' | 'failed'
  /** Below DATA_DIR, with forward slashes. */
  readonly archivedAs: string | null
  readonly sha256: string | null
  /** Lines, the header not counted. */
  readonly rows: number | null
}

type NewExportLine = Omit<typeof exportLines.$inferInsert, 'entity' | 'requestNumber'>

/** The newest request of these bounds, whatever became of it; null if there is none. */
export async function findExportRequest(
  db: DbOrTx,
  bounds: ExportBounds,
): Promise<ExportRequest | null> {
  const requests = await db
    .select({
      requestNumber: dataExports.requestNumber,
      runId: dataExports.runId,
      requestedAtMs: sql<number>`extract(epoch from ${dataExports.requestedAt})::float8 * 1000`,
      exportId: dataExports.exportId,
      state: dataExports.state,
      archivedAs: dataExports.archivedAs,
      sha256: dataExports.sha256,
      rows: dataExports.rows,
    })
    .from(dataExports)
    .where(
      and(
        eq(dataExports.entity, bounds.entity),
        eq(dataExports.type, bounds.type),
        eq(dataExports.startS, bounds.startS),
        eq(dataExports.endS, bounds.endS),
      ),
    )
    .orderBy(desc(dataExports.requestNumber))
    .limit(1)
  const [found] = requests
  return found === undefined ? null : { ...found, state: requestState(found.state) }
}

function requestState(text: string): ExportRequest['state'] {
  return text === 'pending' || text === 'stored' || text === 'failed' ? text : 'asked'
}

/**
 * Records that an export is about to be asked for. Not part of any transaction: it must stand even
 * if the process dies with the request on its way.
 * @returns its number.
 */
export async function recordExportRequest(
  db: Db,
  bounds: ExportBounds,
  { runId, requestedAtMs }: { runId: number; requestedAtMs: number },
): Promise<number> {
  const [row] = await db
    .insert(dataExports)
    .values({
      ...bounds,
      runId,
      requestedAt: new Date(requestedAtMs).toISOString(),
      state: 'asked',
    })
    .returning({ requestNumber: dataExports.requestNumber })
  if (row === undefined) throw new Error('the request of a data export was not recorded')
  return row.requestNumber
}

/** The provider answered with the export's id. */
export async function markExportPending(
  db: DbOrTx,
  entity: string,
  requestNumber: number,
  exportId: string,
): Promise<void> {
  await db
    .update(dataExports)
    .set({ state: 'pending', exportId })
    .where(isRequest(entity, requestNumber))
}

/** Nothing more is expected of the request. */
export async function markExportFailed(
  db: DbOrTx,
  entity: string,
  requestNumber: number,
  archivedAs: string | null = null,
): Promise<void> {
  await db
    .update(dataExports)
    .set({ state: 'failed', archivedAs })
    .where(isRequest(entity, requestNumber))
}

/** The whole file is stored, in the same transaction as its lines. */
export async function markExportStored(
  tx: Tx,
  entity: string,
  requestNumber: number,
  file: { archivedAs: string; sha256: string; rows: number },
): Promise<void> {
  await tx
    .update(dataExports)
    .set({ state: 'stored', ...file })
    .where(isRequest(entity, requestNumber))
}

/**
 * Stores lines of a request that has none yet, as they come.
 * @returns how many.
 */
export async function saveExportLines(
  tx: Tx,
  entity: string,
  requestNumber: number,
  batches: AsyncIterable<readonly NewExportLine[]>,
): Promise<number> {
  const [request] = await tx
    .select({ requestNumber: dataExports.requestNumber })
    .from(dataExports)
    .where(isRequest(entity, requestNumber))
    .for('key share')
  if (request === undefined) throw new Error(`there is no request ${requestNumber} of ${entity}`)
  return bulkCopy(tx, exportLines, { entity, requestNumber }, batches)
}

function isRequest(entity: string, requestNumber: number) {
  return and(eq(dataExports.entity, entity), eq(dataExports.requestNumber, requestNumber))
}
