import { readFileSync } from 'node:fs'

/** The version in `package.json`. */
export function appVersion(): string {
  const found: unknown = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  if (found !== null && typeof found === 'object' && 'version' in found) {
    if (typeof found.version === 'string') return found.version
  }
  throw new Error('package.json states no version')
}
