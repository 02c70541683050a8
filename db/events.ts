/** What the provider told by itself, and what it and the rows that are still open ask to be read again. */
import { and, count, desc, eq, gte, isNull, lt, lte, max, or, sql } from 'drizzle-orm'
import type { EpochSeconds } from '../src/domain/day.ts'
import { bulkUpsert } from './bulk.ts'
import type { DbOrTx } from './client.ts'
import { epochSecondsOf } from './instants.ts'
import {
  balanceTransactions as bt,
  paymentRefunds as refunds,
  payments,
  providerEvents as events,
  refundFamilies as families,
} from './schema.ts'

export interface NewEvent {
  readonly entity: string
  /** The same for whatever is a repetition. */
  readonly eventKey: string
  readonly source: 'ipn' | 'webhook'
  /** As the provider names it; `ipn`. */
  readonly type: string
  /** Null where the notification names no payment. */
  readonly paymentId: string | null
}

/** Stores events; those that are there already are left as they are. @returns how many were new. */
export async function saveEvents(db: DbOrTx, found: readonly NewEvent[]): Promise<number> {
  return bulkUpsert(db, events, found, { conflict: ['entity', 'eventKey'] })
}

/** The number of the latest event of an entity; 0 if none has come. */
export async function lastEventNumber(db: DbOrTx, entity: string): Promise<number> {
  const [found] = await db
    .select({ last: max(events.eventNumber) })
    .from(events)
    .where(eq(events.entity, entity))
  return found?.last ?? 0
}

/** Half open. */
export interface SaleBounds {
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
}

/**
 * Payments that events point to which no run has followed yet, in the order of their ids: those only
 * of which the entity's own ledger has a sale in the bounds. So an event of somebody else's payment, or
 * of one that is none, asks for nothing.
 */
export async function findTouchedPayments(
  db: DbOrTx,
  entity: string,
  {
    upToNumber,
    startS,
    endS,
    limit,
  }: SaleBounds & { readonly upToNumber: number; readonly limit: number },
): Promise<string[]> {
  const rows = await db
    .selectDistinct({ paymentId: events.paymentId })
    .from(events)
    .where(
      and(
        eq(events.entity, entity),
        isNull(events.takenRunId),
        lte(events.eventNumber, upToNumber),
        sql`exists (
          select 1 from ${bt} where ${bt.entity} = ${events.entity}
            and ${bt.paymentId} = ${events.paymentId} and ${bt.kind} = 'from_transaction'
            and ${bt.vanishedRunId} is null and ${bt.createdS} >= ${startS}
            and ${bt.createdS} < ${endS})`,
      ),
    )
    .orderBy(events.paymentId)
    .limit(limit)
  return rows.flatMap(({ paymentId }) => (paymentId === null ? [] : [paymentId]))
}

/**
 * Payments of which a refund is not settled between payment, ledger and payout as far as is stored: a
 * refund row in the bounds that is in no payout yet or that the payment does not have so, or a sale in
 * the bounds with refunds that did not agree when they were last proved.
 */
export async function findPaymentsWithOpenRefunds(
  db: DbOrTx,
  entity: string,
  { startS, endS }: SaleBounds,
): Promise<string[]> {
  const rows = await db
    .selectDistinct({ paymentId: bt.paymentId })
    .from(bt)
    .where(
      and(
        eq(bt.entity, entity),
        eq(bt.kind, 'from_refund'),
        isNull(bt.vanishedRunId),
        gte(bt.createdS, startS),
        lt(bt.createdS, endS),
        or(
          isNull(bt.includedInPayoutId),
          sql`not exists (
            select 1 from ${refunds} where ${refunds.entity} = ${bt.entity}
              and ${refunds.paymentId} = ${bt.paymentId} and ${refunds.refundId} = ${bt.refundId}
              and ${refunds.amountMinor} = -${bt.amountMinor})`,
        ),
      ),
    )
  const unsettled = await db
    .select({ paymentId: families.paymentId })
    .from(families)
    .where(
      and(
        eq(families.entity, entity),
        isNull(families.settledS),
        sql`exists (
          select 1 from ${bt} where ${bt.entity} = ${families.entity}
            and ${bt.paymentId} = ${families.paymentId} and ${bt.kind} = 'from_transaction'
            and ${bt.vanishedRunId} is null and ${bt.createdS} >= ${startS}
            and ${bt.createdS} < ${endS})`,
      ),
    )
  const ids = [...rows, ...unsettled].flatMap(({ paymentId }) =>
    paymentId === null ? [] : [paymentId],
  )
  return [...new Set(ids)].sort()
}

/**
 * Notes that a run has followed the events up to a number: all of them, or those whose payment it has
 * looked at. Every IPN of a payment looks the same, so the next one, be it news or a repetition, must be
 * an event of its own: those that are taken leave their key to it.
 */
export async function takeEvents(
  db: DbOrTx,
  entity: string,
  {
    runId,
    upToNumber,
    everything,
  }: { readonly runId: number; readonly upToNumber: number; readonly everything: boolean },
): Promise<void> {
  const isLookedAt = sql`exists (
    select 1 from ${payments} where ${payments.entity} = ${events.entity}
      and ${payments.id} = ${events.paymentId} and ${payments.lookedUpRunId} = ${runId})`
  await db
    .update(events)
    .set({
      takenRunId: runId,
      eventKey: sql`case when ${events.source} = 'ipn'
        then ${events.eventKey} || ' until run ' || ${runId}::text else ${events.eventKey} end`,
    })
    .where(
      and(
        eq(events.entity, entity),
        isNull(events.takenRunId),
        lte(events.eventNumber, upToNumber),
        everything ? undefined : or(isNull(events.paymentId), isLookedAt),
      ),
    )
}

export interface LastEvent {
  readonly type: string
  readonly receivedS: EpochSeconds
  /** Events that no run has followed yet. */
  readonly waiting: number
}

/** Null if none has come. */
export async function findLastEvent(db: DbOrTx, entity: string): Promise<LastEvent | null> {
  const [last] = await db
    .select({ type: events.type, receivedS: epochSecondsOf(events.receivedAt) })
    .from(events)
    .where(eq(events.entity, entity))
    .orderBy(desc(events.eventNumber))
    .limit(1)
  if (last === undefined) return null
  const [found] = await db
    .select({ waiting: count() })
    .from(events)
    .where(and(eq(events.entity, entity), isNull(events.takenRunId)))
  return { ...last, waiting: found?.waiting ?? 0 }
}
