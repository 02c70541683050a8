import { remembering } from './collections.ts'
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

const isOpen = remembering((day: Day): boolean => {
  if (weekday(day) > 5 || CLOSED_EVERY_YEAR.has(day.slice(5))) return false
  const fromEaster = dayCount(day) - easterSunday(Number(day.slice(0, 4)))
  return fromEaster !== -2 && fromEaster !== 1
})

export function isBusinessDay(day: Day): boolean {
  return isOpen(day)
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
  return businessDaysBefore(to) - businessDaysBefore(from)
}

const startOfYear = (year: number): number => Date.UTC(year, 0, 1) / 86_400_000

/** For each day of a year, how many business days of the year come before it; last, those of all of it. */
const businessDaysOf = remembering((year: number): readonly number[] => {
  const before = [0]
  const next = startOfYear(year + 1)
  for (let count = startOfYear(year); count < next; count += 1) {
    before.push((before.at(-1) ?? 0) + (isBusinessDay(dayOfCount(count)) ? 1 : 0))
  }
  return before
})

/** Business days from the year 2000 up to a day, itself not counted; negative for days before. */
const businessDaysBefore = remembering((day: Day): number => {
  const year = Number(day.slice(0, 4))
  const ofYear = businessDaysOf(year)[dayCount(day) - startOfYear(year)] ?? 0
  let ofYears = 0
  for (let other = year; other < 2000; other += 1) ofYears -= businessDaysOf(other).at(-1) ?? 0
  for (let other = 2000; other < year; other += 1) ofYears += businessDaysOf(other).at(-1) ?? 0
  return ofYears + ofYear
})
