import { CsvError } from 'csv-parse'
import { parse } from 'csv-parse/sync'
import type { InputFault } from '../errors.ts'
import { ENTRIES_PER_FILE_MAX, refusal, shown } from './reader.ts'

/** What the readers of CSV files share: records with their lines, refusals of rows. */

export interface CsvRecord {
  readonly cells: readonly string[]
  /** 1-based line on which the record begins; a quoted cell may hold line breaks. */
  readonly line: number
  /** The exact text of the record, without the line break at its end. */
  readonly raw: string
}

interface ParsedRecord {
  readonly record: readonly string[]
  readonly raw: string
}

/**
 * Hands over the records of a text one by one; empty lines and records of empty cells are left out.
 * @param text with `\n` as line break.
 * @throws InputFault naming the line where quotes do not fit, where a record has another number of
 * cells than the first (unless `ragged`), or beyond the largest number of rows.
 */
export function eachCsvRecord(
  text: string,
  {
    delimiter,
    fileName,
    linesAbove = 0,
    quoted = true,
    ragged = false,
  }: {
    readonly delimiter: string
    readonly fileName: string
    /** Lines of the file that stand above the text. */
    readonly linesAbove?: number
    /** Whether cells may stand in quotes; otherwise a quote is a character like any other. */
    readonly quoted?: boolean
    readonly ragged?: boolean
  },
  take: (record: CsvRecord) => void,
): void {
  let count = 0
  let width: number | null = null
  try {
    parse(text, {
      delimiter,
      record_delimiter: '\n',
      quote: quoted ? '"' : null,
      raw: true,
      // Checked below: the parser would refuse a line of blanks, which is none.
      relax_column_count: true,
      skip_empty_lines: true,
      // With `raw`, a record comes together with its text, which the types do not tell.
      on_record: (parsed: unknown, { lines }) => {
        const { record, raw: rawRecord } = parsed as ParsedRecord
        const raw = rawRecord.replace(/\n$/, '')
        if (record.every((cell) => cell.trim() === '')) {
          // A line of blanks is none; empty cells, fewer than there are columns, are a row cut off.
          if (ragged || record.length === 1 || record.length === (width ?? record.length)) {
            return null
          }
        }
        width ??= record.length
        if (!ragged && record.length !== width) {
          throw refusal(fileName, `line ${linesAbove + lines}`, WRONG_WIDTH)
        }
        count += 1
        if (count > ENTRIES_PER_FILE_MAX + 1) {
          throw refusal(fileName, null, `the file has more than ${ENTRIES_PER_FILE_MAX} rows`)
        }
        take({ cells: record, line: linesAbove + lines - (raw.split('\n').length - 1), raw })
        return null
      },
    })
  } catch (error) {
    if (error instanceof CsvError) throw rowRefusal(error, fileName, linesAbove)
    throw error
  }
}

/** The parser's own messages quote cells, so they are said anew. */
function rowRefusal(error: CsvError, fileName: string, linesAbove: number): InputFault {
  const line: unknown = error['lines']
  const place = typeof line === 'number' ? `line ${linesAbove + line}` : null
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return refusal(
        fileName,
        place,
        'a quote is opened and never closed: the file is cut off, or a quote in a text is not doubled',
      )
    default:
      return refusal(
        fileName,
        place,
        `a quote stands where none can be (${error.code}): in a quoted cell it must be doubled`,
      )
  }
}

export const WRONG_WIDTH =
  'the row does not have as many cells as the header: it is cut off, or a text with the separator in it is not in quotes'

/** Why a reference cannot be what the bank wrote; null if it can. `6,17761E+25` has lost its last digits. */
export function spoiltReference(text: string): string | null {
  return /^\d[.,]\d+E\+\d+$/i.test(text)
    ? `${shown(text)} is what a spreadsheet makes of a long number: digits are lost`
    : null
}
