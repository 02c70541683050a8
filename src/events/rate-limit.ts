/** Lets so many through in a second, and for a moment more. */

export interface RateLimitOptions {
  readonly perSecond: number
  /** How many may come at once after a quiet time. */
  readonly burst: number
}

/** @returns whether one more may pass at that moment (milliseconds of a clock that never goes back). */
export function rateLimit({ perSecond, burst }: RateLimitOptions): (nowMs: number) => boolean {
  let left = burst
  let lastMs: number | null = null
  return (nowMs) => {
    left = Math.min(burst, left + ((nowMs - (lastMs ?? nowMs)) / 1000) * perSecond)
    lastMs = nowMs
    if (left < 1) return false
    left -= 1
    return true
  }
}
