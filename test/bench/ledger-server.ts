/**
 * A provider that answers as fast as Node can: pages of a generated ledger, its payments and the
 * accounting export of a period. A process of its own, so that what it takes is not taken from the
 * measured one: `node --import tsx test/bench/ledger-server.ts SHAPE`, which prints its port.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { accountingCsv } from '../../src/sandbox/accounting-export.ts'
import type { SandboxAccount, SandboxRow } from '../../src/sandbox/model.ts'
import { DEFAULT_SWITCHES } from '../../src/sandbox/switches.ts'
import {
  amountAt,
  createdAt,
  isPayoutAt,
  type LedgerShape,
  paymentIdAt,
  positionOf,
  rowJson,
  rowsUpTo,
} from './generated-ledger.ts'

const LIMIT_DEFAULT = 20
/** Of the export: no customers. */
const ACCOUNT: SandboxAccount = {
  name: 'bench',
  apiKey: '',
  merchantId: '',
  iban: '',
  rows: [],
  payments: new Map(),
}
const EXPORT_ID = 'export_11bench'

export const servedLedger = z.object({
  rows: z.int(),
  secondsBetween: z.number(),
  rowsPerPayout: z.int(),
  openShare: z.number(),
  latencyMs: z.int(),
})

type Answer = { readonly type: string; readonly body: string }

const json = (body: string): Answer => ({ type: 'application/json', body })

function ledgerPage(shape: LedgerShape, query: URLSearchParams): Answer {
  const [from, to] = [rowsBefore(shape, query.get('created[min]'), 0), upperOf(shape, query)]
  const limit = Number(query.get('limit') ?? LIMIT_DEFAULT)
  const least = Math.max(from, to - limit)
  const rows: string[] = []
  for (let position = to - 1; position >= least; position -= 1) rows.push(rowJson(shape, position))
  return json(`{"data":[${rows.join(',')}],"has_more":${least > from}}`)
}

/** The position after the newest row that the cursor and the upper bound leave. */
function upperOf(shape: LedgerShape, query: URLSearchParams): number {
  const cursor = query.get('starting_after')
  const max = query.get('created[max]')
  return Math.min(
    cursor === null ? shape.rows : positionOf(cursor),
    max === null ? shape.rows : rowsUpTo(shape, Number(max)),
  )
}

function rowsBefore(shape: LedgerShape, second: string | null, otherwise: number): number {
  return second === null ? otherwise : rowsUpTo(shape, Number(second) - 1)
}

function paymentPage(shape: LedgerShape, query: URLSearchParams): Answer {
  const cursor = query.get('starting_after')
  const before = query.get('created_before')
  const least = rowsBefore(shape, query.get('created_after'), 0)
  const limit = Number(query.get('limit') ?? LIMIT_DEFAULT)
  const payments: string[] = []
  let position =
    (cursor === null
      ? rowsUpTo(shape, before === null ? Number.MAX_SAFE_INTEGER : Number(before))
      : positionOf(cursor)) - 1
  for (; position >= least && payments.length < limit; position -= 1) {
    if (!isPayoutAt(shape, position)) payments.push(paymentJson(shape, position))
  }
  return json(`{"data":[${payments.join(',')}],"has_more":${position >= least}}`)
}

function paymentJson(shape: LedgerShape, position: number): string {
  return `{"id":"${paymentIdAt(position)}","state":"paid","created":${createdAt(shape, position)},"purchase_amount":${amountAt(position)},"kind":"P3X","customer":{"id":"customer_1","first_name":"Zo\u00e9","email":"zoe@example.com"},"refunds":[]}`
}

interface ExportBounds {
  readonly startS: number
  readonly endS: number
}

const exportRequest = z.object({ start: z.int(), end: z.int() })

function exportJson(): Answer {
  return json(`{"id":"${EXPORT_ID}","type":"accounting","complete":true,"url_csv":null}`)
}

function exportCsv(shape: LedgerShape, { startS, endS }: ExportBounds): Answer {
  const rows: SandboxRow[] = []
  for (let at = rowsUpTo(shape, startS - 1); at < rowsUpTo(shape, endS - 1); at += 1) {
    rows.push(JSON.parse(rowJson(shape, at)))
  }
  return {
    type: 'text/csv; charset=utf-8',
    body: accountingCsv(ACCOUNT, rows, { ...DEFAULT_SWITCHES }),
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of request) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}

async function main(): Promise<void> {
  const { latencyMs, ...shape } = servedLedger.parse(JSON.parse(process.argv[2] ?? ''))
  let bounds: ExportBounds = { startS: 0, endS: 0 }
  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://bench.invalid')
    if (request.method === 'POST') {
      const { start, end } = exportRequest.parse(JSON.parse(await bodyOf(request)))
      bounds = { startS: start, endS: end }
      return exportJson()
    }
    if (pathname === '/v1/balance-transactions') return ledgerPage(shape, searchParams)
    if (pathname === '/v1/payments') return paymentPage(shape, searchParams)
    return searchParams.has('format') ? exportCsv(shape, bounds) : exportJson()
  }
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (latencyMs > 0) await sleep(latencyMs)
    const { type, body } = await answer(request)
    const bytes = Buffer.from(body)
    response
      .writeHead(200, { 'content-type': type, 'content-length': String(bytes.length) })
      .end(bytes)
  }
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`)
  })
  // Whoever started it is gone when its end of the pipe is.
  process.stdin.resume().on('end', () => process.exit())
}

await main()
