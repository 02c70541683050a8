/** Stands between the job and a server: carries, holds everything back, or cuts. */
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from 'node:net'

export interface TcpProxy {
  /** On 127.0.0.1. */
  readonly port: number
  /** Connections that were accepted so far. */
  readonly accepted: number
  /** Bytes that clients sent so far. */
  readonly sentBytes: number
  /**
   * From now on not a byte goes through, and no connection ends: as behind a cable that was pulled, or
   * a firewall that forgot. New connections are accepted and not answered.
   */
  hold(): void
  /** What was held back arrives. */
  letGo(): void
  /** Both ends of every connection get a reset. */
  resetAll(): void
  /** Resets all and stops. */
  close(): Promise<void>
}

/** @param target asked anew for each connection, because a server that restarts may have moved. */
export async function startTcpProxy(target: () => NetConnectOpts): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let isHeld = false
  let accepted = 0
  let sentBytes = 0
  const carry = (client: Socket): void => {
    const server = connect(target())
    const pair = [client, server] as const
    pairs.add(pair)
    for (const [one, other] of [pair, [server, client]] as const) {
      one.on('data', (chunk: Buffer) => {
        if (one === client) sentBytes += chunk.length
        if (!other.destroyed) other.write(chunk)
      })
      // Which end breaks first does not matter: the other one has to notice.
      one.on('error', () => undefined)
      one.on('end', () => {
        if (!isHeld) other.end()
      })
      one.on('close', () => {
        pairs.delete(pair)
        if (!isHeld) other.destroy()
      })
    }
    if (isHeld) for (const end of pair) end.pause()
  }
  const proxy = createServer((client) => {
    accepted += 1
    carry(client)
  })
  await new Promise<void>((resolve) => {
    proxy.listen(0, '127.0.0.1', resolve)
  })
  const eachEnd = (work: (end: Socket) => void): void => {
    for (const pair of pairs) for (const end of pair) work(end)
  }
  const resetAll = (): void => {
    for (const [client, server] of pairs) {
      client.resetAndDestroy()
      // A Unix socket knows no reset.
      server.destroy()
    }
  }
  return {
    port: (proxy.address() as AddressInfo).port,
    get accepted() {
      return accepted
    },
    get sentBytes() {
      return sentBytes
    },
    hold: () => {
      isHeld = true
      eachEnd((end) => end.pause())
    },
    letGo: () => {
      isHeld = false
      eachEnd((end) => end.resume())
    },
    resetAll,
    close: async () => {
      const closed = new Promise((resolve) => proxy.close(resolve))
      resetAll()
      await closed
    },
  }
}
