/** Runs one command to its end: success, fault or signal, with everything given back. */
import { setTimeout as wait } from 'node:timers/promises'
import { EXIT, type ExitCode } from '../src/errors.ts'
import { type Progress, progressAbout, silentProgress } from '../src/progress.ts'
import type { TerminalProgress } from '../src/terminal-progress.ts'
import type { CommandIo } from './command.ts'
import { type Failure, failureJson, failureOf, failureText } from './fault-text.ts'

/** What the command line uses of the process. */
export interface CliIo {
  /** Absolute; relative paths of flags and settings, and `.env`, are looked for there. */
  readonly cwd: string
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly progress: TerminalProgress
  /** Tells of a failure in another form than its text by `err`. */
  readonly fail?: (failure: Failure, withStack: boolean) => void
  readonly now: () => Date
  /** Aborted with an `Interruption` as its reason when the process is asked to stop. */
  readonly signal: AbortSignal
}

/** Why a command stops before its end. */
export class Interruption extends Error {
  override readonly name = 'Interruption'
  /** 128 + the signal's number, as shells count. */
  readonly exitCode: number

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(`stopped by ${signal}`)
    this.exitCode = signal === 'SIGINT' ? 130 : 143
  }
}

/** How long work that was interrupted may take to notice before its resources are taken away. */
const GRACE_MS = 500

/**
 * @param json whether standard output must hold one JSON document however the command ends.
 * @returns the exit code; nothing is thrown.
 */
export async function runCommand(
  io: CliIo,
  options: { readonly json: boolean; readonly debug: boolean },
  work: (io: CommandIo) => Promise<ExitCode>,
): Promise<number> {
  const releases: (() => Promise<void>)[] = []
  let printed = false
  const running = work({
    out: (text) => {
      if (io.signal.aborted) return
      printed = true
      io.out(text)
    },
    progress: untilAborted(io.progress, io.signal),
    onRelease: (release) => releases.push(release),
    signal: io.signal,
    now: io.now,
  })

  const say = (failure: Failure): void => {
    io.progress.close()
    tellFailure(io, failure, options.debug)
    if (options.json && !printed) io.out(failureJson(failure))
    printed = true
  }

  let exitCode: number
  try {
    exitCode = await unlessAborted(running, io.signal)
  } catch (error) {
    const failure = error instanceof Interruption ? failureOfInterruption(error) : failureOf(error)
    say(failure)
    exitCode = failure.exitCode
    if (io.signal.aborted) await ended(running)
  }
  const closing = await releaseAll(releases)
  // Work that was still opening something when it was interrupted registers it after all.
  if (io.signal.aborted) {
    await ended(running)
    closing.push(...(await releaseAll(releases)))
  }
  io.progress.close()
  for (const error of closing) {
    const failure = failureOf(error)
    say(failure)
    if (exitCode === EXIT.done) exitCode = failure.exitCode
  }
  return exitCode
}

export function tellFailure(io: CliIo, failure: Failure, withStack: boolean): void {
  if (io.fail === undefined) io.err(failureText(failure, withStack))
  else io.fail(failure, withStack)
}

/** Waits for work that was told to stop, but not for long. */
async function ended(running: Promise<unknown>): Promise<void> {
  await Promise.race([running.catch(() => undefined), wait(GRACE_MS)])
}

function failureOfInterruption({ exitCode, message, name }: Interruption): Failure {
  return {
    exitCode,
    kind: name,
    message,
    hint: 'What was stored is kept and nothing was written by halves: run the same command again.',
    stack: null,
  }
}

/** Work that has not noticed yet that it was stopped says nothing any more. */
function untilAborted(progress: Progress, signal: AbortSignal): Progress {
  const speak = (say: () => void): void => {
    if (!signal.aborted) say()
  }
  return {
    step: (label, unit, total) => {
      const step = (signal.aborted ? silentProgress : progress).step(label, unit, total)
      return {
        advance: (by, newTotal) => speak(() => step.advance(by, newTotal)),
        done: (outcome) => speak(() => step.done(outcome)),
      }
    },
    note: (text, level) => speak(() => progress.note(text, level)),
    keep: (text, level) => speak(() => progress.keep?.(text, level)),
    about: (subject) => untilAborted(progressAbout(progress, subject), signal),
    runBegan: (runId) => progress.runBegan?.(runId),
  }
}

async function unlessAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  const listening = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    const stop = (): void => reject(reasonOf(signal))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true, signal: listening.signal })
  })
  try {
    return await Promise.race([running, aborted])
  } catch (error) {
    // Work that notices the signal first fails in its own words, which say less than the signal.
    throw signal.aborted ? reasonOf(signal) : error
  } finally {
    listening.abort()
  }
}

/** Why it was stopped: a signal, or a fault that was thrown outside of the work. */
function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Interruption('SIGTERM')
}

/** In reverse order of registration, all of them even if one fails. @returns what was thrown. */
async function releaseAll(releases: (() => Promise<void>)[]): Promise<unknown[]> {
  const errors: unknown[] = []
  for (let release = releases.pop(); release !== undefined; release = releases.pop()) {
    try {
      await release()
    } catch (error) {
      errors.push(error)
    }
  }
  return errors
}
