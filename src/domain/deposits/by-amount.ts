import { groupBy } from '../collections.ts'
import type { Policy } from '../facts.ts'
import { money } from '../findings.ts'
import { assign } from './assign.ts'
import type { Board, DepositMatch, Pass } from './board.ts'
import { type DepositItem, lagDays, lineName, names, type PayoutItem } from './items.ts'

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
  readonly lagDays: (policy: Policy) => { readonly from: number; readonly to: number }
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
    const { from, to } = reach.lagDays(policy)
    const reaches = (payout: PayoutItem, deposit: DepositItem): boolean => {
      if (deposit.named.length > 0 && !names(deposit, payout)) return false
      const lag = lagDays(payout, deposit.entry)
      return lag !== null && from <= lag && lag <= to
    }
    const matches: DepositMatch[] = []
    for (const component of competingGroups(board, reaches)) {
      const isPair = component.payouts.length === 1 && component.deposits.length === 1
      if (isPair && !reach.groups) matches.push(pairMatch(component, reach.where(policy)))
      if (!isPair && reach.groups) matches.push(...groupMatches(component, reaches))
    }
    return { matches }
  }
}

interface Component {
  readonly payouts: PayoutItem[]
  readonly deposits: DepositItem[]
}

/** Open items of one entity, currency and amount, split into connected components; both sides in order. */
function competingGroups(
  board: Board,
  reaches: (payout: PayoutItem, deposit: DepositItem) => boolean,
): Component[] {
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
    if (deposits !== undefined) components.push(...split(payouts, deposits, reaches))
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
  reaches: (payout: PayoutItem, deposit: DepositItem) => boolean,
): Component[] {
  const components: Component[] = []
  const unseen = { payouts: new Set(payouts), deposits: new Set(deposits) }
  for (const start of payouts) {
    if (!unseen.payouts.delete(start)) continue
    const component: Component = { payouts: [start], deposits: [] }
    for (const payout of component.payouts) {
      for (const deposit of unseen.deposits) {
        if (!reaches(payout, deposit)) continue
        unseen.deposits.delete(deposit)
        component.deposits.push(deposit)
        for (const rival of unseen.payouts) {
          if (!reaches(rival, deposit)) continue
          unseen.payouts.delete(rival)
          component.payouts.push(rival)
        }
      }
    }
    if (component.deposits.length > 0) {
      const inBoardOrder = <T>(all: readonly T[], some: readonly T[]): T[] =>
        all.filter((item) => some.includes(item))
      components.push({
        payouts: inBoardOrder(payouts, component.payouts),
        deposits: inBoardOrder(deposits, component.deposits),
      })
    }
  }
  return components
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
function groupMatches(
  { payouts, deposits }: Component,
  reaches: (payout: PayoutItem, deposit: DepositItem) => boolean,
): DepositMatch[] {
  const isPossible = (at: number, lineAt: number): boolean => {
    const [payout, deposit] = [payouts[at], deposits[lineAt]]
    return payout !== undefined && deposit !== undefined && reaches(payout, deposit)
  }
  return assign(payouts.length, deposits.length, isPossible).flatMap(([at, lineAt]) => {
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

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
