import { describe, expect, test } from 'vitest'
import { reconcile } from '../../src/domain/reconcile.ts'
import { factsOf, findingsOf, type ScenarioOptions } from './scenario.ts'

const PAID = 'bank B1 2024-03-20 100.00 ALMA P1 \n statement 2024-03-01 2024-04-14'

interface Case {
  readonly what: string
  readonly given: string
  readonly options?: ScenarioOptions
  readonly findings: readonly string[]
}

const cases: readonly Case[] = [
  {
    what: 'rows that do not sum to the payout',
    given: `sale T1 2024-03-15 104.00 fee 3.00 -> P1 \n payout P1 2024-03-18 100.00 \n ${PAID}`,
    findings: ['payout_residual new P1'],
  },
  {
    what: 'a payout whose own row is wrong and whose money equals its rows: one row',
    given: `sale T1 2024-03-15 103.00 fee 3.00 -> P1 \n payout P1 2024-03-18 99.00 \n ${PAID}`,
    findings: ['payout_residual new P1'],
  },
  {
    what: 'a payout that no row names',
    given: `payout P1 2024-03-18 100.00 \n ${PAID}`,
    findings: ['payout_empty new P1'],
  },
  {
    what: 'rows that name a payout without own row',
    given: `sale T1 2024-03-18 103.00 fee 3.00 -> P1`,
    findings: ['payout_unknown new P1'],
  },
  {
    what: 'two own rows for one payout',
    given: `sale T1 2024-03-15 103.00 fee 3.00 -> P1 \n payout P1 2024-03-18 100.00 \n payout P1 2024-03-18 100.00 \n ${PAID}`,
    findings: ['payout_duplicate new P1'],
  },
  {
    what: 'a row in no payout ten business days after it was available',
    given: `sale T1 2024-03-18 103.00 fee 3.00`,
    options: { asOf: '2024-04-05' },
    findings: ['line_not_paid_out new balance_txn_T1'],
  },
  {
    what: 'a row in no payout on the tenth business day: Good Friday and Easter Monday do not count',
    given: `sale T1 2024-03-18 103.00 fee 3.00`,
    options: { asOf: '2024-04-03' },
    findings: [],
  },
  {
    what: 'a row that a late payout took is cleared in the week of that payout',
    given: `sale T1 2024-03-04 103.00 fee 3.00 -> P1 \n payout P1 2024-03-19 100.00 \n ${PAID}`,
    findings: ['line_not_paid_out cleared balance_txn_T1'],
  },
  {
    what: 'gross, fee and net that disagree',
    given: `sale T1 2024-03-15 103.00 fee 2.00 net 100.00 -> P1 \n payout P1 2024-03-18 100.00 \n ${PAID}`,
    findings: ['line_arithmetic new balance_txn_T1'],
    options: { period: '2024-W11' },
  },
  {
    what: 'a wrong net that throws the payout off is one row, not two',
    given: `sale T1 2024-03-18 103.00 fee 3.00 net 99.00 -> P1 \n payout P1 2024-03-18 100.00 \n ${PAID}`,
    findings: ['line_arithmetic new balance_txn_T1'],
  },
  {
    what: 'a refund’s fee may have either sign',
    given: `refund T1 2024-03-18 -20.00 fee 0.60 net -19.40 R1 \n refund T2 2024-03-18 -20.00 fee 0.60 net -20.60 R2
      asked R1 2024-03-18 20.00 on ST1 of 20.00 \n asked R2 2024-03-18 20.00 on ST2 of 20.00`,
    options: { asOf: '2024-03-20' },
    findings: [],
  },
  {
    what: 'a sale with a negative amount',
    given: `sale T1 2024-03-18 -103.00 fee 3.00 net -100.00`,
    options: { asOf: '2024-03-20' },
    findings: ['line_sign new balance_txn_T1'],
  },
  {
    what: 'an unknown kind is kept, reported and counted',
    given: `row T1 from_loan 2024-03-18 100.00 -> P1 \n payout P1 2024-03-18 100.00 \n ${PAID}`,
    findings: ['line_unknown_kind new balance_txn_T1'],
  },
  {
    what: 'a second row for one refund',
    given: `refund T1 2024-03-18 -20.00 R1 pay S1 \n refund T2 2024-03-19 -20.00 R1 pay S1 \n asked R1 2024-03-18 20.00 on S1 of 50.00`,
    options: { asOf: '2024-03-20' },
    findings: ['line_duplicate new balance_txn_T2'],
  },
  {
    what: 'two refunds of one amount with two ids are two refunds',
    given: `refund T1 2024-03-18 -20.00 R1 pay S1 \n refund T2 2024-03-19 -20.00 R2 pay S1
      asked R1 2024-03-18 20.00 on S1 of 50.00 \n asked R2 2024-03-19 20.00 on S1 of 50.00`,
    options: { asOf: '2024-03-20' },
    findings: [],
  },
  {
    what: 'a second sale of one amount on one payment, in no payout for long: one row',
    given: `sale T1 2024-03-18 103.00 fee 3.00 pay S1 -> P1 \n sale T2 2024-03-18 103.00 fee 3.00 pay S1 \n payout P1 2024-03-18 100.00 \n ${PAID}`,
    findings: ['line_duplicate new balance_txn_T2'],
  },
]

describe('the ledger', () => {
  test.each(cases)('$what', ({ given, options, findings }) => {
    expect(findingsOf(factsOf(given, options))).toEqual(findings)
  })

  test('rolls forward: opening and movements by kind reach the closing balance', () => {
    const { summary } = reconcile(
      factsOf(`
        sale T0 2024-03-15 50.00 fee 1.00
        sale T1 2024-03-18 103.00 fee 3.00 -> P1
        refund T2 2024-03-19 -20.00 R1 \n asked R1 2024-03-19 20.00 on ST2 of 20.00
        row T3 from_loan 2024-03-19 7.00
        payout P1 2024-03-19 100.00
        sale T4 2024-03-25 10.00`),
    )
    expect(
      summary.slice(0, 9).map(({ line, amountMinor, rows }) => `${line} ${amountMinor} ${rows}`),
    ).toEqual([
      'opening_balance 4900 1',
      'from_transaction 10000 1',
      'from_refund -2000 1',
      'from_fee_waiver 0 0',
      'from_adjustment 0 0',
      'from_merchant_default_coverage 0 0',
      'from_loan 700 1',
      'from_payout -10000 1',
      'closing_balance 3600 5',
    ])
  })

  test('the week’s bounds are Paris midnights, half open', () => {
    const { summary } = reconcile(factsOf('', { period: '2024-W13' }))
    expect(summary.slice(-2).map(({ line, rows }) => [line, rows])).toEqual([
      ['period_start', Date.UTC(2024, 2, 24, 23) / 1000],
      ['period_end', Date.UTC(2024, 2, 31, 22) / 1000],
    ])
  })
})

const refunds: readonly Case[] = [
  {
    what: 'a refund of a payment that does not exist',
    given: `refund T1 2024-03-18 -20.00 R1 pay S1 \n nopayment S1`,
    options: { asOf: '2024-03-20' },
    findings: ['refund_without_payment new R1'],
  },
  {
    what: 'a refund that its payment does not have',
    given: `refund T1 2024-03-18 -20.00 R1 pay S1 \n bought S1 50.00`,
    options: { asOf: '2024-03-20' },
    findings: ['refund_unknown new R1'],
  },
  {
    what: 'a refund deducted with another amount',
    given: `refund T1 2024-03-18 -25.00 R1 pay S1 \n asked R1 2024-03-18 20.00 on S1 of 50.00`,
    options: { asOf: '2024-03-20' },
    findings: ['refund_amount new R1'],
  },
  {
    what: 'a refund that never came to the ledger',
    given: `asked R1 2024-03-18 20.00 on S1 of 50.00`,
    findings: ['refund_not_deducted new R1'],
  },
  {
    what: 'a refund that is not yet due in the ledger',
    given: `asked R1 2024-03-18 20.00 on S1 of 50.00`,
    options: { asOf: '2024-03-25' },
    findings: [],
  },
  {
    what: 'a refund that came to the ledger late is cleared in that week',
    given: `asked R1 2024-02-26 20.00 on S1 of 50.00 \n refund T1 2024-03-18 -20.00 R1 pay S1`,
    options: { asOf: '2024-03-20' },
    findings: ['refund_not_deducted cleared R1'],
  },
  {
    what: 'refunds that exceed the purchase belong to the day on which they went over',
    given: `asked R1 2024-03-11 30.00 on S1 of 50.00 \n asked R2 2024-03-19 30.00 on S1 of 50.00
      refund T1 2024-03-12 -30.00 R1 pay S1 \n refund T2 2024-03-20 -30.00 R2 pay S1`,
    options: { asOf: '2024-03-21' },
    findings: ['refund_exceeds_payment new S1'],
  },
]

describe('refunds', () => {
  test.each(refunds)('$what', ({ given, options, findings }) => {
    expect(findingsOf(factsOf(given, options))).toEqual(findings)
  })

  test('a refund under another id than its payment knows it by is told with that id', () => {
    const given = `refund T1 2024-03-18 -20.00 R1 pay S1 \n asked R2 2024-03-18 20.00 on S1 of 50.00`
    const { discrepancies } = reconcile(factsOf(given, { asOf: '2024-03-20' }))
    expect(discrepancies.map(({ code }) => code)).toEqual(['refund_unknown'])
    expect(discrepancies[0]?.explanation).toContain(
      'The payment has R2 of the same amount, which the ledger does not have.',
    )
  })

  describe('their life in one note', () => {
    const notes = (given: string, options: ScenarioOptions): string[] =>
      reconcile(factsOf(given, options)).refunds.map(({ note }) => note)

    test('asked, in the ledger, deducted from which payout, the fee kept', () => {
      const given = `refund T1 2024-03-19 -20.00 R1 pay S1 -> P1 \n asked R1 2024-03-18 20.00 on S1 of 50.00
        sale T2 2024-03-19 80.00 -> P1 \n payout P1 2024-03-20 60.00`
      expect(notes(given, { asOf: '2024-03-24' })).toEqual([
        expect.stringMatching(
          /^asked on 2024-03-18; in the ledger on 2024-03-19; deducted from payout_\S+P1x* on 2024-03-20; no fee given back$/,
        ),
      ])
    })

    test('the fee given back, with either sign', () => {
      const given = `refund T1 2024-03-19 -20.00 fee -0.60 net -19.40 R1 pay S1 \n asked R1 2024-03-19 20.00 on S1 of 50.00
        refund T2 2024-03-19 -20.00 fee 0.60 net -19.40 R2 pay S1 \n asked R2 2024-03-19 20.00 on S1 of 50.00`
      for (const note of notes(given, { asOf: '2024-03-24' })) {
        expect(note).toBe(
          'asked on 2024-03-19; in the ledger on 2024-03-19; waits for a payout for 5 days; 0.60 EUR of the fee given back',
        )
      }
    })

    test('not in the ledger yet, with its age; and once it is overdue, what it is', () => {
      const given = `asked R1 2024-03-18 20.00 on S1 of 50.00`
      expect(notes(given, { asOf: '2024-03-21' })).toEqual([
        'asked on 2024-03-18; not in the ledger for 3 days',
      ])
      expect(notes(given, { asOf: '2024-04-15' })).toEqual([
        'refund_not_deducted; asked on 2024-03-18; not in the ledger for 28 days',
      ])
    })

    test('known to the ledger only', () => {
      const given = `refund T1 2024-03-19 -20.00 R1 pay S1 \n bought S1 50.00
        refund T2 2024-03-19 -30.00 R2 pay S2 \n nopayment S2`
      expect(notes(given, { asOf: '2024-03-20' })).toEqual([
        expect.stringMatching(/^refund_unknown; not on its payment; in the ledger on 2024-03-19;/),
        expect.stringMatching(/^refund_without_payment; its payment does not exist; in the ledger/),
      ])
    })

    test('a refund of a sale of an earlier week, deducted from a payout of a later one', () => {
      const given = `sale T0 2024-03-05 50.00 pay S1 -> P0 \n payout P0 2024-03-06 50.00
        asked R1 2024-03-24 20.00 on S1 of 50.00 \n refund T1 2024-03-24 -20.00 R1 pay S1 -> P1
        sale T2 2024-03-25 80.00 -> P1 \n payout P1 2024-03-26 60.00`
      const { refunds: rows, discrepancies } = reconcile(factsOf(given, { asOf: '2024-03-28' }))
      expect(discrepancies).toEqual([])
      expect(
        rows.map(({ refundId, status, deductedDay }) => [refundId, status, deductedDay]),
      ).toEqual([['R1', 'deducted', '2024-03-26']])
    })

    test('several partial refunds, two of one amount, add up to the purchase and are no break', () => {
      const given = `asked R1 2024-03-18 10.00 on S1 of 50.00 \n asked R2 2024-03-19 10.00 on S1 of 50.00
        asked R3 2024-03-20 30.00 on S1 of 50.00 \n refund T1 2024-03-18 -10.00 R1 pay S1
        refund T2 2024-03-19 -10.00 R2 pay S1 \n refund T3 2024-03-20 -30.00 R3 pay S1`
      expect(findingsOf(factsOf(given, { asOf: '2024-03-21' }))).toEqual([])
      expect(
        findingsOf(
          factsOf(`${given} \n asked R4 2024-03-21 0.01 on S1 of 50.00`, { asOf: '2024-03-21' }),
        ),
      ).toEqual(['refund_exceeds_payment new S1'])
    })
  })

  test('each has one line with where it stands', () => {
    const { refunds: rows, openItems } = reconcile(
      factsOf(
        `
        sale T0 2024-03-18 120.00 -> P1
        refund T1 2024-03-18 -20.00 R1 pay S1 -> P1 \n asked R1 2024-03-18 20.00 on S1 of 50.00
        payout P1 2024-03-18 100.00
        refund T2 2024-03-19 -5.00 R2 pay S2 \n asked R2 2024-03-19 5.00 on S2 of 50.00
        asked R3 2024-03-20 7.00 on S3 of 50.00`,
        { asOf: '2024-03-24' },
      ),
    )
    expect(
      rows.map(({ refundId, status, deductedDay }) => [refundId, status, deductedDay]),
    ).toEqual([
      ['R1', 'deducted', '2024-03-18'],
      ['R2', 'awaiting_payout', null],
      ['R3', 'not_in_ledger', null],
    ])
    expect(openItems.map(({ item, id, due }) => [item, id, due])).toEqual([
      ['payout_in_transit', expect.stringContaining('P1'), '2024-03-25'],
      ['refund_awaiting_ledger', 'R3', '2024-04-05'],
      ['row_awaiting_payout', 'balance_txn_T2', '2024-04-04'],
    ])
  })
})
