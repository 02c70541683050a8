import { KNOWN_KINDS } from './balance-transaction.ts'
import { compareText } from './collections.ts'
import type { EntityFacts, Movement } from './facts.ts'
import { absolute, type Currency, sumOf } from './money.ts'
import type { DiscrepancyRow, SettlementStatus, SummaryLine } from './reconciliation.ts'

/** The proof at the head of a report, one block per entity and currency (contract, `summary.csv`). */
export interface SummaryInput {
  readonly facts: EntityFacts
  readonly currency: Currency
  /** Payouts whose day lies in the period. */
  readonly sent: readonly { readonly amountMinor: bigint; readonly status: SettlementStatus }[]
  /** Credits of the provider booked in the period. */
  readonly receivedMinor: readonly bigint[]
  readonly discrepancies: readonly DiscrepancyRow[]
  readonly period: { readonly startS: number; readonly endS: number }
}

interface Total {
  readonly amountMinor: bigint
  readonly rows: number
}

function total(amountsMinor: readonly bigint[]): Total {
  return { amountMinor: sumOf(amountsMinor), rows: amountsMinor.length }
}

function totalOf(movements: readonly Movement[]): Total {
  return {
    amountMinor: sumOf(movements.map(({ netMinor }) => netMinor)),
    rows: movements.reduce((sum, { rows }) => sum + rows, 0),
  }
}

export function summarise(input: SummaryInput): SummaryLine[] {
  const { facts, currency, sent, discrepancies, period } = input
  const own = facts.movements.filter((movement) => movement.currency === currency)
  const inPeriod = own.filter(({ when }) => when === 'period')
  const line = (name: string, { amountMinor, rows }: Total): SummaryLine => ({
    line: name,
    entity: facts.entity,
    currency,
    amountMinor,
    rows,
  })
  const kind = (name: string): SummaryLine =>
    line(name, totalOf(inPeriod.filter((movement) => movement.kind === name)))
  const sentAs = (...statuses: SettlementStatus[]): Total =>
    total(
      sent.filter(({ status }) => statuses.includes(status)).map(({ amountMinor }) => amountMinor),
    )
  const broken = (...statuses: DiscrepancyRow['status'][]): Total =>
    total(
      discrepancies
        .filter(
          (row) =>
            row.entity === facts.entity &&
            row.currency === currency &&
            statuses.includes(row.status),
        )
        .map((row) => absolute(row.differenceMinor ?? 0n)),
    )
  const bound = (name: string, seconds: number): SummaryLine => ({
    line: name,
    entity: facts.entity,
    currency,
    amountMinor: null,
    rows: seconds,
  })
  return [
    line('opening_balance', totalOf(own.filter(({ when }) => when === 'before'))),
    ...movementKinds(inPeriod).map(kind),
    kind('from_payout'),
    line('closing_balance', totalOf(own)),
    line('payouts_sent', total(sent.map(({ amountMinor }) => amountMinor))),
    line('payouts_matched', sentAs('matched')),
    line('payouts_in_transit', sentAs('in_transit')),
    line(
      'payouts_in_discrepancy',
      sentAs('missing', 'amount_differs', 'ambiguous', 'returned', 'elsewhere'),
    ),
    line('deposits_received', total(input.receivedMinor)),
    line('discrepancies_new', broken('new')),
    line('discrepancies_open', broken('open', 'reopened')),
    line('discrepancies_cleared', broken('cleared')),
    bound('period_start', period.startS),
    bound('period_end', period.endS),
  ]
}

/** The documented kinds in their order, then others by name. */
function movementKinds(movements: readonly Movement[]): string[] {
  const known: readonly string[] = KNOWN_KINDS
  const others = new Set(movements.map(({ kind }) => kind).filter((kind) => !known.includes(kind)))
  return [...known.filter((kind) => kind !== 'from_payout'), ...[...others].toSorted(compareText)]
}

/** The currencies that an entity's ledger moves in; the ledger's own where there is nothing yet. */
export function currenciesOf(facts: EntityFacts, ledgerCurrency: Currency): Currency[] {
  const found = new Set(facts.movements.map(({ currency }) => currency))
  return found.size === 0 ? [ledgerCurrency] : [...found].toSorted(compareText)
}
