import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { parseEther, Wallet } from 'ethers'
import { answer, decodeModel } from '../../../protocol/compute/tuned-model.ts'
import { taskDigest, uploadDigest } from '../../../protocol/compute/tuning-signatures.ts'
import { releaseSdkTimers } from '../../support/sdk-timers.ts'
import { eventually, now, TuningClient } from './client.ts'
import { startTuningNetwork, type TuningNetwork } from './network.ts'
import { chatLines, customerRows, PARAMS } from './sample-dataset.ts'

// The public SDK as npm installs it, loaded as its own CLI loads it.
const require = createRequire(import.meta.url)
const { createZGComputeNetworkBroker } = require('@0gfoundation/0g-compute-ts-sdk') as typeof import('@0gfoundation/0g-compute-ts-sdk')
const ethers = require('ethers') as typeof import('ethers')

describe('public compute SDK, fine-tuning', function () {
  this.timeout(180_000)
  let network: TuningNetwork
  let folder: string
  const said: string[] = []
  const { log, warn } = console

  let restoreTimers: () => void

  before(async () => {
    restoreTimers = releaseSdkTimers()
    console.log = console.warn = (...words: unknown[]) => said.push(words.join(' '))
    network = await startTuningNetwork()
    folder = await mkdtemp(join(tmpdir(), 'perigee-tuning-sdk-'))
  })
  after(async () => {
    restoreTimers()
    Object.assign(console, { log, warn })
    await rm(folder, { recursive: true, force: true })
    await network?.stop()
  })

  it('given the SDK unmodified, when a user uploads, creates a task, downloads, acknowledges and decrypts, then she has a model that answers', async () => {
    await network.start()
    await writeFile(join(folder, 'data.jsonl'), chatLines(customerRows()))
    await writeFile(join(folder, 'params.json'), JSON.stringify(PARAMS))
    const provider = new ethers.JsonRpcProvider(network.chain.url, undefined, { cacheTimeout: -1 })
    try {
      const user = new ethers.Wallet(network.wallet(7).privateKey, provider)
      const broker = await createZGComputeNetworkBroker(user as never)
      const tuning = broker.fineTuning!
      await broker.ledger.addLedger(5)
      await broker.ledger.transferFund(network.address, 'fine-tuning', parseEther('2'))
      await tuning.acknowledgeProviderSigner(network.address)
      const [listed] = await tuning.listService()
      expect([listed!.provider, listed!.teeSignerAcknowledged]).to.deep.equal([network.address, true])
      const [, offered] = await tuning.listModel()
      expect(offered!.map(([name]) => name)).to.include('perigee-classifier')
      await tuning.modelUsage(network.address, 'perigee-classifier', join(folder, 'usage.zip'))
      expect((await readFile(join(folder, 'usage.zip'))).subarray(0, 2).toString()).to.equal('PK')

      const { datasetHash } = (await tuning.uploadDatasetToTEE(network.address, join(folder, 'data.jsonl'))) as { datasetHash: string }
      const id = await tuning.createTask(network.address, 'perigee-classifier', datasetHash, join(folder, 'params.json'))
      await eventually('the model is delivered', async () => (await tuning.getTask(network.address, id)).progress === 'Delivered')
      expect(await tuning.getLog(network.address)).to.include('held-out loss')
      const encrypted = join(folder, 'encrypted')
      await tuning.acknowledgeModel(network.address, id, encrypted, { downloadMethod: 'tee' })
      expect(said.filter((line) => /mismatch/i.test(line))).to.deep.equal([])
      await eventually('it is settled', async () => (await tuning.getTask(network.address, id)).progress === 'Finished')
      await tuning.decryptModel(network.address, id, encrypted, join(folder, 'model'))
      const model = decodeModel(await readFile(join(folder, 'model')))
      expect(answer(model, 'where is the parcel with my toaster').text).to.equal('Your parcel is on its way.')
      expect((await tuning.listTask(network.address)).map((task) => task.id)).to.deep.equal([id])
    } finally {
      provider.destroy()
    }
  })

  it('given a digest that begins with a zero byte, when the SDK signs it, then task and upload are accepted', async () => {
    const { url } = await network.start()
    const wallet = new Wallet(network.wallet(8).privateKey, network.provider)
    await network.fund(wallet)
    const user = new TuningClient(url, wallet)
    const dataset = chatLines(customerRows())
    const timestamps = Array.from({ length: 290 }, (_, i) => now() - i)
    // One in 256: the window has one in two cases of three.
    const timestamp = timestamps.find((each) => uploadDigest(wallet.address, each).startsWith('0x00')) ?? timestamps[0]!
    const { datasetHash } = (await user.upload(dataset, { timestamp })).body
    let nonce = BigInt(Date.now()) * 10_000n
    while (!taskDigest({ user: wallet.address, nonce, datasetHash }).startsWith('0x00')) nonce++
    expect((await user.create(datasetHash, { nonce: String(nonce) })).status).to.equal(201)
  })
})
