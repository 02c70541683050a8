/**
 * A merchant to whom things happen: an account at the sandbox, bank statements, a mail server, a
 * database, and the job as real processes. What it must end with is what an undisturbed run made.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { type Day, startOfDay } from '../../src/domain/day.ts'
import { writeBankFiles } from '../../src/sandbox/bank-files.ts'
import { plantDemo } from '../../src/sandbox/plant.ts'
import { type Sandbox, type SandboxSwitches, startSandbox } from '../../src/sandbox/server.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { runCli } from '../../jobs/cli.ts'
import { silentProgress } from '../../src/progress.ts'
import { CHECKOUT, type Outcome as Ended, type Running, signalGroup } from '../e2e/job.ts'
import { rowCounts } from '../e2e/shop.ts'
import { type MailServer, startMailServer, subjectOf } from '../support/mail-server.ts'
import { leaksIn, type Secrets, secretsOf } from './leaks.ts'

const ZONE = 'Europe/Paris'
/** How often the command lines of the machine are looked at while a job runs. */
const LOOK_AT_ARGV_MS = 300
/** Longer than any run may hang; what takes longer is ended and counts as lost. */
const RUN_TIMEOUT_MS = 240_000
/**
 * Root as any other owner of files (util-linux). Another account would not do: it may not get to where
 * root keeps Node or the checkout.
 */
const ROOT_BOUND_BY_MODES = ['setpriv', '--bounding-set=-dac_override,-dac_read_search']
/** Loaded ahead of a job whose day is not today. */
const SHIFTED_CLOCK = join(CHECKOUT, 'test', 'support', 'shifted-clock.js')

export interface Merchant {
  readonly world: SandboxWorld
  readonly sandbox: Sandbox
  readonly mail: MailServer
  readonly inbox: string
  readonly dataDir: string
  /** The settings; may be changed between runs. */
  readonly env: Record<string, string>
  /** Puts the clock of provider and bank on the early morning of a day. */
  wakeOn(day: Day): Promise<void>
  start(...argv: readonly string[]): Running
  run(...argv: readonly string[]): Promise<Ended>
  /** The same within this process, in a tenth of the time; stops as after Ctrl-C when `signal` says so. */
  runHere(argv: readonly string[], signal?: AbortSignal): Promise<Ended>
  /** The CSV files of every period, by `period/name`. */
  reports(): Promise<Record<string, string>>
  /** Secrets and customers seen in what any run said, logged, wrote, mailed or was started with. */
  leaks(): Promise<string[]>
  close(): Promise<void>
}

export interface MerchantOptions {
  /** Empty; everything is kept there. */
  readonly folder: string
  /** Null: the embedded Postgres. */
  readonly databaseUrl: string | null
  readonly world?: SandboxWorld
  readonly switches?: Partial<SandboxSwitches>
  /** The modes of files bind the job, even where root runs it, whom they otherwise do not. */
  readonly boundByModes?: boolean
}

/** The demo's shop, with all that is wrong in it. */
function troubledWorld(): SandboxWorld {
  const world = createWorld()
  plantDemo(world)
  return world
}

export async function openMerchant({
  folder,
  databaseUrl,
  world = troubledWorld(),
  switches = {},
  boundByModes = false,
}: MerchantOptions): Promise<Merchant> {
  const [sandbox, mail] = await Promise.all([
    startSandbox({ world, switches }),
    startMailServer({ onAuth: (_auth, _session, done) => done(null, { user: 'night' }) }),
  ])
  const [inbox, dataDir] = [join(folder, 'inbox'), join(folder, 'var')]
  await mkdir(inbox, { recursive: true })
  await mkdir(dataDir, { recursive: true })
  const secrets = secretsOf(world)
  const logFile = join(folder, 'job.log')
  const env: Record<string, string> = {
    ALMA_API_KEY: world.accounts[0]?.apiKey ?? '',
    ALMA_API_URL: sandbox.url,
    DATA_DIR: dataDir,
    BANK_INBOX: inbox,
    LOG_FILE: logFile,
    SMTP_URL: mail.url.replace('://', `://night:${secrets.mailPassword}@`),
    MAIL_FROM: 'night@shop.example',
    MAIL_TO: 'books@shop.example',
  }
  if (databaseUrl !== null) env['DATABASE_URL'] = withPassword(databaseUrl, secrets)
  const said: string[] = []
  const commandLines = new Set<string>()
  const start = (...argv: readonly string[]): Running => {
    const running = startJob(argv, { cwd: folder, env, boundByModes })
    const stopLooking = watchCommandLines(commandLines)
    const patience = setTimeout(() => signalGroup(running, 'SIGKILL'), RUN_TIMEOUT_MS)
    const outcome = running.outcome.then((ended) => {
      stopLooking()
      clearTimeout(patience)
      said.push(ended.out, ended.err)
      return ended
    })
    return { ...running, outcome }
  }
  const reportsDir = join(dataDir, 'reports')
  return {
    world,
    sandbox,
    mail,
    inbox,
    dataDir,
    env,
    wakeOn: async (day) => {
      world.nowS = startOfDay(day, ZONE) + 5.5 * 3600
      // The embedded Postgres compares the times of files with the clock, so its jobs live today.
      if (databaseUrl !== null) {
        env['CLOCK_SHIFT_MS'] = String(Math.round(world.nowS * 1000 - Date.now()))
      }
      await writeBankFiles(world, inbox)
    },
    start,
    run: (...argv) => start(...argv).outcome,
    runHere: async (argv, signal = new AbortController().signal) => {
      let [out, err] = ['', '']
      const note = (text: string): void => {
        err += `${text}\n`
      }
      const shiftMs = Number(env['CLOCK_SHIFT_MS'] ?? '0')
      const exitCode = await runCli(argv, env, {
        cwd: folder,
        out: (text) => (out += text),
        err: (text) => (err += text),
        progress: { ...silentProgress, note, close: () => undefined },
        now: () => new Date(Date.now() + shiftMs),
        signal,
      })
      said.push(out, err)
      return { exitCode, out, err }
    },
    reports: () => textsBelow(reportsDir, /\.csv$/),
    leaks: async () => {
      const files = { ...(await textsBelow(dataDir, /^(?!postgres\/).*\.(csv|html|json|log)$/)) }
      const log = await readFile(logFile, 'utf8').catch(() => '')
      return leaksIn(secrets, [
        ['what it said', said.join('\n')],
        ['its log', log],
        ['a command line', [...commandLines].join('\n')],
        ['a mail', mail.mails.join('\n')],
        ...Object.entries(files),
      ])
    },
    close: async () => {
      await Promise.all([sandbox.close(), mail.close()])
    },
  }
}

/** A server that trusts its socket takes any password, and it must not be seen anywhere. */
function withPassword(databaseUrl: string, { databasePassword }: Secrets): string {
  return databaseUrl.replace(/^(\w+:\/\/)([^:@/]+)@/, `$1$2:${databasePassword}@`)
}

function startJob(
  argv: readonly string[],
  {
    cwd,
    env,
    boundByModes,
  }: { cwd: string; env: Readonly<Record<string, string>>; boundByModes: boolean },
): Running {
  const { PATH = '' } = process.env
  const clock = env['CLOCK_SHIFT_MS'] === undefined ? [] : ['--import', SHIFTED_CLOCK]
  const script = join(CHECKOUT, 'jobs', 'start.js')
  const [command = '', ...rest] = [
    ...(boundByModes && process.getuid?.() === 0 ? ROOT_BOUND_BY_MODES : []),
    process.execPath,
    ...clock,
    script,
    ...argv,
  ]
  const child = spawn(command, rest, {
    cwd,
    env: { PATH, ...env },
    // A process group of its own, as a shell gives to each command of a terminal.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()))
  const outcome = once(child, 'close').then(() => ({ exitCode: child.exitCode, ...said }))
  return { process: child, said, outcome }
}

/** Who wants to know what the processes of the machine were started with, as any of its users can see. */
const watchers = new Set<Set<string>>()
let looking: NodeJS.Timeout | null = null

/** @returns what ends it. */
function watchCommandLines(seen: Set<string>): () => void {
  watchers.add(seen)
  looking ??= setTimeout(() => void lookAndGoOn(), LOOK_AT_ARGV_MS)
  return () => {
    watchers.delete(seen)
  }
}

/** One look for all, and the next one some time after it: a busy machine has better things to do. */
async function lookAndGoOn(): Promise<void> {
  const names = await readdir('/proc').catch(() => [])
  for (const pid of names.filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (line === '') continue
    for (const seen of watchers) seen.add(line.replaceAll('\0', ' '))
  }
  looking = watchers.size === 0 ? null : setTimeout(() => void lookAndGoOn(), LOOK_AT_ARGV_MS)
}

/** Texts of the files whose path below the folder fits. */
async function textsBelow(folder: string, fits: RegExp): Promise<Record<string, string>> {
  const texts: Record<string, string> = {}
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  for (const name of names.filter((found) => fits.test(found)).toSorted()) {
    texts[name] = await readFile(join(folder, name), 'utf8')
  }
  return texts
}

/** What has to be the same in the end, whatever happened on the way. */
export interface Result {
  readonly reports: Readonly<Record<string, string>>
  /** Subjects by Message-ID. */
  readonly mails: Readonly<Record<string, string>>
  /** Rows of each table that holds facts or results. */
  readonly rows: Readonly<Record<string, number>>
}

/** Tables that tell how often somebody tried, not what came of it. */
const TRIES = new Set([
  'runs',
  'data_exports',
  'ledger_walks',
  'fetch_rounds',
  'entity_fetches',
  'period_reports',
  'reported_discrepancies',
])

export async function resultOf(merchant: Merchant, db: Db | null): Promise<Result> {
  const counts = db === null ? {} : await rowCounts(db)
  return {
    reports: await merchant.reports(),
    mails: Object.fromEntries(
      merchant.mail.mails.map((mail) => [messageIdOf(mail), subjectOf(mail)]),
    ),
    rows: Object.fromEntries(Object.entries(counts).filter(([table]) => !TRIES.has(table))),
  }
}

export function messageIdOf(mail: string): string {
  return /^Message-ID: <(.*)>/im.exec(mail)?.[1] ?? 'without a Message-ID'
}

/** What differs, each in a sentence; empty if nothing does. */
export function differences(expected: Result, found: Result): string[] {
  return [
    ...differing('the file', expected.reports, found.reports),
    ...differing('the mail', expected.mails, found.mails),
    ...differing('rows of', expected.rows, found.rows),
  ]
}

function differing(
  what: string,
  expected: Readonly<Record<string, string | number>>,
  found: Readonly<Record<string, string | number>>,
): string[] {
  const names = new Set([...Object.keys(expected), ...Object.keys(found)])
  return [...names].toSorted().flatMap((name) => {
    const [wanted, got] = [expected[name], found[name]]
    if (wanted === got) return []
    if (got === undefined) return [`${what} ${name} is missing`]
    if (wanted === undefined) return [`${what} ${name} is there, and should not be`]
    return [`${what} ${name} differs: ${firstDifference(String(wanted), String(got))}`]
  })
}

function firstDifference(expected: string, found: string): string {
  const [wanted, got] = [expected.split('\n'), found.split('\n')]
  const at = wanted.findIndex((line, index) => line !== got[index])
  const line = at === -1 ? wanted.length : at
  const shown = (text: string | undefined): string => JSON.stringify((text ?? '').slice(0, 160))
  return `line ${line + 1}, expected ${shown(wanted[line])}, found ${shown(got[line])}`
}

/** Secrets and customers in any column of the database. */
export async function leaksInDatabase(db: Db, world: SandboxWorld): Promise<string[]> {
  const { apiKeys, databasePassword, mailPassword } = secretsOf(world)
  const leaks: string[] = []
  for (const table of Object.keys(await rowCounts(db))) {
    const needles = [...apiKeys, databasePassword, mailPassword, 'client.%@example.com']
    const [found] = await db.execute<{ found: boolean }>(
      sql`select exists (select from ${sql.identifier(table)} "any" where ${sql.join(
        needles.map((needle) => sql`"any"::text like ${`%${needle}%`}`),
        sql` or `,
      )}) as found`,
    )
    if (found?.found === true) leaks.push(`a secret or a customer is in table ${table}`)
  }
  return leaks
}

/** The first lines of what a run said, for whoever has to find out. */
export function saidBy({ exitCode, err }: Ended): string {
  return `exit ${exitCode ?? 'by signal'}: ${err.trim().split('\n').slice(-3).join(' / ').slice(0, 400)}`
}

export function isGoing({ process: child }: Running): boolean {
  return child.exitCode === null && child.signalCode === null
}
