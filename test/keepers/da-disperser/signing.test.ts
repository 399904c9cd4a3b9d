import { expect } from 'chai'
import { hexlify, id } from 'ethers'
import { network } from 'hardhat'
import { Registry } from 'prom-client'
import { NotEnough } from '../../../keepers/da/disperser/dispersal.ts'
import { disperserMetrics } from '../../../keepers/da/disperser/metrics.ts'
import type { SignerLinks } from '../../../keepers/da/disperser/signer-links.ts'
import { Signing } from '../../../keepers/da/disperser/signing.ts'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { addG1, encodeG1, type G1Point } from '../../../protocol/da/bls.ts'
import { certificateDigest, packAbsent } from '../../../protocol/da/certificate.ts'
import { connectAvailability } from '../../../sdk/da/contracts.ts'
import { type DaEpoch, EpochReader } from '../../../sdk/da/epochs.ts'
import type { SignRequest } from '../../../sdk/da/wire.ts'
import { deployDa, started, type TestSigner } from '../../contracts/da/deploy.ts'

const SIGNERS = 30
/** The prime of BN254. */
const P = 21888242871839275222246405745257275088696311157297823662689037894645226208583n
const negated = ({ x, y }: G1Point): G1Point => ({ x, y: P - y })

describe('certificates of many signers', function () {
  this.timeout(60_000)
  let of: Awaited<ReturnType<typeof deployDa>>
  let signers: TestSigner[]
  let epoch: DaEpoch

  before(async () => {
    const { ethers } = await network.create()
    of = await deployDa(ethers)
    signers = await started(of, SIGNERS)
    epoch = await new EpochReader(connectAvailability(of.at.DataAvailability!, of.governor)).current()
  })

  /** Signers with these keys, of which some sign another batch, and one, if there is one, takes back what all others sign. */
  function signingWith(wrong: readonly number[], undoes?: number) {
    const { certificates } = connectAvailability(of.at.DataAvailability!, of.governor)
    const links = {
      of: ({ account }: { account: string }) => ({
        async sign({ epoch, blobIds }: SignRequest) {
          const index = signers.findIndex(({ wallet }) => wallet.address === account)
          const root = wrong.includes(index) ? id('another batch') : batchTree(blobIds.map((blobId) => hexlify(blobId))).root
          const digest = certificateDigest(of.domain, epoch, root)
          const sum = () => addG1(signers.filter((_, i) => i !== index).map(({ bls }) => bls.sign(digest)))
          return { bls: encodeG1(index === undoes ? negated(sum()) : signers[index]!.bls.sign(digest)), ecdsa: new Uint8Array(65) }
        },
      }),
    } as unknown as SignerLinks
    const keys = { ofMembers: async (members: readonly { id: number }[]) => members.map(({ id }) => signers[id - 1]!.bls.keyG2) }
    const config = { graceMs: 10_000, signMs: 10_000 }
    const { signal } = new AbortController()
    const metrics = disperserMetrics(new Registry())
    return new Signing({ links, keys, domain: of.domain, certificates, config, metrics, signal })
  }
  const all = new Set(Array.from({ length: SIGNERS }, (_, i) => i))
  const certified = async (blob: string, wrong: readonly number[], undoes?: number) => {
    const blobIds = [id(blob)]
    const { root } = batchTree(blobIds)
    const data = await signingWith(wrong, undoes).sign(epoch, root, blobIds, all)
    expect(data.slice(0, 10)).to.equal(of.da.interface.getFunction('certify').selector)
    await (await of.governor.sendTransaction({ to: of.at.DataAvailability!, data })).wait()
    const [event] = await of.da.queryFilter(of.da.filters.BatchCertified(root))
    return event!.args.absent
  }

  it('given signatures of all, when they are aggregated, then the chain takes the certificate', async () => {
    expect(await certified('a blob', [])).to.equal('0x')
  })

  it('given some that are wrong, when the aggregate does not verify, then they are found and left out', async () => {
    expect(await certified('another blob', [3, 7])).to.equal(packAbsent([3, 7]))
  })

  it('given a last signature with which the sum is infinity, when they are aggregated, then the others are a certificate', async () => {
    expect(await certified('a blob and infinity', [], 4)).to.equal(packAbsent([4]))
  })

  it('given more than a third that are wrong, when they are found, then it is not enough', async () => {
    const wrong = Array.from({ length: 11 }, (_, i) => i)
    const blobIds = [id('a third blob')]
    const error = await signingWith(wrong)
      .sign(epoch, batchTree(blobIds).root, blobIds, all)
      .catch((error: unknown) => error)
    expect(error).to.be.instanceOf(NotEnough)
    expect((error as NotEnough).message).to.contain('not signed by 36.6 %')
  })
})
