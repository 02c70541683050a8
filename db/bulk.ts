/**
 * The door for rows in bulk: one statement per batch, the rows as one JSON parameter. Rows that
 * already stand as they are write nothing.
 */
import { type InferInsertModel, type SQL, getTableColumns, getTableName, sql } from 'drizzle-orm'
import { CasingCache } from 'drizzle-orm/casing'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { DbOrTx } from './client.ts'

/** Rows in one statement: large enough for speed, small enough for memory. */
export const BATCH_ROWS_MAX = 5_000

type Row<T extends PgTable> = InferInsertModel<T>

export interface BulkOptions<T extends PgTable> {
  /** The columns whose equality means "the same row": a primary key or unique index. */
  readonly conflict: readonly (keyof Row<T> & string)[]
  /** Columns taken over from the new row where it differs; none: a row that is there is left alone. */
  readonly update?: readonly (keyof Row<T> & string)[]
  /** Columns of `update` that alone are no reason to write, such as the run that saw the row. */
  readonly updateOnlyWithOthers?: readonly (keyof Row<T> & string)[]
}

const casing = new CasingCache('snake_case')

/** The name of a column in SQL. */
function columnName(column: PgColumn): string {
  return casing.getColumnCasing(column)
}

/**
 * Inserts rows, or updates those that differ.
 * @returns how many rows were inserted or changed.
 */
export async function bulkUpsert<T extends PgTable>(
  db: DbOrTx,
  table: T,
  rows: readonly Row<T>[],
  options: BulkOptions<T>,
): Promise<number> {
  let written = 0
  for (let from = 0; from < rows.length; from += BATCH_ROWS_MAX) {
    const statement = bulkStatement(table, rows.slice(from, from + BATCH_ROWS_MAX), options)
    written += (await db.execute(statement)).count
  }
  return written
}

function bulkStatement<T extends PgTable>(
  table: T,
  rows: readonly Row<T>[],
  options: BulkOptions<T>,
): SQL {
  const columns: Record<string, PgColumn> = getTableColumns(table)
  const given = Object.keys(columns).filter((name) => rows.some((row) => name in row))
  const named = (name: string): PgColumn => {
    const column = columns[name]
    if (column === undefined) throw new Error(`table ${getTableName(table)} has no column ${name}`)
    return column
  }
  const list = (names: readonly string[]): SQL =>
    sql.join(
      names.map((name) => sql.identifier(columnName(named(name)))),
      sql`, `,
    )
  const types = sql.join(
    given.map((name) => sql`${sql.identifier(name)} ${sql.raw(jsonType(named(name)))}`),
    sql`, `,
  )
  const values = sql.join(
    given.map((name) => sql`given.${sql.identifier(name)}`),
    sql`, `,
  )
  return sql`insert into ${table} (${list(given)})
    select ${values} from jsonb_to_recordset(${toJson(rows)}::text::jsonb) as given(${types})
    on conflict (${list(options.conflict)}) ${onConflict(table, options, named)}`
}

/** The column's type without its collation, which a record definition does not take. */
function jsonType(column: PgColumn): string {
  return column.getSQLType().replace(/ collate .*$/, '')
}

function onConflict<T extends PgTable>(
  table: T,
  { update = [], updateOnlyWithOthers = [] }: BulkOptions<T>,
  named: (name: string) => PgColumn,
): SQL {
  if (update.length === 0) return sql`do nothing`
  const excluded = (name: string): SQL => sql`excluded.${sql.identifier(columnName(named(name)))}`
  const sets = update.map(
    (name) => sql`${sql.identifier(columnName(named(name)))} = ${excluded(name)}`,
  )
  const reasons = update.filter((name) => !updateOnlyWithOthers.includes(name))
  const stored = sql.join(
    reasons.map((name) => sql`${table}.${sql.identifier(columnName(named(name)))}`),
    sql`, `,
  )
  const fresh = sql.join(reasons.map(excluded), sql`, `)
  return sql`do update set ${sql.join(sets, sql`, `)} where (${stored}) is distinct from (${fresh})`
}

/** JSON in which a bigint is decimal text: Postgres reads it into `bigint` without loss. */
function toJson(rows: readonly object[]): string {
  return JSON.stringify(rows, (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
}
