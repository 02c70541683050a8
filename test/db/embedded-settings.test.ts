import { mkdtemp, rm } from 'node:fs/promises'
import { totalmem, tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { connect } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { chooseSettings, describeSettings, thisMachine } from '../../db/embedded-settings.ts'

const GB = 1024 ** 3
const MB = 1024 ** 2

test.each([
  ['a container of 256 MB', 256 * MB, 20 * GB, ['32MB', '128MB', '4MB', '32MB']],
  ['a small server', 1 * GB, 20 * GB, ['128MB', '512MB', '8MB', '32MB']],
  ['a laptop', 4 * GB, 100 * GB, ['512MB', '2048MB', '32MB', '128MB']],
  ['a machine of 8 GB', 8 * GB, 100 * GB, ['1024MB', '4096MB', '64MB', '256MB']],
  ['a machine of 24 GB', 24 * GB, 100 * GB, ['1024MB', '12288MB', '128MB', '512MB']],
  ['a machine of 256 GB', 256 * GB, 999 * GB, ['1024MB', '131072MB', '128MB', '512MB']],
])('%s gives the server its share of the memory', (_, memoryBytes, diskFreeBytes, chosen) => {
  const settings = chooseSettings({ memoryBytes, diskFreeBytes, cores: 2 })
  expect([
    settings['shared_buffers'],
    settings['effective_cache_size'],
    settings['work_mem'],
    settings['maintenance_work_mem'],
  ]).toEqual(chosen)
})

test.each([
  ['nearly full', 0.5 * GB, ['128MB', '512MB']],
  ['small', 8 * GB, ['1024MB', '4096MB']],
  ['large', 500 * GB, ['2048MB', '256000MB']],
])('a disk that is %s bounds what the server writes beside the data', (_, free, chosen) => {
  const settings = chooseSettings({ memoryBytes: 4 * GB, diskFreeBytes: free, cores: 2 })
  expect([settings['max_wal_size'], settings['temp_file_limit']]).toEqual(chosen)
})

test('whatever the machine, nothing that was committed may be lost', () => {
  for (const memoryBytes of [256 * MB, 4 * GB, 256 * GB]) {
    const settings = chooseSettings({ memoryBytes, diskFreeBytes: GB, cores: 2 })
    for (const name of ['fsync', 'full_page_writes', 'synchronous_commit']) {
      expect(settings[name] ?? 'on').toBe('on')
    }
  }
})

test.each([
  [1, '0'],
  [2, '1'],
  [64, '3'],
])('on %i cores all but one help a full proof, three at most', (cores, workers) => {
  const settings = chooseSettings({ memoryBytes: 4 * GB, diskFreeBytes: 100 * GB, cores })
  expect(settings['alma_reconcile.proof_workers']).toBe(workers)
  expect(settings['max_parallel_workers_per_gather']).toBe('0')
})

test('doctor can say in one line what was chosen', () => {
  expect(describeSettings({ memoryBytes: 4 * GB, diskFreeBytes: 100 * GB, cores: 2 })).toBe(
    'for 4 GB of memory: shared_buffers 512MB, work_mem 32MB, maintenance_work_mem 128MB, max_wal_size 2048MB; every commit is durable',
  )
  expect(describeSettings({ memoryBytes: 256 * MB, diskFreeBytes: 100 * GB, cores: 1 })).toContain(
    'for 256 MB of memory: shared_buffers 32MB',
  )
})

test('a server runs with what was chosen for this machine, and commits durably', async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'alma-settings-'))
  const machine = await thisMachine(dataDir)
  expect(machine.memoryBytes).toBeGreaterThan(64 * MB)
  expect(machine.memoryBytes).toBeLessThanOrEqual(totalmem())
  const server = await startEmbedded({ dataDir })
  onTestFinished(async () => {
    await server.release()
    await rm(dataDir, { recursive: true, force: true })
  })
  const { db, close } = connect(server.address)
  // The server prints sizes in the largest unit that fits, so both sides are compared in bytes.
  const rows = await db.execute<{ name: string; bytes: string; shown: string }>(sql`
    select name, pg_size_bytes(setting || case unit when '8kB' then 'B' else unit end)
             * case unit when '8kB' then 8192 else 1 end as bytes, '' as shown
    from pg_settings where name in ('shared_buffers', 'work_mem', 'max_wal_size', 'temp_file_limit')
    union all
    select name, 0, setting from pg_settings
    where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'jit')
    union all
    select 'proof_workers', 0, current_setting('alma_reconcile.proof_workers')`)
  await close()
  const found = Object.fromEntries(
    [...rows].map(({ name, bytes, shown }) => [name, shown === '' ? Number(bytes) : shown]),
  )
  const chosen = chooseSettings(machine)
  const bytesOf = (name: string): number => parseInt(chosen[name] ?? '', 10) * MB
  expect(found).toMatchObject({
    shared_buffers: bytesOf('shared_buffers'),
    work_mem: bytesOf('work_mem'),
    max_wal_size: bytesOf('max_wal_size'),
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    jit: 'off',
    proof_workers: chosen['alma_reconcile.proof_workers'],
  })
})
