/**
 * The records of an export's CSV file. The provider says neither which delimiter nor which encoding
 * it writes: both are found out.
 */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { CsvError, type Options, Parser } from 'csv-parse'
import { InputFault } from '../errors.ts'

/** The labels, or the cells of a line. */
export interface CsvRecord {
  readonly cells: readonly string[]
  /** 1-based; of a record with line breaks in its cells, the last one. */
  readonly line: number
}

/** Read at once; what it holds, some hundred records, is handed out at once and dies young. */
const CHUNK_BYTES = 64 * 1024
const HEAD_BYTES = 64 * 1024
const RECORD_CHARACTERS_MAX = 1_000_000

/**
 * Every record of a file in batches, the labels first; no batch is empty. The file is read no further
 * than it is asked for.
 * @param name of the file for messages.
 * @throws InputFault for a file whose text or cells cannot be told.
 */
export async function* recordsOf(path: string, name: string): AsyncGenerator<CsvRecord[]> {
  const head = await readHead(path)
  if (head.byteLength === 0) throw refusal(name, 'is empty: not even the line of labels is there')
  const encoding = encodingOf(head)
  const parser = new RecordParser({
    delimiter: delimiterOf(firstLine(head, encoding)),
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: RECORD_CHARACTERS_MAX,
  })
  try {
    for await (const text of textOf(path, encoding, name)) {
      await parser.feed(text)
      const records = parser.takeRecords()
      if (records.length > 0) yield records
    }
    await parser.finish()
    const records = parser.takeRecords()
    if (records.length > 0) yield records
  } catch (error) {
    throw error instanceof CsvError ? unreadable(error, name) : error
  } finally {
    parser.destroy()
  }
}

/**
 * Hands its records over as they are found, past the readable side of the stream. There the line of a
 * record is to be had only with an object of statistics for each, at half of the parser's time again.
 */
class RecordParser extends Parser {
  #records: CsvRecord[] = []

  constructor(options: Options) {
    super(options)
    // Whoever writes gets the error; without a listener it would end the process as well.
    this.on('error', () => undefined)
  }

  override push(cells: string[] | null): boolean {
    if (cells === null) return super.push(null)
    this.#records.push({ cells, line: this.info.lines })
    return true
  }

  takeRecords(): CsvRecord[] {
    const records = this.#records
    this.#records = []
    return records
  }

  feed(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.write(text, (error) => (error ? reject(error) : resolve()))
    })
  }

  finish(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.end((error?: Error | null) => (error ? reject(error) : resolve()))
    })
  }
}

async function* textOf(path: string, encoding: string, name: string): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding, { fatal: true })
  const decoded = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true })
    } catch {
      throw refusal(
        name,
        `is not ${encoding.toUpperCase()} text throughout, as its first lines are`,
      )
    }
  }
  const chunks: AsyncIterable<Uint8Array> = createReadStream(path, { highWaterMark: CHUNK_BYTES })
  for await (const chunk of chunks) yield decoded(chunk)
  yield decoded()
}

async function readHead(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** By its mark, else UTF-8 where the head is that, else what French spreadsheets write. */
function encodingOf(head: Uint8Array): string {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le'
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
    return 'utf-8'
  } catch {
    return 'windows-1252'
  }
}

function firstLine(head: Uint8Array, encoding: string): string {
  const text = new TextDecoder(encoding).decode(head, { stream: true })
  return /^[^\r\n]*/.exec(text)?.[0] ?? ''
}

/** No documented label contains a comma or a semicolon, so the more frequent one divides them. */
function delimiterOf(line: string): string {
  const count = (character: string): number => line.split(character).length - 1
  const [best = ','] = [',', ';', '\t'].sort((a, b) => count(b) - count(a))
  return best
}

function unreadable(error: CsvError, name: string): InputFault {
  const line = typeof error['lines'] === 'number' ? `line ${error['lines']} ` : ''
  const why =
    error.code === 'CSV_QUOTE_NOT_CLOSED'
      ? 'begins a quotation that never ends: the file may have been cut off'
      : `cannot be read as CSV (${error.code})`
  return refusal(name, `${line}${why}`)
}

/** A fault of the file `name`, told in words that go on from its name: `is empty`, `line 3 has …`. */
export function refusal(name: string, what: string): InputFault {
  return new InputFault(`${name} ${what}`.replace(`${name} line`, `${name}, line`), {
    hint: 'Nothing of this export was taken. Run the same command again: a new export is asked for. If it persists, the provider has changed the file: report the message above.',
  })
}
