import type { PlanRow } from '../src/domain/reconciliation.ts'
import {
  amountCell,
  type Cell,
  type Column,
  type CsvDialect,
  csvText,
  integerCell,
  textCell,
} from './csv.ts'

/** A rate is written as amounts with two digits are: `3.80`. */
const RATE_DIGITS_OF = 'EUR'

/** One row a plan: what the provider says of it, since when, and what was sold in it. */
const COLUMNS: readonly Column<PlanRow>[] = [
  { name: 'entity', cell: (row) => textCell(row.entity) },
  { name: 'plan', cell: (row) => textCell(row.plan) },
  { name: 'currency', cell: (row) => textCell(row.currency) },
  { name: 'minimum', cell: (row) => amountCell(row.minimumMinor, row.currency) },
  { name: 'maximum', cell: (row) => amountCell(row.maximumMinor, row.currency) },
  { name: 'eligible', cell: ({ isOffered }) => yesOrNo(isOffered) },
  { name: 'reason', cell: (row) => textCell(row.reasons.join(' ')) },
  { name: 'since', cell: (row) => textCell(row.since) },
  { name: 'previous', cell: (row) => textCell(row.previous) },
  { name: 'sales', cell: (row) => integerCell(row.sales) },
  { name: 'gross', cell: (row) => amountCell(row.grossMinor, row.currency) },
  { name: 'fees', cell: (row) => amountCell(row.feesMinor, row.currency) },
  { name: 'fee_rate_percent', cell: (row) => amountCell(row.feeRate, RATE_DIGITS_OF) },
]

function yesOrNo(value: boolean | null): Cell {
  return value === null ? null : textCell(value ? 'yes' : 'no')
}

/** `plans.csv`. */
export function plansCsv(rows: readonly PlanRow[], dialect: CsvDialect): string {
  return csvText(COLUMNS, rows, dialect)
}
