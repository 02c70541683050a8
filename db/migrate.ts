/** Brings a database to the schema of this version, or says why it cannot. */
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { ConfigurationFault, UnavailableFault } from '../src/errors.ts'
import { advisoryKey } from './advisory-locks.ts'
import {
  databaseErrorCode,
  type Db,
  type DbOrTx,
  inTime,
  type Tx,
  withReadableErrors,
} from './client.ts'
import { distributeTables, isDistributed, oneServerAtATime } from './distribute.ts'

/** The migrations that this version has. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../migrations', import.meta.url))

/** How long another process may take to migrate before we give up. */
const LOCK_TIMEOUT_S = 120

/** What a database has of our migrations. */
export interface MigrationState {
  readonly applied: number
  readonly shipped: number
  /** True if it holds migrations that this version does not have. */
  readonly isForeign: boolean
}

/**
 * Applies the migrations that are missing, all or none of them. Two processes may call it at once.
 * @param where the server, for messages.
 * @param folder the migrations that this version has.
 * @throws ConfigurationFault if the database was made by a newer version or by something else, or if
 * the account may not create tables; UnavailableFault if it cannot be reached.
 */
export async function migrate(
  db: Db,
  where: string,
  folder: string = MIGRATIONS_FOLDER,
): Promise<void> {
  await withReadableErrors(where, async () => {
    try {
      await migrateLocked(db, where, folder)
    } catch (error) {
      const code = databaseErrorCode(error)
      if (code === '55P03') {
        throw new UnavailableFault(
          `another process has been migrating the database on ${where} for more than ${LOCK_TIMEOUT_S} s`,
          { hint: 'Wait until it is done, then run the same command again.' },
        )
      }
      if (code === '42501') {
        throw new ConfigurationFault(
          `the account of ${where} may not create tables in this database`,
          {
            hint: 'Let it own the database or schema: GRANT CREATE on the database and on its schema public to it. Or name another account in DATABASE_URL.',
          },
        )
      }
      throw error
    }
  })
}

async function migrateLocked(db: Db, where: string, folder: string): Promise<void> {
  if (isComplete(await inTime(where, migrationState(db, folder)), where)) return
  const wasDistributed = await db.transaction(async (tx) => {
    await holdMigrations(tx)
    const state = await migrationState(tx, folder)
    if (isComplete(state, where)) return false
    const distributed = await isDistributed(tx)
    if (distributed) await oneServerAtATime(tx)
    await applyMigrations(tx, readMigrationFiles({ migrationsFolder: folder }), state.applied)
    return distributed
  })
  // New tables are made on the coordinator, like all tables.
  if (wasDistributed) await distributeTables(db, where)
}

/**
 * Applies those after the first `applied` ones and keeps Drizzle's journal of them. Drizzle's own
 * migrator would do it in a transaction that nobody else can prepare, which Citus needs.
 */
async function applyMigrations(
  tx: Tx,
  migrations: ReturnType<typeof readMigrationFiles>,
  applied: number,
): Promise<void> {
  await createJournal(tx)
  for (const { sql: statements, hash, folderMillis } of migrations.slice(applied)) {
    for (const statement of statements) await tx.execute(sql.raw(statement))
    await tx.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis})`,
    )
  }
}

/** Drizzle's journal of migrations, as its own migrator makes it. */
export const JOURNAL_DDL = [
  'create schema if not exists drizzle',
  `create table if not exists drizzle.__drizzle_migrations (
    id serial primary key, hash text not null, created_at bigint)`,
] as const

async function createJournal(tx: Tx): Promise<void> {
  for (const statement of JOURNAL_DDL) await tx.execute(sql.raw(statement))
}

/**
 * Waits until no other process migrates this database, and keeps others from it until the transaction
 * ends. @throws SQLSTATE 55P03 if it takes too long.
 */
export async function holdMigrations(tx: Tx): Promise<void> {
  await tx.execute(sql.raw(`set local lock_timeout = '${LOCK_TIMEOUT_S}s'`))
  await tx.execute(sql`select pg_advisory_xact_lock(${advisoryKey('migrations')})`)
  await tx.execute(sql`set local lock_timeout = 0`)
}

function isComplete({ applied, shipped, isForeign }: MigrationState, where: string): boolean {
  if (isForeign) {
    throw new ConfigurationFault(
      `the database on ${where} has ${applied} migrations, not all of which are among the ${shipped} of this version: a newer version has used it`,
      {
        hint: 'Update this program to the version that was used last, or name another database with DATABASE_URL or DATA_DIR.',
      },
    )
  }
  return applied === shipped
}

/** Reads how far a database is; changes nothing. */
export async function migrationState(
  db: DbOrTx,
  folder: string = MIGRATIONS_FOLDER,
): Promise<MigrationState> {
  const shipped = readMigrationFiles({ migrationsFolder: folder })
  const applied = await appliedHashes(db)
  return {
    applied: applied.length,
    shipped: shipped.length,
    isForeign: applied.some((hash, index) => shipped[index]?.hash !== hash),
  }
}

/** Drizzle's journal: hashes of the migrations in the order in which they were applied. */
async function appliedHashes(db: DbOrTx): Promise<string[]> {
  const [journal] = await db.execute<{ exists: boolean }>(
    sql`select to_regclass('drizzle.__drizzle_migrations') is not null as exists`,
  )
  if (journal?.exists !== true) return []
  const rows = await db.execute<{ hash: string }>(
    sql`select hash from drizzle.__drizzle_migrations order by created_at, id`,
  )
  return rows.map(({ hash }) => hash)
}
