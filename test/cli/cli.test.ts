import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCli } from '../../jobs/cli.ts'
import { silentProgress } from '../../src/progress.ts'

const CLI = fileURLToPath(new URL('../../jobs/cli.ts', import.meta.url))
/** Where the loader is found whatever the folder in which the process runs. */
const TSX = import.meta.resolve('tsx')

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alma-cli-'))
})
afterAll(() => rm(dir, { recursive: true }))

interface Outcome {
  readonly exitCode: number | null
  readonly out: string
  readonly err: string
}

function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const { PATH = '' } = process.env
  return spawn(process.execPath, ['--import', TSX, CLI, ...args], {
    cwd: dir,
    env: { PATH, ...env },
  })
}

async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  let out = ''
  let err = ''
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
  await once(child, 'close')
  return { exitCode: child.exitCode, out, err }
}

/** The same without a process of its own, where that is not the point. */
async function inProcess(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  let out = ''
  let err = ''
  const exitCode = await runCli(args, env, {
    cwd: dir,
    out: (text) => (out += text),
    err: (text) => (err += text),
    progress: { ...silentProgress, close: () => undefined },
    now: () => new Date(0),
    signal: new AbortController().signal,
  })
  return { exitCode, out, err }
}

describe('as a process', () => {
  test('--help: standard output, with examples and exit codes, before any setting is looked at', async () => {
    const { exitCode, out, err } = await outcomeOf(start(['--help'], { CSV_DIALECT: 'broken' }))
    expect(exitCode).toBe(0)
    expect(err).toBe('')
    expect(out).toContain('npm run reconcile -- --week 2024-W12')
    expect(out).toMatch(/^ {2}6 {2}another run holds the lock$/m)
    expect(out).toContain('.env.example')
  })

  test('a week that does not exist: exit 2, on standard error', async () => {
    expect(await outcomeOf(start(['reconcile', '--week', '2023-W53']))).toEqual({
      exitCode: 2,
      out: '',
      err:
        '--week: 2023-W53 does not exist: 2023 has the weeks 2023-W01 to 2023-W52\n' +
        '→ Correct the value and run it again; --help shows examples.\n',
    })
  })

  test('no key: exit 3, saying how to set it and that the demo needs none', async () => {
    const { exitCode, out, err } = await outcomeOf(start(['reconcile', '--week', '2024-W12']))
    expect({ exitCode, out }).toEqual({ exitCode: 3, out: '' })
    expect(err).toContain('ALMA_API_KEY is not set')
    expect(err).toContain('.env')
    expect(err).toContain('npm run demo')
  })

  test('a database that is not there: exit 4, naming the host and no password', async () => {
    const url = 'postgres://me:hunter2@127.0.0.1:1/books'
    const { exitCode, out, err } = await outcomeOf(start(['db:migrate'], { DATABASE_URL: url }))
    expect({ exitCode, out }).toEqual({ exitCode: 4, out: '' })
    expect(err).toContain('127.0.0.1:1')
    expect(err).not.toContain('hunter2')
  })

  test('wrong settings: exit 3, all of them listed, no secret among them', async () => {
    await writeFile(join(dir, '.env'), 'MATCH_WINDOW_DAYS=five\nCSV_DIALECT=de\n')
    try {
      const { exitCode, out, err } = await outcomeOf(
        start(['reconcile', '--week', '2024-W12'], { CSV_DIALECT: 'iso', ALMA_API_KEY: 'hunter2' }),
      )
      expect({ exitCode, out }).toEqual({ exitCode: 3, out: '' })
      expect(err).toContain('2 settings are wrong:')
      expect(err).toContain('MATCH_WINDOW_DAYS: found "five"')
      expect(err).toContain('ALMA_API_KEY: found something else')
      expect(err).not.toContain('hunter2')
    } finally {
      await rm(join(dir, '.env'))
    }
  })
})

describe('what cannot be understood: exit 2, saying what was found and what would do', () => {
  const week = ['--week', '2024-W12']
  test.each<[string, readonly string[], string]>([
    ['no command', [], 'Usage: alma-reconcile'],
    ['an unknown command', ['reconcil'], '(Did you mean reconcile?)'],
    ['an unknown flag', ['reconcile', '--wek', '2024-W12'], '(Did you mean --week?)'],
    ['a word too many', ['reconcile', ...week, '2024-W13'], 'too many arguments'],
    ['npm without its dashes', ['reconcile', '2024-W12'], 'npm run reconcile -- --week 2024-W12'],
    ['no period', ['reconcile'], 'exactly one period was expected, none was given'],
    ['two periods', ['reconcile', ...week, '--month', '2024-03'], 'found --week and --month'],
    ['a week and a range', ['reconcile', ...week, '--to', '2024-03-24'], '--week and --from/--to'],
    ['a flag twice', ['reconcile', ...week, '--week', '2024-W13'], 'It was given twice'],
    ['half a range', ['reconcile', '--from', '2024-03-18'], '--to is missing'],
    ['the other half', ['reconcile', '--to', '2024-03-18'], '--from is missing'],
    [
      'a range backwards',
      ['reconcile', '--from', '2024-03-18', '--to', '2024-03-17'],
      'before it begins',
    ],
    [
      'no such week',
      ['reconcile', '--week', '2021-W53'],
      '2021 has the weeks 2021-W01 to 2021-W52',
    ],
    ['no such month', ['reconcile', '--month', '2024-13'], '--month: "2024-13" is not a month'],
    ['no such day', ['reconcile', ...week, '--as-of', '2024-02-30'], '--as-of: "2024-02-30"'],
    ['a flag without its value', ['reconcile', '--week'], 'argument missing'],
    ['no such entity', ['reconcile', ...week, '--entity', 'Shop'], 'expected one of "default"'],
    ['an empty path', ['reconcile', ...week, '--out', ''], '--out: found an empty text'],
    ['no bank file', ['import-bank'], "missing required argument 'files'"],
  ])('%s', async (_, args, said) => {
    const { exitCode, out, err } = await inProcess(args)
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' })
    expect(err).toContain(said)
  })

  test.each([
    ['a flag', ['reconcile', '--wek', 'x', '--json'], 2, "unknown option '--wek'"],
    ['a value', ['reconcile', '--week', '2023-W53', '--json'], 2, '2023-W53 does not exist'],
    ['a setting', ['reconcile', '--week', '2024-W12', '--json'], 3, 'CSV_DIALECT: found "de"'],
  ])('with --json: one JSON document all the same: %s', async (_, args, exitCode, said) => {
    const outcome = await inProcess(args, { CSV_DIALECT: 'de' })
    expect(outcome.exitCode).toBe(exitCode)
    const printed: unknown = JSON.parse(outcome.out)
    expect(printed).toMatchObject({
      error: { exit_code: exitCode, message: expect.stringContaining(said) },
    })
  })
})

test('--version', async () => {
  expect(await inProcess(['--version'])).toMatchObject({ exitCode: 0, out: '0.1.0\n' })
})

test.each(['reconcile', 'import-bank', 'doctor', 'db:migrate'])('%s --help', async (command) => {
  const { exitCode, out } = await inProcess([command, '--help'])
  expect(exitCode).toBe(0)
  expect(out).toContain(`Usage: alma-reconcile ${command}`)
  expect(out).toContain('Exit codes:')
})

test('nothing of the above has left anything behind', async () => {
  expect(await readdir(dir)).toEqual([])
})
