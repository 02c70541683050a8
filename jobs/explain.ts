/** `explain ID`: everything known about one thing, from what is stored; nothing is fetched or pinned. */
import { findFirstCreation, loadReportMentions, loadRowsAbout } from '../db/subjects.ts'
import type { DbOrTx } from '../db/client.ts'
import { jsonText } from '../reports/summary-json.ts'
import type { Config } from '../src/config.ts'
import { type Day, dayOfInstant } from '../src/domain/day.ts'
import type { Facts } from '../src/domain/facts.ts'
import { parseRange } from '../src/domain/period.ts'
import { reconcile } from '../src/domain/reconcile.ts'
import { type Section, storyOf } from '../src/domain/story.ts'
import { EXIT, type ExitCode, UsageFault } from '../src/errors.ts'
import type { CommandIo } from './command.ts'
import { useDatabase } from './compose.ts'
import { type GatherArgs, gatherFacts } from './gather-facts.ts'

export interface ExplainFlags {
  readonly id: string
  /** The day that counts as today; null: today in the business time zone. */
  readonly asOf: Day | null
  readonly json: boolean
}

export async function explainCommand(
  config: Config,
  { id, asOf, json }: ExplainFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const { db } = await useDatabase(config, io)
  const today = dayOfInstant(Math.floor(io.now().getTime() / 1000), config.businessTimeZone)
  const sections = await tell(db, { config, id, asOf: asOf ?? today }, (wanted) =>
    gatherFacts(db, wanted),
  )
  if (sections.length === 0) {
    throw new UsageFault(`nothing is known of "${id}"`, {
      hint: 'It takes the id of a payout, balance transaction, payment, refund or discrepancy, or a bank_reference, as the reports print them. What was never fetched cannot be explained: run reconcile first.',
    })
  }
  io.out(json ? jsonText({ id, sections }) : sections.map(sectionText).join('\n'))
  return EXIT.done
}

interface TellArgs {
  readonly config: Config
  readonly id: string
  readonly asOf: Day
  /** As in `StorySources`. */
  readonly hidesBankTexts?: boolean
}

/**
 * Everything known about an id, as of a day; none if nothing is.
 * @param gather from the same database.
 */
export async function tell(
  db: DbOrTx,
  { config, id, asOf, hidesBankTexts = false }: TellArgs,
  gather: (wanted: GatherArgs) => Promise<Facts>,
): Promise<Section[]> {
  const { entities } = config
  const names = entities.map(({ name }) => name)
  const firstS = await findFirstCreation(db, names)
  const first = firstS === null ? asOf : dayOfInstant(firstS, config.businessTimeZone)
  // One period that holds everything: then nothing is left out for being early or settled.
  const period = parseRange(first < asOf ? first : asOf, asOf)
  const facts = await gather({ config, entities, period, asOf })
  const reconciliation = reconcile(facts)
  return storyOf(id, {
    facts,
    reconciliation,
    rows: await loadRowsAbout(db, names, id),
    decisions: facts.record?.decisions ?? [],
    reports: await loadReportMentions(db, [
      id,
      ...reconciliation.discrepancies.map(({ discrepancyId }) => discrepancyId),
    ]),
    hidesBankTexts,
  })
}

function sectionText({ title, lines }: Section): string {
  return `${title}\n${lines.map((line) => `  ${line}\n`).join('')}`
}
