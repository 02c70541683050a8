/**
 * The journal as a "fichier des écritures comptables" (Livre des procédures fiscales, article
 * A. 47 A-1): one line a posting, 18 columns under their legal names, separated by tabs, days as
 * `YYYYMMDD`, amounts with a decimal comma, entries numbered without a gap. All text is ASCII, which
 * is the same in every encoding that the law allows.
 */
import type { Day } from '../src/domain/day.ts'
import type { JournalAccounts, JournalEntry, JournalLine } from '../src/domain/journal.ts'
import { type Currency, formatAmount } from '../src/domain/money.ts'
import { creditOf, debitOf } from './journal.ts'

interface FecOptions {
  readonly accounts: JournalAccounts
  readonly codes: { readonly ledger: string; readonly bank: string }
  /** Currency of the books; entries in another have no amount in it and are left out. */
  readonly currency: Currency
  /** The day as of which the entries stand. */
  readonly validatedOn: Day
}

interface Posting {
  readonly entry: JournalEntry
  readonly line: JournalLine
  /** 1 for the first entry of the file. */
  readonly entryNumber: number
}

type FecColumn = readonly [name: string, text: (posting: Posting, options: FecOptions) => string]

const COLUMNS: readonly FecColumn[] = [
  ['JournalCode', ({ entry }) => entry.journal],
  ['JournalLib', ({ entry }, { codes }) => (entry.journal === codes.bank ? 'Banque' : 'Alma')],
  ['EcritureNum', ({ entryNumber }) => String(entryNumber)],
  ['EcritureDate', ({ entry }) => compactDay(entry.day)],
  ['CompteNum', ({ line }) => line.account],
  ['CompteLib', ({ line }, { accounts }) => accountName(line.account, accounts)],
  ['CompAuxNum', () => ''],
  ['CompAuxLib', () => ''],
  ['PieceRef', ({ entry }) => entry.document],
  ['PieceDate', ({ entry }) => compactDay(entry.day)],
  ['EcritureLib', ({ line }) => line.label],
  ['Debit', ({ entry, line }) => commaAmount(debitOf(line), entry.currency)],
  ['Credit', ({ entry, line }) => commaAmount(creditOf(line), entry.currency)],
  ['EcritureLet', () => ''],
  ['DateLet', () => ''],
  ['ValidDate', (_, { validatedOn }) => compactDay(validatedOn)],
  ['Montantdevise', () => ''],
  ['Idevise', () => ''],
]

/** The file of one legal entity's entries, in their order. */
export function fecText(entries: readonly JournalEntry[], options: FecOptions): string {
  const postings = entries
    .filter(({ currency }) => currency === options.currency)
    .flatMap((entry, position) =>
      entry.lines.map((line) => ({ entry, line, entryNumber: position + 1 })),
    )
  return [
    COLUMNS.map(([name]) => name),
    ...postings.map((posting) => COLUMNS.map(([, text]) => cell(text(posting, options)))),
  ]
    .map((cells) => `${cells.join('\t')}\r\n`)
    .join('')
}

/**
 * `123456789FEC20241231.txt` as the law has it, with the period's last day. Without a SIREN the
 * entity's name stands in its place, or nothing where there is one entity only.
 */
export function fecFileName({
  siren,
  entity,
  lastDay,
}: {
  readonly siren: string | null
  readonly entity: string | null
  readonly lastDay: Day
}): string {
  const owner = siren ?? (entity === null ? '' : `${fileNamePart(entity)}_`)
  return `${owner}FEC${compactDay(lastDay)}.txt`
}

/** Names are unique among entities, but not once they are cut down to what a file name may hold. */
function fileNamePart(entity: string): string {
  return entity.replaceAll(
    /[^A-Za-z0-9-]/gu,
    (sign) => `-${(sign.codePointAt(0) ?? 0).toString(16)}-`,
  )
}

function compactDay(day: Day): string {
  return day.replaceAll('-', '')
}

function commaAmount(amountMinor: bigint, currency: Currency): string {
  return formatAmount(amountMinor, currency).replace('.', ',')
}

function accountName(account: string, accounts: JournalAccounts): string {
  const names: readonly (readonly [string, string])[] = [
    [accounts.bank, 'Banque'],
    [accounts.transit, 'Versements Alma a recevoir'],
    [accounts.provider, 'Alma'],
    [accounts.fees, 'Frais Alma'],
    [accounts.vat, 'TVA deductible'],
    [accounts.customers, 'Clients'],
    [accounts.suspense, "Compte d'attente"],
  ]
  return names.find(([number]) => number === account)?.[1] ?? account
}

/** One cell: what would end a cell or a line becomes a blank, what is no ASCII a question mark. */
function cell(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[\p{C}\s|]+/gu, ' ')
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .trim()
}
