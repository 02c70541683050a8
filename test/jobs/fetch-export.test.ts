import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { asc, eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startRun } from '../../db/runs.ts'
import { balanceTransactions, dataExports, exportLines, ledgerRanges } from '../../db/schema.ts'
import { type ExportFetch, fetchExport } from '../../jobs/fetch-export.ts'
import { syncLedger } from '../../jobs/sync-ledger.ts'
import { parseDay } from '../../src/domain/day.ts'
import { parseWeek, periodInstants } from '../../src/domain/period.ts'
import { InputFault, UnavailableFault } from '../../src/errors.ts'
import { silentProgress } from '../../src/progress.ts'
import type { ProviderClient } from '../../src/provider/client.ts'
import { type ExportLine, readExportFile } from '../../src/provider/export-file.ts'
import { createDownloader } from '../../src/provider/exports.ts'
import type { SandboxAccount } from '../../src/sandbox/model.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { accountOf, addPayout, clientOf, KEY } from './provider-account.ts'

const { startS, endS } = periodInstants(parseWeek('2024-W11'), 'Europe/Paris')
const EXPORTS = /data-exports/

let database: TestDatabase
let sandbox: Sandbox
let account: SandboxAccount
let dataDir: string
let nowMs: number

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  account = accountOf(800)
  sandbox = await startSandbox({ world: { accounts: [account], bankAccounts: [] } })
  dataDir = await mkdtemp(join(tmpdir(), 'fetch-export-'))
  nowMs = (endS + 3 * 3_600) * 1000
})
afterEach(async () => {
  await sandbox.close()
  await rm(dataDir, { recursive: true })
  await database.db.execute(sql`truncate runs, export_lines cascade`)
  await database.db.delete(ledgerRanges)
})

interface FetchOptions {
  client?: ProviderClient
  asOfEndS?: number
  timeoutSeconds?: number
  entity?: string
  keepCustomerData?: boolean
  onLines?: () => void
}

async function newRun(): Promise<number> {
  return startRun(database.db, {
    command: 'reconcile',
    period: '2024-W11',
    asOf: null,
    appVersion: 'test',
  })
}

/** One night: a run of its own; `now` moves only while it sleeps. */
async function fetch(options: FetchOptions = {}): Promise<ExportFetch> {
  const sleep = async (waitMs: number): Promise<void> => {
    nowMs += waitMs
  }
  sandbox.requests.length = 0
  const { onLines = () => undefined } = options
  return fetchExport(
    {
      db: database.db,
      client: options.client ?? clientOf(sandbox.url),
      progress: {
        ...silentProgress,
        step: () => ({ advance: onLines, done: () => undefined }),
      },
      now: () => nowMs,
      sleep,
      downloader: createDownloader({ sleep: async () => undefined }),
    },
    {
      entity: options.entity ?? 'shop',
      runId: await newRun(),
      startS,
      endS,
      asOfEndS: options.asOfEndS ?? endS + 86_400,
      dataDir,
      timeoutSeconds: options.timeoutSeconds ?? 600,
      keepCustomerData: options.keepCustomerData ?? false,
    },
  )
}

async function sync(): Promise<void> {
  await syncLedger(
    { db: database.db, client: clientOf(sandbox.url), progress: silentProgress },
    {
      entity: 'shop',
      runId: await newRun(),
      asOf: parseDay('2024-03-18'),
      currency: 'EUR',
      since: null,
      reread: { startS, endS },
    },
  )
}

const states = async () => {
  const rows = await database.db
    .select({ state: dataExports.state, exportId: dataExports.exportId })
    .from(dataExports)
    .orderBy(asc(dataExports.requestNumber))
  return rows.map(({ state }) => state)
}

const lines = async (requestNumber: number) =>
  database.db
    .select()
    .from(exportLines)
    .where(eq(exportLines.requestNumber, requestNumber))
    .orderBy(asc(exportLines.lineNumber))

const posts = (): number => sandbox.requests.filter(({ method }) => method === 'POST').length

const rowsOfWeek = () => account.rows.filter(({ created }) => created >= startS && created < endS)

describe('an export', () => {
  test('is asked for, waited for, archived and stored line by line', async () => {
    sandbox.switches.exportPolls = 3
    const fetched = await fetch()
    const rows = rowsOfWeek()
    expect(rows.length).toBeGreaterThan(300)
    expect(fetched).toMatchObject({ rows: rows.length, reused: false })
    const stored = await lines(fetched.requestNumber)
    expect(
      stored.map((line) => [
        line.balanceTransactionId,
        Number(line.grossMinor),
        Number(line.netMinor),
      ]),
    ).toEqual(rows.map((row) => [row.id, row.amount, row.net_amount]))
    expect(stored[0]?.lineNumber).toBe(2)
    const file = await readFile(join(dataDir, fetched.archivedAs), 'utf8')
    expect(fetched.archivedAs).toBe(`archive/shop/${fetched.exportId}.csv`)
    expect(file).toContain('Identifiant ligne comptable')
    expect(await readdir(join(dataDir, 'archive/shop'))).toHaveLength(1)
    expect(await states()).toEqual(['stored'])
  })

  test('is fetched from the other host without the key', async () => {
    await fetch()
    const downloads = sandbox.requests.filter(({ host }) => host === 'export')
    expect(downloads).toHaveLength(1)
    expect(JSON.stringify(downloads)).not.toContain(KEY)
    expect(sandbox.requests.filter(({ host }) => host === 'api').length).toBeGreaterThan(1)
  })

  test.each([
    ['only from the API, with the key', { exportDownload: 'format_only' as const }],
    ['under addresses that expire at once', { exportUrlLifetimeMs: -1 }],
    [
      'with semicolons, a mark, odd apostrophes and further columns',
      {
        exportDelimiter: ';' as const,
        exportBom: true,
        exportApostrophe: 'typographic' as const,
        exportExtraColumns: true,
      },
    ],
    ['created with status 201', { exportCreatedStatus: 201 as const }],
    ['with rows of the last instant', { exportEnd: 'inclusive' as const }],
    ['without payout rows', { exportPayoutRows: false }],
  ])('the provider serves it %s: stored all the same', async (_, switches) => {
    Object.assign(sandbox.switches, switches)
    const { rows, requestNumber } = await fetch()
    expect(rows).toBeGreaterThan(300)
    expect(await lines(requestNumber)).toHaveLength(rows)
  })

  test.each([
    ['keeps no customer, unless asked to', false],
    ['keeps customers in the archive where asked to, never in the database', true],
  ])('%s', async (_name, keepCustomerData) => {
    sandbox.switches.exportExtraColumns = true
    account.rows.forEach((row, at) => {
      const id = row.payment_id
      if (id === null) return
      account.payments.set(id, {
        id,
        created: row.created,
        purchase_amount: row.amount,
        kind: 'P3X',
        installments_count: 3,
        deferred_days: 0,
        deferred_months: 0,
        state: 'paid',
        refunds: [],
        customer: {
          first_name: 'Zoraïde',
          last_name: `Quux${at}`,
          email: `zoraide${at}@example.com`,
        },
        orders: [{ id: `order_${at}`, created: row.created, merchant_reference: `A-${at}` }],
      })
    })
    const { requestNumber, archivedAs, sha256 } = await fetch({ keepCustomerData })
    const dump = JSON.stringify(await lines(requestNumber), (_, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    )
    expect(dump).not.toMatch(/Zora|Quux|example\.com/i)
    const file = await readFile(join(dataDir, archivedAs), 'utf8')
    expect(/Zora|Quux|example\.com/i.test(file)).toBe(keepCustomerData)
    expect(createHash('sha256').update(file).digest('hex') === sha256).toBe(keepCustomerData)
    expect((await stat(join(dataDir, archivedAs))).mode & 0o777).toBe(0o600)
    expect(await readdir(dirname(join(dataDir, archivedAs)))).toHaveLength(1)
    // What is archived reads as what was stored.
    const again: ExportLine[] = []
    for await (const batch of readExportFile(join(dataDir, archivedAs), 'again')) {
      again.push(...batch)
    }
    expect(await lines(requestNumber)).toMatchObject(again)
  })

  test.each([
    ['the last midnight, of a period in progress', 3 * 86_400 + 5 * 3_600, 4 * 86_400, 3 * 86_400],
    [
      'the end of the day that counts as today, if that is over',
      400 * 86_400,
      4 * 86_400,
      4 * 86_400,
    ],
    ['the end of the day, on the first day of the period', 5 * 3_600, 86_400, 86_400],
    ['the end of a period that is over', 7 * 86_400 + 3_600, 8 * 86_400, 7 * 86_400],
  ])('goes up to %s', async (_, nowS, asOfEndS, expectedEndS) => {
    nowMs = (startS + nowS) * 1000
    const { requestNumber } = await fetch({ asOfEndS: startS + asOfEndS })
    const [request] = await database.db.select().from(dataExports)
    expect([request?.startS, request?.endS]).toEqual([startS, startS + expectedEndS])
    const rows = rowsOfWeek().filter(({ created }) => created < startS + expectedEndS)
    expect(await lines(requestNumber)).toHaveLength(rows.length)
  })

  test('of entities whose names no file system takes goes to folders of their own', async () => {
    const first = await fetch({ entity: '../Étoile' })
    const second = await fetch({ entity: '../Ètoile' })
    const folders = [first, second].map(({ archivedAs }) => archivedAs.split('/')[1])
    expect(new Set(folders).size).toBe(2)
    expect(await readdir(join(dataDir, 'archive'))).toHaveLength(2)
  })
})

describe('the next night', () => {
  test('takes what is stored, if nothing of the period has changed since', async () => {
    await sync()
    const first = await fetch()
    await sync()
    expect(await fetch()).toEqual({ ...first, reused: true })
    expect(sandbox.requests).toEqual([])
  })

  test('asks for a new one if a row of the period has changed since', async () => {
    await sync()
    const first = await fetch()
    const row = rowsOfWeek()[20]
    if (row !== undefined) row.amount += 5
    await sync()
    const second = await fetch()
    expect(second).toMatchObject({ reused: false })
    expect(second.requestNumber).toBeGreaterThan(first.requestNumber)
    expect(await states()).toEqual(['stored', 'stored'])
  })

  test('does not mind what changed outside the period', async () => {
    await sync()
    await fetch()
    addPayout(account)
    await sync()
    expect(await fetch()).toMatchObject({ reused: true })
  })

  test('asks for a new one if the stored one was made before its last day was over', async () => {
    nowMs = (startS + 3_600) * 1000
    await fetch({ asOfEndS: startS + 86_400 })
    expect(await fetch({ asOfEndS: startS + 86_400 })).toMatchObject({ reused: false })
    expect(posts()).toBe(1)
  })

  test('resumes one that was not complete in time, and does not ask again', async () => {
    sandbox.switches.exportStuck = true
    const fault: unknown = await fetch({ timeoutSeconds: 30 }).catch((error: unknown) => error)
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(String(fault)).toMatch(/is not complete after 30 s/)
    const polls = sandbox.requests.filter(({ method }) => method === 'GET').length
    expect(polls).toBeGreaterThan(5)
    expect(polls).toBeLessThan(20)
    expect(await states()).toEqual(['pending'])
    sandbox.switches.exportStuck = false
    await fetch()
    expect(posts()).toBe(0)
    expect(await states()).toEqual(['stored'])
  })

  test('gives up one that has not come in a day, and asks for another', async () => {
    sandbox.switches.exportStuck = true
    await fetch({ timeoutSeconds: 1 }).catch(() => undefined)
    sandbox.switches.exportStuck = false
    sandbox.switches.exportPolls = 100_000
    nowMs += 25 * 3_600_000
    await fetch({ timeoutSeconds: 1 }).catch(() => undefined)
    expect(posts()).toBe(1)
    expect(await states()).toEqual(['failed', 'pending'])
  })

  test('asks for another if the provider has forgotten the one that was pending', async () => {
    sandbox.switches.exportStuck = true
    await fetch({ timeoutSeconds: 1 }).catch(() => undefined)
    sandbox.switches.exportStuck = false
    sandbox.script({ method: 'GET', path: EXPORTS, times: 1, fault: { do: 'status', status: 404 } })
    expect(await fetch()).toMatchObject({ reused: false })
    expect(await states()).toEqual(['failed', 'stored'])
  })

  test('asks again where the answer to the request never came', async () => {
    sandbox.script({ method: 'POST', times: 1, fault: { do: 'reset', at: 'before_body' } })
    await expect(fetch()).rejects.toThrow('may have acted on it')
    expect(await states()).toEqual(['asked'])
    await fetch()
    expect(await states()).toEqual(['failed', 'stored'])
  })

  test('after a kill while the provider was at work takes up where that was', async () => {
    const client = clientOf(sandbox.url)
    await expect(
      fetch({ client: { ...client, getJson: () => Promise.reject(new Error('killed')) } }),
    ).rejects.toThrow('killed')
    expect(await states()).toEqual(['pending'])
    const { rows } = await fetch()
    expect(posts()).toBe(0)
    expect(await countLines()).toBe(rows)
  })

  test('after the database gave up in the middle of the file has no half of it', async () => {
    const rows = 60_000
    instead(manyLines(rows))
    const cancelled: Promise<number>[] = []
    const onLines = (): void => {
      if (cancelled.length > 0) return
      const cancelling = database.db
        .execute(
          sql`select pg_cancel_backend(pid) from pg_stat_activity
            where datname = current_database() and query like 'copy %'`,
        )
        .then(({ count }) => count)
      cancelled.push(cancelling)
    }
    await expect(fetch({ onLines })).rejects.toMatchObject({ cause: { code: '57014' } })
    expect(await Promise.all(cancelled)).toEqual([1])
    expect(await states()).toEqual(['pending'])
    expect(await countLines()).toBe(0)
    expect(await readdir(join(dataDir, 'archive/shop'))).toEqual([])
    instead(manyLines(rows))
    expect(await fetch()).toMatchObject({ rows, reused: false })
    expect(posts()).toBe(0)
    expect(await states()).toEqual(['stored'])
    expect(await countLines()).toBe(rows)
  })
})

const LABELS_LINE =
  "Créée (Heure Europe/Paris),Montant brut (centimes),Frais Alma (centimes),Montant net (centimes),Montant TVA (centimes),Nombre d'échéances,Nom client,Email client,Identifiant ligne comptable,Identifiant paiement,Identifiant remboursement"

/** The file of the next export, whatever was asked for. */
function instead(body: string): void {
  sandbox.script({
    host: 'export',
    times: 1,
    fault: {
      do: 'answer',
      with: () => ({ status: 200, headers: { 'content-type': 'text/csv' }, body }),
    },
  })
}

function manyLines(count: number): string {
  const sales = Array.from(
    { length: count },
    (_, at) => `2024-03-12 10:00:00,100,4,96,1,3,A,a@example.com,balance_txn_${at},payment_${at},`,
  )
  return [LABELS_LINE, ...sales, ''].join('\n')
}

async function countLines(): Promise<number> {
  const [count] = await database.db.select({ lines: sql<number>`count(*)::int` }).from(exportLines)
  return count?.lines ?? 0
}

describe('a file that is not what was asked for', () => {
  const FILE = [
    LABELS_LINE,
    '2024-03-12 10:00:00,100,4,96,1,3,A,a@example.com,balance_txn_1,payment_1,',
    '2024-03-13 10:00:00,100,4,96,1,3,A,a@example.com,balance_txn_2,payment_2,',
    '',
  ].join('\n')

  test.each<[string, (csv: string) => string, RegExp]>([
    [
      'lacks a label',
      (csv) => csv.replace('Montant net', 'Net'),
      /“Montant net \(centimes\)” is missing/,
    ],
    [
      'holds no cents',
      (csv) => csv.replace('02,100,', '02,100.5,').replace('00,100,4', '00,1.00,4'),
      /line 2, column “Montant brut/,
    ],
    ['is cut off', (csv) => csv.slice(0, -20), /line 3 has 9 cells, 11 were expected/],
    ['is empty', () => '', /is empty/],
    [
      'is of another week',
      (csv) => csv.replaceAll('2024-03-1', '2024-04-1'),
      /none of its 2 dated lines lies in the period/,
    ],
  ])(
    'that %s is refused whole, kept as evidence, and asked for anew the next time',
    async (_, change, expected) => {
      instead(change(FILE))
      const fault: unknown = await fetch().catch((error: unknown) => error)
      expect(fault).toBeInstanceOf(InputFault)
      expect(String(fault)).toMatch(expected)
      expect(await database.db.select().from(exportLines)).toEqual([])
      expect(await states()).toEqual(['failed'])
      const [evidence = '', ...others] = await readdir(join(dataDir, 'archive/shop'))
      expect(others).toEqual([])
      const kept = await readFile(join(dataDir, 'archive/shop', evidence), 'utf8')
      expect(kept).not.toContain('a@example.com')
      expect(await fetch()).toMatchObject({ reused: false })
      expect(await states()).toEqual(['failed', 'stored'])
    },
  )

  test('late in it: what was read before is not stored, and the evidence goes to its end', async () => {
    const many = manyLines(20_000)
    instead(
      many.replace(
        '100,4,96,1,3,A,a@example.com,balance_txn_19000,',
        '1,00,4,96,1,3,A,a@example.com,balance_txn_19000,',
      ),
    )
    await expect(fetch()).rejects.toThrow(/line 19002 has 12 cells, 11 were expected/)
    expect(await countLines()).toBe(0)
    const [evidence = ''] = await readdir(join(dataDir, 'archive/shop'))
    const kept = await readFile(join(dataDir, 'archive/shop', evidence), 'utf8')
    const copied = kept.trimEnd().split('\n')
    expect(copied).toHaveLength(20_001)
    expect(copied[19_001]).toBe('')
    expect(copied.at(-1)).toContain('balance_txn_19999')
  })

  test('with labels and not a line is legal', async () => {
    instead(`${LABELS_LINE}\n`)
    expect(await fetch()).toMatchObject({ rows: 0 })
  })

  test('a ledger that is stored is never touched by it', async () => {
    await sync()
    const before = await database.db.select().from(balanceTransactions)
    instead('nonsense')
    await fetch().catch(() => undefined)
    expect(await database.db.select().from(balanceTransactions)).toEqual(before)
  })
})
