import { computeAddress, type TypedDataDomain } from 'ethers'
import { tuningDomain } from '../../../protocol/compute/tuning-settlement.ts'
import type { FineTuningServiceStructOutput } from '../../../typechain-types/contracts/compute/IFineTuningServing.ts'
import { type IFineTuningServing, IFineTuningServing__factory } from '../../../typechain-types/index.ts'
import type { Chain } from '../../runtime/chain.ts'
import { decodeRevert } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Enclave } from './enclave.ts'
import type { Task } from './tasks.ts'

/** A refund that matures this long (seconds) before a settlement could be sent is taken for gone. */
const MARGIN = 600n

export interface ServingOptions {
  chain: Chain
  address: string
  sender: Sender
  enclave: Enclave
}

/** What a user has for this provider, and up to which fee she lets herself be charged; wei. */
export interface Means {
  funds: bigint
  /** 0 = no ceiling. */
  ceiling: bigint
}

/** The contract that users pay through, from the provider's side. */
export class Serving {
  readonly contract: IFineTuningServing
  /** Address of the key that signs models and settlements. */
  readonly signer: string
  readonly #options: ServingOptions
  readonly #domain: TypedDataDomain

  constructor(options: ServingOptions) {
    const { chain, address, enclave } = options
    this.contract = IFineTuningServing__factory.connect(address, chain.provider)
    this.signer = computeAddress(enclave.signer)
    this.#options = options
    this.#domain = tuningDomain(chain.chainId, address)
  }

  get provider(): string {
    return this.#options.sender.address
  }

  /** Of the service as it is registered now; 0 before it is. */
  async pricePerToken(): Promise<bigint> {
    return (await this.service())?.pricePerToken ?? 0n
  }

  service(): Promise<FineTuningServiceStructOutput | undefined> {
    return this.#unless('ServiceNotExist', this.contract.getService(this.provider))
  }

  /** Undefined when the user has no sub-account. What is asked back and could leave before a task delivered now is settled does not count. */
  async meansOf(user: string): Promise<Means | undefined> {
    const account = await this.#unless('AccountNotExists', this.contract.getAccount(user, this.provider))
    if (!account) return undefined
    const [lockTime, window, ceiling, head] = await Promise.all([
      this.contract.lockTime(),
      this.contract.acknowledgementWindow(),
      this.contract.feeCeiling(user, this.provider),
      this.#options.chain.head(),
    ])
    const until = BigInt(head.timestamp) + window + MARGIN
    const leaving = account.refunds.filter(({ createdAt }) => createdAt + lockTime <= until).reduce((sum, { amount }) => sum + amount, 0n)
    return { funds: account.balance - leaving, ceiling }
  }

  /** Seconds a user has to acknowledge. */
  async acknowledgementWindow(): Promise<number> {
    return Number(await this.contract.acknowledgementWindow())
  }

  /** Whether a delivered task was not acknowledged in time. */
  async isOverdue({ user, id }: Task): Promise<boolean> {
    const [{ acknowledgeBy }, head] = await Promise.all([this.contract.termsOf(user, this.provider, id), this.#options.chain.head()])
    return BigInt(head.timestamp) > acknowledgeBy
  }

  async deliver({ id, user, root, fee }: Task): Promise<void> {
    const data = this.contract.interface.encodeFunctionData('addDeliverable', [user, id, root!, fee!])
    await this.#send(`deliver ${id}`, data)
  }

  /** Settles with what the TEE signs for it; `intent` keeps a penalty apart from the settlement that may follow it. */
  async settle({ id, user, root, fee }: Task, encryptedSecret: string, intent: 'settle' | 'release' | 'penalty'): Promise<void> {
    const { provider } = this
    const account = await this.contract.getAccount(user, provider)
    const terms = { id, user, modelRootHash: root!, nonce: account.nonce + 1n, encryptedSecret }
    const signature = this.#options.enclave.sign(this.#domain, { ...terms, provider, fee: BigInt(fee!) })
    const data = this.contract.interface.encodeFunctionData('settleFees', [{ ...terms, taskFee: fee!, signature }])
    await this.#send(`${intent} ${id}`, data)
  }

  async #send(key: string, data: string): Promise<void> {
    await this.#options.sender.send({ key, to: await this.contract.getAddress(), data })
  }

  /** Undefined instead of this one custom error. */
  async #unless<T>(name: string, call: Promise<T>): Promise<T | undefined> {
    try {
      return await call
    } catch (error) {
      if (decodeRevert(error, [this.contract.interface]).error === name) return undefined
      throw error
    }
  }
}
