import type { BankEntry, BankStatement } from '../domain/bank-statement.ts'
import { groupBy } from '../domain/collections.ts'
import { type Day, maxDay, minDay } from '../domain/day.ts'
import { InvalidValue } from '../domain/invalid-value.ts'
import {
  absolute,
  type Currency,
  currencyDigits,
  formatAmount,
  parseCurrency,
  sumOf,
} from '../domain/money.ts'
import type { InputFault } from '../errors.ts'
import { columnsOf, findTable, fitsAnyProfile, type FoundTable, linesOf } from './csv-detect.ts'
import { type CsvRecord, eachCsvRecord, spoiltReference, WRONG_WIDTH } from './csv-text.ts'
import {
  type AmountForm,
  type Cell,
  type DayForm,
  parseBankAmount,
  parseBankDay,
  settleForm,
} from './csv-values.ts'
import { decoded, textEncoding } from './encoding.ts'
import { ibanOfRib } from './iban.ts'
import { refuseControlCharacters } from './plain-text.ts'
import {
  type ColumnName,
  type CsvProfile,
  type Fact,
  type LineRule,
  normalisedName,
} from './profiles/profile.ts'
import {
  type BankFileReader,
  type BankFileReading,
  givenId,
  MOVEMENT_MINOR_MAX,
  parseAccount,
  readValue,
  refusal,
  shown,
} from './reader.ts'
import { accountLetters, mayBeShortFor } from './own-account.ts'
import { chainRows } from './running-balance.ts'

/**
 * Reads the CSV exports of banks by their profiles (`profiles/profile.ts`). The profile says how the
 * bank writes its files; each row must be written so, or the file is refused.
 */

export interface CsvOptions {
  readonly profiles: readonly CsvProfile[]
  /** The profile to read by; null: the one that fits. */
  readonly profile: string | null
  /** The own account, for files that do not name it or name it in short; null: what the file says. */
  readonly account: string | null
}

/** A reader for one file, since the name of a file may tell its profile. */
export function csvByProfile(options: CsvOptions, fileName: string): BankFileReader {
  return {
    format: CSV_FORMAT,
    recognises: ({ bytes }) => fitsAnyProfile(headOf(bytes), fileName, options.profiles),
    read: (bytes, name) => readCsv(bytes, name, options),
  }
}

export const CSV_FORMAT = 'csv'

/** The beginning of a file as text; it may end inside a character. */
function headOf(bytes: Uint8Array): string {
  for (const cut of [0, 1, 2, 3]) {
    const encoding = textEncoding(bytes.subarray(0, bytes.length - cut))
    if (encoding !== 'windows-1252') return unified(new TextDecoder(encoding).decode(bytes))
  }
  return unified(new TextDecoder('windows-1252').decode(bytes, { stream: true }))
}

function unified(text: string): string {
  return text.replace(/\r\n?/g, '\n')
}

/** A movement, as text. */
interface Row {
  readonly line: number
  readonly cells: readonly string[]
  /** Text of the rows that continue this one. */
  readonly more: string[]
  raw: string
}

interface FactValue {
  readonly text: string
  readonly line: number
}

type Facts = ReadonlyMap<Fact, FactValue>

/** The file as far as it is read, and how to refuse it. */
interface Table extends FoundTable {
  readonly fileName: string
  readonly options: CsvOptions
  readonly rows: readonly Row[]
  readonly facts: Facts
  readonly notes: string[]
}

function readCsv(bytes: Uint8Array, fileName: string, options: CsvOptions): BankFileReading {
  const { text, found } = decode(bytes, fileName, options)
  refuseControlCharacters(text, fileName)
  const table = readTable(text, found, fileName, options)
  if (!found.fits) {
    table.notes.push(
      `${fileName} was read by the profile ${found.profile.name}, as was asked, although its header is another than that of ${found.profile.bank}`,
    )
  }
  if (/\ufffd|\u00c3[\u0080-\u00bf\u20ac\u0152-\u0178\u2013-\u2122]/.test(text)) {
    table.notes.push(
      `${fileName} holds letters that were spoilt before it came here (such as Ã©); it is read as it is`,
    )
  }
  refuseCutEnd(text, table)
  const entries = readEntries(table)
  return {
    format: CSV_FORMAT,
    formatVersion: table.profile.name,
    statements: toStatements(table, entries),
    notes: table.notes,
    hasUniqueReferences:
      table.profile.uniqueReference &&
      entries.length > 0 &&
      entries.every(({ entry }) => entry.bankReference !== null),
  }
}

/** The text, in the encoding that its bytes show, else in the one that its bank uses. */
function decode(bytes: Uint8Array, fileName: string, options: CsvOptions) {
  const visible = textEncoding(bytes)
  const textIn = (encoding: string): string =>
    unified([...decoded(bytes, encoding, fileName)].join(''))
  const text = textIn(visible)
  const found = findTable(linesOf(text), fileName, options.profiles, options.profile)
  const { encoding, name } = found.profile
  if (visible !== 'windows-1252' || encoding === visible) return { text, found }
  if (encoding === 'utf-8') {
    throw refusal(
      fileName,
      null,
      `the file is not UTF-8, as files of the profile ${name} are: it was saved by another program`,
    )
  }
  return { text: textIn(encoding), found }
}

function readTable(text: string, found: FoundTable, fileName: string, options: CsvOptions): Table {
  const { profile, separator, headerIndex } = found
  const lines = linesOf(text)
  const facts = new Map<Fact, FactValue>()
  const met = new Set<LineRule>()
  const notes: string[] = []
  const rows: Row[] = []
  for (const [index, line] of lines.slice(0, Math.max(headerIndex, 0)).entries()) {
    for (const rule of profile.preamble) apply(rule, line, index + 1, fileName, facts, met)
  }
  const table: Table = { ...found, fileName, options, rows, facts, notes }
  const column = columnReader(table)
  let leftOut = 0
  let firstLeftOut = 0
  let isOver = false
  let notBooked = 0
  let isHeader = headerIndex >= 0
  const take = (record: CsvRecord): void => {
    if (isHeader) {
      isHeader = false
      return
    }
    if (isOver) {
      firstLeftOut = leftOut === 0 ? record.line : firstLeftOut
      leftOut += 1
      return
    }
    const cells = record.cells.map((cell) => unquoted(cell.trim(), profile))
    if (!isDay(column.of(cells, 'bookingDay'), profile.dates)) {
      const rule = profile.otherRows.find((one) =>
        apply(one, record.raw, record.line, fileName, facts, met),
      )
      if (rule !== undefined) {
        isOver = rule.end
        return
      }
      if (continues(cells, column, profile)) {
        const row = rows.at(-1)
        if (row === undefined) {
          throw refusal(
            fileName,
            `line ${record.line}`,
            'the row continues a row, but none precedes',
          )
        }
        row.more.push(...cells.filter((cell) => cell !== ''))
        row.raw += `\n${record.raw}`
        return
      }
    }
    refuseWidth(cells, found, record.line, fileName)
    if (isBooked(cells, column, table, record.line)) {
      rows.push({ line: record.line, cells, more: [], raw: record.raw })
    } else {
      notBooked += 1
    }
  }
  eachCsvRecord(
    lines.slice(Math.max(headerIndex, 0)).join('\n'),
    {
      delimiter: separator,
      fileName,
      linesAbove: Math.max(headerIndex, 0),
      quoted: profile.quotes,
      ragged: true,
    },
    take,
  )
  for (const rule of [...profile.preamble, ...profile.otherRows]) {
    if (!rule.required || met.has(rule)) continue
    throw refusal(
      fileName,
      null,
      `the line that ends the table of ${profile.bank} (${rule.line.source}) is missing: the file is cut off`,
    )
  }
  if (notBooked > 0) {
    notes.push(`${fileName}: ${rowCount(notBooked)} not booked by the bank and left out`)
  }
  if (leftOut > 0) {
    notes.push(
      `${fileName}: ${rowCount(leftOut)} below the account's table, from line ${firstLeftOut} on, and left out`,
    )
  }
  refuseCount(table, rows.length + notBooked)
  return table
}

function rowCount(count: number): string {
  return count === 1 ? '1 row is' : `${count} rows are`
}

/** Where quotes are characters like any other, some files still put whole cells into them. */
function unquoted(cell: string, { quotes }: CsvProfile): string {
  return quotes ? cell : cell.replace(/^"([^"]*)"$/, '$1')
}

/** More of a line is no preamble. */
const RULE_CHARACTERS_MAX = 1_000

/** Takes over what a line outside of the movements tells. @returns whether the rule fits the line. */
function apply(
  rule: LineRule,
  raw: string,
  line: number,
  fileName: string,
  facts: Map<Fact, FactValue>,
  met: Set<LineRule>,
): boolean {
  const text = raw.replaceAll('"', '').replace(/^=/, '').replace(/\s+/g, ' ').trim()
  const found = rule.line.exec(text.slice(0, RULE_CHARACTERS_MAX))
  if (found === null) return false
  if (rule.refuse !== null) throw refusal(fileName, `line ${line}`, rule.refuse)
  met.add(rule)
  for (const [fact, value] of Object.entries(found.groups ?? {})) {
    if (value === undefined || value.trim() === '' || !isFact(fact)) continue
    const known = facts.get(fact)
    if (known !== undefined && known.text !== value.trim()) {
      throw refusal(
        fileName,
        `line ${line}`,
        `the line gives another ${fact} than line ${known.line} did`,
      )
    }
    facts.set(fact, { text: value.trim(), line })
  }
  return true
}

function isFact(name: string): name is Fact {
  return /^(?:account|currency|from|to|opening|closing|balanceDay|count)$/.test(name)
}

interface ColumnReader {
  /** The first cell that is not empty among those that the profile names for a column. */
  of(cells: readonly string[], column: ColumnName): string
  /** All of them that are not empty. */
  all(cells: readonly string[], column: ColumnName): string[]
  has(column: ColumnName): boolean
  /** As the file calls it, for messages. */
  title(column: ColumnName): string
}

/** Columns without which a row would be misread; where the profile names one, the file must have it. */
const NEEDED: readonly ColumnName[] = ['bookingDay', 'indicator', 'status', 'currency']

/** @throws InputFault if a column that is needed is not there, or a name stands there twice. */
function columnReader({
  profile,
  names,
  fileName,
  headerIndex,
}: FoundTable & { fileName: string }) {
  const place = `line ${headerIndex + 1}`
  const placesOf = (column: ColumnName): number[] =>
    (profile.columns[column] ?? []).flatMap((ref) => {
      const places = columnsOf(ref, names)
      if (places.length <= 1) return places
      const name = names[places[0] ?? 0] ?? ''
      throw refusal(
        fileName,
        place,
        `the column ${shown(name)} stands there ${places.length} times, and the profile ${profile.name} does not say which is meant`,
        'Say which with #1 or #2 behind the name, in a profile of your own that extends this one.',
      )
    })
  const places = new Map<ColumnName, number[]>()
  for (const column of columnNames(profile)) places.set(column, placesOf(column))
  const has = (column: ColumnName): boolean => (places.get(column)?.length ?? 0) > 0
  const missing = NEEDED.filter((column) => profile.columns[column] !== undefined && !has(column))
  if (!has('amount') && !(has('debit') && has('credit'))) missing.push('amount')
  if (missing.length > 0) {
    const wanted = missing.map((column) => `${column} (${titleOf(profile, column)})`)
    throw refusal(
      fileName,
      place,
      `the header lacks columns of the profile ${profile.name}: ${wanted.join(', ')}`,
      "Export the file again with the bank's own choice of columns.",
    )
  }
  const reader: ColumnReader = {
    of: (cells, column) =>
      (places.get(column) ?? []).map((at) => cells[at] ?? '').find((cell) => cell !== '') ?? '',
    all: (cells, column) =>
      (places.get(column) ?? []).map((at) => cells[at] ?? '').filter((cell) => cell !== ''),
    has,
    title: (column) => {
      const [at] = places.get(column) ?? []
      return (at === undefined ? undefined : names[at]) ?? titleOf(profile, column)
    },
  }
  return reader
}

function columnNames(profile: CsvProfile): ColumnName[] {
  const all: readonly ColumnName[] = [
    'bookingDay',
    'valueDay',
    'amount',
    'debit',
    'credit',
    'indicator',
    'currency',
    'account',
    'balance',
    'status',
    'counterpartyName',
    'counterpartyIban',
    'payerName',
    'payeeName',
    'payerIban',
    'payeeIban',
    'endToEndId',
    'reference',
    'reversal',
    'remittance',
  ]
  return all.filter((column) => profile.columns[column] !== undefined)
}

function titleOf(profile: CsvProfile, column: ColumnName): string {
  const [ref] = profile.columns[column] ?? []
  if (ref === undefined) return column
  if (ref.by === 'name') return ref.name
  return ref.by === 'place' ? `column ${ref.place}` : ref.pattern.source
}

function isDay(text: string, forms: readonly DayForm[]): boolean {
  return forms.some(({ pattern }) => pattern.test(text))
}

/** Whether a row only carries on the text of the one above. */
function continues(
  cells: readonly string[],
  column: ColumnReader,
  { continuationRows }: CsvProfile,
): boolean {
  const told = ['bookingDay', 'amount', 'debit', 'credit'] as const
  return continuationRows && told.every((name) => column.of(cells, name) === '')
}

/** Cells beyond the header's last name are padding; all others must be there. */
function refuseWidth(
  cells: readonly string[],
  { names, profile }: FoundTable,
  line: number,
  fileName: string,
): void {
  const width = names.findLastIndex((name) => name !== '') + 1
  if (profile.header.length === 0) return
  if (cells.length >= width && cells.slice(width).every((cell) => cell === '')) return
  throw refusal(fileName, `line ${line}`, WRONG_WIDTH)
}

function isBooked(
  cells: readonly string[],
  column: ColumnReader,
  { profile, fileName }: Table,
  line: number,
): boolean {
  if (profile.status === null) return true
  const { booked, notBooked } = profile.status
  const word = column.of(cells, 'status')
  if (booked.includes(normalisedName(word))) return true
  if (notBooked.includes(normalisedName(word))) return false
  throw refusal(
    fileName,
    `line ${line}, ${column.title('status')}`,
    `${shown(word)} is none of the words for booked (${booked.join(', ')}) and for not booked (${notBooked.join(', ')})`,
    `If the word is one of them, add it to "status" in a profile of your own that extends ${profile.name}. Nothing of this file was taken.`,
  )
}

/** Some banks say how many rows there are. */
function refuseCount({ facts, fileName }: Table, rows: number): void {
  const count = facts.get('count')
  if (count === undefined || Number(count.text) === rows) return
  throw refusal(
    fileName,
    `line ${count.line}`,
    `the file says that it has ${count.text} rows, and there are ${rows}: it was cut off or changed`,
  )
}

/**
 * A CSV file has no end mark. A cut inside of a row mostly shows; at the very end of the file, an
 * amount or account that is the last cell could be cut without a trace, so it must be whole there.
 */
function refuseCutEnd(text: string, table: Table): void {
  const { rows, profile, names, fileName } = table
  const last = rows.at(-1)
  if (last === undefined || /["\n]$/.test(text) || !text.endsWith(last.raw)) return
  const at = last.cells.length - 1
  const cell = last.cells[at] ?? ''
  const column = columnNames(profile).find((name) =>
    profile.columns[name]?.some((ref) => columnsOf(ref, names).includes(at)),
  )
  const isAmount = column === 'amount' || column === 'debit' || column === 'credit'
  const digits = currencyDigits(profile.currency ?? 'EUR')
  // A mark that may stand between thousands does not show where the decimals begin.
  const isWhole = profile.decimalMark
    .filter((mark) => !profile.groupingMarks.includes(mark))
    .some((mark) => new RegExp(`[${mark}]\\d{${digits}}$`).test(cell))
  if (column !== 'account' && (!isAmount || isWhole || cell === '')) return
  throw refusal(
    fileName,
    `line ${last.line}`,
    `the file ends without a line break right after ${shown(cell)}, so it may have been cut off inside it`,
    'If the file is whole, add a line break at its end; otherwise get it again. Nothing of it was taken.',
  )
}

interface ReadEntry {
  readonly entry: BankEntry
  readonly balance: Cell | null
}

interface AmountCell extends Cell {
  readonly currency: Currency
}

function readEntries(table: Table): ReadEntry[] {
  const { profile, fileName, rows, notes } = table
  const column = columnReader(table)
  const refuse = ({ line, column: title }: Cell, found: string): InputFault =>
    refusal(fileName, `line ${line}, ${title}`, found)
  const cell = (row: Row, name: ColumnName): Cell => ({
    text: column.of(row.cells, name),
    line: row.line,
    column: column.title(name),
  })
  const currencies = new Map(rows.map((row) => [row, currencyOf(row, cell, table)]))
  const amountCell = (row: Row, name: ColumnName): AmountCell => ({
    ...cell(row, name),
    currency: currencies.get(row) ?? '',
  })
  const days = rows.map((row) => cell(row, 'bookingDay'))
  const dayForm = settleForm(
    days,
    listed(profile.dates),
    ({ text }, form) => parseBankDay(text, form),
    refuse,
  )
  const amountCells = rows.flatMap((row) =>
    (['amount', 'debit', 'credit'] as const)
      .map((name) => amountCell(row, name))
      .filter(({ text }) => text !== ''),
  )
  const amountForm = settleForm(
    amountCells,
    listed(amountForms(profile, profile.decimalMark)),
    ({ text, currency }, form) => parseBankAmount(text, form, currency),
    refuse,
  )
  const amountOf = (found: AmountCell): bigint =>
    readValue(
      found.text,
      (text) => parseBankAmount(text, amountForm, found.currency),
      (wrong) => refuse(found, wrong),
    )
  const debitSign = settleDebitSign(rows, (row) => amountCell(row, 'debit'), amountOf, table)
  const accounts = new Map<string, string | null>()
  const read = rows.flatMap((row): ReadEntry[] => {
    const account = accountOf(cell(row, 'account'), accounts, table)
    if (account === null) return []
    const amountMinor = signedAmount(row, { amountCell, amountOf, debitSign, cell }, table)
    const valueDay = cell(row, 'valueDay')
    const balance = cell(row, 'balance')
    const entry: BankEntry = {
      account,
      bookingDay: readValue(
        cell(row, 'bookingDay').text,
        (text) => parseBankDay(text, dayForm),
        (wrong) => refuse(cell(row, 'bookingDay'), wrong),
      ),
      valueDay:
        valueDay.text === '' ? null : settledDay(valueDay, [dayForm, ...profile.dates], refuse),
      amountMinor,
      currency: currencies.get(row) ?? '',
      ...textsOf(row, amountMinor, column, cell, table),
      isReversal: column.of(row.cells, 'reversal') !== '',
      place: `line ${row.line}`,
      position: row.line,
      raw: row.raw,
    }
    return [{ entry, balance: balance.text === '' ? null : balance }]
  })
  if (read.length < rows.length) {
    notes.push(
      `${fileName}: ${rowCount(rows.length - read.length)} of accounts that the profile ${profile.name} leaves out`,
    )
  }
  if (profile.singleAccount && accounts.size > 1) {
    throw refusal(
      fileName,
      null,
      `the rows name ${accounts.size} accounts, and a file of ${profile.bank} was expected to name one`,
    )
  }
  refuseRepeatedReferences(read, table)
  return read
}

/** A list that a profile cannot leave empty. */
function listed<T>(items: readonly T[]): [T, ...T[]] {
  const [first, ...others] = items
  if (first === undefined) throw new Error('a profile has an empty list')
  return [first, ...others]
}

function amountForms(
  { groupingMarks, amountSuffixes, signAtEnd }: CsvProfile,
  decimalMarks: readonly (',' | '.')[],
): AmountForm[] {
  return decimalMarks.map((decimalMark) => ({
    decimalMark,
    groupingMarks,
    signAtEnd,
    suffixes: amountSuffixes,
  }))
}

function currencyOf(
  row: Row,
  cell: (row: Row, name: ColumnName) => Cell,
  { profile, facts, fileName }: Table,
): Currency {
  const found = cell(row, 'currency')
  if (profile.columns.currency !== undefined) {
    return readValue(found.text, parseCurrency, (wrong) =>
      refusal(fileName, `line ${row.line}, ${found.column}`, wrong),
    )
  }
  return fileCurrency(profile, facts, fileName)
}

function fileCurrency(profile: CsvProfile, facts: Facts, fileName: string): Currency {
  const stated = facts.get('currency')?.text ?? profile.currency
  if (stated !== null) return stated.toUpperCase()
  throw refusal(
    fileName,
    null,
    `nothing tells the currency: the profile ${profile.name} has neither a column nor a "currency"`,
  )
}

/** A day of the file beside the booking day may be written in another of the bank's ways. */
function settledDay(
  cell: Cell,
  forms: readonly DayForm[],
  refuse: (cell: Cell, found: string) => InputFault,
): Day {
  const fitting = forms.filter(({ pattern }) => pattern.test(cell.text))
  return readValue(
    cell.text,
    (text) => parseBankDay(text, fitting[0] ?? listed(forms)[0]),
    (wrong) => refuse(cell, wrong),
  )
}

/** -1 where debits are written as positive amounts, 1 where they are negative already. */
function settleDebitSign(
  rows: readonly Row[],
  debitCell: (row: Row) => AmountCell,
  amountOf: (cell: AmountCell) => bigint,
  { profile, fileName }: Table,
): bigint {
  let sign = { negative: 1n, positive: -1n, any: 0n }[profile.debitSign]
  for (const row of rows) {
    const cell = debitCell(row)
    const amountMinor = cell.text === '' ? 0n : amountOf(cell)
    if (amountMinor === 0n) continue
    const own = amountMinor < 0n ? 1n : -1n
    if (sign === 0n) sign = own
    if (sign === own) continue
    throw refusal(
      fileName,
      `line ${row.line}, ${cell.column}`,
      `${shown(cell.text)} is ${own === 1n ? 'negative' : 'positive'}, and the debits of this file were expected to be ${own === 1n ? 'positive' : 'negative'}`,
    )
  }
  return sign
}

/** What all columns of a row that tell its amount say together. */
function signedAmount(
  row: Row,
  {
    amountCell,
    amountOf,
    debitSign,
    cell,
  }: {
    readonly amountCell: (row: Row, name: ColumnName) => AmountCell
    readonly amountOf: (cell: AmountCell) => bigint
    readonly debitSign: bigint
    readonly cell: (row: Row, name: ColumnName) => Cell
  },
  { profile, fileName }: Table,
): bigint {
  const refuse = (found: string): InputFault => refusal(fileName, `line ${row.line}`, found)
  const signed = amountCell(row, 'amount')
  const [debit, credit] = [amountCell(row, 'debit'), amountCell(row, 'credit')]
  const told: bigint[] = []
  if (signed.text !== '') {
    told.push(
      amountOf(signed) * indicatedSign(cell(row, 'indicator'), amountOf(signed), profile, refuse),
    )
  }
  if (debit.text !== '' || credit.text !== '') {
    const debitMinor = debit.text === '' ? 0n : amountOf(debit) * debitSign
    const creditMinor = credit.text === '' ? 0n : amountOf(credit)
    if (creditMinor < 0n) {
      throw refuse(`the credit ${shown(credit.text)} is negative: a positive amount was expected`)
    }
    if (debitMinor !== 0n && creditMinor !== 0n) {
      throw refuse('the row has a debit and a credit: one of them was expected')
    }
    told.push(debitMinor + creditMinor)
  }
  const [amountMinor, other] = told
  if (amountMinor === undefined) throw refuse('the row has no amount')
  if (other !== undefined && other !== amountMinor) {
    throw refuse(`the amount ${shown(signed.text)} is not what its debit or credit says`)
  }
  return amountMinor
}

function indicatedSign(
  { text }: Cell,
  amountMinor: bigint,
  { indicator }: CsvProfile,
  refuse: (found: string) => InputFault,
): bigint {
  if (indicator === null) return 1n
  if (amountMinor < 0n) throw refuse('the amount has a sign, and its direction stands in a word')
  const word = normalisedName(text)
  if (indicator.credit.includes(word)) return 1n
  if (indicator.debit.includes(word)) return -1n
  throw refuse(
    `${shown(text)} does not tell credit (${indicator.credit.join(', ')}) from debit (${indicator.debit.join(', ')})`,
  )
}

type Texts = Pick<
  BankEntry,
  'counterpartyName' | 'counterpartyIban' | 'endToEndId' | 'bankReference' | 'remittance'
>

function textsOf(
  row: Row,
  amountMinor: bigint,
  column: ColumnReader,
  cell: (row: Row, name: ColumnName) => Cell,
  { profile, fileName }: Table,
): Texts {
  const pieces = [...column.all(row.cells, 'remittance'), ...row.more]
    .flatMap((text) => text.split('\n'))
    .map((text) => text.trim())
    .filter((text) => text !== '')
  const found = new Map<string, string>()
  for (const pattern of profile.texts) {
    for (const piece of pieces) {
      for (const [name, value] of Object.entries(pattern.exec(piece.slice(0, 500))?.groups ?? {})) {
        if (value !== undefined && !found.has(name)) found.set(name, value.trim())
      }
    }
  }
  const text = (...names: readonly ColumnName[]): string =>
    names.map((name) => column.of(row.cells, name)).find((value) => value !== '') ?? ''
  const reference = (name: 'endToEndId' | 'reference'): string | null => {
    const { text: value, column: title } = cell(row, name)
    const spoilt = spoiltReference(value)
    if (spoilt !== null) throw refusal(fileName, `line ${row.line}, ${title}`, spoilt)
    return value === '' ? null : value
  }
  const name = text('counterpartyName', amountMinor < 0n ? 'payeeName' : 'payerName')
  const iban = text('counterpartyIban', amountMinor < 0n ? 'payeeIban' : 'payerIban')
  return {
    counterpartyName: name === '' ? (found.get('counterpartyName') ?? null) : name,
    counterpartyIban: foreignAccount(iban === '' ? (found.get('counterpartyIban') ?? '') : iban),
    endToEndId: givenId(reference('endToEndId') ?? found.get('endToEndId') ?? null),
    bankReference: givenId(reference('reference')),
    remittance: [...new Set(pieces)],
  }
}

/** Banks put more than account numbers into this column, such as a masked card; that is no account. */
function foreignAccount(text: string): string | null {
  try {
    return text === '' ? null : parseAccount(text)
  } catch (error) {
    if (error instanceof InvalidValue) return null
    throw error
  }
}

const TELL_ACCOUNT =
  'Give it with import-bank --account IBAN, or for good with "account" or "accounts" in a profile of the folder of BANK_PROFILES_DIR (README, "Bank files"). Nothing of this file was taken.'

/** The row's own account; null where the profile says to leave such rows out. */
function accountOf(cell: Cell, resolved: Map<string, string | null>, table: Table): string | null {
  const { facts, profile, fileName } = table
  const fromName = profile.fileName?.exec(fileName)?.groups?.['account']
  const fact = facts.get('account')
  const inCell = profile.accountText?.exec(cell.text)?.groups?.['account'] ?? cell.text
  const [told, line] =
    inCell === '' ? [fact?.text ?? fromName ?? '', fact?.line ?? null] : [inCell, cell.line]
  const known = resolved.get(told)
  if (known !== undefined) return known
  const account = resolveAccount(told, line, table)
  resolved.set(told, account)
  return account
}

function resolveAccount(told: string, line: number | null, table: Table): string | null {
  const { profile, options, fileName, notes } = table
  const place = line === null ? null : `line ${line}`
  const mapped = Object.entries(profile.accounts).find(
    ([name]) => accountLetters(name) === accountLetters(told),
  )
  if (mapped !== undefined && mapped[1] === null) return null
  const given = options.account ?? mapped?.[1] ?? profile.account
  const read = (text: string): string =>
    readValue(text, parseAccount, (wrong) => refusal(fileName, place, wrong, TELL_ACCOUNT))
  if (told === '') {
    if (given !== null) return read(given)
    throw refusal(
      fileName,
      place,
      `the file does not name its account, as files of ${profile.bank} do not`,
      TELL_ACCOUNT,
    )
  }
  if (given !== null) {
    const isMapped = mapped?.[1] === given
    if (!isMapped && !mayBeShortFor(told, given)) {
      throw refusal(
        fileName,
        place,
        `the file is of the account ${shown(told)}, not of ${shown(given)}, which was given for it`,
        'Give the account to which the file belongs, or none if the file names it in full.',
      )
    }
    return read(given)
  }
  if (/[*]|X{3}/i.test(told) || (told.match(/\d/g) ?? []).length < 5) {
    throw refusal(
      fileName,
      place,
      `${shown(told)} does not tell the account: an IBAN or a whole account number was expected`,
      TELL_ACCOUNT,
    )
  }
  const account = ibanOfRib(read(told))
  if (!/^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/.test(account)) {
    notes.push(
      `${fileName} names its account ${account}, not by an IBAN. If other files or ALMA_IBANS name its IBAN, say which it is ("accounts" in a profile, README, "Bank files"), or it counts as another account.`,
    )
  }
  return account
}

/** @throws InputFault where an id that the bank uses once stands in two rows. */
function refuseRepeatedReferences(read: readonly ReadEntry[], { profile, fileName }: Table): void {
  if (!profile.uniqueReference) return
  const lines = new Map<string, number>()
  for (const { entry } of read) {
    const { bankReference, account, position } = entry
    if (bankReference === null) continue
    const key = `${account} ${bankReference}`
    const line = lines.get(key)
    if (line !== undefined) {
      throw refusal(
        fileName,
        `line ${position}`,
        `the id ${shown(bankReference)} stands in line ${line} already, and ${profile.bank} gives each entry its own`,
      )
    }
    lines.set(key, position)
  }
}

function toStatements(table: Table, read: readonly ReadEntry[]): BankStatement[] {
  const groups = groupBy(read, ({ entry }) => `${entry.account} ${entry.currency}`)
  if (groups.size === 0) return quietStatement(table)
  return [...groups.values()].map((group) => {
    const entries = group.map(({ entry }) => entry)
    const [first] = entries
    if (first === undefined) throw new Error('a group has no entries')
    const { account, currency } = first
    if (absolute(sumOf(entries.map((entry) => entry.amountMinor))) > MOVEMENT_MINOR_MAX) {
      throw refusal(table.fileName, account, 'the amounts add up to more than any account holds')
    }
    const days = entries.map(({ bookingDay }) => bookingDay)
    const span = spanOf(table, days)
    const stated = groups.size === 1 ? statedBalances(table, currency, span.toDay) : NO_BALANCES
    const proved = chained(table, group)
    return {
      account,
      currency,
      statementRef: null,
      sequenceNumber: null,
      ...span,
      ...(proved ?? stated),
      entries,
    }
  })
}

interface Span {
  readonly fromDay: Day
  readonly toDay: Day
}

interface Balances {
  readonly openingMinor: bigint | null
  readonly closingMinor: bigint | null
}

const NO_BALANCES: Balances = { openingMinor: null, closingMinor: null }

/** A file that states a period without movements covers it all the same. */
function quietStatement(table: Table): BankStatement[] {
  const { facts, profile, fileName } = table
  if (!facts.has('from') || !facts.has('to') || !facts.has('balanceDay')) return []
  const account = resolveAccount(facts.get('account')?.text ?? '', null, table)
  if (account === null) return []
  const currency = fileCurrency(profile, facts, fileName)
  const span = spanOf(table, [])
  return [
    {
      account,
      currency,
      statementRef: null,
      sequenceNumber: null,
      ...span,
      ...statedBalances(table, currency, span.toDay),
      entries: [],
    },
  ]
}

/**
 * The days that the file covers: those of its rows, and those of the period that it states, up to
 * the day of a balance that it states. A period that was asked for may reach into the future.
 */
function spanOf(table: Table, days: readonly Day[]): Span {
  const [from, to, balanceDay] = [
    factDay(table, 'from'),
    factDay(table, 'to'),
    factDay(table, 'balanceDay'),
  ]
  const [firstDay, ...otherDays] = days
  if (firstDay === undefined) {
    if (from === null || to === null || balanceDay === null) throw new Error('no period is stated')
    return { fromDay: from, toDay: maxDay(from, minDay(to, balanceDay)) }
  }
  const [first, last] = [minDay(firstDay, ...otherDays), maxDay(firstDay, ...otherDays)]
  if ((from !== null && first < from) || (to !== null && last > to)) {
    const line = table.facts.get('from')?.line ?? table.facts.get('to')?.line ?? 1
    throw refusal(
      table.fileName,
      `line ${line}`,
      `the file says that it is of ${from ?? '…'} to ${to ?? '…'}, and its rows are of ${first} to ${last}`,
    )
  }
  const known = to === null || balanceDay === null ? last : minDay(to, balanceDay)
  return { fromDay: from ?? first, toDay: maxDay(last, known) }
}

function factDay(table: Table, fact: 'from' | 'to' | 'balanceDay'): Day | null {
  const value = table.facts.get(fact)
  if (value === undefined) return null
  const cell = { text: value.text.replace(/[.:]$/, ''), line: value.line, column: fact }
  return settledDay(cell, table.profile.dates, ({ line }, found) =>
    refusal(table.fileName, `line ${line}`, found),
  )
}

/** What lines outside of the rows say; a balance of a later day than the statement's last is none of it. */
function statedBalances(table: Table, currency: Currency, toDay: Day): Balances {
  const balanceDay = factDay(table, 'balanceDay')
  const isOfLastDay = balanceDay === null || balanceDay === toDay
  return {
    openingMinor: factAmount(table, 'opening', currency),
    closingMinor: isOfLastDay ? factAmount(table, 'closing', currency) : null,
  }
}

function factAmount(table: Table, fact: 'opening' | 'closing', currency: Currency): bigint | null {
  const { facts, profile, fileName } = table
  const value = facts.get(fact)
  if (value === undefined) return null
  const cell = { text: value.text, line: value.line, column: fact }
  const form = settleForm(
    [cell],
    listed(amountForms(profile, profile.balanceDecimalMark ?? profile.decimalMark)),
    ({ text }, one) => parseBankAmount(text, one, currency),
    ({ line }, found) => refusal(fileName, `line ${line}`, found),
  )
  return parseBankAmount(value.text, form, currency)
}

/** The balances that follow from the column of balances; null where the file has none in some row. */
function chained(table: Table, group: readonly ReadEntry[]): Balances | null {
  const { profile, fileName, notes } = table
  const cells = group.flatMap(({ balance, entry }) =>
    balance === null ? [] : [{ ...balance, currency: entry.currency }],
  )
  if (cells.length < group.length || cells.length === 0) return null
  const form = settleForm(
    cells,
    listed(amountForms(profile, profile.balanceDecimalMark ?? profile.decimalMark)),
    ({ text, currency }, one) => parseBankAmount(text, one, currency),
    ({ line, column }, found) => refusal(fileName, `line ${line}, ${column}`, found),
  )
  const rows = group.map(({ entry }, index) => ({
    line: entry.position,
    amountMinor: entry.amountMinor,
    balanceMinor: parseBankAmount(cells[index]?.text ?? '', form, entry.currency),
  }))
  const { openingMinor, closingMinor, brokenAt } = chainRows(rows, orderOf(table, group))
  if (brokenAt !== null && openingMinor !== null && closingMinor !== null) {
    const currency = group[0]?.entry.currency ?? ''
    const wrong = `the balance ${formatAmount(brokenAt.balanceMinor, currency)} after an amount of ${formatAmount(brokenAt.amountMinor, currency)} does not follow from the balance of the row before it: rows are missing`
    // Rows that are missing but add up to nothing would let the whole look proved.
    if (openingMinor + sumOf(rows.map((row) => row.amountMinor)) === closingMinor) {
      throw refusal(fileName, `line ${brokenAt.line}`, wrong)
    }
    notes.push(`${fileName}, line ${brokenAt.line}: ${wrong}`)
  }
  return { openingMinor, closingMinor }
}

/** @throws InputFault where the bank promises an order and the days do not keep it. */
function orderOf({ profile, fileName }: Table, group: readonly ReadEntry[]) {
  const days = group.map(({ entry }) => entry.bookingDay)
  const { rowOrder } = profile
  if (rowOrder === null) {
    const [first = '', last = ''] = [days[0], days.at(-1)]
    if (first === last) return 'unknown'
    return first < last ? 'oldest-first' : 'newest-first'
  }
  const at = days.findIndex((day, index) => {
    const before = days[index - 1] ?? day
    return rowOrder === 'oldest-first' ? day < before : day > before
  })
  if (at === -1) return rowOrder
  throw refusal(
    fileName,
    `line ${group[at]?.entry.position ?? 0}`,
    `the row of ${days[at]} follows one of ${days[at - 1]}, and ${profile.bank} writes the ${rowOrder === 'oldest-first' ? 'oldest' : 'newest'} rows first`,
  )
}
