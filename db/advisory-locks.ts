import { type SQL, sql } from 'drizzle-orm'

/**
 * The key of one of our advisory locks. Postgres takes numbers; a hash of a name keeps ours apart
 * from those of other programs in the same database. Advisory locks are per database.
 */
export function advisoryKey(name: 'server in use' | 'migrations' | 'run'): SQL {
  return sql`hashtextextended(${`alma-reconcile: ${name}`}, 0)`
}
