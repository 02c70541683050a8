/**
 * Work on one period that several processes share, on one machine or on many (`--workers`). They
 * need nothing of each other but the database: whoever comes opens a round or joins the one that is
 * open, fetches entities that nobody else has, several at a time, and waits until all are done. Then
 * one of them writes the report, and the others end. A process that dies loses its locks, and its
 * entities, or the report, are taken over by those that wait.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Db } from '../db/client.ts'
import { entitySetOf } from '../db/period-reports.ts'
import {
  abandonRounds,
  type EntityOutcome,
  findDoneEntities,
  findLastRound,
  finishRound,
  loadEntityFetches,
  loadRoundsOf,
  openRound,
  recordEntityFetch,
  type Round,
  type RoundSubject,
  type ToldFault,
} from '../db/rounds.ts'
import { jsonText } from '../reports/summary-json.ts'
import type { EntityConfig } from '../src/config.ts'
import { parsePeriod, type Period } from '../src/domain/period.ts'
import {
  ConfigurationFault,
  ControlTotalsFault,
  EXIT,
  type ExitCode,
  Fault,
  InputFault,
  LockedFault,
  UnavailableFault,
  UsageFault,
} from '../src/errors.ts'
import type { EntityFetch } from './fetch-entity.ts'
import type { BankImport } from './import-bank.ts'
import {
  type FetchOutcome,
  fetchOrFault,
  importInbox,
  type PeriodContext,
  type PeriodOutcome,
  reportPeriod,
  type Stopwatch,
  stopwatch,
} from './reconcile.ts'
import { severalAtOnce } from './several-at-once.ts'

/**
 * How long after a round was opened a process still counts as started for the same work: clocks and
 * starts of machines differ. After that it is asked for anew, and everything is fetched again.
 */
const SAME_START_S = 15 * 60
/** How often a process that waits for others looks again. */
const LOOK_AGAIN_MS = 500
/** A first back-fill of years may take its time. */
const WAIT_MS_MAX = 48 * 3_600_000

export interface Sharing {
  /** Processes share work of the same command only. */
  readonly command: 'reconcile' | 'nightly'
  /** How many entities this process fetches at a time. */
  readonly workers: number
  /** The periods that are to be done after a report of the first one was written. */
  readonly periodsAfter?: (outcome: PeriodOutcome) => Promise<readonly Period[]>
  /** The same work for another of these periods. */
  readonly contextOf?: (period: Period) => PeriodContext
}

/**
 * Takes part in the work until all of it is done, whoever did it.
 * @returns the worst exit code of what this process has written itself.
 */
export async function reconcileShared(
  db: Db,
  context: PeriodContext,
  sharing: Sharing,
): Promise<ExitCode> {
  const { lock, io, flags } = context
  const clock = stopwatch(io)
  const { imported, lead } = await lock.withCommon(async () => {
    // Bank files come first: whoever joins a round has brought in its own before the report is made.
    const taken = await importInbox(db, context)
    return { imported: taken, lead: await join(db, context, sharing, taken) }
  })
  clock.lap('import_bank')
  const exitCodes: ExitCode[] = []
  try {
    if (lead.finished !== null) {
      io.progress.note(`${flags.period.label}: ${doneBy(lead.finished)}`)
    }
    for (let round = nextOf([lead]); round !== null;) {
      const about = round.id === lead.id ? { context, clock } : laterPeriod(context, sharing, round)
      const exitCode = await workOn({ ...about, db, sharing, lead, round, imported })
      if (exitCode !== null) exitCodes.push(exitCode)
      round = nextOf(await loadRoundsOf(db, lead.id))
    }
  } finally {
    await lock.letGo(`round ${lead.id}`, 'shared')
  }
  if (exitCodes.length === 0) {
    sayDoneByOthers(context)
    // The report is somebody else's, but of files that are only here nobody else can tell.
    const [rejected] = imported.rejected
    if (rejected !== undefined) throw rejected.fault
  }
  return exitCodes.filter((code) => code !== EXIT.done).toSorted((a, b) => a - b)[0] ?? EXIT.done
}

function laterPeriod(context: PeriodContext, { contextOf }: Sharing, { period }: Round) {
  return {
    context: contextOf?.(parsePeriod(period)) ?? context,
    clock: stopwatch(context.io),
  }
}

function nextOf(rounds: readonly Round[]): Round | null {
  return rounds.find(({ finished }) => finished === null) ?? null
}

function subjectOf(
  { asOf, entities }: PeriodContext,
  { command }: Pick<Sharing, 'command'>,
): RoundSubject {
  return { command, asOf, entitySet: entitySetOf(entities.map(({ name }) => name)) }
}

/**
 * The round to take part in; that somebody does, its lock tells from now on. Called while nobody else
 * joins, reports or takes bank files in.
 */
async function join(
  db: Db,
  context: PeriodContext,
  sharing: Sharing,
  imported: BankImport,
): Promise<Round> {
  const { lock, flags, runId } = context
  const subject = subjectOf(context, sharing)
  const { label } = flags.period
  const last = await findLastRound(db, subject, label)
  if (last !== null && (await isToBeJoined(db, context, last, imported))) {
    await takePart(context, last)
    return last
  }
  if (last !== null) await abandonRounds(db, last.id, { runId, exitCode: EXIT.unexpected })
  const id = await openRound(db, subject, { period: label, leadRoundId: null })
  const round = { id, period: label, ageS: 0, finished: null }
  await takePart({ lock }, round)
  return round
}

async function isToBeJoined(
  db: Db,
  { lock }: PeriodContext,
  last: Round,
  imported: BankImport,
): Promise<boolean> {
  const isRecent = last.ageS <= SAME_START_S
  // What the report does not know calls for another one.
  const isKnown = imported.files.length === 0 || last.finished === null
  const rounds = await loadRoundsOf(db, last.id)
  if (nextOf(rounds) === null) {
    const isGood = rounds.every(({ finished }) => finished?.exitCode === EXIT.done)
    return isRecent && isKnown && isGood
  }
  if (isRecent) return isKnown
  const isDeserted = await lock.tryTake(`round ${last.id}`)
  if (isDeserted) await lock.letGo(`round ${last.id}`)
  return !isDeserted && isKnown
}

async function takePart({ lock }: Pick<PeriodContext, 'lock'>, { id }: Round): Promise<void> {
  if (await lock.tryTake(`round ${id}`, 'shared')) return
  throw new LockedFault(`round ${id} cannot be joined: another run has it for itself`, {
    hint: 'Run the same command again.',
  })
}

interface SharedRound {
  readonly db: Db
  readonly context: PeriodContext
  readonly sharing: Sharing
  /** The first round of the work. */
  readonly lead: Round
  readonly round: Round
  readonly imported: BankImport
  readonly clock: Stopwatch
}

/** @returns the exit code of the report; null where another process wrote it. */
async function workOn(shared: SharedRound): Promise<ExitCode | null> {
  const { context, round } = shared
  await fetchEntities(shared)
  shared.clock.lap('fetch')
  const name = `report of round ${round.id}` as const
  const giveUpAt = Date.now() + WAIT_MS_MAX
  while (Date.now() < giveUpAt) {
    if (await isOver(shared)) return null
    if (await context.lock.tryTake(name)) {
      try {
        return await report(shared)
      } finally {
        await context.lock.letGo(name)
      }
    }
    await pause(context)
  }
  throw endless(round)
}

/** Several entities at a time, until all of the round are done by this process or another. */
async function fetchEntities(shared: SharedRound): Promise<void> {
  const failed = new AbortController()
  await severalAtOnce(
    shared.sharing.workers,
    freeEntities(shared, failed.signal),
    async (entity) => {
      try {
        await fetchTaken(shared, entity)
      } catch (error) {
        failed.abort()
        throw error
      }
    },
  )
}

/** Entities that this process has taken for itself, as they come free; ends when all are done. */
async function* freeEntities(
  { db, context, round }: SharedRound,
  failed: AbortSignal,
): AsyncGenerator<EntityConfig> {
  const { entities, lock } = context
  const names = entities.map(({ name }) => name)
  /** A lock does not keep this process from what it has itself. */
  const taken = new Set<string>()
  const giveUpAt = Date.now() + WAIT_MS_MAX
  while (Date.now() < giveUpAt) {
    const done = await findDoneEntities(db, round.id, names)
    const open = entities.filter(({ name }) => !done.has(name))
    if (open.length === 0) return
    for (const entity of open) {
      const { name } = entity
      if (failed.aborted) return
      if (taken.has(name) || !(await lock.tryTake(`entity ${name}`))) continue
      // Whoever had it last may have ended just before.
      if ((await findDoneEntities(db, round.id, [name])).has(name)) {
        await lock.letGo(`entity ${name}`)
        continue
      }
      taken.add(name)
      yield entity
    }
    await pause(context)
  }
  throw endless(round)
}

async function fetchTaken(
  { db, context, round }: SharedRound,
  entity: EntityConfig,
): Promise<void> {
  const { lock, runId } = context
  const { name } = entity
  try {
    const outcome = await fetchOrFault(db, context, entity)
    await lock.assertHeld()
    await recordEntityFetch(db, {
      entity: name,
      roundId: round.id,
      runId,
      outcome: toldOutcome(outcome),
    })
  } finally {
    await lock.letGo(`entity ${name}`)
  }
}

async function isOver({ db, lead, round }: SharedRound): Promise<boolean> {
  const rounds = await loadRoundsOf(db, lead.id)
  return rounds.some(({ id, finished }) => id === round.id && finished !== null)
}

async function report(shared: SharedRound): Promise<ExitCode | null> {
  const { db, context, round, imported, clock } = shared
  const { lock, entities } = context
  const names = entities.map(({ name }) => name)
  const write = async (): Promise<ExitCode | null> => {
    if (await isOver(shared)) return null
    const outcomes = new Map<string, FetchOutcome>()
    for (const [name, outcome] of await loadEntityFetches<ToldFetch>(db, round.id, names)) {
      outcomes.set(name, heardOutcome(outcome))
    }
    try {
      const outcome = await reportPeriod(db, context, { imported, outcomes, clock })
      await endRound(shared, outcome.exitCode, await periodsAfter(shared, outcome))
      return outcome.exitCode
    } catch (error) {
      // The others need not try in vain what cannot be done, unless it is this process that cannot.
      if (error instanceof Fault && !lock.lost.aborted) await endRound(shared, error.exitCode, [])
      throw error
    }
  }
  return lock.withEntities(names, () => lock.withCommon(write), WAIT_MS_MAX)
}

async function periodsAfter(
  { sharing, lead, round }: SharedRound,
  outcome: PeriodOutcome,
): Promise<readonly Period[]> {
  return round.id === lead.id ? ((await sharing.periodsAfter?.(outcome)) ?? []) : []
}

async function endRound(
  { db, context, sharing, round }: SharedRound,
  exitCode: ExitCode,
  after: readonly Period[],
): Promise<void> {
  const end = { runId: context.runId, exitCode, periodsAfter: after.map(({ label }) => label) }
  await db.transaction((tx) => finishRound(tx, subjectOf(context, sharing), round, end))
}

/** Looks at the locks as well: a process that has lost them has nothing to wait for. */
async function pause({ lock, io }: PeriodContext): Promise<void> {
  await sleep(LOOK_AGAIN_MS)
  if (lock.lost.aborted) await lock.assertHeld()
  io.signal.throwIfAborted()
}

function endless({ period }: Round): UnavailableFault {
  return new UnavailableFault(
    `${period}: other processes have been at work on the same round for more than ${WAIT_MS_MAX / 3_600_000} hours`,
    { hint: 'Look which of them hangs and end it; its work is taken over by those that wait.' },
  )
}

function doneBy({ exitCode, runId }: NonNullable<Round['finished']>): string {
  return `the report was written by run ${runId} just before (exit code ${exitCode})`
}

function sayDoneByOthers({ flags, asOf, io }: PeriodContext): void {
  const said = `${flags.period.label}: everything is done, and another process that took part in it wrote the report.`
  if (!flags.json) {
    io.out(`${said}\n`)
    return
  }
  const { label, first, last } = flags.period
  io.out(jsonText({ notes: [said], period: { label, first, last }, as_of: asOf, reports: null }))
}

/** As it is recorded for other processes. */
type ToldFetch =
  EntityFetch | { readonly ledger: EntityFetch['ledger']; readonly rejected: ToldFault }

function toldOutcome(outcome: FetchOutcome): EntityOutcome<ToldFetch> {
  if (outcome instanceof Fault) return { fault: toldFault(outcome) }
  const { ledger, export: exported } = outcome
  return exported instanceof Fault
    ? { fetched: { ledger, rejected: toldFault(exported) } }
    : { fetched: { ledger, export: exported } }
}

function toldFault({ message, hint, exitCode }: Fault): ToldFault {
  return { message, hint: hint ?? null, exitCode }
}

function heardOutcome(outcome: EntityOutcome<ToldFetch>): FetchOutcome {
  if ('fault' in outcome) return heardFault(outcome.fault)
  const { fetched } = outcome
  if (!('rejected' in fetched)) return fetched
  const { message, hint } = fetched.rejected
  return { ledger: fetched.ledger, export: new InputFault(message, hintOf(hint)) }
}

const FAULTS = [
  UsageFault,
  ConfigurationFault,
  UnavailableFault,
  InputFault,
  LockedFault,
  ControlTotalsFault,
]

function heardFault({ message, hint, exitCode }: ToldFault): Fault {
  const faults = FAULTS.map((FaultClass) => new FaultClass(message, hintOf(hint)))
  const fault = faults.find((candidate) => candidate.exitCode === exitCode)
  if (fault === undefined) throw new Error(`a fault with exit code ${exitCode} was recorded`)
  return fault
}

function hintOf(hint: string | null): { hint?: string } {
  return hint === null ? {} : { hint }
}
