/** The command line as somebody at a terminal has it: real processes, a folder of its own, real files. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'csv-parse/sync'
import { runCli } from '../../jobs/cli.ts'
import { silentProgress } from '../../src/progress.ts'
import { CSV_FILES, type ReportRow } from '../support/workshop.ts'

export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
/** Where the loader is found whatever the folder in which the process runs. */
const TSX = import.meta.resolve('tsx')

export interface Outcome {
  /** Null after a signal that could not be caught. */
  readonly exitCode: number | null
  readonly out: string
  readonly err: string
}

export interface Running {
  readonly process: ChildProcess
  /** What it wrote to standard output and standard error so far. */
  readonly said: { out: string; err: string }
  readonly outcome: Promise<Outcome>
}

/** A process of ours, in a group of its own as a shell gives to each command of a terminal. */
export function startScript(
  script: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Running {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, ['--import', TSX, join(CHECKOUT, script), ...args], {
    cwd,
    env: { PATH, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()))
  const outcome = once(child, 'close').then(() => ({ exitCode: child.exitCode, ...said }))
  return { process: child, said, outcome }
}

/** Waits until the process has said it on standard output. */
export async function untilSaid(running: Running, words: RegExp): Promise<RegExpExecArray> {
  return await new Promise((resolve, reject) => {
    const look = (): void => {
      const found = words.exec(running.said.out)
      if (found !== null) resolve(found)
    }
    running.process.stdout?.on('data', look)
    void running.outcome.then(({ err }) => {
      look()
      reject(new Error(`it ended without saying ${String(words)}: ${running.said.out}${err}`))
    })
    look()
  })
}

/** Sends a signal to the whole group, as Ctrl-C in a terminal does. */
export function signalGroup({ process: child }: Running, signal: NodeJS.Signals): void {
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    process.kill(-child.pid, signal)
  }
}

/** A folder like a merchant's: settings, an inbox, data and reports. */
export interface Place {
  readonly dir: string
  readonly inbox: string
  readonly dataDir: string
  /** The settings; may be changed between runs. */
  readonly env: Record<string, string>
  start(...argv: readonly string[]): Running
  run(...argv: readonly string[]): Promise<Outcome>
  /** The same within this process, in a tenth of the time, where the process is not the point. */
  runHere(...argv: readonly string[]): Promise<Outcome>
  /** The CSV files of a period by name, as they stand. */
  csvs(period: string): Promise<Record<string, string>>
  rows(period: string, name: string): Promise<ReportRow[]>
  summaryJson(period: string): Promise<unknown>
  remove(): Promise<void>
}

export async function openPlace(env: Readonly<Record<string, string>> = {}): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'alma-e2e-'))
  const inbox = join(dir, 'inbox')
  const dataDir = join(dir, 'var')
  await mkdir(inbox)
  const settings: Record<string, string> = { ...env }
  const start = (...argv: readonly string[]): Running =>
    startScript('jobs/cli.ts', argv, { cwd: dir, env: settings })
  const read = (period: string, name: string): Promise<string> =>
    readFile(join(dataDir, 'reports', period, name), 'utf8')
  return {
    dir,
    inbox,
    dataDir,
    env: settings,
    start,
    run: (...argv) => start(...argv).outcome,
    runHere: async (...argv) => {
      let [out, err] = ['', '']
      const note = (text: string): void => {
        err += `${text}\n`
      }
      const exitCode = await runCli(argv, settings, {
        cwd: dir,
        out: (text) => (out += text),
        err: (text) => (err += text),
        progress: { ...silentProgress, note, close: () => undefined },
        now: () => new Date(),
        signal: new AbortController().signal,
      })
      return { exitCode, out, err }
    },
    csvs: (period) => readCsvs(join(dataDir, 'reports', period)),
    rows: async (period, name) => parse(await read(period, name), { columns: true, bom: true }),
    summaryJson: async (period) => JSON.parse(await read(period, 'summary.json')) as unknown,
    remove: () => rm(dir, { recursive: true, force: true }),
  }
}

export async function readCsvs(dir: string): Promise<Record<string, string>> {
  const texts = await Promise.all(CSV_FILES.map((name) => readFile(join(dir, name), 'utf8')))
  return Object.fromEntries(CSV_FILES.map((name, at) => [name, texts[at] ?? '']))
}

/** Every file below a folder with its bytes, for "nothing was touched". */
export async function filesBelow(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const item of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(item.parentPath, item.name)
    if (item.isFile()) found[path] = await readFile(path, 'latin1')
  }
  return found
}
