/** Webhooks: asked for, one for each type of event. */
import { z } from 'zod'
import type { ProviderClient } from './client.ts'

const PATH = '/v1/webhooks'
const answer = z.looseObject({ id: z.string() })

export interface NewWebhook {
  /** `payment.captured` and the like. */
  readonly type: string
  /** Where the provider sends them. */
  readonly url: string
}

/**
 * @returns the provider's id of the webhook; null where its answer names none.
 * @throws as `ProviderClient.postJson`.
 */
export async function createWebhook(
  client: ProviderClient,
  { type, url }: NewWebhook,
): Promise<string | null> {
  const found = answer.safeParse(await client.postJson(PATH, { type, url }))
  return found.success ? found.data.id : null
}
