import type { BankStatement } from '../domain/bank-statement.ts'
import { readEntry, readStatus } from './camt053-entry.ts'
import { type CamtStatementParts, finishStatement } from './camt053-statement.ts'
import type { InputFault } from '../errors.ts'
import { decoded, xmlEncoding } from './encoding.ts'
import {
  type BankFileReader,
  type BankFileReading,
  ENTRIES_PER_FILE_MAX,
  refusal,
} from './reader.ts'
import { textAt, visitXml, type XmlElement, type XmlVisitor } from './xml.ts'

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
  const reading = new CamtReading(fileName)
  visitXml(decoded(bytes, xmlEncoding(bytes, fileName), fileName), reading)
  return reading.result()
}

/** Collects statements while the document goes by; only what belongs to them is kept. */
class CamtReading implements XmlVisitor {
  private readonly fileName: string
  private readonly statements: BankStatement[] = []
  private version: string | null = null
  private messageCreated: string | null = null
  private statement: CamtStatementParts | null = null
  private entriesSeen = 0
  private readonly leftOut = new Map<string, number>()
  private daysFromValue = 0

  constructor(fileName: string) {
    this.fileName = fileName
  }

  opened(
    name: string,
    attributes: Readonly<Record<string, string>>,
    { parent, line }: { parent: string | null; line: number },
  ): 'enter' | 'take' {
    if (this.statement === null) this.version ??= versionIn(attributes)
    const other = OTHER_MESSAGES[name.replace(/V\d+$/, '')]
    if (other !== undefined) this.broken(line, `the file holds ${other}, not a statement`)
    if (name === 'Stmt') {
      if (this.statement !== null) this.broken(line, 'a statement begins inside another one')
      this.statement = { line, children: [], entries: [], number: this.statements.length + 1 }
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
    } else if (element.name === 'Ntry') {
      this.takeEntry(this.statement, element, raw)
    } else {
      this.statement.children.push(element)
    }
  }

  private takeEntry(statement: CamtStatementParts, element: XmlElement, raw: string): void {
    const place = `entry ${this.entriesSeen}, line ${element.line}`
    const refuse = (found: string): InputFault => refusal(this.fileName, place, found)
    const status = readStatus(element, refuse)
    if (status !== 'BOOK') {
      this.leftOut.set(status, (this.leftOut.get(status) ?? 0) + 1)
      return
    }
    const entry = readEntry(element, refuse)
    if (entry.bookingDayIsValueDay) this.daysFromValue += 1
    statement.entries.push({ entry, place, position: this.entriesSeen, raw })
  }

  closed(name: string): void {
    if (name !== 'Stmt' || this.statement === null) return
    const parts = this.statement
    this.statement = null
    const place = `statement ${parts.number}, line ${parts.line}`
    this.statements.push(
      ...finishStatement(parts, this.messageCreated, (found) =>
        refusal(this.fileName, place, found),
      ),
    )
  }

  broken(line: number, found: string): never {
    throw refusal(this.fileName, `line ${line}`, found)
  }

  result(): BankFileReading {
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
