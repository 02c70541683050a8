import { type Day, parseDay } from '../domain/day.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import { type Currency, parseAmount } from '../domain/money.ts'
import type { InputFault } from '../errors.ts'
import { shown } from './reader.ts'

/**
 * Days and amounts as banks write them. A profile lists the ways in which its bank is known to write
 * them; a file has one of these ways from its first row to its last.
 */

type DecimalMark = ',' | '.'

/** A way to write amounts. */
export interface AmountForm {
  readonly decimalMark: DecimalMark
  /** Marks between groups of three digits; a blank stands for every kind of blank. */
  readonly groupingMarks: readonly string[]
  /** Whether a minus may stand behind the digits, as business software writes it: `1204,50-`. */
  readonly signAtEnd?: boolean
  /** What may follow the digits, such as `€`. */
  readonly suffixes: readonly string[]
}

const BLANKS = /[\s\u00a0\u2007\u2009\u202f]+/g

/**
 * A signed amount in minor units; `+`, `-` and the typographic minus are signs, in front unless the
 * form says otherwise. A typographic apostrophe between digits counts as the other one.
 * @throws InvalidValue for anything that the form does not allow.
 */
export function parseBankAmount(text: string, form: AmountForm, currency: Currency): bigint {
  const { decimalMark, groupingMarks, suffixes, signAtEnd = false } = form
  let number = text.replace(BLANKS, ' ').replace('\u2212', '-').replaceAll('\u2019', "'").trim()
  for (const suffix of suffixes) {
    if (number.endsWith(suffix)) number = number.slice(0, -suffix.length).trimEnd()
  }
  if (signAtEnd) number = number.replace(/^([^+-]+?) ?([+-])$/, '$2$1')
  const [, sign = '', rest = ''] = /^([+-]?) ?(.*)$/s.exec(number) ?? []
  const [whole = '', fraction, ...more] = rest.split(decimalMark)
  const digits = ungrouped(
    whole,
    groupingMarks.filter((mark) => mark !== decimalMark),
  )
  if (digits === null || more.length > 0 || !/^\d*$/.test(fraction ?? '')) {
    throw new InvalidValue(
      `${shown(text)} is not an amount as this bank writes them: digits with ${decimalMark === ',' ? 'a decimal comma' : 'a decimal point'} were expected, such as -1204${decimalMark}50`,
    )
  }
  return parseAmount(`${sign}${digits}.${fraction ?? ''}`, currency)
}

/** The digits without the marks between them; null if there is anything else or a group is not of three digits. */
function ungrouped(whole: string, marks: readonly string[]): string | null {
  if (/^\d+$/.test(whole)) return whole
  for (const mark of marks) {
    const [first = '', ...groups] = whole.split(mark)
    if (/^\d{1,3}$/.test(first) && groups.every((group) => /^\d{3}$/.test(group))) {
      return [first, ...groups].join('')
    }
  }
  return null
}

const TOKENS: Readonly<Record<string, string>> = {
  yyyy: String.raw`(?<year>\d{4})`,
  yy: String.raw`(?<year>\d{2})`,
  MM: String.raw`(?<month>\d{2})`,
  M: String.raw`(?<month>\d{1,2})`,
  dd: String.raw`(?<day>\d{2})`,
  d: String.raw`(?<day>\d{1,2})`,
  HH: String.raw`\d{2}`,
  mm: String.raw`\d{2}`,
  ss: String.raw`\d{2}`,
}

/** A way to write days, see `dayForm`. */
export interface DayForm {
  /** As the profile has it: `dd/MM/yyyy`. */
  readonly text: string
  readonly pattern: RegExp
}

/**
 * A way to write days, of `yyyy` or `yy` (20yy), `MM` or `M`, `dd` or `d`, and `HH`, `mm`, `ss`,
 * which are read over; null unless year, month and day are there once each.
 */
export function dayForm(text: string): DayForm | null {
  const parts = text.match(/[A-Za-z]+|[^A-Za-z]+/g) ?? []
  const sources = parts.map((part) => {
    if (!/[A-Za-z]/.test(part)) return part.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)
    const tokens = part.match(/yyyy|yy|MM|M|dd|d|HH|mm|ss/g) ?? []
    return tokens.join('') === part ? tokens.map((token) => TOKENS[token]).join('') : null
  })
  if (sources.includes(null)) return null
  const source = sources.join('')
  const isWhole = ['year', 'month', 'day'].every((name) => source.split(`?<${name}>`).length === 2)
  return isWhole ? { text, pattern: new RegExp(`^${source}$`) } : null
}

/** @throws InvalidValue unless the text is an existing day, written in this form. */
export function parseBankDay(text: string, { text: form, pattern }: DayForm): Day {
  const found = pattern.exec(text.trim())?.groups
  if (found === undefined) {
    throw new InvalidValue(`${shown(text)} is not a day as this bank writes them: ${form}`)
  }
  const { year = '', month = '', day = '' } = found
  const fourDigits = year.length === 2 ? `20${year}` : year
  return parseDay(`${fourDigits}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`)
}

/** A cell of the table, with its place for messages. */
export interface Cell {
  readonly text: string
  readonly line: number
  readonly column: string
}

/**
 * The one form in which all cells can be read. Several forms that give the same values are as good
 * as one.
 * @throws InputFault at the first cell that the most fitting form cannot read, or that two forms
 * read differently with no other cell to settle it.
 */
export function settleForm<C extends Cell, F>(
  cells: readonly C[],
  forms: readonly [F, ...F[]],
  parse: (cell: C, form: F) => bigint | Day,
  refuse: (cell: C, found: string) => InputFault,
): F {
  const attempts = forms.map((form) => ({ form, ...readAll(cells, (cell) => parse(cell, form)) }))
  const [first, ...others] = attempts.filter(({ problem }) => problem === null)
  if (first === undefined) {
    const [best] = attempts.toSorted((one, other) => other.values.length - one.values.length)
    const cell = cells[best?.values.length ?? 0]
    if (cell === undefined) throw new Error('a form failed without a cell')
    throw refuse(cell, best?.problem ?? '')
  }
  for (const other of others) {
    const at = first.values.findIndex((value, index) => value !== other.values[index])
    const cell = cells[at]
    if (cell === undefined) continue
    throw refuse(
      cell,
      `${shown(cell.text)} can be read in two ways (${first.values[at]} and ${other.values[at]}), and no other row settles which is meant`,
    )
  }
  return first.form
}

/** The values up to the first cell that cannot be read, and what is wrong with that one. */
function readAll<C, V>(
  cells: readonly C[],
  parse: (cell: C) => V,
): { readonly values: readonly V[]; readonly problem: string | null } {
  const values: V[] = []
  for (const cell of cells) {
    try {
      values.push(parse(cell))
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error
      return { values, problem: error.message }
    }
  }
  return { values, problem: null }
}
