import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Tx } from '../../db/client.ts'
import {
  loadPinnedMatches,
  loadRevokedMatches,
  pinMatches,
  revokeMatches,
} from '../../db/matches.ts'
import { EXIT } from '../../src/errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { matchOf, storeTwoBankEntries } from './two-bank-entries.ts'

let database: TestDatabase
let runId: number
/** Ids of two bank entries. */
let entries: string[]

beforeAll(async () => {
  database = await createTestDatabase()
  ;({ runId, entries } = await storeTwoBankEntries(database.db))
})
afterAll(() => database.drop())

const inTransaction = <T>(work: (tx: Tx) => Promise<T>): Promise<T> => database.db.transaction(work)

const pin = (entity: string, payoutId: string, bankEntryId: string): Promise<number> =>
  inTransaction((tx) => pinMatches(tx, runId, '2024-W12', [matchOf(entity, payoutId, bankEntryId)]))

const taken = {
  exitCode: EXIT.notTied,
  message: expect.stringContaining('pinned to another match already'),
}

test('a payout of an entity, and a bank entry whoever’s it is, are in one match at most', async () => {
  const [first = '', second = ''] = entries
  expect(await pin('north', 'payout_1', first)).toBe(1)
  // The same payout id may be another entity's as well, but the bank line is taken.
  await expect(pin('south', 'payout_1', first)).rejects.toMatchObject(taken)
  await expect(pin('north', 'payout_1', second)).rejects.toMatchObject(taken)
  expect(await pin('south', 'payout_1', second)).toBe(1)
  const [north] = await loadPinnedMatches(database.db, ['north'])
  expect(north).toMatchObject({ entity: 'north', payoutIds: ['payout_1'], bankEntryIds: [first] })
  expect(await loadPinnedMatches(database.db, ['north', 'south'])).toHaveLength(2)

  if (north === undefined) throw new Error('the match is not there')
  await inTransaction((tx) => revokeMatches(tx, runId, [{ pin: north, because: 'a fact' }]))

  expect(await loadPinnedMatches(database.db, ['north', 'south'])).toMatchObject([
    { entity: 'south', bankEntryIds: [second] },
  ])
  expect(await loadRevokedMatches(database.db, ['north'])).toMatchObject([
    { entity: 'north', payoutIds: ['payout_1'], bankEntryIds: [first], because: 'a fact' },
  ])
  // What it tied is free again, also for another entity.
  expect(await pin('west', 'payout_9', first)).toBe(1)
})
