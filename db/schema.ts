/**
 * The tables, and nothing else. Amounts are signed minor units (`bigint`); instants of the provider
 * are epoch seconds as it writes them (`…_s`); days are `date`, read and written as text.
 *
 * Keys: whatever belongs to one Alma account has `entity` first in its key. Bank files, statements
 * and entries belong to a bank account instead, whichever entity owns it, and are keyed by that.
 */
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  customType,
  date,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
} from 'drizzle-orm/pg-core'
import type { DiscrepancyRow, SummaryLine } from '../src/domain/reconciliation.ts'

/**
 * Ids, keys and whatever else has an order of its own: compared byte by byte on every server, as the
 * provider's ids must be (they sort as they were created).
 */
const key = customType<{ data: string }>({ dataType: () => 'text collate "C"' })

const minor = () => bigint({ mode: 'bigint' })
const epochSeconds = () => bigint({ mode: 'number' })
const runId = () => bigint({ mode: 'number' }).references(() => runs.id)
const momentNow = () => timestamp({ withTimezone: true, mode: 'string' }).notNull().defaultNow()

/** One execution of a command that may write. */
export const runs = pgTable('runs', {
  id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  command: text().notNull(),
  period: text(),
  asOf: date({ mode: 'string' }),
  appVersion: text().notNull(),
  startedAt: momentNow(),
  finishedAt: timestamp({ withTimezone: true, mode: 'string' }),
  exitCode: integer(),
})

/** The provider's ledger, row by row as last seen. */
export const balanceTransactions = pgTable(
  'balance_transactions',
  {
    entity: key().notNull(),
    id: key().notNull(),
    merchantId: key(),
    kind: key().notNull(),
    currency: key().notNull(),
    amountMinor: minor().notNull(),
    feeMinor: minor().notNull(),
    netMinor: minor().notNull(),
    paymentId: key(),
    refundId: key(),
    payoutId: key(),
    includedInPayoutId: key(),
    createdS: epochSeconds().notNull(),
    updatedS: epochSeconds(),
    availableOnS: epochSeconds(),
    /** The row as the provider sent it, private attributes included. */
    raw: jsonb().notNull(),
    firstSeenRunId: runId().notNull(),
    /** The run in which anything of the row was last seen to differ (or the row was first seen). */
    changedRunId: runId().notNull(),
    /** The run that found the row gone from the list; null while it is there. */
    vanishedRunId: runId(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.id] }),
    index().on(table.entity, table.createdS),
    index().on(table.entity, table.includedInPayoutId),
    index('balance_transactions_payout_rows')
      .on(table.entity, table.payoutId)
      .where(sql`${table.kind} = 'from_payout'`),
    index('balance_transactions_open_rows')
      .on(table.entity, table.id)
      .where(
        sql`${table.includedInPayoutId} is null and ${table.kind} <> 'from_payout' and ${table.vanishedRunId} is null`,
      ),
    index().on(table.entity, table.paymentId),
    index().on(table.entity, table.refundId),
  ],
)

/** Changes of stored ledger rows that reports must name; append-only. */
export const balanceTransactionChanges = pgTable(
  'balance_transaction_changes',
  {
    entity: key().notNull(),
    transactionId: key().notNull(),
    runId: runId().notNull(),
    /** `amountMinor`, `kind`, `paymentId`, …, or `vanished` / `returned` for the row as a whole. */
    field: key().notNull(),
    before: text(),
    after: text(),
    /** The day that counted as today in the run that saw it. */
    seenAsOf: date({ mode: 'string' }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.transactionId, table.runId, table.field] }),
  ],
)

/**
 * Stretches of the ledger that are known without a gap, from `top_id` (newest) down to `bottom_id`.
 * A walk stores its position here together with its rows, so a run that is killed loses nothing.
 */
export const ledgerRanges = pgTable(
  'ledger_ranges',
  {
    entity: key().notNull(),
    topId: key().notNull(),
    bottomId: key().notNull(),
    /** `open`: older rows are still unknown. `end`: the provider has none. `since`: older than LEDGER_SINCE. */
    floor: key().notNull(),
    /** With `since`: that day's first instant. */
    floorS: epochSeconds(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.topId] }),
    check('ledger_ranges_order', sql`${table.bottomId} <= ${table.topId}`),
    check('ledger_ranges_floor', sql`${table.floor} in ('open', 'end', 'since')`),
  ],
)

/** What each run fetched of the ledger, and that it is without gap or overlap. */
export const ledgerWalks = pgTable(
  'ledger_walks',
  {
    entity: key().notNull(),
    runId: runId().notNull(),
    walkNumber: integer().notNull(),
    /** `new`: from the newest row down. `backfill`: older rows still missing. `reread`: rows that may have changed. */
    purpose: key().notNull(),
    /** The cursor it began after; null: the newest row. */
    afterId: key(),
    firstId: key(),
    lastId: key(),
    pages: integer().notNull(),
    rows: integer().notNull(),
    newRows: integer().notNull(),
    changedRows: integer().notNull(),
    vanishedRows: integer().notNull(),
    /** Why it ended: `known`, `end`, `since` or `reread`. */
    ended: key().notNull(),
  },
  (table) => [primaryKey({ columns: [table.entity, table.runId, table.walkNumber] })],
)

/** Data exports asked of the provider. The row is written before the request is made. */
export const dataExports = pgTable(
  'data_exports',
  {
    entity: key().notNull(),
    requestNumber: bigint({ mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    type: key().notNull(),
    startS: epochSeconds().notNull(),
    endS: epochSeconds().notNull(),
    runId: runId().notNull(),
    requestedAt: momentNow(),
    /** The provider's id; null until it answered. */
    exportId: key(),
    /** `asked` (answer not known), `pending`, `stored`, `failed`. */
    state: key().notNull(),
    /** Archive file, relative to DATA_DIR. */
    archivedAs: text(),
    sha256: key(),
    rows: integer(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.requestNumber] }),
    index().on(table.entity, table.type, table.startS, table.endS),
    check('data_exports_state', sql`${table.state} in ('asked', 'pending', 'stored', 'failed')`),
  ],
)

/** Lines of stored accounting exports. Names and e-mails of customers are dropped before they get here. */
export const exportLines = pgTable(
  'export_lines',
  {
    entity: key().notNull(),
    requestNumber: bigint({ mode: 'number' }).notNull(),
    /** 1-based line of the file, the header being line 1. */
    lineNumber: integer().notNull(),
    balanceTransactionId: key().notNull(),
    /** `YYYY-MM-DD hh:mm:ss` on Paris clocks, as written. */
    createdLocal: text(),
    grossMinor: minor().notNull(),
    feeMinor: minor().notNull(),
    netMinor: minor().notNull(),
    vatMinor: minor(),
    installments: integer(),
    paymentId: key(),
    refundId: key(),
    /** Columns that the reader does not know, by label. */
    extra: jsonb().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.requestNumber, table.lineNumber] }),
    index().on(table.entity, table.balanceTransactionId),
    foreignKey({
      columns: [table.entity, table.requestNumber],
      foreignColumns: [dataExports.entity, dataExports.requestNumber],
    }),
  ],
)

/** Payments that were looked at; nothing of the customer is kept. */
export const payments = pgTable(
  'payments',
  {
    entity: key().notNull(),
    id: key().notNull(),
    /** False: the provider answered that there is no such payment. */
    found: boolean().notNull(),
    purchaseAmountMinor: minor(),
    plan: key(),
    lookedUpRunId: runId().notNull(),
  },
  (table) => [primaryKey({ columns: [table.entity, table.id] })],
)

/** Refunds as they stand on their payments. */
export const paymentRefunds = pgTable(
  'payment_refunds',
  {
    entity: key().notNull(),
    paymentId: key().notNull(),
    refundId: key().notNull(),
    amountMinor: minor().notNull(),
    createdS: epochSeconds().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.paymentId, table.refundId] }),
    foreignKey({
      columns: [table.entity, table.paymentId],
      foreignColumns: [payments.entity, payments.id],
    }),
  ],
)

/** Bank files taken in, once each. */
export const bankFiles = pgTable(
  'bank_files',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    sha256: key().notNull(),
    /** Below the inbox with forward slashes, or the file's own name where it was given by hand. */
    name: text().notNull(),
    format: key().notNull(),
    formatVersion: text(),
    bytes: bigint({ mode: 'number' }).notNull(),
    runId: runId().notNull(),
  },
  (table) => [uniqueIndex().on(table.sha256)],
)

/** Statements in them. */
export const bankStatements = pgTable(
  'bank_statements',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    fileId: bigint({ mode: 'number' })
      .notNull()
      .references(() => bankFiles.id),
    /** 1-based place in the file. */
    positionInFile: integer().notNull(),
    account: key().notNull(),
    currency: key().notNull(),
    statementRef: text(),
    sequenceNumber: integer(),
    fromDay: date({ mode: 'string' }).notNull(),
    toDay: date({ mode: 'string' }).notNull(),
    openingMinor: minor(),
    closingMinor: minor(),
    /** Sum and number of all entries in the file's statement, those already known from elsewhere included. */
    movementMinor: minor().notNull(),
    entries: integer().notNull(),
    balanceState: key().notNull(),
  },
  (table) => [
    uniqueIndex().on(table.fileId, table.positionInFile),
    index().on(table.account, table.fromDay),
    check('bank_statements_days', sql`${table.fromDay} <= ${table.toDay}`),
    check(
      'bank_statements_state',
      sql`${table.balanceState} in ('verified', 'failed', 'unverifiable')`,
    ),
  ],
)

/** Booked entries, once each however many files hold them. */
export const bankEntries = pgTable(
  'bank_entries',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    /** The statement that brought it first. */
    statementId: bigint({ mode: 'number' })
      .notNull()
      .references(() => bankStatements.id),
    account: key().notNull(),
    bookingDay: date({ mode: 'string' }).notNull(),
    valueDay: date({ mode: 'string' }),
    amountMinor: minor().notNull(),
    currency: key().notNull(),
    counterpartyName: text(),
    counterpartyIban: key(),
    endToEndId: text(),
    remittance: jsonb().$type<readonly string[]>().notNull(),
    bankReference: text(),
    isReversal: boolean().notNull(),
    place: text().notNull(),
    position: integer().notNull(),
    raw: text().notNull(),
    /** Hash of what identifies the entry, see `src/bank/fingerprint.ts`, with the version of the recipe. */
    fingerprint: key().notNull(),
    fingerprintVersion: integer().notNull(),
    /** 1, 2, … among equal entries of one account and booking day. */
    fingerprintRank: integer().notNull(),
  },
  (table) => [
    uniqueIndex('bank_entries_once').on(
      table.account,
      table.fingerprintVersion,
      table.fingerprint,
      table.fingerprintRank,
    ),
    index().on(table.bookingDay),
  ],
)

/** Ties of payouts to bank entries that a written report has named: pinned, kept by later runs. */
export const matches = pgTable('matches', {
  id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  entity: key().notNull(),
  rule: key().notNull(),
  evidence: text().notNull(),
  competitors: integer().notNull(),
  period: text().notNull(),
  runId: runId().notNull(),
  /** The run that found it contradicted by a fact, and the fact. Its items are free again then. */
  revokedRunId: runId(),
  revokedBecause: text(),
  /** What it tied, kept here once its items are free. */
  revokedPayoutIds: jsonb().$type<readonly string[]>(),
  revokedBankEntryIds: jsonb().$type<readonly string[]>(),
})

/** The payouts of pinned matches: each in one at most. */
export const matchPayouts = pgTable(
  'match_payouts',
  {
    entity: key().notNull(),
    payoutId: key().notNull(),
    matchId: bigint({ mode: 'number' })
      .notNull()
      .references(() => matches.id),
  },
  (table) => [primaryKey({ columns: [table.entity, table.payoutId] }), index().on(table.matchId)],
)

/** The bank entries of pinned matches: each in one at most. */
export const matchBankEntries = pgTable(
  'match_bank_entries',
  {
    bankEntryId: bigint({ mode: 'number' })
      .primaryKey()
      .references(() => bankEntries.id),
    matchId: bigint({ mode: 'number' })
      .notNull()
      .references(() => matches.id),
  },
  (table) => [index().on(table.matchId)],
)

/** Reports that were written, newest last. */
export const periodReports = pgTable(
  'period_reports',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    period: key().notNull(),
    /** The entities that it is of, by name in order, joined by `|`. */
    entitySet: key().notNull(),
    runId: runId().notNull(),
    asOf: date({ mode: 'string' }).notNull(),
    manifestSha256: key().notNull(),
    /** Items that it leaves open: discrepancies, payouts, rows and refunds. */
    openItems: integer().notNull(),
    writtenAt: momentNow(),
  },
  (table) => [index().on(table.entitySet, table.period, table.id)],
)

/** The discrepancies of each written report. */
export const reportedDiscrepancies = pgTable(
  'reported_discrepancies',
  {
    entity: key().notNull(),
    reportId: bigint({ mode: 'number' })
      .notNull()
      .references(() => periodReports.id),
    discrepancyId: key().notNull(),
    code: key().notNull(),
    status: key().notNull(),
    currency: key().notNull(),
    differenceMinor: minor(),
    since: date({ mode: 'string' }).notNull(),
    explanation: text().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.reportId, table.discrepancyId] }),
    index().on(table.entity, table.discrepancyId),
  ],
)

/** What people decided; append-only, the latest on a subject counts. */
export const decisions = pgTable(
  'decisions',
  {
    entity: key().notNull(),
    decisionNumber: bigint({ mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    /** `match`, `refuse`: payouts and bank entries that belong together, or do not. `accept`, `reopen`: a discrepancy. */
    kind: key().notNull(),
    discrepancyId: key(),
    decidedBy: text().notNull(),
    reason: text().notNull(),
    decidedAt: momentNow(),
    runId: runId().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.decisionNumber] }),
    index().on(table.entity, table.discrepancyId),
    check('decisions_kind', sql`${table.kind} in ('match', 'refuse', 'accept', 'reopen')`),
    check(
      'decisions_subject',
      sql`(${table.kind} in ('accept', 'reopen')) = (${table.discrepancyId} is not null)`,
    ),
    check('decisions_signed', sql`${table.decidedBy} <> '' and ${table.reason} <> ''`),
  ],
)

export const decisionPayouts = pgTable(
  'decision_payouts',
  {
    entity: key().notNull(),
    decisionNumber: bigint({ mode: 'number' }).notNull(),
    payoutId: key().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.decisionNumber, table.payoutId] }),
    index().on(table.entity, table.payoutId),
    foreignKey({
      columns: [table.entity, table.decisionNumber],
      foreignColumns: [decisions.entity, decisions.decisionNumber],
    }),
  ],
)

export const decisionBankEntries = pgTable(
  'decision_bank_entries',
  {
    entity: key().notNull(),
    decisionNumber: bigint({ mode: 'number' }).notNull(),
    bankEntryId: bigint({ mode: 'number' })
      .notNull()
      .references(() => bankEntries.id),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.decisionNumber, table.bankEntryId] }),
    index().on(table.bankEntryId),
    foreignKey({
      columns: [table.entity, table.decisionNumber],
      foreignColumns: [decisions.entity, decisions.decisionNumber],
    }),
  ],
)

/** Amounts in JSON: decimal text of the minor units, as a JSON number is not exact beyond 2^53. */
type MinorAsText<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]: string | null }
export type SignedSummaryLine = MinorAsText<SummaryLine, 'amountMinor'>
export type SignedDiscrepancy = MinorAsText<
  DiscrepancyRow,
  'differenceMinor' | 'expectedMinor' | 'actualMinor'
>

/** Periods that were signed off. One that was opened again keeps its record; a new close is a new row. */
export const periodCloses = pgTable(
  'period_closes',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    period: key().notNull(),
    firstDay: date({ mode: 'string' }).notNull(),
    lastDay: date({ mode: 'string' }).notNull(),
    /** The same days as instants, half open, in the time zone in which they were signed. */
    startS: epochSeconds().notNull(),
    endS: epochSeconds().notNull(),
    /** As in `period_reports`. */
    entitySet: key().notNull(),
    closedBy: text().notNull(),
    reason: text(),
    closedAt: momentNow(),
    runId: runId().notNull(),
    /** The day as of which the signed report was made. */
    reportAsOf: date({ mode: 'string' }).notNull(),
    manifestSha256: key().notNull(),
    csvDialect: key().notNull(),
    /** The lines of the signed `summary.csv`, and the rows of the signed `discrepancies.csv`. */
    controlTotals: jsonb().$type<readonly SignedSummaryLine[]>().notNull(),
    discrepancies: jsonb().$type<readonly SignedDiscrepancy[]>().notNull(),
    reopenedRunId: runId(),
    reopenedBy: text(),
    reopenReason: text(),
    reopenedAt: timestamp({ withTimezone: true, mode: 'string' }),
  },
  (table) => [
    uniqueIndex('period_closes_standing')
      .on(table.period)
      .where(sql`${table.reopenedRunId} is null`),
    check('period_closes_days', sql`${table.firstDay} <= ${table.lastDay}`),
  ],
)

/** The files of a signed report, to the byte. */
export const signedFiles = pgTable(
  'signed_files',
  {
    closeId: bigint({ mode: 'number' })
      .notNull()
      .references(() => periodCloses.id),
    name: key().notNull(),
    sha256: key().notNull(),
    content: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.closeId, table.name] })],
)

/** Ledger rows of a closed period as they stood when it was signed. */
export const signedBalanceTransactions = pgTable(
  'signed_balance_transactions',
  {
    entity: key().notNull(),
    closeId: bigint({ mode: 'number' })
      .notNull()
      .references(() => periodCloses.id),
    id: key().notNull(),
    kind: key().notNull(),
    currency: key().notNull(),
    amountMinor: minor().notNull(),
    feeMinor: minor().notNull(),
    netMinor: minor().notNull(),
    paymentId: key(),
    refundId: key(),
    payoutId: key(),
    includedInPayoutId: key(),
  },
  (table) => [primaryKey({ columns: [table.entity, table.closeId, table.id] })],
)

/** Mails, recorded before they are handed over and after. The same result goes to the same people once. */
export const mailDeliveries = pgTable(
  'mail_deliveries',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    period: key().notNull(),
    /** Addresses in order, joined by a comma. */
    recipients: key().notNull(),
    /** Hash of the text and of what is attached: what "the same result" means. */
    resultSha256: key().notNull(),
    runId: runId().notNull(),
    /** `sending` (the answer is not known), `sent`, `failed`. */
    state: key().notNull(),
    attempts: integer().notNull(),
    /** What the mail server said; null unless it failed. */
    fault: text(),
    firstAttemptAt: momentNow(),
    lastAttemptAt: momentNow(),
  },
  (table) => [
    uniqueIndex('mail_deliveries_once').on(table.period, table.recipients, table.resultSha256),
    check('mail_deliveries_state', sql`${table.state} in ('sending', 'sent', 'failed')`),
  ],
)
