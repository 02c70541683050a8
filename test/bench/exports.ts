/**
 * What an accounting export costs from the request to the stored lines. The floor does, on the same
 * machine at the same moment, what no way around can do without: csv-parse alone reads the file, and
 * COPY alone writes the rows that were stored. Each measurement is a Node process of its own, whose
 * peak memory counts alone; the file is served over HTTP by this process, the database is an embedded
 * one in a temporary folder.
 */
import { execFile } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Options, parse } from 'csv-parse'
import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { connect, type Connection, type DatabaseAddress } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { migrate } from '../../db/migrate.ts'
import { startRun } from '../../db/runs.ts'
import { fetchExport } from '../../jobs/fetch-export.ts'
import { wallClock } from '../../src/domain/day.ts'
import { parseWeek, periodInstants } from '../../src/domain/period.ts'
import { silentProgress } from '../../src/progress.ts'
import { createProviderClient } from '../../src/provider/client.ts'
import type { Benchmark, BenchLine } from './benchmark.ts'

const SCRIPT = fileURLToPath(import.meta.url)
const CHILD_TIMEOUT_MS = 1_200_000
const RATIO_MAX = 1.5
const MEMORY_GROWTH_MB_MAX = 30
/** Three rounds each while one takes seconds. */
const ROWS_OF_THREE_ROUNDS_MAX = 1_000_000
const { startS, endS } = periodInstants(parseWeek('2024-W11'), 'Europe/Paris')

export const exports: Benchmark = { name: 'exports', run: benchExports }

interface Measure {
  readonly seconds: number
  readonly peakMb: number
  readonly rows: number
}

const measure = z.object({ seconds: z.number(), peakMb: z.number(), rows: z.number() })

/** What a measuring process is told. */
const workSchema = z.object({
  part: z.enum(['parse', 'parseObjects', 'parseInfo', 'copy', 'fetch', 'fetchKeeping']),
  folder: z.string(),
  apiUrl: z.string(),
  address: z.custom<DatabaseAddress>((value) => typeof value === 'object'),
})
type Work = z.infer<typeof workSchema>
type Part = Work['part']

const exportFileIn = (folder: string): string => path.join(folder, 'export.csv')
const rowsFileIn = (folder: string): string => path.join(folder, 'rows.copy')

async function benchExports({ rows }: { readonly rows: number }): Promise<readonly BenchLine[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-'))
  const embedded = await startEmbedded({ dataDir: path.join(folder, 'data') })
  const provider = await serve(folder)
  const connection = connect(embedded.address)
  try {
    await migrate(connection.db, connection.where)
    await connection.db.execute(sql`create table floor_lines (like export_lines including all)`)
    const { port } = addressOf(provider)
    const work = { folder, apiUrl: `http://127.0.0.1:${port}`, address: embedded.address }
    const part = async (name: Part): Promise<Measure> => {
      await connection.db.execute(sql`truncate floor_lines, export_lines, data_exports`)
      return inProcess({ ...work, part: name })
    }
    const rounds = rows <= ROWS_OF_THREE_ROUNDS_MAX ? 3 : 1
    const ofFewer = Math.ceil(rows / 10)
    await writeExport(folder, ofFewer)
    const fewer: Measure[] = []
    for (let round = 0; round < rounds; round += 1) fewer.push(await part('fetch'))
    await writeExport(folder, rows)
    await part('fetch')
    await writeRows(embedded.address, rowsFileIn(folder))
    const measured: Partial<Record<Part, Measure[]>> = {}
    for (let round = 0; round < rounds; round += 1) {
      for (const name of workSchema.shape.part.options) {
        const found = await part(name)
        if (found.rows !== rows) throw new Error(`${name}: ${found.rows} of ${rows} lines`)
        measured[name] = [...(measured[name] ?? []), found]
      }
    }
    return linesOf(rows, ofFewer, fewer, measured)
  } finally {
    await connection.close()
    provider.close()
    await embedded.release()
    await rm(folder, { recursive: true, force: true })
  }
}

/** By a connection of its own: after COPY TO the driver (postgres 3.4.9) may leave one paused for ever. */
async function writeRows(address: DatabaseAddress, rowsFile: string): Promise<void> {
  const { db, close } = connect(address)
  const rows = await db.$client`copy export_lines to stdout`.readable()
  await pipeline(rows, createWriteStream(rowsFile))
  await close()
}

function linesOf(
  rows: number,
  ofFewer: number,
  fewer: readonly Measure[],
  measured: Partial<Record<Part, readonly Measure[]>>,
): BenchLine[] {
  const seconds = (part: Part): number => median(measured[part]?.map((each) => each.seconds) ?? [])
  const [parsed, copied] = [seconds('parse'), seconds('copy')]
  const against = (what: string, part: Part): BenchLine => {
    const ratio = seconds(part) / (parsed + copied)
    return {
      what,
      measured: inSeconds(seconds(part)),
      floor: `csv-parse ${inSeconds(parsed)} + COPY ${inSeconds(copied)}`,
      ratio,
      bar: `≤ ${RATIO_MAX}`,
      met: ratio <= RATIO_MAX,
    }
  }
  const compared = (what: string, part: Part): BenchLine => ({
    what,
    measured: inSeconds(seconds(part)),
    floor: `csv-parse to arrays ${inSeconds(parsed)}`,
    ratio: seconds(part) / parsed,
    bar: 'none: why arrays are read',
    met: true,
  })
  const peakOf = (measures: readonly Measure[]): number =>
    median(measures.map((each) => each.peakMb))
  const [peakMb, peakOfFewerMb] = [peakOf(measured.fetch ?? []), peakOf(fewer)]
  return [
    against(`export of ${count(rows)} lines, archived without customers`, 'fetch'),
    against(`export of ${count(rows)} lines, archived as it came`, 'fetchKeeping'),
    {
      what: `peak memory with ${count(rows)} lines`,
      measured: `${peakMb} MB`,
      floor: `${peakOfFewerMb} MB with ${count(ofFewer)} lines`,
      ratio: null,
      bar: `at most ${MEMORY_GROWTH_MB_MAX} MB more`,
      met: peakMb - peakOfFewerMb <= MEMORY_GROWTH_MB_MAX,
    },
    compared('csv-parse to objects', 'parseObjects'),
    compared('csv-parse to arrays, each with its info', 'parseInfo'),
  ]
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted[Math.floor(sorted.length / 2)]
  if (middle === undefined) throw new Error('nothing was measured')
  return middle
}

const inSeconds = (seconds: number): string =>
  `${seconds.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })} s`
const count = (rows: number): string => rows.toLocaleString('en')

/** A file as the documentation shows it: some 180 bytes a line. */
async function writeExport(folder: string, rows: number): Promise<void> {
  await pipeline(Readable.from(exportText(rows)), createWriteStream(exportFileIn(folder)))
}

function* exportText(rows: number): Generator<string> {
  yield "Créée (Heure Europe/Paris),Montant brut (centimes),Frais Alma (centimes),Montant net (centimes),Montant TVA (centimes),Nombre d'échéances,Nom client,Email client,Identifiant ligne comptable,Identifiant paiement,Identifiant remboursement,Référence commande\n"
  let text = ''
  for (let number = 1; number <= rows; number += 1) {
    const created = wallClock(startS + Math.floor(((endS - startS) * (number - 1)) / rows), 'UTC')
    const id = `11k${String(number).padStart(31, '0')}`
    const [grossMinor, feeMinor] = [10_000 + (number % 5_000), 400 + (number % 50)]
    const refund = number % 50 === 0 ? `refund_${id}` : ''
    text += `${created},${grossMinor},${feeMinor},${grossMinor - feeMinor},${80 + (number % 10)},3,Zoé Martin${number % 997},zoe.martin${number % 997}@example.com,balance_txn_${id},payment_${id},${refund},A-${number}\n`
    if (text.length < 64 * 1024) continue
    yield text
    text = ''
  }
  yield text
}

/** A provider that has every export at once and serves the file under an address of its own. */
async function serve(folder: string): Promise<Server> {
  let asked = 0
  const server = createServer((request, response) => {
    if (request.url === '/export.csv') {
      response.setHeader('content-type', 'text/csv')
      createReadStream(exportFileIn(folder)).pipe(response)
      return
    }
    if (request.method === 'POST') asked += 1
    const { port } = addressOf(server)
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify({
        id: `export_${asked}`,
        type: 'accounting',
        complete: request.method === 'GET',
        url_csv: request.method === 'GET' ? `http://127.0.0.1:${port}/export.csv` : null,
      }),
    )
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return server
}

function addressOf(server: Server): AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address
}

async function inProcess(work: Work): Promise<Measure> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', SCRIPT, JSON.stringify(work)],
    { timeout: CHILD_TIMEOUT_MS },
  )
  return measure.parse(JSON.parse(stdout))
}

async function measurePart(work: Work): Promise<void> {
  const connection = connect(work.address)
  await connection.db.execute(sql`select 1`)
  const startedAt = performance.now()
  const rows = await PARTS[work.part](work, connection)
  const seconds = (performance.now() - startedAt) / 1000
  await connection.close()
  const peakMb = Math.round((process.resourceUsage().maxRSS * 1024) / 1e6)
  process.stdout.write(JSON.stringify({ seconds, peakMb, rows } satisfies Measure))
}

const PARTS: Readonly<Record<Part, (work: Work, connection: Connection) => Promise<number>>> = {
  parse: ({ folder }) => parseOnly(folder, {}),
  parseObjects: ({ folder }) => parseOnly(folder, { columns: true }),
  parseInfo: ({ folder }) => parseOnly(folder, { info: true }),
  copy: copyOnly,
  fetch: (work, connection) => fetchOnce(work, connection, false),
  fetchKeeping: (work, connection) => fetchOnce(work, connection, true),
}

async function parseOnly(folder: string, options: Options): Promise<number> {
  let records = 0
  const parser = parse(options)
  parser.on('data', () => (records += 1))
  await pipeline(createReadStream(exportFileIn(folder)), parser)
  return options.columns === true ? records : records - 1
}

async function copyOnly({ folder }: Work, { db }: Connection): Promise<number> {
  const rows = await db.$client`copy floor_lines from stdin`.writable()
  await pipeline(createReadStream(rowsFileIn(folder)), rows)
  const [counted] = await db.execute<{ rows: string }>(
    sql`select count(*) as rows from floor_lines`,
  )
  return Number(counted?.rows)
}

async function fetchOnce(
  { folder, apiUrl }: Work,
  { db }: Connection,
  keepCustomerData: boolean,
): Promise<number> {
  const client = createProviderClient({
    apiUrl,
    apiKey: 'sk_test_Bench0123456789abcdef',
    apiKeySetting: 'ALMA_API_KEY',
  })
  const runId = await startRun(db, {
    command: 'reconcile',
    period: '2024-W11',
    asOf: null,
    appVersion: 'bench',
  })
  const { rows } = await fetchExport(
    { db, client, progress: silentProgress, now: Date.now, sleep: (waitMs) => wait(waitMs) },
    {
      entity: 'default',
      runId,
      startS,
      endS,
      asOfEndS: endS,
      dataDir: path.join(folder, 'data'),
      timeoutSeconds: 60,
      keepCustomerData,
    },
  )
  return rows
}

if (process.argv[1] === SCRIPT)
  await measurePart(workSchema.parse(JSON.parse(process.argv[2] ?? '')))
