/** What a difference may be: hypotheses tested to the cent, told as something that can be checked. */
import { describe, expect, test } from 'vitest'
import { reconcile } from '../../src/domain/reconcile.ts'
import { factsOf } from './scenario.ts'

const COVERED = 'statement 2024-03-01 2024-04-14'

function explanationOf(code: string, given: string): string {
  const { discrepancies } = reconcile(factsOf(given))
  const found = discrepancies.filter((row) => row.code === code)
  expect(found.map((row) => row.code)).toEqual([code])
  // Ids are lengthened with x by the scenario.
  return (found[0]?.explanation ?? '').replaceAll(/payout_11kAbCdEfG(P\d+)x+/g, '$1')
}

/** Two sales that P1 pays, and what it pays of them. */
function paid(amount: string, ...more: string[]): string {
  return [
    'sale T1 2024-03-15 103.00 fee 3.00 -> P1',
    'sale T2 2024-03-15 51.50 fee 1.50 -> P1',
    ...more,
    `payout P1 2024-03-18 ${amount} \n bank B1 2024-03-19 ${amount} ALMA P1 \n ${COVERED}`,
  ].join('\n')
}

describe('a residual', () => {
  const cases: readonly { what: string; given: string; told: string }[] = [
    {
      what: 'equals a row that is in no payout',
      given: paid('130.00', 'adjust T3 2024-03-15 -20.00'),
      told: 'It would add up with row balance_txn_T3 (from_adjustment, -20.00 EUR net), which is in no payout.',
    },
    {
      what: 'equals a row of another payout',
      given: paid(
        '130.00',
        'adjust T3 2024-03-15 -20.00 -> P2 \n adjust T4 2024-03-15 90.00 -> P2 \n payout P2 2024-03-19 70.00 \n bank B2 2024-03-20 70.00 ALMA P2',
      ),
      told: 'It would add up with row balance_txn_T3 (from_adjustment, -20.00 EUR net), which is in payout P2.',
    },
    {
      what: 'equals a refund that the ledger does not have',
      given: paid('129.00', 'asked R1 2024-04-10 21.00 on S1 of 103.00'),
      told: 'It equals refund R1 of 2024-04-10 on payment S1, which the ledger does not have: it may have been deducted without a row.',
    },
    {
      what: 'equals a row that was not paid',
      given: paid('100.00'),
      told: 'It would add up without row balance_txn_T2 (from_transaction, 50.00 EUR net), which names this payout.',
    },
    {
      what: 'equals the fee of a row, taken twice',
      given: paid('147.00'),
      told: 'It equals the fee of 3.00 EUR on row balance_txn_T1, as if taken twice.',
    },
    {
      what: 'equals the fee of a row, not taken',
      given: paid('151.50'),
      told: 'It equals the fee of 1.50 EUR on row balance_txn_T2, as if not taken.',
    },
    {
      what: 'equals all fees',
      given: paid('154.50'),
      told: 'It equals all fees of its sales, 4.50 EUR, as if paid out gross.',
    },
    {
      what: 'equals the VAT on a fee',
      given: paid('149.40'),
      told: 'It equals the VAT of 20 % on the fee of 3.00 EUR on row balance_txn_T1.',
    },
    {
      what: 'equals the VAT on all fees',
      given: paid('149.10'),
      told: 'It equals the VAT of 20 % on all fees of its sales, 4.50 EUR.',
    },
    {
      what: 'equals the payout of the day before, paid again',
      given: paid(
        '240.00',
        'adjust T4 2024-03-14 90.00 -> P0 \n payout P0 2024-03-15 90.00 \n bank B0 2024-03-18 90.00 ALMA P0',
      ),
      told: 'It equals payout P0 of 2024-03-15 over 90.00 EUR, as if that was paid out again.',
    },
    {
      what: 'equals nothing of these',
      given: paid('137.77'),
      told: 'No single row, refund, fee, VAT amount or other payout equals this difference.',
    },
  ]
  test.each(cases)('$what', ({ given, told }) => {
    expect(explanationOf('payout_residual', given)).toContain(told)
  })

  test('is off by the sign of a row', () => {
    // The rows sum to 130.00; with +20.00 instead of -20.00 they would sum to 170.00.
    const given = paid('170.00', 'adjust T3 2024-03-15 -20.00 -> P1')
    expect(explanationOf('payout_residual', given)).toContain(
      'It would add up if row balance_txn_T3 (from_adjustment, -20.00 EUR net) counted with the opposite sign.',
    )
  })

  test('is told of both payouts that it moved between', () => {
    const given = paid(
      '138.00',
      'adjust T4 2024-03-15 90.00 -> P2 \n payout P2 2024-03-20 102.00 \n bank B2 2024-03-21 102.00 ALMA P2',
    )
    const { discrepancies } = reconcile(factsOf(given))
    expect(discrepancies.map(({ code }) => code)).toEqual(['payout_residual', 'payout_residual'])
    expect(discrepancies[0]?.explanation).toMatch(
      /Payout \S+P2x+ of 2024-03-20 is off by as much the other way round, so the two add up together\./,
    )
  })

  test('says how much too little or too much was paid out', () => {
    expect(explanationOf('payout_residual', paid('137.77'))).toMatch(
      /^The 2 rows of payout P1 sum to 150\.00 EUR net, but 137\.77 EUR was paid out: 12\.23 EUR too little\./,
    )
    expect(explanationOf('payout_residual', paid('151.11'))).toContain(': 1.11 EUR too much.')
  })

  test('that fits many things names three of them and counts the rest', () => {
    const alike = Array.from({ length: 5 }, (_, at) => `adjust T${at + 3} 2024-03-15 -20.00`)
    const text = explanationOf('payout_residual', paid('130.00', ...alike))
    expect(text.match(/It would add up with row/g)).toHaveLength(3)
    expect(text).toContain('2 more things fit as well.')
  })

  test('looks at no row that is older than two months', () => {
    const given = paid('130.00', 'adjust T3 2024-01-10 -20.00')
    expect(explanationOf('payout_residual', given)).not.toContain('balance_txn_T3')
  })
})

describe('a deposit of another amount', () => {
  const came = (amount: string, ...more: string[]): string =>
    [
      'sale T1 2024-03-15 103.00 fee 3.00 -> P1',
      'sale T2 2024-03-15 51.50 fee 1.50 -> P1',
      ...more,
      `payout P1 2024-03-18 150.00 \n bank B1 2024-03-19 ${amount} ALMA P1 \n ${COVERED}`,
    ].join('\n')
  const cases: readonly { what: string; given: string; told: string }[] = [
    {
      what: 'the rest stands in a line of somebody else',
      given: came('143.50', 'bank B2 2024-03-19 6.50 COMPENSATION BANQUE'),
      told: "The difference stands in the bank line B2 of 2024-03-19, which does not look like Alma's.",
    },
    {
      what: 'equals a refund that another payout has settled',
      given: came(
        '130.00',
        'refund T3 2024-03-15 -20.00 R1 pay S1 -> P2 \n asked R1 2024-03-15 20.00 on S1 of 103.00 \n adjust T4 2024-03-15 90.00 -> P2 \n payout P2 2024-03-19 70.00 \n bank B2 2024-03-20 70.00 ALMA P2',
      ),
      told: 'It equals refund R1 (row balance_txn_T3) of -20.00 EUR net, which payout P2 has settled.',
    },
    {
      what: 'equals an open row',
      given: came('130.00', 'adjust T3 2024-04-10 -20.00'),
      told: 'It equals row balance_txn_T3 (from_adjustment) of -20.00 EUR net, which is in no payout.',
    },
    {
      what: 'equals all fees, taken once more',
      given: came('145.50'),
      told: 'It equals all fees of its sales, 4.50 EUR, as if taken once more.',
    },
    {
      what: 'equals the VAT on all fees',
      given: came('149.10'),
      told: 'It equals the VAT of 20 % on all fees of its sales, 4.50 EUR.',
    },
    {
      what: 'equals another payout that was set off',
      given: came(
        '100.10',
        'adjust T4 2024-03-20 49.90 -> P2 \n payout P2 2024-03-21 49.90 \n bank B2 2024-03-22 49.90 ALMA P2',
      ),
      told: 'It equals payout P2 of 2024-03-21, as if that was set off against it.',
    },
    {
      what: 'equals nothing of these',
      given: came('148.77'),
      told: 'No other line, refund, open row, sum of fees, VAT on them or other payout equals the difference.',
    },
  ]
  test.each(cases)('$what', ({ given, told }) => {
    expect(explanationOf('deposit_amount', given)).toContain(told)
  })
})
