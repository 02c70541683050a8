/** `npm run webhooks -- register`, against the sandbox. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createWorld } from '../../src/sandbox/world.ts'
import { openWorkshop, type Workshop } from '../support/workshop.ts'

const URL_OF_SHOP = 'https://books.example.com/alma'

let shop: Workshop | null = null
afterEach(async () => {
  await shop?.close()
  shop = null
})

async function open(...accounts: string[]): Promise<Workshop> {
  const more = accounts.length === 0 ? {} : { accounts }
  const world = createWorld({ from: '2024-03-18', to: '2024-03-18', salesPerDay: 1, ...more })
  return (shop = await openWorkshop(world))
}

const register = (opened: Workshop, ...more: string[]) =>
  opened.run('webhooks', 'register', '--url', URL_OF_SHOP, ...more)

test('asks for one webhook for each known type of event, and says what it got', async () => {
  const opened = await open()
  const { exitCode, out } = await register(opened)
  expect(exitCode).toBe(0)
  const { webhooks, requests } = opened.sandbox
  const types = ['created', 'authorized', 'captured', 'canceled'].map((each) => `payment.${each}`)
  expect(webhooks.map(({ type, url }) => [type, url])).toEqual(
    types.map((type) => [type, URL_OF_SHOP]),
  )
  expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual(
    types.map(() => 'POST /v1/webhooks'),
  )
  expect(out).toBe(
    webhooks.map(({ type, id }) => `default: ${type} is registered as ${id}\n`).join(''),
  )
})

test('of chosen types and one entity; as JSON', async () => {
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
  const flags = ['--events', 'payment.captured, payment.captured', '--entity', 'south', '--json']
  const { exitCode, out } = await register(opened, ...flags)
  expect(exitCode).toBe(0)
  expect(opened.sandbox.webhooks.map(({ account }) => account.name)).toEqual(['south'])
  expect(JSON.parse(out)).toEqual({
    url: URL_OF_SHOP,
    webhooks: [
      { entity: 'south', event: 'payment.captured', id: expect.stringMatching(/^webhook_/) },
    ],
  })
  expect(await register(opened, '--entity', 'west')).toMatchObject({ exitCode: 2 })
})

test.each([403, 404, 400])(
  'an account that may not do so itself (%s) is told whom to ask, exit 4',
  async (status) => {
    const opened = await open()
    opened.sandbox.script({ path: /webhooks/, fault: { do: 'status', status } })
    expect(await register(opened)).toMatchObject({
      exitCode: 4,
      err: expect.stringMatching(/no webhook was registered for "default"[^]*beta[^]*IPN/),
    })
  },
)

test('a refused key is a fault of configuration, exit 3', async () => {
  const opened = await open()
  opened.env['ALMA_API_KEY'] = 'sk_test_another0000000000000'
  expect(await register(opened)).toMatchObject({
    exitCode: 3,
    err: expect.stringContaining('refused the key in ALMA_API_KEY'),
  })
})

test.each([
  ['http://books.example.com/', 'https'],
  ['books.example.com', 'no URL'],
  ['https://me:secret@books.example.com/', 'https://books.example.com'],
  ['ftp://books.example.com/', 'ftp'],
])('an address that the provider must not be given: %s', async (url, words) => {
  const opened = await open()
  const { exitCode, err } = await opened.run('webhooks', 'register', '--url', url)
  expect({ exitCode, err }).toMatchObject({ exitCode: 2, err: expect.stringContaining(words) })
  expect(err).not.toContain('secret')
  expect(opened.sandbox.requests).toEqual([])
})

test.each([
  ['nothing', ''],
  ['blanks', 'payment captured'],
  ['an empty one', 'a,,b'],
  ['capitals', 'Payment.Captured'],
  ['twenty-one', Array.from({ length: 21 }, (_, at) => `a${at}`).join(',')],
])('types that are none: %s', async (_, events) => {
  const opened = await open()
  expect(await register(opened, '--events', events)).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('--events: found'),
  })
})
