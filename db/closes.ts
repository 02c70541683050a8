/** Periods that were signed off: what was signed, and what differs from it since. */
import { and, asc, eq, gt, gte, inArray, isNull, lt, lte, type SQL, sql } from 'drizzle-orm'
import { type Day, type EpochSeconds, parseDay } from '../src/domain/day.ts'
import type { ClosedPeriod, LateEntry, LateRow } from '../src/domain/facts.ts'
import type { Period } from '../src/domain/period.ts'
import type { DiscrepancyRow, SummaryLine } from '../src/domain/reconciliation.ts'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { DbOrTx, Tx } from './client.ts'
import { rowColumns } from './facts-ledger.ts'
import { epochSecondsOf } from './instants.ts'
import {
  balanceTransactionChanges,
  balanceTransactions as rows,
  bankEntries,
  bankFiles,
  bankStatements,
  bankSuspectDecisions,
  periodCloses as closes,
  runs,
  signedBalanceTransactions as signed,
  signedFiles,
  type SignedDiscrepancy,
  type SignedSummaryLine,
} from './schema.ts'

/** A file of a signed report. */
interface SignedFile {
  readonly name: string
  readonly sha256: string
  readonly content: string
}

/** A period that is signed and was not opened again. */
export interface StandingClose extends ClosedPeriod {
  readonly id: number
  readonly runId: number
  readonly csvDialect: CsvDialect
  readonly manifestSha256: string
}

/** As reports know them. */
type CsvDialect = 'iso' | 'fr'

const standing = isNull(closes.reopenedRunId)

const closeColumns = {
  id: closes.id,
  runId: closes.runId,
  label: closes.period,
  first: closes.firstDay,
  last: closes.lastDay,
  entitySet: closes.entitySet,
  closedBy: closes.closedBy,
  closedS: epochSecondsOf(closes.closedAt),
  csvDialect: closes.csvDialect,
  manifestSha256: closes.manifestSha256,
}

export async function findStandingClose(db: DbOrTx, period: string): Promise<StandingClose | null> {
  const [found] = await db
    .select(closeColumns)
    .from(closes)
    .where(and(eq(closes.period, period), standing))
  return found === undefined ? null : toClose(found)
}

function toClose({
  entitySet,
  first,
  last,
  csvDialect,
  ...close
}: {
  id: number
  runId: number
  label: string
  first: string
  last: string
  entitySet: string
  closedBy: string
  closedS: number
  csvDialect: string
  manifestSha256: string
}): StandingClose {
  return {
    ...close,
    csvDialect: csvDialect === 'fr' ? 'fr' : 'iso',
    first: parseDay(first),
    last: parseDay(last),
    entities: entitySet.split('|'),
  }
}

export interface NewClose {
  readonly period: Period
  readonly entitySet: string
  readonly by: string
  readonly reason: string | null
  readonly runId: number
  readonly reportAsOf: Day
  readonly manifestSha256: string
  readonly csvDialect: CsvDialect
  readonly controlTotals: readonly SummaryLine[]
  readonly discrepancies: readonly DiscrepancyRow[]
  readonly files: readonly SignedFile[]
  /** The period's bounds, half open. */
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
}

/** Signs a period: its report to the byte, and its ledger rows as they stand now. */
export async function insertClose(tx: Tx, close: NewClose): Promise<number> {
  const { period, entitySet, runId, files, startS, endS } = close
  const [row] = await tx
    .insert(closes)
    .values({
      period: period.label,
      firstDay: period.first,
      lastDay: period.last,
      startS,
      endS,
      entitySet,
      closedBy: close.by,
      reason: close.reason,
      runId,
      reportAsOf: close.reportAsOf,
      manifestSha256: close.manifestSha256,
      csvDialect: close.csvDialect,
      controlTotals: close.controlTotals.map(toSignedLine),
      discrepancies: close.discrepancies.map(toSignedDiscrepancy),
    })
    .returning({ id: closes.id })
  if (row === undefined) throw new Error('the database did not return the id of the close')
  const closeId = row.id
  await tx.insert(signedFiles).values(files.map((file) => ({ ...file, closeId })))
  // One statement within the database: the rows of a month need not pass through here.
  await tx.insert(signed).select(
    tx
      .select({
        entity: rows.entity,
        closeId: sql<number>`${closeId}::bigint`.as('close_id'),
        id: rows.id,
        kind: rows.kind,
        currency: rows.currency,
        amountMinor: rows.amountMinor,
        feeMinor: rows.feeMinor,
        netMinor: rows.netMinor,
        paymentId: rows.paymentId,
        refundId: rows.refundId,
        payoutId: rows.payoutId,
        includedInPayoutId: rows.includedInPayoutId,
      })
      .from(rows)
      .where(
        and(
          inArray(rows.entity, entitySet.split('|')),
          isNull(rows.vanishedRunId),
          gte(rows.createdS, startS),
          lt(rows.createdS, endS),
        ),
      ),
  )
  return closeId
}

export interface Reopening {
  readonly closeId: number
  readonly runId: number
  readonly by: string
  readonly reason: string
}

/** Opens a period again; the record of the close stays. */
export async function reopenClose(
  tx: Tx,
  { closeId, runId, by, reason }: Reopening,
): Promise<void> {
  const reopened = await tx
    .update(closes)
    .set({
      reopenedRunId: runId,
      reopenedBy: by,
      reopenReason: reason,
      reopenedAt: sql`statement_timestamp()`,
    })
    .where(and(eq(closes.id, closeId), standing))
    .returning({ id: closes.id })
  if (reopened.length !== 1) throw new Error(`close ${closeId} cannot be opened again`)
}

/** What was signed. */
export interface SignedReport {
  readonly files: readonly SignedFile[]
  readonly controlTotals: readonly SummaryLine[]
  readonly discrepancies: readonly DiscrepancyRow[]
}

export async function loadSignedReport(db: DbOrTx, closeId: number): Promise<SignedReport> {
  const [found] = await db
    .select({ controlTotals: closes.controlTotals, discrepancies: closes.discrepancies })
    .from(closes)
    .where(eq(closes.id, closeId))
  if (found === undefined) throw new Error(`there is no close ${closeId}`)
  const files = await db
    .select({ name: signedFiles.name, sha256: signedFiles.sha256, content: signedFiles.content })
    .from(signedFiles)
    .where(eq(signedFiles.closeId, closeId))
    .orderBy(asc(signedFiles.name))
  return {
    files,
    controlTotals: found.controlTotals.map((line) => ({
      ...line,
      amountMinor: toMinor(line.amountMinor),
    })),
    discrepancies: found.discrepancies.map((row) => ({
      ...row,
      differenceMinor: toMinor(row.differenceMinor),
      expectedMinor: toMinor(row.expectedMinor),
      actualMinor: toMinor(row.actualMinor),
    })),
  }
}

function toSignedLine(line: SummaryLine): SignedSummaryLine {
  return { ...line, amountMinor: toText(line.amountMinor) }
}

function toSignedDiscrepancy(row: DiscrepancyRow): SignedDiscrepancy {
  return {
    ...row,
    differenceMinor: toText(row.differenceMinor),
    expectedMinor: toText(row.expectedMinor),
    actualMinor: toText(row.actualMinor),
  }
}

function toText(amountMinor: bigint | null): string | null {
  return amountMinor === null ? null : amountMinor.toString()
}

function toMinor(text: string | null): bigint | null {
  return text === null ? null : BigInt(text)
}

/** Whom and which day a look at late changes is about. */
export interface LateView {
  readonly entities: readonly string[]
  readonly asOf: Day
}

/**
 * Ledger rows of closed periods that something happened to since the close, in the order of the
 * closes. Whether it is a change that counts, the core decides.
 */
export async function loadLateRows(db: DbOrTx, { entities, asOf }: LateView): Promise<LateRow[]> {
  const late: (LateRow & { readonly closed: StandingClose })[] = []
  for (const entity of [...entities].toSorted()) {
    late.push(...(await loadLateRowsOf(db, entity, asOf)))
  }
  return late.toSorted((a, b) => a.closed.id - b.closed.id)
}

async function loadLateRowsOf(
  db: DbOrTx,
  entity: string,
  asOf: Day,
): Promise<(LateRow & { readonly closed: StandingClose })[]> {
  const changes = balanceTransactionChanges
  // The run that brought the row, or else the first one after the close that saw it change.
  const seenRun = sql`case when ${rows.firstSeenRunId} > ${closes.runId} then ${rows.firstSeenRunId} else coalesce(
    (select min(${changes.runId}) from ${changes} where ${changes.entity} = ${entity}
      and ${changes.transactionId} = ${rows.id} and ${changes.runId} > ${closes.runId}),
    ${rows.changedRunId}) end`
  const found = await db
    .select({
      close: closeColumns,
      entity: rows.entity,
      row: rowColumns,
      isGone: sql<boolean>`${rows.vanishedRunId} is not null`,
      signed: {
        kind: signed.kind,
        currency: signed.currency,
        amountMinor: signed.amountMinor,
        feeMinor: signed.feeMinor,
        netMinor: signed.netMinor,
        paymentId: signed.paymentId,
        refundId: signed.refundId,
        payoutId: signed.payoutId,
        includedInPayoutId: signed.includedInPayoutId,
      },
      isSigned: sql<boolean>`${signed.id} is not null`,
      seenAsOf: seenOn(seenRun),
    })
    .from(closes)
    .innerJoin(
      rows,
      and(
        isOf(rows.entity),
        gte(rows.createdS, closes.startS),
        lt(rows.createdS, closes.endS),
        gt(rows.changedRunId, closes.runId),
      ),
    )
    .leftJoin(
      signed,
      and(eq(signed.entity, rows.entity), eq(signed.closeId, closes.id), eq(signed.id, rows.id)),
    )
    .where(and(standing, eq(rows.entity, entity)))
    .orderBy(asc(closes.id), asc(rows.id))
  return found.flatMap(({ close, signed: figures, isSigned, seenAsOf, ...late }) => {
    if (seenAsOf === null || seenAsOf > asOf) return []
    return [
      {
        ...late,
        closed: toClose(close),
        signed: isSigned ? figures : null,
        seenAsOf: parseDay(seenAsOf),
      },
    ]
  })
}

/** Whether a close is about the entity that a column names. */
function isOf(entity: PgColumn): SQL {
  return sql`${entity} = any(string_to_array(${closes.entitySet}, '|'))`
}

/**
 * The day that counted as today in the first run from `fromRun` on that had one: `import-bank` and
 * decisions take things in without looking at a period, so the next run that does is the one that
 * sees them.
 */
function seenOn(fromRun: SQL): SQL<string | null> {
  return sql`(select seeing.as_of::text from ${runs} as seeing where seeing.id >= ${fromRun}
    and seeing.as_of is not null order by seeing.id limit 1)`
}

/** Bank entries booked in closed periods that came after the close, in the order of the closes. */
export async function loadLateEntries(
  db: DbOrTx,
  { entities, asOf }: LateView,
): Promise<LateEntry[]> {
  const brought = await db
    .select({
      close: closeColumns,
      id: bankEntries.id,
      seenAsOf: seenOn(sql`${bankFiles.runId}`),
    })
    .from(closes)
    .innerJoin(bankFiles, gt(bankFiles.runId, closes.runId))
    .innerJoin(bankStatements, eq(bankStatements.fileId, bankFiles.id))
    .innerJoin(
      bankEntries,
      and(
        eq(bankEntries.statementId, bankStatements.id),
        gte(bankEntries.bookingDay, closes.firstDay),
        lte(bankEntries.bookingDay, closes.lastDay),
      ),
    )
    .where(standing)
    .orderBy(asc(closes.id), asc(bankEntries.id))
  // Entries of a file from before the close that a person admitted after it.
  const admitted = await db
    .select({
      close: closeColumns,
      id: bankEntries.id,
      seenAsOf: seenOn(sql`${bankSuspectDecisions.runId}`),
    })
    .from(closes)
    .innerJoin(bankSuspectDecisions, gt(bankSuspectDecisions.runId, closes.runId))
    .innerJoin(
      bankEntries,
      and(
        eq(bankEntries.id, bankSuspectDecisions.bankEntryId),
        gte(bankEntries.bookingDay, closes.firstDay),
        lte(bankEntries.bookingDay, closes.lastDay),
      ),
    )
    .innerJoin(bankStatements, eq(bankEntries.statementId, bankStatements.id))
    .innerJoin(
      bankFiles,
      and(eq(bankStatements.fileId, bankFiles.id), lte(bankFiles.runId, closes.runId)),
    )
    .where(standing)
    .orderBy(asc(closes.id), asc(bankEntries.id))
  const found = [...brought, ...admitted].toSorted(
    (one, other) => one.close.id - other.close.id || one.id - other.id,
  )
  return found.flatMap(({ close, id, seenAsOf }) => {
    const closed = toClose(close)
    const isAsked = closed.entities.some((entity) => entities.includes(entity))
    if (!isAsked || seenAsOf === null || seenAsOf > asOf) return []
    return [{ closed, bankEntryId: String(id), seenAsOf: parseDay(seenAsOf) }]
  })
}
