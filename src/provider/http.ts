/**
 * One HTTP exchange, and how often it is tried. Everything a library would decide on its own
 * (retries, redirects, time limits, answers that are too large) is decided here in plain sight.
 */
import { Agent as HttpAgent, type IncomingHttpHeaders } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { got, RequestError } from 'got'
import { UnavailableFault } from '../errors.ts'
import { publicOnly } from './public-host.ts'

/** The largest JSON answer that is read: a page of 100 rows is about 60 kB. */
export const JSON_BYTES_MAX = 32 * 1024 * 1024
const FIRST_WAIT_MS = 250
const WAIT_MS_MAX = 8_000
/** A longer `Retry-After` is not waited for: the next run comes soon enough. */
const RETRY_AFTER_MS_MAX = 30_000
/** Requests under way together at most, whoever makes them. */
const AT_ONCE_MAX = 8
/** Requests after which one more may be under way again. */
const SPEED_UP_AFTER = 200
/** No further attempt is begun once waiting and trying took this long. */
const BUDGET_MS = 40_000

export interface RetryPolicy {
  /** Attempts after the first one. */
  readonly retryLimit: number
  /** Told of each retry in one line, without anything secret. */
  readonly onRetry: (text: string) => void
  readonly sleep: (waitMs: number) => Promise<void>
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly json?: object
  /** Limit of the whole exchange; null: the body may take as long as bytes keep coming. */
  readonly totalMs: number | null
  /** Limit for connecting, for the first byte of the answer and for each silence after it. */
  readonly silenceMs: number
  /** Only where every address of the host is a public one. */
  readonly publicOnly?: boolean
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Decompressed; ends with an error if the connection breaks. */
  readonly body: AsyncIterable<Uint8Array>
  /** Drops what was not read of the body. */
  dispose(): void
}

/** What one attempt came to: a value, or why it should be tried again. */
export type Attempt<T> =
  { readonly done: T } | { readonly failed: string; readonly retryAfterMs?: number | null }

/**
 * A connection that is used once: a kept-alive one may be closed by the server at the moment a
 * request is written, and a POST of unknown fate is not repeated.
 */
const freshConnection = {
  http: new HttpAgent({ keepAlive: false }),
  https: new HttpsAgent({ keepAlive: false }),
}

/** Sends one request, once, without following redirects. @throws got's `RequestError`: see `networkFailure`. */
export async function send(request: HttpRequest): Promise<HttpAnswer> {
  const { method, url, headers, json, totalMs, silenceMs } = request
  const stream = got.stream(url, {
    method,
    headers: { 'user-agent': 'alma-reconcile', ...headers },
    ...(json === undefined ? {} : { json }),
    ...(method === 'POST' ? { agent: freshConnection } : {}),
    ...(request.publicOnly === true ? { agent: publicOnly } : {}),
    throwHttpErrors: false,
    followRedirect: false,
    decompress: true,
    retry: { limit: 0 },
    timeout: {
      lookup: silenceMs,
      connect: silenceMs,
      secureConnect: silenceMs,
      response: silenceMs,
      socket: silenceMs,
      ...(totalMs === null ? {} : { request: totalMs }),
    },
  })
  // A break between two reads of the body must not become an uncaught error: whoever reads on gets it.
  stream.on('error', () => undefined)
  const response = await new Promise<{ statusCode: number; headers: IncomingHttpHeaders }>(
    (resolve, reject) => {
      stream.once('response', resolve)
      stream.once('error', reject)
    },
  )
  return {
    status: response.statusCode,
    headers: response.headers,
    body: stream,
    dispose: () => void stream.destroy(),
  }
}

/** Reads a body as UTF-8 text; null if it is larger than allowed. */
export async function readText(answer: HttpAnswer, bytesMax: number): Promise<string | null> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body) {
    bytes += chunk.byteLength
    if (bytes > bytesMax) {
      answer.dispose()
      return null
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const TRANSIENT_CODES = new Set([
  'ETIMEDOUT',
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ENOTFOUND',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'ERR_READING_RESPONSE_STREAM',
  'ERR_STREAM_PREMATURE_CLOSE',
  'Z_BUF_ERROR',
  'Z_DATA_ERROR',
])

/** Failures after which the server surely has not seen the request. */
const NOT_SENT_CODES = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

export interface NetworkFailure {
  /** A short phrase with the code; never the error itself, which carries the request's headers. */
  readonly text: string
  readonly transient: boolean
  readonly notSent: boolean
}

/** What went wrong on the way; null if the error is not one of the network. */
export function networkFailure(error: unknown): NetworkFailure | null {
  if (!(error instanceof Error)) return null
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  const known = code !== null && (TRANSIENT_CODES.has(code) || code.startsWith('HPE_'))
  if (!known && !(error instanceof RequestError)) return null
  const shown = code ?? error.name
  return {
    text: `${NETWORK_WORDS[shown] ?? 'no usable answer'} (${shown})`,
    transient: known,
    notSent: code !== null && NOT_SENT_CODES.has(code),
  }
}

const NETWORK_WORDS: Readonly<Record<string, string>> = {
  ETIMEDOUT: 'no answer in time',
  ECONNRESET: 'the connection broke off',
  ECONNREFUSED: 'the connection was refused',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name could not be looked up',
  ERR_READING_RESPONSE_STREAM: 'the answer broke off',
  ERR_STREAM_PREMATURE_CLOSE: 'the answer broke off',
}

/** HTTP statuses that a later attempt may cure. */
export function isTransientStatus(status: number): boolean {
  return [408, 429, 500, 502, 503, 504].includes(status)
}

/**
 * `Retry-After` in milliseconds from now, in both its forms (RFC 9110 §10.2.3); null without one. A
 * date is one by the server's clock, which its `Date` shows.
 */
export function retryAfterMs(headers: IncomingHttpHeaders): number | null {
  const text = headers['retry-after']?.trim()
  if (text === undefined) return null
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const atMs = Date.parse(text)
  if (Number.isNaN(atMs)) return null
  const serverMs = Date.parse(headers.date ?? '')
  return Math.max(0, atMs - (Number.isNaN(serverMs) ? Date.now() : serverMs))
}

/**
 * Tries until an attempt is done, with growing waits.
 * @param what the request in words, e.g. `GET https://host/v1/payments`.
 * @throws UnavailableFault after the last attempt, or when the server asks for a longer wait than
 * is worthwhile; whatever an attempt throws is passed on at once.
 */
export async function withRetries<T>(
  policy: RetryPolicy,
  what: string,
  attempt: () => Promise<Attempt<T>>,
): Promise<T> {
  let spentMs = 0
  for (let retries = 0; ; retries += 1) {
    const beganMs = performance.now()
    const outcome = await attempt()
    if ('done' in outcome) return outcome.done
    spentMs += performance.now() - beganMs
    const asked = outcome.retryAfterMs ?? 0
    const waitMs = Math.max(asked, backOffMs(retries))
    const worthwhile = asked <= RETRY_AFTER_MS_MAX && spentMs + waitMs <= BUDGET_MS
    if (retries >= policy.retryLimit || !worthwhile) {
      throw unavailable(what, retries + 1, outcome.failed, asked)
    }
    policy.onRetry(`${what}: ${outcome.failed}; trying again in ${Math.ceil(waitMs / 100) / 10} s`)
    await policy.sleep(waitMs)
    spentMs += waitMs
  }
}

/** Lets some requests through at once: fewer after the server has said that they are too many. */
export interface Gate {
  /** @param hasWaited true for one that has already waited as long as the server asked for. */
  run<T>(work: () => Promise<T>, hasWaited: boolean): Promise<T>
  /**
   * The server had too many requests.
   * @param begunMs when the request was sent that it refused, by `performance.now()`.
   * @param waitMs how long it asked to wait; none of the others is sent before that either.
   */
  slowDown(begunMs: number, waitMs: number): void
}

export function createGate(sleep: RetryPolicy['sleep']): Gate {
  let limit = AT_ONCE_MAX
  let underWay = 0
  let servedSince = 0
  let slowedMs = Number.NEGATIVE_INFINITY
  let resumeMs = 0
  const queue: (() => void)[] = []
  const leave = (): void => {
    underWay -= 1
    servedSince += 1
    if (servedSince >= SPEED_UP_AFTER && limit < AT_ONCE_MAX) {
      limit += 1
      servedSince = 0
    }
    while (underWay < limit && queue.length > 0) {
      underWay += 1
      queue.shift()?.()
    }
  }
  return {
    async run(work, hasWaited) {
      if (underWay < limit) underWay += 1
      else await new Promise<void>((enter) => queue.push(enter))
      try {
        const pauseMs = resumeMs - performance.now()
        if (pauseMs > 0 && !hasWaited) await sleep(pauseMs)
        return await work()
      } finally {
        leave()
      }
    },
    slowDown(begunMs, waitMs) {
      resumeMs = Math.max(resumeMs, performance.now() + Math.min(waitMs, RETRY_AFTER_MS_MAX))
      // Requests that were under way together are refused together: that is one reason, not several.
      if (begunMs <= slowedMs) return
      slowedMs = performance.now()
      limit = Math.max(1, Math.floor(Math.min(limit, underWay) / 2))
      servedSince = 0
    },
  }
}

/** Doubles up to a limit; the random half keeps several clients from coming back in step. */
function backOffMs(retries: number): number {
  const fullMs = Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** retries)
  return fullMs / 2 + (Math.random() * fullMs) / 2
}

function unavailable(
  what: string,
  attempts: number,
  lastFailure: string,
  askedWaitMs: number,
): UnavailableFault {
  const wait = askedWaitMs > 0 ? `, and asked to wait ${Math.ceil(askedWaitMs / 1000)} s` : ''
  const tries = attempts === 1 ? 'one attempt' : `${attempts} attempts`
  return new UnavailableFault(`${what} failed after ${tries}: ${lastFailure}${wait}`, {
    hint: 'Nothing that was stored is lost: run the same command again later and it continues. If it keeps failing, check the network and the provider’s status.',
  })
}

/** True for the hosts on which plain `http:` stays on this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

/** True for `https:`, and for `http:` to this machine. */
export function isSafeUrl(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
}
