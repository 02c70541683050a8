/**
 * Many nights in a row on one merchant: every night has new sales, payouts, statements and refunds,
 * breaks that become visible on days that the contract settles, money that comes late, rows that change
 * under our eyes, weeks that are closed, and a provider, a mail server and a machine that fail at
 * random. After every night the reports must show what is broken by then, and nothing else.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'csv-parse/sync'
import { sql } from 'drizzle-orm'
import { Interruption } from '../../jobs/run-command.ts'
import { addDays, type Day, dayOfInstant, parseDay, startOfDay } from '../../src/domain/day.ts'
import { weekOf } from '../../src/domain/period.ts'
import { addBusinessDays } from '../../src/domain/target-calendar.ts'
import type { Chance } from '../../src/sandbox/chance.ts'
import type { Fault } from '../../src/sandbox/faults.ts'
import { plant, type Planted, type PlantedCode } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { type Outcome as Ended, signalGroup } from '../e2e/job.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import type { Blow, Outcome } from './blow.ts'
import { nightly } from './crashes.ts'
import { decodedParts } from './leaks.ts'
import {
  isGoing,
  leaksInDatabase,
  type Merchant,
  messageIdOf,
  openMerchant,
  saidBy,
} from './merchant.ts'

const ZONE = 'Europe/Paris'
const FIRST_SALE = parseDay('2024-02-26')
const FIRST_NIGHT = parseDay('2024-03-05')
/** Settings of the contract that say on which night something is to be told. */
const MATCH_WINDOW_DAYS = 5
const UNPAID_AFTER_DAYS = 10
/** A week is closed so long after its end, when its late money has come. */
const CLOSED_AFTER_WEEKS = 4
const TRIES_MAX = 4
/** After so many nights some mail has told what is new since the last one. */
const NEWS_EXPECTED_AFTER_NIGHTS = 15
const OPEN = new Set(['new', 'open', 'reopened'])
/** Sentences about one fault would only repeat themselves night after night. */
const TOLD_MAX = 12

/** Something that the reports have to show from one night on. */
interface Expectation {
  readonly planted: Planted
  readonly code: string
  /** The first night that may show it. */
  readonly from: Day
  /** The first night that has to show it: the same, where the contract settles it. */
  readonly by: Day
  /** The first night that shows it as cleared; null: it stays. */
  readonly until: Day | null
}

type ReportRow = Readonly<Record<string, string>>

interface Soak {
  readonly merchant: Merchant
  readonly database: TestDatabase
  readonly chance: Chance
  readonly expectations: Expectation[]
  readonly lost: string[]
  /** How often each kind of trouble came. */
  readonly troubles: Map<string, number>
  /** Discrepancy ids by code and key: one for life. */
  readonly ids: Map<string, string>
  readonly told: Set<Expectation>
  /** Mails that came twice because of a kill. */
  readonly excused: Set<string>
  /** What mails told as new, and which mails were read for that. */
  readonly news: { readonly told: Set<string>; readonly mails: Set<string> }
  readonly closed: string[]
  accepted: string | null
}

/** The night after the moment of something, which is known to provider or bank by then. */
function nightAfterInstant(createdS: number): Day {
  const day = dayOfInstant(createdS, ZONE)
  return createdS <= startOfDay(day, ZONE) + 5.5 * 3600 ? day : addDays(day, 1)
}

function rowOf({ accounts }: SandboxWorld, id: string | undefined) {
  return accounts.flatMap(({ rows }) => rows).find((row) => row.id === id)
}

function payoutCreatedS({ accounts }: SandboxWorld, id: string | undefined): number {
  const rows = accounts.flatMap((account) => account.rows)
  return rows.find(({ payout_id }) => payout_id === id)?.created ?? 0
}

function refundOf({ accounts }: SandboxWorld, id: string | undefined) {
  const payments = accounts.flatMap((account) => [...account.payments.values()])
  return payments.flatMap(({ refunds }) => refunds).find((refund) => refund.id === id)
}

function lineOf({ bankAccounts }: SandboxWorld, { key }: Planted) {
  const lines = bankAccounts.flatMap((account) => account.lines)
  return lines.find(
    ({ bankReference, payoutId }) =>
      bankReference === key.bank_reference ||
      (payoutId !== undefined && payoutId === key.payout_id),
  )
}

function nightAfterDay(day: string): Day {
  return addDays(parseDay(day), 1)
}

type FirstNight = (world: SandboxWorld, planted: Planted) => Day

const withPayout: FirstNight = (world, { key }) =>
  nightAfterInstant(payoutCreatedS(world, key.payout_id))

const withRow: FirstNight = (world, { key }) =>
  nightAfterInstant(rowOf(world, key.balance_transaction_id)?.created ?? 0)

/** An export holds whole days, but on the first day of its week, which is asked for as it is. */
const withExport: FirstNight = (world, { key }) => {
  const createdS = rowOf(world, key.balance_transaction_id)?.created ?? 0
  const day = dayOfInstant(createdS, ZONE)
  return weekOf(day).first === day ? nightAfterInstant(createdS) : addDays(day, 1)
}

const withLine: FirstNight = (world, planted) =>
  nightAfterDay(lineOf(world, planted)?.bookingDay ?? FIRST_SALE)

/** The ledger's row of the refund, whatever the payment says of it. */
const withRefundRow: FirstNight = ({ accounts }, { key }) => {
  const rows = accounts.flatMap((account) => account.rows)
  return nightAfterInstant(rows.find(({ refund_id }) => refund_id === key.refund_id)?.created ?? 0)
}

/** The night after the window's last day, whose statement is there by then. */
const afterWindow: FirstNight = (world, { key }) =>
  addDays(
    addBusinessDays(dayOfInstant(payoutCreatedS(world, key.payout_id), ZONE), MATCH_WINDOW_DAYS),
    1,
  )

const unpaidSince = (instantS: number): Day =>
  addDays(addBusinessDays(dayOfInstant(instantS, ZONE), UNPAID_AFTER_DAYS), 1)

/** When each kind of break is to be told first, in the contract's own terms. */
const FIRST_NIGHTS = {
  payout_residual: withPayout,
  payout_empty: withPayout,
  payout_duplicate: withPayout,
  line_arithmetic: withRow,
  line_sign: withRow,
  line_duplicate: withRow,
  line_unknown_kind: withRow,
  line_not_paid_out: (world, { key }) =>
    unpaidSince(rowOf(world, key.balance_transaction_id)?.available_on ?? 0),
  export_differs: withExport,
  vat_mismatch: withExport,
  export_lacks: withExport,
  refund_amount: withRefundRow,
  refund_unknown: withRefundRow,
  refund_without_payment: withRefundRow,
  refund_not_deducted: (world, { key }) =>
    unpaidSince(refundOf(world, key.refund_id)?.created ?? 0),
  deposit_missing: afterWindow,
  deposit_late: afterWindow,
  deposit_amount: withLine,
  deposit_unexpected: withLine,
  debit_unexpected: withLine,
  deposit_duplicate: withLine,
  // It arrives, and goes back two days later.
  deposit_returned: (world, planted) =>
    nightAfterDay(addBusinessDays(parseDay(lineOf(world, planted)?.bookingDay ?? FIRST_SALE), 2)),
} as const satisfies Partial<Record<PlantedCode, FirstNight>>

type SoakCode = keyof typeof FIRST_NIGHTS

const CODES = Object.keys(FIRST_NIGHTS) as SoakCode[]

/** Late money is missing first, and that is cleared on the night on which it is found to be late. */
function expectationsOf(world: SandboxWorld, planted: Planted, code: SoakCode): Expectation[] {
  const from = FIRST_NIGHTS[code](world, planted)
  // On which basis an export shows its VAT, the few rows of a Monday morning may not tell yet.
  const by = code === 'vat_mismatch' ? addDays(from, 1) : from
  if (code !== 'deposit_late') return [{ planted, code, from, by, until: null }]
  const came = withLine(world, planted)
  return [
    { planted, code: 'deposit_missing', from, by, until: came },
    { planted, code, from: came, by: came, until: null },
  ]
}

function tryToPlant(world: SandboxWorld, code: PlantedCode, period: string): Planted | null {
  try {
    return plant(world, { code, period })
  } catch (error) {
    // A small week has not room for everything.
    if (error instanceof Error && error.message.startsWith('there is no ')) return null
    throw error
  }
}

/** Every week has breaks of some kinds; over the weeks all kinds come, in an order of chance. */
function plantWeeks(world: SandboxWorld, chance: Chance, nights: number): Expectation[] {
  const expectations: Expectation[] = []
  const waiting: SoakCode[] = []
  const lastNight = addDays(FIRST_NIGHT, nights)
  for (
    let week = weekOf(FIRST_NIGHT);
    week.first <= lastNight;
    week = weekOf(addDays(week.last, 1))
  ) {
    if (waiting.length < 4) waiting.push(...shuffled(chance, CODES))
    for (const code of waiting.splice(0, 4)) {
      const planted = tryToPlant(world, code, week.label)
      if (planted === null) waiting.push(code)
      else expectations.push(...expectationsOf(world, planted, code))
    }
  }
  return expectations
}

function shuffled<T>(chance: Chance, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: chance.fraction() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ item }) => item)
}

// ---------------------------------------------------------------------------------- one night

/** What retries overcome, or what ends a night with exit 4. */
const PASSING_FAULTS: readonly (readonly [name: string, fault: Fault])[] = [
  ['429', { do: 'status', status: 429, headers: { 'retry-after': '1' } }],
  ['500', { do: 'status', status: 500 }],
  ['503', { do: 'status', status: 503 }],
  ['reset before handling', { do: 'reset', at: 'before_handling' }],
  ['reset before the body', { do: 'reset', at: 'before_body' }],
  ['reset in the body', { do: 'reset', at: 'in_body' }],
  ['reset after the body', { do: 'reset', at: 'after_body' }],
  ['truncated JSON', { do: 'truncate' }],
  ['HTML', { do: 'html' }],
  ['a short page', { do: 'short_page', rows: 3 }],
  ['a slow answer', { do: 'delay', ms: 80 }],
]

const FAILING = 'a provider that fails now and then'

type Trouble = (soak: Soak, day: Day) => Promise<Ended>

const night: Trouble = ({ merchant }, day) => merchant.runHere(nightly(day))

const troubles: readonly (readonly [name: string, share: number, trouble: Trouble])[] = [
  ['a quiet night', 0.3, night],
  [
    FAILING,
    0.35,
    (soak, day) => {
      const { sandbox } = soak.merchant
      for (let rules = soak.chance.whole(1, 3); rules > 0; rules -= 1) {
        const [, fault] = soak.chance.one(PASSING_FAULTS)
        const nth = soak.chance.whole(1, 25)
        sandbox.script({ when: (at) => at === nth || at === nth + 1, fault })
      }
      return night(soak, day)
    },
  ],
  [
    'a provider that is down',
    0.08,
    (soak, day) => {
      const from = soak.chance.whole(1, 30)
      const fault: Fault = { do: 'reset', at: 'before_handling' }
      soak.merchant.sandbox.script({ when: (nth) => nth >= from, fault })
      return night(soak, day)
    },
  ],
  [
    'a mail server that refuses',
    0.08,
    (soak, day) => {
      soak.merchant.mail.refusing = true
      return night(soak, day)
    },
  ],
  [
    'Ctrl-C',
    0.09,
    async (soak, day) => {
      const stop = new AbortController()
      const running = soak.merchant.runHere(nightly(day), stop.signal)
      await sleep(soak.chance.whole(50, 900))
      stop.abort(new Interruption('SIGINT'))
      return running
    },
  ],
  [
    'SIGKILL',
    0.1,
    async ({ merchant, chance }, day) => {
      const running = merchant.start(...nightly(day))
      await sleep(chance.whole(300, 2_500))
      if (isGoing(running)) signalGroup(running, 'SIGKILL')
      return running.outcome
    },
  ],
]

function drawTrouble(chance: Chance): (typeof troubles)[number] {
  let left = chance.fraction()
  for (const drawn of troubles) {
    left -= drawn[1]
    if (left < 0) return drawn
  }
  return ['a quiet night', 1, night]
}

/** The night, and the same command again until it ends well: what cron or a person does. */
async function passNight(soak: Soak, day: Day): Promise<void> {
  const { merchant, chance, lost } = soak
  await merchant.wakeOn(day)
  const [name, , trouble] = drawTrouble(chance)
  soak.troubles.set(name, (soak.troubles.get(name) ?? 0) + 1)
  const mailsBefore = merchant.mail.mails.length
  let ended = await trouble(soak, day)
  const isKill = name === 'SIGKILL' || name === 'Ctrl-C'
  for (let tries = 1; ended.exitCode !== 0; tries += 1) {
    // An export that came damaged is rejected (5), and asked for anew by the next run.
    const isRight =
      ended.exitCode === 4 ||
      (name === FAILING && ended.exitCode === 5) ||
      (isKill && [null, 130].includes(ended.exitCode))
    if (!isRight || tries > TRIES_MAX) {
      lost.push(`night of ${day}, ${name}: ${saidBy(ended)}`)
      return
    }
    merchant.sandbox.clearScript()
    merchant.mail.refusing = false
    ended = await night(soak, day)
  }
  merchant.sandbox.clearScript()
  merchant.mail.refusing = false
  await checkNight(soak, day, merchant.mail.mails.slice(mailsBefore), isKill)
}

async function discrepancies(merchant: Merchant): Promise<readonly (readonly ReportRow[])[]> {
  const reports = await merchant.reports()
  return Object.entries(reports)
    .filter(([name]) => name.endsWith('discrepancies.csv'))
    .map(([, text]) => parse(text, { columns: true, bom: true }))
}

function isAbout({ planted, code }: Expectation, row: ReportRow): boolean {
  if (row['code'] !== code) return false
  const { key } = planted
  const columns =
    code === 'deposit_missing' || code === 'deposit_late'
      ? ([['payout_id', key.payout_id]] as const)
      : Object.entries(key)
  return columns.every(([column, value]) => value === undefined || row[column] === value)
}

async function checkNight(
  soak: Soak,
  day: Day,
  mails: readonly string[],
  isKill: boolean,
): Promise<void> {
  const { lost, expectations, told, merchant } = soak
  const reports = await discrepancies(merchant)
  const rows = reports.flat()
  const isOpen = (row: ReportRow): boolean => OPEN.has(row['status'] ?? '')
  for (const expectation of expectations) {
    const { code, from, by, until, planted } = expectation
    const about = rows.filter((row) => isAbout(expectation, row))
    const name = `${code} ${JSON.stringify(planted.key)}`
    const isDue = day >= from && (until === null || day < until)
    const [row] = about
    if (isDue && day >= by && row === undefined) {
      lost.push(`night of ${day}: ${name}, to be told from ${by}, is in no report`)
    }
    if (day < from && row !== undefined) lost.push(`night of ${day}: ${name} told before ${from}`)
    if (until !== null && day >= until) {
      if (about.some(isOpen)) lost.push(`night of ${day}: ${name} is open, cleared on ${until}`)
      if (!about.some(({ status }) => status === 'cleared')) {
        lost.push(`night of ${day}: ${name} is not told as cleared, which it was on ${until}`)
      }
    }
    if (isDue && row !== undefined && !told.has(expectation)) {
      told.add(expectation)
      const id = row['discrepancy_id'] ?? ''
      const isMailed = mails.some((mail) => decodedParts(mail).some((part) => part.includes(id)))
      // A mail that went out just before the kill may be one of an earlier try of this night.
      if (!isMailed)
        lost.push(`night of ${day}: ${name} is in no mail of the night on which it is new`)
    }
  }
  for (const row of rows.filter(isOpen)) {
    const isKnown = expectations.some(
      (expectation) =>
        isAbout(expectation, row) &&
        day >= expectation.from &&
        (expectation.until === null || day < expectation.until),
    )
    if (!isKnown) lost.push(`night of ${day}: invented ${row['code']} ${row['explanation']}`)
  }
  checkOnce(soak, day, reports)
  checkMails(soak, day, isKill)
  for (const mail of mails) checkNews(soak, day, mail)
}

/** One row for one thing in each report, and the same id in all of them and for good. */
function checkOnce(
  { ids, lost }: Soak,
  day: Day,
  reports: readonly (readonly ReportRow[])[],
): void {
  for (const rows of reports) {
    const seen = new Set<string>()
    for (const row of rows) {
      const id = row['discrepancy_id'] ?? ''
      if (seen.has(id)) lost.push(`night of ${day}: ${row['code']} ${id} is told twice`)
      seen.add(id)
      const keys = [
        'payout_id',
        'balance_transaction_id',
        'payment_id',
        'refund_id',
        'bank_reference',
      ]
      const key = [row['code'], ...keys.map((column) => row[column])].join(' ')
      const before = ids.get(key)
      if (before !== undefined && before !== id) {
        lost.push(`night of ${day}: ${key} was ${before} and is ${id}`)
      }
      ids.set(key, id)
    }
  }
}

/** The same result is mailed once. Between a mail and the note of it a kill may come, and one more. */
function checkMails({ merchant, excused, lost }: Soak, day: Day, isKill: boolean): void {
  const ids = merchant.mail.mails.map(messageIdOf)
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at)
  for (const id of twice) {
    if (isKill) excused.add(id)
    else if (!excused.has(id)) lost.push(`night of ${day}: mail ${id} came twice`)
  }
}

/** `New since the mail of …` and what stands below it, up to the next empty line. */
const NEWS = /^(New|Gone) since the mail of .*\n((?:- .*(?:\n|$))+)/gm
/** What it is, how much it is about and since when; that is one thing in a period. */
const TOLD = /^- (\w+(?: -?[\d.]+ [A-Z]{3})?), [^,]+, since (\S+):/gm

/** What the readers of a week's mails were told as new is not new to them again, unless it was gone. */
function checkNews({ news, lost }: Soak, day: Day, mail: string): void {
  const id = messageIdOf(mail)
  if (news.mails.has(id)) return
  news.mails.add(id)
  const period = /^Subject: Alma (\S+):/m.exec(mail)?.[1] ?? ''
  const plain = decodedParts(mail).at(-1)?.replaceAll('\r', '') ?? ''
  for (const [, kind, lines = ''] of plain.matchAll(NEWS)) {
    for (const [, what = '', since = ''] of lines.matchAll(TOLD)) {
      const told = `${period}: ${what} since ${since}`
      if (kind === 'Gone') news.told.delete(told)
      else if (news.told.has(told)) lost.push(`night of ${day}: mailed as new again: ${told}`)
      else news.told.add(told)
    }
  }
}

// ------------------------------------------------------------------------------ between nights

/** Something that the next night sees. */
function seenBy(nextNight: Day, planted: Planted): Expectation {
  return { planted, code: planted.code, from: nextNight, by: nextNight, until: null }
}

/** Rows that change or vanish after a night has seen them, which the next one has to tell. */
function changeRows({ merchant: { world }, chance, expectations }: Soak, nextDay: Day): void {
  if (!chance.happens(0.15)) return
  const code = chance.one(['line_changed', 'line_vanished'] as const)
  const planted = tryToPlant(world, code, weekOf(addDays(nextDay, -1)).label)
  if (planted !== null) expectations.push(seenBy(nextDay, planted))
}

/** Mondays: the week that ended some weeks ago is signed. */
async function closeWeek({ merchant, lost, closed }: Soak, day: Day): Promise<void> {
  const { label, last } = weekOf(addDays(day, -7 * CLOSED_AFTER_WEEKS))
  const isMonday = weekOf(day).first === day
  if (!isMonday || last < FIRST_NIGHT) return
  const ended = await merchant.runHere(['close', '--week', label, '--by', 'Marie'])
  if (ended.exitCode !== 0) lost.push(`closing ${label} on ${day}: ${saidBy(ended)}`)
  closed.push(label)
}

/**
 * A row of a signed week changes, and somebody makes its report again: the change stands there, and on
 * the next night in the report of the week in which it was seen.
 */
async function changeSigned(soak: Soak, day: Day): Promise<void> {
  const { merchant, lost, closed, chance, expectations } = soak
  const week = closed.at(-1)
  const isWednesday = addDays(weekOf(day).first, 2) === day
  if (week === undefined || !isWednesday || !chance.happens(0.7)) return
  const planted = tryToPlant(merchant.world, 'late_change', week)
  if (planted === null) return
  const ended = await merchant.runHere(['reconcile', '--week', week, '--as-of', day])
  if (ended.exitCode !== 0) lost.push(`${week} made again on ${day}: ${saidBy(ended)}`)
  expectations.push({ ...seenBy(addDays(day, 1), planted), from: day })
}

/** Once, something is written off. */
async function acceptOne(soak: Soak, day: Day): Promise<void> {
  if (soak.accepted !== null) return
  const rows = (await discrepancies(soak.merchant)).flat()
  const open = rows.find(({ code, status }) => code === 'payout_residual' && status === 'open')
  const id = open?.['discrepancy_id']
  if (id === undefined) return
  const reason = ['--by', 'Marie', '--reason', 'agreed with the provider']
  const ended = await soak.merchant.runHere(['decide', 'accept', '--discrepancy', id, ...reason])
  if (ended.exitCode !== 0) soak.lost.push(`accepting ${id} on ${day}: ${saidBy(ended)}`)
  soak.accepted = id
}

// --------------------------------------------------------------------------------- the whole

export function soakOf(nights: number): Blow {
  return {
    group: 'soak',
    what: `${nights} nights in a row`,
    strike: async ({ chance, folder }) => {
      const lastNight = addDays(FIRST_NIGHT, nights - 1)
      const world = createWorld({
        seed: chance.whole(1, 1_000_000),
        salesPerDay: 5,
        from: FIRST_SALE,
        to: addDays(lastNight, 5),
      })
      const expectations = plantWeeks(world, chance, nights)
      const database = await createTestDatabase()
      const merchant = await openMerchant({ folder, databaseUrl: database.url, world })
      const soak: Soak = {
        merchant,
        database,
        chance,
        expectations,
        lost: [],
        troubles: new Map(),
        ids: new Map(),
        told: new Set(),
        excused: new Set(),
        news: { told: new Set(), mails: new Set() },
        closed: [],
        accepted: null,
      }
      try {
        return await soakThrough(soak, nights)
      } finally {
        await merchant.close()
        await database.drop()
      }
    },
  }
}

async function soakThrough(soak: Soak, nights: number): Promise<Outcome> {
  const { merchant, database, lost, expectations } = soak
  for (let at = 0; at < nights; at += 1) {
    const day = addDays(FIRST_NIGHT, at)
    await passNight(soak, day)
    if (lost.length > TOLD_MAX) break
    await closeWeek(soak, day)
    await changeSigned(soak, day)
    if (at > nights / 2) await acceptOne(soak, day)
    changeRows(soak, addDays(day, 1))
  }
  lost.push(...(await missingRows(soak)))
  const told = expectations.filter((expectation) => soak.told.has(expectation)).length
  if (nights > NEWS_EXPECTED_AFTER_NIGHTS && soak.news.told.size === 0) {
    lost.push('no mail told of anything new since the last one, so this was not looked at')
  }
  const counts = [...soak.troubles].map(([name, count]) => `${name} ${count}`).join(', ')
  return {
    ended: `${told} breaks told on their night (${counts}; ${soak.closed.length} weeks closed)`,
    lost: lost.slice(0, TOLD_MAX),
    leaked: [...(await merchant.leaks()), ...(await leaksInDatabase(database.db, merchant.world))],
  }
}

/** Every row that the provider shows by now is stored, and no other. */
async function missingRows({ merchant: { world }, database }: Soak): Promise<string[]> {
  const { nowS = 0 } = world
  const shown = world.accounts
    .flatMap(({ rows }) => rows)
    .filter(({ created }) => created <= nowS)
    .map(({ id }) => id)
  const stored = await database.db.execute<{ id: string }>(
    sql`select id from balance_transactions where vanished_run_id is null`,
  )
  const ids = new Set(stored.map(({ id }) => id))
  const missing = shown.filter((id) => !ids.has(id))
  return [
    ...missing.map((id) => `row ${id} of the provider is not stored`),
    ...(ids.size > shown.length - missing.length ? ['rows are stored that are not there'] : []),
  ]
}
