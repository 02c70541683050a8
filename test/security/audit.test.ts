/** The audit of packages, against a registry of our own over HTTP. */
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

let answer = { status: 200, body: '{}' }
let asked = ''
const registry = createServer((request, response) => {
  const { status, body } =
    request.method === 'POST' ? answer : { status: 200, body: versionsOfGot() }
  if (request.method === 'POST') asked = request.url ?? ''
  request.resume().on('end', () => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
})
let address = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`
})
afterAll(() => {
  registry.closeAllConnections()
  registry.close()
})
beforeEach(() => {
  asked = ''
})

function audit(...flags: string[]): Promise<{ exitCode: number; out: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', 'test/support/audit.ts', ...flags],
      {
        cwd: ROOT,
        env: { ...process.env, npm_config_registry: address, npm_config_fetch_retries: '0' },
      },
      (error, stdout) => {
        resolve({ exitCode: error === null ? 0 : Number(error.code), out: stdout })
      },
    )
  })
}

/** npm looks which versions of a package an advisory is about. */
function versionsOfGot(): string {
  const version = '14.6.6'
  const versions = { [version]: { name: 'got', version } }
  return JSON.stringify({ name: 'got', 'dist-tags': { latest: version }, versions })
}

function advisory(severity: string): string {
  return JSON.stringify({
    got: [
      {
        // npm keeps what it has worked out of an advisory, by this.
        id: 900_000 + ['low', 'high', 'critical'].indexOf(severity),
        url: 'https://example.com/advisory',
        title: 'Reads what it should not',
        severity,
        vulnerable_versions: '<999.0.0',
        cwe: [],
        cvss: { score: 0, vectorString: null },
      },
    ],
  })
}

test('nothing known: passes', async () => {
  answer = { status: 200, body: '{}' }
  expect(await audit()).toEqual({
    exitCode: 0,
    out: 'dependency audit: 0 severe vulnerabilities\n',
  })
  expect(asked).toMatch(/advisories/)
})

test.each(['high', 'critical'])(
  'a %s one: fails, and names package and advisory',
  async (severity) => {
    answer = { status: 200, body: advisory(severity) }
    const { exitCode, out } = await audit()
    expect(exitCode).toBe(1)
    expect(out).toMatch(
      new RegExp(
        `got \\* \\(${severity}\\): Reads what it should not https://example.com/advisory`,
      ),
    )
  },
)

test('a low one: passes', async () => {
  answer = { status: 200, body: advisory('low') }
  expect(await audit()).toEqual({
    exitCode: 0,
    out: 'dependency audit: 0 severe vulnerabilities\n',
  })
})

test('a registry that cannot be asked: says that it was not done, and fails where it must be', async () => {
  answer = { status: 405, body: '' }
  const words = 'dependency audit: NOT DONE, the registry could not be asked\n'
  expect(await audit()).toEqual({ exitCode: 0, out: words })
  expect(await audit('--strict')).toEqual({ exitCode: 1, out: words })
})
