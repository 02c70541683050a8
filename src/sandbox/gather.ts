import { type BalanceTransaction, KNOWN_KINDS } from '../domain/balance-transaction.ts'
import { compareText, groupBy } from '../domain/collections.ts'
import { addDays, type EpochSeconds, startOfDay, wallClock } from '../domain/day.ts'
import type {
  EntityFacts,
  ExportConventions,
  ExportFacts,
  ExportLine,
  ExportPair,
  Facts,
  FeeFacts,
  LookedUpPayment,
  Movement,
  PayoutFacts,
  PlanFacts,
  PlannedSale,
  PlanSales,
} from '../domain/facts.ts'
import {
  contractFee,
  type FeeContract,
  hundredthsOfPercent,
  VAT_RATE_PERCENT_DEFAULT,
} from '../domain/fee-contract.ts'
import { arithmeticHolds, signHolds } from '../domain/ledger-rows.ts'
import { absolute, sumOf } from '../domain/money.ts'
import { periodInstants } from '../domain/period.ts'
import { bracketsOf, faultOfSale, type PlanSnapshot } from '../domain/plans.ts'
import { residualOf, residualRows } from '../domain/residual.ts'

/**
 * What the database's gathering finds in a ledger, found in memory: for judging many small worlds
 * quickly. A test compares the two over the real pipeline, so that they cannot drift apart.
 */

/** A stored accounting export, line by line. */
export interface HeldExport {
  readonly exportId: string
  readonly requestNumber: number
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
  readonly lines: readonly (ExportLine & { readonly balanceTransactionId: string })[]
}

/** All that is stored of one entity. */
export interface EntityBooks extends Pick<EntityFacts, 'entity' | 'account' | 'changes'> {
  /** Rows that are in the provider's list, in the order of their ids. */
  readonly rows: readonly BalanceTransaction[]
  /** Rows that were in the list once: an export may still hold them. */
  readonly vanished: readonly BalanceTransaction[]
  readonly payments: readonly LookedUpPayment[]
  readonly exports: readonly HeldExport[]
  readonly fees: FeeContract | null
  /** What the provider said of the account's plans, in the order of days; nothing: it was not asked. */
  readonly plans?: readonly PlanSnapshot[]
}

export interface Books extends Omit<Facts, 'entities'> {
  readonly entities: readonly EntityBooks[]
}

/** The facts as of a day: what is later is left out, also of the bank. */
export function gatherInMemory({ entities, ...rest }: Books): Facts {
  const { asOf, bank } = rest
  return {
    ...rest,
    entities: entities.map((books) => entityFacts(books, rest)),
    bank: {
      ...bank,
      entries: bank.entries.filter(({ bookingDay }) => bookingDay <= asOf),
      statements: bank.statements.filter(({ fromDay }) => fromDay <= asOf),
    },
  }
}

/** Bounds in time, as the database's queries have them. */
interface View {
  readonly startS: EpochSeconds
  readonly endS: EpochSeconds
  readonly asOfEndS: EpochSeconds
}

const SECONDS_PER_DAY = 86_400

const knownKinds: ReadonlySet<string> = new Set(KNOWN_KINDS)

function entityFacts(
  books: EntityBooks,
  { period, asOf, policy }: Pick<Facts, 'period' | 'asOf' | 'policy'>,
): EntityFacts {
  const { entity, account } = books
  const view: View = {
    ...periodInstants(period, policy.zone),
    asOfEndS: startOfDay(addDays(asOf, 1), policy.zone),
  }
  const rows = rowsAsOf(books.rows, view)
  const untilEnd = rows.filter(({ createdS }) => createdS < view.endS)
  const payouts = payoutFacts(rows)
  const settled = settledPayments(books, view)
  return {
    entity,
    account,
    movements: movementsOf(untilEnd, view),
    closingBalances: [...groupBy(untilEnd, ({ currency }) => currency)].map(
      ([currency, group]) => ({ currency, netMinor: netOf(group), rows: group.length }),
    ),
    rowCount: rows.length,
    knownSinceS: null,
    payouts,
    suspectRows: rows.filter(
      (row) => !knownKinds.has(row.kind) || !signHolds(row) || !arithmeticHolds(row),
    ),
    repeatedRows: repeatedRows(rows),
    openRows: rows.filter(
      ({ kind, includedInPayoutId }) => kind !== 'from_payout' && includedInPayoutId === null,
    ),
    latePaidRows: latePaidRows(rows, view, policy.unpaidAfterDays),
    residualRows: payouts
      .filter((payout) => residualOf(payout) !== 0n)
      .map((payout) => ({
        payoutId: payout.payoutId,
        rows: residualRows(rows, payout, vatRatePercentOf(books)),
      })),
    changes: books.changes.filter(
      ({ row, seenAsOf }) => seenAsOf <= asOf && row.createdS < view.asOfEndS,
    ),
    exports: books.exports
      .filter(({ startS }) => startS < Math.min(view.endS, view.asOfEndS))
      .map((held) => exportFacts(held, books, view)),
    fees: feeFacts(rows, books),
    refundRows: rows.filter(
      ({ kind, refundId, paymentId }) =>
        refundId !== null &&
        (kind === 'from_refund' || !knownKinds.has(kind)) &&
        !settled.has(paymentId ?? ''),
    ),
    payments: paymentsAsOf(rows, books, view).filter(({ paymentId }) => !settled.has(paymentId)),
    plans: planFacts(rows, books, view, { asOf, policy }),
  }
}

/** Rows that exist by then; one that a later payout took is in none yet. */
function rowsAsOf(all: readonly BalanceTransaction[], { asOfEndS }: View): BalanceTransaction[] {
  const firstOwnS = firstOwnInstants(all)
  return all
    .filter(({ createdS }) => createdS < asOfEndS)
    .map((row) => {
      const paidS =
        row.includedInPayoutId === null ? undefined : firstOwnS.get(row.includedInPayoutId)
      return paidS !== undefined && paidS >= asOfEndS ? { ...row, includedInPayoutId: null } : row
    })
}

/** When the first row of each payout was created. */
function firstOwnInstants(all: readonly BalanceTransaction[]): Map<string, EpochSeconds> {
  const firstOwnS = new Map<string, EpochSeconds>()
  for (const row of all) {
    if (row.kind !== 'from_payout') continue
    const id = row.payoutId ?? row.id
    firstOwnS.set(id, Math.min(firstOwnS.get(id) ?? Infinity, row.createdS))
  }
  return firstOwnS
}

function netOf(rows: readonly BalanceTransaction[]): bigint {
  return sumOf(rows.map(({ netMinor }) => netMinor))
}

function movementsOf(rows: readonly BalanceTransaction[], { startS }: View): Movement[] {
  const groups = groupBy(rows, ({ kind, currency, createdS }) =>
    [kind, currency, createdS < startS ? 'before' : 'period'].join('\u0000'),
  )
  return [...groups].flatMap(([, group]): Movement[] => {
    const [first] = group
    if (first === undefined) return []
    return [
      {
        kind: first.kind,
        currency: first.currency,
        when: first.createdS < startS ? 'before' : 'period',
        netMinor: netOf(group),
        rows: group.length,
      },
    ]
  })
}

function payoutFacts(rows: readonly BalanceTransaction[]): PayoutFacts[] {
  const own = groupBy(
    rows.filter(({ kind }) => kind === 'from_payout'),
    (row) => row.payoutId ?? row.id,
  )
  const inside = groupBy(
    rows.filter(({ kind }) => kind !== 'from_payout'),
    ({ includedInPayoutId }) => includedInPayoutId,
  )
  inside.delete(null)
  const ids = [...new Set([...inside.keys(), ...own.keys()])].filter((id) => id !== null)
  return ids.map((payoutId) => {
    const members = inside.get(payoutId) ?? []
    const ownRows = (own.get(payoutId) ?? []).toSorted(byCreation)
    const sales = members.filter(({ kind }) => kind === 'from_transaction')
    const refunds = members.filter(({ kind }) => kind === 'from_refund')
    const currencies = members.map(({ currency }) => currency).toSorted(compareText)
    return {
      payoutId,
      currency: currencies[0] ?? ownRows[0]?.currency ?? '',
      ownRows,
      transactions: members.length,
      grossMinor: sumOf(sales.map(({ amountMinor }) => amountMinor)),
      feesMinor: -sumOf(sales.map(({ feeMinor }) => feeMinor)),
      refundsMinor: netOf(refunds),
      otherMinor: netOf(members) - netOf(sales) - netOf(refunds),
      netMinor: netOf(members),
      lastRowCreatedS:
        members.length === 0 ? null : Math.max(...members.map(({ createdS }) => createdS)),
    }
  })
}

function byCreation(a: BalanceTransaction, b: BalanceTransaction): number {
  return a.createdS - b.createdS || compareText(a.id, b.id)
}

function repeatedRows(rows: readonly BalanceTransaction[]): BalanceTransaction[] {
  const likeness = ({ kind, refundId, paymentId, amountMinor, currency }: BalanceTransaction) => {
    if (kind === 'from_refund' && refundId !== null) return `refund ${refundId}`
    if (kind === 'from_transaction' && paymentId !== null)
      return `sale ${paymentId} ${amountMinor} ${currency}`
    return null
  }
  const groups = groupBy(rows, likeness)
  groups.delete(null)
  return [...groups.values()].filter((group) => group.length > 1).flat()
}

function latePaidRows(
  rows: readonly BalanceTransaction[],
  { startS, endS }: View,
  unpaidAfterDays: number,
): BalanceTransaction[] {
  const ownRows = groupBy(
    rows.filter(({ kind }) => kind === 'from_payout'),
    ({ payoutId }) => payoutId,
  )
  return rows.filter(({ kind, includedInPayoutId, availableOnS, createdS }) => {
    if (kind === 'from_payout' || includedInPayoutId === null) return false
    const leastS = (availableOnS ?? createdS) + unpaidAfterDays * SECONDS_PER_DAY
    return (ownRows.get(includedInPayoutId) ?? []).some(
      (own) => own.createdS >= Math.max(startS, leastS) && own.createdS < endS,
    )
  })
}

/** As `loadPlanFacts` finds them. */
function planFacts(
  rows: readonly BalanceTransaction[],
  { payments, plans = [] }: EntityBooks,
  { startS, endS }: View,
  { asOf, policy }: Pick<Facts, 'asOf' | 'policy'>,
): PlanFacts {
  const bought = new Map(payments.map(({ paymentId, payment }) => [paymentId, payment]))
  const sales = rows.filter(({ kind }) => kind === 'from_transaction')
  const sold = groupBy(
    sales.filter(({ createdS }) => startS <= createdS && createdS < endS),
    ({ paymentId, currency }) => `${bought.get(paymentId ?? '')?.plan ?? ''}\u0000${currency}`,
  )
  const snapshots = plans.filter(({ day }) => day <= asOf)
  const brackets = bracketsOf(snapshots)
  const rules = { zone: policy.zone, feeCheck: null }
  return {
    snapshots,
    sold: [...sold]
      .map(([name, group]): PlanSales => {
        const [plan = '', currency = ''] = name.split('\u0000')
        return {
          plan: plan === '' ? null : plan,
          currency,
          sales: group.length,
          grossMinor: sumOf(group.map(({ amountMinor }) => amountMinor)),
          feesMinor: sumOf(group.map(({ feeMinor }) => feeMinor)),
        }
      })
      .toSorted(
        (a, b) =>
          Number(a.plan === null) - Number(b.plan === null) ||
          compareText(a.plan ?? '', b.plan ?? '') ||
          compareText(a.currency, b.currency),
      ),
    doubtful: sales
      .flatMap((row): PlannedSale[] => {
        const payment = bought.get(row.paymentId ?? '') ?? null
        if (payment === null || payment.plan === null) return []
        return [{ row, plan: payment.plan, purchaseMinor: payment.purchaseAmountMinor }]
      })
      .filter((sale) => faultOfSale(sale, brackets, rules) !== null),
    feeCheck: null,
  }
}

function feeFacts(
  rows: readonly BalanceTransaction[],
  { fees, payments }: EntityBooks,
): FeeFacts[] {
  if (fees === null) return []
  const plans = new Map(payments.map(({ paymentId, payment }) => [paymentId, payment?.plan]))
  return rows.flatMap((row) => {
    const plan = plans.get(row.paymentId ?? '')
    if (row.kind !== 'from_transaction' || plan == null) return []
    const expectedFeeMinor = contractFee(fees, plan, row.amountMinor)
    return expectedFeeMinor === null || expectedFeeMinor === row.feeMinor
      ? []
      : [{ row, plan, expectedFeeMinor }]
  })
}

/** Payments with refunds, or that a row with a refund names. */
function paymentsAsOf(
  rows: readonly BalanceTransaction[],
  { payments }: EntityBooks,
  { asOfEndS }: View,
): LookedUpPayment[] {
  const named = new Set(
    rows.filter(({ refundId }) => refundId !== null).map(({ paymentId }) => paymentId),
  )
  return payments
    .filter(({ paymentId, payment }) => named.has(paymentId) || (payment?.refunds.length ?? 0) > 0)
    .map(({ paymentId, payment }) => ({
      paymentId,
      payment:
        payment === null
          ? null
          : {
              ...payment,
              refunds: payment.refunds.filter(({ createdS }) => createdS < asOfEndS),
            },
    }))
}

/** Payments of which all refunds were settled before the period: `refund_families` of the database. */
function settledPayments(
  { rows, vanished, payments }: EntityBooks,
  { startS, asOfEndS }: View,
): Set<string> {
  const paidS = firstOwnInstants(rows)
  const refundRows = [...rows, ...vanished].filter(({ refundId }) => refundId !== null)
  const rowsOf = groupBy(refundRows, ({ refundId }) => refundId)
  const familyOf = groupBy(refundRows, ({ paymentId }) => paymentId)
  const lookedUp = new Map(payments.map((looked) => [looked.paymentId, looked.payment]))
  const holders = groupBy(
    payments.flatMap(({ paymentId, payment }) =>
      (payment?.refunds ?? []).map(({ id }) => ({ id, paymentId })),
    ),
    ({ id }) => id,
  )
  const gone = new Set(vanished.map(({ id }) => id))
  const settled = new Set<string>()
  for (const [paymentId, family] of familyOf) {
    if (paymentId === null) continue
    const payment = lookedUp.get(paymentId)
    const refunds = payment?.refunds ?? []
    const instants: EpochSeconds[] = []
    const isClean = family.every((row) => {
      const { id, kind, refundId, includedInPayoutId, createdS, amountMinor } = row
      const refund = refunds.find((each) => each.id === refundId)
      if (gone.has(id) || kind !== 'from_refund' || includedInPayoutId === null) return false
      if (rowsOf.get(refundId)?.length !== 1) return false
      if ((holders.get(refundId ?? '')?.length ?? 0) !== (refund === undefined ? 0 : 1))
        return false
      instants.push(createdS, refund?.createdS ?? 0, paidS.get(includedInPayoutId) ?? 0)
      if (payment === undefined) return true
      return refund !== undefined && refund.amountMinor === absolute(amountMinor)
    })
    if (!isClean || payment === null || Math.max(...instants) >= Math.min(startS, asOfEndS))
      continue
    if (payment !== undefined) {
      const refundedMinor = sumOf(refunds.map(({ amountMinor }) => amountMinor))
      const isWithin = refundedMinor <= payment.purchaseAmountMinor
      const arePositive = refunds.every(({ amountMinor }) => amountMinor > 0n)
      if (refunds.length !== family.length || !isWithin || !arePositive) continue
    }
    settled.add(paymentId)
  }
  return settled
}

function vatRatePercentOf({ fees }: EntityBooks): string {
  return fees?.vatRatePercent ?? VAT_RATE_PERCENT_DEFAULT
}

type HeldLine = HeldExport['lines'][number]

function exportFacts(held: HeldExport, books: EntityBooks, view: View): ExportFacts {
  const { exportId, requestNumber, startS, endS, lines } = held
  const stored = new Map([...books.rows, ...books.vanished].map((row) => [row.id, row]))
  const gone = new Set(books.vanished.map(({ id }) => id))
  const conventions = conventionsOf(
    lines.flatMap((line) => {
      const row = stored.get(line.balanceTransactionId)
      return row === undefined ? [] : [{ row, line }]
    }),
    vatRatePercentOf(books),
  )
  const differing = lines.flatMap(({ balanceTransactionId, ...line }): ExportPair[] => {
    const row = stored.get(balanceTransactionId) ?? null
    if (row !== null && (gone.has(row.id) || row.createdS >= view.asOfEndS)) return []
    if (row !== null && !differs(row, line, conventions)) return []
    return [{ balanceTransactionId, line, row }]
  })
  const exported = new Set(lines.map(({ balanceTransactionId }) => balanceTransactionId))
  const lacking = books.rows
    .filter(({ createdS }) => startS <= createdS && createdS < Math.min(endS, view.asOfEndS))
    .filter(
      ({ id, kind }) => !exported.has(id) && (kind !== 'from_payout' || conventions.holdsPayouts),
    )
    .map((row): ExportPair => ({ balanceTransactionId: row.id, line: null, row }))
  return {
    exportId,
    requestNumber,
    sha256: '',
    rows: lines.length,
    startS,
    endS,
    heldUntilS: endS,
    conventions,
    pairs: [...differing, ...lacking],
  }
}

interface Pair {
  readonly row: BalanceTransaction
  readonly line: HeldLine
}

/** How most lines of each kind write what is not documented. */
function conventionsOf(pairs: readonly Pair[], vatRatePercent: string): ExportConventions {
  const rate = hundredthsOfPercent(vatRatePercent)
  const count = (some: readonly Pair[], holds: (pair: Pair) => boolean): number =>
    some.filter(holds).length
  const byKind = [...groupBy(pairs, ({ row }) => row.kind)].toSorted(([a], [b]) =>
    compareText(a, b),
  )
  const turnedKinds = (of: (pair: Pair) => { ledger: bigint; file: bigint }, zeroSays: boolean) =>
    byKind
      .filter(([, some]) => {
        const turned = count(some, (pair) => {
          const { ledger, file } = of(pair)
          return file === -ledger && ledger !== 0n
        })
        const same = count(some, (pair) => {
          const { ledger, file } = of(pair)
          return file === ledger && (zeroSays || ledger !== 0n)
        })
        return turned > same
      })
      .map(([kind]) => kind)
  const nearVat =
    (divisor: bigint) =>
    ({ line }: Pair): boolean => {
      if (line.vatMinor === null || line.feeMinor === 0n) return false
      const off = absolute(line.vatMinor) * divisor - absolute(line.feeMinor) * rate
      return absolute(off) <= divisor
    }
  const excluded = count(pairs, nearVat(10_000n))
  const included = count(pairs, nearVat(10_000n + rate))
  const withVat = count(
    pairs,
    ({ row, line }) =>
      line.vatMinor !== null &&
      line.vatMinor !== 0n &&
      absolute(line.feeMinor + line.vatMinor) === absolute(row.feeMinor),
  )
  const alike = count(
    pairs,
    ({ row, line }) => absolute(line.feeMinor) === absolute(row.feeMinor) && row.feeMinor !== 0n,
  )
  return {
    flippedGrossKinds: turnedKinds(
      ({ row, line }) => ({ ledger: row.amountMinor, file: line.grossMinor }),
      true,
    ),
    flippedFeeKinds: turnedKinds(
      ({ row, line }) => ({ ledger: row.feeMinor, file: line.feeMinor }),
      false,
    ),
    flippedNetKinds: turnedKinds(
      ({ row, line }) => ({ ledger: row.netMinor, file: line.netMinor }),
      true,
    ),
    feeBasis: withVat > alike ? 'with_vat' : 'same',
    vatBasis: excluded === included ? null : excluded > included ? 'excluded' : 'included',
    vatRatePercent,
    holdsPayouts: pairs.some(({ row }) => row.kind === 'from_payout'),
  }
}

/** A row whose line does not say the same to the letter; the core knows which differences count. */
function differs(
  row: BalanceTransaction,
  line: ExportLine,
  conventions: ExportConventions,
): boolean {
  const { feeBasis, vatBasis, vatRatePercent } = conventions
  const turn = (kinds: readonly string[], amountMinor: bigint): bigint =>
    kinds.includes(row.kind) ? -amountMinor : amountMinor
  const feeMinor = feeBasis === 'with_vat' ? line.feeMinor + (line.vatMinor ?? 0n) : line.feeMinor
  const time = line.createdLocal?.replace('T', ' ') ?? null
  const rate = hundredthsOfPercent(vatRatePercent)
  const divisor = vatBasis === 'included' ? 10_000n + rate : 10_000n
  const vatIsOff =
    vatBasis !== null &&
    line.vatMinor !== null &&
    2n * absolute(absolute(line.vatMinor) * divisor - absolute(line.feeMinor) * rate) >=
      3n * divisor
  return (
    turn(conventions.flippedGrossKinds, line.grossMinor) !== row.amountMinor ||
    turn(conventions.flippedFeeKinds, feeMinor) !== row.feeMinor ||
    turn(conventions.flippedNetKinds, line.netMinor) !== row.netMinor ||
    line.paymentId !== row.paymentId ||
    line.refundId !== row.refundId ||
    (time !== null && wallClock(row.createdS, 'Europe/Paris').slice(0, time.length) !== time) ||
    vatIsOff
  )
}
