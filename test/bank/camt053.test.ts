import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { readBankFile } from '../../src/bank/read-file.ts'
import { camt, fixture, readFixture, readText, refusalOf, told } from './reading.ts'

describe('camt.053 fixtures', () => {
  test('version 08: nested parties, details in another currency, a reversal, an amount of 0, a pending entry', async () => {
    const reading = await readFixture('week-v08.xml')
    expect(told(reading)).toEqual([
      'FR7630004000031234567890143 EUR no. 12 2024-03-18..2024-03-24 1000.00 -> 2132.97 verified',
      '  entry 1, line 38: 2024-03-19 1204.50 value 2024-03-19 from/to ALMA SAS at FR7699999000011234567890147 e2e payout_11wYEyTHKhRm ref BNK-0001 "ALMA PAYOUT payout_11wYEyTH" "KhRm & fees <net>" "RF18539007547034" "VIR SEPA RECU ALMA"',
      '  entry 2, line 66: 2024-03-20 -71.53 from/to ALMA SAS ref BNK-0002 reversal',
      '  entry 3, line 83: 2024-03-21 0.00 "ARRETE DE COMPTE"',
    ])
    expect(reading.formatVersion).toBe('08')
    expect(reading.notes).toEqual([
      'week-v08.xml: 1 entry with status PDNG left out: only booked entries count',
    ])
  })

  test('version 02: a batch is one entry, its parts are text; PRCD of Friday opens the days after it', async () => {
    const reading = await readFixture('batch-v02.xml')
    expect(told(reading)).toEqual([
      '0532013000 EUR no. 55 2024-03-16..2024-03-18 -10.00 -> 190.00 verified',
      '  entry 1, line 7: 2024-03-18 200.00 value 2024-03-18 from/to ALMA SAS "PART ONE" "PART TWO" "E2E-1" "E2E-2"',
    ])
    expect(reading.formatVersion).toBe('02')
  })

  test('off the schema: no namespace, no status, no balance signs, no booking dates, five decimals', async () => {
    const reading = await readFixture('off-schema.xml')
    expect(told(reading)).toEqual([
      'LT121000011101001000 EUR 2024-02-01..2024-02-29 5.00 -> 8.50 verified',
      '  entry 1, line 7: 2024-02-29 3.50 value 2024-02-29',
    ])
    expect(reading.formatVersion).toBeNull()
    expect(reading.notes).toEqual([
      'off-schema.xml: 1 entry without a booking date taken on the value date',
    ])
  })

  test('prefixes, two accounts, interim balances only, an account in two currencies, a sum that is wrong', async () => {
    expect(told(await readFixture('prefixed-accounts.xml'))).toEqual([
      'BE71096123456769 EUR 2024-03-18..2024-03-18 100.00 -> 90.00 verified',
      '  entry 1, line 7: 2024-03-18 -10.00',
      'BE68539007547034 EUR 2024-03-18..2024-03-18 0.00 -> 1.00 failed',
      '  entry 2, line 11: 2024-03-18 2.00',
      'BE68539007547034 JPY 2024-03-18..2024-03-18 ? -> ? unverifiable',
      '  entry 3, line 12: 2024-03-18 5000',
    ])
  })

  test('the exact slice of each entry is kept', async () => {
    const text = Buffer.from(await fixture('week-v08.xml')).toString()
    const { statements } = await readFixture('week-v08.xml')
    const slices = [...text.matchAll(/<Ntry>.*?<\/Ntry>/gs)].map(([slice]) => slice)
    expect(statements[0]?.entries.map(({ raw }) => raw)).toEqual(slices.slice(0, 3))
  })

  test('compressed with gzip it reads the same', async () => {
    const packed = gzipSync(await fixture('week-v08.xml'))
    expect(await readBankFile(packed, 'week-v08.xml')).toEqual(await readFixture('week-v08.xml'))
  })
})

describe('encodings', () => {
  const text = camt({ entries: ['2024-03-18 5.00 Société Générale € é'] })
  const body = text.replace('€', 'EUR')
  const declared = (encoding: string, of: string) =>
    `<?xml version="1.0" encoding="${encoding}"?>\n${of}`
  const windows1252 = Buffer.from(declared('windows-1252', text.replace('€', '\u0080')), 'latin1')
  const utf16be = Buffer.from(`\ufeff${declared('UTF-16', text)}`, 'utf16le').swap16()

  test.each([
    ['UTF-8 without a declaration', Buffer.from(text), 'Société Générale € é'],
    ['UTF-8 with a byte order mark', Buffer.from(`\ufeff${text}`), 'Société Générale € é'],
    [
      'latin-1 as declared',
      Buffer.from(declared('ISO-8859-1', body), 'latin1'),
      'Société Générale EUR é',
    ],
    ['windows-1252 as declared', windows1252, 'Société Générale € é'],
    [
      'UTF-16 little-endian',
      Buffer.from(`\ufeff${declared('UTF-16', text)}`, 'utf16le'),
      'Société Générale € é',
    ],
    ['UTF-16 big-endian', utf16be, 'Société Générale € é'],
    [
      'UTF-8 that claims to be UTF-16',
      Buffer.from(declared('utf-16', text)),
      'Société Générale € é',
    ],
  ])('%s', async (_, bytes, expected) => {
    const { statements } = await readBankFile(bytes, 'file')
    expect(statements[0]?.entries[0]?.remittance).toEqual([expected])
  })

  test('a byte outside of the encoding is refused with its line', async () => {
    const bytes = Buffer.from(text.replace('€', '\u0080'), 'latin1')
    const line = text.slice(0, text.indexOf('Société')).split('\n').length
    expect(await refusalOf(bytes, 'a.xml')).toBe(
      `a.xml, line ${line}: a byte is not UTF-8, the encoding of the file: it is damaged or cut, or declares an encoding that it does not have`,
    )
  })

  test('an unknown encoding is refused', async () => {
    expect(await refusalOf(declared('EBCDIC-CP-FR', body))).toBe(
      'file, line 1: the encoding "EBCDIC-CP-FR" is not known',
    )
  })
})

describe('covered days', () => {
  const opbd = 'OPBD 2024-03-18 0.00'
  test.each([
    [
      'whole days',
      { frToDt: '2024-03-18T00:00:00..2024-03-24T23:59:59' },
      '2024-03-18..2024-03-24',
    ],
    [
      'midnight ends the day before',
      { frToDt: '2024-03-18T00:00:00..2024-03-19T00:00:00' },
      '2024-03-18..2024-03-18',
    ],
    [
      'midnight of every day, as the closing balance shows',
      {
        frToDt: '2024-03-18T00:00:00..2024-03-24T00:00:00',
        balances: [opbd, 'CLBD 2024-03-24 0.00'],
      },
      '2024-03-18..2024-03-24',
    ],
    [
      'the evening before, in UTC',
      { frToDt: '2024-03-17T23:00:00Z..2024-03-18T22:59:59Z' },
      '2024-03-18..2024-03-18',
    ],
    [
      'a month asked for before it is over',
      { frToDt: '2024-03-01T00:00:00..2024-03-31T23:59:59', created: '2024-03-20T06:00:00' },
      '2024-03-01..2024-03-20',
    ],
    [
      'a creation time that makes no sense',
      { frToDt: '2024-03-01T00:00:00..2024-03-31T23:59:59', created: '2023-01-01T06:00:00' },
      '2024-03-01..2024-03-31',
    ],
    ['balances of one day', { balances: [opbd, 'CLBD 2024-03-18 0.00'] }, '2024-03-18..2024-03-18'],
    [
      'an opening balance of the first day',
      { balances: [opbd, 'CLBD 2024-03-24 1.00'], entries: ['2024-03-19 1.00'] },
      '2024-03-18..2024-03-24',
    ],
    [
      'an opening balance of the business day before',
      { balances: ['OPBD 2024-03-15 0.00', 'CLBD 2024-03-18 1.00'], entries: ['2024-03-18 1.00'] },
      '2024-03-16..2024-03-18',
    ],
    [
      'an opening balance of the day before, with an entry of that day',
      { balances: ['OPBD 2024-03-15 0.00', 'CLBD 2024-03-18 1.00'], entries: ['2024-03-15 1.00'] },
      '2024-03-15..2024-03-18',
    ],
    [
      'the closing balance of the statement before',
      { balances: ['PRCD 2024-03-17 0.00', 'CLBD 2024-03-24 1.00'], entries: ['2024-03-19 1.00'] },
      '2024-03-18..2024-03-24',
    ],
    [
      'entries alone',
      { entries: ['2024-03-20 1.00', '2024-03-19 1.00'] },
      '2024-03-19..2024-03-20',
    ],
  ])('%s', async (_, parts, days) => {
    const [statement] = (await readText(camt(parts))).statements
    expect(`${statement?.fromDay}..${statement?.toDay}`).toBe(days)
  })
})

describe('what a statement says of itself besides balances', () => {
  const notesOf = async (text: string) => (await readText(text)).notes
  const totals = (inside: string) => `<TxsSummry>${inside}</TxsSummry>`
  const entries = ['2024-03-18 5.00 A', '2024-03-18 -2.00 B']
  const CREDITS = '<TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>5.00</Sum></TtlCdtNtries>'

  test.each<[string, string, string[]]>([
    ['sums that fit', `${CREDITS}<TtlDbtNtries><Sum>2</Sum></TtlDbtNtries>`, []],
    [
      'sums that fit count for more than numbers, in which parts of batches may be counted',
      `<TtlNtries><NbOfNtries>7</NbOfNtries></TtlNtries>${CREDITS}`,
      [],
    ],
    ['a number that fits', '<TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries>', []],
    [
      'credits of which one is missing',
      CREDITS.replace('5.00', '6.50'),
      [
        'file: the statement of DE89370400440532013000 says that its credits add up to 6.50 EUR, and those in the file add up to 5.00 EUR: entries may be missing',
      ],
    ],
    [
      'debits of which one is missing',
      '<TtlDbtNtries><Sum>3.00</Sum></TtlDbtNtries>',
      [
        'file: the statement of DE89370400440532013000 says that its debits add up to 3.00 EUR, and those in the file add up to 2.00 EUR: entries may be missing',
      ],
    ],
    [
      'a number alone that does not fit',
      '<TtlNtries><NbOfNtries>3</NbOfNtries></TtlNtries>',
      [
        'file: the statement of DE89370400440532013000 says that it has 3 entries, and the file holds 2: entries may be missing',
      ],
    ],
  ])('%s', async (_, inside, notes) => {
    expect(await notesOf(camt({ entries, more: totals(inside) }))).toEqual(notes)
  })

  test('totals may count what does not count yet', async () => {
    const pending = `${totals(CREDITS.replace('5.00', '6.00'))}<Ntry><Amt Ccy="EUR">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts></Ntry>`
    expect(await notesOf(camt({ entries, more: pending }))).toEqual([
      'file: 1 entry with status PDNG left out: only booked entries count',
    ])
  })

  test('a total that cannot be read is refused', async () => {
    expect(await refusalOf(camt({ entries, more: totals(CREDITS.replace('5.00', '5,00')) }))).toBe(
      'file, statement 1, line 2: "5,00" is not an amount: digits with a decimal point were expected, such as -1204.50',
    )
  })

  test('a page whose next one is not in the file is told', async () => {
    const page = (number: number, isLast: boolean) =>
      `<StmtPgntn><PgNb>${number}</PgNb><LastPgInd>${isLast}</LastPgInd></StmtPgntn>`
    const first = camt({ entries, more: page(1, false) })
    expect(await notesOf(first)).toEqual([
      'file: page 1 of the statement of DE89370400440532013000 is not its last one, and page 2 is not in the file',
    ])
    const second = camt({ entries, more: page(2, true) })
    const both = first.replace(
      '</Stmt>',
      `</Stmt>${second.slice(second.indexOf('<Stmt>'), second.indexOf('</BkToCstmrStmt>'))}`,
    )
    expect(await notesOf(both)).toEqual([])
    const message = first
      .replace(page(1, false), '')
      .replace(
        '<Stmt>',
        '<GrpHdr><MsgPgntn><PgNb>2</PgNb><LastPgInd>false</LastPgInd></MsgPgntn></GrpHdr><Stmt>',
      )
    expect(await notesOf(message)).toEqual([
      'file: page 2 of the message is not its last one, and page 3 is not in the file',
    ])
  })
})

test('blank lines above the declaration do no harm, and lines are counted with them', async () => {
  const text = camt({ entries: ['2024-03-18 5.00 A'] })
  const shifted = await readText(`\ufeff\n \r\n<?xml version="1.0"?>${text}`)
  expect(told(shifted)).toEqual(
    told(await readText(`<?xml version="1.0"?>\n\n${text}`)).map((line) => line),
  )
})

describe('refused', () => {
  const whole = camt({ entries: ['2024-03-18 5.00 A', '2024-03-19 6.00 B'] })
  const place = 'file, entry 2, line 5'

  test.each([
    [
      'an amount with a comma',
      ['6.00', '6,00'],
      `${place}: "6,00" is not an amount: digits with a decimal point were expected, such as -1204.50`,
    ],
    [
      'more decimals than the currency has',
      ['6.00', '6.005'],
      `${place}: "6.005" has more decimals than EUR has (2)`,
    ],
    [
      'a signed amount',
      ['6.00', '-6.00'],
      `${place}: the amount "-6.00" has a sign, where CdtDbtInd alone says the direction`,
    ],
    [
      'an exponent',
      ['6.00', '6e2'],
      `${place}: "6e2" is not an amount: digits with a decimal point were expected, such as -1204.50`,
    ],
    ['no amount', ['<Amt Ccy="EUR">6.00</Amt>', ''], `${place}: the amount (Amt) is missing`],
    [
      'no currency',
      ['<Amt Ccy="EUR">6.00', '<Amt>6.00'],
      `${place}: "" is not a currency: three capitals were expected, such as EUR`,
    ],
    [
      'a day that does not exist',
      ['2024-03-19', '2024-02-30'],
      `${place}: "2024-02-30" is not a day: an existing date as YYYY-MM-DD was expected`,
    ],
    [
      'a date that is none',
      ['2024-03-19', '19/03/2024'],
      `${place}: "19/03/2024" is not a date: YYYY-MM-DD, maybe with a time, was expected`,
    ],
    [
      'no direction',
      ['6.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>', '6.00</Amt>'],
      `${place}: the direction (CdtDbtInd) is "": CRDT or DBIT was expected`,
    ],
    [
      'an unknown status',
      [
        '<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2024-03-19',
        '<Sts><Cd>DONE</Cd></Sts><BookgDt><Dt>2024-03-19',
      ],
      `${place}: the status (Sts) "DONE" is not known: BOOK, PDNG, INFO or FUTR was expected`,
    ],
    [
      'no account',
      ['<Acct><Id><IBAN>DE89370400440532013000</IBAN></Id><Ccy>EUR</Ccy></Acct>', ''],
      'file, statement 1, line 2: the statement names no account (Acct/Id)',
    ],
    [
      'an entry in a place of its own',
      ['</Stmt>', '<Extra><Ntry/></Extra></Stmt>'],
      'file, line 6: an entry (Ntry) stands outside of a statement (Stmt)',
    ],
    [
      'a statement in a statement',
      ['</Stmt>', '<Stmt></Stmt></Stmt>'],
      'file, line 6: a statement begins inside another one',
    ],
    ['crossed tags', ['</Ntry>', '</BookgDt>'], 'file, line 4: unexpected close tag'],
    [
      'a DOCTYPE',
      ['<Document', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Document'],
      'file, line 1: the file has a DOCTYPE, which no bank statement has',
    ],
    ['an entity that is not defined', ['>B<', '>&e;<'], 'file, line 5: undefined entity'],
    [
      'text after the end',
      ['</Document>', '</Document>more'],
      'file, line 6: text data outside of root node',
    ],
  ])('%s', async (_, [from = '', to = ''], message) => {
    expect(whole).toContain(from)
    expect(await refusalOf(whole.replace(from, to))).toBe(message)
  })

  test('a file cut off after a whole entry', async () => {
    expect(await refusalOf(whole.slice(0, whole.lastIndexOf('</Ntry>') + 7), 'week.xml')).toBe(
      'week.xml, line 5: unclosed tag: Stmt',
    )
  })

  test('a message without any statement', async () => {
    expect(await refusalOf('<Document><BkToCstmrStmt></BkToCstmrStmt></Document>')).toBe(
      'file: the message holds no statement (Stmt)',
    )
  })

  test('a statement of no day', async () => {
    expect(await refusalOf(camt({}))).toBe(
      'file, statement 1, line 2: the statement covers no day: it has no FrToDt, no dated balance and no entry',
    )
  })

  test('days that end before they begin', async () => {
    expect(await refusalOf(camt({ frToDt: '2024-03-19..2024-03-18' }))).toBe(
      'file, statement 1, line 2: the statement ends on 2024-03-18, before it begins on 2024-03-19 (FrToDt)',
    )
  })
})

test('100,000 entries are read, each with its place', async () => {
  const entries = Array.from({ length: 100_000 }, (_, index) => `2024-03-18 1.00 line ${index}`)
  const text = camt({
    balances: ['OPBD 2024-03-18 0.00', 'CLBD 2024-03-18 100000.00'],
    entries,
  })
  const reading = await readText(text)
  expect(
    told({
      ...reading,
      statements: reading.statements.map((statement) => ({
        ...statement,
        entries: statement.entries.slice(-1),
      })),
    })[1],
  ).toContain('entry 100000, line 100005:')
  expect(reading.statements[0]?.entries).toHaveLength(100_000)
  expect(reading.statements[0]?.entries[77_776]?.raw).toContain('line 77776<')
})
