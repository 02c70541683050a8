import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ReportRun } from '../../reports/summary-json.ts'
import { type WriteReportsInput, writeReports, type WrittenReports } from '../../reports/write.ts'
import { journal, reconciliation, run } from './sample.ts'

const FILES = [
  'discrepancies.csv',
  'settlements.csv',
  'refunds.csv',
  'open_items.csv',
  'journal.csv',
  'summary.csv',
  'plans.csv',
  'report.html',
  'summary.json',
]

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alma-reports-'))
})
afterEach(() => rm(dir, { recursive: true }))

function write(changes: Partial<WriteReportsInput> = {}): Promise<WrittenReports> {
  return writeReports({
    reconciliation,
    journal,
    dir,
    dialect: 'iso',
    run,
    previousManifestSha256: null,
    ...changes,
  })
}

const week = (name: string): string => join(dir, '2024-W12', name)
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Every file's bytes and the time of its last change. */
async function snapshot(): Promise<Record<string, string>> {
  const names = (await readdir(join(dir, '2024-W12'))).sort()
  const entries = names.map(async (name) => {
    const { mtimeMs, ino } = await stat(week(name))
    return [name, `${sha256(await readFile(week(name)))} ${mtimeMs} ${ino}`]
  })
  return Object.fromEntries(await Promise.all(entries))
}

describe('a first report', () => {
  test('stands in the period’s folder, whole, with a manifest that fits', async () => {
    const written = await write()
    expect(written.dir).toBe(join(dir, '2024-W12'))
    expect(written.changed).toBe(true)
    expect((await readdir(written.dir)).sort()).toEqual([...FILES, 'manifest.json'].sort())
    expect(written.files.map(({ name }) => name)).toEqual(FILES)
    for (const { name, bytes, sha256: stated } of written.files) {
      const found = await readFile(week(name))
      expect([stated, bytes]).toEqual([sha256(found), found.length])
    }
    const manifest = await readFile(week('manifest.json'))
    expect(written.manifestSha256).toBe(sha256(manifest))
    expect(JSON.parse(manifest.toString())).toEqual({
      period: '2024-W12',
      as_of: '2024-03-31',
      entities: ['default'],
      files: written.files,
      previous_manifest_sha256: null,
    })
  })

  test('summary.json says where its figures come from', async () => {
    await write()
    expect(JSON.parse(await readFile(week('summary.json'), 'utf8'))).toEqual({
      notes: ['The statement of 2024-03-22 was rejected.'],
      control_faults: [],
      period: { label: '2024-W12', first: '2024-03-18', last: '2024-03-24' },
      as_of: '2024-03-31',
      entities: ['default'],
      lines: [
        {
          line: 'opening_balance',
          entity: 'default',
          currency: 'EUR',
          amount: '-0.05',
          amount_minor: '-5',
          rows: 0,
        },
        {
          line: 'closing_balance',
          entity: 'default',
          currency: 'EUR',
          amount: '90071992547409.93',
          amount_minor: '9007199254740993',
          rows: 1,
        },
        {
          line: 'period_start',
          entity: 'default',
          currency: 'EUR',
          amount: null,
          amount_minor: null,
          rows: 1710716400,
        },
      ],
      inputs: {
        bank_files: [{ name: 'march/statement.xml', sha256: 'b'.repeat(64), format: 'camt.053' }],
        exports: [{ entity: 'default', export_id: 'export_1', sha256: 'e'.repeat(64), rows: 14 }],
        ledger: [
          {
            entity: 'default',
            requests: 3,
            rows: 240,
            new_rows: 12,
            changed_rows: 1,
            walks: [{ purpose: 'new', after_id: null, new_rows: 12 }],
          },
        ],
      },
      run_id: 7,
      versions: { app: '0.1.0', node: 'v20.19.0' },
      timings: { ledger_ms: 1235, match_ms: 5 },
    })
  })
})

describe('a second report', () => {
  const [bankFile] = run.inputs.bankFiles
  const [usedExport] = run.inputs.exports
  if (bankFile === undefined || usedExport === undefined)
    throw new Error('the sample has no inputs')

  test('over the same facts touches nothing, whatever is special to its run', async () => {
    const first = await write()
    const before = await snapshot()
    const again: ReportRun = {
      ...run,
      runId: 8,
      nodeVersion: 'v24.0.0',
      timings: { ledger: 1 },
      inputs: {
        ...run.inputs,
        exports: [{ ...usedExport, exportId: 'export_2' }],
        ledger: [],
      },
    }
    const second = await write({ run: again, previousManifestSha256: first.manifestSha256 })
    expect(second).toEqual({ ...first, changed: false })
    expect(await snapshot()).toEqual(before)
  })

  test.each<[string, Partial<WriteReportsInput>]>([
    ['a row', { reconciliation: { ...reconciliation, refunds: [] } }],
    ['an entry', { journal: { ...journal, books: [] } }],
    ['a note', { run: { ...run, notes: [] } }],
    ['an input', { run: { ...run, inputs: { ...run.inputs, bankFiles: [bankFile, bankFile] } } }],
    ['the dialect', { dialect: 'fr' }],
  ])('is written anew and chained where %s differs', async (_, changes) => {
    const first = await write()
    const second = await write({ ...changes, previousManifestSha256: first.manifestSha256 })
    expect(second.changed).toBe(true)
    expect(second.manifestSha256).not.toBe(first.manifestSha256)
    const manifest: unknown = JSON.parse(await readFile(week('manifest.json'), 'utf8'))
    expect(manifest).toMatchObject({ previous_manifest_sha256: first.manifestSha256 })
    // The link is a matter of the chain: the same report a third time changes nothing again.
    const third = await write({ ...changes, previousManifestSha256: second.manifestSha256 })
    expect(third).toEqual({ ...second, changed: false })
  })

  test.each(['discrepancies.csv', 'journal.csv', 'report.html', 'summary.json', 'manifest.json'])(
    'mends a folder in which %s was tampered with or is gone',
    async (name) => {
      const { manifestSha256 } = await write()
      const text = await readFile(week(name), 'utf8')
      const previousManifestSha256 = null
      await writeFile(week(name), `${text}\n`)
      expect(await write({ previousManifestSha256 })).toMatchObject({
        changed: true,
        manifestSha256,
      })
      await rm(week(name))
      expect(await write({ previousManifestSha256 })).toMatchObject({
        changed: true,
        manifestSha256,
      })
      expect(await readFile(week(name), 'utf8')).toBe(text)
    },
  )
})

test('the same facts give the same bytes in another folder', async () => {
  const first = await write()
  const second = await write({ dir: join(dir, 'elsewhere') })
  expect(second.files).toEqual(first.files)
  expect(second.manifestSha256).toBe(first.manifestSha256)
})

test('leftovers of a run that was killed while writing are cleared away, nothing else is', async () => {
  await mkdir(join(dir, '2024-W12'))
  const leftover = '.summary.csv.0b0f6b5e-5d0c-4a53-9a0c-0d7b0f3c1f11.tmp'
  await writeFile(week(leftover), 'half a fi')
  await writeFile(week('my notes.txt'), 'kept')
  await write()
  const names = await readdir(join(dir, '2024-W12'))
  expect(names.filter((name) => name.startsWith('.'))).toEqual([])
  expect(names).toContain('my notes.txt')
})

test('a folder that cannot be made is an error with its path, and nothing is left behind', async () => {
  await writeFile(join(dir, '2024-W12'), 'a file where the folder should be')
  await expect(write()).rejects.toMatchObject({ code: expect.stringMatching(/EEXIST|ENOTDIR/) })
  expect(await readdir(dir)).toEqual(['2024-W12'])
})

describe('a report that is refused', () => {
  const refuse = (): Promise<void> => Promise.reject(new Error('it does not tie'))

  test('leaves nothing, not even a folder', async () => {
    await expect(write({ examine: refuse })).rejects.toThrow('it does not tie')
    expect(await readdir(dir)).toEqual([])
  })

  test('leaves the one before it as it was, to the file', async () => {
    await write()
    const before = await snapshot()
    const changes = { reconciliation: { ...reconciliation, refunds: [] }, dialect: 'fr' } as const
    await expect(write({ ...changes, examine: refuse })).rejects.toThrow('it does not tie')
    expect(await snapshot()).toEqual(before)
  })

  test('was looked at as its files lie on the disk, a long one too', async () => {
    for (const books of [journal.books, [], journal.books]) {
      let posted = ''
      await write({
        journal: { ...journal, books },
        examine: async (texts) => {
          const text = texts.get('journal.csv')
          if (text === undefined || typeof text === 'string') throw new Error('it comes in pieces')
          for await (const piece of text) posted += piece
        },
      })
      expect(posted).toBe(await readFile(week('journal.csv'), 'utf8'))
    }
  })
})

test('a journal that stands in the folder already is not written again', async () => {
  await write()
  const before = await snapshot()
  await write({ reconciliation: { ...reconciliation, refunds: [] } })
  const after = await snapshot()
  expect(after['journal.csv']).toBe(before['journal.csv'])
  expect(after['refunds.csv']).not.toBe(before['refunds.csv'])
})
