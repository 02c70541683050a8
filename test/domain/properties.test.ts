import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addDays,
  dayCount,
  dayOfCount,
  dayOfInstant,
  parseDay,
  startOfDay,
  wallClock,
} from '../../src/domain/day.ts'
import type { Facts } from '../../src/domain/facts.ts'
import { formatAmount, parseAmount } from '../../src/domain/money.ts'
import { parsePeriod, periodContains, periodInstants, weekOf } from '../../src/domain/period.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import {
  businessDaysBetween,
  addBusinessDays,
  isBusinessDay,
} from '../../src/domain/target-calendar.ts'
import { factsOf } from './scenario.ts'

const anyDay = fc
  .integer({ min: dayCount(parseDay('1999-01-01')), max: dayCount(parseDay('2060-12-31')) })
  .map(dayOfCount)

describe('periods', () => {
  test('every day lies in its week, which prints and parses back', () => {
    fc.assert(
      fc.property(anyDay, (day) => {
        const week = weekOf(day)
        expect(periodContains(week, day)).toBe(true)
        expect(parsePeriod(week.label)).toEqual(week)
      }),
    )
  })

  test.each(['2020-W53', '2026-W53', '2024-W52'])('%s exists', (label) => {
    expect(weekOf(parsePeriod(label).first).label).toBe(label)
  })

  test.each([
    '2023-W53',
    '2024-W53',
    '2024-W00',
    '2024-W1',
    '2024-13',
    '2024-02-30_2024-03-01',
    '2024-03-02_2024-03-01',
  ])('%s is refused', (label) => {
    expect(() => parsePeriod(label)).toThrow()
  })

  test('consecutive weeks meet without gap or overlap, also when the clocks change', () => {
    fc.assert(
      fc.property(
        anyDay,
        fc.constantFrom('Europe/Paris', 'UTC', 'America/Sao_Paulo'),
        (day, zone) => {
          const week = weekOf(day)
          const next = weekOf(addDays(week.last, 1))
          expect(periodInstants(week, zone).endS).toBe(periodInstants(next, zone).startS)
        },
      ),
    )
  })

  test('a day begins at its own first second', () => {
    fc.assert(
      fc.property(anyDay, (day) => {
        const start = startOfDay(day, 'Europe/Paris')
        expect(dayOfInstant(start, 'Europe/Paris')).toBe(day)
        expect(dayOfInstant(start - 1, 'Europe/Paris')).toBe(addDays(day, -1))
      }),
    )
  })

  test('the weeks of the two clock changes are an hour short and an hour long', () => {
    const hours = (label: string): number => {
      const { startS, endS } = periodInstants(parsePeriod(label), 'Europe/Paris')
      return (endS - startS) / 3600
    }
    expect([hours('2024-W12'), hours('2024-W13'), hours('2024-W43')]).toEqual([168, 167, 169])
  })
})

describe('the TARGET calendar', () => {
  test.each([
    '2024-01-01',
    '2024-03-29',
    '2024-04-01',
    '2024-05-01',
    '2024-12-25',
    '2024-12-26',
    '2024-03-23',
  ])('closed on %s', (day) => {
    expect(isBusinessDay(parseDay(day))).toBe(false)
  })

  test.each(['2024-05-08', '2023-07-14', '2024-05-09', '2024-05-20', '2024-11-01', '2024-08-15'])(
    'open on %s, a holiday in France',
    (day) => {
      expect(isBusinessDay(parseDay(day))).toBe(true)
    },
  )

  test('adding business days and counting them agree', () => {
    fc.assert(
      fc.property(anyDay, fc.integer({ min: 0, max: 40 }), (day, days) => {
        const later = addBusinessDays(day, days)
        expect(isBusinessDay(later)).toBe(true)
        expect(businessDaysBetween(day, later)).toBe(days)
      }),
    )
  })
})

describe('days and clocks', () => {
  const zones = ['Europe/Paris', 'UTC', 'America/Sao_Paulo', 'Asia/Kathmandu', 'Pacific/Apia']

  test('are those that the platform shows, also on days when clocks change', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4_000_000_000 }),
        fc.constantFrom(...zones),
        (instant, zone) => {
          const shown = new Intl.DateTimeFormat('sv-SE', {
            timeZone: zone,
            dateStyle: 'short',
            timeStyle: 'medium',
          }).format(instant * 1000)
          expect(wallClock(instant, zone)).toBe(shown)
        },
      ),
    )
  })

  test('business days between two days are those that are counted one by one', () => {
    fc.assert(
      fc.property(anyDay, fc.integer({ min: 0, max: 500 }), (from, days) => {
        const to = addDays(from, days)
        let counted = 0
        for (let day = from; day < to; day = addDays(day, 1)) if (isBusinessDay(day)) counted += 1
        expect(businessDaysBetween(from, to)).toBe(counted)
        expect(businessDaysBetween(to, from)).toBe(counted === 0 ? 0 : -counted)
      }),
    )
  })
})

describe('amounts', () => {
  test('print and parse back in every currency', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }),
        fc.constantFrom('EUR', 'JPY', 'KWD', 'GBP'),
        (amountMinor, currency) => {
          expect(parseAmount(formatAmount(amountMinor, currency), currency)).toBe(amountMinor)
        },
      ),
    )
  })

  test.each(['1,00', '12.345', '1e5', '', '-', '1 000.00', '0x10', '١٢'])(
    '"%s" is refused',
    (text) => {
      expect(() => parseAmount(text, 'EUR')).toThrow()
    },
  )
})

/** Small worlds in which amounts repeat, references are there or not, and lines come at any time. */
const world = fc
  .array(
    fc.record({
      day: fc.integer({ min: 0, max: 20 }),
      amount: fc.constantFrom('10.00', '20.00', '33.10', '-7.00'),
      arrives: fc.option(fc.integer({ min: 0, max: 30 }), { nil: null }),
      reference: fc.constantFrom('whole', 'cut', 'none'),
      off: fc.constantFrom('0.00', '0.00', '0.00', '1.00'),
    }),
    { minLength: 1, maxLength: 9 },
  )
  .map((payouts) =>
    [
      ...payouts.flatMap(({ day, amount, arrives, reference, off }, at) => {
        const created = addDays(parseDay('2024-03-01'), day)
        const text = reference === 'whole' ? ` P${at}` : reference === 'cut' ? ` P${at}~12` : ''
        const booked = arrives === null ? null : addDays(created, arrives)
        const paid = formatAmount(parseAmount(amount, 'EUR') + parseAmount(off, 'EUR'), 'EUR')
        return [
          `adjust T${at} ${created} ${amount} -> P${at}`,
          `payout P${at} ${created} ${amount}`,
          ...(booked === null ? [] : [`bank B${at} ${booked} ${paid} ALMA${text}`]),
        ]
      }),
      'statement 2024-02-26 2024-04-30',
    ].join('\n'),
  )

function shuffled(facts: Facts, seed: number): Facts {
  // A fixed permutation of each list, different for each seed.
  const shuffle = <T>(items: readonly T[]): T[] =>
    items
      .map((item, at) => ({ item, rank: (at * 7919 + seed * 104_729) % 1009 }))
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ item }) => item)
  return {
    ...facts,
    entities: shuffle(facts.entities).map((entity) => ({
      ...entity,
      movements: shuffle(entity.movements),
      payouts: shuffle(entity.payouts),
      suspectRows: shuffle(entity.suspectRows),
      repeatedRows: shuffle(entity.repeatedRows),
      openRows: shuffle(entity.openRows),
      refundRows: shuffle(entity.refundRows),
      payments: shuffle(entity.payments),
    })),
    bank: { ...facts.bank, entries: shuffle(facts.bank.entries) },
  }
}

describe('a reconciliation', () => {
  test('says the same whatever the order of its input', () => {
    fc.assert(
      fc.property(world, fc.integer({ min: 1, max: 1000 }), (text, seed) => {
        const facts = factsOf(text, { period: '2024-03', asOf: '2024-05-15' })
        expect(reconcile(shuffled(facts, seed))).toEqual(reconcile(facts))
      }),
    )
  })

  test('ties, puts each payout into exactly one place, and passes over no line of the provider', () => {
    fc.assert(
      fc.property(world, (text) => {
        const facts = factsOf(text, { period: '2024-03', asOf: '2024-05-15' })
        const { controlFaults, settlements, discrepancies, matches } = reconcile(facts)
        expect(controlFaults).toEqual([])
        const { payouts } = facts.entities[0] ?? { payouts: [] }
        expect(settlements.map(({ payoutId }) => payoutId).toSorted()).toEqual(
          payouts.map(({ payoutId }) => payoutId).toSorted(),
        )
        const named = [
          ...matches.flatMap(({ bankEntryIds }) =>
            bankEntryIds.map((id) => `B${lineOf(facts, id)}`),
          ),
          ...discrepancies
            .filter(({ code }) =>
              [
                'deposit_unexpected',
                'debit_unexpected',
                'deposit_duplicate',
                'deposit_ambiguous',
                'deposit_amount',
                'deposit_returned',
              ].includes(code),
            )
            .map(({ bankReference }) => bankReference ?? ''),
        ]
        for (const entry of facts.bank.entries.filter(
          ({ bookingDay }) => bookingDay < '2024-04-01',
        )) {
          expect(
            named.filter((reference) => reference === entry.reference).length,
          ).toBeGreaterThanOrEqual(1)
        }
      }),
    )
  })

  test('a match that a report named is kept when its rows are learnt again', () => {
    fc.assert(
      fc.property(world, (text) => {
        const facts = factsOf(text, { period: '2024-03', asOf: '2024-05-15' })
        const first = reconcile(facts)
        const pinned = first.matches.map((match, at) => ({
          ...match,
          matchId: String(at),
          period: '2024-03',
        }))
        const again = reconcile({ ...facts, bank: { ...facts.bank, pinned } })
        expect(again.settlements).toEqual(first.settlements)
        expect(again.discrepancies).toEqual(first.discrepancies)
        expect(again.brokenPins).toEqual([])
      }),
    )
  })
})

function lineOf(facts: Facts, id: string): string {
  return facts.bank.entries.find((entry) => entry.id === id)?.reference.slice(1) ?? ''
}
