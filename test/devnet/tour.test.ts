import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../deploy/networks.ts'
import { freePortBase } from '../../devnet/ports.ts'
import { DataAvailability__factory, Flow__factory, InferenceServing__factory, StorageRewards__factory } from '../../typechain-types/index.ts'
import { Start, urlsOf } from './start-process.ts'

const SECTOR_BYTES = 256

describe('devnet: the guided tour of npm start', function () {
  this.timeout(90_000)
  let folder: string
  let start: Start

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-tour-'))
    start = new Start(folder, '--port-base', String(await freePortBase()))
  })
  afterEach(async () => {
    await start.exit('SIGKILL')
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
  })

  /** What a pattern's group matched in the output of the tour. */
  const told = (pattern: RegExp): string => {
    const [, found] = start.output.match(pattern) ?? assert.fail(`${pattern} is not in:\n${start.output}`)
    return found!
  }

  it('stores a file, fetches it from the other node, sees its miner paid; asks a provider, verifies, sees it paid; publishes a blob; and stays up', async () => {
    const { chain, contracts, services } = await start.up()
    const [first, second] = services.storageNodes as [string, string]
    await start.says('That was the tour.')
    assert.equal(start.output.match(/^✘.*/m), null, start.output)

    const size = Number(told(/✔ upload of ([\d,]+) bytes/).replaceAll(',', ''))
    assert.ok(start.output.includes(`bytes to ${first} (`), 'uploaded to the first node')
    assert.deepEqual(
      told(/held by (.+)/)
        .split(' and ')
        .sort(),
      [first, second].sort(),
    )
    assert.ok(start.output.includes(`✔ download from ${second} only, verified`), 'downloaded from the other node')
    assert.match(start.output, new RegExp(`${size.toLocaleString('en')} bytes, equal to the original`))

    const provider = connect(chain.rpcUrl)
    try {
      const flow = Flow__factory.connect(contracts.Flow!, provider)
      const rewards = StorageRewards__factory.connect(contracts.StorageRewards!, provider)

      // The submission that the tour paid for, and the pricing chunks that its sectors are in.
      const upload = await provider.getTransactionReceipt(told(/coins paid in (0x[0-9a-f]{64})/))
      assert.equal(upload?.status, 1)
      const [submission] = await flow.queryFilter(flow.filters.Submit(), upload.blockNumber, upload.blockNumber)
      const root = told(/root (0x[0-9a-f]{64})/)
      assert.equal(submission!.transactionHash, upload.hash)
      const located = await fetch(second, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'zgs_getFileInfo', params: [root, true] }),
      })
      const { result } = (await located.json()) as { result: { finalized: boolean; tx: { size: number; startEntryIndex: number } } }
      assert.deepEqual({ finalized: result.finalized, size: result.tx.size }, { finalized: true, size })
      const { startPos } = submission!.args
      assert.equal(result.tx.startEntryIndex, Number(startPos))
      const chunkSectors = await rewards.chunkSectors()
      const firstChunk = startPos / chunkSectors
      const lastChunk = (startPos + BigInt(Math.ceil(size / SECTOR_BYTES)) - 1n) / chunkSectors

      const hash = told(/its nonce drew, in (0x[0-9a-f]{64})/)
      const paid = (await rewards.queryFilter(rewards.filters.DistributeReward(), upload.blockNumber)).find((event) => event.transactionHash === hash)
      assert.ok(paid, 'the reward that the tour told of is on chain')
      const { pricingIndex, beneficiary, amount } = paid.args
      assert.ok(amount > 0n)
      assert.ok(firstChunk <= pricingIndex && pricingIndex <= lastChunk, `chunk ${pricingIndex} is of the tour's ${firstChunk} to ${lastChunk}`)
      assert.ok((await rewards.payments(beneficiary)) >= amount)

      // The provider of the tour's question settled the batch that the tour told of.
      const asked = told(/(0x[0-9a-fA-F]{40}) serves /)
      const serving = InferenceServing__factory.connect(contracts.InferenceServing!, provider)
      assert.ok((await serving.lastNonce(asked)) >= BigInt(told(/batch (\d+):/)))
      assert.ok((await serving.earningsOf(asked)) > 0n)

      // The blob of the tour is in the batch whose certificate it told of.
      const certificates = DataAvailability__factory.connect(contracts.DataAvailability!, provider)
      const certified = await provider.getTransactionReceipt(told(/of stake signed its batch, in (0x[0-9a-f]{64})/))
      const [certificate] = await certificates.queryFilter(certificates.filters.BatchCertified(), certified!.blockNumber, certified!.blockNumber)
      assert.equal(certificate!.args.signed, certificate!.args.total)
      const blob = await fetch(`${services.daRetriever}/blobs/${told(/ {4}blob (0x[0-9a-f]{64})/)}`)
      assert.equal((await blob.arrayBuffer()).byteLength, Number(told(/blob of ([\d,]+) bytes certified/).replaceAll(',', '')))

      // It stays up: blocks go on, and every service is ready.
      const block = await provider.getBlockNumber()
      await sleep(2500)
      assert.ok((await provider.getBlockNumber()) > block)
      for (const url of urlsOf(services)) assert.deepEqual(await (await fetch(`${url}/readyz`)).json(), { status: 'ready' }, url)
    } finally {
      provider.destroy()
    }

    assert.equal(await start.exit('SIGINT'), 0, start.output)
    assert.equal(existsSync(join(folder, 'devnet.json')), false)
    await assert.rejects(fetch(chain.rpcUrl))
  })
})
