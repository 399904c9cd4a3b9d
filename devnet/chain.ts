import { HDNodeWallet, Mnemonic } from 'ethers'
import type { Logger } from 'pino'
import { Blockchain } from './blockchain.ts'
import { DEV_ACCOUNTS, DEV_MNEMONIC } from './evm.ts'
import { serveChain } from './rpc.ts'

export interface ChainOptions {
  /** File of the journal; without it the chain is gone when it stops. */
  journal?: string
  /** 0 takes a free one. */
  port?: number
  host?: string
  chainId?: number
  /** Seconds between idle blocks; 0 (the default) mines only for transactions. */
  blockTime?: number
  log?: Logger
}

export interface Account {
  address: string
  privateKey: string
}

export interface Chain {
  url: string
  chainId: number
  accounts: Account[]
  /** Answers a JSON-RPC call without going through HTTP. */
  request(method: string, params: unknown[]): Promise<unknown>
  stop(): Promise<void>
}

export const LOCAL_CHAIN_ID = 31337

/** The funded development accounts, in the order every development tool numbers them. */
export function devAccounts(): Account[] {
  const root = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(DEV_MNEMONIC), "m/44'/60'/0'/0")
  return Array.from({ length: DEV_ACCOUNTS }, (_, i) => {
    const { address, privateKey } = root.deriveChild(i)
    return { address, privateKey }
  })
}

/** Starts a local EVM chain that answers JSON-RPC over HTTP and, given a journal, comes back as it was. */
export async function startChain(options: ChainOptions = {}): Promise<Chain> {
  const { journal, port = 0, host = '127.0.0.1', chainId = LOCAL_CHAIN_ID, blockTime = 0, log } = options
  const onFailure = (error: Error) => log?.error({ err: error }, 'the chain has stopped')
  const blockchain = await Blockchain.open({ ...(journal && { journal }), chainId, hardfork: 'osaka', blockTime, onFailure })
  const server = await serveChain(blockchain, { host, port, ...(log && { log }) }).catch(async (error: unknown) => {
    await blockchain.close()
    throw error
  })
  log?.info({ url: server.url, chainId, block: blockchain.blockNumber }, 'chain is up')
  return {
    url: server.url,
    chainId,
    accounts: devAccounts(),
    request: (method, params) => blockchain.request(method, params),
    async stop() {
      await server.close()
      await blockchain.close()
    },
  }
}
