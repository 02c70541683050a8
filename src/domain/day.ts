import { remembering } from './collections.ts'
import { InvalidValue } from './invalid-value.ts'

declare const dayBrand: unique symbol

/**
 * A calendar day, `YYYY-MM-DD`, in whatever zone its source speaks of: a bank's booking day, or an
 * instant seen in the business time zone. Days compare as text.
 */
export type Day = string & { readonly [dayBrand]: true }

/** An instant as the provider writes it: whole seconds since 1970-01-01T00:00:00Z. */
export type EpochSeconds = number

const MS_PER_DAY = 86_400_000

/** @throws InvalidValue unless the text is an existing day of the form `YYYY-MM-DD`. */
export function parseDay(text: string): Day {
  const found = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (found !== null) {
    const day = dayOfCount(
      Date.UTC(Number(found[1]), Number(found[2]) - 1, Number(found[3])) / MS_PER_DAY,
    )
    if (day === text) return day
  }
  throw new InvalidValue(`"${text}" is not a day: an existing date as YYYY-MM-DD was expected`)
}

const countOf = remembering(
  (day: Day): number =>
    Date.UTC(Number(day.slice(0, 4)), Number(day.slice(5, 7)) - 1, Number(day.slice(8, 10))) /
    MS_PER_DAY,
)

/** Days since 1970-01-01: the one number in which days can be counted. */
export function dayCount(day: Day): number {
  return countOf(day)
}

const ofCount = remembering(
  (count: number): Day => new Date(count * MS_PER_DAY).toISOString().slice(0, 10) as Day,
)

/** The day with this count, see `dayCount`. */
export function dayOfCount(count: number): Day {
  return ofCount(count)
}

export function addDays(day: Day, days: number): Day {
  return dayOfCount(dayCount(day) + days)
}

/** Calendar days from `from` to `to`; negative if `to` is earlier. */
export function daysBetween(from: Day, to: Day): number {
  return dayCount(to) - dayCount(from)
}

/** ISO weekday: 1 is Monday, 7 is Sunday. */
export function weekday(day: Day): number {
  return ((((dayCount(day) + 3) % 7) + 7) % 7) + 1
}

export function minDay(first: Day, ...others: Day[]): Day {
  return others.reduce((least, day) => (day < least ? day : least), first)
}

export function maxDay(first: Day, ...others: Day[]): Day {
  return others.reduce((most, day) => (day > most ? day : most), first)
}

const formats = new Map<string, Intl.DateTimeFormat>()

interface LocalParts {
  readonly day: Day
  readonly secondOfDay: number
}

const SECONDS_PER_DAY = 86_400
/** 1970 to 9999: the years in which days have four digits and offsets are those of today's zones. */
const INSTANT_MAX = 253_402_214_400

/** What the clocks of a zone show; asking the platform costs as much as a hundred other steps. */
function localParts(instant: EpochSeconds, zone: string): LocalParts {
  if (instant < 0 || instant > INSTANT_MAX || !Number.isInteger(instant)) {
    return askLocalParts(instant, zone)
  }
  let offsets = offsetsOf.get(zone)
  if (offsets === undefined) {
    offsets = remembering((utcDay: number) => offsetOn(utcDay, zone))
    offsetsOf.set(zone, offsets)
  }
  const offsetS = offsets(Math.floor(instant / SECONDS_PER_DAY))
  if (offsetS === 'changes') return askLocalParts(instant, zone)
  const day = Math.floor((instant + offsetS) / SECONDS_PER_DAY)
  return { day: dayOfCount(day), secondOfDay: instant + offsetS - day * SECONDS_PER_DAY }
}

const offsetsOf = new Map<string, (utcDay: number) => number | 'changes'>()

/** Seconds by which a zone's clocks are ahead of UTC all through a day of UTC. */
function offsetOn(utcDay: number, zone: string): number | 'changes' {
  const offsetAt = (instant: EpochSeconds): number => {
    const { day, secondOfDay } = askLocalParts(instant, zone)
    return dayCount(day) * SECONDS_PER_DAY + secondOfDay - instant
  }
  const start = utcDay * SECONDS_PER_DAY
  const offsetS = offsetAt(start)
  return offsetAt(start + SECONDS_PER_DAY - 1) === offsetS ? offsetS : 'changes'
}

function askLocalParts(instant: EpochSeconds, zone: string): LocalParts {
  let format = formats.get(zone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-CA', {
      timeZone: zone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
    formats.set(zone, format)
  }
  const part: Record<string, string> = {}
  for (const { type, value } of format.formatToParts(instant * 1000)) part[type] = value
  const day = `${part['year']?.padStart(4, '0')}-${part['month']}-${part['day']}` as Day
  return {
    day,
    secondOfDay: Number(part['hour']) * 3600 + Number(part['minute']) * 60 + Number(part['second']),
  }
}

/** The day on which an instant falls in an IANA time zone. */
export function dayOfInstant(instant: EpochSeconds, zone: string): Day {
  return localParts(instant, zone).day
}

/** `YYYY-MM-DD hh:mm:ss` on the wall clocks of an IANA time zone. */
export function wallClock(instant: EpochSeconds, zone: string): string {
  const { day, secondOfDay } = localParts(instant, zone)
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  return `${day} ${two(secondOfDay / 3600)}:${two((secondOfDay / 60) % 60)}:${two(secondOfDay % 60)}`
}

/** The first instant of a day in an IANA time zone (midnight, or the end of the gap where there is none). */
export function startOfDay(day: Day, zone: string): EpochSeconds {
  const utcMidnight = dayCount(day) * 86_400
  // The zone's offset near that midnight is found by asking what the wall clock shows; a second
  // round settles days on which the offset changes.
  let instant = utcMidnight
  for (let round = 0; round < 2; round += 1) {
    const shown = localParts(instant, zone)
    instant -= (dayCount(shown.day) - dayCount(day)) * 86_400 + shown.secondOfDay
  }
  return instant
}
