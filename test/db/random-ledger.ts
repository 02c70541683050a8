/**
 * A ledger with a history, made step by step by chance and stored through the product's own doors:
 * rows appear, are taken by payouts, move, change, vanish and come back; payments are looked up anew;
 * exports come. Few ids are used again and again, so that things meet.
 */
import { comparePage } from '../../jobs/ledger-page.ts'
import {
  findLedgerSpans,
  markVanished,
  recordLedgerChanges,
  saveBalanceTransactions,
} from '../../db/balance-transactions.ts'
import { forgetProofs, takeChangeNumber } from '../../db/change-numbers.ts'
import type { Db } from '../../db/client.ts'
import { markExportStored, recordExportRequest, saveExportLines } from '../../db/data-exports.ts'
import { savePayments } from '../../db/payments.ts'
import { startRun } from '../../db/runs.ts'
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import { addDays, type Day, parseDay, startOfDay, wallClock } from '../../src/domain/day.ts'
import { absolute } from '../../src/domain/money.ts'
import type { Payment } from '../../src/domain/payment.ts'
import { chanceOf } from '../../src/sandbox/chance.ts'

export const FIRST_DAY = parseDay('2024-03-04')
/** Days over which rows are created. */
export const DAYS = 40
const ZONE = 'Europe/Paris'

type Random = () => number

export interface RandomLedger {
  readonly entity: string
  /** Some steps, stored as batches of a run of that day. */
  advance(steps: number, asOf: Day): Promise<void>
}

/** @param movesShare how often a step also changes what a row is found by. */
export function randomLedger(
  db: Db,
  { entity, seed, movesShare }: { entity: string; seed: string; movesShare: number },
): RandomLedger {
  const chance = chanceOf(seed)
  const random: Random = () => chance.fraction()
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)]
  const rows = new Map<string, BalanceTransaction>()
  const gone = new Set<string>()
  const payments = new Map<string, Payment | null>()
  let made = 0

  const number = (): number => Math.floor(random() * 12)
  const instant = (): number => startOfDay(FIRST_DAY, ZONE) + Math.floor(random() * DAYS * 86_400)
  const there = (): BalanceTransaction[] => [...rows.values()].filter(({ id }) => !gone.has(id))
  const paidRows = (): BalanceTransaction[] => there().filter(({ kind }) => kind !== 'from_payout')

  const add = (row: Partial<BalanceTransaction> & { kind: string; amountMinor: bigint }): void => {
    made += 1
    const feeMinor = row.feeMinor ?? 0n
    const createdS = row.createdS ?? instant()
    const added: BalanceTransaction = {
      id: `balance_txn_${String(made).padStart(6, '0')}`,
      merchantId: null,
      currency: random() < 0.05 ? 'USD' : 'EUR',
      netMinor: row.amountMinor - feeMinor,
      paymentId: null,
      refundId: null,
      payoutId: null,
      includedInPayoutId: null,
      updatedS: createdS,
      availableOnS: random() < 0.2 ? null : createdS + Math.floor(random() * 3) * 86_400,
      ...row,
      feeMinor,
      createdS,
    }
    rows.set(added.id, added)
  }

  const change = (row: BalanceTransaction | undefined, to: Partial<BalanceTransaction>): void => {
    if (row !== undefined) rows.set(row.id, { ...row, ...to })
  }

  /** Changes of what a row is found by: after one of them nothing counts as proved. */
  const moves: readonly (() => void)[] = [
    () => change(pick(there()), { createdS: instant() }),
    () => change(pick(paidRows()), { paymentId: random() < 0.3 ? null : `payment_${number()}` }),
    () =>
      change(pick(there().filter(({ refundId }) => refundId !== null)), {
        refundId: `refund_${number()}`,
      }),
    () =>
      change(pick(there()), {
        kind: pick(['from_transaction', 'from_refund', 'from_payout', 'from_surprise']) ?? '',
      }),
    () =>
      change(pick(there().filter(({ kind }) => kind === 'from_payout')), {
        payoutId: random() < 0.3 ? null : `payout_${number()}`,
      }),
  ]

  const happenings: readonly (() => void)[] = [
    sale,
    sale,
    sale,
    refund,
    refund,
    payOut,
    payOut,
    () => add({ kind: 'from_fee_waiver', amountMinor: BigInt(1 + number()) }),
    () =>
      add({
        kind: 'from_surprise',
        amountMinor: BigInt(number() - 5) * 100n,
        refundId: random() < 0.5 ? `refund_${number()}` : null,
        paymentId: `payment_${number()}`,
      }),
    () =>
      change(pick(paidRows()), {
        includedInPayoutId: random() < 0.3 ? null : `payout_${number()}`,
      }),
    () => change(pick(paidRows()), { amountMinor: BigInt(number()) * 100n }),
    () => change(pick(there()), { netMinor: BigInt(number()) * 100n }),
    () => void (pick(there()) && gone.add(pick(there())?.id ?? '')),
    () => void gone.delete(pick([...gone]) ?? ''),
  ]

  function sale(): void {
    const amountMinor = BigInt(1 + number()) * 1000n
    const feeMinor = random() < 0.1 ? 7n : (amountMinor * 380n + 5000n) / 10_000n
    add({
      kind: 'from_transaction',
      amountMinor,
      feeMinor,
      paymentId: `payment_${number()}${random() < 0.7 ? `_${made}` : ''}`,
    })
  }

  function refund(): void {
    const sold = pick(there().filter(({ kind }) => kind === 'from_transaction'))
    const paymentId = random() < 0.1 ? null : (sold?.paymentId ?? `payment_${number()}`)
    const amountMinor = BigInt(1 + number()) * -100n
    const refundId = random() < 0.5 ? `refund_${number()}` : `refund_x${made}`
    const createdS = instant()
    add({ kind: 'from_refund', amountMinor, paymentId, refundId, createdS })
    if (random() < 0.7 && paymentId !== null) {
      const payment = payments.get(paymentId) ?? newPayment(paymentId)
      const kept = payment.refunds.filter(({ id }) => id !== refundId)
      const stands = {
        id: refundId,
        amountMinor: random() < 0.1 ? 55n : absolute(amountMinor),
        createdS: createdS - Math.floor(random() * 30) * 86_400,
      }
      payments.set(paymentId, { ...payment, refunds: [...kept, stands] })
    }
  }

  function newPayment(id: string): Payment {
    return {
      id,
      purchaseAmountMinor: 10_000n,
      plan: pick(['P3X', 'P4X', null]) ?? null,
      refunds: [],
    }
  }

  function payOut(): void {
    const payoutId = `payout_${number()}${random() < 0.6 ? `_${made}` : ''}`
    const open = paidRows().filter(({ includedInPayoutId }) => includedInPayoutId === null)
    const taken = open.filter(() => random() < 0.7)
    for (const row of taken) change(row, { includedInPayoutId: payoutId })
    const netMinor =
      taken.reduce((sum, row) => sum + row.netMinor, 0n) + (random() < 0.2 ? 100n : 0n)
    if (random() < 0.9) {
      add({
        kind: 'from_payout',
        amountMinor: -netMinor,
        payoutId: random() < 0.1 ? null : payoutId,
      })
    }
  }

  async function storeRows(runId: number, asOf: Day): Promise<void> {
    const seen = there().toSorted((a, b) => (a.id < b.id ? 1 : -1))
    const stored = await findLedgerSpans(db, entity, [{ fromId: null, belowId: null }])
    const outcome = comparePage(
      seen.map((parsed) => ({ parsed, raw: { ...parsed, ...asText(parsed) } })),
      stored,
      asOf,
    )
    if (outcome.toSave.length + outcome.vanishedIds.length === 0) return
    await db.transaction(async (tx) => {
      const batch = { entity, runId, changeNumber: await takeChangeNumber(tx, entity) }
      await saveBalanceTransactions(tx, batch, outcome.toSave)
      await markVanished(tx, batch, outcome.vanishedIds)
      const hasLost = await recordLedgerChanges(tx, batch, outcome.changes)
      if (hasLost || outcome.isElsewhere) await forgetProofs(tx, entity)
    })
  }

  async function lookUp(runId: number): Promise<void> {
    for (const row of paidRows()) {
      const id = row.paymentId
      if (id === null || random() < 0.7) continue
      const known = payments.get(id)
      if (known === undefined || random() < 0.1)
        payments.set(id, random() < 0.1 ? null : newPayment(id))
      else if (known !== null && random() < 0.2)
        payments.set(id, { ...known, refunds: known.refunds.slice(1) })
    }
    const looked = [...payments].filter(() => random() < 0.6)
    await savePayments(
      db,
      entity,
      runId,
      looked.map(([id, payment]) => ({ id, payment })),
    )
  }

  async function storeExport(runId: number): Promise<void> {
    const from = addDays(FIRST_DAY, Math.floor(random() * 5) * 7)
    const span = { startS: startOfDay(from, ZONE), endS: startOfDay(addDays(from, 7), ZONE) }
    const requestedAtMs = (span.startS + Math.floor(random() * 9) * 86_400) * 1000
    const requestNumber = await recordExportRequest(
      db,
      { entity, type: 'accounting', ...span },
      { runId, requestedAtMs },
    )
    const isTurned = random() < 0.3
    const holdsPayouts = random() < 0.5
    /** Mostly none, else up to what is told and just not told. */
    const centsOff = (): bigint => (random() < 0.7 ? 0n : BigInt(Math.floor(random() * 7) - 3))
    const lines = [...rows.values()]
      .filter(({ createdS }) => span.startS - 86_400 <= createdS && createdS < span.endS)
      .filter(
        ({ createdS, kind }) =>
          (createdS >= span.startS || random() < 0.2) &&
          (holdsPayouts || kind !== 'from_payout') &&
          random() < 0.93,
      )
      .map((row, at) => ({
        lineNumber: at + 2,
        balanceTransactionId: random() < 0.05 ? `balance_txn_only_${at}` : row.id,
        createdLocal: random() < 0.05 ? null : wallClock(row.createdS, ZONE),
        grossMinor: isTurned && row.kind === 'from_refund' ? -row.amountMinor : row.amountMinor,
        feeMinor: row.feeMinor,
        netMinor: random() < 0.05 ? row.netMinor + 1n : row.netMinor,
        vatMinor: random() < 0.1 ? null : (row.feeMinor * 20n + 50n) / 100n + centsOff(),
        paymentId: row.paymentId,
        refundId: row.refundId,
        extra: {},
      }))
    await db.transaction(async (tx) => {
      await saveExportLines(tx, entity, requestNumber, inOne(lines))
      await markExportStored(tx, entity, requestNumber, {
        archivedAs: 'x',
        sha256: 'x',
        rows: lines.length,
      })
    })
  }

  return {
    entity,
    advance: async (steps, asOf) => {
      const runId = await startRun(db, { command: 'test', period: null, asOf, appVersion: 'test' })
      for (let step = 0; step < steps; step += 1) {
        const times = 1 + Math.floor(random() * 4)
        for (let each = 0; each < times; each += 1) pick(happenings)?.()
        if (random() < movesShare) pick(moves)?.()
        await storeRows(runId, asOf)
        if (random() < 0.4) await lookUp(runId)
        if (random() < 0.2) await storeExport(runId)
      }
    },
  }
}

async function* inOne<T>(items: readonly T[]): AsyncGenerator<readonly T[]> {
  await Promise.resolve()
  yield items
}

function asText(row: BalanceTransaction) {
  return {
    amountMinor: String(row.amountMinor),
    feeMinor: String(row.feeMinor),
    netMinor: String(row.netMinor),
  }
}
