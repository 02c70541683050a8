/** Rounds of fetching that several processes share, and what came of each entity in them. */
import { and, asc, desc, eq, inArray, isNull, or, sql } from 'drizzle-orm'
import type { Day } from '../src/domain/day.ts'
import { bulkUpsert } from './bulk.ts'
import type { DbOrTx, Tx } from './client.ts'
import { entityFetches, fetchRounds as rounds } from './schema.ts'

/** What processes must have in common to share their work. */
export interface RoundSubject {
  /** `reconcile` or `nightly`. */
  readonly command: string
  readonly asOf: Day
  /** As in `period_reports`. */
  readonly entitySet: string
}

export interface Round {
  readonly id: number
  /** `Period.label`. */
  readonly period: string
  /** Since it was opened, by the clock of the database. */
  readonly ageS: number
  /** Null while it is open. */
  readonly finished: { readonly exitCode: number; readonly runId: number } | null
}

const roundColumns = {
  id: rounds.id,
  period: rounds.period,
  ageS: sql<number>`extract(epoch from statement_timestamp() - ${rounds.openedAt})::float8`,
  finishedRunId: rounds.finishedRunId,
  exitCode: rounds.exitCode,
}

function toRound({
  finishedRunId,
  exitCode,
  ...round
}: {
  id: number
  period: string
  ageS: number
  finishedRunId: number | null
  exitCode: number | null
}): Round {
  const finished =
    finishedRunId === null || exitCode === null ? null : { exitCode, runId: finishedRunId }
  return { ...round, finished }
}

function isOf({ command, asOf, entitySet }: RoundSubject) {
  return and(eq(rounds.command, command), eq(rounds.asOf, asOf), eq(rounds.entitySet, entitySet))
}

/** The newest round of a period that no other round brought about; null if there is none. */
export async function findLastRound(
  db: DbOrTx,
  subject: RoundSubject,
  period: string,
): Promise<Round | null> {
  const [last] = await db
    .select(roundColumns)
    .from(rounds)
    .where(and(isOf(subject), eq(rounds.period, period), isNull(rounds.leadRoundId)))
    .orderBy(desc(rounds.id))
    .limit(1)
  return last === undefined ? null : toRound(last)
}

/** A round, and those that it brought about, in the order in which they are to be done. */
export async function loadRoundsOf(db: DbOrTx, leadRoundId: number): Promise<Round[]> {
  const found = await db
    .select(roundColumns)
    .from(rounds)
    .where(or(eq(rounds.id, leadRoundId), eq(rounds.leadRoundId, leadRoundId)))
    .orderBy(asc(rounds.id))
  return found.map(toRound)
}

/** @returns the round's id. */
export async function openRound(
  db: DbOrTx,
  subject: RoundSubject,
  { period, leadRoundId }: { period: string; leadRoundId: number | null },
): Promise<number> {
  const [row] = await db
    .insert(rounds)
    .values({ ...subject, period, leadRoundId })
    .returning({ id: rounds.id })
  if (row === undefined) throw new Error('the database did not return the id of the new round')
  return row.id
}

interface RoundEnd {
  readonly runId: number
  readonly exitCode: number
}

/** Ends a round, and opens those that it brings about. */
export async function finishRound(
  tx: Tx,
  subject: RoundSubject,
  round: Round,
  { runId, exitCode, periodsAfter }: RoundEnd & { readonly periodsAfter: readonly string[] },
): Promise<void> {
  const finished = await tx
    .update(rounds)
    .set({ finishedAt: sql`statement_timestamp()`, finishedRunId: runId, exitCode })
    .where(and(eq(rounds.id, round.id), isNull(rounds.finishedAt)))
    .returning({ id: rounds.id })
  if (finished.length !== 1) throw new Error(`round ${round.id} was ended by somebody else`)
  for (const period of periodsAfter) {
    await openRound(tx, subject, { period, leadRoundId: round.id })
  }
}

/** Ends what is open of a round and of those that it brought about, because it is done anew. */
export async function abandonRounds(
  db: DbOrTx,
  leadRoundId: number,
  { runId, exitCode }: RoundEnd,
): Promise<void> {
  await db
    .update(rounds)
    .set({ finishedAt: sql`statement_timestamp()`, finishedRunId: runId, exitCode })
    .where(
      and(
        or(eq(rounds.id, leadRoundId), eq(rounds.leadRoundId, leadRoundId)),
        isNull(rounds.finishedAt),
      ),
    )
}

/** A fault that can be told by another process. */
export interface ToldFault {
  readonly message: string
  readonly hint: string | null
  readonly exitCode: number
}

/** What came of an entity: what its fetching brought, in JSON's types, or the fault that it ended in. */
export type EntityOutcome<Fetched> = { readonly fetched: Fetched } | { readonly fault: ToldFault }

/** Which of the entities are done in a round. */
export async function findDoneEntities(
  db: DbOrTx,
  roundId: number,
  entities: readonly string[],
): Promise<Set<string>> {
  const found = await db
    .select({ entity: entityFetches.entity })
    .from(entityFetches)
    .where(and(inArray(entityFetches.entity, [...entities]), eq(entityFetches.roundId, roundId)))
  return new Set(found.map(({ entity }) => entity))
}

export async function recordEntityFetch<Fetched>(
  db: DbOrTx,
  {
    outcome,
    ...fetch
  }: {
    readonly entity: string
    readonly roundId: number
    readonly runId: number
    readonly outcome: EntityOutcome<Fetched>
  },
): Promise<void> {
  await bulkUpsert(db, entityFetches, [{ ...fetch, outcome }], {
    conflict: ['entity', 'roundId'],
  })
}

/** What came of the entities that are done, as it was recorded. */
export async function loadEntityFetches<Fetched>(
  db: DbOrTx,
  roundId: number,
  entities: readonly string[],
): Promise<Map<string, EntityOutcome<Fetched>>> {
  const found = await db
    .select({
      entity: entityFetches.entity,
      outcome: sql<EntityOutcome<Fetched>>`${entityFetches.outcome}`,
    })
    .from(entityFetches)
    .where(and(inArray(entityFetches.entity, [...entities]), eq(entityFetches.roundId, roundId)))
  return new Map(found.map(({ entity, outcome }) => [entity, outcome]))
}
