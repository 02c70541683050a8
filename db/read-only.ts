/** Work that only looks: the server itself refuses everything else. */
import { sql } from 'drizzle-orm'
import type { Db, Tx } from './client.ts'

export interface ReadOnlyOptions {
  /** The role whose rights count meanwhile; null: the account's own. */
  readonly role?: string | null
  /** How long one statement may take before the server ends it; null: as long as it takes. */
  readonly statementTimeoutMs?: number | null
}

/**
 * Runs work in one transaction that the server keeps from writing, on one snapshot: what is stored
 * meanwhile is not seen. Nothing in it can make it writable again, as Postgres allows that only before
 * the first query.
 * @throws what `work` throws; SQLSTATE 25006 if it tries to write, 42501 if the role may not read,
 * 57014 after the timeout.
 */
export function readOnly<T>(
  db: Db,
  work: (tx: Tx) => Promise<T>,
  { role = null, statementTimeoutMs = null }: ReadOnlyOptions = {},
): Promise<T> {
  return db.transaction(
    async (tx) => {
      if (statementTimeoutMs !== null) {
        await tx.execute(sql.raw(`set local statement_timeout = ${Math.ceil(statementTimeoutMs)}`))
      }
      if (role !== null) await tx.execute(sql`set local role ${sql.identifier(role)}`)
      return work(tx)
    },
    { isolationLevel: 'repeatable read', accessMode: 'read only' },
  )
}
