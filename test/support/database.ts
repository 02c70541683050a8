/** Databases for tests: real ones, one a test, cloned from a migrated template in some milliseconds. */
import { randomBytes } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { inject } from 'vitest'
import { connect, type DatabaseAddress, databaseErrorCode, type Db } from '../../db/client.ts'

/** What the global set-up gives to test files. */
export interface TestServer {
  readonly address: DatabaseAddress
  /** Names of all databases of this run begin with it. */
  readonly prefix: string
  readonly template: string
}

export interface TestDatabase {
  readonly db: Db
  readonly where: string
  readonly address: DatabaseAddress
  /** The same as a URL, for processes that take DATABASE_URL. */
  readonly url: string
  /** Closes `db` and leaves the database. */
  disconnect(): Promise<void>
  /** Closes `db` and drops the database, whoever is still connected. */
  drop(): Promise<void>
}

let ownServer: TestServer | null = null

/** For programs that use these databases outside of vitest, where nobody provides a server. */
export function useTestServer(server: TestServer): void {
  ownServer = server
}

function testServer(): TestServer {
  return ownServer ?? inject('testServer')
}

/** How often a clone is tried while other sessions leave the template. */
const CLONE_ATTEMPTS_MAX = 50

/** A migrated, empty database of its own. */
export async function createTestDatabase(): Promise<TestDatabase> {
  return makeDatabase(testServer().template)
}

/** A database without any table. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return makeDatabase('template0')
}

/** All that another one holds, to which nobody may be connected; by its URL. */
export async function copyTestDatabase(url: string): Promise<TestDatabase> {
  return makeDatabase(new URL(url).pathname.slice(1))
}

async function makeDatabase(template: string): Promise<TestDatabase> {
  const server = testServer()
  const name = `${server.prefix}_${randomBytes(6).toString('hex')}`
  await onServer(server, (db) => cloneWhenFree(db, name, template))
  const address = databaseOn(server.address, name)
  const connection = connect(address)
  return {
    db: connection.db,
    where: connection.where,
    address,
    url: urlOf(address),
    disconnect: () => connection.close(),
    drop: async () => {
      await connection.close()
      await onServer(server, (db) =>
        db.execute(sql`drop database if exists ${sql.identifier(name)} with (force)`),
      )
    },
  }
}

async function onServer(server: TestServer, work: (db: Db) => Promise<unknown>): Promise<void> {
  const connection = connect(server.address)
  try {
    await work(connection.db)
  } finally {
    await connection.close()
  }
}

async function cloneWhenFree(db: Db, name: string, template: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await db.execute(
        sql`create database ${sql.identifier(name)} template ${sql.identifier(template)}`,
      )
      return
    } catch (error) {
      const isTemplateInUse = databaseErrorCode(error) === '55006'
      if (!isTemplateInUse || attempt === CLONE_ATTEMPTS_MAX) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

/** The address of another database on the same server. */
export function databaseOn(address: DatabaseAddress, database: string): DatabaseAddress {
  if (!('url' in address)) return { ...address, database }
  const url = new URL(address.url)
  url.pathname = `/${database}`
  return { url: url.href }
}

function urlOf(address: DatabaseAddress): string {
  if ('url' in address) return address.url
  const { user, socketDir, port, database } = address
  return `postgres://${user}@${encodeURIComponent(socketDir)}:${port}/${database}`
}
