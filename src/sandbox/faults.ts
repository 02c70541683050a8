import type { SandboxWorld } from './model.ts'

/** A request as it arrived, and how it was answered. */
export interface LoggedRequest {
  /** Which of the two servers it reached. */
  readonly host: 'api' | 'export'
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Names in small letters; `authorization` is kept, so that tests can look where the key went. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly atMs: number
  /** Null until answered, and for good if the connection was reset first. */
  status: number | null
}

export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

/**
 * What goes wrong. `new_rows`, `mutate` and `delay` happen before the usual answer, which is then
 * given; the others replace or spoil it.
 */
export type Fault =
  /** Without a body: JSON with a message, as of an API; give one for HTML of a proxy. */
  | { do: 'status'; status: number; headers?: Record<string, string>; body?: string }
  /** A proxy's page with status 200. */
  | { do: 'html' }
  /** Status 200, and JSON that ends in the middle, with a length to match. */
  | { do: 'truncate' }
  /**
   * The connection is reset: `before_handling` without any effect; `before_body` with the request
   * carried out; `in_body` after half of the answer; `after_body` after all of it but its end mark.
   */
  | { do: 'reset'; at: 'before_handling' | 'before_body' | 'in_body' | 'after_body' }
  /** The right answer, `bytes` at a time. */
  | { do: 'drip'; bytes: number; everyMs: number }
  | { do: 'delay'; ms: number }
  /** A list page without rows that says there are more. */
  | { do: 'empty_page' }
  /** Only the first `rows` rows of the list page, which says there are more; nothing is lost by it. */
  | { do: 'short_page'; rows: number }
  /** The list page that was sent before this one, once more. */
  | { do: 'repeat_page' }
  /** That many sales happen on the account just before the answer. */
  | { do: 'new_rows'; count: number }
  | { do: 'mutate'; change: (world: SandboxWorld) => void }
  /** Whatever the function says; undefined: the usual answer. */
  | { do: 'answer'; with: (request: LoggedRequest) => Answer | undefined }
  /** What the function makes of the usual answer. */
  | { do: 'edit'; answer: (usual: Answer) => Answer }

/** Which requests go wrong, and how. Without `times` and `when`: all that match. */
export interface FaultRule {
  host?: 'api' | 'export'
  method?: string
  /** Tested against the path, without the query. */
  path?: RegExp
  /** Only the first so many of the matching requests. */
  times?: number
  /** Only those matching requests for which this holds; `nth` counts them from 1. */
  when?: (nth: number, request: LoggedRequest) => boolean
  fault: Fault
}

/** The rules in force, each with its count of matching requests. */
export interface FaultScript {
  add(rule: FaultRule): void
  clear(): void
  /** The faults that strike this request, in the order in which they were scripted. */
  strike(request: LoggedRequest): Fault[]
}

export function faultScript(): FaultScript {
  let rules: { rule: FaultRule; matched: number }[] = []
  return {
    add: (rule) => {
      rules.push({ rule, matched: 0 })
    },
    clear: () => {
      rules = []
    },
    strike: (request) => {
      const struck: Fault[] = []
      for (const entry of rules) {
        const { rule } = entry
        if (rule.host !== undefined && rule.host !== request.host) continue
        if (rule.method !== undefined && rule.method !== request.method) continue
        if (rule.path !== undefined && !rule.path.test(request.path)) continue
        entry.matched += 1
        if (rule.times !== undefined && entry.matched > rule.times) continue
        if (rule.when !== undefined && !rule.when(entry.matched, request)) continue
        struck.push(rule.fault)
      }
      return struck
    },
  }
}
