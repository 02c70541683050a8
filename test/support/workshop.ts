/**
 * The whole job in one test: a sandbox with a world, an inbox with its bank statements, a database
 * of its own, and the command line in this process. Real HTTP, real Postgres, real files.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { runCli } from '../../jobs/cli.ts'
import { writeBankFiles } from '../../src/sandbox/bank-files.ts'
import { type Sandbox, type SandboxSwitches, startSandbox } from '../../src/sandbox/server.ts'
import type { SandboxWorld } from '../../src/sandbox/world.ts'
import { silentProgress } from '../../src/progress.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'

export interface Outcome {
  readonly exitCode: number
  readonly out: string
  readonly err: string
}

/** A row of a CSV report by its column titles. */
export type ReportRow = Readonly<Record<string, string>>

export interface Workshop {
  readonly sandbox: Sandbox
  readonly database: TestDatabase
  readonly dir: string
  readonly inbox: string
  /** What the settings are; may be changed between runs. */
  readonly env: Record<string, string>
  /** Runs a command, e.g. `run('reconcile', '--week', '2024-W12')`. */
  run(...argv: string[]): Promise<Outcome>
  /** Writes the bank statements of the world as it stands now into the inbox. */
  writeBank(): Promise<string[]>
  /** A CSV report of a period, as rows. */
  report(period: string, name: string): Promise<ReportRow[]>
  /** One report file of a period, as text. */
  text(period: string, name: string): Promise<string>
  /** All report files of a period by name, as text. */
  reportTexts(period: string): Promise<Record<string, string>>
  close(): Promise<void>
}

export const CSV_FILES = [
  'discrepancies.csv',
  'settlements.csv',
  'refunds.csv',
  'open_items.csv',
  'journal.csv',
  'summary.csv',
]

export async function openWorkshop(
  world: SandboxWorld,
  options: { switches?: Partial<SandboxSwitches>; env?: Record<string, string> } = {},
): Promise<Workshop> {
  const dir = await mkdtemp(join(tmpdir(), 'alma-workshop-'))
  const [sandbox, database] = await Promise.all([
    startSandbox({
      world,
      ...(options.switches === undefined ? {} : { switches: options.switches }),
    }),
    createTestDatabase(),
  ])
  const inbox = join(dir, 'inbox')
  const env: Record<string, string> = {
    ALMA_API_KEY: world.accounts[0]?.apiKey ?? '',
    ALMA_API_URL: sandbox.url,
    DATABASE_URL: database.url,
    DATA_DIR: join(dir, 'var'),
    BANK_INBOX: inbox,
    ...options.env,
  }
  const read = (period: string, name: string): Promise<string> =>
    readFile(join(dir, 'var', 'reports', period, name), 'utf8')
  return {
    sandbox,
    database,
    dir,
    inbox,
    env,
    run: async (...argv) => {
      let [out, err] = ['', '']
      const exitCode = await runCli(argv, env, {
        cwd: dir,
        out: (text) => (out += text),
        err: (text) => (err += text),
        progress: { ...silentProgress, close: () => undefined },
        now: () => new Date(),
        signal: new AbortController().signal,
      })
      return { exitCode, out, err }
    },
    writeBank: () => writeBankFiles(world, inbox),
    report: async (period, name) => parse(await read(period, name), { columns: true }),
    text: read,
    reportTexts: async (period) => {
      const texts = await Promise.all(CSV_FILES.map((name) => read(period, name)))
      return Object.fromEntries(CSV_FILES.map((name, at) => [name, texts[at] ?? '']))
    },
    close: async () => {
      await sandbox.close()
      await database.drop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
