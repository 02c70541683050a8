/** Everything that is stored and known as of a day, gathered for the core. */
import type { DbOrTx } from '../db/client.ts'
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
  loadRepeatedRows,
  loadResidualRows,
  loadRowChanges,
  loadSuspectRows,
} from '../db/facts-ledger.ts'
import { loadFeeFacts, loadLookedUpPayments } from '../db/facts-payments.ts'
import { loadLateEntries, loadLateRows } from '../db/closes.ts'
import { loadDecisions } from '../db/decisions.ts'
import { findKnownSince } from '../db/ledger-ranges.ts'
import { loadPinnedMatches, loadRevokedMatches } from '../db/matches.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import { addDays, type Day, startOfDay } from '../src/domain/day.ts'
import type { EntityFacts, Facts } from '../src/domain/facts.ts'
import { VAT_RATE_PERCENT_DEFAULT } from '../src/domain/fee-contract.ts'
import { type Period, periodInstants } from '../src/domain/period.ts'

export interface GatherArgs {
  readonly config: Config
  /** The entities that the report is about. */
  readonly entities: readonly EntityConfig[]
  readonly period: Period
  readonly asOf: Day
}

export async function gatherFacts(
  db: DbOrTx,
  { config, entities, period, asOf }: GatherArgs,
): Promise<Facts> {
  const zone = config.businessTimeZone
  const { startS, endS } = periodInstants(period, zone)
  const bounds = {
    periodStartS: startS,
    periodEndS: endS,
    asOfEndS: startOfDay(addDays(asOf, 1), zone),
  }
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
      exports: await loadExportFacts(db, view, vatRatePercent),
      fees: await loadFeeFacts(db, view, entity.fees),
      refundRows: await loadRefundRows(db, view),
      payments: await loadLookedUpPayments(db, view),
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
