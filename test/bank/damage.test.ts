import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BankFileReading, readBankFile } from '../../src/bank/read-file.ts'
import { balanceState, type BankStatement } from '../../src/domain/bank-statement.ts'
import { sumOf } from '../../src/domain/money.ts'
import { InputFault } from '../../src/errors.ts'
import { fixture } from './reading.ts'

/** Whatever the bytes: a reading, or a fault that names the file. Anything else fails the test. */
async function readOrRefusal(bytes: Uint8Array): Promise<BankFileReading | InputFault> {
  try {
    return await readBankFile(bytes, 'damaged')
  } catch (error) {
    if (!(error instanceof InputFault)) throw error
    expect(error.message).toMatch(/^damaged[,:] /)
    expect(error.message.length).toBeLessThan(400)
    expect(error.hint).toBeDefined()
    return error
  }
}

function entriesIn({ statements }: BankFileReading): number {
  return statements.reduce((count, { entries }) => count + entries.length, 0)
}

function verified({ statements }: BankFileReading): BankStatement[] {
  return statements.filter(
    (statement) =>
      balanceState(statement, sumOf(statement.entries.map((entry) => entry.amountMinor))) ===
      'verified',
  )
}

const FIXTURES = [
  'week-v08.xml',
  'batch-v02.xml',
  'off-schema.xml',
  'prefixed-accounts.xml',
  'canonical-week.csv',
  'canonical-semicolon.csv',
]

describe.each(FIXTURES)('%s', (name) => {
  test('cut off at any byte', async () => {
    const whole = await fixture(name)
    const wholeReading = await readBankFile(whole, 'damaged')
    const entries = entriesIn(wholeReading)
    for (let length = 0; length < whole.length; length += 1) {
      const reading = await readOrRefusal(whole.subarray(0, length))
      if (reading instanceof InputFault) continue
      if (name.endsWith('.xml')) {
        // Only blanks after the end of the document may be missing.
        expect(entriesIn(reading)).toBe(entries)
        expect(Buffer.from(whole.subarray(length)).toString().trim()).toBe('')
      } else if (entriesIn(reading) < entries) {
        // A CSV file has no end mark: what is left of it ends with a whole row, and whatever its
        // balances prove is a statement that lost nothing.
        expect(endsWithWholeRow(whole, length)).toBe(true)
        for (const statement of verified(reading)) {
          expect(verified(wholeReading)).toContainEqual(statement)
        }
      }
    }
  })

  test('any bytes changed', async () => {
    const whole = await fixture(name)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        async (changes) => {
          const changed = Uint8Array.from(whole)
          for (const [at, byte] of changes) changed[at] = byte
          await readOrRefusal(changed)
        },
      ),
      { numRuns: 400 },
    )
  })

  test('pieces cut out or doubled: a statement of the same days and balances has the same entries', async () => {
    const whole = await fixture(name)
    const before = verified(await readBankFile(whole, 'damaged'))
    const isSame = (one: BankStatement, other: BankStatement) =>
      one.account === other.account &&
      one.currency === other.currency &&
      one.openingMinor === other.openingMinor &&
      one.closingMinor === other.closingMinor
    const amounts = ({ entries }: BankStatement) =>
      entries.map(({ amountMinor }) => amountMinor).filter((amountMinor) => amountMinor !== 0n)
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length),
        fc.nat(whole.length),
        fc.boolean(),
        async (one, other, isDoubled) => {
          const [from, to] = [Math.min(one, other), Math.max(one, other)]
          // Doubled, what stands after the piece begins with the piece again.
          const [end, begin] = isDoubled ? [to, from] : [from, to]
          const changed = Buffer.concat([whole.subarray(0, end), whole.subarray(begin)])
          const reading = await readOrRefusal(changed)
          if (reading instanceof InputFault) return
          for (const statement of verified(reading)) {
            const original = before.find((candidate) => isSame(candidate, statement))
            if (original === undefined) continue
            expect(amounts(statement)).toEqual(amounts(original))
          }
        },
      ),
      { numRuns: 400 },
    )
  })

  test('compressed, with any byte changed or cut off: the check sum of gzip notices', async () => {
    const packed = gzipSync(await fixture(name))
    const expected = await readBankFile(packed, 'damaged')
    await fc.assert(
      fc.asyncProperty(
        fc.nat(packed.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, isCut) => {
          const changed = Uint8Array.from(packed)
          changed[at] = (changed[at] ?? 0) ^ flip
          const reading = await readOrRefusal(isCut ? packed.subarray(0, at) : changed)
          if (!(reading instanceof InputFault)) expect(reading).toEqual(expected)
        },
      ),
    )
  })
})

function endsWithWholeRow(whole: Uint8Array, length: number): boolean {
  const text = Buffer.from(whole).toString('latin1')
  const kept = text.slice(0, length)
  return kept.endsWith('\n') || /^[^,;\n]*\r?\n/.test(text.slice(length))
}

test('arbitrary bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      await readOrRefusal(bytes)
    }),
    { numRuns: 500 },
  )
})

test('arbitrary text below the beginning of each format', async () => {
  const beginnings = [
    '<Document><BkToCstmrStmt><Stmt>',
    '<BkToCstmrStmt><Stmt><Ntry>',
    'account,booking_date,amount,currency\n',
    'account;booking_date;amount;currency;opening_balance;closing_balance\n',
  ]
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...beginnings),
      fc.string({ unit: 'binary' }),
      async (beginning, rest) => {
        await readOrRefusal(Buffer.from(beginning + rest))
      },
    ),
    { numRuns: 500 },
  )
})

test('cells of any text survive the way through a CSV file', async () => {
  // Control characters are refused; blanks around a cell do not count.
  const cell = fc.string({ unit: 'grapheme' }).filter((text) => text.trim() === text && text !== '')
  await fc.assert(
    fc.asyncProperty(fc.array(cell, { minLength: 1, maxLength: 5 }), async (cells) => {
      const rows = cells.map((text) => `A1,2024-03-18,1.00,EUR,"${text.replaceAll('"', '""')}"`)
      const reading = await readOrRefusal(
        Buffer.from(['account,booking_date,amount,currency,remittance', ...rows, ''].join('\r\n')),
      )
      if (reading instanceof InputFault) throw reading
      const [statement] = reading.statements
      expect(statement?.entries.map(({ remittance }) => remittance)).toEqual(
        cells.map((text) => [text]),
      )
    }),
  )
})
