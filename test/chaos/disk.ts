/**
 * No room, or no right to write: the exit code says which, nothing that was stored is lost, and when
 * the disk is as it should be, the next run has the right result.
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Chance } from '../../src/sandbox/chance.ts'
import { createTestDatabase } from '../support/database.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import type { Blow, Outcome } from './blow.ts'
import { afterTheBlow, NIGHT, nightly, sceneOf } from './crashes.ts'
import { lookInto, openCopy, preparedCluster } from './crashes-embedded.ts'
import { targetOf, urlThrough } from './database-faults.ts'
import {
  differences,
  leaksInDatabase,
  type Merchant,
  openMerchant,
  type Result,
  resultOf,
  saidBy,
} from './merchant.ts'

const run = promisify(execFile)
const IS_ROOT = process.getuid?.() === 0

/** What is wrong with the disk; returns how it is set right. */
type Spoil = (args: {
  readonly merchant: Merchant
  readonly chance: Chance
}) => Promise<() => Promise<void>>

interface Struck {
  readonly merchant: Merchant
  readonly night: typeof NIGHT
  readonly expected: Result
  /** What is stored, and secrets in it. */
  readonly look: () => Promise<{ readonly result: Result; readonly leaked: readonly string[] }>
  /** Exit codes that say what is wrong. */
  readonly codes: readonly number[]
  readonly chance: Chance
}

async function spoilAndRepeat(
  { merchant, night, expected, look, codes, chance }: Struck,
  spoil: Spoil,
): Promise<Outcome> {
  const setRight = await spoil({ merchant, chance })
  const first = await merchant.run(...nightly(night))
  await setRight()
  const lost = codes.includes(first.exitCode ?? -1)
    ? []
    : [`expected exit ${codes.join(' or ')}: ${saidBy(first)}`]
  const next = await afterTheBlow(merchant, { night })
  lost.push(...next.lost)
  const { result, leaked } = await look()
  if (next.lost.length === 0) lost.push(...differences(expected, result))
  return {
    ended: `${first.exitCode === 0 ? 'goes on' : `exit ${first.exitCode ?? 'never'}`}, then ${next.ended}`,
    lost,
    leaked: [...(await merchant.leaks()), ...leaked],
  }
}

/** A disk of its own under a folder. @returns null where that is not allowed. */
async function mountSmallDisk(folder: string, bytes: number): Promise<SmallDisk | string> {
  if (!IS_ROOT) return 'not done: needs root, to mount a small disk'
  await mkdir(folder, { recursive: true })
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder])
  } catch {
    return 'not done: this machine does not let root mount a small disk'
  }
  return {
    resize: async (newBytes) => {
      await run('mount', ['-o', `remount,size=${newBytes}`, folder])
    },
    unmount: async () => {
      // A server that is just ending may still hold it for a moment.
      await run('umount', ['-l', folder])
    },
  }
}

interface SmallDisk {
  resize(bytes: number): Promise<void>
  unmount(): Promise<void>
}

const ROOMY_BYTES = 2 * 1024 ** 3

const notDone = (why: string): Outcome => ({ ended: why, lost: [], leaked: [] })

/** Archive, reports and log have some room, but not enough; the database is elsewhere. */
const fullUnderReports: Blow = {
  group: 'disk',
  what: 'the disk of archive, reports and log is full',
  strike: async ({ chance, folder }) => {
    const { expected, night } = await sceneOf('first night')
    const disk = await mountSmallDisk(join(folder, 'var'), chance.whole(8, 400) * 1024)
    if (typeof disk === 'string') return notDone(disk)
    const database = await createTestDatabase()
    try {
      const merchant = await openMerchant({ folder, databaseUrl: database.url })
      merchant.env['LOG_FILE'] = join(merchant.dataDir, 'job.log')
      try {
        await merchant.wakeOn(night)
        const look = async () => ({
          result: await resultOf(merchant, database.db),
          leaked: await leaksInDatabase(database.db, merchant.world),
        })
        // A log that ends early ends no run.
        const codes = [0, 4]
        return await spoilAndRepeat({ merchant, night, expected, look, codes, chance }, () =>
          Promise.resolve(() => disk.resize(ROOMY_BYTES)),
        )
      } finally {
        await merchant.close()
      }
    } finally {
      await database.drop()
      await disk.unmount()
    }
  },
}

/** The whole of DATA_DIR, the cluster included, has a few megabytes left. */
const fullUnderCluster: Blow = {
  group: 'disk',
  what: 'the disk of the embedded Postgres is full',
  strike: async ({ chance, folder }) => {
    const { before, expected } = await preparedCluster()
    const disk = await mountSmallDisk(join(folder, 'var'), ROOMY_BYTES)
    if (typeof disk === 'string') return notDone(disk)
    try {
      const merchant = await openCopy(before, folder)
      try {
        const { stdout } = await run('du', ['-sk', merchant.dataDir])
        const used = Number.parseInt(stdout, 10) * 1024
        await disk.resize(used + chance.whole(0, 1_500) * 1024)
        const look = (): ReturnType<typeof lookInto> => lookInto(merchant)
        const codes = [0, 4]
        return await spoilAndRepeat({ merchant, night: NIGHT, expected, look, codes, chance }, () =>
          Promise.resolve(() => disk.resize(ROOMY_BYTES)),
        )
      } finally {
        await merchant.close()
      }
    } finally {
      await disk.unmount()
    }
  },
}

/** Somewhere that the account may not write to, or not read. */
function forbidden(what: string, code: number, spoil: Spoil): Blow {
  return {
    group: 'disk',
    what,
    strike: async ({ chance, folder }) => {
      const { expected, night } = await sceneOf('first night')
      const database = await createTestDatabase()
      // Who is bound by modes may not get to the server's socket.
      const proxy = await startTcpProxy(() => targetOf(database.address))
      const merchant = await openMerchant({
        folder,
        databaseUrl: urlThrough(proxy, database),
        boundByModes: true,
      })
      try {
        await merchant.wakeOn(night)
        const look = async () => ({
          result: await resultOf(merchant, database.db),
          leaked: await leaksInDatabase(database.db, merchant.world),
        })
        const codes = [code]
        return await spoilAndRepeat({ merchant, night, expected, look, codes, chance }, spoil)
      } finally {
        await merchant.close()
        await proxy.close()
        await database.drop()
      }
    },
  }
}

/** Its owner, as whom the job runs, may do no more with it than this. */
function withMode(pathOf: (merchant: Merchant) => string, mode: number): Spoil {
  return async ({ merchant }) => {
    const path = pathOf(merchant)
    await mkdir(path, { recursive: true })
    await chmod(path, mode)
    return () => chmod(path, 0o755)
  }
}

const logIsForbidden: Spoil = async (args) => {
  const { env, dataDir } = args.merchant
  const before = env['LOG_FILE'] ?? ''
  env['LOG_FILE'] = join(dataDir, 'closed', 'job.log')
  const setRight = await withMode(() => join(dataDir, 'closed'), 0o555)(args)
  return async () => {
    env['LOG_FILE'] = before
    await setRight()
  }
}

/** A device that takes nothing: every line that is added fails, and the night does not. */
const logIsFull: Spoil = ({ merchant: { env } }) => {
  const before = env['LOG_FILE'] ?? ''
  env['LOG_FILE'] = '/dev/full'
  return Promise.resolve(() => {
    env['LOG_FILE'] = before
    return Promise.resolve()
  })
}

export const diskFaults: readonly Blow[] = [
  fullUnderReports,
  fullUnderCluster,
  forbidden(
    'DATA_DIR may not be written to',
    3,
    withMode(({ dataDir }) => dataDir, 0o555),
  ),
  forbidden(
    'REPORTS_DIR may not be written to',
    3,
    withMode(({ dataDir }) => join(dataDir, 'reports'), 0o555),
  ),
  forbidden(
    'the bank inbox may not be read',
    4,
    withMode(({ inbox }) => inbox, 0o000),
  ),
  forbidden('the log may not be written to', 3, logIsForbidden),
  forbidden('the disk of the log alone is full', 0, logIsFull),
]
