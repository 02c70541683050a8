import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseBankAmount, parseBankDay, dayForm } from '../../src/bank/csv-values.ts'
import { loadProfiles } from '../../src/bank/profile-files.ts'
import { BUILT_IN_PROFILES } from '../../src/bank/profiles/built-in.ts'
import { profileSchema } from '../../src/bank/profiles/profile.ts'
import { AS_THE_FILE_SAYS, readBankFile, type ReadingOptions } from '../../src/bank/read-file.ts'
import { chainRows } from '../../src/bank/running-balance.ts'
import { balanceState } from '../../src/domain/bank-statement.ts'
import { formatAmount, sumOf } from '../../src/domain/money.ts'
import { ConfigurationFault, InputFault } from '../../src/errors.ts'
import {
  accountGivenFor,
  CSV_FIXTURES,
  csvFixtureAsRead,
  csvFixtureNames,
  expectedPathOf,
  isNameless,
} from './csv-fixtures.ts'
import { told } from './reading.ts'

const IBAN = 'FR7630004000031234567890143'
const FOLDER = CSV_FIXTURES
const FILES = await csvFixtureNames()

type Given = Partial<ReadingOptions>

async function readText(text: string | Uint8Array, given: Given = {}, fileName = 'file.csv') {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  return readBankFile(bytes, fileName, { ...AS_THE_FILE_SAYS, ...given })
}

async function refusalOf(text: string | Uint8Array, given: Given = {}, fileName = 'file.csv') {
  try {
    await readText(text, given, fileName)
  } catch (error) {
    if (error instanceof InputFault) return error
    throw error
  }
  throw new Error('the file was read, although it should have been refused')
}

describe('a file of each bank, as the bank writes it', () => {
  test('there is one for every profile of the tool', async () => {
    const read = await Promise.all(
      FILES.map(async (name) =>
        readText(await readFile(FOLDER + name), { account: accountGivenFor(name) }, name),
      ),
    )
    expect(new Set(read.map(({ formatVersion }) => formatVersion))).toEqual(
      new Set(BUILT_IN_PROFILES.map(({ name }) => name)),
    )
  })

  // The expected text lies beside the file; test/support/refresh-fixtures.ts writes it.
  test.each(FILES)('%s', async (name) => {
    if (isNameless(name)) {
      const bytes = await readFile(FOLDER + name)
      expect((await refusalOf(bytes, {}, name)).hint).toContain('--account IBAN')
    }
    expect(await csvFixtureAsRead(name)).toBe(await readFile(expectedPathOf(name), 'utf8'))
  })

  test('the exact rows are kept, with those that continue them', async () => {
    const bytes = await readFile(`${FOLDER}groupe-sg.csv`)
    const { statements } = await readText(bytes)
    expect(statements[0]?.entries[0]?.raw.split('\n')).toHaveLength(4)
    expect(statements[0]?.entries[0]?.raw).toMatch(/^"19\/03\/2024".*\n.*\n.*\n"";"REF: E2E-1"$/)
  })
})

const CM = 'Date;Date de valeur;Débit;Crédit;Libellé;Solde'
const cm = (...rows: string[]) => [CM, ...rows, ''].join('\n')
const LBP = [
  'Numéro Compte   ;1234567A033',
  'Date;Libellé;Montant(EUROS)',
  '22/03/2024;VIREMENT;1204,50',
]
const BNP =
  'Date operation;Libelle court;Type operation;Libelle operation;Montant operation en euro'
const bnp = (...rows: string[]) => [BNP, ...rows, ''].join('\n')
const QONTO =
  'Statut;Date de la valeur (local);Montant total (TTC);Devise;Nom de la contrepartie;IBAN du compte;Identifiant de transaction'
const qonto = (...rows: string[]) => [QONTO, ...rows, ''].join('\n')
const SPARKASSE =
  'Auftragskonto;Buchungstag;Valutadatum;Buchungstext;Verwendungszweck;Kundenreferenz (End-to-End);Beguenstigter/Zahlungspflichtiger;Betrag;Waehrung;Info'
const POSTBANK = await readFile(`${FOLDER}postbank.csv`, 'utf8')
const SG = await readFile(`${FOLDER}societe-generale.csv`, 'latin1')

describe('a cell that is not as the bank writes it is refused with its line, what was found and what was expected', () => {
  test.each<[string, string, string]>([
    [
      'another decimal mark',
      bnp('22/03/2024;A;B;C;1,00', '22/03/2024;A;B;C;2.00'),
      'line 3, montant operation en euro: "2.00" is not an amount as this bank writes them: digits with a decimal comma were expected, such as -1204,50',
    ],
    [
      'a point between thousands where the bank has blanks',
      bnp('22/03/2024;A;B;C;1.204,50'),
      'line 2, montant operation en euro: "1.204,50" is not an amount as this bank writes them: digits with a decimal comma were expected, such as -1204,50',
    ],
    [
      'a group that is not of three digits',
      bnp('22/03/2024;A;B;C;12 04,50'),
      'line 2, montant operation en euro: "12 04,50" is not an amount as this bank writes them: digits with a decimal comma were expected, such as -1204,50',
    ],
    [
      'more decimals than the currency has',
      bnp('22/03/2024;A;B;C;1,005'),
      'line 2, montant operation en euro: "1.005" has more decimals than EUR has (2)',
    ],
    [
      'a day of another form than the rows before',
      bnp('22/03/2024;A;B;C;1,00', '2024-03-23;A;B;C;2,00'),
      'line 3, date operation: "2024-03-23" is not a day as this bank writes them: dd/MM/yyyy',
    ],
    [
      'a day that does not exist',
      bnp('31/02/2024;A;B;C;1,00'),
      'line 2, date operation: "2024-02-31" is not a day: an existing date as YYYY-MM-DD was expected',
    ],
    ['no amount at all', cm('18/03/2024;18/03/2024;;;VIR;1,00'), 'line 2: the row has no amount'],
    [
      'a debit and a credit',
      cm('18/03/2024;18/03/2024;-1,00;2,00;VIR;1,00'),
      'line 2: the row has a debit and a credit: one of them was expected',
    ],
    [
      'debits of both signs',
      cm('18/03/2024;18/03/2024;-1,00;;A;9,00', '18/03/2024;18/03/2024;1,00;;B;8,00'),
      'line 3, debit: "1,00" is positive, and the debits of this file were expected to be negative',
    ],
    [
      'a negative credit',
      cm('18/03/2024;18/03/2024;;-1,00;A;9,00'),
      'line 2: the credit "-1,00" is negative: a positive amount was expected',
    ],
    [
      'a word for the status that is not known',
      qonto(`Suspendu;19-03-2024;1,00;EUR;ALMA;${IBAN};t1`),
      'line 2, statut: "Suspendu" is none of the words for booked (execute, executee, regle, reglee, settled) and for not booked (en cours, en cours de traitement, en attente, refuse, refusee, annule, annulee, rejete, rejetee)',
    ],
    [
      'no currency',
      qonto(`Exécuté;19-03-2024;1,00;;ALMA;${IBAN};t1`),
      'line 2, devise: "" is not a currency: three capitals were expected, such as EUR',
    ],
    [
      'an id twice, where the bank gives each entry its own',
      qonto(
        `Exécuté;19-03-2024;1,00;EUR;ALMA;${IBAN};t1`,
        `Exécuté;19-03-2024;2,00;EUR;ALMA;${IBAN};t1`,
      ),
      'line 3: the id "t1" stands in line 2 already, and Qonto gives each entry its own',
    ],
    [
      'a reference that a spreadsheet spoilt',
      [
        SPARKASSE,
        `${IBAN};22.03.24;;A;B;6,17761250170673E+025;ALMA;1,00;EUR;Umsatz gebucht`,
        '',
      ].join('\n'),
      'line 2, kundenreferenz end to end: "6,17761250170673E+025" is what a spreadsheet makes of a long number: digits are lost',
    ],
    [
      'a direction that no word tells',
      '"Datum","Naam / Omschrijving","Rekening","Tegenrekening","Code","Af Bij","Bedrag (EUR)"\n"20240322","A","NL20INGB0001234567","","OV","?","1,00"\n',
      'line 2: "?" does not tell credit (bij) from debit (af)',
    ],
    [
      'an amount that its debit contradicts',
      POSTBANK.replace(';-750;;;;-750;', ';-750;;;;-751;'),
      'line 10: the amount "-750" is not what its debit or credit says',
    ],
    [
      'a row with too few cells',
      bnp('22/03/2024;A;B;C'),
      'line 2: the row does not have as many cells as the header: it is cut off, or a text with the separator in it is not in quotes',
    ],
    [
      'a row with too many',
      bnp('22/03/2024;A;B;C;D;1,00'),
      'line 2: the row does not have as many cells as the header: it is cut off, or a text with the separator in it is not in quotes',
    ],
  ])('%s', async (_, text, message) => {
    const namesAccount = /FR76|INGB|DE44/.test(text)
    const { message: found } = await refusalOf(text, { account: namesAccount ? null : IBAN })
    expect(found).toBe(`file.csv, ${message}`)
  })
})

describe('a file is refused as a whole', () => {
  test.each<[string, string, Given, string]>([
    [
      'whose end is missing, where the bank has one',
      POSTBANK.slice(0, POSTBANK.indexOf('Kontostand;22')),
      {},
      String.raw`file.csv: the line that ends the table of Postbank, Deutsche Bank (^Kontostand;(?<balanceDay>[\d.]+);+(?<closing>[^;]+);(?<currency>[A-Z]{3})) is missing: the file is cut off`,
    ],
    [
      'that says how many rows it has, and has fewer',
      SG.split('\n').slice(0, -2).join('\n') + '\n',
      {},
      'file.csv, line 1: the file says that it has 4 rows, and there are 3: it was cut off or changed',
    ],
    [
      'whose rows are not of the period that it states',
      SG.replace('22/03/2024;VIR', '25/03/2024;VIR'),
      {},
      'file.csv, line 1: the file says that it is of 2024-03-18 to 2024-03-22, and its rows are of 2024-03-18 to 2024-03-25',
    ],
    [
      'that ends inside an amount',
      [...LBP.slice(0, 2), '22/03/2024;VIREMENT;1204,5'].join('\n'),
      {},
      'file.csv, line 3: the file ends without a line break right after "1204,5", so it may have been cut off inside it',
    ],
    [
      'of another account than the one that is given',
      LBP.join('\n'),
      { account: IBAN },
      `file.csv, line 1: the file is of the account "1234567A033", not of "${IBAN}", which was given for it`,
    ],
    [
      'that lists payments by card',
      'Encours débité le 30 juin 2026;-3 116.50 €\nDate;Libellé;Débit euros;Crédit euros;\n17/06/2026;PAPIER;2,00;;\n',
      {},
      "file.csv, line 1: the file lists payments by card, which are no entries of an account: export the account's operations",
    ],
    [
      'whose columns the user chose without a day',
      'Statut;Montant total (TTC);Devise;Nom de la contrepartie\n',
      {},
      'file.csv, line 1: the header lacks columns of the profile qonto-fr: bookingDay (date de la valeur local)',
    ],
    [
      'with a column twice that is needed once',
      `${BNP};Montant operation en euro\n`,
      {},
      'file.csv, line 1: the column "montant operation en euro" stands there 2 times, and the profile bnp-paribas does not say which is meant',
    ],
    [
      'whose rows name several accounts where one was expected',
      [
        'Transaction ID;"Date d\'opération";IBAN;Débit;Crédit;Libellé;Nom de la contrepartie',
        `t1;19/03/2024;${IBAN};;1,00;A;ALMA`,
        't2;19/03/2024;DE89370400440532013000;;1,00;A;ALMA',
        '',
      ].join('\n'),
      {},
      'file.csv: the rows name 2 accounts, and a file of Shine was expected to name one',
    ],
    [
      'whose amounts can be read in two ways',
      'Data contabile;Data valuta;Descrizione;Accrediti;Addebiti\n18/03/24;;A;1.200;\n;;Saldo contabile finale in Euro;1,00\n',
      { account: IBAN },
      'file.csv, line 2, accrediti: "1.200" can be read in two ways (120000 and 120), and no other row settles which is meant',
    ],
    [
      'with a name instead of an account',
      'Date completed (UTC),ID,Type,State,Payment currency,Amount,Account\n2024-03-18,a,TOPUP,COMPLETED,EUR,1.00,EUR Main\n',
      {},
      'file.csv, line 2: "EUR Main" does not tell the account: an IBAN or a whole account number was expected',
    ],
  ])('%s', async (_, text, given, message) => {
    const { message: found, hint } = await refusalOf(text, given)
    expect(found).toBe(message)
    expect(hint).not.toBe(undefined)
  })

  test('that is not in the one encoding its bank uses', async () => {
    const profiles = [profileSchema.parse({ ...PLAIN, encoding: 'utf-8' })]
    const bytes = Buffer.from('Jour;Texte;Somme\n18/03/2024;é;1,00\n', 'latin1')
    expect((await refusalOf(bytes, { profiles })).message).toBe(
      'file.csv: the file is not UTF-8, as files of the profile plain are: it was saved by another program',
    )
  })
})

describe('which profile', () => {
  test('none: it is said which columns were seen, and nothing of the data', async () => {
    const { message, hint } = await refusalOf(
      'Jean Dupont;FR76 3000;x\nDate;Libellé;Valeur;Solde\n18/03/2024;ALMA;1,00;2,00\n',
    )
    expect(message).toBe(
      'file.csv, line 2: the file looks like a CSV file of a bank, but its 4 columns fit no profile; known among them are "date", "libelle", "solde"',
    )
    expect(hint).toContain('--profile NAME')
  })

  test('none, and no known word in it', async () => {
    expect((await refusalOf('a;b;c\n1;2;3\n')).message).toBe(
      'file.csv: the file looks like a CSV file, but no line of it names columns that are known',
    )
  })

  test('two: both are named', async () => {
    const profiles = ['one', 'two'].map((name) => profileSchema.parse({ ...PLAIN, name }))
    const { message, hint } = await refusalOf('Jour;Texte;Somme\n', { profiles })
    expect(message).toBe('file.csv, line 1: the columns fit 2 profiles: one (Plain), two (Plain)')
    expect(hint).toContain('--profile NAME')
    expect((await readText('Jour;Texte;Somme\n', { profiles, profile: 'two' })).formatVersion).toBe(
      'two',
    )
  })

  test('the one that names more of the same header', async () => {
    const profiles = [PLAIN, { ...PLAIN, name: 'more', header: ['Jour', 'Somme', 'Texte'] }].map(
      (source) => profileSchema.parse(source),
    )
    expect((await readText('Jour;Texte;Somme\n', { profiles })).formatVersion).toBe('more')
  })

  test('the one that is asked for, though its header is not all there, which is noted', async () => {
    const text = 'Date operation;Montant operation en euro\n18/03/2024;1,00\n'
    const reading = await readText(text, { profile: 'bnp-paribas', account: IBAN })
    expect(told(reading)).toContain('  line 2: 2024-03-18 1.00')
    expect(reading.notes[0]).toContain('although its header is another')
    const { message } = await refusalOf('Jour;Somme\n18/03/2024;1,00\n', { profile: 'bnp-paribas' })
    expect(message).toContain('no line among the first 60 names the columns')
  })

  test('a format that is asked for is used whatever the file looks like', async () => {
    const text = 'account,booking_date,amount,currency\nA12345,2024-03-18,1.00,EUR\n'
    expect((await refusalOf(text, { format: 'camt.053' })).message).toMatch(
      /^file\.csv, line \d+: text data outside/,
    )
    expect((await readText(text, { format: 'canonical-csv' })).notes).toEqual([])
  })

  test('letters that were spoilt on the way are noted', async () => {
    const { notes } = await readText(bnp('22/03/2024;A;B;Ã©lectricitÃ©;1,00'), { account: IBAN })
    expect(notes.join()).toContain('letters that were spoilt')
  })
})

describe('the account', () => {
  test.each([
    ['the last digits of a masked number', '****0143'],
    ['the number inside the IBAN', '12345678901'],
  ])('is the one that is given, if %s fit', async (_, told_) => {
    const text = `Compte;Pro;${told_};22/03/2024;;1,00\n${bnp('22/03/2024;A;B;C;1,00')}`
    const { statements, notes } = await readText(text, { account: IBAN })
    expect(statements.map(({ account }) => account)).toEqual([IBAN])
    expect(notes).toEqual([])
    const other = { account: 'DE89370400440532013000' }
    expect((await refusalOf(text, other)).message).toContain('which was given for it')
  })

  test('that is given is also held against files of other formats', async () => {
    const text = 'account,booking_date,amount,currency\nA12345678901,2024-03-18,1.00,EUR\n'
    expect((await readText(text, { account: IBAN })).statements[0]?.account).toBe(IBAN)
    expect((await refusalOf(text.replace('A1', 'A9'), { account: IBAN })).message).toContain(
      'not of',
    )
  })
})

describe('the balance after each row', () => {
  const stateOf = async (text: string) => {
    const { statements, notes } = await readText(text, { account: IBAN })
    return statements.map((statement) => [
      balanceState(statement, sumOf(statement.entries.map((entry) => entry.amountMinor))),
      ...notes,
    ])
  }

  test('proves rows of one day in whatever order they stand', async () => {
    const rows = [
      '18/03/2024;;;5,00;A;105,00',
      '18/03/2024;;-2,00;;B;103,00',
      '18/03/2024;;;7,00;C;110,00',
    ]
    const orders = [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [2, 0, 1],
    ]
    for (const order of orders) {
      expect(await stateOf(cm(...order.map((index) => rows[index] ?? '')))).toEqual([['verified']])
    }
  })

  test('shows a row that is missing, and where', async () => {
    const text = cm('18/03/2024;;;5,00;A;105,00', '19/03/2024;;;7,00;C;110,00')
    expect(await stateOf(text)).toEqual([
      [
        'failed',
        'file.csv, line 3: the balance 110.00 after an amount of 7.00 does not follow from the balance of the row before it: rows are missing',
      ],
    ])
  })

  test('shows rows that are missing although they add up to nothing', async () => {
    const text = cm(
      '18/03/2024;;;5,00;A;105,00',
      '19/03/2024;;;7,00;B;115,00',
      '20/03/2024;;;1,00;C;113,00',
    )
    expect((await refusalOf(text, { account: IBAN })).message).toContain('line 3: the balance')
  })

  test('proves nothing where rows have none', async () => {
    expect(await stateOf(cm('18/03/2024;;;5,00;A;105,00', '19/03/2024;;;7,00;B;'))).toEqual([
      ['unverifiable'],
    ])
  })

  test('proves nothing where rows of one day add up to nothing, as any could be the first', async () => {
    const text = cm('18/03/2024;;;5,00;A;105,00', '18/03/2024;;-5,00;;B;100,00')
    expect(await stateOf(text)).toEqual([['unverifiable']])
  })

  test('where the bank promises an order, the days must keep it', async () => {
    const profiles = [profileSchema.parse({ ...BALANCED, rowOrder: 'newest-first' })]
    const text = 'Jour;Somme;Solde\n18/03/2024;1,00;1,00\n19/03/2024;1,00;2,00\n'
    expect((await refusalOf(text, { profiles })).message).toBe(
      'file.csv, line 3: the row of 2024-03-19 follows one of 2024-03-18, and Plain writes the newest rows first',
    )
  })

  test('finds the ends of any walk of balances, and no others', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -50n, max: 50n }),
        fc.array(fc.bigInt({ min: 1n, max: 9n }), { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.nat()),
        (openingMinor, amounts, keys) => {
          let balanceMinor = openingMinor
          const rows = amounts.map((amountMinor, index) => {
            balanceMinor += amountMinor
            return { line: index + 2, amountMinor, balanceMinor }
          })
          const closingMinor = balanceMinor
          const shuffled = rows
            .map((row) => ({ row, key: keys.next().value ?? 0 }))
            .sort((one, other) => one.key - other.key)
            .map(({ row }) => row)
          expect(chainRows(shuffled, 'unknown')).toEqual({
            openingMinor,
            closingMinor,
            brokenAt: null,
          })
          if (rows.length < 3) return
          const { brokenAt } = chainRows(rows.toSpliced(1, 1), 'oldest-first')
          expect(brokenAt).toEqual(rows[2])
        },
      ),
    )
  })
})

describe('values', () => {
  const FRENCH = { decimalMark: ',', groupingMarks: [' '], suffixes: ['€'] } as const
  const GERMAN = { decimalMark: ',', groupingMarks: ['.'], suffixes: [] } as const
  const ENGLISH = { decimalMark: '.', groupingMarks: [','], suffixes: [] } as const

  const SWISS = { decimalMark: '.', groupingMarks: ["'"], suffixes: [] } as const
  const SAP = { ...GERMAN, signAtEnd: true } as const

  test.each([
    ['1 204,50', FRENCH, 120450n],
    ['1\u202f204,50\u00a0€', FRENCH, 120450n],
    ['+1204,5', FRENCH, 120450n],
    ['\u2212 3,34', FRENCH, -334n],
    ['1.000', GERMAN, 100000n],
    ['1.000', ENGLISH, 100n],
    ['-1,204.50', ENGLISH, -120450n],
    ['0,00', GERMAN, 0n],
    ["1'204.50", SWISS, 120450n],
    ['-1\u2019204\u2019000.5', SWISS, -120400050n],
    ['1.204,50-', SAP, -120450n],
    ['1204,50 -', SAP, -120450n],
    ['1204,50+', SAP, 120450n],
    ['-1204,50', SAP, -120450n],
  ])('%s', (text, form, amountMinor) => {
    expect(parseBankAmount(text, form, 'EUR')).toBe(amountMinor)
  })

  test.each(['', '-', ',50', '1,2,3', '1e5', '(3,34)', '123,45-', '1.0000', '12.34,5', '.000'])(
    '"%s" is no amount',
    (text) => {
      expect(() => parseBankAmount(text, GERMAN, 'EUR')).toThrow()
    },
  )

  test('a sign on both sides is none', () => {
    expect(() => parseBankAmount('-1,00-', SAP, 'EUR')).toThrow('is not an amount')
  })

  test('an amount that is printed and read is the same', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 16n), max: 10n ** 16n }), (amountMinor) => {
        const [whole = '', decimals = ''] = formatAmount(amountMinor, 'EUR').split('.')
        const grouped = whole.replace(/\B(?=(\d{3})+$)/g, '.')
        expect(parseBankAmount(`${grouped},${decimals}`, GERMAN, 'EUR')).toBe(amountMinor)
      }),
    )
  })

  test.each([
    ['d.M.yyyy', '1.3.2024', '2024-03-01'],
    ['dd/MM/yy', '01/03/24', '2024-03-01'],
    ['yyyyMMdd', '20240301', '2024-03-01'],
    ['dd-MM-yyyy HH:mm:ss', '01-03-2024 23:59:59', '2024-03-01'],
  ])('a day as %s: %s', (form, text, day) => {
    const found = dayForm(form)
    if (found === null) throw new Error('the form was not understood')
    expect(parseBankDay(text, found)).toBe(day)
  })

  test.each(['dd/MM', 'dd/dd/yyyy', 'dd MMM yyyy', ''])('"%s" is no form of a day', (form) => {
    expect(dayForm(form)).toBe(null)
  })
})

const PLAIN = {
  name: 'plain',
  bank: 'Plain',
  separator: ';',
  decimalMark: ',',
  dates: 'dd/MM/yyyy',
  currency: 'EUR',
  header: ['Jour', 'Somme'],
  columns: { bookingDay: 'Jour', amount: 'Somme', remittance: 'Texte' },
  account: IBAN,
} satisfies Parameters<typeof profileSchema.parse>[0]

const BALANCED = {
  ...PLAIN,
  header: ['Jour', 'Somme', 'Solde'],
  columns: { bookingDay: 'Jour', amount: 'Somme', balance: 'Solde' },
}

describe('profiles that users add', () => {
  let dir = ''
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'profiles-'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  const add = (name: string, content: unknown) =>
    writeFile(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content))

  test('without a folder there are those of the tool', async () => {
    expect(await loadProfiles(null)).toBe(BUILT_IN_PROFILES)
  })

  test('a bank of their own', async () => {
    await add('plain.json', PLAIN)
    await add('notes.txt', 'not a profile')
    const profiles = await loadProfiles(dir)
    expect(profiles).toHaveLength(BUILT_IN_PROFILES.length + 1)
    const text = 'Jour;Texte;Somme\n18/03/2024;ALMA;1204,50\n'
    expect(told(await readText(text, { profiles }))).toEqual([
      `${IBAN} EUR 2024-03-18..2024-03-18 ? -> ? unverifiable`,
      '  line 2: 2024-03-18 1204.50 "ALMA"',
    ])
  })

  test('the account of a bank that masks it, by extending the profile of the tool', async () => {
    await add('mine.json', {
      extends: 'bnp-paribas',
      name: 'bnp-paribas',
      accounts: { '****7890': IBAN },
    })
    const profiles = await loadProfiles(dir)
    const bytes = await readFile(`${FOLDER}bnp-paribas.csv`)
    const { statements, notes } = await readText(bytes, { profiles })
    expect(statements.map(({ account }) => account)).toEqual([IBAN])
    expect(notes).toEqual([])
  })

  test('accounts that are left out, and counted', async () => {
    await add('mine.json', {
      extends: 'intesa-movimenti',
      name: 'intesa-movimenti',
      accounts: { '1000/00123456': IBAN, 'Carta ****4030': null },
    })
    const text = [
      'Data;Operazione;Dettagli;Conto o carta;Contabilizzazione;Valuta;Importo',
      '22/03/2024;Bonifico;ALMA;Conto 1000/00123456;CONTABILIZZATO;EUR;1,00',
      '22/03/2024;Pagamento;BAR;Carta ****4030;CONTABILIZZATO;EUR;-2,00',
      '',
    ].join('\n')
    const reading = await readText(text, { profiles: await loadProfiles(dir) })
    expect(told(reading)).toHaveLength(2)
    expect(reading.statements[0]?.account).toBe(IBAN)
    expect(reading.notes).toEqual([
      'file.csv: 1 row is of accounts that the profile intesa-movimenti leaves out',
    ])
    expect((await refusalOf(text)).message).toContain('"Carta ****4030" does not tell the account')
  })

  test('a file without a header, told by its name', async () => {
    await add('abn.json', {
      ...PLAIN,
      name: 'abn',
      separator: '\t',
      dates: 'yyyyMMdd',
      header: [],
      columns: { account: 1, bookingDay: 3, amount: 7, remittance: 8 },
      account: null,
      fileName: String.raw`^TXT\d+\.TAB$`,
    })
    const profiles = await loadProfiles(dir)
    const text = '123456789\tEUR\t20240318\t1,00\t2,00\t20240318\t1,00\tALMA\n'
    expect(told(await readText(text, { profiles }, 'TXT240318.TAB'))).toEqual([
      '123456789 EUR 2024-03-18..2024-03-18 ? -> ? unverifiable',
      '  line 1: 2024-03-18 1.00 "ALMA"',
    ])
    await expect(readText(text, { profiles }, 'other.tab')).rejects.toThrow(InputFault)
  })

  test('all that is wrong in them is listed at once', async () => {
    await add('a.json', '{ "name": ')
    await add('b.json', { extends: 'no-such-bank' })
    await add('c.json', [
      PLAIN,
      PLAIN,
      { ...PLAIN, name: 'c3', dates: ['dd/MM'], colour: 'red', decimalMark: ';' },
      { ...PLAIN, name: 'c4', columns: { bookingDay: 'Jour' }, otherRows: [{ line: 'Total' }] },
      { ...PLAIN, name: 'c5', header: ['Jour'], preamble: [{ line: '(?<colour>.*)' }] },
    ])
    const fault = await loadProfiles(dir).catch((error: unknown) => error)
    expect(fault).toBeInstanceOf(ConfigurationFault)
    const lines = (fault instanceof Error ? fault.message : '').split('\n')
    expect(lines.slice(1).map((line) => line.replace(/\(.*\)/, '(…)'))).toEqual([
      '  - a.json: found no JSON that can be read (…), expected a profile',
      expect.stringContaining('b.json: extends: found "no-such-bank", expected one of bnp-paribas'),
      '  - c.json, profile 2: the name plain is there twice',
      expect.stringContaining('c.json, profile 3: decimalMark: found ";", expected'),
      expect.stringContaining('c.json, profile 3: dates.0: found "dd/MM", expected a day such as'),
      expect.stringContaining('expected no "colour"'),
      '  - c.json, profile 4: otherRows.0.line: found "Total", expected a regular expression that begins with ^',
      expect.stringContaining('c.json, profile 5: preamble.0.line'),
    ])
  })

  test('a folder that cannot be read', async () => {
    await expect(loadProfiles(join(dir, 'none'))).rejects.toThrow(
      'the folder of bank profiles cannot be read (ENOENT)',
    )
  })
})

describe('damage', () => {
  const given = (name: string): Given => ({ account: accountGivenFor(name) })

  async function readOrRefusal(bytes: Uint8Array, name: string) {
    try {
      return await readText(bytes, given(name), name)
    } catch (error) {
      if (!(error instanceof InputFault)) throw error
      expect(error.message).toContain(name)
      return null
    }
  }

  test.each(FILES)('%s cut off anywhere is refused, or ends with a whole row', async (name) => {
    const whole = await readFile(FOLDER + name)
    const entries = (await readText(whole, given(name), name)).statements.flatMap((s) => s.entries)
    const amounts = new Map(entries.map((entry) => [entry.place, entry.amountMinor]))
    // Every place near the end, where the last row is cut, and every thirteenth before it.
    for (let length = 0; length < whole.length; length += length + 160 < whole.length ? 13 : 1) {
      const reading = await readOrRefusal(whole.subarray(0, length), name)
      for (const entry of reading?.statements.flatMap((s) => s.entries) ?? []) {
        expect([length, entry.place, entry.amountMinor]).toEqual([
          length,
          entry.place,
          amounts.get(entry.place),
        ])
      }
    }
  })

  test.each(FILES)('%s with any bytes changed or doubled', async (name) => {
    const whole = await readFile(FOLDER + name)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.nat(whole.length - 1),
        fc.nat(40),
        async (changes, at, length) => {
          const changed = Uint8Array.from(whole)
          for (const [place, byte] of changes) changed[place] = byte
          await readOrRefusal(changed, name)
          const doubled = [whole.subarray(0, at + length), whole.subarray(at)]
          await readOrRefusal(Buffer.concat(doubled), name)
        },
      ),
      { numRuns: 20 },
    )
  })
})
