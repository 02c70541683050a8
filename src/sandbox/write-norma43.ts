import type { BankLine, SandboxBankAccount } from './model.ts'
import {
  currencyOf,
  decimal,
  fixedRecord,
  pieces,
  type SandboxStatement,
  shortDay,
} from './statement.ts'

const WIDTH = 80
/** Bank and branch of the Spanish account that stands in for the account of the world. */
const SPANISH_BRANCH = '21000418'
/** ISO 4217 numbers of the currencies that a world may have. */
const CURRENCY_NUMBERS: Readonly<Record<string, string>> = {
  EUR: '978',
  USD: '840',
  GBP: '826',
  CHF: '756',
}

type Field = readonly [position: number, text: string]

/**
 * Norma 43, the texts by annex 4 of the norm. It knows Spanish accounts only: the account of the
 * world goes by a Spanish one with the last ten digits of its number. It carries no account of the
 * other side.
 */
export function writeNorma43(
  account: SandboxBankAccount,
  statements: readonly SandboxStatement[],
): string {
  const records = statements.flatMap((statement) => accountRecords(account, statement))
  const end = fixedRecord(WIDTH, [
    [1, `88${'9'.repeat(18)}`],
    [21, String(records.length).padStart(6, '0')],
  ])
  return [...records, end].map((record) => `${record}\r\n`).join('')
}

function accountRecords(account: SandboxBankAccount, statement: SandboxStatement): string[] {
  const { from, to, openingMinor, closingMinor, lines } = statement
  const currency = currencyOf(account)
  const number = CURRENCY_NUMBERS[currency]
  if (number === undefined) throw new Error(`the number of the currency ${currency} is not known`)
  // Behind the number of a French account its key of two digits follows.
  const own = SPANISH_BRANCH + account.iban.slice(-12, -2)
  return [
    fixedRecord(WIDTH, [
      [1, `11${own}`],
      [21, shortDay(from, 'YYMMDD') + shortDay(to, 'YYMMDD')],
      [33, direction(openingMinor) + digits(openingMinor, currency)],
      // Modality 3: the references mean what the norm says.
      [48, `${number}3`],
    ]),
    ...lines.flatMap((line) => movementRecords(line)),
    fixedRecord(WIDTH, [
      [1, `33${own}`],
      [21, total(lines, currency, '1')],
      [40, total(lines, currency, '2')],
      [59, direction(closingMinor) + digits(closingMinor, currency)],
      [74, number],
    ]),
  ]
}

function direction(amountMinor: number): '1' | '2' {
  return amountMinor < 0 ? '1' : '2'
}

/** Fourteen digits, of which two are decimals whatever the currency. */
function digits(amountMinor: number, currency: string): string {
  const [whole = '', decimals = ''] = decimal(Math.abs(amountMinor), currency).split('.')
  return (whole + decimals.padEnd(2, '0')).padStart(14, '0')
}

/** How many debits or credits, and their sum. */
function total(lines: readonly BankLine[], currency: string, of: '1' | '2'): string {
  const amounts = lines
    .map(({ amountMinor }) => amountMinor)
    .filter((amountMinor) => direction(amountMinor) === of)
  const sum = amounts.reduce((sumMinor, amountMinor) => sumMinor + amountMinor, 0)
  return String(amounts.length).padStart(5, '0') + digits(sum, currency)
}

function movementRecords(line: BankLine): string[] {
  const days = shortDay(line.bookingDay, 'YYMMDD') + shortDay(line.valueDay, 'YYMMDD')
  const amount = direction(line.amountMinor) + digits(line.amountMinor, line.currency)
  return [
    fixedRecord(WIDTH, [
      [1, '22'],
      [7, `0418${days}`],
      // The common concept of transfers.
      [23, '04'],
      [28, amount],
      [43, '0'.repeat(22)],
      [65, line.bankReference],
    ]),
    ...texts(line).map((fields, at) =>
      fixedRecord(WIDTH, [[1, `23${String(at + 1).padStart(2, '0')}`], ...fields]),
    ),
  ]
}

const FIRST_TEXT_LENGTH = 68
const TEXT_LENGTH = 72
const TEXTS_MAX = 5

/** Name; end-to-end id or the words for none; the text, behind the place of two codes. */
function texts(line: BankLine): Field[][] {
  if (line.counterpartyName === '') {
    throw new Error(
      `the line ${line.bankReference} names nobody, which annex 4 does not provide for`,
    )
  }
  const [first = '', ...others] = line.remittance
    .split('\n')
    .flatMap((piece, at) =>
      at === 0
        ? [
            piece.slice(0, FIRST_TEXT_LENGTH),
            ...pieces(piece.slice(FIRST_TEXT_LENGTH), TEXT_LENGTH),
          ]
        : pieces(piece, TEXT_LENGTH),
    )
  const records: Field[][] = [
    [[5, line.counterpartyName]],
    [[5, line.endToEndId === '' ? 'NO PROPORCIONADO' : line.endToEndId]],
    [[13, first]],
    ...others.map((text): Field[] => [[5, text]]),
  ]
  if (records.length > TEXTS_MAX) {
    throw new Error(`the text of the line ${line.bankReference} is longer than the format allows`)
  }
  return records
}
