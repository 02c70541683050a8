/**
 * One Postgres for the whole test run, with one migrated template database that each test's own
 * database is cloned from. Every run has a server (or, with TEST_DATABASE_URL, a name) of its own,
 * so several runs at once do not meet.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'drizzle-orm'
import type { TestProject } from 'vitest/node'
import { connect, type Connection, type DatabaseAddress } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { migrate } from '../../db/migrate.ts'
import { databaseOn, type TestServer } from './database.ts'

declare module 'vitest' {
  interface ProvidedContext {
    testServer: TestServer
  }
}

/** Tests have nothing to lose in a power cut. */
const FAST_SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { server, stop } = await startTestServer()
  project.provide('testServer', server)
  return stop
}

/** The server with its template; `stop` drops every database of this run. */
export async function startTestServer(): Promise<{
  readonly server: TestServer
  stop(): Promise<void>
}> {
  const server = await startServer()
  const { address } = server
  const prefix = `test_${randomBytes(5).toString('hex')}`
  const template = `${prefix}_template`
  const maintenance = connect(address)
  try {
    await maintenance.db.execute(sql`create database ${sql.identifier(template)}`)
    await migrateOnce(databaseOn(address, template))
  } catch (error) {
    await maintenance.close()
    await server.release()
    throw error
  }
  return {
    server: { address, prefix, template },
    stop: async () => {
      await dropAll(maintenance, prefix)
      await maintenance.close()
      await server.release()
    },
  }
}

async function startServer(): Promise<{ address: DatabaseAddress; release(): Promise<void> }> {
  const url = process.env['TEST_DATABASE_URL']
  if (url !== undefined && url !== '') {
    return { address: { url }, release: () => Promise.resolve() }
  }
  const dataDir = await mkdtemp(path.join(tmpdir(), 'alma-test-'))
  const server = await startEmbedded({ dataDir, settings: FAST_SETTINGS })
  return {
    address: server.address,
    release: async () => {
      await server.release()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function migrateOnce(address: DatabaseAddress): Promise<void> {
  const connection = connect(address)
  try {
    await migrate(connection.db, connection.where)
  } finally {
    await connection.close()
  }
}

async function dropAll({ db }: Connection, prefix: string): Promise<void> {
  const rows = await db.execute<{ datname: string }>(
    sql`select datname from pg_database where starts_with(datname, ${prefix})`,
  )
  for (const { datname } of rows) {
    await db.execute(sql`drop database if exists ${sql.identifier(datname)} with (force)`)
  }
}
