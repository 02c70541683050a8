import { describe, expect, test } from 'vitest'
import { cfonb120Reader } from '../../src/bank/cfonb120.ts'
import { frenchIban } from '../../src/bank/iban.ts'
import { InputFault } from '../../src/errors.ts'
import {
  balance01,
  balance07,
  changeBytes,
  complement05,
  movement04,
  overpunched,
  provedMoney,
  readOrRefusal,
  scramble,
} from './fixed-width-files.ts'
import { fixture, readFixture, readText, refusalOf, told } from './reading.ts'

describe('CFONB120 fixtures', () => {
  test('a week of two accounts: transfers, a direct debit, a rejection, a day without movement, a letter in an account number', async () => {
    const reading = await readFixture('cfonb120-week.txt')
    expect(told(reading)).toEqual([
      'FR7630004000031234567890143 EUR 2024-03-16..2024-03-18 15234.10 -> 16403.41 verified',
      '  line 2: 2024-03-18 1204.50 value 2024-03-18 from/to ALMA SAS e2e PAYOUT_11WYEYTHKHRM1NSMYKGANQ ref BNP0000012345678 "VIR SEPA RECU ALMA" "ALMA VERSEMENT DU 15/03/2024 POUR LA BOUTIQUE LES SABOTS D HELENE PAYO" "UT_11WYEYTHKHRM1NSMYKGAN" "SUPP" "LOT 2024 0318 01" "TRN 00042"',
      '  line 8: 2024-03-18 -35.19 value 2024-03-18 from/to ORANGE SA "PRLV SEPA ORANGE BUSINESS" "FACTURE 0324" "CLIENT 1185" "++MANDAT 4711                      RCUR"',
      'FR7630004000031234567890143 EUR 2024-03-19..2024-03-19 16403.41 -> 16403.41 verified',
      'FR7630004000031234567890143 EUR 2024-03-20..2024-03-22 16403.41 -> 14648.91 verified',
      '  line 19: 2024-03-20 -1204.50 value 2024-03-20 from/to ALMA SAS reversal "REJET VIR ALMA"',
      '  line 21: 2024-03-21 450.00 from/to CAFÉ CRÈME & FILS "VIR RECU ETRANGER" "USD 489.15" "ACME HOLDING INC" "CODE INTERNE 77" "RESTE"',
      '  line 27: 2024-03-22 0.00 value 2024-03-22 "ARRETE DE COMPTE"',
      '  line 28: 2024-03-22 -1000.00 value 2024-03-22 from/to MME MARTIN at FR7630006000011234567890189 ref EMIS 0001 "VIR SEPA EMIS"',
      'FR9118706000010A234567J9Z89 EUR 2024-03-16..2024-03-18 -0.50 -> -0.51 verified',
      '  line 34: 2024-03-18 -0.01 value 2024-03-18 "FRAIS"',
    ])
    expect(reading.format).toBe('cfonb120')
    expect(reading.notes).toEqual([
      'cfonb120-week.txt is not UTF-8: its letters were read as windows-1252',
      'cfonb120-week.txt: 2 complements (05) with unknown qualifiers kept as text: "AAA", "N Y"',
      'cfonb120-week.txt: 1 record bears another bank or branch than the old balance of the statement; the account is that of the old balance',
    ])
  })

  test('without line breaks, in UTF-8: a record has 120 characters, not bytes; large amounts; a cancellation', async () => {
    expect(told(await readFixture('cfonb120-unbroken.txt'))).toEqual([
      'FR7630004000031234567890143 EUR 2024-03-01..2024-03-01 0.00 -> 0.00 verified',
      '  record 2: 2024-03-01 1234567890.12 value 2024-03-01 "VIREMENT ÉTÉ ALMA"',
      '  record 3: 2024-03-01 -1234567890.12 value 2024-03-01 reversal "ANNULATION"',
    ])
  })

  test('the old layout of complements, blanks cut off at the ends of lines, blanks in an amount', async () => {
    const reading = await readFixture('cfonb120-old-layout.txt')
    expect(told(reading)).toEqual([
      'FR7630003031700002001234574 EUR 2004-01-01..2004-01-02 99.99 -> 149.99 verified',
      '  line 2: 2004-01-02 50.00 value 2004-01-02 "VIR RECU    4012345678S" "DE: ALMA SAS MOTIF: VERSEMENT 2004-01-02A" "REF: 0102030405"',
    ])
    expect(reading.notes).toEqual([
      'cfonb120-old-layout.txt: 2 complements (05) without qualifier kept as text',
    ])
  })

  test('decimals are counted by record: none in yen, three in dinars, any number of zeros in euros', async () => {
    expect(told(await readFixture('cfonb120-decimals.txt'))).toEqual([
      'FR7630004000030000000000106 JPY 2024-03-19..2024-03-19 1000 -> 1500 verified',
      '  line 2: 2024-03-19 500 value 2024-03-19 "YEN"',
      'FR7630004000030000000000203 TND 2024-03-19..2024-03-19 100.000 -> 101.234 verified',
      '  line 5: 2024-03-19 1.234 value 2024-03-19 "MILLIMES"',
      'FR7630004000030000000000397 EUR 2024-03-19..2024-03-19 100.00 -> 105.00 verified',
      '  line 8: 2024-03-19 5.00 value 2024-03-19 "EUROS SANS CENTIMES"',
    ])
  })

  test('the raw entry is the movement with its complements, as the file has them', async () => {
    const lines = Buffer.from(await fixture('cfonb120-week.txt'))
      .toString('latin1')
      .split('\r\n')
    const { statements } = await readFixture('cfonb120-week.txt')
    const entries = statements.flatMap((statement) => statement.entries)
    expect(entries[0]?.raw).toBe(lines.slice(1, 7).join('\r\n'))
    expect(entries[0]?.position).toBe(2)
    expect(entries.at(-1)?.raw).toBe(lines[33])
  })
})

test.each([
  ['0000000000000{', 0],
  ['0000000000000}', 0],
  ['0000000000012C', 1.23],
  ['0000000000012L', -1.23],
  ['0000000000000I', 0.09],
  ['0000000000000R', -0.09],
  ['  000000 0100{', 10],
])('the signed amount %s', async (digits, expected) => {
  const text = [balance01(), movement04(), balance07()].join('\n')
  const { statements } = await readText(text.replace(overpunched('1.00'), digits))
  expect(Number(statements[0]?.entries[0]?.amountMinor)).toBe(Math.round(expected * 100))
})

describe('what an entry says', () => {
  const entryOf = async (movement: string, ...complements: string[]) => {
    const text = [balance01(), movement, ...complements, balance07()].join('\n')
    const [entry] = (await readText(text)).statements[0]?.entries ?? []
    if (entry === undefined) throw new Error('no entry')
    return entry
  }
  const debit = movement04({ amount: '-1.00' })

  test.each([
    ['positions 105 to 120', 'REF 0123456789AB', 'REF 0123456789AB'],
    ['zeros only', '0000000000000000', null],
    ['blanks only', '', null],
    ['a word for none', 'NONREF', null],
  ])('bank reference: %s', async (_, reference, expected) => {
    expect((await entryOf(movement04({ reference }))).bankReference).toBe(expected)
  })

  test.each([
    ['who paid a credit', movement04(), [['NPY', 'ALMA SAS']], 'ALMA SAS'],
    ['the ultimate payer', movement04(), [['NPO', 'ALMA SAS']], 'ALMA SAS'],
    ['not the own name', movement04(), [['NBE', 'MOI']], null],
    ['who got a debit', debit, [['NPY', 'MOI'], ['NBE', 'ORANGE']], 'ORANGE'], // prettier-ignore
    ['who took a debit', debit, [['NPY', 'ORANGE']], 'ORANGE'],
    ['whose transfer came back', movement04({ rejection: 'AC' }), [['NBE', 'M. DUPONT']], 'M. DUPONT'], // prettier-ignore
  ])('counterparty: %s', async (_, movement, complements, expected) => {
    const records = complements.map(([qualifier = '', text = '']) => complement05(qualifier, text))
    expect((await entryOf(movement, ...records)).counterpartyName).toBe(expected)
  })

  test('texts go on from record to record, whatever stands between them', async () => {
    const entry = await entryOf(
      movement04({ label: 'VIR RECU' }),
      complement05('LIB', 'ONE'),
      complement05('LCC', `${'x'.repeat(66)}PAYO`),
      complement05('NPY', 'ALMA SAS'),
      complement05('LC2', 'UT_1'),
      complement05('LIB', 'TWO'),
      complement05('LCS', 'RF18'),
    )
    expect(entry.remittance).toEqual([
      'VIR RECU',
      'ONE',
      `${'x'.repeat(66)}PAYO`,
      'UT_1',
      'TWO',
      'RF18',
    ])
  })

  test('the first end-to-end id that is one; a second one is text', async () => {
    const entry = await entryOf(
      movement04(),
      complement05('RCN', 'NOT PROVIDED'),
      complement05('RCN', `${'E2E-1'.padEnd(35)}MOTIF`),
      complement05('RCN', 'E2E-2'),
    )
    expect(entry.endToEndId).toBe('E2E-1')
    expect(entry.remittance).toContain('MOTIF')
    expect(entry.remittance).toContain('E2E-2')
  })

  test.each([
    ['USD200000000048915', 'USD 489.15'],
    ['JPY000000000048915', 'JPY 48915'],
    ['USD20000000004891E', 'USD20000000004891E'],
    ['US 200000000048915', 'US 200000000048915'],
  ])('the original amount %s is text, without a sign of its own', async (text, expected) => {
    const entry = await entryOf(debit, complement05('MMO', text))
    expect(entry.remittance).toContain(expected)
    expect(entry.amountMinor).toBe(-100n)
  })
})

describe('covered days', () => {
  test.each([
    ['after the day of the old balance', '150324', '180324', '180324', '2024-03-16..2024-03-18'],
    ['one day for both balances', '180324', '180324', '180324', '2024-03-18..2024-03-18'],
    ['an entry of the old balance’s day', '180324', '180324', '190324', '2024-03-18..2024-03-19'],
    ['a turn of the year', '311223', '020124', '020124', '2024-01-01..2024-01-02'],
    ['the years that two digits hold', '311260', '010161', '010161', '1961-01-01..1961-01-01'],
    ['the same, at the other end', '301259', '311259', '311259', '2059-12-31..2059-12-31'],
  ])('%s', async (_, opening, booked, closing, expected) => {
    const { statements } = await readText(
      [
        balance01({ day: opening }),
        movement04({ day: booked }),
        balance07({ day: closing, amount: '1.00' }),
      ].join('\n'),
    )
    expect(`${statements[0]?.fromDay}..${statements[0]?.toDay}`).toBe(expected)
  })
})

test('accented zeros are read only where that is asked for', async () => {
  const text = [balance01(), movement04({ amount: '-10.00' }), balance07({ amount: '-10.00' })]
    .join('\n')
    .replaceAll('{', 'é')
    .replaceAll('}', 'è')
  expect(await refusalOf(text, 'a.txt')).toBe(
    'a.txt, line 1: "0000000000000é" is not a signed amount: digits were expected, the last one as a letter (A to I or { for credits, J to R or } for debits)',
  )
  const reading = cfonb120Reader({ accentedZeros: true }).read(Buffer.from(text), 'a.txt')
  expect(told(reading)[1]).toContain('-10.00')
  expect(provedMoney(reading)).toHaveLength(1)
})

test('a balance that is wrong is told, not refused', async () => {
  const text = [balance01(), movement04(), balance07({ amount: '2.00' })].join('\n')
  expect(told(await readText(text))[0]).toMatch(/0\.00 -> 2\.00 failed$/)
})

test('a statement that is there twice counts once, unless nothing shows that it is a copy', async () => {
  const day = [balance01(), movement04(), balance07({ amount: '1.00' })]
  const doubled = await readText([...day, ...day].join('\n'), 'a.txt')
  expect(doubled.statements).toHaveLength(1)
  expect(doubled.notes).toEqual([
    'a.txt holds the statement of FR7630004000031234567890143 from 2024-03-16 to 2024-03-18 twice, word for word: the copy with its 1 entry was left out',
  ])
  const zero = [balance01(), movement04(), movement04({ amount: '-1.00' }), balance07()]
  expect((await readText([...zero, ...zero].join('\n'))).statements).toHaveLength(2)
})

describe('refused', () => {
  const good = [balance01(), movement04(), complement05('LIB', 'A'), balance07({ amount: '1.00' })]
  const replaced = (line: number, text: string): string =>
    good.map((record, index) => (index === line - 1 ? text : record)).join('\n')
  const without = (line: number): string => good.toSpliced(line - 1, 1).join('\n')

  test.each([
    [
      'a day that does not exist',
      replaced(2, movement04({ day: '300224' })),
      'line 2: "300224" is not a day: an existing date as DDMMYY was expected',
    ],
    [
      'more decimals than the currency has',
      replaced(2, movement04({ amount: '0.005', decimals: '3' })),
      'line 2: "0.005" has more decimals than EUR has (2)',
    ],
    [
      'decimals that are not said',
      replaced(2, movement04({ decimals: ' ' })),
      'line 2: the number of decimals is " ": a digit was expected',
    ],
    [
      'a blank between digits',
      replaced(2, movement04().replace(overpunched('1.00'), '0000000010 10{')),
      'line 2: "0000000010 10{" is not a signed amount: digits were expected, the last one as a letter (A to I or { for credits, J to R or } for debits)',
    ],
    [
      'a last digit without a sign',
      replaced(2, movement04().replace(overpunched('1.00'), '00000000000100')),
      'line 2: "00000000000100" is not a signed amount: digits were expected, the last one as a letter (A to I or { for credits, J to R or } for debits)',
    ],
    [
      'a record of another account',
      replaced(2, movement04({ account: '12345678902' })),
      'line 2: the record is of account "12345678902", and the statement that begins on line 1 of "12345678901": records are missing or mixed up',
    ],
    [
      'a record in another currency',
      replaced(2, movement04({ currency: 'USD' })),
      'line 2: the record is in "USD", and the statement that begins on line 1 in EUR',
    ],
    [
      'balances of two banks',
      [balance01(), balance07({ bank: '30005' })].join('\n'),
      'line 2: the new balance is of bank and branch "30005 00003", the old balance on line 1 of "30004 00003", and no movement says which is right',
    ],
    [
      'an old balance that is the later one',
      replaced(1, balance01({ day: '190324' })),
      'line 4: the new balance is of 2024-03-18, and the old balance on line 1 of 2024-03-19, which is later',
    ],
    [
      'an account that is none',
      replaced(1, balance01({ account: '1234567890?' })),
      'line 1: "1234567890?" is not an account number of eleven characters',
    ],
    [
      'an unknown record',
      replaced(3, `08${good[2]?.slice(2)}`),
      'line 3: the record begins with "08": 01 (old balance), 04 (movement), 05 (complement) or 07 (new balance) was expected',
    ],
    [
      'a complement of nothing',
      without(2),
      'line 2: a complement (05) stands without the movement (04) to which it belongs',
    ],
    [
      'no new balance',
      without(4),
      'line 1: the statement that begins here has no new balance (07): the file is cut off',
    ],
    [
      'no new balance before the next statement',
      [...good.slice(0, 3), ...good].join('\n'),
      'line 4: an old balance (01) follows before the new balance (07) of the statement that begins on line 1: records are missing',
    ],
    [
      'no old balance of the next statement',
      [...good, ...good.slice(1)].join('\n'),
      'line 5: a movement (04) stands outside of a statement: its old balance (01) is missing',
    ],
    [
      'text beyond the record',
      replaced(2, `${movement04()} x`),
      'line 2: the record has 122 characters, and 120 are expected',
    ],
    [
      'a record that ends early',
      replaced(4, balance07().slice(0, 103)),
      'line 4: the record has 103 characters, and at least 104 are expected: it is cut off, or not of this kind',
    ],
    [
      'a control character',
      replaced(3, complement05('LIB', 'A\u0000B')),
      'line 3: there is a control character (hexadecimal 00), which no statement has: the file is damaged',
    ],
  ])('%s', async (_, text, message) => {
    expect(await refusalOf(text, 'a.txt')).toBe(`a.txt, ${message}`)
  })
})

test.each([
  ['30004', '00003', '12345678901', 'FR7630004000031234567890143'],
  ['30006', '00001', '12345678901', 'FR7630006000011234567890189'],
  ['20041', '01005', '0500013M026', 'FR1420041010050500013M02606'],
])('the IBAN of %s %s %s', (bank, branch, account, iban) => {
  expect(frenchIban(bank, branch, account)).toBe(iban)
})

describe('damage', () => {
  const NAMES = ['cfonb120-week.txt', 'cfonb120-unbroken.txt', 'cfonb120-old-layout.txt']

  test.each(NAMES)('%s cut off: whole statements are left, or nothing', async (name) => {
    const whole = await fixture(name)
    const proved = provedMoney(await readFixture(name))
    // In steps that come to every position of a record.
    for (let length = 0; length < whole.length; length += 7) {
      const reading = await readOrRefusal(whole.subarray(0, length))
      if (reading instanceof InputFault) continue
      const left = provedMoney(reading)
      expect(left).toHaveLength(reading.statements.length)
      for (const statement of left) expect(proved).toContain(statement)
    }
  })

  test.each(NAMES)('%s with one byte changed proves nothing else', async (name) => {
    await changeBytes(await fixture(name), 600)
  })

  test.each(NAMES)('%s with several bytes changed is read or refused', async (name) => {
    await scramble(await fixture(name), 200)
  })

  test('a line that is missing or there twice is refused or takes the proof away', async () => {
    const lines = Buffer.from(await fixture('cfonb120-week.txt'))
      .toString('latin1')
      .split('\r\n')
    const proved = provedMoney(await readFixture('cfonb120-week.txt'))
    for (const [at, line] of lines.entries()) {
      for (const changed of [lines.toSpliced(at, 1), lines.toSpliced(at, 0, line)]) {
        const reading = await readOrRefusal(Buffer.from(changed.join('\r\n'), 'latin1'))
        if (reading instanceof InputFault) continue
        for (const statement of provedMoney(reading)) expect(proved).toContain(statement)
      }
    }
  })
})
