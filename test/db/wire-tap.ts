/** Listens to what our processes say to Postgres: a proxy that keeps every statement with its values. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { DatabaseAddress } from '../../db/client.ts'

export interface HeardStatement {
  readonly text: string
  /** Of the first time that it was heard, as text; null for NULL. */
  readonly values: readonly (string | null)[]
}

export interface WireTap {
  /** The same database by way of the tap. */
  readonly url: string
  /** Each text once. */
  heard(): HeardStatement[]
  close(): Promise<void>
}

export async function tapInto(address: DatabaseAddress): Promise<WireTap> {
  const heard = new Map<string, HeardStatement>()
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(targetOf(address))
    const listener = listenTo((statement) => {
      if (!heard.has(statement.text)) heard.set(statement.text, statement)
    })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    client.on('data', listener)
    client.pipe(upstream)
    upstream.pipe(client)
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('the tap has no port')
  return {
    url: urlBy(address, bound.port),
    heard: () => [...heard.values()],
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function targetOf(address: DatabaseAddress): { path: string } | { host: string; port: number } {
  if (!('url' in address)) return { path: `${address.socketDir}/.s.PGSQL.${address.port}` }
  const { hostname, port } = new URL(address.url)
  return { host: hostname, port: Number(port || '5432') }
}

function urlBy(address: DatabaseAddress, port: number): string {
  const url = new URL(
    'url' in address ? address.url : `postgres://${address.user}@localhost/${address.database}`,
  )
  url.host = `127.0.0.1:${port}`
  return url.href
}

const STARTUP = 0
const INT32_BYTES = 4

/** Reads the messages of one connection's client, whatever pieces they arrive in. */
function listenTo(hear: (statement: HeardStatement) => void): (chunk: Buffer) => void {
  const texts = new Map<string, string>()
  let buffer = Buffer.alloc(0)
  let started = false
  const read = (type: number, body: Buffer): void => {
    if (type === 'Q'.charCodeAt(0)) hear({ text: stringAt(body, 0).text, values: [] })
    if (type === 'P'.charCodeAt(0)) {
      const name = stringAt(body, 0)
      texts.set(name.text, stringAt(body, name.end).text)
    }
    if (type === 'B'.charCodeAt(0)) {
      const portal = stringAt(body, 0)
      const name = stringAt(body, portal.end)
      const text = texts.get(name.text)
      if (text !== undefined) hear({ text, values: valuesAt(body, name.end) })
    }
  }
  return (chunk) => {
    buffer = Buffer.concat([buffer, chunk])
    for (;;) {
      const typeBytes = started ? 1 : 0
      if (buffer.length < typeBytes + INT32_BYTES) return
      const end = typeBytes + buffer.readInt32BE(typeBytes)
      if (buffer.length < end) return
      const type = started ? (buffer[0] ?? STARTUP) : STARTUP
      if (started) read(type, buffer.subarray(typeBytes + INT32_BYTES, end))
      started = true
      buffer = buffer.subarray(end)
    }
  }
}

function stringAt(body: Buffer, start: number): { text: string; end: number } {
  const zero = body.indexOf(0, start)
  return { text: body.toString('utf8', start, zero), end: zero + 1 }
}

function valuesAt(body: Buffer, start: number): (string | null)[] {
  let at = start + 2 + 2 * body.readInt16BE(start)
  const values: (string | null)[] = []
  const count = body.readInt16BE(at)
  at += 2
  for (let read = 0; read < count; read += 1) {
    const bytes = body.readInt32BE(at)
    at += INT32_BYTES
    values.push(bytes < 0 ? null : body.toString('utf8', at, at + bytes))
    at += Math.max(bytes, 0)
  }
  return values
}
