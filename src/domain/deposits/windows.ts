import { firstPlace } from '../collections.ts'
import type { Day } from '../day.ts'
import { businessDaysBetween } from '../target-calendar.ts'
import type { DepositItem, PayoutItem } from './items.ts'

/**
 * Payouts and lines lie in order of their days, so the lines that a payout's window allows stand
 * next to each other, as do the payouts whose windows allow a line. These stretches are found without
 * looking at all others, and no step of the matching may look further than they reach.
 */
export interface Stretch {
  readonly from: number
  /** The place after the last one; `from` if nothing lies in it. */
  readonly to: number
}

/** Business days after the payout's day, both ends included; see `businessDaysBetween`. */
export interface Lags {
  readonly from: number
  readonly to: number
}

/** @param deposits in order of booking day. */
export function depositsWithin(
  deposits: readonly DepositItem[],
  payoutDay: Day,
  { from, to }: Lags,
): Stretch {
  const first = firstPlace(
    deposits,
    ({ entry }) =>
      entry.bookingDay >= payoutDay && businessDaysBetween(payoutDay, entry.bookingDay) >= from,
  )
  const end = firstPlace(
    deposits,
    ({ entry }) => businessDaysBetween(payoutDay, entry.bookingDay) > to,
  )
  return { from: first, to: Math.max(first, end) }
}

/** @param payouts in order of day. */
export function payoutsWithin(
  payouts: readonly PayoutItem[],
  bookingDay: Day,
  { from, to }: Lags,
): Stretch {
  const first = firstPlace(payouts, ({ day }) => businessDaysBetween(day, bookingDay) <= to)
  const end = firstPlace(
    payouts,
    ({ day }) => day > bookingDay || businessDaysBetween(day, bookingDay) < from,
  )
  return { from: first, to: Math.max(first, end) }
}

export function itemsIn<T>(items: readonly T[], { from, to }: Stretch): readonly T[] {
  return items.slice(from, to)
}

/** Places from 0 on that are open until they are taken. */
export interface OpenPlaces {
  /** Whether the place was open; it no longer is. */
  take(place: number): boolean
  /** The open places of a stretch, in order; places may be taken meanwhile. */
  within(stretch: Stretch): Iterable<number>
}

export function openPlaces(count: number): OpenPlaces {
  // For each place one at or after it; those that are taken lead on to the next open one.
  const next = Int32Array.from({ length: count + 1 }, (_, place) => place)
  const openFrom = (place: number): number => {
    let open = place
    while (next[open] !== open) open = next[open] ?? count
    for (let at = place; at !== open;) {
      const on = next[at] ?? open
      next[at] = open
      at = on
    }
    return open
  }
  return {
    take: (place) => {
      if (next[place] !== place || place >= count) return false
      next[place] = place + 1
      return true
    },
    *within({ from, to }) {
      for (let place = openFrom(from); place < to; place = openFrom(place + 1)) yield place
    },
  }
}
