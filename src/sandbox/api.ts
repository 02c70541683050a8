import { z } from 'zod'
import { type Day, dayOfInstant, startOfDay } from '../domain/day.ts'
import { accountingCsv } from './accounting-export.ts'
import { chanceOf } from './chance.ts'
import { lowerBound, paymentsInOrder } from './edit.ts'
import { eligibilityOf, offersOf, type SandboxEligibility } from './eligibility.ts'
import type { Answer, LoggedRequest } from './faults.ts'
import { idMaker } from './ids.ts'
import { refundedOf } from './ledger.ts'
import type { SandboxAccount, SandboxPayment, SandboxRow, SandboxWorld } from './model.ts'
import type { SandboxWebhook } from './notify.ts'
import { vatOfFee } from './plans.ts'
import type { SandboxSwitches } from './switches.ts'

/** What the documentation says of lists. */
const LIMIT_DEFAULT = 20
const LIMIT_MAX = 100

const KINDS = [
  'from_transaction',
  'from_refund',
  'from_payout',
  'from_fee_waiver',
  'from_adjustment',
  'from_merchant_default_coverage',
]

const PAYMENT_STATES = [
  'not_ready',
  'not_started',
  'scored_no',
  'scored_maybe',
  'scored_yes',
  'in_progress',
  'paid',
]

export interface ApiOptions {
  world: SandboxWorld
  switches: SandboxSwitches
  /** A URL on the export host from which the file of this export can be had. */
  signedUrl(exportId: string): string
}

export interface Api {
  answer(request: LoggedRequest): Answer
  /** The file of a complete export, for the export host. */
  exportFile(exportId: string): string | undefined
  /** Those that were asked for, in that order. */
  readonly webhooks: readonly SandboxWebhook[]
  /** The account that a request's key opens. */
  accountOf(request: LoggedRequest): SandboxAccount | undefined
}

interface StoredExport {
  id: string
  account: SandboxAccount
  type: string
  startS: number
  endS: number
  payout: string | null
  includeChildAccounts: boolean
  createdS: number
  updatedS: number
  askedMs: number
  polls: number
  /** The file, once complete: later changes of the ledger do not change it. */
  csv: string | null
}

/** A refusal on the way to an answer. */
class Refusal extends Error {
  readonly answer: Answer
  constructor(answer: Answer) {
    super(answer.body)
    this.answer = answer
  }
}

export function json(status: number, body: unknown): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }
}

/** The documented body of a 400. */
function invalid(field: string, errorCode: string, value: unknown, message: string): Refusal {
  return new Refusal(
    json(400, {
      error_code: 'validation_error',
      errors: [{ field, error_code: errorCode, value, message }],
    }),
  )
}

const notFound = (): Refusal => new Refusal(json(404, { message: 'Not found' }))

/** The documented endpoints over a world that may change between requests. */
export function createApi(options: ApiOptions): Api {
  const { world, switches } = options
  const exports = new Map<string, StoredExport>()
  const webhooks: SandboxWebhook[] = []
  const newId = idMaker(chanceOf('exports'))

  const accountOf = (request: LoggedRequest): SandboxAccount | undefined => {
    const key = /^Alma-Auth (\S+)$/.exec(request.headers['authorization'] ?? '')?.[1]
    return world.accounts.find(({ apiKey }) => apiKey === key)
  }

  const routes: [string, RegExp, (request: LoggedRequest, account: SandboxAccount) => Answer][] = [
    ['GET', /^\/v1\/me$/, (_request, account) => json(200, merchant(account))],
    ['GET', /^\/v1\/balance-transactions$/, listRows],
    ['POST', /^\/v1\/data-exports$/, createExport],
    ['GET', /^\/v1\/data-exports\/[^/]+$/, getExport],
    ['POST', /^\/v1\/webhooks$/, createWebhook],
    ['POST', /^\/v2\/payments\/eligibility$/, eligibility],
    ['GET', /^\/v1\/me\/fee-plans$/, feePlans],
    ['GET', /^\/v1\/payments$/, listPayments],
    ['GET', /^\/v1\/payments\/[^/]+$/, getPayment],
  ]

  function listRows(request: LoggedRequest, account: SandboxAccount): Answer {
    const { query } = request
    const kind = kindFilter(query['kind'])
    const bound = ['created[min]', 'created[max]'].find((name) => query[name] !== undefined)
    if (bound !== undefined && switches.createdRange === 'refused') {
      throw invalid(bound, 'unknown_parameter', query[bound], 'Unknown parameter')
    }
    const [from, to] =
      switches.createdRange === 'honoured'
        ? [whole(query, 'created[min]'), whole(query, 'created[max]')]
        : [undefined, undefined]
    const page = pageOf(
      rowsOf(account, query['merchant']),
      (row) =>
        kind(switches.renamedKinds[row.kind] ?? row.kind) &&
        row.created >= (from ?? -Infinity) &&
        row.created <= (to ?? Infinity),
      query,
      switches.limitMin,
    )
    return json(200, { data: page.data.map(rowView()), has_more: page.hasMore })
  }

  /** A merchant's own rows, or with `merchant=all` those of every account that the key opens. */
  function rowsOf(account: SandboxAccount, asked: string | undefined): readonly SandboxRow[] {
    if (asked === undefined || asked === account.merchantId) return seen(account.rows)
    const family = world.accounts.filter(({ apiKey }) => apiKey === account.apiKey)
    if (asked === 'all') {
      const rows = family.flatMap((member) => seen(member.rows))
      return family.length > 1 ? rows.sort((a, b) => (a.id < b.id ? -1 : 1)) : rows
    }
    const child = family.find(({ merchantId }) => merchantId === asked)
    if (child === undefined) {
      throw invalid('merchant', 'unauthorized', asked, 'This merchant is not yours')
    }
    return seen(child.rows)
  }

  /** What has happened by the provider's clock. */
  function seen<T extends { created: number }>(items: readonly T[]): readonly T[] {
    const { nowS } = world
    if (nowS === undefined) return items
    return items.slice(
      0,
      lowerBound(items, ({ created }) => created <= nowS),
    )
  }

  function rowView(): (row: SandboxRow) => SandboxRow {
    const { nowS } = world
    const laterPayouts = new Set<string | null>()
    if (nowS !== undefined) {
      for (const row of world.accounts.flatMap(({ rows }) => rows)) {
        if (row.payout_id !== null && row.created > nowS) laterPayouts.add(row.payout_id)
      }
    }
    return (row) => ({
      ...row,
      kind: switches.renamedKinds[row.kind] ?? row.kind,
      ...(row.included_in_payout_id !== null && laterPayouts.has(row.included_in_payout_id)
        ? { included_in_payout_id: null, updated: row.created }
        : {}),
      ...(switches.extraAttributes ? { settlement_hint: { batch: null }, risk_tier: 'B' } : {}),
    })
  }

  function pageOf<T extends { id: string }>(
    oldestFirst: readonly T[],
    accepts: (item: T) => boolean,
    query: Readonly<Record<string, string>>,
    limitMin: number,
  ): { data: T[]; hasMore: boolean } {
    const limit = limitOf(query, limitMin)
    const cursor = query['starting_after']
    let at = oldestFirst.length
    if (cursor !== undefined) {
      at = lowerBound(oldestFirst, ({ id }) => id < cursor)
      if (oldestFirst[at]?.id !== cursor) {
        // A world edited by hand need not be in order; only then is the whole list searched.
        const found = oldestFirst.findIndex(({ id }) => id === cursor)
        if (found >= 0) at = found
        else if (switches.unknownCursor === 'empty_page') at = 0
        else if (switches.unknownCursor === 'not_found') throw notFound()
        else if (switches.unknownCursor === 'invalid') {
          throw invalid('starting_after', 'invalid_value', cursor, 'No such object')
        }
      }
    }
    const data: T[] = []
    while (at > 0) {
      at -= 1
      const item = oldestFirst[at]
      if (item === undefined || !accepts(item)) continue
      if (data.length === limit) return { data, hasMore: true }
      data.push(item)
    }
    return { data, hasMore: false }
  }

  function limitOf(query: Readonly<Record<string, string>>, limitMin: number): number {
    const limit = whole(query, 'limit') ?? LIMIT_DEFAULT
    if (limit >= limitMin && limit <= LIMIT_MAX) return limit
    if (switches.limitOutOfRange === 'clamp') return Math.min(Math.max(limit, limitMin), LIMIT_MAX)
    const range = `The limit must lie between ${limitMin} and ${LIMIT_MAX}`
    throw invalid('limit', 'invalid_value', limit, range)
  }

  function createExport(request: LoggedRequest, account: SandboxAccount): Answer {
    const body = exportRequest(request.body)
    const nowMs = Date.now()
    const nowS = world.nowS ?? Math.floor(nowMs / 1000)
    const asked: StoredExport = {
      id: newId('export', nowMs),
      account,
      type: body.type,
      startS: body.start ?? firstMidnight(account),
      endS: body.end ?? nowS,
      payout: body.payout ?? null,
      includeChildAccounts: body.include_child_accounts ?? false,
      createdS: nowS,
      updatedS: nowS,
      askedMs: nowMs,
      polls: 0,
      csv: null,
    }
    if (asked.startS > asked.endS) {
      throw invalid('end', 'incompatible_parameters', asked.endS, 'The end lies before the start')
    }
    exports.set(asked.id, asked)
    return json(switches.exportCreatedStatus, exportView(asked))
  }

  function createWebhook(request: LoggedRequest, account: SandboxAccount): Answer {
    const { type, url } = webhookRequest(request.body)
    const id = `webhook_${chanceOf(`webhooks/${webhooks.length}`).base62(34)}`
    webhooks.push({ id, account, type, url })
    return json(201, { id, type, url })
  }

  function eligibility(request: LoggedRequest, account: SandboxAccount): Answer {
    if (switches.eligibility === 'missing') throw notFound()
    const { purchase_amount: amount, queries } = eligibilityRequest(request.body)
    const answers = eligibilityOf(account, world.nowS, {
      amount,
      queries: queries?.map((query) => ({
        installments: query.installments_count,
        deferredDays: query.deferred_days ?? 0,
        deferredMonths: query.deferred_months ?? 0,
      })),
    })
    return json(
      200,
      answers.map((answer) => eligibilityView(answer, amount)),
    )
  }

  function feePlans(_request: LoggedRequest, account: SandboxAccount): Answer {
    if (switches.feePlans === 'refused') return json(403, { message: 'Forbidden' })
    return json(
      200,
      offersOf(account, world.nowS).offers.map((offer) => ({
        allowed: true,
        available_online: true,
        kind: 'general',
        installments_count: offer.installments,
        deferred_days: offer.deferredDays,
        deferred_months: 0,
        merchant_fee_variable: Math.round(Number(offer.ratePercent) * 100),
        merchant_fee_fixed: 0,
        customer_fee_variable: 0,
        min_purchase_amount: offer.minimum,
        max_purchase_amount: offer.maximum,
      })),
    )
  }

  function getExport(request: LoggedRequest, account: SandboxAccount): Answer {
    const asked = exports.get(request.path.slice(request.path.lastIndexOf('/') + 1))
    if (asked?.account !== account) throw notFound()
    const format = request.query['format']
    if (format !== undefined) {
      if (format !== 'csv') {
        throw invalid('format', 'invalid_value', format, 'This export has no such format')
      }
      if (asked.csv === null) throw notFound()
      return csvAnswer(asked.csv, asked.id)
    }
    asked.polls += 1
    const ready =
      asked.polls > switches.exportPolls && Date.now() - asked.askedMs >= switches.exportDelayMs
    if (asked.csv === null && ready && !switches.exportStuck) {
      asked.csv = accountingCsv(account, exportedRows(asked), switches)
      asked.updatedS = world.nowS ?? Math.floor(Date.now() / 1000)
    }
    return json(200, exportView(asked))
  }

  function exportedRows(asked: StoredExport): SandboxRow[] {
    const { account } = asked
    const rows = [...seen(account.rows), ...(account.exportEdits?.added ?? [])].sort((a, b) =>
      a.id < b.id ? -1 : 1,
    )
    if (asked.type === 'accounting_for_payout') {
      return rows.filter(
        (row) => row.included_in_payout_id === asked.payout || row.payout_id === asked.payout,
      )
    }
    return rows.filter(
      ({ created }) =>
        created >= asked.startS &&
        (created < asked.endS || (switches.exportEnd === 'inclusive' && created === asked.endS)),
    )
  }

  function exportView(asked: StoredExport): unknown {
    const complete = asked.csv !== null
    return {
      id: asked.id,
      type: asked.type,
      complete,
      created: asked.createdS,
      updated: asked.updatedS,
      start: asked.startS,
      end: asked.endS,
      // Elsewhere merchants are `merchant_…`; here the provider writes a number.
      merchant: world.accounts.indexOf(asked.account) + 4,
      include_child_accounts: asked.includeChildAccounts,
      holder_id: null,
      receivable_export_type: null,
      url_csv: complete && switches.exportDownload === 'url' ? options.signedUrl(asked.id) : null,
      url_pdf: null,
      url_xlsx: null,
      url_xml: null,
      url_zip: null,
    }
  }

  function firstMidnight(account: SandboxAccount): number {
    const day: Day = dayOfInstant(account.rows[0]?.created ?? 0, 'Europe/Paris')
    return startOfDay(day, 'Europe/Paris')
  }

  function listPayments(request: LoggedRequest, account: SandboxAccount): Answer {
    if (switches.paymentsList === 'missing') throw notFound()
    const { query } = request
    const after = whole(query, 'created_after') ?? -Infinity
    const before = whole(query, 'created_before') ?? Infinity
    const states = query['state']?.split(',')
    const stray = states?.find((state) => !PAYMENT_STATES.includes(state))
    if (stray !== undefined) throw invalid('state', 'invalid_value', stray, 'Unknown state')
    const email = query['customer_email']
    const page = pageOf(
      seen(paymentsInOrder(account)),
      (payment) =>
        payment.created >= after &&
        payment.created <= before &&
        (states === undefined || states.includes(payment.state)) &&
        (email === undefined || payment.customer.email.includes(email)),
      query,
      1,
    )
    return json(200, {
      data: page.data.map((payment) => listed(account, payment)),
      has_more: page.hasMore,
    })
  }

  function getPayment(request: LoggedRequest, account: SandboxAccount): Answer {
    const payment = account.payments.get(request.path.slice(request.path.lastIndexOf('/') + 1))
    if (payment === undefined || payment.created > (world.nowS ?? Infinity)) throw notFound()
    return json(200, paymentView(account, payment))
  }

  /** The shorter payment of a list: no fees. */
  function listed(account: SandboxAccount, payment: SandboxPayment): unknown {
    const refunds =
      switches.paymentsList === 'without_refunds' ? {} : { refunds: refundsView(payment) }
    return { ...commonView(account, payment), ...refunds }
  }

  function commonView(account: SandboxAccount, payment: SandboxPayment) {
    return {
      id: payment.id,
      merchant_name: account.name,
      state: payment.state,
      processing_status: 'captured',
      cancelation_reason: null,
      created: payment.created,
      updated: payment.created,
      purchase_amount: payment.purchase_amount,
      kind: payment.kind,
      deferred_days: payment.deferred_days,
      deferred_months: payment.deferred_months,
      payment_plan: paymentPlan(payment),
      customer: { id: payment.id.replace('payment_', 'customer_'), ...payment.customer },
      orders: payment.orders.map((order) => ({
        ...order,
        merchant_url: null,
        customer_url: null,
        comment: null,
        data: {},
        payment: '',
      })),
      origin: 'online',
      transaction_country: 'FR',
      ...(switches.extraAttributes ? { private_score: 12 } : {}),
    }
  }

  function refundsView(payment: SandboxPayment) {
    return seen(payment.refunds).map((refund) => ({
      ...refund,
      amount_customer_fees: 0,
      amount_customer_fees_with_vat: 0,
      amount_customer_fees_vat: 0,
    }))
  }

  function paymentView(account: SandboxAccount, payment: SandboxPayment): unknown {
    const fee = payment.merchant_fee ?? 0
    const feeVat = account.feeVat ?? 'excluded'
    const tax = vatOfFee(fee, feeVat)
    const withoutTax = feeVat === 'included' ? fee - tax : fee
    const refunded = refundedOf({ ...payment, refunds: [...seen(payment.refunds)] })
    return {
      ...commonView(account, payment),
      merchant_id: account.merchantId,
      expired_at: null,
      installments_count: payment.installments_count,
      custom_data: {},
      refunds: refundsView(payment),
      amount_already_refunded: refunded,
      is_completely_refunded: refunded >= payment.purchase_amount,
      customer_fees_refunded: 0,
      fees: { merchant: { total: withoutTax + tax, total_excluding_tax: withoutTax, tax } },
      merchant_target_fee: withoutTax + tax,
      customer_fee: 0,
      customer_interest: 0,
      annual_interest_rate: null,
      integration_origin: null,
      seller: null,
      country_of_service: null,
      is_deferred_capture: false,
      capture_method: 'automatic',
      authorization_expires_at: null,
      payout: null,
    }
  }

  return {
    accountOf,
    webhooks,
    exportFile: (exportId) => exports.get(exportId)?.csv ?? undefined,
    answer: (request) => {
      const account = accountOf(request)
      if (account === undefined) {
        return json(401, { message: 'Credentials invalid or not supplied' })
      }
      const here = routes.filter(([, path]) => path.test(request.path))
      const route = here.find(([method]) => method === request.method)
      if (here.length === 0) return json(404, { message: 'Not found' })
      if (route === undefined) {
        const refused = json(405, { message: 'Method not allowed' })
        refused.headers['allow'] = here.map(([method]) => method).join(', ')
        return refused
      }
      try {
        return route[2](request, account)
      } catch (error) {
        if (error instanceof Refusal) return error.answer
        throw error
      }
    },
  }
}

export function csvAnswer(csv: string, name: string): Answer {
  return {
    status: 200,
    headers: {
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': `attachment; filename="${name}.csv"`,
    },
    body: csv,
  }
}

function merchant(account: SandboxAccount): unknown {
  return {
    id: account.merchantId,
    name: account.name,
    can_pay_in: true,
    can_pay_out: true,
    can_refund: true,
    payout_label: null,
  }
}

/** A query parameter that must be a whole number. */
function whole(query: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = query[name]
  if (text === undefined) return undefined
  if (!/^-?\d{1,15}$/.test(text)) {
    throw invalid(name, 'invalid_type', text, 'A whole number was expected')
  }
  return Number(text)
}

/** `a,b` accepts these, `__not__a,b` all others. */
function kindFilter(asked: string | undefined): (kind: string) => boolean {
  if (asked === undefined) return () => true
  const negated = asked.startsWith('__not__')
  const kinds = asked.split(',').map((kind) => kind.replace(/^__not__/, ''))
  const stray = kinds.find((kind) => !KINDS.includes(kind))
  if (stray !== undefined) throw invalid('kind', 'invalid_value', stray, 'Unknown kind')
  return (kind) => kinds.includes(kind) !== negated
}

const exportBody = z.object({
  type: z.enum(['accounting', 'accounting_for_payout']),
  start: z.int().optional(),
  end: z.int().optional(),
  include_child_accounts: z.boolean().optional(),
  custom_fields: z.string().optional(),
  payout: z.string().startsWith('payout_').optional(),
})

const eligibilityBody = z.object({
  purchase_amount: z.int().min(0),
  queries: z
    .array(
      z.object({
        installments_count: z.int().min(1),
        deferred_days: z.int().min(0).optional(),
        deferred_months: z.int().min(0).optional(),
      }),
    )
    .optional(),
})

function eligibilityRequest(body: string): z.infer<typeof eligibilityBody> {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    throw invalid('body', 'invalid_type', undefined, 'The body is not JSON')
  }
  const result = eligibilityBody.safeParse(parsed)
  if (result.success) return result.data
  const field = result.error.issues[0]?.path.join('.') ?? ''
  const missing = !(field in Object(parsed))
  throw invalid(field, missing ? 'missing_field' : 'invalid_value', undefined, 'invalid')
}

const webhookBody = z.object({ type: z.string().min(1), url: z.url() })

function webhookRequest(body: string): z.infer<typeof webhookBody> {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    throw invalid('body', 'invalid_type', undefined, 'The body is not JSON')
  }
  const result = webhookBody.safeParse(parsed)
  if (result.success) return result.data
  const field = result.error.issues[0]?.path.join('.') ?? ''
  const missing = !(field in Object(parsed))
  throw invalid(field, missing ? 'missing_field' : 'invalid_value', undefined, 'invalid')
}

function exportRequest(body: string): z.infer<typeof exportBody> {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    throw invalid('body', 'invalid_type', undefined, 'The body is not JSON')
  }
  const result = exportBody.safeParse(parsed)
  if (!result.success) {
    const issue = result.error.issues[0]
    const field = issue?.path.join('.') ?? ''
    const missing = !(field in Object(parsed))
    throw invalid(
      field,
      missing ? 'missing_field' : 'invalid_value',
      undefined,
      issue?.message ?? 'invalid',
    )
  }
  if (result.data.type === 'accounting_for_payout' && result.data.payout === undefined) {
    throw invalid('payout', 'missing_field', undefined, 'This type needs a payout')
  }
  return result.data
}

/** As the provider's shop plugins are answered. */
function eligibilityView(answer: SandboxEligibility, amount: number): unknown {
  const terms = {
    installments_count: answer.installments,
    deferred_days: answer.deferredDays,
    deferred_months: answer.deferredMonths,
    purchase_amount: amount,
  }
  if (!answer.eligible) {
    return {
      ...terms,
      eligible: false,
      reasons: answer.reasons,
      ...(answer.limits === null ? {} : { constraints: { purchase_amount: answer.limits } }),
    }
  }
  return {
    ...terms,
    eligible: true,
    customer_total_cost_amount: 0,
    customer_total_cost_bps: 0,
    payment_plan: answer.instalments.map((each, index) => ({
      purchase_amount: each,
      customer_fee: 0,
      customer_interest: 0,
      total_amount: each,
      due_date: answer.atS + (answer.deferredDays + 30 * index) * 86_400,
    })),
  }
}

/** Equal instalments a month apart, what does not divide in the first. */
function paymentPlan(payment: SandboxPayment): unknown[] {
  const count = payment.installments_count
  const each = Math.floor(payment.purchase_amount / count)
  return Array.from({ length: count }, (_, index) => ({
    state: index === 0 && payment.deferred_days === 0 ? 'paid' : 'pending',
    is_check: false,
    original_purchase_amount: each,
    purchase_amount: index === 0 ? payment.purchase_amount - each * (count - 1) : each,
    customer_fee: 0,
    customer_interest: 0,
    due_date: payment.created + (payment.deferred_days + 30 * index) * 86_400,
    date_paid: null,
  }))
}
