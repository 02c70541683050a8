import type { StoredBankEntry } from '../bank-statement.ts'
import { signature } from '../decisions.ts'
import type { Decision, RevokedMatch } from '../facts.ts'
import type { Finding } from '../findings.ts'
import type { DepositMatch } from './board.ts'
import { nameOf } from './references.ts'
import type { BrokenDecision } from './decided.ts'
import { lineName } from './items.ts'
import type { BrokenPin } from './pinned.ts'

/**
 * What was said of payouts and lines before and holds no longer: matches of earlier reports that a
 * fact contradicted, decisions that the facts no longer bear, pairs that somebody refused. What
 * follows for their payouts and lines is told together with it, never in its place.
 */
export interface EarlierTies {
  readonly brokenPins: readonly BrokenPin[]
  readonly brokenDecisions: readonly BrokenDecision[]
  /** Matches that an earlier run gave up already. */
  readonly revoked: readonly RevokedMatch[]
  readonly refused: readonly Decision[]
  /** Ties as they are now. */
  readonly matches: readonly DepositMatch[]
  /** Any known entry by its id. */
  readonly entryOf: (id: string) => StoredBankEntry | undefined
  readonly zone: string
}

interface Tie {
  readonly entity: string
  readonly payoutIds: readonly string[]
  readonly bankEntryIds: readonly string[]
}

interface Remark {
  /** A phrase that begins small and has no full stop. */
  readonly text: string
  /** Whether it matters even where the payout is matched by now. */
  readonly isContradiction: boolean
}

/** Remarks on payouts (by `nameOf`) and on lines (by the id of the entry). */
export interface Remarks {
  readonly onPayouts: ReadonlyMap<string, readonly Remark[]>
  readonly onEntries: ReadonlyMap<string, readonly Remark[]>
}

export function remarksOn(ties: EarlierTies): Remarks {
  const onPayouts = new Map<string, Remark[]>()
  const onEntries = new Map<string, Remark[]>()
  const { brokenPins: broken, brokenDecisions, revoked, refused } = ties
  if (broken.length + brokenDecisions.length + revoked.length + refused.length === 0) {
    return { onPayouts, onEntries }
  }
  const told = new Set<string>()
  const standing = new Set(
    ties.matches.map((match) =>
      tieName({
        entity: match.payouts[0]?.entity ?? '',
        payoutIds: match.payouts.map(({ payoutId }) => payoutId),
        bankEntryIds: match.deposits.map(({ entry }) => entry.id),
      }),
    ),
  )
  const remark = (tie: Tie, isContradiction: boolean, say: (other: string) => string): void => {
    const name = tieName(tie)
    // Of one tie the first remark says enough: a refusal is also why its pin is broken.
    if (standing.has(name) || told.has(name)) return
    told.add(name)
    const lines = namesOfLines(tie, ties.entryOf)
    for (const payoutId of tie.payoutIds) {
      push(onPayouts, nameOf({ entity: tie.entity, payoutId }), {
        text: say(lines),
        isContradiction,
      })
    }
    for (const id of tie.bankEntryIds) {
      const text = say(`payout ${tie.payoutIds.join(' and ')}`)
      push(onEntries, id, { text, isContradiction })
    }
  }
  const brokenPins = broken.map(({ pin, because }) => ({ ...pin, because }))
  for (const pin of [...brokenPins, ...revoked.toReversed()]) {
    remark(
      pin,
      true,
      (other) =>
        `the report of ${pin.period} had matched it with ${other} (${pin.rule}), which no longer holds: ${pin.because}`,
    )
  }
  for (const { decision, because } of brokenDecisions) {
    remark(
      decision,
      true,
      (other) =>
        `a decision had matched it with ${other} (by ${signature(decision, ties.zone)}), which no longer holds: ${because}`,
    )
  }
  for (const decision of refused) {
    remark(
      decision,
      false,
      (other) => `a match with ${other} was refused by ${signature(decision, ties.zone)}`,
    )
  }
  return { onPayouts, onEntries }
}

function tieName({ entity, payoutIds, bankEntryIds }: Tie): string {
  return [entity, ...payoutIds.toSorted(), '', ...bankEntryIds.toSorted()].join('\u0000')
}

function namesOfLines({ bankEntryIds }: Tie, entryOf: EarlierTies['entryOf']): string {
  return bankEntryIds
    .map(entryOf)
    .map((entry) => (entry === undefined ? 'a bank line of a later day' : lineName(entry)))
    .join(' and ')
}

function push<T>(lists: Map<string, T[]>, name: string, value: T): void {
  const known = lists.get(name)
  if (known === undefined) lists.set(name, [value])
  else known.push(value)
}

/** Findings of deposits, each with what was said before of its payout or line. */
export function withRemarks(
  findings: readonly Finding[],
  { onPayouts, onEntries }: Remarks,
  entries: Iterable<StoredBankEntry>,
): Finding[] {
  if (onPayouts.size + onEntries.size === 0) return [...findings]
  const ofLine = new Map<string, readonly Remark[]>()
  for (const entry of entries) {
    const remarks = onEntries.get(entry.id)
    if (remarks !== undefined) ofLine.set(lineKeyOfEntry(entry), remarks)
  }
  return findings.map((finding) => {
    const { entity, payoutId } = finding
    const isOfPayout =
      typeof payoutId === 'string' &&
      (finding.key === payoutId || finding.key.startsWith(`${payoutId} `))
    const remarks = isOfPayout
      ? onPayouts.get(nameOf({ entity, payoutId }))
      : ofLine.get(lineKeyOfFinding(finding))
    if (remarks === undefined) return finding
    const sentences = remarks.map(({ text }) => `${capital(text)}.`)
    return { ...finding, explanation: [finding.explanation, ...sentences].join(' ') }
  })
}

/** What a payout's settlement must say of earlier ties, as phrases. */
export function contradictionsOf(remarks: Remarks, payoutName: string): string[] {
  return (remarks.onPayouts.get(payoutName) ?? [])
    .filter(({ isContradiction }) => isContradiction)
    .map(({ text }) => text)
}

/** A line as a finding names it: reference, account, day and amount. */
export function lineKeyOfEntry(entry: StoredBankEntry): string {
  return [entry.reference, entry.account, entry.bookingDay, entry.amountMinor].join('\u0000')
}

export function lineKeyOfFinding(finding: Finding): string {
  return [finding.bankReference, finding.bankAccount, finding.actualDay, finding.actualMinor].join(
    '\u0000',
  )
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
