/** What a reader of a report must know besides its rows: what is missing from it, and why. */

export interface Note {
  /** Those that it is about, by name; null: the whole report. */
  readonly entities: readonly string[] | null
  /** One or more whole sentences. */
  readonly text: string
}

export function aboutAll(text: string): Note {
  return { entities: null, text }
}

/** What those must know who answer for some entities: nothing that is about others alone. */
export function notesAbout(notes: readonly Note[], names: readonly string[]): Note[] {
  return notes.filter(
    ({ entities }) => entities === null || entities.some((name) => names.includes(name)),
  )
}

export function textsOf(notes: readonly Note[]): string[] {
  return notes.map(({ text }) => text)
}
