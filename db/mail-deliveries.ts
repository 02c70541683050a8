/** Mails that were sent, or should have been. */
import { and, asc, desc, eq, ne, sql } from 'drizzle-orm'
import type { Db, DbOrTx } from './client.ts'
import { mailDeliveries } from './schema.ts'

/** One result for one set of recipients. */
export interface MailSubject {
  readonly period: string
  readonly recipients: string
  readonly resultSha256: string
}

export interface UndeliveredMail {
  readonly period: string
  readonly recipients: string
  readonly attempts: number
  readonly fault: string | null
  readonly lastAttemptAt: string
}

function isSubject({ period, recipients, resultSha256 }: MailSubject) {
  return and(
    eq(mailDeliveries.period, period),
    eq(mailDeliveries.recipients, recipients),
    eq(mailDeliveries.resultSha256, resultSha256),
  )
}

/** Whether the result that these recipients were sent last for the period is this one. */
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
        lastAttemptAt: sql`clock_timestamp()`,
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

/** Mails whose last attempt failed, or of which nobody knows whether they arrived. */
export async function loadUndelivered(db: DbOrTx): Promise<UndeliveredMail[]> {
  return db
    .select({
      period: mailDeliveries.period,
      recipients: mailDeliveries.recipients,
      attempts: mailDeliveries.attempts,
      fault: mailDeliveries.fault,
      lastAttemptAt: mailDeliveries.lastAttemptAt,
    })
    .from(mailDeliveries)
    .where(ne(mailDeliveries.state, 'sent'))
    .orderBy(asc(mailDeliveries.period), asc(mailDeliveries.recipients))
}
