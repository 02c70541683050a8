import { chanceOf } from './chance.ts'
import { idAt, type IdType } from './ids.ts'
import type { SandboxAccount, SandboxPayment, SandboxRow } from './model.ts'
import { planFee, SANDBOX_PLANS, type SandboxPlan } from './plans.ts'

/**
 * Index of the first item that is not before the wanted place, in a list that is in order.
 * @param isBefore whether an item lies before that place
 */
export function lowerBound<T>(items: readonly T[], isBefore: (item: T) => boolean): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items[middle]
    if (item !== undefined && isBefore(item)) low = middle + 1
    else high = middle
  }
  return low
}

/** An id for something added to a finished world: it sorts by its moment, and repeats with its label. */
export function lateId(type: IdType, createdS: number, label: string): string {
  return idAt(type, createdS * 1000 + 500, chanceOf(`${type}/${createdS}/${label}`))
}

/** A row with everything that is not given empty, and as net what is left of the amount after the fee. */
export function newRow(
  account: SandboxAccount,
  row: Partial<SandboxRow> & { kind: string; amount: number; created: number },
): SandboxRow {
  const fee = row.merchant_fee ?? 0
  return {
    id: lateId('balance_txn', row.created, `${account.name}/${row.kind}/${account.rows.length}`),
    merchant_id: account.merchantId,
    merchant_fee: fee,
    net_amount: row.amount - fee,
    payment_id: null,
    refund_id: null,
    payout_id: null,
    included_in_payout_id: null,
    comment: null,
    updated: row.created,
    available_on: row.created,
    ...row,
  }
}

/** Puts a row where its id sorts. */
export function insertRow(account: SandboxAccount, row: SandboxRow): void {
  account.rows.splice(
    lowerBound(account.rows, ({ id }) => id < row.id),
    0,
    row,
  )
}

/** Payments in the order of their ids, oldest first. */
export function paymentsInOrder(account: SandboxAccount): SandboxPayment[] {
  const payments = [...account.payments.values()]
  const inOrder = payments.every((payment, at) => (payments[at - 1]?.id ?? '') < payment.id)
  return inOrder ? payments : payments.sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** P3X for sales that are added by hand, P1X for those that may be as large as a payout. */
function planNamed(wanted: 'P3X' | 'P1X'): SandboxPlan {
  const plan = SANDBOX_PLANS.find(({ kind }) => kind === wanted)
  if (plan === undefined) throw new Error(`the plan ${wanted} is not among the plans`)
  return plan
}

/** A sale that leaves exactly this much after its fee; otherwise as `addSale`. */
export function addSaleOfNet(account: SandboxAccount, createdS: number, net: number): SandboxRow {
  const plan = planNamed('P1X')
  let amount = net
  // A cent more of purchase is a cent more of net, or of fee: so each net has its purchase.
  while (amount - planFee(plan, amount, account.feeVat ?? 'excluded') < net) amount += 1
  return addSaleIn(plan, account, createdS, amount)
}

/** A sale like any other that is not paid out yet. */
export function addSale(account: SandboxAccount, createdS: number, amount: number): SandboxRow {
  return addSaleIn(planNamed('P3X'), account, createdS, amount)
}

function addSaleIn(
  plan: SandboxPlan,
  account: SandboxAccount,
  createdS: number,
  amount: number,
): SandboxRow {
  const label = `${account.name}/sale/${account.rows.length}`
  const payment: SandboxPayment = {
    id: lateId('payment', createdS, label),
    created: createdS,
    purchase_amount: amount,
    kind: plan.kind,
    installments_count: plan.installments,
    deferred_days: 0,
    deferred_months: 0,
    state: 'in_progress',
    refunds: [],
    customer: { first_name: 'Alex', last_name: 'Exemple', email: 'alex@example.com' },
    orders: [{ id: lateId('order', createdS, label), created: createdS, merchant_reference: null }],
    merchant_fee: planFee(plan, amount, account.feeVat ?? 'excluded'),
  }
  account.payments.set(payment.id, payment)
  const row = newRow(account, {
    kind: 'from_transaction',
    amount,
    merchant_fee: payment.merchant_fee ?? 0,
    created: createdS,
    payment_id: payment.id,
    available_on: createdS + 86_400,
  })
  insertRow(account, row)
  return row
}
