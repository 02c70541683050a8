/** Many payouts and lines at once: nothing is lost, nothing is guessed, and no group is too large. */
import { describe, expect, test } from 'vitest'
import { stepsMax } from '../../src/domain/deposits/subset-sum.ts'
import { addDays } from '../../src/domain/day.ts'
import type { Facts } from '../../src/domain/facts.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { plantDeposits, plantWindow } from './planted-deposits.ts'

/** `payouts|lines`, each match once. */
function named(
  matches: readonly { payoutIds: readonly string[]; bankEntryIds: readonly string[] }[],
): string[] {
  return matches
    .map(({ payoutIds, bankEntryIds }) =>
      [payoutIds.toSorted().join(' '), bankEntryIds.toSorted().join(' ')].join('|'),
    )
    .toSorted()
}

function countOf(items: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const item of items) counts[item] = (counts[item] ?? 0) + 1
  return counts
}

describe('three thousand payouts', () => {
  const planted = plantDeposits({ seed: 'test', payouts: 3_000, otherLines: 3_000, refunds: 100 })
  const found = reconcile(planted.facts)

  test('are matched with the lines that pay them, and with no other', () => {
    expect(named(found.matches)).toEqual(named(planted.matches))
    expect(found.controlFaults).toEqual([])
  })

  test('by every rung that the mix needs', () => {
    expect(Object.keys(countOf(found.matches.map(({ rule }) => rule))).toSorted()).toEqual(
      ['amount_date', 'equal_amount_group', 'merged', 'reference', 'split'].toSorted(),
    )
  })

  test('and the ones that never came are told, each once', () => {
    const codes = countOf(found.discrepancies.map(({ code }) => code))
    const differing = codes['deposit_amount'] ?? 0
    expect((codes['deposit_missing'] ?? 0) + differing).toBe(planted.missing)
  })
})

test('a year of payouts of one amount without any reference is one group, and is paired in order', () => {
  const days = 1_500
  const { facts } = plantDeposits({ seed: 'equal', payouts: days })
  const equal = withEqualAmounts(facts)
  const { matches, discrepancies } = reconcile(equal)
  expect(matches).toHaveLength(days)
  expect(new Set(matches.map(({ rule }) => rule))).toEqual(new Set(['equal_amount_group']))
  expect(matches[0]?.competitors).toBe(2 * days - 2)
  expect(discrepancies).toEqual([])
})

/** The same payouts, each of 50.00, and for each a line of the next day that names nothing. */
function withEqualAmounts(facts: Facts): Facts {
  const [entity] = facts.entities
  const [line] = facts.bank.entries
  if (entity === undefined || line === undefined) throw new Error('nothing was planted')
  const amountMinor = 50_00n
  const payouts = entity.payouts.map((payout) => ({
    ...payout,
    netMinor: amountMinor,
    ownRows: payout.ownRows.map((row) => ({
      ...row,
      amountMinor: -amountMinor,
      netMinor: -amountMinor,
    })),
  }))
  const firstS = payouts[0]?.ownRows[0]?.createdS ?? 0
  const firstDay = line.bookingDay
  const entries = payouts.map(({ ownRows }, at) => {
    const daysLater = Math.floor(((ownRows[0]?.createdS ?? 0) - firstS) / 86_400 + 0.5)
    const reference = `E${String(at).padStart(6, '0')}`
    return {
      ...line,
      id: reference,
      reference,
      bankReference: reference,
      fingerprint: reference,
      amountMinor,
      remittance: ['VIR ALMA SAS'],
      bookingDay: addDays(firstDay, daysLater + 1),
    }
  })
  return {
    ...facts,
    entities: [{ ...entity, payouts, movements: [], closingBalances: [] }],
    bank: { ...facts.bank, entries },
  }
}

describe('two hundred open payouts in one window', () => {
  const cents = Array.from({ length: 200 }, (_, at) => 100_00n + BigInt(at))

  test('whose sums collide: the line is refused, with how many explanations there are', () => {
    const { matches, discrepancies, settlements } = reconcile(plantWindow(cents, [300_99n]))
    expect(matches).toEqual([])
    const ofLines = discrepancies.filter(({ code }) => code === 'deposit_ambiguous')
    expect(ofLines).toHaveLength(1)
    expect(ofLines[0]?.explanation).toMatch(
      /^Bank line xx001-00000001 of 2019-01-03 of 300\.99 EUR can be explained in several ways, so none was taken: there are more than 100 explanations: (payout_\w+ \(\d+\.\d\d EUR\)( \+ )?){2,4};/,
    )
    expect(ofLines[0]?.explanation).toContain('; …. What settles it is the payment advice')
    const statuses = countOf(settlements.map(({ status }) => status))
    expect((statuses['ambiguous'] ?? 0) + (statuses['missing'] ?? 0)).toBe(200)
  })

  test('stay in the bound that is stated, which grows with the square of the open items', () => {
    expect(stepsMax(200)).toBe(43_600)
  })
})
