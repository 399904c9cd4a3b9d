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

  const failing = (servers: typeof da.servers): void => {
    for (const server of servers) {
      server.faults = {
        chunks: () => {
          throw new Error('disk')
        },
      }
    }
  }

  it('looks at random chunks of different rows, and says what that proves', async () => {
    const verdict = await verifyBlob(da.reader, published.blobId)
    // Of 945 rows that are dealt, not of all 1,024: 255 of them are still too few. One look may be wrong with half the chance that the verdict may.
    assert.deepEqual([verdict.available, verdict.bits, verdict.samples, verdict.answered, verdict.faults], [true, 40, 22, 22, []])
    assert.equal(verdict.rows, 7 * 135)
    assert.equal(verdict.certificate.epoch, 2)
    assert.ok(verdict.chance > 2 ** -43 && verdict.chance <= 2 ** -40)
    assert.equal(verdict.chance, 2 * chanceOf(22, 22, 255, 945))
  })

  it('takes more samples where fewer rows have an owner, and where it is to be more certain', async () => {
    // Four signers own three quarters of the rows: 768, a third of which are too few.
    const { blobId } = await da.publish(Buffer.from(patternBytes('p1', 256 * 1000)), { epoch: 1 })
    const few = await verifyBlob(da.reader, blobId)
    assert.deepEqual([few.available, few.rows, few.samples, few.answered], [true, 768, 26, 26])
    assert.ok(few.chance <= 2 ** -40)
    const certain = await verifyBlob(da.reader, blobId, { bits: 80 })
    assert.deepEqual([certain.available, certain.answered], [true, certain.samples])
    assert.ok(certain.samples > 40 && certain.chance <= 2 ** -80)
    assert.equal((await verifyBlob(da.reader, blobId, { bits: 1 })).samples, 2)
    for (const bits of [0, 129, 1.5]) await assert.rejects(verifyBlob(da.reader, blobId, { bits }), { code: 'USAGE' })
  })

  it('a third of the signers dead leaves it available, which takes more samples to say', async () => {
    failing(da.servers.slice(0, 2))
    const verdict = await verifyBlob(da.reader, published.blobId)
    assert.ok(verdict.available && verdict.chance <= 2 ** -40)
    assert.ok(verdict.answered < verdict.samples && verdict.samples > 22)
    // Each is asked once.
    assert.deepEqual(
      verdict.faults.map(({ url, lied }) => [url, lied]).toSorted(),
      da.servers
        .slice(0, 2)
        .map(({ url }) => [url, false])
        .toSorted(),
    )
  })

  it('as many rows as it takes and no more are no reason to call it available, however many are asked for', async () => {
    failing(da.servers.slice(2))
    const verdict = await verifyBlob(da.reader, published.blobId)
    assert.ok(!verdict.available)
    assert.equal(verdict.samples, 16 * 22)
    assert.ok(verdict.answered > 0 && verdict.chance > 2 ** -20)
  })

  it('chunks that are others are no answers', async () => {
    for (const server of da.servers.slice(2)) {
      server.faults = { chunks: ({ chunks }) => ({ chunks: chunks.map(({ data, path }) => ({ data: Buffer.from(data).fill(7, 0, 1), path })) }) }
    }
    const verdict = await verifyBlob(da.reader, published.blobId)
    assert.ok(!verdict.available)
    assert.ok(verdict.faults.length === 5 && verdict.faults.every(({ lied }) => lied))
  })

  it('answers that are missing do not count', async () => {
    for (const server of da.servers) server.faults = { chunks: ({ chunks }) => ({ chunks: chunks.slice(1) }) }
    const { answered } = await verifyBlob(da.reader, published.blobId)
    assert.equal(answered, 0)
  })

  it('never takes more samples than there are rows: all of them settle it', async () => {
    failing(da.servers.slice(1))
    // In the code of 64 each of four signers has all rows that it takes.
    const { blobId } = await da.publish(Buffer.from(patternBytes('p1', 5000)), { epoch: 1 })
    const { available, samples, answered, rows, chance } = await verifyBlob(da.reader, blobId, { bits: 128 })
    assert.deepEqual([available, samples, answered, rows, chance], [true, 256, 64, 256, 0])
  })

  it('the chance is that of drawing without putting back', () => {
    // Two of four are there: both of two drawn are these in one case of six, one or both in five.
    assert.ok(Math.abs(chanceOf(2, 2, 2, 4) - 1 / 6) < 1e-12)
    assert.ok(Math.abs(chanceOf(2, 1, 2, 4) - 5 / 6) < 1e-12)
    assert.equal(chanceOf(2, 0, 2, 4), 1)
    assert.equal(chanceOf(3, 3, 2, 4), 0)
  })
})
