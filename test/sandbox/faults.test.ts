import { describe, expect, test, vi } from 'vitest'
import type { Fault } from '../../src/sandbox/server.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { ask, firstAccount, page, sandboxOf } from './support.ts'

const ROWS = '/v1/balance-transactions'

const smallWorld = (): SandboxWorld =>
  createWorld({ from: '2024-03-04', to: '2024-03-20', salesPerDay: 6 })

async function faulty(fault: Fault, times = 1) {
  const sandbox = await sandboxOf({ world: smallWorld() })
  sandbox.script({ fault, times })
  return sandbox
}

/** The answer's text, or what became of it. */
async function outcome(answer: Promise<Response>): Promise<string> {
  try {
    const { status, ...rest } = await answer.then(async (got) => ({
      status: got.status,
      text: await got.text(),
    }))
    return `${status} ${rest.text}`
  } catch {
    return 'broken connection'
  }
}

describe('which requests a rule strikes', () => {
  test('all that match its host, method and path, until the script is cleared', async () => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    sandbox.script({
      host: 'api',
      method: 'GET',
      path: /^\/v1\/me$/,
      fault: { do: 'status', status: 502 },
    })
    expect((await ask(sandbox, '/v1/me')).status).toBe(502)
    expect((await ask(sandbox, '/v1/me')).status).toBe(502)
    expect((await ask(sandbox, ROWS)).status).toBe(200)
    sandbox.clearScript()
    expect((await ask(sandbox, '/v1/me')).status).toBe(200)
  })

  test('the first so many, or those that a function chooses', async () => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    sandbox.script({ times: 1, fault: { do: 'status', status: 500 } })
    sandbox.script({ when: (nth) => nth === 3, fault: { do: 'status', status: 503 } })
    const statuses: number[] = []
    for (let asked = 0; asked < 4; asked += 1) statuses.push((await ask(sandbox, '/v1/me')).status)
    expect(statuses).toEqual([500, 200, 503, 200])
    expect(sandbox.requests.map(({ status }) => status)).toEqual(statuses)
  })
})

describe('what a rule does', () => {
  test('a status with its headers and body', async () => {
    const sandbox = await faulty({
      do: 'status',
      status: 429,
      headers: { 'Retry-After': '2', 'Content-Type': 'text/html' },
      body: '<h1>Slow down</h1>',
    })
    const answer = await ask(sandbox, ROWS)
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '2'])
    expect(answer.headers.get('content-type')).toBe('text/html')
    expect(await answer.text()).toBe('<h1>Slow down</h1>')
  })

  test('what a function makes of the usual answer', async () => {
    const sandbox = await faulty({
      do: 'edit',
      answer: ({ body, headers }) => ({ status: 207, headers, body: body.toUpperCase() }),
    })
    const answer = await ask(sandbox, ROWS)
    expect(answer.status).toBe(207)
    expect((await answer.text()).startsWith('{"DATA":[{"ID":"BALANCE_TXN')).toBe(true)
    expect((await ask(sandbox, ROWS)).status).toBe(200)
  })

  test('a page of a proxy, or half of the JSON, with status 200', async () => {
    const proxy = await ask(await faulty({ do: 'html' }), ROWS)
    expect([proxy.status, proxy.headers.get('content-type')]).toEqual([200, 'text/html'])
    const half = await ask(await faulty({ do: 'truncate' }), ROWS)
    expect(half.status).toBe(200)
    const text = await half.text()
    expect(text.startsWith('{"data":[')).toBe(true)
    expect(() => JSON.parse(text)).toThrow(SyntaxError)
  })

  test.each(['before_handling', 'before_body', 'in_body', 'after_body'] as const)(
    'a connection reset %s, and the next request goes well',
    async (at) => {
      const sandbox = await faulty({ do: 'reset', at })
      expect(await outcome(ask(sandbox, ROWS))).toBe('broken connection')
      expect(await outcome(ask(sandbox, ROWS))).toMatch(/^200 /)
    },
  )

  test('before_body carries the request out, before_handling does not', async () => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    const effects: string[] = []
    sandbox.script({
      fault: {
        do: 'answer',
        with: () => {
          effects.push('handled')
          return undefined
        },
      },
    })
    sandbox.script({ when: (nth) => nth === 1, fault: { do: 'reset', at: 'before_body' } })
    await outcome(ask(sandbox, '/v1/me'))
    expect(effects).toEqual(['handled'])
    sandbox.clearScript()
    sandbox.script({ fault: { do: 'reset', at: 'before_handling' } })
    await outcome(ask(sandbox, '/v1/me'))
    expect(effects).toEqual(['handled'])
    expect(sandbox.requests.map(({ status }) => status)).toEqual([null, null])
  })

  test('an answer in drops, or late, but right', async () => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    const right = await outcome(ask(sandbox, `${ROWS}?limit=1`))
    sandbox.script({ fault: { do: 'drip', bytes: 100, everyMs: 5 } })
    const startedMs = Date.now()
    expect(await outcome(ask(sandbox, `${ROWS}?limit=1`))).toBe(right)
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(20)
    sandbox.clearScript()
    sandbox.script({ fault: { do: 'delay', ms: 50 } })
    const delayedMs = Date.now()
    expect(await outcome(ask(sandbox, `${ROWS}?limit=1`))).toBe(right)
    expect(Date.now() - delayedMs).toBeGreaterThanOrEqual(45)
  })

  test('a page without rows, a short page, or the last page once more', async () => {
    const sandbox = await sandboxOf({ world: smallWorld() })
    sandbox.script({ when: (nth) => nth === 1, fault: { do: 'empty_page' } })
    sandbox.script({ when: (nth) => nth === 2, fault: { do: 'short_page', rows: 3 } })
    sandbox.script({ when: (nth) => nth === 4, fault: { do: 'repeat_page' } })
    expect(await page(sandbox, ROWS)).toEqual({ data: [], has_more: true })
    const short = await page(sandbox, ROWS)
    expect([short.data.length, short.has_more]).toEqual([3, true])
    const third = await page(sandbox, `${ROWS}?starting_after=${short.data[2]?.id ?? ''}`)
    const again = await page(sandbox, `${ROWS}?starting_after=${third.data.at(-1)?.id ?? ''}`)
    expect(again).toEqual(third)
    expect(third.data).toHaveLength(20)
  })

  test('sales that happen while a client pages, unpaid and with a payment each', async () => {
    const sandbox = await faulty({ do: 'new_rows', count: 2 })
    const account = firstAccount(sandbox.world)
    const before = account.rows.at(-1)
    const { data } = await page(sandbox, ROWS)
    expect(data[2]?.id).toBe(before?.id)
    for (const row of data.slice(0, 2)) {
      expect(row).toMatchObject({ kind: 'from_transaction', included_in_payout_id: null })
      expect(account.payments.has(String(row['payment_id']))).toBe(true)
    }
  })

  test('any change of the world, and any answer', async () => {
    const sandbox = await faulty({
      do: 'mutate',
      change: (world) => {
        firstAccount(world).rows.length = 1
      },
    })
    expect((await page(sandbox, ROWS)).data).toHaveLength(1)
    sandbox.script({
      path: /me$/,
      fault: {
        do: 'answer',
        with: (request) => ({ status: 418, headers: {}, body: request.method }),
      },
    })
    expect(await outcome(ask(sandbox, '/v1/me'))).toBe('418 GET')
  })

  test('latency on every answer', async () => {
    const sandbox = await sandboxOf({ world: smallWorld(), switches: { latencyMs: 40 } })
    const startedMs = Date.now()
    await ask(sandbox, '/v1/me')
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(35)
  })
})

test('closing ends requests that still wait', async () => {
  const sandbox = await sandboxOf({ world: smallWorld() })
  sandbox.script({ fault: { do: 'delay', ms: 60_000 } })
  const waiting = outcome(ask(sandbox, '/v1/me'))
  await vi.waitFor(() => expect(sandbox.requests).toHaveLength(1))
  await sandbox.close()
  expect(await waiting).toBe('broken connection')
})
