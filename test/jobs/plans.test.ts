/** Payment plans over the whole job: asked once a day, kept, told, and never in the way. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asc, sql } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { doubtfulSales, planSnapshots } from '../../db/schema.ts'
import { parseDay, startOfDay } from '../../src/domain/day.ts'
import type { Answer, Fault } from '../../src/sandbox/faults.ts'
import type { SandboxAccount } from '../../src/sandbox/model.ts'
import { SANDBOX_OFFERS } from '../../src/sandbox/plans.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { type MailServer, startMailServer, subjectOf } from '../support/mail-server.ts'
import { openWorkshop, type Outcome, type Workshop } from '../support/workshop.ts'

const WEEK = '2024-W12'
const ELIGIBILITY = /^\/v2\/payments\/eligibility$/
const WATCHED = /^\/v2\/payments\/eligibility$|^\/v1\/me\/fee-plans$/

let shop: Workshop | null = null
let server: MailServer | null = null
afterEach(async () => {
  await shop?.close()
  await server?.close()
  shop = server = null
})

function smallWorld(): SandboxWorld {
  return createWorld({ from: '2024-03-11', to: '2024-03-29', salesPerDay: 5 })
}

async function open(world: SandboxWorld = smallWorld()): Promise<Workshop> {
  shop = await openWorkshop(world)
  await shop.writeBank()
  return shop
}

function accountIn({ accounts: [account] }: SandboxWorld): SandboxAccount {
  if (account === undefined) throw new Error('the world has no account')
  return account
}

const atMidnight = (day: string): number => startOfDay(parseDay(day), 'Europe/Paris')

async function reconcile(opened: Workshop, asOf: string, ...flags: string[]): Promise<Outcome> {
  const outcome = await opened.run(
    'reconcile',
    '--week',
    WEEK,
    '--as-of',
    asOf,
    '--plans',
    ...flags,
  )
  expect(outcome).toMatchObject({ exitCode: 0, err: '' })
  return outcome
}

const asked = ({ sandbox }: Workshop): string[] =>
  sandbox.requests
    .filter(({ path }) => WATCHED.test(path))
    .map(({ method, path }) => `${method} ${path}`)

const snapshotsIn = ({ database }: Workshop) =>
  database.db.select().from(planSnapshots).orderBy(asc(planSnapshots.day))

async function codes(opened: Workshop): Promise<string[]> {
  const rows = await opened.report(WEEK, 'discrepancies.csv')
  return rows.map(({ code, status, balance_transaction_id: id }) => `${code} ${status} ${id}`)
}

describe('the provider is asked', () => {
  test('once a day, in two requests that bracket the sales, and a second run asks nothing more', async () => {
    const opened = await open()
    await reconcile(opened, '2024-03-20')
    const [discovery, query, ...more] = opened.sandbox.requests.filter(({ path }) =>
      ELIGIBILITY.test(path),
    )
    expect(more).toEqual([])
    const bodies = [discovery, query].map((request): unknown => JSON.parse(request?.body ?? ''))
    const sales = accountIn(opened.sandbox.world)
      .rows.filter(
        ({ kind, created }) =>
          kind === 'from_transaction' &&
          created >= atMidnight('2024-03-13') &&
          created < atMidnight('2024-03-25'),
      )
      .map(({ amount }) => amount)
    expect(bodies[0]).toEqual({ purchase_amount: Math.max(...sales) })
    expect(bodies[1]).toMatchObject({ purchase_amount: Math.min(...sales) })
    expect(bodies[1]).toHaveProperty('queries')
    opened.sandbox.requests.length = 0
    await reconcile(opened, '2024-03-20')
    expect(asked(opened)).toEqual([])
    await reconcile(opened, '2024-03-21')
    expect(asked(opened)).toHaveLength(2)
    expect((await snapshotsIn(opened)).map(({ day, trouble }) => [day, trouble])).toEqual([
      ['2024-03-20', null],
      ['2024-03-21', null],
    ])
  })

  test('not by hand unless --plans says so, not by a dry run, and not offline', async () => {
    const opened = await open()
    const plain = await opened.run('reconcile', '--week', WEEK, '--as-of', '2024-03-20')
    expect(plain).toMatchObject({ exitCode: 0, err: '' })
    await reconcile(opened, '2024-03-20', '--dry-run')
    await reconcile(opened, '2024-03-20', '--offline')
    expect(asked(opened)).toEqual([])
    expect(await snapshotsIn(opened)).toEqual([])
    expect(await opened.text(WEEK, 'plans.csv')).toMatch(
      /^entity,plan,currency,minimum,maximum,eligible,reason,since,previous,sales,gross,fees,fee_rate_percent\n/,
    )
  })

  test('once a night for all the weeks that it does', async () => {
    const opened = await open()
    const night = await opened.run('nightly', '--as-of', '2024-03-26')
    expect(night.exitCode).toBe(0)
    expect(asked(opened)).toHaveLength(2)
  })
})

const answering = (status: number, body: unknown): Fault => ({
  do: 'answer',
  with: (): Answer => ({
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }),
})

describe('a provider that does not tell', () => {
  const refusals: readonly (readonly [string, Fault, number, RegExp])[] = [
    ['404', { do: 'status', status: 404 }, 1, /HTTP 404/],
    ['405', { do: 'status', status: 405 }, 1, /HTTP 405/],
    ['401', { do: 'status', status: 401 }, 1, /HTTP 401/],
    ['403', { do: 'status', status: 403 }, 1, /HTTP 403/],
    ['500', { do: 'status', status: 500 }, 1, /HTTP 500/],
    ['a connection that breaks', { do: 'reset', at: 'before_handling' }, 1, /broke off/],
    ['a proxy’s page', { do: 'html' }, 1, /not complete JSON/],
    ['half an answer', { do: 'truncate' }, 1, /not complete JSON/],
    ['an object', answering(200, { eligible: true }), 1, /not as the reference shows it/],
    ['a list of something else', answering(200, [{ eligible: 'yes' }]), 1, /at 0.eligible/],
    ['an empty list', answering(200, []), 2, /no plan at all/],
    [
      'to wait for a minute',
      { do: 'status', status: 429, headers: { 'retry-after': '60' } },
      1,
      /wait|HTTP 429/,
    ],
    [
      'to wait for a second',
      { do: 'status', status: 503, headers: { 'retry-after': '1' } },
      2,
      /HTTP 503/,
    ],
  ]

  test.each(refusals)('%s: a night as without it', async (_, fault, requests, trouble) => {
    const opened = await open()
    opened.sandbox.script({ path: WATCHED, fault })
    await reconcile(opened, '2024-03-26')
    expect(asked(opened)).toHaveLength(requests)
    const texts = await opened.reportTexts(WEEK)
    const plans = await opened.text(WEEK, 'plans.csv')
    const [snapshot, ...more] = await snapshotsIn(opened)
    expect(more).toEqual([])
    expect(snapshot?.trouble).toMatch(trouble)
    expect(await codes(opened)).toEqual([])
    opened.sandbox.requests.length = 0
    await reconcile(opened, '2024-03-26')
    expect(asked(opened)).toEqual([])
    expect([await opened.reportTexts(WEEK), await opened.text(WEEK, 'plans.csv')]).toEqual([
      texts,
      plans,
    ])
  })

  test('what the other files say does not depend on whether it tells', async () => {
    const told = await open()
    await reconcile(told, '2024-03-26')
    const texts = await told.reportTexts(WEEK)
    const withPlans = await told.text(WEEK, 'plans.csv')
    await told.close()
    const untold = await open()
    untold.sandbox.switches.eligibility = 'missing'
    await reconcile(untold, '2024-03-26')
    expect(await untold.reportTexts(WEEK)).toEqual(texts)
    expect(await untold.text(WEEK, 'plans.csv')).not.toBe(withPlans)
  })
})

describe('sales against the plans', () => {
  test.each(['plan_not_offered', 'plan_amount'] as const)(
    '%s is found once an answer stands on either side of it',
    async (code) => {
      const world = smallWorld()
      const { key } = plant(world, { code, period: WEEK })
      const opened = await open(world)
      await reconcile(opened, '2024-03-18')
      await reconcile(opened, '2024-03-24')
      await reconcile(opened, '2024-03-26')
      const found = await codes(opened)
      expect(found).toEqual([`${code} new ${key.balance_transaction_id}`])
      // A later week still tells it, and so does a proof of everything.
      await opened.run('reconcile', '--week', '2024-W13', '--as-of', '2024-03-27', '--plans')
      const later = await opened.report('2024-W13', 'discrepancies.csv')
      expect(later.map((row) => [row['code'], row['status']])).toEqual([[code, 'open']])
      await reconcile(opened, '2024-03-26', '--full')
      expect(await codes(opened)).toEqual(found)
    },
  )

  test('night by night the same sales are found as by looking at all of them at once', async () => {
    const world = smallWorld()
    const account = accountIn(world)
    for (const code of ['plan_not_offered', 'plan_amount', 'plan_not_offered'] as const) {
      plant(world, { code, period: WEEK })
    }
    const without = SANDBOX_OFFERS.filter(({ kind }) => kind !== 'P2X')
    account.offers = [
      { fromS: 0, offers: SANDBOX_OFFERS },
      { fromS: atMidnight('2024-03-20'), offers: without },
      { fromS: atMidnight('2024-03-23'), offers: SANDBOX_OFFERS },
    ]
    const opened = await open(world)
    const doubtful = async (): Promise<string[]> =>
      (
        await opened.database.db
          .select({ id: doubtfulSales.id })
          .from(doubtfulSales)
          .orderBy(doubtfulSales.id)
      ).map(({ id }) => id)
    for (const day of [18, 19, 20, 21, 22, 23, 24, 26, 27]) {
      world.nowS = atMidnight(`2024-03-${day}`) + 5.5 * 3600
      await reconcile(opened, `2024-03-${day}`)
    }
    const nightly = await doubtful()
    // Between the answers of the 20th and the 22nd P2X was not offered; those around it prove nothing.
    const inGap = account.rows.filter(
      ({ kind, created, payment_id: id }) =>
        kind === 'from_transaction' &&
        account.payments.get(id ?? '')?.kind === 'P2X' &&
        created >= atMidnight('2024-03-20') &&
        created < atMidnight('2024-03-22'),
    )
    expect(inGap.length).toBeGreaterThan(0)
    expect(nightly).toHaveLength(3 + inGap.length)
    expect(nightly).toEqual(expect.arrayContaining(inGap.map(({ id }) => id)))
    await reconcile(opened, '2024-03-27', '--offline', '--full')
    expect(await doubtful()).toEqual(nightly)
    const rows = await opened.report(WEEK, 'plans.csv')
    expect(rows.find(({ plan }) => plan === 'P2X')).toMatchObject({
      eligible: 'yes',
      since: '2024-03-23',
      previous: 'not offered: invalid_value',
    })
  })

  test('a payment that turns out to be in another plan is judged anew', async () => {
    const world = smallWorld()
    const { key } = plant(world, { code: 'plan_not_offered', period: WEEK })
    const opened = await open(world)
    for (const day of ['2024-03-18', '2024-03-24', '2024-03-26']) await reconcile(opened, day)
    expect(await codes(opened)).toHaveLength(1)
    const account = accountIn(world)
    const row = account.rows.find(({ id }) => id === key.balance_transaction_id)
    const payment = account.payments.get(row?.payment_id ?? '')
    if (payment === undefined) throw new Error('the sale has no payment')
    payment.kind = 'P1X'
    await reconcile(opened, '2024-03-27')
    expect(await codes(opened)).toEqual([])
    const [{ rows: left } = { rows: -1 }] = await opened.database.db.execute<{ rows: number }>(
      sql`select count(*)::int as rows from doubtful_sales`,
    )
    expect(left).toBe(0)
  })
})

test('plans.csv has every plan with its limits and what was sold, and sums to the sales of the week', async () => {
  const opened = await open()
  await reconcile(opened, '2024-03-26')
  const rows = await opened.report(WEEK, 'plans.csv')
  expect(rows.find(({ plan }) => plan === 'P10X')).toMatchObject({
    minimum: '550.00',
    eligible: 'yes',
    since: '2024-03-26',
  })
  const cents = (text = ''): number => Math.round(Number(text) * 100)
  const sums = (column: string): number => rows.reduce((sum, row) => sum + cents(row[column]), 0)
  const sales = accountIn(opened.sandbox.world).rows.filter(
    ({ kind, created }) =>
      kind === 'from_transaction' &&
      created >= atMidnight('2024-03-18') &&
      created < atMidnight('2024-03-25'),
  )
  expect(rows.reduce((sum, { sales: count }) => sum + Number(count), 0)).toBe(sales.length)
  expect(sums('gross')).toBe(sales.reduce((sum, { amount }) => sum + amount, 0))
  expect(sums('fees')).toBe(-sales.reduce((sum, { merchant_fee: fee }) => sum + fee, 0))
  const manifest = await opened.text(WEEK, 'manifest.json')
  expect(manifest).toContain('"name": "plans.csv"')
})

test('instalments that do not sum to the purchase are told, and the plan is named in the file', async () => {
  const opened = await open()
  const plan = { installments_count: 3, deferred_days: 0, deferred_months: 0 }
  const part = {
    purchase_amount: 3_333,
    customer_fee: 0,
    customer_interest: 0,
    total_amount: 3_333,
  }
  const body = [{ ...plan, eligible: true, payment_plan: [part, part, part] }]
  opened.sandbox.script({ path: ELIGIBILITY, fault: answering(200, body) })
  await reconcile(opened, '2024-03-24')
  const rows = await opened.report(WEEK, 'plans.csv')
  expect(rows.find(({ plan: name }) => name === 'P3X')).toMatchObject({
    eligible: 'yes',
    reason: 'instalments_differ',
  })
  expect(await opened.text(WEEK, 'summary.json')).toContain(
    'Alma states instalments that sum to 99.99 EUR',
  )
  expect(await codes(opened)).toEqual([])
})

describe('a merchant that may no longer create payments', () => {
  test('stands at the head of the mail, once', async () => {
    const world = smallWorld()
    const account = accountIn(world)
    account.offers = [{ fromS: 0, offers: SANDBOX_OFFERS, isStopped: true }]
    const opened = await open(world)
    server = await startMailServer()
    Object.assign(opened.env, {
      SMTP_URL: server.url,
      MAIL_FROM: 'night@shop.example',
      MAIL_TO: 'books@shop.example',
    })
    await reconcile(opened, '2024-03-26', '--mail')
    await reconcile(opened, '2024-03-27', '--mail')
    expect(server.mails.map(subjectOf)).toHaveLength(1)
    const text = server.mails[0] ?? ''
    expect(text.indexOf('No payments can be made')).toBeGreaterThan(0)
    expect(text.indexOf('No payments can be made')).toBeLessThan(text.indexOf('The proof'))
    expect(text).toContain('merchant_cant_create_payments')
    account.offers = []
    await reconcile(opened, '2024-03-28', '--mail')
    expect(server.mails).toHaveLength(2)
    expect(server.mails[1]).not.toContain('No payments can be made')
  })
})

describe('the provider’s own prices', () => {
  async function withProviderFees(world: SandboxWorld): Promise<Workshop> {
    const opened = await open(world)
    const { name, iban, apiKey } = accountIn(world)
    const file = join(opened.dir, 'entities.json')
    await writeFile(
      file,
      JSON.stringify([{ name, apiKeyEnv: 'KEY', ibans: [iban], fees: 'provider' }]),
    )
    Object.assign(opened.env, { ENTITIES_FILE: file, KEY: apiKey, FEE_VAT: 'excluded' })
    return opened
  }

  test('are read once a day, and a fee that is not theirs is found', async () => {
    const world = smallWorld()
    const { key } = plant(world, { code: 'fee_rate', period: WEEK })
    const opened = await withProviderFees(world)
    await reconcile(opened, '2024-03-18')
    expect(asked(opened)).toEqual([
      'POST /v2/payments/eligibility',
      'POST /v2/payments/eligibility',
      'GET /v1/me/fee-plans',
    ])
    await reconcile(opened, '2024-03-25')
    expect(await codes(opened)).toEqual([`fee_rate new ${key.balance_transaction_id}`])
    const [row] = await opened.report(WEEK, 'discrepancies.csv')
    expect(row?.['explanation']).toContain('its own fee plans of 2024-03-18 give')
    expect(row?.['difference']).toBe('1.50')
  })

  test('a change of price is no reason to doubt what was sold before it', async () => {
    const world = smallWorld()
    const account = accountIn(world)
    const dearer = SANDBOX_OFFERS.map((offer) => ({ ...offer, ratePercent: '9.90' }))
    account.offers = [
      { fromS: 0, offers: SANDBOX_OFFERS },
      { fromS: atMidnight('2024-03-25'), offers: dearer },
    ]
    const opened = await withProviderFees(world)
    for (const day of ['2024-03-18', '2024-03-24', '2024-03-25']) {
      world.nowS = atMidnight(day) + 5.5 * 3600
      await reconcile(opened, day)
    }
    expect(await codes(opened)).toEqual([])
  })

  test('an account that may not read them has its fees not compared', async () => {
    const world = smallWorld()
    plant(world, { code: 'fee_rate', period: WEEK })
    const opened = await withProviderFees(world)
    opened.sandbox.switches.feePlans = 'refused'
    await reconcile(opened, '2024-03-18')
    await reconcile(opened, '2024-03-25')
    expect(await codes(opened)).toEqual([])
    expect((await snapshotsIn(opened)).map(({ trouble }) => trouble)).toEqual([null, null])
  })
})
