import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { finishRun, startRun } from '../../db/runs.ts'
import { runs } from '../../db/schema.ts'
import { parseDay } from '../../src/domain/day.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const night = {
  command: 'reconcile',
  period: '2024-W12',
  asOf: parseDay('2024-03-25'),
  appVersion: '0.1.0',
}

test('a run is recorded when it begins and again when it ends', async () => {
  const runId = await startRun(database.db, night)
  const [begun] = await database.db.select().from(runs).where(eq(runs.id, runId))
  expect(begun).toMatchObject({ ...night, finishedAt: null, exitCode: null })

  await finishRun(database.db, runId, 4)

  const [ended] = await database.db.select().from(runs).where(eq(runs.id, runId))
  expect(ended?.exitCode).toBe(4)
  expect(Date.parse(ended?.finishedAt ?? '')).toBeGreaterThanOrEqual(
    Date.parse(ended?.startedAt ?? ''),
  )
})

test('ids grow from run to run', async () => {
  const first = await startRun(database.db, night)
  const second = await startRun(database.db, { ...night, period: null, asOf: null })
  expect(second).toBeGreaterThan(first)
})

test('a run ends once', async () => {
  const runId = await startRun(database.db, night)
  await finishRun(database.db, runId, 0)
  await expect(finishRun(database.db, runId, 1)).rejects.toThrow(/has ended before/)
  await expect(finishRun(database.db, 999_999, 0)).rejects.toThrow(/never begun/)
})
