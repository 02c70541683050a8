import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { UnavailableFault } from '../../src/errors.ts'
import { createProviderClient } from '../../src/provider/client.ts'
import {
  createDownloader,
  downloadExportCsv,
  fetchDataExport,
  requestAccountingExport,
} from '../../src/provider/exports.ts'
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
const opened: ScriptedServer[] = []
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'exports-'))
})
afterAll(() => rm(folder, { recursive: true }))
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()))
})

async function server(...script: Reply[]): Promise<ScriptedServer> {
  const started = await startScriptedServer(script)
  opened.push(started)
  return started
}

const sleep = async (): Promise<void> => undefined
const downloader = createDownloader({ silenceMs: 400, sleep })
const clientOf = (apiUrl: string) =>
  createProviderClient({ apiUrl, apiKey: KEY, apiKeySetting: 'ALMA_API_KEY', sleep })
const target = () => ({ path: join(folder, 'file.csv'), bytesMax: 1000 })
const csv = text(200, 'a;b\n')
const complete = (csvUrl: string | null) => ({ id: 'export_1', complete: true, csvUrl })
const answerOf = (csvUrl: string | null): Reply =>
  json({ id: 'export_1', complete: true, url_csv: csvUrl, merchant: 4 })

describe('asking for an export', () => {
  test('names type and bounds', async () => {
    let sent = ''
    const api = await server(json({ id: 'export_1', complete: false, url_csv: null }))
    opened.push(api)
    const client = clientOf(api.url)
    const recording = {
      ...client,
      postJson: (path: string, body: object) => {
        sent = JSON.stringify([path, body])
        return client.postJson(path, body)
      },
    }
    expect(await requestAccountingExport(recording, { startS: 1, endS: 2 })).toEqual({
      id: 'export_1',
      complete: false,
      csvUrl: null,
    })
    expect(JSON.parse(sent)).toEqual([
      '/v1/data-exports',
      { type: 'accounting', start: 1, end: 2, include_child_accounts: false },
    ])
  })

  test('an answer that could lead out of the archive is refused', async () => {
    const api = await server(json({ id: '../../etc/passwd', complete: false }))
    await expect(
      requestAccountingExport(clientOf(api.url), { startS: 1, endS: 2 }),
    ).rejects.toThrow('id is "../../etc/passwd", an export id was expected')
  })

  test('one that the provider does not know is null, not a fault', async () => {
    const api = await server(text(404, 'not found'))
    expect(await fetchDataExport(clientOf(api.url), 'export_1')).toBeNull()
  })
})

describe('fetching the file', () => {
  test('from another host: the key stays at home', async () => {
    const store = await server(text(302, '', { location: '/signed?token=1' }), csv)
    const api = await server(json({}))
    const file = await downloadExportCsv(
      clientOf(api.url),
      downloader,
      complete(`${store.url}/f`),
      target(),
    )
    expect(file.bytes).toBe(4)
    expect(await readFile(target().path, 'utf8')).toBe('a;b\n')
    expect(store.seen.map(({ url, authorization }) => [url, authorization])).toEqual([
      ['/f', undefined],
      ['/signed?token=1', undefined],
    ])
    expect(api.seen).toEqual([])
  })

  test.each<[string, Reply]>([
    ['429', text(429, '', { 'retry-after': '1' })],
    ['503', text(503, '')],
    ['a broken body', brokenOff],
    ['a reset', reset],
    ['silence', () => undefined],
  ])('after %s it begins again', async (_, fault) => {
    const store = await server(fault, fault, csv)
    const api = await server(json({}))
    await downloadExportCsv(clientOf(api.url), downloader, complete(`${store.url}/f`), target())
    expect(await readFile(target().path, 'utf8')).toBe('a;b\n')
    expect(store.seen).toHaveLength(3)
  })

  test.each([401, 403, 404, 410])(
    'an address that is no good any more (%i) is asked for afresh',
    async (status) => {
      const store = await server(text(status, '<Error/>'), csv)
      const api = await server(answerOf(`${store.url}/fresh`))
      await downloadExportCsv(clientOf(api.url), downloader, complete(`${store.url}/old`), target())
      expect(store.seen.map(({ url }) => url)).toEqual(['/old', '/fresh'])
      expect(api.seen.map(({ url }) => url)).toEqual(['/v1/data-exports/export_1'])
    },
  )

  test('without any address that works, the API itself is asked, with the key', async () => {
    const store = await server(text(403, ''))
    const api = await server(answerOf(`${store.url}/fresh`), csv)
    await downloadExportCsv(clientOf(api.url), downloader, complete(null), target())
    expect(await readFile(target().path, 'utf8')).toBe('a;b\n')
    expect(api.seen.map(({ url, authorization }) => [url, authorization])).toEqual([
      ['/v1/data-exports/export_1', `Alma-Auth ${KEY}`],
      ['/v1/data-exports/export_1?format=csv', `Alma-Auth ${KEY}`],
    ])
    expect(store.seen.every(({ authorization }) => authorization === undefined)).toBe(true)
  })

  test('where the API sends on to another host, that is asked without the key', async () => {
    const store = await server(csv)
    const api = await server(answerOf(null), text(302, '', { location: `${store.url}/f` }))
    await downloadExportCsv(clientOf(api.url), downloader, complete(null), target())
    expect(await readFile(target().path, 'utf8')).toBe('a;b\n')
    expect(store.seen.map(({ authorization }) => authorization)).toEqual([undefined])
  })

  test.each([
    ['plain http to another host', 'http://store.example/f?token=secret'],
    ['a file of this machine', 'file:///etc/passwd'],
    ['no address at all', 'soon'],
  ])('%s is refused, the address not quoted in full', async (_, address) => {
    const fault: unknown = await downloader
      .download(address, target(), 'http://127.0.0.1')
      .catch((error: unknown) => error)
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(String(fault)).not.toContain('secret')
  })

  test('a redirect to plain http is refused as well', async () => {
    const store = await server(text(302, '', { location: 'http://store.example/f' }))
    await expect(downloader.download(`${store.url}/f`, target(), store.url)).rejects.toThrow(
      'https was expected',
    )
  })

  test('redirects without end are given up', async () => {
    const store = await server(text(302, '', { location: '/f' }))
    await expect(downloader.download(`${store.url}/f`, target(), store.url)).rejects.toThrow(
      'more than 5 times',
    )
  })
})
