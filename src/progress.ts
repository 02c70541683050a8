/**
 * How long work tells where it is. Steps write to standard error only: a bar on a terminal, a line
 * now and then elsewhere, nothing at all where nobody reads.
 */
export interface ProgressStep {
  /** Adds to what is done; `total` may become known later. */
  advance(by: number, total?: number): void
  /** Ends the step; `outcome` is one short phrase with figures, e.g. `312 rows in 4 pages`. */
  done(outcome: string): void
}

export interface Progress {
  /** `label` is a short phrase such as `ledger of default`; `unit` is what is counted, e.g. `rows`. */
  step(label: string, unit: string, total?: number): ProgressStep
  /** A line to the person that is no step: a warning, or what was left out. */
  note(text: string): void
}

export const silentProgress: Progress = {
  step: () => ({ advance: () => undefined, done: () => undefined }),
  note: () => undefined,
}
