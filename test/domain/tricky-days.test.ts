/** Clean cases that look broken, and broken ones that look clean: days, zones, look-alikes. */
import { describe, expect, test } from 'vitest'
import { reconcile } from '../../src/domain/reconcile.ts'
import { factsOf, findingsOf, type ScenarioOptions, settlementsOf } from './scenario.ts'

interface Case {
  readonly what: string
  readonly given: string
  readonly options: ScenarioOptions
  readonly findings: readonly string[]
  readonly settlements: readonly string[]
}

/** A payout with its sale of the same minute's day. */
const sent = (id: string, at: string, amount = '100.00'): string =>
  `adjust T${id} ${at} ${amount} -> ${id} \n payout ${id} ${at} ${amount}`

const cases: readonly Case[] = [
  {
    what: 'a payout on the last evening of a week in winter time is that week’s',
    given: `${sent('P1', '2024-03-24T23:59')} \n bank B1 2024-03-26 100.00 ALMA \n statement 2024-03-01 2024-04-30`,
    options: { period: '2024-W12', asOf: '2024-04-30' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'one minute later it is the next week’s',
    given: `${sent('P1', '2024-03-25T00:00')} \n bank B1 2024-03-26 100.00 ALMA \n statement 2024-03-01 2024-04-30`,
    options: { period: '2024-W12', asOf: '2024-04-30' },
    findings: [],
    settlements: [],
  },
  {
    what: 'a payout on the last evening of a week in summer time is that week’s',
    given: `${sent('P1', '2024-06-30T23:59')} \n bank B1 2024-07-02 100.00 ALMA \n statement 2024-06-01 2024-07-30`,
    options: { period: '2024-W26', asOf: '2024-07-30' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'the evening before the clocks go forward',
    given: `${sent('P1', '2024-03-31T23:59')} \n bank B1 2024-04-02 100.00 ALMA \n statement 2024-03-01 2024-04-30`,
    options: { period: '2024-W13', asOf: '2024-04-30' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'the hour that comes twice when the clocks go back',
    given: `${sent('P1', '2024-10-27T02:30')} \n bank B1 2024-10-28 100.00 ALMA \n statement 2024-10-01 2024-11-30`,
    options: { period: '2024-W43', asOf: '2024-11-30' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'a payout one minute before midnight has its day 0 on that day',
    given: `${sent('P1', '2024-03-18T23:59')} \n bank B1 2024-03-26 100.00 ALMA \n statement 2024-03-01 2024-04-30`,
    options: { period: '2024-W12', asOf: '2024-04-30' },
    findings: ['deposit_late new P1'],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'Christmas, 26 December and New Year do not count: 3 January is late',
    given: `${sent('P1', '2023-12-21')} \n bank B1 2024-01-03 100.00 ALMA \n statement 2023-12-01 2024-01-31`,
    options: { period: '2023-W51', asOf: '2024-01-31' },
    findings: ['deposit_late new P1'],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'and 2 January is in time',
    given: `${sent('P1', '2023-12-21')} \n bank B1 2024-01-02 100.00 ALMA \n statement 2023-12-01 2024-01-31`,
    options: { period: '2023-W51', asOf: '2024-01-31' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: '14 July is a working day',
    given: `${sent('P1', '2023-07-07')} \n bank B1 2023-07-17 100.00 ALMA \n statement 2023-07-01 2023-08-31`,
    options: { period: '2023-W27', asOf: '2023-08-31' },
    findings: ['deposit_late new P1'],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: '1 May is not: the fifth working day after it is in time',
    given: `${sent('P1', '2024-04-29')} \n bank B1 2024-05-07 100.00 ALMA \n statement 2024-04-01 2024-05-31`,
    options: { period: '2024-W18', asOf: '2024-05-31' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'statements that end before the window does leave it in transit',
    given: `${sent('P1', '2024-03-21')} \n statement 2024-03-01 2024-03-27`,
    options: { period: '2024-W12', asOf: '2024-05-31' },
    findings: [],
    settlements: ['P1 in_transit -'],
  },
  {
    what: 'and they are enough up to its last day',
    given: `${sent('P1', '2024-03-21')} \n statement 2024-03-01 2024-03-28`,
    options: { period: '2024-W12', asOf: '2024-05-31' },
    findings: ['deposit_missing new P1'],
    settlements: ['P1 missing -'],
  },
  {
    what: 'a look-alike with the same amount beside the right line',
    given: `${sent('P1', '2024-03-18')} \n bank B0 2024-03-19 100.00 PALMA HOTELS \n bank B1 2024-03-20 100.00 VIR ALMA
      bank B2 2024-03-20 100.00 ALMAZ SARL \n statement 2024-03-01 2024-04-30`,
    options: { period: '2024-W12', asOf: '2024-04-30' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'a refund larger than the day’s sales: no payout, the rows wait',
    given: `sale T1 2024-03-18 50.00 fee 1.00 -> P1 \n refund T2 2024-03-18 -120.00 R1 pay S0 -> P1
      asked R1 2024-03-18 120.00 on S0 of 120.00 \n sale T3 2024-03-19 300.00 fee 9.00 -> P1
      payout P1 2024-03-20 220.00 \n bank B1 2024-03-21 220.00 ALMA P1 \n statement 2024-03-01 2024-04-30`,
    options: { period: '2024-W12', asOf: '2024-04-30' },
    findings: [],
    settlements: ['P1 matched reference B1'],
  },
]

describe('days', () => {
  test.each(cases)('$what', ({ given, options, findings, settlements }) => {
    const facts = factsOf(given, options)
    expect({ findings: findingsOf(facts), settlements: settlementsOf(facts) }).toEqual({
      findings,
      settlements,
    })
  })

  test('while a refund larger than the day’s sales waits, its row is an open item and nothing else', () => {
    const facts = factsOf(
      `sale T1 2024-03-18 50.00 fee 1.00 \n refund T2 2024-03-18 -120.00 R1 pay S0
      asked R1 2024-03-18 120.00 on S0 of 120.00`,
      { asOf: '2024-03-19' },
    )
    const { refunds, openItems, discrepancies } = reconcile(facts)
    expect(discrepancies).toEqual([])
    expect(refunds.map(({ refundId, status }) => [refundId, status])).toEqual([
      ['R1', 'awaiting_payout'],
    ])
    expect(openItems.map(({ item, id }) => [item, id])).toEqual([
      ['row_awaiting_payout', 'balance_txn_T1'],
      ['row_awaiting_payout', 'balance_txn_T2'],
    ])
  })
})
