/** Records what a person decided about a match, a discrepancy or a suspect, or says what stands against it. */
import { findReportedDiscrepancy, loadDecisions, recordDecision } from '../db/decisions.ts'
import type { Db } from '../db/client.ts'
import type { Config } from '../src/config.ts'
import { dayOfInstant } from '../src/domain/day.ts'
import { signature, standingDecisions } from '../src/domain/decisions.ts'
import { objectionTo, type WantedMatch } from '../src/domain/deposits/objections.ts'
import type { Facts } from '../src/domain/facts.ts'
import { weekOf } from '../src/domain/period.ts'
import { reconcile } from '../src/domain/reconcile.ts'
import { EXIT, type ExitCode, UsageFault } from '../src/errors.ts'
import { bankLineName, resolveBankLines } from './bank-reference.ts'
import { decideSuspects } from './bank-suspects.ts'
import type { CommandIo, DecideFlags } from './command.ts'
import { useDatabase, withRun } from './compose.ts'
import { gatherFacts } from './gather-facts.ts'

type PairFlags = Extract<DecideFlags, { kind: 'match' | 'refuse' }>
type VerdictFlags = Extract<DecideFlags, { kind: 'accept' | 'reopen' }>

export async function decideCommand(
  config: Config,
  flags: DecideFlags,
  io: CommandIo,
): Promise<ExitCode> {
  const opened = await useDatabase(config, io)
  const args = { command: `decide ${flags.kind}`, period: null, asOf: null, dryRun: false }
  return withRun(opened, args, async (db, runId, assertAlone) => {
    const context = { db, config, runId, assertAlone, io }
    const said = await decided(context, flags)
    io.out(`${said}\nIt counts from the next report on.\n`)
    return EXIT.done
  })
}

async function decided(context: DecideContext, flags: DecideFlags): Promise<string> {
  if ('discrepancyId' in flags) return decideDiscrepancy(context, flags)
  if ('payoutIds' in flags) return decidePair(context, flags)
  await context.assertAlone()
  return context.db.transaction((tx) => decideSuspects(tx, flags, context.runId))
}

interface DecideContext {
  readonly db: Db
  readonly config: Config
  readonly runId: number
  readonly io: CommandIo
  readonly assertAlone: () => Promise<void>
}

async function decidePair(context: DecideContext, flags: PairFlags): Promise<string> {
  const { config, db, io } = context
  const today = dayOfInstant(Math.floor(io.now().getTime() / 1000), config.businessTimeZone)
  const facts = await gatherFacts(db, {
    config,
    entities: config.entities,
    period: weekOf(today),
    asOf: today,
  })
  const entity = ownerOf(flags, facts)
  const lines = resolveBankLines(flags.bank, facts.bank.entries)
  if (flags.kind === 'refuse' && lines.length > 1) {
    throw new UsageFault(`--bank: found ${lines.length} bank lines, expected one`, {
      hint: 'A refusal is about one payout and one bank line; refuse each pair by itself.',
    })
  }
  const { kind, payoutIds, by, reason } = flags
  const bankEntryIds = lines.map(({ id }) => id)
  if (kind === 'match') refuseIfObjected(facts, { entity, payoutIds, bankEntryIds })
  await record(context, { entity, kind, payoutIds, bankEntryIds, discrepancyId: null, by, reason })
  const what = `payout ${payoutIds.join(' and ')} and ${lines.map(bankLineName).join(' and ')}`
  return kind === 'match'
    ? `Recorded: ${what} belong together (by ${by}).`
    : `Recorded: ${what} do not belong together and are never matched again (by ${by}).`
}

/** The entity whose ledger has the payouts. */
function ownerOf({ payoutIds, entity: wanted }: PairFlags, facts: Facts): string {
  const owners = payoutIds.map((payoutId) => {
    const having = facts.entities
      .filter(({ payouts }) => payouts.some((payout) => payout.payoutId === payoutId))
      .map(({ entity }) => entity)
      .filter((entity) => wanted === null || entity === wanted)
    const [owner, ...others] = having
    if (owner === undefined) {
      const where = wanted === null ? 'the stored ledger' : `the stored ledger of ${wanted}`
      throw new UsageFault(`--payout: found "${payoutId}", which ${where} does not have`, {
        hint: 'Copy the id from settlements.csv or discrepancies.csv; a payout that is newer than the last run is not known yet: run reconcile first.',
      })
    }
    if (others.length > 0) {
      throw new UsageFault(
        `--payout: ${payoutId} is in the ledgers of ${having.join(' and ')}, one was expected`,
        { hint: 'Say which is meant with --entity NAME.' },
      )
    }
    return { payoutId, owner }
  })
  const [first, ...others] = owners
  const stranger = others.find(({ owner }) => owner !== first?.owner)
  if (first === undefined || stranger !== undefined) {
    throw new UsageFault(
      `--payout: ${payoutIds.join(' and ')} belong to different entities, one was expected`,
      { hint: 'Decide about the payouts of each entity by themselves.' },
    )
  }
  return first.owner
}

/** A match must be possible today, and must not take what belongs to another one. */
function refuseIfObjected(facts: Facts, wanted: WantedMatch): void {
  const objection = objectionTo(wanted, facts, reconcile(facts).matches)
  if (objection !== null) throw new UsageFault(objection.fact, { hint: objection.remedy })
}

async function decideDiscrepancy(context: DecideContext, flags: VerdictFlags): Promise<string> {
  const { db, config } = context
  const { kind, discrepancyId, by, reason } = flags
  const found = await findReportedDiscrepancy(db, discrepancyId)
  if (found === null) {
    throw new UsageFault(
      `--discrepancy: found "${discrepancyId}", which no report that was written named`,
      { hint: 'Copy the id from the column discrepancy_id of discrepancies.csv.' },
    )
  }
  const { entity } = found
  const before = standingDecisions(await loadDecisions(db, [entity])).verdicts.get(discrepancyId)
  if (kind === 'reopen' && before?.kind !== 'accept') {
    const fact =
      before === undefined
        ? 'nobody accepted it'
        : `it was reopened already by ${signature(before, config.businessTimeZone)}`
    throw new UsageFault(`${discrepancyId} (${found.code}) cannot be reopened: ${fact}`, {
      hint: 'Only what was accepted can be taken up again.',
    })
  }
  await record(context, {
    entity,
    kind,
    payoutIds: [],
    bankEntryIds: [],
    discrepancyId,
    by,
    reason,
  })
  const word = kind === 'accept' ? 'accepted' : 'reopened'
  return `Recorded: ${discrepancyId} (${found.code}, in the report of ${found.period}) is ${word} (by ${by}).`
}

async function record(
  { db, runId, assertAlone }: DecideContext,
  decision: Parameters<typeof recordDecision>[2],
): Promise<void> {
  await assertAlone()
  await db.transaction((tx) => recordDecision(tx, runId, decision))
}
