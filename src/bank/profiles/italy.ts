import type { ProfileSource } from './profile.ts'

/**
 * Intesa Sanpaolo. Its exports are spreadsheets that users save as CSV, so that decimal mark and day
 * follow their machine; a file has one way throughout.
 */
const INTESA = {
  separator: ';',
  decimalMark: [',', '.'],
  groupingMarks: ['.', ',', ' ', "'"],
  dates: ['dd/MM/yyyy', 'dd.MM.yyyy', 'dd/MM/yy', 'dd.MM.yy'],
} satisfies Partial<ProfileSource>

export const ITALY: readonly ProfileSource[] = [
  {
    ...INTESA,
    name: 'intesa',
    bank: 'Intesa Sanpaolo (statement of an account)',
    currency: 'EUR',
    header: ['Data contabile', 'Data valuta', 'Descrizione', 'Accrediti', 'Addebiti'],
    columns: {
      bookingDay: 'Data contabile',
      valueDay: 'Data valuta',
      debit: 'Addebiti',
      credit: 'Accrediti',
      remittance: ['Descrizione', 'Descrizione estesa'],
    },
    debitSign: 'any',
    preamble: [
      { line: '^;*Numero conto:;+(?<account>[^;]+)' },
      { line: String.raw`^;*Saldo contabile iniziale al:;+(?<from>[\d./]+)` },
      { line: String.raw`^;*Saldo contabile finale al:;+(?<to>[\d./]+)` },
      { line: String.raw`^;*Saldo contabile finale al:;+(?<balanceDay>[\d./]+)` },
    ],
    // The balances are rows of the table, and movements that are not booked stand in a second one.
    otherRows: [
      { line: '^;*Saldo contabile iniziale in Euro;+(?<opening>[^;]+)' },
      { line: '^;*Saldo contabile finale in Euro;+(?<closing>[^;]+)', required: true },
      { line: '^;*Operazioni non contabilizzate;*$', end: true },
    ],
  },
  {
    ...INTESA,
    name: 'intesa-movimenti',
    bank: 'Intesa Sanpaolo (list of movements)',
    header: [
      'Data',
      'Operazione',
      'Dettagli',
      'Conto o carta',
      'Contabilizzazione',
      'Valuta',
      'Importo',
    ],
    columns: {
      bookingDay: 'Data',
      amount: 'Importo',
      currency: 'Valuta',
      account: 'Conto o carta',
      status: 'Contabilizzazione',
      remittance: ['Operazione', 'Dettagli'],
    },
    accountText: '^Conto[ -]*(?<account>.+)$',
    status: { booked: ['CONTABILIZZATO'], notBooked: ['NON CONTABILIZZATO'] },
  },
]
