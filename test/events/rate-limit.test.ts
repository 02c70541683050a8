import { expect, test } from 'vitest'
import { rateLimit } from '../../src/events/rate-limit.ts'

const passed = (mayPass: (nowMs: number) => boolean, times: number, atMs: number): number =>
  Array.from({ length: times }, () => mayPass(atMs)).filter(Boolean).length

test('a burst passes after a quiet time, then so many in a second, and never more than a burst', () => {
  const mayPass = rateLimit({ perSecond: 10, burst: 30 })
  expect(passed(mayPass, 100, 5_000)).toBe(30)
  expect(passed(mayPass, 100, 5_000)).toBe(0)
  expect(passed(mayPass, 100, 5_500)).toBe(5)
  expect(passed(mayPass, 100, 6_500)).toBe(10)
  expect(passed(mayPass, 100, 3_600_000)).toBe(30)
})
