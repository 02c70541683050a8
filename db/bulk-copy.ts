/** Rows straight into a table, for those that cannot be there already. */
import { type InferInsertModel, getTableColumns, getTableName, sql } from 'drizzle-orm'
import { CasingCache } from 'drizzle-orm/casing'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { copyFrom, type Tx } from './client.ts'
import { copyText, type CopyValue } from './copy-text.ts'

/** What is sent at once: enough that each message costs nothing, little to hold. */
const CHUNK_CHARACTERS = 64 * 1024

type Row<T extends PgTable> = InferInsertModel<T>
type Batches<R> = AsyncIterable<readonly R[]> | Iterable<readonly R[]>

const casing = new CasingCache('snake_case')

/**
 * Stores rows by COPY, one batch in memory at a time: the next one is asked for when the last one is
 * on its way to the server. A row that is there already is an error of the whole.
 * @param same the columns that are equal in all rows.
 * @param batches the other columns, all of them that have a default: COPY fills in none.
 * @returns how many rows were stored.
 */
export async function bulkCopy<T extends PgTable, S extends Partial<Row<T>>>(
  tx: Tx,
  table: T,
  same: S,
  batches: Batches<Omit<Row<T>, keyof S>>,
): Promise<number> {
  const columns = columnsOf(table, same)
  const names = columns.map(({ column }) => sql.identifier(casing.getColumnCasing(column)))
  let rows = 0
  async function* chunks(): AsyncGenerator<string> {
    const values: CopyValue[] = []
    let chunk = ''
    for await (const batch of batches) {
      for (const row of batch) {
        columns.forEach((column, place) => (values[place] = valueIn(row, column)))
        chunk += copyText(values)
        if (chunk.length < CHUNK_CHARACTERS) continue
        yield chunk
        chunk = ''
      }
      rows += batch.length
    }
    if (chunk !== '') yield chunk
  }
  await copyFrom(tx, sql`copy ${table} (${sql.join(names, sql`, `)}) from stdin`, chunks())
  return rows
}

interface CopyColumn {
  readonly name: string
  readonly column: PgColumn
  /** The value in all rows; null: each has its own. */
  readonly same: CopyValue
}

function columnsOf(table: PgTable, same: Readonly<Record<string, unknown>>): CopyColumn[] {
  return Object.entries<PgColumn>(getTableColumns(table))
    .filter(
      ([, { generated, generatedIdentity }]) => (generated ?? generatedIdentity) === undefined,
    )
    .map(([name, column]) => ({ name, column, same: driverValue(column, same[name]) }))
}

function valueIn(
  row: Readonly<Record<string, unknown>>,
  { name, column, same }: CopyColumn,
): CopyValue {
  if (same !== null) return same
  const value = driverValue(column, row[name])
  if (value !== null || !column.hasDefault) return value
  throw new Error(`a row for ${getTableName(column.table)} lacks ${name}: COPY fills in no default`)
}

/** The value as the column's own mapping gives it to the driver, such as JSON as text. */
function driverValue(column: PgColumn, value: unknown): CopyValue {
  if (value === undefined || value === null) return null
  const mapped: unknown = column.mapToDriverValue(value)
  switch (typeof mapped) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
      return mapped
    default:
      throw new Error(`COPY cannot write what column ${column.name} holds`)
  }
}
