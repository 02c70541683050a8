import type { Chance } from './chance.ts'
import { insertRow, newRow } from './edit.ts'
import type { LedgerPayout } from './ledger.ts'
import type { SandboxAccount } from './model.ts'

/** Payouts of equal amounts, as a gesture of the provider may make them: clean, and hard to tell apart. */

/** So shortly before a payout a row still gets into it. */
const BEFORE_PAYOUT_S = 90

/** An account's ledger with its payouts, oldest first. */
export interface PaidLedger {
  readonly account: SandboxAccount
  readonly payouts: LedgerPayout[]
}

/** Makes some payouts equal to the one after them; the bank lines of neither name a payout. */
export function equalNeighbours(ledger: PaidLedger, chance: Chance, share: number): void {
  const { payouts } = ledger
  for (let at = 0; at + 1 < payouts.length; at += 1) {
    const [payout, next] = [payouts[at], payouts[at + 1]]
    if (payout === undefined || next === undefined || !chance.happens(share)) continue
    if (payout.amount <= 0 || next.amount <= 0) continue
    raise(ledger, payout, next.amount)
    raise(ledger, next, payout.amount)
    payout.unnamed = true
    next.unnamed = true
    at += 1
  }
}

/** Makes some payouts of two accounts on one day equal. */
export function equalAcross(
  first: PaidLedger,
  second: PaidLedger,
  chance: Chance,
  share: number,
): void {
  for (const payout of first.payouts) {
    const twin = second.payouts.find(({ day }) => day === payout.day)
    if (twin === undefined || !chance.happens(share)) continue
    if (payout.amount <= 0 || twin.amount <= 0) continue
    raise(first, payout, twin.amount)
    raise(second, twin, payout.amount)
    payout.unnamed = true
    twin.unnamed = true
  }
}

/** A gesture brings the payout up to an amount, if it is below. */
function raise({ account }: PaidLedger, payout: LedgerPayout, amount: number): void {
  const own = account.rows.find((row) => row.payout_id === payout.id)
  const by = amount - payout.amount
  if (own === undefined || by <= 0) return
  insertRow(
    account,
    newRow(account, {
      kind: 'from_adjustment',
      amount: by,
      created: own.created - BEFORE_PAYOUT_S,
      included_in_payout_id: payout.id,
      updated: own.created,
      comment: 'Geste commercial',
    }),
  )
  own.amount -= by
  own.net_amount -= by
  payout.amount += by
}
