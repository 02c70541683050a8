import type { BankEntry, BankStatement } from '../domain/bank-statement.ts'
import type { Day } from '../domain/day.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import { absolute, type Currency, formatAmount, parseAmount, sumOf } from '../domain/money.ts'
import type { InputFault } from '../errors.ts'
import { parseCurrencyNumber } from './currency-numbers.ts'
import {
  checkRecord,
  field,
  filled,
  firstRecord,
  type FixedRecord,
  fixedRecords,
  parseShortDay,
  recordRefusal,
} from './fixed-width.ts'
import { spanishIban } from './iban.ts'
import { type Concept, conceptsAsText, conceptsByAnnex4, fitsAnnex4 } from './norma43-concepts.ts'
import { CODE_PAGE_850, decodeNorma43 } from './norma43-encoding.ts'
import { encodingNotes } from './plain-text.ts'
import {
  type BankFileReader,
  type BankFileReading,
  ENTRIES_PER_FILE_MAX,
  givenId,
  MOVEMENT_MINOR_MAX,
  readValue,
  refusal,
  shown,
} from './reader.ts'
import { withoutCopies } from './statement-copies.ts'

const WIDTH = 80

export interface Norma43Options {
  /**
   * Whether the bank writes names and references as annex 4 of the norm says. `detect`: only if the
   * records of every movement are of its form.
   */
  readonly annex4?: 'detect' | 'always' | 'never'
}

/**
 * Norma 43 (AEB cuaderno 43) of Spanish banks: records of 80 characters, `11` account, `22`
 * movement, `23` its texts, `24` its original amount, `33` end of account with totals, `88` end of
 * file with the number of records. Each account is a statement; all totals are verified, so a file
 * in which a record is missing is refused.
 */
export function norma43Reader(options: Norma43Options = {}): BankFileReader {
  return {
    format: 'norma43',
    recognises: ({ text }) =>
      /^(?:11\d{18}[\d ]{10}|00\d{18})/.test(firstRecord(text, WIDTH)) &&
      !/[,;\t]/.test(firstRecord(text, WIDTH).slice(0, 50)),
    read: (bytes, fileName) => readNorma43(bytes, fileName, options),
  }
}

export const norma43: BankFileReader = norma43Reader()

type Refuse = (found: string) => InputFault

/** A movement with what belongs to it. */
interface Movement {
  readonly record: FixedRecord
  readonly refuse: Refuse
  readonly isDebit: boolean
  readonly unsignedMinor: bigint
  readonly concepts: Concept[]
  /** As text, for people: `USD 1234.56`. */
  originalAmount: string | null
  /** Where its last record ends in the text of the file. */
  end: number
}

/** An account whose end record has not come yet. */
interface OpenAccount {
  readonly record: FixedRecord
  readonly account: string
  readonly currency: Currency
  readonly fromDay: Day
  readonly toDay: Day
  readonly openingMinor: bigint
  readonly movements: Movement[]
}

interface ClosedAccount extends OpenAccount {
  readonly closingMinor: bigint
}

function readNorma43(
  bytes: Uint8Array,
  fileName: string,
  { annex4 = 'detect' }: Norma43Options,
): BankFileReading {
  const { text, encoding } = decodeNorma43(bytes, fileName)
  const reading = new Norma43Reading(fileName)
  for (const record of fixedRecords(text, WIDTH)) reading.take(record)
  const { accounts, notes } = reading.result()
  notes.push(...encodingNotes(encoding, text, fileName))
  if (encoding === CODE_PAGE_850) {
    notes.push(`${fileName} is not UTF-8: its letters were read as ${CODE_PAGE_850}`)
  }
  const byAnnex4 =
    annex4 === 'always' ||
    (annex4 === 'detect' &&
      fitsAnnex4(accounts.flatMap(({ movements }) => movements.map(({ concepts }) => concepts))))
  if (byAnnex4) {
    notes.push(
      `${fileName}: names and references were taken from the texts (23) as annex 4 of the norm places them`,
    )
  }
  const toStatement = (account: ClosedAccount): BankStatement => {
    const { openingMinor, closingMinor } = account
    const entries = account.movements.map((movement) => toEntry(movement, account, text, byAnnex4))
    const movementMinor = sumOf(entries.map((entry) => entry.amountMinor))
    const isBlank = openingMinor === 0n && closingMinor === 0n && movementMinor !== 0n
    if (isBlank) {
      notes.push(
        `${fileName}: the balances of ${account.account} are zero, which its movements are not: the bank leaves them out`,
      )
    }
    return {
      account: account.account,
      currency: account.currency,
      statementRef: null,
      sequenceNumber: null,
      fromDay: account.fromDay,
      toDay: account.toDay,
      openingMinor: isBlank ? null : openingMinor,
      closingMinor: isBlank ? null : closingMinor,
      entries,
    }
  }
  const { statements, notes: copies } = withoutCopies(accounts.map(toStatement), fileName)
  return { format: norma43.format, formatVersion: null, statements, notes: [...notes, ...copies] }
}

/** Collects accounts while the records go by, and verifies what the file says of itself. */
class Norma43Reading {
  private readonly fileName: string
  private readonly accounts: ClosedAccount[] = []
  private readonly notes: string[] = []
  private account: OpenAccount | null = null
  private movement: Movement | null = null
  private entriesSeen = 0
  /** Records since the beginning of the file, or since the last end of file in it. */
  private records = 0
  private latest: FixedRecord | null = null

  constructor(fileName: string) {
    this.fileName = fileName
  }

  take(record: FixedRecord): void {
    const refuse = recordRefusal(this.fileName, record)
    const code = record.text.slice(0, 2)
    checkRecord(record, { width: WIDTH, minLength: MIN_LENGTHS[code] ?? 2 }, refuse)
    this.latest = record
    if (code === '88') return this.endFile(record, refuse)
    this.records += 1
    switch (code) {
      case '00':
        if (this.records > 1) throw refuse('a file header (00) stands inside of the file')
        return
      case '11':
        return this.open(record, refuse)
      case '22':
        return this.begin(record, refuse)
      case '23':
      case '24':
        return this.complete(record, refuse)
      case '33':
        return this.close(record, refuse)
      default:
        throw refuse(
          `the record begins with ${shown(code)}: 11 (account), 22 (movement), 23 or 24 (its complements), 33 (end of account) or 88 (end of file) was expected`,
        )
    }
  }

  private open(record: FixedRecord, refuse: Refuse): void {
    if (this.account !== null) {
      throw refuse(
        `an account (11) begins before the end record (33) of the one on ${this.account.record.place}: records are missing`,
      )
    }
    const [bank, branch, number] = accountFields(record)
    const currency = readValue(field(record, 48, 50), parseCurrencyNumber, refuse)
    const fromDay = dayAt(record, 21, refuse)
    const toDay = dayAt(record, 27, refuse)
    if (toDay < fromDay) throw refuse(`the account's days end on ${toDay}, before ${fromDay}`)
    this.account = {
      record,
      account: readValue(number, (text) => spanishIban(bank, branch, text), refuse),
      currency,
      fromDay,
      toDay,
      openingMinor: this.balanceAt(record, 33, currency, refuse),
      movements: [],
    }
  }

  private begin(record: FixedRecord, refuse: Refuse): void {
    if (this.account === null) {
      throw refuse('a movement (22) stands outside of an account: its record 11 is missing')
    }
    this.entriesSeen += 1
    if (this.entriesSeen > ENTRIES_PER_FILE_MAX) {
      throw refuse(`the file has more than ${ENTRIES_PER_FILE_MAX} entries`)
    }
    const sign = field(record, 28, 28)
    if (sign !== '1' && sign !== '2') {
      throw refuse(`the direction is ${shown(sign)}: 1 (debit) or 2 (credit) was expected`)
    }
    this.movement = {
      record,
      refuse,
      isDebit: sign === '1',
      unsignedMinor: amountAt(record, 29, this.account.currency, refuse),
      concepts: [],
      originalAmount: null,
      end: record.end,
    }
    this.account.movements.push(this.movement)
  }

  private complete(record: FixedRecord, refuse: Refuse): void {
    const { movement } = this
    if (movement === null) {
      throw refuse(
        `a complement (${record.text.slice(0, 2)}) stands without the movement (22) to which it belongs`,
      )
    }
    if (record.text.startsWith('23')) {
      movement.concepts.push({ code: field(record, 3, 4), text: record.text })
    } else {
      movement.originalAmount = originalAmountText(record)
    }
    movement.end = record.end
  }

  private close(record: FixedRecord, refuse: Refuse): void {
    const { account } = this
    if (account === null) {
      throw refuse('an end of account (33) stands outside of an account: its record 11 is missing')
    }
    const [own, its] = [account.record, record].map((of) => accountFields(of).join(' '))
    if (own !== its) {
      throw refuse(
        `the end record is of account ${shown(its ?? '')}, and the one on ${account.record.place} of ${shown(own ?? '')}: records are missing`,
      )
    }
    const currency = field(record, 74, 76)
    if (
      currency.trim() !== '' &&
      readValue(currency, parseCurrencyNumber, refuse) !== account.currency
    ) {
      throw refuse(
        `the end record is in ${shown(currency)}, and the account in ${account.currency}`,
      )
    }
    checkTotals(account, record, refuse)
    if (absolute(sumOf(account.movements.map(signed))) > MOVEMENT_MINOR_MAX) {
      throw refuse('the movements add up to more than any account holds')
    }
    const closingMinor = this.balanceAt(record, 59, account.currency, refuse)
    this.accounts.push({ ...account, closingMinor })
    this.account = null
    this.movement = null
  }

  private endFile(record: FixedRecord, refuse: Refuse): void {
    if (this.account !== null) {
      throw refuse(
        `the file ends before the end record (33) of the account on ${this.account.record.place}: records are missing`,
      )
    }
    const said = countAt(record, 21, 26, refuse)
    // Some banks count this record too, some leave the header out.
    if (Math.abs(said - this.records) > 1) {
      throw refuse(
        `the end of file (88) counts ${said} records, and there are ${this.records} before it: the file is incomplete or damaged`,
      )
    }
    this.records = 0
  }

  /** Direction and 14 digits. Some banks leave out the direction of a balance that is not negative. */
  private balanceAt(
    record: FixedRecord,
    position: number,
    currency: Currency,
    refuse: Refuse,
  ): bigint {
    const sign = field(record, position, position)
    const unsignedMinor = amountAt(record, position + 1, currency, refuse)
    if (sign === '1') return -unsignedMinor
    if (sign === '2') return unsignedMinor
    if (sign !== '0' && sign !== ' ') {
      throw refuse(
        `the direction of the balance is ${shown(sign)}: 1 (debit) or 2 (credit) was expected`,
      )
    }
    if (unsignedMinor !== 0n) {
      this.notes.push(
        `${this.fileName}, ${record.place}: the balance has no direction, and was taken as a credit`,
      )
    }
    return unsignedMinor
  }

  result(): { accounts: readonly ClosedAccount[]; notes: string[] } {
    if (this.latest === null || this.latest.text.slice(0, 2) !== '88') {
      const place = this.latest?.place ?? null
      throw refusal(this.fileName, place, 'the end of the file (88) is missing: it is cut off')
    }
    if (this.accounts.length === 0) {
      throw refusal(this.fileName, null, 'the file holds no account (11)')
    }
    return { accounts: this.accounts, notes: this.notes }
  }
}

/** Where the fields end that a record must have; behind them, blanks may be dropped. */
const MIN_LENGTHS: Readonly<Record<string, number>> = {
  '11': 50,
  '22': 42,
  '23': 4,
  '33': 73,
  '88': 26,
}

/** Bank, branch and number of the account. */
function accountFields(record: FixedRecord): [bank: string, branch: string, number: string] {
  return [field(record, 3, 6), field(record, 7, 10), field(record, 11, 20)]
}

function dayAt(record: FixedRecord, position: number, refuse: Refuse): Day {
  const parse = (text: string): Day => parseShortDay(text, 'YYMMDD')
  return readValue(field(record, position, position + 5), parse, refuse)
}

function amountAt(
  record: FixedRecord,
  position: number,
  currency: Currency,
  refuse: Refuse,
): bigint {
  const parse = (text: string): bigint => parseImpliedDecimals(text, currency)
  return readValue(field(record, position, position + 13), parse, refuse)
}

/**
 * Fourteen digits of which two are decimals, whatever the currency.
 * @throws InvalidValue for anything else, and for decimals that the currency does not have.
 */
function parseImpliedDecimals(text: string, currency: Currency): bigint {
  if (!/^\d{14}$/.test(text)) {
    throw new InvalidValue(`${shown(text)} is not an amount: fourteen digits were expected`)
  }
  return parseAmount(`${text.slice(0, 12)}.${text.slice(12)}`, currency)
}

function countAt(record: FixedRecord, from: number, to: number, refuse: Refuse): number {
  const text = field(record, from, to)
  if (!/^\d+$/.test(text)) throw refuse(`the number ${shown(text)} is not made of digits`)
  return Number(text)
}

function signed({ isDebit, unsignedMinor }: Movement): bigint {
  return isDebit ? -unsignedMinor : unsignedMinor
}

/** Numbers and sums of debits and credits in the end record of the account; movements of 0 count. */
function checkTotals(account: OpenAccount, record: FixedRecord, refuse: Refuse): void {
  const { currency, movements } = account
  for (const { isDebit, name, count, sum } of [
    { isDebit: true, name: 'debits', count: 21, sum: 26 },
    { isDebit: false, name: 'credits', count: 40, sum: 45 },
  ] as const) {
    const found = movements.filter((movement) => movement.isDebit === isDebit)
    const foundMinor = sumOf(found.map(({ unsignedMinor }) => unsignedMinor))
    const saidCount = countAt(record, count, count + 4, refuse)
    const saidMinor = amountAt(record, sum, currency, refuse)
    if (saidCount === found.length && saidMinor === foundMinor) continue
    const money = (amountMinor: bigint): string => formatAmount(amountMinor, currency)
    throw refuse(
      `the end of the account on ${account.record.place} counts ${saidCount} ${name} of ${money(saidMinor)}, and the file holds ${found.length} of ${money(foundMinor)}: it is incomplete or damaged`,
    )
  }
}

/**
 * The amount in the currency of origin (record `24`), which has no accounting value; as it stands
 * there where it cannot be read.
 */
function originalAmountText(record: FixedRecord): string {
  try {
    const currency = parseCurrencyNumber(field(record, 5, 7))
    const amountMinor = parseImpliedDecimals(field(record, 8, 21), currency)
    return `${currency} ${formatAmount(amountMinor, currency)}`
  } catch (error) {
    if (error instanceof InvalidValue) return field(record, 5, WIDTH).trim()
    throw error
  }
}

/** Common concepts of returned (14) and corrected (98) items. */
const REVERSALS = ['14', '98']

function toEntry(
  movement: Movement,
  { account, currency }: OpenAccount,
  text: string,
  byAnnex4: boolean,
): BankEntry {
  const { record, refuse, concepts, originalAmount } = movement
  const said = byAnnex4 ? conceptsByAnnex4(concepts) : conceptsAsText(concepts)
  const [bankReference = null, ...furtherReferences] = [
    field(record, 65, 80),
    field(record, 53, 64),
    field(record, 43, 52),
  ].flatMap((reference) => givenId(filled(reference)) ?? [])
  return {
    account,
    bookingDay: dayAt(record, 11, refuse),
    valueDay: filled(field(record, 17, 22)) === null ? null : dayAt(record, 17, refuse),
    amountMinor: signed(movement),
    currency,
    counterpartyName: said.counterpartyName,
    counterpartyIban: null,
    endToEndId: said.endToEndId,
    remittance: [
      ...said.remittance,
      ...furtherReferences,
      ...(originalAmount === null ? [] : [originalAmount]),
    ],
    bankReference,
    isReversal: REVERSALS.includes(field(record, 23, 24)),
    place: record.place,
    position: record.number,
    raw: text.slice(record.start, movement.end),
  }
}
