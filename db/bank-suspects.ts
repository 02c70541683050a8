/** Entries that wait for a person, as they are probably known in other words, and what was decided. */
import { and, asc, between, eq, notExists, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import type { StoredBankEntry } from '../src/domain/bank-statement.ts'
import { type Day, parseDay } from '../src/domain/day.ts'
import type { DbOrTx, Tx } from './client.ts'
import {
  bankEntries,
  bankFiles,
  bankStatements,
  bankSuspectDecisions,
  bankSuspects,
} from './schema.ts'

/** An entry as it was not taken in, called as reports would call it. */
export interface BankSuspect extends StoredBankEntry {
  /** The file of the entry as which it was taken. */
  readonly earlierFile: string
  /** The latest decision; null: it waits for one. */
  readonly decided: 'admit' | 'dismiss' | null
}

const latestDecision = sql<string | null>`(
  select ${bankSuspectDecisions.kind} from ${bankSuspectDecisions}
  where ${bankSuspectDecisions.suspectId} = ${bankSuspects.id}
  order by ${bankSuspectDecisions.decisionNumber} desc limit 1)`

/** Every suspect booked from one day to another, in order of account, day, file and place. */
export async function loadBankSuspects(
  db: DbOrTx,
  { fromDay, toDay }: { fromDay: Day; toDay: Day },
): Promise<BankSuspect[]> {
  const knownStatements = alias(bankStatements, 'known_statements')
  const knownFiles = alias(bankFiles, 'known_files')
  const rows = await db
    .select({
      id: bankSuspects.id,
      fileName: bankFiles.name,
      earlierFile: knownFiles.name,
      account: bankSuspects.account,
      bookingDay: bankSuspects.bookingDay,
      valueDay: bankSuspects.valueDay,
      amountMinor: bankSuspects.amountMinor,
      currency: bankSuspects.currency,
      counterpartyName: bankSuspects.counterpartyName,
      counterpartyIban: bankSuspects.counterpartyIban,
      endToEndId: bankSuspects.endToEndId,
      remittance: bankSuspects.remittance,
      bankReference: bankSuspects.bankReference,
      isReversal: bankSuspects.isReversal,
      place: bankSuspects.place,
      position: bankSuspects.position,
      fingerprint: bankSuspects.fingerprint,
      fingerprintRank: bankSuspects.fingerprintRank,
      decided: latestDecision,
    })
    .from(bankSuspects)
    .innerJoin(bankStatements, eq(bankSuspects.statementId, bankStatements.id))
    .innerJoin(bankFiles, eq(bankStatements.fileId, bankFiles.id))
    .innerJoin(knownStatements, eq(bankSuspects.knownStatementId, knownStatements.id))
    .innerJoin(knownFiles, eq(knownStatements.fileId, knownFiles.id))
    .where(between(bankSuspects.bookingDay, fromDay, toDay))
    .orderBy(
      asc(bankSuspects.account),
      asc(bankSuspects.bookingDay),
      sql`${bankFiles.name} collate "C"`,
      asc(bankSuspects.position),
      asc(bankSuspects.id),
    )
  return rows.map((row) => ({
    ...row,
    id: String(row.id),
    bookingDay: parseDay(row.bookingDay),
    valueDay: row.valueDay === null ? null : parseDay(row.valueDay),
    reference: row.bankReference ?? row.endToEndId ?? `${row.fileName}:${row.position}`,
    decided: parseDecision(row.decided),
  }))
}

function parseDecision(text: string | null): BankSuspect['decided'] {
  if (text === null || text === 'admit' || text === 'dismiss') return text
  throw new Error(`the database holds the decision ${text} about a suspect, which is none`)
}

interface SuspectDecision {
  readonly suspectId: number
  readonly by: string
  readonly reason: string
  readonly runId: number
}

/** Records that a suspect is the same movement as the entry as which it was taken. */
export async function dismissSuspect(
  tx: Tx,
  { suspectId, by, reason, runId }: SuspectDecision,
): Promise<void> {
  await tx
    .insert(bankSuspectDecisions)
    .values({ suspectId, kind: 'dismiss', decidedBy: by, reason, runId })
}

/** Takes a suspect in as a movement of its own, and records who says so. */
export async function admitSuspect(
  tx: Tx,
  { suspectId, by, reason, runId }: SuspectDecision,
): Promise<void> {
  const [suspect] = await tx.select().from(bankSuspects).where(eq(bankSuspects.id, suspectId))
  if (suspect === undefined) throw new Error(`there is no suspect ${suspectId}`)
  const { id: _, knownStatementId: __, fingerprintRank: ___, ...entry } = suspect
  const { account, fingerprint, fingerprintVersion } = suspect
  const equal = and(
    eq(bankEntries.account, account),
    eq(bankEntries.fingerprintVersion, fingerprintVersion),
    eq(bankEntries.fingerprint, fingerprint),
  )
  const [ranks] = await tx
    .select({ last: sql<number>`coalesce(max(${bankEntries.fingerprintRank}), 0)` })
    .from(bankEntries)
    .where(equal)
  const [stored] = await tx
    .insert(bankEntries)
    .values({ ...entry, fingerprintRank: (ranks?.last ?? 0) + 1 })
    .returning({ id: bankEntries.id })
  if (stored === undefined) throw new Error('the admitted bank entry was not stored')
  await tx
    .insert(bankSuspectDecisions)
    .values({ suspectId, kind: 'admit', bankEntryId: stored.id, decidedBy: by, reason, runId })
}

/**
 * Settles the suspects that a file brought as new entries after all, since its balances prove them:
 * as many as it brought.
 */
export async function admitProvedSuspects(
  tx: Tx,
  { fileId, fileName, runId }: { fileId: number; fileName: string; runId: number },
): Promise<void> {
  const decided = tx
    .select({ one: sql`1` })
    .from(bankSuspectDecisions)
    .where(eq(bankSuspectDecisions.suspectId, bankSuspects.id))
  const [anybody] = await tx
    .select({ id: bankSuspects.id })
    .from(bankSuspects)
    .where(notExists(decided))
    .limit(1)
  if (anybody === undefined) return
  const nthOfEqual = (table: typeof bankSuspects | typeof bankEntries) =>
    sql`row_number() over (
      partition by ${table.account}, ${table.fingerprintVersion}, ${table.fingerprint}
      order by ${table.fingerprintRank})`
  const waiting = tx
    .select({
      id: bankSuspects.id,
      account: bankSuspects.account,
      fingerprint: bankSuspects.fingerprint,
      fingerprintVersion: bankSuspects.fingerprintVersion,
      nth: nthOfEqual(bankSuspects).as('nth_waiting'),
    })
    .from(bankSuspects)
    .where(notExists(decided))
    .as('waiting')
  const brought = tx
    .select({
      id: bankEntries.id,
      account: bankEntries.account,
      fingerprint: bankEntries.fingerprint,
      fingerprintVersion: bankEntries.fingerprintVersion,
      nth: nthOfEqual(bankEntries).as('nth_brought'),
    })
    .from(bankEntries)
    .innerJoin(bankStatements, eq(bankEntries.statementId, bankStatements.id))
    .where(eq(bankStatements.fileId, fileId))
    .as('brought')
  const settled = await tx
    .select({ suspectId: waiting.id, bankEntryId: brought.id })
    .from(waiting)
    .innerJoin(
      brought,
      and(
        eq(waiting.account, brought.account),
        eq(waiting.fingerprintVersion, brought.fingerprintVersion),
        eq(waiting.fingerprint, brought.fingerprint),
        eq(waiting.nth, brought.nth),
      ),
    )
  if (settled.length === 0) return
  await tx.insert(bankSuspectDecisions).values(
    settled.map((ids) => ({
      ...ids,
      kind: 'admit',
      decidedBy: 'import-bank',
      reason: `${fileName} has it as an entry of its own`,
      runId,
    })),
  )
}
