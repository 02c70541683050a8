/**
 * What must hold of every report, whatever was found: each row in exactly one bucket, opening +
 * movements = closing, matched sides equal, nothing consumed twice, tables and totals in agreement.
 * It is asked when a report was computed, of the rows that the database holds, and of its files when
 * they are read back. What does not hold is a sentence; a report with one of them is neither written
 * nor sent. The domain's own discrepancies are no such faults: they are results.
 */
import { compareText, groupBy } from './collections.ts'
import { dayOfInstant } from './day.ts'
import type { DepositMatch } from './deposits/board.ts'
import { nameOf } from './deposits/references.ts'
import type { EntityFacts } from './facts.ts'
import { money } from './findings.ts'
import { absolute, type Currency, sumOf } from './money.ts'
import type { ProvedPayout } from './payout-proof.ts'
import { type Period, periodContains } from './period.ts'
import type {
  DiscrepancyRow,
  OpenItemRow,
  RefundRow,
  SettlementRow,
  SettlementStatus,
  SummaryLine,
} from './reconciliation.ts'
import type { SummaryInput } from './roll-forward.ts'

interface ProvedLedger {
  readonly facts: EntityFacts
  readonly payouts: readonly ProvedPayout[]
}

/** Each row of the ledger stands in exactly one place: a payout's own row, in a payout, or open. */
export function refuteRows({ facts, payouts }: ProvedLedger): string[] {
  const inPayouts = payouts.reduce(
    (sum, payout) => sum + payout.facts.transactions + payout.facts.ownRows.length,
    0,
  )
  if (inPayouts + facts.openRows.length === facts.rowCount) return []
  return [
    `${facts.entity}: ${inPayouts} ledger rows stand in or for payouts and ${facts.openRows.length} are open, but the ledger holds ${facts.rowCount}`,
  ]
}

/** Payouts sent must be what the ledger's payout rows of the period took out, double rows included. */
export function refutePayoutsSent(
  { facts, payouts }: ProvedLedger,
  { currency, sent }: SummaryInput,
  { startS, endS }: { startS: number; endS: number },
  zone: string,
): string[] {
  const outMinor = sumOf(
    facts.movements
      .filter(({ kind, when }) => kind === 'from_payout' && when === 'period')
      .filter((movement) => movement.currency === currency)
      .map(({ netMinor }) => -netMinor),
  )
  const repeatedMinor = sumOf(
    payouts
      .filter((payout) => payout.facts.currency === currency)
      .flatMap((payout) => payout.facts.ownRows.slice(1))
      .filter(({ createdS }) => startS <= createdS && createdS < endS)
      .map(({ netMinor }) => -netMinor),
  )
  const sentMinor = sumOf(sent.map(({ amountMinor }) => amountMinor))
  if (sentMinor + repeatedMinor === outMinor) return []
  return [
    `${facts.entity}: the payouts from ${dayOfInstant(startS, zone)} on are ${money(sentMinor + repeatedMinor, currency)}, but the ledger's payout rows took out ${money(outMinor, currency)}`,
  ]
}

/** The block of one entity and currency against the ledger's own sum, which is taken another way. */
export function refuteSummary(
  { facts, currency }: SummaryInput,
  lines: readonly SummaryLine[],
): string[] {
  const block = blockOf(lines)
  const moved = facts.movements.filter(
    (movement) => movement.currency === currency && movement.when === 'period',
  )
  const reached = {
    amountMinor: block.at('opening_balance').amountMinor + sumOf(moved.map((of) => of.netMinor)),
    rows: block.at('opening_balance').rows + moved.reduce((sum, { rows }) => sum + rows, 0),
  }
  const closing = facts.closingBalances.find((balance) => balance.currency === currency)
  return differences(
    `${facts.entity}: opening balance and movements do not reach the ledger’s own sum`,
    reached,
    { amountMinor: closing?.netMinor ?? 0n, rows: closing?.rows ?? 0 },
    currency,
  )
}

/** Both sides of each match are equal, and nothing is used twice. */
export function refuteMatches(matches: readonly DepositMatch[]): string[] {
  const faults = matches.flatMap(({ payouts, deposits }) => {
    const paidMinor = sumOf(payouts.map(({ amountMinor }) => amountMinor))
    const receivedMinor = sumOf(deposits.map(({ entry }) => entry.amountMinor))
    return paidMinor === receivedMinor
      ? []
      : [
          `the match of ${payouts.map(({ payoutId }) => payoutId).join(', ')} has two sides that differ`,
        ]
  })
  return [
    ...faults,
    ...repeated(
      matches.flatMap(({ payouts }) => payouts),
      ({ name }) => name,
      ({ payoutId }, times) => `payout ${payoutId} is matched ${times} times`,
    ),
    ...repeated(
      matches.flatMap(({ deposits }) => deposits),
      ({ entry }) => entry.id,
      ({ entry }, times) => `bank entry ${entry.id} is matched ${times} times`,
    ),
  ]
}

/** What the settlements call matched is matched, and what is matched has arrived, be it sent back since. */
export function refuteSettled(
  settlements: readonly SettlementRow[],
  matches: readonly DepositMatch[],
): string[] {
  const matched = new Set(matches.flatMap(({ payouts }) => payouts.map(({ name }) => name)))
  return settlements.flatMap(({ entity, payoutId, status }) => {
    const isMatched = matched.has(nameOf({ entity, payoutId }))
    if (status === 'matched' && !isMatched) {
      return [`${entity}: payout ${payoutId} is told as matched, and no match names it`]
    }
    const mayBeMatched = status === 'matched' || status === 'returned'
    return isMatched && !mayBeMatched
      ? [`${entity}: payout ${payoutId} is matched, and told as ${status}`]
      : []
  })
}

/** The tables of a report as far as they prove each other: as computed, or as read back from its files. */
export interface ReportTables {
  readonly period: Period
  readonly discrepancies: readonly Pick<
    DiscrepancyRow,
    | 'discrepancyId'
    | 'status'
    | 'entity'
    | 'currency'
    | 'differenceMinor'
    | 'expectedMinor'
    | 'actualMinor'
  >[]
  readonly settlements: readonly Omit<SettlementRow, 'bookedDay' | 'lagDays' | 'note'>[]
  readonly refunds: readonly Pick<
    RefundRow,
    'refundId' | 'entity' | 'balanceTransactionId' | 'payoutId' | 'status'
  >[]
  readonly openItems: readonly Pick<
    OpenItemRow,
    'item' | 'id' | 'entity' | 'currency' | 'amountMinor'
  >[]
  readonly summary: readonly SummaryLine[]
}

/** Whether a report ties in itself. */
export function refuteReport(tables: ReportTables): string[] {
  return [
    ...refuteOnce(tables),
    ...tables.settlements.flatMap(refuteSettlement),
    ...refuteTransit(tables),
    ...tables.discrepancies.flatMap(refuteDifference),
    ...refuteBlocks(tables),
  ]
}

/** Nothing stands in a table twice. */
function refuteOnce({ discrepancies, settlements, refunds, openItems }: ReportTables): string[] {
  const twice = (what: string) => (row: { readonly entity: string }, times: number) =>
    `${row.entity}: ${what} stands in the report ${times} times`
  return [
    ...repeated(
      discrepancies,
      ({ discrepancyId }) => discrepancyId,
      (row, times) => twice(`discrepancy ${row.discrepancyId}`)(row, times),
    ),
    ...repeated(
      settlements,
      (row) => `${row.entity}\u0000${row.payoutId}`,
      (row, times) => twice(`the settlement of ${row.payoutId}`)(row, times),
    ),
    ...repeated(
      refunds,
      (row) => `${row.entity}\u0000${row.refundId}\u0000${row.balanceTransactionId ?? ''}`,
      (row, times) => twice(`refund ${row.refundId}`)(row, times),
    ),
    ...repeated(
      openItems,
      (row) => `${row.entity}\u0000${row.item}\u0000${row.id}`,
      (row, times) => twice(`open item ${row.id}`)(row, times),
    ),
  ]
}

/** The rules by which one payout is tied to lines of its own, which then sum to it. */
const TIED_ALONE: readonly (string | null)[] = [
  'reference',
  'amount_date',
  'equal_amount_group',
  'split',
]

function refuteSettlement(row: ReportTables['settlements'][number]): string[] {
  const { entity, payoutId, currency } = row
  const faults: string[] = []
  const expect = (what: string, leftMinor: bigint, rightMinor: bigint): void => {
    if (leftMinor === rightMinor) return
    faults.push(
      `${entity}: payout ${payoutId}: ${what}: ${money(leftMinor, currency)} against ${money(rightMinor, currency)}`,
    )
  }
  expect(
    'its residual is not what is left of its net',
    row.residualMinor,
    row.netMinor - row.payoutAmountMinor,
  )
  if (row.status !== 'matched') return faults
  if (row.rule === null || row.bankReferences.length === 0 || row.depositMinor === null) {
    faults.push(`${entity}: payout ${payoutId} is matched without a rule, a line or an amount`)
  } else if (TIED_ALONE.includes(row.rule)) {
    expect('it is matched with another amount', row.depositMinor, row.payoutAmountMinor)
  }
  return faults
}

/** A payout in transit is an open item, and the other way round. */
function refuteTransit({ settlements, openItems }: ReportTables): string[] {
  const waiting = new Map(
    openItems
      .filter(({ item }) => item === 'payout_in_transit')
      .map((row) => [`${row.entity}\u0000${row.id}`, row]),
  )
  const faults: string[] = []
  for (const { entity, payoutId, status, payoutAmountMinor } of settlements) {
    const name = `${entity}\u0000${payoutId}`
    const open = waiting.get(name)
    waiting.delete(name)
    if ((status === 'in_transit') !== (open !== undefined)) {
      const is = open === undefined ? 'no open item' : 'an open item'
      faults.push(`${entity}: payout ${payoutId} is told as ${status}, and there is ${is} of it`)
    } else if (open !== undefined && open.amountMinor !== payoutAmountMinor) {
      faults.push(`${entity}: the open item of payout ${payoutId} has another amount`)
    }
  }
  for (const { entity, id } of waiting.values()) {
    faults.push(`${entity}: payout ${id} is an open item, and has no settlement`)
  }
  return faults
}

/** `difference` is actual − expected, wherever all three are given. */
function refuteDifference(row: ReportTables['discrepancies'][number]): string[] {
  const { discrepancyId, entity, currency, differenceMinor, expectedMinor, actualMinor } = row
  if (differenceMinor === null || expectedMinor === null || actualMinor === null) return []
  if (differenceMinor === actualMinor - expectedMinor) return []
  return [
    `${entity}: discrepancy ${discrepancyId} differs by ${money(differenceMinor, currency)}, but its amounts by ${money(actualMinor - expectedMinor, currency)}`,
  ]
}

/** Amount and rows of a summary line. */
interface Total {
  readonly amountMinor: bigint
  readonly rows: number
}

interface Block {
  readonly lines: readonly SummaryLine[]
  /** Zero where there is no such line. */
  at(...names: readonly string[]): Total
}

function blockOf(lines: readonly SummaryLine[]): Block {
  return {
    lines,
    at: (...names) => totalOf(lines.filter(({ line }) => names.includes(line))),
  }
}

function totalOf(lines: readonly SummaryLine[]): Total {
  return {
    amountMinor: sumOf(lines.map(({ amountMinor }) => amountMinor ?? 0n)),
    rows: lines.reduce((sum, { rows }) => sum + rows, 0),
  }
}

function total(amountsMinor: readonly bigint[]): Total {
  return { amountMinor: sumOf(amountsMinor), rows: amountsMinor.length }
}

/** Between these two stand the movements. */
const OPENING = 'opening_balance'
const CLOSING = 'closing_balance'
/** What follows the closing balance, in this order. */
const AFTER_CLOSING = [
  'payouts_sent',
  'payouts_matched',
  'payouts_in_transit',
  'payouts_in_discrepancy',
  'deposits_received',
  'discrepancies_new',
  'discrepancies_open',
  'discrepancies_cleared',
  'period_start',
  'period_end',
]

/** Each block of the summary in itself, and against the tables that it counts. */
function refuteBlocks(tables: ReportTables): string[] {
  const faults: string[] = []
  const names = new Set<string>()
  const blocks = groupBy(tables.summary, ({ entity, currency }) => `${entity}\u0000${currency}`)
  for (const [name, lines] of blocks) {
    names.add(name)
    const [first] = lines
    if (first !== undefined) faults.push(...refuteBlock(tables, first, lines))
  }
  for (const { entity, currency } of [...tables.settlements, ...tables.discrepancies]) {
    // A line of the bank in a currency that the ledger does not have is told, and has no block.
    if ([...names].some((name) => name.startsWith(`${entity}\u0000`))) continue
    faults.push(`${entity}: the report has rows in ${currency}, and no summary of ${entity}`)
    names.add(`${entity}\u0000${currency}`)
  }
  return faults
}

function refuteBlock(
  { period, discrepancies, settlements }: ReportTables,
  { entity, currency }: { readonly entity: string; readonly currency: Currency },
  lines: readonly SummaryLine[],
): string[] {
  const { at } = blockOf(lines)
  const is = (what: string, told: Total, found: Total): string[] =>
    differences(`${entity}: ${what}`, told, found, currency)
  const isOwn = (row: { readonly entity: string; readonly currency: Currency }): boolean =>
    row.entity === entity && row.currency === currency
  const sent = settlements
    .filter(isOwn)
    .filter(({ createdDay }) => periodContains(period, createdDay))
  const sentAs = (...statuses: readonly SettlementStatus[]): Total =>
    total(
      sent
        .filter(({ status }) => statuses.includes(status))
        .map(({ payoutAmountMinor }) => payoutAmountMinor),
    )
  const found = (...statuses: readonly DiscrepancyRow['status'][]): Total =>
    total(
      discrepancies
        .filter(isOwn)
        .filter(({ status }) => statuses.includes(status))
        .map(({ differenceMinor }) => absolute(differenceMinor ?? 0n)),
    )
  const closingPlace = lines.findIndex(({ line }) => line === CLOSING)
  const upToClosing = lines.slice(0, closingPlace)
  const following = lines.slice(closingPlace + 1).map(({ line }) => line)
  return [
    ...repeated(
      lines,
      ({ line }) => line,
      ({ line }, times) => `${entity}: the summary has ${times} lines ${line}`,
    ),
    ...(lines[0]?.line === OPENING && closingPlace > 0
      ? is(
          'opening balance and movements do not reach the closing balance',
          totalOf(upToClosing),
          at(CLOSING),
        )
      : [`${entity}: the summary has no opening or no closing balance`]),
    ...(following.join(' ') === AFTER_CLOSING.join(' ')
      ? []
      : [`${entity}: after the closing balance the summary has ${following.join(', ')}`]),
    ...is(
      'payouts sent are not the matched, the ones in transit and the ones in discrepancy',
      at('payouts_sent'),
      at('payouts_matched', 'payouts_in_transit', 'payouts_in_discrepancy'),
    ),
    ...is('payouts matched are not its settlements', at('payouts_matched'), sentAs('matched')),
    ...is(
      'payouts in transit are not its settlements',
      at('payouts_in_transit'),
      sentAs('in_transit'),
    ),
    ...is('payouts sent are not its settlements', at('payouts_sent'), total(sent.map(amountOf))),
    ...is('new discrepancies are not its rows', at('discrepancies_new'), found('new')),
    ...is(
      'open discrepancies are not its rows',
      at('discrepancies_open'),
      found('open', 'reopened'),
    ),
    ...is('cleared discrepancies are not its rows', at('discrepancies_cleared'), found('cleared')),
  ]
}

function amountOf({ payoutAmountMinor }: { readonly payoutAmountMinor: bigint }): bigint {
  return payoutAmountMinor
}

/** Sums of stored ledger rows, taken from the rows themselves and not from what is proved of them. */
export interface RowSums {
  readonly entity: string
  /** Rows created in the period, by kind. */
  readonly movements: readonly {
    readonly kind: string
    readonly currency: Currency
    readonly netMinor: bigint
    readonly rows: number
  }[]
  /** Rows of each payout that the report settles, by the payout's id; none: no row names it. */
  readonly payouts: ReadonlyMap<string, { readonly netMinor: bigint; readonly rows: number }>
}

/** A report against the rows that it is about: it must say what the database holds. */
export function refuteByRows(
  { summary, settlements }: Pick<ReportTables, 'summary' | 'settlements'>,
  { entity, movements, payouts }: RowSums,
): string[] {
  const faults: string[] = []
  const own = summary.filter((line) => line.entity === entity)
  for (const [currency, lines] of groupBy(own, (line) => line.currency)) {
    const closing = lines.findIndex(({ line }) => line === CLOSING)
    const told = new Map(lines.slice(1, closing).map((line) => [line.line, line]))
    const held = movements.filter((movement) => movement.currency === currency)
    const kinds = new Set([...told.keys(), ...held.map(({ kind }) => kind)])
    for (const kind of [...kinds].toSorted(compareText)) {
      const line = told.get(kind)
      const rows = held.find((movement) => movement.kind === kind)
      faults.push(
        ...differences(
          `${entity}: ${kind} in the report and in the stored rows`,
          { amountMinor: line?.amountMinor ?? 0n, rows: line?.rows ?? 0 },
          { amountMinor: rows?.netMinor ?? 0n, rows: rows?.rows ?? 0 },
          currency,
        ),
      )
    }
  }
  for (const row of settlements.filter((settlement) => settlement.entity === entity)) {
    const held = payouts.get(row.payoutId)
    faults.push(
      ...differences(
        `${entity}: payout ${row.payoutId} in the report and in the stored rows`,
        { amountMinor: row.netMinor, rows: row.transactions },
        { amountMinor: held?.netMinor ?? 0n, rows: held?.rows ?? 0 },
        row.currency,
      ),
    )
  }
  return faults
}

/** A discrepancy as the record of written reports has it. */
interface RecordedDiscrepancy {
  readonly discrepancyId: string
  readonly code: string
  readonly status: string
}

/** What a report says against what was recorded of it. */
export function refuteRecord(
  told: readonly RecordedDiscrepancy[],
  recorded: readonly RecordedDiscrepancy[],
): string[] {
  const kept = new Map(recorded.map((row) => [row.discrepancyId, row]))
  const faults = told.flatMap(({ discrepancyId, code, status }) => {
    const row = kept.get(discrepancyId)
    return row?.code === code && row.status === status
      ? []
      : [`discrepancy ${discrepancyId} (${code}, ${status}) is not on record as it was written`]
  })
  if (recorded.length === told.length) return faults
  return [...faults, `${told.length} discrepancies were written and ${recorded.length} recorded`]
}

function differences(what: string, told: Total, found: Total, currency: Currency): string[] {
  const faults: string[] = []
  if (told.amountMinor !== found.amountMinor) {
    faults.push(
      `${what}: ${money(told.amountMinor, currency)} against ${money(found.amountMinor, currency)}`,
    )
  }
  if (told.rows !== found.rows) faults.push(`${what}: ${told.rows} rows against ${found.rows}`)
  return faults
}

/** A sentence for each item of which there are several. */
function repeated<Item>(
  items: readonly Item[],
  nameOfItem: (item: Item) => string,
  say: (item: Item, times: number) => string,
): string[] {
  // Nearly always there is none, and years of payouts need not be put in groups for that.
  if (new Set(items.map(nameOfItem)).size === items.length) return []
  return [...groupBy(items, nameOfItem).values()].flatMap((same) => {
    const [first] = same
    return first === undefined || same.length === 1 ? [] : [say(first, same.length)]
  })
}
