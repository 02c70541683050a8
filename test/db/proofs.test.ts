import { eq, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { saveBalanceTransactions } from '../../db/balance-transactions.ts'
import { takeChangeNumber } from '../../db/change-numbers.ts'
import { savePayments } from '../../db/payments.ts'
import { proveLedger } from '../../db/proofs.ts'
import { startRun } from '../../db/runs.ts'
import {
  bankEntries,
  bankFiles,
  bankStatements,
  exportPairs,
  exportProofs,
  feeDifferences,
  ledgerDays,
  ledgerProofs,
  payoutProofs,
  refundFamilies,
  repeatedRows,
} from '../../db/schema.ts'
import { gatherFacts, judgeStored } from '../../jobs/gather-facts.ts'
import { type Config, readConfig } from '../../src/config.ts'
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import { addDays, type Day, startOfDay } from '../../src/domain/day.ts'
import type { EntityFacts, Facts } from '../../src/domain/facts.ts'
import { arithmeticHolds } from '../../src/domain/ledger-rows.ts'
import { parseRange, periodInstants } from '../../src/domain/period.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { fullScanFacts } from './full-scan-facts.ts'
import { DAYS, FIRST_DAY, randomLedger } from './random-ledger.ts'

const PROOF_TABLES = {
  payoutProofs,
  ledgerDays,
  repeatedRows,
  feeDifferences,
  refundFamilies,
  exportProofs,
  exportPairs,
}

const FEES = {
  vat: 'excluded',
  vatRate: '20',
  plans: { P3X: { rate: '3.80', fixed: 0 }, P4X: { rate: '4.10', fixed: 10 } },
}

/** Two entities, of which one has a contract. */
const config: Config = readConfig(
  { ENTITIES_FILE: 'entities.json', DATABASE_URL: 'postgres://localhost/x' },
  {
    cwd: '/',
    readFile: () =>
      JSON.stringify([
        {
          name: 'Paris',
          apiKeyEnv: 'KEY_PARIS',
          ibans: ['FR7630006000011234567890189'],
          fees: FEES,
        },
        { name: 'Lyon', apiKeyEnv: 'KEY_LYON', ibans: [] },
      ]),
  },
)

let database: TestDatabase
beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(async () => {
  await database.drop()
})

async function prove(full: boolean): Promise<void> {
  for (const { name, fees } of config.entities) {
    await proveLedger(database.db, {
      entity: name,
      fees,
      vatRatePercent: fees?.vatRatePercent ?? '20',
      full,
    })
  }
}

async function storedProofs(): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {}
  for (const [name, table] of Object.entries(PROOF_TABLES)) {
    found[name] = (await database.db.select().from(table)).map(asText).sort()
  }
  return found
}

function asText(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'bigint') return `${each}n`
    if (each !== null && typeof each === 'object' && !Array.isArray(each)) {
      return Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
    }
    return each
  })
}

/** The facts with each entity's lists as reading all rows finds them. */
async function withFullScans(facts: Facts): Promise<Facts> {
  const { startS, endS } = periodInstants(facts.period, facts.policy.zone)
  const asOfEndS = startOfDay(addDays(facts.asOf, 1), facts.policy.zone)
  const entities: EntityFacts[] = []
  for (const entity of facts.entities) {
    const view = { entity: entity.entity, periodStartS: startS, periodEndS: endS, asOfEndS }
    const fees = config.entities.find(({ name }) => name === entity.entity)?.fees ?? null
    const scanned = await fullScanFacts(database.db, view, {
      fees,
      vatRatePercent: fees?.vatRatePercent ?? '20',
      unpaidAfterDays: facts.policy.unpaidAfterDays,
    })
    const payouts = scanned.payouts.toSorted((a, b) => (a.payoutId < b.payoutId ? -1 : 1))
    entities.push({ ...entity, ...scanned, payouts })
  }
  return { ...facts, entities }
}

/** What must be the same to the last row; the rest is narrowed, and must judge the same. */
function comparable({
  exports,
  refundRows: _refunds,
  payments: _payments,
  suspectRows,
  ...facts
}: EntityFacts) {
  const lists = Object.entries(facts).map(([name, value]: [string, unknown]) => [
    name,
    Array.isArray(value) ? value.map(asText).sort() : value,
  ])
  return {
    ...Object.fromEntries(lists),
    suspectRows: suspectRows
      // A refund that gives the fee back may write its sign either way.
      .filter(
        (row) => !(row.kind === 'from_refund' && row.amountMinor <= 0n && arithmeticHolds(row)),
      )
      .map(asText)
      .sort(),
    exports: exports.map((held) => asText({ ...held, pairs: [] })).sort(),
  }
}

const VIEWS: readonly { first: Day; last: Day; asOf: Day }[] = [
  { first: addDays(FIRST_DAY, 7), last: addDays(FIRST_DAY, 13), asOf: addDays(FIRST_DAY, 15) },
  {
    first: addDays(FIRST_DAY, 14),
    last: addDays(FIRST_DAY, 20),
    asOf: addDays(FIRST_DAY, DAYS + 10),
  },
  { first: addDays(FIRST_DAY, 28), last: addDays(FIRST_DAY, 34), asOf: addDays(FIRST_DAY, 30) },
  {
    first: addDays(FIRST_DAY, DAYS + 7),
    last: addDays(FIRST_DAY, DAYS + 13),
    asOf: addDays(FIRST_DAY, DAYS + 60),
  },
]

/** Whether the next proof of the entity is of what changed only. */
async function isPartProved(entity: string): Promise<boolean> {
  const [state] = await database.db
    .select({ provedNumber: ledgerProofs.provedNumber })
    .from(ledgerProofs)
    .where(eq(ledgerProofs.entity, entity))
  return (state?.provedNumber ?? -1) >= 0
}

const NIGHTS = [12, 15, 18, 22, 26, 30, 36, 45].map((day) => addDays(FIRST_DAY, day))

describe('proofs of what changed', () => {
  test.each([
    { history: 1, movesShare: 0 },
    { history: 2, movesShare: 0 },
    { history: 3, movesShare: 0 },
    { history: 4, movesShare: 0.1 },
  ])(
    'are those of everything, and gather what reading all rows finds: %o',
    async ({ history, movesShare }) => {
      const { db } = database
      const { entities } = config
      const ledgers = entities.map(({ name: entity }) =>
        randomLedger(db, { entity, seed: `${history}/${entity}`, movesShare }),
      )
      let partProofs = 0
      for (const [night, asOf] of NIGHTS.entries()) {
        for (const ledger of ledgers) {
          // Some nights bring one entity nothing.
          if ((night + history) % 3 !== 0 || ledger.entity === 'Paris')
            await ledger.advance(6, asOf)
          if (await isPartProved(ledger.entity)) partProofs += 1
        }
        await prove(false)
        const proved = await storedProofs()
        await prove(true)
        expect(proved).toEqual(await storedProofs())
      }
      expect(partProofs).toBeGreaterThan(NIGHTS.length / 2)
      for (const { first, last, asOf } of VIEWS) {
        const period = parseRange(first, last)
        const facts = await gatherFacts(db, { config, entities, period, asOf })
        const scanned = await withFullScans(facts)
        expect(facts.entities.map(comparable)).toEqual(scanned.entities.map(comparable))
        expect(reconcile(facts)).toEqual(reconcile(scanned))
      }
    },
  )
})

describe('a refund that was settled before the period', () => {
  test('is not gathered, and still explains a deposit that is short by it', async () => {
    const { db } = database
    const monday = (week: number): number =>
      startOfDay(addDays(FIRST_DAY, 7 * week), 'Europe/Paris') + 36_000
    const row = (
      id: string,
      kind: string,
      amountMinor: bigint,
      createdS: number,
    ): BalanceTransaction => ({
      id: `balance_txn_${id}`,
      merchantId: null,
      kind,
      currency: 'EUR',
      amountMinor,
      feeMinor: 0n,
      netMinor: amountMinor,
      paymentId: kind === 'from_payout' ? null : 'payment_1',
      refundId: kind === 'from_refund' ? 'refund_1' : null,
      payoutId: kind === 'from_payout' ? `payout_AAAAAAAAAAAAAAAA${id}` : null,
      includedInPayoutId: null,
      createdS,
      updatedS: createdS,
      availableOnS: createdS,
    })
    const early = 'payout_AAAAAAAAAAAAAAAA3'
    const late = 'payout_AAAAAAAAAAAAAAAA5'
    const rows = [
      { ...row('1', 'from_transaction', 50_000n, monday(0)), includedInPayoutId: early },
      { ...row('2', 'from_refund', -1_234n, monday(0) + 1), includedInPayoutId: early },
      row('3', 'from_payout', -48_766n, monday(0) + 86_400),
      {
        ...row('4', 'from_transaction', 70_000n, monday(3)),
        paymentId: 'payment_2',
        includedInPayoutId: late,
      },
      row('5', 'from_payout', -70_000n, monday(3) + 86_400),
    ]
    const runId = await startRun(db, {
      command: 'test',
      period: null,
      asOf: null,
      appVersion: 'test',
    })
    await db.transaction(async (tx) => {
      const batch = { entity: 'Paris', runId, changeNumber: await takeChangeNumber(tx, 'Paris') }
      await saveBalanceTransactions(
        tx,
        batch,
        rows.map((parsed) => ({ parsed, raw: { id: parsed.id } })),
      )
    })
    const refunds = [{ id: 'refund_1', amountMinor: 1_234n, createdS: monday(0) }]
    const payment = { id: 'payment_1', purchaseAmountMinor: 50_000n, plan: null, refunds }
    await savePayments(db, 'Paris', runId, [{ id: 'payment_1', payment }])
    await bookDeposit(runId, {
      day: addDays(FIRST_DAY, 23),
      text: `ALMA ${late}`,
      amountMinor: 68_766n,
    })
    const period = parseRange(addDays(FIRST_DAY, 21), addDays(FIRST_DAY, 27))
    const args = { config, entities: config.entities, period, asOf: addDays(FIRST_DAY, 24) }
    const gathered = await gatherFacts(db, args)
    expect(gathered.entities.flatMap(({ refundRows }) => refundRows)).toEqual([])
    expect(gathered.entities.flatMap(({ payments }) => payments)).toEqual([])
    const { reconciliation } = await judgeStored(db, args)
    const [short] = reconciliation.discrepancies.filter(({ code }) => code === 'deposit_amount')
    expect(short?.explanation).toContain('It equals refund refund_1')
    expect(reconciliation).toEqual(reconcile(await withFullScans(gathered)))
  })
})

async function bookDeposit(
  runId: number,
  { day, text, amountMinor }: { day: Day; text: string; amountMinor: bigint },
): Promise<void> {
  const { db } = database
  const account = 'FR7630006000011234567890189'
  await db.insert(bankFiles).values({ sha256: 'x', name: 'x.csv', format: 'csv', bytes: 1, runId })
  await db.insert(bankStatements).values({
    fileId: sql`(select max(id) from bank_files)`,
    positionInFile: 1,
    account,
    currency: 'EUR',
    fromDay: addDays(FIRST_DAY, 0),
    toDay: addDays(FIRST_DAY, 40),
    movementMinor: amountMinor,
    entries: 1,
    balanceState: 'unverifiable',
  })
  await db.insert(bankEntries).values({
    statementId: sql`(select max(id) from bank_statements)`,
    account,
    bookingDay: day,
    amountMinor,
    currency: 'EUR',
    remittance: [text],
    bankReference: 'BNK1',
    isReversal: false,
    place: 'line 2',
    position: 1,
    raw: text,
    fingerprint: 'x',
    fingerprintVersion: 1,
    fingerprintRank: 1,
  })
}
