/** `reconcile --dry-run --set`: the same facts judged by other settings, and what would move. */
import type { DbOrTx } from '../db/client.ts'
import type { Config } from '../src/config.ts'
import type { Day } from '../src/domain/day.ts'
import type { Facts } from '../src/domain/facts.ts'
import { money } from '../src/domain/findings.ts'
import { formatAmount } from '../src/domain/money.ts'
import type { Period } from '../src/domain/period.ts'
import { UsageFault } from '../src/errors.ts'
import type { Reconciliation } from '../src/domain/reconciliation.ts'
import { type Move, type Moves, movesBetween, type Standing } from '../src/domain/what-if.ts'
import type { ReconcileFlags } from './command.ts'
import { judgeFacts, underSettings } from './gather-facts.ts'

interface TriedSetting {
  readonly name: string
  readonly value: string
  /** As it is now; null where it is not one value for all entities. */
  readonly now: string | null
}

export interface WhatIf {
  readonly period: Period
  readonly asOf: Day
  readonly settings: readonly TriedSetting[]
  readonly moves: Moves
  /** Matches that a written report has named: they stay under any setting. */
  readonly pinned: number
  /** Control totals that would not tie, each as a sentence. */
  readonly controlFaults: readonly string[]
}

interface WhatIfContext {
  readonly config: Config
  readonly tried?: Config | null
  readonly flags: Pick<ReconcileFlags, 'set'>
}

/** Null where no settings are to be tried. Nothing is stored. */
export async function whatIfOf(
  db: DbOrTx,
  { config, tried = null, flags: { set = new Map() } }: WhatIfContext,
  { facts, reconciliation }: { readonly facts: Facts; readonly reconciliation: Reconciliation },
): Promise<WhatIf | null> {
  if (tried === null) return null
  if (set.has('ALMA_PAYER_PATTERNS') && patternsOf(config) === patternsOf(tried)) {
    throw new UsageFault('--set: ALMA_PAYER_PATTERNS would change no entity', {
      hint: 'It is what it is already, or the entities of ENTITIES_FILE have payerPatterns of their own, which come first.',
    })
  }
  const { reconciliation: after } = await judgeFacts(db, await underSettings(db, facts, tried))
  const references = new Map(facts.bank.entries.map(({ id, reference }) => [id, reference]))
  return {
    period: facts.period,
    asOf: facts.asOf,
    settings: [...set].map(([name, value]) => ({ name, value, now: valueNow(config, name) })),
    moves: movesBetween({
      before: reconciliation,
      after,
      referenceOf: (id) => references.get(id) ?? 'a line that is not known any more',
    }),
    pinned: facts.bank.pinned.length,
    controlFaults: after.controlFaults,
  }
}

function patternsOf({ entities }: Config): string {
  return JSON.stringify(entities.map(({ payerPatterns }) => payerPatterns.map(String)))
}

function valueNow(config: Config, name: string): string | null {
  const days: Readonly<Record<string, number>> = {
    MATCH_WINDOW_DAYS: config.matchWindowDays,
    LATE_WINDOW_DAYS: config.lateWindowDays,
    UNPAID_AFTER_DAYS: config.unpaidAfterDays,
  }
  return days[name]?.toString() ?? null
}

export function whatIfText(whatIf: WhatIf, notes: readonly string[]): string {
  const { period, asOf, settings, moves, pinned, controlFaults } = whatIf
  const { toMatched, toOpen, otherwise } = moves
  const tried = settings.map(
    ({ name, value, now }) => `${name} were ${value}${now === null ? '' : ` instead of ${now}`}`,
  )
  const lines = [
    ...notes.map((note) => `! ${note}`),
    `What if ${tried.join(' and ')}: Alma ${period.label} as of ${asOf}, the same facts judged twice`,
    `  ${counted(toMatched)} would move from open to matched, ${toOpen.length} from matched to open, ${otherwise.length} would be told otherwise`,
    ...section('From open to matched:', toMatched),
    ...section('From matched to open:', toOpen),
    ...section('Told otherwise:', otherwise),
    ...(controlFaults.length === 0
      ? []
      : ['', 'The control totals would not tie:', ...controlFaults.map((fault) => `  ${fault}`)]),
    '',
    ...(pinned === 0
      ? []
      : [
          `${pinned === 1 ? 'One match that a report has named is' : `${pinned} matches that reports have named are`} kept under any setting.`,
        ]),
    'Dry run: nothing was stored, mailed or written, and the settings are as they were.',
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function counted(moves: readonly Move[]): string {
  return moves.length === 1 ? '1 item' : `${moves.length} items`
}

function section(title: string, moves: readonly Move[]): string[] {
  return moves.length === 0 ? [] : ['', title, ...moves.flatMap(moveLines)]
}

function moveLines({ what, id, entity, currency, amountMinor, before, after }: Move): string[] {
  const amount = amountMinor === null || currency === '' ? '' : `, ${money(amountMinor, currency)}`
  return [
    `  ${what} ${id} of ${entity}${amount}: ${before.words} → ${after.words}`,
    ...after.explanations.map((explanation) => `    ${explanation}`),
  ]
}

/** Moves with all of their figures; amounts as decimal text and, as text too, in minor units. */
export function whatIfJson({ settings, moves, pinned, controlFaults }: WhatIf): object {
  return {
    settings: settings.map(({ name, value, now }) => ({ name, value, now })),
    open_to_matched: moves.toMatched.map(moveJson),
    matched_to_open: moves.toOpen.map(moveJson),
    otherwise: moves.otherwise.map(moveJson),
    pinned_matches: pinned,
    control_faults: controlFaults,
  }
}

function moveJson({ what, id, entity, currency, amountMinor, before, after }: Move): object {
  const isKnown = amountMinor !== null && currency !== ''
  return {
    what,
    id,
    entity,
    currency: currency === '' ? null : currency,
    amount: isKnown ? formatAmount(amountMinor, currency) : null,
    amount_minor: amountMinor,
    before: standingJson(before),
    after: standingJson(after),
  }
}

function standingJson({ state, words, explanations }: Standing): object {
  return { state, words, explanations }
}
