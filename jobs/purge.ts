/**
 * `purge --before DAY`: raw payloads and archived export files that are older than they need to be
 * kept. The proofs stay: every report can be made again and comes out the same.
 */
import { readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Db } from '../db/client.ts'
import {
  countRawPayloads,
  loadExportsBefore,
  type PurgeBounds,
  type RawPayloads,
  removeRawPayloads,
} from '../db/purge.ts'
import type { Config } from '../src/config.ts'
import { dayOfInstant, startOfDay } from '../src/domain/day.ts'
import { ConfigurationFault, EXIT, type ExitCode, UsageFault } from '../src/errors.ts'
import type { CommandIo, PurgeFlags } from './command.ts'
import { useDatabase, withRun } from './compose.ts'
import { archiveName, PARTIAL_SUFFIXES } from './fetch-export.ts'

/**
 * @throws UsageFault if the day is yet to come; ConfigurationFault if a file cannot be removed.
 */
export async function purgeCommand(
  config: Config,
  { before, by, dryRun }: PurgeFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const { businessTimeZone, dataDir } = config
  const today = dayOfInstant(Math.floor(io.now().getTime() / 1000), businessTimeZone)
  if (before > today) {
    throw new UsageFault(`--before: found ${before}, expected today (${today}) or an earlier day`, {
      hint: 'What is from before that day loses its raw payloads for good: choose the end of the period for which you must keep them.',
    })
  }
  const bounds = { before, beforeS: startOfDay(before, businessTimeZone) }
  const opened = await useDatabase(config, io)
  if (dryRun) {
    const paths = await archivedFiles(opened.db, dataDir, bounds)
    const counts = await countRawPayloads(opened.db, bounds)
    io.out(textOf(counts, paths.length, { before, dryRun }))
    return EXIT.done
  }
  // The run's record is where it is kept who removed what.
  const record = {
    command: `purge --before ${before} --by ${by}`,
    period: null,
    asOf: null,
    dryRun,
  }
  return withRun(opened, record, async (db) => {
    const paths = await archivedFiles(db, dataDir, bounds)
    const counts = await db.transaction((tx) => removeRawPayloads(tx, bounds))
    await removeFiles(paths)
    io.out(textOf(counts, paths.length, { before, dryRun }))
    return EXIT.done
  })
}

/** Absolute paths of the files that are there, each once, with what a killed download left behind. */
async function archivedFiles(db: Db, dataDir: string, bounds: PurgeBounds): Promise<string[]> {
  const wanted = new Map<string, Set<string>>()
  for (const { entity, exportId, archivedAs } of await loadExportsBefore(db, bounds)) {
    const path = join(dataDir, archivedAs ?? archiveName(entity, exportId))
    const names = wanted.get(dirname(path)) ?? new Set()
    for (const suffix of ['', ...PARTIAL_SUFFIXES]) names.add(basename(path) + suffix)
    wanted.set(dirname(path), names)
  }
  const found: string[] = []
  for (const [folder, names] of wanted) {
    const there = await readdir(folder).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return []
      throw notAllowed(folder, error)
    })
    found.push(...there.filter((name) => names.has(name)).map((name) => join(folder, name)))
  }
  return found.toSorted()
}

/** All that can be removed, even if one cannot; the next purge finds the others again. */
async function removeFiles(paths: readonly string[]): Promise<void> {
  const faults: ConfigurationFault[] = []
  for (const path of paths) {
    try {
      await rm(path, { force: true })
    } catch (error) {
      faults.push(notAllowed(path, error))
    }
  }
  const [first] = faults
  if (first === undefined) return
  throw new ConfigurationFault(
    `${faults.length} of ${paths.length} archived files could not be removed; ${first.message}`,
    { hint: first.hint ?? '', cause: first },
  )
}

function notAllowed(path: string, error: unknown): ConfigurationFault {
  return new ConfigurationFault(`${path} cannot be purged (${codeOf(error)})`, {
    hint: 'Give this account the right to change that folder, and run the same command again.',
    cause: error,
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'no code'
}

function textOf(
  { ledgerRows, bankEntries, exportLines, events }: RawPayloads,
  files: number,
  { before, dryRun }: Pick<PurgeFlags, 'before' | 'dryRun'>,
): string {
  return [
    dryRun ? `Of what is older than ${before} would go:` : `Of what is older than ${before} went:`,
    `  raw payloads of ledger rows: ${ledgerRows}`,
    `  raw payloads of bank entries: ${bankEntries}`,
    `  unread cells of export lines: ${exportLines}`,
    `  notifications of the provider: ${events}`,
    `  archived export files: ${files}`,
    'Every figure that was read from them stays, and so do reports, decisions and closed periods.',
    '',
  ].join('\n')
}
