import { type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** A `timestamptz` as whole epoch seconds. */
export function epochSecondsOf(column: PgColumn): SQL<number> {
  return sql<number>`floor(extract(epoch from ${column}))`.mapWith(Number)
}
