import type { HardhatEthers } from '@nomicfoundation/hardhat-ethers/types'
import { parseEther, type Signer } from 'ethers'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deploy } from '../../../deploy/deploy.ts'
import type { ServiceParamsStruct } from '../../../typechain-types/contracts/compute/IInferenceServing.ts'
import {
  Bonds__factory,
  InferenceServing__factory,
  LedgerManager__factory,
  ReceiptDisputes__factory,
  TeeSignerRegistryDouble__factory,
} from '../../../typechain-types/index.ts'

export const DAY = 86_400
export const WEEK = 7 * DAY
export const LOCK_TIME = DAY
export const STAKE = parseEther('100')
export const INFERENCE = 'inference-v1.0'
export const INPUT_PRICE = 1_000n
export const OUTPUT_PRICE = 3_000n

/** The compute contracts at the addresses of the public client, with a registry that says what it is told. `provider` offers a service. */
export async function deployCompute(ethers: HardhatEthers, options: { registry?: false } = {}) {
  const signers = (await ethers.getSigners()) as unknown as Signer[]
  const [reserved, governor, provider, other, alice, bob, carol] = signers as [Signer, Signer, Signer, Signer, Signer, Signer, Signer]
  const book = AddressBook.open(31337)
  const registry = await new TeeSignerRegistryDouble__factory(governor).deploy()
  if (options.registry !== false) book.record('TeeSignerRegistry', await registry.getAddress())
  const profile = { access: {}, stake: true as const, compute: { lockTime: BigInt(LOCK_TIME) } }
  const at = await deploy({ signer: governor, reserved, profile, book })
  const ledger = LedgerManager__factory.connect(at.LedgerManager!, alice)
  const serving = InferenceServing__factory.connect(at.InferenceServing!, provider)
  const bonds = Bonds__factory.connect(at.Bonds!, governor)
  const disputes = ReceiptDisputes__factory.connect(at.ReceiptDisputes!, alice)
  const tee = ethers.Wallet.createRandom()
  await registry.attest(tee.address, 2n ** 40n)
  await serving.addOrUpdateService(serviceOf(tee.address), { value: STAKE })
  return { reserved, governor, provider, other, alice, bob, carol, users: signers.slice(7), at, book, registry, ledger, serving, bonds, disputes, tee }
}
export type Compute = Awaited<ReturnType<typeof deployCompute>>

export function serviceOf(signer: string, changes: Partial<ServiceParamsStruct> = {}): ServiceParamsStruct {
  return {
    serviceType: 'chatbot',
    url: 'http://127.0.0.1:5760',
    model: 'perigee/extractive-1',
    verifiability: 'TeeML',
    inputPrice: INPUT_PRICE,
    outputPrice: OUTPUT_PRICE,
    additionalInfo: '{"TEEVerifier":"dstack"}',
    teeSignerAddress: signer,
    ...changes,
  }
}

/** `user` has a ledger and, with `provider`, a sub-account of `amount` coins. */
export async function fund({ ledger }: Pick<Compute, 'ledger'>, user: Signer, provider: Signer, amount: bigint, more = parseEther('3')): Promise<void> {
  await ledger.connect(user).depositFund({ value: amount + more })
  await ledger.connect(user).transferFund(await provider.getAddress(), INFERENCE, amount)
}
