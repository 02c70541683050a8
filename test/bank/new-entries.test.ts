import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fingerprint } from '../../src/bank/fingerprint.ts'
import { knownAccount, newEntries, remember } from '../../src/bank/new-entries.ts'
import {
  type BankEntry,
  type BankStatement,
  balanceState,
} from '../../src/domain/bank-statement.ts'
import { addDays, type Day, parseDay } from '../../src/domain/day.ts'
import { sumOf } from '../../src/domain/money.ts'

const FIRST = parseDay('2024-03-18')

/** A statement as `DAYS OPENING>CLOSING: DAY AMOUNT TEXT ID, …`, days of March 2024, balances maybe `?`. */
function statement(text: string): BankStatement {
  const [, from = '', to = from, opening = '', closing = '', list = ''] =
    /^(\d+)(?:-(\d+))? (\S+)>(\S+):(.*)$/.exec(text) ?? []
  const day = (number: string): Day => parseDay(`2024-03-${number}`)
  return {
    account: 'A1',
    currency: 'EUR',
    statementRef: null,
    sequenceNumber: null,
    fromDay: day(from),
    toDay: day(to),
    openingMinor: opening === '?' ? null : BigInt(opening),
    closingMinor: closing === '?' ? null : BigInt(closing),
    entries: list
      .split(',')
      .filter((item) => item.trim() !== '')
      .map((item, index) => {
        const [booked = '', amount = '', words = '', id] = item.trim().split(' ')
        const plain = entry(day(booked), BigInt(amount), words, index + 1)
        return id === undefined ? plain : { ...plain, bankReference: id }
      }),
  }
}

function entry(bookingDay: Day, amountMinor: bigint, words: string, position: number): BankEntry {
  return {
    account: 'A1',
    bookingDay,
    valueDay: null,
    amountMinor,
    currency: 'EUR',
    counterpartyName: null,
    counterpartyIban: null,
    endToEndId: null,
    remittance: [words],
    bankReference: null,
    isReversal: false,
    place: `line ${position}`,
    position,
    raw: '',
  }
}

/** Imports files of one statement each; what was new in each, as `DAY AMOUNT TEXT#RANK`, what was suspected, and the days in doubt. */
function importing(files: readonly (BankStatement | readonly BankStatement[])[]) {
  let known = knownAccount([], [])
  let source = 0
  return files.map((file) => {
    known = knownAccount(
      [...known.statements.values()].map((earlier) => ({ ...earlier, isSameFile: false })),
      [...known.days.values()].flatMap(({ entries }) => entries),
    )
    const added: string[] = []
    for (const incoming of [file].flat()) {
      const movementMinor = sumOf(incoming.entries.map(({ amountMinor }) => amountMinor))
      const state = balanceState(incoming, movementMinor)
      const found = newEntries(
        {
          statement: {
            ...incoming,
            entries: incoming.entries.map((one) => ({
              ...one,
              fingerprint: fingerprint(one, one.bankReference !== null),
            })),
          },
          movementMinor,
          balanceState: state,
        },
        known,
      )
      const { fromDay, toDay, openingMinor, closingMinor } = incoming
      source += 1
      remember(
        known,
        {
          source,
          isSameFile: true,
          fromDay,
          toDay,
          openingMinor,
          closingMinor,
          movementMinor,
          balanceState: state,
        },
        found.entries,
      )
      added.push(
        ...found.entries.map(
          ({ entry: { bookingDay, amountMinor, remittance }, rank }) =>
            `${bookingDay.slice(8)} ${amountMinor} ${remittance.join('')}#${rank}`,
        ),
        ...found.suspects.map(
          ({ entry: { bookingDay, amountMinor, remittance } }) =>
            `suspected ${bookingDay.slice(8)} ${amountMinor} ${remittance.join('')}`,
        ),
        ...found.doubts.map(({ day, outcome }) => `${outcome} on ${day.slice(8)}`),
      )
    }
    return added
  })
}

describe('overlapping files', () => {
  test.each<[string, string[], string[][]]>([
    [
      'the same statement again brings nothing',
      ['18 0>3: 18 1 a, 18 2 b', '18 0>3: 18 1 a, 18 2 b'],
      [['18 1 a#1', '18 2 b#1'], []],
    ],
    [
      'equal entries of one day all survive, however often they are told',
      ['18 ?>?: 18 5 x, 18 5 x', '18-19 ?>?: 18 5 x, 18 5 x, 19 5 x'],
      [['18 5 x#1', '18 5 x#2'], ['19 5 x#1']],
    ],
    [
      'a file cut at midday and then the whole day',
      ['18 ?>?: 18 5 x, 18 7 y', '18 ?>?: 18 5 x, 18 7 y, 18 5 x'],
      [['18 5 x#1', '18 7 y#1'], ['18 5 x#2']],
    ],
    [
      'the whole day and then a part of it',
      ['18 ?>?: 18 5 x, 18 5 x', '18 ?>?: 18 5 x'],
      [['18 5 x#1', '18 5 x#2'], []],
    ],
    [
      'two halves of a day whose balances follow each other are two, though their entries are equal',
      ['18 100>105: 18 5 x', '18 105>110: 18 5 x'],
      [['18 5 x#1'], ['18 5 x#2']],
    ],
    [
      'the same the other way round',
      ['18 105>110: 18 5 x', '18 100>105: 18 5 x'],
      [['18 5 x#1'], ['18 5 x#2']],
    ],
    [
      'three parts of a day, each with an equal entry',
      ['18 100>105: 18 5 x', '18 105>110: 18 5 x', '18 110>115: 18 5 x'],
      [['18 5 x#1'], ['18 5 x#2'], ['18 5 x#3']],
    ],
    [
      'three parts of a day and then the whole of it',
      ['18 100>105: 18 5 x', '18 105>110: 18 5 x', '18 100>110: 18 5 x, 18 5 x'],
      [['18 5 x#1'], ['18 5 x#2'], []],
    ],
    [
      'the first and the third part of a day, as long as the second is missing',
      ['18 100>105: 18 5 x', '18 110>115: 18 5 x'],
      [['18 5 x#1'], ['merged on 18']],
    ],
    [
      'the same, where the third part has more',
      ['18 100>105: 18 5 x', '18 110>117: 18 5 x, 18 2 y'],
      [['18 5 x#1'], ['18 2 y#1', 'merged on 18']],
    ],
    [
      'a part of a day that another part does not touch',
      ['18 100>105: 18 5 x', '18 105>112: 18 7 y'],
      [['18 5 x#1'], ['18 7 y#1']],
    ],
    [
      'a day that comes back to its balance is not told apart from its copy, and counts once',
      ['18 0>0: 18 5 x, 18 -5 y', '18 0>0: 18 5 x, 18 -5 y'],
      [['18 5 x#1', '18 -5 y#1'], []],
    ],
    [
      'without balances, equal entries of two files are the same',
      ['18 ?>?: 18 5 x', '18 ?>?: 18 5 x'],
      [['18 5 x#1'], []],
    ],
    [
      'a statement that does not add up proves nothing: its entries are compared as they look',
      ['18 100>999: 18 5 x', '18 999>1004: 18 5 x'],
      [['18 5 x#1'], []],
    ],
  ])('%s', (_, files, expected) => {
    expect(importing(files.map(statement))).toEqual(expected)
  })
})

describe('the same days in other words', () => {
  test.each<[string, string[], string[][]]>([
    [
      'equal balances prove that the entries are the same',
      ['18 0>3: 18 1 a, 18 2 b', '18 0>3: 18 1 A-REWORDED, 18 2 B-REWORDED'],
      [['18 1 a#1', '18 2 b#1'], []],
    ],
    [
      'a week after its days',
      ['18 0>1: 18 1 a', '19 1>3: 19 2 b', '18-24 0>7: 18 1 aa, 19 2 bb, 20 4 cc'],
      [['18 1 a#1'], ['19 2 b#1'], ['20 4 cc#1']],
    ],
    [
      'a day after its week',
      ['18-24 0>7: 18 1 a, 19 2 b, 20 4 c', '19 1>3: 19 2 bb'],
      [['18 1 a#1', '19 2 b#1', '20 4 c#1'], []],
    ],
    [
      'the whole of a day of which the beginning is known',
      ['18 0>1: 18 1 a', '18 0>3: 18 1 aa, 18 2 bb'],
      [['18 1 a#1'], ['18 2 bb#1']],
    ],
    [
      'without balances nothing is proved: what has the amount of a known entry is suspected',
      ['18 ?>?: 18 1 a', '18 ?>?: 18 1 aa'],
      [['18 1 a#1'], ['suspected 18 1 aa']],
    ],
    [
      'one to one: of two equal entries, one is suspected and one is new',
      ['18 ?>?: 18 5 a', '18 ?>?: 18 5 x, 18 5 x'],
      [['18 5 a#1'], ['18 5 x#1', 'suspected 18 5 x']],
    ],
    [
      'one that looks like a known entry is not held against another',
      ['18 ?>?: 18 5 a, 18 5 b', '18 ?>?: 18 5 a, 18 5 c'],
      [['18 5 a#1', '18 5 b#1'], ['suspected 18 5 c']],
    ],
    [
      'another amount or another day is another entry',
      ['18-19 ?>?: 18 5 a, 19 6 a', '18-19 ?>?: 18 6 b, 19 5 b'],
      [
        ['18 5 a#1', '19 6 a#1'],
        ['18 6 b#1', '19 5 b#1', 'kept on 18', 'kept on 19'],
      ],
    ],
    [
      'statements that follow each other share nothing, whatever their amounts',
      ['18 100>105: 18 5 a', '18 105>110: 18 5 b'],
      [['18 5 a#1'], ['18 5 b#1']],
    ],
    [
      'a statement with balances after a file without: held back until both are told',
      ['18 ?>?: 18 5 a', '18 0>10: 18 5 x, 18 5 y'],
      [['18 5 a#1'], ['18 5 y#1', 'suspected 18 5 x']],
    ],
    [
      'entries with ids of their own are two, whatever they have in common',
      ['18 ?>?: 18 5 a id1', '18 ?>?: 18 5 a id2'],
      [['18 5 a#1'], ['18 5 a#1', 'kept on 18']],
    ],
    [
      'an entry with an id of its own is the same in any words',
      ['18 ?>?: 18 5 a id1', '18 ?>?: 18 5 b id1'],
      [['18 5 a#1'], []],
    ],
    [
      'a file with ids against one without',
      ['18 ?>?: 18 5 a id1', '18 ?>?: 18 5 b'],
      [['18 5 a#1'], ['suspected 18 5 b']],
    ],
    [
      'other balances prove nothing',
      ['18 0>1: 18 1 a', '18 5>6: 18 1 aa'],
      [['18 1 a#1'], ['18 1 aa#1', 'kept on 18']],
    ],
    [
      'equal balances and other amounts contradict each other',
      ['18 0>3: 18 1 a, 18 2 b', '18 0>3: 18 3 c'],
      [
        ['18 1 a#1', '18 2 b#1'],
        ['18 3 c#1', 'kept on 18'],
      ],
    ],
  ])('%s', (_, files, expected) => {
    expect(importing(files.map(statement))).toEqual(expected)
  })
})

describe('statements of one file', () => {
  test('share nothing, as pages and parts of a day do not', () => {
    expect(importing([[statement('18 ?>?: 18 5 x'), statement('18 ?>?: 18 5 x')]])).toEqual([
      ['18 5 x#1', '18 5 x#2'],
    ])
  })

  test('unless their balances prove that one is a copy of the other', () => {
    expect(importing([[statement('18 0>5: 18 5 x'), statement('18 0>5: 18 5 x')]])).toEqual([
      ['18 5 x#1'],
    ])
  })
})

/** A month of an account: amounts and texts of which many are equal. */
const anyEntries = fc
  .array(
    fc.record({
      day: fc.integer({ min: 0, max: 5 }),
      amountMinor: fc.bigInt({ min: -3n, max: 3n }),
      words: fc.constantFrom('x', 'y'),
    }),
    { maxLength: 30 },
  )
  .map((items) =>
    items
      .sort((one, other) => one.day - other.day)
      .map(({ day, amountMinor, words }, index) =>
        entry(addDays(FIRST, day), amountMinor, words, index + 1),
      ),
  )

const counted = (all: readonly string[]) =>
  all
    .filter((text) => text.includes('#'))
    .map((text) => text.replace(/#\d+$/, ''))
    .sort()

describe('properties', () => {
  const whole = (entries: readonly BankEntry[]) =>
    entries.map((e) => `${e.bookingDay.slice(8)} ${e.amountMinor} ${e.remittance.join('')}`).sort()

  test('statements of whole days, overlapping in any way and order, give each entry once', () => {
    fc.assert(
      fc.property(
        anyEntries,
        fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 })), {
          maxLength: 6,
        }),
        fc.boolean(),
        (entries, spans, hasBalances) => {
          const files = [...spans, [0, 5] as const].map(([a, b]) => {
            const fromDay = addDays(FIRST, Math.min(a, b))
            const toDay = addDays(FIRST, Math.max(a, b))
            const own = entries.filter((e) => e.bookingDay >= fromDay && e.bookingDay <= toDay)
            const before = entries.filter((e) => e.bookingDay < fromDay)
            const openingMinor = sumOf(before.map((e) => e.amountMinor))
            const closingMinor = openingMinor + sumOf(own.map((e) => e.amountMinor))
            const balances = hasBalances
              ? { openingMinor, closingMinor }
              : { openingMinor: null, closingMinor: null }
            return { ...statement('18 ?>?:'), fromDay, toDay, ...balances, entries: own }
          })
          expect(counted(importing(files).flat())).toEqual(whole(entries))
        },
      ),
    )
  })

  test('a day cut into parts with balances that never come back gives each entry once', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('x', 'y'), { minLength: 1, maxLength: 12 }),
        fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        (words, cuts, keys) => {
          const entries = words.map((text, index) => entry(FIRST, 5n, text, index + 1))
          const bounds = [
            0,
            ...cuts.map((cut) => Math.min(cut, entries.length)),
            entries.length,
          ].sort((a, b) => a - b)
          const parts = bounds.slice(1).map((to, index) => {
            const from = bounds[index] ?? 0
            return {
              ...statement('18 ?>?:'),
              openingMinor: BigInt(5 * from),
              closingMinor: BigInt(5 * to),
              entries: entries.slice(from, to),
            }
          })
          const shuffled = parts
            .map((part) => ({ part, key: keys.next().value ?? 0 }))
            .sort((a, b) => a.key - b.key)
            .map(({ part }) => part)
          expect(counted(importing(parts).flat())).toEqual(whole(entries))
          // In any other order an entry may wait for a part that is missing, but never unsaid.
          const said = importing(shuffled).flat()
          if (!said.includes('merged on 18')) expect(counted(said)).toEqual(whole(entries))
        },
      ),
    )
  })
})
