import { type Day, parseDay } from '../domain/day.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import { type Currency, currencyDigits, parseAmount } from '../domain/money.ts'
import { shown } from './reader.ts'

/** A date of an OFX file as written, whatever its zone: `20240318`, `20240318120000.000[-5:EST]`. */
export interface OfxMoment {
  readonly day: Day
  /** `hhmm`, or empty where only a day is given. */
  readonly time: string
}

/** @throws InvalidValue for anything that is not a date, and for dates that do not exist. */
export function parseOfxMoment(text: string): OfxMoment {
  const [, year, month, day, time = ''] =
    /^(\d{4})(\d{2})(\d{2})(?:([01]\d[0-5]\d|2[0-3][0-5]\d)(?:[0-5]\d(?:\.\d{1,3})?)?)? ?(?:\[[^\]]{0,20}\])?$/.exec(
      text,
    ) ?? []
  try {
    if (year !== undefined) return { day: parseDay(`${year}-${month}-${day}`), time }
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
  }
  throw new InvalidValue(
    `${shown(text)} is not a date: an existing day YYYYMMDD, maybe with time and zone, was expected`,
  )
}

/** @throws InvalidValue as above. */
export function parseOfxDay(text: string): Day {
  return parseOfxMoment(text).day
}

/**
 * A signed amount as banks write it: with a decimal point or comma, even both in one file, with
 * thousands grouped by the other mark, or negative in parentheses. Where the last group might be
 * thousands as well as decimals, nothing is guessed.
 * @throws InvalidValue for anything else.
 */
export function parseOfxAmount(text: string, currency: Currency): bigint {
  const [, open, sign = '', digits = '', closed] =
    /^(\()?([+-]?)(\d[\d.,]*|[.,]\d+)(\))?$/.exec(text.replace(/[\s\u00a0]/g, '')) ?? []
  if (digits === '' || (open === undefined) !== (closed === undefined) || (open && sign)) {
    throw notAnAmount(text)
  }
  const unsignedMinor = parseAmount(plainDecimal(digits, text, currency), currency)
  return sign === '-' || open !== undefined ? -unsignedMinor : unsignedMinor
}

/** Digits with at most a decimal point. */
function plainDecimal(digits: string, text: string, currency: Currency): string {
  const groups = digits.split(/[.,]/)
  const marks = digits.replace(/\d/g, '')
  const last = groups.at(-1) ?? ''
  if (marks.length <= 1) {
    if (last.length === 3 && marks.length === 1 && currencyDigits(currency) < 3) {
      throw new InvalidValue(
        `${shown(text)} may mean thousands or three decimals: an amount with ${currencyDigits(currency)} decimals was expected`,
      )
    }
    return `${groups[0] || '0'}${marks === '' ? '' : '.'}${groups[1] ?? ''}`
  }
  // Several marks: all but the last one group thousands, and the last one is decimal if it differs
  // from them or if its digits are too few for thousands.
  const grouping = marks.slice(0, -1)
  const isGrouped =
    new Set(grouping).size === 1 &&
    /^\d{1,3}$/.test(groups[0] ?? '') &&
    groups.slice(1, -1).every((group) => group.length === 3)
  if (!isGrouped || last === '') throw notAnAmount(text)
  const isDecimal = marks.at(-1) !== grouping[0] || last.length < 3
  if (!isDecimal && last.length > 3) throw notAnAmount(text)
  const whole = groups.slice(0, -1).join('')
  return isDecimal ? `${whole}.${last}` : whole + last
}

function notAnAmount(text: string): InvalidValue {
  return new InvalidValue(
    `${shown(text)} is not an amount: digits with a decimal point or comma were expected, such as -1204.50`,
  )
}
