/**
 * The world behind the sandbox: plain, mutable data in the provider's own units and names (integer
 * cents, epoch seconds), as the API sends it. Tests change it freely; every request reads it afresh.
 */

import type { SandboxOffer } from './plans.ts'

/** A ledger row as `GET /v1/balance-transactions` sends it. Further attributes are sent as they are. */
export interface SandboxRow {
  id: string
  merchant_id: string
  kind: string
  amount: number
  net_amount: number
  merchant_fee: number
  payment_id: string | null
  refund_id: string | null
  payout_id: string | null
  included_in_payout_id: string | null
  comment: string | null
  created: number
  updated: number
  available_on: number
  [attribute: string]: unknown
}

interface SandboxRefund {
  id: string
  created: number
  /** Positive cents. */
  amount: number
  merchant_reference: string | null
}

export interface SandboxPayment {
  id: string
  created: number
  purchase_amount: number
  /** The plan: `P3X`, `P1X_D+30`. */
  kind: string
  installments_count: number
  deferred_days: number
  deferred_months: number
  state: string
  refunds: SandboxRefund[]
  customer: { first_name: string; last_name: string; email: string }
  orders: { id: string; created: number; merchant_reference: string | null }[]
  /** What the provider charged the merchant on the sale, in cents; see `SandboxAccount.feeVat`. */
  merchant_fee?: number
}

/** What the accounting export of an account says otherwise than its ledger. */
export interface ExportEdits {
  /** Rows of the ledger that the export leaves out, by id. */
  left_out: Set<string>
  /** Rows that only the export has. */
  added: SandboxRow[]
  /** Cents that replace the row's own, by id. */
  changed: Map<string, { gross?: number; fee?: number; net?: number; vat?: number }>
}

/** What an account may sell from an instant on. */
export interface SandboxOffers {
  fromS: number
  offers: readonly SandboxOffer[]
  /** It may not sell anything, and is told so of every plan. */
  isStopped?: boolean
}

export interface SandboxAccount {
  name: string
  apiKey: string
  merchantId: string
  /** Where the provider sends this account's money. */
  iban: string
  /** Oldest first, in the order of their ids. */
  rows: SandboxRow[]
  /** By id, oldest first. */
  payments: Map<string, SandboxPayment>
  /** Whether `merchant_fee` is without VAT (the default) or with it. */
  feeVat?: 'excluded' | 'included'
  exportEdits?: ExportEdits
  /** In the order of their instants; by default all plans of the sandbox, all the time. */
  offers?: SandboxOffers[]
}

/** One booked line of a bank account. Texts are empty where the bank says nothing. */
export interface BankLine {
  iban: string
  bookingDay: string
  valueDay: string
  /** Signed cents: a credit is positive. */
  amountMinor: number
  currency: string
  counterpartyName: string
  counterpartyIban: string
  /** Line breaks part the pieces in which the bank has it. */
  remittance: string
  endToEndId: string
  bankReference: string
  /** The payout that this money is: what the sandbox knows and no file says. */
  payoutId?: string
  /** The payouts of which this is the money together, or the one of which it is a part. */
  partOf?: string[]
  /** True for a line that counts in the balances but that the statement does not list. */
  unlisted?: boolean
}

export interface SandboxBankAccount {
  iban: string
  openingMinor: number
  openingDay: string
  lastDay: string
  /** In booking order. */
  lines: BankLine[]
  /** EUR unless said. */
  currency?: string
  /** Name of the sandbox account whose further bank account this is. */
  owner?: string
  /** Business days whose statement the bank never sent. */
  missingStatements?: string[]
}

export interface SandboxWorld {
  accounts: SandboxAccount[]
  bankAccounts: SandboxBankAccount[]
  /**
   * The provider's clock, in epoch seconds. What is later has not happened yet: such rows and refunds
   * are not shown, and rows of a later payout are not yet in one. Without it everything is shown.
   */
  nowS?: number
}
