/** Stays up and runs the night's job by the clock, until it is asked to stop. */
import { schedule, type TaskContext } from 'node-cron'
import type { Config } from '../src/config.ts'
import { EXIT, type ExitCode } from '../src/errors.ts'
import type { CommandIo } from './command.ts'

/**
 * @param night runs `nightly` to its end and returns its exit code; it never throws.
 */
export async function scheduleCommand(
  config: Pick<Config, 'nightlyCron' | 'businessTimeZone'>,
  io: CommandIo,
  night: () => Promise<number>,
): Promise<ExitCode> {
  const { nightlyCron, businessTimeZone } = config
  let running: Promise<unknown> | null = null
  const task = schedule(
    nightlyCron,
    async () => {
      const going = night()
      running = going.catch(() => undefined)
      const exitCode = await going
      io.progress.note(
        `the night ended with exit code ${exitCode}; next: ${nextRun()}`,
        exitCode === EXIT.done ? 'info' : 'warn',
      )
    },
    { timezone: businessTimeZone, noOverlap: true, name: 'nightly', logger: SILENT },
  )
  const nextRun = (): string => task.getNextRun()?.toISOString() ?? 'never'
  const at = ({ date }: TaskContext): string => date.toISOString()
  task.on('execution:missed', (context) =>
    io.progress.note(
      `the night of ${at(context)} was missed: the process was busy or asleep; next: ${nextRun()}. To make up for it: npm run nightly`,
      'warn',
    ),
  )
  task.on('execution:overlap', (context) =>
    io.progress.note(
      `the night of ${at(context)} was left out: the one before is still going on`,
      'warn',
    ),
  )
  task.on('execution:failed', (context) =>
    io.progress.note(
      `the night of ${at(context)} failed: ${context.execution?.error?.message ?? 'no reason was given'}; next: ${nextRun()}`,
      'warn',
    ),
  )
  io.progress.note(
    `nights run at "${nightlyCron}" (${businessTimeZone}); next: ${nextRun()}. Ctrl-C stops it.`,
  )
  io.onRelease(async () => {
    await task.destroy()
    await running
  })
  await new Promise<void>((resolve) => {
    io.signal.addEventListener('abort', () => resolve(), { once: true })
  })
  return EXIT.done
}

/** What the library would print past the log is what its events tell as well. */
const SILENT = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  debug: () => undefined,
}

/** How often it is looked whether the shell that npm started us with is still there. */
const PARENT_CHECK_MS = 250

/**
 * npm passes SIGTERM on to the shell in which it runs a script, and a shell such as dash dies of it
 * without a word to its child, which would stay up alone for ever. So where npm started this process,
 * the loss of its parent counts as the signal that the parent had.
 */
export function stopWithNpm(startedByNpm: boolean): void {
  if (!startedByNpm || process.platform === 'win32') return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
  }, PARENT_CHECK_MS)
  timer.unref()
}
