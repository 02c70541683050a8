/**
 * The text of a file: whole, or in pieces that are made anew each time they are gone through, where
 * it may be too long to be held.
 */
export type ReportText = string | Iterable<string>

/** In one piece, for who can hold it. */
export function wholeText(text: ReportText): string {
  return typeof text === 'string' ? text : [...text].join('')
}

export function piecesOf(text: ReportText): Iterable<string> {
  return typeof text === 'string' ? [text] : text
}
