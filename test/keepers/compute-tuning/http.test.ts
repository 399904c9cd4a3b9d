import { expect } from 'chai'
import { getBytes, Wallet } from 'ethers'
import { byteRange } from '../../../keepers/compute/tuning/byte-range.ts'
import { sdkReportData } from '../../../protocol/attestation/report-data.ts'
import { now, TuningClient } from './client.ts'
import { startTuningNetwork, type TuningNetwork } from './network.ts'
import { chatLines, customerRows, PARAMS } from './sample-dataset.ts'

const dataset = chatLines(customerRows())

describe('tuning keeper: its HTTP', function () {
  this.timeout(120_000)
  let network: TuningNetwork
  let user: TuningClient
  let id: string
  let datasetHash: string
  const stranger = new Wallet(`0x${'57'.repeat(32)}`)

  before(async () => {
    network = await startTuningNetwork()
    const { url } = await network.start({ maxDatasetBytes: 100_000 })
    const wallet = new Wallet(network.wallet(9).privateKey, network.provider)
    await network.fund(wallet)
    user = new TuningClient(url, wallet)
    datasetHash = (await user.upload(dataset)).body.datasetHash
    id = (await user.create(datasetHash)).body.id
    await user.reaches(id, 'Delivered')
  })
  after(() => network.stop())

  const refused = (answer: { status: number; body: any }, status: number, reason: string) => {
    expect(answer.status, JSON.stringify(answer.body)).to.equal(status)
    expect(answer.body).to.have.all.keys('error')
    expect(answer.body.error).to.include(reason)
  }

  it('given a task that is not the one that was signed, too old, replayed or malformed, then it is refused with the reason', async () => {
    refused(await user.create(datasetHash, { userAddress: stranger.address }), 400, 'the path says')
    refused(await user.create(datasetHash, { datasetHash: `0x${'00'.repeat(32)}` }), 401, 'not by')
    refused(await user.create(datasetHash, { nonce: String((BigInt(Date.now()) - 400_000n) * 10_000n) }), 401, 'seconds ago')
    refused(await user.create(datasetHash, { nonce: String((BigInt(Date.now()) + 90_000n) * 10_000n) }), 401, 'in the future')
    refused(await user.create(datasetHash, { nonce: (await user.task(id)).nonce }), 409, 'nonce')
    refused(await user.create(datasetHash, { trainingParams: JSON.stringify({ ...PARAMS, max_steps: 0 }) }), 400, 'max_steps')
    refused(await user.create(datasetHash, { preTrainedModelHash: `0x${'ab'.repeat(32)}` }), 400, 'perigee-classifier')
    refused(await user.post(`/v1/user/${user.wallet.address}/task`, { nonce: 5 }), 400, 'datasetHash')
    refused(await user.create(datasetHash), 409, 'unfinished')
    const poor = new TuningClient(user.url, stranger)
    refused(await poor.create(datasetHash), 402, 'transfer')
    refused(await poor.upload(dataset), 402, 'transfer')
  })

  it('given an upload by someone else, too old, too large, of another kind, or without a file, then it is refused and nothing is kept', async () => {
    refused(await user.upload(dataset, { signer: stranger }), 401, 'not by')
    refused(await user.upload(dataset, { timestamp: now() - 400 }), 401, 'seconds ago')
    refused(await user.upload('x'.repeat(100_001)), 413, '100000 bytes')
    refused(await user.upload('x'.repeat(300_000)), 413, '100000 bytes')
    refused(await user.upload(dataset, { name: 'dataset.exe' }), 400, '.jsonl')
    refused(await user.upload(''), 400, 'no dataset')
    refused(await user.post(`/v1/user/${user.wallet.address}/dataset`, {}), 406, '')
  })

  it('given a download by someone else, too old or too early, then it is refused; in part, then from there on', async () => {
    expect((await user.download(id, { signer: stranger })).status).to.equal(401)
    expect((await user.download(id, { timestamp: now() - 400 })).status).to.equal(401)
    const whole = Buffer.from(await (await user.download(id)).arrayBuffer())
    const rest = await user.download(id, { range: 'bytes=1000-' })
    expect(rest.status).to.equal(206)
    expect(rest.headers.get('content-range')).to.equal(`bytes 1000-${whole.length - 1}/${whole.length}`)
    expect(Buffer.from(await rest.arrayBuffer()).equals(whole.subarray(1000))).to.equal(true)
    expect(Buffer.from(await (await user.download(id, { range: 'bytes=-77' })).arrayBuffer()).equals(whole.subarray(-77))).to.equal(true)
    expect((await user.download(id, { range: `bytes=${whole.length}-` })).status).to.equal(416)
    expect([byteRange('bytes=0-0', 5), byteRange('bytes=2-9', 5), byteRange('bytes=-', 5), byteRange('items=0-1', 5)]).to.deep.equal([
      [0, 1],
      [2, 5],
      undefined,
      undefined,
    ])
  })

  it('given somebody who asks for a task of another, or for what is not there, then there is nothing', async () => {
    refused(await user.request(`/v1/user/${stranger.address}/task/${id}`), 404, 'no task')
    refused(await user.request(`/v1/user/me/task`), 400, 'address')
    refused(await user.request('/v1/model/gpt'), 404, 'perigee-classifier')
    refused(await user.request('/v2'), 404, 'nothing here')
    expect((await user.request(`/v1/user/${stranger.address}/task`)).body).to.deep.equal([])
    expect((await user.request(`/v1/user/${user.wallet.address}/task?latest=true`)).body.map((task: any) => task.id)).to.deep.equal([id])
    refused(await user.cancel(id, stranger), 401, 'not by')
  })

  it('given the quote, then it is over the signer, in the layout that was asked for', async () => {
    const { teeSignerAddress } = await user.task(id)
    const quote = (await user.request('/v1/quote')).body
    expect(Buffer.from(quote.report_data, 'base64').equals(Buffer.from(sdkReportData(teeSignerAddress)))).to.equal(true)
    expect((await user.request('/v1/quote?layout=registry')).body.claim).to.include({ signer: teeSignerAddress })
    expect(getBytes(`0x${quote.quote}`).length).to.be.greaterThan(600)
    refused(await user.request('/v1/quote?layout=x'), 400, 'layout')
  })
})
