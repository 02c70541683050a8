/**
 * The door for the provider's notifications. Whoever knocks is taken for an attacker until a signature
 * says otherwise: what a stranger can cost is bounded in time, memory and connections, and nothing of
 * his reaches the database.
 */
import type { AddressInfo } from 'node:net'
import { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { type IpnKey, readIpn } from '../src/events/ipn.ts'
import type { Notification, Reading, Refusal } from '../src/events/notification.ts'
import { rateLimit } from '../src/events/rate-limit.ts'
import { readWebhook, type WebhookVerifier } from '../src/events/webhook.ts'

/** Why a request was turned away: what a notification lacked, or what it took too much of. */
export type TurnedAway = Refusal | 'too_large' | 'too_many' | 'too_many_connections' | 'not_stored'

export interface ListenerOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly ipnKeys: readonly IpnKey[]
  readonly verifiers: readonly WebhookVerifier[]
  /** Stores what came once for each entity; done when it is safe from a power cut. */
  readonly store: (notification: Notification, entities: readonly string[]) => Promise<void>
  readonly onTurnedAway: (reason: TurnedAway, error?: unknown) => void
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly bounds?: Partial<ListenerBounds>
}

/** What everybody together may take. */
export interface ListenerBounds {
  /** A payment as JSON is some kilobytes. */
  readonly bodyBytesMax: number
  readonly headerBytesMax: number
  /** From the opening of a connection, or the end of what it had before, to the end of the headers. */
  readonly headersTimeoutMs: number
  /** To the end of the body. */
  readonly requestTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly connectionsMax: number
  readonly requestsPerSecond: number
  readonly requestsBurst: number
  /** Notifications on their way into the database at a time. */
  readonly storingMax: number
  readonly storingTimeoutMs: number
}

export const LISTENER_BOUNDS: ListenerBounds = {
  bodyBytesMax: 128 * 1024,
  headerBytesMax: 16 * 1024,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  idleTimeoutMs: 5_000,
  connectionsMax: 256,
  requestsPerSecond: 200,
  requestsBurst: 400,
  storingMax: 64,
  storingTimeoutMs: 5_000,
}

export interface Listener {
  /** Without a trailing slash. */
  readonly url: string
  /** Takes nothing new, answers what it has begun, and cuts off who takes too long over it. */
  close(): Promise<void>
}

/** How often the time limits of connections are looked at; Node's own 30 s would let all of them slip. */
const LIMITS_CHECK_MS = 1_000
/** How long requests that are under way may take to end when the listener closes. */
const CLOSE_GRACE_MS = 2_000
const REQUESTS_PER_CONNECTION_MAX = 1_000
/** When the provider should try again what could not be taken now. */
const RETRY_AFTER_S = 30

const STATUS = {
  unsigned: 401,
  forged: 401,
  stale: 401,
  unbound: 401,
  unreadable: 400,
  no_key: 403,
  too_large: 413,
  too_many: 429,
  too_many_connections: 503,
  not_stored: 503,
} as const satisfies Record<TurnedAway, number>

/** What the other side is told: no more than it knows itself. */
const SAID: Record<TurnedAway, string> = {
  unsigned: 'signature missing or malformed',
  forged: 'signature not accepted',
  stale: 'signature not accepted',
  unbound: 'signature not accepted',
  unreadable: 'not a notification',
  no_key: 'not accepted here',
  too_large: 'too large',
  too_many: 'too many requests',
  too_many_connections: 'too many connections',
  not_stored: 'not stored, please send it again',
}

const SIGNATURE_HEADER = 'x-alma-signature'

/**
 * Answers 200 once a notification is stored, also where it was before or is of a type that nobody knows
 * here: with anything else the provider sends it again.
 * @throws the system's error (`EADDRINUSE`, `EACCES`, …) if the port cannot be had.
 */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const bounds = { ...LISTENER_BOUNDS, ...options.bounds }
  const server = createAdaptorServer({
    fetch: createDoor(options, bounds).fetch,
    // Requests of HTTP/1.0 may name no host; which one it is means nothing here.
    hostname: 'localhost',
    serverOptions: {
      maxHeaderSize: bounds.headerBytesMax,
      headersTimeout: bounds.headersTimeoutMs,
      requestTimeout: bounds.requestTimeoutMs,
      keepAliveTimeout: bounds.idleTimeoutMs,
      connectionsCheckingInterval: LIMITS_CHECK_MS,
    },
  })
  if (!(server instanceof Server)) throw new Error('this is no server of HTTP/1.1')
  server.maxConnections = bounds.connectionsMax
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX
  server.on('drop', () => options.onTurnedAway('too_many_connections'))
  const { address, family, port } = await listen(server, options.host, options.port)
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: () => closeServer(server),
  }
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('no port was given'))
      else resolve(address)
    })
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
    server.close(() => {
      clearTimeout(cut)
      resolve()
    })
    server.closeIdleConnections()
  })
}

function createDoor(options: ListenerOptions, bounds: ListenerBounds): Hono {
  const { ipnKeys, verifiers, onTurnedAway, now } = options
  const mayPass = rateLimit({ perSecond: bounds.requestsPerSecond, burst: bounds.requestsBurst })
  const turnAway = (context: Context, reason: TurnedAway, error?: unknown): Response => {
    onTurnedAway(reason, error)
    const status = STATUS[reason]
    if (status === 429 || status === 503) context.header('retry-after', String(RETRY_AFTER_S))
    // Whoever sends what is not wanted has to begin anew for the next one.
    context.header('connection', 'close')
    return context.json({ error: SAID[reason] }, status)
  }
  const take = storing(options, bounds)
  const answer = async (context: Context, reading: Reading): Promise<Response> => {
    if ('refused' in reading) return turnAway(context, reading.refused)
    try {
      await take(reading.notification, reading.entities)
    } catch (error) {
      return turnAway(context, 'not_stored', error)
    }
    return context.json({ received: true })
  }
  const door = new Hono()
  door.use(async (context, next) => {
    if (!mayPass(performance.now())) return turnAway(context, 'too_many')
    await next()
    return undefined
  })
  door.get('/health', (context) => context.json({ listening: true }))
  // The path is what somebody typed into a form of the provider's: the signature decides, not the path.
  door.get('*', (context) =>
    answer(
      context,
      readIpn(
        {
          pids: context.req.queries('pid') ?? [],
          signature: context.req.header(SIGNATURE_HEADER),
        },
        ipnKeys,
      ),
    ),
  )
  door.post(
    '*',
    bodyLimit({
      maxSize: bounds.bodyBytesMax,
      onError: (context) => turnAway(context, 'too_large'),
    }),
    async (context) => {
      const body = await context.req.arrayBuffer().catch(() => null)
      if (body === null) return turnAway(context, 'unreadable')
      const webhook = {
        body: new Uint8Array(body),
        signature: context.req.header(SIGNATURE_HEADER),
      }
      return answer(context, await readWebhook(webhook, verifiers, Math.floor(now() / 1000)))
    },
  )
  door.all('*', (context) => {
    context.header('allow', 'GET, POST')
    context.header('connection', 'close')
    return context.json({ error: 'method not allowed' }, 405)
  })
  door.onError((error, context) => turnAway(context, 'not_stored', error))
  return door
}

/** A database that hangs must not pile up what it does not take. */
function storing(
  { store }: ListenerOptions,
  { storingMax, storingTimeoutMs }: ListenerBounds,
): ListenerOptions['store'] {
  let underWay = 0
  return async (notification, entities) => {
    if (underWay >= storingMax) throw new Error('the database is slower than what comes in')
    underWay += 1
    const stored = store(notification, entities).finally(() => {
      underWay -= 1
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`the database has not answered for ${storingTimeoutMs / 1000} s`)),
        storingTimeoutMs,
      )
    })
    try {
      await Promise.race([stored, late])
    } finally {
      clearTimeout(timer)
      // What comes of it later has no one left to tell.
      stored.catch(() => undefined)
    }
  }
}
