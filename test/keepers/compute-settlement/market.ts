import { hexlify, JsonRpcProvider, parseEther, Wallet } from 'ethers'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deploy } from '../../../deploy/deploy.ts'
import { type Chain, startChain } from '../../../devnet/chain.ts'
import type { ServiceParamsStruct } from '../../../typechain-types/contracts/compute/IInferenceServing.ts'
import {
  Bonds__factory,
  InferenceServing__factory,
  LedgerManager__factory,
  ReceiptDisputes__factory,
  TeeSignerRegistryDouble__factory,
} from '../../../typechain-types/index.ts'
import type { ProviderSetup } from './provider.ts'

export const LOCK_TIME = 86_400
export const SERVICE = 'inference-v1.0'
export const INPUT_PRICE = 10n ** 12n
export const OUTPUT_PRICE = 3n * 10n ** 12n

/** A chain with the contracts of the marketplace, a registry that says what it is told, and a provider with stake and a signer. */
export async function startMarket() {
  const chain: Chain = await startChain()
  const provider = new JsonRpcProvider(chain.url, chain.chainId, { staticNetwork: true, cacheTimeout: -1, batchStallTime: 0 })
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const [governor, seller, alice, bob, carol] = [1, 2, 3, 4, 5].map(wallet) as [Wallet, Wallet, Wallet, Wallet, Wallet]
  const book = AddressBook.open(chain.chainId)
  const registry = await new TeeSignerRegistryDouble__factory(governor).deploy()
  book.record('TeeSignerRegistry', await registry.getAddress())
  const at = await deploy({ signer: governor, profile: { access: {}, stake: true, compute: { lockTime: BigInt(LOCK_TIME) } }, book })
  const ledger = LedgerManager__factory.connect(at.LedgerManager!, provider)
  const serving = InferenceServing__factory.connect(at.InferenceServing!, seller)
  const disputes = ReceiptDisputes__factory.connect(at.ReceiptDisputes!, provider)
  const bonds = Bonds__factory.connect(at.Bonds!, provider)
  const secret = new Uint8Array(32).fill(9)
  const tee = new Wallet(hexlify(secret))

  const service = (changes: Partial<ServiceParamsStruct> = {}): ServiceParamsStruct => ({
    serviceType: 'chatbot',
    url: 'http://127.0.0.1:5760',
    model: 'm',
    verifiability: 'TeeML',
    inputPrice: INPUT_PRICE,
    outputPrice: OUTPUT_PRICE,
    additionalInfo: '{}',
    teeSignerAddress: tee.address,
    ...changes,
  })
  await (await registry.attest(tee.address, 2n ** 40n)).wait()
  await (await serving.addOrUpdateService(service(), { value: parseEther('100') })).wait()

  const setup: ProviderSetup = {
    rpcUrl: chain.url,
    privateKey: seller.privateKey,
    secret: hexlify(secret),
    inference: at.InferenceServing!,
    disputes: at.ReceiptDisputes!,
  }
  return {
    chain,
    provider,
    registry,
    ledger,
    serving,
    disputes,
    bonds,
    seller,
    tee,
    setup,
    service,
    users: [alice, bob, carol],
    wallet,
    /** `user` has a sub-account of `wei` more. */
    async fund(user: Wallet, wei: bigint) {
      await (await ledger.connect(user).depositFund({ value: wei + parseEther('3') })).wait()
      await (await ledger.connect(user).transferFund(seller.address, SERVICE, wei)).wait()
    },
    async retrieve(user: Wallet) {
      await (await ledger.connect(user).retrieveFund([seller.address], SERVICE)).wait()
    },
    balanceOf: async (user: Wallet) => (await serving.getAccount(user.address, seller.address)).balance,
    async travel(seconds: number) {
      await chain.request('evm_increaseTime', [seconds])
      await chain.request('hardhat_mine', ['0x1'])
    },
    now: async () => (await provider.getBlock('latest'))!.timestamp,
    batches: () => serving.queryFilter(serving.filters.BatchSettled()),
    async stop() {
      provider.destroy()
      await chain.stop()
    },
  }
}

export type Market = Awaited<ReturnType<typeof startMarket>>
