/**
 * What a large camt.053 file costs. Each part is a Node process of its own, whose peak memory counts
 * alone; the database is an embedded one in a temporary folder. The floor does, on the same machine
 * at the same moment, what no import can do without: saxes alone reads the file, and COPY alone writes
 * the rows that the import stored.
 */
import { execFile } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { asc, gt, sql } from 'drizzle-orm'
import { SaxesParser } from 'saxes'
import { z } from 'zod'
import { connect, type Connection, type DatabaseAddress } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { migrate } from '../../db/migrate.ts'
import { copyText } from '../../db/copy-text.ts'
import { bankEntries, runs } from '../../db/schema.ts'
import { importBankFiles } from '../../jobs/import-bank.ts'
import { addDays, type Day, parseDay } from '../../src/domain/day.ts'
import { formatAmount } from '../../src/domain/money.ts'
import { silentProgress } from '../../src/progress.ts'
import type { Benchmark, BenchLine } from './benchmark.ts'

/** What one process did and took. */
interface Measure {
  readonly seconds: number
  readonly peakMb: number
  readonly rows: number
}

const measure = z.object({ seconds: z.number(), peakMb: z.number(), rows: z.number() })

const SCRIPT = fileURLToPath(import.meta.url)
const CHILD_TIMEOUT_MS = 600_000
const RATIO_MAX = 1.5
const PEAK_MB_MAX = 250
/** A year of a large merchant; no bank sends more in one file. */
const ENTRIES_MAX = 100_000
const TIMES = 3
const ROWS_AT_ONCE = 10_000
const DAYS = 60
const FIRST_DAY = parseDay('2024-03-01')

/** What a process does, by name: each gets the bank file, the rows as COPY text, and the database. */
const PARTS: Readonly<Record<string, (work: Work) => Promise<number>>> = {
  saxes: parseOnly,
  copy: copyOnly,
  import: importOnce,
}

interface Work {
  readonly file: string
  readonly rowsFile: string
  readonly connection: Connection
}

export const bank: Benchmark = {
  name: 'bank',
  run: ({ rows }) => bench(Math.min(rows, ENTRIES_MAX)),
}

async function bench(entries: number): Promise<readonly BenchLine[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-'))
  const server = await startEmbedded({ dataDir: path.join(folder, 'data') })
  const connection = connect(server.address)
  try {
    const { file, rowsFile } = filesIn(folder)
    await pipeline(Readable.from(camtFile(entries)), createWriteStream(file))
    await migrate(connection.db, connection.where)
    const part = async (name: string): Promise<Measure> => {
      const measured = await inProcess(name, folder, server.address)
      if (measured.rows !== entries) throw new Error(`${name}: ${measured.rows} of ${entries}`)
      return measured
    }
    const floors: number[] = []
    const imports: Measure[] = []
    for (let time = 0; time < TIMES; time += 1) {
      await connection.db.execute(sql`truncate bank_files, bank_statements, bank_entries cascade`)
      imports.push(await part('import'))
      await writeRows(connection, rowsFile)
      const saxes = await part('saxes')
      const copy = await part('copy')
      floors.push(saxes.seconds + copy.seconds)
    }
    const floorS = median(floors)
    const importS = median(imports.map(({ seconds }) => seconds))
    const peakMb = Math.max(...imports.map(({ peakMb: peak }) => peak))
    const ratio = importS / floorS
    const what = `camt.053 of ${entries.toLocaleString('en')} entries`
    return [
      {
        what: `${what} into the database`,
        measured: `${importS.toFixed(2)} s`,
        floor: `${floorS.toFixed(2)} s (saxes alone + COPY of the rows)`,
        ratio,
        bar: `≤ ${RATIO_MAX} ×`,
        met: ratio <= RATIO_MAX,
      },
      {
        what: `${what}, peak memory`,
        measured: `${peakMb} MB`,
        floor: '',
        ratio: null,
        bar: `≤ ${PEAK_MB_MAX} MB`,
        met: peakMb <= PEAK_MB_MAX,
      },
    ]
  } finally {
    await connection.close()
    await server.release()
    await rm(folder, { recursive: true, force: true })
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

function filesIn(folder: string): { file: string; rowsFile: string } {
  return { file: path.join(folder, 'statement.xml'), rowsFile: path.join(folder, 'rows.copy') }
}

async function inProcess(part: string, folder: string, address: DatabaseAddress): Promise<Measure> {
  const flags = [`--part=${part}`, `--folder=${folder}`, `--address=${JSON.stringify(address)}`]
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', SCRIPT, ...flags],
    { timeout: CHILD_TIMEOUT_MS },
  )
  return measure.parse(JSON.parse(stdout))
}

/** What a process of this file does. */
async function runPart(): Promise<void> {
  const { values } = parseArgs({
    options: {
      part: { type: 'string', default: '' },
      folder: { type: 'string', default: '' },
      address: { type: 'string', default: '' },
    },
  })
  const work = PARTS[values.part]
  if (work === undefined) throw new Error(`there is no part ${values.part}`)
  const connection = connect(JSON.parse(values.address))
  await connection.db.execute(sql`select 1`)
  const startedAt = performance.now()
  const rows = await work({ ...filesIn(values.folder), connection })
  const seconds = (performance.now() - startedAt) / 1000
  await connection.close()
  const peakMb = await ownPeakMb()
  process.stdout.write(JSON.stringify({ seconds, peakMb, rows } satisfies Measure))
}

/**
 * The peak of this process's own memory. What the system counts for a process as a whole
 * (`resourceUsage().maxRSS`) begins with the size of the process that started it.
 */
async function ownPeakMb(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]
  const peak = kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes)
  return Math.round((peak * 1024) / 1e6)
}

async function importOnce({ file, connection: { db } }: Work): Promise<number> {
  const [run] = await db
    .insert(runs)
    .values({ command: 'import-bank', appVersion: 'bench' })
    .returning({ id: runs.id })
  if (run === undefined) throw new Error('the run was not stored')
  const { files, rejected } = await importBankFiles(
    { db, progress: silentProgress },
    { runId: run.id, inbox: null, files: [file] },
  )
  for (const { fault } of rejected) throw fault
  return files.reduce((count, { newEntries }) => count + newEntries, 0)
}

async function parseOnly({ file }: Work): Promise<number> {
  let entries = 0
  const parser = new SaxesParser()
  parser.on('error', (error) => {
    throw error
  })
  parser.on('opentag', ({ name }) => {
    if (name === 'Ntry') entries += 1
  })
  parser.on('text', () => undefined)
  parser.on('closetag', () => undefined)
  for await (const chunk of createReadStream(file, { encoding: 'utf8' })) {
    parser.write(String(chunk))
  }
  parser.close()
  return entries
}

async function writeRows({ db }: Connection, rowsFile: string): Promise<void> {
  await db.execute(sql`drop table if exists floor_entries`)
  await db.execute(sql`create table floor_entries (like bank_entries including all)`)
  // In pieces: the driver's own stream of `copy … to stdout` may stop for good while the disk is slow.
  const rowsOf = async function* () {
    for (let afterId = 0; ;) {
      const rows = await db
        .select()
        .from(bankEntries)
        .where(gt(bankEntries.id, afterId))
        .orderBy(asc(bankEntries.id))
        .limit(ROWS_AT_ONCE)
      const last = rows.at(-1)
      if (last === undefined) return
      afterId = last.id
      yield rows.map((row) => copyText(Object.values(row))).join('')
    }
  }
  await pipeline(Readable.from(rowsOf()), createWriteStream(rowsFile))
}

async function copyOnly({ rowsFile, connection: { db } }: Work): Promise<number> {
  const rows = await db.$client`copy floor_entries from stdin`.writable()
  await pipeline(createReadStream(rowsFile), rows)
  const [counted] = await db.execute<{ rows: string }>(
    sql`select count(*) as rows from floor_entries`,
  )
  return Number(counted?.rows)
}

/** One statement of some 700 bytes an entry, as large banks write them; every tenth has a letter beyond ASCII. */
function* camtFile(entries: number): Generator<string> {
  const closingMinor = BigInt(entries) * 12_050n
  const lastDay = addDays(FIRST_DAY, DAYS - 1)
  yield '<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">\n<BkToCstmrStmt>\n<GrpHdr><MsgId>BENCH</MsgId><CreDtTm>2024-06-30T05:00:00</CreDtTm></GrpHdr>\n<Stmt>\n<Id>BENCH-1</Id>\n<Acct><Id><IBAN>FR7630006000011234567890189</IBAN></Id><Ccy>EUR</Ccy></Acct>\n'
  yield balance('OPBD', 0n, FIRST_DAY) + balance('CLBD', closingMinor, lastDay)
  for (let number = 1; number <= entries; number += 1) {
    const day = addDays(FIRST_DAY, Math.floor(((number - 1) * DAYS) / entries))
    const id = String(number).padStart(8, '0')
    const name = number % 10 === 0 ? 'Société Générale de Crédit' : 'ALMA SAS'
    yield `<Ntry>
  <NtryRef>${number}</NtryRef>
  <Amt Ccy="EUR">120.50</Amt>
  <CdtDbtInd>CRDT</CdtDbtInd>
  <Sts><Cd>BOOK</Cd></Sts>
  <BookgDt><Dt>${day}</Dt></BookgDt>
  <ValDt><Dt>${day}</Dt></ValDt>
  <AcctSvcrRef>BNK2024${id}</AcctSvcrRef>
  <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>
  <NtryDtls><TxDtls>
    <Refs><EndToEndId>E2E-${id}-2024</EndToEndId></Refs>
    <RltdPties><Dbtr><Pty><Nm>${name}</Nm></Pty></Dbtr><DbtrAcct><Id><IBAN>FR1420041010050500013M02606</IBAN></Id></DbtrAcct></RltdPties>
    <RmtInf><Ustrd>ALMA payout_${id}abcdefgh order ${number * 7} of shop ${number % 97}</Ustrd></RmtInf>
  </TxDtls></NtryDtls>
</Ntry>
`
  }
  yield '</Stmt>\n</BkToCstmrStmt>\n</Document>\n'
}

function balance(type: string, amountMinor: bigint, day: Day): string {
  return `<Bal><Tp><CdOrPrtry><Cd>${type}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">${formatAmount(amountMinor, 'EUR')}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>${day}</Dt></Dt></Bal>\n`
}

if (process.argv[1] === SCRIPT) await runPart()
