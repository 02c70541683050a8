/**
 * What a large camt.053 file costs: `npm run bench:bank -- --entries 100000`. Each row of the table
 * is a Node process of its own, whose peak memory counts alone; the database is an embedded one in
 * a temporary folder. The floor does, on the same machine at the same moment, what no import can do
 * without: saxes alone reads the file, and COPY alone writes the rows that the import stored.
 */
import { execFile } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import { SaxesParser } from 'saxes'
import { z } from 'zod'
import { connect, type Connection, type DatabaseAddress } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { migrate } from '../../db/migrate.ts'
import { runs } from '../../db/schema.ts'
import { importBankFiles } from '../../jobs/import-bank.ts'
import { addDays, type Day, parseDay } from '../../src/domain/day.ts'
import { formatAmount } from '../../src/domain/money.ts'
import { silentProgress } from '../../src/progress.ts'

/** What one process did and took. */
interface Measure {
  readonly seconds: number
  readonly peakMb: number
  readonly rows: number
}

const measure = z.object({ seconds: z.number(), peakMb: z.number(), rows: z.number() })

const SCRIPT = fileURLToPath(import.meta.url)
const CHILD_TIMEOUT_MS = 600_000
const PEAK_MB_MAX = 250
/** Node collects garbage late where it has room; with this much it shows what the import needs. */
const HEAP_MB = 112
const NAME_WIDTH = 40
const ENTRIES_DEFAULT = 100_000
const DAYS = 60
const FIRST_DAY = parseDay('2024-03-01')

/** What a process does, by name: each gets the bank file, the rows as COPY text, and the database. */
const PARTS: Readonly<Record<string, (work: Work) => Promise<number>>> = {
  'saxes alone': parseOnly,
  'COPY alone': copyOnly,
  'the import': importOnce,
  'the same file, known': importOnce,
}

interface Work {
  readonly file: string
  readonly rowsFile: string
  readonly connection: Connection
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      entries: { type: 'string', default: String(ENTRIES_DEFAULT) },
      part: { type: 'string' },
      folder: { type: 'string' },
      address: { type: 'string' },
    },
  })
  const { part, folder, address } = values
  if (part === undefined || folder === undefined || address === undefined) {
    await bench(Number(values.entries))
  } else {
    await runPart(part, folder, JSON.parse(address))
  }
}

async function bench(entries: number): Promise<void> {
  if (!Number.isInteger(entries) || entries < 1) throw new Error('--entries: a number was expected')
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-'))
  const server = await startEmbedded({ dataDir: path.join(folder, 'data') })
  try {
    const { file, rowsFile } = filesIn(folder)
    await pipeline(Readable.from(camtFile(entries)), createWriteStream(file))
    const { size } = await stat(file)
    const connection = connect(server.address)
    await migrate(connection.db, connection.where)
    const child = (part: string): Promise<Measure> => inProcess(part, folder, server.address)
    const imported = await child('the import')
    await writeRows(connection, rowsFile)
    const saxes = await child('saxes alone')
    const copy = await child('COPY alone')
    const known = await child('the same file, known')
    await connection.db.execute(sql`truncate bank_files, bank_statements, bank_entries cascade`)
    const limited = await inProcess('the import', folder, server.address, [
      `--max-old-space-size=${HEAP_MB}`,
    ])
    await connection.close()
    if (imported.rows !== entries || copy.rows !== entries || saxes.rows !== entries) {
      throw new Error(`${imported.rows}, ${copy.rows} and ${saxes.rows} of ${entries} entries`)
    }
    const floorSeconds = saxes.seconds + copy.seconds
    const line = (name: string, { seconds, peakMb }: Measure): string =>
      [
        name.padEnd(NAME_WIDTH),
        seconds
          .toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
          .padStart(7),
        (Math.round((seconds / floorSeconds) * 100) / 100).toString().padStart(8),
        String(peakMb).padStart(10),
      ].join(' ')
    process.stdout.write(
      [
        `camt.053 of ${entries} entries, ${Math.round(size / 1e6)} MB`,
        `${''.padEnd(NAME_WIDTH)} seconds  ratio  peak RSS in MB`,
        line('saxes alone', saxes),
        line('COPY alone', copy),
        line('the import', imported),
        line(`the import, --max-old-space-size=${HEAP_MB}`, limited),
        line('the same file, known', known),
        '',
      ].join('\n'),
    )
    for (const { peakMb, rows } of [imported, limited]) {
      if (rows !== entries) throw new Error(`${rows} of ${entries} entries were imported`)
      if (peakMb <= PEAK_MB_MAX) continue
      process.stderr.write(`${peakMb} MB are more than the ${PEAK_MB_MAX} MB that were aimed at\n`)
      process.exitCode = 1
    }
  } finally {
    await server.release()
    await rm(folder, { recursive: true, force: true })
  }
}

function filesIn(folder: string): { file: string; rowsFile: string } {
  return { file: path.join(folder, 'statement.xml'), rowsFile: path.join(folder, 'rows.copy') }
}

async function inProcess(
  part: string,
  folder: string,
  address: DatabaseAddress,
  nodeOptions: readonly string[] = [],
): Promise<Measure> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      ...nodeOptions,
      '--import',
      'tsx',
      SCRIPT,
      `--part=${part}`,
      `--folder=${folder}`,
      `--address=${JSON.stringify(address)}`,
    ],
    { timeout: CHILD_TIMEOUT_MS },
  )
  return measure.parse(JSON.parse(stdout))
}

async function runPart(part: string, folder: string, address: DatabaseAddress): Promise<void> {
  const work = PARTS[part]
  if (work === undefined) throw new Error(`there is no part ${part}`)
  const connection = connect(address)
  await connection.db.execute(sql`select 1`)
  const startedAt = performance.now()
  const rows = await work({ ...filesIn(folder), connection })
  const seconds = (performance.now() - startedAt) / 1000
  await connection.close()
  const peakMb = Math.round((process.resourceUsage().maxRSS * 1024) / 1e6)
  process.stdout.write(JSON.stringify({ seconds, peakMb, rows } satisfies Measure))
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
  await db.execute(sql`create table floor_entries (like bank_entries including all)`)
  const rows = await db.$client`copy bank_entries to stdout`.readable()
  await pipeline(rows, createWriteStream(rowsFile))
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

await main()
