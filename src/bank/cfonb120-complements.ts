import type { BankEntry } from '../domain/bank-statement.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import { formatAmount, parseCurrency } from '../domain/money.ts'
import { parseDecimals } from './cfonb120-amount.ts'
import { field } from './fixed-width.ts'
import { ibanOrNull } from './iban.ts'
import { givenId } from './reader.ts'

/**
 * What a complement (record `05`) says of the movement above it: a qualifier and 70 characters, whose
 * meaning the qualifier tells.
 */
export interface Complement {
  /** Three characters as written; null in the layout that has none. */
  readonly qualifier: string | null
  readonly text: string
}

/** What the complements of one movement say together. */
export interface ComplementsRead extends Pick<
  BankEntry,
  'counterpartyName' | 'counterpartyIban' | 'endToEndId' | 'remittance'
> {
  /** Qualifiers whose meaning is not known; their texts are part of the remittance. */
  readonly unknown: readonly string[]
}

/** Identifiers of the parties: nothing is looked up by them, and some are personal. They stay in the raw record. */
const PARTY_IDS = ['IPY', 'IBE', 'IPO', 'IBU']
const PARTY_NAMES = ['NPY', 'NPO', 'NBE', 'NBU']
/** Texts whose order matters, as a reference may be cut at the end of one and go on in the next. */
const RUNNING_TEXTS = ['LIB', 'LCC', 'LC2']
const OTHER_TEXTS = ['LCS', 'RCN', 'REF', 'RUM', 'CPY', 'MMO', 'FEE', 'CBE']

/** The complement in a record `05`. */
export function readComplement(record: { readonly text: string }): Complement {
  // A layout of 2004 (Société Générale) has no qualifier, and its text begins five positions earlier,
  // where the later one has blanks.
  if (field(record, 41, 45).trim() !== '') {
    return { qualifier: null, text: field(record, 41, 118).trim() }
  }
  return { qualifier: field(record, 46, 48), text: field(record, 49, 118) }
}

/**
 * @param label of the movement itself: the beginning of its text.
 * @param isCredit tells which party is the other side: who paid a credit, who got a debit.
 */
export function readComplements(
  label: string,
  complements: readonly Complement[],
  { isCredit, isReversal }: { readonly isCredit: boolean; readonly isReversal: boolean },
): ComplementsRead {
  const textsOf = (...qualifiers: readonly (string | null)[]): string[] =>
    complements.flatMap(({ qualifier, text }) =>
      qualifiers.includes(qualifier) && text.trim() !== '' ? [text] : [],
    )
  // The ultimate party stands in where the bank names only that.
  const payers = [...textsOf('NPY'), ...textsOf('NPO')].map((name) => name.trim())
  const beneficiaries = [...textsOf('NBE'), ...textsOf('NBU')].map((name) => name.trim())
  // The payer of a direct debit stands under "payer" at some banks, although money goes to him. On a
  // credit, the name of the beneficiary is the merchant's own, unless a transfer of his came back.
  const others = isCredit
    ? [...payers, ...(isReversal ? beneficiaries : [])]
    : beneficiaries.length > 0
      ? beneficiaries
      : payers
  const [counterpartyName = null, ...furtherNames] = [...new Set(others)]
  const references = textsOf('RCN').map((text) => givenId(text.slice(0, 35)))
  const [endToEndId = null, ...furtherIds] = [...new Set(references.filter((id) => id !== null))]
  const unknown = complements.flatMap(({ qualifier }) => {
    const isKnown =
      qualifier === null ||
      [...RUNNING_TEXTS, ...OTHER_TEXTS, ...PARTY_NAMES, ...PARTY_IDS].includes(qualifier)
    return isKnown ? [] : [qualifier]
  })
  const remittance = [
    label,
    ...textsOf(null, ...RUNNING_TEXTS),
    ...textsOf('LCS'),
    ...textsOf('RCN').map((text) => text.slice(35)),
    ...furtherIds,
    ...textsOf('REF').flatMap((text) => [text.slice(0, 35), text.slice(35)]),
    ...textsOf('RUM', 'CPY', 'FEE'),
    ...textsOf('MMO').map(originalAmountText),
    ...furtherNames,
    ...textsOf(...new Set(unknown)),
  ].map((piece) => piece.trim())
  return {
    counterpartyName,
    counterpartyIban: isCredit ? null : beneficiaryAccount(textsOf('CBE')),
    endToEndId,
    remittance: remittance.filter((piece) => piece !== ''),
    unknown,
  }
}

/**
 * The amount in the currency of origin, for people: `USD 1234.56`. It has no sign; the movement's
 * is its sign too. Banks fill the rate in different ways, so where the amount cannot be told, the
 * text stays as it is: nothing is worked out from it.
 */
function originalAmountText(text: string): string {
  const [, letters = '', decimals = '', digits = ''] = /^([A-Z]{3})(\d)(\d{14})/.exec(text) ?? []
  if (letters === '') return text
  try {
    const currency = parseCurrency(letters)
    return `${currency} ${formatAmount(parseDecimals(digits, Number(decimals), currency), currency)}`
  } catch (error) {
    if (error instanceof InvalidValue) return text
    throw error
  }
}

/** The other side's account is a help, never needed: one that is not an IBAN is left out, the raw record keeps it. */
function beneficiaryAccount([text = '']: readonly string[]): string | null {
  const [account = ''] = /^[A-Z]{2}\d{2}[A-Z0-9]+/.exec(text) ?? []
  return ibanOrNull(account)
}
