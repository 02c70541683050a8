/** What a purge takes away, and that no report shows it. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { desc, gte, lt } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { balanceTransactions, bankEntries, exportLines, runs } from '../../db/schema.ts'
import { parseDay, startOfDay } from '../../src/domain/day.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

const BEFORE = '2024-03-21'
const beforeS = startOfDay(parseDay(BEFORE), 'Europe/Paris')

let shop: Workshop
/** What the reports said before anything was purged, by period. */
const reports: Record<string, Record<string, string>> = {}

beforeAll(async () => {
  const world = createWorld()
  plant(world, 'deposit_late')
  plant(world, 'deposit_duplicate')
  shop = await openWorkshop(world, { switches: { exportExtraColumns: true } })
  await shop.writeBank()
  for (const week of ['2024-W11', '2024-W12']) {
    await report(week)
    reports[week] = await shop.reportTexts(week)
  }
  const closed = await shop.run('close', '--week', '2024-W11', '--by', 'Marie', '--as-of', AS_OF)
  expect(closed).toMatchObject({ exitCode: 0 })
})
afterAll(() => shop.close())

const AS_OF = '2024-04-05'

async function report(week: string): Promise<string> {
  const { exitCode, out, err } = await shop.run('reconcile', '--week', week, '--as-of', AS_OF)
  if (exitCode !== 0) throw new Error(err)
  return out
}

async function purge(...flags: string[]): Promise<Record<string, number>> {
  const { exitCode, out, err } = await shop.run('purge', '--by', 'Marie', ...flags)
  if (exitCode !== 0) throw new Error(err)
  return Object.fromEntries(
    [...out.matchAll(/^ {2}(.*): (\d+)$/gm)].map(([, what = '', number]) => [what, Number(number)]),
  )
}

/** Raw payloads that are there: of old and of later ledger rows, old and later bank entries. */
async function raws() {
  const { db } = shop.database
  const [bt, be] = [balanceTransactions, bankEntries]
  const filled = (rows: { raw: unknown }[]): number =>
    rows.filter(({ raw }) => raw !== '' && JSON.stringify(raw) !== '{}').length
  return {
    oldRows: filled(await db.select({ raw: bt.raw }).from(bt).where(lt(bt.createdS, beforeS))),
    laterRows: filled(await db.select({ raw: bt.raw }).from(bt).where(gte(bt.createdS, beforeS))),
    oldEntries: filled(await db.select({ raw: be.raw }).from(be).where(lt(be.bookingDay, BEFORE))),
    laterEntries: filled(
      await db.select({ raw: be.raw }).from(be).where(gte(be.bookingDay, BEFORE)),
    ),
  }
}

const archived = (): Promise<string[]> => readdir(join(shop.dir, 'var', 'archive', 'default'))

/** Cells of exports that no reader knows, by how many lines hold any. */
const linesWithExtra = async (): Promise<number> => {
  const lines = await shop.database.db.select({ extra: exportLines.extra }).from(exportLines)
  return lines.filter(({ extra }) => JSON.stringify(extra) !== '{}').length
}

describe('a purge', () => {
  test('as a dry run says what would go, and nothing goes', async () => {
    const before = { ...(await raws()), files: await archived() }
    const would = await purge('--before', BEFORE, '--dry-run')
    expect(would).toEqual({
      'raw payloads of ledger rows': before.oldRows,
      'raw payloads of bank entries': before.oldEntries,
      'unread cells of export lines': expect.any(Number),
      'notifications of the provider': 0,
      'archived export files': 1,
    })
    expect(before.oldRows).toBeGreaterThan(100)
    expect(before.oldEntries).toBeGreaterThan(5)
    expect({ ...(await raws()), files: await archived() }).toEqual(before)
  })

  test('takes what is older than the day, and nothing else', async () => {
    const before = await raws()
    const extraBefore = await linesWithExtra()
    const [first = '', second = ''] = await archived()
    // What a download that was killed leaves behind names customers as well.
    for (const name of [first, second]) {
      await writeFile(join(shop.dir, 'var', 'archive', 'default', `${name}.part`), 'Nom client')
    }
    const went = await purge('--before', BEFORE)
    expect(went).toMatchObject({
      'raw payloads of ledger rows': before.oldRows,
      'raw payloads of bank entries': before.oldEntries,
      'archived export files': 2,
    })
    expect(await raws()).toEqual({ ...before, oldRows: 0, oldEntries: 0 })
    expect(went['unread cells of export lines']).toBeGreaterThan(0)
    expect(extraBefore - (await linesWithExtra())).toBe(went['unread cells of export lines'])
    const left = await archived()
    expect(left).toHaveLength(2)
    expect(new Set(left.map((name) => name.replace('.part', ''))).size).toBe(1)
  })

  test('is on record with the name of who answers for it', async () => {
    const [last] = await shop.database.db.select().from(runs).orderBy(desc(runs.id)).limit(1)
    expect(last).toMatchObject({ command: `purge --before ${BEFORE} --by Marie`, exitCode: 0 })
  })

  test('finds nothing the second time', async () => {
    expect(Object.values(await purge('--before', BEFORE))).toEqual([0, 0, 0, 0, 0])
  })

  test('is seen by no report, and does not come undone when the rows are read again', async () => {
    const purged = await raws()
    shop.sandbox.requests.length = 0
    for (const week of ['2024-W11', '2024-W12']) {
      await report(week)
      expect(await shop.reportTexts(week)).toEqual(reports[week])
    }
    const asked = shop.sandbox.requests
    expect(asked.some(({ path }) => path.includes('balance-transactions'))).toBe(true)
    expect(asked.filter(({ method }) => method === 'POST')).toEqual([])
    expect(await raws()).toEqual(purged)
    const fresh = await report('2024-W13')
    expect(fresh).not.toContain('late_change')
  })

  test.each([
    [['--before', '2999-01-01', '--by', 'Marie'], /expected today \(.*\) or an earlier day/],
    [['--before', 'yesterday', '--by', 'Marie'], /--before: .*yesterday/],
    [['--before', BEFORE], /--by/],
    [['--before', BEFORE, '--by', ' '], /--by: found an empty text/],
    [['--by', 'Marie'], /--before/],
  ])('%j is refused', async (flags, expected) => {
    const before = await raws()
    const { exitCode, err } = await shop.run('purge', ...flags)
    expect(exitCode).toBe(2)
    expect(err).toMatch(expected)
    expect(await raws()).toEqual(before)
  })
})
