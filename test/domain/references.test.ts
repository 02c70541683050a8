/** What a bank line names, held against a search that compares every place with every payout. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  indexReferences,
  namedPayouts,
  nameOf,
  type PayoutReference,
} from '../../src/domain/deposits/references.ts'

const VISIBLE_MIN = 12

const ENTITY = 'shop'
const payoutOf = (payoutId: string): PayoutReference => ({
  entity: ENTITY,
  payoutId,
  name: nameOf({ entity: ENTITY, payoutId }),
})

const letters = (min: number, max: number) =>
  fc.string({ unit: fc.constantFrom('a', 'B', '7'), minLength: min, maxLength: max })
/** Of few characters, many with one beginning: they are alike, contain each other, stand in lines by accident. */
const ids = fc.uniqueArray(
  fc
    .tuple(
      fc.constantFrom('payout_', 'po_', ''),
      fc.oneof(
        letters(1, 16),
        letters(0, 3).map((end) => `a7BBa77aB7aB${end}`),
      ),
    )
    .map(([prefix, rest]) => `${prefix}${rest}`),
  { minLength: 1, maxLength: 8 },
)
const rubbish = fc.string({ unit: fc.constantFrom('A', 'b', '7', ' ', '-', 'é'), maxLength: 9 })

function plain(text: string): string {
  return text
    .normalize('NFKD')
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '')
}

function inLine(payoutId: string): string {
  const rest = plain(payoutId.replace(/^[a-z]+_/i, ''))
  return rest.length >= VISIBLE_MIN ? rest : plain(payoutId)
}

/** At each place the payouts of which most is visible, at least the first 12 characters or all. */
function searched(texts: readonly string[], payoutIds: readonly string[]): string[][] {
  const groups = new Map<string, string[]>()
  for (const text of texts.map(plain)) {
    for (let at = 0; at < text.length; at += 1) {
      const seen = payoutIds.map((payoutId) => {
        const id = inLine(payoutId)
        let visible = 0
        while (visible < id.length && text[at + visible] === id[visible]) visible += 1
        return {
          payoutId,
          visible,
          counts: visible > 0 && visible >= Math.min(id.length, VISIBLE_MIN),
        }
      })
      const counting = seen.filter(({ counts }) => counts)
      const most = Math.max(0, ...counting.map(({ visible }) => visible))
      const group = counting.filter(({ visible }) => visible === most).map((one) => one.payoutId)
      if (group.length > 0) groups.set(group.toSorted().join(' '), group.toSorted())
    }
  }
  const all = [...groups.values()]
  return all.filter(
    (group) =>
      !all.some(
        (other) => other.length < group.length && other.every((one) => group.includes(one)),
      ),
  )
}

test('a line names the payouts of which most is visible at a place, and no others', () => {
  const lines = ids.chain((payoutIds) =>
    fc.record({
      payoutIds: fc.constant(payoutIds),
      remittance: fc.array(
        fc.oneof(
          rubbish,
          fc
            .tuple(rubbish, fc.constantFrom(...payoutIds), fc.nat(24), rubbish)
            .map(([before, id, length, after]) => `${before}${id.slice(0, length)}${after}`),
        ),
        { maxLength: 3 },
      ),
      endToEndId: fc.option(fc.constantFrom(...payoutIds)),
      bankReference: fc.option(rubbish),
    }),
  )
  const seen = { one: 0, several: 0 }
  fc.assert(
    fc.property(lines, ({ payoutIds, ...line }) => {
      const found = namedPayouts(line, indexReferences(payoutIds.map(payoutOf))).map((group) =>
        group.map(({ payoutId }) => payoutId).toSorted(),
      )
      const fields = [line.remittance.join(''), line.endToEndId ?? '', line.bankReference ?? '']
      const expected = searched(fields, payoutIds)
      if (expected.some((group) => group.length === 1)) seen.one += 1
      if (expected.some((group) => group.length > 1)) seen.several += 1
      expect(found.map((group) => group.join(' ')).toSorted()).toEqual(
        expected.map((group) => group.join(' ')).toSorted(),
      )
    }),
    { numRuns: 2_000 },
  )
  expect(seen.one).toBeGreaterThan(300)
  expect(seen.several).toBeGreaterThan(100)
})
