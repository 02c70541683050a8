/** One period, start to end: fetch, import, judge, write, remember. */
import type { Db } from '../db/client.ts'
import { findStandingClose, type StandingClose } from '../db/closes.ts'
import { pinMatches, revokeMatches } from '../db/matches.ts'
import { saveMetrics } from '../db/metrics.ts'
import {
  entitySetOf,
  findPreviousManifest,
  findRecordedManifest,
  loadLastReported,
  recordReport,
} from '../db/period-reports.ts'
import type { RunLock } from '../db/run-lock.ts'
import { whyNotWritten } from '../reports/signed.ts'
import type { ReportText } from '../reports/text.ts'
import { reportTexts, writeBeside, writeReports, type WrittenReports } from '../reports/write.ts'
import type { ReportRun } from '../reports/summary-json.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import type { Day } from '../src/domain/day.ts'
import type { Facts } from '../src/domain/facts.ts'
import { refuteRecord } from '../src/domain/invariants.ts'
import { type Journal, journalAbout } from '../src/domain/journal.ts'
import { floorNotes } from '../src/domain/ledger-floor.ts'
import { metricsOf, type PeriodMetrics } from '../src/domain/metrics.ts'
import { aboutAll, type Note, notesAbout, textsOf } from '../src/domain/note.ts'
import { periodInstants } from '../src/domain/period.ts'
import { sellingStopSentence } from '../src/domain/plans.ts'
import { reconcile } from '../src/domain/reconcile.ts'
import type { DiscrepancyRow, Reconciliation } from '../src/domain/reconciliation.ts'
import { ControlTotalsFault, EXIT, type ExitCode, Fault, InputFault } from '../src/errors.ts'
import { loadBankFiles } from '../db/bank.ts'
import { openSuspectNotes } from './bank-suspects.ts'
import type { CommandIo, ReconcileFlags } from './command.ts'
import { type SignedAgain, signedAgain } from './closed-report.ts'
import { inboxReading } from './compose.ts'
import { type EntityFetch, fetchEntity } from './fetch-entity.ts'
import { judgeStored } from './gather-facts.ts'
import { type BankImport, importBankFiles, suspectedNotes } from './import-bank.ts'
import { fecFiles, withJournal } from './make-journal.ts'
import { historyWith } from './metrics-history.ts'
import { dryRunText, resultJson, resultLine, resultText } from './print-result.ts'
import { refuteByStoredRows, refuteFiles } from './read-back.ts'
import { type AbsentEntity, lastMailsOf, mailReports, ofEntities } from './send-mail.ts'
import { appVersion } from './version.ts'
import { whatIfOf, whatIfText } from './what-if.ts'

export interface PeriodContext {
  readonly config: Config
  readonly flags: ReconcileFlags
  readonly entities: readonly EntityConfig[]
  readonly asOf: Day
  readonly runId: number
  readonly io: CommandIo
  readonly assertAlone: () => Promise<void>
  readonly lock: RunLock
  /** Mail even where nothing changed since the last one, as the summary of this day; null: only changes. */
  readonly summaryOf?: Day | null
  /** Settings to judge the same facts by as well; only with a dry run. */
  readonly tried?: Config | null
}

/** What could not be had, and the exit code that tells of it. */
interface Shortfall {
  readonly note: Note
  readonly exitCode: ExitCode
}

/** What became of a period. */
export interface PeriodOutcome {
  readonly exitCode: ExitCode
  readonly reconciliation: ReturnType<typeof reconcile>
}

/** All of it for one period, within a run. */
export async function reconcilePeriod(db: Db, context: PeriodContext): Promise<PeriodOutcome> {
  return reportInTurn(db, context, await takeIn(db, context))
}

/** Takes in new bank files and what the provider has. */
export async function takeIn(db: Db, context: PeriodContext): Promise<ReportInputs> {
  const { lock, flags, entities } = context
  const clock = stopwatch(context.io)
  const imported = await lock.withCommon(() => importInbox(db, context))
  clock.lap('import_bank')
  const outcomes = new Map<string, FetchOutcome>()
  for (const entity of flags.offline ? [] : entities) {
    outcomes.set(entity.name, await fetchOrFault(db, context, entity))
  }
  clock.lap('fetch')
  return { imported, outcomes, clock }
}

/** Judges what is stored without a report: for whoever wants to know what there is to do. */
export async function judgePeriod(
  db: Db,
  context: PeriodContext,
  { outcomes, clock }: ReportInputs,
): Promise<Reconciliation> {
  const { config, flags, asOf, lock } = context
  const { reported } = weighOutcomes(context, outcomes)
  const wanted = { config, entities: reported, period: flags.period, asOf, full: flags.full }
  const { reconciliation } = await lock.withCommon(() =>
    judgeStored(db, wanted, () => clock.lap('gather_first')),
  )
  clock.lap('judge_first')
  return reconciliation
}

/** The report of a period, when it is this run's turn to write one. */
export function reportInTurn(
  db: Db,
  context: PeriodContext,
  inputs: ReportInputs,
): Promise<PeriodOutcome> {
  return context.lock.withCommon(() => reportPeriod(db, context, inputs))
}

/** New bank files. */
export async function importInbox(
  db: Db,
  { config, flags, runId, io }: PeriodContext,
): Promise<BankImport> {
  return importBankFiles(
    { db, progress: io.progress },
    {
      runId,
      inbox: config.bankInbox,
      files: flags.bankFiles,
      reading: await inboxReading(config),
    },
  )
}

/** What came of asking the provider for an entity. */
export type FetchOutcome = EntityFetch | Fault

/** Asks the provider for one entity. A fault is an outcome: with several entities the others go on. */
export async function fetchOrFault(
  db: Db,
  { config, flags, asOf, runId, io }: PeriodContext,
  entity: EntityConfig,
): Promise<FetchOutcome> {
  const { period, dryRun } = flags
  try {
    const { touched = false, plans = false } = flags
    const args = { config, entity, runId, period, asOf, dryRun, touched, plans }
    return await fetchEntity(db, args, io)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return error
  }
}

/** What a report is made of, besides what is stored. */
export interface ReportInputs {
  readonly imported: BankImport
  /** By entity. */
  readonly outcomes: ReadonlyMap<string, FetchOutcome>
  readonly clock: Stopwatch
}

/**
 * Judges what is stored, writes the report, remembers and mails it; to be called while nobody else
 * does (`RunLock.withCommon`).
 */
export async function reportPeriod(
  db: Db,
  context: PeriodContext,
  inputs: ReportInputs,
): Promise<PeriodOutcome> {
  const close = await findStandingClose(db, context.flags.period.label)
  // A signed report is of all its entities, whichever of them this run asked the provider about.
  return context.lock.withEntities(close?.entities ?? [], () =>
    reportHeld(db, context, close, inputs),
  )
}

/** Null: an account of no entity belongs to all; empty: one of an entity that is left out does not. */
function ownersOf(
  { entities }: PeriodContext['config'],
  subject: readonly EntityConfig[],
  account: string,
): string[] | null {
  const owners = entities.filter(({ ibans }) => ibans.includes(account))
  if (owners.length === 0) return null
  return owners.every((owner) => subject.includes(owner)) ? owners.map(({ name }) => name) : []
}

async function reportHeld(
  db: Db,
  context: PeriodContext,
  close: StandingClose | null,
  { imported, outcomes, clock }: ReportInputs,
): Promise<PeriodOutcome> {
  const { config, flags, asOf } = context
  const weighed = weighOutcomes(context, outcomes)
  weighed.shortfalls.push(...rejectedFiles(imported))
  const subject =
    close === null
      ? weighed.reported
      : config.entities.filter(({ name }) => close.entities.includes(name))
  const wanted = { config, entities: subject, period: flags.period, asOf, full: flags.full }
  const { facts, reconciliation: today } = await judgeStored(db, wanted, () => clock.lap('gather'))
  clock.lap('judge')
  const signed =
    close === null ? null : await signedAgain(db, close, today, config.businessTimeZone)
  const { bookedLines } = signed?.reconciliation ?? today
  return withJournal(db, { config, entities: subject }, facts, bookedLines, (journal) =>
    reportJudged(db, context, {
      ...weighed,
      imported,
      clock,
      subject,
      facts,
      today,
      signed,
      journal,
    }),
  )
}

/** What is known of a period when everything is judged. */
interface Judged extends ReturnType<typeof weighOutcomes> {
  readonly imported: BankImport
  readonly clock: Stopwatch
  /** The entities that the report is about. */
  readonly subject: readonly EntityConfig[]
  readonly facts: Facts
  /** What the facts say today. */
  readonly today: ReturnType<typeof reconcile>
  /** What was signed; null: the period is not closed. */
  readonly signed: SignedAgain | null
  readonly journal: Journal
}

async function reportJudged(
  db: Db,
  context: PeriodContext,
  { fetched, shortfalls, absent, imported, clock, subject, facts, today, signed, journal }: Judged,
): Promise<PeriodOutcome> {
  const { config, flags, asOf, runId, io } = context
  const reconciliation = signed?.reconciliation ?? today
  const forJournal = { config, entities: subject }
  for (const { text } of journal.notes) io.progress.note(text, 'warn')
  clock.lap('journal')
  refuseIfNotTied([
    ...reconciliation.controlFaults,
    ...journal.controlFaults,
    // What was signed says what was stored then, and ties with nothing of today.
    ...(signed === null ? await refuteByStoredRows(db, facts, reconciliation) : []),
  ])
  const entitySet = entitySetOf(subject.map(({ name }) => name))
  const missing = missingInputs(facts, fetched, context)
  // Mails tell these by themselves, to whom they concern.
  const planNotes: Note[] = [
    ...(reconciliation.plans?.stops ?? []).map((stop) => ({
      entities: [stop.entity],
      text: sellingStopSentence(stop),
    })),
    ...(reconciliation.plans?.remarks ?? []).map(({ entity, text }) => ({
      entities: [entity],
      text: `${entity}: ${text}`,
    })),
  ]
  const otherNotes: Note[] = [
    ...shortfalls.map(({ note }) => note),
    // Of a dry run nothing stays stored, so what it found is not among the stored ones.
    ...(flags.dryRun ? suspectedNotes(imported.suspected).map(aboutAll) : []),
    ...(await openSuspectNotes(db, { ...flags.period, asOf }, (account) =>
      ownersOf(config, subject, account),
    )),
    ...missing,
    ...floorNotes(facts.entities, facts.policy),
    ...today.brokenDecisions,
    ...(signed === null ? [] : [aboutAll(signed.note)]),
  ]
  const notes = [...planNotes, ...otherNotes]
  const told = textsOf(notes)
  if (flags.dryRun) {
    const before = await loadLastReported(db, flags.period.label, entitySet)
    const whatIf = await whatIfOf(db, context, { facts, reconciliation: today })
    io.out(
      flags.json
        ? resultJson(reconciliation, null, told, whatIf)
        : whatIf === null
          ? dryRunText(reconciliation, before, imported, told)
          : whatIfText(whatIf, told),
    )
    return { exitCode: exitCodeOf(context, reconciliation, shortfalls), reconciliation }
  }
  await context.assertAlone()
  const dir = flags.out ?? config.reportsDir
  const mailed = {
    reconciliation,
    notes: [...otherNotes, ...journal.notes],
    lacks: [...shortfalls.map(({ note }) => note), ...missing],
    entities: subject,
    absent: absent.filter(({ entity }) => !subject.includes(entity)),
    summaryOf: context.summaryOf ?? null,
  }
  const lastMails = await lastMailsOf(db, mailed)
  const metrics = metricsOf(reconciliation, facts.record.revoked)
  const report = {
    lastMails,
    history: await historyWith(db, { period: flags.period, asOf, metrics }),
    reconciliation,
    journal,
    dialect: config.csvDialect,
    run: await describeRun(db, context, {
      facts,
      fetched,
      notes: [...notes, ...journal.notes],
      timings: clock.laps,
    }),
  }
  const written =
    (await signed?.write(dir)) ??
    (await writeReports({
      ...report,
      dir,
      previousManifestSha256: await findPreviousManifest(db, entitySet),
      examine: async (texts) =>
        refuseIfNotTied(await refuteFiles(texts, reconciliation, config.csvDialect)),
    }))
  refuseIfNotTied(await refuteWritten(written), 'nothing was sent')
  if (flags.fec && signed === null) {
    const fec = fecFiles(forJournal, facts, journal)
    await writeBeside(written.dir, fec.files)
    for (const note of fec.notes) io.progress.note(note, 'warn')
    told.push(...fec.notes)
  } else if (flags.fec) {
    io.progress.note(
      `--fec: nothing was written, because ${flags.period.label} is closed and its journal is signed`,
    )
  }
  await remember(db, context, {
    facts,
    reconciliation,
    written,
    metrics,
    entitySet,
    isClosed: signed !== null,
  })
  io.out(
    flags.json
      ? resultJson(reconciliation, written, told)
      : resultText(reconciliation, written, told),
  )
  for (const text of told) io.progress.keep?.(text, 'warn')
  io.progress.keep?.(resultLine(reconciliation, shortfalls.length + missing.length > 0))
  if (flags.mail) {
    await context.assertAlone()
    const unsent = await mailReports(
      db,
      {
        ...mailed,
        config,
        runId,
        textsFor: async (names) => {
          const texts = textsAbout(report, names)
          if (signed === null) {
            const own = ofEntities(reconciliation, names)
            refuseIfNotTied(await refuteFiles(texts, own, config.csvDialect), 'nothing was sent')
          }
          return texts
        },
        lastMails,
      },
      io.progress,
    )
    for (const fault of unsent) {
      io.progress.note(fault.message, 'warn')
      shortfalls.push({ note: aboutAll(fault.message), exitCode: fault.exitCode })
    }
  }
  return { exitCode: exitCodeOf(context, reconciliation, shortfalls), reconciliation }
}

/** The report's files with the rows of some of its entities. */
function textsAbout(
  report: Parameters<typeof reportTexts>[0],
  names: readonly string[],
): ReadonlyMap<string, ReportText> {
  const { entities } = report.run
  if (entities.every((name) => names.includes(name))) return reportTexts(report)
  return reportTexts({
    ...report,
    reconciliation: ofEntities(report.reconciliation, names),
    journal: journalAbout(report.journal, names),
    run: {
      ...report.run,
      entities: entities.filter((name) => names.includes(name)),
      notes: notesAbout(report.run.notes, names),
    },
    lastMails: (report.lastMails ?? []).filter((last) =>
      last.entities.some((name) => names.includes(name)),
    ),
    history: (report.history ?? []).filter(({ entity }) => names.includes(entity)),
  })
}

export interface Stopwatch {
  /** Milliseconds by name. */
  readonly laps: Readonly<Record<string, number>>
  /** Ends a lap and begins the next. */
  lap(name: string): void
}

export function stopwatch({ now }: CommandIo): Stopwatch {
  const laps: Record<string, number> = {}
  let since = now().getTime()
  return {
    laps,
    lap: (name) => {
      const at = now().getTime()
      laps[name] = at - since
      since = at
    },
  }
}

/** Who is reported, and what is missing. One that failed among several is left out and told of. */
function weighOutcomes(
  { flags, entities, io }: PeriodContext,
  outcomes: ReadonlyMap<string, FetchOutcome>,
) {
  const fetched = new Map<string, EntityFetch>()
  const reported: EntityConfig[] = []
  const shortfalls: Shortfall[] = []
  const absent: AbsentEntity[] = []
  if (flags.offline) return { fetched, reported: [...entities], shortfalls, absent }
  const faults: Fault[] = []
  for (const entity of entities) {
    const outcome = outcomes.get(entity.name)
    if (outcome === undefined) throw new Error(`nothing is known of the fetching of ${entity.name}`)
    if (outcome instanceof Fault) {
      faults.push(outcome)
      if (entities.length > 1) io.progress.note(`${entity.name}: ${outcome.message}`, 'warn')
      // Told to all: a line on an account that they share may be its payout.
      const note = aboutAll(`${entity.name} is missing from this report: ${outcome.message}`)
      absent.push({ entity, note })
      shortfalls.push({ note, exitCode: outcome.exitCode })
      continue
    }
    fetched.set(entity.name, outcome)
    reported.push(entity)
    if (outcome.export instanceof InputFault) {
      shortfalls.push({
        note: {
          entities: [entity.name],
          text: `The accounting export of ${entity.name} was rejected, so the ledger was not compared with it: ${outcome.export.message}`,
        },
        exitCode: outcome.export.exitCode,
      })
    }
  }
  // A report about nobody would only take the place of one that says something.
  const [worst] = faults.toSorted((a, b) => a.exitCode - b.exitCode)
  if (worst !== undefined && reported.length === 0) throw worst
  return { fetched, reported, shortfalls, absent }
}

function rejectedFiles({ rejected }: BankImport): Shortfall[] {
  return rejected.map(({ name, fault }) => ({
    // Whose it is stands in it, and it could not be read.
    note: aboutAll(
      `The bank file ${name} was rejected and nothing of it was taken: ${fault.message}`,
    ),
    exitCode: fault.exitCode,
  }))
}

/** What stands in the folder now against what was written: a disk may say yes and keep something else. */
async function refuteWritten({ dir, manifestSha256 }: WrittenReports): Promise<string[]> {
  const why = await whyNotWritten(dir, manifestSha256)
  return why === null ? [] : [why]
}

function refuseIfNotTied(
  controlFaults: readonly string[],
  consequence: 'no report was written' | 'nothing was sent' = 'no report was written',
): void {
  if (controlFaults.length === 0) return
  throw new ControlTotalsFault(
    `the control totals do not tie, so ${consequence}:\n  ${controlFaults.join('\n  ')}`,
    {
      hint: 'This is a fault of the program or of the stored data, not of the provider. Everything fetched is kept. Run it once more with --full, which proves everything anew; if it still does not tie, please report it with these lines.',
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
    readonly notes: readonly Note[]
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
): Note[] {
  const { startS, endS } = periodInstants(flags.period, config.businessTimeZone)
  // Of an export that was rejected its own note has told.
  const notes = facts.entities
    .filter(({ entity }) => !(fetched.get(entity)?.export instanceof InputFault))
    .filter(({ exports }) => !exports.some((held) => held.startS < endS && held.endS > startS))
    .map(({ entity }) => ({
      entities: [entity],
      text: `There is no accounting export of ${entity} for this period, so its ledger was not compared with one.`,
    }))
  if (facts.bank.statements.length > 0) return notes
  return [...notes, aboutAll(`There are no bank statements; put them into ${config.bankInbox}.`)]
}

/** What the report named is stored only once the report stands: pins, broken pins, discrepancies. */
async function remember(
  db: Db,
  { runId, flags, asOf }: PeriodContext,
  {
    facts,
    reconciliation,
    written,
    metrics,
    entitySet,
    isClosed,
  }: {
    readonly facts: Facts
    readonly reconciliation: ReturnType<typeof reconcile>
    readonly written: WrittenReports
    readonly metrics: readonly PeriodMetrics[]
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
    if (written.changed || recorded !== written.manifestSha256) {
      await recordReport(tx, {
        runId,
        period: flags.period.label,
        entitySet,
        asOf,
        manifestSha256: written.manifestSha256,
        openItems: countOpen(reconciliation),
        discrepancies: reconciliation.discrepancies,
      })
      const onRecord = await loadLastReported(tx, flags.period.label, entitySet)
      const untied = refuteRecord(reconciliation.discrepancies, onRecord ?? [])
      refuseIfNotTied(untied, 'nothing was sent')
    }
    // Behind the report: Citus refuses to write to what all servers share after several entities' rows.
    if (!isClosed) await saveMetrics(tx, { runId, period: flags.period, asOf, metrics })
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
