/**
 * The period as double entries, ready to post. One entry a ledger row and one a bank line, each
 * balanced in itself, so that the provider's account moves by exactly what the ledger moves:
 * what it held before + these entries = what the ledger says is still owed (`closing_balance`).
 *
 *   row or line               debit                  credit               document
 *   from_transaction          provider, gross        customers, gross     payment
 *     its fee                 fees (+ VAT)           provider, fee        payment
 *   from_refund               customers, amount      provider, amount     refund
 *   from_fee_waiver           provider, amount       fees (+ VAT)         row
 *   from_adjustment, others   provider, amount       suspense, amount     row
 *   from_payout               transit, what is sent  provider             payout
 *   bank line of a payout     bank                   transit, per payout  bank reference
 *   other line of Alma's      bank                   suspense             bank reference
 *
 * A negative amount stands on the other side. The sale itself (revenue and its VAT) is the shop's to
 * book; here the customer's debt of a sale passes to the provider. What a bank line brings too much
 * or too little stays on the account in transit until somebody explains it. Where a row's gross, fee
 * and net disagree, its net moves the provider's account and the rest waits on the suspense account.
 *
 * Whether the ledger's fees contain VAT is not documented, and a wrong guess would deduct VAT that
 * was never charged. So the exports must show it without contradiction or a setting must say it;
 * else the entity has no journal, and a note says why. Where fees do not contain VAT, none is
 * withheld: it is booked from the provider's invoice, not here.
 */
import type { BalanceTransaction } from './balance-transaction.ts'
import { compareText, groupBy } from './collections.ts'
import { type Day, dayOfInstant } from './day.ts'
import type { BookedLine } from './deposits/booked-lines.ts'
import type { Facts } from './facts.ts'
import { hundredthsOfPercent } from './fee-contract.ts'
import { money } from './findings.ts'
import { arithmeticHolds } from './ledger-rows.ts'
import { absolute, type Currency, sumOf } from './money.ts'
import { type Note, notesAbout } from './note.ts'
import { periodContains, periodInstants } from './period.ts'

/** Account numbers of the merchant's books. The provider's is used for nothing else. */
export interface JournalAccounts {
  readonly bank: string
  /** Payouts that were sent and have not arrived. */
  readonly transit: string
  readonly provider: string
  readonly fees: string
  readonly vat: string
  readonly customers: string
  /** What somebody must look at before it can be booked for good. */
  readonly suspense: string
}

export interface JournalScheme {
  readonly accounts: JournalAccounts
  /** Accounts of the books by own bank account, where one stands for `accounts.bank`. */
  readonly bankAccounts?: Readonly<Record<string, string>>
  /** Codes of the journals: ledger rows stand in one, bank lines in the other. */
  readonly codes: { readonly ledger: string; readonly bank: string }
}

/** Whether the ledger's fees contain VAT. */
export type FeeVat = 'included' | 'excluded'

/** A ledger row with what the newest accounting export that holds it says of its VAT. */
export interface JournalRow {
  readonly row: BalanceTransaction
  readonly exportVatMinor: bigint | null
}

export interface EntityJournalFacts {
  readonly entity: string
  /**
   * Rows created in the period, and rows that a payout of the period took, each part in the order of
   * creation and then id. They are read several times, and may be too many to be held. Null: too many
   * to book one by one.
   */
  readonly rows: Iterable<JournalRow> | null
  readonly vatRatePercent: string
  /** What the settings say, and the setting's name; null: nothing. */
  readonly feeVat: { readonly basis: FeeVat; readonly setting: string } | null
}

export interface JournalLine {
  readonly account: string
  /** Plain ASCII, so that it survives every encoding an accounting program may want. */
  readonly label: string
  /** Positive: debit. Negative: credit. Never 0. */
  readonly debitMinor: bigint
  readonly payoutId: string | null
}

/** Lines that belong together: their debits and credits are equal. */
export interface JournalEntry {
  readonly entity: string
  readonly day: Day
  readonly journal: string
  readonly currency: Currency
  /** The paper behind it: a payment, refund, payout, ledger row or bank reference. */
  readonly document: string
  readonly balanceTransactionId: string | null
  readonly lines: readonly JournalLine[]
}

/** The entries of one entity. */
interface Book {
  readonly entity: string
  /** By day, ledger before bank, creation and id. Made anew each time they are gone through. */
  readonly entries: Iterable<JournalEntry>
}

/** The sum that an account moves by: positive when it is debited more. */
interface Moved {
  readonly entity: string
  readonly currency: Currency
  readonly debitMinor: bigint
}

/** What is known of the VAT in an entity's fees. */
interface EntityVat {
  readonly entity: string
  /** Null: not known, or the period has no fees. */
  readonly basis: FeeVat | null
  /** Whether the entity has a journal. */
  readonly isBooked: boolean
  /** VAT within the fees of the sales that the period's payouts paid, by currency; 0 where fees do not contain it. */
  readonly inPaidFees: readonly { readonly currency: Currency; readonly vatMinor: bigint }[]
}

export interface Journal {
  readonly accounts: JournalAccounts
  /** Of those entities that have a journal, in the order of their names. */
  readonly books: readonly Book[]
  /** What the entries move the provider's account by, by entity and currency. */
  readonly moved: readonly Moved[]
  readonly vat: readonly EntityVat[]
  /** What is not in it and why. */
  readonly notes: readonly Note[]
  /** What of it does not tie, each as a sentence; empty when all does. */
  readonly controlFaults: readonly string[]
}

/** The journal of the facts' period. */
export function journalOf(
  facts: Facts,
  given: readonly EntityJournalFacts[],
  lines: readonly BookedLine[],
  scheme: JournalScheme,
): Journal {
  const books: Book[] = []
  const vats: EntityVat[] = []
  const notes: Note[] = []
  for (const account of given.toSorted((a, b) => compareText(a.entity, b.entity))) {
    const { entity, rows, vatRatePercent } = account
    const tally = rows === null ? null : tallyVat(facts, entity, rows, vatRatePercent)
    const vat = tally === null ? TOO_MANY : feeVatOf(account, tally)
    if (rows === null || tally === null || vat.note !== null) {
      const text = `There are no entries for ${entity} in journal.csv: ${vat.note ?? ''}`
      notes.push({ entities: [entity], text })
      vats.push({ entity, basis: null, isBooked: false, inPaidFees: [] })
      continue
    }
    const isIncluded = vat.basis === 'included'
    const vatOf = (item: JournalRow): bigint =>
      isIncluded ? vatContained(item, vatRatePercent) : 0n
    vats.push({
      entity,
      basis: vat.basis,
      isBooked: true,
      inPaidFees: [...tally.withinPaidFees].map(([currency, vatMinor]) => ({
        currency,
        vatMinor: isIncluded ? vatMinor : 0n,
      })),
    })
    const ofBank = bankEntries(facts, entity, lines, scheme).toSorted((a, b) =>
      compareText(a.day, b.day),
    )
    books.push({
      entity,
      entries: {
        [Symbol.iterator]: () =>
          inDayOrder(ledgerEntries(facts, entity, rows, vatOf, scheme), ofBank),
      },
    })
  }
  return {
    accounts: scheme.accounts,
    books,
    vat: vats,
    notes,
    ...checkJournal(facts, books, scheme),
  }
}

/** All entries of a journal, one entity after the other. */
export function entriesOf({ books }: Pick<Journal, 'books'>): Iterable<JournalEntry> {
  return {
    *[Symbol.iterator]() {
      for (const { entries } of books) yield* entries
    },
  }
}

/** The part of a journal that is about some entities. */
export function journalAbout(journal: Journal, names: readonly string[]): Journal {
  const isTheirs = ({ entity }: { readonly entity: string }): boolean => names.includes(entity)
  return {
    ...journal,
    books: journal.books.filter(isTheirs),
    moved: journal.moved.filter(isTheirs),
    vat: journal.vat.filter(isTheirs),
    notes: notesAbout(journal.notes, names),
  }
}

/** Within a day the ledger's entries stand before the bank's. */
function* inDayOrder(
  ofLedger: Iterable<JournalEntry>,
  ofBank: readonly JournalEntry[],
): Generator<JournalEntry> {
  let at = 0
  for (const entry of ofLedger) {
    for (let next = ofBank[at]; next !== undefined && next.day < entry.day; next = ofBank[at]) {
      yield next
      at += 1
    }
    yield entry
  }
  yield* ofBank.slice(at)
}

/** What the rows say of the VAT in their fees. */
interface VatTally {
  readonly hasFees: boolean
  /** Lines of the export that fit only one of the two bases, to the cent. */
  readonly shown: Readonly<Record<FeeVat, number>>
  /** VAT within the fees of sales that a payout of the period took, if fees contain it. */
  readonly withinPaidFees: ReadonlyMap<Currency, bigint>
}

function tallyVat(
  { entities, period, policy }: Facts,
  entity: string,
  rows: Iterable<JournalRow>,
  vatRatePercent: string,
): VatTally {
  const { startS, endS } = periodInstants(period, policy.zone)
  const payouts = entities.find((facts) => facts.entity === entity)?.payouts ?? []
  const ofPeriod = new Set(
    payouts
      .filter(
        ({ ownRows: [own] }) => own !== undefined && startS <= own.createdS && own.createdS < endS,
      )
      .map(({ payoutId }) => payoutId),
  )
  let hasFees = false
  const shown = { included: 0, excluded: 0 }
  const withinPaidFees = new Map<Currency, bigint>()
  for (const item of rows) {
    const { row } = item
    hasFees ||= feeIn(row) !== 0n
    const basis = shownBasis(item, vatRatePercent)
    if (basis !== null) shown[basis] += 1
    if (row.kind !== 'from_transaction' || !ofPeriod.has(row.includedInPayoutId ?? '')) continue
    const soFarMinor = withinPaidFees.get(row.currency) ?? 0n
    withinPaidFees.set(row.currency, soFarMinor + vatContained(item, vatRatePercent))
  }
  return { hasFees, shown, withinPaidFees }
}

interface VatAnswer {
  readonly basis: FeeVat | null
  /** Why the journal cannot be made; null: it can. */
  readonly note: string | null
}

const TOO_MANY: VatAnswer = {
  basis: null,
  note: 'the period has more ledger rows than a journal takes. Make it month by month, or week by week.',
}

/** The basis that settings and export agree on, or why there is none. */
function feeVatOf({ entity, feeVat }: EntityJournalFacts, { hasFees, shown }: VatTally): VatAnswer {
  if (!hasFees) return { basis: feeVat?.basis ?? null, note: null }
  if (feeVat !== null) {
    const other = feeVat.basis === 'included' ? 'excluded' : 'included'
    if (shown.included + shown.excluded === 0 || shown[feeVat.basis] > 0) {
      return { basis: feeVat.basis, note: null }
    }
    return {
      basis: null,
      note: `${feeVat.setting} says that Alma's fees are with VAT ${feeVat.basis}, but all ${shown[other]} lines of the accounting export that can tell show it ${other}. Correct the setting, or ask Alma which is right.`,
    }
  }
  if (shown.included > 0 && shown.excluded === 0) return { basis: 'included', note: null }
  if (shown.excluded > 0 && shown.included === 0) return { basis: 'excluded', note: null }
  const why =
    shown.included === 0
      ? 'no line of an accounting export shows it'
      : `${shown.included} lines of the accounting export say that they do and ${shown.excluded} that they do not`
  return {
    basis: null,
    note: `it is not known whether the fees in the ledger of ${entity} contain VAT: ${why}. Set FEE_VAT to included or excluded, as the invoices from Alma show it; until then nothing is assumed.`,
  }
}

/** The only one of the two bases that the export's line fits, to the cent; null: neither or both. */
function shownBasis({ row, exportVatMinor }: JournalRow, vatRatePercent: string): FeeVat | null {
  const feeMinor = absolute(row.feeMinor)
  if (exportVatMinor === null || exportVatMinor === 0n || feeMinor === 0n) return null
  const included = isNear(exportVatMinor, vatWithin(feeMinor, vatRatePercent))
  const excluded = isNear(exportVatMinor, vatOnTop(feeMinor, vatRatePercent))
  if (included === excluded) return null
  return included ? 'included' : 'excluded'
}

/** Whether an amount of the export is what was expected, but for its sign and a cent of rounding. */
function isNear(foundMinor: bigint, expectedMinor: bigint): boolean {
  return absolute(absolute(foundMinor) - absolute(expectedMinor)) <= 1n
}

const WHOLE = 10_000n

function vatOnTop(feeMinor: bigint, vatRatePercent: string): bigint {
  return divideRounded(feeMinor * hundredthsOfPercent(vatRatePercent), WHOLE)
}

function vatWithin(feeMinor: bigint, vatRatePercent: string): bigint {
  const rate = hundredthsOfPercent(vatRatePercent)
  return divideRounded(feeMinor * rate, WHOLE + rate)
}

/** To the nearest whole, halves away from 0. */
function divideRounded(dividend: bigint, divisor: bigint): bigint {
  const half = divisor / 2n
  return (dividend < 0n ? dividend - half : dividend + half) / divisor
}

/** What the provider charges with a row, VAT included if its fees contain it; negative when it gives back. */
function feeIn(row: BalanceTransaction): bigint {
  // A refund may write the fee with the other sign: what it did to the net tells which one it is.
  const ownMinor = arithmeticHolds(row) ? row.amountMinor - row.netMinor : row.feeMinor
  return row.kind === 'from_fee_waiver' ? ownMinor - row.amountMinor : ownMinor
}

/** The VAT within a row's fee: as the export has it if that fits the rate, else by the rate. */
function vatContained({ row, exportVatMinor }: JournalRow, vatRatePercent: string): bigint {
  const feeMinor = feeIn(row)
  const byRate = vatWithin(feeMinor, vatRatePercent)
  if (exportVatMinor === null || !isNear(exportVatMinor, byRate)) return byRate
  return feeMinor < 0n ? -absolute(exportVatMinor) : absolute(exportVatMinor)
}

function* ledgerEntries(
  { period, policy }: Facts,
  entity: string,
  rows: Iterable<JournalRow>,
  vatOf: (item: JournalRow) => bigint,
  { accounts, codes }: JournalScheme,
): Generator<JournalEntry> {
  const { startS, endS } = periodInstants(period, policy.zone)
  let last: BalanceTransaction | null = null
  for (const item of rows) {
    const { row } = item
    if (row.createdS < startS || row.createdS >= endS) continue
    if (last !== null && compareByCreation(last, row) >= 0) {
      throw new Error(`row ${row.id} of ${entity} comes after ${last.id}, which is no older`)
    }
    last = row
    const { document, what } = paperOf(row)
    const lines = rowLines(row, vatOf(item), accounts, `Alma ${what} ${ascii(document)}`)
    if (lines.length === 0) continue
    yield {
      entity,
      day: dayOfInstant(row.createdS, policy.zone),
      journal: codes.ledger,
      currency: row.currency,
      document,
      balanceTransactionId: row.id,
      lines,
    }
  }
}

function compareByCreation(a: BalanceTransaction, b: BalanceTransaction): number {
  return a.createdS - b.createdS || compareText(a.id, b.id)
}

/** The paper that a row stands for, and what the row is called in the books. */
function paperOf(row: BalanceTransaction): { document: string; what: string } {
  switch (row.kind) {
    case 'from_transaction':
      return { document: row.paymentId ?? row.id, what: 'sale' }
    case 'from_refund':
      return { document: row.refundId ?? row.id, what: 'refund' }
    case 'from_payout':
      return { document: row.payoutId ?? row.id, what: 'payout' }
    case 'from_fee_waiver':
      return { document: row.id, what: 'fee waiver' }
    case 'from_adjustment':
      return { document: row.id, what: 'adjustment' }
    case 'from_merchant_default_coverage':
      return { document: row.id, what: 'default coverage' }
    default:
      return { document: row.id, what: `row of the unknown kind ${ascii(row.kind)}` }
  }
}

function rowLines(
  row: BalanceTransaction,
  vatMinor: bigint,
  accounts: JournalAccounts,
  label: string,
): JournalLine[] {
  const payoutId = row.includedInPayoutId ?? row.payoutId
  const feeMinor = feeIn(row)
  // A waiver is a fee given back and nothing else.
  const grossMinor = row.kind === 'from_fee_waiver' ? 0n : row.amountMinor
  const restMinor = row.netMinor - (grossMinor - feeMinor)
  const post = (account: string, debitMinor: bigint, text: string): JournalLine[] =>
    debitMinor === 0n ? [] : [{ account, label: text, debitMinor, payoutId }]
  return [
    ...post(accounts.provider, grossMinor, label),
    ...post(counterAccount(row.kind, accounts), -grossMinor, label),
    ...post(accounts.fees, feeMinor - vatMinor, `${label}: fee`),
    ...post(accounts.vat, vatMinor, `${label}: VAT on the fee`),
    ...post(accounts.provider, -feeMinor, `${label}: fee`),
    ...post(accounts.provider, restMinor, `${label}: unexplained`),
    ...post(accounts.suspense, -restMinor, `${label}: unexplained`),
  ]
}

function counterAccount(kind: string, accounts: JournalAccounts): string {
  switch (kind) {
    case 'from_transaction':
    case 'from_refund':
      return accounts.customers
    case 'from_payout':
      return accounts.transit
    default:
      return accounts.suspense
  }
}

function bankEntries(
  { period }: Facts,
  entity: string,
  lines: readonly BookedLine[],
  { accounts, bankAccounts = {}, codes }: JournalScheme,
): JournalEntry[] {
  return lines
    .filter((line) => line.entity === entity && periodContains(period, line.entry.bookingDay))
    .map(({ entry, parts }) => {
      const { reference, currency, amountMinor, bookingDay } = entry
      const name = ascii(reference)
      const [only] = parts
      const payoutId = parts.length === 1 && only !== undefined ? only.payoutId : null
      const what = amountMinor > 0n ? 'deposit' : 'debit'
      return {
        entity,
        day: bookingDay,
        journal: codes.bank,
        currency,
        document: reference,
        balanceTransactionId: null,
        lines: [
          {
            account: bankAccounts[entry.account] ?? accounts.bank,
            label: `Alma ${what} ${name}`,
            debitMinor: amountMinor,
            payoutId,
          },
          ...parts.map((part) => ({
            account: part.payoutId === null ? accounts.suspense : accounts.transit,
            label:
              part.payoutId === null
                ? `Alma ${what} ${name}: to be explained`
                : `Alma ${what} ${name}: ${ascii(part.payoutId)}`,
            debitMinor: -part.amountMinor,
            payoutId: part.payoutId,
          })),
        ],
      }
    })
}

/** Letters without their accents, control characters as blanks, the rest as a question mark. */
function ascii(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .trim()
}

/** Each entry balances, and the provider's account moves as the ledger does. */
function checkJournal(
  facts: Facts,
  books: readonly Book[],
  { accounts }: JournalScheme,
): Pick<Journal, 'moved' | 'controlFaults'> {
  const controlFaults: string[] = []
  const movedOf = new Map<string, Map<Currency, bigint>>()
  for (const { entity, currency, document, lines } of entriesOf({ books })) {
    if (sumOf(lines.map(({ debitMinor }) => debitMinor)) !== 0n) {
      controlFaults.push(`${entity}: the journal entry of ${document} does not balance`)
    }
    const own = movedOf.get(entity) ?? new Map<Currency, bigint>()
    movedOf.set(entity, own)
    for (const { account, debitMinor } of lines) {
      if (account === accounts.provider) own.set(currency, (own.get(currency) ?? 0n) + debitMinor)
    }
  }
  const booked = new Set(books.map(({ entity }) => entity))
  for (const { entity, movements } of facts.entities) {
    if (!booked.has(entity)) continue
    const moved = movements.filter(({ when }) => when === 'period')
    for (const [currency, ofCurrency] of groupBy(moved, (movement) => movement.currency)) {
      const ledgerMinor = sumOf(ofCurrency.map(({ netMinor }) => netMinor))
      const bookedMinor = movedOf.get(entity)?.get(currency) ?? 0n
      if (ledgerMinor !== bookedMinor) {
        controlFaults.push(
          `${entity}: the journal moves account ${accounts.provider} by ${money(bookedMinor, currency)}, but the ledger moved by ${money(ledgerMinor, currency)}`,
        )
      }
    }
  }
  const moved = [...movedOf].flatMap(([entity, own]) =>
    [...own].map(([currency, debitMinor]) => ({ entity, currency, debitMinor })),
  )
  return { moved, controlFaults }
}
