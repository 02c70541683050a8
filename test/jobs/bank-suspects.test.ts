/** Bank entries that are probably known in other words: kept, told in each report, decided by a person. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadBankEntries, loadBankStatements } from '../../db/bank.ts'
import { bankSuspectDecisions } from '../../db/schema.ts'
import { parseDay } from '../../src/domain/day.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { camt } from '../bank/reading.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

const WEEK = '2024-W12'
const ACCOUNT = 'DE89370400440532013000'
const SIGNED = ['--by', 'Marie', '--reason', 'asked the bank']

const MONDAY = camt({
  balances: ['OPBD 2024-03-18 0.00', 'CLBD 2024-03-18 5.00'],
  entries: ['2024-03-18 5.00 ALMA'],
})
const csv = (...rows: string[]) =>
  [
    'account,booking_date,amount,currency,remittance,opening_balance,closing_balance',
    ...rows.map((row) => `${ACCOUNT},${row}`),
    '',
  ].join('\n')
const IN_OTHER_WORDS = csv('2024-03-18,5.00,EUR,Payout of ALMA,,', '2024-03-18,7.00,EUR,RENT,,')

const NOTE = `1 bank entry is probably known from another file in other words, and not counted again: b.csv:2 (5.00 EUR of 2024-03-18 on ${ACCOUNT}, as in a.xml). Say of each whether it is money of its own (npm run decide -- admit --bank b.csv:2 …) or the same (… dismiss …).`

let workshop: Workshop

beforeEach(async () => {
  workshop = await openWorkshop(
    createWorld({ from: '2024-03-11', to: '2024-03-22', salesPerDay: 1 }),
  )
  await leave('a.xml', MONDAY)
  await run('import-bank', join(workshop.inbox, 'a.xml'))
  await leave('b.csv', IN_OTHER_WORDS)
})
afterEach(() => workshop.close())

async function leave(name: string, content: string): Promise<void> {
  await mkdir(workshop.inbox, { recursive: true })
  await writeFile(join(workshop.inbox, name), content)
}

async function run(...argv: string[]): Promise<string> {
  const { exitCode, out, err } = await workshop.run(...argv)
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  return out
}

/** The notes about suspects in the report of a period that is made now. */
async function suspectNotes(week = WEEK, asOf = '2024-05-14'): Promise<string[]> {
  await run('reconcile', '--week', week, '--as-of', asOf)
  const text = await readFile(join(workshop.dir, 'var', 'reports', week, 'summary.json'), 'utf8')
  const summary: unknown = JSON.parse(text)
  if (summary === null || typeof summary !== 'object' || !('notes' in summary)) return []
  const notes = Array.isArray(summary.notes) ? summary.notes.map(String) : []
  return notes.filter((note) => note.includes('in other words'))
}

async function entries(): Promise<string[]> {
  const stored = await loadBankEntries(workshop.database.db, { upToDay: parseDay('2099-12-31') })
  return stored
    .filter(({ account }) => account === ACCOUNT)
    .map(({ amountMinor, reference }) => `${amountMinor} ${reference}`)
    .toSorted()
}

test('every report of their period names them, no other report does, and they never count', async () => {
  expect(await suspectNotes()).toEqual([NOTE])
  expect(await suspectNotes()).toEqual([NOTE])
  expect(await suspectNotes('2024-W11')).toEqual([])
  expect(await entries()).toEqual(['500 a.xml:1', '700 b.csv:3'])
})

test('their statement proves itself with them, whether they count or not', async () => {
  await leave(
    'b.csv',
    csv('2024-03-18,5.00,EUR,Payout of ALMA,100.00,', '2024-03-18,7.00,EUR,RENT,,112.00'),
  )
  const states = async () =>
    (await loadBankStatements(workshop.database.db, { upToDay: parseDay('2099-12-31') }))
      .filter(({ account }) => account === ACCOUNT)
      .map(({ fileName, movementMinor, balanceState }) => [fileName, movementMinor, balanceState])
  await run('import-bank', join(workshop.inbox, 'b.csv'))
  const expected = [
    ['a.xml', 500n, 'verified'],
    ['b.csv', 1200n, 'verified'],
  ]
  expect(await states()).toEqual(expected)
})

test('one that is dismissed is not told again, and stays out', async () => {
  expect(await suspectNotes()).toEqual([NOTE])
  expect(await run('decide', 'dismiss', '--bank', 'b.csv:2', ...SIGNED)).toContain(
    'is known from another file, and never counted again (by Marie)',
  )
  expect(await suspectNotes()).toEqual([])
  expect(await entries()).toEqual(['500 a.xml:1', '700 b.csv:3'])
  // The same entry in a third file is the same suspect, about which it was decided.
  await leave('c.csv', `\ufeff${IN_OTHER_WORDS}`)
  expect(await suspectNotes()).toEqual([])
})

test('one that is admitted counts from then on, once, and cannot be admitted again', async () => {
  await suspectNotes()
  expect(await run('decide', 'admit', '--bank', 'b.csv:2', ...SIGNED)).toContain(
    `bank line b.csv:2 of 2024-03-18 at ${ACCOUNT} over 5.00 EUR is money of its own, and taken in (by Marie)`,
  )
  expect(await suspectNotes()).toEqual([])
  expect(await entries()).toEqual(['500 a.xml:1', '500 b.csv:2', '700 b.csv:3'])
  await leave('c.csv', `\ufeff${IN_OTHER_WORDS}`)
  await suspectNotes()
  expect(await entries()).toHaveLength(3)
  expect(await workshop.run('decide', 'admit', '--bank', 'b.csv:2', ...SIGNED)).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('was taken in already'),
  })
  const decided = await workshop.database.db.select().from(bankSuspectDecisions)
  expect(decided).toMatchObject([{ kind: 'admit', decidedBy: 'Marie', reason: 'asked the bank' }])
})

test('one that was dismissed by mistake can still be admitted', async () => {
  await suspectNotes()
  await run('decide', 'dismiss', '--bank', 'b.csv:2', ...SIGNED)
  await run('decide', 'admit', '--bank', 'b.csv:2', ...SIGNED)
  expect(await entries()).toHaveLength(3)
  const kinds = (await workshop.database.db.select().from(bankSuspectDecisions)).map(
    ({ kind }) => kind,
  )
  expect(kinds).toEqual(['dismiss', 'admit'])
})

test('one that a later statement proves to be money of its own is settled by it', async () => {
  expect(await suspectNotes()).toEqual([NOTE])
  await leave(
    'c.csv',
    csv('2024-03-18,5.00,EUR,Payout of ALMA,5.00,', '2024-03-18,7.00,EUR,RENT,,17.00'),
  )
  expect(await suspectNotes()).toEqual([])
  expect(await entries()).toHaveLength(3)
  const decided = await workshop.database.db.select().from(bankSuspectDecisions)
  expect(decided).toMatchObject([
    { kind: 'admit', decidedBy: 'import-bank', reason: 'c.csv has it as an entry of its own' },
  ])
})

test('two equal ones are two, and are decided one by one', async () => {
  await leave(
    'a2.xml',
    camt({
      balances: ['OPBD 2024-03-19 5.00', 'CLBD 2024-03-19 15.00'],
      entries: ['2024-03-19 5.00 ALMA', '2024-03-19 5.00 ALMA'],
    }),
  )
  await leave(
    'b.csv',
    csv('2024-03-19,5.00,EUR,Payout of ALMA,,', '2024-03-19,5.00,EUR,Payout of ALMA,,'),
  )
  await run('import-bank', join(workshop.inbox, 'a2.xml'))
  expect((await suspectNotes())[0]).toMatch(/^2 bank entries are probably known/)
  await run('decide', 'admit', '--bank', 'b.csv:3', ...SIGNED)
  expect((await suspectNotes())[0]).toMatch(/^1 bank entry is .*: b\.csv:2 /)
  await run('decide', 'admit', '--bank', 'b.csv:2', ...SIGNED)
  expect(await suspectNotes()).toEqual([])
  expect((await entries()).filter((entry) => entry.startsWith('500 b.csv'))).toHaveLength(2)
})

test('a reference that names none is refused, and says where references are found', async () => {
  expect(await workshop.run('decide', 'dismiss', '--bank', 'x:1', ...SIGNED)).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('which no suspected bank line is called'),
  })
})

test('one that is admitted after its period was closed is a late change of that period', async () => {
  await suspectNotes()
  await run('close', '--week', WEEK, '--as-of', '2024-05-14', '--by', 'Ana')
  await run('decide', 'admit', '--bank', 'b.csv:2', ...SIGNED)
  const [found] = await workshop.database.db.execute<{ late: string }>(sql`
    select count(*) as late from bank_entries where place = 'line 2'`)
  expect(found?.late).toBe('1')
  await run('reconcile', '--week', WEEK, '--as-of', '2024-05-15')
  const codes = (await workshop.report(WEEK, 'discrepancies.csv')).map((row) => [
    row['code'],
    row['bank_reference'],
  ])
  expect(codes).toContainEqual(['late_change', 'b.csv:2'])
})
