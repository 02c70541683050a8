/**
 * What events are for: `reconcile --touched` reads what they and the open rows ask for, between two
 * nights. And what they are not: a night that never heard of any comes to the same bytes.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { findTouchedPayments, lastEventNumber, saveEvents } from '../../db/events.ts'
import { providerEvents } from '../../db/schema.ts'
import { addDays, type Day, parseDay, startOfDay } from '../../src/domain/day.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

const ZONE = 'Europe/Paris'
const WEEK = '2024-W12'

const shops: Workshop[] = []
afterEach(async () => {
  await Promise.all(shops.splice(0).map((shop) => shop.close()))
})

async function open(world: SandboxWorld): Promise<Workshop> {
  const shop = await openWorkshop(world)
  shops.push(shop)
  return shop
}

/** The provider's and the bank's clock. */
async function setClock(shop: Workshop, day: Day, hours: number): Promise<void> {
  shop.sandbox.world.nowS = startOfDay(day, ZONE) + hours * 3_600
  await shop.writeBank()
}

async function succeed(shop: Workshop, ...argv: string[]): Promise<string> {
  const { exitCode, out, err } = await shop.run(...argv)
  if (exitCode !== 0) throw new Error(`${argv.join(' ')} ended with ${exitCode}: ${err}`)
  return out
}

/** The provider tells of payments, as `listen` stores it. */
async function tellOf(shop: Workshop, paymentIds: readonly string[]): Promise<void> {
  await saveEvents(
    shop.database.db,
    paymentIds.map((paymentId) => ({
      entity: 'default',
      eventKey: `ipn ${paymentId}`,
      source: 'ipn',
      type: 'ipn',
      paymentId,
    })),
  )
}

/** Payments of which a sale happened since an instant, by the provider's clock. */
function soldSince({ sandbox: { world } }: Workshop, sinceS: number): string[] {
  return [...(world.accounts[0]?.payments.values() ?? [])]
    .filter(({ created }) => created >= sinceS && created <= (world.nowS ?? Infinity))
    .map(({ id }) => id)
}

const WEDNESDAY = parseDay('2024-03-20')

/** A week in progress: the night before Wednesday was made, and it is Wednesday noon. */
async function openOnWednesday(world = createWorld()): Promise<Workshop> {
  const shop = await open(world)
  await setClock(shop, WEDNESDAY, 5.5)
  await succeed(shop, 'nightly', '--as-of', WEDNESDAY)
  await setClock(shop, WEDNESDAY, 18)
  shop.sandbox.requests.length = 0
  return shop
}

const paths = ({ sandbox }: Workshop): string[] => sandbox.requests.map(({ path }) => path)
const lookedAt = (shop: Workshop): string[] =>
  paths(shop).flatMap((path) => /^\/v1\/payments\/(.+)$/.exec(path)?.[1] ?? [])

describe('reconcile --touched', () => {
  test('looks at the payments that were told of and no others, and at no list of payments', async () => {
    const shop = await openOnWednesday()
    const { accounts } = shop.sandbox.world
    const told = soldSince(shop, startOfDay(WEDNESDAY, ZONE)).slice(0, 3)
    expect(told).toHaveLength(3)
    await tellOf(shop, told)
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    const refunds = (accounts[0]?.rows ?? []).filter(({ kind }) => kind === 'from_refund')
    const ofRefunds = new Set(refunds.map(({ payment_id: id }) => id))
    const asked = lookedAt(shop)
    for (const id of told) expect(asked).toContain(id)
    expect(asked.filter((id) => !told.includes(id) && !ofRefunds.has(id))).toEqual([])
    expect(paths(shop)).not.toContain('/v1/payments')
    // What was followed is not followed again.
    shop.sandbox.requests.length = 0
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    for (const id of told) expect(lookedAt(shop)).not.toContain(id)
  })

  test('brings the report of the week in progress up to date without a period being named', async () => {
    const shop = await openOnWednesday()
    const before = await shop.report(WEEK, 'open_items.csv')
    const [sale = ''] = soldSince(shop, startOfDay(WEDNESDAY, ZONE) + 6 * 3_600)
    const row = shop.sandbox.world.accounts[0]?.rows.find(({ payment_id: id }) => id === sale)
    await tellOf(shop, [sale])
    expect(await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)).toContain(WEEK)
    const after = await shop.report(WEEK, 'open_items.csv')
    expect(before.map(({ id }) => id)).not.toContain(row?.id)
    expect(after.map(({ id }) => id)).toContain(row?.id)
  })

  test('takes far fewer requests than a night', async () => {
    const world = createWorld({ salesPerDay: 150, from: '2024-03-04', to: '2024-03-24' })
    const shop = await openOnWednesday(world)
    await tellOf(shop, soldSince(shop, startOfDay(WEDNESDAY, ZONE)).slice(0, 1))
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    const touched = paths(shop).filter((path) => path.startsWith('/v1/payments')).length
    shop.sandbox.requests.length = 0
    await succeed(shop, 'nightly', '--as-of', WEDNESDAY)
    const night = paths(shop).filter((path) => path.startsWith('/v1/payments')).length
    expect({ touched, night }).toMatchObject({ night: expect.any(Number) })
    expect(touched * 2).toBeLessThan(night)
  })

  test('a row of a payment that was told of is read again although a payout has it', async () => {
    const shop = await openOnWednesday()
    const rows = shop.sandbox.world.accounts[0]?.rows ?? []
    const paid = rows.filter(
      (row) =>
        row.kind === 'from_transaction' &&
        row.created >= startOfDay(parseDay('2024-03-18'), ZONE) &&
        row.created < startOfDay(parseDay('2024-03-19'), ZONE),
    )
    const [changed] = paid
    if (changed === undefined) throw new Error('a sale was expected')
    changed.amount += 100
    changed.net_amount += 100
    await tellOf(shop, [changed.payment_id ?? ''])
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    const found = await shop.report(WEEK, 'discrepancies.csv')
    expect(
      found
        .filter(({ code }) => code === 'line_changed')
        .map(({ balance_transaction_id: id }) => id),
    ).toEqual([changed.id])
  })

  test('asks nothing of a payment that is not in the ledger: somebody else’s, or none', async () => {
    const shop = await openOnWednesday()
    await tellOf(shop, ['payment_of_somebody_else', '../../v1/me', "payment_1' or '1"])
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    expect(paths(shop).filter((path) => /somebody|\/me$|payment_1/.test(path))).toEqual([])
  })

  test('looks again at payments with a refund that is still open', async () => {
    const world = createWorld({ from: '2024-03-11', to: '2024-03-29' })
    const shop = await open(world)
    const { key } = plant(world, { code: 'refund_not_deducted', period: '2024-W11' })
    const [waiting] = [...(world.accounts[0]?.payments.values() ?? [])].filter(({ refunds }) =>
      refunds.some(({ id }) => id === key.refund_id),
    )
    await setClock(shop, WEDNESDAY, 5.5)
    await succeed(shop, 'nightly', '--as-of', WEDNESDAY)
    shop.sandbox.requests.length = 0
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    expect(lookedAt(shop)).toContain(waiting?.id)
    expect(paths(shop)).not.toContain('/v1/payments')
  })

  test('asks nothing of a payment that a night would not look at any more', async () => {
    const world = createWorld({ from: '2023-11-01', to: '2024-03-24', salesPerDay: 1 })
    const shop = await openOnWednesday(world)
    const [old] = world.accounts[0]?.payments.values() ?? []
    if (old === undefined) throw new Error('the world has no payment')
    const refundedS = startOfDay(WEDNESDAY, ZONE) + 3_600
    old.refunds.push({
      id: 'refund_late',
      created: refundedS,
      amount: 100,
      merchant_reference: null,
    })
    await tellOf(shop, [old.id])
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    expect(lookedAt(shop)).not.toContain(old.id)
  })

  test('with --dry-run leaves the events as they were', async () => {
    const shop = await openOnWednesday()
    const told = soldSince(shop, startOfDay(WEDNESDAY, ZONE)).slice(0, 2)
    await tellOf(shop, told)
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY, '--dry-run')
    expect(lookedAt(shop)).toEqual(expect.arrayContaining(told))
    shop.sandbox.requests.length = 0
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    expect(lookedAt(shop)).toEqual(expect.arrayContaining(told))
  })

  test.each([
    [['--offline'], '--touched and --offline'],
    [['--workers', '2'], '--touched and --workers'],
    [['--from', '2024-03-18'], '--to is missing'],
  ])('with %s is a fault of usage', async (more, words) => {
    const shop = await open(createWorld({ from: '2024-03-18', to: '2024-03-18', salesPerDay: 1 }))
    expect(await shop.run('reconcile', '--touched', ...more)).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining(words),
    })
  })
})

describe('events are hints', () => {
  /** Three nights and what lies between them. */
  async function live(shop: Workshop, between: (day: Day) => Promise<void>): Promise<void> {
    for (const day of [0, 1, 2].map((after) => addDays(WEDNESDAY, after))) {
      await setClock(shop, day, 5.5)
      await succeed(shop, 'nightly', '--as-of', day)
      await setClock(shop, day, 12)
      await between(day)
    }
    const last = parseDay('2024-03-25')
    await setClock(shop, last, 5.5)
    await succeed(shop, 'nightly', '--as-of', last)
  }

  function eventfulWorld(): SandboxWorld {
    const world = createWorld({ from: '2024-03-11', to: '2024-03-29' })
    for (const code of [
      'refund_amount',
      'refund_unknown',
      'refund_not_deducted',
      'refund_exceeds_payment',
      'line_duplicate',
      'export_differs',
    ] as const) {
      plant(world, { code, period: WEEK })
    }
    return world
  }

  test('nights without a single event, and with any number of them and what they ask for, come to the same bytes', async () => {
    const quiet = await open(eventfulWorld())
    await live(quiet, () => Promise.resolve())
    const expected = await quiet.reportTexts(WEEK)

    const told = await open(eventfulWorld())
    const everything = [...(told.sandbox.world.accounts[0]?.payments.keys() ?? [])]
    await live(told, async (day) => {
      // Of old payments, of those to come, of each one twice, and of some that are none.
      await tellOf(told, [...everything, `payment_made_up_on_${day}`])
      await succeed(told, 'reconcile', '--touched', '--as-of', day)
      await tellOf(told, everything)
    })
    expect(await told.reportTexts(WEEK)).toEqual(expected)
    expect(expected['discrepancies.csv']?.split('\n').length).toBeGreaterThan(5)

    const onlyHeard = await open(eventfulWorld())
    await live(onlyHeard, () => tellOf(onlyHeard, everything))
    expect(await onlyHeard.reportTexts(WEEK)).toEqual(expected)
  }, 120_000)

  test('an event that comes while its payment is being read waits for the next run', async () => {
    const shop = await openOnWednesday()
    const [early = '', late = ''] = soldSince(shop, startOfDay(WEDNESDAY, ZONE))
    await tellOf(shop, [early])
    const coming: Promise<void>[] = []
    shop.sandbox.script({
      path: new RegExp(early),
      fault: {
        do: 'mutate',
        change: () => {
          coming.push(tellOf(shop, [late]))
        },
      },
    })
    await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
    await Promise.all(coming)
    const { db } = shop.database
    const bounds = { startS: 0, endS: 4_000_000_000, limit: 10 }
    const upToNumber = await lastEventNumber(db, 'default')
    expect(await findTouchedPayments(db, 'default', { ...bounds, upToNumber })).toEqual([late])
  })

  test('an IPN of a payment that was followed before marks it anew: it looks like the first one', async () => {
    const shop = await openOnWednesday()
    const [payment = ''] = soldSince(shop, startOfDay(WEDNESDAY, ZONE))
    for (let times = 0; times < 3; times += 1) {
      await tellOf(shop, [payment])
      await tellOf(shop, [payment])
      shop.sandbox.requests.length = 0
      await succeed(shop, 'reconcile', '--touched', '--as-of', WEDNESDAY)
      expect(lookedAt(shop).filter((id) => id === payment)).toEqual([payment])
    }
    expect(await shop.database.db.$count(providerEvents)).toBe(3)
  })
})
