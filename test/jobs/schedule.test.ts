/** The clock by which nights run: a real node-cron, a night each second. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { scheduleCommand } from '../../jobs/schedule.ts'
import { silentProgress } from '../../src/progress.ts'

interface Watched {
  readonly notes: string[]
  /** Notes that a person should look at. */
  readonly warnings: string[]
  stop(): Promise<number>
}

let watched: Watched | null = null
afterEach(async () => {
  await watched?.stop()
  watched = null
})

/** The schedule, with a night each second. */
function everySecond(night: () => Promise<number>): Watched {
  const notes: string[] = []
  const warnings: string[] = []
  const releases: (() => Promise<void>)[] = []
  const stop = new AbortController()
  const running = scheduleCommand(
    { nightlyCron: '* * * * * *', businessTimeZone: 'Europe/Paris' },
    {
      out: () => undefined,
      progress: {
        ...silentProgress,
        note: (text, level) => {
          notes.push(text)
          if (level === 'warn') warnings.push(text)
        },
      },
      onRelease: (release) => releases.push(release),
      signal: stop.signal,
      now: () => new Date(),
    },
    night,
  )
  let ended: Promise<number> | null = null
  const end = async (): Promise<number> => {
    stop.abort()
    const exitCode = await running
    for (const release of releases) await release()
    return exitCode
  }
  return (watched = { notes, warnings, stop: () => (ended ??= end()) })
}

const POLL = { timeout: 8_000, interval: 50 }

describe('what goes wrong by the clock is told', () => {
  test('a night that is still going on when the next is due: the next one is left out', async () => {
    let going = 0
    let most = 0
    const { warnings, notes } = everySecond(async () => {
      going += 1
      most = Math.max(most, going)
      await wait(1_600)
      going -= 1
      return 0
    })
    await expect
      .poll(() => warnings, POLL)
      .toContainEqual(expect.stringMatching(/^the night of \S+Z was left out: the one before/))
    await expect
      .poll(() => notes, POLL)
      .toContainEqual(expect.stringMatching(/^the night ended with exit code 0; next: \S+Z$/))
    expect(most).toBe(1)
  })

  test('a night that fails, and one that ends with another exit code; the schedule goes on', async () => {
    const nights = [
      () => Promise.reject(new Error('the disk is gone')),
      () => Promise.resolve(4),
      () => Promise.resolve(0),
    ]
    const { warnings, notes } = everySecond(() => nights.shift()?.() ?? Promise.resolve(0))
    await expect.poll(() => notes.join('\n'), POLL).toContain('ended with exit code 0')
    expect(warnings).toEqual([
      expect.stringMatching(/^the night of \S+Z failed: the disk is gone; next: \S+Z$/),
      expect.stringMatching(/^the night ended with exit code 4; next: \S+Z$/),
    ])
  })

  test('a night that was missed because the process was busy', async () => {
    const { warnings } = everySecond(() => Promise.resolve(0))
    await wait(50)
    const busyUntilMs = performance.now() + 2_500
    while (performance.now() < busyUntilMs);
    await expect
      .poll(() => warnings, POLL)
      .toContainEqual(expect.stringMatching(/^the night of \S+Z was missed: .* npm run nightly$/))
  })

  test('to stop waits for the night that is going on', async () => {
    let ended = false
    const { notes, stop } = everySecond(async () => {
      notes.push('begun')
      await wait(300)
      ended = true
      return 0
    })
    await expect.poll(() => notes, POLL).toContain('begun')
    expect(await stop()).toBe(0)
    expect(ended).toBe(true)
  })
})

/** Whether a process, or with a negative number a group, has a member. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('under npm', () => {
  const ROOT = fileURLToPath(new URL('../..', import.meta.url))

  test.each(['to npm alone', 'to the whole process group'])(
    'SIGTERM %s stops the schedule in seconds, and nothing stays behind',
    async (whom) => {
      const dir = await mkdtemp(join(tmpdir(), 'alma-schedule-'))
      const npm = spawn('npm', ['run', '--silent', 'schedule'], {
        cwd: ROOT,
        detached: true,
        env: { ...process.env, DATA_DIR: dir, LOG_FORMAT: 'json', ALMA_API_KEY: '' },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const { pid } = npm
      if (pid === undefined) throw new Error('npm was not started')
      try {
        let said = ''
        npm.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
        // Standard error is closed by the last process that holds it, whoever that is.
        const silent = new Promise((resolve) => npm.stderr.on('close', resolve))
        await expect.poll(() => said, { timeout: 30_000 }).toContain('nights run at')
        const askedMs = performance.now()
        process.kill(whom === 'to npm alone' ? pid : -pid, 'SIGTERM')
        await silent
        expect(performance.now() - askedMs).toBeLessThan(8_000)
        expect(said).toContain('stopped by SIGTERM')
        // The lines were JSON to the last one.
        for (const line of said.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('run')
        await expect.poll(() => isThere(-pid), { timeout: 5_000 }).toBe(false)
      } finally {
        // Only what is left of the group that was started here.
        try {
          process.kill(-pid, 'SIGKILL')
        } catch {
          // Nothing is left.
        }
        await rm(dir, { recursive: true, force: true })
      }
    },
    60_000,
  )
})
