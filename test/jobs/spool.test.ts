/** Values in a file without a name. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { failureOf } from '../../jobs/fault-text.ts'
import { openSpool, type Spool } from '../../jobs/spool.ts'
import { EXIT } from '../../src/errors.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'alma-spool-'))
  vi.stubEnv('TMPDIR', folder)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

interface Value {
  readonly id: string
  readonly minor: bigint | null
}

async function* piecesOf(...sizes: readonly number[]): AsyncGenerator<readonly Value[]> {
  let made = 0
  for (const size of sizes) {
    await Promise.resolve()
    yield Array.from({ length: size }, () => {
      made += 1
      return { id: `été ${made}`, minor: made % 3 === 0 ? null : BigInt(made) * 10n ** 18n }
    })
  }
}

async function all(...sizes: readonly number[]): Promise<Value[]> {
  const values: Value[] = []
  for await (const piece of piecesOf(...sizes)) values.push(...piece)
  return values
}

/** For the time of a test, and gone after it. */
async function withSpool(use: (spool: Spool) => Promise<void>): Promise<void> {
  const spool = await openSpool()
  try {
    expect(await readdir(folder)).toEqual([])
    await use(spool)
  } finally {
    spool.close()
  }
}

test('are read as they came, as often as one likes, also by two readers in turn', () =>
  withSpool(async (spool) => {
    const values = await spool.keep(piecesOf(3, 0, 500, 1), 504)
    const others = await spool.keep(piecesOf(40), 40)
    if (values === null || others === null) throw new Error('they are not too many')
    const expected = await all(3, 0, 500, 1)
    expect([...values]).toEqual(expected)
    expect([...others]).toEqual(await all(40))
    const [one, other] = [values[Symbol.iterator](), values[Symbol.iterator]()]
    for (const value of expected) {
      expect([one.next().value, other.next().value]).toEqual([value, value])
    }
    expect([one.next().done, other.next().done]).toEqual([true, true])
    for (const value of values) {
      expect(value).toEqual(expected[0])
      break
    }
  }))

test('more than one wants are not read to their end, and what came before stays', () =>
  withSpool(async (spool) => {
    let asked = 0
    async function* endless(): AsyncGenerator<readonly Value[]> {
      for (;;) {
        asked += 1
        yield* piecesOf(10)
      }
    }
    const values = await spool.keep(piecesOf(7), 25)
    expect(await spool.keep(endless(), 25)).toBeNull()
    expect(asked).toBe(3)
    expect([...(values ?? [])]).toEqual(await all(7))
  }))

test('a source that fails is told of as it fails', () =>
  withSpool(async (spool) => {
    async function* broken(): AsyncGenerator<readonly Value[]> {
      yield* piecesOf(2)
      throw new Error('the line is dead')
    }
    await expect(spool.keep(broken(), 100)).rejects.toThrow('the line is dead')
  }))

test('a folder that cannot be used is named, as something that a setting mends', async () => {
  const gone = path.join(folder, 'gone')
  vi.stubEnv('TMPDIR', gone)
  const error: unknown = await openSpool().catch((thrown: unknown) => thrown)
  const { exitCode, message, hint } = failureOf(error)
  expect(exitCode).toBe(EXIT.configuration)
  expect(message).toContain(gone)
  expect(hint).toContain('TMPDIR')
})
