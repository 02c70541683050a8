/** The journal: entries by kind of row, the VAT that must be known, and what must add up. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { fecFileName, fecNotes, fecText } from '../../reports/fec.ts'
import type { CsvDialect } from '../../reports/csv.ts'
import { journalCsv } from '../../reports/journal.ts'
import { wholeText } from '../../reports/text.ts'
import type { BalanceTransaction } from '../../src/domain/balance-transaction.ts'
import { compareText, groupBy } from '../../src/domain/collections.ts'
import { dayOfInstant, parseDay, startOfDay } from '../../src/domain/day.ts'
import type { BookedLine } from '../../src/domain/deposits/booked-lines.ts'
import type { Facts } from '../../src/domain/facts.ts'
import {
  entriesOf,
  type EntityJournalFacts,
  type FeeVat,
  type Journal,
  type JournalEntry,
  journalOf,
  type JournalRow,
  type JournalScheme,
} from '../../src/domain/journal.ts'
import { formatAmount, parseAmount, sumOf } from '../../src/domain/money.ts'
import { textsOf } from '../../src/domain/note.ts'
import { reconcile } from '../../src/domain/reconcile.ts'
import { plant, plantDemo } from '../../src/sandbox/plant.ts'
import { createWorld, type SandboxWorld } from '../../src/sandbox/world.ts'
import { factsOf } from '../domain/scenario.ts'
import { openWorkshop, type ReportRow, type Workshop } from '../support/workshop.ts'
import { journal as sample } from './sample.ts'

const ZONE = 'Europe/Paris'
const SCHEME: JournalScheme = { accounts: sample.accounts, codes: { ledger: 'ALM', bank: 'BQ' } }
const noon = (day: string): number => startOfDay(parseDay(day), ZONE) + 12 * 3600

/** A row of Tuesday 2024-03-19 unless said otherwise; amounts in cents. */
function row(changes: Partial<BalanceTransaction> & { amount: bigint; fee?: bigint }) {
  const { amount, fee = 0n, ...rest } = changes
  return {
    id: 'balance_txn_1',
    merchantId: null,
    kind: 'from_transaction',
    currency: 'EUR',
    amountMinor: amount,
    feeMinor: fee,
    netMinor: amount - fee,
    paymentId: 'payment_1',
    refundId: null,
    payoutId: null,
    includedInPayoutId: null,
    createdS: noon('2024-03-19'),
    updatedS: null,
    availableOnS: null,
    ...rest,
  } satisfies BalanceTransaction
}

/** The facts of 2024-W12 in which the ledger holds these rows. */
function factsWith(rows: readonly BalanceTransaction[]): Facts {
  const base = factsOf('')
  const [entity] = base.entities
  if (entity === undefined) throw new Error('a scenario has an entity')
  const movements = [...groupBy(rows, ({ kind, currency }) => `${kind} ${currency}`).values()].map(
    (group) => ({
      kind: group[0]?.kind ?? '',
      currency: group[0]?.currency ?? '',
      when: 'period' as const,
      netMinor: sumOf(group.map(({ netMinor }) => netMinor)),
      rows: group.length,
    }),
  )
  return { ...base, entities: [{ ...entity, movements }] }
}

function journalWith(
  items: readonly JournalRow[],
  options: { feeVat?: FeeVat | null; lines?: readonly BookedLine[]; rate?: string } = {},
): Journal {
  const { feeVat = 'included', lines = [], rate = '20' } = options
  const given: EntityJournalFacts = {
    entity: 'default',
    rows: items,
    vatRatePercent: rate,
    feeVat: feeVat === null ? null : { basis: feeVat, setting: 'FEE_VAT' },
  }
  return journalOf(factsWith(items.map((item) => item.row)), [given], lines, SCHEME)
}

const allOf = (journal: Journal): JournalEntry[] => [...entriesOf(journal)]

/** The whole `journal.csv`. */
const csvOf = (
  journal: Journal,
  entities: readonly string[] = ['default'],
  dialect: CsvDialect = 'iso',
): string => wholeText(journalCsv(entriesOf(journal), entities, dialect))

/** `467 +100.00 | 411 -100.00`, one text an entry. */
function told(journal: Journal): string[] {
  return allOf(journal).map(({ lines, currency }) =>
    lines
      .map(
        ({ account, debitMinor }) =>
          `${account} ${debitMinor > 0n ? '+' : ''}${formatAmount(debitMinor, currency)}`,
      )
      .join(' | '),
  )
}

const silent = (item: BalanceTransaction): JournalRow => ({ row: item, exportVatMinor: null })

describe('entries by kind of row', () => {
  test.each<[string, BalanceTransaction, string, string]>([
    [
      'a sale: the customer’s debt passes to the provider, the fee is split from its VAT',
      row({ amount: 10_000n, fee: 360n }),
      'payment_1',
      '467 +100.00 | 411 -100.00 | 627 +3.00 | 44566 +0.60 | 467 -3.60',
    ],
    [
      'a refund whose fee is kept',
      row({ kind: 'from_refund', amount: -2_000n, refundId: 'refund_1' }),
      'refund_1',
      '467 -20.00 | 411 +20.00',
    ],
    [
      'a refund that gives the fee back',
      row({ kind: 'from_refund', amount: -2_000n, fee: -72n, refundId: 'refund_1' }),
      'refund_1',
      '467 -20.00 | 411 +20.00 | 627 -0.60 | 44566 -0.12 | 467 +0.72',
    ],
    [
      'the same with the fee’s sign turned: its net tells',
      row({
        kind: 'from_refund',
        amount: -2_000n,
        fee: 72n,
        netMinor: -1_928n,
        refundId: 'refund_1',
      }),
      'refund_1',
      '467 -20.00 | 411 +20.00 | 627 -0.60 | 44566 -0.12 | 467 +0.72',
    ],
    [
      'a fee given back',
      row({ kind: 'from_fee_waiver', amount: 120n }),
      'balance_txn_1',
      '627 -1.00 | 44566 -0.20 | 467 +1.20',
    ],
    [
      'an adjustment waits for somebody to look at it',
      row({ kind: 'from_adjustment', amount: -500n }),
      'balance_txn_1',
      '467 -5.00 | 471 +5.00',
    ],
    [
      'so does a kind that nobody documented',
      row({ kind: 'from_loan', amount: 1_200n }),
      'balance_txn_1',
      '467 +12.00 | 471 -12.00',
    ],
    [
      'a payout is in transit until the bank has it',
      row({ kind: 'from_payout', amount: -7_700n, paymentId: null, payoutId: 'payout_1' }),
      'payout_1',
      '467 -77.00 | 511 +77.00',
    ],
    [
      'a payout that the merchant owes',
      row({ kind: 'from_payout', amount: 7_700n, paymentId: null, payoutId: 'payout_1' }),
      'payout_1',
      '467 +77.00 | 511 -77.00',
    ],
    [
      'a row whose figures disagree moves the provider by its net',
      row({ amount: 10_000n, fee: 360n, netMinor: 9_600n }),
      'payment_1',
      '467 +100.00 | 411 -100.00 | 627 +3.00 | 44566 +0.60 | 467 -3.60 | 467 -0.40 | 471 +0.40',
    ],
  ])('%s', (_, item, document, lines) => {
    const journal = journalWith([silent(item)])
    expect(journal).toMatchObject({ notes: [], controlFaults: [] })
    expect(told(journal)).toEqual([lines])
    expect(allOf(journal)[0]).toMatchObject({
      day: '2024-03-19',
      journal: 'ALM',
      document,
      balanceTransactionId: 'balance_txn_1',
    })
  })

  test('fees without VAT are booked whole, and no VAT is claimed', () => {
    const journal = journalWith([silent(row({ amount: 10_000n, fee: 360n }))], {
      feeVat: 'excluded',
    })
    expect(told(journal)).toEqual(['467 +100.00 | 411 -100.00 | 627 +3.60 | 467 -3.60'])
  })

  test('rows that only a payout of the period took are of an earlier period', () => {
    const earlier = row({ amount: 10_000n, createdS: noon('2024-03-17') })
    const journal = journalOf(
      factsWith([]),
      [{ entity: 'default', rows: [silent(earlier)], vatRatePercent: '20', feeVat: null }],
      [],
      SCHEME,
    )
    expect(allOf(journal)).toEqual([])
  })
})

describe('entries of bank lines', () => {
  test.each([
    ['a deposit ends the transit', 'bank B1 2024-03-20 77.00 ALMA P1', '512 +77.00 | 511 -77.00'],
    [
      'what came too little stays in transit',
      'bank B1 2024-03-20 70.00 ALMA P1',
      '512 +70.00 | 511 -70.00',
    ],
    [
      'money of the provider that nobody expects waits',
      'bank B1 2024-03-20 500.00 ALMA OTHER',
      '512 +500.00 | 471 -500.00',
    ],
    [
      'a debit stands on the other side',
      'bank B1 2024-03-20 -5.00 ALMA X',
      '512 -5.00 | 471 +5.00',
    ],
  ])('%s', (_, bank, lines) => {
    const facts = factsOf(`
      sale T1 2024-03-15 80.00 fee 3.00 -> P1
      payout P1 2024-03-18 77.00
      ${bank}
      statement 2024-03-01 2024-04-30`)
    const found = reconcile(facts)
    const journal = journalOf(
      facts,
      [{ entity: 'default', rows: [], vatRatePercent: '20', feeVat: null }],
      found.bookedLines,
      SCHEME,
    )
    expect(told(journal)).toEqual([lines])
    expect(allOf(journal)[0]).toMatchObject({
      journal: 'BQ',
      document: 'B1',
      day: '2024-03-20',
    })
  })

  test('one line of two payouts ends both of them, a line sent back opens its payout again', () => {
    const facts = factsOf(`
      sale T1 2024-03-15 83.17 -> P1
      sale T2 2024-03-15 21.46 -> P2
      sale T3 2024-03-15 50.00 -> P3
      payout P1 2024-03-18 83.17
      payout P2 2024-03-18 21.46
      payout P3 2024-03-18 50.00
      bank B1 2024-03-19 104.63 ALMA P1 P2
      bank B2 2024-03-19 50.00 ALMA P3
      bank B3 2024-03-21 -50.00 ALMA P3 RETURN
      statement 2024-03-01 2024-04-30`)
    const journal = journalOf(
      facts,
      [{ entity: 'default', rows: [], vatRatePercent: '20', feeVat: null }],
      reconcile(facts).bookedLines,
      SCHEME,
    )
    expect(told(journal)).toEqual([
      '512 +104.63 | 511 -83.17 | 511 -21.46',
      '512 +50.00 | 511 -50.00',
      '512 -50.00 | 511 +50.00',
    ])
  })
})

describe('whether fees contain VAT', () => {
  /** Sales with a fee of 36.00, and the VAT that the export shows on each. */
  const sales = (...exportVats: (bigint | null)[]): JournalRow[] =>
    exportVats.map((exportVatMinor, at) => ({
      row: row({ id: `balance_txn_${at}`, amount: 100_000n, fee: 3_600n }),
      exportVatMinor,
    }))
  const INSIDE = 600n
  const ON_TOP = 720n

  test.each<[string, JournalRow[], FeeVat | null, FeeVat | null]>([
    ['every line that can tell shows it inside', sales(INSIDE, INSIDE, null), null, 'included'],
    ['every line that can tell shows it on top', sales(ON_TOP, ON_TOP - 1n), null, 'excluded'],
    ['a line that fits neither proves nothing', sales(INSIDE, 655n), null, 'included'],
    ['the setting, where no export tells', sales(null), 'excluded', 'excluded'],
    [
      'the setting, where lines contradict each other',
      sales(INSIDE, ON_TOP),
      'included',
      'included',
    ],
  ])('is known: %s', (_, items, feeVat, basis) => {
    const journal = journalWith(items, { feeVat })
    expect(journal.notes).toEqual([])
    expect(journal.vat).toMatchObject([{ basis, isBooked: true }])
    expect(allOf(journal)).toHaveLength(items.length)
  })

  test.each<[string, JournalRow[], FeeVat | null, RegExp]>([
    ['nothing tells', sales(null, 0n), null, /no line of an accounting export shows it.*FEE_VAT/],
    [
      'lines contradict each other',
      sales(INSIDE, ON_TOP),
      null,
      /1 lines .* and 1 that they do not/,
    ],
    [
      'the export contradicts the setting',
      sales(ON_TOP, ON_TOP),
      'included',
      /FEE_VAT says .* included, but all 2 lines .* show it excluded/,
    ],
  ])('is not known, so nothing is booked and a note says why: %s', (_, items, feeVat, why) => {
    const journal = journalWith(items, { feeVat })
    expect(allOf(journal)).toEqual([])
    expect(journal.controlFaults).toEqual([])
    expect(journal.vat).toMatchObject([{ basis: null, isBooked: false }])
    expect(textsOf(journal.notes)).toEqual([expect.stringMatching(why)])
  })

  test('does not matter where there is no fee', () => {
    const journal = journalWith([silent(row({ amount: 10_000n }))], { feeVat: null })
    expect(told(journal)).toEqual(['467 +100.00 | 411 -100.00'])
  })

  test('VAT is taken as the export has it where that is within a cent of the rate', () => {
    const [exact = ''] = told(journalWith(sales(599n)))
    expect(exact).toContain('44566 +5.99')
    const [byRate = ''] = told(journalWith(sales(655n)))
    expect(byRate).toContain('44566 +6.00')
  })

  test('more rows than a journal takes are refused, not cut', () => {
    const journal = journalOf(
      factsWith([]),
      [{ entity: 'default', rows: null, vatRatePercent: '20', feeVat: null }],
      [],
      SCHEME,
    )
    expect(allOf(journal)).toEqual([])
    expect(textsOf(journal.notes)).toEqual([
      expect.stringMatching(/more ledger rows .* month by month/),
    ])
  })
})

describe('whatever the ledger holds', () => {
  const amount = fc.bigInt({ min: -200_000n, max: 200_000n })
  const anyRow = fc
    .record({
      kind: fc.constantFrom(
        'from_transaction',
        'from_refund',
        'from_fee_waiver',
        'from_adjustment',
        'from_merchant_default_coverage',
        'from_payout',
        'from_mars',
      ),
      currency: fc.constantFrom('EUR', 'EUR', 'JPY'),
      amountMinor: amount,
      feeMinor: fc.bigInt({ min: -3_000n, max: 9_000n }),
      net: fc.oneof(fc.constantFrom('minus', 'plus'), amount),
      secondOfWeek: fc.integer({ min: 0, max: 7 * 86_400 - 1 }),
      isPaidOut: fc.boolean(),
      exportVatMinor: fc.option(fc.bigInt({ min: -2_000n, max: 2_000n })),
    })
    .map(({ net, secondOfWeek, isPaidOut, exportVatMinor, kind, ...rest }) => ({
      exportVatMinor,
      row: row({
        ...rest,
        kind,
        amount: rest.amountMinor,
        fee: rest.feeMinor,
        netMinor:
          net === 'minus'
            ? rest.amountMinor - rest.feeMinor
            : net === 'plus'
              ? rest.amountMinor + rest.feeMinor
              : net,
        payoutId: kind === 'from_payout' ? 'payout_1' : null,
        includedInPayoutId: isPaidOut ? 'payout_1' : null,
        createdS: startOfDay(parseDay('2024-03-18'), ZONE) + secondOfWeek,
      }),
    }))
  const anyRows = fc
    .array(anyRow, { maxLength: 30 })
    .map((items) =>
      items
        .map((item, at) => ({ ...item, row: { ...item.row, id: `balance_txn_${at}` } }))
        .toSorted((a, b) => a.row.createdS - b.row.createdS || compareText(a.row.id, b.row.id)),
    )

  test('each entry balances, and the provider’s account moves as the ledger does', () => {
    fc.assert(
      fc.property(
        anyRows,
        // Without lines that could contradict it, the setting decides.
        fc.constantFrom<FeeVat>('included', 'excluded'),
        fc.constantFrom('20', '5.50', '0'),
        (items, feeVat, rate) => {
          const journal = journalWith(
            items.map((item) => ({ ...item, exportVatMinor: null })),
            { feeVat, rate },
          )
          expect(journal.notes).toEqual([])
          expect(journal.controlFaults).toEqual([])
          for (const currency of ['EUR', 'JPY']) {
            const nets = items.filter((item) => item.row.currency === currency)
            const ledgerMinor = sumOf(nets.map((item) => item.row.netMinor))
            const moved = journal.moved.find((each) => each.currency === currency)
            expect(moved?.debitMinor ?? 0n).toBe(ledgerMinor)
            const posted = allOf(journal)
              .filter((entry) => entry.currency === currency)
              .flatMap(({ lines }) => lines.filter(({ account }) => account === '467'))
            expect(sumOf(posted.map(({ debitMinor }) => debitMinor))).toBe(ledgerMinor)
          }
          expectBalanced(parse(csvOf(journal), { columns: true }))
        },
      ),
    )
  })

  test('it is the same each time it is gone through, and exports never unbalance an entry', () => {
    fc.assert(
      fc.property(anyRows, (items) => {
        const journal = journalWith(items)
        expect(allOf(journal)).toEqual(allOf(journal))
        expectBalanced(parse(csvOf(journal), { columns: true }))
      }),
    )
  })

  test('rows that do not come in the order of creation are refused', () => {
    const [older, newer] = [noon('2024-03-19'), noon('2024-03-20')].map((createdS) =>
      silent(row({ id: `balance_txn_${createdS}`, amount: 100n, createdS })),
    )
    if (older === undefined || newer === undefined) throw new Error('there are two')
    expect(told(journalWith([older, newer]))).toHaveLength(2)
    expect(() => journalWith([newer, older])).toThrow(/comes after/)
    expect(() => journalWith([newer, newer])).toThrow(/comes after/)
  })

  test('the tax authority’s layout: 18 columns, numbered without a gap, balanced entry by entry', () => {
    fc.assert(
      fc.property(anyRows, (items) => {
        const journal = journalWith(items)
        const lines = fecLines(fec(journal))
        const inEuro = allOf(journal).filter(({ currency }) => currency === 'EUR')
        const numbers = [...groupBy(lines, (line) => line['EcritureNum'] ?? '')]
        expect(numbers.map(([number]) => number)).toEqual(inEuro.map((_, at) => String(at + 1)))
        for (const [, entry] of numbers) {
          expect(sumOf(entry.map((line) => comma(line, 'Debit') - comma(line, 'Credit')))).toBe(0n)
          for (const line of entry) {
            expect([line['Debit'], line['Credit']]).toContain('0,00')
          }
        }
      }),
    )
  })
})

const comma = (line: ReportRow, name: string): bigint =>
  parseAmount((line[name] ?? '').replace(',', '.'), 'EUR')

function fec(journal: Journal): string {
  const options = { ...SCHEME, currency: 'EUR', validatedOn: parseDay('2024-04-05') }
  return wholeText(fecText(entriesOf(journal), options))
}

const FEC_COLUMNS =
  'JournalCode JournalLib EcritureNum EcritureDate CompteNum CompteLib CompAuxNum CompAuxLib PieceRef PieceDate EcritureLib Debit Credit EcritureLet DateLet ValidDate Montantdevise Idevise'

function fecLines(text: string): ReportRow[] {
  const [head = '', ...lines] = text.split('\r\n').slice(0, -1)
  const names = FEC_COLUMNS.split(' ')
  expect(head.split('\t')).toEqual(names)
  return lines.map((line) => {
    const cells = line.split('\t')
    expect(cells).toHaveLength(18)
    expect(line).toMatch(/^[\x20-\x7e\t]*$/)
    return Object.fromEntries(names.map((name, at) => [name, cells[at] ?? '']))
  })
}

/** Debits and credits are equal for each document and currency, and each ledger row. */
function expectBalanced(rows: readonly ReportRow[]): void {
  const keys: ((line: ReportRow) => string)[] = [
    (line) => `${line['document']} ${line['currency']}`,
    (line) => `${line['balance_transaction_id']} ${line['document']} ${line['currency']}`,
  ]
  for (const keyOf of keys) {
    for (const [key, lines] of groupBy(rows, keyOf)) {
      const sums = lines.map((line) => amountOf(line, 'debit') - amountOf(line, 'credit'))
      expect({ key, sum: sumOf(sums) }).toEqual({ key, sum: 0n })
    }
  }
  for (const line of rows) {
    const sides = [amountOf(line, 'debit'), amountOf(line, 'credit')]
    expect(sides.filter((minor) => minor > 0n)).toHaveLength(1)
    expect(sides.filter((minor) => minor === 0n)).toHaveLength(1)
  }
}

function amountOf(line: ReportRow, name: string): bigint {
  return parseAmount(line[name] ?? '', line['currency'] ?? '')
}

describe('the files', () => {
  test('journal.csv has the contract’s columns, and the entity behind them where there are several', () => {
    const [head] = csvOf(sample).split('\n')
    expect(head).toBe(
      'date,journal,account,label,debit,credit,currency,document,payout_id,balance_transaction_id',
    )
    const [several] = csvOf(sample, ['default', 'Shop']).split('\n')
    expect(several).toBe(`${head},entity`)
  })

  test('the French dialect writes a decimal comma', () => {
    expect(csvOf(sample, ['default'], 'fr').split('\n')[1]).toBe(
      '2024-03-19;ALM;467;Alma payout;0,00;2500,00;EUR;payout_1A;payout_1A;balance_txn_1',
    )
  })

  test('one line of the tax authority’s layout, whole', () => {
    const [line] = fecLines(fec(journalWith([silent(row({ amount: 10_000n }))])))
    expect(line).toEqual({
      JournalCode: 'ALM',
      JournalLib: 'Alma',
      EcritureNum: '1',
      EcritureDate: '20240319',
      CompteNum: '467',
      CompteLib: 'Alma',
      CompAuxNum: '',
      CompAuxLib: '',
      PieceRef: 'payment_1',
      PieceDate: '20240319',
      EcritureLib: 'Alma sale payment_1',
      Debit: '100,00',
      Credit: '0,00',
      EcritureLet: '',
      DateLet: '',
      ValidDate: '20240405',
      Montantdevise: '',
      Idevise: '',
    })
  })

  test('what is in another currency is left out, counted and named: it has no amount in the books', () => {
    const rows = [
      row({ amount: 10_000n }),
      row({ id: 'balance_txn_2', amount: 5_000n, currency: 'USD', paymentId: 'payment_usd' }),
      row({ id: 'balance_txn_3', amount: 700n, currency: 'JPY', paymentId: 'payment_jpy' }),
    ]
    const entries = allOf(journalWith(rows.map(silent)))
    const documents = fecLines(fec({ ...sample, books: [{ entity: 'default', entries }] })).map(
      (line) => line['PieceRef'],
    )
    expect(new Set(documents)).toEqual(new Set(['payment_1']))
    expect(fecNotes(entries, { currency: 'EUR', entity: null })).toEqual([
      expect.stringMatching(
        /^1 entry is not in the FEC file, .* in JPY .*: 700 JPY .*\(payment_jpy\)/,
      ),
      expect.stringMatching(/^1 entry is .* in USD and the file is in EUR: 50\.00 USD debit/),
    ])
    expect(fecNotes(entries.slice(0, 1), { currency: 'EUR', entity: null })).toEqual([])
  })

  test('a bank’s text cannot break a line or a cell of it', () => {
    const [entry] = allOf(sample)
    if (entry === undefined) throw new Error('the sample has an entry')
    const entries = [{ ...entry, document: 'réf\t1\r\n|2\u202e € ' }]
    const hostile = { ...sample, books: [{ entity: 'default', entries }] }
    expect(fecLines(fec(hostile)).map((line) => line['PieceRef'])).toEqual([
      'ref 1 2 ?',
      'ref 1 2 ?',
    ])
  })

  test.each([
    [{ siren: '732829320', entity: null }, '732829320FEC20240324.txt'],
    [{ siren: null, entity: null }, 'FEC20240324.txt'],
    [{ siren: null, entity: 'Boutique à Lyon' }, 'Boutique-20--e0--20-Lyon_FEC20240324.txt'],
  ])('its name: %o', (owner, name) => {
    expect(fecFileName({ ...owner, lastDay: parseDay('2024-03-24') })).toBe(name)
  })
})

describe('the whole job', () => {
  let workshop: Workshop | null = null
  afterEach(async () => {
    await workshop?.close()
    workshop = null
  })

  async function openWith(
    world: SandboxWorld,
    env: Record<string, string> = {},
  ): Promise<Workshop> {
    workshop = await openWorkshop(world, { env })
    await workshop.writeBank()
    return workshop
  }

  async function reconcileWeek(opened: Workshop, week: string, ...flags: string[]): Promise<void> {
    const outcome = await opened.run('reconcile', '--week', week, '--as-of', '2024-05-14', ...flags)
    expect(outcome).toMatchObject({ exitCode: 0, err: '' })
  }

  const debits = (rows: readonly ReportRow[], account: string): bigint =>
    sumOf(
      rows
        .filter((line) => line['account'] === account)
        .map((line) => amountOf(line, 'debit') - amountOf(line, 'credit')),
    )

  async function summaryOf(opened: Workshop, week: string): Promise<(line: string) => bigint> {
    const rows = await opened.report(week, 'summary.csv')
    return (name) => {
      const found = rows.find(({ line }) => line === name)
      return parseAmount(found?.['amount'] ?? '', 'EUR')
    }
  }

  test.each<[FeeVat, boolean]>([
    ['excluded', false],
    ['included', true],
  ])(
    'with VAT %s, told by the exports alone, week for week: the provider’s account is what it owes',
    async (feeVat, claimsVat) => {
      const world = createWorld({ feeVat, refundFees: 'returned' })
      plantDemo(world)
      const opened = await openWith(world)
      for (const week of ['2024-W11', '2024-W12']) {
        await reconcileWeek(opened, week)
        const journal = await opened.report(week, 'journal.csv')
        expect(journal.length).toBeGreaterThan(200)
        expectBalanced(journal)
        const at = await summaryOf(opened, week)
        expect(at('opening_balance') + debits(journal, '467')).toBe(at('closing_balance'))
        const bank = journal.filter((line) => line['journal'] === 'BQ' && line['account'] === '512')
        expect(sumOf(bank.map((line) => amountOf(line, 'debit')))).toBe(at('deposits_received'))
        const sent = journal.filter(
          (line) => line['journal'] === 'ALM' && line['account'] === '511',
        )
        expect(debits(sent, '511')).toBe(at('payouts_sent'))
        expect(debits(journal, '44566') > 0n).toBe(claimsVat)
      }
    },
  )

  test('a second run changes no byte, and the FEC file comes only when asked for', async () => {
    const opened = await openWith(createWorld(), { SIREN: '732 829 320' })
    const folder = join(opened.dir, 'var', 'reports', '2024-W12')
    const read = async (): Promise<string[]> =>
      Promise.all(
        ['journal.csv', 'report.html', 'manifest.json'].map((name) =>
          readFile(join(folder, name), 'utf8'),
        ),
      )
    await reconcileWeek(opened, '2024-W12')
    const first = await read()
    expect((await readdir(folder)).filter((name) => name.includes('FEC'))).toEqual([])
    await reconcileWeek(opened, '2024-W12', '--fec')
    expect(await read()).toEqual(first)
    const lines = fecLines(await readFile(join(folder, '732829320FEC20240324.txt'), 'utf8'))
    expect(lines).toHaveLength((await opened.report('2024-W12', 'journal.csv')).length)
    const days = lines.map((line) => line['EcritureDate'] ?? '')
    expect(days).toEqual(days.toSorted())
  })

  test('each bank account has the account of the books that the settings give it', async () => {
    const world = createWorld()
    const [account] = world.accounts
    const opened = await openWith(world, { JOURNAL_BANK_ACCOUNTS: `${account?.iban} = 51210` })
    await reconcileWeek(opened, '2024-W12', '--fec')
    const bank = (await opened.report('2024-W12', 'journal.csv')).filter(
      (line) => line['journal'] === 'BQ',
    )
    expect(new Set(bank.map((line) => line['account']))).toEqual(new Set(['51210', '511']))
    const folder = join(opened.dir, 'var', 'reports', '2024-W12')
    const lines = fecLines(await readFile(join(folder, 'FEC20240324.txt'), 'utf8'))
    const named = lines.find((line) => line['CompteNum'] === '51210')
    expect(named?.['CompteLib']).toBe(`Banque ${account?.iban.slice(-4)}`)
    opened.env['JOURNAL_BANK_ACCOUNTS'] = `${account?.iban}=467`
    const refused = await opened.run('reconcile', '--week', '2024-W12')
    expect(refused).toMatchObject({ exitCode: 3 })
    expect(refused.err).toContain('JOURNAL_ACCOUNT_PROVIDER')
  })

  test('a deposit in another currency: --fec says what its file does not hold', async () => {
    const world = createWorld()
    plant(world, { code: 'deposit_wrong_currency', period: '2024-W12' })
    const opened = await openWith(world)
    const week = ['reconcile', '--week', '2024-W12', '--as-of', '2024-05-14', '--fec']
    const outcome = await opened.run(...week)
    expect(outcome.exitCode).toBe(0)
    expect(outcome.out).toMatch(/^! 1 entry is not in the FEC file, because it is in/m)
  })

  test('two legal entities: a column in the journal, a FEC file each', async () => {
    const world = createWorld({ accounts: ['Shop', 'Store'] })
    const opened = await openWith(world)
    const path = join(opened.dir, 'entities.json')
    const entities = world.accounts.map(({ name, iban }, at) => ({
      name,
      apiKeyEnv: `KEY_${at}`,
      ibans: [iban],
    }))
    await writeFile(path, JSON.stringify(entities))
    Object.assign(opened.env, { ENTITIES_FILE: path }, keysOf(world))
    await reconcileWeek(opened, '2024-W12', '--fec')
    const journal = await opened.report('2024-W12', 'journal.csv')
    expect(Object.keys(journal[0] ?? {}).at(-1)).toBe('entity')
    expect(new Set(journal.map(({ entity }) => entity))).toEqual(new Set(['Shop', 'Store']))
    const names = await readdir(join(opened.dir, 'var', 'reports', '2024-W12'))
    expect(names.filter((name) => name.endsWith('.txt')).toSorted()).toEqual([
      'Shop_FEC20240324.txt',
      'Store_FEC20240324.txt',
    ])
  })

  test('where nothing tells whether fees contain VAT, the report comes and says so', async () => {
    const opened = await openWith(createWorld())
    await reconcileWeek(opened, '2024-W12')
    // A week of which there is no export: what was fetched is there, and nothing shows the VAT.
    const w10 = ['reconcile', '--week', '2024-W10', '--as-of', '2024-05-14', '--offline']
    const outcome = await opened.run(...w10)
    expect(outcome.exitCode).toBe(0)
    expect(await opened.report('2024-W10', 'journal.csv')).toEqual([])
    const page = await readFile(
      join(opened.dir, 'var', 'reports', '2024-W10', 'report.html'),
      'utf8',
    )
    expect(page).toContain('Set FEE_VAT to included or excluded')
    opened.env['FEE_VAT'] = 'excluded'
    await opened.run(...w10)
    const journal = await opened.report('2024-W10', 'journal.csv')
    expectBalanced(journal)
    expect(debits(journal, '627')).toBeGreaterThan(0n)
  })
})

function keysOf(world: SandboxWorld): Record<string, string> {
  return Object.fromEntries(world.accounts.map(({ apiKey }, at) => [`KEY_${at}`, apiKey]))
}

test('a row of the first minutes of a day in Paris stands on that day, not on the day before', () => {
  const createdS = startOfDay(parseDay('2024-03-20'), ZONE) + 60
  expect(dayOfInstant(createdS, 'UTC')).toBe('2024-03-19')
  const journal = journalWith([silent(row({ amount: 100n, createdS }))])
  expect(allOf(journal).map(({ day }) => day)).toEqual(['2024-03-20'])
})
