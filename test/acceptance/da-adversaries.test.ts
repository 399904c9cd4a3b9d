import { expect } from 'chai'
import { getBytes, hexlify, parseEther } from 'ethers'
import { ACCOUNTS } from '../../devnet/accounts.ts'
import { createAssignment } from '../../protocol/da/assignment.ts'
import { batchTree } from '../../protocol/da/batch-tree.ts'
import { type Blob, blobIdOf, blobOf } from '../../protocol/da/blob.ts'
import { packAbsent, unpackAbsent } from '../../protocol/da/certificate.ts'
import { shapeFor } from '../../protocol/da/codes.ts'
import { openChallenge } from '../../sdk/da/challenge.ts'
import { connectDa, type DaContracts } from '../../sdk/da/contracts.ts'
import { type CertifiedInclusion, locateBlob } from '../../sdk/da/locate.ts'
import { blobToWire, paymentToWire } from '../../sdk/da/messages.ts'
import { depositForBlobs, promisePayment } from '../../sdk/da/payments.ts'
import { putBlob } from '../../sdk/da/put.ts'
import { type DaReader, openDaReader } from '../../sdk/da/reader.ts'
import { type RetrievedBlob, retrieve } from '../../sdk/da/retrieve.ts'
import { blobStatus, requestText } from '../../sdk/da/status.ts'
import { connectDisperser, type DisperserClient, type StoreReply, type StoreRequest } from '../../sdk/da/wire.ts'
import { IBonds__factory } from '../../typechain-types/index.ts'
import { commit, noise, rowLeaf, sha256 } from '../codec/rows/naive.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { type RogueSigner, startRogueSigner } from '../support/rogue-signer.ts'
import { until } from '../support/until.ts'

const STAKE = parseEther('100')
/** Of a row tree's leaves. */
const CHUNK = 512

/** All rows of a blob, whatever they are, with what leads to them. */
interface Rows {
  blob: Blob
  rlc: Uint8Array
  rows: Uint8Array[]
  /** Whose share a member is sent; its own by default. */
  shareOf?: (member: number) => number
}

/** The paths in the tree over 2^n leaves. */
function pathsOf(leaves: Uint8Array[]): (index: number) => Uint8Array[] {
  const levels = [leaves]
  for (let level = leaves; level.length > 1; levels.push(level))
    level = Array.from({ length: level.length / 2 }, (_, i) => sha256(Uint8Array.of(1), level[2 * i]!, level[2 * i + 1]!))
  return (index) => levels.slice(0, -1).map((level, height) => level[(index >> height) ^ 1]!)
}

/** Name of the error that a contract refuses a call with. */
const errorOf = (call: Promise<unknown>): Promise<string | undefined> =>
  call.then(
    () => undefined,
    (error) => error.revert?.name,
  )

describe('Data availability among adversaries', function () {
  this.timeout(120_000)

  let network: Network
  let da: DaContracts
  let reader: DaReader
  let disperser: DisperserClient
  /** Has a third of the stake; each of the four others a sixth. */
  let rogue: RogueSigner

  before(async () => {
    network = await startNetwork({ storage: false, da: {}, logLevel: 'error' })
    da = connectDa({ ...network.contracts }, network.wallet(6))
    reader = openDaReader(da)
    disperser = connectDisperser(network.disperser)
    rogue = await startRogueSigner({ wallet: network.wallet(7), contracts: da, bonds: network.contracts.Bonds! })
    await rogue.register(2n * STAKE)
    await travel(Number(await da.epochs.epochLength()))
    await until(async () => ((await reader.epochs.current()).members.length === 5 ? true : undefined), 'an epoch with all five members')
    const { epoch } = await reader.epochs.current()
    // Blobs may be certified in the epoch before as well, until the disperser has heard of this one.
    let seed = 100
    await until(async () => ((await put(noise(1000, seed++))).certificate.epoch === epoch ? true : undefined), 'a certificate of that epoch')
  })
  beforeEach(() => {
    const same = <T>(it: T): T => it
    Object.assign(rogue, { keeps: true, signs: true, describe: same, rows: same })
  })
  after(async () => {
    disperser?.close()
    await reader?.close()
    await rogue?.close()
    await network?.stop()
  })

  async function travel(seconds: number): Promise<void> {
    await network.chain.request('evm_increaseTime', [seconds])
    await network.chain.request('hardhat_mine', ['0x1'])
  }
  const put = (data: Uint8Array) => putBlob(reader, disperser, data)
  const faultsOf = ({ faults }: RetrievedBlob) => faults.filter(({ account }) => account === rogue.account).map(({ lied }) => lied)
  /** Accounts of the members that a certificate was made without. */
  async function absentFrom({ batchRoot, epoch }: CertifiedInclusion): Promise<string[]> {
    const [event] = await da.certificates.queryFilter(da.certificates.filters.BatchCertified(batchRoot))
    const { members } = await reader.epochs.epoch(epoch)
    return unpackAbsent(event!.args.absent, members.length).map((index) => members[index]!.account)
  }
  /** Somebody who can reach the rogue alone. */
  const trapped = (): DaReader => ({ ...reader, signerAt: (url) => reader.signerAt(url === rogue.url ? url : '127.0.0.1:1') })

  describe('A signer', () => {
    it('that sends wrong rows is named, and the bytes are exactly those that were put', async () => {
      const data = noise(3000, 1)
      const { blobId } = await put(data)
      for (const wrong of ['rows', 'paths'] as const) {
        rogue.rows = (sent) => ({ ...sent, [wrong]: sent[wrong].map((byte, i) => (i === 5 ? byte ^ 1 : byte)) })
        const result = await retrieve(reader, blobId)
        expect(result.bytes).to.deep.equal(data)
        expect(faultsOf(result), wrong).to.deep.equal([true])
      }
    })

    it('is not believed by a client that can reach nobody else', async () => {
      const data = noise(3000, 2)
      const { blobId } = await put(data)
      expect((await locateBlob(trapped(), blobId)).blob.length).to.equal(3000)
      rogue.describe = (description) => ({ ...description, blob: { ...description.blob!, length: 2999 } })
      const forged = await locateBlob(trapped(), blobId).catch((error) => error)
      expect(forged.details.join()).to.match(/LIED: it describes another blob/)
      rogue.describe = (description) => ({ ...description, rlc: description.rlc.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) })
      expect((await locateBlob(trapped(), blobId).catch((error) => error)).details.join()).to.match(/LIED: its linear combinations/)
      expect((await retrieve(reader, blobId)).bytes).to.deep.equal(data)
    })

    it('that signs and stores nothing is counted, is not missed, and loses stake when it is asked on chain', async () => {
      rogue.keeps = false
      const data = noise(3000, 9)
      const { blobId, certificate } = await put(data)
      expect(await absentFrom(certificate)).not.to.include(rogue.account)
      const result = await retrieve(reader, blobId)
      expect(result.bytes).to.deep.equal(data)
      expect(result.sources.map(({ account }) => account)).not.to.include(rogue.account)

      const located = await locateBlob(reader, blobId)
      const honest = located.epoch.members.find(({ account }) => account !== rogue.account)!
      const bonds = IBonds__factory.connect(network.contracts.Bonds!, network.provider)
      const bondedOf = async (account: string) => bonds.bonded(await da.signers.bondIdOf(account))
      const before = { rogue: await bondedOf(rogue.account), honest: await bondedOf(honest.account) }
      const [missed, answered] = [await openChallenge(da, located, rogue.account), await openChallenge(da, located, honest.account)]
      await until(
        async () => ((await da.challenges.queryFilter(da.challenges.filters.ChallengeAnswered(answered.id))).length > 0 ? true : undefined),
        'an answer',
      )

      await travel(Number(await da.challenges.answerTime()) + 1)
      await (await da.challenges.conclude(missed.id)).wait()
      expect(await errorOf(da.challenges.conclude.staticCall(answered.id))).to.equal('UnknownChallenge')
      expect(await bondedOf(rogue.account)).to.equal(before.rogue - (await da.challenges.penalty()))
      expect(await bondedOf(honest.account)).to.equal(before.honest)
    })
  })

  describe('Rows that a disperser made up', () => {
    let honest: Rows

    before(async () => {
      await depositForBlobs(da, network.wallet(6).address, parseEther('1'))
      honest = await rowsOf(noise(3000, 3))
    })

    /** As an honest disperser encodes it. */
    async function rowsOf(data: Uint8Array): Promise<Rows> {
      const shape = shapeFor(data.length, (await reader.epochs.current()).codes)
      const encoded = await reader.codec.encode(data, shape)
      const blob = blobOf(shape, data.length, hexlify(encoded.rowRoot), hexlify(encoded.rlcRoot))
      const rows = Array.from({ length: shape.t }, (_, i) => encoded.row(i))
      const { rlc } = encoded
      encoded.release()
      return { blob, rlc, rows }
    }

    /** With the tree over these rows, and the combinations of the first K of them. */
    function committed(rows: Uint8Array[]): Rows {
      const { log2K, log2T, rowSize } = honest.blob
      const { rowRoot, rlcRoot, rlc } = commit(rows, { k: 2 ** log2K, t: 2 ** log2T, rowSize }, CHUNK)
      return { blob: { ...honest.blob, rowRoot: hexlify(rowRoot), rlcRoot: hexlify(rlcRoot) }, rlc, rows }
    }

    /** Sends the four honest signers what a disperser would, and gives their answers. */
    async function disperse({ blob, rlc, rows, shareOf = (member) => member }: Rows): Promise<StoreReply[]> {
      const epoch = await reader.epochs.current()
      const blobId = blobIdOf(blob)
      const assignment = createAssignment(epoch, blobId, blob.log2K)
      const pathOf = pathsOf(rows.map((row) => rowLeaf(row, CHUNK)))
      const payer = network.wallet(6)
      const payment = paymentToWire(await promisePayment(da, payer, { blobId, shape: blob, disperser: payer.address }))
      return Promise.all(
        honestMembers(epoch.members).map(async (member) => {
          const indices = [...assignment.rowsOf(shareOf(member.index))]
          const request: StoreRequest = {
            epoch: epoch.epoch,
            blob: blobToWire(blob),
            rlc,
            rows: Buffer.concat(indices.map((row) => rows[row]!)),
            paths: Buffer.concat(indices.flatMap((row) => pathOf(row))),
            payment,
          }
          const stream = reader.signerAt(await reader.epochs.urlOf(member)).store()
          try {
            return await stream.send(request, { timeout: 10_000 })
          } finally {
            stream.end()
          }
        }),
      )
    }
    const honestMembers = <Member extends { account: string }>(members: readonly Member[]) => members.filter(({ account }) => account !== rogue.account)

    /** None of the honest signers signs a batch with the blob, and the rogue's signature alone is no certificate. */
    async function expectNoCertificate({ blob }: Rows): Promise<void> {
      const blobId = blobIdOf(blob)
      const { epoch, members } = await reader.epochs.current()
      for (const member of honestMembers(members)) {
        const signing = reader.signerAt(await reader.epochs.urlOf(member)).sign({ epoch, blobIds: [getBytes(blobId)] })
        expect((await signing.catch((error) => error)).message).to.match(/1 of the 1 blobs are not stored/)
      }
      const absent = packAbsent(honestMembers(members).map(({ index }) => index))
      const alone = da.certificates.certifyBySignatures.staticCall(batchTree([blobId]).root, epoch, absent, rogue.sign(epoch, [blobId]).ecdsa)
      expect(await errorOf(alone)).to.equal('NotEnoughWeight')
    }

    it('are told from those of a codeword by every signer on its own', async () => {
      expect((await disperse(honest)).map(({ error }) => error)).to.deep.equal(['', '', '', ''])
      const other = await rowsOf(noise(3000, 4))
      const mixed = committed(honest.rows.map((row, i) => (i < 2 ** honest.blob.log2K ? row : other.rows[i]!)))
      for (const { error } of await disperse(mixed)) expect(error).to.match(/row \d+ does not match/)
      await expectNoCertificate(mixed)
    })

    it('with other combinations are refused, whether or not the id commits to these', async () => {
      const other = await rowsOf(noise(3000, 5))
      const changed = { ...other, rlc: other.rlc.map((byte, i) => (i === 20 ? byte ^ 1 : byte)) }
      for (const { error } of await disperse(changed)) expect(error).to.match(/can't be verified/)
      const foreign = { ...honest, blob: { ...honest.blob, rlcRoot: other.blob.rlcRoot }, rlc: other.rlc }
      for (const { error } of await disperse(foreign)) expect(error).to.match(/row \d+ does not match/)
      await expectNoCertificate(foreign)
    })

    it('that are another member’s share are refused', async () => {
      const { members } = await reader.epochs.current()
      const others = honestMembers(members).map(({ index }) => index)
      const swapped = { ...(await rowsOf(noise(3000, 6))), shareOf: (member: number) => others[(others.indexOf(member) + 1) % others.length]! }
      for (const { error } of await disperse(swapped)) expect(error).to.match(/row \d+ does not match/)
      await expectNoCertificate(swapped)
    })
  })

  describe('Signers that are gone', () => {
    it('with a third of the stake stop nothing; with one signer more gone there is no certificate, and the status says why', async () => {
      rogue.signs = false
      const data = noise(3000, 7)
      const { blobId, certificate } = await put(data)
      expect(await absentFrom(certificate)).to.deep.equal([rogue.account])
      expect((await retrieve(reader, blobId)).bytes).to.deep.equal(data)

      await network.stopKeeper('da/signer/2')
      const more = noise(3000, 8)
      const requestId = requestText((await disperser.put({ data: more, payment: null })).requestId)
      const status = await until(async () => {
        const now = await blobStatus(reader, disperser, { requestId })
        return now.reason ? now : undefined
      }, 'a reason')
      expect(status.reason).to.match(/^not stored by .* of the weight, where two thirds are needed: /)
      for (const account of [rogue.account, network.wallet(ACCOUNTS.daSigners[2]).address]) expect(status.reason).to.contain(account)
      expect(status.certificate).to.equal(undefined)
      // What was certified before can be read from half of the stake.
      expect((await retrieve(reader, blobId)).bytes).to.deep.equal(data)

      await network.startKeeper('da/signer/2')
      await until(async () => (await blobStatus(reader, disperser, { requestId })).certificate, 'its certificate')
    })
  })
})
