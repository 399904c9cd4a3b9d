import assert from 'node:assert/strict'
import { network } from 'hardhat'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { openChallenge } from '../../../sdk/da/challenge.ts'
import { locateBlob } from '../../../sdk/da/locate.ts'
import { patternBytes } from '../../support/patterns.ts'
import { type DaNetwork, startDa } from './network.ts'

const { ethers } = await network.create()

describe('Challenging a signer', function () {
  this.timeout(60_000)
  let da: DaNetwork

  before(async () => {
    da = await startDa(ethers)
  })
  after(() => da?.stop())

  it('asks for a row it must hold, on chain, unless it did not sign', async () => {
    const { blobId } = await da.publish(Buffer.from(patternBytes('p1', 300_000)), { absent: [2, 5] })
    const located = await locateBlob(da.reader, blobId)
    const { members } = located.epoch
    const opened = await openChallenge(da.contracts, located, members[3]!.account)
    const { challenger, account, row, chunk, deadline } = await da.contracts.challenges.challenge(opened.id)
    assert.deepEqual([challenger, account], [await da.governor.getAddress(), members[3]!.account])
    assert.deepEqual([opened.row, opened.chunk, opened.deadline], [Number(row), Number(chunk), Number(deadline)])
    const rows = createAssignment(located.epoch, blobId, located.blob.log2K).rowsOf(3)
    assert.ok(rows.includes(opened.row))

    const again = openChallenge(da.contracts, located, members[3]!.account, { row: opened.row, chunk: opened.chunk })
    await assert.rejects(again, { code: 'CHAIN', message: /AlreadyOpen/ })
    const notIts = Array.from({ length: 1024 }, (_, row) => row).find((row) => !rows.includes(row))!
    await assert.rejects(openChallenge(da.contracts, located, members[3]!.account, { row: notIts }), { code: 'USAGE', message: /need not hold row/ })
    for (const silent of [members[5]!.account, await da.stranger.getAddress()])
      await assert.rejects(openChallenge(da.contracts, located, silent), { code: 'USAGE', message: /did not sign/ })
  })
})
