import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { upload } from '../../../sdk/index.ts'
import { Flow__factory, PoraMine__factory, StorageRewards__factory } from '../../../typechain-types/index.ts'
import { type Network, startNetwork } from '../../support/network.ts'

const SIZE = 256 * 1024
/** What the local network promises, from the upload to the payment. */
const PAID_WITHIN_MS = 60_000

describe('storage miner on the local network', function () {
  this.timeout(180_000)
  let network: Network
  let folder: string

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-mined-'))
    network = await startNetwork({ storage: { nodes: 1, indexer: false, kv: false, miner: true }, blockTime: 1 })
  })
  after(async () => {
    await network?.stop()
    rmSync(folder, { recursive: true })
  })

  it('is paid within a minute of the first upload of 256 KiB, for a sector of that file', async () => {
    const path = join(folder, 'file')
    writeFileSync(
      path,
      Uint8Array.from({ length: SIZE }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24),
    )
    const { seq } = await upload(path, { signer: network.wallet(6), nodes: network.nodes })
    const rewards = StorageRewards__factory.connect(network.contracts.StorageRewards!, network.provider)
    const mine = PoraMine__factory.connect(network.contracts.PoraMine!, network.provider)
    const flow = Flow__factory.connect(network.contracts.Flow!, network.provider)

    const deadline = Date.now() + PAID_WITHIN_MS
    let paid = await rewards.queryFilter(rewards.filters.DistributeReward())
    for (; paid.length === 0; paid = await rewards.queryFilter(rewards.filters.DistributeReward())) {
      if (Date.now() > deadline) throw new Error(`no reward ${PAID_WITHIN_MS / 1000} s after the upload`)
      await sleep(200)
    }
    const [{ args }] = paid as [(typeof paid)[0]]
    assert.equal(args.beneficiary, network.accounts[4]!.address)
    assert.ok((await rewards.payments(args.beneficiary)) > 0n)

    const [answer] = await mine.queryFilter(mine.filters.NewSubmission())
    // by place: a field called `length` hides the names
    const submissions = (await flow.queryFilter(flow.filters.Submit())).map(({ args }) => [...(args as Iterable<unknown>)] as [string, string, bigint, bigint])
    const [, , , startPos] = submissions.find(([, , index]) => Number(index) === seq)!
    const sector = Number(answer!.args.recallPosition - startPos)
    assert.ok(sector >= 0 && sector < SIZE / 256, `sector ${answer!.args.recallPosition} is not of the file at ${startPos}`)
  })
})
