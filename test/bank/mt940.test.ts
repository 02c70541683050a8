import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BankFileReading, readBankFile } from '../../src/bank/read-file.ts'
import { balanceState } from '../../src/domain/bank-statement.ts'
import { formatAmount, sumOf } from '../../src/domain/money.ts'
import { InputFault } from '../../src/errors.ts'
import { fixture, readFixture, readText, refusalOf, told } from './reading.ts'

describe('MT940 fixtures', () => {
  test('German sub-fields: tags and words across their borders, RC and RD, New Year, two pages, latin-1', async () => {
    const reading = await readFixture('mt940-german.sta')
    expect(told(reading)).toEqual([
      'DE89370400440532013000 EUR no. 312 2023-12-30..2024-01-02 1000.00 -> 2137.37 verified',
      '  line 5: 2024-01-02 1204.50 value 2023-12-31 from/to ALMA SAS at FR7630006000011234567890189 ref 2024010200001 "ALMA payout_11wYEyT" "HKhRm0Zq7" "KREF+ALMA-7" "GUTSCHR. UEBERWEISUNG"',
      '  line 9: 2024-01-02 -71.53 value 2024-01-02 from/to ALMA SAS e2e E2E-00000000000000000000000042 reversal "ZURUECK" ": ALMA" "RETOURE" "/OCMT/EUR71,53//CHGS/EUR0,50/" "0000549855700010"',
      '  line 18: 2024-01-02 13.40 value 2024-01-02 reversal "Gebühr vom 29.12." "zurück" "STORNO"',
      '  line 20: 2024-01-02 -9.00 value 2024-01-02 from/to BANK "TAN um 12:30:15 und um-:25:26 Uhr" "ENTGELT"',
      'DE89370400440532013000 EUR no. 313 2024-01-03..2024-01-03 2137.37 -> 2137.37 verified',
    ])
    expect(reading.notes).toEqual([
      'mt940-german.sta is not UTF-8: its letters were read as windows-1252',
      'mt940-german.sta: the account 37040044/0532013000 was taken as the IBAN DE89370400440532013000 that its numbers give',
      'mt940-german.sta: 2 entries without an entry date taken on the value date, or the day of the statement that is nearest to it',
    ])
    expect(reading.statements[0]?.entries[3]?.raw).toBe(
      ':61:2401020102D9,NMSCNONREF\n:86:805?00ENTGELT?20TAN um 12\n:30:15 und um\n-\n:25:26 Uhr?32BANK',
    )
  })

  test('Dutch tags broken over lines, SWIFT envelopes on shared lines, numbers that are dates', async () => {
    const reading = await readFixture('mt940-dutch.swi')
    expect(told(reading)).toEqual([
      'NL91ABNA0417164300 EUR 2024-03-16..2024-03-18 1000.00 -> 2108.00 verified',
      '  line 8: 2024-03-18 1204.50 value 2024-03-18 from/to ALMA SAS at NL56DEUT0265186420 e2e ALMA-VIR-000001 ref B4E07XM00J000023 "ALMA PAYOUT payout_11wYEyTHK" "hRm0Zq7" "/TRTP/SEPA OVERBOEKING" "/ISDT/2024-03-18"',
      '  line 14: 2024-03-18 -71.50 value 2024-03-18 from/to WITTEBRUG B.V. at NL20INGB0001234567 ref B4E07XM00J000024 "Factuur 2024/17"',
      '  line 16: 2024-03-18 -25.00 value 2024-03-18 "BEA   NR:XXX1234   18.03.24/12.54 DIRCKIII FIL2500 KATWIJK,PAS999" "TWEEDE REGEL"',
      'NL91ABNA0417164300 EUR 2024-03-19..2024-03-19 2108.00 -> 2108.00 verified',
    ])
    expect(reading.notes).toEqual(['mt940-dutch.swi: 1 field :13D: left out'])
  })

  test('plain text between header lines: blanks, line breaks and a minus sign in :61:, several :86:, >20', async () => {
    expect(told(await readFixture('mt940-plain.txt'))).toEqual([
      '517852257 EUR 2024-03-18..2024-03-19 -107.00 -> 1231.62 verified',
      '  line 8: 2024-03-18 1204.50 value 2024-03-18 "0987654321 marechal s" "ALMA payout_11wYEyTHKhRm"',
      '  line 14: 2024-03-18 30.00 value 2024-03-18 ref 55555/17//18 "TWEEDE" "DERDE"',
      '  line 19: 2024-03-19 104.12 value 2024-03-19 reversal "REFERENCE DO 111"',
      'TRIODOSBANK/0390123456 EUR no. 1 2024-03-18..2024-03-18 4975.09 -> 4959.39 verified',
      '  line 29: 2024-03-18 -15.70 value 2024-03-18 "ALGEMENE TUSSENREKENING KOS" "TEN VAN 01-10-2010 TOT EN M" "ET 31-12-2010"',
    ])
  })
})

interface Parts {
  readonly account?: string
  readonly number?: string
  readonly opening?: string
  readonly entries?: readonly string[]
  readonly closing?: string
  readonly end?: string
}

/** A message of one statement; its balances are those of an account that nothing moves. */
function message({
  account = 'DE89370400440532013000',
  number = '7/1',
  opening = '60F:C240318EUR100,00',
  entries = [],
  closing = '62F:C240318EUR100,00',
  end = '-',
}: Parts = {}): string {
  return [
    ':20:STARTUMS',
    `:25:${account}`,
    `:28C:${number}`,
    `:${opening}`,
    ...entries,
    `:${closing}`,
    end,
    '',
  ].join('\n')
}

async function only(parts: Parts) {
  const { statements } = await readText(message(parts))
  const [statement, another] = statements
  if (statement === undefined || another !== undefined) throw new Error('not one statement')
  return statement
}

async function entryOf(...lines: readonly string[]) {
  const { entries } = await only({ entries: lines, closing: '62F:C240331EUR100,00' })
  const [entry, another] = entries
  if (entry === undefined || another !== undefined) throw new Error('not one entry')
  return entry
}

describe('statement lines (:61:)', () => {
  test.each([
    ['credit', '2403190319C12,34NTRFNONREF', '2024-03-19', 1234n, false],
    ['debit', '2403190319D12,34NTRFNONREF', '2024-03-19', -1234n, false],
    ['reversal of a credit', '2403190319RC12,34NTRFNONREF', '2024-03-19', -1234n, true],
    ['reversal of a debit', '2403190319RD12,34NTRFNONREF', '2024-03-19', 1234n, true],
    ['reversal with a letter of the currency', '2403190319RDR9,N051', '2024-03-19', 900n, true],
    ['letter of the currency', '2403190319CR12,34NTRFNONREF', '2024-03-19', 1234n, false],
    ['letter that is also a mark', '240319DD12,34NMSCNONREF', '2024-03-19', -1234n, false],
    ['no entry date', '240319C12,34NTRFNONREF', '2024-03-19', 1234n, false],
    ['blanks for the entry date', '240319    D12,34NTRFNONREF', '2024-03-19', -1234n, false],
    ['blanks before the amount', '2403190319C   12,34NTRFNONREF', '2024-03-19', 1234n, false],
    ['a blank behind the amount', '2403190319C12,34 NTRFNONREF', '2024-03-19', 1234n, false],
    ['a line break before the amount', '2403190319CR\n12,34NTRF', '2024-03-19', 1234n, false],
    ['bare comma', '2403190319C107,NTRFNONREF', '2024-03-19', 10700n, false],
    ['no comma', '2403190319C500NTRF29-03', '2024-03-19', 50000n, false],
    ['one decimal', '2403190319C0,5NTRFNONREF', '2024-03-19', 50n, false],
    ['zeros before the amount', '2403190319D000000001213,28N044', '2024-03-19', -121328n, false],
    ['nothing', '2403190319D0,00NDEFNONREF//', '2024-03-19', 0n, false],
    ['no transaction type', '2403190319C1,00', '2024-03-19', 100n, false],
    ['three characters', '2403190319C1,00NOV NONREF', '2024-03-19', 100n, false],
    ['three characters and no blank', '2403190319C1,00N05NONREF', '2024-03-19', 100n, false],
    ['a type with blanks', '2403190319C1,00S   X', '2024-03-19', 100n, false],
  ])('%s', async (_, line, day, amountMinor, isReversal) => {
    expect(await entryOf(`:61:${line}`)).toMatchObject({ bookingDay: day, amountMinor, isReversal })
  })

  test.each([
    ['after //', 'NTRFNONREF//0724710333343453', '0724710333343453'],
    [
      'longer than SWIFT allows',
      'NTRFKREF+//025498557/000001-2024-03-19',
      '025498557/000001-2024-03-19',
    ],
    ['with // in it', 'NMSC341241773/1XXXXX//O/3412//41774', 'O/3412//41774'],
    ['NONREF', 'FMSC01916//NONREF', null],
    ['nothing after //', 'NMSCNONREF//', null],
    ['no //', 'NMSCREFERENCE DO 111', null],
  ])('bank reference: %s', async (_, rest, bankReference) => {
    expect((await entryOf(`:61:2403190319C1,00${rest}`)).bankReference).toBe(bankReference)
  })

  test.each([
    ['the day before New Year, booked after it', '231231', '0102', '2024-01-02'],
    ['a value date after New Year, booked before it', '240102', '1231', '2023-12-31'],
    ['the same day', '240319', '0319', '2024-03-19'],
    ['a leap day', '240301', '0229', '2024-02-29'],
  ])('year of the entry date: %s', async (_, valueDate, entryDate, day) => {
    const { entries } = await only({
      opening: '60F:C231229EUR100,00',
      entries: [`:61:${valueDate}${entryDate}C0,00NTRF`],
      closing: '62F:C240319EUR100,00',
    })
    expect(entries[0]?.bookingDay).toBe(day)
  })

  test('an entry without an entry date was booked between its balances, whatever its value date', async () => {
    const statement = await only({
      opening: '60F:C240315EUR0,00',
      entries: [':61:240301C1,00NTRF', ':61:240318C1,00NTRF', ':61:240331C1,00NTRF'],
      closing: '62F:C240319EUR3,00',
    })
    expect(statement.entries.map(({ bookingDay }) => bookingDay)).toEqual([
      '2024-03-16',
      '2024-03-18',
      '2024-03-19',
    ])
  })

  test('text beside and below is kept, an account among it is the other side', async () => {
    expect(
      await entryOf(
        ':61:2403190319C1,00N0440121470966      W.P. Jansen     ',
        'NL91ABNA0417164300',
      ),
    ).toMatchObject({
      counterpartyIban: 'NL91ABNA0417164300',
      remittance: ['W.P. Jansen', 'NL91ABNA0417164300', '0121470966'],
    })
  })

  test('D-104,12 is the contrary of its mark where the balances say so, and refused where they do not', async () => {
    const entries = [':61:1908150815D-104,12NMSCNONREF//010F214191270328']
    const statement = await only({
      opening: '60F:C190814EUR0,00',
      entries,
      closing: '62F:C190815EUR104,12',
    })
    expect(statement.entries[0]).toMatchObject({ amountMinor: 10412n, isReversal: true })
    expect(
      await refusalOf(
        message({ opening: '60F:C190814EUR104,12', entries, closing: '62F:C190815EUR0,00' }),
      ),
    ).toBe(
      'file, line 5, :61:: the amount has a minus sign, which no specification knows, and the balances of the statement do not show what it means: read as the contrary of its mark, the statement does not add up',
    )
  })
})

describe('texts of entries (:86:)', () => {
  const text = async (...lines: readonly string[]) => {
    const { counterpartyName, counterpartyIban, endToEndId, remittance } = await entryOf(
      ':61:2403190319C1,00NTRFNONREF',
      ...lines,
    )
    return [counterpartyName, counterpartyIban, endToEndId, ...remittance]
  }

  test.each<[string, string[], (string | null)[]]>([
    [
      'a tag broken by a sub-field, another by a line',
      [':86:166?00GUTSCHRIFT?20EREF+E2E-1?21MR?22EF+M', '-1SV', 'WZ+RE?23CHNUNG 7'],
      [null, null, 'E2E-1', 'RE', 'CHNUNG 7', 'MREF+M-1', 'GUTSCHRIFT'],
    ],
    [
      'a sub-field number broken by a line',
      [':86:166?2', '0SVWZ+A?', '21B'],
      [null, null, null, 'A', 'B'],
    ],
    [
      'purpose that goes on in ?60',
      [':86:166?20ABC?30BIC?31123?32NA?33ME?34997?60DEF?61GHI'],
      ['NAME', null, null, 'ABC', 'DEF', 'GHI'],
    ],
    [
      'a question mark that is none',
      [':86:166?20WIESO? DARUM?21X?'],
      [null, null, null, 'WIESO? DARUM', 'X?'],
    ],
    [
      'an id as long as it can be, and text behind it',
      [':86:166?20EREF+1234567890123456789012?213456789012345?22DANKE'],
      [null, null, '12345678901234567890123456789012345'.slice(0, 35), 'DANKE'],
    ],
    [
      'a payer who pays for somebody',
      [':86:166?20SVWZ+X ABWA+ALMA SAS'],
      ['ALMA SAS', null, null, 'X', 'ABWA+ALMA SAS'],
    ],
    [
      'tags without sub-fields',
      [':86:EREF+E2E-2 KREF+K-2 SVWZ+TEXT', 'MORE'],
      [null, null, 'E2E-2', 'TEXT', 'MORE', 'KREF+K-2'],
    ],
    [
      'a mark of other banks',
      [':86:020~00WPLATA~20ALMA~21 SAS~32JAN'],
      ['JAN', null, null, 'ALMA', 'SAS', 'WPLATA'],
    ],
    [
      'Dutch tags that are empty',
      [':86:/EREF/NOTPROVIDED/BENM//NAME/CONTRA ACCOUN', 'T HOLDER/REMI//ISDT/2024-03-19'],
      ['CONTRA ACCOUNT HOLDER', null, null, '/ISDT/2024-03-19'],
    ],
    [
      'a Dutch return',
      [':86:/TRTP/SEPA/RTRN/AC04/IBAN/NL91ABNA0417164300/NAME/A/REMI/B/C'],
      ['A', 'NL91ABNA0417164300', null, 'B/C', '/TRTP/SEPA', '/RTRN/AC04'],
    ],
    [
      'tags that nobody knows',
      [':86:/PT/FT/PY/SOMETHING', '   12'],
      [null, null, null, '/PT/FT/PY/SOMETHING', '12'],
    ],
    [
      'plain text',
      [':86:EEN OMSCHRIJVING', '', 'VAN > 20 REGELS'],
      [null, null, null, 'EEN OMSCHRIJVING', 'VAN > 20 REGELS'],
    ],
    ['no text', [':86:'], [null, null, null]],
    [
      'fields agreed among banks',
      [':NS:01PURPOSE', '17TEXT'],
      [null, null, null, 'PURPOSE', 'TEXT'],
    ],
  ])('%s', async (_, lines, expected) => {
    expect(await text(...lines)).toEqual(expected)
  })
})

describe('accounts (:25:)', () => {
  test.each([
    ['NL91ABNA0417164300', 'NL91ABNA0417164300'],
    ['NL91 ABNA 0417 1643 00 EUR', 'NL91ABNA0417164300'],
    ['37040044/0532013000', 'DE89370400440532013000'],
    ['37040044/532013000EUR', 'DE89370400440532013000'],
    ['50880050/0194774600888', '50880050/0194774600888'],
    ['ABNANL2A/NL91ABNA0417164300', 'NL91ABNA0417164300'],
    ['BPHKPLPK/320000546101', 'BPHKPLPK/320000546101'],
    ['1291.99.348EUR', '1291.99.348'],
    ['UBRTHUHB/123456789150/EUR', 'UBRTHUHB/123456789150'],
    ['0001234567', '0001234567'],
  ])('%s', async (account, expected) => {
    expect((await only({ account })).account).toBe(expected)
  })
})

describe('statements', () => {
  test.each([
    ['7/1', 7],
    ['00312/00002', 312],
    ['0', null],
    ['00000/001', null],
    ['1810118101', null],
    ['24078/1', null],
  ])('number %s', async (number, expected) => {
    expect((await only({ number })).sequenceNumber).toBe(expected)
  })

  test.each([
    ['one day', '60F:C240318EUR1,', [], '62F:C240318EUR1,', '2024-03-18..2024-03-18'],
    ['since the last one', '60F:C240315EUR1,', [], '62F:C240318EUR1,', '2024-03-16..2024-03-18'],
    [
      'from its first day',
      '60F:C240315EUR1,',
      [':61:2403150315C0,N'],
      '62F:C240318EUR1,',
      '2024-03-15..2024-03-18',
    ],
  ])('days: %s', async (_, opening, entries, closing, days) => {
    const { fromDay, toDay } = await only({ opening, entries, closing })
    expect(`${fromDay}..${toDay}`).toBe(days)
  })

  test('a sum that is wrong is read, and says so', async () => {
    const reading = await readText(message({ entries: [':61:240318C1,00NTRF'] }))
    expect(told(reading)[0]).toBe(
      'DE89370400440532013000 EUR no. 7 2024-03-18..2024-03-18 100.00 -> 100.00 failed',
    )
  })

  test('a page without its neighbour is a statement of its own, and a note says so', async () => {
    const page = message({ closing: '62M:C240318EUR100,00' })
    const other = message({ opening: '60M:C240318EUR90,00', closing: '62F:C240318EUR90,00' })
    const reading = await readText(page + other)
    expect(reading.statements).toHaveLength(2)
    expect(reading.notes).toEqual([
      'file: the statement of DE89370400440532013000 that begins on line 1 is one of several pages, and the page after it is not in this file',
      'file: the statement of DE89370400440532013000 that begins on line 7 is one of several pages, and the page before it is not in this file',
    ])
  })

  test('pages of two accounts that alternate', async () => {
    const page = (account: string, from: string, to: string) =>
      message({
        account,
        opening: `${from}:C240318EUR100,00`,
        entries: [':61:240318C0,00NTRF'],
        closing: `${to}:C240318EUR100,00`,
      })
    const { statements, notes } = await readText(
      page('A1', '60F', '62M') +
        page('B1', '60F', '62M') +
        page('A1', '60M', '62M') +
        page('B1', '60M', '62F') +
        page('A1', '60M', '62F'),
    )
    expect(statements.map(({ account, entries }) => [account, entries.length])).toEqual([
      ['A1', 3],
      ['B1', 2],
    ])
    expect(notes).toHaveLength(1)
  })

  test('totals behind the closing balance that disagree are told', async () => {
    const { notes } = await readText(
      message({
        entries: [':61:2403180318C1,00NTRF', ':61:2403180318D1,00NTRF'],
        end: ':86:D000001C000002D1,00C2,50',
      }),
    )
    expect(notes).toEqual([
      'file: the statement that begins on line 1 says that it has debits and credits of 1 of 1.00 and 2 of 2.50, and has 1 of 1.00 and 1 of 1.00',
    ])
  })

  test('statements without any end mark, and closing balances without currency', async () => {
    const text = message({ end: '', closing: '62F:C240318100,00' })
    expect(
      (await readText(`${text}${text.replaceAll('240318', '240319')}`)).statements,
    ).toHaveLength(2)
  })

  test('a statement that stands there twice counts once', async () => {
    const text = message({ entries: [':61:240318C1,00NTRF'], closing: '62F:C240318EUR101,00' })
    expect((await readText(text + text)).statements).toHaveLength(1)
  })
})

describe('refused', () => {
  const entry = ':61:2403180318C1,00NTRFNONREF'
  test.each([
    [
      'a day that does not exist',
      message({ entries: [':61:1602300301DR6,00N024NONREF'] }),
      'file, line 5, :61:: "160230" is not a day: an existing date as YYMMDD was expected',
    ],
    [
      'an entry date that does not exist',
      message({ entries: [':61:2403181301C6,00N024NONREF'] }),
      'file, line 5, :61:: "1301" is not an entry date: an existing date MMDD was expected',
    ],
    [
      'a mark of expected entries',
      message({ entries: [':61:240318EC6,00N024NONREF'] }),
      'file, line 5, :61:: "240318EC6,00N024NONREF" is not a statement line: a value date YYMMDD, maybe an entry date MMDD, then C, D, RC or RD, and an amount with a decimal comma were expected, such as 2403180318C1204,50NTRF',
    ],
    [
      'a decimal point',
      message({ entries: [':61:240318C6.00N024'] }),
      'file, line 5, :61:: "240318C6.00N024" is not a statement line: a value date YYMMDD, maybe an entry date MMDD, then C, D, RC or RD, and an amount with a decimal comma were expected, such as 2403180318C1204,50NTRF',
    ],
    [
      'too many decimals',
      message({ entries: [':61:240318C6,005N024'] }),
      'file, line 5, :61:: "6.005" has more decimals than EUR has (2)',
    ],
    [
      'something else behind the amount',
      message({ entries: [':61:240318C6,00#024'] }),
      'file, line 5, :61:: "#024" stands behind the amount: a transaction type was expected, such as NTRF',
    ],
    [
      'a balance that is none',
      message({ closing: '62F:C240318EUR10000' }),
      'file, line 5, :62F:: "C240318EUR10000" is not a balance: C or D, a date YYMMDD, a currency and an amount with a decimal comma were expected, such as C240318EUR1204,50',
    ],
    [
      'two currencies',
      message({ closing: '62F:C240318USD100,00' }),
      'file, line 5, :62F:: the closing balance is in USD, the opening balance in EUR',
    ],
    [
      'balances in the wrong order',
      message({ closing: '62F:C240317EUR100,00' }),
      'file, line 5, :62F:: the closing balance is of 2024-03-17, before the opening balance of 2024-03-18',
    ],
    [
      'a number that is none',
      message({ number: 'A/1' }),
      'file, line 3, :28C:: "A/1" is not a statement number: digits were expected, such as 172/1',
    ],
    [
      'an account that is none',
      message({ account: 'BILLLULLXXX/"NUMERO' }),
      'file, line 2, :25:: "BILLLULLXXX/\\"NUMERO" is not an account: an IBAN or the bank\'s account number was expected',
    ],
    [
      'no account',
      message().replace(/:25:.*\n/, ''),
      'file, line 1: the statement names no account (:25:)',
    ],
    [
      'no closing balance',
      message({ entries: [entry] }).replace(/:62F:.*\n/, ''),
      'file, line 1: the statement that begins here ends on line 6 without a closing balance (:62F:): it is cut off or damaged',
    ],
    [
      'no opening balance',
      message({ entries: [entry] }).replace(/:60F:.*\n/, ''),
      'file, line 4: the field :61: stands before the opening balance (:60F:), where it cannot be',
    ],
    [
      'an entry after the closing balance',
      message({ end: entry }),
      'file, line 6: the field :61: stands after the closing balance (:62F:), where it cannot be',
    ],
    [
      'an entry outside',
      `${message()}${entry}\n`,
      'file, line 7: the field ":61:2" stands outside of a statement, which begins with :20:',
    ],
    [
      'another field in the place of an entry’s text',
      message({ entries: [entry, ':25:166?00GUTSCHRIFT'] }),
      'file, line 6: the field :25: stands between opening and closing balance (:60F: to :62F:), where it cannot be',
    ],
    [
      'a damaged field',
      message().replace(':25:', '?25:'),
      'file, line 2: a field such as :61: was expected, and there is "?25:DE893704"',
    ],
    [
      'an envelope without its end',
      `{1:F01RABONL2UAXXX0000000000}{2:I940RABONL2UXXXXN}{4:\n${message({ end: '' })}`,
      'file, line 2: the message that begins here ends with the file without the end of its envelope (-}): it is cut off or damaged',
    ],
    [
      'an MT942 in an envelope',
      `{1:F01RABONL2UAXXX0000000000}{2:O942}{4:\n${message({ end: '-}' })}`,
      'file, line 1: the message is an MT942 report of the running day, whose entries may still change',
    ],
    [
      'an MT942 behind an MT940',
      message() + message().replace(/:60F:.*\n/, ':34F:EUR0,\n'),
      'file, line 10: the field :34F: belongs to an MT942 report of the running day, whose entries may still change',
    ],
    [
      'another message in an envelope',
      `{1:F01RABONL2UAXXX0000000000}{2:O103}{4:\n${message({ end: '-}' })}`,
      'file, line 1: the message is an MT103, not a statement (MT940)',
    ],
    [
      'a header that nothing follows',
      `${message()}ABNANL2A\n940\n`,
      'file, line 7: the file ends with text that belongs to no statement: it is cut off there, or damaged',
    ],
    [
      'a control character',
      message({ entries: [entry, ':86:A\0B'] }),
      'file, line 6: there is a control character (hexadecimal 00), which no statement has: the file is damaged',
    ],
    [
      'a text without end',
      message({ entries: [entry, `:86:${'A'.repeat(30_000)}`] }),
      'file, line 6: the field :86: has more than 20000 characters',
    ],
  ])('%s', async (_, text, expected) => {
    expect(await refusalOf(text)).toBe(expected)
  })

  test('an MT942 is refused by its name', async () => {
    expect(await refusalOf(':20:A\n:25:B\n:28C:1/1\n:34F:EUR0,\n:61:240318C1,00NTRF\n')).toContain(
      'the file looks like an MT942 report of the running day',
    )
  })
})

async function readOrRefusal(bytes: Uint8Array): Promise<BankFileReading | InputFault> {
  try {
    return await readBankFile(bytes, 'damaged')
  } catch (error) {
    if (!(error instanceof InputFault)) throw error
    expect(error.message).toMatch(/^damaged[,:] /)
    expect(error.message.length).toBeLessThan(400)
    return error
  }
}

/** What each statement that adds up says: balances, and the amounts that lead from one to the other. */
function proved({ statements }: BankFileReading): { balances: string; amounts: string }[] {
  return statements.flatMap((statement) => {
    const amounts = statement.entries.map(({ amountMinor }) => amountMinor)
    if (balanceState(statement, sumOf(amounts)) !== 'verified') return []
    const { account, openingMinor, closingMinor } = statement
    const moved = amounts.filter((amountMinor) => amountMinor !== 0n)
    return [{ balances: `${account} ${openingMinor} ${closingMinor}`, amounts: moved.join(' ') }]
  })
}

describe.each(['mt940-german.sta', 'mt940-dutch.swi', 'mt940-plain.txt'])(
  'damage to %s',
  (name) => {
    test('cut off at any byte: refused, or whole statements are left', async () => {
      const whole = await fixture(name)
      const original = await readBankFile(whole, 'damaged')
      for (let length = 0; length < whole.length; length += 1) {
        const reading = await readOrRefusal(whole.subarray(0, length))
        if (reading instanceof InputFault) continue
        for (const [index, statement] of reading.statements.entries()) {
          const originalEntries = original.statements[index]?.entries
          const isLast = index === reading.statements.length - 1
          const isWhole = statement.entries.length === originalEntries?.length
          // A cut between two pages leaves the first one, which a note tells.
          expect(isWhole || (isLast && reading.notes.join().includes('the page after it'))).toBe(
            true,
          )
        }
      }
    })

    test('bytes changed, and pieces cut out or doubled: what adds up lost nothing', async () => {
      const whole = await fixture(name)
      const known = new Map(
        proved(await readBankFile(whole, 'damaged')).map(({ balances, amounts }) => [
          balances,
          amounts,
        ]),
      )
      const place = fc.nat(whole.length - 1)
      const flips = fc.array(fc.tuple(place, fc.integer({ min: 0, max: 255 })), {
        minLength: 1,
        maxLength: 3,
      })
      const damage = fc.oneof(
        flips.map((changes) => {
          const changed = Uint8Array.from(whole)
          for (const [at, byte] of changes) changed[at] = byte
          return changed
        }),
        fc.tuple(place, place).map(([one, other]) => {
          const [from, to] = [Math.min(one, other), Math.max(one, other)]
          return Buffer.concat([whole.subarray(0, from), whole.subarray(to)])
        }),
        fc.tuple(place, place).map(([one, other]) => {
          const [from, to] = [Math.min(one, other), Math.max(one, other)]
          return Buffer.concat([whole.subarray(0, to), whole.subarray(from)])
        }),
      )
      await fc.assert(
        fc.asyncProperty(damage, async (bytes) => {
          const reading = await readOrRefusal(bytes)
          if (reading instanceof InputFault) return
          for (const { balances, amounts } of proved(reading)) {
            if (known.has(balances)) expect(amounts).toBe(known.get(balances))
          }
        }),
        { numRuns: 600 },
      )
    })
  },
)

test('arbitrary text inside a message is read or refused', async () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(
      '\n',
      ':61:',
      ':86:',
      ':62F:',
      '-\n',
      '-}',
      '{4:',
      '?20',
      'EREF+',
      '/REMI/',
      ':20:',
      '240318',
      'C1,00',
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 20 }), async (pieces) => {
      await readOrRefusal(
        Buffer.from(`:20:A\n:25:B\n:60F:C240318EUR1,00\n:61:240318C1,00NTRF\n${pieces.join('')}`),
      )
    }),
    { numRuns: 200 },
  )
})

test('whatever a payer writes comes back in pieces, and every entry with its amount and reference', async () => {
  const word = fc.string({
    unit: fc.constantFrom(...'ABCXYZabc0123456789.,-_'.split('')),
    minLength: 1,
    maxLength: 30,
  })
  const line = fc.record({
    amountMinor: fc.integer({ min: 0, max: 10 ** 11 }),
    isCredit: fc.boolean(),
    words: fc.array(word, { minLength: 1, maxLength: 8 }),
    reference: fc.option(word.filter((text) => /^[A-Z0-9]+$/.test(text) && text !== 'NONREF')),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 8 }),
      fc.integer({ min: 1, max: 65 }),
      async (lines, width) => {
        const comma = (minor: bigint) => formatAmount(minor, 'EUR').replace('.', ',')
        const total = sumOf(
          lines.map((each) => BigInt(each.isCredit ? each.amountMinor : -each.amountMinor)),
        )
        const entries = lines.flatMap(({ amountMinor, isCredit, words, reference }) => {
          const purpose = `EREF+E2E-1 SVWZ+${words.join(' ')}`.match(/.{1,27}/g) ?? []
          const text = `166?00GUTSCHRIFT${purpose
            .map((piece, at) => `?${20 + at}${piece}`)
            .slice(0, 10)
            .join('')}`
          // Broken anywhere, though not where a line would end a message.
          const wrapped = (text.match(new RegExp(`.{1,${width}}`, 'g')) ?? []).join('\n')
          return [
            `:61:2403180318${isCredit ? 'C' : 'D'}${comma(BigInt(amountMinor))}NTRFNONREF${reference === null ? '' : `//${reference}`}`,
            `:86:${wrapped}`,
          ]
        })
        const closing = total < 0n ? `D240318EUR${comma(-total)}` : `C240318EUR${comma(total)}`
        const statement = await only({
          opening: '60F:C240318EUR0,00',
          entries,
          closing: `62F:${closing}`,
        })
        expect(balanceState(statement, total)).toBe('verified')
        expect(
          statement.entries.map(({ amountMinor, bankReference, endToEndId, remittance }) => ({
            amountMinor,
            bankReference,
            endToEndId,
            text: remittance.slice(0, -1).join('').replace(/\s/g, ''),
          })),
        ).toEqual(
          lines.map(({ amountMinor, isCredit, words, reference }) => ({
            amountMinor: BigInt(isCredit ? amountMinor : -amountMinor),
            bankReference: reference,
            endToEndId: 'E2E-1',
            text: `SVWZ+${words.join(' ')}`.slice(5, 270 - 11).replace(/\s/g, ''),
          })),
        )
      },
    ),
    { numRuns: 150 },
  )
})

test('a file of 20,000 entries is read, each with its place', async () => {
  const entries = Array.from({ length: 20_000 }, (_, index) => [
    ':61:2403180318C1,00NTRFNONREF',
    `:86:166?00GUTSCHRIFT?20SVWZ+NUMBER ${index}?32ALMA`,
  ])
  const { entries: read } = await only({
    entries: entries.flat(),
    closing: '62F:C240318EUR20100,00',
  })
  expect(read).toHaveLength(20_000)
  expect(read[19_999]).toMatchObject({
    place: 'line 40003',
    remittance: ['NUMBER 19999', 'GUTSCHRIFT'],
  })
})
