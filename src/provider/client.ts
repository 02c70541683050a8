/**
 * The provider's API with the key. The key goes to the API's own origin and nowhere else: redirects
 * to other hosts are reported, never followed, and no error or log line carries a header.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { ConfigurationFault, Fault, UnavailableFault } from '../errors.ts'
import { type DownloadTarget, type DownloadedFile, writeBody } from './download.ts'
import {
  type Attempt,
  createGate,
  type HttpAnswer,
  type HttpRequest,
  isSafeUrl,
  isTransientStatus,
  JSON_BYTES_MAX,
  networkFailure,
  readText,
  retryAfterMs,
  type RetryPolicy,
  send,
  withRetries,
} from './http.ts'

const TIMEOUT_MS = 15_000
const RETRY_LIMIT = 5
const REDIRECTS_MAX = 3
const ERROR_BODY_BYTES_MAX = 64 * 1024
const QUOTED_CHARACTERS_MAX = 200

export interface ProviderClient {
  /** Without a trailing slash. */
  readonly baseUrl: string
  /**
   * @throws `RefusedKey` for 401 and 403; `RefusedRequest` for any other 4xx;
   * UnavailableFault when all attempts failed.
   */
  getJson(path: string, query?: Record<string, string>): Promise<unknown>
  /** As `getJson`, but repeated only where the provider surely has not acted on it. */
  postJson(path: string, body: object): Promise<unknown>
  /**
   * A file that the API itself serves. `elsewhere`: the API points to another host, to which the
   * key must not go.
   */
  download(
    path: string,
    query: Record<string, string>,
    target: DownloadTarget,
  ): Promise<DownloadedFile | { readonly elsewhere: URL }>
}

export interface ProviderClientOptions {
  readonly apiUrl: string
  readonly apiKey: string
  /** The name of the setting that holds the key, for messages. */
  readonly apiKeySetting: string
  /** Limit of one exchange. */
  readonly timeoutMs?: number
  /** Attempts after the first one. */
  readonly retryLimit?: number
  /** Told of each retry in one line. */
  readonly onRetry?: (text: string) => void
  /** How to wait between attempts; tests do not wait. */
  readonly sleep?: (waitMs: number) => Promise<void>
}

/** The provider refused a request that is not a matter of the key: 400, 404, 422 and the like. */
export class RefusedRequest extends UnavailableFault {
  readonly status: number

  constructor(status: number, message: string) {
    super(message, {
      hint: 'The provider does not accept what was asked. If it persists, its API may have changed: report the message above.',
    })
    this.status = status
  }
}

/** The provider refused the key: 401 for everything, 403 for what the account has no right to. */
export class RefusedKey extends ConfigurationFault {
  readonly status: number

  constructor(status: number, message: string, hint: string) {
    super(message, { hint })
    this.status = status
  }
}

export function createProviderClient(options: ProviderClientOptions): ProviderClient {
  const { apiKey, apiKeySetting, timeoutMs = TIMEOUT_MS } = options
  const baseUrl = options.apiUrl.replace(/\/+$/, '')
  const base = checkedBase(baseUrl)
  if (!/^[!-~]+$/.test(apiKey)) {
    throw new ConfigurationFault(
      `${apiKeySetting} holds blanks, line breaks or letters that no key has`,
      {
        hint: `Copy the key again into ${apiKeySetting}: sk_live_… or sk_test_…, nothing around it.`,
      },
    )
  }
  const policy: RetryPolicy = {
    retryLimit: options.retryLimit ?? RETRY_LIMIT,
    onRetry: options.onRetry ?? (() => undefined),
    sleep: options.sleep ?? ((waitMs) => wait(waitMs)),
  }
  const gate = createGate(policy.sleep)
  const headers = { authorization: `Alma-Auth ${apiKey}`, accept: 'application/json' }

  const urlOf = (path: string, query: Record<string, string> = {}): URL => {
    const url = new URL(`${baseUrl}${path}`)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return url
  }

  async function refusal(answer: HttpAnswer, what: string): Promise<Fault> {
    const text = (await readText(answer, ERROR_BODY_BYTES_MAX).catch(() => null)) ?? ''
    const said = providerMessage(text).replaceAll(apiKey, '[key]')
    const quoted = said === '' ? '' : `: “${said}”`
    if (answer.status === 401 || answer.status === 403) {
      return new RefusedKey(
        answer.status,
        `${base.host} refused the key in ${apiKeySetting} (HTTP ${answer.status}${quoted})`,
        `Check that ${apiKeySetting} holds the whole key of this account and that the key belongs to ${base.host}: sk_live_… keys to the live API, sk_test_… keys to the sandbox.`,
      )
    }
    return new RefusedRequest(answer.status, `${what} was refused: HTTP ${answer.status}${quoted}`)
  }

  /** One attempt: `read` takes the body of a 2xx answer, everything else is judged here. */
  async function attempt<T>(
    request: HttpRequest,
    what: string,
    read: (answer: HttpAnswer) => Promise<Attempt<T>>,
    elsewhere: (url: URL, status: number) => Attempt<T>,
  ): Promise<Attempt<T>> {
    const mayRepeat = request.method === 'GET'
    const begunMs = performance.now()
    let url = request.url
    try {
      for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
        const answer = await send({ ...request, url })
        if (answer.status >= 200 && answer.status < 300) {
          const outcome = await read(answer)
          if ('failed' in outcome && !mayRepeat) throw unknownFate(what, outcome.failed)
          return outcome
        }
        if (answer.status >= 300 && answer.status < 400) {
          answer.dispose()
          const next = redirectTarget(answer, url)
          if (next === null || !mayRepeat) throw strangeRedirect(what, answer.status, next)
          if (next.origin !== base.origin) return elsewhere(next, answer.status)
          url = next
          continue
        }
        if (isTransientStatus(answer.status)) {
          answer.dispose()
          const failed = `HTTP ${answer.status}`
          const askedMs = retryAfterMs(answer.headers)
          if (answer.status === 429) gate.slowDown(begunMs, askedMs ?? 0)
          if (mayRepeat || answer.status === 429 || answer.status === 503) {
            return { failed, retryAfterMs: askedMs }
          }
          throw unknownFate(what, failed)
        }
        if (answer.status >= 500) {
          answer.dispose()
          throw new UnavailableFault(`${what} failed: HTTP ${answer.status}`, {
            hint: 'The provider cannot serve this now. Run the same command again later.',
          })
        }
        throw await refusal(answer, what)
      }
      throw strangeRedirect(what, 302, url)
    } catch (error) {
      const failure = error instanceof Fault ? null : networkFailure(error)
      if (failure === null) throw error
      if (failure.transient && (mayRepeat || failure.notSent)) return { failed: failure.text }
      throw mayRepeat ? unreachable(what, failure.text) : unknownFate(what, failure.text)
    }
  }

  /** Tries as the policy says, each attempt through the gate. */
  function tryThrough<T>(what: string, once: () => Promise<Attempt<T>>): Promise<T> {
    let hasWaited = false
    return withRetries(policy, what, () => {
      const attempted = gate.run(once, hasWaited)
      hasWaited = true
      return attempted
    })
  }

  const notElsewhere = (what: string) => (url: URL, status: number) => {
    throw strangeRedirect(what, status, url)
  }

  return {
    baseUrl,
    getJson(path, query) {
      const url = urlOf(path, query)
      const what = `GET ${base.host}${path}`
      const request = {
        method: 'GET',
        url,
        headers,
        totalMs: timeoutMs,
        silenceMs: timeoutMs,
      } as const
      return tryThrough(what, () => attempt(request, what, readJson, notElsewhere(what)))
    },
    postJson(path, body) {
      const what = `POST ${base.host}${path}`
      const request = {
        method: 'POST',
        url: urlOf(path),
        headers,
        json: body,
        totalMs: timeoutMs,
        silenceMs: timeoutMs,
      } as const
      return tryThrough(what, () => attempt(request, what, readJson, notElsewhere(what)))
    },
    download(path, query, target) {
      const what = `GET ${base.host}${path}`
      const request = {
        method: 'GET',
        url: urlOf(path, query),
        headers: { ...headers, accept: '*/*' },
        totalMs: null,
        silenceMs: timeoutMs,
      } as const
      return tryThrough<DownloadedFile | { elsewhere: URL }>(what, () =>
        attempt<DownloadedFile | { elsewhere: URL }>(
          request,
          what,
          async (answer) => ({ done: await writeBody(answer, target) }),
          (elsewhere) => ({ done: { elsewhere } }),
        ),
      )
    },
  }
}

function checkedBase(apiUrl: string): URL {
  if (!URL.canParse(apiUrl) || !isSafeUrl(new URL(apiUrl))) {
    throw new ConfigurationFault(`the provider's address "${apiUrl}" cannot be used`, {
      hint: 'ALMA_API_URL must begin with https:// (plain http:// is accepted for this machine only).',
    })
  }
  return new URL(apiUrl)
}

/** Valid JSON whatever its content type: some proxies change the header, none invents JSON. */
async function readJson(answer: HttpAnswer): Promise<Attempt<unknown>> {
  const text = await readText(answer, JSON_BYTES_MAX)
  if (text === null) return { failed: `an answer of more than ${JSON_BYTES_MAX} bytes` }
  try {
    return { done: JSON.parse(text) as unknown }
  } catch {
    const type = answer.headers['content-type'] ?? 'no content type'
    return {
      failed: `HTTP ${answer.status} with ${text.length} characters that are not complete JSON (${type.slice(0, 60)})`,
    }
  }
}

/** What the provider says in an error body, whose shape varies; empty if nothing can be read. */
function providerMessage(text: string): string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return ''
  }
  const found = [
    textAt(body, 'message'),
    textAt(body, 'error'),
    ...listAt(body, 'errors').flatMap((each) => [
      [textAt(each, 'field'), textAt(each, 'message') ?? textAt(each, 'error_code')]
        .filter((part) => part !== null)
        .join(': '),
    ]),
    textAt(body, 'error_code'),
  ].find((each) => each !== null && each !== '')
  return (found ?? '').replace(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, QUOTED_CHARACTERS_MAX)
}

function valueAt(body: unknown, name: string): unknown {
  return body !== null && typeof body === 'object' ? Reflect.get(body, name) : undefined
}

function textAt(body: unknown, name: string): string | null {
  const value = valueAt(body, name)
  return typeof value === 'string' ? value : null
}

function listAt(body: unknown, name: string): readonly unknown[] {
  const value = valueAt(body, name)
  return Array.isArray(value) ? value : []
}

function redirectTarget(answer: HttpAnswer, from: URL): URL | null {
  const { location } = answer.headers
  return location !== undefined && URL.canParse(location, from.href)
    ? new URL(location, from)
    : null
}

function strangeRedirect(what: string, status: number, target: URL | null): UnavailableFault {
  return new UnavailableFault(
    `${what} was answered with a redirect (HTTP ${status}) to ${target === null ? 'nowhere' : target.host}, which is not followed: the key stays with the API`,
    { hint: 'Check ALMA_API_URL: it must be the address of the API itself.' },
  )
}

function unreachable(what: string, failure: string): UnavailableFault {
  return new UnavailableFault(`${what} failed: ${failure}`, {
    hint: 'Check ALMA_API_URL, the network and the certificates of this machine.',
  })
}

function unknownFate(what: string, failure: string): UnavailableFault {
  return new UnavailableFault(
    `${what} failed: ${failure}. It was not repeated, because the provider may have acted on it`,
    { hint: 'Run the same command again later: what was begun is looked at first.' },
  )
}
