import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { ConfigurationFault, UnavailableFault } from '../../src/errors.ts'
import { createProviderClient, RefusedRequest } from '../../src/provider/client.ts'
import {
  brokenOff,
  json,
  type Reply,
  reset,
  type ScriptedServer,
  startScriptedServer,
  text,
} from './scripted-server.ts'

const KEY = 'sk_test_abcDEF0123456789abcDEF01'
const opened: { close(): Promise<void> }[] = []

afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()))
})

async function server(...script: Reply[]): Promise<ScriptedServer> {
  const started = await startScriptedServer(script)
  opened.push(started)
  return started
}

function clientOf(apiUrl: string, waits: number[] = [], retries: string[] = []) {
  return createProviderClient({
    apiUrl,
    apiKey: KEY,
    apiKeySetting: 'ALMA_API_KEY',
    timeoutMs: 400,
    onRetry: (line) => retries.push(line),
    sleep: async (waitMs) => {
      waits.push(waitMs)
    },
  })
}

async function faultOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('a fault was expected')
}

describe('asking the provider', () => {
  test('the key goes in the Alma-Auth scheme, the query in the address', async () => {
    const api = await server(json({ fine: true }))
    const body = await clientOf(`${api.url}/`).getJson('/v1/x', { limit: '100', kind: 'a,b' })
    expect(body).toEqual({ fine: true })
    expect(api.seen).toEqual([
      { method: 'GET', url: '/v1/x?limit=100&kind=a%2Cb', authorization: `Alma-Auth ${KEY}` },
    ])
  })

  test.each<[string, Reply]>([
    ['HTTP 429', text(429, '')],
    ['HTTP 408', text(408, '')],
    ['HTTP 500', text(500, 'oops')],
    ['HTTP 502', text(502, '<html>Bad gateway</html>')],
    ['HTTP 503', text(503, '')],
    ['HTTP 504', text(504, '')],
    ['HTML with status 200', text(200, '<html></html>', { 'content-type': 'text/html' })],
    ['JSON that ends in the middle', text(200, '{"data":[{"id":"ba')],
    ['an empty answer', text(200, '')],
    ['a connection that breaks off in the body', brokenOff],
    ['a reset', reset],
    ['silence', () => undefined],
  ])('after %s it asks again', async (_, fault) => {
    const api = await server(fault, fault, json([1]))
    const retries: string[] = []
    expect(await clientOf(api.url, [], retries).getJson('/v1/x')).toEqual([1])
    expect(api.seen).toHaveLength(3)
    expect(retries).toHaveLength(2)
    expect(retries.join()).not.toContain(KEY)
  })

  test('it waits longer each time, within limits, and gives up with what was answered', async () => {
    const api = await server(text(502, 'Bad gateway'))
    const waits: number[] = []
    const fault = await faultOf(clientOf(api.url, waits).getJson('/v1/x'))
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(fault.message).toBe(
      `GET ${new URL(api.url).host}/v1/x failed after 6 attempts: HTTP 502`,
    )
    expect(api.seen).toHaveLength(6)
    expect(waits).toHaveLength(5)
    waits.forEach((waitMs, retry) => {
      expect(waitMs).toBeGreaterThanOrEqual(125 * 2 ** retry)
      expect(waitMs).toBeLessThanOrEqual(250 * 2 ** retry)
    })
  })

  test('Retry-After in seconds is waited for', async () => {
    const api = await server(text(429, '', { 'retry-after': '7' }), json([]))
    const waits: number[] = []
    await clientOf(api.url, waits).getJson('/v1/x')
    expect(waits).toEqual([7000])
  })

  test('Retry-After as a date is waited for', async () => {
    const at = new Date(Date.now() + 9_000).toUTCString()
    const api = await server(text(503, '', { 'retry-after': at }), json([]))
    const waits: number[] = []
    await clientOf(api.url, waits).getJson('/v1/x')
    expect(waits[0]).toBeGreaterThan(7_000)
    expect(waits[0]).toBeLessThanOrEqual(9_000)
  })

  test('a Retry-After of an hour is not waited for', async () => {
    const api = await server(text(429, '', { 'retry-after': '3600' }))
    const fault = await faultOf(clientOf(api.url).getJson('/v1/x'))
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(fault.message).toMatch(/after one attempt: HTTP 429, and asked to wait 3600 s$/)
  })

  test('the whole of waiting stays well under a minute', async () => {
    const api = await server(text(429, '', { 'retry-after': '25' }))
    const waits: number[] = []
    await faultOf(clientOf(api.url, waits).getJson('/v1/x'))
    expect(waits).toEqual([25_000])
  })

  test('nobody listening: exit 4 naming the host, without a stack of causes that hold the key', async () => {
    const api = await server(json([]))
    await api.close()
    const fault = await faultOf(clientOf(api.url).getJson('/v1/x'))
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(fault.message).toContain(new URL(api.url).host)
    expect(fault.message).toContain('ECONNREFUSED')
    expect(fault.cause).toBeUndefined()
  })

  test.each([401, 403])('HTTP %i is a matter of the setting', async (status) => {
    const api = await server(json({ message: `Credentials invalid: ${KEY}` }, status))
    const fault = await faultOf(clientOf(api.url).getJson('/v1/x'))
    expect(fault).toBeInstanceOf(ConfigurationFault)
    expect(fault.message).toBe(
      `${new URL(api.url).host} refused the key in ALMA_API_KEY (HTTP ${status}: “Credentials invalid: [key]”)`,
    )
    expect(api.seen).toHaveLength(1)
  })

  test('another refusal quotes what the provider says and is not repeated', async () => {
    const api = await server(
      json(
        { error_code: 'validation_error', errors: [{ field: 'limit', message: 'too large' }] },
        400,
      ),
    )
    const fault = await faultOf(clientOf(api.url).getJson('/v1/x'))
    expect(fault).toBeInstanceOf(RefusedRequest)
    expect(fault).toMatchObject({ status: 400 })
    expect(fault.message).toMatch(/was refused: HTTP 400: “limit: too large”$/)
    expect(api.seen).toHaveLength(1)
  })

  test('an answer without end is cut off', async () => {
    const api = await server((response) => {
      response.writeHead(200)
      const chunk = Buffer.alloc(1024 * 1024, ' ')
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    })
    const client = createProviderClient({
      apiUrl: api.url,
      apiKey: KEY,
      apiKeySetting: 'ALMA_API_KEY',
      retryLimit: 0,
    })
    const fault = await faultOf(client.getJson('/v1/x'))
    expect(fault.message).toContain('more than 33554432 bytes')
  })

  test('a redirect within the API is followed, one to another host is not', async () => {
    const elsewhere = await server(json({ stolen: true }))
    const api = await server(
      text(307, '', { location: '/v1/y' }),
      json({ moved: true }),
      text(302, '', { location: `${elsewhere.url}/v1/x` }),
    )
    const client = clientOf(api.url)
    expect(await client.getJson('/v1/x')).toEqual({ moved: true })
    const fault = await faultOf(client.getJson('/v1/x'))
    expect(fault.message).toContain(`redirect (HTTP 302) to ${new URL(elsewhere.url).host}`)
    expect(elsewhere.seen).toEqual([])
  })
})

describe('telling the provider to do something', () => {
  test.each([429, 503])('HTTP %i: it was not done, so it is asked again', async (status) => {
    const api = await server(text(status, ''), json({ id: 'export_1' }))
    expect(await clientOf(api.url).postJson('/v1/x', { a: 1 })).toEqual({ id: 'export_1' })
    expect(api.seen.map(({ method }) => method)).toEqual(['POST', 'POST'])
  })

  test.each<[string, Reply]>([
    ['HTTP 500', text(500, '')],
    ['HTTP 502', text(502, '')],
    ['a reset', reset],
    ['a broken body', brokenOff],
    ['HTML with 200', text(200, '<html></html>')],
    ['silence', () => undefined],
  ])('%s: it may have been done, so it is not asked twice', async (_, fault) => {
    const api = await server(fault)
    const thrown = await faultOf(clientOf(api.url).postJson('/v1/x', {}))
    expect(thrown).toBeInstanceOf(UnavailableFault)
    expect(thrown.message).toContain('may have acted on it')
    expect(api.seen).toHaveLength(1)
  })

  test('nobody listening: it was surely not done', async () => {
    const api = await server(json([]))
    await api.close()
    const waits: number[] = []
    await faultOf(clientOf(api.url, waits).postJson('/v1/x', {}))
    expect(waits).toHaveLength(5)
  })
})

describe('settings that cannot be right', () => {
  test('plain http to a host other than this machine', () => {
    expect(() => clientOf('http://api.example.com')).toThrow(ConfigurationFault)
  })
  test('a key with a line break is named by its setting, not shown', () => {
    const make = () =>
      createProviderClient({
        apiUrl: 'https://api.example.com',
        apiKey: 'sk_test_x\n',
        apiKeySetting: 'SHOP_KEY',
      })
    expect(make).toThrow(/^SHOP_KEY holds blanks/)
  })
})

describe('a file of the API', () => {
  test('comes onto the disk whole, or another host is named and the key stays', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'download-'))
    opened.push({ close: () => rm(folder, { recursive: true }) })
    const path = join(folder, 'file.csv')
    const api = await server(
      brokenOff,
      text(200, 'a,b\n1,2\n'),
      text(302, '', { location: 'https://store.example/f' }),
    )
    const client = clientOf(api.url)
    const target = { path, bytesMax: 100 }
    expect(await client.download('/v1/f', { format: 'csv' }, target)).toEqual({
      bytes: 8,
      sha256: '492d5ea496056f1a6a6592241032fab764c321596317930b4fa0e1e8bc3b7470',
    })
    expect(await readFile(path, 'utf8')).toBe('a,b\n1,2\n')
    expect(await client.download('/v1/f', {}, target)).toEqual({
      elsewhere: new URL('https://store.example/f'),
    })
  })

  test('that is too large is refused', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'download-'))
    opened.push({ close: () => rm(folder, { recursive: true }) })
    const api = await server(text(200, 'x'.repeat(101)))
    const target = { path: join(folder, 'file.csv'), bytesMax: 100 }
    const fault = await faultOf(clientOf(api.url).download('/v1/f', {}, target))
    expect(fault.message).toContain('larger than the 100 bytes')
  })
})
