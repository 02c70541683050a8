/** What the operating system tells about other processes. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { errorCode } from './os-errors.ts'

const run = promisify(execFile)

/** Whether a process of this number is there, whoever owns it; a dead one not yet reaped counts. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errorCode(error) === 'EPERM'
  }
}

/**
 * The command line of a process, its parts separated by blanks; empty for one that is dead but not
 * yet reaped, as happens in containers; null where the system does not tell.
 */
export async function commandLineOf(pid: number): Promise<string | null> {
  if (process.platform === 'win32') return null
  if (process.platform === 'linux') {
    try {
      return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim()
    } catch (error) {
      return errorCode(error) === 'ENOENT' && !isAlive(pid) ? '' : null
    }
  }
  try {
    return (await run('/bin/ps', ['-ww', '-o', 'args=', '-p', String(pid)])).stdout.trim()
  } catch {
    return null
  }
}
