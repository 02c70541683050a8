import {
  addDays,
  dayCount,
  dayOfCount,
  type Day,
  type EpochSeconds,
  parseDay,
  startOfDay,
  weekday,
} from './day.ts'
import { InvalidValue } from './invalid-value.ts'

/** What is reconciled: whole days, both ends included, in the business time zone. */
export interface Period {
  /** `2024-W12`, `2024-03` or `2024-03-18_2024-03-24`: also the name of the report folder. */
  readonly label: string
  readonly first: Day
  readonly last: Day
}

/** Monday of an ISO 8601 week. */
function mondayOfWeek(year: number, week: number): Day {
  const fourthOfJanuary = parseDay(`${String(year).padStart(4, '0')}-01-04`)
  return addDays(fourthOfJanuary, 1 - weekday(fourthOfJanuary) + (week - 1) * 7)
}

function weeksOfYear(year: number): number {
  return (dayCount(mondayOfWeek(year + 1, 1)) - dayCount(mondayOfWeek(year, 1))) / 7
}

/** @throws InvalidValue unless the text is an ISO week that exists, such as `2024-W12`. */
export function parseWeek(text: string): Period {
  const found = /^(\d{4})-W(\d{2})$/.exec(text)
  if (found === null)
    throw new InvalidValue(`"${text}" is not a week: an ISO week such as 2024-W12 was expected`)
  const year = Number(found[1])
  const week = Number(found[2])
  const weeks = weeksOfYear(year)
  if (week < 1 || week > weeks) {
    throw new InvalidValue(
      `${text} does not exist: ${year} has the weeks ${year}-W01 to ${year}-W${weeks}`,
    )
  }
  const first = mondayOfWeek(year, week)
  return { label: text, first, last: addDays(first, 6) }
}

/** @throws InvalidValue unless the text is a month such as `2024-03`. */
export function parseMonth(text: string): Period {
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(text)) {
    throw new InvalidValue(`"${text}" is not a month: a month such as 2024-03 was expected`)
  }
  const first = parseDay(`${text}-01`)
  const nextMonth = addDays(first, 31)
  return { label: text, first, last: addDays(parseDay(`${nextMonth.slice(0, 7)}-01`), -1) }
}

/** @throws InvalidValue unless both are days and in order. */
export function parseRange(from: string, to: string): Period {
  const first = parseDay(from)
  const last = parseDay(to)
  if (last < first)
    throw new InvalidValue(`the range ends on ${last}, before it begins on ${first}`)
  return { label: `${first}_${last}`, first, last }
}

/** The ISO week of a day. */
export function weekOf(day: Day): Period {
  const monday = addDays(day, 1 - weekday(day))
  const thursday = addDays(monday, 3)
  const year = Number(thursday.slice(0, 4))
  const week = (dayCount(monday) - dayCount(mondayOfWeek(year, 1))) / 7 + 1
  return {
    label: `${thursday.slice(0, 4)}-W${String(week).padStart(2, '0')}`,
    first: monday,
    last: addDays(monday, 6),
  }
}

/** Reads back what `Period.label` prints. */
export function parsePeriod(label: string): Period {
  if (label.includes('_')) {
    const [from = '', to = ''] = label.split('_')
    return parseRange(from, to)
  }
  return label.includes('W') ? parseWeek(label) : parseMonth(label)
}

export function periodContains(period: Period, day: Day): boolean {
  return period.first <= day && day <= period.last
}

/** The period as instants, half open: from the first day's midnight to the midnight after the last. */
export function periodInstants(
  period: Period,
  zone: string,
): { startS: EpochSeconds; endS: EpochSeconds } {
  return {
    startS: startOfDay(period.first, zone),
    endS: startOfDay(dayOfCount(dayCount(period.last) + 1), zone),
  }
}
