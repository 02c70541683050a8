/** What people decided about matches and discrepancies: written once, never changed. */
import { asc, desc, eq, inArray } from 'drizzle-orm'
import { groupBy } from '../src/domain/collections.ts'
import type { Decision } from '../src/domain/facts.ts'
import type { DbOrTx, Tx } from './client.ts'
import { epochSecondsOf } from './instants.ts'
import {
  decisionBankEntries,
  decisionPayouts,
  decisions,
  periodReports,
  reportedDiscrepancies,
} from './schema.ts'

export type NewDecision = Omit<Decision, 'decisionNumber' | 'decidedS'>

/** @returns the number of the decision within its entity's. */
export async function recordDecision(
  tx: Tx,
  runId: number,
  decision: NewDecision,
): Promise<number> {
  const { entity, kind, discrepancyId, by, reason, payoutIds, bankEntryIds } = decision
  const [row] = await tx
    .insert(decisions)
    .values({ entity, kind, discrepancyId, decidedBy: by, reason, runId })
    .returning({ decisionNumber: decisions.decisionNumber })
  if (row === undefined) throw new Error('the database did not return the number of the decision')
  const { decisionNumber } = row
  if (payoutIds.length > 0) {
    await tx
      .insert(decisionPayouts)
      .values(payoutIds.map((payoutId) => ({ entity, decisionNumber, payoutId })))
  }
  if (bankEntryIds.length > 0) {
    await tx.insert(decisionBankEntries).values(
      bankEntryIds.map((bankEntryId) => ({
        entity,
        decisionNumber,
        bankEntryId: Number(bankEntryId),
      })),
    )
  }
  return decisionNumber
}

/** Every decision about these entities, in the order in which they were made. */
export async function loadDecisions(db: DbOrTx, entities: readonly string[]): Promise<Decision[]> {
  if (entities.length === 0) return []
  const found = await db
    .select({
      entity: decisions.entity,
      decisionNumber: decisions.decisionNumber,
      kind: decisions.kind,
      discrepancyId: decisions.discrepancyId,
      by: decisions.decidedBy,
      reason: decisions.reason,
      decidedS: epochSecondsOf(decisions.decidedAt),
    })
    .from(decisions)
    .where(inArray(decisions.entity, [...entities]))
    .orderBy(asc(decisions.decisionNumber))
  const payouts = await db
    .select()
    .from(decisionPayouts)
    .where(inArray(decisionPayouts.entity, [...entities]))
    .orderBy(asc(decisionPayouts.payoutId))
  const entries = await db
    .select()
    .from(decisionBankEntries)
    .where(inArray(decisionBankEntries.entity, [...entities]))
    .orderBy(asc(decisionBankEntries.bankEntryId))
  const payoutsOf = groupBy(payouts, ({ decisionNumber }) => decisionNumber)
  const entriesOf = groupBy(entries, ({ decisionNumber }) => decisionNumber)
  return found.map((decision) => ({
    ...decision,
    kind: toKind(decision.kind),
    payoutIds: (payoutsOf.get(decision.decisionNumber) ?? []).map(({ payoutId }) => payoutId),
    bankEntryIds: (entriesOf.get(decision.decisionNumber) ?? []).map(({ bankEntryId }) =>
      String(bankEntryId),
    ),
  }))
}

function toKind(text: string): Decision['kind'] {
  if (text === 'match' || text === 'refuse' || text === 'accept' || text === 'reopen') return text
  throw new Error(`the database holds a decision of the kind "${text}", which is none`)
}

/** A discrepancy as the latest report that named it told it. */
export interface NamedDiscrepancy {
  readonly entity: string
  readonly code: string
  readonly status: string
  readonly period: string
}

/** @returns null if no report ever named the id. */
export async function findReportedDiscrepancy(
  db: DbOrTx,
  discrepancyId: string,
): Promise<NamedDiscrepancy | null> {
  const [found] = await db
    .select({
      entity: reportedDiscrepancies.entity,
      code: reportedDiscrepancies.code,
      status: reportedDiscrepancies.status,
      period: periodReports.period,
    })
    .from(reportedDiscrepancies)
    .innerJoin(periodReports, eq(periodReports.id, reportedDiscrepancies.reportId))
    .where(eq(reportedDiscrepancies.discrepancyId, discrepancyId))
    .orderBy(desc(periodReports.id))
    .limit(1)
  return found ?? null
}
