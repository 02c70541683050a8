import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BankFileReading, readBankFile } from '../../src/bank/read-file.ts'
import { InputFault } from '../../src/errors.ts'
import { fixture, readFixture, readText, refusalOf, told } from './reading.ts'

describe('OFX fixtures', () => {
  test('version 1: leaves without end tags or text, a dotted tag, windows-1252, amounts in every dress, ids that repeat', async () => {
    const reading = await readFixture('ofx-sgml.ofx')
    expect(told(reading)).toEqual([
      'FR7630004000031234567890143 EUR 2024-03-18..2024-03-20 ? -> 129.66 unverifiable',
      '  entry 1, line 18: 2024-03-18 1204.50 from/to VIR SEPA ALMA SAS payout_11wYEyT ref FIT-0001 "VIR SEPA ALMA SAS payout_11wYEyT" "HKhRm0Zq7 dépôt & R&D 50 < 60 €"',
      '  entry 2, line 26: 2024-03-19 -3.34 value 2024-03-20 from/to FRAIS "FRAIS"',
      '  entry 3, line 27: 2024-03-19 -1071.50 from/to LOYER "LOYER"',
      'DE89370400440532013000 EUR 2024-03-01..2024-03-19 ? -> ? unverifiable',
    ])
    expect(reading.formatVersion).toBe('102')
    expect(reading.notes).toEqual([
      'ofx-sgml.ofx: the account 12345678901 was taken as the IBAN FR7630004000031234567890143 that its numbers give',
      'ofx-sgml.ofx: the account 0532013000 was taken as the IBAN DE89370400440532013000 that its numbers give',
      'ofx-sgml.ofx: 2 entries with an id (FITID) that stands in the file several times: reports name them by their places',
    ])
    expect(reading.statements[0]?.entries[2]?.raw).toBe(
      '<STMTTRN><TRNTYPE>DEBIT<DTPOSTED>20240319<TRNAMT>(1 071,5)<FITID>1<NAME>LOYER<MEMO>LOYER</STMTTRN>',
    )
  })

  test('version 2: CDATA, entities, a namespace, an end tag left out, two currencies, what is no booked entry of a bank account', async () => {
    const reading = await readFixture('ofx-xml.qfx')
    expect(told(reading)).toEqual([
      'FR7630006000011234567890189 EUR 2024-03-18..2024-03-24 ? -> 2192.50 unverifiable',
      '  entry 1, line 27: 2024-03-19 1204.50 from/to ALMA SAS at DE89370400440532013000 ref 2024031900001 "ALMA SAS" "ALMA <payout_11wYEyTHKhRm> & co"',
      '  entry 2, line 36: 2024-03-20 -12.00 from/to CARD & CO ref 2024032000001 "CARD & CO"',
      'FR7630006000011234567890189 USD 2024-03-18..2024-03-24 ? -> ? unverifiable',
      '  entry 4, line 51: 2024-03-22 5.00 ref 2024032200001',
    ])
    expect(reading.formatVersion).toBe('211')
    expect(reading.notes).toEqual([
      'ofx-xml.qfx: credit card statements left out, with 1 entry: payouts arrive on bank accounts',
      'ofx-xml.qfx: 1 pending entry left out: only booked entries count',
      'ofx-xml.qfx: the account 9100 has a balance but no list of entries (BANKTRANLIST), and was left out',
      'ofx-xml.qfx: 1 entry of type HOLD left out: only booked entries count',
    ])
  })
})

interface Parts {
  readonly header?: string
  readonly created?: string
  readonly account?: string
  readonly list?: string
  /** Leaves of an entry beside its type. */
  readonly entries?: readonly string[]
  readonly balance?: string
}

const ENTRY = '<DTPOSTED>20240319<TRNAMT>1.00<FITID>F1'
const CARD =
  '<CREDITCARDMSGSRSV1><CCSTMTTRNRS><CCSTMTRS><CURDEF>EUR</CCSTMTRS></CCSTMTTRNRS></CREDITCARDMSGSRSV1>'

function ofx({
  header = 'OFXHEADER:100\nDATA:OFXSGML\nVERSION:102\nENCODING:USASCII\nCHARSET:1252\n\n',
  created = '20240401',
  account = '<BANKID>1<ACCTID>A1',
  list = '<DTSTART>20240318<DTEND>20240324',
  entries = [],
  balance = '<LEDGERBAL><BALAMT>5.00<DTASOF>20240324</LEDGERBAL>',
}: Parts = {}): string {
  return [
    `${header}<OFX>`,
    `<SIGNONMSGSRSV1><SONRS><DTSERVER>${created}</SONRS></SIGNONMSGSRSV1>`,
    '<BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>EUR',
    `<BANKACCTFROM>${account}</BANKACCTFROM>`,
    `<BANKTRANLIST>${list}`,
    ...entries.map((entry) => `<STMTTRN><TRNTYPE>OTHER${entry}</STMTTRN>`),
    `</BANKTRANLIST>${balance}</STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>`,
    '',
  ].join('\n')
}

async function only(parts: Parts) {
  const { statements } = await readText(ofx(parts))
  const [statement, another] = statements
  if (statement === undefined || another !== undefined) throw new Error('not one statement')
  return statement
}

async function entryOf(leaves: string) {
  const { entries } = await only({ entries: [leaves] })
  const [entry, another] = entries
  if (entry === undefined || another !== undefined) throw new Error('not one entry')
  return entry
}

describe('amounts', () => {
  test.each([
    ['1204.50', 120450n],
    ['-3,34', -334n],
    ['+130.83', 13083n],
    ['120', 12000n],
    ['7,', 700n],
    ['.5', 50n],
    ['-00000000001500.0000', -150000n],
    ['(12.50)', -1250n],
    ['1 204,50', 120450n],
    ['1.204,50', 120450n],
    ['1,204.50', 120450n],
    ['-1.234.567,8', -123456780n],
    ['1.234.56', 123456n],
    ['1,234,567', 123456700n],
  ])('%s', async (text, amountMinor) => {
    const entry = await entryOf(`<DTPOSTED>20240319<TRNAMT>${text}<FITID>F1`)
    expect(entry.amountMinor).toBe(amountMinor)
  })

  test.each([
    ['1.234', 'may mean thousands or three decimals: an amount with 2 decimals was expected'],
    ['1,234', 'may mean thousands or three decimals: an amount with 2 decimals was expected'],
    [
      '$120',
      'is not an amount: digits with a decimal point or comma were expected, such as -1204.50',
    ],
    [
      '12..34',
      'is not an amount: digits with a decimal point or comma were expected, such as -1204.50',
    ],
    [
      '1.23.456',
      'is not an amount: digits with a decimal point or comma were expected, such as -1204.50',
    ],
    [
      '1234.567,8',
      'is not an amount: digits with a decimal point or comma were expected, such as -1204.50',
    ],
    [
      '1.234,567.8',
      'is not an amount: digits with a decimal point or comma were expected, such as -1204.50',
    ],
    [
      '(12.50',
      'is not an amount: digits with a decimal point or comma were expected, such as -1204.50',
    ],
    [
      '(-12.50)',
      'is not an amount: digits with a decimal point or comma were expected, such as -1204.50',
    ],
    [
      '1e5',
      'is not an amount: digits with a decimal point or comma were expected, such as -1204.50',
    ],
  ])('%s is refused', async (text, found) => {
    expect(await refusalOf(ofx({ entries: [`<DTPOSTED>20240319<TRNAMT>${text}<FITID>F1`] }))).toBe(
      `file, entry 1, line 12: ${JSON.stringify(text)} ${found}`,
    )
  })

  test('both marks in one file, each amount by itself', async () => {
    const entries = ['-3,34', '-3.34'].map((text) => `<DTPOSTED>20240319<TRNAMT>${text}`)
    const { entries: read } = await only({ entries })
    expect(read.map(({ amountMinor }) => amountMinor)).toEqual([-334n, -334n])
  })

  test('a debit without sign is taken as written, and a note says so', async () => {
    const text = ofx({ entries: [ENTRY] }).replace('OTHER', 'DEBIT')
    expect((await readText(text)).notes).toEqual([
      'file: 1 entry of type DEBIT with a positive amount: the sign was taken as written',
    ])
  })
})

describe('days', () => {
  test.each([
    '20240319',
    '202403191200',
    '20240319235959',
    '20240319235959.123',
    '20240319000000[0:GMT]',
    '20240319235900.000[-5:EST]',
    '20240319120000[+5.30:IST]',
    '20240319120000[-3]',
  ])('%s is the day as written', async (text) => {
    expect((await entryOf(`<DTPOSTED>${text}<TRNAMT>1`)).bookingDay).toBe('2024-03-19')
  })

  test.each(['20240230', '2024031', '20240319240000', '202403191', '19/03/2024', '20240319x'])(
    '%s is refused',
    async (text) => {
      expect(await refusalOf(ofx({ entries: [`<DTPOSTED>${text}<TRNAMT>1`] }))).toBe(
        `file, entry 1, line 12: "${text}" is not a date: an existing day YYYYMMDD, maybe with time and zone, was expected`,
      )
    },
  )

  test.each([
    ['as the list says', { list: '<DTSTART>20240318<DTEND>20240324' }, '2024-03-18..2024-03-24'],
    [
      'to a midnight',
      { list: '<DTSTART>20240318000000<DTEND>20240325000000' },
      '2024-03-18..2024-03-24',
    ],
    ['to noon', { list: '<DTSTART>20240318120000<DTEND>20240324120000' }, '2024-03-18..2024-03-24'],
    [
      'from the evening before, as in UTC',
      { list: '<DTSTART>20240317230000<DTEND>20240324225959' },
      '2024-03-18..2024-03-24',
    ],
    ['to when the file was made', { created: '20240320073000' }, '2024-03-18..2024-03-20'],
    [
      'to an entry that is later',
      { created: '20240318073000', entries: [ENTRY] },
      '2024-03-18..2024-03-19',
    ],
    ['by its entries', { list: '', entries: [ENTRY] }, '2024-03-19..2024-03-19'],
  ])('covered: %s', async (_, parts, days) => {
    const { fromDay, toDay } = await only(parts)
    expect(`${fromDay}..${toDay}`).toBe(days)
  })
})

describe('balances', () => {
  test.each([
    ['of the last day', '20240324', 500n],
    ['of an earlier day, with nothing after it', '20240320', 500n],
    ['of a day before an entry', '20240318', null],
    ['of a later day', '20240325', null],
  ])('%s', async (_, day, closingMinor) => {
    const balance = `<LEDGERBAL><BALAMT>5.00<DTASOF>${day}</LEDGERBAL>`
    const statement = await only({ balance, entries: [ENTRY] })
    expect(statement).toMatchObject({ openingMinor: null, closingMinor })
  })

  test('an empty one is none', async () => {
    const balance = '<LEDGERBAL><BALAMT> </BALAMT><DTASOF>20240324</DTASOF></LEDGERBAL>'
    expect((await only({ balance })).closingMinor).toBeNull()
  })
})

describe('accounts', () => {
  test.each([
    ['<BANKID>30004<BRANCHID>00003<ACCTID>12345678901', 'FR7630004000031234567890143'],
    ['<BANKID>30004<BRANCHID>00003<ACCTID>1234567890143', 'FR7630004000031234567890143'],
    ['<BANKID>30004<BRANCHID>00003<ACCTID>1234567890144', '1234567890144'],
    ['<BANKID>37040044<ACCTID>532013000', 'DE89370400440532013000'],
    ['<BANKID>X<ACCTID>NL91 ABNA 0417 1643 00', 'NL91ABNA0417164300'],
    ['<BANKID>364<ACCTID>1459950-11', '1459950-11'],
  ])('%s', async (account, expected) => {
    expect((await only({ account })).account).toBe(expected)
  })
})

describe('elements', () => {
  test.each<[string, string, string[]]>([
    ['an empty leaf without end tag', '<MEMO><NAME>N', ['N']],
    ['an empty leaf of XML', '<MEMO/><NAME>N</NAME>', ['N']],
    ['small letters', '<name>N</name>', ['N']],
    ['a bare ampersand', '<NAME>H&M &eacute; &amp;amp;', ['H&M &eacute; &amp;']],
    ['a bare less-than', '<NAME>1 <2 <<3>', ['1 <2 <<3>']],
    ['CDATA beside text', '<NAME>A <![CDATA[<B> &amp;]]> C</NAME>', ['A <B> &amp; C']],
    ['a comment', '<NAME>A<!-- <NAME>B -->C', ['AC']],
    ['name and memo that say the same', '<NAME>N<MEMO>N', ['N']],
    ['numbers as entities', '<NAME>&#233;&#xE9;&#0;&#xD800;', ['éé&#0;&#xD800;']],
    ['leaves that nobody knows', '<INTU.X>1<NAME>N<FOO><BAR>2</FOO>', ['N']],
  ])('%s', async (_, leaves, remittance) => {
    expect((await entryOf(`${ENTRY}${leaves}`)).remittance).toEqual(remittance)
  })
})

describe('encodings', () => {
  const named = (header: string) => ofx({ header, entries: [`${ENTRY}<NAME>é€`] })
  const lines = (...pairs: string[]) => `OFXHEADER:100\nDATA:OFXSGML\n${pairs.join('\n')}\n\n`
  test.each([
    ['windows-1252', lines('ENCODING:USASCII', 'CHARSET:1252'), '\u00e9\u0080', 'é€'],
    ['latin-1', lines('ENCODING:USASCII', 'CHARSET:8859-1'), '\u00e9\u0080', 'é€'],
    ['latin-9', lines('ENCODING:USASCII', 'CHARSET:ISO-8859-15'), '\u00e9\u00a4', 'é€'],
    ['windows-1250', lines('ENCODING:USASCII', 'CHARSET:1250'), '\u00e8\u0080', 'č€'],
    ['none', lines('ENCODING:USASCII', 'CHARSET:NONE'), '\u00e9\u0080', 'é€'],
    ['UTF-8 that is not', lines('ENCODING:UTF-8', 'CHARSET:1252'), '\u00e9\u0080', 'é€'],
    [
      'XML in latin-1',
      '<?xml version="1.0" encoding="ISO-8859-1"?><?OFX OFXHEADER="200"?>',
      '\u00e9\u0080',
      'é€',
    ],
  ])('%s', async (_, header, letters, expected) => {
    const bytes = Buffer.from(named(header).replace('é€', letters), 'latin1')
    const { statements } = await readBankFile(bytes, 'file')
    expect(statements[0]?.entries[0]?.counterpartyName).toBe(expected)
  })

  test.each([
    ['UTF-8', lines('ENCODING:UTF-8', 'CHARSET:1252')],
    ['UTF-8 by name of the character set', lines('ENCODING:USASCII', 'CHARSET:UTF-8')],
    ['UTF-8 with a mark', `\ufeff${lines('ENCODING:USASCII', 'CHARSET:1252')}`],
    ['XML', '<?xml version="1.0" encoding="UTF-8"?><?OFX OFXHEADER="200"?>'],
    ['no header', ''],
  ])('%s', async (_, header) => {
    const { statements, notes } = await readText(named(header))
    expect(statements[0]?.entries[0]?.counterpartyName).toBe('é€')
    expect(notes).toEqual([])
  })

  test('a declaration counts, and a note says where the letters seem to be others', async () => {
    const { statements, notes } = await readText(named(lines('ENCODING:USASCII', 'CHARSET:1252')))
    expect(statements[0]?.entries[0]?.counterpartyName).toBe('Ã©â‚¬')
    expect(notes).toEqual([
      'file declares windows-1252, but its letters look like UTF-8: names may be spoilt',
    ])
  })

  test('one that nobody knows is refused', async () => {
    expect(await refusalOf(named(lines('CHARSET:KLINGON')))).toBe(
      'file, line 1: the encoding "KLINGON" (CHARSET) is not known',
    )
  })
})

test('a statement that stands there twice counts once', async () => {
  const text = ofx({ entries: ['<DTPOSTED>20240319<TRNAMT>1.00'] })
  const answer = /<STMTTRNRS>.*<\/STMTTRNRS>/s.exec(text)?.[0] ?? ''
  const { statements, notes } = await readText(text.replace(answer, answer + answer))
  expect(statements).toHaveLength(1)
  expect(notes.join()).toContain('twice, word for word')
})

describe('refused', () => {
  const whole = ofx({ entries: [ENTRY] })
  test.each<[string, string, string]>([
    [
      'an entry without date',
      ofx({ entries: ['<TRNAMT>1.00'] }),
      'file, entry 1, line 12: DTPOSTED is missing',
    ],
    [
      'an entry without amount',
      ofx({ entries: ['<DTPOSTED>20240319<TRNAMT></TRNAMT>'] }),
      'file, entry 1, line 12: TRNAMT is missing',
    ],
    [
      'a correction',
      ofx({ entries: [`${ENTRY}<CORRECTFITID>F0<CORRECTACTION>REPLACE`] }),
      'file, entry 1, line 12: the entry corrects an earlier one (CORRECTFITID), and taking both would count the money twice',
    ],
    [
      'no currency',
      whole.replace('<CURDEF>EUR', '<CURDEF>'),
      'file, line 9: the statement names no currency (CURDEF)',
    ],
    [
      'no account',
      whole.replace('<ACCTID>A1', ''),
      'file, line 10: the statement names no account (BANKACCTFROM, ACCTID)',
    ],
    [
      'a list that ends before it begins',
      ofx({ list: '<DTSTART>20240324<DTEND>20240318' }),
      'file, line 11: the list ends on 2024-03-18, before it begins on 2024-03-24',
    ],
    [
      'a list of no day',
      ofx({ list: '' }),
      'file, line 11: the list covers no day: it has no DTSTART and DTEND, and no entry',
    ],
    [
      'an error of the bank',
      whole.replace(
        '<STMTTRNRS>',
        '<STMTTRNRS><STATUS><CODE>2000<SEVERITY>ERROR<MESSAGE>x</STATUS>',
      ),
      'file, line 9: the bank answered with an error (code 2000) instead of a statement',
    ],
    [
      'a credit card alone',
      `OFXHEADER:100\n\n<OFX>${CARD}</OFX>`,
      'file, line 3: the file holds nothing but credit card statements: payouts arrive on bank accounts',
    ],
    ['no statement', '<OFX></OFX>', 'file, line 1: the file holds no statement (STMTRS)'],
    [
      'an entry outside of a statement',
      whole.replace('</STMTRS>', '</STMTRS><STMTTRN><TRNAMT>1</STMTTRN>'),
      'file, line 13: an entry (STMTTRN) stands outside of a statement',
    ],
    [
      'an entry that is not closed',
      whole.replace('</STMTTRN>', ''),
      'file, line 13: </BANKTRANLIST> stands where STMTTRN of line 12 has to be closed first: a tag is missing or damaged',
    ],
    [
      'an entry that is not opened',
      whole.replace('<STMTTRN>', ''),
      'file, line 12: </STMTTRN> stands where BANKTRANLIST of line 11 has to be closed first: a tag is missing or damaged',
    ],
    [
      'a tag that is damaged',
      whole.replace('<STMTTRN>', 'STMTTRN>'),
      'file, line 12: </STMTTRN> stands where BANKTRANLIST of line 11 has to be closed first: a tag is missing or damaged',
    ],
    [
      'an end tag of nothing',
      whole.replace('<DTSTART>', '</FOO><DTSTART>'),
      'file, line 11: </FOO> stands where BANKTRANLIST of line 11 has to be closed first: a tag is missing or damaged',
    ],
    [
      'text after the end',
      `${whole}more`,
      'file, line 14: there is text after OFX, where elements are expected: the file is damaged',
    ],
    [
      'another file after the end',
      `${whole}<OFX></OFX>`,
      'file, line 14: there is an element OFX after the end of OFX',
    ],
    [
      'a DOCTYPE',
      whole.replace('<OFX>', '<!DOCTYPE OFX [<!ENTITY e "x">]><OFX>'),
      'file, line 7: there is a declaration (<!…), which no statement has',
    ],
    [
      'CDATA without end',
      ofx({ entries: [`${ENTRY}<MEMO><![CDATA[x`] }),
      'file, line 12: a CDATA section has no end: the file is cut off',
    ],
    [
      'CDATA that reaches into the next entry',
      ofx({ entries: [`${ENTRY}<MEMO><![CDATA[x`, `${ENTRY}<MEMO><![CDATA[y]]>`] }),
      'file, line 13: a CDATA section or comment goes over the beginning of an entry: the file is damaged',
    ],
    [
      'levels without end',
      whole.replace('<CURDEF>', '<X>'.repeat(60)),
      'file, line 9: elements are more than 50 levels deep',
    ],
    [
      'a header alone',
      'OFXHEADER:100\nDATA:OFXSGML\n',
      'file, line 1: the file has no header such as OFXHEADER:100 that elements (<OFX>) follow: it is cut off or damaged',
    ],
  ])('%s', async (_, text, expected) => {
    expect(await refusalOf(text)).toBe(expected)
  })
})

test('what makes other readers hang is read or refused at once', async () => {
  const started = performance.now()
  for (const text of [
    `<OFX><${'A'.repeat(200_000)}`,
    `<OFX>${'<A'.repeat(200_000)}`,
    `<OFX>${'</A>'.repeat(200_000)}`,
    `<OFX>${'<![CDATA['.repeat(50_000)}`,
    `OFXHEADER:100\n${'AAAA:'.repeat(50_000)}\n<OFX>`,
    `<OFX><STMTTRN ${' '.repeat(200_000)}`,
    ofx({ entries: [`${ENTRY}<MEMO>${'&#'.repeat(100_000)}`] }),
    ofx({ entries: [`${ENTRY}<MEMO>${'<'.repeat(100_000)}`] }),
    ofx({ entries: [`<DTPOSTED>${'2'.repeat(100_000)}`] }),
  ]) {
    await readOrRefusal(Buffer.from(text))
  }
  expect(performance.now() - started).toBeLessThan(10_000)
})

async function readOrRefusal(bytes: Uint8Array): Promise<BankFileReading | InputFault> {
  try {
    return await readBankFile(bytes, 'damaged')
  } catch (error) {
    if (!(error instanceof InputFault)) throw error
    expect(error.message).toMatch(/^damaged[,:] /)
    expect(error.message.length).toBeLessThan(500)
    return error
  }
}

function entriesIn({ statements }: BankFileReading): number {
  return statements.reduce((count, { entries }) => count + entries.length, 0)
}

/** Entries that notes tell to be left out. */
function leftOutOf({ notes }: BankFileReading): number {
  const counts = notes.map(
    (note) => /(\d+) entr(?:y|ies)(?: of type HOLD|: payouts)/.exec(note)?.[1],
  )
  return counts.reduce((sum, count) => sum + Number(count ?? 0), 0)
}

describe.each(['ofx-sgml.ofx', 'ofx-xml.qfx'])('damage to %s', (name) => {
  test('cut off at any byte: refused, unless only blanks are missing', async () => {
    const whole = await fixture(name)
    for (let length = 0; length < whole.length; length += 1) {
      const reading = await readOrRefusal(whole.subarray(0, length))
      if (reading instanceof InputFault) continue
      expect(Buffer.from(whole.subarray(length)).toString().trim()).toBe('')
    }
  })

  test('bytes changed, and pieces cut out or doubled: no entry that still begins is lost', async () => {
    const whole = await fixture(name)
    const place = fc.nat(whole.length - 1)
    const damage = fc.oneof(
      fc
        .array(fc.tuple(place, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 })
        .map((changes) => {
          const changed = Uint8Array.from(whole)
          for (const [at, byte] of changes) changed[at] = byte
          return changed
        }),
      fc.tuple(place, place, fc.boolean()).map(([one, other, isDoubled]) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other)]
        const [end, start] = isDoubled ? [to, from] : [from, to]
        return Buffer.concat([whole.subarray(0, end), whole.subarray(start)])
      }),
    )
    await fc.assert(
      fc.asyncProperty(damage, async (bytes) => {
        const reading = await readOrRefusal(bytes)
        if (reading instanceof InputFault) return
        const text = Buffer.from(bytes).toString('latin1')
        const begun = text.match(/<STMTTRN>/gi)?.length ?? 0
        // A copy of a whole statement may be left out, which a note tells.
        if (reading.notes.some((note) => note.includes('twice'))) return
        expect(entriesIn(reading) + leftOutOf(reading)).toBeGreaterThanOrEqual(begun)
      }),
      { numRuns: 600 },
    )
  })
})

test('arbitrary text inside of a file is read or refused', async () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(
      '<STMTTRN>',
      '</STMTTRN>',
      '<STMTRS>',
      '</STMTRS>',
      '<MEMO>',
      '<![CDATA[',
      ']]>',
      '<!--',
      '-->',
      '<',
      '>',
      '&',
      '</OFX>',
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 20 }), async (pieces) => {
      await readOrRefusal(Buffer.from(`OFXHEADER:100\n\n<OFX>${pieces.join('')}`))
    }),
    { numRuns: 200 },
  )
})

test('whatever a payer writes comes back, every entry with its amount and id', async () => {
  const word = fc
    .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 60 })
    .filter((text) => text.trim() === text)
  const line = fc.record({ amountMinor: fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }), word })
  const escaped = (text: string) =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), fc.boolean(), async (lines, isXml) => {
      const end = (name: string) => (isXml ? `</${name}>` : '\n')
      const { entries } = await only({
        entries: lines.map(
          ({ amountMinor, word: text }, index) =>
            `<DTPOSTED>20240319${end('DTPOSTED')}<TRNAMT>${amountMinor < 0n ? '-' : ''}${String(
              amountMinor,
            )
              .replace('-', '')
              .padStart(3, '0')
              .replace(
                /(\d\d)$/,
                ',$1',
              )}${end('TRNAMT')}<FITID>F${index}${end('FITID')}<MEMO>${escaped(text)}${end('MEMO')}`,
        ),
      })
      expect(
        entries.map(({ amountMinor, bankReference, remittance }) => ({
          amountMinor,
          bankReference,
          remittance,
        })),
      ).toEqual(
        lines.map(({ amountMinor, word: text }, index) => ({
          amountMinor,
          bankReference: `F${index}`,
          remittance: [text],
        })),
      )
    }),
    { numRuns: 150 },
  )
})
