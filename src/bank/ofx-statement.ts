import type { BankEntry, BankStatement } from '../domain/bank-statement.ts'
import { addDays, type Day } from '../domain/day.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import { absolute, type Currency, parseCurrency, sumOf } from '../domain/money.ts'
import type { InputFault } from '../errors.ts'
import { frenchIban, germanIban, ibanOrNull } from './iban.ts'
import { type OfxElement, ofxElements, ofxText } from './ofx-elements.ts'
import { type OfxMoment, parseOfxAmount, parseOfxDay, parseOfxMoment } from './ofx-values.ts'
import {
  ENTRIES_PER_FILE_MAX,
  givenId,
  MOVEMENT_MINOR_MAX,
  parseAccount,
  readValue,
} from './reader.ts'

/** Makes the refusal of the file from what is wrong at a place. */
export type Refuse = (found: string) => InputFault
/** A place is the line of an element, or what is given instead. */
export type RefuseAt = (element: OfxElement, place?: string) => Refuse

/** What a person should know of the file, gathered while its statements are read. */
interface Tally {
  entryCount: number
  heldCount: number
  debitsWithoutSign: number
  sharedIds: number
  /** Sentences without the file's name. */
  readonly notes: Set<string>
}

export function newTally(): Tally {
  return { entryCount: 0, heldCount: 0, debitsWithoutSign: 0, sharedIds: 0, notes: new Set() }
}

export function tallyNotes({ heldCount, debitsWithoutSign, sharedIds, notes }: Tally): string[] {
  const entries = (count: number): string => `${count} ${count === 1 ? 'entry' : 'entries'}`
  return [
    ...notes,
    ...(heldCount === 0
      ? []
      : [`${entries(heldCount)} of type HOLD left out: only booked entries count`]),
    ...(debitsWithoutSign === 0
      ? []
      : [
          `${entries(debitsWithoutSign)} of type DEBIT with a positive amount: the sign was taken as written`,
        ]),
    ...(sharedIds === 0
      ? []
      : [
          `${entries(sharedIds)} with an id (FITID) that stands in the file several times: reports name them by their places`,
        ]),
  ]
}

interface StatementContext {
  readonly text: string
  readonly refuseAt: RefuseAt
  /** How often an id (`FITID`) occurs in the file. */
  readonly idCounts: ReadonlyMap<string, number>
  readonly tally: Tally
  /** The day on which the file was made; null if it does not say. */
  readonly created: Day | null
}

/** The day of `DTSERVER`, when the file was made. A help only: one that cannot be read says nothing. */
export function createdDay(root: OfxElement): Day | null {
  const text = ofxText(root, 'SIGNONMSGSRSV1', 'SONRS', 'DTSERVER')
  try {
    return text === null ? null : parseOfxDay(text.slice(0, 8))
  } catch (error) {
    if (error instanceof InvalidValue) return null
    throw error
  }
}

/**
 * The statements of one account (`STMTRS`): one, or one for each currency in which entries are
 * booked; none where the file gives a balance without a list of entries, which tells of no day.
 */
export function readStatement(
  statement: OfxElement,
  entryElements: readonly OfxElement[],
  context: StatementContext,
): BankStatement[] {
  const { refuseAt, tally } = context
  const refuse = refuseAt(statement)
  const account = readAccount(statement, context)
  const currencyText = ofxText(statement, 'CURDEF')
  if (currencyText === null) throw refuse('the statement names no currency (CURDEF)')
  const accountCurrency = readValue(currencyText, parseCurrency, refuse)
  const [list] = ofxElements(statement, 'BANKTRANLIST')
  if (list === undefined && entryElements.length === 0) {
    tally.notes.add(
      `the account ${account} has a balance but no list of entries (BANKTRANLIST), and was left out`,
    )
    return []
  }
  const entries = entryElements
    .map((element) => readEntry(element, account, accountCurrency, context))
    .filter((entry) => entry !== null)
  const days = coveredDays(statement, list, entries, context)
  return [...new Set([accountCurrency, ...entries.map(({ currency }) => currency)])].map(
    (currency) => {
      const own = entries.filter((entry) => entry.currency === currency)
      if (absolute(sumOf(own.map(({ amountMinor }) => amountMinor))) > MOVEMENT_MINOR_MAX) {
        throw refuse('the entries add up to more than any account holds')
      }
      return {
        account,
        currency,
        statementRef: null,
        sequenceNumber: null,
        ...days,
        openingMinor: null,
        closingMinor:
          currency === accountCurrency
            ? closingBalance(statement, { currency, entries: own, toDay: days.toDay, refuseAt })
            : null,
        entries: own,
      }
    },
  )
}

/**
 * The account as its file names it: an IBAN; else the IBAN that French (bank, branch, number) or
 * German (bank code, number) parts give; else the number alone.
 */
function readAccount(
  statement: OfxElement,
  { refuseAt, tally }: Pick<StatementContext, 'refuseAt' | 'tally'>,
): string {
  const [from] = ofxElements(statement, 'BANKACCTFROM')
  const number = from === undefined ? null : ofxText(from, 'ACCTID')
  if (from === undefined || number === null) {
    throw refuseAt(from ?? statement)('the statement names no account (BANKACCTFROM, ACCTID)')
  }
  const account = readValue(number, parseAccount, refuseAt(from))
  const iban =
    ibanOrNull(account) ??
    nationalIban(ofxText(from, 'BANKID') ?? '', ofxText(from, 'BRANCHID') ?? '', account)
  if (iban !== null && iban !== account) {
    tally.notes.add(`the account ${account} was taken as the IBAN ${iban} that its numbers give`)
  }
  return iban ?? account
}

function nationalIban(bank: string, branch: string, account: string): string | null {
  if (/^\d{5}$/.test(bank) && /^\d{5}$/.test(branch)) {
    const [, number, key = ''] = /^([0-9A-Z]{11})(\d{2})?$/.exec(account) ?? []
    if (number === undefined) return null
    const iban = frenchIban(bank, branch, number)
    return iban.endsWith(key) ? iban : null
  }
  if (/^[1-9]\d{7}$/.test(bank) && branch === '' && /^\d{1,10}$/.test(account)) {
    return germanIban(bank, account)
  }
  return null
}

/** @returns null for an entry that is not booked. */
function readEntry(
  element: OfxElement,
  account: string,
  accountCurrency: Currency,
  { text, refuseAt, idCounts, tally }: StatementContext,
): BankEntry | null {
  tally.entryCount += 1
  const position = tally.entryCount
  const place = `entry ${position}, line ${element.line}`
  const refuse = refuseAt(element, place)
  if (position > ENTRIES_PER_FILE_MAX) {
    throw refuse(`the file has more than ${ENTRIES_PER_FILE_MAX} entries`)
  }
  const required = (name: string): string => {
    const value = ofxText(element, name)
    if (value === null) throw refuse(`${name} is missing`)
    return value
  }
  const type = ofxText(element, 'TRNTYPE')?.toUpperCase()
  if (type === 'HOLD') {
    tally.heldCount += 1
    return null
  }
  if (ofxText(element, 'CORRECTFITID') !== null) {
    throw refuse(
      'the entry corrects an earlier one (CORRECTFITID), and taking both would count the money twice',
    )
  }
  const currency = entryCurrency(element, accountCurrency, refuse)
  const bookingDay = readValue(required('DTPOSTED'), parseOfxDay, refuse)
  const availableText = ofxText(element, 'DTAVAIL')
  const amountMinor = readValue(
    required('TRNAMT'),
    (amount) => parseOfxAmount(amount, currency),
    refuse,
  )
  if (type === 'DEBIT' && amountMinor > 0n) tally.debitsWithoutSign += 1
  const id = ofxText(element, 'FITID')
  const isShared = id !== null && idCounts.get(id) !== 1
  if (isShared) tally.sharedIds += 1
  const name = ofxText(element, 'NAME') ?? ofxText(element, 'PAYEE', 'NAME')
  const texts = [name, ofxText(element, 'EXTDNAME'), ofxText(element, 'MEMO')]
  return {
    account,
    bookingDay,
    valueDay: availableText === null ? null : readValue(availableText, parseOfxDay, refuse),
    amountMinor,
    currency,
    counterpartyName: name,
    counterpartyIban: ibanOrNull(ofxText(element, 'BANKACCTTO', 'ACCTID') ?? ''),
    endToEndId: null,
    // Banks put the first characters of one long text into the name and the rest into the memo.
    remittance: [...new Set(texts.filter((piece) => piece !== null))],
    bankReference: isShared ? null : givenId(id),
    isReversal: false,
    place,
    position,
    raw: text.slice(element.from, element.to),
  }
}

/** `CURRENCY` says in which other currency an amount is; `ORIGCURRENCY` only in which it once was. */
function entryCurrency(element: OfxElement, accountCurrency: Currency, refuse: Refuse): Currency {
  const text = ofxText(element, 'CURRENCY', 'CURSYM') ?? ofxText(element, 'CURRENCY')
  return text === null ? accountCurrency : readValue(text, parseCurrency, refuse)
}

interface Balance {
  readonly day: Day
  readonly amountMinor: bigint
}

function ledgerBalance(
  statement: OfxElement,
  currency: Currency,
  refuseAt: RefuseAt,
): Balance | null {
  const [balance] = ofxElements(statement, 'LEDGERBAL')
  if (balance === undefined) return null
  const amountText = ofxText(balance, 'BALAMT')
  const dayText = ofxText(balance, 'DTASOF')
  if (amountText === null || dayText === null) return null
  const refuse = refuseAt(balance)
  return {
    day: readValue(dayText, parseOfxDay, refuse),
    amountMinor: readValue(amountText, (text) => parseOfxAmount(text, currency), refuse),
  }
}

/** The ledger balance, unless it is of a later day than the statement, or of an earlier one than an entry. */
function closingBalance(
  statement: OfxElement,
  args: {
    readonly currency: Currency
    readonly entries: readonly BankEntry[]
    readonly toDay: Day
    readonly refuseAt: RefuseAt
  },
): bigint | null {
  const { currency, entries, toDay, refuseAt } = args
  const balance = ledgerBalance(statement, currency, refuseAt)
  if (balance === null || balance.day > toDay) return null
  return entries.some(({ bookingDay }) => bookingDay > balance.day) ? null : balance.amountMinor
}

/**
 * The days of which the list tells all: as it says (`DTSTART`, `DTEND`), else from its entries. A
 * last moment before noon ends the day before it, midnight above all, and a list cannot tell of days
 * after its file was made.
 */
function coveredDays(
  statement: OfxElement,
  list: OfxElement | undefined,
  entries: readonly BankEntry[],
  { refuseAt, created }: StatementContext,
): { fromDay: Day; toDay: Day } {
  const refuse = refuseAt(list ?? statement)
  const momentAt = (name: string): OfxMoment | null => {
    const text = list === undefined ? null : ofxText(list, name)
    return text === null ? null : readValue(text, parseOfxMoment, refuse)
  }
  const [start, end] = [momentAt('DTSTART'), momentAt('DTEND')]
  const days = [...new Set(entries.map(({ bookingDay }) => bookingDay))].sort()
  if (start === null || end === null) {
    const [first, last] = [days[0], days.at(-1)]
    if (first === undefined || last === undefined) {
      throw refuse('the list covers no day: it has no DTSTART and DTEND, and no entry')
    }
    return { fromDay: first, toDay: last }
  }
  if (end.day < start.day) {
    throw refuse(`the list ends on ${end.day}, before it begins on ${start.day}`)
  }
  const hasEntry = (day: Day): boolean => days.includes(day)
  let { day: fromDay } = start
  let { day: toDay } = end
  if (start.time > '1200' && fromDay < toDay && !hasEntry(fromDay)) fromDay = addDays(fromDay, 1)
  if (end.time !== '' && end.time < '1200' && fromDay < toDay && !hasEntry(toDay)) {
    toDay = addDays(toDay, -1)
  }
  const lastTold = [created, days.at(-1)]
    .filter((day) => day != null)
    .sort()
    .at(-1)
  if (created !== null && lastTold !== undefined && fromDay <= lastTold && lastTold < toDay) {
    toDay = lastTold
  }
  return { fromDay, toDay }
}
