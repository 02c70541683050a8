/**
 * What a provider may do to the job while it reads: each fault once, over the whole job. Outcome must
 * be the right result, or a clear exit code with everything so far kept, and then the right result
 * once the provider is itself again; never a wrong report.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Chance } from '../../src/sandbox/chance.ts'
import type { Answer, FaultRule, LoggedRequest } from '../../src/sandbox/faults.ts'
import type { Fault as Scripted, SandboxSwitches } from '../../src/sandbox/server.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import type { Blow, Outcome } from './blow.ts'
import {
  csvsOf,
  demoWorld,
  differingFiles,
  type Ended,
  type Files,
  openWorkplace,
  RECONCILE,
  rowCounts,
  undisturbed,
  undisturbedDemo,
  WEEK,
  type Workplace,
} from './in-process.ts'
import { certificateFor } from './provider-faults-certificate.ts'
import { handOn, startStranger, type Stranger } from './provider-faults-server.ts'

/** The provider while it misbehaves, and a note of which requests it did that to. */
interface Trouble {
  readonly place: Workplace
  readonly chance: Chance
  /** Scripts a fault of which the request's sender is to notice a failure. */
  fail(rule: FaultRule): void
  /** Scripts anything else. */
  bend(rule: FaultRule): void
  /** Remembers how to put right what is not scripted, for when the disturbed run is over. */
  later(undo: () => void): void
  /** A server that is closed in the end. */
  stranger(...given: Parameters<typeof startStranger>): Promise<Stranger>
}

interface ProviderFault {
  readonly what: string
  readonly world?: () => SandboxWorld
  readonly switches?: Partial<SandboxSwitches>
  readonly env?: Readonly<Record<string, string>>
  /** The command; that of the demo's week unless said. */
  readonly argv?: readonly string[]
  readonly befall: (trouble: Trouble) => void | Promise<void>
  /** How the disturbed run may end; 0 alone means: with the right bytes. */
  readonly exits: readonly number[]
  /** What the disturbed run must say where it fails. */
  readonly says?: RegExp
  readonly inOwnProcess?: true
  /** Undoes what is not scripted, before the undisturbed run. */
  readonly relent?: (place: Workplace) => void
  /** What is wrong with what the disturbed run asked of the provider, each as a sentence. */
  readonly asked?: (requests: readonly LoggedRequest[]) => readonly string[]
  /** True where the fault itself makes facts, so that the right bytes follow from the world after it. */
  readonly makesFacts?: true
}

const ROWS = /^\/v1\/balance-transactions$/
const PAYMENTS = /^\/v1\/payments$/
const PAYMENT = /^\/v1\/payments\/./
const EXPORTS = /^\/v1\/data-exports$/
const EXPORT = /^\/v1\/data-exports\/./

/** Attempts after the first one, twice: a page that contradicts the list is asked for once more. */
const ATTEMPTS_MAX = 12
/** Half of the first wait between two attempts, with some slack for a busy machine's clock. */
const PACE_MS = 115
/** A merchant's list has so many pages in the demo's world. */
const PAGES = 7

/** Which page of the ledger is struck, counted from 1: one in the midst of the list. */
const somePage = (chance: Chance): number => chance.whole(2, PAGES - 1)

/** That request and the `times - 1` after it: with one reader these are its repetitions. */
const burst = (from: number, times: number) => ({
  when: (nth: number) => from <= nth && nth < from + times,
})

/** A ledger page that is struck that often in a row. */
function page(chance: Chance, times: number, fault: Scripted): FaultRule {
  return { path: ROWS, ...burst(somePage(chance), times), fault }
}

const gone = (status: number, headers: Record<string, string> = {}): Scripted => ({
  do: 'status',
  status,
  headers,
})

const answering = (answer: (request: LoggedRequest) => Answer | undefined): Scripted => ({
  do: 'answer',
  with: answer,
})

const sent = (body: string, type = 'application/json', status = 200): Answer => ({
  status,
  headers: { 'content-type': type },
  body,
})

const httpDate = (fromNowMs: number): string => new Date(Date.now() + fromNowMs).toUTCString()

/** The clock of provider and bank stands at noon, in the week that is reconciled. */
const NOON = Date.parse('2024-03-21T12:00:00+01:00') / 1000
const THAT_DAY = ['reconcile', '--week', WEEK, '--as-of', '2024-03-21'] as const

function worldAt(nowS: number): SandboxWorld {
  const world = createWorld()
  world.nowS = nowS
  return world
}

/** The end of that day, when the night's run may begin a moment early. */
const MIDNIGHT = NOON + 12 * 3600

/** When the first payout within a day of that noon is made. */
function nextPayoutS({ accounts }: SandboxWorld): number {
  const payout = accounts[0]?.rows.find(
    ({ kind, created }) => kind === 'from_payout' && created > NOON - 86_400,
  )
  if (payout === undefined) throw new Error('the world has no payout on that day')
  return payout.created
}

/** Of a run that must not ask twice for what may have been acted on. */
const postsAtMost =
  (most: number) =>
  (requests: readonly LoggedRequest[]): string[] => {
    const posts = requests.filter(
      ({ method, path }) => method === 'POST' && EXPORTS.test(path),
    ).length
    return posts <= most ? [] : [`an export was asked for ${posts} times, at most ${most} expected`]
  }

const waits =
  (leastMs: number, status = 429) =>
  (requests: readonly LoggedRequest[]): string[] =>
    requests.flatMap((request, at) => {
      if (request.status !== status) return []
      const next = requests.slice(at + 1).find((later) => isSame(later, request))
      const waitedMs = next === undefined ? Number.POSITIVE_INFINITY : next.atMs - request.atMs
      return waitedMs >= leastMs
        ? []
        : [`${request.path} came again after ${waitedMs} ms, at least ${leastMs} ms were asked for`]
    })

const faults: readonly ProviderFault[] = [
  {
    what: 'answer 429 three times, Retry-After in seconds',
    befall: ({ chance, fail }) => fail(page(chance, 3, gone(429, { 'retry-after': '1' }))),
    exits: [0],
    asked: waits(1000),
  },
  {
    what: 'answer 429 twice, Retry-After as a date',
    befall: ({ chance, fail }) =>
      fail({
        path: ROWS,
        ...burst(somePage(chance), 2),
        fault: answering(() => ({
          ...sent('{"message":"slow down"}', 'application/json', 429),
          headers: { 'retry-after': httpDate(2500) },
        })),
      }),
    exits: [0],
    // A date has no fractions of a second.
    asked: waits(1400),
  },
  {
    what: 'answer 429 with a date by a clock that is an hour ahead',
    befall: ({ chance, fail }) =>
      fail({
        path: ROWS,
        ...burst(somePage(chance), 1),
        fault: answering(() => ({
          ...sent('{}', 'application/json', 429),
          headers: { date: httpDate(3_600_000), 'retry-after': httpDate(3_602_500) },
        })),
      }),
    exits: [0],
    asked: waits(1400),
  },
  {
    what: 'answer 429 with a date by a clock that is an hour behind',
    befall: ({ chance, fail }) =>
      fail({
        path: ROWS,
        ...burst(somePage(chance), 1),
        fault: answering(() => ({
          ...sent('{}', 'application/json', 429),
          headers: { date: httpDate(-3_600_000), 'retry-after': httpDate(-3_597_500) },
        })),
      }),
    exits: [0],
    asked: waits(1400),
  },
  {
    what: 'answer 429 and ask to wait for an hour',
    befall: ({ chance, fail }) => fail(page(chance, 1, gone(429, { 'retry-after': '3600' }))),
    exits: [4],
    says: /asked to wait 3600 s/,
  },
  {
    what: 'answer 429 to everything, for good',
    befall: ({ fail }) => fail({ fault: gone(429) }),
    exits: [4],
    says: /HTTP 429/,
  },
  {
    what: 'answer 429 to some of all requests',
    befall: ({ chance, fail }) =>
      fail({ host: 'api', when: () => chance.happens(0.12), fault: gone(429) }),
    exits: [0],
  },
  {
    what: 'answer 429 to the request of an export',
    befall: ({ fail }) =>
      fail({ method: 'POST', path: EXPORTS, times: 1, fault: gone(429, { 'retry-after': '1' }) }),
    exits: [0],
    asked: (requests) => [...waits(1000)(requests), ...postsAtMost(2)(requests)],
  },
  {
    what: 'answer 500, 502, 503 or 504 three times',
    befall: ({ chance, fail }) => fail(page(chance, 3, gone(chance.one([500, 502, 503, 504])))),
    exits: [0],
  },
  {
    what: 'answer 500 to pages of the ledger, for good',
    befall: ({ chance, fail }) => {
      const from = somePage(chance)
      fail({ path: ROWS, when: (nth) => nth >= from, fault: gone(500) })
    },
    exits: [4],
    says: /HTTP 500/,
  },
  {
    what: 'answer 501 once, which no patience cures',
    befall: ({ chance, fail }) => fail(page(chance, 1, gone(501))),
    exits: [4],
    says: /HTTP 501/,
  },
  {
    what: 'answer 503 to payments, for good',
    befall: ({ fail }) => fail({ path: PAYMENT, fault: gone(503) }),
    exits: [4],
    says: /HTTP 503/,
  },
  {
    what: 'answer 500 to the request of an export, which it may have begun',
    befall: ({ fail }) => fail({ method: 'POST', path: EXPORTS, times: 1, fault: gone(500) }),
    exits: [4],
    says: /may have acted on it/,
    asked: postsAtMost(1),
  },
  {
    what: 'refuse the key in the midst of the list',
    befall: ({ chance, fail }) => fail(page(chance, 1, gone(401))),
    exits: [3],
    says: /refused the key in ALMA_API_KEY/,
  },
  ...(['before_handling', 'before_body', 'in_body', 'after_body'] as const).map(
    (at): ProviderFault => ({
      what: `reset the connection ${at.replace('_', ' ')}, twice`,
      befall: ({ chance, fail }) => fail(page(chance, 2, { do: 'reset', at })),
      exits: [0],
    }),
  ),
  {
    what: 'reset connections at all times and places',
    befall: ({ chance, fail }) => {
      for (const at of ['before_handling', 'before_body', 'in_body', 'after_body'] as const) {
        fail({ method: 'GET', when: () => chance.happens(0.04), fault: { do: 'reset', at } })
      }
    },
    exits: [0],
  },
  {
    what: 'reset the connection after an export was begun',
    befall: ({ fail }) =>
      fail({ method: 'POST', path: EXPORTS, times: 1, fault: { do: 'reset', at: 'before_body' } }),
    exits: [4],
    says: /may have acted on it/,
    asked: postsAtMost(1),
  },
  {
    what: 'break off the download of the export, twice',
    befall: ({ fail }) => fail({ host: 'export', times: 2, fault: { do: 'reset', at: 'in_body' } }),
    exits: [0],
  },
  {
    what: 'send half of the JSON with status 200, twice',
    befall: ({ chance, fail }) => fail(page(chance, 2, { do: 'truncate' })),
    exits: [0],
  },
  {
    what: 'send half of the JSON with status 200, for good',
    befall: ({ chance, fail }) => {
      const from = somePage(chance)
      fail({ path: ROWS, when: (nth) => nth >= from, fault: { do: 'truncate' } })
    },
    exits: [4],
    says: /not complete JSON/,
  },
  {
    what: 'send a proxy’s HTML with status 200, twice',
    befall: ({ chance, fail }) => fail(page(chance, 2, { do: 'html' })),
    exits: [0],
  },
  {
    what: 'send a proxy’s HTML with status 200 instead of the export’s file',
    befall: ({ fail }) => fail({ host: 'export', fault: { do: 'html' } }),
    exits: [5],
    says: /export/,
  },
  {
    what: 'send JSON of another shape',
    befall: ({ chance, fail }) =>
      fail(
        page(
          chance,
          1,
          answering(() => sent('{"rows":[],"next":null}')),
        ),
      ),
    exits: [4],
    says: /a list of rows was expected/,
  },
  {
    what: 'send short pages only, that say there are more',
    befall: ({ chance, bend }) =>
      bend({ path: ROWS, fault: { do: 'short_page', rows: chance.whole(7, 30) } }),
    exits: [0],
  },
  {
    what: 'send an empty page that says there are more, once',
    befall: ({ chance, bend }) => bend(page(chance, 1, { do: 'empty_page' })),
    exits: [0],
  },
  {
    what: 'send empty pages that say there are more, for good',
    befall: ({ chance, bend }) => {
      const from = somePage(chance)
      bend({ path: ROWS, when: (nth) => nth >= from, fault: { do: 'empty_page' } })
    },
    exits: [4],
    says: /empty although/,
  },
  {
    what: 'send an empty page in the midst of the list, as if it were the end',
    befall: ({ chance, bend }) =>
      bend(
        page(
          chance,
          1,
          answering(() => sent('{"data":[],"has_more":false}')),
        ),
      ),
    exits: [0, 4],
  },
  {
    what: 'send empty pages as if the list were at its end, for good',
    befall: ({ chance, bend }) => {
      const from = somePage(chance)
      bend({
        path: ROWS,
        when: (nth) => nth >= from,
        fault: answering(() => sent('{"data":[],"has_more":false}')),
      })
    },
    exits: [4],
  },
  {
    what: 'say that more rows follow the very last one',
    befall: ({ bend }) =>
      bend({
        path: ROWS,
        fault: {
          do: 'edit',
          answer: (usual) => ({
            ...usual,
            body: usual.body.startsWith('{"data":[{')
              ? usual.body.replace('"has_more":false', '"has_more":true')
              : usual.body,
          }),
        },
      }),
    exits: [0],
  },
  {
    what: 'send a page again instead of the next one, once',
    befall: ({ chance, bend }) => bend(page(chance, 1, { do: 'repeat_page' })),
    exits: [0],
  },
  {
    what: 'send one page again and again',
    befall: ({ chance, bend }) => {
      const from = somePage(chance)
      let sentBody: string | null = null
      const again = (usual: Answer): Answer => {
        sentBody ??= usual.body
        return { ...usual, body: sentBody }
      }
      bend({ path: ROWS, when: (nth) => nth >= from, fault: { do: 'edit', answer: again } })
    },
    exits: [4],
    says: /expected to be older/,
  },
  {
    what: 'list new sales at the head while older pages are read',
    world: () => worldAt(NOON),
    argv: THAT_DAY,
    befall: ({ chance, bend }) => {
      bend(page(chance, 1, { do: 'new_rows', count: 3 }))
      bend({ method: 'POST', path: EXPORTS, fault: { do: 'new_rows', count: 2 } })
      bend({ path: PAYMENTS, times: 1, fault: { do: 'new_rows', count: 1 } })
    },
    exits: [0],
    // What came after the list was read is the next run's; the world afterwards holds all of it.
    makesFacts: true,
  },
  {
    what: 'make a payout of rows that were read already',
    world: () => {
      const world = createWorld()
      world.nowS = nextPayoutS(world) - 60
      return world
    },
    argv: THAT_DAY,
    befall: ({ chance, bend }) =>
      bend(
        page(chance, 1, {
          do: 'mutate',
          change: (world) => {
            world.nowS = nextPayoutS(world) + 60
          },
        }),
      ),
    exits: [0],
    makesFacts: true,
  },
  {
    what: 'answer 400, 404 or 422 to a cursor that it gave itself, once',
    befall: ({ chance, bend }) => bend(page(chance, 1, gone(chance.one([400, 404, 422])))),
    exits: [0, 4],
  },
  ...(['not_found', 'invalid', 'empty_page', 'lexicographic'] as const).map(
    (unknownCursor): ProviderFault => ({
      what: `not know the row of a cursor for a moment (${unknownCursor.replace('_', ' ')})`,
      switches: { unknownCursor },
      befall: hideCursor,
      exits: [0, 4],
    }),
  ),
  {
    what: 'demand at least 20 rows a page, at most 100',
    switches: { limitMin: 20, limitOutOfRange: 'refuse' },
    befall: () => undefined,
    exits: [0],
  },
  {
    what: 'give at most 20 rows a page, whatever is asked for',
    befall: ({ bend }) => bend({ path: ROWS, fault: { do: 'short_page', rows: 20 } }),
    exits: [0],
  },
  {
    what: 'refuse pages of 100 rows',
    befall: ({ fail }) => fail({ path: ROWS, fault: gone(400) }),
    exits: [4],
    says: /refused: HTTP 400/,
  },
  {
    what: 'send 40 MB instead of a page, once',
    befall: ({ chance, fail }) =>
      fail(
        page(
          chance,
          1,
          answering(() => sent(`{"data":[${'{},'.repeat(14_000_000)}{}]}`)),
        ),
      ),
    exits: [0],
  },
  {
    what: 'send 200 MB in 200 kB of gzip instead of a page, once',
    befall: async (trouble) => {
      const bomb = gzipSync(Buffer.alloc(200_000_000, ' '))
      let isSent = false
      await standBetween(trouble, (pages, response) => {
        if (pages !== 3 || isSent) return false
        isSent = true
        response.writeHead(200, {
          'content-type': 'application/json',
          'content-encoding': 'gzip',
        })
        response.end(bomb)
        return true
      })
    },
    exits: [0],
  },
  {
    what: 'send a header of 100 kB, once',
    befall: ({ chance, fail }) =>
      fail(
        page(
          chance,
          1,
          answering(() => ({
            ...sent('{}'),
            headers: { 'x-trace': 'x'.repeat(100_000) },
          })),
        ),
      ),
    exits: [0],
  },
  {
    what: 'drip two pages and the export’s file, within the time-out',
    befall: ({ chance, bend }) => {
      bend(page(chance, 2, { do: 'drip', bytes: 3000, everyMs: 30 }))
      bend({ host: 'export', fault: { do: 'drip', bytes: 3000, everyMs: 30 } })
    },
    exits: [0],
  },
  {
    what: 'drip a page that never ends, beyond the time-out, once',
    befall: ({ chance, fail }) => fail(page(chance, 1, { do: 'drip', bytes: 1, everyMs: 500 })),
    exits: [0],
  },
  {
    what: 'say nothing at all until the time-out, once',
    befall: ({ chance, fail }) => fail(page(chance, 1, { do: 'delay', ms: 60_000 })),
    exits: [0],
  },
  ...[600, -600].map((aheadS): ProviderFault => ({
    what: `go by a clock that is ten minutes ${aheadS > 0 ? 'ahead' : 'behind'}, over midnight`,
    world: () => worldAt(MIDNIGHT - 60 + aheadS),
    argv: THAT_DAY,
    befall: ({ place }) => {
      place.clock.nowS = MIDNIGHT - 60
    },
    relent: ({ sandbox, clock }) => {
      sandbox.world.nowS = MIDNIGHT + 5 * 3600
      clock.nowS = MIDNIGHT + 5 * 3600
    },
    exits: [0],
    makesFacts: true,
  })),
  {
    what: 'never complete the export',
    switches: { exportStuck: true },
    env: { EXPORT_TIMEOUT_SECONDS: '1' },
    befall: () => undefined,
    relent: ({ sandbox }) => {
      sandbox.switches.exportStuck = false
    },
    exits: [4],
    says: /not complete after 1 s/,
    asked: postsAtMost(1),
  },
  {
    what: 'lose the export after it was asked for',
    befall: ({ fail }) => fail({ path: EXPORT, fault: gone(404) }),
    exits: [4],
    says: /has lost data export/,
  },
  {
    what: 'complete the export with a file that is cut off in a line',
    befall: ({ bend }) => bend({ host: 'export', fault: fileOf((csv) => csv.slice(0, -40)) }),
    exits: [5],
    says: /cut off/,
  },
  {
    what: 'complete the export with half of the bytes that it announces',
    befall: ({ fail }) => fail({ host: 'export', times: 1, fault: { do: 'reset', at: 'in_body' } }),
    exits: [0],
  },
  {
    what: 'complete the export with an empty file',
    befall: ({ bend }) => bend({ host: 'export', fault: fileOf(() => '') }),
    exits: [5],
    says: /is empty/,
  },
  {
    what: 'complete the export with other labels',
    befall: ({ bend }) =>
      bend({
        host: 'export',
        fault: fileOf((csv) => csv.replace('Montant brut', 'Montant HT')),
      }),
    exits: [5],
    says: /label|Montant/,
  },
  {
    what: 'complete the export with two labels exchanged for one',
    befall: ({ bend }) =>
      bend({
        host: 'export',
        fault: fileOf((csv) => csv.replace('Montant net', 'Montant brut')),
      }),
    exits: [5],
    says: /there twice/,
  },
  {
    what: 'complete the export with the file of another period',
    befall: ({ bend }) =>
      bend({ host: 'export', fault: fileOf((csv) => csv.replaceAll('2024-03-', '2023-03-')) }),
    exits: [5],
    says: /none of its \d+ dated lines lies in the period/,
  },
  {
    what: 'let the download address of the export expire, once',
    befall: ({ fail }) => fail({ host: 'export', times: 1, fault: gone(403) }),
    exits: [0],
    asked: (requests) => {
      const polls = requests.filter(({ path, query }) => EXPORT.test(path) && !('format' in query))
      return polls.length >= 2 ? postsAtMost(1)(requests) : ['no fresh address was asked for']
    },
  },
  {
    what: 'let every download address expire before it can be used',
    switches: { exportUrlLifetimeMs: -1 },
    befall: () => undefined,
    exits: [0],
    asked: postsAtMost(1),
  },
  {
    what: 'redirect the API to another host',
    befall: async ({ chance, fail, stranger }) => {
      const other = await stranger(
        (_, response) => void response.end('{"data":[],"has_more":false}'),
      )
      fail(page(chance, 1, gone(302, { location: `${other.url}/v1/balance-transactions` })))
    },
    exits: [4],
    says: /the key stays with the API/,
  },
  {
    what: 'redirect the request of an export to another host',
    befall: async ({ fail, stranger }) => {
      const other = await stranger((_, response) => void response.end('{"id":"export_1"}'))
      fail({
        method: 'POST',
        path: EXPORTS,
        fault: gone(307, { location: `${other.url}/v1/data-exports` }),
      })
    },
    exits: [4],
    says: /redirect/,
  },
  {
    what: 'redirect the download of the export to another host',
    befall: async ({ bend, stranger }) => {
      bend({ host: 'export', fault: await movedTo(stranger) })
    },
    exits: [0],
  },
  {
    what: 'redirect the download that needs the key to another host',
    switches: { exportDownload: 'format_only' },
    befall: async ({ bend, stranger }) => {
      bend({
        path: EXPORT,
        when: (_, { query }) => query['format'] === 'csv',
        fault: await movedTo(stranger),
      })
    },
    exits: [0],
  },
  {
    what: 'redirect in a circle',
    befall: ({ place, chance, fail }) => {
      const from = somePage(chance)
      fail({
        path: ROWS,
        when: (nth) => nth >= from,
        fault: gone(302, { location: `${place.sandbox.url}/v1/balance-transactions` }),
      })
    },
    exits: [4],
    says: /redirect/,
  },
  {
    what: 'show a certificate of another host, by an authority that is trusted',
    befall: async ({ place, stranger }) => {
      const certificate = certificateFor('elsewhere.example')
      const other = await stranger((_, response) => void response.end('{}'), certificate)
      const authority = join(place.dir, 'authority.pem')
      await writeFile(authority, certificate.cert)
      Object.assign(place.env, { ALMA_API_URL: other.url, NODE_EXTRA_CA_CERTS: authority })
    },
    // Which authorities are trusted is settled when a process begins.
    inOwnProcess: true,
    exits: [4],
    says: /ERR_TLS_CERT_ALTNAME_INVALID/,
  },
  {
    what: 'show a certificate that nobody vouches for',
    befall: async ({ place, stranger }) => {
      const certificate = certificateFor('localhost')
      const other = await stranger((_, response) => void response.end('{}'), certificate)
      place.env['ALMA_API_URL'] = other.url.replace('127.0.0.1', 'localhost')
    },
    exits: [4],
    says: /SELF_SIGNED/,
  },
  {
    what: 'point to a download host whose certificate does not match',
    befall: async ({ bend, stranger }) => {
      const other = await stranger(
        (_, response) => void response.end('a;b\n'),
        certificateFor('elsewhere.example'),
      )
      bend({
        path: EXPORT,
        fault: {
          do: 'edit',
          answer: (usual) => ({
            ...usual,
            body: usual.body.replace(/"url_csv":"http[^"]+"/, `"url_csv":"${other.url}/x.csv"`),
          }),
        },
      })
    },
    exits: [4],
    says: /the download from 127\.0\.0\.1/,
  },
]

/** A cursor's row is not there when the page below it is asked for, and is again at the next request. */
function hideCursor({ place, chance, bend, later }: Trouble): void {
  const account = place.sandbox.world.accounts[0]
  if (account === undefined) throw new Error('the world has no account')
  const { rows } = account
  const from = somePage(chance)
  let cursor = ''
  bend({
    path: ROWS,
    when: (nth, { query }) => {
      cursor = nth === from ? (query['starting_after'] ?? '') : cursor
      return nth === from
    },
    fault: {
      do: 'mutate',
      change: () => {
        account.rows = rows.filter(({ id }) => id !== cursor)
      },
    },
  })
  const putBack = (): void => {
    account.rows = rows
  }
  bend({ path: ROWS, when: (nth) => nth > from, fault: { do: 'mutate', change: putBack } })
  later(putBack)
}

/** The export's file as a function makes it of the right one. */
function fileOf(change: (csv: string) => string): Scripted {
  return { do: 'edit', answer: (usual) => ({ ...usual, body: change(usual.body) }) }
}

/** Sends whoever asks for the file to another host, which has it and must not be shown the key. */
async function movedTo(stranger: Trouble['stranger']): Promise<Scripted> {
  let file = ''
  const other = await stranger(
    (_, response) => void response.writeHead(200, { 'content-type': 'text/csv' }).end(file),
  )
  return {
    do: 'edit',
    answer: ({ body }) => {
      file = body
      return { status: 302, headers: { location: `${other.url}/file.csv` }, body: '' }
    },
  }
}

/** A host between the job and the provider that answers some requests itself. */
async function standBetween(
  { place, stranger }: Trouble,
  answer: (nth: number, response: ServerResponse, request: IncomingMessage) => boolean,
): Promise<void> {
  const api = place.sandbox.url
  let pages = 0
  const between = await stranger(async (request, response) => {
    if (request.url?.startsWith('/v1/balance-transactions') === true) pages += 1
    if (!answer(pages, response, request)) await handOn(api, request, response)
  })
  between.isBetween = true
  place.env['ALMA_API_URL'] = between.url
}

export const providerFaults: readonly Blow[] = faults.map((fault) => ({
  group: 'provider',
  what: fault.what,
  strike: (at) => strike(fault, at),
}))

/** What a fault did to the job and its report. */
interface Found {
  readonly lost: string[]
  readonly leaked: string[]
}

async function strike(
  fault: ProviderFault,
  { chance, folder }: Parameters<Blow['strike']>[0],
): Promise<Outcome> {
  const [shopDir, freshDir] = [join(folder, 'shop'), join(folder, 'undisturbed')]
  await Promise.all([mkdir(shopDir), mkdir(freshDir)])
  const world = (fault.world ?? demoWorld)()
  const place = await openWorkplace(shopDir, { world, switches: fault.switches ?? {} })
  const found: Found = { lost: [], leaked: [] }
  try {
    const disturbed = await disturb(fault, place, chance, found)
    fault.relent?.(place)
    if (world.nowS !== undefined) place.clock.nowS = world.nowS
    await place.writeBank()
    const expected = fault.makesFacts
      ? await undisturbed(freshDir, world, fault.argv)
      : await undisturbedDemo(freshDir)
    await judgeDisturbed(fault, place, { disturbed, expected, found })
    const after = await place.run(...(fault.argv ?? RECONCILE))
    await judgeAfter(place, { after, expected, found })
    if (disturbed.exitCode !== 0 && disturbed.tookMs < SHORT_MS) {
      await disturbAgain(fault, place, chance, { expected, found })
    }
    found.leaked.push(...(await place.leaks()))
    return { ended: endedOf(disturbed), ...found }
  } finally {
    await place.close()
  }
}

/** A disturbed run that failed so quickly is made once more, with the right report standing. */
const SHORT_MS = 2_000

interface Disturbed extends Ended {
  readonly tookMs: number
  readonly storedRows: number
}

/** Runs the job while the fault lasts, and looks at what it asked for meanwhile. */
async function disturb(
  fault: ProviderFault,
  place: Workplace,
  chance: Chance,
  { lost, leaked }: Found,
): Promise<Disturbed> {
  const { sandbox, env } = place
  const settings = { ...env }
  const touched = new Set<LoggedRequest>()
  const failed = new Set<LoggedRequest>()
  const strangers: Stranger[] = []
  const undos: (() => void)[] = []
  const script = (rule: FaultRule, into: readonly Set<LoggedRequest>[]): void => {
    const { times = Number.POSITIVE_INFINITY, when = () => true, ...rest } = rule
    let struck = 0
    sandbox.script({
      ...rest,
      when: (nth, request) => {
        const strikes = struck < times && when(nth, request)
        if (!strikes) return false
        struck += 1
        for (const set of into) set.add(request)
        return true
      },
    })
  }
  sandbox.requests.length = 0
  Object.assign(env, fault.env)
  await fault.befall({
    place,
    chance,
    fail: (rule) => script(rule, [touched, failed]),
    bend: (rule) => script(rule, [touched]),
    later: (undo) => void undos.push(undo),
    stranger: async (...given) => {
      const opened = await startStranger(...given)
      strangers.push(opened)
      return opened
    },
  })
  const argv = fault.argv ?? RECONCILE
  const beganMs = performance.now()
  const ended = fault.inOwnProcess ? await place.start(...argv).outcome : await place.run(...argv)
  const tookMs = performance.now() - beganMs
  const requests = [...sandbox.requests]
  lost.push(...tooManyTries(requests), ...tooQuick(requests, failed))
  lost.push(...(fault.asked?.(requests) ?? []))
  leaked.push(...keysSeen(requests, strangers))
  sandbox.clearScript()
  for (const undo of undos) undo()
  await Promise.all(strangers.map((stranger) => stranger.close()))
  for (const name of Object.keys(env)) if (!(name in settings)) delete env[name]
  Object.assign(env, settings)
  const storedRows = (await rowCounts(place.database))['balance_transactions'] ?? 0
  const pages = pagesBefore(requests, touched)
  const least = Math.min(pages * 100, sandbox.world.accounts[0]?.rows.length ?? 0)
  if (!fault.makesFacts && fault.switches === undefined && storedRows < least) {
    lost.push(`${pages} pages had come in, and only ${storedRows} rows are stored`)
  }
  return { ...ended, tookMs, storedRows }
}

function isSame(one: LoggedRequest, other: LoggedRequest): boolean {
  return (
    one.method === other.method &&
    one.path === other.path &&
    one.body === other.body &&
    JSON.stringify(one.query) === JSON.stringify(other.query)
  )
}

function tooManyTries(requests: readonly LoggedRequest[]): string[] {
  const times = new Map<string, number>()
  for (const { method, path, query, body } of requests) {
    // An export is asked about until it is complete.
    if (EXPORT.test(path)) continue
    const name = `${method} ${path} ${JSON.stringify(query)} ${body}`
    times.set(name, (times.get(name) ?? 0) + 1)
  }
  return [...times]
    .filter(([, count]) => count > ATTEMPTS_MAX)
    .map(([name, count]) => `${name} was sent ${count} times`)
}

/** Repetitions that did not wait. An address that was refused is not repeated but asked for anew. */
function tooQuick(
  requests: readonly LoggedRequest[],
  failed: ReadonlySet<LoggedRequest>,
): string[] {
  return requests.flatMap((request, at) => {
    const isRefused = request.status !== null && [302, 400, 403, 404].includes(request.status)
    if (!failed.has(request) || isRefused) return []
    const next = requests.slice(at + 1).find((later) => isSame(later, request))
    if (next === undefined || next.atMs - request.atMs >= PACE_MS) return []
    return [`${request.path} came again after ${next.atMs - request.atMs} ms`]
  })
}

function keysSeen(requests: readonly LoggedRequest[], strangers: readonly Stranger[]): string[] {
  const strange = strangers.filter(({ isBetween }) => !isBetween).flatMap(({ visits }) => visits)
  return [
    ...(requests.some(({ host, headers }) => host === 'export' && 'authorization' in headers)
      ? ['the key went to the host of the export’s file']
      : []),
    ...(strange.some(({ authorization }) => authorization !== undefined)
      ? ['the key went to another host']
      : []),
  ]
}

/** Pages of the ledger that came in whole before anything was done to a request. */
function pagesBefore(
  requests: readonly LoggedRequest[],
  touched: ReadonlySet<LoggedRequest>,
): number {
  const first = requests.findIndex((request) => touched.has(request))
  const before = first === -1 ? requests : requests.slice(0, first)
  const whole = before.filter(({ path, status }) => ROWS.test(path) && status === 200)
  return new Set(whole.map(({ query }) => query['starting_after'])).size
}

async function judgeDisturbed(
  fault: ProviderFault,
  place: Workplace,
  { disturbed, expected, found }: { disturbed: Disturbed; expected: Files; found: Found },
): Promise<void> {
  const { exitCode, out, err } = disturbed
  const { lost } = found
  if (exitCode === null || !fault.exits.includes(exitCode)) {
    lost.push(`it ended with ${exitCode}, expected was ${fault.exits.join(' or ')}: ${err || out}`)
    return
  }
  const said = `${out}\n${err}`
  if (exitCode !== 0 && !(fault.says ?? /./).test(said)) {
    lost.push(`it does not say ${String(fault.says)}: ${said}`)
  }
  const report = await place.report(WEEK)
  if (exitCode === 0) {
    const wrong = differingFiles(csvsOf(report), expected)
    // What happened while it was read is in the next report, but it must not look like a break.
    const isWrong = fault.makesFacts ? wrong.includes('discrepancies.csv') : wrong.length > 0
    if (isWrong) lost.push(`the report of the disturbed run is wrong in ${wrong.join(', ')}`)
    return
  }
  if (exitCode === 5) {
    judgeWithoutExport(report, expected, lost)
    return
  }
  if (Object.keys(report).length > 0) lost.push('a report was written although the run failed')
}

/** A rejected file does not stop the rest: the report is there, and says at its head what is missing. */
function judgeWithoutExport(report: Files, expected: Files, lost: string[]): void {
  if (!(report['summary.json'] ?? '').includes('accounting export of default was rejected')) {
    lost.push('the report does not say that the export is missing')
  }
  if (report['settlements.csv'] !== expected['settlements.csv']) {
    lost.push('without the export the payouts are told otherwise')
  }
  const known = new Set((expected['discrepancies.csv'] ?? '').split('\n').map(idOfLine))
  const strange = (report['discrepancies.csv'] ?? '')
    .split('\n')
    .map(idOfLine)
    .filter((id) => !known.has(id))
  if (strange.length > 0) lost.push(`the report invents ${strange.join(', ')}`)
}

const idOfLine = (line: string): string => line.split(',', 2).join(' ')

async function judgeAfter(
  place: Workplace,
  { after, expected, found }: { after: Ended; expected: Files; found: Found },
): Promise<void> {
  if (after.exitCode !== 0) {
    found.lost.push(`the run after it ended with ${after.exitCode}: ${after.err}`)
    return
  }
  const wrong = differingFiles(await place.csvs(WEEK), expected)
  if (wrong.length > 0) found.lost.push(`the report after it is wrong in ${wrong.join(', ')}`)
}

/** The right report stands, and the same happens again: nothing of it may change. */
async function disturbAgain(
  fault: ProviderFault,
  place: Workplace,
  chance: Chance,
  { expected, found }: { expected: Files; found: Found },
): Promise<void> {
  const before = (await rowCounts(place.database))['balance_transactions'] ?? 0
  const { exitCode, err, storedRows } = await disturb(fault, place, chance, found)
  if (exitCode === null || ![0, ...fault.exits].includes(exitCode)) {
    found.lost.push(`happening again it ended with ${exitCode}: ${err}`)
  }
  if (storedRows < before) found.lost.push(`${before - storedRows} stored rows are gone`)
  const wrong = differingFiles(await place.csvs(WEEK), expected)
  if (wrong.length > 0) {
    found.lost.push(`happening again it spoilt the standing report in ${wrong.join(', ')}`)
  }
}

function endedOf({ exitCode }: Ended): string {
  return exitCode === 0 ? 'right result' : `exit ${exitCode}, goes on from there`
}
