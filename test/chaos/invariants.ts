/**
 * What is stored is damaged behind the job's back. A report that does not tie must not be written over
 * the one that stands, nor be sent, nor be signed; and once what is stored is right again, so is the
 * report.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type SQL, sql } from 'drizzle-orm'
import { databaseErrorCode, type Db } from '../../db/client.ts'
import type { Chance } from '../../src/sandbox/chance.ts'
import { startMailServer } from '../support/mail-server.ts'
import type { Blow, Outcome } from './blow.ts'
import {
  AS_OF,
  differingFiles,
  type Files,
  openWorkplace,
  RECONCILE,
  undisturbedDemo,
  WEEK,
  type Workplace,
} from './in-process.ts'

interface Damage {
  readonly what: string
  /** Statements, run in order. */
  readonly damage: (db: Db, chance: Chance) => Promise<readonly SQL[]>
  /** What the refusal must say. */
  readonly says: RegExp
  /** How the stored facts are made right again: proved anew, or read from the provider again. */
  readonly repair: 'prove anew' | 'read again'
}

/** Without asking the provider, who would put a damaged row right before anybody looks at it. */
const AS_STORED = [...RECONCILE, '--offline', '--mail'] as const

/** A payout of the week by the moment at which it was made, and two of its sales. */
async function aPayout(db: Db, chance: Chance): Promise<string> {
  const found = await db.execute<{ payoutId: string }>(sql`
    select payout_id as "payoutId" from payout_proofs
    where own_first_created_s between 1710716400 and 1711321199 and transactions > 1
    order by payout_id`)
  return chance.one([...found]).payoutId
}

async function aSale(db: Db, payoutId: string): Promise<string> {
  const [row] = await db.execute<{ id: string }>(sql`
    select id from balance_transactions
    where included_in_payout_id = ${payoutId} and kind = 'from_transaction' order by id limit 1`)
  if (row === undefined) throw new Error(`no sale is in payout ${payoutId}`)
  return row.id
}

const damages: readonly Damage[] = [
  {
    what: 'put a cent onto what is proved of a payout',
    damage: async (db, chance) => [
      sql`update payout_proofs set net_minor = net_minor + 1
        where payout_id = ${await aPayout(db, chance)}`,
    ],
    says: /nets of rows by day and by payout/,
    repair: 'prove anew',
  },
  {
    what: 'move a cent from what is proved of a payout to another',
    damage: async (db, chance) => {
      const payoutId = await aPayout(db, chance)
      return [
        sql`update payout_proofs set net_minor = net_minor + 1 where payout_id = ${payoutId}`,
        sql`update payout_proofs set net_minor = net_minor - 1 where payout_id =
          (select payout_id from payout_proofs where payout_id <> ${payoutId}
            and transactions > 1 order by payout_id limit 1)`,
      ]
    },
    says: /payout payout_\w+ in the report and in the stored rows/,
    repair: 'prove anew',
  },
  {
    what: 'move a cent of what is proved of sales into the week',
    damage: () =>
      Promise.resolve([
        sql`update ledger_days set net_minor = net_minor - 1 where kind = 'from_transaction'
          and day_number = (select max(day_number) from ledger_days
            where kind = 'from_transaction' and day_number < 19799)`,
        sql`update ledger_days set net_minor = net_minor + 1 where kind = 'from_transaction'
          and day_number = (select min(day_number) from ledger_days
            where kind = 'from_transaction' and day_number > 19800)`,
      ]),
    says: /from_transaction in the report and in the stored rows/,
    repair: 'prove anew',
  },
  {
    what: 'forget a row in what is proved of a day',
    damage: () =>
      Promise.resolve([
        sql`update ledger_days set rows = rows - 1 where kind = 'from_transaction'
          and day_number = (select min(day_number) from ledger_days
            where kind = 'from_transaction' and day_number > 19800)`,
      ]),
    says: /rows by day and by payout/,
    repair: 'prove anew',
  },
  {
    what: 'count a difference with an export that is not stored',
    damage: () => Promise.resolve([sql`update export_proofs set pairs = pairs + 1`]),
    says: /differences with exports as counted and as stored/,
    repair: 'prove anew',
  },
  {
    what: 'put a cent onto a stored row',
    damage: async (db, chance) => {
      const id = await aSale(db, await aPayout(db, chance))
      return [sql`update balance_transactions set net_minor = net_minor + 1 where id = ${id}`]
    },
    says: /in the stored rows: -?[\d.]+ EUR against/,
    repair: 'read again',
  },
  {
    what: 'take a stored row away',
    damage: async (db, chance) => {
      const id = await aSale(db, await aPayout(db, chance))
      return [sql`delete from balance_transactions where id = ${id}`]
    },
    says: /in the stored rows: \d+ rows against \d+/,
    repair: 'read again',
  },
  {
    what: 'store a row that no page of the provider had',
    damage: async (db, chance) => {
      const id = await aSale(db, await aPayout(db, chance))
      return [
        sql`create temporary table damaged as select * from balance_transactions where id = ${id}`,
        sql`update damaged set id = id || 'x'`,
        sql`insert into balance_transactions select * from damaged`,
        sql`drop table damaged`,
      ]
    },
    says: /in the stored rows: \d+ rows against \d+/,
    repair: 'prove anew',
  },
  {
    what: 'move a stored row into another payout',
    damage: async (db, chance) => {
      const payoutId = await aPayout(db, chance)
      return [
        sql`update balance_transactions set included_in_payout_id =
            (select payout_id from payout_proofs where payout_id <> ${payoutId}
              and own_first_created_s between 1710716400 and 1711321199
              order by payout_id limit 1)
          where id = ${await aSale(db, payoutId)}`,
      ]
    },
    says: /payout payout_\w+ in the report and in the stored rows/,
    repair: 'read again',
  },
]

async function withMail<T>(
  folder: string,
  work: (place: Workplace, mails: readonly string[], expected: Files) => Promise<T>,
): Promise<T> {
  const [shopDir, freshDir] = [join(folder, 'shop'), join(folder, 'undisturbed')]
  await Promise.all([mkdir(shopDir), mkdir(freshDir)])
  const expected = await undisturbedDemo(freshDir)
  const [place, mail] = await Promise.all([openWorkplace(shopDir), startMailServer()])
  Object.assign(place.env, {
    SMTP_URL: mail.url,
    MAIL_FROM: 'night@shop.example',
    MAIL_TO: 'books@shop.example',
  })
  try {
    return await work(place, mail.mails, expected)
  } finally {
    await Promise.all([place.close(), mail.close()])
  }
}

async function strike(
  { damage, says, repair }: Damage,
  { chance, folder }: Parameters<Blow['strike']>[0],
): Promise<Outcome> {
  return withMail(folder, async (place, mails, expected) => {
    const { db } = place.database
    const lost: string[] = []
    const before = await place.run(...RECONCILE, '--mail')
    if (before.exitCode !== 0) lost.push(`the run before ended with ${before.exitCode}`)
    const standing = await place.report(WEEK)
    for (const statement of await damage(db, chance)) await db.execute(statement)
    const refused = await place.run(...AS_STORED)
    const signed = await place.run('close', '--week', WEEK, '--as-of', AS_OF, '--by', 'Ada')
    for (const [command, { exitCode, out, err }] of [
      ['reconcile', refused],
      ['close', signed],
    ] as const) {
      if (exitCode !== 7)
        lost.push(`${command} ended with ${exitCode}, 7 was expected: ${out}${err}`)
      else if (!says.test(err)) lost.push(`${command} does not say ${String(says)}: ${err}`)
    }
    const spoilt = differingFiles(await place.report(WEEK), standing)
    if (spoilt.length > 0)
      lost.push(`${spoilt.join(', ')} of the standing report were written over`)
    if (mails.length !== 1) lost.push(`${mails.length} mails were sent, 1 was expected`)
    lost.push(...(await repaired(place, repair, expected)))
    return { ended: 'exit 7, right once repaired', lost, leaked: await place.leaks() }
  })
}

async function repaired(
  place: Workplace,
  repair: Damage['repair'],
  expected: Files,
): Promise<string[]> {
  const { db } = place.database
  if (repair === 'prove anew')
    await db.execute(sql`delete from balance_transactions where id like '%x' and length(id) > 46`)
  const offline = repair === 'prove anew' ? ['--offline'] : []
  const { exitCode, err } = await place.run(...RECONCILE, ...offline, '--full', '--mail')
  if (exitCode !== 0) return [`the repaired run ended with ${exitCode}: ${err}`]
  const wrong = differingFiles(await place.csvs(WEEK), expected)
  // A row that the provider shows otherwise than it is stored is a change, and told as one.
  const isTold = repair === 'read again' && !wrong.includes('settlements.csv')
  return wrong.length > 0 && !isTold
    ? [`once repaired the report is wrong in ${wrong.join(', ')}`]
    : []
}

/** The record of the report loses a row on its way into the database. */
async function loseRecord({ folder }: Parameters<Blow['strike']>[0]): Promise<Outcome> {
  return withMail(folder, async (place, mails, expected) => {
    const { db } = place.database
    const lost: string[] = []
    await db.execute(sql`create function swallow() returns trigger language plpgsql as
      'begin if new.code = ''line_not_paid_out'' then return null; end if; return new; end'`)
    await db.execute(sql`create trigger swallow before insert on reported_discrepancies
      for each row execute function swallow()`)
    const refused = await place.run(...RECONCILE, '--mail')
    if (refused.exitCode !== 7) lost.push(`it ended with ${refused.exitCode}: ${refused.err}`)
    else if (!/is not on record as it was written/.test(refused.err)) lost.push(refused.err)
    if (mails.length > 0) lost.push('a report was sent that is not on record')
    const [kept] = await db.execute<{ reports: number; pins: number }>(
      sql`select (select count(*)::int from period_reports) as reports, (select count(*)::int from matches) as pins`,
    )
    if (kept?.reports !== 0 || kept.pins !== 0) lost.push('half of the record was kept')
    await db.execute(sql`drop trigger swallow on reported_discrepancies`)
    const after = await place.run(...RECONCILE, '--mail')
    if (after.exitCode !== 0) lost.push(`the run after it ended with ${after.exitCode}`)
    const wrong = differingFiles(await place.csvs(WEEK), expected)
    if (wrong.length > 0) lost.push(`the report after it is wrong in ${wrong.join(', ')}`)
    if (mails.length !== 1) lost.push(`${mails.length} mails were sent, 1 was expected`)
    return { ended: 'exit 7, right once repaired', lost, leaked: await place.leaks() }
  })
}

/** A payout or a bank entry that a second match would consume: the database itself refuses. */
async function matchTwice({ folder }: Parameters<Blow['strike']>[0]): Promise<Outcome> {
  return withMail(folder, async (place) => {
    const { db } = place.database
    await place.run(...RECONCILE)
    const again = [
      sql`insert into match_payouts select * from match_payouts limit 1`,
      sql`insert into match_bank_entries select * from match_bank_entries limit 1`,
    ]
    const lost: string[] = []
    for (const statement of again) {
      const refused = await db.execute(statement).then(
        () => null,
        (error: unknown) => databaseErrorCode(error),
      )
      if (refused !== '23505') lost.push(`it was taken a second time (${String(refused)})`)
    }
    return { ended: 'refused by the database', lost, leaked: await place.leaks() }
  })
}

export const brokenInvariants: readonly Blow[] = [
  ...damages.map((damage): Blow => ({
    group: 'invariant',
    what: damage.what,
    strike: (at) => strike(damage, at),
  })),
  { group: 'invariant', what: 'lose a row of the report’s record', strike: loseRecord },
  {
    group: 'invariant',
    what: 'match a payout and a bank line a second time',
    strike: matchTwice,
  },
]
