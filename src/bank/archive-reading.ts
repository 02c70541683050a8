import type { BankStatement } from '../domain/bank-statement.ts'
import { InputFault } from '../errors.ts'
import { type BankFileReading, refusal } from './reader.ts'
import type { ArchiveMember } from './zip.ts'

/** What one file says, with its own name and bytes: of an archive, each of its members. */
export interface NamedReading extends ArchiveMember {
  readonly reading: BankFileReading
}

/** The readings of all members of an archive; if one of them is refused, the archive is, and the message names it. */
export function readMembers(
  members: readonly ArchiveMember[],
  fileName: string,
  read: (bytes: Uint8Array, name: string) => BankFileReading,
): NamedReading[] {
  return members.map(({ name, bytes }) => {
    try {
      return { name, bytes, reading: read(bytes, name) }
    } catch (error) {
      if (!(error instanceof InputFault)) throw error
      throw new InputFault(error.message, {
        hint: `Nothing of ${fileName} was taken, its other files neither. ${error.hint ?? ''}`.trim(),
        cause: error,
      })
    }
  })
}

/**
 * The members of an archive as if they were one file, for whoever stores one file. Places begin with
 * the name of the member, and positions count through all of them.
 * @throws InputFault if two members tell of the same days of an account: within one file, entries are
 * never compared with each other, so they would count twice.
 */
export function mergedReading(
  readings: readonly NamedReading[],
  fileName: string,
): BankFileReading {
  const [only, another] = readings
  if (only !== undefined && another === undefined) return only.reading
  refuseOverlaps(readings, fileName)
  let positionsBefore = 0
  const statements: BankStatement[] = []
  for (const { name, reading } of readings) {
    let lastPosition = positionsBefore
    const member = name.slice(fileName.length + 1)
    for (const statement of reading.statements) {
      const entries = statement.entries.map((entry) => {
        const position = positionsBefore + entry.position
        lastPosition = Math.max(lastPosition, position)
        return { ...entry, position, place: `${member}, ${entry.place}` }
      })
      statements.push({ ...statement, entries })
    }
    positionsBefore = lastPosition
  }
  const distinct = (values: readonly (string | null)[]): string =>
    [...new Set(values.filter((value) => value !== null))].join(' + ')
  const format = distinct(readings.map(({ reading }) => reading.format))
  const version = distinct(readings.map(({ reading }) => reading.formatVersion))
  return {
    format,
    // A version says nothing where it is not said of which format.
    formatVersion: version === '' || format.includes(' + ') ? null : version,
    statements,
    notes: readings.flatMap(({ reading }) => reading.notes),
    hasUniqueReferences: readings.every(({ reading }) => reading.hasUniqueReferences === true),
  }
}

function refuseOverlaps(readings: readonly NamedReading[], fileName: string): void {
  const told = readings.flatMap(({ name, reading }) =>
    reading.statements.map((statement) => ({ name, statement })),
  )
  const sorted = told.toSorted((a, b) => compareSpans(a.statement, b.statement))
  let reaching = sorted[0]
  for (const next of sorted.slice(1)) {
    const sameAccount =
      reaching !== undefined &&
      reaching.statement.account === next.statement.account &&
      reaching.statement.currency === next.statement.currency
    if (reaching !== undefined && sameAccount && next.name !== reaching.name) {
      const { toDay, openingMinor: reachingOpeningMinor, closingMinor } = reaching.statement
      const { account, fromDay, openingMinor } = next.statement
      const follows =
        fromDay > toDay ||
        (fromDay === toDay &&
          closingMinor !== null &&
          closingMinor === openingMinor &&
          closingMinor !== reachingOpeningMinor)
      if (!follows) {
        throw refusal(
          fileName,
          null,
          `${next.name} and ${reaching.name} tell of the same days of account ${account}, and together they might count twice`,
          'Nothing of the archive was taken. Unpack it and put the bank files themselves into the inbox: between files, entries that are there twice are found.',
        )
      }
    }
    if (!sameAccount || next.statement.toDay >= (reaching?.statement.toDay ?? '')) reaching = next
  }
}

function compareSpans(a: BankStatement, b: BankStatement): number {
  const key = ({ account, currency, fromDay, toDay }: BankStatement): string =>
    [account, currency, fromDay, toDay].join(' ')
  return key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0
}
