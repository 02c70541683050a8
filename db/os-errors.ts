/** The operating system's code of an error, such as `ENOENT`; null if it carries none. */
export function errorCode(error: unknown): string | null {
  if (error === null || typeof error !== 'object' || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}
