/**
 * Payment plans as the provider told of them, day by day, and the sales that they contradict. Sales
 * are held against them once: a night looks at those that changed, and at those of the days about
 * which an answer is new.
 */
import { createHash } from 'node:crypto'
import { and, asc, eq, gt, gte, isNull, lt, lte, type SQL, sql } from 'drizzle-orm'
import { type Day, type EpochSeconds, parseDay, startOfDay } from '../src/domain/day.ts'
import type { PlanFacts, PlannedSale, PlanSales } from '../src/domain/facts.ts'
import type { Currency } from '../src/domain/money.ts'
import {
  bracketsOf,
  faultOfSale,
  type PlanOffer,
  type PlanSnapshot,
  type SaleRules,
  type SoldPlan,
} from '../src/domain/plans.ts'
import { bulkUpsert } from './bulk.ts'
import type { Db, DbOrTx, Tx } from './client.ts'
import { knownRows, type LedgerView, rowColumns } from './facts-ledger.ts'
import {
  balanceTransactions as rows,
  doubtfulSales,
  ledgerProofs,
  payments,
  planChecks,
  planSnapshots,
  type StoredPlanOffer,
} from './schema.ts'

/** Keeps what the provider said on a day; the first answer of a day stays. */
export async function savePlanSnapshot(
  db: DbOrTx,
  entity: string,
  runId: number,
  { day, trouble, offers, asked, remarks }: PlanSnapshot,
): Promise<void> {
  await db
    .insert(planSnapshots)
    .values({ entity, day, runId, trouble, asked, remarks, offers: offers.map(toStored) })
    .onConflictDoNothing()
}

/** Whether the provider was asked on that day. */
export async function hasPlanSnapshot(db: DbOrTx, entity: string, day: Day): Promise<boolean> {
  const found = await db
    .select({ day: planSnapshots.day })
    .from(planSnapshots)
    .where(and(eq(planSnapshots.entity, entity), eq(planSnapshots.day, day)))
  return found.length > 0
}

/** What the provider said until a day, that day included, in the order of days. */
async function loadPlanSnapshots(
  db: DbOrTx,
  entity: string,
  upToDay: Day | null,
): Promise<PlanSnapshot[]> {
  const found = await db
    .select({
      day: planSnapshots.day,
      trouble: planSnapshots.trouble,
      offers: planSnapshots.offers,
      asked: planSnapshots.asked,
      remarks: planSnapshots.remarks,
    })
    .from(planSnapshots)
    .where(
      and(
        eq(planSnapshots.entity, entity),
        upToDay === null ? undefined : lte(planSnapshots.day, upToDay),
      ),
    )
    .orderBy(asc(planSnapshots.day))
  return found.map(({ day, offers, ...rest }) => ({
    ...rest,
    day: parseDay(day),
    offers: offers.map(toOffer),
  }))
}

function toStored({
  plan,
  isOffered,
  minimumMinor,
  maximumMinor,
  reasons,
  price,
}: PlanOffer): StoredPlanOffer {
  return {
    plan,
    offered: isOffered,
    minimum: toNumber(minimumMinor),
    maximum: toNumber(maximumMinor),
    reasons,
    price:
      price === null
        ? null
        : { basisPoints: price.basisPoints, fixed: toNumber(price.fixedMinor) ?? 0 },
  }
}

/** They came as JSON numbers that are whole and exact. */
function toNumber(amountMinor: bigint | null): number | null {
  if (amountMinor === null) return null
  const amount = Number(amountMinor)
  if (!Number.isSafeInteger(amount)) throw new Error(`${amountMinor} is no amount of a plan`)
  return amount
}

function toOffer({ plan, offered, minimum, maximum, reasons, price }: StoredPlanOffer): PlanOffer {
  return {
    plan,
    isOffered: offered,
    minimumMinor: minimum === null ? null : BigInt(minimum),
    maximumMinor: maximum === null ? null : BigInt(maximum),
    reasons,
    price:
      price === null ? null : { basisPoints: price.basisPoints, fixedMinor: BigInt(price.fixed) },
  }
}

/** Sales with the plan that their payment names, in one currency and half-open spans of time. */
export async function loadSoldPlans(
  db: DbOrTx,
  entity: string,
  {
    currency,
    spans,
  }: {
    readonly currency: Currency
    readonly spans: readonly { readonly startS: EpochSeconds; readonly endS: EpochSeconds }[]
  },
): Promise<SoldPlan[]> {
  const inSpans = sql.join(
    spans.map(({ startS, endS }) => sql`(r.created_s >= ${startS} and r.created_s < ${endS})`),
    sql` or `,
  )
  const found = await db.execute<{ plan: string | null; least: string; most: string }>(
    sql`select sold.plan, min(r.amount_minor)::text as least, max(r.amount_minor)::text as most
      from ${rows} as r left join ${payments} as sold
        on sold.entity = r.entity and sold.id = r.payment_id
      where r.entity = ${entity} and r.kind = 'from_transaction' and r.vanished_run_id is null
        and r.currency = ${currency} and (${inSpans})
      group by sold.plan order by sold.plan`,
  )
  return found.map(({ plan, least, most }) => ({
    plan,
    leastMinor: BigInt(least),
    mostMinor: BigInt(most),
  }))
}

/** All that is known of the account's plans for a report. */
export async function loadPlanFacts(
  db: DbOrTx,
  view: LedgerView,
  asOf: Day,
  feeCheck: PlanFacts['feeCheck'],
): Promise<PlanFacts> {
  return {
    snapshots: await loadPlanSnapshots(db, view.entity, asOf),
    sold: await loadPlanSales(db, view),
    doubtful: await loadDoubtfulSales(db, view),
    feeCheck,
  }
}

async function loadPlanSales(db: DbOrTx, view: LedgerView): Promise<PlanSales[]> {
  const { entity, periodStartS } = view
  const endS = Math.min(view.periodEndS, view.asOfEndS)
  const found = await db.execute<
    Record<'currency' | 'sales' | 'gross' | 'fees', string> & { plan: string | null }
  >(sql`select sold.plan, r.currency, count(*)::text as sales,
        sum(r.amount_minor)::text as gross, sum(r.fee_minor)::text as fees
      from ${rows} as r left join ${payments} as sold
        on sold.entity = r.entity and sold.id = r.payment_id
      where r.entity = ${entity} and r.kind = 'from_transaction' and r.vanished_run_id is null
        and r.created_s >= ${periodStartS} and r.created_s < ${endS}
      group by sold.plan, r.currency order by sold.plan, r.currency`)
  return found.map(({ plan, currency, sales, gross, fees }) => ({
    plan,
    currency,
    sales: Number(sales),
    grossMinor: BigInt(gross),
    feesMinor: BigInt(fees),
  }))
}

async function loadDoubtfulSales(db: DbOrTx, view: LedgerView): Promise<PlannedSale[]> {
  const found = await db
    .select({ row: rowColumns, plan: payments.plan, purchaseMinor: payments.purchaseAmountMinor })
    .from(doubtfulSales)
    .innerJoin(rows, and(eq(rows.entity, doubtfulSales.entity), eq(rows.id, doubtfulSales.id)))
    .innerJoin(payments, and(eq(payments.entity, rows.entity), eq(payments.id, rows.paymentId)))
    .where(
      and(
        eq(doubtfulSales.entity, view.entity),
        knownRows(view),
        eq(rows.kind, 'from_transaction'),
      ),
    )
    .orderBy(asc(rows.id))
  return found.flatMap(plannedSale)
}

function plannedSale({
  row,
  plan,
  purchaseMinor,
}: {
  row: PlannedSale['row']
  plan: string | null
  purchaseMinor: bigint | null
}): PlannedSale[] {
  return plan === null || purchaseMinor === null ? [] : [{ row, plan, purchaseMinor }]
}

interface PlanCheck {
  readonly changedNumber: number
  readonly untilDay: Day
  readonly basis: string
}

/** Holds against the snapshots what was not held against them yet; `full`: everything anew. */
export async function checkSalesAgainstPlans(
  db: Db,
  { entity, full, ...rules }: SaleRules & { readonly entity: string; readonly full: boolean },
): Promise<void> {
  await db.transaction(async (tx) => {
    const told = (await loadPlanSnapshots(tx, entity, null)).filter(
      ({ trouble }) => trouble === null,
    )
    const stored = await lockCheck(tx, entity)
    const [first, last] = [told[0], told.at(-1)]
    if (first === undefined || last === undefined) return
    const [state] = await tx
      .select({ changedNumber: ledgerProofs.changedNumber })
      .from(ledgerProofs)
      .where(eq(ledgerProofs.entity, entity))
    const now: PlanCheck = {
      changedNumber: state?.changedNumber ?? 0,
      untilDay: last.day,
      basis: basisOf(told, rules),
    }
    const before = full ? null : continued(stored, told, rules)
    if (
      before !== null &&
      before.basis === now.basis &&
      before.changedNumber === now.changedNumber &&
      now.changedNumber > 0
    ) {
      return
    }
    await recheck(tx, entity, { told, rules, before, firstDay: first.day, lastDay: last.day })
    await tx
      .insert(planChecks)
      .values({ entity, ...now })
      .onConflictDoUpdate({ target: planChecks.entity, set: { ...now } })
  })
}

/** Held to the end, so that two runs do not check the same sales by different answers. */
async function lockCheck(tx: Tx, entity: string): Promise<PlanCheck | null> {
  await tx
    .insert(planChecks)
    .values({ entity, changedNumber: 0, untilDay: NEVER, basis: '' })
    .onConflictDoNothing()
  const [found] = await tx
    .select({
      changedNumber: planChecks.changedNumber,
      untilDay: planChecks.untilDay,
      basis: planChecks.basis,
    })
    .from(planChecks)
    .where(eq(planChecks.entity, entity))
    .for('update')
  return found === undefined ? null : { ...found, untilDay: parseDay(found.untilDay) }
}

/** Earlier than any answer. */
const NEVER = parseDay('1970-01-01')

/** What was checked, if all it rested on still stands; rows without numbers are checked anew each time. */
function continued(
  stored: PlanCheck | null,
  told: readonly PlanSnapshot[],
  rules: SaleRules,
): PlanCheck | null {
  if (stored === null || stored.changedNumber === 0) return null
  const until = told.filter(({ day }) => day <= stored.untilDay)
  return stored.basis === basisOf(until, rules) ? stored : null
}

/** Raised whenever sales are judged in another way. */
const RECIPE = 1

function basisOf(told: readonly PlanSnapshot[], { zone, feeCheck }: SaleRules): string {
  const text = JSON.stringify([RECIPE, zone, feeCheck, told], (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
  return createHash('sha256').update(text).digest('hex')
}

interface Recheck {
  readonly told: readonly PlanSnapshot[]
  readonly rules: SaleRules
  /** Null: nothing of what was found stands. */
  readonly before: PlanCheck | null
  readonly firstDay: Day
  readonly lastDay: Day
}

/** Sales that are looked at together. */
const SALES_AT_ONCE = 10_000
/** More than any ledger holds: reaching it means a loop. */
const BATCHES_MAX = 100_000

async function recheck(tx: Tx, entity: string, given: Recheck): Promise<void> {
  const { told, rules, before, firstDay, lastDay } = given
  const brackets = bracketsOf(told)
  const isStale = before === null ? sql`true` : staleSales(entity, before, rules.zone)
  await tx.execute(
    before === null
      ? sql`delete from ${doubtfulSales} where entity = ${entity}`
      : sql`delete from ${doubtfulSales} where entity = ${entity} and id in (
          select ${rows.id} from ${rows} where ${rows.entity} = ${entity} and ${isStale})`,
  )
  const startS = startOfDay(firstDay, rules.zone)
  const endS = startOfDay(lastDay, rules.zone)
  let afterId = ''
  for (let batches = 0; batches < BATCHES_MAX; batches += 1) {
    const sales = await tx
      .select({ row: rowColumns, plan: payments.plan, purchaseMinor: payments.purchaseAmountMinor })
      .from(rows)
      .innerJoin(payments, and(eq(payments.entity, rows.entity), eq(payments.id, rows.paymentId)))
      .where(
        and(
          eq(rows.entity, entity),
          eq(rows.kind, 'from_transaction'),
          isNull(rows.vanishedRunId),
          gte(rows.createdS, startS),
          lt(rows.createdS, endS),
          gt(rows.id, afterId),
          isStale,
        ),
      )
      .orderBy(asc(rows.id))
      .limit(SALES_AT_ONCE)
    const doubtful = sales
      .flatMap(plannedSale)
      .filter((sale) => faultOfSale(sale, brackets, rules) !== null)
    await bulkUpsert(
      tx,
      doubtfulSales,
      doubtful.map(({ row }) => ({ entity, id: row.id })),
      { conflict: ['entity', 'id'] },
    )
    const last = sales.at(-1)
    if (sales.length < SALES_AT_ONCE || last === undefined) return
    afterId = last.row.id
  }
  throw new Error(`the sales of ${entity} did not end after ${BATCHES_MAX} batches`)
}

/** Rows that changed, or the payment of which did, and those about which an answer is new: each by an index. */
function staleSales(entity: string, { changedNumber, untilDay }: PlanCheck, zone: string): SQL {
  return sql`${rows.id} in (
    select r.id from ${rows} as r where r.entity = ${entity} and r.change_number > ${changedNumber}
    union select r.id from ${rows} as r
      where r.entity = ${entity} and r.created_s >= ${startOfDay(untilDay, zone)}
    union select r.id from ${payments} as looked inner join ${rows} as r
      on r.entity = looked.entity and r.payment_id = looked.id
      where looked.entity = ${entity} and r.entity = ${entity}
        and looked.change_number > ${changedNumber})`
}
