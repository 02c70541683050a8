/**
 * `npm run chaos -- --seed N --kills 200 --nights 60`: everything that can go wrong is done to the job,
 * and one table tells what, how often, how it ended, what was lost and what leaked. Exits with 1 if
 * anything was. A blow's numbers follow from the seed, its name and its count, so that one of them
 * can be repeated alone: `--seed N --blow 'its name' --nth COUNT`.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chanceOf } from '../../src/sandbox/chance.ts'
import { useTestServer } from '../support/database.ts'
import { startTestServer } from '../support/global-setup.ts'
import type { Blow, Outcome } from './blow.ts'
import { embeddedCrashes, forgetPrepared } from './crashes-embedded.ts'
import { forgetScenes, serverCrashes } from './crashes.ts'
import { databaseFaults } from './database-faults.ts'
import { diskFaults } from './disk.ts'
import { brokenInvariants } from './invariants.ts'
import { providerFaults } from './provider-faults.ts'
import { soakOf } from './soak.ts'
import { twoAtOnce } from './two-at-once.ts'

const OUTPUT = fileURLToPath(new URL('../output/chaos.md', import.meta.url))
const GROUPS: readonly Blow['group'][] = [
  'provider',
  'two at once',
  'invariant',
  'crash',
  'database',
  'disk',
  'soak',
]
const KILLS_DEFAULT = 200
const NIGHTS_DEFAULT = 60
/** How often each blow to the database is struck, and how many of them side by side. */
const DATABASE_TIMES = 3
const PATIENT_AT_ONCE = 3
/** Of each blow, so that one that goes quite wrong does not hide the others. */
const LOST_TOLD_MAX = 10
/** A blow that has not ended by then is one that the job did not survive. */
const BLOW_TIMEOUT_MS = 20 * 60_000

const USAGE = `Usage: npm run chaos -- [--seed 1] [--kills ${KILLS_DEFAULT}] [--nights ${NIGHTS_DEFAULT}] [--only crash,soak]

--seed   the same seed gives the same faults at the same places; by default one of today's
--kills  how often a process is killed, by turns at every kind of point
--nights how many nights in a row the soak has
--only   some of: ${GROUPS.join(', ')}
--blow   only blows whose name contains this text
--nth    with --blow: that one repetition of it
--at-once how many blows go on side by side (default: one for each core)
`

interface Plan {
  readonly seed: number
  readonly kills: number
  readonly nights: number
  readonly groups: readonly Blow['group'][]
  readonly blow: string
  readonly nth: number | null
  readonly atOnce: number
}

/** One repetition of a blow. */
interface Turn {
  readonly blow: Blow
  /** From 1. */
  readonly nth: number
}

interface Row {
  readonly blow: Blow
  readonly outcomes: Outcome[]
}

/** @returns what is wrong with the command line, as a text. */
function readPlan(values: Readonly<Record<string, string | undefined>>): Plan | string {
  const whole = (name: string, otherwise: number, least: number): number | string => {
    const typed = values[name]
    const number = typed === undefined ? otherwise : Number(typed)
    return Number.isSafeInteger(number) && number >= least
      ? number
      : `--${name}: found "${typed ?? ''}", expected a whole number from ${least}`
  }
  const today = Math.floor(Date.now() / 86_400_000)
  const seed = whole('seed', today, 0)
  const kills = whole('kills', KILLS_DEFAULT, 0)
  const nights = whole('nights', NIGHTS_DEFAULT, 1)
  const nth = whole('nth', 0, 0)
  const atOnce = whole('at-once', availableParallelism(), 1)
  for (const read of [seed, kills, nights, nth, atOnce]) if (typeof read === 'string') return read
  const asked = (values['only'] ?? '').split(',').filter((name) => name !== '')
  const unknown = asked.filter((name) => !GROUPS.some((known) => known === name))
  if (unknown.length > 0) {
    return `--only: found ${unknown.join(', ')}, expected some of ${GROUPS.join(', ')}`
  }
  return {
    seed: Number(seed),
    kills: Number(kills),
    nights: Number(nights),
    groups: GROUPS.filter((name) => asked.length === 0 || asked.includes(name)),
    blow: values['blow'] ?? '',
    nth: Number(nth) === 0 ? null : Number(nth),
    atOnce: Number(atOnce),
  }
}

/** What is done, in the order of the table. */
function turnsOf({ kills, nights, groups, blow: wanted, nth }: Plan): Turn[] {
  const once = [...providerFaults, ...twoAtOnce, ...brokenInvariants]
  const killed = [...serverCrashes, ...embeddedCrashes]
  const rest = [...databaseFaults, ...diskFaults, soakOf(nights)]
  const times = (blow: Blow): number => {
    const at = killed.indexOf(blow)
    if (blow.group === 'database') return DATABASE_TIMES
    if (at === -1) return 1
    return Math.floor(kills / killed.length) + (at < kills % killed.length ? 1 : 0)
  }
  return [...once, ...killed, ...rest]
    .filter(({ group, what }) => groups.includes(group) && what.includes(wanted))
    .flatMap((blow) => Array.from({ length: times(blow) }, (_, at) => ({ blow, nth: at + 1 })))
    .filter((turn) => nth === null || turn.nth === nth)
}

async function strikeAll(turns: readonly Turn[], plan: Plan, folder: string): Promise<Row[]> {
  const rows = new Map<Blow, Row>()
  for (const { blow } of turns) rows.set(blow, { blow, outcomes: [] })
  // What takes longest begins first; the table keeps its order.
  const isSoak = ({ blow }: Turn): boolean => blow.group === 'soak'
  const isPatient = ({ blow }: Turn): boolean => blow.group === 'database'
  const busy = turns.filter((turn) => !isPatient(turn))
  const lanes = [
    {
      waiting: [...busy.filter(isSoak), ...busy.filter((turn) => !isSoak(turn))],
      atOnce: plan.atOnce,
    },
    // Whoever is cut off from the database waits most of the time, and takes nobody's turn.
    { waiting: turns.filter(isPatient), atOnce: PATIENT_AT_ONCE },
  ]
  // Ctrl-C ends it with the table of what was done until then, and everything given back.
  const stop = (): void => {
    for (const { waiting } of lanes) waiting.length = 0
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  let done = 0
  const work = async (waiting: Turn[]): Promise<void> => {
    for (let turn = waiting.shift(); turn !== undefined; turn = waiting.shift()) {
      const outcome = await strikeOne(turn, plan, await mkdtemp(path.join(folder, 'blow-')))
      rows.get(turn.blow)?.outcomes.push(outcome)
      done += 1
      tell(turn, outcome, plan, `${done}/${turns.length}`)
    }
  }
  await Promise.all(
    lanes.flatMap(({ waiting, atOnce }) => Array.from({ length: atOnce }, () => work(waiting))),
  )
  return [...rows.values()].filter(({ outcomes }) => outcomes.length > 0)
}

async function strikeOne({ blow, nth }: Turn, { seed }: Plan, folder: string): Promise<Outcome> {
  const chance = chanceOf(`chaos/${seed}/${blow.what}/${nth}`)
  const patience = new AbortController()
  const late = new Promise<Outcome>((resolve) => {
    const timer = setTimeout(() => {
      resolve({ ended: 'never', lost: ['it did not end in time'], leaked: [] })
    }, BLOW_TIMEOUT_MS)
    patience.signal.addEventListener('abort', () => clearTimeout(timer))
  })
  try {
    return await Promise.race([blow.strike({ chance, folder }), late])
  } catch (error) {
    const said = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { ended: 'failed', lost: [`the blow itself failed: ${said}`], leaked: [] }
  } finally {
    patience.abort()
    await rm(folder, { recursive: true, force: true })
  }
}

function isBad({ lost, leaked }: Outcome): boolean {
  return lost.length + leaked.length > 0
}

function tell(
  { blow, nth }: Turn,
  outcome: Outcome,
  { seed, kills, nights }: Plan,
  at: string,
): void {
  process.stderr.write(`${at} ${blow.group}: ${blow.what} (${nth}): ${outcome.ended}\n`)
  if (!isBad(outcome)) return
  for (const text of outcome.lost.slice(0, LOST_TOLD_MAX)) process.stderr.write(`  LOST ${text}\n`)
  for (const text of outcome.leaked) process.stderr.write(`  LEAKED ${text}\n`)
  process.stderr.write(
    `  again: npm run chaos -- --seed ${seed} --kills ${kills} --nights ${nights} --only '${blow.group}' --blow '${blow.what}' --nth ${nth}\n`,
  )
}

function tableOf(rows: readonly Row[]): string {
  const cell = (text: string): string => text.replaceAll(/\s*\n\s*/g, ' ').replaceAll('|', '\\|')
  return [
    '| what | how often | how it ended | lost | leaked |',
    '| --- | ---: | --- | ---: | ---: |',
    ...rows.map(({ blow, outcomes }) => {
      const lost = outcomes.reduce((sum, outcome) => sum + outcome.lost.length, 0)
      const leaked = outcomes.reduce((sum, outcome) => sum + outcome.leaked.length, 0)
      return `| ${blow.group}: ${cell(blow.what)} | ${outcomes.length} | ${cell(endsOf(outcomes))} | ${lost} | ${leaked} |`
    }),
  ].join('\n')
}

/** Each way in which it ended, with its count where there are several. */
function endsOf(outcomes: readonly Outcome[]): string {
  const counts = new Map<string, number>()
  for (const { ended } of outcomes) counts.set(ended, (counts.get(ended) ?? 0) + 1)
  if (counts.size === 1) return [...counts.keys()].join('')
  return [...counts]
    .toSorted(([, one], [, other]) => other - one)
    .map(([ended, count]) => `${ended} (${count})`)
    .join('; ')
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      kills: { type: 'string' },
      nights: { type: 'string' },
      only: { type: 'string' },
      blow: { type: 'string' },
      nth: { type: 'string' },
      'at-once': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  const { help, ...typed } = values
  if (help === true) {
    process.stdout.write(USAGE)
    return 0
  }
  const plan = readPlan(typed)
  if (typeof plan === 'string') {
    process.stderr.write(`${plan}\n${USAGE}`)
    return 2
  }
  const turns = turnsOf(plan)
  if (turns.length === 0) {
    process.stderr.write(`nothing is called so\n${USAGE}`)
    return 2
  }
  const startedMs = performance.now()
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-chaos-'))
  const { server, stop } = await startTestServer()
  useTestServer(server)
  try {
    process.stderr.write(`seed ${plan.seed}, ${turns.length} blows\n`)
    const rows = await strikeAll(turns, plan, folder)
    const bad = rows.flatMap(({ outcomes }) => outcomes).filter(isBad).length
    const minutes = Math.round((performance.now() - startedMs) / 6_000) / 10
    const verdict = bad === 0 ? 'Nothing was lost, nothing leaked.' : `Blows that hit: ${bad}.`
    const struck = rows.reduce((sum, { outcomes }) => sum + outcomes.length, 0)
    const head = `Seed ${plan.seed}: ${struck} of ${turns.length} blows in ${minutes} minutes.`
    const text = `${head}\n\n${tableOf(rows)}\n\n${verdict}\n`
    await mkdir(path.dirname(OUTPUT), { recursive: true })
    await writeFile(OUTPUT, text)
    process.stdout.write(text)
    return bad === 0 ? 0 : 1
  } finally {
    await forgetScenes()
    await forgetPrepared()
    await stop()
    await rm(folder, { recursive: true, force: true })
  }
}

process.exitCode = await main()
