import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dayOfInstant, parseDay, weekday } from '../../src/domain/day.ts'
import { businessDaysBetween, isBusinessDay } from '../../src/domain/target-calendar.ts'
import { createWorld, type SandboxAccount, type SandboxRow } from '../../src/sandbox/world.ts'
import { firstAccount } from './support.ts'

const ZONE = 'Europe/Paris'

const dayOf = (row: { created: number }) => dayOfInstant(row.created, ZONE)

const isPayout = (row: SandboxRow): boolean => row.kind === 'from_payout'

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** Worlds of every option, small enough to look at many. */
const worlds = fc
  .record({
    seed: fc.nat(),
    from: fc.constantFrom('2024-02-26', '2023-12-18', '2024-10-21', '2024-04-27'),
    salesPerDay: fc.integer({ min: 1, max: 12 }),
    feeVat: fc.constantFrom('excluded', 'included'),
    refundFees: fc.constantFrom('kept', 'returned', 'returned_positive'),
    negativeBalance: fc.constantFrom('wait', 'debit'),
  })
  .map(({ from, ...options }) => {
    const to = new Date(Date.parse(from) + 24 * 86_400_000).toISOString().slice(0, 10)
    return createWorld({ ...options, from, to, accounts: ['north', 'south'] })
  })

function inEachAccount(holds: (account: SandboxAccount) => void): void {
  fc.assert(
    fc.property(worlds, (world) => {
      for (const account of world.accounts) holds(account)
    }),
    { numRuns: 15 },
  )
}

describe('every world', () => {
  test('has ids of the provider’s form that sort as things were made', () => {
    inEachAccount(({ rows, payments }) => {
      for (const { id } of rows) expect(id).toMatch(/^balance_txn_[0-9A-Za-z]{34}$/)
      for (const list of [rows, [...payments.values()]]) {
        list.reduce((earlier: { id: string; created: number } | undefined, later) => {
          if (earlier !== undefined) {
            expect(earlier.id < later.id).toBe(true)
            expect(earlier.created).toBeLessThanOrEqual(later.created)
          }
          return later
        }, undefined)
      }
      const refunds = rows.flatMap(({ refund_id: id }) => id ?? [])
      expect(refunds).toEqual(refunds.toSorted())
    })
  })

  test('tells its payouts apart by their first twelve characters, whatever their case', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const starts = world.accounts
          .flatMap(({ rows }) => rows)
          .flatMap(({ payout_id: id }) => id?.slice('payout_'.length, 19).toUpperCase() ?? [])
        expect(new Set(starts).size).toBe(starts.length)
      }),
      { numRuns: 15 },
    )
  })

  test('adds up: net is gross less fee, and signs follow the kind', () => {
    inEachAccount(({ rows }) => {
      for (const row of rows) {
        const turned = row.kind === 'from_refund' && row.merchant_fee > 0
        expect(row.net_amount).toBe(row.amount + (turned ? row.merchant_fee : -row.merchant_fee))
        if (row.kind === 'from_refund') expect(row.amount).toBeLessThan(0)
        else if (!isPayout(row)) expect(row.amount).toBeGreaterThan(0)
        expect(Number.isSafeInteger(row.amount)).toBe(true)
      }
    })
  })

  test('pays every row out once, exactly, on a business day, when its money was available', () => {
    inEachAccount(({ rows }) => {
      const payouts = new Map(rows.filter(isPayout).map((row) => [row.payout_id, row]))
      const owed = new Map<string | null, number>()
      for (const row of rows.filter((any) => !isPayout(any))) {
        const payout = payouts.get(row.included_in_payout_id)
        expect(payout).toBeDefined()
        expect(row.created).toBeLessThanOrEqual(payout?.created ?? 0)
        expect(row.available_on).toBeLessThanOrEqual(payout?.created ?? 0)
        expect(row.updated).toBe(payout?.created)
        owed.set(
          row.included_in_payout_id,
          (owed.get(row.included_in_payout_id) ?? 0) + row.net_amount,
        )
      }
      for (const [id, payout] of payouts) {
        expect((owed.get(id) ?? 0) + payout.net_amount).toBe(0)
        expect(payout.net_amount).not.toBe(0)
        expect(isBusinessDay(dayOf(payout))).toBe(true)
        expect(payout.included_in_payout_id).toBeNull()
      }
    })
  })

  test('lets no row wait so long that it would be reported', () => {
    inEachAccount(({ rows }) => {
      const paidOn = new Map(rows.filter(isPayout).map((row) => [row.payout_id, dayOf(row)]))
      for (const row of rows.filter((any) => !isPayout(any))) {
        const paid = paidOn.get(row.included_in_payout_id)
        const available = dayOfInstant(row.available_on, ZONE)
        expect(businessDaysBetween(available, paid ?? available)).toBeLessThanOrEqual(10)
      }
    })
  })

  test('has each refund on its payment and in its ledger, and none beyond the purchase', () => {
    inEachAccount(({ rows, payments }) => {
      const deducted = new Map(
        rows.filter(({ kind }) => kind === 'from_refund').map((row) => [row.refund_id, row]),
      )
      const refunds = [...payments.values()].flatMap((payment) =>
        payment.refunds.map((refund) => ({ ...refund, payment })),
      )
      expect(refunds.length).toBe(deducted.size)
      for (const { id, amount, created, payment } of refunds) {
        expect(deducted.get(id)).toMatchObject({
          amount: -amount,
          created,
          payment_id: payment.id,
        })
        expect(created).toBeGreaterThanOrEqual(payment.created)
      }
      for (const payment of payments.values()) {
        expect(sum(payment.refunds.map(({ amount }) => amount))).toBeLessThanOrEqual(
          payment.purchase_amount,
        )
      }
    })
  })

  test('brings each payout to the bank one or two business days later, and covers its window', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        world.accounts.forEach((account, index) => {
          const bank = world.bankAccounts[index]
          const payouts = account.rows.filter(isPayout)
          const deposits = bank?.lines.filter(({ payoutId }) => payoutId !== undefined) ?? []
          expect(deposits.length).toBe(payouts.length)
          for (const payout of payouts) {
            const deposit = deposits.find(({ payoutId }) => payoutId === payout.payout_id)
            expect(deposit?.amountMinor).toBe(-payout.amount)
            const lag = businessDaysBetween(dayOf(payout), parseDay(deposit?.bookingDay ?? ''))
            expect([1, 2]).toContain(lag)
            expect(
              businessDaysBetween(dayOf(payout), parseDay(bank?.lastDay ?? '')),
            ).toBeGreaterThan(5)
          }
        })
      }),
      { numRuns: 15 },
    )
  })

  test('marks the provider’s bank lines as the provider’s, and no other', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        for (const line of world.bankAccounts.flatMap(({ lines }) => lines)) {
          const looksLike = /\bALMA\b/i.test(`${line.counterpartyName} ${line.remittance}`)
          expect(looksLike).toBe(line.payoutId !== undefined)
          expect(isBusinessDay(parseDay(line.bookingDay))).toBe(true)
        }
      }),
      { numRuns: 15 },
    )
  })
})

describe('the default world', () => {
  const world = createWorld()
  const account = firstAccount(world)
  const payments = [...account.payments.values()]
  const ofKind = (kind: string) => account.rows.filter((row) => row.kind === kind)

  test('is the same every time', () => {
    expect(createWorld()).toEqual(world)
    expect(createWorld({ seed: 13 })).not.toEqual(world)
  })

  test('has hundreds of payments on six plans, fee waivers and an adjustment', () => {
    expect(payments.length).toBeGreaterThan(400)
    expect(new Set(payments.map(({ kind }) => kind))).toEqual(
      new Set(['P2X', 'P3X', 'P4X', 'P10X', 'P1X_D+15', 'P1X_D+30']),
    )
    expect(ofKind('from_fee_waiver').length).toBeGreaterThan(3)
    expect(ofKind('from_adjustment')).toHaveLength(1)
  })

  test('has partial refunds, several on one payment, and refunds in a later week than the sale', () => {
    const refunded = payments.filter(({ refunds }) => refunds.length > 0)
    const partial = refunded.filter(
      ({ refunds, purchase_amount: purchase }) => sum(refunds.map((r) => r.amount)) < purchase,
    )
    expect(partial.length).toBeGreaterThan(5)
    expect(refunded.filter(({ refunds }) => refunds.length > 1).length).toBeGreaterThan(2)
    const later = refunded.filter(({ created, refunds }) =>
      refunds.some((refund) => refund.created - created > 7 * 86_400),
    )
    expect(later.length).toBeGreaterThan(3)
  })

  test('has a business day on which refunds exceeded sales, so that nothing was paid out', () => {
    const paid = new Set(ofKind('from_payout').map(dayOf))
    const unpaid = ['2024-03-04', '2024-03-05', '2024-03-06', '2024-03-07', '2024-03-08']
      .map(parseDay)
      .filter((day) => !paid.has(day))
    expect(unpaid).toEqual(['2024-03-08'])
  })

  test('pays nothing out on Good Friday, Easter Monday and weekends, and on all five days of W12', () => {
    const days = ofKind('from_payout').map(dayOf)
    expect(days).not.toContain('2024-03-29')
    expect(days).not.toContain('2024-04-01')
    expect(days.every((day) => weekday(day) <= 5)).toBe(true)
    expect(days.filter((day) => day >= '2024-03-18' && day <= '2024-03-24')).toHaveLength(5)
  })

  test('has payouts shortly after midnight in Paris, on the day before in UTC', () => {
    const acrossMidnight = ofKind('from_payout').filter(
      (row) => dayOf(row) !== dayOfInstant(row.created, 'UTC'),
    )
    expect(acrossMidnight.length).toBeGreaterThan(3)
  })

  test('has other business at the bank: look-alikes, and a stranger’s credit of a payout’s amount', () => {
    const lines = world.bankAccounts[0]?.lines ?? []
    const names = new Set(lines.map(({ counterpartyName }) => counterpartyName))
    for (const name of ['PALMA HOTELS', 'ALMAZ SARL', 'MONEXT ACQUISITION', 'SALAIRES']) {
      expect(names).toContain(name)
    }
    const paid = new Set(lines.flatMap((line) => (line.payoutId ? [line.amountMinor] : [])))
    const traps = lines.filter((line) => !line.payoutId && paid.has(line.amountMinor))
    expect(traps).toHaveLength(2)
  })

  test('names its payouts at the bank whole, cut, in capitals, over two pieces, or not at all', () => {
    const deposits = world.bankAccounts[0]?.lines.filter((line) => line.payoutId) ?? []
    const styles = deposits.map(({ remittance, payoutId = '' }) => {
      if (remittance.includes(payoutId)) return 'whole'
      if (remittance.includes(payoutId.toUpperCase())) return 'capitals'
      if (remittance.replaceAll('\n', '').includes(payoutId)) return 'broken'
      return remittance.includes(payoutId.slice(7, 19).toUpperCase()) ? 'cut' : 'none'
    })
    expect(new Set(styles)).toEqual(new Set(['whole', 'capitals', 'broken', 'cut', 'none']))
  })
})

test('a world of two accounts keeps them apart: keys, banks, merchants', () => {
  const { accounts, bankAccounts } = createWorld({ accounts: ['north', 'south'], salesPerDay: 2 })
  const distinct = (texts: string[]) => expect(new Set(texts).size).toBe(2)
  distinct(accounts.map(({ apiKey }) => apiKey))
  distinct(accounts.map(({ merchantId }) => merchantId))
  distinct(bankAccounts.map(({ iban }) => iban))
  for (const { apiKey } of accounts) expect(apiKey).toMatch(/^sk_test_[0-9A-Za-z]{24}$/)
})

test('a provider that debits pays negative balances out at once', () => {
  const { accounts, bankAccounts } = createWorld({ negativeBalance: 'debit' })
  const debits = accounts.flatMap(({ rows }) =>
    rows.filter((row) => isPayout(row) && row.amount > 0),
  )
  expect(debits.length).toBeGreaterThan(0)
  const booked = bankAccounts.flatMap(({ lines }) =>
    lines.filter((line) => line.payoutId !== undefined && line.amountMinor < 0),
  )
  expect(booked.map(({ amountMinor }) => -amountMinor)).toEqual(debits.map(({ amount }) => amount))
})
