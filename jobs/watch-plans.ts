/**
 * Asks the provider which payment plans the account may offer: once a day, in two requests. Nothing
 * else waits for the answer, and nothing of the ledger's proof needs it: where the provider does not
 * tell, a note says so, and the next day asks again.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { Db } from '../db/client.ts'
import { hasPlanSnapshot, loadSoldPlans, savePlanSnapshot } from '../db/plans.ts'
import { type Config, type EntityConfig, requireApiKey } from '../src/config.ts'
import { addDays, type Day, startOfDay } from '../src/domain/day.ts'
import type { Currency } from '../src/domain/money.ts'
import { type Period, periodInstants } from '../src/domain/period.ts'
import {
  type FeePlan,
  type PlanQuestion,
  type PlanSnapshot,
  questionAbout,
  SELLING_STOPPED,
  snapshotOf,
  untoldSnapshot,
} from '../src/domain/plans.ts'
import { Fault, UnavailableFault } from '../src/errors.ts'
import type { Progress } from '../src/progress.ts'
import { createProviderClient, type ProviderClient } from '../src/provider/client.ts'
import { askEligibility } from '../src/provider/eligibility.ts'
import { fetchFeePlans } from '../src/provider/fee-plans.ts'

/** The ledger's requests may take longer; this one is not worth it. */
const TIMEOUT_MS = 10_000
/** A provider that is busy for longer is asked again on the next day. */
const RETRY_AFTER_MS_MAX = 3_000
/** Days before today whose sales say what to ask. */
const ASKED_ABOUT_DAYS = 7

export interface WatchPlansArgs {
  readonly config: Pick<Config, 'businessTimeZone' | 'ledgerCurrency'>
  readonly entity: EntityConfig
  readonly runId: number
  readonly period: Period
  /** The day whose answer it is. */
  readonly asOf: Day
  readonly timeoutMs?: number
}

/** @returns whether the provider was asked; a second time on a day it is not. */
export async function watchPlans(
  { db, progress }: { readonly db: Db; readonly progress: Progress },
  args: WatchPlansArgs,
): Promise<boolean> {
  const { config, entity, runId, period, asOf, timeoutMs = TIMEOUT_MS } = args
  if (await hasPlanSnapshot(db, entity.name, asOf)) return false
  const zone = config.businessTimeZone
  const sold = await loadSoldPlans(db, entity.name, {
    currency: config.ledgerCurrency,
    spans: [
      periodInstants(period, zone),
      {
        startS: startOfDay(addDays(asOf, -ASKED_ABOUT_DAYS), zone),
        endS: startOfDay(addDays(asOf, 1), zone),
      },
    ],
  })
  const client = createProviderClient({
    ...requireApiKey(entity),
    apiKeySetting: entity.apiKeySetting,
    timeoutMs,
    retryLimit: 1,
    sleep: shortWait,
  })
  const snapshot = await ask(client, questionAbout(sold), {
    asOf,
    currency: config.ledgerCurrency,
    wantsPrices: entity.feesOfProvider,
    told: (text) => progress.note(`${entity.name}: ${text}`),
  })
  tell(progress, entity.name, snapshot)
  await savePlanSnapshot(db, entity.name, runId, snapshot)
  return true
}

async function shortWait(waitMs: number): Promise<void> {
  if (waitMs > RETRY_AFTER_MS_MAX) {
    throw new UnavailableFault(`the provider asked to wait ${Math.ceil(waitMs / 1000)} s`, {
      hint: 'Nothing waits for it: the next day asks again.',
    })
  }
  await wait(waitMs)
}

interface AskContext {
  readonly asOf: Day
  readonly currency: Currency
  readonly wantsPrices: boolean
  readonly told: (text: string) => void
}

async function ask(
  client: ProviderClient,
  { discoveryMinor, queryMinor, plans }: PlanQuestion,
  { asOf, currency, wantsPrices, told }: AskContext,
): Promise<PlanSnapshot> {
  try {
    const answers = await askEligibility(client, { purchaseMinor: discoveryMinor, plans: [] })
    if (plans.length > 0) {
      answers.push(...(await askEligibility(client, { purchaseMinor: queryMinor, plans })))
    }
    if (answers.length === 0) return untoldSnapshot(asOf, 'the provider named no plan at all')
    const feePlans = wantsPrices ? await readFeePlans(client, told) : null
    return snapshotOf({ day: asOf, currency, answers, asked: plans, feePlans })
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return untoldSnapshot(asOf, error.message)
  }
}

/** Null where the account may not read its prices: then fees are not compared on that day. */
async function readFeePlans(
  client: ProviderClient,
  told: (text: string) => void,
): Promise<FeePlan[] | null> {
  try {
    return await fetchFeePlans(client)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    told(`fees are not compared with the provider's own fee plans today: ${error.message}`)
    return null
  }
}

function tell(progress: Progress, entity: string, { trouble, offers, remarks }: PlanSnapshot) {
  if (trouble !== null) {
    progress.note(`${entity}: payment plans are not watched today: ${trouble}`)
    if (trouble.includes(SELLING_STOPPED)) {
      progress.note(`${entity}: the provider says ${SELLING_STOPPED}`, 'warn')
    }
  }
  for (const remark of remarks) progress.note(`${entity}: ${remark}`, 'warn')
  if (offers.some(({ reasons }) => reasons.includes(SELLING_STOPPED))) {
    progress.note(`${entity}: the provider says ${SELLING_STOPPED}`, 'warn')
  }
}
