/** Real processes that use an embedded Postgres, for tests of how they come and go. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { commandLineOf, isAlive } from '../../db/processes.ts'

const SCRIPT = fileURLToPath(new URL('use-embedded.ts', import.meta.url))

export interface User {
  readonly process: ChildProcess
  /** The server's process number. */
  readonly serverPid: number
}

/** Starts a process of ours on this folder and waits until it uses the database. */
export async function startUser(dataDir: string, env: NodeJS.ProcessEnv = {}): Promise<User> {
  const child = spawn(process.execPath, ['--import', 'tsx', SCRIPT, dataDir], {
    // A process group of its own, as a shell gives to each command of a terminal.
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = once(child, 'exit').then(([code]: unknown[]) => {
    throw new Error(`the process ended early (exit code ${String(code)}): ${said}`)
  })
  const using = once(child.stdout, 'data').then(([chunk]: unknown[]) => String(chunk))
  const line = await Promise.race([using, ended])
  ended.catch(() => undefined)
  return { process: child, serverPid: Number(/^using (\d+)$/m.exec(line)?.[1]) }
}

/** Sends a signal to the whole group, as Ctrl-C in a terminal does, and waits for the end. */
export async function signalGroup(
  { process: child }: User,
  signal: NodeJS.Signals,
): Promise<number | null> {
  const ended = once(child, 'exit')
  if (child.pid !== undefined) process.kill(-child.pid, signal)
  await ended
  return child.exitCode
}

export async function postmasterPid(dataDir: string): Promise<number> {
  const text = await readFile(path.join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')
  return Number(text.split('\n')[0])
}

/** A process that is dead but not reaped does not count. */
export async function isRunning(pid: number): Promise<boolean> {
  return isAlive(pid) && (await commandLineOf(pid)) !== ''
}

export async function waitUntilGone(pid: number): Promise<void> {
  for (let waited = 0; await isRunning(pid); waited += 1) {
    if (waited > 500) throw new Error(`process ${pid} is still there after 10 s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
