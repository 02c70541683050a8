/** Two bank entries in a database that has none, for tests of what ties payouts to them. */
import type { Db } from '../../db/client.ts'
import { startRun } from '../../db/runs.ts'
import { bankEntries, bankFiles, bankStatements } from '../../db/schema.ts'
import type { Match } from '../../src/domain/reconciliation.ts'

/** @returns a run, and the ids of the entries. */
export async function storeTwoBankEntries(db: Db): Promise<{ runId: number; entries: string[] }> {
  const runId = await startRun(db, { command: 'test', period: null, asOf: null, appVersion: '0' })
  const [file] = await db
    .insert(bankFiles)
    .values({ sha256: 'f', name: 'f.csv', format: 'csv', bytes: 1, runId })
    .returning({ id: bankFiles.id })
  const [statement] = await db
    .insert(bankStatements)
    .values({
      fileId: file?.id ?? 0,
      positionInFile: 1,
      account: 'FR76',
      currency: 'EUR',
      fromDay: '2024-03-18',
      toDay: '2024-03-24',
      movementMinor: 0n,
      entries: 2,
      balanceState: 'unverifiable',
    })
    .returning({ id: bankStatements.id })
  const stored = await db
    .insert(bankEntries)
    .values(
      [1, 2].map((rank) => ({
        statementId: statement?.id ?? 0,
        account: 'FR76',
        bookingDay: '2024-03-20',
        amountMinor: 100n,
        currency: 'EUR',
        remittance: [],
        isReversal: false,
        place: `line ${rank}`,
        position: rank,
        raw: '',
        fingerprint: 'same',
        fingerprintVersion: 1,
        fingerprintRank: rank,
      })),
    )
    .returning({ id: bankEntries.id })
  return { runId, entries: stored.map(({ id }) => String(id)) }
}

export function matchOf(entity: string, payoutId: string, bankEntryId: string): Match {
  return {
    entity,
    rule: 'reference',
    evidence: 'named',
    competitors: 0,
    payoutIds: [payoutId],
    bankEntryIds: [bankEntryId],
  }
}
