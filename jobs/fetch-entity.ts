/** What one entity's account has to say: its ledger, the export of the period, its payments. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Db } from '../db/client.ts'
import { lastEventNumber, takeEvents } from '../db/events.ts'
import { proveLedger } from '../db/proofs.ts'
import { type Config, type EntityConfig, requireApiKey } from '../src/config.ts'
import { addDays, type Day, parseDay, startOfDay } from '../src/domain/day.ts'
import { VAT_RATE_PERCENT_DEFAULT } from '../src/domain/fee-contract.ts'
import { type Period, periodInstants } from '../src/domain/period.ts'
import { ControlTotalsFault, InputFault } from '../src/errors.ts'
import { progressAbout } from '../src/progress.ts'
import { createProviderClient } from '../src/provider/client.ts'
import type { CommandIo } from './command.ts'
import { type ExportFetch, fetchExport } from './fetch-export.ts'
import { lookUpPayments, lookUpTouchedPayments, touchedPayments } from './look-up-payments.ts'
import { type LedgerSync, syncLedger } from './sync-ledger.ts'
import { watchPlans } from './watch-plans.ts'

export interface FetchEntityArgs {
  readonly config: Config
  readonly entity: EntityConfig
  readonly runId: number
  readonly period: Period
  readonly asOf: Day
  readonly dryRun: boolean
  /** Only what events and open rows ask for. */
  readonly touched: boolean
  /** Which payment plans may be sold as well. */
  readonly plans: boolean
}

export interface EntityFetch {
  readonly ledger: LedgerSync
  /** The export, or the fault for which its file was rejected. */
  readonly export: ExportFetch | InputFault
}

export async function fetchEntity(
  db: Db,
  args: FetchEntityArgs,
  io: CommandIo,
): Promise<EntityFetch> {
  const { config, entity, runId, period, asOf, touched } = args
  const zone = config.businessTimeZone
  const progress = progressAbout(io.progress, { entity: entity.name, period: period.label })
  const key = requireApiKey(entity)
  const client = createProviderClient({
    ...key,
    apiKeySetting: entity.apiKeySetting,
    onRetry: progress.note,
  })
  const { startS, endS } = periodInstants(period, zone)
  // What is told from here on is about something that this run may have read before.
  const upToNumber = await lastEventNumber(db, entity.name)
  const ledger = await syncLedger(
    { db, client, progress },
    {
      entity: entity.name,
      runId,
      asOf,
      currency: config.ledgerCurrency,
      since: config.ledgerSince === null ? null : startOfDay(parseDay(config.ledgerSince), zone),
      reread: {
        startS,
        endS,
        ...(touched
          ? { paymentIds: await touchedPayments(db, entity.name, { upToNumber, startS, endS }) }
          : {}),
      },
    },
  )
  const exported = await inDataDir(args, (dataDir) =>
    fetchExport(
      { db, client, progress, now: () => io.now().getTime(), sleep: (waitMs) => sleep(waitMs) },
      {
        entity: entity.name,
        runId,
        startS,
        endS,
        asOfEndS: startOfDay(addDays(asOf, 1), zone),
        dataDir,
        timeoutSeconds: config.exportTimeoutSeconds,
        keepCustomerData: config.keepCustomerData,
      },
    ),
  )
  const lookUp = touched ? lookUpTouchedPayments : lookUpPayments
  await lookUp(
    { db, client, progress },
    {
      entity: entity.name,
      runId,
      periodStartS: startS,
      periodEndS: endS,
      zone,
      wantPlans: entity.fees !== null || entity.feesOfProvider,
      eventsUpTo: upToNumber,
    },
  )
  // A run that has read all up to today leaves nothing to which an event could point.
  const everything = !touched && period.last >= asOf
  await takeEvents(db, entity.name, { runId, upToNumber, everything })
  // What a dry run asked would not be remembered, and would be asked again.
  if (args.plans && !args.dryRun && !touched) {
    await watchPlans({ db, progress }, { config, entity, runId, period, asOf })
  }
  await proveAhead(db, entity)
  return { ledger, export: exported }
}

/**
 * Proves here what the report would prove otherwise: entities may be fetched side by side, reports are
 * made one after the other. Whether the proofs tie is told where the report is made, for all entities.
 */
async function proveAhead(db: Db, { name, fees }: EntityConfig): Promise<void> {
  const vatRatePercent = fees?.vatRatePercent ?? VAT_RATE_PERCENT_DEFAULT
  try {
    await proveLedger(db, { entity: name, fees, vatRatePercent, full: false })
  } catch (error) {
    if (!(error instanceof ControlTotalsFault)) throw error
  }
}

/** A file that is not what was asked for does not stop the rest. A dry run archives nothing. */
async function inDataDir(
  { config, dryRun }: FetchEntityArgs,
  fetch: (dataDir: string) => Promise<ExportFetch>,
): Promise<ExportFetch | InputFault> {
  const dataDir = dryRun ? await mkdtemp(join(tmpdir(), 'alma-reconcile-')) : config.dataDir
  try {
    return await fetch(dataDir)
  } catch (error) {
    if (error instanceof InputFault) return error
    throw error
  } finally {
    if (dryRun) await rm(dataDir, { recursive: true, force: true })
  }
}
