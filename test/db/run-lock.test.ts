import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { withRunLock } from '../../db/run-lock.ts'
import { startRun } from '../../db/runs.ts'
import { LockedFault, UnavailableFault } from '../../src/errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase

beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())

const faultOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no fault',
    (error: unknown) => error,
  )

describe('the run lock', () => {
  test('gives back what the work returns, and is free afterwards', async () => {
    expect(await withRunLock(database.address, () => Promise.resolve('first'))).toBe('first')
    expect(await withRunLock(database.address, () => Promise.resolve('second'))).toBe('second')
  })

  test('is free again after work that failed', async () => {
    const broken = new Error('broken')
    expect(await faultOf(withRunLock(database.address, () => Promise.reject(broken)))).toBe(broken)
    expect(await withRunLock(database.address, () => Promise.resolve('free'))).toBe('free')
  })

  test('refuses a second run and says what the first one does, and since when', async () => {
    await withRunLock(
      database.address,
      async () => {
        await startRun(database.db, {
          command: 'reconcile',
          period: '2024-W12',
          asOf: null,
          appVersion: '0',
        })
        const refused = await faultOf(
          withRunLock(database.address, () => Promise.resolve(), { waitMs: 0 }),
        )
        expect(refused).toBeInstanceOf(LockedFault)
        expect(refused).toHaveProperty('exitCode', 6)
        expect(refused).toHaveProperty(
          'message',
          expect.stringMatching(
            /^another run holds the lock of the .*: reconcile 2024-W12, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(session \d+\)$/,
          ),
        )
      },
      { doing: 'reconcile 2024-W12' },
    )
  })

  test('names the holder even before it has recorded its run', async () => {
    await withRunLock(
      database.address,
      async () => {
        const refused = await faultOf(
          withRunLock(database.address, () => Promise.resolve(), { waitMs: 0 }),
        )
        expect(refused).toHaveProperty('message', expect.stringContaining(': import-bank, since'))
      },
      { doing: 'import-bank' },
    )
  })

  test('waits for a holder that is about to end', async () => {
    const first = withRunLock(
      database.address,
      () => new Promise((resolve) => setTimeout(resolve, 400)),
    )
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await withRunLock(database.address, () => Promise.resolve('second'))).toBe('second')
    await first
  })

  test('one of many at once gets it, the others are refused', async () => {
    const attempts = await Promise.all(
      Array.from({ length: 5 }, () =>
        faultOf(
          withRunLock(
            database.address,
            () => new Promise((resolve) => setTimeout(resolve, 1_000)),
            { waitMs: 0 },
          ),
        ),
      ),
    )
    expect(attempts.filter((outcome) => outcome === 'no fault')).toHaveLength(1)
    expect(attempts.filter((outcome) => outcome instanceof LockedFault)).toHaveLength(4)
  })

  test('does not outlive a process that is killed', async () => {
    const holder = await startHolder(database.url)
    expect(
      await faultOf(withRunLock(database.address, () => Promise.resolve(), { waitMs: 0 })),
    ).toBeInstanceOf(LockedFault)

    holder.kill('SIGKILL')

    expect(await withRunLock(database.address, () => Promise.resolve('free'))).toBe('free')
  })

  test('stops the work when its connection is cut', async () => {
    let wasTold = false
    const cut = await faultOf(
      withRunLock(database.address, async ({ lost }) => {
        await cutLockSessions(database)
        await new Promise((resolve) => {
          lost.addEventListener('abort', resolve, { once: true })
          // It may have been told while the sessions were being cut.
          if (lost.aborted) resolve(null)
        })
        wasTold = true
      }),
    )
    expect(wasTold).toBe(true)
    expect(cut).toBeInstanceOf(UnavailableFault)
    expect(cut).toHaveProperty('message', expect.stringContaining('run lock was lost'))
  })

  test('work that ends well after the lock was lost has not ended well', async () => {
    const cut = await faultOf(
      withRunLock(database.address, async () => {
        await cutLockSessions(database)
        return 'all done'
      }),
    )
    expect(cut).toBeInstanceOf(UnavailableFault)
  })

  test('can be asked for before something that cannot be undone', async () => {
    const asked = await faultOf(
      withRunLock(database.address, async (lock) => {
        await lock.assertHeld()
        await cutLockSessions(database)
        await lock.assertHeld()
        throw new Error('the lock was said to be held')
      }),
    )
    expect(asked).toBeInstanceOf(UnavailableFault)
  })
})

describe('locks of entities', () => {
  const over = (...entities: string[]) => ({ scope: { entities }, waitMs: 0 }) as const
  const nothing = (): Promise<void> => Promise.resolve()

  test('keep runs over the same entity apart, and let others go on', async () => {
    await withRunLock(
      database.address,
      async () => {
        expect(await faultOf(withRunLock(database.address, nothing, over('south')))).toBe(
          'no fault',
        )
        const refused = await faultOf(
          withRunLock(database.address, nothing, over('south', 'north')),
        )
        expect(refused).toBeInstanceOf(LockedFault)
        expect(refused).toHaveProperty(
          'message',
          expect.stringMatching(
            /^another run holds the lock of the .* \(entity north\): reconcile 2024-W12, since/,
          ),
        )
      },
      { ...over('north'), doing: 'reconcile 2024-W12' },
    )
  })

  test('two runs that name the same ones in another order do not wait for each other', async () => {
    const work = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 200))
    const outcomes = await Promise.all(
      [
        ['north', 'south'],
        ['south', 'north'],
      ].map((entities) => faultOf(withRunLock(database.address, work, { scope: { entities } }))),
    )
    expect(outcomes).toEqual(['no fault', 'no fault'])
  })

  test('a run over the whole database is alone', async () => {
    await withRunLock(
      database.address,
      async () => {
        expect(await faultOf(withRunLock(database.address, nothing, { waitMs: 0 }))).toBeInstanceOf(
          LockedFault,
        )
      },
      over('north'),
    )
    await withRunLock(database.address, async () => {
      expect(await faultOf(withRunLock(database.address, nothing, over('north')))).toBeInstanceOf(
        LockedFault,
      )
    })
  })

  test('what entities have in common is one run’s at a time; the others wait for their turn', async () => {
    const order: string[] = []
    const turn = (name: string): Promise<void> =>
      withRunLock(
        database.address,
        ({ withCommon }) =>
          withCommon(async () => {
            order.push(`${name} begins`)
            // Nested, as a report within a longer turn is.
            await withCommon(() => new Promise((resolve) => setTimeout(resolve, 60)))
            order.push(`${name} ends`)
          }),
        over(name),
      )
    await Promise.all(['north', 'south', 'west'].map(turn))
    expect(order).toHaveLength(6)
    for (const [at, said] of order.entries()) {
      if (at % 2 === 1) expect(said).toBe(order[at - 1]?.replace('begins', 'ends'))
    }
  })

  test('a turn that does not come is told of first, and refused in the end', async () => {
    const told: string[] = []
    await withRunLock(
      database.address,
      async () => {
        const refused = await faultOf(
          withRunLock(database.address, ({ withCommon }) => withCommon(nothing), {
            ...over('north'),
            commonWaitMs: 2_500,
            onWait: (text) => told.push(text),
          }),
        )
        expect(refused).toBeInstanceOf(LockedFault)
      },
      { scope: 'common', doing: 'import-bank' },
    )
    expect(told).toEqual([
      expect.stringMatching(/^waiting for another run .*\(import-bank, since .* UTC/),
    ])
  })

  test('an entity that another run lets go of can be taken', async () => {
    await withRunLock(
      database.address,
      (first) =>
        withRunLock(
          database.address,
          async (second) => {
            expect(await first.tryTake('entity north')).toBe(true)
            expect(await second.tryTake('entity north')).toBe(false)
            expect(
              await faultOf(second.withEntities(['east', 'north'], nothing, 0)),
            ).toBeInstanceOf(LockedFault)
            // What it had got before it was refused is free again.
            expect(await first.tryTake('entity east')).toBe(true)
            await first.letGo('entity north')
            const held = await second.withEntities(
              ['north'],
              () => first.tryTake('entity north'),
              0,
            )
            expect(held).toBe(false)
            expect(await first.tryTake('entity north')).toBe(true)
          },
          over(),
        ),
      over(),
    )
  })
})

async function cutLockSessions({ db }: TestDatabase): Promise<void> {
  const [row] = await db.execute<{ cut: number }>(
    sql`select count(pg_terminate_backend(pid))::int as cut from pg_locks
        where locktype = 'advisory' and granted
        and database = (select oid from pg_database where datname = current_database())`,
  )
  expect(row?.cut).toBe(1)
}

async function startHolder(url: string): Promise<ChildProcess> {
  const holder = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      fileURLToPath(new URL('../support/hold-run-lock.ts', import.meta.url)),
      url,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(holder.stdout, 'data')
  return holder
}
