import { type Currency, formatAmount, parseAmount, sumOf } from '../domain/money.ts'
import type { Refuse } from './camt053-entry.ts'
import { type ComparedEntry, readValue, shown, type StatementOf } from './reader.ts'
import { textAt, type XmlElement } from './xml.ts'

/**
 * What a camt.053 says of itself besides balances: totals of its entries, and which page of how many
 * it is. None of it is mandatory, and banks count in their own ways (parts of a batch as entries, for
 * one), so a contradiction is told and does not refuse the file: the balances are the proof.
 */

/** A page of a long statement or message. */
export interface CamtPage {
  /** `the statement of FR76… in EUR`, or `the message`. */
  readonly of: string
  readonly number: number
  readonly isLast: boolean
}

/** What the totals (`TxsSummry`) of a statement and its entries disagree about, as sentences. */
export function totalsNotes(
  stmt: XmlElement,
  [statement, ...others]: readonly StatementOf<ComparedEntry>[],
  refuse: Refuse,
): string[] {
  // Totals over several currencies add up what cannot be added up.
  if (statement === undefined || others.length > 0) return []
  const { account, currency, entries } = statement
  const credits = entries.filter(({ amountMinor }) => amountMinor > 0n)
  const debits = entries.filter(({ amountMinor }) => amountMinor < 0n)
  const notes: string[] = []
  let hasSums = false
  for (const [name, words, ofSide] of [
    ['TtlCdtNtries', 'credits', credits],
    ['TtlDbtNtries', 'debits', debits],
  ] as const) {
    const told = textAt(stmt, 'TxsSummry', name, 'Sum')
    if (told === null) continue
    hasSums = true
    const toldMinor = readValue(told, (text) => parseAmount(text, currency), refuse)
    const sumMinor = absoluteSum(ofSide)
    if (toldMinor !== sumMinor) {
      notes.push(
        `the statement of ${account} says that its ${words} add up to ${money(toldMinor, currency)}, and those in the file add up to ${money(sumMinor, currency)}: entries may be missing`,
      )
    }
  }
  const count = textAt(stmt, 'TxsSummry', 'TtlNtries', 'NbOfNtries')
  if (count !== null && !hasSums && readCount(count, refuse) !== entries.length) {
    notes.push(
      `the statement of ${account} says that it has ${count} entries, and the file holds ${entries.length}: entries may be missing`,
    )
  }
  return notes
}

function absoluteSum(entries: readonly ComparedEntry[]): bigint {
  const sum = sumOf(entries.map(({ amountMinor }) => amountMinor))
  return sum < 0n ? -sum : sum
}

function money(amountMinor: bigint, currency: Currency): string {
  return `${formatAmount(amountMinor, currency)} ${currency}`
}

function readCount(text: string, refuse: Refuse): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw refuse(`${shown(text)} is not a number of entries: digits were expected`)
}

/** The page at a path (`StmtPgntn`, `MsgPgntn`); null if it is not one of several. */
export function pageAt(
  element: XmlElement,
  name: 'StmtPgntn' | 'MsgPgntn',
  of: string,
  refuse: Refuse,
): CamtPage | null {
  const last = textAt(element, name, 'LastPgInd')
  const number = textAt(element, name, 'PgNb')
  if (last === null || number === null) return null
  return { of, number: readCount(number, refuse), isLast: last === 'true' || last === '1' }
}

/** The pages whose next one is not in the file, as sentences. */
export function pageNotes(pages: readonly CamtPage[]): string[] {
  return pages
    .filter(
      ({ of, number, isLast }) =>
        !isLast && !pages.some((other) => other.of === of && other.number === number + 1),
    )
    .map(
      ({ of, number }) =>
        `page ${number} of ${of} is not its last one, and page ${number + 1} is not in the file`,
    )
}
