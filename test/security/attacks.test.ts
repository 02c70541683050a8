/** The job as a whole under attack: by its provider, by names in its settings, by who looks over its shoulder. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { CHECKOUT, filesBelow, openPlace } from '../e2e/job.ts'
import { openShop, RECONCILE, rowCounts, WEEK } from '../e2e/shop.ts'
import { postmasterPid } from '../support/embedded.ts'

const KEY = 'sk_test_abcDEF0123456789abcDEF01'

async function provider(answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((request, response) => {
    request.resume()
    answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`
}

test('the key: in no output, log, file, database or child process, also when the provider repeats it', async () => {
  const shop = await openShop()
  delete shop.env['DATABASE_URL']
  Object.assign(shop.env, { DEBUG: '1', LOG_FILE: join(shop.dir, 'alma.log') })
  const key = shop.env['ALMA_API_KEY'] ?? ''
  expect(key.length).toBeGreaterThan(20)
  shop.sandbox.switches.latencyMs = 100

  const running = shop.start(...RECONCILE)
  let server = 0
  for (let tries = 0; server === 0 && tries < 600; tries += 1) {
    server = await postmasterPid(shop.dataDir).catch(() => 0)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  if (process.platform === 'linux') {
    const ofServer = await Promise.all(
      ['environ', 'cmdline'].map((name) => readFile(`/proc/${server}/${name}`, 'latin1')),
    )
    expect(ofServer.join()).not.toContain(key)
    expect(ofServer.join()).toContain('postgres')
    const ofJob = await readFile(`/proc/${running.process.pid}/cmdline`, 'latin1')
    expect(ofJob).not.toContain(key)
  }
  const outcomes = [await running.outcome]
  expect(outcomes[0]).toMatchObject({ exitCode: 0 })
  outcomes.push(await shop.runHere('backup', join(shop.dir, 'alma.sql')))

  // A provider that says the key back, in each way that a message may quote.
  const url = shop.env['ALMA_API_URL'] ?? ''
  for (const status of [401, 400, 302, 200]) {
    shop.env['ALMA_API_URL'] = await provider((response) =>
      response
        .writeHead(status, { location: `https://elsewhere.example/${key}`, 'content-type': key })
        .end(JSON.stringify({ message: `bad key ${key}`, errors: [{ field: key, message: key }] })),
    )
    outcomes.push(await shop.run(...RECONCILE))
    expect(outcomes.at(-1)?.exitCode).not.toBe(0)
  }
  shop.env['ALMA_API_URL'] = url

  const said = outcomes.map(({ out, err }) => out + err).join('\n')
  expect(said).toMatch(/refused the key in ALMA_API_KEY/)
  expect(said).not.toContain(key)
  const files = await filesBelow(shop.dir)
  expect(Object.keys(files).length).toBeGreaterThan(20)
  const holding = Object.entries(files).filter(([, text]) => text.includes(key))
  expect(holding.map(([name]) => name)).toEqual([])
}, 120_000)

const page = (rows: string): string => `{"data":[${rows}],"has_more":false}`

test.each<[string, string]>([
  ['deep JSON', `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`],
  [
    'a deep attribute of a row',
    page(`{"id":"balance_txn_1","x":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}}`),
  ],
  [
    'attributes of the prototype',
    page(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"id":"__proto__"}',
    ),
  ],
  ['a number that is none of cents', page('{"id":"balance_txn_1","amount":1e308}')],
  ['an id of a megabyte', page(`{"id":"${'x'.repeat(1_000_000)}"}`)],
  ['orders to the terminal', '{"message":"\\u001b[2J\\u001b]0;owned\\u0007","data":"\\u001b[31m"}'],
])(
  'a hostile provider, %s: a fault with its exit code, no report, nothing changed for others',
  async (_, body) => {
    const place = await openPlace({ ALMA_API_KEY: KEY })
    onTestFinished(() => place.remove())
    const shop = await openShop()
    Object.assign(place.env, {
      DATABASE_URL: shop.database.url,
      ALMA_API_URL: await provider((response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(body),
      ),
    })
    const { exitCode, out, err } = await place.runHere(...RECONCILE)
    expect([4, 5]).toContain(exitCode)
    expect(err).not.toBe('')
    expect(err.length).toBeLessThan(10_000)
    // oxlint-disable-next-line no-control-regex -- that is what must not come through
    expect(out + err).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f]/)
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  },
  60_000,
)

test('an entity whose name is a path, a formula, a script or a mail header is refused: exit 3', async () => {
  const shop = await openShop()
  shop.env['ENTITIES_FILE'] = join(shop.dir, 'entities.json')
  const before = await readdir(join(shop.dir, '..'))
  for (const name of [
    '../../../evil',
    '..',
    '/etc/evil',
    "=cmd|'/C calc'!A0",
    '<img src=x onerror=alert(1)>',
    'x\r\nBcc: thief@example.com',
    "x'); drop table runs; --",
    'x\u0000y',
    'x\u202ey',
  ]) {
    await writeFile(
      join(shop.dir, 'entities.json'),
      JSON.stringify([{ name, apiKeyEnv: 'ALMA_API_KEY' }]),
    )
    const { exitCode, err } = await shop.runHere(...RECONCILE)
    expect({ name, exitCode }).toEqual({ name, exitCode: 3 })
    expect(err).toContain('ENTITIES_FILE')
  }
  expect((await readdir(join(shop.dir, '..'))).filter((each) => /evil/.test(each))).toEqual(
    before.filter((each) => /evil/.test(each)),
  )
}, 30_000)

test('SQL in what people and commands give is text: nothing of it is run', async () => {
  const shop = await openShop()
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  const [first] = await shop.rows(WEEK, 'discrepancies.csv')
  const evil = `x'); drop table decisions; delete from runs; -- $1 $$ \\'`
  const id = ['--discrepancy', first?.['discrepancy_id'] ?? '']
  const signed = ['--by', evil, '--reason', evil]
  expect(await shop.runHere('decide', 'accept', ...id, ...signed)).toMatchObject({ exitCode: 0 })
  const [decision] = await shop.database.db.execute(
    sql`select decided_by, reason, (select count(*)::int from runs) > 1 as kept from decisions`,
  )
  expect(decision).toEqual({ decided_by: evil, reason: evil, kept: true })
  const before = await rowCounts(shop.database.db)
  for (const command of [
    ['explain', evil],
    ['decide', 'match', '--payout', evil, '--bank', evil, ...signed],
    ['reconcile', '--week', WEEK, '--entity', evil],
  ]) {
    expect((await shop.runHere(...command)).exitCode).not.toBe(1)
  }
  const { runs, ...tables } = before
  expect(runs).toBeGreaterThan(1)
  expect(await rowCounts(shop.database.db)).toMatchObject(tables)
}, 30_000)

/** Where SQL is put together from text: each was read, and holds words of our own and numbers only. */
const RAW_SQL = [
  'db/backup.ts',
  'db/bulk.ts',
  'db/distribute.ts',
  'db/facts-ledger.ts',
  'db/migrate.ts',
  'db/proofs-exports.ts',
  'db/proofs-payouts.ts',
  'db/proofs-refunds.ts',
  'db/proofs-rows.ts',
  'db/read-only.ts',
  'db/restore.ts',
  'db/schema.ts',
]

test('SQL is put together from text in known files of db/ only, elsewhere values are parameters', async () => {
  const found: string[] = []
  for (const folder of ['src', 'db', 'jobs', 'reports']) {
    for (const name of await readdir(join(CHECKOUT, folder), { recursive: true })) {
      if (!name.endsWith('.ts')) continue
      const text = await readFile(join(CHECKOUT, folder, name), 'utf8')
      if (/\bsql\.raw\(/.test(text)) found.push(`${folder}/${name}`)
      if (`${folder}/${name}` !== 'db/client.ts') expect(text, name).not.toMatch(/\.unsafe\(/)
    }
  }
  expect(found.toSorted()).toEqual(RAW_SQL)
})
