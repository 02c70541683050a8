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
  /** See `nameOf`. */
  readonly name: string
  /** The id as it would stand in a bank line, without prefix unless the rest is too short. */
  readonly text: string
}

/** Entity and payout id as one key. */
export function nameOf({
  entity,
  payoutId,
}: {
  readonly entity: string
  readonly payoutId: string
}): string {
  return `${entity}\u0000${payoutId}`
}

/** Payouts by the first characters of their id. */
export interface ReferenceIndex {
  readonly byStart: ReadonlyMap<string, readonly PayoutReference[]>
  /** Lengths of the starts, longest first: `VISIBLE_MIN`, and those of shorter ids. */
  readonly startLengths: readonly number[]
  /**
   * The first two characters of all starts, as `pairAt` has them: few places of a text begin like an
   * id, and at all others nothing needs to be looked up. Null: some start has fewer.
   */
  readonly beginnings: ReadonlySet<number> | null
}

/** Two characters of a text as one number. */
function pairAt(text: string, at: number): number {
  return text.charCodeAt(at) * 65_536 + text.charCodeAt(at + 1)
}

function lettersAndDigits(text: string): string {
  if (text === '') return ''
  const plain = BEYOND_ASCII.test(text) ? text.normalize('NFKD') : text
  return plain.toUpperCase().replace(/[^A-Z0-9]+/g, '')
}

/** Texts without it have nothing to be taken apart. */
const BEYOND_ASCII = /[^\0-\x7f]/

function referenceText(payoutId: string): string {
  const withoutPrefix = lettersAndDigits(payoutId.replace(/^[a-z]+_/i, ''))
  return withoutPrefix.length >= VISIBLE_MIN ? withoutPrefix : lettersAndDigits(payoutId)
}

export function indexReferences(
  payouts: Iterable<Pick<PayoutReference, 'entity' | 'payoutId' | 'name'>>,
): ReferenceIndex {
  const byStart = new Map<string, PayoutReference[]>()
  for (const { entity, payoutId, name } of payouts) {
    const text = referenceText(payoutId)
    const start = text.slice(0, VISIBLE_MIN)
    const sameStart = byStart.get(start)
    const reference = { entity, payoutId, name, text }
    if (sameStart === undefined) byStart.set(start, [reference])
    else sameStart.push(reference)
  }
  const lengths = new Set<number>()
  const pairs = new Set<number>()
  for (const start of byStart.keys()) {
    lengths.add(start.length)
    if (start.length >= 2) pairs.add(pairAt(start, 0))
  }
  const startLengths = [...lengths].toSorted((a, b) => b - a)
  const beginnings = (startLengths.at(-1) ?? 0) < 2 ? null : pairs
  return { byStart, startLengths, beginnings }
}

/** The payouts that a line names, see `DepositItem.named`. */
export function namedPayouts(entry: StoredBankEntry, index: ReferenceIndex): PayoutReference[][] {
  const all: PayoutReference[][] = []
  const shortest = index.startLengths.at(-1) ?? Infinity
  for (const field of [
    entry.remittance.join(''),
    entry.endToEndId ?? '',
    entry.bankReference ?? '',
  ]) {
    const text = lettersAndDigits(field)
    for (let at = 0; at + shortest <= text.length; at += 1) {
      if (index.beginnings?.has(pairAt(text, at)) === false) continue
      const group = namedAt(text, at, index)
      if (group !== null && !all.some((known) => isSame(known, group))) all.push(group)
    }
  }
  if (all.length < 2) return all
  // The same payout may be seen in full in one field and cut in another: what the fuller one says, counts.
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

function isSame(a: readonly PayoutReference[], b: readonly PayoutReference[]): boolean {
  return a.length === b.length && a.every((reference, at) => reference === b[at])
}

/** The payouts of which most is visible at this place of the text; null if none is. */
function namedAt(
  text: string,
  at: number,
  { byStart, startLengths }: ReferenceIndex,
): PayoutReference[] | null {
  let most = 0
  let best: PayoutReference[] | null = null
  for (const length of startLengths) {
    for (const reference of byStart.get(text.slice(at, at + length)) ?? []) {
      const visible = visibleLength(text, at, reference.text)
      if (visible > most) [most, best] = [visible, [reference]]
      else if (visible === most) best?.push(reference)
    }
  }
  return best
}

function visibleLength(text: string, at: number, reference: string): number {
  let length = 0
  while (length < reference.length && text[at + length] === reference[length]) length += 1
  return length
}
