/** Signs a period off, and opens it again. */
import { join } from 'node:path'
import type { Db } from '../db/client.ts'
import {
  findStandingClose,
  insertClose,
  type NewClose,
  reopenClose,
  type StandingClose,
} from '../db/closes.ts'
import { entitySetOf, findLastReport } from '../db/period-reports.ts'
import type { RunLock } from '../db/run-lock.ts'
import { discrepanciesCsv } from '../reports/discrepancies.ts'
import { openItemsCsv } from '../reports/open-items.ts'
import { refundsCsv } from '../reports/refunds.ts'
import { settlementsCsv } from '../reports/settlements.ts'
import { readReportToSign } from '../reports/signed.ts'
import { summaryCsv } from '../reports/summary.ts'
import { wholeText } from '../reports/text.ts'
import type { Config } from '../src/config.ts'
import { type Day, dayOfInstant } from '../src/domain/day.ts'
import { type Period, periodInstants } from '../src/domain/period.ts'
import { reconcile } from '../src/domain/reconcile.ts'
import { ControlTotalsFault, EXIT, type ExitCode, UsageFault } from '../src/errors.ts'
import type { CloseFlags, CommandIo, ReopenFlags } from './command.ts'
import { useDatabase, withRun } from './compose.ts'
import { judgeStored } from './gather-facts.ts'
import { refuteByStoredRows } from './read-back.ts'
import { reconcilePeriod } from './reconcile.ts'

/**
 * Signs what the report in the folder says. One that no longer says what is stored (a decision was
 * made since, a file came) is written anew first, from what is stored, and printed.
 */
export async function closeCommand(
  config: Config,
  flags: CloseFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const { period, by } = flags
  const asOf =
    flags.asOf ?? dayOfInstant(Math.floor(io.now().getTime() / 1000), config.businessTimeZone)
  if (period.last >= asOf) {
    throw new UsageFault(
      `${period.label} ends on ${period.last}, which is not before ${asOf}, the day that counts as today`,
      { hint: 'A period can be signed when it is over.' },
    )
  }
  const opened = await useDatabase(config, io)
  const args = { command: 'close', period: period.label, asOf, dryRun: false }
  return withRun(opened, args, async (db, runId, assertAlone, lock) => {
    const standing = await findStandingClose(db, period.label)
    if (standing !== null) throw closedAlready(standing, config)
    await refuseIfNotTied(db, config, { period, asOf })
    const context = { config, flags, asOf, runId, io, assertAlone, lock }
    const report = await reportToSign(db, context)
    await assertAlone()
    await db.transaction((tx) =>
      insertClose(tx, {
        ...report,
        ...periodInstants(period, config.businessTimeZone),
        period,
        by,
        reason: flags.reason,
        runId,
        csvDialect: config.csvDialect,
      }),
    )
    io.out(
      `${period.label} is closed, signed by ${by}. Its report of ${report.reportAsOf} stays as it is in ${report.dir}; what changes from now on is reported as late_change.\n`,
    )
    return EXIT.done
  })
}

interface CloseContext {
  readonly config: Config
  readonly flags: CloseFlags
  readonly asOf: Day
  readonly runId: number
  readonly io: CommandIo
  readonly assertAlone: () => Promise<void>
  readonly lock: RunLock
}

function closedAlready({ label, closedBy, closedS }: StandingClose, config: Config): UsageFault {
  return new UsageFault(
    `${label} is closed already, signed by ${closedBy} on ${dayOfInstant(closedS, config.businessTimeZone)}`,
    { hint: 'To sign it anew, open it first: npm run reopen -- --week … --by NAME --reason TEXT' },
  )
}

interface PeriodAsOf {
  readonly period: Period
  readonly asOf: Day
}

async function reconcileStored(db: Db, config: Config, { period, asOf }: PeriodAsOf) {
  return (await judgeStored(db, { config, entities: config.entities, period, asOf })).reconciliation
}

async function refuseIfNotTied(db: Db, config: Config, wanted: PeriodAsOf): Promise<void> {
  const { facts, reconciliation } = await judgeStored(db, {
    config,
    entities: config.entities,
    ...wanted,
  })
  const controlFaults = [
    ...reconciliation.controlFaults,
    ...(await refuteByStoredRows(db, facts, reconciliation)),
  ]
  if (controlFaults.length === 0) return
  throw new ControlTotalsFault(
    `the control totals of ${wanted.period.label} do not tie, so it was not closed:\n  ${controlFaults.join('\n  ')}`,
    {
      hint: 'This is a fault of the program or of the stored data, not of the provider; please report it with these lines.',
    },
  )
}

/** The report as it is signed, written anew where it was not the last word. */
async function reportToSign(db: Db, context: CloseContext): Promise<SoundReport> {
  const { config, flags, asOf, io } = context
  const { period } = flags
  const entitySet = entitySetOf(config.entities.map(({ name }) => name))
  const last = await findLastReport(db, period.label, entitySet)
  if (last === null) {
    throw new UsageFault(
      `no report of ${period.label} was written for ${entitySet.replaceAll('|', ', ')}`,
      { hint: `Run npm run reconcile for ${period.label}, read its report, then close it.` },
    )
  }
  const standing = await soundReport(db, config, flags)
  if (!('problem' in standing)) return standing
  io.progress.note(
    `The report of ${period.label} is written anew before it is signed: ${standing.problem}`,
  )
  // As of the day of the report that people have read, unless the period was not over then.
  await writeAnew(db, context, last.asOf > period.last ? last.asOf : asOf)
  const anew = await soundReport(db, config, flags)
  if ('problem' in anew) {
    throw new UsageFault(`${period.label} cannot be signed: ${anew.problem}`, {
      hint: `Run npm run reconcile for ${period.label} and see what it says, then close it.`,
    })
  }
  return anew
}

async function writeAnew(
  db: Db,
  { config, flags, runId, io, assertAlone, lock }: CloseContext,
  asOf: Day,
): Promise<void> {
  const { period, out } = flags
  await reconcilePeriod(db, {
    config,
    entities: config.entities,
    asOf,
    runId,
    io,
    assertAlone,
    lock,
    flags: {
      period,
      out,
      asOf,
      entity: null,
      offline: true,
      bankFiles: [],
      mail: false,
      fec: false,
      dryRun: false,
      json: false,
      failOnDiscrepancy: false,
      workers: null,
      full: false,
    },
  })
}

/** What is signed of a report that is whole and says what is stored. */
type SoundReport = Pick<
  NewClose,
  'files' | 'entitySet' | 'reportAsOf' | 'manifestSha256' | 'controlTotals' | 'discrepancies'
> & { readonly dir: string }

/** The report that was written last, or why it cannot be signed as it is, in words. */
async function soundReport(
  db: Db,
  config: Config,
  { period, out }: CloseFlags,
): Promise<SoundReport | { readonly problem: string }> {
  const entitySet = entitySetOf(config.entities.map(({ name }) => name))
  const last = await findLastReport(db, period.label, entitySet)
  if (last === null) return { problem: 'there is none' }
  if (last.asOf <= period.last) {
    return { problem: `it is of ${last.asOf}, when the period was not over` }
  }
  const dir = join(out ?? config.reportsDir, period.label)
  const files = await readReportToSign(dir, last.manifestSha256)
  if ('problem' in files) return files
  const reconciliation = await reconcileStored(db, config, { period, asOf: last.asOf })
  const contents = new Map(files.map(({ name, content }) => [name, content]))
  const differing = csvFiles(reconciliation, config.csvDialect)
    .filter(({ name, text }) => contents.get(name) !== text)
    .map(({ name }) => name)
  if (differing.length > 0) {
    return { problem: `${differing.join(' and ')} would be different by what is stored now` }
  }
  return {
    dir,
    files,
    entitySet,
    reportAsOf: last.asOf,
    manifestSha256: last.manifestSha256,
    controlTotals: reconciliation.summary,
    discrepancies: reconciliation.discrepancies,
  }
}

function csvFiles(
  { discrepancies, settlements, refunds, openItems, summary }: ReturnType<typeof reconcile>,
  dialect: Config['csvDialect'],
): { readonly name: string; readonly text: string }[] {
  return [
    { name: 'discrepancies.csv', text: discrepanciesCsv(discrepancies, dialect) },
    { name: 'settlements.csv', text: wholeText(settlementsCsv(settlements, dialect)) },
    { name: 'refunds.csv', text: wholeText(refundsCsv(refunds, dialect)) },
    { name: 'open_items.csv', text: wholeText(openItemsCsv(openItems, dialect)) },
    { name: 'summary.csv', text: summaryCsv(summary, dialect) },
  ]
}

/** Opens a signed period: its report is written anew from then on. */
export async function reopenCommand(
  config: Config,
  { period, by, reason }: ReopenFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const opened = await useDatabase(config, io)
  const args = { command: 'reopen', period: period.label, asOf: null, dryRun: false }
  return withRun(opened, args, async (db, runId, assertAlone) => {
    const standing = await findStandingClose(db, period.label)
    if (standing === null) {
      throw new UsageFault(`${period.label} is not closed`, {
        hint: 'A week, a month and a range are each closed and opened by themselves.',
      })
    }
    await assertAlone()
    await db.transaction((tx) => reopenClose(tx, { closeId: standing.id, runId, by, reason }))
    io.out(
      `${period.label} is open again (by ${by}). Run npm run reconcile to write its report anew.\n`,
    )
    return EXIT.done
  })
}
