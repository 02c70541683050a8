import type { BankEntry } from '../domain/bank-statement.ts'
import type { Day } from '../domain/day.ts'
import type { InputFault } from '../errors.ts'
import { readEntry, readStatus, type Refuse } from './camt053-entry.ts'
import { type CamtPage, pageAt, pageNotes, totalsNotes } from './camt053-controls.ts'
import {
  addEntry,
  asElement,
  type CamtStatementParts,
  finishStatement,
  type Keep,
} from './camt053-statement.ts'
import { type BytePieces, decoded, decodedPieces, xmlEncoding } from './encoding.ts'
import { fingerprint } from './fingerprint.ts'
import {
  type BankFileFlow,
  type BankFileReader,
  type BankFileReading,
  type ComparedEntry,
  ENTRIES_PER_FILE_MAX,
  type FlowingEntry,
  type OutlinedEntry,
  refusal,
  type StatementOf,
} from './reader.ts'
import { textAt, visitXml, visitXmlByPieces, type XmlElement, type XmlVisitor } from './xml.ts'

/**
 * ISO 20022 camt.053, bank to customer statement, every version: elements are taken by their local
 * names, so namespaces and prefixes do not matter, and nothing is checked against a schema that
 * banks do not keep to. Only booked entries count.
 */
export const camt053: BankFileReader = {
  format: 'camt.053',
  recognises: ({ text }) =>
    /^\s*</.test(text) && /<(?:[\w.-]+:)?BkToCstmrStmt(?:V\d+)?[\s/>]/.test(text),
  read: readCamt053,
}

/** Messages of the same family that hold something else, by the element that tells. */
const OTHER_MESSAGES: Readonly<Record<string, string>> = {
  BkToCstmrAcctRpt: 'a camt.052 report of the running day, whose entries may still change',
  BkToCstmrDbtCdtNtfctn: 'a camt.054 notification, which has no balances',
}

function readCamt053(bytes: Uint8Array, fileName: string): BankFileReading {
  const reading = new CamtReading(fileName, (entry) => entry)
  visitXml(decoded(bytes, xmlEncoding(bytes, fileName), fileName), reading)
  return reading.result()
}

/**
 * The same of a file that is not there as a whole, in one go.
 * @param head the beginning of the file.
 * @throws InputFault as for reading it.
 */
export function flowCamt053(head: Uint8Array, pieces: BytePieces, fileName: string): BankFileFlow {
  const text = decodedPieces(pieces, xmlEncoding(head, fileName), fileName)
  let waiting: FlowingEntry[] = []
  const outline = outliner()
  const reading = new CamtReading(fileName, (entry, statement) => {
    const outlined = outline(entry)
    waiting.push({
      entry,
      statement,
      number: outlined.number,
      fingerprint: outlined.fingerprint,
    })
    return outlined
  })
  let isOver = false
  function* entries(): Generator<readonly FlowingEntry[], void, undefined> {
    for (const _ of visitXmlByPieces(text, reading)) {
      if (waiting.length < FLOWING_ENTRIES_MIN) continue
      yield waiting
      waiting = []
    }
    yield waiting
    isOver = true
  }
  return {
    entries: entries(),
    outline: () => {
      if (!isOver) throw new Error(`the entries of ${fileName} did not all go by`)
      return reading.result()
    },
  }
}

/** Entries that are handed over at once: few, so that their texts are garbage while they are young. */
const FLOWING_ENTRIES_MIN = 20

/** Makes outlines that share their days, currencies and accounts, which are few. */
function outliner(): (entry: BankEntry) => OutlinedEntry {
  const days = new Map<string, Day>()
  const texts = new Map<string, string>()
  const shared = <T extends string>(known: Map<string, T>, text: T): T => {
    const found = known.get(text)
    if (found === undefined) known.set(text, text)
    return found ?? text
  }
  let number = 0
  return (entry) => {
    number += 1
    return {
      number,
      account: shared(texts, entry.account),
      bookingDay: shared(days, entry.bookingDay),
      amountMinor: entry.amountMinor,
      currency: shared(texts, entry.currency),
      place: entry.place,
      position: entry.position,
      fingerprint: fingerprint(entry),
    }
  }
}

/** Collects statements while the document goes by; only what belongs to them is kept. */
class CamtReading<Kept extends ComparedEntry> implements XmlVisitor {
  private readonly fileName: string
  private readonly keep: Keep<Kept>
  private readonly statements: StatementOf<Kept>[] = []
  private version: string | null = null
  private messageCreated: string | null = null
  private statement: CamtStatementParts<Kept> | null = null
  private entriesSeen = 0
  private readonly leftOut = new Map<string, number>()
  private daysFromValue = 0
  private leftOutOfStatement = 0
  private readonly pages: CamtPage[] = []
  private readonly doubts: string[] = []

  constructor(fileName: string, keep: Keep<Kept>) {
    this.fileName = fileName
    this.keep = keep
  }

  opened(
    name: string,
    attributes: Readonly<Record<string, string>>,
    { parent, line }: { parent: string | null; line: number },
  ): 'enter' | 'take' {
    if (this.statement === null) {
      this.version ??= versionIn(attributes)
      const other = OTHER_MESSAGES[name.replace(/V\d+$/, '')]
      if (other !== undefined) this.broken(line, `the file holds ${other}, not a statement`)
    }
    if (name === 'Stmt') {
      if (this.statement !== null) this.broken(line, 'a statement begins inside another one')
      const number = this.statements.length + 1
      this.leftOutOfStatement = 0
      this.statement = { number, line, children: [], account: null, waiting: [], entries: [] }
      return 'enter'
    }
    if (name === 'Ntry') {
      if (parent !== 'Stmt')
        this.broken(line, 'an entry (Ntry) stands outside of a statement (Stmt)')
      this.entriesSeen += 1
      if (this.entriesSeen > ENTRIES_PER_FILE_MAX) {
        this.broken(line, `the file has more than ${ENTRIES_PER_FILE_MAX} entries`)
      }
    }
    return this.statement !== null || name === 'GrpHdr' ? 'take' : 'enter'
  }

  taken(element: XmlElement, raw: string): void {
    if (this.statement === null) {
      this.messageCreated = textAt(element, 'CreDtTm')
      this.addPage(
        pageAt(element, 'MsgPgntn', 'the message', (found) =>
          refusal(this.fileName, `line ${element.line}`, found),
        ),
      )
    } else if (element.name === 'Ntry') {
      this.takeEntry(this.statement, element, raw)
    } else {
      this.statement.children.push(element)
    }
  }

  private takeEntry(statement: CamtStatementParts<Kept>, element: XmlElement, raw: string): void {
    const place = `entry ${this.entriesSeen}, line ${element.line}`
    const refuse = (found: string): InputFault => refusal(this.fileName, place, found)
    const status = readStatus(element, refuse)
    if (status !== 'BOOK') {
      this.leftOut.set(status, (this.leftOut.get(status) ?? 0) + 1)
      this.leftOutOfStatement += 1
      return
    }
    const entry = readEntry(element, refuse)
    if (entry.bookingDayIsValueDay) this.daysFromValue += 1
    const placed = { entry, place, position: this.entriesSeen, raw }
    addEntry(statement, placed, this.keep, this.refuseIn(statement))
  }

  closed(name: string): void {
    if (name !== 'Stmt' || this.statement === null) return
    const parts = this.statement
    this.statement = null
    const refuse = this.refuseIn(parts)
    const finished = finishStatement(parts, this.messageCreated, this.keep, refuse)
    this.statements.push(...finished)
    const element = asElement(parts)
    // Totals may include entries that do not count yet.
    if (this.leftOutOfStatement === 0) this.doubts.push(...totalsNotes(element, finished, refuse))
    const [first] = finished
    if (first === undefined) return
    this.addPage(pageAt(element, 'StmtPgntn', `the statement of ${first.account}`, refuse))
  }

  private addPage(page: CamtPage | null): void {
    if (page !== null) this.pages.push(page)
  }

  private refuseIn({ number, line }: CamtStatementParts<Kept>): Refuse {
    return (found) => refusal(this.fileName, `statement ${number}, line ${line}`, found)
  }

  broken(line: number, found: string): never {
    throw refusal(this.fileName, `line ${line}`, found)
  }

  result(): Omit<BankFileReading, 'statements'> & { statements: StatementOf<Kept>[] } {
    if (this.statements.length === 0) {
      throw refusal(this.fileName, null, 'the message holds no statement (Stmt)')
    }
    const notes: string[] = []
    for (const [status, count] of this.leftOut) {
      notes.push(
        `${this.fileName}: ${counted(count, 'entry', 'entries')} with status ${status} left out: only booked entries count`,
      )
    }
    if (this.daysFromValue > 0) {
      notes.push(
        `${this.fileName}: ${counted(this.daysFromValue, 'entry', 'entries')} without a booking date taken on the value date`,
      )
    }
    for (const doubt of [...this.doubts, ...pageNotes(this.pages)]) {
      notes.push(`${this.fileName}: ${doubt}`)
    }
    return {
      format: camt053.format,
      formatVersion: this.version,
      statements: this.statements,
      notes,
    }
  }
}

function counted(count: number, one: string, several: string): string {
  return `${count} ${count === 1 ? one : several}`
}

function versionIn(attributes: Readonly<Record<string, string>>): string | null {
  for (const [name, value] of Object.entries(attributes)) {
    const version = name.startsWith('xmlns')
      ? /camt\.053\.001\.(\d{2})/.exec(value)?.[1]
      : undefined
    if (version !== undefined) return version
  }
  return null
}
