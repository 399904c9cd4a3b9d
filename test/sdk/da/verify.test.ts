import assert from 'node:assert/strict'
import { network } from 'hardhat'
import { chanceOf, verifyBlob } from '../../../sdk/da/verify.ts'
import { patternBytes } from '../../support/patterns.ts'
import { type DaNetwork, type Published, startDa } from './network.ts'

const { ethers } = await network.create()

describe('Verifying as a light client', function () {
  this.timeout(60_000)
  let da: DaNetwork
  let published: Published

  before(async () => {
    da = await startDa(ethers)
    // Rows of 1,024 bytes: two chunks each.
    published = await da.publish(Buffer.from(patternBytes('p2', 256 * 1000)))
  })
  after(() => da?.stop())
  afterEach(() => {
    for (const server of da.servers) server.faults = {}
  })

  it('looks at random chunks of different rows, and says what that proves', async () => {
    const verdict = await verifyBlob(da.reader, published.blobId)
    assert.deepEqual([verdict.available, verdict.samples, verdict.answered, verdict.faults], [true, 20, 20, []])
    assert.equal(verdict.rows, 7 * 135)
    assert.equal(verdict.certificate.epoch, 2)
    // Of 945 rows that are dealt, not of all 1,024: 255 of them are still too few.
    assert.ok(verdict.chance > 0 && verdict.chance < (255 / 945) ** 20)
  })

  it('a third of the signers dead leaves it available, with less certainty', async () => {
    for (const server of da.servers.slice(0, 2)) {
      server.faults = {
        chunks: () => {
          throw new Error('disk')
        },
      }
    }
    const verdict = await verifyBlob(da.reader, published.blobId, { samples: 100 })
    assert.ok(verdict.available)
    assert.ok(verdict.answered < 100 && verdict.chance < 2 ** -40)
    assert.deepEqual(
      verdict.faults.map(({ url, lied }) => [url, lied]).toSorted(),
      da.servers
        .slice(0, 2)
        .map(({ url }) => [url, false])
        .toSorted(),
    )
  })

  it('chunks that are others are no answers: without most of the samples it is not available', async () => {
    for (const server of da.servers.slice(2)) {
      server.faults = { chunks: ({ chunks }) => ({ chunks: chunks.map(({ data, path }) => ({ data: Buffer.from(data).fill(7, 0, 1), path })) }) }
    }
    const verdict = await verifyBlob(da.reader, published.blobId, { samples: 60 })
    assert.ok(!verdict.available)
    assert.ok(verdict.chance > 2 ** -20, 'the chance is no reason to believe it')
    assert.ok(verdict.faults.length === 5 && verdict.faults.every(({ lied }) => lied))
  })

  it('answers that are missing do not count', async () => {
    for (const server of da.servers) server.faults = { chunks: ({ chunks }) => ({ chunks: chunks.slice(1) }) }
    const { answered } = await verifyBlob(da.reader, published.blobId)
    assert.equal(answered, 0)
  })

  it('never takes more samples than there are rows', async () => {
    const { samples, answered, chance } = await verifyBlob(da.reader, published.blobId, { samples: 5_000 })
    assert.deepEqual([samples, answered, chance], [945, 945, 0])
  })

  it('the chance is that of drawing without putting back', () => {
    // Two of four are there: both of two drawn are these in one case of six, one or both in five.
    assert.ok(Math.abs(chanceOf(2, 2, 2, 4) - 1 / 6) < 1e-12)
    assert.ok(Math.abs(chanceOf(2, 1, 2, 4) - 5 / 6) < 1e-12)
    assert.equal(chanceOf(2, 0, 2, 4), 1)
    assert.equal(chanceOf(3, 3, 2, 4), 0)
  })
})
