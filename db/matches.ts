/** Matches that a written report has named: pinned until a fact contradicts them. */
import { and, asc, eq, inArray, isNotNull, isNull } from 'drizzle-orm'
import type { PinnedMatch, RevokedMatch } from '../src/domain/facts.ts'
import { groupBy } from '../src/domain/collections.ts'
import { MATCH_RULES, type Match, type MatchRule } from '../src/domain/reconciliation.ts'
import { bulkUpsert } from './bulk.ts'
import type { DbOrTx, Tx } from './client.ts'
import { matchBankEntries, matches, matchPayouts } from './schema.ts'

export async function loadPinnedMatches(
  db: DbOrTx,
  entities: readonly string[],
): Promise<PinnedMatch[]> {
  if (entities.length === 0) return []
  const held = and(inArray(matches.entity, [...entities]), isNull(matches.revokedRunId))
  const found = await db.select().from(matches).where(held).orderBy(asc(matches.id))
  const payouts = await db
    .select({ matchId: matchPayouts.matchId, payoutId: matchPayouts.payoutId })
    .from(matchPayouts)
    .innerJoin(matches, eq(matches.id, matchPayouts.matchId))
    .where(held)
    .orderBy(asc(matchPayouts.payoutId))
  const entries = await db
    .select({ matchId: matchBankEntries.matchId, bankEntryId: matchBankEntries.bankEntryId })
    .from(matchBankEntries)
    .innerJoin(matches, eq(matches.id, matchBankEntries.matchId))
    .where(held)
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
    const id = Number(pin.matchId)
    await tx.delete(matchPayouts).where(eq(matchPayouts.matchId, id))
    await tx.delete(matchBankEntries).where(eq(matchBankEntries.matchId, id))
    await tx
      .update(matches)
      .set({
        revokedRunId: runId,
        revokedBecause: because,
        revokedPayoutIds: pin.payoutIds,
        revokedBankEntryIds: pin.bankEntryIds,
      })
      .where(eq(matches.id, id))
  }
}

/** Pins what a report named and is not pinned yet. @returns how many were pinned. */
export async function pinMatches(
  tx: Tx,
  runId: number,
  period: string,
  fresh: readonly Match[],
): Promise<number> {
  if (fresh.length === 0) return 0
  const ids = await tx
    .insert(matches)
    .values(
      fresh.map(({ entity, rule, evidence, competitors }) => ({
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
  const payouts = fresh.flatMap(({ entity, payoutIds }, position) =>
    payoutIds.map((payoutId) => ({ entity, payoutId, matchId: idOf(position) })),
  )
  const entries = fresh.flatMap(({ bankEntryIds }, position) =>
    bankEntryIds.map((bankEntryId) => ({
      bankEntryId: Number(bankEntryId),
      matchId: idOf(position),
    })),
  )
  const stored =
    (await bulkUpsert(tx, matchPayouts, payouts, { conflict: ['entity', 'payoutId'] })) +
    (await bulkUpsert(tx, matchBankEntries, entries, { conflict: ['bankEntryId'] }))
  if (stored !== payouts.length + entries.length) {
    throw new Error('a payout or bank entry of a new match is pinned to another match already')
  }
  return fresh.length
}
