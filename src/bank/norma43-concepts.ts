import type { BankEntry } from '../domain/bank-statement.ts'
import { field } from './fixed-width.ts'
import { givenId } from './reader.ts'

/** A complementary record of concept (`23`), at most five to a movement. */
export interface Concept {
  /** `01` to `05`. */
  readonly code: string
  /** The record, whose positions 5 to 80 are the text. */
  readonly text: string
}

type ConceptsRead = Pick<BankEntry, 'counterpartyName' | 'endToEndId' | 'remittance'>

/** The text as it is: two columns of 38 characters a record, which may cut a word between them. */
export function conceptsAsText(concepts: readonly Concept[]): ConceptsRead {
  const remittance = concepts.flatMap((concept) => [field(concept, 5, 42), field(concept, 43, 80)])
  return { counterpartyName: null, endToEndId: null, remittance: trimmed(remittance) }
}

/**
 * The text by annex 4 of the norm (2012): fields of a SEPA transfer. Without the record of the
 * references, as for the bank's own fees, it is text.
 */
export function conceptsByAnnex4(concepts: readonly Concept[]): ConceptsRead {
  const of = (code: string): Concept | undefined =>
    concepts.find((concept) => concept.code === code)
  const [payer, references, purpose] = [of('01'), of('02'), of('03')]
  if (references === undefined) return conceptsAsText(concepts)
  const others = concepts.filter((concept) => ![payer, references, purpose].includes(concept))
  const name = payer === undefined ? '' : field(payer, 5, 70).trim()
  const remittance = [
    // The codes of purpose and category are kept with the text, of which a bank that leaves them out
    // would have written the beginning there.
    ...(purpose === undefined
      ? []
      : [field(purpose, 5, 8), field(purpose, 9, 12), field(purpose, 13, 80)]),
    ...others.map((concept) => field(concept, 5, 80)),
    // On whose behalf, and the payer's code.
    field(references, 40, 80),
    ...(payer === undefined ? [] : [field(payer, 71, 80)]),
  ]
  return {
    counterpartyName: name === '' ? null : name,
    endToEndId: givenId(field(references, 5, 39)),
    remittance: trimmed(remittance),
  }
}

/**
 * Whether a file's texts can be taken by annex 4. Most banks write free text in the same records, so
 * it must fit every movement that has a second record: the first one's name; the originator's
 * reference without a blank in it, or the words for "none"; then codes of purpose of four letters or
 * none. Where there is no such movement, nothing shows annex 4.
 */
export function fitsAnnex4(movements: Iterable<readonly Concept[]>): boolean {
  let fitting = 0
  for (const concepts of movements) {
    if (!isNumbered(concepts)) return false
    const [payer, references, purpose] = concepts
    if (payer === undefined || references === undefined) continue
    const isFit =
      /^\S/.test(field(payer, 5, 70)) &&
      isReference(field(references, 5, 39)) &&
      (purpose === undefined || /^(?:[A-Z]{4}| {4}){2}/.test(field(purpose, 5, 12)))
    if (!isFit) return false
    fitting += 1
  }
  return fitting > 0
}

function isNumbered(concepts: readonly Concept[]): boolean {
  return concepts.every(({ code }, index) => code === String(index + 1).padStart(2, '0'))
}

/** AT-41 as the norm places it: at the left of its 35 positions. */
function isReference(text: string): boolean {
  return /^[A-Za-z0-9/?:().,'+_-]+ *$/.test(text) || (text.trim() !== '' && givenId(text) === null)
}

function trimmed(pieces: readonly string[]): string[] {
  return pieces.map((piece) => piece.trim()).filter((piece) => piece !== '')
}
