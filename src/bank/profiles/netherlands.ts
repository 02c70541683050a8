import type { ProfileSource } from './profile.ts'

/** Dutch banks. Both offer their tables with Dutch and with English names. */
const ING = {
  bank: 'ING (Netherlands)',
  separator: [';', ','],
  decimalMark: ',',
  groupingMarks: ['.'],
  dates: 'yyyyMMdd',
  currency: 'EUR',
} satisfies Partial<ProfileSource>

const RABOBANK = {
  bank: 'Rabobank',
  separator: [',', ';'],
  decimalMark: ',',
  groupingMarks: ['.'],
  dates: ['yyyy-MM-dd', 'yyyyMMdd'],
} satisfies Partial<ProfileSource>

export const NETHERLANDS: readonly ProfileSource[] = [
  {
    ...ING,
    name: 'ing-nl',
    header: ['Datum', 'Naam / Omschrijving', 'Rekening', 'Tegenrekening', 'Af Bij', 'Bedrag (EUR)'],
    columns: {
      bookingDay: 'Datum',
      amount: 'Bedrag (EUR)',
      indicator: 'Af Bij',
      account: 'Rekening',
      balance: 'Saldo na mutatie',
      counterpartyName: 'Naam / Omschrijving',
      counterpartyIban: 'Tegenrekening',
      remittance: ['Mutatiesoort', 'Mededelingen'],
    },
    indicator: { credit: ['Bij'], debit: ['Af'] },
  },
  {
    ...ING,
    name: 'ing-nl-en',
    header: ['Date', 'Name / Description', 'Account', 'Counterparty', 'Amount (EUR)'],
    columns: {
      bookingDay: 'Date',
      amount: 'Amount (EUR)',
      indicator: 'Debit/credit',
      account: 'Account',
      balance: 'Resulting balance',
      counterpartyName: 'Name / Description',
      counterpartyIban: 'Counterparty',
      remittance: ['Transaction type', 'Notifications'],
    },
    indicator: { credit: ['Credit'], debit: ['Debit'] },
  },
  {
    ...RABOBANK,
    name: 'rabobank',
    header: ['IBAN/BBAN', 'Munt', 'Volgnr', 'Datum', 'Bedrag', 'Saldo na trn', 'Naam tegenpartij'],
    columns: {
      bookingDay: 'Datum',
      valueDay: 'Rentedatum',
      amount: 'Bedrag',
      currency: 'Munt',
      account: 'IBAN/BBAN',
      balance: 'Saldo na trn',
      counterpartyName: 'Naam tegenpartij',
      counterpartyIban: 'Tegenrekening IBAN/BBAN',
      endToEndId: 'Transactiereferentie',
      reference: 'Volgnr',
      reversal: 'Reden retour',
      remittance: ['Betalingskenmerk', 'Omschrijving-1', 'Omschrijving-2', 'Omschrijving-3'],
    },
  },
  {
    ...RABOBANK,
    name: 'rabobank-en',
    header: ['IBAN/BBAN', 'Ccy', 'Seq No', 'Date', 'Amount', 'Bal After Bkng', 'Name Counterpty'],
    columns: {
      bookingDay: 'Date',
      valueDay: 'Value Date',
      amount: 'Amount',
      currency: 'Ccy',
      account: 'IBAN/BBAN',
      balance: 'Bal After Bkng',
      counterpartyName: 'Name Counterpty',
      counterpartyIban: 'Counterpty IBAN/BBAN',
      endToEndId: 'Transaction Reference',
      reference: 'Seq No',
      reversal: 'Reasoncode',
      remittance: ['Payment Reference', 'Description-1', 'Description-2', 'Description-3'],
    },
  },
]
