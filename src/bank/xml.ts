import { SaxesParser } from 'saxes'

/** An element read whole. Names are local names: prefixes differ from bank to bank. */
export interface XmlElement {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  /** Text directly inside, CDATA included, as written. */
  text: string
  readonly children: XmlElement[]
  /** The line on which its start tag ends. */
  readonly line: number
}

/** What a reader of a long document does with it: enter what holds much, take what is small as a whole. */
export interface XmlVisitor {
  /** Each element in the order of the document. `take`: it is handed over whole when it ends. */
  opened(
    name: string,
    attributes: Readonly<Record<string, string>>,
    place: { parent: string | null; line: number },
  ): 'enter' | 'take'
  /** An element that `opened` asked for, with the exact text from `<` to `>`. */
  taken(element: XmlElement, raw: string): void
  /** The end of an element that was entered. */
  closed(name: string): void
  /** The document is not well-formed, or is what no statement is. Must throw. */
  broken(line: number, found: string): never
}

/** Statements are some ten levels deep; a file beyond this is made to harm. */
const DEPTH_MAX = 100

function localName(name: string): string {
  const colon = name.indexOf(':')
  return colon < 0 ? name : name.slice(colon + 1)
}

/**
 * Reads a document to its very end: what is cut off or not well-formed is `broken`. Entities are
 * never expanded, and a DOCTYPE, which no statement has, is refused.
 */
export function visitXml(pieces: Iterable<string>, visitor: XmlVisitor): void {
  const visit = visitXmlByPieces(pieces, visitor)
  while (visit.next().done !== true);
}

/**
 * The same, with a pause after each piece, in which the caller can take away what the visitor has
 * gathered. Only a visit that is gone through to its end has seen that the document is whole.
 */
export function* visitXmlByPieces(
  pieces: Iterable<string>,
  visitor: XmlVisitor,
): Generator<void, void, undefined> {
  const parser = new SaxesParser()
  const text = new SlidingText()
  const open: string[] = []
  /** The elements from the one being taken (first) to the innermost (last); empty while entering. */
  const taking: XmlElement[] = []
  let takenFrom = 0

  parser.on('error', (error) => {
    visitor.broken(
      parser.line,
      error.message
        .replace(/^\d+:\d+: /, '')
        .replace(/\.$/, '')
        .slice(0, 100),
    )
  })
  parser.on('doctype', () => {
    visitor.broken(parser.line, 'the file has a DOCTYPE, which no bank statement has')
  })
  parser.on('opentag', (tag) => {
    const name = localName(tag.name)
    const { line } = parser
    if (open.length === DEPTH_MAX)
      visitor.broken(line, `elements are more than ${DEPTH_MAX} levels deep`)
    const what = visitor.opened(name, tag.attributes, { parent: open.at(-1) ?? null, line })
    open.push(name)
    const inside = taking.at(-1)
    if (inside === undefined && what === 'enter') return
    const element = { name, attributes: tag.attributes, text: '', children: [], line }
    if (inside === undefined) takenFrom = text.lastStartOfTag(parser.position)
    else inside.children.push(element)
    taking.push(element)
  })
  const addText = (added: string): void => {
    const inside = taking.at(-1)
    if (inside !== undefined) inside.text += added
  }
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('closetag', () => {
    const name = open.pop() ?? ''
    const element = taking.pop()
    if (element === undefined) {
      visitor.closed(name)
    } else if (taking.length === 0) {
      visitor.taken(element, text.slice(takenFrom, parser.position))
    }
  })

  let isBegun = false
  for (const given of pieces) {
    // Some banks leave blank lines above the declaration, where XML allows nothing.
    const piece: string = isBegun ? given : given.trimStart()
    if (!isBegun) parser.line += given.slice(0, given.length - piece.length).split('\n').length - 1
    isBegun ||= piece !== ''
    // Needed is what belongs to the element being taken, or else to a tag that the last piece began.
    text.forgetBefore(taking.length > 0 ? takenFrom : text.lastStartOfTag(parser.position))
    text.add(piece)
    parser.write(piece)
    yield
  }
  parser.close()
}

/** The part of a long text that may still be asked for, by positions in the whole text. */
class SlidingText {
  private kept = ''
  private keptFrom = 0

  add(piece: string): void {
    this.kept += piece
  }

  /** Where the tag that ends just before `position` begins: a tag has no other `<` inside. */
  lastStartOfTag(position: number): number {
    return this.keptFrom + Math.max(0, this.kept.lastIndexOf('<', position - this.keptFrom - 1))
  }

  /** A copy: a mere slice of a string keeps all of the string in memory. */
  slice(from: number, to: number): string {
    return Buffer.from(this.kept.slice(from - this.keptFrom, to - this.keptFrom)).toString()
  }

  forgetBefore(position: number): void {
    this.kept = this.kept.slice(position - this.keptFrom)
    this.keptFrom = position
  }
}

/** The elements at a path of local names below `element`, in the order of the document. */
export function elementsAt(element: XmlElement, ...path: readonly string[]): XmlElement[] {
  const found: XmlElement[] = []
  gather(element, path, 0, found)
  return found
}

/** Loops, as this is asked a dozen times of each entry, and array methods made half of the time of a large file. */
function gather(
  element: XmlElement,
  path: readonly string[],
  depth: number,
  found: XmlElement[],
): void {
  if (depth === path.length) {
    found.push(element)
    return
  }
  for (const child of element.children) {
    if (child.name === path[depth]) gather(child, path, depth + 1, found)
  }
}

/** The first element at a path, or null. */
export function elementAt(element: XmlElement, ...path: readonly string[]): XmlElement | null {
  return elementsAt(element, ...path)[0] ?? null
}

/** The text of an element without the blanks around it; null where there is none. */
export function textOf(element: XmlElement | null): string | null {
  const text = element?.text.trim() ?? ''
  return text === '' ? null : text
}

/** The first text that is not blank at a path, or null. */
export function textAt(element: XmlElement, ...path: readonly string[]): string | null {
  return firstText(element, path, 0)
}

function firstText(element: XmlElement, path: readonly string[], depth: number): string | null {
  if (depth === path.length) return textOf(element)
  for (const child of element.children) {
    if (child.name !== path[depth]) continue
    const text = firstText(child, path, depth + 1)
    if (text !== null) return text
  }
  return null
}
