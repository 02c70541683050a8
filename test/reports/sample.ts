import { parseDay } from '../../src/domain/day.ts'
import { aboutAll } from '../../src/domain/note.ts'
import { parseWeek } from '../../src/domain/period.ts'
import type {
  DiscrepancyRow,
  OpenItemRow,
  Reconciliation,
  RefundRow,
  SettlementRow,
} from '../../src/domain/reconciliation.ts'
import type { Journal } from '../../src/domain/journal.ts'
import type { ReportRun } from '../../reports/summary-json.ts'

/** One report's worth of data, small enough to read its files whole. */

export const discrepancy: DiscrepancyRow = {
  discrepancyId: 'd_5f2c',
  code: 'deposit_amount',
  status: 'new',
  entity: 'default',
  currency: 'EUR',
  differenceMinor: -120450n,
  expectedMinor: 250000n,
  actualMinor: 129550n,
  expectedDay: parseDay('2024-03-20'),
  actualDay: parseDay('2024-03-21'),
  payoutId: 'payout_1A',
  balanceTransactionId: null,
  paymentId: null,
  refundId: null,
  bankReference: 'BANK 17',
  bankAccount: 'FR7630006000011234567890189',
  bankFile: 'march/statement.xml',
  since: parseDay('2024-03-19'),
  ageDays: 12,
  explanation: 'The bank credited 1295.50 EUR, 1204.50 EUR less than the payout.',
  nextStep: 'Ask the provider for the difference.',
}

export const settlement: SettlementRow = {
  payoutId: 'payout_1A',
  entity: 'default',
  currency: 'EUR',
  createdDay: parseDay('2024-03-19'),
  transactions: 14,
  grossMinor: 260000n,
  feesMinor: -9880n,
  refundsMinor: -120n,
  otherMinor: 0n,
  netMinor: 250000n,
  payoutAmountMinor: 250000n,
  residualMinor: 0n,
  status: 'amount_differs',
  rule: 'reference',
  bankReferences: ['BANK17', 'BANK18'],
  depositMinor: 129550n,
  bookedDay: parseDay('2024-03-21'),
  lagDays: 2,
  note: '',
}

export const refund: RefundRow = {
  refundId: 'refund_1',
  entity: 'default',
  currency: 'EUR',
  paymentId: 'payment_1',
  balanceTransactionId: null,
  refundedMinor: 5n,
  deductedMinor: null,
  payoutId: null,
  createdDay: parseDay('2024-03-18'),
  deductedDay: null,
  status: 'not_in_ledger',
  note: 'waits for the ledger',
}

export const openItem: OpenItemRow = {
  item: 'payout_in_transit',
  id: 'payout_1B',
  entity: 'default',
  currency: 'EUR',
  amountMinor: 100n,
  since: parseDay('2024-03-22'),
  due: parseDay('2024-04-03'),
  ageDays: 9,
  note: 'no statement covers 2024-04-03 yet',
}

export const reconciliation: Reconciliation = {
  period: parseWeek('2024-W12'),
  asOf: parseDay('2024-03-31'),
  discrepancies: [discrepancy],
  settlements: [settlement],
  refunds: [refund],
  openItems: [openItem],
  summary: [
    { line: 'opening_balance', entity: 'default', currency: 'EUR', amountMinor: -5n, rows: 0 },
    {
      line: 'closing_balance',
      entity: 'default',
      currency: 'EUR',
      amountMinor: 9007199254740993n,
      rows: 1,
    },
    {
      line: 'period_start',
      entity: 'default',
      currency: 'EUR',
      amountMinor: null,
      rows: 1710716400,
    },
  ],
  matches: [],
  controlFaults: [],
}

export const journal: Journal = {
  accounts: {
    bank: '512',
    transit: '511',
    provider: '467',
    fees: '627',
    vat: '44566',
    customers: '411',
    suspense: '471',
  },
  books: [
    {
      entity: 'default',
      entries: [
        {
          entity: 'default',
          day: parseDay('2024-03-19'),
          journal: 'ALM',
          currency: 'EUR',
          document: 'payout_1A',
          balanceTransactionId: 'balance_txn_1',
          lines: [
            { account: '467', label: 'Alma payout', debitMinor: -250000n, payoutId: 'payout_1A' },
            { account: '511', label: 'Alma payout', debitMinor: 250000n, payoutId: 'payout_1A' },
          ],
        },
      ],
    },
  ],
  moved: [{ entity: 'default', currency: 'EUR', debitMinor: -250000n }],
  vat: [{ entity: 'default', basis: null, isBooked: true, inPaidFees: [] }],
  notes: [],
  controlFaults: [],
}

export const run: ReportRun = {
  runId: 7,
  appVersion: '0.1.0',
  nodeVersion: 'v20.19.0',
  entities: ['default'],
  inputs: {
    bankFiles: [{ name: 'march/statement.xml', sha256: 'b'.repeat(64), format: 'camt.053' }],
    exports: [{ entity: 'default', exportId: 'export_1', sha256: 'e'.repeat(64), rows: 14 }],
    ledger: [
      {
        entity: 'default',
        requests: 3,
        rows: 240,
        newRows: 12,
        changedRows: 1,
        walks: [{ purpose: 'new', afterId: null, newRows: 12 }],
      },
    ],
  },
  timings: { ledger: 1234.6, match: 5 },
  notes: [aboutAll('The statement of 2024-03-22 was rejected.')],
}
