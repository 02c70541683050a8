/** Stays up and runs the night's job by the clock, until it is asked to stop. */
import { schedule, type TaskContext } from 'node-cron'
import type { Config } from '../src/config.ts'
import { EXIT, type ExitCode } from '../src/errors.ts'
import type { CommandIo } from './command.ts'

/**
 * @param night runs `nightly` to its end and returns its exit code; it never throws.
 */
export async function scheduleCommand(
  config: Config,
  io: CommandIo,
  night: () => Promise<number>,
): Promise<ExitCode> {
  const { nightlyCron, businessTimeZone } = config
  let running: Promise<void> | null = null
  const task = schedule(
    nightlyCron,
    () => {
      running = night().then((exitCode) => {
        io.progress.note(`the night ended with exit code ${exitCode}; next: ${nextRun()}`)
      })
      return running
    },
    { timezone: businessTimeZone, noOverlap: true, name: 'nightly' },
  )
  const nextRun = (): string => task.getNextRun()?.toISOString() ?? 'never'
  const at = ({ date }: TaskContext): string => date.toISOString()
  task.on('execution:missed', (context) =>
    io.progress.note(`the night of ${at(context)} was missed: the process was busy or asleep`),
  )
  task.on('execution:overlap', (context) =>
    io.progress.note(`the night of ${at(context)} was left out: the one before is still going on`),
  )
  task.on('execution:failed', (context) =>
    io.progress.note(
      `the night of ${at(context)} failed: ${context.execution?.error?.message ?? 'no reason was given'}`,
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
