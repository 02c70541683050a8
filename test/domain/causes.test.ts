/**
 * One cause, one row. For each pair of the table both are planted, the cause by itself and what
 * follows from it, and the report holds one row that names the other. The same echo without its cause
 * is a finding of its own, so that no pair passes because its echo was never there.
 */
import { describe, expect, test } from 'vitest'
import { ECHOES, withoutEchoes } from '../../src/domain/causes.ts'
import { parseDay, startOfDay } from '../../src/domain/day.ts'
import type { ClosedPeriod, Facts, LateRow } from '../../src/domain/facts.ts'
import type { Finding } from '../../src/domain/findings.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import type { DiscrepancyCode } from '../../src/domain/reconciliation.ts'
import { factsOf, findingsOf, type ScenarioOptions } from './scenario.ts'

const COVERED = 'statement 2024-03-01 2024-05-10'
const LATE: ScenarioOptions = { asOf: '2024-05-13' }
const PAID = `payout P1 2024-03-19 100.00 \n bank B1 2024-03-20 100.00 ALMA P1 \n ${COVERED}`

interface Pair {
  readonly cause: string
  readonly echo: string
  /** Both, as they come together. */
  readonly given: string
  /** The echo without its cause. */
  readonly alone: string
}

/** A sale of 103.00 with a fee of 3.00 that P1 pays: what the pairs change. */
const SALE = 'sale T1 2024-03-18 103.00 fee 3.00 -> P1'

const pairs: readonly Pair[] = [
  {
    cause: 'line_changed',
    echo: 'export_differs',
    given: `${SALE} \n was T1 amount 104.00 fee 4.00 \n ${PAID} \n export \n exported T1 gross 104.00 fee 4.00`,
    alone: `${SALE} \n ${PAID} \n export \n exported T1 gross 104.00 fee 4.00`,
  },
  {
    cause: 'line_changed',
    echo: 'vat_mismatch',
    given: `${SALE} \n was T1 amount 104.00 fee 4.00 \n ${PAID} \n export \n exported T1 vat 0.90 \n ${othersExported()}`,
    alone: `${SALE} \n ${PAID} \n export \n exported T1 vat 0.90 \n ${othersExported()}`,
  },
  {
    cause: 'line_changed',
    echo: 'fee_rate',
    given: `${SALE} \n was T1 amount 102.06 fee 2.06 \n ${PAID} \n fees 2.00`,
    alone: `${SALE} \n ${PAID} \n fees 2.00`,
  },
  {
    cause: 'line_changed',
    echo: 'line_not_paid_out',
    given: `sale T1 2024-03-18 103.00 fee 3.00 \n was T1 -> P1 \n sale T2 2024-03-18 103.00 fee 3.00 -> P1 \n ${PAID}`,
    alone: `sale T1 2024-03-18 103.00 fee 3.00 \n sale T2 2024-03-18 103.00 fee 3.00 -> P1 \n ${PAID}`,
  },
  {
    cause: 'line_changed',
    echo: 'line_arithmetic',
    given: `sale T1 2024-03-18 103.00 fee 2.00 net 100.00 -> P1 \n was T1 fee 3.00 \n ${PAID}`,
    alone: `sale T1 2024-03-18 103.00 fee 2.00 net 100.00 -> P1 \n ${PAID}`,
  },
  {
    cause: 'line_changed',
    echo: 'line_sign',
    given: `sale T1 2024-03-18 -103.00 fee -203.00 net 100.00 -> P1 \n was T1 amount 103.00 fee 3.00 \n ${PAID}`,
    alone: `sale T1 2024-03-18 -103.00 fee -203.00 net 100.00 -> P1 \n ${PAID}`,
  },
  {
    cause: 'line_changed',
    echo: 'line_unknown_kind',
    given: `row T1 from_loan 2024-03-18 100.00 -> P1 \n was T1 kind from_adjustment \n ${PAID}`,
    alone: `row T1 from_loan 2024-03-18 100.00 -> P1 \n ${PAID}`,
  },
  {
    cause: 'line_changed',
    echo: 'line_duplicate',
    given: `sale T0 2024-03-18 50.00 pay S9 -> P1 \n sale T1 2024-03-19 50.00 pay S9 -> P1 \n was T1 pay S8 \n ${PAID}`,
    alone: `sale T0 2024-03-18 50.00 pay S9 -> P1 \n sale T1 2024-03-19 50.00 pay S9 -> P1 \n ${PAID}`,
  },
  {
    cause: 'line_vanished',
    echo: 'payout_unknown',
    given: `${SALE} \n gone payout P1 2024-03-19 100.00 \n bank B1 2024-03-20 100.00 ALMA P1 \n ${COVERED}`,
    alone: `${SALE} \n bank B1 2024-03-20 100.00 ALMA P1 \n ${COVERED}`,
  },
  {
    cause: 'line_arithmetic',
    echo: 'export_differs',
    given: `sale T1 2024-03-18 103.00 fee 2.00 net 100.00 -> P1 \n ${PAID} \n export \n exported T1 fee 3.00`,
    alone: `${SALE} \n ${PAID} \n export \n exported T1 fee 4.00`,
  },
  {
    cause: 'line_arithmetic',
    echo: 'vat_mismatch',
    given: `sale T1 2024-03-18 103.00 fee 2.00 net 100.00 -> P1 \n ${PAID} \n export \n exported T1 vat 0.90 \n ${othersExported()}`,
    alone: `${SALE} \n ${PAID} \n export \n exported T1 vat 0.90 \n ${othersExported()}`,
  },
  {
    cause: 'line_arithmetic',
    echo: 'fee_rate',
    given: `sale T1 2024-03-18 103.00 fee 2.00 net 100.00 -> P1 \n ${PAID} \n fees 2.91`,
    alone: `${SALE} \n ${PAID} \n fees 2.00`,
  },
  {
    cause: 'line_sign',
    echo: 'export_differs',
    given: `sale T1 2024-03-18 -97.00 fee 3.00 net -100.00 -> P1 \n sale T2 2024-03-18 200.00 -> P1 \n ${PAID} \n export \n exported T1 gross 97.00 net 100.00`,
    alone: `${SALE} \n ${PAID} \n export \n exported T1 gross 97.00`,
  },
  {
    cause: 'line_sign',
    echo: 'fee_rate',
    given: `sale T1 2024-03-18 -97.00 fee 3.00 net -100.00 -> P1 \n sale T2 2024-03-18 206.19 fee 6.19 -> P1 \n ${PAID} \n fees 3.00`,
    alone: `${SALE} \n ${PAID} \n fees 2.00`,
  },
  {
    cause: 'line_unknown_kind',
    echo: 'export_lacks',
    given: `row T1 from_loan 2024-03-18 100.00 -> P1 \n ${PAID} \n export \n unexported T1`,
    alone: `${SALE} \n ${PAID} \n export \n unexported T1`,
  },
  {
    cause: 'line_unknown_kind',
    echo: 'export_differs',
    given: `row T1 from_loan 2024-03-18 100.00 -> P1 \n ${PAID} \n export \n exported T1 fee 1.00`,
    alone: `${SALE} \n ${PAID} \n export \n exported T1 fee 1.00`,
  },
  {
    cause: 'line_unknown_kind',
    echo: 'line_not_paid_out',
    given: `row T1 from_reserve 2024-03-18 -10.00`,
    alone: `adjust T1 2024-03-18 -10.00`,
  },
  {
    cause: 'line_unknown_kind',
    echo: 'refund_unknown',
    given: `row T1 from_dispute 2024-03-18 -10.00 R1 pay S1 \n bought S1 50.00`,
    alone: `refund T1 2024-03-18 -10.00 R1 pay S1 -> P1 \n payout P1 2024-03-19 -10.00 \n bank B1 2024-03-20 -10.00 ALMA P1 \n ${COVERED} \n bought S1 50.00`,
  },
  {
    cause: 'line_unknown_kind',
    echo: 'refund_without_payment',
    given: `row T1 from_dispute 2024-03-18 -10.00 R1 pay S1 \n nopayment S1`,
    alone: `refund T1 2024-03-18 -10.00 R1 pay S1 -> P1 \n payout P1 2024-03-19 -10.00 \n bank B1 2024-03-20 -10.00 ALMA P1 \n ${COVERED} \n nopayment S1`,
  },
  {
    cause: 'line_unknown_kind',
    echo: 'refund_amount',
    given: `row T1 from_dispute 2024-03-18 -10.00 R1 pay S1 \n asked R1 2024-03-18 12.00 on S1 of 50.00`,
    alone: `refund T1 2024-03-18 -10.00 R1 pay S1 -> P1 \n payout P1 2024-03-19 -10.00 \n bank B1 2024-03-20 -10.00 ALMA P1 \n ${COVERED} \n asked R1 2024-03-18 12.00 on S1 of 50.00`,
  },
  {
    cause: 'line_duplicate',
    echo: 'export_lacks',
    given: `${twice('-> P1')} \n ${PAID} \n export \n unexported T2`,
    alone: `${SALE} \n ${PAID} \n export \n unexported T1`,
  },
  {
    cause: 'line_duplicate',
    echo: 'export_differs',
    given: `${twice('-> P1')} \n ${PAID} \n export \n exported T2 gross 52.00`,
    alone: `${SALE} \n ${PAID} \n export \n exported T1 gross 52.00`,
  },
  {
    cause: 'line_duplicate',
    echo: 'fee_rate',
    given: `sale T1 2024-03-18 51.50 fee 1.50 pay S1 -> P1 \n sale T2 2024-03-19 51.50 fee 3.00 pay S1 -> P1 \n adjust T3 2024-03-19 1.50 -> P1 \n ${PAID} \n fees 2.91`,
    alone: `${SALE} \n ${PAID} \n fees 2.00`,
  },
  {
    cause: 'line_duplicate',
    echo: 'line_not_paid_out',
    given: `${twice('')} \n sale T3 2024-03-18 50.00 -> P1 \n ${PAID}`,
    alone: `sale T2 2024-03-19 51.50 fee 1.50 \n ${SALE} \n ${PAID}`,
  },
  {
    cause: 'payout_duplicate',
    echo: 'export_lacks',
    given: `${SALE} \n ${PAID} \n payout P1 2024-03-19 100.00 \n export \n unexported own_P1_2`,
    alone: `${SALE} \n ${PAID} \n export \n unexported T1`,
  },
  {
    cause: 'payout_empty',
    echo: 'export_lacks',
    given: `${PAID} \n ${anotherPaid()} \n export \n unexported own_P1_0`,
    alone: `${SALE} \n ${PAID} \n export \n unexported T1`,
  },
  {
    cause: 'payout_empty',
    echo: 'deposit_missing',
    given: `payout P1 2024-03-19 100.00 \n ${COVERED}`,
    alone: `${SALE} \n payout P1 2024-03-19 100.00 \n ${COVERED}`,
  },
  {
    cause: 'payout_residual',
    echo: 'export_differs',
    given: `${SALE} \n payout P1 2024-03-19 90.00 \n bank B1 2024-03-20 90.00 ALMA P1 \n ${COVERED} \n export \n exported own_P1_1 gross -100.00 net -100.00 \n ${anotherPaid()}`,
    alone: `${SALE} \n ${PAID} \n export \n exported own_P1_1 gross -101.00 net -101.00 \n ${anotherPaid()}`,
  },
  {
    cause: 'export_differs',
    echo: 'vat_mismatch',
    given: `${SALE} \n ${PAID} \n export \n exported T1 gross 104.00 vat 0.90 \n ${othersExported()}`,
    alone: `${SALE} \n ${PAID} \n export \n exported T1 vat 0.90 \n ${othersExported()}`,
  },
]

/** Sales that show on which basis the export writes VAT. */
function othersExported(): string {
  return `sale T8 2024-03-18 50.00 fee 2.00 -> P8 \n sale T9 2024-03-18 60.00 fee 5.00 -> P8
    payout P8 2024-03-19 103.00 \n bank B8 2024-03-20 103.00 ALMA P8`
}

/** A payout beside that has nothing wrong with it, so that a convention does not change. */
function anotherPaid(): string {
  return `sale T7 2024-03-18 60.00 -> P7 \n payout P7 2024-03-19 60.00 \n bank B7 2024-03-20 60.00 ALMA P7
    sale T6 2024-03-18 70.00 -> P6 \n payout P6 2024-03-19 70.00 \n bank B6 2024-03-20 70.00 ALMA P6`
}

/** One sale that stands in the ledger twice. */
function twice(secondGoes: string): string {
  return `sale T1 2024-03-18 51.50 fee 1.50 pay S1 -> P1 \n sale T2 2024-03-19 51.50 fee 1.50 pay S1 ${secondGoes}`
}

describe('one cause, one row', () => {
  test.each(pairs)('$cause with $echo', ({ cause, echo, given }) => {
    const { discrepancies } = reconcile(factsOf(given, LATE))
    const codes = discrepancies.map(({ code }) => code)
    expect({ codes, of: findingsOf(factsOf(given, LATE)) }).toMatchObject({ codes: [cause] })
    expect(discrepancies[0]?.explanation).toMatch(
      new RegExp(`From this follows: ([a-z_]+, )*${echo}\\b`),
    )
  })

  test.each(pairs)('$echo without $cause stands by itself', ({ echo, alone }) => {
    const codes = reconcile(factsOf(alone, LATE)).discrepancies.map(({ code }) => code)
    expect(codes).toEqual([echo])
  })

  test('every pair of the table is among these', () => {
    const tested = new Set(pairs.map(({ cause, echo }) => `${cause} ${echo}`))
    const table = Object.entries(ECHOES).flatMap(([cause, echoes]) =>
      echoes.map(({ code }) => `${cause} ${code}`),
    )
    // In a closed period `late_change` stands in place of `line_changed`, see below.
    const here = table.map((pair) => pair.replace('late_change', 'line_changed'))
    expect(here.filter((pair) => !tested.has(pair))).toEqual([])
  })
})

const CLOSED: ClosedPeriod = {
  label: '2024-W12',
  first: parseDay('2024-03-18'),
  last: parseDay('2024-03-24'),
  entities: ['default'],
  closedBy: 'Marie',
  closedS: startOfDay(parseDay('2024-03-27'), 'Europe/Paris'),
}

const isMinor = (field: string): boolean => field.endsWith('Minor')

/** The same facts where the week was signed before its rows changed. */
function signedBefore(facts: Facts): Facts {
  const changes = facts.entities.flatMap((entity) => entity.changes)
  const changed = new Map(changes.map(({ row }) => [row.id, row]))
  const lateRows = [...changed.values()].map((row): LateRow => {
    const ofRow = changes.filter((change) => change.row.id === row.id)
    const before = ofRow
      .filter(({ field }) => field !== 'vanished')
      .map(({ field, before: was }) => [field, isMinor(field) && was !== null ? BigInt(was) : was])
    return {
      entity: 'default',
      closed: CLOSED,
      row,
      isGone: ofRow.some(({ field }) => field === 'vanished'),
      signed: { ...row, ...Object.fromEntries(before) },
      seenAsOf: parseDay('2024-05-10'),
    }
  })
  return { ...facts, record: { ...facts.record, lateRows } }
}

describe('one cause, one row, in a closed period', () => {
  const ofChange = pairs.filter(({ cause }) => cause.startsWith('line_changed'))
  test.each([...ofChange, ...pairs.filter(({ cause }) => cause === 'line_vanished')])(
    'late_change with $echo',
    ({ echo, given }) => {
      const { discrepancies } = reconcile(signedBefore(factsOf(given, LATE)))
      expect(discrepancies.map(({ code }) => code)).toEqual(['late_change'])
      expect(discrepancies[0]?.explanation).toMatch(
        new RegExp(`From this follows: ([a-z_]+, )*${echo}\\b`),
      )
    },
  )

  /** T1 of 40.00 came into the signed week when its payout of 60.00 had long been paid. */
  const grown = `sale T2 2024-03-18 60.00 -> P1 \n sale T1 2024-03-18 40.00 -> P1
    payout P1 2024-03-19 60.00 \n bank B1 2024-03-20 60.00 ALMA P1 \n ${COVERED}`

  function appeared(given: string, amountMinor: bigint, options = LATE): Facts {
    const facts = factsOf(given, options)
    const payout = facts.entities[0]?.payouts[0]
    const own = payout?.ownRows[0]
    if (payout === undefined || own === undefined) throw new Error('the scenario has no payout')
    const row = {
      ...own,
      id: 'balance_txn_T1',
      kind: 'from_transaction',
      amountMinor,
      netMinor: amountMinor,
      payoutId: null,
      includedInPayoutId: payout.payoutId,
      createdS: own.createdS - 86_400,
    }
    const seenAsOf = parseDay('2024-05-10')
    const late: LateRow = {
      entity: 'default',
      closed: CLOSED,
      row,
      isGone: false,
      signed: null,
      seenAsOf,
    }
    return { ...facts, record: { ...facts.record, lateRows: [late] } }
  }

  test('a row that appeared in a paid payout is the cause of its residual', () => {
    const facts = appeared(grown, 40_00n)
    expect(findingsOf(facts)).toEqual(['late_change new balance_txn_T1'])
    expect(reconcile(facts).discrepancies[0]?.explanation).toContain(
      'The residual of 40.00 EUR in payout',
    )
    expect(findingsOf(factsOf(grown, LATE))).toEqual(['payout_residual new P1'])
  })

  test('a residual of another size is none of its doing', () => {
    expect(findingsOf(appeared(grown, 39_00n))).toEqual([
      'late_change new balance_txn_T1',
      'payout_residual new P1',
    ])
  })

  test('a report that does not tell the late change tells the residual', () => {
    const inWeek = (period: string): string[] =>
      findingsOf(appeared(grown, 40_00n, { ...LATE, period }))
    expect(inWeek('2024-W14')).toEqual(['payout_residual open P1'])
    expect(inWeek('2024-W19')).toEqual(['late_change open balance_txn_T1'])
  })

  test('a row whose net changed since it was signed is the cause as well, whatever it was before', () => {
    const given = `sale T1 2024-03-18 90.00 -> P1 \n was T1 amount 80.00 net 80.00 \n ${PAID}`
    const facts = signedBefore(factsOf(given, LATE))
    const lateRows = facts.record.lateRows.map((late) => ({
      ...late,
      signed: late.signed && { ...late.signed, amountMinor: 100_00n, netMinor: 100_00n },
    }))
    expect(findingsOf({ ...facts, record: { ...facts.record, lateRows } })).toEqual([
      'late_change new balance_txn_T1',
    ])
  })
})

describe('a residual follows from what is wrong with the rows', () => {
  const cases: readonly { what: string; given: string; finding: string }[] = [
    {
      what: 'a row of the payout that vanished',
      given: `sale T1 2024-03-18 60.00 -> P1 \n gone sale T2 2024-03-18 40.00 -> P1 \n ${PAID}`,
      finding: 'line_vanished new balance_txn_T2',
    },
    {
      what: 'a row that changed its net',
      given: `sale T1 2024-03-18 90.00 -> P1 \n was T1 amount 100.00 net 100.00 \n ${PAID}`,
      finding: 'line_changed new balance_txn_T1',
    },
    {
      what: 'a payout’s own row that changed',
      given: `sale T1 2024-03-18 100.00 -> P1 \n payout P1 2024-03-19 90.00 \n was own_P1_1 amount -100.00 net -100.00
        bank B1 2024-03-20 100.00 ALMA P1 \n ${COVERED}`,
      finding: 'line_changed new balance_txn_own_P1_1',
    },
    {
      what: 'a row that moved from one payout to another',
      given: `sale T1 2024-03-18 100.00 -> P2 \n was T1 -> P1 \n sale T2 2024-03-18 60.00 -> P1 \n sale T3 2024-03-18 20.00 -> P2
        payout P1 2024-03-19 160.00 \n payout P2 2024-03-20 20.00
        bank B1 2024-03-20 160.00 ALMA P1 \n bank B2 2024-03-21 20.00 ALMA P2 \n ${COVERED}`,
      finding: 'line_changed new balance_txn_T1',
    },
    {
      what: 'a second row for one sale that was not paid',
      given: `sale T1 2024-03-18 100.00 pay S1 -> P1 \n sale T2 2024-03-18 100.00 pay S1 -> P1 \n ${PAID}`,
      finding: 'line_duplicate new balance_txn_T2',
    },
    {
      what: 'a waiver with the wrong sign that was paid with the right one',
      given: `sale T1 2024-03-18 96.50 -> P1 \n row T2 from_fee_waiver 2024-03-18 -3.50 -> P1 \n ${PAID}`,
      finding: 'line_sign new balance_txn_T2',
    },
    {
      what: 'a row of unknown kind that was not paid',
      given: `sale T1 2024-03-18 100.00 -> P1 \n row T2 from_loan 2024-03-18 7.00 -> P1 \n ${PAID}`,
      finding: 'line_unknown_kind new balance_txn_T2',
    },
  ]
  test.each(cases)('$what', ({ given, finding }) => {
    const facts = factsOf(given, LATE)
    expect(findingsOf(facts)).toEqual([finding])
    expect(reconcile(facts).discrepancies[0]?.explanation).toMatch(
      /The residual of .+ follows from this\./,
    )
  })

  test('a payout whose money equals its rows has one fault, and not a deposit of a wrong amount', () => {
    const given = `${SALE} \n payout P1 2024-03-19 90.00 \n bank B1 2024-03-20 100.00 ALMA P1 \n ${COVERED}`
    expect(findingsOf(factsOf(given, LATE))).toEqual(['payout_residual new P1'])
  })

  test('two faults in one payout that cancel out are told both', () => {
    const given = `sale T1 2024-03-18 100.00 pay S1 -> P1 \n sale T2 2024-03-18 100.00 pay S1 -> P1
      gone sale T3 2024-03-18 100.00 -> P1 \n payout P1 2024-03-19 200.00 \n bank B1 2024-03-20 200.00 ALMA P1 \n ${COVERED}`
    expect(findingsOf(factsOf(given, LATE))).toEqual([
      'line_duplicate new balance_txn_T2',
      'line_vanished new balance_txn_T3',
    ])
  })
})

describe('what is still open is never hidden', () => {
  const finding = (code: DiscrepancyCode, isClosed: boolean): Finding => ({
    code,
    entity: 'default',
    key: 'balance_txn_T1',
    balanceTransactionId: 'balance_txn_T1',
    currency: 'EUR',
    day: parseDay('2024-03-18'),
    closed: isClosed ? { day: parseDay('2024-03-20'), by: 'payout P1 paid it out.' } : null,
    explanation: 'It is so.',
  })
  const told = (...findings: Finding[]): string[] => withoutEchoes(findings).map(({ code }) => code)

  test('behind a finding that a fact has closed', () => {
    expect(told(finding('line_arithmetic', true), finding('fee_rate', false))).toEqual([
      'line_arithmetic',
      'fee_rate',
    ])
    expect(told(finding('line_arithmetic', false), finding('fee_rate', false))).toEqual([
      'line_arithmetic',
    ])
  })

  test('behind the same row of another entity', () => {
    const elsewhere = { ...finding('line_arithmetic', false), entity: 'south' }
    expect(told(elsewhere, finding('fee_rate', false))).toEqual(['line_arithmetic', 'fee_rate'])
  })
})
