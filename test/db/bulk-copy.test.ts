import { sql } from 'drizzle-orm'
import { bigint, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bulkCopy } from '../../db/bulk-copy.ts'
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts'

const parcels = pgTable('parcels', {
  id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  shopName: text().notNull(),
  lineNumber: integer().notNull(),
  amountMinor: bigint({ mode: 'bigint' }),
  extra: jsonb().notNull(),
  state: text().notNull().default('new'),
})

let database: TestDatabase

beforeAll(async () => {
  database = await createEmptyDatabase()
  await database.db.execute(sql`create table parcels (
    id bigint generated always as identity primary key, shop_name text not null,
    line_number integer not null, amount_minor bigint, extra jsonb not null,
    state text not null default 'new', unique (shop_name, line_number))`)
})
afterAll(() => database.drop())
beforeEach(() => database.db.execute(sql`truncate parcels`))

type Parcel = Omit<typeof parcels.$inferInsert, 'shopName'>

const store = (batches: Iterable<readonly Parcel[]>): Promise<number> =>
  database.db.transaction((tx) => bulkCopy(tx, parcels, { shopName: 'Étoile\t1' }, batches))

const stored = async () => {
  const { shopName, lineNumber, amountMinor, extra, state } = parcels
  return database.db
    .select({ shopName, lineNumber, amountMinor, extra, state })
    .from(parcels)
    .orderBy(lineNumber)
}

describe('rows stored by COPY', () => {
  test('are what an insert would have stored', async () => {
    const rows: Parcel[] = [
      { lineNumber: 1, amountMinor: -(2n ** 60n), extra: { a: 'b\n"c"' }, state: 'old' },
      { lineNumber: 2, amountMinor: null, extra: 'a text', state: '' },
      { lineNumber: 3, extra: [1, null], state: '\\N' },
    ]
    expect(await store([rows.slice(0, 2), [], rows.slice(2)])).toBe(3)
    const copied = await stored()
    await database.db.execute(sql`truncate parcels`)
    await database.db.insert(parcels).values(rows.map((row) => ({ ...row, shopName: 'Étoile\t1' })))
    expect(copied).toEqual(await stored())
  })

  test('may be none', async () => {
    expect(await store([])).toBe(0)
    expect(await stored()).toEqual([])
  })

  test('without a column that has a default are refused: COPY fills in none', async () => {
    const rows = [{ lineNumber: 1, extra: {} }]
    await expect(store([rows])).rejects.toThrow(
      'a row for parcels lacks state: COPY fills in no default',
    )
  })

  test('are all refused if one is there already', async () => {
    const row = { lineNumber: 1, extra: {}, state: 'new' }
    await store([[row]])
    const again = store([[{ ...row, lineNumber: 2 }], [row]])
    await expect(again).rejects.toMatchObject({ cause: { code: '23505' } })
    expect(await stored()).toHaveLength(1)
  })
})
