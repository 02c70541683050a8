/** A real HTTP server that answers each request with the next reply of a script. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

export type Reply = (response: ServerResponse, request: IncomingMessage) => void

interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly authorization: string | undefined
}

export interface ScriptedServer {
  readonly url: string
  readonly seen: SeenRequest[]
  close(): Promise<void>
}

/** After the script's end its last reply is given again and again. */
export async function startScriptedServer(script: readonly Reply[]): Promise<ScriptedServer> {
  const seen: SeenRequest[] = []
  const server = createServer((request, response) => {
    const reply = script[Math.min(seen.length, script.length - 1)]
    seen.push({
      method: request.method ?? '',
      url: request.url ?? '',
      authorization: request.headers.authorization,
    })
    request.resume()
    request.on('end', () => reply?.(response, request))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    seen,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const json =
  (body: unknown, status = 200): Reply =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

export const text =
  (status: number, body: string, headers: Record<string, string> = {}): Reply =>
  (response) =>
    response.writeHead(status, headers).end(body)

/** Headers and half of a body, then the connection breaks. */
export const brokenOff: Reply = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  response.write('{"data":[', () => response.socket?.destroy())
}

export const reset: Reply = (response) => response.socket?.resetAndDestroy()
