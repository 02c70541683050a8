/**
 * Takes out of a line of a log what must not be kept: keys and passwords, e-mail addresses, account
 * numbers. Messages hold none of a customer to begin with; this is the second lock on the door, for
 * what a server, a library or a bank file says in its own words.
 */
import { hasValidCheckDigits } from './iban-check.ts'

/** Shorter ones would take out ordinary words. */
const SECRET_LENGTH_MIN = 6

/** An IBAN in one piece, or in groups of four as people write it. */
const ONE_PIECE = /\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b/g
const IN_GROUPS = /\b[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?\b/g

const ADDRESS = /[^\s"'<>@,;:()[\]\\/]+@[\w-]+(?:\.[\w-]+)+/g

/**
 * @param secrets texts that are taken out wherever they stand.
 * @returns a function from a line to the line without them; JSON stays JSON.
 */
export function redactor(secrets: readonly string[]): (line: string) => string {
  const known = secrets
    .filter(({ length }) => length >= SECRET_LENGTH_MIN)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])
    .toSorted((a, b) => b.length - a.length)
  return (line) => {
    let text = line
    for (const secret of known) text = text.replaceAll(secret, '(hidden)')
    return text
      .replaceAll(/sk_(live|test)_[^\s"',\\]*/g, 'sk_$1_(hidden)')
      .replaceAll(/\b(Alma-Auth|Bearer|Basic) +[^\s"\\]+/gi, '$1 (hidden)')
      .replaceAll(/([a-z][a-z0-9+.-]*:\/\/)[^\s/"@]*@/gi, '$1(hidden)@')
      .replaceAll(ADDRESS, '(address)')
      .replaceAll(IN_GROUPS, hideGroups)
      .replaceAll(ONE_PIECE, (found) => (hasValidCheckDigits(found) ? shortened(found) : found))
  }
}

/** `FR76…0189`: enough for its owner to know it. */
function shortened(iban: string): string {
  return `${iban.slice(0, 4)}…${iban.slice(-4)}`
}

/** Capitals that follow an IBAN may look like more groups of it: the check digits tell where it ends. */
function hideGroups(found: string): string {
  const groups = found.split(' ')
  for (let count = groups.length; count >= 3; count -= 1) {
    const iban = groups.slice(0, count).join('')
    if (iban.length >= 15 && hasValidCheckDigits(iban)) {
      return [shortened(iban), ...groups.slice(count)].join(' ')
    }
  }
  return found
}
