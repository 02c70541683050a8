/** How a period went, in figures: what each is made of, kept with its report, and told again. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { metricsPrometheus } from '../../reports/metrics.ts'
import { addDays, parseDay, startOfDay } from '../../src/domain/day.ts'
import type { PinnedMatch, RevokedMatch } from '../../src/domain/facts.ts'
import { metricsOf, type PeriodMetrics, thousandthsWithoutHuman } from '../../src/domain/metrics.ts'
import { parsePeriod } from '../../src/domain/period.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'
import { factsOf } from '../domain/scenario.ts'

/** Five payouts of the week: one a day later, one late, one missing, one of which rows are amiss. */
const WEEK_OF_FIVE = `
  sale    T1  2024-03-15  100.00 fee 3.00   -> P1
  payout  P1  2024-03-18  97.00
  bank    B1  2024-03-19  97.00  ALMA P1
  sale    T2  2024-03-15  200.00 fee 6.00   -> P2
  payout  P2  2024-03-18  194.00
  bank    B2  2024-03-21  194.00  ALMA P2
  sale    T3  2024-03-16  300.00 fee 9.00   -> P3
  payout  P3  2024-03-19  291.00
  bank    B3  2024-04-02  291.00  ALMA P3
  sale    T4  2024-03-16  400.00 fee 12.00  -> P4
  payout  P4  2024-03-20  388.00
  sale    T5  2024-03-16  500.00 fee 15.00  -> P5
  payout  P5  2024-03-20  486.50
  bank    B5  2024-03-22  486.50  ALMA P5
  sale    T6  2024-03-06  10.00 fee 0.30
  statement  2024-03-01 2024-04-14
`

function metrics(text: string, revoked: readonly RevokedMatch[] = []): PeriodMetrics[] {
  return metricsOf(reconcile(factsOf(text)), revoked)
}

describe('what the figures mean', () => {
  test('payouts by what became of them, days to clear, the oldest open item, residuals, late deposits', () => {
    expect(metrics(WEEK_OF_FIVE)).toEqual([
      {
        entity: 'default',
        currency: 'EUR',
        payouts: 5,
        matchedByRule: 4,
        matchedByDecision: 0,
        inTransit: 0,
        inDiscrepancy: 1,
        // 1, 2, 3 and 9 business days: half of them had arrived within 2.
        medianDaysToClear: 2,
        worstDaysToClear: 8,
        oldestOpenSince: '2024-03-06',
        oldestOpenDays: 40,
        oldestOpenId: expect.stringMatching(/^disc_/),
        residualMinor: 150n,
        lateDeposits: 1,
        corrections: 0,
      },
    ])
  })

  test('with nothing sent and nothing open there is nothing to measure, not a figure of zero', () => {
    const [only] = metrics('sale T1 2024-03-19 10.00 fee 0.30 -> P9\npayout P9 2024-03-26 9.70')
    expect(only).toMatchObject({
      payouts: 0,
      medianDaysToClear: null,
      worstDaysToClear: null,
      residualMinor: 0n,
    })
    expect(thousandthsWithoutHuman({ payouts: 0, matchedByRule: 0 })).toBeNull()
  })

  test('residuals of opposite signs do not cancel out', () => {
    const [only] = metrics(`
      sale    T1  2024-03-15  100.00 fee 3.00   -> P1
      payout  P1  2024-03-18  98.00
      sale    T2  2024-03-15  100.00 fee 3.00   -> P2
      payout  P2  2024-03-19  96.00
    `)
    expect(only?.residualMinor).toBe(200n)
  })

  test('a correction is a payout of the period whose reported match was given up, counted once', () => {
    const reconciliation = reconcile(factsOf(WEEK_OF_FIVE))
    const ids = reconciliation.settlements.map(({ payoutId }) => payoutId)
    const pin = (matchId: string, payoutIds: readonly string[]): PinnedMatch => ({
      matchId,
      entity: 'default',
      rule: 'amount_date',
      evidence: 'x',
      competitors: 0,
      payoutIds,
      bankEntryIds: ['1'],
      period: '2024-W12',
    })
    const [p1 = '', p2 = '', p3 = ''] = ids
    const revoked = [
      { ...pin('1', [p1, p2]), because: 'x' },
      { ...pin('2', [p1]), because: 'x' },
      { ...pin('3', ['payout_of_another_week']), because: 'x' },
      { ...pin('4', [p3]), entity: 'other', because: 'x' },
    ]
    expect(metricsOf(reconciliation, revoked)[0]?.corrections).toBe(2)
    const broken = { ...reconciliation, brokenPins: [{ pin: pin('5', [p3]), because: 'x' }] }
    expect(metricsOf(broken, revoked)[0]?.corrections).toBe(3)
  })

  test('the share is rounded down: all of them is all of them', () => {
    expect(thousandthsWithoutHuman({ payouts: 3000, matchedByRule: 2999 })).toBe(999)
    expect(thousandthsWithoutHuman({ payouts: 3000, matchedByRule: 3000 })).toBe(1000)
  })
})

let workshop: Workshop | null = null
afterEach(async () => {
  await workshop?.close()
  workshop = null
})

async function open(): Promise<Workshop> {
  const world = createWorld({ from: '2024-02-26', to: '2024-03-29', salesPerDay: 4 })
  plant(world, 'deposit_late')
  plant(world, 'deposit_missing')
  workshop = await openWorkshop(world)
  await workshop.writeBank()
  return workshop
}

async function report(shop: Workshop, week: string, asOf = '2024-04-05'): Promise<void> {
  const outcome = await shop.run('reconcile', '--week', week, '--as-of', asOf)
  expect(outcome).toMatchObject({ exitCode: 0, err: '' })
}

interface MetricsJson {
  readonly periods: readonly (Record<string, unknown> & { readonly period: { label: string } })[]
}

async function told(shop: Workshop, ...flags: string[]): Promise<MetricsJson> {
  const { exitCode, out, err } = await shop.run('metrics', '--json', ...flags)
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  return JSON.parse(out) as MetricsJson
}

test('kept with each report, for every period: what settlements.csv says of it', async () => {
  const shop = await open()
  const empty = await shop.run('metrics')
  expect(empty).toMatchObject({ exitCode: 0, out: expect.stringContaining('no metrics yet') })
  for (const week of ['2024-W10', '2024-W11', '2024-W12', '2024-W13']) await report(shop, week)
  const outcome = await shop.run('reconcile', '--month', '2024-03', '--as-of', '2024-04-05')
  expect(outcome.exitCode).toBe(0)
  const { periods } = await told(shop)
  expect(periods.map(({ period }) => period.label)).toEqual([
    '2024-W10',
    '2024-W11',
    '2024-W12',
    '2024-W13',
    '2024-03',
  ])
  for (const found of periods) {
    const { label } = found.period
    const { first, last } = parsePeriod(label)
    const rows = (await shop.report(label, 'settlements.csv')).filter(
      ({ created = '' }) => created >= first && created <= last,
    )
    const lags = rows
      .filter(({ status }) => status === 'matched')
      .map(({ lag_days: lag }) => Number(lag))
    const codes = (await shop.report(label, 'discrepancies.csv')).map(({ code }) => code)
    expect(found).toMatchObject({
      payouts: rows.length,
      payouts_matched_by_rule: lags.length,
      payouts_in_discrepancy: rows.filter(({ status }) => status === 'missing').length,
      worst_business_days_to_clear: Math.max(...lags),
      late_deposits: codes.filter((code) => code === 'deposit_late').length,
      residuals: '0.00',
      residuals_minor: '0',
    })
  }
  const { out } = await shop.run('metrics')
  expect(out).toMatch(/2024-W12 +2024-04-05 +\d+ +\d+ \(\d+\.\d %\)/)
  expect(await shop.run('metrics', '--entity', 'nobody')).toMatchObject({ exitCode: 2 })
})

test('the page shows them side by side; what another week found since does not make it new', async () => {
  const shop = await open()
  await report(shop, '2024-W12')
  const alone = await shop.text('2024-W12', 'report.html')
  expect(alone).toContain('<h2 id="history">How we are doing</h2>')
  expect(alone).toContain('1 period, 2024-W12')
  for (const week of ['2024-W13', '2024-W11', '2024-W10', '2024-W12']) await report(shop, week)
  const page = await shop.text('2024-W12', 'report.html')
  expect(page).toContain('3 periods, 2024-W10 to 2024-W12')
  const csvs = await shop.reportTexts('2024-W12')
  const manifest = await shop.text('2024-W12', 'manifest.json')

  // The same facts: not a byte changes, although another week is told otherwise by now.
  await shop.database.db.execute(
    sql`update period_metrics set worst_days_to_clear = 19 where period = '2024-W11'`,
  )
  await report(shop, '2024-W12')
  expect(await shop.text('2024-W12', 'report.html')).toBe(page)
  expect(await shop.text('2024-W12', 'manifest.json')).toBe(manifest)
  // Another day is another report, and shows what is known by then.
  await report(shop, '2024-W12', '2024-04-06')
  expect(await shop.text('2024-W12', 'report.html')).toContain('<span class="n">19</span>')

  const section = /<section aria-labelledby="history">[\s\S]*?<\/section>/.exec(page)?.[0] ?? ''
  expect(section.match(/<svg/g)).toHaveLength(7)
  expect(section).not.toContain('2024-W13')
  expect(section).toContain('Matched without a human')
  expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/)
  // What history there was is nobody's business but the page's.
  const fresh = await openWorkshop(shop.sandbox.world)
  try {
    await fresh.writeBank()
    await report(fresh, '2024-W12')
    expect(await fresh.reportTexts('2024-W12')).toEqual(csvs)
  } finally {
    await fresh.close()
  }
}, 60_000)

test('twelve periods at most, the latest ones', async () => {
  const shop = await open()
  const days = Array.from({ length: 14 }, (_, after) => addDays(parseDay('2024-03-11'), after))
  for (const day of days) {
    const range = ['--from', day, '--to', day, '--as-of', '2024-04-05']
    expect(await shop.run('reconcile', ...range, '--offline')).toMatchObject({ exitCode: 0 })
  }
  const { periods } = await told(shop)
  expect(periods.map(({ period }) => period.label)).toEqual(
    days.slice(2).map((day) => `${day}_${day}`),
  )
  const last = `${days.at(-1)}_${days.at(-1)}`
  expect(await shop.text(last, 'report.html')).toContain(
    `12 periods, ${days[2]}_${days[2]} to ${last}`,
  )
}, 60_000)

test('a dry run keeps none, a closed period keeps what it was signed with', async () => {
  const shop = await open()
  await shop.run('reconcile', '--week', '2024-W12', '--as-of', '2024-04-05', '--dry-run')
  expect((await told(shop)).periods).toEqual([])
  await report(shop, '2024-W12')
  const signed = await told(shop)
  const closed = await shop.run(
    'close',
    '--week',
    '2024-W12',
    '--as-of',
    '2024-04-05',
    '--by',
    'Marie',
  )
  expect(closed).toMatchObject({ exitCode: 0, err: '' })
  expect(await shop.run('reconcile', '--week', '2024-W12', '--as-of', '2024-04-20')).toMatchObject({
    exitCode: 0,
  })
  expect(await told(shop)).toEqual(signed)
})

test('a Prometheus text file, whole or not at all, with samples that a parser takes', async () => {
  const shop = await open()
  await report(shop, '2024-W12')
  const path = join(shop.dir, 'alma.prom')
  for (const _ of [1, 2]) {
    expect(await shop.run('metrics', '--textfile', path)).toMatchObject({ exitCode: 0 })
  }
  expect((await readdir(shop.dir)).filter((name) => name.includes('alma.prom'))).toEqual([
    'alma.prom',
  ])
  const text = await readFile(path, 'utf8')
  const families = new Map<string, number>()
  for (const line of text.trimEnd().split('\n')) {
    const [, type] = /^# TYPE (\w+) gauge$/.exec(line) ?? []
    if (type !== undefined) families.set(type, 0)
    if (line.startsWith('#')) continue
    const [, name = ''] =
      /^([a-z_]+)\{entity="default",currency="EUR",period="2024-W12"(?:,state="[a-z_]+")?\} \d+(?:\.\d+)?$/.exec(
        line,
      ) ?? []
    expect({ line, known: families.has(name) }).toEqual({ line, known: true })
    families.set(name, (families.get(name) ?? 0) + 1)
  }
  expect([...families].filter(([, samples]) => samples === 0)).toEqual([])
  expect(families.get('alma_payouts')).toBe(4)
  const end = startOfDay(parseDay('2024-03-25'), 'Europe/Paris')
  expect(text).toContain(
    `alma_period_end_timestamp_seconds{entity="default",currency="EUR",period="2024-W12"} ${end}\n`,
  )
  const nowhere = await shop.run('metrics', '--textfile', join(shop.dir, 'no', 'alma.prom'))
  expect(nowhere).toMatchObject({ exitCode: 2, err: expect.stringContaining('does not exist') })
})

test('names of entities stand in quotes, whatever signs they have', () => {
  const [own] = metrics(WEEK_OF_FIVE)
  if (own === undefined) throw new Error('there are no metrics')
  const period = parsePeriod('2024-W12')
  const text = metricsPrometheus(
    [{ ...own, entity: 'A "B"\\\nC', period, asOf: parseDay('2024-04-15') }],
    'Europe/Paris',
  )
  expect(text).toContain('{entity="A \\"B\\"\\\\\\nC",currency="EUR",period="2024-W12"} 1\n')
})
