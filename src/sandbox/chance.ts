/** Chance that repeats: the same seed gives the same sequence everywhere. */
export interface Chance {
  /** In [0, 1). */
  fraction(): number
  /** A whole number, both ends included. */
  whole(least: number, most: number): number
  /** True with this probability. */
  happens(probability: number): boolean
  one<T>(items: readonly T[]): T
  /** Base62 text of this length. */
  base62(length: number): string
}

/** Digits in ASCII order, so that texts of equal length sort as the numbers they write. */
export const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** FNV-1a: spreads labels such as `12/default/sales` over 32 bits. */
function hashOf(label: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < label.length; at += 1) {
    hash = Math.imul(hash ^ label.charCodeAt(at), 0x01000193)
  }
  return hash >>> 0
}

/** Each label has a sequence of its own, so that one part of a world can grow without moving another. */
export function chanceOf(label: string): Chance {
  let state = hashOf(label)
  // Mulberry32: one 32-bit state, plenty for sample data.
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const fraction = (): number => next() / 2 ** 32
  const whole = (least: number, most: number): number =>
    least + Math.floor(fraction() * (most - least + 1))
  return {
    fraction,
    whole,
    happens: (probability) => fraction() < probability,
    one: (items) => {
      const item = items[whole(0, items.length - 1)]
      if (item === undefined) throw new Error('there is nothing to choose from')
      return item
    },
    base62: (length) => {
      let text = ''
      while (text.length < length) {
        // Five digits of 62 fit into the 32 bits of one draw.
        let rest = next() % 62 ** 5
        for (let digit = 0; digit < 5; digit += 1) {
          text += BASE62.charAt(rest % 62)
          rest = Math.floor(rest / 62)
        }
      }
      return text.slice(0, length)
    },
  }
}
