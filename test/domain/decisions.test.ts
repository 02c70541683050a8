import { describe, expect, test } from 'vitest'
import { parseDay, startOfDay } from '../../src/domain/day.ts'
import { standingDecisions } from '../../src/domain/decisions.ts'
import { objectionTo } from '../../src/domain/deposits/objections.ts'
import {
  type ClosedPeriod,
  type Decision,
  type Facts,
  type LateRow,
  NO_RECORD,
  type PeoplesRecord,
  type PinnedMatch,
} from '../../src/domain/facts.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { factsOf, findingsOf, type ScenarioOptions, settlementsOf } from './scenario.ts'

const COVERED = 'statement 2024-03-01 2024-06-30'
const SOLD = `
  sale T1 2024-03-15 103.00 fee 3.00 -> P1
  payout P1 2024-03-18 100.00
`
const SOLD_TWICE = `${SOLD}
  sale T2 2024-03-16 103.00 fee 3.00 -> P2
  payout P2 2024-03-19 100.00
`

/** The whole id of a scenario's payout. */
function payoutId(facts: Facts, short: string): string {
  const found = facts.entities
    .flatMap(({ payouts }) => payouts)
    .find((payout) => payout.payoutId.includes(`EfG${short}x`))
  if (found === undefined) throw new Error(`the scenario has no payout ${short}`)
  return found.payoutId
}

function entryId(facts: Facts, reference: string): string {
  const found = facts.bank.entries.find((entry) => entry.reference === reference)
  if (found === undefined) throw new Error(`the scenario has no bank line ${reference}`)
  return found.id
}

interface Told {
  readonly kind: Decision['kind']
  readonly payouts?: readonly string[]
  readonly lines?: readonly string[]
  readonly discrepancy?: string
  readonly by?: string
}

/** Facts with what people decided, oldest first. */
function decided(facts: Facts, ...told: readonly Told[]): Facts {
  const decisions = told.map(
    ({ kind, payouts = [], lines = [], discrepancy = null, by = 'Marie' }, at): Decision => ({
      decisionNumber: at + 1,
      entity: 'default',
      kind,
      payoutIds: payouts.map((short) => payoutId(facts, short)),
      bankEntryIds: lines.map((reference) => entryId(facts, reference)),
      discrepancyId: discrepancy,
      by,
      reason: 'as the advice says.',
      decidedS: startOfDay(parseDay('2024-05-02'), 'Europe/Paris') + at,
    }),
  )
  return withRecord(facts, { decisions })
}

function withRecord(facts: Facts, record: Partial<PeoplesRecord>): Facts {
  return { ...facts, record: { ...NO_RECORD, ...record } }
}

function pinned(facts: Facts, short: string, reference: string, rule = 'amount_date' as const) {
  const pin: PinnedMatch = {
    matchId: '7',
    entity: 'default',
    rule,
    evidence: 'the only line of this amount',
    competitors: 0,
    payoutIds: [payoutId(facts, short)],
    bankEntryIds: [entryId(facts, reference)],
    period: '2024-W12',
  }
  return { ...facts, bank: { ...facts.bank, pinned: [pin] } }
}

function explanationOf(facts: Facts, code: string): string {
  const rows = reconcile(facts).discrepancies.filter((row) => row.code === code)
  expect(rows).toHaveLength(1)
  return rows[0]?.explanation ?? ''
}

describe('a decided match', () => {
  test('comes before every rung, also before a reference', () => {
    const facts = factsOf(
      `${SOLD} bank B1 2024-03-20 100.00 ALMA P1 \n bank B2 2024-03-21 100.00 ALMA \n ${COVERED}`,
    )
    expect(settlementsOf(facts)).toEqual(['P1 matched reference B1'])
    const after = decided(facts, { kind: 'match', payouts: ['P1'], lines: ['B2'] })
    expect(settlementsOf(after)).toEqual(['P1 matched manual B2'])
    expect(findingsOf(after)).toEqual(['deposit_unexpected new B1'])
    expect(explanationOf(after, 'deposit_unexpected')).toMatch(
      /It names payout payout_11kAbCdEfGP1x+, which is matched with bank line B2 of 2024-03-21 \(manual: decided by Marie on 2024-05-02: as the advice says\)/,
    )
  })

  test('takes a line that does not look like the provider’s, and counts it as received', () => {
    const facts = factsOf(`${SOLD} bank B1 2024-03-20 100.00 VIREMENT RECU \n ${COVERED}`)
    expect(findingsOf(facts)).toEqual(['deposit_missing new P1'])
    const after = decided(facts, { kind: 'match', payouts: ['P1'], lines: ['B1'] })
    expect(findingsOf(after)).toEqual([])
    expect(settlementsOf(after)).toEqual(['P1 matched manual B1'])
    const received = reconcile(after).summary.find(({ line }) => line === 'deposits_received')
    expect(received).toMatchObject({ amountMinor: 100_00n, rows: 1 })
  })

  test('ties money that came too late to be tied by a rule: its week says so, the week it came clears', () => {
    const given = `${SOLD} bank B1 2024-05-06 100.00 ALMA \n ${COVERED}`
    const inWeek = (period: string): string[] => {
      const facts = factsOf(given, { period, asOf: '2024-06-15' })
      return findingsOf(decided(facts, { kind: 'match', payouts: ['P1'], lines: ['B1'] }))
    }
    const before = factsOf(given, { period: '2024-W19', asOf: '2024-06-15' })
    expect(findingsOf(before)).toEqual(['deposit_missing open P1', 'deposit_unexpected new B1'])
    expect(inWeek('2024-W12')).toEqual(['deposit_late new P1'])
    expect(inWeek('2024-W19')).toEqual(['deposit_missing cleared P1'])
    expect(inWeek('2024-W20')).toEqual([])
  })

  test('one line for several payouts, one payout from several lines', () => {
    const merged = factsOf(`${SOLD_TWICE} bank B1 2024-03-21 200.00 VIR \n ${COVERED}`)
    expect(
      settlementsOf(decided(merged, { kind: 'match', payouts: ['P1', 'P2'], lines: ['B1'] })),
    ).toEqual(['P1 matched manual B1', 'P2 matched manual B1'])
    const split = factsOf(
      `${SOLD} bank B1 2024-03-20 130.00 ALMA \n bank B2 2024-03-21 -30.00 ALMA \n ${COVERED}`,
    )
    expect(
      settlementsOf(decided(split, { kind: 'match', payouts: ['P1'], lines: ['B1', 'B2'] })),
    ).toEqual(['P1 matched manual B1 B2'])
  })

  test('whose amounts no longer agree is told, and its payout is judged anew', () => {
    const facts = factsOf(`${SOLD} bank B1 2024-03-20 99.00 ALMA P1 \n ${COVERED}`)
    const after = decided(facts, { kind: 'match', payouts: ['P1'], lines: ['B1'] })
    const { brokenDecisions } = reconcile(after)
    expect(brokenDecisions).toHaveLength(1)
    expect(brokenDecisions[0]?.text).toMatch(
      /^A decision on payout payout_11kAbCdEfGP1x+ no longer holds \(by Marie on 2024-05-02: as the advice says\): the amounts differ by -1\.00 EUR: the payout is 100\.00 EUR, the bank line is 99\.00 EUR\. It was judged anew\.$/,
    )
    expect(explanationOf(after, 'deposit_amount')).toContain(
      'A decision had matched it with bank line B1 of 2024-03-20 (by Marie',
    )
    expect(reconcile(after).settlements[0]?.note).toContain('which no longer holds')
  })

  test('is left aside, not broken, while its line is not known as of the day', () => {
    const facts = factsOf(
      `${SOLD} bank B1 2024-03-26 100.00 ALMA \n statement 2024-03-01 2024-03-26`,
    )
    const earlier: Facts = {
      ...decided(facts, { kind: 'match', payouts: ['P1'], lines: ['B1'] }),
      asOf: parseDay('2024-03-22'),
      bank: { ...facts.bank, entries: [] },
    }
    expect(reconcile(earlier).brokenDecisions).toEqual([])
    expect(settlementsOf(earlier)).toEqual(['P1 in_transit -'])
  })

  test('whose account belongs to nobody any more is told', () => {
    const facts = factsOf(`${SOLD} bank B1 2024-03-20 100.00 ALMA \n ${COVERED}`)
    const after = decided(facts, { kind: 'match', payouts: ['P1'], lines: ['B1'] })
    const [entity] = after.entities
    if (entity === undefined) throw new Error('the scenario has no entity')
    const moved = {
      ...entity,
      account: { ...entity.account, ibans: ['FR7600000000000000000000000'] },
    }
    expect(reconcile({ ...after, entities: [moved] }).brokenDecisions[0]?.text).toContain(
      'of bank line B1 of 2024-03-20 no longer belongs to an entity',
    )
  })

  test('whose payout is gone from the ledger is told', () => {
    const facts = factsOf(`${SOLD} bank B1 2024-03-20 100.00 ALMA \n ${COVERED}`)
    const after = decided(facts, { kind: 'match', payouts: ['P1'], lines: ['B1'] })
    const [entity] = after.entities
    const own = entity?.payouts[0]?.ownRows[0]
    if (entity === undefined || own === undefined) throw new Error('the scenario has no payout')
    const gone: Facts = {
      ...after,
      entities: [
        {
          ...entity,
          payouts: entity.payouts.map((payout) => ({ ...payout, ownRows: [] })),
          changes: [
            {
              row: own,
              field: 'vanished',
              before: null,
              after: null,
              seenAsOf: parseDay('2024-04-02'),
            },
          ],
        },
      ],
    }
    expect(reconcile(gone).brokenDecisions[0]?.text).toContain("Alma's ledger no longer has payout")
  })
})

describe('a refused pair', () => {
  const rungs: readonly { what: string; given: string; findings: readonly string[] }[] = [
    {
      what: 'by reference',
      given: `${SOLD} bank B1 2024-03-20 100.00 ALMA P1`,
      findings: ['deposit_missing new P1', 'deposit_unexpected new B1'],
    },
    {
      what: 'by reference with another amount',
      given: `${SOLD} bank B1 2024-03-20 90.00 ALMA P1`,
      findings: ['deposit_missing new P1', 'deposit_unexpected new B1'],
    },
    {
      what: 'by amount and date',
      given: `${SOLD} bank B1 2024-03-20 100.00 ALMA`,
      findings: ['deposit_missing new P1', 'deposit_unexpected new B1'],
    },
    {
      what: 'late by amount',
      given: `${SOLD} bank B1 2024-03-27 100.00 ALMA`,
      findings: ['deposit_missing new P1'],
    },
    {
      what: 'as the only pair left',
      given: `${SOLD} bank B1 2024-03-20 99.00 ALMA`,
      findings: ['deposit_missing new P1', 'deposit_unexpected new B1'],
    },
    {
      what: 'in several lines that name it',
      given: `${SOLD} bank B1 2024-03-20 60.00 ALMA P1 \n bank B2 2024-03-21 40.00 ALMA P1`,
      findings: ['deposit_unexpected new B1', 'deposit_amount new P1'],
    },
  ]
  test.each(rungs)('is not tied again $what', ({ given, findings }) => {
    const facts = factsOf(`${given} \n ${COVERED}`)
    const after = decided(facts, { kind: 'refuse', payouts: ['P1'], lines: ['B1'] })
    expect(reconcile(after).matches.flatMap(({ bankEntryIds }) => bankEntryIds)).not.toContain('1')
    expect(findingsOf(after).toSorted()).toEqual(findings.toSorted())
  })

  test('leaves the line to another payout and says who refused it', () => {
    const facts = factsOf(`${SOLD_TWICE} bank B1 2024-03-20 100.00 ALMA \n ${COVERED}`)
    expect(settlementsOf(facts)).toEqual(['P1 matched equal_amount_group B1', 'P2 missing -'])
    const after = decided(facts, { kind: 'refuse', payouts: ['P1'], lines: ['B1'] })
    expect(settlementsOf(after)).toEqual(['P1 missing -', 'P2 matched amount_date B1'])
    expect(explanationOf(after, 'deposit_missing')).toContain(
      'A match with bank line B1 of 2024-03-20 was refused by Marie on 2024-05-02: as the advice says.',
    )
  })
})

describe('the latest decision on a subject', () => {
  const facts = factsOf(
    `${SOLD_TWICE} bank B1 2024-03-20 100.00 ALMA \n bank B2 2024-03-21 100.00 ALMA \n ${COVERED}`,
  )
  const P1_B1: Told = { kind: 'match', payouts: ['P1'], lines: ['B1'] }
  const P1_B2: Told = { kind: 'match', payouts: ['P1'], lines: ['B2'] }
  const P2_B1: Told = { kind: 'match', payouts: ['P2'], lines: ['B1'] }
  const NOT_P1_B1: Told = { kind: 'refuse', payouts: ['P1'], lines: ['B1'] }

  test.each<{ what: string; told: readonly Told[]; settlements: readonly string[] }>([
    {
      what: 'of two matches of a payout, the later',
      told: [P1_B1, P1_B2],
      settlements: ['P1 matched manual B2', 'P2 matched amount_date B1'],
    },
    {
      what: 'of two matches of a line, the later',
      told: [P1_B1, P2_B1],
      settlements: ['P1 matched amount_date B2', 'P2 matched manual B1'],
    },
    {
      what: 'a match after the refusal of the pair',
      told: [NOT_P1_B1, P1_B1],
      settlements: ['P1 matched manual B1', 'P2 matched amount_date B2'],
    },
    {
      what: 'a refusal after the match of the pair',
      told: [P1_B1, NOT_P1_B1],
      settlements: ['P1 matched equal_amount_group B2', 'P2 matched equal_amount_group B1'],
    },
    {
      what: 'a refused match does not bring an earlier one back',
      told: [P1_B2, P1_B1, NOT_P1_B1],
      settlements: ['P1 matched equal_amount_group B2', 'P2 matched equal_amount_group B1'],
    },
  ])('$what', ({ told, settlements }) => {
    expect(settlementsOf(decided(facts, ...told))).toEqual(settlements)
  })

  test('matches that stand share no item', () => {
    const { decisions } = decided(facts, P1_B1, P2_B1, P1_B2).record
    expect(
      standingDecisions(decisions).matches.map(({ decisionNumber }) => decisionNumber),
    ).toEqual([2, 3])
  })
})

describe('an accepted discrepancy', () => {
  const given = `${SOLD} ${COVERED}`
  const rowIn = (period: string, told: readonly Told[], options: ScenarioOptions = {}) => {
    const facts = factsOf(given, { ...options, period })
    const [row] = reconcile(facts).discrepancies
    const after = reconcile(
      decided(facts, ...told.map((one) => ({ ...one, discrepancy: row?.discrepancyId ?? '' }))),
    )
    return { row: after.discrepancies[0], summary: after.summary }
  }

  test.each(['2024-W12', '2024-W14'])(
    'is listed in %s and counts neither as new nor open',
    (week) => {
      const { row, summary } = rowIn(week, [{ kind: 'accept' }])
      expect(row).toMatchObject({ code: 'deposit_missing', status: 'accepted' })
      expect(row?.explanation).toMatch(/Accepted by Marie on 2024-05-02: as the advice says\.$/)
      for (const line of ['discrepancies_new', 'discrepancies_open']) {
        expect(summary.find((total) => total.line === line)).toMatchObject({ rows: 0 })
      }
    },
  )

  test('is reopened by the next decision, and counts as open', () => {
    const { row, summary } = rowIn('2024-W14', [{ kind: 'accept' }, { kind: 'reopen', by: 'Paul' }])
    expect(row).toMatchObject({ status: 'reopened' })
    expect(row?.explanation).toMatch(/Reopened by Paul on 2024-05-02: as the advice says\.$/)
    expect(summary.find(({ line }) => line === 'discrepancies_open')).toMatchObject({
      rows: 1,
      amountMinor: 100_00n,
    })
  })

  test('is cleared all the same when the money comes', () => {
    const facts = factsOf(`${SOLD} bank B1 2024-03-27 100.00 ALMA \n ${COVERED}`, {
      period: '2024-W13',
    })
    const [row] = reconcile(facts).discrepancies
    const after = decided(facts, { kind: 'accept', discrepancy: row?.discrepancyId ?? '' })
    expect(findingsOf(after)).toEqual(['deposit_missing cleared P1'])
  })
})

describe('a match that a report named', () => {
  const facts = factsOf(
    `${SOLD} bank B1 2024-03-20 100.00 ALMA \n bank B2 2024-03-21 100.00 ALMA P1 \n ${COVERED}`,
  )

  test('stays when a better one turns up, and the newcomer is told with it', () => {
    const after = pinned(facts, 'P1', 'B1')
    expect(settlementsOf(after)).toEqual(['P1 matched amount_date B1'])
    expect(explanationOf(after, 'deposit_unexpected')).toContain(
      'which is matched with bank line B1 of 2024-03-20 (amount_date: the only line of this amount)',
    )
  })

  test('ends by a refusal, which is told where it leads', () => {
    const after = decided(pinned(facts, 'P1', 'B1'), {
      kind: 'refuse',
      payouts: ['P1'],
      lines: ['B1'],
    })
    expect(settlementsOf(after)).toEqual(['P1 matched reference B2'])
    const { brokenPins, settlements } = reconcile(after)
    expect(brokenPins.map(({ because }) => because)).toEqual([
      'it was refused by Marie on 2024-05-02: as the advice says',
    ])
    expect(settlements[0]?.note).toContain(
      'the report of 2024-W12 had matched it with bank line B1 of 2024-03-20 (amount_date), which no longer holds: it was refused by Marie',
    )
    expect(explanationOf(after, 'deposit_unexpected')).toMatch(
      /The report of 2024-W12 had matched it with payout payout_11kAbCdEfGP1x+ \(amount_date\)/,
    )
  })

  test('ends by a decided match of one of its items', () => {
    const after = decided(pinned(facts, 'P1', 'B1'), {
      kind: 'match',
      payouts: ['P1'],
      lines: ['B2'],
    })
    expect(reconcile(after).brokenPins).toHaveLength(1)
  })

  test('is left aside where the same was decided', () => {
    const after = decided(pinned(facts, 'P1', 'B1'), {
      kind: 'match',
      payouts: ['P1'],
      lines: ['B1'],
    })
    expect(reconcile(after).brokenPins).toEqual([])
    expect(settlementsOf(after)).toEqual(['P1 matched manual B1'])
  })

  test('is told the same by the run that gave it up and by every later one', () => {
    const short = factsOf(`${SOLD} bank B1 2024-03-20 99.00 ALMA P1 \n ${COVERED}`)
    const first = pinned(short, 'P1', 'B1', 'reference' as 'amount_date')
    const { brokenPins, discrepancies, settlements } = reconcile(first)
    const revoked = brokenPins.map(({ pin, because }) => ({ ...pin, because }))
    const later = reconcile(withRecord(short, { revoked }))
    expect(later.discrepancies).toEqual(discrepancies)
    expect(later.settlements).toEqual(settlements)
    expect(discrepancies[0]?.explanation).toContain(
      'The report of 2024-W12 had matched it with bank line B1 of 2024-03-20 (reference), which no longer holds: the payouts are now 100.00 EUR and the bank lines 99.00 EUR.',
    )
  })
})

describe('what stands against a match', () => {
  const given = `${SOLD_TWICE}
    bank B1 2024-03-20 100.00 ALMA P1
    bank B2 2024-03-21 90.00 ALMA
    bank B3 2024-03-21 -100.00 ALMA
    bank B4 2024-03-21 100.00 ALMA ccy=USD
    bank B5 2024-03-21 100.00 VIREMENT
    ${COVERED}`
  const facts = factsOf(given)
  const against = (payouts: readonly string[], lines: readonly string[]) =>
    objectionTo(
      {
        entity: 'default',
        payoutIds: payouts.map((short) => payoutId(facts, short)),
        bankEntryIds: lines.map((reference) => entryId(facts, reference)),
      },
      facts,
      reconcile(facts).matches,
    )?.fact.replaceAll(/payout_11kAbCdEfG(P\d)x+/g, '$1') ?? null

  test.each([
    [['P2'], ['B5'], null],
    [['P1'], ['B1'], null],
    [
      ['P2'],
      ['B1'],
      'payout P1 and bank line B1 of 2024-03-20 are matched with each other (reference: the bank line B1 of 2024-03-20 names the payout and has its amount)',
    ],
    [
      ['P2'],
      ['B2'],
      'payout P2 cannot be matched with bank line B2 of 2024-03-21: the amounts differ by -10.00 EUR: the payout is 100.00 EUR, the bank line is 90.00 EUR',
    ],
    [
      ['P2'],
      ['B3'],
      'payout P2 cannot be matched with bank line B3 of 2024-03-21: the money goes the other way: the payout is 100.00 EUR, the bank line is -100.00 EUR',
    ],
    [
      ['P2'],
      ['B4'],
      'payout P2 cannot be matched with bank line B4 of 2024-03-21: bank line B4 is in USD, and the payout in EUR',
    ],
    [
      ['P1', 'P2'],
      ['B1', 'B5'],
      '2 payouts and 2 bank lines were named; one payout with its lines, or one line with its payouts, was expected',
    ],
  ])('%j and %j: %s', (payouts, lines, fact) => {
    expect(against(payouts, lines)).toBe(fact)
  })
})

describe('a row of a closed period', () => {
  const closed: ClosedPeriod = {
    label: '2024-W12',
    first: parseDay('2024-03-18'),
    last: parseDay('2024-03-24'),
    entities: ['default'],
    closedBy: 'Marie',
    closedS: startOfDay(parseDay('2024-03-27'), 'Europe/Paris'),
  }
  const given = `sale T1 2024-03-18 103.00 fee 3.00 -> P1 \n payout P1 2024-03-18 100.00
    bank B1 2024-03-20 100.00 ALMA P1 \n bank B9 2024-03-21 55.00 ALMA \n ${COVERED}`

  function lateRow(facts: Facts, change: Partial<LateRow>): LateRow {
    const row = facts.entities[0]?.openRows[0] ?? facts.entities[0]?.payouts[0]?.ownRows[0]
    if (row === undefined) throw new Error('the scenario has no row')
    const { kind, currency, amountMinor, feeMinor, netMinor } = row
    const { paymentId, refundId, payoutId: own, includedInPayoutId } = row
    return {
      entity: 'default',
      closed,
      row,
      isGone: false,
      signed: {
        kind,
        currency,
        amountMinor,
        feeMinor,
        netMinor,
        paymentId,
        refundId,
        payoutId: own,
        includedInPayoutId,
      },
      seenAsOf: parseDay('2024-04-09'),
      ...change,
    }
  }

  function late(period: string, change: (row: LateRow) => Partial<LateRow>) {
    const facts = factsOf(`sale T1 2024-03-18 103.00 fee 3.00`, { period, asOf: '2024-04-10' })
    // Without the row's own finding of being unpaid, which is not the point here.
    const policy = { ...facts.policy, unpaidAfterDays: 60 }
    const row = lateRow(facts, {})
    return reconcile(withRecord({ ...facts, policy }, { lateRows: [{ ...row, ...change(row) }] }))
      .discrepancies
  }

  test('that changed is told with before and after, in its period and from where it was seen', () => {
    const change = ({ signed }: LateRow): Partial<LateRow> => ({
      signed: signed && { ...signed, amountMinor: 104_00n, netMinor: 101_00n },
    })
    const places = ['2024-W11', '2024-W12', '2024-W13', '2024-W15', '2024-W16'].map((period) =>
      late(period, change).map(({ code, status }) => `${code} ${status}`),
    )
    expect(places).toEqual([
      [],
      ['late_change new'],
      [],
      ['late_change open'],
      ['late_change open'],
    ])
    const [row] = late('2024-W12', change)
    expect(row).toMatchObject({
      since: '2024-03-18',
      expectedMinor: 101_00n,
      actualMinor: 100_00n,
      differenceMinor: -1_00n,
      balanceTransactionId: 'balance_txn_T1',
    })
    expect(row?.explanation).toBe(
      'Row balance_txn_T1 of the closed period 2024-W12 (signed by Marie on 2024-03-27) changed after the period was signed: amount from 104.00 EUR to 103.00 EUR, net_amount from 101.00 EUR to 100.00 EUR; seen on 2024-04-09. The signed report was not rewritten.',
    )
  })

  test.each<[string, (row: LateRow) => Partial<LateRow>, readonly string[]]>([
    ['appeared', () => ({ signed: null }), ['late_change']],
    ['is gone', () => ({ isGone: true }), ['late_change']],
    ['was never signed and is gone', () => ({ isGone: true, signed: null }), []],
    ['was only paid out', ({ row }) => ({ row: { ...row, includedInPayoutId: 'payout_2' } }), []],
    [
      'moved to another payout',
      ({ row, signed }) => ({
        row: { ...row, includedInPayoutId: 'payout_2' },
        signed: signed && { ...signed, includedInPayoutId: 'payout_1' },
      }),
      ['late_change'],
    ],
    ['is as it was signed', () => ({}), []],
  ])('that %s', (_, change, codes) => {
    expect(late('2024-W12', change).map(({ code }) => code)).toEqual(codes)
  })

  test('of a closed week and a closed month is told once, by the earlier close', () => {
    const facts = factsOf('sale T1 2024-03-18 103.00 fee 3.00', { asOf: '2024-04-01' })
    const row = { ...lateRow(facts, { signed: null }), seenAsOf: parseDay('2024-03-29') }
    const month = { ...closed, label: '2024-03', closedBy: 'Paul' }
    const told = withRecord(facts, { lateRows: [row, { ...row, closed: month }] })
    expect(findingsOf(told)).toEqual(['late_change new balance_txn_T1'])
    expect(explanationOf(told, 'late_change')).toContain('closed period 2024-W12 (signed by Marie')
  })

  test('stands for the change that would be told without the close', () => {
    const facts = factsOf(given, { asOf: '2024-04-10' })
    const row = lateRow(facts, {})
    const [entity] = facts.entities
    if (entity === undefined) throw new Error('the scenario has no entity')
    const changed: Facts = {
      ...facts,
      entities: [
        {
          ...entity,
          changes: [
            {
              row: row.row,
              field: 'paymentId',
              before: 'S7',
              after: null,
              seenAsOf: parseDay('2024-04-09'),
            },
          ],
        },
      ],
    }
    expect(findingsOf(changed)).toContain(`line_changed new ${row.row.id}`)
    const told = withRecord(changed, {
      lateRows: [{ ...row, signed: row.signed && { ...row.signed, paymentId: 'S7' } }],
    })
    expect(findingsOf(told)).toEqual(
      ['deposit_unexpected new B9', `late_change new ${row.row.id}`].toSorted(byDay),
    )
  })

  test('a bank line that appeared is told once, whatever becomes of it', () => {
    const facts = factsOf(given, { asOf: '2024-04-10' })
    const lateEntries = ['B1', 'B9'].map((reference) => ({
      closed,
      bankEntryId: entryId(facts, reference),
      seenAsOf: parseDay('2024-04-09'),
    }))
    const told = withRecord(facts, { lateEntries })
    expect(findingsOf(told)).toEqual(['late_change new B1', 'late_change new B9'])
    const [paid, unexpected] = reconcile(told).discrepancies
    expect(paid?.explanation).toMatch(/It pays payout_11kAbCdEfGP1x+ \(the bank line B1 of/)
    expect(unexpected?.explanation).toContain('belongs to no payout')
    expect(unexpected).toMatchObject({ expectedMinor: 0n, actualMinor: 55_00n })
  })

  test('a line of somebody else that appeared says nothing', () => {
    const facts = factsOf(
      `${SOLD} bank B1 2024-03-20 100.00 ALMA \n bank B2 2024-03-21 9.00 BAKERY \n ${COVERED}`,
    )
    const lateEntries = [
      { closed, bankEntryId: entryId(facts, 'B2'), seenAsOf: parseDay('2024-04-09') },
    ]
    expect(findingsOf(withRecord(facts, { lateEntries }))).toEqual([])
  })
})

/** As reports order them: the payout's day before the line's. */
function byDay(a: string, b: string): number {
  return Number(b.startsWith('late_change')) - Number(a.startsWith('late_change'))
}
