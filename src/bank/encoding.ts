import { refusal } from './reader.ts'

/**
 * Which encoding a file is in, and its text. `TextDecoder` is always used as a stream: in one call
 * Node 20 takes windows-1252 for latin-1, and turns a euro sign into a control character.
 */
const CHUNK_BYTES = 65_536

/** The bytes of a file in pieces, in order, whenever it is called. A piece may be overwritten by the next one. */
export type BytePieces = () => Iterable<Uint8Array>

/**
 * The encoding that the bytes themselves show: a byte order mark, or the zero bytes of UTF-16 around
 * the first character; null if they show none.
 */
function encodingOfBytes([first, second, third, fourth]: Uint8Array): string | null {
  if (first === 0xef && second === 0xbb && third === 0xbf) return 'utf-8'
  if (first === 0xff && second === 0xfe && (third !== 0 || fourth !== 0)) return 'utf-16le'
  if (first === 0xfe && second === 0xff) return 'utf-16be'
  if (first !== undefined && first !== 0 && second === 0 && third !== 0) return 'utf-16le'
  if (first === 0 && second !== undefined && second !== 0) return 'utf-16be'
  return null
}

const DECLARED = /^\s*<\?xml\s[^>]*?encoding\s*=\s*["']([^"'>]*)["']/

/**
 * The encoding of an XML file: what its bytes show, else what it declares, else UTF-8. A file that
 * declares UTF-16 in plain letters does not hold UTF-16: some programs write UTF-8 under that name.
 * @throws InputFault if the declared encoding is not known.
 */
export function xmlEncoding(bytes: Uint8Array, fileName: string): string {
  const visible = encodingOfBytes(bytes)
  if (visible !== null) return visible
  const declared = DECLARED.exec(asciiHead(bytes))?.[1]
  if (declared === undefined || /^(utf|ucs|iso-10646)/i.test(declared)) return 'utf-8'
  try {
    return new TextDecoder(declared).encoding
  } catch {
    throw refusal(fileName, 'line 1', `the encoding "${declared.slice(0, 40)}" is not known`)
  }
}

/** The encoding of a text file that declares none: what its bytes show, else UTF-8 if it is that throughout, else windows-1252. */
export function textEncoding(bytes: Uint8Array): string {
  const visible = encodingOfBytes(bytes)
  if (visible !== null) return visible
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    for (const chunk of chunksOf(bytes)) decoder.decode(chunk, { stream: true })
    decoder.decode()
    return 'utf-8'
  } catch {
    return 'windows-1252'
  }
}

/** The first bytes as text for recognition; never fails. */
export function headText(bytes: Uint8Array): string {
  const decoder = new TextDecoder(encodingOfBytes(bytes) ?? 'utf-8')
  return decoder.decode(bytes, { stream: true })
}

/**
 * The text of a file, piece by piece, without byte order mark.
 * @throws InputFault naming the line on which a byte does not belong to the encoding.
 */
export function decoded(
  bytes: Uint8Array,
  encoding: string,
  fileName: string,
): Generator<string, void, undefined> {
  return decodedPieces(() => chunksOf(bytes), encoding, fileName)
}

/** The same of bytes that are not all there at once. */
export function* decodedPieces(
  pieces: BytePieces,
  encoding: string,
  fileName: string,
): Generator<string, void, undefined> {
  const decoder = new TextDecoder(encoding, { fatal: true })
  let goodBytes = 0
  try {
    for (const chunk of pieces()) {
      const text = decoder.decode(chunk, { stream: true })
      goodBytes += chunk.length
      yield text
    }
    yield decoder.decode()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw refusal(
      fileName,
      `line ${lineOfBadByte(pieces, encoding, goodBytes)}`,
      `a byte is not ${encoding.toUpperCase()}, the encoding of the file: it is damaged or cut, or declares an encoding that it does not have`,
    )
  }
}

/** The pieces that decoded well are counted whole, the one that did not byte by byte. */
function lineOfBadByte(pieces: BytePieces, encoding: string, goodBytes: number): number {
  const decoder = new TextDecoder(encoding, { fatal: true })
  let line = 1
  let seenBytes = 0
  for (const chunk of pieces()) {
    const step = seenBytes < goodBytes ? chunk.length : 1
    for (let at = 0; at < chunk.length; at += step) {
      try {
        line +=
          decoder.decode(chunk.subarray(at, at + step), { stream: true }).split('\n').length - 1
      } catch (error) {
        if (error instanceof TypeError) return line
        throw error
      }
    }
    seenBytes += chunk.length
  }
  return line
}

/** Bytes that are all there, in pieces. */
export function* chunksOf(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}

function asciiHead(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, 256))
}
