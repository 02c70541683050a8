import { got } from 'got'

const TIMEOUT_MS = 10_000

/**
 * Tells a monitor that a night begins (`/start`), went well, or failed (`/fail`), in the manner of
 * healthchecks.io. A monitor that does not answer is no reason to fail a night.
 * @returns why the ping did not arrive, or null.
 */
export async function ping(
  url: string,
  event: 'start' | 'success' | 'fail',
): Promise<string | null> {
  const target = event === 'success' ? url : `${url.replace(/\/$/, '')}/${event}`
  try {
    await got.get(target, { timeout: { request: TIMEOUT_MS }, retry: { limit: 2 } })
    return null
  } catch (error) {
    // The URL holds a secret path, so only the kind of failure is told.
    const code =
      error !== null && typeof error === 'object' && 'code' in error
        ? String(error.code)
        : 'no code'
    return `the monitor at HEALTHCHECK_URL was not told of "${event}" (${code})`
  }
}
