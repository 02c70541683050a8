/** One period, start to end: fetch, import, judge, write, remember. */
import type { Db } from '../db/client.ts'
import { findStandingClose } from '../db/closes.ts'
import { pinMatches, revokeMatches } from '../db/matches.ts'
import {
  entitySetOf,
  findPreviousManifest,
  findRecordedManifest,
  loadLastReported,
  recordReport,
} from '../db/period-reports.ts'
import { reportTexts, writeBeside, writeReports, type WrittenReports } from '../reports/write.ts'
import type { ReportRun } from '../reports/summary-json.ts'
import { type Config, type EntityConfig, requireApiKey } from '../src/config.ts'
import { type Day, dayOfInstant } from '../src/domain/day.ts'
import type { Facts } from '../src/domain/facts.ts'
import { floorNotes } from '../src/domain/ledger-floor.ts'
import { periodInstants } from '../src/domain/period.ts'
import { reconcile } from '../src/domain/reconcile.ts'
import type { DiscrepancyRow, Reconciliation } from '../src/domain/reconciliation.ts'
import {
  ControlTotalsFault,
  EXIT,
  type ExitCode,
  Fault,
  InputFault,
  UsageFault,
} from '../src/errors.ts'
import { loadBankFiles } from '../db/bank.ts'
import type { CommandIo, ReconcileFlags } from './command.ts'
import { signedAgain } from './closed-report.ts'
import { inboxReading, useDatabase, withRun } from './compose.ts'
import { type EntityFetch, fetchEntity } from './fetch-entity.ts'
import { gatherFacts } from './gather-facts.ts'
import { type BankImport, importBankFiles, suspectedNotes } from './import-bank.ts'
import { fecFiles, makeJournal } from './make-journal.ts'
import { dryRunText, resultJson, resultText } from './print-result.ts'
import { mailReports, ofEntities } from './send-mail.ts'
import { appVersion } from './version.ts'

export async function reconcileCommand(
  config: Config,
  flags: ReconcileFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const asOf =
    flags.asOf ?? dayOfInstant(Math.floor(io.now().getTime() / 1000), config.businessTimeZone)
  const { period } = flags
  if (period.first > asOf) {
    throw new UsageFault(
      `${period.label} begins on ${period.first}, after ${asOf}, the day that counts as today`,
      {
        hint: 'Name an earlier period, or a later day with --as-of.',
      },
    )
  }
  const entities = config.entities.filter(
    ({ name }) => flags.entity === null || name === flags.entity,
  )
  // With one entity nothing can be done without its key; with several the others go on.
  const [only] = entities
  if (!flags.offline && entities.length === 1 && only !== undefined) requireApiKey(only)
  if (flags.offline)
    io.progress.note('Nothing is fetched: the report is about what is stored (--offline)')
  const opened = await useDatabase(config, io)
  return withRun(
    opened,
    { command: 'reconcile', period: period.label, asOf, dryRun: flags.dryRun },
    async (db, runId, assertAlone) =>
      (await reconcilePeriod(db, { config, flags, entities, asOf, runId, io, assertAlone }))
        .exitCode,
  )
}

export interface PeriodContext {
  readonly config: Config
  readonly flags: ReconcileFlags
  readonly entities: readonly EntityConfig[]
  readonly asOf: Day
  readonly runId: number
  readonly io: CommandIo
  readonly assertAlone: () => Promise<void>
  /** Mail even where nothing changed since the last one, as the summary of this day; null: only changes. */
  readonly summaryOf?: Day | null
}

/** What could not be had, and the exit code that tells of it. */
interface Shortfall {
  readonly note: string
  readonly exitCode: ExitCode
}

/** What became of a period. */
export interface PeriodOutcome {
  readonly exitCode: ExitCode
  readonly reconciliation: ReturnType<typeof reconcile>
}

/** All of it for one period, within a run. */
export async function reconcilePeriod(db: Db, context: PeriodContext): Promise<PeriodOutcome> {
  const { config, flags, asOf, runId, io } = context
  const clock = stopwatch(io)
  const imported = await importBankFiles(
    { db, progress: io.progress },
    {
      runId,
      inbox: config.bankInbox,
      files: flags.bankFiles,
      reading: await inboxReading(config),
    },
  )
  clock.lap('import_bank')
  const { fetched, reported, shortfalls } = await fetchEntities(db, context)
  clock.lap('fetch')
  shortfalls.push(...rejectedFiles(imported))
  const close = await findStandingClose(db, flags.period.label)
  // What was signed is of all its entities, whichever of them this run asked the provider about.
  const subject =
    close === null ? reported : config.entities.filter(({ name }) => close.entities.includes(name))
  const facts = await gatherFacts(db, { config, entities: subject, period: flags.period, asOf })
  clock.lap('gather')
  const today = reconcile(facts)
  clock.lap('judge')
  const signed =
    close === null ? null : await signedAgain(db, close, today, config.businessTimeZone)
  const reconciliation = signed?.reconciliation ?? today
  const forJournal = { config, entities: subject }
  const journal = await makeJournal(db, forJournal, facts, reconciliation.bookedLines)
  for (const note of journal.notes) io.progress.note(note)
  clock.lap('journal')
  refuseIfNotTied([...reconciliation.controlFaults, ...journal.controlFaults])
  const entitySet = entitySetOf(subject.map(({ name }) => name))
  const missing = missingInputs(facts, fetched, context)
  const notes = [
    ...shortfalls.map(({ note }) => note),
    ...suspectedNotes(imported.suspected),
    ...missing,
    ...floorNotes(facts.entities, facts.policy),
    ...today.brokenDecisions,
    ...(signed === null ? [] : [signed.note]),
  ]
  if (flags.dryRun) {
    const before = await loadLastReported(db, flags.period.label, entitySet)
    io.out(
      flags.json
        ? resultJson(reconciliation, null, notes)
        : dryRunText(reconciliation, before, imported, notes),
    )
    return { exitCode: exitCodeOf(context, reconciliation, shortfalls), reconciliation }
  }
  await context.assertAlone()
  const dir = flags.out ?? config.reportsDir
  const report = {
    reconciliation,
    journal,
    dialect: config.csvDialect,
    run: await describeRun(db, context, { facts, fetched, notes, timings: clock.laps }),
  }
  const written =
    (await signed?.write(dir)) ??
    (await writeReports({
      ...report,
      dir,
      previousManifestSha256: await findPreviousManifest(db, entitySet),
    }))
  if (flags.fec && signed === null) {
    await writeBeside(written.dir, fecFiles(forJournal, facts, journal))
  } else if (flags.fec) {
    io.progress.note(
      `--fec: nothing was written, because ${flags.period.label} is closed and its journal is signed`,
    )
  }
  await remember(db, context, {
    facts,
    reconciliation,
    written,
    entitySet,
    isClosed: signed !== null,
  })
  io.out(
    flags.json
      ? resultJson(reconciliation, written, notes)
      : resultText(reconciliation, written, notes),
  )
  if (flags.mail) {
    await context.assertAlone()
    const unsent = await mailReports(
      db,
      {
        config,
        runId,
        reconciliation,
        notes,
        isIncomplete: shortfalls.length + missing.length > 0,
        entities: subject,
        textsFor: (names) => textsAbout(report, names),
        summaryOf: context.summaryOf ?? null,
      },
      io.progress,
    )
    for (const fault of unsent) {
      io.progress.note(fault.message)
      shortfalls.push({ note: fault.message, exitCode: fault.exitCode })
    }
  }
  return { exitCode: exitCodeOf(context, reconciliation, shortfalls), reconciliation }
}

/** The report's files with the rows of some of its entities. */
function textsAbout(
  report: Parameters<typeof reportTexts>[0],
  names: readonly string[],
): ReadonlyMap<string, string> {
  const { entities } = report.run
  if (entities.every((name) => names.includes(name))) return reportTexts(report)
  return reportTexts({
    ...report,
    reconciliation: ofEntities(report.reconciliation, names),
    journal: {
      ...report.journal,
      entries: report.journal.entries.filter(({ entity }) => names.includes(entity)),
      vat: report.journal.vat.filter(({ entity }) => names.includes(entity)),
    },
    run: { ...report.run, entities: entities.filter((name) => names.includes(name)) },
  })
}

function stopwatch({ now }: CommandIo) {
  const laps: Record<string, number> = {}
  let since = now().getTime()
  return {
    laps,
    lap: (name: string): void => {
      const at = now().getTime()
      laps[name] = at - since
      since = at
    },
  }
}

/** Asks the provider for each entity. One that fails among several is left out and told of. */
async function fetchEntities(db: Db, context: PeriodContext) {
  const { config, flags, entities, asOf, runId, io } = context
  const fetched = new Map<string, EntityFetch>()
  const reported: EntityConfig[] = []
  const shortfalls: Shortfall[] = []
  if (flags.offline) return { fetched, reported: [...entities], shortfalls }
  const faults: Fault[] = []
  for (const entity of entities) {
    try {
      const { period, dryRun } = flags
      const outcome = await fetchEntity(db, { config, entity, runId, period, asOf, dryRun }, io)
      fetched.set(entity.name, outcome)
      reported.push(entity)
      if (outcome.export instanceof InputFault) {
        shortfalls.push({
          note: `The accounting export of ${entity.name} was rejected, so the ledger was not compared with it: ${outcome.export.message}`,
          exitCode: outcome.export.exitCode,
        })
      }
    } catch (error) {
      if (entities.length === 1 || !(error instanceof Fault)) throw error
      faults.push(error)
      io.progress.note(`${entity.name}: ${error.message}`)
      shortfalls.push({
        note: `${entity.name} is missing from this report: ${error.message}`,
        exitCode: error.exitCode,
      })
    }
  }
  // A report about nobody would only take the place of one that says something.
  const [worst] = faults.toSorted((a, b) => a.exitCode - b.exitCode)
  if (worst !== undefined && reported.length === 0) throw worst
  return { fetched, reported, shortfalls }
}

function rejectedFiles({ rejected }: BankImport): Shortfall[] {
  return rejected.map(({ name, fault }) => ({
    note: `The bank file ${name} was rejected and nothing of it was taken: ${fault.message}`,
    exitCode: fault.exitCode,
  }))
}

function refuseIfNotTied(controlFaults: readonly string[]): void {
  if (controlFaults.length === 0) return
  throw new ControlTotalsFault(
    `the control totals do not tie, so no report was written:\n  ${controlFaults.join('\n  ')}`,
    {
      hint: 'This is a fault of the program or of the stored data, not of the provider. Everything fetched is kept; please report it with these lines.',
    },
  )
}

async function describeRun(
  db: Db,
  { runId }: PeriodContext,
  {
    facts,
    fetched,
    notes,
    timings,
  }: {
    readonly facts: Facts
    readonly fetched: ReadonlyMap<string, EntityFetch>
    readonly notes: readonly string[]
    readonly timings: Readonly<Record<string, number>>
  },
): Promise<ReportRun> {
  return {
    runId,
    appVersion: appVersion(),
    nodeVersion: process.version,
    entities: facts.entities.map(({ entity }) => entity),
    inputs: {
      bankFiles: await loadBankFiles(db),
      exports: facts.entities.flatMap(({ entity, exports }) =>
        exports.map(({ exportId, sha256, rows }) => ({ entity, exportId, sha256, rows })),
      ),
      ledger: [...fetched].map(([entity, { ledger }]) => ({ entity, ...ledger })),
    },
    timings,
    notes,
  }
}

/** What the report had to do without, so that nobody takes silence for agreement. */
function missingInputs(
  facts: Facts,
  fetched: ReadonlyMap<string, EntityFetch>,
  { config, flags }: PeriodContext,
): string[] {
  const { startS, endS } = periodInstants(flags.period, config.businessTimeZone)
  // Of an export that was rejected its own note has told.
  const notes = facts.entities
    .filter(({ entity }) => !(fetched.get(entity)?.export instanceof InputFault))
    .filter(({ exports }) => !exports.some((held) => held.startS < endS && held.endS > startS))
    .map(
      ({ entity }) =>
        `There is no accounting export of ${entity} for this period, so its ledger was not compared with one.`,
    )
  if (facts.bank.statements.length === 0) {
    notes.push(`There are no bank statements; put them into ${config.bankInbox}.`)
  }
  return notes
}

/** What the report named is stored only once the report stands: pins, broken pins, discrepancies. */
async function remember(
  db: Db,
  { runId, flags, asOf }: PeriodContext,
  {
    facts,
    reconciliation,
    written,
    entitySet,
    isClosed,
  }: {
    readonly facts: Facts
    readonly reconciliation: ReturnType<typeof reconcile>
    readonly written: WrittenReports
    readonly entitySet: string
    readonly isClosed: boolean
  },
): Promise<void> {
  const pinned = new Set(
    facts.bank.pinned.flatMap(({ entity, payoutIds }) => payoutIds.map((id) => `${entity} ${id}`)),
  )
  const freed = new Set(
    reconciliation.brokenPins.flatMap(({ pin }) =>
      pin.payoutIds.map((id) => `${pin.entity} ${id}`),
    ),
  )
  // What somebody decided is kept as a decision: pinned as well, it would have two masters.
  const fresh = reconciliation.matches
    .filter(({ rule }) => rule !== 'manual')
    .filter(({ entity, payoutIds }) =>
      payoutIds.every((id) => !pinned.has(`${entity} ${id}`) || freed.has(`${entity} ${id}`)),
    )
  await db.transaction(async (tx) => {
    // The report of a closed period names no match that it did not name when it was signed.
    if (!isClosed) {
      await revokeMatches(tx, runId, reconciliation.brokenPins)
      await pinMatches(tx, runId, flags.period.label, fresh)
    }
    // A run that was killed right after it wrote the report left it without its record.
    const recorded = await findRecordedManifest(tx, flags.period.label, entitySet)
    if (!written.changed && recorded === written.manifestSha256) return
    await recordReport(tx, {
      runId,
      period: flags.period.label,
      entitySet,
      asOf,
      manifestSha256: written.manifestSha256,
      openItems: countOpen(reconciliation),
      discrepancies: reconciliation.discrepancies,
    })
  })
}

function countOpen({ discrepancies, settlements, refunds, openItems }: Reconciliation): number {
  return (
    discrepancies.filter(isOpen).length +
    settlements.filter(({ status }) => status !== 'matched').length +
    refunds.filter(({ status }) => status !== 'deducted').length +
    openItems.length
  )
}

function isOpen({ status }: DiscrepancyRow): boolean {
  return status === 'new' || status === 'open' || status === 'reopened'
}

/** What was missing outranks what was found. */
function exitCodeOf(
  { flags }: PeriodContext,
  { discrepancies }: ReturnType<typeof reconcile>,
  shortfalls: readonly Shortfall[],
): ExitCode {
  const [worst] = shortfalls.map(({ exitCode }) => exitCode).toSorted((a, b) => a - b)
  if (worst !== undefined) return worst
  return flags.failOnDiscrepancy && discrepancies.some(isOpen) ? EXIT.openDiscrepancies : EXIT.done
}
