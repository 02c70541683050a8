import { createServer, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createProviderClient } from '../../src/provider/client.ts'
import { createGate } from '../../src/provider/http.ts'

const REQUESTS = 60
const TOGETHER = 8
const ALLOWED = 5

/** A server that answers nothing until eight have asked, refuses three of these, and lets five wait. */
async function busyServer() {
  const waiting: ServerResponse[] = []
  let [underWay, mostLater, isOpen] = [0, 0, false]
  const answer = (response: ServerResponse, status: number): void => {
    underWay -= 1
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
  }
  const server = createServer((_, response) => {
    underWay += 1
    if (isOpen) {
      mostLater = Math.max(mostLater, underWay)
      setTimeout(() => answer(response, 200), 1)
      return
    }
    if (waiting.push(response) < TOGETHER) return
    isOpen = true
    for (const each of waiting.splice(ALLOWED)) answer(each, 429)
  })
  await new Promise<void>((ready) => {
    server.listen(0, '127.0.0.1', ready)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    mostLater: () => mostLater,
    answerTheOthers: () => {
      for (const each of waiting.splice(0)) answer(each, 200)
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}

describe('requests at once', () => {
  test('are eight at most, and fewer for a provider that says it is too many', async () => {
    const server = await busyServer()
    let refusals = 0
    try {
      const client = createProviderClient({
        apiUrl: server.url,
        apiKey: 'sk_test_1',
        apiKeySetting: 'ALMA_API_KEY',
        sleep: () => sleep(1),
        onRetry: () => {
          refusals += 1
          if (refusals === TOGETHER - ALLOWED) server.answerTheOthers()
        },
      })
      const asked = Array.from({ length: REQUESTS }, () => client.getJson('/v1/payments'))
      expect(await Promise.all(asked)).toHaveLength(REQUESTS)
      expect(refusals).toBe(TOGETHER - ALLOWED)
      // Eight were under way when three were refused: half as many are from then on.
      expect(server.mostLater()).toBe(TOGETHER / 2)
    } finally {
      await server.close()
    }
  })

  test('wait as long as the provider asked one of them to', async () => {
    const waits: number[] = []
    const gate = createGate(async (waitMs) => {
      waits.push(waitMs)
    })
    const begunMs = performance.now()
    await gate.run(async () => gate.slowDown(begunMs, 5_000), false)
    await gate.run(async () => undefined, false)
    expect(waits).toHaveLength(1)
    expect(waits[0]).toBeGreaterThan(4_000)
    expect(waits[0]).toBeLessThanOrEqual(5_000)
    await gate.run(async () => undefined, true)
    expect(waits).toHaveLength(1)
  })

  test('one at least is let through, and more again after many answers', async () => {
    const gate = createGate(async () => undefined)
    const most = async (): Promise<number> => {
      let [underWay, seen] = [0, 0]
      await Promise.all(
        Array.from({ length: 20 }, () =>
          gate.run(async () => {
            underWay += 1
            seen = Math.max(seen, underWay)
            await sleep(1)
            underWay -= 1
          }, true),
        ),
      )
      return seen
    }
    expect(await most()).toBe(8)
    for (let refusals = 0; refusals < 5; refusals += 1) {
      await sleep(2)
      await gate.run(async () => gate.slowDown(performance.now(), 0), true)
    }
    expect(await most()).toBe(1)
    for (let calm = 0; calm < 1_500; calm += 1) await gate.run(async () => undefined, true)
    expect(await most()).toBe(8)
  })

  test('a failure makes room for the next', async () => {
    const gate = createGate(async () => undefined)
    const failing = Array.from({ length: 20 }, () =>
      gate.run(() => Promise.reject(new Error('refused')), true),
    )
    expect((await Promise.allSettled(failing)).every(({ status }) => status === 'rejected')).toBe(
      true,
    )
    expect(await gate.run(async () => 'through', true)).toBe('through')
  })
})
