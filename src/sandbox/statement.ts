import type { Day } from '../domain/day.ts'
import { formatAmount } from '../domain/money.ts'
import type { BankLine, SandboxBankAccount } from './model.ts'

/** One statement of a file, before it is written in the file's format. */
export interface SandboxStatement {
  readonly from: Day
  readonly to: Day
  /** Counts the business days since the account's first; null in a statement of several days. */
  readonly number: number | null
  readonly openingMinor: number
  readonly closingMinor: number
  readonly lines: readonly BankLine[]
}

/** The currency of an account, an ISO code. */
export function currencyOf({ currency }: Pick<SandboxBankAccount, 'currency'>): string {
  return currency ?? 'EUR'
}

/** An amount as a decimal with the currency's digits, signed: `-71.50`. */
export function decimal(amountMinor: number, currency: string): string {
  return formatAmount(BigInt(amountMinor), currency)
}

/** The same with a decimal comma, as in French and German files: `-71,50`. */
export function decimalComma(amountMinor: number, currency: string): string {
  return decimal(amountMinor, currency).replace('.', ',')
}

/** A day as the older formats write it, years of two digits: `180324` or `240318`. */
export function shortDay(day: string, order: 'DDMMYY' | 'YYMMDD'): string {
  const parts = [day.slice(2, 4), day.slice(5, 7), day.slice(8)]
  return (order === 'YYMMDD' ? parts : parts.toReversed()).join('')
}

/** The pieces in which the bank has the text of a line, none longer than `length`. */
export function pieces(text: string, length: number): string[] {
  return text
    .split('\n')
    .flatMap((piece) =>
      Array.from({ length: Math.ceil(piece.length / length) }, (_, at) =>
        piece.slice(at * length, (at + 1) * length),
      ),
    )
}

/**
 * A record of blanks with texts at positions, 1-based as the specifications count them.
 * @throws Error for a text that reaches beyond the record: nothing is cut.
 */
export function fixedRecord(
  width: number,
  fields: readonly (readonly [position: number, text: string])[],
): string {
  let record = ' '.repeat(width)
  for (const [position, text] of fields) {
    const end = position - 1 + text.length
    if (end > width) throw new Error(`${text} does not fit into a record of ${width} characters`)
    record = record.slice(0, position - 1) + text + record.slice(end)
  }
  return record
}

/** What XML and SGML need instead of the characters that are marks to them. */
export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** Bank, branch, number and key of a French account. @throws Error for an account of another country. */
export function frenchAccount(iban: string): {
  bank: string
  branch: string
  number: string
  key: string
} {
  if (!/^FR\d{25}$/.test(iban)) {
    throw new Error(`${iban} is not a French account, and the format has no place for another`)
  }
  return {
    bank: iban.slice(4, 9),
    branch: iban.slice(9, 14),
    number: iban.slice(14, 25),
    key: iban.slice(25),
  }
}
