import type { BalanceTransaction } from './balance-transaction.ts'
import { type Day, dayOfInstant } from './day.ts'
import { nameOf, type PayoutReference } from './deposits/references.ts'
import type { EntityFacts, PayoutFacts, Policy } from './facts.ts'
import { type Finding, money } from './findings.ts'
import { absolute } from './money.ts'
import { explainResidualByHypotheses, type ResidualSources, residualSources } from './residual.ts'
import {
  causesByPayout,
  explainResidual,
  type NetChange,
  type ResidualCause,
} from './ledger-rows.ts'

/** A payout with its proof: the nets of its rows plus its own net must be 0. */
export interface ProvedPayout extends PayoutReference {
  readonly facts: PayoutFacts
  /** Its first own row; null where the ledger has none (`payout_unknown`). */
  readonly own: BalanceTransaction | null
  /** The day of its own row, else of the last row that names it. */
  readonly day: Day
  /** What was sent: positive when the merchant receives. */
  readonly amountMinor: bigint
  /** Net of the rows − what was sent. */
  readonly residualMinor: bigint
}

export function provePayouts(facts: EntityFacts, policy: Policy): ProvedPayout[] {
  const proved: ProvedPayout[] = []
  for (const payout of facts.payouts) {
    const own = payout.ownRows[0] ?? null
    const at = own?.createdS ?? payout.lastRowCreatedS
    if (at === null) continue
    const amountMinor = own === null ? 0n : -own.netMinor
    proved.push({
      entity: facts.entity,
      payoutId: payout.payoutId,
      name: nameOf({ entity: facts.entity, payoutId: payout.payoutId }),
      facts: payout,
      own,
      day: dayOfInstant(at, policy.zone),
      amountMinor,
      residualMinor: payout.netMinor - amountMinor,
    })
  }
  return proved
}

/**
 * What is wrong with payouts on paper. A residual that follows from findings about its rows is not
 * reported beside them (`absorbed`): those findings name it instead.
 */
export function judgePayouts(
  payouts: readonly ProvedPayout[],
  facts: EntityFacts,
  changes: readonly NetChange[],
  rowFindings: readonly Finding[],
  late: {
    /** See `lateCauses`. */
    readonly causesOf: ReadonlyMap<string, readonly ResidualCause[]>
    /** Whether the report tells what stands for the finding: behind nothing else a residual may go. */
    readonly isTold: (finding: Finding) => boolean
  },
  zone: string,
): { findings: Finding[]; absorbed: Map<Finding, string> } {
  const findings: Finding[] = []
  const absorbed = new Map<Finding, string>()
  // Most ledgers add up, and then nothing needs to be put in order for an explanation.
  let sources: ResidualSources | null = null
  const causesOf = causesByPayout(facts, changes, rowFindings)
  for (const payout of payouts) {
    const broken = brokenPayout(payout)
    if (broken !== null) {
      findings.push(broken)
      continue
    }
    if (payout.residualMinor === 0n) continue
    const { payoutId } = payout.facts
    const causes = explainResidual(
      payout.residualMinor,
      [...(late.causesOf.get(payoutId) ?? []), ...(causesOf.get(payoutId) ?? [])].filter(
        ({ finding }) => late.isTold(finding),
      ),
    )
    if (causes === null) {
      sources ??= residualSources(facts, payouts, zone)
      findings.push(residual(payout, explainResidualByHypotheses(payout, sources)))
      continue
    }
    for (const cause of causes) {
      absorbed.set(
        cause,
        `The residual of ${money(payout.residualMinor, payout.facts.currency)} in payout ${payoutId} follows from this.`,
      )
    }
  }
  return { findings, absorbed }
}

function payoutFacts({ entity, facts, day }: ProvedPayout) {
  return {
    entity,
    key: facts.payoutId,
    payoutId: facts.payoutId,
    currency: facts.currency,
    day,
    closed: null,
  } as const
}

function rowsPhrase(count: number): string {
  return count === 1 ? '1 row' : `${count} rows`
}

/** A payout that cannot be proved at all: unknown, double or empty. */
function brokenPayout(payout: ProvedPayout): Finding | null {
  const { facts, own, amountMinor } = payout
  const { currency, payoutId } = facts
  const base = payoutFacts(payout)
  if (own === null) {
    return {
      ...base,
      code: 'payout_unknown',
      expectedMinor: facts.netMinor,
      actualMinor: 0n,
      explanation: `${rowsPhrase(facts.transactions)} of ${facts.transactions === 1 ? '' : 'together '}${money(facts.netMinor, currency)} net ${facts.transactions === 1 ? 'is' : 'are'} marked as paid out in ${payoutId}, but Alma's ledger has no such payout.`,
    }
  }
  if (facts.ownRows.length > 1) {
    const sentMinor = facts.ownRows.reduce((sum, row) => sum - row.netMinor, 0n)
    return {
      ...base,
      code: 'payout_duplicate',
      balanceTransactionId: facts.ownRows[1]?.id ?? null,
      expectedMinor: amountMinor,
      actualMinor: sentMinor,
      explanation: `Payout ${payoutId} stands ${facts.ownRows.length === 2 ? 'twice' : `${facts.ownRows.length} times`} in Alma's ledger (rows ${facts.ownRows.map((row) => row.id).join(', ')}), together ${money(sentMinor, currency)}; what it pays sums to ${money(facts.netMinor, currency)} net (${rowsPhrase(facts.transactions)}).`,
    }
  }
  if (facts.transactions === 0) {
    return {
      ...base,
      code: 'payout_empty',
      balanceTransactionId: own.id,
      expectedMinor: 0n,
      actualMinor: amountMinor,
      explanation: `Payout ${payoutId} of ${money(amountMinor, currency)} pays no transaction: no row of the ledger names it.`,
    }
  }
  return null
}

function residual(payout: ProvedPayout, hypotheses: string): Finding {
  const { facts, own, amountMinor, residualMinor } = payout
  const { currency, payoutId } = facts
  return {
    ...payoutFacts(payout),
    code: 'payout_residual',
    balanceTransactionId: own?.id ?? null,
    expectedMinor: facts.netMinor,
    actualMinor: amountMinor,
    explanation: `The ${facts.transactions === 1 ? 'only row' : `${facts.transactions} rows`} of payout ${payoutId} ${facts.transactions === 1 ? 'comes' : 'sum'} to ${money(facts.netMinor, currency)} net, but ${money(amountMinor, currency)} was paid out: ${money(absolute(residualMinor), currency)} too ${residualMinor > 0n ? 'little' : 'much'}. ${hypotheses}`,
  }
}
