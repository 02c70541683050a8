import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { ConfigurationFault } from './errors.ts'
import type { Environment } from './setting-reader.ts'

/**
 * The environment together with the `.env` file of a folder, if there is one. What the process was
 * given wins, also where it is empty: that is how a setting of the file is switched off for one run.
 * @throws ConfigurationFault if the file is there but cannot be read.
 */
export function loadEnvironment(cwd: string, env: Environment): Environment {
  const path = resolve(cwd, '.env')
  try {
    const text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '')
    return { ...parseEnv(text), ...env }
  } catch (error) {
    if (isMissingFile(error)) return env
    throw new ConfigurationFault(`${path} is there but cannot be read (${codeOf(error)})`, {
      hint: 'Give this account the right to read it, or move it away and set the environment instead.',
    })
  }
}

function isMissingFile(error: unknown): boolean {
  return codeOf(error) === 'ENOENT'
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'no code'
}
