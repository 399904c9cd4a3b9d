import type { HardhatEthers } from '@nomicfoundation/hardhat-ethers/types'
import { getBytes, hexlify } from 'ethers'
import { ROLES } from '../../../deploy/access.ts'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deployAttestation } from '../../../deploy/attestation.ts'
import { Deployer } from '../../../deploy/deployer.ts'
import { parseQuote } from '../../../protocol/attestation/quote.ts'
import { measurementOf, signerReportData } from '../../../protocol/attestation/report-data.ts'
import type { SimulatedQuoteOptions } from '../../../protocol/attestation/simulated-quote.ts'
import { createSimulatedPki, type SimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import {
  AccessManager__factory,
  CollateralReader__factory,
  CollateralRegistry__factory,
  QuoteVerifier__factory,
  TeeSignerRegistry__factory,
} from '../../../typechain-types/index.ts'
import { addPlatform, calldata, mined, publish, quoteParts } from './platform.ts'

export const DAY = 86_400
export const LIFETIME = 7 * DAY
export const NOTHING = `0x${'00'.repeat(32)}`

/** A simulated PKI whose certificates began before any chain of a test, and what it says of the code that runs. */
export const pki: SimulatedPki = pkiOfUsualKey()
export const measurement = measurementOf(parseQuote(pki.quote({ reportData: new Uint8Array(64) })))

/** One whose attestation key has no zero byte: such bytes make calldata cheaper, and measured gas is to be the same in every run. */
function pkiOfUsualKey(): SimulatedPki {
  for (;;) {
    const made = createSimulatedPki()
    if (!made.attestationKey.includes(0)) return made
  }
}

/** The block's time, as collateral is to be issued for. */
export async function chainDate(ethers: HardhatEthers): Promise<Date> {
  return new Date((await ethers.provider.getBlock('latest'))!.timestamp * 1000)
}

/** A registry of collateral and the verifier over it. */
export async function deployVerifier(ethers: HardhatEthers, root: Uint8Array = pki.rootCertificate) {
  const [deployer] = await ethers.getSigners()
  const reader = await new CollateralReader__factory(deployer).deploy()
  const link = { 'project/contracts/attestation/CollateralReader.sol:CollateralReader': reader.target as string }
  const collateral = await new CollateralRegistry__factory(link, deployer).deploy(hexlify(root))
  const verifier = await new QuoteVerifier__factory(deployer).deploy(collateral)
  return { reader, link, collateral, verifier }
}

/** All contracts as deployment leaves them, with roles of their own holders, and no collateral. */
export async function deployRegistry(ethers: HardhatEthers, tee = { rootCertificate: pki.rootCertificate, measurements: [measurement] }) {
  const [deployer, governor, guardian, alice, bob] = await ethers.getSigners()
  if (!deployer || !governor || !guardian || !alice || !bob) throw new Error('five accounts are needed')
  const manager = await new AccessManager__factory(deployer).deploy(deployer.address)
  const book = AddressBook.open(Number((await ethers.provider.getNetwork()).chainId))
  await deployAttestation(new Deployer({ signer: deployer, book }), manager, { lifetime: BigInt(LIFETIME), minimumEvaluation: 17n, tee })
  await mined(manager.grantRole(ROLES.GOVERNOR, governor.address, 0))
  await mined(manager.grantRole(ROLES.GUARDIAN, guardian.address, 0))
  const link = { 'project/contracts/attestation/CollateralReader.sol:CollateralReader': book.get('CollateralReader') }
  return {
    deployer,
    governor,
    guardian,
    alice,
    bob,
    manager,
    link,
    collateral: CollateralRegistry__factory.connect(book.get('CollateralRegistry'), deployer),
    verifier: QuoteVerifier__factory.connect(book.get('QuoteVerifier'), deployer),
    registry: TeeSignerRegistry__factory.connect(book.get('TeeSignerRegistry'), deployer),
  }
}

/** As `deployRegistry`, with the simulated platform and its collateral in place. */
export async function withCollateral(ethers: HardhatEthers) {
  const all = await deployRegistry(ethers)
  const given = calldata(pki.collateral(await chainDate(ethers)))
  await publish(all.collateral, given)
  await addPlatform(all.collateral, given, quoteParts(pki.quote({ reportData: new Uint8Array(64) })))
  return { ...all, given }
}

export interface Claim {
  signer: string
  encryptionKey?: string
  tlsKey?: string
  /** The latest unless given. */
  blockNumber?: number
  /** What the quote names instead of what is true. */
  instead?: { chainId?: bigint; registry?: string; signer?: string; encryptionKey?: string; tlsKey?: string; blockHash?: string }
  quote?: Partial<SimulatedQuoteOptions>
}

/** Arguments of `register`, with a quote made for them. */
export async function proof(ethers: HardhatEthers, registry: { target: unknown }, claim: Claim) {
  const { signer, encryptionKey = NOTHING, tlsKey = NOTHING, instead = {}, quote = {} } = claim
  const blockNumber = claim.blockNumber ?? (await ethers.provider.getBlockNumber())
  const { hash } = (await ethers.provider.getBlock(blockNumber))!
  const { chainId } = await ethers.provider.getNetwork()
  const reportData = signerReportData({ chainId, registry: registry.target as string, signer, encryptionKey, tlsKey, blockHash: hash!, ...instead })
  const bytes = pki.quote({ reportData, ...quote })
  return [quoteParts(bytes).quote, signer, encryptionKey, tlsKey, blockNumber] as const
}

export const bytes32 = (fill: number): string => hexlify(getBytes(NOTHING).fill(fill))
