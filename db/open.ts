/** The database as every command opens it: embedded or on a server, and up to date. */
import { sql } from 'drizzle-orm'
import {
  connect,
  type Connection,
  type DatabaseAddress,
  type Db,
  inTime,
  withReadableErrors,
} from './client.ts'
import { startEmbedded } from './embedded.ts'
import { migrate } from './migrate.ts'

export interface OpenDatabase {
  readonly db: Db
  /** The server for messages: host and port, never user or password. */
  readonly where: string
  readonly connection: Connection
  /** For connections of one's own, such as the run lock's. */
  readonly address: DatabaseAddress
  /** Closes the pool and leaves the embedded server; may be called again and from a signal handler. */
  close(): Promise<void>
}

export interface DatabaseChoice {
  /** Null: the embedded Postgres under `dataDir`. */
  readonly databaseUrl: string | null
  readonly dataDir: string
  /** How many pieces of work go on side by side; each needs connections of its own. 1 by default. */
  readonly workers?: number
}

/**
 * Opens the database and applies migrations.
 * @throws UnavailableFault if it cannot be started or reached (within about 10 s on a server);
 * ConfigurationFault if it refuses the account or is of a newer version.
 */
export async function openDatabase(choice: DatabaseChoice): Promise<OpenDatabase> {
  const opened = await openUnmigrated(choice)
  try {
    await migrate(opened.db, opened.where)
    return opened
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** The same without migrations: for looking at a database without changing it. */
export async function openUnmigrated({
  databaseUrl,
  dataDir,
  workers = 1,
}: DatabaseChoice): Promise<OpenDatabase> {
  const server =
    databaseUrl === null
      ? await startEmbedded({ dataDir })
      : { address: { url: databaseUrl }, release: () => Promise.resolve() }
  let closed: Promise<void> | null = null
  const connection = connect(server.address, workers)
  const leave = async (): Promise<void> => {
    try {
      await connection.close()
    } finally {
      await server.release()
    }
  }
  const close = (): Promise<void> => (closed ??= leave())
  try {
    const { db, where } = connection
    await withReadableErrors(where, () => inTime(where, db.execute(sql`select 1`)))
  } catch (error) {
    await close()
    throw error
  }
  return { db: connection.db, where: connection.where, connection, address: server.address, close }
}
