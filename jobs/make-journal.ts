/** The journal of a period: what it needs besides the facts, and the settings that say how to book. */
import type { DbOrTx } from '../db/client.ts'
import { loadJournalRows } from '../db/facts-journal.ts'
import { fecFileName, fecNotes, fecText } from '../reports/fec.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import { addDays, startOfDay } from '../src/domain/day.ts'
import type { BookedLine } from '../src/domain/deposits/booked-lines.ts'
import type { Facts } from '../src/domain/facts.ts'
import { VAT_RATE_PERCENT_DEFAULT } from '../src/domain/fee-contract.ts'
import { type EntityJournalFacts, type Journal, journalOf } from '../src/domain/journal.ts'
import { periodInstants } from '../src/domain/period.ts'

/**
 * Rows of one entity that are booked one by one: a month of the largest merchants. They and their
 * entries are held in memory.
 */
const JOURNAL_ROWS_MAX = 150_000

export async function makeJournal(
  db: DbOrTx,
  { config, entities }: { readonly config: Config; readonly entities: readonly EntityConfig[] },
  facts: Facts,
  lines: readonly BookedLine[],
): Promise<Journal> {
  const { zone } = facts.policy
  const { startS, endS } = periodInstants(facts.period, zone)
  const bounds = {
    periodStartS: startS,
    periodEndS: endS,
    asOfEndS: startOfDay(addDays(facts.asOf, 1), zone),
  }
  const gathered: EntityJournalFacts[] = []
  for (const { name, fees } of entities) {
    gathered.push({
      entity: name,
      rows: await loadJournalRows(db, { entity: name, ...bounds }, JOURNAL_ROWS_MAX),
      vatRatePercent: fees?.vatRatePercent ?? VAT_RATE_PERCENT_DEFAULT,
      feeVat: feeVatSetting(fees, config),
    })
  }
  return journalOf(facts, gathered, lines, config.journal)
}

/** The entity's own contract says more than the setting for all. */
function feeVatSetting(
  fees: EntityConfig['fees'],
  { feeVat }: Config,
): EntityJournalFacts['feeVat'] {
  if (fees !== null) return { basis: fees.vat, setting: '"vat" of the fee contract' }
  return feeVat === null ? null : { basis: feeVat, setting: 'FEE_VAT' }
}

/** What `--fec` makes. */
interface FecFiles {
  readonly files: readonly { readonly name: string; readonly text: string }[]
  /** What is not in the files and why, each as a sentence. */
  readonly notes: readonly string[]
}

/** A file a legal entity, as French law asks for; none for an entity whose journal could not be made. */
export function fecFiles(
  { config, entities }: { readonly config: Config; readonly entities: readonly EntityConfig[] },
  { period, asOf, ledgerCurrency }: Facts,
  journal: Journal,
): FecFiles {
  const booked = new Set(journal.vat.filter(({ isBooked }) => isBooked).map(({ entity }) => entity))
  const made = entities
    .filter(({ name }) => booked.has(name))
    .map(({ name, siren }) => {
      const entity = entities.length > 1 ? name : null
      const own = journal.entries.filter((entry) => entry.entity === name)
      return {
        name: fecFileName({ siren, entity, lastDay: period.last }),
        text: fecText(own, { ...config.journal, currency: ledgerCurrency, validatedOn: asOf }),
        notes: fecNotes(own, { currency: ledgerCurrency, entity }),
      }
    })
  return { files: made, notes: made.flatMap(({ notes }) => notes) }
}
