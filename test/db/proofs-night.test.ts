/** What people see of the stored proofs: nothing, unless they are wrong. */
import { sql, type SQL } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { plant } from '../../src/sandbox/plant.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

const WEEK = '2024-W12'
const AS_OF = '2024-04-05'

let workshop: Workshop
beforeEach(async () => {
  const world = createWorld({ from: '2024-03-04', to: '2024-03-29', salesPerDay: 4 })
  plant(world, { code: 'payout_residual', period: WEEK })
  workshop = await openWorkshop(world)
  await workshop.writeBank()
  await reconcile()
})
afterEach(() => workshop.close())

async function reconcile(...flags: string[]): Promise<Record<string, string>> {
  const { exitCode, err } = await run(...flags)
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  return workshop.reportTexts(WEEK)
}

function run(...flags: string[]) {
  return workshop.run('reconcile', '--week', WEEK, '--as-of', AS_OF, ...flags)
}

describe('--full', () => {
  test('gives the same bytes as the proof of what changed, also where nothing is stored by it', async () => {
    const texts = await workshop.reportTexts(WEEK)
    expect(await reconcile('--full', '--offline')).toEqual(texts)
    const dry = await run('--full', '--offline', '--dry-run')
    expect(dry).toMatchObject({ exitCode: 0, err: '' })
    expect(await reconcile()).toEqual(texts)
  })

  test('is a flag of nightly too', async () => {
    const { exitCode, err } = await workshop.run('nightly', '--full', '--as-of', AS_OF)
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  })
})

describe('a stored proof that is not what its rows are', () => {
  const somePayout = sql`(select min(payout_id) from payout_proofs where transactions > 0)`
  const CORRUPTIONS: Readonly<Record<string, SQL>> = {
    'the net of a payout': sql`update payout_proofs set net_minor = net_minor + 1 where payout_id = ${somePayout}`,
    'the sales of a payout': sql`update payout_proofs set gross_minor = gross_minor + 1 where payout_id = ${somePayout}`,
    'the fees of a payout': sql`update payout_proofs set fees_minor = fees_minor + 1 where payout_id = ${somePayout}`,
    'the refunds of a payout': sql`update payout_proofs set refunds_minor = refunds_minor + 1 where payout_id = ${somePayout}`,
    'the rows of a payout': sql`update payout_proofs set transactions = transactions + 1 where payout_id = ${somePayout}`,
    'when a payout was made': sql`update payout_proofs set own_first_created_s = own_first_created_s + 9999999 where payout_id = ${somePayout}`,
    'a payout that is missing': sql`delete from payout_proofs where payout_id = ${somePayout}`,
    'the sum of a day': sql`update ledger_days set net_minor = net_minor + 1 where (day_number, kind) = (select day_number, kind from ledger_days limit 1)`,
    'a day that is missing': sql`delete from ledger_days where day_number = (select min(day_number) from ledger_days)`,
    'a difference with an export that is missing': sql`update export_proofs set pairs = pairs + 1`,
  }

  test.each(Object.entries(CORRUPTIONS))(
    '%s: exit 7, and --full heals it',
    async (_, corruption) => {
      const texts = await workshop.reportTexts(WEEK)
      await workshop.database.db.execute(corruption)
      const { exitCode, err } = await run('--offline')
      expect({ exitCode, err }).toEqual({
        exitCode: 7,
        err: expect.stringMatching(
          /does not tie, so nothing was written:\n {2}.*against[^]*--full/,
        ),
      })
      expect(await reconcile('--offline', '--full')).toEqual(texts)
    },
  )
})
