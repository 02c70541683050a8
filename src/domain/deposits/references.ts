import type { StoredBankEntry } from '../bank-statement.ts'

/**
 * Payout ids in bank lines. Banks cut references, print them in capitals, break them with blanks and
 * line ends, drop what their character set lacks (SEPA has no underscore) and glue other text to
 * them; so both sides are reduced to letters and digits in capitals, and an id counts as named from
 * its first 12 characters after the prefix on.
 */
const VISIBLE_MIN = 12

/** A payout as a bank line may name it. */
export interface PayoutReference {
  readonly entity: string
  readonly payoutId: string
  /** See `nameOf`. */
  readonly name: string
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

/**
 * Payouts by the first characters of their id. For each length of such a start a table leads from a
 * number made of the start to the payouts of this number: no start is kept as a text of its own, and
 * none is cut out of a line to be looked up, which for hundreds of thousands of payouts would cost
 * more than all else.
 */
export interface ReferenceIndex {
  readonly payouts: readonly PayoutReference[]
  /** By place in `payouts`, the id as it would stand in a bank line, without its prefix unless the rest is too short. */
  readonly texts: readonly string[]
  /** By place in `payouts`, the number of its start. */
  readonly numbers: Int32Array
  /** By place in `payouts`, the next place + 1 of the same table and slot; 0 at the end. */
  readonly next: Int32Array
  /** Longest starts first: `VISIBLE_MIN`, and those of shorter ids. */
  readonly tables: readonly StartTable[]
  /**
   * By `pairAt`, 1 where some start begins with these two characters: few places of a text begin like
   * an id, and at all others nothing needs to be looked up. Null: some start has fewer.
   */
  readonly beginnings: Uint8Array | null
}

interface StartTable {
  readonly length: number
  /** By slot, the first place in `payouts` + 1; 0 where there is none. Its size is a power of two. */
  readonly heads: Int32Array
}

const FIRST_CHARACTER = '0'.charCodeAt(0)
/** How many codes there are from "0" to "Z". */
const CHARACTERS = 'Z'.charCodeAt(0) - FIRST_CHARACTER + 1

/** Two letters or digits as one number. */
function pairAt(text: string, at: number): number {
  return (
    (text.charCodeAt(at) - FIRST_CHARACTER) * CHARACTERS +
    (text.charCodeAt(at + 1) - FIRST_CHARACTER)
  )
}

/** A start as a number of 32 bits (FNV-1a, its high bits mixed into the low ones); others may share it. */
function numberOf(text: string, at: number, length: number): number {
  let number = 0x811c9dc5
  for (let place = at; place < at + length; place += 1) {
    number = Math.imul(number ^ text.charCodeAt(place), 0x01000193)
  }
  return number ^ (number >>> 15)
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

export function indexReferences(payouts: readonly PayoutReference[]): ReferenceIndex {
  const texts = payouts.map(({ payoutId }) => referenceText(payoutId))
  // At least twice as many slots as payouts, so that most look-ups in vain end at an empty one.
  const slots = 2 ** Math.ceil(Math.log2(2 * texts.length + 1))
  const headsOf = new Map<number, Int32Array>()
  const numbers = new Int32Array(texts.length)
  const next = new Int32Array(texts.length)
  const pairs = new Uint8Array(CHARACTERS * CHARACTERS)
  // From the last on, so that the payouts of a slot come in their order.
  for (let place = texts.length - 1; place >= 0; place -= 1) {
    const text = texts[place] ?? ''
    // An id without any letter or digit stands in no line.
    if (text === '') continue
    const length = Math.min(text.length, VISIBLE_MIN)
    const heads = headsOf.get(length) ?? new Int32Array(slots)
    headsOf.set(length, heads)
    const number = numberOf(text, 0, length)
    const slot = number & (slots - 1)
    numbers[place] = number
    next[place] = heads[slot] ?? 0
    heads[slot] = place + 1
    if (length >= 2) pairs[pairAt(text, 0)] = 1
  }
  const tables = [...headsOf]
    .map(([length, heads]): StartTable => ({ length, heads }))
    .toSorted((a, b) => b.length - a.length)
  const beginnings = (tables.at(-1)?.length ?? 0) < 2 ? null : pairs
  return { payouts, texts, numbers, next, tables, beginnings }
}

/** One for all lines: a list that grows takes room for many, and hundreds of thousands are kept. */
const NOTHING_NAMED: readonly PayoutReference[][] = []

/** The payouts that a line names, see `DepositItem.named`. */
export function namedPayouts(
  entry: Pick<StoredBankEntry, 'remittance' | 'endToEndId' | 'bankReference'>,
  index: ReferenceIndex,
): readonly PayoutReference[][] {
  let all: readonly PayoutReference[][] = NOTHING_NAMED
  const shortest = index.tables.at(-1)?.length ?? Infinity
  for (const field of [
    entry.remittance.join(''),
    entry.endToEndId ?? '',
    entry.bankReference ?? '',
  ]) {
    const text = lettersAndDigits(field)
    for (let at = 0; at + shortest <= text.length; at += 1) {
      if (index.beginnings?.[pairAt(text, at)] === 0) continue
      const group = namedAt(text, at, index)
      if (group === null || all.some((known) => isSame(known, group))) continue
      all = all.length === 0 ? [group] : [...all, group]
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
  { payouts, texts, numbers, next, tables }: ReferenceIndex,
): PayoutReference[] | null {
  let most = 0
  let best: PayoutReference[] | null = null
  for (const { length, heads } of tables) {
    if (at + length > text.length) continue
    const number = numberOf(text, at, length)
    let place = heads[number & (heads.length - 1)] ?? 0
    for (; place !== 0; place = next[place - 1] ?? 0) {
      if (numbers[place - 1] !== number) continue
      const reference = payouts[place - 1]
      if (reference === undefined) continue
      const visible = visibleLength(text, at, texts[place - 1] ?? '')
      if (visible < length) continue
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
