/** `reconcile --dry-run --set`: what another policy would make of the same facts. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { keyOf } from '../../src/domain/discrepancy-key.ts'
import type { Facts, Policy } from '../../src/domain/facts.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { movesBetween, type Moves } from '../../src/domain/what-if.ts'
import { factsOf } from '../domain/scenario.ts'
import { filesBelow, openPlace } from '../e2e/job.ts'
import { AS_OF, demoWorld, RECONCILE, rowCounts, WEEK } from '../e2e/shop.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

function moved(facts: Facts, policy: Partial<Policy>): Moves {
  const references = new Map(facts.bank.entries.map(({ id, reference }) => [id, reference]))
  return movesBetween({
    before: reconcile(facts),
    after: reconcile({ ...facts, policy: { ...facts.policy, ...policy } }),
    referenceOf: (id) => references.get(id) ?? '?',
  })
}

/** `what words → words`, ids left out. */
function lines(moves: Moves['toOpen']): string[] {
  return moves.map(({ what, before, after }) => `${what}: ${before.words} → ${after.words}`)
}

describe('between matched and open', () => {
  const late = `
    sale    T1  2024-03-15  100.00 fee 3.00   -> P1
    payout  P1  2024-03-18  97.00
    bank    B1  2024-03-27  97.00  ALMA P1
    sale    T2  2024-03-15  50.00 fee 1.50   -> P2
    payout  P2  2024-03-18  48.50
    bank    B2  2024-03-22  48.50  ALMA
    statement  2024-03-01 2024-04-14
  `

  test('a longer window takes a late deposit for one in time', () => {
    const moves = moved(factsOf(late), { matchWindowDays: 7 })
    expect(lines(moves.toMatched)).toEqual([
      'payout: matched by reference with B1, deposit_late → matched by reference with B1',
    ])
    expect(moves.toOpen).toEqual([])
    expect(moves.otherwise).toEqual([])
  })

  test('a shorter one leaves a deposit without a reference unmatched, and says why', () => {
    const moves = moved(factsOf(late), { matchWindowDays: 1, lateWindowDays: 1 })
    expect(lines(moves.toOpen)).toContain(
      'payout: matched by amount_date with B2 → missing, deposit_missing of -48.50 EUR',
    )
    expect(lines(moves.toOpen)).toContain(
      'bank line: nothing is open → deposit_unexpected of 48.50 EUR',
    )
    expect(moves.toOpen.flatMap(({ after }) => after.explanations).join()).toContain(
      'had not arrived',
    )
  })

  test('a payout from before the period that would be matched after all is named with its line', () => {
    const facts = factsOf(late.replaceAll('2024-03-18  48.50', '2024-03-15  48.50'), {
      period: '2024-W12',
    })
    const before = { ...facts, policy: { ...facts.policy, matchWindowDays: 1, lateWindowDays: 1 } }
    const moves = moved(before, { matchWindowDays: 5, lateWindowDays: 20 })
    expect(lines(moves.toMatched)).toContain(
      'payout: missing, deposit_missing of -48.50 EUR → matched by amount_date with B2',
    )
  })

  test('a row that nobody paid out waits longer, or not so long', () => {
    const facts = factsOf('sale T1 2024-03-19 10.00 fee 0.30', { asOf: '2024-04-15' })
    expect(lines(moved(facts, { unpaidAfterDays: 30 }).otherwise)).toEqual([
      'ledger row: line_not_paid_out of -9.70 EUR → awaiting a payout',
    ])
  })

  test('the same policy moves nothing', () => {
    const same = moved(factsOf(late), {})
    expect(same).toEqual({ toMatched: [], toOpen: [], otherwise: [] })
  })
})

let workshop: Workshop | null = null
afterEach(async () => {
  await workshop?.close()
  workshop = null
})

interface MoveJson {
  readonly what: string
  readonly id: string
  readonly before: { readonly words: string }
  readonly after: { readonly words: string }
}

interface WhatIfJson {
  readonly settings: readonly object[]
  readonly open_to_matched: readonly MoveJson[]
  readonly matched_to_open: readonly MoveJson[]
  readonly otherwise: readonly MoveJson[]
  readonly control_faults: readonly string[]
}

const DRY = [...RECONCILE, '--dry-run'] as const

async function shopOfDemo(): Promise<Workshop> {
  workshop = await openWorkshop(demoWorld())
  await workshop.writeBank()
  return workshop
}

/** What stands open, by what identifies it: the statuses of payouts, the codes of all. */
async function standings(shop: Workshop): Promise<Set<string>> {
  const settlements = await shop.report(WEEK, 'settlements.csv')
  const discrepancies = await shop.report(WEEK, 'discrepancies.csv')
  return new Set([
    ...settlements.map((row) => `${row['payout_id']} ${row['status']} ${row['rule']}`),
    ...discrepancies
      .filter(({ status }) => status === 'new' || status === 'open')
      .map((row) => `${row['discrepancy_id']} ${row['code']} ${row['difference']}`),
  ])
}

let asItIs: Set<string>
beforeAll(async () => {
  const shop = await shopOfDemo()
  await shop.run(...RECONCILE)
  asItIs = await standings(shop)
  await shop.close()
  workshop = null
})

test.each([
  ['MATCH_WINDOW_DAYS', '9'],
  ['MATCH_WINDOW_DAYS', '1'],
  ['LATE_WINDOW_DAYS', '6'],
  ['UNPAID_AFTER_DAYS', '40'],
  ['ALMA_PAYER_PATTERNS', '\\bNOBODY\\b'],
])(
  '%s=%s tells what a run with that setting would find',
  async (name, value) => {
    const shop = await shopOfDemo()
    const outcome = await shop.run(...DRY, '--set', `${name}=${value}`, '--json')
    expect(outcome).toMatchObject({ exitCode: 0, err: '' })
    const { what_if: whatIf } = JSON.parse(outcome.out) as { what_if: WhatIfJson }
    expect(whatIf.settings).toMatchObject([{ name, value }])
    expect(whatIf.control_faults).toEqual([])
    const moves = [...whatIf.open_to_matched, ...whatIf.matched_to_open, ...whatIf.otherwise]
    expect(moves).not.toEqual([])

    // Nothing was stored by trying, so this is the first run of a fresh database.
    shop.env[name] = value
    await shop.run(...RECONCILE)
    const asTried = await standings(shop)
    const changed = [...asItIs].filter((one) => !asTried.has(one)).length
    const changes = [...asTried].filter((one) => !asItIs.has(one)).length
    expect(changed + changes).toBeGreaterThan(0)
    for (const payoutId of new Set(
      [...asItIs, ...asTried]
        .filter((one) => asItIs.has(one) !== asTried.has(one) && one.startsWith('payout_'))
        .map((one) => one.split(' ')[0] ?? ''),
    )) {
      expect(moves).toContainEqual(expect.objectContaining({ what: 'payout', id: payoutId }))
    }
    for (const { what, id, after } of moves.filter((move) => move.what === 'payout')) {
      const standing = [...asTried].find((one) => one.startsWith(`${id} `))
      const [, status = 'matched'] = standing?.split(' ') ?? []
      expect({ what, id, words: after.words }).toMatchObject({
        words: expect.stringMatching(new RegExp(`^${status}\\b`)),
      })
    }
  },
  60_000,
)

test('it stores nothing, writes nothing, and prints item by item', async () => {
  const shop = await shopOfDemo()
  expect(await shop.run(...RECONCILE)).toMatchObject({ exitCode: 0 })
  const [stored, files] = [await rowCounts(shop.database.db), await filesBelow(shop.dir)]
  const { exitCode, out } = await shop.run(...DRY, '--offline', '--set', 'MATCH_WINDOW_DAYS=9')
  expect(exitCode).toBe(0)
  const late = (await shop.report(WEEK, 'discrepancies.csv')).find(
    ({ code }) => code === 'deposit_late',
  )
  const missing = (await shop.report(WEEK, 'discrepancies.csv')).find(
    ({ code }) => code === 'deposit_missing',
  )
  expect(out).toContain(
    `What if MATCH_WINDOW_DAYS were 9 instead of 5: Alma ${WEEK} as of ${AS_OF}, the same facts judged twice`,
  )
  expect(out).toContain('1 item would move from open to matched, 0 from matched to open, 1 would')
  expect(out).toMatch(
    new RegExp(
      `From open to matched:\\n  payout ${late?.['payout_id']} of default, 1982.31 EUR: .*deposit_late → matched`,
    ),
  )
  expect(out).toMatch(
    new RegExp(`Told otherwise:\\n  payout ${missing?.['payout_id']} .* → in_transit`),
  )
  expect(out).toContain('nothing was stored, mailed or written')
  expect(await rowCounts(shop.database.db)).toEqual(stored)
  expect(await filesBelow(shop.dir)).toEqual(files)
})

test('several settings are tried together; without a move it says so', async () => {
  const shop = await shopOfDemo()
  const both = await shop.run(
    ...DRY,
    '--set',
    'MATCH_WINDOW_DAYS=30',
    '--set',
    'LATE_WINDOW_DAYS=40',
  )
  expect(both).toMatchObject({ exitCode: 0 })
  expect(both.out).toContain('MATCH_WINDOW_DAYS were 30 instead of 5 and LATE_WINDOW_DAYS were 40')
  const same = await shop.run(...DRY, '--set', 'MATCH_WINDOW_DAYS=5')
  expect(same.out).toContain('0 items would move from open to matched, 0 from matched to open, 0')
})

test.each([
  [['--set', 'MATCH_WINDOW_DAYS=7'], '--set was given without --dry-run'],
  [
    ['--dry-run', '--set', 'MATCH_WINDOW=7'],
    'found "MATCH_WINDOW", expected NAME=VALUE with one of',
  ],
  [['--dry-run', '--set', 'ALMA_API_KEY=sk_live_secret'], 'found "ALMA_API_KEY", expected'],
  [['--dry-run', '--set', 'MATCH_WINDOW_DAYS'], 'expected NAME=VALUE'],
  [['--dry-run', '--set', 'MATCH_WINDOW_DAYS='], 'found no value of MATCH_WINDOW_DAYS'],
  [['--dry-run', '--set', 'MATCH_WINDOW_DAYS=seven'], 'found "seven", expected a whole number'],
  [['--dry-run', '--set', 'MATCH_WINDOW_DAYS=50'], 'LATE_WINDOW_DAYS: found 20, expected at least'],
  [
    ['--dry-run', '--set', 'MATCH_WINDOW_DAYS=6', '--set', 'MATCH_WINDOW_DAYS=7'],
    'MATCH_WINDOW_DAYS was given twice',
  ],
])('%j is a usage error', async (flags, words) => {
  const place = await openPlace({ ALMA_API_KEY: 'sk_test_0123456789abcdef' })
  const { exitCode, out, err } = await place.runHere(...RECONCILE, ...flags)
  await place.remove()
  expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' })
  expect(err).toContain(words)
  expect(err).not.toContain('sk_live_secret')
})

test('patterns that no entity would take over are no answer of "nothing moves"', async () => {
  const shop = await shopOfDemo()
  const same = await shop.run(...DRY, '--set', 'ALMA_PAYER_PATTERNS=\\bALMA\\b')
  expect(same).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('ALMA_PAYER_PATTERNS would change no entity'),
  })
})

test('what a report has named is kept under any setting', () => {
  const facts = factsOf(`
    sale    T2  2024-03-15  50.00 fee 1.50   -> P2
    payout  P2  2024-03-18  48.50
    bank    B2  2024-03-22  48.50  ALMA
    statement  2024-03-01 2024-04-14
  `)
  const [match] = reconcile(facts).matches
  if (match === undefined) throw new Error('there is no match')
  const pinned = {
    ...facts,
    bank: { ...facts.bank, pinned: [{ ...match, matchId: '1', period: WEEK }] },
  }
  const shorter = { matchWindowDays: 1, lateWindowDays: 20 }
  expect(lines(moved(pinned, shorter).toOpen)).toEqual([
    'payout: matched by amount_date with B2 → matched by amount_date with B2, deposit_late',
  ])
  expect(reconcile(facts).discrepancies.map(keyOf)).toEqual([])
})
