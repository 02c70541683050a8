import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server as TcpServer,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { insertBankFile } from '../../db/bank.ts'
import type { Db } from '../../db/client.ts'
import { beginDelivery, endDelivery } from '../../db/mail-deliveries.ts'
import { loadStatementEnds } from '../../db/doctor-facts.ts'
import { finishRun, startRun } from '../../db/runs.ts'
import { runCli } from '../../jobs/cli.ts'
import { silentProgress } from '../../src/progress.ts'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts'

const KEY = 'sk_test_0123456789abcdefghij'

interface Check {
  readonly check: string
  readonly state: string
  readonly found: string
  readonly to_do: string | null
}

let dir = ''
let provider: Server
let providerUrl = ''
let nowMs = 0
/** Authorization headers that the provider saw. */
let authorizations: (string | undefined)[] = []

beforeAll(async () => {
  provider = createServer((request, response) => {
    authorizations.push(request.headers.authorization)
    if (request.url?.startsWith('/hanging/') === true) return
    const known = request.headers.authorization === `Alma-Auth ${KEY}`
    response.writeHead(known ? 200 : 401, { 'content-type': 'application/json' })
    const refusal = { message: 'Credentials invalid or not supplied' }
    response.end(JSON.stringify(known ? { data: [], has_more: false } : refusal))
  })
  providerUrl = await listen(provider)
})
afterAll(async () => {
  provider.closeAllConnections()
  await new Promise((resolve) => provider.close(resolve))
})
beforeEach(async () => {
  authorizations = []
  nowMs = 0
  dir = await mkdtemp(join(tmpdir(), 'alma-doctor-'))
})
afterEach(() => rm(dir, { recursive: true }))

async function listen(server: Server | TcpServer): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  return `http://127.0.0.1:${address.port}`
}

async function doctor(
  env: Record<string, string>,
): Promise<{ exitCode: number; checks: Check[]; of: (check: string) => Check[] }> {
  let out = ''
  const exitCode = await runCli(['doctor', '--json'], env, {
    cwd: dir,
    out: (text) => (out += text),
    err: () => undefined,
    progress: { ...silentProgress, close: () => undefined },
    now: () => new Date(nowMs),
    signal: new AbortController().signal,
  })
  const { checks } = JSON.parse(out) as { checks: Check[] }
  return { exitCode, checks, of: (name) => checks.filter(({ check }) => check === name) }
}

async function insertKnownFile(db: Db, content: string): Promise<void> {
  const runId = await startRun(db, {
    command: 'import-bank',
    period: null,
    asOf: null,
    appVersion: '0.1.0',
  })
  await db.transaction((tx) =>
    insertBankFile(tx, {
      sha256: createHash('sha256').update(content).digest('hex'),
      name: 'known.csv',
      format: 'csv',
      formatVersion: null,
      bytes: content.length,
      runId,
    }),
  )
  await finishRun(db, runId, 0)
}

describe('with a database', () => {
  let migrated: TestDatabase
  let empty: TestDatabase
  beforeAll(async () => {
    migrated = await createTestDatabase()
    empty = await createEmptyDatabase()
  })
  afterAll(async () => {
    await migrated.drop()
    await empty.drop()
  })

  test('everything in order: exit 0, and nothing was changed', async () => {
    const mail = createTcpServer((socket) =>
      socket.on('error', () => undefined).end('220 hello\r\n'),
    )
    const mailUrl = await listen(mail)
    await mkdir(join(dir, 'inbox', 'march'), { recursive: true })
    await writeFile(join(dir, 'inbox', 'march', 'a.xml'), 'x')
    await writeFile(join(dir, 'inbox', 'known.csv'), 'known')
    await insertKnownFile(migrated.db, 'known')
    nowMs = Date.now()
    await writeFile(join(dir, 'inbox', '.hidden'), 'x')
    await writeFile(join(dir, 'inbox', 'b.csv.part'), 'x')
    const { exitCode, checks, of } = await doctor({
      ALMA_API_KEY: KEY,
      ALMA_API_URL: providerUrl,
      DATABASE_URL: migrated.url,
      SMTP_URL: mailUrl.replace('http', 'smtp'),
      MAIL_FROM: 'a@example.com',
      MAIL_TO: 'b@example.com',
    })
    await new Promise((resolve) => mail.close(resolve))
    const amiss = checks.filter(({ state }) => state !== 'ok')
    // The server of the tests keeps nothing over a power cut, and is told to.
    expect(amiss.filter(({ found }) => !found.includes('off: fsync'))).toEqual([])
    expect(of('database')[1]?.found).toMatch(
      /^Postgres \d+.*: shared_buffers \w+, max_connections \d+, data_checksums (on|off)/,
    )
    expect(of('clock')[0]?.found).toMatch(/^this machine's clock is .*, by the answer of http/)
    expect(exitCode).toBe(0)
    expect(of('provider')[0]?.found).toBe(`${providerUrl} accepts the test key of "default"`)
    expect(of('database')[0]?.found).toContain('up to date')
    expect(of('inbox')[0]?.found).toContain('files in it: 2, to be taken in: 1 (march/a.xml)')
    expect(of('runs').map(({ found }) => found)).toEqual([
      expect.stringMatching(/^last run: import-bank, begun .*, ended with exit code 0$/),
      'no night yet',
    ])
    expect(await readdir(dir)).toEqual(['inbox'])
    // The clock is asked without the key.
    expect(authorizations).toEqual([`Alma-Auth ${KEY}`, undefined])
  })

  test('what earlier runs left behind: their exit codes, and mails that never arrived', async () => {
    const { db } = migrated
    const run = { period: null, asOf: null, appVersion: '0.1.0' }
    const nightId = await startRun(db, { ...run, command: 'nightly' })
    await finishRun(db, nightId, 4)
    const mailOf = (period: string, resultSha256: string) => ({
      period,
      recipients: 'a@example.com,b@example.com',
      resultSha256,
    })
    const refused = 'it answered "550 <a@example.com>: no such mailbox"'
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await endDelivery(db, await beginDelivery(db, mailOf('2024-W12', 'a'), nightId), refused)
    }
    await beginDelivery(db, mailOf('2024-W13', 'b'), nightId)
    await endDelivery(db, await beginDelivery(db, mailOf('2024-W14', 'c'), nightId), refused)
    // What they were to be told has changed since, and they know it.
    await endDelivery(db, await beginDelivery(db, mailOf('2024-W14', 'd'), nightId), null)
    await startRun(db, { ...run, command: 'reconcile', period: '2024-W12' })
    nowMs = Date.now() + 40 * 3_600_000

    const { exitCode, of } = await doctor({
      ALMA_API_KEY: KEY,
      ALMA_API_URL: providerUrl,
      DATABASE_URL: migrated.url,
    })
    expect(exitCode).toBe(0)
    expect(of('runs')).toMatchObject([
      {
        state: 'warn',
        found: expect.stringMatching(/^last run: reconcile 2024-W12, .*has not ended$/),
      },
      { state: 'warn', found: expect.stringMatching(/^last night: nightly, .*exit code 4$/) },
      { state: 'warn', found: 'no night has begun for 40 hours' },
    ])
    const mails = of('mail').filter(({ found }) => found.startsWith('the mail of'))
    expect(mails.map(({ found }) => found.replace(/\d{4}-\d\d-\d\d [\d:]{8}/, 'DAY'))).toEqual([
      'the mail of 2024-W12 to 2 recipients is not delivered; attempts: 2, the last DAY: it answered "550 <(address)>: no such mailbox"',
      'the mail of 2024-W13 to 2 recipients is not delivered; attempts: 1, the last DAY: the answer of the mail server never came',
    ])
  })

  test('a clock that is wrong, and accounts whose statements stopped coming', async () => {
    const { db } = migrated
    const canonical = (account: string, day: string): string =>
      `account,booking_date,value_date,amount,currency,counterparty_name,counterparty_iban,remittance,end_to_end_id,bank_reference,opening_balance,closing_balance\n${account},${day},,,EUR,,,,,,100.00,100.00\n`
    await mkdir(join(dir, 'inbox'))
    const days = { FR7630006000011234567890189: '2024-03-20', DE89370400440532013000: '2024-03-27' }
    for (const [account, day] of Object.entries(days)) {
      await writeFile(join(dir, 'inbox', `${account}.csv`), canonical(account, day))
    }
    const files = Object.keys(days).map((account) => join('inbox', `${account}.csv`))
    let err = ''
    const imported = await runCli(
      ['import-bank', ...files],
      { DATABASE_URL: migrated.url },
      {
        cwd: dir,
        out: () => undefined,
        err: (text) => (err += text),
        progress: { ...silentProgress, close: () => undefined },
        now: () => new Date(),
        signal: new AbortController().signal,
      },
    )
    expect({ imported, err }).toEqual({ imported: 0, err: '' })
    expect(await loadStatementEnds(db)).toHaveLength(2)
    nowMs = Date.parse('2024-03-28T10:00:00Z')
    const { of } = await doctor({
      ALMA_API_KEY: KEY,
      ALMA_API_URL: providerUrl,
      DATABASE_URL: migrated.url,
    })
    expect(of('statements')).toMatchObject([
      { state: 'ok', found: 'statements of DE89370400440532013000 end on 2024-03-27, 1 day ago' },
      {
        state: 'warn',
        found: 'statements of FR7630006000011234567890189 end on 2024-03-20, 8 days ago',
        to_do: expect.stringContaining('inbox'),
      },
    ])
    expect(of('clock')).toMatchObject([
      { state: 'warn', found: expect.stringMatching(/clock is \d+ s behind/) },
    ])
    // An account that was left long ago is not missed every day.
    nowMs = Date.parse('2025-03-28T10:00:00Z')
    const later = await doctor({ DATABASE_URL: migrated.url })
    expect(later.of('statements').map(({ state }) => state)).toEqual(['ok', 'ok'])
  })

  test('pending migrations are counted, not applied', async () => {
    const look = () =>
      doctor({ DATABASE_URL: empty.url, ALMA_API_KEY: KEY, ALMA_API_URL: providerUrl })
    const first = await look()
    expect(first.exitCode).toBe(0)
    expect(first.of('database')).toMatchObject([
      { state: 'warn', found: expect.stringMatching(/(\d+) of \1 migrations are pending/) },
    ])
    expect((await look()).of('database')).toEqual(first.of('database'))
  })
})

describe('without one', () => {
  test('nothing configured: a key is missing, and no cluster is made to find out', async () => {
    const { exitCode, of } = await doctor({})
    expect(exitCode).toBe(3)
    expect(of('provider')).toMatchObject([
      { state: 'fault', found: expect.stringContaining('ALMA_API_KEY is not set') },
    ])
    expect(of('database')).toMatchObject([
      { state: 'ok', found: expect.stringContaining('will be created') },
    ])
    expect(of('mail')).toMatchObject([{ state: 'warn' }])
    expect(of('inbox')).toMatchObject([{ state: 'warn' }])
    expect(await readdir(dir)).toEqual([])
  })

  test('a refused key: exit 3 with the provider’s answer, never the key', async () => {
    const { exitCode, checks, of } = await doctor({
      ALMA_API_KEY: 'sk_test_wrong',
      ALMA_API_URL: providerUrl,
    })
    expect(exitCode).toBe(3)
    expect(of('provider')[0]?.found).toContain('Credentials invalid or not supplied')
    expect(JSON.stringify(checks)).not.toContain('sk_test_wrong')
  })

  test('servers that are not there: exit 4, each named, no password', async () => {
    const gone = createServer()
    const url = await listen(gone)
    await new Promise((resolve) => gone.close(resolve))
    const { exitCode, checks, of } = await doctor({
      ALMA_API_KEY: KEY,
      ALMA_API_URL: url,
      DATABASE_URL: url.replace('http://', 'postgres://me:hunter2@'),
      SMTP_URL: url.replace('http://', 'smtp://me:hunter2@'),
      MAIL_FROM: 'a@example.com',
      MAIL_TO: 'b@example.com',
    })
    expect(exitCode).toBe(4)
    for (const check of ['provider', 'database', 'mail']) {
      expect(of(check)).toMatchObject([
        { state: 'fault', found: expect.stringContaining(url.replace('http://', '')) },
      ])
    }
    expect(JSON.stringify(checks)).not.toContain('hunter2')
  })

  test('wrong settings: all listed, and nothing is asked of a host that they may have got wrong', async () => {
    const { exitCode, of } = await doctor({
      ALMA_API_KEY: KEY,
      ALMA_API_URL: 'http://evil.example',
      DATABASE_URL: 'mysql://x',
      CSV_DIALECT: 'de',
    })
    expect(exitCode).toBe(3)
    expect(of('settings').map(({ found }) => found.split(':')[0])).toEqual([
      'ALMA_API_URL',
      'DATABASE_URL',
      'CSV_DIALECT',
    ])
    for (const check of ['provider', 'database']) {
      expect(of(check)).toMatchObject([
        { state: 'warn', found: 'not looked at, because its settings are wrong' },
      ])
    }
    expect(authorizations).toEqual([])
  })

  test('bank profiles of one’s own: all that is wrong in them, exit 3', async () => {
    await mkdir(join(dir, 'profiles'))
    const settings = { ALMA_API_KEY: KEY, ALMA_API_URL: providerUrl, BANK_PROFILES_DIR: 'profiles' }
    expect((await doctor(settings)).of('profiles')).toMatchObject([{ state: 'ok' }])
    await writeFile(join(dir, 'profiles', 'mine.json'), '{ "name": "mine" }')
    const { exitCode, of } = await doctor(settings)
    expect(exitCode).toBe(3)
    expect(of('profiles')).toMatchObject([
      { state: 'fault', found: expect.stringContaining('mine.json') },
    ])
    expect((await doctor({})).of('profiles')).toEqual([])
  })

  test('a folder that is a file: says which setting to change', async () => {
    await writeFile(join(dir, 'var'), '')
    const { of } = await doctor({})
    expect(of('data')).toMatchObject([
      { state: 'fault', to_do: expect.stringContaining('DATA_DIR') },
    ])
  })
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  '%s ends it in time with exit code %i, through tsx as npm runs it',
  async (signal, code) => {
    const bin = fileURLToPath(new URL('../../node_modules/tsx/dist/cli.mjs', import.meta.url))
    const cli = fileURLToPath(new URL('../../jobs/cli.ts', import.meta.url))
    const { PATH = '' } = process.env
    const child = spawn(process.execPath, [bin, cli, 'doctor'], {
      cwd: dir,
      env: { PATH, ALMA_API_KEY: KEY, ALMA_API_URL: `${providerUrl}/hanging` },
    })
    let err = ''
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    await once(provider, 'request')
    const sentMs = performance.now()
    child.kill(signal)
    await once(child, 'close')
    expect({ code: child.exitCode, err }).toEqual({
      code,
      err: expect.stringContaining(`stopped by ${signal}`),
    })
    expect(performance.now() - sentMs).toBeLessThan(8_000)
  },
)
