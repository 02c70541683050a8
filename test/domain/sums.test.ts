/** Rung 4: one line for several payouts, one payout in several lines. */
import { describe, expect, test } from 'vitest'
import { reconcile } from '../../src/domain/reconcile.ts'
import { factsOf, findingsOf, type ScenarioOptions, settlementsOf } from './scenario.ts'

const COVERED = 'statement 2024-03-01 2024-05-10'

/** Payouts by id, day and amount, each with one row that it pays. */
function paid(...payouts: string[]): string {
  return payouts
    .map((text) => {
      const [id = '', day = '', amount = ''] = text.split(' ')
      return `adjust T${id} ${day} ${amount} -> ${id} \n payout ${id} ${day} ${amount}`
    })
    .join('\n')
}

interface Case {
  readonly what: string
  readonly given: string
  readonly options?: ScenarioOptions
  readonly findings: readonly string[]
  readonly settlements: readonly string[]
}

const THREE_DAYS = paid('P1 2024-03-18 812.35', 'P2 2024-03-19 1044.90', 'P3 2024-03-20 67.12')

const cases: readonly Case[] = [
  {
    what: 'one line pays two days',
    given: `${THREE_DAYS} \n bank B1 2024-03-20 1857.25 ALMA \n bank B2 2024-03-21 67.12 ALMA \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched merged B1', 'P2 matched merged B1', 'P3 matched amount_date B2'],
  },
  {
    what: 'one line pays two days that do not follow each other',
    given: `${THREE_DAYS} \n bank B1 2024-03-21 879.47 ALMA \n bank B2 2024-03-20 1044.90 ALMA P2 \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched merged B1', 'P2 matched reference B2', 'P3 matched merged B1'],
  },
  {
    what: 'one line pays a week of five days, more than sets of others are searched for',
    given: `${paid('P1 2024-03-18 812.35', 'P2 2024-03-19 1044.90', 'P3 2024-03-20 67.12', 'P4 2024-03-21 540.01', 'P5 2024-03-22 233.33')}
      bank B1 2024-03-25 2697.71 ALMA \n ${COVERED}`,
    findings: [],
    settlements: [1, 2, 3, 4, 5].map((at) => `P${at} matched merged B1`),
  },
  {
    what: 'a negative payout is netted with the next one',
    given: `${paid('P1 2024-03-18 -212.35', 'P2 2024-03-19 1044.90')} \n bank B1 2024-03-20 832.55 ALMA \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched merged B1', 'P2 matched merged B1'],
  },
  {
    what: 'the line names one of its payouts',
    given: `${THREE_DAYS} \n bank B1 2024-03-21 1924.37 ALMA P2 \n ${COVERED}`,
    findings: [],
    settlements: [1, 2, 3].map((at) => `P${at} matched merged B1`),
  },
  {
    what: 'the line names all of its payouts',
    given: `${THREE_DAYS} \n bank B1 2024-03-20 1857.25 ALMA P1 P2 \n bank B2 2024-03-21 67.12 ALMA P3 \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched merged B1', 'P2 matched merged B1', 'P3 matched reference B2'],
  },
  {
    what: 'a line that names a payout is never explained without it',
    given: `${THREE_DAYS} \n bank B1 2024-03-21 1857.25 ALMA P3 \n ${COVERED}`,
    findings: ['deposit_missing new P1', 'deposit_missing new P2', 'deposit_amount new P3'],
    settlements: ['P1 missing -', 'P2 missing -', 'P3 amount_differs - B1'],
  },
  {
    what: 'merged over Good Friday and Easter Monday',
    given: `${paid('P1 2024-03-27 812.35', 'P2 2024-03-28 1044.90', 'P3 2024-04-02 67.12')}
      bank B1 2024-04-03 1924.37 ALMA \n ${COVERED}`,
    options: { period: '2024-W13' },
    findings: [],
    settlements: ['P1 matched merged B1', 'P2 matched merged B1'],
  },
  {
    what: 'merged over 1 May, a closed day',
    given: `${paid('P1 2024-04-24 812.35', 'P2 2024-04-30 1044.90')} \n bank B1 2024-05-02 1857.25 ALMA \n ${COVERED}`,
    options: { period: '2024-W17', asOf: '2024-05-11' },
    findings: [],
    settlements: ['P1 matched merged B1'],
  },
  {
    what: '8 May is a working day: a payout six of them before is out of the window',
    given: `${paid('P1 2024-05-02 812.35', 'P2 2024-05-09 1044.90')} \n bank B1 2024-05-10 1857.25 ALMA \n ${COVERED}`,
    options: { period: '2024-W18', asOf: '2024-06-11' },
    findings: ['deposit_missing new P1'],
    settlements: ['P1 missing -'],
  },
  {
    what: 'two explanations: none is taken',
    given: `${paid('P1 2024-03-18 100.10', 'P2 2024-03-19 50.05', 'P3 2024-03-20 50.05')} \n bank B1 2024-03-21 150.15 ALMA \n ${COVERED}`,
    findings: ['deposit_ambiguous new B1'],
    settlements: ['P1 ambiguous -', 'P2 ambiguous -', 'P3 ambiguous -'],
  },
  {
    what: 'two lines that each could be explained by the same payout',
    given: `${paid('P1 2024-03-18 100.11', 'P2 2024-03-19 50.07', 'P3 2024-03-20 70.13')}
      bank B1 2024-03-21 150.18 ALMA \n bank B2 2024-03-21 120.20 ALMA \n ${COVERED}`,
    findings: ['deposit_ambiguous new B1', 'deposit_ambiguous new B2'],
    settlements: ['P1 ambiguous -', 'P2 ambiguous -', 'P3 ambiguous -'],
  },
  {
    what: 'two neighbours in whole euros, and nothing else open',
    given: `${paid('P1 2024-03-18 120.00', 'P2 2024-03-19 310.00')} \n bank B1 2024-03-20 430.00 ALMA \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched merged B1', 'P2 matched merged B1'],
  },
  {
    what: 'a sum of payouts that lie after the line explains nothing',
    given: `${THREE_DAYS} \n bank B1 2024-03-18 1857.25 ALMA \n ${COVERED}`,
    findings: [
      'deposit_missing new P1',
      'deposit_unexpected new B1',
      'deposit_missing new P2',
      'deposit_missing new P3',
    ],
    settlements: ['P1 missing -', 'P2 missing -', 'P3 missing -'],
  },
  {
    what: 'one payout in three lines without a name',
    given: `${paid('P1 2024-03-18 1924.37')} \n bank B1 2024-03-19 812.35 ALMA \n bank B2 2024-03-19 1044.90 ALMA \n bank B3 2024-03-20 67.12 ALMA \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched split B1 B2 B3'],
  },
  {
    what: 'a part of a split that was too much and taken back',
    given: `${paid('P1 2024-03-18 1000.11')} \n bank B1 2024-03-19 1044.90 ALMA \n bank B2 2024-03-20 -44.79 ALMA \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched split B1 B2'],
  },
  {
    what: 'a line of another payer is no part of anything',
    given: `${paid('P1 2024-03-18 1924.37')} \n bank B1 2024-03-19 812.35 ALMA \n bank B2 2024-03-19 1112.02 PALMA HOTELS \n ${COVERED}`,
    findings: ['deposit_missing new P1', 'deposit_unexpected new B1'],
    settlements: ['P1 missing -'],
  },
]

describe('sums', () => {
  test.each(cases)('$what', ({ given, options, findings, settlements }) => {
    const facts = factsOf(given, { asOf: '2024-05-13', ...options })
    expect(findingsOf(facts)).toEqual(findings)
    expect(settlementsOf(facts)).toEqual(settlements)
  })

  test('in whole euros are too likely by chance where many payouts are open', () => {
    const amounts = [101, 108, 129, 164, 213, 276, 353, 444, 549, 668]
    const open = amounts.map((euros, at) => `P${at} 2024-03-${18 + Math.floor(at / 2)} ${euros}.00`)
    const facts = factsOf(
      `${paid(...open)} \n bank B1 2024-03-22 ${129 + 276 + 549}.00 ALMA \n ${COVERED}`,
    )
    const line = reconcile(facts).discrepancies.find(({ bankReference }) => bankReference === 'B1')
    expect(line?.code).toBe('deposit_ambiguous')
    expect(settlementsOf(facts).filter((said) => said.includes('matched'))).toEqual([])
  })

  test('say what was tried, and how likely a coincidence is', () => {
    const { matches } = reconcile(
      factsOf(`${THREE_DAYS} \n bank B1 2024-03-21 1924.37 ALMA \n ${COVERED}`),
    )
    expect(matches[0]?.evidence).toMatch(
      /is the sum of 3 payouts, the only explanation among 7 sets \(up to 4 items, or neighbours\) of 3 open in the window; by coincidence less than 0\.\d+ would be expected$/,
    )
  })

  test('that are not believed name every explanation and what would settle it', () => {
    const given = `${paid('P1 2024-03-18 100.10', 'P2 2024-03-19 50.05', 'P3 2024-03-20 50.05')} \n bank B1 2024-03-21 150.15 ALMA \n ${COVERED}`
    const [row] = reconcile(factsOf(given)).discrepancies
    expect(row?.explanation).toMatch(/there are 2 explanations: .*P1.* \+ .*P2.*; .*P1.* \+ .*P3.*/)
    expect(row?.explanation).toContain('payment advice from Alma')
  })
})

describe('the first part of a split', () => {
  const FIRST = `${paid('P1 2024-03-18 1924.37')} \n bank B1 2024-03-19 812.35 ALMA P1`
  const covered = (to: string): string => `statement 2024-03-01 ${to}`

  test('leaves the payout in transit while the rest may still come, and says how much came', () => {
    const facts = factsOf(`${FIRST} \n ${covered('2024-03-19')}`, { asOf: '2024-03-20' })
    expect(findingsOf(facts)).toEqual([])
    const { settlements, openItems } = reconcile(facts)
    expect(settlements[0]).toMatchObject({ status: 'in_transit', depositMinor: 81_235n })
    expect(settlements[0]?.note).toMatch(/812\.35 EUR came with the bank line B1.+for the rest/)
    expect(openItems.map(({ item }) => item)).toEqual(['payout_in_transit'])
  })

  test('is a wrong amount once the window is over', () => {
    const facts = factsOf(`${FIRST} \n ${covered('2024-04-01')}`, { asOf: '2024-04-02' })
    expect(findingsOf(facts)).toEqual(['deposit_amount new P1'])
  })

  test('is a part of a split once the rest has come', () => {
    const facts = factsOf(
      `${FIRST} \n bank B2 2024-03-22 1112.02 ALMA P1 \n ${covered('2024-04-01')}`,
    )
    expect(settlementsOf(facts)).toEqual(['P1 matched split B1 B2'])
  })

  test('is none where only little is lacking: that is told at once', () => {
    const given = `${paid('P1 2024-03-18 1924.37')} \n bank B1 2024-03-19 1919.37 ALMA P1 \n ${covered('2024-03-19')}`
    expect(findingsOf(factsOf(given, { asOf: '2024-03-20' }))).toEqual(['deposit_amount new P1'])
  })

  test('several lines that do not add up are one finding with their sum', () => {
    const facts = factsOf(
      `${FIRST} \n bank B2 2024-03-22 1000.00 ALMA P1 \n ${covered('2024-04-14')}`,
    )
    expect(findingsOf(facts)).toEqual(['deposit_amount new P1'])
    expect(reconcile(facts).discrepancies[0]).toMatchObject({
      actualMinor: 181_235n,
      bankReference: 'B1',
    })
  })
})
