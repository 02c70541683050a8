/** An embedded server that only ever runs for moments, as it does night after night. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, type Db } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { keepUp } from '../../db/embedded-upkeep.ts'

let dataDir: string

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'alma-upkeep-'))
})

afterAll(async () => {
  await rm(dataDir, { recursive: true, force: true })
})

/** Starts the server, works, and stops it again: one night. */
async function night<T>(work: (db: Db) => Promise<T>): Promise<T> {
  const server = await startEmbedded({ dataDir, settings: { fsync: 'off' } })
  const connection = connect(server.address)
  try {
    return await work(connection.db)
  } finally {
    await connection.close()
    await server.release()
  }
}

interface State {
  readonly dead: number
  /** What the planner believes; -1: it knows nothing of the table. */
  readonly rows: number
  readonly analysed: number
  readonly vacuumed: number
}

async function stateOf(db: Db, table: string): Promise<State | undefined> {
  const [row] = await db.execute<{ [K in keyof State]: number }>(sql`
    select n_dead_tup::int as dead, reltuples::int as rows, analyze_count::int as analysed,
      vacuum_count::int as vacuumed
    from pg_stat_user_tables join pg_class on pg_class.oid = relid
    where pg_stat_user_tables.relname = ${table}`)
  return row
}

test('nights of seconds leave no dead rows behind, and the planner knows the tables', async () => {
  await night((db) =>
    db.execute(
      sql`create table payments as select g as id, 0 as run from generate_series(1, 500) g`,
    ),
  )
  for (let run = 1; run <= 3; run += 1) {
    await night((db) => db.execute(sql`update payments set run = ${run}`))
  }
  const state = await night((db) => stateOf(db, 'payments'))
  // What the last session changed may be told a moment too late for its own night, not for the next.
  expect(state?.dead).toBeLessThanOrEqual(500)
  expect(state?.vacuumed).toBeGreaterThanOrEqual(2)
  expect(state?.analysed).toBeGreaterThanOrEqual(3)
  expect(state?.rows).toBe(500)
})

test('a night in which nothing changed has nothing to clear up', async () => {
  await night((db) => db.execute(sql`select 1`))
  const before = await night((db) => stateOf(db, 'payments'))
  await night((db) => db.execute(sql`select count(*) from payments`))
  expect(await night((db) => stateOf(db, 'payments'))).toEqual(before)
})

test('a name that needs quotes is no obstacle', async () => {
  await night(async (db) => {
    await db.execute(sql`create table "of ""two"" words" as select generate_series(1, 200) as id`)
  })
  const state = await night((db) => stateOf(db, 'of "two" words'))
  expect(state).toMatchObject({ rows: 200, analysed: 1 })
})

test('a table that is locked is left for another night, and nothing waits for it', async () => {
  const server = await startEmbedded({ dataDir, settings: { fsync: 'off' } })
  const writer = connect(server.address)
  await writer.db.execute(sql`create table runs as select generate_series(1, 500) as id`)
  await writer.db.execute(sql`update payments set run = 99`)
  await writer.close()
  const { db, close } = connect(server.address)
  // A session tells of what it changed when it ends, a moment after it was left.
  await expect.poll(() => stateOf(db, 'payments')).toMatchObject({ dead: 500 })
  const before = await stateOf(db, 'payments')
  await db.transaction(async (tx) => {
    await tx.execute(sql`lock table payments in access exclusive mode`)
    // On another connection of the pool.
    await keepUp(db)
  })
  expect(await stateOf(db, 'payments')).toEqual(before)
  expect(await stateOf(db, 'runs')).toMatchObject({ rows: 500, analysed: 1 })
  await close()
  await server.release()
  expect(await night((later) => stateOf(later, 'payments'))).toMatchObject({ dead: 0 })
})
