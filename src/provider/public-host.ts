/**
 * Which addresses a file that the provider points to may be fetched from: public ones. Whoever could
 * choose the address of an export's file could otherwise reach what only this machine reaches: its own
 * services, the local network, the metadata service of a cloud with its credentials.
 */
import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { BlockList, isIP } from 'node:net'

/** The code of the error with which a connection to another address ends before it begins. */
export const NOT_PUBLIC = 'ERR_NOT_PUBLIC'

/** IANA IPv4 Special-Purpose Address Registry: what is not reachable by everybody. */
const IPV4_NOT_PUBLIC: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/** The same of IPv6; of its forms that hold an IPv4 address, the two that pass it on unseen as well. */
const IPV6_NOT_PUBLIC: readonly (readonly [string, number])[] = [
  ['::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 32],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
]

const notPublic = new BlockList()
for (const [network, bits] of IPV4_NOT_PUBLIC) {
  // IPv4-mapped addresses (::ffff:0:0/96) are looked up among these by Node itself.
  notPublic.addSubnet(network, bits, 'ipv4')
  // A network with IPv6 only reaches IPv4 addresses by this prefix (RFC 6052).
  notPublic.addSubnet(`64:ff9b::${network}`, 96 + bits, 'ipv6')
}
for (const [network, bits] of IPV6_NOT_PUBLIC) notPublic.addSubnet(network, bits, 'ipv6')

/** @param address an IPv4 or IPv6 address; false for anything else. */
export function isPublicAddress(address: string): boolean {
  const version = isIP(address)
  return version !== 0 && !notPublic.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

/**
 * False for a host that is an address which is not public. A name's addresses are looked at when the
 * connection is made (`publicOnly`), as the answer may be another one then.
 * @param hostname as a `URL` has it.
 */
export function mayBePublic(hostname: string): boolean {
  const address = hostname.replace(/^\[(.*)\]$/, '$1')
  return isIP(address) === 0 || isPublicAddress(address)
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void

/** As `dns.lookup`, but a name of which any address is not public is not connected to. */
function publicLookup(hostname: string, options: LookupOptions, callback: LookupCallback): void {
  systemLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) {
      callback(error, [])
      return
    }
    const [first] = addresses
    if (first === undefined || !addresses.every(({ address }) => isPublicAddress(address))) {
      callback(Object.assign(new Error('not a public address'), { code: NOT_PUBLIC }), [])
    } else if (options.all === true) callback(null, addresses)
    else callback(null, first.address, first.family)
  })
}

/** Connects to public addresses only, whatever a name says at that moment. */
export const publicOnly = {
  http: new HttpAgent({ keepAlive: false, lookup: publicLookup }),
  https: new HttpsAgent({ keepAlive: false, lookup: publicLookup }),
}
