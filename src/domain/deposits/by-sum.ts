import { groupBy } from '../collections.ts'
import type { Policy } from '../facts.ts'
import { money } from '../findings.ts'
import type { Ambiguity, Board, DepositMatch, PassOutcome } from './board.ts'
import { type DepositItem, lagDays, lineName, names, type PayoutItem } from './items.ts'
import {
  expectedCoincidences,
  findSums,
  SET_SIZE_MAX,
  SETS_COUNTED_MAX,
  type SumPool,
  sumPool,
} from './subset-sum.ts'
import { depositsWithin, itemsIn, payoutsWithin, type Stretch } from './windows.ts'

/**
 * Rung 4: one line that pays several payouts (`merged`), one payout that comes in several lines
 * (`split`), by exact signed sums. A sum is believed only if it is the only explanation, shares no
 * item with another one, and would hardly come about by coincidence. Otherwise all explanations are
 * told and none is taken.
 */

/** Expected accidental sets from which on a sum proves nothing. */
const COINCIDENCE_MAX = 0.01
/** Larger pools are no window any more; the bound on coincidence would refuse them anyway. */
const POOL_MAX = 250
/** Explanations told in a finding. */
const TOLD_MAX = 5

interface Explained {
  readonly rule: 'merged' | 'split'
  /** The one item whose amount is explained. */
  readonly whole: PayoutItem | DepositItem
  readonly sets: readonly {
    readonly payouts: readonly PayoutItem[]
    readonly deposits: readonly DepositItem[]
  }[]
  readonly more: boolean
  readonly poolSize: number
  readonly setsTried: number
  readonly coincidences: number
}

export function matchBySum(board: Board, policy: Policy): PassOutcome {
  const explained = [...mergedLines(board, policy), ...splitPayouts(board, policy)]
  const uses = new Map<PayoutItem | DepositItem, number>()
  for (const one of explained) {
    for (const item of itemsOf(one)) uses.set(item, (uses.get(item) ?? 0) + 1)
  }
  const isSure = (one: Explained): boolean =>
    one.sets.length === 1 &&
    !one.more &&
    one.coincidences < COINCIDENCE_MAX &&
    itemsOf(one).every((item) => uses.get(item) === 1)
  return {
    matches: explained.filter(isSure).map(toMatch),
    ambiguities: explained.filter((one) => !isSure(one)).map(toAmbiguity),
  }
}

/** Rung 4 for lines that name one of their payouts, before a differing amount is held against them. */
export function matchNamedSums(board: Board, policy: Policy): PassOutcome {
  const naming = board.deposits.filter(({ named }) => named.length > 0)
  const { matches } = matchBySum({ payouts: board.payouts, deposits: naming }, policy)
  return { matches: matches.filter(({ rule }) => rule === 'merged') }
}

/** All items that an explanation could use, each once. */
function itemsOf({ sets }: Explained): (PayoutItem | DepositItem)[] {
  return [...new Set(sets.flatMap(({ payouts, deposits }) => [...payouts, ...deposits]))]
}

/** Lines that are the sum of payouts whose window they lie in. A line that names payouts must pay these. */
function mergedLines({ payouts, deposits }: Board, policy: Policy): Explained[] {
  const payoutsOf = groupBy(payouts, ({ entity, currency }) => `${entity}\u0000${currency}`)
  const pools = poolKeeper()
  return deposits.flatMap((deposit): Explained[] => {
    const alike = payoutsOf.get(`${deposit.entity}\u0000${deposit.entry.currency}`) ?? []
    const stretch = payoutsWithin(alike, deposit.entry.bookingDay, lagsOf(policy))
    const pool = itemsIn(alike, stretch).filter((payout) => isInWindow(payout, deposit, policy))
    const named = pool.filter((payout) => names(deposit, payout))
    if (deposit.named.length > 0 && named.length < deposit.named.length) return []
    const found = search(
      pools(
        alike,
        stretch,
        pool.map(({ amountMinor }) => amountMinor),
      ),
      deposit.entry.amountMinor,
    )
    if (found === null) return []
    const sets = found.sets
      .map((positions) => positions.flatMap((at) => pool[at] ?? []))
      .filter((set) => named.every((payout) => set.includes(payout)))
      .map((set) => ({ payouts: set, deposits: [deposit] }))
    return sets.length === 0
      ? []
      : [{ rule: 'merged', whole: deposit, poolSize: pool.length, ...found, sets }]
  })
}

/** Payouts that are the sum of lines in their window which name no payout. */
function splitPayouts({ payouts, deposits }: Board, policy: Policy): Explained[] {
  const anonymous = deposits.filter(({ named }) => named.length === 0)
  const depositsOf = groupBy(anonymous, ({ entity, entry }) => `${entity}\u0000${entry.currency}`)
  const pools = poolKeeper()
  return payouts.flatMap((payout): Explained[] => {
    const alike = depositsOf.get(`${payout.entity}\u0000${payout.currency}`) ?? []
    const stretch = depositsWithin(alike, payout.day, lagsOf(policy))
    const pool = itemsIn(alike, stretch).filter((deposit) => isInWindow(payout, deposit, policy))
    const found = search(
      pools(
        alike,
        stretch,
        pool.map(({ entry }) => entry.amountMinor),
      ),
      payout.amountMinor,
    )
    if (found === null) return []
    const sets = found.sets.map((positions) => ({
      payouts: [payout],
      deposits: positions.flatMap((at) => pool[at] ?? []),
    }))
    return [{ rule: 'split', whole: payout, poolSize: pool.length, ...found, sets }]
  })
}

function lagsOf({ matchWindowDays }: Policy) {
  return { from: 0, to: matchWindowDays }
}

type PoolKeeper = (
  alike: readonly unknown[],
  stretch: Stretch,
  amountsMinor: readonly bigint[],
) => SumPool | null

/**
 * Items of one day have the same pool, of which the sums are worked out once. Null for pools in
 * which nothing is looked for.
 */
function poolKeeper(): PoolKeeper {
  const kept = new Map<readonly unknown[], { stretch: Stretch; pool: SumPool }>()
  return (alike, stretch, amountsMinor) => {
    if (amountsMinor.length < 2 || amountsMinor.length > POOL_MAX) return null
    // An item that may not be tied leaves a hole in the stretch, and the pool is nobody else's.
    if (amountsMinor.length < stretch.to - stretch.from) return sumPool(amountsMinor)
    const last = kept.get(alike)
    if (last?.stretch.from === stretch.from && last.stretch.to === stretch.to) return last.pool
    const pool = sumPool(amountsMinor)
    kept.set(alike, { stretch, pool })
    return pool
  }
}

function isInWindow(payout: PayoutItem, { entry }: DepositItem, policy: Policy): boolean {
  const lag = lagDays(payout, entry)
  return payout.amountMinor !== 0n && lag !== null && lag <= policy.matchWindowDays
}

function search(pool: SumPool | null, targetMinor: bigint) {
  if (pool === null || !pool.mayReach(targetMinor)) return null
  const { amountsMinor } = pool
  const found = findSums(amountsMinor, targetMinor)
  if (found.sets.length === 0) return null
  const [only] = found.sets
  const isRun =
    found.sets.length === 1 &&
    only !== undefined &&
    only.every((at, step) => at === (only[0] ?? 0) + step)
  return {
    sets: found.sets,
    more: found.more,
    setsTried: found.setsTried + found.runsTried,
    coincidences: expectedCoincidences(amountsMinor, found, isRun),
  }
}

function toMatch(one: Explained): DepositMatch {
  const [set] = one.sets
  const parts =
    one.rule === 'merged' ? `${set?.payouts.length} payouts` : `${set?.deposits.length} bank lines`
  return {
    rule: one.rule,
    payouts: set?.payouts ?? [],
    deposits: set?.deposits ?? [],
    evidence: `${wholeName(one.whole)} is the sum of ${parts}, the only explanation among ${one.setsTried} sets (up to ${SET_SIZE_MAX} items, or neighbours) of ${one.poolSize} open in the window; by coincidence ${probability(one.coincidences)} would be expected`,
    competitors:
      one.poolSize -
      (one.rule === 'merged' ? (set?.payouts.length ?? 0) : (set?.deposits.length ?? 0)),
  }
}

function probability(expected: number): string {
  return expected < 0.0001 ? 'less than 0.0001' : `about ${Math.ceil(expected * 10_000) / 10_000}`
}

function toAmbiguity(one: Explained): Ambiguity {
  const told = one.sets
    .slice(0, TOLD_MAX)
    .map(({ payouts, deposits }) =>
      one.rule === 'merged'
        ? payouts
            .map(
              ({ payoutId, amountMinor, currency }) =>
                `${payoutId} (${money(amountMinor, currency)})`,
            )
            .join(' + ')
        : deposits
            .map(({ entry }) => `${lineName(entry)} (${money(entry.amountMinor, entry.currency)})`)
            .join(' + '),
    )
  const count = one.more ? `more than ${SETS_COUNTED_MAX}` : String(one.sets.length)
  const why =
    one.sets.length > 1
      ? `there are ${count} explanations`
      : one.coincidences >= COINCIDENCE_MAX
        ? `among ${one.setsTried} sets one may fit by coincidence (${probability(one.coincidences)} expected)`
        : 'another sum uses the same items'
  const items = itemsOf(one)
  return {
    subject: one.rule === 'merged' ? 'line' : 'payout',
    payouts: items.filter((item) => 'payoutId' in item),
    deposits: items.filter((item) => 'entry' in item),
    why: `${why}: ${told.join('; ')}${one.sets.length > TOLD_MAX ? '; …' : ''}. What settles it is the payment advice from Alma, or a reference on the line`,
  }
}

function wholeName(item: PayoutItem | DepositItem): string {
  return 'entry' in item ? `the ${lineName(item.entry)}` : `the payout`
}
