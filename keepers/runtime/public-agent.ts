import { lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { Agent, buildConnector } from 'undici'

/** Ranges that are not somewhere on the public internet (IANA special-purpose registries), and multicast. IPv4 inside IPv6 is judged as IPv4. */
const SPECIAL: [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
  ['::', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
]
const special = new BlockList()
for (const [net, prefix] of SPECIAL) special.addSubnet(net, prefix, net.includes(':') ? 'ipv6' : 'ipv4')

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

const within = (list: BlockList, address: string): boolean => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** Whether only this machine reaches what listens on `host`. */
export const isLoopback = (host: string): boolean => host === 'localhost' || (isIP(host) > 0 && within(LOOPBACK, host))

export const isPublic = (address: string): boolean => isIP(address) > 0 && !within(special, address)

export interface StrangersAgentOptions extends Omit<Agent.Options, 'connect'> {
  /** Let private addresses in, too: for a server that only this machine reaches. */
  anywhere: boolean
  connectMs: number
}

/** Connects where strangers say. Names are judged by the address that is then connected to, so that one that changes between a check and its use gains nothing. */
export function strangersAgent({ anywhere, connectMs, ...options }: StrangersAgentOptions): Agent {
  if (anywhere) return new Agent({ ...options, connect: { timeout: connectMs } })
  const connect = buildConnector({ timeout: connectMs, lookup: publicLookup })
  return new Agent({
    ...options,
    connect(target, callback) {
      const host = target.hostname.replace(/^\[|\]$/g, '')
      if (isIP(host) > 0 && !isPublic(host)) return callback(notPublic(host), null)
      return connect(target, callback)
    },
  })
}

const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, [])
    const inside = addresses.find(({ address }) => !isPublic(address))
    if (inside) return callback(notPublic(inside.address), [])
    if (options.all) return callback(null, addresses)
    const { address, family } = addresses[0]!
    return callback(null, address, family)
  })
}

const notPublic = (address: string): Error => new Error(`${address} is not a public address`)
