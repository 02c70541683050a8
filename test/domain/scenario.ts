/**
 * Scenarios in the words of the field, one item a line, and the facts that a gathering would find in
 * them. Amounts are euros; days stand for noon in Paris; `-> P1` says which payout took a row.
 *
 *   sale    T1  2024-03-15  100.00 fee 3.00  [pay S1]      -> P1
 *   refund  T2  2024-03-16  -20.00 [fee 0.60] R1 [pay S1]  -> P1
 *   adjust  T3  2024-03-16  -5.00                           -> P1
 *   row     T4  from_loan  2024-03-16  12.00
 *   payout  P1  2024-03-18  77.00
 *   asked   R1  2024-03-16  20.00  on S1 of 100.00
 *   bank    B1  2024-03-20  77.00  ALMA P1
 *   statement  2024-03-01 2024-03-31 [opening 10.00] [closing 87.00] [file s.csv] [failed]
 *
 * Ids are lengthened to the provider's form where that matters: `P1` in a bank line's text becomes
 * the payout's whole id, `P1~14` its first 14 characters after the prefix.
 */
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import type { StoredBankEntry, StoredBankStatement } from '../../src/domain/bank-statement.ts'
import { groupBy } from '../../src/domain/collections.ts'
import { parseDay, startOfDay } from '../../src/domain/day.ts'
import type { EntityFacts, Facts, PayoutFacts, Policy } from '../../src/domain/facts.ts'
import { parseAmount, sumOf } from '../../src/domain/money.ts'
import { type Period, parsePeriod, periodInstants } from '../../src/domain/period.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { arithmeticHolds, signHolds } from '../../src/domain/ledger-rows.ts'
import { KNOWN_KINDS } from '../../src/domain/balance-transaction.ts'
import { keyOf } from '../../src/domain/discrepancy-key.ts'

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
}

export function factsOf(text: string, options: ScenarioOptions = {}): Facts {
  const period = parsePeriod(options.period ?? '2024-W12')
  const asOf = parseDay(options.asOf ?? '2024-04-15')
  const scenario = readScenario(text)
  return {
    period,
    asOf,
    policy: POLICY,
    ledgerCurrency: 'EUR',
    entities: [entityFacts(options.entity ?? 'default', scenario, period)],
    bank: { entries: scenario.entries, statements: scenario.statements, pinned: [] },
  }
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

function noon(day: string): number {
  return startOfDay(parseDay(day), 'Europe/Paris') + 12 * 3600
}

function readScenario(text: string): Scenario {
  const scenario: Scenario = {
    rows: [],
    refundsOn: new Map(),
    missingPayments: [],
    entries: [],
    statements: [],
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
        createdS: noon(second),
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
    createdS: noon(day),
    updatedS: noon(day),
    availableOnS: noon(available ?? day),
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
  const amountAfter = (name: string): bigint | null => {
    const found = new RegExp(`${name} (-?[\\d.]+)`).exec(text)?.[1]
    return found === undefined ? null : parseAmount(found, 'EUR')
  }
  const [fromDay, toDay] = [parseDay(words[0] ?? ''), parseDay(words[1] ?? '')]
  const account = /at=(\S+)/.exec(text)?.[1] ?? ACCOUNT
  const own = scenario.entries.filter(
    (known) =>
      known.account === account && known.bookingDay >= fromDay && known.bookingDay <= toDay,
  )
  const [openingMinor, closingMinor] = [amountAfter('opening'), amountAfter('closing')]
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

/** The facts of one entity, as the database's gathering finds them. */
function entityFacts(entity: string, scenario: Scenario, period: Period): EntityFacts {
  const { rows } = scenario
  const { startS, endS } = periodInstants(period, POLICY.zone)
  const known: readonly string[] = KNOWN_KINDS
  const untilEnd = rows.filter(({ createdS }) => createdS < endS)
  const kinds = groupBy(
    untilEnd,
    ({ kind, createdS }) => `${kind} ${createdS < startS ? 'before' : 'period'}`,
  )
  const ownRows = rows.filter(({ kind }) => kind === 'from_payout')
  const likeness = ({ kind, refundId, paymentId, amountMinor }: BalanceTransaction): string =>
    kind === 'from_refund' ? `refund ${refundId}` : `sale ${paymentId} ${amountMinor}`
  const alike = groupBy(
    rows.filter(
      ({ kind, refundId }) =>
        kind === 'from_transaction' || (kind === 'from_refund' && refundId !== null),
    ),
    likeness,
  )
  return {
    entity,
    account: {
      ibans: [],
      payerPatterns: [/\bALMA\b/iu],
      payerIbans: ['FR7699999000019999999999999'],
    },
    movements: [...kinds.values()].map((group) => ({
      kind: group[0]?.kind ?? '',
      currency: 'EUR',
      when: (group[0]?.createdS ?? 0) < startS ? 'before' : 'period',
      netMinor: sumOf(group.map(({ netMinor }) => netMinor)),
      rows: group.length,
    })),
    closingBalances: [
      {
        currency: 'EUR',
        netMinor: sumOf(untilEnd.map(({ netMinor }) => netMinor)),
        rows: untilEnd.length,
      },
    ],
    rowCount: rows.length,
    payouts: payoutsOf(rows),
    suspectRows: rows.filter(
      (item) => !known.includes(item.kind) || !signHolds(item) || !arithmeticHolds(item),
    ),
    repeatedRows: [...alike.values()].filter((group) => group.length > 1).flat(),
    openRows: rows.filter(
      ({ kind, includedInPayoutId }) => kind !== 'from_payout' && includedInPayoutId === null,
    ),
    latePaidRows: rows.filter(({ includedInPayoutId }) =>
      ownRows.some(
        (own) =>
          own.payoutId === includedInPayoutId && own.createdS >= startS && own.createdS < endS,
      ),
    ),
    changes: [],
    exports: [],
    fees: [],
    refundRows: rows.filter(({ refundId }) => refundId !== null),
    payments: [
      ...[...scenario.refundsOn].map(([paymentId, { purchase, refunds }]) => ({
        paymentId,
        payment: {
          id: paymentId,
          purchaseAmountMinor: parseAmount(purchase, 'EUR'),
          plan: null,
          refunds,
        },
      })),
      ...scenario.missingPayments.map((paymentId) => ({ paymentId, payment: null })),
    ],
  }
}

function payoutsOf(rows: readonly BalanceTransaction[]): PayoutFacts[] {
  const ids = new Set(rows.flatMap((item) => item.payoutId ?? item.includedInPayoutId ?? []))
  return [...ids].map((id) => {
    const inside = rows.filter(({ includedInPayoutId }) => includedInPayoutId === id)
    const sales = inside.filter(({ kind }) => kind === 'from_transaction')
    const net = (items: readonly BalanceTransaction[]): bigint =>
      sumOf(items.map(({ netMinor }) => netMinor))
    return {
      payoutId: id,
      currency: 'EUR',
      ownRows: rows.filter((item) => item.payoutId === id),
      transactions: inside.length,
      grossMinor: sumOf(sales.map(({ amountMinor }) => amountMinor)),
      feesMinor: -sumOf(sales.map(({ feeMinor }) => feeMinor)),
      refundsMinor: net(inside.filter(({ kind }) => kind === 'from_refund')),
      otherMinor: net(
        inside.filter(({ kind }) => kind !== 'from_refund' && kind !== 'from_transaction'),
      ),
      netMinor: net(inside),
      lastRowCreatedS:
        inside.length === 0 ? null : Math.max(...inside.map(({ createdS }) => createdS)),
    }
  })
}
