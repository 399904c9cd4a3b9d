import { expect } from 'chai'
import { getBytes } from 'ethers'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { IBonds__factory } from '../../../typechain-types/index.ts'
import { until } from '../../support/until.ts'
import { type Da, type RunningSigner, sample, startDa } from './network.ts'

describe('a signer of data availability that left', function () {
  this.timeout(300_000)
  let da: Da
  let signer: RunningSigner
  const RESIGNED = 'this signer has resigned: it serves what it signed and takes no part; to come back, start it with --join true'

  before(async () => {
    da = await startDa()
    signer = await da.start('signer')
    await da.memberAfter(0)
  })
  after(() => da.stop())

  const account = () => da.keeper.address
  async function isActive(): Promise<boolean> {
    const { signers } = da.contracts
    return (await signers.getFunction('signer')(await signers.signerIdOf(account()))).active
  }
  async function stake(): Promise<bigint> {
    return IBonds__factory.connect(da.at.Bonds!, da.provider).bonded(await da.contracts.signers.bondIdOf(account()))
  }
  const resign = async () => (await da.contracts.signers.connect(da.keeper).resign()).wait()
  const says = (text: string) => until(async () => (signer.lines.some(({ message }) => message === text) ? true : undefined), text)
  const ready = () => until(async () => ((await signer.ready()) === undefined ? true : undefined), 'it is ready')
  /** So many looks at the chain. */
  async function looks(count: number): Promise<void> {
    const seen = async () => {
      const lines = (await signer.runtime.metrics.metrics()).split('\n').filter((line) => line.startsWith('job_duration_seconds_count'))
      return Number(
        lines
          .find((line) => line.includes('queue="checks"') && line.includes('outcome="done"'))
          ?.split(' ')
          .at(-1) ?? 0,
      )
    }
    const before = await seen()
    await until(async () => ((await seen()) >= before + count ? true : undefined), 'it looked at the chain')
  }

  it('given that its account resigned, stays away, leaves its stake where it is, and serves what it has', async () => {
    const dispersed = await da.dispersed(sample(1000, 1))
    await da.store(signer, await da.request(dispersed))
    await signer.stop()
    await resign()
    const bonds = IBonds__factory.connect(da.at.Bonds!, da.keeper)
    const before = await stake()
    await (await bonds.unbond(await da.contracts.signers.bondIdOf(account()), before / 2n)).wait()
    signer = await da.start('signer')
    await says(RESIGNED)
    await looks(3)
    expect(await isActive()).to.equal(false)
    expect(await stake()).to.equal(before - before / 2n)
    expect(signer.lines.filter(({ message }) => message === RESIGNED)).to.have.length(1)
    expect(await signer.metric('da_signer_active')).to.equal(0)
    await ready()
    expect((await signer.client.getBlob({ blobId: getBytes(dispersed.blobId) })).blob!.length).to.equal(1000)
    expect((await signer.client.sign({ epoch: 1, blobIds: [getBytes(dispersed.blobId)] })).ecdsa).to.have.length(65)
    await signer.stop()
  })

  it('comes back once when it is told to, and what is resigned after that stays so', async () => {
    signer = await da.start('signer', { join: true })
    await until(async () => ((await isActive()) ? true : undefined), 'it takes part again')
    await until(async () => ((await signer.metric('da_signer_active')) === 1 ? true : undefined), 'it knows')
    await looks(2)
    await resign()
    await says(RESIGNED)
    await looks(3)
    expect(await isActive()).to.equal(false)
    await signer.stop()
    signer = await da.start('signer', { join: true })
    await until(async () => ((await isActive()) ? true : undefined), 'it takes part again')
  })

  it('given that it was dropped because its stake was taken, replaces that and joins again by itself', async () => {
    const dispersed = await da.dispersed(sample(1000, 2))
    const { epoch: before } = await da.epoch()
    await da.travel(130)
    await da.memberAfter(before)
    const members = await da.epoch()
    expect(da.indexOf(members)).to.be.at.least(0)
    expect((await da.store(signer, await da.request(dispersed)))[0]!.error).to.equal('')
    await da.certify(signer, [dispersed.blobId])
    await signer.stop()
    const { challenges, epochs } = da.contracts
    const row = da.rowsOf(members, dispersed)[0]!
    const { root } = batchTree([dispersed.blobId])
    const question = { batchRoot: root, absent: '0x', blobIndex: 0, blobProof: [], blob: dispersed.blob, member: da.indexOf(members), row, chunk: 0 }
    await (await challenges.open(question, { value: await challenges.deposit() })).wait()
    await da.travel(Number(await challenges.answerTime()) + 10)
    await (await challenges.conclude(await challenges.challengeId(dispersed.blobId, account(), row, 0))).wait()
    expect((await stake()) < (await da.contracts.signers.minStake())).to.equal(true)
    await until(async () => {
      await epochs
        .advance(128)
        .then((sent) => sent.wait())
        .catch(() => {})
      return (await isActive()) ? undefined : true
    }, 'it is dropped')
    signer = await da.start('signer')
    await until(async () => ((await isActive()) ? true : undefined), 'it takes part again')
    expect(await stake()).to.equal(await da.contracts.signers.minStake())
    expect(signer.lines.some(({ message }) => message === RESIGNED)).to.equal(false)
  })
})
