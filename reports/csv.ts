import { stringify } from 'csv-stringify/sync'
import { inPieces } from '../src/domain/collections.ts'
import { formatAmount, type Currency } from '../src/domain/money.ts'

/**
 * `iso`: comma, decimal point, UTF-8. `fr`: semicolon, decimal comma, UTF-8 with a byte order mark,
 * as Excel expects it in French. Lines end with a line feed in both, which Excel reads as well.
 */
export type CsvDialect = 'iso' | 'fr'

const DELIMITERS: Readonly<Record<CsvDialect, string>> = { iso: ',', fr: ';' }

/** What a cell holds, because that decides how it is written. */
export type Cell =
  | { readonly type: 'amount'; readonly minor: bigint; readonly currency: Currency }
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'integer'; readonly value: number }
  | null

/** A column: its title in the file, and what stands in it for a row. */
export interface Column<Row> {
  readonly name: string
  readonly cell: (row: Row) => Cell
}

export function amountCell(minor: bigint | null, currency: Currency): Cell {
  return minor === null ? null : { type: 'amount', minor, currency }
}

/** Ids, days, codes and sentences; null and empty text give an empty cell. */
export function textCell(text: string | null): Cell {
  return text === null ? null : { type: 'text', text }
}

export function integerCell(value: number | null): Cell {
  return value === null ? null : { type: 'integer', value }
}

/** The whole file as text: a line of titles, then a line a row, in the order given. */
export function csvText<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  dialect: CsvDialect,
): string {
  return [...csvPieces(columns, rows, dialect)].join('')
}

/** The same in pieces of whole lines, where a file may be too long to be held. */
export function longCsv<Row>(
  columns: readonly Column<Row>[],
  rows: Iterable<Row>,
  dialect: CsvDialect,
): Iterable<string> {
  return { [Symbol.iterator]: () => csvPieces(columns, rows, dialect) }
}

function* csvPieces<Row>(
  columns: readonly Column<Row>[],
  rows: Iterable<Row>,
  dialect: CsvDialect,
): Generator<string> {
  const options = {
    delimiter: DELIMITERS[dialect],
    record_delimiter: '\n',
    // The library quotes for the record delimiter that it writes, but readers also end a line at a
    // lone carriage return, and some drop blanks around a cell that is not quoted.
    quoted_match: /[\r\n]|^\s|\s$/,
  }
  yield stringify([columns.map(({ name }) => name)], { ...options, bom: dialect === 'fr' })
  for (const some of inPieces(rows, ROWS_AT_ONCE)) {
    yield stringify(
      some.map((row) => columns.map(({ cell }) => cellText(cell(row), dialect))),
      options,
    )
  }
}

const ROWS_AT_ONCE = 500

function cellText(cell: Cell, dialect: CsvDialect): string {
  if (cell === null) return ''
  if (cell.type === 'text') return withoutFormula(cell.text)
  if (cell.type === 'integer') return String(cell.value)
  const text = formatAmount(cell.minor, cell.currency)
  return dialect === 'fr' ? text.replace('.', ',') : text
}

/**
 * A formula begins with = + - or @, in half or full width, or follows a tab or a carriage return;
 * blanks, invisible signs and quotes before it are dropped by some spreadsheets.
 */
const FORMULA = /^(?:[\t\r\n]|[\s\p{Z}\p{C}'"`´‘’“”]*[=+\-@＝＋－﹣−＠])/u

/**
 * Text that a spreadsheet would take for a formula gets an apostrophe in front (the advice of OWASP,
 * "CSV Injection"). The provider's ids, days and codes never begin that way, so they stay as they
 * are; amounts do not come here.
 */
function withoutFormula(text: string): string {
  return FORMULA.test(text) ? `'${text}` : text
}
