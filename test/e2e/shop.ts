/** A merchant with an account at the sandbox, statements in the inbox and a database on a server. */
import { sql } from 'drizzle-orm'
import { onTestFinished } from 'vitest'
import type { Db } from '../../db/client.ts'
import { writeBankFiles } from '../../src/sandbox/bank-files.ts'
import { plantDemo } from '../../src/sandbox/plant.ts'
import { type Sandbox, type SandboxSwitches, startSandbox } from '../../src/sandbox/server.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { openPlace, type Place } from './job.ts'

export const WEEK = '2024-W12'
export const AS_OF = '2024-04-05'
export const RECONCILE = ['reconcile', '--week', WEEK, '--as-of', AS_OF] as const

export interface Shop extends Place {
  readonly sandbox: Sandbox
  readonly database: TestDatabase
}

/** The demo's shop, with all that is wrong in it. */
export function demoWorld(): SandboxWorld {
  const world = createWorld()
  plantDemo(world)
  return world
}

/** Closed when the test is over. */
export async function openShop(
  world: SandboxWorld = demoWorld(),
  switches: Partial<SandboxSwitches> = {},
): Promise<Shop> {
  const shop = await makeShop(world, switches)
  onTestFinished(() => closeShop(shop))
  return shop
}

async function makeShop(world: SandboxWorld, switches: Partial<SandboxSwitches>): Promise<Shop> {
  const [sandbox, database, place] = await Promise.all([
    startSandbox({ world, switches }),
    createTestDatabase(),
    openPlace(),
  ])
  Object.assign(place.env, {
    ALMA_API_KEY: world.accounts[0]?.apiKey ?? '',
    ALMA_API_URL: sandbox.url,
    DATABASE_URL: database.url,
  })
  await writeBankFiles(world, place.inbox)
  return { ...place, sandbox, database }
}

async function closeShop({ sandbox, database, remove }: Shop): Promise<void> {
  await Promise.all([sandbox.close(), database.drop(), remove()])
}

/** The CSV files of the demo's week where nothing gets in the way: what every other way must come to. */
export async function undisturbed(
  world: SandboxWorld = demoWorld(),
): Promise<Record<string, string>> {
  const shop = await makeShop(world, {})
  try {
    const { exitCode, err } = await shop.runHere(...RECONCILE)
    if (exitCode !== 0) throw new Error(`the undisturbed run ended with ${exitCode}: ${err}`)
    return await shop.csvs(WEEK)
  } finally {
    await closeShop(shop)
  }
}

/** How many rows each table holds. */
export async function rowCounts(db: Db): Promise<Record<string, number>> {
  const tables = await db.execute<{ name: string }>(
    sql`select table_name as name from information_schema.tables where table_schema = 'public'`,
  )
  const counts: Record<string, number> = {}
  for (const { name } of tables) {
    const [row] = await db.execute<{ rows: number }>(
      sql`select count(*)::int as rows from ${sql.identifier(name)}`,
    )
    counts[name] = row?.rows ?? 0
  }
  return counts
}
