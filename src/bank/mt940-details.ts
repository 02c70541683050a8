import { ibanOrNull } from './iban.ts'
import { givenId } from './reader.ts'

/** What the text of an entry (`:86:`) says, in whichever dialect the bank writes it. */
interface Mt940Details {
  readonly counterpartyName: string | null
  readonly counterpartyIban: string | null
  readonly endToEndId: string | null
  /** Everything else, the payer's text first: in pieces as the file has them. */
  readonly remittance: readonly string[]
  /** True where the bank's own text calls the entry a cancellation. */
  readonly isCancellation: boolean
}

/**
 * Text put together from pieces without a separator, as tags and words go across their borders,
 * which still knows where the borders are.
 */
interface JoinedText {
  readonly text: string
  /** Where pieces end, in ascending order; the last one is the end of the text. */
  readonly ends: readonly number[]
}

function joined(pieces: readonly string[]): JoinedText {
  let text = ''
  const ends: number[] = []
  for (const piece of pieces) {
    text += piece
    ends.push(text.length)
  }
  return { text, ends }
}

/** The pieces of a part of the text, as they are. */
function piecesBetween({ text, ends }: JoinedText, from: number, to: number): string[] {
  const pieces: string[] = []
  let start = from
  for (const end of ends) {
    if (end <= start) continue
    pieces.push(text.slice(start, Math.min(end, to)))
    if (end >= to) break
    start = end
  }
  return pieces
}

/** A tag with the text up to the next one. `name` is empty for what stands before the first tag. */
interface TaggedPart {
  readonly name: string
  readonly text: string
  readonly pieces: readonly string[]
}

function taggedParts(joinedText: JoinedText, tags: RegExp): TaggedPart[] {
  const { text } = joinedText
  const found = [...text.matchAll(tags)]
  const part = (name: string, from: number, to: number): TaggedPart => ({
    name,
    text: text.slice(from, to).trim(),
    pieces: piecesBetween(joinedText, from, to),
  })
  return [
    part('', 0, found[0]?.index ?? text.length),
    ...found.map((tag, index) =>
      part(tag[1] ?? '', tag.index + tag[0].length, found[index + 1]?.index ?? text.length),
    ),
  ]
}

/** German: three digits of business code, then `?00`, `?20` … (`>` and others at some banks). */
const SUB_FIELDS = /^\s*(?:\d{3})?([?>~^])\d{2}/
/** Tags of SEPA payments inside the purpose text. */
const PURPOSE_TAGS =
  /(?:(EREF|KREF|MREF|BREF|RREF|CRED|DEBT|SVWZ|ABWA|ABWE|PURP|OAMT|COAM|DDAT|IBAN|BIC)\+|(?=MTLG:))/g
/** Dutch and SWIFT: `/TRTP/SEPA/IBAN/NL…/NAME/…/REMI/…`. */
const SLASH_TAGS =
  /\/(TRTP|IBAN|BIC|NAME|REMI|EREF|MARF|RTRN|ISDT|BENM|ORDP|CNTP|CSID|SVCL|PREF|PURP|ULTC|ULTD|ULTB|ADDR|OCMT|CHGS|EXCH|ACCW|TRCD)\//g

/** @param lines of the field, or of several that follow each other. */
export function readDetails(lines: readonly string[]): Mt940Details {
  const oneLine = lines.join('')
  if (SUB_FIELDS.test(oneLine)) return readSubFields(oneLine)
  const text = joined(lines)
  if (startsWithSlashTag(oneLine)) return readSlashTags(text)
  return detailsOf(purposeParts(text), { name: null, iban: null, others: [], bankText: null })
}

function startsWithSlashTag(text: string): boolean {
  const [first] = text.trimStart().matchAll(SLASH_TAGS)
  return first?.index === 0
}

interface AroundPurpose {
  readonly name: string | null
  readonly iban: string | null
  /** Text that is neither purpose nor party. */
  readonly others: readonly string[]
  /** What the bank calls the entry: `GUTSCHRIFT`. */
  readonly bankText: string | null
}

/** The purpose text by its tags; all of it untagged unless one of the tags that always stand there does. */
function purposeParts(text: JoinedText): TaggedPart[] {
  const isTagged = /(?:EREF|KREF|SVWZ|MREF)\+/.test(text.text)
  return taggedParts(text, isTagged ? PURPOSE_TAGS : /(?!)/g)
}

function detailsOf(
  parts: readonly TaggedPart[],
  { name, iban, others, bankText }: AroundPurpose,
): Mt940Details {
  const textOf = (tag: string): string | null =>
    parts.find((part) => part.name === tag)?.text ?? null
  const payersText = parts.filter((part) => part.name === 'SVWZ' || part.name === '')
  // The end-to-end id has its own place; a second one, which nobody should write, stays visible.
  const [endToEnd, ...furtherIds] = parts.filter((part) => part.name === 'EREF')
  const { id, rest } = idAndRest(endToEnd?.pieces ?? [])
  const tagged = [...furtherIds, ...parts.filter(({ name: tag }) => !PLACED_TAGS.has(tag))]
  return {
    counterpartyName: name ?? textOf('ABWA') ?? null,
    counterpartyIban: iban ?? ibanOrNull(textOf('IBAN') ?? ''),
    endToEndId: givenId(id),
    remittance: [
      ...filled(payersText.flatMap((part) => part.pieces)),
      ...filled(rest),
      ...others,
      ...tagged.filter(({ text }) => text !== '').map((part) => `${part.name}+${part.text}`),
      ...(bankText === null ? [] : [bankText]),
    ],
    isCancellation: bankText !== null && /\bSTORNO/i.test(bankText),
  }
}

const END_TO_END_ID_LENGTH = 35

/**
 * An end-to-end id has at most 35 characters; where a bank sets no tag behind it, what follows in
 * further sub-fields is text.
 */
function idAndRest(pieces: readonly string[]): { id: string; rest: readonly string[] } {
  let [id = ''] = pieces
  let taken = 1
  for (const piece of pieces.slice(1)) {
    if ((id + piece).trim().length > END_TO_END_ID_LENGTH) break
    id += piece
    taken += 1
  }
  return { id: id.trim(), rest: pieces.slice(taken) }
}

function filled(pieces: readonly string[]): string[] {
  return pieces.map((piece) => piece.trim()).filter((piece) => piece !== '')
}

const PLACED_TAGS = new Set(['', 'SVWZ', 'EREF'])

function readSubFields(text: string): Mt940Details {
  const mark = SUB_FIELDS.exec(text)?.[1] ?? '?'
  const borders = [...text.matchAll(new RegExp(`\\${mark}(\\d{2})`, 'g'))]
  const subFields = borders.map((border, index) => ({
    number: Number(border[1]),
    text: text.slice(border.index + border[0].length, borders[index + 1]?.index ?? text.length),
  }))
  const textsOf = (isOne: (number: number) => boolean): string[] =>
    subFields.filter(({ number }) => isOne(number)).map((subField) => subField.text)
  const purpose = textsOf((number) => isPurpose(number))
  const name = textsOf((number) => number === 32 || number === 33)
    .join('')
    .trim()
  const accounts = textsOf((number) => number === 31 || number === 38).map(ibanOrNull)
  const others = textsOf((number) => !isPurpose(number) && !PARTY_NUMBERS.has(number))
  return detailsOf(purposeParts(joined(purpose)), {
    name: name === '' ? null : name,
    iban: accounts.find((account) => account !== null) ?? null,
    others: filled(others),
    bankText:
      textsOf((number) => number === 0)
        .join('')
        .trim() || null,
  })
}

function isPurpose(number: number): boolean {
  return (number >= 20 && number <= 29) || (number >= 60 && number <= 65)
}

/** Booking text, prima nota, bank and account of the other side, its name, the text key: read elsewhere or of no use here. */
const PARTY_NUMBERS = new Set([0, 10, 30, 31, 32, 33, 34, 38])

function readSlashTags(text: JoinedText): Mt940Details {
  const parts = taggedParts(text, SLASH_TAGS)
  const valueOf = (tag: string): string | null => {
    const value = parts.find((part) => part.name === tag && withoutSlashes(part.text) !== '')
    return value === undefined ? null : withoutSlashes(value.text)
  }
  // One bank puts all that it knows of the other side into one tag: account, BIC, name, town.
  const [account = '', , name = ''] = (valueOf('CNTP') ?? '').split('/')
  // The kind of text may stand before it: `USTD//` is unstructured, `STRD/` structured.
  const remittance = parts
    .filter((part) => part.name === 'REMI' || part.name === '')
    .flatMap(({ pieces }) =>
      pieces.map((piece, index) => (index === 0 ? piece.replace(/^(?:USTD|STRD)\//, '') : piece)),
    )
  const others = parts
    .filter((part) => !['', 'REMI', 'NAME', 'IBAN', 'BIC', 'EREF', 'CNTP'].includes(part.name))
    .filter((part) => withoutSlashes(part.text) !== '')
    .map((part) => `/${part.name}/${withoutSlashes(part.text)}`)
  return {
    counterpartyName: valueOf('NAME') ?? (name.trim() === '' ? null : name.trim()),
    counterpartyIban: ibanOrNull(valueOf('IBAN') ?? account),
    endToEndId: givenId(valueOf('EREF')),
    remittance: [...filled(remittance.map(withoutSlashes)), ...others],
    isCancellation: false,
  }
}

function withoutSlashes(text: string): string {
  return text.replace(/^\/+|\/+$/g, '').trim()
}
