import type { BankEntry, BankStatement } from '../domain/bank-statement.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import { InputFault } from '../errors.ts'

/** What a bank file says, as a whole. */
export interface BankFileReading {
  /** `camt.053` or `canonical-csv`. */
  readonly format: string
  /** Of camt the message version, such as `08`; null where the format has none or the file hides it. */
  readonly formatVersion: string | null
  /** In the order of the file. */
  readonly statements: readonly BankStatement[]
  /** What a person should know of how the file was read, as sentences: what was left out, what was assumed. */
  readonly notes: readonly string[]
  /**
   * True where each entry's `bankReference` is an id that its bank gives once and for good: then it
   * alone says which entry this is, whatever words another file has for it.
   */
  readonly hasUniqueReferences?: boolean
}

/** An entry as far as files are compared with each other. */
export type ComparedEntry = Pick<
  BankEntry,
  'account' | 'bookingDay' | 'amountMinor' | 'currency' | 'place' | 'position'
>

/** A statement of which something else is kept for each entry. */
export interface StatementOf<Kept> extends Omit<BankStatement, 'entries'> {
  readonly entries: readonly Kept[]
}

/** What is kept of an entry that has gone by: enough to tell whether it is new. */
export interface OutlinedEntry extends ComparedEntry {
  /** 1, 2, … in the order in which the entries of the file go by. */
  readonly number: number
  readonly fingerprint: string
}

/** What a bank file says, without the texts of its entries. */
export interface BankFileOutline extends Omit<
  BankFileReading,
  'statements' | 'hasUniqueReferences'
> {
  readonly statements: readonly StatementOf<OutlinedEntry>[]
}

/** An entry in full while it goes by, under the number of its outline. */
export interface FlowingEntry {
  readonly number: number
  /**
   * Tells statements apart as they go by: entries of one statement have one number, together with
   * their currency.
   */
  readonly statement: number
  readonly entry: BankEntry
  readonly fingerprint: string
}

/**
 * A bank file that goes by: its entries first, then what it says as a whole. So a file of any length
 * needs little memory, and whoever stores it reads it once.
 */
export interface BankFileFlow {
  /**
   * Some entries at a time. It is gone through once, and to its end.
   * @throws InputFault while it goes by, as for reading the file whole.
   */
  readonly entries: Iterable<readonly FlowingEntry[]>
  /** @throws InputFault for what is wrong with the file as a whole; Error before the last entry went by. */
  outline(): BankFileOutline
}

/** The beginning of a file, by which it is recognised. */
export interface FileHead {
  readonly bytes: Uint8Array
  /** The same as text, without byte order mark; characters that cannot be decoded are replaced. */
  readonly text: string
}

/** One format. Readers are pure: the same bytes give the same reading. */
export interface BankFileReader {
  readonly format: string
  recognises(head: FileHead): boolean
  /** @throws InputFault if anything the reader knows cannot be read: a file is taken whole or not at all. */
  read(bytes: Uint8Array, fileName: string): BankFileReading
}

/** More entries than any bank puts into one file; a file beyond it is refused, not cut. */
export const ENTRIES_PER_FILE_MAX = 500_000

/** The sum of a statement's entries must fit where amounts fit, whatever they add up to. */
export const MOVEMENT_MINOR_MAX = 10n ** 18n

const SHOWN_CHARACTERS_MAX = 60

const HINT =
  'Nothing of this file was taken. Ask the bank for the file again, or correct it at that place, and leave it in the inbox: it is read by the next run.'

/** The refusal of a file: `week12.xml, line 48, entry 3: …`. */
export function refusal(
  fileName: string,
  place: string | null,
  found: string,
  hint = HINT,
): InputFault {
  return new InputFault(`${place === null ? fileName : `${fileName}, ${place}`}: ${found}`, {
    hint,
  })
}

/** A value of the file for a message: in quotes, control characters visible, cut where it is long. */
export function shown(value: string): string {
  const cut =
    value.length > SHOWN_CHARACTERS_MAX ? `${value.slice(0, SHOWN_CHARACTERS_MAX)}…` : value
  return JSON.stringify(cut)
}

/**
 * Reads one value of the file with one of the domain's parsers.
 * @throws InputFault that adds the place and the field to what the parser found wrong.
 */
export function readValue<T>(
  text: string,
  parse: (text: string) => T,
  refuse: (found: string) => InputFault,
): T {
  if (text.length > SHOWN_CHARACTERS_MAX) throw refuse(`${shown(text)} is too long for a value`)
  try {
    return parse(text)
  } catch (error) {
    if (error instanceof InvalidValue) throw refuse(error.message)
    throw error
  }
}

/**
 * An IBAN or a bank's own account number: without blanks, in capitals.
 * @throws InvalidValue for what a spreadsheet makes of a long number, and for anything else that is none.
 */
export function parseAccount(text: string): string {
  const account = text.replace(/\s/g, '').toUpperCase()
  if (/^[A-Z0-9][A-Z0-9./_-]{0,63}$/.test(account)) return account
  throw new InvalidValue(
    `${shown(text)} is not an account: an IBAN or the bank's account number was expected`,
  )
}

/** What banks write where the payer gave no end-to-end id. */
const NO_ID = new Set([
  'NOTPROVIDED',
  'NOTPROVIDE',
  'NONPROVIDED',
  'NONREF',
  'NOREF',
  'NOPROPORCIONADO',
  'NONFOURNI',
])

/** The id, or null where the text is one of the ways to say that there is none. */
export function givenId(text: string | null): string | null {
  if (text === null) return null
  const id = text.trim()
  return id === '' || NO_ID.has(id.replace(/[\s_-]/g, '').toUpperCase()) ? null : id
}
