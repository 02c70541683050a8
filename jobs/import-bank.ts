import { basename } from 'node:path'
import {
  insertBankEntries,
  insertBankFile,
  insertBankStatements,
  knownBankFiles,
  loadComparable,
} from '../db/bank.ts'
import type { DbOrTx, Tx } from '../db/client.ts'
import { runs } from '../db/schema.ts'
import { FINGERPRINT_VERSION } from '../src/bank/fingerprint.ts'
import { listInbox } from '../src/bank/inbox.ts'
import {
  type Doubt,
  type IncomingStatement,
  type KnownAccount,
  knownAccount,
  type NewEntry,
  newEntries,
  remember,
  type Suspect,
} from '../src/bank/new-entries.ts'
import {
  AS_THE_FILE_SAYS,
  type BankFileOutline,
  outlineBankFile,
  type ReadingOptions,
} from '../src/bank/read-file.ts'
import { type BalanceState, balanceState } from '../src/domain/bank-statement.ts'
import { groupBy } from '../src/domain/collections.ts'
import { type Day, maxDay, minDay } from '../src/domain/day.ts'
import { type Currency, formatAmount, sumOf } from '../src/domain/money.ts'
import { InputFault } from '../src/errors.ts'
import type { Progress } from '../src/progress.ts'
import { withBankFile } from './bank-file.ts'

/** A file that was taken in by this run. */
export interface ImportedBankFile {
  readonly name: string
  /** Of the file as it lies there, compressed or not; in hexadecimal. */
  readonly sha256: string
  readonly format: string
  readonly formatVersion: string | null
  readonly accounts: readonly string[]
  /** First and last day of its statements; null if it holds none. */
  readonly fromDay: Day | null
  readonly toDay: Day | null
  /** Booked entries in it, of which some were known from other files. */
  readonly entries: number
  readonly newEntries: number
  /** Entries that were known, and were not taken in again. */
  readonly duplicates: number
  /** Entries that probably were known in other words, and were not taken in either. */
  readonly suspected: number
  /** The worst of its statements: `failed`, else `unverifiable`, else `verified`. */
  readonly balanceState: BalanceState
}

/** An entry that was not taken in because an earlier one of its account, day and amount is probably the same. */
export interface SuspectedDuplicate {
  readonly file: string
  /** Where it stands in its file: `line 14`. */
  readonly place: string
  readonly account: string
  readonly day: Day
  readonly amountMinor: bigint
  readonly currency: Currency
  /** The file that brought the entry as which it was taken. */
  readonly earlierFile: string
}

export interface BankImport {
  readonly files: readonly ImportedBankFile[]
  /** Files of which nothing was taken, and why. They are tried again by every run. */
  readonly rejected: readonly { readonly name: string; readonly fault: InputFault }[]
  /** Files that were imported before, by their content. */
  readonly alreadyKnown: number
  /** In order of file and place. */
  readonly suspected: readonly SuspectedDuplicate[]
}

interface ImportDeps {
  readonly db: DbOrTx
  readonly progress: Progress
}

interface ImportArgs {
  readonly runId: number
  /** A folder, all files below which are imported; null: none. One that does not exist is empty. */
  readonly inbox: string | null
  /** Paths of single files; they are called by their own names. */
  readonly files: readonly string[]
  /** Nothing stays stored; the result tells what would. `runId` is not used then. */
  readonly dryRun?: boolean
  /** How files are read; by default as they say themselves, with the profiles of the tool. */
  readonly reading?: ReadingOptions
}

/**
 * Imports bank files, each once by its content and each as a whole or not at all; a file that is
 * rejected does not stop the others. The files themselves are left alone.
 * @throws UnavailableFault if the inbox cannot be read.
 */
export async function importBankFiles(deps: ImportDeps, args: ImportArgs): Promise<BankImport> {
  if (args.dryRun !== true) return importAll(deps.db, deps.progress, args)
  let outcome: BankImport | null = null
  try {
    await deps.db.transaction(async (tx) => {
      // Files belong to a run, and a dry run has none that is stored.
      const [run] = await tx
        .insert(runs)
        .values({ command: 'import-bank --dry-run', appVersion: '' })
        .returning({ id: runs.id })
      if (run === undefined) throw new Error('the run of a dry run was not stored')
      outcome = await importAll(tx, deps.progress, { ...args, runId: run.id })
      throw new DryRunEnds()
    })
  } catch (error) {
    if (error instanceof DryRunEnds && outcome !== null) return outcome
    throw error
  }
  throw new Error('the dry run was not rolled back')
}

/** Thrown to roll back what a dry run stored. */
class DryRunEnds extends Error {}

async function importAll(
  db: DbOrTx,
  progress: Progress,
  { runId, inbox, files: given, reading: options = AS_THE_FILE_SAYS }: ImportArgs,
): Promise<BankImport> {
  const listed = inbox === null ? { files: [], notes: [] } : await listInbox(inbox)
  for (const note of listed.notes) progress.note(note)
  const paths = [...listed.files, ...given.map((path) => ({ name: basename(path), path }))]
  const known = await knownBankFiles(db)
  const files: ImportedBankFile[] = []
  const rejected: { name: string; fault: InputFault }[] = []
  const suspected: SuspectedDuplicate[] = []
  let alreadyKnown = 0
  const step = progress.step('bank files', 'files', paths.length)
  for (const file of paths) {
    try {
      await withBankFile(file, async ({ sha256, bytes, source }) => {
        if (known.has(sha256)) {
          alreadyKnown += 1
          return
        }
        const reading = await outlineBankFile(source, file.name, options)
        for (const note of reading.notes) progress.note(note)
        const facts = { sha256, name: file.name, bytes, runId }
        const stored = await db.transaction((tx) => storeReading(tx, progress, reading, facts))
        known.add(sha256)
        files.push(stored.file)
        suspected.push(...stored.suspected)
      })
    } catch (error) {
      if (!(error instanceof InputFault)) throw error
      rejected.push({ name: file.name, fault: error })
    }
    step.advance(1)
  }
  step.done(`${files.length} imported, ${alreadyKnown} known already, ${rejected.length} rejected`)
  return { files, rejected, alreadyKnown, suspected }
}

interface FileFacts {
  readonly sha256: string
  readonly name: string
  readonly bytes: number
  readonly runId: number
}

/** Stores one file with everything in it; the transaction makes that all or nothing. */
async function storeReading(
  tx: Tx,
  progress: Progress,
  reading: BankFileOutline,
  facts: FileFacts,
): Promise<{ file: ImportedBankFile; suspected: SuspectedDuplicate[] }> {
  const { format, formatVersion } = reading
  const statements = reading.statements.map((statement) => {
    const movementMinor = sumOf(statement.entries.map(({ amountMinor }) => amountMinor))
    return {
      statement,
      movementMinor,
      balanceState: balanceState(statement, movementMinor),
      fingerprints: statement.entries.map(({ fingerprint }) => fingerprint),
    }
  })
  const fileId = await insertBankFile(tx, { ...facts, format, formatVersion })
  // What is stored is looked up before this file's own statements are stored.
  const { known, fileNames } = await loadKnown(tx, statements)
  const ids = await insertBankStatements(
    tx,
    fileId,
    statements.map((incoming, index) => ({ ...incoming, positionInFile: index + 1 })),
  )
  const chosen: (NewEntry & { readonly statementId: number })[] = []
  const suspected: SuspectedDuplicate[] = []
  for (const [index, incoming] of statements.entries()) {
    const statementId = ids.get(index + 1)
    const account = known.get(accountKey(incoming))
    if (statementId === undefined || account === undefined) {
      throw new Error(`statement ${index + 1} of ${facts.name} was not stored`)
    }
    const { entries, suspects, doubts } = newEntries(incoming, account)
    remember(
      account,
      { ...incoming, ...daysAndBalances(incoming), source: statementId, isSameFile: true },
      entries,
    )
    for (const entry of entries) chosen.push({ ...entry, statementId })
    suspected.push(...suspects.map((suspect) => toSuspected(facts.name, suspect, fileNames)))
    for (const note of doubtNotes(facts.name, incoming, doubts)) progress.note(note)
  }
  for (const batch of reading.inFull(chosen)) {
    await insertBankEntries(
      tx,
      batch.map(({ entry, chosen: { statementId, fingerprint, rank } }) => ({
        statementId,
        entry,
        fingerprint,
        fingerprintVersion: FINGERPRINT_VERSION,
        fingerprintRank: rank,
      })),
    )
  }
  for (const note of suspectedNotes(suspected)) progress.note(note)
  const counts = { added: chosen.length, suspected: suspected.length }
  return { file: outcomeOf(facts, reading, statements, counts), suspected }
}

function toSuspected(
  file: string,
  { entry, known }: Suspect,
  fileNames: ReadonlyMap<number, string>,
): SuspectedDuplicate {
  const { place, account, bookingDay, amountMinor, currency } = entry
  const earlierFile = fileNames.get(known.source) ?? file
  return { file, place, account, day: bookingDay, amountMinor, currency, earlierFile }
}

const SUSPECTED_SHOWN_MAX = 10

/** What a person should look at, at most a few for each file; none is left unsaid. */
export function suspectedNotes(suspected: readonly SuspectedDuplicate[]): string[] {
  return [...groupBy(suspected, ({ file }) => file)].flatMap(([file, ofFile]) => {
    const shown = ofFile
      .slice(0, SUSPECTED_SHOWN_MAX)
      .map(
        ({ place, day, amountMinor, currency, account, earlierFile }) =>
          `${place} (${formatAmount(amountMinor, currency)} ${currency} of ${day} on ${account}, as in ${earlierFile})`,
      )
    const more = ofFile.length - shown.length
    const them = ofFile.length === 1 ? 'an entry that is' : `${ofFile.length} entries that are`
    return [
      `${file} holds ${them} probably known from another file in other words, and not counted again: ${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}. If both are there at the bank, import a statement with balances for these days, which proves it; otherwise leave only one kind of file for an account in the inbox.`,
    ]
  })
}

function accountKey({ statement: { account, currency } }: IncomingStatement): string {
  return `${account} ${currency}`
}

function daysAndBalances({ statement }: IncomingStatement) {
  const { fromDay, toDay, openingMinor, closingMinor } = statement
  return { fromDay, toDay, openingMinor, closingMinor }
}

/** What earlier files said of the accounts and days of these statements, by account and currency. */
async function loadKnown(
  tx: Tx,
  statements: readonly IncomingStatement[],
): Promise<{ known: Map<string, KnownAccount>; fileNames: Map<number, string> }> {
  const spans = new Map<string, { account: string; currency: string; fromDay: Day; toDay: Day }>()
  for (const incoming of statements) {
    const { account, currency, entries, ...days } = incoming.statement
    const key = accountKey(incoming)
    const span = spans.get(key) ?? { account, currency, fromDay: days.fromDay, toDay: days.toDay }
    span.fromDay = minDay(span.fromDay, days.fromDay)
    span.toDay = maxDay(span.toDay, days.toDay)
    for (const { bookingDay } of entries) {
      span.fromDay = minDay(span.fromDay, bookingDay)
      span.toDay = maxDay(span.toDay, bookingDay)
    }
    spans.set(key, span)
  }
  const known = new Map<string, KnownAccount>()
  const fileNames = new Map<number, string>()
  for (const [key, span] of spans) {
    const stored = await loadComparable(tx, { ...span, fingerprintVersion: FINGERPRINT_VERSION })
    for (const { id, fileName } of stored.statements) fileNames.set(id, fileName)
    known.set(
      key,
      knownAccount(
        stored.statements.map(({ id, ...statement }) => ({
          ...statement,
          source: id,
          isSameFile: false,
        })),
        stored.entries.map(({ statementId, fingerprintRank, ...entry }) => ({
          ...entry,
          source: statementId,
          rank: fingerprintRank,
        })),
      ),
    )
  }
  return { known, fileNames }
}

const DAYS_SHOWN_MAX = 3

function doubtNotes(
  name: string,
  { statement }: IncomingStatement,
  doubts: readonly Doubt[],
): string[] {
  const daysOf = (outcome: Doubt['outcome']): string | null => {
    const days = doubts.filter((doubt) => doubt.outcome === outcome).map(({ day }) => day)
    if (days.length === 0) return null
    const more = days.length - DAYS_SHOWN_MAX
    return days.slice(0, DAYS_SHOWN_MAX).join(', ') + (more > 0 ? ` and ${more} more` : '')
  }
  const [kept, merged] = [daysOf('kept'), daysOf('merged')]
  const notes: string[] = []
  if (kept !== null) {
    notes.push(
      `${name} and earlier files tell different entries of account ${statement.account} on ${kept}, and all of them were kept. If they mean the same money, it counts twice: from now on, leave only one kind of file for an account in the inbox.`,
    )
  }
  if (merged !== null) {
    notes.push(
      `${name} holds entries of account ${statement.account} on ${merged} that look like those of an earlier file, although the balances of the two do not fit together. They were taken as the same; check that no statement between them is missing.`,
    )
  }
  return notes
}

function outcomeOf(
  { sha256, name }: FileFacts,
  { format, formatVersion }: BankFileOutline,
  statements: readonly IncomingStatement[],
  { added, suspected }: { readonly added: number; readonly suspected: number },
): ImportedBankFile {
  const states = new Set(statements.map((incoming) => incoming.balanceState))
  const [first, ...others] = statements.map(({ statement }) => statement)
  const entries = statements.reduce((count, { statement }) => count + statement.entries.length, 0)
  return {
    name,
    sha256,
    format,
    formatVersion,
    accounts: [...new Set(statements.map(({ statement }) => statement.account))],
    fromDay:
      first === undefined
        ? null
        : others.reduce((day, its) => minDay(day, its.fromDay), first.fromDay),
    toDay:
      first === undefined ? null : others.reduce((day, its) => maxDay(day, its.toDay), first.toDay),
    entries,
    newEntries: added,
    duplicates: entries - added - suspected,
    suspected,
    balanceState: worst(states),
  }
}

/** A file without any statement proves nothing. */
function worst(states: ReadonlySet<BalanceState>): BalanceState {
  if (states.has('failed')) return 'failed'
  return states.size === 0 || states.has('unverifiable') ? 'unverifiable' : 'verified'
}
