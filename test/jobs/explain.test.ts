/** `explain`: the whole story of anything that a report can name. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { plant, type Planted } from '../../src/sandbox/plant.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

let shop: Workshop
let missing: Planted
let amount: Planted
let refund: Planted

beforeAll(async () => {
  const world = createWorld()
  missing = plant(world, 'deposit_missing')
  amount = plant(world, 'deposit_amount')
  refund = plant(world, 'refund_amount')
  shop = await openWorkshop(world)
  await shop.writeBank()
  const { exitCode } = await shop.run('reconcile', '--week', '2024-W12', '--as-of', '2024-05-14')
  expect(exitCode).toBe(0)
})
afterAll(() => shop.close())

async function explain(id: string): Promise<string> {
  const { exitCode, out, err } = await shop.run('explain', id, '--as-of', '2024-05-14')
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  return out
}

describe('explain', () => {
  test('a payout: its rows, its proof, its window, the lines that came close and why not, its reports', async () => {
    const out = await explain(missing.key.payout_id ?? '')
    expect(out).toMatch(/^Payout payout_/m)
    expect(out).toMatch(/proof: \d+ rows, gross .* residual 0\.00 EUR/)
    expect(out).toMatch(/deposit: missing; its window is 2024-/)
    expect(out).toMatch(/not taken: bank line .*: it does not look like a line of Alma/)
    expect(out).toMatch(/deposit_missing, since 2024-/)
    expect(out).toMatch(/2024-W12 as of 2024-05-14 \(run \d+\): deposit_missing new/)
  })

  test('a bank line and the payout that it was tied to', async () => {
    const out = await explain(amount.key.bank_reference ?? '')
    expect(out).toContain(`Bank line ${amount.key.bank_reference}`)
    expect(out).toMatch(/booked on 2024-\d\d-\d\d at FR/)
    expect(out).toContain('deposit_amount')
  })

  test('a matched payout: the rule, its evidence and what competed', async () => {
    const [matched] = (await shop.report('2024-W12', 'settlements.csv')).filter(
      ({ status }) => status === 'matched',
    )
    const out = await explain(matched?.['payout_id'] ?? '')
    expect(out).toMatch(
      /matched by the rule (reference|amount_date): .*; nothing else competed for it/,
    )
    expect(out).toMatch(/^Bank line /m)
  })

  test('a refund, its payment and the row that deducts it', async () => {
    const out = await explain(refund.key.refund_id ?? '')
    expect(out).toMatch(/from_refund: amount -/)
    expect(out).toMatch(/^Payment payment_/m)
    expect(out).toMatch(/refunded .*, deducted .*, discrepancy/)
  })

  test('a balance transaction and the payout that it is in', async () => {
    const [row] = (await shop.report('2024-W12', 'journal.csv')).filter(
      (line) => line['balance_transaction_id'] !== '',
    )
    expect(await explain(row?.['balance_transaction_id'] ?? '')).toMatch(/^In the ledger/m)
  })

  test('a discrepancy by its id, as text and as JSON', async () => {
    const [row] = (await shop.report('2024-W12', 'discrepancies.csv')).filter(
      ({ code }) => code === 'deposit_missing',
    )
    const id = row?.['discrepancy_id'] ?? ''
    expect(await explain(id)).toContain(`${id} deposit_missing`)
    const { out } = await shop.run('explain', id, '--as-of', '2024-05-14', '--json')
    expect(JSON.parse(out)).toMatchObject({ id, sections: expect.arrayContaining([]) })
  })

  test('what is not known is exit 2, and says what can be asked for', async () => {
    const { exitCode, err } = await shop.run('explain', 'payout_nobody')
    expect(exitCode).toBe(2)
    expect(err).toContain('nothing is known of "payout_nobody"')
    expect(err).toMatch(/^→ /m)
  })

  test('pins nothing and stores nothing', async () => {
    const before = await shop.reportTexts('2024-W12')
    await explain(missing.key.payout_id ?? '')
    expect(await shop.reportTexts('2024-W12')).toEqual(before)
  })
})
