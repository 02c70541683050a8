/**
 * The database server away, cut off or restarted in the middle of a night, through a proxy: the run
 * ends by itself with exit 4, or goes on, within a bounded time, and the next one has the right result.
 */
import type { NetConnectOpts } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { connect, type DatabaseAddress, type Db } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { migrate } from '../../db/migrate.ts'
import type { Chance } from '../../src/sandbox/chance.ts'
import type { Outcome as Ended, Running } from '../e2e/job.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { postmasterPid, waitUntilGone } from '../support/embedded.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import type { Blow, Outcome } from './blow.ts'
import { afterTheBlow, EARLIER_NIGHT, LATENCY_MS, nightly, sceneOf } from './crashes.ts'
import {
  differences,
  isGoing,
  leaksInDatabase,
  type Merchant,
  openMerchant,
  resultOf,
  saidBy,
} from './merchant.ts'

const POLL_MS = 5
/** After the blow a run has to be over by then, whatever it was doing. */
const OVER_WITHIN_S = 90
/** Shorter than anything that the job counts as lost. */
const HICCUP_MS = 5_000

/** A night whose way to the database leads over a proxy. */
interface Line {
  readonly merchant: Merchant
  readonly proxy: TcpProxy
  readonly db: Db
  readonly chance: Chance
}

/** Where a server of Postgres listens. */
export function targetOf(address: DatabaseAddress): NetConnectOpts {
  if (!('url' in address)) return { path: join(address.socketDir, `.s.PGSQL.${address.port}`) }
  const { hostname, port } = new URL(address.url)
  return { host: hostname, port: Number(port || 5432) }
}

/** The same database by way of the proxy. */
export function urlThrough({ port }: TcpProxy, { url }: Pick<TestDatabase, 'url'>): string {
  const [, user = 'postgres', name = ''] = /^\w+:\/\/([^@]+)@[^/]+\/(.+)$/.exec(url) ?? []
  return `postgres://${user}@127.0.0.1:${port}/${name}`
}

/** Waits until a random point of the run. */
async function untilSomewhere(running: Running, { merchant, chance }: Line): Promise<void> {
  const { requests } = await sceneOf('first night')
  const wanted = chance.whole(1, Math.floor(requests * 0.95))
  while (isGoing(running) && merchant.sandbox.requests.length < wanted) await sleep(POLL_MS)
  await sleep(chance.whole(0, 20))
}

/**
 * What is done to the line while the run is under way; `hit` is to be called when it is done. Returns
 * how it is set right again, where it has to be.
 */
type Deed = (running: Running, line: Line, hit: () => void) => Promise<(() => void) | void>

function blow(what: string, deed: Deed, isGoingOn = false): Blow {
  return {
    group: 'database',
    what,
    strike: async ({ chance, folder }) => {
      const database = await createTestDatabase()
      const proxy = await startTcpProxy(() => targetOf(database.address))
      const merchant = await openMerchant({
        folder,
        databaseUrl: urlThrough(proxy, database),
        switches: { latencyMs: LATENCY_MS },
      })
      const line: Line = { merchant, proxy, db: database.db, chance }
      try {
        return await struck(line, deed, isGoingOn)
      } finally {
        await merchant.close()
        await proxy.close()
        await database.drop()
      }
    },
  }
}

async function struck(line: Line, deed: Deed, isGoingOn: boolean): Promise<Outcome> {
  const { merchant, db } = line
  const { expected, night } = await sceneOf('first night')
  await merchant.wakeOn(night)
  const running = merchant.start(...nightly(night))
  let [hitMs, overMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const over = running.outcome.then((ended) => {
    overMs = performance.now()
    return ended
  })
  const setRight = await deed(running, line, () => {
    if (isGoing(running)) hitMs = performance.now()
  })
  const first = await over
  const tookS = (overMs - hitMs) / 1000
  const isInTime = tookS >= 0
  setRight?.()
  const lost = isInTime ? wrongEnd(first, tookS, isGoingOn) : []
  const next = await afterTheBlow(merchant, { night })
  lost.push(...next.lost)
  if (lost.length === 0) lost.push(...differences(expected, await resultOf(merchant, db)))
  return {
    ended: `${isInTime ? endOf(first, tookS) : 'over before the blow'}, then ${next.ended}`,
    lost,
    leaked: [...(await merchant.leaks()), ...(await leaksInDatabase(db, merchant.world))],
  }
}

function endOf({ exitCode }: Ended, tookS: number): string {
  if (exitCode === 0) return 'goes on'
  const within = [5, 15, 30, 45, 60, OVER_WITHIN_S].find((seconds) => tookS <= seconds)
  return `exit ${exitCode ?? 'never'} ${within === undefined ? 'too late' : `within ${within} s`}`
}

function wrongEnd(ended: Ended, tookS: number, isGoingOn: boolean): string[] {
  const { exitCode } = ended
  if (tookS > OVER_WITHIN_S) return [`it took ${Math.round(tookS)} s to end; ${saidBy(ended)}`]
  if (isGoingOn && exitCode !== 0) return [`it should have gone on: ${saidBy(ended)}`]
  if (exitCode !== 0 && exitCode !== 4) return [`not the exit code of a database: ${saidBy(ended)}`]
  return []
}

const resetSomewhere: Deed = async (running, line, hit) => {
  await untilSomewhere(running, line)
  hit()
  line.proxy.resetAll()
}

const resetAfterBytes: Deed = async (running, { proxy, chance }, hit) => {
  const wanted = chance.whole(200, 600_000)
  while (isGoing(running) && proxy.sentBytes < wanted) await sleep(1)
  hit()
  proxy.resetAll()
}

const holdSomewhere: Deed = async (running, line, hit) => {
  await untilSomewhere(running, line)
  hit()
  line.proxy.hold()
  return () => {
    line.proxy.resetAll()
    line.proxy.letGo()
  }
}

const holdFromTheStart: Deed = async (_running, { proxy }, hit) => {
  hit()
  proxy.hold()
  return () => {
    proxy.resetAll()
    proxy.letGo()
  }
}

/** When the first connection stands: before the locks are there, and with them whoever watches them. */
const holdAtOnce: Deed = async (running, { proxy, chance }, hit) => {
  const wanted = chance.whole(100, 1_500)
  while (isGoing(running) && proxy.sentBytes < wanted) await sleep(1)
  hit()
  proxy.hold()
  return () => {
    proxy.resetAll()
    proxy.letGo()
  }
}

const hiccup: Deed = async (running, line, hit) => {
  await untilSomewhere(running, line)
  hit()
  line.proxy.hold()
  await sleep(HICCUP_MS)
  line.proxy.letGo()
}

const terminated: Deed = async (running, line, hit) => {
  await untilSomewhere(running, line)
  hit()
  await line.db.execute(
    sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`,
  )
}

/** On a server of its own, since everybody on it is thrown out. */
const restarted: Blow = {
  group: 'database',
  what: 'the server is restarted in the middle',
  strike: async ({ chance, folder }) => {
    const settings = { fsync: 'off' }
    const dataDir = join(folder, 'server')
    let server = await startEmbedded({ dataDir, settings })
    const first = connect(server.address)
    await migrate(first.db, first.where)
    await first.close()
    const proxy = await startTcpProxy(() => targetOf(server.address))
    const url = 'postgres://postgres@server/postgres'
    const merchant = await openMerchant({
      folder: join(folder, 'merchant'),
      databaseUrl: urlThrough(proxy, { url }),
      switches: { latencyMs: LATENCY_MS },
    })
    const restart: Deed = async (running, line, hit) => {
      await untilSomewhere(running, line)
      hit()
      const pid = await postmasterPid(dataDir)
      process.kill(pid, 'SIGINT')
      await waitUntilGone(pid)
      await server.release()
      server = await startEmbedded({ dataDir, settings })
    }
    // The driver connects anew where a connection was lost.
    const looking = connect(urlAddress(urlThrough(proxy, { url })))
    try {
      return await struck({ merchant, proxy, db: looking.db, chance }, restart, false)
    } finally {
      await looking.close()
      await merchant.close()
      await proxy.close()
      await server.release()
    }
  },
}

function urlAddress(url: string): DatabaseAddress {
  return { url }
}

/** Nobody listens where DATABASE_URL points. */
const refused: Blow = {
  group: 'database',
  what: 'the server refuses connections',
  strike: async ({ folder }) => {
    const proxy = await startTcpProxy(() => ({ port: 1 }))
    const { port } = proxy
    await proxy.close()
    const merchant = await openMerchant({
      folder,
      databaseUrl: `postgres://postgres@127.0.0.1:${port}/alma`,
    })
    try {
      await merchant.wakeOn(EARLIER_NIGHT)
      const startedMs = performance.now()
      const ended = await merchant.run(...nightly(EARLIER_NIGHT))
      const tookS = (performance.now() - startedMs) / 1000
      const lost = ended.exitCode === 4 ? wrongEnd(ended, tookS, false) : [saidBy(ended)]
      if (merchant.sandbox.requests.length > 0) lost.push('it asked the provider all the same')
      return { ended: endOf(ended, tookS), lost, leaked: await merchant.leaks() }
    } finally {
      await merchant.close()
    }
  },
}

export const databaseFaults: readonly Blow[] = [
  blow('every connection is reset at a random point', resetSomewhere),
  blow('every connection is reset while something is sent', resetAfterBytes),
  blow('every connection is ended by an administrator', terminated),
  blow('nothing goes through any more, from a random point', holdSomewhere),
  blow('nothing goes through any more, from the first bytes', holdAtOnce),
  blow('connections are accepted and never answered', holdFromTheStart),
  blow(`nothing goes through for ${HICCUP_MS / 1000} s`, hiccup, true),
  restarted,
  refused,
]
