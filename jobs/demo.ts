/**
 * `npm run demo`: the main job on a machine where nothing is configured. A sandbox of the provider
 * answers over real HTTP, sample bank statements lie in an inbox, and the real `reconcile` does
 * week 2024-W12 on the embedded Postgres. Its data live apart, under `var/demo`.
 */
import { createHash } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { EXIT } from '../src/errors.ts'
import { makeFolder } from '../src/make-folder.ts'
import { writeBankFiles } from '../src/sandbox/bank-files.ts'
import { type Planted, plantDemo } from '../src/sandbox/plant.ts'
import { startSandbox } from '../src/sandbox/server.ts'
import { createWorld, DEMO_API_KEY, DEMO_WEEK, type SandboxWorld } from '../src/sandbox/world.ts'
import { processIo, runCli } from './cli.ts'

/** The night on which the demo is: the sample world ends then. */
const DEMO_AS_OF = '2024-04-05'

async function demo(): Promise<number> {
  const io = await processIo()
  const dataDir = join(io.cwd, 'var', 'demo')
  const inbox = join(dataDir, 'inbox')
  const world = createWorld()
  const planted = plantDemo(world)
  await forgetOtherWorld(dataDir, world)
  const sandbox = await startSandbox({ world })
  try {
    io.out(`A sandbox of Alma answers at ${sandbox.url}, with a small shop's sales of six weeks.\n`)
    await rm(inbox, { recursive: true, force: true })
    const files = await writeBankFiles(world, inbox)
    const typed = ['reconcile', '--week', DEMO_WEEK, '--as-of', DEMO_AS_OF]
    io.out(`${files.length} bank statements are in ${relative(io.cwd, inbox)}.\n`)
    io.out(
      `This is what follows: npm run ${typed.join(' ').replace('reconcile', 'reconcile --')}\n\n`,
    )
    const env = {
      ALMA_API_KEY: DEMO_API_KEY,
      ALMA_API_URL: sandbox.url,
      DATA_DIR: dataDir,
      BANK_INBOX: inbox,
      PATH: process.env['PATH'],
    }
    // Settings of a real installation that lie in `.env` are none of the demo's business.
    const exitCode = await runCli(typed, env, { ...io, cwd: dataDir })
    if (exitCode === EXIT.done)
      io.out(epilogue(planted, join(dataDir, 'reports', DEMO_WEEK), io.cwd))
    return exitCode
  } finally {
    await sandbox.close()
  }
}

/**
 * The sample world of another version is another merchant's past: kept beside this one's it would show
 * as changed rows and statements that do not fit together.
 */
async function forgetOtherWorld(dataDir: string, world: SandboxWorld): Promise<void> {
  const marker = join(dataDir, 'world.sha256')
  const fingerprint = createHash('sha256').update(worldText(world)).digest('hex')
  const kept = await readFile(marker, 'utf8').catch(() => null)
  if (kept === fingerprint) return
  await rm(dataDir, { recursive: true, force: true })
  await makeFolder(dataDir)
  await writeFile(marker, fingerprint)
}

function worldText(world: SandboxWorld): string {
  return JSON.stringify(world, (_, value: unknown) =>
    value instanceof Map || value instanceof Set ? Array.from<unknown>(value) : value,
  )
}

function epilogue(planted: readonly Planted[], reports: string, cwd: string): string {
  const width = Math.max(...planted.map(({ code }) => code.length))
  return [
    '',
    'What was wrong in the sample world, so that you can compare:',
    ...planted.map(({ code, story }) => `  ${code.padEnd(width)}  ${story}`),
    '',
    `Open ${join(relative(cwd, reports), 'report.html')} in a browser, or discrepancies.csv beside it in a spreadsheet:`,
    'each discrepancy says what happened, what it costs and what to do.',
    'Next: npm run sandbox serves the same world for trying things out; the README says how to connect your own account.',
    '',
  ].join('\n')
}

process.exitCode = await demo()
