/** A period that somebody signs: frozen from then on, and what changes later is told. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asc, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { periodCloses, runs } from '../../db/schema.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxRow, type SandboxWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type Outcome, type ReportRow, type Workshop } from '../support/workshop.ts'

const WEEK = '2024-W12'
const AS_OF = '2024-04-05'
/** In W15. */
const LATER = '2024-04-10'

let world: SandboxWorld
let workshop: Workshop

beforeEach(async () => {
  world = createWorld({ from: '2024-03-11', to: '2024-03-29', salesPerDay: 3 })
  plant(world, { code: 'deposit_missing', period: WEEK })
  workshop = await openWorkshop(world)
  await workshop.writeBank()
})
afterEach(() => workshop.close())

async function reconcile(week: string, asOf: string, ...flags: string[]): Promise<ReportRow[]> {
  const { exitCode, err } = await workshop.run(
    'reconcile',
    '--week',
    week,
    '--as-of',
    asOf,
    ...flags,
  )
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  return workshop.report(week, 'discrepancies.csv')
}

function close(...flags: string[]): Promise<Outcome> {
  return workshop.run('close', '--week', WEEK, '--by', 'Marie', ...flags)
}

async function closeWeek(): Promise<void> {
  await reconcile(WEEK, AS_OF)
  const { exitCode, out, err } = await close()
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  expect(out).toContain('2024-W12 is closed, signed by Marie')
}

/** Every file of the week's report by name. */
async function filesOf(week: string, reports = join('var', 'reports')) {
  const dir = join(workshop.dir, reports, week)
  const names = (await readdir(dir)).toSorted()
  const files: Record<string, string> = {}
  for (const name of names) files[name] = await readFile(join(dir, name), 'utf8')
  return files
}

/** What was found, by name of the code. */
function codes(rows: readonly ReportRow[]): string[] {
  return rows.map(({ code, status }) => `${code} ${status}`).toSorted()
}

/** A sale of the closed week. */
function saleOfWeek(): SandboxRow {
  const row = world.accounts[0]?.rows.find(
    ({ kind, created }) =>
      kind === 'from_transaction' && created > Date.parse('2024-03-19T08:00:00Z') / 1000,
  )
  if (row === undefined) throw new Error('the world has no sale in the week')
  return row
}

/** A credit of the provider in a file of its own, as a bank sends a correction. */
async function lateCredit(day: string): Promise<void> {
  const account = world.bankAccounts[0]?.iban ?? ''
  await writeFile(
    join(workshop.inbox, `correction-${day}.csv`),
    'account,booking_date,value_date,amount,currency,counterparty_name,counterparty_iban,remittance,end_to_end_id,bank_reference,opening_balance,closing_balance\n' +
      `${account},${day},,55.00,EUR,ALMA,,CREDIT,,LATE-${day},,\n`,
  )
}

describe('a closed week', () => {
  test('stays as it was signed, to the byte, whatever the day on which it is made again', async () => {
    await closeWeek()
    const signed = await filesOf(WEEK)
    expect(codes(await reconcile(WEEK, AS_OF))).toEqual(['deposit_missing new'])
    expect(await filesOf(WEEK)).toEqual(signed)
    await reconcile(WEEK, LATER)
    expect(await filesOf(WEEK)).toEqual(signed)
    // What a hand changed in the folder is put back.
    await writeFile(join(workshop.dir, 'var', 'reports', WEEK, 'summary.csv'), 'better\n')
    await reconcile(WEEK, LATER)
    expect(await filesOf(WEEK)).toEqual(signed)
    const out = join(workshop.dir, 'elsewhere')
    await reconcile(WEEK, LATER, '--out', out)
    expect(await filesOf(WEEK, 'elsewhere')).toEqual(signed)
  })

  test('is recorded with its totals, its manifest and who signed', async () => {
    await closeWeek()
    const stored = await workshop.database.db.select().from(periodCloses)
    expect(stored).toMatchObject([
      { period: WEEK, entitySet: 'default', closedBy: 'Marie', reportAsOf: AS_OF },
    ])
    expect(stored[0]?.controlTotals[0]).toMatchObject({ line: 'opening_balance' })
    const recorded = await workshop.database.db.select().from(runs).orderBy(asc(runs.id))
    expect(recorded.map(({ command, period }) => `${command} ${period}`)).toEqual([
      `reconcile ${WEEK}`,
      `close ${WEEK}`,
    ])
  })

  test('carries its open items over, and later reports take decisions on them', async () => {
    await closeWeek()
    const [missing] = await reconcile('2024-W13', LATER)
    expect(missing).toMatchObject({ code: 'deposit_missing', status: 'open' })
    const { exitCode } = await workshop.run(
      'decide',
      'accept',
      '--discrepancy',
      missing?.['discrepancy_id'] ?? '',
      '--by',
      'Marie',
      '--reason',
      'written off',
    )
    expect(exitCode).toBe(0)
    expect(codes(await reconcile('2024-W13', LATER))).toEqual(['deposit_missing accepted'])
    expect(codes(await reconcile(WEEK, LATER))).toEqual(['deposit_missing new'])
  })

  test('a row that changed is told at the end of its report and where it was seen, nowhere before', async () => {
    await closeWeek()
    const signed = await filesOf(WEEK)
    const row = saleOfWeek()
    row.amount += 100
    row.merchant_fee += 100
    const rows = await reconcile(WEEK, LATER)
    expect(codes(rows)).toEqual(['deposit_missing new', 'late_change new'])
    expect(rows[1]).toMatchObject({ balance_transaction_id: row.id, actual_date: LATER })
    expect(rows[1]?.['explanation']).toMatch(
      /of the closed period 2024-W12 \(signed by Marie on [\d-]+\) changed after the period was signed: amount from [\d.]+ EUR to [\d.]+ EUR, merchant_fee from [\d.]+ EUR to [\d.]+ EUR; seen on 2024-04-10\. The signed report was not rewritten\./,
    )

    const now = await filesOf(WEEK)
    for (const name of Object.keys(signed)) {
      if (name === 'manifest.json') continue
      if (name === 'discrepancies.csv') expect(now[name]?.startsWith(signed[name] ?? '')).toBe(true)
      else expect({ name, text: now[name] }).toEqual({ name, text: signed[name] })
    }
    const manifest = (text: string | undefined): { files: { name: string; sha256: string }[] } =>
      JSON.parse(text ?? '')
    const hashes = new Map(
      manifest(now['manifest.json']).files.map((file) => [file.name, file.sha256]),
    )
    for (const { name, sha256 } of manifest(signed['manifest.json']).files) {
      if (name === 'discrepancies.csv') expect(hashes.get(name)).not.toBe(sha256)
      else expect(hashes.get(name)).toBe(sha256)
    }

    expect(codes(await reconcile('2024-W13', LATER))).toEqual(['deposit_missing open'])
    expect(codes(await reconcile('2024-W15', LATER))).toEqual([
      'deposit_missing open',
      'late_change open',
    ])
    await reconcile(WEEK, LATER)
    expect(await filesOf(WEEK)).toEqual(now)
    // As of a day before anybody saw it, it is not known.
    await reconcile(WEEK, AS_OF)
    expect(await filesOf(WEEK)).toEqual(signed)
  })

  test('rows that appeared or are gone are told too', async () => {
    await closeWeek()
    const rows = world.accounts[0]?.rows ?? []
    const gone = saleOfWeek()
    const at = rows.indexOf(gone)
    rows.splice(at, 1, {
      ...gone,
      id: `${gone.id.slice(0, -1)}~`,
      payment_id: null,
      kind: 'from_adjustment',
    })
    const late = (await reconcile(WEEK, LATER)).filter(({ code }) => code === 'late_change')
    expect(late.map((row) => row['explanation']?.replace(/:.*/s, ''))).toEqual([
      expect.stringContaining("is gone from Alma's ledger"),
      expect.stringContaining('appeared after the period was signed'),
    ])
  })

  test('a credit that appeared is told instead of being unexpected, on the day of the run that saw it', async () => {
    await closeWeek()
    await lateCredit('2024-03-21')
    const imported = await workshop.run(
      'import-bank',
      join(workshop.inbox, 'correction-2024-03-21.csv'),
    )
    expect(imported.exitCode).toBe(0)
    const rows = await reconcile(WEEK, LATER)
    expect(codes(rows)).toEqual(['deposit_missing new', 'late_change new'])
    expect(rows[1]).toMatchObject({ bank_reference: 'LATE-2024-03-21', difference: '55.00' })
    expect(rows[1]?.['explanation']).toContain('seen on 2024-04-10')
    expect(codes(await reconcile('2024-W15', LATER))).toContain('late_change open')
    expect(codes(await reconcile('2024-W14', LATER))).not.toContain('late_change open')
  })

  test('is opened again with a reason, and then told as any other', async () => {
    await closeWeek()
    saleOfWeek().merchant_fee += 100
    saleOfWeek().amount += 100
    await reconcile(WEEK, LATER)
    const why = ['--by', 'Paul', '--reason', 'corrected statement']
    const reopened = await workshop.run('reopen', '--week', WEEK, ...why)
    expect(reopened).toMatchObject({ exitCode: 0, err: '' })
    expect(codes(await reconcile(WEEK, LATER))).toEqual(['deposit_missing new', 'line_changed new'])
    const again = await workshop.run('reopen', '--week', WEEK, ...why)
    expect(again).toMatchObject({ exitCode: 2, err: expect.stringContaining('is not closed') })
    expect((await close()).exitCode).toBe(0)
    expect(codes(await reconcile(WEEK, LATER))).toContain('line_changed new')
    const stored = await workshop.database.db
      .select()
      .from(periodCloses)
      .orderBy(asc(periodCloses.id))
    expect(stored.map(({ reopenedBy }) => reopenedBy)).toEqual(['Paul', null])
  })
})

describe('a report that is not the last word is written anew before it is signed', () => {
  /** Closes the week, and tells which of its files changed by that. */
  async function changedByClosing(): Promise<string[]> {
    const before = await filesOf(WEEK)
    const { exitCode, out } = await close()
    expect(exitCode).toBe(0)
    expect(out).toMatch(/2024-W12 is closed, signed by Marie/)
    const after = await filesOf(WEEK)
    await reconcile(WEEK, LATER)
    expect(await filesOf(WEEK)).toEqual(after)
    return Object.keys(after).filter(
      (name) => name.endsWith('.csv') && after[name] !== before[name],
    )
  }

  test('because it was made before the period was over', async () => {
    await reconcile(WEEK, '2024-03-21')
    expect(await changedByClosing()).toContain('settlements.csv')
  })

  test('because a hand changed it', async () => {
    await reconcile(WEEK, AS_OF)
    const page = join(workshop.dir, 'var', 'reports', WEEK, 'settlements.csv')
    const text = await readFile(page, 'utf8')
    await writeFile(page, text.replace('matched', 'MATCHED'))
    expect(await changedByClosing()).toEqual(['settlements.csv'])
    expect(await readFile(page, 'utf8')).toBe(text)
  })

  test('because something arrived since', async () => {
    await reconcile(WEEK, AS_OF)
    await lateCredit('2024-03-21')
    const file = join(workshop.inbox, 'correction-2024-03-21.csv')
    expect((await workshop.run('import-bank', file)).exitCode).toBe(0)
    expect(await changedByClosing()).toEqual(
      expect.arrayContaining(['discrepancies.csv', 'summary.csv']),
    )
    expect(codes(await workshop.report(WEEK, 'discrepancies.csv'))).toEqual([
      'deposit_missing new',
      'deposit_unexpected new',
    ])
  })
})

describe('a close is refused', () => {
  test('with exit 2 before the period is over, without a report, without a name, or twice', async () => {
    const refused = async (says: RegExp, ...flags: string[]): Promise<void> => {
      const { exitCode, err } = await close(...flags)
      expect({ exitCode, err }).toEqual({ exitCode: 2, err: expect.stringMatching(says) })
    }
    await refused(/ends on 2024-03-24, which is not before 2024-03-24/, '--as-of', '2024-03-24')
    await refused(/no report of 2024-W12 was written for default\n→ Run npm run reconcile/)
    await reconcile(WEEK, AS_OF)
    const unsigned = await workshop.run('close', '--week', WEEK)
    expect(unsigned).toMatchObject({ exitCode: 2, err: expect.stringContaining('--by <name>') })
    expect((await close()).exitCode).toBe(0)
    await refused(/2024-W12 is closed already, signed by Marie/)
  })

  test('with exit 7 where the totals do not tie', async () => {
    await reconcile(WEEK, AS_OF)
    await workshop.database.db.execute(
      sql`update balance_transactions set currency = 'USD' where id = (
        select id from balance_transactions where kind = 'from_payout'
          and created_s between 1710800000 and 1711200000 limit 1)`,
    )
    const { exitCode, err } = await close()
    expect({ exitCode, err }).toEqual({
      exitCode: 7,
      err: expect.stringMatching(/control totals of 2024-W12 do not tie, so it was not closed/),
    })
    expect(await workshop.database.db.select().from(periodCloses)).toEqual([])
  })
})
