import { type ContractTransactionResponse, hexlify, id, parseEther, type Signer, Wallet } from 'ethers'
import { network } from 'hardhat'
import { AddressBook } from '../../deploy/address-book.ts'
import { deploy } from '../../deploy/deploy.ts'
import { PROFILES } from '../../deploy/profiles.ts'
import { settlementDigest, tuningDomain } from '../../protocol/compute/tuning-settlement.ts'
import { chainDate, measurement, pki, proof } from '../../test/contracts/attestation/deploy.ts'
import { addPlatform, calldata, publish, quoteParts } from '../../test/contracts/attestation/platform.ts'
import { CollateralRegistry__factory, FineTuningServing__factory, LedgerManager__factory, TeeSignerRegistry__factory } from '../../typechain-types/index.ts'
import type { Row } from '../report.ts'

/** Gas of the reference contracts, measured behind their proxies on the same kind of chain; a delivery and its settlement with slots written before. */
const reference = { service: 337_919, deliver: 263_970, deliverNext: 263_970, acknowledge: 49_275, settle: 262_333, settleNext: 262_333 }

const ROOT = id('the encrypted model')
const FEE = parseEther('0.1')
/** Of the size that the public client encrypts to. */
const SECRET = hexlify(Uint8Array.from({ length: 129 }, (_, i) => ((i * 37) % 255) + 1))
const uuid = (n: number): string => `0fe0a1b2-c3d4-4e5f-8a6b-${n.toString(16).padStart(12, '0')}`

/** Gas of delivered models and their settlement, of a signer that a verified quote stands behind. */
export async function fineTuningRows(progress: (what: string) => void): Promise<Row[]> {
  // A fixed date: the same calls cost the same gas on any day.
  const { ethers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const [reserved, deployer, provider, user] = (await ethers.getSigners()) as unknown as Signer[] as [Signer, Signer, Signer, Signer]
  const { stake, compute, attestation } = PROFILES.mainnet!
  const tee = { rootCertificate: pki.rootCertificate, measurements: [measurement] }
  const profile = { access: {}, stake: stake!, compute: compute!, attestation: attestation! }
  const at = await deploy({ signer: deployer, reserved, profile, book: AddressBook.open(31337), tee })
  const signer = new Wallet(id('signer'))
  const registry = TeeSignerRegistry__factory.connect(at.TeeSignerRegistry!, deployer)
  const collateral = CollateralRegistry__factory.connect(at.CollateralRegistry!, deployer)
  const given = calldata(pki.collateral(await chainDate(ethers)))
  await publish(collateral, given)
  await addPlatform(collateral, given, quoteParts(pki.quote({ reportData: new Uint8Array(64) })))
  await registry.register(...(await proof(ethers, registry, { signer: signer.address })))

  const tuning = FineTuningServing__factory.connect(at.FineTuningServing!, provider)
  const ledger = LedgerManager__factory.connect(at.LedgerManager!, user)
  const domain = tuningDomain(31337, at.FineTuningServing!)
  const parties = { provider: await provider.getAddress(), user: await user.getAddress() }
  const rows: Row[] = []
  const add = async (key: keyof typeof reference, what: string, sent: Promise<ContractTransactionResponse>, target?: number) => {
    const value = Number((await (await sent).wait())!.gasUsed)
    rows.push({ id: `tuning.${key}`, what, value, unit: 'gas', better: 'less', reference: reference[key], ...(target && { target }) })
  }
  const deliver = (n: number) => tuning.addDeliverable(user, uuid(n), ROOT, FEE)
  const acknowledge = (n: number) => tuning.connect(user).acknowledgeDeliverable(provider, uuid(n))
  const settle = (n: number, encryptedSecret = SECRET) => {
    const digest = settlementDigest(domain, { ...parties, id: uuid(n), modelRootHash: ROOT, fee: FEE, nonce: BigInt(n), encryptedSecret })
    const { serialized: signature } = signer.signingKey.sign(digest)
    return tuning.settleFees({ id: uuid(n), encryptedSecret, modelRootHash: ROOT, nonce: n, signature, taskFee: FEE, user })
  }

  progress('fine-tuning')
  const quota = { cpuCount: 32n, nodeMemory: 128n, gpuCount: 1n, nodeStorage: 1000n, gpuType: 'H100' }
  const service = tuning.addOrUpdateService('https://provider.example', quota, 10n ** 9n, false, ['organisation/model'], signer, { value: parseEther('100') })
  await add('service', 'FineTuning: new service, with its stake', service)
  await ledger.depositFund({ value: parseEther('10') })
  await ledger.transferFund(provider, 'fine-tuning-v1.0', parseEther('5'))
  await add('deliver', 'FineTuning: deliver, first of all', deliver(1), 150_000)
  await add('acknowledge', 'FineTuning: acknowledge', acknowledge(1))
  await add('settle', 'FineTuning: settle, first of all', settle(1), 170_000)
  for (let n = 2; n <= 20; n++) {
    await deliver(n)
    await acknowledge(n)
    await settle(n)
  }
  await add('deliverNext', 'FineTuning: deliver, in place of the oldest of 20', deliver(21), 150_000)
  await acknowledge(21)
  await add('settleNext', 'FineTuning: settle, in the place of another', settle(21), 170_000)
  return rows
}
