/** The CSV file of an accounting export: the provider promises labels, not positions. */
import { open } from 'node:fs/promises'
import { stringify } from 'csv-stringify/sync'
import { InputFault } from '../errors.ts'
import { type CsvRecord, recordsOf, refusal } from './export-records.ts'

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

const SHOWN_CHARACTERS_MAX = 40

const CENTS = /^[+-]?\d{1,17}$/
const ID = /^[!-~]{1,200}$/
const MOMENT = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/

/** Words of a normalised label that promise something about a person. */
const PERSONAL_LABEL =
  /\b(noms?|prenoms?|names?|surname|clients?|customers?|acheteurs?|buyers?|e ?mails?|mails?|courriel|telephone|tel|phone|mobile|portable|adresses?|addresse?s?|rue|street|ville|city|postal|postcode|zip|naissance|birth\w*|iban|bic|ip)\b/
const EMAIL_ADDRESS = /[^\s@]@[^\s@]+\.[^\s@]/

export interface ReadOptions {
  /**
   * Where a copy is written on the way, without what the file says of customers: cells of columns
   * whose label promises something about a person, and e-mail addresses wherever they stand in
   * columns that are not documented. The copy has the same lines and columns, in UTF-8 with commas,
   * readable by its owner only. It is on the disk when the reading has come to its end, be it that of
   * an `InputFault`: of a file that cannot be read it has what comes before that place; a line whose
   * cells cannot be told apart is left empty.
   */
  readonly copyTo?: string
}

/**
 * Lines of an export file in batches, in the file's order. A file with a header and no line is
 * legal and gives nothing.
 * @param name of the file for messages.
 * @throws InputFault naming file, line, column and value for anything that cannot be read; what
 * was given out before then must not be kept.
 */
export async function* readExportFile(
  path: string,
  name: string,
  { copyTo }: ReadOptions = {},
): AsyncGenerator<ExportLine[]> {
  const copy = copyTo === undefined ? null : await openCopy(copyTo)
  const file = recordsOf(path, name)
  const next = async (): Promise<CsvRecord[] | null> => {
    const { value, done } = await file.next()
    if (done === true) return null
    await copy?.add(value)
    return value
  }
  try {
    yield* linesOf(next, name)
    await copy?.finish()
  } catch (error) {
    if (copy !== null && error instanceof InputFault) {
      await readOn(next)
      await copy.finish()
    }
    throw error
  } finally {
    await file.return(undefined)
    await copy?.close()
  }
}

type NextRecords = () => Promise<CsvRecord[] | null>

async function* linesOf(next: NextRecords, name: string): AsyncGenerator<ExportLine[]> {
  const [labels, ...first] = (await next()) ?? []
  if (labels === undefined) throw refusal(name, 'holds no line of labels')
  const columns = columnsOf(labels.cells, name)
  for (let records: CsvRecord[] | null = first; records !== null; records = await next()) {
    const lines = records.map((record) => readLine(record, columns, name))
    if (lines.length > 0) yield lines
  }
}

/** To the end of the file, or to where it cannot be read: the first fault is the one to tell. */
async function readOn(next: NextRecords): Promise<void> {
  try {
    while ((await next()) !== null);
  } catch (error) {
    if (!(error instanceof InputFault)) throw error
  }
}

/** A copy without customers while it is being written. */
interface Copy {
  /** Records as they follow in the file, the labels first. */
  add(records: readonly CsvRecord[]): Promise<void>
  /** All that was added is on the disk after this. */
  finish(): Promise<void>
  close(): Promise<void>
}

async function openCopy(path: string): Promise<Copy> {
  const file = await open(path, 'w', 0o600)
  let rules: readonly CellRule[] | null = null
  const copied = ({ cells }: CsvRecord): readonly string[] => {
    if (rules !== null) return withoutCustomer(cells, rules)
    rules = cells.map((label) => cellRule(normalised(label)))
    return cells
  }
  return {
    async add(records) {
      const rows = records.map(copied)
      // Where no column is known, it cannot be told which ones are personal.
      if (rules?.includes('keep') === true) await file.writeFile(stringify(rows))
    },
    finish: () => file.sync(),
    close: () => file.close(),
  }
}

/** What becomes of a column's cells in the copy; `check` for an e-mail address. */
type CellRule = 'keep' | 'check' | 'drop'

const DOCUMENTED_LABELS: ReadonlySet<string> = new Set(Object.values(LABELS).map(normalised))

function cellRule(label: string): CellRule {
  if (DOCUMENTED_LABELS.has(label)) return 'keep'
  return isPersonal(label) ? 'drop' : 'check'
}

function withoutCustomer(cells: readonly string[], rules: readonly CellRule[]): readonly string[] {
  if (cells.length !== rules.length) return ['']
  return cells.map((cell, place) => {
    const rule = rules[place]
    if (rule === 'keep') return cell
    return rule === 'drop' || EMAIL_ADDRESS.test(cell) ? '' : cell
  })
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
  // Neither Postgres' text nor its JSON holds a NUL character.
  const storable = labels.map((label) => label.replaceAll('\0', ''))
  return { count: labels.length, labels: storable, at, extra }
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

/** A line being read, and the way to its cells. */
interface LineRead {
  readonly cells: readonly string[]
  readonly line: number
  readonly columns: Columns
  /** Of the file, for messages. */
  readonly name: string
}

function readLine({ cells, line }: CsvRecord, columns: Columns, name: string): ExportLine {
  if (cells.length !== columns.count) {
    throw refusal(
      name,
      `line ${line} has ${cells.length} cells, ${columns.count} were expected as in the line of labels: the file may have been cut off`,
    )
  }
  const read: LineRead = { cells, line, columns, name }
  const balanceTransactionId = idIn(read, 'balanceTransactionId')
  if (balanceTransactionId === null) throw unfit(read, 'balanceTransactionId', 'an id')
  return {
    lineNumber: line,
    balanceTransactionId,
    createdLocal: momentIn(read, 'createdLocal'),
    grossMinor: centsIn(read, 'grossMinor'),
    feeMinor: centsIn(read, 'feeMinor'),
    netMinor: centsIn(read, 'netMinor'),
    vatMinor: textIn(read, 'vatMinor') === '' ? null : centsIn(read, 'vatMinor'),
    installments: installmentsOf(textIn(read, 'installments')),
    paymentId: idIn(read, 'paymentId'),
    refundId: idIn(read, 'refundId'),
    extra: extraOf(cells, columns),
  }
}

/** Empty where the file has no such column. */
function textIn({ cells, columns }: LineRead, field: Field): string {
  return (cells[columns.at[field]] ?? '').trim()
}

function centsIn(read: LineRead, field: Field): bigint {
  const text = textIn(read, field)
  if (!CENTS.test(text)) throw unfit(read, field, 'a whole number of cents')
  return BigInt(text)
}

function idIn(read: LineRead, field: Field): string | null {
  const text = textIn(read, field)
  if (text === '') return null
  if (!ID.test(text)) throw unfit(read, field, 'an id')
  return text
}

function momentIn(read: LineRead, field: Field): string | null {
  const text = textIn(read, field)
  if (text === '') return null
  if (!MOMENT.test(text)) throw unfit(read, field, 'a moment as YYYY-MM-DD hh:mm:ss')
  return text
}

function unfit(read: LineRead, field: Field, expected: string): InputFault {
  const found = shown(textIn(read, field))
  return refusal(
    read.name,
    `line ${read.line}, column “${LABELS[field]}”: “${found}” was found, ${expected} was expected`,
  )
}

/** Nothing is proved with it, so a plan written in another way is no reason to refuse the file. */
function installmentsOf(text: string): number | null {
  return /^\d{1,4}$/.test(text) ? Number(text) : null
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

function shown(text: string): string {
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text
}
