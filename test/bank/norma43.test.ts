import { describe, expect, test } from 'vitest'
import { decodeCodePage850 } from '../../src/bank/code-page-850.ts'
import { spanishIban } from '../../src/bank/iban.ts'
import { norma43Reader } from '../../src/bank/norma43.ts'
import { InputFault } from '../../src/errors.ts'
import {
  changeBytes,
  normaAccount,
  normaFile,
  provedMoney,
  readOrRefusal,
  scramble,
  text23,
} from './fixed-width-files.ts'
import { fixture, readFixture, readText, refusalOf, told } from './reading.ts'

describe('Norma 43 fixtures', () => {
  test('annex 4, code page 850, a fee between transfers, a return, an original amount, zero, the end mark of DOS', async () => {
    const reading = await readFixture('norma43-annex4.n43')
    expect(told(reading)).toEqual([
      'ES9121000418450200051332 EUR 2024-03-18..2024-03-24 1000.00 -> 2179.50 verified',
      '  line 2: 2024-03-18 1204.50 value 2024-03-18 from/to ALMA SAS e2e payout_11wYEyTHKhRm1nSMYKGANq ref BNK0000000000001 "SUPP" "TRAD" "ALMA VERSEMENT 2024-03-15 TIENDA LOS ZUECOS DE ELENA, payout_11wYEyT" "HKhRm1nSMYKGANq" "PAYER0001" "000000012345"',
      '  line 7: 2024-03-19 -25.00 value 2024-03-19 ref 0000004711 "COMISIÓN DE MANTENIMIENTO"',
      '  line 9: 2024-03-20 450.00 value 2024-03-21 from/to MUÑOZ E HIJOS SL "FACTURA 17"',
      '  line 13: 2024-03-22 -450.00 value 2024-03-22 from/to MUÑOZ E HIJOS SL e2e DEV-17 reversal "POR CUENTA DE ELENA" "USD 489.15"',
      '  line 17: 2024-03-22 0.00 value 2024-03-22',
    ])
    expect(reading.format).toBe('norma43')
    expect(reading.notes).toEqual([
      'norma43-annex4.n43 is not UTF-8: its letters were read as code page 850',
      'norma43-annex4.n43: names and references were taken from the texts (23) as annex 4 of the norm places them',
    ])
  })

  test('free text, latin-1, short lines, the last one unterminated, two accounts, balances left out, an end of file that does not count itself', async () => {
    const reading = await readFixture('norma43-free.n43')
    expect(told(reading)).toEqual([
      'ES1600814797580001234567 EUR 2024-03-18..2024-03-19 -1.50 -> 1053.41 verified',
      '  line 2: 2024-03-18 972.66 value 2024-03-18 ref A48555633617 "ALMA SAS VERSEMENT PAYOUT_11WYEYTHKHRM" "1NSMYKGANQ" "01826874" "TRANSFERENCI" "6871166755"',
      '  line 5: 2024-03-19 82.25 value 2024-03-19 ref BIZUM "MARÍA;MUÑOZ RODRÍGUEZ" "PEDIDO 322"',
      'ES8600814797540007654321 USD 2024-03-18..2024-03-19 ? -> ? unverifiable',
      '  line 9: 2024-03-19 -50.00 value 2024-03-19 ref 0000000055 reversal',
    ])
    expect(reading.notes).toEqual([
      'norma43-free.n43 is not UTF-8: its letters were read as windows-1252',
      'norma43-free.n43: the balances of ES8600814797540007654321 are zero, which its movements are not: the bank leaves them out',
    ])
  })

  test('without line breaks, in UTF-8, with a file header', async () => {
    const reading = await readFixture('norma43-unbroken.n43')
    expect(told(reading)).toEqual([
      'ES7400491500072810355240 EUR 2029-12-30..2029-12-31 5.00 -> 7.50 verified',
      '  record 3: 2029-12-31 2.50 value 2029-12-31 ref REF 2029 "AÑO NUEVO"',
    ])
    expect(reading.notes).toEqual([])
  })

  test('the raw entry is the movement with all its records, as the file has them', async () => {
    const text = decodeCodePage850(await fixture('norma43-annex4.n43'))
    const { statements } = await readFixture('norma43-annex4.n43')
    const lines = text.split('\r\n')
    const raws = statements[0]?.entries.map(({ raw }) => raw)
    expect(raws?.[0]).toBe(lines.slice(1, 6).join('\r\n'))
    expect(raws?.[3]).toBe(lines.slice(12, 16).join('\r\n'))
    expect(raws?.[4]).toBe(lines[16])
  })
})

describe('texts', () => {
  const transfer = (name: string, reference: string, purpose = '        FACTURA') => [
    text23('01', name),
    text23('02', reference),
    text23('03', purpose),
  ]
  const read = async (...movements: string[][]) =>
    readText(normaFile(normaAccount(movements.map((texts) => ['1.00', ...texts] as const))))
  const isByAnnex4 = async (...movements: string[][]): Promise<boolean> => {
    const { notes } = await read(...movements)
    return notes.some((note) => note.includes('annex 4'))
  }

  test.each([
    ['one transfer of its form', [transfer('ALMA SAS', 'E2E-1')], true],
    ['a reference that is not given', [transfer('ALMA SAS', 'No proporcionado')], true],
    ['a fee beside it', [transfer('ALMA SAS', 'E2E-1'), [text23('01', 'COMISION')]], true],
    ['codes of purpose', [transfer('ALMA SAS', 'E2E-1', 'SUPPTRADFACTURA')], true],
    ['a reference with a blank', [transfer('ALMA SAS', 'E2E 1')], false],
    ['no reference', [transfer('ALMA SAS', '')], false],
    ['a reference further right', [transfer('ALMA SAS', '        01826874')], false],
    ['no name', [transfer('', 'E2E-1')], false],
    ['text instead of the codes', [transfer('ALMA SAS', 'E2E-1', 'FACTURA 17')], false],
    ['text on another movement', [transfer('A', 'E2E-1'), transfer('B', 'PEDIDO 17')], false],
    ['numbers that are skipped', [[text23('01', 'A'), text23('03', 'B')], transfer('A', 'B')], false], // prettier-ignore
    ['fees only', [[text23('01', 'COMISION')]], false],
    ['no text at all', [[]], false],
  ])('annex 4 is taken from its form: %s', async (_, movements, expected) => {
    expect(await isByAnnex4(...movements)).toBe(expected)
  })

  test('a profile may say it', async () => {
    const of = (reference: string) =>
      Buffer.from(normaFile(normaAccount([['1.00', ...transfer('ALMA SAS', reference)]])))
    const always = norma43Reader({ annex4: 'always' }).read(of('E2E 1'), 'a')
    expect(told(always)[1]).toContain('from/to ALMA SAS e2e E2E 1 "FACTURA"')
    const never = norma43Reader({ annex4: 'never' }).read(of('E2E-1'), 'a')
    expect(told(never)[1]).toContain('"ALMA SAS" "E2E-1" "FACTURA"')
  })

  test('free text is kept whole, the columns that cut a word beside each other', async () => {
    const text = `${'x'.repeat(34)}PAYOUT_1`
    const { statements } = await read([text23('01', text)])
    expect(statements[0]?.entries[0]?.remittance.join('')).toBe(text)
  })
})

describe('letters', () => {
  const NAMES = ['MUÑOZ PEÑA', 'Núñez Señorís', 'CAMIÓN', 'Àngel Peça', 'AÑO 2ª º', 'ESPAÑA €']
  const codePage850 = (text: string): Buffer => {
    const table = decodeCodePage850(Uint8Array.from({ length: 256 }, (_, byte) => byte))
    return Buffer.from(Array.from(text, (character) => table.indexOf(character)))
  }
  const windows1252 = (text: string): Buffer => Buffer.from(text.replace('€', '\u0080'), 'latin1')

  test.each([
    ['UTF-8', (text: string) => Buffer.from(text), NAMES],
    ['windows-1252', windows1252, NAMES],
    ['code page 850', codePage850, NAMES.filter((name) => !name.includes('€'))],
  ])('in %s are told by what they make', async (_, encode, names) => {
    for (const name of names) {
      const text = normaFile(normaAccount([['1.00', text23('01', name)]]))
      const reading = await readOrRefusal(encode(text))
      if (reading instanceof InputFault) throw reading
      expect(reading.statements[0]?.entries[0]?.remittance).toEqual([name])
    }
  })

  test('code page 850 has 256 characters, each once', () => {
    const table = decodeCodePage850(Uint8Array.from({ length: 256 }, (_, byte) => byte))
    expect(new Set(table).size).toBe(256)
    expect([0xa5, 0xa4, 0xd5, 0xf0, 0xff].map((byte) => table[byte])).toEqual([
      'Ñ',
      'ñ',
      'ı',
      '\u00ad',
      '\u00a0',
    ])
  })
})

describe('totals', () => {
  const account = normaAccount([['5.00'], ['-2.00'], ['0.00']], { opening: '1.00' })

  test.each([
    ['with itself', account.length + 1],
    ['without itself', account.length],
    ['without the header of the account either', account.length - 1],
  ])('the end of file counts the records %s', async (_, counted) => {
    expect(told(await readText(normaFile(account, counted)))[0]).toContain('1.00 -> 4.00 verified')
  })

  test.each([
    ['too many', account.length + 2],
    ['too few', account.length - 2],
  ])('the end of file counts %s', async (_, counted) => {
    expect(await refusalOf(normaFile(account, counted), 'a.n43')).toBe(
      `a.n43, line 6: the end of file (88) counts ${counted} records, and there are 5 before it: the file is incomplete or damaged`,
    )
  })

  test('several files joined into one', async () => {
    const other = account.map((line) => line.replace('0200051332', '0200051333'))
    const reading = await readText(normaFile(account) + normaFile(other))
    expect(reading.statements).toHaveLength(2)
    expect(provedMoney(reading)).toHaveLength(2)
  })

  test('a statement that is there twice counts once', async () => {
    const reading = await readText(normaFile([...account, ...account]), 'a.n43')
    expect(reading.statements).toHaveLength(1)
    expect(reading.notes).toEqual([
      'a.n43 holds the statement of ES9121000418450200051332 from 2024-03-18 to 2024-03-24 twice, word for word: the copy with its 3 entries was left out',
    ])
  })

  test('a closing balance that is wrong is told, not refused', async () => {
    const wrong = normaAccount([['5.00']], { opening: '1.00', closing: '7.00' })
    expect(told(await readText(normaFile(wrong)))[0]).toContain('1.00 -> 7.00 failed')
  })

  test('balances of zero prove something where the movements add up to it', async () => {
    const zero = normaAccount([['5.00'], ['-5.00']])
    expect(told(await readText(normaFile(zero)))[0]).toContain('0.00 -> 0.00 verified')
  })

  test('a balance without direction is a credit, and says so', async () => {
    const text = normaFile(normaAccount([['5.00']])).replace(
      '200000000000500978',
      '000000000000500978',
    )
    const reading = await readText(text, 'a.n43')
    expect(told(reading)[0]).toContain('0.00 -> 5.00 verified')
    expect(reading.notes).toEqual([
      'a.n43, line 3: the balance has no direction, and was taken as a credit',
    ])
  })
})

describe('refused', () => {
  const good = normaFile(normaAccount([['5.00', text23('01', 'A')], ['-2.00']]))
  const lines = good.split('\r\n')
  const without = (line: number): string => lines.toSpliced(line - 1, 1).join('\r\n')
  const edited = (line: number, from: string, to: string): string => {
    expect(lines[line - 1]).toContain(from)
    return lines.with(line - 1, lines[line - 1]?.replace(from, to) ?? '').join('\r\n')
  }

  test.each([
    [
      'a movement that is missing',
      without(4),
      'line 4: the end of the account on line 1 counts 1 debits of 2.00, and the file holds 0 of 0.00: it is incomplete or damaged',
    ],
    [
      'a movement with another amount',
      edited(2, '00000500', '00000600'),
      'line 5: the end of the account on line 1 counts 1 credits of 5.00, and the file holds 1 of 6.00: it is incomplete or damaged',
    ],
    [
      'a movement without direction',
      edited(2, '040072', '040073'),
      'line 2: the direction is "3": 1 (debit) or 2 (credit) was expected',
    ],
    [
      'an amount with a letter',
      edited(2, '00000500', '0000050O'),
      'line 2: "0000000000050O" is not an amount: fourteen digits were expected',
    ],
    [
      'a day that does not exist',
      edited(2, '000724031824', '000724023024'),
      'line 2: "240230" is not a day: an existing date as YYMMDD was expected',
    ],
    [
      'days the wrong way round',
      edited(1, '240318240324', '240324240318'),
      "line 1: the account's days end on 2024-03-18, before 2024-03-24",
    ],
    [
      'an unknown currency',
      edited(1, '9783', '0003'),
      'line 1: "000" is not the number of a currency: ISO 4217 was expected, such as 978 for EUR',
    ],
    [
      'an end in another currency',
      edited(5, '978', '840'),
      'line 5: the end record is in "840", and the account in EUR',
    ],
    [
      'an end of another account',
      edited(5, '0200051332', '0200051333'),
      'line 5: the end record is of account "2100 0418 0200051333", and the one on line 1 of "2100 0418 0200051332": records are missing',
    ],
    [
      'no end of account',
      without(5),
      'line 5: the file ends before the end record (33) of the account on line 1: records are missing',
    ],
    [
      'no end of account before the next one',
      [...lines.slice(0, 4), ...lines].join('\r\n'),
      'line 5: an account (11) begins before the end record (33) of the one on line 1: records are missing',
    ],
    [
      'no end of file',
      lines.slice(0, 5).join('\r\n'),
      'line 5: the end of the file (88) is missing: it is cut off',
    ],
    [
      'a text without movement',
      without(2),
      'line 2: a complement (23) stands without the movement (22) to which it belongs',
    ],
    [
      'a movement outside of an account',
      lines.toSpliced(5, 0, lines[3] ?? '').join('\r\n'),
      'line 6: a movement (22) stands outside of an account: its record 11 is missing',
    ],
    [
      'an unknown record',
      edited(3, '2301', '2501'),
      'line 3: the record begins with "25": 11 (account), 22 (movement), 23 or 24 (its complements), 33 (end of account) or 88 (end of file) was expected',
    ],
    [
      'a header inside of the file',
      edited(3, '2301', '0001'),
      'line 3: a file header (00) stands inside of the file',
    ],
    [
      'text beyond the record',
      edited(3, 'A', `A${' '.repeat(80)}B`),
      'line 3: the record has 161 characters, and 80 are expected',
    ],
  ])('%s', async (_, text, message) => {
    expect(await refusalOf(text, 'a.n43')).toBe(`a.n43, ${message}`)
  })
})

test.each([
  ['2100', '0418', '0200051332', 'ES9121000418450200051332'],
  ['2100', '0813', '0123456789', 'ES7921000813610123456789'],
  ['0049', '1500', '1234567892', 'ES6000491500051234567892'],
  ['2080', '5801', '1234567891', 'ES9420805801101234567891'],
])('the IBAN of %s %s %s', (bank, branch, account, iban) => {
  expect(spanishIban(bank, branch, account)).toBe(iban)
})

describe('damage', () => {
  const NAMES = ['norma43-annex4.n43', 'norma43-free.n43', 'norma43-unbroken.n43']

  test.each(NAMES)('%s cut off at any byte is refused', async (name) => {
    const whole = await fixture(name)
    const end = Buffer.from(whole).lastIndexOf('88'.padEnd(20, '9')) + 26
    for (let length = 0; length < whole.length; length += 1) {
      const reading = await readOrRefusal(whole.subarray(0, length))
      // Behind the number of records in the last record, there are blanks only.
      expect(reading instanceof InputFault).toBe(length < end)
    }
  })

  test.each(NAMES)('%s with one byte changed proves nothing else', async (name) => {
    await changeBytes(await fixture(name), 600)
  })

  test.each(NAMES)('%s with several bytes changed is read or refused', async (name) => {
    await scramble(await fixture(name), 200)
  })

  test('a movement or an account that is missing or there twice is refused', async () => {
    const lines = decodeCodePage850(await fixture('norma43-annex4.n43')).split('\r\n')
    for (const [at, line] of lines.entries()) {
      if (!/^(?:11|22|33|88)/.test(line)) continue
      for (const changed of [lines.toSpliced(at, 1), lines.toSpliced(at, 0, line)]) {
        const reading = await readOrRefusal(Buffer.from(changed.join('\r\n')))
        expect(reading, `line ${at + 1}`).toBeInstanceOf(InputFault)
      }
    }
  })
})
