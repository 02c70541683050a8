/** `listen`: waits for the provider's notifications and stores where they point to. */
import { type NewEvent, saveEvents } from '../db/events.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import { ConfigurationFault, EXIT, type ExitCode, Fault } from '../src/errors.ts'
import type { IpnKey } from '../src/events/ipn.ts'
import type { Notification } from '../src/events/notification.ts'
import { parseWebhookKeys } from '../src/events/webhook-keys.ts'
import type { WebhookVerifier } from '../src/events/webhook.ts'
import type { CommandIo } from './command.ts'
import { useDatabase } from './compose.ts'
import { startListener, type TurnedAway } from './listener.ts'

/** @throws ConfigurationFault if there is no key to check anything with, or the port is not free. */
export async function listenCommand(config: Config, io: CommandIo): Promise<ExitCode> {
  const ipnKeys = ipnKeysOf(config.entities)
  const verifiers = verifiersOf(config.entities)
  if (ipnKeys.length === 0 && verifiers.length === 0) throw noKey(config.entities)
  const { db } = await useDatabase(config, io)
  const tally = tallyTurnedAway((text) => io.progress.note(text, 'warn'))
  io.onRelease(() => Promise.resolve(tally.close()))
  const listener = await startListener({
    host: config.listenHost,
    port: config.listenPort,
    ipnKeys,
    verifiers,
    store: async (notification, entities) => {
      const events = entities.map((entity) => eventOf(notification, entity))
      const stored = await saveEvents(db, events)
      if (stored > 0) io.progress.keep?.(storedText(notification, entities))
    },
    onTurnedAway: tally.count,
    now: () => io.now().getTime(),
  }).catch((error: unknown) => {
    throw notListening(config, error)
  })
  io.onRelease(() => listener.close())
  io.progress.note(
    `waiting for notifications at ${listener.url}: ${kindsText(ipnKeys, verifiers)}. Ctrl-C stops it.`,
  )
  if (!isLoopback(config.listenHost)) {
    io.progress.note(
      `LISTEN_HOST is ${config.listenHost}: other machines reach it, and without TLS. Have a reverse proxy with TLS stand in front of it.`,
      'warn',
    )
  }
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) resolve()
    io.signal.addEventListener('abort', () => resolve(), { once: true })
  })
  return EXIT.done
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function ipnKeysOf(entities: readonly EntityConfig[]): IpnKey[] {
  return entities.flatMap(({ name, apiKey }) => (apiKey === null ? [] : [{ entity: name, apiKey }]))
}

/** Each key once, with all entities whose settings name it. */
function verifiersOf(entities: readonly EntityConfig[]): WebhookVerifier[] {
  const owners = new Map<string, string[]>()
  for (const { name, webhookKey } of entities) {
    if (webhookKey !== null) owners.set(webhookKey, [...(owners.get(webhookKey) ?? []), name])
  }
  return [...owners].flatMap(([text, names]) =>
    (parseWebhookKeys(text) ?? []).map((key) => ({ ...key, entities: names })),
  )
}

function eventOf({ key, source, type, paymentId }: Notification, entity: string): NewEvent {
  return { entity, eventKey: key, source, type, paymentId }
}

function storedText({ type, paymentId }: Notification, entities: readonly string[]): string {
  return `${type} of ${paymentId ?? 'no payment'} for ${entities.join(', ')}`
}

function kindsText(ipnKeys: readonly IpnKey[], verifiers: readonly WebhookVerifier[]): string {
  const count = (found: number, one: string): string => (found === 1 ? one : `${found} keys`)
  const ipn =
    ipnKeys.length === 0 ? 'IPNs refused (no API key)' : `IPNs, ${count(ipnKeys.length, 'one key')}`
  const webhooks =
    verifiers.length === 0
      ? 'webhooks refused (WEBHOOK_KEY is not set)'
      : `webhooks, ${count(verifiers.length, 'one key')}`
  return `${ipn}; ${webhooks}`
}

/** How often it is told who was turned away, however many come. */
const TELL_EVERY_MS = 60_000

const MEANS: Record<TurnedAway, string> = {
  unsigned: 'without a signature (X-Alma-Signature)',
  forged: 'signed with none of the configured keys',
  stale: 'signed too long ago, or without a time',
  unbound: 'whose signature does not say of which body it is',
  unreadable: 'that are no notification',
  no_key: 'webhooks, which are refused until WEBHOOK_KEY is set',
  too_large: 'too large',
  too_many: 'too many in too short a time',
  too_many_connections: 'connections too many',
  not_stored: 'that the database did not take; the provider sends them again',
}

interface Tally {
  readonly count: (reason: TurnedAway, error?: unknown) => void
  readonly close: () => void
}

/** The first is told at once, those of the next minute together: an attacker cannot fill a disk by it. */
export function tallyTurnedAway(
  tell: (text: string) => void,
  tellEveryMs: number = TELL_EVERY_MS,
): Tally {
  const counts = new Map<TurnedAway, number>()
  let lastError: string | null = null
  let timer: NodeJS.Timeout | null = null
  const flush = (): void => {
    if (counts.size === 0) {
      if (timer !== null) clearInterval(timer)
      timer = null
      return
    }
    const parts = [...counts].map(([reason, times]) => `${times} ${MEANS[reason]}`)
    const why = lastError === null ? '' : ` (${lastError})`
    counts.clear()
    lastError = null
    tell(`requests turned away: ${parts.join('; ')}${why}`)
  }
  return {
    count: (reason, error) => {
      counts.set(reason, (counts.get(reason) ?? 0) + 1)
      if (error !== undefined) lastError = errorText(error)
      if (timer !== null) return
      flush()
      timer = setInterval(flush, tellEveryMs)
      timer.unref()
    },
    close: () => {
      flush()
      if (timer !== null) clearInterval(timer)
      timer = null
    },
  }
}

/** A statement's own error quotes its parameters; which those were matters to nobody here. */
function errorText(error: unknown): string {
  if (error instanceof Fault) return error.message
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof Error ? cause.message : 'no reason was given'
}

function noKey(entities: readonly EntityConfig[]): ConfigurationFault {
  const settings = [...new Set(entities.map(({ apiKeySetting }) => apiKeySetting))].join(', ')
  return new ConfigurationFault(
    `there is no key to check notifications with: neither ${settings} nor WEBHOOK_KEY is set`,
    {
      hint: 'Set the API key, with which IPNs are signed, or WEBHOOK_KEY for webhooks; .env.example explains both.',
    },
  )
}

function notListening({ listenHost, listenPort }: Config, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : null
  if (code === null) return error
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program has it',
    EACCES: 'this account may not have it',
    EADDRNOTAVAIL: 'this machine has no such address',
    ENOTFOUND: 'no such name is known',
  }
  return new ConfigurationFault(
    `port ${listenPort} of ${listenHost} cannot be listened at: ${why[code] ?? code}`,
    {
      hint: 'Choose another one with LISTEN_PORT and LISTEN_HOST, or end what has it.',
      cause: error,
    },
  )
}
