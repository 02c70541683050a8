/** An element of an OFX file: an aggregate, which holds elements, or a leaf, which holds text. */
export interface OfxElement {
  /** In capitals. */
  readonly name: string
  /** 1-based line of its start tag. */
  readonly line: number
  /** Of a leaf without the blanks around it; empty otherwise. */
  readonly text: string
  readonly children: readonly OfxElement[]
  /** Where the element stands in the text, its tags included. */
  readonly from: number
  readonly to: number
}

/** Makes the refusal of the file from a line and what is wrong there. */
type Broken = (line: number, found: string) => never

interface OpenElement {
  readonly name: string
  readonly line: number
  /** Null until text was seen: an element with text is a leaf. */
  text: string | null
  readonly children: OfxElement[]
  readonly from: number
}

/**
 * Aggregates by their names: they hold no text and must be closed, in SGML too. What else is not
 * closed is a leaf.
 */
const AGGREGATE =
  /^(?:OFX|SONRS|STATUS|FI|.*MSGSRS(?:V\d)?|.*TRNRS|.*STMTRS|.*ACCTFROM|.*ACCTTO|.*TRANLISTP?|STMTTRNP?|LEDGERBAL|AVAILBAL)$/

/** Statements are some eight levels deep. */
const DEPTH_MAX = 50
const NAME_LENGTH_MAX = 40
const ATTRIBUTES_LENGTH_MAX = 1_000

/**
 * Reads the elements of an OFX file, SGML (version 1, where leaves need no end tag) or XML (version
 * 2; some banks leave end tags out there as well). One pass over the text, without any going back.
 * @param from where the elements begin.
 * @returns the element OFX.
 */
export function readOfxElements(text: string, from: number, broken: Broken): OfxElement {
  const reader = new ElementReader(text, from, broken)
  return reader.read()
}

class ElementReader {
  private readonly text: string
  private readonly refuse: Broken
  private readonly open: OpenElement[] = []
  private root: OfxElement | null = null
  private at: number
  private line = 1
  private lineCountedTo = 0

  constructor(text: string, from: number, broken: Broken) {
    this.text = text
    this.refuse = broken
    this.at = from
  }

  read(): OfxElement {
    const { text } = this
    while (this.at < text.length) {
      const tag = text.indexOf('<', this.at)
      const end = tag === -1 ? text.length : tag
      const piece = text.slice(this.at, end)
      this.at = end
      if (piece !== '') this.takeText(decodeEntities(piece))
      if (tag !== -1) this.takeMarkup()
    }
    // At the very end a leaf may still be open, but nothing that holds it.
    const unclosed = this.open[0]
    if (unclosed !== undefined) {
      this.broken(
        `the file ends before ${unclosed.name} of line ${unclosed.line} is closed: it is cut off`,
      )
    }
    return this.root ?? this.broken('the file holds no element OFX')
  }

  private takeMarkup(): void {
    const { text, at } = this
    if (text.startsWith('<![CDATA[', at)) {
      this.at = this.endOf(']]>', 'a CDATA section')
      this.refuseSwallowed(at)
      this.takeText(text.slice(at + 9, this.at - 3), { isLiteral: true })
    } else if (text.startsWith('<!--', at)) {
      this.at = this.endOf('-->', 'a comment')
      this.refuseSwallowed(at)
    } else if (text.startsWith('<?', at)) {
      this.at = this.endOf('?>', 'a processing instruction')
    } else if (text.startsWith('<!', at)) {
      this.broken('there is a declaration (<!…), which no statement has')
    } else {
      this.takeTag()
    }
  }

  private endOf(mark: string, what: string): number {
    const end = this.text.indexOf(mark, this.at)
    if (end === -1) this.broken(`${what} has no end: the file is cut off`)
    return end + mark.length
  }

  /** Where the end of a literal text is damaged, the text would reach to the next end and swallow entries. */
  private refuseSwallowed(from: number): void {
    if (!/<STMTTRN/i.test(this.text.slice(from, this.at))) return
    this.broken(
      'a CDATA section or comment goes over the beginning of an entry: the file is damaged',
    )
  }

  private takeTag(): void {
    const tag = readTag(this.text, this.at)
    if (tag === null) {
      this.at += 1
      this.takeText('<')
      return
    }
    if (tag.kind === 'end') this.close(tag.name, tag.to)
    else this.begin(tag.name)
    if (tag.kind === 'empty') this.close(tag.name, tag.to)
    this.at = tag.to
  }

  private takeText(text: string, { isLiteral = false } = {}): void {
    const inside = this.open.at(-1)
    if (inside === undefined || inside.children.length > 0 || AGGREGATE.test(inside.name)) {
      if (text.trim() === '') return
      const where =
        inside !== undefined ? `in ${inside.name}` : this.root === null ? 'before OFX' : 'after OFX'
      this.broken(`there is text ${where}, where elements are expected: the file is damaged`)
    }
    if (inside.text === null && text.trim() === '' && !isLiteral) return
    inside.text = (inside.text ?? '') + text
  }

  private begin(name: string): void {
    const inside = this.open.at(-1)
    if (inside !== undefined && inside.text !== null) this.finish(this.at)
    const line = this.lineNow()
    if (this.open.length === DEPTH_MAX) {
      this.broken(`elements are more than ${DEPTH_MAX} levels deep`)
    }
    if (this.open.length === 0 && (name !== 'OFX' || this.root !== null)) {
      this.broken(
        this.root === null
          ? `the first element is ${name}: OFX was expected`
          : `there is an element ${name} after the end of OFX`,
      )
    }
    this.open.push({ name, line, text: null, children: [], from: this.at })
  }

  private close(name: string, to: number): void {
    for (let inside = this.open.at(-1); inside !== undefined; inside = this.open.at(-1)) {
      if (inside.name === name) {
        this.finish(to)
        return
      }
      if (AGGREGATE.test(inside.name)) {
        this.broken(
          `</${name}> stands where ${inside.name} of line ${inside.line} has to be closed first: a tag is missing or damaged`,
        )
      }
      if (inside.text === null) this.dissolve(inside)
      else this.finish(this.at)
    }
    this.broken(`</${name}> closes nothing: a tag is missing or damaged`)
  }

  /** The innermost element ends. */
  private finish(to: number): void {
    const ended = this.open.pop()
    if (ended === undefined) return
    const { name, line, text, children, from } = ended
    const element = { name, line, text: text?.trim() ?? '', children, from, to }
    const parent = this.open.at(-1)
    if (parent === undefined) this.root = element
    else parent.children.push(element)
  }

  /** A leaf without text and end tag: what follows it was never inside of it. */
  private dissolve(leaf: OpenElement): void {
    const children = leaf.children.splice(0)
    this.finish(this.at)
    const parent = this.open.at(-1)
    if (parent !== undefined) for (const child of children) parent.children.push(child)
  }

  private lineNow(): number {
    for (;;) {
      const newline = this.text.indexOf('\n', this.lineCountedTo)
      if (newline === -1 || newline >= this.at) break
      this.line += 1
      this.lineCountedTo = newline + 1
    }
    return this.line
  }

  private broken(found: string): never {
    return this.refuse(this.lineNow(), found)
  }
}

interface Tag {
  readonly kind: 'start' | 'end' | 'empty'
  readonly name: string
  /** Behind its `>`. */
  readonly to: number
}

const NAME_CHARACTER = /[A-Za-z0-9._-]/

/** The tag that begins at a `<`; null where the `<` belongs to a text. */
function readTag(text: string, at: number): Tag | null {
  const isEnd = text[at + 1] === '/'
  const nameFrom = at + (isEnd ? 2 : 1)
  let nameTo = nameFrom
  while (nameTo - nameFrom <= NAME_LENGTH_MAX && NAME_CHARACTER.test(text[nameTo] ?? ''))
    nameTo += 1
  const name = text.slice(nameFrom, nameTo).toUpperCase()
  if (!/^[A-Z]/.test(name) || name.length > NAME_LENGTH_MAX) return null
  const rest = text.slice(nameTo, nameTo + ATTRIBUTES_LENGTH_MAX)
  const end = rest.indexOf('>')
  const attributes = end === -1 ? '' : rest.slice(0, end)
  // Attributes stand in XML only, as a namespace does; anything else is a text with a `<` in it.
  if (end === -1 || !/^\s*(?:\/|[\w:.-]+\s*=[^<]*)?$/.test(attributes)) return null
  const isEmpty = !isEnd && attributes.endsWith('/')
  return { kind: isEnd ? 'end' : isEmpty ? 'empty' : 'start', name, to: nameTo + end + 1 }
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
}

/** Banks also write a bare `&`, which stays what it is, as do names that are not known. */
function decodeEntities(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(
    /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-z]{2,5}));/g,
    (whole: string, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return ENTITIES[name] ?? whole
      const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal)
      const isCharacter = code >= 0x20 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)
      return isCharacter && (code < 0x7f || code > 0x9f) ? String.fromCodePoint(code) : whole
    },
  )
}

/** The elements at a path of names below `element`, in the order of the file. */
export function ofxElements(element: OfxElement, ...path: readonly string[]): OfxElement[] {
  return path.reduce<OfxElement[]>(
    (found, name) =>
      found.flatMap((parent) => parent.children.filter((child) => child.name === name)),
    [element],
  )
}

/** The first text at a path that is not empty, or null. */
export function ofxText(element: OfxElement, ...path: readonly string[]): string | null {
  return ofxElements(element, ...path).find(({ text }) => text !== '')?.text ?? null
}
