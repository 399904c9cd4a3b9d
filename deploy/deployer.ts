import { type ContractFactory, type ContractTransactionResponse, getCreateAddress, type Provider, type Signer } from 'ethers'
import { ERC1967Proxy__factory } from '../typechain-types/index.ts'
import type { AddressBook } from './address-book.ts'

export interface DeployerOptions {
  signer: Signer
  book: AddressBook
  /** Told of every transaction sent. */
  onStep?: (step: string) => void
}

/** A contract of a group: its factory, and its constructor's arguments given the addresses of the whole group. */
export interface GroupMember {
  name: string
  factory: ContractFactory
  args: (addresses: Record<string, string>) => unknown[]
}

/** What the name of a proxy's implementation ends with in the address book. */
export const IMPLEMENTATION = '.implementation'

/** Deploys what the address book does not have yet. Every method does nothing when its work is already done. */
export class Deployer {
  readonly signer: Signer
  readonly book: AddressBook
  readonly #step: (step: string) => void

  constructor({ signer, book, onStep = () => {} }: DeployerOptions) {
    this.signer = signer
    this.book = book
    this.#step = onStep
  }

  get provider(): Provider {
    return this.signer.provider!
  }

  /** Deploys `name`, unless it exists. Gives its address. */
  async contract(name: string, factory: ContractFactory, args: unknown[]): Promise<string> {
    const recorded = await this.#existing(name)
    if (recorded) return recorded
    const address = await this.#create(name, factory, args)
    this.book.record(name, address)
    return address
  }

  /**
   * Deploys `name` as transaction `nonce` of `from`, whose address others know; transfers of nothing to itself come before. One that is there already
   * counts: it was sent before an interruption.
   */
  async contractAt(from: Signer, nonce: number, name: string, factory: ContractFactory, args: unknown[]): Promise<string> {
    const recorded = await this.#existing(name)
    if (recorded) return recorded
    const sender = await from.getAddress()
    const address = getCreateAddress({ from: sender, nonce })
    let next = await this.provider.getTransactionCount(sender)
    for (; next < nonce; next++) await (await from.sendTransaction({ to: sender })).wait()
    if (next === nonce) await this.#create(name, factory, args, { from, expected: address })
    else if ((await this.provider.getCode(address)) === '0x')
      throw new Error(
        `${name} can no longer be created at ${address}: ${sender} has sent ${next} transactions. Nothing but this deployment may be sent from it`,
      )
    this.book.record(name, address)
    return address
  }

  /** Deploys what the proxy `name` is going to delegate to. */
  implementation(name: string, factory: ContractFactory): Promise<string> {
    return this.contract(`${name}${IMPLEMENTATION}`, factory, [])
  }

  /**
   * Deploys contracts that need each other's addresses. The plan is written down before the first is sent; after an interruption those
   * that exist are kept, and the rest go to the addresses they were promised. Had the deployer sent something else in between, those addresses are out
   * of reach and the group starts anew.
   */
  async group(members: GroupMember[]): Promise<Record<string, string>> {
    const recorded = await Promise.all(members.map(({ name }) => this.#existing(name)))
    if (recorded.every((address) => address !== undefined)) return Object.fromEntries(members.map(({ name }, i) => [name, recorded[i]!]))

    const deployer = await this.signer.getAddress()
    const names = members.map(({ name }) => name)
    const nonce = await this.provider.getTransactionCount(deployer)
    let plan = this.book.plan
    const done = plan ? nonce - plan.firstNonce : -1
    if (!plan || plan.deployer !== deployer || plan.names.join() !== names.join() || done < 0 || !(await this.#arePresent(plan, done))) {
      plan = { deployer, firstNonce: nonce, names }
      this.book.setPlan(plan)
    }
    const addresses = planned(plan)
    for (const { name, factory, args } of members.slice(nonce - plan.firstNonce))
      await this.#create(name, factory, args(addresses), { expected: addresses[name]! })
    this.book.fulfilPlan(addresses)
    return addresses
  }

  /** Sends a transaction unless `done` says that what it is for is so already. */
  async ensure(step: string, done: () => Promise<boolean>, send: () => Promise<ContractTransactionResponse>): Promise<void> {
    if (await done()) return
    this.#step(step)
    await (await send()).wait()
  }

  /** Whether the first `count` contracts of a plan, and no more, exist. */
  async #arePresent(plan: { deployer: string; firstNonce: number; names: string[] }, count: number): Promise<boolean> {
    if (count > plan.names.length) return false
    const codes = await Promise.all(Object.values(planned(plan)).map((address) => this.provider.getCode(address)))
    return codes.every((code, i) => (code !== '0x') === i < count)
  }

  async #existing(name: string): Promise<string | undefined> {
    const address = this.book.find(name)
    if (!address) return undefined
    if ((await this.provider.getCode(address)) === '0x')
      throw new Error(`the address book of chain ${this.book.chainId} has ${name} at ${address}, but there is no contract: is this the right network?`)
    return address
  }

  async #create(name: string, factory: ContractFactory, args: unknown[], { from = this.signer, expected = '' } = {}): Promise<string> {
    this.#step(`deploy ${name}`)
    const contract = await factory.connect(from).deploy(...args)
    await contract.waitForDeployment()
    const address = await contract.getAddress()
    if (expected && address !== expected)
      throw new Error(
        `${name} was created at ${address}, not at ${expected}: ${await from.getAddress()} sent another transaction meanwhile; run the deployment again`,
      )
    return address
  }
}

/** A proxy for `implementation` that is initialised in the transaction that creates it. */
export function proxy(name: string, implementation: string, initialize: (addresses: Record<string, string>) => string): GroupMember {
  return { name, factory: new ERC1967Proxy__factory(), args: (addresses) => [implementation, initialize(addresses)] }
}

function planned({ deployer, firstNonce, names }: { deployer: string; firstNonce: number; names: string[] }): Record<string, string> {
  return Object.fromEntries(names.map((name, i) => [name, getCreateAddress({ from: deployer, nonce: firstNonce + i })]))
}
