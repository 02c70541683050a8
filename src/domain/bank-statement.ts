import type { Day } from './day.ts'
import type { Currency } from './money.ts'

/**
 * One booked movement of a bank account. Details of a batch are not entries of their own: only
 * entries count towards balances.
 */
export interface BankEntry {
  /** IBAN (or the bank's own number) without blanks, in capitals. */
  readonly account: string
  readonly bookingDay: Day
  readonly valueDay: Day | null
  /** Signed: a credit is positive. */
  readonly amountMinor: bigint
  readonly currency: Currency
  readonly counterpartyName: string | null
  readonly counterpartyIban: string | null
  /** The payer's end-to-end id; null where the file says "not provided". */
  readonly endToEndId: string | null
  /** Remittance text in the pieces in which the file has it. */
  readonly remittance: readonly string[]
  /** The bank's reference of this entry (camt `AcctSvcrRef`, canonical `bank_reference`), or null. */
  readonly bankReference: string | null
  /** True where the file marks the entry as the reversal of an earlier one. */
  readonly isReversal: boolean
  /** Where the entry stands in its file, for people: `line 14` or `entry 3`. */
  readonly place: string
  /** Number in `place`: 1-based. */
  readonly position: number
  /** The exact slice of the file, for evidence. */
  readonly raw: string
}

/**
 * `verified`: opening + entries = closing. `failed`: they differ. `unverifiable`: the file does not
 * state both balances.
 */
export type BalanceState = 'verified' | 'failed' | 'unverifiable'

/** What one file says of one account over some days. */
export interface BankStatement {
  readonly account: string
  readonly currency: Currency
  /** The bank's own id of the statement, or null. */
  readonly statementRef: string | null
  /** Electronic or legal sequence number, or null. */
  readonly sequenceNumber: number | null
  /** First and last day that the statement covers. */
  readonly fromDay: Day
  readonly toDay: Day
  readonly openingMinor: bigint | null
  readonly closingMinor: bigint | null
  readonly entries: readonly BankEntry[]
}

/** The proof of one statement on its own. */
export function balanceState(
  statement: Pick<BankStatement, 'openingMinor' | 'closingMinor'>,
  movementMinor: bigint,
): BalanceState {
  const { openingMinor, closingMinor } = statement
  if (openingMinor === null || closingMinor === null) return 'unverifiable'
  return openingMinor + movementMinor === closingMinor ? 'verified' : 'failed'
}

/** A bank entry as the database holds it, once however many files told of it. */
export interface StoredBankEntry extends Omit<BankEntry, 'raw'> {
  /** Id in the database; it says nothing outside of it. */
  readonly id: string
  /** The file that brought it first, as `place` and `position` count in it. */
  readonly fileName: string
  /** Hash of what identifies the entry, see `src/bank/fingerprint.ts`. */
  readonly fingerprint: string
  /** 1, 2, … among equal entries of one account and booking day. */
  readonly fingerprintRank: number
  /**
   * What reports call `bank_reference`: the bank's own reference, else the end-to-end id, else
   * `FILE:LINE` or `FILE:entry number`. Banks give one reference to several entries at times (a
   * transfer and its fee), so it is a name, not a key.
   */
  readonly reference: string
}

/** A statement as the database holds it; overlapping and repeated ones are each there. */
export interface StoredBankStatement extends Omit<BankStatement, 'entries'> {
  readonly id: string
  readonly fileName: string
  /** 1-based place in its file. */
  readonly positionInFile: number
  /** Sum and number of all entries of the statement, those that an earlier file brought included. */
  readonly movementMinor: bigint
  readonly entryCount: number
  readonly balanceState: BalanceState
}
