import { refuseControlCharacters } from './csv-text.ts'
import { decoded } from './encoding.ts'

const UPPER_CONTROL = /[\u0080-\u009f]/g

/**
 * The text of a file that is not CSV, with `\n` as its only line break. Letters of code pages that
 * nobody named (850, 852) become control characters of the upper range: as these files keep what
 * counts in ASCII, such a letter is replaced, not refused.
 * @param withoutFraming removes the control characters with which a transport frames messages.
 * @throws InputFault for bytes that are not of the encoding, and for control characters.
 */
export function plainText(
  bytes: Uint8Array,
  encoding: string,
  fileName: string,
  withoutFraming: (text: string) => string = (text) => text,
): string {
  const whole = [...decoded(bytes, encoding, fileName)].join('').replace(/\r\n?/g, '\n')
  const text = withoutFraming(whole).replace(UPPER_CONTROL, '\ufffd')
  refuseControlCharacters(text, fileName)
  return text
}

/** What a person should know of the letters of a file that declares no encoding. */
export function encodingNotes(encoding: string, text: string, fileName: string): string[] {
  return [
    ...(encoding === 'windows-1252'
      ? [`${fileName} is not UTF-8: its letters were read as windows-1252`]
      : []),
    ...(text.includes('\ufffd') ? [`${fileName} has letters that could not be read`] : []),
  ]
}
