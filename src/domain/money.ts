import { InvalidValue } from './invalid-value.ts'

/** ISO 4217 code in capitals, e.g. `EUR`. */
export type Currency = string

/** Decimal digits of the minor unit, where they are not 2 (ISO 4217). */
const DIGITS_OTHER_THAN_TWO: Readonly<Record<string, number>> = {
  BIF: 0,
  CLP: 0,
  DJF: 0,
  GNF: 0,
  ISK: 0,
  JPY: 0,
  KMF: 0,
  KRW: 0,
  PYG: 0,
  RWF: 0,
  UGX: 0,
  UYI: 0,
  VND: 0,
  VUV: 0,
  XAF: 0,
  XOF: 0,
  XPF: 0,
  BHD: 3,
  IQD: 3,
  JOD: 3,
  KWD: 3,
  LYD: 3,
  OMR: 3,
  TND: 3,
}

/** The largest amount we accept, either sign: far above any merchant, far below a Postgres bigint. */
const AMOUNT_MINOR_MAX = 10n ** 17n

export function currencyDigits(currency: Currency): number {
  return DIGITS_OTHER_THAN_TWO[currency] ?? 2
}

export function parseCurrency(text: string): Currency {
  if (!/^[A-Z]{3}$/.test(text)) {
    throw new InvalidValue(`"${text}" is not a currency: three capitals were expected, such as EUR`)
  }
  return text
}

/**
 * Minor units as decimal text with the currency's digits: `-120450n` EUR is `-1204.50`.
 */
export function formatAmount(amountMinor: bigint, currency: Currency): string {
  const digits = currencyDigits(currency)
  const sign = amountMinor < 0n ? '-' : ''
  const text = absolute(amountMinor)
    .toString()
    .padStart(digits + 1, '0')
  if (digits === 0) return sign + text
  return `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`
}

/**
 * Decimal text with a point, optionally signed, to minor units, exactly. More decimals than the
 * currency has are accepted only if they are zeros (`12.500` EUR is 12.50; `12.505` is refused).
 * @throws InvalidValue for anything else: grouping marks, exponents, commas, blanks.
 */
export function parseAmount(text: string, currency: Currency): bigint {
  const found = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(text)
  if (found === null) {
    throw new InvalidValue(
      `"${text}" is not an amount: digits with a decimal point were expected, such as -1204.50`,
    )
  }
  const [, sign, whole = '', fraction = ''] = found
  const digits = currencyDigits(currency)
  if (/[1-9]/.test(fraction.slice(digits))) {
    throw new InvalidValue(`"${text}" has more decimals than ${currency} has (${digits})`)
  }
  const amountMinor = BigInt(whole + fraction.slice(0, digits).padEnd(digits, '0'))
  if (amountMinor > AMOUNT_MINOR_MAX) {
    throw new InvalidValue(`"${text}" is larger than any amount this tool accepts`)
  }
  return sign === '-' ? -amountMinor : amountMinor
}

export function absolute(amountMinor: bigint): bigint {
  return amountMinor < 0n ? -amountMinor : amountMinor
}

export function sumOf(amountsMinor: Iterable<bigint>): bigint {
  let total = 0n
  for (const amountMinor of amountsMinor) total += amountMinor
  return total
}
