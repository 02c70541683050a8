import { type Day, daysBetween, parseDay } from '../domain/day.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import { type Currency, parseAmount, parseCurrency } from '../domain/money.ts'
import type { InputFault } from '../errors.ts'
import { parseShortDay } from './fixed-width.ts'
import { givenId, readValue, shown } from './reader.ts'

/** Makes the refusal of the file from what is wrong at a place that the caller knows. */
export type Refuse = (found: string) => InputFault

/** A balance: `:60F:C240318EUR1204,50`. */
interface Mt940Balance {
  readonly day: Day
  /** Null where a closing balance leaves it out: it is the opening one's then. */
  readonly currency: Currency | null
  /** As written, unsigned, with a decimal point. */
  readonly amount: string
  readonly isDebit: boolean
}

/** What a statement line (`:61:`) says. */
export interface Mt940Line {
  readonly valueDay: Day
  /** The entry date, in the year that brings it closest to the value date; null where there is none. */
  readonly entryDay: Day | null
  /** Signed, a credit is positive: the reversal of a credit (`RC`) is money out, that of a debit (`RD`) money in. */
  readonly amountMinor: bigint
  readonly isReversal: boolean
  /** True where the amount itself has a minus sign (`D-104,12`), which no specification knows. */
  readonly hasMinus: boolean
  /** Four characters as a rule: `NTRF`, `N051`; empty where there is none. */
  readonly transactionType: string
  /** Before `//`; null for NONREF and for the names of tags where the reference really stands (`KREF+`). */
  readonly customerReference: string | null
  /** After `//`. */
  readonly bankReference: string | null
  /** What stands beside and below, for people: the supplementary line. */
  readonly details: readonly string[]
}

const BALANCE = /^([CD])(\d{6})([A-Z]{3})?(\d{1,30}),(\d{0,10})$/

/** @throws InputFault for anything that is not a balance. */
export function readBalance(
  text: string,
  refuse: Refuse,
  { currencyRequired }: { currencyRequired: boolean },
): Mt940Balance {
  const [, mark, date = '', currency, whole = '', decimals = ''] = BALANCE.exec(text.trim()) ?? []
  if (mark === undefined || (currency === undefined && currencyRequired)) {
    throw refuse(
      `${shown(text.trim())} is not a balance: C or D, a date YYMMDD, a currency and an amount with a decimal comma were expected, such as C240318EUR1204,50`,
    )
  }
  return {
    day: readValue(date, parseShortDate, refuse),
    currency: currency === undefined ? null : readValue(currency, parseCurrency, refuse),
    amount: decimals === '' ? whole : `${whole}.${decimals}`,
    isDebit: mark === 'D',
  }
}

/** @throws InputFault for an amount that the currency cannot have. */
export function balanceMinor(
  { amount, isDebit }: Mt940Balance,
  currency: Currency,
  refuse: Refuse,
): bigint {
  const amountMinor = readValue(amount, (text) => parseAmount(text, currency), refuse)
  return isDebit ? -amountMinor : amountMinor
}

/**
 * Value date, maybe entry date (four blanks stand for none), mark, maybe the last letter of the
 * currency, amount. Looked for in the first characters only, which is more than it ever takes.
 */
const STATEMENT_LINE =
  /^(\d{6})(\d{4}| {4})? *(R?[CD])([A-Z])? *(-)? *(\d{1,30})(?:,(\d{0,10}))?(?![\d.,])/
const STATEMENT_LINE_MAX = 80
/** A statement line that breaks off before its amount. */
const WITHOUT_AMOUNT = /^\d{6}[\d ]{0,8}(?:R?[CD][A-Z]?)? *$/

/** @throws InputFault for a line that cannot be read, an impossible date included. */
export function readStatementLine(
  lines: readonly string[],
  currency: Currency,
  refuse: Refuse,
): Mt940Line {
  const [first = '', second = '', ...others] = lines
  const isBroken = first.length < STATEMENT_LINE_MAX && WITHOUT_AMOUNT.test(first)
  const line = (isBroken ? first + second : first).trimStart()
  const below = isBroken ? others : [second, ...others]
  const found = STATEMENT_LINE.exec(line.slice(0, STATEMENT_LINE_MAX))
  const [whole, date = '', entryDate = '', mark = '', , minus, units = '', decimals = ''] =
    found ?? []
  if (whole === undefined) {
    throw refuse(
      `${shown(line.slice(0, 30))} is not a statement line: a value date YYMMDD, maybe an entry date MMDD, then C, D, RC or RD, and an amount with a decimal comma were expected, such as 2403180318C1204,50NTRF`,
    )
  }
  const valueDay = readValue(date, parseShortDate, refuse)
  const entryDay =
    entryDate.trim() === ''
      ? null
      : readValue(entryDate, (text) => closestDay(text, valueDay), refuse)
  const unsignedMinor = readValue(
    decimals === '' ? units : `${units}.${decimals}`,
    (text) => parseAmount(text, currency),
    refuse,
  )
  const isMoneyIn = (mark === 'C' || mark === 'RD') !== (minus !== undefined)
  return {
    valueDay,
    entryDay,
    amountMinor: isMoneyIn ? unsignedMinor : -unsignedMinor,
    isReversal: mark.startsWith('R') !== (minus !== undefined),
    hasMinus: minus !== undefined,
    ...references(line.slice(whole.length), below, refuse),
  }
}

function parseShortDate(text: string): Day {
  return parseShortDay(text, 'YYMMDD')
}

/** A month and day without a year, in the year that brings it closest to another day. */
function closestDay(monthAndDay: string, near: Day): Day {
  const [month, day] = [monthAndDay.slice(0, 2), monthAndDay.slice(2)]
  const year = Number(near.slice(0, 4))
  const candidates = [year - 1, year, year + 1].flatMap((candidate) => {
    const text = `${String(candidate).padStart(4, '0')}-${month}-${day}`
    try {
      return [parseDay(text)]
    } catch (error) {
      // The 29th of February is not in every year.
      if (error instanceof InvalidValue) return []
      throw error
    }
  })
  const [closest] = candidates.toSorted(
    (one, other) => Math.abs(daysBetween(near, one)) - Math.abs(daysBetween(near, other)),
  )
  if (closest !== undefined) return closest
  throw new InvalidValue(
    `${shown(monthAndDay)} is not an entry date: an existing date MMDD was expected`,
  )
}

/** Three characters where a bank leaves one out, four otherwise; blanks may be among them. */
const TRANSACTION_TYPE = /^(?:[A-Z][A-Z0-9]{2}(?=NONREF)|[A-Z][A-Z0-9 ]{3}|[A-Z][A-Z0-9]{0,2}$)/
const CUSTOMER_REFERENCE_LENGTH = 16

function references(
  afterAmount: string,
  below: readonly string[],
  refuse: Refuse,
): Pick<Mt940Line, 'transactionType' | 'customerReference' | 'bankReference' | 'details'> {
  const text = afterAmount.trim()
  const type = TRANSACTION_TYPE.exec(text)?.[0] ?? ''
  if (type === '' && text !== '') {
    throw refuse(
      `${shown(text.slice(0, 8))} stands behind the amount: a transaction type was expected, such as NTRF`,
    )
  }
  const reference = text.slice(type.length)
  const border = reference.indexOf('//')
  const ofCustomer = border === -1 ? reference : reference.slice(0, border)
  // Some banks fill the reference with blanks and write a name behind it.
  const beside = border === -1 ? ofCustomer.slice(CUSTOMER_REFERENCE_LENGTH).trim() : ''
  const customerReference = (border === -1 ? ofCustomer.slice(0, 16) : ofCustomer).trim()
  return {
    transactionType: type.trim(),
    customerReference: /^(?:[A-Z]REF|MARF)\+?$/.test(customerReference)
      ? null
      : givenId(customerReference),
    bankReference: border === -1 ? null : givenId(reference.slice(border + 2)),
    details: [beside, ...below.map((detail) => detail.trim())].filter((detail) => detail !== ''),
  }
}
