/** A merchant whose job runs within this process: an account at the sandbox, statements, a database. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { runCli } from '../../jobs/cli.ts'
import { writeBankFiles } from '../../src/sandbox/bank-files.ts'
import { plantDemo } from '../../src/sandbox/plant.ts'
import { type Sandbox, type SandboxSwitches, startSandbox } from '../../src/sandbox/server.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { silentProgress } from '../../src/progress.ts'
import { filesBelow, type Running, startScript } from '../e2e/job.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { leaksIn, secretsOf } from './leaks.ts'

export const WEEK = '2024-W12'
/** Late enough that the week has something in every file, early enough that some of it is open. */
export const AS_OF = '2024-04-05'
export const RECONCILE = ['reconcile', '--week', WEEK, '--as-of', AS_OF] as const

/** Bytes of CSV files, or of all files, by name. */
export type Files = Readonly<Record<string, string>>

export interface Ended {
  /** Null after a signal that could not be caught. */
  readonly exitCode: number | null
  readonly out: string
  readonly err: string
}

export interface Workplace {
  readonly sandbox: Sandbox
  readonly database: TestDatabase
  readonly dir: string
  readonly inbox: string
  /** The settings; may be changed between runs. */
  readonly env: Record<string, string>
  /** The job's own clock, in epoch seconds; null: the machine's. */
  readonly clock: { nowS: number | null }
  /** Runs a command within this process. */
  run(...argv: readonly string[]): Promise<Ended>
  /** Starts a process of its own. */
  start(...argv: readonly string[]): Running
  /** Writes the bank statements of the world as it stands now into the inbox. */
  writeBank(): Promise<unknown>
  /** The CSV files of a period. */
  csvs(period: string): Promise<Files>
  /** All files of a period's report; empty if there is none. */
  report(period: string): Promise<Files>
  /** Secrets and customers in what any run said or wrote, each as a sentence. */
  leaks(): Promise<string[]>
  close(): Promise<void>
}

/** The demo's shop, with all that is wrong in it. */
export function demoWorld(): SandboxWorld {
  const world = createWorld()
  plantDemo(world)
  return world
}

/** @param folder empty; it stays when the merchant is closed. */
export async function openWorkplace(
  folder: string,
  {
    world = demoWorld(),
    switches = {},
  }: { readonly world?: SandboxWorld; readonly switches?: Partial<SandboxSwitches> } = {},
): Promise<Workplace> {
  const [sandbox, database] = await Promise.all([
    // Who waits for the export is not what is tried here, but where a fault says so.
    startSandbox({ world, switches: { exportPolls: 0, ...switches } }),
    createTestDatabase(),
  ])
  const inbox = join(folder, 'inbox')
  const dataDir = join(folder, 'var')
  await writeBankFiles(world, inbox)
  const env: Record<string, string> = {
    ALMA_API_KEY: world.accounts[0]?.apiKey ?? '',
    ALMA_API_URL: sandbox.url,
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    BANK_INBOX: inbox,
  }
  const clock: Workplace['clock'] = { nowS: world.nowS ?? null }
  const said: string[] = []
  const report = async (period: string): Promise<Files> => {
    const dir = join(dataDir, 'reports', period)
    const names = await readdir(dir).catch(() => [])
    const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')))
    return Object.fromEntries(names.map((name, at) => [name, texts[at] ?? '']))
  }
  return {
    sandbox,
    database,
    dir: folder,
    inbox,
    env,
    clock,
    run: async (...argv) => {
      let [out, err] = ['', '']
      const note = (text: string): void => {
        err += `${text}\n`
      }
      const exitCode = await runCli(argv, env, {
        cwd: folder,
        out: (text) => (out += text),
        err: (text) => (err += text),
        progress: { ...silentProgress, note, close: () => undefined },
        now: () => (clock.nowS === null ? new Date() : new Date(clock.nowS * 1000)),
        signal: new AbortController().signal,
      })
      said.push(out, err)
      return { exitCode, out, err }
    },
    start: (...argv) => {
      const running = startScript('jobs/cli.ts', argv, { cwd: folder, env })
      void running.outcome.then(({ out, err }) => said.push(out, err))
      return running
    },
    writeBank: () => writeBankFiles(world, inbox),
    csvs: async (period) => csvsOf(await report(period)),
    report,
    leaks: async () => {
      const written = Object.entries(await filesBelow(folder))
        // The merchant's own papers came in with the names that they hold.
        .filter(([path]) => !path.startsWith(inbox))
        .map(([path, bytes]): [string, string] => [
          path.slice(folder.length + 1),
          Buffer.from(bytes, 'latin1').toString('utf8'),
        ])
      return leaksIn(secretsOf(world), [['what a run said', said.join('\n')], ...written])
    },
    close: async () => {
      await sandbox.close()
      await database.drop()
    },
  }
}

/** The CSV files that a merchant of this world has who never met a fault. @param folder empty. */
export async function undisturbed(
  folder: string,
  world: SandboxWorld = demoWorld(),
  argv: readonly string[] = RECONCILE,
): Promise<Files> {
  const workplace = await openWorkplace(folder, { world })
  try {
    const { exitCode, err } = await workplace.run(...argv)
    if (exitCode !== 0) throw new Error(`the undisturbed run ended with ${exitCode}: ${err}`)
    return await workplace.csvs(WEEK)
  } finally {
    await workplace.close()
  }
}

let demoCsvs: Promise<Files> | null = null

/** The same of the demo's world, made once. @param folder empty. */
export function undisturbedDemo(folder: string): Promise<Files> {
  demoCsvs ??= undisturbed(folder)
  return demoCsvs
}

/** The tables of a report. */
export function csvsOf(report: Files): Files {
  return Object.fromEntries(Object.entries(report).filter(([name]) => name.endsWith('.csv')))
}

/** The names of the files whose bytes differ, and of those that one side lacks. */
export function differingFiles(found: Files, expected: Files): string[] {
  const names = new Set([...Object.keys(found), ...Object.keys(expected)])
  return [...names].filter((name) => found[name] !== expected[name]).toSorted()
}

/** How many rows each table holds. */
export async function rowCounts({ db }: TestDatabase): Promise<Record<string, number>> {
  const tables = await db.execute<{ name: string }>(
    sql`select table_name as name from information_schema.tables where table_schema = 'public'`,
  )
  const counts: Record<string, number> = {}
  for (const { name } of tables) {
    const [row] = await db.execute<{ rows: number }>(
      sql`select count(*)::int as rows from ${sql.identifier(name)}`,
    )
    counts[name] = row?.rows ?? 0
  }
  return counts
}
