/** The sandbox as the one who tells: what it sends, how often, and what it takes for a webhook. */
import { createServer } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { readIpn } from '../../src/events/ipn.ts'
import { readWebhook } from '../../src/events/webhook.ts'
import { parseWebhookKeys } from '../../src/events/webhook-keys.ts'
import { deliver, ipnFor, SANDBOX_WEBHOOK_KEY } from '../../src/sandbox/notify.ts'
import { startSandbox } from '../../src/sandbox/server.ts'
import { createWorld } from '../../src/sandbox/world.ts'

interface Heard {
  readonly method: string
  readonly url: string
  readonly signature: string
  readonly body: Buffer
}

/** A listener of the test's own, which answers as it is told. */
async function hear(statuses: number[] = []): Promise<{ url: string; heard: Heard[] }> {
  const heard: Heard[] = []
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const { 'x-alma-signature': signature } = request.headers
      heard.push({
        method: request.method ?? '',
        url: request.url ?? '',
        signature: typeof signature === 'string' ? signature : '',
        body: Buffer.concat(pieces),
      })
      response.writeHead(statuses.shift() ?? 200).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  return { url: `http://127.0.0.1:${port}/alma`, heard }
}

async function open() {
  const world = createWorld({ from: '2024-03-18', to: '2024-03-18', accounts: ['north', 'south'] })
  const sandbox = await startSandbox({ world })
  onTestFinished(() => sandbox.close())
  const [north, south] = world.accounts
  if (north === undefined || south === undefined) throw new Error('two accounts were expected')
  const [paymentId = ''] = south.payments.keys()
  const ask = (body: string, key = south.apiKey) =>
    fetch(`${sandbox.url}/v1/webhooks`, {
      method: 'POST',
      headers: { authorization: `Alma-Auth ${key}`, 'content-type': 'application/json' },
      body,
    })
  return { sandbox, north, south, paymentId, ask }
}

test('tells by IPN and by the webhooks that the account has asked for, signed as a listener expects', async () => {
  const { sandbox, north, south, paymentId, ask } = await open()
  const { url, heard } = await hear()
  const type = 'payment.captured'
  expect(await (await ask(JSON.stringify({ type, url }))).json()).toMatchObject({ type, url })
  await ask(JSON.stringify({ type: 'payment.canceled', url }))
  await ask(JSON.stringify({ type, url }), north.apiKey)
  const deliveries = await sandbox.notify({ type, paymentId, ipnUrl: url })
  expect(deliveries).toEqual([
    { status: 200, attempts: 1 },
    { status: 200, attempts: 1 },
  ])
  const [ipn, webhook] = heard
  expect(ipn).toMatchObject({ method: 'GET', url: `/alma?pid=${paymentId}` })
  const keys = [north, south].map(({ name, apiKey }) => ({ entity: name, apiKey }))
  expect(readIpn({ pids: [paymentId], signature: ipn?.signature }, keys)).toMatchObject({
    entities: ['south'],
  })
  const verifiers = (parseWebhookKeys(SANDBOX_WEBHOOK_KEY) ?? []).map((key) => ({
    ...key,
    entities: ['south'],
  }))
  const body = webhook?.body ?? Buffer.alloc(0)
  expect(JSON.parse(body.toString())).toMatchObject({
    type,
    data: { id: paymentId, customer: { email: expect.any(String) } },
  })
  expect(
    await readWebhook({ body, signature: webhook?.signature }, verifiers, Date.now() / 1000),
  ).toMatchObject({ notification: { type, paymentId } })
})

test('tells again until it is answered with 2xx, ten times at most', async () => {
  const { south, paymentId } = await open()
  const slow = await hear([503, 302, 500])
  expect(await deliver(ipnFor(south, paymentId, slow.url), { retryMs: 1 })).toEqual({
    status: 200,
    attempts: 4,
  })
  const deaf = await hear(Array.from({ length: 20 }, () => 401))
  expect(await deliver(ipnFor(south, paymentId, deaf.url), { retryMs: 1 })).toEqual({
    status: 401,
    attempts: 10,
  })
  expect(deaf.heard).toHaveLength(10)
  const nobody = 'http://127.0.0.1:1/'
  expect(await deliver(ipnFor(south, paymentId, nobody), { retryMs: 1, attemptsMax: 2 })).toEqual({
    status: null,
    attempts: 2,
  })
})

test.each([
  ['no JSON', '{', 'body'],
  ['no type', '{"url":"https://shop.example/"}', 'type'],
  ['no address', '{"type":"payment.captured"}', 'url'],
  ['an address that is none', '{"type":"payment.captured","url":"here"}', 'url'],
])('refuses a webhook with %s as the provider does', async (_, body, field) => {
  const { sandbox, ask } = await open()
  const answer = await ask(body)
  expect(answer.status).toBe(400)
  expect(await answer.json()).toMatchObject({
    error_code: 'validation_error',
    errors: [{ field }],
  })
  expect((await ask(body, 'sk_test_nobody')).status).toBe(401)
  expect(sandbox.webhooks).toEqual([])
})
