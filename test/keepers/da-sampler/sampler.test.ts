import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from 'chai'
import { formatEther, getBytes, keccak256, toBeHex, toUtf8Bytes } from 'ethers'
import { sampler } from '../../../keepers/da/sampler/keeper.ts'
import { daSigner } from '../../../keepers/da/signer/keeper.ts'
import { type Backend, createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { pickedChunk } from '../../../protocol/da/sampling.ts'
import { sharesOf } from '../../../protocol/da/shares.ts'
import { connectSigner } from '../../../sdk/da/wire.ts'
import { type DataDir, newDataDir } from '../../support/data-dir.ts'
import { startRpcProxy } from '../../support/rpc-proxy.ts'
import { until } from '../../support/until.ts'
import { type DaChain, ROUND_BLOCKS, startDaChain, type TestBlob } from './network.ts'
import { type RowServer, startRowServer } from './row-server.ts'

const log = createLog({ name: 'test', level: (process.env.LOG_LEVEL ?? 'silent') as 'silent' })
/** Twice the answers that the local profile wants of a round. */
const MOST_ANSWERS = 8
/** How long a process may take to start and do something. */
const PROCESS_MS = 80_000

describe('sampler', function () {
  this.timeout(180_000)
  let net: DaChain
  let small: TestBlob
  let large: TestBlob
  let servers: RowServer[]
  let snapshot: unknown

  const sampleKey = () => net.chain.accounts[4]!
  const config = (more: Record<string, unknown> = {}) => ({
    rpcUrl: net.chain.url,
    pollMs: 20,
    port: 0,
    privateKey: sampleKey().privateKey,
    dataAvailability: net.at.DataAvailability,
    samplingRewards: net.at.SamplingRewards,
    signers: servers.map(({ url }) => url),
    ...more,
  })
  const rewarded = async () => (await net.rewards.queryFilter(net.rewards.filters.SampleRewarded())).map(({ args }) => args)
  const rewards = (least: number, withinMs?: number) =>
    until(
      async () => {
        const all = await rewarded()
        return all.length >= least ? all : undefined
      },
      `${least} rewards`,
      withinMs,
    )
  const sent = () => net.provider.getTransactionCount(sampleKey().address)
  const nextRound = () => net.mine(ROUND_BLOCKS)

  before(async () => {
    net = await startDaChain()
    small = await net.certified('small')
    large = await net.certified('large', 300_000)
    await net.mine(ROUND_BLOCKS - ((await net.provider.getBlockNumber()) % ROUND_BLOCKS) + 1)
  })
  after(() => net.stop())
  // Every test has a chain and signers of its own.
  beforeEach(async () => {
    snapshot = await net.chain.request('evm_snapshot', [])
    servers = await Promise.all(net.signers.slice(0, 2).map(({ account }) => startRowServer(account)))
  })
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.close()))
    await net.chain.request('evm_revert', [snapshot])
  })

  /** So hard that one answer in `2^bits` wins. */
  async function setTarget(bits: number): Promise<void> {
    const namespace = BigInt(keccak256(toBeHex(BigInt(keccak256(toUtf8Bytes('perigee.storage.SamplingRewards'))) - 1n, 32))) & ~0xffn
    const slot = toBeHex(namespace, 32)
    const round = BigInt(await net.provider.getStorage(net.at.SamplingRewards!, namespace))
    const target = (2n ** 88n - 1n) >> BigInt(bits)
    const changed = (round & (2n ** 168n - 1n)) | (target << 168n)
    await net.chain.request('hardhat_setStorageAt', [net.at.SamplingRewards, slot, toBeHex(changed, 32)])
  }

  describe('in this process', () => {
    let backend: Backend
    let runtime: Runtime
    let keeper: Keeper | undefined
    let started = 0

    let folder: DataDir

    before(async () => {
      folder = await newDataDir()
      backend = await openBackend({ dataDir: folder.path, log })
    })
    after(async () => {
      await backend.close()
      folder.remove()
    })
    afterEach(async () => {
      await keeper?.stop()
      await runtime.close()
      keeper = undefined
    })

    /** A sampler that has never been before: its database starts empty. */
    async function start(more: Record<string, unknown> = {}): Promise<void> {
      runtime = createRuntime({ name: `da/sampler/${++started}`, backend, log })
      keeper = await sampler.create(sampler.schema.parse(config(more)), runtime)
      await keeper.start()
    }
    async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
      const { values } = await runtime.metrics.getSingleMetric(name)!.get()
      const matching = values.filter((value) => Object.entries(labels).every(([label, text]) => value.labels[label] === text))
      return matching.reduce((sum, { value }) => sum + value, 0)
    }
    const outcome = (outcome: string, least = 1) =>
      until(async () => ((await metric('answers_total', { outcome })) >= least ? true : undefined), `${least} answers that are ${outcome}`)
    const rounds = (outcome: string) => until(async () => ((await metric('rounds_total', { outcome })) > 0 ? true : undefined), `a round that is ${outcome}`)

    it('given blobs that its signers hold, then rows win for them until the round is full, and again in the next round', async () => {
      for (const server of servers) server.blobs.push(small, large)
      await start()
      const first = await rewards(MOST_ANSWERS)
      await rounds('cut')
      expect(await keeper!.ready()).to.equal(undefined)
      expect(new Set(first.map(({ quality }) => quality)).size).to.equal(MOST_ANSWERS)
      const accounts = net.signers.slice(0, 2).map(({ account }) => account)
      const epoch = { ...sharesOf(Array<bigint>(4).fill(1n)), seed: (await net.epoch()).seed }
      for (const { account, blobId, row } of first) {
        const blob = [small, large].find((each) => each.blobId === blobId)!
        const assignment = createAssignment(epoch, blobId, blob.blob.log2K)
        expect(assignment.ownerOf(Number(row))).to.equal(accounts.indexOf(account))
      }
      for (const account of accounts) {
        const won = first.filter((each) => each.account === account).reduce((sum, { reward }) => sum + reward, 0n)
        expect(await net.rewards.rewardsOf(account), 'the reward is the signer’s').to.equal(won)
        expect((await metric('rewarded_coins_total', { account })).toFixed(9)).to.equal(Number(formatEther(won)).toFixed(9))
      }
      expect(await net.rewards.rewardsOf(sampleKey().address)).to.equal(0n)
      expect(await metric('answers_total', { outcome: 'accepted' })).to.equal(MOST_ANSWERS)
      await nextRound()
      const all = await rewards(MOST_ANSWERS + 1)
      expect(all.at(-1)!.round).to.be.above(first[0]!.round)
    })

    it('given a signer that stores and signs a blob, then its rows win once it is certified', async () => {
      const { account, wallet } = net.signers[2]!
      const signerRuntime = createRuntime({ name: 'da/signer', backend, log })
      const signerConfig = daSigner.schema.parse({
        rpcUrl: net.chain.url,
        pollMs: 20,
        port: 0,
        httpPort: 0,
        privateKey: wallet.privateKey,
        dataDir: join(folder.path, 'signer'),
        dataAvailability: net.at.DataAvailability,
        challenges: net.at.AvailabilityChallenges,
        payments: net.at.BlobPayments,
        bonds: net.at.Bonds,
        codecThreads: 0,
      })
      const signer = await daSigner.create(signerConfig, signerRuntime)
      await signer.start()
      const client = connectSigner(signer.url!)
      try {
        await until(async () => ((await signer.ready()) === undefined ? true : undefined), 'a signer')
        const blob = await net.encode('stored', 100_000)
        const stream = client.store()
        expect((await stream.send(await net.storeRequest(blob, 2), { timeout: 20_000 })).error).to.equal('')
        stream.end()
        await client.sign({ epoch: 1, blobIds: [getBytes(blob.blobId)] })
        await start({ signers: [signer.url] })
        await net.certify(blob)
        await until(async () => {
          for await (const _ of client.listBlobs({ cursor: 0 })) return true
          return undefined
        }, 'the signer knows of the certificate')
        await nextRound()
        const all = await rewards(3)
        expect(new Set(all.map((each) => `${each.account} ${each.blobId}`))).to.deep.equal(new Set([`${account} ${blob.blobId}`]))
      } finally {
        client.close()
        await signer.stop()
        await signerRuntime.close()
      }
    })

    it('given a target, then it reads the chunk of each row that the seed picks, and sends nothing that does not win', async () => {
      servers[0]!.blobs.push(large, small)
      await setTarget(6)
      const asked: number[] = []
      const { seed, target } = await net.rewards.round()
      servers[0]!.change = (chunks) => {
        asked.push(chunks.length)
        return chunks
      }
      await start({ signers: [servers[0]!.url] })
      await rounds('complete')
      expect(await metric('chunks_read_total')).to.equal(192 + 64)
      expect(asked.sort()).to.deep.equal([192, 64])
      expect(await metric('held_blobs')).to.equal(2)
      const all = await rewarded()
      expect(await sent()).to.equal(all.length)
      for (const { quality } of all) expect(quality <= target).to.equal(true)
      expect(new Set(Array.from({ length: 64 }, (_, row) => pickedChunk(seed, large.blobId, row, large.blob.rowSize))).size).to.equal(3)
      for (const bad of ['refused', 'faulty', 'late']) expect(await metric('answers_total', { outcome: bad }), bad).to.equal(0)
    })

    it('given chunks that are not the blob’s, then it says so and pays for none', async () => {
      servers[0]!.blobs.push(small)
      servers[0]!.change = (chunks) => chunks.map(({ data, path }) => ({ data: data.map((byte) => byte ^ 1), path }))
      await start()
      await outcome('faulty', 64)
      expect(await sent()).to.equal(0)
    })

    it('given a list that is not true, then what is true of it is played', async () => {
      const [a, b] = [await net.certified('another'), await net.certified('one more')]
      servers[0]!.blobs.push(a, b, small)
      servers[0]!.describe = (description) => {
        if (description.cursor === 1) return { ...description, blobId: new Uint8Array(32) }
        if (description.cursor === 2) return { ...description, inclusions: [{ ...description.inclusions[0]!, batchRoot: new Uint8Array(32) }] }
        return description
      }
      await start()
      const all = await rewards(MOST_ANSWERS)
      expect(new Set(all.map(({ blobId }) => blobId))).to.deep.equal(new Set([small.blobId]))
      expect(await metric('held_blobs', { signer: servers[0]!.url })).to.equal(1)
    })

    it('given a blob that our chain has no certificate of yet, then it and those behind it wait for the next round', async () => {
      const uncertified = await net.encode('uncertified')
      servers[0]!.blobs.push(uncertified, small)
      await start()
      await rounds('complete')
      expect(await sent()).to.equal(0)
      await net.certify(uncertified)
      await nextRound()
      await rewards(MOST_ANSWERS)
      expect(await metric('held_blobs', { signer: servers[0]!.url })).to.equal(2)
    })

    it('given a round that ends while it reads, then it stops reading it and plays the next', async () => {
      servers[0]!.blobs.push(small)
      const holding = Promise.withResolvers<void>()
      servers[0]!.hold = holding.promise
      await start()
      await until(async () => (servers[0]!.asked > 0 ? true : undefined), 'a call for chunks')
      await nextRound()
      await until(async () => (servers[0]!.cancelled > 0 ? true : undefined), 'the call was cancelled')
      await until(async () => (servers[0]!.asked > 1 ? true : undefined), 'a call for those of the next round')
      servers[0]!.hold = undefined
      holding.resolve()
      const all = await rewards(MOST_ANSWERS)
      expect(new Set(all.map(({ round }) => round)).size).to.equal(1)
      expect(await metric('rounds_total', { outcome: 'cut' })).to.be.above(0)
    })

    it('given that the next block begins another round, then nothing is sent for this one', async () => {
      servers[0]!.blobs.push(small)
      const head = await net.provider.getBlockNumber()
      await net.mine(ROUND_BLOCKS - (head % ROUND_BLOCKS))
      await start()
      await outcome('late', 64)
      expect(await sent()).to.equal(0)
    })

    it('given rewards below their cost, then nothing is sent', async () => {
      servers[0]!.blobs.push(small)
      await start({ margin: 1e6 })
      await outcome('unprofitable', 64)
      expect(await sent()).to.equal(0)
    })

    it('given blobs whose rows are rewarded no more, then they are forgotten', async () => {
      servers[0]!.blobs.push(small, large)
      await start()
      await rewards(1)
      expect(await metric('held_blobs')).to.equal(2)
      await net.chain.request('evm_increaseTime', [Number(await net.rewards.retention()) + 1])
      await nextRound()
      await until(async () => ((await metric('held_blobs')) === 0 ? true : undefined), 'no blobs')
    })

    it('given a signer that gives no rows, then it counts them, and the others are played', async () => {
      servers[0]!.blobs.push(small)
      servers[1]!.blobs.push(large)
      servers[0]!.change = () => []
      await start()
      await rewards(1)
      await until(async () => ((await metric('chunks_missing_total', { signer: servers[0]!.url })) === 64 ? true : undefined), 'missing chunks')
    })

    it('given a signer that is away, then it is not ready and says why, and plays the round when it is back', async () => {
      const [server] = servers as [RowServer]
      await server.close()
      await start({ signers: [server.url] })
      const reason = await until(() => keeper!.ready().then((reason) => (reason?.includes(server.url) ? reason : undefined)), 'a reason')
      expect(reason).to.include(server.url)
      servers[0] = await startRowServer(net.signers[0]!.account, Number(server.url.split(':')[1]))
      servers[0].blobs.push(small)
      await rewards(MOST_ANSWERS)
      expect(await keeper!.ready()).to.equal(undefined)
    })

    it('given an endpoint that is away, then it is not ready, and goes on when it is back', async () => {
      const proxy = await startRpcProxy(net.chain.url)
      servers[0]!.blobs.push(small)
      await start({ rpcUrl: proxy.url })
      await rewards(MOST_ANSWERS)
      await proxy.down()
      await until(async () => (await keeper!.ready())?.includes('does not answer') || undefined, 'not ready')
      await nextRound()
      await proxy.up()
      await rewards(MOST_ANSWERS + 1)
      await proxy.down()
    })

    it('given a reorganisation that undoes a certificate, then nothing more is paid for its blob', async () => {
      const fork = await net.chain.request('evm_snapshot', [])
      const undone = await net.certified('undone')
      servers[0]!.blobs.push(undone)
      await start()
      await rewards(MOST_ANSWERS)
      await rounds('cut')
      await net.chain.request('evm_revert', [fork])
      await net.mine(ROUND_BLOCKS)
      await until(async () => ((await metric('transactions_total', { outcome: 'refused' })) > 0 ? true : undefined), 'a refused answer')
      expect(await sent()).to.equal(0)
    })
  })

  describe('as a process', () => {
    it('killed with an answer on its way, it goes on when it is started again and pays for no answer twice', async () => {
      for (const server of servers) server.blobs.push(small)
      const folder = await newDataDir()
      let child: ChildProcess | undefined
      const run = () => {
        const { privateKey, ...flags } = config({ dataDir: folder.path })
        const args = Object.entries(flags).flatMap(([key, value]) => [`--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`, String(value)])
        child = spawn(process.execPath, ['--import', './scripts/ts.mjs', 'keepers/da/sampler/main.ts', ...args], {
          env: { ...process.env, PRIVATE_KEY: privateKey, LOG_LEVEL: 'warn' },
          stdio: ['ignore', process.env.LOG_LEVEL ? 'inherit' : 'ignore', 'inherit'],
        })
        return child
      }
      try {
        await net.chain.request('evm_setAutomine', [false])
        const killed = run()
        await until(
          async () => ((await net.provider.getTransactionCount(sampleKey().address, 'pending')) > 0 ? true : undefined),
          'an answer on its way',
          PROCESS_MS,
        )
        killed.kill('SIGKILL')
        await once(killed, 'exit')
        await net.mine(1)
        await net.chain.request('evm_setAutomine', [true])
        const again = run()
        const all = await rewards(MOST_ANSWERS, PROCESS_MS)
        expect(new Set(all.map(({ quality }) => quality)).size).to.equal(all.length)
        expect(await sent(), 'no transaction was for nothing').to.equal(all.length)
        const asked = Date.now()
        again.kill('SIGTERM')
        const [code] = await once(again, 'exit')
        expect(code).to.equal(0)
        expect(Date.now() - asked).to.be.below(10_000)
      } finally {
        await net.chain.request('evm_setAutomine', [true])
        if (child && child.exitCode === null && child.signalCode === null) {
          child.kill('SIGKILL')
          await once(child, 'exit')
        }
        folder.remove()
      }
    })
  })
})
