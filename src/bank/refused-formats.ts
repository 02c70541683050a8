import type { FileHead } from './reader.ts'

/** What a file is that no reader takes, said so that its owner knows what to ask for. */
interface RefusedFormat {
  /** Completes the sentence "the file looks like …". */
  readonly looksLike: string
  recognises(head: FileHead): boolean
}

const XML_ELEMENT = /<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)/

function startsWith({ bytes }: FileHead, ...start: readonly number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte)
}

/** A file of fixed-width records: its first lines, or the first records where it has no line breaks. */
function records({ text }: FileHead, width: number): string[] {
  const lines = text.split(/\r\n?|\n/).filter((line) => line !== '')
  const [only = ''] = lines
  if (lines.length > 1 || only.length < 2 * width) return lines.slice(0, 20)
  return Array.from({ length: 20 }, (_, index) =>
    only.slice(index * width, (index + 1) * width),
  ).filter((record) => record.length === width)
}

function xmlHas({ text }: FileHead, element: string): boolean {
  return new RegExp(`<(?:[\\w.-]+:)?${element}(?:V\\d+)?[\\s/>]`).test(text)
}

/** The first that fits names the file; the order is from certain signs to weak ones. */
const REFUSED_FORMATS: readonly RefusedFormat[] = [
  {
    looksLike: 'a part of a ZIP archive',
    recognises: (head) => startsWith(head, 0x50, 0x4b),
  },
  { looksLike: 'a PDF document', recognises: (head) => startsWith(head, 0x25, 0x50, 0x44, 0x46) },
  {
    looksLike: 'an old Excel file',
    recognises: (head) => startsWith(head, 0xd0, 0xcf, 0x11, 0xe0),
  },
  { looksLike: 'a file compressed twice', recognises: (head) => startsWith(head, 0x1f, 0x8b) },
  {
    looksLike: 'a camt.052 report of the running day, whose entries may still change',
    recognises: (head) => xmlHas(head, 'BkToCstmrAcctRpt'),
  },
  {
    looksLike: 'a camt.054 notification, which has no balances',
    recognises: (head) => xmlHas(head, 'BkToCstmrDbtCdtNtfctn'),
  },
  {
    looksLike: 'a pain.001 order of transfers, not a statement',
    recognises: (head) => xmlHas(head, 'CstmrCdtTrfInitn'),
  },
  {
    looksLike: 'a pain.002 report on orders, not a statement',
    recognises: (head) => xmlHas(head, 'CstmrPmtStsRpt'),
  },
  {
    looksLike: 'a pain.008 order of direct debits, not a statement',
    recognises: (head) => xmlHas(head, 'CstmrDrctDbtInitn'),
  },
  {
    looksLike: 'a CFONB240 list of returns',
    recognises: (head) =>
      head.text.startsWith('31') && records(head, 240).every((line) => /^3[149]/.test(line)),
  },
  { looksLike: 'a CBI statement', recognises: ({ text }) => /^ (?:RH|EC)/.test(text) },
  {
    looksLike: 'a CODA statement',
    recognises: ({ text }) => /^0000\d[^\r\n]{123}(?:[\r\n]|$)/.test(text),
  },
  {
    looksLike: 'an MT942 report of the running day, whose entries may still change',
    recognises: ({ text }) => /^:20:/m.test(text) && /^:34F:/m.test(text),
  },
]

/** What `looksLike` says of a table of text; which bank's it is, its header tells. */
export const A_TABLE = 'a CSV file'

const TABLE_LINES_MAX = 60

function isTable({ text }: FileHead): boolean {
  const lines = text.split(/\r\n?|\n/, TABLE_LINES_MAX)
  return !text.includes('\0') && lines.some((line) => /[,;\t|].*[,;\t|]/.test(line))
}

/** Names what the file looks like, as far as its beginning tells: `a CODA statement`. */
export function looksLike(head: FileHead): string {
  const refused = REFUSED_FORMATS.find((format) => format.recognises(head))
  if (refused !== undefined) return refused.looksLike
  if (/^\s*</.test(head.text)) {
    const element = XML_ELEMENT.exec(head.text.replace(/<\?.*?\?>|<!--.*?-->/gs, ''))?.[1]
    return `XML, but not like a statement${element === undefined ? '' : ` (its first element is ${element.slice(0, 40)})`}`
  }
  if (isTable(head)) return A_TABLE
  return 'nothing that is known as a bank statement'
}
