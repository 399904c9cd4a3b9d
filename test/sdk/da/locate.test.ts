import assert from 'node:assert/strict'
import { network } from 'hardhat'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { locateBlob } from '../../../sdk/da/locate.ts'
import { inclusionToWire } from '../../../sdk/da/messages.ts'
import type { WireInclusion } from '../../../sdk/da/wire.ts'
import { patternBytes } from '../../support/patterns.ts'
import { type DaNetwork, startDa } from './network.ts'

const { ethers } = await network.create()

describe('Locating a blob', function () {
  this.timeout(60_000)
  let da: DaNetwork

  before(async () => {
    da = await startDa(ethers)
  })
  after(() => da?.stop())
  afterEach(() => {
    for (const server of da.servers) server.faults = {}
  })

  /** A batch with the blob that nobody certified. */
  const untried = (blobId: string, i: number): WireInclusion => {
    const tree = batchTree([blobId, ethers.id(`untried ${i}`)])
    return inclusionToWire({ epoch: 2, batchRoot: tree.root, index: 0, proof: tree.proof(0) })
  }
  const advance = async (): Promise<void> => {
    await ethers.provider.send('evm_increaseTime', [Number(await da.da.epochLength()) + 1])
    await da.da.advance(1000)
  }

  it('finds its certificate, which signers name first, however many batches came to nothing', async () => {
    const { blobId, inclusion } = await da.publish(Buffer.from(patternBytes('p1', 1000)))
    const failed = Array.from({ length: 6 }, (_, i) => untried(blobId, i))
    for (const server of da.servers) server.faults = { describe: (description) => ({ ...description, inclusions: [inclusion, ...failed] }) }
    assert.equal((await locateBlob(da.reader, blobId)).certificate.epoch, 2)
  })

  it('looks no further than the first few, so that nobody can have it ask the chain for ever', async () => {
    const { blobId, inclusion } = await da.publish(Buffer.from(patternBytes('p1', 1001)))
    const failed = Array.from({ length: 4 }, (_, i) => untried(blobId, i))
    for (const server of da.servers) server.faults = { describe: (description) => ({ ...description, inclusions: [...failed, inclusion] }) }
    await assert.rejects(locateBlob(da.reader, blobId), { code: 'NOT_FOUND', message: /has no certificate/ })
  })

  it('waits for nobody once one has told where it is', async () => {
    const { blobId } = await da.publish(Buffer.from(patternBytes('p1', 1005)))
    const never = Promise.withResolvers<never>()
    never.promise.catch(() => {})
    for (const server of da.servers.slice(1)) server.faults = { describe: () => never.promise }
    // Those who are silent would be faults if they had been given up.
    assert.deepEqual((await locateBlob(da.reader, blobId)).faults, [])
    never.reject(new Error('the test is over'))
  })

  it('an abort ends it, whoever is asked then', async () => {
    const { blobId } = await da.publish(Buffer.from(patternBytes('p1', 1002)))
    const controller = new AbortController()
    const reason = new Error('enough')
    for (const server of da.servers) {
      server.faults = {
        describe: (description) => {
          controller.abort(reason)
          return description
        },
      }
    }
    await assert.rejects(locateBlob(da.reader, blobId, { signal: controller.signal }), reason)
  })

  it('where the chain cannot be asked, says so', async () => {
    const { blobId } = await da.publish(Buffer.from(patternBytes('p1', 1003)))
    const epochs = { ...da.reader.epochs, current: da.reader.epochs.current.bind(da.reader.epochs), epoch: async () => Promise.reject(new Error('away')) }
    await assert.rejects(locateBlob({ ...da.reader, epochs: epochs as never }, blobId, { epoch: 1 }), /away/)
  })

  // Changes the signers for good: keep it last.
  it('asks those who left in the last three epochs, and with a hint those of any epoch that the chain knows', async () => {
    const { blobId } = await da.publish(Buffer.from(patternBytes('p1', 1004)), { epoch: 1 })
    for (const { wallet } of da.signers.slice(0, 3)) await da.da.connect(wallet).resign()
    // Of those who hold it only the three who leave are left.
    await da.servers[3]!.close()
    for (let epoch = 3; epoch <= 5; epoch++) await advance()
    assert.equal((await locateBlob(da.reader, blobId)).certificate.epoch, 1)
    await advance()
    await assert.rejects(locateBlob(da.reader, blobId), { code: 'NOT_FOUND', message: /4 signers|nobody has/ })
    assert.equal((await locateBlob(da.reader, blobId, { epoch: 1 })).certificate.epoch, 1)
    assert.equal((await locateBlob(da.reader, blobId, { epoch: 2 })).certificate.epoch, 1)
    await assert.rejects(locateBlob(da.reader, blobId, { epoch: 99 }), { code: 'NOT_FOUND' })
  })
})
