import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withBankFile } from '../../jobs/bank-file.ts'
import { fingerprint } from '../../src/bank/fingerprint.ts'
import { outlineBankFile, readBankFile } from '../../src/bank/read-file.ts'
import { camt } from '../bank/reading.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bank-file-'))
  path = join(folder, 'long.xml')
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

/** Some hundred kilobytes: longer than what is read at once, and than what is looked at to recognise it. */
const LONG = camt({
  balances: ['OPBD 2024-03-18 0.00', 'CLBD 2024-03-19 1500.00'],
  entries: Array.from({ length: 1_500 }, (_, at) => `2024-03-1${8 + (at % 2)} 1.00 Société ${at}`),
})

const file = () => ({ name: 'long.xml', path })

test('a long camt.053 that goes by in pieces says what it says as a whole', async () => {
  const [whole] = (await readBankFile(Buffer.from(LONG), 'long.xml')).statements
  await writeFile(path, LONG)
  const { outline, full } = await withBankFile(file(), async ({ source }) => {
    const reading = await outlineBankFile(source, 'long.xml')
    const [statement] = reading.statements
    const chosen = (statement?.entries ?? []).map((entry) => ({ entry }))
    return {
      outline: statement,
      full: [...reading.inFull(chosen)].map((batch) => batch.map(({ entry }) => entry)),
    }
  })
  expect(full.length).toBeGreaterThan(5)
  expect({ ...outline, entries: full.flat() }).toEqual(whole)
  expect(outline?.entries.map((entry) => entry.fingerprint)).toEqual(
    whole?.entries.map((entry) => fingerprint(entry)),
  )
})

test('only the chosen entries come back, each with what was chosen for it', async () => {
  await writeFile(path, LONG)
  await withBankFile(file(), async ({ source }) => {
    const reading = await outlineBankFile(source, 'long.xml')
    const chosen = (reading.statements[0]?.entries ?? [])
      .filter(({ position }) => position % 700 === 0)
      .map((entry) => ({ entry, mark: entry.position }))
    const full = [...reading.inFull(chosen)].flat()
    expect(full.map(({ chosen: { mark }, entry }) => `${mark} ${entry.remittance.join()}`)).toEqual(
      ['700 Société 699', '1400 Société 1399'],
    )
  })
})

test('a file that changes after it was judged is refused before its end', async () => {
  await writeFile(path, LONG)
  await withBankFile(file(), async ({ source }) => {
    const reading = await outlineBankFile(source, 'long.xml')
    await appendFile(path, '\n')
    const chosen = (reading.statements[0]?.entries ?? []).map((entry) => ({ entry }))
    expect(() => [...reading.inFull(chosen)]).toThrow(
      'long.xml: the file changed while it was read',
    )
    expect(() => source.whole()).toThrow('long.xml: the file changed while it was read')
  })
})
