/** Two legal entities, each with its key and its account at the bank, in one set of reports. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { filesBelow } from './job.ts'
import { openShop, type Shop, WEEK } from './shop.ts'

const LATE = ['reconcile', '--week', WEEK, '--as-of', '2024-05-14']

function twoShops(): SandboxWorld {
  return createWorld({ accounts: ['north', 'south'], salesPerDay: 5 })
}

async function openTwo(world: SandboxWorld): Promise<Shop> {
  const shop = await openShop(world)
  delete shop.env['ALMA_API_KEY']
  const file = join(shop.dir, 'entities.json')
  await writeFile(
    file,
    JSON.stringify(
      world.accounts.map(({ name, iban }) => ({
        name,
        apiKeyEnv: `KEY_${name.toUpperCase()}`,
        ibans: [iban],
      })),
    ),
  )
  shop.env['ENTITIES_FILE'] = 'entities.json'
  for (const { name, apiKey } of world.accounts) shop.env[`KEY_${name.toUpperCase()}`] = apiKey
  return shop
}

describe('two entities', () => {
  test('one set of reports, each row under its entity; each key opens its own account only', async () => {
    const world = twoShops()
    const missing = plant(world, { code: 'deposit_missing', entity: 'south', period: WEEK })
    const elsewhere = plant(world, { code: 'deposit_wrong_account', entity: 'north', period: WEEK })
    const shop = await openTwo(world)
    expect(await shop.runHere(...LATE)).toMatchObject({ exitCode: 0 })
    const found = await shop.rows(WEEK, 'discrepancies.csv')
    expect(found.map(({ code, entity }) => [code, entity])).toEqual([
      ['deposit_wrong_account', 'north'],
      ['deposit_missing', 'south'],
    ])
    expect(found[0]).toMatchObject(elsewhere.key)
    expect(found[1]).toMatchObject(missing.key)
    // What stands at the other's account is there, not missing.
    const settlements = await shop.rows(WEEK, 'settlements.csv')
    expect(
      settlements
        .filter(({ status }) => status !== 'matched')
        .map(({ entity, status }) => [entity, status]),
    ).toEqual([
      ['north', 'elsewhere'],
      ['south', 'missing'],
    ])
    const summary = await shop.rows(WEEK, 'summary.csv')
    expect(summary.map(({ entity }) => entity)).toEqual([
      ...Array.from({ length: summary.length / 2 }, () => 'north'),
      ...Array.from({ length: summary.length / 2 }, () => 'south'),
    ])
    expect(await shop.summaryJson(WEEK)).toMatchObject({ entities: ['north', 'south'], notes: [] })
  })

  test('one refused key: exit 3, the other is reported, and the head says who is missing', async () => {
    const world = twoShops()
    plant(world, { code: 'deposit_missing', entity: 'south', period: WEEK })
    const shop = await openTwo(world)
    shop.env['KEY_NORTH'] = 'sk_test_hunter2'
    const refused = await shop.run(...LATE)
    expect(refused.exitCode).toBe(3)
    expect(refused.out).toMatch(
      /^! north is missing from this report: .*refused the key in KEY_NORTH.*Credentials invalid/,
    )
    expect(refused.out + refused.err).not.toContain('hunter2')
    expect(await shop.summaryJson(WEEK)).toMatchObject({
      entities: ['south'],
      notes: [expect.stringMatching(/^north is missing from this report/)],
    })
    const found = await shop.rows(WEEK, 'discrepancies.csv')
    expect(found.map(({ code, entity }) => [code, entity])).toEqual([['deposit_missing', 'south']])
    // Once the key is right the report holds both, and the run after that changes nothing.
    shop.env['KEY_NORTH'] = world.accounts[0]?.apiKey ?? ''
    expect(await shop.runHere(...LATE)).toMatchObject({ exitCode: 0 })
    expect(await shop.summaryJson(WEEK)).toMatchObject({ entities: ['north', 'south'], notes: [] })
    expect((await shop.runHere(...LATE)).out).toContain('unchanged, byte for byte')
  })

  test('--entity reports one and leaves the other’s money alone', async () => {
    const shop = await openTwo(twoShops())
    const one = await shop.runHere(...LATE, '--entity', 'north')
    expect(one).toMatchObject({ exitCode: 0, out: expect.stringContaining('All clear') })
    const settlements = await shop.rows(WEEK, 'settlements.csv')
    expect(new Set(settlements.map(({ entity }) => entity))).toEqual(new Set(['north']))
    const keys = shop.sandbox.requests.map(({ headers }) => headers['authorization'])
    expect(new Set(keys.filter((key) => key !== undefined)).size).toBe(1)
  })

  test('an entity without accounts of its own does not take those that another one names', async () => {
    const shop = await openTwo(twoShops())
    const [north] = shop.sandbox.world.accounts
    await writeFile(
      join(shop.dir, 'entities.json'),
      JSON.stringify([
        { name: 'north', apiKeyEnv: 'KEY_NORTH', ibans: [north?.iban] },
        { name: 'south', apiKeyEnv: 'KEY_SOUTH' },
      ]),
    )
    const one = await shop.runHere(...LATE, '--entity', 'south')
    expect(one).toMatchObject({ exitCode: 0, out: expect.stringContaining('All clear') })
    const [received] = (await shop.rows(WEEK, 'summary.csv')).filter(
      ({ line }) => line === 'deposits_received',
    )
    const [sent] = (await shop.rows(WEEK, 'settlements.csv')).map(({ entity }) => entity)
    expect(sent).toBe('south')
    shop.env['KEY_NORTH'] = 'sk_test_hunter2'
    const other = await shop.runHere(...LATE)
    expect(other).toMatchObject({ exitCode: 3, out: expect.stringContaining('north is missing') })
    expect(await shop.rows(WEEK, 'discrepancies.csv')).toEqual([])
    expect(await shop.rows(WEEK, 'summary.csv')).toContainEqual(received)
  })

  test('where none can be asked nothing is written: the report that stands is kept', async () => {
    const shop = await openTwo(twoShops())
    expect(await shop.runHere(...LATE)).toMatchObject({ exitCode: 0 })
    const before = await filesBelow(join(shop.dataDir, 'reports'))
    delete shop.env['KEY_NORTH']
    shop.env['KEY_SOUTH'] = 'sk_test_hunter2'
    const none = await shop.runHere(...LATE)
    expect(none).toMatchObject({ exitCode: 3, out: '' })
    expect(none.err).toMatch(/KEY_NORTH.*KEY_SOUTH/s)
    expect(await filesBelow(join(shop.dataDir, 'reports'))).toEqual(before)
  })
})
