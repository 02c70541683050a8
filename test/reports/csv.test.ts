import { parse } from 'csv-parse/sync'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { amountCell, type Column, csvText, integerCell, textCell } from '../../reports/csv.ts'
import { discrepanciesCsv } from '../../reports/discrepancies.ts'
import { openItemsCsv } from '../../reports/open-items.ts'
import { refundsCsv } from '../../reports/refunds.ts'
import { settlementsCsv } from '../../reports/settlements.ts'
import { summaryCsv } from '../../reports/summary.ts'
import { wholeText } from '../../reports/text.ts'
import { discrepancy, openItem, reconciliation, refund, settlement } from './sample.ts'

describe('the files, to the byte', () => {
  test('discrepancies.csv', () => {
    expect(discrepanciesCsv([discrepancy], 'iso')).toBe(
      'discrepancy_id,code,status,entity,currency,difference,expected_amount,actual_amount,expected_date,actual_date,payout_id,balance_transaction_id,payment_id,refund_id,bank_reference,bank_account,bank_file,since,age_days,explanation,next_step\n' +
        'd_5f2c,deposit_amount,new,default,EUR,-1204.50,2500.00,1295.50,2024-03-20,2024-03-21,payout_1A,,,,BANK 17,FR7630006000011234567890189,march/statement.xml,2024-03-19,12,"The bank credited 1295.50 EUR, 1204.50 EUR less than the payout.",Ask the provider for the difference.\n',
    )
  })

  test('discrepancies.csv in French: semicolons, decimal commas, byte order mark', () => {
    expect(discrepanciesCsv([discrepancy], 'fr')).toBe(
      '\uFEFFdiscrepancy_id;code;status;entity;currency;difference;expected_amount;actual_amount;expected_date;actual_date;payout_id;balance_transaction_id;payment_id;refund_id;bank_reference;bank_account;bank_file;since;age_days;explanation;next_step\n' +
        'd_5f2c;deposit_amount;new;default;EUR;-1204,50;2500,00;1295,50;2024-03-20;2024-03-21;payout_1A;;;;BANK 17;FR7630006000011234567890189;march/statement.xml;2024-03-19;12;The bank credited 1295.50 EUR, 1204.50 EUR less than the payout.;Ask the provider for the difference.\n',
    )
  })

  test('settlements.csv', () => {
    expect(wholeText(settlementsCsv([settlement], 'iso'))).toBe(
      'payout_id,entity,currency,created,transactions,gross,fees,refunds,other,net,payout_amount,residual,status,rule,bank_references,deposit_amount,booked,lag_days,note\n' +
        'payout_1A,default,EUR,2024-03-19,14,2600.00,-98.80,-1.20,0.00,2500.00,2500.00,0.00,amount_differs,reference,BANK17 BANK18,1295.50,2024-03-21,2,\n',
    )
  })

  test('refunds.csv', () => {
    expect(wholeText(refundsCsv([refund], 'iso'))).toBe(
      'refund_id,entity,currency,payment_id,balance_transaction_id,refunded,deducted,payout_id,created,deducted_on,status,note\n' +
        'refund_1,default,EUR,payment_1,,0.05,,,2024-03-18,,not_in_ledger,waits for the ledger\n',
    )
  })

  test('open_items.csv', () => {
    expect(wholeText(openItemsCsv([openItem], 'iso'))).toBe(
      'item,id,entity,currency,amount,since,due,age_days,note\n' +
        'payout_in_transit,payout_1B,default,EUR,1.00,2024-03-22,2024-04-03,9,no statement covers 2024-04-03 yet\n',
    )
  })

  test('summary.csv', () => {
    expect(summaryCsv(reconciliation.summary, 'iso')).toBe(
      'line,entity,currency,amount,rows\n' +
        'opening_balance,default,EUR,-0.05,0\n' +
        'closing_balance,default,EUR,90071992547409.93,1\n' +
        'period_start,default,EUR,,1710716400\n',
    )
  })

  test('without rows: the titles alone', () => {
    expect(wholeText(refundsCsv([], 'iso')).split('\n')).toHaveLength(2)
    expect(wholeText(refundsCsv([], 'fr'))).toMatch(/^\uFEFFrefund_id;entity;.*;note\n$/)
  })
})

test('amounts have the currency’s digits', () => {
  const yen = { ...openItem, currency: 'JPY', amountMinor: -1200n }
  const dinar = { ...openItem, currency: 'TND', amountMinor: 1200n }
  expect(wholeText(openItemsCsv([yen, dinar], 'iso'))).toContain(',JPY,-1200,')
  expect(wholeText(openItemsCsv([yen, dinar], 'fr'))).toContain(';TND;1,200;')
})

const TEXT: readonly Column<string>[] = [
  { name: 'text', cell: textCell },
  { name: 'end', cell: () => integerCell(1) },
]

function read(text: string, delimiter = ','): string[][] {
  return parse(text, { delimiter, bom: true, recordDelimiter: ['\n'] })
}

describe('text cannot become a formula', () => {
  test.each([
    '=1+1',
    '+1',
    '-1 is what came',
    '@SUM(A1)',
    '\t=1',
    '\r=1',
    '\n=1',
    ' =1',
    '\u00A0=1',
    '\uFEFF=1',
    '\u200B=1',
    '"=1',
    "'=1",
    '=HYPERLINK("http://x","y")',
    '\uFF1D1',
    '\uFF0B1',
    '\uFF0D1',
    '\uFF201',
    '\u22121',
    '\ttext',
  ])('%j', (text) => {
    for (const dialect of ['iso', 'fr'] as const) {
      const [, row] = read(csvText(TEXT, [text], dialect), dialect === 'fr' ? ';' : ',')
      expect(row?.[0]).toBe(`'${text}`)
    }
  })

  test.each(['payout_11jdx', 'FR76=3000', 'a-b', 'VIR +33', '2024-03-18', '12,50', 'élan', ''])(
    'and everything else stays as it is: %j',
    (text) => {
      expect(read(csvText(TEXT, [text], 'iso'))[1]).toEqual([text, '1'])
    },
  )

  test('but amounts keep their sign', () => {
    const columns: readonly Column<bigint>[] = [
      { name: 'amount', cell: (minor) => amountCell(minor, 'EUR') },
    ]
    expect(csvText(columns, [-1234n], 'iso')).toBe('amount\n-12.34\n')
  })
})

test('any text survives in any dialect, quotes, blanks and line ends included', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }),
      fc.constantFrom('iso' as const, 'fr' as const),
      (texts, dialect) => {
        const rows = read(csvText(TEXT, texts, dialect), dialect === 'fr' ? ';' : ',').slice(1)
        expect(rows).toHaveLength(texts.length)
        for (const [index, text] of texts.entries()) {
          const [cell, end] = rows[index] ?? []
          expect(end).toBe('1')
          expect([text, `'${text}`]).toContain(cell)
        }
      },
    ),
  )
})

test('a carriage return, which ends a line for some readers, is quoted', () => {
  expect(csvText(TEXT, ['a\rb', 'a\nb', ' a', 'a '], 'iso')).toBe(
    'text,end\n"a\rb",1\n"a\nb",1\n" a",1\n"a ",1\n',
  )
})
