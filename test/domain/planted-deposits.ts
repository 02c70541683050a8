/**
 * Years of payouts and bank lines, made from a seed, with the truth beside them: which lines pay
 * which payouts. For the benchmark of the matching, and for tests that need many items.
 */
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import type { StoredBankEntry, StoredBankStatement } from '../../src/domain/bank-statement.ts'
import { addDays, type Day, parseDay, startOfDay } from '../../src/domain/day.ts'
import {
  type EntityFacts,
  type Facts,
  type LookedUpPayment,
  type Movement,
  NO_RECORD,
  type PayoutFacts,
  type Policy,
} from '../../src/domain/facts.ts'
import { sumOf } from '../../src/domain/money.ts'
import { parsePeriod, periodInstants } from '../../src/domain/period.ts'
import { addBusinessDays, isBusinessDay } from '../../src/domain/target-calendar.ts'
import { type Chance, chanceOf } from '../../src/sandbox/chance.ts'

const PLANTED_POLICY: Policy = {
  zone: 'Europe/Paris',
  matchWindowDays: 5,
  lateWindowDays: 20,
  unpaidAfterDays: 10,
}

/** Payouts of one entity, and how many of them it gets a business day: five years of eight. */
const PAYOUTS_PER_ENTITY = 10_000
const PAYOUTS_PER_DAY = 8
const FIRST_DAY = parseDay('2019-01-02')

/** Shares of all payouts. */
const MERGED = 0.04
const SPLIT = 0.03
const WITHOUT_REFERENCE = 0.1
const REPEATED_AMOUNT = 0.05
const NEVER_CAME = 0.01
/** Lines of the provider that pay nothing, in shares of all payouts. */
const STRAY = 0.01
/** A repeated amount is one of the last so many payouts, so that some compete in one window. */
const REPEATED_WITHIN = 20

interface PlantedMatch {
  readonly kind: 'single' | 'split' | 'merged'
  readonly entity: string
  readonly payoutIds: readonly string[]
  readonly bankEntryIds: readonly string[]
}

export interface PlantedDeposits {
  readonly facts: Facts
  readonly matches: readonly PlantedMatch[]
  /** Payouts for which nothing came. */
  readonly missing: number
  /** Lines of the provider, those that pay nothing included. */
  readonly deposits: number
}

export interface PlantOptions {
  readonly seed: string
  readonly payouts: number
  /** Lines of others on the same accounts. */
  readonly otherLines?: number
  /** Refunds that the payouts deduct, each on a payment of its own. */
  readonly refunds?: number
}

export function plantDeposits(options: PlantOptions): PlantedDeposits {
  const entities = Math.max(1, Math.ceil(options.payouts / PAYOUTS_PER_ENTITY))
  const shareOf = (all: number, at: number): number =>
    Math.floor((all * (at + 1)) / entities) - Math.floor((all * at) / entities)
  const books = Array.from({ length: entities }, (_, at) =>
    plantEntity(`entity-${String(at + 1).padStart(3, '0')}`, {
      seed: options.seed,
      payouts: shareOf(options.payouts, at),
      otherLines: shareOf(options.otherLines ?? 0, at),
      refunds: shareOf(options.refunds ?? 0, at),
    }),
  )
  return {
    facts: factsOf(books),
    matches: books.flatMap(({ matches }) => matches),
    missing: sumNumbers(books.map(({ missing }) => missing)),
    deposits: sumNumbers(books.map(({ deposits }) => deposits)),
  }
}

/** Payouts of one day and lines without reference of the next, with these amounts. */
export function plantWindow(payoutsMinor: readonly bigint[], linesMinor: readonly bigint[]): Facts {
  const book = emptyBook('entity-001', 0)
  const planting = plantingOf(book, 'window')
  for (const amountMinor of payoutsMinor) addPayout(planting, amountMinor, FIRST_DAY)
  const nextDay = addBusinessDays(FIRST_DAY, 1)
  for (const amountMinor of linesMinor) addLine(planting, nextDay, amountMinor, 'VIR ALMA SAS')
  return factsOf([book])
}

function factsOf(books: readonly EntityBook[]): Facts {
  const lastDay = books.reduce((day, book) => (book.lastDay > day ? book.lastDay : day), FIRST_DAY)
  const period = parsePeriod(lastDay.slice(0, 7))
  const asOf = addDays(lastDay, 60)
  return {
    period,
    asOf,
    policy: PLANTED_POLICY,
    ledgerCurrency: 'EUR',
    entities: books.map((book) => entityFacts(book, periodInstants(period, 'Europe/Paris'))),
    bank: {
      entries: books.flatMap(({ entries }) => entries),
      statements: books.flatMap((book) => dailyStatements(book, asOf)),
      pinned: [],
    },
    record: NO_RECORD,
  }
}

function sumNumbers(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}

interface PlantedPayout {
  readonly id: string
  readonly day: Day
  readonly createdS: number
  readonly amountMinor: bigint
}

interface EntityBook {
  readonly entity: string
  readonly account: string
  readonly payouts: PlantedPayout[]
  readonly entries: StoredBankEntry[]
  readonly matches: PlantedMatch[]
  readonly refunds: number
  missing: number
  deposits: number
  lastDay: Day
}

interface Planting {
  readonly book: EntityBook
  readonly chance: Chance
  /** Amounts of the last payouts that came alone, with a reference and without one. */
  readonly recent: { readonly named: bigint[]; readonly unnamed: bigint[] }
  /** The day of the last line without reference of each amount: equal amounts come in order. */
  readonly lastOfAmount: Map<bigint, Day>
}

function plantEntity(
  entity: string,
  { seed, payouts, otherLines, refunds }: Required<PlantOptions>,
): EntityBook {
  const book = emptyBook(entity, refunds)
  const planting = plantingOf(book, seed)
  while (book.payouts.length < payouts) plantNext(planting, payouts - book.payouts.length)
  for (let stray = Math.round(payouts * STRAY); stray > 0; stray -= 1) {
    const day = addBusinessDays(FIRST_DAY, planting.chance.whole(0, workingDays(payouts)))
    addLine(planting, day, anyAmount(planting.chance), 'VIR SEPA ALMA SAS')
    book.deposits += 1
  }
  addOthers(planting, otherLines, payouts)
  return book
}

function emptyBook(entity: string, refunds: number): EntityBook {
  return {
    entity,
    account: `FR76${entity.slice(-3).padStart(23, '0')}`,
    payouts: [],
    entries: [],
    matches: [],
    refunds,
    missing: 0,
    deposits: 0,
    lastDay: FIRST_DAY,
  }
}

function plantingOf(book: EntityBook, seed: string): Planting {
  return {
    book,
    chance: chanceOf(`${seed}/${book.entity}`),
    recent: { named: [], unnamed: [] },
    lastOfAmount: new Map(),
  }
}

function workingDays(payouts: number): number {
  return Math.max(1, Math.ceil(payouts / PAYOUTS_PER_DAY))
}

/** One payout, or several that come as one line. */
function plantNext(planting: Planting, left: number): void {
  const { book, chance } = planting
  const draw = chance.fraction()
  const isNamed = !chance.happens(WITHOUT_REFERENCE)
  // A group holds three payouts on average, so it is begun a third as often.
  if (draw < MERGED / 3 && left >= 4) {
    const group = Array.from({ length: chance.whole(2, 4) }, () =>
      addPayout(planting, anyAmount(chance)),
    )
    const last = group.at(-1)
    const day = addBusinessDays(last?.day ?? FIRST_DAY, chance.whole(0, 2))
    const text = isNamed ? group.map(({ id }) => id).join(' ') : 'REMISE GROUPEE'
    const entry = addLine(
      planting,
      day,
      sumOf(group.map(({ amountMinor }) => amountMinor)),
      `VIR ALMA ${text}`,
    )
    addMatch(planting, 'merged', group, [entry])
    return
  }
  if (draw < MERGED / 3 + SPLIT) {
    const payout = addPayout(planting, anyAmount(chance))
    const parts = partsOf(payout.amountMinor, chance)
    const day = addBusinessDays(payout.day, chance.whole(0, 3))
    const lines = parts.map((amountMinor) =>
      addLine(planting, day, amountMinor, isNamed ? `ALMA ${payout.id}` : 'ALMA ACOMPTE'),
    )
    addMatch(planting, 'split', [payout], lines)
    return
  }
  if (chance.happens(NEVER_CAME)) {
    addPayout(planting, anyAmount(chance))
    book.missing += 1
    return
  }
  const payout = addPayout(planting, amountOfOne(planting, isNamed))
  const booked = addBusinessDays(payout.day, chance.whole(0, 3))
  if (isNamed) {
    const cut = payout.id.length - chance.whole(0, 18)
    const entry = addLine(
      planting,
      booked,
      payout.amountMinor,
      `VIR SEPA ALMA ${payout.id.slice(0, cut)}`,
    )
    addMatch(planting, 'single', [payout], [entry])
    return
  }
  const before = planting.lastOfAmount.get(payout.amountMinor)
  const day = before !== undefined && before > booked ? before : booked
  planting.lastOfAmount.set(payout.amountMinor, day)
  const entry = addLine(planting, day, payout.amountMinor, 'VIREMENT ALMA SAS PARIS')
  addMatch(planting, 'single', [payout], [entry])
}

function anyAmount(chance: Chance): bigint {
  return BigInt(chance.whole(20_00, 40_000_00))
}

function amountOfOne({ recent, chance }: Planting, isNamed: boolean): bigint {
  const alike = isNamed ? recent.named : recent.unnamed
  const isRepeated = alike.length > 0 && chance.happens(REPEATED_AMOUNT)
  const amountMinor = isRepeated ? chance.one(alike) : anyAmount(chance)
  alike.push(amountMinor)
  // Lines without reference are a tenth of all, so that as many payouts hold a tenth of them.
  if (alike.length > (isNamed ? REPEATED_WITHIN : REPEATED_WITHIN / 10)) alike.shift()
  return amountMinor
}

function partsOf(amountMinor: bigint, chance: Chance): bigint[] {
  const first = (amountMinor * BigInt(chance.whole(15, 45))) / 100n
  if (chance.happens(0.5)) return [first, amountMinor - first]
  const second = (amountMinor * BigInt(chance.whole(10, 40))) / 100n
  return [first, second, amountMinor - first - second]
}

function addPayout(
  { book, chance }: Planting,
  amountMinor: bigint,
  day = dayOfNext(book),
): PlantedPayout {
  const at = book.payouts.length
  const payout = {
    // Ids sort as they were made; those of one day share their beginning.
    id: `payout_11${entityLetters(book.entity)}${at.toString(36).padStart(5, '0')}${chance.base62(22)}`,
    day,
    createdS: startOfDay(day, 'Europe/Paris') + 6 * 3600 + (at % PAYOUTS_PER_DAY) * 60,
    amountMinor,
  }
  book.payouts.push(payout)
  if (day > book.lastDay) book.lastDay = day
  return payout
}

/** So many payouts a business day, then the next one. */
function dayOfNext({ payouts }: EntityBook): Day {
  const previous = payouts.at(-1)?.day ?? FIRST_DAY
  const isFull = payouts.length > 0 && payouts.length % PAYOUTS_PER_DAY === 0
  return isFull ? addBusinessDays(addDays(previous, 1), 0) : previous
}

/** Letters that tell entities apart in ids. */
function entityLetters(entity: string): string {
  return entity.slice(-3).padStart(5, 'x')
}

function addMatch(
  { book }: Planting,
  kind: PlantedMatch['kind'],
  payouts: readonly PlantedPayout[],
  entries: readonly StoredBankEntry[],
): void {
  book.deposits += entries.length
  book.matches.push({
    kind,
    entity: book.entity,
    payoutIds: payouts.map(({ id }) => id),
    bankEntryIds: entries.map(({ id }) => id),
  })
}

function addLine(
  { book }: Planting,
  bookingDay: Day,
  amountMinor: bigint,
  text: string,
): StoredBankEntry {
  const at = book.entries.length + 1
  // References ascend, so that of equal lines of one day the first made is the first in order.
  const reference = `${entityLetters(book.entity)}-${String(at).padStart(8, '0')}`
  const entry: StoredBankEntry = {
    id: reference,
    account: book.account,
    bookingDay,
    valueDay: bookingDay,
    amountMinor,
    currency: 'EUR',
    counterpartyName: null,
    counterpartyIban: null,
    endToEndId: null,
    remittance: [text],
    bankReference: reference,
    isReversal: false,
    place: `entry ${at}`,
    position: at,
    fileName: `${bookingDay}.xml`,
    fingerprint: reference,
    fingerprintRank: 1,
    reference,
  }
  book.entries.push(entry)
  return entry
}

const OTHERS = ['CB FACTURE 4471 PALMA HOTELS', 'PRLV SEPA EDF', 'VIR SALAIRES', 'REMISE CHEQUES']

function addOthers(planting: Planting, count: number, payouts: number): void {
  const { chance } = planting
  for (let left = count; left > 0; left -= 1) {
    const day = addBusinessDays(FIRST_DAY, 0)
    const booked = addDays(day, chance.whole(0, Math.floor(workingDays(payouts) * 1.4)))
    const sign = chance.happens(0.7) ? -1n : 1n
    addLine(planting, booked, sign * BigInt(chance.whole(1_00, 5_000_00)), chance.one(OTHERS))
  }
}

/** One statement a calendar day that bookings happen on, without balances. */
function dailyStatements({ account, lastDay }: EntityBook, asOf: Day): StoredBankStatement[] {
  const statements: StoredBankStatement[] = []
  const until = addDays(lastDay, 40) < asOf ? addDays(lastDay, 40) : asOf
  for (let day = FIRST_DAY; day <= until; day = addDays(day, 1)) {
    if (!isBusinessDay(day)) continue
    statements.push({
      id: `${account}/${day}`,
      account,
      currency: 'EUR',
      statementRef: null,
      sequenceNumber: null,
      fromDay: day,
      toDay: day,
      openingMinor: null,
      closingMinor: null,
      fileName: `${day}.xml`,
      positionInFile: 1,
      movementMinor: 0n,
      entryCount: 0,
      balanceState: 'unverifiable',
    })
  }
  return statements
}

/** What gathering would find: one sale a payout, and refunds in the first payouts. */
function entityFacts(book: EntityBook, period: { startS: number; endS: number }): EntityFacts {
  const { entity, account, payouts, refunds } = book
  const refundRows: BalanceTransaction[] = []
  const payments: LookedUpPayment[] = []
  const facts = payouts.map((payout, at): PayoutFacts => {
    const refundMinor = at < refunds ? 10_00n : 0n
    if (at < refunds) {
      const row = refundRow(payout, at)
      refundRows.push(row)
      payments.push(paymentOf(row))
    }
    return {
      payoutId: payout.id,
      currency: 'EUR',
      ownRows: [ownRow(payout, at)],
      transactions: at < refunds ? 2 : 1,
      grossMinor: payout.amountMinor + refundMinor,
      feesMinor: 0n,
      refundsMinor: -refundMinor,
      otherMinor: 0n,
      netMinor: payout.amountMinor,
      lastRowCreatedS: payout.createdS - 3600,
    }
  })
  const movements = movementsOf(payouts, facts, period)
  return {
    entity,
    account: { ibans: [account], payerPatterns: [/\bALMA\b/iu], payerIbans: [] },
    movements,
    closingBalances: [
      { currency: 'EUR', netMinor: 0n, rows: sumNumbers(movements.map(({ rows }) => rows)) },
    ],
    rowCount: sumNumbers(facts.map(({ transactions }) => transactions + 1)),
    knownSinceS: null,
    payouts: facts,
    suspectRows: [],
    repeatedRows: [],
    openRows: [],
    latePaidRows: [],
    residualRows: [],
    changes: [],
    exports: [],
    fees: [],
    refundRows,
    payments,
  }
}

function movementsOf(
  payouts: readonly PlantedPayout[],
  facts: readonly PayoutFacts[],
  { startS }: { startS: number },
): Movement[] {
  return (['before', 'period'] as const).flatMap((when) => {
    const amountMinor = sumOf(
      payouts
        .filter(({ createdS }) => createdS >= startS === (when === 'period'))
        .map((payout) => payout.amountMinor),
    )
    const moved = { currency: 'EUR', when, rows: facts.length } as const
    return [
      { ...moved, kind: 'from_transaction', netMinor: amountMinor },
      { ...moved, kind: 'from_payout', netMinor: -amountMinor },
    ]
  })
}

function ledgerRow(id: string, createdS: number): BalanceTransaction {
  return {
    id,
    merchantId: null,
    kind: 'from_payout',
    currency: 'EUR',
    amountMinor: 0n,
    feeMinor: 0n,
    netMinor: 0n,
    paymentId: null,
    refundId: null,
    payoutId: null,
    includedInPayoutId: null,
    createdS,
    updatedS: null,
    availableOnS: createdS,
  }
}

function ownRow({ id, createdS, amountMinor }: PlantedPayout, at: number): BalanceTransaction {
  return {
    ...ledgerRow(`balance_txn_${at}_${id.slice(-6)}`, createdS),
    amountMinor: -amountMinor,
    netMinor: -amountMinor,
    payoutId: id,
  }
}

function refundRow({ id, createdS }: PlantedPayout, at: number): BalanceTransaction {
  return {
    ...ledgerRow(`balance_txn_refund_${at}_${id.slice(-6)}`, createdS - 3600),
    kind: 'from_refund',
    amountMinor: -10_00n,
    netMinor: -10_00n,
    paymentId: `payment_${id.slice(7)}`,
    refundId: `refund_${id.slice(7)}`,
    includedInPayoutId: id,
  }
}

function paymentOf({ paymentId, refundId, createdS }: BalanceTransaction): LookedUpPayment {
  const id = paymentId ?? ''
  return {
    paymentId: id,
    payment: {
      id,
      purchaseAmountMinor: 500_00n,
      plan: 'P3X',
      refunds: [{ id: refundId ?? '', amountMinor: 10_00n, createdS }],
    },
  }
}
