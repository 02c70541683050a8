import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { InputFault } from '../../src/errors.ts'
import { type ExportLine, readExportFile } from '../../src/provider/export-file.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'export-file-'))
})
afterAll(() => rm(folder, { recursive: true }))

const LABELS = [
  'Créée (Heure Europe/Paris)',
  'Montant brut (centimes)',
  'Frais Alma (centimes)',
  'Montant net (centimes)',
  'Montant TVA (centimes)',
  "Nombre d'échéances",
  'Nom client',
  'Email client',
  'Identifiant ligne comptable',
  'Identifiant paiement',
  'Identifiant remboursement',
]
const SALE = [
  '2024-03-18 10:39:33',
  '12000',
  '456',
  '11544',
  '91',
  '3',
  'Zoé Martin',
  'zoe@example.com',
  'balance_txn_2',
  'payment_1',
  '',
]
const REFUND = [
  '2024-03-19 08:00:00',
  '-2000',
  '0',
  '-2000',
  '',
  '',
  'Zoé Martin',
  'zoe@example.com',
  'balance_txn_3',
  'payment_1',
  'refund_1',
]

const csv = (rows: string[][], delimiter = ','): string =>
  rows.map((cells) => `${cells.join(delimiter)}\n`).join('')

async function read(content: string | Uint8Array): Promise<ExportLine[]> {
  const path = join(folder, 'export_1.csv')
  await writeFile(path, content)
  const lines: ExportLine[] = []
  for await (const batch of readExportFile(path, 'export_1.csv')) lines.push(...batch)
  return lines
}

async function faultOf(content: string | Uint8Array): Promise<string> {
  const error: unknown = await read(content).catch((thrown: unknown) => thrown)
  if (error instanceof InputFault) return error.message
  throw new Error(`a refusal was expected, not ${String(error)}`)
}

describe('an accounting export', () => {
  test('is read by its labels', async () => {
    expect(await read(csv([LABELS, SALE, REFUND]))).toEqual([
      {
        lineNumber: 2,
        balanceTransactionId: 'balance_txn_2',
        createdLocal: '2024-03-18 10:39:33',
        grossMinor: 12_000n,
        feeMinor: 456n,
        netMinor: 11_544n,
        vatMinor: 91n,
        installments: 3,
        paymentId: 'payment_1',
        refundId: null,
        extra: {},
      },
      {
        lineNumber: 3,
        balanceTransactionId: 'balance_txn_3',
        createdLocal: '2024-03-19 08:00:00',
        grossMinor: -2000n,
        feeMinor: 0n,
        netMinor: -2000n,
        vatMinor: null,
        installments: null,
        paymentId: 'payment_1',
        refundId: 'refund_1',
        extra: {},
      },
    ])
  })

  const variants: [string, (plain: string) => string | Uint8Array][] = [
    ['semicolons', (plain) => plain.replaceAll(',', ';')],
    ['a byte order mark', (plain) => `\uFEFF${plain}`],
    [
      'semicolons, a mark and CRLF',
      (plain) => `\uFEFF${plain}`.replaceAll(',', ';').replaceAll('\n', '\r\n'),
    ],
    ['UTF-16 with a mark', (plain) => Buffer.from(`\uFEFF${plain}`, 'utf16le')],
    ['Windows-1252', (plain) => Buffer.from(plain, 'latin1')],
    ['typographic apostrophes', (plain) => plain.replaceAll("d'é", 'd’é')],
    ['decomposed accents', (plain) => plain.normalize('NFD')],
    [
      'labels in capitals with odd blanks',
      (plain) => plain.replace('Montant brut (', 'MONTANT\u00A0 BRUT ('),
    ],
    ['quotes around everything', (plain) => plain.replaceAll(/[^,\n]+/g, '"$&"')],
    ['no line end at the end', (plain) => plain.trimEnd()],
    ['empty lines at the end', (plain) => `${plain}\n\n`],
  ]
  test.each(variants)('reads the same with %s', async (_, write) => {
    const plain = csv([LABELS, SALE, REFUND])
    expect(await read(write(plain))).toEqual(await read(plain))
  })

  test('columns may stand anywhere; unknown ones are kept, what names a person is not', async () => {
    const extra = [
      'Référence commande',
      'Prénom',
      'N° de téléphone',
      'Adresse e-mail',
      'Note',
      'Nombre de colis',
    ]
    const cells = ['A-17', 'Zoé', '0601020304', 'zoe@example.com', 'write to zoe@example.com', '2']
    const [line] = await read(csv([[...extra, ...LABELS].reverse(), [...cells, ...SALE].reverse()]))
    expect(line).toMatchObject({ grossMinor: 12_000n, balanceTransactionId: 'balance_txn_2' })
    expect(line?.extra).toEqual({ 'Référence commande': 'A-17', 'Nombre de colis': '2' })
    expect(
      JSON.stringify(line, (_, value: unknown) =>
        typeof value === 'bigint' ? String(value) : value,
      ),
    ).not.toMatch(/Zo|example/)
  })

  test('a label with a NUL character is kept without it', async () => {
    const [line] = await read(
      csv([
        [...LABELS, 'No\0te'],
        [...SALE, 'ca\0deau'],
      ]),
    )
    expect(line?.extra).toEqual({ Note: 'cadeau' })
  })

  test('the line of a fault is the line of the file, whatever is empty or quoted before it', async () => {
    const quoted = SALE.with(6, '"Zo\n\u00E9 Martin"')
    const text = csv([LABELS, quoted]) + '\n\n' + csv([SALE, SALE.with(1, '1.00')])
    const lines = text.slice(0, text.indexOf('1.00')).split('\n').length
    expect(await faultOf(text)).toContain(`line ${lines}, column`)
  })

  test('without a line is legal', async () => {
    expect(await read(csv([LABELS]))).toEqual([])
  })

  test('of many lines comes in batches', async () => {
    const many = Array.from({ length: 12_001 }, (_, at) => SALE.with(8, `balance_txn_${at}`))
    const path = join(folder, 'many.csv')
    await writeFile(path, csv([LABELS, ...many]))
    const sizes: number[] = []
    let last = 0
    for await (const batch of readExportFile(path, 'many.csv')) {
      sizes.push(batch.length)
      last = batch.at(-1)?.lineNumber ?? 0
    }
    expect(Math.max(...sizes)).toBeLessThan(4_000)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(12_001)
    expect(last).toBe(12_002)
  })
})

describe('an export that cannot be trusted is refused whole', () => {
  test('empty', async () => {
    expect(await faultOf('')).toBe('export_1.csv is empty: not even the line of labels is there')
    expect(await faultOf('\uFEFF\n')).toBe('export_1.csv holds no line of labels')
  })

  test('a label missing or there twice', async () => {
    const labels = LABELS.with(1, 'Montant (centimes)').with(2, 'Montant net (centimes)')
    expect(await faultOf(csv([labels, SALE]))).toBe(
      `export_1.csv, line 1: “Montant brut (centimes)” is missing; “Frais Alma (centimes)” is missing; “Montant net (centimes)” is there twice. Its labels are ${labels.map((label) => `“${label}”`).join(', ')}`,
    )
  })

  test.each<[string, number, string]>([
    ['Montant brut (centimes)', 1, '120.00'],
    ['Montant brut (centimes)', 1, ''],
    ['Frais Alma (centimes)', 2, '4,56'],
    ['Montant net (centimes)', 3, '1e4'],
    ['Montant TVA (centimes)', 4, 'n/a'],
    ['Identifiant ligne comptable', 8, ''],
    ['Créée (Heure Europe/Paris)', 0, '18/03/2024'],
  ])('%s (column %i) that reads “%s”', async (label, column, value) => {
    const fault = await faultOf(csv([LABELS, SALE, REFUND.with(column, `"${value}"`)]))
    expect(fault).toContain(`export_1.csv, line 3, column “${label}”: “${value}” was found`)
  })

  // Cut off right before the last cell, a line has all its cells and an empty last one: that it is
  // not the ledger's row is then for the comparison with the ledger to find.
  test('cut off anywhere else inside its last line', async () => {
    const whole = csv([LABELS, SALE, REFUND.with(10, '"refund_1"')])
    const lastLine = whole.trimEnd().lastIndexOf('\n') + 1
    const lastCell = whole.lastIndexOf(',') + 1
    for (let end = lastLine + 1; end < whole.length - 2; end += 1) {
      if (end === lastCell) continue
      expect(await faultOf(whole.slice(0, end))).toMatch(/^export_1\.csv, line 3/)
    }
  })

  test('not the encoding that its beginning has', async () => {
    const tail = Buffer.from(csv([SALE.with(6, 'Zo\u00E9')]), 'latin1')
    const long = csv([LABELS, ...Array.from({ length: 1000 }, () => SALE)])
    expect(await faultOf(Buffer.concat([Buffer.from(long), tail]))).toBe(
      'export_1.csv is not UTF-8 text throughout, as its first lines are',
    )
  })
})

describe('a copy without customers', () => {
  const copyOf = async (content: string | Uint8Array): Promise<string> => {
    const [from, to] = [join(folder, 'export_1.csv'), join(folder, 'copy.csv')]
    await writeFile(from, content)
    const lines = readExportFile(from, 'export_1.csv', { copyTo: to })
    try {
      for await (const batch of lines) expect(batch).not.toEqual([])
    } catch (error) {
      if (!(error instanceof InputFault)) throw error
    }
    return readFile(to, 'utf8')
  }

  test('has the lines and columns of the file, without what names a person', async () => {
    const labels = [...LABELS, 'Référence commande', 'Note']
    const copy = await copyOf(
      csv([labels, [...SALE, 'A-17', 'de zoe@example.com'], [...REFUND, 'A-17', 'cadeau']], ';'),
    )
    expect(copy).not.toMatch(/Zo|example\.com/)
    const lines = copy.trimEnd().split('\n')
    expect(lines[0]).toBe(labels.join(','))
    expect(lines[1]).toBe(
      '2024-03-18 10:39:33,12000,456,11544,91,3,,,balance_txn_2,payment_1,,A-17,',
    )
    expect(lines[2]).toBe(
      '2024-03-19 08:00:00,-2000,0,-2000,,,,,balance_txn_3,payment_1,refund_1,A-17,cadeau',
    )
  })

  test.each([
    ['of which a line is cut off', csv([LABELS, SALE, SALE.slice(3)]), 3],
    ['that ends within quotation marks', `${csv([LABELS, SALE])}"Zoé Martin`, 2],
    ['without labels', csv([SALE, REFUND]), 0],
    ['with nothing in it', '', 0],
    ['that is no text', Buffer.from([0xff, 0xfe, 0x00]), 0],
  ])('of a file %s holds no customer either', async (_, content, lines) => {
    const copy = await copyOf(content)
    expect(copy).not.toMatch(/Zo|example\.com/)
    expect(copy.split('\n').length - 1).toBe(lines)
  })
})
