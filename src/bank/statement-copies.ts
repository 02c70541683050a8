import type { BankStatement } from '../domain/bank-statement.ts'
import { sumOf } from '../domain/money.ts'

/**
 * The statements of a file without those that are there a second time, word for word, as when a file
 * was joined from two downloads. Entries of one file are never compared with each other, so they
 * would count twice. Statements whose entries add up to nothing may follow each other as they are,
 * so they all stay.
 * @returns what is left, and notes that name what was left out.
 */
export function withoutCopies(
  statements: readonly BankStatement[],
  fileName: string,
): { statements: BankStatement[]; notes: string[] } {
  const seen = new Map<string, BankStatement[]>()
  const notes: string[] = []
  const left = statements.filter((statement) => {
    const { account, fromDay, toDay, entries } = statement
    if (sumOf(entries.map(({ amountMinor }) => amountMinor)) === 0n) return true
    const key = keyOf(statement)
    const alike = seen.get(key) ?? []
    if (!alike.some((other) => hasEntriesOf(statement, other))) {
      seen.set(key, [...alike, statement])
      return true
    }
    const count = entries.length === 1 ? '1 entry' : `${entries.length} entries`
    notes.push(
      `${fileName} holds the statement of ${account} from ${fromDay} to ${toDay} twice, word for word: the copy with its ${count} was left out`,
    )
    return false
  })
  return { statements: left, notes }
}

function keyOf(statement: BankStatement): string {
  const { account, currency, fromDay, toDay, openingMinor, closingMinor, entries } = statement
  return [account, currency, fromDay, toDay, openingMinor, closingMinor, entries.length].join(' ')
}

function hasEntriesOf(statement: BankStatement, other: BankStatement): boolean {
  return statement.entries.every(({ raw }, at) => raw === other.entries[at]?.raw)
}
