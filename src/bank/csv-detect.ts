import { parse } from 'csv-parse/sync'
import type { InputFault } from '../errors.ts'
import { type ColumnRef, type CsvProfile, normalisedName } from './profiles/profile.ts'
import { refusal, shown } from './reader.ts'

/** Which profile a CSV file fits, by the names of its header. Nothing is guessed from the rows. */

export interface FoundTable {
  readonly profile: CsvProfile
  readonly separator: string
  /** 0-based place of the header among the lines; -1 where the profile has no header. */
  readonly headerIndex: number
  /** Normalised names of the header's columns; empty where there is none. */
  readonly names: readonly string[]
  /** False where the profile was asked for, and only the columns that it needs are there. */
  readonly fits: boolean
}

/** Banks put at most some thirty lines above their tables. */
const HEADER_LINES_MAX = 60

const NAME_A_PROFILE =
  'Name the profile with import-bank --profile NAME, or add one for this bank to the folder of BANK_PROFILES_DIR (README, "Bank files").'

/** Whether any profile fits; the beginning of the file is enough. */
export function fitsAnyProfile(
  text: string,
  fileName: string,
  profiles: readonly CsvProfile[],
): boolean {
  return candidates(linesOf(text), fileName, profiles).length > 0
}

export function linesOf(text: string): string[] {
  return text.split('\n')
}

/**
 * @param asked the name of a profile, which then is used whatever others fit; null: by the header.
 * @throws InputFault unless exactly one profile fits, or the one asked for does not.
 */
export function findTable(
  lines: readonly string[],
  fileName: string,
  profiles: readonly CsvProfile[],
  asked: string | null,
): FoundTable {
  if (asked !== null) return findAsked(lines, fileName, profiles, asked)
  const found = candidates(lines, fileName, profiles)
  const [table, ...others] = found.filter((one) => !found.some((other) => isSharper(other, one)))
  if (table === undefined) throw noneFits(lines, fileName, profiles)
  if (others.length === 0) return table
  const names = [table, ...others].map(({ profile }) => `${profile.name} (${profile.bank})`)
  throw refusal(
    fileName,
    `line ${table.headerIndex + 1}`,
    `the columns fit ${names.length} profiles: ${names.join(', ')}`,
    `${NAME_A_PROFILE} If two profiles of your own fit, give each a "fileName" pattern.`,
  )
}

/** A profile that names all that another one names on that line, and more, says more of the file. */
function isSharper(one: FoundTable, other: FoundTable): boolean {
  return (
    one.headerIndex === other.headerIndex &&
    one.profile.header.length > other.profile.header.length &&
    other.profile.header.every((name) => one.profile.header.includes(name))
  )
}

function candidates(
  lines: readonly string[],
  fileName: string,
  profiles: readonly CsvProfile[],
): FoundTable[] {
  const applicable = profiles.filter((profile) => isNamedSo(profile, fileName))
  const found = new Map<string, FoundTable>()
  for (const profile of applicable) {
    const [separator] = profile.separator
    if (profile.header.length === 0 && separator !== undefined) {
      found.set(profile.name, { profile, separator, headerIndex: -1, names: [], fits: true })
    }
  }
  const separators = new Set(applicable.flatMap(({ separator }) => separator))
  for (const [headerIndex, line] of lines.slice(0, HEADER_LINES_MAX).entries()) {
    for (const separator of separators) {
      if (!line.includes(separator)) continue
      const names = namesIn(line, separator)
      for (const profile of applicable) {
        if (found.has(profile.name) || profile.header.length === 0) continue
        if (!profile.separator.some((own) => own === separator)) continue
        if (!profile.header.every((name) => names.includes(name))) continue
        found.set(profile.name, { profile, separator, headerIndex, names, fits: true })
      }
    }
  }
  return [...found.values()]
}

/** Where a profile has a header, the pattern only tells the account, and may not fit a renamed file. */
function isNamedSo({ header, fileName: pattern }: CsvProfile, fileName: string): boolean {
  return header.length > 0 || pattern === null || pattern.test(fileName)
}

function namesIn(line: string, separator: string): string[] {
  if (!line.includes('"')) return line.split(separator).map(normalisedName)
  try {
    const [cells = []] = parse(line, { delimiter: separator, relax_quotes: true })
    return cells.map(normalisedName)
  } catch {
    return []
  }
}

/** A profile that was asked for is also used where its header is not all there, but its columns are. */
function findAsked(
  lines: readonly string[],
  fileName: string,
  profiles: readonly CsvProfile[],
  asked: string,
): FoundTable {
  const profile = profiles.find(({ name }) => name === asked)
  if (profile === undefined) {
    const known = profiles.map(({ name }) => name).join(', ')
    throw refusal(fileName, null, `there is no profile ${shown(asked)}`, `Known are ${known}.`)
  }
  const [found] = candidates(lines, fileName, [{ ...profile, fileName: null }])
  if (found !== undefined) return found
  const { columns } = profile
  const needed = [columns.bookingDay, columns.amount ?? columns.credit ?? []]
  for (const [headerIndex, line] of lines.slice(0, HEADER_LINES_MAX).entries()) {
    for (const separator of profile.separator) {
      const names = namesIn(line, separator)
      if (needed.every((refs) => refs.some((ref) => columnsOf(ref, names).length > 0))) {
        return { profile, separator, headerIndex, names, fits: false }
      }
    }
  }
  throw refusal(
    fileName,
    null,
    `no line among the first ${HEADER_LINES_MAX} names the columns of the profile ${profile.name} (${profile.bank}): ${profile.header.map(shown).join(', ')}`,
    'Choose another profile, or export the file again with the names of the columns in it.',
  )
}

/** 0-based places of the columns that a reference means. */
export function columnsOf(ref: ColumnRef, names: readonly string[]): number[] {
  if (ref.by === 'place') return [ref.place - 1]
  const places = [...names.keys()].filter((place) => {
    const name = names[place] ?? ''
    return ref.by === 'name' ? name === ref.name : ref.pattern.test(name)
  })
  if (ref.by === 'pattern' || ref.occurrence === null) return places
  return places.slice(ref.occurrence - 1, ref.occurrence)
}

/** Says which line looks most like a header; only words that some profile knows are shown, never data. */
function noneFits(
  lines: readonly string[],
  fileName: string,
  profiles: readonly CsvProfile[],
): InputFault {
  const vocabulary = new Set(profiles.flatMap(({ header }) => header))
  let best: { line: number; known: string[]; cells: number } | null = null
  for (const [index, line] of lines.slice(0, HEADER_LINES_MAX).entries()) {
    for (const separator of [';', ',', '\t', '|']) {
      const names = namesIn(line, separator)
      const known = names.filter((name) => vocabulary.has(name))
      if (known.length > (best?.known.length ?? 0)) {
        best = { line: index + 1, known, cells: names.length }
      }
    }
  }
  if (best === null) {
    return refusal(
      fileName,
      null,
      'the file looks like a CSV file, but no line of it names columns that are known',
      `${NAME_A_PROFILE} The canonical CSV, whose first line names its columns (account, booking_date, …), is read too.`,
    )
  }
  return refusal(
    fileName,
    `line ${best.line}`,
    `the file looks like a CSV file of a bank, but its ${best.cells} columns fit no profile; known among them are ${best.known.map(shown).join(', ')}`,
    NAME_A_PROFILE,
  )
}
