/** The account of `deploy/least-rights.sql` for the one command that strangers can reach. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { connect, databaseErrorCode, type Db } from '../../db/client.ts'
import { saveEvents } from '../../db/events.ts'
import { openDatabase } from '../../db/open.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const SCRIPT = fileURLToPath(new URL('../../deploy/least-rights.sql', import.meta.url))
const PASSWORD = 'only-for-this-test'
const NAMES = ['alma_owner', 'alma_job', 'alma_reader', 'alma_listen']

/** Accounts belong to the whole server, so this test has its own. @returns the URL of the listener's. */
async function narrow(database: TestDatabase): Promise<string> {
  const suffix = `_${randomBytes(4).toString('hex')}`
  const script = (await readFile(SCRIPT, 'utf8'))
    .replaceAll(/^(begin|commit);$/gm, '')
    .replaceAll(/\balma_(owner|job|reader|listen)\b/g, (name) => name + suffix)
  onTestFinished(async () => {
    for (const name of NAMES.map((each) => each + suffix)) {
      await database.db.execute(sql`drop owned by ${sql.identifier(name)} cascade`)
      await database.db.execute(sql`drop role ${sql.identifier(name)}`)
    }
    await database.drop()
  })
  await database.db.execute(sql.raw(script))
  const account = `alma_listen${suffix}`
  await database.db.execute(sql.raw(`alter role ${account} password '${PASSWORD}'`))
  return database.url.replace(/^(postgres(?:ql)?:\/\/)(?:[^@/]*@)?/, `$1${account}:${PASSWORD}@`)
}

async function refusalOf(db: Db, statement: string): Promise<string | null> {
  return db.execute(sql.raw(statement)).then(
    () => null,
    (error: unknown) => databaseErrorCode(error),
  )
}

test('it opens the database, adds notifications once, and can do nothing else', async () => {
  const database = await createTestDatabase()
  const url = await narrow(database)
  const opened = await openDatabase({ databaseUrl: url, dataDir: 'var' })
  onTestFinished(() => opened.close())
  const event = {
    entity: 'default',
    eventKey: 'ipn payment_1',
    source: 'ipn',
    type: 'ipn',
    paymentId: 'payment_1',
  } as const
  expect(await saveEvents(opened.db, [event])).toBe(1)
  expect(await saveEvents(opened.db, [event])).toBe(0)

  const connection = connect({ url })
  onTestFinished(() => connection.close())
  for (const statement of [
    'select * from provider_events',
    "update provider_events set payment_id = 'payment_2'",
    'delete from provider_events',
    'select * from balance_transactions',
    'select * from payments',
    'select * from bank_entries',
    "insert into decisions (entity, kind) values ('default', 'match')",
    'create table evil ()',
    "insert into drizzle.__drizzle_migrations (hash) values ('x')",
  ]) {
    expect({ statement, code: await refusalOf(connection.db, statement) }).toEqual({
      statement,
      code: '42501',
    })
  }
})
