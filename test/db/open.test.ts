import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withReadableErrors } from '../../db/client.ts'
import { migrationState } from '../../db/migrate.ts'
import { openDatabase } from '../../db/open.ts'
import { ConfigurationFault, Fault, UnavailableFault } from '../../src/errors.ts'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts'

const faultOf = async (work: () => Promise<unknown>): Promise<Fault> => {
  try {
    await work()
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
  throw new Error('a fault was expected')
}

const openUrl = (databaseUrl: string): ReturnType<typeof openDatabase> =>
  openDatabase({ databaseUrl, dataDir: '/nonexistent' })

describe('opening the database', () => {
  test('without DATABASE_URL starts the embedded one, migrated', async () => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'alma-open-'))
    try {
      const opened = await openDatabase({ databaseUrl: null, dataDir })
      const state = await migrationState(opened.db)
      expect(state.applied).toBe(state.shipped)
      expect(opened.where).toBe('the embedded Postgres')
      await Promise.all([opened.close(), opened.close()])
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  test('with DATABASE_URL migrates the database of that server', async () => {
    const database = await createEmptyDatabase()
    try {
      const opened = await openUrl(database.url)
      const state = await migrationState(opened.db)
      expect(state.applied).toBe(state.shipped)
      await opened.close()
    } finally {
      await database.drop()
    }
  })

  test('of a name that is not there is a matter of configuration', async () => {
    const database = await createTestDatabase()
    await database.drop()
    const fault = await faultOf(() => openUrl(database.url))
    expect(fault).toBeInstanceOf(ConfigurationFault)
    expect(fault.message).toContain('3D000')
  })
})

describe('a server that cannot be reached', () => {
  let silent: Server
  let port: number

  beforeAll(async () => {
    // Takes connections and never answers, like a firewall that swallows packets.
    silent = createServer(() => undefined)
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    port = typeof address === 'object' && address !== null ? address.port : 0
  })
  afterAll(() => silent.close())

  const expectNamed = (fault: Fault, where: string): void => {
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(fault.exitCode).toBe(4)
    expect(fault.message).toContain(where)
    expect(fault.hint).toContain('DATABASE_URL')
    for (const secret of ['merchant', 'hunter2']) {
      expect(`${fault.message} ${fault.hint ?? ''}`).not.toContain(secret)
    }
  }

  test('because nothing listens there is named by host and port', async () => {
    const fault = await faultOf(() => openUrl('postgres://merchant:hunter2@127.0.0.1:1/books'))
    expectNamed(fault, 'the Postgres server at 127.0.0.1:1 cannot be reached (ECONNREFUSED)')
  })

  test('because its name does not exist is named too', async () => {
    const fault = await faultOf(() => openUrl('postgres://merchant:hunter2@db.invalid/books'))
    expectNamed(fault, 'the Postgres server at db.invalid:5432')
  })

  test('because it does not answer is given up after seconds', async () => {
    const began = Date.now()
    const fault = await faultOf(() =>
      openUrl(`postgres://merchant:hunter2@127.0.0.1:${port}/books`),
    )
    expectNamed(fault, `the Postgres server at 127.0.0.1:${port}`)
    expect(Date.now() - began).toBeLessThan(20_000)
  })

  test('because the URL is none says so without repeating it', async () => {
    const fault = await faultOf(() => openUrl('postgres://merchant:hunter2@db host/books'))
    expect(fault).toBeInstanceOf(ConfigurationFault)
    expect(`${fault.message} ${String(fault.cause)}`).not.toContain('hunter2')
  })
})

describe('errors of statements', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase()
  })
  afterAll(() => database.drop())

  test('name the SQLSTATE and the statement, never what was bound to it or stored', async () => {
    const iban = 'FR7630006000011234567890189'
    const error = await withReadableErrors(database.where, () =>
      database.db.execute(
        sql`insert into runs (command, app_version, as_of) values (${iban}, ${iban}, ${iban}::date)`,
      ),
    ).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(Error)
    const shown = [String(error), JSON.stringify(error), String((error as Error).cause)].join('\n')
    expect(shown).toContain('22007')
    expect(shown).toContain('insert into runs')
    expect(shown).not.toContain(iban)
  })

  test('of something else are left as they are', async () => {
    const other = await readFile('/nonexistent').catch((error: unknown) => error)
    const same = await withReadableErrors(database.where, () => Promise.reject(other)).catch(
      (error: unknown) => error,
    )
    expect(same).toBe(other)
  })

  test('of a connection that is cut inside a transaction say so, though the driver throws out of reach', async () => {
    const script = fileURLToPath(new URL('../support/lose-connection.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--import',
      'tsx',
      script,
      database.url,
    ])
    expect(stdout).toMatch(/^UnavailableFault 4: .* cannot be reached/)
  })

  test.each(['53100', '53200', '53400', '58030'])(
    'of a server without room (SQLSTATE %s) are told as what time and room mend',
    async (code) => {
      const error = await withReadableErrors(database.where, () =>
        database.db.execute(
          sql.raw(`do $$ begin raise 'No space left on device' using errcode = '${code}'; end $$`),
        ),
      ).catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(UnavailableFault)
      expect(String(error)).toMatch(
        new RegExp(`cannot do its work now: .*${code}: No space left on device`),
      )
    },
  )

  test('of a broken rule name the rule', async () => {
    const error = await withReadableErrors(database.where, () =>
      database.db.execute(
        sql`insert into ledger_ranges (entity, top_id, bottom_id, floor) values ('secret name', 'a', 'b', 'end')`,
      ),
    ).catch((caught: unknown) => caught)
    expect(String(error)).toContain('ledger_ranges_order')
    expect(String(error)).toContain('23514')
  })
})
