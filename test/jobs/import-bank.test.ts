import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadBankEntries, loadBankFiles, loadBankStatements } from '../../db/bank.ts'
import { runs } from '../../db/schema.ts'
import { type BankImport, importBankFiles } from '../../jobs/import-bank.ts'
import { parseDay } from '../../src/domain/day.ts'
import { UnavailableFault } from '../../src/errors.ts'
import { type Progress, silentProgress } from '../../src/progress.ts'
import { camt } from '../bank/reading.ts'
import { zipOf } from '../bank/zip-file.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let runId: number
let folder: string
let inbox: string
let notes: string[]

beforeEach(async () => {
  database = await createTestDatabase()
  const [run] = await database.db
    .insert(runs)
    .values({ command: 'import-bank', appVersion: 'test' })
    .returning({ id: runs.id })
  runId = run?.id ?? 0
  folder = await mkdtemp(join(tmpdir(), 'inbox-'))
  inbox = join(folder, 'inbox')
  notes = []
})

afterEach(async () => {
  await database.drop()
  await rm(folder, { recursive: true })
})

const noting: Progress = { ...silentProgress, note: (text) => notes.push(text) }

async function leave(files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(inbox, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, content)
  }
}

async function importInbox(args: { dryRun?: boolean; files?: string[] } = {}): Promise<BankImport> {
  return importBankFiles(
    { db: database.db, progress: noting },
    { runId, inbox, files: [], ...args },
  )
}

const FAR = parseDay('2099-12-31')
const stored = async (upToDay = FAR) =>
  (await loadBankEntries(database.db, { upToDay })).map(
    (entry) =>
      `${entry.bookingDay} ${entry.amountMinor} ${entry.remittance.join('')} #${entry.fingerprintRank} ${entry.reference}`,
  )

const csv = (...rows: string[]) =>
  [
    'account,booking_date,amount,currency,remittance,bank_reference,opening_balance,closing_balance',
    ...rows,
    '',
  ].join('\n')

const MONDAY = camt({
  balances: ['OPBD 2024-03-18 0.00', 'CLBD 2024-03-18 5.00'],
  entries: ['2024-03-18 5.00 ALMA'],
})
const TUESDAY = camt({
  balances: ['OPBD 2024-03-19 5.00', 'CLBD 2024-03-19 12.00'],
  entries: ['2024-03-19 3.50 ALMA', '2024-03-19 3.50 ALMA'],
})
const BOTH_DAYS = camt({
  balances: ['OPBD 2024-03-18 0.00', 'CLBD 2024-03-19 12.00'],
  entries: ['2024-03-18 5.00 ALMA', '2024-03-19 3.50 ALMA', '2024-03-19 3.50 ALMA'],
})
const CUT = TUESDAY.slice(0, TUESDAY.lastIndexOf('</Ntry>'))

describe('the inbox', () => {
  test('every file below it is imported once, in order of name, called by its place in the inbox', async () => {
    await leave({
      'b/tuesday.xml': TUESDAY,
      'a.xml': MONDAY,
      'again.xml.gz': gzipSync(BOTH_DAYS),
      'copy of a.xml': MONDAY,
      '.hidden/x.xml': CUT,
      '.DS_Store': 'x',
      'half.xml.part': CUT,
      'half.TMP': CUT,
    })
    await symlink('/etc/hostname', join(inbox, 'link.xml'))
    const imported = await importInbox()
    expect(
      imported.files.map(({ name, entries, newEntries, duplicates }) => [
        name,
        entries,
        newEntries,
        duplicates,
      ]),
    ).toEqual([
      ['a.xml', 1, 1, 0],
      ['again.xml.gz', 3, 2, 1],
      ['b/tuesday.xml', 2, 0, 2],
    ])
    expect(imported.alreadyKnown).toBe(1)
    expect(imported.rejected).toEqual([])
    expect(notes).toEqual([
      'link.xml is a link and was left out: put the file itself into the bank inbox',
    ])
    expect(await importInbox()).toEqual({ files: [], rejected: [], alreadyKnown: 4, suspected: [] })
    expect(await stored()).toEqual([
      '2024-03-18 500 ALMA #1 a.xml:1',
      '2024-03-19 350 ALMA #1 again.xml.gz:2',
      '2024-03-19 350 ALMA #2 again.xml.gz:3',
    ])
  })

  test('what a file is and says is told', async () => {
    await leave({ 'a.xml': TUESDAY })
    const { files } = await importInbox()
    expect(files).toEqual([
      {
        name: 'a.xml',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        format: 'camt.053',
        formatVersion: '08',
        accounts: ['DE89370400440532013000'],
        fromDay: '2024-03-19',
        toDay: '2024-03-19',
        entries: 2,
        newEntries: 2,
        duplicates: 0,
        suspected: 0,
        balanceState: 'verified',
      },
    ])
    expect(await loadBankFiles(database.db)).toEqual([
      { name: 'a.xml', sha256: files[0]?.sha256, format: 'camt.053', formatVersion: '08' },
    ])
  })

  test('one that does not exist is empty, and that is said', async () => {
    expect(await importInbox()).toEqual({ files: [], rejected: [], alreadyKnown: 0, suspected: [] })
    expect(notes).toEqual([`the bank inbox ${inbox} does not exist: no bank files to import`])
  })

  test('one that cannot be read makes the run try again later', async () => {
    await writeFile(inbox, 'a file, not a folder')
    await expect(importInbox()).rejects.toThrow(UnavailableFault)
    await expect(importInbox()).rejects.toThrow(`the bank inbox cannot be read (ENOTDIR): ${inbox}`)
  })
})

describe('rejected files', () => {
  test('nothing of them is stored, the others go in, and they are tried again', async () => {
    await leave({
      'a.xml': CUT,
      'b.csv': csv('A1,2024-03-18,1.00,EUR,x,,,'),
      'c.csv': csv('A1,2024-03-18,1,00,EUR'),
    })
    const imported = await importInbox()
    expect(imported.files.map(({ name }) => name)).toEqual(['b.csv'])
    expect(imported.rejected.map(({ name, fault }) => `${name} | ${fault.message}`)).toEqual([
      'a.xml | a.xml, line 7: unclosed tag: Ntry',
      'c.csv | c.csv, line 2: the row does not have as many cells as the header: it is cut off, or a text with the separator in it is not in quotes',
    ])
    expect(await stored()).toEqual(['2024-03-18 100 x #1 b.csv:2'])
    await leave({ 'a.xml': TUESDAY })
    expect((await importInbox()).files.map(({ name }) => name)).toEqual(['a.xml'])
  })

  test('a file given by hand is called by its own name; one that is not there is rejected', async () => {
    await leave({ 'deep/a.xml': MONDAY })
    const { files, rejected } = await importBankFiles(
      { db: database.db, progress: noting },
      { runId, inbox: null, files: [join(inbox, 'deep/a.xml'), join(folder, 'none.xml'), folder] },
    )
    expect(files.map(({ name }) => name)).toEqual(['a.xml'])
    expect(rejected.map(({ fault }) => fault.message)).toEqual([
      'none.xml: the file cannot be opened (ENOENT)',
      expect.stringContaining('the file cannot be opened (EISDIR)'),
    ])
  })
})

describe('an archive', () => {
  const week = [
    { name: 'monday.xml', bytes: MONDAY },
    { name: 'deep/tuesday.xml', bytes: TUESDAY },
  ]
  const sha256Of = (bytes: string) => createHash('sha256').update(bytes).digest('hex')

  test('is taken in member by member, each a file of its own, and not opened again', async () => {
    const zip = zipOf(week)
    await leave({ 'a.zip': zip })
    const { files } = await importInbox()
    expect(files.map(({ name, sha256, newEntries }) => [name, sha256, newEntries])).toEqual([
      ['a.zip/monday.xml', sha256Of(MONDAY), 1],
      ['a.zip/deep/tuesday.xml', sha256Of(TUESDAY), 2],
    ])
    expect(await stored()).toEqual([
      '2024-03-18 500 ALMA #1 a.zip/monday.xml:1',
      '2024-03-19 350 ALMA #1 a.zip/deep/tuesday.xml:1',
      '2024-03-19 350 ALMA #2 a.zip/deep/tuesday.xml:2',
    ])
    expect((await loadBankFiles(database.db)).map(({ name, format }) => [name, format])).toEqual([
      ['a.zip', 'zip'],
      ['a.zip/deep/tuesday.xml', 'camt.053'],
      ['a.zip/monday.xml', 'camt.053'],
    ])
    expect(await importInbox()).toEqual({ files: [], rejected: [], alreadyKnown: 1, suspected: [] })
  })

  test('of which one member is refused is refused whole, and tried again', async () => {
    await leave({ 'a.zip': zipOf([...week, { name: 'z.xml', bytes: CUT }]), 'b.xml': BOTH_DAYS })
    const { files, rejected } = await importInbox()
    expect(files.map(({ name }) => name)).toEqual(['b.xml'])
    expect(rejected.map(({ fault }) => [fault.message, fault.hint])).toEqual([
      [
        'a.zip/z.xml, line 7: unclosed tag: Ntry',
        expect.stringMatching(/^Nothing of a\.zip was taken, its other files neither\. /),
      ],
    ])
    expect((await loadBankFiles(database.db)).map(({ name }) => name)).toEqual(['b.xml'])
    expect((await importInbox()).rejected).toHaveLength(1)
  })

  test('brings only the members that are not known from the inbox or from itself', async () => {
    await leave({ 'a.xml': MONDAY })
    await importInbox()
    await leave({ 'b.zip': zipOf([...week, { name: 'copy.xml', bytes: TUESDAY }]) })
    const { files, alreadyKnown } = await importInbox()
    expect(files.map(({ name }) => name)).toEqual(['b.zip/deep/tuesday.xml'])
    expect(alreadyKnown).toBe(3)
    expect(await stored()).toHaveLength(3)
  })

  test('whose members overlap adds each entry once', async () => {
    await leave({ 'a.zip': gzipSync(zipOf([...week, { name: 'both.xml', bytes: BOTH_DAYS }])) })
    const { files } = await importInbox()
    expect(files.map(({ newEntries, duplicates }) => [newEntries, duplicates])).toEqual([
      [1, 0],
      [2, 0],
      [0, 3],
    ])
    expect(await importInbox({ dryRun: true })).toMatchObject({ files: [], alreadyKnown: 1 })
  })
})

describe('entries', () => {
  test('bear the bank reference, else the end-to-end id, else file and line', async () => {
    await leave({
      'a.csv': [
        'account,booking_date,amount,currency,end_to_end_id,bank_reference',
        'A1,2024-03-18,1.00,EUR,E2E,BNK',
        'A1,2024-03-19,1.00,EUR,E2E,',
        'A1,2024-03-20,1.00,EUR,NOTPROVIDED,',
        '',
      ].join('\n'),
    })
    await importInbox()
    const entries = await loadBankEntries(database.db, { upToDay: FAR })
    expect(entries.map(({ reference }) => reference)).toEqual(['BNK', 'E2E', 'a.csv:4'])
  })

  test('of two halves of a day, the equal ones are all there', async () => {
    await leave({
      'noon.csv': csv('A1,2024-03-18,5.00,EUR,ALMA,,100.00,105.00'),
      'night.csv': csv('A1,2024-03-18,5.00,EUR,ALMA,,105.00,110.00'),
    })
    await importInbox()
    expect(await stored()).toEqual([
      '2024-03-18 500 ALMA #1 night.csv:2',
      '2024-03-18 500 ALMA #2 noon.csv:2',
    ])
  })

  test('that two files tell in other words are counted once where the balances prove it', async () => {
    await leave({ 'a.xml': MONDAY })
    await importInbox()
    await leave({
      'b.csv': csv('DE89370400440532013000,2024-03-18,5.00,EUR,Payout of ALMA,BNK-1,0.00,5.00'),
    })
    expect((await importInbox()).files[0]).toMatchObject({ newEntries: 0, duplicates: 1 })
    expect(notes).toEqual([])
  })

  test('that two files tell in other words, and nothing proves to be two, are suspected and counted once', async () => {
    await leave({ 'a.xml': MONDAY })
    await importInbox()
    await leave({
      'c.csv': csv(
        'DE89370400440532013000,2024-03-18,5.00,EUR,PAYOUT ALMA,,,',
        'DE89370400440532013000,2024-03-18,7.00,EUR,OTHER,,,',
      ),
    })
    const { files, suspected } = await importInbox()
    expect(files[0]).toMatchObject({ entries: 2, newEntries: 1, duplicates: 0, suspected: 1 })
    expect(suspected).toEqual([
      {
        file: 'c.csv',
        place: 'line 2',
        account: 'DE89370400440532013000',
        day: '2024-03-18',
        amountMinor: 500n,
        currency: 'EUR',
        earlierFile: 'a.xml',
      },
    ])
    expect(await stored()).toEqual([
      '2024-03-18 500 ALMA #1 a.xml:1',
      '2024-03-18 700 OTHER #1 c.csv:3',
    ])
    expect(notes).toEqual([
      'c.csv holds an entry that is probably known from another file in other words, and not counted again: line 2 (5.00 EUR of 2024-03-18 on DE89370400440532013000, as in a.xml). If both are there at the bank, import a statement with balances for these days, which proves it, or say so (npm run decide -- admit); if they are the same, say that (npm run decide -- dismiss), and leave only one kind of file for an account in the inbox.',
    ])
  })

  test('of a bank with ids of its own are the same in a later export, whatever users wrote into it', async () => {
    const qonto = (...rows: string[]) =>
      [
        'Statut;Date de la valeur (local);Montant total (TTC);Devise;Nom de la contrepartie;IBAN du compte;Identifiant de transaction;Note',
        ...rows,
        '',
      ].join('\n')
    const entry = 'Exécuté;19-03-2024;1204,50;EUR;ALMA;FR7616958000013234567890155;t1;'
    await leave({ 'a.csv': qonto(entry), 'b.csv': qonto(`${entry}checked by Ana`) })
    const { files } = await importInbox()
    expect(files.map(({ newEntries, duplicates }) => [newEntries, duplicates])).toEqual([
      [1, 0],
      [0, 1],
    ])
    expect(notes).toEqual([])
  })

  test('later than the day that is asked for are left out', async () => {
    await leave({ 'a.xml': BOTH_DAYS })
    await importInbox()
    expect(await stored(parseDay('2024-03-18'))).toEqual(['2024-03-18 500 ALMA #1 a.xml:1'])
  })

  test('keep the exact slice of the file', async () => {
    await leave({ 'a.xml': MONDAY })
    await importInbox()
    const [row] = await database.db.execute(sql`select raw from bank_entries`)
    expect(row?.['raw']).toBe(/<Ntry>.*<\/Ntry>/.exec(MONDAY)?.[0])
  })
})

test('statements come back with their proof, also those that brought nothing new', async () => {
  await leave({
    'a.xml': BOTH_DAYS,
    'b.xml': MONDAY,
    'c.csv': csv('A1,2024-03-18,1.00,EUR,x,,0.00,2.00'),
  })
  const { files } = await importInbox()
  expect(files.map(({ balanceState }) => balanceState)).toEqual(['verified', 'verified', 'failed'])
  const statements = await loadBankStatements(database.db, { upToDay: FAR })
  expect(
    statements.map(
      ({ account, fromDay, toDay, fileName, movementMinor, entryCount, balanceState }) =>
        [account, fromDay, toDay, fileName, movementMinor, entryCount, balanceState].join(' '),
    ),
  ).toEqual([
    'A1 2024-03-18 2024-03-18 c.csv 100 1 failed',
    'DE89370400440532013000 2024-03-18 2024-03-18 b.xml 500 1 verified',
    'DE89370400440532013000 2024-03-18 2024-03-19 a.xml 1200 3 verified',
  ])
  expect(await loadBankStatements(database.db, { upToDay: parseDay('2024-03-17') })).toEqual([])
})

test('a dry run tells what would be new, overlaps between the files included, and stores nothing', async () => {
  await leave({ 'a.xml': MONDAY, 'b.xml': BOTH_DAYS, 'c.xml': CUT })
  const dry = await importInbox({ dryRun: true })
  expect(await stored()).toEqual([])
  expect(await loadBankFiles(database.db)).toEqual([])
  expect(dry.files.map(({ newEntries }) => newEntries)).toEqual([1, 2])
  expect(await importInbox()).toEqual(dry)
})

test('statements of one file that tell of days in turn and of days that others told are all compared', async () => {
  // The second statement repeats a day of the first, days are not in order, and Tuesday is known.
  const statement = (opening: string, closing: string, entries: string[]) => {
    const text = camt({
      balances: [`OPBD 2024-03-18 ${opening}`, `CLBD 2024-03-20 ${closing}`],
      entries,
    })
    return text.slice(text.indexOf('<Stmt>'), text.indexOf('</Stmt>') + '</Stmt>'.length)
  }
  const first = statement('0.00', '18.00', [
    '2024-03-20 6.00 ALMA',
    '2024-03-18 5.00 ALMA',
    '2024-03-19 3.50 ALMA',
    '2024-03-19 3.50 ALMA',
  ])
  const second = statement('18.00', '24.00', ['2024-03-20 6.00 ALMA'])
  const document = (...statements: string[]) =>
    camt({ entries: [] }).replace(/<Stmt>[^]*<\/Stmt>/, statements.join('\n'))
  await leave({ 'a.xml': TUESDAY })
  await importInbox()
  await leave({ 'b.xml': document(first, second) })
  const { files } = await importInbox()
  expect(files[0]).toMatchObject({ entries: 5, newEntries: 3, duplicates: 2, suspected: 0 })
  expect(await stored()).toEqual([
    '2024-03-18 500 ALMA #1 b.xml:2',
    '2024-03-19 350 ALMA #1 a.xml:1',
    '2024-03-19 350 ALMA #2 a.xml:2',
    '2024-03-20 600 ALMA #1 b.xml:1',
    '2024-03-20 600 ALMA #2 b.xml:5',
  ])
  const statements = await loadBankStatements(database.db, { upToDay: FAR })
  expect(
    statements.map((one) => `${one.fileName} ${one.positionInFile} ${one.entryCount}`),
  ).toEqual(['b.xml 1 4', 'b.xml 2 1', 'a.xml 1 2'])
})

test('20,000 entries of one file and the same in another are stored once', async () => {
  const rows = Array.from(
    { length: 20_000 },
    (_, index) =>
      `A1,2024-03-${String((index % 28) + 1).padStart(2, '0')},1.00,EUR,row ${index % 5_000},,,`,
  )
  await leave({ 'a.csv': csv(...rows), 'b.csv': `\ufeff${csv(...rows.reverse())}` })
  const { files } = await importInbox()
  expect(files.map(({ newEntries }) => newEntries)).toEqual([20_000, 0])
  expect(await stored()).toHaveLength(20_000)
})
