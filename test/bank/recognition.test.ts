import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { BANK_FORMATS, FILE_BYTES_MAX } from '../../src/bank/read-file.ts'
import { refusalOf } from './reading.ts'

const record = (start: string, width: number) => start.padEnd(width)
const read = `${BANK_FORMATS.join(', ')} are read`

describe('a file of another kind is refused by its name', () => {
  test.each([
    ['a PDF document', '%PDF-1.7\n'],
    [
      'a camt.052 report of the running day, whose entries may still change',
      '<Document><BkToCstmrAcctRpt><Rpt/></BkToCstmrAcctRpt></Document>',
    ],
    [
      'a camt.054 notification, which has no balances',
      '<a:Document xmlns:a="u"><a:BkToCstmrDbtCdtNtfctn/></a:Document>',
    ],
    ['a pain.001 order of transfers, not a statement', '<Document><CstmrCdtTrfInitn/></Document>'],
    ['a pain.002 report on orders, not a statement', '<Document><CstmrPmtStsRpt/></Document>'],
    ['a pain.008 order of direct debits, not a statement', '<D><CstmrDrctDbtInitn/></D>'],
    ['a CODA statement', `${record('00002', 128)}\n1`],
    ['a CBI statement', record(' RH03069', 120)],
    [
      'an MT942 report of the running day, whose entries may still change',
      ':20:A\n:25:B\n:34F:EUR0,\n',
    ],
    ['XML, but not like a statement (its first element is html)', '<!-- a page --><html></html>'],
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
