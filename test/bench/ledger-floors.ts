/** What the ledger's benchmarks stand on: a provider, a database, and what neither job nor bar can beat. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { getTableColumns, sql } from 'drizzle-orm'
import { z } from 'zod'
import { connect, type Connection, type DatabaseAddress } from '../../db/client.ts'
import { copyText } from '../../db/copy-text.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { migrate } from '../../db/migrate.ts'
import { startRun } from '../../db/runs.ts'
import { balanceTransactions } from '../../db/schema.ts'
import { type LedgerRow, readLedgerPage } from '../../src/provider/wire.ts'
import { type LedgerShape, rowJson } from './generated-ledger.ts'

const SERVER = fileURLToPath(new URL('ledger-server.ts', import.meta.url))
export const ENTITY = 'default'
/** Two years, whatever the number of rows: more of them are a larger merchant, not a longer history. */
export const LEDGER_DAYS = 730
const PAGE_ROWS = 100
const FILE_ROWS_AT_ONCE = 1_000

/** Many small payouts, unless more is said: 20,000 of them in a million rows. */
export function shapeOf(
  rows: number,
  { openShare = 0, rowsPerPayout = 50 }: Partial<LedgerShape> = {},
): LedgerShape {
  return { rows, secondsBetween: (LEDGER_DAYS * 86_400) / rows, rowsPerPayout, openShare }
}

export interface Provider {
  readonly url: string
  stop(): Promise<void>
}

export async function startProvider(shape: LedgerShape, latencyMs = 0): Promise<Provider> {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--import', 'tsx', SERVER, JSON.stringify({ ...shape, latencyMs })],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const { stdout } = child
  if (stdout === null) throw new Error('the provider has no output')
  const [said]: unknown[] = await once(stdout, 'data')
  return {
    url: `http://127.0.0.1:${String(said).trim()}`,
    stop: async () => {
      const ended = once(child, 'exit')
      child.stdin?.end()
      await ended
    },
  }
}

export interface BenchDatabase {
  readonly connection: Connection
  readonly address: DatabaseAddress
  readonly url: string
  /** Forgets every run and what it brought, and begins a new one. */
  freshRun(): Promise<number>
  psql(script: string): Promise<void>
  stop(): Promise<void>
}

/** An embedded database as the job starts it, in a folder of its own. */
export async function openBenchDatabase(): Promise<BenchDatabase> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'alma-bench-'))
  const server = await startEmbedded({ dataDir })
  const { address } = server
  if ('url' in address) throw new Error('the embedded server has no socket')
  const { user, socketDir, port, database } = address
  const connection = connect(address)
  const { db } = connection
  await migrate(db, connection.where)
  return {
    connection,
    address,
    url: `postgres://${user}@${encodeURIComponent(socketDir)}:${port}/${database}`,
    freshRun: async () => {
      await db.execute(sql`truncate runs, ledger_ranges, ledger_proofs, payment_refunds cascade`)
      await db.execute(sql`checkpoint`)
      return startRun(db, { command: 'bench', period: null, asOf: null, appVersion: 'bench' })
    },
    psql: async (script) => {
      const where = ['-h', socketDir, '-p', String(port), '-U', user, '-d', database]
      const child = execFile('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', ...where])
      child.stdin?.end(script)
      const [code]: unknown[] = await once(child, 'exit')
      if (code !== 0) throw new Error(`psql ended with ${String(code)}`)
    },
    stop: async () => {
      await connection.close()
      await server.release()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** Rows in pages as the provider's answers bring them, oldest page first. */
export function* parsedRows(shape: LedgerShape, atOnce: number): Generator<readonly LedgerRow[]> {
  for (let from = 0; from < shape.rows; from += atOnce) {
    const rows: string[] = []
    for (let at = from; at < Math.min(shape.rows, from + atOnce); at += 1) {
      rows.push(rowJson(shape, at))
    }
    const body: unknown = JSON.parse(`{"data":[${rows.join(',')}],"has_more":true}`)
    yield readLedgerPage(body, 'the page', 'EUR').rows
  }
}

const columns = Object.entries(getTableColumns(balanceTransactions))
const snake = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const columnList = columns.map(([name]) => snake(name)).join(', ')

/** The rows as `\copy` reads them, complete. */
export async function writeRowsFile(
  shape: LedgerShape,
  runId: number,
  file: string,
): Promise<void> {
  function* texts(): Generator<string> {
    for (const rows of parsedRows(shape, FILE_ROWS_AT_ONCE)) {
      yield rows
        .map(({ parsed, raw }) => {
          const cells: Readonly<Record<string, string | number | bigint | object | null>> = {
            ...parsed,
            entity: ENTITY,
            raw,
            firstSeenRunId: runId,
            changedRunId: runId,
            vanishedRunId: null,
            changeNumber: 1,
            contentNumber: 1,
          }
          return copyText(columns.map(([name]) => cells[name]))
        })
        .join('')
    }
  }
  await pipeline(Readable.from(texts()), createWriteStream(file))
}

/** What `psql` runs: `\copy` into a table without index or key, then one upsert of what differs. */
export function floorScript(file: string): string {
  const types = columns.map(
    ([name, column]) => `${snake(name)} ${column.getSQLType().replace(/ collate .*$/, '')}`,
  )
  const kept = new Set(['entity', 'id', 'firstSeenRunId', 'changedRunId', 'changeNumber'])
  const updated = columns.map(([name]) => name).filter((name) => !['entity', 'id'].includes(name))
  const compared = updated.filter((name) => !kept.has(name) && name !== 'contentNumber')
  const list = (names: readonly string[], of: string): string =>
    names.map((name) => `${of}.${snake(name)}`).join(', ')
  return `create temporary table floor_rows (${types.join(', ')});
\\copy floor_rows (${columnList}) from '${file}'
insert into balance_transactions as t (${columnList}) select ${columnList} from floor_rows
on conflict (entity, id) do update set ${updated.map((name) => `${snake(name)} = excluded.${snake(name)}`).join(', ')}
where (${list(compared, 't')}) is distinct from (${list(compared, 'excluded')});
`
}

const page = z.object({ data: z.array(z.object({ id: z.string() })), has_more: z.boolean() })

/** Reads the whole list as fast as one connection can: no library, and no look at the rows but the last. */
export async function drain(url: string): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let pages = 0
  let cursor: string | null = null
  for (;;) {
    const after: string = cursor === null ? '' : `&starting_after=${cursor}`
    const text = await textOf(`${url}/v1/balance-transactions?limit=${PAGE_ROWS}${after}`, agent)
    const body: unknown = JSON.parse(text)
    const { data, has_more: hasMore } = z
      .object({ data: z.array(z.unknown()), has_more: z.boolean() })
      .parse(body)
    pages += 1
    const last = page.shape.data.element.safeParse(data.at(-1))
    if (!hasMore || !last.success) break
    cursor = last.data.id
  }
  agent.destroy()
  return pages
}

async function textOf(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      const pieces: Uint8Array[] = []
      response.on('data', (piece: Uint8Array) => pieces.push(piece))
      response.on('end', () => resolve(Buffer.concat(pieces).toString('utf8')))
      response.on('error', reject)
    }).on('error', reject)
  })
}

export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now()
  await work()
  return (performance.now() - beganMs) / 1000
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export function inSeconds(seconds: number): string {
  return `${seconds.toFixed(2)} s`
}
