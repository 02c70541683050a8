import type { BalanceTransaction } from './balance-transaction.ts'
import { type Day, dayOfInstant, parseDay, startOfDay, wallClock } from './day.ts'
import type {
  ExportConventions,
  ExportFacts,
  ExportLine,
  ExportPair,
  FeeFacts,
  Policy,
} from './facts.ts'
import { hundredthsOfPercent } from './fee-contract.ts'
import { type Finding, money } from './findings.ts'
import { rowFacts } from './ledger-rows.ts'
import { absolute, type Currency } from './money.ts'

/**
 * The accounting export against the ledger (contract, section 3.B), row by row by the balance
 * transaction's id. What the provider does not document (signs on refunds, whether fees contain
 * VAT) is taken from the file as a whole, so that a convention is not reported as a break.
 */

/** The export writes times on Paris clocks, whatever the business time zone. */
const EXPORT_ZONE = 'Europe/Paris'

/** A difference of at most one cent in VAT is rounding. */
const VAT_TOLERANCE_MINOR = 1n

export function judgeExports(
  entity: string,
  exports: readonly ExportFacts[],
  policy: Policy,
  currency: Currency,
): Finding[] {
  const findings: Finding[] = []
  const judged: ExportFacts[] = []
  // Newest first: what a newer export says of a day stands, whatever an older one said of it.
  for (const facts of exports.toSorted((a, b) => b.requestNumber - a.requestNumber)) {
    for (const pair of facts.pairs) {
      // Whether the bounds that were asked for are included is not documented: what lies on the last
      // one is not judged, and what lies on the first one is not missed.
      const at = instantOf(pair)
      if (
        at === null ||
        at >= facts.heldUntilS ||
        judged.some(({ startS, endS }) => startS <= at && at < endS)
      )
        continue
      findings.push(...judgePair(entity, pair, facts, policy, currency))
    }
    judged.push(facts)
  }
  return findings
}

function instantOf({ row, line }: ExportPair): number | null {
  if (row !== null) return row.createdS
  return line?.createdLocal == null ? null : exportInstant(line.createdLocal)
}

/** A wall-clock time of the export as an instant; in the hour that comes twice, its first coming. */
function exportInstant(createdLocal: string): number | null {
  const found = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}):(\d{2}):(\d{2})/.exec(createdLocal)
  if (found === null) return null
  const [, day = '', hours, minutes, seconds] = found
  const secondOfDay = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  const guess = startOfDay(parseDay(day), EXPORT_ZONE) + secondOfDay
  // On days when the clocks change, the wall clock runs an hour ahead or behind after the change.
  for (const instant of [guess, guess - 3600, guess + 3600]) {
    if (wallClock(instant, EXPORT_ZONE) === `${day} ${hours}:${minutes}:${seconds}`) return instant
  }
  return null
}

function judgePair(
  entity: string,
  { balanceTransactionId, row, line }: ExportPair,
  { startS, conventions }: ExportFacts,
  policy: Policy,
  currency: Currency,
): Finding[] {
  if (line !== null && row === null) {
    return [
      exportOnly(entity, balanceTransactionId, line, dayOfLine(line, startS, policy), currency),
    ]
  }
  if (row === null) return []
  if (line === null) {
    if (row.kind === 'from_payout' && !conventions.holdsPayouts) return []
    if (row.createdS <= startS) return []
    return [
      {
        ...rowFacts(entity, row, policy.zone),
        code: 'export_lacks',
        expectedMinor: row.netMinor,
        actualMinor: 0n,
        explanation: `Row ${row.id} (${row.kind}, ${money(row.netMinor, row.currency)} net) is in Alma's ledger but not in its accounting export.`,
      },
    ]
  }
  return [
    ...judgeFields(entity, row, line, conventions, policy),
    ...judgeVat(entity, row, line, conventions, policy),
  ]
}

function dayOfLine(line: ExportLine, startS: number, policy: Policy): Day {
  const at = line.createdLocal === null ? null : exportInstant(line.createdLocal)
  return dayOfInstant(at ?? startS, policy.zone)
}

function exportOnly(
  entity: string,
  id: string,
  line: ExportLine,
  day: Day,
  currency: Currency,
): Finding {
  return {
    code: 'export_only',
    entity,
    key: id,
    currency,
    day,
    closed: null,
    balanceTransactionId: id,
    paymentId: line.paymentId,
    refundId: line.refundId,
    expectedMinor: 0n,
    actualMinor: line.netMinor,
    explanation: `The accounting export holds row ${id} with ${money(line.netMinor, currency)} net, which Alma's ledger does not have.`,
  }
}

interface FieldDifference {
  readonly name: string
  readonly ledger: string
  readonly export: string
}

function judgeFields(
  entity: string,
  row: BalanceTransaction,
  line: ExportLine,
  conventions: ExportConventions,
  policy: Policy,
): Finding[] {
  const written = asLedgerWrites(row, line, conventions)
  const differences: FieldDifference[] = []
  const compare = (name: string, ledgerValue: string | null, exportValue: string | null): void => {
    if (ledgerValue !== exportValue) {
      differences.push({ name, ledger: ledgerValue ?? 'nothing', export: exportValue ?? 'nothing' })
    }
  }
  const amount = (amountMinor: bigint): string => money(amountMinor, row.currency)
  compare('gross', amount(row.amountMinor), amount(written.grossMinor))
  compare('fee', amount(row.feeMinor), amount(written.feeMinor))
  compare('net', amount(row.netMinor), amount(written.netMinor))
  compare('payment', row.paymentId, line.paymentId)
  compare('refund', row.refundId, line.refundId)
  if (line.createdLocal !== null) {
    // A file that leaves the seconds out is compared as far as it goes.
    const exportTime = line.createdLocal.replace('T', ' ').slice(0, 19)
    compare('time', wallClock(row.createdS, EXPORT_ZONE).slice(0, exportTime.length), exportTime)
  }
  if (differences.length === 0) return []
  const told = differences.map(
    ({ name, ledger, export: other }) => `${name} ${ledger} in the ledger, ${other} in the export`,
  )
  const [expectedMinor, actualMinor] = amountsAtStake(row, written)
  return [
    {
      ...rowFacts(entity, row, policy.zone),
      code: 'export_differs',
      expectedMinor,
      actualMinor,
      explanation: `Row ${row.id} is not the same in the accounting export: ${told.join('; ')}.`,
    },
  ]
}

/** The first amount that differs, net before gross before fee: what the reader should look at. */
function amountsAtStake(
  row: BalanceTransaction,
  written: { grossMinor: bigint; feeMinor: bigint; netMinor: bigint },
): [bigint, bigint] {
  if (row.netMinor !== written.netMinor) return [row.netMinor, written.netMinor]
  if (row.amountMinor !== written.grossMinor) return [row.amountMinor, written.grossMinor]
  return [row.feeMinor, written.feeMinor]
}

/** The export's amounts in the ledger's conventions. */
function asLedgerWrites(
  row: BalanceTransaction,
  line: ExportLine,
  conventions: ExportConventions,
): { grossMinor: bigint; feeMinor: bigint; netMinor: bigint } {
  const turn = (kinds: readonly string[], amountMinor: bigint): bigint =>
    kinds.includes(row.kind) ? -amountMinor : amountMinor
  const feeMinor =
    conventions.feeBasis === 'with_vat' ? line.feeMinor + (line.vatMinor ?? 0n) : line.feeMinor
  return {
    grossMinor: turn(conventions.flippedGrossKinds, line.grossMinor),
    feeMinor: turn(conventions.flippedFeeKinds, feeMinor),
    netMinor: turn(conventions.flippedNetKinds, line.netMinor),
  }
}

function judgeVat(
  entity: string,
  row: BalanceTransaction,
  line: ExportLine,
  { vatBasis, vatRatePercent }: ExportConventions,
  policy: Policy,
): Finding[] {
  if (vatBasis === null || line.vatMinor === null) return []
  const expectedMinor = expectedVat(line.feeMinor, vatRatePercent, vatBasis)
  const actualMinor = absolute(line.vatMinor)
  if (absolute(actualMinor - expectedMinor) <= VAT_TOLERANCE_MINOR) return []
  const basis = vatBasis === 'excluded' ? 'on top of' : 'contained in'
  return [
    {
      ...rowFacts(entity, row, policy.zone),
      code: 'vat_mismatch',
      expectedMinor,
      actualMinor,
      explanation: `The export says ${money(actualMinor, row.currency)} VAT for row ${row.id}; ${vatRatePercent} % ${basis} a fee of ${money(absolute(line.feeMinor), row.currency)} is ${money(expectedMinor, row.currency)}.`,
    },
  ]
}

/** VAT on a fee, rounded to the nearest minor unit; always positive. */
function expectedVat(
  feeMinor: bigint,
  ratePercent: string,
  basis: 'excluded' | 'included',
): bigint {
  const rate = hundredthsOfPercent(ratePercent)
  const divisor = basis === 'excluded' ? 10_000n : 10_000n + rate
  return (absolute(feeMinor) * rate + divisor / 2n) / divisor
}

/** A fee is right within one cent of the contract's. */
const FEE_TOLERANCE_MINOR = 1n

export function judgeFees(entity: string, fees: readonly FeeFacts[], policy: Policy): Finding[] {
  return fees.flatMap(({ row, plan, expectedFeeMinor }): Finding[] => {
    if (absolute(row.feeMinor - expectedFeeMinor) <= FEE_TOLERANCE_MINOR) return []
    return [
      {
        ...rowFacts(entity, row, policy.zone),
        code: 'fee_rate',
        expectedMinor: expectedFeeMinor,
        actualMinor: row.feeMinor,
        explanation: `Alma charged ${money(row.feeMinor, row.currency)} on the sale ${row.paymentId} of ${money(row.amountMinor, row.currency)} in plan ${plan}; the contract gives ${money(expectedFeeMinor, row.currency)}.`,
      },
    ]
  })
}
