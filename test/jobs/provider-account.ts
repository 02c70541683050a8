/** One account at the provider, row by row, served by the sandbox; and a client of it. */
import { createProviderClient, type ProviderClient } from '../../src/provider/client.ts'
import type { SandboxAccount, SandboxRow } from '../../src/sandbox/model.ts'

export const KEY = 'sk_test_ProviderAccount0123456'
/** 4 March 2024, 10:00 in Paris; each further row comes half an hour later. */
export const FIRST_ROW_S = 1_709_542_800
export const SECONDS_BETWEEN_ROWS = 1_800

/** The id of the n-th row, from 1; ids sort as rows were made. */
export const rowId = (number: number): string => `balance_txn_11${String(number).padStart(32, '0')}`

/** The id of a row that came between the n-th and the next. */
export const rowIdAfter = (number: number): string => `${rowId(number)}a`

export function emptyAccount(): SandboxAccount {
  return {
    name: 'shop',
    apiKey: KEY,
    merchantId: 'merchant_1',
    iban: 'FR7630006000011234567890189',
    rows: [],
    payments: new Map(),
  }
}

function nextNumber(account: SandboxAccount): number {
  const newest = account.rows.at(-1)
  return newest === undefined ? 1 : Number(newest.id.slice('balance_txn_11'.length)) + 1
}

export function sale(account: SandboxAccount, number = nextNumber(account)): SandboxRow {
  const createdS = FIRST_ROW_S + (number - 1) * SECONDS_BETWEEN_ROWS
  return {
    id: rowId(number),
    merchant_id: account.merchantId,
    kind: 'from_transaction',
    amount: 10_000 + number,
    net_amount: 9_600 + number,
    merchant_fee: 400,
    payment_id: `payment_${number}`,
    refund_id: null,
    payout_id: null,
    included_in_payout_id: null,
    comment: null,
    created: createdS,
    updated: createdS,
    available_on: createdS,
  }
}

export function addSales(account: SandboxAccount, count: number): void {
  for (let sold = 0; sold < count; sold += 1) account.rows.push(sale(account))
}

/** Pays out every row that is in no payout yet, but for those named. */
export function addPayout(account: SandboxAccount, butFor: readonly string[] = []): string {
  const row = sale(account)
  const payoutId = `payout_${nextNumber(account)}`
  let net = 0
  for (const each of account.rows) {
    const isOpen = each.included_in_payout_id === null && each.kind !== 'from_payout'
    if (!isOpen || butFor.includes(each.id)) continue
    each.included_in_payout_id = payoutId
    each.updated = row.created
    net += each.net_amount
  }
  account.rows.push({
    ...row,
    kind: 'from_payout',
    amount: 0 - net,
    net_amount: 0 - net,
    merchant_fee: 0,
    payment_id: null,
    payout_id: payoutId,
  })
  return payoutId
}

/** Sales in payouts of 49; the latest ones may be in none yet. */
export function accountOf(rows: number, butFor: readonly string[] = []): SandboxAccount {
  const account = emptyAccount()
  while (account.rows.length < rows) {
    if (account.rows.length % 50 === 49) addPayout(account, butFor)
    else addSales(account, 1)
  }
  return account
}

/** A client that does not wait between attempts. */
export function clientOf(url: string, apiKey = KEY): ProviderClient {
  return createProviderClient({
    apiUrl: url,
    apiKey,
    apiKeySetting: 'ALMA_API_KEY',
    sleep: async () => undefined,
  })
}

/** A client that is gone after some answers, as a process that was killed. */
export function dyingClient(client: ProviderClient, answers: number): ProviderClient {
  let left = answers
  return {
    ...client,
    getJson(path, query) {
      left -= 1
      return left < 0 ? Promise.reject(new Error('killed')) : client.getJson(path, query)
    },
  }
}
