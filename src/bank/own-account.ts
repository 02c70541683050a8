import type { BankFileReading } from './reader.ts'
import { refusal, shown } from './reader.ts'

/** An account that a person gives for a file, against what the file says itself. */

/** Letters and digits only, and the stars of a masked number. */
export function accountLetters(text: string): string {
  return text.toUpperCase().replace(/[^A-Z0-9*]/g, '')
}

/** Whether an account could be what a file names by its number only, or by its last digits. */
export function mayBeShortFor(told: string, account: string): boolean {
  const whole = accountLetters(account)
  const letters = accountLetters(told)
  if (letters === whole) return true
  // Another IBAN is another account, though its digits may be part of this one.
  if (/^[A-Z]{2}\d{2}/.test(letters)) return false
  const digits = letters.split('*').at(-1)?.replace(/\D/g, '') ?? ''
  const number = letters.includes('*') ? digits : digits.replace(/^0+/, '')
  return number.length >= 4 && whole.includes(number)
}

/**
 * A reading under the account that was given for its file.
 * @throws InputFault if the file is of another account.
 */
export function underAccount(
  reading: BankFileReading,
  account: string,
  fileName: string,
): BankFileReading {
  const statements = reading.statements.map((statement) => {
    if (!mayBeShortFor(statement.account, account)) {
      throw refusal(
        fileName,
        null,
        `the file is of the account ${shown(statement.account)}, not of ${shown(account)}, which was given for it`,
        'Give the account to which the file belongs, or none if the file names it in full.',
      )
    }
    const entries = statement.entries.map((entry) => ({ ...entry, account }))
    return { ...statement, account, entries }
  })
  return { ...reading, statements }
}
