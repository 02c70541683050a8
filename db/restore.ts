/**
 * Reads a backup (`db/backup.ts`) into an empty database. Nothing of the file is run: the tables come
 * from the migrations that this version has, the file gives rows for them only. So a file that somebody
 * made or changed can hold wrong rows, but no command.
 */
import { createHash } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { ConfigurationFault, InputFault } from '../src/errors.ts'
import {
  columnsOf,
  DATA_BEGINS,
  DATA_ENDS,
  FIRST_LINE,
  JOURNAL,
  looseParts,
  MIGRATION_LINE,
  plainText,
  quoted,
  restartStatement,
  rowsLine,
  SHA256_LINE,
  type TableName,
  tablesAfter,
} from './backup.ts'
import {
  copyFrom,
  databaseErrorCode,
  type Db,
  type DbOrTx,
  type Tx,
  withReadableErrors,
} from './client.ts'
import {
  holdMigrations,
  JOURNAL_DDL,
  migrate,
  MIGRATIONS_FOLDER,
  migrationState,
} from './migrate.ts'

const NEWLINE = 0x0a
/** What one row, or any other line, may have: more than the largest signed file as text. */
const LINE_BYTES_MAX = 256 * 1024 * 1024
const MIGRATIONS_MAX = 10_000
const HINT =
  'Nothing was stored. Copy the file again from where it was made, or use another backup; and make it with `npm run backup`.'

export interface RestoredContents {
  readonly tables: number
  readonly rows: number
}

/**
 * Hands on what a backup holds and, at its end, throws if that is not what it was made with.
 * @param name of the file, for messages.
 * @throws InputFault for a file that is cut off or altered, or no backup.
 */
export async function* checked(
  bytes: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  const lastBytes = SHA256_LINE.length + 65
  let kept: Uint8Array = new Uint8Array(0)
  let isFirst = true
  for await (const piece of bytes) {
    const all = kept.length === 0 ? piece : Buffer.concat([kept, piece])
    if (all.length <= lastBytes) {
      kept = all
      continue
    }
    if (isFirst) refuseOtherFiles(all, name)
    isFirst = false
    const sure = all.subarray(0, all.length - lastBytes)
    kept = all.subarray(sure.length)
    hash.update(sure)
    yield sure
  }
  if (isFirst) refuseOtherFiles(kept, name)
  const last = Buffer.from(kept).toString('latin1')
  if (!last.startsWith(SHA256_LINE) || !last.endsWith('\n')) {
    throw new InputFault(`${name} is cut off: its last line is not the SHA-256 of a backup`, {
      hint: HINT,
    })
  }
  const found = hash.digest('hex')
  const stated = last.slice(SHA256_LINE.length, -1)
  if (found !== stated) {
    throw new InputFault(
      `${name} was altered: its content has the SHA-256 ${found}, and ${stated} was expected`,
      { hint: HINT },
    )
  }
}

function refuseOtherFiles(beginning: Uint8Array, name: string): void {
  const text = Buffer.from(beginning.subarray(0, FIRST_LINE.length)).toString('latin1')
  if (text === FIRST_LINE) return
  throw new InputFault(
    `${name} is no backup of this program: expected "${FIRST_LINE}" at its start`,
    {
      hint: HINT,
    },
  )
}

/**
 * All of the backup or, once this throws, nothing. Afterwards the database is brought to the schema of
 * this version.
 * @param bytes of the file, checked again while they are read.
 * @throws ConfigurationFault if the database has tables; InputFault if the file cannot be trusted, or
 * is of a newer version.
 */
export async function restoreBackup(
  db: Db,
  where: string,
  bytes: AsyncIterable<Uint8Array>,
  name: string,
): Promise<RestoredContents> {
  const restored = await withReadableErrors(where, () =>
    db.transaction(async (tx) => {
      await holdMigrations(tx)
      await refuseUnlessEmpty(tx, where)
      await plainText(tx)
      return await load(tx, readerOf(checked(bytes, name), name), name)
    }),
  )
  await migrate(db, where)
  return restored
}

/** @throws ConfigurationFault if there is any table, whoever made it. */
export async function refuseUnlessEmpty(db: DbOrTx, where: string): Promise<void> {
  const [found] = await db.execute<{ name: string; count: number }>(
    sql`select min(relnamespace::regnamespace || '.' || relname) as name, count(*)::int as count
        from pg_class where relkind in ('r', 'p', 'v', 'm', 'f')
          and relnamespace in (select oid from pg_namespace where nspname in ('public', 'drizzle'))
          and not exists (select from pg_depend
            where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')`,
  )
  if (found === undefined || found.count === 0) return
  throw new ConfigurationFault(
    `the database on ${where} is not empty: it has ${found.count} tables, such as ${found.name}`,
    {
      hint: 'A backup goes into an empty database only, so that nothing is mixed or lost. Create a new one and name it in DATABASE_URL, or name a new folder in DATA_DIR for the embedded one.',
    },
  )
}

async function load(tx: Tx, reader: Reader, name: string): Promise<RestoredContents> {
  const applied = await readHeader(reader, name)
  for (const statement of JOURNAL_DDL) await tx.execute(sql.raw(statement))
  const migrations = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER })
  for (const { sql: statements } of migrations.slice(0, applied)) {
    for (const statement of statements) await tx.execute(sql.raw(statement))
  }
  const tables = await tablesAfter(applied)
  const loose = await looseParts(tx, tables)
  for (const { drop } of loose) await tx.execute(sql.raw(drop))
  const rows = await loadRows(tx, reader, [JOURNAL, ...tables], name)
  for (const { create } of loose) {
    try {
      await tx.execute(sql.raw(create))
    } catch (error) {
      // Unique, foreign key: rows that do not fit together were never in one database.
      if (databaseErrorCode(error)?.startsWith('23') === true)
        throw strange(name, 'rows that do not fit together', 'rows of one database')
      throw error
    }
  }
  for (const table of tables) await tx.execute(sql.raw(`analyze ${quoted(table)}`))
  const state = await migrationState(tx)
  if (state.applied !== applied || state.isForeign) {
    throw strange(name, 'another list of migrations in its rows', 'the one at its start')
  }
  // What follows is for psql; to its end, because only there it is known whether the file is whole.
  while ((await reader.line()) !== null);
  return { tables: tables.length, rows }
}

/** @returns how many of our migrations the database had. */
async function readHeader(reader: Reader, name: string): Promise<number> {
  const shipped = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER })
  let applied = 0
  for (let line = await reader.line(); line !== DATA_BEGINS; line = await reader.line()) {
    if (line === null) throw strange(name, 'no rows', `the line "${DATA_BEGINS}"`)
    if (!line.startsWith(MIGRATION_LINE)) continue
    if (shipped[applied]?.hash !== line.slice(MIGRATION_LINE.length) || applied > MIGRATIONS_MAX) {
      throw new InputFault(
        `${name} was made by a newer version: this one has ${shipped.length} migrations, and the file's number ${applied + 1} is not among them`,
        {
          hint: 'Nothing was stored. Update this program to the version with which the backup was made, or a later one, and run the same command again.',
        },
      )
    }
    applied += 1
  }
  if (applied === 0) throw strange(name, 'no migration at its start', 'at least one')
  return applied
}

const COPY_LINE = /^copy "(\w+)"\."(\w+)" \(("\w+"(?:, "\w+")*)\) from stdin;$/
const RESTART_LINE =
  /^alter (?:table "public"\."(\w+)" alter column "(\w+)"|sequence "drizzle"\."__drizzle_migrations_id_seq") restart with (\d{1,19});$/

async function loadRows(
  tx: Tx,
  reader: Reader,
  tables: readonly TableName[],
  name: string,
): Promise<number> {
  const missing = new Map(tables.map((table) => [quoted(table), table]))
  const all = new Map(missing)
  let sum = 0
  for (let line = await reader.line(); line !== DATA_ENDS; line = await reader.line()) {
    const copied = COPY_LINE.exec(line ?? '')
    const restarted = RESTART_LINE.exec(line ?? '')
    if (copied !== null) {
      const [, schema = '', table = '', columns = ''] = copied
      const target = missing.get(quoted({ schema, name: table }))
      if (target === undefined) {
        throw strange(name, `rows of ${schema}.${table}`, 'each table of its version once')
      }
      missing.delete(quoted(target))
      sum += await loadTable(tx, reader, target, columns, name)
    } else if (restarted !== null) {
      const [, table, column = 'id', next = '1'] = restarted
      const target =
        table === undefined ? JOURNAL : all.get(quoted({ schema: 'public', name: table }))
      if (target === undefined)
        throw strange(name, 'a table that is not ours', 'one of its version')
      await tx.execute(sql.raw(restartStatement(target, column, BigInt(next))))
    } else {
      throw strange(name, 'a line that no backup has', `rows, or the line "${DATA_ENDS}"`)
    }
  }
  const [lacking] = missing.values()
  if (lacking !== undefined) throw strange(name, `no rows of ${lacking.name}`, 'each table once')
  return sum
}

async function loadTable(
  tx: Tx,
  reader: Reader,
  table: TableName,
  columns: string,
  name: string,
): Promise<number> {
  const known = (await columnsOf(tx, table)).map((column) => `"${column}"`).join(', ')
  if (columns !== known) throw strange(name, `other columns of ${table.name}`, known)
  try {
    await copyFrom(tx, sql.raw(`copy ${quoted(table)} (${known}) from stdin`), reader.rows())
  } catch (error) {
    const code = databaseErrorCode(error)
    if (code === null || !/^2[23]/.test(code)) throw error
    throw strange(
      name,
      `rows of ${table.name} that cannot be stored (SQLSTATE ${code})`,
      'its rows',
    )
  }
  const [stored] = await tx.execute<{ rows: number }>(
    sql`select count(*)::float8 as rows from ${sql.raw(quoted(table))}`,
  )
  const rows = stored?.rows ?? 0
  if ((await reader.line()) !== rowsLine(rows)) {
    throw strange(name, `${rows} rows of ${table.name}`, 'as many as the file says it has')
  }
  return rows
}

function strange(name: string, found: string, expected: string): InputFault {
  return new InputFault(`${name}: found ${found}, expected ${expected}`, { hint: HINT })
}

/** The lines of a backup, in turn: single ones, or the rows of a COPY block up to its end. */
interface Reader {
  /** Without its line break; null at the end. */
  line(): Promise<string | null>
  /** Whole rows, several at a time. */
  rows(): AsyncGenerator<string>
}

function readerOf(bytes: AsyncIterator<Uint8Array>, name: string): Reader {
  let pending: Buffer = Buffer.alloc(0)
  const more = async (): Promise<boolean> => {
    const next = await bytes.next()
    if (next.done === true) return false
    pending = pending.length === 0 ? Buffer.from(next.value) : Buffer.concat([pending, next.value])
    if (pending.length <= LINE_BYTES_MAX) return true
    throw strange(name, `a line of more than ${LINE_BYTES_MAX} bytes`, 'shorter ones')
  }
  return {
    async line() {
      let end = pending.indexOf(NEWLINE)
      while (end === -1 && (await more())) end = pending.indexOf(NEWLINE)
      if (end === -1) return null
      const text = pending.toString('utf8', 0, end)
      pending = pending.subarray(end + 1)
      return text
    },
    async *rows() {
      // What is pending begins with a row, or with the end of the block.
      for (;;) {
        if (pending.toString('latin1', 0, 3) === '\\.\n') {
          pending = pending.subarray(3)
          return
        }
        const end = pending.indexOf('\n\\.\n')
        const whole = end === -1 ? pending.lastIndexOf(NEWLINE) + 1 : end + 1
        if (whole > 0) {
          yield pending.toString('utf8', 0, whole)
          pending = pending.subarray(whole)
        }
        if (end === -1 && !(await more())) throw strange(name, 'rows without an end', '"\\."')
      }
    },
  }
}
