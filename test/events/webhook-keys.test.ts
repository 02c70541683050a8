/** Keys for webhooks as somebody puts them into a setting. */
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { parseWebhookKeys } from '../../src/events/webhook-keys.ts'

const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const shortRsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const ed = generateKeyPairSync('ed25519')

interface Exported {
  export(options: { format: 'pem'; type: 'spki' }): string | Buffer
}
const pem = (key: Exported): string => key.export({ format: 'pem', type: 'spki' }).toString()
const algorithms = (text: string) =>
  parseWebhookKeys(text)?.map(({ algorithm }) => algorithm) ?? null

const SECRET = 'whsec_0123456789abcdefghijklmnop'

describe('what may be a key, and the one way in which it may be used', () => {
  test.each<[string, string, string[]]>([
    ['a shared secret', SECRET, ['HS256']],
    ['two of them while one replaces the other', `${SECRET}, ${SECRET}x`, ['HS256', 'HS256']],
    ['RSA as PEM', pem(rsa.publicKey), ['RS256']],
    ['P-256', pem(ec.publicKey), ['ES256']],
    ['P-384', pem(p384.publicKey), ['ES384']],
    ['Ed25519', pem(ed.publicKey), ['EdDSA']],
    [
      'PEM in one line, as .env files have it',
      pem(ec.publicKey).replaceAll('\n', '\\n'),
      ['ES256'],
    ],
    ['two PEMs', pem(ec.publicKey) + pem(rsa.publicKey), ['ES256', 'RS256']],
    ['a JWK', JSON.stringify(ec.publicKey.export({ format: 'jwk' })), ['ES256']],
    [
      'a set of JWKs',
      JSON.stringify({
        keys: [
          { ...rsa.publicKey.export({ format: 'jwk' }), alg: 'PS256', use: 'sig', kid: 'a' },
          ed.publicKey.export({ format: 'jwk' }),
        ],
      }),
      ['PS256', 'EdDSA'],
    ],
    [
      'a secret as JWK',
      JSON.stringify({ kty: 'oct', k: Buffer.from(SECRET).toString('base64url') }),
      ['HS256'],
    ],
  ])('%s', (_, text, expected) => {
    expect(algorithms(text)).toEqual(expected)
  })
})

describe('what may not', () => {
  test.each<[string, string]>([
    ['nothing', ''],
    ['a short secret', SECRET.slice(1)],
    ['a short secret beside a long one', `${SECRET} short`],
    ['a private key', ec.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()],
    ['a private JWK', JSON.stringify(ec.privateKey.export({ format: 'jwk' }))],
    ['RSA of 1024 bits', pem(shortRsa.publicKey)],
    ['a curve that no JWT algorithm here is for', pem(koblitz.publicKey)],
    ['a PEM that was cut', pem(ec.publicKey).slice(0, -30)],
    ['a PEM with something behind it', `${pem(ec.publicKey)}${SECRET}`],
    ['a PEM of something else', pem(ec.publicKey).replaceAll('PUBLIC KEY', 'CERTIFICATE')],
    [
      'a JWK for an algorithm that its key is not of',
      JSON.stringify({ ...ec.publicKey.export({ format: 'jwk' }), alg: 'none' }),
    ],
    ['a short secret as JWK', JSON.stringify({ kty: 'oct', k: 'c2hvcnQ' })],
    ['an empty set', '{"keys":[]}'],
    ['JSON that is cut', '{"keys":['],
  ])('%s', (_, text) => {
    expect(algorithms(text)).toBeNull()
  })
})
