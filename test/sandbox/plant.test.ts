import { describe, expect, test } from 'vitest'
import { dayOfInstant, parseDay, startOfDay } from '../../src/domain/day.ts'
import { DISCREPANCY_CODES } from '../../src/domain/reconciliation.ts'
import { bankFileOf } from '../../src/sandbox/bank-files.ts'
import { plant, plantDemo, type Planted, type PlantedCode } from '../../src/sandbox/plant.ts'
import { SANDBOX_PLANS } from '../../src/sandbox/plans.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { audit } from './audit.ts'
import { firstAccount } from './support.ts'

const SEEDS = [12, 1, 2, 3, 4]

const worlds = SEEDS.map((seed) =>
  createWorld({ seed, from: '2024-03-04', to: '2024-04-05', accounts: ['default', 'other'] }),
)

/** What the audit must find for a break, in its words. */
function expected({ code, key }: Planted, world: SandboxWorld): string[] {
  if (code === 'statement_gap' || code === 'statement_balance') {
    const found = audit(world)
    const day = parseDay(found[0]?.split(' ')[1] ?? '')
    const bank = world.bankAccounts[0]
    expect(bank === undefined ? '' : bankFileOf(bank, day).name).toBe(key.bank_file)
    return [`${code} ${day}`]
  }
  return [[code, ...Object.values(key)].join(' ')]
}

const LOOKED_AT_ONCE = DISCREPANCY_CODES.filter(
  (code): code is Exclude<PlantedCode, 'line_changed' | 'line_vanished'> =>
    ![
      'late_change',
      'line_changed',
      'line_vanished',
      'fee_rate',
      'plan_not_offered',
      'plan_amount',
      'deposit_ambiguous',
    ].includes(code),
)

describe('a break', () => {
  test.each(SEEDS.map((seed, at) => [seed, at]))(
    'is nowhere in a clean world: seed %i',
    (_, at) => {
      expect(audit(structuredClone(worlds[at]) ?? createWorld())).toEqual([])
    },
  )

  test.each(LOOKED_AT_ONCE)('%s is the one that is found', (code) => {
    for (const clean of worlds) {
      const world = structuredClone(clean)
      const planted = plant(world, code)
      expect(planted).toMatchObject({ code, entity: 'default' })
      expect(audit(world)).toEqual(expected(planted, world))
      expect(planted.story).toMatch(/^[A-Z0-9].*\.$/)
    }
  })

  test('fee_rate takes more than the contract allows, and the payout is as much smaller', () => {
    for (const clean of worlds) {
      const world = structuredClone(clean)
      const id = plant(world, 'fee_rate').key.balance_transaction_id
      expect(audit(world)).toEqual([])
      const account = firstAccount(world)
      const wrong = account.rows.filter(
        ({ kind, payment_id: paymentId, amount, merchant_fee: fee }) => {
          const payment = account.payments.get(paymentId ?? '')
          const plan = SANDBOX_PLANS.find((any) => any.kind === payment?.kind)
          const expectedFee = (amount * Number(plan?.ratePercent ?? 0)) / 100
          return kind === 'from_transaction' && Math.abs(fee - expectedFee) > 1
        },
      )
      expect(wrong.map((row) => row.id)).toEqual([id])
    }
  })

  test('deposit_ambiguous leaves two payouts of one amount, and a credit that shows only what their ids share', () => {
    for (const clean of worlds) {
      const world = structuredClone(clean)
      const { key } = plant(world, 'deposit_ambiguous')
      const [found = '', ...others] = audit(world)
      expect([found.split(' ')[0], others]).toEqual(['deposit_missing', []])
      const line = world.bankAccounts[0]?.lines.find(
        ({ bankReference }) => bankReference === key.bank_reference,
      )
      const payouts = firstAccount(world).rows.filter(({ payout_id: id }) =>
        line?.remittance.endsWith(id?.slice(0, 19).toUpperCase() ?? 'none'),
      )
      expect(payouts.map(({ amount }) => -amount)).toEqual([line?.amountMinor, line?.amountMinor])
      expect(payouts.map(({ payout_id: id }) => id)).toContain(found.split(' ')[1])
    }
  })

  test('line_duplicate can be a refund that was deducted twice', () => {
    for (const clean of worlds) {
      const world = structuredClone(clean)
      const { key } = plant(world, { code: 'line_duplicate', variant: 'refund' })
      expect(audit(world)).toEqual([])
      const refunds = firstAccount(world).rows.filter(({ kind }) => kind === 'from_refund')
      const seen = new Set<string | null>()
      const again = refunds.filter(({ refund_id: id }) => seen.has(id) || !seen.add(id))
      expect(again.map(({ id }) => id)).toEqual([key.balance_transaction_id])
    }
  })

  test('deposit_ambiguous merged leaves four payouts, two pairs of which come to the one credit', () => {
    for (const clean of worlds) {
      const world = structuredClone(clean)
      const { key } = plant(world, { code: 'deposit_ambiguous', variant: 'merged' })
      const found = audit(world)
      expect(found.map((finding) => finding.split(' ')[0])).toEqual([
        ...Array.from({ length: 4 }, () => 'deposit_missing'),
        'deposit_unexpected',
      ])
      expect(found.at(-1)).toBe(`deposit_unexpected ${key.bank_reference ?? ''}`)
      const missing = found.slice(0, 4).map((finding) => finding.split(' ')[1])
      const [a = 0, b = 0, c = 0, d = 0] = missing.map(
        (id) => firstAccount(world).rows.find((row) => row.payout_id === id)?.amount,
      )
      expect(a + b).toBe(c + d)
    }
  })

  test('lies in the period and at the account that are asked for', () => {
    const world = structuredClone(worlds[0]) ?? createWorld()
    const planted = plant(world, { code: 'deposit_missing', period: '2024-W13', entity: 'other' })
    expect(planted.entity).toBe('other')
    const payout = world.accounts[1]?.rows.find((row) => row.payout_id === planted.key.payout_id)
    const day = dayOfInstant(payout?.created ?? 0, 'Europe/Paris')
    expect(day >= '2024-03-25' && day <= '2024-03-31').toBe(true)
  })

  test('is refused where nothing could break that way', () => {
    const world = createWorld()
    expect(() => plant(world, 'deposit_wrong_account')).toThrow('no second account')
    expect(() => plant(world, 'line_vanished')).toThrow('nowS')
    expect(() => plant(world, { code: 'deposit_missing', period: '2023-W01' })).toThrow('2023-W01')
    expect(() => plant(world, { code: 'deposit_missing', entity: 'nobody' })).toThrow('nobody')
  })
})

describe('a break between two looks', () => {
  const wednesdayNoon = startOfDay(parseDay('2024-03-20'), 'Europe/Paris') + 12 * 3600

  test('line_changed strikes a row that no payout had taken yet, and the payout follows', () => {
    const world = structuredClone(worlds[0]) ?? createWorld()
    const before = new Map(structuredClone(firstAccount(world).rows).map((row) => [row.id, row]))
    world.nowS = wednesdayNoon
    const { key } = plant(world, 'line_changed')
    expect(audit(world)).toEqual([])
    const shown = firstAccount(world).rows.filter(({ created }) => created <= wednesdayNoon)
    const changed = shown.filter((row) => before.get(row.id)?.net_amount !== row.net_amount)
    expect(changed.map(({ id }) => id)).toEqual([key.balance_transaction_id])
  })

  test('line_vanished likewise', () => {
    const world = structuredClone(worlds[0]) ?? createWorld()
    const before = firstAccount(world).rows.map(({ id }) => id)
    world.nowS = wednesdayNoon
    const { key } = plant(world, 'line_vanished')
    expect(audit(world)).toEqual([])
    const after = new Set(firstAccount(world).rows.map(({ id }) => id))
    expect(before.filter((id) => !after.has(id))).toEqual([key.balance_transaction_id])
  })

  test('without a clock line_changed strikes gross and fee alike, so that all sums stay', () => {
    const world = structuredClone(worlds[0]) ?? createWorld()
    const before = structuredClone(firstAccount(world).rows)
    const { key } = plant(world, 'line_changed')
    expect(audit(world)).toEqual([])
    const changed = firstAccount(world).rows.filter((row, at) => row.amount !== before[at]?.amount)
    expect(changed.map(({ id }) => id)).toEqual([key.balance_transaction_id])
  })
})

describe('the demo', () => {
  test('has eight breaks in its week and an older one, each found once', () => {
    const world = createWorld()
    const planted = plantDemo(world)
    expect(planted).toHaveLength(9)
    expect(new Set(audit(world))).toEqual(
      new Set(planted.flatMap(({ code, key }) => [code, ...Object.values(key)].join(' '))),
    )
  })

  test('lets a stranger credit what the missing payout should have brought', () => {
    const world = createWorld()
    const missing = plantDemo(world).find(({ code }) => code === 'deposit_missing')
    expect(missing?.story).toContain('PALMA HOTELS')
  })

  test('stands for several accounts of many seeds as well', () => {
    for (const seed of SEEDS) expect(plantDemo(createWorld({ seed }))).toHaveLength(9)
  })
})
