import type { HardhatEthers } from '@nomicfoundation/hardhat-ethers/types'
import { type BaseWallet, type BytesLike, hexlify, parseEther } from 'ethers'
import { settlementDigest, tuningDomain } from '../../../protocol/compute/tuning-settlement.ts'
import type { VerifierInputStruct } from '../../../typechain-types/contracts/compute/FineTuningServing.ts'
import { type FineTuningServing, FineTuningServing__factory } from '../../../typechain-types/index.ts'
import { deployCompute } from './deploy.ts'

export const FINE_TUNING = 'fine-tuning-v1.0'
export const HOUR = 3_600
export const FEE = parseEther('1')
export const BALANCE = parseEther('5')
export const ROOT = `0x${'ab'.repeat(32)}`
export const SECRET = hexlify(Uint8Array.from({ length: 129 }, (_, i) => (i * 7 + 4) % 256))
export const QUOTA = { cpuCount: 8n, nodeMemory: 32n, gpuCount: 1n, nodeStorage: 100n, gpuType: 'none' }

/** UUID of the n-th task. */
export const uuid = (n: number): string => `0fe0a1b2-c3d4-4e5f-8a6b-${n.toString(16).padStart(12, '0')}`

/** `provider` tunes models, signed by `tee`; `alice` has a sub-account of five coins with it. */
export async function deployTuning(ethers: HardhatEthers) {
  const compute = await deployCompute(ethers)
  const { at, provider, alice, ledger, tee } = compute
  const tuning = FineTuningServing__factory.connect(at.FineTuningServing!, provider)
  await offer(tuning, tee.address)
  await ledger.depositFund({ value: parseEther('10') })
  await ledger.transferFund(provider, FINE_TUNING, BALANCE)
  const { chainId } = await ethers.provider.getNetwork()
  const settlement = settlements(tuning, { chainId: Number(chainId), provider: await provider.getAddress(), user: await alice.getAddress(), tee })
  return { ...compute, tuning, asUser: tuning.connect(alice), settlement, terms: (id: string) => tuning.termsOf(alice, provider, id) }
}
export type Tuning = Awaited<ReturnType<typeof deployTuning>>

/** The caller of `tuning` offers a service with this signer. */
export const offer = (tuning: FineTuningServing, signer: string, value = 0n, price = 7n) =>
  tuning.addOrUpdateService('http://127.0.0.1:5770', QUOTA, price, false, ['perigee/classifier'], signer, { value })

interface Party {
  chainId: number
  provider: string
  user: string
  tee: BaseWallet
}

export type Changes = Partial<Omit<VerifierInputStruct, 'encryptedSecret' | 'modelRootHash' | 'signature'>> & {
  encryptedSecret?: string
  modelRootHash?: string
  signature?: BytesLike
  by?: BaseWallet
  provider?: string
}

/** What the provider presents to be paid, signed by its TEE as it stands. */
function settlements(tuning: FineTuningServing, party: Party) {
  const domain = tuningDomain(party.chainId, tuning.target as string)
  return (id: string, nonce: number | bigint, { by = party.tee, provider = party.provider, signature, ...changes }: Changes = {}): VerifierInputStruct => {
    const input = { id, encryptedSecret: SECRET, modelRootHash: ROOT, nonce, taskFee: FEE, user: party.user, ...changes }
    const digest = settlementDigest(domain, {
      provider,
      user: input.user as string,
      id: input.id,
      modelRootHash: input.modelRootHash.padEnd(66, '0').slice(0, 66),
      fee: BigInt(input.taskFee),
      nonce: BigInt(input.nonce),
      encryptedSecret: input.encryptedSecret,
    })
    return { ...input, signature: signature ?? by.signingKey.sign(digest).serialized }
  }
}
