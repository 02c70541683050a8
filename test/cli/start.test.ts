/** `jobs/start.js`: the same program as the sources, built once, and never an older one. */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

interface Said {
  readonly exitCode: number
  readonly out: string
  readonly err: string
}

function run(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [file, ...args],
      { cwd: tmpdir(), env: { PATH: '/usr/bin:/bin', TMPDIR: tmpdir(), ...env } },
      (_, out, err) => resolve({ exitCode: child.exitCode ?? -1, out, err }),
    )
  })
}

interface SmallProgram {
  readonly root: string
  /** What lies in the cache. */
  builds(): Promise<string[]>
  write(name: string, text: string): Promise<void>
  start(args?: readonly string[], env?: Readonly<Record<string, string>>): Promise<Said>
}

/** A checkout with a `jobs/cli.ts` of a few lines, and the packages of this one. */
async function smallProgram(): Promise<SmallProgram> {
  const root = await mkdtemp(path.join(tmpdir(), 'alma-start-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  for (const folder of ['db', 'jobs', 'reports', 'src', 'node_modules']) {
    await mkdir(path.join(root, folder))
  }
  for (const name of ['jobs/start.js', 'jobs/build.ts', 'src/make-folder.ts']) {
    await copyFile(path.join(ROOT, name), path.join(root, name))
  }
  await symlink(path.join(ROOT, 'node_modules', 'tsx'), path.join(root, 'node_modules', 'tsx'))
  const write = (name: string, text: string): Promise<void> =>
    writeFile(path.join(root, name), text)
  await write('package.json', '{ "type": "module" }')
  await write('jobs/cli.ts', CLI)
  await write('jobs/later.ts', `export const later: string = 'loaded later'\n`)
  await write('db/table.sql', 'create table')
  await write(
    'db/migrate.ts',
    `import { readFileSync } from 'node:fs'
export const migration: string = readFileSync(new URL('table.sql', import.meta.url), 'utf8')
`,
  )
  return {
    root,
    write,
    builds: () =>
      readdir(path.join(root, 'node_modules', '.cache', 'alma-reconcile')).catch(() => []),
    start: (args = [], env = {}) => run(path.join(root, 'jobs', 'start.js'), args, env),
  }
}

/** Says where it runs, finds a file beside a source, and loads a part of itself when it is asked to. */
const CLI = `import { migration } from '../db/migrate.ts'

export async function main(): Promise<void> {
  const stack = new Error('where').stack ?? ''
  const { later } = await import('./later.ts')
  process.stdout.write(JSON.stringify({ args: process.argv.slice(2), migration, later, stack }))
  process.exitCode = 7
}
`

function parsed({ out }: Said): Record<string, unknown> {
  return JSON.parse(out) as Record<string, unknown>
}

const isBuilt = (said: Said): boolean => String(parsed(said)['stack']).includes('/.cache/')

describe('a program', () => {
  test('is built at its first start, and the build is what runs', async () => {
    const program = await smallProgram()
    const first = await program.start(['--week', '2024-W12'])
    expect(first).toMatchObject({ exitCode: 7, err: '' })
    expect(parsed(first)).toMatchObject({
      args: ['--week', '2024-W12'],
      migration: 'create table',
      later: 'loaded later',
    })
    const builds = await program.builds()
    expect(builds).toHaveLength(1)
    const second = await program.start(['--week', '2024-W12'])
    expect({ ...parsed(second), stack: '' }).toEqual({ ...parsed(first), stack: '' })
    expect([isBuilt(first), isBuilt(second)]).toEqual([true, true])
    expect(await program.builds()).toEqual(builds)
  })

  test('that was edited is built anew, in any of its files', async () => {
    const program = await smallProgram()
    await program.start()
    await program.write('jobs/later.ts', `export const later: string = 'edited'\n`)
    expect(parsed(await program.start())['later']).toBe('edited')
    await program.write('jobs/later.ts', `export const later: string = 'loaded later'\n`)
    expect(parsed(await program.start())['later']).toBe('loaded later')
    expect(await program.builds()).toHaveLength(2)
  })

  test('whose build cannot be kept runs from its sources', async () => {
    const program = await smallProgram()
    await program.write('node_modules/.cache', 'a file where a folder would be')
    const said = await program.start()
    expect(said).toMatchObject({ exitCode: 7, err: '' })
    expect(parsed(said)).toMatchObject({ migration: 'create table', later: 'loaded later' })
    expect(isBuilt(said)).toBe(false)
  })

  test('that is started several times at once is built whole', async () => {
    const program = await smallProgram()
    const said = await Promise.all([1, 2, 3].map(() => program.start()))
    expect(said.map(({ exitCode, err }) => ({ exitCode, err }))).toEqual(
      said.map(() => ({ exitCode: 7, err: '' })),
    )
    expect(await program.builds()).toHaveLength(1)
  })

  test('names file and line of its sources in a stack for DEBUG', async () => {
    const program = await smallProgram()
    await program.start()
    const said = await program.start([], { DEBUG: '1' })
    expect(parsed(said)['stack']).toMatch(/at main \(.*\/jobs\/cli\.ts:4:17\)/)
  })

  test('with a mistake is not kept, and the mistake is told', async () => {
    const program = await smallProgram()
    await program.write('jobs/later.ts', 'export const later: string = ;\n')
    const said = await program.start()
    expect(said.exitCode).toBe(1)
    expect(said.err).toMatch(/later\.ts:1:29/)
    expect(await program.builds()).toEqual([])
  })

  test('keeps the latest builds only', async () => {
    const program = await smallProgram()
    const cache = path.join(program.root, 'node_modules', '.cache', 'alma-reconcile')
    for (let at = 0; at < 25; at += 1) {
      await mkdir(path.join(cache, `older-${at}`), { recursive: true })
    }
    await program.start()
    expect(await program.builds()).toHaveLength(20)
    expect(isBuilt(await program.start())).toBe(true)
  })
})

describe('this program', () => {
  const start = path.join(ROOT, 'jobs', 'start.js')

  beforeAll(async () => {
    await run(start, ['--version'])
  })

  test.each(['--version', '--help', 'reconcile --help', 'reconcile', 'nonsense'])(
    'says the same as its sources when asked for %s',
    async (typed) => {
      const args = typed.split(' ')
      const sources = await new Promise<Said>((resolve) => {
        const child = execFile(
          process.execPath,
          ['--import', import.meta.resolve('tsx'), path.join(ROOT, 'jobs', 'cli.ts'), ...args],
          { cwd: tmpdir(), env: { PATH: '/usr/bin:/bin' } },
          (_, out, err) => resolve({ exitCode: child.exitCode ?? -1, out, err }),
        )
      })
      expect(await run(start, args)).toEqual(sources)
      expect(sources.out + sources.err).not.toBe('')
    },
  )
})
