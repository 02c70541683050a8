/** Bank files, statements and entries: how they are stored, once each, and read back. */
import { and, asc, between, eq, gte, lte, sql } from 'drizzle-orm'
import type {
  BalanceState,
  BankEntry,
  BankStatement,
  StoredBankEntry,
  StoredBankStatement,
} from '../src/domain/bank-statement.ts'
import { type Day, maxDay, minDay, parseDay } from '../src/domain/day.ts'
import type { Currency } from '../src/domain/money.ts'
import { bulkUpsert } from './bulk.ts'
import type { DbOrTx, Tx } from './client.ts'
import { bankEntries, bankFiles, bankStatements } from './schema.ts'

/** SHA-256 of every file that was taken in, in hexadecimal. */
export async function knownBankFiles(db: DbOrTx): Promise<Set<string>> {
  const rows = await db.select({ sha256: bankFiles.sha256 }).from(bankFiles)
  return new Set(rows.map(({ sha256 }) => sha256))
}

/** Every file that was taken in, in order of name and content. */
export async function loadBankFiles(
  db: DbOrTx,
): Promise<{ name: string; sha256: string; format: string; formatVersion: string | null }[]> {
  return db
    .select({
      name: bankFiles.name,
      sha256: bankFiles.sha256,
      format: bankFiles.format,
      formatVersion: bankFiles.formatVersion,
    })
    .from(bankFiles)
    .orderBy(sql`${bankFiles.name} collate "C"`, asc(bankFiles.sha256))
}

export interface NewBankFile {
  readonly sha256: string
  readonly name: string
  readonly format: string
  readonly formatVersion: string | null
  readonly bytes: number
  readonly runId: number
}

/** @returns the id under which the file's statements are stored. */
export async function insertBankFile(tx: Tx, file: NewBankFile): Promise<number> {
  const [inserted] = await tx.insert(bankFiles).values(file).returning({ id: bankFiles.id })
  if (inserted === undefined) throw new Error(`bank file ${file.name} was not stored`)
  return inserted.id
}

export interface NewBankStatement {
  /** 1-based. */
  readonly positionInFile: number
  readonly statement: Omit<BankStatement, 'entries'> & { readonly entries: readonly unknown[] }
  readonly movementMinor: bigint
  readonly balanceState: BalanceState
}

/** @returns the ids of the statements by their position in the file. */
export async function insertBankStatements(
  tx: Tx,
  fileId: number,
  statements: readonly NewBankStatement[],
): Promise<Map<number, number>> {
  const rows = statements.map(({ positionInFile, statement, movementMinor, balanceState }) => ({
    fileId,
    positionInFile,
    account: statement.account,
    currency: statement.currency,
    statementRef: statement.statementRef,
    sequenceNumber: statement.sequenceNumber,
    fromDay: statement.fromDay,
    toDay: statement.toDay,
    openingMinor: statement.openingMinor,
    closingMinor: statement.closingMinor,
    movementMinor,
    entries: statement.entries.length,
    balanceState,
  }))
  await bulkUpsert(tx, bankStatements, rows, { conflict: ['fileId', 'positionInFile'] })
  const ids = await tx
    .select({ id: bankStatements.id, positionInFile: bankStatements.positionInFile })
    .from(bankStatements)
    .where(eq(bankStatements.fileId, fileId))
  return new Map(ids.map(({ id, positionInFile }) => [positionInFile, id]))
}

export interface NewBankEntry {
  readonly statementId: number
  readonly entry: BankEntry
  readonly fingerprint: string
  readonly fingerprintVersion: number
  readonly fingerprintRank: number
}

/**
 * Stores entries that were found to be new.
 * @throws Error if one of them is there already: then somebody else stored it at the same time.
 */
export async function insertBankEntries(tx: Tx, entries: readonly NewBankEntry[]): Promise<void> {
  const rows = entries.map(({ entry, ...stored }) => ({ ...entry, ...stored }))
  const written = await bulkUpsert(tx, bankEntries, rows, {
    conflict: ['account', 'fingerprintVersion', 'fingerprint', 'fingerprintRank'],
  })
  if (written !== rows.length) {
    throw new Error(
      `${rows.length - written} of ${rows.length} bank entries were stored by somebody else meanwhile`,
    )
  }
}

/** A stored statement as far as new ones are compared with it. */
export interface ComparableStatement {
  readonly id: number
  readonly fileName: string
  readonly fromDay: Day
  readonly toDay: Day
  readonly openingMinor: bigint | null
  readonly closingMinor: bigint | null
  readonly movementMinor: bigint
  readonly balanceState: BalanceState
}

/** A stored entry as far as new ones are compared with it. */
export interface ComparableEntry {
  readonly statementId: number
  readonly bookingDay: Day
  readonly amountMinor: bigint
  readonly fingerprint: string
  readonly fingerprintRank: number
}

/**
 * The statements of an account in one currency that share a day with a span, and the entries booked
 * on any day of the span or of those statements.
 */
export async function loadComparable(
  db: DbOrTx,
  {
    account,
    currency,
    fromDay,
    toDay,
    fingerprintVersion,
  }: {
    account: string
    currency: Currency
    fromDay: Day
    toDay: Day
    fingerprintVersion: number
  },
): Promise<{ statements: ComparableStatement[]; entries: ComparableEntry[] }> {
  const rows = await db
    .select({
      id: bankStatements.id,
      fromDay: bankStatements.fromDay,
      toDay: bankStatements.toDay,
      openingMinor: bankStatements.openingMinor,
      closingMinor: bankStatements.closingMinor,
      movementMinor: bankStatements.movementMinor,
      balanceState: bankStatements.balanceState,
      fileName: bankFiles.name,
    })
    .from(bankStatements)
    .innerJoin(bankFiles, eq(bankStatements.fileId, bankFiles.id))
    .where(
      and(
        eq(bankStatements.account, account),
        eq(bankStatements.currency, currency),
        lte(bankStatements.fromDay, toDay),
        gte(bankStatements.toDay, fromDay),
      ),
    )
    .orderBy(asc(bankStatements.id))
  const statements = rows.map((row) => ({
    ...row,
    fromDay: parseDay(row.fromDay),
    toDay: parseDay(row.toDay),
    balanceState: parseBalanceState(row.balanceState),
  }))
  const first = statements.reduce((day, statement) => minDay(day, statement.fromDay), fromDay)
  const last = statements.reduce((day, statement) => maxDay(day, statement.toDay), toDay)
  const entries = await db
    .select({
      statementId: bankEntries.statementId,
      bookingDay: bankEntries.bookingDay,
      amountMinor: bankEntries.amountMinor,
      fingerprint: bankEntries.fingerprint,
      fingerprintRank: bankEntries.fingerprintRank,
    })
    .from(bankEntries)
    .where(
      and(
        eq(bankEntries.account, account),
        eq(bankEntries.currency, currency),
        eq(bankEntries.fingerprintVersion, fingerprintVersion),
        between(bankEntries.bookingDay, first, last),
      ),
    )
    .orderBy(asc(bankEntries.id))
  return {
    statements,
    entries: entries.map((row) => ({ ...row, bookingDay: parseDay(row.bookingDay) })),
  }
}

function parseBalanceState(text: string): BalanceState {
  if (text === 'verified' || text === 'failed' || text === 'unverifiable') return text
  throw new Error(`the database holds the balance state ${text}, which is none`)
}

/**
 * The entries booked up to a day, in order of account, booking day, fingerprint and rank: an order
 * that does not depend on which file came first.
 */
export async function loadBankEntries(
  db: DbOrTx,
  { upToDay }: { upToDay: Day },
): Promise<StoredBankEntry[]> {
  const rows = await db
    .select({
      id: bankEntries.id,
      fileName: bankFiles.name,
      account: bankEntries.account,
      bookingDay: bankEntries.bookingDay,
      valueDay: bankEntries.valueDay,
      amountMinor: bankEntries.amountMinor,
      currency: bankEntries.currency,
      counterpartyName: bankEntries.counterpartyName,
      counterpartyIban: bankEntries.counterpartyIban,
      endToEndId: bankEntries.endToEndId,
      remittance: bankEntries.remittance,
      bankReference: bankEntries.bankReference,
      isReversal: bankEntries.isReversal,
      place: bankEntries.place,
      position: bankEntries.position,
      fingerprint: bankEntries.fingerprint,
      fingerprintRank: bankEntries.fingerprintRank,
    })
    .from(bankEntries)
    .innerJoin(bankStatements, eq(bankEntries.statementId, bankStatements.id))
    .innerJoin(bankFiles, eq(bankStatements.fileId, bankFiles.id))
    .where(lte(bankEntries.bookingDay, upToDay))
    .orderBy(
      asc(bankEntries.account),
      asc(bankEntries.bookingDay),
      asc(bankEntries.fingerprint),
      asc(bankEntries.fingerprintRank),
    )
  return rows.map((row) => ({
    ...row,
    id: String(row.id),
    bookingDay: parseDay(row.bookingDay),
    valueDay: row.valueDay === null ? null : parseDay(row.valueDay),
    reference: row.bankReference ?? row.endToEndId ?? `${row.fileName}:${row.position}`,
  }))
}

/**
 * The statements that begin up to a day, in order of account, first day, last day, file name and
 * position. A statement that began by then may end later, and its closing balance then holds later
 * entries too.
 */
export async function loadBankStatements(
  db: DbOrTx,
  { upToDay }: { upToDay: Day },
): Promise<StoredBankStatement[]> {
  const rows = await db
    .select({
      id: bankStatements.id,
      fileName: bankFiles.name,
      positionInFile: bankStatements.positionInFile,
      account: bankStatements.account,
      currency: bankStatements.currency,
      statementRef: bankStatements.statementRef,
      sequenceNumber: bankStatements.sequenceNumber,
      fromDay: bankStatements.fromDay,
      toDay: bankStatements.toDay,
      openingMinor: bankStatements.openingMinor,
      closingMinor: bankStatements.closingMinor,
      movementMinor: bankStatements.movementMinor,
      entryCount: bankStatements.entries,
      balanceState: bankStatements.balanceState,
    })
    .from(bankStatements)
    .innerJoin(bankFiles, eq(bankStatements.fileId, bankFiles.id))
    .where(lte(bankStatements.fromDay, upToDay))
    .orderBy(
      asc(bankStatements.account),
      asc(bankStatements.fromDay),
      asc(bankStatements.toDay),
      // By code units on every server, as file names sort in the inbox.
      sql`${bankFiles.name} collate "C"`,
      asc(bankStatements.positionInFile),
    )
  return rows.map((row) => ({
    ...row,
    id: String(row.id),
    fromDay: parseDay(row.fromDay),
    toDay: parseDay(row.toDay),
    balanceState: parseBalanceState(row.balanceState),
  }))
}
