/** Brings a database to the schema of this version, or says why it cannot. */
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { migrate as applyMigrations } from 'drizzle-orm/postgres-js/migrator'
import { ConfigurationFault, UnavailableFault } from '../src/errors.ts'
import { advisoryKey } from './advisory-locks.ts'
import { databaseErrorCode, type Db, type DbOrTx, withReadableErrors } from './client.ts'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../migrations', import.meta.url))

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
 * @throws ConfigurationFault if the database was made by a newer version or by something else, or if
 * the account may not create tables; UnavailableFault if it cannot be reached.
 */
export async function migrate(db: Db, where: string): Promise<void> {
  await withReadableErrors(where, async () => {
    try {
      await migrateLocked(db, where)
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

async function migrateLocked(db: Db, where: string): Promise<void> {
  if (isComplete(await migrationState(db), where)) return
  await db.transaction(async (tx) => {
    // The lock lives in this transaction, the migrations in another one on a second connection.
    await tx.execute(sql.raw(`set local lock_timeout = '${LOCK_TIMEOUT_S}s'`))
    await tx.execute(sql`select pg_advisory_xact_lock(${advisoryKey('migrations')})`)
    if (isComplete(await migrationState(tx), where)) return
    await applyMigrations(db, { migrationsFolder: MIGRATIONS_FOLDER })
  })
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
export async function migrationState(db: DbOrTx): Promise<MigrationState> {
  const shipped = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER })
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
