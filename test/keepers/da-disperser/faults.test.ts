import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from 'chai'
import { hexlify, Transaction } from 'ethers'
import { createGrpc } from '../../../keepers/runtime/grpc.ts'
import { openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { createMetrics } from '../../../keepers/runtime/metrics.ts'
import { SignerService, type StoreRequest } from '../../../sdk/da/wire.ts'
import { IDACertificates__factory } from '../../../typechain-types/index.ts'
import { newDataDir } from '../../support/data-dir.ts'
import { until } from '../../support/until.ts'
import { type RpcCall, startGate } from '../compute-settlement/gate.ts'
import { connected, type DaNetwork, PAYER, type RunningDisperser, sample, sharedNetwork } from './network.ts'

const log = createLog({ name: 'test', level: 'silent' })
const root = join(import.meta.dirname, '../../..')
const CERTIFY = IDACertificates__factory.createInterface().getFunction('certifyBySignatures').selector
const isCertificate = ({ method, params }: RpcCall) => method === 'eth_sendRawTransaction' && Transaction.from(params[0]).data.startsWith(CERTIFY)

describe('disperser among faults', function () {
  this.timeout(300_000)
  let network: DaNetwork
  let disperser: RunningDisperser
  const stops: (() => unknown)[] = []

  before(async () => {
    network = await sharedNetwork()
    disperser = await network.startDisperser('patient', { graceMs: 100, privateKey: network.wallet(PAYER + 4).privateKey })
  })
  after(() => disperser.stop())
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop()
  })

  const failures = async (line: string) =>
    (await disperser.runtime.metrics.metrics()).split('\n').find((each) => each.startsWith('disperser_signer_failures_total') && each.includes(line))
  const absentOf = async (batchRoot: Uint8Array) => (await network.certificates()).find(({ args }) => args.batchRoot === hexlify(batchRoot))!.args.absent
  async function certifiedWithout(i: number, data: Uint8Array) {
    const { requestId } = await disperser.disperse(data)
    const { inclusion, signedWeight, totalWeight } = await disperser.reached(requestId, 'CERTIFIED', 'FINAL')
    expect(BigInt(hexlify(signedWeight)) * 4n).to.equal(BigInt(hexlify(totalWeight)) * 3n)
    const members = await network.contracts.epochs.members(inclusion!.epoch, 0, 10)
    const index = members.findIndex(({ account }) => account === network.accountOf(i))
    expect(await absentOf(inclusion!.batchRoot)).to.equal(`0x000${index}`)
  }

  it('given a signer that refuses, when a blob comes, then it is certified without it, and counted', async () => {
    await network.run(0, 1, 2)
    await network.startSigner(3, { maxBytes: 1_048_576 })
    await certifiedWithout(3, sample(1_500_000, 3))
    expect(await failures('kind="refused"'))
      .to.contain(network.accountOf(3))
      .and.contain('call="store"')
  })

  it('given a signer whose signatures are wrong, when a blob comes, then it is certified without it', async () => {
    await network.run(0, 1, 2)
    const rogue = createGrpc({
      host: '127.0.0.1',
      port: network.portOf(3),
      log,
      metrics: createMetrics('rogue'),
      ready: async () => undefined,
      services: [
        {
          definition: SignerService,
          handlers: {
            async *Store(requests: AsyncIterable<StoreRequest>) {
              for await (const _ of requests) yield { blobId: new Uint8Array(32), error: '' }
            },
            Sign: async () => ({ bls: new Uint8Array(64), ecdsa: new Uint8Array(65).fill(27) }),
            GetBlob: async () => ({}),
            async *GetRows() {},
            GetChunks: async () => ({}),
            async *ListBlobs() {},
            GetBatch: async () => ({}),
            GetStatus: async () => ({}),
          },
        },
      ],
    })
    await rogue.listen()
    await certifiedWithout(3, sample(1000, 4))
    await rogue.close()
    expect(await failures('call="sign"'))
      .to.contain(network.accountOf(3))
      .and.contain('kind="refused"')
  })

  it('given one dead signer of four, when blobs come, then they are certified without it', async () => {
    await network.run(0, 1, 2)
    await certifiedWithout(3, sample(1000, 5))
    await certifiedWithout(3, sample(200_000, 6))
  })

  it('given two dead signers of four, when a blob comes, then it fails with their reasons; and one that is tried for longer is certified once one is back', async () => {
    await network.run(0, 1)
    const hasty = await network.startDisperser('hasty', { attempts: 2, privateKey: network.wallet(PAYER + 5).privateKey })
    const [short, long] = await Promise.all([hasty.disperse(sample(1000, 7)), disperser.disperse(sample(1000, 8))])
    const { reason } = await hasty.reached(short.requestId, 'NOT_ENOUGH_SIGNATURES')
    expect(reason).to.contain('by 50 % of the weight').and.contain(network.accountOf(2)).and.contain(network.accountOf(3))
    expect((await hasty.statusOf(short.requestId)).status).to.equal('INSUFFICIENT_SIGNATURES')
    await hasty.stop()
    const waiting = await until(async () => {
      const status = await disperser.client.getStatus({ requestId: long.requestId, blobId: new Uint8Array() })
      return status.reason === '' ? undefined : status
    }, 'a reason')
    expect(waiting.reason).to.contain('two thirds are needed')
    await network.run(0, 1, 2)
    await disperser.reached(long.requestId, 'CERTIFIED', 'FINAL')
  })

  it('given a kill -9 when a certificate is sent and nobody heard of it, and another blob just accepted, when it is started again, then each is certified once', async () => {
    await network.run(0, 1, 2, 3)
    const dataDir = await newDataDir()
    stops.push(() => dataDir.remove())
    const key = network.wallet(PAYER + 6).privateKey
    const gate = await startGate(network.chain.url, isCertificate, true)
    stops.push(() => gate.stop())
    const { privateKey, ...config } = network.disperserConfig('victim', { rpcUrl: gate.url, dataDir: dataDir.path, logLevel: 'info' })
    const flags = Object.entries(config).flatMap(([name, value]) => [`--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(value)])
    const program = [join(root, 'scripts/ts.mjs'), join(root, 'keepers/da/disperser/main.ts')]
    const env = { ...process.env, PRIVATE_KEY: key }
    const victim = spawn(process.execPath, ['--import', ...program, ...flags], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], env })
    stops.push(() => victim.kill('SIGKILL'))
    const ended = once(victim, 'exit')
    const clients = connected(await startedAt(victim))
    stops.push(() => clients.close())
    const before = (await network.certificates()).length
    const sent = await until(() => clients.disperse(sample(5000, 40)).catch(() => undefined), 'the victim to take a blob')
    await gate.closed
    const accepted = await clients.disperse(sample(5000, 41))
    victim.kill('SIGKILL')
    await ended

    const backend = await openBackend({ dataDir: dataDir.path, log })
    stops.push(() => backend.close())
    const again = await network.startDisperser('disperser', { dataDir: dataDir.path, privateKey: key }, backend)
    stops.push(() => again.stop())
    for (const { requestId } of [sent, accepted]) await again.reached(requestId, 'CERTIFIED', 'FINAL')
    await network.mine(2)
    for (const { requestId } of [sent, accepted]) await again.reached(requestId, 'FINAL')
    expect(await network.certificates()).to.have.length(before + 2)
  })
})

/** Where a keeper's process says that it serves. */
function startedAt(victim: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    victim.stdout!.on('data', (part) => {
      text += part
      const found = /"url":"([^"]+)","msg":"started"/.exec(text)
      if (found) resolve(found[1]!)
    })
    victim.once('exit', () => reject(new Error(`it did not start: ${text}`)))
  })
}
