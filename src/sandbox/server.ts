import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Api, createApi, csvAnswer, json } from './api.ts'
import { addSale } from './edit.ts'
import {
  type Answer,
  type Fault,
  type FaultRule,
  faultScript,
  type FaultScript,
  type LoggedRequest,
} from './faults.ts'
import type { SandboxWorld } from './model.ts'
import {
  deliver,
  type Delivery,
  ipnFor,
  type OutgoingNotification,
  type SandboxWebhook,
  webhookFor,
} from './notify.ts'
import { DEFAULT_SWITCHES, type SandboxSwitches } from './switches.ts'

export type { Fault } from './faults.ts'
export type { SandboxSwitches } from './switches.ts'

const REQUEST_BODY_BYTES_MAX = 1_000_000

export interface Sandbox {
  /** Base URL of the API, without a trailing slash. */
  readonly url: string
  /** Where signed export URLs point: another port, and no place for the API's key. */
  readonly exportHostUrl: string
  /** Read afresh by every request, so it may be changed at any time. */
  readonly world: SandboxWorld
  /** Likewise. */
  readonly switches: SandboxSwitches
  /** Every request to either server, in the order of arrival. Empty it with `length = 0`. */
  readonly requests: LoggedRequest[]
  /** Webhooks that were asked for, in that order. */
  readonly webhooks: readonly SandboxWebhook[]
  /**
   * Tells of an event of a payment: by IPN to `ipnUrl` if it is given, and by the webhooks of the
   * payment's account that were asked for this type. Tries again as the provider does.
   */
  notify(event: SandboxEvent): Promise<Delivery[]>
  script(rule: FaultRule): void
  clearScript(): void
  /** Drops every connection and stops both servers. */
  close(): Promise<void>
}

interface SandboxEvent {
  /** `payment.captured` and the like. */
  readonly type: string
  readonly paymentId: string
  readonly ipnUrl?: string
}

export interface SandboxOptions {
  world: SandboxWorld
  switches?: Partial<SandboxSwitches>
  /** Of the API; 0 or nothing: any free one. */
  port?: number
  /** Loopback unless said. */
  host?: string
}

/** Serves a world as the provider's API, and its exports from a second server. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { world } = options
  const host = options.host ?? '127.0.0.1'
  const switches: SandboxSwitches = { ...DEFAULT_SWITCHES, ...options.switches }
  const requests: LoggedRequest[] = []
  const script = faultScript()
  const closing = new AbortController()
  // Each request that waits listens to it, and any number of them may.
  setMaxListeners(0, closing.signal)
  const secret = randomBytes(32)
  const signature = (path: string, expires: string): string =>
    createHmac('sha256', secret).update(`${path} ${expires}`).digest('hex')

  let exportHostUrl = ''
  const api = createApi({
    world,
    switches,
    signedUrl: (exportId) => {
      const path = `/exports/${exportId}.csv`
      const lifetimeMs = switches.exportUrlLifetimeMs
      const expires = lifetimeMs === null ? 'never' : String(Date.now() + lifetimeMs)
      return `${exportHostUrl}${path}?expires=${expires}&signature=${signature(path, expires)}`
    },
  })
  const shared = { world, switches, requests, script, api, stop: closing.signal }
  const apiServer = createServer(
    listener({ ...shared, host: 'api', answer: (request) => api.answer(request) }),
  )
  const exportServer = createServer(
    listener({
      ...shared,
      host: 'export',
      answer: (request) => exportAnswer(api, signature, request),
    }),
  )
  const url = await listen(apiServer, host, options.port ?? 0)
  try {
    exportHostUrl = await listen(exportServer, host, 0)
  } catch (error) {
    await stop(apiServer)
    throw error
  }
  return {
    url,
    exportHostUrl,
    world,
    switches,
    requests,
    webhooks: api.webhooks,
    notify: async (event) => {
      const deliveries: Delivery[] = []
      for (const outgoing of await notificationsOf(api, world, event)) {
        deliveries.push(await deliver(outgoing))
      }
      return deliveries
    },
    script: (rule) => {
      script.add(rule)
    },
    clearScript: () => {
      script.clear()
    },
    close: async () => {
      closing.abort()
      await Promise.all([stop(apiServer), stop(exportServer)])
    },
  }
}

async function notificationsOf(
  api: Api,
  world: SandboxWorld,
  { type, paymentId, ipnUrl }: SandboxEvent,
): Promise<OutgoingNotification[]> {
  const account = world.accounts.find(({ payments }) => payments.has(paymentId))
  if (account === undefined) throw new Error(`no account of this world has ${paymentId}`)
  const shown = api.answer({
    host: 'api',
    method: 'GET',
    path: `/v1/payments/${paymentId}`,
    query: {},
    headers: { authorization: `Alma-Auth ${account.apiKey}` },
    body: '',
    atMs: Date.now(),
    status: null,
  })
  const data: unknown = JSON.parse(shown.body)
  const signedS = Math.floor(Date.now() / 1000)
  const asked = api.webhooks.filter((each) => each.account === account && each.type === type)
  const posts = await Promise.all(asked.map(({ url }) => webhookFor({ type, data, signedS }, url)))
  return [...(ipnUrl === undefined ? [] : [ipnFor(account, paymentId, ipnUrl)]), ...posts]
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  return await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('no port was given'))
      else resolve(`http://${host.includes(':') ? `[${host}]` : host}:${address.port}`)
    })
  })
}

async function stop(server: Server): Promise<void> {
  await new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  })
}

/** Answers in the manner of an object store: XML faults, and no patience with a second way to authenticate. */
function exportAnswer(
  api: Api,
  signature: (path: string, expires: string) => string,
  request: LoggedRequest,
): Answer {
  const refuse = (status: number, code: string): Answer => ({
    status,
    headers: { 'content-type': 'application/xml' },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code></Error>`,
  })
  if (request.headers['authorization'] !== undefined) return refuse(400, 'InvalidArgument')
  if (request.method !== 'GET') return refuse(405, 'MethodNotAllowed')
  const { expires = '', signature: shown = '' } = request.query
  const right = signature(request.path, expires)
  const isSigned =
    shown.length === right.length && timingSafeEqual(Buffer.from(shown), Buffer.from(right))
  if (!isSigned || (expires !== 'never' && Date.now() > Number(expires))) {
    return refuse(403, 'AccessDenied')
  }
  const exportId = /^\/exports\/(\w+)\.csv$/.exec(request.path)?.[1] ?? ''
  const file = api.exportFile(exportId)
  return file === undefined ? refuse(404, 'NoSuchKey') : csvAnswer(file, exportId)
}

interface Listening {
  host: 'api' | 'export'
  answer: (request: LoggedRequest) => Answer
  world: SandboxWorld
  switches: SandboxSwitches
  requests: LoggedRequest[]
  script: FaultScript
  api: Api
  stop: AbortSignal
}

function listener(on: Listening): (incoming: IncomingMessage, response: ServerResponse) => void {
  /** The last list page by path, for `repeat_page`. */
  const lastPages = new Map<string, string>()
  return (incoming, response) => {
    handle(on, lastPages, incoming, response).catch((error: unknown) => {
      // Closing interrupts what still waits. Anything else is a fault of the sandbox itself: said
      // loudly to the client, since there is nobody else to hear it.
      if (on.stop.aborted || response.destroyed) return
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`sandbox: ${text}`)
    })
  }
}

async function handle(
  on: Listening,
  lastPages: Map<string, string>,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const request = await logged(on.host, incoming)
  on.requests.push(request)
  const faults = on.script.strike(request)
  if (on.switches.latencyMs > 0) await sleep(on.switches.latencyMs, undefined, { signal: on.stop })

  let replaced: Answer | undefined
  for (const fault of faults) {
    if (fault.do === 'reset' && fault.at === 'before_handling') {
      incoming.socket.resetAndDestroy()
      return
    }
    await precede(on, fault, request)
    replaced ??= replacement(fault, request)
  }
  let answer = replaced ?? on.answer(request)
  const earlierPage = lastPages.get(request.path)
  if (isListPage(answer.body)) lastPages.set(request.path, answer.body)
  for (const fault of faults) {
    spoil(fault, answer, earlierPage)
    if (fault.do === 'edit') answer = fault.answer(answer)
  }
  if (on.switches.charsetInContentType && answer.headers['content-type'] === 'application/json') {
    answer.headers['content-type'] = 'application/json; charset=utf-8'
  }
  await send(response, request, answer, faults, on.stop)
}

async function logged(host: 'api' | 'export', incoming: IncomingMessage): Promise<LoggedRequest> {
  const url = new URL(incoming.url ?? '/', 'http://sandbox.invalid')
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(incoming.headers)) {
    headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '')
  }
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of incoming) {
    const buffer = Buffer.from(piece)
    bytes += buffer.length
    if (bytes > REQUEST_BODY_BYTES_MAX) throw new Error('the request body is too large')
    pieces.push(buffer)
  }
  return {
    host,
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers,
    body: Buffer.concat(pieces).toString('utf8'),
    atMs: Date.now(),
    status: null,
  }
}

/** What happens before the usual answer is made. */
async function precede(on: Listening, fault: Fault, request: LoggedRequest): Promise<void> {
  if (fault.do === 'delay') await sleep(fault.ms, undefined, { signal: on.stop })
  if (fault.do === 'mutate') fault.change(on.world)
  if (fault.do === 'new_rows') {
    const account = on.api.accountOf(request)
    if (account === undefined) return
    for (let sold = 0; sold < fault.count; sold += 1) {
      const latest = account.rows.at(-1)?.created ?? 0
      addSale(account, on.world.nowS ?? latest + 60, 10_000 + sold * 100)
    }
  }
}

const PROXY_PAGE =
  '<!DOCTYPE html><html><head><title>Service</title></head><body><h1>Please try again</h1></body></html>'

function replacement(fault: Fault, request: LoggedRequest): Answer | undefined {
  if (fault.do === 'html') {
    return { status: 200, headers: { 'content-type': 'text/html' }, body: PROXY_PAGE }
  }
  if (fault.do === 'status') {
    const answer = json(fault.status, { message: `Scripted ${fault.status}` })
    if (fault.body !== undefined) answer.body = fault.body
    for (const [name, value] of Object.entries(fault.headers ?? {})) {
      answer.headers[name.toLowerCase()] = value
    }
    return answer
  }
  return fault.do === 'answer' ? fault.with(request) : undefined
}

interface ListPage {
  data: unknown[]
  has_more: boolean
}

const isListPage = (body: string): boolean => body.startsWith('{"data":[')

/** What is done to the page of a list; other answers stay as they are. */
function spoil(fault: Fault, answer: Answer, earlierPage: string | undefined): void {
  if (!isListPage(answer.body)) return
  if (fault.do === 'repeat_page' && earlierPage !== undefined) answer.body = earlierPage
  if (fault.do === 'empty_page') answer.body = JSON.stringify({ data: [], has_more: true })
  if (fault.do === 'short_page') {
    const page: ListPage = JSON.parse(answer.body)
    if (page.data.length > fault.rows) {
      answer.body = JSON.stringify({ data: page.data.slice(0, fault.rows), has_more: true })
    }
  }
}

async function send(
  response: ServerResponse,
  request: LoggedRequest,
  answer: Answer,
  faults: readonly Fault[],
  stopping: AbortSignal,
): Promise<void> {
  const whole = Buffer.from(answer.body)
  const isCut = faults.some((fault) => fault.do === 'truncate')
  const body = isCut ? whole.subarray(0, Math.floor(whole.length / 2)) : whole
  const reset = faults.find((fault) => fault.do === 'reset')
  const drip = faults.find((fault) => fault.do === 'drip')
  if (reset?.at === 'before_body') {
    response.socket?.resetAndDestroy()
    return
  }
  // Without a length the answer ends with a mark, which `after_body` leaves out.
  const length = reset?.at === 'after_body' ? {} : { 'content-length': String(body.length) }
  response.writeHead(answer.status, { ...answer.headers, ...length })
  request.status = answer.status
  if (reset !== undefined) {
    const sent = reset.at === 'after_body' ? body : body.subarray(0, Math.floor(body.length / 2))
    response.write(sent, () => response.socket?.destroy())
    return
  }
  if (drip !== undefined) {
    for (let at = 0; at < body.length && !response.destroyed; at += drip.bytes) {
      response.write(body.subarray(at, at + drip.bytes))
      await sleep(drip.everyMs, undefined, { signal: stopping })
    }
    response.end()
    return
  }
  response.end(body)
}
