import {
  type Day,
  addDays,
  dayOfInstant,
  daysBetween,
  parseDay,
  startOfDay,
} from '../domain/day.ts'
import { keyOf } from '../domain/discrepancy-key.ts'
import type { Policy } from '../domain/facts.ts'
import { type Period, parsePeriod } from '../domain/period.ts'
import { reconcile } from '../domain/reconcile.ts'
import { DISCREPANCY_CODES, type DiscrepancyRow } from '../domain/reconciliation.ts'
import { addBusinessDays } from '../domain/target-calendar.ts'
import { booksOf, type Look, lookAt } from './books.ts'
import { type Chance, chanceOf } from './chance.ts'
import { gatherInMemory } from './gather.ts'
import type { SandboxWorld } from './model.ts'
import { plant, type Planted, type PlantedBreak, type PlantedCode } from './plant.ts'
import { DEFAULT_SWITCHES, type SandboxSwitches } from './switches.ts'
import { createWorld, type WorldOptions } from './world.ts'

/**
 * The proof of judgement, one seed at a time: a clean world in which nothing may be found, then one
 * to five breaks in it of which each must be found under its key and nothing else.
 */

/** The weeks, months and ranges in which breaks are planted, with the world's days around them. */
const FRAMES = [
  // Good Friday and Easter Monday of 2024 and 2025, summer time between them.
  { from: '2024-02-26', to: '2024-04-05', period: '2024-W12' },
  { from: '2024-03-04', to: '2024-04-12', period: '2024-W13' },
  { from: '2024-03-11', to: '2024-04-19', period: '2024-W14' },
  { from: '2025-03-24', to: '2025-05-05', period: '2025-W16' },
  { from: '2024-02-20', to: '2024-04-05', period: '2024-03' },
  // 1 May is closed, 8 May is not.
  { from: '2024-04-08', to: '2024-05-17', period: '2024-W18' },
  { from: '2024-04-08', to: '2024-05-17', period: '2024-W19' },
  // 14 July.
  { from: '2025-06-23', to: '2025-07-25', period: '2025-W28' },
  // Christmas, and a year of 53 weeks.
  { from: '2023-11-27', to: '2024-01-12', period: '2023-W51' },
  { from: '2023-12-04', to: '2024-01-19', period: '2023-12-18_2024-01-07' },
  { from: '2020-12-07', to: '2021-01-15', period: '2020-W53' },
  // The end of summer time.
  { from: '2024-10-07', to: '2024-11-15', period: '2024-W43' },
  { from: '2024-10-07', to: '2024-11-15', period: '2024-W44' },
] as const

export const TRIAL_POLICY: Policy = {
  zone: 'Europe/Paris',
  matchWindowDays: 5,
  lateWindowDays: 20,
  unpaidAfterDays: 10,
}

const BREAKS_MAX = 5
/** All windows are over so long after the last sale, and what waits for a payout is overdue. */
const DAYS_UNTIL_JUDGED = 60
const CLEAN_LOOKS = 3

export interface Trial {
  readonly seed: number
  readonly world: WorldOptions
  readonly switches: SandboxSwitches
  readonly hasContract: boolean
  readonly period: Period
  readonly asOf: Day
  /** Days on which the provider is asked for its plans, besides those of the looks. */
  readonly planDays: readonly Day[]
  /** Days on which the clean world is looked at as well. */
  readonly cleanAsOf: readonly Day[]
  /** In the order in which they are tried, until as many as wanted are planted. */
  readonly candidates: readonly PlantedBreak[]
  readonly wanted: number
}

/** Everything about a trial that follows from its seed. */
export function planTrial(seed: number): Trial {
  const chance = chanceOf(`trial/${seed}`)
  const frame = chance.one(FRAMES)
  const period = parsePeriod(frame.period)
  const accounts = chance.happens(0.4) ? ['north', 'south'] : ['default']
  const lastWindow = addBusinessDays(period.last, 25)
  const world: WorldOptions = {
    seed: chance.whole(1, 1_000_000),
    from: frame.from,
    to: frame.to,
    accounts,
    salesPerDay: chance.whole(6, 16),
    feeVat: chance.one(['excluded', 'included']),
    refundFees: chance.one(['kept', 'returned', 'returned_positive']),
    negativeBalance: chance.one(['wait', 'debit']),
    unreferencedShare: chance.one([0, 0.15, 0.5, 1]),
    mergedShare: chance.one([0, 0.1, 0.25]),
    splitShare: chance.one([0, 0.1, 0.25]),
    equalShare: chance.one([0, 0.15]),
    lateEveningShare: chance.one([0, 0.2]),
    ...(chance.happens(0.3) ? { statementsUntil: lastWindow } : {}),
  }
  const asOf = addDays(parseDay(frame.to), DAYS_UNTIL_JUDGED)
  const span = daysBetween(period.first, asOf)
  return {
    seed,
    world,
    switches: switchesOf(chance),
    hasContract: chance.happens(0.5),
    period,
    asOf,
    planDays: planDaysOf(frame),
    cleanAsOf: Array.from({ length: CLEAN_LOOKS }, () =>
      addDays(period.first, Math.floor(span * chance.fraction() ** 2)),
    ),
    candidates: shuffled(chance, DISCREPANCY_CODES).map((code) =>
      breakOf(chance, code, frame, accounts),
    ),
    wanted: chance.whole(1, BREAKS_MAX),
  }
}

/** Often enough that every sale lies between two answers. */
const DAYS_BETWEEN_PLAN_DAYS = 3

function planDaysOf({ from, to }: (typeof FRAMES)[number]): Day[] {
  const days: Day[] = []
  const end = addDays(parseDay(to), DAYS_BETWEEN_PLAN_DAYS)
  for (let day = parseDay(from); day <= end; day = addDays(day, DAYS_BETWEEN_PLAN_DAYS)) {
    days.push(day)
  }
  return days
}

/** What no documentation settles, settled by chance. */
function switchesOf(chance: Chance): SandboxSwitches {
  return {
    ...DEFAULT_SWITCHES,
    exportPayoutRows: chance.happens(0.5),
    exportRefundSign: chance.one(['signed', 'unsigned']),
    exportEnd: chance.one(['exclusive', 'inclusive']),
    exportDelimiter: chance.one([',', ';']),
    exportBom: chance.happens(0.5),
    exportApostrophe: chance.one(['straight', 'typographic']),
    exportExtraColumns: chance.happens(0.5),
    exportDownload: chance.one(['url', 'format_only']),
    createdRange: chance.one(['honoured', 'ignored']),
    unknownCursor: chance.one(['not_found', 'invalid', 'empty_page', 'lexicographic']),
    extraAttributes: chance.happens(0.5),
    paymentsList: chance.one(['full', 'without_refunds', 'missing']),
  }
}

/** Codes that can be planted in another way as well. */
const VARIANTS: Partial<Record<PlantedCode, NonNullable<PlantedBreak['variant']>>> = {
  line_duplicate: 'refund',
  deposit_ambiguous: 'merged',
  deposit_late: 'unnamed',
  deposit_amount: 'unnamed',
  deposit_returned: 'unnamed',
  deposit_wrong_account: 'unnamed',
}

function breakOf(
  chance: Chance,
  code: PlantedCode,
  { period }: (typeof FRAMES)[number],
  accounts: readonly string[],
): PlantedBreak {
  const variant = chance.happens(0.5) ? VARIANTS[code] : undefined
  return {
    code,
    period,
    entity: chance.one(accounts),
    ...(variant === undefined ? {} : { variant }),
  }
}

function shuffled<T>(chance: Chance, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, rank: chance.fraction() }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

/** A finding as planting and judging both name it: `code entity key`. */
type Named = string

export interface TrialOutcome {
  readonly seed: number
  readonly planted: readonly Planted[]
  readonly found: readonly DiscrepancyRow[]
  /** What was planted and is not found as new, by code. */
  readonly missed: readonly Named[]
  /** What is found and was not planted, in the clean world as well. */
  readonly invented: readonly Named[]
  /** Control totals that do not tie. */
  readonly controlFaults: readonly string[]
}

export function runTrial(trial: Trial): TrialOutcome {
  const world = createWorld(trial.world)
  const clean = [trial.asOf, ...trial.cleanAsOf].map((asOf) => judge(world, { ...trial, asOf }))
  const staged = plantBeforeLook(world, trial)
  const earlier = staged.between.length === 0 ? undefined : firstLook(world, trial)
  const planted = [...staged.planted, ...plantAfterLook(world, staged)]
  const judged = judge(world, trial, earlier, staged.isClosing)
  const expected = planted.map(nameOfPlanted)
  const found = judged.discrepancies.map(nameOfFound)
  return {
    seed: trial.seed,
    planted,
    found: judged.discrepancies,
    missed: without(expected, found),
    invented: [
      ...without(found, expected),
      ...clean.flatMap(({ asOf, discrepancies }) =>
        discrepancies.map((row) => `${nameOfFound(row)} in the clean world as of ${asOf}`),
      ),
    ],
    controlFaults: [judged, ...clean].flatMap(({ controlFaults }) => controlFaults),
  }
}

/** The first of two looks, by the world's clock. */
export function firstLook(world: SandboxWorld, trial: Trial): Look[] {
  return lookAt(world, { ...trial, asOf: dayOfLook(world), policy: TRIAL_POLICY })
}

export function dayOfLook({ nowS }: SandboxWorld): Day {
  return dayOfInstant(nowS ?? 0, TRIAL_POLICY.zone)
}

function judge(
  world: SandboxWorld,
  trial: Pick<Trial, 'period' | 'asOf' | 'switches' | 'hasContract' | 'planDays'>,
  earlier?: readonly Look[],
  isClosed = false,
) {
  const options = {
    ...trial,
    policy: TRIAL_POLICY,
    isClosed,
    ...(earlier === undefined ? {} : { earlier }),
  }
  return reconcile(gatherInMemory(booksOf(world, options)))
}

/** Between two looks: with the provider's clock on the first one. */
const BETWEEN_LOOKS: ReadonlySet<PlantedCode> = new Set([
  'line_changed',
  'line_vanished',
  'late_change',
])
/** So long after its end a period is closed. */
const CLOSED_AFTER_DAYS = 30

/** What only shows where the statements are whole, and what breaks them. */
const STATEMENT_CODES: ReadonlySet<PlantedCode> = new Set(['statement_gap', 'statement_balance'])

function needsStatements(code: PlantedCode): boolean {
  return code.startsWith('deposit_') || code === 'debit_unexpected'
}

/** What of a trial's breaks is planted before the first look, and what after it. */
export interface Staged {
  readonly planted: readonly Planted[]
  /** Empty: one look is enough. */
  readonly between: readonly PlantedBreak[]
  /** Whether the first look ends with the period being closed. */
  readonly isClosing: boolean
}

/**
 * Plants the trial's breaks, as many as the world has room for, but for those that show only between
 * two looks: for these the world's clock is put on the first look.
 */
export function plantBeforeLook(world: SandboxWorld, trial: Trial): Staged {
  const chosen = chooseCandidates(trial)
  const isBetween = ({ code }: PlantedBreak): boolean => BETWEEN_LOOKS.has(code)
  const between = chosen.slice(0, trial.wanted).filter(isBetween)
  const planted: Planted[] = []
  for (const wanted of chosen.filter((one) => !isBetween(one))) {
    if (planted.length + between.length < trial.wanted) planted.push(...tryToPlant(world, wanted))
  }
  const isClosing = between.some(({ code }) => code === 'late_change')
  if (between.length > 0) {
    const { first, last } = trial.period
    const day = isClosing ? addDays(last, CLOSED_AFTER_DAYS) : addBusinessDays(first, 2)
    world.nowS = startOfDay(day, TRIAL_POLICY.zone) + 12 * 3600
  }
  return { planted, between, isClosing }
}

/** Plants the rest after the first look, and takes the clock away. */
export function plantAfterLook(world: SandboxWorld, { between }: Staged): Planted[] {
  const planted = between.flatMap((wanted) => tryToPlant(world, wanted))
  delete world.nowS
  return planted
}

function tryToPlant(world: SandboxWorld, wanted: PlantedBreak): Planted[] {
  try {
    return [plant(world, wanted)]
  } catch (error) {
    // A small world has not room for everything; what was not planted is not demanded.
    if (error instanceof Error && error.message.startsWith('there is no ')) return []
    throw error
  }
}

/** Of what the trial would plant, what can stand side by side; between looks last so that there is room. */
function chooseCandidates({ candidates, hasContract, wanted }: Trial): PlantedBreak[] {
  const chosen: PlantedBreak[] = []
  // More than are wanted, as not every world has room for every break.
  const enough = wanted + BREAKS_MAX
  for (const one of candidates) {
    if (chosen.length >= enough) break
    if (one.code === 'fee_rate' && !hasContract) continue
    const clashes = chosen.some((other) => clash(one, other) || clash(other, one))
    if (!clashes) chosen.push(one)
  }
  return chosen
}

/** Whether one break takes away what the other is found by. */
function clash(one: PlantedBreak, other: PlantedBreak): boolean {
  // Money that came to the wrong account shows at both.
  // There is one first look: in the midst of the period, or long after it, when it is closed.
  if (one.code === 'late_change' && BETWEEN_LOOKS.has(other.code)) return true
  const isUnnamed = one.variant === 'unnamed'
  const isOnlyPair = one.code === 'deposit_amount' && isUnnamed
  if (isOnlyPair && other.code === 'deposit_wrong_account') return true
  // A stranger's money of the same amount fills the place of what is missing.
  if (isUnnamed && one.code === 'deposit_wrong_account' && other.code === 'deposit_missing') {
    return true
  }
  // The statement that is wrong, or missing, may be that of the account at which it arrived.
  if (one.code === 'deposit_wrong_account' && STATEMENT_CODES.has(other.code)) return true
  if (one.entity !== other.entity) return false
  if (STATEMENT_CODES.has(one.code))
    return STATEMENT_CODES.has(other.code) || needsStatements(other.code)
  // A pair is the only one left if nothing else is left at this account.
  return isOnlyPair && needsStatements(other.code)
}

/** Which column of the report each part of a planted key is. */
const KEY_ORDER = [
  'payout_id',
  'balance_transaction_id',
  'refund_id',
  'payment_id',
  'bank_reference',
  'bank_file',
] as const

function nameOfPlanted({ code, entity, key }: Planted): Named {
  const parts = KEY_ORDER.flatMap((column) => key[column] ?? [])
  return [code, entity, 'new', ...parts].join(' ')
}

function nameOfFound(row: DiscrepancyRow): Named {
  const key = row.code === 'deposit_amount' ? `${row.payoutId} ${row.bankReference}` : keyOf(row)
  return [row.code, row.entity, row.status, key].join(' ')
}

/** The items of the first list that the second does not have, each counted. */
function without(items: readonly Named[], others: readonly Named[]): Named[] {
  const left = [...others]
  return items.filter((item) => {
    const at = left.indexOf(item)
    if (at === -1) return true
    left.splice(at, 1)
    return false
  })
}

export interface CodeScore {
  readonly code: string
  readonly planted: number
  readonly found: number
  readonly missed: number
  readonly invented: number
}

/** One line a code, in the order of the reports. */
export function scoreTrials(outcomes: readonly TrialOutcome[]): CodeScore[] {
  const countOf = (names: readonly Named[], code: string): number =>
    names.filter((name) => name.split(' ')[0] === code).length
  return DISCREPANCY_CODES.map((code) => {
    const planted = outcomes.reduce(
      (sum, outcome) => sum + outcome.planted.filter((one) => one.code === code).length,
      0,
    )
    const missed = outcomes.reduce((sum, outcome) => sum + countOf(outcome.missed, code), 0)
    const invented = outcomes.reduce((sum, outcome) => sum + countOf(outcome.invented, code), 0)
    return { code, planted, found: planted - missed, missed, invented }
  })
}

export function isPerfect({ missed, invented, controlFaults }: TrialOutcome): boolean {
  return missed.length === 0 && invented.length === 0 && controlFaults.length === 0
}
