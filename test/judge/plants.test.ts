/**
 * Breaks planted into a clean world, and the whole job run over it: exactly that finding and nothing
 * else. One for each way in which facts come in (ledger, two looks, export, payments, several
 * accounts, bank files); the judge plants every kind, see `judge.test.ts` and `gather.test.ts`.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { startOfDay, parseDay } from '../../src/domain/day.ts'
import type { DiscrepancyCode } from '../../src/domain/reconciliation.ts'
import { plant, type Planted } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type ReportRow, type Workshop } from '../support/workshop.ts'

const WEEK = '2024-W12'
/** Later than all the world's windows. */
const AS_OF = '2024-05-14'
const BETWEEN_LOOKS: readonly DiscrepancyCode[] = ['line_changed', 'line_vanished']
const CODES = [
  'payout_unknown',
  'line_duplicate',
  'line_changed',
  'line_vanished',
  'export_lacks',
  'vat_mismatch',
  'refund_without_payment',
  'refund_not_deducted',
  'deposit_ambiguous',
  'deposit_returned',
  'deposit_wrong_account',
  'deposit_wrong_currency',
  'statement_gap',
  'statement_balance',
] as const satisfies readonly DiscrepancyCode[]

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
  test('has no discrepancy in any week', async () => {
    workshop = await openWorkshop(createWorld({ seed: 1 }))
    await workshop.writeBank()
    for (const week of ['2024-W10', WEEK, '2024-W14']) {
      expect(await reconcile(week)).toEqual([])
    }
  })
})

describe('one break', () => {
  test.each(CODES)('%s is found, and nothing else', async (code) => {
    const world: SandboxWorld = createWorld(worldFor(code))
    const isBetween = BETWEEN_LOOKS.includes(code)
    let planted = isBetween ? null : plant(world, { code, period: WEEK })
    workshop = await openWorkshop(world)
    Object.assign(workshop.env, await settingsFor(world))
    if (planted === null) {
      world.nowS = startOfDay(parseDay('2024-03-21'), 'Europe/Paris')
      const early = await workshop.run('reconcile', '--week', WEEK, '--as-of', '2024-03-20')
      expect(early.exitCode).toBe(0)
      planted = plant(world, { code, period: WEEK })
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
