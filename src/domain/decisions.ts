import { groupBy } from './collections.ts'
import { dayOfInstant } from './day.ts'
import type { Decision } from './facts.ts'

/**
 * What people decided, as far as it counts now: on each subject the latest decision. A payout and a
 * bank entry are the subject of `match` and `refuse`, a discrepancy that of `accept` and `reopen`.
 */
export interface StandingDecisions {
  /** Matches in the order in which they were decided; none of them shares an item with another. */
  readonly matches: readonly Decision[]
  /** Refused pairs by `pairName`. */
  readonly refused: ReadonlyMap<string, Decision>
  /** The latest decision on each discrepancy, by its id. */
  readonly verdicts: ReadonlyMap<string, Decision>
}

/** @param decisions in the order in which they were made. */
export function standingDecisions(decisions: readonly Decision[]): StandingDecisions {
  const matches: Decision[] = []
  const refused = new Map<string, Decision>()
  const verdicts = new Map<string, Decision>()
  // From the latest backwards: what a later decision settled, an earlier one does not touch.
  const settledItems = new Set<string>()
  const settledPairs = new Set<string>()
  for (const decision of decisions.toReversed()) {
    const { kind, discrepancyId } = decision
    if (discrepancyId !== null) {
      if (!verdicts.has(discrepancyId)) verdicts.set(discrepancyId, decision)
      continue
    }
    const pairs = pairsOf(decision)
    if (kind === 'refuse') {
      for (const pair of pairs) {
        if (settledPairs.has(pair)) continue
        settledPairs.add(pair)
        refused.set(pair, decision)
      }
      continue
    }
    const items = itemsOf(decision)
    const isSuperseded =
      items.some((item) => settledItems.has(item)) || pairs.some((pair) => refused.has(pair))
    if (!isSuperseded) matches.unshift(decision)
    // A match that a later decision replaced still settles its pairs against earlier refusals.
    for (const pair of pairs) settledPairs.add(pair)
    for (const item of items) settledItems.add(item)
  }
  return { matches, refused, verdicts }
}

function itemsOf({ entity, payoutIds, bankEntryIds }: Decision): string[] {
  return [
    ...payoutIds.map((id) => `payout\u0000${entity}\u0000${id}`),
    ...bankEntryIds.map((id) => `entry\u0000${id}`),
  ]
}

function pairsOf({ entity, payoutIds, bankEntryIds }: Decision): string[] {
  return payoutIds.flatMap((payoutId) =>
    bankEntryIds.map((entryId) => pairName({ entity, payoutId }, entryId)),
  )
}

/** A payout and a bank entry as one key. */
export function pairName(
  { entity, payoutId }: { readonly entity: string; readonly payoutId: string },
  bankEntryId: string,
): string {
  return `${entity}\u0000${payoutId}\u0000${bankEntryId}`
}

/** The bank entries that each payout must not be tied to, by entity and payout id. */
export function refusedEntries(
  refused: ReadonlyMap<string, Decision>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const pairs = [...refused.keys()].map((pair) => {
    const [entity = '', payoutId = '', entryId = ''] = pair.split('\u0000')
    return { payout: `${entity}\u0000${payoutId}`, entryId }
  })
  return new Map(
    [...groupBy(pairs, ({ payout }) => payout)].map(([payout, ofPayout]) => [
      payout,
      new Set(ofPayout.map(({ entryId }) => entryId)),
    ]),
  )
}

/** `Marie on 2024-04-05: paid by cheque`: who, when and why. */
export function signature({ by, reason, decidedS }: Decision, zone: string): string {
  return `${by} on ${dayOfInstant(decidedS, zone)}: ${asSentenceEnd(reason)}`
}

/** A reason as people type it, so that a sentence can end with it. */
function asSentenceEnd(reason: string): string {
  return reason.replace(/[\s.]+$/, '')
}
