/** The CSV files as a spreadsheet takes them: opened by a real LibreOffice, without a window. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CsvDialect } from '../../reports/csv.ts'
import { discrepanciesCsv } from '../../reports/discrepancies.ts'
import { settlementsCsv } from '../../reports/settlements.ts'
import { wholeText } from '../../reports/text.ts'
import { discrepancy, settlement } from './sample.ts'

/** @throws Error saying how to install it: a spreadsheet that nobody opened is not tested. */
function findOffice(): string {
  const given = process.env['LIBREOFFICE_PATH'] ?? ''
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const names = ['soffice', 'libreoffice']
  const candidates =
    given === '' ? folders.flatMap((folder) => names.map((name) => join(folder, name))) : [given]
  const found = candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  if (found !== undefined) return found
  throw new Error(
    'no LibreOffice was found for the tests of the CSV files: install one (on Debian: apt-get install -y --no-install-recommends libreoffice-calc-nogui) or name one in LIBREOFFICE_PATH',
  )
}

/** How a person in that country opens the file: separator, quotes, UTF-8, and the numbers of the place. */
const FILTERS: Readonly<Record<CsvDialect, string>> = {
  fr: 'CSV:59,34,76,1,,1036,false,true',
  iso: 'CSV:44,34,76,1,,1033,false,true',
}

interface Cell {
  /** `float`, `date`, `string` …; empty for an empty cell. */
  readonly type: string
  /** What the spreadsheet reckons with. */
  readonly value: string
  readonly formula: boolean
}

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alma-office-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** The rows of a CSV file after its titles, by title, as the spreadsheet holds them. */
async function opened(
  name: string,
  text: string,
  dialect: CsvDialect,
): Promise<Record<string, Cell>[]> {
  const csv = join(dir, `${name}.csv`)
  await writeFile(csv, text)
  const { status, stderr } = spawnSync(
    findOffice(),
    [
      `-env:UserInstallation=${pathToFileURL(join(dir, 'profile')).href}`,
      '--headless',
      `--infilter=${FILTERS[dialect]}`,
      '--convert-to',
      'fods',
      '--outdir',
      dir,
      csv,
    ],
    { encoding: 'utf8', timeout: 120_000 },
  )
  expect({ status, stderr }).toMatchObject({ status: 0 })
  const sheet = await readFile(join(dir, `${name}.fods`), 'utf8')
  const rows = [...sheet.matchAll(/<table:table-row[^>]*>([^]*?)<\/table:table-row>/g)].map(
    ([, row = '']) => cellsOf(row),
  )
  const [titles = [], ...body] = rows
  return body
    .filter((cells) => cells.some(({ type }) => type !== ''))
    .map((cells) =>
      Object.fromEntries(titles.map((title, at) => [title.value, cells[at] ?? EMPTY])),
    )
}

const EMPTY: Cell = { type: '', value: '', formula: false }

function cellsOf(row: string): Cell[] {
  const cells = row.matchAll(/<table:table-cell([^>]*?)(?:\/>|>([^]*?)<\/table:table-cell>)/g)
  return [...cells].flatMap(([, attributes = '', content = '']) => {
    const of = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1] ?? ''
    const text = content.replaceAll(/<[^>]+>/g, '').trim()
    const type = of('office:value-type')
    const cell: Cell = {
      type,
      value: of('office:value') || of('office:date-value') || text,
      formula: attributes.includes('table:formula'),
    }
    return Array.from({ length: Number(of('table:number-columns-repeated') || 1) }, () => cell)
  })
}

describe.each(['fr', 'iso'] as const)('CSV_DIALECT=%s, opened by LibreOffice', (dialect) => {
  test('amounts are numbers, days are days, explanations are texts, nothing is a formula', async () => {
    const tricky = {
      ...discrepancy,
      explanation: '=1+1; "à vérifier", 3,50 €',
      bankReference: '2024032089010003',
    }
    const [row] = await opened(
      `discrepancies-${dialect}`,
      discrepanciesCsv([tricky], dialect),
      dialect,
    )
    expect(row?.['difference']).toEqual({ type: 'float', value: '-1204.5', formula: false })
    expect(row?.['expected_amount']).toEqual({ type: 'float', value: '2500', formula: false })
    expect(row?.['expected_date']).toMatchObject({ type: 'date', value: '2024-03-20' })
    expect(row?.['explanation']).toMatchObject({ type: 'string' })
    expect(row?.['explanation']?.value).toContain('à vérifier')
    for (const cell of Object.values(row ?? {})) expect(cell.formula).toBe(false)
    // A reference of 16 digits keeps all of them, as a number that is exact up to 2^53.
    expect(row?.['bank_reference']?.value).toBe('2024032089010003')
  }, 180_000)

  test('the settlements’ amounts add up in it', async () => {
    const rows = await opened(
      `settlements-${dialect}`,
      wholeText(
        settlementsCsv(
          [settlement, { ...settlement, payoutId: 'payout_2', netMinor: -5n }],
          dialect,
        ),
      ),
      dialect,
    )
    const nets = rows.map((row) => row['net'])
    expect(nets.map((cell) => cell?.type)).toEqual(['float', 'float'])
    expect(nets.map((cell) => cell?.value)).toEqual(['2500', '-0.05'])
  }, 180_000)
})
