import type { BalanceTransaction } from '../domain/balance-transaction.ts'
import {
  balanceState,
  type StoredBankEntry,
  type StoredBankStatement,
} from '../domain/bank-statement.ts'
import { addDays, type Day, parseDay, startOfDay, wallClock } from '../domain/day.ts'
import {
  type EntityAccounts,
  type Facts,
  type LateRow,
  type LookedUpPayment,
  NO_RECORD,
  type RowChange,
} from '../domain/facts.ts'
import type { FeeContract } from '../domain/fee-contract.ts'
import { sumOf } from '../domain/money.ts'
import { type Period, periodInstants } from '../domain/period.ts'
import {
  type PlanAnswer,
  type PlanSnapshot,
  type PlanTerms,
  questionAbout,
  snapshotOf,
  termsOfPlan,
} from '../domain/plans.ts'
import { exportedRows } from './accounting-export.ts'
import { bankFilesOf, statementsOf } from './bank-files.ts'
import { eligibilityOf } from './eligibility.ts'
import type { Books, EntityBooks, HeldExport } from './gather.ts'
import type { BankLine, SandboxAccount, SandboxRow, SandboxWorld } from './model.ts'
import { contractOf } from './plans.ts'
import type { SandboxSwitches } from './switches.ts'

/**
 * What the job would have stored of a sandbox world, without the way there: no HTTP, no files, no
 * database. See `gather.ts` for the test that holds it to the real way.
 */

export interface BooksOptions {
  readonly period: Period
  readonly asOf: Day
  readonly policy: Facts['policy']
  readonly switches: SandboxSwitches
  /** Whether the settings hold the contract with the provider. */
  readonly hasContract: boolean
  /** What an earlier run saw, in the order of the world's accounts. */
  readonly earlier?: readonly Look[]
  /** Days on which the provider was asked for its plans, besides those of the runs. */
  readonly planDays?: readonly Day[]
  /** Whether the period was closed after that run. */
  readonly isClosed?: boolean
}

/** One run's look at an account's ledger and export, while the world's clock stood at `nowS`. */
export interface Look {
  readonly rows: readonly BalanceTransaction[]
  readonly export: HeldExport
}

/** The first request for an export has the number 1. */
export function lookAt(
  world: SandboxWorld,
  { period, asOf, policy, switches }: Omit<BooksOptions, 'hasContract' | 'earlier'>,
  requestNumber = 1,
): Look[] {
  return world.accounts.map((account) => ({
    rows: seenRows(world, account).map(toBalanceTransaction),
    export: exportOf(world, account, { period, asOf, policy, switches }, requestNumber),
  }))
}

export function booksOf(world: SandboxWorld, options: BooksOptions): Books {
  const { period, asOf, policy, earlier } = options
  const looks = lookAt(world, options, earlier === undefined ? 1 : 2)
  return {
    period,
    asOf,
    policy,
    ledgerCurrency: 'EUR',
    entities: world.accounts.map((account, at): EntityBooks => {
      const look = looks[at] ?? { rows: [], export: exportOf(world, account, options, 1) }
      const before = earlier?.[at]
      const now = new Map(look.rows.map((row) => [row.id, row]))
      const payments = lookedUp(account, look.rows, period, policy.zone)
      return {
        entity: account.name,
        account: accountsOf(world, account),
        rows: look.rows,
        vanished: (before?.rows ?? []).filter(({ id }) => !now.has(id)),
        changes: (before?.rows ?? []).flatMap((row) => changesOf(row, now.get(row.id), asOf)),
        payments,
        exports: newestOfEachSpan(look.export, before?.export),
        fees: options.hasContract ? contract(account) : null,
        plans: planSnapshotsOf(world, account, options, { rows: look.rows, payments }),
      }
    }),
    bank: bankOf(world),
    record: { ...NO_RECORD, lateRows: lateRowsOf(world, options) },
  }
}

/** What the provider answers about plans on each of the days, asked about what is known. */
function planSnapshotsOf(
  world: SandboxWorld,
  account: SandboxAccount,
  { period, asOf, policy, planDays = [] }: BooksOptions,
  { rows, payments }: Pick<EntityBooks, 'rows' | 'payments'>,
): PlanSnapshot[] {
  const planOf = new Map(payments.map(({ paymentId, payment }) => [paymentId, payment?.plan]))
  const days = [...new Set([...planDays, asOf])].filter((day) => day <= asOf).toSorted()
  const ofPeriod = periodInstants(period, policy.zone)
  const sales = rows.filter(({ kind }) => kind === 'from_transaction')
  return days.map((day) => {
    const startS = startOfDay(addDays(day, -ASKED_ABOUT_DAYS), policy.zone)
    const endS = startOfDay(addDays(day, 1), policy.zone)
    const asked = sales.filter(
      ({ createdS }) =>
        (startS <= createdS && createdS < endS) ||
        (ofPeriod.startS <= createdS && createdS < ofPeriod.endS),
    )
    const question = questionAbout(
      asked.map(({ paymentId, amountMinor }) => ({
        plan: planOf.get(paymentId ?? '') ?? null,
        leastMinor: amountMinor,
        mostMinor: amountMinor,
      })),
    )
    const plans = question.plans.flatMap((plan) => termsOfPlan(plan) ?? [])
    const answers = [
      ...planAnswers(account, world.nowS, question.discoveryMinor),
      ...(plans.length === 0 ? [] : planAnswers(account, world.nowS, question.queryMinor, plans)),
    ]
    return snapshotOf({ day, currency: 'EUR', answers, asked: question.plans, feePlans: null })
  })
}

/** As the job asks about the last days. */
const ASKED_ABOUT_DAYS = 7

function planAnswers(
  account: SandboxAccount,
  nowS: number | undefined,
  purchaseMinor: bigint,
  queries?: readonly PlanTerms[],
): PlanAnswer[] {
  return eligibilityOf(account, nowS, { amount: Number(purchaseMinor), queries }).map(
    ({ eligible, reasons, limits, instalments, ...terms }) => ({
      terms,
      isEligible: eligible,
      purchaseMinor,
      minimumMinor: limits === null ? null : BigInt(limits.minimum),
      maximumMinor: limits === null ? null : BigInt(limits.maximum),
      refusals: Object.entries(reasons).map(([field, code]) => ({ field, code })),
      costMinor: eligible ? 0n : null,
      instalments: instalments.map((each) => ({
        purchaseMinor: BigInt(each),
        feeMinor: 0n,
        interestMinor: 0n,
        totalMinor: BigInt(each),
      })),
    }),
  )
}

/** Of several exports of one span only the newest is looked at. */
function newestOfEachSpan(now: HeldExport, before: HeldExport | undefined): HeldExport[] {
  const isOther = before !== undefined && (before.startS !== now.startS || before.endS !== now.endS)
  return isOther ? [now, before] : [now]
}

function contract({ feeVat }: SandboxAccount): FeeContract {
  return contractOf(feeVat ?? 'excluded')
}

/** Rows of the closed period that are no longer as the earlier run saw them. */
function lateRowsOf(
  world: SandboxWorld,
  { period, asOf, policy, earlier, isClosed }: BooksOptions,
): LateRow[] {
  if (isClosed !== true) return []
  const { startS, endS } = periodInstants(period, policy.zone)
  const closed = {
    label: period.label,
    first: period.first,
    last: period.last,
    entities: world.accounts.map(({ name }) => name),
    closedBy: 'Camille',
    closedS: endS,
  }
  return world.accounts.flatMap((account, at) => {
    const now = new Map(
      seenRows(world, account).map((row) => [row.id, toBalanceTransaction(row)] as const),
    )
    return (earlier?.[at]?.rows ?? [])
      .filter(({ createdS }) => startS <= createdS && createdS < endS)
      .flatMap((signed): LateRow[] => {
        const row = now.get(signed.id)
        const isSame = row !== undefined && changesOf(signed, row, asOf).length === 0
        if (isSame) return []
        return [
          {
            entity: account.name,
            closed,
            row: row ?? signed,
            isGone: row === undefined,
            signed,
            seenAsOf: asOf,
          },
        ]
      })
  })
}

/** The provider's rows by the world's clock. */
function seenRows({ accounts, nowS }: SandboxWorld, account: SandboxAccount): SandboxRow[] {
  if (nowS === undefined) return account.rows
  const later = new Set(
    accounts
      .flatMap(({ rows }) => rows)
      .filter((row) => row.payout_id !== null && row.created > nowS)
      .map((row) => row.payout_id),
  )
  return account.rows
    .filter(({ created }) => created <= nowS)
    .map((row) =>
      row.included_in_payout_id !== null && later.has(row.included_in_payout_id)
        ? { ...row, included_in_payout_id: null, updated: row.created }
        : row,
    )
}

function toBalanceTransaction(row: SandboxRow): BalanceTransaction {
  return {
    id: row.id,
    merchantId: row.merchant_id,
    kind: row.kind,
    currency: 'EUR',
    amountMinor: BigInt(row.amount),
    feeMinor: BigInt(row.merchant_fee),
    netMinor: BigInt(row.net_amount),
    paymentId: row.payment_id,
    refundId: row.refund_id,
    payoutId: row.payout_id,
    includedInPayoutId: row.included_in_payout_id,
    createdS: row.created,
    updatedS: row.updated,
    availableOnS: row.available_on,
  }
}

function exportOf(
  world: SandboxWorld,
  account: SandboxAccount,
  { period, asOf, policy, switches }: Omit<BooksOptions, 'hasContract' | 'earlier'>,
  requestNumber: number,
): HeldExport {
  const { startS, endS: periodEndS } = periodInstants(period, policy.zone)
  const endS = Math.min(periodEndS, startOfDay(addDays(asOf, 1), policy.zone))
  const rows = [...seenRows(world, account), ...(account.exportEdits?.added ?? [])]
    .filter(
      ({ created }) =>
        startS <= created &&
        (created < endS || (switches.exportEnd === 'inclusive' && created === endS)),
    )
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  return {
    exportId: `export_${account.name}_${requestNumber}`,
    requestNumber,
    startS,
    endS,
    lines: exportedRows(account, rows, switches).map(({ row, gross, fee, net, vat }, at) => ({
      balanceTransactionId: row.id,
      lineNumber: at + 2,
      createdLocal: wallClock(row.created, 'Europe/Paris'),
      grossMinor: BigInt(gross),
      feeMinor: BigInt(fee),
      netMinor: BigInt(net),
      vatMinor: BigInt(vat),
      paymentId: row.payment_id,
      refundId: row.refund_id,
    })),
  }
}

function accountsOf(world: SandboxWorld, { name, iban }: SandboxAccount): EntityAccounts {
  return {
    ibans: world.accounts.length === 1 ? [] : ibansOf(world, name, iban),
    payerPatterns: [/\bALMA\b/iu],
    payerIbans: [],
  }
}

/** The bank accounts of a sandbox account: its own, and further ones. */
export function ibansOf(world: SandboxWorld, name: string, iban: string): string[] {
  const further = world.bankAccounts.filter(({ owner }) => owner === name)
  return [iban, ...further.map((bank) => bank.iban)]
}

function isSaleOrRefund(kind: string): boolean {
  return kind === 'from_transaction' || kind === 'from_refund'
}

/** How far back refunds are looked for, as the job does. */
const LOOK_BACK_DAYS = 92

/** Payments that the job would have asked for: those of the days before the period, and of rows in them. */
function lookedUp(
  account: SandboxAccount,
  rows: readonly BalanceTransaction[],
  period: Period,
  zone: string,
): LookedUpPayment[] {
  const startS = startOfDay(addDays(period.first, -LOOK_BACK_DAYS), zone)
  const { endS } = periodInstants(period, zone)
  const isWithin = (atS: number): boolean => startS <= atS && atS < endS
  const ids = new Set([
    ...[...account.payments.values()]
      .filter(({ created }) => startS <= created && created <= endS)
      .map(({ id }) => id),
    ...rows
      .filter(({ kind, createdS }) => isSaleOrRefund(kind) && isWithin(createdS))
      .flatMap(({ paymentId }) => paymentId ?? []),
  ])
  return [...ids].toSorted().map((paymentId) => {
    const payment = account.payments.get(paymentId)
    return {
      paymentId,
      payment:
        payment === undefined
          ? null
          : {
              id: payment.id,
              purchaseAmountMinor: BigInt(payment.purchase_amount),
              plan: payment.kind,
              refunds: payment.refunds
                .map(({ id, amount, created }) => ({
                  id,
                  amountMinor: BigInt(amount),
                  createdS: created,
                }))
                .toSorted((a, b) => a.createdS - b.createdS || (a.id < b.id ? -1 : 1)),
            },
    }
  })
}

const TOLD_FIELDS = [
  'amountMinor',
  'feeMinor',
  'netMinor',
  'currency',
  'kind',
  'paymentId',
  'refundId',
  'includedInPayoutId',
  'payoutId',
] as const

/** Fields that are filled in the normal course. */
const FILLED_LATER: ReadonlySet<string> = new Set(['includedInPayoutId', 'payoutId'])

function changesOf(
  before: BalanceTransaction,
  after: BalanceTransaction | undefined,
  seenAsOf: Day,
): RowChange[] {
  if (after === undefined)
    return [{ row: before, field: 'vanished', before: null, after: null, seenAsOf }]
  return TOLD_FIELDS.filter(
    (field) =>
      before[field] !== after[field] && !(FILLED_LATER.has(field) && before[field] === null),
  )
    .toSorted()
    .map((field) => ({
      row: after,
      field,
      before: before[field]?.toString() ?? null,
      after: after[field]?.toString() ?? null,
      seenAsOf,
    }))
}

function bankOf(world: SandboxWorld): Books['bank'] {
  const entries: StoredBankEntry[] = []
  const statements: StoredBankStatement[] = []
  for (const { account, file } of bankFilesOf(world)) {
    statementsOf(account, file).forEach((statement, at) => {
      const currency = account.currency ?? 'EUR'
      const own = statement.lines.map((line) =>
        toEntry(line, file.name, file.format === 'canonical', entries.length),
      )
      const [openingMinor, closingMinor] = [statement.openingMinor, statement.closingMinor].map(
        BigInt,
      )
      const movementMinor = sumOf(own.map(({ amountMinor }) => amountMinor))
      const balances = { openingMinor: openingMinor ?? null, closingMinor: closingMinor ?? null }
      statements.push({
        id: String(statements.length + 1),
        account: account.iban,
        currency,
        statementRef: null,
        sequenceNumber: statement.number,
        fromDay: statement.from,
        toDay: statement.to,
        ...balances,
        fileName: file.name,
        positionInFile: at + 1,
        movementMinor,
        entryCount: own.length,
        balanceState: balanceState(balances, movementMinor),
      })
      own.forEach((entry) => entries.push({ ...entry, id: String(entries.length + 1) }))
    })
  }
  return { entries, statements, pinned: [] }
}

function toEntry(
  line: BankLine,
  fileName: string,
  isCanonical: boolean,
  position: number,
): Omit<StoredBankEntry, 'id'> {
  const { bankReference, endToEndId, remittance } = line
  const pieces = isCanonical ? [remittance] : remittance.split('\n')
  return {
    account: line.iban,
    bookingDay: parseDay(line.bookingDay),
    valueDay: parseDay(line.valueDay),
    amountMinor: BigInt(line.amountMinor),
    currency: line.currency,
    counterpartyName: line.counterpartyName || null,
    counterpartyIban: line.counterpartyIban || null,
    endToEndId: endToEndId || null,
    remittance: pieces.filter((piece) => piece !== ''),
    bankReference: bankReference || null,
    isReversal: false,
    place: `entry ${position + 1}`,
    position: position + 1,
    fileName,
    fingerprint: `${line.bookingDay} ${bankReference}`,
    fingerprintRank: 1,
    reference: bankReference,
  }
}
