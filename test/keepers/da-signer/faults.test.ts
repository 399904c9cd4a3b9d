import { once } from 'node:events'
import { open, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { getBytes } from 'ethers'
import { openBackend } from '../../../keepers/runtime/keeper.ts'
import type { SignerClient } from '../../../sdk/da/wire.ts'
import { newDataDir } from '../../support/data-dir.ts'
import { startRpcProxy } from '../../support/rpc-proxy.ts'
import { until } from '../../support/until.ts'
import { all, type Da, type Dispersed, type RunningSigner, sample, startDa } from './network.ts'
import { spawnSigner } from './process.ts'

const rowsOf = async (client: SignerClient, { blobId }: Dispersed): Promise<number[]> =>
  (await all(client.getRows({ blobId: getBytes(blobId), rows: [] }))).flatMap(({ indices }) => indices)

describe('a signer of data availability: what goes wrong', function () {
  this.timeout(300_000)
  let da: Da
  let signer: RunningSigner
  let seed = 100

  before(async () => {
    da = await startDa()
    signer = await da.start('signer')
    await da.memberAfter(0)
  })
  after(() => da.stop())

  async function stored(): Promise<Dispersed> {
    const dispersed = await da.dispersed(sample(20_000, seed++))
    expect((await da.store(signer, await da.request(dispersed)))[0]!.error).to.equal('')
    return dispersed
  }
  const fileOf = async ({ folder }: RunningSigner, { blobId }: Dispersed): Promise<string> => {
    const names = await readdir(join(folder, 'blobs', '1'))
    return join(folder, 'blobs', '1', names.find((name) => name.startsWith(blobId.slice(2)))!)
  }
  const sign = (client: SignerClient, { blobId }: Dispersed) => client.sign({ epoch: 1, blobIds: [getBytes(blobId)] })
  const errors = () => signer.lines.filter(({ level }) => level === 'error').map(({ message }) => message)

  it('given a kill in the middle of storing and signing, has everything it acknowledged, and gives the same signatures', async () => {
    const { path, remove } = await newDataDir()
    const config = { ...da.config({ dataDir: path }), checkMs: 60_000 }
    await signer.stop()
    const first = await spawnSigner(config)
    const blobs = await Promise.all([1, 2, 3, 4, 5, 6].map((i) => da.dispersed(sample(20_000, 200 + i))))
    const requests = await Promise.all(blobs.map((blob) => da.request(blob)))
    const stream = first.client.store()
    const acknowledged: Dispersed[] = []
    const sending = requests.map((request, i) =>
      stream.send(request, { timeout: 20_000 }).then(
        ({ error }) => error === '' && acknowledged.push(blobs[i]!),
        () => {},
      ),
    )
    await sending[0]
    const signed = await sign(first.client, blobs[0]!)
    first.child.kill('SIGKILL')
    await Promise.all([...sending, once(first.child, 'exit')])
    first.client.close()

    const second = await spawnSigner(config)
    for (const blob of acknowledged) expect(await rowsOf(second.client, blob)).to.have.length(192)
    expect(await sign(second.client, blobs[0]!)).to.deep.equal(signed)
    for (const blob of acknowledged) await sign(second.client, blob)
    const again = second.client.store()
    for (const request of requests) expect((await again.send(request, { timeout: 20_000 })).error).to.equal('')
    second.client.close()
    second.child.kill('SIGTERM')
    expect(await once(second.child, 'exit')).to.deep.equal([0, null])
    remove()
    signer = await da.start('signer')
  })

  it('given a database that is lost, finds in its files what it stored and signed', async () => {
    const dispersed = await stored()
    const signed = await sign(signer.client, dispersed)
    const { blobs, bytes } = await signer.client.getStatus()
    const half = join(signer.folder, 'blobs', '1', 'half.rows')
    await writeFile(half, 'da-rows1 and no more')
    await writeFile(`${half}.tmp`, 'less')
    await signer.stop()

    const database = await newDataDir()
    const fresh = await openBackend({ dataDir: database.path, log: signer.runtime.log })
    const recovered = await da.start('signer', {}, fresh)
    expect(await recovered.client.getStatus()).to.include({ blobs, bytes })
    expect((await readdir(join(signer.folder, 'blobs', '1'))).length).to.equal(blobs)
    expect(await rowsOf(recovered.client, dispersed)).to.have.length(192)
    expect((await recovered.client.getBlob({ blobId: getBytes(dispersed.blobId) })).inclusions).to.have.length(1)
    expect(await sign(recovered.client, dispersed)).to.deep.equal(signed)
    await recovered.stop()
    await fresh.close()
    database.remove()
    signer = await da.start('signer')
  })

  it('given a bit that rotted, does not serve that row, says so once, signs no more, and takes the blob anew', async () => {
    const dispersed = await stored()
    const ours = da.rowsOf(await da.epoch(), dispersed)
    const path = await fileOf(signer, dispersed)
    const file = await open(path, 'r+')
    const start = (await file.stat()).size - 192 * (128 + 10 * 32)
    await file.write(Uint8Array.of(7), 0, 1, start + 3 * 128 + 5)
    await file.close()

    const whole = [...ours].filter((_, i) => i !== 3)
    expect(await rowsOf(signer.client, dispersed)).to.deep.equal(whole)
    expect(await rowsOf(signer.client, dispersed)).to.deep.equal(whole)
    const position = { row: ours[3]!, chunk: 0 }
    const chunk = await signer.client.getChunks({ blobId: getBytes(dispersed.blobId), positions: [position] }).catch((error: Error) => error.message)
    expect(chunk).to.include(`row ${ours[3]} is not here`)
    expect(errors()).to.deep.equal(['stored rows are damaged'])
    expect(await signer.metric('da_signer_damages_total')).to.equal(3)
    expect(await signer.metric('da_signer_damaged_blobs')).to.equal(1)
    expect(await sign(signer.client, dispersed).catch((error: Error) => error.message)).to.include('not stored for this epoch')

    const { bytes } = await signer.client.getStatus()
    expect((await da.store(signer, await da.request(dispersed)))[0]!.error).to.equal('')
    expect(await rowsOf(signer.client, dispersed)).to.deep.equal([...ours])
    await sign(signer.client, dispersed)
    expect(await signer.client.getStatus()).to.include({ bytes })
  })

  it('given files that were cut off, overwritten or removed, serves nothing of them, and knows it after a restart', async () => {
    const [cut, overwritten, removed, gone] = [await stored(), await stored(), await stored(), await stored()]
    await rm(await fileOf(signer, removed))
    const head = await open(await fileOf(signer, overwritten), 'r+')
    await head.write(Buffer.from('damaged'), 0, 7, 300)
    await head.close()
    for (const blob of [overwritten, removed]) {
      expect(await rowsOf(signer.client, blob)).to.deep.equal([])
      expect(await signer.client.getBlob({ blobId: getBytes(blob.blobId) }).catch((error: Error) => error.message)).to.include('is damaged')
    }
    await truncate(await fileOf(signer, cut), 1000)
    await rm(await fileOf(signer, gone))
    await signer.stop()
    signer = await da.start('signer')
    expect(errors()).to.deep.equal(['stored rows are damaged', 'stored rows are damaged'])
    expect(await signer.metric('da_signer_damaged_blobs')).to.equal(4)
    for (const blob of [cut, overwritten, removed, gone]) {
      expect((await da.store(signer, await da.request(blob)))[0]!.error).to.equal('')
      expect(await rowsOf(signer.client, blob)).to.have.length(192)
    }
  })

  it('given an endpoint that is away, serves what it has, is not ready, and goes on when it is back', async () => {
    const dispersed = await stored()
    await signer.stop()
    const proxy = await startRpcProxy(da.chain.url)
    signer = await da.start('signer', { rpcUrl: proxy.url })
    await until(async () => (await signer.ready()) === undefined || undefined, 'it is ready')
    await proxy.down()
    await until(() => signer.ready(), 'it is not ready')
    expect(await rowsOf(signer.client, dispersed)).to.have.length(192)
    await proxy.up()
    await until(async () => (await signer.ready()) === undefined || undefined, 'it is ready again')
    await sign(signer.client, dispersed)
    await signer.stop()
    await proxy.down()
    signer = await da.start('signer')
  })

  it('given a reorganisation that draws another seed for its epoch, signs what it stored for the new one alone', async () => {
    const snapshot = await da.chain.request('evm_snapshot', [])
    await da.travel(200)
    await da.memberAfter(1)
    const before = await da.epoch()
    const dispersed = await da.dispersed(sample(20_000, seed++))
    expect((await da.store(signer, await da.request(dispersed)))[0]!.error).to.equal('')
    await da.chain.request('evm_revert', [snapshot])
    await da.travel(260)
    await da.travel(1)
    await da.memberAfter(1)
    const after = await da.epoch()
    expect(after.epoch).to.equal(before.epoch)
    expect(after.seed).to.not.equal(before.seed)

    const attempt = () => signer.client.sign({ epoch: 2, blobIds: [getBytes(dispersed.blobId)] })
    const refusal = await attempt().catch((error: Error) => error.message)
    expect(refusal).to.include('not stored for this epoch')
    expect((await da.store(signer, await da.request(dispersed)))[0]!.error).to.equal('')
    await attempt()
    expect(await rowsOf(signer.client, dispersed)).to.include.members([...da.rowsOf(after, dispersed)])
  })
})
