/** Bank lines by what reports call them, see the column `bank_reference`. */
import type { StoredBankEntry } from '../src/domain/bank-statement.ts'
import { money } from '../src/domain/findings.ts'
import { UsageFault } from '../src/errors.ts'

/**
 * The lines that a text names: `REF[,REF…]`, where a REF is a line's reference, or `FILE:LINE`. What
 * several lines share is told apart by more of it: `REF@ACCOUNT`, `REF@DAY`, `REF@ACCOUNT@DAY`.
 * @throws UsageFault if a reference names no line, or several.
 */
export function resolveBankLines<Line extends StoredBankEntry>(
  text: string,
  entries: readonly Line[],
  which: 'stored' | 'suspected' = 'stored',
): Line[] {
  // A reference may hold a comma itself, so the whole is tried first.
  const whole = linesNamed(text, entries)
  const lines =
    whole.length > 0
      ? [onlyOne(text, whole, which)]
      : text
          .split(',')
          .map((part) => part.trim())
          .map((part) => onlyOne(part, linesNamed(part, entries), which))
  return [...new Set(lines)]
}

function linesNamed<Line extends StoredBankEntry>(text: string, entries: readonly Line[]): Line[] {
  const asTyped = linesCalled(text, entries)
  if (asTyped.length > 0) return asTyped
  const [name = '', ...qualifiers] = text.split('@')
  if (qualifiers.length === 0) return []
  return linesCalled(name.trim(), entries).filter((entry) =>
    qualifiers.every((qualifier) => fits(entry, qualifier)),
  )
}

function linesCalled<Line extends StoredBankEntry>(name: string, entries: readonly Line[]): Line[] {
  const byReference = entries.filter(({ reference }) => reference === name)
  return byReference.length > 0 ? byReference : entries.filter((entry) => placeOf(entry) === name)
}

function placeOf({ fileName, position }: StoredBankEntry): string {
  return `${fileName}:${position}`
}

function fits({ account, bookingDay }: StoredBankEntry, qualifier: string): boolean {
  const wanted = qualifier.replace(/\s/g, '').toUpperCase()
  return account === wanted || bookingDay === wanted
}

function onlyOne<Line extends StoredBankEntry>(
  name: string,
  found: readonly Line[],
  which: 'stored' | 'suspected',
): Line {
  const [line, ...others] = found
  if (line === undefined) {
    throw new UsageFault(`--bank: found "${name}", which no ${which} bank line is called`, {
      hint:
        which === 'stored'
          ? 'Copy the reference from the column bank_reference or bank_references of a report; a line that has none is called FILE:LINE.'
          : 'Copy it from the note of the import or of the report that names the suspected line: FILE:LINE.',
    })
  }
  if (others.length > 0) {
    const lines = found.map((entry) => `  ${placeOf(entry)}: ${bankLineName(entry)}`)
    throw new UsageFault(
      `--bank: ${found.length} bank lines are called "${name}", one was expected:\n${lines.join('\n')}`,
      {
        hint: `Tell them apart by their place in the file (${placeOf(line)}), or by account or booking day (${name}@${line.account}, ${name}@${line.bookingDay}).`,
      },
    )
  }
  return line
}

/** `bank line 2024…0001 of 2024-03-20 at FR76… over 100.00 EUR`. */
export function bankLineName(entry: StoredBankEntry): string {
  return `bank line ${entry.reference} of ${entry.bookingDay} at ${entry.account} over ${money(entry.amountMinor, entry.currency)}`
}
