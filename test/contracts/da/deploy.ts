import type { HardhatEthers } from '@nomicfoundation/hardhat-ethers/types'
import { concat, hexlify, id, keccak256, parseEther, type Signer, toBeHex, toQuantity, Wallet } from 'ethers'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deploy } from '../../../deploy/deploy.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { aggregate, type BlsKey, blsKeyFromBytes, provePossession } from '../../../protocol/da/bls.ts'
import { type CertificateDomain, certificateDigest, packAbsent } from '../../../protocol/da/certificate.ts'
import { Bonds__factory, DataAvailability__factory, PrevRandao__factory } from '../../../typechain-types/index.ts'

export const STAKE = parseEther('100')
export const URL = 'signer.example:34000'
export const HOUR = 3600
export const DAY = 24 * HOUR

/** An account with a BLS key, both the same in every run. */
export interface TestSigner {
  wallet: Wallet
  bls: BlsKey
}

/** Signer `i`; small secrets make quick keys. */
export function testSigner(i: number, ethers: HardhatEthers): TestSigner {
  const secret = new Uint8Array(32)
  new DataView(secret.buffer).setUint32(28, i + 1)
  return { wallet: new Wallet(hexlify(secret.map((byte, at) => (at === 0 ? 0x5a : byte))), ethers.provider), bls: blsKeyFromBytes(secret) }
}

/** The contracts of data availability from a profile, local by default, and nobody registered. */
export async function deployDa(ethers: HardhatEthers, changes: Partial<NonNullable<(typeof PROFILES)['local']['da']>> = {}) {
  const [, governor, stranger] = (await ethers.getSigners()) as unknown as [Signer, Signer, Signer]
  await ethers.provider.send('hardhat_setBalance', [await governor.getAddress(), toQuantity(parseEther('1000000000'))])
  const profile = { access: {}, stake: true as const, da: { ...PROFILES.local!.da!, epochLength: 120n, ...changes } }
  const at = await deploy({ signer: governor, profile, book: AddressBook.open(31337) })
  // The arbiter of the signers' stake, as an account.
  const challenges = (await ethers.getImpersonatedSigner(at.AvailabilityChallenges!)) as unknown as Signer
  await ethers.provider.send('hardhat_setBalance', [at.AvailabilityChallenges, '0xde0b6b3a7640000'])
  const da = DataAvailability__factory.connect(at.DataAvailability!, governor)
  const bonds = Bonds__factory.connect(at.Bonds!, governor)
  const randomness = PrevRandao__factory.connect(at.Randomness!, governor)
  const domain: CertificateDomain = { chainId: 31337n, contract: at.DataAvailability! }
  return { at, governor, stranger, challenges, da, bonds, randomness, domain, ethers }
}
export type Da = Awaited<ReturnType<typeof deployDa>>

/** Bonds `stake` for the account of a signer under the challenges. */
export async function bond({ da, bonds, challenges }: Da, { wallet }: TestSigner, stake = STAKE): Promise<string> {
  await bonds.bond(wallet.address, [await challenges.getAddress()], await da.bondDelay(), { value: stake })
  return da.bondIdOf(wallet.address)
}

/** Arguments of `register` for a signer. */
export function registration({ domain }: Da, { wallet, bls }: TestSigner, url = URL) {
  const { key, keyG2, proof, counter, y } = provePossession(bls, domain, wallet.address)
  return [key, keyG2, proof, counter, y, url] as const
}

/** Signers `from` to `from + count`, bonded and registered. */
export async function registerMany(of: Da, count: number, { from = 0, stakes = [] as bigint[] } = {}): Promise<TestSigner[]> {
  const signers = Array.from({ length: count }, (_, i) => testSigner(from + i, of.ethers))
  for (const [i, signer] of signers.entries()) {
    await of.ethers.provider.send('hardhat_setBalance', [signer.wallet.address, '0xde0b6b3a7640000'])
    await bond(of, signer, stakes[i])
    await of.da.connect(signer.wallet).register(...registration(of, signer), { gasLimit: 600_000 })
  }
  return signers
}

/** Four signers of equal stake in the first epoch. */
export async function started(of: Da, count = 4, stakes: bigint[] = []): Promise<TestSigner[]> {
  const signers = await registerMany(of, count, { stakes })
  await of.da.advance(1000)
  return signers
}

/** Arguments of `certify` by all signers but the `absent` ones. */
export function certificate({ domain }: Da, signers: readonly TestSigner[], batchRoot: string, { epoch = 1, absent = [] as number[] } = {}) {
  const digest = certificateDigest(domain, epoch, batchRoot)
  const signing = signers.filter((_, i) => !absent.includes(i))
  const signed = aggregate(
    digest,
    signing.map(({ bls }) => bls.sign(digest)),
    signing.map(({ bls }) => bls.keyG2),
  )
  return [batchRoot, epoch, packAbsent(absent), signed] as const
}

/** Arguments of `certifyBySignatures`. */
export function signatures({ domain }: Da, signers: readonly TestSigner[], batchRoot: string, { epoch = 1, absent = [] as number[] } = {}) {
  const digest = certificateDigest(domain, epoch, batchRoot)
  const list = signers.filter((_, i) => !absent.includes(i)).map(({ wallet }) => wallet.signingKey.sign(digest).serialized)
  return [batchRoot, epoch, packAbsent(absent), concat(list)] as const
}

/** The slot of a namespace (ERC-7201). */
export const erc7201 = (name: string): string => toBeHex(BigInt(keccak256(toBeHex(BigInt(id(name)) - 1n, 32))) & ~0xffn, 32)
