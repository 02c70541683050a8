/**
 * How long the provider waits for its answer to a notification: one after the other over one
 * connection, from the request to the end of the answer, stored safe from a power cut. The floor is a
 * bare HTTP server of Node that makes the same insert. A forged one is answered without the database.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, createServer, get } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { saveEvents } from '../../db/events.ts'
import { openDatabase } from '../../db/open.ts'
import { startListener } from '../../jobs/listener.ts'
import { ipnFor } from '../../src/sandbox/notify.ts'
import { createWorld } from '../../src/sandbox/world.ts'
import type { Benchmark, BenchLine } from './benchmark.ts'

const TIMES = 300
const ROUNDS = 3
const ANSWER_MS_MAX = 10
const RATIO_MAX = 3

export const events: Benchmark = { name: 'events', run: benchEvents }

async function benchEvents(): Promise<readonly BenchLine[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-events-'))
  const opened = await openDatabase({ databaseUrl: null, dataDir: folder })
  try {
    return await benchAnswers(opened.db)
  } finally {
    await opened.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function benchAnswers(db: Db): Promise<BenchLine[]> {
  const [account] = createWorld({ from: '2024-03-18', to: '2024-03-18', salesPerDay: 1 }).accounts
  if (account === undefined) throw new Error('the world has no account')
  const listener = await startListener({
    host: '127.0.0.1',
    port: 0,
    ipnKeys: [{ entity: 'default', apiKey: account.apiKey }],
    verifiers: [],
    store: async ({ key, source, type, paymentId }) => {
      await saveEvents(db, [{ entity: 'default', eventKey: key, source, type, paymentId }])
    },
    onTurnedAway: () => undefined,
    now: Date.now,
    bounds: { requestsPerSecond: 1_000_000, requestsBurst: 1_000_000 },
  })
  const bare = await bareServer(db)
  const forged = { ...account, apiKey: 'another' }
  let sent = 0
  const ask = (base: string, from: typeof account) => async (agent: Agent) => {
    sent += 1
    const { url, headers } = ipnFor(from, `payment_${sent}`, base)
    return answerMs(url, headers, agent)
  }
  try {
    const asks = [ask(listener.url, account), ask(bare.url, account), ask(listener.url, forged)]
    const medians: number[][] = asks.map(() => [])
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const [at, one] of asks.entries()) {
        const medianMs = await medianOf(one)
        // The first round warms both servers up.
        if (round > 0) medians[at]?.push(medianMs)
      }
    }
    const [stored = 0, floor = 0, refused = 0] = medians.map(median)
    return [
      lineOf('a notification, from request to answer', stored, floor),
      lineOf('a forged one', refused, floor),
    ]
  } finally {
    await listener.close()
    await bare.close()
  }
}

function lineOf(what: string, tookMs: number, floorMs: number): BenchLine {
  const ratio = tookMs / floorMs
  return {
    what,
    measured: `${Math.round(tookMs * 100) / 100} ms`,
    floor: `${Math.round(floorMs * 100) / 100} ms, a bare server that inserts the same`,
    ratio,
    bar: `at most ${ANSWER_MS_MAX} ms and ${RATIO_MAX} times the floor`,
    met: tookMs <= ANSWER_MS_MAX && ratio <= RATIO_MAX,
  }
}

async function bareServer(db: Db): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const key = `bare ${request.url ?? ''}`
    void db
      .execute(
        sql`insert into provider_events (entity, event_key, source, type, payment_id)
            values ('default', ${key}, 'ipn', 'ipn', 'payment_1') on conflict do nothing`,
      )
      .then(() => response.end('{"received":true}'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function medianOf(ask: (agent: Agent) => Promise<number>): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const took: number[] = []
  for (let times = 0; times < TIMES; times += 1) took.push(await ask(agent))
  agent.destroy()
  return median(took)
}

function answerMs(url: string, headers: Record<string, string>, agent: Agent): Promise<number> {
  const begunMs = performance.now()
  return new Promise((resolve, reject) => {
    get(url, { headers, agent }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(performance.now() - begunMs))
    }).on('error', reject)
  })
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}
