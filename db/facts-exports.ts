/**
 * Stored accounting exports against the ledger, as sets: how the file as a whole writes what is not
 * documented, and the pairs that differ under these conventions. The core has the last word.
 */
import { and, desc, eq, gte, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import type { ExportConventions, ExportFacts, ExportPair } from '../src/domain/facts.ts'
import { hundredthsOfPercent } from '../src/domain/fee-contract.ts'
import type { DbOrTx } from './client.ts'
import { knownRows, type LedgerView, rowColumns } from './facts-ledger.ts'
import { balanceTransactions as rows, dataExports, exportLines as lines } from './schema.ts'

const lineColumns = {
  lineNumber: lines.lineNumber,
  createdLocal: lines.createdLocal,
  grossMinor: lines.grossMinor,
  feeMinor: lines.feeMinor,
  netMinor: lines.netMinor,
  vatMinor: lines.vatMinor,
  paymentId: lines.paymentId,
  refundId: lines.refundId,
}

type StoredExport = Omit<ExportFacts, 'conventions' | 'pairs'>

/** The newest stored accounting export of each asked span that begins before the period's end. */
export async function loadExportFacts(
  db: DbOrTx,
  view: LedgerView,
  vatRatePercent: string,
): Promise<ExportFacts[]> {
  const facts: ExportFacts[] = []
  for (const stored of await storedExports(db, view)) {
    const conventions = await loadConventions(db, view, stored, vatRatePercent)
    const pairs = [
      ...(await differingLines(db, view, stored, conventions)),
      ...(await lackingRows(db, view, stored)),
    ]
    facts.push({ ...stored, conventions, pairs })
  }
  return facts
}

async function storedExports(db: DbOrTx, view: LedgerView): Promise<StoredExport[]> {
  const found = await db
    .selectDistinctOn([dataExports.startS, dataExports.endS], {
      exportId: sql<string>`coalesce(${dataExports.exportId}, '')`,
      requestNumber: dataExports.requestNumber,
      sha256: sql<string>`coalesce(${dataExports.sha256}, '')`,
      rows: sql<number>`coalesce(${dataExports.rows}, 0)`.mapWith(Number),
      startS: dataExports.startS,
      endS: dataExports.endS,
      heldUntilS:
        sql<number>`least(${dataExports.endS}, extract(epoch from ${dataExports.requestedAt}))`.mapWith(
          Number,
        ),
    })
    .from(dataExports)
    .where(
      and(
        eq(dataExports.entity, view.entity),
        eq(dataExports.type, 'accounting'),
        eq(dataExports.state, 'stored'),
        lt(dataExports.startS, Math.min(view.periodEndS, view.asOfEndS)),
      ),
    )
    .orderBy(dataExports.startS, dataExports.endS, desc(dataExports.requestNumber))
  return found
}

function linesOf(view: LedgerView, { requestNumber }: StoredExport): SQL | undefined {
  return and(eq(lines.entity, view.entity), eq(lines.requestNumber, requestNumber))
}

const sameRow = and(eq(rows.entity, lines.entity), eq(rows.id, lines.balanceTransactionId))

async function loadConventions(
  db: DbOrTx,
  view: LedgerView,
  stored: StoredExport,
  vatRatePercent: string,
): Promise<ExportConventions> {
  const count = (condition: SQL): SQL<number> =>
    sql<number>`count(*) filter (where ${condition})`.mapWith(Number)
  const rate = sql`${hundredthsOfPercent(vatRatePercent).toString()}::numeric`
  const off = (divisor: SQL): SQL =>
    sql`abs(abs(${lines.vatMinor}) - abs(${lines.feeMinor}) * ${rate} / ${divisor}) <= 1`
  const byKind = await db
    .select({
      kind: rows.kind,
      grossTurned: count(
        sql`${lines.grossMinor} = -${rows.amountMinor} and ${rows.amountMinor} <> 0`,
      ),
      grossSame: count(sql`${lines.grossMinor} = ${rows.amountMinor}`),
      feeTurned: count(sql`${lines.feeMinor} = -${rows.feeMinor} and ${rows.feeMinor} <> 0`),
      feeSame: count(sql`${lines.feeMinor} = ${rows.feeMinor} and ${rows.feeMinor} <> 0`),
      feeWithVat: count(
        sql`abs(${lines.feeMinor} + ${lines.vatMinor}) = abs(${rows.feeMinor}) and ${lines.vatMinor} <> 0`,
      ),
      netTurned: count(sql`${lines.netMinor} = -${rows.netMinor} and ${rows.netMinor} <> 0`),
      netSame: count(sql`${lines.netMinor} = ${rows.netMinor}`),
      vatExcluded: count(sql`${lines.feeMinor} <> 0 and ${off(sql`10000`)}`),
      vatIncluded: count(sql`${lines.feeMinor} <> 0 and ${off(sql`(10000 + ${rate})`)}`),
      lines: count(sql`true`),
    })
    .from(lines)
    .innerJoin(rows, sameRow)
    .where(linesOf(view, stored))
    .groupBy(rows.kind)
    .orderBy(rows.kind)
  const sum = (of: (kind: (typeof byKind)[number]) => number): number =>
    byKind.reduce((total, kind) => total + of(kind), 0)
  const turned = (is: (kind: (typeof byKind)[number]) => boolean): string[] =>
    byKind.filter(is).map(({ kind }) => kind)
  const excluded = sum(({ vatExcluded }) => vatExcluded)
  const included = sum(({ vatIncluded }) => vatIncluded)
  return {
    flippedGrossKinds: turned((kind) => kind.grossTurned > kind.grossSame),
    flippedFeeKinds: turned((kind) => kind.feeTurned > kind.feeSame),
    flippedNetKinds: turned((kind) => kind.netTurned > kind.netSame),
    feeBasis:
      sum(({ feeWithVat }) => feeWithVat) > sum(({ feeSame, feeTurned }) => feeSame + feeTurned)
        ? 'with_vat'
        : 'same',
    vatBasis: excluded === included ? null : excluded > included ? 'excluded' : 'included',
    vatRatePercent,
    holdsPayouts: byKind.some(({ kind, lines: found }) => kind === 'from_payout' && found > 0),
  }
}

/** Lines that are not in the ledger, or not as the ledger has them. */
async function differingLines(
  db: DbOrTx,
  view: LedgerView,
  stored: StoredExport,
  conventions: ExportConventions,
): Promise<ExportPair[]> {
  const found = await db
    .select({
      id: lines.balanceTransactionId,
      line: lineColumns,
      row: rowColumns,
      vanishedRunId: rows.vanishedRunId,
    })
    .from(lines)
    .leftJoin(rows, sameRow)
    .where(and(linesOf(view, stored), or(isNull(rows.id), differs(conventions))))
    .orderBy(lines.balanceTransactionId, lines.lineNumber)
  return found
    .filter(
      ({ row, vanishedRunId }) =>
        vanishedRunId === null && (row === null || row.createdS < view.asOfEndS),
    )
    .map(({ id, line, row }) => ({ balanceTransactionId: id, line, row }))
}

/** A row whose export line does not say the same; conventions that turn signs let all rows of the kind through. */
function differs({ feeBasis, vatBasis, vatRatePercent }: ExportConventions): SQL {
  const fee =
    feeBasis === 'with_vat'
      ? sql`${lines.feeMinor} + coalesce(${lines.vatMinor}, 0)`
      : sql`${lines.feeMinor}`
  const time = sql`replace(${lines.createdLocal}, 'T', ' ')`
  const rate = sql`${hundredthsOfPercent(vatRatePercent).toString()}::numeric`
  const divisor = vatBasis === 'included' ? sql`(10000 + ${rate})` : sql`10000`
  const vat =
    vatBasis === null
      ? sql`false`
      : sql`abs(abs(${lines.vatMinor}) - abs(${lines.feeMinor}) * ${rate} / ${divisor}) > 0.5`
  return sql`(${lines.grossMinor} <> ${rows.amountMinor} or ${fee} <> ${rows.feeMinor} or ${lines.netMinor} <> ${rows.netMinor}
    or ${lines.paymentId} is distinct from ${rows.paymentId} or ${lines.refundId} is distinct from ${rows.refundId}
    or left(to_char(to_timestamp(${rows.createdS}) at time zone 'Europe/Paris', 'YYYY-MM-DD HH24:MI:SS'), length(${time})) <> ${time}
    or ${vat})`
}

/** Ledger rows of the export's span without a line. */
async function lackingRows(
  db: DbOrTx,
  view: LedgerView,
  stored: StoredExport,
): Promise<ExportPair[]> {
  const found = await db
    .select(rowColumns)
    .from(rows)
    .leftJoin(lines, and(sameRow, eq(lines.requestNumber, stored.requestNumber)))
    .where(
      and(
        knownRows(view),
        gte(rows.createdS, stored.startS),
        lt(rows.createdS, stored.endS),
        isNull(lines.lineNumber),
      ),
    )
    .orderBy(rows.id)
  return found.map((row) => ({ balanceTransactionId: row.id, line: null, row }))
}
