import { addDays, type Day, dayOfInstant, startOfDay, weekday } from '../domain/day.ts'
import { isBusinessDay } from '../domain/target-calendar.ts'
import { type Chance, chanceOf } from './chance.ts'
import { idMaker } from './ids.ts'
import type { SandboxAccount, SandboxPayment, SandboxRow } from './model.ts'
import { planFee, SANDBOX_PLANS, type SandboxPlan } from './plans.ts'

export interface LedgerOptions {
  seed: number
  /** First and last day of sales. */
  from: Day
  to: Day
  zone: string
  salesPerDay: number
  name: string
  apiKey: string
  iban: string
  feeVat: 'excluded' | 'included'
  refundFees: 'kept' | 'returned' | 'returned_positive'
  negativeBalance: 'wait' | 'debit'
  lateEveningShare: number
}

/** A transfer between provider and merchant that a ledger gave rise to. */
export interface LedgerPayout {
  id: string
  day: Day
  /** Signed cents from the merchant's side: negative where the provider debits. */
  amount: number
  /** Its line at the bank does not name it, whatever the bank's habits. */
  unnamed?: boolean
}

/**
 * After so many payout days on which deductions outweighed sales, the provider evens the balance out,
 * so that no row of a clean world waits long enough to be reported.
 */
const WAITING_PAYOUT_DAYS_MAX = 6

/** After the last sale everything is paid out within so many calendar days. */
const EPILOGUE_DAYS = 15

const SALES_BY_WEEKDAY = [0.9, 0.85, 0.95, 1, 1.1, 1.3, 0.9]

type Happening =
  | { atMs: number; what: 'sale'; plan: SandboxPlan; amount: number; refunds: PlannedRefund[] }
  | { atMs: number; what: 'refund'; payment: SandboxPayment; amount: number }
  | { atMs: number; what: 'fee_waiver'; payment: SandboxPayment; amount: number }
  | { atMs: number; what: 'adjustment'; amount: number; comment: string }
  | { atMs: number; what: 'payout'; day: Day; overdrawn: boolean; last: boolean }

interface PlannedRefund {
  afterMs: number
  amount: number
}

const MS_PER_DAY = 86_400_000

/** One account's life, event by event in the order of time: sales, refunds, payouts, all exact. */
export function createLedger(options: LedgerOptions): {
  account: SandboxAccount
  payouts: LedgerPayout[]
} {
  const { zone, seed, name } = options
  const chance = chanceOf(`${seed}/${name}/ledger`)
  const newId = idMaker(chanceOf(`${seed}/${name}/ids`))
  const merchantId = newId('merchant', startOfDay(options.from, zone) * 1000 - 400 * MS_PER_DAY)
  const account: SandboxAccount = {
    name,
    apiKey: options.apiKey,
    merchantId,
    iban: options.iban,
    rows: [],
    payments: new Map(),
    feeVat: options.feeVat,
  }
  const payouts: LedgerPayout[] = []
  const queue = timeline(options, chance)
  let pending: SandboxRow[] = []
  let waitingPayoutDays = 0
  let orders = 0
  let latestMs = 0

  const addRow = (atMs: number, row: Partial<SandboxRow> & { kind: string; amount: number }) => {
    const created = Math.floor(atMs / 1000)
    const fee = row.merchant_fee ?? 0
    const added: SandboxRow = {
      id: newId('balance_txn', atMs),
      merchant_id: merchantId,
      merchant_fee: fee,
      net_amount: row.amount - fee,
      payment_id: null,
      refund_id: null,
      payout_id: null,
      included_in_payout_id: null,
      comment: null,
      created,
      updated: created,
      available_on: created,
      ...row,
    }
    account.rows.push(added)
    latestMs = Math.max(latestMs, atMs)
    if (added.kind !== 'from_payout') pending.push(added)
  }

  const sell = (sale: Happening & { what: 'sale' }): void => {
    // The checkout opens two seconds before the payment is accepted.
    const openedMs = sale.atMs - 2_000
    orders += 1
    const payment: SandboxPayment = {
      id: newId('payment', openedMs),
      created: Math.floor(openedMs / 1000),
      purchase_amount: sale.amount,
      kind: sale.plan.kind,
      installments_count: sale.plan.installments,
      deferred_days: sale.plan.deferredDays,
      deferred_months: 0,
      state: 'in_progress',
      refunds: [],
      customer: customer(chance, orders),
      orders: [
        {
          id: newId('order', openedMs),
          created: Math.floor(openedMs / 1000),
          merchant_reference: chance.happens(0.02) ? null : `CMD-${String(40_000 + orders)}`,
        },
      ],
      merchant_fee: planFee(sale.plan, sale.amount, options.feeVat),
    }
    account.payments.set(payment.id, payment)
    const soldOn = dayOfInstant(Math.floor(sale.atMs / 1000), zone)
    addRow(sale.atMs, {
      kind: 'from_transaction',
      amount: sale.amount,
      merchant_fee: payment.merchant_fee ?? 0,
      payment_id: payment.id,
      available_on: startOfDay(addDays(soldOn, 1), zone),
    })
    for (const { afterMs, amount } of sale.refunds) {
      queue.add({ atMs: sale.atMs + afterMs, what: 'refund', payment, amount })
    }
  }

  const refund = (atMs: number, payment: SandboxPayment, amount: number): void => {
    const id = newId('refund', atMs)
    payment.refunds.push({
      id,
      created: Math.floor(atMs / 1000),
      amount,
      merchant_reference: payment.orders[0]?.merchant_reference ?? null,
    })
    const fee = payment.merchant_fee ?? 0
    const returned =
      options.refundFees === 'kept' ? 0 : Math.floor((fee * amount) / payment.purchase_amount)
    const net = returned - amount
    addRow(atMs, {
      kind: 'from_refund',
      amount: -amount,
      merchant_fee: options.refundFees === 'returned_positive' ? returned : -returned + 0,
      net_amount: net,
      payment_id: payment.id,
      refund_id: id,
    })
    if (refundedOf(payment) < payment.purchase_amount) return
    payment.state = 'paid'
    if (options.refundFees === 'kept' && fee > 0 && chance.happens(0.4)) {
      const waivedMs = atMs + chance.whole(1, 3) * MS_PER_DAY
      queue.add({ atMs: waivedMs, what: 'fee_waiver', payment, amount: fee })
    }
  }

  const payOut = (event: Happening & { what: 'payout' }): void => {
    let atMs = event.atMs
    const due = (): SandboxRow[] =>
      pending.filter((row) => event.last || row.available_on * 1000 <= atMs)
    const owed = (): number => due().reduce((total, row) => total + row.net_amount, 0)
    if (event.overdrawn) {
      // Large refunds just before the payout, until more is taken back than was sold.
      const refundable = [...account.payments.values()]
        .filter((payment) => payment.refunds.length === 0)
        .sort((a, b) => b.purchase_amount - a.purchase_amount)
      for (const payment of refundable) {
        if (owed() < 0) break
        refund(latestMs + 7_000, payment, payment.purchase_amount)
        atMs = Math.max(atMs, latestMs + 1_000)
      }
    }
    if (due().length === 0) return
    const mustPay = event.last || waitingPayoutDays >= WAITING_PAYOUT_DAYS_MAX
    if (owed() <= 0 && !(options.negativeBalance === 'debit' && owed() < 0)) {
      if (!mustPay) {
        waitingPayoutDays += 1
        return
      }
      addRow(latestMs + 1_000, {
        kind: 'from_adjustment',
        amount: 5_000 - owed(),
        comment: 'Apurement du solde',
      })
      atMs = Math.max(atMs, latestMs + 1_000)
    }
    waitingPayoutDays = 0
    const rows = due()
    const amount = rows.reduce((total, row) => total + row.net_amount, 0)
    const id = newId('payout', atMs)
    addRow(atMs + 40, { kind: 'from_payout', amount: -amount, payout_id: id })
    const paidS = Math.floor(atMs / 1000)
    for (const row of rows) {
      row.included_in_payout_id = id
      row.updated = paidS
    }
    pending = pending.filter((row) => row.included_in_payout_id === null)
    payouts.push({ id, day: event.day, amount })
  }

  for (let event = queue.next(); event !== undefined; event = queue.next()) {
    // A payout may have been held up by the refunds before it; whatever comes next comes after it.
    const atMs = Math.max(event.atMs, latestMs)
    switch (event.what) {
      case 'sale':
        sell({ ...event, atMs })
        break
      case 'refund': {
        const left = event.payment.purchase_amount - refundedOf(event.payment)
        if (left > 0) refund(atMs, event.payment, Math.min(event.amount, left))
        break
      }
      case 'fee_waiver':
        addRow(atMs, {
          kind: 'from_fee_waiver',
          amount: event.amount,
          payment_id: event.payment.id,
          comment: 'Frais remboursés',
        })
        break
      case 'adjustment':
        addRow(atMs, {
          kind: 'from_adjustment',
          amount: event.amount,
          comment: event.comment,
        })
        break
      case 'payout':
        payOut({ ...event, atMs })
        break
    }
  }
  return { account, payouts }
}

export function refundedOf(payment: SandboxPayment): number {
  return payment.refunds.reduce((total, refund) => total + refund.amount, 0)
}

interface Timeline {
  add(happening: Happening): void
  next(): Happening | undefined
}

/** What is known beforehand, sorted by time; what follows from it is added on the way. */
function timeline(options: LedgerOptions, chance: Chance): Timeline {
  const { from, to, zone } = options
  const known = [...sales(options, chance), ...payoutTimes(options, chance)]
  const middle = addDays(from, Math.floor(daysOf(from, to).length * 0.45))
  known.push({
    atMs: startOfDay(middle, zone) * 1000 + 11 * 3_600_000,
    what: 'adjustment',
    amount: 2_500,
    comment: 'Geste commercial',
  })
  known.sort((a, b) => a.atMs - b.atMs)
  // Refunds and waivers are few beside sales: a sorted list of their own keeps insertion cheap.
  const added: Happening[] = []
  const endMs = startOfDay(addDays(to, 1), zone) * 1000
  let at = 0
  return {
    add: (happening) => {
      // What would come after the last day of business does not come at all.
      if (happening.atMs >= endMs) return
      let low = 0
      let high = added.length
      while (low < high) {
        const half = (low + high) >>> 1
        if ((added[half]?.atMs ?? Infinity) > happening.atMs) low = half + 1
        else high = half
      }
      added.splice(low, 0, happening)
    },
    next: () => {
      const coming = known[at]
      const inserted = added.at(-1)
      if (inserted !== undefined && (coming === undefined || inserted.atMs < coming.atMs)) {
        return added.pop()
      }
      at += 1
      return coming
    },
  }
}

export function daysOf(from: Day, to: Day): Day[] {
  const days: Day[] = []
  for (let day = from; day <= to; day = addDays(day, 1)) days.push(day)
  return days
}

function sales(options: LedgerOptions, chance: Chance): Happening[] {
  const weights = SANDBOX_PLANS.flatMap((plan) => Array.from({ length: plan.weight }, () => plan))
  return daysOf(options.from, options.to).flatMap((day) => {
    const mean = options.salesPerDay * (SALES_BY_WEEKDAY[weekday(day) - 1] ?? 1)
    const count = Math.max(1, Math.round(mean * (0.75 + chance.fraction() / 2)))
    const startMs = startOfDay(day, options.zone) * 1000
    const lengthMs = startOfDay(addDays(day, 1), options.zone) * 1000 - startMs
    return Array.from({ length: count }, () => {
      // Most sales fall between late morning and evening; some around midnight, where days are told apart.
      const hour = chance.happens(0.04)
        ? chance.one([0.0003, 0.004, 0.9996, 0.9999])
        : 0.33 + 0.65 * Math.sqrt(chance.fraction())
      const plan = chance.one(weights)
      const amount = price(chance, plan)
      const atMs = Math.floor(startMs + lengthMs * Math.min(hour, 0.9999))
      return { atMs, what: 'sale' as const, plan, amount, refunds: refundsOf(chance, amount) }
    })
  })
}

/** A shop's prices: mostly ending in 90 or 00 cents, with shipping or vouchers now and then. */
function price(chance: Chance, plan: SandboxPlan): number {
  const spread = plan.mostAmount - plan.leastAmount
  const euros = Math.floor((plan.leastAmount + spread * chance.fraction() ** 2) / 100)
  const cents = chance.one([0, 0, 90, 90, 90, 99, 50, chance.whole(1, 98)])
  return euros * 100 + cents
}

function refundsOf(chance: Chance, amount: number): PlannedRefund[] {
  if (!chance.happens(0.09)) return []
  const firstAfterMs = Math.floor(MS_PER_DAY * (0.02 + 11 * chance.fraction() ** 1.5))
  if (chance.happens(0.55)) return [{ afterMs: firstAfterMs, amount }]
  const first = Math.max(100, Math.floor((amount * chance.whole(10, 60)) / 1000) * 10)
  const refunds = [{ afterMs: firstAfterMs, amount: first }]
  if (chance.happens(0.4)) {
    const secondAfterMs = firstAfterMs + Math.floor(MS_PER_DAY * (0.1 + 6 * chance.fraction()))
    // Now and then a second refund of the same amount, which is a refund of its own.
    const second = chance.happens(0.2) ? Math.min(first, amount - first) : amount - first
    refunds.push({ afterMs: secondAfterMs, amount: second })
  }
  return refunds
}

/**
 * A payout on each business day, shortly after midnight or in the evening; the day about a third into
 * the time is one on which refunds exceed sales. After the last sale, until everything is paid.
 */
function payoutTimes(options: LedgerOptions, chance: Chance): Happening[] {
  const { from, to, zone } = options
  const businessDays = daysOf(from, to).filter(isBusinessDay)
  const overdrawnDay = businessDays[Math.floor(businessDays.length * 0.35)]
  const epilogue = daysOf(addDays(to, 1), addDays(to, EPILOGUE_DAYS)).filter(isBusinessDay)
  const days = [...businessDays, ...epilogue]
  const evening = chanceOf(`${options.seed}/${options.name}/evening`)
  return days.map((day) => {
    const overdrawn = day === overdrawnDay && businessDays.length >= 10
    const usual =
      overdrawn || chance.happens(0.5) ? 20.5 * 60 + chance.whole(0, 150) : chance.whole(4, 90)
    const isLate = !overdrawn && evening.happens(options.lateEveningShare)
    const minutes = isLate ? 23 * 60 + 58 : usual
    return {
      atMs: (startOfDay(day, zone) + minutes * 60 + chance.whole(0, 59)) * 1000 + 310,
      what: 'payout',
      day,
      overdrawn,
      last: day === days.at(-1),
    }
  })
}

const FIRST_NAMES = ['Camille', 'Léa', 'Hugo', 'Inès', 'Jules', 'Chloé', 'Noé', 'Anaïs', 'Théo']
const LAST_NAMES = ['Martin', 'Petit', "L'Hostis", 'Da Silva', 'Lefèvre', 'Müller', 'Roux; Fils']

/** Invented people. Some names hold what trips a careless CSV reader. */
function customer(chance: Chance, number: number): SandboxPayment['customer'] {
  return {
    first_name: chance.happens(0.01) ? 'Jo "Jojo"' : chance.one(FIRST_NAMES),
    last_name: chance.happens(0.01) ? 'Durand, née Costa' : chance.one(LAST_NAMES),
    email: `client.${String(number)}@example.com`,
  }
}
