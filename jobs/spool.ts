/** Values that are too many to hold, kept in a file without a name and read as often as one likes. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { deserialize, serialize } from 'node:v8'
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'

export interface Spool {
  /**
   * Reads the pieces to their end and keeps their values.
   * @param max of values; of more nothing is kept, and the answer is null.
   * @returns the values in the order in which they came, a piece of them in memory at a time. Not to be
   * read after `close`.
   */
  keep<T>(pieces: AsyncIterable<readonly T[]>, max: number): Promise<Iterable<T> | null>
  close(): void
}

/** Where a piece stands in the file. */
interface Piece {
  readonly position: number
  readonly bytes: number
}

/** @throws the file system's own error (with `code` and `path`) if the temporary folder cannot be written. */
export async function openSpool(): Promise<Spool> {
  const file = await openNameless()
  let end = 0
  return {
    keep: async <T>(pieces: AsyncIterable<readonly T[]>, max: number) => {
      const index: Piece[] = []
      let count = 0
      for await (const values of pieces) {
        count += values.length
        if (count > max) return null
        // Rows repeat each other's names and beginnings: a tenth is left of them.
        const bytes = deflateRawSync(serialize(values), { level: constants.Z_BEST_SPEED })
        writeWhole(file, bytes, end)
        index.push({ position: end, bytes: bytes.length })
        end += bytes.length
      }
      return {
        *[Symbol.iterator]() {
          for (const piece of index) {
            const values: readonly T[] = deserialize(inflateRawSync(readPiece(file, piece)))
            yield* values
          }
        },
      }
    },
    close: () => closeSync(file),
  }
}

/** A file that is gone as soon as it is closed, however the process ends. */
async function openNameless(): Promise<number> {
  const folder = await mkdtemp(path.join(tmpdir(), 'alma-reconcile-'))
  try {
    return openSync(path.join(folder, 'spool'), 'wx+', 0o600)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function writeWhole(file: number, bytes: Uint8Array, position: number): void {
  try {
    for (let done = 0; done < bytes.length;) {
      done += writeSync(file, bytes, done, bytes.length - done, position + done)
    }
  } catch (error) {
    // A file without a name has no path to tell of; its folder is what a person can do something about.
    throw error instanceof Error ? Object.assign(error, { path: tmpdir() }) : error
  }
}

function readPiece(file: number, { position, bytes }: Piece): Uint8Array {
  const buffer = Buffer.allocUnsafe(bytes)
  for (let done = 0; done < bytes;) {
    const read = readSync(file, buffer, done, bytes - done, position + done)
    if (read === 0) throw new Error('the temporary file is shorter than what was written to it')
    done += read
  }
  return buffer
}
