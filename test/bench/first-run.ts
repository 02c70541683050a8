/** The first `reconcile` of a ledger, as a process of its own, on an empty database. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LedgerShape } from './generated-ledger.ts'
import { type BenchDatabase, drain, secondsOf, startProvider } from './ledger-floors.ts'

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const START = path.join(CHECKOUT, 'jobs', 'start.js')
const PEAK = fileURLToPath(new URL('print-peak.js', import.meta.url))
/** The last week that the generated two years hold whole. */
const RECONCILE = ['reconcile', '--week', '2023-W51', '--as-of', '2023-12-31']

export interface FirstRun {
  readonly seconds: number
  /** What the list takes when nobody looks at it. */
  readonly drainS: number
  /** The most memory that the process held. */
  readonly peakMb: number
}

/** Builds the program, which the first start after an edit does in its own process: not measured here. */
export async function buildProgram(): Promise<void> {
  const child = spawn(process.execPath, [START, '--help'], { cwd: CHECKOUT, stdio: 'ignore' })
  const [code]: unknown[] = await once(child, 'close')
  if (code !== 0) throw new Error(`the program cannot be built: it ended with ${String(code)}`)
}

/** The command as a user runs it, on an empty database, and the list read without a look at it. */
export async function firstRun(
  database: BenchDatabase,
  folder: string,
  shape: LedgerShape,
): Promise<FirstRun> {
  const provider = await startProvider(shape)
  try {
    await database.freshRun()
    const drainS = await secondsOf(() => drain(provider.url))
    const env = {
      ALMA_API_KEY: 'sk_test_bench',
      ALMA_API_URL: provider.url,
      DATABASE_URL: database.url,
      DATA_DIR: path.join(folder, `var-${shape.rows}`),
      BANK_INBOX: path.join(folder, 'inbox'),
    }
    let peakMb = 0
    const seconds = await secondsOf(async () => {
      peakMb = await reconcileOnce(env)
    })
    return { seconds, drainS, peakMb }
  } finally {
    await provider.stop()
  }
}

/** @returns the peak of the process' memory in MB. */
async function reconcileOnce(settings: Readonly<Record<string, string>>): Promise<number> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, ['--import', PEAK, START, ...RECONCILE], {
    cwd: CHECKOUT,
    env: { PATH, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code]: unknown[] = await once(child, 'close')
  const peak = /^peak (\d+) kB$/m.exec(said)?.[1]
  if (code !== 0 || peak === undefined) {
    throw new Error(`reconcile ended with ${String(code)}: ${said.slice(-2_000)}`)
  }
  return Number(peak) / 1024
}
