/** The rows of a journal, read piece by piece, against a search of all that is stored. */
import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadJournalRows } from '../../db/facts-journal.ts'
import type { LedgerView } from '../../db/facts-ledger.ts'
import { proveLedger } from '../../db/proofs.ts'
import { balanceTransactions, dataExports, exportLines } from '../../db/schema.ts'
import { addDays, startOfDay } from '../../src/domain/day.ts'
import type { JournalRow } from '../../src/domain/journal.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { DAYS, FIRST_DAY, randomLedger } from './random-ledger.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(async () => {
  await database.drop()
})

const ENTITY = 'Paris'
const instant = (day: number): number => startOfDay(addDays(FIRST_DAY, day), 'Europe/Paris')

/** What of a row tells where it came from and how it would be booked. */
function inShort({ row, exportVatMinor }: JournalRow): string {
  return [row.createdS, row.id, row.netMinor, row.includedInPayoutId, exportVatMinor].join(' ')
}

async function searched({ periodStartS, periodEndS, asOfEndS }: LedgerView) {
  const { db } = database
  const stored = await db
    .select()
    .from(balanceTransactions)
    .where(eq(balanceTransactions.entity, ENTITY))
  const there = stored.filter(({ vanishedRunId }) => vanishedRunId === null)
  const own = there.filter(({ kind }) => kind === 'from_payout')
  const firstOwnS = new Map<string, number>()
  for (const { payoutId, id, createdS } of own) {
    const name = payoutId ?? id
    firstOwnS.set(name, Math.min(createdS, firstOwnS.get(name) ?? createdS))
  }
  const isOfPeriod = ({ createdS }: { readonly createdS: number }): boolean =>
    periodStartS <= createdS && createdS < Math.min(periodEndS, asOfEndS)
  const paidInPeriod = new Set(own.filter(isOfPeriod).map(({ payoutId, id }) => payoutId ?? id))
  const held = await db.select().from(dataExports).where(eq(dataExports.entity, ENTITY))
  const numbers = held
    .filter(({ type, state }) => type === 'accounting' && state === 'stored')
    .map(({ requestNumber }) => requestNumber)
  const lines = (await db.select().from(exportLines).where(eq(exportLines.entity, ENTITY)))
    .filter(({ requestNumber }) => numbers.includes(requestNumber))
    .toSorted((a, b) => b.requestNumber - a.requestNumber || a.lineNumber - b.lineNumber)
  const known = there
    .filter(({ createdS }) => createdS < asOfEndS)
    .map((row): JournalRow => {
      const payoutId = row.includedInPayoutId
      const isPaidOut = payoutId !== null && (firstOwnS.get(payoutId) ?? 0) < asOfEndS
      const line = lines.find(({ balanceTransactionId }) => balanceTransactionId === row.id)
      return {
        row: { ...row, includedInPayoutId: isPaidOut ? payoutId : null },
        exportVatMinor: line?.vatMinor ?? null,
      }
    })
  const isPaidInPeriod = ({ row }: JournalRow): boolean =>
    paidInPeriod.has(row.includedInPayoutId ?? '')
  return {
    ofPeriod: known
      .filter(({ row }) => isOfPeriod(row))
      .toSorted((a, b) => a.row.createdS - b.row.createdS || (a.row.id < b.row.id ? -1 : 1))
      .map(inShort),
    others: known
      .filter((item) => !isOfPeriod(item.row) && isPaidInPeriod(item))
      .map(inShort)
      .toSorted(),
  }
}

test.each([1, 2, 3])('piece by piece what a search of everything finds (%i)', async (seed) => {
  const { db } = database
  const ledger = randomLedger(db, { entity: ENTITY, seed: `journal/${seed}`, movesShare: 0 })
  for (const day of [12, 22, 36]) await ledger.advance(25, addDays(FIRST_DAY, day))
  await proveLedger(db, { entity: ENTITY, fees: null, vatRatePercent: '20', full: true })
  let [ofPeriod, others, withVat] = [0, 0, 0]
  for (const [first, end, asOfEnd] of [
    [7, 14, DAYS + 10],
    [14, 28, 20],
    [0, DAYS, DAYS],
    [DAYS + 7, DAYS + 14, DAYS + 60],
  ] as const) {
    const view = {
      entity: ENTITY,
      periodStartS: instant(first),
      periodEndS: instant(end),
      asOfEndS: instant(asOfEnd),
    }
    const expected = await searched(view)
    for (const rowsAtOnce of [1, 7, undefined]) {
      const found: JournalRow[] = []
      for await (const piece of loadJournalRows(db, view, rowsAtOnce)) {
        expect(piece.length).toBeLessThanOrEqual(rowsAtOnce ?? Infinity)
        found.push(...piece)
      }
      const count = expected.ofPeriod.length
      expect(found.slice(0, count).map(inShort)).toEqual(expected.ofPeriod)
      expect(found.slice(count).map(inShort).toSorted()).toEqual(expected.others)
      withVat += found.filter(({ exportVatMinor }) => exportVatMinor !== null).length
    }
    ofPeriod += expected.ofPeriod.length
    others += expected.others.length
  }
  expect(Math.min(ofPeriod, others, withVat)).toBeGreaterThan(5)
})
