/**
 * The log: one JSON object a line, for machines that collect and search them. Each line tells the
 * moment, its level, the run (`run`, of this process from its start, and `run_id`, its number in the
 * database once it has one), the command, and the entity, period and step where it has them.
 */
import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import type { NoteLevel, Subject } from './progress.ts'
import { redactor } from './redact.ts'
import type { TerminalProgress } from './terminal-progress.ts'

/** How a command ended that failed. */
interface LoggedFailure {
  readonly message: string
  readonly hint: string | null
  readonly kind: string
  readonly exitCode: number
  readonly stack: string | null
}

export interface Log {
  /** Steps and notes as lines. */
  readonly progress: TerminalProgress
  failure(failure: LoggedFailure): void
  /** What is neither, such as the refusal of a command line. */
  error(text: string): void
  warn(text: string): void
}

export interface LogOptions {
  /** Takes whole lines, each with its line end. */
  readonly write: (line: string) => void
  readonly command: string
  /** Texts that are taken out wherever they stand, besides what looks like a secret. */
  readonly secrets: readonly string[]
  /** The least time between two lines of one step. */
  readonly lineEveryMs?: number
  readonly nowMs?: () => number
}

const LINE_EVERY_MS = 5_000

export function createLog({
  write,
  command,
  secrets,
  lineEveryMs = LINE_EVERY_MS,
  nowMs = () => performance.now(),
}: LogOptions): Log {
  const redact = redactor(secrets)
  let runId: number | null = null
  const lines = pino(
    {
      base: { run: randomUUID(), command },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: () => (runId === null ? {} : { run_id: runId }),
    },
    { write: (line) => write(redact(line)) },
  )
  const progressOf = (log: Pick<typeof lines, 'info' | 'warn' | 'child'>): TerminalProgress => ({
    step: (step, unit, knownTotal) => {
      let count = 0
      let total = knownTotal
      let lastMs = nowMs()
      return {
        advance: (by, newTotal) => {
          count += by
          total = newTotal ?? total
          if (nowMs() - lastMs < lineEveryMs) return
          lastMs = nowMs()
          log.info({ step, unit, count, total }, `${step}: ${count} ${unit} so far`)
        },
        done: (outcome) => log.info({ step, unit, count }, `${step}: ${outcome}`),
      }
    },
    note: (text, level: NoteLevel = 'info') => log[level](text),
    keep: (text, level: NoteLevel = 'info') => log[level](text),
    about: (subject: Subject) => progressOf(log.child({ ...subject })),
    runBegan: (begun) => {
      runId = begun
    },
    close: () => undefined,
  })
  return {
    progress: progressOf(lines),
    failure: ({ message, hint, kind, exitCode, stack }) =>
      lines.error(
        {
          kind,
          exit_code: exitCode,
          ...(hint === null ? {} : { hint }),
          ...(stack === null ? {} : { stack }),
        },
        message,
      ),
    error: (text) => lines.error(text.trim()),
    warn: (text) => lines.warn(text.trim()),
  }
}

/** Both at once: what a person sees, and the lines that are kept. */
export function bothProgresses(seen: TerminalProgress, kept: TerminalProgress): TerminalProgress {
  return {
    step: (label, unit, total) => {
      const steps = [seen.step(label, unit, total), kept.step(label, unit, total)]
      return {
        advance: (by, newTotal) => steps.forEach((step) => step.advance(by, newTotal)),
        done: (outcome) => steps.forEach((step) => step.done(outcome)),
      }
    },
    note: (text, level) => {
      seen.note(text, level)
      kept.note(text, level)
    },
    keep: (text, level) => kept.keep?.(text, level),
    about: (subject) => {
      const about = kept.about?.(subject) ?? kept
      return bothProgresses(seen, { ...about, close: () => undefined })
    },
    runBegan: (runId) => kept.runBegan?.(runId),
    close: () => {
      seen.close()
      kept.close()
    },
  }
}
