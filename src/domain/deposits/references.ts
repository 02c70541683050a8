import type { StoredBankEntry } from '../bank-statement.ts'

/**
 * Payout ids in bank lines. Banks cut references, print them in capitals, break them with blanks and
 * line ends, drop what their character set lacks (SEPA has no underscore) and glue other text to
 * them; so both sides are reduced to letters and digits in capitals, and an id counts as named from
 * its first 12 characters after the prefix on.
 */
const VISIBLE_MIN = 12

export interface PayoutReference {
  readonly entity: string
  readonly payoutId: string
  /** The id as it would stand in a bank line, without prefix unless the rest is too short. */
  readonly text: string
}

/** Payouts by the first characters of their id. */
export interface ReferenceIndex {
  readonly byStart: ReadonlyMap<string, readonly PayoutReference[]>
  /** Lengths of the starts, longest first: `VISIBLE_MIN`, and those of shorter ids. */
  readonly startLengths: readonly number[]
}

function lettersAndDigits(text: string): string {
  return text
    .normalize('NFKD')
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '')
}

function referenceText(payoutId: string): string {
  const withoutPrefix = lettersAndDigits(payoutId.replace(/^[a-z]+_/i, ''))
  return withoutPrefix.length >= VISIBLE_MIN ? withoutPrefix : lettersAndDigits(payoutId)
}

export function indexReferences(
  payouts: Iterable<{ entity: string; payoutId: string }>,
): ReferenceIndex {
  const byStart = new Map<string, PayoutReference[]>()
  for (const { entity, payoutId } of payouts) {
    const text = referenceText(payoutId)
    const start = text.slice(0, VISIBLE_MIN)
    const sameStart = byStart.get(start)
    const reference = { entity, payoutId, text }
    if (sameStart === undefined) byStart.set(start, [reference])
    else sameStart.push(reference)
  }
  const lengths = new Set([...byStart.keys()].map((start) => start.length))
  return { byStart, startLengths: [...lengths].toSorted((a, b) => b - a) }
}

/** The payouts that a line names, see `DepositItem.named`. */
export function namedPayouts(entry: StoredBankEntry, index: ReferenceIndex): PayoutReference[][] {
  const groups = new Map<string, PayoutReference[]>()
  for (const field of [
    entry.remittance.join(''),
    entry.endToEndId ?? '',
    entry.bankReference ?? '',
  ]) {
    const text = lettersAndDigits(field)
    for (let at = 0; at < text.length; at += 1) {
      const group = namedAt(text, at, index)
      if (group.length > 0)
        groups.set(group.map(({ entity, payoutId }) => `${entity} ${payoutId}`).join('|'), group)
    }
  }
  // The same payout may be seen in full in one field and cut in another: what the fuller one says, counts.
  const all = [...groups.values()]
  return all.filter(
    (group) =>
      !all.some(
        (other) =>
          other !== group &&
          other.length < group.length &&
          other.every((one) => group.includes(one)),
      ),
  )
}

/** The payouts of which most is visible at this place of the text. */
function namedAt(
  text: string,
  at: number,
  { byStart, startLengths }: ReferenceIndex,
): PayoutReference[] {
  let most = 0
  let best: PayoutReference[] = []
  for (const length of startLengths) {
    for (const reference of byStart.get(text.slice(at, at + length)) ?? []) {
      const visible = visibleLength(text, at, reference.text)
      if (visible > most) [most, best] = [visible, [reference]]
      else if (visible === most) best.push(reference)
    }
  }
  return best
}

function visibleLength(text: string, at: number, reference: string): number {
  let length = 0
  while (length < reference.length && text[at + length] === reference[length]) length += 1
  return length
}
