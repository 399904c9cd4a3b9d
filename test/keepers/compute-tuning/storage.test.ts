import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { keccak256, parseEther, ZeroHash } from 'ethers'
import { answer, decodeModel } from '../../../protocol/compute/tuned-model.ts'
import { serviceName } from '../../../sdk/compute/contracts.ts'
import { download, downloadBytes } from '../../../sdk/storage/download.ts'
import { upload } from '../../../sdk/storage/upload.ts'
import { IFineTuningServing__factory } from '../../../typechain-types/index.ts'
import { type Network, startNetwork } from '../../support/network.ts'
import { eventually, TuningClient } from './client.ts'
import { chatLines, customerRows } from './sample-dataset.ts'

const dataset = Buffer.from(chatLines(customerRows()))

describe('tuning keeper with the storage network', function () {
  this.timeout(300_000)
  let network: Network
  let folder: string
  let user: TuningClient

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perigee-tuning-storage-'))
    network = await startNetwork({ storage: { kv: false }, compute: { providers: 0, tuning: true } })
    const wallet = network.wallet(7)
    user = new TuningClient(network.tuning.url, wallet)
    const { ledger } = network.computeAs(wallet)
    const fullName = await serviceName(ledger, serving())
    await (await ledger.depositFund({ value: parseEther('10') })).wait()
    await (await ledger.transferFund(network.tuning.address, fullName, parseEther('5'))).wait()
  })
  after(async () => {
    await network?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const serving = () => IFineTuningServing__factory.connect(network.contracts.FineTuningServing!, user.wallet)

  it('given a dataset in it, when it is named by its root, then the model is stored there under the root of the deliverable, and its user opens it', async () => {
    const { indexer } = network
    const path = join(folder, 'data.jsonl')
    await writeFile(path, dataset)
    const { root } = await upload(path, { indexer, signer: network.wallet(8) })
    const created = await user.create(root)
    expect(created.status, JSON.stringify(created.body)).to.equal(201)
    const { id } = created.body
    const { modelRootHash, fileHash } = await user.reaches(id, 'Delivered')
    expect((await serving().getDeliverable(user.wallet.address, network.tuning.address, id)).modelRootHash).to.equal(modelRootHash)

    const encrypted = join(folder, 'encrypted')
    await download(modelRootHash, encrypted, { indexer })
    const bytes = await readFile(encrypted)
    expect(keccak256(bytes)).to.equal(fileHash)
    expect(Buffer.from(await (await user.download(id)).arrayBuffer()).equals(bytes)).to.equal(true)
    await (await serving().acknowledgeDeliverable(network.tuning.address, id)).wait()
    await user.reaches(id, 'Finished')
    const model = decodeModel(await user.open(bytes, serving(), network.tuning.address, id))
    expect(answer(model, 'please refund the broken toaster').text).to.equal('Refunds take five days.')
  })

  it('given a dataset uploaded to the keeper, then its model goes to the network all the same', async () => {
    const id = await user.begin(dataset.toString())
    const { modelRootHash, fileHash } = await user.reaches(id, 'Delivered')
    const { bytes } = await downloadBytes(modelRootHash, { indexer: network.indexer })
    expect(keccak256(bytes)).to.equal(fileHash)
    await (await serving().acknowledgeDeliverable(network.tuning.address, id)).wait()
    await user.reaches(id, 'Finished')
  })

  it('given a root that the network does not have, then the task fails and says so', async () => {
    const created = await user.create(ZeroHash.replace('0x00', '0xab'))
    const task = await eventually('the task fails', async () => {
      const found = await user.task(created.body.id)
      return found.progress === 'Failed' && found
    })
    expect(task.failure).to.include('nor in the storage network')
  })
})
