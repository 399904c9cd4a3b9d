import { AbstractSigner, resolveAddress, resolveProperties, type TransactionRequest, type TransactionResponse } from 'ethers'
import { PerigeeError } from '../../../sdk/errors.ts'
import { download } from '../../../sdk/storage/download.ts'
import { findHolders } from '../../../sdk/storage/holders.ts'
import { upload } from '../../../sdk/storage/upload.ts'
import type { Chain } from '../../runtime/chain.ts'
import type { Sender } from '../../runtime/sender.ts'
import { TrainingFailed } from './trainers/trainer.ts'

/** Where datasets come from and models go to. */
export interface ModelStorage {
  /** @throws TrainingFailed when the network has no such file, or it is larger than `maxBytes` */
  fetch(root: string, to: string, maxBytes: number, signal: AbortSignal): Promise<void>
  /** Stores a file, paying at most once, and gives its root. */
  store(path: string, intent: string, signal: AbortSignal): Promise<string>
}

/** Signs by way of the keeper's one sender, which pays each intent once, also across restarts. */
class SenderSigner extends AbstractSigner {
  readonly #sender: Sender
  readonly #intent: string
  readonly #chain: Chain

  constructor(sender: Sender, chain: Chain, intent: string) {
    super(chain.provider)
    this.#sender = sender
    this.#chain = chain
    this.#intent = intent
  }

  async getAddress(): Promise<string> {
    return this.#sender.address
  }

  override async sendTransaction(request: TransactionRequest): Promise<TransactionResponse> {
    const { to, data, value } = await resolveProperties(request)
    const address = await resolveAddress(to!, this.provider)
    const { hash } = await this.#sender.send({ key: this.#intent, to: address, data: data!, value: BigInt(value ?? 0) })
    return (await this.#chain.provider.getTransaction(hash))!
  }

  connect(): never {
    throw new Error('this signer belongs to its chain')
  }

  async signTransaction(): Promise<never> {
    throw new Error('transactions are signed by the sender')
  }

  async signMessage(): Promise<never> {
    throw new Error('the account of a keeper signs transactions only')
  }

  async signTypedData(): Promise<never> {
    throw new Error('the account of a keeper signs transactions only')
  }
}

export interface StorageOptions {
  indexer: string
  sender: Sender
  chain: Chain
}

/** The storage network, through its indexer. */
export function networkStorage({ indexer, sender, chain }: StorageOptions): ModelStorage {
  return {
    async fetch(root, to, maxBytes, signal) {
      try {
        const { shape } = await findHolders(root, { indexer, signal })
        if (shape.size > maxBytes) throw new TrainingFailed(`the dataset has ${shape.size} bytes, more than the ${maxBytes} that are taken`)
        await download(root, to, { indexer, signal, force: true })
      } catch (error) {
        if (error instanceof PerigeeError && error.code === 'NOT_FOUND')
          throw new TrainingFailed(`the dataset ${root} is neither uploaded here by this user nor in the storage network`, { cause: error })
        throw error
      }
    },
    async store(path, intent, signal) {
      const { root } = await upload(path, { indexer, signer: new SenderSigner(sender, chain, intent), signal })
      return root
    },
  }
}
