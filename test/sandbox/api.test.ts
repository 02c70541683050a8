import { describe, expect, test } from 'vitest'
import { SANDBOX_OFFERS } from '../../src/sandbox/plans.ts'
import type { Sandbox } from '../../src/sandbox/server.ts'
import { createWorld, DEMO_API_KEY, type SandboxWorld } from '../../src/sandbox/world.ts'
import { ask, firstAccount, page, sandboxOf } from './support.ts'

const ROWS = '/v1/balance-transactions'

const smallWorld = (): SandboxWorld =>
  createWorld({ from: '2024-03-04', to: '2024-03-20', salesPerDay: 6 })

describe('who may ask', () => {
  const refused = { message: 'Credentials invalid or not supplied' }
  test.each<[string, Record<string, string>]>([
    ['no key', {}],
    ['a wrong key', { authorization: 'Alma-Auth sk_test_wrong' }],
    ['another scheme', { authorization: `Bearer ${DEMO_API_KEY}` }],
    ['two blanks', { authorization: `Alma-Auth  ${DEMO_API_KEY}` }],
  ])('%s: 401 with the documented body', async (_, headers) => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    const answer = await ask(sandbox, ROWS, headers)
    expect(answer.status).toBe(401)
    expect(await answer.json()).toEqual(refused)
  })

  test('each key opens its own account', async () => {
    const world = createWorld({ accounts: ['north', 'south'], salesPerDay: 1 })
    const sandbox = await sandboxOf({ world })
    for (const account of world.accounts) {
      const answer = await ask(sandbox, '/v1/me', { authorization: `Alma-Auth ${account.apiKey}` })
      expect(await answer.json()).toMatchObject({ id: account.merchantId, name: account.name })
    }
  })

  test('what does not exist is a 404, a wrong method a 405 that says what is allowed', async () => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    expect((await ask(sandbox, '/v1/payouts')).status).toBe(404)
    const answer = await fetch(sandbox.url + ROWS, {
      method: 'DELETE',
      headers: { authorization: `Alma-Auth ${DEMO_API_KEY}` },
    })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('GET')
    expect(await answer.json()).toEqual({ message: 'Method not allowed' })
  })

  test('requests are logged with their headers, query and status', async () => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    await ask(sandbox, `${ROWS}?limit=3`)
    expect(sandbox.requests).toMatchObject([
      {
        host: 'api',
        method: 'GET',
        path: ROWS,
        query: { limit: '3' },
        headers: { authorization: `Alma-Auth ${DEMO_API_KEY}` },
        status: 200,
      },
    ])
  })
})

describe('payment plans', () => {
  const eligibility = async (sandbox: Sandbox, body: unknown): Promise<Response> =>
    fetch(`${sandbox.url}/v2/payments/eligibility`, {
      method: 'POST',
      headers: { authorization: `Alma-Auth ${DEMO_API_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  test('are listed for an amount, with limits where it is outside of them', async () => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    const answers: unknown = await (await eligibility(sandbox, { purchase_amount: 10_001 })).json()
    expect(answers).toHaveLength(SANDBOX_OFFERS.length)
    expect(answers).toContainEqual(
      expect.objectContaining({
        installments_count: 3,
        eligible: true,
        payment_plan: [3_335, 3_333, 3_333].map((amount) =>
          expect.objectContaining({ purchase_amount: amount, total_amount: amount }),
        ),
      }),
    )
    expect(answers).toContainEqual(
      expect.objectContaining({
        installments_count: 10,
        eligible: false,
        reasons: { purchase_amount: 'invalid_value' },
        constraints: { purchase_amount: { minimum: 55_000, maximum: 300_000 } },
      }),
    )
  })

  test('are answered in the order of the queries, as the clock of the world has them', async () => {
    const world = smallWorld()
    firstAccount(world).offers = [
      { fromS: 0, offers: SANDBOX_OFFERS },
      { fromS: 1_710_000_000, offers: SANDBOX_OFFERS, isStopped: true },
    ]
    const sandbox = await sandboxOf({ world })
    const queries = [4, 12].map((count) => ({ installments_count: count, deferred_days: 0 }))
    const answersAt = async (nowS: number): Promise<unknown> => {
      world.nowS = nowS
      return (await eligibility(sandbox, { purchase_amount: 20_000, queries })).json()
    }
    expect(await answersAt(1_709_999_999)).toMatchObject([
      { installments_count: 4, eligible: true },
      { installments_count: 12, eligible: false, reasons: { installments_count: 'invalid_value' } },
    ])
    expect(await answersAt(1_710_000_000)).toMatchObject([
      { installments_count: 4, reasons: { merchant: 'merchant_cant_create_payments' } },
      { installments_count: 12, eligible: false },
    ])
  })

  test.each([{}, { purchase_amount: 1.5 }, { purchase_amount: 100, queries: [{}] }])(
    'are not told to %j: 400',
    async (body) => {
      const sandbox = await sandboxOf({ world: smallWorld() })
      expect((await eligibility(sandbox, body)).status).toBe(400)
    },
  )
})

describe('balance transactions', () => {
  test('come newest first, twenty by default, as bare JSON', async () => {
    const world = smallWorld()
    const sandbox = await sandboxOf({ world })
    const answer = await ask(sandbox, ROWS)
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(await answer.json()).toEqual({
      data: firstAccount(world).rows.slice(-20).toReversed(),
      has_more: true,
    })
  })

  test('are all there page by page, without gap or overlap, until has_more is false', async () => {
    const world = smallWorld()
    const sandbox = await sandboxOf({ world })
    const ids: string[] = []
    let cursor = ''
    for (let pages = 0; pages < 50; pages += 1) {
      const { data, has_more: more } = await page(sandbox, `${ROWS}?limit=17${cursor}`)
      ids.push(...data.map(({ id }) => id))
      if (!more) break
      expect(data).toHaveLength(17)
      cursor = `&starting_after=${data.at(-1)?.id ?? ''}`
    }
    expect(ids).toEqual(
      firstAccount(world)
        .rows.map(({ id }) => id)
        .toReversed(),
    )
  })

  test('say has_more false on a last page that is exactly full', async () => {
    const world = smallWorld()
    const { rows } = firstAccount(world)
    rows.splice(0, rows.length - 40)
    const sandbox = await sandboxOf({ world })
    const first = await page(sandbox, ROWS)
    const second = await page(sandbox, `${ROWS}?starting_after=${first.data.at(-1)?.id ?? ''}`)
    expect([first.has_more, second.has_more, second.data.length]).toEqual([true, false, 20])
  })

  test('can be had by kind: one, several, all but some', async () => {
    const world = smallWorld()
    const sandbox = await sandboxOf({ world })
    const { rows } = firstAccount(world)
    for (const [asked, holds] of [
      ['from_payout', ['from_payout']],
      ['from_payout,from_refund', ['from_payout', 'from_refund']],
      [
        '__not__from_transaction',
        ['from_refund', 'from_payout', 'from_fee_waiver', 'from_adjustment'],
      ],
      [
        '__not__from_transaction,from_refund',
        ['from_payout', 'from_fee_waiver', 'from_adjustment'],
      ],
    ] as const) {
      const { data } = await page(sandbox, `${ROWS}?limit=100&kind=${asked}`)
      const expected = rows.filter(({ kind }) => (holds as readonly string[]).includes(kind))
      expect(data.map(({ id }) => id)).toEqual(expected.map(({ id }) => id).toReversed())
    }
  })

  test('can be had by creation, both ends included; or the range is ignored', async () => {
    const world = smallWorld()
    const sandbox = await sandboxOf({ world })
    const { rows } = firstAccount(world)
    const [from, to] = [rows[10]?.created ?? 0, rows[20]?.created ?? 0]
    const path = `${ROWS}?limit=100&created%5Bmin%5D=${from}&created%5Bmax%5D=${to}`
    const { data } = await page(sandbox, path)
    expect(data.map(({ id }) => id)).toEqual(
      rows
        .filter(({ created }) => created >= from && created <= to)
        .map(({ id }) => id)
        .toReversed(),
    )
    sandbox.switches.createdRange = 'ignored'
    expect((await page(sandbox, path)).data[0]?.id).toBe(rows.at(-1)?.id)
  })

  test.each([
    ['limit=0', 'limit', 'invalid_value'],
    ['limit=101', 'limit', 'invalid_value'],
    ['limit=ten', 'limit', 'invalid_type'],
    ['kind=from_nowhere', 'kind', 'invalid_value'],
    ['created[min]=yesterday', 'created[min]', 'invalid_type'],
    ['merchant=merchant_of_somebody', 'merchant', 'unauthorized'],
  ])('refuse %s with a validation error that names the field', async (query, field, code) => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    const answer = await ask(sandbox, `${ROWS}?${query}`)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      error_code: 'validation_error',
      errors: [{ field, error_code: code }],
    })
  })

  test('clamp a limit out of range, or ask for twenty at least, where so switched', async () => {
    const sandbox = await sandboxOf({
      world: smallWorld(),
      switches: { limitOutOfRange: 'clamp', limitMin: 20 },
    })
    expect((await page(sandbox, `${ROWS}?limit=1`)).data).toHaveLength(20)
    expect((await page(sandbox, `${ROWS}?limit=1000`)).data).toHaveLength(100)
    sandbox.switches.limitOutOfRange = 'refuse'
    expect((await ask(sandbox, `${ROWS}?limit=19`)).status).toBe(400)
  })

  test('after an id that no row has: 404, 400, an empty page, or what sorts below it', async () => {
    const world = smallWorld()
    const { rows } = firstAccount(world)
    const [gone] = rows.splice(30, 1)
    const sandbox = await sandboxOf({ world })
    const path = `${ROWS}?starting_after=${gone?.id ?? ''}`
    expect((await ask(sandbox, path)).status).toBe(404)
    sandbox.switches.unknownCursor = 'invalid'
    expect((await ask(sandbox, path)).status).toBe(400)
    sandbox.switches.unknownCursor = 'empty_page'
    expect(await page(sandbox, path)).toEqual({ data: [], has_more: false })
    sandbox.switches.unknownCursor = 'lexicographic'
    expect((await page(sandbox, path)).data[0]?.id).toBe(rows[29]?.id)
  })

  test('show private attributes, other names of kinds and a charset where so switched', async () => {
    const sandbox = await sandboxOf({
      world: smallWorld(),
      switches: {
        extraAttributes: true,
        renamedKinds: { from_payout: 'from_settlement' },
        charsetInContentType: true,
      },
    })
    const answer = await ask(sandbox, `${ROWS}?limit=100`)
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    const { data } = await page(sandbox, `${ROWS}?limit=100`)
    expect(data[0]).toHaveProperty('risk_tier')
    const kinds = new Set(data.map(({ kind }) => kind))
    expect([kinds.has('from_settlement'), kinds.has('from_payout')]).toEqual([true, false])
  })

  test('of several merchants under one key: one’s own, a child’s, or all in the order of ids', async () => {
    const world = createWorld({ accounts: ['north', 'south'], salesPerDay: 2 })
    const [north, south] = world.accounts
    if (north === undefined || south === undefined) throw new Error('two accounts were asked for')
    south.apiKey = north.apiKey
    const sandbox = await sandboxOf({ world })
    const newest = async (query: string) => (await page(sandbox, `${ROWS}?${query}`)).data[0]?.id
    expect(await newest('')).toBe(north.rows.at(-1)?.id)
    expect(await newest(`merchant=${south.merchantId}`)).toBe(south.rows.at(-1)?.id)
    const { data } = await page(sandbox, `${ROWS}?limit=100&merchant=all`)
    const ids = data.map(({ id }) => id)
    expect(ids).toEqual(ids.toSorted().toReversed())
    expect(new Set(data.map((row) => row['merchant_id'])).size).toBe(2)
  })
})

describe('the provider’s clock', () => {
  test('shows nothing later, and rows of a later payout as not yet in one', async () => {
    const world = smallWorld()
    const { rows } = firstAccount(world)
    const payout = rows.filter(({ kind }) => kind === 'from_payout')[5]
    const member = rows.find((row) => row.included_in_payout_id === payout?.payout_id)
    if (payout === undefined || member === undefined) throw new Error('the world is too small')
    const sandbox = await sandboxOf({ world })
    const shown = async () => {
      const { data } = await page(sandbox, `${ROWS}?limit=100`)
      return data.find(({ id }) => id === member.id)
    }
    world.nowS = payout.created - 1
    const newest = (await page(sandbox, ROWS)).data[0]
    expect(newest?.created).toBeLessThanOrEqual(world.nowS)
    expect(await shown()).toMatchObject({ included_in_payout_id: null, updated: member.created })
    world.nowS = payout.created
    expect((await page(sandbox, ROWS)).data[0]?.id).toBe(payout.id)
    expect(await shown()).toMatchObject({ included_in_payout_id: payout.payout_id })
  })

  test('hides refunds that are still to come', async () => {
    const world = createWorld()
    const payment = [...firstAccount(world).payments.values()].find(
      ({ refunds }) => refunds.length === 2,
    )
    const [first, second] = payment?.refunds ?? []
    if (payment === undefined || first === undefined || second === undefined) {
      throw new Error('the default world has such a payment')
    }
    world.nowS = second.created - 1
    const sandbox = await sandboxOf({ world })
    const answer = await ask(sandbox, `/v1/payments/${payment.id}`)
    expect(await answer.json()).toMatchObject({
      refunds: [{ id: first.id }],
      amount_already_refunded: first.amount,
    })
  })
})

describe('payments', () => {
  test('one has its refunds, plan, order and fees; an unknown one is a 404', async () => {
    const world = createWorld()
    const sandbox = await sandboxOf({ world })
    const payment = [...firstAccount(world).payments.values()].find(({ kind }) => kind === 'P4X')
    const answer = await ask(sandbox, `/v1/payments/${payment?.id ?? ''}`)
    const fee = payment?.merchant_fee ?? 0
    const tax = Math.floor(fee / 5)
    expect(await answer.json()).toMatchObject({
      id: payment?.id,
      purchase_amount: payment?.purchase_amount,
      kind: 'P4X',
      installments_count: 4,
      fees: { merchant: { total: fee + tax, total_excluding_tax: fee, tax } },
    })
    expect((await ask(sandbox, '/v1/payments/payment_unknown')).status).toBe(404)
  })

  test('come in a list newest first, by creation with both ends included, without fees', async () => {
    const world = createWorld()
    const sandbox = await sandboxOf({ world })
    const payments = [...firstAccount(world).payments.values()]
    const [from, to] = [payments[100]?.created ?? 0, payments[150]?.created ?? 0]
    const path = `/v1/payments?limit=100&created_after=${from}&created_before=${to}`
    const { data, has_more: more } = await page(sandbox, path)
    expect(data.map(({ id }) => id)).toEqual(
      payments
        .filter(({ created }) => created >= from && created <= to)
        .map(({ id }) => id)
        .toReversed(),
    )
    expect(more).toBe(false)
    expect(data[0]).toHaveProperty('refunds')
    expect(data[0]).not.toHaveProperty('fees')
    const next = await page(sandbox, `/v1/payments?starting_after=${data[0]?.id ?? ''}&limit=1`)
    expect(next.data[0]?.id).toBe(data[1]?.id)
  })

  test('by state, without refunds, or not at all, where so switched', async () => {
    const world = createWorld()
    const sandbox = await sandboxOf({ world, switches: { paymentsList: 'without_refunds' } })
    const { data } = await page(sandbox, '/v1/payments?state=paid&limit=100')
    expect(new Set(data.map((payment) => payment['state']))).toEqual(new Set(['paid']))
    expect(data[0]).not.toHaveProperty('refunds')
    sandbox.switches.paymentsList = 'missing'
    expect((await ask(sandbox, '/v1/payments')).status).toBe(404)
  })
})
