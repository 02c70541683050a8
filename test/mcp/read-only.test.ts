/** The server itself keeps questions from writing, and a role from what they need not see. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { databaseErrorCode } from '../../db/client.ts'
import { readOnly } from '../../db/read-only.ts'
import { CHECKOUT } from '../e2e/job.ts'
import { openShop, RECONCILE } from '../e2e/shop.ts'
import { createTestDatabase } from '../support/database.ts'
import { startAssistant } from './assistant.ts'

const codeOf = (work: Promise<unknown>): Promise<string | null> =>
  work.then(
    () => 'it was done',
    (error: unknown) => databaseErrorCode(error),
  )

test('no statement writes, and none makes the transaction writable again', async () => {
  const { db, drop } = await createTestDatabase()
  onTestFinished(drop)
  for (const statement of [
    "insert into runs (command, app_version) values ('x', '1')",
    'delete from runs',
    'create table evil ()',
    'truncate runs',
    'set transaction read write',
    "select setval(pg_get_serial_sequence('runs', 'id'), 7)",
    'select * from runs for update',
  ]) {
    const code = await codeOf(
      readOnly(db, async (tx) => {
        await tx.execute(sql`select 1`)
        await tx.execute(sql.raw(statement))
      }),
    )
    expect({ statement, code }).toEqual({
      statement,
      code: expect.stringMatching(/^(25006|25001)$/),
    })
  }
  const slow = readOnly(db, (tx) => tx.execute(sql`select pg_sleep(5)`), { statementTimeoutMs: 50 })
  expect(await codeOf(slow)).toBe('57014')
})

test('one snapshot: what is stored meanwhile is not seen', async () => {
  const { db, drop } = await createTestDatabase()
  onTestFinished(drop)
  const count = sql`select count(*)::int as runs from runs`
  const seen = await readOnly(db, async (tx) => {
    const before = await tx.execute<{ runs: number }>(count)
    await db.execute(sql`insert into runs (command, app_version) values ('x', '1')`)
    return [...before, ...(await tx.execute<{ runs: number }>(count))]
  })
  expect(seen).toEqual([{ runs: 0 }, { runs: 0 }])
})

test('with the role of the script every question is answered, and what it need not see is closed to it', async () => {
  const shop = await openShop()
  const { db } = shop.database
  const suffix = randomBytes(4).toString('hex')
  const script = (await readFile(join(CHECKOUT, 'deploy/least-rights.sql'), 'utf8'))
    .replaceAll(/alma_(owner|job|reader)/g, `alma_$1_${suffix}`)
    .replaceAll(/^(begin|commit);$/gm, '')
  onTestFinished(async () => {
    for (const name of [`alma_owner_${suffix}`, `alma_job_${suffix}`, `alma_reader_${suffix}`]) {
      await db.execute(sql`drop owned by ${sql.identifier(name)} cascade`)
      await db.execute(sql`drop role ${sql.identifier(name)}`)
    }
  })
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  await db.execute(sql.raw(script))
  const role = `alma_reader_${suffix}`
  shop.env['MCP_DATABASE_ROLE'] = role
  const { ask, client } = await startAssistant(shop)
  onTestFinished(() => client.close())
  expect(await ask('period_summary')).toMatchObject({ ties: true })
  const listed = await ask('list_discrepancies')
  const [first] = listed['discrepancies'] as { discrepancy_id: string; payout_id: string | null }[]
  await ask('explain', { id: first?.discrepancy_id })
  await ask('find', { day: '2024-03-20' })
  expect((await client.listResources()).resources.length).toBeGreaterThan(0)
  for (const [statement, expected] of [
    ['select count(*) from balance_transactions', null],
    ['select raw from balance_transactions', '42501'],
    ['select raw from bank_entries', '42501'],
    ['select extra from export_lines', '42501'],
    ['select recipients from mail_deliveries', '42501'],
    ['select hash from drizzle.__drizzle_migrations', '42501'],
  ] as const) {
    const code = await codeOf(readOnly(db, (tx) => tx.execute(sql.raw(statement)), { role }))
    expect({ statement, code }).toEqual({ statement, code: expected ?? 'it was done' })
  }

  shop.env['MCP_DATABASE_ROLE'] = 'alma_nobody'
  const unknown = await startAssistant(shop)
  onTestFinished(() => unknown.client.close())
  expect(await unknown.refusal('period_summary')).toContain('there is no role alma_nobody')
}, 120_000)
