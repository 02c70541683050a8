/**
 * Raw payloads that are older than anybody needs: what they were read into stays, and with it every
 * figure of every report.
 */
import { and, asc, count, eq, exists, isNotNull, lt, lte, ne, sql } from 'drizzle-orm'
import type { Day, EpochSeconds } from '../src/domain/day.ts'
import type { DbOrTx, Tx } from './client.ts'
import {
  balanceTransactions,
  bankEntries,
  bankSuspects,
  dataExports,
  exportLines,
  providerEvents,
} from './schema.ts'

/** A day, and the instant at which it begins in the business time zone. */
export interface PurgeBounds {
  /** The first day of which everything is kept. */
  readonly before: Day
  readonly beforeS: EpochSeconds
}

/** Rows whose raw payload goes, or went. */
export interface RawPayloads {
  readonly ledgerRows: number
  readonly bankEntries: number
  readonly exportLines: number
  /** Notifications, which go whole: once a night has followed them they say nothing more. */
  readonly events: number
}

/** A ledger row is as old as its creation. Its raw payload is an object of JSON, `{}` once purged. */
function isOldLedgerRow({ beforeS }: PurgeBounds) {
  return and(lt(balanceTransactions.createdS, beforeS), sql`${balanceTransactions.raw} <> '{}'`)
}

/** A bank entry is as old as its booking. Its raw payload is text, empty once purged. */
function isOldBankEntry({ before }: PurgeBounds) {
  return and(lt(bankEntries.bookingDay, before), ne(bankEntries.raw, ''))
}

/**
 * A line of an export is as old as the end of the export's period. What no reader knows of it is kept
 * in `extra`.
 */
function isOldExportLine(db: DbOrTx, { beforeS }: PurgeBounds) {
  const ofOldExport = db
    .select({ one: sql`1` })
    .from(dataExports)
    .where(
      and(
        eq(dataExports.entity, exportLines.entity),
        eq(dataExports.requestNumber, exportLines.requestNumber),
        lte(dataExports.endS, beforeS),
      ),
    )
  return and(exists(ofOldExport), sql`${exportLines.extra} <> '{}'`)
}

function isOldEvent({ beforeS }: PurgeBounds) {
  return sql`${providerEvents.receivedAt} < to_timestamp(${beforeS})`
}

/** What `removeRawPayloads` would remove. */
export async function countRawPayloads(db: DbOrTx, bounds: PurgeBounds): Promise<RawPayloads> {
  const [rows] = await db
    .select({ found: count() })
    .from(balanceTransactions)
    .where(isOldLedgerRow(bounds))
  const [entries] = await db
    .select({ found: count() })
    .from(bankEntries)
    .where(isOldBankEntry(bounds))
  const [lines] = await db
    .select({ found: count() })
    .from(exportLines)
    .where(isOldExportLine(db, bounds))
  const [told] = await db.select({ found: count() }).from(providerEvents).where(isOldEvent(bounds))
  return {
    ledgerRows: rows?.found ?? 0,
    bankEntries: entries?.found ?? 0,
    exportLines: lines?.found ?? 0,
    events: told?.found ?? 0,
  }
}

/**
 * Empties the raw payloads of every entity, also of those that the settings do not name any more.
 * The row itself does not count as changed: `changed_run_id` stays.
 */
export async function removeRawPayloads(tx: Tx, bounds: PurgeBounds): Promise<RawPayloads> {
  // First what is the same on every server: Citus refuses it after work on several servers at once.
  const entries = await tx.update(bankEntries).set({ raw: '' }).where(isOldBankEntry(bounds))
  const rows = await tx.update(balanceTransactions).set({ raw: {} }).where(isOldLedgerRow(bounds))
  await tx
    .update(bankSuspects)
    .set({ raw: '' })
    .where(and(lt(bankSuspects.bookingDay, bounds.before), ne(bankSuspects.raw, '')))
  const lines = await tx.update(exportLines).set({ extra: {} }).where(isOldExportLine(tx, bounds))
  const told = await tx.delete(providerEvents).where(isOldEvent(bounds))
  return {
    ledgerRows: rows.count,
    bankEntries: entries.count,
    exportLines: lines.count,
    events: told.count,
  }
}

/** A data export that the provider has given an id. */
export interface PurgeableExport {
  readonly entity: string
  readonly exportId: string
  /** Below DATA_DIR, with forward slashes; null if the request did not come so far. */
  readonly archivedAs: string | null
}

/** Exports of periods that ended when the day began or earlier, whatever became of them. */
export async function loadExportsBefore(
  db: DbOrTx,
  { beforeS }: PurgeBounds,
): Promise<PurgeableExport[]> {
  const found = await db
    .select({
      entity: dataExports.entity,
      exportId: dataExports.exportId,
      archivedAs: dataExports.archivedAs,
    })
    .from(dataExports)
    .where(and(lte(dataExports.endS, beforeS), isNotNull(dataExports.exportId)))
    .orderBy(asc(dataExports.entity), asc(dataExports.requestNumber))
  return found.flatMap(({ exportId, ...rest }) =>
    exportId === null ? [] : [{ exportId, ...rest }],
  )
}
