/** A history that LEDGER_SINCE cuts off in its middle must not be full of breaks that are none. */
import { expect, test } from 'vitest'
import { createWorld } from '../../src/sandbox/world.ts'
import { openWorkshop } from '../support/workshop.ts'

test('a ledger that begins in the middle of a clean world has no discrepancy, and says where it begins', async () => {
  const workshop = await openWorkshop(createWorld())
  try {
    await workshop.writeBank()
    workshop.env['LEDGER_SINCE'] = '2024-03-13'
    const { exitCode } = await workshop.run(
      'reconcile',
      '--week',
      '2024-W12',
      '--as-of',
      '2024-05-14',
    )
    expect(exitCode).toBe(0)
    expect(await workshop.report('2024-W12', 'discrepancies.csv')).toEqual([])
    const summary = JSON.parse((await workshop.text('2024-W12', 'summary.json')) ?? '{}') as {
      notes: string[]
    }
    expect(summary.notes.join(' ')).toContain('known from 2024-03-13 on (LEDGER_SINCE)')
    // An earlier day brings the rest, and with it the whole proof.
    workshop.env['LEDGER_SINCE'] = ''
    await workshop.run('reconcile', '--week', '2024-W12', '--as-of', '2024-05-14')
    expect(await workshop.report('2024-W12', 'discrepancies.csv')).toEqual([])
  } finally {
    await workshop.close()
  }
})
