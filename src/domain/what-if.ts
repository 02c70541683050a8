import { compareText } from './collections.ts'
import { keyKindOf, keyOf } from './discrepancy-key.ts'
import { money } from './findings.ts'
import type { Currency } from './money.ts'
import type { DiscrepancyRow, DiscrepancyStatus, Reconciliation } from './reconciliation.ts'

/**
 * What another policy would make of the same facts: for each thing that a report tells of, how it
 * stands and how it would stand.
 */

/** `matched`: nobody has to do anything. `open`: it waits, or something is wrong with it. */
type State = 'matched' | 'open'

export interface Standing {
  readonly state: State
  /** How it stands in a few words, such as `matched by amount_date with BANK 17` or `deposit_missing`. */
  readonly words: string
  /** What is said of its open discrepancies, each as a sentence. */
  readonly explanations: readonly string[]
}

export interface Move {
  /** What the id is the id of. */
  readonly what: Subject['what']
  readonly id: string
  readonly entity: string
  readonly currency: Currency
  readonly amountMinor: bigint | null
  readonly before: Standing
  readonly after: Standing
}

/** Moves in order of what, entity and id. */
export interface Moves {
  readonly toMatched: readonly Move[]
  readonly toOpen: readonly Move[]
  /** Open or matched as before, in another way. */
  readonly otherwise: readonly Move[]
}

/** Both reconciliations are of one period as of one day. */
export interface WhatIfInput {
  readonly before: Reconciliation
  readonly after: Reconciliation
  /** The reference of a stored bank entry by its id. */
  readonly referenceOf: (bankEntryId: string) => string
}

export function movesBetween({ before, after, referenceOf }: WhatIfInput): Moves {
  const stood = subjectsOf(before, referenceOf)
  const stands = subjectsOf(after, referenceOf)
  const moves = [...new Set([...stood.keys(), ...stands.keys()])].flatMap((name): Move[] => {
    const one = stands.get(name) ?? stood.get(name)
    if (one === undefined) return []
    const [was, is] = [standingOf(stood.get(name)), standingOf(stands.get(name))]
    if (was.state === is.state && was.words === is.words) return []
    const { what, id, entity, currency, amountMinor } = one
    return [{ what, id, entity, currency, amountMinor, before: was, after: is }]
  })
  const ordered = moves.toSorted(
    (a, b) =>
      compareText(a.what, b.what) || compareText(a.entity, b.entity) || compareText(a.id, b.id),
  )
  return {
    toMatched: ordered.filter(
      (move) => move.before.state === 'open' && move.after.state !== 'open',
    ),
    toOpen: ordered.filter((move) => move.before.state !== 'open' && move.after.state === 'open'),
    otherwise: ordered.filter((move) => move.before.state === move.after.state),
  }
}

/** Something that a report tells of, with all that it says of it. */
interface Subject {
  readonly what:
    'payout' | 'refund' | 'ledger row' | 'payment' | 'bank line' | 'bank file' | 'discrepancy'
  readonly id: string
  readonly entity: string
  readonly currency: Currency
  amountMinor: bigint | null
  /** How it stands but for its discrepancies; null where only those are told. */
  words: string | null
  /** Whether it waits or is in discrepancy by its own status. */
  isOpen: boolean
  readonly discrepancies: DiscrepancyRow[]
}

const OPEN: ReadonlySet<DiscrepancyStatus> = new Set(['new', 'open', 'reopened'])

function subjectsOf(
  { settlements, matches, refunds, openItems, discrepancies }: Reconciliation,
  referenceOf: WhatIfInput['referenceOf'],
): Map<string, Subject> {
  const subjects = new Map<string, Subject>()
  const at = (
    what: Subject['what'],
    { id, entity, currency }: Pick<Subject, 'id' | 'entity' | 'currency'>,
  ): Subject => {
    const name = [what, entity, id].join('\u0000')
    const known = subjects.get(name)
    if (known !== undefined) return known
    const made: Subject = {
      what,
      id,
      entity,
      currency,
      amountMinor: null,
      words: null,
      isOpen: false,
      discrepancies: [],
    }
    subjects.set(name, made)
    return made
  }
  for (const { payoutId: id, entity, currency, ...row } of settlements) {
    const references =
      row.bankReferences.length === 0 ? '' : ` with ${row.bankReferences.join(', ')}`
    Object.assign(at('payout', { id, entity, currency }), {
      amountMinor: row.payoutAmountMinor,
      words: `${row.status}${row.rule === null ? '' : ` by ${row.rule}`}${references}`,
      isOpen: row.status !== 'matched',
    })
  }
  // A payout from before the period has no row in the settlements once it is matched.
  for (const { entity, rule, payoutIds, bankEntryIds } of matches) {
    for (const id of payoutIds) {
      if (subjects.has(['payout', entity, id].join('\u0000'))) continue
      const references = bankEntryIds.map(referenceOf).join(', ')
      at('payout', { id, entity, currency: '' }).words = `matched by ${rule} with ${references}`
    }
  }
  for (const { refundId: id, entity, currency, status, refundedMinor, deductedMinor } of refunds) {
    Object.assign(at('refund', { id, entity, currency }), {
      amountMinor: refundedMinor ?? deductedMinor,
      words: status,
      isOpen: status !== 'deducted',
    })
  }
  for (const { item, id, entity, currency, amountMinor } of openItems) {
    if (item !== 'row_awaiting_payout') continue
    Object.assign(at('ledger row', { id, entity, currency }), {
      amountMinor,
      words: 'awaiting a payout',
      isOpen: true,
    })
  }
  for (const row of discrepancies.filter(({ status }) => OPEN.has(status))) {
    const { entity, currency } = row
    const subject = at(keyKindOf(row), { id: keyOf(row), entity, currency })
    subject.discrepancies.push(row)
    subject.amountMinor ??= row.expectedMinor ?? row.actualMinor
  }
  return subjects
}

function standingOf(subject: Subject | undefined): Standing {
  if (subject === undefined) return { state: 'matched', words: 'nothing is open', explanations: [] }
  const { words, isOpen, discrepancies } = subject
  const codes = discrepancies.map(({ code, differenceMinor, currency }) =>
    differenceMinor === null || differenceMinor === 0n
      ? code
      : `${code} of ${money(differenceMinor, currency)}`,
  )
  return {
    state: isOpen || codes.length > 0 ? 'open' : 'matched',
    words: [words, ...codes].filter((part) => part !== null).join(', '),
    explanations: discrepancies.map(({ explanation }) => explanation),
  }
}
