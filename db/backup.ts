/**
 * A backup: the whole database as one file of plain SQL, which `psql -f` takes into an empty database
 * of any server and which `db/restore.ts` reads. The tables are made by our own migrations, as far as
 * this database has them, so what comes of the file is what the program would have made itself.
 *
 * The file, in lines: what it is (`-- migration HASH`, each); the tables; between DATA_BEGINS and
 * DATA_ENDS the rows, a COPY block a table, each followed by its number of rows, and how identities go
 * on; keys and indexes; last a SHA-256 of all before it. A file without that line was cut.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { type SQL, sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { z } from 'zod'
import { ConfigurationFault } from '../src/errors.ts'
import { copyTo, type Db, type DbOrTx, type Tx, withReadableErrors } from './client.ts'
import { JOURNAL_DDL, MIGRATIONS_FOLDER, migrationState } from './migrate.ts'

export const FIRST_LINE = '-- alma-reconcile backup 1'
export const MIGRATION_LINE = '-- migration '
export const DATA_BEGINS = '-- data begins'
export const DATA_ENDS = '-- data ends'
/** Followed by 64 hexadecimal digits and a line break. */
export const SHA256_LINE = '-- sha256 '

/** How many bytes go to `write` at once, about. */
const CHUNK_BYTES = 256 * 1024
const NEWLINE = 0x0a

export interface BackupContents {
  readonly tables: number
  readonly rows: number
  /** How many migrations the database has had. */
  readonly migrations: number
}

/** A table as SQL names it. */
export interface TableName {
  readonly schema: string
  readonly name: string
}

/** Which migrations a database has had. */
export const JOURNAL: TableName = { schema: 'drizzle', name: '__drizzle_migrations' }

/**
 * Reads the whole database in one snapshot, beside runs that write, and changes nothing.
 * @param where the server, for messages.
 * @param write gets the file piece by piece; the next one is made when it is done.
 * @throws ConfigurationFault for a database that has nothing of ours, or something of a newer version.
 */
export function writeBackup(
  db: Db,
  where: string,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<BackupContents> {
  return withReadableErrors(where, () =>
    db.transaction((tx) => dump(tx, where, write), {
      isolationLevel: 'repeatable read',
      accessMode: 'read only',
    }),
  )
}

async function dump(
  tx: Tx,
  where: string,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<BackupContents> {
  await plainText(tx)
  const { applied, shipped, isForeign } = await migrationState(tx)
  if (applied === 0 || isForeign) throw notOurs(where, applied, shipped)
  const migrations = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).slice(0, applied)
  const tables = await tablesAfter(applied)
  const loose = await looseParts(tx, tables)

  const hash = createHash('sha256')
  const out = async (bytes: Uint8Array): Promise<void> => {
    hash.update(bytes)
    await write(bytes)
  }
  const lines = (...texts: readonly string[]): Promise<void> =>
    out(Buffer.from(texts.map((text) => `${text}\n`).join('')))

  await lines(
    FIRST_LINE,
    '-- Into an empty database: npm run restore -- FILE, or psql -f FILE',
    ...migrations.map(({ hash: migration }) => `${MIGRATION_LINE}${migration}`),
    '\\set ON_ERROR_STOP on',
    'begin;',
    "set local client_encoding = 'UTF8';",
    'set local standard_conforming_strings = on;',
    'set local search_path = public;',
    // Of each name that is longer than Postgres keeps it says so.
    'set local client_min_messages = warning;',
    ...JOURNAL_DDL.map(asStatement),
    ...migrations.flatMap(({ sql: statements }) => statements.map(asStatement)),
    ...loose.map(({ drop }) => asStatement(drop)),
    DATA_BEGINS,
  )
  let rows = 0
  for (const table of [JOURNAL, ...tables]) rows += await dumpTable(tx, table, out, lines)
  for (const { column, table, next } of await identitiesOf(tx, [JOURNAL, ...tables])) {
    await lines(restartStatement(table, column, next))
  }
  await lines(DATA_ENDS)
  await lines(
    ...loose.map(({ create }) => asStatement(create)),
    ...tables.map((table) => `analyze ${quoted(table)};`),
    'commit;',
  )
  await write(Buffer.from(`${SHA256_LINE}${hash.digest('hex')}\n`))
  return { tables: tables.length, rows, migrations: applied }
}

async function dumpTable(
  tx: Tx,
  table: TableName,
  out: (bytes: Uint8Array) => Promise<void>,
  lines: (...texts: readonly string[]) => Promise<void>,
): Promise<number> {
  const columns = (await columnsOf(tx, table)).map((name) => `"${name}"`).join(', ')
  await lines(`copy ${quoted(table)} (${columns}) from stdin;`)
  let rows = 0
  let bytes = 0
  let kept: Uint8Array[] = []
  const flush = async (): Promise<void> => {
    const together = Buffer.concat(kept)
    kept = []
    bytes = 0
    if (together.length > 0) await out(together)
  }
  await copyTo(tx, sql.raw(`copy ${quoted(table)} (${columns}) to stdout`), async (piece) => {
    rows += newlinesIn(piece)
    kept.push(piece)
    bytes += piece.length
    if (bytes >= CHUNK_BYTES) await flush()
  })
  await flush()
  await lines('\\.', rowsLine(rows))
  return rows
}

/** What stands after a COPY block. */
export function rowsLine(rows: number): string {
  return `-- rows ${rows}`
}

/** In the text format of COPY a line break within a value is written otherwise: each one ends a row. */
function newlinesIn(bytes: Uint8Array): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count += 1
  return count
}

/** Values are written in one way whatever the server's or the account's own settings. */
export async function plainText(tx: Tx): Promise<void> {
  await tx.execute(sql`set local datestyle = 'ISO, YMD'`)
  await tx.execute(sql`set local timezone = 'UTC'`)
  await tx.execute(sql`set local client_encoding = 'UTF8'`)
  await tx.execute(sql`set local search_path = public`)
  // Where an administrator limits statements, a whole table takes longer than any of a night.
  await tx.execute(sql`set local statement_timeout = 0`)
}

const journalFile = z.object({
  entries: z.array(z.object({ idx: z.number().int().nonnegative() })),
})
const snapshotFile = z.object({ tables: z.record(z.string(), z.object({ name: z.string() })) })

/** Our tables after the first `applied` migrations, by name; those of others in the database are not ours. */
export async function tablesAfter(applied: number): Promise<TableName[]> {
  const meta = path.join(MIGRATIONS_FOLDER, 'meta')
  const { entries } = journalFile.parse(
    JSON.parse(await readFile(path.join(meta, '_journal.json'), 'utf8')),
  )
  const entry = entries[applied - 1]
  if (entry === undefined) throw new Error(`there is no migration number ${applied}`)
  const file = `${String(entry.idx).padStart(4, '0')}_snapshot.json`
  const { tables } = snapshotFile.parse(JSON.parse(await readFile(path.join(meta, file), 'utf8')))
  return Object.values(tables)
    .map(({ name }) => ({ schema: 'public', name }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

export function quoted({ schema, name }: TableName): string {
  return `"${schema}"."${name}"`
}

function asStatement(statement: string): string {
  return `${statement.trim().replace(/;$/, '')};`
}

export function restartStatement(table: TableName, column: string, next: bigint): string {
  return table.schema === JOURNAL.schema
    ? `alter sequence "${table.schema}"."${table.name}_${column}_seq" restart with ${next};`
    : `alter table ${quoted(table)} alter column "${column}" restart with ${next};`
}

/** The columns that hold something of their own, in the table's order. */
export async function columnsOf(db: DbOrTx, table: TableName): Promise<string[]> {
  const found = await db.execute<{ name: string }>(
    sql`select attname as name from pg_attribute
        where attrelid = ${quoted(table)}::regclass and attnum > 0 and not attisdropped
          and attgenerated = '' order by attnum`,
  )
  return found.map(({ name }) => name)
}

/** The number that each numbered column gives next. */
async function identitiesOf(
  tx: Tx,
  tables: readonly TableName[],
): Promise<{ table: TableName; column: string; next: bigint }[]> {
  const found: { table: TableName; column: string; next: bigint }[] = []
  for (const table of tables) {
    for (const column of await columnsOf(tx, table)) {
      const [row] = await tx.execute<{ sequence: string | null }>(
        sql`select pg_get_serial_sequence(${quoted(table)}, ${column}) as sequence`,
      )
      const sequence = row?.sequence ?? null
      if (sequence === null) continue
      // It comes from the catalogue, with quotes where it needs them.
      const [at] = await tx.execute<{ next: string }>(
        sql`select (last_value + is_called::int)::text as next from ${sql.raw(sequence)}`,
      )
      found.push({ table, column, next: BigInt(at?.next ?? '1') })
    }
  }
  return found
}

/** What is taken away while rows come in, and put back when all are there. */
export interface LoosePart {
  readonly drop: string
  readonly create: string
}

/**
 * Foreign keys and the indexes that are no keys: without them rows come in any order and several times
 * faster, and to put a foreign key back checks every row. In the order in which they go.
 */
export async function looseParts(db: DbOrTx, tables: readonly TableName[]): Promise<LoosePart[]> {
  const ours = sql.join(
    tables.map((table) => sql`${quoted(table)}::regclass`),
    sql`, `,
  )
  const list = async (query: SQL): Promise<LoosePart[]> => [
    ...(await db.execute<{ drop: string; create: string }>(query)),
  ]
  const foreignKeys = await list(
    sql`select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
          format('alter table %s add constraint %I %s', conrelid::regclass, conname,
            pg_get_constraintdef(oid)) as create
        from pg_constraint where contype = 'f' and conparentid = 0 and conrelid in (${ours})
        order by conrelid::regclass::text, conname`,
  )
  const indexes = await list(
    sql`select format('drop index %s', indexrelid::regclass) as drop,
          pg_get_indexdef(indexrelid) as create
        from pg_index where indrelid in (${ours})
          and not exists (select from pg_constraint where conindid = indexrelid)
        order by indexrelid::regclass::text`,
  )
  return [...foreignKeys, ...indexes]
}

function notOurs(where: string, applied: number, shipped: number): ConfigurationFault {
  return applied === 0
    ? new ConfigurationFault(`the database on ${where} is empty: there is nothing to back up`, {
        hint: 'Check DATABASE_URL, or DATA_DIR for the embedded database: this is not where the job stores.',
      })
    : new ConfigurationFault(
        `the database on ${where} has ${applied} migrations, not all of which are among the ${shipped} of this version: a newer version has used it`,
        { hint: 'Make the backup with the version of this program that was used last.' },
      )
}
