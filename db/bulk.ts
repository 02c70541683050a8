/**
 * The door for rows in bulk. Some rows go as one JSON parameter of one statement; more of them go by
 * COPY into a temporary table and from there in one statement, which is several times faster. Rows
 * that already stand as they are write nothing either way.
 */
import { createHash } from 'node:crypto'
import {
  type InferInsertModel,
  type SQL,
  getTableColumns,
  getTableName,
  is,
  sql,
} from 'drizzle-orm'
import { CasingCache } from 'drizzle-orm/casing'
import { PgJsonb, PgTransaction, type PgColumn, type PgTable } from 'drizzle-orm/pg-core'
import { copyFrom, type DbOrTx, type Tx } from './client.ts'
import { copyText, type CopyValue } from './copy-text.ts'

/** How many rows, or ids, one statement gets as parameters. */
export const BATCH_ROWS_MAX = 5_000
/** From here on COPY is faster: below it, its five statements cost more than they save. */
const COPY_ROWS_MIN = 400
/** Rows in the temporary table at once, which holds them in the server's memory or on its disk. */
const STAGED_ROWS_MAX = 100_000
const CHUNK_CHARACTERS = 64 * 1024
const SIGNATURE_CHARACTERS = 12

type Row<T extends PgTable> = InferInsertModel<T>
type ColumnName<T extends PgTable> = keyof Row<T> & string

export interface BulkOptions<T extends PgTable> {
  /** The columns whose equality means "the same row": a primary key or unique index. */
  readonly conflict: readonly ColumnName<T>[]
  /** Columns taken over from the new row where it differs; none: a row that is there is left alone. */
  readonly update?: readonly ColumnName<T>[]
  /** Columns of `update` that alone are no reason to write, such as the run that saw the row. */
  readonly updateOnlyWithOthers?: readonly ColumnName<T>[]
  /** Columns of `update` that are taken over only where one of the columns named for them differs. */
  readonly updateOnlyWith?: { readonly [C in ColumnName<T>]?: readonly ColumnName<T>[] }
}

const casing = new CasingCache('snake_case')

/** The name of a column in SQL. */
function columnName(of: PgColumn): string {
  return casing.getColumnCasing(of)
}

/** A table with those of its columns that rows are given for. */
interface Target<T extends PgTable> {
  readonly table: T
  readonly options: BulkOptions<T>
  readonly columns: Readonly<Record<string, PgColumn>>
  readonly given: readonly string[]
}

/**
 * Inserts rows, or updates those that differ. Of rows that are given twice the last one counts, or
 * the first where nothing is updated.
 * @returns how many rows were inserted or changed.
 */
export async function bulkUpsert<T extends PgTable>(
  db: DbOrTx,
  table: T,
  rows: readonly Row<T>[],
  options: BulkOptions<T>,
): Promise<number> {
  if (rows.length === 0) return 0
  const columns: Record<string, PgColumn> = getTableColumns(table)
  const given = Object.keys(columns).filter((name) => rows.some((row) => name in row))
  const target = { table, options, columns, given }
  const distinct = distinctRows(target, rows)
  if (distinct.length < COPY_ROWS_MIN) {
    return (await db.execute(jsonStatement(target, distinct))).count
  }
  const store = async (tx: Tx): Promise<number> => {
    let written = 0
    for (let from = 0; from < distinct.length; from += STAGED_ROWS_MAX) {
      written += await throughStaging(tx, target, distinct.slice(from, from + STAGED_ROWS_MAX))
    }
    return written
  }
  return isTransaction(db) ? store(db) : db.transaction(store)
}

function isTransaction(db: DbOrTx): db is Tx {
  return is(db, PgTransaction)
}

/**
 * Each key once, because `on conflict` refuses a second one. In the order of the key, which fills an
 * index fastest, but for tables that number their rows as they come.
 */
function distinctRows<T extends PgTable>(
  { columns, options }: Target<T>,
  rows: readonly Row<T>[],
): Row<T>[] {
  const { conflict, update = [] } = options
  const isNumbered = Object.values(columns).some(
    ({ generatedIdentity }) => generatedIdentity !== undefined,
  )
  const keyed = new Map<string, Row<T>>()
  for (const row of rows) {
    const values: unknown[] = conflict.map((name) => row[name])
    // A unique index takes any number of nulls.
    const key = values.some((value) => value === null || value === undefined)
      ? `\0${keyed.size}`
      : values.map(String).join('\0')
    if (update.length > 0 || !keyed.has(key)) keyed.set(key, row)
  }
  if (isNumbered) return [...keyed.values()]
  return [...keyed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}

/** Rows by COPY into a temporary table of this session, and from there to where they belong. */
async function throughStaging<T extends PgTable>(
  tx: Tx,
  target: Target<T>,
  rows: readonly Row<T>[],
): Promise<number> {
  const staging = stagingName(target)
  const names = list(target, target.given)
  // It stays for the session, as each creation leaves its traces in the server's catalogue.
  await tx.execute(
    sql`create temporary table if not exists ${staging} (${definitions(target, (name) =>
      columnName(column(target, name)),
    )}) on commit delete rows`,
  )
  // Within one transaction several batches may come; to empty what is empty makes new files all the same.
  const left = await tx.execute(sql`select 1 from ${staging} limit 1`)
  if (left.count > 0) await tx.execute(sql`truncate ${staging}`)
  await copyFrom(tx, sql`copy ${staging} (${names}) from stdin`, copyChunks(target, rows))
  const known = await withoutKnown(tx, target, rows)
  const statement = sql`insert into ${target.table} (${names}) select ${names} from ${staging} as given
    ${known}
    on conflict (${list(target, target.options.conflict)}) ${onConflict(target)}`
  return (await tx.execute(statement)).count
}

/**
 * Leaves out staged rows that stand as they are: a conflict locks the row that it finds, which writes
 * to the table and its log, even where nothing is to be changed by it. Rows of which neither the first
 * nor the last is there are taken for new, and are not looked up twice.
 */
async function withoutKnown<T extends PgTable>(
  tx: Tx,
  target: Target<T>,
  rows: readonly Row<T>[],
): Promise<SQL> {
  const { table, options } = target
  const reasons = reasonsToWrite(options)
  if (reasons.length === 0 || !(await isKnownAtAnEnd(tx, target, rows)) || (await isCitus(tx))) {
    return sql``
  }
  const key = options.conflict.map((name) => {
    const stored = sql`stored.${identifierOf(target, name)}`
    const same = rows[0]?.[name]
    // With one entity in all of them, the look-up says so.
    return rows.every((row) => row[name] === same)
      ? sql`${stored} = ${bound(target, name, same)}`
      : sql`${stored} = given.${identifierOf(target, name)}`
  })
  // `offset 0` has each row looked up by its key: the planner knows nothing of what is staged, and
  // would rather read the whole table.
  return sql`where not exists (select 1 from ${table} as stored
    where ${sql.join(key, sql` and `)}
      and not ${differ(target, sql`stored`, sql`given`, reasons)} offset 0)`
}

async function isKnownAtAnEnd<T extends PgTable>(
  tx: Tx,
  target: Target<T>,
  rows: readonly Row<T>[],
): Promise<boolean> {
  const ends = [rows[0], rows.at(-1)].map((row) => {
    const key = target.options.conflict.map(
      (name) => sql`${identifierOf(target, name)} = ${bound(target, name, row?.[name])}`,
    )
    return sql`(${sql.join(key, sql` and `)})`
  })
  const found = await tx.execute(
    sql`select 1 from ${target.table} where ${sql.join(ends, sql` or `)} limit 1`,
  )
  return found.count > 0
}

/** A value as a parameter, as its column writes it. */
function bound<T extends PgTable>(target: Target<T>, name: string, value: unknown): SQL {
  return sql`${sql.param(value ?? null, column(target, name))}`
}

/** Citus joins no local rows with a distributed table row by row. */
async function isCitus(tx: Tx): Promise<boolean> {
  return (await tx.execute(sql`select 1 from pg_extension where extname = 'citus'`)).count > 0
}

/** One name for each table and set of columns, as a session may store several sets of one table. */
function stagingName<T extends PgTable>({ table, given }: Target<T>): SQL {
  const signature = createHash('sha256').update(given.join()).digest('hex')
  const name = `staging_${signature.slice(0, SIGNATURE_CHARACTERS)}_${getTableName(table)}`
  return sql`pg_temp.${sql.identifier(name)}`
}

function* copyChunks<T extends PgTable>(
  target: Target<T>,
  rows: readonly Row<T>[],
): Generator<string> {
  const cells = target.given.map((name) => [name, is(column(target, name), PgJsonb)] as const)
  let chunk = ''
  for (const row of rows) {
    chunk += copyText(cells.map(([name, isJson]) => cellOf(row, name, isJson)))
    if (chunk.length < CHUNK_CHARACTERS) continue
    yield chunk
    chunk = ''
  }
  if (chunk !== '') yield chunk
}

function cellOf(row: Readonly<Record<string, unknown>>, name: string, isJson: boolean): CopyValue {
  const value = row[name]
  if (value === undefined || value === null) return null
  if (isJson) return jsonText(value)
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
      return value
    default:
      throw new Error(`COPY cannot write what ${name} holds`)
  }
}

/** The door's JSON, in which a bigint is decimal text; without any, which is nearly always, it is faster. */
function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return toJson(value)
  }
}

function jsonStatement<T extends PgTable>(target: Target<T>, rows: readonly Row<T>[]): SQL {
  const types = definitions(target, (name) => name)
  const values = sql.join(
    target.given.map((name) => sql`given.${sql.identifier(name)}`),
    sql`, `,
  )
  return sql`insert into ${target.table} (${list(target, target.given)})
    select ${values} from jsonb_to_recordset(${toJson(rows)}::text::jsonb) as given(${types})
    on conflict (${list(target, target.options.conflict)}) ${onConflict(target)}`
}

function column<T extends PgTable>({ table, columns }: Target<T>, name: string): PgColumn {
  const found = columns[name]
  if (found === undefined) throw new Error(`table ${getTableName(table)} has no column ${name}`)
  return found
}

function list<T extends PgTable>(target: Target<T>, names: readonly string[]): SQL {
  return sql.join(
    names.map((name) => sql.identifier(columnName(column(target, name)))),
    sql`, `,
  )
}

/** Names and types of the given columns, without collations, which a record definition does not take. */
function definitions<T extends PgTable>(target: Target<T>, nameOf: (name: string) => string): SQL {
  return sql.join(
    target.given.map((name) => {
      const type = column(target, name)
        .getSQLType()
        .replace(/ collate .*$/, '')
      return sql`${sql.identifier(nameOf(name))} ${sql.raw(type)}`
    }),
    sql`, `,
  )
}

function onConflict<T extends PgTable>(target: Target<T>): SQL {
  const { table, options } = target
  const { update = [] } = options
  if (update.length === 0) return sql`do nothing`
  const updateOnlyWith: Readonly<Record<string, readonly string[] | undefined>> =
    options.updateOnlyWith ?? {}
  const sqlName = (name: string): SQL => identifierOf(target, name)
  const differs = (names: readonly string[]): SQL =>
    differ(target, sql`${table}`, sql`excluded`, names)
  const sets = update.map((name) => {
    const reasons = updateOnlyWith[name]
    return reasons === undefined
      ? sql`${sqlName(name)} = excluded.${sqlName(name)}`
      : sql`${sqlName(name)} = case when ${differs(reasons)} then excluded.${sqlName(name)} else ${table}.${sqlName(name)} end`
  })
  return sql`do update set ${sql.join(sets, sql`, `)} where ${differs(reasonsToWrite(options))}`
}

/** The columns of which one that differs is enough to write a row. */
function reasonsToWrite<T extends PgTable>({
  update = [],
  updateOnlyWithOthers = [],
  updateOnlyWith = {},
}: BulkOptions<T>): readonly string[] {
  return update.filter(
    (name) => !updateOnlyWithOthers.includes(name) && updateOnlyWith[name] === undefined,
  )
}

/** Whether two rows differ in one of these columns; null is a value like others. */
function differ<T extends PgTable>(
  target: Target<T>,
  stored: SQL,
  fresh: SQL,
  names: readonly string[],
): SQL {
  const of = (row: SQL): SQL =>
    sql.join(
      names.map((name) => sql`${row}.${identifierOf(target, name)}`),
      sql`, `,
    )
  return sql`(${of(stored)}) is distinct from (${of(fresh)})`
}

function identifierOf<T extends PgTable>(target: Target<T>, name: string): SQL {
  return sql`${sql.identifier(columnName(column(target, name)))}`
}

/** JSON in which a bigint is decimal text: Postgres reads it into `bigint` without loss. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'bigint' ? each.toString() : each,
  )
}
