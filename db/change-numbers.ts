/**
 * Numbers that count up with each batch that changes an entity's ledger or its payments, so that
 * proofs know what was touched since they were made (`ledger_proofs`).
 */
import { eq, sql } from 'drizzle-orm'
import type { Tx } from './client.ts'
import { ledgerProofs } from './schema.ts'

/** Nothing is proved: the next proof is of everything. */
const NOTHING_PROVED = -1

/** Takes the next number of the entity; what the transaction writes under it is one batch. */
export async function takeChangeNumber(tx: Tx, entity: string): Promise<number> {
  const [taken] = await tx
    .insert(ledgerProofs)
    .values({ entity, changedNumber: 1, provedNumber: NOTHING_PROVED })
    .onConflictDoUpdate({
      target: ledgerProofs.entity,
      set: { changedNumber: sql`${ledgerProofs.changedNumber} + 1` },
    })
    .returning({ changedNumber: ledgerProofs.changedNumber })
  if (taken === undefined) throw new Error(`no change number of ${entity} was given`)
  return taken.changedNumber
}

/** Makes the next proof one of everything: something changed that the rows themselves do not show. */
export async function forgetProofs(tx: Tx, entity: string): Promise<void> {
  await tx
    .update(ledgerProofs)
    .set({ provedNumber: NOTHING_PROVED })
    .where(eq(ledgerProofs.entity, entity))
}
