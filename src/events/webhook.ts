/**
 * The newer notification: a POST of JSON `{ type, data }` and, as `X-Alma-Signature`, a JWT. What the
 * JWT says is not public, so what is asked of it is what any of them must have to be worth something:
 * signed by a configured key in the way that is meant for that key, recent, and about this very body.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import { z } from 'zod'
import { isId, type Reading, type Refusal } from './notification.ts'
import type { WebhookKey } from './webhook-keys.ts'

/** One key, and the entities that may be told of with it. */
export interface WebhookVerifier extends WebhookKey {
  readonly entities: readonly string[]
}

export interface Webhook {
  readonly body: Uint8Array
  readonly signature: string | undefined
}

/** How long ago a token may have been signed. */
const AGE_S_MAX = 300
/** Of a token that does not say when it was signed: how far ahead its end may lie. */
const LIFE_S_MAX = 3_600
/** How far the clocks of two machines may differ. */
const CLOCK_SKEW_S = 60
const TOKEN = /^[\w-]{1,16384}\.[\w-]{1,16384}\.[\w-]{1,4096}$/

/** @param nowS the time that counts as now, in epoch seconds. */
export async function readWebhook(
  { body, signature }: Webhook,
  verifiers: readonly WebhookVerifier[],
  nowS: number,
): Promise<Reading> {
  if (verifiers.length === 0) return { refused: 'no_key' }
  if (signature === undefined || !TOKEN.test(signature)) return { refused: 'unsigned' }
  // All keys, whether or not one before fits, so that the time it takes does not tell which does.
  const outcomes = await Promise.all(
    verifiers.map((verifier) => claimsOf(signature, verifier, nowS)),
  )
  const entities = new Set<string>()
  let claims: JWTPayload | null = null
  let refused: Refusal = 'forged'
  for (const [at, outcome] of outcomes.entries()) {
    if (outcome === 'forged') continue
    if (outcome === 'stale') {
      refused = 'stale'
      continue
    }
    claims = outcome
    for (const entity of verifiers[at]?.entities ?? []) entities.add(entity)
  }
  if (claims === null) return { refused }
  const event = readEvent(body)
  if (!namesHash(claims, body) && !repeats(claims, event)) return { refused: 'unbound' }
  if (event === null) return { refused: 'unreadable' }
  return {
    entities: [...entities],
    notification: {
      source: 'webhook',
      type: event.type,
      paymentId: event.paymentId,
      key: `webhook ${createHash('sha256').update(body).digest('hex')}`,
    },
  }
}

async function claimsOf(
  token: string,
  { key, algorithm }: WebhookKey,
  nowS: number,
): Promise<JWTPayload | 'forged' | 'stale'> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [algorithm],
      clockTolerance: CLOCK_SKEW_S,
      currentDate: new Date(nowS * 1000),
    })
    return isRecent(payload, nowS) ? payload : 'stale'
  } catch (error) {
    if (error instanceof errors.JWTExpired) return 'stale'
    if (error instanceof errors.JWTClaimValidationFailed) return 'stale'
    if (error instanceof errors.JOSEError || error instanceof TypeError) return 'forged'
    throw error
  }
}

/** One without a word of when it was signed or how long it is good would be good for ever. */
function isRecent({ iat, exp }: JWTPayload, nowS: number): boolean {
  if (iat !== undefined) return iat >= nowS - AGE_S_MAX - CLOCK_SKEW_S && iat <= nowS + CLOCK_SKEW_S
  return exp !== undefined && exp <= nowS + LIFE_S_MAX + CLOCK_SKEW_S
}

/** Whether a claim, whatever its name, is the SHA-256 of the body as text. */
function namesHash(claims: JWTPayload, body: Uint8Array): boolean {
  const hash = createHash('sha256').update(body).digest()
  return Object.values(claims).some((claim) => typeof claim === 'string' && isHash(claim, hash))
}

function isHash(claim: string, hash: Buffer): boolean {
  const text = claim.replace(/^sha-?256[=:]/i, '')
  return (['hex', 'base64url', 'base64'] as const).some((encoding) => {
    const said = Buffer.from(encoding === 'hex' ? text.toLowerCase() : text.replace(/=+$/, ''))
    const right = Buffer.from(hash.toString(encoding).replace(/=+$/, ''))
    return said.length === right.length && timingSafeEqual(said, right)
  })
}

/** Whether the token itself says of which event it is: everything that is taken of the body. */
function repeats(claims: JWTPayload, event: Event | null): boolean {
  if (event === null) return false
  const said = eventOf(claims)
  return said !== null && said.type === event.type && said.paymentId === event.paymentId
}

interface Event {
  readonly type: string
  readonly paymentId: string | null
}

const envelope = z.looseObject({
  type: z.string().regex(/^[\w.:-]{1,100}$/),
  data: z.unknown(),
})

function readEvent(body: Uint8Array): Event | null {
  try {
    return eventOf(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)))
  } catch (error) {
    // Neither text nor JSON, or nested deeper than the stack is high.
    if (error instanceof TypeError || error instanceof SyntaxError || error instanceof RangeError) {
      return null
    }
    throw error
  }
}

function eventOf(value: unknown): Event | null {
  const found = envelope.safeParse(value)
  if (!found.success) return null
  const { type, data } = found.data
  return data !== null && typeof data === 'object' ? { type, paymentId: paymentIdOf(data) } : null
}

/** The payment itself, or something of a payment that names it. */
function paymentIdOf(data: object): string | null {
  for (const name of ['id', 'payment_id', 'payment']) {
    const value: unknown = Reflect.get(data, name)
    if (typeof value === 'string' && value.startsWith('payment_') && isId(value)) return value
  }
  return null
}
