import { describe, expect, test } from 'vitest'
import { mailText } from '../../reports/mail.ts'
import { plansCsv } from '../../reports/plans-csv.ts'
import { parseDay } from '../../src/domain/day.ts'
import type { PlanRow } from '../../src/domain/reconciliation.ts'
import { reconciliation } from './sample.ts'

const row: PlanRow = {
  entity: 'shop',
  plan: 'P3X',
  currency: 'EUR',
  minimumMinor: 5_000n,
  maximumMinor: 200_000n,
  isOffered: true,
  reasons: [],
  since: parseDay('2024-03-14'),
  previous: 'offered, 50.00 to 1000.00 EUR',
  sales: 3,
  grossMinor: 30_000n,
  feesMinor: -1_140n,
  feeRate: 380n,
}

const TITLES =
  'entity,plan,currency,minimum,maximum,eligible,reason,since,previous,sales,gross,fees,fee_rate_percent'

describe('plans.csv', () => {
  test('has a row a plan, and its titles where there is none', () => {
    expect(plansCsv([], 'iso')).toBe(`${TITLES}\n`)
    expect(plansCsv([row], 'iso')).toBe(
      `${TITLES}\nshop,P3X,EUR,50.00,2000.00,yes,,2024-03-14,"offered, 50.00 to 1000.00 EUR",3,300.00,-11.40,3.80\n`,
    )
  })

  test('leaves empty what is not known, and lists reasons', () => {
    const unknown = { minimumMinor: null, maximumMinor: null, since: null, previous: null }
    const sales = { sales: 0, grossMinor: 0n, feesMinor: 0n, feeRate: null }
    const refused = { ...row, ...unknown, ...sales, isOffered: false, reasons: ['a', 'b'] }
    const nameless = { ...row, ...unknown, plan: null, isOffered: null, feeRate: 0n }
    expect(plansCsv([refused, nameless], 'iso').split('\n').slice(1, 3)).toEqual([
      'shop,P3X,EUR,,,no,a b,,,0,0.00,0.00,',
      'shop,,EUR,,,,,,,3,300.00,-11.40,0.00',
    ])
  })

  test('in French has decimal commas, in the rate as well', () => {
    expect(plansCsv([row], 'fr')).toContain(';50,00;2000,00;yes;')
    expect(plansCsv([row], 'fr')).toMatch(/;-11,40;3,80\n$/)
  })
})

test('a mail begins with merchants that may not create payments, and tells odd answers among the rest', () => {
  const plans = {
    rows: [],
    stops: [{ entity: 'shop', since: parseDay('2024-03-20') }],
    remarks: [{ entity: 'shop', text: 'Instalments do not sum.' }],
  }
  const { text } = mailText({ ...reconciliation, plans }, ['A note.'], false)
  const [, first, second] = text.split('\n\n')
  expect(first).toMatch(/^No payments can be made\n- Alma does not let shop create payments/)
  expect(second).toBe('To know\n- A note.\n- shop: Instalments do not sum.')
  expect(mailText(reconciliation, [], false).text).not.toContain('No payments can be made')
})
