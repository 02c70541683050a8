import type { BalanceState } from '../domain/bank-statement.ts'
import { groupBy } from '../domain/collections.ts'
import type { Day } from '../domain/day.ts'
import { sumOf } from '../domain/money.ts'
import { tellsById } from './fingerprint.ts'
import type { ComparedEntry, StatementOf } from './reader.ts'

/**
 * Which entries of a statement are new, where files overlap, repeat each other, or tell of one day in
 * parts. Losing an entry is the worst fault here, since nobody would see it; taking one twice is the
 * second. So entries are the same only if they look the same or if balances prove it.
 */

/** A statement that is stored already, or stands earlier in the same file. */
export interface KnownStatement {
  /** Tells known statements apart; entries name theirs by it. */
  readonly source: number
  readonly isSameFile: boolean
  readonly fromDay: Day
  readonly toDay: Day
  readonly openingMinor: bigint | null
  readonly closingMinor: bigint | null
  readonly movementMinor: bigint
  readonly balanceState: BalanceState
}

export interface KnownEntry {
  /** The statement that brought it first. */
  readonly source: number
  readonly bookingDay: Day
  readonly amountMinor: bigint
  readonly fingerprint: string
  readonly rank: number
}

/** What is known of one account in one currency, as far as it concerns the days at hand. */
export interface KnownAccount {
  /** By source. */
  readonly statements: Map<number, KnownStatement>
  readonly days: Map<Day, KnownDay>
}

interface KnownDay {
  readonly entries: KnownEntry[]
  totalMinor: bigint
}

export function knownAccount(
  statements: readonly KnownStatement[],
  entries: readonly KnownEntry[],
): KnownAccount {
  const known: KnownAccount = { statements: new Map(), days: new Map() }
  for (const statement of statements) known.statements.set(statement.source, statement)
  for (const entry of entries) rememberEntry(known, entry)
  return known
}

/** Adds a statement and the entries that it brought, so that the next ones are compared with them. */
export function remember(
  known: KnownAccount,
  statement: KnownStatement,
  entries: readonly NewEntry[],
): void {
  const { source } = statement
  known.statements.set(source, statement)
  for (const { entry, fingerprint, rank } of entries) {
    const { bookingDay, amountMinor } = entry
    rememberEntry(known, { source, bookingDay, amountMinor, fingerprint, rank })
  }
}

function rememberEntry(known: KnownAccount, entry: KnownEntry): void {
  const day = known.days.get(entry.bookingDay)
  if (day === undefined) {
    known.days.set(entry.bookingDay, { entries: [entry], totalMinor: entry.amountMinor })
  } else {
    day.entries.push(entry)
    day.totalMinor += entry.amountMinor
  }
}

/** An entry with what tells whether it is known. */
interface FingerprintedEntry extends ComparedEntry {
  readonly fingerprint: string
}

/** A statement whose entries are to be compared with those that are known. */
export interface IncomingStatement<Entry extends FingerprintedEntry = FingerprintedEntry> {
  readonly statement: StatementOf<Entry>
  readonly movementMinor: bigint
  readonly balanceState: BalanceState
}

/** What entries are compared by. */
interface Comparable {
  readonly fingerprint: string
  readonly bookingDay: Day
  readonly amountMinor: bigint
}

interface IncomingEntry<Entry extends FingerprintedEntry = FingerprintedEntry> extends Comparable {
  readonly entry: Entry
}

export interface NewEntry<
  Entry extends FingerprintedEntry = FingerprintedEntry,
> extends IncomingEntry<Entry> {
  /** 1, 2, … among equal entries of the account and booking day, known ones counted. */
  readonly rank: number
}

/**
 * What nothing decides. `kept`: this statement and earlier ones tell different entries of the day,
 * and all were kept. `merged`: entries look the same and were taken as the same, although the
 * statements' balances do not fit that.
 */
export interface Doubt {
  readonly day: Day
  readonly outcome: 'kept' | 'merged'
}

/**
 * An entry that looks different from all known ones, and yet has the day and amount of one that an
 * earlier file told and this one does not: probably the same money in other words. It is not taken
 * in, since money that counts twice is worse to find than money that waits for a person.
 */
export interface Suspect<Entry extends FingerprintedEntry = FingerprintedEntry> {
  readonly entry: Entry
  /** The entry as which it was taken. */
  readonly known: KnownEntry
}

export interface NewEntries<Entry extends FingerprintedEntry> {
  readonly entries: readonly NewEntry<Entry>[]
  readonly suspects: readonly Suspect<Entry>[]
  readonly doubts: readonly Doubt[]
}

/** The entries of `incoming` that are not known yet, in the order of the file, with their ranks. */
export function newEntries<Entry extends FingerprintedEntry>(
  incoming: IncomingStatement<Entry>,
  known: KnownAccount,
): NewEntries<Entry> {
  const given = incoming.statement.entries.map((entry) => ({
    entry,
    fingerprint: entry.fingerprint,
    bookingDay: entry.bookingDay,
    amountMinor: entry.amountMinor,
  }))
  const entries: NewEntry<Entry>[] = []
  const suspects: Suspect<Entry>[] = []
  const doubts: Doubt[] = []
  for (const [day, ofDay] of groupBy(given, ({ entry }) => entry.bookingDay)) {
    const there = known.days.get(day)?.entries ?? []
    const found =
      there.length === 0
        ? { fresh: ofDay, suspects: [], doubt: null }
        : (provedByBalance(incoming, day, ofDay, known) ??
          byFingerprint(incoming, given, ofDay, there, known))
    for (const entry of ranked(found.fresh, there)) entries.push(entry)
    suspects.push(...found.suspects)
    if (found.doubt !== null) doubts.push({ day, outcome: found.doubt })
  }
  entries.sort((one, other) => one.entry.position - other.entry.position)
  return { entries, suspects, doubts }
}

/** The part of what a statement says of a day that nobody said before. */
interface Fresh<Entry extends FingerprintedEntry> {
  readonly fresh: readonly IncomingEntry<Entry>[]
  readonly suspects: readonly Suspect<Entry>[]
  readonly doubt: Doubt['outcome'] | null
}

function ranked<Entry extends FingerprintedEntry>(
  fresh: readonly IncomingEntry<Entry>[],
  there: readonly KnownEntry[],
): NewEntry<Entry>[] {
  const ranks = new Map<string, number>()
  for (const { fingerprint, rank } of there) {
    ranks.set(fingerprint, Math.max(rank, ranks.get(fingerprint) ?? 0))
  }
  return fresh.map((given) => {
    const rank = (ranks.get(given.fingerprint) ?? 0) + 1
    ranks.set(given.fingerprint, rank)
    return { ...given, rank }
  })
}

/**
 * Two statements that add up and that say the same balance for the beginning of a day tell of the
 * same entries of that day, in whatever words: the one that tells less is the beginning of the
 * other. Unless the entries they share add up to nothing: then they might as well follow each other.
 * @returns the entries that only the incoming statement has; null where balances prove nothing.
 */
function provedByBalance<Entry extends FingerprintedEntry>(
  incoming: IncomingStatement<Entry>,
  day: Day,
  ofDay: readonly IncomingEntry<Entry>[],
  known: KnownAccount,
): Fresh<Entry> | null {
  const before = incomingBalanceBefore(incoming, day)
  if (before === null) return null
  const statements = [...known.statements.values()]
  if (!statements.some((statement) => knownBalanceBefore(statement, day, known) === before)) {
    return null
  }
  const alike = pairUp(ofDay, known.days.get(day)?.entries ?? [], byLooks)
  const { left, right } = pairUp(alike.left, alike.right, ({ amountMinor }) => String(amountMinor))
  if (left.length > 0 && right.length > 0) return null
  const sharedMinor = totalOf(ofDay) - totalOf(left)
  return sharedMinor === 0n ? null : { fresh: left, suspects: [], doubt: null }
}

function incomingBalanceBefore(
  { statement, balanceState }: IncomingStatement,
  day: Day,
): bigint | null {
  const { fromDay, toDay, openingMinor, entries } = statement
  if (balanceState !== 'verified' || openingMinor === null) return null
  // An entry booked outside of the statement's days does not stand between its balances by days.
  if (entries.some(({ bookingDay }) => bookingDay < fromDay || bookingDay > toDay)) return null
  const earlier = entries.filter(({ bookingDay }) => bookingDay < day)
  return openingMinor + sumOf(earlier.map(({ amountMinor }) => amountMinor))
}

/** The balance with which a day of a known statement begins; null where it cannot be told. */
function knownBalanceBefore(
  statement: KnownStatement,
  day: Day,
  known: KnownAccount,
): bigint | null {
  const { fromDay, toDay, openingMinor, movementMinor, balanceState } = statement
  if (balanceState !== 'verified' || openingMinor === null) return null
  if (day < fromDay || day > toDay) return null
  let wholeMinor = 0n
  let earlierMinor = 0n
  for (const [bookingDay, { totalMinor }] of known.days) {
    if (bookingDay < fromDay || bookingDay > toDay) continue
    wholeMinor += totalMinor
    if (bookingDay < day) earlierMinor += totalMinor
  }
  // Days that other statements complete are not this statement's alone.
  return wholeMinor === movementMinor ? openingMinor + earlierMinor : null
}

/**
 * Equal entries are the same as often as an earlier statement has them; the second of two equal
 * entries of one statement is another entry. Statements that follow each other share nothing. What
 * then is left on both sides with one amount is suspected to be the same.
 */
function byFingerprint<Entry extends FingerprintedEntry>(
  incoming: IncomingStatement<Entry>,
  given: readonly IncomingEntry<Entry>[],
  ofDay: readonly IncomingEntry<Entry>[],
  there: readonly KnownEntry[],
  known: KnownAccount,
): Fresh<Entry> {
  const relationsBy = (keyOf: KeyOf): ((source: number) => Relation) => {
    const relations = new Map<number, Relation>()
    return (source) => {
      const found =
        relations.get(source) ?? relate(incoming, given, known.statements.get(source), known, keyOf)
      relations.set(source, found)
      return found
    }
  }
  const relationTo = relationsBy(byLooks)
  const shared = there.filter(({ source }) => relationTo(source) !== 'apart')
  const sure = shared.filter(({ source }) => relationTo(source) === 'overlapping')
  const { left, right } = pairUp(ofDay, shared, byLooks)
  const unsure = pairUp(ofDay, sure, byLooks).left.length - left.length
  const relationByAmount = relationsBy(byAmount)
  const mayBeSame = right.filter(({ source }) => relationByAmount(source) === 'overlapping')
  const { pairs, left: fresh } = pairByAmount(left, mayBeSame)
  const suspects = pairs.map(([{ entry }, other]) => ({ entry, known: other }))
  if (unsure > 0) return { fresh, suspects, doubt: 'merged' }
  const isKept = fresh.length > 0 && right.length > suspects.length
  return { fresh, suspects, doubt: isKept ? 'kept' : null }
}

type KeyOf = (item: Comparable) => string

const byLooks: KeyOf = ({ fingerprint }) => fingerprint

const byAmount: KeyOf = ({ bookingDay, amountMinor }) => `${bookingDay} ${amountMinor}`

/** Pairs entries of one day and amount, but never two with ids of their own: those are two. */
function pairByAmount<Entry extends FingerprintedEntry>(
  left: readonly IncomingEntry<Entry>[],
  right: readonly KnownEntry[],
) {
  const hasId = ({ fingerprint }: Comparable): boolean => tellsById(fingerprint)
  const others = pairUp(
    left.filter((entry) => !hasId(entry)),
    right,
    byAmount,
  )
  const withIds = pairUp(
    left.filter(hasId),
    others.right.filter((entry) => !hasId(entry)),
    byAmount,
  )
  return {
    pairs: [...others.pairs, ...withIds.pairs],
    left: [...others.left, ...withIds.left],
  }
}

/** `apart`: the statements share no entry. `overlapping`: they may. `unclear`: their balances say no, yet nothing says that they follow each other. */
type Relation = 'apart' | 'overlapping' | 'unclear'

/**
 * How a known statement lies to the incoming one. They are apart where one follows the other, maybe
 * with statements between them, each opening with the balance with which the one before closes.
 * Equal balances may be chance where what both have in common adds up to nothing, or where the
 * account came back to an earlier balance: then they count as overlapping.
 */
function relate(
  incoming: IncomingStatement,
  given: readonly IncomingEntry[],
  other: KnownStatement | undefined,
  known: KnownAccount,
  keyOf: KeyOf,
): Relation {
  if (other?.isSameFile === true) return 'apart'
  const { openingMinor, closingMinor, fromDay, toDay } = incoming.statement
  if (other?.balanceState !== 'verified' || incoming.balanceState !== 'verified') {
    return 'overlapping'
  }
  const { openingMinor: itsOpeningMinor, closingMinor: itsClosingMinor } = other
  if (openingMinor === null || closingMinor === null) return 'overlapping'
  if (itsOpeningMinor === null || itsClosingMinor === null) return 'overlapping'
  const its = entriesBroughtBy(other, known)
  if (its === null) return 'overlapping'
  const common = pairUp(given, its, keyOf).pairs.map(([entry]) => entry)
  const commonMinor = totalOf(common)
  if (common.length > 0 && commonMinor === 0n) return 'overlapping'
  const span = { openingMinor, closingMinor, fromDay, toDay }
  if (chained(other, span) || chained(span, other)) return 'apart'
  // Were they to overlap, the one would begin before the other ends, by just what they share.
  const fits =
    openingMinor === itsOpeningMinor ||
    openingMinor === itsClosingMinor - commonMinor ||
    itsOpeningMinor === closingMinor - commonMinor
  if (fits) return 'overlapping'
  if (leadsTo(other, span, known) || leadsTo(span, other, known)) return 'apart'
  const mayContain =
    (common.length === given.length &&
      mayAddUpTo(openingMinor - itsOpeningMinor, rest(its, common, keyOf))) ||
    (common.length === its.length &&
      mayAddUpTo(itsOpeningMinor - openingMinor, rest(given, common, keyOf)))
  return mayContain || common.length === 0 ? 'overlapping' : 'unclear'
}

function rest(
  all: readonly Comparable[],
  common: readonly Comparable[],
  keyOf: KeyOf,
): Comparable[] {
  return pairUp(all, common, keyOf).left
}

/** Above this many different sums, any sum is taken to be possible. */
const SUMS_MAX = 4_096

/** Whether some of the entries may add up to an amount: those before a statement that lies inside another. */
function mayAddUpTo(targetMinor: bigint, entries: readonly Comparable[]): boolean {
  let sums = new Set([0n])
  for (const { amountMinor } of entries) {
    sums = new Set([...sums].flatMap((sum) => [sum, sum + amountMinor]))
    if (sums.size > SUMS_MAX) return true
  }
  return sums.has(targetMinor)
}

type Span = Pick<KnownStatement, 'openingMinor' | 'closingMinor' | 'fromDay' | 'toDay'>

function chained(first: Span, second: Span): boolean {
  return (
    first.closingMinor !== null &&
    first.closingMinor === second.openingMinor &&
    first.fromDay <= second.fromDay &&
    first.toDay <= second.fromDay
  )
}

/** Whether known statements lead from the end of one to the beginning of the other without a break. */
function leadsTo(first: Span, last: Span, known: KnownAccount): boolean {
  const verified = [...known.statements.values()].filter(
    ({ balanceState }) => balanceState === 'verified',
  )
  const reached = new Set<Span>([first])
  // A set is walked in the order in which it grows, so each statement is looked at once.
  for (const span of reached) {
    if (span !== first && chained(span, last)) return true
    for (const next of verified) if (chained(span, next)) reached.add(next)
  }
  return false
}

/** Null if some of the statement's entries were brought by others, so that they cannot be told. */
function entriesBroughtBy(
  { source, fromDay, toDay, movementMinor }: KnownStatement,
  known: KnownAccount,
): readonly KnownEntry[] | null {
  const its = [...known.days]
    .filter(([day]) => fromDay <= day && day <= toDay)
    .flatMap(([, { entries }]) => entries.filter((entry) => entry.source === source))
  return totalOf(its) === movementMinor ? its : null
}

function totalOf(entries: readonly Comparable[]): bigint {
  return sumOf(entries.map(({ amountMinor }) => amountMinor))
}

/** Pairs items of two lists one to one where their keys are equal; gives the pairs and what is left of each. */
function pairUp<L extends Comparable, R extends Comparable>(
  left: readonly L[],
  right: readonly R[],
  keyOf: KeyOf,
): { pairs: [L, R][]; left: L[]; right: R[] } {
  const waiting = groupBy(right, keyOf)
  const pairs: [L, R][] = []
  const unpaired = left.filter((item) => {
    const other = waiting.get(keyOf(item))?.pop()
    if (other !== undefined) pairs.push([item, other])
    return other === undefined
  })
  return { pairs, left: unpaired, right: [...waiting.values()].flat() }
}
