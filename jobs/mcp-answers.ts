/** The answers to an assistant's questions, from what is stored; nothing is fetched, proved or pinned. */
import { CODE_TITLES } from '../reports/report-html/words.ts'
import { isOpenStatus } from '../reports/changes.ts'
import type { DbOrTx } from '../db/client.ts'
import { findStandingClose } from '../db/closes.ts'
import {
  findBankEntries,
  findDiscrepancies,
  findRefunds,
  findRows,
  type FoundBankEntry,
  type Wanted,
} from '../db/find.ts'
import { entitySetOf, loadLastReports } from '../db/period-reports.ts'
import { loadRowsAbout } from '../db/subjects.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import { compareText, groupBy } from '../src/domain/collections.ts'
import { addDays, type Day, dayOfInstant, parseDay, startOfDay } from '../src/domain/day.ts'
import type { Facts } from '../src/domain/facts.ts'
import { InvalidValue } from '../src/domain/invalid-value.ts'
import { floorNotes } from '../src/domain/ledger-floor.ts'
import { absolute, type Currency, formatAmount, parseAmount, sumOf } from '../src/domain/money.ts'
import { textsOf } from '../src/domain/note.ts'
import { parsePeriod, type Period, weekOf } from '../src/domain/period.ts'
import { sellingStopSentence } from '../src/domain/plans.ts'
import type { DiscrepancyRow, Reconciliation, SettlementRow } from '../src/domain/reconciliation.ts'
import { isProvidersLine } from '../src/domain/deposits/items.ts'
import { UsageFault } from '../src/errors.ts'
import type { Answer, Answers, Question } from '../src/mcp/tools.ts'
import { signedAgain } from './closed-report.ts'
import { loadDiscretion, toldDiscreetly, withDiscreetReferences } from './discretion.ts'
import { tell } from './explain.ts'
import { gatherStanding, judgeFacts } from './gather-facts.ts'
import type { Reading } from './mcp-reading.ts'

export interface AnswersArgs {
  readonly config: Config
  readonly reading: Reading
  /** The day it is in the business time zone. */
  readonly today: () => Day
}

/** What an answer is made with. */
interface Asked {
  readonly tx: DbOrTx
  readonly config: Config
  readonly today: Day
}

/** Lines of a proof in one answer, and reports named by it. */
const LINES_MAX = 200
const REPORTS_MAX = 12

export function createAnswers({ config, reading, today }: AnswersArgs): Answers {
  const answering =
    <Q, A>(answer: (asked: Asked, question: Q) => Promise<A>) =>
    (question: Q): Promise<A> =>
      reading.read(async (tx) =>
        toldDiscreetly(
          await answer({ tx, config, today: today() }, question),
          await loadDiscretion(tx, config),
        ),
      )
  return {
    list_discrepancies: answering(listDiscrepancies),
    explain: answering(explain),
    period_summary: answering(periodSummary),
    settlement: answering(settlement),
    find: answering(find),
  }
}

async function listDiscrepancies(
  asked: Asked,
  question: Question<'list_discrepancies'>,
): Promise<Answer<'list_discrepancies'>> {
  const { status, code, entity, limit, offset } = question
  checkEntity(asked, entity)
  const { reconciliation, about } = await judgePeriod(asked, question)
  const rows = reconciliation.discrepancies.filter(
    (row) =>
      (status === 'all' ||
        (status === 'still_open' ? isOpenStatus(row.status) : row.status === status)) &&
      (code === undefined || row.code === code) &&
      (entity === undefined || row.entity === entity),
  )
  const end = offset + limit
  return {
    ...about,
    total: rows.length,
    truncated: end < rows.length,
    next_offset: end < rows.length ? end : null,
    discrepancies: rows.slice(offset, end).map(discrepancyJson),
  }
}

async function explain(
  asked: Asked,
  { id, as_of, limit }: Question<'explain'>,
): Promise<Answer<'explain'>> {
  const { tx, config } = asked
  const asOf = dayTyped('as_of', as_of) ?? (await newestAsOf(asked))
  const sections = await tell(tx, { config, id, asOf, hidesBankTexts: true }, async (wanted) =>
    withDiscreetReferences(await gatherStanding(tx, wanted)),
  )
  if (sections.length === 0) {
    throw new UsageFault(`nothing is known of "${id}" as of ${asOf}`, {
      hint: 'It takes a whole id of a payout, balance transaction, payment, refund or discrepancy, or a bank reference. The tool find looks for the beginning of one.',
    })
  }
  return {
    id,
    as_of: asOf,
    truncated: sections.some(({ lines }) => lines.length > limit),
    sections: sections.map(({ title, lines }) => ({
      title,
      lines: lines.slice(0, limit),
      total: lines.length,
    })),
  }
}

async function periodSummary(
  asked: Asked,
  question: Question<'period_summary'>,
): Promise<Answer<'period_summary'>> {
  const { entity } = question
  checkEntity(asked, entity)
  const { reconciliation, facts, about, notes } = await judgePeriod(asked, question)
  const isWanted = (row: { readonly entity: string }): boolean =>
    entity === undefined || row.entity === entity
  const lines = reconciliation.summary.filter(isWanted)
  const open = reconciliation.discrepancies.filter(
    (row) => isWanted(row) && isOpenStatus(row.status),
  )
  return {
    ...about,
    ties: reconciliation.controlFaults.length === 0,
    control_faults: reconciliation.controlFaults.slice(0, LINES_MAX),
    notes: [
      ...(reconciliation.plans?.stops ?? []).filter(isWanted).map(sellingStopSentence),
      ...notes,
      ...textsOf(floorNotes(facts.entities.filter(isWanted), facts.policy)),
    ].slice(0, LINES_MAX),
    lines: lines.slice(0, LINES_MAX).map(({ line, currency, amountMinor, rows, ...row }) => ({
      line,
      entity: row.entity,
      amount: amountJson(amountMinor, currency),
      rows,
    })),
    lines_truncated: lines.length > LINES_MAX,
    discrepancies: [...groupBy(open, ({ code }) => code)].map(([code, rows]) => ({
      code,
      title: CODE_TITLES[code],
      open: rows.length,
      at_stake: [...groupBy(rows, ({ currency }) => currency)].map(([currency, own]) =>
        amountOf(sumOf(own.map((row) => absolute(row.differenceMinor ?? 0n))), currency),
      ),
    })),
    open_items: reconciliation.openItems.filter(isWanted).length,
    reports: (await newestReports(asked))
      .slice(0, REPORTS_MAX)
      .map(({ period, asOf, openItems }) => ({
        period: period.label,
        as_of: asOf,
        open_items: openItems,
      })),
  }
}

async function settlement(
  asked: Asked,
  { payout_id: payoutId, as_of }: Question<'settlement'>,
): Promise<Answer<'settlement'>> {
  const { tx, config } = asked
  const zone = config.businessTimeZone
  const names = config.entities.map(({ name }) => name)
  const asOf = dayTyped('as_of', as_of) ?? (await newestAsOf(asked))
  const own = (await loadRowsAbout(tx, names, payoutId)).filter(
    ({ row }) => row.kind === 'from_payout' && (row.payoutId ?? row.id) === payoutId,
  )
  const weeks = new Map(
    own
      .map(({ row }) => dayOfInstant(row.createdS, zone))
      .filter((day) => day <= asOf)
      .map((day) => [weekOf(day).label, weekOf(day)]),
  )
  const settlements: Answer<'settlement'>['settlements'] = []
  const discrepancies: DiscrepancyRow[] = []
  for (const week of weeks.values()) {
    const { reconciliation } = await judge(asked, week, asOf)
    const rows = reconciliation.settlements.filter((row) => row.payoutId === payoutId)
    settlements.push(...rows.map((row) => settlementJson(row, reconciliation)))
    discrepancies.push(
      ...reconciliation.discrepancies.filter(
        (row) => row.payoutId === payoutId && isOpenStatus(row.status),
      ),
    )
  }
  if (settlements.length === 0) {
    throw new UsageFault(`no payout "${payoutId}" is known as of ${asOf}`, {
      hint: 'Give the whole id. The tool find looks for payouts by amount, day or the beginning of an id; explain tells of payouts that only rows name.',
    })
  }
  return { as_of: asOf, settlements, discrepancies: discrepancies.map(discrepancyJson) }
}

type Found = Answer<'find'>['found'][number]

async function find(asked: Asked, question: Question<'find'>): Promise<Answer<'find'>> {
  const { tx, config } = asked
  const { limit } = question
  const wanted = wantedOf(question, config.businessTimeZone)
  const found: Found[] = []
  for (const { name } of config.entities) {
    found.push(...(await findOfEntity(asked, name, wanted)))
  }
  const ownerOf = ownersOf(config.entities)
  for (const entry of await findBankEntries(tx, wanted)) {
    found.push(bankLineJson(entry, ownerOf(entry.account)))
  }
  // Within a day in the order in which they were looked up, so that a shorter list begins as a longer.
  const ordered = found.toSorted(
    (a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) || compareText(a.day, b.day),
  )
  return { truncated: ordered.length > limit, found: ordered.slice(0, limit) }
}

const ORDER: readonly Found['kind'][] = [
  'payout',
  'bank_line',
  'discrepancy',
  'refund',
  'ledger_row',
]

async function findOfEntity(
  { tx, config }: Asked,
  entity: string,
  wanted: Wanted,
): Promise<Found[]> {
  const dayAt = (instantS: number): Day => dayOfInstant(instantS, config.businessTimeZone)
  const rowsFound = [
    ...(await findRows(tx, entity, 'payouts', wanted)),
    ...(await findRows(tx, entity, 'others', wanted)),
  ]
  const rows = rowsFound.map((row): Found => {
    const isPayout = row.kind === 'from_payout'
    const links = [row.paymentId, row.refundId, row.includedInPayoutId].filter((id) => id !== null)
    return {
      kind: isPayout ? 'payout' : 'ledger_row',
      id: isPayout ? (row.payoutId ?? row.id) : row.id,
      entity,
      day: dayAt(row.createdS),
      amount: amountOf(isPayout ? -row.netMinor : row.netMinor, row.currency),
      what: isPayout
        ? 'payout, what the merchant receives'
        : `${row.kind}, net of ${formatAmount(row.amountMinor, row.currency)} with a fee of ${formatAmount(row.feeMinor, row.currency)}; ${links.join(', ')}`,
    }
  })
  const { amount } = wanted
  const refunds =
    amount !== null && amount.currency !== config.ledgerCurrency
      ? []
      : await findRefunds(tx, entity, wanted)
  const discrepancies = await findDiscrepancies(tx, entity, wanted)
  return [
    ...rows,
    ...refunds.map((refund): Found => ({
      kind: 'refund',
      id: refund.refundId,
      entity,
      day: dayAt(refund.createdS),
      amount: amountOf(refund.amountMinor, config.ledgerCurrency),
      what: `refund on payment ${refund.paymentId}`,
    })),
    ...discrepancies.map((row): Found => ({
      kind: 'discrepancy',
      id: row.discrepancyId,
      entity,
      day: row.since,
      amount: amountJson(row.differenceMinor, row.currency),
      what: `${row.code}, ${row.status} in the last report that names it`,
    })),
  ]
}

function wantedOf(
  { amount, currency, day, days_around: around, reference, limit }: Question<'find'>,
  zone: string,
): Wanted {
  const middle = dayTyped('day', day)
  const days =
    middle === null ? null : { first: addDays(middle, -around), last: addDays(middle, around) }
  return {
    amount:
      amount === undefined
        ? null
        : { minor: absolute(typed('amount', () => parseAmount(amount, currency))), currency },
    days,
    instants:
      days === null
        ? null
        : { startS: startOfDay(days.first, zone), endS: startOfDay(addDays(days.last, 1), zone) },
    reference: reference ?? null,
    limit: limit + 1,
  }
}

/** The entity that owns an account, as the settings say. */
function ownersOf(entities: readonly EntityConfig[]): (account: string) => EntityConfig | null {
  const ofAllOthers = entities.find(({ ibans }) => ibans.length === 0) ?? null
  return (account) => entities.find(({ ibans }) => ibans.includes(account)) ?? ofAllOthers
}

/** Of a line that is not the provider's nothing is told that the payer has written. */
function bankLineJson(entry: FoundBankEntry, owner: EntityConfig | null): Found {
  const { bankReference, endToEndId, fileName, position } = entry
  const place = `${fileName}:${position}`
  const isProviders = owner !== null && isProvidersLine({ ...entry, ...UNUSED_OF_ENTRY }, owner)
  return {
    kind: 'bank_line',
    id: bankReference ?? (isProviders ? (endToEndId ?? place) : place),
    entity: owner?.name ?? null,
    day: entry.bookingDay,
    amount: amountOf(entry.amountMinor, entry.currency),
    what: `${isProviders ? 'bank line of the provider' : 'bank line of somebody else'} at ${entry.account}, ${place}`,
  }
}

/** What the look of a line does not depend on. */
const UNUSED_OF_ENTRY = {
  id: '',
  reference: '',
  valueDay: null,
  isReversal: false,
  place: '',
  fingerprint: '',
  fingerprintRank: 1,
} as const

interface Judged {
  readonly reconciliation: Reconciliation
  readonly facts: Facts
}

/** A period as its report has it: as of the report's day unless another is asked for. */
async function judgePeriod(
  asked: Asked,
  {
    period: label,
    as_of,
  }: { readonly period?: string | undefined; readonly as_of?: string | undefined },
) {
  const { tx, config, today } = asked
  const reports = await newestReports(asked)
  const newest = reports.find(({ period }) => period.label.includes('W')) ?? reports[0]
  const period =
    label === undefined
      ? (newest?.period ?? weekOf(today))
      : typed('period', () => parsePeriod(label))
  const report = reports.find((one) => one.period.label === period.label)
  const asOf = dayTyped('as_of', as_of) ?? report?.asOf ?? today
  if (period.first > asOf) {
    throw new UsageFault(`${period.label} begins on ${period.first}, after ${asOf}`, {
      hint: 'Name an earlier period, or a later day as as_of.',
    })
  }
  const judged = await judge(asked, period, asOf)
  const close = await findStandingClose(tx, period.label)
  const signed =
    close === null
      ? null
      : await signedAgain(tx, close, judged.reconciliation, config.businessTimeZone)
  const { first, last } = period
  return {
    facts: judged.facts,
    reconciliation: signed?.reconciliation ?? judged.reconciliation,
    notes: [
      ...(report === undefined ? [`No report of ${period.label} was written yet.`] : []),
      ...(signed === null ? [] : [signed.note]),
    ],
    about: {
      period: { label: period.label, first, last },
      as_of: asOf,
      closed: signed !== null,
    },
  }
}

async function judge({ tx, config }: Asked, period: Period, asOf: Day) {
  const { entities } = config
  const facts = await gatherStanding(tx, { config, entities, period, asOf })
  const { reconciliation } = await judgeFacts(tx, withDiscreetReferences(facts))
  return { facts, reconciliation } satisfies Judged & object
}

/** Reports of all entities together, newest period first. */
async function newestReports({ tx, config }: Asked) {
  const entitySet = entitySetOf(config.entities.map(({ name }) => name))
  return (await loadLastReports(tx, entitySet))
    .map(({ period, ...report }) => ({ ...report, period: parsePeriod(period) }))
    .toSorted(
      (a, b) =>
        compareText(b.period.last, a.period.last) || compareText(b.period.label, a.period.label),
    )
}

/** The day of the newest report: so ages and states agree with what people have read. */
async function newestAsOf(asked: Asked): Promise<Day> {
  const days = (await newestReports(asked)).map(({ asOf }) => asOf)
  return days.toSorted(compareText).at(-1) ?? asked.today
}

function checkEntity({ config }: Asked, name: string | undefined): void {
  if (name === undefined || config.entities.some((entity) => entity.name === name)) return
  throw new UsageFault(
    `entity: found "${name}", expected one of ${config.entities.map((entity) => `"${entity.name}"`).join(', ')}`,
  )
}

function dayTyped(name: string, text: string | undefined): Day | null {
  return text === undefined ? null : typed(name, () => parseDay(text))
}

function typed<T>(name: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
    throw new UsageFault(`${name}: ${error.message}`)
  }
}

function amountOf(amountMinor: bigint, currency: Currency) {
  return { text: formatAmount(amountMinor, currency), minor: amountMinor.toString(), currency }
}

function amountJson(amountMinor: bigint | null, currency: Currency) {
  return amountMinor === null ? null : amountOf(amountMinor, currency)
}

function discrepancyJson(
  row: DiscrepancyRow,
): Answer<'list_discrepancies'>['discrepancies'][number] {
  return {
    discrepancy_id: row.discrepancyId,
    code: row.code,
    status: row.status,
    entity: row.entity,
    difference: amountJson(row.differenceMinor, row.currency),
    expected: amountJson(row.expectedMinor, row.currency),
    actual: amountJson(row.actualMinor, row.currency),
    expected_date: row.expectedDay,
    actual_date: row.actualDay,
    payout_id: row.payoutId,
    balance_transaction_id: row.balanceTransactionId,
    payment_id: row.paymentId,
    refund_id: row.refundId,
    bank_reference: row.bankReference,
    bank_account: row.bankAccount,
    since: row.since,
    age_days: row.ageDays,
    explanation: row.explanation,
    next_step: row.nextStep,
  }
}

function settlementJson(
  row: SettlementRow,
  { matches }: Reconciliation,
): Answer<'settlement'>['settlements'][number] {
  const { currency } = row
  const match = matches.find(
    ({ entity, payoutIds }) => entity === row.entity && payoutIds.includes(row.payoutId),
  )
  return {
    payout_id: row.payoutId,
    entity: row.entity,
    created: row.createdDay,
    transactions: row.transactions,
    gross: amountOf(row.grossMinor, currency),
    fees: amountOf(row.feesMinor, currency),
    refunds: amountOf(row.refundsMinor, currency),
    other: amountOf(row.otherMinor, currency),
    net: amountOf(row.netMinor, currency),
    payout_amount: amountOf(row.payoutAmountMinor, currency),
    residual: amountOf(row.residualMinor, currency),
    status: row.status,
    rule: row.rule,
    bank_references: [...row.bankReferences],
    deposit_amount: amountJson(row.depositMinor, currency),
    booked: row.bookedDay,
    lag_days: row.lagDays,
    evidence: match?.evidence ?? null,
    note: row.note,
  }
}
