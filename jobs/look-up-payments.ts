/**
 * Looks at the payments whose refunds have to be compared with the ledger. The list of payments
 * tells of most of them at once; those that it cannot settle are asked for one by one.
 */
import { findDeductedRefundIds, findPaymentIdsOfRows } from '../db/balance-transactions.ts'
import type { Db } from '../db/client.ts'
import { findPaymentsWithOpenRefunds, findTouchedPayments, type SaleBounds } from '../db/events.ts'
import {
  findPaymentIdsNotSeen,
  findPaymentIdsWithoutPlan,
  type LookedUpPayment,
  savePayments,
} from '../db/payments.ts'
import { addDays, dayOfInstant, type EpochSeconds, startOfDay } from '../src/domain/day.ts'
import type { Payment } from '../src/domain/payment.ts'
import type { Progress, ProgressStep } from '../src/progress.ts'
import type { ProviderClient } from '../src/provider/client.ts'
import { fetchPayment, LIST_PAGE_ROWS, listPayments } from '../src/provider/payments.ts'
import { severalAtOnce } from './several-at-once.ts'

/** How far back refunds are looked for: a quarter. */
const LOOK_BACK_DAYS = 92
const AT_ONCE = 6
/** Payments asked for one by one that are stored together. */
const SAVED_TOGETHER = 500
/** Payments of the list that are stored together. */
const LISTED_TOGETHER = 5_000

export interface LookUpPaymentsDeps {
  readonly db: Db
  readonly client: ProviderClient
  readonly progress: Progress
}

export interface LookUpPaymentsArgs {
  readonly entity: string
  readonly runId: number
  /** The period, half open. */
  readonly periodStartS: EpochSeconds
  readonly periodEndS: EpochSeconds
  /** In which the days to look back are counted. */
  readonly zone: string
  /** True if the plan of each payment of the period has to be known, for its fee. */
  readonly wantPlans: boolean
}

export interface PaymentLookUp {
  /** Payments that the provider's list told of; 0 where it has no usable list. */
  readonly listed: number
  /** Payments asked for one by one. */
  readonly visited: number
  /** Of those, how many the provider does not know. */
  readonly missing: number
}

export async function lookUpPayments(
  deps: LookUpPaymentsDeps,
  args: LookUpPaymentsArgs,
): Promise<PaymentLookUp> {
  const { db, progress } = deps
  const { entity, zone, runId, periodStartS, periodEndS } = args
  const firstDay = addDays(dayOfInstant(periodStartS, zone), -LOOK_BACK_DAYS)
  const window = { startS: startOfDay(firstDay, zone), endS: periodEndS }
  const step = progress.step(`payments of ${entity}`, 'payments')
  const list = await takeList(deps, args, window, step)
  // A quarter of a large merchant is a million payments: the database knows which of them were listed.
  const ids = new Set([
    ...(await findPaymentIdsOfRows(db, entity, { kind: 'from_refund', ...window })),
    ...(list === null
      ? await findPaymentIdsOfRows(db, entity, { kind: 'from_transaction', ...window })
      : [...list.unsettledIds, ...(await findPaymentIdsNotSeen(db, entity, runId, window))]),
    ...(list === null || !args.wantPlans
      ? []
      : await findPaymentIdsWithoutPlan(db, entity, {
          startS: periodStartS,
          endS: periodEndS,
          seenInRunId: runId,
        })),
  ])
  const missing = await visitAll(deps, args, [...ids].sort(), step)
  const listed = list?.payments ?? 0
  step.done(`${listed} listed, ${ids.size} looked up, ${missing} unknown to the provider`)
  return { listed, visited: ids.size, missing }
}

/** One by one: where more payments than that are touched, the list of a whole night is no longer the longer way. */
const TOUCHED_MAX = 10_000

/** Payments that events point to and whose sale lies in the bounds, the first of them by id. */
export function touchedPayments(
  db: Db,
  entity: string,
  bounds: SaleBounds & { readonly upToNumber: number },
): Promise<string[]> {
  return findTouchedPayments(db, entity, { ...bounds, limit: TOUCHED_MAX })
}

/**
 * Of the payments that `lookUpPayments` would look at only those that events and open refunds ask for,
 * one by one. It never looks at one that the other would not: what a report knows must not depend on
 * whether the provider told of it.
 */
export async function lookUpTouchedPayments(
  deps: LookUpPaymentsDeps,
  args: LookUpPaymentsArgs & {
    /** The number of the last event that is to be followed. */
    readonly eventsUpTo: number
  },
): Promise<PaymentLookUp> {
  const { db, progress } = deps
  const { entity, zone, periodStartS, periodEndS, eventsUpTo } = args
  const firstDay = addDays(dayOfInstant(periodStartS, zone), -LOOK_BACK_DAYS)
  const window = { startS: startOfDay(firstDay, zone), endS: periodEndS }
  const step = progress.step(`payments of ${entity} that changed`, 'payments')
  const touched = await touchedPayments(db, entity, { ...window, upToNumber: eventsUpTo })
  if (touched.length === TOUCHED_MAX) {
    progress.note(
      `more than ${TOUCHED_MAX} payments of ${entity} wait to be read again: the others are left to the next run`,
      'warn',
    )
  }
  const ids = new Set([
    ...touched,
    ...(await findPaymentsWithOpenRefunds(db, entity, window)),
    ...(args.wantPlans
      ? await findPaymentIdsWithoutPlan(db, entity, {
          startS: periodStartS,
          endS: periodEndS,
          seenInRunId: null,
        })
      : []),
  ])
  const missing = await visitAll(deps, args, [...ids].sort(), step)
  step.done(`${touched.length} told of, ${ids.size} looked up, ${missing} unknown to the provider`)
  return { listed: 0, visited: ids.size, missing }
}

interface List {
  readonly payments: number
  /** Payments with a refund that the ledger does not show: asked for once more before anybody is told. */
  readonly unsettledIds: readonly string[]
}

/** Takes what the list tells; null if it turns out to be unusable, and then nothing of it counts. */
async function takeList(
  { db, client, progress }: LookUpPaymentsDeps,
  { entity, runId }: LookUpPaymentsArgs,
  { startS, endS }: { startS: EpochSeconds; endS: EpochSeconds },
  step: ProgressStep,
): Promise<List | null> {
  let taken = 0
  const unsettledIds: string[] = []
  let gathered: Payment[] = []
  const flush = async (): Promise<void> => {
    const refundIds = gathered.flatMap(({ refunds }) => refunds.map(({ id }) => id))
    const deducted = await findDeductedRefundIds(db, entity, refundIds)
    for (const { id, refunds } of gathered) {
      if (refunds.some((refund) => !deducted.has(refund.id))) unsettledIds.push(id)
    }
    await savePayments(db, entity, runId, gathered.map(lookedUp))
    step.advance(gathered.length)
    taken += gathered.length
    gathered = []
  }
  for await (const payments of listPayments(client, { fromS: startS, toS: endS })) {
    if (payments === 'unusable') {
      progress.note(
        `the provider has no usable list of payments for ${entity}: each payment is asked for by itself`,
      )
      return null
    }
    gathered.push(...payments)
    if (gathered.length + LIST_PAGE_ROWS > LISTED_TOGETHER) await flush()
  }
  await flush()
  return { payments: taken, unsettledIds }
}

function lookedUp(payment: Payment): LookedUpPayment {
  return { id: payment.id, payment }
}

/** @returns how many the provider does not know. */
async function visitAll(
  { db, client }: LookUpPaymentsDeps,
  { entity, runId }: LookUpPaymentsArgs,
  ids: readonly string[],
  step: ProgressStep,
): Promise<number> {
  let missing = 0
  for (let from = 0; from < ids.length; from += SAVED_TOGETHER) {
    const batch = ids.slice(from, from + SAVED_TOGETHER)
    const looked: LookedUpPayment[] = []
    await severalAtOnce(AT_ONCE, batch, async (id) => {
      looked.push({ id, payment: await fetchPayment(client, id) })
      step.advance(1)
    })
    missing += looked.filter(({ payment }) => payment === null).length
    await savePayments(db, entity, runId, looked)
  }
  return missing
}
