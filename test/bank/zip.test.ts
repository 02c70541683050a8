import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FILE_BYTES_MAX, readBankFiles } from '../../src/bank/read-file.ts'
import { MEMBERS_MAX } from '../../src/bank/zip.ts'
import { InputFault } from '../../src/errors.ts'
import {
  balance01,
  balance07,
  movement04,
  provedMoney,
  readOrRefusal,
} from './fixed-width-files.ts'
import { camt, fixture, readFixture, refusalOf, told } from './reading.ts'
import { zipOf, type ZipMember } from './zip-file.ts'

const monday = camt({
  frToDt: '2024-03-18T00:00:00..2024-03-18T23:59:59',
  balances: ['OPBD 2024-03-18 0.00', 'CLBD 2024-03-18 5.00'],
  entries: ['2024-03-18 5.00 A'],
})
const tuesday = camt({
  frToDt: '2024-03-19T00:00:00..2024-03-19T23:59:59',
  balances: ['OPBD 2024-03-19 5.00', 'CLBD 2024-03-19 11.00'],
  entries: ['2024-03-19 6.00 B'],
})
const cfonb = [balance01(), movement04(), balance07({ amount: '1.00' })].join('\r\n')

const member = (name: string, bytes: Uint8Array | string): ZipMember => ({ name, bytes })
const week = [member('monday.xml', monday), member('tuesday.xml', tuesday)]

describe('an archive of bank files', () => {
  test('its members are read each by its content, folders and what macOS adds are left out', async () => {
    const readings = await readBankFiles(await fixture('statements.zip'), 'statements.zip')
    expect(readings.map(({ name, reading }) => [name, reading.format])).toEqual([
      ['statements.zip/banques/bnp été.xml', 'camt.053'],
      ['statements.zip/banques/sg.txt', 'cfonb120'],
      ['statements.zip/caixa.n43', 'norma43'],
    ])
    for (const [index, name] of [
      'batch-v02.xml',
      'cfonb120-week.txt',
      'norma43-annex4.n43',
    ].entries()) {
      const { reading, bytes } = readings[index] ?? expect.fail()
      expect(told(reading)).toEqual(told(await readFixture(name)))
      expect(Buffer.from(bytes)).toEqual(await fixture(name))
    }
    expect(readings[1]?.reading.notes[0]).toBe(
      'statements.zip/banques/sg.txt is not UTF-8: its letters were read as windows-1252',
    )
  })

  test('any other file is one reading under its own name', async () => {
    const packed = gzipSync(monday)
    const [only, ...others] = await readBankFiles(packed, 'monday.xml.gz')
    expect(others).toEqual([])
    expect(only?.name).toBe('monday.xml.gz')
    expect(only?.bytes).toBe(packed)
  })

  test('stored without compression, with a comment, within gzip', async () => {
    const stored = zipOf(
      week.map((one) => ({ ...one, isStored: true })),
      { comment: 'a comment é' },
    )
    const expected = await readBankFiles(zipOf(week), 'a.zip')
    expect(await readBankFiles(stored, 'a.zip')).toEqual(expected)
    expect(await readBankFiles(gzipSync(stored), 'a.zip')).toEqual(expected)
  })

  test('a member that passes for a folder is read as well', async () => {
    const members = [...week, { ...member('folder/', monday), isStored: true }]
    expect((await readBankFiles(zipOf(members), 'a.zip')).map(({ name }) => name)).toEqual([
      'a.zip/monday.xml',
      'a.zip/tuesday.xml',
      'a.zip/folder/',
    ])
  })
})

describe('refused', () => {
  const big = Buffer.alloc(2 * 1024 * 1024, ' ')

  test.each([
    [
      'a member that cannot be read, with its place',
      [...week, member('bad.txt', cfonb.replace('180324', '310224'))],
      'a.zip/bad.txt, line 2: "310224" is not a day: an existing date as DDMMYY was expected',
    ],
    [
      'a member that is no statement',
      [...week, member('liesmich.txt', 'hello')],
      /^a\.zip\/liesmich\.txt: the file looks like nothing that is known as a bank statement; /,
    ],
    [
      'an empty member',
      [...week, member('empty.xml', '')],
      'a.zip/empty.xml: the file is empty: a bank statement was expected',
    ],
    [
      'an archive in the archive',
      [member('inner.zip', zipOf(week))],
      'a.zip/inner.zip: the file is itself an archive or compressed: one layer is unpacked',
    ],
    [
      'a compressed member',
      [member('monday.xml.gz', gzipSync(monday))],
      'a.zip/monday.xml.gz: the file is itself an archive or compressed: one layer is unpacked',
    ],
    [
      'an encrypted member',
      [...week, { ...member('secret.xml', monday), isEncrypted: true }],
      'a.zip/secret.xml: the file is encrypted in the archive',
    ],
    [
      'two members of one name',
      [member('a.xml', monday), member('a.xml', tuesday)],
      'a.zip/a.xml: the archive holds two files of this name',
    ],
    [
      'a spreadsheet',
      [member('[Content_Types].xml', '<Types/>'), member('xl/workbook.xml', '<workbook/>')],
      'a.zip: the file is a spreadsheet, in which days and amounts may have changed',
    ],
    [
      'a name that leads out of the archive',
      [member('../../etc/passwd', monday)],
      'a.zip: the archive cannot be unpacked: it is cut off or damaged ("invalid relative path: ../../etc/passwd")',
    ],
    [
      'an absolute name',
      [member('/etc/passwd', monday)],
      'a.zip: the archive cannot be unpacked: it is cut off or damaged ("absolute path: /etc/passwd")',
    ],
    [
      'a name without end',
      [member('x'.repeat(201), monday)],
      'a.zip: a file in the archive has a name of 201 characters',
    ],
    [
      'a wrong check sum',
      [{ ...member('a.xml', monday), checkSum: 1 }],
      'a.zip/a.xml: the check sum of the archive does not fit the file: it is damaged',
    ],
    [
      'more than was declared',
      [{ ...member('a.xml', monday), declaredBytes: 10 }],
      /^a\.zip: the archive cannot be unpacked: it is cut off or damaged \("too many bytes in the stream\./,
    ],
    [
      'a bomb',
      [member('a.xml', big)],
      /^a\.zip\/a\.xml: the file unfolds from \d+ to 2097152 bytes, as no statement does$/,
    ],
    [
      'more than is read of any file',
      [
        { ...member('a.xml', monday), declaredBytes: FILE_BYTES_MAX },
        { ...member('b.xml', monday), declaredBytes: FILE_BYTES_MAX },
      ],
      /^a\.zip\/a\.xml: the file unfolds from \d+ to 209715200 bytes, as no statement does$/,
    ],
    [
      'more together than is read of any file',
      [member('a.xml', monday), { ...member('b.xml', monday), declaredBytes: FILE_BYTES_MAX }],
      'a.zip: the archive unfolds to more than 209715200 bytes',
    ],
    [
      'too many members',
      Array.from({ length: MEMBERS_MAX + 1 }, (_, at) => member(`${at}.xml`, 'x')),
      `a.zip: the archive holds ${MEMBERS_MAX + 1} files, more than ${MEMBERS_MAX}`,
    ],
    ['nothing', [], 'a.zip: the archive holds no file'],
    ['a folder only', [member('folder/', '')], 'a.zip: the archive holds no file'],
  ])('%s', async (_, members, message) => {
    const found = await refusalOf(zipOf(members), 'a.zip')
    if (typeof message === 'string') expect(found).toBe(message)
    else expect(found).toMatch(message)
  })

  test('an archive that counts fewer members than it holds', async () => {
    expect(await refusalOf(zipOf(week, { counted: 1 }), 'a.zip')).toBe(
      'a.zip: the directory of the archive does not hold as many files as it says: it is damaged',
    )
  })

  test('the hint says that the other members were not taken either', async () => {
    const archive = zipOf([...week, member('bad.txt', 'hello')])
    const fault = await readBankFiles(archive, 'a.zip').catch((error: unknown) => error)
    expect(fault).toBeInstanceOf(InputFault)
    expect(fault instanceof InputFault ? fault.hint : '').toMatch(
      /^Nothing of a\.zip was taken, its other files neither\. /,
    )
  })

  test('characters that a terminal would obey are not shown', async () => {
    const found = await refusalOf(zipOf([member('a\u001b[31m\u202e.xml', 'hello')]), 'a.zip')
    expect(found).toMatch(/^a\.zip\/a\?\[31m\?\.xml: /)
  })
})

describe('damage', () => {
  test('cut off at any byte it is refused', async () => {
    const whole = zipOf(week)
    for (let length = 0; length < whole.length; length += 1) {
      expect(await readOrRefusal(whole.subarray(0, length))).toBeInstanceOf(InputFault)
    }
  })

  test('with any byte changed, all of it is read as before or nothing', async () => {
    const whole = zipOf([...week, { ...member('sg.txt', cfonb), isStored: true }])
    const before = await readOrRefusal(whole)
    if (before instanceof InputFault) throw before
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.integer({ min: 0, max: 255 }),
        async (at, byte) => {
          const changed = Uint8Array.from(whole)
          changed[at] = byte
          const reading = await readOrRefusal(changed)
          if (reading instanceof InputFault) return
          expect(provedMoney(reading)).toEqual(provedMoney(before))
        },
      ),
      { numRuns: 600 },
    )
  })
})
