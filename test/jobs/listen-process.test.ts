/** As on a terminal: a sandbox that tells, a listener that hears, webhooks that are asked for. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { SANDBOX_WEBHOOK_KEY } from '../../src/sandbox/notify.ts'
import { openPlace, type Running, signalGroup, startScript, untilSaid } from '../e2e/job.ts'
import { createTestDatabase } from '../support/database.ts'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}

test('sandbox, listen, webhooks, reconcile --touched, SIGTERM', async () => {
  const [place, database, port] = await Promise.all([openPlace(), createTestDatabase(), freePort()])
  const url = `http://127.0.0.1:${port}/alma`
  const flags = ['--port', '0', '--tell-every', '0.2', '--ipn-url', url]
  const sandbox = startScript('jobs/sandbox.ts', flags, { cwd: place.dir, env: {} })
  const processes: Running[] = [sandbox]
  onTestFinished(async () => {
    for (const running of processes) signalGroup(running, 'SIGKILL')
    await Promise.all(processes.map(({ outcome }) => outcome))
    await database.drop()
    await place.remove()
  })
  const [, key = ''] = await untilSaid(sandbox, /ALMA_API_KEY=(\S+)/)
  const [, api = ''] = await untilSaid(sandbox, /ALMA_API_URL=(\S+)/)
  await untilSaid(sandbox, new RegExp(`WEBHOOK_KEY=${SANDBOX_WEBHOOK_KEY}`))
  Object.assign(place.env, {
    ALMA_API_KEY: key,
    ALMA_API_URL: api,
    DATABASE_URL: database.url,
    WEBHOOK_KEY: SANDBOX_WEBHOOK_KEY,
    LISTEN_PORT: String(port),
  })

  const listening = place.start('listen')
  processes.push(listening)
  await untilSaid(sandbox, /told of payment_\w+: 200\n/)
  const registered = await place.runHere('webhooks', 'register', '--url', url)
  expect(registered).toMatchObject({
    exitCode: 0,
    out: expect.stringMatching(/^(default: payment\.\w+ is registered as webhook_\w+\n){4}$/),
  })
  await untilSaid(sandbox, /told of payment_\w+: 200, 200\n/)
  expect(
    await place.runHere('reconcile', '--week', '2024-W12', '--as-of', '2024-03-25', '--touched'),
  ).toMatchObject({ exitCode: 0 })
  const { out } = await place.runHere('doctor')
  expect(out).toMatch(/events +the last one of "default" came .* \((ipn|payment\.captured)\)/)

  signalGroup(listening, 'SIGTERM')
  const begunMs = performance.now()
  const ended = await listening.outcome
  expect(performance.now() - begunMs).toBeLessThan(8_000)
  expect(ended).toMatchObject({ exitCode: 0, out: '' })
  expect(ended.err).toContain(`waiting for notifications at http://127.0.0.1:${port}`)
  expect(ended.err).not.toContain(key)
  expect(ended.err).not.toContain(SANDBOX_WEBHOOK_KEY)
}, 90_000)
