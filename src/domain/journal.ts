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
  /** Rows created in the period, and rows that a payout of the period took; null: too many to book one by one. */
  readonly rows: readonly JournalRow[] | null
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
  /** By entity, day, ledger before bank, id. */
  readonly entries: readonly JournalEntry[]
  readonly vat: readonly EntityVat[]
  /** What is not in it and why, each as a sentence. */
  readonly notes: readonly string[]
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
  const entries: JournalEntry[] = []
  const vats: EntityVat[] = []
  const notes: string[] = []
  for (const account of given.toSorted((a, b) => compareText(a.entity, b.entity))) {
    const { entity, rows } = account
    const vat = rows === null ? TOO_MANY : feeVatOf(account, rows)
    if (rows === null || vat.note !== null) {
      notes.push(`There are no entries for ${entity} in journal.csv: ${vat.note ?? ''}`)
      vats.push({ entity, basis: null, isBooked: false, inPaidFees: [] })
      continue
    }
    const vatOf = (item: JournalRow): bigint =>
      vat.basis === 'included' ? vatContained(item, account.vatRatePercent) : 0n
    vats.push({
      entity,
      basis: vat.basis,
      isBooked: true,
      inPaidFees: vatInPaidFees(facts, entity, rows, vatOf),
    })
    // The sort is stable: within a day the ledger's entries stay before the bank's.
    const own = [
      ...ledgerEntries(facts, entity, rows, vatOf, scheme),
      ...bankEntries(facts, entity, lines, scheme),
    ].toSorted((a, b) => compareText(a.day, b.day))
    for (const entry of own) entries.push(entry)
  }
  return {
    accounts: scheme.accounts,
    entries,
    vat: vats,
    notes,
    controlFaults: checkJournal(facts, entries, vats, scheme),
  }
}

/** The sum that an account moves by: positive when it was debited more. */
export function movementOf(
  entries: readonly JournalEntry[],
  account: string,
  entity: string,
  currency: Currency,
): bigint {
  return sumOf(
    entries
      .filter((entry) => entry.entity === entity && entry.currency === currency)
      .flatMap((entry) => entry.lines)
      .filter((line) => line.account === account)
      .map(({ debitMinor }) => debitMinor),
  )
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
function feeVatOf(
  { entity, vatRatePercent, feeVat }: EntityJournalFacts,
  rows: readonly JournalRow[],
): VatAnswer {
  if (rows.every((item) => feeIn(item.row) === 0n))
    return { basis: feeVat?.basis ?? null, note: null }
  const shown = shownBasis(rows, vatRatePercent)
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

/** How many lines of the export fit only one of the two bases, to the cent. */
function shownBasis(rows: readonly JournalRow[], vatRatePercent: string): Record<FeeVat, number> {
  const shown = { included: 0, excluded: 0 }
  for (const { row, exportVatMinor } of rows) {
    const feeMinor = absolute(row.feeMinor)
    if (exportVatMinor === null || exportVatMinor === 0n || feeMinor === 0n) continue
    const included = isNear(exportVatMinor, vatWithin(feeMinor, vatRatePercent))
    const excluded = isNear(exportVatMinor, vatOnTop(feeMinor, vatRatePercent))
    if (included !== excluded) shown[included ? 'included' : 'excluded'] += 1
  }
  return shown
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

function vatInPaidFees(
  { entities, period, policy }: Facts,
  entity: string,
  rows: readonly JournalRow[],
  vatOf: (item: JournalRow) => bigint,
): EntityVat['inPaidFees'] {
  const { startS, endS } = periodInstants(period, policy.zone)
  const payouts = entities.find((facts) => facts.entity === entity)?.payouts ?? []
  const ofPeriod = new Set(
    payouts
      .filter(
        ({ ownRows: [own] }) => own !== undefined && startS <= own.createdS && own.createdS < endS,
      )
      .map(({ payoutId }) => payoutId),
  )
  const sales = rows.filter(
    ({ row }) => row.kind === 'from_transaction' && ofPeriod.has(row.includedInPayoutId ?? ''),
  )
  return [...groupBy(sales, ({ row }) => row.currency)].map(([currency, items]) => ({
    currency,
    vatMinor: sumOf(items.map(vatOf)),
  }))
}

function ledgerEntries(
  { period, policy }: Facts,
  entity: string,
  rows: readonly JournalRow[],
  vatOf: (item: JournalRow) => bigint,
  { accounts, codes }: JournalScheme,
): JournalEntry[] {
  const { startS, endS } = periodInstants(period, policy.zone)
  return rows
    .filter(({ row }) => startS <= row.createdS && row.createdS < endS)
    .toSorted((a, b) => a.row.createdS - b.row.createdS || compareText(a.row.id, b.row.id))
    .flatMap((item): JournalEntry[] => {
      const { row } = item
      const { document, what } = paperOf(row)
      const lines = rowLines(row, vatOf(item), accounts, `Alma ${what} ${ascii(document)}`)
      if (lines.length === 0) return []
      return [
        {
          entity,
          day: dayOfInstant(row.createdS, policy.zone),
          journal: codes.ledger,
          currency: row.currency,
          document,
          balanceTransactionId: row.id,
          lines,
        },
      ]
    })
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
  entries: readonly JournalEntry[],
  vat: readonly EntityVat[],
  { accounts }: JournalScheme,
): string[] {
  const faults = entries
    .filter(({ lines }) => sumOf(lines.map(({ debitMinor }) => debitMinor)) !== 0n)
    .map(({ entity, document }) => `${entity}: the journal entry of ${document} does not balance`)
  const booked = new Set(vat.filter(({ isBooked }) => isBooked).map(({ entity }) => entity))
  for (const { entity, movements } of facts.entities) {
    if (!booked.has(entity)) continue
    const moved = movements.filter(({ when }) => when === 'period')
    for (const [currency, ofCurrency] of groupBy(moved, (movement) => movement.currency)) {
      const ledgerMinor = sumOf(ofCurrency.map(({ netMinor }) => netMinor))
      const bookedMinor = movementOf(entries, accounts.provider, entity, currency)
      if (ledgerMinor !== bookedMinor) {
        faults.push(
          `${entity}: the journal moves account ${accounts.provider} by ${money(bookedMinor, currency)}, but the ledger moved by ${money(ledgerMinor, currency)}`,
        )
      }
    }
  }
  return faults
}
