/** The flags of `decide`, `close`, `reopen` and `purge`: who, when, why, and about what. */
import { UsageFault } from '../src/errors.ts'
import type { CloseFlags, DecideFlags, PurgeFlags, ReopenFlags } from './command.ts'
import {
  readAsOf,
  readDay,
  readPath,
  readPeriod,
  type TypedPeriodFlags,
} from './reconcile-flags.ts'

/** The flags of `decide match` and `decide refuse` as they were typed. */
export interface TypedPairFlags {
  readonly payout: string
  readonly bank: string
  readonly entity?: string
  readonly by: string
  readonly reason: string
}

/** The flags of `decide accept` and `decide reopen` as they were typed. */
export interface TypedVerdictFlags {
  readonly discrepancy: string
  readonly by: string
  readonly reason: string
}

/** The flags of `decide admit` and `decide dismiss` as they were typed. */
export interface TypedSuspectFlags {
  readonly bank: string
  readonly by: string
  readonly reason: string
}

export interface TypedCloseFlags extends TypedPeriodFlags {
  readonly asOf?: string
  readonly out?: string
  readonly by: string
  readonly reason?: string
}

export interface TypedReopenFlags extends TypedPeriodFlags {
  readonly by: string
  readonly reason: string
}

export interface TypedPurgeFlags {
  readonly before: string
  readonly by: string
  readonly dryRun?: true
}

export function readPairFlags(kind: 'match' | 'refuse', typed: TypedPairFlags): DecideFlags {
  const payoutIds = list('--payout', typed.payout)
  if (kind === 'refuse' && payoutIds.length > 1) {
    throw new UsageFault(`--payout: found ${payoutIds.length} payouts, expected one`, {
      hint: 'A refusal is about one payout and one bank line; refuse each pair by itself.',
    })
  }
  return {
    kind,
    payoutIds,
    bank: filled('--bank', typed.bank),
    entity: typed.entity ?? null,
    ...signatureOf(typed),
  }
}

export function readVerdictFlags(kind: 'accept' | 'reopen', typed: TypedVerdictFlags): DecideFlags {
  return { kind, discrepancyId: filled('--discrepancy', typed.discrepancy), ...signatureOf(typed) }
}

export function readSuspectFlags(kind: 'admit' | 'dismiss', typed: TypedSuspectFlags): DecideFlags {
  return { kind, bank: filled('--bank', typed.bank), ...signatureOf(typed) }
}

export function readCloseFlags(typed: TypedCloseFlags, cwd: string): CloseFlags {
  return {
    period: readPeriod(typed),
    asOf: readAsOf(typed.asOf),
    out: typed.out === undefined ? null : readPath('--out', typed.out, cwd),
    by: filled('--by', typed.by),
    reason: typed.reason === undefined ? null : filled('--reason', typed.reason),
  }
}

export function readReopenFlags(typed: TypedReopenFlags): ReopenFlags {
  return { period: readPeriod(typed), ...signatureOf(typed) }
}

export function readPurgeFlags({ before, by, dryRun }: TypedPurgeFlags): PurgeFlags {
  return {
    before: readDay('--before', before),
    by: filled('--by', by),
    dryRun: dryRun ?? false,
  }
}

function signatureOf({ by, reason }: { readonly by: string; readonly reason: string }) {
  return { by: filled('--by', by), reason: filled('--reason', reason) }
}

/** Text on one line: it stands in reports. */
function filled(flag: string, text: string): string {
  const words = text.replace(/\s+/g, ' ').trim()
  if (words !== '') return words
  throw new UsageFault(`${flag}: found an empty text`, {
    hint: 'Every decision says who took it (--by NAME) and why (--reason TEXT).',
  })
}

function list(flag: string, text: string): string[] {
  return [
    ...new Set(
      filled(flag, text)
        .split(',')
        .map((part) => filled(flag, part)),
    ),
  ]
}
