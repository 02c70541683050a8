/** One period, start to end: fetch, import, judge, write, remember. */
import type { Db } from '../db/client.ts'
import { pinMatches, revokeMatches } from '../db/matches.ts'
import {
  entitySetOf,
  findPreviousManifest,
  loadLastReported,
  recordReport,
} from '../db/period-reports.ts'
import { writeReports, type WrittenReports } from '../reports/write.ts'
import type { ReportRun } from '../reports/summary-json.ts'
import { type Config, type EntityConfig, requireApiKey } from '../src/config.ts'
import { type Day, dayOfInstant } from '../src/domain/day.ts'
import type { Facts } from '../src/domain/facts.ts'
import { periodInstants } from '../src/domain/period.ts'
import { reconcile } from '../src/domain/reconcile.ts'
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
import { useDatabase, withRun } from './compose.ts'
import { type EntityFetch, fetchEntity } from './fetch-entity.ts'
import { gatherFacts } from './gather-facts.ts'
import { type BankImport, importBankFiles } from './import-bank.ts'
import { dryRunText, resultJson, resultText } from './print-result.ts'
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
  if (flags.mail && config.smtpUrl === null)
    io.progress.note('SMTP_URL is not set: nothing is mailed')
  const opened = await useDatabase(config, io)
  return withRun(
    opened,
    { command: 'reconcile', period: period.label, asOf, dryRun: flags.dryRun },
    (db, runId, assertAlone) => run(db, { config, flags, entities, asOf, runId, io, assertAlone }),
  )
}

interface RunContext {
  readonly config: Config
  readonly flags: ReconcileFlags
  readonly entities: readonly EntityConfig[]
  readonly asOf: Day
  readonly runId: number
  readonly io: CommandIo
  readonly assertAlone: () => Promise<void>
}

/** What could not be had, and the exit code that tells of it. */
interface Shortfall {
  readonly note: string
  readonly exitCode: ExitCode
}

async function run(db: Db, context: RunContext): Promise<ExitCode> {
  const { config, flags, asOf, runId, io } = context
  const clock = stopwatch(io)
  const imported = await importBankFiles(
    { db, progress: io.progress },
    { runId, inbox: config.bankInbox, files: flags.bankFiles },
  )
  clock.lap('import_bank')
  const { fetched, reported, shortfalls } = await fetchEntities(db, context)
  clock.lap('fetch')
  shortfalls.push(...rejectedFiles(imported))
  const facts = await gatherFacts(db, { config, entities: reported, period: flags.period, asOf })
  clock.lap('gather')
  const reconciliation = reconcile(facts)
  clock.lap('judge')
  refuseIfNotTied(reconciliation.controlFaults)
  const entitySet = entitySetOf(reported.map(({ name }) => name))
  if (flags.dryRun) {
    const before = await loadLastReported(db, flags.period.label, entitySet)
    io.out(
      flags.json ? resultJson(reconciliation, null) : dryRunText(reconciliation, before, imported),
    )
    return exitCodeOf(context, reconciliation, shortfalls)
  }
  await context.assertAlone()
  const written = await writeReports({
    reconciliation,
    dir: flags.out ?? config.reportsDir,
    dialect: config.csvDialect,
    run: await describeRun(db, context, { facts, fetched, shortfalls, timings: clock.laps }),
    previousManifestSha256: await findPreviousManifest(db, entitySet),
  })
  await remember(db, context, { facts, reconciliation, written, entitySet })
  io.out(
    flags.json
      ? resultJson(reconciliation, written)
      : resultText(reconciliation, written, shortfalls),
  )
  return exitCodeOf(context, reconciliation, shortfalls)
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
async function fetchEntities(db: Db, context: RunContext) {
  const { config, flags, entities, asOf, runId, io } = context
  const fetched = new Map<string, EntityFetch>()
  const reported: EntityConfig[] = []
  const shortfalls: Shortfall[] = []
  if (flags.offline) return { fetched, reported: [...entities], shortfalls }
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
      io.progress.note(`${entity.name}: ${error.message}`)
      shortfalls.push({
        note: `${entity.name} is missing from this report: ${error.message}`,
        exitCode: error.exitCode,
      })
    }
  }
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
  { runId, config, flags }: RunContext,
  {
    facts,
    fetched,
    shortfalls,
    timings,
  }: {
    readonly facts: Facts
    readonly fetched: ReadonlyMap<string, EntityFetch>
    readonly shortfalls: readonly Shortfall[]
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
    notes: [...shortfalls.map(({ note }) => note), ...missingInputs(facts, flags, config)],
  }
}

/** What the report had to do without, so that nobody takes silence for agreement. */
function missingInputs(facts: Facts, { period }: ReconcileFlags, config: Config): string[] {
  const { startS, endS } = periodInstants(period, config.businessTimeZone)
  const notes = facts.entities
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
  { runId, flags, asOf }: RunContext,
  {
    facts,
    reconciliation,
    written,
    entitySet,
  }: {
    readonly facts: Facts
    readonly reconciliation: ReturnType<typeof reconcile>
    readonly written: WrittenReports
    readonly entitySet: string
  },
): Promise<void> {
  const pinned = new Set(
    facts.bank.pinned.flatMap(({ entity, payoutIds }) => payoutIds.map((id) => `${entity} ${id}`)),
  )
  const broken = reconciliation.brokenPins.map(({ pin, because }) => ({
    matchId: pin.matchId,
    because,
  }))
  const freed = new Set(
    reconciliation.brokenPins.flatMap(({ pin }) =>
      pin.payoutIds.map((id) => `${pin.entity} ${id}`),
    ),
  )
  const fresh = reconciliation.matches.filter(({ entity, payoutIds }) =>
    payoutIds.every((id) => !pinned.has(`${entity} ${id}`) || freed.has(`${entity} ${id}`)),
  )
  await db.transaction(async (tx) => {
    await revokeMatches(tx, runId, broken)
    await pinMatches(tx, runId, flags.period.label, fresh)
    if (!written.changed) return
    await recordReport(tx, {
      runId,
      period: flags.period.label,
      entitySet,
      asOf,
      manifestSha256: written.manifestSha256,
      discrepancies: reconciliation.discrepancies,
    })
  })
}

/** What was missing outranks what was found. */
function exitCodeOf(
  { flags }: RunContext,
  { discrepancies }: ReturnType<typeof reconcile>,
  shortfalls: readonly Shortfall[],
): ExitCode {
  const [worst] = shortfalls.map(({ exitCode }) => exitCode).toSorted((a, b) => a - b)
  if (worst !== undefined) return worst
  const open = discrepancies.some(
    ({ status }) => status === 'new' || status === 'open' || status === 'reopened',
  )
  return flags.failOnDiscrepancy && open ? EXIT.openDiscrepancies : EXIT.done
}
