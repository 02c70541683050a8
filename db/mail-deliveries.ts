/** Mails that were sent, or should have been. */
import { and, asc, desc, eq, gt, ne, notExists, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import type { EpochSeconds } from '../src/domain/day.ts'
import type { Db, DbOrTx } from './client.ts'
import { epochSecondsOf } from './instants.ts'
import { mailDeliveries } from './schema.ts'

/** One result for one set of recipients. */
export interface MailSubject {
  readonly period: string
  readonly recipients: string
  readonly resultSha256: string
}

export interface UndeliveredMail {
  readonly period: string
  /** How many addresses it is for. */
  readonly recipients: number
  readonly attempts: number
  /** What the mail server said; null where its answer never came. */
  readonly fault: string | null
  readonly lastAttemptS: EpochSeconds
}

function isSubject({ period, recipients, resultSha256 }: MailSubject) {
  return and(
    eq(mailDeliveries.period, period),
    eq(mailDeliveries.recipients, recipients),
    eq(mailDeliveries.resultSha256, resultSha256),
  )
}

/** Whether these recipients were ever sent this result of the period. */
export async function wasSent(db: DbOrTx, subject: MailSubject): Promise<boolean> {
  const [last] = await db
    .select({ resultSha256: mailDeliveries.resultSha256 })
    .from(mailDeliveries)
    .where(and(isSubject(subject), eq(mailDeliveries.state, 'sent')))
    .orderBy(desc(mailDeliveries.id))
    .limit(1)
  return last !== undefined
}

/** Records that a mail is about to be handed over. @returns the delivery's id. */
export async function beginDelivery(db: Db, subject: MailSubject, runId: number): Promise<number> {
  const [row] = await db
    .insert(mailDeliveries)
    .values({ ...subject, runId, state: 'sending', attempts: 1 })
    .onConflictDoUpdate({
      target: [mailDeliveries.period, mailDeliveries.recipients, mailDeliveries.resultSha256],
      set: {
        state: 'sending',
        attempts: sql`${mailDeliveries.attempts} + 1`,
        fault: null,
        runId,
        lastAttemptAt: sql`statement_timestamp()`,
      },
    })
    .returning({ id: mailDeliveries.id })
  if (row === undefined) throw new Error('the database did not return the id of the mail delivery')
  return row.id
}

export async function endDelivery(db: Db, id: number, fault: string | null): Promise<void> {
  await db
    .update(mailDeliveries)
    .set({ state: fault === null ? 'sent' : 'failed', fault })
    .where(eq(mailDeliveries.id, id))
}

/**
 * Mails whose last attempt failed, or of which nobody knows whether they arrived; not those in whose
 * place the same people have a newer result of the period by now.
 */
export async function loadUndelivered(db: DbOrTx): Promise<UndeliveredMail[]> {
  const later = alias(mailDeliveries, 'later')
  const newerResult = db
    .select({ one: sql`1` })
    .from(later)
    .where(
      and(
        eq(later.period, mailDeliveries.period),
        eq(later.recipients, mailDeliveries.recipients),
        eq(later.state, 'sent'),
        gt(later.lastAttemptAt, mailDeliveries.lastAttemptAt),
      ),
    )
  return db
    .select({
      period: mailDeliveries.period,
      recipients: sql<number>`cardinality(string_to_array(${mailDeliveries.recipients}, ','))`,
      attempts: mailDeliveries.attempts,
      fault: mailDeliveries.fault,
      lastAttemptS: epochSecondsOf(mailDeliveries.lastAttemptAt),
    })
    .from(mailDeliveries)
    .where(and(ne(mailDeliveries.state, 'sent'), notExists(newerResult)))
    .orderBy(asc(mailDeliveries.period), asc(mailDeliveries.recipients), asc(mailDeliveries.id))
}
