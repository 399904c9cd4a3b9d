import { FetchRequest, JsonRpcProvider, Network } from 'ethers'
import pRetry from 'p-retry'
import { maskUrl } from './config.ts'
import type { Log } from './log.ts'

/** A block as the follower needs it; `timestamp` in unix seconds. */
export interface BlockRef {
  number: number
  hash: string
  parentHash: string
  timestamp: number
}

export interface Chain {
  readonly provider: JsonRpcProvider
  readonly chainId: number
  readonly genesisHash: string
  readonly pollMs: number
  /** The newest block, asked now. */
  head(): Promise<BlockRef>
  /** A block by number, or undefined when the chain is shorter. */
  block(number: number): Promise<BlockRef | undefined>
  /** Why the endpoint can't be used, or undefined when its last answer was fine. */
  problem(): string | undefined
  close(): void
}

export interface ChainOptions {
  rpcUrl: string
  /** How often followers and senders look for a new block, in ms. */
  pollMs?: number
  log: Log
  signal?: AbortSignal
  /** How long one request may take, in ms. */
  timeoutMs?: number
}

interface RawBlock {
  number: string
  hash: string
  parentHash: string
  timestamp: string
}

/** Connects to a chain, waiting for an endpoint that is not up yet until `signal` says to stop. */
export async function createChain(options: ChainOptions): Promise<Chain> {
  const { rpcUrl, pollMs = 1000, log, signal, timeoutMs = 20_000 } = options
  const request = new FetchRequest(rpcUrl)
  request.timeout = timeoutMs
  // One retry policy only: that of the caller, which knows what it is waiting for. ethers would hide an outage for minutes.
  request.setThrottleParams({ maxAttempts: 1 })

  const { chainId, genesisHash } = await identify(request, { ...options, log })
  const network = Network.from(chainId)
  // Cached answers (250 ms by default) would show a follower a block that a reorganisation has already replaced.
  // And waiting 10 ms for company (batchStallTime) would be most of what a request to a near endpoint takes.
  const provider = new JsonRpcProvider(request, network, { staticNetwork: network, cacheTimeout: -1, batchStallTime: 0 })
  let problem: string | undefined

  const block = async (tag: string): Promise<BlockRef | undefined> => {
    try {
      const raw: RawBlock | null = await provider.send('eth_getBlockByNumber', [tag, false])
      problem = undefined
      return raw === null ? undefined : blockRef(raw)
    } catch (error) {
      problem = `${maskUrl(rpcUrl)} does not answer: ${shortMessage(error)}`
      throw error
    }
  }
  signal?.addEventListener('abort', () => provider.destroy(), { once: true })

  return {
    provider,
    chainId,
    genesisHash,
    pollMs,
    async head() {
      const newest = await block('latest')
      if (!newest) throw new Error(`${maskUrl(rpcUrl)} has no latest block`)
      return newest
    },
    block: (number) => block(`0x${number.toString(16)}`),
    problem: () => problem,
    close: () => provider.destroy(),
  }
}

const blockRef = ({ number, hash, parentHash, timestamp }: RawBlock): BlockRef => ({
  number: Number(number),
  hash,
  parentHash,
  timestamp: Number(timestamp),
})

/** ethers puts the whole request into `message`; the reader needs what went wrong. */
export function shortMessage(error: unknown): string {
  const { shortMessage, message, error: answer } = error as { shortMessage?: string; message: string; error?: { message?: string } }
  return answer?.message ?? shortMessage ?? message
}

async function identify(request: FetchRequest, { rpcUrl, log, signal }: ChainOptions): Promise<{ chainId: number; genesisHash: string }> {
  const network = Network.from(1)
  return pRetry(
    async () => {
      // Which network it is isn't known yet; naming any keeps ethers from asking (and complaining on the console) by itself.
      const probe = new JsonRpcProvider(request, network, { staticNetwork: network, cacheTimeout: -1 })
      try {
        const [chainId, genesis] = await Promise.all([probe.send('eth_chainId', []), probe.send('eth_getBlockByNumber', ['0x0', false])])
        if (genesis === null) throw new Error('it has no block 0')
        return { chainId: Number(chainId), genesisHash: (genesis as RawBlock).hash }
      } finally {
        probe.destroy()
      }
    },
    {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 250,
      maxTimeout: 5000,
      ...(signal ? { signal } : {}),
      onFailedAttempt: ({ error, attemptNumber }) => {
        if (attemptNumber === 1 || attemptNumber % 10 === 0) log.warn({ rpcUrl: maskUrl(rpcUrl), reason: shortMessage(error) }, 'waiting for the chain')
      },
    },
  )
}
