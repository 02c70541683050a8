import type { BankEntry, BankStatement } from '../domain/bank-statement.ts'
import { addDays, type Day } from '../domain/day.ts'
import { absolute, type Currency, parseCurrency, sumOf } from '../domain/money.ts'
import type { InputFault } from '../errors.ts'
import { parseSignedAmount } from './cfonb120-amount.ts'
import { type Complement, readComplement, readComplements } from './cfonb120-complements.ts'
import { decoded, textEncoding } from './encoding.ts'
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
import { frenchIban } from './iban.ts'
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

const WIDTH = 120

/** Where the fields end that a record must have; behind them, blanks may be dropped. */
const AMOUNT_END = 104
const ACCOUNT_END = 32

const NAMES_SHOWN_MAX = 5

export interface Cfonb120Options {
  /** Whether `é` and `è` may stand for the signed zeros `{` and `}`. */
  readonly accentedZeros?: boolean
}

/**
 * CFONB 120, "relevé de compte", of French banks: records of 120 characters, `01` old balance, `04`
 * movement, `05` complements of the movement above, `07` new balance. A file may hold many such
 * groups, of several accounts and days; each is a statement that proves itself.
 *
 * The format has no end mark for the file: what is cut off between two groups shows only in the
 * balances of the account's next statement.
 */
export function cfonb120Reader(options: Cfonb120Options = {}): BankFileReader {
  return {
    format: 'cfonb120',
    recognises: ({ text }) => /^01\d{5}[^,;\t]{33}/.test(firstRecord(text, WIDTH)),
    read: (bytes, fileName) => readCfonb120(bytes, fileName, options),
  }
}

export const cfonb120: BankFileReader = cfonb120Reader()

type Refuse = (found: string) => InputFault

/** A movement as far as its records went by. */
interface OpenMovement {
  readonly record: FixedRecord
  readonly refuse: Refuse
  readonly complements: Complement[]
  /** Where its last record ends in the text of the file. */
  end: number
}

/** A statement whose new balance has not come yet. */
interface OpenStatement {
  readonly record: FixedRecord
  readonly bank: string
  readonly branch: string
  readonly accountNumber: string
  readonly account: string
  readonly currency: Currency
  readonly openingDay: Day
  readonly openingMinor: bigint
  readonly entries: BankEntry[]
  /** Whether a movement bears the bank and branch of the old balance. */
  isConfirmed: boolean
}

function readCfonb120(
  bytes: Uint8Array,
  fileName: string,
  options: Cfonb120Options,
): BankFileReading {
  const encoding = textEncoding(bytes)
  const text = [...decoded(bytes, encoding, fileName)].join('')
  const reading = new Cfonb120Reading(text, fileName, options)
  for (const record of fixedRecords(text, WIDTH)) reading.take(record)
  return reading.result(encoding)
}

/** Collects statements while the records go by. */
class Cfonb120Reading {
  private readonly text: string
  private readonly fileName: string
  private readonly options: Cfonb120Options
  private readonly statements: BankStatement[] = []
  private statement: OpenStatement | null = null
  private movement: OpenMovement | null = null
  private entriesSeen = 0
  private otherBanks = 0
  private oldLayout = 0
  private readonly unknown = new Map<string, number>()

  constructor(text: string, fileName: string, options: Cfonb120Options) {
    this.text = text
    this.fileName = fileName
    this.options = options
  }

  take(record: FixedRecord): void {
    const refuse = recordRefusal(this.fileName, record)
    const code = record.text.slice(0, 2)
    const minLength = code === '05' ? ACCOUNT_END : AMOUNT_END
    checkRecord(record, { width: WIDTH, minLength }, refuse)
    switch (code) {
      case '01':
        return this.open(record, refuse)
      case '04':
        return this.begin(record, refuse)
      case '05':
        return this.complete(record, refuse)
      case '07':
        return this.close(record, refuse)
      default:
        throw refuse(
          `the record begins with ${shown(code)}: 01 (old balance), 04 (movement), 05 (complement) or 07 (new balance) was expected`,
        )
    }
  }

  private open(record: FixedRecord, refuse: Refuse): void {
    if (this.statement !== null) {
      throw refuse(
        `an old balance (01) follows before the new balance (07) of the statement that begins on ${this.statement.record.place}: records are missing`,
      )
    }
    const [bank, branch, accountNumber] = accountFields(record)
    const currency = readValue(field(record, 17, 19), parseCurrency, refuse)
    this.statement = {
      record,
      bank,
      branch,
      accountNumber,
      account: readValue(accountNumber, (number) => frenchIban(bank, branch, number), refuse),
      currency,
      openingDay: dayAt(record, 35, refuse),
      openingMinor: this.amountOf(record, currency, refuse),
      entries: [],
      isConfirmed: false,
    }
  }

  private begin(record: FixedRecord, refuse: Refuse): void {
    const statement = this.finishMovement()
    if (statement === null) {
      throw refuse('a movement (04) stands outside of a statement: its old balance (01) is missing')
    }
    this.checkAccount(statement, record, refuse)
    if (isOfBank(statement, record)) statement.isConfirmed = true
    else this.otherBanks += 1
    this.entriesSeen += 1
    if (this.entriesSeen > ENTRIES_PER_FILE_MAX) {
      throw refuse(`the file has more than ${ENTRIES_PER_FILE_MAX} entries`)
    }
    this.movement = { record, refuse, complements: [], end: record.end }
  }

  private complete(record: FixedRecord, refuse: Refuse): void {
    const { statement, movement } = this
    if (statement === null || movement === null) {
      throw refuse('a complement (05) stands without the movement (04) to which it belongs')
    }
    this.checkAccount(statement, record, refuse)
    const complement = readComplement(record)
    if (complement.qualifier === null) this.oldLayout += 1
    movement.complements.push(complement)
    movement.end = record.end
  }

  private close(record: FixedRecord, refuse: Refuse): void {
    const statement = this.finishMovement()
    if (statement === null) {
      throw refuse(
        'a new balance (07) stands outside of a statement: its old balance (01) is missing',
      )
    }
    this.checkAccount(statement, record, refuse)
    if (!isOfBank(statement, record)) {
      // Which account it is, is told by the bank and branch: a damaged digit must not make it another.
      if (!statement.isConfirmed) {
        throw refuse(
          `the new balance is of bank and branch ${shown(bankOf(record))}, the old balance on ${statement.record.place} of ${shown(bankOf(statement.record))}, and no movement says which is right`,
        )
      }
      this.otherBanks += 1
    }
    const { account, currency, openingDay, openingMinor, entries } = statement
    const closingDay = dayAt(record, 35, refuse)
    if (closingDay < openingDay) {
      throw refuse(
        `the new balance is of ${closingDay}, and the old balance on ${statement.record.place} of ${openingDay}, which is later`,
      )
    }
    if (absolute(sumOf(entries.map((entry) => entry.amountMinor))) > MOVEMENT_MINOR_MAX) {
      throw refuse('the movements add up to more than any account holds')
    }
    this.statements.push({
      account,
      currency,
      statementRef: null,
      sequenceNumber: null,
      fromDay: firstDay(openingDay, closingDay, entries),
      toDay: closingDay,
      openingMinor,
      closingMinor: this.amountOf(record, currency, refuse),
      entries,
    })
    this.statement = null
  }

  /** Turns the movement that went by, if there is one, into an entry of the open statement. */
  private finishMovement(): OpenStatement | null {
    const { statement, movement } = this
    this.movement = null
    if (statement === null || movement === null) return statement
    const { record, refuse, complements } = movement
    const amountMinor = this.amountOf(record, statement.currency, refuse)
    const isReversal = isReversed(record)
    const { unknown, ...said } = readComplements(field(record, 49, 79), complements, {
      isCredit: amountMinor >= 0n,
      isReversal,
    })
    for (const qualifier of unknown) {
      this.unknown.set(qualifier, (this.unknown.get(qualifier) ?? 0) + 1)
    }
    const reference = filled(field(record, 105, 120))
    statement.entries.push({
      account: statement.account,
      bookingDay: dayAt(record, 35, refuse),
      valueDay: filled(field(record, 43, 48)) === null ? null : dayAt(record, 43, refuse),
      amountMinor,
      currency: statement.currency,
      ...said,
      bankReference: givenId(reference),
      isReversal,
      place: record.place,
      position: record.number,
      raw: this.text.slice(record.start, movement.end),
    })
    return statement
  }

  /**
   * The records of a statement are of one account and currency. The bank's and branch's codes may
   * differ in them, as after a merger of banks.
   */
  private checkAccount(statement: OpenStatement, record: FixedRecord, refuse: Refuse): void {
    const [, , accountNumber] = accountFields(record)
    if (accountNumber !== statement.accountNumber) {
      throw refuse(
        `the record is of account ${shown(accountNumber)}, and the statement that begins on ${statement.record.place} of ${shown(statement.accountNumber)}: records are missing or mixed up`,
      )
    }
    const currency = field(record, 17, 19)
    if (currency.trim() !== '' && currency !== statement.currency) {
      throw refuse(
        `the record is in ${shown(currency)}, and the statement that begins on ${statement.record.place} in ${statement.currency}`,
      )
    }
  }

  private amountOf(record: FixedRecord, currency: Currency, refuse: Refuse): bigint {
    const decimals = field(record, 20, 20)
    if (!/^\d$/.test(decimals)) {
      throw refuse(`the number of decimals is ${shown(decimals)}: a digit was expected`)
    }
    return readValue(
      field(record, 91, AMOUNT_END),
      (text) => parseSignedAmount(text, Number(decimals), currency, this.options),
      refuse,
    )
  }

  result(encoding: string): BankFileReading {
    const { fileName, statement, otherBanks, oldLayout } = this
    if (statement !== null) {
      throw refusal(
        fileName,
        statement.record.place,
        'the statement that begins here has no new balance (07): the file is cut off',
      )
    }
    if (this.statements.length === 0) throw refusal(fileName, null, 'the file holds no statement')
    const notes = encodingNotes(encoding, this.text, fileName)
    if (this.unknown.size > 0) {
      const count = [...this.unknown.values()].reduce((sum, of) => sum + of, 0)
      const names = [...this.unknown.keys()].slice(0, NAMES_SHOWN_MAX).map(shown).join(', ')
      const more = this.unknown.size > NAMES_SHOWN_MAX ? ', …' : ''
      notes.push(
        `${fileName}: ${counted(count)} with unknown qualifiers kept as text: ${names}${more}`,
      )
    }
    if (oldLayout > 0) {
      notes.push(`${fileName}: ${counted(oldLayout)} without qualifier kept as text`)
    }
    if (otherBanks > 0) {
      notes.push(
        `${fileName}: ${otherBanks === 1 ? '1 record bears' : `${otherBanks} records bear`} another bank or branch than the old balance of the statement; the account is that of the old balance`,
      )
    }
    const { statements, notes: copies } = withoutCopies(this.statements, fileName)
    return {
      format: cfonb120.format,
      formatVersion: null,
      statements,
      notes: [...notes, ...copies],
    }
  }
}

function counted(complements: number): string {
  return `${complements} ${complements === 1 ? 'complement' : 'complements'} (05)`
}

/** Bank, branch and number of the account. */
function accountFields(record: FixedRecord): [bank: string, branch: string, account: string] {
  return [field(record, 3, 7), field(record, 12, 16), field(record, 22, 32)]
}

function bankOf(record: FixedRecord): string {
  const [bank, branch] = accountFields(record)
  return `${bank} ${branch}`
}

function isOfBank({ bank, branch }: OpenStatement, record: FixedRecord): boolean {
  return bankOf(record) === `${bank} ${branch}`
}

function dayAt(record: FixedRecord, position: number, refuse: Refuse): Day {
  const parse = (text: string): Day => parseShortDay(text, 'DDMMYY')
  return readValue(field(record, position, position + 5), parse, refuse)
}

/** A reason of rejection, or the operation codes of rejected transfers (12) and of cancellations (99). */
function isReversed(record: FixedRecord): boolean {
  return filled(field(record, 41, 42)) !== null || ['12', '99'].includes(field(record, 33, 34))
}

/**
 * The old balance is that of the evening of its day, so the statement begins with the next one;
 * unless an entry of that day is in it, or both balances are of one day.
 */
function firstDay(openingDay: Day, closingDay: Day, entries: readonly BankEntry[]): Day {
  const isIn = entries.some(({ bookingDay }) => bookingDay <= openingDay)
  return openingDay === closingDay || isIn ? openingDay : addDays(openingDay, 1)
}
