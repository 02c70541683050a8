import { asc, eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { saveBalanceTransactions } from '../../db/balance-transactions.ts'
import { bulkUpsert } from '../../db/bulk.ts'
import { databaseErrorCode, type Db } from '../../db/client.ts'
import { startRun } from '../../db/runs.ts'
import { balanceTransactions, ledgerRanges, payments } from '../../db/schema.ts'
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** As many rows go as JSON, and as many by COPY. */
const FEW = 7
const MANY = 1_500

let database: TestDatabase
let db: Db
let runId = 0

beforeAll(async () => {
  database = await createTestDatabase()
  db = database.db
})
afterAll(() => database.drop())
afterEach(async () => {
  await db.execute(sql`truncate runs cascade`)
  await db.delete(ledgerRanges)
})

async function newRun(): Promise<number> {
  runId = await startRun(db, { command: 'test', period: null, asOf: null, appVersion: 'test' })
  return runId
}

const range = (number: number, floor = 'open') => ({
  entity: 'shop',
  topId: `id_${String(number).padStart(6, '0')}`,
  bottomId: 'id_000000',
  floor,
  floorS: null,
})

const ranges = (count: number, floor?: string) =>
  Array.from({ length: count }, (_, number) => range(number, floor))

const storeRanges = (rows: readonly ReturnType<typeof range>[], update = true) =>
  bulkUpsert(db, ledgerRanges, rows, {
    conflict: ['entity', 'topId'],
    ...(update ? { update: ['bottomId', 'floor', 'floorS'] as const } : {}),
  })

const storedRanges = () => db.select().from(ledgerRanges).orderBy(asc(ledgerRanges.topId))

describe.each([
  ['few rows', FEW],
  ['many rows', MANY],
])('%s', (_name, count) => {
  test('are inserted, updated where they differ, and left alone where they do not', async () => {
    expect(await storeRanges(ranges(count))).toBe(count)
    expect(await storeRanges(ranges(count))).toBe(0)
    const changed = ranges(count).map((each, at) => (at < 3 ? { ...each, floor: 'end' } : each))
    expect(await storeRanges(changed)).toBe(3)
    expect(await storedRanges()).toEqual(changed)
  })

  test('in part as they stand: the others are written, and of many only the one that changed is locked', async () => {
    await storeRanges(ranges(count))
    const middle = Math.floor(count / 2)
    const next = ranges(count + 1).map((each, at) =>
      at === middle ? { ...each, floor: 'end' } : each,
    )
    expect(await storeRanges(next)).toBe(2)
    expect(await storedRanges()).toEqual(next)
    const [touched] = await db.execute<{ rows: number }>(
      sql`select count(*)::int as rows from ledger_ranges where xmax::text <> '0'`,
    )
    // Few rows go in one statement, in which a conflict locks each that it finds: too few to look first.
    expect(touched?.rows).toBe(count === MANY ? 1 : count)
  })

  test('given twice: the last counts, or the first where nothing is updated', async () => {
    const twice = [...ranges(count), ...ranges(count, 'end')]
    expect(await storeRanges(twice)).toBe(count)
    expect((await storedRanges()).every(({ floor }) => floor === 'end')).toBe(true)
    await db.delete(ledgerRanges)
    expect(await storeRanges(twice, false)).toBe(count)
    expect((await storedRanges()).every(({ floor }) => floor === 'open')).toBe(true)
  })

  test('in any order give the same', async () => {
    await storeRanges(ranges(count).toReversed())
    expect(await storedRanges()).toEqual(ranges(count))
  })

  test('of a transaction that is given up leave nothing, and the next one can store again', async () => {
    const giveUp = new Error('given up')
    const attempt = db.transaction(async (tx) => {
      await bulkUpsert(tx, ledgerRanges, ranges(count), { conflict: ['entity', 'topId'] })
      throw giveUp
    })
    await expect(attempt).rejects.toBe(giveUp)
    expect(await storedRanges()).toEqual([])
    expect(await storeRanges(ranges(count))).toBe(count)
  })

  test('twice in one transaction, the second time other ones', async () => {
    await db.transaction(async (tx) => {
      await bulkUpsert(tx, ledgerRanges, ranges(count), { conflict: ['entity', 'topId'] })
      const others = ranges(count).map((each) => ({ ...each, entity: 'other' }))
      await bulkUpsert(tx, ledgerRanges, others, { conflict: ['entity', 'topId'] })
    })
    expect(await storedRanges()).toHaveLength(2 * count)
  })

  test('that break a rule of the table are refused as a whole, with its code', async () => {
    const broken = [...ranges(count), { ...range(count), floor: 'none' }]
    const refused: unknown = await storeRanges(broken).catch((error: unknown) => error)
    expect(databaseErrorCode(refused)).toBe('23514')
    expect(await storedRanges()).toEqual([])
  })

  test('keep every text, null and number as they are', async () => {
    const lookedUpRunId = await newRun()
    const plans = ['', '\\N', 'a\tb', 'line\nbreak\r', 'back\\slash', '“é”', '🙂', 'null', null]
    const rows = Array.from({ length: Math.max(count, plans.length) }, (_, at) => ({
      entity: 'shop',
      id: `payment_${at}`,
      found: at % 2 === 0,
      purchaseAmountMinor: at === 0 ? null : 9_007_199_254_740_993n + BigInt(at),
      plan: plans[at % plans.length] ?? null,
      lookedUpRunId,
      changeNumber: at,
    }))
    await bulkUpsert(db, payments, rows, { conflict: ['entity', 'id'] })
    const stored = await db.select().from(payments).orderBy(asc(payments.changeNumber))
    expect(stored).toEqual(rows)
  })

  test('keep JSON as it is', async () => {
    const run = await newRun()
    const raw = { deep: [{ text: 'a\\"b\n\t\\n', amount: -1.5 }], none: null, 'odd key\t': '🙂' }
    const rows = Array.from({ length: count }, (_, at) => ({ parsed: row(at), raw }))
    await db.transaction((tx) =>
      saveBalanceTransactions(tx, { entity: 'shop', runId: run, changeNumber: 1 }, rows),
    )
    const stored = await db.select({ raw: balanceTransactions.raw }).from(balanceTransactions)
    expect(stored).toHaveLength(count)
    for (const each of stored) expect(each.raw).toEqual(raw)
  })
})

function row(number: number, change: Partial<BalanceTransaction> = {}): BalanceTransaction {
  return {
    id: `balance_txn_${String(number).padStart(6, '0')}`,
    merchantId: 'merchant_1',
    kind: 'from_transaction',
    currency: 'EUR',
    amountMinor: 10_000n,
    feeMinor: 400n,
    netMinor: 9_600n,
    paymentId: `payment_${number}`,
    refundId: null,
    payoutId: null,
    includedInPayoutId: null,
    createdS: 1_710_000_000 + number,
    updatedS: 1_710_000_000,
    availableOnS: null,
    ...change,
  }
}

describe.each([
  ['few rows', FEW],
  ['many rows', MANY],
])('change numbers of a ledger with %s', (_name, count) => {
  test('the content’s stays where only the payout changed; both stay where nothing did', async () => {
    const run = await newRun()
    const store = (changeNumber: number, rows: readonly BalanceTransaction[]) =>
      db.transaction((tx) =>
        saveBalanceTransactions(
          tx,
          { entity: 'shop', runId: run, changeNumber },
          rows.map((parsed) => ({ parsed, raw: {} })),
        ),
      )
    const rows = Array.from({ length: count }, (_, number) => row(number))
    await store(1, rows)
    await store(
      2,
      rows.map((each, at) => {
        if (at === 0) return { ...each, includedInPayoutId: 'payout_1', updatedS: 1_710_000_900 }
        return at === 1 ? { ...each, feeMinor: 401n, netMinor: 9_599n } : each
      }),
    )
    const stored = await db
      .select({
        change: balanceTransactions.changeNumber,
        content: balanceTransactions.contentNumber,
      })
      .from(balanceTransactions)
      .where(eq(balanceTransactions.entity, 'shop'))
      .orderBy(asc(balanceTransactions.id))
    expect(stored.slice(0, 3)).toEqual([
      { change: 2, content: 1 },
      { change: 2, content: 2 },
      { change: 1, content: 1 },
    ])
    expect(stored.slice(3).every(({ change, content }) => change === 1 && content === 1)).toBe(true)
  })
})
