/** Plans as the provider told of them, and sales against them. */
import { describe, expect, test } from 'vitest'
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import { type Day, parseDay, startOfDay } from '../../src/domain/day.ts'
import type { PlanFacts, PlannedSale } from '../../src/domain/facts.ts'
import { parsePeriod } from '../../src/domain/period.ts'
import {
  bracketsOf,
  comparePlans,
  faultOfSale,
  judgePlans,
  nameOfPlan,
  type PlanAnswer,
  type PlanOffer,
  type PlanSnapshot,
  questionAbout,
  sellingStopSentence,
  snapshotOf,
  termsOfPlan,
  untoldSnapshot,
} from '../../src/domain/plans.ts'

const ZONE = 'Europe/Paris'
const DAY = parseDay('2024-03-20')

function offer(plan: string, given: Partial<PlanOffer> = {}): PlanOffer {
  return {
    plan,
    isOffered: true,
    minimumMinor: 5_000n,
    maximumMinor: 200_000n,
    reasons: [],
    price: null,
    ...given,
  }
}

const refused = (plan: string, ...reasons: string[]): PlanOffer =>
  offer(plan, { isOffered: false, minimumMinor: null, maximumMinor: null, reasons })

function told(day: string, offers: readonly PlanOffer[], asked: readonly string[] = []) {
  return { day: parseDay(day), trouble: null, offers, asked, remarks: [] } satisfies PlanSnapshot
}

/** At noon. */
function sale(day: string, plan: string, amountMinor = 12_000n, feeMinor = 456n): PlannedSale {
  const createdS = startOfDay(parseDay(day), ZONE) + 12 * 3600
  const row: BalanceTransaction = {
    id: `balance_txn_${day}_${plan}`,
    merchantId: null,
    kind: 'from_transaction',
    currency: 'EUR',
    amountMinor,
    feeMinor,
    netMinor: amountMinor - feeMinor,
    paymentId: `payment_${day}_${plan}`,
    refundId: null,
    payoutId: null,
    includedInPayoutId: null,
    createdS,
    updatedS: null,
    availableOnS: null,
  }
  return { row, plan, purchaseMinor: amountMinor }
}

const rules = { zone: ZONE, feeCheck: null }
const codeOf = (one: PlannedSale, snapshots: readonly PlanSnapshot[]): string | null =>
  faultOfSale(one, bracketsOf(snapshots), rules)?.code ?? null

function judged(given: Partial<PlanFacts>, period = '2024-W12') {
  return judgePlans(
    { snapshots: [], sold: [], doubtful: [], feeCheck: null, ...given },
    {
      entity: 'shop',
      policy: { zone: ZONE, matchWindowDays: 5, lateWindowDays: 20, unpaidAfterDays: 10 },
      period: parsePeriod(period),
      currency: 'EUR',
    },
  )
}

describe('names of plans', () => {
  test.each(['P1X', 'P3X', 'P10X', 'P1X_D+30', 'P1X_M+1', 'P3X_D+15_M+2'])(
    '%s is what its terms are named',
    (plan) => {
      const terms = termsOfPlan(plan)
      expect(terms && nameOfPlan(terms)).toBe(plan)
    },
  )

  test.each(['', 'p3x', 'P3', 'P3X+30', 'P3X_D+', 'gift'])('"%s" stands for no terms', (plan) => {
    expect(termsOfPlan(plan)).toBeNull()
  })

  test('are in order of instalments, then of how long they are put off', () => {
    const plans = ['other', 'P10X', 'P1X_M+1', 'P3X', 'P1X_D+30', 'P1X', 'P1X_D+15', 'P2X', 'gift']
    expect(plans.toSorted(comparePlans)).toEqual([
      'P1X',
      'P1X_D+15',
      'P1X_D+30',
      'P1X_M+1',
      'P2X',
      'P3X',
      'P10X',
      'gift',
      'other',
    ])
  })
})

describe('what is asked', () => {
  test('the plans that were sold, at the least and the largest purchase of all', () => {
    const sold = [
      { plan: 'P10X', leastMinor: 60_000n, mostMinor: 230_000n },
      { plan: 'P2X', leastMinor: 6_000n, mostMinor: 39_000n },
      { plan: null, leastMinor: 3_500n, mostMinor: 3_500n },
      { plan: 'gift', leastMinor: 9_000n, mostMinor: 9_000n },
    ]
    expect(questionAbout(sold)).toEqual({
      discoveryMinor: 230_000n,
      queryMinor: 3_500n,
      plans: ['P2X', 'P10X'],
    })
  })

  test('a usual amount where nothing was sold', () => {
    expect(questionAbout([])).toEqual({ discoveryMinor: 10_000n, queryMinor: 10_000n, plans: [] })
  })

  test('forty plans at most, each once', () => {
    const sold = Array.from({ length: 200 }, (_, at) => ({
      plan: `P${(at % 100) + 1}X`,
      leastMinor: 1n,
      mostMinor: 2n,
    }))
    const { plans } = questionAbout(sold)
    expect(plans).toHaveLength(40)
    expect(new Set(plans).size).toBe(40)
  })
})

describe('what the answers come to', () => {
  const answer = (given: Partial<PlanAnswer>): PlanAnswer => ({
    terms: { installments: 3, deferredDays: 0, deferredMonths: 0 },
    isEligible: false,
    purchaseMinor: 10_000n,
    minimumMinor: null,
    maximumMinor: null,
    refusals: [],
    costMinor: null,
    instalments: [],
    ...given,
  })
  const snapshot = (answers: readonly PlanAnswer[], asked: readonly string[] = []) =>
    snapshotOf({ day: DAY, currency: 'EUR', answers, asked, feePlans: null })
  const ofPlan = (...answers: readonly PlanAnswer[]) => snapshot(answers).offers[0]

  test('a plan that takes the amount is offered, with limits from the answer that did not', () => {
    const outside = answer({
      purchaseMinor: 900_000n,
      minimumMinor: 5_000n,
      maximumMinor: 200_000n,
      refusals: [{ field: 'purchase_amount', code: 'invalid_value' }],
    })
    expect(ofPlan(outside, answer({ isEligible: true }))).toEqual(offer('P3X'))
  })

  test.each([
    ['the amount alone', [{ field: 'purchase_amount', code: 'invalid_value' }], true],
    ['an amount out of bounds, in a list of codes', [{ field: null, code: 'invalid_value' }], true],
    ['the merchant', [{ field: 'merchant', code: 'merchant_cant_create_payments' }], false],
    ['the plan', [{ field: 'installments_count', code: 'invalid_value' }], false],
  ] as const)('refused for %s', (_, refusals, isOffered) => {
    const found = ofPlan(answer({ minimumMinor: 20_000n, maximumMinor: 50_000n, refusals }))
    expect(found?.isOffered).toBe(isOffered)
    expect(found?.reasons).toEqual(isOffered ? [] : refusals.map(({ code }) => code))
  })

  test('a refusal without any reason or limit is one', () => {
    expect(ofPlan(answer({}))).toEqual(refused('P3X'))
  })

  test('a plan that was asked for and not answered is not offered', () => {
    const { offers, asked } = snapshot([answer({ isEligible: true })], ['P4X', 'P3X'])
    expect(asked).toEqual(['P3X', 'P4X'])
    expect(offers.map(({ plan, isOffered }) => [plan, isOffered])).toEqual([
      ['P3X', true],
      ['P4X', false],
    ])
  })

  const instalment = (
    purchaseMinor: bigint,
    feeMinor = 0n,
    totalMinor = purchaseMinor + feeMinor,
  ) => ({
    purchaseMinor,
    feeMinor,
    interestMinor: 0n,
    totalMinor,
  })
  const eligible = (instalments: PlanAnswer['instalments'], costMinor: bigint | null = null) =>
    snapshot([answer({ isEligible: true, instalments, costMinor })])

  test('instalments that sum to the purchase, with their costs, are right', () => {
    const { remarks, offers } = eligible(
      [instalment(3_334n, 150n), instalment(3_333n), instalment(3_333n)],
      150n,
    )
    expect([remarks, offers[0]?.reasons]).toEqual([[], []])
  })

  test.each([
    [
      'a cent too much',
      [instalment(3_334n), instalment(3_334n), instalment(3_333n)],
      null,
      '100.01 EUR',
    ],
    [
      'a total that is not its parts',
      [instalment(10_000n, 0n, 10_100n)],
      null,
      '101.00 EUR in all',
    ],
    ['another total cost', [instalment(10_000n, 150n)], 140n, 'a total cost of 1.40 EUR'],
  ])('instalments with %s are told', (_, instalments, cost, words) => {
    const { remarks, offers } = eligible(instalments, cost)
    expect(remarks).toHaveLength(1)
    expect(remarks[0]).toContain(words)
    expect(offers[0]).toMatchObject({ isOffered: true, reasons: ['instalments_differ'] })
  })
})

describe('a sale', () => {
  const none = [told('2024-03-18', [offer('P3X')]), told('2024-03-25', [refused('P12X')], ['P12X'])]

  test('in a plan that neither answer around it offers is not offered', () => {
    expect(codeOf(sale('2024-03-20', 'P12X'), none)).toBe('plan_not_offered')
  })

  test('in a plan that one of the two offers is in order: it may have been offered by then', () => {
    const opened = [
      told('2024-03-20', [offer('P3X')], ['P12X']),
      told('2024-03-21', [offer('P12X')]),
    ]
    expect(codeOf(sale('2024-03-20', 'P12X'), opened)).toBeNull()
    const withdrawn = [told('2024-03-20', [offer('P12X')]), told('2024-03-21', [refused('P12X')])]
    expect(codeOf(sale('2024-03-20', 'P12X'), withdrawn)).toBeNull()
  })

  test('in a plan that nobody asked about is not judged by what the provider lists by itself', () => {
    const listed = [told('2024-03-18', [offer('P3X')]), told('2024-03-25', [offer('P3X')])]
    expect(codeOf(sale('2024-03-20', 'P12X'), listed)).toBeNull()
  })

  test.each([
    ['there is no answer yet after it', ['2024-03-18', '2024-03-20']],
    ['there is none before it', ['2024-03-21', '2024-03-25']],
    ['the one before is too old', ['2024-03-12', '2024-03-21']],
    ['the one after is too far', ['2024-03-20', '2024-03-28']],
  ])('is not judged where %s', (_, days) => {
    const snapshots = days.map((day) => told(day, [refused('P12X')], ['P12X']))
    expect(codeOf(sale('2024-03-20', 'P12X'), snapshots)).toBeNull()
  })

  test('is judged up to seven days from the answers, over days on which the provider was silent', () => {
    const snapshots = [
      told('2024-03-13', [refused('P12X')], ['P12X']),
      untoldSnapshot(parseDay('2024-03-21'), 'HTTP 500'),
      told('2024-03-27', [refused('P12X')], ['P12X']),
    ]
    expect(codeOf(sale('2024-03-20', 'P12X'), snapshots)).toBe('plan_not_offered')
  })

  const limited = [told('2024-03-18', [offer('P3X')]), told('2024-03-25', [offer('P3X')])]
  test.each([
    [4_999n, 'plan_amount'],
    [5_000n, null],
    [200_000n, null],
    [200_001n, 'plan_amount'],
  ])('of %s cents against limits of 50.00 to 2000.00: %s', (amountMinor, code) => {
    expect(codeOf(sale('2024-03-20', 'P3X', amountMinor), limited)).toBe(code)
  })

  test('is within the limits if either answer has it so, or states none', () => {
    const raised = [
      told('2024-03-18', [offer('P3X', { maximumMinor: 100_000n })]),
      told('2024-03-25', [offer('P3X', { maximumMinor: 300_000n })]),
    ]
    expect(codeOf(sale('2024-03-20', 'P3X', 250_000n), raised)).toBeNull()
    expect(codeOf(sale('2024-03-20', 'P3X', 300_001n), raised)).toBe('plan_amount')
    const unknown = [
      told('2024-03-18', [offer('P3X', { minimumMinor: null, maximumMinor: null })]),
      told('2024-03-25', [offer('P3X')]),
    ]
    expect(codeOf(sale('2024-03-20', 'P3X', 300_001n), unknown)).toBeNull()
  })

  describe('with the provider’s own prices', () => {
    const at = (basisPoints: number, fixedMinor = 0n) =>
      offer('P3X', { price: { basisPoints, fixedMinor } })
    const feeFault = (
      feeMinor: bigint,
      vat: 'included' | 'excluded' | null,
      prices: readonly PlanOffer[] = [at(380), at(380)],
    ) => {
      const snapshots = prices.map((price, index) =>
        told(`2024-03-${index === 0 ? 18 : 25}`, [price]),
      )
      return faultOfSale(sale('2024-03-20', 'P3X', 12_000n, feeMinor), bracketsOf(snapshots), {
        zone: ZONE,
        feeCheck: { vat },
      })
    }
    const RIGHT = 456n
    const WITH_VAT = 547n

    test.each([
      [RIGHT, 'excluded', null],
      [RIGHT + 1n, 'excluded', null],
      [RIGHT + 2n, 'excluded', RIGHT],
      [WITH_VAT, 'excluded', RIGHT],
      [WITH_VAT, 'included', null],
      [RIGHT, 'included', WITH_VAT],
      [RIGHT, null, null],
      [WITH_VAT, null, null],
      [600n, null, WITH_VAT],
    ] as const)('a fee of %s cents where VAT is %s: expected %s', (fee, vat, expected) => {
      const fault = feeFault(fee, vat)
      expect(fault?.code === 'fee_rate' ? fault.expectedFeeMinor : null).toBe(expected)
    })

    test('the price before and the price after a change are both right, a third is not', () => {
      const changed = [at(380), at(420, 25n)]
      expect(feeFault(456n, 'excluded', changed)).toBeNull()
      expect(feeFault(529n, 'excluded', changed)).toBeNull()
      expect(feeFault(500n, 'excluded', changed)?.code).toBe('fee_rate')
    })

    test('is not compared where no price was read', () => {
      expect(feeFault(1n, 'excluded', [offer('P3X'), offer('P3X')])).toBeNull()
    })
  })
})

describe('the report', () => {
  const sold = (plan: string | null, sales: number, grossMinor: bigint, feesMinor: bigint) => ({
    plan,
    currency: 'EUR',
    sales,
    grossMinor,
    feesMinor,
  })

  test('has a row for each plan that is offered or sold, sales without one last', () => {
    const { rows } = judged({
      snapshots: [told('2024-03-20', [offer('P3X'), refused('P10X', 'invalid_value')])],
      sold: [
        sold('P2X', 2, 20_000n, 555n),
        sold(null, 1, 5_000n, 0n),
        sold('P3X', 3, 30_000n, 1_140n),
      ],
    })
    expect(
      rows.map((row) => [row.plan, row.isOffered, row.sales, row.feesMinor, row.feeRate]),
    ).toEqual([
      ['P2X', null, 2, -555n, 278n],
      ['P3X', true, 3, -1_140n, 380n],
      ['P10X', false, 0, 0n, null],
      [null, null, 1, 0n, 0n],
    ])
  })

  test('tells since when a plan is as it is, and how it was', () => {
    const [row] = judged({
      snapshots: [
        told('2024-03-10', [offer('P3X', { maximumMinor: 100_000n })]),
        told('2024-03-14', [offer('P3X')]),
        told('2024-03-16', [offer('P3X', { minimumMinor: null, maximumMinor: null })]),
        told('2024-03-20', [offer('P3X')]),
      ],
    }).rows
    expect(row).toMatchObject({
      minimumMinor: 5_000n,
      maximumMinor: 200_000n,
      since: '2024-03-14',
      previous: 'offered, 50.00 to 1000.00 EUR',
    })
  })

  test('of a week shows its last answer, or else the first after it, or the last before it', () => {
    const shown = (...days: string[]): Day | null | undefined =>
      judged({
        snapshots: days.map((day, at) =>
          told(day, [offer('P3X', { maximumMinor: BigInt(at + 6_000) })]),
        ),
      }).rows[0]?.since
    expect(shown('2024-03-17', '2024-03-19', '2024-03-23', '2024-03-26')).toBe('2024-03-23')
    expect(shown('2024-03-17', '2024-03-26', '2024-03-27')).toBe('2024-03-26')
    expect(shown('2024-03-16', '2024-03-17', '2024-04-20')).toBe('2024-03-17')
    expect(shown('2024-02-01', '2024-04-20', '2024-04-21')).toBe('2024-04-20')
    expect(shown('2024-02-01')).toBeUndefined()
  })

  test('names a sale once, however often the ledger has it', () => {
    const first = sale('2024-03-20', 'P12X')
    const again = {
      ...first,
      row: { ...first.row, id: 'balance_txn_again', createdS: first.row.createdS + 60 },
    }
    const { findings } = judged({
      snapshots: [
        told('2024-03-18', []),
        told('2024-03-25', [refused('P12X', 'invalid_value')], ['P12X']),
      ],
      doubtful: [again, first],
    })
    expect(findings.map(({ code, key }) => [code, key])).toEqual([
      ['plan_not_offered', first.row.id],
    ])
    expect(findings[0]?.explanation).toBe(
      'The sale payment_2024-03-20_P12X of 120.00 EUR is in plan P12X, which this account did not offer: Alma said so on 2024-03-18 and on 2024-03-25 (invalid_value).',
    )
  })

  const stopped = (day: string) => told(day, [refused('P3X', 'merchant_cant_create_payments')])

  test('says since when nothing may be sold, and no word that changes from day to day', () => {
    const { stops } = judged({
      snapshots: [told('2024-03-17', [offer('P3X')]), stopped('2024-03-18'), stopped('2024-03-19')],
    })
    expect(stops).toEqual([{ entity: 'shop', since: '2024-03-18' }])
    expect(stops.map(sellingStopSentence)).toEqual([
      'Alma does not let shop create payments (merchant_cant_create_payments, since 2024-03-18): nothing can be sold with it. Ask Alma what is missing, and take the plans out of the shop until then.',
    ])
  })

  test('takes a refusal to answer that says so for the same, and any other for nothing', () => {
    const silent = untoldSnapshot(parseDay('2024-03-20'), 'HTTP 500')
    const said = untoldSnapshot(parseDay('2024-03-20'), 'HTTP 400: merchant_cant_create_payments')
    expect(judged({ snapshots: [told('2024-03-19', [offer('P3X')]), silent] }).stops).toEqual([])
    expect(judged({ snapshots: [told('2024-03-19', [offer('P3X')]), said] }).stops).toHaveLength(1)
    expect(
      judged({ snapshots: [stopped('2024-03-19'), told('2024-03-20', [offer('P3X')])] }).stops,
    ).toEqual([])
  })

  test('is empty where nothing is watched', () => {
    expect(judged({})).toEqual({ findings: [], rows: [], stops: [], remarks: [] })
  })
})
