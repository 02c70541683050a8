import { type Day, dayOfInstant } from './day.ts'
import type { EntityFacts, Policy } from './facts.ts'
import type { Finding } from './findings.ts'
import type { Note } from './note.ts'
import { addBusinessDays } from './target-calendar.ts'

/**
 * Where LEDGER_SINCE cuts the history off, some things cannot be known: the first payouts may hold
 * rows from before, and the first deposits may belong to payouts from before. What would be said of
 * these is not said, and the report tells so.
 */
interface LedgerFloor {
  /** The first day that is known. */
  readonly day: Day
  /** The last day whose payouts may hold earlier rows. */
  readonly payoutsUntil: Day
  /** The last day whose bank lines may belong to earlier payouts. */
  readonly linesUntil: Day
}

function floorOf({ knownSinceS }: EntityFacts, policy: Policy): LedgerFloor | null {
  if (knownSinceS == null) return null
  const day = dayOfInstant(knownSinceS, policy.zone)
  return {
    day,
    payoutsUntil: addBusinessDays(day, policy.unpaidAfterDays),
    linesUntil: addBusinessDays(day, policy.matchWindowDays),
  }
}

export function withoutUnknowable(
  findings: readonly Finding[],
  entities: readonly EntityFacts[],
  policy: Policy,
): Finding[] {
  const floors = new Map(entities.map((facts) => [facts.entity, floorOf(facts, policy)]))
  return findings.filter((finding) => {
    const floor = floors.get(finding.entity) ?? null
    return floor === null || isKnowable(finding, floor)
  })
}

function isKnowable({ code, day }: Finding, floor: LedgerFloor): boolean {
  switch (code) {
    case 'payout_residual':
    case 'payout_empty':
      return day > floor.payoutsUntil
    case 'deposit_unexpected':
    case 'debit_unexpected':
      return day > floor.linesUntil
    case 'refund_not_deducted':
    case 'export_only':
      return day >= floor.day
    default:
      return true
  }
}

/** What a reader must know of each entity whose history was cut off. */
export function floorNotes(entities: readonly EntityFacts[], policy: Policy): Note[] {
  return entities.flatMap((facts) => {
    const floor = floorOf(facts, policy)
    if (floor === null) return []
    return [
      {
        entities: [facts.entity],
        text: `The ledger of ${facts.entity} is known from ${floor.day} on (LEDGER_SINCE), so its opening balance leaves out what was before. Payouts until ${floor.payoutsUntil} may hold earlier rows and were not proved where they do not add up; lines of Alma until ${floor.linesUntil} may belong to earlier payouts and were not called unexpected.`,
      },
    ]
  })
}
