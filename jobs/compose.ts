/** The places where real things are put together: the database of a command, and the small commands. */
import { startRun, finishRun } from '../db/runs.ts'
import { type Db, withReadableErrors } from '../db/client.ts'
import { type OpenDatabase, openDatabase, openUnmigrated } from '../db/open.ts'
import { type RunLock, type RunScope, withRunLock } from '../db/run-lock.ts'
import { loadProfiles } from '../src/bank/profile-files.ts'
import {
  AS_THE_FILE_SAYS,
  BANK_FORMATS,
  CSV_FORMAT,
  type ReadingOptions,
} from '../src/bank/read-file.ts'
import { parseAccount } from '../src/bank/reader.ts'
import type { Config } from '../src/config.ts'
import type { Day } from '../src/domain/day.ts'
import { InvalidValue } from '../src/domain/invalid-value.ts'
import { EXIT, type ExitCode, Fault, UsageFault } from '../src/errors.ts'
import { hasValidCheckDigits } from '../src/setting-values.ts'
import type { CommandIo, ImportBankFlags } from './command.ts'
import { importBankFiles } from './import-bank.ts'
import { importJson, importText } from './print-import.ts'
import { appVersion } from './version.ts'

/** An open database that tells the command's log of the run that began in it. */
type CommandDatabase = OpenDatabase & { readonly runBegan?: (runId: number) => void }

/**
 * The command's database, migrated, given back when the command ends.
 * @param workers how many entities are fetched at a time.
 */
export function useDatabase(
  { databaseUrl, dataDir }: Config,
  io: CommandIo,
  workers = 1,
): Promise<CommandDatabase> {
  const opening = openDatabase({ databaseUrl, dataDir, workers })
  return releasedInTheEnd(opening, io).then((opened) => ({
    ...opened,
    runBegan: (runId) => io.progress.runBegan?.(runId),
  }))
}

/** The command's database as it is, whatever its schema. */
export function useUnmigrated(
  { databaseUrl, dataDir }: Config,
  io: CommandIo,
): Promise<OpenDatabase> {
  return releasedInTheEnd(openUnmigrated({ databaseUrl, dataDir }), io)
}

function releasedInTheEnd(opening: Promise<OpenDatabase>, io: CommandIo): Promise<OpenDatabase> {
  // Registered before it is open: a command that is stopped meanwhile must not leave a server behind.
  io.onRelease(async () => {
    const opened = await opening.catch(() => null)
    await opened?.close()
  })
  return opening
}

interface RunArgs {
  readonly command: string
  readonly period: string | null
  readonly asOf: Day | null
  /** Do everything, then undo it. */
  readonly dryRun: boolean
  /** What no other run may use meanwhile; by default the whole database. */
  readonly scope?: RunScope
  /** Told what the run has to wait for. */
  readonly onWait?: (text: string) => void
}

/** The work of a run; `assertAlone` is to be called before something that cannot be undone. */
type RunWork = (
  db: Db,
  runId: number,
  assertAlone: () => Promise<void>,
  lock: RunLock,
) => Promise<ExitCode>

/**
 * A run that may write: alone with what it is about, recorded from its beginning to its end. A dry
 * run does all of it in one transaction that is rolled back.
 */
export async function withRun(
  { db, where, address, runBegan }: CommandDatabase,
  { command, period, asOf, dryRun, ...held }: RunArgs,
  work: RunWork,
): Promise<ExitCode> {
  const doing = period === null ? command : `${command} ${period}`
  return withRunLock(
    address,
    async (lock) => {
      const record = { command, period, asOf, appVersion: appVersion() }
      if (dryRun) {
        // What it takes in is in the way of other runs until it is undone.
        return lock.withCommon(() =>
          rolledBack(db, async (tx) => {
            const runId = await startRun(tx, record)
            runBegan?.(runId)
            return withReadableErrors(where, () => work(tx, runId, lock.assertHeld, lock))
          }),
        )
      }
      const runId = await startRun(db, record)
      runBegan?.(runId)
      try {
        const exitCode = await withReadableErrors(where, () =>
          work(db, runId, lock.assertHeld, lock),
        )
        await finishRun(db, runId, exitCode)
        return exitCode
      } catch (error) {
        // The record is a courtesy to whoever looks later; the fault itself must come through.
        await finishRun(db, runId, error instanceof Fault ? error.exitCode : EXIT.unexpected).catch(
          () => undefined,
        )
        throw error
      }
    },
    { doing, ...held },
  )
}

class Undo extends Error {}

async function rolledBack<T>(db: Db, work: (db: Db) => Promise<T>): Promise<T> {
  const undo = new Undo('dry run')
  let result: { value: T } | null = null
  try {
    await db.transaction(async (tx) => {
      // A transaction answers everything that a connection does, but for the driver's own client,
      // which nothing outside of `db/client.ts` uses.
      result = { value: await work(tx as unknown as Db) }
      throw undo
    })
  } catch (error) {
    if (error !== undo) throw error
  }
  if (result === null) throw new Error('the dry run ended without a result')
  return (result as { value: T }).value
}

export async function importBankCommand(
  config: Config,
  flags: ImportBankFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const reading = await readingOptions(config, flags)
  const opened = await useDatabase(config, io)
  const args = {
    command: 'import-bank',
    period: null,
    asOf: null,
    dryRun: flags.dryRun,
    scope: 'common',
  } as const
  return withRun(opened, args, async (db, runId) => {
    const imported = await importBankFiles(
      { db, progress: io.progress },
      { runId, inbox: null, files: flags.files, reading },
    )
    io.out(flags.json ? importJson(imported) : importText(imported, flags.dryRun))
    return imported.rejected.length > 0 ? EXIT.inputRejected : EXIT.done
  })
}

/** How bank files are read when nothing is said of them: as they say, also by the user's profiles. */
export async function inboxReading({ bankProfilesDir }: Config): Promise<ReadingOptions> {
  return { ...AS_THE_FILE_SAYS, profiles: await loadProfiles(bankProfilesDir) }
}

/** @throws UsageFault naming the flag, what was found and what was expected. */
async function readingOptions(
  config: Config,
  { format, profile, account }: ImportBankFlags,
): Promise<ReadingOptions> {
  const options = await inboxReading(config)
  const choose = (flag: string, found: string | null, known: readonly string[]): void => {
    if (found === null || known.includes(found)) return
    throw new UsageFault(`${flag}: found "${found}", expected one of ${known.join(', ')}`)
  }
  choose('--format', format, BANK_FORMATS)
  choose(
    '--profile',
    profile,
    options.profiles.map(({ name }) => name),
  )
  if (profile !== null && format !== null && format !== CSV_FORMAT) {
    throw new UsageFault(`--profile: profiles are of CSV files, and --format says ${format}`)
  }
  return { ...options, format, profile, account: readAccount(account) }
}

function readAccount(typed: string | null): string | null {
  if (typed === null) return null
  try {
    const account = parseAccount(typed)
    if (hasValidCheckDigits(account)) return account
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
  }
  throw new UsageFault(`--account: found "${typed}", expected an IBAN whose check digits fit`, {
    hint: 'Copy it from a statement: at least one character of it is wrong.',
  })
}

export async function migrateCommand(config: Config, io: CommandIo): Promise<ExitCode> {
  const { where } = await useDatabase(config, io)
  io.out(`${where} is up to date.\n`)
  return EXIT.done
}
