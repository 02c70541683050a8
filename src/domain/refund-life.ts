import type { BalanceTransaction } from './balance-transaction.ts'
import { compareText, groupBy } from './collections.ts'
import { type Day, dayOfInstant, daysBetween } from './day.ts'
import type { EntityFacts, LookedUpPayment, Policy } from './facts.ts'
import { type Finding, money } from './findings.ts'
import { absolute, type Currency } from './money.ts'
import type { NetChange } from './ledger-rows.ts'
import type { Payment, Refund } from './payment.ts'
import { type Period, periodContains } from './period.ts'
import type { OpenItemRow, RefundRow, RefundStatus } from './reconciliation.ts'
import { addBusinessDays } from './target-calendar.ts'

/**
 * The life of refunds (contract, section 3.D): asked for on a payment, taken in the ledger, deducted
 * from a payout. Each refund is one item, whichever of the two sides knows it.
 */
interface RefundItem {
  readonly refundId: string
  readonly paymentId: string | null
  /** Its first ledger row; further rows are `line_duplicate`. */
  readonly row: BalanceTransaction | null
  /** How its payment knows it; null if the payment does not, or was not looked up. */
  readonly refund: Refund | null
  readonly payment: LookedUpPayment | null
  /** Refunds of its payment with the row's amount that the ledger does not have. */
  readonly likeIt: readonly string[]
}

export interface RefundJudgement {
  readonly findings: readonly Finding[]
  readonly rows: readonly RefundRow[]
  readonly openItems: readonly OpenItemRow[]
}

export function judgeRefunds(
  facts: EntityFacts,
  changes: readonly NetChange[],
  payoutDays: ReadonlyMap<string, Day>,
  context: { policy: Policy; period: Period; asOf: Day; currency: Currency },
): RefundJudgement {
  const items = refundItems(facts)
  const explained = refundsExplainedByChanges(changes)
  const findings: Finding[] = []
  const rows: RefundRow[] = []
  const openItems: OpenItemRow[] = []
  for (const item of items) {
    const judged = judgeItem(facts.entity, item, explained, context)
    if (judged.finding !== null) findings.push(judged.finding)
    if (judged.openItem !== null) openItems.push(judged.openItem)
    const row = refundRow(facts.entity, item, judged, payoutDays, context)
    if (row !== null) rows.push(row)
  }
  for (const { payment } of facts.payments) {
    const finding = payment === null ? null : judgeTotal(facts.entity, payment, context)
    if (finding !== null) findings.push(finding)
  }
  return { findings, rows, openItems }
}

function refundItems(facts: EntityFacts): RefundItem[] {
  const payments = new Map(facts.payments.map((payment) => [payment.paymentId, payment]))
  const refundOnPayment = new Map<string, { refund: Refund; paymentId: string }>()
  for (const { paymentId, payment } of facts.payments) {
    for (const refund of payment?.refunds ?? [])
      refundOnPayment.set(refund.id, { refund, paymentId })
  }
  const rowsOf = groupBy(
    facts.refundRows.filter((row) => row.refundId !== null),
    (row) => row.refundId ?? '',
  )
  const items: RefundItem[] = []
  for (const [refundId, rows] of rowsOf) {
    const [row] = rows.toSorted((a, b) => a.createdS - b.createdS || compareText(a.id, b.id))
    if (row === undefined) continue
    const known = refundOnPayment.get(refundId)
    const paymentId = row.paymentId ?? known?.paymentId ?? null
    // A refund that stands on another payment than its row names is not this payment's refund.
    const refund = known !== undefined && known.paymentId === paymentId ? known.refund : null
    const payment = payments.get(paymentId ?? '') ?? null
    const likeIt = (payment?.payment?.refunds ?? [])
      .filter(({ id, amountMinor }) => !rowsOf.has(id) && amountMinor === absolute(row.amountMinor))
      .map(({ id }) => id)
      .toSorted(compareText)
    items.push({ refundId, paymentId, row, refund, payment, likeIt })
  }
  for (const [refundId, { refund, paymentId }] of refundOnPayment) {
    if (!rowsOf.has(refundId)) {
      items.push({
        refundId,
        paymentId,
        row: null,
        refund,
        payment: payments.get(paymentId) ?? null,
        likeIt: [],
      })
    }
  }
  return items.toSorted((a, b) => compareText(a.refundId, b.refundId))
}

/** Refunds whose break only follows from a row that vanished or changed: that row is the finding. */
function refundsExplainedByChanges(changes: readonly NetChange[]): Map<string, string> {
  const explained = new Map<string, string>()
  for (const { row, vanished, fields } of changes) {
    const refundField = fields.get('refundId')
    for (const refundId of [refundField?.before, refundField?.after]) {
      if (refundId != null) explained.set(refundId, row.id)
    }
    if (row.refundId === null) continue
    if (vanished || fields.has('amountMinor') || fields.has('paymentId') || fields.has('kind')) {
      explained.set(row.refundId, row.id)
    }
  }
  return explained
}

interface JudgedItem {
  readonly finding: Finding | null
  readonly openItem: OpenItemRow | null
  readonly note: string
}

function judgeItem(
  entity: string,
  item: RefundItem,
  explained: ReadonlyMap<string, string>,
  context: { policy: Policy; asOf: Day; currency: Currency },
): JudgedItem {
  const cause = explained.get(item.refundId)
  if (cause !== undefined)
    return { finding: null, openItem: null, note: `see row ${cause}, which changed` }
  if (item.row === null) return judgeNotInLedger(entity, item, context)
  const finding =
    judgeInLedger(entity, item, item.row, context.policy) ??
    lateInLedger(entity, item, item.row, context.policy)
  return { finding, openItem: null, note: '' }
}

function itemFacts(entity: string, item: RefundItem, day: Day, currency: Currency) {
  return {
    entity,
    key: item.refundId,
    refundId: item.refundId,
    paymentId: item.paymentId,
    balanceTransactionId: item.row?.id ?? null,
    payoutId: item.row?.includedInPayoutId ?? null,
    currency,
    day,
    closed: null,
  } as const
}

function judgeInLedger(
  entity: string,
  item: RefundItem,
  row: BalanceTransaction,
  policy: Policy,
): Finding | null {
  const { currency } = row
  const deductedMinor = absolute(row.amountMinor)
  const base = itemFacts(entity, item, dayOfInstant(row.createdS, policy.zone), currency)
  const deducted = `Row ${row.id} deducts ${money(deductedMinor, currency)} for refund ${item.refundId}`
  if (item.payment === null) return null
  if (item.payment.payment === null) {
    return {
      ...base,
      code: 'refund_without_payment',
      expectedMinor: 0n,
      actualMinor: deductedMinor,
      explanation: `${deducted} of ${item.paymentId}, a payment that Alma says does not exist.`,
    }
  }
  if (item.refund === null) {
    return {
      ...base,
      code: 'refund_unknown',
      expectedMinor: 0n,
      actualMinor: deductedMinor,
      explanation: `${deducted}, which its payment ${item.paymentId} does not have.${alikeSentence(item)}`,
    }
  }
  if (item.refund.amountMinor !== deductedMinor) {
    return {
      ...base,
      code: 'refund_amount',
      expectedMinor: item.refund.amountMinor,
      actualMinor: deductedMinor,
      explanation: `${deducted}, but on payment ${item.paymentId} that refund is ${money(item.refund.amountMinor, currency)}.`,
    }
  }
  return null
}

/** The payment may know the refund under another id. */
function alikeSentence({ likeIt }: RefundItem): string {
  return likeIt.length === 0
    ? ''
    : ` The payment has ${likeIt.join(', ')} of the same amount, which the ledger does not have.`
}

function notDeducted(refund: Refund, policy: Policy): { askedDay: Day; due: Day } {
  const askedDay = dayOfInstant(refund.createdS, policy.zone)
  return { askedDay, due: addBusinessDays(askedDay, policy.unpaidAfterDays) }
}

/** A refund that was due in the ledger before it came there. */
function lateInLedger(
  entity: string,
  item: RefundItem,
  row: BalanceTransaction,
  policy: Policy,
): Finding | null {
  if (item.refund === null) return null
  const { askedDay, due } = notDeducted(item.refund, policy)
  const rowDay = dayOfInstant(row.createdS, policy.zone)
  if (rowDay <= due) return null
  return {
    ...itemFacts(entity, item, askedDay, row.currency),
    code: 'refund_not_deducted',
    closed: { day: rowDay, by: `row ${row.id} of ${rowDay} deducts it.` },
    expectedMinor: item.refund.amountMinor,
    actualMinor: 0n,
    expectedDay: due,
    actualDay: rowDay,
    explanation: `Refund ${item.refundId} of ${money(item.refund.amountMinor, row.currency)} was asked on ${askedDay} and was not in Alma's ledger by ${due}.`,
  }
}

function judgeNotInLedger(
  entity: string,
  item: RefundItem,
  { policy, asOf, currency }: { policy: Policy; asOf: Day; currency: Currency },
): JudgedItem {
  const { refund } = item
  if (refund === null) return { finding: null, openItem: null, note: '' }
  const { askedDay, due } = notDeducted(refund, policy)
  if (due < asOf) {
    const finding: Finding = {
      ...itemFacts(entity, item, askedDay, currency),
      code: 'refund_not_deducted',
      expectedMinor: refund.amountMinor,
      actualMinor: 0n,
      expectedDay: due,
      explanation: `Refund ${item.refundId} of ${money(refund.amountMinor, currency)} was asked on ${askedDay} on payment ${item.paymentId}, and Alma's ledger has not deducted it by ${due}.`,
    }
    return { finding, openItem: null, note: '' }
  }
  const openItem: OpenItemRow = {
    item: 'refund_awaiting_ledger',
    id: item.refundId,
    entity,
    currency,
    amountMinor: -refund.amountMinor,
    since: askedDay,
    due,
    ageDays: Math.max(0, daysBetween(askedDay, asOf)),
    note: `asked on payment ${item.paymentId}, not yet in the ledger`,
  }
  return { finding: null, openItem, note: '' }
}

function judgeTotal(
  entity: string,
  payment: Payment,
  { policy, currency }: { policy: Policy; currency: Currency },
): Finding | null {
  let totalMinor = 0n
  const inOrder = payment.refunds.toSorted(
    (a, b) => a.createdS - b.createdS || compareText(a.id, b.id),
  )
  for (const refund of inOrder) {
    totalMinor += refund.amountMinor
    if (totalMinor <= payment.purchaseAmountMinor) continue
    const allMinor = inOrder.reduce((sum, { amountMinor }) => sum + amountMinor, 0n)
    return {
      code: 'refund_exceeds_payment',
      entity,
      key: payment.id,
      currency,
      day: dayOfInstant(refund.createdS, policy.zone),
      closed: null,
      paymentId: payment.id,
      refundId: refund.id,
      expectedMinor: payment.purchaseAmountMinor,
      actualMinor: allMinor,
      explanation: `${inOrder.length === 1 ? 'The refund' : `The ${inOrder.length} refunds`} of payment ${payment.id} ${inOrder.length === 1 ? 'is' : 'add up to'} ${money(allMinor, currency)}, more than the purchase of ${money(payment.purchaseAmountMinor, currency)}; refund ${refund.id} of ${dayOfInstant(refund.createdS, policy.zone)} went over it.`,
    }
  }
  return null
}

/** The refund's line in the report of the period: refunds of its days, and earlier ones still open. */
function refundRow(
  entity: string,
  item: RefundItem,
  { finding, note }: JudgedItem,
  payoutDays: ReadonlyMap<string, Day>,
  context: { policy: Policy; period: Period; asOf: Day; currency: Currency },
): RefundRow | null {
  const { policy, period, currency } = context
  const createdS = item.row?.createdS ?? item.refund?.createdS
  if (createdS === undefined) return null
  const createdDay = dayOfInstant(createdS, policy.zone)
  if (createdDay > period.last) return null
  const payoutId = item.row?.includedInPayoutId ?? null
  const broken = finding !== null && finding.closed === null
  const status: RefundStatus = broken
    ? 'discrepancy'
    : item.row === null
      ? 'not_in_ledger'
      : payoutId === null
        ? 'awaiting_payout'
        : 'deducted'
  if (!periodContains(period, createdDay) && status === 'deducted') return null
  return {
    refundId: item.refundId,
    entity,
    currency: item.row?.currency ?? currency,
    paymentId: item.paymentId,
    balanceTransactionId: item.row?.id ?? null,
    refundedMinor: item.refund?.amountMinor ?? null,
    deductedMinor: item.row === null ? null : absolute(item.row.amountMinor),
    payoutId,
    createdDay,
    deductedDay: payoutId === null ? null : (payoutDays.get(payoutId) ?? null),
    status,
    note: [
      ...(broken ? [finding.code] : []),
      ...(note === '' ? [] : [note]),
      ...lifeOf(item, payoutDays, context),
    ].join('; '),
  }
}

/** The stations of a refund, each with its day: asked, in the ledger, deducted, and its fee. */
function lifeOf(
  { refund, row, payment }: RefundItem,
  payoutDays: ReadonlyMap<string, Day>,
  { policy, asOf }: { policy: Policy; asOf: Day },
): string[] {
  const dayOf = (createdS: number): Day => dayOfInstant(createdS, policy.zone)
  const waiting = (since: Day): string => daysPhrase(Math.max(0, daysBetween(since, asOf)))
  const stations: string[] = []
  if (refund !== null) stations.push(`asked on ${dayOf(refund.createdS)}`)
  else if (payment === null) stations.push('its payment was not looked up')
  else stations.push(payment.payment === null ? 'its payment does not exist' : 'not on its payment')
  if (row === null) {
    if (refund !== null) stations.push(`not in the ledger for ${waiting(dayOf(refund.createdS))}`)
    return stations
  }
  const ledgerDay = dayOf(row.createdS)
  stations.push(`in the ledger on ${ledgerDay}`)
  const payoutId = row.includedInPayoutId
  if (payoutId === null) {
    stations.push(`waits for a payout for ${waiting(ledgerDay)}`)
  } else {
    const paidDay = payoutDays.get(payoutId)
    stations.push(`deducted from ${payoutId}${paidDay === undefined ? '' : ` on ${paidDay}`}`)
  }
  return [...stations, feePhrase(row)]
}

/** What net and amount differ by is the fee of the sale that came back, whichever way its sign is written. */
function feePhrase({ netMinor, amountMinor, currency }: BalanceTransaction): string {
  const givenBackMinor = netMinor - amountMinor
  if (givenBackMinor > 0n) return `${money(givenBackMinor, currency)} of the fee given back`
  if (givenBackMinor < 0n) return `a further fee of ${money(-givenBackMinor, currency)}`
  return 'no fee given back'
}

function daysPhrase(days: number): string {
  return days === 1 ? '1 day' : `${days} days`
}
