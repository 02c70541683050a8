/** What each flag of `reconcile` does, and above all what it leaves alone. */
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseDay } from '../../src/domain/day.ts'
import { writeCamt053, writeCanonicalCsv } from '../../src/sandbox/bank-files.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { filesBelow, readCsvs } from './job.ts'
import { AS_OF, openShop, RECONCILE, rowCounts, type Shop, undisturbed, WEEK } from './shop.ts'

describe('--json', () => {
  test('one JSON document on standard output and nothing else there, in success as in failure', async () => {
    const shop = await openShop()
    const { exitCode, out, err } = await shop.run(...RECONCILE, '--json')
    expect(exitCode).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      notes: [],
      period: { label: WEEK, first: '2024-03-18', last: '2024-03-24' },
      as_of: AS_OF,
      reports: { changed: true },
      lines: expect.arrayContaining([
        {
          line: 'period_start',
          entity: 'default',
          currency: 'EUR',
          amount: null,
          amount_minor: null,
          rows: 1710716400,
        },
      ]),
      discrepancies: expect.arrayContaining([
        expect.objectContaining({ code: 'deposit_missing', status: 'new' }),
      ]),
    })
    // How far the work is goes to standard error all the same.
    expect(err).toMatch(/^ledger of default: \d+ rows/m)
    await shop.sandbox.close()
    const failed = await shop.runHere('reconcile', '--week', WEEK, '--json', '--entity', 'nobody')
    expect(JSON.parse(failed.out)).toMatchObject({ error: { kind: 'UsageFault', exit_code: 2 } })
  })
})

describe('--fail-on-discrepancy', () => {
  test('exits with 8 where something is open, with 0 where nothing is, and writes the report', async () => {
    const shop = await openShop()
    expect(await shop.runHere(...RECONCILE, '--fail-on-discrepancy')).toMatchObject({ exitCode: 8 })
    expect(await shop.rows(WEEK, 'discrepancies.csv')).toHaveLength(9)
    const clean = await openShop(createWorld())
    expect(await clean.runHere(...RECONCILE, '--fail-on-discrepancy')).toMatchObject({
      exitCode: 0,
    })
  })
})

describe('--dry-run', () => {
  test('writes nothing to the database or to any folder, and tells what would change', async () => {
    const shop = await openShop()
    const before = [await rowCounts(shop.database.db), await filesBelow(shop.dir)]
    const dry = await shop.run(...RECONCILE, '--dry-run')
    expect(dry.exitCode).toBe(0)
    expect([await rowCounts(shop.database.db), await filesBelow(shop.dir)]).toEqual(before)
    expect(dry.out).toContain('Dry run: nothing was stored, mailed or written. It would change:')
    expect(dry.out).toContain('+ 890189-2024-W12.xml with ')
    expect(dry.out).toMatch(/\+ new {2}deposit_missing {2}payout_\w+/)
    // The one thing that it cannot avoid: an export exists only once the provider was asked for it.
    const wrote = shop.sandbox.requests.filter(({ method }) => method !== 'GET')
    expect(wrote.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /v1/data-exports'])

    expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
    const after = [await rowCounts(shop.database.db), await filesBelow(shop.dir)]
    const again = await shop.runHere(...RECONCILE, '--dry-run')
    expect(again.out).toContain('It would change:\n  nothing\n')
    expect([await rowCounts(shop.database.db), await filesBelow(shop.dir)]).toEqual(after)
    // With a good export in store not even that.
    const exports = shop.sandbox.requests.filter(
      ({ method, path }) => method === 'POST' && path === '/v1/data-exports',
    )
    expect(exports).toHaveLength(2)
  })

  test('of import-bank stores nothing and tells what would go in', async () => {
    const shop = await openShop()
    const before = await rowCounts(shop.database.db)
    const file = join(shop.inbox, '890189-2024-W12.xml')
    const dry = await shop.runHere('import-bank', file, '--dry-run', '--json')
    expect(dry.exitCode).toBe(0)
    expect(() => JSON.parse(dry.out) as unknown).not.toThrow()
    expect(await rowCounts(shop.database.db)).toEqual(before)
  })
})

describe('--offline', () => {
  test('asks the provider nothing, needs no key and gives the same report from what is stored', async () => {
    const shop = await openShop()
    expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
    const online = await shop.csvs(WEEK)
    shop.sandbox.requests.length = 0
    delete shop.env['ALMA_API_KEY']
    const { exitCode, err } = await shop.runHere(...RECONCILE, '--offline')
    expect(exitCode).toBe(0)
    expect(err).toContain('Nothing is fetched')
    expect(shop.sandbox.requests).toEqual([])
    expect(await shop.csvs(WEEK)).toEqual(online)
  })

  test('with nothing in store does not say that all is clear', async () => {
    const shop = await openShop()
    const { exitCode, out } = await shop.runHere(...RECONCILE, '--offline')
    expect(exitCode).toBe(0)
    expect(out).toMatch(/^! There is no accounting export of default/m)
    expect(out).not.toContain('All clear')
  })
})

describe('--bank and --out', () => {
  test('a file from elsewhere counts like one from the inbox, and the report goes where it is asked', async () => {
    const expected = await undisturbed()
    const shop = await openShop()
    const elsewhere = join(shop.dir, 'downloads')
    await mkdir(elsewhere)
    const names = (await readdir(shop.inbox)).filter((name) => /W1[34]/.test(name))
    for (const name of names) await rename(join(shop.inbox, name), join(elsewhere, name))
    const flags = names.flatMap((name) => ['--bank', join('downloads', name)])
    expect(await shop.runHere(...RECONCILE, ...flags, '--out', 'handed-in')).toMatchObject({
      exitCode: 0,
    })
    expect(await readCsvs(join(shop.dir, 'handed-in', WEEK))).toEqual(expected)
    expect(await readdir(shop.dataDir)).not.toContain('reports')
    // It was imported for good: the next run knows it without the flag.
    expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
    expect(await shop.csvs(WEEK)).toEqual(expected)
  })

  test('a file that is not there: exit 5 naming it, and the others are in', async () => {
    const shop = await openShop()
    const { exitCode, out } = await shop.runHere(...RECONCILE, '--bank', 'nothing.xml')
    expect(exitCode).toBe(5)
    expect(out).toMatch(/^! The bank file nothing\.xml was rejected.*ENOENT/m)
    expect(await shop.rows(WEEK, 'discrepancies.csv')).toHaveLength(9)
  })
})

describe('the order and the number of files', () => {
  test('do not matter: in folders that turn it round the report is the same', async () => {
    const expected = await undisturbed()
    const shop = await openShop()
    const paths = await readdir(shop.inbox)
    // The CSVs name the file in which a line was read first, so names stay and folders change order.
    for (const [at, name] of paths.toReversed().entries()) {
      const folder = join(shop.inbox, `delivery-${at}`)
      await mkdir(folder)
      await rename(join(shop.inbox, name), join(folder, name))
    }
    expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
    const csvs = await shop.csvs(WEEK)
    const withoutFolders = Object.fromEntries(
      Object.entries(csvs).map(([name, text]) => [name, text.replace(/delivery-\d+\//g, '')]),
    )
    expect(withoutFolders).toEqual(expected)
  })

  test('an overlapping file that comes later adds nothing and changes nothing', async () => {
    const shop = await openShop()
    await firstRun(shop)
    const before = await shop.csvs(WEEK)
    const entries = (await rowCounts(shop.database.db))['bank_entries']
    const [bank] = shop.sandbox.world.bankAccounts
    if (bank === undefined) throw new Error('the world has no bank account')
    const [from, to] = [parseDay('2024-03-13'), parseDay('2024-03-27')]
    await writeFile(join(shop.inbox, 'again.csv'), writeCanonicalCsv(bank, from, to))
    await writeFile(join(shop.inbox, 'again.xml'), writeCamt053(bank, from, to, { version: 2 }))
    const second = await shop.runHere(...RECONCILE)
    expect(second).toMatchObject({ exitCode: 0 })
    expect(await shop.csvs(WEEK)).toEqual(before)
    expect((await rowCounts(shop.database.db))['bank_entries']).toBe(entries)
  })
})

async function firstRun(shop: Shop): Promise<void> {
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
}
