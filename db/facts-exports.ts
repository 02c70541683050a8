/** What comparing the stored accounting exports with the ledger found, as of a day. */
import { and, asc, desc, eq, inArray, lt, sql } from 'drizzle-orm'
import { groupBy } from '../src/domain/collections.ts'
import type { ExportFacts, ExportPair } from '../src/domain/facts.ts'
import type { DbOrTx } from './client.ts'
import { type LedgerView, rowColumns } from './facts-ledger.ts'
import {
  balanceTransactions as rows,
  dataExports,
  exportLines as lines,
  exportPairs,
  exportProofs,
} from './schema.ts'

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

/** The newest stored accounting export of each asked span that begins before the period's end. */
export async function loadExportFacts(db: DbOrTx, view: LedgerView): Promise<ExportFacts[]> {
  const held = await db
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
      conventions: exportProofs.conventions,
    })
    .from(dataExports)
    .leftJoin(
      exportProofs,
      and(
        eq(exportProofs.entity, dataExports.entity),
        eq(exportProofs.requestNumber, dataExports.requestNumber),
      ),
    )
    .where(
      and(
        eq(dataExports.entity, view.entity),
        eq(dataExports.type, 'accounting'),
        eq(dataExports.state, 'stored'),
        lt(dataExports.startS, Math.min(view.periodEndS, view.asOfEndS)),
      ),
    )
    .orderBy(dataExports.startS, dataExports.endS, desc(dataExports.requestNumber))
  const pairsOf = await loadPairs(
    db,
    view,
    held.map(({ requestNumber }) => requestNumber),
  )
  return held.map(({ conventions, ...stored }) => {
    const { requestNumber, startS, endS } = stored
    if (conventions === null) {
      throw new Error(`export ${requestNumber} of ${view.entity} was not compared with the ledger`)
    }
    const pairs = (pairsOf.get(requestNumber) ?? []).filter(
      ({ line, row }) =>
        line !== null || (row !== null && startS <= row.createdS && row.createdS < endS),
    )
    return { ...stored, conventions, pairs }
  })
}

/** The stored pairs of some exports, as of the day, by the export's number. */
async function loadPairs(
  db: DbOrTx,
  view: LedgerView,
  requestNumbers: readonly number[],
): Promise<Map<number, ExportPair[]>> {
  if (requestNumbers.length === 0) return new Map()
  const found = await db
    .select({
      requestNumber: exportPairs.requestNumber,
      id: exportPairs.balanceTransactionId,
      line: lineColumns,
      row: rowColumns,
      vanishedRunId: rows.vanishedRunId,
    })
    .from(exportPairs)
    .leftJoin(
      lines,
      and(
        eq(lines.entity, exportPairs.entity),
        eq(lines.requestNumber, exportPairs.requestNumber),
        eq(lines.lineNumber, exportPairs.lineNumber),
      ),
    )
    .leftJoin(
      rows,
      and(eq(rows.entity, exportPairs.entity), eq(rows.id, exportPairs.balanceTransactionId)),
    )
    .where(
      and(
        eq(exportPairs.entity, view.entity),
        inArray(exportPairs.requestNumber, [...requestNumbers]),
      ),
    )
    .orderBy(
      asc(exportPairs.requestNumber),
      asc(exportPairs.balanceTransactionId),
      asc(exportPairs.lineNumber),
    )
  const known = found.filter(
    ({ row, vanishedRunId }) =>
      vanishedRunId === null && (row === null || row.createdS < view.asOfEndS),
  )
  const grouped = groupBy(known, ({ requestNumber }) => requestNumber)
  return new Map(
    [...grouped].map(([number, pairs]) => [
      number,
      pairs.map(({ id, line, row }) => ({ balanceTransactionId: id, line, row })),
    ]),
  )
}
