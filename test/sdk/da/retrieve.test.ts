import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { network } from 'hardhat'
import type { EncodedRows } from '../../../codec/rows/index.ts'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { retrieve } from '../../../sdk/da/retrieve.ts'
import type { Rows } from '../../../sdk/da/wire.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { commit, pathOf, rowLeaf } from '../../codec/rows/naive.ts'
import { patternBytes } from '../../support/patterns.ts'
import { type DaNetwork, type Published, type RowServer, startDa } from './network.ts'

const { ethers } = await network.create()
const data = (length: number): Buffer => Buffer.from(patternBytes('p1', length))

/** Commits to all rows of an encoding but one, in whose place is another. */
function withForgedRow(encoded: EncodedRows, forged: number): EncodedRows {
  const { shape } = encoded
  const rows = Array.from({ length: shape.t }, (_, i) => encoded.row(i))
  rows[forged]!.fill(7)
  const leaves = rows.map((bytes) => rowLeaf(bytes, 512))
  return {
    ...encoded,
    ...commit(rows, shape, 512),
    row: (i) => rows[i]!,
    rows: (indices) => Buffer.concat([...indices].map((i) => rows[i]!)),
    paths: (indices) => Buffer.concat([...indices].flatMap((i) => pathOf(leaves, i))),
  }
}

describe('Retrieving a blob', function () {
  this.timeout(60_000)
  let da: DaNetwork
  /** K = 256, seven signers with 135 rows each: two of them are enough. */
  let published: Published

  before(async () => {
    da = await startDa(ethers)
    published = await da.publish(data(20_000))
  })
  after(() => da?.stop())
  afterEach(() => {
    for (const server of da.servers) {
      server.faults = {}
      server.asked = []
    }
  })

  const fails = async (blobId: string, code: string, message: RegExp): Promise<PerigeeError> => {
    const error = await retrieve(da.reader, blobId).then(
      () => assert.fail('it was retrieved'),
      (error: unknown) => error,
    )
    assert.ok(error instanceof PerigeeError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    return error
  }
  const retrieved = async ({ blobId, data }: Published) => {
    const result = await retrieve(da.reader, blobId)
    assert.ok(Buffer.from(data).equals(result.bytes), 'other bytes')
    return result
  }
  const changed = (bytes: Uint8Array, at = 0): Buffer => Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)))
  const everyone = (faults: RowServer['faults'], but: RowServer[] = []): void => {
    for (const server of da.servers) if (!but.includes(server)) server.faults = faults
  }
  const silent = { rows: () => new Promise<Rows>(() => {}) }

  it('gives exactly the bytes, of any length and in any epoch that signers serve', async () => {
    for (const length of [1, 31, 64 * 64, 64 * 64 + 1, 128 * 1024]) {
      for (const epoch of [1, 2]) {
        const result = await retrieved(await da.publish(data(length), { epoch }))
        assert.deepEqual([result.blob.length, result.certificate.epoch, result.faults], [length, epoch, []])
      }
    }
  })

  it('where all original rows have owners, asks for these alone, and each signer for its own', async () => {
    const blob = await da.publish(data(9_000), { epoch: 1 })
    const { sources } = await retrieved(blob)
    assert.equal(sources.length, 4)
    const asked = da.servers.flatMap(({ asked }) => asked).toSorted((a, b) => a - b)
    assert.deepEqual(
      asked,
      Array.from({ length: 64 }, (_, row) => row),
    )
  })

  it('asks for no more rows than it takes', async () => {
    const { sources } = await retrieved(published)
    assert.equal(da.servers.flatMap(({ asked }) => asked).length, 256)
    assert.ok(sources.length > 2, 'the work is shared')
  })

  it('believes no row that was tampered with, and names who sent it', async () => {
    const [liar] = da.servers
    liar!.faults = { rows: (portion) => ({ ...portion, rows: changed(portion.rows, 64) }) }
    const { faults } = await retrieved(published)
    assert.deepEqual(
      faults.map(({ url, lied }) => [url, lied]),
      [[liar!.url, true]],
    )
    assert.match(faults[0]!.reason, /^row \d+ is not what the blob id commits to$/)
  })

  for (const [lie, rows] of Object.entries({
    'rows with paths of others': (portion: Rows) => ({ ...portion, paths: changed(portion.paths) }),
    'rows nobody asked for': (portion: Rows) => ({ ...portion, indices: portion.indices.map((row) => row ^ 1023) }),
    'a valid row twice': ({ indices, rows, paths }: Rows) => ({
      indices: indices.map(() => indices[0]!),
      rows: Buffer.concat(indices.map(() => rows.subarray(0, rows.length / indices.length))),
      paths: Buffer.concat(indices.map(() => paths.subarray(0, paths.length / indices.length))),
    }),
    'less bytes than rows': (portion: Rows) => ({ ...portion, rows: portion.rows.subarray(64) }),
    'no rows at all': (portion: Rows) => ({ ...portion, indices: [], rows: new Uint8Array(), paths: new Uint8Array() }),
  })) {
    it(`takes nothing from a signer that sends ${lie}`, async () => {
      const [liar] = da.servers
      liar!.faults = { rows }
      const { faults, sources } = await retrieved(published)
      assert.deepEqual(
        faults.map(({ url, lied }) => [url, lied]),
        [[liar!.url, true]],
      )
      assert.ok(sources.every(({ url }) => url !== liar!.url))
    })
  }

  it('asks others in place of a signer that is slow, before it gives up on it', async () => {
    const slow = da.servers[2]!
    slow.faults = silent
    const started = performance.now()
    const { sources } = await retrieved(published)
    assert.ok(performance.now() - started < 5_000)
    assert.ok(sources.every(({ url }) => url !== slow.url))
  })

  it('needs no more than two of seven signers', async () => {
    const alive = da.servers.slice(4, 6)
    everyone({ rows: async () => Promise.reject(new Error('disk')) }, alive)
    const { sources } = await retrieved(published)
    assert.deepEqual(new Set(sources.map(({ url }) => url)), new Set(alive.map(({ url }) => url)))
  })

  it('says how many rows it got, and who failed why, when they are too few', async () => {
    everyone({ rows: async () => Promise.reject(new Error('disk')) }, da.servers.slice(4, 5))
    da.servers[0]!.faults = { rows: (portion) => ({ ...portion, rows: changed(portion.rows) }) }
    const error = await fails(published.blobId, 'FAILED', /135 of the 256 rows/)
    assert.equal(error.details.length, 6)
    assert.equal(error.details.filter((line) => line.startsWith(`${da.servers[0]!.url} LIED`)).length, 1)
  })

  for (const [lie, describe] of Object.entries({
    'another header': (description) => ({ ...description, blob: { ...description.blob!, length: description.blob!.length - 1 } }),
    'a header that no blob has': (description) => ({ ...description, blob: { ...description.blob!, log2T: 12 } }),
    'no header': (description) => ({ ...description, blob: null }),
    'other combinations': (description) => ({ ...description, rlc: changed(description.rlc) }),
    'too few combinations': (description) => ({ ...description, rlc: description.rlc.subarray(16) }),
    'no combinations': (description) => ({ ...description, rlc: new Uint8Array() }),
    'combinations that end in the middle of one': (description) => ({ ...description, rlc: description.rlc.subarray(0, 40) }),
    'a batch without the blob': (description) => ({ ...description, inclusions: description.inclusions.map((at) => ({ ...at, index: 0 })) }),
  } satisfies Record<string, RowServer['faults']['describe']>)) {
    it(`does not believe a signer that gives ${lie}`, async () => {
      everyone({ describe }, da.servers.slice(6))
      const { faults } = await retrieved(published)
      assert.ok(faults.every(({ lied, url }) => lied && url !== da.servers[6]!.url))
      everyone({ describe })
      await fails(published.blobId, 'NETWORK', /none of 7 signers .*LIED/s)
    })
  }

  it('of several certificates the newest counts', async () => {
    const [old, newer] = [await da.publish(data(30_000), { epoch: 1 }), await da.publish(data(30_000), { epoch: 2 })]
    assert.equal(old.blobId, newer.blobId)
    for (const inclusions of [
      [newer.inclusion, old.inclusion],
      [old.inclusion, newer.inclusion],
    ]) {
      everyone({ describe: (description) => ({ ...description, inclusions }) })
      assert.equal((await retrieved(old)).certificate.epoch, 2)
    }
  })

  it('a blob without certificate is not there yet', async () => {
    const { blobId } = await da.publish(data(100), { certified: false })
    await fails(blobId, 'NOT_FOUND', /has no certificate/)
  })

  it('an id that nobody knows is unknown, one that is none is refused', async () => {
    await fails(`0x${randomBytes(32).toString('hex')}`, 'NOT_FOUND', /nobody has the blob .* 7 of 7 signers say so/)
    await fails('0x1234', 'USAGE', /not a blob id/)
  })

  it('bytes behind the end that are not zero make it no blob', async () => {
    const padded = await da.publish(data(4001), { length: 4000 })
    await fails(padded.blobId, 'VERIFICATION_FAILED', /byte 4000 behind a blob of 4000 bytes/)
  })

  it('rows that are not all of one code are no blob, even if those at hand decode', async () => {
    // A committed parity row is another one, and everything hashed over it is right.
    const { blobId } = await da.publish(data(4000), { epoch: 1, forge: (encoded) => withForgedRow(encoded, 200) })
    await fails(blobId, 'VERIFICATION_FAILED', /what its rows decode to does not encode to them/)
  })

  it('an abort ends it', async () => {
    everyone(silent)
    const controller = new AbortController()
    const retrieving = retrieve(da.reader, published.blobId, { signal: controller.signal })
    setTimeout(() => controller.abort(), 100)
    await assert.rejects(retrieving, { name: 'AbortError' })
  })

  it('every row has one owner, who alone is asked for it', async () => {
    const assignment = createAssignment(await da.reader.epochs.epoch(2), published.blobId, published.blob.log2K)
    await retrieved(published)
    const { members } = await da.reader.epochs.epoch(2)
    for (const { account, index } of members) for (const row of da.serverOf(account).asked) assert.equal(assignment.ownerOf(row), index)
  })

  it('when all signers are gone, says that none can be reached', async () => {
    const gone = await da.publish(data(500))
    await Promise.all(da.servers.map((server) => server.close()))
    await fails(gone.blobId, 'NETWORK', /none of 7 signers/)
  })
})
