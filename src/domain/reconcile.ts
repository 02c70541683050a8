import { withoutEchoes } from './causes.ts'
import { compareText, groupBy, remembering } from './collections.ts'
import { judgeLateRows, lateCauses, withLateEntries } from './closed-period.ts'
import type { StoredBankEntry } from './bank-statement.ts'
import type { Day } from './day.ts'
import {
  refusedEntries,
  signature,
  type StandingDecisions,
  standingDecisions,
} from './decisions.ts'
import { boardOf, type DepositMatch } from './deposits/board.ts'
import { type BookedLine, bookedLines } from './deposits/booked-lines.ts'
import { nameOf } from './deposits/references.ts'
import { differenceSources, explainDifference } from './deposits/difference.ts'
import {
  accountOwners,
  type DepositItem,
  ownLines,
  type PayoutItem,
  payoutItems,
} from './deposits/items.ts'
import { type BrokenDecision, keepDecided, linesOf } from './deposits/decided.ts'
import { contradictionsOf, type Remarks, remarksOn, withRemarks } from './deposits/earlier-ties.ts'
import { type DepositJudgement, judgeDeposits } from './deposits/judge-deposits.ts'
import { matchDeposits } from './deposits/match-deposits.ts'
import type { BrokenPin } from './deposits/pinned.ts'
import { indexReferences, type ReferenceIndex } from './deposits/references.ts'
import { judgeExports, judgeFees } from './export-proof.ts'
import type { EntityFacts, Facts } from './facts.ts'
import { type Finding, isToldLater, money, toDiscrepancies } from './findings.ts'
import {
  refuteMatches,
  refutePayoutsSent,
  refuteReport,
  refuteRows,
  refuteSettled,
  refuteSummary,
} from './invariants.ts'
import {
  foldChanges,
  judgeChanges,
  judgeLatePaidRows,
  judgeOpenRows,
  judgeRepeatedRows,
  judgeSuspectRows,
} from './ledger-rows.ts'
import { withoutUnknowable } from './ledger-floor.ts'
import type { Note } from './note.ts'
import { judgePayouts, type ProvedPayout, provePayouts } from './payout-proof.ts'
import { periodContains, periodInstants } from './period.ts'
import { judgePlans } from './plans.ts'
import type {
  DiscrepancyRow,
  Match,
  OpenItemRow,
  PlanReport,
  Reconciliation,
  RefundRow,
  SettlementRow,
  SummaryLine,
} from './reconciliation.ts'
import { judgeRefunds } from './refund-life.ts'
import { currenciesOf, summarise, type SummaryInput } from './roll-forward.ts'
import { type CoveredStretch, isCovered, proveStatements } from './statement-proof.ts'

/**
 * One reconciliation: facts in, reports out. Nothing here reads a clock, a file or a database, and
 * the order in which the facts come does not matter.
 */
export function reconcile(facts: Facts): Reconciliation & {
  readonly brokenPins: readonly BrokenPin[]
  /** Recorded decisions that the facts no longer bear. */
  readonly brokenDecisions: readonly Note[]
  readonly bookedLines: readonly BookedLine[]
} {
  const { decisions, lateEntries } = facts.record
  const standing = standingDecisions(decisions)
  const { zone } = facts.policy
  const ledgers = facts.entities.map((entity) => judgeLedger(entity, facts))
  const payouts = ledgers.flatMap((ledger) => ledger.payouts)
  const bank = judgeBank(facts, payouts, standing)
  const { judgement } = bank
  const found = [
    ...ledgers.flatMap((ledger) =>
      ledger.findings.map((finding) => withUnknownPayoutLine(finding, judgement)),
    ),
    ...withLateEntries(judgement.findings, lateEntries, { ...bank, zone }),
    ...bank.findings,
  ]
  const findings = withoutEchoes(
    withoutUnknowable(found, facts.entities, facts.policy),
    (finding) => !isToldLater(finding, facts.period),
  )
  const discrepancies = toDiscrepancies(findings, facts.period, facts.asOf, {
    byDiscrepancy: standing.verdicts,
    zone,
  })
  const { summary, controlFaults } = controlTotals(facts, ledgers, bank, discrepancies)
  const tables = {
    period: facts.period,
    discrepancies,
    settlements: settlementRows(facts, payouts, bank),
    refunds: ledgers.flatMap((ledger) => ledger.refunds).toSorted(compareRefunds),
    openItems: [...ledgers.flatMap((ledger) => ledger.openItems), ...judgement.openItems]
      .filter((item) => item.since <= facts.period.last)
      .toSorted(compareOpenItems),
    summary,
  }
  return {
    ...tables,
    asOf: facts.asOf,
    plans: plansOf(ledgers),
    matches: bank.matches
      .filter((match) => match.payouts.some((payout) => payout.day <= facts.period.last))
      .map(toMatch),
    controlFaults: [
      ...controlFaults,
      ...refuteSettled(tables.settlements, bank.matches),
      ...refuteReport(tables),
    ],
    brokenPins: bank.brokenPins,
    brokenDecisions: bank.brokenDecisions.map((broken) => brokenDecisionNote(broken, zone)),
    bookedLines: bank.bookedLines,
  }
}

function brokenDecisionNote({ decision, because }: BrokenDecision, zone: string): Note {
  const text = `A decision on payout ${decision.payoutIds.join(' and ')} no longer holds (by ${signature(decision, zone)}): ${because}. It was judged anew.`
  return { entities: [decision.entity], text }
}

interface LedgerJudgement {
  readonly facts: EntityFacts
  readonly payouts: readonly ProvedPayout[]
  readonly findings: readonly Finding[]
  readonly refunds: readonly RefundRow[]
  readonly openItems: readonly OpenItemRow[]
  readonly plans: PlanReport
}

/** Plans of all entities, in the order of their names. */
function plansOf(ledgers: readonly LedgerJudgement[]): PlanReport {
  const reports = ledgers
    .toSorted((a, b) => compareText(a.facts.entity, b.facts.entity))
    .map(({ plans }) => plans)
  return {
    rows: reports.flatMap(({ rows }) => rows),
    stops: reports.flatMap(({ stops }) => stops),
    remarks: reports.flatMap(({ remarks }) => remarks),
  }
}

/** Parts A, B and D: what the provider's own papers say against each other. */
function judgeLedger(
  facts: EntityFacts,
  { policy, period, asOf, ledgerCurrency, record }: Facts,
): LedgerJudgement {
  const { entity } = facts
  const payouts = provePayouts(facts, policy)
  const payoutDays = new Map(
    payouts.filter(({ own }) => own !== null).map((payout) => [payout.facts.payoutId, payout.day]),
  )
  const changes = foldChanges(facts.changes)
  const late = judgeLateRows(entity, record.lateRows, policy.zone)
  const rowFindings = [
    ...judgeSuspectRows(entity, facts.suspectRows, policy.zone),
    ...judgeRepeatedRows(entity, facts.repeatedRows, policy.zone),
    ...judgeChanges(entity, changes, policy.zone),
  ]
  // The first finding of each row, which is why the latest comes first into the map.
  const lateChanges = new Map(
    rowFindings
      .filter((finding) => isLate(finding, late))
      .toReversed()
      .map((finding) => [finding.balanceTransactionId ?? '', finding]),
  )
  const proved = judgePayouts(
    payouts,
    facts,
    changes,
    rowFindings,
    {
      causesOf: lateCauses(entity, record.lateRows, late),
      isTold: (finding) => {
        const standsFor = isLate(finding, late)
          ? late.get(finding.balanceTransactionId ?? '')
          : undefined
        return !isToldLater(standsFor ?? finding, period)
      },
    },
    policy.zone,
  )
  const open = judgeOpenRows(entity, facts.openRows, policy, asOf)
  const refunds = judgeRefunds(facts, changes, payoutDays, {
    policy,
    period,
    asOf,
    currency: ledgerCurrency,
  })
  const { findings: planFindings, ...plans } = judgePlans(facts.plans, {
    entity,
    policy,
    period,
    currency: ledgerCurrency,
  })
  return {
    facts,
    payouts,
    plans,
    findings: [
      ...proved.findings,
      ...rowFindings
        .filter((finding) => !isLate(finding, late))
        .map((finding) => withSentence(finding, proved.absorbed.get(finding))),
      ...[...late].map(([id, finding]) => {
        const change = lateChanges.get(id)
        return withSentence(
          finding,
          proved.absorbed.get(finding) ?? (change && proved.absorbed.get(change)),
        )
      }),
      ...open.findings,
      ...judgeLatePaidRows(entity, facts.latePaidRows, payoutDays, policy),
      ...judgeExports(entity, facts.exports, policy, ledgerCurrency),
      ...judgeFees(entity, facts.fees, policy),
      ...planFindings,
      ...refunds.findings,
    ],
    refunds: refunds.rows,
    openItems: [...open.openItems, ...refunds.openItems],
  }
}

/** Whether a late change stands for the finding: what changed of a closed period has one code. */
function isLate(
  { code, balanceTransactionId }: Finding,
  late: ReadonlyMap<string, Finding>,
): boolean {
  return (
    (code === 'line_changed' || code === 'line_vanished') && late.has(balanceTransactionId ?? '')
  )
}

function withSentence(finding: Finding, sentence: string | undefined): Finding {
  return sentence === undefined
    ? finding
    : { ...finding, explanation: `${finding.explanation} ${sentence}` }
}

interface BankJudgement {
  readonly judgement: DepositJudgement
  readonly findings: readonly Finding[]
  readonly matches: readonly DepositMatch[]
  readonly brokenPins: readonly BrokenPin[]
  readonly brokenDecisions: readonly BrokenDecision[]
  readonly remarks: Remarks
  readonly bookedLines: readonly BookedLine[]
  /** The provider's lines, and those that somebody decided are. */
  readonly deposits: readonly DepositItem[]
}

/** Parts C and E: payouts against the bank, and the bank's statements against themselves. */
function judgeBank(
  facts: Facts,
  payouts: readonly ProvedPayout[],
  standing: StandingDecisions,
): BankJudgement {
  const { policy, asOf, bank } = facts
  const references = indexReferences(payouts)
  const { ofProvider, others } = ownLines(bank.entries, facts.entities, references)
  const coverage = coverageOf(facts, ofProvider)
  const isOver = (payout: PayoutItem): boolean => coverage.whyOpen(payout) === null
  const refusedOf = refusedEntries(standing.refused)
  const items = payoutItems(payouts, policy)
  const mark = (payout: PayoutItem): PayoutItem => {
    const refusedEntryIds = refusedOf.get(payout.name)
    return refusedEntryIds === undefined ? payout : { ...payout, refusedEntryIds }
  }
  const payoutsToTie = refusedOf.size === 0 ? items : items.map(mark)
  const gone = payoutsGone(facts, payouts)
  const entryOf = entryFinder(bank.entries)
  const decided = keepDecided(standing.matches, {
    payouts: payoutsToTie,
    lines: linesNamedByDecisions(facts, standing, ofProvider, references),
    entryOf,
    gone,
    zone: policy.zone,
  })
  const decidedLines = decided.matches.flatMap((match) => match.deposits)
  const board =
    decidedLines.length === 0
      ? { payouts: payoutsToTie, deposits: ofProvider }
      : boardOf(payoutsToTie, [...new Set([...ofProvider, ...decidedLines])])
  const { deposits } = board
  const taken = new Set(deposits.map(({ entry }) => entry.id))
  const matching = matchDeposits(board, bank.pinned, policy, isOver, {
    ...decided,
    refused: standing.refused,
    gone,
  })
  const othersOf = (entity: string): StoredBankEntry[] =>
    (others.get(entity) ?? []).filter(({ id }) => !taken.has(id))
  const payoutsOf = groupBy(payouts, ({ entity }) => entity)
  const factsOf = new Map(facts.entities.map((ofEntity) => [ofEntity.entity, ofEntity]))
  const sourcesOf = remembering((entity: string) => {
    const ofEntity = factsOf.get(entity)
    if (ofEntity === undefined) throw new Error(`there are no facts of ${entity}`)
    return differenceSources(ofEntity, payoutsOf.get(entity) ?? [], othersOf(entity))
  })
  const unknownPayouts = new Map(
    payouts.filter(({ own }) => own === null).map((payout) => [payout.name, payout]),
  )
  const told = judgeDeposits(matching, {
    policy,
    asOf,
    isOver,
    whyOpen: (payout) => coverage.whyOpen(payout) ?? '',
    whatDiffers: (payout, differenceMinor) =>
      explainDifference(payout, differenceMinor, sourcesOf(payout.entity)),
    otherLines: facts.entities.flatMap(({ entity }) => othersOf(entity)),
    unknownPayouts,
  })
  const { matches, brokenPins, brokenDecisions } = matching
  const remarks = remarksOn({
    brokenPins,
    brokenDecisions,
    revoked: facts.record.revoked,
    refused: [...standing.refused.values()],
    matches,
    entryOf,
    zone: policy.zone,
  })
  return {
    judgement: { ...told, findings: withRemarks(told.findings, remarks, bank.entries) },
    findings: coverage.findings,
    matches,
    brokenPins,
    brokenDecisions,
    remarks,
    bookedLines: bookedLines(matching, deposits),
    deposits,
  }
}

/** Entries by id: put in order when the first one is asked for, which few nights do. */
function entryFinder(
  entries: readonly StoredBankEntry[],
): (id: string) => StoredBankEntry | undefined {
  let known: Map<string, StoredBankEntry> | null = null
  return (id) => {
    known ??= new Map(entries.map((entry) => [entry.id, entry]))
    return known.get(id)
  }
}

/** Payouts whose own row was in the ledger and is gone from it, by `nameOf`. */
function payoutsGone(facts: Facts, payouts: readonly ProvedPayout[]): Set<string> {
  const gone = facts.entities.flatMap(({ entity, changes }) =>
    foldChanges(changes)
      .filter(({ vanished, row }) => vanished && row.kind === 'from_payout')
      .map(({ row }) => nameOf({ entity, payoutId: row.payoutId ?? row.id })),
  )
  if (gone.length === 0) return new Set()
  const there = new Set(payouts.filter(({ own }) => own !== null).map(({ name }) => name))
  return new Set(gone.filter((name) => !there.has(name)))
}

/** The lines that standing matches name, by the id of the entry; some do not look like the provider's. */
function linesNamedByDecisions(
  { bank, entities }: Facts,
  { matches }: StandingDecisions,
  ofProvider: readonly DepositItem[],
  references: ReferenceIndex,
): Map<string, DepositItem> {
  if (matches.length === 0) return new Map()
  const named = new Set(matches.flatMap(({ bankEntryIds }) => bankEntryIds))
  const known = new Map(ofProvider.map((deposit) => [deposit.entry.id, deposit]))
  const others = bank.entries.filter(({ id }) => named.has(id) && !known.has(id))
  return new Map([
    ...known,
    ...linesOf(others, entities, references).map((line) => [line.entry.id, line] as const),
  ])
}

/**
 * Whether a payout's window is over and covered by statements. The accounts that must be covered are
 * those of the entity at which the provider's lines are seen; all of its accounts if there are none.
 */
function coverageOf({ entities, bank, asOf }: Facts, deposits: readonly DepositItem[]) {
  const ownerOf = accountOwners(entities)
  const findings: Finding[] = []
  const covered = new Map<string, ReadonlyMap<string, readonly CoveredStretch[]>>()
  const accountsOf = new Map<string, readonly string[]>()
  const statementsOf = groupBy(bank.statements, (statement) => ownerOf(statement.account))
  const entriesOf = groupBy(bank.entries, (entry) => ownerOf(entry.account))
  const depositsOf = groupBy(deposits, (deposit) => deposit.entity)
  for (const { entity, account } of entities) {
    const statements = statementsOf.get(entity) ?? []
    const entries = entriesOf.get(entity) ?? []
    const proof = proveStatements(entity, statements, entries)
    for (const finding of proof.findings) findings.push(finding)
    covered.set(
      entity,
      groupBy(proof.covered, (stretch) => stretch.account),
    )
    const paid = (depositsOf.get(entity) ?? []).map(({ entry }) => entry.account)
    const known =
      paid.length > 0
        ? paid
        : [...account.ibans, ...statements.map((statement) => statement.account)]
    accountsOf.set(entity, [...new Set(known)].toSorted(compareText))
  }
  const whyUncovered = (entity: string, windowFirst: Day, windowLast: Day): string | null => {
    const accounts = accountsOf.get(entity) ?? []
    if (accounts.length === 0) return 'awaiting bank statements: there are none yet'
    const uncovered = accounts.filter(
      (account) =>
        !isCovered(covered.get(entity)?.get(account) ?? [], account, windowFirst, windowLast),
    )
    if (uncovered.length === 0) return null
    return `awaiting bank statements of ${uncovered.join(', ')} for ${windowFirst} to ${windowLast}`
  }
  // Payouts of one day have one window, and each is asked several times.
  const answers = new Map<string, string | null>()
  const whyOpen = ({ entity, windowFirst, windowLast }: PayoutItem): string | null => {
    if (windowLast >= asOf) return `its window ends on ${windowLast}`
    const name = `${windowFirst} ${windowLast} ${entity}`
    const known = answers.get(name)
    if (known !== undefined) return known
    const why = whyUncovered(entity, windowFirst, windowLast)
    answers.set(name, why)
    return why
  }
  return { whyOpen, findings }
}

/** A payout that the ledger lacks and that the bank has: the line is told with it. */
function withUnknownPayoutLine(
  finding: Finding,
  { unknownPayoutLines }: DepositJudgement,
): Finding {
  if (finding.code !== 'payout_unknown') return finding
  const line = unknownPayoutLines.get(nameOf({ entity: finding.entity, payoutId: finding.key }))
  if (line === undefined) return finding
  return {
    ...finding,
    bankReference: line.reference,
    bankAccount: line.account,
    bankFile: line.fileName,
    actualMinor: line.amountMinor,
    actualDay: line.bookingDay,
    explanation: `${finding.explanation} Bank line ${line.reference} of ${line.bookingDay} carries its id and brought ${money(line.amountMinor, line.currency)}.`,
  }
}

function settlementRows(
  facts: Facts,
  payouts: readonly ProvedPayout[],
  { judgement, remarks }: BankJudgement,
): SettlementRow[] {
  return payouts
    .flatMap((payout): SettlementRow[] => {
      const { facts: sums, entity, day } = payout
      if (day > facts.period.last) return []
      const state = judgement.settlementOf({ entity, payoutId: sums.payoutId })
      if (state === undefined) return []
      if (!periodContains(facts.period, day) && state.status === 'matched') return []
      const residualNote =
        payout.residualMinor === 0n
          ? ''
          : `residual of ${money(payout.residualMinor, sums.currency)}`
      return [
        {
          payoutId: sums.payoutId,
          entity,
          currency: sums.currency,
          createdDay: day,
          transactions: sums.transactions,
          grossMinor: sums.grossMinor,
          feesMinor: sums.feesMinor,
          refundsMinor: sums.refundsMinor,
          otherMinor: sums.otherMinor,
          netMinor: sums.netMinor,
          payoutAmountMinor: payout.amountMinor,
          residualMinor: payout.residualMinor,
          ...state,
          note: [state.note, residualNote, ...contradictionsOf(remarks, payout.name)]
            .filter((note) => note !== '')
            .join('; '),
        },
      ]
    })
    .toSorted(
      (a, b) =>
        compareText(a.entity, b.entity) ||
        compareText(a.createdDay, b.createdDay) ||
        compareText(a.payoutId, b.payoutId),
    )
}

function compareRefunds(a: RefundRow, b: RefundRow): number {
  return (
    compareText(a.entity, b.entity) ||
    compareText(a.createdDay, b.createdDay) ||
    compareText(a.refundId, b.refundId)
  )
}

function compareOpenItems(a: OpenItemRow, b: OpenItemRow): number {
  return (
    compareText(a.entity, b.entity) ||
    compareText(a.item, b.item) ||
    compareText(a.since, b.since) ||
    compareText(a.id, b.id)
  )
}

function toMatch({ rule, payouts, deposits, evidence, competitors }: DepositMatch): Match {
  return {
    entity: payouts[0]?.entity ?? '',
    rule,
    payoutIds: payouts.map(({ payoutId }) => payoutId),
    bankEntryIds: deposits.map(({ entry }) => entry.id),
    evidence,
    competitors,
  }
}

/** The control totals, and whatever of them does not tie. */
function controlTotals(
  facts: Facts,
  ledgers: readonly LedgerJudgement[],
  bank: BankJudgement,
  discrepancies: readonly DiscrepancyRow[],
): { summary: SummaryLine[]; controlFaults: string[] } {
  const { period, policy, ledgerCurrency } = facts
  const instants = periodInstants(period, policy.zone)
  const summary: SummaryLine[] = []
  const controlFaults: string[] = [...refuteMatches(bank.matches)]
  const depositsOf = groupBy(bank.deposits, ({ entity }) => entity)
  const discrepanciesOf = groupBy(discrepancies, ({ entity }) => entity)
  for (const ledger of ledgers.toSorted((a, b) => compareText(a.facts.entity, b.facts.entity))) {
    controlFaults.push(...refuteRows(ledger))
    for (const currency of currenciesOf(ledger.facts, ledgerCurrency)) {
      const input: SummaryInput = {
        facts: ledger.facts,
        currency,
        sent: sentPayouts(facts, ledger, bank.judgement, currency),
        receivedMinor: (depositsOf.get(ledger.facts.entity) ?? [])
          .filter(({ entry }) => entry.currency === currency)
          .filter(({ entry }) => entry.amountMinor > 0n && periodContains(period, entry.bookingDay))
          .map(({ entry }) => entry.amountMinor),
        discrepancies: discrepanciesOf.get(ledger.facts.entity) ?? [],
        period: instants,
      }
      const lines = summarise(input)
      summary.push(...lines)
      controlFaults.push(
        ...refuteSummary(input, lines),
        ...refutePayoutsSent(ledger, input, instants, policy.zone),
      )
    }
  }
  return { summary, controlFaults }
}

function sentPayouts(
  { period }: Facts,
  { payouts }: LedgerJudgement,
  judgement: DepositJudgement,
  currency: string,
) {
  return payouts.flatMap((payout) => {
    const counts =
      payout.own !== null &&
      payout.facts.currency === currency &&
      periodContains(period, payout.day)
    const { entity, facts } = payout
    const { payoutId } = facts
    const state = counts ? judgement.settlementOf({ entity, payoutId }) : undefined
    return state === undefined ? [] : [{ amountMinor: payout.amountMinor, status: state.status }]
  })
}
