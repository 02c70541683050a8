import type { BalanceTransaction } from './balance-transaction.ts'
import { type Echo, ECHOES_OF_A_PAYOUT_GONE, echoesOfChange } from './causes.ts'
import { groupBy } from './collections.ts'
import { dayOfInstant } from './day.ts'
import type { DepositMatch } from './deposits/board.ts'
import { lineKeyOfEntry, lineKeyOfFinding } from './deposits/earlier-ties.ts'
import { type DepositItem, lineName } from './deposits/items.ts'
import type { ClosedPeriod, LateEntry, LateRow, SignedFigures } from './facts.ts'
import { type Finding, money } from './findings.ts'
import { fieldName, type ResidualCause, rowFacts } from './ledger-rows.ts'
import type { DiscrepancyCode } from './reconciliation.ts'

/**
 * Changes of a period that somebody signed (contract, `late_change`): its files stay as they are, and
 * what changed or appeared afterwards is told with what stood there before.
 */

/** Fields of which any change is told. */
const TOLD_FIELDS = [
  'amountMinor',
  'feeMinor',
  'netMinor',
  'currency',
  'kind',
  'paymentId',
  'refundId',
] as const

/** Fields that are filled in the normal course: only a change of what was filled is told. */
const TOLD_ONCE_FILLED = ['includedInPayoutId', 'payoutId'] as const

type ToldField = (typeof TOLD_FIELDS)[number] | (typeof TOLD_ONCE_FILLED)[number]

/** What a row's figures are now against what was signed. */
function changedFields(
  signed: SignedFigures,
  row: BalanceTransaction,
): { field: ToldField; before: string | null; after: string | null }[] {
  const filled = TOLD_ONCE_FILLED.filter((field) => signed[field] !== null)
  return [...TOLD_FIELDS, ...filled]
    .filter((field) => signed[field] !== row[field])
    .map((field) => ({
      field,
      before: signed[field]?.toString() ?? null,
      after: row[field]?.toString() ?? null,
    }))
}

/** One finding for each row that is no longer as it was signed, by the row's id. */
export function judgeLateRows(
  entity: string,
  lateRows: readonly LateRow[],
  zone: string,
): Map<string, Finding> {
  const findings = new Map<string, Finding>()
  for (const late of lateRows) {
    // A row of a closed week may lie in a closed month too: it is one change, the earlier close tells it.
    if (late.entity !== entity || findings.has(late.row.id)) continue
    const finding = lateRow(late, zone)
    if (finding !== null) findings.set(late.row.id, finding)
  }
  return findings
}

function lateRow({ entity, closed, row, isGone, signed, seenAsOf }: LateRow, zone: string) {
  if (isGone && signed === null) return null
  const story = rowStory(row, isGone, signed)
  if (story === null) return null
  return {
    ...rowFacts(entity, row, zone),
    code: 'late_change',
    expectedMinor: signed?.netMinor ?? 0n,
    actualMinor: isGone ? 0n : row.netMinor,
    actualDay: seenAsOf,
    tellFrom: seenAsOf,
    echoes: echoesOf(row, isGone, signed),
    explanation: `Row ${row.id} of ${periodName(closed, zone)} ${story}; seen on ${seenAsOf}. ${LEFT_AS_SIGNED}`,
  } as const satisfies Finding
}

/** What a change of a closed period brings with it, as the same change of an open one does. */
function echoesOf(
  row: BalanceTransaction,
  isGone: boolean,
  signed: SignedFigures | null,
): readonly Echo[] {
  if (isGone) return row.kind === 'from_payout' ? ECHOES_OF_A_PAYOUT_GONE : []
  if (signed === null) return []
  return echoesOfChange(new Set(changedFields(signed, row).map(({ field }) => field)))
}

/**
 * By how much late changes throw the sums of payouts off, against what was signed.
 * @param findings by the row's id, see `judgeLateRows`.
 * @returns the causes of each payout that has any, by its id.
 */
export function lateCauses(
  entity: string,
  lateRows: readonly LateRow[],
  findings: ReadonlyMap<string, Finding>,
): Map<string, ResidualCause[]> {
  const seen = new Set<string>()
  const causes = lateRows.flatMap((late) => {
    const finding = findings.get(late.row.id)
    if (late.entity !== entity || finding === undefined || seen.has(late.row.id)) return []
    seen.add(late.row.id)
    return placesOf(late).flatMap((payoutId) => {
      const offMinor = offSinceSigned(late, payoutId)
      return offMinor === 0n ? [] : [{ payoutId, cause: { finding, offMinor } }]
    })
  })
  return new Map(
    [...groupBy(causes, ({ payoutId }) => payoutId)].map(([payoutId, ofPayout]) => [
      payoutId,
      ofPayout.map(({ cause }) => cause),
    ]),
  )
}

/** The payouts of whose sum a row is part, or was when it was signed. */
function placesOf({ row, signed }: LateRow): string[] {
  const ids = [row, signed].flatMap((state) => payoutIn(state) ?? [])
  return [...new Set(ids)]
}

/** Its own payout's sum counts a payout's row too: the sum must be 0. */
function payoutIn(state: SignedFigures | null): string | null {
  if (state === null) return null
  return state.kind === 'from_payout' ? state.payoutId : state.includedInPayoutId
}

function offSinceSigned({ row, isGone, signed }: LateRow, payoutId: string): bigint {
  const nowMinor = !isGone && payoutIn(row) === payoutId ? row.netMinor : 0n
  // A row that was signed while it waited for its payout was meant for the one that took it.
  const signedFor = payoutIn(signed) ?? payoutIn(row)
  const signedMinor = signed !== null && signedFor === payoutId ? signed.netMinor : 0n
  return nowMinor - signedMinor
}

const LEFT_AS_SIGNED = 'The signed report was not rewritten.'

/** `the closed period 2024-W12 (signed by Marie on 2024-03-27)`. */
function periodName({ label, closedBy, closedS }: ClosedPeriod, zone: string): string {
  return `the closed period ${label} (signed by ${closedBy} on ${dayOfInstant(closedS, zone)})`
}

function rowStory(
  row: BalanceTransaction,
  isGone: boolean,
  signed: SignedFigures | null,
): string | null {
  if (signed === null) {
    return `appeared after the period was signed: before, there was no such row; now, it is a ${figures(row)}`
  }
  if (isGone) {
    return `is gone from Alma's ledger: before, it was a ${figures(signed)}; now, there is no such row`
  }
  const changes = changedFields(signed, row)
  if (changes.length === 0) return null
  const show = (field: ToldField, value: string | null, currency: string): string => {
    if (value === null) return 'nothing'
    return field.endsWith('Minor') ? money(BigInt(value), currency) : value
  }
  const told = changes.map(
    ({ field, before, after }) =>
      `${fieldName(field)} from ${show(field, before, signed.currency)} to ${show(field, after, row.currency)}`,
  )
  return `changed after the period was signed: ${told.join(', ')}`
}

function figures({ kind, currency, amountMinor, feeMinor, netMinor }: SignedFigures): string {
  return `${kind} of ${money(amountMinor, currency)}, fee ${money(feeMinor, currency)}, net ${money(netMinor, currency)}`
}

/** Findings about a line alone, which the late change of that line stands for. */
const OF_THE_LINE_ALONE: readonly DiscrepancyCode[] = [
  'deposit_unexpected',
  'debit_unexpected',
  'deposit_duplicate',
]

/**
 * One finding for each of the provider's lines that appeared in a closed period.
 * @returns all findings, without those that a late change stands for.
 */
export function withLateEntries(
  findings: readonly Finding[],
  lateEntries: readonly LateEntry[],
  {
    deposits,
    matches,
    zone,
  }: {
    readonly deposits: readonly DepositItem[]
    readonly matches: readonly DepositMatch[]
    readonly zone: string
  },
): Finding[] {
  if (lateEntries.length === 0) return [...findings]
  const lateOf = groupBy(lateEntries, ({ bankEntryId }) => bankEntryId)
  const matchOf = new Map(
    matches.flatMap((match) => match.deposits.map((deposit) => [deposit.entry.id, match] as const)),
  )
  const alone = groupBy(
    findings.filter(({ code }) => OF_THE_LINE_ALONE.includes(code)),
    lineKeyOfFinding,
  )
  const replaced = new Set<Finding>()
  const fresh = deposits.flatMap((deposit): Finding[] => {
    // A day of a closed week may lie in a closed month too: the earlier close tells it.
    const late = lateOf
      .get(deposit.entry.id)
      ?.find(({ closed }) => closed.entities.includes(deposit.entity))
    if (late === undefined) return []
    const follows = alone.get(lineKeyOfEntry(deposit.entry))?.shift()
    if (follows !== undefined) replaced.add(follows)
    return [lateLine(deposit, late, matchOf.get(deposit.entry.id), follows, zone)]
  })
  return [...findings.filter((finding) => !replaced.has(finding)), ...fresh]
}

function lateLine(
  { entity, entry }: DepositItem,
  { closed, seenAsOf }: LateEntry,
  match: DepositMatch | undefined,
  follows: Finding | undefined,
  zone: string,
): Finding {
  const use =
    match === undefined
      ? (follows?.explanation ?? '')
      : `It pays ${match.payouts.map(({ payoutId }) => payoutId).join(' and ')} (${match.evidence}).`
  const name = lineName(entry)
  return {
    code: 'late_change',
    entity,
    key: entry.reference,
    currency: entry.currency,
    day: entry.bookingDay,
    closed: null,
    expectedMinor: 0n,
    actualMinor: entry.amountMinor,
    actualDay: entry.bookingDay,
    tellFrom: seenAsOf,
    payoutId: follows?.payoutId ?? null,
    bankReference: entry.reference,
    bankAccount: entry.account,
    bankFile: entry.fileName,
    explanation: [
      `${name.slice(0, 1).toUpperCase()}${name.slice(1)} of ${money(entry.amountMinor, entry.currency)} appeared in ${periodName(closed, zone)} after it was signed: before, there was no such line; seen on ${seenAsOf}.`,
      use,
      LEFT_AS_SIGNED,
    ]
      .filter((sentence) => sentence !== '')
      .join(' '),
  }
}
