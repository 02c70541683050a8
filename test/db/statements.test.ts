/**
 * Every statement that the commands send, heard on the wire, against what Citus asks of statements:
 * whatever touches an account's table says of which entity, and joins say that it is the same one.
 */
import { getTableName } from 'drizzle-orm'
import { describe, expect, test } from 'vitest'
import { DISTRIBUTED } from '../../db/distribute.ts'
import { distributedTablesIn, entityFaults } from './entity-rules.ts'
import { liveThrough, openTwoShops } from './every-command.ts'
import { type HeardStatement, tapInto } from './wire-tap.ts'

const distributed = new Set(DISTRIBUTED.map(getTableName))

/** What is meant to look at every entity: each server looks at its own rows, and nothing is joined. */
const ABOUT_ALL: readonly { readonly why: string; readonly pattern: RegExp }[] = [
  {
    why: 'purge empties raw payloads of all entities, also of those that are configured no more',
    pattern:
      /^(select count\(\*\) from|update) "(balance_transactions|export_lines)"|^select "entity", "export_id", "archived_as" from "data_exports"/,
  },
  {
    why: 'purge removes old notifications of all entities alike',
    pattern:
      /^(select count\(\*\)|delete) from "provider_events" where "provider_events"."received_at"/,
  },
  {
    why: 'a discrepancy is asked for by its own id, whoever’s it is',
    pattern: /from "reported_discrepancies" inner join "period_reports"/,
  },
  {
    why: 'what one report named, of all of its entities',
    pattern: /from "reported_discrepancies" where "reported_discrepancies"."report_id" = \$1/,
  },
]

let hearing: Promise<HeardStatement[]> | null = null

/** What the commands say about distributed tables; listened to once, by the first test that asks. */
function listen(): Promise<HeardStatement[]> {
  return (hearing ??= hearAll())
}

async function hearAll(): Promise<HeardStatement[]> {
  const shop = await openTwoShops()
  const tap = await tapInto(shop.database.address)
  shop.env['DATABASE_URL'] = tap.url
  try {
    await liveThrough(shop)
  } finally {
    await tap.close()
  }
  return tap.heard().filter(({ text }) => distributedTablesIn(text, distributed) > 0)
}

const LISTENING_MS = 300_000

test(
  'enough was heard: every distributed table, and statements of every kind',
  async () => {
    const heard = await listen()
    const silent = [...distributed].filter(
      (name) => !heard.some(({ text }) => distributedTablesIn(text, new Set([name])) > 0),
    )
    expect(silent).toEqual([])
    expect(heard.length).toBeGreaterThan(80)
    for (const kind of ['select', 'insert', 'update', 'delete']) {
      expect(heard.some(({ text }) => text.trimStart().startsWith(kind))).toBe(true)
    }
  },
  LISTENING_MS,
)

test(
  'each statement that touches an entity’s table names the entity, and joins by it',
  async () => {
    const heard = await listen()
    const faults = heard
      .filter(({ text }) => !ABOUT_ALL.some(({ pattern }) => pattern.test(text)))
      .filter(({ text }) => !/^\s*(analyze|vacuum)\b/.test(text))
      .flatMap((statement) =>
        entityFaults(statement, distributed).map((fault) => `${fault}:\n${statement.text}`),
      )
    expect(faults.join('\n\n')).toBe('')
  },
  LISTENING_MS,
)

test(
  'what looks at every entity is still there, so that no exception outlives its reason',
  async () => {
    const heard = await listen()
    for (const { why, pattern } of ABOUT_ALL) {
      expect(
        heard.some(({ text }) => pattern.test(text)),
        why,
      ).toBe(true)
    }
  },
  LISTENING_MS,
)

test(
  'nothing merges, which Citus refuses, and no change asks for the time of each row',
  async () => {
    const heard = await listen()
    expect(heard.filter(({ text }) => /^\s*merge\b/i.test(text))).toEqual([])
    expect(
      heard.filter(({ text }) => /^\s*(insert|update)\b.*clock_timestamp/is.test(text)),
    ).toEqual([])
  },
  LISTENING_MS,
)

describe('the reading of statements', () => {
  const faultsOf = (text: string, ...values: string[]): string[] =>
    entityFaults({ text, values }, distributed)

  test.each([
    ['select * from "payments" where "payments"."entity" = $1', ['north']],
    [
      'select 1 from payments as p join payment_refunds as r on r.entity = p.entity and r.payment_id = p.id where p.entity = $1',
      ['north'],
    ],
    [
      'select 1 from payments as p where p.entity = $1 and exists (select 1 from payment_refunds as r where r.entity = $2)',
      ['north', 'north'],
    ],
    ['select 1 from matches where "matches"."entity" in ($1, $2)', ['north', 'south']],
    ['delete from matches where entity = $1 and id = $2', ['north', '1']],
    ['insert into matches (entity, id) values ($1, $2) on conflict (entity, id) do nothing', []],
    ['select 1 from runs where id = $1', ['1']],
    [
      'with held as materialized (select p.entity, p.id from payments as p where p.entity = $1) select 1 from held left join payment_refunds as r on r.entity = held.entity',
      ['north'],
    ],
  ])('lets pass: %s', (text, values) => {
    expect(faultsOf(text, ...values)).toEqual([])
  })

  test.each([
    ['select * from "payments" where "payments"."id" = $1', ['north']],
    [
      'select 1 from payments as p join payment_refunds as r on r.payment_id = p.id where p.entity = $1',
      ['north'],
    ],
    [
      'select 1 from payments as p join payment_refunds as r on r.payment_id = p.id where p.entity in ($1, $2) and r.entity in ($1, $2)',
      ['north', 'south'],
    ],
    [
      'select 1 from payments as p where p.entity = $1 and exists (select 1 from payment_refunds as r where r.entity = $2)',
      ['north', 'south'],
    ],
    [
      'select 1 from payments as r where r.entity = $1 union select 1 from payment_refunds as r where r.payment_id = $2',
      ['north', 'x'],
    ],
    ['select 1 from runs, payments where runs.id = $1', ['1']],
    ['update payments set plan = null where id = $1', ['1']],
    [
      'with held as (select p.id from payments as p) select 1 from held left join payment_refunds as r on r.entity = held.entity',
      [],
    ],
    ['insert into matches (id) values ($1)', []],
    ['insert into matches (entity, id) values ($1, $2) on conflict (id) do nothing', []],
  ])('objects to: %s', (text, values) => {
    expect(faultsOf(text, ...values)).not.toEqual([])
  })
})
