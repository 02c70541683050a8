import { afterEach, describe, expect, test } from 'vitest'
import { UnavailableFault } from '../../src/errors.ts'
import {
  BrokenPage,
  fetchLedgerPage,
  type LedgerPage,
} from '../../src/provider/balance-transactions.ts'
import { createProviderClient } from '../../src/provider/client.ts'
import { json, type Reply, type ScriptedServer, startScriptedServer } from './scripted-server.ts'

let api: ScriptedServer

afterEach(() => api.close())

const row = (number: number, change: object = {}) => ({
  id: `balance_txn_${String(number).padStart(4, '0')}`,
  merchant_id: 'merchant_1',
  kind: 'from_transaction',
  amount: 12_000,
  net_amount: 11_544,
  merchant_fee: 456,
  payment_id: `payment_${number}`,
  refund_id: null,
  payout_id: null,
  included_in_payout_id: null,
  comment: null,
  created: 1_710_000_000 + number,
  updated: 1_710_000_000 + number,
  available_on: 1_710_000_000 + number,
  ...change,
})

const page = (rows: object[], hasMore = false): Reply => json({ data: rows, has_more: hasMore })

async function read(script: Reply[], afterId: string | null = null): Promise<LedgerPage> {
  api = await startScriptedServer(script)
  const client = createProviderClient({
    apiUrl: api.url,
    apiKey: 'sk_test_1',
    apiKeySetting: 'ALMA_API_KEY',
  })
  return fetchLedgerPage(client, { afterId, currency: 'EUR' })
}

async function faultOf(script: Reply[], afterId: string | null = null): Promise<Error> {
  const error: unknown = await read(script, afterId).catch((thrown: unknown) => thrown)
  if (error instanceof Error) return error
  throw new Error('a fault was expected')
}

describe('a page of the ledger', () => {
  test('is read with limit 100 after the cursor, the raw row kept beside the parsed one', async () => {
    const sent = row(7, { private_attribute: { deep: [1.5] }, kind: 'from_the_moon' })
    const { rows, hasMore } = await read([page([sent], true)], 'balance_txn_0008')
    expect(api.seen.map(({ url }) => url)).toEqual([
      '/v1/balance-transactions?limit=100&starting_after=balance_txn_0008',
    ])
    expect(hasMore).toBe(true)
    expect(rows).toEqual([
      {
        raw: sent,
        parsed: {
          id: 'balance_txn_0007',
          merchantId: 'merchant_1',
          kind: 'from_the_moon',
          currency: 'EUR',
          amountMinor: 12_000n,
          feeMinor: 456n,
          netMinor: 11_544n,
          paymentId: 'payment_7',
          refundId: null,
          payoutId: null,
          includedInPayoutId: null,
          createdS: 1_710_000_007,
          updatedS: 1_710_000_007,
          availableOnS: 1_710_000_007,
        },
      },
    ])
  })

  test('a currency that a row names is honoured', async () => {
    const { rows } = await read([page([row(2, { currency: 'gbp' }), row(1, { currency: 7 })])])
    expect(rows.map(({ parsed }) => parsed.currency)).toEqual(['GBP', 'EUR'])
  })

  test('text that Postgres cannot hold is mended in the raw row', async () => {
    const { rows } = await read([page([row(1, { comment: 'a\0b\uD800c', zero: -0 })])])
    expect(rows[0]?.raw).toMatchObject({ comment: 'ab\uFFFDc', zero: 0 })
  })

  test.each<[string, object, string]>([
    [
      'net_amount',
      { net_amount: '12.5' },
      'net_amount is "12.5", a whole number of cents was expected',
    ],
    ['amount', { amount: 12.5 }, 'amount is 12.5, a whole number of cents was expected'],
    [
      'amount',
      { amount: 2 ** 53 },
      'amount is 9007199254740992, a whole number of cents was expected',
    ],
    ['kind', { kind: null }, 'kind is null, a kind was expected'],
    [
      'created',
      { created: 1_710_000_000_000 },
      'created is 1710000000000, seconds since 1970 were expected, not milliseconds',
    ],
    [
      'created',
      { created: undefined },
      'created is missing, a whole number of seconds since 1970 was expected',
    ],
    [
      'included_in_payout_id',
      { included_in_payout_id: undefined },
      'included_in_payout_id is missing, a payout id or null was expected',
    ],
    ['payment_id', { payment_id: 7 }, 'payment_id is 7, an id was expected'],
  ])('with a broken %s is refused, naming row and field', async (_, change, expected) => {
    const fault = await faultOf([page([row(3), row(2, change), row(1)])], 'balance_txn_0009')
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(fault.message).toBe(`the page after balance_txn_0009: row balance_txn_0002: ${expected}`)
    expect(api.seen).toHaveLength(1)
  })

  test('a row without an id is named by its place', async () => {
    const fault = await faultOf([page([row(3), row(2, { id: null })])])
    expect(fault.message).toBe(
      'the first page of balance transactions: row number 2: id is null, an id was expected',
    )
  })

  test.each<[string, unknown, RegExp]>([
    ['has_more', { data: [] }, /has_more is missing/],
    ['data', { data: {}, has_more: false }, /data is an object, a list of rows was expected/],
    ['everything', [], /the answer is a list/],
  ])('an envelope without %s is refused', async (_, body, expected) => {
    expect((await faultOf([json(body)])).message).toMatch(expected)
  })
})

describe('the order of the list', () => {
  test('short pages that say more follows are legal', async () => {
    const { rows, hasMore } = await read([page([row(5)], true)])
    expect([rows.length, hasMore]).toEqual([1, true])
  })

  test.each<[string, Reply]>([
    ['is repeated', page([row(9), row(8)])],
    ['overlaps', page([row(8), row(7)])],
    ['goes up', page([row(6), row(7)])],
    ['holds a row twice', page([row(6), row(6)])],
    ['is empty in the middle', page([], true)],
  ])('a page that %s is asked for once more, then refused', async (_, broken) => {
    const cured = await read([broken, page([row(7)])], 'balance_txn_0008')
    expect(cured.rows.map(({ parsed }) => parsed.id)).toEqual(['balance_txn_0007'])
    await api.close()
    const fault = await faultOf([broken], 'balance_txn_0008')
    expect(fault).toBeInstanceOf(BrokenPage)
    expect(fault.message).toContain('the page after balance_txn_0008')
    expect(api.seen).toHaveLength(2)
  })
})
