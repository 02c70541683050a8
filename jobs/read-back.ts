/**
 * A report against what it was not made from: the rows that are stored, and its own files, read back
 * before they are written over an earlier report and before they are sent. What a person opens is
 * asked, not what the program meant.
 */
import { pipeline, Readable } from 'node:stream'
import { parse } from 'csv-parse'
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
import { periodInstants } from '../src/domain/period.ts'
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

/**
 * What of a report's files does not tie, each as a sentence; empty when all does. Of a table no more
 * is held than what it was made from: a row that says the same stands for both.
 * @param texts its files by name.
 * @param made what they were made from: row for row it must stand in them.
 */
export async function refuteFiles(
  texts: ReadonlyMap<string, ReadableText>,
  made: ReportTables,
  dialect: CsvDialect,
): Promise<string[]> {
  const faults: string[] = []
  const rowsOf = async <Row>(table: Table<Row>, expected: readonly Row[]): Promise<Row[]> => {
    const read = await readTable(texts, table, expected, dialect)
    faults.push(...read.faults)
    return read.rows
  }
  try {
    const tables = {
      period: made.period,
      discrepancies: await rowsOf(DISCREPANCIES, made.discrepancies),
      settlements: await rowsOf(SETTLEMENTS, made.settlements),
      refunds: await rowsOf(REFUND_ROWS, made.refunds),
      openItems: await rowsOf(OPEN_ITEM_ROWS, made.openItems),
      summary: await rowsOf(SUMMARY, made.summary),
    }
    return [...refuteReport(tables), ...faults, ...(await refuteJournal(texts, dialect))]
  } catch (error) {
    if (error instanceof InvalidValue) return [`the report cannot be read back: ${error.message}`]
    throw error
  }
}

const DELIMITERS: Readonly<Record<CsvDialect, string>> = { iso: ',', fr: ';' }

/** A line of a file. */
interface Line {
  readonly cell: (title: string) => string
  /** Null: the cell is empty. */
  readonly amount: (title: string) => bigint | null
}

/** The lines of a file; only these columns of it are read. */
async function* linesOf(
  texts: ReadonlyMap<string, ReadableText>,
  name: string,
  titles: readonly string[],
  dialect: CsvDialect,
): AsyncGenerator<Line> {
  const text = texts.get(name)
  if (text === undefined) throw new InvalidValue(`there is no ${name}`)
  const parser = parse({
    delimiter: DELIMITERS[dialect],
    columns: (found: string[]) => found.map((title) => (titles.includes(title) ? title : false)),
    bom: true,
  })
  // A pipeline, so that what fails at the disk is thrown below, and a file is closed that is not read
  // to its end. What it says at its end the loop has said already.
  pipeline(Readable.from(typeof text === 'string' ? piecesOf(text) : text), parser, () => undefined)
  const records: AsyncIterable<Readonly<Record<string, string>>> = parser
  for await (const record of records) {
    const cell = (title: string): string => {
      const found = record[title]
      if (found === undefined) throw new InvalidValue(`${name} has no column ${title}`)
      return found
    }
    yield {
      cell,
      amount: (title) => {
        const found = cell(title)
        if (found === '') return null
        const point = dialect === 'fr' ? found.replace(',', '.') : found
        return parseAmount(point, cell('currency'))
      },
    }
  }
}

type CellValue = string | number | bigint | null

/** A table of the report, as far as it is read back. */
interface Table<Row> {
  readonly name: string
  readonly titles: readonly string[]
  readonly read: (line: Line) => Row
  /** All that was read of a row. */
  readonly cellsOf: (row: Row) => readonly CellValue[]
}

const DISCREPANCIES: Table<ReportTables['discrepancies'][number]> = {
  name: 'discrepancies.csv',
  titles: [
    'discrepancy_id',
    'status',
    'entity',
    'currency',
    'difference',
    'expected_amount',
    'actual_amount',
  ],
  read: ({ cell, amount }) => ({
    discrepancyId: cell('discrepancy_id'),
    status: oneOf(STATUSES, cell('status')),
    entity: cell('entity'),
    currency: cell('currency'),
    differenceMinor: amount('difference'),
    expectedMinor: amount('expected_amount'),
    actualMinor: amount('actual_amount'),
  }),
  cellsOf: (row) => [
    row.discrepancyId,
    row.status,
    row.entity,
    row.currency,
    row.differenceMinor,
    row.expectedMinor,
    row.actualMinor,
  ],
}

const SETTLEMENTS: Table<ReportTables['settlements'][number]> = {
  name: 'settlements.csv',
  titles: [
    'payout_id',
    'entity',
    'currency',
    'created',
    'transactions',
    'gross',
    'fees',
    'refunds',
    'other',
    'net',
    'payout_amount',
    'residual',
    'status',
    'rule',
    'bank_references',
    'deposit_amount',
  ],
  read: ({ cell, amount }) => {
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
  },
  cellsOf: (row) => [
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
    // A blank separates references, and a bank's own may have some.
    row.bankReferences.join('').replaceAll(' ', ''),
    row.depositMinor,
  ],
}

const REFUND_ROWS: Table<ReportTables['refunds'][number]> = {
  name: 'refunds.csv',
  titles: ['refund_id', 'entity', 'balance_transaction_id', 'payout_id', 'status'],
  read: ({ cell }) => ({
    refundId: cell('refund_id'),
    entity: cell('entity'),
    balanceTransactionId: cell('balance_transaction_id'),
    payoutId: cell('payout_id'),
    status: oneOf(REFUNDS, cell('status')),
  }),
  cellsOf: (row) => [row.refundId, row.entity, row.balanceTransactionId, row.payoutId, row.status],
}

const OPEN_ITEM_ROWS: Table<ReportTables['openItems'][number]> = {
  name: 'open_items.csv',
  titles: ['item', 'id', 'entity', 'currency', 'amount'],
  read: ({ cell, amount }) => ({
    item: oneOf(OPEN_ITEMS, cell('item')),
    id: cell('id'),
    entity: cell('entity'),
    currency: cell('currency'),
    amountMinor: amount('amount') ?? missing('amount'),
  }),
  cellsOf: (row) => [row.item, row.id, row.entity, row.currency, row.amountMinor],
}

const SUMMARY: Table<ReportTables['summary'][number]> = {
  name: 'summary.csv',
  titles: ['line', 'entity', 'currency', 'amount', 'rows'],
  read: ({ cell, amount }) => ({
    line: cell('line'),
    entity: cell('entity'),
    currency: cell('currency'),
    amountMinor: amount('amount'),
    rows: Number(cell('rows')),
  }),
  cellsOf: (row) => [row.line, row.entity, row.currency, row.amountMinor, row.rows],
}

/** Of each file; the others have the same cause. */
const ROWS_SHOWN = 3

async function readTable<Row>(
  texts: ReadonlyMap<string, ReadableText>,
  { name, titles, read, cellsOf }: Table<Row>,
  expected: readonly Row[],
  dialect: CsvDialect,
): Promise<{ rows: Row[]; faults: string[] }> {
  const rows: Row[] = []
  const faults: string[] = []
  for await (const line of linesOf(texts, name, titles, dialect)) {
    const row = read(line)
    const made = expected[rows.length]
    const [is, was] = [textOf(cellsOf(row)), made === undefined ? '' : textOf(cellsOf(made))]
    rows.push(made !== undefined && is === was ? made : row)
    if (is !== was && faults.length < ROWS_SHOWN) {
      faults.push(`${name} says “${is}” where “${was}” was to be written`)
    }
  }
  return rows.length === expected.length
    ? { rows, faults }
    : {
        rows,
        faults: [`${name} has ${rows.length} rows, and ${expected.length} were to be written`],
      }
}

/** Without the apostrophe that a text gets in a file where a spreadsheet would take it for a formula. */
function textOf(cells: readonly CellValue[]): string {
  return cells.map((cell) => String(cell ?? '').replace(/^'+/, '')).join(' ')
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

/** Debits and credits of each currency are equal. */
async function refuteJournal(
  texts: ReadonlyMap<string, ReadableText>,
  dialect: CsvDialect,
): Promise<string[]> {
  const name = 'journal.csv'
  const excessMinor = new Map<string, bigint>()
  for await (const line of linesOf(texts, name, ['debit', 'credit', 'currency'], dialect)) {
    const currency = line.cell('currency')
    const ownMinor = (line.amount('debit') ?? 0n) - (line.amount('credit') ?? 0n)
    excessMinor.set(currency, (excessMinor.get(currency) ?? 0n) + ownMinor)
  }
  return [...excessMinor]
    .filter(([, minor]) => minor !== 0n)
    .map(([currency]) => `${name}: debits and credits in ${currency} are not equal`)
}
