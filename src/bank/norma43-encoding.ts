import { decodeCodePage850 } from './code-page-850.ts'
import { decoded, textEncoding } from './encoding.ts'

export const CODE_PAGE_850 = 'code page 850'

/**
 * The text of a Norma 43 file and the encoding in which it was read. The norm recommends code page
 * 850, banks send latin-1 or UTF-8 as well, and no file says which: what is not UTF-8 is read in the
 * one of the two in which its letters make more sense. Only names and texts hang on it: everything
 * that counts is digits.
 */
export function decodeNorma43(
  bytes: Uint8Array,
  fileName: string,
): { text: string; encoding: string } {
  const encoding = textEncoding(bytes)
  const text = [...decoded(bytes, encoding, fileName)].join('')
  if (encoding !== 'windows-1252') return { text, encoding }
  const other = decodeCodePage850(bytes)
  return sense(other) > sense(text) ? { text: other, encoding: CODE_PAGE_850 } : { text, encoding }
}

/** Letters and signs beyond ASCII that stand in Spanish, Catalan, Galician and Basque names. */
const EXPECTED = new Set('ÑñÁÉÍÓÚÀÈÒÏÜÇáéíóúàèòïüçºª·¿¡€')

const BEYOND_ASCII = /[\u0080-\uffff]/g

/** Far more than is needed to tell; a file of many gigabytes of letters is not weighed to its end. */
const WEIGHED_MAX = 10_000

/** How much the characters beyond ASCII look like Spanish: each counts by itself and by its neighbours. */
function sense(text: string): number {
  let total = 0
  let weighed = 0
  for (const { 0: character, index } of text.matchAll(BEYOND_ASCII)) {
    total += EXPECTED.has(character) ? 1 : -1
    // ÑANDU and ñandu are words, ñANDU and Eñe are not: capitals stand next to capitals.
    for (const neighbour of [text[index - 1] ?? '', text[index + 1] ?? '']) {
      if (!/[A-Za-z]/.test(neighbour) || !/\p{L}/u.test(character)) continue
      total += isCapital(neighbour) === isCapital(character) ? 1 : -1
    }
    weighed += 1
    if (weighed === WEIGHED_MAX) break
  }
  return total
}

function isCapital(letter: string): boolean {
  return letter === letter.toUpperCase()
}
