/**
 * The ready-made files of deploy/: each is read by a tool that understands it where this machine has
 * one, and says so on standard error where it has none.
 */
import { spawn, spawnSync } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { validate } from 'node-cron'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startOfDay, parseDay } from '../src/domain/day.ts'
import { plant } from '../src/sandbox/plant.ts'
import { createWorld } from '../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from './support/workshop.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DEPLOY = join(ROOT, 'deploy')

const textOf = (name: string): Promise<string> => readFile(join(DEPLOY, name), 'utf8')

/** What a tool of this machine says; null where it is not installed. */
function ask(
  tool: string,
  args: readonly string[],
  input = '',
): { status: number | null; out: string; err: string } | null {
  const { status, stdout, stderr, error } = spawnSync(tool, args, { input, encoding: 'utf8' })
  if (error === undefined) return { status, out: stdout, err: stderr }
  if (!('code' in error) || error.code !== 'ENOENT') throw error
  process.stderr.write(`${tool} is not installed: what it would check is not checked here\n`)
  return null
}

/** `key=value` lines of a unit, the last one of a key. */
async function settingsOf(unit: string): Promise<Record<string, string>> {
  const lines = (await textOf(unit)).split('\n').filter((line) => /^[A-Za-z]+=/.test(line))
  return Object.fromEntries(lines.map((line) => [line.split('=')[0], line.replace(/^[^=]*=/, '')]))
}

describe('cron', () => {
  test('takes each line: five fields of time, an account, a command that cron does not cut', async () => {
    const text = await textOf('crontab')
    expect(text.endsWith('\n')).toBe(true)
    const jobs = text.split('\n').filter((line) => /^#?\d/.test(line))
    expect(jobs).toHaveLength(2)
    for (const job of jobs.map((line) => line.replace(/^#/, ''))) {
      const [, time = '', account, command = ''] =
        /^((?:\S+ ){4}\S+) (\S+) (.*)$/.exec(job) ?? expect.fail(job)
      expect(validate(time)).toBe(true)
      expect(account).toBe('alma-reconcile')
      expect(command).not.toMatch(/(?<!\\)%/)
      expect(ask('sh', ['-n'], command.replaceAll('\\%', '%'))).toMatchObject({ status: 0 })
    }
  })
})

describe('systemd', () => {
  test('finds nothing wrong with service and timer', async () => {
    const units = ['alma-reconcile.service', 'alma-reconcile.timer'].map((name) =>
      join(DEPLOY, name),
    )
    const verified = ask('systemd-analyze', ['verify', ...units])
    if (verified !== null) {
      expect(verified).toEqual({ status: 0, out: '', err: '' })
      const { OnCalendar = '' } = await settingsOf('alma-reconcile.timer')
      expect(ask('systemd-analyze', ['calendar', OnCalendar])).toMatchObject({ status: 0 })
    }
    expect(await settingsOf('alma-reconcile.timer')).toMatchObject({
      OnCalendar: '*-*-* 05:30:00 Europe/Paris',
      Persistent: 'true',
      WantedBy: 'timers.target',
    })
  })

  test('tries again only what may be unavailable for a while', async () => {
    const { Type, Restart, RestartPreventExitStatus } = await settingsOf('alma-reconcile.service')
    expect([Type, Restart]).toEqual(['oneshot', 'on-failure'])
    expect(RestartPreventExitStatus?.split(' ').map(Number)).toEqual([1, 2, 3, 5, 6, 7, 8])
  })
})

describe('the Kubernetes CronJob', () => {
  test('has no field that the API does not know', async () => {
    const written: unknown = parse(await textOf('cronjob.yaml'))
    expect(written).toMatchObject({
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      spec: { schedule: '30 5 * * *', timeZone: 'Europe/Paris', concurrencyPolicy: 'Forbid' },
    })
    // kubectl reads the file into the API's own types, which drop what they do not know.
    const image = 'nightly=registry.example.com/alma-reconcile:0.1.0'
    const read = ask(
      'kubectl',
      ['set', 'image', '--local', '-f', '-', image, '-o', 'yaml'],
      '---\n' + (await textOf('cronjob.yaml')).replace(':0.1.0', ':0.0.0'),
    )
    if (read === null) return
    expect(read).toMatchObject({ status: 0 })
    expect(parse(read.out)).toMatchObject(Object(written))
  })

  test('runs as nobody special, on a file system that it cannot write, with secrets from files', async () => {
    const { spec } = parse(await textOf('cronjob.yaml'))
    const { backoffLimit, podFailurePolicy, template } = spec.jobTemplate.spec
    const [container] = template.spec.containers
    expect(template.spec).toMatchObject({
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 1000 },
    })
    expect(container).toMatchObject({
      name: 'nightly',
      args: ['nightly'],
      securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
    })
    expect(JSON.stringify(container.env)).not.toMatch(/"ALMA_API_KEY"|"DATABASE_URL"/)
    expect(backoffLimit).toBeGreaterThan(0)
    expect(podFailurePolicy.rules).toContainEqual({
      action: 'FailJob',
      onExitCodes: { containerName: 'nightly', operator: 'NotIn', values: [0, 4, 143] },
    })
  })
})

describe('the image', () => {
  /** Instructions of the last stage. */
  let stage: string[]
  /** What it copies from the checkout. */
  let copied: string[]
  let app: string
  let shop: Workshop

  beforeAll(async () => {
    const lines = (await textOf('Dockerfile')).replace(/\\\n/g, ' ').split('\n')
    const instructions = lines.filter((line) => /^[A-Z]+ /.test(line))
    expect(instructions.filter((line) => line.startsWith('FROM '))).toHaveLength(2)
    expect(instructions.join('\n')).toContain('RUN npm ci --omit=dev')
    stage = instructions.slice(instructions.findLastIndex((line) => line.startsWith('FROM ')))
    copied = stage
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(' ').slice(1, -1))
    app = await mkdtemp(join(tmpdir(), 'alma-image-'))
    for (const name of copied) await cp(join(ROOT, name), join(app, name), { recursive: true })
    await symlink(join(ROOT, 'node_modules'), join(app, 'node_modules'))
    const world = createWorld()
    plant(world, 'deposit_duplicate')
    shop = await openWorkshop(world)
    shop.sandbox.world.nowS = startOfDay(parseDay('2024-03-25'), 'Europe/Paris') + 5.5 * 3600
    await shop.writeBank()
  })
  afterAll(async () => {
    await shop.close()
    await rm(app, { recursive: true })
  })

  test('is not root’s, and sets no time zone', () => {
    expect(stage.findLast((line) => line.startsWith('USER '))).toBe('USER 1000:1000')
    expect(stage.join('\n')).not.toMatch(/\bTZ=|tzdata/)
  })

  test('copies nothing that its .dockerignore keeps away, and no settings', async () => {
    const ignore = (await textOf('Dockerfile.dockerignore')).split('\n')
    expect(ignore).toContain('*')
    const allowed = ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    expect(allowed.toSorted()).toEqual([...copied, 'package-lock.json'].toSorted())
  })

  test('needs no package that npm ci --omit=dev leaves out', async () => {
    const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    const names = new Set<string>()
    for (const folder of copied.filter((name) => !name.includes('.') && name !== 'migrations')) {
      for (const file of await readdir(join(app, folder), { recursive: true })) {
        if (!file.endsWith('.ts')) continue
        const text = await readFile(join(app, folder, file), 'utf8')
        for (const [, name = ''] of text.matchAll(
          /\b(?:from|import\() ?'((?:@[^/']+\/)?[^./'\s][^/'\s]*)[/']/g,
        )) {
          if (!name.startsWith('node:')) names.add(name)
        }
      }
    }
    expect(names.size).toBeGreaterThan(10)
    expect([...names].filter((name) => !(name in dependencies))).toEqual([])
  })

  test('holds all that a night needs, and makes of it the same on any clock', async () => {
    const json = (keyword: string): string[] =>
      JSON.parse(stage.find((line) => line.startsWith(keyword))?.slice(keyword.length) ?? '[]')
    const [node, ...args] = json('ENTRYPOINT ')
    expect([node, json('CMD ')]).toEqual(['node', ['nightly']])
    const reports: Record<string, string>[] = []
    for (const TZ of ['Pacific/Kiritimati', 'America/Los_Angeles']) {
      const night = spawn(process.execPath, [...args, 'nightly', '--as-of', '2024-03-25'], {
        cwd: app,
        env: { PATH: process.env['PATH'], ...shop.env, TZ },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      let said = ''
      night.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const exitCode = await new Promise((resolve) => night.on('exit', resolve))
      expect({ exitCode, said }).toMatchObject({ exitCode: 0 })
      reports.push(await shop.reportTexts('2024-W12'))
    }
    expect(reports[1]).toEqual(reports[0])
    expect(reports[0]?.['discrepancies.csv']).toContain('deposit_duplicate')
  }, 120_000)
})
