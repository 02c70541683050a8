import type { BalanceTransaction } from './balance-transaction.ts'
import type { StoredBankEntry, StoredBankStatement } from './bank-statement.ts'
import type { Day, EpochSeconds } from './day.ts'
import type { Currency } from './money.ts'
import type { Payment } from './payment.ts'
import type { Period } from './period.ts'
import type { PlanSnapshot } from './plans.ts'
import type { MatchRule } from './reconciliation.ts'

/**
 * What is known, gathered for one reconciliation: the input of the core. Nothing in it is later than
 * the day that counts as today: rows created, entries booked and refunds asked after it are left
 * out, and a row that was paid out later counts as not yet paid out.
 */
export interface Facts {
  readonly period: Period
  readonly asOf: Day
  readonly policy: Policy
  /** Currency of what carries none of its own: refunds on payments, export lines. */
  readonly ledgerCurrency: Currency
  readonly entities: readonly EntityFacts[]
  readonly bank: BankFacts
  readonly record: PeoplesRecord
}

/** Settings that judgement depends on; see the README's table of settings. */
export interface Policy {
  readonly zone: string
  readonly matchWindowDays: number
  readonly lateWindowDays: number
  readonly unpaidAfterDays: number
}

export interface EntityFacts {
  readonly entity: string
  readonly account: EntityAccounts
  readonly movements: readonly Movement[]
  /** Sum of the nets of all rows created before the period's end, taken by itself: what the roll-forward must reach. */
  readonly closingBalances: readonly ClosingBalance[]
  /** All rows known as of today's day. */
  readonly rowCount: number
  /** The instant from which on the ledger is known, where LEDGER_SINCE cut it off; nothing: from its beginning. */
  readonly knownSinceS?: EpochSeconds | null
  /** Every payout that a ledger row stands for or names. */
  readonly payouts: readonly PayoutFacts[]
  /** Rows that break a rule of single rows, or may: the core has the last word. */
  readonly suspectRows: readonly BalanceTransaction[]
  /** Rows that share a refund or a payment and amount with another row, see `line_duplicate`. */
  readonly repeatedRows: readonly BalanceTransaction[]
  /** Rows in no payout. */
  readonly openRows: readonly BalanceTransaction[]
  /** Rows that a payout of the period paid out, maybe late. */
  readonly latePaidRows: readonly BalanceTransaction[]
  /** For each payout that does not add up: the rows that may tell why, see `residualRows` of `residual.ts`. */
  readonly residualRows: readonly ResidualRows[]
  readonly changes: readonly RowChange[]
  readonly exports: readonly ExportFacts[]
  readonly fees: readonly FeeFacts[]
  /** Rows that carry a refund id: `from_refund`, and kinds that are not known. */
  readonly refundRows: readonly BalanceTransaction[]
  /** Payments that were looked up. */
  readonly payments: readonly LookedUpPayment[]
  /** What the provider said of the account's payment plans; nothing: it is not watched. */
  readonly plans?: PlanFacts
}

export interface PlanFacts {
  /** One a day on which the provider was asked, in the order of days. */
  readonly snapshots: readonly PlanSnapshot[]
  /** Sales of the period by plan and currency. */
  readonly sold: readonly PlanSales[]
  /** Sales that the snapshots may contradict; the core has the last word. */
  readonly doubtful: readonly PlannedSale[]
  /**
   * Whether fees are compared with the provider's own fee plans, and whether the ledger's fees contain
   * VAT (null: either is right); null: they are compared with a contract or not at all.
   */
  readonly feeCheck: { readonly vat: 'included' | 'excluded' | null } | null
}

/** What was sold in one plan. */
export interface PlanSales {
  /** Null: the payments name none. */
  readonly plan: string | null
  readonly currency: Currency
  readonly sales: number
  readonly grossMinor: bigint
  /** As the ledger has them: positive where the provider charges. */
  readonly feesMinor: bigint
}

/** A sale with the plan that its payment names. */
export interface PlannedSale {
  readonly row: BalanceTransaction
  readonly plan: string
  /** What was bought, as the payment has it: a part of it may have been captured only. */
  readonly purchaseMinor: bigint
}

export interface ResidualRows {
  readonly payoutId: string
  readonly rows: readonly BalanceTransaction[]
}

/** How an entity's money is recognised at its bank. */
export interface EntityAccounts {
  /** Own accounts; empty: every account that no other entity names. */
  readonly ibans: readonly string[]
  readonly payerPatterns: readonly RegExp[]
  readonly payerIbans: readonly string[]
}

/** Sum of the nets of one kind of rows, before the period or in it. */
export interface Movement {
  readonly kind: string
  readonly currency: Currency
  readonly when: 'before' | 'period'
  readonly netMinor: bigint
  readonly rows: number
}

export interface ClosingBalance {
  readonly currency: Currency
  readonly netMinor: bigint
  readonly rows: number
}

export interface PayoutFacts {
  readonly payoutId: string
  readonly currency: Currency
  /** The `from_payout` rows with this payout id, oldest first: one, unless something is wrong. */
  readonly ownRows: readonly BalanceTransaction[]
  /** The rows whose `included_in_payout_id` names it: their number, sums and last creation. */
  readonly transactions: number
  readonly grossMinor: bigint
  readonly feesMinor: bigint
  readonly refundsMinor: bigint
  readonly otherMinor: bigint
  readonly netMinor: bigint
  readonly lastRowCreatedS: EpochSeconds | null
}

/** A stored row that changed between two looks. */
export interface RowChange {
  /** The row as it stands now (as last seen, if it is gone). */
  readonly row: BalanceTransaction
  /** Name of the field in `BalanceTransaction`, or `vanished`. */
  readonly field: string
  readonly before: string | null
  readonly after: string | null
  readonly seenAsOf: Day
}

/** What comparing one stored accounting export with the ledger of its days found. */
export interface ExportFacts {
  readonly exportId: string
  readonly requestNumber: number
  readonly sha256: string
  /** Lines, the header not counted. */
  readonly rows: number
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
  /** What was created from here on cannot be judged by it: it was asked for before, or its span ends. */
  readonly heldUntilS: EpochSeconds
  readonly conventions: ExportConventions
  /** Pairs that differ in any field, or lack one side; the core has the last word. */
  readonly pairs: readonly ExportPair[]
}

/** How the file as a whole writes what is not documented. */
export interface ExportConventions {
  /** Kinds whose gross, fee and net the file writes with the opposite sign. */
  readonly flippedGrossKinds: readonly string[]
  readonly flippedFeeKinds: readonly string[]
  readonly flippedNetKinds: readonly string[]
  /** `same`: the file's fee is the ledger's fee. `with_vat`: the ledger's fee is the file's fee plus VAT. */
  readonly feeBasis: 'same' | 'with_vat'
  /** Whether VAT comes on top of the file's fee or is contained in it; null: the file does not show. */
  readonly vatBasis: 'excluded' | 'included' | null
  readonly vatRatePercent: string
  /** Whether the file holds any payout rows. */
  readonly holdsPayouts: boolean
}

export interface ExportPair {
  readonly balanceTransactionId: string
  readonly row: BalanceTransaction | null
  readonly line: ExportLine | null
}

export interface ExportLine {
  readonly lineNumber: number
  readonly createdLocal: string | null
  readonly grossMinor: bigint
  readonly feeMinor: bigint
  readonly netMinor: bigint
  readonly vatMinor: bigint | null
  readonly paymentId: string | null
  readonly refundId: string | null
}

/** A sale whose fee may differ from the contract's. */
export interface FeeFacts {
  readonly row: BalanceTransaction
  readonly plan: string
  readonly expectedFeeMinor: bigint
}

export interface LookedUpPayment {
  readonly paymentId: string
  /** Null: the provider knows no such payment. */
  readonly payment: Payment | null
}

interface BankFacts {
  readonly entries: readonly StoredBankEntry[]
  readonly statements: readonly StoredBankStatement[]
  /** Ties that a written report named: kept while the facts bear them. */
  readonly pinned: readonly PinnedMatch[]
}

export interface PinnedMatch {
  readonly matchId: string
  readonly entity: string
  readonly rule: MatchRule
  readonly evidence: string
  readonly competitors: number
  readonly payoutIds: readonly string[]
  readonly bankEntryIds: readonly string[]
  /** Label of the period whose report named it first. */
  readonly period: string
}

/** A tie that a report named and a later run gave up, with the fact that contradicted it. */
export interface RevokedMatch extends PinnedMatch {
  readonly because: string
}

/** What people decided and signed, and what came after: facts of their own, whatever today's day is. */
export interface PeoplesRecord {
  /** In the order in which they were made. */
  readonly decisions: readonly Decision[]
  readonly revoked: readonly RevokedMatch[]
  /** Ledger rows of closed periods that are no longer as they were signed. */
  readonly lateRows: readonly LateRow[]
  /** Bank entries of closed periods that were not there when they were signed. */
  readonly lateEntries: readonly LateEntry[]
}

export const NO_RECORD: PeoplesRecord = {
  decisions: [],
  revoked: [],
  lateRows: [],
  lateEntries: [],
}

/** One decision of a person; the latest on a subject counts, earlier ones stay as history. */
export interface Decision {
  /** Ascending in the order in which they were made. */
  readonly decisionNumber: number
  readonly entity: string
  /** `match`, `refuse`: payouts and bank entries that belong together, or do not. `accept`, `reopen`: a discrepancy. */
  readonly kind: 'match' | 'refuse' | 'accept' | 'reopen'
  readonly payoutIds: readonly string[]
  readonly bankEntryIds: readonly string[]
  readonly discrepancyId: string | null
  readonly by: string
  readonly reason: string
  readonly decidedS: EpochSeconds
}

/** A period that somebody signed and nobody opened again. */
export interface ClosedPeriod {
  readonly label: string
  readonly first: Day
  readonly last: Day
  /** Whom its report was about, in order of name. */
  readonly entities: readonly string[]
  readonly closedBy: string
  readonly closedS: EpochSeconds
}

/** What is signed of a ledger row. */
export type SignedFigures = Pick<
  BalanceTransaction,
  | 'kind'
  | 'currency'
  | 'amountMinor'
  | 'feeMinor'
  | 'netMinor'
  | 'paymentId'
  | 'refundId'
  | 'payoutId'
  | 'includedInPayoutId'
>

export interface LateRow {
  readonly entity: string
  readonly closed: ClosedPeriod
  /** The row as it stands now (as last seen, if it is gone). */
  readonly row: BalanceTransaction
  readonly isGone: boolean
  /** Null: the row was not there when the period was signed. */
  readonly signed: SignedFigures | null
  /** The day that counted as today in the first run that saw it. */
  readonly seenAsOf: Day
}

export interface LateEntry {
  readonly closed: ClosedPeriod
  readonly bankEntryId: string
  readonly seenAsOf: Day
}
