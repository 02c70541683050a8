/** Two entities' life with every command that reads or writes the database, for tests of its statements. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import type { Outcome } from '../e2e/job.ts'
import { openShop, type Shop, WEEK } from '../e2e/shop.ts'

const AS_OF = '2024-04-05'
const RECONCILE = ['reconcile', '--week', WEEK, '--as-of', AS_OF] as const

/** A shop with two entities, one of which has a contract, and a break of many kinds. */
export async function openTwoShops(world: SandboxWorld = twoShops()): Promise<Shop> {
  const shop = await openShop(world)
  delete shop.env['ALMA_API_KEY']
  await writeFile(
    join(shop.dir, 'entities.json'),
    JSON.stringify(
      world.accounts.map(({ name, iban }, at) => ({
        name,
        apiKeyEnv: `KEY_${name.toUpperCase()}`,
        ibans: [iban],
        ...(at === 0 ? { fees: FEES } : {}),
      })),
    ),
  )
  shop.env['ENTITIES_FILE'] = 'entities.json'
  for (const { name, apiKey } of world.accounts) shop.env[`KEY_${name.toUpperCase()}`] = apiKey
  return shop
}

const FEES = {
  vat: 'excluded',
  vatRate: '20',
  plans: { P3X: { rate: '3.80', fixed: 0 } },
}

function twoShops(): SandboxWorld {
  const world = createWorld({
    accounts: ['north', 'south'],
    from: '2024-03-11',
    to: '2024-03-29',
    salesPerDay: 4,
  })
  for (const [code, entity] of [
    ['deposit_missing', 'north'],
    ['deposit_late', 'south'],
    ['payout_residual', 'north'],
    ['line_duplicate', 'south'],
    ['export_differs', 'north'],
    ['refund_amount', 'south'],
  ] as const) {
    plant(world, { code, entity, period: WEEK })
  }
  return world
}

/** What a sequence of commands printed and wrote: equal wherever the same happened. */
export type Story = Readonly<Record<string, string>>

/**
 * Everything once and most of it twice. The world is changed on the way, so each story needs a shop of
 * its own.
 */
export async function liveThrough(shop: Shop): Promise<Story> {
  const story: Record<string, string> = {}
  const tell = async (name: string): Promise<void> => {
    for (const [file, text] of Object.entries(await shop.csvs(WEEK))) {
      story[`${name}/${file}`] = text
    }
  }
  await succeed(shop, ...RECONCILE, '--dry-run')
  await succeed(shop, ...RECONCILE)
  await tell('first')
  await succeed(shop, ...RECONCILE, '--workers', '2', '--mail')
  await tell('shared')
  await decide(shop)
  await succeed(shop, ...RECONCILE, '--offline')
  await tell('decided')
  await succeed(shop, ...RECONCILE, '--offline', '--dry-run')
  await closeAndChange(shop)
  await succeed(shop, ...RECONCILE)
  await tell('closed')
  await succeed(shop, 'reopen', '--week', WEEK, '--by', 'Marie', '--reason', 'a correction')
  await succeed(shop, 'nightly', '--as-of', '2024-04-08')
  await tell('night')
  await succeed(shop, ...RECONCILE, '--touched')
  await succeed(shop, 'purge', '--before', '2024-03-25', '--by', 'Marie', '--dry-run')
  await succeed(shop, 'purge', '--before', '2024-03-25', '--by', 'Marie')
  await succeed(shop, ...RECONCILE, '--offline', '--full')
  await tell('purged')
  await succeed(shop, 'doctor', '--json')
  return story
}

async function succeed(shop: Shop, ...argv: readonly string[]): Promise<Outcome> {
  const outcome = await shop.runHere(...argv)
  if (outcome.exitCode !== 0) {
    throw new Error(`${argv.join(' ')} ended with ${outcome.exitCode}: ${outcome.err}`)
  }
  return outcome
}

const SIGNED = ['--by', 'Marie', '--reason', 'looked at it'] as const

async function decide(shop: Shop): Promise<void> {
  const [open] = await shop.rows(WEEK, 'discrepancies.csv')
  const id = open?.['discrepancy_id'] ?? ''
  await succeed(shop, 'decide', 'accept', '--discrepancy', id, ...SIGNED)
  await succeed(shop, 'decide', 'reopen', '--discrepancy', id, ...SIGNED)
  const matched = (await shop.rows(WEEK, 'settlements.csv')).find(
    ({ status, rule }) => status === 'matched' && rule === 'reference',
  )
  const payout = matched?.['payout_id'] ?? ''
  const bank = matched?.['bank_references'] ?? ''
  await succeed(shop, 'decide', 'refuse', '--payout', payout, '--bank', bank, ...SIGNED)
  await succeed(shop, ...RECONCILE, '--offline')
  await succeed(shop, 'decide', 'match', '--payout', payout, '--bank', bank, ...SIGNED)
  await succeed(shop, 'explain', payout, '--as-of', AS_OF)
  await succeed(shop, 'explain', id, '--as-of', AS_OF)
}

/** A signed week in which a ledger row changes, and into which a bank line comes. */
async function closeAndChange(shop: Shop): Promise<void> {
  await succeed(shop, 'close', '--week', WEEK, '--by', 'Marie', '--as-of', AS_OF)
  const { accounts, bankAccounts } = shop.sandbox.world
  const sale = accounts[1]?.rows.find(
    ({ kind, created }) =>
      kind === 'from_transaction' && created > Date.parse('2024-03-19T08:00:00Z') / 1000,
  )
  if (sale === undefined) throw new Error('the world has no sale in the week')
  sale.amount += 100
  sale.net_amount += 100
  const file = join(shop.dir, 'correction.csv')
  await writeFile(
    file,
    'account,booking_date,value_date,amount,currency,counterparty_name,counterparty_iban,remittance,end_to_end_id,bank_reference,opening_balance,closing_balance\n' +
      `${bankAccounts[0]?.iban ?? ''},2024-03-20,2024-03-20,12.34,EUR,ALMA,,late money,,LATE1,,\n`,
  )
  await succeed(shop, 'import-bank', file)
}
