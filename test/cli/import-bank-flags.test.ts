import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runCli } from '../../jobs/cli.ts'
import { silentProgress } from '../../src/progress.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const IBAN = 'FR7630004000031234567890143'
const CIC = [
  'Date;Date de valeur;Débit;Crédit;Libellé;Solde',
  '18/03/2024;18/03/2024;;1204,50;VIR ALMA SAS;2204,50',
  '18/03/2024;18/03/2024;4,50;;COTISATION;2200,00',
  '',
].join('\n')

let dir: string
let database: TestDatabase

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'import-flags-'))
  database = await createTestDatabase()
  await writeFile(join(dir, 'cic.csv'), CIC)
})

afterEach(async () => {
  await database.drop()
  await rm(dir, { recursive: true })
})

async function importBank(args: readonly string[], env: Record<string, string> = {}) {
  let [out, err] = ['', '']
  const notes: string[] = []
  const exitCode = await runCli(
    ['import-bank', ...args],
    { DATABASE_URL: database.url, DATA_DIR: join(dir, 'var'), ...env },
    {
      cwd: dir,
      out: (text) => (out += text),
      err: (text) => (err += text),
      progress: { ...silentProgress, note: (text) => notes.push(text), close: () => undefined },
      now: () => new Date(0),
      signal: new AbortController().signal,
    },
  )
  return { exitCode, out, err, notes }
}

test('a file without its account is rejected, and told how to give it', async () => {
  const { exitCode, out } = await importBank(['cic.csv'])
  expect(exitCode).toBe(5)
  expect(out).toContain('cic.csv: the file does not name its account')
  expect(out).toContain('Give it with import-bank --account IBAN')
})

test('--account: what the file is, its account, days, entries and proof are told', async () => {
  const { exitCode, out } = await importBank([
    'cic.csv',
    '--account',
    'FR76 3000 4000 0312 3456 7890 143',
  ])
  expect({ exitCode, out }).toEqual({
    exitCode: 0,
    out: `cic.csv: csv credit-mutuel-cic, ${IBAN}, 2024-03-18, 2 entries (2 new, 0 known, 0 suspected duplicates), balances verified\n`,
  })
})

test('--json tells the same', async () => {
  const { out } = await importBank(['cic.csv', '--account', IBAN, '--dry-run', '--json'])
  expect(JSON.parse(out)).toMatchObject({
    files: [{ format: 'csv', format_version: 'credit-mutuel-cic', new_entries: 2, suspected: 0 }],
    suspected: [],
  })
})

test('a profile of the folder that is set gives the account, and can be asked for', async () => {
  const profile = { extends: 'credit-mutuel-cic', name: 'my-cic', account: IBAN }
  await writeFile(join(dir, 'my-cic.json'), JSON.stringify(profile))
  const env = { BANK_PROFILES_DIR: '.' }
  expect((await importBank(['cic.csv'], env)).out).toContain('fit 2 profiles: credit-mutuel-cic')
  const { exitCode, out } = await importBank(
    ['cic.csv', '--format', 'csv', '--profile', 'my-cic'],
    env,
  )
  expect(out).toContain(`cic.csv: csv my-cic, ${IBAN}, 2024-03-18, 2 entries`)
  expect(exitCode).toBe(0)
})

test.each([
  [['--format', 'pdf'], '--format: found "pdf", expected one of camt.053, '],
  [['--profile', 'no-bank'], '--profile: found "no-bank", expected one of bnp-paribas, '],
  [['--account', 'FR7630004000031234567890144'], 'expected an IBAN whose check digits fit'],
  [
    ['--format', 'camt.053', '--profile', 'postbank'],
    '--profile: profiles are of CSV files, and --format says camt.053',
  ],
])('%s is a fault of usage', async (flags, message) => {
  const { exitCode, err } = await importBank(['cic.csv', ...flags])
  expect(err).toContain(message)
  expect(exitCode).toBe(2)
})

test('a profile that is wrong is a fault of configuration, before any file is read', async () => {
  await writeFile(join(dir, 'bad.json'), '{ "name": "x" }')
  const { exitCode, err } = await importBank(['cic.csv'], { BANK_PROFILES_DIR: '.' })
  expect(exitCode).toBe(3)
  expect(err).toContain('bad.json: bank: found nothing')
})
