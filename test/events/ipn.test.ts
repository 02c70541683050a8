/** The older notification, and who may send one. */
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readIpn } from '../../src/events/ipn.ts'

const KEYS = [
  { entity: 'north', apiKey: 'sk_test_NorthNorthNorthNorthNort' },
  { entity: 'south', apiKey: 'sk_test_SouthSouthSouthSouthSout' },
]
const PID = 'payment_11uPRjPgPJ8KZlZfIASDFXqZTSbq'

const signed = (pid: string, apiKey: string): string =>
  createHmac('sha256', apiKey).update(pid).digest('hex')

const read = (pids: readonly string[], signature?: string) => readIpn({ pids, signature }, KEYS)

describe('an IPN', () => {
  test('is of the entity whose API key signed it', () => {
    for (const { entity, apiKey } of KEYS) {
      expect(read([PID], signed(PID, apiKey))).toEqual({
        entities: [entity],
        notification: { source: 'ipn', type: 'ipn', paymentId: PID, key: `ipn ${PID}` },
      })
    }
  })

  test('may be signed in capitals; it is the same one then', () => {
    const signature = signed(PID, 'sk_test_NorthNorthNorthNorthNort')
    expect(read([PID], signature.toUpperCase())).toEqual(read([PID], signature))
  })

  test('is signed as another tool signs it: HMAC-SHA256 of the id, in hex', () => {
    // From `printf %s payment_1 | openssl dgst -sha256 -hmac key`.
    const keys = [{ entity: 'one', apiKey: 'key' }]
    const signature = '7cb0d77c1e69e30756b04b368e4727eda86fcf0c3c1c199f478cf265a6472a0d'
    expect(readIpn({ pids: ['payment_1'], signature }, keys)).toMatchObject({ entities: ['one'] })
  })

  const good = signed(PID, 'sk_test_NorthNorthNorthNorthNort')
  test.each<[string, readonly string[], string | undefined, string]>([
    ['without a signature', [PID], undefined, 'unsigned'],
    ['with an empty one', [PID], '', 'unsigned'],
    ['with one that is too short', [PID], good.slice(2), 'unsigned'],
    ['with one that is too long', [PID], `${good}00`, 'unsigned'],
    ['with one that is not hexadecimal', [PID], `${good.slice(0, 62)}zz`, 'unsigned'],
    ['with two of them in one header', [PID], `${good}, ${good}`, 'unsigned'],
    ['signed with another key', [PID], signed(PID, 'sk_test_other'), 'forged'],
    ['signed with an empty key', [PID], signed(PID, ''), 'forged'],
    ['of another payment than was signed', [`${PID}x`], good, 'forged'],
    ['that was changed in its last digit', [PID], flipped(good), 'forged'],
    ['without a payment', [], good, 'unreadable'],
    ['with two payments', [PID, PID], good, 'unreadable'],
    ['with an empty payment', [''], signed('', KEYS[0]?.apiKey ?? ''), 'unreadable'],
    ['with a path as payment', ['../me'], signed('../me', KEYS[0]?.apiKey ?? ''), 'unreadable'],
    ['with SQL as payment', ["payment_1' or 1"], good, 'unreadable'],
    ['with a payment of a megabyte', ['p'.repeat(1_000_000)], good, 'unreadable'],
  ])('%s is refused', (_, pids, signature, refused) => {
    expect(read(pids, signature)).toEqual({ refused })
  })

  test('is refused where there is no key at all, also when signed with nothing', () => {
    expect(readIpn({ pids: [PID], signature: signed(PID, '') }, [])).toEqual({ refused: 'forged' })
  })
})

function flipped(signature: string): string {
  return signature.slice(0, -1) + (signature.endsWith('0') ? '1' : '0')
}
