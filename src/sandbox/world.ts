import { parseDay } from '../domain/day.ts'
import { createBankAccount } from './bank-account.ts'
import { chanceOf } from './chance.ts'
import { equalAcross, equalNeighbours } from './equal-payouts.ts'
import { frenchIban } from './iban.ts'
import { createLedger } from './ledger.ts'
import type { SandboxWorld } from './model.ts'

export type { SandboxAccount, SandboxBankAccount, SandboxRow, SandboxWorld } from './model.ts'

/** The key of the first account of every sandbox world. It opens nothing else. */
export const DEMO_API_KEY = 'sk_test_SandboxSandboxSandbox123'

/** The week around which the default world turns, and in which the demo's breaks lie. */
export const DEMO_WEEK = '2024-W12'

export interface WorldOptions {
  /** Any whole number; the same options give the same world. */
  seed?: number
  /** First and last day of sales, `YYYY-MM-DD`. Payouts and statements go on until all has arrived. */
  from?: string
  to?: string
  /** IANA zone of the merchant's days. */
  zone?: string
  /** Mean per account and day. */
  salesPerDay?: number
  /** Names of the accounts; each has a key, a bank account and a ledger of its own. */
  accounts?: readonly string[]
  /** Whether the fee on a row holds the VAT on it. */
  feeVat?: 'excluded' | 'included'
  /**
   * What becomes of the fee when a payment is refunded: the provider keeps it (and may waive it
   * later), or the refund's row returns it in proportion, as a negative fee or with the sign turned.
   */
  refundFees?: 'kept' | 'returned' | 'returned_positive'
  /** When deductions exceed sales: no payout until the balance is positive again, or a debit. */
  negativeBalance?: 'wait' | 'debit'
  /** Share of the provider's bank lines that do not name their payout. */
  unreferencedShare?: number
  /** Share of the payouts whose money comes in one bank line with that of the next ones. None unless said. */
  mergedShare?: number
  /** Share of the payouts whose money comes in two bank lines. None unless said. */
  splitShare?: number
  /** Share of the payouts that are made equal to the next one, or to the other account's of the day. None unless said. */
  equalShare?: number
  /** Share of the payouts made in the last two minutes of their day. None unless said. */
  lateEveningShare?: number
  /** Last day of which there is a bank statement, if they end before everything has arrived. */
  statementsUntil?: string
}

/**
 * A merchant's world, clean by construction: every row adds up and is paid out, every payout arrives
 * at the bank, every refund is deducted. By default six weeks around `DEMO_WEEK` with the Easter days
 * and the change to summer time in them.
 */
export function createWorld(options: WorldOptions = {}): SandboxWorld {
  const seed = options.seed ?? 12
  const from = parseDay(options.from ?? '2024-02-26')
  const to = parseDay(options.to ?? '2024-04-05')
  const names = options.accounts ?? ['default']
  const ledgers = names.map((name, index) =>
    createLedger({
      seed,
      from,
      to,
      zone: options.zone ?? 'Europe/Paris',
      salesPerDay: options.salesPerDay ?? 14,
      name,
      apiKey: index === 0 ? DEMO_API_KEY : `sk_test_${chanceOf(`${seed}/${name}/key`).base62(24)}`,
      iban: frenchIban('30006', '00001', String(12_345_678_901n + BigInt(index) * 11_111n)),
      feeVat: options.feeVat ?? 'excluded',
      refundFees: options.refundFees ?? 'kept',
      negativeBalance: options.negativeBalance ?? 'wait',
      lateEveningShare: options.lateEveningShare ?? 0,
    }),
  )
  const chance = chanceOf(`${seed}/equal`)
  const equalShare = options.equalShare ?? 0
  const [first, second] = ledgers
  if (first !== undefined && second !== undefined) equalAcross(first, second, chance, equalShare)
  else if (first !== undefined) equalNeighbours(first, chance, equalShare)
  return {
    accounts: ledgers.map(({ account }) => account),
    bankAccounts: ledgers.map(({ account: { name, iban }, payouts }) => {
      const bank = createBankAccount({
        seed,
        name,
        iban,
        from,
        to,
        unreferencedShare: options.unreferencedShare ?? 0.15,
        mergedShare: options.mergedShare ?? 0,
        splitShare: options.splitShare ?? 0,
        payouts,
      })
      const { statementsUntil } = options
      return statementsUntil !== undefined && statementsUntil < bank.lastDay
        ? { ...bank, lastDay: parseDay(statementsUntil) }
        : bank
    }),
  }
}
