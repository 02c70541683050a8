/**
 * Reads single settings and collects what is wrong with them, so that all faults can be listed
 * together.
 */
import { resolve } from 'node:path'
import type { z } from 'zod'

/** The environment as the process has it: names to texts. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What reading the settings needs of the outside. */
export interface ReadOptions {
  /** Absolute; relative paths in settings begin there. */
  readonly cwd: string
  /** The text of a file, or null if it cannot be read. */
  readonly readFile: (path: string) => string | null
}

/** One wrong setting. None of its texts holds a secret. */
export interface SettingFault {
  /** The setting's name, with the place inside it where it is a file. */
  readonly setting: string
  readonly found: string
  readonly expected: string
}

export interface Reader {
  readonly faults: SettingFault[]
  fault(fault: SettingFault): void
  isSet(name: string): boolean
  /** The value of a setting that is no secret; `whenUnset` where it is not set or wrong. */
  value<T, U>(name: string, schema: z.ZodType<T>, whenUnset: U): T | U
  list<T>(name: string, schema: z.ZodType<T>, split: (text: string) => string[]): T[]
  /** From `name` or from the file that `name_FILE` names; never shown. */
  secret(name: string, schema: z.ZodType<string>): string | null
  path(name: string, whenUnset: string): string
  /** The checked content of the JSON file that a setting names; null where it is not set or wrong. */
  json<T>(name: string, schema: z.ZodType<T>): T | null
}

export function createReader(env: Environment, { cwd, readFile }: ReadOptions): Reader {
  const faults: SettingFault[] = []
  const fault = (found: SettingFault): void => {
    faults.push(found)
  }
  const text = (name: string): string | null => {
    const given = env[name]?.trim() ?? ''
    return given === '' ? null : given
  }
  /** The content of the file that a setting names. */
  const file = (name: string, path: string): string | null => {
    const content = readFile(resolve(cwd, path))
    if (content !== null) return content.replace(/^\uFEFF/, '').trim()
    fault({ setting: name, found: shown(path), expected: 'the path of a file that can be read' })
    return null
  }
  return {
    faults,
    fault,
    isSet: (name) => text(name) !== null,
    value: (name, schema, whenUnset) => {
      const given = text(name)
      if (given === null) return whenUnset
      const checked = schema.safeParse(given)
      if (checked.success) return checked.data
      fault({ setting: name, found: shown(given), expected: expectedBy(checked.error.issues[0]) })
      return whenUnset
    },
    list: (name, schema, split) =>
      split(text(name) ?? '').flatMap((item) => {
        const checked = schema.safeParse(item)
        if (checked.success) return [checked.data]
        fault({ setting: name, found: shown(item), expected: expectedBy(checked.error.issues[0]) })
        return []
      }),
    secret: (name, schema) => {
      const direct = text(name)
      const path = text(`${name}_FILE`)
      if (direct !== null && path !== null) {
        const expected = 'one of the two'
        fault({ setting: name, found: `both ${name} and ${name}_FILE`, expected })
        return null
      }
      const given = direct ?? (path === null ? null : file(`${name}_FILE`, path))
      if (given === null) return null
      const checked = schema.safeParse(given)
      if (checked.success) return checked.data
      fault({
        setting: path === null ? name : `${name}_FILE`,
        found: given === '' ? 'an empty file' : 'something else (not shown, it is a secret)',
        expected: expectedBy(checked.error.issues[0]),
      })
      return null
    },
    path: (name, whenUnset) => resolve(cwd, text(name) ?? whenUnset),
    json: (name, schema) => {
      const path = text(name)
      const content = path === null ? null : file(name, path)
      if (path === null || content === null) return null
      const value = parseJson(content)
      if (value instanceof Error) {
        const found = `${shown(path)}, which is no JSON (${withoutKeys(value.message)})`
        fault({ setting: name, found, expected: 'a JSON file' })
        return null
      }
      const checked = schema.safeParse(value)
      if (checked.success) return checked.data
      for (const issue of checked.error.issues) {
        fault({
          setting: `${name} (${path}${placeIn(value, issue.path)})`,
          found: foundAt(value, issue),
          expected: expectedBy(issue),
        })
      }
      return null
    },
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    return error
  }
}

function expectedBy(issue: z.core.$ZodIssue | undefined): string {
  const inner = issue?.code === 'invalid_key' ? issue.issues[0] : issue
  return inner?.message ?? 'something else'
}

const FOUND_LENGTH_MAX = 60

/** A text in quotes. */
function shown(text: string): string {
  return JSON.stringify(presentable(text))
}

/** Cut, and without anything that looks like a key put where it does not belong. */
function presentable(text: string): string {
  const safe = withoutKeys(text)
  return safe.length > FOUND_LENGTH_MAX ? `${safe.slice(0, FOUND_LENGTH_MAX)}…` : safe
}

function withoutKeys(text: string): string {
  return text.replaceAll(/sk_(live|test)_[^\s"',]*/g, 'sk_$1_(hidden)')
}

function foundAt(root: unknown, issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    return `the unknown ${issue.keys.length === 1 ? 'attribute' : 'attributes'} ${issue.keys.map(shown).join(', ')}`
  }
  if (issue.code === 'invalid_key') return shown(String(issue.path.at(-1)))
  let value: unknown = root
  for (const step of issue.path) value = memberOf(value, step)
  if (value === undefined) return 'nothing'
  return typeof value === 'string' ? shown(value) : presentable(JSON.stringify(value))
}

function memberOf(value: unknown, step: PropertyKey): unknown {
  return value !== null && typeof value === 'object' ? Reflect.get(value, step) : undefined
}

/** `, entity 2 "Shop": fees.plans.P3X.rate`, as a person would say it. */
function placeIn(root: unknown, path: readonly PropertyKey[]): string {
  const [first, ...rest] = path
  const steps = typeof first === 'number' ? rest : path
  const attribute = steps.map(String).join('.')
  if (typeof first !== 'number') return attribute === '' ? '' : `: ${attribute}`
  const name = memberOf(memberOf(root, first), 'name')
  const entity = `, entity ${first + 1}${typeof name === 'string' ? ` ${shown(name)}` : ''}`
  return attribute === '' ? entity : `${entity}: ${attribute}`
}
