import assert from 'node:assert/strict'
import { network } from 'hardhat'
import { PerigeeError } from '../../../sdk/errors.ts'
import { retrieve } from '../../../sdk/da/retrieve.ts'
import type { Rows } from '../../../sdk/da/wire.ts'
import { patternBytes } from '../../support/patterns.ts'
import { type DaNetwork, startDa } from './network.ts'

const { ethers } = await network.create()

describe('Retrieving a blob', function () {
  this.timeout(60_000)
  let da: DaNetwork

  before(async () => {
    da = await startDa(ethers)
  })
  after(() => da?.stop())
  afterEach(() => {
    for (const server of da.servers) {
      server.faults = {}
      server.asked = []
    }
  })

  const data = (length: number): Buffer => Buffer.from(patternBytes('p1', length))

  it('gives exactly the bytes, of any length', async () => {
    for (const length of [1, 31, 64 * 64, 64 * 64 + 1, 128 * 1024]) {
      const { blobId } = await da.publish(data(length), { epoch: 1 + (length % 2) })
      const result = await retrieve(da.reader, blobId)
      assert.ok(data(length).equals(result.bytes), `${length} bytes`)
      assert.equal(result.blob.length, length)
      assert.deepEqual(result.faults, [])
    }
  })
})
