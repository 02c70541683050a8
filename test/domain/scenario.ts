/**
 * Scenarios in the words of the field, one item a line, and the facts that a gathering would find in
 * them. Amounts are euros; days stand for noon in Paris (`2024-03-15T23:59` for a minute); `-> P1`
 * says which payout took a row.
 *
 *   sale    T1  2024-03-15  100.00 fee 3.00  [pay S1]      -> P1
 *   refund  T2  2024-03-16  -20.00 [fee 0.60] R1 [pay S1]  -> P1
 *   adjust  T3  2024-03-16  -5.00                           -> P1
 *   row     T4  from_loan  2024-03-16  12.00
 *   payout  P1  2024-03-18  77.00
 *   asked   R1  2024-03-16  20.00  on S1 of 100.00
 *   bank    B1  2024-03-20  77.00  ALMA P1
 *   statement  2024-03-01 2024-03-31 [opening 10.00] [closing 87.00] [file s.csv]
 *   was     T1  [amount 90.00] [fee 2.00] [net 88.00] [kind from_loan] [pay S2] [-> P2]
 *   gone    sale T5 2024-03-15 10.00
 *   export                                 the period's rows as the ledger has them, 20 % VAT on fees
 *   exported T1 [gross 1.00] [fee 1.00] [net 1.00] [vat 1.00]  but for these figures
 *   unexported T1
 *   fees    3.00                           the contract: every sale is in a plan of 3.00 %
 *
 * `was` is what an earlier look saw, `gone` a row that only an earlier look saw; both seen on the
 * last day.
 * Ids are lengthened to the provider's form where that matters: `P1` in a bank line's text becomes
 * the payout's whole id, `P1~14` its first 14 characters after the prefix.
 */
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import type { StoredBankEntry, StoredBankStatement } from '../../src/domain/bank-statement.ts'
import { type Day, parseDay, startOfDay, wallClock } from '../../src/domain/day.ts'
import {
  type Facts,
  type LookedUpPayment,
  NO_RECORD,
  type Policy,
  type RowChange,
} from '../../src/domain/facts.ts'
import { parseAmount, sumOf } from '../../src/domain/money.ts'
import type { Refund } from '../../src/domain/payment.ts'
import { type Period, parsePeriod, periodInstants } from '../../src/domain/period.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { keyOf } from '../../src/domain/discrepancy-key.ts'
import { type EntityBooks, gatherInMemory, type HeldExport } from '../../src/sandbox/gather.ts'

const POLICY: Policy = {
  zone: 'Europe/Paris',
  matchWindowDays: 5,
  lateWindowDays: 20,
  unpaidAfterDays: 10,
}

export const ACCOUNT = 'FR7630001007941234567890185'

export interface ScenarioOptions {
  readonly period?: string
  readonly asOf?: string
  readonly entity?: string
}

/** The provider's form of a short payout id: 34 characters, of which the first 11 are shared by all. */
function payoutId(short: string): string {
  return `payout_11kAbCdEfG${short.padEnd(23, 'x')}`
}

interface Scenario {
  rows: BalanceTransaction[]
  refundsOn: Map<
    string,
    { purchase: string; refunds: { id: string; amountMinor: bigint; createdS: number }[] }
  >
  missingPayments: string[]
  entries: StoredBankEntry[]
  statements: StoredBankStatement[]
  vanished: BalanceTransaction[]
  /** Lines of `was`, by the row's id. */
  before: Map<string, string>
  hasExport: boolean
  /** Lines of `exported`, by the row's id. */
  exported: Map<string, string>
  unexported: Set<string>
  ratePercent: string | null
}

export function factsOf(text: string, options: ScenarioOptions = {}): Facts {
  const period = parsePeriod(options.period ?? '2024-W12')
  const asOf = parseDay(options.asOf ?? '2024-04-15')
  const scenario = readScenario(text)
  return gatherInMemory({
    period,
    asOf,
    policy: POLICY,
    ledgerCurrency: 'EUR',
    entities: [booksOf(options.entity ?? 'default', scenario, period, asOf)],
    bank: { entries: scenario.entries, statements: scenario.statements, pinned: [] },
    record: NO_RECORD,
  })
}

/** `code status key`, one a discrepancy, in the report's order. */
export function findingsOf(facts: Facts): string[] {
  const found = reconcile(facts)
  if (found.controlFaults.length > 0) throw new Error(found.controlFaults.join('; '))
  return found.discrepancies.map((row) => `${row.code} ${row.status} ${shortKey(keyOf(row))}`)
}

/** `P1 status rule references`, one a settlement. */
export function settlementsOf(facts: Facts): string[] {
  return reconcile(facts).settlements.map(({ payoutId: id, status, rule, bankReferences }) =>
    [shortKey(id), status, rule ?? '-', ...bankReferences].join(' '),
  )
}

function shortKey(id: string): string {
  return id.replace(/^payout_11kAbCdEfG/, '').replace(/x+$/, '')
}

/** `2024-03-15` is noon of that day in Paris, `2024-03-15T23:59` the minute itself. */
function instantOf(text: string): number {
  const [day = '', time = '12:00'] = text.split('T')
  const [hours, minutes] = time.split(':')
  const secondOfDay = Number(hours) * 3600 + Number(minutes) * 60
  const guess = startOfDay(parseDay(day), 'Europe/Paris') + secondOfDay
  // On the days when the clocks change the wall clock runs an hour ahead or behind.
  for (const instant of [guess, guess - 3600, guess + 3600]) {
    if (wallClock(instant, 'Europe/Paris').startsWith(`${day} ${time}`)) return instant
  }
  throw new Error(`no clock in Paris showed ${text}`)
}

function readScenario(text: string): Scenario {
  const scenario: Scenario = {
    rows: [],
    refundsOn: new Map(),
    missingPayments: [],
    entries: [],
    statements: [],
    vanished: [],
    before: new Map(),
    hasExport: false,
    exported: new Map(),
    unexported: new Set(),
    ratePercent: null,
  }
  for (const line of text.split('\n').map((part) => part.trim())) {
    if (line === '' || line.startsWith('#')) continue
    const [word, ...rest] = line.split(/\s+/)
    readLine(word ?? '', rest, line, scenario)
  }
  return scenario
}

function readLine(word: string, rest: string[], line: string, scenario: Scenario): void {
  const [id = '', second = '', third = ''] = rest
  switch (word) {
    case 'sale':
      scenario.rows.push(ledgerRow('from_transaction', id, second, third, line))
      return
    case 'refund':
      scenario.rows.push(ledgerRow('from_refund', id, second, third, line))
      return
    case 'adjust':
      scenario.rows.push(ledgerRow('from_adjustment', id, second, third, line))
      return
    case 'row':
      scenario.rows.push(ledgerRow(second, id, third, rest[3] ?? '', line))
      return
    case 'payout':
      scenario.rows.push(payoutRow(id, second, third, scenario.rows.length))
      return
    case 'asked': {
      const [, , amount, , paymentId = '', , purchase = ''] = rest
      const known = scenario.refundsOn.get(paymentId) ?? { purchase, refunds: [] }
      known.refunds.push({
        id,
        amountMinor: parseAmount(amount ?? '', 'EUR'),
        createdS: instantOf(second),
      })
      scenario.refundsOn.set(paymentId, known)
      return
    }
    case 'bought':
      scenario.refundsOn.set(id, { purchase: second, refunds: [] })
      return
    case 'nopayment':
      scenario.missingPayments.push(id)
      return
    case 'bank':
      scenario.entries.push(entry(id, second, third, rest.slice(3), scenario.entries.length))
      return
    case 'was':
      scenario.before.set(`balance_txn_${id}`, line)
      return
    case 'gone': {
      const [kind = '', ...words] = rest
      const only: Scenario = { ...scenario, rows: [] }
      readLine(kind, words, line, only)
      scenario.vanished.push(...only.rows)
      return
    }
    case 'export':
      scenario.hasExport = true
      return
    case 'exported':
      scenario.exported.set(`balance_txn_${id}`, line)
      return
    case 'unexported':
      scenario.unexported.add(`balance_txn_${id}`)
      return
    case 'fees':
      scenario.ratePercent = id
      return
    case 'statement':
      scenario.statements.push(statement(rest, scenario))
      return
    default:
      throw new Error(`a scenario has no "${word}": ${line}`)
  }
}

function ledgerRow(
  kind: string,
  id: string,
  day: string,
  amount: string,
  line: string,
): BalanceTransaction {
  const amountMinor = parseAmount(amount, 'EUR')
  const fee = /fee (-?[\d.]+)/.exec(line)?.[1] ?? '0.00'
  const net = /net (-?[\d.]+)/.exec(line)?.[1]
  const available = /available (\S+)/.exec(line)?.[1]
  const feeMinor = parseAmount(fee, 'EUR')
  const into = /-> (\S+)/.exec(line)?.[1]
  return {
    id: `balance_txn_${id}`,
    merchantId: 'merchant_1',
    kind,
    currency: 'EUR',
    amountMinor,
    feeMinor,
    netMinor: net === undefined ? amountMinor - feeMinor : parseAmount(net, 'EUR'),
    paymentId: /pay (\S+)/.exec(line)?.[1] ?? `S${id}`,
    refundId:
      kind === 'from_transaction' || kind === 'from_adjustment'
        ? null
        : (/\b(R\d+)\b/.exec(line)?.[1] ?? null),
    payoutId: null,
    includedInPayoutId: into === undefined ? null : payoutId(into),
    createdS: instantOf(day),
    updatedS: instantOf(day),
    availableOnS: instantOf(available ?? day),
  }
}

function payoutRow(id: string, day: string, amount: string, count: number): BalanceTransaction {
  const amountMinor = -parseAmount(amount, 'EUR')
  return {
    ...ledgerRow('from_payout', `own_${id}_${count}`, day, amount, ''),
    amountMinor,
    netMinor: amountMinor,
    paymentId: null,
    refundId: null,
    payoutId: payoutId(id),
  }
}

function entry(
  reference: string,
  day: string,
  amount: string,
  words: string[],
  count: number,
): StoredBankEntry {
  const text = words
    .filter((word) => !/^(at|ccy|from)=/.test(word))
    .map((word) => {
      const found = /^(P\d+)(?:~(\d+))?$/.exec(word)
      if (found === null) return word
      const whole = payoutId(found[1] ?? '')
      return found[2] === undefined
        ? whole
        : whole.slice('payout_'.length, 'payout_'.length + Number(found[2]))
    })
  const option = (name: string): string | undefined =>
    words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1)
  return {
    id: String(count + 1),
    account: option('at') ?? ACCOUNT,
    bookingDay: parseDay(day),
    valueDay: null,
    amountMinor: parseAmount(amount, 'EUR'),
    currency: option('ccy') ?? 'EUR',
    counterpartyName: null,
    counterpartyIban: option('from') ?? null,
    endToEndId: null,
    remittance: [text.join(' ')],
    bankReference: reference,
    isReversal: false,
    place: `line ${count + 2}`,
    position: count + 2,
    fileName: 's.csv',
    fingerprint: reference,
    fingerprintRank: 1,
    reference,
  }
}

function statement(words: string[], scenario: Scenario): StoredBankStatement {
  const text = words.join(' ')
  const [fromDay, toDay] = [parseDay(words[0] ?? ''), parseDay(words[1] ?? '')]
  const account = /at=(\S+)/.exec(text)?.[1] ?? ACCOUNT
  const own = scenario.entries.filter(
    (known) =>
      known.account === account && known.bookingDay >= fromDay && known.bookingDay <= toDay,
  )
  const [openingMinor, closingMinor] = [amountAfter(text, 'opening'), amountAfter(text, 'closing')]
  const number = /number (\d+)/.exec(text)?.[1]
  const movementMinor = sumOf(own.map(({ amountMinor }) => amountMinor))
  return {
    id: String(scenario.statements.length + 1),
    account,
    currency: 'EUR',
    statementRef: null,
    sequenceNumber: number === undefined ? null : Number(number),
    fromDay,
    toDay,
    openingMinor,
    closingMinor,
    fileName: /file (\S+)/.exec(text)?.[1] ?? 's.csv',
    positionInFile: scenario.statements.length + 1,
    movementMinor,
    entryCount: own.length,
    balanceState:
      openingMinor === null || closingMinor === null
        ? 'unverifiable'
        : openingMinor + movementMinor === closingMinor
          ? 'verified'
          : 'failed',
  }
}

/** What the ledger of one entity holds. */
function booksOf(entity: string, scenario: Scenario, period: Period, asOf: Day): EntityBooks {
  const { rows, vanished, ratePercent } = scenario
  return {
    entity,
    account: {
      ibans: [],
      payerPatterns: [/\bALMA\b/iu],
      payerIbans: ['FR7699999000019999999999999'],
    },
    rows: rows.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    vanished,
    changes: [
      ...rows.flatMap((row) => changesOf(row, scenario.before.get(row.id), asOf)),
      ...vanished.map((row) => ({
        row,
        field: 'vanished',
        before: null,
        after: null,
        seenAsOf: asOf,
      })),
    ],
    exports: scenario.hasExport ? [exportOf(scenario, period)] : [],
    fees:
      ratePercent === null
        ? null
        : {
            vat: 'excluded',
            vatRatePercent: '20',
            plans: { P3X: { ratePercent, fixedMinor: 0n } },
          },
    payments: paymentsOf(scenario),
  }
}

function paymentsOf({
  rows,
  refundsOn,
  missingPayments,
  ratePercent,
}: Scenario): LookedUpPayment[] {
  const payment = (paymentId: string, purchaseAmountMinor: bigint, refunds: readonly Refund[]) => ({
    paymentId,
    payment: { id: paymentId, purchaseAmountMinor, plan: 'P3X', refunds },
  })
  const asked = [...refundsOn].map(([paymentId, { purchase, refunds }]) =>
    payment(paymentId, parseAmount(purchase, 'EUR'), refunds),
  )
  const known = new Set([...refundsOn.keys(), ...missingPayments])
  const sold = ratePercent === null ? [] : rows.filter(({ kind }) => kind === 'from_transaction')
  const ofSales = new Map(sold.map((sale) => [sale.paymentId ?? '', sale.amountMinor]))
  return [
    ...asked,
    ...missingPayments.map((paymentId) => ({ paymentId, payment: null })),
    ...[...ofSales]
      .filter(([paymentId]) => !known.has(paymentId))
      .map(([paymentId, amountMinor]) => payment(paymentId, amountMinor, [])),
  ]
}

/** The amount after a word of a line, or null. */
function amountAfter(line: string, word: string): bigint | null {
  const found = new RegExp(`\\b${word} (-?[\\d.]+)`).exec(line)?.[1]
  return found === undefined ? null : parseAmount(found, 'EUR')
}

function changesOf(row: BalanceTransaction, was: string | undefined, seenAsOf: Day): RowChange[] {
  if (was === undefined) return []
  const before: Partial<Record<string, string | null>> = {
    amountMinor: amountAfter(was, 'amount')?.toString(),
    feeMinor: amountAfter(was, 'fee')?.toString(),
    netMinor: amountAfter(was, 'net')?.toString(),
    kind: /kind (\S+)/.exec(was)?.[1],
    paymentId: /pay (\S+)/.exec(was)?.[1],
    includedInPayoutId: /-> (\S+)/.exec(was)?.[1]?.replace(/^P.*/, payoutId),
  }
  const after = new Map(Object.entries<bigint | string | number | null>({ ...row }))
  return Object.entries(before).flatMap(([field, value]) => {
    if (value === undefined) return []
    return [{ row, field, before: value, after: after.get(field)?.toString() ?? null, seenAsOf }]
  })
}

const VAT_PERCENT = 20n

function exportOf({ rows, exported, unexported }: Scenario, period: Period): HeldExport {
  const { startS, endS } = periodInstants(period, POLICY.zone)
  const inPeriod = rows.filter(({ createdS }) => startS <= createdS && createdS < endS)
  const ids = new Set([...inPeriod.map(({ id }) => id), ...exported.keys()])
  const lines = [...ids].filter((id) => !unexported.has(id))
  return {
    exportId: 'export_1',
    requestNumber: 1,
    startS,
    endS,
    lines: lines.map((id, at) => {
      const row = rows.find((any) => any.id === id)
      const text = exported.get(id) ?? ''
      const feeMinor = amountAfter(text, 'fee') ?? row?.feeMinor ?? 0n
      return {
        balanceTransactionId: id,
        lineNumber: at + 2,
        createdLocal: wallClock(row?.createdS ?? startS + 3600, POLICY.zone),
        grossMinor: amountAfter(text, 'gross') ?? row?.amountMinor ?? 0n,
        feeMinor,
        netMinor: amountAfter(text, 'net') ?? row?.netMinor ?? 0n,
        vatMinor: amountAfter(text, 'vat') ?? (feeMinor * VAT_PERCENT) / 100n,
        paymentId: row?.paymentId ?? null,
        refundId: row?.refundId ?? null,
      }
    }),
  }
}
