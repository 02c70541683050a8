/**
 * The whole story of one thing, for a person: what `explain` prints. It takes a reconciliation over
 * everything known and puts together what is said of the thing in its different places.
 */
import type { BalanceTransaction } from './balance-transaction.ts'
import type { StoredBankEntry } from './bank-statement.ts'
import { dayOfInstant } from './day.ts'
import { accountOwners, isProvidersLine, type PayoutItem } from './deposits/items.ts'
import { nearMisses } from './deposits/near-misses.ts'
import { indexReferences, namedPayouts, nameOf } from './deposits/references.ts'
import type { Decision, EntityFacts, Facts } from './facts.ts'
import { money } from './findings.ts'
import { signature } from './decisions.ts'
import type { DiscrepancyRow, Match, Reconciliation, SettlementRow } from './reconciliation.ts'
import { addBusinessDays, onOrAfterBusinessDay } from './target-calendar.ts'

/** What an id can be the id of; one id may be several (a payout's row names the payout). */
export interface StorySources {
  readonly facts: Facts
  /** Over a period that holds everything known. */
  readonly reconciliation: Reconciliation
  /** Ledger rows that have to do with the id: the row itself, rows of the payout, payment or refund. */
  readonly rows: readonly { readonly entity: string; readonly row: BalanceTransaction }[]
  readonly decisions: readonly Decision[]
  /** Reports that named the id's discrepancies, oldest first. */
  readonly reports: readonly ReportMention[]
  /** What a bank line says in words of its own is left out: it may name people. */
  readonly hidesBankTexts?: boolean
}

export interface ReportMention {
  readonly period: string
  readonly asOf: string
  readonly runId: number
  readonly discrepancyId: string
  readonly code: string
  readonly status: string
}

export interface Section {
  readonly title: string
  readonly lines: readonly string[]
}

/** Ledger rows told; a payout of a large merchant has thousands. */
const ROWS_TOLD_MAX = 30

/** Everything known about an id, in sections; none if nothing is known. */
export function storyOf(id: string, sources: StorySources): Section[] {
  const { reconciliation, facts } = sources
  const discrepancies = reconciliation.discrepancies.filter((row) => concerns(row, id))
  const payoutIds = payoutsOf(id, sources, discrepancies)
  const lines = linesOf(id, sources, payoutIds)
  const sections = [
    rowsSection(id, sources),
    ...facts.entities.map((entity) => paymentSection(id, entity, sources)),
    refundSection(id, sources),
    ...payoutIds.map((payoutId) => payoutSection(payoutId, sources)),
    ...lines.map((entry) => lineSection(entry, sources)),
    discrepancySection(discrepancies),
    decisionSection(id, payoutIds, lines, discrepancies, sources),
    reportSection(id, discrepancies, sources),
  ]
  return sections.filter((section) => section !== null && section.lines.length > 0) as Section[]
}

function concerns(row: DiscrepancyRow, id: string): boolean {
  return [
    row.discrepancyId,
    row.payoutId,
    row.balanceTransactionId,
    row.paymentId,
    row.refundId,
    row.bankReference,
  ].includes(id)
}

/** The payout that the id is, or that the thing with this id is in or pays. */
function payoutsOf(
  id: string,
  { reconciliation, rows, facts }: StorySources,
  discrepancies: readonly DiscrepancyRow[],
): string[] {
  const entryIds = new Set(
    facts.bank.entries.filter(({ reference }) => reference === id).map((entry) => entry.id),
  )
  const isKnown = facts.entities.some(({ payouts }) =>
    payouts.some(({ payoutId }) => payoutId === id),
  )
  const found = [
    ...(isKnown ? [id] : []),
    ...rows
      .filter(({ row }) => row.id === id)
      .flatMap(({ row }) => row.payoutId ?? row.includedInPayoutId ?? []),
    ...rows
      .filter(({ row }) => row.refundId === id)
      .flatMap(({ row }) => row.includedInPayoutId ?? []),
    ...reconciliation.matches
      .filter(({ bankEntryIds }) => bankEntryIds.some((entryId) => entryIds.has(entryId)))
      .flatMap(({ payoutIds }) => payoutIds),
    ...discrepancies
      .filter(({ discrepancyId }) => discrepancyId === id)
      .flatMap(({ payoutId }) => payoutId ?? []),
  ]
  return [...new Set(found)]
}

function linesOf(
  id: string,
  { facts, reconciliation }: StorySources,
  payoutIds: readonly string[],
): StoredBankEntry[] {
  const ofPayouts = new Set(
    reconciliation.matches
      .filter((match) => match.payoutIds.some((payoutId) => payoutIds.includes(payoutId)))
      .flatMap(({ bankEntryIds }) => bankEntryIds),
  )
  return facts.bank.entries.filter((entry) => entry.reference === id || ofPayouts.has(entry.id))
}

function rowsSection(id: string, { rows, facts }: StorySources): Section {
  const told = rows.slice(0, ROWS_TOLD_MAX).map(({ row }) => rowLine(row, facts.policy.zone))
  const more = rows.length - told.length
  const title = rows.some(({ row }) => row.id === id)
    ? 'In the ledger'
    : `In the ledger: ${rows.length} rows`
  return { title, lines: more > 0 ? [...told, `… and ${more} more`] : told }
}

function rowLine(row: BalanceTransaction, zone: string): string {
  const links = [
    row.paymentId,
    row.refundId,
    row.kind === 'from_payout'
      ? `stands for ${row.payoutId}`
      : row.includedInPayoutId === null
        ? 'in no payout'
        : `in ${row.includedInPayoutId}`,
  ].filter((link) => link !== null)
  const amounts = `amount ${money(row.amountMinor, row.currency)}, fee ${money(row.feeMinor, row.currency)}, net ${money(row.netMinor, row.currency)}`
  return `${row.id} ${dayOfInstant(row.createdS, zone)} ${row.kind}: ${amounts}; ${links.join(', ')}`
}

function paymentSection(
  id: string,
  { payments, entity }: EntityFacts,
  { facts }: StorySources,
): Section | null {
  const looked = payments.find(
    ({ paymentId, payment }) =>
      paymentId === id || (payment?.refunds.some((refund) => refund.id === id) ?? false),
  )
  if (looked === undefined) return null
  const { payment, paymentId } = looked
  if (payment === null) {
    return {
      title: `Payment ${paymentId} of ${entity}`,
      lines: ['Alma answers that it does not exist.'],
    }
  }
  const { zone } = facts.policy
  const refunds = payment.refunds.map(
    (refund) =>
      `refund ${refund.id} of ${money(refund.amountMinor, facts.ledgerCurrency)}, asked on ${dayOfInstant(refund.createdS, zone)}`,
  )
  const plan = payment.plan === null ? '' : ` in plan ${payment.plan}`
  return {
    title: `Payment ${paymentId} of ${entity}`,
    lines: [
      `purchase of ${money(payment.purchaseAmountMinor, facts.ledgerCurrency)}${plan}`,
      ...refunds,
    ],
  }
}

function refundSection(id: string, { reconciliation }: StorySources): Section {
  return {
    title: 'Refund',
    lines: reconciliation.refunds
      .filter(({ refundId, paymentId }) => refundId === id || paymentId === id)
      .map((row) => {
        const amount = (minor: bigint | null): string =>
          minor === null ? 'unknown' : money(minor, row.currency)
        const deducted =
          row.deductedDay === null ? '' : `, deducted on ${row.deductedDay} from ${row.payoutId}`
        return `${row.refundId}: refunded ${amount(row.refundedMinor)}, deducted ${amount(row.deductedMinor)}, ${row.status}${deducted}${row.note === '' ? '' : ` (${row.note})`}`
      }),
  }
}

function payoutSection(payoutId: string, sources: StorySources): Section | null {
  const settlement = sources.reconciliation.settlements.find((row) => row.payoutId === payoutId)
  if (settlement === undefined) return null
  const { currency } = settlement
  const amount = (amountMinor: bigint): string => money(amountMinor, currency)
  const { windowFirst, windowLast } = windowOf(settlement, sources.facts)
  return {
    title: `Payout ${payoutId} of ${settlement.entity}`,
    lines: [
      `sent on ${settlement.createdDay}: ${amount(settlement.payoutAmountMinor)}`,
      `proof: ${settlement.transactions} rows, gross ${amount(settlement.grossMinor)}, fees ${amount(settlement.feesMinor)}, refunds ${amount(settlement.refundsMinor)}, other ${amount(settlement.otherMinor)}, net ${amount(settlement.netMinor)}; residual ${amount(settlement.residualMinor)}`,
      `deposit: ${settlement.status}; its window is ${windowFirst} to ${windowLast}; ${settlement.note}`,
      ...matchLines(payoutId, sources),
      ...nearMissLines(settlement, sources),
    ],
  }
}

function windowOf({ createdDay }: SettlementRow, { policy }: Facts) {
  return {
    windowFirst: onOrAfterBusinessDay(createdDay),
    windowLast: addBusinessDays(createdDay, policy.matchWindowDays),
  }
}

function matchLines(payoutId: string, { reconciliation }: StorySources): string[] {
  return reconciliation.matches
    .filter(({ payoutIds }) => payoutIds.includes(payoutId))
    .map((match) => `matched by the rule ${match.rule}: ${match.evidence}; ${rivals(match)}`)
}

function rivals({ competitors }: Match): string {
  return competitors === 0
    ? 'nothing else competed for it'
    : `${competitors} other items competed for it`
}

/** The lines that came closest and the gate that stopped each. */
function nearMissLines(
  settlement: SettlementRow,
  { facts, reconciliation }: StorySources,
): string[] {
  const payout: PayoutItem = {
    entity: settlement.entity,
    payoutId: settlement.payoutId,
    name: nameOf(settlement),
    currency: settlement.currency,
    amountMinor: settlement.payoutAmountMinor,
    day: settlement.createdDay,
    ...windowOf(settlement, facts),
    rowsNetMinor: settlement.netMinor,
  }
  const accounts = new Map(facts.entities.map(({ entity, account }) => [entity, account]))
  const ownerOf = accountOwners(facts.entities)
  const references = indexReferences(
    facts.entities.flatMap(({ entity, payouts }) =>
      payouts.map(({ payoutId }) => ({ entity, payoutId, name: nameOf({ entity, payoutId }) })),
    ),
  )
  const matchOf = new Map(
    reconciliation.matches.flatMap((match) =>
      match.bankEntryIds.map((entryId) => [entryId, match] as const),
    ),
  )
  const isOwn = ({ id, reference }: StoredBankEntry): boolean =>
    (matchOf.get(id)?.payoutIds.includes(settlement.payoutId) ?? false) ||
    settlement.bankReferences.includes(reference)
  const misses = nearMisses(
    payout,
    facts.bank.entries,
    new Set(facts.bank.entries.filter(isOwn).map(({ id }) => id)),
    {
      policy: facts.policy,
      ownerOf,
      isProviders: (entry) => {
        const account = accounts.get(ownerOf(entry.account) ?? '')
        return account !== undefined && isProvidersLine(entry, account)
      },
      takenBy: ({ id }) => matchOf.get(id)?.payoutIds.join(' and ') ?? null,
      namedPayout: (entry) => {
        const [group, ...others] = namedPayouts(entry, references)
        return group?.length === 1 && others.length === 0 ? (group[0]?.payoutId ?? null) : null
      },
    },
  )
  return misses.map(
    ({ entry, gate }) =>
      `not taken: bank line ${entry.reference} of ${entry.bookingDay}, ${money(entry.amountMinor, entry.currency)}: ${gate}`,
  )
}

function lineSection(
  entry: StoredBankEntry,
  { reconciliation, hidesBankTexts = false }: StorySources,
): Section {
  const match = reconciliation.matches.find(({ bankEntryIds }) => bankEntryIds.includes(entry.id))
  return {
    title: `Bank line ${entry.reference}`,
    lines: [
      `${money(entry.amountMinor, entry.currency)} booked on ${entry.bookingDay} at ${entry.account} (${entry.fileName}, ${entry.place})`,
      ...(entry.endToEndId === null || hidesBankTexts ? [] : [`end-to-end id ${entry.endToEndId}`]),
      ...(hidesBankTexts ? [] : [`text: ${entry.remittance.join(' | ')}`]),
      match === undefined
        ? 'it pays no payout'
        : `it pays ${match.payoutIds.join(' and ')}: ${match.evidence}`,
    ],
  }
}

function discrepancySection(discrepancies: readonly DiscrepancyRow[]): Section {
  return {
    title: 'Discrepancies',
    lines: discrepancies.flatMap((row) => [
      `${row.discrepancyId} ${row.code}${row.status === 'new' ? '' : ` (${row.status})`}, since ${row.since}: ${row.explanation}`,
      `  → ${row.nextStep}`,
    ]),
  }
}

function decisionSection(
  id: string,
  payoutIds: readonly string[],
  lines: readonly StoredBankEntry[],
  discrepancies: readonly DiscrepancyRow[],
  { decisions, facts }: StorySources,
): Section {
  const entryIds = new Set(lines.map((entry) => entry.id))
  const discrepancyIds = new Set([id, ...discrepancies.map(({ discrepancyId }) => discrepancyId)])
  return {
    title: 'Decisions',
    lines: decisions
      .filter(
        (decision) =>
          (decision.discrepancyId !== null && discrepancyIds.has(decision.discrepancyId)) ||
          decision.payoutIds.some((payoutId) => payoutIds.includes(payoutId)) ||
          decision.bankEntryIds.some((entryId) => entryIds.has(entryId)),
      )
      .map((decision) => `${decision.kind}: ${signature(decision, facts.policy.zone)}`),
  }
}

function reportSection(
  id: string,
  discrepancies: readonly DiscrepancyRow[],
  { reports }: StorySources,
): Section {
  const ids = new Set([id, ...discrepancies.map(({ discrepancyId }) => discrepancyId)])
  return {
    title: 'Named by the reports of',
    lines: reports
      .filter(({ discrepancyId }) => ids.has(discrepancyId))
      .map(
        ({ period, asOf, runId, code, status }) =>
          `${period} as of ${asOf} (run ${runId}): ${code} ${status}`,
      ),
  }
}
