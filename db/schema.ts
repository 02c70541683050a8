/**
 * The tables, and nothing else. Amounts are signed minor units (`bigint`); instants of the provider
 * are epoch seconds as it writes them (`…_s`); days are `date`, read and written as text.
 *
 * Keys: whatever belongs to one Alma account has `entity` first in its key. Bank files, statements
 * and entries belong to a bank account instead, whichever entity owns it, and are keyed by that.
 *
 * Beyond one machine (Citus): the tables of an account are distributed by `entity`, so all rows of
 * one account lie on one server and are joined there; whatever else there is is small and copied to
 * every server. Which is which stands in `db/distribute.ts`. So every key, unique index and foreign
 * key of an account's table contains `entity`, and the others never point at one.
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
import type { KNOWN_KINDS } from '../src/domain/balance-transaction.ts'
import type { ExportConventions } from '../src/domain/facts.ts'
import type { DiscrepancyRow, SummaryLine } from '../src/domain/reconciliation.ts'

/**
 * Ids, keys and whatever else has an order of its own: compared byte by byte on every server, as the
 * provider's ids must be (they sort as they were created).
 */
const key = customType<{ data: string }>({ dataType: () => 'text collate "C"' })

const minor = () => bigint({ mode: 'bigint' })
const epochSeconds = () => bigint({ mode: 'number' })
const changeNumber = () => bigint({ mode: 'number' }).notNull().default(0)
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

/** As the domain has them; this file is read by itself, so only their type comes from there. */
const knownKinds: typeof KNOWN_KINDS = [
  'from_transaction',
  'from_refund',
  'from_fee_waiver',
  'from_adjustment',
  'from_merchant_default_coverage',
  'from_payout',
]

/**
 * Rows that may break a rule of single rows, as an index keeps them apart: a query finds them by the
 * same words only. The core has the last word (`judgeSuspectRows`).
 */
export const suspectRow = sql.raw(
  `vanished_run_id is null and (kind not in (${knownKinds.map((kind) => `'${kind}'`).join(', ')})
    or (net_minor <> amount_minor - fee_minor and not (kind = 'from_refund' and net_minor = amount_minor + fee_minor))
    or (kind in ('from_transaction', 'from_fee_waiver') and amount_minor < 0)
    or (kind = 'from_refund' and amount_minor > 0))`,
)

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
    /**
     * Counts up with each batch that changed the entity's ledger (`ledger_proofs.changed_number`): the
     * batch that last changed anything of the row, its first appearance and its vanishing included.
     */
    changeNumber: changeNumber(),
    /** The same of the batch that last changed more than the payout it is in. */
    contentNumber: changeNumber(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.id] }),
    index().on(table.entity, table.changeNumber),
    index().on(table.entity, table.createdS),
    index().on(table.entity, table.includedInPayoutId),
    // With what the proofs check of each payout's own row, so that the index alone answers.
    index('balance_transactions_payout_rows')
      .on(
        table.entity,
        table.payoutId,
        table.id,
        table.createdS,
        table.netMinor,
        table.vanishedRunId,
      )
      .where(sql`${table.kind} = 'from_payout'`),
    index('balance_transactions_open_rows')
      .on(table.entity, table.id)
      .where(
        sql`${table.includedInPayoutId} is null and ${table.kind} <> 'from_payout' and ${table.vanishedRunId} is null`,
      ),
    index().on(table.entity, table.paymentId),
    index().on(table.entity, table.refundId),
    index('balance_transactions_suspect_rows').on(table.entity, table.id).where(suspectRow),
    index('balance_transactions_refund_nets')
      .on(table.entity, table.netMinor)
      .where(sql`${table.refundId} is not null`),
    index('balance_transactions_refunds_of_nothing')
      .on(table.entity, table.id)
      .where(sql`${table.refundId} is not null and ${table.paymentId} is null`),
  ],
)

/** How far each ledger has changed, and how far it is proved (`db/proofs.ts`). */
export const ledgerProofs = pgTable('ledger_proofs', {
  entity: key().primaryKey(),
  /** The number of the last batch that changed the ledger or its payments. */
  changedNumber: bigint({ mode: 'number' }).notNull(),
  /** Every batch up to this one is in the stored proofs; -1: nothing is, prove all. */
  provedNumber: bigint({ mode: 'number' }).notNull(),
})

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
    // No foreign key to the request: checked line by line, it costs more than the lines themselves.
    // `saveExportLines` holds the request while they go in.
    primaryKey({ columns: [table.entity, table.requestNumber, table.lineNumber] }),
    index().on(table.entity, table.balanceTransactionId),
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
    /** As in `balance_transactions`: the batch that last changed the payment or one of its refunds. */
    changeNumber: changeNumber(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.id] }),
    index().on(table.entity, table.changeNumber),
  ],
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
    index().on(table.entity, table.refundId),
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

/** What a bank file says of an entry, and by what the entry is known again. */
const entryColumns = () => ({
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
})

/** Booked entries, once each however many files hold them. */
export const bankEntries = pgTable(
  'bank_entries',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    /** The statement that brought it first. */
    statementId: bigint({ mode: 'number' })
      .notNull()
      .references(() => bankStatements.id),
    ...entryColumns(),
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

/**
 * Entries that were not taken in, as one of their account, day and amount was known in other words:
 * probably the same money. They wait for a person, each once however many files hold them.
 */
export const bankSuspects = pgTable(
  'bank_suspects',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    /** The statement that held it first. */
    statementId: bigint({ mode: 'number' })
      .notNull()
      .references(() => bankStatements.id),
    /** The statement of the entry as which it was taken. */
    knownStatementId: bigint({ mode: 'number' })
      .notNull()
      .references(() => bankStatements.id),
    ...entryColumns(),
  },
  (table) => [
    uniqueIndex('bank_suspects_once').on(
      table.account,
      table.fingerprintVersion,
      table.fingerprint,
      table.fingerprintRank,
    ),
    index().on(table.bookingDay),
  ],
)

/** What became of suspects; append-only, the latest counts. */
export const bankSuspectDecisions = pgTable(
  'bank_suspect_decisions',
  {
    decisionNumber: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    suspectId: bigint({ mode: 'number' })
      .notNull()
      .references(() => bankSuspects.id),
    /** `admit`: another movement, taken in. `dismiss`: the same one as the known entry. */
    kind: key().notNull(),
    /** With `admit`: the entry that it became. */
    bankEntryId: bigint({ mode: 'number' }).references(() => bankEntries.id),
    decidedBy: text().notNull(),
    reason: text().notNull(),
    decidedAt: momentNow(),
    runId: runId().notNull(),
  },
  (table) => [
    index().on(table.suspectId),
    uniqueIndex().on(table.bankEntryId),
    check('bank_suspect_decisions_kind', sql`${table.kind} in ('admit', 'dismiss')`),
    check(
      'bank_suspect_decisions_entry',
      sql`(${table.kind} = 'admit') = (${table.bankEntryId} is not null)`,
    ),
    check('bank_suspect_decisions_signed', sql`${table.decidedBy} <> '' and ${table.reason} <> ''`),
  ],
)

/** Ties of payouts to bank entries that a written report has named: pinned, kept by later runs. */
export const matches = pgTable(
  'matches',
  {
    entity: key().notNull(),
    /** Counted over all entities. */
    id: bigint({ mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
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
  },
  (table) => [primaryKey({ columns: [table.entity, table.id] })],
)

/** The payouts of pinned matches: each in one at most. */
export const matchPayouts = pgTable(
  'match_payouts',
  {
    entity: key().notNull(),
    payoutId: key().notNull(),
    matchId: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.payoutId] }),
    index().on(table.entity, table.matchId),
    foreignKey({
      columns: [table.entity, table.matchId],
      foreignColumns: [matches.entity, matches.id],
    }),
  ],
)

/**
 * The bank entries of pinned matches: each in one at most, whichever entity's. Two entities may read
 * one bank account, so this is kept over all of them, as the bank entries are; the match itself is
 * its entity's, and a foreign key to it is not possible where entities live on several servers.
 */
export const matchBankEntries = pgTable(
  'match_bank_entries',
  {
    bankEntryId: bigint({ mode: 'number' })
      .primaryKey()
      .references(() => bankEntries.id),
    /** Whose match. */
    entity: key().notNull(),
    matchId: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.entity, table.matchId)],
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

/**
 * Rounds of fetching that several processes share (`--workers`): one period as of one day. Whoever
 * takes part fetches entities that nobody else has; one of them writes the report and ends the round.
 */
export const fetchRounds = pgTable(
  'fetch_rounds',
  {
    id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    command: key().notNull(),
    period: key().notNull(),
    asOf: date({ mode: 'string' }).notNull(),
    /** As in `period_reports`. */
    entitySet: key().notNull(),
    /** An earlier week of a night: the round of the week in progress, which found it to be done again. */
    leadRoundId: bigint({ mode: 'number' }),
    openedAt: momentNow(),
    /** When its report was written, or found to be impossible, and the exit code of that. */
    finishedAt: timestamp({ withTimezone: true, mode: 'string' }),
    finishedRunId: runId(),
    exitCode: integer(),
  },
  (table) => [
    uniqueIndex('fetch_rounds_open')
      .on(table.command, table.period, table.asOf, table.entitySet)
      .where(sql`${table.finishedAt} is null`),
  ],
)

/** What came of fetching one entity in a round; a row stands once the entity is done. */
export const entityFetches = pgTable(
  'entity_fetches',
  {
    entity: key().notNull(),
    roundId: bigint({ mode: 'number' })
      .notNull()
      .references(() => fetchRounds.id),
    runId: runId().notNull(),
    fetchedAt: momentNow(),
    /** What the report tells of it: ledger and export, or the fault for which it is missing. */
    outcome: jsonb().notNull(),
  },
  (table) => [primaryKey({ columns: [table.entity, table.roundId] })],
)

// What is proved of the stored rows (`db/proofs.ts`). Nothing below is a source: all of it is made
// from the tables above, and `--full` makes it anew.

/** What the proofs of an entity rest on besides its rows; where it differs they are made anew. */
export const proofBases = pgTable('proof_bases', {
  entity: key().primaryKey(),
  /** The version of the way in which proofs are made. */
  recipe: integer().notNull(),
  /** Hash of the fee contract; null: there is none. */
  feeContract: key(),
})

/** Each payout that a row stands for or names, with the sums of its rows, whatever their instants. */
export const payoutProofs = pgTable(
  'payout_proofs',
  {
    entity: key().notNull(),
    payoutId: key().notNull(),
    /** The first by name of the rows' currencies, and whether there are others; null: no row names it. */
    currency: key(),
    isMixed: boolean().notNull(),
    transactions: integer().notNull(),
    /** Amounts of its sales, minus their fees, nets of its refunds, of the other rows, of all rows. */
    grossMinor: minor().notNull(),
    feesMinor: minor().notNull(),
    refundsMinor: minor().notNull(),
    otherMinor: minor().notNull(),
    netMinor: minor().notNull(),
    firstRowCreatedS: epochSeconds(),
    lastRowCreatedS: epochSeconds(),
    /** When the first of its rows was available: its creation where the provider does not say. */
    firstAvailableS: epochSeconds(),
    /** The `from_payout` rows: their number, and when the first and the last was created. */
    ownRows: integer().notNull(),
    ownFirstCreatedS: epochSeconds(),
    ownLastCreatedS: epochSeconds(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.payoutId] }),
    index().on(table.entity, table.ownFirstCreatedS),
    index().on(table.entity, table.lastRowCreatedS),
  ],
)

/** Sums of the rows created on one day in UTC, payouts' own rows included. */
export const ledgerDays = pgTable(
  'ledger_days',
  {
    entity: key().notNull(),
    /** Days since 1970-01-01. */
    dayNumber: integer().notNull(),
    kind: key().notNull(),
    currency: key().notNull(),
    rows: bigint({ mode: 'number' }).notNull(),
    amountMinor: minor().notNull(),
    feeMinor: minor().notNull(),
    netMinor: minor().notNull(),
  },
  (table) => [primaryKey({ columns: [table.entity, table.dayNumber, table.kind, table.currency] })],
)

/** Rows that share a refund, or a payment and amount, with another row of their kind. */
export const repeatedRows = pgTable(
  'repeated_rows',
  { entity: key().notNull(), id: key().notNull() },
  (table) => [primaryKey({ columns: [table.entity, table.id] })],
)

/** Sales whose fee is not the contract's to the cent. */
export const feeDifferences = pgTable(
  'fee_differences',
  { entity: key().notNull(), id: key().notNull() },
  (table) => [primaryKey({ columns: [table.entity, table.id] })],
)

/** Payments with refunds, on the payment or in the ledger. */
export const refundFamilies = pgTable(
  'refund_families',
  {
    entity: key().notNull(),
    paymentId: key().notNull(),
    /** From when on payment, ledger and payouts agree on all of its refunds; null: they do not, or not yet. */
    settledS: epochSeconds(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.paymentId] }),
    index().on(table.entity, table.settledS),
  ],
)

/** The newest stored accounting export of each span, compared with the ledger. */
export const exportProofs = pgTable(
  'export_proofs',
  {
    entity: key().notNull(),
    requestNumber: bigint({ mode: 'number' }).notNull(),
    conventions: jsonb().$type<ExportConventions>().notNull(),
    /** Its rows in `export_pairs`. */
    pairs: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.entity, table.requestNumber] })],
)

/** Lines and rows that differ under the export's conventions, or lack one another. */
export const exportPairs = pgTable(
  'export_pairs',
  {
    entity: key().notNull(),
    requestNumber: bigint({ mode: 'number' }).notNull(),
    balanceTransactionId: key().notNull(),
    /** 0: the export has no line of the row. */
    lineNumber: integer().notNull(),
  },
  (table) => [
    primaryKey({
      name: 'export_pairs_pk',
      columns: [table.entity, table.requestNumber, table.balanceTransactionId, table.lineNumber],
    }),
  ],
)

// How each period went, for `metrics` and the page (`src/domain/metrics.ts`).

/** Metrics of a period as its report was written last; what each means stands at `PeriodMetrics`. */
export const periodMetrics = pgTable(
  'period_metrics',
  {
    entity: key().notNull(),
    period: key().notNull(),
    currency: key().notNull(),
    /** `week`, `month` or `range`: only periods of one span are shown side by side. */
    span: key().notNull(),
    firstDay: date({ mode: 'string' }).notNull(),
    lastDay: date({ mode: 'string' }).notNull(),
    asOf: date({ mode: 'string' }).notNull(),
    runId: runId().notNull(),
    payouts: integer().notNull(),
    matchedByRule: integer().notNull(),
    matchedByDecision: integer().notNull(),
    inTransit: integer().notNull(),
    inDiscrepancy: integer().notNull(),
    medianDaysToClear: integer(),
    worstDaysToClear: integer(),
    oldestOpenSince: date({ mode: 'string' }),
    oldestOpenDays: integer(),
    oldestOpenId: text(),
    residualMinor: minor().notNull(),
    lateDeposits: integer().notNull(),
    corrections: integer().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.period, table.currency] }),
    index().on(table.entity, table.span, table.lastDay),
    check('period_metrics_span', sql`${table.span} in ('week', 'month', 'range')`),
    check('period_metrics_days', sql`${table.firstDay} <= ${table.lastDay}`),
    check(
      'period_metrics_payouts',
      sql`${table.payouts} = ${table.matchedByRule} + ${table.matchedByDecision} + ${table.inTransit} + ${table.inDiscrepancy}`,
    ),
  ],
)

// What the provider told by itself (`npm run listen`): hints where to look, and no fact of a report.

/** Notifications whose signature was right, once each; nothing of their content but the payment's id. */
export const providerEvents = pgTable(
  'provider_events',
  {
    /** Whose key the notification was signed with; of a key that entities share, each of them has it. */
    entity: key().notNull(),
    /**
     * The same for whatever is a repetition: the payment of an IPN (until a run has followed it), the
     * SHA-256 of a webhook's body.
     */
    eventKey: key().notNull(),
    /** In the order in which they came. */
    eventNumber: bigint({ mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    source: key().notNull(),
    /** `payment.captured` and the like as the provider names it, known or not; `ipn`. */
    type: key().notNull(),
    paymentId: key(),
    receivedAt: momentNow(),
    /** The run that has looked where it points to since; null: none has yet. */
    takenRunId: runId(),
  },
  (table) => [
    primaryKey({ columns: [table.entity, table.eventKey] }),
    index().on(table.entity, table.eventNumber),
    index('provider_events_waiting')
      .on(table.entity, table.paymentId)
      .where(sql`${table.takenRunId} is null`),
    check('provider_events_source', sql`${table.source} in ('ipn', 'webhook')`),
  ],
)

// What the provider said of an account's payment plans (`src/domain/plans.ts`).

/** A plan of a snapshot as it is stored: amounts in minor units, null where nothing was said. */
export interface StoredPlanOffer {
  readonly plan: string
  readonly offered: boolean
  readonly minimum: number | null
  readonly maximum: number | null
  readonly reasons: readonly string[]
  /** The provider's price, in basis points and minor units. */
  readonly price: { readonly basisPoints: number; readonly fixed: number } | null
}

/** One a day and account on which the provider was asked, whether it told or not; never changed. */
export const planSnapshots = pgTable(
  'plan_snapshots',
  {
    entity: key().notNull(),
    /** The day that counted as today. */
    day: date({ mode: 'string' }).notNull(),
    runId: runId().notNull(),
    askedAt: momentNow(),
    /** Why nothing was learnt; null: the provider answered. */
    trouble: text(),
    offers: jsonb().$type<readonly StoredPlanOffer[]>().notNull(),
    /** Names of the plans that were asked for. */
    asked: jsonb().$type<readonly string[]>().notNull(),
    remarks: jsonb().$type<readonly string[]>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.entity, table.day] })],
)

/** How far sales were held against the snapshots; no source, as with the proofs. */
export const planChecks = pgTable('plan_checks', {
  entity: key().primaryKey(),
  /** Up to which batch (`ledger_proofs.changed_number`), and which day of the snapshots. */
  changedNumber: bigint({ mode: 'number' }).notNull(),
  untilDay: date({ mode: 'string' }).notNull(),
  /** Hash of the snapshots until then and of what else it rests on. */
  basis: key().notNull(),
})

/** Sales that the snapshots contradict; the core has the last word. */
export const doubtfulSales = pgTable(
  'doubtful_sales',
  { entity: key().notNull(), id: key().notNull() },
  (table) => [primaryKey({ columns: [table.entity, table.id] })],
)
