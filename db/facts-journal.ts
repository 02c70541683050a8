/** The rows that a period's journal books one by one, with what the exports say of their VAT. */
import { and, asc, desc, eq, gt, gte, inArray, lt, not, or, type SQL, sql } from 'drizzle-orm'
import type { JournalRow } from '../src/domain/journal.ts'
import type { DbOrTx } from './client.ts'
import { isPaidOut, knownRows, type LedgerView, rowColumns } from './facts-ledger.ts'
import { balanceTransactions as rows, dataExports, exportLines as lines } from './schema.ts'

const ROWS_AT_ONCE = 500

/**
 * Rows created in the period, in the order of creation and then id; behind them older rows that a
 * payout of the period took. Each with the VAT of the newest stored accounting export that holds it.
 * In pieces: a month of the largest merchants has more of them than one wants to hold.
 */
export async function* loadJournalRows(
  db: DbOrTx,
  view: LedgerView,
  rowsAtOnce = ROWS_AT_ONCE,
): AsyncGenerator<readonly JournalRow[]> {
  const ofPeriod = isOfPeriod(view)
  const load = (condition: SQL | undefined, order: readonly SQL[]): Promise<JournalRow[]> =>
    loadPiece(db, view, { condition, order, rowsAtOnce })
  yield* inPieces(rowsAtOnce, (last) => {
    const isNext =
      last === null
        ? undefined
        : and(
            gte(rows.createdS, last.createdS),
            or(gt(rows.createdS, last.createdS), gt(rows.id, last.id)),
          )
    return load(and(ofPeriod, isNext), [asc(rows.createdS), asc(rows.id)])
  })
  for (const payoutId of await payoutsOfPeriod(db, view)) {
    yield* inPieces(rowsAtOnce, (last) => {
      const isNext = last === null ? undefined : gt(rows.id, last.id)
      const isTaken = and(eq(rows.includedInPayoutId, payoutId), isPaidOut(view))
      const isOlder = ofPeriod === undefined ? undefined : not(ofPeriod)
      return load(and(isTaken, isOlder, isNext), [asc(rows.id)])
    })
  }
}

async function* inPieces(
  rowsAtOnce: number,
  load: (last: JournalRow['row'] | null) => Promise<readonly JournalRow[]>,
): AsyncGenerator<readonly JournalRow[]> {
  for (let last: JournalRow['row'] | null = null; ;) {
    const piece = await load(last)
    yield piece
    const end = piece.at(-1)
    if (end === undefined || piece.length < rowsAtOnce) return
    last = end.row
  }
}

function isOfPeriod({ periodStartS, periodEndS }: LedgerView): SQL | undefined {
  return and(gte(rows.createdS, periodStartS), lt(rows.createdS, periodEndS))
}

async function payoutsOfPeriod(db: DbOrTx, view: LedgerView): Promise<string[]> {
  const found = await db
    .selectDistinct({ payoutId: sql<string>`coalesce(${rows.payoutId}, ${rows.id})` })
    .from(rows)
    .where(and(knownRows(view), isOfPeriod(view), eq(rows.kind, 'from_payout')))
  return found.map(({ payoutId }) => payoutId).toSorted()
}

async function loadPiece(
  db: DbOrTx,
  view: LedgerView,
  {
    condition,
    order,
    rowsAtOnce,
  }: {
    readonly condition: SQL | undefined
    readonly order: readonly SQL[]
    readonly rowsAtOnce: number
  },
): Promise<JournalRow[]> {
  const found = await db
    .select({ ...rowColumns, paidOut: sql<boolean>`coalesce(${isPaidOut(view)}, false)` })
    .from(rows)
    .where(and(knownRows(view), condition))
    .orderBy(...order)
    .limit(rowsAtOnce)
  const ids = found.map(({ id }) => id)
  const vatOf = await loadExportVat(db, view.entity, ids)
  return found.map(({ paidOut, ...row }) => ({
    row: { ...row, includedInPayoutId: paidOut ? row.includedInPayoutId : null },
    exportVatMinor: vatOf.get(row.id) ?? null,
  }))
}

/** What the newest line of a stored accounting export says, by row. */
async function loadExportVat(
  db: DbOrTx,
  entity: string,
  ids: readonly string[],
): Promise<Map<string, bigint | null>> {
  if (ids.length === 0) return new Map()
  const found = await db
    .selectDistinctOn([lines.balanceTransactionId], {
      id: lines.balanceTransactionId,
      vatMinor: lines.vatMinor,
    })
    .from(lines)
    .innerJoin(
      dataExports,
      and(
        eq(dataExports.entity, lines.entity),
        eq(dataExports.requestNumber, lines.requestNumber),
        eq(dataExports.type, 'accounting'),
        eq(dataExports.state, 'stored'),
      ),
    )
    .where(and(eq(lines.entity, entity), inArray(lines.balanceTransactionId, [...ids])))
    .orderBy(asc(lines.balanceTransactionId), desc(lines.requestNumber), asc(lines.lineNumber))
  return new Map(found.map(({ id, vatMinor }) => [id, vatMinor]))
}
