/**
 * The older notification: a GET with `?pid=<payment id>` and, as `X-Alma-Signature`, the hexadecimal
 * HMAC-SHA256 of that id keyed with the API key of the account.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { isId, type Reading } from './notification.ts'

/** The API key of one entity. */
export interface IpnKey {
  readonly entity: string
  readonly apiKey: string
}

/** Something to compare with where there is no key, so that this takes as long. */
const NOBODYS_KEY = randomBytes(32)
const SIGNATURE = /^[0-9a-f]{64}$/i

export interface Ipn {
  /** Each value of `pid`; exactly one is expected. */
  readonly pids: readonly string[]
  readonly signature: string | undefined
}

/**
 * Tries the keys of all entities, whether or not one before fits, and compares in constant time: how
 * long it takes tells nothing of a key, nor whose it is.
 */
export function readIpn({ pids, signature }: Ipn, keys: readonly IpnKey[]): Reading {
  const [pid, ...others] = pids
  if (pid === undefined || others.length > 0 || !isId(pid)) return { refused: 'unreadable' }
  if (signature === undefined || !SIGNATURE.test(signature)) return { refused: 'unsigned' }
  const shown = Buffer.from(signature, 'hex')
  const fits = (apiKey: string | Buffer): boolean =>
    timingSafeEqual(createHmac('sha256', apiKey).update(pid).digest(), shown)
  const entities = keys.filter(({ apiKey }) => fits(apiKey)).map(({ entity }) => entity)
  if (keys.length === 0) fits(NOBODYS_KEY)
  if (entities.length === 0) return { refused: 'forged' }
  return {
    entities,
    notification: { source: 'ipn', type: 'ipn', paymentId: pid, key: `ipn ${pid}` },
  }
}
