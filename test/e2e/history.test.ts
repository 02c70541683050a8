/**
 * A database that saw every night and one that learns everything at once must tell the same of each
 * week: what a report says follows from facts, never from how often somebody looked.
 */
import { expect, test } from 'vitest'
import { addDays, type Day, parseDay, startOfDay } from '../../src/domain/day.ts'
import { weekOf } from '../../src/domain/period.ts'
import { writeBankFiles } from '../../src/sandbox/bank-files.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { openShop, type Shop } from './shop.ts'

const FIRST_NIGHT = parseDay('2024-03-19')
const LAST_NIGHT = parseDay('2024-04-11')
const WEEKS = ['2024-W11', '2024-W12', '2024-W13', '2024-W14']
/** Exports are ready when they are asked for: nobody waits through three weeks of them. */
const AT_ONCE = { exportPolls: 0 }
const ZONE = 'Europe/Paris'

/** A small shop with breaks in three weeks, some of which heal while the nights go by. */
function troubledWorld(): SandboxWorld {
  const world = createWorld({ seed: 5, salesPerDay: 4, from: '2024-03-04', to: '2024-04-05' })
  for (const [code, period] of [
    ['deposit_late', '2024-W11'],
    ['deposit_late', '2024-W12'],
    ['deposit_missing', '2024-W12'],
    ['deposit_amount', '2024-W13'],
    ['deposit_returned', '2024-W13'],
    ['deposit_unexpected', '2024-W12'],
    ['refund_not_deducted', '2024-W11'],
    ['refund_amount', '2024-W12'],
    ['line_not_paid_out', '2024-W12'],
    ['line_arithmetic', '2024-W13'],
    ['payout_residual', '2024-W11'],
  ] as const) {
    plant(world, { code, period })
  }
  return world
}

/** The early morning of a day: what happened before is known to the provider and to the bank. */
function morningOf(day: Day): number {
  return startOfDay(day, ZONE) + 5 * 3600
}

async function night(shop: Shop, day: Day, week: string): Promise<void> {
  shop.sandbox.world.nowS = morningOf(day)
  await writeBankFiles(shop.sandbox.world, shop.inbox)
  const run = await shop.runHere('reconcile', '--week', week, '--as-of', day)
  expect(run, `the night of ${day}`).toMatchObject({ exitCode: 0 })
}

test('every night of three weeks, and all of it at once: the same bytes for each week', async () => {
  const nightly = await openShop(troubledWorld(), AT_ONCE)
  for (let day = FIRST_NIGHT; day < LAST_NIGHT; day = addDays(day, 1)) {
    await night(nightly, day, weekOf(addDays(day, -1)).label)
  }
  const fresh = await openShop(troubledWorld(), AT_ONCE)
  for (const week of WEEKS) {
    await night(nightly, LAST_NIGHT, week)
    await night(fresh, LAST_NIGHT, week)
    expect(await nightly.csvs(week), week).toEqual(await fresh.csvs(week))
  }
  // The same facts, the weeks looked at in another order.
  const backwards = await openShop(troubledWorld(), AT_ONCE)
  for (const week of WEEKS.toReversed()) {
    await night(backwards, LAST_NIGHT, week)
    expect(await backwards.csvs(week), week).toEqual(await fresh.csvs(week))
  }
  // And what was wrong is there to be told.
  const codes = new Set(
    (await Promise.all(WEEKS.map((week) => fresh.rows(week, 'discrepancies.csv')))).flatMap(
      (rows) => rows.map(({ code }) => code),
    ),
  )
  expect(codes).toEqual(
    new Set([
      'deposit_late',
      'deposit_missing',
      'deposit_amount',
      'deposit_returned',
      'deposit_unexpected',
      'refund_not_deducted',
      'refund_amount',
      'line_not_paid_out',
      'line_arithmetic',
      'payout_residual',
    ]),
  )
}, 120_000)

test('late money: open while it is missing, cleared in the week in which it comes, late in its own', async () => {
  const world = createWorld({ seed: 5, salesPerDay: 4, from: '2024-03-04', to: '2024-04-05' })
  const { key } = plant(world, { code: 'deposit_late', period: '2024-W11' })
  const shop = await openShop(world)
  const told = async (week: string) =>
    (await shop.rows(week, 'discrepancies.csv')).map(({ code, status, payout_id }) => [
      code,
      status,
      payout_id,
    ])
  const seen: Record<string, unknown> = {}
  for (const day of ['2024-03-25', '2024-04-14'] as const) {
    for (const week of ['2024-W11', '2024-W12', '2024-W13']) {
      if (weekOf(parseDay(day)).label <= week) continue
      await night(shop, parseDay(day), week)
      seen[`${week} as of ${day}`] = await told(week)
    }
  }
  const payout = key.payout_id
  expect(seen).toMatchObject({
    '2024-W11 as of 2024-04-14': [['deposit_late', 'new', payout]],
  })
  const [cleared] = Object.values(seen)
    .flat()
    .filter((row) => JSON.stringify(row).includes('cleared'))
  expect(cleared).toEqual(['deposit_missing', 'cleared', payout])
})

test('LEDGER_SINCE: what lies before is not guessed at, what comes after is found, and the head says so', async () => {
  const world = createWorld({ salesPerDay: 6 })
  const planted = [
    plant(world, { code: 'deposit_missing', period: '2024-W13' }),
    plant(world, { code: 'payout_residual', period: '2024-W14' }),
  ]
  const shop = await openShop(world, AT_ONCE)
  shop.env['LEDGER_SINCE'] = '2024-03-13'
  const run = await shop.runHere('reconcile', '--month', '2024-03', '--as-of', '2024-05-14')
  expect(run).toMatchObject({ exitCode: 0, out: expect.stringMatching(/^! .*2024-03-13/m) })
  const april = await shop.runHere('reconcile', '--week', '2024-W14', '--as-of', '2024-05-14')
  expect(april).toMatchObject({ exitCode: 0 })
  const found = await shop.rows('2024-W14', 'discrepancies.csv')
  expect(found.map(({ code, payout_id }) => ({ code, payout_id }))).toEqual(
    planted.map(({ code, key }) => ({ code, payout_id: key.payout_id })),
  )
  expect(await shop.rows('2024-03', 'discrepancies.csv')).toMatchObject([
    { code: 'deposit_missing', status: 'new' },
  ])
})
