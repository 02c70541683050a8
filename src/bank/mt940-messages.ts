import { ENTRIES_PER_FILE_MAX, refusal, shown } from './reader.ts'

/** A field of a message: `:61:` and what follows it up to the next field. */
export interface Mt940Field {
  /** Without colons: `61`, `60F`, `NS`. */
  readonly tag: string
  /** 1-based. */
  readonly line: number
  /** The value line by line, as the file has it, blank lines left out. */
  readonly lines: string[]
  /** Where the field begins and ends in the text. */
  readonly from: number
  to: number
}

/** One message: a statement, or one page of it. */
export interface Mt940Message {
  readonly line: number
  /** In the order of the file: those before the opening balance, the entries', those after the closing one. */
  readonly fields: readonly Mt940Field[]
}

/** How far a message is: before its opening balance, between the balances, after the closing one. */
type Part = 'head' | 'entries' | 'tail'

interface OpenMessage {
  readonly line: number
  readonly isEnveloped: boolean
  readonly fields: Mt940Field[]
  part: Part
}

interface Line {
  readonly number: number
  readonly text: string
  readonly from: number
  readonly to: number
}

const FIELD = /^:(\d{2}[A-Z]?|NS):/
const ENTRY_FIELDS = new Set(['61', '86', 'NS'])
/** Fields that stand once in a message. */
const SINGLE_FIELDS = new Set(['20', '25', '25P', '28', '28C'])
/** Fields whose value is one line: other text below them shows that a field's beginning is damaged. */
const ONE_LINE_FIELDS = new Set(['20', '21', '25', '28', '28C', '60F', '60M', '62F', '62M'])
/** Fields of an MT942. */
const INTRADAY_FIELDS = new Set(['34F', '90C', '90D'])
/** What stands around messages without SWIFT envelopes: `ABNANL2A`, `940`, `:940:`. */
const HEADER_LINE = /^(?:[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3,4})?|(?:MT)?940|:940:)$/
/** Many times what SWIFT allows. */
const FIELD_CHARACTERS_MAX = 20_000
const PLACES: Readonly<Record<Part, string>> = {
  head: 'before the opening balance (:60F:)',
  entries: 'between opening and closing balance (:60F: to :62F:)',
  tail: 'after the closing balance (:62F:)',
}

/**
 * Splits a file into its messages, in SWIFT envelopes or without. A line begins a field only where
 * the order of fields allows it: a text that is broken inside a time of day may look like a field.
 * @returns the messages, and how many lines around them are not known.
 * @throws InputFault for a message that is cut off or is no statement, for fields out of their order
 * and for text that belongs to nothing.
 */
export function splitMessages(
  text: string,
  fileName: string,
): { messages: readonly Mt940Message[]; strayLines: number } {
  const splitter = new MessageSplitter(fileName)
  const lines = linesOf(text)
  for (const [index, line] of lines.entries()) splitter.take(line, () => textAfter(lines, index))
  return splitter.result()
}

class MessageSplitter {
  private readonly fileName: string
  private readonly messages: Mt940Message[] = []
  private message: OpenMessage | null = null
  /** What announces a message that has not begun yet. */
  private header: { readonly line: number; readonly isEnvelope: boolean } | null = null
  private strayLines = 0
  private entries = 0

  constructor(fileName: string) {
    this.fileName = fileName
  }

  take(line: Line, next: () => string | null): void {
    if (this.message !== null) {
      if (!endsMessage(this.message, line.text.trim(), next)) {
        this.takeInside(this.message, line)
        return
      }
      this.finish(this.message, line)
    }
    this.takeOutside(line)
  }

  private takeInside(message: OpenMessage, line: Line): void {
    const tag = FIELD.exec(line.text)?.[1]
    if (tag === undefined || isTimeOfDay(message, tag)) this.addText(message, line)
    else this.addField(message, tag, line)
  }

  private addField(message: OpenMessage, tag: string, line: Line): void {
    const { fields, part } = message
    if (INTRADAY_FIELDS.has(tag)) {
      this.broken(
        line.number,
        `the field :${tag}: belongs to an MT942 report of the running day, whose entries may still change`,
      )
    }
    const isOpening = /^60[FM]$/.test(tag)
    const isClosing = /^62[FM]$/.test(tag)
    const fits = {
      head: !isClosing && tag !== '61',
      entries: isClosing || ENTRY_FIELDS.has(tag),
      tail: !isOpening && !isClosing && tag !== '61' && !SINGLE_FIELDS.has(tag),
    }[part]
    if (!fits) {
      this.broken(line.number, `the field :${tag}: stands ${PLACES[part]}, where it cannot be`)
    }
    if (SINGLE_FIELDS.has(tag) && fields.some((field) => field.tag === tag)) {
      this.broken(
        line.number,
        `the field :${tag}: stands twice in the message that begins on line ${message.line}`,
      )
    }
    if (isOpening) message.part = 'entries'
    if (isClosing) message.part = 'tail'
    if (tag === '61') this.entries += 1
    if (this.entries > ENTRIES_PER_FILE_MAX) {
      this.broken(line.number, `the file has more than ${ENTRIES_PER_FILE_MAX} entries`)
    }
    const value = line.text.slice(tag.length + 2)
    const field = { tag, line: line.number, lines: [value], from: line.from, to: line.to }
    this.refuseLength(field)
    fields.push(field)
  }

  private addText({ fields }: OpenMessage, line: Line): void {
    if (line.text.trim() === '') return
    const field = fields.at(-1)
    if (field === undefined || ONE_LINE_FIELDS.has(field.tag)) {
      return this.broken(
        line.number,
        `a field such as :61: was expected, and there is ${shown(line.text.slice(0, 12))}`,
      )
    }
    field.lines.push(line.text)
    field.to = line.to
    this.refuseLength(field)
  }

  private refuseLength({ tag, line, from, to }: Mt940Field): void {
    if (to - from <= FIELD_CHARACTERS_MAX) return
    this.broken(line, `the field :${tag}: has more than ${FIELD_CHARACTERS_MAX} characters`)
  }

  private takeOutside(line: Line): void {
    // What ends a message and what announces the next one may share a line: `-}{5:…}{1:…}{2:…}{4:`.
    let rest = line.text.trim().replace(/^-\}?/, '').replace(/^\$/, '').trim()
    if (rest.startsWith('{')) rest = this.readEnvelope(rest, line.number)
    if (rest === '') return
    const tag = FIELD.exec(rest)?.[1]
    if (tag === '20') {
      const isEnveloped = this.header?.isEnvelope === true
      this.header = null
      this.message = { line: line.number, isEnveloped, fields: [], part: 'head' }
      this.addField(this.message, tag, { ...line, text: rest })
      return
    }
    if (rest.startsWith(':') && rest !== ':940:') {
      this.broken(
        line.number,
        `the field ${shown(rest.slice(0, 5))} stands outside of a statement, which begins with :20:`,
      )
    }
    if (!HEADER_LINE.test(rest)) this.strayLines += 1
    this.header ??= { line: line.number, isEnvelope: false }
  }

  /** Reads blocks of SWIFT envelopes. @returns what follows the beginning of the message's text (`{4:`). */
  private readEnvelope(text: string, line: number): string {
    const type = /\{2:[IO](\d{3})/.exec(text)?.[1] ?? '940'
    if (type !== '940' && type !== '950') {
      this.broken(
        line,
        type === '942'
          ? 'the message is an MT942 report of the running day, whose entries may still change'
          : `the message is an MT${type}, not a statement (MT940)`,
      )
    }
    const textBlock = text.indexOf('{4:')
    const isTrailer = /^\{[5S]:/.test(text) && !text.includes('{1:')
    if (!isTrailer) this.header = { line, isEnvelope: textBlock !== -1 }
    return textBlock === -1 ? '' : text.slice(textBlock + 3).trim()
  }

  private finish(message: OpenMessage, line: Line | null): void {
    const where = line === null ? 'with the file' : `on line ${line.number}`
    if (message.part !== 'tail') {
      const missing =
        message.part === 'head' ? 'an opening balance (:60F:)' : 'a closing balance (:62F:)'
      this.broken(
        message.line,
        `the statement that begins here ends ${where} without ${missing}: it is cut off or damaged`,
      )
    }
    if (message.isEnveloped && !line?.text.trim().startsWith('-')) {
      this.broken(
        message.line,
        `the message that begins here ends ${where} without the end of its envelope (-}): it is cut off or damaged`,
      )
    }
    this.messages.push({ line: message.line, fields: message.fields })
    this.message = null
  }

  private broken(line: number, found: string): never {
    throw refusal(this.fileName, `line ${line}`, found)
  }

  result(): { messages: readonly Mt940Message[]; strayLines: number } {
    if (this.message !== null) this.finish(this.message, null)
    if (this.header !== null) {
      this.broken(
        this.header.line,
        'the file ends with text that belongs to no statement: it is cut off there, or damaged',
      )
    }
    return { messages: this.messages, strayLines: this.strayLines }
  }
}

/** Whether a line is the first that does not belong to a message any more. */
function endsMessage(
  { part, fields }: OpenMessage,
  line: string,
  next: () => string | null,
): boolean {
  if (line.startsWith('-}') || line.startsWith('{1:')) return true
  if (line === '-' || line === '-$') {
    // A hyphen alone may also be a line of somebody's text.
    const following = part === 'tail' ? null : next()
    return following === null || isBeginning(following)
  }
  if (part !== 'tail') return false
  return isBeginning(line) && (FIELD.test(line) || fields.at(-1)?.tag !== '86')
}

function isBeginning(line: string): boolean {
  return /^:20:|^\{1:/.test(line) || HEADER_LINE.test(line)
}

/** A text may be broken before `:30:15`; between balances no field has such a number. */
function isTimeOfDay({ part, fields }: OpenMessage, tag: string): boolean {
  const last = fields.at(-1)?.tag ?? ''
  return part === 'entries' && /^[0-5]\d$/.test(tag) && (last === '86' || last === 'NS')
}

function textAfter(lines: readonly Line[], index: number): string | null {
  for (let at = index + 1; at < lines.length; at += 1) {
    const text = lines[at]?.text.trim() ?? ''
    if (text !== '') return text
  }
  return null
}

/** Lines, a tag that is itself broken after its first colon put together again. */
function linesOf(text: string): Line[] {
  const lines: Line[] = []
  let from = 0
  let number = 1
  while (from <= text.length) {
    const newline = text.indexOf('\n', from)
    const to = newline === -1 ? text.length : newline
    const line = { number, text: text.slice(from, to), from, to }
    const last = lines.at(-1)
    if (last?.text.trim() === ':' && FIELD.test(`:${line.text}`)) {
      lines[lines.length - 1] = { ...last, text: `:${line.text}`, to }
    } else {
      lines.push(line)
    }
    from = to + 1
    number += 1
  }
  return lines
}
