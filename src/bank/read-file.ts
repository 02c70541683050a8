import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { flowInArchive, inArchive, type NamedReading } from './archive-reading.ts'
import { camt053, flowCamt053 } from './camt053.ts'
import { canonicalCsv } from './canonical-csv.ts'
import { cfonb120 } from './cfonb120.ts'
import { CSV_FORMAT, csvByProfile } from './csv-profile.ts'
import { type BytePieces, chunksOf, headText } from './encoding.ts'
import { fingerprint } from './fingerprint.ts'
import { mt940 } from './mt940.ts'
import { norma43 } from './norma43.ts'
import { ofx } from './ofx.ts'
import { underAccount } from './own-account.ts'
import { BUILT_IN_PROFILES } from './profiles/built-in.ts'
import type { CsvProfile } from './profiles/profile.ts'
import {
  type BankFileFlow,
  type BankFileReader,
  type BankFileReading,
  type FileHead,
  type FlowingEntry,
  refusal,
} from './reader.ts'
import { A_TABLE, looksLike } from './refused-formats.ts'
import { isZip, unzipped } from './zip.ts'

export { CSV_FORMAT } from './csv-profile.ts'
export type {
  BankFileFlow,
  BankFileOutline,
  BankFileReading,
  FlowingEntry,
  OutlinedEntry,
} from './reader.ts'

/** Larger than years of statements; also the bound of what a compressed file may unfold to. */
export const FILE_BYTES_MAX = 200 * 1024 * 1024

/** A file is read by the first reader that recognises it. Another format is one more line here. */
const READERS: readonly BankFileReader[] = [camt053, cfonb120, mt940, norma43, ofx, canonicalCsv]

/** Every format by the name under which it can be asked for. */
export const BANK_FORMATS: readonly string[] = [...READERS.map(({ format }) => format), CSV_FORMAT]

/** What a person says of a file beside its content. */
export interface ReadingOptions {
  /** One of `BANK_FORMATS`, whatever the file looks like; null: as it looks. */
  readonly format: string | null
  /** The name of a profile for a CSV file; null: the one that fits. */
  readonly profile: string | null
  /** The own account of which the file is; null: as the file says. */
  readonly account: string | null
  readonly profiles: readonly CsvProfile[]
}

export const AS_THE_FILE_SAYS: ReadingOptions = {
  format: null,
  profile: null,
  account: null,
  profiles: BUILT_IN_PROFILES,
}

/** Enough to see the first elements of an XML file, or a few lines of any other. */
export const HEAD_BYTES = 65_536

/**
 * Reads a bank file, recognised by its content, plain or compressed with gzip. Pure: the same bytes
 * give the same reading, whatever the machine, its zone and its clock.
 * @param fileName how messages call the file.
 * @throws InputFault naming the file, the place and the value if anything known cannot be read, if
 * the file is cut off or damaged, or if it is of no format that is read. Nothing of it is taken then.
 */
export async function readBankFile(
  bytes: Uint8Array,
  fileName: string,
  options: ReadingOptions = AS_THE_FILE_SAYS,
): Promise<BankFileReading> {
  const [only, another] = await readBankFiles(bytes, fileName, options)
  if (only !== undefined && another === undefined) return only.reading
  throw new Error(`${fileName} is an archive of several files`)
}

/**
 * The same, an archive's members each for itself: `archive.zip/member.xml`. Any other file gives one
 * reading under its own name.
 * @throws InputFault as above; a member that is refused refuses the archive.
 */
export async function readBankFiles(
  bytes: Uint8Array,
  fileName: string,
  options: ReadingOptions = AS_THE_FILE_SAYS,
): Promise<NamedReading[]> {
  const plain = await unfolded(bytes, fileName)
  if (!isZip(plain))
    return [{ name: fileName, bytes, reading: readPlain(plain, fileName, options) }]
  const members = await unzipped(plain, fileName, FILE_BYTES_MAX)
  return members.map((member) => ({
    ...member,
    reading: inArchive(fileName, () => readPlain(member.bytes, member.name, options)),
  }))
}

/** A bank file wherever it lies. It says the same bytes whenever it is asked. */
export interface BankFileSource {
  /** The first `HEAD_BYTES`, or all of a shorter file. */
  readonly head: Uint8Array
  readonly pieces: BytePieces
  whole(): Uint8Array
}

/** A bank file that can be taken in. */
export interface FlowingBankFile {
  readonly name: string
  /** What the file is in an archive; null: no archive, the file itself. */
  readonly member: Uint8Array | null
  /** @throws InputFault as for reading it; what is wrong further down shows as it goes by. */
  open(): BankFileFlow
}

/**
 * The bank files in a file, for whoever stores them: an archive's members, else the file itself. A
 * camt.053 file, the only format in which banks send hundreds of megabytes, goes by piece by piece;
 * other formats, and files whose account a person gave, are read whole when they are opened.
 * @throws InputFault as `readBankFiles` does for a file that cannot be unpacked.
 */
export async function flowBankFiles(
  source: BankFileSource,
  fileName: string,
  options: ReadingOptions = AS_THE_FILE_SAYS,
): Promise<FlowingBankFile[]> {
  if (isPlainCamt(source.head, options)) {
    const open = (): BankFileFlow => flowCamt053(source.head, source.pieces, fileName)
    return [{ name: fileName, member: null, open }]
  }
  const plain = await unfolded(source.whole(), fileName)
  if (!isZip(plain)) {
    return [{ name: fileName, member: null, open: () => flowOf(plain, fileName, options) }]
  }
  const members = await unzipped(plain, fileName, FILE_BYTES_MAX)
  return members.map(({ name, bytes }) => ({
    name,
    member: bytes,
    open: () => flowInArchive(fileName, () => flowOf(bytes, name, options)),
  }))
}

function isPlainCamt(bytes: Uint8Array, { format, profile, account }: ReadingOptions): boolean {
  const isAsked = format === camt053.format || (format === null && profile === null)
  if (!isAsked || account !== null || isGzip(bytes) || isZip(bytes)) return false
  return camt053.recognises({ bytes, text: headText(bytes) })
}

function flowOf(plain: Uint8Array, fileName: string, options: ReadingOptions): BankFileFlow {
  const head = plain.subarray(0, HEAD_BYTES)
  return isPlainCamt(head, options)
    ? flowCamt053(head, () => chunksOf(plain), fileName)
    : flowOfReading(readPlain(plain, fileName, options))
}

/** Entries of a whole reading that are handed over at once. */
const FLOWING_ENTRIES_MAX = 1_000

function flowOfReading({ hasUniqueReferences, ...reading }: BankFileReading): BankFileFlow {
  const all: FlowingEntry[] = []
  const statements = reading.statements.map((statement, index) => ({
    ...statement,
    entries: statement.entries.map((entry) => {
      const { account, bookingDay, amountMinor, currency, place, position } = entry
      const named = { number: all.length + 1, fingerprint: fingerprint(entry, hasUniqueReferences) }
      all.push({ ...named, statement: index + 1, entry })
      return { ...named, account, bookingDay, amountMinor, currency, place, position }
    }),
  }))
  function* entries(): Generator<readonly FlowingEntry[], void, undefined> {
    for (let at = 0; at < all.length; at += FLOWING_ENTRIES_MAX) {
      yield all.slice(at, at + FLOWING_ENTRIES_MAX)
    }
  }
  return { entries: entries(), outline: () => ({ ...reading, statements }) }
}

function readPlain(plain: Uint8Array, fileName: string, options: ReadingOptions): BankFileReading {
  if (plain.length === 0) {
    throw refusal(fileName, null, 'the file is empty: a bank statement was expected')
  }
  const beginning = plain.subarray(0, HEAD_BYTES)
  const head: FileHead = { bytes: beginning, text: headText(beginning) }
  const csv = csvByProfile(options, fileName)
  const readers = [...READERS, csv]
  const looks = readers.find((candidate) => candidate.recognises(head))
  const asked = options.format ?? (options.profile === null ? null : CSV_FORMAT)
  if (asked !== null) {
    const reader = readers.find(({ format }) => format === asked)
    if (reader === undefined) throw new Error(`there is no format ${asked}`)
    return readAs(reader, looks, plain, fileName, options)
  }
  if (looks !== undefined) return readAs(looks, looks, plain, fileName, options)
  const what = looksLike(head)
  // It says which columns it found, and that no profile has them.
  if (what === A_TABLE) return csv.read(plain, fileName)
  throw refusal(
    fileName,
    null,
    `the file looks like ${what}; ${BANK_FORMATS.join(', ')} are read`,
    'Ask the bank for camt.053 files, or write the canonical CSV (README, "Bank files"). A file that is no statement does not belong into the inbox.',
  )
}

/** @param looks the reader that recognises the file by itself, if there is one. */
function readAs(
  reader: BankFileReader,
  looks: BankFileReader | undefined,
  bytes: Uint8Array,
  fileName: string,
  { account }: ReadingOptions,
): BankFileReading {
  const found = reader.read(bytes, fileName)
  // A CSV file may not name its account, so its reader knows of the one that was given.
  const reading =
    account === null || reader.format === CSV_FORMAT
      ? found
      : underAccount(found, account, fileName)
  if (reader === looks) return reading
  const note = `${fileName} was read as ${reader.format}, as was asked, although it looks ${looks === undefined ? 'like no format that is read' : `like ${looks.format}`}`
  return { ...reading, notes: [...reading.notes, note] }
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

async function unfolded(bytes: Uint8Array, fileName: string): Promise<Uint8Array> {
  refuseSize(bytes.length, fileName)
  return isGzip(bytes) ? unpacked(bytes, fileName) : bytes
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
