/**
 * What proving a ledger costs: all of it against the same joins and sums in DuckDB, which holds them
 * in memory by column and uses all cores; and a night that adds 10,000 rows against all of it. The
 * database is an embedded one in a temporary folder. The plans of the main statements go to
 * `test/output/plans.txt`.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { connect, type DatabaseAddress, type Db } from '../../db/client.ts'
import { startEmbedded } from '../../db/embedded.ts'
import { migrate } from '../../db/migrate.ts'
import { proveLedger } from '../../db/proofs.ts'
import * as schema from '../../db/schema.ts'
import { gatherFacts } from '../../jobs/gather-facts.ts'
import { readConfig } from '../../src/config.ts'
import { dayOfInstant } from '../../src/domain/day.ts'
import { weekOf } from '../../src/domain/period.ts'
import type { Benchmark, BenchLine } from './benchmark.ts'
import { addNight, CONTRACT, ENTITY, fillLedger, YEAR_START_S } from './proofs-ledger.ts'

const FULL_RATIO_MAX = 4
const NIGHT_RATIO_MAX = 0.03
const NIGHT_ROWS = 10_000
const ROUNDS = 3
/** The ledger whose full proof is held against DuckDB. */
const FULL_LEDGER_ROWS = 1_000_000
/** The ledger of which a night must be a small part. */
const NIGHT_LEDGER_ROWS = 5_000_000

const PLANS_FILE = fileURLToPath(new URL('../output/plans.txt', import.meta.url))

export const proofs: Benchmark = { name: 'proofs', run: benchProofs }

async function benchProofs({ rows }: { readonly rows: number }): Promise<readonly BenchLine[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-bench-'))
  const server = await startEmbedded({ dataDir: path.join(folder, 'data') })
  const connection = connect(server.address)
  const { db } = connection
  try {
    await migrate(db, connection.where)
    await fillLedger(db, rows)
    const duck = await openDuck(db)
    const full: number[] = []
    const floor: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      full.push(await timed(() => prove(db, true)))
      floor.push(await timed(() => proveInDuck(duck)))
    }
    duck.closeSync()
    const nights: number[] = []
    for (let night = 0; night < ROUNDS; night += 1) {
      await addNight(db, rows, NIGHT_ROWS)
      nights.push(await timed(() => prove(db, false)))
    }
    const gathering = await timed(() => gather(db, rows))
    await writePlans(server.address)
    const [fullS, floorS, nightS] = [median(full), median(floor), median(nights)]
    const isOfFull = rows <= FULL_LEDGER_ROWS
    const isOfNights = rows >= NIGHT_LEDGER_ROWS
    return [
      {
        what: `full proof of ${count(rows)} rows`,
        measured: inSeconds(fullS),
        floor: `DuckDB in memory ${inSeconds(floorS)}`,
        ratio: fullS / floorS,
        bar: isOfFull ? `≤ ${FULL_RATIO_MAX}` : `none above ${count(FULL_LEDGER_ROWS)} rows`,
        met: !isOfFull || fullS / floorS <= FULL_RATIO_MAX,
      },
      {
        what: `proof of a night of ${count(NIGHT_ROWS)} rows after ${count(rows)}`,
        measured: inSeconds(nightS),
        floor: `the full proof ${inSeconds(fullS)}`,
        ratio: nightS / fullS,
        bar: isOfNights ? `≤ ${NIGHT_RATIO_MAX}` : `none below ${count(NIGHT_LEDGER_ROWS)} rows`,
        met: !isOfNights || nightS / fullS <= NIGHT_RATIO_MAX,
      },
      {
        what: `gathering the facts of a week from ${count(rows)} rows`,
        measured: inSeconds(gathering),
        floor: '',
        ratio: null,
        bar: 'none',
        met: true,
      },
    ]
  } finally {
    await connection.close()
    await server.release()
    await rm(folder, { recursive: true, force: true })
  }
}

async function prove(db: Db, full: boolean): Promise<void> {
  await proveLedger(db, { entity: ENTITY, fees: CONTRACT, vatRatePercent: '20', full })
}

/** The last week, everything before it being settled. */
async function gather(db: Db, rows: number): Promise<void> {
  const config = readConfig(
    { FEES_FILE: 'fees.json' },
    {
      cwd: '/',
      readFile: () =>
        JSON.stringify({
          vat: 'excluded',
          vatRate: '20',
          plans: { P3X: { rate: '3.80', fixed: 0 } },
        }),
    },
  )
  const lastS = YEAR_START_S + Math.floor(((rows + ROUNDS * NIGHT_ROWS) / rows) * 366 * 86_400)
  const asOf = dayOfInstant(lastS, config.businessTimeZone)
  const facts = await gatherFacts(db, {
    config,
    entities: config.entities,
    period: weekOf(asOf),
    asOf,
  })
  const [found] = facts.entities
  if (found === undefined || found.residualRows.length > 0 || found.suspectRows.length > 0) {
    throw new Error('the synthetic ledger does not add up')
  }
}

async function openDuck(db: Db): Promise<DuckDBConnection> {
  const duck = await (await DuckDBInstance.create(':memory:')).connect()
  const tables = {
    bt: `select entity, id, kind, currency, amount_minor, fee_minor, net_minor, payment_id, refund_id, payout_id,
      included_in_payout_id, created_s, available_on_s, vanished_run_id from balance_transactions`,
    pay: `select entity, id, found, purchase_amount_minor, plan from payments`,
    pr: `select entity, payment_id, refund_id, amount_minor, created_s from payment_refunds`,
    el: `select entity, request_number, line_number, balance_transaction_id, created_local, gross_minor, fee_minor,
      net_minor, vat_minor, payment_id, refund_id from export_lines`,
    ex: `select entity, request_number, start_s, end_s from data_exports`,
  }
  for (const [name, query] of Object.entries(tables)) {
    // Written by the server into its own folder: the driver's stream of a COPY stalls on some sizes.
    const [place] = await db.execute<{ folder: string }>(
      sql`select current_setting('data_directory') as folder`,
    )
    const file = path.join(place?.folder ?? '', `${name}.csv`)
    await db.execute(sql.raw(`copy (${query}) to '${file}' csv header`))
    const nulls = name === 'bt' ? ", types = {'vanished_run_id': 'BIGINT'}" : ''
    await duck.run(
      `create table ${name} as select * from read_csv('${file}', header = true${nulls})`,
    )
    await rm(file)
  }
  return duck
}

/** What `db/proofs-*.ts` do, as DuckDB would be asked for it; the results are kept as tables there too. */
async function proveInDuck(duck: DuckDBConnection): Promise<void> {
  for (const [name, query] of Object.entries(DUCK_PROOFS)) {
    await duck.run(`create or replace table proof_${name} as ${query}`)
  }
}

const DUCK_PROOFS: Readonly<Record<string, string>> = {
  payouts: `select payout_id, min(currency) filter (paid), count(*) filter (paid),
      sum(amount_minor) filter (kind = 'from_transaction'), sum(fee_minor) filter (kind = 'from_transaction'),
      sum(net_minor) filter (kind = 'from_refund'), sum(net_minor) filter (kind not in ('from_payout', 'from_transaction', 'from_refund')),
      sum(net_minor) filter (paid), min(created_s) filter (paid), max(created_s) filter (paid),
      min(coalesce(available_on_s, created_s)) filter (paid), count(*) filter (not paid),
      min(created_s) filter (not paid) as own_first_s, max(created_s) filter (not paid)
    from (select * exclude payout_id, kind <> 'from_payout' as paid,
        case when kind = 'from_payout' then coalesce(payout_id, id) else included_in_payout_id end as payout_id
      from bt where entity = 'default' and vanished_run_id is null)
    where payout_id is not null group by payout_id`,
  days: `select created_s // 86400 as day, kind, currency, count(*), sum(amount_minor), sum(fee_minor), sum(net_minor)
    from bt where entity = 'default' and vanished_run_id is null group by all`,
  repeated: `select r.id from bt r join (
      select payment_id, amount_minor, currency from bt where entity = 'default' and vanished_run_id is null
        and kind = 'from_transaction' and payment_id is not null group by all having count(*) > 1) twice
      on r.payment_id = twice.payment_id and r.amount_minor = twice.amount_minor and r.currency = twice.currency
    where r.entity = 'default' and r.kind = 'from_transaction' and r.vanished_run_id is null
    union all select r.id from bt r join (
      select refund_id from bt where entity = 'default' and vanished_run_id is null
        and kind = 'from_refund' and refund_id is not null group by all having count(*) > 1) twice
      on r.refund_id = twice.refund_id
    where r.entity = 'default' and r.kind = 'from_refund' and r.vanished_run_id is null`,
  fees: `select r.id from bt r join pay sold on sold.entity = r.entity and sold.id = r.payment_id
      join (values ('P3X', 380, 0), ('P4X', 410, 10)) price (plan, rate, fixed) on price.plan = sold.plan
    where r.entity = 'default' and r.kind = 'from_transaction' and r.vanished_run_id is null
      and ((r.amount_minor * price.rate + price.fixed * 10000) * 10000 + 50000000) // 100000000 <> r.fee_minor`,
  refunds: `select coalesce(deducted.payment_id, standing.payment_id) as payment_id,
      case when deducted.clean and looked.found and standing.refunds = deducted.rows and deducted.known = deducted.rows
        and deducted.equal and standing.amount <= looked.purchase_amount_minor then deducted.last_s end as settled_s
    from (select r.payment_id, count(*) as rows, count(pr.refund_id) as known,
        bool_and(r.kind = 'from_refund' and r.vanished_run_id is null and r.included_in_payout_id is not null and times.rows = 1 and stands.rows = 1) as clean,
        bool_and(pr.amount_minor = abs(r.amount_minor)) as equal,
        max(greatest(r.created_s, pr.created_s, payout.own_first_s)) as last_s
      from bt r left join pr on pr.entity = r.entity and pr.payment_id = r.payment_id and pr.refund_id = r.refund_id
        left join proof_payouts payout on payout.payout_id = r.included_in_payout_id
        left join (select refund_id, count(*) as rows from bt where refund_id is not null group by all) times on times.refund_id = r.refund_id
        left join (select refund_id, count(*) as rows from pr group by all) stands on stands.refund_id = r.refund_id
      where r.entity = 'default' and r.refund_id is not null group by r.payment_id) deducted
    full join (select payment_id, count(*) as refunds, sum(amount_minor) as amount from pr where entity = 'default' group by all) standing
      on standing.payment_id = deducted.payment_id
    left join pay looked on looked.entity = 'default' and looked.id = coalesce(deducted.payment_id, standing.payment_id)`,
  conventions: `select l.request_number, r.kind,
      count(*) filter (l.gross_minor = -r.amount_minor and r.amount_minor <> 0), count(*) filter (l.gross_minor = r.amount_minor),
      count(*) filter (l.fee_minor = -r.fee_minor and r.fee_minor <> 0), count(*) filter (l.fee_minor = r.fee_minor and r.fee_minor <> 0),
      count(*) filter (abs(l.fee_minor + l.vat_minor) = abs(r.fee_minor) and l.vat_minor <> 0),
      count(*) filter (l.net_minor = -r.net_minor and r.net_minor <> 0), count(*) filter (l.net_minor = r.net_minor),
      count(*) filter (l.fee_minor <> 0 and abs(abs(l.vat_minor) * 10000 - abs(l.fee_minor) * 2000) <= 10000),
      count(*) filter (l.fee_minor <> 0 and abs(abs(l.vat_minor) * 12000 - abs(l.fee_minor) * 2000) <= 12000)
    from el l join bt r on r.entity = l.entity and r.id = l.balance_transaction_id
    where l.entity = 'default' group by all`,
  differing: `select l.request_number, l.balance_transaction_id, l.line_number
    from el l left join bt r on r.entity = l.entity and r.id = l.balance_transaction_id
    where l.entity = 'default' and (r.id is null or l.gross_minor <> r.amount_minor or l.fee_minor <> r.fee_minor
      or l.net_minor <> r.net_minor or l.payment_id is distinct from r.payment_id or l.refund_id is distinct from r.refund_id
      or strftime(to_timestamp(r.created_s) at time zone 'Europe/Paris', '%Y-%m-%d %H:%M:%S') <> strftime(l.created_local, '%Y-%m-%d %H:%M:%S')
      or abs(abs(l.vat_minor) * 10000 - abs(l.fee_minor) * 2000) > 5000)`,
  lacking: `select ex.request_number, r.id from ex join bt r on r.entity = ex.entity and r.created_s >= ex.start_s and r.created_s < ex.end_s
    where ex.entity = 'default' and r.vanished_run_id is null and not exists (
      select 1 from el l where l.entity = r.entity and l.request_number = ex.request_number and l.balance_transaction_id = r.id)`,
}

/** The plans of what a night asks, by the statements themselves with their values. */
async function writePlans(address: DatabaseAddress): Promise<void> {
  if (!('socketDir' in address)) return
  const { socketDir: host, port, user, database } = address
  const client = postgres({ host, port, user, database, max: 2 })
  const asked = new Map<string, readonly unknown[]>()
  const logger = {
    logQuery: (query: string, params: unknown[]): void => void asked.set(query, params),
  }
  const db: Db = drizzle(client, { schema, casing: 'snake_case', logger })
  try {
    const touch = sql`update ledger_proofs set proved_number = proved_number - 1 where entity = ${ENTITY}`
    for (const isFull of [false, true]) {
      if (!isFull) await db.execute(touch)
      await prove(db, isFull)
    }
    const plans: string[] = []
    await client.begin(async (tx) => {
      for (const [query, params] of asked) {
        const values = params.map((value) =>
          typeof value === 'number' ? String(value) : value,
        ) as string[]
        // The plans of a full proof are those under its own settings.
        if (/^\s*select set_config/i.test(query)) await tx.unsafe(query, values)
        else if (isExplained(query)) {
          const lines = await tx.unsafe<{ 'QUERY PLAN': string }[]>(`explain ${query}`, values)
          plans.push(`${query.trim()}\n\n${lines.map((line) => line['QUERY PLAN']).join('\n')}`)
          // A result under a name of its own is read on the way to the next one.
          if (isResult(query) && !NAMES_LAST_RESULT.test(query)) await tx.unsafe(query, values)
        }
      }
    })
    await mkdir(path.dirname(PLANS_FILE), { recursive: true })
    await writeFile(PLANS_FILE, `${plans.join('\n\n----\n\n')}\n`)
  } finally {
    await client.end()
  }
}

const isResult = (query: string): boolean => /^\s*create temporary table/i.test(query)

const NAMES_LAST_RESULT = /pg_temp\."proof_result"/

/** What is stored of the last result is little, and its table is gone by now. */
function isExplained(query: string): boolean {
  if (isResult(query)) return true
  return /^\s*(select|with|insert|delete)/i.test(query) && !NAMES_LAST_RESULT.test(query)
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return (performance.now() - startedAt) / 1000
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function inSeconds(seconds: number): string {
  return `${seconds.toFixed(2)} s`
}

function count(rows: number): string {
  return rows.toLocaleString('en')
}
