/**
 * What the provider tells by itself. The IPN is as documented. How a webhook's JWT is made is not
 * public: this one is signed with a shared secret, says when, and names the SHA-256 of the body.
 */
import { createHash, createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import type { SandboxAccount } from './model.ts'

/** The secret that webhooks of every sandbox are signed with. It is good for nothing else. */
export const SANDBOX_WEBHOOK_KEY = 'whsec_SandboxSandboxSandboxSandbox123'

/** How long a token is good. */
const TOKEN_LIFE_S = 300
/** As often as the provider is said to try. */
const ATTEMPTS_MAX = 10
const RETRY_MS = 200
const TIMEOUT_MS = 5_000

/** A webhook that was asked for by `POST /v1/webhooks`. */
export interface SandboxWebhook {
  readonly id: string
  readonly account: SandboxAccount
  readonly type: string
  readonly url: string
}

/** A notification as it goes over the wire. */
export interface OutgoingNotification {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
}

/** How sending it ended. */
export interface Delivery {
  /** The last answer's status; null where there was none. */
  readonly status: number | null
  readonly attempts: number
}

export function ipnFor({ apiKey }: SandboxAccount, paymentId: string, to: string) {
  const url = new URL(to)
  url.searchParams.set('pid', paymentId)
  return {
    method: 'GET',
    url: url.href,
    headers: {
      'x-alma-signature': createHmac('sha256', apiKey).update(paymentId).digest('hex'),
    },
    body: null,
  } as const satisfies OutgoingNotification
}

export interface WebhookContent {
  readonly type: string
  /** The payment, or whatever the event is about. */
  readonly data: unknown
  /** When it is signed, in epoch seconds. */
  readonly signedS: number
}

export async function webhookFor(
  { type, data, signedS }: WebhookContent,
  to: string,
): Promise<OutgoingNotification> {
  const body = JSON.stringify({ type, data })
  const token = await new SignJWT({ body_sha256: createHash('sha256').update(body).digest('hex') })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt(signedS)
    .setExpirationTime(signedS + TOKEN_LIFE_S)
    .sign(new TextEncoder().encode(SANDBOX_WEBHOOK_KEY))
  return {
    method: 'POST',
    url: to,
    headers: { 'content-type': 'application/json', 'x-alma-signature': token },
    body,
  }
}

/** Sends it until it is answered with 2xx, so often at most. */
export async function deliver(
  { method, url, headers, body }: OutgoingNotification,
  { attemptsMax = ATTEMPTS_MAX, retryMs = RETRY_MS } = {},
): Promise<Delivery> {
  let status: number | null = null
  let attempts = 0
  while (attempts < attemptsMax) {
    if (attempts > 0) await sleep(retryMs)
    attempts += 1
    const answer = await fetch(url, {
      method,
      headers: { ...headers },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch(() => null)
    await answer?.body?.cancel()
    status = answer?.status ?? null
    if (answer?.ok === true) break
  }
  return { status, attempts }
}
