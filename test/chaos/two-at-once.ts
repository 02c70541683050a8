/**
 * Two processes at one merchant's books: one waits for the other or ends with 6, and what they leave is
 * what one of them alone would have left: no row, match or mail twice.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { plant } from '../../src/sandbox/plant.ts'
import { startMailServer, subjectOf } from '../support/mail-server.ts'
import type { Blow, Outcome } from './blow.ts'
import {
  differingFiles,
  type Ended,
  type Files,
  openWorkplace,
  rowCounts,
  type Workplace,
} from './in-process.ts'

const DAY = '2024-03-25'
const MORNING_S = Date.parse(`${DAY}T05:30:00+01:00`) / 1000
const NIGHT = ['nightly', '--as-of', DAY] as const
const WEEK = '2024-W12'
/** A short ledger: what is tried here takes processes, not rows. */
const FROM = '2024-03-11'
/** The weeks of which a night of that day writes a report, or may. */
const WEEKS = ['2024-W11', WEEK, '2024-W13'] as const
/** Enough that each process is in the midst of something while the other begins. */
const LATENCY_MS = 15
const BEGIN_WITHIN_MS = 900
/** What a run may add, but no two of them twice. */
const TABLES = [
  'balance_transactions',
  'payments',
  'payment_refunds',
  'bank_files',
  'bank_entries',
  'bank_statements',
  'matches',
  'match_payouts',
  'match_bank_entries',
] as const

interface Meeting {
  readonly what: string
  /** Commands that begin one after the other within a moment. */
  readonly commands: readonly (readonly string[])[]
  /** What is done alone before them, here and where nobody meets. */
  readonly before?: readonly (readonly string[])[]
  /** What is done alone after them, and where nobody meets instead of them. */
  readonly after: readonly (readonly string[])[]
  /** Accounts; one unless said. */
  readonly accounts?: readonly string[]
  /** True: on the embedded Postgres, which neither of them has made yet. */
  readonly isEmbedded?: true
  /** Exit codes besides 0 and 6 that one of the commands may have. */
  readonly mayEnd?: readonly number[]
}

const WEEKLY = (week: string): readonly string[] => [
  'reconcile',
  '--week',
  week,
  '--as-of',
  DAY,
  '--mail',
]

const meetings: readonly Meeting[] = [
  { what: 'two nights', commands: [NIGHT, NIGHT], after: [NIGHT] },
  { what: 'three nights', commands: [NIGHT, NIGHT, NIGHT], after: [NIGHT] },
  { what: 'a night and a manual run', commands: [NIGHT, WEEKLY(WEEK)], after: [NIGHT] },
  {
    what: 'manual runs of two weeks',
    commands: [WEEKLY('2024-W11'), WEEKLY(WEEK)],
    after: [WEEKLY('2024-W11'), WEEKLY(WEEK)],
  },
  {
    what: 'a night and an import of the same bank files',
    commands: [NIGHT, ['import-bank']],
    after: [NIGHT],
  },
  {
    what: 'a close during a run',
    // With the plans of the day: else what is signed depends on whether the night has asked for them.
    before: [[...WEEKLY(WEEK), '--plans']],
    commands: [NIGHT, ['close', '--week', WEEK, '--by', 'Ada', '--as-of', DAY]],
    after: [NIGHT],
  },
  {
    what: 'two closes',
    before: [WEEKLY(WEEK)],
    commands: [
      ['close', '--week', WEEK, '--by', 'Ada', '--as-of', DAY],
      ['close', '--week', WEEK, '--by', 'Ben', '--as-of', DAY],
    ],
    after: [WEEKLY(WEEK)],
    // What is closed cannot be closed.
    mayEnd: [2],
  },
  {
    what: 'two nights of two entities that share the work',
    accounts: ['north', 'south'],
    commands: [
      [...NIGHT, '--workers', '1'],
      [...NIGHT, '--workers', '1'],
    ],
    after: [NIGHT],
  },
  {
    what: 'two first nights on an embedded database that is not there yet',
    commands: [NIGHT, NIGHT],
    after: [NIGHT],
    isEmbedded: true,
  },
]

/** What is left when all is done. */
interface Left {
  readonly reports: Files
  readonly rows: Readonly<Record<string, number>>
  readonly mails: readonly string[]
}

function worldOf({ accounts }: Meeting): SandboxWorld {
  const world = createWorld({ accounts: accounts ?? ['default'], salesPerDay: 4, from: FROM })
  for (const code of ['deposit_missing', 'deposit_unexpected', 'line_arithmetic'] as const) {
    plant(world, { code, period: WEEK })
  }
  world.nowS = MORNING_S
  return world
}

async function strike(
  meeting: Meeting,
  { chance, folder }: Parameters<Blow['strike']>[0],
): Promise<Outcome> {
  const alone = await withPlace(meeting, join(folder, 'alone'), async (place, mails) => {
    for (const command of [...(meeting.before ?? []), ...meeting.after]) {
      const { exitCode, err } = await place.run(...command)
      if (exitCode !== 0)
        throw new Error(`${command.join(' ')} alone ended with ${exitCode}: ${err}`)
    }
    return leftBy(place, mails)
  })
  return withPlace(meeting, join(folder, 'together'), async (place, mails) => {
    const lost: string[] = []
    for (const command of meeting.before ?? []) await place.run(...command)
    place.sandbox.switches.latencyMs = LATENCY_MS
    const ended = await Promise.all(
      meeting.commands.map(async (command, at) => {
        if (at > 0) await sleep(chance.whole(0, BEGIN_WITHIN_MS))
        const files = command[0] === 'import-bank' ? await filesIn(place.inbox) : []
        return place.start(...command, ...files).outcome
      }),
    )
    place.sandbox.switches.latencyMs = 0
    lost.push(...wrongEnds(meeting, ended))
    for (const command of meeting.after) {
      const { exitCode, err } = await place.run(...command)
      if (exitCode !== 0)
        lost.push(`${command.join(' ')} after them ended with ${exitCode}: ${err}`)
    }
    const left = await leftBy(place, mails)
    lost.push(...differencesOf(left, alone))
    const codes = ended.map(({ exitCode }) => exitCode).join(' and ')
    return { ended: `exits ${codes}, as one alone`, lost, leaked: await place.leaks() }
  })
}

async function withPlace<T>(
  meeting: Meeting,
  folder: string,
  work: (place: Workplace, mails: readonly string[]) => Promise<T>,
): Promise<T> {
  await mkdir(folder)
  const world = worldOf(meeting)
  const [place, mail] = await Promise.all([openWorkplace(folder, { world }), startMailServer()])
  // Processes of their own have no other clock, so nobody here has.
  place.clock.nowS = null
  Object.assign(place.env, {
    SMTP_URL: mail.url,
    MAIL_FROM: 'night@shop.example',
    MAIL_TO: 'books@shop.example',
  })
  if (meeting.isEmbedded === true) delete place.env['DATABASE_URL']
  if (world.accounts.length > 1) await nameEntities(place, world)
  try {
    return await work(place, mail.mails)
  } finally {
    await Promise.all([place.close(), mail.close()])
  }
}

async function nameEntities({ dir, env }: Workplace, { accounts }: SandboxWorld): Promise<void> {
  delete env['ALMA_API_KEY']
  env['ENTITIES_FILE'] = join(dir, 'entities.json')
  for (const { name, apiKey } of accounts) env[`KEY_${name.toUpperCase()}`] = apiKey
  const entities = accounts.map(({ name, iban }) => ({
    name,
    apiKeyEnv: `KEY_${name.toUpperCase()}`,
    ibans: [iban],
    mailTo: [`${name}@shop.example`],
  }))
  await writeFile(env['ENTITIES_FILE'], JSON.stringify(entities))
}

async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true })
  return found.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name))
}

function wrongEnds({ mayEnd = [], commands }: Meeting, ended: readonly Ended[]): string[] {
  const right = [0, 6, ...mayEnd]
  const wrong = ended.flatMap(({ exitCode, out, err }, at) =>
    exitCode !== null && right.includes(exitCode)
      ? []
      : [`${commands[at]?.join(' ')} ended with ${exitCode}: ${out}${err}`],
  )
  if (ended.every(({ exitCode }) => exitCode !== 0)) wrong.push('none of them came to its end')
  const silent = ended.filter(
    ({ exitCode, err }) => exitCode === 6 && !/another run|holds/i.test(err),
  )
  return [...wrong, ...silent.map(({ err }) => `exit 6 does not say who is in the way: ${err}`)]
}

async function leftBy(place: Workplace, mails: readonly string[]): Promise<Left> {
  const reports: Record<string, string> = {}
  for (const week of WEEKS) {
    for (const [name, text] of Object.entries(await place.report(week))) {
      if (name.endsWith('.csv')) reports[`${week}/${name}`] = text
    }
  }
  // An embedded database is not running any more; what it holds shows in the reports.
  const isEmbedded = !('DATABASE_URL' in place.env)
  const counts = isEmbedded ? {} : await rowCounts(place.database)
  const rows = Object.fromEntries(TABLES.map((table) => [table, counts[table] ?? 0]))
  return { reports, rows, mails: [...mails] }
}

/** The same for the same result to the same people, whoever sends it: so its id is made. */
function idOfMail(mail: string): string {
  const id = /^Message-ID: (.*)/im.exec(mail)?.[1]?.trim()
  if (id === undefined) throw new Error('a mail has no Message-ID')
  return id
}

function nameOfMail(mail: string): string {
  const to = /^To: (.*)/m.exec(mail)?.[1] ?? ''
  return `${subjectOf(mail)} to ${to.trim()}`
}

function differencesOf(left: Left, alone: Left): string[] {
  const faults = differingFiles(left.reports, alone.reports).map(
    (name) => `${name} is not as one alone makes it`,
  )
  for (const [table, rows] of Object.entries(alone.rows)) {
    if (left.rows[table] !== rows) {
      faults.push(`${table} holds ${left.rows[table]} rows, one alone leaves ${rows}`)
    }
  }
  const ids = left.mails.map(idOfMail)
  const twice = left.mails.filter((_, at) => ids.indexOf(ids[at] ?? '') !== at)
  faults.push(...twice.map((mail) => `mailed twice: ${nameOfMail(mail)}`))
  const told = new Set(left.mails.map(nameOfMail))
  const missing = alone.mails.map(nameOfMail).filter((name) => !told.has(name))
  faults.push(...missing.map((name) => `never mailed: ${name}`))
  return faults
}

export const twoAtOnce: readonly Blow[] = meetings.map((meeting) => ({
  group: 'two at once',
  what: meeting.what,
  strike: (at) => strike(meeting, at),
}))
