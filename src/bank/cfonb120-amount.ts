import { InvalidValue } from '../domain/invalid-value.ts'
import { type Currency, parseAmount } from '../domain/money.ts'
import { shown } from './reader.ts'

/** The last digit of an amount and its sign in one character, as punched cards had it. */
const POSITIVE = '{ABCDEFGHI'
const NEGATIVE = '}JKLMNOPQR'

/**
 * What the brackets became in the French national character set (ISO 646-FR), in files that were
 * once converted from it. An accent can also be damage, so it is read only where that is asked for.
 */
const BRACKET_OF_ACCENT: Readonly<Record<string, string>> = { é: '{', è: '}' }

/**
 * A signed amount of CFONB120, `0000000120450{` or `0000000000974I`, in minor units of the currency:
 * a credit is positive. Blanks before the first digit that is not 0 count as zeros, also between zeros.
 * @param decimals how many of the digits are decimals.
 * @throws InvalidValue for anything else.
 */
export function parseSignedAmount(
  text: string,
  decimals: number,
  currency: Currency,
  { accentedZeros = false }: { readonly accentedZeros?: boolean } = {},
): bigint {
  const [, digits = '', last = ''] = /^[0 ]*(\d*)(\D)$/.exec(text) ?? []
  const sign = accentedZeros ? (BRACKET_OF_ACCENT[last] ?? last) : last
  const digit = Math.max(POSITIVE.indexOf(sign), NEGATIVE.indexOf(sign))
  if (last === '' || digit === -1) {
    throw new InvalidValue(
      `${shown(text)} is not a signed amount: digits were expected, the last one as a letter (A to I or { for credits, J to R or } for debits)`,
    )
  }
  const unsignedMinor = parseDecimals(digits + String(digit), decimals, currency)
  return NEGATIVE.includes(sign) ? -unsignedMinor : unsignedMinor
}

/**
 * Digits of which the last ones are decimals, in minor units of the currency.
 * @throws InvalidValue if there are decimals that the currency does not have.
 */
export function parseDecimals(digits: string, decimals: number, currency: Currency): bigint {
  const padded = digits.padStart(decimals + 1, '0')
  const whole = padded.length - decimals
  return parseAmount(`${padded.slice(0, whole)}.${padded.slice(whole)}`, currency)
}
