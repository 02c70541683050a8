/**
 * What runs once a night: the week in progress and every earlier week that still has open items, then
 * the mails. All of it is one run, or work that several share (`--workers`).
 */
import type { Db } from '../db/client.ts'
import { loadUndelivered } from '../db/mail-deliveries.ts'
import { entitySetOf, loadLastReports } from '../db/period-reports.ts'
import { type Config, requireApiKey } from '../src/config.ts'
import { type Day, dayOfInstant, weekday } from '../src/domain/day.ts'
import { parsePeriod, type Period, weekOf } from '../src/domain/period.ts'
import type { Reconciliation } from '../src/domain/reconciliation.ts'
import { EXIT, type ExitCode } from '../src/errors.ts'
import { ping } from '../src/healthcheck.ts'
import { silentProgress } from '../src/progress.ts'
import type { CommandIo, ReconcileFlags } from './command.ts'
import { useDatabase, withRun } from './compose.ts'
import {
  judgePeriod,
  type PeriodContext,
  reconcilePeriod,
  reportInTurn,
  takeIn,
} from './reconcile.ts'
import { reconcileShared } from './rounds.ts'

export interface NightlyFlags {
  /** The day whose night it is; null: today in the business time zone. */
  readonly asOf: Day | null
  /** As in `ReconcileFlags`. */
  readonly workers: number | null
  readonly full: boolean
}

export async function nightlyCommand(
  config: Config,
  flags: NightlyFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const [only] = config.entities
  if (config.entities.length === 1 && only !== undefined) requireApiKey(only)
  await tell(config, 'start', io)
  try {
    const exitCode = await night(config, flags, io)
    await tell(config, exitCode === EXIT.done ? 'success' : 'fail', io)
    return exitCode
  } catch (error) {
    await tell(config, 'fail', io)
    throw error
  }
}

async function tell(
  { healthcheckUrl }: Config,
  event: 'start' | 'success' | 'fail',
  { progress }: CommandIo,
): Promise<void> {
  if (healthcheckUrl === null) return
  const trouble = await ping(healthcheckUrl, event)
  if (trouble !== null) progress.note(trouble)
}

async function night(config: Config, flags: NightlyFlags, io: CommandIo): Promise<ExitCode> {
  const asOf =
    flags.asOf ?? dayOfInstant(Math.floor(io.now().getTime() / 1000), config.businessTimeZone)
  const { workers } = flags
  const opened = await useDatabase(config, io, workers ?? 1)
  const record = {
    command: 'nightly',
    period: null,
    asOf,
    dryRun: false,
    // Workers take their entities one by one, and leave those to others that others have.
    scope: { entities: workers === null ? config.entities.map(({ name }) => name) : [] },
    onWait: (text: string) => io.progress.note(text),
  }
  return withRun(opened, record, async (db, runId, assertAlone, lock) => {
    const context = {
      config,
      entities: config.entities,
      asOf,
      runId,
      io,
      assertAlone,
      lock,
      summaryOf: weekday(asOf) === config.mailSummaryWeekday ? asOf : null,
    }
    const current = weekOf(asOf)
    if (workers !== null) {
      return reconcileShared(db, ofPeriod(context, current, flags.full), {
        command: 'nightly',
        workers,
        periodsAfter: ({ reconciliation }) => weeksToDoAgain(db, config, current, reconciliation),
        contextOf: (week) => ofPeriod(context, week),
      })
    }
    // The week in progress brings the ledger up to date and shows what is open. Its report comes last,
    // because exports of earlier weeks, asked for anew, may show more that is still open in it.
    const taken = await takeIn(db, ofPeriod(context, current))
    const seen = await judgePeriod(db, quiet(ofPeriod(context, current, flags.full)), taken)
    const exitCodes: ExitCode[] = []
    for (const week of await weeksToDoAgain(db, config, current, seen)) {
      exitCodes.push((await reconcilePeriod(db, ofPeriod(context, week))).exitCode)
    }
    exitCodes.push((await reportInTurn(db, ofPeriod(context, current), taken)).exitCode)
    return exitCodes.filter((code) => code !== EXIT.done).toSorted((a, b) => a - b)[0] ?? EXIT.done
  })
}

/** @param full prove all of the ledger: once a night is enough. */
function ofPeriod(
  context: Omit<PeriodContext, 'flags'>,
  period: Period,
  full = false,
): PeriodContext {
  const flags: ReconcileFlags = {
    period,
    entity: null,
    asOf: context.asOf,
    offline: false,
    bankFiles: [],
    out: null,
    mail: true,
    fec: false,
    dryRun: false,
    json: false,
    failOnDiscrepancy: false,
    workers: null,
    full,
    plans: true,
  }
  return { ...context, flags }
}

/** What a first look has to say is said again by the report. */
function quiet(context: PeriodContext): PeriodContext {
  return { ...context, io: { ...context.io, progress: silentProgress } }
}

/**
 * Earlier weeks whose last report left something open or was made before the week was over, and the
 * weeks of what is open, or was cleared, in the current one, or of a mail that did not go out. Oldest
 * first.
 */
async function weeksToDoAgain(
  db: Db,
  config: Config,
  current: Period,
  { discrepancies, settlements, refunds, openItems }: Reconciliation,
): Promise<Period[]> {
  const entitySet = entitySetOf(config.entities.map(({ name }) => name))
  const reports = (await loadLastReports(db, entitySet))
    .filter(({ period }) => period.includes('-W'))
    .map((report) => ({ ...report, week: parsePeriod(report.period) }))
    .filter(({ openItems: open, asOf, week }) => open > 0 || asOf <= week.last)
    .map(({ week }) => week)
  const open = [
    ...discrepancies.filter(({ status }) => status !== 'accepted').map(({ since }) => since),
    ...settlements.map(({ createdDay }) => createdDay),
    ...refunds.map(({ createdDay }) => createdDay),
    ...openItems.map(({ since }) => since),
  ].map(weekOf)
  // A mail that did not go out is tried again with its report, even where nothing is open any more.
  const unsent = (await loadUndelivered(db))
    .map(({ period }) => period)
    .filter((period) => period.includes('-W'))
    .map(parsePeriod)
  const weeks = new Map([...reports, ...open, ...unsent].map((week) => [week.label, week]))
  return [...weeks.values()]
    .filter((week) => week.last < current.first)
    .toSorted((a, b) => (a.first < b.first ? -1 : 1))
}
