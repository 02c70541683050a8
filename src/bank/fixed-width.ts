import { type Day, parseDay } from '../domain/day.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import type { InputFault } from '../errors.ts'
import { refusal, shown } from './reader.ts'

/** Files of records that all have one width: CFONB120, Norma 43. */

/** One record, with its place in the file and in the file's text. */
export interface FixedRecord {
  /** 1-based: of the line, or of the record in a file without line breaks. */
  readonly number: number
  /** `line 14`, or `record 14` in a file without line breaks. */
  readonly place: string
  /** As the file has it, without line break: shorter than the width where blanks at its end were dropped. */
  readonly text: string
  /** Where the record begins and ends in the text of the file. */
  readonly start: number
  readonly end: number
}

const LINE_BREAK = /\r\n?|\n/g

/**
 * The records of a file's text: its lines, or where it has no line breaks every `width` characters.
 * Blank lines count as lines, but are no records. What stands after the last record (blanks, line
 * breaks, the end mark of DOS) is left out.
 */
export function* fixedRecords(
  text: string,
  width: number,
): Generator<FixedRecord, void, undefined> {
  const end = endOfRecords(text)
  const firstBreak = text.search(LINE_BREAK)
  if (firstBreak === -1 || firstBreak >= end) {
    for (let start = 0, number = 1; start < end; start += width, number += 1) {
      const recordEnd = Math.min(start + width, end)
      const record = text.slice(start, recordEnd)
      yield { number, place: `record ${number}`, text: record, start, end: recordEnd }
    }
    return
  }
  let start = 0
  let number = 1
  const lineAt = (lineEnd: number): FixedRecord => {
    const line = text.slice(start, lineEnd)
    return { number, place: `line ${number}`, text: line, start, end: lineEnd }
  }
  for (const { 0: lineBreak, index } of text.matchAll(LINE_BREAK)) {
    if (index >= end) break
    const line = lineAt(index)
    if (line.text.trim() !== '') yield line
    start = index + lineBreak.length
    number += 1
  }
  if (start < end) yield lineAt(end)
}

/** Where the last record ends. A loop, as a regular expression takes long on many blanks inside. */
function endOfRecords(text: string): number {
  let end = text.length
  while (end > 0 && ' \t\r\n\u001a'.includes(text[end - 1] ?? '')) end -= 1
  return end
}

/** The first record of a file by its head, for recognition; empty if the file begins with none. */
export function firstRecord(headText: string, width: number): string {
  const [record] = fixedRecords(headText, width)
  return record?.text ?? ''
}

/** Characters that no statement holds and that the database does not take: signs of a damaged or binary file. */
// oxlint-disable-next-line no-control-regex -- These are the characters that are looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/**
 * Refuses what shows that positions in the record mean nothing: control characters, text beyond the
 * width, less text than the record's fields need.
 */
export function checkRecord(
  record: FixedRecord,
  { width, minLength }: { readonly width: number; readonly minLength: number },
  refuse: (found: string) => InputFault,
): void {
  const control = CONTROL.exec(record.text)?.[0]
  if (control !== undefined) {
    const code = control.charCodeAt(0).toString(16).padStart(2, '0')
    throw refuse(
      `there is a control character (hexadecimal ${code}), which no statement has: the file is damaged`,
    )
  }
  const { length } = record.text
  if (length > width && record.text.slice(width).trim() !== '') {
    throw refuse(`the record has ${length} characters, and ${width} are expected`)
  }
  if (length < minLength) {
    throw refuse(
      `the record has ${length} characters, and at least ${minLength} are expected: it is cut off, or not of this kind`,
    )
  }
}

/** Positions `from` to `to` of a record, 1-based and inclusive as the specifications count; blanks beyond its end. */
export function field(record: { readonly text: string }, from: number, to: number): string {
  return record.text.slice(from - 1, to).padEnd(to - from + 1)
}

/** The refusal of one record, whose message names file and place. */
export function recordRefusal(
  fileName: string,
  record: FixedRecord,
): (found: string) => InputFault {
  return (found) => refusal(fileName, record.place, found)
}

/** Years of two digits from here on are of the 20th century: no file is older than the formats. */
const PIVOT_YEAR = 60

/**
 * A day of six digits.
 * @throws InvalidValue for anything that is not an existing day.
 */
export function parseShortDay(text: string, order: 'DDMMYY' | 'YYMMDD'): Day {
  const [, first = '', month = '', last = ''] = /^(\d\d)(\d\d)(\d\d)$/.exec(text) ?? []
  const [year, day] = order === 'DDMMYY' ? [last, first] : [first, last]
  if (year !== '') {
    try {
      return parseDay(`${Number(year) < PIVOT_YEAR ? '20' : '19'}${year}-${month}-${day}`)
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error
    }
  }
  throw new InvalidValue(`${shown(text)} is not a day: an existing date as ${order} was expected`)
}

/** A field without its blanks at both ends; null where it holds blanks and zeros only. */
export function filled(text: string): string | null {
  return /[^0\s]/.test(text) ? text.trim() : null
}
