import type { Signer } from 'ethers'
import { deployAccess, handOver } from './access.ts'
import { AddressBook } from './address-book.ts'
import { deployAttestation, type TrustedTee } from './attestation.ts'
import { deployCompute } from './compute.ts'
import { deployDa } from './da.ts'
import { Deployer, IMPLEMENTATION } from './deployer.ts'
import { isReserved } from './networks.ts'
import type { Profile } from './profiles.ts'
import { checkRandomness } from './randomness.ts'
import { deployStake } from './stake.ts'
import { deployStorage } from './storage.ts'

export interface DeployOptions {
  /** Pays, and holds every role unless the profile hands over to a timelock. */
  signer: Signer
  profile: Profile
  book: AddressBook
  /** The TEE to believe where the profile names none, as on a local chain, whose simulated TEE has a root of its own. Without one nobody could attest anything, so attestation is left out. */
  tee?: TrustedTee
  /** On the local chain: the account whose nonces put the compute contracts where the public client expects them. Without it, they are anywhere. */
  reserved?: Signer
  onStep?: (step: string) => void
}

/** Deploys the modules of a profile. Run again, it does only what is missing. Gives the addresses to use, by name: of proxies, not of what is behind them. */
export async function deploy({ signer, profile, book, tee, reserved, onStep }: DeployOptions): Promise<Readonly<Record<string, string>>> {
  const address = await signer.getAddress()
  if (isReserved(book.chainId, address))
    throw new Error(
      `${address} is kept for the compute contracts, whose addresses on chain ${book.chainId} follow from its nonces: deploy from another account`,
    )
  if (profile.da) await checkRandomness(signer.provider!, book, profile.da.randomness)
  const deployer = new Deployer({ signer, book, ...(onStep && { onStep }) })
  const manager = await deployAccess(deployer, profile.access)
  if (profile.stake) await deployStake(deployer)
  if (profile.storage) await deployStorage(deployer, manager, profile.storage)
  const { attestation } = profile
  const trusted = tee ?? attestation?.tee
  if (attestation && trusted) await deployAttestation(deployer, manager, { ...attestation, tee: trusted })
  if (profile.compute) await deployCompute(deployer, manager, profile.compute, await presetBy(reserved, book))
  if (profile.da) await deployDa(deployer, manager, profile.da)
  await handOver(deployer, manager, profile.access)
  return Object.fromEntries(Object.entries(book.contracts).filter(([name]) => !name.endsWith(IMPLEMENTATION)))
}

async function presetBy(reserved: Signer | undefined, { chainId }: AddressBook): Promise<Signer | undefined> {
  if (!reserved) return undefined
  const address = await reserved.getAddress()
  if (!isReserved(chainId, address)) throw new Error(`${address} is not the account that the public client knows on chain ${chainId}`)
  return reserved
}

/** The address book of the network that a provider is connected to, in a folder of one book per chain id. */
export async function openBook(signer: Signer, folder: string): Promise<AddressBook> {
  if (!signer.provider) throw new Error('the signer is not connected to a network')
  const { chainId } = await signer.provider.getNetwork()
  return AddressBook.open(Number(chainId), `${folder}/${chainId}.json`)
}
