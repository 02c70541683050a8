/**
 * A ledger of any length, made row by row from its position, so that nobody has to hold it: sales in
 * payouts of one size, ids that sort as they were made.
 */

/** Rows that stand open do so in runs of this length. */
const OPEN_RUN_ROWS = 60
/** 1 January 2022, midnight in Paris. */
export const LEDGER_BEGINS_S = 1_640_991_600
const MERCHANT_ID = 'merchant_11aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
const POSITION_DIGITS = 12
const SCATTERED_DIGITS = 10
/** Constants of MurmurHash3's finaliser, which scatters numbers well. */
const SCATTER_1 = 0x85ebca6b
const SCATTER_2 = 0xc2b2ae35

export interface LedgerShape {
  readonly rows: number
  /** Between one row and the next. */
  readonly secondsBetween: number
  /** Those that it pays and its own, which is the last of them. */
  readonly rowsPerPayout: number
  /** The part of all rows, from 0 to 1, that is in no payout. */
  readonly openShare: number
}

export interface GeneratedRow {
  readonly id: string
  readonly kind: 'from_transaction' | 'from_payout'
  readonly amount: number
  readonly net: number
  readonly fee: number
  readonly paymentId: string | null
  readonly payoutId: string | null
  readonly includedInPayoutId: string | null
  readonly createdS: number
}

/** From 0 up to, not including, 2^32, by chance but always the same. */
function scatter(position: number): number {
  const hash = Math.imul(position + 1, SCATTER_1)
  return Math.imul(hash ^ (hash >>> 13), SCATTER_2) >>> 0
}

function idAt(prefix: string, position: number): string {
  const end = String(scatter(position)).padStart(SCATTERED_DIGITS, '0')
  return `${prefix}_11${String(position).padStart(POSITION_DIGITS, '0')}${end}${end}`
}

export const rowIdAt = (position: number): string => idAt('balance_txn', position)
export const paymentIdAt = (position: number): string => idAt('payment', position)

/** The position that one of these ids holds, whatever its prefix; -1 for other ids. */
export function positionOf(id: string): number {
  const digits = /_11(\d{12})/.exec(id)?.[1]
  return digits === undefined ? -1 : Number(digits)
}

export function createdAt({ secondsBetween }: LedgerShape, position: number): number {
  return LEDGER_BEGINS_S + Math.floor(position * secondsBetween)
}

/** How many rows were created up to and including this second. */
export function rowsUpTo(shape: LedgerShape, second: number): number {
  const position = Math.floor((second - LEDGER_BEGINS_S + 1) / shape.secondsBetween) + 1
  return Math.min(shape.rows, Math.max(0, lastUpTo(shape, second, position)))
}

/** Corrects what the division made of fractions of a second. */
function lastUpTo(shape: LedgerShape, second: number, guess: number): number {
  let position = guess
  while (position > 0 && createdAt(shape, position - 1) > second) position -= 1
  while (createdAt(shape, position) <= second) position += 1
  return position
}

export function isPayoutAt({ rowsPerPayout }: LedgerShape, position: number): boolean {
  return position % rowsPerPayout === rowsPerPayout - 1
}

/** Where the payout that pays the row at this position stands. */
function payoutOf({ rowsPerPayout }: LedgerShape, position: number): number {
  return position - (position % rowsPerPayout) + rowsPerPayout - 1
}

export function isOpenAt(shape: LedgerShape, position: number): boolean {
  const { rows, openShare } = shape
  if (isPayoutAt(shape, position)) return false
  if (payoutOf(shape, position) >= rows) return true
  return scatter(Math.floor(position / OPEN_RUN_ROWS)) < openShare * 2 ** 32
}

export function amountAt(position: number): number {
  return 2_000 + (scatter(position + 7) % 60_000)
}

export function feeAt(position: number): number {
  return Math.round(amountAt(position) * 0.038)
}

export function rowAt(shape: LedgerShape, position: number): GeneratedRow {
  const common = { id: rowIdAt(position), createdS: createdAt(shape, position) }
  if (isPayoutAt(shape, position)) {
    let sum = 0
    for (let at = position - shape.rowsPerPayout + 1; at < position; at += 1) {
      if (!isOpenAt(shape, at)) sum += amountAt(at) - feeAt(at)
    }
    return {
      ...common,
      kind: 'from_payout',
      amount: 0 - sum,
      net: 0 - sum,
      fee: 0,
      paymentId: null,
      payoutId: idAt('payout', position),
      includedInPayoutId: null,
    }
  }
  const [amount, fee] = [amountAt(position), feeAt(position)]
  return {
    ...common,
    kind: 'from_transaction',
    amount,
    net: amount - fee,
    fee,
    paymentId: paymentIdAt(position),
    payoutId: null,
    includedInPayoutId: isOpenAt(shape, position)
      ? null
      : idAt('payout', payoutOf(shape, position)),
  }
}

/** The row as the provider sends it. */
export function rowJson(shape: LedgerShape, position: number): string {
  const row = rowAt(shape, position)
  const text = (value: string | null): string => (value === null ? 'null' : `"${value}"`)
  return `{"id":"${row.id}","merchant_id":"${MERCHANT_ID}","kind":"${row.kind}","amount":${row.amount},"net_amount":${row.net},"merchant_fee":${row.fee},"payment_id":${text(row.paymentId)},"refund_id":null,"payout_id":${text(row.payoutId)},"included_in_payout_id":${text(row.includedInPayoutId)},"comment":null,"created":${row.createdS},"updated":${row.createdS},"available_on":${row.createdS}}`
}
