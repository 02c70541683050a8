/** The whole job with an account that may do what the job does and no more: `deploy/least-rights.sql`. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { connect, type DatabaseAddress, databaseErrorCode, type Db } from '../../db/client.ts'
import { openShop, RECONCILE, undisturbed, WEEK } from '../e2e/shop.ts'
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts'

const SCRIPT = fileURLToPath(new URL('../../deploy/least-rights.sql', import.meta.url))
const PASSWORD = 'only-for-this-test'

/** Accounts belong to the whole server: each test has its own, by its own names. */
async function withAccounts(database: TestDatabase): Promise<{
  readonly suffix: string
  /** Runs the script as the administrator. */
  readonly narrow: () => Promise<void>
  readonly urlOf: (account: 'alma_owner' | 'alma_job') => string
}> {
  const suffix = randomBytes(4).toString('hex')
  const script = (await readFile(SCRIPT, 'utf8')).replaceAll(
    /alma_(owner|job|reader)/g,
    `alma_$1_${suffix}`,
  )
  const names = ['owner', 'job', 'reader'].map((name) => `alma_${name}_${suffix}`)
  onTestFinished(async () => {
    for (const name of names) {
      await database.db.execute(sql`drop owned by ${sql.identifier(name)} cascade`)
      await database.db.execute(sql`drop role ${sql.identifier(name)}`)
    }
    await database.drop()
  })
  const narrow = async (): Promise<void> => {
    // The driver keeps transactions to itself; without them a text of several statements is one.
    await database.db.execute(sql.raw(script.replaceAll(/^(begin|commit);$/gm, '')))
  }
  await narrow()
  for (const name of names) {
    await database.db.execute(
      sql`alter role ${sql.identifier(name)} password ${sql.raw(`'${PASSWORD}'`)}`,
    )
  }
  return {
    suffix,
    narrow,
    urlOf: (account) => {
      const name = `${account}_${suffix}:${PASSWORD}`
      return database.url.replace(/^(postgres(?:ql)?:\/\/)(?:[^@/]*@)?/, `$1${name}@`)
    },
  }
}

async function refusalOf(db: Db, statement: string): Promise<string | null> {
  return db.execute(sql.raw(statement)).then(
    () => null,
    (error: unknown) => databaseErrorCode(error),
  )
}

test('a night, decisions, a close, mails of nobody: all of it works, to the same bytes; nothing else does', async () => {
  const database = await createEmptyDatabase()
  const { narrow, urlOf } = await withAccounts(database)
  const shop = await openShop()
  shop.env['DATABASE_URL'] = urlOf('alma_job')
  expect(await shop.runHere('db:migrate')).toMatchObject({
    exitCode: 3,
    err: expect.stringContaining('may not create tables'),
  })
  shop.env['DATABASE_URL'] = urlOf('alma_owner')
  expect(await shop.runHere('db:migrate')).toMatchObject({ exitCode: 0, err: '' })
  // Once more, as after each update.
  await narrow()

  shop.env['DATABASE_URL'] = urlOf('alma_job')
  expect(await shop.runHere(...RECONCILE)).toMatchObject({
    exitCode: 0,
    err: expect.not.stringContaining('denied'),
  })
  expect(await shop.csvs(WEEK)).toEqual(await undisturbed())
  const [first] = await shop.rows(WEEK, 'discrepancies.csv')
  const id = first?.['discrepancy_id'] ?? ''
  for (const command of [
    [...RECONCILE, '--full'],
    ['decide', 'accept', '--discrepancy', id, '--by', 'Marie', '--reason', 'booked'],
    ['nightly', '--as-of', '2024-04-05'],
    ['nightly', '--as-of', '2024-04-05', '--workers', '2'],
    ['close', '--week', WEEK, '--as-of', '2024-04-05', '--by', 'Marie'],
    ['reopen', '--week', WEEK, '--by', 'Marie', '--reason', 'the bank corrected it'],
    ['explain', id, '--as-of', '2024-04-05'],
    ['purge', '--before', '2024-03-20', '--by', 'Marie'],
    ['backup', `${shop.dir}/alma.sql`],
  ]) {
    const outcome = await shop.runHere(...command)
    expect({ command, ...outcome }).toMatchObject({ exitCode: 0 })
  }

  const job: DatabaseAddress = { url: urlOf('alma_job') }
  const connection = connect(job)
  onTestFinished(() => connection.close())
  for (const statement of [
    "update decisions set reason = 'another'",
    'delete from decisions',
    'delete from signed_files',
    "update reported_discrepancies set status = 'cleared'",
    'delete from balance_transactions',
    'delete from runs',
    'truncate matches',
    'drop table runs',
    'alter table runs add column x int',
    'create table evil ()',
    'create schema evil',
    "insert into drizzle.__drizzle_migrations (hash) values ('x')",
    'create role evil',
    'set role postgres',
    "copy runs to program 'cat'",
    "copy runs to '/tmp/evil'",
    "select pg_read_file('/etc/passwd')",
    'select * from pg_authid',
    "create function evil() returns int language sql as 'select 1'",
  ]) {
    const code = await refusalOf(connection.db, statement)
    expect({ statement, code }).toEqual({
      statement,
      code: statement.startsWith('set role') ? expect.stringMatching(/^(42501|22023)$/) : '42501',
    })
  }
}, 120_000)
