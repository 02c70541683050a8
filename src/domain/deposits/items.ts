import type { StoredBankEntry } from '../bank-statement.ts'
import { compareText, groupBy, remembering } from '../collections.ts'
import type { Day } from '../day.ts'
import type { EntityAccounts, EntityFacts, Policy } from '../facts.ts'
import type { Currency } from '../money.ts'
import type { ProvedPayout } from '../payout-proof.ts'
import { addBusinessDays, businessDaysBetween, onOrAfterBusinessDay } from '../target-calendar.ts'
import { namedPayouts, type PayoutReference, type ReferenceIndex } from './references.ts'

/** A payout that looks for its deposit (or, if negative, for its debit). */
export interface PayoutItem {
  readonly entity: string
  readonly payoutId: string
  /** See `nameOf`. */
  readonly name: string
  readonly currency: Currency
  /** Positive when the merchant receives. */
  readonly amountMinor: bigint
  readonly day: Day
  /** Day 0 of its window and the last day of it: TARGET business days. */
  readonly windowFirst: Day
  readonly windowLast: Day
  /** Net of its rows, where that differs from what was sent; see `payout_residual`. */
  readonly rowsNetMinor: bigint
  /** Ids of bank entries that somebody decided are not its money. */
  readonly refusedEntryIds?: ReadonlySet<string>
}

/** A line of the provider at an own account that looks for its payout. */
export interface DepositItem {
  readonly entry: StoredBankEntry
  /** The entity that owns the account. */
  readonly entity: string
  /**
   * The payouts that the line names: one group for each place in its text, each group the payouts
   * that the visible part fits. More than one in a group: the bank cut the reference too short.
   */
  readonly named: readonly (readonly PayoutReference[])[]
}

/** In the order of a board. */
export function payoutItems(payouts: readonly ProvedPayout[], policy: Policy): PayoutItem[] {
  const windowFirst = remembering((day: Day) => onOrAfterBusinessDay(day))
  const windowLast = remembering((day: Day) => addBusinessDays(day, policy.matchWindowDays))
  const items: PayoutItem[] = []
  for (const { own, entity, name, facts, amountMinor, day } of payouts) {
    if (own === null) continue
    items.push({
      entity,
      payoutId: facts.payoutId,
      name,
      currency: facts.currency,
      amountMinor,
      day,
      windowFirst: windowFirst(day),
      windowLast: windowLast(day),
      rowsNetMinor: facts.netMinor,
    })
  }
  return sortedByDay(items, ({ day }) => day, comparePayouts)
}

/** In the order of a comparison that begins with the day: only what shares a day is compared. */
function sortedByDay<T>(
  items: readonly T[],
  dayOf: (item: T) => Day,
  compare: (a: T, b: T) => number,
): T[] {
  const days = [...groupBy(items, dayOf)].sort(([a], [b]) => compareText(a, b))
  return days.flatMap(([, ofDay]) => ofDay.sort(compare))
}

export function comparePayouts(a: PayoutItem, b: PayoutItem): number {
  return (
    compareText(a.day, b.day) ||
    compareText(a.entity, b.entity) ||
    compareText(a.payoutId, b.payoutId)
  )
}

export function compareDeposits(a: DepositItem, b: DepositItem): number {
  return compareEntries(a.entry, b.entry)
}

export function compareEntries(a: StoredBankEntry, b: StoredBankEntry): number {
  return (
    compareText(a.bookingDay, b.bookingDay) ||
    compareText(a.account, b.account) ||
    compareText(a.reference, b.reference) ||
    compareText(a.fingerprint, b.fingerprint) ||
    a.fingerprintRank - b.fingerprintRank
  )
}

/** Which entity owns an account: the one that names it, else the only one that names none. */
export function accountOwners(
  entities: readonly EntityFacts[],
): (account: string) => string | null {
  const named = new Map<string, string>()
  let ofAllOthers: string | null = null
  for (const { entity, account } of entities) {
    for (const iban of account.ibans) named.set(iban, entity)
    if (account.ibans.length === 0) ofAllOthers = entity
  }
  return (account) => named.get(account) ?? ofAllOthers
}

/** Whether a line looks like the provider's: by its text, or by the account it comes from. */
export function isProvidersLine(
  entry: StoredBankEntry,
  { payerPatterns, payerIbans }: EntityAccounts,
): boolean {
  if (entry.counterpartyIban !== null && payerIbans.includes(entry.counterpartyIban)) return true
  const name = entry.counterpartyName ?? ''
  const text = entry.remittance.join(' ')
  return payerPatterns.some((pattern) => pattern.test(name) || pattern.test(text))
}

/** The lines of own accounts. */
export interface OwnLines {
  /** The provider's, in the order of a board. */
  readonly ofProvider: readonly DepositItem[]
  /** All others, by the entity that owns the account. */
  readonly others: ReadonlyMap<string, readonly StoredBankEntry[]>
}

/** A line of 0 brings nothing, so the provider's are left out and nobody else's they are not. */
export function ownLines(
  entries: readonly StoredBankEntry[],
  entities: readonly EntityFacts[],
  references: ReferenceIndex,
): OwnLines {
  const ownerOf = accountOwners(entities)
  const accounts = new Map(entities.map(({ entity, account }) => [entity, account]))
  const ofProvider: DepositItem[] = []
  const others = new Map<string, StoredBankEntry[]>(entities.map(({ entity }) => [entity, []]))
  for (const entry of entries) {
    const entity = ownerOf(entry.account)
    const account = entity === null ? undefined : accounts.get(entity)
    if (entity === null || account === undefined) continue
    if (!isProvidersLine(entry, account)) others.get(entity)?.push(entry)
    else if (entry.amountMinor !== 0n)
      ofProvider.push({ entry, entity, named: namedPayouts(entry, references) })
  }
  return {
    ofProvider: sortedByDay(ofProvider, ({ entry }) => entry.bookingDay, compareDeposits),
    others,
  }
}

/**
 * TARGET business days from a payout to a line: 0 on the payout's day (or the next business day).
 * Null if the line cannot be the payout's: booked before the payout was made, or refused by a
 * decision. Every rung asks this of each pair, so a refused pair is never tied again.
 */
export function lagDays(payout: PayoutItem, entry: StoredBankEntry): number | null {
  if (entry.bookingDay < payout.day || (payout.refusedEntryIds?.has(entry.id) ?? false)) return null
  return businessDaysBetween(payout.day, entry.bookingDay)
}

/** The only payout that the line can mean, or null. */
export function onlyNamed(deposit: DepositItem): PayoutReference | null {
  const [group, ...others] = deposit.named
  const [payout, ...rivals] = group ?? []
  return payout !== undefined && rivals.length === 0 && others.length === 0 ? payout : null
}

export function names(deposit: DepositItem, payout: PayoutItem): boolean {
  return deposit.named.some((group) => group.some(({ name }) => name === payout.name))
}

/** A line for the reader: its reference, day and amount. */
export function lineName(entry: StoredBankEntry): string {
  return `bank line ${entry.reference} of ${entry.bookingDay}`
}
