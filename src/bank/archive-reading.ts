import { InputFault } from '../errors.ts'
import type { BankFileFlow, BankFileReading, FlowingEntry } from './reader.ts'
import type { ArchiveMember } from './zip.ts'

/** What one file says, with its own name and bytes: of an archive, each of its members. */
export interface NamedReading extends ArchiveMember {
  readonly reading: BankFileReading
}

/**
 * Work on a member of an archive. If it is refused, the archive is: the message names the member, and
 * the hint says what became of the others.
 */
export function inArchive<T>(archiveName: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw faultOfArchive(archiveName, error)
  }
}

/** A member that goes by: refused as above. */
export function flowInArchive(archiveName: string, open: () => BankFileFlow): BankFileFlow {
  const flow = inArchive(archiveName, open)
  function* entries(): Generator<readonly FlowingEntry[], void, undefined> {
    try {
      yield* flow.entries
    } catch (error) {
      throw faultOfArchive(archiveName, error)
    }
  }
  return { entries: entries(), outline: () => inArchive(archiveName, () => flow.outline()) }
}

function faultOfArchive(archiveName: string, error: unknown): unknown {
  if (!(error instanceof InputFault)) return error
  return new InputFault(error.message, {
    hint: `Nothing of ${archiveName} was taken, its other files neither. ${error.hint ?? ''}`.trim(),
    cause: error,
  })
}
