import { resolve } from 'node:path'
import { type Day, parseDay } from '../src/domain/day.ts'
import { InvalidValue } from '../src/domain/invalid-value.ts'
import { parseMonth, parseRange, parseWeek, type Period, weekOf } from '../src/domain/period.ts'
import { UsageFault } from '../src/errors.ts'
import type { ReconcileFlags } from './command.ts'

/** How a period is named on the command line. */
export interface TypedPeriodFlags {
  readonly week?: string
  readonly month?: string
  readonly from?: string
  readonly to?: string
}

/** The flags of `reconcile` as they were typed. */
export interface TypedReconcileFlags extends TypedPeriodFlags {
  readonly entity?: string
  readonly asOf?: string
  readonly offline?: true
  readonly bank?: readonly string[]
  readonly out?: string
  readonly mail?: true
  readonly fec?: true
  readonly dryRun?: true
  readonly full?: true
  readonly json?: true
  readonly failOnDiscrepancy?: true
  readonly workers?: string
  readonly set?: readonly string[]
  readonly touched?: true
  readonly plans?: true
}

/** Settings that a dry run can try: those by which the same facts are judged otherwise. */
const POLICY_SETTINGS: readonly string[] = [
  'MATCH_WINDOW_DAYS',
  'LATE_WINDOW_DAYS',
  'UNPAID_AFTER_DAYS',
  'ALMA_PAYER_PATTERNS',
]

/**
 * @param today the day that counts as today where none is named: with `touched` and no period it is
 * about the week in progress.
 * @throws UsageFault naming the flag, what was found and what was expected.
 */
export function readReconcileFlags(
  typed: TypedReconcileFlags,
  cwd: string,
  today: Day,
): ReconcileFlags {
  const asOf = readAsOf(typed.asOf)
  return {
    period: isTouchedOnly(typed) ? weekOf(asOf ?? today) : readPeriod(typed),
    entity: typed.entity ?? null,
    asOf,
    offline: typed.offline ?? false,
    bankFiles: (typed.bank ?? []).map((path) => readPath('--bank', path, cwd)),
    out: typed.out === undefined ? null : readPath('--out', typed.out, cwd),
    mail: typed.mail ?? false,
    fec: typed.fec ?? false,
    dryRun: typed.dryRun ?? false,
    full: typed.full ?? false,
    json: typed.json ?? false,
    failOnDiscrepancy: typed.failOnDiscrepancy ?? false,
    workers: readWorkers(typed.workers),
    ...(typed.set === undefined ? {} : { set: readTried(typed.set, typed.dryRun ?? false) }),
    ...(typed.plans === undefined ? {} : { plans: true }),
    ...(typed.touched === undefined ? {} : { touched: readTouched(typed) }),
  }
}

/** Without a period, which then is the week in progress. */
function isTouchedOnly({ touched, week, month, from, to }: TypedReconcileFlags): boolean {
  return touched === true && [week, month, from, to].every((given) => given === undefined)
}

function readTouched({ offline, workers }: TypedReconcileFlags): true {
  if (offline === true) {
    throw new UsageFault('--touched and --offline: expected one of them', {
      hint: '--touched reads what has changed at the provider, --offline reads nothing.',
    })
  }
  if (workers !== undefined) {
    throw new UsageFault('--touched and --workers: expected one of them', {
      hint: 'What --touched reads is too little to be shared: leave --workers out.',
    })
  }
  return true
}

/** `NAME=VALUE` of settings to try, by name. Values are checked with all settings together. */
function readTried(typed: readonly string[], dryRun: boolean): ReadonlyMap<string, string> {
  if (!dryRun) {
    throw new UsageFault('--set was given without --dry-run, and only a dry run tries settings', {
      hint: 'Add --dry-run to see what would move. To change a setting for good, write it into .env.',
    })
  }
  const tried = new Map<string, string>()
  for (const one of typed) {
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(one) ?? []
    if (!POLICY_SETTINGS.includes(name)) {
      const expected = `expected NAME=VALUE with one of ${POLICY_SETTINGS.join(', ')}`
      // What stands after the name of another setting may be a secret.
      throw new UsageFault(`--set: found "${one.split('=', 1)[0]}", ${expected}`, {
        hint: 'Only settings by which the same facts are judged otherwise can be tried, for example --set MATCH_WINDOW_DAYS=7.',
      })
    }
    if (value.trim() === '') throw new UsageFault(`--set: found no value of ${name}`)
    if (tried.has(name)) throw new UsageFault(`--set: ${name} was given twice`)
    tried.set(name, value)
  }
  return tried
}

const WORKERS_MAX = 16

/** How many entities at a time, or null where nothing was said. */
export function readWorkers(typed: string | undefined): number | null {
  if (typed === undefined) return null
  const workers = /^\d{1,3}$/.test(typed) ? Number(typed) : 0
  if (workers >= 1 && workers <= WORKERS_MAX) return workers
  throw new UsageFault(
    `--workers: found "${typed}", expected a whole number from 1 to ${WORKERS_MAX}`,
    { hint: 'For more, start the same command on several machines: they share the entities.' },
  )
}

/** The day that counts as today, or null where none was named. */
export function readAsOf(typed: string | undefined): Day | null {
  return typed === undefined ? null : readDay('--as-of', typed)
}

/** @throws UsageFault naming the flag unless it is a day of the calendar. */
export function readDay(flag: string, typed: string): Day {
  return named(flag, () => parseDay(typed))
}

const PERIOD_HINT =
  'Give one period: --week 2024-W12, --month 2024-03, or --from 2024-03-18 --to 2024-03-24.'

/** @throws UsageFault unless the flags name exactly one period. */
export function readPeriod({ week, month, from, to }: TypedPeriodFlags): Period {
  const given = [
    ...(week === undefined ? [] : ['--week']),
    ...(month === undefined ? [] : ['--month']),
    ...(from === undefined && to === undefined ? [] : ['--from/--to']),
  ]
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none was given' : `found ${given.join(' and ')}`
    throw new UsageFault(`exactly one period was expected, ${found}`, { hint: PERIOD_HINT })
  }
  if (week !== undefined) return named('--week', () => parseWeek(week))
  if (month !== undefined) return named('--month', () => parseMonth(month))
  if (from === undefined || to === undefined) {
    const missing = from === undefined ? '--from' : '--to'
    throw new UsageFault(`${missing} is missing: a range has a first and a last day`, {
      hint: PERIOD_HINT,
    })
  }
  return named('--from/--to', () => parseRange(from, to))
}

/** Says which flag a value belongs to. */
function named<T>(flag: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
    throw new UsageFault(`${flag}: ${error.message}`, {
      hint: 'Correct the value and run it again; --help shows examples.',
    })
  }
}

/** An absolute path. */
export function readPath(flag: string, path: string, cwd: string): string {
  if (path.trim() !== '') return resolve(cwd, path)
  throw new UsageFault(`${flag}: found an empty text, expected a path`)
}
