/**
 * A second stand-in for the provider that shares nothing with the sandbox: as little as the
 * documentation promises, so that what the job takes for granted shows. Short ids, no list of
 * payments, an export with the documented columns only, everything else 404.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

export const MINIMAL_KEY = 'sk_test_minimal'

/** A ledger row with documented attributes only. */
export interface MinimalRow {
  readonly id: string
  readonly kind: string
  readonly amount: number
  readonly merchant_fee: number
  readonly net_amount: number
  readonly created: number
  readonly available_on: number
  readonly payment_id: string | null
  readonly refund_id: string | null
  readonly payout_id: string | null
  included_in_payout_id: string | null
}

interface MinimalPayment {
  readonly id: string
  readonly purchase_amount: number
  readonly refunds: readonly {
    readonly id: string
    readonly amount: number
    readonly created: number
  }[]
}

export interface MinimalProvider {
  readonly url: string
  /** `GET /v1/payments/payment_P1`, in the order of arrival. */
  readonly requests: string[]
  /** Paths below the API that were asked for with the key, and others with it. */
  readonly keySentTo: Set<string>
  close(): Promise<void>
}

export interface MinimalWorld {
  /** In any order. */
  readonly rows: readonly MinimalRow[]
  readonly payments: readonly MinimalPayment[]
  /** The file of every export, whatever is asked. */
  readonly exportCsv: string | Buffer
}

/** @param page rows of a page, whatever limit is asked for. */
export async function startMinimalProvider(
  world: MinimalWorld,
  page = 100,
): Promise<MinimalProvider> {
  const requests: string[] = []
  const keySentTo = new Set<string>()
  const newestFirst = world.rows.toSorted((a, b) => (a.id < b.id ? 1 : -1))
  const asked = new Map<string, number>()
  let base = ''

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? '/', base)
    requests.push(`${request.method ?? ''} ${url.pathname}`)
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
      response.end(JSON.stringify(body))
    }
    if (request.headers.authorization !== undefined) keySentTo.add(url.pathname)
    if (url.pathname === '/files/accounting.csv') {
      response.writeHead(200, { 'content-type': 'text/csv' }).end(world.exportCsv)
      return
    }
    if (request.headers.authorization !== `Alma-Auth ${MINIMAL_KEY}`) {
      send(401, { message: 'Credentials invalid or not supplied' })
    } else if (url.pathname === '/v1/balance-transactions') {
      const cursor = url.searchParams.get('starting_after')
      const below = newestFirst.filter(({ id }) => cursor === null || id < cursor)
      send(200, { data: below.slice(0, page), has_more: below.length > page })
    } else if (url.pathname === '/v1/data-exports' && request.method === 'POST') {
      const id = `export_${asked.size + 1}`
      asked.set(id, 0)
      send(201, { id, type: 'accounting', complete: false, url_csv: null })
    } else if (asked.has(url.pathname.replace('/v1/data-exports/', ''))) {
      const id = url.pathname.replace('/v1/data-exports/', '')
      const polls = (asked.get(id) ?? 0) + 1
      asked.set(id, polls)
      const complete = polls > 1
      send(200, { id, complete, url_csv: complete ? `${base}/files/accounting.csv` : null })
    } else {
      const payment = world.payments.find(({ id }) => url.pathname === `/v1/payments/${id}`)
      if (payment === undefined) send(404, { message: 'not found' })
      else send(200, payment)
    }
  }
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  base = `http://127.0.0.1:${address.port}`
  return {
    url: base,
    requests,
    keySentTo,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
