// More signers than there are seats: five run, with three quarters of the stake; hundreds are registered and away, some of them so that nobody answers.
import { expect } from 'chai'
import { getBytes, hexlify } from 'ethers'
import { unpackAbsent } from '../../protocol/da/certificate.ts'
import { COMMITTEE_SEATS, epochSharesOf } from '../../protocol/da/committee.ts'
import { openChallenge } from '../../sdk/da/challenge.ts'
import type { EpochMember } from '../../sdk/da/epochs.ts'
import { locateBlob } from '../../sdk/da/locate.ts'
import { type DaReader, openDaReader } from '../../sdk/da/reader.ts'
import { retrieve } from '../../sdk/da/retrieve.ts'
import { verifyBlob } from '../../sdk/da/verify.ts'
import { connectRetriever } from '../../sdk/da/wire.ts'
import { noise } from '../codec/rows/naive.ts'
import { type CommitteeNetwork, LEAST_STAKE, startCommitteeNetwork } from '../support/committee.ts'
import { until } from '../support/until.ts'

const ABSENT = 445
/** Times the least stake: five such signers have three quarters of it all. */
const WEIGHT = 267
/** Milliseconds that a slow machine may take for what takes some seconds on others. */
const LONG = 120_000

describe('Data availability with more signers than seats', function () {
  this.timeout(5 * LONG)
  let network: CommitteeNetwork
  let reader: DaReader
  const put = new Map<number, { blobId: string; data: Uint8Array }>()

  before(async () => {
    network = await startCommitteeNetwork({ absent: ABSENT, weight: WEIGHT })
    reader = openDaReader(network.contracts)
    await epochAfter(0)
  })
  after(async () => {
    await reader?.close()
    await network?.stop()
  })

  const epochAfter = (epoch: number) => until(async () => (Number(await network.contracts.epochs.currentEpoch()) > epoch ? true : undefined), 'an epoch', LONG)
  const isRunning = ({ account }: Pick<EpochMember, 'account'>) => network.running.includes(account)
  const seatsOf = (members: readonly EpochMember[]) => members.reduce((sum, { weight }) => sum + Number(weight), 0)

  /** Publishes as any client of the public service does, and gives the blob's id and the epoch of its certificate. */
  async function publish(data: Uint8Array): Promise<{ blobId: string; epoch: number }> {
    const { request_id } = await network.disperser('DisperseBlob', { data })
    const { storage_root, epoch } = await until(
      async () => {
        const { status, info } = await network.disperser('GetBlobStatus', { request_id })
        if (status === 'FAILED' || status === 'INSUFFICIENT_SIGNATURES') throw new Error(`it is ${status}`)
        return info?.blob_header
      },
      'a certificate',
      LONG,
    )
    put.set(Number(epoch), { blobId: hexlify(storage_root), data })
    return { blobId: hexlify(storage_root), epoch: Number(epoch) }
  }

  it('given 450 signers, when an epoch begins, then it has the committee that its seed draws, built in steps that fit into any block', async () => {
    const epoch = await reader.epochs.current()
    const stakes = [...Array<bigint>(ABSENT).fill(LEAST_STAKE), ...network.running.map(() => BigInt(WEIGHT) * LEAST_STAKE)]
    const { codes, signers, members } = epochSharesOf(stakes, epoch.seed)
    expect([epoch.codes, epoch.totalWeight]).to.deep.equal([codes, BigInt(COMMITTEE_SEATS)])
    expect(epoch.members.map(({ id, weight }) => [id, weight])).to.deep.equal(members.map(({ weight }, i) => [signers[i]! + 1, weight]))
    expect(3 * seatsOf(epoch.members.filter(isRunning))).to.be.greaterThan(2 * COMMITTEE_SEATS)
    expect(epoch.members.length).to.be.greaterThan(80)
    const steps = await network.gasOfSteps()
    expect(steps.length).to.be.greaterThan(7)
    expect(Math.max(...steps)).to.be.lessThan(8_000_000)
  })

  it('given two thirds of the seats, when a blob is published, then it is certified without the others, and read, sampled and challenged', async () => {
    const { blobId, epoch } = await publish(noise(300_000, 1))
    const { data } = put.get(epoch)!
    const located = await locateBlob(reader, blobId)
    const { certificates, challenges } = network.contracts
    const [event] = await certificates.queryFilter(certificates.filters.BatchCertified(located.certificate.batchRoot))
    const absent = unpackAbsent(event!.args.absent, located.epoch.members.length).map((index) => located.epoch.members[index]!)
    expect(absent.map(({ account }) => account)).to.deep.equal(located.epoch.members.filter((member) => !isRunning(member)).map(({ account }) => account))
    expect(Number((await event!.getTransactionReceipt()).gasUsed)).to.be.lessThan(400_000)

    const retrieved = await retrieve(reader, blobId)
    expect(retrieved.bytes).to.deep.equal(data)
    expect(retrieved.sources.every(isRunning)).to.equal(true)
    const retriever = connectRetriever(network.retrieverUrl)
    expect(Buffer.compare((await retriever.retrieveBlob({ storageRoot: getBytes(blobId), epoch, quorumId: 0 })).data, data)).to.equal(0)
    retriever.close()
    expect((await verifyBlob(reader, blobId)).available).to.equal(true)

    const { id } = await openChallenge(network.contracts, located, network.running[0]!)
    const answered = async () => ((await challenges.queryFilter(challenges.filters.ChallengeAnswered(id))).length > 0 ? true : undefined)
    await until(answered, 'an answer', LONG)
  })

  it('given a blob that comes while an epoch ends, when the next committee sits, then it is certified, as is the next, and blobs of the one before can be read', async () => {
    const length = Number(await network.contracts.epochs.epochLength())
    const coming = publish(noise(1000, 2))
    await network.travel(length)
    await Promise.all([coming, epochAfter(1)])
    expect((await publish(noise(1000, 3))).epoch).to.equal(2)
    for (const { blobId, data } of put.values()) expect((await retrieve(reader, blobId)).bytes).to.deep.equal(data)
  })
})
