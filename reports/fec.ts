/**
 * The journal as a "fichier des écritures comptables" (Livre des procédures fiscales, article
 * A. 47 A-1): one line a posting, 18 columns under their legal names, separated by tabs, days as
 * `YYYYMMDD`, amounts with a decimal comma, entries numbered without a gap. All text is ASCII, which
 * is the same in every encoding that the law allows.
 */
import { compareText, inPieces } from '../src/domain/collections.ts'
import type { Day } from '../src/domain/day.ts'
import { money } from '../src/domain/findings.ts'
import type { JournalAccounts, JournalEntry, JournalLine } from '../src/domain/journal.ts'
import { type Currency, formatAmount, sumOf } from '../src/domain/money.ts'
import { creditOf, debitOf } from './journal.ts'

interface FecOptions {
  readonly accounts: JournalAccounts
  /** As in `JournalScheme`. */
  readonly bankAccounts?: Readonly<Record<string, string>>
  readonly codes: { readonly ledger: string; readonly bank: string }
  /** Currency of the books. Entries in another have no amount in it and are left out: `fecNotes` tells of them. */
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
  ['CompteLib', ({ line }, options) => accountName(line.account, options)],
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
export function fecText(entries: Iterable<JournalEntry>, options: FecOptions): Iterable<string> {
  return { [Symbol.iterator]: () => fecPieces(entries, options) }
}

const ENTRIES_AT_ONCE = 1_000

function* fecPieces(entries: Iterable<JournalEntry>, options: FecOptions): Generator<string> {
  const lineOf = (cells: readonly string[]): string => `${cells.join('\t')}\r\n`
  yield lineOf(COLUMNS.map(([name]) => name))
  let entryNumber = 0
  for (const some of inPieces(entries, ENTRIES_AT_ONCE)) {
    let text = ''
    for (const entry of some) {
      if (entry.currency !== options.currency) continue
      entryNumber += 1
      for (const line of entry.lines) {
        const posting = { entry, line, entryNumber }
        text += lineOf(COLUMNS.map(([, of]) => cell(of(posting, options))))
      }
    }
    yield text
  }
}

const DOCUMENTS_TOLD_MAX = 10

/** Entries of one currency that are not in the file. */
interface LeftOut {
  count: number
  debitMinor: bigint
  /** The first of them. */
  readonly documents: string[]
}

/**
 * What of the entries is not in the file. Debit and credit must be in the currency of the books, and
 * what came in another (`Montantdevise`, `Idevise`) only stands beside them: without the rate at which
 * the bank changed it there is no amount to post, and none is made up.
 */
export function fecNotes(
  entries: Iterable<JournalEntry>,
  { currency, entity }: { readonly currency: Currency; readonly entity: string | null },
): string[] {
  const foreign = new Map<Currency, LeftOut>()
  for (const entry of entries) {
    if (entry.currency === currency) continue
    const left = foreign.get(entry.currency) ?? { count: 0, debitMinor: 0n, documents: [] }
    foreign.set(entry.currency, left)
    left.count += 1
    left.debitMinor += sumOf(entry.lines.map(debitOf))
    if (left.documents.length < DOCUMENTS_TOLD_MAX) left.documents.push(entry.document)
  }
  return [...foreign]
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([other, { count, debitMinor, documents }]) => {
      const more = count - documents.length
      const isOne = count === 1
      return `${count} ${isOne ? 'entry is' : 'entries are'} not in the FEC file${entity === null ? '' : ` of ${entity}`}, because ${isOne ? 'it is' : 'they are'} in ${other} and the file is in ${currency}: ${money(debitMinor, other)} debit and as much credit (${documents.join(', ')}${more > 0 ? ` and ${more} more` : ''}). Post ${isOne ? 'it' : 'them'} by hand at the rate of ${isOne ? 'its' : 'their'} day, with Montantdevise and Idevise; journal.csv has ${isOne ? 'it' : 'them'}.`
    })
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

function accountName(account: string, { accounts, bankAccounts = {} }: FecOptions): string {
  const names: readonly (readonly [string, string])[] = [
    ...Object.entries(bankAccounts).map(
      ([own, number]) => [number, `Banque ${own.slice(-4)}`] as const,
    ),
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
