/** What `doctor` tells of a database besides the record of its runs. */
import { asc, max, sql } from 'drizzle-orm'
import { type Day, parseDay } from '../src/domain/day.ts'
import type { DbOrTx } from './client.ts'
import { bankStatements } from './schema.ts'

/** Up to which day the bank's word reaches. */
export interface StatementsEnd {
  readonly account: string
  /** The last day of the account's latest statement. */
  readonly lastDay: Day
}

export async function loadStatementEnds(db: DbOrTx): Promise<StatementsEnd[]> {
  const found = await db
    .select({ account: bankStatements.account, lastDay: max(bankStatements.toDay) })
    .from(bankStatements)
    .groupBy(bankStatements.account)
    .orderBy(asc(bankStatements.account))
  return found.flatMap(({ account, lastDay }) =>
    lastDay === null ? [] : [{ account, lastDay: parseDay(lastDay) }],
  )
}

/** Settings of the server that decide what survives a power cut, and how much memory it takes. */
const SERVER_SETTINGS = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'data_checksums',
  'shared_buffers',
  'max_connections',
] as const

export type ServerSetting = (typeof SERVER_SETTINGS)[number]

/** By name, in words of the server's own, such as `128MB`. */
export async function loadServerSettings(db: DbOrTx): Promise<ReadonlyMap<ServerSetting, string>> {
  const settings = new Map<ServerSetting, string>()
  for (const name of SERVER_SETTINGS) {
    const [row] = await db.execute<{ value: string }>(sql`select current_setting(${name}) as value`)
    if (row !== undefined) settings.set(name, row.value)
  }
  return settings
}
