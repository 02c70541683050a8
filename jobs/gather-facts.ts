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
  loadRowChanges,
  loadSuspectRows,
} from '../db/facts-ledger.ts'
import { loadFeeFacts, loadLookedUpPayments } from '../db/facts-payments.ts'
import { loadPinnedMatches } from '../db/matches.ts'
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
      payouts: await loadPayouts(db, view),
      suspectRows: await loadSuspectRows(db, view),
      repeatedRows: await loadRepeatedRows(db, view),
      openRows: await loadOpenRows(db, view),
      latePaidRows: await loadLatePaidRows(db, view, config.unpaidAfterDays),
      changes: await loadRowChanges(db, view, asOf),
      exports: await loadExportFacts(
        db,
        view,
        entity.fees?.vatRatePercent ?? VAT_RATE_PERCENT_DEFAULT,
      ),
      fees: await loadFeeFacts(db, view, entity.fees),
      refundRows: await loadRefundRows(db, view),
      payments: await loadLookedUpPayments(db, view),
    })
  }
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
      entries: await loadBankEntries(db, { upToDay: asOf }),
      statements: await loadBankStatements(db, { upToDay: asOf }),
      pinned: await loadPinnedMatches(
        db,
        entities.map(({ name }) => name),
      ),
    },
  }
}
