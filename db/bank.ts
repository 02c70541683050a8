/** Bank files, statements and entries: how they are stored, once each, and read back. */
import { and, asc, between, eq, exists, gte, lte, ne, type SQL, sql } from 'drizzle-orm'
import { CasingCache } from 'drizzle-orm/casing'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type {
  BalanceState,
  BankEntry,
  BankStatement,
  StoredBankEntry,
  StoredBankStatement,
} from '../src/domain/bank-statement.ts'
import { type Day, maxDay, minDay, parseDay } from '../src/domain/day.ts'
import type { Currency } from '../src/domain/money.ts'
import { copyFrom, type DbOrTx, type Tx } from './client.ts'
import { copyText } from './copy-text.ts'
import { bankEntries, bankFiles, bankStatements, bankSuspects } from './schema.ts'

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

/** What is known of a file's format only when all of it went by. */
export async function finishBankFile(
  tx: Tx,
  fileId: number,
  found: Pick<NewBankFile, 'format' | 'formatVersion'>,
): Promise<void> {
  await tx.update(bankFiles).set(found).where(eq(bankFiles.id, fileId))
}

/**
 * A statement whose entries begin to go by, before anybody knows what it says as a whole: until
 * `storeBankStatement`, its place in the file is negative, and its days are those of one entry.
 */
export async function openBankStatement(
  tx: Tx,
  fileId: number,
  {
    place,
    account,
    currency,
    bookingDay,
  }: Pick<BankEntry, 'account' | 'currency' | 'bookingDay'> & {
    /** 1-based, in the order in which statements are opened. */
    readonly place: number
  },
): Promise<number> {
  return insertStatement(tx, {
    fileId,
    positionInFile: -place,
    account,
    currency,
    fromDay: bookingDay,
    toDay: bookingDay,
    movementMinor: 0n,
    entries: 0,
    balanceState: 'unverifiable',
  })
}

export interface NewBankStatement {
  /** 1-based. */
  readonly positionInFile: number
  readonly statement: Omit<BankStatement, 'entries'> & { readonly entries: readonly unknown[] }
  readonly movementMinor: bigint
  readonly balanceState: BalanceState
}

/**
 * A statement as a whole.
 * @param openedId the id under which it was opened; null: it was not, as it has no entries.
 * @returns its id.
 */
export async function storeBankStatement(
  tx: Tx,
  fileId: number,
  { positionInFile, statement, movementMinor, balanceState }: NewBankStatement,
  openedId: number | null,
): Promise<number> {
  const row = {
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
  }
  if (openedId === null) return insertStatement(tx, row)
  await tx.update(bankStatements).set(row).where(eq(bankStatements.id, openedId))
  return openedId
}

async function insertStatement(tx: Tx, row: typeof bankStatements.$inferInsert): Promise<number> {
  const [inserted] = await tx
    .insert(bankStatements)
    .values(row)
    .returning({ id: bankStatements.id })
  if (inserted === undefined) throw new Error('a bank statement was not stored')
  return inserted.id
}

/** Those of the days on which an entry of the account in the currency is stored. */
export async function findToldDays(
  tx: Tx,
  { account, currency, days }: { account: string; currency: Currency; days: readonly Day[] },
): Promise<Set<string>> {
  if (days.length === 0) return new Set()
  const isThere = tx
    .select({ one: sql`1` })
    .from(bankEntries)
    .where(
      and(
        eq(bankEntries.account, account),
        eq(bankEntries.currency, currency),
        sql`${bankEntries.bookingDay} = asked.day`,
      ),
    )
  const found = await tx.execute<{ day: string }>(sql`
    select asked.day::text as day from unnest(string_to_array(${days.join(',')}, ',')::date[]) as asked(day)
    where ${exists(isThere)}`)
  return new Set(found.map(({ day }) => day))
}

/** An entry of a file that goes by. */
export interface StagedBankEntry {
  /** Tells the entries of the file apart. */
  readonly number: number
  readonly entry: BankEntry
  readonly fingerprint: string
}

/** Columns that an entry brings along when it is staged. */
const STAGED = [
  'account',
  'bookingDay',
  'valueDay',
  'amountMinor',
  'currency',
  'counterpartyName',
  'counterpartyIban',
  'endToEndId',
  'remittance',
  'bankReference',
  'isReversal',
  'place',
  'position',
  'raw',
] as const satisfies readonly (keyof BankEntry & keyof typeof bankEntries)[]

/** Where the entries of one file wait until all of it is read and it is known which of them are new. */
const staging = sql.identifier('staged_bank_entries')

const casing = new CasingCache('snake_case')

function named(columns: readonly PgColumn[]): SQL {
  return sql.join(
    columns.map((column) => sql.identifier(casing.getColumnCasing(column))),
    sql`, `,
  )
}

const stagedColumns: readonly PgColumn[] = [
  ...STAGED.map((name) => bankEntries[name]),
  bankEntries.fingerprint,
  bankEntries.fingerprintVersion,
]

/** Rows of COPY for the columns that every entry has. */
function entryText(
  first: readonly number[],
  { entry, fingerprint }: StagedBankEntry,
  fingerprintVersion: number,
): string {
  const told = STAGED.map((name) => entry[name])
  return copyText([...first, ...told, fingerprint, fingerprintVersion])
}

/** An entry of which it is known already that it is new. */
export interface NewBankEntry extends StagedBankEntry {
  readonly statementId: number
  readonly fingerprintRank: number
}

/**
 * Stores entries while they go by.
 * @throws what `batches` throws; the transaction can only be rolled back then.
 */
export async function copyBankEntries(
  tx: Tx,
  batches: Iterable<readonly NewBankEntry[]>,
  fingerprintVersion: number,
): Promise<void> {
  const columns = [bankEntries.statementId, bankEntries.fingerprintRank, ...stagedColumns]
  function* chunks(): Generator<string, void, undefined> {
    for (const batch of batches) {
      let chunk = ''
      for (const entry of batch) {
        chunk += entryText([entry.statementId, entry.fingerprintRank], entry, fingerprintVersion)
      }
      yield chunk
    }
  }
  await copyFrom(tx, sql`copy ${bankEntries} (${named(columns)}) from stdin`, chunks())
}

/** Makes room to put aside entries of one file, in a table of this connection. */
export async function prepareStaging(tx: Tx): Promise<void> {
  await tx.execute(
    sql`create temporary table if not exists ${staging} (like ${bankEntries}) on commit delete rows`,
  )
  // Several files may go by in one transaction, as in a dry run.
  await tx.execute(sql`truncate ${staging}`)
}

/** Puts entries aside until all of their file is read and it is known which of them are new. */
export async function stageBankEntries(
  tx: Tx,
  entries: readonly StagedBankEntry[],
  fingerprintVersion: number,
): Promise<void> {
  const columns = [
    bankEntries.id,
    bankEntries.statementId,
    bankEntries.fingerprintRank,
    ...stagedColumns,
  ]
  const rows = entries.map((entry) => entryText([entry.number, 0, 0], entry, fingerprintVersion))
  await copyFrom(tx, sql`copy ${staging} (${named(columns)}) from stdin`, rows)
}

/** A staged entry that is stored. */
export interface ChosenBankEntry {
  readonly number: number
  readonly statementId: number
  readonly fingerprintRank: number
}

/**
 * Stores the chosen ones of the staged entries, which were found to be new.
 * @throws Error if one of them was not staged; the server's error if one is there already.
 */
export async function storeStagedEntries(
  tx: Tx,
  chosen: readonly ChosenBankEntry[],
): Promise<void> {
  if (chosen.length === 0) return
  const { count } = await tx.execute(sql`
    insert into ${bankEntries} (${named([bankEntries.statementId, bankEntries.fingerprintRank, ...stagedColumns])})
    select chosen.statement_id, chosen.rank, ${named(stagedColumns)}
    from ${staging} join ${given(chosen)} on chosen.number = ${staging}.id`)
  if (count !== chosen.length) {
    throw new Error(`${count} of ${chosen.length} new bank entries were stored`)
  }
}

/** A staged entry that is probably known in other words. */
export interface SuspectedBankEntry extends ChosenBankEntry {
  readonly knownStatementId: number
}

/** Keeps suspects, each once: those that an earlier file brought are left as they are. */
export async function storeStagedSuspects(
  tx: Tx,
  suspects: readonly SuspectedBankEntry[],
): Promise<void> {
  if (suspects.length === 0) return
  const columns = [
    bankSuspects.statementId,
    bankSuspects.knownStatementId,
    bankSuspects.fingerprintRank,
    ...stagedColumns,
  ]
  await tx.execute(sql`
    insert into ${bankSuspects} (${named(columns)})
    select chosen.statement_id, chosen.known_statement_id, chosen.rank, ${named(stagedColumns)}
    from ${staging} join ${given(suspects)} on chosen.number = ${staging}.id
    on conflict do nothing`)
}

/** Numbers as a table called `chosen`, whatever their number: three parameters and one more. */
function given(rows: readonly (ChosenBankEntry | SuspectedBankEntry)[]): SQL {
  const list = (numbers: readonly number[]): SQL =>
    sql`string_to_array(${numbers.join(',')}, ',')::bigint[]`
  return sql`unnest(
    ${list(rows.map(({ number }) => number))},
    ${list(rows.map(({ statementId }) => statementId))},
    ${list(rows.map(({ fingerprintRank }) => fingerprintRank))},
    ${list(rows.map((row) => ('knownStatementId' in row ? row.knownStatementId : 0)))}
  ) as chosen(number, statement_id, rank, known_statement_id)`
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
    exceptFileId,
  }: {
    account: string
    currency: Currency
    fromDay: Day
    toDay: Day
    fingerprintVersion: number
    /** What this file brought is left out. */
    exceptFileId: number
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
        ne(bankStatements.fileId, exceptFileId),
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
    .innerJoin(bankStatements, eq(bankEntries.statementId, bankStatements.id))
    .where(
      and(
        eq(bankEntries.account, account),
        eq(bankEntries.currency, currency),
        eq(bankEntries.fingerprintVersion, fingerprintVersion),
        between(bankEntries.bookingDay, first, last),
        ne(bankStatements.fileId, exceptFileId),
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
