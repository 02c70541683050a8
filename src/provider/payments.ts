/** Payments with their refunds. What the provider tells of customers goes no further than here. */
import type { EpochSeconds } from '../domain/day.ts'
import type { Payment } from '../domain/payment.ts'
import { UnavailableFault } from '../errors.ts'
import { type ProviderClient, RefusedKey, RefusedRequest } from './client.ts'
import { readPayment, readPaymentPage } from './wire.ts'

export const LIST_PAGE_ROWS = 100
/** Ten million payments in one look-back: above any merchant, so reaching it means a loop. */
const LIST_PAGES_MAX = 100_000

/** Null: the provider says that there is no such payment. */
export async function fetchPayment(client: ProviderClient, id: string): Promise<Payment | null> {
  const path = `/v1/payments/${encodeURIComponent(id)}`
  let body: unknown
  try {
    body = await client.getJson(path)
  } catch (error) {
    if (error instanceof RefusedRequest && error.status === 404) return null
    throw error
  }
  const payment = readPayment(body, `payment ${id}`)
  if (payment.id !== id) {
    throw new UnavailableFault(`payment ${id} was asked for and the provider sent ${payment.id}`, {
      hint: 'Run the same command again; if it persists, report the message above.',
    })
  }
  return payment
}

/**
 * All payments created from `fromS` up to, not including, `toS`, page by page. Ends with `unusable`
 * where the provider has no such list or it lacks the refunds; what came before then counts for
 * nothing.
 */
export async function* listPayments(
  client: ProviderClient,
  { fromS, toS }: { fromS: EpochSeconds; toS: EpochSeconds },
): AsyncGenerator<readonly Payment[] | 'unusable'> {
  let afterId: string | null = null
  for (let pages = 0; pages < LIST_PAGES_MAX; pages += 1) {
    const page = await fetchListPage(client, {
      // The provider includes both bounds.
      created_after: String(fromS),
      created_before: String(toS - 1),
      limit: String(LIST_PAGE_ROWS),
      ...(afterId === null ? {} : { starting_after: afterId }),
    })
    if (
      page === null ||
      !fallsBelow(page.rows, afterId) ||
      (page.hasMore && page.rows.length === 0)
    ) {
      yield 'unusable'
      return
    }
    yield page.rows
    const last = page.rows.at(-1)
    if (!page.hasMore || last === undefined) return
    afterId = last.id
  }
  throw new UnavailableFault(`the list of payments did not end after ${LIST_PAGES_MAX} pages`, {
    hint: 'Run the same command again; if it persists, report the message above.',
  })
}

async function fetchListPage(
  client: ProviderClient,
  query: Record<string, string>,
): Promise<ReturnType<typeof readPaymentPage>> {
  try {
    return readPaymentPage(await client.getJson('/v1/payments', query))
  } catch (error) {
    // A key may be good for single payments and not for the list.
    const isListOnly = error instanceof RefusedKey && error.status === 403
    if (error instanceof RefusedRequest || isListOnly) return null
    throw error
  }
}

function fallsBelow(rows: readonly Payment[], afterId: string | null): boolean {
  let above = afterId
  for (const { id } of rows) {
    if (above !== null && id >= above) return false
    above = id
  }
  return true
}
