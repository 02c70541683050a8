import { decoded } from './encoding.ts'
import { refusal } from './reader.ts'

/** Characters that no statement holds and that the database does not take: signs of a damaged or binary file. */
// oxlint-disable-next-line no-control-regex -- These are the characters that are looked for.
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/

/** @throws InputFault naming the line of the first character that no statement has. */
export function refuseControlCharacters(text: string, fileName: string): void {
  const at = text.search(CONTROL)
  if (at === -1) return
  const line = text.slice(0, at).split('\n').length
  const code = text.charCodeAt(at).toString(16).padStart(2, '0')
  throw refusal(
    fileName,
    `line ${line}`,
    `there is a control character (hexadecimal ${code}), which no statement has: the file is damaged`,
  )
}

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
