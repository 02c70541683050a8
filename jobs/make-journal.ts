/** The journal of a period: what it needs besides the facts, and the settings that say how to book. */
import type { DbOrTx } from '../db/client.ts'
import { loadJournalRows } from '../db/facts-journal.ts'
import { fecFileName, fecNotes, fecText } from '../reports/fec.ts'
import type { Config, EntityConfig } from '../src/config.ts'
import { addDays, startOfDay } from '../src/domain/day.ts'
import type { BookedLine } from '../src/domain/deposits/booked-lines.ts'
import type { Facts } from '../src/domain/facts.ts'
import { VAT_RATE_PERCENT_DEFAULT } from '../src/domain/fee-contract.ts'
import {
  entriesOf,
  type EntityJournalFacts,
  type Journal,
  journalAbout,
  journalOf,
} from '../src/domain/journal.ts'
import { periodInstants } from '../src/domain/period.ts'
import type { ReportText } from '../reports/text.ts'
import { openSpool } from './spool.ts'

/** Rows of one entity that are booked one by one: a journal of some 900 MB. */
const JOURNAL_ROWS_MAX = 1_000_000

/**
 * Makes the journal and hands it over. Its rows lie in a temporary file: the journal can be gone
 * through, any number of times, until `use` has ended.
 */
export async function withJournal<T>(
  db: DbOrTx,
  { config, entities }: { readonly config: Config; readonly entities: readonly EntityConfig[] },
  facts: Facts,
  lines: readonly BookedLine[],
  use: (journal: Journal) => Promise<T>,
): Promise<T> {
  const { zone } = facts.policy
  const { startS, endS } = periodInstants(facts.period, zone)
  const bounds = {
    periodStartS: startS,
    periodEndS: endS,
    asOfEndS: startOfDay(addDays(facts.asOf, 1), zone),
  }
  const spool = await openSpool()
  try {
    const gathered: EntityJournalFacts[] = []
    for (const { name, fees } of entities) {
      const rows = loadJournalRows(db, { entity: name, ...bounds })
      gathered.push({
        entity: name,
        rows: await spool.keep(rows, JOURNAL_ROWS_MAX),
        vatRatePercent: fees?.vatRatePercent ?? VAT_RATE_PERCENT_DEFAULT,
        feeVat: feeVatSetting(fees, config),
      })
    }
    return await use(journalOf(facts, gathered, lines, config.journal))
  } finally {
    spool.close()
  }
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
  readonly files: readonly { readonly name: string; readonly text: ReportText }[]
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
      const own = entriesOf(journalAbout(journal, [name]))
      return {
        name: fecFileName({ siren, entity, lastDay: period.last }),
        text: fecText(own, { ...config.journal, currency: ledgerCurrency, validatedOn: asOf }),
        notes: fecNotes(own, { currency: ledgerCurrency, entity }),
      }
    })
  return { files: made, notes: made.flatMap(({ notes }) => notes) }
}
