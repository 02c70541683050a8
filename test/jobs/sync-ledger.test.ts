import { asc, eq, sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findLedgerRanges } from '../../db/ledger-ranges.ts'
import { startRun } from '../../db/runs.ts'
import {
  balanceTransactionChanges,
  balanceTransactions,
  ledgerRanges,
  ledgerWalks,
} from '../../db/schema.ts'
import { type LedgerSync, syncLedger } from '../../jobs/sync-ledger.ts'
import { parseDay } from '../../src/domain/day.ts'
import { ConfigurationFault, UnavailableFault } from '../../src/errors.ts'
import { silentProgress } from '../../src/progress.ts'
import type { ProviderClient } from '../../src/provider/client.ts'
import type { SandboxAccount } from '../../src/sandbox/model.ts'
import { type Fault, type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  accountOf,
  addPayout,
  addSales,
  clientOf,
  dyingClient,
  emptyAccount,
  FIRST_ROW_S,
  rowId,
  rowIdAfter,
  sale,
  SECONDS_BETWEEN_ROWS,
} from './provider-account.ts'

const LEDGER = /balance-transactions/
const AS_OF = parseDay('2024-03-31')

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
beforeEach(() => serve(accountOf(0)))
afterEach(async () => {
  sandbox.clearScript()
  sandbox.switches.unknownCursor = 'not_found'
  await database.db.execute(sql`truncate runs cascade`)
  await database.db.delete(ledgerRanges)
})

function serve(served: SandboxAccount): void {
  account = served
  sandbox.world.accounts = [served]
  sandbox.requests.length = 0
}

interface SyncOptions {
  since?: number | null
  reread?: { startS: number; endS: number } | null
  client?: ProviderClient
}

async function sync(options: SyncOptions = {}): Promise<LedgerSync> {
  const { db } = database
  const runId = await startRun(db, {
    command: 'reconcile',
    period: null,
    asOf: AS_OF,
    appVersion: 'test',
  })
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
    },
  )
}

async function stored() {
  const rows = await database.db
    .select({
      id: balanceTransactions.id,
      net: balanceTransactions.netMinor,
      payout: balanceTransactions.includedInPayoutId,
      raw: balanceTransactions.raw,
      vanished: balanceTransactions.vanishedRunId,
    })
    .from(balanceTransactions)
    .where(eq(balanceTransactions.entity, 'shop'))
    .orderBy(asc(balanceTransactions.id))
  return rows
}

/** The stored ledger is the provider's, row by row. */
async function expectSameAsProvider(): Promise<void> {
  const there = (await stored()).filter(({ vanished }) => vanished === null)
  expect(there.map(({ raw }) => raw)).toEqual(account.rows)
  expect(there.map(({ id, net, payout }) => [id, Number(net), payout])).toEqual(
    account.rows.map((row) => [row.id, row.net_amount, row.included_in_payout_id]),
  )
}

async function changes() {
  return database.db
    .select({
      id: balanceTransactionChanges.transactionId,
      field: balanceTransactionChanges.field,
      before: balanceTransactionChanges.before,
      after: balanceTransactionChanges.after,
      seenAsOf: balanceTransactionChanges.seenAsOf,
    })
    .from(balanceTransactionChanges)
    .orderBy(asc(balanceTransactionChanges.transactionId), asc(balanceTransactionChanges.field))
}

const ledgerRequests = (): number => sandbox.requests.filter(({ path }) => LEDGER.test(path)).length

describe('the first run', () => {
  test('takes the whole history and proves it', async () => {
    serve(accountOf(1_234))
    const outcome = await sync()
    await expectSameAsProvider()
    expect(outcome).toMatchObject({
      newRows: 1_234,
      changedRows: 0,
      vanishedRows: 0,
      complete: true,
    })
    expect(outcome.requests).toBe(ledgerRequests())
    expect(outcome.walks[0]).toEqual({
      walkNumber: 1,
      purpose: 'new',
      afterId: null,
      firstId: rowId(1_234),
      lastId: rowId(1),
      pages: 13,
      rows: 1_234,
      newRows: 1_234,
      changedRows: 0,
      vanishedRows: 0,
      ended: 'end',
    })
    expect(await findLedgerRanges(database.db, 'shop')).toEqual([
      { topId: rowId(1_234), bottomId: rowId(1), floor: 'end', floorS: null },
    ])
    const recorded = await database.db.select().from(ledgerWalks).orderBy(ledgerWalks.walkNumber)
    expect(recorded.map(({ entity: _entity, runId: _runId, ...walk }) => walk)).toEqual(
      outcome.walks,
    )
  })

  test('of an account without any row is complete', async () => {
    serve(emptyAccount())
    expect(await sync()).toMatchObject({ rows: 0, complete: true })
    addSales(account, 3)
    await sync()
    await expectSameAsProvider()
  })

  test('again, nothing new: nothing is written, and the history is not read again', async () => {
    serve(accountOf(1_000))
    await sync()
    const before = await stored()
    const outcome = await sync()
    expect(outcome).toMatchObject({ newRows: 0, changedRows: 0, complete: true })
    expect(ledgerRequests()).toBe(2)
    expect(await stored()).toEqual(before)
  })

  test('LEDGER_SINCE stops it; an earlier one later, or none, goes on', async () => {
    serve(accountOf(500))
    const from = (number: number) => FIRST_ROW_S + (number - 1) * SECONDS_BETWEEN_ROWS
    const oldest = async () => (await stored())[0]?.id
    expect(await sync({ since: from(350) })).toMatchObject({ newRows: 151, complete: true })
    expect(await oldest()).toBe(rowId(350))
    expect(await sync({ since: from(400) })).toMatchObject({ newRows: 0, complete: true })
    expect(await sync({ since: from(120) })).toMatchObject({ newRows: 230, complete: true })
    expect(await oldest()).toBe(rowId(120))
    const last = await sync()
    expect(last.walks.map(({ purpose, ended }) => [purpose, ended])).toContainEqual([
      'backfill',
      'end',
    ])
    await expectSameAsProvider()
  })
})

describe('rows in no payout yet', () => {
  test('one, deep in a history of 3,000 rows, is visited with three requests at most', async () => {
    const open = rowId(777)
    serve(accountOf(3_000, [open]))
    addPayout(account, [open])
    await sync()
    const payout = addPayout(account)
    addSales(account, 1)
    const outcome = await sync()
    expect(ledgerRequests()).toBeLessThanOrEqual(3)
    expect(outcome).toMatchObject({ newRows: 2, changedRows: 1 })
    expect((await stored()).find(({ id }) => id === open)?.payout).toBe(payout)
    expect(await changes()).toEqual([])
    await expectSameAsProvider()
  })

  test('islands of them cost a page each, however long the history', async () => {
    const open = [rowId(10), rowId(11), rowId(1_001), rowId(2_001), rowId(2_002)]
    serve(accountOf(2_500, open))
    addPayout(account, open)
    await sync()
    addPayout(account)
    await sync()
    expect(ledgerRequests()).toBe(2 + 3)
    await expectSameAsProvider()
  })

  test('a payout made while pages are read finds its rows, however early these were read', async () => {
    serve(accountOf(420))
    addSales(account, 30)
    sandbox.script({
      path: LEDGER,
      when: (nth) => nth === 4,
      fault: { do: 'mutate', change: () => addPayout(account) },
    })
    await sync()
    await expectSameAsProvider()
  })

  test('the period being reconciled is read again whatever its state', async () => {
    serve(accountOf(1_000))
    addPayout(account)
    await sync()
    const row = account.rows[500]
    if (row !== undefined) row.amount += 7
    await sync()
    expect(await changes()).toEqual([])
    const startS = FIRST_ROW_S + 450 * SECONDS_BETWEEN_ROWS
    await sync({ reread: { startS, endS: startS + 100 * SECONDS_BETWEEN_ROWS } })
    expect(ledgerRequests()).toBe(3)
    expect(await changes()).toEqual([
      { id: rowId(501), field: 'amountMinor', before: '10501', after: '10508', seenAsOf: AS_OF },
    ])
  })
})

describe('what changes between two runs', () => {
  beforeEach(async () => {
    serve(accountOf(260))
    await sync()
  })
  const everything = { reread: { startS: 0, endS: 9_999_999_999 } }
  const row = (number: number) => {
    const found = account.rows.find(({ id }) => id === rowId(number))
    if (found === undefined) throw new Error(`no row ${number}`)
    return found
  }

  test('amounts, kind, payment and refund are told with before and after', async () => {
    Object.assign(row(5), { net_amount: 1, merchant_fee: 10_004 })
    Object.assign(row(120), { kind: 'from_gift', payment_id: null, refund_id: 'refund_9' })
    expect(await sync(everything)).toMatchObject({ changedRows: 2, vanishedRows: 0 })
    expect(await changes()).toEqual([
      { id: rowId(5), field: 'feeMinor', before: '400', after: '10004', seenAsOf: AS_OF },
      { id: rowId(5), field: 'netMinor', before: '9605', after: '1', seenAsOf: AS_OF },
      {
        id: rowId(120),
        field: 'kind',
        before: 'from_transaction',
        after: 'from_gift',
        seenAsOf: AS_OF,
      },
      { id: rowId(120), field: 'paymentId', before: 'payment_120', after: null, seenAsOf: AS_OF },
      { id: rowId(120), field: 'refundId', before: null, after: 'refund_9', seenAsOf: AS_OF },
    ])
    await expectSameAsProvider()
  })

  test('a move from one payout to another, or out of one, is told; other attributes are only stored', async () => {
    row(7).included_in_payout_id = 'payout_100'
    row(8).included_in_payout_id = null
    Object.assign(row(9), { comment: 'checked', available_on: 1_800_000_000, private: { a: 1 } })
    await sync(everything)
    expect(await changes()).toEqual([
      {
        id: rowId(7),
        field: 'includedInPayoutId',
        before: 'payout_50',
        after: 'payout_100',
        seenAsOf: AS_OF,
      },
      {
        id: rowId(8),
        field: 'includedInPayoutId',
        before: 'payout_50',
        after: null,
        seenAsOf: AS_OF,
      },
    ])
    await expectSameAsProvider()
  })

  test('a row that is gone is marked, one that comes back is there again', async () => {
    const gone = row(42)
    account.rows = account.rows.filter((each) => each !== gone)
    expect(await sync(everything)).toMatchObject({ vanishedRows: 1 })
    expect(await changes()).toMatchObject([{ id: rowId(42), field: 'vanished' }])
    await expectSameAsProvider()
    expect(await sync(everything)).toMatchObject({ vanishedRows: 0 })
    account.rows = [...account.rows, gone].sort((a, b) => (a.id < b.id ? -1 : 1))
    await sync(everything)
    expect(await changes()).toMatchObject([
      { id: rowId(42), field: 'returned' },
      { id: rowId(42), field: 'vanished' },
    ])
    await expectSameAsProvider()
  })

  test('one answer that lacks a row is not believed', async () => {
    sandbox.script({
      path: LEDGER,
      times: 1,
      fault: {
        do: 'answer',
        with: () => ({
          status: 200,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            data: account.rows
              .slice(-100)
              .toReversed()
              .filter(({ id }) => id !== rowId(200)),
            has_more: true,
          }),
        }),
      },
    })
    expect(await sync()).toMatchObject({ vanishedRows: 0 })
    expect(await changes()).toEqual([])
  })

  test('one page for whatever is asked makes no row vanish: exit 4', async () => {
    sandbox.script({
      path: LEDGER,
      fault: {
        do: 'answer',
        with: () => ({
          status: 200,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ data: account.rows.slice(0, 100).toReversed(), has_more: true }),
        }),
      },
    })
    await expect(sync(everything)).rejects.toMatchObject({ exitCode: 4 })
    expect(await changes()).toEqual([])
  })

  test('a row that appears inside what is known is stored and counted', async () => {
    account.rows.splice(100, 0, { ...sale(account, 100), id: rowIdAfter(100) })
    expect(await sync(everything)).toMatchObject({ newRows: 1, changedRows: 0 })
    await expectSameAsProvider()
  })

  test('the newest and the oldest row gone', async () => {
    account.rows = account.rows.slice(1, -1)
    await sync(everything)
    expect((await changes()).map(({ id, field }) => [id, field])).toEqual([
      [rowId(1), 'vanished'],
      [rowId(260), 'vanished'],
    ])
    account.rows.push(sale(account, 300))
    addSales(account, 150)
    await sync()
    await expectSameAsProvider()
  })
})

describe('a provider that misbehaves', () => {
  const faults: [string, Fault][] = [
    ['429 with seconds', { do: 'status', status: 429, headers: { 'retry-after': '2' } }],
    [
      '429 with a date',
      {
        do: 'status',
        status: 429,
        headers: { 'retry-after': new Date(Date.now() + 2_000).toUTCString() },
      },
    ],
    ['502 with HTML', { do: 'status', status: 502, body: '<html></html>' }],
    ['HTML with 200', { do: 'html' }],
    ['truncated JSON', { do: 'truncate' }],
    ['a reset before it reads', { do: 'reset', at: 'before_handling' }],
    ['a reset in the middle of the body', { do: 'reset', at: 'in_body' }],
    ['an answer without its end', { do: 'reset', at: 'after_body' }],
    ['a page that trickles', { do: 'drip', bytes: 8_000, everyMs: 1 }],
    ['a new sale before each page', { do: 'new_rows', count: 1 }],
  ]
  test.each(faults)('%s, three requests in a row: the same ledger', async (_, fault) => {
    serve(accountOf(450))
    sandbox.script({ path: LEDGER, when: (nth) => nth >= 3 && nth <= 5, fault })
    await sync()
    await expectSameAsProvider()
  })

  test.each<[string, Fault]>([
    ['an empty page that says more follows', { do: 'empty_page' }],
    ['the page before once more', { do: 'repeat_page' }],
    ['a short page', { do: 'short_page', rows: 3 }],
  ])('%s, now and then: the same ledger', async (_, fault) => {
    serve(accountOf(450))
    sandbox.script({ path: LEDGER, when: (nth) => nth % 3 === 0, fault })
    await sync()
    await expectSameAsProvider()
  })

  test('a page that stays broken stops the run; what was stored is kept and continued', async () => {
    serve(accountOf(450))
    sandbox.script({ path: LEDGER, when: (nth) => nth >= 4, fault: { do: 'empty_page' } })
    await expect(sync()).rejects.toThrow(/the page after .* is broken: it is empty although/)
    expect(await stored()).toHaveLength(300)
    sandbox.clearScript()
    expect(await sync()).toMatchObject({ newRows: 150, complete: true })
    await expectSameAsProvider()
  })

  test.each(['not_found', 'invalid', 'empty_page', 'lexicographic'] as const)(
    'the row above an open row is gone, and the unknown cursor brings: %s',
    async (unknownCursor) => {
      const open = [rowId(110), rowId(210)]
      serve(accountOf(600, open))
      addPayout(account, open)
      await sync()
      sandbox.switches.unknownCursor = unknownCursor
      const gone = [rowId(111), rowId(112), rowId(113), rowId(211)]
      account.rows = account.rows.filter(({ id }) => !gone.includes(id))
      const payout = addPayout(account)
      await sync()
      const settled = (await stored()).filter(({ id }) => open.includes(id))
      expect(settled.map((row) => row.payout)).toEqual([payout, payout])
      // A provider that takes any cursor does not betray that the row of the cursor is gone.
      const noticed = unknownCursor === 'lexicographic' ? gone.slice(0, 3) : gone
      expect((await changes()).map(({ id }) => id)).toEqual(noticed)
    },
  )

  test('a refused key is a matter of the setting', async () => {
    serve(accountOf(10))
    const fault = await sync({ client: clientOf(sandbox.url, 'sk_test_wrong') }).catch(
      (error: unknown) => error,
    )
    expect(fault).toBeInstanceOf(ConfigurationFault)
    expect(String(fault)).toMatch(/ALMA_API_KEY.*401.*Credentials invalid/)
  })

  test('the key of another account is noticed before anything is stored', async () => {
    serve(accountOf(10))
    await sync()
    const before = await stored()
    const other = { ...emptyAccount(), merchantId: 'merchant_2' }
    addSales(other, 20)
    serve(other)
    await expect(sync()).rejects.toThrow(/opens the ledger of merchant_2, .* of merchant_1/)
    expect(await stored()).toEqual(before)
  })

  test('a ledger that is suddenly empty is not believed', async () => {
    serve(accountOf(10))
    await sync()
    account.rows = []
    const fault = await sync().catch((error: unknown) => error)
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect((await stored()).every(({ vanished }) => vanished === null)).toBe(true)
  })
})

describe('a run that is killed', () => {
  test('after any page is continued by the next one', async () => {
    for (let answers = 0; answers <= 5; answers += 1) {
      serve(accountOf(430))
      const client = dyingClient(clientOf(sandbox.url), answers)
      await expect(sync({ client })).rejects.toThrow('killed')
      addSales(account, 20)
      addPayout(account)
      expect(await sync()).toMatchObject({ complete: true })
      await expectSameAsProvider()
      const [range, ...others] = await findLedgerRanges(database.db, 'shop')
      expect([range?.topId, range?.bottomId, others]).toEqual([
        account.rows.at(-1)?.id,
        rowId(1),
        [],
      ])
      await database.db.execute(sql`truncate runs cascade`)
      await database.db.delete(ledgerRanges)
    }
  })

  test('again and again, while the account goes on: in the end the ledger is the provider’s', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('sell' as const), count: fc.integer({ min: 1, max: 260 }) }),
      fc.record({
        do: fc.constant('pay out' as const),
        butForEvery: fc.integer({ min: 2, max: 90 }),
      }),
      fc.record({ do: fc.constant('lose a row' as const), at: fc.nat(999) }),
      fc.record({ do: fc.constant('die' as const), answers: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ do: fc.constant('sync' as const), sinceRow: fc.option(fc.nat(400)) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 9 }), async (steps) => {
        await database.db.execute(sql`truncate runs cascade`)
        await database.db.delete(ledgerRanges)
        serve(accountOf(150))
        for (const each of steps) {
          if (each.do === 'sell') {
            addSales(account, each.count)
          } else if (each.do === 'pay out') {
            const butFor = account.rows.filter((_, at) => at % each.butForEvery === 0)
            const ids = butFor.map(({ id }) => id)
            addPayout(account, ids)
          } else if (each.do === 'lose a row') {
            // Never the newest one: its id would be used again.
            account.rows.splice(each.at % (account.rows.length - 1), 1)
          } else if (each.do === 'die') {
            await sync({ client: dyingClient(clientOf(sandbox.url), each.answers) }).catch(
              (error: unknown) => expect(String(error)).toContain('killed'),
            )
          } else {
            const since =
              each.sinceRow === null ? null : FIRST_ROW_S + each.sinceRow * SECONDS_BETWEEN_ROWS
            expect(await sync({ since })).toMatchObject({ complete: true })
          }
        }
        await sync({ reread: { startS: 0, endS: 9_999_999_999 } })
        await expectSameAsProvider()
        expect(await findLedgerRanges(database.db, 'shop')).toHaveLength(1)
      }),
      { numRuns: 10 },
    )
  }, 120_000)
})
