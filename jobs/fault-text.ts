/** What a person reads when a command fails, and the exit code that goes with it. */
import { ConfigurationFault, EXIT, Fault, UnavailableFault } from '../src/errors.ts'

/** Codes of the file system that setting something right mends, and those that time or space mends. */
const NOT_ALLOWED = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EISDIR',
  'EEXIST',
  'ENAMETOOLONG',
  'ELOOP',
])
const NOT_NOW = new Set(['ENOSPC', 'EDQUOT', 'EBUSY', 'EMFILE', 'ENFILE', 'EIO', 'ESTALE'])

/** A fault as it is; an error of the file system as the fault that it amounts to; null otherwise. */
function asFault(error: unknown): Fault | null {
  if (error instanceof Fault) return error
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return null
  const { code, syscall } = error
  const path = 'path' in error && typeof error.path === 'string' ? error.path : 'a file'
  if (typeof code !== 'string') return null
  // A folder that cannot be made although the one above it is there, as under /proc; or a temporary one.
  const cannotBeMade = code === 'ENOENT' && (syscall === 'mkdir' || syscall === 'mkdtemp')
  if (NOT_ALLOWED.has(code) || cannotBeMade) {
    return new ConfigurationFault(`${path} cannot be used (${code})`, {
      hint: 'Check the path and the rights of this account on it; DATA_DIR, REPORTS_DIR, BANK_INBOX and TMPDIR say where files go and come from.',
    })
  }
  if (NOT_NOW.has(code)) {
    return new UnavailableFault(`${path} cannot be used now (${code})`, {
      hint: 'Check that there is space on the disk and that no other program holds the file open (a spreadsheet does), then run the same command again.',
    })
  }
  return null
}

/** How a command ended that threw. */
export interface Failure {
  readonly exitCode: number
  /** The class of the fault, or `Unexpected`. */
  readonly kind: string
  readonly message: string
  readonly hint: string | null
  readonly stack: string | null
}

export function failureOf(error: unknown): Failure {
  const fault = asFault(error)
  if (fault !== null) {
    const { exitCode, message, name, hint = null } = fault
    return { exitCode, kind: name, message, hint, stack: null }
  }
  return {
    exitCode: EXIT.unexpected,
    kind: 'Unexpected',
    message: `unexpected: ${messageOf(error)}`,
    hint: 'This is a fault of the program, and nothing that was stored is lost. Run it again with DEBUG=1 to see where it happened, and report that.',
    stack: error instanceof Error ? withoutParameters(error.stack ?? '') : null,
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.message !== '') return withoutParameters(error.message)
  // Errors that only gather others, as of a host with several addresses, have no text of their own.
  return error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : error.name
}

/** A database statement's parameters may be names or accounts: they stay out of every text. */
function withoutParameters(text: string): string {
  return text.replace(/\nparams:[^]*?(?=\n {4}at |$)/, '')
}

/** For standard error. */
export function failureText({ message, hint, stack }: Failure, withStack: boolean): string {
  const lines = [message]
  if (hint !== null) lines.push(`→ ${hint}`)
  if (withStack && stack !== null) lines.push(stack)
  return `${lines.join('\n')}\n`
}

/** What `--json` prints on standard output in place of a result. */
export function failureJson({ exitCode, kind, message, hint }: Failure): string {
  return `${JSON.stringify({ error: { kind, exit_code: exitCode, message, hint } }, null, 2)}\n`
}
