// What a sampler plays on: the real contracts on a real chain, certified blobs with all their rows, and servers that hand them out.
import { getBytes, type JsonRpcProvider, parseEther, Wallet } from 'ethers'
import { createRowCodec, type EncodedRows } from '../../../codec/rows/index.ts'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deploy } from '../../../deploy/deploy.ts'
import { connect } from '../../../deploy/networks.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { LOCAL_CHAIN_ID, startChain } from '../../../devnet/chain.ts'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { type Blob, blobIdOf, blobOf } from '../../../protocol/da/blob.ts'
import { aggregate, deriveBlsKey, provePossession } from '../../../protocol/da/bls.ts'
import { certificateDigest } from '../../../protocol/da/certificate.ts'
import { shapeFor } from '../../../protocol/da/codes.ts'
import { PROMISE_TYPES, paymentDomain } from '../../../protocol/da/payment.ts'
import { sharesOf } from '../../../protocol/da/shares.ts'
import { blobToWire, type Inclusion, paymentToWire } from '../../../sdk/da/messages.ts'
import type { StoreRequest } from '../../../sdk/da/wire.ts'
import { BlobPayments__factory, Bonds__factory, DataAvailability__factory, SamplingRewards__factory } from '../../../typechain-types/index.ts'

export const ROUND_BLOCKS = 40

/** A blob with all its rows, in a batch of its own. */
export interface TestBlob {
  blobId: string
  blob: Blob
  rows: EncodedRows
  inclusion: Inclusion
}

/** Four signers of equal stake, in the first epoch: accounts 5 to 8. The sampler's is account 4. */
export async function startDaChain() {
  const chain = await startChain()
  const provider: JsonRpcProvider = connect(chain.url)
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const da = PROFILES.local!.da!
  const profile = { access: {}, stake: true as const, da: { ...da, sampling: { ...da.sampling, roundBlocks: BigInt(ROUND_BLOCKS) } } }
  const at = await deploy({ signer: wallet(1), profile, book: AddressBook.open(LOCAL_CHAIN_ID) })
  const availability = DataAvailability__factory.connect(at.DataAvailability!, wallet(1))
  const rewards = SamplingRewards__factory.connect(at.SamplingRewards!, wallet(1))
  const domain = { chainId: LOCAL_CHAIN_ID, contract: at.DataAvailability! }
  const signers = [5, 6, 7, 8].map((i) => ({
    account: chain.accounts[i]!.address,
    wallet: wallet(i),
    bls: deriveBlsKey(getBytes(chain.accounts[i]!.privateKey)),
  }))
  const disperser = wallet(1)
  const payments = BlobPayments__factory.connect(at.BlobPayments!, disperser)
  await payments.deposit(disperser.address, { value: parseEther('1') })
  const bondDelay = await availability.bondDelay()
  for (const { account, wallet, bls } of signers) {
    await Bonds__factory.connect(at.Bonds!, wallet).bond(account, [at.AvailabilityChallenges!], bondDelay, { value: da.minStake })
    const { key, keyG2, proof, counter, y } = provePossession(bls, domain, account)
    await availability.connect(wallet).register(key, keyG2, proof, counter, y, 'localhost:34000')
  }
  await availability.advance(1000)

  const codec = createRowCodec({ threads: 0 })
  const encoded: EncodedRows[] = []
  /** Encodes a blob whose bytes follow from `name`; the batch it is in is not certified yet. */
  async function encode(name: string, length = 2000): Promise<TestBlob> {
    const data = Uint8Array.from({ length }, (_, i) => name.charCodeAt(i % name.length) ^ (Math.imul(i, 0x9e3779b1) >>> 24))
    const shape = shapeFor(length, Number((await availability.epochInfo(1)).codes))
    const rows = await codec.encode(data, shape)
    encoded.push(rows)
    const blob = blobOf(shape, length, hex(rows.rowRoot), hex(rows.rlcRoot))
    const blobId = blobIdOf(blob)
    const tree = batchTree([blobId])
    return { blobId, blob, rows, inclusion: { epoch: 1, batchRoot: tree.root, index: 0, proof: tree.proof(0) } }
  }
  async function certify({ inclusion }: TestBlob): Promise<void> {
    const digest = certificateDigest(domain, 1, inclusion.batchRoot)
    const all = aggregate(
      digest,
      signers.map(({ bls }) => bls.sign(digest)),
      signers.map(({ bls }) => bls.keyG2),
    )
    await availability.certify(inclusion.batchRoot, 1, '0x', all)
  }
  /** What a disperser sends to signer `member`. */
  async function storeRequest({ blobId, blob, rows }: TestBlob, member: number): Promise<StoreRequest> {
    const { seed, codes } = await availability.epochInfo(1)
    const epoch = { ...sharesOf(signers.map(() => da.minStake)), codes: Number(codes), seed }
    const indices = createAssignment(epoch, blobId, blob.log2K).rowsOf(member)
    const { timestamp } = (await provider.getBlock('latest'))!
    const fee = await payments.priceOf(blob.log2K, blob.rowSize)
    const promise = { payer: disperser.address, disperser: disperser.address, blobId, fee, nonce: 1n, deadline: timestamp + 1800 }
    const signature = await disperser.signTypedData(paymentDomain(LOCAL_CHAIN_ID, at.BlobPayments!), PROMISE_TYPES, promise)
    const payment = paymentToWire({ promise, signature: getBytes(signature) })
    return { epoch: 1, blob: blobToWire(blob), rlc: rows.rlc, rows: rows.rows(indices), paths: rows.paths(indices), payment }
  }
  return {
    chain,
    provider,
    storeRequest,
    at,
    rewards,
    signers,
    wallet,
    encode,
    certify,
    async certified(name: string, length?: number): Promise<TestBlob> {
      const blob = await encode(name, length)
      await certify(blob)
      return blob
    },
    epoch: () => availability.epochInfo(1),
    mine: (blocks: number) => chain.request('hardhat_mine', [`0x${blocks.toString(16)}`]),
    async stop() {
      for (const rows of encoded) rows.release()
      await codec.close()
      provider.destroy()
      await chain.stop()
    },
  }
}
export type DaChain = Awaited<ReturnType<typeof startDaChain>>

const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString('hex')}`
