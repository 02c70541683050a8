/** What standard error holds: `text` for people (a bar on a terminal), `json` one object a line. */
export const LOG_FORMATS = ['text', 'json'] as const

export type LogFormat = (typeof LOG_FORMATS)[number]
