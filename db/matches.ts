/** Matches that a written report has named: pinned until a fact contradicts them. */
import { and, asc, eq, gte, inArray, isNotNull, isNull } from 'drizzle-orm'
import type { PinnedMatch, RevokedMatch } from '../src/domain/facts.ts'
import { groupBy } from '../src/domain/collections.ts'
import { MATCH_RULES, type Match, type MatchRule } from '../src/domain/reconciliation.ts'
import { ControlTotalsFault } from '../src/errors.ts'
import { bulkUpsert } from './bulk.ts'
import type { DbOrTx, Tx } from './client.ts'
import { matchBankEntries, matches, matchPayouts } from './schema.ts'

export async function loadPinnedMatches(
  db: DbOrTx,
  entities: readonly string[],
): Promise<PinnedMatch[]> {
  if (entities.length === 0) return []
  const ours = [...entities]
  const found = await db
    .select()
    .from(matches)
    .where(and(inArray(matches.entity, ours), isNull(matches.revokedRunId)))
    .orderBy(asc(matches.id))
  // Only matches that stand have items, so these need no join.
  const payouts = await db
    .select({ matchId: matchPayouts.matchId, payoutId: matchPayouts.payoutId })
    .from(matchPayouts)
    .where(inArray(matchPayouts.entity, ours))
    .orderBy(asc(matchPayouts.payoutId))
  const entries = await db
    .select({ matchId: matchBankEntries.matchId, bankEntryId: matchBankEntries.bankEntryId })
    .from(matchBankEntries)
    .where(inArray(matchBankEntries.entity, ours))
    .orderBy(asc(matchBankEntries.bankEntryId))
  const payoutsOf = groupBy(payouts, ({ matchId }) => matchId)
  const entriesOf = groupBy(entries, ({ matchId }) => matchId)
  return found.map((match) => ({
    matchId: String(match.id),
    entity: match.entity,
    rule: toRule(match.rule),
    evidence: match.evidence,
    competitors: match.competitors,
    payoutIds: (payoutsOf.get(match.id) ?? []).map(({ payoutId }) => payoutId),
    bankEntryIds: (entriesOf.get(match.id) ?? []).map(({ bankEntryId }) => String(bankEntryId)),
    period: match.period,
  }))
}

/** Matches that were pinned once and that a fact contradicted, oldest first. */
export async function loadRevokedMatches(
  db: DbOrTx,
  entities: readonly string[],
): Promise<RevokedMatch[]> {
  if (entities.length === 0) return []
  const found = await db
    .select()
    .from(matches)
    .where(and(inArray(matches.entity, [...entities]), isNotNull(matches.revokedRunId)))
    .orderBy(asc(matches.id))
  return found.map((match) => ({
    matchId: String(match.id),
    entity: match.entity,
    rule: toRule(match.rule),
    evidence: match.evidence,
    competitors: match.competitors,
    payoutIds: match.revokedPayoutIds ?? [],
    bankEntryIds: match.revokedBankEntryIds ?? [],
    period: match.period,
    because: match.revokedBecause ?? '',
  }))
}

function toRule(text: string): MatchRule {
  const rule = MATCH_RULES.find((known) => known === text)
  if (rule === undefined)
    throw new Error(
      `the database holds a match by "${text}", a rule that this version does not know`,
    )
  return rule
}

/** Sets pins aside that a fact contradicts: their items are free again, the record of them stays. */
export async function revokeMatches(
  tx: Tx,
  runId: number,
  revoked: readonly { readonly pin: PinnedMatch; readonly because: string }[],
): Promise<void> {
  for (const { pin, because } of revoked) {
    const { entity } = pin
    const id = Number(pin.matchId)
    await tx
      .delete(matchPayouts)
      .where(and(eq(matchPayouts.entity, entity), eq(matchPayouts.matchId, id)))
    await tx
      .delete(matchBankEntries)
      .where(and(eq(matchBankEntries.entity, entity), eq(matchBankEntries.matchId, id)))
    await tx
      .update(matches)
      .set({
        revokedRunId: runId,
        revokedBecause: because,
        revokedPayoutIds: pin.payoutIds,
        revokedBankEntryIds: pin.bankEntryIds,
      })
      .where(and(eq(matches.entity, entity), eq(matches.id, id)))
  }
}

/**
 * Pins what a report named and is not pinned yet.
 * @returns how many were pinned.
 * @throws ControlTotalsFault if a payout or bank entry is in another match that stands.
 */
export async function pinMatches(
  tx: Tx,
  runId: number,
  period: string,
  fresh: readonly Match[],
): Promise<number> {
  for (const [entity, ofEntity] of groupBy(fresh, (match) => match.entity)) {
    await pinOfEntity(tx, runId, { entity, period, fresh: ofEntity })
  }
  return fresh.length
}

/** Each entity by itself: its rows may lie on another server than those of the others. */
async function pinOfEntity(
  tx: Tx,
  runId: number,
  { entity, period, fresh }: { entity: string; period: string; fresh: readonly Match[] },
): Promise<void> {
  const ids = await tx
    .insert(matches)
    .values(
      fresh.map(({ rule, evidence, competitors }) => ({
        entity,
        rule,
        evidence,
        competitors,
        period,
        runId,
      })),
    )
    .returning({ id: matches.id })
  const idOf = (position: number): number => {
    const id = ids[position]?.id
    if (id === undefined) throw new Error('the database did not return the ids of the new matches')
    return id
  }
  const payouts = fresh.flatMap(({ payoutIds }, position) =>
    payoutIds.map((payoutId) => ({ entity, payoutId, matchId: idOf(position) })),
  )
  const entries = fresh.flatMap(({ bankEntryIds }, position) =>
    bankEntryIds.map((bankEntryId) => ({
      bankEntryId: Number(bankEntryId),
      entity,
      matchId: idOf(position),
    })),
  )
  await bulkUpsert(tx, matchPayouts, payouts, { conflict: ['entity', 'payoutId'] })
  await bulkUpsert(tx, matchBankEntries, entries, { conflict: ['bankEntryId'] })
  // Looked up, because a Citus coordinator counts the rows that it was given, not those it stored.
  const firstId = ids.reduce((least, { id }) => Math.min(least, id), idOf(0))
  const storedPayouts = await tx.$count(
    matchPayouts,
    and(eq(matchPayouts.entity, entity), gte(matchPayouts.matchId, firstId)),
  )
  const storedEntries = await tx.$count(
    matchBankEntries,
    and(eq(matchBankEntries.entity, entity), gte(matchBankEntries.matchId, firstId)),
  )
  if (storedPayouts !== payouts.length || storedEntries !== entries.length) {
    throw new ControlTotalsFault(
      `the new matches of ${entity} name ${payouts.length} payouts and ${entries.length} bank entries, and ${storedPayouts} and ${storedEntries} could be tied: one is pinned to another match already, so nothing was sent`,
      {
        hint: 'This is a fault of the program or of the stored data, not of the provider. Run it once more; if it says so again, please report it with this line.',
      },
    )
  }
}
