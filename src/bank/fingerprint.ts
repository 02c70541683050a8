import { hash } from 'node:crypto'
import type { BankEntry } from '../domain/bank-statement.ts'

/** Raised whenever the recipe below changes: entries of two versions are never compared by it. */
export const FINGERPRINT_VERSION = 1

/**
 * SHA-256, in hexadecimal, of what identifies a bank entry in whichever file it comes: account,
 * booking day, signed amount, currency, value day, payer, remittance, end-to-end id, bank reference.
 * Texts count by their letters only, as files differ in case, blanks and line breaks. The bank's
 * reference is in it because leaving it out could merge two real entries, which nobody would see;
 * a bank that changes its references would show up as entries that are there twice.
 *
 * Equal entries of one account and day have one fingerprint; their rank tells them apart.
 *
 * Where the bank's reference is an id given once and for good, it stands for all texts, which users
 * of such a bank may change: a later export of the same entry has the same fingerprint.
 */
export function fingerprint(entry: BankEntry, hasUniqueReference = false): string {
  if (hasUniqueReference && entry.bankReference !== null) {
    const { account, bookingDay, amountMinor, currency, bankReference } = entry
    const parts = [account, bookingDay, amountMinor.toString(), currency, bankReference]
    return `${BY_ID}${sha256(parts)}`
  }
  const parts = [
    entry.account,
    entry.bookingDay,
    entry.amountMinor.toString(),
    entry.currency,
    entry.valueDay,
    letters(entry.counterpartyName ?? ''),
    letters(entry.remittance.join('')),
    letters(entry.endToEndId ?? ''),
    letters(entry.bankReference ?? ''),
  ]
  return sha256(parts)
}

const BY_ID = 'id:'

/** Whether a fingerprint says by the bank's own id which entry this is, so that no other can be it. */
export function tellsById(print: string): boolean {
  return print.startsWith(BY_ID)
}

function sha256(parts: readonly (string | null)[]): string {
  return hash('sha256', JSON.stringify(parts))
}

/** Text in one Unicode form and case, without any blanks. */
function letters(text: string): string {
  return text.normalize('NFKC').toUpperCase().replace(/\s/g, '')
}
