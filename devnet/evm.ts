import { ZeroHash } from 'ethers'
import { createHardhatRuntimeEnvironment } from 'hardhat/hre'
import type { EthereumProvider } from 'hardhat/types/providers'
import type { Call, Header, Idle } from './journal.ts'

/** EDR builds up to this many blocks of one `hardhat_mine` one by one; from more on it only reserves those in between, which have other hashes. */
const BUILT_BLOCKS = 5

export interface Head {
  number: number
  hash: string
  time: number
}

interface RawBlock {
  number: string
  hash: string
  parentHash: string
  timestamp: string
}

/** The mnemonic every Ethereum development tool uses: its accounts hold 10,000 ETH each and are known to the world. */
export const DEV_MNEMONIC = 'test test test test test test test test test test test junk'
export const DEV_ACCOUNTS = 30

/** Hardhat's EVM in this process. Same header and same operations in the same order give the same blocks, hash for hash. */
export class Evm {
  readonly #provider: EthereumProvider
  #head!: Head

  private constructor(provider: EthereumProvider) {
    this.#provider = provider
  }

  static async create({ genesisTime, chainId, hardfork }: Omit<Header, 'format'>): Promise<Evm> {
    const hre = await createHardhatRuntimeEnvironment({
      networks: {
        chain: {
          type: 'edr-simulated',
          chainType: 'l1',
          chainId,
          hardfork,
          initialDate: genesisTime,
          accounts: { mnemonic: DEV_MNEMONIC, count: DEV_ACCOUNTS },
          allowBlocksWithSameTimestamp: true,
          // As on a real chain: a transaction that reverts is mined, and its receipt says so.
          throwOnTransactionFailures: false,
          loggingEnabled: false,
        },
      },
    })
    const { provider } = await hre.network.create('chain')
    const evm = new Evm(provider)
    await evm.refresh()
    return evm
  }

  get head(): Head {
    return this.#head
  }

  async request(method: string, params: unknown[]): Promise<unknown> {
    const result = await this.#provider.request({ method, params })
    return method === 'eth_getBlockByNumber' || method === 'eth_getBlockByHash' ? this.#withParent(result as RawBlock | null) : result
  }

  /** Reserved blocks come without the hash of their parent, which would look like a reorg to whoever follows the chain by it. */
  async #withParent(block: RawBlock | null): Promise<unknown> {
    if (block?.parentHash !== ZeroHash || Number(block.number) === 0) return block
    const parent = (await this.#provider.request({ method: 'eth_getBlockByNumber', params: [quantity(Number(block.number) - 1), false] })) as RawBlock
    return { ...block, parentHash: parent.hash }
  }

  /** Reads the head again and says whether it moved. */
  async refresh(): Promise<boolean> {
    const block = (await this.request('eth_getBlockByNumber', ['latest', false])) as RawBlock
    const moved = block.hash !== this.#head?.hash
    this.#head = { number: Number(block.number), hash: block.hash, time: Number(block.timestamp) }
    return moved
  }

  /** Applies a call; one that makes a block carries that block's time. */
  async apply({ call, params, time }: Pick<Call, 'call' | 'params' | 'time'>): Promise<unknown> {
    if (time !== undefined) await this.request('evm_setNextBlockTimestamp', [time])
    return this.request(call, params)
  }

  /** Mines idle blocks. Long rounds are reserved, not built: a week of them takes a millisecond and no memory. */
  async idle({ time, every, blocks, times }: Idle): Promise<void> {
    // Rounds of one block, mined live one by one, are replayed a few at a time: same blocks, fewer calls.
    const [size, count] = blocks === 1 ? [BUILT_BLOCKS, times] : [blocks, blocks * times]
    for (let done = 0; done < count; done += size) {
      await this.request('evm_setNextBlockTimestamp', [time + done * every])
      await this.request('hardhat_mine', [quantity(Math.min(size, count - done)), quantity(every)])
    }
    await this.refresh()
  }

  close(): Promise<void> {
    return this.#provider.close()
  }
}

export function quantity(value: number): string {
  return `0x${value.toString(16)}`
}
