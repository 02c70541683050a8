/** The provider's ledger, a page at a time, newest first. */
import type { EpochSeconds } from '../domain/day.ts'
import type { Currency } from '../domain/money.ts'
import { UnavailableFault } from '../errors.ts'
import type { ProviderClient } from './client.ts'
import { type LedgerRow, type Page, readLedgerPage } from './wire.ts'

/** The largest page the provider gives; larger than the smallest it was ever said to demand. */
export const LEDGER_PAGE_ROWS = 100

export type LedgerPage = Page<LedgerRow>

/** A page that contradicts the list's order: repeated, overlapping or empty in the middle. */
export class BrokenPage extends UnavailableFault {}

export interface LedgerQuery {
  /** Null: from the newest row. */
  readonly afterId: string | null
  /** Of rows that name none. */
  readonly currency: Currency
  /**
   * Only rows created in these bounds. The provider's own client sends them, its reference does not
   * name them: whoever uses them must not rely on them.
   */
  readonly created?: { readonly minS: EpochSeconds; readonly maxS: EpochSeconds }
}

/**
 * The rows that are older than `afterId` (null: the newest ones). What comes back is proved to lie
 * below the cursor in strictly falling order; a page that is not is asked for once more. Pages may be short: only
 * `hasMore` tells whether older rows exist.
 * @throws BrokenPage if it still is not; UnavailableFault for a row that cannot be read;
 * `RefusedRequest`, e.g. for a cursor that the provider does not know.
 */
export async function fetchLedgerPage(
  client: ProviderClient,
  { afterId, currency, created }: LedgerQuery,
): Promise<LedgerPage> {
  const place =
    afterId === null ? 'the first page of balance transactions' : `the page after ${afterId}`
  const ask = async (): Promise<{ page: LedgerPage; fault: string | null }> => {
    const body = await client.getJson('/v1/balance-transactions', {
      limit: String(LEDGER_PAGE_ROWS),
      ...(afterId === null ? {} : { starting_after: afterId }),
      ...(created === undefined
        ? {}
        : { 'created[min]': String(created.minS), 'created[max]': String(created.maxS) }),
    })
    const page = readLedgerPage(body, place, currency)
    return { page, fault: orderFault(page, afterId) }
  }
  const first = await ask()
  if (first.fault === null) return first.page
  const second = await ask()
  if (second.fault === null) return second.page
  throw new BrokenPage(`${place} of ${new URL(client.baseUrl).host} is broken: ${second.fault}`, {
    hint: 'What was stored before this page is kept and the next run continues there. If it persists, report the message above.',
  })
}

function orderFault(page: LedgerPage, afterId: string | null): string | null {
  if (page.rows.length === 0) {
    return page.hasMore ? 'it is empty although it says that older rows follow' : null
  }
  let above = afterId
  for (const { parsed } of page.rows) {
    if (above !== null && parsed.id >= above) {
      return `row ${parsed.id} was expected to be older than ${above}, ids falling from row to row`
    }
    above = parsed.id
  }
  return null
}
