import type { BankEntry } from '../domain/bank-statement.ts'
import { addDays, type Day } from '../domain/day.ts'
import { type Currency, parseCurrency, sumOf, absolute } from '../domain/money.ts'
import { businessDaysBetween } from '../domain/target-calendar.ts'
import {
  type CamtEntry,
  dayAt,
  parseDateTime,
  type Parties,
  type PlacedCamtEntry,
  type Refuse,
  signedAmount,
} from './camt053-entry.ts'
import {
  type ComparedEntry,
  MOVEMENT_MINOR_MAX,
  parseAccount,
  readValue,
  shown,
  type StatementOf,
} from './reader.ts'
import { elementsAt, textAt, type XmlElement } from './xml.ts'

/** A statement (`Stmt`) as far as it went by, with what is kept of its entries. */
export interface CamtStatementParts<Kept> {
  /** 1-based in the file. */
  readonly number: number
  readonly line: number
  /** What stands directly in it, entries apart. */
  readonly children: XmlElement[]
  /** Null until an entry comes and the account stood before it. */
  account: string | null
  /** What came before the account, as off the schema. */
  readonly waiting: PlacedCamtEntry[]
  readonly entries: Kept[]
}

/** What becomes of an entry that is read whole; the number is that of its statement (`Stmt`). */
export type Keep<Kept> = (entry: BankEntry, number: number) => Kept

const NAMES_MAX = 5

interface Balance {
  readonly type: string
  readonly day: Day | null
  readonly currency: Currency
  readonly amountMinor: bigint
}

/**
 * The statements of one `Stmt`: one, or one for each currency where an account holds several.
 * @param messageCreated when the message was made, as written, where the statement does not say.
 */
export function finishStatement<Kept extends ComparedEntry>(
  parts: CamtStatementParts<Kept>,
  messageCreated: string | null,
  keep: Keep<Kept>,
  refuse: Refuse,
): StatementOf<Kept>[] {
  const statement = asElement(parts)
  const account = accountOf(statement, refuse)
  if (account === null) throw refuse('the statement names no account (Acct/Id)')
  if (parts.account !== null && parts.account !== account) {
    throw refuse(`the statement names two accounts, ${parts.account} and ${account}`)
  }
  const balances = elementsAt(statement, 'Bal')
    .filter((balance) => BOOKED_BALANCES.has(balanceType(balance)))
    .map((balance) => readBalance(balance, refuse))
  const entries = [
    ...parts.waiting.map((entry) => keep(finished(entry, account), parts.number)),
    ...parts.entries,
  ]
  const accountCurrency = textAt(statement, 'Acct', 'Ccy')
  const currencies = new Set([
    ...balances.map(({ currency }) => currency),
    ...entries.map(({ currency }) => currency),
  ])
  if (currencies.size === 0) {
    if (accountCurrency === null) throw refuse('the statement names no currency')
    currencies.add(readValue(accountCurrency, parseCurrency, refuse))
  }
  const created = textAt(statement, 'CreDtTm') ?? messageCreated
  return [...currencies].map((currency) => {
    const own = entries.filter((entry) => entry.currency === currency)
    const booked = balances.filter((balance) => balance.currency === currency)
    if (absolute(sumOf(own.map((entry) => entry.amountMinor))) > MOVEMENT_MINOR_MAX) {
      throw refuse('the entries add up to more than any account holds')
    }
    const { opening, closing } = bookedBalances(booked)
    return {
      account,
      currency,
      statementRef: textAt(statement, 'Id'),
      sequenceNumber: sequenceNumber(statement, refuse),
      ...coveredDays({ statement, opening, closing, created, entries: own, refuse }),
      openingMinor: opening?.amountMinor ?? null,
      closingMinor: closing?.amountMinor ?? null,
      entries: own,
    }
  })
}

/** What stands directly in a statement, as an element of its own. */
export function asElement({ children }: Pick<CamtStatementParts<unknown>, 'children'>): XmlElement {
  return { name: 'Stmt', attributes: {}, text: '', children, line: 0 }
}

/**
 * Takes an entry in as soon as the account is known, which by the schema stands before it, so that
 * a long statement is never there as a whole unless `keep` keeps it.
 */
export function addEntry<Kept>(
  parts: CamtStatementParts<Kept>,
  placed: PlacedCamtEntry,
  keep: Keep<Kept>,
  refuse: Refuse,
): void {
  if (parts.waiting.length === 0) parts.account ??= accountOf(asElement(parts), refuse)
  if (parts.account === null) parts.waiting.push(placed)
  else parts.entries.push(keep(finished(placed, parts.account), parts.number))
}

function accountOf(statement: XmlElement, refuse: Refuse): string | null {
  const id =
    textAt(statement, 'Acct', 'Id', 'IBAN') ??
    textAt(statement, 'Acct', 'Id', 'Othr', 'Id') ??
    textAt(statement, 'Acct', 'Prxy', 'Id')
  return id === null ? null : readValue(id, parseAccount, refuse)
}

/**
 * Electronic, else legal sequence number. Numbers of eight digits and more are dates or ids of the
 * bank, and zero is a placeholder: neither counts statements.
 */
function sequenceNumber(statement: XmlElement, refuse: Refuse): number | null {
  for (const name of ['ElctrncSeqNb', 'LglSeqNb']) {
    const text = textAt(statement, name)
    if (text === null) continue
    if (!/^\d+$/.test(text))
      throw refuse(`the number (${name}) is ${shown(text)}: digits were expected`)
    const digits = text.replace(/^0+/, '')
    if (digits !== '' && digits.length < 8) return Number(digits)
  }
  return null
}

/** Balances of booked money; available and expected ones never enter the proof. */
const BOOKED_BALANCES = new Set(['OPBD', 'PRCD', 'ITBD', 'CLBD'])

function balanceType(balance: XmlElement): string {
  return textAt(balance, 'Tp', 'CdOrPrtry', 'Cd') ?? textAt(balance, 'Tp', 'Cd') ?? ''
}

function readBalance(balance: XmlElement, refuse: Refuse): Balance {
  const type = balanceType(balance)
  const { amountMinor, currency } = signedAmount(balance, refuse, { signRequired: false })
  return { type, day: dayAt(balance, 'Dt', refuse), currency, amountMinor }
}

/**
 * The balances between which the entries lie. `PRCD`, the closing balance of the statement before,
 * stands for `OPBD`; the pages of a long statement begin or end with an interim balance (`ITBD`).
 */
function bookedBalances(balances: readonly Balance[]): {
  opening: Balance | null
  closing: Balance | null
} {
  const of = (type: string): Balance[] => balances.filter((balance) => balance.type === type)
  const interim = of('ITBD')
  const opening = earliest(of('OPBD')) ?? earliest(of('PRCD'))
  const closing = latest(of('CLBD'))
  if (opening !== null && closing !== null) return { opening, closing }
  // One interim balance can end what an opening balance begins, or begin what a closing one ends;
  // alone it says nothing about where it stands between the entries.
  if (opening !== null) return { opening, closing: interim.at(-1) ?? null }
  if (closing !== null) return { opening: interim[0] ?? null, closing }
  if (interim.length < 2) return { opening: null, closing: null }
  return { opening: interim[0] ?? null, closing: interim.at(-1) ?? null }
}

/** Where a file with many days in one statement repeats a balance for each day, the outermost ones count. */
function earliest(balances: readonly Balance[]): Balance | null {
  return balances.reduce<Balance | null>(
    (least, balance) =>
      least === null || (balance.day !== null && least.day !== null && balance.day < least.day)
        ? balance
        : least,
    null,
  )
}

function latest(balances: readonly Balance[]): Balance | null {
  return balances.reduce<Balance | null>(
    (most, balance) =>
      most === null || balance.day === null || most.day === null || balance.day >= most.day
        ? balance
        : most,
    null,
  )
}

interface CoverageSources {
  readonly statement: XmlElement
  readonly opening: Balance | null
  readonly closing: Balance | null
  readonly created: string | null
  readonly entries: readonly ComparedEntry[]
  readonly refuse: Refuse
}

/**
 * The days of which the statement tells all: as it says (`FrToDt`), else from its balances, else
 * from its entries. A day too many would let a deposit count as missing that is only in the next
 * file, so what is in doubt is not covered.
 */
function coveredDays(sources: CoverageSources): { fromDay: Day; toDay: Day } {
  const { entries, opening, closing, refuse } = sources
  const entryDays = [...new Set(entries.map((entry) => entry.bookingDay))].sort()
  const stated = statedDays(sources, entryDays)
  if (stated !== null) return stated
  const toDay = closing?.day ?? entryDays.at(-1) ?? opening?.day
  if (toDay === undefined || toDay === null) {
    throw refuse('the statement covers no day: it has no FrToDt, no dated balance and no entry')
  }
  if (opening?.day != null && opening.day <= toDay) {
    return { fromDay: firstDayAfter(opening.type, opening.day, toDay, entryDays), toDay }
  }
  const [firstEntryDay = toDay] = entryDays
  return { fromDay: firstEntryDay < toDay ? firstEntryDay : toDay, toDay }
}

/**
 * An opening balance bears the first day of the statement, or the day before it: `PRCD` by its
 * meaning, `OPBD` at some banks in statements of one business day.
 */
function firstDayAfter(
  openingType: string,
  openingDay: Day,
  toDay: Day,
  entryDays: readonly Day[],
): Day {
  if (openingDay === toDay || entryDays.some((day) => day <= openingDay)) return openingDay
  const isOneBusinessDay =
    businessDaysBetween(openingDay, toDay) <= 1 && entryDays.every((day) => day === toDay)
  return openingType === 'PRCD' || isOneBusinessDay ? addDays(openingDay, 1) : openingDay
}

/** `FrToDt`, read so that it holds whole days only; null where the statement has none. */
function statedDays(
  { statement, closing, created, refuse }: CoverageSources,
  entryDays: readonly Day[],
): { fromDay: Day; toDay: Day } | null {
  const fromText = textAt(statement, 'FrToDt', 'FrDtTm') ?? textAt(statement, 'FrToDt', 'FrDt')
  const toText = textAt(statement, 'FrToDt', 'ToDtTm') ?? textAt(statement, 'FrToDt', 'ToDt')
  if (fromText === null || toText === null) return null
  const from = readValue(fromText, parseDateTime, refuse)
  const to = readValue(toText, parseDateTime, refuse)
  if (to.day < from.day) {
    throw refuse(`the statement ends on ${to.day}, before it begins on ${from.day} (FrToDt)`)
  }
  // Days of which an entry or the closing balance speaks are in the statement, whatever the clock
  // times say.
  const spokenOf = [...entryDays, ...(closing?.day == null ? [] : [closing.day])]
    .filter((day) => from.day <= day && day <= to.day)
    .sort()
  const earlier = (day: Day): Day =>
    spokenOf[0] !== undefined && spokenOf[0] < day ? spokenOf[0] : day
  const later = (day: Day): Day => {
    const last = spokenOf.at(-1)
    return last !== undefined && last > day ? last : day
  }
  let { day: fromDay } = from
  let { day: toDay } = to
  // A first moment after noon is the evening before, as in UTC; a last one before noon is the end
  // of the day before, midnight above all.
  if (from.time > '12:00' && fromDay < toDay) fromDay = earlier(addDays(fromDay, 1))
  if (to.time !== '' && to.time < '12:00' && fromDay < toDay) toDay = later(addDays(toDay, -1))
  // A file asked for a month before the month is over says "to the 31st" on the 20th.
  if (created !== null) {
    const { day: createdDay } = readValue(created, parseDateTime, refuse)
    if (createdDay >= fromDay && createdDay < toDay) toDay = later(createdDay)
  }
  return { fromDay, toDay }
}

function finished({ entry, place, position, raw }: PlacedCamtEntry, account: string): BankEntry {
  const { stated } = entry
  const other = otherSide(entry, account)
  // Field by field: copying the object as a whole takes a third of the time of reading a large file.
  return {
    account,
    bookingDay: stated.bookingDay,
    valueDay: stated.valueDay,
    amountMinor: stated.amountMinor,
    currency: stated.currency,
    counterpartyName: other === null ? null : joinedNames(other.names),
    counterpartyIban: other?.ibans.length === 1 ? (other.ibans[0] ?? null) : null,
    endToEndId: stated.endToEndId,
    remittance: stated.remittance,
    bankReference: stated.bankReference,
    isReversal: stated.isReversal,
    place,
    position,
    raw,
  }
}

/**
 * Who paid a credit, who got a debit. A reversal often keeps the roles of what it reverses; then the
 * account's own side, or nobody, stands where the other one was expected.
 */
function otherSide({ stated, debtors, creditors }: CamtEntry, account: string): Parties | null {
  const isCredit = stated.amountMinor >= 0n
  const [expected, opposite] = isCredit ? [debtors, creditors] : [creditors, debtors]
  const isOwn = ({ ibans }: Parties): boolean => ibans.length === 1 && ibans[0] === account
  if (isNamed(expected) && !isOwn(expected)) return expected
  // Without an account beside it, a name in the opposite role is most likely the merchant's own.
  const isOther = stated.isReversal ? isNamed(opposite) : opposite.ibans.length > 0
  return isOther && !isOwn(opposite) ? opposite : null
}

function isNamed({ names, ibans }: Parties): boolean {
  return names.length + ibans.length > 0
}

/** A batch may have several payers; one with many is a collection of customers, whom nobody needs here. */
function joinedNames(names: readonly string[]): string | null {
  return names.length === 0 || names.length > NAMES_MAX ? null : names.join('; ')
}
