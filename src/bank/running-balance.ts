/**
 * Proof of a table by the balance after each row. With it, the rows tell their own opening and
 * closing balance, and a row that is missing shows.
 */

export interface BalancedRow {
  readonly line: number
  readonly amountMinor: bigint
  /** After the row. */
  readonly balanceMinor: bigint
}

export interface ChainedRows {
  /** Null where rows add up to nothing and nothing tells which of their balances came first. */
  readonly openingMinor: bigint | null
  readonly closingMinor: bigint | null
  /** The first line whose balance does not follow from the one before it in time; null if all do. */
  readonly brokenAt: BalancedRow | null
}

/**
 * @param rows of one account, in the order of the file, at least one.
 * @param order which row is the oldest; `unknown` where neither the bank nor the days tell.
 */
export function chainRows(
  rows: readonly BalancedRow[],
  order: 'oldest-first' | 'newest-first' | 'unknown',
): ChainedRows {
  const ways = [
    ...(order === 'newest-first' ? [] : [rows]),
    ...(order === 'oldest-first' ? [] : [rows.toReversed()]),
  ].map((way) => ({ ...endsOf(way), brokenAt: firstBreak(way) }))
  const [first, second] = ways.filter(({ brokenAt }) => brokenAt === null)
  if (first !== undefined) {
    const isOnlyWay = second === undefined || second.openingMinor === first.openingMinor
    return isOnlyWay ? first : { openingMinor: null, closingMinor: null, brokenAt: null }
  }
  const [way] = ways
  if (way === undefined) throw new Error('rows were to be chained in no order')
  const ends = endsInAnyOrder(rows)
  return ends === null ? way : { ...ends, brokenAt: null }
}

function beforeOf({ balanceMinor, amountMinor }: BalancedRow): bigint {
  return balanceMinor - amountMinor
}

function endsOf(rows: readonly BalancedRow[]) {
  const [first] = rows
  return {
    openingMinor: first === undefined ? null : beforeOf(first),
    closingMinor: rows.at(-1)?.balanceMinor ?? null,
  }
}

function firstBreak(rows: readonly BalancedRow[]): BalancedRow | null {
  const at = rows.findIndex((row, index) => {
    const previous = rows[index - 1]
    return previous !== undefined && previous.balanceMinor !== beforeOf(row)
  })
  return rows[at] ?? null
}

/**
 * Rows of one day may stand in another order than they were booked. They are complete all the same
 * if each balance is reached as often as it is left, but for the one at the beginning and the one at
 * the end.
 */
function endsInAnyOrder(
  rows: readonly BalancedRow[],
): { openingMinor: bigint; closingMinor: bigint } | null {
  const left = new Map<bigint, number>()
  const count = (balanceMinor: bigint, by: number): void => {
    left.set(balanceMinor, (left.get(balanceMinor) ?? 0) + by)
  }
  for (const row of rows) {
    count(beforeOf(row), 1)
    count(row.balanceMinor, -1)
  }
  const ends = [...left].filter(([, times]) => times !== 0)
  const opening = ends.find(([, times]) => times === 1)
  const closing = ends.find(([, times]) => times === -1)
  if (ends.length !== 2 || opening === undefined || closing === undefined) return null
  return { openingMinor: opening[0], closingMinor: closing[0] }
}
