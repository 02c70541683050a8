import { firstPlace, groupBy } from '../collections.ts'
import type { Policy } from '../facts.ts'
import { absolute, sumOf } from '../money.ts'
import { businessDaysBetween } from '../target-calendar.ts'
import { type Board, type DepositMatch, without } from './board.ts'
import { linesNaming } from './by-reference.ts'
import {
  compareDeposits,
  type DepositItem,
  lagDays,
  names,
  onlyNamed,
  type PayoutItem,
} from './items.ts'
import { depositsWithin, itemsIn, type Lags, payoutsWithin } from './windows.ts'

/** What the rungs left over and what ties it all the same, each a discrepancy by itself. */

/** A payout and a line that belong together although their amounts differ. */
export interface AmountDiffers {
  readonly payouts: readonly [PayoutItem]
  readonly deposits: readonly DepositItem[]
  readonly because: 'reference' | 'only_pair'
}

/** A payout of which a part has come, while the rest may still come. */
export interface PartlyArrived {
  readonly payouts: readonly [PayoutItem]
  readonly deposits: readonly DepositItem[]
}

/**
 * Lines that name the payout and bring much less than it, while its window is not over or not
 * covered: the first part of a split, until nothing more can come. A line that is short by little is
 * no part of anything.
 */
export function partsByReference(
  board: Board,
  policy: Policy,
  isOver: (payout: PayoutItem) => boolean,
): PartlyArrived[] {
  return linesNaming(board, policy).flatMap(({ payout, deposits }): PartlyArrived[] => {
    const cameMinor = sumOf(deposits.map(({ entry }) => entry.amountMinor))
    const isPart = absolute(cameMinor) < absolute(payout.amountMinor)
    return !isPart || isOver(payout) || isNear(payout, cameMinor)
      ? []
      : [{ payouts: [payout], deposits }]
  })
}

/** The reference says it is this payout, and the amount differs. */
export function differsByReference(board: Board, policy: Policy): AmountDiffers[] {
  return linesNaming(board, policy).map(({ payout, deposits }) => ({
    payouts: [payout],
    deposits,
    because: 'reference',
  }))
}

const DIFFERENCE_MAX_PERCENT = 10n
const DIFFERENCE_MAX_MINOR = 50_00n

/**
 * Only this pair is left in the window, and differs by at most 10 % or 50.00, whichever is more. The
 * window must be over and covered: until then the right line may still come.
 */
export function differsAsOnlyPair(
  board: Board,
  policy: Policy,
  isOver: (payout: PayoutItem) => boolean,
): AmountDiffers[] {
  return onlyPairs(board, {
    lags: { from: 0, to: policy.matchWindowDays },
    payoutKey: ({ entity, currency, amountMinor }) => keyOf(entity, currency, amountMinor > 0n),
    depositKey: ({ entity, entry }) => keyOf(entity, entry.currency, entry.amountMinor > 0n),
    couldBelong: (payout, deposit) => couldPay(payout, deposit, policy),
  }).flatMap(({ payout, deposit }): AmountDiffers[] =>
    isOver(payout) && isNear(payout, deposit.entry.amountMinor)
      ? [{ payouts: [payout], deposits: [deposit], because: 'only_pair' }]
      : [],
  )
}

function keyOf(...parts: (string | bigint | boolean)[]): string {
  return parts.join('\u0000')
}

/** What could belong together; only items of one key can. */
interface Likeness {
  readonly lags: Lags
  readonly payoutKey: (payout: PayoutItem) => string
  readonly depositKey: (deposit: DepositItem) => string
  readonly couldBelong: (payout: PayoutItem, deposit: DepositItem) => boolean
}

/** Pairs of a payout and a line of which neither could belong to any other, in order of the payouts. */
function onlyPairs(
  { payouts, deposits }: Board,
  { lags, payoutKey, depositKey, couldBelong }: Likeness,
): { payout: PayoutItem; deposit: DepositItem }[] {
  const payoutsOf = groupBy(payouts, payoutKey)
  const depositsOf = groupBy(deposits, depositKey)
  return payouts.flatMap((payout) => {
    const lines = depositsOf.get(payoutKey(payout)) ?? []
    const deposit = theOnly(itemsIn(lines, depositsWithin(lines, payout.day, lags)), (line) =>
      couldBelong(payout, line),
    )
    if (deposit === null) return []
    const rivals = payoutsOf.get(payoutKey(payout)) ?? []
    const around = itemsIn(rivals, payoutsWithin(rivals, deposit.entry.bookingDay, lags))
    return theOnly(around, (rival) => couldBelong(rival, deposit)) === payout
      ? [{ payout, deposit }]
      : []
  })
}

/** The one item that fits, null if none does or several do. */
function theOnly<T>(items: readonly T[], fits: (item: T) => boolean): T | null {
  const first = items.findIndex(fits)
  if (first === -1 || items.slice(first + 1).some(fits)) return null
  return items[first] ?? null
}

function couldPay(
  payout: PayoutItem,
  { entity, entry, named }: DepositItem,
  policy: Policy,
): boolean {
  if (named.length > 0 || payout.entity !== entity || payout.currency !== entry.currency)
    return false
  if (payout.amountMinor > 0n !== entry.amountMinor > 0n) return false
  const lag = lagDays(payout, entry)
  return lag !== null && lag <= policy.matchWindowDays
}

function isNear(payout: PayoutItem, cameMinor: bigint): boolean {
  const differenceMinor = absolute(payout.amountMinor - cameMinor)
  return (
    differenceMinor <= DIFFERENCE_MAX_MINOR ||
    differenceMinor * 100n <= absolute(payout.amountMinor) * DIFFERENCE_MAX_PERCENT
  )
}

/** A payout that arrived at another entity's account, or in another currency. */
export interface Elsewhere {
  readonly payouts: readonly [PayoutItem]
  readonly deposits: readonly [DepositItem]
  readonly what: 'account' | 'currency'
  readonly because: 'reference' | 'only_pair'
}

/** By reference first; else where exactly one open payout and one open line of its amount are left. */
export function arrivedElsewhere(board: Board, policy: Policy): Elsewhere[] {
  const named = namedElsewhere(board, policy)
  const open = without(board, named)
  const unnamed = open.deposits.filter((deposit) => deposit.named.length === 0)
  const figures = onlyPairs(
    { payouts: open.payouts, deposits: unnamed },
    {
      lags: { from: 0, to: policy.matchWindowDays },
      payoutKey: ({ amountMinor }) => keyOf(amountMinor),
      depositKey: ({ entry }) => keyOf(entry.amountMinor),
      couldBelong: (payout, deposit) => elsewhere(payout, deposit, policy.matchWindowDays) !== null,
    },
  )
  return [
    ...named,
    ...figures.flatMap(({ payout, deposit }) =>
      asElsewhere(payout, deposit, policy.matchWindowDays, 'only_pair'),
    ),
  ]
}

/** Payouts that exactly one line elsewhere names, in order of the payouts. */
function namedElsewhere(board: Board, policy: Policy): Elsewhere[] {
  const linesOf = groupBy(
    board.deposits.flatMap((deposit) => {
      const named = onlyNamed(deposit)
      return named === null ? [] : [{ name: named.name, deposit }]
    }),
    ({ name }) => name,
  )
  return board.payouts.flatMap((payout) => {
    const lines = (linesOf.get(payout.name) ?? []).map(({ deposit }) => deposit)
    const deposit = theOnly(
      lines,
      (line) => elsewhere(payout, line, policy.lateWindowDays) !== null,
    )
    return deposit === null ? [] : asElsewhere(payout, deposit, policy.lateWindowDays, 'reference')
  })
}

function asElsewhere(
  payout: PayoutItem,
  deposit: DepositItem,
  lagMax: number,
  because: Elsewhere['because'],
): Elsewhere[] {
  const what = elsewhere(payout, deposit, lagMax)
  return what === null ? [] : [{ payouts: [payout], deposits: [deposit], what, because }]
}

/** What of the line is not the payout's: the account or the currency; null if neither, or too late. */
function elsewhere(
  payout: PayoutItem,
  { entity, entry }: DepositItem,
  lagMax: number,
): Elsewhere['what'] | null {
  const what =
    entity !== payout.entity ? 'account' : entry.currency !== payout.currency ? 'currency' : null
  if (what === null || payout.amountMinor > 0n !== entry.amountMinor > 0n) return null
  const lag = lagDays(payout, entry)
  return lag !== null && lag <= lagMax ? what : null
}

/** A credit that was sent back, and the line that paid it again. */
export interface ReturnedCredit {
  /** The match whose line went back; null for a credit that belonged to no payout. */
  readonly match: DepositMatch | null
  readonly credit: DepositItem
  readonly debit: DepositItem
  readonly again: DepositItem | null
}

/**
 * Debits of the provider that undo a credit: the same amount at the same account, later, within the
 * days in which a deposit is tied to its payout. A debit that names a payout undoes that payout's
 * credit; one that names none undoes the only credit of its amount, or nothing.
 */
export function returnedCredits(
  board: Board,
  matches: readonly DepositMatch[],
  policy: Policy,
): ReturnedCredit[] {
  const debits = board.deposits.filter(({ entry }) => entry.amountMinor < 0n)
  // Most lines are credits that nothing undoes: only those of a debit's figure are put in order.
  const figures = new Set(debits.map(oppositeKey))
  const isUndone = (line: DepositItem): boolean =>
    figures.size > 0 && line.entry.amountMinor > 0n && figures.has(figureKey(line))
  const matchOf = new Map<DepositItem, DepositMatch>()
  for (const match of matches) {
    for (const deposit of match.deposits) if (isUndone(deposit)) matchOf.set(deposit, match)
  }
  const openOf = groupBy(board.deposits.filter(isUndone), figureKey)
  const creditsOf = groupBy(
    [...matchOf.keys(), ...board.deposits.filter(isUndone)].toSorted(compareDeposits),
    figureKey,
  )
  const used = new Set<DepositItem>()
  const returned: ReturnedCredit[] = []
  for (const debit of debits) {
    const credits = creditsOf.get(oppositeKey(debit)) ?? []
    const day = debit.entry.bookingDay
    const earliest = firstPlace(
      credits,
      ({ entry }) => businessDaysBetween(entry.bookingDay, day) <= policy.lateWindowDays,
    )
    const end = firstPlace(credits, ({ entry }) => entry.bookingDay > day)
    const candidates = credits
      .slice(earliest, end)
      .filter((credit) => !used.has(credit) && mayBelong(debit, credit, matchOf.get(credit)))
    // A surplus credit goes back before one that pays a payout is said to.
    const surplus = candidates.filter((credit) => !matchOf.has(credit))
    const [credit, ...rivals] = surplus.length > 0 ? surplus : candidates
    if (credit === undefined || rivals.length > 0) continue
    used.add(credit)
    const match = matchOf.get(credit) ?? null
    const again =
      match === null
        ? null
        : paidAgain(openOf.get(figureKey(credit)) ?? [], used, debit, match, policy)
    if (again !== null) used.add(again)
    returned.push({ match, credit, debit, again })
  }
  return returned
}

/** Account, currency and amount of a line. */
function figureKey({ entry }: DepositItem): string {
  return keyOf(entry.account, entry.currency, entry.amountMinor)
}

/** The same of what the line would undo. */
function oppositeKey({ entry }: DepositItem): string {
  return keyOf(entry.account, entry.currency, -entry.amountMinor)
}

function mayBelong(
  debit: DepositItem,
  credit: DepositItem,
  match: DepositMatch | undefined,
): boolean {
  if (debit.named.length === 0) return true
  if (match !== undefined) return match.payouts.some((payout) => names(debit, payout))
  const named = onlyNamed(debit)
  const creditNamed = onlyNamed(credit)
  return named !== null && creditNamed !== null && named.name === creditNamed.name
}

/**
 * The open line that pays a returned payout again: it names the payout, or is the only one of its
 * amount.
 * @param open credits of the returned amount at the same account, in order of their days.
 */
function paidAgain(
  open: readonly DepositItem[],
  used: ReadonlySet<DepositItem>,
  { entry: { bookingDay: returnedOn } }: DepositItem,
  match: DepositMatch,
  policy: Policy,
): DepositItem | null {
  const soonAfter = depositsWithin(open, returnedOn, { from: 0, to: policy.lateWindowDays })
  const candidates = itemsIn(open, soonAfter).filter(
    (deposit) =>
      !used.has(deposit) &&
      match.payouts.every((payout) => lagDays(payout, deposit.entry) !== null),
  )
  const naming = candidates.filter((deposit) =>
    match.payouts.some((payout) => names(deposit, payout)),
  )
  if (naming.length > 0) return naming[0] ?? null
  const anonymous = candidates.filter((deposit) => deposit.named.length === 0)
  return anonymous.length === 1 ? (anonymous[0] ?? null) : null
}
