import { InvalidValue } from '../domain/invalid-value.ts'
import { shown } from './reader.ts'

/** What is left when a text of digits and letters is divided by 97, letters from A = 10 (ISO 7064). */
function rest97(text: string): number {
  let rest = 0
  for (const character of text) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value < 10 ? 10 : 100) + value) % 97
  }
  return rest
}

/** Whether a text without blanks, in capitals, is an IBAN whose check digits fit (ISO 13616). */
export function isIban(text: string): boolean {
  if (!/^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/.test(text)) return false
  return rest97(text.slice(4) + text.slice(0, 4)) === 1
}

/** A text as an IBAN without blanks, in capitals; null if it is none. */
export function ibanOrNull(text: string): string | null {
  const iban = text.replace(/\s/g, '').toUpperCase()
  return isIban(iban) ? iban : null
}

/**
 * The IBAN of a German account by the general rule: bank code (8 digits) and account number (up to
 * 10 digits, filled with zeros from the left).
 * @throws InvalidValue if a part is not of that form.
 */
export function germanIban(bankCode: string, accountNumber: string): string {
  if (!/^[1-9]\d{7}$/.test(bankCode) || !/^\d{1,10}$/.test(accountNumber)) {
    throw new InvalidValue(
      `${shown(`${bankCode}/${accountNumber}`)} is not a German account: a bank code of eight digits and a number of at most ten were expected`,
    )
  }
  const national = bankCode + accountNumber.padStart(10, '0')
  const check = 98 - rest97(`${national}DE00`)
  return `DE${String(check).padStart(2, '0')}${national}`
}
