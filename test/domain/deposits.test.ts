import { describe, expect, test } from 'vitest'
import type { EntityFacts, Facts } from '../../src/domain/facts.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { ACCOUNT, factsOf, findingsOf, type ScenarioOptions, settlementsOf } from './scenario.ts'

/** A payout of W12 with its one sale; amounts differ so that nothing else can be meant. */
const SOLD = `
  sale T1 2024-03-15 103.00 fee 3.00 -> P1
  payout P1 2024-03-18 100.00
`
const COVERED = 'statement 2024-03-01 2024-04-14'

interface Case {
  readonly what: string
  readonly given: string
  readonly options?: ScenarioOptions
  readonly findings: readonly string[]
  readonly settlements: readonly string[]
}

const cases: readonly Case[] = [
  {
    what: 'the payout’s whole id and its amount',
    given: `${SOLD} bank B1 2024-03-20 100.00 ALMA P1 \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched reference B1'],
  },
  {
    what: 'only the first 12 characters of the id, in small letters and glued',
    given: `${SOLD} bank B1 2024-03-20 100.00 ALMA/xx11kabcdefgp1/zz \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched reference B1'],
  },
  {
    what: 'no reference, but the only line of the amount in the window',
    given: `${SOLD} bank B1 2024-03-20 100.00 VIR ALMA \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'day 5 is in time',
    given: `${SOLD} bank B1 2024-03-25 100.00 ALMA \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'day 6 is late',
    given: `${SOLD} bank B1 2024-03-26 100.00 ALMA \n ${COVERED}`,
    findings: ['deposit_late new P1'],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'the week in which late money came clears what was missing',
    given: `${SOLD} bank B1 2024-03-26 100.00 ALMA \n ${COVERED}`,
    options: { period: '2024-W13' },
    findings: ['deposit_missing cleared P1'],
    settlements: [],
  },
  {
    what: 'a month that holds both says only that it was late',
    given: `${SOLD} bank B1 2024-03-26 100.00 ALMA \n ${COVERED}`,
    options: { period: '2024-03' },
    findings: ['deposit_late new P1'],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'nothing came, and the statements cover the window',
    given: `${SOLD} ${COVERED}`,
    findings: ['deposit_missing new P1'],
    settlements: ['P1 missing -'],
  },
  {
    what: 'nothing came, in a later week',
    given: `${SOLD} ${COVERED}`,
    options: { period: '2024-W14' },
    findings: ['deposit_missing open P1'],
    settlements: ['P1 missing -'],
  },
  {
    what: 'the window ends today: still in transit',
    given: `${SOLD} statement 2024-03-01 2024-03-25`,
    options: { asOf: '2024-03-25' },
    findings: [],
    settlements: ['P1 in_transit -'],
  },
  {
    what: 'the window is over, the statements end before it does',
    given: `${SOLD} statement 2024-03-01 2024-03-22`,
    findings: [],
    settlements: ['P1 in_transit -'],
  },
  {
    what: 'a line from another payer with the same amount is never taken',
    given: `${SOLD} bank B1 2024-03-20 100.00 PALMA HOTELS \n bank B2 2024-03-21 100.00 ALMAZ SARL \n ${COVERED}`,
    findings: ['deposit_missing new P1'],
    settlements: ['P1 missing -'],
  },
  {
    what: 'a line of a known payer account is the provider’s whatever its text',
    given: `${SOLD} bank B1 2024-03-20 100.00 VIREMENT from=FR7699999000019999999999999 \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'one payout and two lines of its amount: the earlier is its deposit',
    given: `${SOLD} bank B2 2024-03-21 100.00 ALMA \n bank B1 2024-03-20 100.00 ALMA \n ${COVERED}`,
    findings: ['deposit_unexpected new B2'],
    settlements: ['P1 matched equal_amount_group B1'],
  },
  {
    what: 'the payout’s reference on two lines of its amount: the second is a duplicate',
    given: `${SOLD} bank B1 2024-03-20 100.00 ALMA P1 \n bank B2 2024-03-21 100.00 ALMA P1 \n ${COVERED}`,
    findings: ['deposit_duplicate new B2'],
    settlements: ['P1 matched reference B1'],
  },
  {
    what: 'a second line with the payout’s reference is a duplicate whatever its amount',
    given: `${SOLD} bank B1 2024-03-20 100.00 ALMA P1 \n bank B2 2024-03-21 40.00 ALMA P1 \n ${COVERED}`,
    findings: ['deposit_duplicate new B2'],
    settlements: ['P1 matched reference B1'],
  },
  {
    what: 'several lines with the reference that add up',
    given: `${SOLD} bank B1 2024-03-20 60.00 ALMA P1 \n bank B2 2024-03-21 40.00 ALMA P1 \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched split B1 B2'],
  },
  {
    what: 'the reference says so and the amount differs',
    given: `${SOLD} bank B1 2024-03-20 20.00 ALMA P1 \n ${COVERED}`,
    findings: ['deposit_amount new P1'],
    settlements: ['P1 amount_differs - B1'],
  },
  {
    what: 'only this pair is left and differs by less than 50.00',
    given: `${SOLD} bank B1 2024-03-20 98.50 ALMA \n ${COVERED}`,
    findings: ['deposit_amount new P1'],
    settlements: ['P1 amount_differs - B1'],
  },
  {
    what: 'only this pair is left but differs by more than 50.00 and 10 %',
    given: `${SOLD} bank B1 2024-03-20 49.99 ALMA \n ${COVERED}`,
    findings: ['deposit_missing new P1', 'deposit_unexpected new B1'],
    settlements: ['P1 missing -'],
  },
  {
    what: 'a provider’s credit and no payout',
    given: `bank B1 2024-03-20 12.34 ALMA \n ${COVERED}`,
    findings: ['deposit_unexpected new B1'],
    settlements: [],
  },
  {
    what: 'a provider’s debit and no negative payout',
    given: `bank B1 2024-03-20 -12.34 ALMA \n ${COVERED}`,
    findings: ['debit_unexpected new B1'],
    settlements: [],
  },
  {
    what: 'a negative payout finds its debit',
    given: `refund T1 2024-03-15 -30.00 R1 -> P1 \n asked R1 2024-03-15 30.00 on ST1 of 30.00
      payout P1 2024-03-18 -30.00 \n bank B1 2024-03-20 -30.00 ALMA \n ${COVERED}`,
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'a credit that was sent back',
    given: `${SOLD} bank B1 2024-03-20 100.00 ALMA P1 \n bank B2 2024-03-22 -100.00 ALMA P1 \n ${COVERED}`,
    findings: ['deposit_returned new P1'],
    settlements: ['P1 returned reference B1 B2'],
  },
  {
    what: 'a credit that was sent back and paid again',
    given: `${SOLD} bank B1 2024-03-20 100.00 ALMA P1 \n bank B2 2024-03-22 -100.00 ALMA P1
      bank B3 2024-03-25 100.00 ALMA P1 \n ${COVERED}`,
    findings: ['deposit_returned cleared P1'],
    settlements: ['P1 matched reference B3'],
  },
  {
    what: 'the payout in another currency',
    given: `${SOLD} bank B1 2024-03-20 108.70 ALMA P1 ccy=USD \n ${COVERED}`,
    findings: ['deposit_wrong_currency new B1'],
    settlements: ['P1 elsewhere - B1'],
  },
  {
    what: 'a payout that the ledger lacks, and its deposit',
    given: `sale T1 2024-03-18 103.00 fee 3.00 -> P1 \n bank B1 2024-03-20 100.00 ALMA P1 \n ${COVERED}`,
    findings: ['payout_unknown new P1'],
    settlements: [],
  },
  {
    what: 'more than 20 business days late: missing, and unexpected with its likely cause',
    given: `${SOLD} bank B1 2024-04-19 100.00 ALMA \n statement 2024-03-01 2024-05-14`,
    options: { period: '2024-W16', asOf: '2024-05-14' },
    findings: ['deposit_missing open P1', 'deposit_unexpected new B1'],
    settlements: ['P1 missing -'],
  },
  {
    what: 'Good Friday and Easter Monday do not count',
    given: `sale T1 2024-03-27 103.00 fee 3.00 -> P1 \n payout P1 2024-03-27 100.00
      bank B1 2024-04-05 100.00 ALMA \n ${COVERED}`,
    options: { period: '2024-W13' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
  {
    what: 'a payout of Saturday has its day 0 on Monday',
    given: `sale T1 2024-03-15 103.00 fee 3.00 -> P1 \n payout P1 2024-03-16 100.00
      bank B1 2024-03-25 100.00 ALMA \n ${COVERED}`,
    options: { period: '2024-W11' },
    findings: [],
    settlements: ['P1 matched amount_date B1'],
  },
]

describe('a payout and the bank', () => {
  test.each(cases)('$what', ({ given, options, findings, settlements }) => {
    const facts = factsOf(given, options)
    expect({ findings: findingsOf(facts), settlements: settlementsOf(facts) }).toEqual({
      findings,
      settlements,
    })
  })
})

describe('equal amounts', () => {
  const twoPayouts = `
    sale T1 2024-03-15 103.00 fee 3.00 -> P1
    payout P1 2024-03-18 100.00
    sale T2 2024-03-18 103.00 fee 3.00 -> P2
    payout P2 2024-03-19 100.00
    ${COVERED}
  `
  test('two payouts and two lines are interchangeable and matched in order of days', () => {
    const facts = factsOf(
      `bank B1 2024-03-20 100.00 ALMA \n bank B2 2024-03-21 100.00 ALMA \n ${twoPayouts}`,
    )
    expect(settlementsOf(facts)).toEqual([
      'P1 matched equal_amount_group B1',
      'P2 matched equal_amount_group B2',
    ])
    expect(findingsOf(facts)).toEqual([])
  })

  test('two payouts and one line: the earliest payout that the window allows has it', () => {
    const facts = factsOf(`bank B1 2024-03-20 100.00 ALMA \n ${twoPayouts}`)
    expect(settlementsOf(facts)).toEqual(['P1 matched equal_amount_group B1', 'P2 missing -'])
    expect(findingsOf(facts)).toEqual(['deposit_missing new P2'])
  })

  test('a line that only the later payout’s window reaches is that one’s', () => {
    const facts = factsOf(`bank B1 2024-03-26 100.00 ALMA \n ${twoPayouts}`)
    expect(settlementsOf(facts)).toEqual(['P1 missing -', 'P2 matched amount_date B1'])
  })

  test('a reference takes its line out of the group before amounts are looked at', () => {
    const facts = factsOf(
      `bank B1 2024-03-20 100.00 ALMA P2 \n bank B2 2024-03-21 100.00 ALMA \n ${twoPayouts}`,
    )
    expect(settlementsOf(facts)).toEqual(['P1 matched amount_date B2', 'P2 matched reference B1'])
  })

  test('a reference cut so short that it fits two payouts of one amount is ambiguous', () => {
    const alike = twoPayouts.replaceAll('P1', 'P10').replaceAll('P2', 'P11')
    const facts = factsOf(`bank B1 2024-03-20 100.00 ALMA P10~12 \n ${alike}`)
    expect(settlementsOf(facts)).toEqual(['P10 ambiguous -', 'P11 ambiguous -'])
    expect(findingsOf(facts)).toEqual(['deposit_ambiguous new B1'])
  })

  test('a reference cut so short is settled by the amount where that differs', () => {
    const facts = factsOf(`
      sale T1 2024-03-15 103.00 fee 3.00 -> P10
      payout P10 2024-03-18 100.00
      sale T2 2024-03-15 83.00 fee 3.00 -> P11
      payout P11 2024-03-18 80.00
      bank B1 2024-03-20 80.00 ALMA P10~12
      bank B2 2024-03-20 100.00 ALMA P10~12
      ${COVERED}`)
    expect(settlementsOf(facts)).toEqual(['P10 matched reference B2', 'P11 matched reference B1'])
  })
})

describe('statements decide what can be said', () => {
  const balances = (gapClosing: string): string => `
    bank B9 2024-03-19 50.00 OTHER
    statement 2024-03-18 2024-03-19 opening 0.00 closing 50.00 file a.csv
    statement 2024-03-21 2024-04-12 opening ${gapClosing} closing ${gapClosing} file b.csv
  `
  test('closing and next opening that agree leave no gap', () => {
    expect(findingsOf(factsOf(`${SOLD} ${balances('50.00')}`))).toEqual(['deposit_missing new P1'])
  })

  test('closing and next opening that differ are a gap, and the payout stays in transit', () => {
    const facts = factsOf(`${SOLD} ${balances('150.00')}`)
    expect(findingsOf(facts)).toEqual(['statement_gap new b.csv'])
    expect(settlementsOf(facts)).toEqual(['P1 in_transit -'])
  })

  test('a skipped statement number is a gap', () => {
    const facts = factsOf(`
      statement 2024-03-18 2024-03-18 opening 5.00 closing 5.00 number 3 file a.csv
      statement 2024-03-20 2024-03-20 opening 5.00 closing 5.00 number 5 file b.csv`)
    expect(findingsOf(facts)).toEqual(['statement_gap new b.csv'])
  })

  test('missing business days without balances are a gap, a weekend is none', () => {
    expect(
      findingsOf(
        factsOf(
          'statement 2024-03-14 2024-03-15 file a.csv \n statement 2024-03-18 2024-03-19 file b.csv',
        ),
      ),
    ).toEqual([])
    expect(
      findingsOf(
        factsOf(
          'statement 2024-03-14 2024-03-15 file a.csv \n statement 2024-03-19 2024-03-19 file b.csv',
        ),
      ),
    ).toEqual(['statement_gap new b.csv'])
  })

  test('a statement that does not add up covers nothing', () => {
    const facts = factsOf(
      `${SOLD} statement 2024-03-01 2024-04-12 opening 0.00 closing 1.00 file a.csv`,
      {
        period: '2024-03-18_2024-04-14',
      },
    )
    expect(findingsOf(facts)).toEqual(['statement_balance new a.csv'])
    expect(settlementsOf(facts)).toEqual(['P1 in_transit -'])
  })

  test('overlapping statements that agree are no gap', () => {
    expect(
      findingsOf(
        factsOf(`
          bank B1 2024-03-19 50.00 OTHER
          statement 2024-03-18 2024-03-22 opening 0.00 closing 50.00 file a.csv
          statement 2024-03-20 2024-03-26 opening 50.00 closing 50.00 file b.csv`),
      ),
    ).toEqual([])
  })
})

describe('two entities', () => {
  const OTHER = 'FR7610278060611234567890123'
  /** Two entities, each with an account of its own. */
  function together(first: string, second: string): Facts {
    const [a, b] = [factsOf(first, { entity: 'north' }), factsOf(second, { entity: 'south' })]
    const withIban = (facts: Facts, iban: string): EntityFacts[] =>
      facts.entities.map((entity) => ({ ...entity, account: { ...entity.account, ibans: [iban] } }))
    const entries = [...a.bank.entries, ...b.bank.entries].map((entry, at) => ({
      ...entry,
      id: String(at),
    }))
    return {
      ...a,
      entities: [...withIban(a, ACCOUNT), ...withIban(b, OTHER)],
      bank: { entries, statements: [...a.bank.statements, ...b.bank.statements], pinned: [] },
    }
  }
  const covered = `statement 2024-03-01 2024-04-14 \n statement 2024-03-01 2024-04-14 at=${OTHER}`
  const south = `sale T2 2024-03-15 103.00 fee 3.00 -> P2 \n payout P2 2024-03-18 100.00`

  test('equal amounts of two entities each find the line on the own account', () => {
    const facts = together(
      `${SOLD} bank B1 2024-03-20 100.00 ALMA \n ${covered}`,
      `${south} \n bank B2 2024-03-20 100.00 ALMA at=${OTHER}`,
    )
    expect(findingsOf(facts)).toEqual([])
    expect(settlementsOf(facts)).toEqual(['P1 matched amount_date B1', 'P2 matched amount_date B2'])
  })

  test('money at the other entity’s account is one finding that stands for the payout too', () => {
    const facts = together(
      `${SOLD} bank B1 2024-03-20 100.00 ALMA P1 at=${OTHER} \n ${covered}`,
      '',
    )
    expect(findingsOf(facts)).toEqual(['deposit_wrong_account new B1'])
    expect(settlementsOf(facts)).toEqual(['P1 elsewhere - B1'])
  })

  test('an account that no entity names is nobody’s', () => {
    const facts = together(
      `${SOLD} bank B1 2024-03-20 100.00 ALMA P1 at=FR00NOBODY \n ${covered}`,
      '',
    )
    expect(findingsOf(facts)).toEqual(['deposit_missing new P1'])
  })
})

test('lines of others that have a missing amount are told in order of their days, however they come', () => {
  const lines = ['B3 2024-03-26', 'B1 2024-03-19', 'B2 2024-03-21'].map(
    (line) => `bank ${line} 100.00 BAKERY`,
  )
  const told = [lines, lines.toReversed()].map((inOrder) => {
    const { discrepancies } = reconcile(factsOf([SOLD, ...inOrder, COVERED].join('\n')))
    return discrepancies.map(({ explanation }) => explanation)
  })
  expect(told[0]?.[0]).toContain(
    'stands in bank line B1 of 2024-03-19, bank line B2 of 2024-03-21, bank line B3 of 2024-03-26,',
  )
  expect(told[1]).toEqual(told[0])
})
