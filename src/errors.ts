/**
 * Faults: what stops a run or a step of it. Business problems are not faults, they are
 * `Discrepancy` values in the report.
 */

/** Exit codes of every command. The README prints the same table. */
export const EXIT = {
  done: 0,
  unexpected: 1,
  usage: 2,
  configuration: 3,
  unavailable: 4,
  inputRejected: 5,
  locked: 6,
  notTied: 7,
  openDiscrepancies: 8,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

interface FaultOptions {
  /** What the reader should do now: one or two sentences, imperative. */
  readonly hint?: string
  readonly cause?: unknown
}

/**
 * A fault that a person reads: the message says where, what was found and what was expected; the
 * hint says what to do. Neither may hold a key, a customer's name or an e-mail address.
 */
export abstract class Fault extends Error {
  abstract readonly exitCode: ExitCode
  readonly hint: string | undefined

  constructor(message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.hint = options.hint
  }
}

/** A command line that cannot be understood or asks for the impossible. */
export class UsageFault extends Fault {
  override readonly exitCode = EXIT.usage
}

/** A setting that is missing or wrong, a refused key included. */
export class ConfigurationFault extends Fault {
  override readonly exitCode = EXIT.configuration
}

/** Provider, database, bank inbox or mail not usable now, after retries. Trying later may help. */
export class UnavailableFault extends Fault {
  override readonly exitCode = EXIT.unavailable
}

/** A file that was given to us cannot be trusted as a whole, so nothing of it was taken. */
export class InputFault extends Fault {
  override readonly exitCode = EXIT.inputRejected
}

/** Another run holds the database's run lock. */
export class LockedFault extends Fault {
  override readonly exitCode = EXIT.locked
}

/** Control totals do not tie: nothing leaves the house. */
export class ControlTotalsFault extends Fault {
  override readonly exitCode = EXIT.notTied
}
