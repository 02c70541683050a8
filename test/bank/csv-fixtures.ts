/** The CSV fixtures of banks, each with what is expected of it beside it (`NAME.expected.txt`). */
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { AS_THE_FILE_SAYS, readBankFile } from '../../src/bank/read-file.ts'
import { told } from './reading.ts'

export const CSV_FIXTURES = fileURLToPath(new URL('files/csv/', import.meta.url))

/** The account that is given for a file which does not name its own. */
const IBAN = 'FR7630004000031234567890143'

export async function csvFixtureNames(): Promise<string[]> {
  return (await readdir(CSV_FIXTURES)).filter((name) => name.endsWith('.csv')).sort()
}

/** Whether the bank's files do not tell their account, or mask it. */
export function isNameless(name: string): boolean {
  return /^(?:bnp-|cic-|credit-mutuel)/.test(name)
}

export function accountGivenFor(name: string): string | null {
  return isNameless(name) ? IBAN : null
}

export function expectedPathOf(name: string): string {
  return CSV_FIXTURES + name.replace(/\.csv$/, '.expected.txt')
}

/** A fixture as the product reads it now, as text for people. */
export async function csvFixtureAsRead(name: string): Promise<string> {
  const bytes = await readFile(CSV_FIXTURES + name)
  const account = accountGivenFor(name)
  const reading = await readBankFile(bytes, name, { ...AS_THE_FILE_SAYS, account })
  const { format, formatVersion, hasUniqueReferences, notes } = reading
  return [
    `${format} ${formatVersion}${hasUniqueReferences === true ? ', each entry with an id of its own' : ''}`,
    ...told(reading),
    ...notes.map((note) => `note: ${note}`),
    '',
  ].join('\n')
}
