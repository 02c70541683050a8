/** The database as an assistant may see it: read only, one question at a time, and never migrated. */
import { setImmediate } from 'node:timers/promises'
import { databaseErrorCode, type Db, type DbOrTx, withReadableErrors } from '../db/client.ts'
import { migrationState } from '../db/migrate.ts'
import { readOnly } from '../db/read-only.ts'
import type { Config } from '../src/config.ts'
import { ConfigurationFault, UnavailableFault, UsageFault } from '../src/errors.ts'
import type { CommandIo } from './command.ts'
import { useUnmigrated } from './compose.ts'

export interface Reading {
  /** Does work in a transaction that cannot write, on one snapshot. */
  read<T>(work: (tx: DbOrTx) => Promise<T>): Promise<T>
  /** When nobody waits for an answer any more. */
  idle(): Promise<void>
}

/** Questions that wait for their turn: each holds what it gathers in memory, so none go side by side. */
const WAITING_MAX = 32
const STATEMENT_TIMEOUT_MS = 60_000

/** Opens nothing until the first question, and tries again with the next one where that fails. */
export function openReading(config: Config, io: CommandIo): Reading {
  let opening: Promise<{ readonly db: Db; readonly where: string }> | null = null
  let last: Promise<unknown> = Promise.resolve()
  const queue = { waiting: 0 }
  const opened = (): Promise<{ readonly db: Db; readonly where: string }> => {
    opening ??= openChecked(config, io).catch((error: unknown) => {
      opening = null
      throw error
    })
    return opening
  }
  const inTurn = async <T>(work: (tx: DbOrTx) => Promise<T>): Promise<T> => {
    const { db, where } = await opened()
    const options = { role: config.mcpDatabaseRole, statementTimeoutMs: STATEMENT_TIMEOUT_MS }
    return withReadableErrors(where, () => readOnly(db, work, options)).catch((error: unknown) => {
      throw faultOf(error, config) ?? error
    })
  }
  return {
    read: async (work) => {
      if (queue.waiting >= WAITING_MAX) {
        throw new UnavailableFault(`${WAITING_MAX} questions wait for their answers already`, {
          hint: 'Ask again when some of them are answered.',
        })
      }
      queue.waiting += 1
      const turn = last.then(() => inTurn(work))
      last = turn.catch(() => undefined)
      try {
        return await turn
      } finally {
        queue.waiting -= 1
      }
    },
    idle: async () => {
      // An answer may need several looks, of which the next one begins when the last one has ended.
      do {
        await last
        await setImmediate()
      } while (queue.waiting > 0)
    },
  }
}

async function openChecked(
  config: Config,
  io: CommandIo,
): Promise<{ readonly db: Db; readonly where: string }> {
  const opened = await useUnmigrated(config, io)
  const { db, where } = opened
  try {
    const { applied, shipped, isForeign } = await withReadableErrors(where, () =>
      migrationState(db),
    )
    if (applied === 0) {
      throw new UsageFault('nothing is stored yet', {
        hint: 'Run npm run reconcile -- --week … first (or npm run demo, for a look at sample data).',
      })
    }
    if (isForeign || applied < shipped) {
      throw new ConfigurationFault(
        `the database has ${applied} migrations, and this version has ${shipped} of its own`,
        {
          hint: isForeign
            ? 'A newer version has used it: update this program.'
            : 'An assistant changes nothing, so run npm run db:migrate.',
        },
      )
    }
    return opened
  } catch (error) {
    await opened.close()
    throw error
  }
}

function faultOf(error: unknown, { mcpDatabaseRole }: Config): Error | null {
  switch (databaseErrorCode(error)) {
    case '57014':
      return new UnavailableFault(
        `the database did not answer within ${STATEMENT_TIMEOUT_MS / 1000} seconds`,
        { hint: 'Ask for less: a day beside the amount, or more of the reference.' },
      )
    case '42501':
      return new ConfigurationFault(
        `the account that reads${mcpDatabaseRole === null ? '' : ` (role ${mcpDatabaseRole})`} may not read a table`,
        { hint: 'Run deploy/least-rights.sql again: it gives alma_reader what it needs.' },
      )
    case '22023':
      return mcpDatabaseRole === null
        ? null
        : new ConfigurationFault(`MCP_DATABASE_ROLE: there is no role ${mcpDatabaseRole}`, {
            hint: 'Run deploy/least-rights.sql, which makes alma_reader, or leave the setting empty.',
          })
    default:
      return null
  }
}
