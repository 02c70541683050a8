import type { Facts } from '../facts.ts'
import { provePayouts } from '../payout-proof.ts'
import type { Match } from '../reconciliation.ts'
import { contradiction, linesOf } from './decided.ts'
import { lineName, payoutItems } from './items.ts'
import { indexReferences } from './references.ts'

/** The fact that stands against a match that somebody wants to record, and what can be done about it. */
export interface Objection {
  readonly fact: string
  readonly remedy: string
}

export interface WantedMatch {
  readonly entity: string
  readonly payoutIds: readonly string[]
  readonly bankEntryIds: readonly string[]
}

/** @param matches as they stand without the wanted one; the same match found by a rule is no objection. */
export function objectionTo(
  wanted: WantedMatch,
  facts: Facts,
  matches: readonly Match[],
): Objection | null {
  return (
    severalOfBoth(wanted) ?? takenByAnother(wanted, facts, matches) ?? impossible(wanted, facts)
  )
}

function severalOfBoth({ payoutIds, bankEntryIds }: WantedMatch): Objection | null {
  if (payoutIds.length === 1 || bankEntryIds.length === 1) return null
  return {
    fact: `${payoutIds.length} payouts and ${bankEntryIds.length} bank lines were named; one payout with its lines, or one line with its payouts, was expected`,
    remedy:
      'Record a match for each payout, or for each line, so that it is clear which pays which.',
  }
}

function takenByAnother(
  { entity, payoutIds, bankEntryIds }: WantedMatch,
  { bank }: Facts,
  matches: readonly Match[],
): Objection | null {
  const entryOf = new Map(bank.entries.map((entry) => [entry.id, entry]))
  for (const match of matches) {
    const payouts = match.entity === entity ? shared(payoutIds, match.payoutIds) : []
    const lines = shared(bankEntryIds, match.bankEntryIds)
    if (payouts.length + lines.length === 0) continue
    const isSame =
      payouts.length === Math.max(payoutIds.length, match.payoutIds.length) &&
      lines.length === Math.max(bankEntryIds.length, match.bankEntryIds.length)
    if (isSame) continue
    const names = match.bankEntryIds.flatMap((id) => {
      const entry = entryOf.get(id)
      return entry === undefined ? [] : [lineName(entry)]
    })
    const [payoutId = ''] = match.payoutIds
    const reference = entryOf.get(match.bankEntryIds[0] ?? '')?.reference ?? ''
    return {
      fact: `payout ${match.payoutIds.join(' and ')} and ${names.join(' and ')} are matched with each other (${match.rule}: ${match.evidence})`,
      remedy: `If that match is wrong, refuse it first: npm run decide -- refuse --payout ${payoutId} --bank ${reference} --by NAME --reason TEXT`,
    }
  }
  return null
}

function shared(some: readonly string[], others: readonly string[]): string[] {
  return some.filter((id) => others.includes(id))
}

/** What would also end the decision in any later run: currency, account, direction, amounts. */
function impossible(
  { entity, payoutIds, bankEntryIds }: WantedMatch,
  { entities, bank, policy }: Facts,
): Objection | null {
  const proved = entities.flatMap((facts) => provePayouts(facts, policy))
  const payouts = payoutItems(proved, policy).filter(
    (payout) => payout.entity === entity && payoutIds.includes(payout.payoutId),
  )
  const unknown = payoutIds.find((id) => !payouts.some(({ payoutId }) => payoutId === id))
  if (unknown !== undefined) {
    return {
      fact: `Alma's ledger has no row of its own for payout ${unknown}, so its amount is not known`,
      remedy: 'Ask Alma for the missing row; the discrepancy payout_unknown can be accepted.',
    }
  }
  const entries = bank.entries.filter(({ id }) => bankEntryIds.includes(id))
  const lines = linesOf(entries, entities, indexReferences([]))
  const stranger = entries.find((entry) => !lines.some((line) => line.entry === entry))
  if (stranger !== undefined) {
    return {
      fact: `account ${stranger.account} of ${lineName(stranger)} belongs to no entity`,
      remedy: 'Name the account among the ibans of its entity in ENTITIES_FILE, or in ALMA_IBANS.',
    }
  }
  const because = contradiction(payouts, lines)
  if (because === null) return null
  return {
    fact: `payout ${payoutIds.join(' and ')} cannot be matched with ${entries.map(lineName).join(' and ')}: ${because}`,
    remedy:
      'A match must be at an account of the same entity, in the same currency, and add up exactly. To write a difference off, accept its discrepancy: npm run decide -- accept --discrepancy ID --by NAME --reason TEXT',
  }
}
