import { describe, expect, test } from 'vitest'
import { readBankFile } from '../../src/bank/read-file.ts'
import { readFixture, readText, refusalOf, told } from './reading.ts'

const HEADER = 'account,booking_date,amount,currency,opening_balance,closing_balance'

describe('canonical CSV fixtures', () => {
  test('two accounts that alternate, two currencies, balances on rows of their own, quoted line breaks', async () => {
    const reading = await readFixture('canonical-week.csv')
    expect(told(reading)).toEqual([
      'FR7630004000031234567890143 EUR 2024-03-18..2024-03-24 1000.00 -> 2133.00 verified',
      '  line 3: 2024-03-19 1204.50 value 2024-03-19 from/to ALMA "SAS" at FR7699999000011234567890147 ref BNK-1 "ALMA, payout_11wYEyTH\\nKhRm"',
      '  line 5: 2024-03-20 -71.50 "FRAIS"',
      'DE89370400440532013000 EUR 2024-03-19..2024-03-22 ? -> ? unverifiable',
      '  line 7: 2024-03-19 10.00',
      '  line 10: 2024-03-22 20.00 e2e E2E-9',
      'FR7630004000031234567890143 EUR 2024-03-25..2024-03-25 2133.00 -> 2133.01 verified',
      '  line 8: 2024-03-25 0.01',
      'DE89370400440532013000 USD 2024-03-21..2024-03-21 ? -> ? unverifiable',
      '  line 9: 2024-03-21 5.10',
    ])
    expect(reading.statements[0]?.entries[0]?.raw).toMatch(/^FR763000.*\nKhRm",.*BNK-1,,$/)
  })

  test('byte order mark, semicolons, CRLF, columns in another order, empty rows, newest first', async () => {
    expect(told(await readFixture('canonical-semicolon.csv'))).toEqual([
      'ES9121000418450200051332 EUR 2024-03-19..2024-03-21 ? -> ? unverifiable',
      '  line 2: 2024-03-21 100.00 "deuxième"',
      '  line 4: 2024-03-19 100.00 "premier"',
    ])
  })
})

describe('statements', () => {
  const statementsOf = async (...rows: string[]) =>
    told(await readText([HEADER, ...rows, ''].join('\n'))).filter((line) => !line.startsWith(' '))

  test('a quiet day is one row without amount', async () => {
    expect(await statementsOf('A1,2024-03-18,,EUR,5.00,5.00')).toEqual([
      'A1 EUR 2024-03-18..2024-03-18 5.00 -> 5.00 verified',
    ])
  })

  test('a row that states only a day takes the currency of its account', async () => {
    expect(await statementsOf('A1,2024-03-18,1.00,EUR,,', 'A1,2024-03-24,,,,')).toEqual([
      'A1 EUR 2024-03-18..2024-03-24 ? -> ? unverifiable',
    ])
  })

  test('an opening balance begins a statement, and so does the row after a closing balance', async () => {
    expect(
      await statementsOf(
        'A1,2024-03-18,1.00,EUR,0.00,1.00',
        'A1,2024-03-19,1.00,EUR,,',
        'A1,2024-03-20,1.00,EUR,2.00,3.00',
      ),
    ).toEqual([
      'A1 EUR 2024-03-18..2024-03-18 0.00 -> 1.00 verified',
      'A1 EUR 2024-03-19..2024-03-19 ? -> ? unverifiable',
      'A1 EUR 2024-03-20..2024-03-20 2.00 -> 3.00 verified',
    ])
  })

  test('a sum that is wrong is read, and says so', async () => {
    expect(await statementsOf('A1,2024-03-18,1.00,EUR,0.00,2.00')).toEqual([
      'A1 EUR 2024-03-18..2024-03-18 0.00 -> 2.00 failed',
    ])
  })

  test('a last row without a line break is read', async () => {
    const text = `${HEADER}\nA1,2024-03-18,1.00,EUR,,`
    expect(told(await readText(text))).toHaveLength(2)
  })

  test('lines of blanks and rows of empty cells at the end are none', async () => {
    expect(await statementsOf('A1,2024-03-18,1.00,EUR,,', '   ', ',,,,,', '\t', '')).toEqual([
      'A1 EUR 2024-03-18..2024-03-18 ? -> ? unverifiable',
    ])
  })

  test('a bare French account number with its key is the account of its IBAN', async () => {
    expect(
      await statementsOf(
        '30006000011234567890189,2024-03-18,1.00,EUR,,',
        'FR76 3000 6000 0112 3456 7890 189,2024-03-19,1.00,EUR,,',
      ),
    ).toEqual(['FR7630006000011234567890189 EUR 2024-03-18..2024-03-19 ? -> ? unverifiable'])
    expect(await statementsOf('30006000011234567890188,2024-03-18,1.00,EUR,,')).toEqual([
      '30006000011234567890188 EUR 2024-03-18..2024-03-18 ? -> ? unverifiable',
    ])
  })

  test('a header alone tells of no statement', async () => {
    expect(await statementsOf()).toEqual([])
  })
})

describe('refused', () => {
  const file = (...rows: string[]) => [HEADER, ...rows, ''].join('\n')
  const good = 'A1,2024-03-18,1.00,EUR,,'

  test.each([
    [
      'a decimal comma',
      file(good, 'A1,2024-03-18,"1,00",EUR,,'),
      'file, line 3, amount: "1,00" is not an amount: digits with a decimal point were expected, such as -1204.50',
    ],
    [
      'a currency that is none',
      file('A1,2024-03-18,1.00,euro,,'),
      'file, line 2, currency: "euro" is not a currency: three capitals were expected, such as EUR',
    ],
    [
      'an amount without a currency',
      file(good, 'A1,2024-03-18,1.00,,,'),
      'file, line 3, currency: the cell is empty',
    ],
    [
      'a French date',
      file('A1,18/03/2024,1.00,EUR,,'),
      'file, line 2, booking_date: "18/03/2024" is not a day: an existing date as YYYY-MM-DD was expected',
    ],
    ['no day', file('A1,,1.00,EUR,,'), 'file, line 2, booking_date: the cell is empty'],
    ['no account', file(',2024-03-18,1.00,EUR,,'), 'file, line 2, account: the cell is empty'],
    [
      'an account spoilt by a spreadsheet',
      file('"7,63E+25",2024-03-18,1.00,EUR,,'),
      'file, line 2, account: "7,63E+25" is not an account: an IBAN or the bank\'s account number was expected',
    ],
    [
      'a row with too few cells',
      file(good, 'A1,2024-03-18,1.00,EUR,'),
      'file, line 3: the row does not have as many cells as the header: it is cut off, or a text with the separator in it is not in quotes',
    ],
    [
      'a quote that stays open',
      file(good, 'A1,2024-03-18,"1.00,EUR,,'),
      'file, line 3: a quote is opened and never closed: the file is cut off, or a quote in a text is not doubled',
    ],
    [
      'a stray quote',
      file('A1,2024-03-18,1"00,EUR,,'),
      'file, line 2: a quote stands where none can be (INVALID_OPENING_QUOTE): in a quoted cell it must be doubled',
    ],
    [
      'a control character',
      file('A1,2024-03-18,1.00,EUR,,', 'A\0,2024-03-18,1.00,EUR,,'),
      'file, line 3: there is a control character (hexadecimal 00), which no statement has: the file is damaged',
    ],
    [
      'unknown columns',
      'account,booking_date,amount,currency,memo,solde\n',
      'file, line 1: the header has columns that are not known: "memo", "solde"',
    ],
    [
      'missing columns',
      'account,booking_date\n',
      'file, line 1: the header has columns that are missing: amount, currency',
    ],
    [
      'a column twice',
      `${HEADER},amount\n`,
      'file, line 1: the header has columns that stand there twice: amount',
    ],
    ['a header without an end', HEADER, 'file, line 1: the file ends inside its header'],
    [
      'tabs',
      `${HEADER.replaceAll(',', '\t')}\n`,
      'file, line 1: the columns are not separated by commas alone or by semicolons alone',
    ],
    [
      'newest first, with balances',
      file('A1,2024-03-20,1.00,EUR,,5.00', 'A1,2024-03-18,1.00,EUR,,'),
      "file, line 3: the row of 2024-03-18 follows a closing balance of 2024-03-20: rows run from the oldest to the newest, with the opening balance on a statement's first row and the closing balance on its last",
    ],
  ])('%s', async (_, text, message) => {
    expect(await refusalOf(text)).toBe(message)
  })

  test('a reference that a spreadsheet spoilt', async () => {
    const text = `${HEADER},end_to_end_id\nA1,2024-03-18,1.00,EUR,,,"6,17761250170673E+025"\n`
    expect(await refusalOf(text)).toBe(
      'file, line 2, end_to_end_id: "6,17761250170673E+025" is what a spreadsheet makes of a long number: digits are lost',
    )
  })

  test('an amount at the very end that may be cut off', async () => {
    const text = 'account,booking_date,currency,amount\nA1,2024-03-18,EUR,120.50'
    expect(told(await readText(text))[1]).toBe('  line 2: 2024-03-18 120.50')
    for (const cut of ['120.5', '120.', '120', '12', '1', '']) {
      expect(await refusalOf(text.replace('120.50', cut))).toBe(
        `file, line 2: the file ends without a line break right after amount "${cut}", so it may have been cut off inside it`,
      )
    }
  })

  test('long values are shortened in messages', async () => {
    const message = await refusalOf(file(`A1,${'9'.repeat(5_000)},1.00,EUR,,`))
    expect(message).toContain('is too long for a value')
    expect(message.length).toBeLessThan(200)
  })
})

test('letters that are not UTF-8 are read as windows-1252, and that is said', async () => {
  const text = `${HEADER},remittance\nA1,2024-03-18,1.00,EUR,,,d\u00e9p\u00f4t \u0080\n`
  const reading = await readBankFile(Buffer.from(text, 'latin1'), 'excel.csv')
  expect(reading.statements[0]?.entries[0]?.remittance).toEqual(['dépôt €'])
  expect(reading.notes).toEqual(['excel.csv is not UTF-8: its letters were read as windows-1252'])
})
