import type { BankEntry, BankStatement } from '../domain/bank-statement.ts'
import { addDays, type Day, daysBetween, maxDay, minDay, parseDay } from '../domain/day.ts'
import { absolute, type Currency, formatAmount, sumOf } from '../domain/money.ts'
import { textEncoding } from './encoding.ts'
import { germanIban, isIban } from './iban.ts'
import { readDetails } from './mt940-details.ts'
import {
  balanceMinor,
  type Mt940Line,
  readBalance,
  readStatementLine,
  type Refuse,
} from './mt940-entry.ts'
import { type Mt940Field, type Mt940Message, splitMessages } from './mt940-messages.ts'
import { encodingNotes, plainText } from './plain-text.ts'
import {
  type BankFileReader,
  type BankFileReading,
  MOVEMENT_MINOR_MAX,
  parseAccount,
  readValue,
  refusal,
  shown,
} from './reader.ts'
import { withoutCopies } from './statement-copies.ts'

/**
 * SWIFT MT940, customer statement message, as banks write it: with or without SWIFT envelopes, the
 * text of entries (`:86:`) in German sub-fields, Dutch tags or plain words. Each message is a
 * statement, or a page of one: pages (`:60M:`, `:62M:`) are put together where their balances meet.
 *
 * An entry without an entry date is taken on its value date, moved to the nearest day of the
 * statement, between whose balances it was booked.
 */
export const mt940: BankFileReader = {
  format: 'mt940',
  recognises: ({ text }) =>
    /^(?:\{.*)?:20:/m.test(text) && /^:(?:25P?|60[FM]|61):/m.test(text) && !isIntraday(text),
  read: readMt940,
}

/** An MT942 has floor limits (`:34F:`) where an MT940 has its opening balance. */
function isIntraday(text: string): boolean {
  return /^:34F:/m.test(text) && !/^:60[FM]:/m.test(text)
}

function readMt940(bytes: Uint8Array, fileName: string): BankFileReading {
  const encoding = textEncoding(bytes)
  const text = plainText(bytes, encoding, fileName, withoutFraming)
  const { messages, strayLines } = splitMessages(text, fileName)
  if (messages.length === 0) throw refusal(fileName, null, 'the file holds no statement (:20:)')
  const tally: Tally = { daysFromValue: 0, unknownFields: new Map(), notes: new Set() }
  const pages = messages.map((message) => readPage(message, { text, fileName, tally }))
  const { statements, notes: copies } = withoutCopies(
    joinPages(pages, tally).map((page) => finished(page, fileName)),
    fileName,
  )
  return {
    format: mt940.format,
    formatVersion: null,
    statements,
    notes: [
      ...encodingNotes(encoding, text, fileName),
      ...notesOf(tally, strayLines, fileName),
      ...copies,
    ],
  }
}

/** The characters that begin and end a message on a line to SWIFT, and the end mark of DOS. */
// oxlint-disable-next-line no-control-regex -- These are the characters that are looked for.
const FRAMING = /(?<=^|[\n}])[\u0001-\u0003]{1,4}|[\u0001-\u0003\u001a]{1,4}(?=$|[\n{])/g

function withoutFraming(text: string): string {
  return text.replace(FRAMING, '')
}

/** What a person should know of the file, gathered while it is read. */
interface Tally {
  daysFromValue: number
  readonly unknownFields: Map<string, number>
  /** Sentences without the file's name. */
  readonly notes: Set<string>
}

interface Source {
  readonly text: string
  readonly fileName: string
  readonly tally: Tally
}

interface PageBalance {
  readonly day: Day
  readonly amountMinor: bigint
  /** True for `60M` and `62M`: the balance between two pages. */
  readonly isInterim: boolean
}

interface Page {
  readonly line: number
  readonly account: string
  readonly currency: Currency
  readonly statementRef: string | null
  readonly number: string | null
  readonly opening: PageBalance
  readonly closing: PageBalance
  readonly entries: readonly PageEntry[]
}

interface PageEntry {
  readonly entry: BankEntry
  /** Null where the file has none: then the booking day follows from the statement's days. */
  readonly entryDay: Day | null
  readonly hasMinus: boolean
}

const OPENING = new Set(['60F', '60M'])
const CLOSING = new Set(['62F', '62M'])
const KNOWN_FIELDS = new Set(['20', '21', '25', '25P', '28', '28C', '61', '86', '64', '65'])

function readPage({ line, fields }: Mt940Message, source: Source): Page {
  const { fileName, tally } = source
  const refuseAt =
    (field: Mt940Field): Refuse =>
    (found) =>
      refusal(fileName, `line ${field.line}, :${field.tag}:`, found)
  const fieldOf = (...tags: readonly string[]): Mt940Field | null =>
    fields.find(({ tag }) => tags.includes(tag)) ?? null
  const accountField = fieldOf('25', '25P')
  const openingField = fieldOf(...OPENING)
  const closingField = fieldOf(...CLOSING)
  if (accountField === null || openingField === null || closingField === null) {
    throw refusal(fileName, `line ${line}`, 'the statement names no account (:25:)')
  }
  const refuseOpening = refuseAt(openingField)
  const refuseClosing = refuseAt(closingField)
  const opening = readBalance(valueOf(openingField), refuseOpening, { currencyRequired: true })
  const closing = readBalance(valueOf(closingField), refuseClosing, { currencyRequired: false })
  const { currency } = opening
  if (currency === null) throw refuseOpening('the opening balance has no currency')
  if (closing.currency !== null && closing.currency !== currency) {
    throw refuseClosing(
      `the closing balance is in ${closing.currency}, the opening balance in ${currency}`,
    )
  }
  if (closing.day < opening.day) {
    throw refuseClosing(
      `the closing balance is of ${closing.day}, before the opening balance of ${opening.day}`,
    )
  }
  const account = readAccount(accountField, currency, refuseAt(accountField), tally)
  const entries = readEntries(fields, { account, currency, source, refuseAt })
  tally.daysFromValue += entries.filter(({ entryDay }) => entryDay === null).length
  for (const { tag } of fields) {
    if (KNOWN_FIELDS.has(tag) || OPENING.has(tag) || CLOSING.has(tag) || tag === 'NS') continue
    tally.unknownFields.set(tag, (tally.unknownFields.get(tag) ?? 0) + 1)
  }
  const number = fieldOf('28C', '28')
  const page = {
    line,
    account,
    currency,
    statementRef: valueOf(fields[0]) || null,
    number: number === null ? null : statementNumber(valueOf(number), refuseAt(number)),
    opening: {
      day: opening.day,
      amountMinor: balanceMinor(opening, currency, refuseOpening),
      isInterim: openingField.tag === '60M',
    },
    closing: {
      day: closing.day,
      amountMinor: balanceMinor(closing, currency, refuseClosing),
      isInterim: closingField.tag === '62M',
    },
    entries,
  }
  compareTotals(page, fields.slice(fields.indexOf(closingField)), tally)
  return page
}

function valueOf(field: Mt940Field | undefined): string {
  return field?.lines[0]?.trim() ?? ''
}

/**
 * An account as `:25:` has it: an IBAN, bank code and number (`37040044/0532013000`), a BIC and a
 * number, or a number alone; the account's currency may follow. German bank codes are turned into
 * the IBAN, so that the account is the same one in other files.
 */
function readAccount(field: Mt940Field, currency: Currency, refuse: Refuse, tally: Tally): string {
  const text = readValue(valueOf(field), parseAccount, refuse)
  if (isIban(text)) return text
  const number = text.endsWith(currency) ? text.slice(0, -currency.length).replace(/\/$/, '') : text
  const withoutBic = number.replace(/^[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?\/(?=.)/, '')
  if (isIban(withoutBic)) return withoutBic
  const [, bankCode, accountNumber] = /^([1-9]\d{7})\/(\d{1,10})$/.exec(number) ?? []
  if (bankCode !== undefined && accountNumber !== undefined) {
    const iban = germanIban(bankCode, accountNumber)
    tally.notes.add(`the account ${number} was taken as the IBAN ${iban} that its numbers give`)
    return iban
  }
  if (number === '') throw refuse(`${shown(text)} is not an account`)
  return number
}

/** `172/1` → `172`; null for 0, which counts nothing. */
function statementNumber(text: string, refuse: Refuse): string | null {
  const [, number] = /^(\d+)(?:\/\d+)?$/.exec(text.replace(/\s/g, '')) ?? []
  if (number === undefined) {
    throw refuse(`${shown(text)} is not a statement number: digits were expected, such as 172/1`)
  }
  return number.replace(/^0+/, '') || null
}

interface EntryContext {
  readonly account: string
  readonly currency: Currency
  readonly source: Source
  readonly refuseAt: (field: Mt940Field) => Refuse
}

/** Each `:61:` with the texts that follow it up to the next one. */
function readEntries(fields: readonly Mt940Field[], context: EntryContext): PageEntry[] {
  const entries: PageEntry[] = []
  let line: Mt940Field | null = null
  let texts: Mt940Field[] = []
  const finish = (): void => {
    if (line !== null) entries.push(readEntry(line, texts, context))
    line = null
    texts = []
  }
  let isInside = false
  for (const field of fields) {
    if (OPENING.has(field.tag)) isInside = true
    if (CLOSING.has(field.tag)) break
    if (!isInside) continue
    if (field.tag === '61') {
      finish()
      line = field
    } else if (field.tag === '86' || field.tag === 'NS') {
      if (line === null) {
        context.source.tally.notes.add(
          'text that follows an opening balance belongs to no entry and was left out',
        )
      } else {
        texts.push(field)
      }
    }
  }
  finish()
  return entries
}

function readEntry(
  field: Mt940Field,
  texts: readonly Mt940Field[],
  { account, currency, source, refuseAt }: EntryContext,
): PageEntry {
  const line = readStatementLine(field.lines, currency, refuseAt(field))
  const details = readDetails(texts.flatMap(textLines))
  const said = details.remittance.join(' ')
  const besides = [...line.details, line.customerReference ?? ''].filter(
    (text) => text !== details.counterpartyIban && !said.includes(text),
  )
  return {
    entryDay: line.entryDay,
    hasMinus: line.hasMinus,
    entry: {
      account,
      bookingDay: line.entryDay ?? line.valueDay,
      valueDay: line.valueDay,
      amountMinor: line.amountMinor,
      currency,
      counterpartyName: details.counterpartyName,
      counterpartyIban: details.counterpartyIban ?? ibanIn(line),
      endToEndId: details.endToEndId,
      remittance: [...details.remittance, ...besides],
      bankReference: line.bankReference,
      isReversal: line.isReversal || details.isCancellation,
      place: `line ${field.line}`,
      position: field.line,
      raw: source.text.slice(field.from, texts.at(-1)?.to ?? field.to),
    },
  }
}

/** Lines of a field that banks agree on among themselves (`:NS:`) begin with the number of what they hold. */
function textLines({ tag, lines }: Mt940Field): string[] {
  return tag === 'NS' ? lines.map((text) => text.replace(/^\d{2}/, '')) : lines
}

function ibanIn({ details }: Mt940Line): string | null {
  return details.find((text) => isIban(text)) ?? null
}

/** `D000004C000002D25,24C28,71` after the closing balance: how many debits and credits, and their sums. */
const TOTALS = /^D(\d{1,9})C(\d{1,9})D(\d{1,15}),(\d{2})C(\d{1,15}),(\d{2})$/

/** The balances prove a statement; totals that disagree with the entries are worth a look all the same. */
function compareTotals(page: Page, tail: readonly Mt940Field[], tally: Tally): void {
  const text =
    tail
      .find(({ tag }) => tag === '86')
      ?.lines.join('')
      .trim() ?? ''
  const totals = TOTALS.exec(text)
  if (totals === null) return
  const [, debits, credits, debitUnits, debitCents, creditUnits, creditCents] = totals
  const amounts = page.entries.map(({ entry }) => entry.amountMinor)
  const of = (isOne: (amountMinor: bigint) => boolean): string => {
    const found = amounts.filter(isOne)
    return `${found.length} of ${formatAmount(absolute(sumOf(found)), page.currency)}`
  }
  const found = `${of((amount) => amount < 0n)} and ${of((amount) => amount >= 0n)}`
  const expected = `${Number(debits)} of ${trimmed(debitUnits)}.${debitCents} and ${Number(credits)} of ${trimmed(creditUnits)}.${creditCents}`
  if (found === expected) return
  tally.notes.add(
    `the statement that begins on line ${page.line} says that it has debits and credits of ${expected}, and has ${found}`,
  )
}

function trimmed(digits: string | undefined): string {
  return (digits ?? '').replace(/^0+(?=\d)/, '')
}

/** Pages of one statement become one; a page whose neighbour is not there stays by itself. */
function joinPages(pages: readonly Page[], tally: Tally): Page[] {
  const groups: [Page, ...Page[]][] = []
  /** By account and currency, the pages that the next one may continue. */
  const open = new Map<string, [Page, ...Page[]]>()
  const missing = ([{ account, line }]: [Page, ...Page[]], which: 'before' | 'after'): void => {
    tally.notes.add(
      `the statement of ${account} that begins on line ${line} is one of several pages, and the page ${which} it is not in this file`,
    )
  }
  for (const page of pages) {
    const key = `${page.account} ${page.currency}`
    const before = open.get(key)
    open.delete(key)
    let group: [Page, ...Page[]] = [page]
    if (before !== undefined && continues(page, before.at(-1) ?? before[0])) {
      before.push(page)
      group = before
    } else {
      if (before !== undefined) missing(before, 'after')
      if (page.opening.isInterim) missing(group, 'before')
      groups.push(group)
    }
    if (page.closing.isInterim) open.set(key, group)
  }
  for (const group of open.values()) missing(group, 'after')
  return groups.map((group) => ({
    ...group[0],
    closing: (group.at(-1) ?? group[0]).closing,
    entries: group.flatMap(({ entries }) => entries),
  }))
}

function continues({ opening, closing }: Page, before: Page): boolean {
  return (
    opening.isInterim &&
    before.closing.amountMinor === opening.amountMinor &&
    before.closing.day <= closing.day
  )
}

function finished(page: Page, fileName: string): BankStatement {
  const { account, currency, opening, closing } = page
  const { fromDay, toDay } = coveredDays(page)
  const entries = page.entries.map(({ entry, entryDay }) =>
    entryDay === null
      ? { ...entry, bookingDay: minDay(maxDay(entry.bookingDay, fromDay), toDay) }
      : entry,
  )
  const movementMinor = sumOf(entries.map(({ amountMinor }) => amountMinor))
  if (absolute(movementMinor) > MOVEMENT_MINOR_MAX) {
    throw refusal(
      fileName,
      `line ${page.line}`,
      'the entries add up to more than any account holds',
    )
  }
  const minus = page.entries.find(({ hasMinus }) => hasMinus)
  if (minus !== undefined && opening.amountMinor + movementMinor !== closing.amountMinor) {
    throw refusal(
      fileName,
      `${minus.entry.place}, :61:`,
      'the amount has a minus sign, which no specification knows, and the balances of the statement do not show what it means: read as the contrary of its mark, the statement does not add up',
    )
  }
  return {
    account,
    currency,
    statementRef: page.statementRef,
    sequenceNumber: sequenceNumber(page),
    fromDay,
    toDay,
    openingMinor: opening.amountMinor,
    closingMinor: closing.amountMinor,
    entries,
  }
}

/**
 * The opening balance bears the day of the closing balance before it, or at some banks the first day
 * of the statement, as is seen where an entry is of that day. What is in doubt is not covered.
 */
function coveredDays({ opening, closing, entries }: Page): { fromDay: Day; toDay: Day } {
  const isFirstDay =
    opening.day === closing.day ||
    entries.some(({ entry, entryDay }) =>
      entryDay === null ? entry.valueDay === opening.day : entryDay <= opening.day,
    )
  return { fromDay: isFirstDay ? opening.day : addDays(opening.day, 1), toDay: closing.day }
}

/** Numbers count statements, unless they are ids of the bank or dates: `24078`, `240318`. */
function sequenceNumber({ number, closing: { day } }: Page): number | null {
  if (number === null || number.length >= 8) return null
  const year = day.slice(0, 4)
  const dayOfYear = String(daysBetween(parseDay(`${year}-01-01`), day) + 1).padStart(3, '0')
  const dates = [year.slice(2) + dayOfYear, year + dayOfYear, day.slice(2).replaceAll('-', '')]
  return dates.includes(number) ? null : Number(number)
}

function notesOf(tally: Tally, strayLines: number, fileName: string): string[] {
  const { daysFromValue, unknownFields, notes } = tally
  const several = (count: number, one: string, more: string): string =>
    `${count} ${count === 1 ? one : more}`
  return [
    ...notes,
    ...[...unknownFields].map(
      ([tag, count]) => `${several(count, 'field', 'fields')} :${tag}: left out`,
    ),
    ...(strayLines === 0
      ? []
      : [`${several(strayLines, 'line', 'lines')} around the statements left out`]),
    ...(daysFromValue === 0
      ? []
      : [
          `${several(daysFromValue, 'entry', 'entries')} without an entry date taken on the value date, or the day of the statement that is nearest to it`,
        ]),
  ].map((note) => `${fileName}: ${note}`)
}
