/** `npm run listen` with a real database: what is stored, for whom, how often, and what is said of it. */
import { createHmac } from 'node:crypto'
import { createServer } from 'node:net'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { providerEvents } from '../../db/schema.ts'
import { runCli } from '../../jobs/cli.ts'
import { tallyTurnedAway } from '../../jobs/listen.ts'
import { Interruption } from '../../jobs/run-command.ts'
import { silentProgress } from '../../src/progress.ts'
import { deliver, ipnFor, SANDBOX_WEBHOOK_KEY, webhookFor } from '../../src/sandbox/notify.ts'
import { createWorld, type SandboxAccount } from '../../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

let shop: Workshop | null = null
let listening: Listening | null = null
afterEach(async () => {
  await listening?.stop()
  await shop?.close()
  shop = listening = null
})

interface Listening {
  readonly url: string
  readonly notes: string[]
  stop(): Promise<number>
}

async function open(...accounts: string[]): Promise<Workshop> {
  const world = createWorld({
    from: '2024-03-18',
    to: '2024-03-19',
    salesPerDay: 3,
    ...(accounts.length === 0 ? {} : { accounts }),
  })
  const opened = (shop = await openWorkshop(world))
  Object.assign(opened.env, { LISTEN_PORT: '0', WEBHOOK_KEY: SANDBOX_WEBHOOK_KEY })
  return opened
}

/** The command in this process, until it is stopped as SIGTERM stops it. */
async function listen({ env, dir }: Workshop): Promise<Listening> {
  const notes: string[] = []
  const stop = new AbortController()
  let said: (url: string) => void = () => undefined
  const url = new Promise<string>((resolve) => (said = resolve))
  const running = runCli(['listen'], env, {
    cwd: dir,
    out: () => undefined,
    err: (text) => notes.push(text),
    progress: {
      ...silentProgress,
      note: (text) => {
        notes.push(text)
        const found = /^waiting for notifications at (http:\S+):/.exec(text)?.[1]
        if (found !== undefined) said(found)
      },
      close: () => undefined,
    },
    now: () => new Date(),
    signal: stop.signal,
  })
  const failed = running.then((exitCode) => {
    throw new Error(`listen ended with ${exitCode}: ${notes.join('\n')}`)
  })
  failed.catch(() => undefined)
  return (listening = {
    url: await Promise.race([url, failed]),
    notes,
    stop: () => {
      stop.abort(new Interruption('SIGTERM'))
      return running
    },
  })
}

const eventsOf = ({ database }: Workshop) =>
  database.db
    .select({
      entity: providerEvents.entity,
      source: providerEvents.source,
      type: providerEvents.type,
      paymentId: providerEvents.paymentId,
      takenRunId: providerEvents.takenRunId,
    })
    .from(providerEvents)
    .orderBy(providerEvents.entity, providerEvents.eventNumber)

function paymentsOf(account: SandboxAccount | undefined): string[] {
  return [...(account?.payments.keys() ?? [])]
}

const nowS = (): number => Math.floor(Date.now() / 1000)

describe('an event', () => {
  test('is stored once, however often, in whatever order and by however many it is sent', async () => {
    const opened = await open()
    const { url } = await listen(opened)
    const [account] = opened.sandbox.world.accounts
    if (account === undefined) throw new Error('the world has no account')
    const [first = '', second = ''] = paymentsOf(account)
    const sent = [
      ipnFor(account, second, url),
      ...(await Promise.all(
        [first, second].map((id) =>
          webhookFor({ type: 'payment.captured', data: { id }, signedS: nowS() }, url),
        ),
      )),
      // The same body, signed anew.
      await webhookFor(
        { type: 'payment.captured', data: { id: first }, signedS: nowS() - 30 },
        url,
      ),
      await webhookFor({ type: 'dunning.begun', data: { id: 'x_1' }, signedS: nowS() }, url),
    ]
    const shuffled = [...sent, ...sent.toReversed(), ...sent]
    const deliveries = await Promise.all(shuffled.map((each) => deliver(each)))
    expect(new Set(deliveries.map(({ status, attempts }) => `${status} ${attempts}`))).toEqual(
      new Set(['200 1']),
    )
    const stored = await eventsOf(opened)
    expect(stored.map(({ type, paymentId }) => `${type} ${paymentId}`).toSorted()).toEqual(
      [
        `ipn ${second}`,
        `payment.captured ${first}`,
        `payment.captured ${second}`,
        'dunning.begun null',
      ].toSorted(),
    )
    expect(
      stored.every(({ entity, takenRunId }) => entity === 'default' && takenRunId === null),
    ).toBe(true)
  })

  test('is of the entity with whose key it is signed; of a key that is shared, of each of them', async () => {
    const opened = await open('north', 'south')
    const { accounts } = opened.sandbox.world
    await writeFile(
      join(opened.dir, 'entities.json'),
      JSON.stringify(
        accounts.map(({ name, iban }) => ({ name, apiKeyEnv: `KEY_${name}`, ibans: [iban] })),
      ),
    )
    opened.env['ENTITIES_FILE'] = 'entities.json'
    for (const { name, apiKey } of accounts) opened.env[`KEY_${name}`] = apiKey
    delete opened.env['ALMA_API_KEY']
    const { url } = await listen(opened)
    const [north, south] = accounts
    if (north === undefined || south === undefined) throw new Error('two accounts were expected')
    const [id = ''] = paymentsOf(south)
    await deliver(ipnFor(south, id, url))
    // Signed with the key of one entity, about a payment of the other: its own ledger will not know it.
    await deliver(ipnFor(north, id, url))
    await deliver(
      await webhookFor({ type: 'payment.captured', data: { id }, signedS: nowS() }, url),
    )
    expect((await eventsOf(opened)).map(({ entity, source }) => `${entity} ${source}`)).toEqual([
      'north ipn',
      'north webhook',
      'south ipn',
      'south webhook',
    ])
    await opened.run('nightly', '--as-of', '2024-03-20')
    expect((await eventsOf(opened)).every(({ takenRunId }) => takenRunId !== null)).toBe(true)
    const asked = opened.sandbox.requests.filter(({ path }) => path === `/v1/payments/${id}`)
    expect(asked.filter(({ headers }) => headers['authorization']?.includes(north.apiKey))).toEqual(
      [],
    )
  })

  test('of which nobody has the key leaves no trace but a line', async () => {
    const opened = await open()
    const { url, notes, stop } = await listen(opened)
    const signature = createHmac('sha256', 'sk_test_Somebody').update('payment_1').digest('hex')
    for (let times = 0; times < 50; times += 1) {
      const answer = await fetch(`${url}?pid=payment_1`, {
        headers: { 'x-alma-signature': signature },
      })
      expect(answer.status).toBe(401)
    }
    expect(await eventsOf(opened)).toEqual([])
    await stop()
    // The others are told of together, a minute later.
    expect(notes.filter((note) => note.startsWith('requests turned away'))).toEqual([
      'requests turned away: 1 signed with none of the configured keys',
    ])
    expect(notes.join('\n')).not.toContain('payment_1')
  })
})

describe('the listener', () => {
  test('stops cleanly, with exit code 0, and can be started again', async () => {
    const opened = await open()
    const { url, stop } = await listen(opened)
    expect(await stop()).toBe(0)
    await expect(fetch(url)).rejects.toThrow()
    const again = await listen(opened)
    expect((await fetch(`${again.url}/health`)).status).toBe(200)
  })

  test('goes on after the database was away: what came meanwhile is answered 503 and sent again', async () => {
    const opened = await open()
    const { url, notes } = await listen(opened)
    const [account] = opened.sandbox.world.accounts
    if (account === undefined) throw new Error('the world has no account')
    const [id = ''] = paymentsOf(account)
    await opened.database.db.execute(`alter table provider_events rename to moved_away`)
    expect(await deliver(ipnFor(account, id, url), { attemptsMax: 1 })).toMatchObject({
      status: 503,
    })
    await opened.database.db.execute(`alter table moved_away rename to provider_events`)
    expect(await deliver(ipnFor(account, id, url))).toMatchObject({ status: 200 })
    expect(await eventsOf(opened)).toHaveLength(1)
    expect(notes.join('\n')).toContain(
      'that the database did not take; the provider sends them again',
    )
    expect(notes.join('\n')).not.toContain(id)
  })

  test('without any key it says so and ends with exit code 3', async () => {
    const opened = await open()
    delete opened.env['ALMA_API_KEY']
    delete opened.env['WEBHOOK_KEY']
    const { exitCode, err } = await opened.run('listen')
    expect({ exitCode, err }).toMatchObject({
      exitCode: 3,
      err: expect.stringContaining('neither ALMA_API_KEY nor WEBHOOK_KEY is set'),
    })
  })

  test('at a port that is taken it says so and ends with exit code 3', async () => {
    const opened = await open()
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    try {
      opened.env['LISTEN_PORT'] = String(port)
      expect(await opened.run('listen')).toMatchObject({
        exitCode: 3,
        err: expect.stringContaining(
          `port ${port} of 127.0.0.1 cannot be listened at: another program has it`,
        ),
      })
    } finally {
      other.close()
    }
  })

  test.each([
    ['LISTEN_PORT', '70000'],
    ['LISTEN_HOST', 'http://here/'],
    ['WEBHOOK_KEY', 'short'],
  ])(
    'a wrong %s is told with what was expected, a key without what was found',
    async (name, value) => {
      const opened = await open()
      opened.env[name] = value
      const { exitCode, err } = await opened.run('listen')
      expect(exitCode).toBe(3)
      expect(err).toContain(`${name}: found`)
      expect(err.includes(value)).toBe(name !== 'WEBHOOK_KEY')
    },
  )
})

test('doctor tells when the last event came, and how many wait', async () => {
  const opened = await open()
  const told = async (): Promise<string[]> => {
    const { out } = await opened.run('doctor')
    return out.split('\n').filter((line) => line.includes('events '))
  }
  await opened.run('reconcile', '--week', '2024-W12', '--as-of', '2024-03-20')
  expect(await told()).toEqual([expect.stringContaining('none has come')])
  const { url } = await listen(opened)
  const [account] = opened.sandbox.world.accounts
  if (account === undefined) throw new Error('the world has no account')
  for (const id of paymentsOf(account).slice(0, 2)) await deliver(ipnFor(account, id, url))
  expect(await told()).toEqual([
    expect.stringMatching(
      /^ok +events +the last one of "default" came \d{4}-.* \(ipn\); 2 wait for/,
    ),
  ])
  await opened.run('nightly', '--as-of', '2024-03-20')
  expect(await told()).toEqual([expect.stringMatching(/\(ipn\); none waits$/)])
})

test('purge removes events of before a day, and only those', async () => {
  const opened = await open()
  const { url } = await listen(opened)
  const [account] = opened.sandbox.world.accounts
  if (account === undefined) throw new Error('the world has no account')
  const [old = '', recent = ''] = paymentsOf(account)
  for (const id of [old, recent]) await deliver(ipnFor(account, id, url))
  await opened.database.db
    .update(providerEvents)
    .set({ receivedAt: '2023-12-31T22:59:59Z' })
    .where(eq(providerEvents.paymentId, old))
  const { out } = await opened.run('purge', '--before', '2024-01-01', '--by', 'Marie')
  expect(out).toContain('notifications of the provider: 1\n')
  expect((await eventsOf(opened)).map(({ paymentId }) => paymentId)).toEqual([recent])
})

test('of a thousand that are turned away two lines are told', async () => {
  const told: string[] = []
  const tally = tallyTurnedAway((text) => told.push(text), 20)
  for (let times = 0; times < 1_000; times += 1)
    tally.count(times % 2 === 0 ? 'forged' : 'too_many')
  await expect.poll(() => told.length).toBe(2)
  expect(told[1]).toBe(
    'requests turned away: 500 too many in too short a time; 499 signed with none of the configured keys',
  )
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(told).toHaveLength(2)
  tally.count('stale')
  expect(told).toHaveLength(3)
  tally.close()
})
