import type { StoredBankEntry } from '../bank-statement.ts'
import { firstPlace, groupBy } from '../collections.ts'
import type { Day } from '../day.ts'
import { daysBetween } from '../day.ts'
import type { Policy } from '../facts.ts'
import { type Finding, money } from '../findings.ts'
import { absolute, sumOf } from '../money.ts'
import type { ProvedPayout } from '../payout-proof.ts'
import type { OpenItemRow, SettlementRow, SettlementStatus } from '../reconciliation.ts'
import { addBusinessDays } from '../target-calendar.ts'
import type { DepositMatch } from './board.ts'
import {
  compareEntries,
  type DepositItem,
  lagDays,
  lineName,
  onlyNamed,
  type PayoutItem,
} from './items.ts'
import type { DepositMatching } from './match-deposits.ts'

/** What the matching means for each payout and each line: findings, open items and settlement states. */
export interface DepositJudgement {
  readonly findings: readonly Finding[]
  readonly openItems: readonly OpenItemRow[]
  readonly settlementOf: (payout: PayoutOfEntity) => SettlementState | undefined
  /** Payouts without own row whose money came all the same, with the line that carries their id. */
  readonly unknownPayoutLines: ReadonlyMap<string, StoredBankEntry>
}

type SettlementState = Pick<
  SettlementRow,
  'status' | 'rule' | 'bankReferences' | 'depositMinor' | 'bookedDay' | 'lagDays' | 'note'
>

export interface DepositContext {
  readonly policy: Policy
  readonly asOf: Day
  /** Whether the payout's window lies before today's day and statements cover it. */
  readonly isOver: (payout: PayoutItem) => boolean
  /** Why it is not, in words. */
  readonly whyOpen: (payout: PayoutItem) => string
  /** What the difference between a payout and its deposit may be, in words; see `explainDifference`. */
  readonly whatDiffers: (payout: PayoutItem, differenceMinor: bigint) => string
  /** Lines of own accounts that are not the provider's. */
  readonly otherLines: readonly StoredBankEntry[]
  /** Payouts that rows name and the ledger lacks, by `nameOf`. */
  readonly unknownPayouts: ReadonlyMap<string, ProvedPayout>
}

type PayoutOfEntity = Pick<PayoutItem, 'entity' | 'payoutId'>

interface Judged {
  readonly findings: Finding[]
  readonly openItems: OpenItemRow[]
  /** By entity, then by payout id. */
  readonly settlements: Map<string, Map<string, SettlementState>>
}

export function judgeDeposits(
  matching: DepositMatching,
  context: DepositContext,
): DepositJudgement {
  const judged: Judged = { findings: [], openItems: [], settlements: new Map() }
  judgeMatches(matching, context, judged)
  judgeReturned(matching, judged)
  judgePartly(matching, context, judged)
  judgeDiffering(matching, context, judged)
  judgeElsewhere(matching, judged)
  judgeAmbiguities(matching, judged)
  judgeOpenPayouts(matching, context, judged)
  const unknownPayoutLines = judgeOpenLines(matching, context, judged)
  const { findings, openItems, settlements } = judged
  const settlementOf = ({ entity, payoutId }: PayoutOfEntity) =>
    settlements.get(entity)?.get(payoutId)
  return { findings, openItems, settlementOf, unknownPayoutLines }
}

function payoutFacts(payout: PayoutItem) {
  return {
    entity: payout.entity,
    key: payout.payoutId,
    payoutId: payout.payoutId,
    currency: payout.currency,
    day: payout.day,
    closed: null,
    expectedMinor: payout.amountMinor,
    expectedDay: payout.windowLast,
  } as const
}

function lineFacts(entry: StoredBankEntry) {
  return {
    bankReference: entry.reference,
    bankAccount: entry.account,
    bankFile: entry.fileName,
    actualMinor: entry.amountMinor,
    actualDay: entry.bookingDay,
  } as const
}

function settle(
  judged: Judged,
  payout: PayoutItem,
  status: SettlementStatus,
  deposits: readonly DepositItem[],
  rest: { rule?: DepositMatch['rule']; note: string },
): void {
  const [first] = deposits
  const last = deposits.at(-1)?.entry
  const { settlements } = judged
  const ofEntity = settlements.get(payout.entity) ?? new Map<string, SettlementState>()
  settlements.set(payout.entity, ofEntity)
  ofEntity.set(payout.payoutId, {
    status,
    rule: rest.rule ?? null,
    bankReferences: deposits.map(({ entry }) => entry.reference),
    depositMinor:
      first === undefined
        ? null
        : deposits.length === 1
          ? first.entry.amountMinor
          : sumOf(deposits.map(({ entry }) => entry.amountMinor)),
    bookedDay: last?.bookingDay ?? null,
    lagDays: last === undefined ? null : lagDays(payout, last),
    note: rest.note,
  })
}

function judgeMatches(matching: DepositMatching, { policy }: DepositContext, judged: Judged): void {
  for (const match of matching.matches) {
    for (const payout of match.payouts) {
      settle(judged, payout, 'matched', match.deposits, { rule: match.rule, note: match.evidence })
      const last = match.deposits.at(-1)
      const lag = last === undefined ? null : lagDays(payout, last.entry)
      if (last === undefined || lag === null || lag <= policy.matchWindowDays) continue
      judged.findings.push(
        lateFinding(payout, match, last.entry, lag),
        missingUntil(payout, last.entry),
      )
    }
  }
}

/** The payout's own period tells that its money came late. */
function lateFinding(
  payout: PayoutItem,
  match: DepositMatch,
  entry: StoredBankEntry,
  lag: number,
): Finding {
  const actualMinor = match.payouts.length === 1 ? payout.amountMinor : null
  return {
    ...payoutFacts(payout),
    ...lineFacts(entry),
    code: 'deposit_late',
    ownPeriodOnly: true,
    actualMinor,
    explanation: `Payout ${payout.payoutId} of ${money(payout.amountMinor, payout.currency)} was to arrive by ${payout.windowLast} and was booked on ${entry.bookingDay}, ${lag} business days after it was sent (${match.evidence}).`,
  }
}

/** The period in which late money came tells that what was missing is there. */
function missingUntil(payout: PayoutItem, entry: StoredBankEntry): Finding {
  return {
    ...payoutFacts(payout),
    ...lineFacts(entry),
    code: 'deposit_missing',
    closed: {
      day: entry.bookingDay,
      by: `${lineName(entry)} of ${money(entry.amountMinor, entry.currency)} brought it.`,
    },
    // Where both lie in one period, that period's report says `deposit_late` and nothing else.
    actualMinor: 0n,
    explanation: missingSentence(payout),
  }
}

function missingSentence(payout: PayoutItem): string {
  const verb = payout.amountMinor < 0n ? 'debited' : 'arrived'
  return `Payout ${payout.payoutId} of ${money(payout.amountMinor, payout.currency)}, sent on ${payout.day}, had not ${verb} by ${payout.windowLast}.`
}

function judgeReturned(matching: DepositMatching, judged: Judged): void {
  for (const { match, credit, debit, again } of matching.returned) {
    if (match === null) {
      judged.findings.push(surplusReturned(credit, debit))
      continue
    }
    for (const payout of match.payouts) {
      judged.findings.push({
        ...payoutFacts(payout),
        ...lineFacts(debit.entry),
        code: 'deposit_returned',
        actualMinor: again === null ? 0n : payout.amountMinor,
        closed:
          again === null
            ? null
            : {
                day: again.entry.bookingDay,
                by: `${lineName(again.entry)} of ${money(again.entry.amountMinor, again.entry.currency)} paid it again.`,
              },
        explanation: `Payout ${payout.payoutId} of ${money(payout.amountMinor, payout.currency)} arrived with the ${lineName(credit.entry)} and was sent back with the ${lineName(debit.entry)}.`,
      })
      if (again === null)
        settle(judged, payout, 'returned', [credit, debit], {
          rule: match.rule,
          note: 'the credit was sent back',
        })
      else
        settle(judged, payout, 'matched', [again], {
          rule: match.rule,
          note: 'paid again after the first credit was sent back',
        })
    }
  }
}

function surplusReturned({ entity, entry }: DepositItem, debit: DepositItem): Finding {
  return {
    code: 'deposit_unexpected',
    entity,
    key: entry.reference,
    currency: entry.currency,
    day: entry.bookingDay,
    ...lineFacts(entry),
    expectedMinor: 0n,
    closed: { day: debit.entry.bookingDay, by: `the ${lineName(debit.entry)} took it back.` },
    explanation: `${capital(lineName(entry))} of ${money(entry.amountMinor, entry.currency)} belongs to no payout.`,
  }
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

/** The first part of a split: in transit until the rest has come, or can no longer come. */
function judgePartly(matching: DepositMatching, context: DepositContext, judged: Judged): void {
  for (const { payouts, deposits } of matching.partly) {
    const [payout] = payouts
    const cameMinor = sumOf(deposits.map(({ entry }) => entry.amountMinor))
    const lines = deposits.map(({ entry }) => lineName(entry)).join(' and ')
    const note = `${money(cameMinor, payout.currency)} came with the ${lines}; for the rest, ${context.whyOpen(payout)}`
    settle(judged, payout, 'in_transit', deposits, { note })
    judged.openItems.push(inTransit(payout, note, context.asOf))
  }
}

function inTransit(payout: PayoutItem, note: string, asOf: Day): OpenItemRow {
  return {
    item: 'payout_in_transit',
    id: payout.payoutId,
    entity: payout.entity,
    currency: payout.currency,
    amountMinor: payout.amountMinor,
    since: payout.day,
    due: payout.windowLast,
    ageDays: Math.max(0, daysBetween(payout.day, asOf)),
    note,
  }
}

function judgeDiffering(matching: DepositMatching, context: DepositContext, judged: Judged): void {
  for (const { payouts, deposits, because } of matching.differing) {
    const [payout] = payouts
    const [first, ...others] = deposits
    if (first === undefined) continue
    const cameMinor = sumOf(deposits.map(({ entry }) => entry.amountMinor))
    // A payout whose own row is wrong and whose money is right has one fault: `payout_residual` names it.
    const rowIsWrong = cameMinor === payout.rowsNetMinor
    const differenceMinor = cameMinor - payout.amountMinor
    const why =
      because === 'reference'
        ? `the bank ${others.length === 0 ? 'line names' : 'lines name'} the payout`
        : `no other payout and no other line of Alma's are left within ${context.policy.matchWindowDays} business days`
    settle(judged, payout, 'amount_differs', deposits, {
      note: rowIsWrong ? 'the deposit equals the rows of the payout, see payout_residual' : why,
    })
    if (rowIsWrong) continue
    const lines = deposits.map(({ entry }) => lineName(entry)).join(' and ')
    const lessOrMore = absolute(cameMinor) < absolute(payout.amountMinor) ? 'little' : 'much'
    judged.findings.push({
      ...payoutFacts(payout),
      ...lineFacts(first.entry),
      code: 'deposit_amount',
      key: `${payout.payoutId} ${first.entry.reference}`,
      actualMinor: cameMinor,
      explanation: `Payout ${payout.payoutId} is ${money(payout.amountMinor, payout.currency)}, but the ${lines} brought ${money(cameMinor, payout.currency)}: ${money(absolute(differenceMinor), payout.currency)} too ${lessOrMore}. They belong together because ${why}. ${context.whatDiffers(payout, differenceMinor)}`,
    })
  }
}

function judgeElsewhere(matching: DepositMatching, judged: Judged): void {
  for (const { payouts, deposits, what, because } of matching.elsewhere) {
    const [payout] = payouts
    const [{ entity, entry }] = deposits
    const why =
      because === 'reference'
        ? 'the line names the payout'
        : 'no other open payout or line has this figure in the window'
    const where =
      what === 'account'
        ? `at account ${entry.account} of ${entity} instead of an account of ${payout.entity}`
        : `as ${money(entry.amountMinor, entry.currency)}`
    const sameCurrency = entry.currency === payout.currency
    judged.findings.push({
      ...payoutFacts(payout),
      ...lineFacts(entry),
      code: what === 'account' ? 'deposit_wrong_account' : 'deposit_wrong_currency',
      key: entry.reference,
      day: entry.bookingDay,
      actualMinor: what === 'account' || !sameCurrency ? 0n : entry.amountMinor,
      explanation: `Payout ${payout.payoutId} of ${money(payout.amountMinor, payout.currency)} arrived ${where} on ${entry.bookingDay} (${lineName(entry)}; ${why}).`,
    })
    settle(judged, payout, 'elsewhere', [deposits[0]], {
      note:
        what === 'account' ? `arrived at an account of ${entity}` : `arrived in ${entry.currency}`,
    })
  }
}

function judgeAmbiguities(matching: DepositMatching, judged: Judged): void {
  for (const ambiguity of matching.ambiguities) {
    const { subject, payouts, deposits, why } = ambiguity
    if (subject === 'line') {
      for (const { entity, entry } of deposits) {
        judged.findings.push({
          code: 'deposit_ambiguous',
          entity,
          key: entry.reference,
          currency: entry.currency,
          day: entry.bookingDay,
          closed: null,
          ...lineFacts(entry),
          explanation: `${capital(lineName(entry))} of ${money(entry.amountMinor, entry.currency)} can be explained in several ways, so none was taken: ${why}.`,
        })
      }
    } else {
      for (const payout of payouts) {
        judged.findings.push({
          ...payoutFacts(payout),
          code: 'deposit_ambiguous',
          explanation: `Payout ${payout.payoutId} of ${money(payout.amountMinor, payout.currency)} may have come in several lines, so none was taken: ${why}.`,
        })
      }
    }
    for (const payout of payouts) {
      settle(judged, payout, 'ambiguous', [], {
        note: `may be paid by ${deposits.map(({ entry }) => lineName(entry)).join(', ')}`,
      })
    }
  }
}

function judgeOpenPayouts(
  matching: DepositMatching,
  context: DepositContext,
  judged: Judged,
): void {
  const othersOfAmount = groupBy(
    context.otherLines,
    ({ currency, amountMinor }) => `${currency} ${amountMinor}`,
  )
  for (const lines of othersOfAmount.values()) lines.sort(compareEntries)
  for (const payout of matching.left.payouts) {
    if (payout.amountMinor === 0n) {
      settle(judged, payout, 'matched', [], { note: 'nothing to transfer' })
      continue
    }
    if (!context.isOver(payout)) {
      const note = context.whyOpen(payout)
      settle(judged, payout, 'in_transit', [], { note })
      judged.openItems.push(inTransit(payout, note, context.asOf))
      continue
    }
    const others = othersOfAmount.get(`${payout.currency} ${payout.amountMinor}`) ?? []
    const last = addBusinessDays(payout.day, context.policy.lateWindowDays)
    const alike = others
      .slice(
        firstPlace(others, ({ bookingDay }) => bookingDay >= payout.day),
        firstPlace(others, ({ bookingDay }) => bookingDay > last),
      )
      .filter((entry) => lagDays(payout, entry) !== null)
    judged.findings.push({
      ...payoutFacts(payout),
      code: 'deposit_missing',
      actualMinor: 0n,
      explanation: `${missingSentence(payout)} The statements cover these days.${alikeSentence(alike)}`,
    })
    settle(judged, payout, 'missing', [], { note: `nothing came by ${payout.windowLast}` })
  }
}

function alikeSentence(alike: readonly StoredBankEntry[]): string {
  if (alike.length === 0) return ''
  const lines = alike.slice(0, 3).map((entry) => lineName(entry))
  return ` The same amount stands in ${lines.join(', ')}, which does not look like Alma's and was not taken.`
}

/** Lines that no payout took. Those that carry the id of an unknown payout belong to that finding. */
function judgeOpenLines(
  matching: DepositMatching,
  context: DepositContext,
  judged: Judged,
): Map<string, StoredBankEntry> {
  const unknownPayoutLines = new Map<string, StoredBankEntry>()
  const namedByOpen = new Set(matching.left.deposits.map((line) => onlyNamed(line)?.payoutId))
  const concerned = matching.matches.filter(({ payouts }) =>
    payouts.some(({ payoutId }) => namedByOpen.has(payoutId)),
  )
  const ties: TiesOfPayouts = {
    firstOf: firstLines(concerned),
    matchOf: matchesOfPayouts(concerned),
    openOf: groupBy(matching.left.payouts, figureOfPayout),
  }
  for (const deposit of matching.left.deposits) {
    const named = onlyNamed(deposit)
    const name = named === null ? null : named.name
    if (name !== null && context.unknownPayouts.has(name) && !unknownPayoutLines.has(name)) {
      unknownPayoutLines.set(name, deposit.entry)
      continue
    }
    judged.findings.push(openLine(deposit, ties, context))
  }
  return unknownPayoutLines
}

/** What the payouts that lines left over may have to do with are tied to. */
interface TiesOfPayouts {
  /** The line that paid each payout by its reference, by `nameOf`. */
  readonly firstOf: ReadonlyMap<string, { payout: PayoutItem; entry: StoredBankEntry }>
  /** By `nameOf`. */
  readonly matchOf: ReadonlyMap<string, DepositMatch>
  /** Payouts that nothing paid, by `figureOfPayout`. */
  readonly openOf: ReadonlyMap<string, readonly PayoutItem[]>
}

/** Entity, currency and amount. */
function figureOfPayout({ entity, currency, amountMinor }: PayoutItem): string {
  return `${entity}\u0000${currency}\u0000${amountMinor}`
}

/** The match of each payout, by `nameOf`. */
function matchesOfPayouts(matches: readonly DepositMatch[]): Map<string, DepositMatch> {
  return new Map(
    matches.flatMap((match) => match.payouts.map((payout) => [payout.name, match] as const)),
  )
}

/** The line that paid each payout by its reference, by `nameOf`. */
function firstLines(
  matches: readonly DepositMatch[],
): Map<string, { payout: PayoutItem; entry: StoredBankEntry }> {
  return new Map(
    matches.flatMap((match) =>
      match.payouts.flatMap((payout) => {
        const [first] = match.deposits
        const byReference = first !== undefined && onlyNamed(first) !== null
        return byReference ? [[payout.name, { payout, entry: first.entry }] as const] : []
      }),
    ),
  )
}

function openLine(deposit: DepositItem, ties: TiesOfPayouts, context: DepositContext): Finding {
  const { entity, entry } = deposit
  const named = onlyNamed(deposit)
  const first = named === null ? undefined : ties.firstOf.get(named.name)
  const base = {
    entity,
    key: entry.reference,
    currency: entry.currency,
    day: entry.bookingDay,
    closed: null,
    ...lineFacts(entry),
    expectedMinor: 0n,
  } as const
  const line = `${capital(lineName(entry))} of ${money(entry.amountMinor, entry.currency)}`
  if (first !== undefined && entry.amountMinor > 0n === first.payout.amountMinor > 0n) {
    return {
      ...base,
      code: 'deposit_duplicate',
      payoutId: first.payout.payoutId,
      explanation: `${line} names payout ${first.payout.payoutId} of ${money(first.payout.amountMinor, first.payout.currency)}, which the ${lineName(first.entry)} with the same reference already paid.`,
    }
  }
  if (entry.amountMinor < 0n) {
    return {
      ...base,
      code: 'debit_unexpected',
      explanation: `${line} was taken by Alma and is neither a negative payout nor the return of a credit.`,
    }
  }
  const cause = paidOtherwise(deposit, ties) ?? likelyCause(entity, entry, ties, context)
  return {
    ...base,
    code: 'deposit_unexpected',
    payoutId: cause?.payoutId ?? null,
    explanation: `${line} came from Alma and belongs to no payout.${cause === null ? '' : cause.sentence}`,
  }
}

/** The payout that the line names and that a decision or an earlier report tied to another line. */
function paidOtherwise(
  deposit: DepositItem,
  { matchOf }: TiesOfPayouts,
): { payoutId: string; sentence: string } | null {
  const named = onlyNamed(deposit)
  if (named === null) return null
  const match = matchOf.get(named.name)
  if (match === undefined || match.deposits.includes(deposit)) return null
  const lines = match.deposits.map(({ entry }) => lineName(entry)).join(', ')
  return {
    payoutId: named.payoutId,
    sentence: ` It names payout ${named.payoutId}, which is matched with ${lines} (${match.rule}: ${match.evidence}); if this line is the right one, refuse that match.`,
  }
}

/** A payout of this amount that is open and too old to be tied to the line. */
function likelyCause(
  entity: string,
  entry: StoredBankEntry,
  { openOf }: TiesOfPayouts,
  { policy }: DepositContext,
): { payoutId: string; sentence: string } | null {
  const { currency, amountMinor } = entry
  const alike = openOf.get(`${entity}\u0000${currency}\u0000${amountMinor}`) ?? []
  const tooOld = alike.slice(
    0,
    firstPlace(alike, ({ day }) => addBusinessDays(day, policy.lateWindowDays) >= entry.bookingDay),
  )
  const payout = tooOld.find((open) => lagDays(open, entry) !== null)
  if (payout === undefined) return null
  return {
    payoutId: payout.payoutId,
    sentence: ` Its likely cause is payout ${payout.payoutId} of ${payout.day} over the same amount, which is still missing; it came more than ${policy.lateWindowDays} business days after it, so it is not tied to it without a decision.`,
  }
}
