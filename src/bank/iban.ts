import { InvalidValue } from '../domain/invalid-value.ts'
import { shown } from './reader.ts'

/** IBANs: whether a text is one, and those worked out of the account numbers of national formats. */

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
    throw notA(
      'a German account: a bank code of eight digits and a number of at most ten were expected',
      `${bankCode}/${accountNumber}`,
    )
  }
  return withCheckDigits('DE', bankCode + accountNumber.padStart(10, '0'))
}

/** In a French account number letters count as digits, so: A and J are 1, B, K and S are 2, … */
function ribDigits(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => {
    const place = letter.charCodeAt(0) - 'A'.charCodeAt(0)
    return String(place < 18 ? (place % 9) + 1 : place - 18 + 2)
  })
}

/**
 * The IBAN of a French account: bank (5 digits), branch (5), account (11 digits or letters). The
 * national key (clé RIB) and the check digits are worked out.
 * @throws InvalidValue if a part is not of that form.
 */
export function frenchIban(bank: string, branch: string, account: string): string {
  if (!/^\d{5}$/.test(bank)) throw notA('a bank code of five digits', bank)
  if (!/^\d{5}$/.test(branch)) throw notA('a branch code of five digits', branch)
  if (!/^[0-9A-Z]{11}$/.test(account)) throw notA('an account number of eleven characters', account)
  const weighed = BigInt(bank) * 89n + BigInt(branch) * 15n + BigInt(ribDigits(account)) * 3n
  const key = 97n - (weighed % 97n)
  return withCheckDigits('FR', bank + branch + account + key.toString().padStart(2, '0'))
}

/**
 * An account as it is known elsewhere: the IBAN of a bare French account number with its key (RIB, 23
 * characters) if the key fits, and anything else as it is.
 */
export function ibanOfRib(account: string): string {
  const [, bank, branch, number] = /^(\d{5})(\d{5})([0-9A-Z]{11})\d{2}$/.exec(account) ?? []
  if (bank === undefined || branch === undefined || number === undefined) return account
  const iban = frenchIban(bank, branch, number)
  return iban.endsWith(account) ? iban : account
}

const CCC_WEIGHTS = [1, 2, 4, 8, 5, 10, 9, 7, 3, 6]

/** One of the two control digits of a Spanish account number, over ten digits. */
function cccDigit(digits: string): string {
  const sum = CCC_WEIGHTS.reduce((total, weight, at) => total + weight * Number(digits[at]), 0)
  const rest = 11 - (sum % 11)
  return String(rest === 11 ? 0 : rest === 10 ? 1 : rest)
}

/**
 * The IBAN of a Spanish account: bank (4 digits), branch (4), account (10). The control digits of
 * the national number (CCC) and the check digits are worked out.
 * @throws InvalidValue if a part is not of that form.
 */
export function spanishIban(bank: string, branch: string, account: string): string {
  if (!/^\d{4}$/.test(bank)) throw notA('a bank code of four digits', bank)
  if (!/^\d{4}$/.test(branch)) throw notA('a branch code of four digits', branch)
  if (!/^\d{10}$/.test(account)) throw notA('an account number of ten digits', account)
  const control = cccDigit(`00${bank}${branch}`) + cccDigit(account)
  return withCheckDigits('ES', bank + branch + control + account)
}

function withCheckDigits(country: string, national: string): string {
  // The check digits are zeros while they are worked out (ISO 13616).
  const check = 98 - rest97(`${national}${country}00`)
  return `${country}${String(check).padStart(2, '0')}${national}`
}

function notA(expected: string, found: string): InvalidValue {
  return new InvalidValue(`${shown(found)} is not ${expected}`)
}
