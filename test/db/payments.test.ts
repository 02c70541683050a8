/** Which payments of sales still have to be asked for, where there are more of them than one reads at once. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { saveBalanceTransactions } from '../../db/balance-transactions.ts'
import { takeChangeNumber } from '../../db/change-numbers.ts'
import {
  findPaymentIdsNotSeen,
  findPaymentIdsWithoutPlan,
  savePayments,
} from '../../db/payments.ts'
import { startRun } from '../../db/runs.ts'
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(async () => {
  await database.drop()
})

const ENTITY = 'Paris'
const SALES = 12_000
/** Sales of one second: more than are read at once come in a few of them. */
const IN_ONE_SECOND = 4_000
const FIRST_S = 1_700_000_000

const paymentId = (place: number): string => `payment_${String(place).padStart(6, '0')}`

function sale(place: number): BalanceTransaction {
  return {
    id: `balance_txn_${String(place).padStart(6, '0')}`,
    merchantId: null,
    kind: 'from_transaction',
    currency: 'EUR',
    amountMinor: 1_000n,
    feeMinor: 0n,
    netMinor: 1_000n,
    // The last sale is a second one of the first payment.
    paymentId: paymentId(place === SALES - 1 ? 0 : place),
    refundId: null,
    payoutId: null,
    includedInPayoutId: null,
    createdS: FIRST_S + Math.floor(place / IN_ONE_SECOND),
    updatedS: null,
    availableOnS: null,
  }
}

test('are found to the last one, whatever piece they come in', async () => {
  const { db } = database
  const begin = () =>
    startRun(db, { command: 'test', period: null, asOf: null, appVersion: 'test' })
  const [earlier, runId] = [await begin(), await begin()]
  const batch = 4_000
  for (let from = 0; from < SALES; from += batch) {
    const places = Array.from({ length: batch }, (_, at) => from + at)
    await db.transaction(async (tx) => {
      const changeNumber = await takeChangeNumber(tx, ENTITY)
      await saveBalanceTransactions(
        tx,
        { entity: ENTITY, runId, changeNumber },
        places.map((place) => ({ parsed: sale(place), raw: { id: place } })),
      )
    })
    const looked = (wanted: readonly number[], plan: string | null) =>
      wanted.map((place) => {
        const id = paymentId(place)
        return { id, payment: { id, purchaseAmountMinor: 1_000n, plan, refunds: [] } }
      })
    const isKnown = (place: number): boolean => place % 3_000 !== 7
    const known = places.filter((place) => place < SALES - 1 && isKnown(place))
    await savePayments(db, ENTITY, runId, looked(known, 'P3X'))
    // One that only an earlier run looked at, one without plan.
    await savePayments(db, ENTITY, earlier, looked([from + 11], 'P3X'))
    await savePayments(db, ENTITY, runId, looked([from + 12], null))
  }
  const span = { startS: FIRST_S, endS: FIRST_S + 3 }
  const never = [7, 3_007, 6_007, 9_007].map(paymentId)
  const ofEarlier = [11, 4_011, 8_011].map(paymentId)
  const without = [12, 4_012, 8_012].map(paymentId)
  expect((await findPaymentIdsNotSeen(db, ENTITY, runId, span)).toSorted()).toEqual(
    [...never, ...ofEarlier].toSorted(),
  )
  const withoutPlan = (seenInRunId: number | null) =>
    findPaymentIdsWithoutPlan(db, ENTITY, { ...span, seenInRunId })
  expect((await withoutPlan(null)).toSorted()).toEqual([...never, ...without].toSorted())
  expect((await withoutPlan(runId)).toSorted()).toEqual(without.toSorted())
  const second = { startS: FIRST_S + 1, endS: FIRST_S + 2 }
  expect((await findPaymentIdsNotSeen(db, ENTITY, runId, second)).toSorted()).toEqual(
    [paymentId(4_011), paymentId(6_007)].toSorted(),
  )
})
