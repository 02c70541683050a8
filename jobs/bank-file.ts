import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { type BankFilePath, osErrorCode } from '../src/bank/inbox.ts'
import { type BankFileSource, HEAD_BYTES, refuseSize } from '../src/bank/read-file.ts'
import { InputFault, UnavailableFault } from '../src/errors.ts'

/** A bank file that lies open. */
export interface OpenBankFile {
  /** Of all its bytes, in hexadecimal. */
  readonly sha256: string
  /** Its size. */
  readonly bytes: number
  readonly source: BankFileSource
}

/** What is read at once: little, so that what was cut out of it is garbage while it is young. */
const PIECE_BYTES = 16_384

/**
 * Opens a bank file for as long as the work takes. Only pieces of it are in memory. Each time that it
 * is read to its end, it must still have the hash that it had at first.
 * @throws InputFault if the file cannot be opened, is larger than any statement, or changes meanwhile;
 * UnavailableFault if the disk or share fails.
 */
export async function withBankFile<T>(
  { name, path }: BankFilePath,
  work: (file: OpenBankFile) => Promise<T>,
): Promise<T> {
  const handle = await orFault(name, () => open(path))
  try {
    const { size } = await orFault(name, () => handle.stat())
    refuseSize(size, name)
    const hash = createHash('sha256')
    let bytes = 0
    for (const piece of piecesOf(handle, name)) {
      hash.update(piece)
      bytes += piece.length
      refuseSize(bytes, name)
    }
    const sha256 = hash.digest('hex')
    const head = joined(piecesOf(handle, name, HEAD_BYTES), Math.min(bytes, HEAD_BYTES))
    const pieces = (): Iterable<Uint8Array> => unchangedPieces(handle, name, { sha256, bytes })
    return await work({
      sha256,
      bytes,
      source: { head, pieces, whole: () => joined(pieces(), bytes) },
    })
  } finally {
    await handle.close()
  }
}

/**
 * The file from its beginning. It waits for the disk, as readers take their input from an iterator that
 * does not; each piece is overwritten by the next one.
 */
function* piecesOf(
  handle: FileHandle,
  name: string,
  bytesMax = Infinity,
): Generator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES)
  for (let at = 0; at < bytesMax;) {
    const bytes = readPiece(handle, name, buffer, at)
    if (bytes === 0) return
    yield buffer.subarray(0, Math.min(bytes, bytesMax - at))
    at += bytes
  }
}

function readPiece(handle: FileHandle, name: string, buffer: Buffer, at: number): number {
  try {
    return readSync(handle.fd, buffer, 0, buffer.length, at)
  } catch (error) {
    throw faultOf(error, name)
  }
}

/** Once through the file, which must be what it was when it was hashed. */
function* unchangedPieces(
  handle: FileHandle,
  name: string,
  first: { readonly sha256: string; readonly bytes: number },
): Generator<Uint8Array, void, undefined> {
  const hash = createHash('sha256')
  let bytes = 0
  for (const piece of piecesOf(handle, name)) {
    bytes += piece.length
    if (bytes > first.bytes) throw changed(name)
    hash.update(piece)
    yield piece
  }
  if (hash.digest('hex') !== first.sha256) throw changed(name)
}

function joined(pieces: Iterable<Uint8Array>, bytes: number): Uint8Array {
  const whole = Buffer.allocUnsafe(bytes)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

function changed(name: string): InputFault {
  return new InputFault(`${name}: the file changed while it was read`, {
    hint: 'Nothing of it was taken. Let whatever writes it finish; then run the same command again.',
  })
}

/** What concerns one file only rejects it; a disk or share that fails concerns all of them. */
const FILE_CODES = new Set([
  'ENOENT',
  'EACCES',
  'EPERM',
  'EISDIR',
  'ENOTDIR',
  'ENAMETOOLONG',
  'ELOOP',
])

async function orFault<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw faultOf(error, name)
  }
}

function faultOf(error: unknown, name: string): InputFault | UnavailableFault {
  const code = osErrorCode(error)
  if (FILE_CODES.has(code)) {
    return new InputFault(`${name}: the file cannot be opened (${code})`, {
      hint: 'Check that it is there, that it is a file and that this account may read it.',
      cause: error,
    })
  }
  return new UnavailableFault(`the bank file ${name} cannot be read (${code})`, {
    hint: 'Check the disk or network share on which it lies; then run the same command again.',
    cause: error,
  })
}
