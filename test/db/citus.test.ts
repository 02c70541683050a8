/**
 * The whole job on a Citus cluster. It needs one: CITUS_URL names a database of its own on the
 * coordinator, which knows its workers; whatever the job made there before is dropped.
 */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eq, getTableName, sql } from 'drizzle-orm'
import { describe, expect, test } from 'vitest'
import { bulkUpsert } from '../../db/bulk.ts'
import { connect, type Db } from '../../db/client.ts'
import { DISTRIBUTED, distributeTables, REFERENCE } from '../../db/distribute.ts'
import { pinMatches } from '../../db/matches.ts'
import { migrate } from '../../db/migrate.ts'
import { payments } from '../../db/schema.ts'
import { ROOT } from '../support/check-schema-drift.ts'
import { liveThrough, openTwoShops } from './every-command.ts'
import { matchOf, storeTwoBankEntries } from './two-bank-entries.ts'

const url = process.env['CITUS_URL'] ?? ''

if (url === '') {
  process.stderr.write(
    'test/db/citus.test.ts: NOT run against Citus, because CITUS_URL is not set. The rules that hold there are checked by test/db/schema-citus.test.ts and test/db/statements.test.ts.\n',
  )
}

describe(url === '' ? 'NOT RUN against Citus: CITUS_URL is not set' : 'on Citus', () => {
  if (url === '') {
    test('a server without Citus is told so by db:distribute, with exit 3, and stays as it is', async () => {
      const shop = await openTwoShops()
      const before = await placements(shop.database.db)
      const refused = await shop.runHere('db:distribute')
      expect(refused).toMatchObject({ exitCode: 3, out: '' })
      expect(refused.err).toMatch(/has no Citus in this database\n→ .*DATABASE_URL/)
      expect(await placements(shop.database.db)).toEqual(before)
    })
    return
  }

  test('every command comes to the same bytes as on one server', async () => {
    const expected = await liveThrough(await openTwoShops())
    const shop = await openTwoShops()
    await forgetAll()
    shop.env['DATABASE_URL'] = url
    expect(await shop.runHere('db:distribute')).toMatchObject({
      exitCode: 0,
      out: expect.stringContaining(`distributed by entity: ${DISTRIBUTED.length} (`),
    })
    expect(await liveThrough(shop)).toEqual(expected)
  }, 600_000)

  test('rows in bulk come by COPY; a bank entry is in one match at most, whichever server has it', async () => {
    await forgetAll()
    await withDb(async (db, where) => {
      await migrate(db, where)
      await distributeTables(db, where)
      const { runId, entries } = await storeTwoBankEntries(db)
      const looked = Array.from({ length: 2_000 }, (_, at) => ({
        entity: at % 2 === 0 ? 'north' : 'south',
        id: `payment_${at}`,
        found: true,
        lookedUpRunId: runId,
      }))
      const options = { conflict: ['entity', 'id'], update: ['found'] } as const
      await bulkUpsert(db, payments, looked, options)
      await bulkUpsert(
        db,
        payments,
        looked.map((row, at) => ({ ...row, found: at > 2 })),
        options,
      )
      expect(await db.$count(payments)).toBe(looked.length)
      expect(await db.$count(payments, eq(payments.found, false))).toBe(3)

      const [first = '', second = ''] = entries
      const pin = (entity: string, payoutId: string, entry: string): Promise<number> =>
        db.transaction((tx) =>
          pinMatches(tx, runId, '2024-W12', [matchOf(entity, payoutId, entry)]),
        )
      expect(await pin('north', 'payout_1', first)).toBe(1)
      await expect(pin('south', 'payout_1', first)).rejects.toThrow('pinned to another match')
      await expect(pin('north', 'payout_1', second)).rejects.toThrow('pinned to another match')
      expect(await pin('south', 'payout_1', second)).toBe(1)
    })
  }, 120_000)

  test('tables with rows in them are distributed, once, and new tables by the migration that makes them', async () => {
    const shop = await openTwoShops()
    await forgetAll()
    shop.env['DATABASE_URL'] = url
    const first = ['reconcile', '--week', '2024-W12', '--as-of', '2024-04-05']
    expect(await shop.runHere(...first)).toMatchObject({ exitCode: 0 })
    expect(await shop.runHere('db:distribute')).toMatchObject({ exitCode: 0 })
    const again = await shop.runHere('db:distribute')
    expect(again.out).toContain(`already: ${DISTRIBUTED.length + REFERENCE.length}`)
    expect((await shop.runHere(...first)).out).toContain('unchanged, byte for byte')
    await withDb(async (db, where) => {
      const standing = await placements(db)
      const folder = await withLaterMigration()
      try {
        await migrate(db, where, folder)
      } finally {
        await rm(folder, { recursive: true })
      }
      expect(await placements(db)).toEqual(standing)
      await db.execute(sql`update balance_transactions set later = 'seen' where entity = 'north'`)
    })
  }, 600_000)
})

/**
 * Our migrations with one more: a column, an index, and tables that are made anew, as those are that
 * a later version brings. @returns the folder.
 */
async function withLaterMigration(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alma-later-'))
  await cp(join(ROOT, 'migrations'), folder, { recursive: true })
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).toSorted()
  const statements = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  const again = statements
    .flatMap((text) => text.split('--> statement-breakpoint'))
    .filter((text) => /"(fetch_rounds|entity_fetches)"/.test(text))
  const later = [
    'alter table balance_transactions add column later text',
    'create index on balance_transactions (entity, later)',
    'drop table entity_fetches, fetch_rounds',
    ...again,
  ]
  await writeFile(join(folder, '9999_later.sql'), later.join('--> statement-breakpoint\n'))
  const path = join(folder, 'meta', '_journal.json')
  const journal = JSON.parse(await readFile(path, 'utf8')) as { entries: { when: number }[] }
  const when = Math.max(...journal.entries.map((entry) => entry.when)) + 1
  const entry = { idx: names.length, version: '7', when, tag: '9999_later', breakpoints: true }
  const entries = [...journal.entries, entry]
  await writeFile(path, JSON.stringify({ ...journal, entries }))
  return folder
}

async function withDb<T>(work: (db: Db, where: string) => Promise<T>): Promise<T> {
  const { db, where, close } = connect({ url })
  try {
    return await work(db, where)
  } finally {
    await close()
  }
}

/** Drops the job's own tables in the database of CITUS_URL. */
async function forgetAll(): Promise<void> {
  await withDb(async (db) => {
    const tables = [...DISTRIBUTED, ...REFERENCE].map((table) =>
      sql.identifier(getTableName(table)),
    )
    // In one statement: Citus would try to gather up what loses its last foreign key.
    await db.execute(sql`drop table if exists ${sql.join(tables, sql`, `)} cascade`)
    await db.execute(sql`drop schema if exists drizzle cascade`)
  })
}

/** Names of the tables, and how each lies. */
async function placements(db: Db): Promise<unknown[]> {
  const [citus] = await db.execute<{ there: boolean }>(
    sql`select to_regclass('pg_catalog.pg_dist_partition') is not null as there`,
  )
  const how =
    citus?.there === true
      ? sql`(select partmethod::text || repmodel::text from pg_dist_partition where logicalrelid = pg_class.oid)`
      : sql`null`
  return [
    ...(await db.execute(
      sql`select relname, ${how} as how from pg_class
          where relkind = 'r' and relnamespace = 'public'::regnamespace order by relname`,
    )),
  ]
}
