/** An export's download address as a way into the network of whoever runs the job. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { UnavailableFault } from '../../src/errors.ts'
import { createDownloader } from '../../src/provider/exports.ts'
import { send } from '../../src/provider/http.ts'
import { isPublicAddress, mayBePublic } from '../../src/provider/public-host.ts'

const LIVE_API = 'https://api.getalma.eu'
const downloader = createDownloader({ silenceMs: 500, sleep: async () => undefined })
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'export-address-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A service of this machine that counts who comes. */
async function innerService(): Promise<{ port: number; visits: () => number }> {
  let visits = 0
  const server = createServer((socket) => {
    visits += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    visits: () => visits,
  }
}

const attack = (address: string): Promise<unknown> =>
  downloader
    .download(address, { path: join(folder, 'export.csv'), bytesMax: 1000 }, LIVE_API)
    .catch((error: unknown) => error)

describe('with the live API, no address of this machine or network is reached', () => {
  test.each([
    'http://127.0.0.1:PORT/',
    'http://localhost:PORT/',
    'https://127.0.0.1:PORT/',
    'https://localhost:PORT/',
    'https://2130706433:PORT/',
    'https://0x7f.1:PORT/',
    'https://[::1]:PORT/',
    'https://[::ffff:127.0.0.1]:PORT/',
    'https://0.0.0.0:PORT/',
    'https://169.254.169.254/latest/meta-data/iam/',
    'https://[fd00:ec2::254]/latest/meta-data/',
    'https://10.0.0.1/',
    'https://192.168.1.1/',
    'https://172.16.0.1/',
    'https://100.100.100.200/',
    'https://[fe80::1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://user:secret@127.0.0.1:PORT/',
    'file:///etc/passwd',
    'ftp://127.0.0.1/',
    'gopher://127.0.0.1/',
  ])('%s', async (address) => {
    const service = await innerService()
    const fault = await attack(address.replace('PORT', String(service.port)))
    expect(fault).toBeInstanceOf(UnavailableFault)
    expect(fault).toHaveProperty(
      'message',
      expect.stringMatching(/not a public|leads to|https was/),
    )
    expect(fault).toHaveProperty('message', expect.not.stringContaining('secret'))
    expect(service.visits()).toBe(0)
    expect(await readdir(folder)).toEqual([])
  })

  test('a name that leads there is not connected to either', async () => {
    const service = await innerService()
    expect(await attack(`https://${hostname()}:${service.port}/`)).toBeInstanceOf(UnavailableFault)
    // A name that the check of addresses knows nothing of, as an attacker's own would be.
    await expect(
      send({
        method: 'GET',
        url: new URL(`http://localhost:${service.port}/`),
        headers: {},
        totalMs: 1000,
        silenceMs: 1000,
        publicOnly: true,
      }),
    ).rejects.toMatchObject({ code: 'ERR_NOT_PUBLIC' })
    expect(service.visits()).toBe(0)
  })
})

test('a provider on this machine may point to this machine, but its redirects leave https or loopback for nothing', async () => {
  const service = await innerService()
  const server = createHttpServer((request, response) => {
    if (request.url === '/file') response.end('a;b\n')
    else response.writeHead(302, { location: `ftp://127.0.0.1:${service.port}/` }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  const url = `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`
  const target = { path: join(folder, 'export.csv'), bytesMax: 1000 }
  expect(await downloader.download(`${url}/file`, target, url)).toMatchObject({ bytes: 4 })
  await rm(target.path)
  await expect(downloader.download(`${url}/elsewhere`, target, url)).rejects.toThrow('https was')
  expect(service.visits()).toBe(0)
})

test('public addresses are public', () => {
  for (const address of [
    '8.8.8.8',
    '52.95.154.1',
    '2600:1f18::1',
    '64:ff9b::808:808',
    '::ffff:8.8.8.8',
  ]) {
    expect({ address, isPublic: isPublicAddress(address) }).toEqual({ address, isPublic: true })
  }
  expect(isPublicAddress('no address')).toBe(false)
  expect(mayBePublic('bucket.s3.eu-west-3.amazonaws.com')).toBe(true)
})
