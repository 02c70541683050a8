/** What goes to standard error, and into the log file: for people, or for machines. */
import { openSync, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { loadEnvironment } from '../src/environment.ts'
import { ConfigurationFault } from '../src/errors.ts'
import { makeFolder } from '../src/make-folder.ts'
import type { Environment } from '../src/setting-reader.ts'
import { createProgress } from '../src/terminal-progress.ts'
import { failureText } from './fault-text.ts'
import type { CliIo } from './run-command.ts'

/** The part of `CliIo` that tells. */
export type Teller = Pick<CliIo, 'err' | 'progress'> & Partial<Pick<CliIo, 'fail'>>

export interface TellerOptions {
  /** Where `.env` and a relative `LOG_FILE` are looked for. */
  readonly cwd: string
  readonly env: Environment
  readonly command: string
  /** Standard error. */
  readonly stream: NodeJS.WriteStream
}

/**
 * Sentences, and a bar on a terminal; with `LOG_FORMAT=json` JSON lines instead, and with `LOG_FILE`
 * the same lines in a file as well. A wrong setting of the two is told by whoever reads all settings.
 * @throws ConfigurationFault if the log file cannot be opened.
 */
export async function openTeller({ cwd, env, command, stream }: TellerOptions): Promise<Teller> {
  const settings = withDotEnv(cwd, env)
  const isJson = textOf(settings, 'LOG_FORMAT') === 'json'
  const path = textOf(settings, 'LOG_FILE')
  const forPeople = (): Teller => ({
    err: (text) => stream.write(text),
    progress: createProgress(stream),
  })
  if (!isJson && path === null) return forPeople()
  // Only who wants a log waits for the library to be loaded.
  const { bothProgresses, createLog } = await import('../src/log.ts')
  const writeToFile =
    path === null
      ? null
      : await logFileWriter(resolve(cwd, path), (text) => {
          if (isJson) log.warn(text)
          else stream.write(`${text}\n`)
        })
  const log = createLog({
    write: (line) => {
      if (isJson) stream.write(line)
      writeToFile?.(line)
    },
    command,
    secrets: secretsOf(settings),
  })
  if (isJson) {
    tellWarnings(log.warn)
    return { err: log.error, progress: log.progress, fail: log.failure }
  }
  const seen = forPeople()
  return {
    err: (text) => {
      seen.err(text)
      log.error(text)
    },
    progress: bothProgresses(seen.progress, log.progress),
    fail: (failure, withStack) => {
      seen.err(failureText(failure, withStack))
      log.failure(failure)
    },
  }
}

/** A `.env` that cannot be read is told of when the settings are read. */
function withDotEnv(cwd: string, env: Environment): Environment {
  try {
    return loadEnvironment(cwd, env)
  } catch {
    return env
  }
}

function textOf(settings: Environment, name: string): string | null {
  const text = settings[name]?.trim() ?? ''
  return text === '' ? null : text
}

/** For this account only: a log tells of sales. */
async function openLogFile(path: string): Promise<number> {
  try {
    await makeFolder(dirname(path))
    return openSync(path, 'a', 0o600)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code'
    throw new ConfigurationFault(`LOG_FILE: ${path} cannot be written to (${code})`, {
      hint: 'Name a file in a folder that this account may write to, or leave LOG_FILE empty.',
    })
  }
}

/**
 * Adds lines to the file. A disk that fills up in the middle ends no run, least of all while it tells
 * why it ends: `lost` hears of it once, and the run goes on without the file.
 */
async function logFileWriter(
  path: string,
  lost: (text: string) => void,
): Promise<(line: string) => void> {
  const file = await openLogFile(path)
  let isWritable = true
  return (line) => {
    if (!isWritable) return
    try {
      writeSync(file, line)
    } catch (error) {
      isWritable = false
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code'
      lost(`LOG_FILE: ${path} cannot be written to any more (${code}), so the log ends here`)
    }
  }
}

/** Keys, and the passwords of URLs, as the environment has them. */
function secretsOf(settings: Environment): string[] {
  return Object.entries(settings).flatMap(([name, value = '']) => {
    if (/KEY/.test(name) && !name.endsWith('_FILE')) return [value.trim()]
    if (name === 'HEALTHCHECK_URL') return [value.trim()]
    if (!URL.canParse(value)) return []
    const { password } = new URL(value)
    return password === '' ? [] : [password, decoded(password)]
  })
}

function decoded(password: string): string {
  try {
    return decodeURIComponent(password)
  } catch {
    return password
  }
}

/** Node's own warnings would stand between the lines as plain text. */
function tellWarnings(warn: (text: string) => void): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => warn(`${name}: ${message}`))
}
