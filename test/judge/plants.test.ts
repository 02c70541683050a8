/**
 * Each kind of break planted into a clean world, and the whole job run over it: exactly that finding
 * and nothing else. Two runs for what only shows between two looks.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { startOfDay, parseDay } from '../../src/domain/day.ts'
import { DISCREPANCY_CODES } from '../../src/domain/reconciliation.ts'
import { plant, type Planted, type PlantedCode } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type ReportRow, type Workshop } from '../support/workshop.ts'

const WEEK = '2024-W12'
/** Later than all the world's windows. */
const AS_OF = '2024-05-14'
const BETWEEN_LOOKS: readonly PlantedCode[] = ['line_changed', 'line_vanished']
/** `late_change` needs a closed period, `fee_rate` a contract. */
const ELSEWHERE = ['late_change', 'fee_rate']

let workshop: Workshop | null = null
afterEach(async () => {
  await workshop?.close()
  workshop = null
})

async function reconcile(week: string): Promise<ReportRow[]> {
  if (workshop === null) throw new Error('there is no workshop')
  const { exitCode, err } = await workshop.run('reconcile', '--week', week, '--as-of', AS_OF)
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  return workshop.report(week, 'discrepancies.csv')
}

function found(rows: readonly ReportRow[], planted: Planted) {
  return rows.map((row) => ({
    code: row['code'],
    entity: row['entity'],
    key: Object.fromEntries(Object.keys(planted.key).map((column) => [column, row[column]])),
  }))
}

describe('a clean world', () => {
  test.each([1, 2, 3])('has no discrepancy in any week (seed %i)', async (seed) => {
    workshop = await openWorkshop(createWorld({ seed }))
    await workshop.writeBank()
    for (const week of ['2024-W10', WEEK, '2024-W14']) {
      expect(await reconcile(week)).toEqual([])
    }
  })
})

describe('one break', () => {
  const codes = DISCREPANCY_CODES.filter((code) => !ELSEWHERE.includes(code))
  test.each(codes)('%s is found, and nothing else', async (code) => {
    const world: SandboxWorld = createWorld(worldFor(code))
    const isBetween = BETWEEN_LOOKS.some((between) => between === code)
    let planted = isBetween ? null : plant(world, { code: code as PlantedCode, period: WEEK })
    workshop = await openWorkshop(world)
    Object.assign(workshop.env, await settingsFor(world))
    if (planted === null) {
      world.nowS = startOfDay(parseDay('2024-03-21'), 'Europe/Paris')
      const early = await workshop.run('reconcile', '--week', WEEK, '--as-of', '2024-03-20')
      expect(early.exitCode).toBe(0)
      planted = plant(world, { code: code as PlantedCode, period: WEEK })
      delete world.nowS
    }
    await workshop.writeBank()
    const rows = await reconcile(WEEK)
    expect(found(rows, planted)).toEqual([{ code, entity: planted.entity, key: planted.key }])
    expect(rows[0]?.['explanation']).toMatch(/\.$/)
    expect(rows[0]?.['next_step']).toMatch(/\S/)
  })
})

function worldFor(code: string) {
  return code === 'deposit_wrong_account' ? { accounts: ['north', 'south'] } : {}
}

/** With several accounts the settings name each entity's key and bank account. */
async function settingsFor(world: SandboxWorld): Promise<Record<string, string>> {
  if (world.accounts.length === 1 || workshop === null) return {}
  const entities = world.accounts.map(({ name, iban }) => ({
    name,
    apiKeyEnv: `KEY_${name}`,
    ibans: [iban],
  }))
  const file = join(workshop.dir, 'entities.json')
  await writeFile(file, JSON.stringify(entities))
  return {
    ENTITIES_FILE: file,
    ...Object.fromEntries(world.accounts.map(({ name, apiKey }) => [`KEY_${name}`, apiKey])),
  }
}
