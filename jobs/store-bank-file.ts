/** Takes one bank file into the database while it goes by. */
import {
  type ChosenBankEntry,
  copyBankEntries,
  findToldDays,
  finishBankFile,
  insertBankFile,
  loadComparable,
  type NewBankEntry,
  openBankStatement,
  prepareStaging,
  stageBankEntries,
  storeBankStatement,
  storeStagedEntries,
  storeStagedSuspects,
  type SuspectedBankEntry,
} from '../db/bank.ts'
import { admitProvedSuspects } from '../db/bank-suspects.ts'
import type { Tx } from '../db/client.ts'
import { FINGERPRINT_VERSION } from '../src/bank/fingerprint.ts'
import {
  type Doubt,
  type IncomingStatement,
  type KnownAccount,
  knownAccount,
  newEntries,
  remember,
  type Suspect,
} from '../src/bank/new-entries.ts'
import type {
  BankFileFlow,
  BankFileOutline,
  FlowingEntry,
  OutlinedEntry,
} from '../src/bank/read-file.ts'
import { balanceState } from '../src/domain/bank-statement.ts'
import { groupBy } from '../src/domain/collections.ts'
import { type Day, maxDay, minDay } from '../src/domain/day.ts'
import type { Currency } from '../src/domain/money.ts'
import { sumOf } from '../src/domain/money.ts'

export interface FileFacts {
  readonly sha256: string
  readonly name: string
  readonly bytes: number
  readonly runId: number
}

/** What became of the entries of a file. */
export interface StoredFile {
  readonly outline: BankFileOutline
  readonly statements: readonly IncomingStatement<OutlinedEntry>[]
  readonly newEntries: number
  readonly suspects: readonly NamedSuspect[]
  readonly doubts: readonly { readonly account: string; readonly doubts: readonly Doubt[] }[]
}

export interface NamedSuspect extends Suspect<OutlinedEntry> {
  /** The file that brought the entry as which it was taken. */
  readonly earlierFile: string
}

/**
 * Stores a file with everything in it; the transaction makes that all or nothing. Entries of days of
 * which nothing was told before are new, and are stored while they go by; the others are put aside
 * until the statement is read to its end, and compared then.
 * @throws InputFault for what is wrong with the file; the transaction must be rolled back then.
 */
export async function storeBankFile(
  tx: Tx,
  flow: BankFileFlow,
  facts: FileFacts,
): Promise<StoredFile> {
  const fileId = await insertBankFile(tx, { ...facts, format: '', formatVersion: null })
  const passage = new Passage(tx, fileId)
  await passage.takeIn(flow.entries)
  const outline = flow.outline()
  await finishBankFile(tx, fileId, outline)
  const statements = outline.statements.map((statement) => {
    const movementMinor = sumOf(statement.entries.map(({ amountMinor }) => amountMinor))
    return { statement, movementMinor, balanceState: balanceState(statement, movementMinor) }
  })
  const ids: number[] = []
  for (const [index, incoming] of statements.entries()) {
    const openedId = passage.openedId(incoming.statement.entries)
    ids.push(
      await storeBankStatement(tx, fileId, { ...incoming, positionInFile: index + 1 }, openedId),
    )
  }
  const stored = statements.map((incoming, index) => ({ ...incoming, id: ids[index] ?? 0 }))
  const compared = await compareRest(tx, passage, stored, fileId)
  await admitProvedSuspects(tx, { fileId, fileName: facts.name, runId: facts.runId })
  return { outline, statements, ...compared }
}

/** Entries put aside that are held at once, before they go to the database. */
const HELD_ENTRIES_MAX = 1_000

/** The entries of one file on their way in. */
class Passage {
  private readonly tx: Tx
  private readonly fileId: number
  /** By `statementKey`. */
  private readonly statementIds = new Map<string, number>()
  /** By the number of their first entry. */
  private readonly idsByFirst = new Map<number, number>()
  /** By `dayKey`: the statement that tells of the day first; null: a file before it did. */
  private readonly tellers = new Map<string, number | null>()
  private readonly ranks = new Map<string, number>()
  private aside: FlowingEntry[] = []
  private hasAside = false

  constructor(tx: Tx, fileId: number) {
    this.tx = tx
    this.fileId = fileId
  }

  /** All entries of the file: each is stored or put aside. */
  async takeIn(batches: Iterable<readonly FlowingEntry[]>): Promise<void> {
    const going = batches[Symbol.iterator]()
    let next = going.next()
    // One COPY for as long as nothing has to be asked: the server stores while the file is read.
    function* known(passage: Passage): Generator<readonly NewBankEntry[], void, undefined> {
      while (next.done !== true && passage.knowsDaysOf(next.value)) {
        yield passage.sorted(next.value)
        next = going.next()
        if (passage.aside.length >= HELD_ENTRIES_MAX) return
      }
    }
    while (next.done !== true) {
      await this.lookUp(next.value)
      await copyBankEntries(this.tx, known(this), FINGERPRINT_VERSION)
      await this.putAside()
    }
  }

  /** The id of the statement that holds these entries; null if it has none. */
  openedId(entries: readonly OutlinedEntry[]): number | null {
    const [first] = entries
    return first === undefined ? null : (this.idsByFirst.get(first.number) ?? null)
  }

  /** Whether an entry of a statement was stored while it went by. */
  isStored(entry: OutlinedEntry, statementId: number): boolean {
    return this.tellers.get(dayKey(entry)) === statementId
  }

  private knowsDaysOf(batch: readonly FlowingEntry[]): boolean {
    return batch.every(
      (flowing, at) =>
        isOfSameDay(flowing, batch[at - 1]) ||
        (this.statementIds.has(statementKey(flowing)) && this.tellers.has(dayKey(flowing.entry))),
    )
  }

  /** Opens the statements and looks up the days that are not known yet. */
  private async lookUp(batch: readonly FlowingEntry[]): Promise<void> {
    for (const flowing of batch) {
      const statement = statementKey(flowing)
      if (this.statementIds.has(statement)) continue
      const place = this.statementIds.size + 1
      const id = await openBankStatement(this.tx, this.fileId, { ...flowing.entry, place })
      this.statementIds.set(statement, id)
      this.idsByFirst.set(flowing.number, id)
    }
    const unknown = batch.filter(({ entry }) => !this.tellers.has(dayKey(entry)))
    for (const ofAccount of groupBy(unknown, ({ entry }) => accountKey(entry)).values()) {
      const [first] = ofAccount
      if (first === undefined) continue
      const { account, currency } = first.entry
      const days = [...new Set(ofAccount.map(({ entry }) => entry.bookingDay))]
      const told = await findToldDays(this.tx, { account, currency, days })
      for (const flowing of ofAccount) {
        const day = dayKey(flowing.entry)
        if (this.tellers.has(day)) continue
        const isTold = told.has(flowing.entry.bookingDay)
        this.tellers.set(day, isTold ? null : this.idOf(flowing))
      }
    }
  }

  private idOf(flowing: FlowingEntry): number {
    const id = this.statementIds.get(statementKey(flowing))
    if (id === undefined) throw new Error(`the statement of ${flowing.entry.place} is not open`)
    return id
  }

  /** The entries of a batch that are new for sure; the others are put aside. */
  private sorted(batch: readonly FlowingEntry[]): NewBankEntry[] {
    const fresh: NewBankEntry[] = []
    let statementId = 0
    let isFresh = false
    for (const [at, flowing] of batch.entries()) {
      if (!isOfSameDay(flowing, batch[at - 1])) {
        statementId = this.idOf(flowing)
        isFresh = this.tellers.get(dayKey(flowing.entry)) === statementId
      }
      if (!isFresh) {
        this.aside.push(flowing)
        continue
      }
      const { number, entry, fingerprint } = flowing
      const fingerprintRank = (this.ranks.get(fingerprint) ?? 0) + 1
      this.ranks.set(fingerprint, fingerprintRank)
      fresh.push({ number, entry, fingerprint, statementId, fingerprintRank })
    }
    return fresh
  }

  private async putAside(): Promise<void> {
    if (this.aside.length === 0) return
    if (!this.hasAside) await prepareStaging(this.tx)
    this.hasAside = true
    await stageBankEntries(this.tx, this.aside, FINGERPRINT_VERSION)
    this.aside = []
  }
}

interface StoredStatement extends IncomingStatement<OutlinedEntry> {
  readonly id: number
}

/** Compares what was put aside with what was known, and stores what is new of it. */
async function compareRest(
  tx: Tx,
  passage: Passage,
  statements: readonly StoredStatement[],
  fileId: number,
): Promise<Pick<StoredFile, 'newEntries' | 'suspects' | 'doubts'>> {
  const chosen: ChosenBankEntry[] = []
  const suspects: SuspectedBankEntry[] = []
  const named: NamedSuspect[] = []
  const doubts: { account: string; doubts: readonly Doubt[] }[] = []
  let added = 0
  for (const ofAccount of groupBy(statements, ({ statement }) => accountKey(statement)).values()) {
    const all = ofAccount.flatMap(({ statement, id }) =>
      statement.entries.map((entry) => ({ entry, id })),
    )
    if (all.every(({ entry, id }) => passage.isStored(entry, id))) {
      added += all.length
      continue
    }
    const { known, fileNames } = await loadKnown(tx, ofAccount, fileId)
    for (const incoming of ofAccount) {
      const { id, statement } = incoming
      const found = newEntries(incoming, known)
      const { fromDay, toDay, openingMinor, closingMinor } = statement
      const days = { fromDay, toDay, openingMinor, closingMinor }
      remember(known, { ...incoming, ...days, source: id, isSameFile: true }, found.entries)
      added += found.entries.length
      for (const { entry, rank } of found.entries) {
        if (passage.isStored(entry, id)) continue
        chosen.push({ number: entry.number, statementId: id, fingerprintRank: rank })
      }
      suspects.push(...withRanks(found.suspects, id))
      for (const suspect of found.suspects) {
        named.push({ ...suspect, earlierFile: fileNames.get(suspect.known.source) ?? '' })
      }
      doubts.push({ account: statement.account, doubts: found.doubts })
    }
  }
  await storeStagedEntries(tx, chosen)
  await storeStagedSuspects(tx, suspects)
  return { newEntries: added, suspects: named, doubts }
}

/** Suspects are told apart as entries are: 1, 2, … among equal ones of one account and day. */
function withRanks(
  suspects: readonly Suspect<OutlinedEntry>[],
  statementId: number,
): SuspectedBankEntry[] {
  const ranks = new Map<string, number>()
  return suspects
    .toSorted((one, other) => one.entry.number - other.entry.number)
    .map(({ entry: { number, fingerprint }, known: { source } }) => {
      const fingerprintRank = (ranks.get(fingerprint) ?? 0) + 1
      ranks.set(fingerprint, fingerprintRank)
      return { number, statementId, knownStatementId: source, fingerprintRank }
    })
}

/** What earlier files said of the days of statements of one account in one currency. */
async function loadKnown(
  tx: Tx,
  statements: readonly IncomingStatement[],
  fileId: number,
): Promise<{ known: KnownAccount; fileNames: Map<number, string> }> {
  const [first] = statements
  if (first === undefined) throw new Error('no statement was to be compared')
  const { account, currency } = first.statement
  let { fromDay, toDay } = first.statement
  const include = (from: Day, to: Day): void => {
    fromDay = minDay(fromDay, from)
    toDay = maxDay(toDay, to)
  }
  for (const { statement } of statements) {
    include(statement.fromDay, statement.toDay)
    for (const { bookingDay } of statement.entries) include(bookingDay, bookingDay)
  }
  const stored = await loadComparable(tx, {
    account,
    currency,
    fromDay,
    toDay,
    fingerprintVersion: FINGERPRINT_VERSION,
    exceptFileId: fileId,
  })
  return {
    fileNames: new Map(stored.statements.map(({ id, fileName }) => [id, fileName])),
    known: knownAccount(
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
  }
}

function accountKey({ account, currency }: { account: string; currency: Currency }): string {
  return `${account} ${currency}`
}

function dayKey(entry: { account: string; currency: Currency; bookingDay: Day }): string {
  return `${entry.account} ${entry.currency} ${entry.bookingDay}`
}

/** Entries of one day mostly stand together, so that their keys need not be made again. */
function isOfSameDay(flowing: FlowingEntry, previous: FlowingEntry | undefined): boolean {
  return (
    previous !== undefined &&
    flowing.statement === previous.statement &&
    flowing.entry.bookingDay === previous.entry.bookingDay &&
    flowing.entry.currency === previous.entry.currency &&
    flowing.entry.account === previous.entry.account
  )
}

function statementKey({ statement, entry }: FlowingEntry): string {
  return `${statement} ${entry.currency}`
}
