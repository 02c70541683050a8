/** The record of each execution of a command that may write. */
import { and, desc, eq, isNull, sql } from 'drizzle-orm'
import type { Day, EpochSeconds } from '../src/domain/day.ts'
import type { DbOrTx } from './client.ts'
import { epochSecondsOf } from './instants.ts'
import { runs } from './schema.ts'

export interface NewRun {
  /** `reconcile`, `import-bank`, … */
  readonly command: string
  /** `Period.label`, or null for a command without a period. */
  readonly period: string | null
  /** The day that counts as today. */
  readonly asOf: Day | null
  readonly appVersion: string
}

/** Records that a run begins. @returns its id. */
export async function startRun(db: DbOrTx, run: NewRun): Promise<number> {
  const [row] = await db.insert(runs).values(run).returning({ id: runs.id })
  if (row === undefined) throw new Error('the database did not return the id of the new run')
  return row.id
}

/** Records how a run ended; a run without an end was killed, or is still going on. */
export async function finishRun(db: DbOrTx, runId: number, exitCode: number): Promise<void> {
  const finished = await db
    .update(runs)
    .set({ finishedAt: sql`statement_timestamp()`, exitCode })
    .where(and(eq(runs.id, runId), isNull(runs.finishedAt)))
    .returning({ id: runs.id })
  if (finished.length !== 1) {
    throw new Error(`run ${runId} cannot end: it was never begun, or has ended before`)
  }
}

/** A run as the record has it. */
export interface RecordedRun {
  readonly command: string
  /** `Period.label`, or null for a command without a period. */
  readonly period: string | null
  readonly startedS: EpochSeconds
  /** Null while it is going on, and for ever if it was killed. */
  readonly exitCode: number | null
}

/** The latest run of a command, or of any if none is named; null if there was none. */
export async function findLastRun(
  db: DbOrTx,
  command: string | null = null,
): Promise<RecordedRun | null> {
  const [last] = await db
    .select({
      command: runs.command,
      period: runs.period,
      startedS: epochSecondsOf(runs.startedAt),
      exitCode: runs.exitCode,
    })
    .from(runs)
    .where(command === null ? undefined : eq(runs.command, command))
    .orderBy(desc(runs.id))
    .limit(1)
  return last ?? null
}
