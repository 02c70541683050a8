/**
 * How long work tells where it is. Steps write to standard error only: a bar on a terminal, a line
 * now and then elsewhere, JSON lines where a log was asked for, nothing at all where nobody reads.
 */
export interface ProgressStep {
  /** Adds to what is done; `total` may become known later. */
  advance(by: number, total?: number): void
  /** Ends the step; `outcome` is one short phrase with figures, e.g. `312 rows in 4 pages`. */
  done(outcome: string): void
}

/** For who reads a log by level: `warn` is what a person should look at. */
export type NoteLevel = 'info' | 'warn'

/** What lines are about, where a log tells it beside the line. */
export interface Subject {
  readonly entity?: string
  readonly period?: string
}

export interface Progress {
  /** `label` is a short phrase such as `ledger of default`; `unit` is what is counted, e.g. `rows`. */
  step(label: string, unit: string, total?: number): ProgressStep
  /** A line to the person that is no step: a warning, or what was left out. */
  note(text: string, level?: NoteLevel): void
  /** A line for the log alone: standard output tells people of it. Not there where there is no log. */
  readonly keep?: (text: string, level?: NoteLevel) => void
  /** The same progress, about a subject. Not there where lines tell no subject beside their text. */
  readonly about?: (subject: Subject) => Progress
  /** Tells of all lines from now on which run of the database they belong to. */
  readonly runBegan?: (runId: number) => void
}

export const silentProgress: Progress = {
  step: () => ({ advance: () => undefined, done: () => undefined }),
  note: () => undefined,
}

export function progressAbout(progress: Progress, subject: Subject): Progress {
  return progress.about?.(subject) ?? progress
}
