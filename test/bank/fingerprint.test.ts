import { expect, test } from 'vitest'
import { fingerprint, FINGERPRINT_VERSION } from '../../src/bank/fingerprint.ts'
import type { BankEntry } from '../../src/domain/bank-statement.ts'
import { parseDay } from '../../src/domain/day.ts'

const entry: BankEntry = {
  account: 'DE89370400440532013000',
  bookingDay: parseDay('2024-03-18'),
  valueDay: parseDay('2024-03-19'),
  amountMinor: 120450n,
  currency: 'EUR',
  counterpartyName: 'Alma SAS',
  counterpartyIban: null,
  endToEndId: 'payout_1',
  remittance: ['ALMA payout_11w', 'YEyTHKhRm'],
  bankReference: 'BNK-1',
  isReversal: false,
  place: 'line 2',
  position: 2,
  raw: 'raw',
}

test('the recipe of version 1 is fixed: a changed one would import every entry again', () => {
  expect(FINGERPRINT_VERSION).toBe(1)
  expect(fingerprint(entry)).toBe(
    'aeea1909efa10fa1e7bd3d1890bd063e29dcf7bee1f83de6dac04eb13d2bd02b',
  )
})

test.each<[string, Partial<BankEntry>]>([
  ['case and blanks of names', { counterpartyName: 'ALMA  sas ' }],
  ['where the text is cut', { remittance: ['ALMA payout_', '11wYEyTHKhRm'] }],
  ['the form of letters', { remittance: ['ＡＬＭＡ payout_11wYEyTHKhRm'] }],
  ['its place in the file', { place: 'line 9', position: 9, raw: 'other' }],
  ['the account of the payer, which banks show in some formats only', { counterpartyIban: 'FR76' }],
])('does not depend on %s', (_, change) => {
  expect(fingerprint({ ...entry, ...change })).toBe(fingerprint(entry))
})

test.each<[string, Partial<BankEntry>]>([
  ['account', { account: 'DE89370400440532013001' }],
  ['booking day', { bookingDay: parseDay('2024-03-19') }],
  ['value day', { valueDay: null }],
  ['sign', { amountMinor: -120450n }],
  ['currency', { currency: 'USD' }],
  ['payer', { counterpartyName: null }],
  ['remittance', { remittance: ['ALMA'] }],
  ['end-to-end id', { endToEndId: 'payout_2' }],
  ['bank reference', { bankReference: null }],
  [
    'field in which a text stands',
    { counterpartyName: null, remittance: ['Alma SAS', ...entry.remittance] },
  ],
])('depends on the %s', (_, change) => {
  expect(fingerprint({ ...entry, ...change })).not.toBe(fingerprint(entry))
})
