/**
 * Where the provider's documentation is silent the sandbox has a switch (see `switches.ts`). Under
 * each reading of it a clean world must be clean; and where the reading changes only how the
 * provider talks, not what happened, the reports must be the same to the byte.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { chanceOf } from '../../src/sandbox/chance.ts'
import type { SandboxSwitches } from '../../src/sandbox/switches.ts'
import { createWorld, type WorldOptions } from '../../src/sandbox/world.ts'
import { demoWorld, openShop, RECONCILE, undisturbed, WEEK } from './shop.ts'

/** Every switch with every value but those that stop the export from ever coming. */
const READINGS: { readonly [Name in keyof SandboxSwitches]: readonly SandboxSwitches[Name][] } = {
  latencyMs: [0, 1],
  charsetInContentType: [false, true],
  limitMin: [1, 20],
  limitOutOfRange: ['refuse', 'clamp'],
  createdRange: ['honoured', 'ignored'],
  unknownCursor: ['not_found', 'invalid', 'empty_page', 'lexicographic'],
  extraAttributes: [false, true],
  renamedKinds: [{}],
  exportPolls: [0, 1, 2],
  exportDelayMs: [0, 150],
  exportStuck: [false],
  exportDownload: ['url', 'format_only'],
  exportUrlLifetimeMs: [null, 5_000],
  exportCreatedStatus: [200, 201],
  exportEnd: ['exclusive', 'inclusive'],
  exportDelimiter: [',', ';'],
  exportBom: [false, true],
  exportApostrophe: ['straight', 'typographic'],
  exportExtraColumns: [false, true],
  exportPayoutRows: [true, false],
  exportRefundSign: ['signed', 'unsigned'],
  paymentsList: ['full', 'without_refunds', 'missing'],
  eligibility: ['full', 'missing'],
  feePlans: ['full', 'refused'],
}

/** Chosen so that together they show every value, and most pairs of values. */
const SEEDS = [17280, 17281, 17282, 17283, 17284, 17285]

function readings(seed: number): Partial<SandboxSwitches> {
  const chance = chanceOf(`switches/${seed}`)
  return Object.fromEntries(
    Object.entries(READINGS).map(([name, values]) => [
      name,
      values[chance.whole(0, values.length - 1)],
    ]),
  )
}

test('the seeds show every value of every switch', () => {
  const drawn = SEEDS.map(readings)
  for (const [name, values] of Object.entries(READINGS)) {
    for (const value of values) {
      const shown = drawn.some((some) =>
        Object.entries(some).some(([its, given]) => its === name && given === value),
      )
      expect(shown, `${name} ${JSON.stringify(value)}`).toBe(true)
    }
  }
})

describe('the sandbox’s switches, drawn together', () => {
  let expected: Record<string, string> = {}
  beforeAll(async () => {
    expected = await undisturbed()
  })

  test.each(SEEDS)(
    'seed %i: what is wrong in the demo’s world is told in the same bytes',
    async (seed) => {
      const shop = await openShop(demoWorld(), readings(seed))
      const run = await shop.runHere(...RECONCILE)
      expect(run, JSON.stringify(readings(seed))).toMatchObject({ exitCode: 0 })
      expect(await shop.csvs(WEEK), JSON.stringify(readings(seed))).toEqual(expected)
    },
  )
})

describe('what the provider does with fees and debts', () => {
  const worlds: WorldOptions[] = [
    { feeVat: 'included', refundFees: 'returned' },
    { feeVat: 'excluded', refundFees: 'returned_positive', negativeBalance: 'debit' },
    { feeVat: 'included', refundFees: 'kept', negativeBalance: 'wait', unreferencedShare: 1 },
    { feeVat: 'included', refundFees: 'returned_positive', unreferencedShare: 0, salesPerDay: 3 },
    { feeVat: 'excluded', refundFees: 'returned', negativeBalance: 'debit', salesPerDay: 1 },
  ]
  test.each(worlds.map((world, at) => [JSON.stringify(world), world, at] as const))(
    '%s: all clear',
    async (_, options, at) => {
      const shop = await openShop(createWorld({ ...options, seed: 30 + at }), readings(17280 + at))
      const month = ['--month', '2024-03', '--as-of', '2024-05-14', '--plans']
      const run = await shop.runHere('reconcile', ...month)
      expect(run).toMatchObject({ exitCode: 0, out: expect.stringContaining('All clear') })
      expect(await shop.rows('2024-03', 'discrepancies.csv')).toEqual([])
    },
  )
})

test('an export that never completes: exit 4, all else is stored, and the next run waits for the same one', async () => {
  const shop = await openShop(demoWorld(), { exportStuck: true })
  shop.env['EXPORT_TIMEOUT_SECONDS'] = '1'
  const stuck = await shop.runHere(...RECONCILE)
  expect(stuck).toMatchObject({ exitCode: 4, out: '' })
  expect(stuck.err).toMatch(/data export export_\w+ of default is not complete after 1 s/)
  expect(stuck.err).toContain('EXPORT_TIMEOUT_SECONDS')
  shop.sandbox.switches.exportStuck = false
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  const exports = shop.sandbox.requests.filter(
    ({ method, path }) => method === 'POST' && path === '/v1/data-exports',
  )
  expect(exports).toHaveLength(1)
  expect(await shop.csvs(WEEK)).toEqual(await undisturbed())
})

test('kinds under names that nobody knows are kept, counted and told', async () => {
  const shop = await openShop(createWorld(), { renamedKinds: { from_fee_waiver: 'from_gift' } })
  const from = ['--month', '2024-03', '--as-of', '2024-05-14']
  expect(await shop.runHere('reconcile', ...from)).toMatchObject({ exitCode: 0 })
  const found = await shop.rows('2024-03', 'discrepancies.csv')
  const gifts = (await shop.rows('2024-03', 'summary.csv')).find(({ line }) => line === 'from_gift')
  expect(found.length).toBeGreaterThan(0)
  expect(new Set(found.map(({ code }) => code))).toEqual(new Set(['line_unknown_kind']))
  expect(Number(gifts?.['rows'])).toBe(found.filter(({ status }) => status === 'new').length)
})
