import { crc32 } from 'node:zlib'
import { type Entry, fromBufferPromise, type ZipFile } from 'yauzl'
import { InputFault } from '../errors.ts'
import { refusal, shown } from './reader.ts'

/** One file of an archive. */
export interface ArchiveMember {
  /** `archive.zip/member.xml`: what messages and reports call it. Never a path to anything. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** More than one file a day of several accounts over years. */
export const MEMBERS_MAX = 1_000

/** Statements shrink to a tenth, long ones of many blanks to a hundredth; a bomb unfolds to a thousandfold. */
const RATIO_MAX = 250

/** Below this size no ratio does harm. */
const RATIO_BYTES_MIN = 1024 * 1024

const NAME_CHARACTERS_MAX = 200

const HINT =
  'Nothing of the archive was taken. Unpack it, put the bank files themselves into the inbox, and take the archive out.'

export function isZip(bytes: Uint8Array): boolean {
  const [first, second, third, fourth] = bytes
  const isSigned = first === 0x50 && second === 0x4b
  return isSigned && ((third === 3 && fourth === 4) || (third === 5 && fourth === 6))
}

/**
 * The files in a ZIP archive, in its order, unpacked in memory. Folders and what macOS adds to
 * archives by itself are left out.
 * @param bytesMax what all of them together may unfold to.
 * @throws InputFault if the archive is damaged or cut off, holds nothing, is encrypted, holds an
 * archive or a spreadsheet, or is larger than it should be.
 */
export async function unzipped(
  bytes: Uint8Array,
  fileName: string,
  bytesMax: number,
): Promise<ArchiveMember[]> {
  try {
    return await membersOf(bytes, fileName, bytesMax)
  } catch (error) {
    if (error instanceof InputFault || !(error instanceof Error)) throw error
    // The library's messages quote names, which may hold anything.
    throw refuse(
      fileName,
      `the archive cannot be unpacked: it is cut off or damaged (${shown(error.message)})`,
    )
  }
}

async function membersOf(
  bytes: Uint8Array,
  fileName: string,
  bytesMax: number,
): Promise<ArchiveMember[]> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const zip = await fromBufferPromise(buffer, { lazyEntries: true, validateEntrySizes: true })
  if (zip.entryCount > MEMBERS_MAX) {
    throw refuse(fileName, `the archive holds ${zip.entryCount} files, more than ${MEMBERS_MAX}`)
  }
  const members: ArchiveMember[] = []
  const names = new Set<string>()
  let directoryBytes = 0
  let unfoldedBytes = 0
  for await (const entry of zip.eachEntry()) {
    directoryBytes +=
      46 + entry.fileNameLength + entry.extraFieldLength + entry.fileCommentRaw.length
    if (isLeftOut(entry)) continue
    const name = memberName(entry, fileName)
    if (names.has(name)) throw refuse(name, 'the archive holds two files of this name')
    names.add(name)
    unfoldedBytes += entry.uncompressedSize
    if (unfoldedBytes > bytesMax) {
      throw refuse(fileName, `the archive unfolds to more than ${bytesMax} bytes`)
    }
    members.push({ name, bytes: await unpacked(zip, entry, name) })
  }
  refuseLostMembers(buffer, zip, directoryBytes, fileName)
  if (members.length === 0) throw refuse(fileName, 'the archive holds no file')
  return members
}

/** Folders, and the copies of file properties that macOS puts beside the files. */
function isLeftOut({ fileName, uncompressedSize }: Entry): boolean {
  if (fileName.endsWith('/')) return uncompressedSize === 0
  return fileName.startsWith('__MACOSX/') || /(?:^|\/)\.DS_Store$/.test(fileName)
}

function memberName(entry: Entry, fileName: string): string {
  const name = `${fileName}/${entry.fileName.replace(/\p{C}/gu, '?')}`
  if (name.length > fileName.length + NAME_CHARACTERS_MAX) {
    throw refuse(
      fileName,
      `a file in the archive has a name of ${entry.fileName.length} characters`,
    )
  }
  // Sheets of Excel and of LibreOffice are archives of XML.
  if (entry.fileName === '[Content_Types].xml' || entry.fileName === 'mimetype') {
    throw refusal(
      fileName,
      null,
      'the file is a spreadsheet, in which days and amounts may have changed',
      'Ask the bank for the statement in its own format, or export it as CSV. Nothing of this file was taken.',
    )
  }
  return name
}

async function unpacked(zip: ZipFile, entry: Entry, name: string): Promise<Uint8Array> {
  if (entry.isEncrypted()) throw refuse(name, 'the file is encrypted in the archive')
  const { compressedSize, uncompressedSize } = entry
  if (uncompressedSize > RATIO_BYTES_MIN && uncompressedSize > compressedSize * RATIO_MAX) {
    throw refuse(
      name,
      `the file unfolds from ${compressedSize} to ${uncompressedSize} bytes, as no statement does`,
    )
  }
  // The library ends the stream with an error as soon as it gives more or less than was declared.
  const chunks: Uint8Array[] = []
  for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  if (crc32(bytes) !== entry.crc32) {
    throw refuse(name, 'the check sum of the archive does not fit the file: it is damaged')
  }
  if (isZip(bytes) || (bytes[0] === 0x1f && bytes[1] === 0x8b)) {
    throw refuse(name, 'the file is itself an archive or compressed: one layer is unpacked')
  }
  return bytes
}

const END_RECORD_BYTES = 22

/**
 * The archive's end record states the number of files and the size of their directory. The library
 * goes by the number; if damage has made it smaller, the sizes disagree.
 */
function refuseLostMembers(
  buffer: Buffer,
  zip: ZipFile,
  directoryBytes: number,
  fileName: string,
): void {
  // The comment was decoded from a code page in which every byte is one character.
  const endRecord = buffer.length - END_RECORD_BYTES - zip.comment.length
  if (endRecord >= 0 && buffer.readUInt32LE(endRecord + 12) === directoryBytes) return
  throw refuse(
    fileName,
    'the directory of the archive does not hold as many files as it says: it is damaged',
  )
}

function refuse(name: string, found: string): InputFault {
  return refusal(name, null, found, HINT)
}
