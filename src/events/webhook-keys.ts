/**
 * Keys with which webhooks are checked. The provider's scheme is not public, so the key may be of any
 * usual kind; its kind decides how it may be used, never the token that it checks.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'

/** A key and the one algorithm that tokens may be signed with. */
export interface WebhookKey {
  readonly algorithm: string
  readonly key: KeyObject | Uint8Array
}

const SECRET_LENGTH_MIN = 32
const RSA_BITS_MIN = 2048
const PEM = /-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----/g

const jwk = z
  .record(z.string(), z.unknown())
  .transform((members) =>
    Object.fromEntries(
      Object.entries(members).flatMap(([name, value]) =>
        typeof value === 'string' ? [[name, value] as const] : [],
      ),
    ),
  )
const jwkSet = z.object({ keys: z.array(jwk).min(1) })

/**
 * Keys from the text of a setting: public keys as PEM, one after the other (a line break may be
 * written as `\n`), a JWK or a set of them, or shared secrets separated by blanks or commas. Several
 * stand beside each other while one takes over from the other.
 * @returns null for anything else: a private key, a short secret, an algorithm that is not used.
 */
export function parseWebhookKeys(text: string): WebhookKey[] | null {
  const given = text.trim().replaceAll('\\n', '\n')
  const keys = given.startsWith('{')
    ? keysOfJson(given)
    : given.includes('-----BEGIN')
      ? keysOfPem(given)
      : given
          .split(/[\s,]+/)
          .filter((secret) => secret !== '')
          .map(keyOfSecret)
  const usable = keys.filter((key) => key !== null)
  return usable.length === keys.length && usable.length > 0 ? usable : null
}

function keyOfSecret(secret: string): WebhookKey | null {
  if (secret.length < SECRET_LENGTH_MIN) return null
  return { algorithm: 'HS256', key: new TextEncoder().encode(secret) }
}

function keysOfPem(text: string): (WebhookKey | null)[] {
  const blocks = [...text.matchAll(PEM)]
  const rest = text.replaceAll(PEM, '').trim()
  if (blocks.length === 0 || rest !== '') return [null]
  return blocks.map(([pem, label]) =>
    label === 'PUBLIC KEY' ? publicKey(() => createPublicKey(pem)) : null,
  )
}

function keysOfJson(text: string): (WebhookKey | null)[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return [null]
  }
  const set = jwkSet.safeParse(value)
  if (set.success) return set.data.keys.map(keyOfJwk)
  const single = jwk.safeParse(value)
  return [single.success ? keyOfJwk(single.data) : null]
}

function keyOfJwk(given: z.infer<typeof jwk>): WebhookKey | null {
  const { kty, k = '', d, alg } = given
  if (kty === 'oct') {
    const bytes = Buffer.from(k, 'base64url')
    const isUsable = bytes.length >= SECRET_LENGTH_MIN && (alg ?? 'HS256') === 'HS256'
    return isUsable ? { algorithm: 'HS256', key: new Uint8Array(bytes) } : null
  }
  if (d !== undefined) return null
  const made = publicKey(() => createPublicKey({ key: given, format: 'jwk' }))
  if (made === null || alg === undefined || alg === made.algorithm) return made
  return made.algorithm === 'RS256' && alg === 'PS256' ? { ...made, algorithm: alg } : null
}

function publicKey(make: () => KeyObject): WebhookKey | null {
  let key: KeyObject
  try {
    key = make()
  } catch {
    return null
  }
  const algorithm = algorithmOf(key)
  return algorithm === null ? null : { algorithm, key }
}

const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails: details }: KeyObject) {
  if (asymmetricKeyType === 'rsa') {
    return (details?.modulusLength ?? 0) >= RSA_BITS_MIN ? 'RS256' : null
  }
  if (asymmetricKeyType === 'ec') return CURVES[details?.namedCurve ?? ''] ?? null
  return asymmetricKeyType === 'ed25519' ? 'EdDSA' : null
}
