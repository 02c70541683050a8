import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { connect } from '../../db/client.ts'
import { migrate, migrationState } from '../../db/migrate.ts'
import { ConfigurationFault } from '../../src/errors.ts'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase | null = null

afterEach(async () => {
  await database?.drop()
  database = null
})

describe('migrations', () => {
  test('make the tables in an empty database', async () => {
    database = await createEmptyDatabase()
    expect((await migrationState(database.db)).applied).toBe(0)

    await migrate(database.db, database.where)

    const state = await migrationState(database.db)
    expect(state.applied).toBe(state.shipped)
    expect(state.shipped).toBeGreaterThan(0)
    await database.db.execute(sql`insert into runs (command, app_version) values ('test', '0')`)
  })

  test('change nothing the second time', async () => {
    database = await createTestDatabase()
    const before = await journalOf(database)

    await migrate(database.db, database.where)

    expect(await journalOf(database)).toEqual(before)
  })

  test('are applied once when four processes start at the same moment', async () => {
    database = await createEmptyDatabase()
    const { address, where } = database
    const others = Array.from({ length: 4 }, () => connect(address))
    try {
      await Promise.all(others.map(({ db }) => migrate(db, where)))
    } finally {
      await Promise.all(others.map((connection) => connection.close()))
    }
    const state = await migrationState(database.db)
    expect(await journalOf(database)).toHaveLength(state.shipped)
  })

  test('refuse a database that a newer version has used', async () => {
    database = await createTestDatabase()
    await database.db.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', 9999999999999)`,
    )

    const refused = await migrate(database.db, database.where).catch((error: unknown) => error)

    expect(refused).toBeInstanceOf(ConfigurationFault)
    expect(refused).toHaveProperty(
      'message',
      expect.stringContaining('a newer version has used it'),
    )
  })

  test('refuse a database whose tables come from other migrations', async () => {
    database = await createTestDatabase()
    await database.db.execute(
      sql`update drizzle.__drizzle_migrations set hash = 'other' where id = 1`,
    )

    await expect(migrate(database.db, database.where)).rejects.toBeInstanceOf(ConfigurationFault)
  })
})

async function journalOf({ db }: TestDatabase): Promise<unknown[]> {
  return [...(await db.execute(sql`select * from drizzle.__drizzle_migrations order by id`))]
}
