/**
 * Reads a statement as far as it must be known whether Citus can run it: which distributed tables it
 * reads or changes, and whether each is tied to an entity. It reads what this program writes, not SQL
 * at large; what it does not understand it takes for a fault.
 */
import type { HeardStatement } from './wire-tap.ts'

/** @returns what is wrong, each as a sentence; empty if nothing is. */
export function entityFaults(
  { text, values }: HeardStatement,
  distributed: ReadonlySet<string>,
): string[] {
  const reading: Reading = {
    tokens: tokensOf(text),
    at: 0,
    distributed,
    uses: [],
    ties: [],
    named: new Map(),
    faults: [],
  }
  readQuery(reading, null)
  return [...reading.faults, ...faultsOfUses(reading, values)]
}

/** How many distributed tables a statement names, however often. */
export function distributedTablesIn(text: string, distributed: ReadonlySet<string>): number {
  return tokensOf(text).filter((token) => distributed.has(nameOf(token) ?? '')).length
}

type Token = string

const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"]|"")*"|'(?:[^']|'')*'|\$\d+|[A-Za-z_][A-Za-z_0-9]*|\d+(?:\.\d+)?|::|<>|<=|>=|=>|[^\s]/g

function tokensOf(text: string): Token[] {
  return [...text.matchAll(TOKEN)]
    .map(([token]) => token)
    .filter((token) => !token.startsWith('--') && !token.startsWith('/*'))
    .map((token) => (/^[A-Za-z_]/.test(token) ? token.toLowerCase() : token))
}

/** The name that an identifier means; null for anything else. */
function nameOf(token: Token | undefined): string | null {
  if (token === undefined) return null
  if (token.startsWith('"')) return token.slice(1, -1).replaceAll('""', '"')
  return /^[a-z_]/.test(token) && !KEYWORDS.has(token) ? token : null
}

const KEYWORDS = new Set(
  `select from where join inner left right full outer cross lateral on using group order by having limit
  offset union intersect except all distinct as and or not in exists is null true false case when then
  else end insert into values update set delete returning conflict do nothing for with recursive any
  some between like asc desc filter over partition only truncate analyze vacuum window fetch`
    .trim()
    .split(/\s+/),
)

/** One place where a distributed table is read or changed. */
interface Use {
  readonly table: string
  readonly alias: string
}

/** A table that is not distributed, or a query with a name (`with name as (…)`). */
interface Other {
  readonly other: string
}

/** Names that stand for tables within one query, and those around it. */
interface Scope {
  readonly names: Map<string, Use | Other>
  readonly parent: Scope | null
}

/** Two uses of one entity, or a use and what its entity is. */
interface Tie {
  readonly use: Use
  readonly to: Use | { readonly value: Token } | 'several values'
}

interface Reading {
  readonly tokens: readonly Token[]
  at: number
  readonly distributed: ReadonlySet<string>
  readonly uses: Use[]
  readonly ties: Tie[]
  /** A use within each query with a name: if that has an entity, it is this one's, as all agree. */
  readonly named: Map<string, Use>
  readonly faults: string[]
}

const QUERY_STARTS = new Set(['select', 'with', 'insert', 'update', 'delete', 'values'])
const SET_OPERATORS = new Set(['union', 'intersect', 'except'])

/** Reads to the closing bracket of the query, or to the end. */
function readQuery(reading: Reading, parent: Scope | null): void {
  // Conditions name tables that come later in the text, so these are collected first.
  let scope = openScope(reading, parent)
  for (let token = take(reading); token !== null && token !== ')'; token = take(reading)) {
    if (SET_OPERATORS.has(token)) {
      scope = openScope(reading, parent)
    } else if (token === '(') {
      readBracket(reading, scope)
    } else {
      readTie(reading, scope)
    }
  }
}

function readBrackets(reading: Reading, scope: Scope): void {
  for (let token = take(reading); token !== null && token !== ')'; token = take(reading)) {
    if (token !== '(') readTie(reading, scope)
    else readBracket(reading, scope)
  }
}

/** What stands in brackets that were just opened: a query, perhaps one with a name, or anything else. */
function readBracket(reading: Reading, scope: Scope): void {
  const { tokens, at, uses } = reading
  if (!QUERY_STARTS.has(tokens[at] ?? '')) {
    readBrackets(reading, scope)
    return
  }
  const before = tokens
    .slice(Math.max(0, at - 5), at - 1)
    .filter((token) => !/^(not|materialized)$/.test(token))
  const name = before.at(-1) === 'as' ? nameOf(before.at(-2)) : null
  const usesBefore = uses.length
  readQuery(reading, scope)
  const [first] = uses.slice(usesBefore)
  if (name !== null && first !== undefined) reading.named.set(name, first)
}

function take(reading: Reading): Token | null {
  const token = reading.tokens[reading.at]
  reading.at += 1
  return token ?? null
}

/** The tables of the query that begins here, up to its end or the next one of a union. */
function openScope(reading: Reading, parent: Scope | null): Scope {
  const { tokens } = reading
  const scope: Scope = { names: new Map(), parent }
  let depth = 0
  for (let at = reading.at; at < tokens.length; at += 1) {
    const token = tokens[at] ?? ''
    if (token === '(') depth += 1
    if (token === ')') depth -= 1
    if (depth < 0) break
    if (depth > 0) continue
    if (SET_OPERATORS.has(token)) break
    if (token === 'into') readInsert(reading, at)
    const isList = token === ',' && isAfterFrom(tokens, at)
    if (token === 'from' || token === 'join' || token === 'update' || isList) {
      nameTable(reading, scope, tokens[at + 1] === 'only' ? at + 2 : at + 1)
    }
  }
  return scope
}

/** Whether a comma stands between tables: after `from`, before any other clause. */
function isAfterFrom(tokens: readonly Token[], comma: number): boolean {
  let depth = 0
  for (let at = comma - 1; at >= 0; at -= 1) {
    const token = tokens[at] ?? ''
    if (token === ')') depth += 1
    if (token === '(') depth -= 1
    if (depth < 0) return false
    if (depth > 0) continue
    if (token === 'from') return true
    if (['where', 'select', 'group', 'order', 'set', 'returning', 'on', 'by'].includes(token)) {
      return false
    }
  }
  return false
}

function nameTable(reading: Reading, scope: Scope, start: number): void {
  const { tokens, distributed } = reading
  let at = start
  let table = nameOf(tokens[at])
  if (table === null) return
  if (tokens[at + 1] === '.') {
    // `public.x` is a table; `x.y` after `is distinct from` or `extract(epoch from` is a column.
    if (table !== 'public' && table !== 'pg_temp') return
    if (table === 'pg_temp') return
    at += 2
    table = nameOf(tokens[at])
    if (table === null) return
  }
  const aliasAt = tokens[at + 1] === 'as' ? at + 2 : at + 1
  const alias = nameOf(tokens[aliasAt]) ?? table
  if (!distributed.has(table)) {
    scope.names.set(alias, { other: table })
    return
  }
  const use = { table, alias }
  scope.names.set(alias, use)
  reading.uses.push(use)
}

/** Rows go where their entity is, so it must be given, and what they conflict with must name it. */
function readInsert(reading: Reading, into: number): void {
  const { tokens, distributed } = reading
  const table = nameOf(tokens[into + 1])
  if (table === null || !distributed.has(table)) return
  const columns = listAt(tokens, into + 2)
  if (!columns.includes('entity')) reading.faults.push(`rows of ${table} are stored without entity`)
  const conflict = tokens.indexOf('conflict', into)
  if (conflict === -1 || tokens[conflict + 1] !== '(') return
  if (!listAt(tokens, conflict + 1).includes('entity')) {
    reading.faults.push(`the conflict of rows of ${table} is looked for without entity`)
  }
}

function listAt(tokens: readonly Token[], open: number): (string | null)[] {
  if (tokens[open] !== '(') return []
  return tokens.slice(open + 1, tokens.indexOf(')', open)).map(nameOf)
}

/** Looks for `entity = …` and `entity in (…)` whose left side begins with the token just taken. */
function readTie(reading: Reading, scope: Scope): void {
  const { tokens } = reading
  const left = entityAt(reading, reading.at - 1, scope)
  if (left === null) return
  const { use, next } = left
  const operator = tokens[next]
  if (operator === 'in' && tokens[next + 1] === '(' && isValue(tokens[next + 2])) {
    const isOne = tokens[next + 3] === ')'
    reading.ties.push({ use, to: isOne ? { value: tokens[next + 2] ?? '' } : 'several values' })
  }
  if (operator !== '=') return
  const value = tokens[next + 1]
  if (isValue(value)) {
    reading.ties.push({ use, to: { value: value ?? '' } })
    return
  }
  const right = entityAt(reading, next + 1, scope)
  if (right !== null) reading.ties.push({ use, to: right.use })
}

function isValue(token: Token | undefined): boolean {
  return token !== undefined && (token.startsWith('$') || token.startsWith("'"))
}

/** The use whose entity column stands at a place, and the place after it. */
function entityAt(reading: Reading, at: number, scope: Scope): { use: Use; next: number } | null {
  const { tokens } = reading
  if (tokens[at - 1] === '.') return null
  const name = nameOf(tokens[at])
  if (name === null) return null
  if (tokens[at + 1] === '.' && nameOf(tokens[at + 2]) === 'entity') {
    const use = resolve(reading, scope, name)
    return use === null ? null : { use, next: at + 3 }
  }
  if (name !== 'entity' || tokens[at + 1] === '.') return null
  const uses = [...scope.names.values()].filter((found) => 'table' in found)
  const [only] = uses
  return only === undefined || uses.length > 1 ? null : { use: only, next: at + 1 }
}

function resolve(reading: Reading, scope: Scope | null, name: string): Use | null {
  if (scope === null) return null
  const found = scope.names.get(name)
  if (found === undefined) return resolve(reading, scope.parent, name)
  return 'table' in found ? found : (reading.named.get(found.other) ?? null)
}

/** Uses that one entity is said of, with what it is said to be. */
interface Group {
  readonly uses: Set<Use>
  readonly values: Set<string>
  hasSeveral: boolean
}

function faultsOfUses({ uses, ties }: Reading, values: HeardStatement['values']): string[] {
  const groups = new Map(
    uses.map((use): [Use, Group] => [
      use,
      { uses: new Set([use]), values: new Set(), hasSeveral: false },
    ]),
  )
  for (const { use, to } of ties) {
    const group = groups.get(use)
    if (group === undefined) continue
    if (to === 'several values') group.hasSeveral = true
    else if ('value' in to) group.values.add(valueOf(to.value, values))
    else merge(groups, group, groups.get(to))
  }
  const distinct = new Set(groups.values())
  const faults = [...distinct]
    .filter((group) => group.values.size === 0 && !group.hasSeveral)
    .map((group) => `${named(group)} is not asked for by entity`)
  const entities = new Set([...distinct].flatMap((group) => [...group.values]))
  if (entities.size > 1)
    faults.push(`different entities are asked for: ${[...entities].join(', ')}`)
  const loose = [...distinct].filter((group) => group.values.size === 0)
  if (distinct.size > 1 && loose.length > 0) {
    faults.push(`${[...distinct].map(named).join(' and ')} are joined without entity`)
  }
  return faults
}

function merge(groups: Map<Use, Group>, into: Group, from: Group | undefined): void {
  if (from === undefined || from === into) return
  for (const use of from.uses) {
    into.uses.add(use)
    groups.set(use, into)
  }
  for (const value of from.values) into.values.add(value)
  into.hasSeveral ||= from.hasSeveral
}

function valueOf(token: Token, values: HeardStatement['values']): string {
  if (!token.startsWith('$')) return token
  return `'${values[Number(token.slice(1)) - 1] ?? ''}'`
}

function named({ uses }: Group): string {
  return [...uses]
    .map(({ table, alias }) => (table === alias ? table : `${table} as ${alias}`))
    .join(', ')
}
