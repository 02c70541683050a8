/** `doctor`: looks at everything a night needs and says what to do where something is amiss. */
import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { knownBankFiles } from '../db/bank.ts'
import type { Db } from '../db/client.ts'
import {
  loadServerSettings,
  loadStatementEnds,
  type ServerSetting,
  type StatementsEnd,
} from '../db/doctor-facts.ts'
import { findLastEvent, type LastEvent } from '../db/events.ts'
import { loadUndelivered, type UndeliveredMail } from '../db/mail-deliveries.ts'
import { migrationState } from '../db/migrate.ts'
import { openUnmigrated } from '../db/open.ts'
import { findLastRun, type RecordedRun } from '../db/runs.ts'
import { loadProfiles } from '../src/bank/profile-files.ts'
import { listInbox } from '../src/bank/inbox.ts'
import {
  type Config,
  type EntityConfig,
  type Environment,
  inspectConfig,
  type ReadOptions,
  requireApiKey,
  type SettingFault,
  settingFaultText,
} from '../src/config.ts'
import { dayOfInstant, daysBetween, wallClock } from '../src/domain/day.ts'
import { addBusinessDays } from '../src/domain/target-calendar.ts'
import { ConfigurationFault, EXIT, type ExitCode, UnavailableFault } from '../src/errors.ts'
import { createProviderClient } from '../src/provider/client.ts'
import { settingWarnings } from '../src/setting-warnings.ts'
import type { CommandIo } from './command.ts'
import { failureOf } from './fault-text.ts'
import { appVersion } from './version.ts'

export interface DoctorOptions extends ReadOptions {
  /** With the `.env` file's settings in it. */
  readonly env: Environment
}

type State = 'ok' | 'warn' | 'fault'

/** One line of the outcome. */
interface Finding {
  readonly check: string
  readonly state: State
  readonly found: string
  /** What to do; null where there is nothing. */
  readonly toDo: string | null
  /** With `fault`: what the command that needs it would exit with. */
  readonly exitCode: number
}

/**
 * Runs every check, whatever the ones before it found, and changes nothing: no migration, no new
 * cluster, no folder, no file.
 * @returns 0 without a fault, 3 with one in the configuration, else 4.
 */
export async function doctorCommand(
  { env, ...options }: DoctorOptions,
  flags: { readonly json: boolean },
  io: CommandIo,
): Promise<ExitCode> {
  const { config, faults } = inspectConfig(env, options)
  const isWrong = (...names: readonly string[]): boolean =>
    faults.some(({ setting }) => names.some((name) => setting.startsWith(name)))

  const findings: Finding[] = []
  const check = async (name: string, look: () => Promise<Finding[]>): Promise<void> => {
    const found = await look().catch((error: unknown) => [failed(name, error)])
    findings.push(...found)
    if (!flags.json) for (const finding of found) io.out(lineOf(finding))
  }

  await check('versions', async () => versions())
  await check('settings', async () => settings(env, config, faults))
  let takenIn: ReadonlySet<string> | null = null
  let record: DatabaseRecord | null = null
  await check('database', async () => {
    if (isWrong('DATABASE_URL')) return [skipped('database')]
    const looked = await database(config, io)
    takenIn = looked.takenIn
    record = looked.record
    return [looked.finding]
  })
  await check('database', async () => (record === null ? [] : server(record, config)))
  await check('runs', async () => (record === null ? [] : pastRuns(record, config, io)))
  for (const entity of config.entities) {
    await check('provider', async () =>
      isWrong('ALMA_API_URL', 'ENTITIES_FILE', entity.apiKeySetting)
        ? [skipped('provider')]
        : provider(entity),
    )
  }
  await check('events', async () => (record === null ? [] : events(record, config)))
  await check('clock', async () => (isWrong('ALMA_API_URL') ? [] : clock(config, io)))
  await check('inbox', async () => inbox(config, takenIn))
  await check('statements', async () => (record === null ? [] : statements(record, config, io)))
  await check('profiles', async () => profiles(config))
  await check('mail', async () => (isWrong('SMTP_URL') ? [skipped('mail')] : mail(config)))
  await check('mail', async () => (record === null ? [] : undelivered(record, config)))
  await check('data', async () => folder('data', 'DATA_DIR', config.dataDir))
  await check('reports', async () => folder('reports', 'REPORTS_DIR', config.reportsDir))
  await check('disk', async () => disk(config))

  const exitCode = exitCodeOf(findings)
  io.out(flags.json ? jsonOf(findings, exitCode) : endOf(findings))
  return exitCode
}

function ok(check: string, found: string): Finding {
  return { check, state: 'ok', found, toDo: null, exitCode: EXIT.done }
}

function warn(check: string, found: string, toDo: string | null): Finding {
  return { check, state: 'warn', found, toDo, exitCode: EXIT.done }
}

function fault(check: string, exitCode: number, found: string, toDo: string | null): Finding {
  return { check, state: 'fault', found, toDo, exitCode }
}

function failed(check: string, error: unknown): Finding {
  const { exitCode, message, hint } = failureOf(error)
  return fault(check, exitCode, message, hint)
}

function skipped(check: string): Finding {
  return warn(check, 'not looked at, because its settings are wrong', null)
}

function versions(): Finding[] {
  const found = `alma-reconcile ${appVersion()} on Node ${process.version}, ${process.platform} ${process.arch}`
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 20 || (major === 20 && minor >= 19)
    ? [ok('versions', found)]
    : [fault('versions', EXIT.configuration, found, 'Install Node 20.19 or later.')]
}

function settings(env: Environment, config: Config, faults: readonly SettingFault[]): Finding[] {
  const findings = [
    ...faults.map((wrong) =>
      fault(
        'settings',
        EXIT.configuration,
        settingFaultText(wrong),
        'Correct it in the environment or in .env; .env.example explains each setting.',
      ),
    ),
    ...settingWarnings(env, config).map((text) => warn('settings', text, null)),
  ]
  const names = config.entities.map(({ name }) => name).join(', ')
  return findings.length > 0
    ? findings
    : [ok('settings', `in order; entities: ${names}; days are days in ${config.businessTimeZone}`)]
}

interface DatabaseLook {
  readonly finding: Finding
  /** SHA-256 of the bank files that are stored; null where that cannot be asked. */
  readonly takenIn: ReadonlySet<string> | null
  /** Null where nothing is recorded yet, or cannot be asked. */
  readonly record: DatabaseRecord | null
}

/** What the database remembers of earlier runs. */
interface DatabaseRecord {
  readonly lastRun: RecordedRun | null
  readonly lastNight: RecordedRun | null
  readonly undelivered: readonly UndeliveredMail[]
  readonly statementEnds: readonly StatementsEnd[]
  readonly server: ReadonlyMap<ServerSetting, string>
  /** By entity; null: none has come. */
  readonly lastEvents: ReadonlyMap<string, LastEvent | null>
}

async function recordOf(db: Db, { entities }: Config): Promise<DatabaseRecord> {
  const lastEvents = new Map<string, LastEvent | null>()
  for (const { name } of entities) lastEvents.set(name, await findLastEvent(db, name))
  return {
    lastEvents,
    lastRun: await findLastRun(db),
    lastNight: await findLastRun(db, 'nightly'),
    undelivered: await loadUndelivered(db),
    statementEnds: await loadStatementEnds(db),
    server: await loadServerSettings(db),
  }
}

async function database(config: Config, io: CommandIo): Promise<DatabaseLook> {
  const { databaseUrl, dataDir } = config
  if (databaseUrl === null && !(await exists(join(dataDir, 'postgres')))) {
    const found = `the embedded Postgres will be created in ${dataDir} at the first run`
    return { finding: ok('database', found), takenIn: new Set(), record: null }
  }
  const opened = await openUnmigrated({ databaseUrl, dataDir })
  io.onRelease(() => opened.close())
  try {
    const { applied, shipped, isForeign } = await migrationState(opened.db)
    if (isForeign) {
      throw new ConfigurationFault(
        `${opened.where} holds migrations that this version does not know: a newer version has used it`,
        { hint: 'Update this program, or name another database in DATABASE_URL or DATA_DIR.' },
      )
    }
    if (applied === shipped) {
      const found = `${opened.where} answers and is up to date (migrations: ${applied})`
      return {
        finding: ok('database', found),
        takenIn: await knownBankFiles(opened.db),
        record: await recordOf(opened.db, config),
      }
    }
    return {
      finding: warn(
        'database',
        `${opened.where} answers; ${shipped - applied} of ${shipped} migrations are pending`,
        'Nothing to do: the next command applies them (npm run db:migrate does only that).',
      ),
      takenIn: applied === 0 ? new Set() : null,
      record: null,
    }
  } finally {
    await opened.close()
  }
}

/** Without these a power cut may take what was reported as stored. */
const MUST_BE_ON: readonly ServerSetting[] = ['fsync', 'synchronous_commit', 'full_page_writes']

/** How the server keeps its word; of a server of one's own only what is amiss is a matter of ours. */
function server({ server: given }: DatabaseRecord, { databaseUrl }: Config): Finding[] {
  const off = MUST_BE_ON.filter((name) => given.get(name) === 'off')
  const at = (name: ServerSetting): string => given.get(name) ?? 'unknown'
  const found = `${databaseUrl === null ? 'embedded ' : ''}Postgres ${at('server_version')}: shared_buffers ${at('shared_buffers')}, max_connections ${at('max_connections')}, data_checksums ${at('data_checksums')}`
  if (off.length === 0) return [ok('database', found)]
  return [
    warn(
      'database',
      `${found}; off: ${off.join(', ')}`,
      'Switch them on: without them a power cut may take what was reported as stored.',
    ),
  ]
}

/** When the provider last told of something by itself; that it never did is no fault. */
function events({ lastEvents }: DatabaseRecord, { businessTimeZone }: Config): Finding[] {
  const several = lastEvents.size > 1
  return [...lastEvents].flatMap(([entity, last]) => {
    if (last === null)
      return several ? [] : [ok('events', 'none has come: npm run listen waits for them')]
    const { type, receivedS, waiting } = last
    const next =
      waiting === 0
        ? 'none waits'
        : `${waiting} wait for the next night, or for reconcile --touched`
    return [
      ok(
        'events',
        `the last one of "${entity}" came ${wallClock(receivedS, businessTimeZone)} (${type}); ${next}`,
      ),
    ]
  })
}

/** Business days after which a statement that has not come is worth asking for. */
const STATEMENT_AGE_BUSINESS_DAYS_MAX = 3
/** Accounts of which nothing came for so long are no longer in use. */
const STATEMENT_AGE_DAYS_MAX = 92

/** Up to which day each account is known: what is not covered yet stays in transit. */
function statements(
  { statementEnds }: DatabaseRecord,
  { businessTimeZone }: Config,
  io: CommandIo,
): Finding[] {
  const today = dayOfInstant(Math.floor(io.now().getTime() / 1000), businessTimeZone)
  return statementEnds.map(({ account, lastDay }) => {
    const ageDays = daysBetween(lastDay, today)
    const found = `statements of ${account} end on ${lastDay}${ageDays > 0 ? `, ${ageDays} ${ageDays === 1 ? 'day' : 'days'} ago` : ''}`
    const isLate = addBusinessDays(lastDay, STATEMENT_AGE_BUSINESS_DAYS_MAX) < today
    return isLate && ageDays <= STATEMENT_AGE_DAYS_MAX
      ? warn(
          'statements',
          found,
          'Have the later ones put into the inbox: until then payouts of these days stay in transit.',
        )
      : ok('statements', found)
  })
}

/** A few seconds are the network's; with minutes, rows land on the wrong side of a period's end. */
const CLOCK_SKEW_S_MAX = 60
const CLOCK_TIMEOUT_MS = 5_000

/** This machine's clock against the provider's, whose answers state its own. No key is sent. */
async function clock({ entities }: Config, io: CommandIo): Promise<Finding[]> {
  const urls = new Set(entities.flatMap(({ apiUrl }) => (apiUrl === null ? [] : [apiUrl])))
  const findings: Finding[] = []
  for (const url of urls) {
    const { got } = await import('got')
    const { date } = await got
      .head(url, {
        timeout: { request: CLOCK_TIMEOUT_MS },
        retry: { limit: 0 },
        signal: io.signal,
        throwHttpErrors: false,
        followRedirect: false,
      })
      .then(({ headers }) => headers)
      // That it does not answer is told by the check of the key.
      .catch(() => ({ date: undefined }))
    const theirsMs = date === undefined ? Number.NaN : Date.parse(date)
    if (Number.isNaN(theirsMs)) continue
    const skewS = Math.round((io.now().getTime() - theirsMs) / 1000)
    const size = Math.abs(skewS)
    const found = `this machine's clock is ${size <= 1 ? 'right' : `${size} s ${skewS > 0 ? 'ahead' : 'behind'}`}, by the answer of ${url}`
    findings.push(
      size <= CLOCK_SKEW_S_MAX
        ? ok('clock', found)
        : warn(
            'clock',
            found,
            'Have it set by the network (timedatectl set-ntp true): days and weeks are told by it.',
          ),
    )
  }
  return findings
}

/** Nights are a day apart; some hours more is a late one, not a missing one. */
const NIGHT_AGE_S_MAX = 36 * 3_600

function pastRuns(
  { lastRun, lastNight }: DatabaseRecord,
  { businessTimeZone }: Config,
  io: CommandIo,
): Finding[] {
  if (lastRun === null) return [ok('runs', 'none yet')]
  const findings = [pastRun('last run', lastRun, businessTimeZone)]
  if (lastNight === null) return [...findings, ok('runs', 'no night yet')]
  const ageS = Math.floor(io.now().getTime() / 1000) - lastNight.startedS
  findings.push(pastRun('last night', lastNight, businessTimeZone))
  if (ageS > NIGHT_AGE_S_MAX) {
    findings.push(
      warn(
        'runs',
        `no night has begun for ${Math.floor(ageS / 3_600)} hours`,
        'Look whether the scheduler that starts npm run nightly still does.',
      ),
    )
  }
  return findings
}

function pastRun(name: string, { command, period, startedS, exitCode }: RecordedRun, zone: string) {
  const what = period === null ? command : `${command} ${period}`
  const begun = `${name}: ${what}, begun ${wallClock(startedS, zone)}`
  if (exitCode === null) {
    const toDo =
      'Nothing to do if it is still at work; if it was killed, run the same command again.'
    return warn('runs', `${begun}, has not ended`, toDo)
  }
  const ended = `${begun}, ended with exit code ${exitCode}`
  return exitCode === EXIT.done || exitCode === EXIT.openDiscrepancies
    ? ok('runs', ended)
    : warn('runs', ended, 'Run the same command again: it says what is amiss and what to do.')
}

async function provider(entity: EntityConfig): Promise<Finding[]> {
  const { apiKey, apiUrl } = requireApiKey(entity)
  const { apiKeySetting, name } = entity
  const client = createProviderClient({ apiKey, apiUrl, apiKeySetting, retryLimit: 1 })
  // The smallest page of the one list that everything rests on; what it holds is not looked at.
  await client.getJson('/v1/balance-transactions', { limit: '20' })
  const kind = apiKey.startsWith('sk_live_') ? 'live' : 'test'
  return [ok('provider', `${apiUrl} accepts the ${kind} key of "${name}"`)]
}

async function inbox(
  { bankInbox }: Config,
  takenIn: ReadonlySet<string> | null,
): Promise<Finding[]> {
  if (!(await exists(bankInbox))) {
    return [
      warn('inbox', `${bankInbox} does not exist`, 'Make it, and have bank statements put there.'),
    ]
  }
  const { files, notes } = await listInbox(bankInbox)
  const waiting: string[] = []
  for (const { name, path } of files) {
    if (takenIn?.has(await sha256Of(path)) !== true) waiting.push(name)
  }
  const found = `${bankInbox} can be read; files in it: ${files.length}`
  const names = waiting.length === 0 ? '' : ` (${firstOf(waiting)})`
  return [
    ok('inbox', takenIn === null ? found : `${found}, to be taken in: ${waiting.length}${names}`),
    ...notes.map((note) => warn('inbox', note, null)),
  ]
}

const NAMES_SHOWN_MAX = 5

function firstOf(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ')
  return names.length > NAMES_SHOWN_MAX ? `${shown}, …` : shown
}

async function profiles({ bankProfilesDir }: Config): Promise<Finding[]> {
  if (bankProfilesDir === null) return []
  const { length } = await loadProfiles(bankProfilesDir)
  return [ok('profiles', `${bankProfilesDir} is in order; profiles of CSV files in use: ${length}`)]
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

const MAIL_TIMEOUT_MS = 5_000
const SMTP_PORTS: Readonly<Record<string, number>> = { 'smtp:': 587, 'smtps:': 465 }

async function mail({ smtpUrl, mailFrom, entities }: Config): Promise<Finding[]> {
  if (smtpUrl === null) {
    return [
      warn('mail', 'not configured: nothing is mailed', 'Set SMTP_URL, MAIL_FROM and MAIL_TO.'),
    ]
  }
  const { hostname, port, protocol } = new URL(smtpUrl)
  const portNumber = port === '' ? (SMTP_PORTS[protocol] ?? 25) : Number(port)
  await canConnect(hostname.replaceAll(/[[\]]/g, ''), portNumber)
  const recipients = new Set(entities.flatMap(({ mailTo }) => mailTo)).size
  return [
    ok(
      'mail',
      `${hostname}:${portNumber} answers; from ${mailFrom ?? 'nobody'} to ${recipients} recipients`,
    ),
  ]
}

function undelivered(record: DatabaseRecord, { businessTimeZone }: Config): Finding[] {
  return record.undelivered.map(({ period, recipients, attempts, fault: said, lastAttemptS }) =>
    warn(
      'mail',
      `the mail of ${period} to ${recipients} recipients is not delivered; attempts: ${attempts}, the last ${wallClock(lastAttemptS, businessTimeZone)}: ${said === null ? 'the answer of the mail server never came' : withoutAddresses(said)}`,
      `The next night tries again; so does npm run reconcile with --mail for ${period}.`,
    ),
  )
}

/** Mail servers repeat the address that they refuse. */
function withoutAddresses(text: string): string {
  return text.replaceAll(/[^\s<>"@]+@[^\s<>"@]+/g, '(address)')
}

function canConnect(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: MAIL_TIMEOUT_MS })
    const refuse = (why: string): void => {
      socket.destroy()
      reject(
        new UnavailableFault(`the mail server at ${host}:${port} cannot be reached (${why})`, {
          hint: 'Check host and port in SMTP_URL, and that this machine may connect to it.',
        }),
      )
    }
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('timeout', () => refuse(`no answer within ${MAIL_TIMEOUT_MS / 1000} s`))
    socket.once('error', (error) => refuse('code' in error ? String(error.code) : error.name))
  })
}

async function folder(check: string, setting: string, path: string): Promise<Finding[]> {
  const standing = await nearestExisting(path)
  const isFolder = (await stat(standing)).isDirectory()
  if (!isFolder || !(await isAllowed(standing, constants.W_OK))) {
    return [
      fault(
        check,
        EXIT.configuration,
        isFolder ? `${standing} cannot be written to` : `${standing} is not a folder`,
        `Give this account the right to write there, or name another folder in ${setting}.`,
      ),
    ]
  }
  return [ok(check, standing === path ? `${path} can be written to` : `${path} will be created`)]
}

const FREE_BYTES_LOW = 2e9
const FREE_BYTES_TOO_LOW = 2e8

async function disk({ dataDir }: Config): Promise<Finding[]> {
  const { bavail, bsize } = await statfs(await nearestExisting(dataDir))
  const freeBytes = bavail * bsize
  const found = `${Math.floor(freeBytes / 1e6)} MB free for ${dataDir}`
  if (freeBytes < FREE_BYTES_TOO_LOW) {
    return [fault('disk', EXIT.unavailable, found, 'Make room, or move DATA_DIR to another disk.')]
  }
  if (freeBytes >= FREE_BYTES_LOW) return [ok('disk', found)]
  return [warn('disk', found, 'A long history takes a few GB: make room in time.')]
}

/** The path itself, or the nearest folder above it that exists. */
async function nearestExisting(path: string): Promise<string> {
  let standing = path
  while (!(await exists(standing)) && dirname(standing) !== standing) standing = dirname(standing)
  return standing
}

function exists(path: string): Promise<boolean> {
  return isAllowed(path, constants.F_OK)
}

async function isAllowed(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode)
    return true
  } catch {
    return false
  }
}

function exitCodeOf(findings: readonly Finding[]): ExitCode {
  const codes = findings.filter(({ state }) => state === 'fault').map(({ exitCode }) => exitCode)
  if (codes.includes(EXIT.configuration)) return EXIT.configuration
  return codes.length > 0 ? EXIT.unavailable : EXIT.done
}

function lineOf({ check, state, found, toDo }: Finding): string {
  const line = `${state.padEnd(6)}${check.padEnd(10)}${found}\n`
  return toDo === null ? line : `${line}${' '.repeat(16)}→ ${toDo}\n`
}

function endOf(findings: readonly Finding[]): string {
  const count = (state: State): number => findings.filter((found) => found.state === state).length
  return `\nfaults: ${count('fault')}, warnings: ${count('warn')}, in order: ${count('ok')}\n`
}

function jsonOf(findings: readonly Finding[], exitCode: ExitCode): string {
  const checks = findings.map(({ check, state, found, toDo }) => ({
    check,
    state,
    found,
    to_do: toDo,
  }))
  return `${JSON.stringify({ exit_code: exitCode, checks }, null, 2)}\n`
}
