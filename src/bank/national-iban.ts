import { InvalidValue } from '../domain/invalid-value.ts'
import { shown } from './reader.ts'

/** IBANs worked out of the account numbers that national formats carry. */

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
  // Letters count from A = 10; the check digits are zeros while they are worked out (ISO 13616).
  const number = `${national}${country}00`.replace(/[A-Z]/g, (letter) =>
    String(letter.charCodeAt(0) - 'A'.charCodeAt(0) + 10),
  )
  const check = 98n - (BigInt(number) % 97n)
  return `${country}${check.toString().padStart(2, '0')}${national}`
}

function notA(expected: string, found: string): InvalidValue {
  return new InvalidValue(`${shown(found)} is not ${expected}`)
}
