/** Servers that do what the sandbox cannot: other hosts, other certificates, answers byte by byte. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { OwnCertificate } from './provider-faults-certificate.ts'

interface Visit {
  readonly method: string
  readonly path: string
  readonly authorization: string | undefined
}

export interface Stranger {
  /** Without a trailing slash. */
  readonly url: string
  /** True for one between the job and the provider, which is shown the key as the provider is. */
  isBetween: boolean
  /** Who came, in the order of arrival. */
  readonly visits: Visit[]
  close(): Promise<void>
}

type Answering = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

/** A host on this machine that is not the provider's. */
export async function startStranger(
  answer: Answering,
  certificate?: OwnCertificate,
): Promise<Stranger> {
  const visits: Visit[] = []
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    const { method = '', url = '', headers } = request
    visits.push({ method, path: url, authorization: headers.authorization })
    Promise.resolve(answer(request, response)).catch(() => response.destroy())
  }
  const server: Server =
    certificate === undefined ? createServer(take) : createSecureServer({ ...certificate }, take)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`,
    isBetween: false,
    visits,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Hands a request on to the provider at `url`, and its answer back. */
export async function handOn(
  url: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const pieces: Uint8Array[] = []
  for await (const piece of request) pieces.push(piece)
  const { authorization, accept } = request.headers
  const answer = await fetch(url + (request.url ?? ''), {
    method: request.method ?? 'GET',
    redirect: 'manual',
    headers: {
      'content-type': 'application/json',
      ...(authorization === undefined ? {} : { authorization }),
      ...(accept === undefined ? {} : { accept }),
    },
    ...(request.method === 'POST' ? { body: Buffer.concat(pieces) } : {}),
  })
  const body = Buffer.from(await answer.arrayBuffer())
  response.writeHead(answer.status, {
    'content-type': answer.headers.get('content-type') ?? 'application/json',
    'content-length': String(body.length),
  })
  response.end(body)
}
