/** A database that moves: from the embedded one to another, to a server, by our command and by psql. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { writeBackup } from '../../db/backup.ts'
import { connect, type Db } from '../../db/client.ts'
import { withRunLock } from '../../db/run-lock.ts'
import { filesBelow, readCsvs } from '../e2e/job.ts'
import { openShop, RECONCILE, rowCounts, type Shop, WEEK } from '../e2e/shop.ts'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts'

/** Every row of every table, as text, and what each numbered column gives next. */
async function contentsOf(db: Db): Promise<Record<string, string>> {
  const contents: Record<string, string> = {}
  for (const name of ['runs', ...Object.keys(await rowCounts(db))]) {
    const [row] = await db.execute<{ hash: string }>(
      sql`select count(*) || ' rows ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '') as hash
          from ${sql.identifier(name)} as t`,
    )
    contents[name] = row?.hash ?? ''
  }
  const numbers = await db.execute<{ name: string; last: string | null }>(
    sql`select sequencename as name, last_value::text as last from pg_sequences where schemaname = 'public'`,
  )
  for (const { name, last } of numbers) contents[name] = last ?? ''
  return contents
}

/** The schema as Postgres states it. */
async function schemaOf(db: Db): Promise<string[]> {
  const found = await db.execute<{ line: string }>(
    sql`select indexdef as line from pg_indexes where schemaname in ('public', 'drizzle')
        union all
        select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) from pg_constraint
          where connamespace in ('public'::regnamespace, 'drizzle'::regnamespace)
        union all
        select concat_ws(' ', table_name, column_name, data_type, collation_name, is_nullable, column_default, identity_generation)
          from information_schema.columns where table_schema in ('public', 'drizzle')
        order by 1`,
  )
  return found.map(({ line }) => line)
}

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createEmptyDatabase()
  onTestFinished(() => database.drop())
  return database
}

/** Reports of the stored data alone, written anew where none lay. */
async function offlineReports(
  shop: Shop,
  env: Readonly<Record<string, string>>,
  out: string,
): Promise<Record<string, string>> {
  const { DATABASE_URL: url, DATA_DIR: dataDir } = shop.env
  delete shop.env['DATABASE_URL']
  Object.assign(shop.env, env)
  try {
    const dir = join(shop.dir, out)
    const outcome = await shop.runHere(...RECONCILE, '--offline', '--out', dir)
    expect(outcome).toMatchObject({ exitCode: 0 })
    return await readCsvs(join(dir, WEEK))
  } finally {
    delete shop.env['DATABASE_URL']
    Object.assign(shop.env, url === undefined ? {} : { DATABASE_URL: url })
    if (dataDir === undefined) delete shop.env['DATA_DIR']
    else shop.env['DATA_DIR'] = dataDir
  }
}

/** A shop after a night, with decisions, a closed week and a mail. */
async function livedIn(shop: Shop): Promise<void> {
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  const [first] = await shop.rows(WEEK, 'discrepancies.csv')
  const signature = ['--by', 'Marie\tO’Neill', '--reason', 'a \\. "line" of\\n its own; \\N']
  const accept = ['decide', 'accept', '--discrepancy', first?.['discrepancy_id'] ?? '']
  const decided = await shop.runHere(...accept, ...signature)
  expect(decided).toMatchObject({ exitCode: 0 })
  const closed = await shop.runHere('close', '--week', '2024-W10', '--by', 'Marie')
  // Only a report that was written can be signed.
  if (closed.exitCode !== 0) {
    const week = ['--week', '2024-W10', '--as-of', '2024-04-05']
    expect(await shop.runHere('reconcile', ...week)).toMatchObject({ exitCode: 0 })
    expect(await shop.runHere('close', ...week, '--by', 'Marie')).toMatchObject({ exitCode: 0 })
  }
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
}

test('from embedded to embedded and to a server, by restore and by psql: the same rows, schema and reports', async () => {
  const shop = await openShop()
  const server = shop.database
  delete shop.env['DATABASE_URL']
  await livedIn(shop)
  const file = join(shop.dir, 'alma.sql')

  const made = await shop.runHere('backup', file)

  expect(made).toMatchObject({ exitCode: 0, err: '' })
  expect(made.out).toMatch(/alma\.sql: \d+ tables, \d+ rows, \d+ bytes, from the embedded Postgres/)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const text = await readFile(file, 'utf8')
  expect(text).not.toContain(shop.env['ALMA_API_KEY'])
  expect(await shop.runHere('backup', file)).toMatchObject({ exitCode: 2 })
  expect(await readFile(file, 'utf8')).toBe(text)

  const restored = await emptyDatabase()
  shop.env['DATABASE_URL'] = restored.url
  const outcome = await shop.runHere('restore', file)
  expect(outcome).toMatchObject({ exitCode: 0, err: '' })
  const contents = await contentsOf(restored.db)
  expect(Object.keys(contents).length).toBeGreaterThan(40)
  for (const table of ['decisions', 'period_closes', 'signed_files', 'matches']) {
    expect(contents[table], table).not.toMatch(/^0 rows/)
  }
  const [decision] = await restored.db.execute(sql`select reason from decisions`)
  expect(decision).toEqual({ reason: 'a \\. "line" of\\n its own; \\N' })
  const schema = await schemaOf(restored.db)
  expect(schema).toEqual(await schemaOf(server.db))

  // What came back is what was there: a backup of it has the same rows.
  delete shop.env['DATABASE_URL']
  const elsewhere = join(shop.dir, 'elsewhere')
  shop.env['DATA_DIR'] = elsewhere
  expect(await shop.runHere('restore', file)).toMatchObject({ exitCode: 0 })
  const again = join(shop.dir, 'again.sql.gz')
  expect(await shop.runHere('backup', again)).toMatchObject({ exitCode: 0 })
  const unpacked = gunzipSync(await readFile(again)).toString('utf8')
  expect(rowsIn(unpacked)).toEqual(rowsIn(text))
  delete shop.env['DATA_DIR']

  const expected = await offlineReports(shop, {}, 'embedded')
  expect(await offlineReports(shop, { DATA_DIR: elsewhere }, 'moved')).toEqual(expected)
  expect(await offlineReports(shop, { DATABASE_URL: restored.url }, 'server')).toEqual(expected)

  const byPsql = await emptyDatabase()
  const said = spawnSync('psql', ['-X', '-q', '-d', byPsql.url, '-f', file], { encoding: 'utf8' })
  if (said.error !== undefined) {
    process.stderr.write('psql is not installed: what it would take is not tried here\n')
    return
  }
  expect({ status: said.status, err: said.stderr }).toEqual({ status: 0, err: '' })
  expect(await contentsOf(byPsql.db)).toEqual(contents)
  expect(await schemaOf(byPsql.db)).toEqual(schema)
  expect(await offlineReports(shop, { DATABASE_URL: byPsql.url }, 'psql')).toEqual(expected)
  const twice = spawnSync('psql', ['-X', '-q', '-d', byPsql.url, '-f', file], { encoding: 'utf8' })
  expect(twice.status).not.toBe(0)
}, 120_000)

/** The rows between the marks, each block in an order of its own. */
function rowsIn(backup: string): string[] {
  const [, data = ''] = /^-- data begins\n(.*)^-- data ends$/ms.exec(backup) ?? []
  return data.split('\n').toSorted()
}

test('what cannot be trusted is refused, and the database stays empty', async () => {
  const shop = await openShop()
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  const file = join(shop.dir, 'alma.sql')
  expect(await shop.runHere('backup', file)).toMatchObject({ exitCode: 0 })
  const whole = await readFile(file, 'utf8')
  const target = await emptyDatabase()
  shop.env['DATABASE_URL'] = target.url

  /** A file that says of itself that nothing was altered, as somebody who alters it would see to. */
  const signed = async (text: string): Promise<string> => {
    const body = text.replace(/^-- sha256 .*\n$/m, '')
    return `${body}-- sha256 ${createHash('sha256').update(body).digest('hex')}\n`
  }
  const attempts: readonly [string, string | Uint8Array, RegExp][] = [
    ['cut', whole.slice(0, whole.length / 2), /is cut off/],
    ['cut at the last line', whole.replace(/^-- sha256 .*\n$/m, ''), /is cut off/],
    ['altered', whole.replace('from_transaction', 'from_transactiom'), /was altered/],
    ['longer', `${whole}\n`, /cut off|altered/],
    ['empty', '', /is no backup/],
    ['something else', 'PK\u0003\u0004', /is no backup/],
    ['gz cut', gzipSync(whole).subarray(0, 5_000), /cannot be unpacked/],
    [
      'newer',
      await signed(whole.replace(/^(-- migration .*\n)+/m, `$&-- migration ${'0'.repeat(64)}\n`)),
      /made by a newer version/,
    ],
    [
      'a row less',
      await signed(whole.replace(/^(copy "public"\."balance_transactions" .*;\n).*\n/m, '$1')),
      /as many as the file says/,
    ],
    [
      'a command among the rows',
      await signed(whole.replace('-- data ends', 'drop table "public"."runs";\n-- data ends')),
      /a line that no backup has/,
    ],
    [
      'a table that is not ours',
      await signed(whole.replace('copy "public"."runs"', 'copy "pg_catalog"."pg_authid"')),
      /rows of pg_catalog\.pg_authid/,
    ],
    [
      'a command before the rows',
      await signed(whole.replace('-- data begins', 'create table "evil" ();\n-- data begins')),
      /^$/,
    ],
  ]
  for (const [what, content, words] of attempts) {
    const bad = join(shop.dir, 'bad.sql')
    await writeFile(bad, content)
    const { exitCode, err, out } = await shop.runHere('restore', bad)
    if (what === 'a command before the rows') {
      // It is not run: nothing of the file is.
      expect({ what, exitCode }).toEqual({ what, exitCode: 0 })
      expect(Object.keys(await rowCounts(target.db))).not.toContain('evil')
      continue
    }
    expect({ what, exitCode, out }).toEqual({ what, exitCode: 5, out: '' })
    expect(err, what).toMatch(words)
    expect(await rowCounts(target.db), what).toEqual({})
  }
  // Not empty any more.
  const before = await contentsOf(target.db)
  expect(await shop.runHere('restore', file)).toMatchObject({
    exitCode: 3,
    err: expect.stringContaining('is not empty: it has'),
  })
  expect(await contentsOf(target.db)).toEqual(before)
  expect(await shop.runHere('restore', join(shop.dir, 'none.sql'))).toMatchObject({ exitCode: 2 })
}, 60_000)

test('restore waits for nobody who uses the database: exit 6; a backup may be made meanwhile', async () => {
  const shop = await openShop()
  const file = join(shop.dir, 'alma.sql')
  await withRunLock(shop.database.address, async () => {
    expect(await shop.runHere('backup', file)).toMatchObject({ exitCode: 0 })
    expect(await shop.runHere('restore', file)).toMatchObject({ exitCode: 6 })
  })
}, 30_000)

test('a backup is of one moment, and leaves nothing behind where it cannot be written', async () => {
  const database = await createTestDatabase()
  onTestFinished(() => database.drop())
  const insert = sql`insert into runs (command, app_version) select 'run ' || n, '0' from generate_series(1, 3000) as n`
  await database.db.execute(insert)
  const writer = connect(database.address)
  onTestFinished(() => writer.close())
  let text = ''
  let isWritten = false
  await writeBackup(database.db, 'here', async (bytes) => {
    text += Buffer.from(bytes).toString('utf8')
    if (isWritten) return
    isWritten = true
    await writer.db.execute(insert)
    await writer.db.execute(sql`insert into ledger_proofs values ('afterwards', 1, 1)`)
  })
  expect(text).toContain('-- rows 3000\n')
  expect(text).not.toContain('afterwards')

  // A writer that fails in the middle of a table: the connection is good for the next one.
  const full = new Error('no space')
  await expect(
    writeBackup(database.db, 'here', (bytes) =>
      Buffer.from(bytes).includes('run 1') ? Promise.reject(full) : Promise.resolve(),
    ),
  ).rejects.toBe(full)
  await database.db.execute(sql`select 1`)

  const shop = await openShop()
  const before = await filesBelow(shop.dir)
  for (const name of ['nowhere/alma.sql', 'nowhere/alma.sql.gz']) {
    const outcome = await shop.runHere('backup', join(shop.dir, name))
    expect(outcome).toMatchObject({ exitCode: 4, out: '' })
  }
  expect(await filesBelow(shop.dir)).toEqual(before)
  expect(await readdir(shop.dir)).not.toContain('nowhere')
}, 60_000)
