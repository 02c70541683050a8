/** Things that are stored, by amount, day and the beginning of a reference; for one account each. */
import { and, asc, desc, eq, gte, inArray, lt, lte, ne, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { BalanceTransaction } from '../src/domain/balance-transaction.ts'
import type { StoredBankEntry } from '../src/domain/bank-statement.ts'
import { type Day, parseDay } from '../src/domain/day.ts'
import type { Currency } from '../src/domain/money.ts'
import type { DbOrTx } from './client.ts'
import { rowColumns } from './facts-ledger.ts'
import {
  balanceTransactions as rows,
  bankEntries,
  bankFiles,
  bankStatements,
  bankSuspects,
  paymentRefunds,
  periodCloses,
  reportedDiscrepancies,
} from './schema.ts'

/** What is looked for: all of it that is not null must hold. */
export interface Wanted {
  /** Without sign: rows of either sign are found. */
  readonly amount: { readonly minor: bigint; readonly currency: Currency } | null
  /** Both included. */
  readonly days: { readonly first: Day; readonly last: Day } | null
  /** The same days as instants, half open. */
  readonly instants: { readonly startS: number; readonly endS: number } | null
  /** The first characters of an id or reference. */
  readonly reference: string | null
  readonly limit: number
}

/** Sorts after whatever else may follow, byte by byte. */
const LAST_CHARACTER = '\u{10ffff}'

function startsWith(column: PgColumn, reference: string): SQL | undefined {
  return and(gte(column, reference), lt(column, reference + LAST_CHARACTER))
}

function isEither(column: PgColumn, minor: bigint): SQL {
  return inArray(column, minor === 0n ? [0n] : [minor, -minor])
}

function isWithin(column: PgColumn, { instants }: Wanted): SQL | undefined {
  if (instants === null) return undefined
  return and(gte(column, instants.startS), lt(column, instants.endS))
}

/**
 * Ledger rows that are not gone from the provider's list, in order of creation: payouts' own rows, or
 * the others, of which there are many more on any day.
 */
export async function findRows(
  db: DbOrTx,
  entity: string,
  which: 'payouts' | 'others',
  wanted: Wanted,
): Promise<BalanceTransaction[]> {
  const { amount, reference, limit } = wanted
  return db
    .select(rowColumns)
    .from(rows)
    .where(
      and(
        eq(rows.entity, entity),
        which === 'payouts' ? eq(rows.kind, 'from_payout') : ne(rows.kind, 'from_payout'),
        sql`${rows.vanishedRunId} is null`,
        isWithin(rows.createdS, wanted),
        amount === null
          ? undefined
          : and(
              eq(rows.currency, amount.currency),
              or(isEither(rows.amountMinor, amount.minor), isEither(rows.netMinor, amount.minor)),
            ),
        reference === null
          ? undefined
          : or(
              startsWith(rows.id, reference),
              which === 'payouts' ? startsWith(rows.payoutId, reference) : undefined,
              startsWith(rows.paymentId, reference),
              startsWith(rows.refundId, reference),
            ),
      ),
    )
    .orderBy(asc(rows.createdS), asc(rows.id))
    .limit(limit)
}

export interface FoundRefund {
  readonly refundId: string
  readonly paymentId: string
  readonly amountMinor: bigint
  readonly createdS: number
}

/** Refunds as they stand on their payments, whose amounts carry no currency. */
export async function findRefunds(
  db: DbOrTx,
  entity: string,
  wanted: Wanted,
): Promise<FoundRefund[]> {
  const { amount, reference, limit } = wanted
  return db
    .select({
      refundId: paymentRefunds.refundId,
      paymentId: paymentRefunds.paymentId,
      amountMinor: paymentRefunds.amountMinor,
      createdS: paymentRefunds.createdS,
    })
    .from(paymentRefunds)
    .where(
      and(
        eq(paymentRefunds.entity, entity),
        isWithin(paymentRefunds.createdS, wanted),
        amount === null ? undefined : isEither(paymentRefunds.amountMinor, amount.minor),
        reference === null
          ? undefined
          : or(
              startsWith(paymentRefunds.refundId, reference),
              startsWith(paymentRefunds.paymentId, reference),
            ),
      ),
    )
    .orderBy(asc(paymentRefunds.createdS), asc(paymentRefunds.refundId))
    .limit(limit)
}

export interface FoundDiscrepancy {
  readonly discrepancyId: string
  readonly code: string
  readonly status: string
  readonly currency: Currency
  readonly differenceMinor: bigint | null
  readonly since: Day
}

/** Discrepancies as the report that named them last has them. */
export async function findDiscrepancies(
  db: DbOrTx,
  entity: string,
  { amount, days, reference, limit }: Wanted,
): Promise<FoundDiscrepancy[]> {
  const named = reportedDiscrepancies
  const latest = db
    .selectDistinctOn([named.discrepancyId], {
      discrepancyId: named.discrepancyId,
      code: named.code,
      status: named.status,
      currency: named.currency,
      differenceMinor: named.differenceMinor,
      since: named.since,
    })
    .from(named)
    .where(
      and(
        eq(named.entity, entity),
        days === null ? undefined : and(gte(named.since, days.first), lte(named.since, days.last)),
        amount === null
          ? undefined
          : and(eq(named.currency, amount.currency), isEither(named.differenceMinor, amount.minor)),
        reference === null ? undefined : startsWith(named.discrepancyId, reference),
      ),
    )
    .orderBy(asc(named.discrepancyId), desc(named.reportId))
    .as('latest')
  const found = await db
    .select()
    .from(latest)
    .orderBy(asc(latest.since), asc(latest.discrepancyId))
    .limit(limit)
  return found.map((row) => ({ ...row, since: parseDay(row.since) }))
}

/** A bank line with what tells whose it is. */
export type FoundBankEntry = Pick<
  StoredBankEntry,
  | 'account'
  | 'bookingDay'
  | 'amountMinor'
  | 'currency'
  | 'counterpartyName'
  | 'counterpartyIban'
  | 'endToEndId'
  | 'remittance'
  | 'bankReference'
  | 'fileName'
  | 'position'
>

export async function findBankEntries(
  db: DbOrTx,
  { amount, days, reference, limit }: Wanted,
): Promise<FoundBankEntry[]> {
  const found = await db
    .select({
      account: bankEntries.account,
      bookingDay: bankEntries.bookingDay,
      amountMinor: bankEntries.amountMinor,
      currency: bankEntries.currency,
      counterpartyName: bankEntries.counterpartyName,
      counterpartyIban: bankEntries.counterpartyIban,
      endToEndId: bankEntries.endToEndId,
      remittance: bankEntries.remittance,
      bankReference: bankEntries.bankReference,
      fileName: bankFiles.name,
      position: bankEntries.position,
    })
    .from(bankEntries)
    .innerJoin(bankStatements, eq(bankEntries.statementId, bankStatements.id))
    .innerJoin(bankFiles, eq(bankStatements.fileId, bankFiles.id))
    .where(
      and(
        days === null
          ? undefined
          : and(gte(bankEntries.bookingDay, days.first), lte(bankEntries.bookingDay, days.last)),
        amount === null
          ? undefined
          : and(
              eq(bankEntries.currency, amount.currency),
              isEither(bankEntries.amountMinor, amount.minor),
            ),
        reference === null
          ? undefined
          : or(
              sql`starts_with(${bankEntries.bankReference}, ${reference})`,
              sql`starts_with(${bankEntries.endToEndId}, ${reference})`,
            ),
      ),
    )
    .orderBy(asc(bankEntries.bookingDay), asc(bankEntries.id))
    .limit(limit)
  return found.map((row) => ({ ...row, bookingDay: parseDay(row.bookingDay) }))
}

/** Accounts of which there are statements or suspected lines. */
export async function loadOwnAccounts(db: DbOrTx): Promise<string[]> {
  const ofStatements = await db
    .selectDistinct({ account: bankStatements.account })
    .from(bankStatements)
  const ofSuspects = await db.selectDistinct({ account: bankSuspects.account }).from(bankSuspects)
  return [...new Set([...ofStatements, ...ofSuspects].map(({ account }) => account))]
}

/** Names of those who signed periods off. */
export async function loadSigners(db: DbOrTx): Promise<string[]> {
  const found = await db.selectDistinct({ by: periodCloses.closedBy }).from(periodCloses)
  return found.map(({ by }) => by)
}
