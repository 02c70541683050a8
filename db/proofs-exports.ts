/**
 * Stored accounting exports against the ledger, as sets: how each file as a whole writes what is not
 * documented, and the pairs that differ under these conventions. An export is compared once for each
 * state of the rows that it is about. The core has the last word.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { ExportConventions } from '../src/domain/facts.ts'
import { hundredthsOfPercent } from '../src/domain/fee-contract.ts'
import type { Tx } from './client.ts'
import type { ProofScope } from './proofs.ts'
import {
  balanceTransactions as rows,
  dataExports,
  exportLines as lines,
  exportPairs,
  exportProofs,
} from './schema.ts'

interface Export {
  readonly requestNumber: number
  readonly startS: number
  readonly endS: number
  /** What was created from here on cannot be in it. */
  readonly heldUntilS: number
  /** What the clocks of the export are ahead of UTC in all of its span; null: they change in it. */
  readonly clockAheadS: number | null
}

/** In a span of up to so many days clocks change once at most. */
const ONE_CLOCK_CHANGE_DAYS = 62

/** The newest stored export of each span. */
function newestExports(entity: string): SQL {
  return sql`select distinct on (held.start_s, held.end_s) held.entity, held.request_number, held.start_s, held.end_s,
      least(held.end_s, extract(epoch from held.requested_at)) as held_until_s
    from ${dataExports} as held
    where held.entity = ${entity} and held.type = 'accounting' and held.state = 'stored'
    order by held.start_s, held.end_s, held.request_number desc`
}

export async function proveExports(
  tx: Tx,
  { entity, sinceNumber }: ProofScope,
  vatRatePercent: string,
): Promise<void> {
  const held = await findExports(tx, entity)
  const stale =
    sinceNumber === null
      ? held
      : held.filter(isIn(await findStale(tx, { entity, sinceNumber }, vatRatePercent)))
  const kept = held.filter((each) => !stale.includes(each))
  await forgetOthers(tx, entity, kept)
  if (stale.length === 0) return
  const counted = await countLines(tx, entity, stale)
  for (const group of groupsOf(stale, counted)) {
    const tallies = await tallySpans(tx, entity, group, vatRatePercent)
    for (const each of group.exports) {
      const ofSpan = tallies.get(each.requestNumber) ?? []
      const all = counted.get(each.requestNumber) ?? 0
      const { alike, conventions } = await compareExport(tx, entity, each, {
        ofSpan,
        lines: all,
        vatRatePercent,
      })
      await saveProof(tx, entity, each, { alike, conventions })
    }
  }
}

function isIn(numbers: ReadonlySet<number>): (held: Export) => boolean {
  return ({ requestNumber }) => numbers.has(requestNumber)
}

async function findExports(tx: Tx, entity: string): Promise<Export[]> {
  const ahead = (column: string): SQL =>
    sql.raw(
      `extract(epoch from to_timestamp(${column}) at time zone 'Europe/Paris')::bigint - ${column}`,
    )
  const found = await tx.execute<
    Record<'number' | 'start' | 'end' | 'until' | 'first' | 'last', string>
  >(
    sql`select request_number as number, start_s as start, end_s as "end", held_until_s as until,
        ${ahead('start_s')} as first, ${ahead('end_s')} as last
      from (${newestExports(entity)}) as newest order by request_number`,
  )
  return found.map(({ number, start, end, until, first, last }) => {
    const [startS, endS] = [Number(start), Number(end)]
    const isShort = endS - startS <= ONE_CLOCK_CHANGE_DAYS * 86_400
    return {
      requestNumber: Number(number),
      startS,
      endS,
      heldUntilS: Number(until),
      clockAheadS: isShort && first === last ? Number(first) : null,
    }
  })
}

/** Exports that are not proved, or not with this rate, or about rows that changed since. */
async function findStale(
  tx: Tx,
  { entity, sinceNumber }: { readonly entity: string; readonly sinceNumber: number },
  vatRatePercent: string,
): Promise<Set<number>> {
  const found = await tx.execute<{ number: string }>(sql`with
      touched as materialized (select r.id, r.created_s from ${rows} as r where r.entity = ${entity}
        and r.change_number > ${sinceNumber} and r.content_number > ${sinceNumber}),
      newest as materialized (${newestExports(entity)})
    select newest.request_number as number from newest
      left join ${exportProofs} as proof on proof.entity = newest.entity
        and proof.request_number = newest.request_number
    where proof.request_number is null or proof.conventions ->> 'vatRatePercent' <> ${vatRatePercent}
      or exists (select 1 from touched where touched.created_s >= newest.start_s
        and touched.created_s < newest.end_s)
    union select line.request_number from touched inner join ${lines} as line
      on line.entity = ${entity} and line.balance_transaction_id = touched.id`)
  return new Set(found.map(({ number }) => Number(number)))
}

/** Removes the proofs of exports that are not kept: those to be made anew, and of older ones. */
async function forgetOthers(tx: Tx, entity: string, kept: readonly Export[]): Promise<void> {
  for (const table of [exportPairs, exportProofs]) {
    await tx.execute(
      sql`delete from ${table} where entity = ${entity} and request_number not in (${numbersOf(kept)})`,
    )
  }
}

/** Exports whose spans follow each other without a gap, counted by one statement. */
interface ExportGroup {
  readonly exports: Export[]
  readonly startS: number
  endS: number
  readonly clockAheadS: number | null
  lines: number
}

/** Lines of one statement: its hash table has to stay in memory, and in the processor's caches at best. */
const GROUP_LINES_MAX = 100_000

/** Each export in one group; only what was whole when it was asked for shares one. */
function groupsOf(exports: readonly Export[], counted: ReadonlyMap<number, number>): ExportGroup[] {
  const groups: ExportGroup[] = []
  const open = new Map<string, ExportGroup>()
  const inOrder = exports.toSorted(
    (a, b) => a.startS - b.startS || a.requestNumber - b.requestNumber,
  )
  for (const each of inOrder) {
    const { requestNumber, startS, endS, heldUntilS, clockAheadS } = each
    const ownLines = counted.get(requestNumber) ?? 0
    const isWhole = heldUntilS >= endS
    const before = isWhole ? open.get(`${startS} ${clockAheadS}`) : undefined
    const isRoom = before !== undefined && before.lines + ownLines <= GROUP_LINES_MAX
    if (before !== undefined) open.delete(`${startS} ${clockAheadS}`)
    const group = isRoom ? before : { exports: [], startS, endS, clockAheadS, lines: 0 }
    if (!isRoom) groups.push(group)
    group.exports.push(each)
    group.endS = endS
    group.lines += ownLines
    if (isWhole) open.set(`${endS} ${clockAheadS}`, group)
  }
  return groups
}

async function countLines(
  tx: Tx,
  entity: string,
  exports: readonly Export[],
): Promise<Map<number, number>> {
  const numbers = exports.map(({ requestNumber }) => requestNumber)
  const found = await tx.execute<Record<'number' | 'lines', string>>(
    sql`select number, count(*) as lines from (${linesOf(entity, numbers)}) as line group by number`,
  )
  return new Map(found.map((each) => [Number(each.number), Number(each.lines)]))
}

function numbersOf(exports: readonly Export[]): SQL {
  const numbers = JSON.stringify(exports.map(({ requestNumber }) => requestNumber))
  return sql`select value::bigint from jsonb_array_elements_text(${numbers}::text::jsonb)`
}

async function saveProof(
  tx: Tx,
  entity: string,
  held: Export,
  { alike, conventions }: { readonly alike: boolean; readonly conventions: ExportConventions },
): Promise<void> {
  let pairs = 0
  if (!alike) {
    const source = pairsOf(entity, held, conventions)
    pairs = (
      await tx.execute(sql`insert into ${exportPairs} (entity, request_number, balance_transaction_id, line_number)
        ${source}`)
    ).count
  }
  await tx
    .insert(exportProofs)
    .values({ entity, requestNumber: held.requestNumber, conventions, pairs })
}

/** How many pairs of a kind are alike, turned or off in each way that the conventions ask for. */
interface Tally extends Record<keyof typeof LIKENESS_AT, Likeness> {
  readonly kind: string | null
  /** The fee and its VAT make up the ledger's fee, whatever the signs. */
  readonly holdsVat: boolean
  /** The VAT is within a cent of that on top of the fee, or of that contained in it. */
  readonly nearExcluded: boolean
  readonly nearIncluded: boolean
  /** It is off by more than a cent from what rounding gives. */
  readonly offExcluded: boolean
  readonly offIncluded: boolean
  /** Payment, refund or time differ. */
  readonly isOther: boolean
  readonly isGone: boolean
  readonly isLineAlone: boolean
  readonly isRowAlone: boolean
  /** The row is younger than the export. */
  readonly isYounger: boolean
  readonly pairs: number
}

/** `zero`: both sides are 0. `same`, `turned`: equal, or so with the opposite sign. */
const LIKENESSES = ['zero', 'same', 'turned', 'off'] as const
type Likeness = (typeof LIKENESSES)[number]

/** A pair is told in one number, as grouping by one is much cheaper than by many: two bits a likeness. */
const LIKENESS_AT = { gross: 0, fee: 2, feeWithVat: 4, net: 6 }
const FLAG_AT = {
  holdsVat: 8,
  nearExcluded: 9,
  nearIncluded: 10,
  offExcluded: 11,
  offIncluded: 12,
  isOther: 13,
  isGone: 14,
  isLineAlone: 15,
  isRowAlone: 16,
  isYounger: 17,
}

/** The number of a pair of `l` and the row `r`, either of which may be missing. */
function codeOf(
  r: string,
  { heldUntilS, clockAheadS }: Pick<Export, 'heldUntilS' | 'clockAheadS'>,
  vatRatePercent: string,
): SQL {
  const rate = hundredthsOfPercent(vatRatePercent)
  const likeness = (at: keyof typeof LIKENESS_AT, line: string, row: string): string =>
    `(case when ${line} = ${r}.${row} then case when ${r}.${row} = 0 then 0 else ${1 << LIKENESS_AT[at]} end
      when ${line} = -${r}.${row} then ${2 << LIKENESS_AT[at]} else ${3 << LIKENESS_AT[at]} end)`
  const flag = (at: keyof typeof FLAG_AT, condition: string): string =>
    `(case when ${condition} then ${1 << FLAG_AT[at]} else 0 end)`
  const included = 10_000n + rate
  return sql.raw(
    [
      likeness('gross', 'l.gross_minor', 'amount_minor'),
      likeness('fee', 'l.fee_minor', 'fee_minor'),
      likeness('feeWithVat', '(l.fee_minor + coalesce(l.vat_minor, 0))', 'fee_minor'),
      likeness('net', 'l.net_minor', 'net_minor'),
      flag('holdsVat', `abs(l.fee_minor + l.vat_minor) = abs(${r}.fee_minor) and l.vat_minor <> 0`),
      flag('nearExcluded', `l.fee_minor <> 0 and ${vatOff(rate, 10_000n, '<= 10000')}`),
      flag('nearIncluded', `l.fee_minor <> 0 and ${vatOff(rate, included, `<= ${included}`)}`),
      flag('offExcluded', vatOff(rate, 10_000n, `>= ${leastOff(10_000n)}`)),
      flag('offIncluded', vatOff(rate, included, `>= ${leastOff(included)}`)),
      flag('isOther', otherDiffers(r, clockAheadS)),
      flag('isGone', `${r}.vanished_run_id is not null`),
      flag('isLineAlone', `${r}.id is null`),
      flag('isRowAlone', 'l.line_number is null'),
      flag('isYounger', `${r}.created_s >= ${heldUntilS}`),
    ].join(' | '),
  )
}

/** How far the VAT is off, times the divisor: exact, and quick as long as the amounts are a shop's. */
function vatOff(rate: bigint, divisor: bigint, compared: string): string {
  const off = (type: string): string =>
    `abs(abs(l.vat_minor)::${type} * ${divisor} - abs(l.fee_minor)::${type} * ${rate}) ${compared}`
  return `(case when abs(l.vat_minor) < ${QUICK_AMOUNT_MAX} and abs(l.fee_minor) < ${QUICK_AMOUNT_MAX}
    then ${off('bigint')} else ${off('numeric')} end)`
}

/**
 * The least by which VAT is off that the core tells of. It grants a cent, so it tells of two and more
 * from the rounded figure, which are one and a half and more from the exact one.
 */
function leastOff(divisor: bigint): bigint {
  return (3n * divisor + 1n) / 2n
}

/** Amounts up to here are reckoned in whole numbers of 64 bits. */
const QUICK_AMOUNT_MAX = 10_000_000_000

function tallyOf({
  kind,
  code,
  pairs,
}: Record<'code' | 'pairs', string> & { kind: string | null }): Tally {
  const bits = Number(code)
  const likeness = (at: keyof typeof LIKENESS_AT): Likeness =>
    LIKENESSES[(bits >> LIKENESS_AT[at]) & 3] ?? 'off'
  const flag = (at: keyof typeof FLAG_AT): boolean => ((bits >> FLAG_AT[at]) & 1) === 1
  return {
    kind,
    gross: likeness('gross'),
    fee: likeness('fee'),
    feeWithVat: likeness('feeWithVat'),
    net: likeness('net'),
    holdsVat: flag('holdsVat'),
    nearExcluded: flag('nearExcluded'),
    nearIncluded: flag('nearIncluded'),
    offExcluded: flag('offExcluded'),
    offIncluded: flag('offIncluded'),
    isOther: flag('isOther'),
    isGone: flag('isGone'),
    isLineAlone: flag('isLineAlone'),
    isRowAlone: flag('isRowAlone'),
    isYounger: flag('isYounger'),
    pairs: Number(pairs),
  }
}

/** The rows of the spans, each with the export's line of it or without one, by export. */
async function tallySpans(
  tx: Tx,
  entity: string,
  { exports, startS, endS, clockAheadS }: ExportGroup,
  vatRatePercent: string,
): Promise<Map<number, Tally[]>> {
  const [first] = exports
  if (first === undefined) return new Map()
  const code = codeOf('r', { heldUntilS: youngFromS(exports), clockAheadS }, vatRatePercent)
  const numbers = exports.map(({ requestNumber }) => requestNumber)
  // One hash of all spans' lines, in which the number of the export keeps them apart.
  const found = await tx.execute<
    Record<'number' | 'code' | 'pairs', string> & { kind: string | null }
  >(sql`select number, kind, code, count(*) as pairs
    from (select r.number, r.kind, ${code} as code
      from (${spanOf(entity, { startS, endS }, numberOf(exports))}) as r
        left join (${linesOf(entity, numbers)}) as l on l.number = r.number and l.id = r.id) as paired
    group by number, kind, code`)
  const tallies = new Map<number, Tally[]>()
  for (const each of found) {
    const number = Number(each.number)
    const ofExport = tallies.get(number)
    if (ofExport === undefined) tallies.set(number, [tallyOf(each)])
    else ofExport.push(tallyOf(each))
  }
  return tallies
}

/** Exports that share a group were whole, so no row of their spans is too young for them. */
function youngFromS(exports: readonly Export[]): number {
  return Math.max(...exports.map(({ heldUntilS }) => heldUntilS))
}

/** The number of the export whose span a row \`r\` lies in. */
function numberOf(exports: readonly Export[]): SQL {
  const numbers = exports.map(({ requestNumber }) => requestNumber).join()
  const bounds = exports.map(({ startS }) => startS).join()
  return sql.raw(`('{${numbers}}'::bigint[])[width_bucket(r.created_s, '{${bounds}}'::bigint[])]`)
}

async function compareExport(
  tx: Tx,
  entity: string,
  held: Export,
  {
    ofSpan,
    lines: all,
    vatRatePercent,
  }: {
    readonly ofSpan: readonly Tally[]
    readonly lines: number
    readonly vatRatePercent: string
  },
): Promise<{ conventions: ExportConventions; alike: boolean }> {
  const tallies = [...ofSpan]
  const paired = tallies
    .filter(({ isRowAlone }) => !isRowAlone)
    .reduce((sum, { pairs }) => sum + pairs, 0)
  if (paired !== all) {
    // Lines of rows that were created outside of the span, or that are in no ledger.
    const code = codeOf('b', { ...held, clockAheadS: null }, vatRatePercent)
    const outside = await tx.execute<Record<'code' | 'pairs', string> & { kind: string | null }>(
      sql`select kind, code, count(*) as pairs from (select b.kind, ${code} as code
        from (${linesOf(entity, [held.requestNumber])}) as l
          left join ${rows} as b on b.entity = ${entity} and b.id = l.id
        where not exists (select 1 from (${spanOf(entity, held)}) as r where r.id = l.id)) as paired
      group by kind, code`,
    )
    tallies.push(...outside.map(tallyOf))
  }
  const conventions = conventionsOf(tallies, vatRatePercent)
  return { conventions, alike: tallies.every((tally) => isAlike(tally, conventions)) }
}

/**
 * The lines of exports. Their numbers stand in the text of the query: from a list of unknown length
 * the planner takes them for a good part of all, and reads every export's lines for those of one.
 */
function linesOf(entity: string, numbers: readonly number[]): SQL {
  return sql`select line.request_number as number, line.balance_transaction_id as id, line.line_number,
      line.created_local, line.gross_minor, line.fee_minor, line.net_minor, line.vat_minor,
      line.payment_id, line.refund_id
    from ${lines} as line where line.entity = ${entity}
      and line.request_number in (${sql.raw(numbers.join())})`
}

/** The ledger's rows of a span, gone ones included. */
function spanOf(
  entity: string,
  { startS, endS }: Pick<Export, 'startS' | 'endS'>,
  number: SQL = sql`0::bigint`,
): SQL {
  return sql`select ${number} as number, r.id, r.kind, r.amount_minor, r.fee_minor, r.net_minor,
      r.payment_id, r.refund_id, r.created_s, r.vanished_run_id
    from ${rows} as r where r.entity = ${entity} and r.created_s >= ${startS} and r.created_s < ${endS}`
}

/** Times are written on Paris clocks; `proveLedger` sees to it that they are shown as ISO has it. */
function otherDiffers(r: string, clockAheadS: number | null): string {
  const local =
    clockAheadS === null
      ? `to_timestamp(${r}.created_s) at time zone 'Europe/Paris'`
      : `timestamp '1970-01-01' + (${r}.created_s + ${clockAheadS}) * interval '1 second'`
  // An export may leave out the seconds. Hardly any has the T, so that is looked at last.
  const begins = (written: string): string => `starts_with((${local})::text, ${written})`
  return `(l.payment_id is distinct from ${r}.payment_id or l.refund_id is distinct from ${r}.refund_id
    or not (${begins('l.created_local')} or ${begins("replace(l.created_local, 'T', ' ')")}))`
}

function conventionsOf(tallies: readonly Tally[], vatRatePercent: string): ExportConventions {
  const paired = tallies.filter(({ isLineAlone, isRowAlone }) => !isLineAlone && !isRowAlone)
  const kinds = [...new Set(paired.flatMap(({ kind }) => kind ?? []))].sort()
  const count = (holds: (tally: Tally) => boolean): number =>
    paired.filter(holds).reduce((sum, { pairs }) => sum + pairs, 0)
  const turned = (of: (tally: Tally) => Likeness, zeroSays: boolean): string[] =>
    kinds.filter((kind) => {
      const ofKind = (likeness: Likeness): number =>
        count((tally) => tally.kind === kind && of(tally) === likeness)
      return ofKind('turned') > ofKind('same') + (zeroSays ? ofKind('zero') : 0)
    })
  const excluded = count(({ nearExcluded }) => nearExcluded)
  const included = count(({ nearIncluded }) => nearIncluded)
  const withVat = count(({ holdsVat }) => holdsVat)
  const without = count(({ fee }) => fee === 'same' || fee === 'turned')
  return {
    flippedGrossKinds: turned(({ gross }) => gross, true),
    flippedFeeKinds: turned(({ fee }) => fee, false),
    flippedNetKinds: turned(({ net }) => net, true),
    feeBasis: withVat > without ? 'with_vat' : 'same',
    vatBasis: excluded === included ? null : excluded > included ? 'excluded' : 'included',
    vatRatePercent,
    holdsPayouts: kinds.includes('from_payout'),
  }
}

/** Whether pairs so alike need no look under the conventions: as `pairsOf` has it. */
function isAlike(tally: Tally, conventions: ExportConventions): boolean {
  const { feeBasis, vatBasis, holdsPayouts } = conventions
  const kind = tally.kind ?? ''
  if (tally.isLineAlone) return false
  if (tally.isGone) return true
  if (tally.isRowAlone) return tally.isYounger || (kind === 'from_payout' && !holdsPayouts)
  const holds = (likeness: Likeness, flipped: readonly string[]): boolean =>
    likeness === 'zero' || likeness === (flipped.includes(kind) ? 'turned' : 'same')
  const fee = feeBasis === 'with_vat' ? tally.feeWithVat : tally.fee
  const isVatOff =
    vatBasis === 'excluded' ? tally.offExcluded : vatBasis === 'included' && tally.offIncluded
  return (
    holds(tally.gross, conventions.flippedGrossKinds) &&
    holds(fee, conventions.flippedFeeKinds) &&
    holds(tally.net, conventions.flippedNetKinds) &&
    !tally.isOther &&
    !isVatOff
  )
}

/** Lines that are not in the ledger or not as the ledger has them, and rows of the span without a line. */
function pairsOf(entity: string, held: Export, conventions: ExportConventions): SQL {
  const { feeBasis, vatBasis, vatRatePercent, holdsPayouts } = conventions
  const turn = (kinds: readonly string[], what: string): SQL =>
    sql`case when r.kind in (select value from jsonb_array_elements_text(${JSON.stringify(kinds)}::text::jsonb))
      then -(${sql.raw(what)}) else ${sql.raw(what)} end`
  const fee = feeBasis === 'with_vat' ? 'l.fee_minor + coalesce(l.vat_minor, 0)' : 'l.fee_minor'
  const rate = hundredthsOfPercent(vatRatePercent)
  const divisor = vatBasis === 'included' ? 10_000n + rate : 10_000n
  const isVatOff = sql.raw(
    vatBasis === null ? 'false' : vatOff(rate, divisor, `>= ${leastOff(divisor)}`),
  )
  return sql`with line as (${linesOf(entity, [held.requestNumber])}), span as (${spanOf(entity, held)})
    select ${entity}, ${held.requestNumber}::bigint, l.id, l.line_number
    from line as l left join ${rows} as r on r.entity = ${entity} and r.id = l.id
    where r.id is null or (r.vanished_run_id is null and (
      ${turn(conventions.flippedGrossKinds, 'l.gross_minor')} <> r.amount_minor
      or ${turn(conventions.flippedFeeKinds, fee)} <> r.fee_minor
      or ${turn(conventions.flippedNetKinds, 'l.net_minor')} <> r.net_minor
      or ${sql.raw(otherDiffers('r', null))} or ${isVatOff}))
    union all
    select ${entity}, ${held.requestNumber}::bigint, r.id, 0 from span as r
    where r.vanished_run_id is null and r.created_s < ${held.heldUntilS}::numeric
      and (r.kind <> 'from_payout' or ${sql.raw(String(holdsPayouts))})
      and not exists (select 1 from line where line.id = r.id)`
}
