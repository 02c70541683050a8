import type { Day } from '../src/domain/day.ts'
import type { Period } from '../src/domain/period.ts'
import type { Progress } from '../src/progress.ts'

/** What a command may use of the world; the command line makes it, tests and the demo may too. */
export interface CommandIo {
  /** Writes to standard output: the result that was asked for, and nothing else. */
  out(text: string): void
  /** Standard error: how far the work is, and what was left out. */
  readonly progress: Progress
  /**
   * Registers what must be given back when the command ends, by success, fault or signal alike.
   * Runs in reverse order of registration, each one once.
   */
  onRelease(release: () => Promise<void>): void
  /** Aborted by SIGINT or SIGTERM; what is registered is released right after. */
  readonly signal: AbortSignal
  now(): Date
}

/** The flags of `reconcile`, read and checked. */
export interface ReconcileFlags {
  readonly period: Period
  /** Null: every entity of the configuration. It names one of them otherwise. */
  readonly entity: string | null
  /** The day that counts as today; null: today in the business time zone. */
  readonly asOf: Day | null
  /** Nothing is fetched from the provider. */
  readonly offline: boolean
  /** Absolute paths, in the order given. */
  readonly bankFiles: readonly string[]
  /** Absolute path of the folder in which the period's folder is written; null: the configured one. */
  readonly out: string | null
  readonly mail: boolean
  /** The journal in the layout of the French tax authority as well. */
  readonly fec: boolean
  /** Nothing is stored, mailed or written. */
  readonly dryRun: boolean
  /** Forget what is proved of the ledger and prove all of it. */
  readonly full: boolean
  /** The summary as one JSON document on standard output, instead of the text for people. */
  readonly json: boolean
  readonly failOnDiscrepancy: boolean
  /** Fetch so many entities at a time, sharing them with other processes; null: alone, one by one. */
  readonly workers: number | null
  /** Of the provider only what events and open rows ask for; left out: all that a night reads. */
  readonly touched?: boolean
  /** Ask which payment plans may be sold, as a night does; left out: that is not asked. */
  readonly plans?: boolean
  /** Policy settings to try in a dry run: values by name, not checked yet; left out: none. */
  readonly set?: ReadonlyMap<string, string>
}

/** Who decided, and why: one line each, not empty. */
interface Signature {
  readonly by: string
  readonly reason: string
}

/** The flags of `decide`, by what is decided. */
export type DecideFlags = Signature &
  (
    | {
        readonly kind: 'match' | 'refuse'
        readonly payoutIds: readonly string[]
        /** References of bank lines as they were typed, separated by commas. */
        readonly bank: string
        /** Null: the entity whose ledger has the payout. */
        readonly entity: string | null
      }
    | { readonly kind: 'accept' | 'reopen'; readonly discrepancyId: string }
    /** References of suspected bank lines as they were typed, separated by commas. */
    | { readonly kind: 'admit' | 'dismiss'; readonly bank: string }
  )

/** The flags of `close`. */
export interface CloseFlags {
  readonly period: Period
  /** The day that counts as today; null: today in the business time zone. */
  readonly asOf: Day | null
  /** Absolute path of the folder in which the report to sign was written; null: the configured one. */
  readonly out: string | null
  readonly by: string
  readonly reason: string | null
}

/** The flags of `reopen`. */
export interface ReopenFlags extends Signature {
  readonly period: Period
}

/** The flags of `purge`. */
export interface PurgeFlags {
  /** The first day of which everything is kept. */
  readonly before: Day
  /** Who answers for it, one line, not empty: stands in the record of the run. */
  readonly by: string
  /** Nothing is removed. */
  readonly dryRun: boolean
}

/** The flags of `import-bank`. */
export interface ImportBankFlags {
  /** Absolute paths, at least one. */
  readonly files: readonly string[]
  /** The format of the files, whatever they look like; null: as they look. */
  readonly format: string | null
  /** The name of the profile by which CSV files are read; null: the one that fits. */
  readonly profile: string | null
  /** The own account of which the files are, as it was typed; null: as they say. */
  readonly account: string | null
  readonly dryRun: boolean
  readonly json: boolean
}
