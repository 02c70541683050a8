import type { BankEntry } from '../domain/bank-statement.ts'
import { type Day, parseDay } from '../domain/day.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import { type Currency, parseAmount, parseCurrency } from '../domain/money.ts'
import type { InputFault } from '../errors.ts'
import { givenId, parseAccount, readValue, shown } from './reader.ts'
import { elementAt, elementsAt, textAt, textOf, type XmlElement } from './xml.ts'

/** Makes the refusal of the file from what is wrong at a place that the caller knows. */
export type Refuse = (found: string) => InputFault

/**
 * What an entry (`Ntry`) says by itself. Its details (`TxDtls`) are parts of it: their texts and
 * names are gathered here, their amounts never count.
 */
export interface CamtEntry {
  readonly stated: Omit<
    BankEntry,
    'account' | 'counterpartyName' | 'counterpartyIban' | 'place' | 'position' | 'raw'
  >
  readonly bookingDayIsValueDay: boolean
  /** The parties of the details, from which the one that is not the account's own side is taken. */
  readonly debtors: Parties
  readonly creditors: Parties
}

/** An entry with its place in the file. */
export interface PlacedCamtEntry extends Pick<BankEntry, 'place' | 'position' | 'raw'> {
  readonly entry: CamtEntry
}

export interface Parties {
  readonly names: readonly string[]
  readonly ibans: readonly string[]
}

/** @throws InputFault for a value that cannot be read. */
export function readEntry(entry: XmlElement, refuse: Refuse): CamtEntry {
  const details = elementsAt(entry, 'NtryDtls', 'TxDtls')
  const { amountMinor, currency } = signedAmount(entry, refuse)
  const valueDay = dayAt(entry, 'ValDt', refuse)
  const bookingDay = dayAt(entry, 'BookgDt', refuse)
  const day = bookingDay ?? valueDay
  if (day === null) {
    throw refuse('the entry has neither a booking date (BookgDt) nor a value date (ValDt)')
  }
  const endToEndIds = distinct(
    details.map((detail) => givenId(textAt(detail, 'Refs', 'EndToEndId'))),
  )
  return {
    stated: {
      bookingDay: day,
      valueDay,
      amountMinor,
      currency,
      endToEndId: endToEndIds.length === 1 ? (endToEndIds[0] ?? null) : null,
      remittance: remittanceOf(entry, details, endToEndIds),
      bankReference: bankReferenceOf(entry, details),
      isReversal: isTrue(entry, 'RvslInd', refuse),
    },
    bookingDayIsValueDay: bookingDay === null,
    debtors: partiesOf(details, 'Dbtr'),
    creditors: partiesOf(details, 'Cdtr'),
  }
}

/**
 * `BOOK`, or the status of an entry that does not count: `PDNG`, `INFO`, `FUTR`. It is a bare code
 * up to version 05 and `Sts/Cd` later; without it, as in files off the schema, the entry counts.
 */
export function readStatus(entry: XmlElement, refuse: Refuse): string {
  const element = elementAt(entry, 'Sts')
  if (element === null) return 'BOOK'
  const code = textAt(element, 'Cd') ?? textOf(element) ?? textAt(element, 'Prtry')
  if (code !== null && ['BOOK', 'PDNG', 'INFO', 'FUTR'].includes(code)) return code
  throw refuse(
    `the status (Sts) ${shown(code ?? '')} is not known: BOOK, PDNG, INFO or FUTR was expected`,
  )
}

/**
 * `Amt` and `CdtDbtInd` of an entry or a balance: a credit is positive. The reversal of a credit
 * is itself marked as a debit, so the reversal flag does not turn the sign.
 */
export function signedAmount(
  element: XmlElement,
  refuse: Refuse,
  { signRequired = true }: { signRequired?: boolean } = {},
): { amountMinor: bigint; currency: Currency } {
  const amount = elementAt(element, 'Amt')
  if (amount === null) throw refuse(`the amount (Amt) is missing`)
  const currency = readValue(amount.attributes['Ccy'] ?? '', parseCurrency, refuse)
  const unsignedMinor = readValue(amount.text.trim(), (text) => parseAmount(text, currency), refuse)
  if (unsignedMinor < 0n || /^\s*[+-]/.test(amount.text)) {
    throw refuse(
      `the amount ${shown(amount.text.trim())} has a sign, where CdtDbtInd alone says the direction`,
    )
  }
  const direction = textAt(element, 'CdtDbtInd')
  if (direction === 'DBIT') return { amountMinor: -unsignedMinor, currency }
  if (direction === 'CRDT' || (direction === null && !signRequired)) {
    return { amountMinor: unsignedMinor, currency }
  }
  throw refuse(`the direction (CdtDbtInd) is ${shown(direction ?? '')}: CRDT or DBIT was expected`)
}

/** The date part as written of `Dt` or `DtTm` (or of bare text, off the schema) below `name`; null if there is none. */
export function dayAt(element: XmlElement, name: string, refuse: Refuse): Day | null {
  const date = elementAt(element, name)
  if (date === null) return null
  const text = textAt(date, 'Dt') ?? textAt(date, 'DtTm') ?? textOf(date)
  if (text === null) return null
  return readValue(text, parseDateTime, refuse).day
}

/** An ISO date or date-time as a day and the time of day as written, `hh:mm…` or empty. */
export function parseDateTime(text: string): { day: Day; time: string } {
  const [, day, time = ''] =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?(?:Z|[+-]\d{2}:?\d{2})?$/.exec(
      text,
    ) ?? []
  if (day === undefined) {
    throw new InvalidValue(
      `${shown(text)} is not a date: YYYY-MM-DD, maybe with a time, was expected`,
    )
  }
  return { day: parseDay(day), time }
}

function isTrue(entry: XmlElement, name: string, refuse: Refuse): boolean {
  const text = textAt(entry, name)
  if (text === 'true' || text === '1') return true
  if (text === null || text === 'false' || text === '0') return false
  throw refuse(`${name} is ${shown(text)}: true or false was expected`)
}

/**
 * All text in which a payer may have put a reference: of the details, then of the entry. Where the
 * details have different end-to-end ids, none of them is the entry's, so they are text too.
 */
function remittanceOf(
  entry: XmlElement,
  details: readonly XmlElement[],
  endToEndIds: readonly string[],
): string[] {
  const ofDetails = details.flatMap((detail) => [
    ...textsAt(detail, 'RmtInf', 'Ustrd'),
    ...textsAt(detail, 'RmtInf', 'Strd', 'CdtrRefInf', 'Ref'),
    ...textsAt(detail, 'RmtInf', 'Strd', 'RfrdDocInf', 'Nb'),
    ...textsAt(detail, 'RmtInf', 'Strd', 'AddtlRmtInf'),
  ])
  const severalIds = endToEndIds.length > 1 ? endToEndIds : []
  // Banks repeat the payer's text in their own line of text: said once is enough.
  const said = new Set(ofDetails)
  const ofBank = distinct([
    ...details.flatMap((detail) => textsAt(detail, 'AddtlTxInf')),
    ...textsAt(entry, 'AddtlNtryInf'),
  ]).filter((text) => !said.has(text))
  return [...ofDetails, ...severalIds, ...ofBank]
}

function bankReferenceOf(entry: XmlElement, details: readonly XmlElement[]): string | null {
  const own = givenId(textAt(entry, 'AcctSvcrRef'))
  const [only] = details
  if (own !== null || only === undefined || details.length > 1) return own
  return givenId(textAt(only, 'Refs', 'AcctSvcrRef'))
}

/** The ultimate party stands in where the bank names only that. */
function partiesOf(details: readonly XmlElement[], role: 'Dbtr' | 'Cdtr'): Parties {
  return {
    names: distinct(
      details.map((detail) => partyName(detail, role) ?? partyName(detail, `Ultmt${role}`)),
    ),
    ibans: distinct(
      details.map((detail) => {
        const iban = textAt(detail, 'RltdPties', `${role}Acct`, 'Id', 'IBAN')
        return iban === null ? null : ibanOrNull(iban)
      }),
    ),
  }
}

/** A party is `Dbtr/Pty/Nm` from version 08 on and `Dbtr/Nm` before. */
function partyName(detail: XmlElement, party: string): string | null {
  return textAt(detail, 'RltdPties', party, 'Pty', 'Nm') ?? textAt(detail, 'RltdPties', party, 'Nm')
}

/** The other side's account is a help, never needed: one that is not an account is left out, the raw entry keeps it. */
function ibanOrNull(text: string): string | null {
  try {
    return parseAccount(text)
  } catch (error) {
    if (error instanceof InvalidValue) return null
    throw error
  }
}

function textsAt(element: XmlElement, ...path: readonly string[]): string[] {
  return elementsAt(element, ...path)
    .map(textOf)
    .filter((text) => text !== null)
}

function distinct(values: readonly (string | null)[]): string[] {
  return [...new Set(values.filter((value) => value !== null))]
}
