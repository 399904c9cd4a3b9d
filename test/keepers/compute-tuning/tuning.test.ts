import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { keccak256, Wallet } from 'ethers'
import { answer, decodeModel } from '../../../protocol/compute/tuned-model.ts'
import { eventually, TuningClient } from './client.ts'
import { startTuningNetwork, type TuningNetwork } from './network.ts'
import { chatLines, customerRows } from './sample-dataset.ts'

const dataset = chatLines(customerRows())
/** A model whose training ends by its cancellation only. */
const ENDLESS = `0x${'e1'.repeat(32)}`
const program = fileURLToPath(new URL('./trainer-program.mjs', import.meta.url))
const command = [process.execPath, program, 'polite', '{action}', '{input}', '{output}', '{work}']
const models = { endless: { trainer: 'command', hash: ENDLESS, tokenizer: 'none', description: 'never ends', command } }
/** Long enough to be cancelled or killed while it trains. */
const LONG = chatLines(customerRows(), 120)

describe('tuning keeper', function () {
  this.timeout(120_000)
  let network: TuningNetwork

  before(async () => {
    network = await startTuningNetwork()
  })
  afterEach(() => network.stopKeepers())
  after(() => network.stop())

  let people = 0
  /** A user of her own for each test, with money and gas. */
  async function newUser(url: string, amount?: bigint): Promise<TuningClient> {
    const wallet = new Wallet(Wallet.createRandom().privateKey, network.provider)
    await (await network.wallet(6 + (people++ % 10)).sendTransaction({ to: wallet.address, value: 10n ** 20n })).wait()
    await network.fund(wallet, amount)
    return new TuningClient(url, wallet)
  }
  const acknowledge = async ({ wallet }: TuningClient, id: string) => (await network.serving.connect(wallet).acknowledgeDeliverable(network.address, id)).wait()
  const balance = async ({ wallet }: TuningClient) => (await network.serving.getAccount(wallet.address, network.address)).balance
  const file = async (response: Response) => new Uint8Array(await response.arrayBuffer())

  it('given a dataset and money, when all goes well, then a model is trained, delivered, paid for, and only its user can open it', async () => {
    const { url, folder } = await network.start()
    const user = await newUser(url)
    const before = await balance(user)
    const id = await user.begin(dataset)
    const delivered = await user.reaches(id, 'Delivered')
    expect(BigInt(delivered.fee)).to.equal(BigInt(delivered.tokens) * 1000n * 3n)
    expect(delivered.loss).to.be.below(1.2)
    expect(delivered.signature).to.equal('')
    const encrypted = await file(await user.download(id))
    expect(keccak256(encrypted)).to.equal(delivered.modelRootHash)
    expect(existsSync(join(folder, 'tasks', 'work', id))).to.equal(false)
    expect(await balance(user)).to.equal(before)

    await acknowledge(user, id)
    await user.reaches(id, 'Finished')
    expect(before - (await balance(user))).to.equal(BigInt(delivered.fee))
    expect(await network.serving.earningsOf(network.address)).to.equal(BigInt(delivered.fee))
    const model = decodeModel(await user.open(encrypted, network.serving, network.address, id))
    expect(answer(model, 'please refund the broken toaster').text).to.equal('Refunds take five days.')
    const stranger = new TuningClient(url, Wallet.createRandom() as unknown as Wallet)
    await network.serving.getDeliverable(user.wallet.address, network.address, id)
    expect(await stranger.open(encrypted, network.serving, network.address, id).catch(() => 'closed')).to.equal('closed')
    const log = await user.log(id)
    for (const line of ['Set up', 'held-out loss', 'Trained', 'Delivered', 'Acknowledged', 'Settled']) expect(log).to.include(line)
    expect(log).to.include('STAND-IN: mock-model')
  })

  it('given a user who does not acknowledge, when the window ends, then a part is taken and no key; when she does later, then the rest buys it', async () => {
    const { url } = await network.start()
    const user = await newUser(url)
    const before = await balance(user)
    const id = await user.begin(dataset)
    const { fee } = await user.reaches(id, 'Delivered')
    const encrypted = await file(await user.download(id))
    await network.travel(6 * 3600 + 60)
    await user.reaches(id, 'Finished')
    expect(before - (await balance(user))).to.equal((BigInt(fee) * 30n) / 100n)
    expect((await network.serving.getDeliverable(user.wallet.address, network.address, id)).encryptedSecret).to.equal('0x')
    expect(await user.log(id)).to.include('penalty')

    const another = await user.begin(dataset)
    await user.reaches(another, 'Delivered')
    await acknowledge(user, id)
    await eventually(
      'the key is handed over',
      async () => (await network.serving.getDeliverable(user.wallet.address, network.address, id)).encryptedSecret !== '0x',
    )
    expect(before - (await balance(user))).to.equal(BigInt(fee))
    expect(decodeModel(await user.open(encrypted, network.serving, network.address, id)).header.answers).to.have.length(4)
    expect((await user.task(id)).progress).to.equal('Finished')
  })

  it('given a cancellation, then the training ends, nothing is charged or kept, and a second one changes nothing', async () => {
    const { url, folder } = await network.start({ models })
    const user = await newUser(url)
    const before = await balance(user)
    const id = await user.begin(dataset, { preTrainedModelHash: ENDLESS })
    await eventually('it trains', async () => (await user.task(id)).steps)
    const stranger = new Wallet(Wallet.createRandom().privateKey)
    expect((await user.cancel(id, stranger)).status).to.equal(401)
    expect((await user.task(id)).progress).to.equal('Training')
    expect(await user.cancel(id)).to.include({ status: 200, body: `task ${id} is cancelled` })
    expect(await user.task(id)).to.deep.include({ progress: 'Failed', failure: 'cancelled by the user' })
    await eventually('its files are gone', async () => !existsSync(join(folder, 'tasks', 'work', id)))
    expect((await user.cancel(id)).status).to.equal(200)
    expect(await user.log(id)).to.match(/cancelled by the user/g)
    expect(readdirSync(join(folder, 'tasks', 'models'))).to.not.include(id)
    expect(await balance(user)).to.equal(before)
    await user.reaches(await user.begin(dataset), 'Delivered')
  })

  it('given three trainings cancelled in a day, then a fourth is refused', async () => {
    const { url } = await network.start({ models })
    const user = await newUser(url)
    for (let i = 0; i < 3; i++) {
      const id = await user.begin(dataset, { preTrainedModelHash: ENDLESS })
      await eventually('it trains', async () => (await user.task(id)).steps)
      await user.cancel(id)
    }
    const { datasetHash } = (await user.upload(dataset)).body
    expect(await user.create(datasetHash)).to.deep.include({ status: 429, body: { error: 'you have cancelled too many trainings today: try again tomorrow' } })
  })

  it('given a delivered task, then it can no longer be cancelled, and no other task is taken of its user', async () => {
    const { url } = await network.start()
    const user = await newUser(url)
    const id = await user.begin(dataset)
    await user.reaches(id, 'Delivered')
    expect((await user.cancel(id)).status).to.equal(409)
    const { datasetHash } = (await user.upload(dataset)).body
    expect((await user.create(datasetHash)).body.error).to.include('unfinished task')
    await acknowledge(user, id)
    await user.reaches(id, 'Finished')
    expect((await user.create(datasetHash)).status).to.equal(201)
  })

  it('given too little money, or a ceiling below the fee, then it fails before the training', async () => {
    const { url } = await network.start({ pricePerToken: 10n ** 15n })
    const poor = await newUser(url, 10n ** 18n)
    const task = await failed(poor, await poor.begin(dataset))
    expect(task.failure).to.include('transfer funds')
    expect(task.steps).to.equal(null)
    const careful = await newUser(url, 10n ** 19n)
    await (await network.serving.connect(careful.wallet).setFeeCeiling(network.address, 10n ** 18n)).wait()
    expect((await failed(careful, await careful.begin(dataset))).failure).to.include('ceiling')
  })

  it('given money that leaves during the training, then nothing is delivered that nobody would pay for', async () => {
    const { url } = await network.start()
    const user = await newUser(url)
    const id = await user.begin(LONG)
    await user.reaches(id, 'Training')
    await network.retrieve(user.wallet)
    await network.travel(86_400)
    const task = await failed(user, id)
    expect(task.failure).to.include('withdrawn during the training')
    expect(await network.serving.getDeliverables(user.wallet.address, network.address)).to.have.length(0)
  })

  it('given a refund that cannot mature before the settlement, then the task goes on', async () => {
    const { url } = await network.start()
    const user = await newUser(url)
    const id = await user.begin(LONG)
    await user.reaches(id, 'Training')
    await network.retrieve(user.wallet)
    const { fee } = await user.reaches(id, 'Delivered')
    await acknowledge(user, id)
    await user.reaches(id, 'Finished')
    expect(await network.serving.earningsOf(network.address)).to.be.at.least(BigInt(fee))
  })

  it('given a dataset that cannot be used, then the task fails and says why, to the row', async () => {
    const { url } = await network.start()
    const user = await newUser(url)
    expect((await failed(user, await user.begin(`${dataset}\n{"text": 1}`))).failure).to.include('row 161')
    const other = await newUser(url)
    const { datasetHash } = (await user.upload(dataset)).body
    const created = await other.create(datasetHash)
    expect((await failed(other, created.body.id)).failure).to.include('was not uploaded here by this user')
  })

  it('given a full queue, then further tasks are refused, and the training one does not count', async () => {
    const { url } = await network.start({ models, maxPending: 2 })
    const users = await Promise.all(Array.from({ length: 4 }, () => newUser(url)))
    const first = await users[0]!.begin(dataset, { preTrainedModelHash: ENDLESS })
    await users[0]!.reaches(first, 'Training')
    const waiting = []
    for (const user of users.slice(1, 3)) waiting.push([user, await user.begin(dataset)] as const)
    for (const [user, id] of waiting) await user.reaches(id, 'SetUp', 'Training')
    expect((await users[3]!.request('/v1/task/pending')).body).to.equal('2')
    const { datasetHash } = (await users[3]!.upload(dataset)).body
    const refused = await users[3]!.create(datasetHash)
    expect(refused.status).to.equal(503)
    expect(refused.headers.get('retry-after')).to.equal('60')
    await users[0]!.cancel(first)
    for (const [user, id] of waiting) await user.reaches(id, 'Delivered')
    expect((await users[3]!.request('/v1/task/pending')).body).to.equal('0')
  })

  it('given a chain that is reorganised over an acknowledgement, then the task waits for it again, and is settled once', async () => {
    const { url } = await network.start({ confirmations: 2 })
    const user = await newUser(url)
    const id = await user.begin(dataset)
    await eventually('it is delivered', async () => {
      await network.travel(1)
      return (await user.task(id)).progress === 'Delivered'
    })
    const snapshot = await network.chain.request('evm_snapshot', [])
    await acknowledge(user, id)
    await network.chain.request('evm_revert', [snapshot])
    await network.travel(1)
    await network.travel(1)
    await network.travel(1)
    expect((await user.task(id)).progress).to.equal('Delivered')
    await acknowledge(user, id)
    await eventually('it is finished', async () => {
      await network.travel(1)
      return (await user.task(id)).progress === 'Finished'
    })
    expect(await network.serving.queryFilter(network.serving.filters.FeesSettled(user.wallet.address))).to.have.length(1)
  })

  it('given an operator who gives a delivery up, then the task has failed and the user is free', async () => {
    const { url } = await network.start()
    const user = await newUser(url)
    const id = await user.begin(dataset)
    await user.reaches(id, 'Delivered')
    await (await network.serving.connect(network.wallet(2)).abandonDeliverable(user.wallet.address, id)).wait()
    expect((await failed(user, id)).failure).to.include('given this delivery up')
    await user.reaches(await user.begin(dataset), 'Delivered')
  })

  async function failed(user: TuningClient, id: string) {
    return eventually('the task fails', async () => {
      const task = await user.task(id)
      return task.progress === 'Failed' && task
    })
  }
})
