import { addDays } from '../domain/day.ts'
import type { BankLine, SandboxBankAccount } from './model.ts'
import { currencyOf, decimalComma, pieces, type SandboxStatement, shortDay } from './statement.ts'

/** What SWIFT allows in a line of `:86:`. */
const DETAIL_LENGTH = 65

/**
 * SWIFT MT940: a message a statement, the text of entries in tags (`/NAME/…/REMI/…`). It carries all
 * that the world knows of a line.
 */
export function writeMt940(
  account: SandboxBankAccount,
  statements: readonly SandboxStatement[],
): string {
  return statements.map((statement) => message(account, statement)).join('')
}

function message(account: SandboxBankAccount, statement: SandboxStatement): string {
  const { from, to, number, openingMinor, closingMinor, lines } = statement
  const currency = currencyOf(account)
  return [
    `:20:${account.iban.slice(-6)}${shortDay(to, 'YYMMDD')}`,
    `:25:${account.iban}`,
    `:28C:${number ?? 0}/1`,
    // The opening balance is that of the evening before.
    `:60F:${balance(openingMinor, addDays(from, -1), currency)}`,
    ...lines.flatMap(entry),
    `:62F:${balance(closingMinor, to, currency)}`,
    '-',
    '',
  ].join('\r\n')
}

function balance(amountMinor: number, day: string, currency: string): string {
  return `${mark(amountMinor)}${shortDay(day, 'YYMMDD')}${currency}${amount(amountMinor, currency)}`
}

function mark(amountMinor: number): 'C' | 'D' {
  return amountMinor < 0 ? 'D' : 'C'
}

/** The comma stands there also without decimals: `107,`. */
function amount(amountMinor: number, currency: string): string {
  const text = decimalComma(Math.abs(amountMinor), currency)
  return text.includes(',') ? text : `${text},`
}

function entry(line: BankLine): string[] {
  const entryDay = shortDay(line.bookingDay, 'YYMMDD').slice(2)
  const reference = line.bankReference === '' ? '' : `//${line.bankReference}`
  return [
    `:61:${shortDay(line.valueDay, 'YYMMDD')}${entryDay}${mark(line.amountMinor)}${amount(line.amountMinor, line.currency)}NTRFNONREF${reference}`,
    ...details(line).map((text, at) => (at === 0 ? `:86:${text}` : text)),
  ]
}

/** Each tag, and each piece of the text, begins a line. */
function details(line: BankLine): string[] {
  const tags = [
    `/TRTP/${line.amountMinor < 0 ? 'SEPA TRANSFER OUT' : 'SEPA TRANSFER IN'}`,
    ...(line.counterpartyIban === '' ? [] : [`/IBAN/${line.counterpartyIban}`]),
    ...(line.counterpartyName === '' ? [] : [`/NAME/${line.counterpartyName}`]),
    ...(line.endToEndId === '' ? [] : [`/EREF/${line.endToEndId}`]),
    ...(line.remittance === '' ? [] : [`/REMI/${line.remittance}`]),
  ]
  return tags.flatMap((tag) => pieces(tag, DETAIL_LENGTH))
}
