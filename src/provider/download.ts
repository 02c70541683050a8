/** The body of an answer into a file: bounded, hashed, on the disk before anybody relies on it. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { UnavailableFault } from '../errors.ts'
import type { HttpAnswer } from './http.ts'

export interface DownloadTarget {
  /** Written from the start whatever was there; removed by nobody here. */
  readonly path: string
  readonly bytesMax: number
}

export interface DownloadedFile {
  readonly bytes: number
  /** Hex, of the bytes as stored. */
  readonly sha256: string
}

/**
 * Readable by its owner only: exports name customers.
 * @throws UnavailableFault if the body is larger than allowed; the network's error if it breaks off.
 */
export async function writeBody(
  answer: HttpAnswer,
  target: DownloadTarget,
): Promise<DownloadedFile> {
  const file = await open(target.path, 'w', 0o600)
  try {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const chunk of answer.body) {
      bytes += chunk.byteLength
      if (bytes > target.bytesMax) throw tooLarge(target.bytesMax)
      hash.update(chunk)
      await file.writeFile(chunk)
    }
    await file.sync()
    return { bytes, sha256: hash.digest('hex') }
  } finally {
    answer.dispose()
    await file.close()
  }
}

function tooLarge(bytesMax: number): UnavailableFault {
  return new UnavailableFault(
    `the file of the data export is larger than the ${bytesMax} bytes that are accepted`,
    { hint: 'Reconcile shorter periods, so that each export is smaller.' },
  )
}
