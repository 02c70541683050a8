import { addDays, dayCount, dayOfCount, type Day, weekday } from './day.ts'

/**
 * The TARGET calendar, on which euro transfers settle: closed on Saturdays, Sundays, 1 January, Good
 * Friday, Easter Monday, 1 May, 25 and 26 December (European Central Bank, press release of
 * 14 December 2000, in force since 2002). National holidays such as 8 May or 14 July are working days.
 */
const CLOSED_EVERY_YEAR = new Set(['01-01', '05-01', '12-25', '12-26'])

const easterCounts = new Map<number, number>()

/** Easter Sunday of a Gregorian year, as a day count (the anonymous Gregorian computus). */
function easterSunday(year: number): number {
  const known = easterCounts.get(year)
  if (known !== undefined) return known
  const a = year % 19
  const b = Math.floor(year / 100)
  const c = year % 100
  const g = Math.floor((8 * b + 13) / 25)
  const h = (19 * a + b - Math.floor(b / 4) - g + 15) % 30
  const l = (32 + 2 * (b % 4) + 2 * Math.floor(c / 4) - h - (c % 4)) % 7
  const m = Math.floor((a + 11 * h + 22 * l) / 451)
  const month = Math.floor((h + l - 7 * m + 114) / 31)
  const dayOfMonth = ((h + l - 7 * m + 114) % 31) + 1
  const count = Date.UTC(year, month - 1, dayOfMonth) / 86_400_000
  easterCounts.set(year, count)
  return count
}

export function isBusinessDay(day: Day): boolean {
  if (weekday(day) > 5 || CLOSED_EVERY_YEAR.has(day.slice(5))) return false
  const fromEaster = dayCount(day) - easterSunday(Number(day.slice(0, 4)))
  return fromEaster !== -2 && fromEaster !== 1
}

/** The day itself if it is a business day, else the next one. */
export function onOrAfterBusinessDay(day: Day): Day {
  let candidate = day
  while (!isBusinessDay(candidate)) candidate = addDays(candidate, 1)
  return candidate
}

/** `days` (0 or more) business days after a day; a day that is none counts as the next business day. */
export function addBusinessDays(day: Day, days: number): Day {
  let candidate = onOrAfterBusinessDay(day)
  for (let left = days; left > 0; left -= 1) candidate = onOrAfterBusinessDay(addDays(candidate, 1))
  return candidate
}

/**
 * Business days from one day to another, both first moved to the next business day where they are
 * none: Friday to Monday is 1, Saturday to Monday is 0. Negative if `to` is earlier.
 */
export function businessDaysBetween(from: Day, to: Day): number {
  if (to < from) return -businessDaysBetween(to, from)
  const last = dayCount(onOrAfterBusinessDay(to))
  let lag = 0
  for (let count = dayCount(onOrAfterBusinessDay(from)); count < last; count += 1) {
    if (isBusinessDay(dayOfCount(count + 1))) lag += 1
  }
  return lag
}
