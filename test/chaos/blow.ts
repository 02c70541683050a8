import type { Chance } from '../../src/sandbox/chance.ts'

/** One thing that is done to the job, and how often; what came of it must be nothing lost, nothing leaked. */
export interface Blow {
  readonly group: 'provider' | 'two at once' | 'invariant' | 'crash' | 'database' | 'disk' | 'soak'
  /** In the words of the table: 'answer 429 with Retry-After as a date'. */
  readonly what: string
  /** Does it once; `chance` gives repeatable numbers (src/sandbox/chance.ts), `folder` is an empty folder of its own. */
  readonly strike: (at: { readonly chance: Chance; readonly folder: string }) => Promise<Outcome>
}

export interface Outcome {
  /** How the job ended: 'right result', 'exit 4, goes on from there'. */
  readonly ended: string
  /** What was lost or wrong, each in a sentence; empty is what must be. */
  readonly lost: readonly string[]
  /** Where a secret or a customer's name was seen; empty is what must be. */
  readonly leaked: readonly string[]
}
