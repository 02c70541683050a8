import { type SQL, sql } from 'drizzle-orm'

/** What one of our advisory locks is about. */
export type LockName =
  | 'server in use'
  | 'migrations'
  /** Held by every run: shared by those over some entities, alone by one over the whole database. */
  | 'run'
  /** What entities have in common: bank files, matches of bank entries, reports and mails of a set. */
  | 'common'
  /** An entity's ledger, exports and payments. */
  | `entity ${string}`
  /** Held by all who take part in a round, each beside the others: it tells whether somebody does. */
  | `round ${number}`
  /** Held by the one of them that writes the report. */
  | `report of round ${number}`

/**
 * The key of one of our advisory locks. Postgres takes numbers; a hash of a name keeps ours apart
 * from those of other programs in the same database. Advisory locks are per database, and with Citus
 * they are the coordinator's.
 */
export function advisoryKey(name: LockName): SQL {
  return sql`hashtextextended(${`alma-reconcile: ${name}`}, 0)`
}
