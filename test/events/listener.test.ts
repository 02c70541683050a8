/** The door itself, over real connections: what it takes, and what an attacker gets. */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { type ListenerOptions, startListener, type TurnedAway } from '../../jobs/listener.ts'
import type { Notification } from '../../src/events/notification.ts'
import { parseWebhookKeys } from '../../src/events/webhook-keys.ts'
import { ipnFor, SANDBOX_WEBHOOK_KEY, webhookFor } from '../../src/sandbox/notify.ts'
import { createWorld } from '../../src/sandbox/world.ts'

const PID = 'payment_11uPRjPgPJ8KZlZfIASDFXqZTSbq'
const [SHOP] = createWorld({ from: '2024-03-18', to: '2024-03-18', salesPerDay: 1 }).accounts
if (SHOP === undefined) throw new Error('the world has no account')
const account = SHOP

interface Door {
  readonly url: string
  readonly port: number
  readonly stored: { notification: Notification; entities: readonly string[] }[]
  readonly turnedAway: TurnedAway[]
  /** Raw bytes to the door; collects what comes back. */
  knock(bytes: string): Promise<Visitor>
  close(): Promise<void>
}

interface Visitor {
  readonly socket: Socket
  said: string
  readonly ended: Promise<unknown>
}

async function openDoor(options: Partial<ListenerOptions> = {}): Promise<Door> {
  const stored: Door['stored'] = []
  const turnedAway: TurnedAway[] = []
  const listener = await startListener({
    host: '127.0.0.1',
    port: 0,
    ipnKeys: [{ entity: 'shop', apiKey: account.apiKey }],
    verifiers: (parseWebhookKeys(SANDBOX_WEBHOOK_KEY) ?? []).map((key) => ({
      ...key,
      entities: ['shop'],
    })),
    store: async (notification, entities) => {
      stored.push({ notification, entities })
    },
    onTurnedAway: (reason) => turnedAway.push(reason),
    now: () => Date.now(),
    ...options,
  })
  const sockets: Socket[] = []
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await listener.close()
  })
  const port = Number(new URL(listener.url).port)
  return {
    url: listener.url,
    port,
    stored,
    turnedAway,
    close: listener.close,
    knock: async (bytes) => {
      const socket = connect(port, '127.0.0.1')
      sockets.push(socket)
      const visitor: Visitor = {
        socket,
        said: '',
        ended: new Promise((resolve) => socket.once('close', resolve)),
      }
      socket.on('error', () => undefined)
      socket.on('data', (piece) => (visitor.said += piece.toString()))
      await once(socket, 'connect')
      socket.write(bytes)
      return visitor
    },
  }
}

/** Sends a notification as the sandbox does; @returns the status of the answer. */
async function send({
  method,
  url,
  headers,
  body,
}: Pick<Awaited<ReturnType<typeof webhookFor>>, 'method' | 'url' | 'headers' | 'body'>) {
  const answer = await fetch(url, { method, headers: { ...headers }, body })
  return { status: answer.status, text: await answer.text() }
}

const capture = (door: Door, type = 'payment.captured') =>
  webhookFor({ type, data: { id: PID }, signedS: Math.floor(Date.now() / 1000) }, door.url)

test('IPN and webhook are stored and answered with 200, at whatever path', async () => {
  const door = await openDoor()
  expect(await send(ipnFor(account, PID, door.url))).toEqual({
    status: 200,
    text: '{"received":true}',
  })
  expect(await send(ipnFor(account, PID, `${door.url}/a/path?shop=1`))).toMatchObject({
    status: 200,
  })
  expect(await send(await capture(door))).toMatchObject({ status: 200 })
  expect(await send(await capture(door, 'never.heard_of'))).toMatchObject({ status: 200 })
  expect(door.stored.map(({ notification: { type, paymentId } }) => [type, paymentId])).toEqual([
    ['ipn', PID],
    ['ipn', PID],
    ['payment.captured', PID],
    ['never.heard_of', PID],
  ])
  expect(door.turnedAway).toEqual([])
})

test('answers in milliseconds', async () => {
  const door = await openDoor()
  const outgoing = await capture(door)
  await send(outgoing)
  const tookMs: number[] = []
  for (let times = 0; times < 40; times += 1) {
    const begunMs = performance.now()
    await send(outgoing)
    tookMs.push(performance.now() - begunMs)
  }
  expect(tookMs.toSorted((a, b) => a - b)[20]).toBeLessThan(50)
})

test('a stranger is told no more than he knows, and nothing of his is stored', async () => {
  const door = await openDoor()
  const good = await capture(door)
  const token = good.headers['x-alma-signature'] ?? ''
  const forged = createHmac('sha256', 'another key').update(PID).digest('hex')
  const post = { method: 'POST', url: door.url } as const
  const answers = [
    await send({ ...ipnFor(account, PID, door.url), headers: {} }),
    await send({ ...ipnFor(account, PID, door.url), headers: { 'x-alma-signature': forged } }),
    await send({
      ...ipnFor(account, 'payment_other', door.url),
      headers: ipnFor(account, PID, door.url).headers,
    }),
    await send({ ...post, headers: {}, body: good.body }),
    await send({ ...post, headers: { 'x-alma-signature': token }, body: `${good.body} ` }),
    await send({ ...post, headers: { 'x-alma-signature': `${token}x` }, body: good.body }),
    await send({ ...post, headers: { 'x-alma-signature': token }, body: '' }),
    await send({ ...post, method: 'POST', headers: {}, body: '{"junk":' }),
  ]
  for (const answer of answers) {
    expect(answer.status).toBe(401)
    expect(answer.text).toMatch(/^\{"error":"signature (missing or malformed|not accepted)"\}$/)
  }
  expect((await fetch(door.url)).status).toBe(400)
  expect((await fetch(`${door.url}?pid=${PID}&pid=${PID}`)).status).toBe(400)
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const answer = await fetch(door.url, { method })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, POST'])
  }
  expect(await (await fetch(`${door.url}/health`)).json()).toEqual({ listening: true })
  expect(door.stored).toEqual([])
})

test('without a key webhooks are refused, and IPNs go on', async () => {
  const door = await openDoor({ verifiers: [] })
  expect(await send(await capture(door))).toMatchObject({ status: 403 })
  expect(door.turnedAway).toEqual(['no_key'])
  expect(await send(ipnFor(account, PID, door.url))).toMatchObject({ status: 200 })
})

test('too large: said so by its length, or found out on the way; no more than the limit is held', async () => {
  const door = await openDoor({ bounds: { bodyBytesMax: 10_000 } })
  const large = await send({ method: 'POST', url: door.url, headers: {}, body: 'x'.repeat(10_001) })
  expect(large).toMatchObject({ status: 413 })

  const declared = await door.knock(
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nabc',
  )
  await declared.ended
  expect(declared.said).toMatch(/^HTTP\/1\.1 413 /)

  const before = process.memoryUsage().rss
  const chunked = await door.knock(
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n',
  )
  const chunk = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`
  let sent = 0
  while (!chunked.socket.destroyed && sent < 2_000) {
    if (!chunked.socket.write(chunk)) {
      await Promise.race([once(chunked.socket, 'drain').catch(() => undefined), chunked.ended])
    }
    sent += 1
  }
  await chunked.ended
  expect(chunked.said).toMatch(/^HTTP\/1\.1 413 /)
  expect(sent).toBeLessThan(2_000)
  expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000)
  expect(new Set(door.turnedAway)).toEqual(new Set(['too_large']))
  expect(door.stored).toEqual([])
})

test('headers without end, and junk instead of HTTP, end the connection', async () => {
  const door = await openDoor({ bounds: { headerBytesMax: 4_096 } })
  const long = await door.knock(`GET /?pid=${'a'.repeat(10_000)} HTTP/1.1\r\n`)
  await long.ended
  expect(long.said).toMatch(/^HTTP\/1\.1 431 /)
  for (const junk of [
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'GET\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a b/\r\n\r\n',
  ]) {
    const visitor = await door.knock(junk)
    visitor.socket.end()
    await visitor.ended
    expect({ junk, said: visitor.said }).toMatchObject({
      said: expect.stringMatching(/^HTTP\/1\.1 400 /),
    })
  }
  expect(await send(ipnFor(account, PID, door.url))).toMatchObject({ status: 200 })
})

test('slow ones are cut off: nothing sent, headers by drops, a body by drops, nothing more', async () => {
  const door = await openDoor({
    bounds: { headersTimeoutMs: 500, requestTimeoutMs: 1_000, idleTimeoutMs: 500 },
  })
  const begunMs = performance.now()
  const silent = await door.knock('')
  const headers = await door.knock('GET / HTTP/1.1\r\n')
  const body = await door.knock('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n')
  const idle = await door.knock('GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
  const drip = setInterval(() => {
    if (!headers.socket.destroyed) headers.socket.write('X-A: b\r\n')
    if (!body.socket.destroyed) body.socket.write('x')
  }, 100)
  onTestFinished(() => clearInterval(drip))
  const afterMs = async (visitor: Visitor): Promise<number> => {
    await visitor.ended
    return performance.now() - begunMs
  }
  const took = await Promise.all([silent, headers, body, idle].map(afterMs))
  // Limits are looked at each second.
  for (const tookMs of took) expect(tookMs).toBeLessThan(4_000)
  expect(idle.said).toContain('{"listening":true}')
  expect(door.stored).toEqual([])
})

test('many connections: no more than so many, and there is room again when they are gone', async () => {
  const door = await openDoor({ bounds: { connectionsMax: 20, headersTimeoutMs: 1_000 } })
  const crowd = await Promise.all(
    Array.from({ length: 60 }, () => door.knock('GET / HTTP/1.1\r\n')),
  )
  await expect.poll(() => crowd.filter(({ socket }) => socket.destroyed).length).toBe(40)
  expect(door.turnedAway.filter((reason) => reason === 'too_many_connections')).toHaveLength(40)
  // Those that hold the door shut are cut off by themselves.
  await Promise.all(crowd.map(({ ended }) => ended))
  expect(await send(ipnFor(account, PID, door.url))).toMatchObject({ status: 200 })
}, 15_000)

test('many requests: what comes too fast is asked to come later, whoever signed it', async () => {
  const door = await openDoor({ bounds: { requestsPerSecond: 10, requestsBurst: 20 } })
  const answers = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const { method, url, headers } = ipnFor(account, PID, door.url)
      const answer = await fetch(url, { method, headers })
      await answer.text()
      return [answer.status, answer.headers.get('retry-after')] as const
    }),
  )
  const passed = answers.filter(([status]) => status === 200).length
  expect(passed).toBeGreaterThanOrEqual(20)
  expect(passed).toBeLessThan(40)
  expect(answers.filter(([status]) => status === 429)).toHaveLength(50 - passed)
  expect(answers.find(([status]) => status === 429)?.[1]).toBe('30')
  await sleep(500)
  expect(await send(ipnFor(account, PID, door.url))).toMatchObject({ status: 200 })
})

test('a database that hangs or refuses: 503, so that the provider sends again; nothing piles up', async () => {
  const waiting: (() => void)[] = []
  const door = await openDoor({
    store: () => new Promise((resolve) => waiting.push(resolve)),
    bounds: { storingMax: 3, storingTimeoutMs: 300 },
  })
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => send(ipnFor(account, PID, door.url))),
  )
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 503))
  // Those that nobody waits for any more still count.
  expect(waiting).toHaveLength(3)
  expect(await send(ipnFor(account, PID, door.url))).toMatchObject({ status: 503 })
  for (const done of waiting) done()
  await sleep(10)
  const next = send(ipnFor(account, PID, door.url))
  await expect.poll(() => waiting.length).toBe(4)
  waiting[3]?.()
  expect(await next).toMatchObject({ status: 200 })
})

test('closing takes nothing new, answers what has begun, and does not wait for who holds on', async () => {
  const waiting: (() => void)[] = []
  const door = await openDoor({ store: () => new Promise((resolve) => waiting.push(resolve)) })
  const idle = await door.knock('GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
  const slow = await door.knock('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n')
  const begun = send(ipnFor(account, PID, door.url))
  await expect.poll(() => waiting.length).toBe(1)
  const closing = door.close()
  await expect(fetch(door.url)).rejects.toThrow()
  waiting[0]?.()
  expect(await begun).toMatchObject({ status: 200 })
  await idle.ended
  await closing
  await slow.ended
})
