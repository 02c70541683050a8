/**
 * Everything that is stored and known as of a day, gathered for the core from what is proved of it;
 * what changed since the last proof is proved first.
 */
import type { Db, DbOrTx } from '../db/client.ts'
import { loadBankEntries, loadBankStatements } from '../db/bank.ts'
import { loadExportFacts } from '../db/facts-exports.ts'
import {
  countKnownRows,
  type LedgerView,
  loadClosingBalances,
  loadLatePaidRows,
  loadMovements,
  loadOpenRows,
  loadPayouts,
  loadRefundRows,
  loadRefundRowsOfNets,
  loadRepeatedRows,
  loadResidualRows,
  loadRowChanges,
  loadSuspectRows,
} from '../db/facts-ledger.ts'
import { loadFeeFacts, loadLookedUpPayments } from '../db/facts-payments.ts'
import { checkSalesAgainstPlans, loadPlanFacts } from '../db/plans.ts'
import { loadLateEntries, loadLateRows } from '../db/closes.ts'
import { loadDecisions } from '../db/decisions.ts'
import { findKnownSince } from '../db/ledger-ranges.ts'
import { proveLedger, requireProofs } from '../db/proofs.ts'
import { loadPinnedMatches, loadRevokedMatches } from '../db/matches.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import { addDays, type Day, startOfDay } from '../src/domain/day.ts'
import type { EntityFacts, Facts, PlanFacts } from '../src/domain/facts.ts'
import { VAT_RATE_PERCENT_DEFAULT } from '../src/domain/fee-contract.ts'
import { type Period, periodInstants } from '../src/domain/period.ts'
import { reconcile } from '../src/domain/reconcile.ts'
import type { DiscrepancyRow } from '../src/domain/reconciliation.ts'

export interface GatherArgs {
  readonly config: Config
  /** The entities that the report is about. */
  readonly entities: readonly EntityConfig[]
  readonly period: Period
  readonly asOf: Day
  /** Forget what is proved of the ledger and prove all of it. */
  readonly full?: boolean
}

/** @throws ControlTotalsFault if what is stored as proved contradicts itself. */
export async function gatherFacts(db: Db, args: GatherArgs): Promise<Facts> {
  const { config, full = false } = args
  for (const entity of args.entities) {
    const { name, fees } = entity
    const vatRatePercent = fees?.vatRatePercent ?? VAT_RATE_PERCENT_DEFAULT
    await proveLedger(db, { entity: name, fees, vatRatePercent, full })
    await checkSalesAgainstPlans(db, {
      entity: name,
      zone: config.businessTimeZone,
      feeCheck: feeCheckOf(config, entity),
      full,
    })
  }
  return gatherProved(db, args)
}

/**
 * The same without proving anything, for work that may not write.
 * @throws UnavailableFault if something stored is not proved yet; ControlTotalsFault as `gatherFacts`.
 */
export async function gatherStanding(db: DbOrTx, args: GatherArgs): Promise<Facts> {
  for (const { name, fees } of args.entities) await requireProofs(db, { entity: name, fees })
  return gatherProved(db, args)
}

async function gatherProved(
  db: DbOrTx,
  { config, entities, period, asOf }: GatherArgs,
): Promise<Facts> {
  const zone = config.businessTimeZone
  const bounds = boundsOf({ period, asOf, zone })
  const gathered: EntityFacts[] = []
  for (const entity of entities) {
    const view: LedgerView = { entity: entity.name, ...bounds }
    const vatRatePercent = entity.fees?.vatRatePercent ?? VAT_RATE_PERCENT_DEFAULT
    const payouts = await loadPayouts(db, view)
    gathered.push({
      entity: entity.name,
      account: {
        ibans: entity.ibans,
        payerPatterns: entity.payerPatterns,
        payerIbans: entity.payerIbans,
      },
      movements: await loadMovements(db, view),
      closingBalances: await loadClosingBalances(db, view),
      rowCount: await countKnownRows(db, view),
      knownSinceS: await findKnownSince(db, entity.name),
      payouts,
      suspectRows: await loadSuspectRows(db, view),
      repeatedRows: await loadRepeatedRows(db, view),
      openRows: await loadOpenRows(db, view),
      latePaidRows: await loadLatePaidRows(db, view, config.unpaidAfterDays),
      residualRows: await loadResidualRows(db, view, payouts, vatRatePercent),
      changes: await loadRowChanges(db, view, asOf),
      exports: await loadExportFacts(db, view),
      fees: await loadFeeFacts(db, view, entity.fees),
      refundRows: await loadRefundRows(db, view),
      payments: await loadLookedUpPayments(db, view),
      plans: await loadPlanFacts(db, view, asOf, feeCheckOf(config, entity)),
    })
  }
  // An entity that names no account owns all that nobody names, but not those of one left out here.
  const leftOut = new Set(
    config.entities.filter((entity) => !entities.includes(entity)).flatMap(({ ibans }) => ibans),
  )
  const isOurs = ({ account }: { readonly account: string }): boolean => !leftOut.has(account)
  const names = entities.map(({ name }) => name)
  return {
    period,
    asOf,
    policy: {
      zone,
      matchWindowDays: config.matchWindowDays,
      lateWindowDays: config.lateWindowDays,
      unpaidAfterDays: config.unpaidAfterDays,
    },
    ledgerCurrency: config.ledgerCurrency,
    entities: gathered,
    bank: {
      entries: (await loadBankEntries(db, { upToDay: asOf })).filter(isOurs),
      statements: (await loadBankStatements(db, { upToDay: asOf })).filter(isOurs),
      pinned: await loadPinnedMatches(db, names),
    },
    record: {
      decisions: await loadDecisions(db, names),
      revoked: await loadRevokedMatches(db, names),
      lateRows: await loadLateRows(db, { entities: names, asOf }),
      lateEntries: await loadLateEntries(db, { entities: names, asOf }),
    },
  }
}

/** Null unless fees are to be compared with the provider's own fee plans. */
function feeCheckOf({ feeVat }: Config, { feesOfProvider }: EntityConfig): PlanFacts['feeCheck'] {
  return feesOfProvider ? { vat: feeVat } : null
}

function boundsOf({ period, asOf, zone }: { period: Period; asOf: Day; zone: string }) {
  const { startS, endS } = periodInstants(period, zone)
  return {
    periodStartS: startS,
    periodEndS: endS,
    asOfEndS: startOfDay(addDays(asOf, 1), zone),
  }
}

/**
 * Gathers and judges. Refunds that were settled before the period are not gathered; where the report
 * tells of a deposit that differs from its payout, those that equal the difference are fetched, and
 * it is judged again: they can do nothing but explain it (`difference.ts`).
 */
export async function judgeStored(
  db: Db,
  args: GatherArgs,
  onGathered: () => void = () => undefined,
): Promise<{ readonly facts: Facts; readonly reconciliation: ReturnType<typeof reconcile> }> {
  const facts = await gatherFacts(db, args)
  onGathered()
  return judgeFacts(db, facts)
}

/** Judges what was gathered from the same database, as `judgeStored` does. */
export async function judgeFacts(
  db: DbOrTx,
  facts: Facts,
): Promise<{ readonly facts: Facts; readonly reconciliation: ReturnType<typeof reconcile> }> {
  const reconciliation = reconcile(facts)
  const explained = await withRefundsLike(db, facts, reconciliation.discrepancies)
  return explained === facts
    ? { facts, reconciliation }
    : { facts: explained, reconciliation: reconcile(explained) }
}

/** The same facts under another policy: what was gathered by the old one is gathered anew. */
export async function underSettings(
  db: DbOrTx,
  facts: Facts,
  { entities, matchWindowDays, lateWindowDays, unpaidAfterDays }: Config,
): Promise<Facts> {
  const { period, asOf } = facts
  const policy = { ...facts.policy, matchWindowDays, lateWindowDays, unpaidAfterDays }
  const bounds = boundsOf({ period, asOf, zone: policy.zone })
  const gathered: EntityFacts[] = []
  for (const known of facts.entities) {
    const payerPatterns = entities.find(({ name }) => name === known.entity)?.payerPatterns
    gathered.push({
      ...known,
      account: { ...known.account, payerPatterns: payerPatterns ?? known.account.payerPatterns },
      latePaidRows:
        unpaidAfterDays === facts.policy.unpaidAfterDays
          ? known.latePaidRows
          : await loadLatePaidRows(db, { entity: known.entity, ...bounds }, unpaidAfterDays),
    })
  }
  return { ...facts, policy, entities: gathered }
}

async function withRefundsLike(
  db: DbOrTx,
  facts: Facts,
  discrepancies: readonly DiscrepancyRow[],
): Promise<Facts> {
  const { period, asOf, policy } = facts
  let isMore = false
  const entities: EntityFacts[] = []
  for (const entity of facts.entities) {
    const differences = discrepancies
      .filter((row) => row.code === 'deposit_amount' && row.entity === entity.entity)
      .flatMap(({ differenceMinor }) => differenceMinor ?? [])
    const view = { entity: entity.entity, ...boundsOf({ period, asOf, zone: policy.zone }) }
    const known = new Set(entity.refundRows.map(({ id }) => id))
    const found = await loadRefundRowsOfNets(db, view, [...new Set(differences)])
    const settled = found.filter(({ id }) => !known.has(id))
    isMore ||= settled.length > 0
    entities.push({ ...entity, refundRows: [...entity.refundRows, ...settled] })
  }
  return isMore ? { ...facts, entities } : facts
}
