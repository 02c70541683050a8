import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { insertBankFile, knownBankFiles } from '../db/bank.ts'
import type { DbOrTx, Tx } from '../db/client.ts'
import { runs } from '../db/schema.ts'
import { listInbox } from '../src/bank/inbox.ts'
import type { Doubt } from '../src/bank/new-entries.ts'
import {
  AS_THE_FILE_SAYS,
  type BankFileFlow,
  flowBankFiles,
  type FlowingBankFile,
  type ReadingOptions,
} from '../src/bank/read-file.ts'
import type { BalanceState } from '../src/domain/bank-statement.ts'
import { groupBy } from '../src/domain/collections.ts'
import { type Day, maxDay, minDay } from '../src/domain/day.ts'
import { type Currency, formatAmount } from '../src/domain/money.ts'
import { InputFault } from '../src/errors.ts'
import type { Progress } from '../src/progress.ts'
import { withBankFile } from './bank-file.ts'
import { type FileFacts, storeBankFile, type StoredFile } from './store-bank-file.ts'

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
        const inside = await flowBankFiles(source, file.name, options)
        const outer = { sha256, name: file.name, bytes, runId }
        // An archive is taken in with all of its members or not at all.
        const stored = await db.transaction((tx) =>
          storeFiles(tx, progress, { inside, outer, known }),
        )
        for (const { sha256: its } of stored.files) known.add(its)
        known.add(sha256)
        files.push(...stored.files)
        suspected.push(...stored.suspected)
        alreadyKnown += stored.alreadyKnown
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

interface FilesToStore {
  /** The file itself, or the members of an archive. */
  readonly inside: readonly FlowingBankFile[]
  readonly outer: FileFacts
  /** SHA-256 of what was taken in before. */
  readonly known: ReadonlySet<string>
}

async function storeFiles(
  tx: Tx,
  progress: Progress,
  { inside, outer, known }: FilesToStore,
): Promise<Omit<BankImport, 'rejected'>> {
  const files: ImportedBankFile[] = []
  const suspected: SuspectedDuplicate[] = []
  const taken = new Set<string>()
  let alreadyKnown = 0
  for (const { name, member, open } of inside) {
    const facts = member === null ? outer : factsOf(name, member, outer.runId)
    if (known.has(facts.sha256) || taken.has(facts.sha256)) {
      alreadyKnown += 1
      continue
    }
    const stored = await storeAndTell(tx, progress, open(), facts)
    taken.add(facts.sha256)
    files.push(stored.file)
    suspected.push(...stored.suspected)
  }
  if (inside.some(({ member }) => member !== null)) {
    // Remembered, so that it is not opened again.
    await insertBankFile(tx, { ...outer, format: ARCHIVE_FORMAT, formatVersion: null })
  }
  return { files, suspected, alreadyKnown }
}

/** What stands for the format of an archive, which holds no statements of its own. */
const ARCHIVE_FORMAT = 'zip'

function factsOf(name: string, bytes: Uint8Array, runId: number): FileFacts {
  return {
    sha256: createHash('sha256').update(bytes).digest('hex'),
    name,
    bytes: bytes.length,
    runId,
  }
}

/** Stores one file, and says what a person should know of it. */
async function storeAndTell(
  tx: Tx,
  progress: Progress,
  flow: BankFileFlow,
  facts: FileFacts,
): Promise<{ file: ImportedBankFile; suspected: SuspectedDuplicate[] }> {
  const stored = await storeBankFile(tx, flow, facts)
  for (const note of stored.outline.notes) progress.note(note)
  for (const { account, doubts } of stored.doubts) {
    for (const note of doubtNotes(facts.name, account, doubts)) progress.note(note)
  }
  const suspected = stored.suspects.map(
    ({ entry: { place, account, bookingDay, amountMinor, currency }, earlierFile }) => ({
      file: facts.name,
      place,
      account,
      day: bookingDay,
      amountMinor,
      currency,
      earlierFile,
    }),
  )
  for (const note of suspectedNotes(suspected)) progress.note(note)
  return { file: outcomeOf(facts, stored), suspected }
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
      `${file} holds ${them} probably known from another file in other words, and not counted again: ${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}. If both are there at the bank, import a statement with balances for these days, which proves it, or say so (npm run decide -- admit); if they are the same, say that (npm run decide -- dismiss), and leave only one kind of file for an account in the inbox.`,
    ]
  })
}

const DAYS_SHOWN_MAX = 3

function doubtNotes(name: string, account: string, doubts: readonly Doubt[]): string[] {
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
      `${name} and earlier files tell different entries of account ${account} on ${kept}, and all of them were kept. If they mean the same money, it counts twice: from now on, leave only one kind of file for an account in the inbox.`,
    )
  }
  if (merged !== null) {
    notes.push(
      `${name} holds entries of account ${account} on ${merged} that look like those of an earlier file, although the balances of the two do not fit together. They were taken as the same; check that no statement between them is missing.`,
    )
  }
  return notes
}

function outcomeOf(
  { sha256, name }: FileFacts,
  { outline: { format, formatVersion }, statements, newEntries, suspects }: StoredFile,
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
    newEntries,
    duplicates: entries - newEntries - suspects.length,
    suspected: suspects.length,
    balanceState: worst(states),
  }
}

/** A file without any statement proves nothing. */
function worst(states: ReadonlySet<BalanceState>): BalanceState {
  if (states.has('failed')) return 'failed'
  return states.size === 0 || states.has('unverifiable') ? 'unverifiable' : 'verified'
}
