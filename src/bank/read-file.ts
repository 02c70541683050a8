import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { camt053 } from './camt053.ts'
import { canonicalCsv } from './canonical-csv.ts'
import { headText } from './encoding.ts'
import { type BankFileReader, type BankFileReading, type FileHead, refusal } from './reader.ts'
import { looksLike } from './refused-formats.ts'

export type { BankFileReading } from './reader.ts'

/** Larger than years of statements; also the bound of what a compressed file may unfold to. */
export const FILE_BYTES_MAX = 200 * 1024 * 1024

/** A file is read by the first reader that recognises it. Another format is one more line here. */
const READERS: readonly BankFileReader[] = [camt053, canonicalCsv]

/** Enough to see the first elements of an XML file, or a few lines of any other. */
const HEAD_BYTES = 65_536

/**
 * Reads a bank file, recognised by its content, plain or compressed with gzip. Pure: the same bytes
 * give the same reading, whatever the machine, its zone and its clock.
 * @param fileName how messages call the file.
 * @throws InputFault naming the file, the place and the value if anything known cannot be read, if
 * the file is cut off or damaged, or if it is of no format that is read. Nothing of it is taken then.
 */
export async function readBankFile(bytes: Uint8Array, fileName: string): Promise<BankFileReading> {
  refuseSize(bytes.length, fileName)
  const plain = isGzip(bytes) ? await unpacked(bytes, fileName) : bytes
  if (plain.length === 0) {
    throw refusal(fileName, null, 'the file is empty: a bank statement was expected')
  }
  const beginning = plain.subarray(0, HEAD_BYTES)
  const head: FileHead = { bytes: beginning, text: headText(beginning) }
  const reader = READERS.find((candidate) => candidate.recognises(head))
  if (reader !== undefined) return reader.read(plain, fileName)
  const known = READERS.map(({ format }) => format).join(' and ')
  throw refusal(
    fileName,
    null,
    `the file looks like ${looksLike(head)}; ${known} are read`,
    'Ask the bank for camt.053 files, or write the canonical CSV (README, "Bank files"). A file that is no statement does not belong into the inbox.',
  )
}

/** @throws InputFault for a file larger than any statement; the job asks before it reads the file. */
export function refuseSize(bytes: number, fileName: string): void {
  if (bytes <= FILE_BYTES_MAX) return
  throw refusal(
    fileName,
    null,
    `the file has ${bytes} bytes, and at most ${FILE_BYTES_MAX} are read`,
    'Ask the bank for shorter periods, or split the file by days.',
  )
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

const gunzipped = promisify<Uint8Array, { maxOutputLength: number }, Uint8Array>(gunzip)

async function unpacked(bytes: Uint8Array, fileName: string): Promise<Uint8Array> {
  try {
    return await gunzipped(bytes, { maxOutputLength: FILE_BYTES_MAX })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    if (code === 'ERR_BUFFER_TOO_LARGE') {
      throw refusal(fileName, null, `the file unfolds to more than ${FILE_BYTES_MAX} bytes`)
    }
    throw refusal(
      fileName,
      null,
      `the compressed file cannot be unpacked (${code}): it is cut off or damaged`,
    )
  }
}
