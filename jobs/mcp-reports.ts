/** The files of written reports, for an assistant: whole lines, and as much as it can take in. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entitySetOf, loadLastReports } from '../db/period-reports.ts'
import type { Config } from '../src/config.ts'
import { compareText } from '../src/domain/collections.ts'
import { parsePeriod } from '../src/domain/period.ts'
import { UsageFault } from '../src/errors.ts'
import type { Reports } from '../src/mcp/server.ts'
import { loadDiscretion, toldDiscreetly } from './discretion.ts'
import type { Reading } from './mcp-reading.ts'

/** The page is for eyes, the journal is for the books; what they tell stands in these as well. */
const FILES: Readonly<Record<string, string>> = {
  'discrepancies.csv': 'text/csv',
  'settlements.csv': 'text/csv',
  'refunds.csv': 'text/csv',
  'open_items.csv': 'text/csv',
  'plans.csv': 'text/csv',
  'summary.csv': 'text/csv',
  'summary.json': 'application/json',
}

const PERIODS_LISTED = 12
const CHARACTERS_MAX = 100_000

export function createReports(config: Config, reading: Reading): Reports {
  const periods = (): Promise<string[]> =>
    reading.read(async (tx) => {
      const entitySet = entitySetOf(config.entities.map(({ name }) => name))
      return (await loadLastReports(tx, entitySet))
        .map(({ period }) => parsePeriod(period))
        .toSorted((a, b) => compareText(b.last, a.last) || compareText(b.label, a.label))
        .map(({ label }) => label)
    })
  return {
    list: async () =>
      (await periods())
        .slice(0, PERIODS_LISTED)
        .flatMap((period) =>
          Object.entries(FILES).map(([name, mimeType]) => ({ period, name, mimeType })),
        ),
    read: async (period, name) => {
      const mimeType = FILES[name]
      // Only what is on record is looked for, so no name leads out of the folder of reports.
      if (mimeType === undefined || !(await periods()).includes(period))
        throw noReport(period, name)
      const found = await readFile(join(config.reportsDir, period, name), 'utf8').catch(() => null)
      if (found === null) throw noReport(period, name)
      const discretion = await reading.read((tx) => loadDiscretion(tx, config))
      const text = toldDiscreetly(found, discretion)
      return { period, name, mimeType, text: beginningOf(text), characters: text.length }
    },
  }
}

function noReport(period: string, name: string): UsageFault {
  return new UsageFault(`there is no ${name} of ${period} in the folder of reports`, {
    hint: `The files are ${Object.keys(FILES).join(', ')}, of periods that have a report: resources/list names the newest.`,
  })
}

function beginningOf(text: string): string {
  if (text.length <= CHARACTERS_MAX) return text
  return text.slice(0, text.lastIndexOf('\n', CHARACTERS_MAX - 1) + 1)
}
