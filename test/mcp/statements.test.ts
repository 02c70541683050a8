/** What questions and metrics ask of the database, heard on the wire, against what Citus asks of statements. */
import { getTableName } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { DISTRIBUTED } from '../../db/distribute.ts'
import { distributedTablesIn, entityFaults } from '../db/entity-rules.ts'
import { openTwoShops } from '../db/every-command.ts'
import { tapInto } from '../db/wire-tap.ts'
import { RECONCILE, WEEK } from '../e2e/shop.ts'
import { startAssistant } from './assistant.ts'

/** A discrepancy is asked for by its own id, and what a report named by the report, whoever’s it is. */
const ABOUT_ALL =
  /from "reported_discrepancies" (inner join "period_reports"|where "reported_discrepancies"."report_id" = \$1)/

test('each statement that touches an entity’s table names the entity', async () => {
  const shop = await openTwoShops()
  const tap = await tapInto(shop.database.address)
  onTestFinished(() => tap.close())
  expect(await shop.runHere(...RECONCILE)).toMatchObject({ exitCode: 0 })
  shop.env['DATABASE_URL'] = tap.url
  const { ask, client } = await startAssistant(shop)
  onTestFinished(() => client.close())
  const [payout] = await shop.rows(WEEK, 'settlements.csv')
  expect(await ask('period_summary', { entity: 'north' })).toMatchObject({ ties: true })
  const listed = await ask('list_discrepancies', { entity: 'south' })
  expect(listed['discrepancies']).not.toEqual([])
  await ask('explain', { id: payout?.['payout_id'] })
  expect(await ask('settlement', { payout_id: payout?.['payout_id'] })).toMatchObject({
    settlements: [{ entity: payout?.['entity'] }],
  })
  const found = await ask('find', {
    day: payout?.['created'],
    amount: payout?.['payout_amount'],
    reference: (payout?.['payout_id'] ?? '').slice(0, 12),
  })
  expect(found['found']).toMatchObject([{ kind: 'payout', entity: payout?.['entity'] }])
  await client.listResources()
  expect(await shop.runHere('metrics')).toMatchObject({
    exitCode: 0,
    out: expect.stringMatching(/north, EUR[\s\S]+south, EUR/),
  })
  expect(
    await shop.runHere(...RECONCILE, '--dry-run', '--set', 'UNPAID_AFTER_DAYS=3'),
  ).toMatchObject({
    exitCode: 0,
  })

  const distributed = new Set(DISTRIBUTED.map(getTableName))
  const heard = tap.heard().filter(({ text }) => distributedTablesIn(text, distributed) > 0)
  for (const table of ['period_metrics', 'payment_refunds', 'reported_discrepancies']) {
    expect(heard.some(({ text }) => text.includes(`"${table}"`))).toBe(true)
  }
  const faults = heard
    .filter(({ text }) => !ABOUT_ALL.test(text) && !/^\s*(analyze|vacuum)\b/.test(text))
    .flatMap((statement) => entityFaults(statement, distributed))
  expect(faults).toEqual([])
}, 120_000)
