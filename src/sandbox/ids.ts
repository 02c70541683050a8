import { BASE62, type Chance } from './chance.ts'

/** What the provider gives ids to; the word is the id's prefix. */
export type IdType =
  'payment' | 'refund' | 'payout' | 'balance_txn' | 'export' | 'merchant' | 'customer' | 'order'

/** Digits that carry the moment; the other 25 of the 34 are chance. */
const MOMENT_DIGITS = 9

/**
 * Added to the milliseconds so that ids of 2024 begin like the provider's of those years (`11x…`, then
 * `12…`), whose exact code is not known: all that is promised is that they sort as they were made.
 */
const MOMENT_OFFSET = 62 ** 8 + 62 ** 7 + 1_670_000_000_000

function momentText(moment: number): string {
  let text = ''
  let rest = moment
  for (let digit = 0; digit < MOMENT_DIGITS; digit += 1) {
    text = BASE62.charAt(rest % 62) + text
    rest = Math.floor(rest / 62)
  }
  return text
}

/**
 * An id of the provider's form: its prefix and 34 base62 characters, of which the first write the
 * moment. Things made in one request begin alike.
 */
export function idAt(type: IdType, createdMs: number, chance: Chance): string {
  return `${type}_${momentText(createdMs + MOMENT_OFFSET)}${chance.base62(34 - MOMENT_DIGITS)}`
}

/**
 * Makes ids that grow strictly by type, whatever their moments: of two in one millisecond, or of one
 * that comes with an earlier moment, the later made one counts on.
 */
export function idMaker(chance: Chance): (type: IdType, createdMs: number) => string {
  const latest = new Map<IdType, number>()
  return (type, createdMs) => {
    const moment = Math.max(createdMs, (latest.get(type) ?? -Infinity) + 1)
    latest.set(type, moment)
    return idAt(type, moment, chance)
  }
}
