import { type ChannelOptions, experimental, Metadata, status } from '@grpc/grpc-js'
import type { ContractRunner } from 'ethers'
import { reasonOf } from '../errors.ts'
import { isPublic } from '../public-address.ts'

type Listener = experimental.ResolverListener
type Endpoints = Parameters<Listener>[0]

/** Whether addresses that strangers named may be those of this machine, or of its network. */
export type Anywhere = () => Promise<boolean>

/** Chains of one machine: what is registered on them are this machine's own addresses. */
const LOCAL_CHAINS = [31337n, 1337n]

/** Signers may be anywhere on a local chain, or where whoever reads allows it: elsewhere anybody could have readers connect to services that are not for them. */
export function signersAnywhere(runner: ContractRunner | null, privateSigners: boolean): Anywhere {
  let asked: Promise<boolean> | undefined
  return () => {
    asked ??= privateSigners ? Promise.resolve(true) : onLocalChain(runner)
    asked.catch(() => (asked = undefined))
    return asked
  }
}

async function onLocalChain(runner: ContractRunner | null): Promise<boolean> {
  const { chainId } = await runner!.provider!.getNetwork()
  return LOCAL_CHAINS.includes(chainId)
}

const SCHEME = 'stranger'
/** What decides goes with the channel, under this key. */
const ANYWHERE = `${experimental.SUBCHANNEL_ARGS_EXCLUDE_KEY_PREFIX}.anywhere`

/** What a channel to host:port is made from, where a stranger named it. */
export const strangerChannel = (url: string, anywhere: Anywhere): { target: string; options: ChannelOptions } => ({
  target: `${SCHEME}:${url}`,
  options: { [ANYWHERE]: anywhere },
})

/**
 * Resolves names as gRPC does, and gives none of their addresses to connect to if one of them is not public. What is judged is what is connected to, so
 * that a name which changes between a look and its use gains nothing.
 */
class StrangerResolver implements experimental.Resolver {
  readonly #names: experimental.Resolver
  readonly #listener: Listener
  readonly #anywhere: Anywhere
  #closed = false

  constructor(target: experimental.GrpcUri, listener: Listener, options: ChannelOptions) {
    this.#listener = listener
    this.#anywhere = options[ANYWHERE]
    const resolved: Listener = (endpoints) => {
      void this.#judge(endpoints)
      return true
    }
    this.#names = experimental.createResolver({ scheme: 'dns', path: target.path }, resolved, options)
  }

  updateResolution(): void {
    this.#closed = false
    this.#names.updateResolution()
  }

  destroy(): void {
    this.#closed = true
    this.#names.destroy()
  }

  static getDefaultAuthority({ path }: experimental.GrpcUri): string {
    return path
  }

  async #judge(endpoints: Endpoints): Promise<void> {
    const judged = await this.#judged(endpoints).catch((error) => refused(`whether private addresses may be connected to is unknown: ${reasonOf(error)}`))
    if (this.#closed) return
    // It gives an address once only unless it begins anew.
    if (!judged.ok) this.#names.destroy()
    this.#listener(judged, {}, null, '')
  }

  async #judged(endpoints: Endpoints): Promise<Endpoints> {
    if (!endpoints.ok) return endpoints
    const hosts = endpoints.value.flatMap(({ addresses }) => addresses.map((address) => ('host' in address ? address.host : address.path)))
    const inside = hosts.find((host) => !isPublic(host))
    if (inside === undefined || (await this.#anywhere())) return endpoints
    return refused(`${inside} is not a public address; private ones are connected to on local chains, or where private signers are allowed`)
  }
}

const refused = (details: string): Endpoints => experimental.statusOrFromError({ code: status.UNAVAILABLE, details, metadata: new Metadata() })

experimental.registerResolver(SCHEME, StrangerResolver)
