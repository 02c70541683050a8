import { asc, eq, sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { findLedgerRanges } from '../../db/ledger-ranges.ts'
import { savePayments } from '../../db/payments.ts'
import { startRun } from '../../db/runs.ts'
import { balanceTransactions, ledgerProofs, ledgerRanges, payments } from '../../db/schema.ts'
import { type LedgerSync, syncLedger } from '../../jobs/sync-ledger.ts'
import { parseDay } from '../../src/domain/day.ts'
import { silentProgress } from '../../src/progress.ts'
import type { ProviderClient } from '../../src/provider/client.ts'
import type { SandboxAccount, SandboxRow } from '../../src/sandbox/model.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  accountOf,
  addPayout,
  addSales,
  clientOf,
  dyingClient,
  FIRST_ROW_S,
  rowId,
  SECONDS_BETWEEN_ROWS,
} from './provider-account.ts'

const LEDGER = /balance-transactions/
const AS_OF = parseDay('2025-03-31')
/** Far above what is read before a way counts as long. */
const LONG = 6_000

let database: TestDatabase
let sandbox: Sandbox
let account: SandboxAccount

beforeAll(async () => {
  database = await createTestDatabase()
  sandbox = await startSandbox({ world: { accounts: [], bankAccounts: [] } })
})
afterAll(async () => {
  await sandbox.close()
  await database.drop()
})
afterEach(async () => {
  sandbox.clearScript()
  sandbox.switches.createdRange = 'honoured'
  sandbox.switches.latencyMs = 0
  await forget()
})

async function forget(): Promise<void> {
  await database.db.execute(sql`truncate runs cascade`)
  await database.db.delete(ledgerRanges)
  await database.db.delete(ledgerProofs)
}

function serve(served: SandboxAccount): void {
  account = served
  sandbox.world.accounts = [served]
}

interface SyncOptions {
  since?: number
  windows?: number
  client?: ProviderClient
  reread?: { startS: number; endS: number }
}

async function sync(options: SyncOptions = {}): Promise<LedgerSync> {
  const { db } = database
  const record = { command: 'reconcile', period: null, asOf: AS_OF, appVersion: 'test' }
  const runId = await startRun(db, record)
  sandbox.requests.length = 0
  return syncLedger(
    { db, client: options.client ?? clientOf(sandbox.url), progress: silentProgress },
    {
      entity: 'shop',
      runId,
      asOf: AS_OF,
      currency: 'EUR',
      since: options.since ?? null,
      reread: options.reread ?? null,
      ...(options.windows === undefined ? {} : { windows: options.windows }),
    },
  )
}

const everything = { startS: 0, endS: 9_999_999_999 }

async function expectSameAsProvider(): Promise<void> {
  const rows = await database.db
    .select({ raw: balanceTransactions.raw, vanished: balanceTransactions.vanishedRunId })
    .from(balanceTransactions)
    .orderBy(asc(balanceTransactions.id))
  const there = rows.filter(({ vanished }) => vanished === null).map(({ raw }) => raw)
  expect(there.length).toBe(account.rows.length)
  expect(there).toEqual(account.rows)
}

/** What is stored lies in known ranges, and each known range holds all that the provider has there. */
async function expectRangesTrue(): Promise<void> {
  const ranges = await findLedgerRanges(database.db, 'shop')
  const ids = (
    await database.db.select({ id: balanceTransactions.id }).from(balanceTransactions)
  ).map(({ id }) => id)
  const isKnown = (id: string): boolean =>
    ranges.some(({ topId, bottomId }) => bottomId <= id && id <= topId)
  expect(ids.filter((id) => !isKnown(id))).toEqual([])
  const stored = new Set(ids)
  const missing = account.rows.filter(({ id }) => isKnown(id) && !stored.has(id))
  expect(missing.map(({ id }) => id)).toEqual([])
}

const bounded = () =>
  sandbox.requests.filter(({ query }) => query['created[max]'] !== undefined).length

/** The most requests that were under way at once. */
function watched(client: ProviderClient): { client: ProviderClient; most: () => number } {
  let [underWay, most] = [0, 0]
  return {
    most: () => most,
    client: {
      ...client,
      getJson(path, query) {
        underWay += 1
        most = Math.max(most, underWay)
        return client.getJson(path, query).finally(() => (underWay -= 1))
      },
    },
  }
}

describe('a long first back-fill', () => {
  test('is shared by four readers, each row is read about once, and it is proved', async () => {
    serve(accountOf(LONG))
    sandbox.switches.latencyMs = 5
    const { client, most } = watched(clientOf(sandbox.url))
    const outcome = await sync({ client })
    await expectSameAsProvider()
    expect(outcome).toMatchObject({ newRows: LONG, changedRows: 0, complete: true })
    expect(most()).toBe(4)
    expect(bounded()).toBeGreaterThan(2)
    expect(outcome.requests).toBeLessThan(LONG / 100 + 40)
    expect(outcome.walks.map(({ purpose }) => purpose)).toContain('backfill')
    expect(outcome.walks.every(({ ended }) => ended === 'known' || ended === 'end')).toBe(true)
    expect(await findLedgerRanges(database.db, 'shop')).toEqual([
      { topId: rowId(LONG), bottomId: rowId(1), floor: 'end', floorS: null },
    ])
  })

  test('with one window asks for no bounds', async () => {
    serve(accountOf(LONG))
    const outcome = await sync({ windows: 1 })
    await expectSameAsProvider()
    expect([outcome.requests, bounded()]).toEqual([LONG / 100 + 1, 0])
  })

  test('of a small account asks for no bounds', async () => {
    serve(accountOf(700))
    await sync()
    await expectSameAsProvider()
    expect(bounded()).toBe(0)
  })

  test.each(['ignored', 'refused'] as const)(
    'bounds that are %s: one look, and the cursor alone',
    async (createdRange) => {
      serve(accountOf(LONG))
      sandbox.switches.createdRange = createdRange
      const outcome = await sync()
      await expectSameAsProvider()
      expect(bounded()).toBe(1)
      expect(outcome.requests).toBe(LONG / 100 + 2)
    },
  )

  test('bounds that bring nothing, now and then: the same ledger', async () => {
    serve(accountOf(LONG))
    const none = { data: [], has_more: false }
    let bounds = 0
    const real = clientOf(sandbox.url)
    const client: ProviderClient = {
      ...real,
      async getJson(path, query) {
        if (query?.['created[max]'] === undefined) return real.getJson(path, query)
        bounds += 1
        return bounds % 2 === 1 ? none : real.getJson(path, query)
      },
    }
    await sync({ client })
    await expectSameAsProvider()
    expect(bounds).toBeGreaterThan(2)
  })

  test('rows whose creation does not go with their ids: the same ledger', async () => {
    serve(accountOf(LONG))
    account.rows.forEach((row, at) => {
      if (at % 7 === 0) row.created += ((at % 11) - 5) * 400 * SECONDS_BETWEEN_ROWS
    })
    await sync()
    await expectSameAsProvider()
  })

  test('LEDGER_SINCE is its floor', async () => {
    serve(accountOf(LONG))
    const since = FIRST_ROW_S + 1_234 * SECONDS_BETWEEN_ROWS
    expect(await sync({ since })).toMatchObject({ newRows: LONG - 1_234, complete: true })
    expect(await findLedgerRanges(database.db, 'shop')).toEqual([
      { topId: rowId(LONG), bottomId: rowId(1_235), floor: 'since', floorS: since },
    ])
    await sync()
    await expectSameAsProvider()
  })

  test('new rows and payouts at the head meanwhile are not lost', async () => {
    serve(accountOf(LONG))
    sandbox.script({
      path: LEDGER,
      when: (nth) => nth % 15 === 0,
      fault: {
        do: 'mutate',
        change: () => {
          addSales(account, 30)
          if (account.rows.length < LONG + 200) addPayout(account)
        },
      },
    })
    expect(await sync()).toMatchObject({ complete: true })
    sandbox.clearScript()
    await expectSameAsProvider()
    await expectRangesTrue()
  })

  test('after weeks without a run is shared as well', async () => {
    serve(accountOf(300))
    await sync()
    addSales(account, LONG)
    expect(await sync()).toMatchObject({ newRows: LONG, complete: true })
    expect(bounded()).toBeGreaterThan(0)
    await expectSameAsProvider()
  })

  test('each answer of 429 makes it slower, not wrong', async () => {
    serve(accountOf(LONG))
    sandbox.script({
      path: LEDGER,
      when: (nth) => nth % 9 === 0,
      fault: { do: 'status', status: 429, headers: { 'retry-after': '1' } },
    })
    await sync()
    await expectSameAsProvider()
  })
})

describe('a run that is killed while several read', () => {
  test('at any point: what is known is true, and the next run completes it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 4 }),
        fc.constantFrom('honoured' as const, 'ignored' as const),
        async (deaths, createdRange) => {
          await forget()
          serve(accountOf(LONG))
          sandbox.switches.createdRange = createdRange
          for (const answers of deaths) {
            const client = dyingClient(clientOf(sandbox.url), answers)
            await sync({ client }).catch((error: unknown) =>
              expect(String(error)).toContain('killed'),
            )
            await expectRangesTrue()
            addSales(account, 70)
            addPayout(account)
          }
          expect(await sync()).toMatchObject({ complete: true })
          await expectSameAsProvider()
          expect(await findLedgerRanges(database.db, 'shop')).toHaveLength(1)
        },
      ),
      { numRuns: 8 },
    )
  }, 120_000)
})

describe('rows that are visited again', () => {
  test('no more pages than a plan with full knowledge needs, however they lie', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 1, max: 1_500 }), { minLength: 1, maxLength: 60 }),
        async (numbers) => {
          await forget()
          serve(accountOf(1_500))
          const open = numbers.map(rowId)
          const isSale = ({ kind }: SandboxRow): boolean => kind === 'from_transaction'
          for (const row of account.rows.filter(isSale)) {
            row.included_in_payout_id = open.includes(row.id) ? null : 'payout_50'
          }
          await sync()
          expect((await sync()).requests).toBe(2 + leastPages())
        },
      ),
      { numRuns: 12 },
    )
  }, 60_000)

  test('many of them: several pages at once, each looked at once', async () => {
    serve(accountOf(2_000))
    for (const row of account.rows) row.included_in_payout_id = null
    await sync()
    sandbox.switches.latencyMs = 20
    const { client, most } = watched(clientOf(sandbox.url))
    const outcome = await sync({ client })
    expect(outcome.requests).toBe(2 + leastPages())
    expect(most()).toBeGreaterThan(1)
    expect(most()).toBeLessThanOrEqual(4)
  })
})

/** A page from the topmost open row that is not shown yet, again and again; the head page is free. */
function leastPages(): number {
  let [pages, shownDownTo] = [0, account.rows.length - 100]
  for (let at = shownDownTo - 1; at >= 0; at -= 1) {
    const row = account.rows[at]
    const isOpen = row?.included_in_payout_id === null && row.kind !== 'from_payout'
    if (!isOpen || at >= shownDownTo) continue
    pages += 1
    shownDownTo = at - 99
  }
  return pages
}

describe('change numbers', () => {
  const numbers = async (id: string) => {
    const [found] = await database.db
      .select({
        change: balanceTransactions.changeNumber,
        content: balanceTransactions.contentNumber,
      })
      .from(balanceTransactions)
      .where(eq(balanceTransactions.id, id))
    return found
  }
  const proofs = async () => {
    const [found] = await database.db.select().from(ledgerProofs)
    return found
  }
  const prove = async () => {
    await database.db.update(ledgerProofs).set({ provedNumber: sql`${ledgerProofs.changedNumber}` })
  }
  const row = (number: number): SandboxRow => {
    const found = account.rows[number - 1]
    if (found === undefined) throw new Error(`no row ${number}`)
    return found
  }

  test('a night with nothing new takes none', async () => {
    serve(accountOf(200))
    await sync()
    const before = await proofs()
    expect(before).toMatchObject({ entity: 'shop', provedNumber: -1 })
    await sync({ reread: everything })
    expect(await proofs()).toEqual(before)
  })

  test('a new row, a changed one, one that is gone and one in another payout', async () => {
    serve(accountOf(200))
    await sync()
    await prove()
    const first = await proofs()
    row(10).included_in_payout_id = 'payout_100'
    row(20).net_amount += 1
    const gone = row(30)
    account.rows = account.rows.filter((each) => each !== gone)
    addSales(account, 1)
    await sync({ reread: everything })
    const after = await proofs()
    expect(after?.provedNumber).toBe(first?.changedNumber)
    const last = first?.changedNumber ?? 0
    const of = async (id: string) => {
      const found = await numbers(id)
      return [(found?.change ?? 0) > last, (found?.content ?? 0) > last]
    }
    expect(await of(rowId(10))).toEqual([true, false])
    expect(await of(rowId(20))).toEqual([true, true])
    expect(await of(rowId(30))).toEqual([true, true])
    expect(await of(rowId(201))).toEqual([true, true])
    expect(await of(rowId(40))).toEqual([false, false])
  })

  test.each<[string, Partial<SandboxRow>]>([
    ['its creation', { created: FIRST_ROW_S + 5 }],
    ['its kind', { kind: 'from_adjustment' }],
    ['its payment', { payment_id: 'payment_other' }],
  ])('a row that changed %s makes the next proof one of everything', async (_, change) => {
    serve(accountOf(200))
    await sync()
    await prove()
    Object.assign(row(10), change)
    await sync({ reread: everything })
    expect((await proofs())?.provedNumber).toBe(-1)
  })

  test('a payment gets one where it or one of its refunds is new, differs or is gone', async () => {
    const { db } = database
    const runId = await startRun(db, {
      command: 'reconcile',
      period: null,
      asOf: AS_OF,
      appVersion: 'test',
    })
    const refund = (id: string) => ({ id, amountMinor: 500n, createdS: FIRST_ROW_S })
    const payment = (id: string, refundIds: readonly string[], purchaseAmountMinor = 10_000n) => ({
      id,
      payment: { id, purchaseAmountMinor, plan: 'P3X', refunds: refundIds.map(refund) },
    })
    const save = (looked: Parameters<typeof savePayments>[3]) =>
      savePayments(db, 'shop', runId, looked)
    const numbersNow = async () => {
      const rows = await db
        .select({ id: payments.id, number: payments.changeNumber })
        .from(payments)
        .orderBy(asc(payments.id))
      return rows.map(({ number }) => number)
    }
    const first = [
      payment('p1', ['r2', 'r1']),
      payment('p2', ['r3']),
      payment('p3', []),
      { id: 'p4', payment: null },
    ]
    await save(first)
    expect(await numbersNow()).toEqual([1, 1, 1, 1])
    await save(first.toReversed())
    expect(await numbersNow()).toEqual([1, 1, 1, 1])
    await save([payment('p1', ['r1', 'r2']), payment('p2', []), payment('p3', [], 9_000n)])
    expect(await numbersNow()).toEqual([1, 2, 2, 1])
    await save([payment('p3', ['r9'], 9_000n), payment('p4', [])])
    expect(await numbersNow()).toEqual([1, 2, 3, 3])
  })
})
