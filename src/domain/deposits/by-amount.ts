import { groupBy } from '../collections.ts'
import type { Policy } from '../facts.ts'
import { money } from '../findings.ts'
import { assign, assignStretches } from './assign.ts'
import type { Board, DepositMatch, Pass } from './board.ts'
import { type DepositItem, lagDays, lineName, names, type PayoutItem } from './items.ts'
import { depositsWithin, type Lags, openPlaces, payoutsWithin, type Stretch } from './windows.ts'

/**
 * Rungs 2 and 3: equal amounts in the window. The payouts and lines of one amount fall into groups
 * that compete only among themselves (the connected components of "could belong together"): one
 * payout and one line are a match; more are interchangeable, are matched in order of days and say so.
 */

/** Which rung of the two a pass is, and how many business days after the payout it looks. */
interface Reach {
  readonly groups: boolean
  /** Where it looks, in words. */
  readonly where: (policy: Policy) => string
  readonly lagDays: (policy: Policy) => Lags
}

const inTime = {
  lagDays: (policy: Policy) => ({ from: 0, to: policy.matchWindowDays }),
  where: () => 'in the window',
}
const late = {
  lagDays: (policy: Policy) => ({ from: policy.matchWindowDays + 1, to: policy.lateWindowDays }),
  where: ({ lateWindowDays }: Policy) =>
    `after the window, within ${lateWindowDays} business days of the payout`,
}

export const matchByAmountAndDate: Pass = equalAmountPass({ groups: false, ...inTime })
export const matchEqualAmountGroups: Pass = equalAmountPass({ groups: true, ...inTime })
export const matchLateByAmountAndDate: Pass = equalAmountPass({ groups: false, ...late })
export const matchLateEqualAmountGroups: Pass = equalAmountPass({ groups: true, ...late })

function equalAmountPass(reach: Reach): Pass {
  return (board, policy) => {
    const lags = reach.lagDays(policy)
    const matches: DepositMatch[] = []
    for (const component of competingGroups(board, lags)) {
      const isPair = component.payouts.length === 1 && component.deposits.length === 1
      if (isPair && !reach.groups) matches.push(pairMatch(component, reach.where(policy)))
      if (isPair || !reach.groups) continue
      for (const match of groupMatches(component, lags)) matches.push(match)
    }
    return { matches }
  }
}

function reaches(payout: PayoutItem, deposit: DepositItem, { from, to }: Lags): boolean {
  if (deposit.named.length > 0 && !names(deposit, payout)) return false
  const lag = lagDays(payout, deposit.entry)
  return lag !== null && from <= lag && lag <= to
}

interface Component {
  readonly payouts: PayoutItem[]
  readonly deposits: DepositItem[]
}

/** Open items of one entity, currency and amount, split into connected components; both sides in order. */
function competingGroups(board: Board, lags: Lags): Component[] {
  // A line that names a payout belongs to that payout or to none: amounts say nothing against it.
  const anonymous = board.deposits.filter(
    (deposit) => deposit.named.length === 0 || isCutShort(deposit),
  )
  const depositsOf = groupBy(
    anonymous,
    ({ entity, entry }) => `${entity}\u0000${entry.currency}\u0000${entry.amountMinor}`,
  )
  const payoutsOf = groupBy(
    board.payouts,
    ({ entity, currency, amountMinor }) => `${entity}\u0000${currency}\u0000${amountMinor}`,
  )
  const components: Component[] = []
  for (const [likeness, payouts] of payoutsOf) {
    const deposits = depositsOf.get(likeness)
    if (deposits === undefined) continue
    for (const component of split(payouts, deposits, lags)) components.push(component)
  }
  return components
}

/** A line whose reference was cut so short that it fits several payouts says little more than none. */
function isCutShort(deposit: DepositItem): boolean {
  return deposit.named.every((group) => group.length > 1)
}

function split(
  payouts: readonly PayoutItem[],
  deposits: readonly DepositItem[],
  lags: Lags,
): Component[] {
  const components: Component[] = []
  const unseen = { payouts: openPlaces(payouts.length), deposits: openPlaces(deposits.length) }
  for (const [start, { day }] of payouts.entries()) {
    // Most lines find their payout by its name, so that most payouts have no line of their amount.
    const isAlone = isEmpty(depositsWithin(deposits, day, lags))
    if (isAlone || !unseen.payouts.take(start)) continue
    const found = { payouts: [start], deposits: new Array<number>() }
    for (const at of found.payouts) {
      const payout = payouts[at]
      if (payout === undefined) continue
      for (const lineAt of unseen.deposits.within(depositsWithin(deposits, payout.day, lags))) {
        const deposit = deposits[lineAt]
        if (deposit === undefined || !reaches(payout, deposit, lags)) continue
        unseen.deposits.take(lineAt)
        found.deposits.push(lineAt)
        const around = payoutsWithin(payouts, deposit.entry.bookingDay, lags)
        for (const rivalAt of unseen.payouts.within(around)) {
          const rival = payouts[rivalAt]
          if (rival === undefined || !reaches(rival, deposit, lags)) continue
          unseen.payouts.take(rivalAt)
          found.payouts.push(rivalAt)
        }
      }
    }
    if (found.deposits.length > 0) {
      components.push({
        payouts: inOrder(payouts, found.payouts),
        deposits: inOrder(deposits, found.deposits),
      })
    }
  }
  return components
}

function isEmpty({ from, to }: Stretch): boolean {
  return from === to
}

function inOrder<T>(items: readonly T[], places: readonly number[]): T[] {
  return places.toSorted((a, b) => a - b).flatMap((place) => items[place] ?? [])
}

function pairMatch({ payouts, deposits }: Component, where: string): DepositMatch {
  const [deposit] = deposits
  return {
    rule: 'amount_date',
    payouts,
    deposits,
    evidence: `the ${deposit === undefined ? 'line' : lineName(deposit.entry)} is the only one of this amount ${where}, and this payout the only one it can pay`,
    competitors: 0,
  }
}

/**
 * As many pairs as there can be, the earliest payouts and lines first, in order of their days. Every
 * line comes after its payout, so all assignments of the same items have the same total lag.
 */
function groupMatches({ payouts, deposits }: Component, lags: Lags): DepositMatch[] {
  return pairs(payouts, deposits, lags).flatMap(([at, lineAt]) => {
    const [payout, deposit] = [payouts[at], deposits[lineAt]]
    if (payout === undefined || deposit === undefined) return []
    return [
      {
        rule: 'equal_amount_group',
        payouts: [payout],
        deposits: [deposit],
        evidence: `${counted(payouts.length, 'payout')} and ${counted(deposits.length, 'bank line')} of ${money(payout.amountMinor, payout.currency)} compete only with each other and are matched in order of their days`,
        competitors: payouts.length + deposits.length - 2,
      } satisfies DepositMatch,
    ]
  })
}

function pairs(
  payouts: readonly PayoutItem[],
  deposits: readonly DepositItem[],
  lags: Lags,
): [number, number][] {
  // A refused pair, or a line that names some of the payouts, makes a hole in the stretch.
  const hasHoles =
    payouts.some(({ refusedEntryIds }) => refusedEntryIds !== undefined) ||
    deposits.some(({ named }) => named.length > 0)
  if (!hasHoles) {
    return assignStretches(payouts.map(({ day }) => depositsWithin(deposits, day, lags)))
  }
  return assign(payouts.length, deposits.length, (at, lineAt) => {
    const [payout, deposit] = [payouts[at], deposits[lineAt]]
    return payout !== undefined && deposit !== undefined && reaches(payout, deposit, lags)
  })
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
