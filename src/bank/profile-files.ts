import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { compareText } from '../domain/collections.ts'
import { ConfigurationFault } from '../errors.ts'
import { osErrorCode } from './inbox.ts'
import { BUILT_IN_PROFILES, BUILT_IN_SOURCES } from './profiles/built-in.ts'
import { type CsvProfile, profileSchema } from './profiles/profile.ts'

/** Profiles that users add: JSON files, each with one profile or a list of them. */

const HINT =
  'BANK_PROFILES_DIR names the folder; README, "Bank files", explains the keys of a profile.'

/** More than all banks of a country. */
const FILES_MAX = 1_000

/**
 * The profiles of the tool and those of the folder. One of the folder stands in for the one of the
 * tool that has its name.
 * @param dir null: only those of the tool.
 * @throws ConfigurationFault if the folder cannot be read, or listing all that is wrong in its files.
 */
export async function loadProfiles(dir: string | null): Promise<readonly CsvProfile[]> {
  if (dir === null) return BUILT_IN_PROFILES
  const own = new Map<string, CsvProfile>()
  const faults: string[] = []
  for (const file of await profileFiles(dir)) {
    for (const { place, source } of await readSources(dir, file, faults)) {
      const profile = readProfile(source, place, faults)
      if (profile === null) continue
      if (own.has(profile.name)) faults.push(`${place}: the name ${profile.name} is there twice`)
      own.set(profile.name, profile)
    }
  }
  if (faults.length > 0) {
    const list = faults.map((fault) => `\n  - ${fault}`).join('')
    throw new ConfigurationFault(`bank profiles in ${dir} cannot be used:${list}`, { hint: HINT })
  }
  return [...BUILT_IN_PROFILES.filter(({ name }) => !own.has(name)), ...own.values()]
}

async function profileFiles(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch((error: unknown) => {
    throw new ConfigurationFault(
      `the folder of bank profiles cannot be read (${osErrorCode(error)}): ${dir}`,
      { hint: HINT, cause: error },
    )
  })
  const files = names.filter((name) => name.endsWith('.json') && !name.startsWith('.'))
  if (files.length <= FILES_MAX) return files.sort(compareText)
  throw new ConfigurationFault(`${dir} holds more than ${FILES_MAX} bank profiles`, { hint: HINT })
}

interface NamedSource {
  readonly place: string
  readonly source: unknown
}

async function readSources(dir: string, file: string, faults: string[]): Promise<NamedSource[]> {
  try {
    const text = await readFile(join(dir, file), 'utf8')
    const content: unknown = JSON.parse(text.replace(/^\uFEFF/, ''))
    const sources: unknown[] = Array.isArray(content) ? content : [content]
    return sources.map((source, index) => ({
      place: sources.length === 1 ? file : `${file}, profile ${index + 1}`,
      source,
    }))
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message : osErrorCode(error)
    faults.push(`${file}: found no JSON that can be read (${why}), expected a profile`)
    return []
  }
}

function readProfile(source: unknown, place: string, faults: string[]): CsvProfile | null {
  const whole = extended(source)
  if (typeof whole === 'string') {
    faults.push(`${place}: ${whole}`)
    return null
  }
  const checked = profileSchema.safeParse(whole)
  if (checked.success) return checked.data
  for (const issue of checked.error.issues) {
    const { path, message } = deepest(issue)
    const at = [...issue.path, ...path].map(String)
    const found = JSON.stringify(valueAt(whole, at)) ?? 'nothing'
    faults.push(
      `${place}${at.length === 0 ? '' : `: ${at.join('.')}`}: found ${found.length > 60 ? `${found.slice(0, 60)}…` : found}, expected ${message}`,
    )
  }
  return null
}

/** With `extends`, a profile has everything of another one of the tool that it does not say itself. */
function extended(source: unknown): unknown {
  if (!isObject(source) || !('extends' in source)) return source
  const { extends: base, ...own } = source
  const found = BUILT_IN_SOURCES.find(({ name }) => name === base)
  if (found === undefined) {
    const known = BUILT_IN_SOURCES.map(({ name }) => name).join(', ')
    return `extends: found ${JSON.stringify(base)}, expected one of ${known}`
  }
  const columns = isObject(own['columns']) ? { ...found.columns, ...own['columns'] } : found.columns
  return { ...found, ...own, columns }
}

/** Of alternatives that all failed, the complaint that goes deepest: it is about what was meant. */
function deepest(issue: z.core.$ZodIssue): { path: PropertyKey[]; message: string } {
  if (issue.code === 'unrecognized_keys') {
    return { path: [], message: `no ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}` }
  }
  if (issue.code !== 'invalid_union') return { path: [], message: issue.message }
  const inner = issue.errors.flat().map((one) => {
    const found = deepest(one)
    return { path: [...one.path, ...found.path], message: found.message }
  })
  const [best] = inner.sort((one, other) => other.path.length - one.path.length)
  return best ?? { path: [], message: issue.message }
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root
  for (const step of path) value = isObject(value) ? value[step] : undefined
  return value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object'
}
