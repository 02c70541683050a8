/**
 * The demo's bank account as each format tells it: what a format cannot carry is named here, and the
 * week's reconciliation is the same all the same.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readBankFile } from '../../src/bank/read-file.ts'
import { balanceState } from '../../src/domain/bank-statement.ts'
import { compareText } from '../../src/domain/collections.ts'
import { sumOf } from '../../src/domain/money.ts'
import {
  BANK_FORMATS,
  type BankFormat,
  bankFilesOf,
  statementsOf,
  writeBankFiles,
} from '../../src/sandbox/bank-files.ts'
import type { BankLine, SandboxBankAccount } from '../../src/sandbox/model.ts'
import { plantDemo } from '../../src/sandbox/plant.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import type { ReportRow } from '../support/workshop.ts'
import { startScript, untilSaid } from './job.ts'
import { AS_OF, demoWorld, openShop, RECONCILE, WEEK } from './shop.ts'

const CHECKOUT = new URL('../..', import.meta.url).pathname
const IBAN = 'FR7630006000011234567890189'

type Part = 'reference' | 'value day' | 'name' | 'payer account' | 'end-to-end id'

interface Carried {
  /** How the reader calls the format. */
  readonly readAs: string
  /** The account as the format names it, where it has no place for the world's IBAN. */
  readonly account?: string
  /** False where a balance is missing, so that no statement proves itself. */
  readonly isProvable?: false
  readonly lacks: readonly Part[]
}

const CARRIED: Readonly<Record<BankFormat, Carried>> = {
  'camt.053.001.08': { readAs: 'camt.053', lacks: [] },
  'camt.053.001.02': { readAs: 'camt.053', lacks: [] },
  canonical: { readAs: 'canonical-csv', lacks: [] },
  mt940: { readAs: 'mt940', lacks: [] },
  cfonb120: { readAs: 'cfonb120', lacks: ['payer account'] },
  norma43: {
    readAs: 'norma43',
    account: 'ES3821000418432345678901',
    lacks: ['payer account'],
  },
  ofx: { readAs: 'ofx', isProvable: false, lacks: ['payer account', 'end-to-end id'] },
  qonto: { readAs: 'csv', lacks: ['value day', 'end-to-end id'] },
  'bnp-paribas': {
    readAs: 'csv',
    isProvable: false,
    lacks: ['reference', 'value day', 'name', 'payer account', 'end-to-end id'],
  },
}

describe('every line of the account is in the files once, with what the format carries', () => {
  test.each(BANK_FORMATS)('%s', async (format) => {
    const { readAs, account = IBAN, isProvable = true, lacks } = CARRIED[format]
    const dir = await mkdtemp(join(tmpdir(), 'formats-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const paths = await writeBankFiles(demoWorld(), dir, { format })
    const readings = await Promise.all(
      paths.map(async (path) => readBankFile(await readFile(path), basename(path))),
    )
    expect(new Set(readings.map((reading) => reading.format))).toEqual(new Set([readAs]))
    const statements = readings.flatMap((reading) => reading.statements)
    for (const { entries, ...statement } of statements) {
      expect(statement.account).toBe(account)
      const movementMinor = sumOf(entries.map(({ amountMinor }) => amountMinor))
      expect(balanceState(statement, movementMinor)).toBe(isProvable ? 'verified' : 'unverifiable')
    }
    const entries = statements.flatMap((statement) => statement.entries)
    const told = entries.map((entry) =>
      [
        entry.bookingDay,
        entry.valueDay,
        entry.amountMinor,
        entry.currency,
        entry.counterpartyName,
        entry.counterpartyIban,
        entry.endToEndId,
        entry.bankReference,
      ].join(' | '),
    )
    const { lines } = demoAccount()
    expect(told.toSorted(compareText)).toEqual(
      lines.map((line) => carried(line, lacks)).toSorted(compareText),
    )
    // The text is there whole, wherever it is broken.
    const texts = entries.map(({ remittance }) => unbroken(remittance.join('')))
    for (const { remittance } of lines) {
      expect(texts.some((text) => text.includes(unbroken(remittance)))).toBe(true)
    }
  })
})

function carried(line: BankLine, lacks: readonly Part[]): string {
  const unless = (part: Part, text: string): string => (lacks.includes(part) ? '' : text)
  return [
    line.bookingDay,
    unless('value day', line.valueDay),
    line.amountMinor,
    line.currency,
    unless('name', line.counterpartyName),
    unless('payer account', line.counterpartyIban),
    unless('end-to-end id', line.endToEndId),
    unless('reference', line.bankReference),
  ].join(' | ')
}

function unbroken(text: string): string {
  return text.replace(/\s/g, '')
}

function demoAccount(): SandboxBankAccount {
  const [account] = demoWorld().bankAccounts
  if (account === undefined) throw new Error('the demo has no bank account')
  return account
}

type Reports = Readonly<Record<string, string>>

/** The CSV files of a period over bank files of one format, that of one week maybe left out. */
async function reconciled(
  format: BankFormat,
  argv: readonly string[] = RECONCILE,
  { period = WEEK, without = '' }: { readonly period?: string; readonly without?: string } = {},
): Promise<Reports> {
  const shop = await openShop()
  await rm(shop.inbox, { recursive: true })
  const paths = await writeBankFiles(shop.sandbox.world, shop.inbox, { format })
  const left = without === '' ? [] : paths.filter((path) => path.includes(without))
  for (const path of left) await rm(path)
  // It would be 5 if a file had been rejected.
  expect(await shop.runHere(...argv)).toMatchObject({ exitCode: 0 })
  return inTermsOfCamt(await shop.csvs(period), format)
}

/** Reports with the account, places and names of files as they are over camt.053. */
function inTermsOfCamt(csvs: Reports, format: BankFormat): Reports {
  const { account = IBAN, lacks } = CARRIED[format]
  const places = lacks.includes('reference') ? placesOf(format) : new Map<string, string>()
  return Object.fromEntries(
    Object.entries(csvs).map(([name, text]) => [
      name,
      text
        .replace(/\d{6}-\d{4}-W\d{2}\.csv:\d+/g, (place) => places.get(place) ?? place)
        .replace(/(\d{6}-\d{4}-W\d{2})\.(?:csv|sta|txt|n43|ofx)\b/g, '$1.xml')
        .replaceAll(account, IBAN),
    ]),
  )
}

/** Where the bank gives no references of its own, reports name a line by its place in the file. */
function placesOf(format: BankFormat): Map<string, string> {
  const places = new Map<string, string>()
  for (const { account, file } of bankFilesOf(demoWorld(), format)) {
    const lines = statementsOf(account, file).flatMap((statement) => statement.lines)
    // Newest first, under the account's line, a blank one and the titles of the columns.
    for (const [at, line] of lines.toReversed().entries()) {
      places.set(`${file.name}:${at + 4}`, line.bankReference)
    }
  }
  return places
}

function rowsOf(csvs: Reports, name: string): ReportRow[] {
  return parse<ReportRow>(csvs[name] ?? '', { columns: true })
}

const KEYED_BY_REFERENCE = new Set(['deposit_amount', 'deposit_duplicate', 'deposit_unexpected'])

describe('the week of the demo comes to the same reports over', () => {
  let camt: Promise<Reports> | null = null
  const overCamt = (): Promise<Reports> => (camt ??= reconciled('camt.053.001.08'))

  test('camt.053, with all that was planted', async () => {
    const codes = plantDemo(createWorld()).map(({ code }) => code)
    const found = rowsOf(await overCamt(), 'discrepancies.csv').map((row) => row['code'] ?? '')
    expect(found.toSorted(compareText)).toEqual(codes.toSorted(compareText))
  })

  test.each(BANK_FORMATS.filter((format) => !format.startsWith('camt')))('%s', async (format) => {
    const expected = await overCamt()
    const found = await reconciled(format)
    const hasReferences = !CARRIED[format].lacks.includes('reference')
    if (hasReferences) {
      expect(found).toEqual(expected)
      return
    }
    // Ids of discrepancies and the order of a day's entries follow from references; nothing else does.
    const withoutReferences = (csvs: Reports) => ({
      ...csvs,
      'discrepancies.csv': rowsOf(csvs, 'discrepancies.csv').map((row) =>
        KEYED_BY_REFERENCE.has(row['code'] ?? '') ? { ...row, discrepancy_id: '' } : row,
      ),
      'journal.csv': (csvs['journal.csv'] ?? '').split('\n').toSorted(compareText),
    })
    expect(withoutReferences(found)).toEqual(withoutReferences(expected))
  })
})

test('without balances a week that is missing shows by its business days, and what falls into it waits all the same', async () => {
  const looked = async (format: BankFormat) => {
    const days = ['--from', '2024-03-18', '--to', '2024-04-05', '--as-of', AS_OF]
    const csvs = await reconciled(format, ['reconcile', ...days], {
      period: '2024-03-18_2024-04-05',
      without: '2024-W13',
    })
    const found = rowsOf(csvs, 'discrepancies.csv')
    return {
      gap: found.find((row) => row['code'] === 'statement_gap')?.['explanation'],
      codes: found.map((row) => `${row['code']} ${row['payout_id']} ${row['bank_file']}`),
      settlements: rowsOf(csvs, 'settlements.csv').map(
        (row) => `${row['payout_id']} ${row['status']}`,
      ),
    }
  }
  const camt = await looked('camt.053.001.08')
  expect(camt.gap).toContain('the account closed with')
  expect(camt.settlements.filter((one) => one.endsWith(' in_transit')).length).toBeGreaterThan(3)
  for (const format of ['ofx', 'bnp-paribas'] as const) {
    const { gap, codes, settlements } = await looked(format)
    expect(gap).toContain('no statement covers 2024-03-2')
    expect(codes).toEqual(camt.codes)
    expect(settlements).toEqual(camt.settlements)
  }
})

test('npm run sandbox writes the format that is asked for, and names those that there are', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'formats-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const sandbox = (...flags: string[]) =>
    startScript('jobs/sandbox.ts', flags, { cwd: CHECKOUT, env: {} })
  const serving = sandbox('--port', '0', '--bank-dir', dir, '--bank-format', 'mt940')
  const unknown = sandbox('--bank-dir', dir, '--bank-format', 'mt942')
  const nowhere = sandbox('--bank-format', 'mt940')
  onTestFinished(() => void serving.process.kill('SIGKILL'))
  await untilSaid(serving, /Ctrl-C stops it/)
  serving.process.kill('SIGINT')
  expect(await serving.outcome).toMatchObject({ exitCode: 0 })
  const names = await readdir(dir)
  expect(names).toHaveLength(8)
  expect(names.every((name) => name.endsWith('.sta'))).toBe(true)
  expect(await unknown.outcome).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('Allowed choices are') as unknown,
  })
  expect(await nowhere.outcome).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('give both') as unknown,
  })
})
