import { type ContractTransactionResponse, id, parseEther, type Signer, Wallet } from 'ethers'
import { network } from 'hardhat'
import { AddressBook } from '../../deploy/address-book.ts'
import { deploy } from '../../deploy/deploy.ts'
import { PROFILES } from '../../deploy/profiles.ts'
import { itemsHash, packItem } from '../../protocol/compute/batch.ts'
import { chainDate, measurement, pki, proof } from '../../test/contracts/attestation/deploy.ts'
import { addPlatform, calldata, publish, quoteParts } from '../../test/contracts/attestation/platform.ts'
import { CollateralRegistry__factory, InferenceServing__factory, LedgerManager__factory, TeeSignerRegistry__factory } from '../../typechain-types/index.ts'
import type { Row } from '../report.ts'

/** Gas of the reference contracts, measured behind their proxies on the same kind of chain, with slots that were written before. */
const reference = {
  addLedger: 154_777,
  addLedgerInfo: 242_782,
  depositFund: 53_752,
  newAccount: 409_905,
  newAccountMore: 409_905,
  topUp: 93_614,
  ask1: 212_014,
  collect1: 122_036,
  ask20: 3_074_133,
  collect20: 1_132_347,
  close20: 1_583_772,
  newService: 322_273,
  price: 77_546,
  settle1: 114_892,
  settle10: 637_122,
  settle50: 2_984_254,
  settleMarginal: 58_678,
  withdraw: undefined,
}

const SERVICE = 'inference-v1.0'
const DAY = 86_400
/** Wei per unit: a million tokens cost a thousandth of a coin. */
const PRICE = 10n ** 9n

/** Gas of users' money, and of its settlement under one signature that a verified quote stands behind. */
export async function computeRows(progress: (what: string) => void): Promise<Row[]> {
  // A fixed date: the same calls cost the same gas on any day.
  const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const signers = (await ethers.getSigners()) as unknown as Signer[]
  const [reserved, deployer, provider, user] = signers as [Signer, Signer, Signer, Signer]
  const { stake, compute, attestation } = PROFILES.mainnet!
  const tee = { rootCertificate: pki.rootCertificate, measurements: [measurement] }
  const profile = { access: {}, stake: stake!, compute: compute!, attestation: attestation! }
  const at = await deploy({ signer: deployer, reserved, profile, book: AddressBook.open(31337), tee })
  const ledger = LedgerManager__factory.connect(at.LedgerManager!, user)
  const serving = InferenceServing__factory.connect(at.InferenceServing!, provider)
  const signer = new Wallet(id('signer'))
  await attest()
  const rows: Row[] = []
  const add = (key: keyof typeof reference, what: string, value: number, target?: number) =>
    rows.push({
      id: `compute.${key}`,
      what,
      value,
      unit: 'gas',
      better: 'less',
      ...(reference[key] && { reference: reference[key] }),
      ...(target && { target }),
    })

  async function attest(): Promise<void> {
    const registry = TeeSignerRegistry__factory.connect(at.TeeSignerRegistry!, deployer)
    const collateral = CollateralRegistry__factory.connect(at.CollateralRegistry!, deployer)
    const given = calldata(pki.collateral(await chainDate(ethers)))
    await publish(collateral, given)
    await addPlatform(collateral, given, quoteParts(pki.quote({ reportData: new Uint8Array(64) })))
    await registry.register(...(await proof(ethers, registry, { signer: signer.address })))
  }
  const offer = (from: Signer, price: bigint, value = 0n) =>
    serving.connect(from).addOrUpdateService(
      {
        serviceType: 'chatbot',
        url: 'https://provider.example',
        model: 'organisation/model-70b-instruct',
        verifiability: 'TeeML',
        inputPrice: price,
        outputPrice: 3n * price,
        additionalInfo: '{"TEEVerifier":"dstack"}',
        teeSignerAddress: signer.address,
      },
      { value },
    )
  const transfer = (from: Signer, to: Signer, amount = parseEther('1')) =>
    gasOf((async () => ledger.connect(from).transferFund(await to.getAddress(), SERVICE, amount))())
  let created = 0
  let nonce = 0
  /** As many items, each of another user. */
  const settle = async (users: Signer[], of = provider, units = 1000n) => {
    nonce++
    const items = await Promise.all(
      users.map(async (each) => packItem({ user: await each.getAddress(), inputUnits: units, outputUnits: units / 2n, priceVersion: 1 })),
    )
    const batch = { provider: await of.getAddress(), nonce, requestsHash: id(`batch ${nonce}`), itemsHash: itemsHash(items) }
    const digest = await serving.batchDigest(batch.provider, batch.nonce, batch.requestsHash, batch.itemsHash)
    return gasOf(serving.settleBatch(batch.provider, nonce, batch.requestsHash, items, signer.signingKey.sign(digest).serialized))
  }

  progress('services')
  const providers = [provider, ...(await wallets(22))]
  add('newService', 'addOrUpdateService, new', await gasOf(offer(provider, PRICE, parseEther('100'))))
  for (const each of providers.slice(1)) await offer(each, PRICE, parseEther('100'))
  add('price', 'addOrUpdateService, price only', await gasOf(offer(providers[22]!, PRICE - 1n)))

  progress('ledger')
  const [plain, informed, earlier] = (await wallets(3)) as [Signer, Signer, Signer]
  await ledger.connect(earlier).depositFund({ value: parseEther('5') })
  await transfer(earlier, provider)
  add('addLedger', 'addLedger', await gasOf(ledger.connect(plain).addLedger('', { value: parseEther('30') })))
  add('addLedgerInfo', 'addLedger, 88 characters of information', await gasOf(ledger.connect(informed).addLedger('i'.repeat(88), { value: parseEther('30') })))
  add('depositFund', 'depositFund', await gasOf(ledger.connect(plain).depositFund({ value: parseEther('1') })))
  add('newAccount', 'transferFund, first sub-account', await transfer(plain, provider), 150_000)
  add('newAccountMore', 'transferFund, second sub-account', await transfer(plain, providers[1]!), 150_000)
  add('topUp', 'transferFund, to it again', await transfer(plain, provider), 75_000)

  progress('settlement')
  const users = await wallets(50)
  for (const each of users) {
    await ledger.connect(each).depositFund({ value: parseEther('5') })
    await transfer(each, provider)
  }
  // Every slot is written once, and the day has begun.
  await settle(users)
  const [one, ten, fifty] = [await settle(users.slice(0, 1)), await settle(users.slice(0, 10)), await settle(users)]
  add('settle1', 'settleBatch, 1 user', one, 80_000)
  add('settle10', 'settleBatch, 10 users', ten, 170_000)
  add('settle50', 'settleBatch, 50 users', fifty, 500_000)
  add('settleMarginal', 'settleBatch, each more', Math.round((fifty - one) / 49))
  add('withdraw', 'withdrawEarnings', await gasOf(serving.withdrawEarnings(await deployer.getAddress())))

  progress('exits')
  const many = await Promise.all(providers.slice(1, 21).map((each) => each.getAddress()))
  const leave = async (from: Signer, addresses: string[]) => gasOf(ledger.connect(from).retrieveFund(addresses, SERVICE))
  add('ask1', 'retrieveFund, 1 provider, asked', await leave(plain, [await provider.getAddress()]))
  for (const each of providers.slice(1, 21)) await transfer(informed, each)
  add('ask20', 'retrieveFund, 20 providers, asked', await leave(informed, many))
  await networkHelpers.time.increase(DAY)
  add('collect1', 'retrieveFund, 1 provider, collected and closed', await leave(plain, [await provider.getAddress()]))
  add('collect20', 'retrieveFund, 20 providers, collected and closed', await leave(informed, many))
  const drained = users[0]!
  await ledger.connect(drained).depositFund({ value: parseEther('20') })
  for (const each of providers.slice(1, 21)) {
    await transfer(drained, each)
    await settle([drained], each, 1n << 39n)
  }
  await settle([drained], provider, 1n << 39n)
  const rest = (await ledger.getLedger(drained)).availableBalance
  add('close20', 'refund of everything, 20 empty sub-accounts closed', await gasOf(ledger.connect(drained).refund(rest)), 700_000)
  return rows

  async function wallets(count: number): Promise<Signer[]> {
    const made: Signer[] = []
    for (let i = 0; i < count; i++) {
      const wallet = new Wallet(id(`wallet ${created++}`), ethers.provider as never)
      await networkHelpers.setBalance(wallet.address, parseEther('1000'))
      made.push(wallet)
    }
    return made
  }
}

async function gasOf(sent: Promise<ContractTransactionResponse>): Promise<number> {
  return Number((await (await sent).wait())!.gasUsed)
}
