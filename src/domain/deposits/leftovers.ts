import { groupBy } from '../collections.ts'
import type { Policy } from '../facts.ts'
import { absolute, sumOf } from '../money.ts'
import { businessDaysBetween } from '../target-calendar.ts'
import { type Board, type DepositMatch, without } from './board.ts'
import { linesNaming, nameOf } from './by-reference.ts'
import { type DepositItem, lagDays, names, onlyNamed, type PayoutItem } from './items.ts'

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
  const near = board.payouts.flatMap((payout) =>
    board.deposits
      .filter((deposit) => couldPay(payout, deposit, policy))
      .map((deposit) => ({ payout, deposit })),
  )
  const ofPayout = groupBy(near, ({ payout }) => payout)
  const ofDeposit = groupBy(near, ({ deposit }) => deposit)
  return near.flatMap(({ payout, deposit }): AmountDiffers[] => {
    const alone = ofPayout.get(payout)?.length === 1 && ofDeposit.get(deposit)?.length === 1
    if (!alone || !isOver(payout) || !isNear(payout, deposit.entry.amountMinor)) return []
    return [{ payouts: [payout], deposits: [deposit], because: 'only_pair' }]
  })
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
  const found: Elsewhere[] = []
  let open = board
  for (const because of ['reference', 'only_pair'] as const) {
    const pairs = open.payouts.flatMap((payout) =>
      open.deposits.flatMap((deposit) => {
        const what = elsewhere(payout, deposit, because, policy)
        return what === null ? [] : [{ payout, deposit, what }]
      }),
    )
    const ofPayout = groupBy(pairs, ({ payout }) => payout)
    const ofDeposit = groupBy(pairs, ({ deposit }) => deposit)
    const sure = pairs.filter(
      ({ payout, deposit }) =>
        ofPayout.get(payout)?.length === 1 && ofDeposit.get(deposit)?.length === 1,
    )
    const taken = sure.map(({ payout, deposit, what }): Elsewhere => ({
      payouts: [payout],
      deposits: [deposit],
      what,
      because,
    }))
    found.push(...taken)
    open = without(open, taken)
  }
  return found
}

function elsewhere(
  payout: PayoutItem,
  deposit: DepositItem,
  because: 'reference' | 'only_pair',
  policy: Policy,
): 'account' | 'currency' | null {
  const { entity, entry } = deposit
  const what =
    entity !== payout.entity ? 'account' : entry.currency !== payout.currency ? 'currency' : null
  if (what === null || payout.amountMinor > 0n !== entry.amountMinor > 0n) return null
  const lag = lagDays(payout, entry)
  if (lag === null) return null
  if (because === 'reference') {
    const named = onlyNamed(deposit)
    const isNamed = named !== null && nameOf(named) === nameOf(payout)
    return isNamed && lag <= policy.lateWindowDays ? what : null
  }
  const sameFigure = entry.amountMinor === payout.amountMinor
  return deposit.named.length === 0 && sameFigure && lag <= policy.matchWindowDays ? what : null
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
  const matchOf = new Map(
    matches.flatMap((match) => match.deposits.map((deposit) => [deposit, match] as const)),
  )
  const credits = [...matchOf.keys(), ...board.deposits].filter(
    ({ entry }) => entry.amountMinor > 0n,
  )
  const used = new Set<DepositItem>()
  const returned: ReturnedCredit[] = []
  for (const debit of board.deposits.filter(({ entry }) => entry.amountMinor < 0n)) {
    const candidates = credits.filter(
      (credit) =>
        !used.has(credit) &&
        undoes(debit, credit, policy) &&
        mayBelong(debit, credit, matchOf.get(credit)),
    )
    // A surplus credit goes back before one that pays a payout is said to.
    const surplus = candidates.filter((credit) => !matchOf.has(credit))
    const [credit, ...rivals] = surplus.length > 0 ? surplus : candidates
    if (credit === undefined || rivals.length > 0) continue
    used.add(credit)
    const match = matchOf.get(credit) ?? null
    const again = match === null ? null : paidAgain(board, credit, debit, match, used, policy)
    if (again !== null) used.add(again)
    returned.push({ match, credit, debit, again })
  }
  return returned
}

function undoes(debit: DepositItem, credit: DepositItem, policy: Policy): boolean {
  const [out, into] = [debit.entry, credit.entry]
  return (
    out.account === into.account &&
    out.currency === into.currency &&
    out.amountMinor === -into.amountMinor &&
    out.bookingDay >= into.bookingDay &&
    businessDaysBetween(into.bookingDay, out.bookingDay) <= policy.lateWindowDays
  )
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
  return named !== null && creditNamed !== null && nameOf(named) === nameOf(creditNamed)
}

/** The open line that pays a returned payout again: it names the payout, or is the only one of its amount. */
function paidAgain(
  board: Board,
  credit: DepositItem,
  debit: DepositItem,
  match: DepositMatch,
  used: ReadonlySet<DepositItem>,
  policy: Policy,
): DepositItem | null {
  const candidates = board.deposits.filter(
    (deposit) =>
      !used.has(deposit) &&
      deposit !== credit &&
      match.payouts.every((payout) => lagDays(payout, deposit.entry) !== null) &&
      deposit.entry.account === credit.entry.account &&
      deposit.entry.currency === credit.entry.currency &&
      deposit.entry.amountMinor === credit.entry.amountMinor &&
      deposit.entry.bookingDay >= debit.entry.bookingDay &&
      businessDaysBetween(debit.entry.bookingDay, deposit.entry.bookingDay) <=
        policy.lateWindowDays,
  )
  const naming = candidates.filter((deposit) =>
    match.payouts.some((payout) => names(deposit, payout)),
  )
  if (naming.length > 0) return naming[0] ?? null
  const anonymous = candidates.filter((deposit) => deposit.named.length === 0)
  return anonymous.length === 1 ? (anonymous[0] ?? null) : null
}
