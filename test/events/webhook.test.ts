/** Webhooks as an attacker would send them, and as the provider does. */
import { createHash, createHmac, generateKeyPairSync } from 'node:crypto'
import { type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { readWebhook, type WebhookVerifier } from '../../src/events/webhook.ts'
import { parseWebhookKeys } from '../../src/events/webhook-keys.ts'

const NOW_S = 1_711_000_000
const PAYMENT = 'payment_11uPRjPgPJ8KZlZfIASDFXqZTSbq'
const SECRET = 'whsec_0123456789abcdefghijklmnop'
const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const EC_PEM = ec.publicKey.export({ format: 'pem', type: 'spki' }).toString()

const EVENT = {
  type: 'payment.captured',
  data: { id: PAYMENT, customer: { email: 'alex@example.com' } },
}
const BODY = JSON.stringify(EVENT)

const sha256 = (body: string | Uint8Array, encoding: 'hex' | 'base64' | 'base64url' = 'hex') =>
  createHash('sha256').update(body).digest(encoding)

function verifierOf(text: string, ...entities: string[]): WebhookVerifier[] {
  return (parseWebhookKeys(text) ?? []).map((key) => ({ ...key, entities }))
}
const SHARED = verifierOf(SECRET, 'shop')

type Signer = (claims: JWTPayload, header?: Record<string, string>) => Promise<string>
const bySecret =
  (secret: string): Signer =>
  (claims, header = {}) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', ...header })
      .sign(new TextEncoder().encode(secret))
const sign = bySecret(SECRET)

const read = (
  signature: string | undefined,
  body: string | Uint8Array = BODY,
  verifiers = SHARED,
  nowS = NOW_S,
) =>
  readWebhook(
    { body: typeof body === 'string' ? new TextEncoder().encode(body) : body, signature },
    verifiers,
    nowS,
  )

const claims = (more: JWTPayload = {}): JWTPayload => ({
  iat: NOW_S,
  body_sha256: sha256(BODY),
  ...more,
})

describe('a webhook that is well signed', () => {
  test('tells the type and the payment, and nothing of the customer', async () => {
    const reading = await read(await sign(claims()))
    expect(reading).toEqual({
      entities: ['shop'],
      notification: {
        source: 'webhook',
        type: 'payment.captured',
        paymentId: PAYMENT,
        key: `webhook ${sha256(BODY)}`,
      },
    })
    expect(JSON.stringify(reading)).not.toContain('alex')
  })

  test.each<[string, JWTPayload]>([
    ['its body’s hash in capitals', { iat: NOW_S, digest: sha256(BODY).toUpperCase() }],
    ['its body’s hash in base64', { iat: NOW_S, body_hash: sha256(BODY, 'base64') }],
    ['its body’s hash in base64url', { iat: NOW_S, h: sha256(BODY, 'base64url') }],
    ['its body’s hash with the name of the algorithm', { iat: NOW_S, d: `sha256=${sha256(BODY)}` }],
    ['the event itself', { iat: NOW_S, type: EVENT.type, data: { id: PAYMENT } }],
    ['an end instead of a beginning', { exp: NOW_S + 60, d: sha256(BODY) }],
  ])('may name %s', async (_, given) => {
    expect(await read(await sign(given))).toMatchObject({
      notification: { paymentId: PAYMENT },
    })
  })

  test('may be of a type that nobody knows here, about something of a payment or about none', async () => {
    for (const [event, paymentId] of [
      [{ type: 'refund.created', data: { id: 'refund_1', payment: PAYMENT } }, PAYMENT],
      [{ type: 'dispute.opened', data: { id: 'dispute_1', payment_id: PAYMENT } }, PAYMENT],
      [{ type: 'payout.sent', data: { id: 'payout_1' } }, null],
      [{ type: 'odd', data: { id: 'payment_../../me' } }, null],
    ] as const) {
      const body = JSON.stringify(event)
      const token = await sign({ iat: NOW_S, body_sha256: sha256(body) })
      expect(await read(token, body)).toMatchObject({
        notification: { type: event.type, paymentId },
      })
    }
  })

  test('is the same one when it is sent again, signed anew', async () => {
    const keyOf = async (token: string) => {
      const reading = await read(token)
      return 'notification' in reading ? reading.notification.key : null
    }
    expect(await keyOf(await sign(claims({ jti: 'b', iat: NOW_S - 20 })))).toBe(
      await keyOf(await sign(claims({ jti: 'a' }))),
    )
  })

  test('is of each entity whose key it is, and of no other', async () => {
    const verifiers = [
      ...verifierOf(SECRET, 'north', 'south'),
      ...verifierOf(EC_PEM, 'east'),
      ...verifierOf(`${SECRET}x`, 'west'),
    ]
    expect(await read(await sign(claims()), BODY, verifiers)).toMatchObject({
      entities: ['north', 'south'],
    })
    const byEc = await new SignJWT(claims())
      .setProtectedHeader({ alg: 'ES256' })
      .sign(ec.privateKey)
    expect(await read(byEc, BODY, verifiers)).toMatchObject({ entities: ['east'] })
  })
})

describe('forged', () => {
  test('without a key nothing is accepted, however it is signed', async () => {
    expect(await read(await sign(claims()), BODY, [])).toEqual({ refused: 'no_key' })
  })

  test.each<[string, string | undefined]>([
    ['none', undefined],
    ['an empty one', ''],
    ['a word', 'x'],
    ['two parts', 'a.b'],
    ['four parts', 'a.b.c.d'],
    ['letters that none has', 'é.é.é'],
    ['one of twenty kilobytes', `${'a'.repeat(20_000)}.b.c`],
  ])('a token that is none: %s', async (_, signature) => {
    expect(await read(signature)).toEqual({ refused: 'unsigned' })
  })

  test('signed by another', async () => {
    expect(await read(await bySecret(`${SECRET}!`)(claims()))).toEqual({ refused: 'forged' })
  })

  test('not signed at all: alg none', async () => {
    const token = new UnsecuredJWT(claims()).encode()
    // A token of that kind has an empty third part; one that is made up does not help either.
    expect(await read(token)).toEqual({ refused: 'unsigned' })
    expect(await read(`${token}AAAA`)).toEqual({ refused: 'forged' })
  })

  test('the public key taken for a shared secret', async () => {
    const token = await bySecret(EC_PEM)(claims())
    expect(await read(token, BODY, verifierOf(EC_PEM, 'shop'))).toEqual({ refused: 'forged' })
  })

  test('another algorithm of the right key than the one it is for', async () => {
    const token = await new SignJWT(claims())
      .setProtectedHeader({ alg: 'HS512' })
      .sign(new TextEncoder().encode(SECRET.padEnd(64, 'x')))
    expect(await read(token, BODY, verifierOf(SECRET.padEnd(64, 'x'), 'shop'))).toEqual({
      refused: 'forged',
    })
  })

  test('a key that the token brings along itself', async () => {
    const token = await new SignJWT(claims())
      .setProtectedHeader({
        alg: 'ES256',
        jwk: ec.publicKey.export({ format: 'jwk' }),
      })
      .sign(ec.privateKey)
    expect(await read(token)).toEqual({ refused: 'forged' })
  })

  test('claims that were changed after signing', async () => {
    const [header, , signature] = (await sign(claims())).split('.')
    const changed = Buffer.from(JSON.stringify(claims({ iat: NOW_S + 1 }))).toString('base64url')
    expect(await read(`${header}.${changed}.${signature}`)).toEqual({ refused: 'forged' })
  })

  test('critical extensions that are not understood', async () => {
    const encoded = (value: object): string =>
      Buffer.from(JSON.stringify(value)).toString('base64url')
    const parts = `${encoded({ alg: 'HS256', crit: ['odd'], odd: 1 })}.${encoded(claims())}`
    const signature = createHmac('sha256', SECRET).update(parts).digest('base64url')
    expect(await read(`${parts}.${signature}`)).toEqual({ refused: 'forged' })
  })

  test('a good token over another body', async () => {
    const token = await sign(claims())
    const other = BODY.replace(PAYMENT, 'payment_another')
    expect(await read(token, other)).toEqual({ refused: 'unbound' })
    expect(await read(token, `${BODY} `)).toEqual({ refused: 'unbound' })
  })

  test('a good token that says nothing of any body', async () => {
    expect(await read(await sign({ iat: NOW_S, merchant: 'merchant_1' }))).toEqual({
      refused: 'unbound',
    })
  })

  test('a good token about another event', async () => {
    for (const said of [
      { type: 'payment.canceled', data: { id: PAYMENT } },
      { type: EVENT.type, data: { id: 'payment_another' } },
      { type: EVENT.type, data: {} },
      { type: EVENT.type },
    ]) {
      expect(await read(await sign({ iat: NOW_S, ...said }))).toEqual({ refused: 'unbound' })
    }
  })
})

describe('stale', () => {
  test.each<[string, JWTPayload]>([
    ['signed ten minutes ago', { iat: NOW_S - 600 }],
    ['signed in ten minutes', { iat: NOW_S + 600 }],
    ['at its end', { iat: NOW_S - 200, exp: NOW_S - 61 }],
    ['not begun', { nbf: NOW_S + 600 }],
    ['good for a year', { exp: NOW_S + 365 * 86_400 }],
  ])('%s', async (_, times) => {
    const { iat: __, ...rest } = claims()
    expect(await read(await sign({ ...rest, ...times }))).toEqual({ refused: 'stale' })
  })

  test('without a word of time it would be good for ever', async () => {
    expect(await read(await sign({ body_sha256: sha256(BODY) }))).toEqual({ refused: 'stale' })
  })

  test('clocks may differ by a minute, and a resend may take five', async () => {
    const token = await sign(claims())
    for (const afterS of [-60, 0, 300, 360]) {
      expect(await read(token, BODY, SHARED, NOW_S + afterS)).toHaveProperty('notification')
    }
    for (const afterS of [-61, 361]) {
      expect(await read(token, BODY, SHARED, NOW_S + afterS)).toEqual({ refused: 'stale' })
    }
  })
})

describe('junk that is signed well', () => {
  test.each<[string, string | Uint8Array]>([
    ['nothing', ''],
    ['no JSON', '{"type":'],
    ['a list', '[]'],
    ['a number', '7'],
    ['null', 'null'],
    ['no type', '{"data":{"id":"payment_1"}}'],
    ['a type that is none', '{"type":{"a":1},"data":{}}'],
    ['a type of a megabyte', JSON.stringify({ type: 'x'.repeat(1_000_000), data: {} })],
    ['a type with line breaks', '{"type":"a\\nb","data":{}}'],
    ['no data', '{"type":"payment.captured"}'],
    ['data that is text', '{"type":"payment.captured","data":"payment_1"}'],
    ['JSON a hundred thousand deep', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['bytes that are no text', new Uint8Array([0xff, 0xfe, 0x00, 0x80])],
  ])('%s', async (_, body) => {
    const token = await sign({ iat: NOW_S, body_sha256: sha256(body) })
    expect(await read(token, body)).toEqual({ refused: 'unreadable' })
  })

  test('names that mean something to JavaScript stay words', async () => {
    const body = '{"type":"payment.captured","data":{"__proto__":{"id":"payment_1"}},"__proto__":1}'
    const token = await sign({ iat: NOW_S, body_sha256: sha256(body) })
    expect(await read(token, body)).toMatchObject({ notification: { type: 'payment.captured' } })
    expect(Object.prototype).not.toHaveProperty('id')
  })
})
