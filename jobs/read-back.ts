/**
 * A report against what it was not made from: the rows that are stored, and its own files, read back
 * before they are written over an earlier report and before they are sent. What a person opens is
 * asked, not what the program meant.
 */
import { Readable } from 'node:stream'
import { parse as parseStream } from 'csv-parse'
import { parse } from 'csv-parse/sync'
import type { DbOrTx } from '../db/client.ts'
import { loadRowSums } from '../db/facts-check.ts'
import type { CsvDialect } from '../reports/csv.ts'
import { piecesOf } from '../reports/text.ts'
import type { ReadableText } from '../reports/write.ts'
import { addDays, parseDay, startOfDay } from '../src/domain/day.ts'
import type { Facts } from '../src/domain/facts.ts'
import { InvalidValue } from '../src/domain/invalid-value.ts'
import { refuteByRows, refuteReport, type ReportTables } from '../src/domain/invariants.ts'
import { parseAmount } from '../src/domain/money.ts'
import { type Period, periodInstants } from '../src/domain/period.ts'
import {
  type DiscrepancyRow,
  MATCH_RULES,
  type OpenItemRow,
  type Reconciliation,
  type RefundRow,
  type SettlementRow,
} from '../src/domain/reconciliation.ts'

/**
 * What of a report is not what the stored rows say, each as a sentence. It was made from what is
 * proved of them, which may be damaged, or they may be.
 */
export async function refuteByStoredRows(
  db: DbOrTx,
  { entities, period, asOf, policy }: Facts,
  reconciliation: Pick<Reconciliation, 'summary' | 'settlements'>,
): Promise<string[]> {
  const { startS, endS } = periodInstants(period, policy.zone)
  const bounds = {
    periodStartS: startS,
    periodEndS: endS,
    asOfEndS: startOfDay(addDays(asOf, 1), policy.zone),
  }
  const faults: string[] = []
  for (const { entity } of entities) {
    const payoutIds = reconciliation.settlements
      .filter((row) => row.entity === entity)
      .map(({ payoutId }) => payoutId)
    const sums = await loadRowSums(db, { entity, ...bounds }, payoutIds)
    faults.push(...refuteByRows(reconciliation, sums))
  }
  return faults
}

/** The rows of a file by their titles, and how its amounts are written. */
interface ReadFile {
  readonly name: string
  readonly rows: readonly Readonly<Record<string, string>>[]
  readonly amountIn: (row: Readonly<Record<string, string>>, title: string) => bigint | null
}

/**
 * What of a report's files does not tie, each as a sentence; empty when all does.
 * @param texts its files by name.
 * @param made what they were made from: row for row it must stand in them.
 */
export async function refuteFiles(
  texts: ReadonlyMap<string, ReadableText>,
  made: ReportTables,
  dialect: CsvDialect,
): Promise<string[]> {
  try {
    const tables = tablesOf((name) => readFile(texts, name, dialect), made.period)
    return [
      ...refuteReport(tables),
      ...refuteContents(tables, made),
      ...(await refuteJournal(textIn(texts, 'journal.csv'), dialect)),
    ]
  } catch (error) {
    if (error instanceof InvalidValue) return [`the report cannot be read back: ${error.message}`]
    throw error
  }
}

const DELIMITERS: Readonly<Record<CsvDialect, string>> = { iso: ',', fr: ';' }

function textIn(texts: ReadonlyMap<string, ReadableText>, name: string): ReadableText {
  const text = texts.get(name)
  if (text === undefined) throw new InvalidValue(`there is no ${name}`)
  return text
}

function readFile(
  texts: ReadonlyMap<string, ReadableText>,
  name: string,
  dialect: CsvDialect,
): ReadFile {
  const text = textIn(texts, name)
  if (typeof text !== 'string') throw new Error(`${name} is too long to be read at once`)
  const rows: Record<string, string>[] = parse(text, {
    delimiter: DELIMITERS[dialect],
    columns: true,
    bom: true,
  })
  return { name, rows, amountIn: (row, title) => amountOf(name, row, title, dialect) }
}

function amountOf(
  name: string,
  row: Readonly<Record<string, string>>,
  title: string,
  dialect: CsvDialect,
): bigint | null {
  const cell = cellIn(name, row, title)
  if (cell === '') return null
  const point = dialect === 'fr' ? cell.replace(',', '.') : cell
  return parseAmount(point, cellIn(name, row, 'currency'))
}

function cellIn(name: string, row: Readonly<Record<string, string>>, title: string): string {
  const cell = row[title]
  if (cell === undefined) throw new InvalidValue(`${name} has no column ${title}`)
  return cell
}

function tablesOf(file: (name: string) => ReadFile, period: Period): ReportTables {
  return {
    period,
    discrepancies: rowsOf(file('discrepancies.csv'), (cell, amount) => ({
      discrepancyId: cell('discrepancy_id'),
      status: oneOf(STATUSES, cell('status')),
      entity: cell('entity'),
      currency: cell('currency'),
      differenceMinor: amount('difference'),
      expectedMinor: amount('expected_amount'),
      actualMinor: amount('actual_amount'),
    })),
    settlements: rowsOf(file('settlements.csv'), (cell, amount) => {
      const given = (title: string): bigint => amount(title) ?? missing(title)
      return {
        payoutId: cell('payout_id'),
        entity: cell('entity'),
        currency: cell('currency'),
        createdDay: parseDay(cell('created')),
        transactions: Number(cell('transactions')),
        grossMinor: given('gross'),
        feesMinor: given('fees'),
        refundsMinor: given('refunds'),
        otherMinor: given('other'),
        netMinor: given('net'),
        payoutAmountMinor: given('payout_amount'),
        residualMinor: given('residual'),
        status: oneOf(SETTLED, cell('status')),
        rule: cell('rule') === '' ? null : oneOf(MATCH_RULES, cell('rule')),
        bankReferences: cell('bank_references')
          .split(' ')
          .filter((reference) => reference !== ''),
        depositMinor: amount('deposit_amount'),
      }
    }),
    refunds: rowsOf(file('refunds.csv'), (cell) => ({
      refundId: cell('refund_id'),
      entity: cell('entity'),
      balanceTransactionId: cell('balance_transaction_id'),
      payoutId: cell('payout_id'),
      status: oneOf(REFUNDS, cell('status')),
    })),
    openItems: rowsOf(file('open_items.csv'), (cell, amount) => ({
      item: oneOf(OPEN_ITEMS, cell('item')),
      id: cell('id'),
      entity: cell('entity'),
      currency: cell('currency'),
      amountMinor: amount('amount') ?? missing('amount'),
    })),
    summary: rowsOf(file('summary.csv'), (cell, amount) => ({
      line: cell('line'),
      entity: cell('entity'),
      currency: cell('currency'),
      amountMinor: amount('amount'),
      rows: Number(cell('rows')),
    })),
  }
}

function rowsOf<Row>(
  { name, rows, amountIn }: ReadFile,
  read: (cell: (title: string) => string, amount: (title: string) => bigint | null) => Row,
): Row[] {
  return rows.map((row) =>
    read(
      (title) => cellIn(name, row, title),
      (title) => amountIn(row, title),
    ),
  )
}

function missing(title: string): never {
  throw new InvalidValue(`a row has no ${title}`)
}

const STATUSES = [
  'new',
  'open',
  'cleared',
  'accepted',
  'reopened',
] as const satisfies readonly DiscrepancyRow['status'][]
const SETTLED = [
  'matched',
  'in_transit',
  'missing',
  'amount_differs',
  'ambiguous',
  'returned',
  'elsewhere',
] as const satisfies readonly SettlementRow['status'][]
const REFUNDS = [
  'deducted',
  'awaiting_payout',
  'not_in_ledger',
  'discrepancy',
] as const satisfies readonly RefundRow['status'][]
const OPEN_ITEMS = [
  'payout_in_transit',
  'row_awaiting_payout',
  'refund_awaiting_ledger',
] as const satisfies readonly OpenItemRow['item'][]

function oneOf<Word extends string>(words: readonly Word[], found: string): Word {
  const word = words.find((each) => each === found)
  if (word === undefined) throw new InvalidValue(`"${found}" is none of ${words.join(', ')}`)
  return word
}

/** Row for row, what was computed stands in the files. */
function refuteContents(tables: ReportTables, made: ReportTables): string[] {
  return [
    ...refuteRowsOf('discrepancies.csv', tables.discrepancies, made.discrepancies, (row) => [
      row.discrepancyId,
      row.status,
      row.entity,
      row.currency,
      row.differenceMinor,
      row.expectedMinor,
      row.actualMinor,
    ]),
    ...refuteRowsOf('settlements.csv', tables.settlements, made.settlements, (row) => [
      row.payoutId,
      row.entity,
      row.currency,
      row.createdDay,
      row.transactions,
      row.grossMinor,
      row.feesMinor,
      row.refundsMinor,
      row.otherMinor,
      row.netMinor,
      row.payoutAmountMinor,
      row.residualMinor,
      row.status,
      row.rule,
      row.depositMinor,
    ]),
    ...refuteRowsOf('refunds.csv', tables.refunds, made.refunds, (row) => [
      row.refundId,
      row.entity,
      row.status,
    ]),
    ...refuteRowsOf('open_items.csv', tables.openItems, made.openItems, (row) => [
      row.item,
      row.id,
      row.entity,
      row.currency,
      row.amountMinor,
    ]),
    ...refuteRowsOf('summary.csv', tables.summary, made.summary, (row) => [
      row.line,
      row.entity,
      row.currency,
      row.amountMinor,
      row.rows,
    ]),
  ]
}

type CellValue = string | number | bigint | null

/** Of each file; the others have the same cause. */
const ROWS_SHOWN = 3

function refuteRowsOf<Row>(
  name: string,
  found: readonly Row[],
  expected: readonly Row[],
  cellsOf: (row: Row) => readonly CellValue[],
): string[] {
  if (found.length !== expected.length) {
    return [`${name} has ${found.length} rows, and ${expected.length} were to be written`]
  }
  return found
    .flatMap((row, at) => {
      const made = expected[at]
      const [is, was] = [textOf(cellsOf(row)), made === undefined ? '' : textOf(cellsOf(made))]
      return is === was ? [] : [`${name} says “${is}” where “${was}” was to be written`]
    })
    .slice(0, ROWS_SHOWN)
}

/** Without the apostrophe that a text gets in a file where a spreadsheet would take it for a formula. */
function textOf(cells: readonly CellValue[]): string {
  return cells.map((cell) => String(cell ?? '').replace(/^'+/, '')).join(' ')
}

/** Debits and credits of each currency are equal. A journal may have a million lines, so none is kept. */
async function refuteJournal(text: ReadableText, dialect: CsvDialect): Promise<string[]> {
  const name = 'journal.csv'
  const read = ['debit', 'credit', 'currency']
  const pieces = typeof text === 'string' ? piecesOf(text) : text
  const rows: AsyncIterable<Record<string, string>> = Readable.from(pieces).pipe(
    parseStream({
      delimiter: DELIMITERS[dialect],
      columns: (titles: string[]) => titles.map((title) => (read.includes(title) ? title : false)),
      bom: true,
    }),
  )
  const excessMinor = new Map<string, bigint>()
  for await (const row of rows) {
    const currency = cellIn(name, row, 'currency')
    const [debit, credit] = ['debit', 'credit'].map(
      (title) => amountOf(name, row, title, dialect) ?? 0n,
    )
    excessMinor.set(currency, (excessMinor.get(currency) ?? 0n) + (debit ?? 0n) - (credit ?? 0n))
  }
  return [...excessMinor]
    .filter(([, minor]) => minor !== 0n)
    .map(([currency]) => `${name}: debits and credits in ${currency} are not equal`)
}
