import { expect } from 'chai'
import { id } from 'ethers'
import { type Backend, createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { leaseRenewer } from '../../../keepers/storage/renewer/keeper.ts'
import { Flow__factory, StorageMarket__factory } from '../../../typechain-types/index.ts'
import { type Network, startNetwork } from '../../support/network.ts'

const log = createLog({ name: 'test', level: 'silent' })
const DAY = 86_400

/** Polls until `read` gives a value that is not undefined. */
async function eventually<T>(what: string, read: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    const value = await read()
    if (value !== undefined) return value
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`${what}: not within 20 s`)
}

describe('lease renewer', function () {
  this.timeout(60_000)
  let network: Network
  let backend: Backend
  let running: { keeper: Keeper; runtime: Runtime } | undefined

  let account = 5

  before(async () => {
    network = await startNetwork({ storage: false })
  })
  after(() => network.stop())
  beforeEach(async () => {
    backend = await openBackend({ log })
    account += 2
  })
  afterEach(async () => {
    await stop()
    await backend.close()
  })

  /** Every test has an uploader of its own, and another one to look after. */
  const uploader = () => network.wallet(account)
  const other = () => network.wallet(account + 1)
  const market = () => StorageMarket__factory.connect(network.contracts.StorageMarket!, network.provider)

  async function start(config: Record<string, unknown> = {}) {
    const runtime = createRuntime({ name: 'storage/renewer', backend, log })
    const given = {
      rpcUrl: network.rpcUrl,
      flow: network.contracts.Flow,
      privateKey: uploader().privateKey,
      port: 0,
      pollMs: 20,
      checkMs: 50,
      ...config,
    }
    const keeper = await leaseRenewer.create(leaseRenewer.schema.parse(given), runtime)
    running = { keeper, runtime }
    await keeper.start()
    return keeper
  }
  async function stop() {
    await running?.keeper.stop()
    await running?.runtime.close()
    running = undefined
  }

  /** Submits one sector, of which nobody needs the data here. Returns its triple. */
  async function submit(from = uploader(), content = 'a'): Promise<[bigint, bigint, bigint]> {
    const flow = Flow__factory.connect(network.contracts.Flow!, from)
    const data = { length: 100n, tags: '0x', nodes: [{ root: id(content), height: 0n }] }
    const sent = await flow['submit((uint256,bytes,(bytes32,uint256)[]))'](data, { value: await market().pricePerSector() })
    const receipt = await sent.wait()
    const [event] = await flow.queryFilter(flow.filters.Submit(), receipt!.blockNumber, receipt!.blockNumber)
    return [event!.args[2], event!.args[3], event!.args[4]]
  }

  async function travel(seconds: number) {
    await network.chain.request('evm_increaseTime', [seconds])
    // A lease starts with its epoch, which is counted in blocks.
    await network.chain.request('hardhat_mine', ['0x10'])
  }

  const renewedBeyond = (lease: [bigint, bigint, bigint], end: bigint) =>
    eventually('a renewal', async () => {
      const until = await market().leaseOf(...lease)
      return until > end ? until : undefined
    })

  it('given a lease that nears its end, when it is checked, then one more period is paid for, once', async () => {
    const lease = await submit()
    const end = await market().leaseOf(...lease)
    await start()
    const before = await network.provider.getBalance(uploader().address)
    expect(await market().leaseOf(...lease)).to.equal(end)
    expect(await network.provider.getBalance(uploader().address)).to.equal(before)

    await travel(25 * DAY)
    const until = await renewedBeyond(lease, end)
    expect(until).to.equal(end + (await market().leasePeriod()))
    const renewals = await market().queryFilter(market().filters.LeaseRenewed(lease[0]))
    expect(renewals.length).to.equal(1)
    expect(renewals[0]!.args.payer).to.equal(uploader().address)
  })

  it('given several uploaders to look after, when leases near their end, then theirs are renewed and no others', async () => {
    const theirs = await submit(other(), 'theirs')
    const mine = await submit(uploader(), 'mine')
    const end = await market().leaseOf(...mine)
    await start({ uploaders: [other().address] })
    await travel(25 * DAY)
    await renewedBeyond(theirs, await end)
    expect(await market().leaseOf(...mine)).to.equal(end)
  })

  it('given a price above the limit, when a lease nears its end, then nothing is paid and it says why', async () => {
    const lease = await submit()
    const end = await market().leaseOf(...lease)
    const keeper = await start({ maxPricePerSector: 1 })
    await travel(25 * DAY)
    const reason = await eventually('a reason', () => keeper.ready())
    expect(await eventually('the price as the reason', async () => ((await keeper.ready())?.includes('above the limit') ? reason : undefined))).to.be.a(
      'string',
    )
    expect(await market().leaseOf(...lease)).to.equal(end)
  })

  it('given a renewer that was down, when it starts again, then it pays only what is due', async () => {
    const lease = await submit()
    const end = await market().leaseOf(...lease)
    await start()
    await travel(25 * DAY)
    const until = await renewedBeyond(lease, end)
    await stop()
    await travel(30 * DAY)
    await start()
    const again = await renewedBeyond(lease, until)
    expect(again).to.equal(until + (await market().leasePeriod()))
    expect((await market().queryFilter(market().filters.LeaseRenewed(lease[0]))).length).to.equal(2)
  })

  it('given a lease and grace period that are over, when it is checked, then nothing is paid for data that may be gone', async () => {
    const gone = await submit(uploader(), 'gone')
    const end = await market().leaseOf(...gone)
    await travel(40 * DAY)
    const alive = await submit(uploader(), 'alive')
    const aliveEnd = await market().leaseOf(...alive)
    await start({ renewBeforeSeconds: 29 * DAY })
    await travel(2 * DAY)
    await renewedBeyond(alive, aliveEnd)
    expect(await market().leaseOf(...gone)).to.equal(end)
  })

  it('given a reorganisation that undoes a submission, when it is another one that takes its place, then that one is renewed', async () => {
    const snapshot = await network.chain.request('evm_snapshot', [])
    await submit(uploader(), 'undone')
    const keeper = await start()
    await eventually('readiness', async () => ((await keeper.ready()) === undefined ? true : undefined))
    await network.chain.request('evm_revert', [snapshot])
    await travel(1)
    await travel(1)
    const lease = await submit(uploader(), 'instead')
    const end = await market().leaseOf(...lease)
    await travel(25 * DAY)
    await renewedBeyond(lease, end)
  })

  it('given a renewBeforeSeconds longer than a lease, when it starts, then it refuses with the value', async () => {
    const error = await start({ renewBeforeSeconds: 31 * DAY }).then(
      () => undefined,
      (reason: Error) => reason,
    )
    expect(error?.message).to.include(String(31 * DAY))
  })
})
