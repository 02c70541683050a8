import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { FILE_BYTES_MAX } from '../../src/bank/read-file.ts'
import { refusalOf } from './reading.ts'

const record = (start: string, width: number) => start.padEnd(width)
const read = 'camt.053 and canonical-csv are read'

describe('a file of another kind is refused by its name', () => {
  test.each([
    ['a ZIP archive (or a spreadsheet, which is one)', 'PK\u0003\u0004…'],
    ['a PDF document', '%PDF-1.7\n'],
    ['an OFX file', 'OFXHEADER:100\nDATA:OFXSGML\n'],
    ['an OFX file', '<?xml version="1.0"?><?OFX OFXHEADER="200"?><OFX></OFX>'],
    [
      'a camt.052 report of the running day, whose entries may still change',
      '<Document><BkToCstmrAcctRpt><Rpt/></BkToCstmrAcctRpt></Document>',
    ],
    [
      'a camt.054 notification, which has no balances',
      '<a:Document xmlns:a="u"><a:BkToCstmrDbtCdtNtfctn/></a:Document>',
    ],
    [
      'a CFONB120 statement',
      [record('0130004', 120), record('0430004', 120), record('0730004', 120)].join('\r\n'),
    ],
    ['a CFONB120 statement', [record('0130004', 120), record('0730004', 120)].join('')],
    [
      'a Norma 43 statement',
      [
        record('11210004180000000001', 80),
        record('22', 80),
        record('33', 80),
        record('88', 80),
      ].join('\n'),
    ],
    ['a CODA statement', `${record('00002', 128)}\n1`],
    ['a CBI statement', record(' RH03069', 120)],
    [
      'an MT940 statement',
      ':20:STARTUMS\n:25:37040044/0532013000\n:28C:1/1\n:60F:C240318EUR1,00\n',
    ],
    ['an MT940 statement', '{1:F01X}{2:O940}{4:\n:20:A\n:25:B\n:60F:C240318EUR1,00\n'],
    [
      'an MT942 report of the running day, whose entries may still change',
      ':20:A\n:25:B\n:34F:EUR0,\n',
    ],
    ['XML, but not like a statement (its first element is html)', '<!-- a page --><html></html>'],
    [
      'a CSV file, but not like the canonical one, whose first line names its columns (account, booking_date, …)',
      'Date;Libellé;Débit;Crédit\n',
    ],
    ['nothing that is known as a bank statement', 'hello'],
  ])('%s', async (name, text) => {
    expect(await refusalOf(text, 'x')).toBe(`x: the file looks like ${name}; ${read}`)
  })

  test('an empty file', async () => {
    expect(await refusalOf('', 'x')).toBe('x: the file is empty: a bank statement was expected')
  })

  test('a file of zero bytes only', async () => {
    expect(await refusalOf(new Uint8Array(10), 'x')).toBe(
      `x: the file looks like nothing that is known as a bank statement; ${read}`,
    )
  })
})

describe('sizes', () => {
  test('a file beyond the limit is refused unread', async () => {
    expect(await refusalOf(new Uint8Array(FILE_BYTES_MAX + 1), 'x')).toBe(
      `x: the file has ${FILE_BYTES_MAX + 1} bytes, and at most ${FILE_BYTES_MAX} are read`,
    )
  })

  test('a small file that unfolds without end is refused', async () => {
    const bomb = gzipSync(Buffer.alloc(FILE_BYTES_MAX + 1, ' '), { level: 1 })
    expect(await refusalOf(bomb, 'x.gz')).toBe(
      `x.gz: the file unfolds to more than ${FILE_BYTES_MAX} bytes`,
    )
  })

  test('a compressed file that is cut off is refused', async () => {
    const packed = gzipSync('account,booking_date,amount,currency\nA1,2024-03-18,1.00,EUR\n')
    for (let length = 2; length < packed.length; length += 1) {
      expect(await refusalOf(packed.subarray(0, length), 'x.gz')).toBe(
        'x.gz: the compressed file cannot be unpacked (Z_BUF_ERROR): it is cut off or damaged',
      )
    }
  })
})
