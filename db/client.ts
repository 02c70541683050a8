/**
 * The one place that speaks to the driver. Drizzle replaces its client's parsers, so the client is
 * never used beside it; its errors carry bound parameters in their message, so they never leave here.
 */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type SQL, sql } from 'drizzle-orm'
import { DrizzleQueryError } from 'drizzle-orm/errors'
import { PgDialect } from 'drizzle-orm/pg-core'
import { drizzle, PostgresJsSession } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { ConfigurationFault, Fault, UnavailableFault } from '../src/errors.ts'
import * as schema from './schema.ts'

/** A connection that runs each statement on its own. */
export type Db = ReturnType<typeof openDrizzle>
/** A transaction: functions that take one must not be called outside. */
export type Tx = Parameters<Parameters<Db['transaction']>[0]>[0]
/** Either: functions that read may run anywhere. */
export type DbOrTx = Db | Tx

/** Where the server is: a URL, or a Unix socket's folder (embedded server). */
export type DatabaseAddress =
  | { readonly url: string }
  | {
      readonly socketDir: string
      readonly port: number
      readonly user: string
      readonly database: string
    }

export interface Connection {
  readonly db: Db
  /** Host (and port) for messages: never the user or the password. */
  readonly where: string
  close(): Promise<void>
}

const CONNECT_TIMEOUT_S = 10
const CONNECTIONS_MAX = 4
/** For each piece of work beyond the first that goes on at the same time. */
const CONNECTIONS_PER_WORKER = 3
/** How long running queries may take to end when a connection is closed. */
const END_TIMEOUT_S = 5
const SESSION_END_TIMEOUT_S = 1
/** How long a statement without work may take to be answered. */
const ANSWER_TIMEOUT_MS = 20_000
/** Characters of a failed statement in its error. */
const STATEMENT_SHOWN = 120
/** How every session of ours begins in `pg_stat_activity`. */
export const APPLICATION_NAME = 'alma-reconcile'

function openDrizzle(client: postgres.Sql) {
  return drizzle(client, { schema, casing: 'snake_case' })
}

/**
 * Opens a pool. Nothing is sent until the first query.
 * @param workers how many pieces of work go on side by side.
 * @throws UnavailableFault (from queries) if the server cannot be reached; the message names the host.
 */
export function connect(address: DatabaseAddress, workers = 1): Connection {
  const client = openClient(address, {
    max: CONNECTIONS_MAX + (workers - 1) * CONNECTIONS_PER_WORKER,
    connection: { TimeZone: 'UTC', application_name: APPLICATION_NAME },
  })
  return {
    db: openDrizzle(client),
    where: whereIs(address),
    close: () => client.end({ timeout: END_TIMEOUT_S }),
  }
}

/** One connection that is never exchanged for another: what belongs to a session stays with it. */
export interface Session {
  readonly db: Db
  readonly where: string
  /** Aborted as soon as the connection is gone without `close` having been called. */
  readonly lost: AbortSignal
  close(): Promise<void>
}

/**
 * Opens a connection for session-level locks. The driver would connect anew after a loss, and by
 * default after an hour; the locks would be gone unnoticed, so both are turned off.
 * @param applicationName how `pg_stat_activity` shows the session; Postgres keeps 63 bytes.
 */
export async function openSession(
  address: DatabaseAddress,
  applicationName: string,
): Promise<Session> {
  const loss = new AbortController()
  let closing = false
  const client = openClient(address, {
    max: 1,
    max_lifetime: null,
    idle_timeout: 0,
    fetch_types: false,
    connection: { TimeZone: 'UTC', application_name: applicationName },
    onclose: () => {
      if (!closing) loss.abort()
    },
  })
  const close = (): Promise<void> => {
    closing = true
    return client.end({ timeout: loss.signal.aborted ? 0 : SESSION_END_TIMEOUT_S })
  }
  const db = openDrizzle(client)
  const where = whereIs(address)
  try {
    await withReadableErrors(where, () => inTime(where, db.execute(sql`select 1`)))
  } catch (error) {
    await close()
    throw error
  }
  return { db, where, lost: loss.signal, close }
}

function openClient(
  address: DatabaseAddress,
  options: postgres.Options<Record<string, never>>,
): postgres.Sql {
  const common = { connect_timeout: CONNECT_TIMEOUT_S, onnotice: () => undefined, ...options }
  if (!('url' in address)) {
    return postgres({
      ...common,
      host: address.socketDir,
      port: address.port,
      username: address.user,
      database: address.database,
    })
  }
  if (!URL.canParse(address.url)) {
    throw new ConfigurationFault('DATABASE_URL is not a URL', {
      hint: 'The form is postgres://USER:PASSWORD@HOST:PORT/DATABASE; special characters of the password are percent-encoded.',
    })
  }
  const socketDir = socketDirOf(address.url)
  return postgres(address.url, socketDir === null ? common : { ...common, host: socketDir })
}

/** The folder of a Unix socket in a URL's host, percent-encoded as libpq writes it; else null. */
function socketDirOf(url: string): string | null {
  const host = /^[a-z]+:\/\/(?:[^@/?#]*@)?(%2[Ff][^:/?#]*)/.exec(url)?.[1]
  return host === undefined ? null : decodeURIComponent(host)
}

function whereIs(address: DatabaseAddress): string {
  if (!('url' in address)) return 'the embedded Postgres'
  try {
    const { hostname, port } = new URL(address.url)
    return `the Postgres server at ${hostname || 'localhost'}:${port || '5432'}`
  } catch {
    return 'the Postgres server of DATABASE_URL'
  }
}

const copyDialect = new PgDialect({ casing: 'snake_case' })

/**
 * Sends rows to `copy … from stdin` in the transaction, on its own connection; the next chunk is asked
 * for when the last one is on its way. All chunks are stored or, once this throws, the transaction
 * can only be rolled back.
 * @param statement without parameters, which COPY does not take.
 * @param chunks whole rows as the statement's format has them; pieces of some ten kilobytes go fastest.
 * @throws the server's error as other statements do, or what `chunks` throws.
 */
export async function copyFrom(
  tx: Tx,
  statement: SQL,
  chunks: AsyncIterable<string> | Iterable<string>,
): Promise<void> {
  const text = copyDialect.sqlToQuery(statement).sql
  const query = driverOf(tx).unsafe(text)
  const refused = refusalOf(query)
  try {
    await send(await query.writable(), chunks, refused)
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error
    throw new DrizzleQueryError(text, [], error)
  }
}

function driverOf(tx: Tx): postgres.TransactionSql {
  const { session } = tx._
  if (!(session instanceof PostgresJsSession)) throw new Error('this is no transaction of ours')
  return session.client
}

/**
 * Receives the bytes of `copy … to stdout` in the transaction; the server is read on when `take` has
 * taken what came.
 * @param statement without parameters, which COPY does not take.
 * @param take gets whole rows, one or more, as the statement's format has them.
 * @throws the server's error as other statements do, or what `take` throws.
 */
export async function copyTo(
  tx: Tx,
  statement: SQL,
  take: (rows: Uint8Array) => Promise<void>,
): Promise<void> {
  const text = copyDialect.sqlToQuery(statement).sql
  try {
    const copy = await driverOf(tx).unsafe(text).readable()
    // The connection takes no other statement, no rollback either, until all rows were read.
    const failures: unknown[] = []
    for await (const rows of copy) {
      if (failures.length > 0) continue
      await take(rows as Uint8Array).catch((error: unknown) => failures.push(error))
    }
    // The driver (postgres 3.4.9) stops the connection when the stream is full and goes on when more is
    // asked for, which nobody does after the last row: the next statement would wait for ever.
    Reflect.apply(Reflect.get(copy, '_read'), copy, [0])
    if (failures.length > 0) throw failures[0]
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error
    throw new DrizzleQueryError(text, [], error)
  }
}

async function send(
  copy: Writable,
  chunks: AsyncIterable<string> | Iterable<string>,
  refused: Promise<never>,
): Promise<void> {
  // The error that matters is looked at where it matters; without a listener it would end the process.
  copy.on('error', () => undefined)
  try {
    for await (const chunk of chunks) {
      if (copy.errored !== null) throw copy.errored
      if (!copy.write(chunk)) await once(copy, 'drain')
    }
  } catch (error) {
    // The server gets to know the reason, so it must be none that quotes a row.
    copy.destroy(new Error('the rows were not sent to the end'))
    throw error
  }
  copy.end()
  await Promise.race([refused, once(copy, 'finish')])
}

/**
 * Rejects when the server refuses a COPY. The driver (postgres 3.4.9, its issue 1173) tells nobody of
 * a refusal that comes after the last row was sent, where duplicates and missing references are found:
 * it rejects a promise that was fulfilled when the COPY began.
 */
function refusalOf(query: object): Promise<never> {
  const refused = new Promise<never>((_, refuse) => {
    const reject: unknown = Reflect.get(query, 'reject')
    if (typeof reject !== 'function')
      throw new Error('the driver has changed: COPY cannot be heard')
    Object.assign(query, {
      reject: (error: unknown) => {
        refuse(error)
        reject(error)
      },
    })
  })
  refused.catch(() => undefined)
  return refused
}

/** SQLSTATE classes and driver codes that mean "not reachable now" rather than "wrong". */
const UNREACHABLE_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'CONNECT_TIMEOUT',
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  '57P01',
  '57P02',
  '57P03',
  '53300',
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
])

/**
 * What time or room mends: a full disk, no memory, a limit of the server (class 53, but for too many
 * connections, which is above), an error of reading or writing (58030).
 */
const NO_ROOM = /^(53...|58030)$/

/** What Postgres says when the name, password or database of the URL is refused. */
const REFUSED_CODES = new Set(['28P01', '28000', '3D000'])

function codeOf(error: unknown): string | null {
  if (error === null || typeof error !== 'object') return null
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  return typeof code === 'string' ? code : codeOf(cause)
}

/** The SQLSTATE or driver code of a database error, wherever it is wrapped; null if it is none. */
export function databaseErrorCode(error: unknown): string | null {
  return codeOf(error)
}

/**
 * Work around the database also reads files and speaks HTTP; their errors have codes too, and are
 * left as they are. Only `begin` and `commit` reach us without Drizzle's wrapping.
 */
function isFromDatabase(error: unknown): boolean {
  if (error instanceof DrizzleQueryError || error instanceof postgres.PostgresError) return true
  if (!(error instanceof Error) || error.name !== 'Error') return false
  const { code, syscall } = error as NodeJS.ErrnoException
  return (
    syscall === 'connect' || syscall === 'getaddrinfo' || (code?.startsWith('CONNECT') ?? false)
  )
}

/**
 * Runs database work and turns the driver's errors into ones that may be shown: the host and the
 * SQLSTATE, never the statement's parameters.
 */
export async function withReadableErrors<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Fault) throw error
    const code = isFromDatabase(error) ? codeOf(error) : null
    if (code !== null && UNREACHABLE_CODES.has(code)) {
      throw unreachableFault(where, code)
    }
    if (code !== null && REFUSED_CODES.has(code)) {
      throw new ConfigurationFault(
        `${where} refused the connection (SQLSTATE ${code}: name, password or database)`,
        {
          hint: 'Check the user, the password and the database name in DATABASE_URL.',
        },
      )
    }
    if (code !== null && error instanceof Error) {
      const failed = new StatementError(code, error)
      if (!NO_ROOM.test(code)) throw failed
      throw new UnavailableFault(`${where} cannot do its work now: ${failed.message}`, {
        hint: 'Check the disk, the memory and the limits of the database server; nothing that was stored is lost. Then run the same command again.',
        cause: failed,
      })
    }
    throw error
  }
}

/**
 * A statement that failed, without the values that were bound to it: the message has the SQLSTATE,
 * the server's words and the beginning of the statement.
 */
class StatementError extends Error {
  override readonly name = 'StatementError'
  /** The SQLSTATE. */
  readonly code: string

  constructor(code: string, error: Error) {
    const said = error instanceof DrizzleQueryError ? error.cause?.message : error.message
    // Data exceptions (class 22) quote the value; elsewhere what is quoted is a name of the schema.
    const words = code.startsWith('22') ? said?.replace(/".*"/s, '"…"') : said
    const statement = error instanceof DrizzleQueryError ? `: ${beginningOf(error.query)}` : ''
    super(
      `a database statement failed (SQLSTATE ${code}: ${words ?? 'no further message'})${statement}`,
    )
    this.code = code
  }
}

/**
 * The driver (postgres 3.4.9, its issue 1208) throws outside of every promise when a connection is
 * gone while a transaction still writes to it: only a handler of `uncaughtException` sees that.
 * @returns the fault that it stands for; null if the error is something else.
 */
export function faultOfLostConnection(error: unknown): UnavailableFault | null {
  const isDrivers =
    error instanceof TypeError &&
    /at (Immediate\.)?nextWrite .*\bpostgres\b/.test(error.stack ?? '')
  return isDrivers ? unreachableFault('the database', 'CONNECTION_CLOSED', error) : null
}

/**
 * Waits for something that a server answers at once. Where nothing comes through any more, neither an
 * answer nor an end of the connection, the driver would wait for as long as the system tries, which
 * is a quarter of an hour. Work of its own length is watched by the run lock instead.
 * @param moreMs what it may take besides.
 * @throws UnavailableFault if the answer does not come.
 */
export async function inTime<T>(where: string, asked: PromiseLike<T>, moreMs = 0): Promise<T> {
  const patience = new AbortController()
  const late = sleep(ANSWER_TIMEOUT_MS + moreMs, undefined, { signal: patience.signal }).then(
    () => {
      throw unreachableFault(where, 'NO_ANSWER')
    },
  )
  // Ended below, or told of by the race.
  late.catch(() => undefined)
  try {
    return await Promise.race([asked, late])
  } finally {
    patience.abort()
  }
}

function unreachableFault(where: string, code: string, cause?: unknown): UnavailableFault {
  return new UnavailableFault(`${where} cannot be reached (${code})`, {
    hint: 'Check that the server runs and that DATABASE_URL names it; nothing that was stored is lost. Then run the same command again.',
    cause,
  })
}

function beginningOf(statement: string): string {
  return statement.replace(/\s+/g, ' ').trim().slice(0, STATEMENT_SHOWN)
}
