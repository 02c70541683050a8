/** What is sent to ask about plans, and what is understood of the answers. */
import { afterEach, describe, expect, test } from 'vitest'
import { UnavailableFault } from '../../src/errors.ts'
import { createProviderClient, RefusedKey, RefusedRequest } from '../../src/provider/client.ts'
import { askEligibility } from '../../src/provider/eligibility.ts'
import { fetchFeePlans } from '../../src/provider/fee-plans.ts'
import { json, type Reply, type ScriptedServer, startScriptedServer } from './scripted-server.ts'

let server: ScriptedServer | null = null
afterEach(async () => {
  await server?.close()
  server = null
})

async function clientOf(reply: Reply) {
  server = await startScriptedServer([reply])
  return createProviderClient({
    apiUrl: server.url,
    apiKey: 'sk_test_plans',
    apiKeySetting: 'ALMA_API_KEY',
    retryLimit: 0,
  })
}

const terms = { installments: 3, deferredDays: 0, deferredMonths: 0 }
const eligible = {
  eligible: true,
  installments_count: 3,
  deferred_days: 0,
  deferred_months: 0,
  customer_total_cost_amount: 123,
  customer_total_cost_bps: 123,
  annual_interest_rate: 4.2,
  payment_plan: [
    {
      purchase_amount: 3_334,
      customer_fee: 123,
      customer_interest: 0,
      total_amount: 3_457,
      due_date: 1_710_000_000,
    },
    {
      purchase_amount: 3_333,
      customer_fee: 0,
      customer_interest: 0,
      total_amount: 3_333,
      due_date: 1_712_000_000,
    },
    {
      purchase_amount: 3_333,
      customer_fee: 0,
      customer_interest: 0,
      total_amount: 3_333,
      due_date: 1_714_000_000,
    },
  ],
}

describe('eligibility', () => {
  test('of a plan that can be sold comes with its instalments', async () => {
    const client = await clientOf(json([eligible]))
    const [answer] = await askEligibility(client, { purchaseMinor: 10_000n, plans: [] })
    expect(answer).toMatchObject({
      terms,
      isEligible: true,
      purchaseMinor: 10_000n,
      minimumMinor: null,
      refusals: [],
      costMinor: 123n,
    })
    expect(answer?.instalments[0]).toEqual({
      purchaseMinor: 3_334n,
      feeMinor: 123n,
      interestMinor: 0n,
      totalMinor: 3_457n,
    })
  })

  test.each([
    [
      'codes by field',
      { purchase_amount: 'invalid_value' },
      [{ field: 'purchase_amount', code: 'invalid_value' }],
    ],
    [
      'a list of codes',
      ['merchant_cant_create_payments'],
      [{ field: null, code: 'merchant_cant_create_payments' }],
    ],
    ['one code', 'invalid_value', [{ field: null, code: 'invalid_value' }]],
    ['nothing', null, []],
    ['something else', { purchase_amount: { minimum: 1 } }, []],
  ])('that is refused gives its reasons as %s', async (_, reasons, refusals) => {
    const constraints = { purchase_amount: { minimum: 9_000, maximum: 20_000 } }
    const client = await clientOf(
      json([{ eligible: false, installments_count: 3, constraints, reasons }]),
    )
    expect(await askEligibility(client, { purchaseMinor: 10_000n, plans: [] })).toEqual([
      {
        terms,
        isEligible: false,
        purchaseMinor: 10_000n,
        minimumMinor: 9_000n,
        maximumMinor: 20_000n,
        refusals,
        costMinor: null,
        instalments: [],
      },
    ])
  })

  test('of named plans is told apart by the terms in each answer, or else by its place', async () => {
    const plans = ['P1X_D+30', 'P3X']
    const stranger = { ...eligible, installments_count: 4 }
    const byTerms = await clientOf(json([eligible, stranger]))
    const found = await askEligibility(byTerms, { purchaseMinor: 10_000n, plans })
    expect(found.map((answer) => answer.terms)).toEqual([terms])
    await server?.close()
    const byPlace = await clientOf(json([{ eligible: false }, { eligible: true }]))
    const placed = await askEligibility(byPlace, { purchaseMinor: 10_000n, plans })
    expect(placed.map((answer) => [answer.terms.deferredDays, answer.isEligible])).toEqual([
      [30, false],
      [0, true],
    ])
  })

  test.each([
    ['an object', {}, /at its top/],
    [
      'an amount that is not whole',
      [{ ...eligible, customer_total_cost_amount: 1.5 }],
      /0\.customer_total_cost_amount/,
    ],
    ['no word on it', [{ installments_count: 3 }], /0\.eligible/],
  ])('as %s is not understood', async (_, body, message) => {
    const client = await clientOf(json(body))
    const asked = askEligibility(client, { purchaseMinor: 10_000n, plans: [] })
    await expect(asked).rejects.toThrow(message)
    await expect(asked).rejects.toBeInstanceOf(UnavailableFault)
  })

  test.each([
    [404, RefusedRequest],
    [403, RefusedKey],
    [500, UnavailableFault],
  ])('is asked once where the answer is %i', async (status, fault) => {
    const client = await clientOf(json({ message: 'no' }, status))
    await expect(askEligibility(client, { purchaseMinor: 1n, plans: [] })).rejects.toBeInstanceOf(
      fault,
    )
    expect(server?.seen).toHaveLength(1)
  })
})

describe('fee plans', () => {
  const plan = {
    allowed: true,
    kind: 'general',
    installments_count: 4,
    deferred_days: 0,
    deferred_months: 0,
    merchant_fee_variable: 480,
    merchant_fee_fixed: 25,
    min_purchase_amount: 5_000,
    max_purchase_amount: 200_000,
    customer_fee_variable: 0,
  }

  test('are those that the account may sell, in basis points and cents', async () => {
    const client = await clientOf(json([plan, { ...plan, installments_count: 10, allowed: false }]))
    expect(await fetchFeePlans(client)).toEqual([
      {
        terms: { installments: 4, deferredDays: 0, deferredMonths: 0 },
        basisPoints: 480,
        fixedMinor: 25n,
        minimumMinor: 5_000n,
        maximumMinor: 200_000n,
      },
    ])
    expect(server?.seen[0]?.url).toBe('/v1/me/fee-plans?kind=general&only=all&deferred=true')
  })

  test('with a price that is none are not understood', async () => {
    const client = await clientOf(json([{ ...plan, merchant_fee_variable: 4.8 }]))
    await expect(fetchFeePlans(client)).rejects.toThrow(/0\.merchant_fee_variable/)
  })
})
