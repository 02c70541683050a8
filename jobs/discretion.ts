/**
 * What an assistant is not told: it may be a service of somebody else. Numbers of own accounts are
 * shortened, and who decided or signed, and why, is left out; `npm run explain` tells it.
 */
import { loadDecisions } from '../db/decisions.ts'
import type { DbOrTx } from '../db/client.ts'
import { loadOwnAccounts, loadSigners } from '../db/find.ts'
import type { Config } from '../src/config.ts'
import { compareText } from '../src/domain/collections.ts'
import { dayOfInstant } from '../src/domain/day.ts'
import { signature } from '../src/domain/decisions.ts'
import type { StoredBankEntry } from '../src/domain/bank-statement.ts'
import { accountOwners, isProvidersLine } from '../src/domain/deposits/items.ts'
import type { Facts } from '../src/domain/facts.ts'

interface Replacement {
  readonly found: string
  readonly told: string
}

/** What is not to be told, and what is told in its place; the longest first. */
export type Discretion = readonly Replacement[]

/** Shortest number that is taken for one of an account: less would hit figures by chance. */
const ACCOUNT_CHARACTERS_MIN = 8
const ACCOUNT_ENDS = 4

export async function loadDiscretion(db: DbOrTx, config: Config): Promise<Discretion> {
  const names = config.entities.map(({ name }) => name)
  const accounts = new Set([
    ...config.entities.flatMap(({ ibans, payerIbans }) => [...ibans, ...payerIbans]),
    ...(await loadOwnAccounts(db)),
  ])
  const zone = config.businessTimeZone
  const decided = (await loadDecisions(db, names)).map((decision) => ({
    found: signature(decision, zone),
    told: `a person on ${dayOfInstant(decision.decidedS, zone)}`,
  }))
  const signed = (await loadSigners(db)).flatMap((by) =>
    ['signed by', 'closed by'].map((verb) => ({
      found: `${verb} ${by} on `,
      told: `${verb} a person on `,
    })),
  )
  const shortened = [...accounts]
    .filter((account) => account.length >= ACCOUNT_CHARACTERS_MIN)
    .map((account) => ({ found: account, told: shortAccount(account) }))
  // The longest first, so that none is hidden by a part of it; in files also as these write it.
  return [...decided, ...signed, ...shortened]
    .flatMap(({ found, told }) =>
      [...new Set([found, asInCsv(found), asInJson(found)])].map((form) => ({ found: form, told })),
    )
    .toSorted((a, b) => b.found.length - a.found.length || compareText(a.found, b.found))
}

function discreetText(text: string, discretion: Discretion): string {
  return discretion.reduce((so, { found, told }) => so.replaceAll(found, () => told), text)
}

function shortAccount(account: string): string {
  return `${account.slice(0, ACCOUNT_ENDS)}…${account.slice(-ACCOUNT_ENDS)}`
}

function asInCsv(text: string): string {
  return text.replaceAll('"', '""')
}

function asInJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

/** An answer with every text in it as it may be told; its form stays. */
export function toldDiscreetly<T>(answer: T, discretion: Discretion): T {
  // There may be thousands of decisions, of which an answer tells few.
  const whole = textsOf(answer).join('\n')
  const needed = discretion.filter(({ found }) => whole.includes(found))
  // Texts become texts and all else is left, so what comes out is what went in.
  return needed.length === 0 ? answer : (discreet(answer, needed) as T)
}

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (value === null || typeof value !== 'object') return []
  return Object.values(value).flatMap(textsOf)
}

function discreet(value: unknown, discretion: Discretion): unknown {
  if (typeof value === 'string') return discreetText(value, discretion)
  if (Array.isArray(value)) return value.map((one: unknown) => discreet(one, discretion))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([name, one]: [string, unknown]) => [
      name,
      discreet(one, discretion),
    ]),
  )
}

/**
 * Where a bank gives a line no reference, reports call it by its end-to-end id, which who pays has
 * written. Only the provider's are told; other lines are called by their place in the file.
 */
export function withDiscreetReferences(facts: Facts): Facts {
  const ownerOf = accountOwners(facts.entities)
  const accounts = new Map(facts.entities.map(({ entity, account }) => [entity, account]))
  const isProviders = (entry: StoredBankEntry): boolean => {
    const account = accounts.get(ownerOf(entry.account) ?? '')
    return account !== undefined && isProvidersLine(entry, account)
  }
  const entries = facts.bank.entries.map((entry) =>
    entry.bankReference !== null || entry.endToEndId === null || isProviders(entry)
      ? entry
      : { ...entry, reference: `${entry.fileName}:${entry.position}` },
  )
  return { ...facts, bank: { ...facts.bank, entries } }
}
