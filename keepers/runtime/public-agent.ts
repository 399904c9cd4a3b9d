import { lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { isPublic } from '../../sdk/public-address.ts'

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

/** Whether only this machine reaches what listens on `host`. */
export const isLoopback = (host: string): boolean => host === 'localhost' || (isIP(host) > 0 && LOOPBACK.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4'))

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
