/**
 * A database of every version that was shipped, with a night's data in it, brought to this version.
 * `fixtures/<last migration>/` holds what `npm run backup` made of the demo in that version, and the
 * reports that it wrote: a figure that it reported is the same figure now. In the second one a match,
 * a refusal and an acceptance were decided and the week is closed.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { parse } from 'csv-parse/sync'
import { expect, onTestFinished, test } from 'vitest'
import { migrationState } from '../../db/migrate.ts'
import { openPlace } from '../e2e/job.ts'
import { RECONCILE, rowCounts, WEEK } from '../e2e/shop.ts'
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts'

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url))
const versions = (await readdir(FIXTURES)).toSorted()
const FIGURES = ['summary.csv', 'settlements.csv', 'refunds.csv']

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createEmptyDatabase()
  onTestFinished(() => database.drop())
  return database
}

/** The columns that the old file has, of the new one: columns are only ever added. */
function columnsOf(oldText: string, newText: string): { old: unknown; now: unknown } {
  const [titles = [], ...old] = parse(oldText)
  const [nowTitles = [], ...now] = parse(newText)
  expect(nowTitles.slice(0, titles.length)).toEqual(titles)
  return { old, now: now.map((row) => row.slice(0, titles.length)) }
}

test('the first version is there, and one with decisions and a closed week', () => {
  expect(versions).toEqual(['0000_start', '0005_export_lines'])
})

test.each(versions)(
  'from %s, with data: all rows are there, and the reports say what they said',
  async (version) => {
    const database = await emptyDatabase()
    const place = await openPlace({
      ALMA_API_KEY: 'sk_test_abcDEF0123456789abcDEF01',
      DATABASE_URL: database.url,
    })
    onTestFinished(() => place.remove())
    const folder = join(FIXTURES, version)

    const restored = await place.runHere('restore', join(folder, 'demo.sql.gz'))

    expect(restored).toMatchObject({ exitCode: 0, err: '' })
    const state = await migrationState(database.db)
    expect(state).toEqual({ applied: state.shipped, shipped: state.shipped, isForeign: false })
    const counts = await rowCounts(database.db)
    const sum = Object.values(counts).reduce((all, rows) => all + rows, 0)
    const of = Number(/with (\d+) rows/.exec(restored.out)?.[1])
    // The list of migrations counts there, and not here; nothing else may be missing.
    const migrations = Number(version.slice(0, 4)) + 1
    expect(sum).toBe(of - migrations)
    expect(counts).toMatchObject({ balance_transactions: expect.any(Number) })
    expect(counts['matches']).toBeGreaterThan(0)
    const [lost] = await database.db.execute<{ entries: number }>(
      sql`select count(*)::int as entries from match_bank_entries as tied
          where not exists (select from matches
            where matches.entity = tied.entity and matches.id = tied.match_id)`,
    )
    expect(lost).toEqual({ entries: 0 })

    for (let runs = 0; runs < 2; runs += 1) {
      const outcome = await place.runHere(...RECONCILE, '--offline')
      expect(outcome).toMatchObject({ exitCode: 0 })
      const reports = await place.csvs(WEEK)
      for (const name of FIGURES) {
        const { old, now } = columnsOf(
          await readFile(join(folder, name), 'utf8'),
          reports[name] ?? '',
        )
        expect(now, name).toEqual(old)
      }
    }
  },
  60_000,
)

test('every command refuses a database of a newer version, and changes nothing: exit 3', async () => {
  const database = await emptyDatabase()
  const place = await openPlace({
    ALMA_API_KEY: 'sk_test_abcDEF0123456789abcDEF01',
    DATABASE_URL: database.url,
  })
  onTestFinished(() => place.remove())
  const fixture = join(FIXTURES, '0000_start', 'demo.sql.gz')
  expect(await place.runHere('restore', fixture)).toMatchObject({ exitCode: 0 })
  await database.db.execute(
    sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', 9999999999999)`,
  )
  const before = await rowCounts(database.db)
  for (const command of [
    [...RECONCILE, '--offline'],
    ['nightly'],
    ['import-bank', fixture],
    ['db:migrate'],
    ['backup', join(place.dir, 'newer.sql')],
  ]) {
    const { exitCode, err } = await place.runHere(...command)
    expect({ command, exitCode }).toEqual({ command, exitCode: 3 })
    expect(err).toContain('a newer version has used it')
  }
  expect(await rowCounts(database.db)).toEqual(before)
  expect(await readdir(place.dir)).not.toContain('newer.sql')
}, 30_000)
