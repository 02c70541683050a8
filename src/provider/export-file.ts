/**
 * The CSV file of an accounting export. The provider promises labels, not positions, and says
 * neither which delimiter nor which encoding it writes: both are found out.
 */
import { open } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { CsvError, parse, type Parser } from 'csv-parse'
import { stringify } from 'csv-stringify/sync'
import { InputFault } from '../errors.ts'

/** One line of an accounting export. Amounts are signed minor units as the file has them. */
export interface ExportLine {
  /** 1-based line of the file; the header is line 1. */
  readonly lineNumber: number
  readonly balanceTransactionId: string
  /** `YYYY-MM-DD hh:mm:ss` on Paris clocks, as written; null where the cell is empty. */
  readonly createdLocal: string | null
  readonly grossMinor: bigint
  readonly feeMinor: bigint
  readonly netMinor: bigint
  /** VAT on the fee; null where the cell is empty. */
  readonly vatMinor: bigint | null
  readonly installments: number | null
  readonly paymentId: string | null
  readonly refundId: string | null
  /** Cells of columns that are not documented, by their label; none that names a person. */
  readonly extra: Readonly<Record<string, string>>
}

type Field = Exclude<keyof ExportLine, 'lineNumber' | 'extra'>

/** Labels as the provider's documentation writes them ("Exports comptables"). */
const LABELS: Readonly<Record<Field, string>> = {
  createdLocal: 'Créée (Heure Europe/Paris)',
  grossMinor: 'Montant brut (centimes)',
  feeMinor: 'Frais Alma (centimes)',
  netMinor: 'Montant net (centimes)',
  vatMinor: 'Montant TVA (centimes)',
  installments: "Nombre d'échéances",
  balanceTransactionId: 'Identifiant ligne comptable',
  paymentId: 'Identifiant paiement',
  refundId: 'Identifiant remboursement',
}

/** What no comparison needs; every other documented label must be there. */
const OPTIONAL_FIELDS: ReadonlySet<Field> = new Set(['installments'])

const BATCH_LINES = 5_000
const HEAD_BYTES = 64 * 1024
const RECORD_CHARACTERS_MAX = 1_000_000
const SHOWN_CHARACTERS_MAX = 40

/** Words of a normalised label that promise something about a person. */
const PERSONAL_LABEL =
  /\b(noms?|prenoms?|names?|surname|clients?|customers?|acheteurs?|buyers?|e ?mails?|mails?|courriel|telephone|tel|phone|mobile|portable|adresses?|addresse?s?|rue|street|ville|city|postal|postcode|zip|naissance|birth\w*|iban|bic|ip)\b/
const EMAIL_ADDRESS = /[^\s@]@[^\s@]+\.[^\s@]/

/**
 * Lines of an export file in batches, in the file's order. A file with a header and no line is
 * legal and gives nothing.
 * @param name of the file for messages.
 * @throws InputFault naming file, line, column and value for anything that cannot be read; what
 * was given out before then must not be kept.
 */
export async function* readExportFile(path: string, name: string): AsyncGenerator<ExportLine[]> {
  let columns: Columns | null = null
  let batch: ExportLine[] = []
  for await (const record of recordsOf(path, name)) {
    if (columns === null) {
      columns = columnsOf(record.cells, name)
      continue
    }
    batch.push(readLine(record, columns, name))
    if (batch.length >= BATCH_LINES) {
      yield batch
      batch = []
    }
  }
  if (columns === null) throw refusal(name, 'holds no line of labels')
  if (batch.length > 0) yield batch
}

/**
 * Copies an export file without what it says of customers: cells of columns whose label promises
 * something about a person, and e-mail addresses wherever they stand in columns that are not
 * documented. The copy has the same lines and columns, in UTF-8 with commas, readable by its owner
 * only and on the disk when this returns. Of a file that cannot be read it has what comes before the
 * fault; a line whose cells cannot be told apart is left empty.
 */
export async function copyWithoutCustomers(from: string, to: string): Promise<void> {
  const copy = await open(to, 'w', 0o600)
  try {
    let labels: readonly string[] | null = null
    let batch: (readonly string[])[] = []
    try {
      for await (const { cells } of recordsOf(from, from)) {
        if (labels === null) {
          labels = cells.map(normalised)
          // Where no column is known, it cannot be told which ones are personal.
          if (!labels.some(isDocumented)) break
          batch.push(cells)
          continue
        }
        batch.push(withoutCustomer(cells, labels))
        if (batch.length >= BATCH_LINES) {
          await copy.writeFile(stringify(batch))
          batch = []
        }
      }
    } catch (error) {
      if (!(error instanceof InputFault)) throw error
    }
    await copy.writeFile(stringify(batch))
    await copy.sync()
  } finally {
    await copy.close()
  }
}

const DOCUMENTED_LABELS: ReadonlySet<string> = new Set(Object.values(LABELS).map(normalised))

function isDocumented(label: string): boolean {
  return DOCUMENTED_LABELS.has(label)
}

function withoutCustomer(cells: readonly string[], labels: readonly string[]): readonly string[] {
  if (cells.length !== labels.length) return ['']
  return cells.map((cell, place) => {
    const label = labels[place] ?? ''
    if (isDocumented(label)) return cell
    return isPersonal(label) || EMAIL_ADDRESS.test(cell) ? '' : cell
  })
}

interface CsvRecord {
  readonly cells: readonly string[]
  readonly line: number
}

/** Every record of a file, the labels first. Faults of the file are told as `InputFault`. */
async function* recordsOf(path: string, name: string): AsyncGenerator<CsvRecord> {
  const head = await readHead(path)
  if (head.byteLength === 0) throw refusal(name, 'is empty: not even the line of labels is there')
  const encoding = encodingOf(head)
  const parser = parse({
    delimiter: delimiterOf(firstLine(head, encoding)),
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: RECORD_CHARACTERS_MAX,
  })
  const reading = feed(parser, path, encoding, name)
  try {
    yield* records(parser)
  } catch (error) {
    throw error instanceof CsvError ? unreadable(error, name) : error
  } finally {
    parser.destroy()
    await reading
  }
}

async function* records(parser: Parser): AsyncGenerator<CsvRecord> {
  for await (const given of parser as AsyncIterable<{
    record: string[]
    info: { lines: number }
  }>) {
    yield { cells: given.record, line: given.info.lines }
  }
}

/** Decodes the file into the parser; a fault of the file ends the parser with it. */
async function feed(parser: Parser, path: string, encoding: string, name: string): Promise<void> {
  const decoder = new TextDecoder(encoding, { fatal: true })
  const file = createReadStream(path)
  try {
    for await (const chunk of file as AsyncIterable<Uint8Array>) {
      if (parser.destroyed) return
      if (!parser.write(decoder.decode(chunk, { stream: true }))) await drained(parser)
    }
    if (parser.destroyed) return
    parser.end(decoder.decode())
  } catch (error) {
    parser.destroy(
      error instanceof TypeError
        ? refusal(name, `is not ${encoding.toUpperCase()} text throughout, as its first lines are`)
        : error instanceof Error
          ? error
          : new Error('reading the export failed'),
    )
  } finally {
    file.destroy()
  }
}

function drained(parser: Parser): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      parser.off('drain', go).off('close', go)
      resolve()
    }
    parser.once('drain', go).once('close', go)
  })
}

async function readHead(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** By its mark, else UTF-8 where the head is that, else what French spreadsheets write. */
function encodingOf(head: Uint8Array): string {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le'
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
    return 'utf-8'
  } catch {
    return 'windows-1252'
  }
}

function firstLine(head: Uint8Array, encoding: string): string {
  const text = new TextDecoder(encoding).decode(head, { stream: true })
  return /^[^\r\n]*/.exec(text)?.[0] ?? ''
}

/** No documented label contains a comma or a semicolon, so the more frequent one divides them. */
function delimiterOf(line: string): string {
  const count = (character: string): number => line.split(character).length - 1
  const [best = ','] = [',', ';', '\t'].sort((a, b) => count(b) - count(a))
  return best
}

/** Label without its accents of case, apostrophe, letter and blanks: what identifies a column. */
function normalised(label: string): string {
  return label
    .normalize('NFKD')
    .replace(/\p{Mark}+/gu, '')
    .replace(/[’‘ʼ´`]/g, "'")
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .trim()
}

interface Columns {
  readonly count: number
  readonly labels: readonly string[]
  readonly at: Readonly<Record<Field, number>>
  /** Places of the columns that are kept as they are. */
  readonly extra: readonly number[]
}

function columnsOf(labels: readonly string[], name: string): Columns {
  const names = labels.map(normalised)
  const at: Partial<Record<Field, number>> = {}
  const faults: string[] = []
  for (const field of FIELDS) {
    const wanted = normalised(LABELS[field])
    const place = names.indexOf(wanted)
    if (place !== names.lastIndexOf(wanted)) faults.push(`“${LABELS[field]}” is there twice`)
    if (place === -1 && !OPTIONAL_FIELDS.has(field)) faults.push(`“${LABELS[field]}” is missing`)
    at[field] = place
  }
  if (faults.length > 0 || !isComplete(at)) {
    const seen = labels.map((label) => `“${shown(label)}”`).join(', ')
    throw refusal(name, `line 1: ${faults.join('; ')}. Its labels are ${seen}`)
  }
  const known = new Set(Object.values(at))
  const extra = names.flatMap((label, place) =>
    known.has(place) || isPersonal(label) ? [] : [place],
  )
  return { count: labels.length, labels, at, extra }
}

const FIELDS = [
  'createdLocal',
  'grossMinor',
  'feeMinor',
  'netMinor',
  'vatMinor',
  'installments',
  'balanceTransactionId',
  'paymentId',
  'refundId',
] as const satisfies readonly Field[]

function isComplete(at: Partial<Record<Field, number>>): at is Record<Field, number> {
  return FIELDS.every((field) => at[field] !== undefined)
}

function isPersonal(label: string): boolean {
  return PERSONAL_LABEL.test(label.replace(/[^\p{Letter}\p{Number}]+/gu, ' '))
}

function readLine({ cells, line }: CsvRecord, columns: Columns, name: string): ExportLine {
  if (cells.length !== columns.count) {
    throw refusal(
      name,
      `line ${line} has ${cells.length} cells, ${columns.count} were expected as in the line of labels: the file may have been cut off`,
    )
  }
  const text = (field: Field): string => (cells[columns.at[field]] ?? '').trim()
  const optional = (field: Field): string | null => text(field) || null
  const bad = (field: Field, expected: string): InputFault =>
    refusal(
      name,
      `line ${line}, column “${LABELS[field]}”: “${shown(text(field))}” was found, ${expected} was expected`,
    )
  const cents = (field: Field): bigint => {
    if (!/^[+-]?\d{1,17}$/.test(text(field))) throw bad(field, 'a whole number of cents')
    return BigInt(text(field))
  }
  const idOf = (field: Field): string | null => {
    const found = optional(field)
    if (found !== null && !/^[!-~]{1,200}$/.test(found)) throw bad(field, 'an id')
    return found
  }
  const balanceTransactionId = idOf('balanceTransactionId')
  if (balanceTransactionId === null) throw bad('balanceTransactionId', 'an id')
  const createdLocal = optional('createdLocal')
  if (createdLocal !== null && !/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(createdLocal)) {
    throw bad('createdLocal', 'a moment as YYYY-MM-DD hh:mm:ss')
  }
  return {
    lineNumber: line,
    balanceTransactionId,
    createdLocal,
    grossMinor: cents('grossMinor'),
    feeMinor: cents('feeMinor'),
    netMinor: cents('netMinor'),
    vatMinor: optional('vatMinor') === null ? null : cents('vatMinor'),
    installments: installmentsOf(text('installments')),
    paymentId: idOf('paymentId'),
    refundId: idOf('refundId'),
    extra: extraOf(cells, columns),
  }
}

/** Nothing is proved with it, so a plan written in another way is no reason to refuse the file. */
function installmentsOf(cell: string): number | null {
  return /^\d{1,4}$/.test(cell) ? Number(cell) : null
}

function extraOf(cells: readonly string[], columns: Columns): Record<string, string> {
  const extra: Record<string, string> = {}
  for (const place of columns.extra) {
    const cell = cells[place] ?? ''
    // Custom fields of the merchant may hold an address under any label.
    if (cell === '' || EMAIL_ADDRESS.test(cell)) continue
    extra[columns.labels[place] ?? ''] = cell.replaceAll('\0', '')
  }
  return extra
}

function unreadable(error: CsvError, name: string): InputFault {
  const line = typeof error['lines'] === 'number' ? `line ${error['lines']} ` : ''
  const why =
    error.code === 'CSV_QUOTE_NOT_CLOSED'
      ? 'begins a quotation that never ends: the file may have been cut off'
      : `cannot be read as CSV (${error.code})`
  return refusal(name, `${line}${why}`)
}

function refusal(name: string, what: string): InputFault {
  return new InputFault(`${name} ${what}`.replace(`${name} line`, `${name}, line`), {
    hint: 'Nothing of this export was taken. Run the same command again: a new export is asked for. If it persists, the provider has changed the file: report the message above.',
  })
}

function shown(text: string): string {
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text
}
