import { UsageFault } from '../src/errors.ts'

/** The flags of `webhooks register` as they were typed. */
export interface TypedWebhookFlags {
  readonly url: string
  readonly events?: string
  readonly entity?: string
  readonly json?: true
}

/** The flags of `webhooks register`, read and checked. */
export interface WebhookFlags {
  readonly url: string
  /** Types of events, each once. */
  readonly events: readonly string[]
  /** Null: every entity of the configuration. */
  readonly entity: string | null
  readonly json: boolean
}

/** What the provider is known to tell of. */
const KNOWN_EVENTS = [
  'payment.created',
  'payment.authorized',
  'payment.captured',
  'payment.canceled',
]

/** @throws UsageFault naming the flag, what was found and what was expected. */
export function readWebhookFlags({ url, events, entity, json }: TypedWebhookFlags): WebhookFlags {
  return {
    url: readUrl(url),
    events: events === undefined ? KNOWN_EVENTS : readEvents(events),
    entity: entity ?? null,
    json: json ?? false,
  }
}

function readUrl(typed: string): string {
  const url = URL.canParse(typed) ? new URL(typed) : null
  const isLoopback = url !== null && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback)
  if (url !== null && isSafe && url.username === '' && url.password === '' && url.hash === '') {
    return url.href
  }
  // A password in the address is not for the terminal's history to repeat.
  const found = url === null ? 'something that is no URL' : `"${url.protocol}//${url.host}"`
  throw new UsageFault(
    `--url: found ${found}, expected an address that begins with https:// and has no name or password in it`,
    {
      hint: 'It is the address under which the provider reaches npm run listen, through your reverse proxy. Plain http: is for this machine only.',
    },
  )
}

const EVENTS_MAX = 20

function readEvents(typed: string): string[] {
  const events = [...new Set(typed.split(',').map((event) => event.trim()))]
  const stray = events.find((event) => !/^[a-z0-9_]+(\.[a-z0-9_]+)*$/.test(event))
  if (stray !== undefined || events.length > EVENTS_MAX) {
    throw new UsageFault(
      `--events: found "${stray ?? typed}", expected up to ${EVENTS_MAX} types such as ${KNOWN_EVENTS.join(',')}`,
    )
  }
  return events
}
