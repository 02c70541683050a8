import type { BankEntry, BankStatement } from '../domain/bank-statement.ts'
import { type Day, parseDay } from '../domain/day.ts'
import {
  type Currency,
  currencyDigits,
  parseAmount,
  parseCurrency,
  absolute,
  sumOf,
} from '../domain/money.ts'
import { eachCsvRecord, spoiltReference } from './csv-text.ts'
import { decoded, textEncoding } from './encoding.ts'
import { ibanOfRib } from './iban.ts'
import { refuseControlCharacters } from './plain-text.ts'
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

/**
 * The canonical CSV of this tool, into which any bank's file can be turned (README, "Bank files").
 *
 * Columns are found by their names, in any order; the optional ones may be absent. A statement
 * begins with the first row of an account and currency, with a row that states an opening balance,
 * and after a row that states a closing balance; its days run from its first row's to its last
 * row's. Rows of several accounts may alternate.
 *
 * A CSV file has no end mark. What is cut off inside a row is refused where it can be seen; what is
 * cut off between two rows shows only in the closing balance, so a statement without one is never
 * proved.
 */
export const canonicalCsv: BankFileReader = {
  format: 'canonical-csv',
  recognises: ({ text }) => {
    const names = headerNames(text.slice(0, text.search(/[\r\n]|$/)))
    return names.includes('account') && names.includes('booking_date')
  },
  read: readCanonicalCsv,
}

const REQUIRED = ['account', 'booking_date', 'amount', 'currency'] as const
const OPTIONAL = [
  'value_date',
  'counterparty_name',
  'counterparty_iban',
  'remittance',
  'end_to_end_id',
  'bank_reference',
  'opening_balance',
  'closing_balance',
] as const
const COLUMNS = [...REQUIRED, ...OPTIONAL]
type Column = (typeof COLUMNS)[number]

/** A row as text: every cell without the blanks around it, empty where the column is absent. */
interface Row {
  readonly line: number
  readonly cells: Readonly<Record<Column, string>>
  readonly raw: string
}

/** A row whose account, day and currency are read. */
interface DatedRow extends Row {
  readonly account: string
  readonly day: Day
  readonly currency: Currency
}

interface OpenStatement {
  readonly account: string
  readonly currency: Currency
  fromDay: Day
  toDay: Day
  readonly openingMinor: bigint | null
  closingMinor: bigint | null
  readonly entries: BankEntry[]
}

const HEADER_HINT = `The columns are ${COLUMNS.join(', ')}; ${REQUIRED.join(', ')} are needed, the others may be left out.`

function readCanonicalCsv(bytes: Uint8Array, fileName: string): BankFileReading {
  const encoding = textEncoding(bytes)
  const text = [...decoded(bytes, encoding, fileName)].join('').replace(/\r\n?/g, '\n')
  refuseControlCharacters(text, fileName)
  const rows = readRows(text, fileName)
  const notes =
    encoding === 'windows-1252'
      ? [`${fileName} is not UTF-8: its letters were read as windows-1252`]
      : []
  return {
    format: canonicalCsv.format,
    formatVersion: null,
    statements: toStatements(datedRows(rows, fileName), fileName),
    notes,
  }
}

/** Column names of a header line, by whichever separator it has; only for recognition. */
function headerNames(line: string): string[] {
  return line.split(/[,;\t]/).map(columnName)
}

function columnName(cell: string): string {
  return cell.replace(/"/g, '').trim().toLowerCase()
}

/** The rows below the header. Rows in which every cell is empty are left out. */
function readRows(text: string, fileName: string): Row[] {
  const [headerLine = ''] = text.split('\n', 1)
  const delimiter = delimiterOf(headerLine, fileName)
  const rows: Row[] = []
  let columns: Column[] | null = null
  eachCsvRecord(text, { delimiter, fileName }, ({ cells: record, line, raw }) => {
    if (columns === null) {
      columns = readHeader(record, fileName)
      return
    }
    const cells = Object.fromEntries(COLUMNS.map((name) => [name, ''])) as Record<Column, string>
    for (const [index, name] of columns.entries()) cells[name] = (record[index] ?? '').trim()
    rows.push({ line, cells, raw })
  })
  if (columns !== null) refuseCutEnd(text, columns, rows.at(-1), fileName)
  return rows
}

function delimiterOf(headerLine: string, fileName: string): ',' | ';' {
  const found = ([',', ';'] as const).filter((delimiter) => headerLine.includes(delimiter))
  const [delimiter] = found
  if (delimiter !== undefined && found.length === 1) return delimiter
  throw refusal(
    fileName,
    'line 1',
    'the columns are not separated by commas alone or by semicolons alone',
    HEADER_HINT,
  )
}

function readHeader(cells: readonly string[], fileName: string): Column[] {
  const names = cells.map(columnName)
  const known = names.filter((name): name is Column => COLUMNS.some((column) => column === name))
  const unknown = names.filter((name) => !COLUMNS.some((column) => column === name))
  const missing = REQUIRED.filter((column) => !known.includes(column))
  const repeated = known.filter((name, index) => known.indexOf(name) !== index)
  const wrong = [
    ...(unknown.length > 0 ? [`columns that are not known: ${unknown.map(shown).join(', ')}`] : []),
    ...(missing.length > 0 ? [`columns that are missing: ${missing.join(', ')}`] : []),
    ...(repeated.length > 0 ? [`columns that stand there twice: ${repeated.join(', ')}`] : []),
  ]
  if (wrong.length === 0) return known
  throw refusal(fileName, 'line 1', `the header has ${wrong.join('; ')}`, HEADER_HINT)
}

/**
 * Whether the file was cut in its last cell. Most cuts show: fewer cells, half a date or currency, a
 * balance that does not add up. In a last line without a line break, an account or amount at the
 * very end could be cut without a trace, so there they must be shown to be whole.
 */
function refuseCutEnd(
  text: string,
  columns: readonly Column[],
  last: Row | undefined,
  fileName: string,
): void {
  if (last === undefined && !text.includes('\n')) {
    throw refusal(fileName, 'line 1', 'the file ends inside its header', HEADER_HINT)
  }
  const column = columns.at(-1)
  if (last === undefined || column === undefined || /["\n]$/.test(text)) return
  const value = last.cells[column]
  const decimals = currencyDigits(last.cells.currency.toUpperCase())
  const isWhole = /\.(\d+)$/.exec(value)?.[1]?.length === decimals && decimals > 0
  if (column === 'account' || (column === 'amount' && !isWhole)) {
    throw refusal(
      fileName,
      `line ${last.line}`,
      `the file ends without a line break right after ${column} ${shown(value)}, so it may have been cut off inside it`,
      'If the file is whole, add a line break at its end; otherwise get it again. Nothing of it was taken.',
    )
  }
}

/** Reads what places a row. A row that states a day only may leave its currency out where the account has one. */
function datedRows(rows: readonly Row[], fileName: string): DatedRow[] {
  const currencies = new Map<string, Set<string>>()
  const placed = rows.map((row) => {
    const account = ibanOfRib(readCell(row, 'account', parseAccount, fileName))
    const own = currencies.get(account) ?? new Set()
    currencies.set(account, own)
    if (row.cells.currency !== '') own.add(readCell(row, 'currency', parseCurrency, fileName))
    return { ...row, account, day: readCell(row, 'booking_date', parseDay, fileName) }
  })
  return placed.map((row) => {
    const [only, another] = currencies.get(row.account) ?? []
    const implied = row.cells.amount === '' && another === undefined ? only : undefined
    const currency =
      row.cells.currency === '' && implied !== undefined
        ? implied
        : readCell(row, 'currency', parseCurrency, fileName)
    return { ...row, currency }
  })
}

function readCell<T>(
  row: Row,
  column: Column,
  parseText: (text: string) => T,
  fileName: string,
): T {
  const text = row.cells[column]
  const place = `line ${row.line}, ${column}`
  if (text === '') throw refusal(fileName, place, 'the cell is empty')
  return readValue(text, parseText, (found) => refusal(fileName, place, found))
}

function readOptional<T>(
  row: Row,
  column: Column,
  parseText: (text: string) => T,
  fileName: string,
): T | null {
  return row.cells[column] === '' ? null : readCell(row, column, parseText, fileName)
}

function toStatements(rows: readonly DatedRow[], fileName: string): BankStatement[] {
  const statements: OpenStatement[] = []
  /** By account and currency, the statement to which the next row belongs, closed or not. */
  const latest = new Map<string, OpenStatement>()
  for (const row of rows) {
    const amountOf = (text: string): bigint => parseAmount(text, row.currency)
    const openingMinor = readOptional(row, 'opening_balance', amountOf, fileName)
    const closingMinor = readOptional(row, 'closing_balance', amountOf, fileName)
    const key = `${row.account} ${row.currency}`
    let statement = latest.get(key)
    if (statement === undefined || openingMinor !== null || statement.closingMinor !== null) {
      if (statement !== undefined && openingMinor === null && row.day < statement.toDay) {
        throw refusal(
          fileName,
          `line ${row.line}`,
          `the row of ${row.day} follows a closing balance of ${statement.toDay}: rows run from the oldest to the newest, with the opening balance on a statement's first row and the closing balance on its last`,
        )
      }
      statement = {
        account: row.account,
        currency: row.currency,
        fromDay: row.day,
        toDay: row.day,
        openingMinor,
        closingMinor,
        entries: [],
      }
      latest.set(key, statement)
      statements.push(statement)
    }
    statement.closingMinor = closingMinor
    if (row.day < statement.fromDay) statement.fromDay = row.day
    if (row.day > statement.toDay) statement.toDay = row.day
    const amountMinor = readOptional(row, 'amount', amountOf, fileName)
    if (amountMinor !== null) statement.entries.push(toEntry(row, amountMinor, fileName))
  }
  for (const { account, entries } of statements) {
    if (absolute(sumOf(entries.map((entry) => entry.amountMinor))) > MOVEMENT_MINOR_MAX) {
      throw refusal(fileName, account, 'the amounts add up to more than any account holds')
    }
  }
  return statements.map((statement) => ({ ...statement, statementRef: null, sequenceNumber: null }))
}

function toEntry(row: DatedRow, amountMinor: bigint, fileName: string): BankEntry {
  const { counterparty_name: counterpartyName, remittance } = row.cells
  return {
    account: row.account,
    bookingDay: row.day,
    valueDay: readOptional(row, 'value_date', parseDay, fileName),
    amountMinor,
    currency: row.currency,
    counterpartyName: counterpartyName === '' ? null : counterpartyName,
    counterpartyIban: readOptional(row, 'counterparty_iban', parseAccount, fileName),
    endToEndId: givenId(readReference(row, 'end_to_end_id', fileName)),
    remittance: remittance === '' ? [] : [remittance],
    bankReference: givenId(readReference(row, 'bank_reference', fileName)),
    isReversal: false,
    place: `line ${row.line}`,
    position: row.line,
    raw: row.raw,
  }
}

function readReference(
  row: Row,
  column: 'end_to_end_id' | 'bank_reference',
  fileName: string,
): string | null {
  const text = row.cells[column]
  const spoilt = spoiltReference(text)
  if (spoilt !== null) throw refusal(fileName, `line ${row.line}, ${column}`, spoilt)
  return text === '' ? null : text
}
