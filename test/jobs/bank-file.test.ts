import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withBankFile } from '../../jobs/bank-file.ts'
import { fingerprint } from '../../src/bank/fingerprint.ts'
import { flowBankFiles, readBankFile } from '../../src/bank/read-file.ts'
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
  const { batches, statement } = await withBankFile(file(), async ({ source }) => {
    const [flowing] = await flowBankFiles(source, 'long.xml')
    const flow = flowing?.open() ?? expect.fail()
    const gone = [...flow.entries]
    return { batches: gone, statement: flow.outline().statements[0] }
  })
  expect(batches.length).toBeGreaterThan(3)
  expect({ ...statement, entries: batches.flat().map(({ entry }) => entry) }).toEqual(whole)
  expect(statement?.entries.map((entry) => entry.fingerprint)).toEqual(
    whole?.entries.map((entry) => fingerprint(entry)),
  )
  expect(statement?.entries.map(({ number }) => number)).toEqual(
    batches.flat().map(({ number }) => number),
  )
})

test('what it says as a whole is not told before all of it went by', async () => {
  await writeFile(path, LONG)
  await withBankFile(file(), async ({ source }) => {
    const [flowing] = await flowBankFiles(source, 'long.xml')
    const flow = flowing?.open() ?? expect.fail()
    for (const batch of flow.entries) {
      expect(batch).not.toEqual([])
      break
    }
    expect(() => flow.outline()).toThrow('did not all go by')
  })
})

test('a file that changes after it was judged is refused before its end', async () => {
  await writeFile(path, LONG)
  await withBankFile(file(), async ({ source }) => {
    const [flowing] = await flowBankFiles(source, 'long.xml')
    const flow = flowing?.open() ?? expect.fail()
    await appendFile(path, '\n')
    expect(() => [...flow.entries]).toThrow('long.xml: the file changed while it was read')
    expect(() => source.whole()).toThrow('long.xml: the file changed while it was read')
  })
})
