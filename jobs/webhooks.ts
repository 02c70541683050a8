/** `webhooks register`: has the provider tell of events by itself. */
import { type Config, type EntityConfig, requireApiKey } from '../src/config.ts'
import { EXIT, type ExitCode, UnavailableFault } from '../src/errors.ts'
import { createProviderClient, RefusedKey, RefusedRequest } from '../src/provider/client.ts'
import { createWebhook } from '../src/provider/webhooks.ts'
import type { CommandIo } from './command.ts'
import type { WebhookFlags } from './webhook-flags.ts'

interface Registered {
  readonly entity: string
  readonly event: string
  readonly id: string | null
}

/**
 * One request for each entity and type of event; it ends with the first that fails, and tells what
 * was registered until then.
 * @throws UnavailableFault if the provider does not register webhooks for this account.
 */
export async function registerWebhooksCommand(
  config: Config,
  { url, events, entity, json }: WebhookFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const entities = config.entities.filter(({ name }) => entity === null || name === entity)
  const clients = entities.map((each) => ({ each, client: clientOf(each, io) }))
  const registered: Registered[] = []
  for (const { each, client } of clients) {
    for (const event of events) {
      const id = await createWebhook(client, { type: event, url }).catch((error: unknown) => {
        for (const done of registered) io.progress.note(lineOf(done))
        throw notRegistered(each, error)
      })
      registered.push({ entity: each.name, event, id })
    }
  }
  const lacking = entities.filter(({ webhookKey }) => webhookKey === null)
  if (lacking.length > 0) {
    io.progress.note(
      `WEBHOOK_KEY is not set for ${lacking.map(({ name }) => name).join(', ')}: until it is, listen refuses these webhooks`,
      'warn',
    )
  }
  io.out(json ? jsonOf(url, registered) : `${registered.map(lineOf).join('\n')}\n`)
  return EXIT.done
}

function clientOf(entity: EntityConfig, { progress }: CommandIo) {
  return createProviderClient({
    ...requireApiKey(entity),
    apiKeySetting: entity.apiKeySetting,
    onRetry: progress.note,
  })
}

function lineOf({ entity, event, id }: Registered): string {
  return `${entity}: ${event} is registered${id === null ? '' : ` as ${id}`}`
}

function jsonOf(url: string, registered: readonly Registered[]): string {
  return `${JSON.stringify({ url, webhooks: registered }, null, 2)}\n`
}

/** Whoever may not register them himself has it done by the provider. */
function notRegistered({ name }: EntityConfig, error: unknown): unknown {
  const isRefusal =
    error instanceof RefusedRequest || (error instanceof RefusedKey && error.status === 403)
  if (!isRefusal) return error
  return new UnavailableFault(`no webhook was registered for "${name}": ${error.message}`, {
    hint: 'Webhooks are a beta that the provider switches on by request: send it your merchant id, the address and the types of events. Until then the IPN does the same, without a key: its address is in the API settings of the dashboard.',
    cause: error,
  })
}
