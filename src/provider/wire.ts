/**
 * What the provider sends, checked where it comes in. Attributes that are not documented are
 * ignored, kinds that are not documented are kept; anything else that is not as documented makes
 * the whole answer unusable, because half a page is a gap in the ledger.
 */
import { z } from 'zod'
import type { BalanceTransaction } from '../domain/balance-transaction.ts'
import type { Currency } from '../domain/money.ts'
import type { Payment } from '../domain/payment.ts'
import { UnavailableFault } from '../errors.ts'

const SHOWN_CHARACTERS_MAX = 40
const ANSWER_EXPECTED = 'an object as the reference shows it was expected'
/** Later than any instant in seconds and earlier than any of this century in milliseconds. */
const EPOCH_SECONDS_MAX = 100_000_000_000

const cents = z.int('a whole number of cents was expected')
const instant = z
  .int('a whole number of seconds since 1970 was expected')
  .min(0, 'seconds since 1970 were expected')
  .max(EPOCH_SECONDS_MAX, 'seconds since 1970 were expected, not milliseconds')
/** Ids are compared byte by byte, so only characters on which every comparison agrees are taken. */
const id = z.string('an id was expected').regex(/^[!-~]{1,200}$/, 'an id was expected')
const relation = id.nullish()

/** Without transforms, each of which costs as much as a check, and a back-fill reads millions of rows. */
const ledgerRow = z
  .object({
    id,
    merchant_id: relation,
    kind: z.string('a kind was expected').regex(/^[!-~]{1,100}$/, 'a kind was expected'),
    currency: z.unknown().optional(),
    amount: cents,
    net_amount: cents,
    /** Null reads as no fee: the provider documents it as the fee charged "if any". */
    merchant_fee: cents.nullable(),
    payment_id: relation,
    refund_id: relation,
    payout_id: relation,
    /** Its absence would look like "in no payout", so it is demanded where it has a meaning. */
    included_in_payout_id: relation,
    created: instant,
    updated: instant.nullish(),
    available_on: instant.nullish(),
  })
  .check((context) => {
    const row = context.value
    if (row.included_in_payout_id === undefined && row.kind !== 'from_payout') {
      context.issues.push({
        code: 'custom',
        path: ['included_in_payout_id'],
        message: 'a payout id or null was expected',
        input: undefined,
      })
    }
  })

const page = z.object(
  {
    data: z.array(
      z.custom<Readonly<Record<string, unknown>>>(isObject, 'a row was expected'),
      'a list of rows was expected',
    ),
    has_more: z.boolean('true or false was expected'),
  },
  ANSWER_EXPECTED,
)

function isObject(value: unknown): boolean {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

const refund = z.object({
  id,
  amount: cents.min(0, 'cents, 0 or more, were expected'),
  created: instant,
})

const payment = z.object(
  {
    id,
    purchase_amount: cents.min(0, 'cents, 0 or more, were expected'),
    kind: z
      .string()
      .regex(/^[!-~]{1,100}$/)
      .nullish()
      .catch(null)
      .transform((value) => value ?? null),
    refunds: z.array(refund, 'a list of refunds was expected'),
  },
  ANSWER_EXPECTED,
)

const dataExport = z.object(
  {
    id: id.regex(/^[A-Za-z0-9_-]{1,100}$/, 'an export id was expected'),
    complete: z.boolean('true or false was expected'),
    url_csv: z
      .string('an address or null was expected')
      .nullish()
      .transform((value) => value ?? null),
  },
  ANSWER_EXPECTED,
)

export interface LedgerRow {
  readonly parsed: BalanceTransaction
  /** As sent, private attributes included. */
  readonly raw: object
}

export interface Page<Row> {
  /** Newest first. */
  readonly rows: readonly Row[]
  readonly hasMore: boolean
}

export interface DataExport {
  readonly id: string
  readonly complete: boolean
  /** Where the CSV can be fetched; null until it is there, and perhaps later. */
  readonly csvUrl: string | null
}

/**
 * @param currency of rows that name none: the provider documents euro cents and no attribute for it.
 * @throws UnavailableFault naming the row and the field.
 */
export function readLedgerPage(body: unknown, place: string, currency: Currency): Page<LedgerRow> {
  const { data, has_more: hasMore } = read(page, body, () => place)
  return { rows: data.map((raw, index) => readLedgerRow(raw, index, place, currency)), hasMore }
}

function readLedgerRow(
  raw: Readonly<Record<string, unknown>>,
  index: number,
  place: string,
  currency: Currency,
): LedgerRow {
  const row = read(ledgerRow, raw, () => `${place}: ${rowName(raw, index)}`)
  const named = row.currency
  return {
    parsed: {
      id: row.id,
      merchantId: row.merchant_id ?? null,
      kind: row.kind,
      currency:
        typeof named === 'string' && /^[A-Za-z]{3}$/.test(named) ? named.toUpperCase() : currency,
      amountMinor: BigInt(row.amount),
      feeMinor: BigInt(row.merchant_fee ?? 0),
      netMinor: BigInt(row.net_amount),
      paymentId: row.payment_id ?? null,
      refundId: row.refund_id ?? null,
      payoutId: row.payout_id ?? null,
      includedInPayoutId: row.included_in_payout_id ?? null,
      createdS: row.created,
      updatedS: row.updated ?? null,
      availableOnS: row.available_on ?? null,
    },
    raw: storable(raw),
  }
}

/** @throws UnavailableFault naming the payment and the field. */
export function readPayment(body: unknown, place: string): Payment {
  const found = read(payment, body, () => place)
  return {
    id: found.id,
    purchaseAmountMinor: BigInt(found.purchase_amount),
    plan: found.kind,
    refunds: found.refunds.map((each) => ({
      id: each.id,
      amountMinor: BigInt(each.amount),
      createdS: each.created,
    })),
  }
}

/**
 * A page of the list of payments. The list is documented second-hand only, so a row that does not
 * hold what is needed makes it unusable (null) rather than a fault: each payment can be asked for.
 */
export function readPaymentPage(body: unknown): Page<Payment> | null {
  const envelope = page.safeParse(body)
  if (!envelope.success) return null
  const rows: Payment[] = []
  for (const raw of envelope.data.data) {
    if (!payment.safeParse(raw).success) return null
    rows.push(readPayment(raw, 'the list of payments'))
  }
  return { rows, hasMore: envelope.data.has_more }
}

/** @throws UnavailableFault naming the field. */
export function readDataExport(body: unknown, place: string): DataExport {
  const found = read(dataExport, body, () => place)
  return { id: found.id, complete: found.complete, csvUrl: found.url_csv }
}

/** @param place made only for a fault, as it is asked for with every row. */
function read<T>(schema: z.ZodType<T>, body: unknown, place: () => string): T {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const path = issue?.path ?? []
  const field = path.length === 0 ? 'the answer' : path.map(String).join('.')
  throw new UnavailableFault(
    `${place()}: ${field} is ${shown(valueAt(body, path))}, ${issue?.message ?? 'something else was expected'}`,
    {
      hint: 'Nothing of this answer was stored. Run the same command again; if it persists, the provider has changed its API: report the message above.',
    },
  )
}

/** By id where it has one that can be shown, else by its place. */
function rowName(raw: Readonly<Record<string, unknown>>, index: number): string {
  const { id: found } = raw
  return id.safeParse(found).success && typeof found === 'string'
    ? `row ${found}`
    : `row number ${index + 1}`
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  let value = body
  for (const step of path) {
    if (value === null || typeof value !== 'object') return undefined
    value = Reflect.get(value, step)
  }
  return value
}

/** Numbers and short texts as they are; of anything larger only what it is. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  if (Array.isArray(value)) return 'a list'
  if (value !== null && typeof value === 'object') return 'an object'
  const text = JSON.stringify(value)
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text
}

/**
 * The row as a value that Postgres' `jsonb` holds and gives back equal: without NUL characters and
 * halves of surrogate pairs, which it refuses, and without the minus of zero, which it drops. Nearly
 * every row is flat and plain already, and is taken as it is.
 */
function storable(raw: object): object {
  if (Object.values(raw).every(isPlain)) return raw
  const text = JSON.stringify(raw)
  const clean: unknown = JSON.parse(text, (_, value: unknown) =>
    typeof value === 'string'
      ? value.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '\uFFFD')
      : value,
  )
  return clean !== null && typeof clean === 'object' ? clean : {}
}

/** True for what surely needs no mending; a whole surrogate pair is looked at again. */
function isPlain(value: unknown): boolean {
  if (typeof value === 'string') return !/[\0\uD800-\uDFFF]/.test(value)
  return (
    value === null ||
    typeof value === 'boolean' ||
    (typeof value === 'number' && !isMinusZero(value))
  )
}

function isMinusZero(value: number): boolean {
  return Object.is(value, -0)
}
