import { addDays, type Day, dayOfInstant, parseDay, startOfDay } from '../domain/day.ts'
import { formatAmount } from '../domain/money.ts'
import { parsePeriod, type Period, periodContains, weekOf } from '../domain/period.ts'
import type { DiscrepancyCode } from '../domain/reconciliation.ts'
import { addBusinessDays, businessDaysBetween, isBusinessDay } from '../domain/target-calendar.ts'
import { insertLine, plainLine } from './bank-account.ts'
import { bankFileOf } from './bank-files.ts'
import { addSaleOfNet, insertRow, lateId, newRow } from './edit.ts'
import { frenchIban } from './iban.ts'
import { daysOf } from './ledger.ts'
import type {
  BankLine,
  ExportEdits,
  SandboxAccount,
  SandboxBankAccount,
  SandboxPayment,
  SandboxRow,
  SandboxWorld,
} from './model.ts'
import { planFee, SANDBOX_PLANS, vatOfFee } from './plans.ts'
import { DEMO_WEEK } from './world.ts'

/** `fee_rate` shows only where fees are configured, `late_change` only of a period that was closed before. */
export type PlantedCode = DiscrepancyCode

export interface PlantedBreak {
  code: PlantedCode
  /** Label of the period in which the broken thing has its day. By default `DEMO_WEEK`, or the middle week. */
  period?: string
  /** Name of the account; by default the first. */
  entity?: string
  /**
   * Another way to the same code. `refund` for `line_duplicate`: a refund that is deducted twice.
   * `merged` for `deposit_ambiguous`: one credit that either of two pairs of payouts adds up to.
   * `unnamed` for `deposit_late`, `deposit_amount`, `deposit_returned` and `deposit_wrong_account`:
   * the bank line does not name the payout.
   */
  variant?: 'refund' | 'merged' | 'unnamed'
}

export interface Planted {
  code: PlantedCode
  entity: string
  /** The columns that identify the finding in `discrepancies.csv`. */
  key: {
    payout_id?: string
    balance_transaction_id?: string
    refund_id?: string
    payment_id?: string
    bank_reference?: string
    bank_file?: string
  }
  /** What happened, in one sentence. */
  story: string
}

type Finding = Pick<Planted, 'key' | 'story'>

/**
 * Breaks a clean world in one way, so that exactly one discrepancy results. Several breaks may be
 * planted in turn: each takes a payout, row or payment that no earlier one took.
 *
 * `line_changed` and `line_vanished` are differences between two looks: plant them between two runs.
 * With the world's clock (`nowS`) on the first look, they strike a row that no payout had taken by
 * then; `line_vanished` needs that, or the payout would no longer add up.
 * @throws Error if the world has nothing that could break this way.
 */
export function plant(world: SandboxWorld, wanted: PlantedBreak | PlantedCode): Planted {
  const { code, period, entity, variant }: PlantedBreak =
    typeof wanted === 'string' ? { code: wanted } : wanted
  const account = world.accounts.find(({ name }) => entity === undefined || name === entity)
  if (account === undefined) throw new Error(`the world has no account named ${entity ?? 'at all'}`)
  const bank = world.bankAccounts.find(({ iban }) => iban === account.iban)
  if (bank === undefined) throw new Error(`the world has no bank account ${account.iban}`)
  let taken = takenIn.get(world)
  if (taken === undefined) takenIn.set(world, (taken = new Set()))
  const scene: Scene = {
    world,
    account,
    bank,
    period: period === undefined ? usualPeriod(account) : parsePeriod(period),
    taken,
    variant,
  }
  return { code, entity: account.name, ...PLANTS[code](scene) }
}

/** The demo's breaks: eight of `DEMO_WEEK`, and one of the week before that is still open. */
export function plantDemo(world: SandboxWorld): Planted[] {
  const weekBefore = weekOf(addDays(parsePeriod(DEMO_WEEK).first, -7)).label
  // Rows first: they take the week's first sales, so that what must age a while ages longest. Of the
  // payouts, those with the narrowest choice first.
  const codes: PlantedCode[] = [
    'line_not_paid_out',
    'refund_not_deducted',
    'refund_amount',
    'export_differs',
    'deposit_missing',
    'deposit_duplicate',
    'deposit_amount',
    'deposit_late',
  ]
  return [
    ...codes.map((code) => plant(world, { code, period: DEMO_WEEK })),
    plant(world, { code: 'deposit_unexpected', period: weekBefore }),
  ]
}

interface Scene {
  world: SandboxWorld
  account: SandboxAccount
  bank: SandboxBankAccount
  period: Period
  /** Ids of what an earlier break already uses. */
  taken: Set<string>
  variant: PlantedBreak['variant']
}

const takenIn = new WeakMap<SandboxWorld, Set<string>>()

const ZONE = 'Europe/Paris'

function usualPeriod(account: SandboxAccount): Period {
  const payouts = account.rows.filter(({ kind }) => kind === 'from_payout')
  const demoWeek = parsePeriod(DEMO_WEEK)
  const inDemoWeek = payouts.some((row) => periodContains(demoWeek, dayOf(row)))
  const middle = payouts[Math.floor(payouts.length / 2)]
  if (inDemoWeek || middle === undefined) return demoWeek
  return weekOf(dayOf(middle))
}

function dayOf({ created }: { created: number }): Day {
  return dayOfInstant(created, ZONE)
}

function euros(cents: number): string {
  return `${formatAmount(BigInt(cents), 'EUR')} EUR`
}

interface Payout {
  id: string
  row: SandboxRow
  day: Day
  members: SandboxRow[]
  deposit: BankLine
}

/** Payouts of the period that reached the bank and that no break uses yet, oldest first. */
function payoutsOf(scene: Scene): Payout[] {
  const { account, bank, period, taken } = scene
  return account.rows.flatMap((row) => {
    const id = row.payout_id
    const deposit = bank.lines.find((line) => id !== null && line.payoutId === id)
    if (id === null || deposit === undefined || row.amount >= 0 || taken.has(id)) return []
    // Of equal payouts nobody can say which one it was that broke.
    if (account.rows.some((other) => other !== row && isPayoutOf(other, row.amount))) return []
    const day = dayOf(row)
    if (!periodContains(period, day)) return []
    const members = account.rows.filter((member) => member.included_in_payout_id === id)
    return [{ id, row, day, members, deposit }]
  })
}

function isPayoutOf({ kind, amount }: SandboxRow, wanted: number): boolean {
  return kind === 'from_payout' && amount === wanted
}

function nothing(scene: Scene, what: string): Error {
  return new Error(`there is no ${what} in ${scene.period.label} of ${scene.account.name}`)
}

function takePayout(scene: Scene, fits: (payout: Payout) => boolean = () => true): Payout {
  const payout = payoutsOf(scene).find(fits)
  if (payout === undefined) throw nothing(scene, 'payout that could break this way')
  scene.taken.add(payout.id)
  return payout
}

interface PaidRow {
  row: SandboxRow
  payment: SandboxPayment
  payout: Payout
}

/** A row of the period, of a kind and in a payout of the period, with its payment. */
function takeRow(
  scene: Scene,
  kind: string,
  fits: (paid: PaidRow) => boolean = () => true,
  wanted = `${kind} row that could break this way`,
): PaidRow {
  const { account, period, taken } = scene
  for (const payout of payoutsOf(scene)) {
    for (const row of payout.members) {
      const payment = account.payments.get(row.payment_id ?? '')
      if (row.kind !== kind || payment === undefined) continue
      if (taken.has(row.id) || taken.has(payment.id) || !periodContains(period, dayOf(row)))
        continue
      if (!fits({ row, payment, payout })) continue
      taken.add(row.id)
      taken.add(payment.id)
      return { row, payment, payout }
    }
  }
  throw nothing(scene, wanted)
}

/** The provider pays that much more (or less), and the bank receives it. */
function adjustPayout(payout: Payout, by: number): void {
  payout.row.amount -= by
  payout.row.net_amount -= by
  payout.deposit.amountMinor += by
}

/** A further row in a payout, which pays it. */
function addToPayout(
  scene: Scene,
  payout: Payout,
  row: Partial<SandboxRow> & { kind: string; amount: number; created: number },
): SandboxRow {
  const added = newRow(scene.account, {
    included_in_payout_id: payout.id,
    updated: payout.row.created,
    ...row,
  })
  insertRow(scene.account, added)
  adjustPayout(payout, added.net_amount)
  scene.taken.add(added.id)
  return added
}

function nameWhole(line: BankLine, payoutId: string): void {
  line.counterpartyName = 'ALMA'
  line.remittance = `ALMA ${payoutId}`
}

/** The line names its payout in full, or with the variant `unnamed` not at all. */
function nameOrNot({ variant }: Scene, line: BankLine, payoutId: string): void {
  nameWhole(line, payoutId)
  if (variant === 'unnamed') line.remittance = 'ALMA REVERSEMENT'
}

function unbook(bank: SandboxBankAccount, line: BankLine): void {
  bank.lines.splice(bank.lines.indexOf(line), 1)
}

function edits(account: SandboxAccount): ExportEdits {
  account.exportEdits ??= { left_out: new Set(), added: [], changed: new Map() }
  return account.exportEdits
}

/** The business days of the period; `nth` counts from 0. */
function businessDay(scene: Scene, nth: number): Day {
  const day = daysOf(scene.period.first, scene.period.last).filter(isBusinessDay)[nth]
  if (day === undefined) throw nothing(scene, `business day number ${nth + 1}`)
  return day
}

/** A line that looks like the provider's and names no payout. */
function strayLine(scene: Scene, amount: number): BankLine {
  const text = amount < 0 ? 'PRLV SEPA ALMA' : 'ALMA REVERSEMENT'
  const stray = plainLine(scene.account.iban, businessDay(scene, 2), amount, 'ALMA', text)
  insertLine(scene.bank, stray)
  return stray
}

/**
 * An amount near the wanted one that is no row's, and not so near a payout's that the line could be
 * taken for that payout with another amount.
 */
function unusedAmount(scene: Scene, near: number): number {
  const { rows } = scene.account
  const used = new Set(rows.map(({ amount }) => Math.abs(amount)))
  const payouts = rows
    .filter(({ kind }) => kind === 'from_payout')
    .map(({ amount }) => Math.abs(amount))
  const isNear = (amount: number): boolean =>
    payouts.some((paid) => Math.abs(paid - amount) <= Math.max(5_000, paid / 10) + 2_000)
  let amount = near
  while (used.has(amount) || isNear(amount)) amount += 10
  return amount
}

/** So shortly before a payout a row still gets into it. */
const BEFORE_PAYOUT_S = 120

const PLANTS: Record<PlantedCode, (scene: Scene) => Finding> = {
  payout_residual: (scene) => {
    const payout = takePayout(scene)
    adjustPayout(payout, -1_250)
    return {
      key: { payout_id: payout.id },
      story: `The provider paid out 12.50 EUR less than the rows of this payout add up to.`,
    }
  },

  payout_empty: (scene) => {
    const { account, bank, taken } = scene
    const day = businessDay(scene, 1)
    const created = startOfDay(day, ZONE) + 14 * 3600
    const id = lateId('payout', created, account.name)
    const amount = unusedAmount(scene, 42_500)
    taken.add(id)
    insertRow(
      account,
      newRow(account, { kind: 'from_payout', amount: -amount, created, payout_id: id }),
    )
    const deposit = plainLine(account.iban, addBusinessDays(day, 1), amount, 'ALMA', `ALMA ${id}`)
    deposit.payoutId = id
    insertLine(bank, deposit)
    return {
      key: { payout_id: id },
      story: `The provider paid out ${euros(amount)}, which arrived, but no row says what for.`,
    }
  },

  payout_unknown: (scene) => {
    const { account } = scene
    const payout = takePayout(scene, ({ members }) =>
      members.every((row) => periodContains(scene.period, dayOf(row))),
    )
    nameWhole(payout.deposit, payout.id)
    account.rows.splice(account.rows.indexOf(payout.row), 1)
    return {
      key: { payout_id: payout.id },
      story: `${payout.members.length} rows name a payout that has no row of its own in the ledger.`,
    }
  },

  payout_duplicate: (scene) => {
    const payout = takePayout(scene)
    const created = payout.row.created + 60
    const { amount } = payout.row
    nameWhole(payout.deposit, payout.id)
    insertRow(
      scene.account,
      newRow(scene.account, { kind: 'from_payout', amount, created, payout_id: payout.id }),
    )
    return {
      key: { payout_id: payout.id },
      story: `The ledger takes this payout of ${euros(-amount)} off twice; it arrived once.`,
    }
  },

  line_not_paid_out: (scene) => {
    const { row, payout } = takeRow(scene, 'from_transaction', leavesEnough)
    row.included_in_payout_id = null
    row.updated = row.created
    adjustPayout(payout, -row.net_amount)
    return {
      key: { balance_transaction_id: row.id },
      story: `A sale of ${euros(row.amount)} is in no payout, long after its money was available.`,
    }
  },

  line_arithmetic: (scene) => {
    const { row } = takeRow(scene, 'from_transaction')
    row.merchant_fee += 120
    return {
      key: { balance_transaction_id: row.id },
      story: `The fee on a sale is 1.20 EUR more than the difference between its gross and its net.`,
    }
  },

  line_sign: (scene) => {
    const { row, payout } = takeRow(scene, 'from_transaction', leavesEnough)
    const waiver = addToPayout(scene, payout, {
      kind: 'from_fee_waiver',
      amount: -350,
      created: row.created + 45,
      payment_id: row.payment_id,
      comment: 'Frais remboursés',
    })
    return {
      key: { balance_transaction_id: waiver.id },
      story: `A fee waiver, which should give 3.50 EUR back, took 3.50 EUR.`,
    }
  },

  line_duplicate: (scene) => {
    const isRefund = scene.variant === 'refund'
    const kind = isRefund ? 'from_refund' : 'from_transaction'
    const { row, payout } = takeRow(scene, kind, (any) => !isRefund || bearsTwice(any))
    const second = addToPayout(scene, payout, {
      kind: row.kind,
      amount: row.amount,
      merchant_fee: row.merchant_fee,
      net_amount: row.net_amount,
      created: row.created + 45,
      available_on: row.available_on,
      payment_id: row.payment_id,
      refund_id: row.refund_id,
    })
    return {
      key: { balance_transaction_id: second.id },
      story: `One ${isRefund ? 'refund' : 'sale'} of ${euros(Math.abs(row.amount))} is in the ledger twice.`,
    }
  },

  line_unknown_kind: (scene) => {
    const { row, payout } = takeRow(scene, 'from_transaction', leavesEnough)
    const dispute = addToPayout(scene, payout, {
      kind: 'from_dispute',
      amount: -1_990,
      created: row.created + 45,
      payment_id: row.payment_id,
    })
    return {
      key: { balance_transaction_id: dispute.id },
      story: `A row of 19.90 EUR has a kind that the provider's documentation does not know.`,
    }
  },

  line_changed: (scene) => {
    const open = takeOpenRow(scene)
    if (open !== undefined) {
      const { row, payment, payout } = open
      const before = row.net_amount
      row.amount -= 500
      payment.purchase_amount -= 500
      payment.merchant_fee = feeOf(scene, payment)
      row.merchant_fee = payment.merchant_fee
      row.net_amount = row.amount - row.merchant_fee
      adjustPayout(payout, row.net_amount - before)
      return {
        key: { balance_transaction_id: row.id },
        story: `A sale that was already in the ledger became 5.00 EUR smaller afterwards.`,
      }
    }
    return grownSale(scene, 'that was already in the ledger')
  },

  line_vanished: (scene) => {
    const open = takeOpenRow(scene)
    if (open === undefined) {
      throw nothing(
        scene,
        'row not yet paid out by the clock of the world (set `nowS` for the first look)',
      )
    }
    const { row, payout } = open
    scene.account.rows.splice(scene.account.rows.indexOf(row), 1)
    adjustPayout(payout, -row.net_amount)
    return {
      key: { balance_transaction_id: row.id },
      story: `A sale of ${euros(row.amount)} that was in the ledger is gone from it.`,
    }
  },

  fee_rate: (scene) => {
    const { row, payout } = takeRow(scene, 'from_transaction')
    row.merchant_fee += 150
    row.net_amount -= 150
    adjustPayout(payout, -150)
    return {
      key: { balance_transaction_id: row.id },
      story: `The fee on a sale is 1.50 EUR above what the contract allows for its plan.`,
    }
  },

  plan_not_offered: (scene) => {
    const { row, payment } = takeRow(scene, 'from_transaction')
    const plan = payment.kind
    payment.kind = 'P12X'
    payment.installments_count = 12
    payment.deferred_days = 0
    return {
      key: { balance_transaction_id: row.id },
      story: `A sale of ${euros(row.amount)} is in 12 instalments instead of ${plan}, which the account never offered.`,
    }
  },

  plan_amount: (scene) => {
    const { row, payment, payout } = takeRow(
      scene,
      'from_transaction',
      (sale) => sale.row.amount < 50_000 && leavesEnough(sale),
    )
    const before = row.net_amount
    payment.kind = 'P10X'
    payment.installments_count = 10
    payment.deferred_days = 0
    payment.merchant_fee = feeOf(scene, payment)
    row.merchant_fee = payment.merchant_fee
    row.net_amount = row.amount - row.merchant_fee
    adjustPayout(payout, row.net_amount - before)
    return {
      key: { balance_transaction_id: row.id },
      story: `A sale of ${euros(row.amount)} is in ten instalments, which begin at 550.00 EUR.`,
    }
  },

  vat_mismatch: (scene) => {
    const { account } = scene
    const { row } = takeRow(scene, 'from_transaction')
    const vat = vatOfFee(row.merchant_fee, account.feeVat ?? 'excluded')
    edits(account).changed.set(row.id, { vat: vat + 25 })
    return {
      key: { balance_transaction_id: row.id },
      story: `The export shows 0.25 EUR more VAT on a fee than its rate gives.`,
    }
  },

  export_only: (scene) => {
    const { account } = scene
    const created = startOfDay(businessDay(scene, 2), ZONE) + 10 * 3600
    const row = newRow(account, {
      kind: 'from_transaction',
      amount: 8_900,
      merchant_fee: 338,
      created,
      payment_id: lateId('payment', created, 'export only'),
    })
    edits(account).added.push(row)
    return {
      key: { balance_transaction_id: row.id },
      story: `The export has a sale of 89.00 EUR that the ledger does not have.`,
    }
  },

  export_lacks: (scene) => {
    const { row } = takeRow(scene, 'from_transaction')
    edits(scene.account).left_out.add(row.id)
    return {
      key: { balance_transaction_id: row.id },
      story: `The export leaves out a sale of ${euros(row.amount)} that the ledger has.`,
    }
  },

  export_differs: (scene) => {
    const { row } = takeRow(scene, 'from_transaction')
    edits(scene.account).changed.set(row.id, { gross: row.amount + 700 })
    return {
      key: { balance_transaction_id: row.id },
      story: `The export shows 7.00 EUR more gross on a sale than the ledger.`,
    }
  },

  refund_without_payment: (scene) => {
    const { row, payment } = takeRow(scene, 'from_refund', isOnlyRefund)
    scene.account.payments.delete(payment.id)
    return {
      key: { refund_id: refundIdOf(row) },
      story: `A refund of ${euros(-row.amount)} was deducted for a payment that does not exist.`,
    }
  },

  refund_unknown: (scene) => {
    const { row, payment } = takeRow(scene, 'from_refund', isOnlyRefund)
    payment.refunds = []
    payment.state = 'in_progress'
    return {
      key: { refund_id: refundIdOf(row) },
      story: `A refund of ${euros(-row.amount)} was deducted that its payment knows nothing of.`,
    }
  },

  refund_amount: (scene) => {
    const { row, payment } = takeRow(scene, 'from_refund', ({ row: { amount } }) => amount < -1_000)
    const refund = payment.refunds.find(({ id }) => id === row.refund_id)
    if (refund === undefined) throw nothing(scene, 'refund on its payment')
    refund.amount -= 500
    return {
      key: { refund_id: refund.id },
      story: `The customer got ${euros(refund.amount)} back, but ${euros(-row.amount)} was deducted.`,
    }
  },

  refund_not_deducted: (scene) => {
    const { row, payment } = takeRow(
      scene,
      'from_transaction',
      (sale) => isNotRefunded(sale) && sale.row.amount > 4_000 && hasNextDay(scene, sale),
    )
    const created = row.created + 86_400
    const amount = Math.floor(payment.purchase_amount / 400) * 100
    const id = lateId('refund', created, payment.id)
    payment.refunds.push({ id, created, amount, merchant_reference: null })
    return {
      key: { refund_id: id },
      story: `A refund of ${euros(amount)} stands on its payment, but was never deducted.`,
    }
  },

  refund_exceeds_payment: (scene) => {
    const { period } = scene
    const { payment, payout } = takeRow(
      scene,
      'from_transaction',
      (sale) =>
        isNotRefunded(sale) &&
        sale.row.amount < 15_000 &&
        -sale.payout.row.amount > 2 * sale.row.amount + 5_000 &&
        periodContains(period, dayOf({ created: sale.payout.row.created - BEFORE_PAYOUT_S })),
    )
    const created = payout.row.created - BEFORE_PAYOUT_S
    const amount = payment.purchase_amount + 1_500
    const refund = { id: lateId('refund', created, payment.id), created, amount }
    payment.refunds.push({ ...refund, merchant_reference: null })
    addToPayout(scene, payout, {
      kind: 'from_refund',
      amount: -amount,
      created,
      payment_id: payment.id,
      refund_id: refund.id,
    })
    return {
      key: { payment_id: payment.id },
      story: `A payment of ${euros(payment.purchase_amount)} was refunded with ${euros(amount)}.`,
    }
  },

  deposit_missing: (scene) => {
    const lookAlikeOf = ({ deposit }: Payout): BankLine | undefined =>
      scene.bank.lines.find((line) => line !== deposit && line.amountMinor === deposit.amountMinor)
    const hasLookAlike = payoutsOf(scene).some((payout) => lookAlikeOf(payout) !== undefined)
    const payout = takePayout(scene, (any) => !hasLookAlike || lookAlikeOf(any) !== undefined)
    const lookAlike = lookAlikeOf(payout)
    unbook(scene.bank, payout.deposit)
    const also =
      lookAlike === undefined
        ? ''
        : `; the same amount came from ${lookAlike.counterpartyName}, which is somebody else`
    return {
      key: { payout_id: payout.id },
      story: `A payout of ${euros(-payout.row.amount)} never reached the bank${also}.`,
    }
  },

  deposit_late: (scene) => {
    const { bank } = scene
    const payout = takePayout(scene, ({ day }) => addBusinessDays(day, 8) <= bank.lastDay)
    rebook(bank, payout.deposit, addBusinessDays(payout.day, 8))
    nameOrNot(scene, payout.deposit, payout.id)
    return {
      key: { payout_id: payout.id },
      story: `A payout of ${euros(-payout.row.amount)} reached the bank eight business days later.`,
    }
  },

  deposit_amount: (scene) => {
    const payout = takePayout(scene, (any) => isBookedInPeriod(scene, any))
    nameOrNot(scene, payout.deposit, payout.id)
    payout.deposit.amountMinor -= 500
    return {
      key: { payout_id: payout.id, bank_reference: payout.deposit.bankReference },
      story: `A payout of ${euros(-payout.row.amount)} arrived 5.00 EUR short.`,
    }
  },

  deposit_ambiguous: (scene) =>
    scene.variant === 'merged' ? ambiguousMerger(scene) : ambiguousReference(scene),

  deposit_unexpected: (scene) => {
    const stray = strayLine(scene, unusedAmount(scene, 31_240))
    return {
      key: { bank_reference: stray.bankReference },
      story: `The provider paid ${euros(stray.amountMinor)} in without any payout for it.`,
    }
  },

  debit_unexpected: (scene) => {
    const stray = strayLine(scene, -unusedAmount(scene, 8_740))
    return {
      key: { bank_reference: stray.bankReference },
      story: `The provider debited ${euros(-stray.amountMinor)} that the ledger does not explain.`,
    }
  },

  deposit_duplicate: (scene) => {
    const nextDay = ({ deposit }: Payout): Day => addBusinessDays(parseDay(deposit.bookingDay), 1)
    const payout = takePayout(scene, (any) => periodContains(scene.period, nextDay(any)))
    nameWhole(payout.deposit, payout.id)
    const { payoutId: _, ...copy } = payout.deposit
    const second: BankLine = { ...copy }
    second.bookingDay = nextDay(payout)
    second.valueDay = second.bookingDay
    insertLine(scene.bank, second)
    return {
      key: { bank_reference: second.bankReference },
      story: `A payout of ${euros(-payout.row.amount)} was credited twice.`,
    }
  },

  deposit_returned: (scene) => {
    const payout = takePayout(scene)
    const { deposit } = payout
    nameOrNot(scene, deposit, payout.id)
    const day = addBusinessDays(parseDay(deposit.bookingDay), 2)
    const text = `REJET VIREMENT ALMA${scene.variant === 'unnamed' ? '' : ` ${payout.id}`}`
    insertLine(scene.bank, plainLine(deposit.iban, day, -deposit.amountMinor, 'ALMA', text))
    return {
      key: { payout_id: payout.id },
      story: `A payout of ${euros(-payout.row.amount)} arrived and was sent back two days later.`,
    }
  },

  deposit_wrong_account: (scene) => {
    const { world, account, bank } = scene
    const elsewhere = world.accounts.find(({ iban }) => iban !== account.iban)
    const other = world.bankAccounts.find(({ iban }) => iban === elsewhere?.iban)
    if (elsewhere === undefined || other === undefined) {
      throw nothing(scene, 'second account for money to go to')
    }
    const payout = takePayout(scene, (any) => isBookedInPeriod(scene, any))
    nameOrNot(scene, payout.deposit, payout.id)
    unbook(bank, payout.deposit)
    payout.deposit.iban = other.iban
    insertLine(other, payout.deposit)
    return {
      key: { bank_reference: payout.deposit.bankReference },
      story: `A payout of ${euros(-payout.row.amount)} arrived at the account of ${elsewhere.name}.`,
    }
  },

  deposit_wrong_currency: (scene) => {
    const { world, bank } = scene
    const payout = takePayout(scene, (any) => isBookedInPeriod(scene, any))
    nameWhole(payout.deposit, payout.id)
    unbook(bank, payout.deposit)
    const dollars: SandboxBankAccount = {
      iban: frenchIban('30006', '00002', bank.iban.slice(14, 25)),
      openingMinor: 0,
      openingDay: bank.openingDay,
      lastDay: bank.lastDay,
      currency: 'USD',
      owner: scene.account.name,
      lines: [],
    }
    payout.deposit.iban = dollars.iban
    payout.deposit.currency = 'USD'
    payout.deposit.amountMinor = Math.round(payout.deposit.amountMinor * 1.0868)
    insertLine(dollars, payout.deposit)
    world.bankAccounts.push(dollars)
    return {
      key: { bank_reference: payout.deposit.bankReference },
      story: `A payout of ${euros(-payout.row.amount)} arrived in dollars, at a dollar account.`,
    }
  },

  statement_gap: (scene) => {
    const { bank, period } = scene
    const days = daysOf(period.first, period.last)
      .filter(isBusinessDay)
      .slice(1, -1)
      .filter((day) => bankFileOf(bank, day).format !== 'canonical')
    const withoutProvider = days.find((day) =>
      bank.lines.every((line) => line.bookingDay !== day || line.payoutId === undefined),
    )
    const day = withoutProvider ?? days[0]
    if (day === undefined) throw nothing(scene, 'daily statement in the middle')
    bank.missingStatements = [...(bank.missingStatements ?? []), day]
    return {
      key: { bank_file: bankFileOf(bank, addBusinessDays(day, 1)).name },
      story: `The bank's statement of ${day} is missing.`,
    }
  },

  late_change: (scene) => grownSale(scene, 'of a period that was signed'),

  statement_balance: (scene) => {
    const { bank, period } = scene
    const left = bank.lines.find(
      (line) =>
        line.payoutId === undefined &&
        line.amountMinor < 0 &&
        periodContains(period, parseDay(line.bookingDay)),
    )
    if (left === undefined) throw nothing(scene, 'bank line of other business')
    left.unlisted = true
    return {
      key: { bank_file: bankFileOf(bank, parseDay(left.bookingDay)).name },
      story: `The statement of ${left.bookingDay} lacks an entry of ${euros(left.amountMinor)} that its balances count.`,
    }
  },
}

/** Gross and fee alike, so that all sums stay. */
function grownSale(scene: Scene, which: string): Finding {
  const { row } = takeRow(scene, 'from_transaction')
  row.amount += 100
  row.merchant_fee += 100
  return {
    key: { balance_transaction_id: row.id },
    story: `Gross and fee of a sale ${which} grew by 1.00 EUR afterwards.`,
  }
}

/** The window of the usual settings. */
const WINDOW_DAYS = 5

/** One credit, and two pairs of payouts that add up to it. */
function ambiguousMerger(scene: Scene): Finding {
  const { account, bank } = scene
  const open = payoutsOf(scene)
  const start = open.findIndex((earliest, at) => {
    const latest = open[at + 3]
    if (latest === undefined) return false
    const booked = addBusinessDays(latest.day, 1)
    return (
      periodContains(scene.period, booked) &&
      businessDaysBetween(earliest.day, booked) <= WINDOW_DAYS
    )
  })
  const payouts = open.slice(start, start + 4)
  const [first, second, third, fourth] = payouts
  if (start === -1 || !first || !second || !third || !fourth) {
    throw nothing(scene, 'run of four payouts that one credit can pay')
  }
  const day = addBusinessDays(fourth.day, 1)
  for (const { id } of payouts) scene.taken.add(id)
  const more = second.row.amount + first.row.amount - third.row.amount - fourth.row.amount
  // The smaller pair gets a gesture that makes both pairs equal.
  const smaller = more > 0 ? second : fourth
  if (more !== 0) {
    addToPayout(scene, smaller, {
      kind: 'from_adjustment',
      amount: Math.abs(more),
      created: smaller.row.created - BEFORE_PAYOUT_S,
      comment: 'Geste commercial',
    })
  }
  for (const { deposit } of payouts) unbook(bank, deposit)
  const amount = -(first.row.amount + second.row.amount)
  const merged = plainLine(account.iban, day, amount, 'ALMA', 'ALMA REVERSEMENT')
  insertLine(bank, merged)
  return {
    key: { bank_reference: merged.bankReference },
    story: `One credit of ${euros(amount)} can be either of two pairs of payouts.`,
  }
}

/** A twin of a payout, alike in amount and in the start of its id, and one credit that shows only that start. */
function ambiguousReference(scene: Scene): Finding {
  const { account, taken } = scene
  const payout = takePayout(scene, (any) => isBookedInPeriod(scene, any))
  const visible = payout.id.slice(0, 'payout_'.length + 12)
  const created = payout.row.created + 30
  const twin = `${visible}z${lateId('payout', created, 'twin').slice(visible.length + 1)}`
  taken.add(twin)
  const sale = addSaleOfNet(account, payout.row.created - BEFORE_PAYOUT_S, -payout.row.amount)
  sale.included_in_payout_id = twin
  sale.available_on = sale.created
  sale.updated = created
  const { amount } = payout.row
  insertRow(account, newRow(account, { kind: 'from_payout', amount, created, payout_id: twin }))
  nameWhole(payout.deposit, visible.toUpperCase())
  payout.deposit.endToEndId = ''
  return {
    key: { bank_reference: payout.deposit.bankReference },
    story: `Two payouts of ${euros(-amount)} were sent, and the one credit that came shows only the start that their ids share.`,
  }
}

/** A refund that the payout can deduct once more. */
function bearsTwice({ row, payout }: PaidRow): boolean {
  return -payout.row.amount > -row.net_amount + 2_000
}

/** Findings that a bank line identifies have its day. */
function isBookedInPeriod({ period }: Scene, { deposit }: Payout): boolean {
  return periodContains(period, parseDay(deposit.bookingDay))
}

/** The payout stays a payment to the merchant without this row, and after small deductions. */
function leavesEnough({ row, payout }: PaidRow): boolean {
  return -payout.row.amount > row.net_amount + 2_000
}

function isOnlyRefund({ payment }: PaidRow): boolean {
  return payment.refunds.length === 1
}

function isNotRefunded({ payment }: PaidRow): boolean {
  return payment.refunds.length === 0
}

function hasNextDay(scene: Scene, { row }: PaidRow): boolean {
  return periodContains(scene.period, dayOf({ created: row.created + 86_400 }))
}

function refundIdOf(row: SandboxRow): string {
  if (row.refund_id === null) throw new Error(`row ${row.id} has no refund`)
  return row.refund_id
}

function feeOf(scene: Scene, payment: SandboxPayment): number {
  const plan = SANDBOX_PLANS.find(({ kind }) => kind === payment.kind)
  if (plan === undefined) throw new Error(`there is no plan ${payment.kind}`)
  return planFee(plan, payment.purchase_amount, scene.account.feeVat ?? 'excluded')
}

/** By the world's clock a sale of the period that exists, and whose payout is still to come. */
function takeOpenRow(scene: Scene): PaidRow | undefined {
  const { nowS } = scene.world
  if (nowS === undefined) return undefined
  const isOpen = (sale: PaidRow): boolean =>
    sale.row.created <= nowS &&
    sale.payout.row.created > nowS &&
    isNotRefunded(sale) &&
    leavesEnough(sale)
  return takeRow(scene, 'from_transaction', isOpen, 'sale that waits for its payout at `nowS`')
}

/** Books a line on another day, under a new reference. */
function rebook(bank: SandboxBankAccount, line: BankLine, day: Day): void {
  unbook(bank, line)
  line.bookingDay = day
  line.valueDay = day
  insertLine(bank, line)
}
