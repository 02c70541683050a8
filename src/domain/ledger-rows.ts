import { KNOWN_KINDS, type BalanceTransaction } from './balance-transaction.ts'
import { ECHOES_OF_A_PAYOUT_GONE, echoesOfChange } from './causes.ts'
import { type Day, dayOfInstant, daysBetween } from './day.ts'
import type { EntityFacts, Policy, RowChange } from './facts.ts'
import { compareAmounts, compareText, groupBy } from './collections.ts'
import { type Finding, money } from './findings.ts'
import type { OpenItemRow } from './reconciliation.ts'
import { absolute } from './money.ts'
import { addBusinessDays } from './target-calendar.ts'

/** Rules that a ledger row must keep by itself or beside its like (contract, sections 3.A and 4). */

const knownKinds: ReadonlySet<string> = new Set(KNOWN_KINDS)

/** The direction that a kind documents; null where both are possible. */
function expectedSign(kind: string): 1 | -1 | null {
  switch (kind) {
    case 'from_transaction':
    case 'from_fee_waiver':
      return 1
    case 'from_refund':
      return -1
    default:
      // An adjustment may go either way, and a payout's row is positive when its rows sum below 0.
      return null
  }
}

/** Whether net = amount − fee; on refunds the fee's sign may be the other way round. */
export function arithmeticHolds(row: BalanceTransaction): boolean {
  if (row.netMinor === row.amountMinor - row.feeMinor) return true
  return row.kind === 'from_refund' && row.netMinor === row.amountMinor + row.feeMinor
}

export function signHolds(row: BalanceTransaction): boolean {
  const sign = expectedSign(row.kind)
  if (sign === null || row.amountMinor === 0n) return true
  return row.amountMinor > 0n === sign > 0
}

/** A row whose only fault is a turned sign keeps its arithmetic once the sign is turned back. */
function turningExplainsArithmetic(row: BalanceTransaction): boolean {
  const turned = { ...row, amountMinor: -row.amountMinor }
  return arithmeticHolds(turned) || arithmeticHolds({ ...turned, netMinor: -row.netMinor })
}

export function rowFacts(entity: string, row: BalanceTransaction, zone: string) {
  return {
    entity,
    key: row.id,
    currency: row.currency,
    day: dayOfInstant(row.createdS, zone),
    closed: null,
    balanceTransactionId: row.id,
    paymentId: row.paymentId,
    refundId: row.refundId,
    payoutId: row.includedInPayoutId ?? row.payoutId,
  } as const
}

/** Arithmetic, sign and kind of single rows. */
export function judgeSuspectRows(
  entity: string,
  rows: readonly BalanceTransaction[],
  zone: string,
): Finding[] {
  return rows.flatMap((row) => {
    const base = rowFacts(entity, row, zone)
    const findings: Finding[] = []
    if (!knownKinds.has(row.kind)) {
      findings.push({
        ...base,
        code: 'line_unknown_kind',
        actualMinor: row.netMinor,
        explanation: `Row ${row.id} of ${money(row.netMinor, row.currency)} net is of the kind "${row.kind}", which Alma does not document. It is counted in every sum under that name.`,
      })
    }
    const turned = !signHolds(row)
    if (turned) {
      findings.push({
        ...base,
        code: 'line_sign',
        expectedMinor: -row.amountMinor,
        actualMinor: row.amountMinor,
        explanation: `Row ${row.id} is a ${row.kind} of ${money(row.amountMinor, row.currency)}: rows of this kind must be ${expectedSign(row.kind) === 1 ? 'positive' : 'negative'}.`,
      })
    }
    if (!arithmeticHolds(row) && !(turned && turningExplainsArithmetic(row))) {
      findings.push({
        ...base,
        code: 'line_arithmetic',
        expectedMinor: row.amountMinor - row.feeMinor,
        actualMinor: row.netMinor,
        explanation: `Row ${row.id} says amount ${money(row.amountMinor, row.currency)}, fee ${money(row.feeMinor, row.currency)} and net ${money(row.netMinor, row.currency)}, but amount minus fee is ${money(row.amountMinor - row.feeMinor, row.currency)}.`,
      })
    }
    return findings
  })
}

/** Second rows for one refund, or for one payment and amount: the later row is the one reported. */
export function judgeRepeatedRows(
  entity: string,
  rows: readonly BalanceTransaction[],
  zone: string,
): Finding[] {
  const firstOf = new Map<string, BalanceTransaction>()
  const findings: Finding[] = []
  for (const row of rows.toSorted((a, b) => a.createdS - b.createdS || compareText(a.id, b.id))) {
    const likeness = likenessOf(row)
    if (likeness === null) continue
    const first = firstOf.get(likeness)
    if (first === undefined) {
      firstOf.set(likeness, row)
      continue
    }
    const what = row.kind === 'from_refund' ? `refund ${row.refundId}` : `the sale ${row.paymentId}`
    findings.push({
      ...rowFacts(entity, row, zone),
      code: 'line_duplicate',
      expectedMinor: 0n,
      actualMinor: row.netMinor,
      explanation: `Row ${row.id} of ${money(row.netMinor, row.currency)} net repeats ${what}, which row ${first.id} already stands for with ${money(first.netMinor, first.currency)} net.`,
    })
  }
  return findings
}

function likenessOf(row: BalanceTransaction): string | null {
  if (row.kind === 'from_refund' && row.refundId !== null) return `refund ${row.refundId}`
  if (row.kind === 'from_transaction' && row.paymentId !== null) {
    return `sale ${row.paymentId} ${row.amountMinor} ${row.currency}`
  }
  return null
}

/** The last day on which a row may still be in no payout. */
function unpaidDue(row: BalanceTransaction, policy: Policy): Day {
  const available = dayOfInstant(row.availableOnS ?? row.createdS, policy.zone)
  return addBusinessDays(available, policy.unpaidAfterDays)
}

/** Rows in no payout: open items until they are due, discrepancies after. */
export function judgeOpenRows(
  entity: string,
  rows: readonly BalanceTransaction[],
  policy: Policy,
  asOf: Day,
): { findings: Finding[]; openItems: OpenItemRow[] } {
  const findings: Finding[] = []
  const openItems: OpenItemRow[] = []
  for (const row of rows) {
    const due = unpaidDue(row, policy)
    const base = rowFacts(entity, row, policy.zone)
    if (due < asOf) {
      findings.push({
        ...base,
        ...notPaidOut(row, due),
        explanation: `${describeRow(row)} was to be paid out by ${due} (${policy.unpaidAfterDays} business days after it became available) and is in no payout.`,
      })
      continue
    }
    openItems.push({
      item: 'row_awaiting_payout',
      id: row.id,
      entity,
      currency: row.currency,
      amountMinor: row.netMinor,
      since: base.day,
      due,
      ageDays: Math.max(0, daysBetween(base.day, asOf)),
      note: `${row.kind}${row.paymentId === null ? '' : ` of ${row.paymentId}`}, not yet in a payout`,
    })
  }
  return { findings, openItems }
}

function notPaidOut(row: BalanceTransaction, due: Day) {
  return {
    code: 'line_not_paid_out',
    expectedMinor: row.netMinor,
    actualMinor: 0n,
    expectedDay: due,
  } as const
}

/** Rows that were due and not paid out, until a later payout took them. */
export function judgeLatePaidRows(
  entity: string,
  rows: readonly BalanceTransaction[],
  payoutDays: ReadonlyMap<string, Day>,
  policy: Policy,
): Finding[] {
  return rows.flatMap((row) => {
    const paidDay =
      row.includedInPayoutId === null ? undefined : payoutDays.get(row.includedInPayoutId)
    const due = unpaidDue(row, policy)
    if (paidDay === undefined || paidDay <= due) return []
    return [
      {
        ...rowFacts(entity, row, policy.zone),
        ...notPaidOut(row, due),
        closed: { day: paidDay, by: `payout ${row.includedInPayoutId} of ${paidDay} paid it out.` },
        explanation: `${describeRow(row)} was to be paid out by ${due} and was in no payout then.`,
      },
    ]
  })
}

function describeRow(row: BalanceTransaction): string {
  return `Row ${row.id} (${row.kind}, ${money(row.netMinor, row.currency)} net)`
}

/** Fields by the names that the provider uses. */
const FIELD_NAMES: Readonly<Record<string, string>> = {
  amountMinor: 'amount',
  feeMinor: 'merchant_fee',
  netMinor: 'net_amount',
  kind: 'kind',
  currency: 'currency',
  paymentId: 'payment_id',
  refundId: 'refund_id',
  payoutId: 'payout_id',
  includedInPayoutId: 'included_in_payout_id',
}

/** A field of `BalanceTransaction` by the name that the provider uses. */
export function fieldName(field: string): string {
  return FIELD_NAMES[field] ?? field
}

/** A change of a row over all looks: from what was first stored to what stands now. */
export interface NetChange {
  readonly row: BalanceTransaction
  readonly vanished: boolean
  readonly fields: ReadonlyMap<
    string,
    { readonly before: string | null; readonly after: string | null }
  >
  readonly seenAsOf: Day
}

/** Folds the changes of each row; a row that is back to what it was has none. */
export function foldChanges(changes: readonly RowChange[]): NetChange[] {
  const byRow = groupBy(changes, (change) => change.row.id)
  return [...byRow.values()].flatMap((rowChanges) => {
    const [first] = rowChanges
    if (first === undefined) return []
    const fields = new Map<string, { before: string | null; after: string | null }>()
    let vanished = false
    for (const { field, before, after } of rowChanges) {
      if (field === 'vanished' || field === 'returned') {
        vanished = field === 'vanished'
        continue
      }
      fields.set(field, { before: (fields.get(field) ?? { before }).before, after })
    }
    for (const [field, { before, after }] of fields) if (before === after) fields.delete(field)
    if (!vanished && fields.size === 0) return []
    const seenAsOf = rowChanges.reduce(
      (day, change) => (change.seenAsOf > day ? change.seenAsOf : day),
      first.seenAsOf,
    )
    return [{ row: first.row, vanished, fields, seenAsOf }]
  })
}

/** What a change did to the net of its row; 0 where it did not touch it. */
function netDelta(change: NetChange): bigint {
  const net = change.fields.get('netMinor')
  if (net?.before == null || net.after == null) return 0n
  return BigInt(net.after) - BigInt(net.before)
}

export function judgeChanges(
  entity: string,
  changes: readonly NetChange[],
  zone: string,
): Finding[] {
  return changes.map((change): Finding => {
    const { row } = change
    const base = { ...rowFacts(entity, row, zone), actualDay: change.seenAsOf }
    if (change.vanished) {
      return {
        ...base,
        code: 'line_vanished',
        ...(row.kind === 'from_payout' ? { echoes: ECHOES_OF_A_PAYOUT_GONE } : {}),
        expectedMinor: row.netMinor,
        actualMinor: 0n,
        explanation: `${describeRow(row)} was in Alma's ledger and is gone from it; seen on ${change.seenAsOf}. It no longer counts in any sum.`,
      }
    }
    const delta = netDelta(change)
    const told = [...change.fields].map(([field, { before, after }]) => {
      const name = fieldName(field)
      const show = (value: string | null): string =>
        value === null
          ? 'nothing'
          : field.endsWith('Minor')
            ? money(BigInt(value), row.currency)
            : value
      return `${name} from ${show(before)} to ${show(after)}`
    })
    return {
      ...base,
      code: 'line_changed',
      echoes: echoesOfChange(new Set(change.fields.keys())),
      expectedMinor: row.netMinor - delta,
      actualMinor: row.netMinor,
      explanation: `Row ${row.id} changed after it was stored: ${told.join(', ')}; seen on ${change.seenAsOf}.`,
    }
  })
}

/** A finding about a row, and by how much it throws the sum of a payout off. */
export interface ResidualCause {
  readonly finding: Finding
  readonly offMinor: bigint
}

/**
 * By how much findings about single rows throw the sums of payouts off: net of its rows minus what
 * they would be without the fault. A residual that equals such a sum follows from them.
 * @returns the causes of each payout that has any, by its id.
 */
export function causesByPayout(
  facts: EntityFacts,
  changes: readonly NetChange[],
  rowFindings: readonly Finding[],
): Map<string, ResidualCause[]> {
  const rows = new Map<string, BalanceTransaction>()
  for (const row of [...facts.suspectRows, ...facts.repeatedRows]) rows.set(row.id, row)
  const changeOf = new Map(changes.map((change) => [change.row.id, change]))
  const causes = new Map<string, ResidualCause[]>()
  for (const finding of rowFindings) {
    const id = finding.balanceTransactionId ?? ''
    const change = changeOf.get(id)
    const row = change?.row ?? rows.get(id)
    if (row === undefined) continue
    const movedFrom = change?.fields.get('includedInPayoutId')?.before
    for (const payoutId of new Set([row.includedInPayoutId, row.payoutId, movedFrom])) {
      const offMinor = payoutId == null ? 0n : offBy(finding, row, change, payoutId)
      if (payoutId == null || offMinor === 0n) continue
      const known = causes.get(payoutId)
      if (known === undefined) causes.set(payoutId, [{ finding, offMinor }])
      else known.push({ finding, offMinor })
    }
  }
  return causes
}

function offBy(
  finding: Finding,
  row: BalanceTransaction,
  change: NetChange | undefined,
  payoutId: string,
): bigint {
  const isIn = row.includedInPayoutId === payoutId
  if (row.kind === 'from_payout')
    return row.payoutId === payoutId ? offByOwnRow(finding, row, change) : 0n
  switch (finding.code) {
    case 'line_vanished':
      return isIn ? -row.netMinor : 0n
    case 'line_changed': {
      if (change === undefined) return 0n
      const moved = change.fields.get('includedInPayoutId')
      const netBefore = row.netMinor - netDelta(change)
      const was = moved === undefined ? isIn : moved.before === payoutId
      return (isIn ? row.netMinor : 0n) - (was ? netBefore : 0n)
    }
    case 'line_duplicate':
    case 'line_unknown_kind':
      return isIn ? row.netMinor : 0n
    case 'line_sign':
      return isIn ? 2n * row.netMinor : 0n
    case 'line_arithmetic':
      return isIn ? row.netMinor - (row.amountMinor - row.feeMinor) : 0n
    default:
      return 0n
  }
}

/** The payout's own row: its net is part of the sum that must be 0. */
function offByOwnRow(
  { code }: Finding,
  row: BalanceTransaction,
  change: NetChange | undefined,
): bigint {
  if (code === 'line_changed') return change === undefined ? 0n : netDelta(change)
  return code === 'line_arithmetic' ? row.netMinor - (row.amountMinor - row.feeMinor) : 0n
}

/** The findings whose effects sum to the residual, if some do; at most ten findings are combined. */
export function explainResidual(
  residualMinor: bigint,
  causes: readonly ResidualCause[],
): Finding[] | null {
  const few = causes
    .toSorted((a, b) => compareAmounts(absolute(b.offMinor), absolute(a.offMinor)))
    .slice(0, 10)
  for (let choice = 1; choice < 1 << few.length; choice += 1) {
    const chosen = few.filter((_, position) => (choice & (1 << position)) !== 0)
    if (chosen.reduce((sum, { offMinor }) => sum + offMinor, 0n) === residualMinor) {
      return chosen.map(({ finding }) => finding)
    }
  }
  return null
}
