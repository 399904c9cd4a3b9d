import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { downloadBytes, IndexerClient, upload } from '../../sdk/index.ts'
import { startNetwork } from '../support/network.ts'

describe('devnet: a network in one process', function () {
  this.timeout(180_000)
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-network-test-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  it('keeps chain and files over a restart, serves while a node is away, and stops without leaving anything behind', async () => {
    const path = join(folder, 'file')
    const content = Buffer.alloc(300_000, 'what goes around comes around ')
    writeFileSync(path, content)
    const dataDir = join(folder, 'state')

    const first = await startNetwork({ dataDir, storage: { kv: false } })
    const { root } = await upload(path, { signer: first.wallet(6), indexer: first.indexer })
    const head = await first.provider.getBlock('latest')
    await first.stop()
    await assert.rejects(fetch(first.rpcUrl))
    await assert.rejects(fetch(first.nodes[0]!))

    const second = await startNetwork({ dataDir, storage: { kv: false } })
    try {
      assert.deepEqual(second.contracts, first.contracts)
      assert.equal((await second.provider.getBlock(head!.number))!.hash, head!.hash)
      await second.stopKeeper('storage/node/0')
      await assert.rejects(fetch(second.nodes[0]!))
      const { bytes, sources } = await downloadBytes(root, { nodes: second.nodes })
      assert.ok(content.equals(bytes))
      assert.deepEqual(
        sources.map(({ url }) => url),
        [second.nodes[1]],
      )
      await second.startKeeper('storage/node/0')
      assert.ok((await new IndexerClient(second.indexer).nodes()).length >= 1)
      assert.ok(content.equals((await downloadBytes(root, { nodes: [second.nodes[0]!] })).bytes))
      assert.equal(await second.provider.getTransactionCount(second.accounts[0]!.address), 0)
    } finally {
      await second.stop()
    }
  })

  it('can be a chain with contracts and nothing else', async () => {
    const network = await startNetwork({ storage: false })
    try {
      assert.notEqual(await network.provider.getCode(network.contracts.Flow!), '0x')
      assert.deepEqual(network.nodes, [])
      await assert.rejects(network.stopKeeper('storage/node/0'), /runs no keepers/)
    } finally {
      await network.stop()
    }
  })
})
