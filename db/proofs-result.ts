/** What a proof finds on its way into its table. */
import { type SQL, sql } from 'drizzle-orm'
import type { Tx } from './client.ts'

/**
 * Stores what a query finds by way of a temporary table, since Postgres lets several workers read for
 * `create table as`, and for no `insert`.
 * @param store one statement or several that read the table by the name they are given.
 * @param name the table's, where a result is needed while another one is made.
 * @returns how many rows the query found; nothing is stored of none.
 */
export async function withResult(
  tx: Tx,
  query: SQL,
  store: (result: SQL) => Promise<unknown>,
  name = 'proof_result',
): Promise<number> {
  const result = sql`pg_temp.${sql.identifier(name)}`
  const { count } = await tx.execute(sql`create temporary table ${result} as ${query}`)
  if (count > 0) await store(result)
  await tx.execute(sql`drop table ${result}`)
  return count
}
