import type { StoredBankEntry } from '../bank-statement.ts'
import type { Decision, EntityFacts } from '../facts.ts'
import { signature } from '../decisions.ts'
import { money } from '../findings.ts'
import { sumOf } from '../money.ts'
import type { DepositMatch } from './board.ts'
import { nameOf } from './references.ts'
import { accountOwners, type DepositItem, lineName, type PayoutItem } from './items.ts'
import { namedPayouts, type ReferenceIndex } from './references.ts'

/** A recorded match that the facts no longer bear. */
export interface BrokenDecision {
  readonly decision: Decision
  readonly because: string
}

export interface DecidedMatches {
  readonly matches: readonly DepositMatch[]
  readonly broken: readonly BrokenDecision[]
}

export const NOTHING_DECIDED: DecidedMatches = { matches: [], broken: [] }

export interface DecidedContext {
  readonly payouts: readonly PayoutItem[]
  /** Every line that a decision may name, the provider's or not, by the id of its entry. */
  readonly lines: ReadonlyMap<string, DepositItem>
  /** Any entry that is known as of today's day, by its id. */
  readonly entryOf: (id: string) => StoredBankEntry | undefined
  /** Payouts whose own row is gone from the ledger, by `nameOf`. */
  readonly gone: ReadonlySet<string>
  readonly zone: string
}

/**
 * Rung 5, which comes first: what people decided is kept as long as the facts bear it, and told when
 * they no longer do. A decision whose items are not all known as of today's day is left aside.
 * @param decisions the standing ones, which share no item.
 */
export function keepDecided(
  decisions: readonly Decision[],
  { payouts, lines, entryOf, gone, zone }: DecidedContext,
): DecidedMatches {
  if (decisions.length === 0) return NOTHING_DECIDED
  const payoutOf = new Map(payouts.map((payout) => [payout.name, payout]))
  const matches: DepositMatch[] = []
  const broken: BrokenDecision[] = []
  for (const decision of decisions) {
    const { entity, payoutIds, bankEntryIds } = decision
    const lost = payoutIds.find((payoutId) => gone.has(nameOf({ entity, payoutId })))
    if (lost !== undefined) {
      broken.push({ decision, because: `Alma's ledger no longer has payout ${lost}` })
      continue
    }
    const strange = bankEntryIds.flatMap((id) => entryOf(id) ?? []).find(({ id }) => !lines.has(id))
    if (strange !== undefined) {
      const because = `account ${strange.account} of ${lineName(strange)} no longer belongs to an entity`
      broken.push({ decision, because })
      continue
    }
    const decided = payoutIds.flatMap(
      (payoutId) => payoutOf.get(nameOf({ entity, payoutId })) ?? [],
    )
    const deposits = bankEntryIds.flatMap((id) => lines.get(id) ?? [])
    if (decided.length < payoutIds.length || deposits.length < bankEntryIds.length) continue
    const because = contradiction(decided, deposits)
    if (because === null) {
      matches.push({
        rule: 'manual',
        payouts: decided,
        deposits,
        evidence: `decided by ${signature(decision, zone)}`,
        competitors: 0,
      })
    } else {
      broken.push({ decision, because })
    }
  }
  return { matches, broken }
}

/** Why payouts and lines cannot belong together whatever anybody decides, in words; null if they can. */
export function contradiction(
  payouts: readonly PayoutItem[],
  deposits: readonly DepositItem[],
): string | null {
  const [first] = payouts
  if (first === undefined) return 'no payout was named'
  const { entity, currency } = first
  for (const { entity: owner, entry } of deposits) {
    if (owner !== entity) {
      return `account ${entry.account} of bank line ${entry.reference} belongs to ${owner}, and the payout to ${entity}`
    }
    if (entry.currency !== currency) {
      return `bank line ${entry.reference} is in ${entry.currency}, and the payout in ${currency}`
    }
  }
  const paidMinor = sumOf(payouts.map(({ amountMinor }) => amountMinor))
  const receivedMinor = sumOf(deposits.map(({ entry }) => entry.amountMinor))
  if (paidMinor === receivedMinor) return null
  const [paid, received] = [money(paidMinor, currency), money(receivedMinor, currency)]
  if (paidMinor > 0n !== receivedMinor > 0n) {
    return `the money goes the other way: ${subject(payouts, 'payout')} ${paid}, ${subject(deposits, 'bank line')} ${received}`
  }
  return `the amounts differ by ${money(receivedMinor - paidMinor, currency)}: ${subject(payouts, 'payout')} ${paid}, ${subject(deposits, 'bank line')} ${received}`
}

function subject(items: readonly unknown[], noun: string): string {
  return items.length === 1 ? `the ${noun} is` : `the ${items.length} ${noun}s are together`
}

/** Entries of own accounts as items, whether they look like the provider's or not: a person may know better. */
export function linesOf(
  entries: readonly StoredBankEntry[],
  entities: readonly EntityFacts[],
  references: ReferenceIndex,
): DepositItem[] {
  const ownerOf = accountOwners(entities)
  return entries.flatMap((entry): DepositItem[] => {
    const entity = ownerOf(entry.account)
    return entity === null ? [] : [{ entry, entity, named: namedPayouts(entry, references) }]
  })
}
