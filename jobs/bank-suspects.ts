/** What a person is told of bank entries that wait for a decision, and how the decision is recorded. */
import {
  admitSuspect,
  type BankSuspect,
  dismissSuspect,
  loadBankSuspects,
} from '../db/bank-suspects.ts'
import type { DbOrTx, Tx } from '../db/client.ts'
import { groupBy } from '../src/domain/collections.ts'
import { type Day, minDay, parseDay } from '../src/domain/day.ts'
import { money } from '../src/domain/findings.ts'
import type { Note } from '../src/domain/note.ts'
import { UsageFault } from '../src/errors.ts'
import { bankLineName, resolveBankLines } from './bank-reference.ts'
import type { DecideFlags } from './command.ts'

export type SuspectFlags = Extract<DecideFlags, { kind: 'admit' | 'dismiss' }>

const SHOWN_MAX = 10

/**
 * The suspects of a span of days that nobody decided about, as notes of its report.
 * @param ownersOf the entities that name an account as theirs, in order; null: it belongs to all of
 * the report; none: one of them is not in the report, and its suspects are left out.
 */
export async function openSuspectNotes(
  db: DbOrTx,
  { first, last, asOf }: { readonly first: Day; readonly last: Day; readonly asOf: Day },
  ownersOf: (account: string) => readonly string[] | null,
): Promise<Note[]> {
  if (asOf < first) return []
  const found = await loadBankSuspects(db, { fromDay: first, toDay: minDay(last, asOf) })
  const open = found
    .filter(({ decided }) => decided === null)
    .map((suspect) => ({ suspect, owners: ownersOf(suspect.account) }))
    .filter(({ owners }) => owners === null || owners.length > 0)
  return [...groupBy(open, ({ owners }) => JSON.stringify(owners)).values()].map((ofOwners) => ({
    entities: ofOwners[0]?.owners ?? null,
    text: openSuspectsText(ofOwners.map(({ suspect }) => suspect)),
  }))
}

function openSuspectsText(open: readonly BankSuspect[]): string {
  const shown = open
    .slice(0, SHOWN_MAX)
    .map(
      (suspect) =>
        `${placeOf(suspect)} (${money(suspect.amountMinor, suspect.currency)} of ${suspect.bookingDay} on ${suspect.account}, as in ${suspect.earlierFile})`,
    )
  const more = open.length - shown.length
  const them = open.length === 1 ? '1 bank entry is' : `${open.length} bank entries are`
  const [one] = open
  return `${them} probably known from another file in other words, and not counted again: ${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}. Say of each whether it is money of its own (npm run decide -- admit --bank ${one === undefined ? 'FILE:LINE' : placeOf(one)} …) or the same (… dismiss …).`
}

function placeOf({ fileName, position }: BankSuspect): string {
  return `${fileName}:${position}`
}

const FIRST_DAY = parseDay('1900-01-01')
const LAST_DAY = parseDay('9999-12-31')

/**
 * Records what a person says of suspects.
 * @returns what was recorded, as a sentence.
 * @throws UsageFault if a reference names no suspect, several, or one that was taken in already.
 */
export async function decideSuspects(
  tx: Tx,
  { kind, bank, by, reason }: SuspectFlags,
  runId: number,
): Promise<string> {
  const all = await loadBankSuspects(tx, { fromDay: FIRST_DAY, toDay: LAST_DAY })
  const suspects = resolveBankLines(bank, all, 'suspected')
  for (const suspect of suspects) {
    if (suspect.decided !== 'admit') continue
    throw new UsageFault(`--bank: ${bankLineName(suspect)} was taken in already`, {
      hint: 'What was taken in stays. If the bank booked it once only, accept the discrepancy that follows from it.',
    })
  }
  for (const { id } of suspects) {
    const decision = { suspectId: Number(id), by, reason, runId }
    await (kind === 'admit' ? admitSuspect(tx, decision) : dismissSuspect(tx, decision))
  }
  const what = suspects.map(bankLineName).join(' and ')
  const is = suspects.length === 1 ? 'is' : 'are'
  return kind === 'admit'
    ? `Recorded: ${what} ${is} money of ${suspects.length === 1 ? 'its' : 'their'} own, and taken in (by ${by}).`
    : `Recorded: ${what} ${is} known from another file, and never counted again (by ${by}).`
}
