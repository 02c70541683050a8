/** Decisions as a person makes them: on the command line, about what a report said. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asc } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decisions, matches, runs } from '../../db/schema.ts'
import { compareText } from '../../src/domain/collections.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type ReportRow, type Workshop } from '../support/workshop.ts'

const WEEK = '2024-W12'
const AS_OF = '2024-05-14'
const SIGNED = ['--by', 'Marie', '--reason', 'payment advice of 20 March']

let world: SandboxWorld
let workshop: Workshop
/** A payout of the week whose line does not look like the provider's, and another one that does. */
let hidden: { payoutId: string; reference: string; line: SandboxLine }
let plain: { payoutId: string; reference: string }

type SandboxLine = SandboxWorld['bankAccounts'][number]['lines'][number]

beforeEach(async () => {
  world = createWorld({
    from: '2024-03-11',
    to: '2024-03-29',
    salesPerDay: 3,
    unreferencedShare: 0,
  })
  const paying = (world.bankAccounts[0]?.lines ?? []).filter(
    ({ payoutId, bookingDay }) =>
      payoutId !== undefined && bookingDay >= '2024-03-20' && bookingDay <= '2024-03-22',
  )
  const [first, second] = paying
  if (first?.payoutId === undefined || second?.payoutId === undefined) {
    throw new Error('the world has no two deposits in the week')
  }
  Object.assign(first, { counterpartyName: 'VIREMENT', counterpartyIban: '', remittance: 'RECU' })
  hidden = { payoutId: first.payoutId, reference: first.bankReference, line: first }
  plain = { payoutId: second.payoutId, reference: second.bankReference }
  workshop = await openWorkshop(world)
  await workshop.writeBank()
  expect((await reconcile()).map(({ code }) => code)).toEqual(['deposit_missing'])
})
afterEach(() => workshop.close())

async function reconcile(...flags: string[]): Promise<ReportRow[]> {
  const { exitCode, err } = await workshop.run('reconcile', ...weekFlags(), ...flags)
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  return workshop.report(WEEK, 'discrepancies.csv')
}

function weekFlags(): string[] {
  return ['--week', WEEK, '--as-of', AS_OF]
}

async function decide(...argv: string[]): Promise<string> {
  const { exitCode, out, err } = await workshop.run('decide', ...argv, ...SIGNED)
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  return out
}

async function settlementOf(payoutId: string): Promise<ReportRow | undefined> {
  const rows = await workshop.report(WEEK, 'settlements.csv')
  return rows.find((row) => row['payout_id'] === payoutId)
}

/** Runs again, and demands that not a byte changed. */
async function unchangedAgain(): Promise<void> {
  const before = await workshop.reportTexts(WEEK)
  await reconcile()
  expect(await workshop.reportTexts(WEEK)).toEqual(before)
}

async function notesOf(): Promise<string[]> {
  const text = await readFile(join(workshop.dir, 'var', 'reports', WEEK, 'summary.json'), 'utf8')
  const summary: unknown = JSON.parse(text)
  if (summary === null || typeof summary !== 'object' || !('notes' in summary)) return []
  return Array.isArray(summary.notes) ? summary.notes.map(String) : []
}

test('a match that is confirmed counts from the next report on, and is recorded with who and why', async () => {
  const out = await decide('match', '--payout', hidden.payoutId, '--bank', hidden.reference)
  expect(out).toContain('belong together (by Marie)')
  expect(await reconcile()).toEqual([])
  expect(await settlementOf(hidden.payoutId)).toMatchObject({
    status: 'matched',
    rule: 'manual',
    bank_references: hidden.reference,
  })
  await unchangedAgain()
  const stored = await workshop.database.db.select().from(decisions)
  expect(stored).toMatchObject([
    { kind: 'match', decidedBy: 'Marie', reason: 'payment advice of 20 March' },
  ])
  const recorded = await workshop.database.db.select().from(runs).orderBy(asc(runs.id))
  expect(recorded.map(({ command, exitCode }) => `${command} ${exitCode}`)).toEqual([
    'reconcile 0',
    'decide match 0',
    'reconcile 0',
    'reconcile 0',
  ])
})

test('a match that no longer holds is told at the head of the report and where it leads', async () => {
  await decide('match', '--payout', hidden.payoutId, '--bank', hidden.reference)
  await reconcile()
  const own = world.accounts[0]?.rows.find(({ payout_id }) => payout_id === hidden.payoutId)
  if (own === undefined) throw new Error('the payout has no row')
  own.amount -= 100
  own.net_amount -= 100
  const rows = await reconcile()
  expect(await notesOf()).toEqual([
    expect.stringMatching(
      /^A decision on payout \S+ no longer holds \(by Marie on [\d-]+: payment advice of 20 March\): the amounts differ by -1\.00 EUR/,
    ),
  ])
  const missing = rows.find(({ code }) => code === 'deposit_missing')
  expect(missing?.['explanation']).toContain('A decision had matched it with bank line')
  await unchangedAgain()
})

test('a refused pair is not matched again, and its earlier report is named', async () => {
  await decide('refuse', '--payout', plain.payoutId, '--bank', plain.reference)
  const rows = await reconcile()
  const ofPair = rows.filter(
    (row) => row['payout_id'] === plain.payoutId || row['bank_reference'] === plain.reference,
  )
  expect(ofPair.map(({ code }) => code ?? '').toSorted(compareText)).toEqual([
    'deposit_missing',
    'deposit_unexpected',
  ])
  for (const row of ofPair) {
    expect(row['explanation']).toMatch(
      /The report of 2024-W12 had matched it with .* \(reference\), which no longer holds: it was refused by Marie/,
    )
  }
  const revoked = await workshop.database.db.select().from(matches)
  expect(revoked.filter(({ revokedBecause }) => revokedBecause !== null)).toHaveLength(1)
  await unchangedAgain()

  await decide('match', '--payout', plain.payoutId, '--bank', plain.reference)
  expect((await reconcile()).map(({ code }) => code)).toEqual(['deposit_missing'])
  expect(await settlementOf(plain.payoutId)).toMatchObject({ status: 'matched', rule: 'manual' })
})

test('an accepted discrepancy is no longer open; reopened, it is again', async () => {
  const [missing] = await reconcile()
  const id = missing?.['discrepancy_id'] ?? ''
  const onlyIfClear = ['reconcile', ...weekFlags(), '--fail-on-discrepancy']
  expect((await workshop.run(...onlyIfClear)).exitCode).toBe(8)

  await decide('accept', '--discrepancy', id)
  const [accepted] = await reconcile()
  expect(accepted).toMatchObject({ discrepancy_id: id, status: 'accepted' })
  expect(accepted?.['explanation']).toMatch(
    /Accepted by Marie on [\d-]+: payment advice of 20 March\.$/,
  )
  expect((await workshop.run(...onlyIfClear)).exitCode).toBe(0)
  const counts = (await workshop.report(WEEK, 'summary.csv')).filter(({ line }) =>
    /^discrepancies_(new|open)$/.test(line ?? ''),
  )
  expect(counts.map(({ rows }) => rows)).toEqual(['0', '0'])
  await unchangedAgain()

  await decide('reopen', '--discrepancy', id)
  expect((await reconcile())[0]).toMatchObject({ discrepancy_id: id, status: 'reopened' })
  expect((await workshop.run(...onlyIfClear)).exitCode).toBe(8)
})

test('a dry run keeps no decision from being taken back, and pins nothing', async () => {
  await decide('refuse', '--payout', plain.payoutId, '--bank', plain.reference)
  const before = await workshop.database.db.select().from(matches).orderBy(asc(matches.id))
  const { exitCode, out } = await workshop.run('reconcile', ...weekFlags(), '--dry-run')
  expect(exitCode).toBe(0)
  expect(out).toContain('deposit_unexpected')
  expect(await workshop.database.db.select().from(matches).orderBy(asc(matches.id))).toEqual(before)
})

describe('a decision is refused with exit 2 and the fact that stands against it', () => {
  const cases = (): Record<string, { argv: string[]; says: RegExp }> => ({
    'a payout that nobody knows': {
      argv: ['match', '--payout', 'payout_X', '--bank', hidden.reference, ...SIGNED],
      says: /--payout: found "payout_X", which the stored ledger does not have\n→ .*settlements\.csv/,
    },
    'a bank line that nobody knows': {
      argv: ['match', '--payout', hidden.payoutId, '--bank', 'B999', ...SIGNED],
      says: /--bank: found "B999", which no stored bank line is called\n→ .*FILE:LINE/,
    },
    'an item that another match has': {
      argv: ['match', '--payout', hidden.payoutId, '--bank', plain.reference, ...SIGNED],
      says: new RegExp(
        `payout ${plain.payoutId} and bank line ${plain.reference} of \\S+ are matched with each other \\(reference: .*\\n→ .*decide -- refuse --payout ${plain.payoutId} --bank ${plain.reference}`,
      ),
    },
    'amounts that do not add up': {
      argv: ['match', '--payout', hidden.payoutId, '--bank', otherReference(), ...SIGNED],
      says: /cannot be matched with bank line .*: (the amounts differ by|the money goes the other way).*\n→ .*accept --discrepancy ID/,
    },
    'no name': {
      argv: ['match', '--payout', hidden.payoutId, '--bank', hidden.reference, '--reason', 'x'],
      says: /required option '--by <name>' not specified/,
    },
    'no reason': {
      argv: ['accept', '--discrepancy', 'disc_0', '--by', 'Marie'],
      says: /required option '--reason <text>' not specified/,
    },
    'an empty reason': {
      argv: ['accept', '--discrepancy', 'disc_0', '--by', 'Marie', '--reason', ' '],
      says: /--reason: found an empty text/,
    },
    'a discrepancy that no report named': {
      argv: ['accept', '--discrepancy', 'disc_0', ...SIGNED],
      says: /--discrepancy: found "disc_0", which no report that was written named/,
    },
    'a refusal of several lines at once': {
      argv: [
        'refuse',
        '--payout',
        plain.payoutId,
        '--bank',
        `${plain.reference},${hidden.reference}`,
        ...SIGNED,
      ],
      says: /--bank: found 2 bank lines, expected one/,
    },
    'an unknown flag': {
      argv: ['accept', '--discrepancy', 'disc_0', ...SIGNED, '--force'],
      says: /unknown option '--force'/,
    },
  })

  test('and nothing is recorded', async () => {
    for (const [what, { argv, says }] of Object.entries(cases())) {
      const { exitCode, err } = await workshop.run('decide', ...argv)
      expect({ what, exitCode, err }).toEqual({
        what,
        exitCode: 2,
        err: expect.stringMatching(says),
      })
    }
    const [row] = await reconcile()
    const neverAccepted = await workshop.run(
      'decide',
      'reopen',
      '--discrepancy',
      row?.['discrepancy_id'] ?? '',
      ...SIGNED,
    )
    expect(neverAccepted.exitCode).toBe(2)
    expect(neverAccepted.err).toMatch(/cannot be reopened: nobody accepted it/)
    expect(await workshop.database.db.select().from(decisions)).toEqual([])
  })

  test('where a reference names two lines, until more of it tells them apart', async () => {
    const lines = world.bankAccounts[0]?.lines ?? []
    const twin = lines.find(
      ({ bookingDay, payoutId }) => payoutId === undefined && bookingDay > '2024-03-25',
    )
    if (twin === undefined) throw new Error('the world has no other line')
    twin.bankReference = hidden.reference
    await workshop.close()
    workshop = await openWorkshop(world)
    await workshop.writeBank()
    await reconcile()
    const pair = ['--payout', hidden.payoutId, '--bank']
    const twice = await workshop.run('decide', 'match', ...pair, hidden.reference, ...SIGNED)
    expect(twice.exitCode).toBe(2)
    expect(twice.err).toMatch(
      /2 bank lines are called "\d+", one was expected:\n {2}\S+:\d+: bank line /,
    )
    expect(twice.err).toContain(`${hidden.reference}@${hidden.line.bookingDay}`)
    await decide('match', ...pair, `${hidden.reference}@${hidden.line.bookingDay}`)
    expect(await reconcile()).toEqual([])
  })

  function otherReference(): string {
    const line = world.bankAccounts[0]?.lines.find(({ payoutId }) => payoutId === undefined)
    return line?.bankReference ?? ''
  }
})
