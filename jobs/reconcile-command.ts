/** `reconcile`: one period, alone or shared with other processes. */
import { type Config, requireApiKey } from '../src/config.ts'
import { dayOfInstant } from '../src/domain/day.ts'
import { type ExitCode, UsageFault } from '../src/errors.ts'
import type { CommandIo, ReconcileFlags } from './command.ts'
import { useDatabase, withRun } from './compose.ts'
import { reconcilePeriod } from './reconcile.ts'
import { reconcileShared } from './rounds.ts'

/** @param tried the settings under which the facts are to be judged as well, in a dry run; null: none. */
export async function reconcileCommand(
  config: Config,
  flags: ReconcileFlags,
  io: CommandIo,
  tried: Config | null = null,
): Promise<ExitCode> {
  const asOf =
    flags.asOf ?? dayOfInstant(Math.floor(io.now().getTime() / 1000), config.businessTimeZone)
  const { period } = flags
  if (period.first > asOf) {
    throw new UsageFault(
      `${period.label} begins on ${period.first}, after ${asOf}, the day that counts as today`,
      {
        hint: 'Name an earlier period, or a later day with --as-of.',
      },
    )
  }
  const entities = config.entities.filter(
    ({ name }) => flags.entity === null || name === flags.entity,
  )
  // With one entity nothing can be done without its key; with several the others go on.
  const [only] = entities
  if (!flags.offline && entities.length === 1 && only !== undefined) requireApiKey(only)
  if (flags.offline)
    io.progress.note('Nothing is fetched: the report is about what is stored (--offline)')
  if (flags.touched === true) {
    io.progress.note(
      'Of the provider only what its notifications and open rows ask for is read (--touched); the next night reads all',
    )
  }
  const workers = workersOf(flags, io)
  const opened = await useDatabase(config, io, workers ?? 1)
  return withRun(
    opened,
    {
      command: 'reconcile',
      period: period.label,
      asOf,
      dryRun: flags.dryRun,
      // Workers take their entities one by one, and leave those to others that others have.
      scope: { entities: workers === null ? entities.map(({ name }) => name) : [] },
      onWait: (text) => io.progress.note(text),
    },
    async (db, runId, assertAlone, lock) => {
      const context = { config, flags, entities, asOf, runId, io, assertAlone, lock, tried }
      return workers === null
        ? (await reconcilePeriod(db, context)).exitCode
        : await reconcileShared(db, context, { command: 'reconcile', workers })
    },
  )
}

/** How many entities at a time; null: alone and one after the other. */
function workersOf({ workers, dryRun, offline }: ReconcileFlags, io: CommandIo): number | null {
  if (workers === null || !(dryRun || offline)) return workers
  io.progress.note(
    `--workers: not needed with ${offline ? '--offline, which fetches nothing' : '--dry-run, which does all of it in one transaction'}`,
  )
  return null
}
