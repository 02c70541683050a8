/**
 * The demo as a newcomer has it: `npm run demo` in a folder where nothing is configured, on the
 * embedded Postgres. The same week against `npm run sandbox` must come to the same bytes.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { plantDemo } from '../../src/sandbox/plant.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { createTestDatabase } from '../support/database.ts'
import type { ReportRow } from '../support/workshop.ts'
import { CHECKOUT, filesBelow, type Outcome, readCsvs } from './job.ts'
import { AS_OF, WEEK } from './shop.ts'

/** A checkout of one's own: the same files, and a `var` that nobody else uses. */
let checkout = ''
beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'alma-demo-'))
  await copyFile(join(CHECKOUT, 'package.json'), join(checkout, 'package.json'))
  for (const name of [
    'db',
    'jobs',
    'migrations',
    'node_modules',
    'reports',
    'src',
    'tsconfig.json',
  ]) {
    await symlink(join(CHECKOUT, name), join(checkout, name))
  }
})
afterAll(() => rm(checkout, { recursive: true, force: true }))

function npmRun(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn('npm', ['run', '--silent', ...argv], {
    cwd: checkout,
    env: { PATH, HOME, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()))
  const outcome = once(child, 'close').then((): Outcome => ({ exitCode: child.exitCode, ...said }))
  return { child, said, outcome }
}

const reports = (): string => join(checkout, 'var', 'demo', 'reports', WEEK)

test('finds all that is wrong in the sample world and nothing else, and names it', async () => {
  // What the sample world of another version left is not this one's past.
  const old = join(checkout, 'var', 'demo', 'postgres', 'PG_VERSION')
  await mkdir(dirname(old), { recursive: true })
  await writeFile(old, 'of another version')
  const { exitCode, out } = await npmRun(['demo']).outcome
  expect(exitCode).toBe(0)
  const planted = plantDemo(createWorld())
  for (const { code, story } of planted) {
    expect(out).toContain(story)
    expect(out).toMatch(new RegExp(`(new|open) {2}${code} {2}`))
  }
  const csvs = await readCsvs(reports())
  const rows = parse<ReportRow>(csvs['discrepancies.csv'] ?? '', { columns: true })
  const found = rows.map((row) => {
    const itself = planted.find(
      ({ code, key }) =>
        code === row['code'] &&
        Object.entries(key).every(([column, value]) => row[column] === value),
    )
    return itself ?? row
  })
  expect(new Set(found)).toEqual(new Set(planted))
  expect(rows).toHaveLength(planted.length)
})

test('a second time changes no byte of any report', async () => {
  const before = await filesBelow(reports())
  expect(Object.keys(before).length).toBeGreaterThanOrEqual(7)
  const { exitCode, out } = await npmRun(['demo']).outcome
  expect(exitCode).toBe(0)
  expect(out).toContain('unchanged, byte for byte')
  expect(await filesBelow(reports())).toEqual(before)
})

test('npm run reconcile against npm run sandbox gives the same CSV files', async () => {
  const database = await createTestDatabase()
  const bankDir = join(checkout, 'statements')
  const sandbox = npmRun(['sandbox', '--', '--port', '0', '--bank-dir', bankDir])
  onTestFinished(async () => {
    stop(sandbox.child)
    await sandbox.outcome
    await database.drop()
  })
  const settings = await settingsSaid(sandbox)
  // As the sandbox says: its settings go into .env.
  await writeFile(
    join(checkout, '.env'),
    `${settings}\nDATABASE_URL=${database.url}\nDATA_DIR=var/own\n`,
  )
  onTestFinished(() => rm(join(checkout, '.env')))
  const { exitCode } = await npmRun(['reconcile', '--', '--week', WEEK, '--as-of', AS_OF]).outcome
  expect(exitCode).toBe(0)
  const own = await readCsvs(join(checkout, 'var', 'own', 'reports', WEEK))
  expect(own).toEqual(await readCsvs(reports()))
})

async function settingsSaid({ child, said, outcome }: ReturnType<typeof npmRun>): Promise<string> {
  const ended = outcome.then(({ out, err }) => {
    throw new Error(`the sandbox ended: ${out}${err}`)
  })
  while (!said.out.includes('Ctrl-C stops it.'))
    await Promise.race([once(child.stdout, 'data'), ended])
  ended.catch(() => undefined)
  return said.out
    .split('\n')
    .filter((line) => /^ {2}[A-Z_]+=/.test(line))
    .join('\n')
}

/** The whole group: npm, its shell and the command. */
function stop({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, 'SIGINT')
}
