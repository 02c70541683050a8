import type { StoredBankEntry, StoredBankStatement } from './bank-statement.ts'
import { compareText, firstPlace, groupBy } from './collections.ts'
import { addDays, type Day } from './day.ts'
import { type Finding, money } from './findings.ts'
import { isBusinessDay } from './target-calendar.ts'

/**
 * Bank statements prove themselves (contract, section 3.E): opening + entries = closing, the closing
 * of one is the opening of the next, and the days between are known.
 */

/** Days of an account that its statements cover without a gap, both ends included. */
export interface CoveredStretch {
  readonly account: string
  readonly from: Day
  readonly to: Day
}

interface Break {
  /** The statement after the gap. */
  readonly after: StoredBankStatement
  readonly before: Chain
  readonly why: string
  readonly openingMinor: bigint | null
}

/** Statements joined so far: one stretch, and the balance that it ends with. */
interface Chain {
  from: Day
  to: Day
  closingMinor: bigint | null
  sequenceNumber: number | null
  openingMinor: bigint | null
  /** Whether all of it adds up; a stretch with a failed statement in it covers nothing. */
  sound: boolean
}

export interface StatementProof {
  readonly covered: readonly CoveredStretch[]
  readonly findings: readonly Finding[]
}

/** Proves the statements of the accounts of one entity. */
export function proveStatements(
  entity: string,
  statements: readonly StoredBankStatement[],
  entries: readonly StoredBankEntry[],
): StatementProof {
  const accountIn = ({ account, currency }: { account: string; currency: string }): string =>
    `${account} ${currency}`
  const entriesOf = groupBy(entries, accountIn)
  const covered: CoveredStretch[] = []
  const findings: Finding[] = statements
    .filter(isFailed)
    .map((failed) => balanceFinding(entity, failed))
  for (const [name, ofAccount] of groupBy(statements.toSorted(compareStatements), accountIn)) {
    const { chains, breaks } = chainStatements(ofAccount, movementOf(entriesOf.get(name) ?? []))
    const account = ofAccount[0]?.account ?? name
    for (const { from, to, sound } of chains) if (sound) covered.push({ account, from, to })
    for (const found of breaks) findings.push(gapFinding(entity, found))
  }
  return { covered, findings }
}

/** What an account moved by from a day on and before another one. */
type MovementOf = (from: Day, before: Day) => bigint

function movementOf(entries: readonly StoredBankEntry[]): MovementOf {
  let sums: { readonly day: Day; readonly beforeMinor: bigint }[] | null = null
  let totalMinor = 0n
  const running = (): { readonly day: Day; readonly beforeMinor: bigint }[] =>
    entries
      .toSorted((a, b) => compareText(a.bookingDay, b.bookingDay))
      .map(({ bookingDay, amountMinor }) => {
        const beforeMinor = totalMinor
        totalMinor += amountMinor
        return { day: bookingDay, beforeMinor }
      })
  return (from, before) => {
    // Few accounts have statements that overlap, so the sums are made when one is met.
    const known = (sums ??= running())
    const until = (end: Day): bigint =>
      known[firstPlace(known, ({ day }) => day >= end)]?.beforeMinor ?? totalMinor
    return until(before) - until(from)
  }
}

/** By account, first day, last day, file and place in it. */
function compareStatements(a: StoredBankStatement, b: StoredBankStatement): number {
  return (
    compareText(a.account, b.account) ||
    compareText(a.fromDay, b.fromDay) ||
    compareText(a.toDay, b.toDay) ||
    compareText(a.fileName, b.fileName) ||
    a.positionInFile - b.positionInFile
  )
}

/** Whether one stretch of the account holds all days from `from` to `to`. */
export function isCovered(
  covered: readonly CoveredStretch[],
  account: string,
  from: Day,
  to: Day,
): boolean {
  return covered.some(
    (stretch) => stretch.account === account && stretch.from <= from && to <= stretch.to,
  )
}

function isFailed(statement: StoredBankStatement): boolean {
  return statement.balanceState === 'failed'
}

/** @param statements of one account in one currency, in their order. */
function chainStatements(
  statements: readonly StoredBankStatement[],
  movement: MovementOf,
): { chains: Chain[]; breaks: Break[] } {
  const chains: Chain[] = []
  const breaks: Break[] = []
  let current: Chain | null = null
  for (const statement of statements) {
    const why: string | null = current === null ? null : breakBetween(current, statement, movement)
    const joins: boolean = current !== null && why === null && current.sound && !isFailed(statement)
    if (current !== null && why !== null) {
      breaks.push({
        after: statement,
        before: { ...current },
        why,
        openingMinor: statement.openingMinor,
      })
    }
    if (current === null || !joins) {
      current = {
        from: statement.fromDay,
        to: statement.toDay,
        closingMinor: statement.closingMinor,
        openingMinor: statement.openingMinor,
        sequenceNumber: statement.sequenceNumber,
        sound: !isFailed(statement),
      }
      chains.push(current)
    } else if (statement.toDay >= current.to) {
      current.to = statement.toDay
      current.closingMinor = statement.closingMinor
      current.sequenceNumber = statement.sequenceNumber
    }
  }
  return { chains, breaks }
}

/** Why the statement does not continue what stands before it, in words; null if it does. */
function breakBetween(
  current: Chain,
  next: StoredBankStatement,
  movement: MovementOf,
): string | null {
  if (next.fromDay <= current.to && next.openingMinor !== current.closingMinor) {
    return overlapBreak(current, next, movement)
  }
  const { closingMinor } = current
  // Where a statement does not add up by itself, its balances prove nothing about its neighbours.
  const provable = current.sound && !isFailed(next)
  if (
    provable &&
    closingMinor !== null &&
    next.openingMinor !== null &&
    closingMinor !== next.openingMinor
  ) {
    return `the account closed with ${money(closingMinor, next.currency)} on ${current.to} and opens with ${money(next.openingMinor, next.currency)} on ${next.fromDay}`
  }
  const skipped = skippedNumbers(current.sequenceNumber, next.sequenceNumber)
  if (skipped !== null) return `${skipped} between ${current.to} and ${next.fromDay}`
  if (closingMinor === null || next.openingMinor === null) {
    const missing = businessDaysStrictlyBetween(current.to, next.fromDay)
    if (missing.length > 0) {
      return `no statement covers ${missing.length === 1 ? missing[0] : `${missing[0]} to ${missing.at(-1)}`}, and there are no balances that would show that nothing happened then`
    }
  }
  return null
}

/** Overlapping statements must agree on the balance with which the later one begins. */
function overlapBreak(
  current: Chain,
  next: StoredBankStatement,
  movement: MovementOf,
): string | null {
  if (
    current.openingMinor === null ||
    next.openingMinor === null ||
    !current.sound ||
    isFailed(next)
  )
    return null
  const expectedMinor = current.openingMinor + movement(current.from, next.fromDay)
  if (expectedMinor === next.openingMinor) return null
  return `by the statement before, the account stood at ${money(expectedMinor, next.currency)} when ${next.fromDay} began, and this one opens with ${money(next.openingMinor, next.currency)}`
}

/** Statement numbers count up by one and may begin again, as at the turn of a year. */
function skippedNumbers(before: number | null, after: number | null): string | null {
  if (before === null || after === null || after <= before + 1) return null
  const [first, last] = [before + 1, after - 1]
  return first === last
    ? `statement number ${first} is missing`
    : `statement numbers ${first} to ${last} are missing`
}

function businessDaysStrictlyBetween(before: Day, after: Day): Day[] {
  const days: Day[] = []
  for (let day = addDays(before, 1); day < after; day = addDays(day, 1)) {
    if (isBusinessDay(day)) days.push(day)
  }
  return days
}

function statementFacts(entity: string, statement: StoredBankStatement) {
  return {
    entity,
    key: statement.fileName,
    currency: statement.currency,
    closed: null,
    bankFile: statement.fileName,
    bankAccount: statement.account,
  } as const
}

function balanceFinding(entity: string, statement: StoredBankStatement): Finding {
  const { openingMinor, closingMinor, movementMinor, currency } = statement
  const expectedMinor = (openingMinor ?? 0n) + movementMinor
  return {
    ...statementFacts(entity, statement),
    code: 'statement_balance',
    day: statement.toDay,
    expectedMinor,
    actualMinor: closingMinor,
    explanation: `The statement of ${statement.account} from ${statement.fromDay} to ${statement.toDay} in ${statement.fileName} opens with ${money(openingMinor ?? 0n, currency)}, holds ${statement.entryCount} entries of together ${money(movementMinor, currency)}, and should close with ${money(expectedMinor, currency)}, but says ${money(closingMinor ?? 0n, currency)}.`,
  }
}

function gapFinding(entity: string, { after, before, why, openingMinor }: Break): Finding {
  return {
    ...statementFacts(entity, after),
    code: 'statement_gap',
    day: after.fromDay,
    expectedMinor: before.closingMinor,
    actualMinor: openingMinor,
    expectedDay: before.to,
    actualDay: after.fromDay,
    explanation: `Statements of ${after.account} are missing before ${after.fileName}: ${why}. Payouts whose window falls into the gap stay in transit.`,
  }
}
