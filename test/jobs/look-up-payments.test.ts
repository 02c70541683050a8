import { asc, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startRun } from '../../db/runs.ts'
import { ledgerRanges, paymentRefunds, payments } from '../../db/schema.ts'
import { lookUpPayments, type PaymentLookUp } from '../../jobs/look-up-payments.ts'
import { syncLedger } from '../../jobs/sync-ledger.ts'
import { parseDay } from '../../src/domain/day.ts'
import { parseWeek, periodInstants } from '../../src/domain/period.ts'
import { UnavailableFault } from '../../src/errors.ts'
import { silentProgress } from '../../src/progress.ts'
import type { ProviderClient } from '../../src/provider/client.ts'
import type { SandboxAccount, SandboxPayment } from '../../src/sandbox/model.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { accountOf, clientOf, sale } from './provider-account.ts'

const ZONE = 'Europe/Paris'
const { startS, endS } = periodInstants(parseWeek('2024-W11'), ZONE)

let database: TestDatabase
let sandbox: Sandbox
let account: SandboxAccount

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  account = accountOf(640)
  for (const row of account.rows) addPayment(row.payment_id, row.created, row.amount)
  sandbox = await startSandbox({ world: { accounts: [account], bankAccounts: [] } })
})
afterEach(async () => {
  await sandbox.close()
  await database.db.execute(sql`truncate runs cascade`)
  await database.db.delete(ledgerRanges)
})

function addPayment(id: string | null, created: number, amount: number): void {
  if (id === null) return
  account.payments.set(id, {
    id,
    created,
    purchase_amount: amount,
    kind: 'P3X',
    installments_count: 3,
    deferred_days: 0,
    deferred_months: 0,
    state: 'paid',
    refunds: [],
    customer: { first_name: 'Zoé', last_name: 'Martin', email: 'zoe@example.com' },
    orders: [],
  })
}

function payment(id: string): SandboxPayment {
  const found = account.payments.get(id)
  if (found === undefined) throw new Error(`no payment ${id}`)
  return found
}

/** A refund on the payment, and unless said otherwise its row in the ledger. */
function refund(paymentId: string, refundId: string, { inLedger = true } = {}): void {
  const created = startS + 86_400
  payment(paymentId).refunds.push({ id: refundId, created, amount: 500, merchant_reference: null })
  if (!inLedger) return
  account.rows.push({
    ...sale(account),
    kind: 'from_refund',
    amount: -500,
    net_amount: -500,
    merchant_fee: 0,
    payment_id: paymentId,
    refund_id: refundId,
    created,
  })
}

const asIs = (client: ProviderClient): ProviderClient => client

async function lookUp({ wantPlans = false, watch = asIs } = {}): Promise<PaymentLookUp> {
  const { db } = database
  const client = clientOf(sandbox.url)
  const runId = await startRun(db, {
    command: 'reconcile',
    period: '2024-W11',
    asOf: null,
    appVersion: 'test',
  })
  const deps = { db, client, progress: silentProgress }
  await syncLedger(deps, {
    entity: 'shop',
    runId,
    asOf: parseDay('2024-03-18'),
    currency: 'EUR',
    since: null,
    reread: null,
  })
  sandbox.requests.length = 0
  return lookUpPayments(
    { ...deps, client: watch(client) },
    {
      entity: 'shop',
      runId,
      periodStartS: startS,
      periodEndS: endS,
      zone: ZONE,
      wantPlans,
    },
  )
}

const storedPayments = async () =>
  database.db
    .select({
      id: payments.id,
      found: payments.found,
      purchase: payments.purchaseAmountMinor,
      plan: payments.plan,
    })
    .from(payments)
    .orderBy(asc(payments.id))

const storedRefunds = async () =>
  database.db
    .select({
      paymentId: paymentRefunds.paymentId,
      refundId: paymentRefunds.refundId,
      amount: paymentRefunds.amountMinor,
    })
    .from(paymentRefunds)
    .orderBy(asc(paymentRefunds.refundId))

const asked = (): string[] =>
  sandbox.requests.filter(({ path }) => /payments\//.test(path)).map(({ path }) => path.slice(13))

const paymentsOfWindow = () =>
  [...account.payments.values()].filter(({ created }) => created < endS)

describe('with a list of payments', () => {
  test('the list tells of all payments, and only refunded ones are asked for', async () => {
    refund('payment_3', 'refund_1')
    refund('payment_4', 'refund_2', { inLedger: false })
    const window = paymentsOfWindow()
    const outcome = await lookUp()
    expect(outcome).toEqual({ listed: window.length, visited: 2, missing: 0 })
    expect(asked().sort()).toEqual(['payment_3', 'payment_4'])
    expect(await storedPayments()).toHaveLength(window.length)
    expect((await storedPayments()).find(({ id }) => id === 'payment_3')).toEqual({
      id: 'payment_3',
      found: true,
      purchase: 10_003n,
      plan: 'P3X',
    })
    expect(await storedRefunds()).toEqual([
      { paymentId: 'payment_3', refundId: 'refund_1', amount: 500n },
      { paymentId: 'payment_4', refundId: 'refund_2', amount: 500n },
    ])
  })

  test('it begins 92 days before the period and ends with it', async () => {
    addPayment('payment_before', startS - 92 * 86_400 - 1, 100)
    addPayment('payment_first', startS - 92 * 86_400, 100)
    addPayment('payment_last', endS - 1, 100)
    addPayment('payment_after', endS, 100)
    await lookUp()
    const ids = new Set((await storedPayments()).map(({ id }) => id))
    const has = (id: string) => ids.has(id)
    expect(['payment_before', 'payment_first', 'payment_last', 'payment_after'].map(has)).toEqual([
      false,
      true,
      true,
      false,
    ])
  })

  test('a refunded payment that the provider does not know is stored as missing', async () => {
    refund('payment_3', 'refund_1')
    account.payments.delete('payment_3')
    expect(await lookUp()).toMatchObject({ visited: 1, missing: 1 })
    expect((await storedPayments()).find(({ id }) => id === 'payment_3')).toEqual({
      id: 'payment_3',
      found: false,
      purchase: null,
      plan: null,
    })
  })

  test('a refund that disappears from its payment disappears here', async () => {
    refund('payment_3', 'refund_1')
    refund('payment_3', 'refund_2')
    refund('payment_5', 'refund_3')
    await lookUp()
    expect(await storedRefunds()).toHaveLength(3)
    payment('payment_3').refunds.shift()
    await lookUp()
    expect((await storedRefunds()).map(({ refundId }) => refundId)).toEqual([
      'refund_2',
      'refund_3',
    ])
  })

  test('nothing of a customer is stored', async () => {
    await lookUp()
    const dump = await database.db.execute(sql`select to_jsonb(payments) as row from payments`)
    expect(JSON.stringify(dump)).not.toMatch(/Zo|Martin|example/)
  })

  test('a list that breaks off now and then is read all the same', async () => {
    sandbox.script({ path: /payments$/, times: 4, fault: { do: 'truncate' } })
    expect(await lookUp()).toMatchObject({ listed: paymentsOfWindow().length })
  })
})

describe('without a usable list', () => {
  test.each(['missing', 'without_refunds'] as const)(
    '(%s) each payment of the window is asked for, at most six at once',
    async (paymentsList) => {
      sandbox.switches.paymentsList = paymentsList
      refund('payment_3', 'refund_1', { inLedger: false })
      refund('payment_601', 'refund_2')
      const window = paymentsOfWindow()
      const ids = new Set([...window.map(({ id }) => id), 'payment_601'])
      let underWay = 0
      let mostAtOnce = 0
      const watch = (client: ProviderClient): ProviderClient => ({
        ...client,
        async getJson(path, query) {
          underWay += 1
          mostAtOnce = Math.max(mostAtOnce, underWay)
          return client.getJson(path, query).finally(() => (underWay -= 1))
        },
      })
      expect(await lookUp({ watch })).toEqual({ listed: 0, visited: ids.size, missing: 0 })
      expect(mostAtOnce).toBe(6)
      expect(asked().sort()).toEqual([...ids].sort())
      expect((await storedRefunds()).map(({ refundId }) => refundId)).toEqual([
        'refund_1',
        'refund_2',
      ])
    },
  )

  test.each([400, 403, 404, 422])(
    '(HTTP %i) a list that is refused is no fault',
    async (status) => {
      sandbox.script({ path: /payments$/, fault: { do: 'status', status } })
      refund('payment_3', 'refund_1')
      account.payments.delete('payment_5')
      expect(await lookUp()).toMatchObject({ listed: 0, missing: 1 })
    },
  )

  test('(HTTP 401) a refused key is', async () => {
    sandbox.script({ path: /payments$/, fault: { do: 'status', status: 401 } })
    await expect(lookUp()).rejects.toThrow(/refused the key in ALMA_API_KEY/)
  })

  test('one payment that cannot be had stops it, naming the payment', async () => {
    sandbox.switches.paymentsList = 'missing'
    sandbox.script({
      path: /payments\/payment_7$/,
      fault: {
        do: 'answer',
        with: () => ({
          status: 200,
          headers: {},
          body: JSON.stringify({ id: 'payment_7', purchase_amount: 1.5, refunds: [] }),
        }),
      },
    })
    const fault: unknown = await lookUp().catch((error: unknown) => error)
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(String(fault)).toContain(
      'payment payment_7: purchase_amount is 1.5, a whole number of cents was expected',
    )
  })
})

describe('plans', () => {
  test('that the list does not tell are asked for, if they are wanted', async () => {
    for (const id of ['payment_351', 'payment_20']) {
      Object.assign(payment(id), { kind: null })
    }
    expect(await lookUp()).toMatchObject({ visited: 0 })
    expect(await lookUp({ wantPlans: true })).toMatchObject({ visited: 1 })
    expect(asked()).toEqual(['payment_351'])
  })
})
