import { textEncoding, xmlEncoding } from './encoding.ts'
import { type OfxElement, ofxText, readOfxElements } from './ofx-elements.ts'
import {
  createdDay,
  newTally,
  readStatement,
  type Refuse,
  type RefuseAt,
  tallyNotes,
} from './ofx-statement.ts'
import { encodingNotes, plainText } from './plain-text.ts'
import { type BankFileReader, type BankFileReading, refusal, shown } from './reader.ts'
import { withoutCopies } from './statement-copies.ts'

/**
 * OFX, Open Financial Exchange: version 1 (SGML, leaves without end tags) and 2 (XML), bank accounts
 * only. It has no opening balance, so its statements are never proved, and no end-to-end id.
 *
 * A date is the day as written: zones in OFX files say where a server stands, not when a bank booked.
 */
export const ofx: BankFileReader = {
  format: 'ofx',
  recognises: ({ text }) => /^\s*OFXHEADER\s*:|<\?OFX\s|<OFX>/i.test(text.slice(0, 2_000)),
  read: readOfx,
}

function readOfx(bytes: Uint8Array, fileName: string): BankFileReading {
  const header = readHeader(bytes)
  const { encoding, isDeclared } = encodingOf(bytes, header, fileName)
  const text = plainText(bytes, encoding, fileName, withoutEndMark)
  const from = headerEnd(text, fileName)
  const root = readOfxElements(text, from, (line, found) => {
    throw refusal(fileName, `line ${line}`, found)
  })
  const refuseAt: RefuseAt = ({ line }, place) => {
    return (found) => refusal(fileName, place ?? `line ${line}`, found)
  }
  const contents = gather(root, refuseAt)
  const tally = newTally()
  const context = { text, refuseAt, idCounts: contents.idCounts, tally, created: createdDay(root) }
  const { statements, notes: copies } = withoutCopies(
    contents.accounts.flatMap(({ element, entries }) => readStatement(element, entries, context)),
    fileName,
  )
  return {
    format: ofx.format,
    formatVersion: header.get('VERSION') ?? null,
    statements,
    notes: [
      ...(isDeclared
        ? declarationNotes(bytes, encoding, fileName)
        : encodingNotes(encoding, text, fileName)),
      ...[...leftOutNotes(contents), ...tallyNotes(tally)].map((note) => `${fileName}: ${note}`),
      ...copies,
    ],
  }
}

const HEADER_BYTES = 2_000

/** `KEY:VALUE` lines before the first element (version 1), or attributes of `<?OFX …?>` (version 2). */
function readHeader(bytes: Uint8Array): ReadonlyMap<string, string> {
  // What counts in a header is ASCII, whatever encoding it announces; UTF-16 shows by zero bytes.
  const head = String.fromCharCode(...bytes.subarray(0, HEADER_BYTES)).replaceAll('\0', '')
  const [beforeElements = ''] = head.split(/<OFX/i, 1)
  const found = beforeElements.matchAll(/([A-Z]{4,20})\s*(?:[:]|=\s*["'])\s*([^\s"'<>?]*)/gi)
  return new Map([...found].map(([, name = '', value = '']) => [name.toUpperCase(), value]))
}

/** Where the header ends and the elements begin. */
function headerEnd(text: string, fileName: string): number {
  const at = text.indexOf('<')
  const header = at === -1 ? text : text.slice(0, at)
  const isHeader = header
    .slice(0, HEADER_BYTES)
    .split('\n')
    .every((line) => /^\s*(?:[A-Z]{4,20}\s*:|$)/i.test(line))
  if (at !== -1 && header.length <= HEADER_BYTES && isHeader) return at
  throw refusal(
    fileName,
    'line 1',
    'the file has no header such as OFXHEADER:100 that elements (<OFX>) follow: it is cut off or damaged',
  )
}

function withoutEndMark(text: string): string {
  const trimmed = text.trimEnd()
  return trimmed.endsWith('\u001a') ? trimmed.slice(0, -1) : text
}

/**
 * What the bytes show, else what the header declares: in version 2 the XML declaration, in version 1
 * `CHARSET`, and UTF-8 where the header names it and the bytes agree.
 */
function encodingOf(
  bytes: Uint8Array,
  header: ReadonlyMap<string, string>,
  fileName: string,
): { encoding: string; isDeclared: boolean } {
  const visible = textEncoding(bytes)
  const undeclared = { encoding: visible, isDeclared: false }
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  if (hasMark || (visible !== 'utf-8' && visible !== 'windows-1252')) return undeclared
  if (/^\s*<\?xml\s/.test(String.fromCharCode(...bytes.subarray(0, 100)))) {
    return { encoding: xmlEncoding(bytes, fileName), isDeclared: true }
  }
  const charset = header.get('CHARSET') ?? ''
  if (/UTF-?8|UNICODE/i.test(`${header.get('ENCODING') ?? ''} ${charset}`)) return undeclared
  if (charset === '' || /^NONE$/i.test(charset)) return undeclared
  const label = charset.toLowerCase().replace(/^(?:cp)?(?=125\d$)/, 'windows-')
  try {
    const encoding = new TextDecoder(label.replace(/^(?=8859-)/, 'iso-')).encoding
    return { encoding, isDeclared: true }
  } catch {
    throw refusal(fileName, 'line 1', `the encoding ${shown(charset)} (CHARSET) is not known`)
  }
}

/** A declaration counts, even where the letters seem to say something else. */
function declarationNotes(bytes: Uint8Array, encoding: string, fileName: string): string[] {
  const looksLikeUtf8 = textEncoding(bytes) === 'utf-8' && bytes.some((byte) => byte > 0x7f)
  return looksLikeUtf8 && encoding !== 'utf-8'
    ? [`${fileName} declares ${encoding}, but its letters look like UTF-8: names may be spoilt`]
    : []
}

/** A statement with its entries, wherever in it they stand. */
interface Holder {
  readonly element: OfxElement
  readonly entries: OfxElement[]
}

/** What a file holds, sorted but not yet read. */
interface Contents {
  readonly accounts: Holder[]
  /** Statements of credit cards, brokers and the like. */
  readonly others: Holder[]
  /** How often an id (`FITID`) occurs, entries that are left out included. */
  readonly idCounts: Map<string, number>
  pendingCount: number
}

function gather(root: OfxElement, refuseAt: RefuseAt): Contents {
  const contents: Contents = { accounts: [], others: [], idCounts: new Map(), pendingCount: 0 }
  const visit = (element: OfxElement, holder: Holder | null): void => {
    for (const child of element.children) {
      const { name } = child
      if (name === 'STMTTRN') {
        if (holder === null)
          throw refuseAt(child)('an entry (STMTTRN) stands outside of a statement')
        holder.entries.push(child)
        const id = ofxText(child, 'FITID')
        if (id !== null) contents.idCounts.set(id, (contents.idCounts.get(id) ?? 0) + 1)
      } else if (name === 'STMTTRNP') {
        contents.pendingCount += 1
      } else if (name.endsWith('STMTRS')) {
        const own = { element: child, entries: [] }
        const kind = name === 'STMTRS' ? contents.accounts : contents.others
        kind.push(own)
        visit(child, own)
      } else {
        if (name === 'STMTTRNRS') refuseError(child, refuseAt)
        visit(child, holder)
      }
    }
  }
  visit(root, null)
  if (contents.accounts.length === 0) throw withoutAccount(root, contents.others, refuseAt)
  return contents
}

/** An answer with an error has no statement, or one that nobody should trust. */
function refuseError(answer: OfxElement, refuseAt: RefuseAt): void {
  if (ofxText(answer, 'STATUS', 'SEVERITY')?.toUpperCase() !== 'ERROR') return
  const code = ofxText(answer, 'STATUS', 'CODE') ?? 'unknown'
  throw refuseAt(answer)(`the bank answered with an error (code ${code}) instead of a statement`)
}

function withoutAccount(
  root: OfxElement,
  others: readonly Holder[],
  refuseAt: RefuseAt,
): ReturnType<Refuse> {
  const kinds = [...new Set(others.map(({ element }) => kindOf(element)))]
  return refuseAt(root)(
    kinds.length === 0
      ? 'the file holds no statement (STMTRS)'
      : `the file holds nothing but ${kinds.join(' and ')}: payouts arrive on bank accounts`,
  )
}

function kindOf({ name }: OfxElement): string {
  return name === 'CCSTMTRS' ? 'credit card statements' : `statements of another kind (${name})`
}

function leftOutNotes({ others, pendingCount }: Contents): string[] {
  return [
    ...others.map(
      (holder) =>
        `${kindOf(holder.element)} left out, with ${counted(holder.entries.length, 'entry', 'entries')}: payouts arrive on bank accounts`,
    ),
    ...(pendingCount === 0
      ? []
      : [
          `${counted(pendingCount, 'pending entry', 'pending entries')} left out: only booked entries count`,
        ]),
  ]
}

function counted(count: number, one: string, several: string): string {
  return `${count} ${count === 1 ? one : several}`
}
