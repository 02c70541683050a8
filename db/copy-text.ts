/**
 * Rows in the text format of COPY (PostgreSQL manual, COPY, "Text Format"): cells divided by tabs,
 * one row a line.
 */

/** What a cell may hold; an object stands for JSON. */
export type CopyValue = string | number | bigint | boolean | object | null | undefined

/** What would end a cell or a row, or stand for something else. */
const SPECIAL = /[\\\n\r\t]/
const EVERY_SPECIAL = /[\\\n\r\t]/g
const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

/**
 * One row with its line end. Null and undefined are SQL's null, which an empty text is not; objects
 * and arrays become JSON, in which a bigint is decimal text. A text for a column of JSON must be JSON
 * already.
 * @throws Error for a text with a NUL character, which no Postgres text can hold.
 */
export function copyText(values: readonly CopyValue[]): string {
  let row = ''
  for (let place = 0; place < values.length; place += 1) {
    row += place === 0 ? cellText(values[place]) : `\t${cellText(values[place])}`
  }
  return `${row}\n`
}

function cellText(value: CopyValue): string {
  if (typeof value === 'string') return escaped(value)
  if (value === null || value === undefined) return '\\N'
  if (typeof value === 'object') return escaped(JSON.stringify(value, bigintAsText))
  return String(value)
}

function escaped(text: string): string {
  if (text.includes('\0')) throw new Error('a text with a NUL character cannot be stored')
  if (!SPECIAL.test(text)) return text
  return text.replace(EVERY_SPECIAL, (special) => ESCAPES[special] ?? special)
}

function bigintAsText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
