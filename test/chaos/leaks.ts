/** Looks for what must never be seen: keys, passwords, customers. */
import type { SandboxWorld } from '../../src/sandbox/world.ts'

export interface Secrets {
  readonly apiKeys: readonly string[]
  readonly databasePassword: string
  readonly mailPassword: string
  /** Full names as the provider's export writes them. */
  readonly customers: readonly string[]
}

/** Of the sandbox's invented customers; `alex@example.com` is who buys while a page is read. */
const CUSTOMER_EMAIL = /\b(client\.\d+|alex)@example\.com/

export function secretsOf(world: SandboxWorld): Secrets {
  const customers = world.accounts.flatMap(({ payments }) =>
    [...payments.values()].map(({ customer }) => `${customer.first_name} ${customer.last_name}`),
  )
  return {
    apiKeys: world.accounts.map(({ apiKey }) => apiKey),
    databasePassword: 'Zugang-zur-Datenbank-7',
    mailPassword: 'Zugang-zur-Post-9',
    customers: [...new Set(customers)],
  }
}

/** @param texts each with where it was found. @returns a sentence for each sight, without the secret. */
export function leaksIn(
  { apiKeys, databasePassword, mailPassword, customers }: Secrets,
  texts: readonly (readonly [where: string, text: string])[],
): string[] {
  return texts.flatMap(([where, text]) => {
    const shown = [text, ...decodedParts(text)].join('\n')
    const seen: string[] = []
    if (apiKeys.some((key) => shown.includes(key))) seen.push(`an API key is in ${where}`)
    if (shown.includes(databasePassword)) seen.push(`the database password is in ${where}`)
    if (shown.includes(mailPassword)) seen.push(`the mail password is in ${where}`)
    if (customers.some((name) => shown.includes(name)) || CUSTOMER_EMAIL.test(shown)) {
      seen.push(`a customer is in ${where}`)
    }
    return seen
  })
}

/** What a text holds in the encodings of mails. Attachments are base64 in lines of 76; bodies are quoted-printable. */
export function decodedParts(text: string): string[] {
  const base64 = text.match(/(?:^[A-Za-z0-9+/]{76}\r?\n)+[A-Za-z0-9+/=]*/gm) ?? []
  const quoted = text
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/(?:=[0-9A-F]{2})+/g, (bytes) =>
      Buffer.from(bytes.replaceAll('=', ''), 'hex').toString('utf8'),
    )
  return [...base64.map((part) => Buffer.from(part, 'base64').toString('utf8')), quoted]
}
